"""What can go wrong with a cluster."""


class ClusterError(ConnectionError):
    """A cluster cannot be used, or was lost; the message says which and why."""
