"""Data sets: the official files where they can be had, documented stand-ins where not, and splits for a target model.

`python -m mialib.data` (or `make data`) gets them, and prints what is real, what is a stand-in, sizes and sources.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib import cache, checks, prepared
from mialib.official import DataCorrupt, DataUnavailable
from mialib.parsers import Arrays
from mialib.sources import SOURCES, Source

__all__ = [
    "NAMES", "DataCorrupt", "DataUnavailable", "Dataset", "Features", "Split",
    "check_dataset", "describe", "load", "provenance", "split_target",
]  # fmt: skip

log = logging.getLogger(__name__)

NAMES = tuple(SOURCES)
MODES = ("auto", "real", "standin")


class Features(NamedTuple):
    """What an attacker knows of a record: its shape, and the kinds of its columns.

    shape: (n_features,) or (h, w[, channels]). kinds: None for bits or pixels, else one tuple a column: the kind ("bit",
    "category", "integer" or "real") first, then its one-hot group or its range.
    """

    shape: tuple[int, ...]
    kinds: Sequence[Any] | None = None


class Dataset(NamedTuple):
    """Records and their classes.

    x: (n, ...) uint8 (bits 0/1, pixels) or float32 (tables). y: int64 (n,), 0..n_classes-1. source: "real" or "standin".
    features: what an attacker knows of a record; None: read off x.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    n_classes: int
    source: str
    features: Features | None = None


class Split(NamedTuple):
    """Row indices int64 of a model's training set and of its test set: disjoint, equally many."""

    members: np.ndarray
    nonmembers: np.ndarray


def load(name: str, mode: str = "auto") -> Dataset:
    """The data set `name` (one of NAMES).

    mode: "real", the official data from the data folder or a download, else DataUnavailable; "auto", the same, with a stand-in
    (and a warning) where they cannot be had; "standin", the stand-in, without a look at data folder or network. A file
    that is there but is damaged or another one raises DataCorrupt; a prepared file that can be made again is only named in a
    warning.
    """
    source = SOURCES[checks.choice("name", name, NAMES)]
    return _load(source, checks.choice("mode", mode, MODES))[0]


def _load(source: Source, mode: str) -> tuple[Dataset, Path | None]:
    """The data set, and the file it was read from."""
    if mode != "standin":
        try:
            (x, y), path = _real(source, cache.data_folder())
            return _dataset(source, x, y, "real"), path
        except DataUnavailable as error:
            if mode == "real":
                raise
            log.warning("%s: the real data cannot be had, using a STAND-IN (generated records). %s", source.name, error)
    return _dataset(source, *source.stand_in(), "standin"), None


def _dataset(source: Source, x: np.ndarray, y: np.ndarray, kind: str) -> Dataset:
    features = Features(source.shape[1:], source.kinds) if source.kinds else None
    return check_dataset(Dataset(source.name, x, y.astype(np.int64), source.n_classes, kind, features))


def _real(source: Source, folder: Path) -> tuple[Arrays, Path]:
    path = folder / f"{source.name}.npz"
    damage = None
    if path.exists():
        try:
            return prepared.read(path, source), path
        except DataCorrupt as error:
            log.warning("%s. It is not used; making it again from the official file", error)
            damage = error
    try:
        x, y = source.official.read(folder)
    except DataUnavailable as error:
        if damage is None:
            raise
        raise DataCorrupt(f"{damage}. It is not used, and cannot be made again; move it away, or: {error}") from error
    prepared.check(f"{source.name}, as parsed from its official files", x, y, source)
    stored = bool(source.pinned) and prepared.write(path, x, y, source)
    return (x, y), path if stored else source.official.paths(folder)[0]


