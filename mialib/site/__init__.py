"""Static pages from the committed results, to be read from disk without a network: `make site`."""
