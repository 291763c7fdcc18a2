"""`python -m mialib.data` gets the data sets, and prints what is real, what is a stand-in, sizes and sources."""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from mialib.data.catalogue import CATALOGUE
from mialib.data.download import DataCorrupt, DataUnavailable
from mialib.data.loading import MODES, NAMES, provenance
from mialib.data.official import Clustered, Official


def _report(row: dict[str, Any]) -> str:
    kind = "real" if row["source"] == "real" else "STAND-IN"
    classes = f"{row['n_classes']} classes of {row['class_sizes']}"
    size = f" ({row['megabytes']} MB with its official files)" if row["file"] else ""
    return (
        f"{row['name']:<12}{kind}: {row['records']:,} records of {row['shape']}, {classes}\n"
        f"  origin    {row['origin']}\n"
        f"  file      {row['file'] or 'none'}{size}\n"
        f"  digest    {row['digest']}"
    )


def _files(name: str) -> Official:
    """What is downloaded for a data set: the same for several."""
    official = CATALOGUE[name].official
    return official.official if isinstance(official, Clustered) else official


def _row(name: str, mode: str, missing: dict[Official, tuple[DataUnavailable, list[str]]]) -> dict[str, Any]:
    """Of `provenance`. In mode "auto" files that cannot be had are asked for once, and noted with the sets that lack them."""
    files = _files(name)
    if mode == "auto" and files not in missing:
        try:
            return dict(provenance([name], "real").iloc[0])
        except DataUnavailable as error:
            missing[files] = (error, [])
    if mode == "auto":
        missing[files][1].append(name)
        mode = "standin"
    return dict(provenance([name], mode).iloc[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Get the data sets and print their provenance; 1 if any cannot be had as asked."""
    parser = argparse.ArgumentParser(prog="python -m mialib.data", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets (default: all): {' '.join(NAMES)}")
    parser.add_argument("--mode", choices=MODES, default="auto", help="auto: a stand-in where the real data cannot be had")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown data set {' '.join(sorted(unknown))}; there are {' '.join(NAMES)}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    failures, missing = 0, dict[Official, tuple[DataUnavailable, list[str]]]()
    for name in options.names or NAMES:
        try:
            print(_report(_row(name, options.mode, missing)), flush=True)
        except (DataUnavailable, DataCorrupt) as error:
            failures += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    for gone, lacking in missing.values():
        print(f"WARNING: {gone.what} cannot be had: STAND-IN (generated records) for {', '.join(lacking)}", file=sys.stderr)
    if missing:
        print(next(iter(missing.values()))[0].tried, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