def check_dataset(dataset: Dataset) -> Dataset:
    """`dataset` itself, if its arrays have the types, shapes and values that `Dataset` promises.

    Raises TypeError or ValueError, naming the field, what it holds and what is allowed.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset must be a mialib.data.Dataset, got {type(dataset).__name__}")
    x, y = dataset.x, dataset.y
    if not isinstance(x, np.ndarray) or x.dtype not in (np.uint8, np.float32):
        raise TypeError(f"dataset.x must be a uint8 or float32 array, got {getattr(x, 'dtype', type(x).__name__)}")
    if not isinstance(y, np.ndarray) or y.dtype != np.int64:
        raise TypeError(f"dataset.y must be an int64 array, got {getattr(y, 'dtype', type(y).__name__)}")
    if x.ndim < 2 or y.shape != x.shape[:1] or not x.size:
        raise ValueError(f"dataset.x and y must have shapes (n, ...) and (n,) with n >= 1, got {x.shape} and {y.shape}")
    if x.dtype == np.float32 and not np.isfinite(x).all():
        raise ValueError(f"dataset.x must be finite, got {np.count_nonzero(~np.isfinite(x))} values that are NaN or infinite")
    checks.whole("dataset.n_classes", dataset.n_classes, 2)
    checks.labels("dataset.y", y, dataset.n_classes)
    checks.choice("dataset.source", dataset.source, ("real", "standin"))
    _check_features(dataset.features, x.shape[1:])
    return dataset


def _check_features(features: Features | None, shape: tuple[int, ...]) -> None:
    if features is None:
        return
    if not isinstance(features, Features):
        raise TypeError(f"dataset.features must be a mialib.data.Features or None, got {type(features).__name__}")
    if tuple(features.shape) != shape:
        raise ValueError(f"dataset.features.shape must be that of a record, {shape}, got {tuple(features.shape)}")
    if features.kinds is not None and len(features.kinds) != shape[0]:
        raise ValueError(f"dataset.features.kinds must have one entry a column, {shape[0]}, got {len(features.kinds)}")


def split_target(dataset: Dataset, n: int, rng: np.random.Generator) -> tuple[Split, np.ndarray]:
    """Split for a target model: n members and n non-members, drawn at random, and the pool: the sorted rows left over.

    The pool is what an attacker may hold: training and test sets of target and shadows are disjoint (paper, Sec. VI-A).
    Raises ValueError when n exceeds half of the records.
    """
    total = len(check_dataset(dataset).y)
    n = checks.whole("n", n, 1, total // 2, why=f"half of the {total} records of {dataset.name}")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
    rows = rng.permutation(total)
    return Split(rows[:n], rows[n : 2 * n]), np.sort(rows[2 * n :])


def describe(dataset: Dataset) -> dict[str, Any]:
    """What a run notes of its data: name, source ("real" or "standin"), records, n_classes and a digest of x and y."""
    check_dataset(dataset)
    return {
        "name": dataset.name,
        "source": dataset.source,
        "records": len(dataset.y),
        "n_classes": int(dataset.n_classes),
        "digest": cache.digest(dataset.x, dataset.y),
    }


def provenance(names: Sequence[str] = NAMES, mode: str = "auto") -> pd.DataFrame:
    """Load the data sets, and tell of each, one row a set, where it comes from.

    Columns: name, source, records, n_classes, digest (as `describe`), shape (of a record), class_sizes (smallest-largest),
    origin (address or generator), file (it was read from), megabytes (of its files on disk). Raises what `load` raises.
    """
    checks.choice("mode", mode, MODES)
    return pd.DataFrame([_provenance(SOURCES[checks.choice("name", name, NAMES)], mode) for name in names])


def _provenance(source: Source, mode: str) -> dict[str, Any]:
    dataset, path = _load(source, mode)
    sizes = np.bincount(dataset.y, minlength=dataset.n_classes)
    files = {path, *source.official.paths(path.parent)} if path else set[Path]()
    made = getattr(source.stand_in, "func", source.stand_in)
    generator = f"generated by {made.__module__}.{made.__name__}"
    return describe(dataset) | {
        "shape": "x".join(map(str, dataset.x.shape[1:])),
        "class_sizes": f"{sizes.min()}-{sizes.max()}",
        "origin": source.official.origin() if path else generator,
        "file": str(path or ""),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 1),
    }


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Get the data sets and print their provenance; 1 if any cannot be had as asked."""
    parser = argparse.ArgumentParser(prog="python -m mialib.data", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets (default: all): {' '.join(NAMES)}")
    parser.add_argument("--mode", choices=MODES, default="auto", help="auto: a stand-in where the real data cannot be had")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown data set {' '.join(sorted(unknown))}; there are {' '.join(NAMES)}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    failures = 0
    for name in options.names or NAMES:
        try:
            print(_report(provenance([name], options.mode).iloc[0].to_dict()), flush=True)
        except (DataUnavailable, DataCorrupt) as error:
            failures += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
