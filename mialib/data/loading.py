"""Data sets: the official files where they can be had, documented stand-ins where not, and splits for a target model.

`python -m mialib.data` (or `make data`) gets them, and prints what is real, what is a stand-in, sizes and sources.
"""

import logging
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mialib.core import cache, checks, notes
from mialib.core.types import Dataset, Features, Split
from mialib.data import prepared
from mialib.data.catalogue import CATALOGUE
from mialib.data.download import DataCorrupt, DataUnavailable
from mialib.data.official import Source
from mialib.data.parsers import Arrays

log = logging.getLogger(__name__)

NAMES = tuple(CATALOGUE)
MODES = ("auto", "real", "standin")
_loaded: dict[tuple[str, str], tuple[Callable[[], Dataset | None], Path | None]] = {}  # as long as somebody holds the data


def load(name: str, mode: str = "auto") -> Dataset:
    """The data set `name` (one of NAMES).

    mode: "real", the official data from the data folder or a download, else DataUnavailable; "auto", the same, with a stand-in
    (and a warning) where they cannot be had; "standin", the stand-in, without a look at data folder or network. A file
    that is there but is damaged or another one raises DataCorrupt; a prepared file that can be made again is only named in a
    warning.
    """
    source = CATALOGUE[checks.choice("name", name, NAMES)]
    notes.quiet_log()  # the first that a notebook calls, and may hear of a stand-in from
    dataset, path = _load(source, checks.choice("mode", mode, MODES))
    _loaded[source.name, mode] = weakref.ref(dataset), path
    return dataset


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
    return Dataset(source.name, x, y.astype(np.int64), source.n_classes, kind, features)


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


def split_target(dataset: Dataset, n: int, rng: np.random.Generator) -> tuple[Split, np.ndarray]:
    """Split for a target model: n members and n non-members, drawn at random, and the pool: the sorted rows left over.

    The pool is what an attacker may hold: training and test sets of target and shadows are disjoint (paper, Sec. VI-A).
    Raises ValueError when n exceeds half of the records.
    """
    total = len(checks.instance("dataset", dataset, Dataset).y)
    n = checks.whole("n", n, 1, total // 2, why=f"half of the {total} records of {dataset.name}")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
    rows = rng.permutation(total)
    return Split(rows[:n], rows[n : 2 * n]), np.sort(rows[2 * n :])


def provenance(names: Sequence[str] = NAMES, mode: str = "auto") -> pd.DataFrame:
    """Load the data sets, and tell of each, one row a set, where it comes from.

    Columns: name, source, records, n_classes, digest (as `describe`), shape (of a record), class_sizes (smallest-largest),
    origin (address or generator), file (it was read from), megabytes (of its files on disk). Raises what `load` raises.
    """
    checks.choice("mode", mode, MODES)
    return pd.DataFrame([_provenance(CATALOGUE[checks.choice("name", name, NAMES)], mode) for name in names])


def _provenance(source: Source, mode: str) -> dict[str, Any]:
    held, path = _loaded.get((source.name, mode), (lambda: None, None))
    dataset = held()  # what a notebook holds need not be read, or made, again
    if dataset is None:
        dataset, path = _load(source, mode)
    sizes = np.bincount(dataset.y, minlength=dataset.n_classes)
    files = {path, *source.official.paths(path.parent)} if path else set[Path]()
    made = getattr(source.stand_in, "func", source.stand_in)
    generator = f"generated by {made.__module__}.{made.__name__}"
    return dataset.describe() | {
        "shape": "x".join(map(str, dataset.x.shape[1:])),
        "class_sizes": f"{sizes.min()}-{sizes.max()}",
        "origin": source.official.origin() if path else generator,
        "file": str(path or ""),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 1),
    }
