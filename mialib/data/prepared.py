"""The prepared form of a data set: one NAME.npz beside the official files, which makes the second load fast.

Arrays `x` and `y` (labels as uint8), and `meta`, a JSON string; records of bits are packed: `x_packed` and `n_features`.
A prepared file counts as real only if the digest of its content is pinned in the package: that of the arrays as they are, or,
for a set that is about in several orders, that of the records in any order.
"""

import hashlib
import json
import logging
import zipfile
import zlib
from pathlib import Path

import numpy as np

from mialib.core import cache
from mialib.data.download import DataCorrupt
from mialib.data.official import Source
from mialib.data.parsers import Arrays

log = logging.getLogger(__name__)

UNREADABLE = (OSError, ValueError, TypeError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)


def content_digest(x: np.ndarray, y: np.ndarray) -> str:
    """SHA-256 (hex) over x.tobytes() + y.tobytes(), as the arrays are stored."""
    sha = hashlib.sha256(np.ascontiguousarray(x).data)
    sha.update(np.ascontiguousarray(y).data)
    return sha.hexdigest()


def records_digest(x: np.ndarray, y: np.ndarray) -> str:
    """SHA-256 (hex) over the sorted SHA-256 digests of the records, each with its label (uint8): the same in any order."""
    x, labels = np.ascontiguousarray(x), y.astype(np.uint8)
    records = sorted(hashlib.sha256(record.tobytes() + label.tobytes()).digest() for record, label in zip(x, labels))
    return hashlib.sha256(b"".join(records)).hexdigest()


def read(path: Path, source: Source) -> Arrays:
    """x and y (uint8) of a prepared file; DataCorrupt if it is damaged, does not fit, or its digest is not pinned."""
    try:
        x, y = _arrays(path)
    except UNREADABLE as error:
        raise DataCorrupt(
            f"{path}: not a readable prepared file: expected a .npz with x (or x_packed and n_features) and y, "
            f"found {type(error).__name__}: {error}"
        ) from error
    check(str(path), x, y, source)
    if not source.pinned:
        raise DataCorrupt(f"{path}: no digest of {source.name} is pinned, so a prepared file cannot count as real")
    return x, y


def _arrays(path: Path) -> Arrays:
    with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as stored:
        if "x_packed" in stored.files:
            return cache.unpack(stored), stored["y"]
        return stored["x"], stored["y"]


def check(where: str, x: np.ndarray, y: np.ndarray, source: Source) -> None:
    """Raise DataCorrupt, naming `where`, unless x and y have the source's types, shapes, values and pinned digest."""
    for name, array, kind, shape in (("x", x, source.dtype, source.shape), ("y", y, "uint8", source.shape[:1])):
        if array.dtype != kind or array.shape != shape:
            raise DataCorrupt(f"{where}: expected {name} {kind} {shape}, found {array.dtype} {array.shape}")
    if y.max() >= source.n_classes:
        raise DataCorrupt(f"{where}: expected labels y in 0..{source.n_classes - 1}, found {y.min()}..{y.max()}")
    if source.bits and x.max() > 1:
        raise DataCorrupt(f"{where}: expected bits x in 0..1, found {x.min()}..{x.max()}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataCorrupt(f"{where}: expected finite x, found NaN or infinity")
    found = content_digest(x, y)
    if not source.pinned or found in source.pinned:
        return
    if source.pinned_records and records_digest(x, y) == source.pinned_records:
        return
    raise DataCorrupt(f"{where}: expected content with sha256 {' or '.join(source.pinned)}, found {found}")


def write(path: Path, x: np.ndarray, y: np.ndarray, source: Source) -> bool:
    """Store x and y at `path`, atomically; a folder that cannot be written to is named in a warning. True if stored."""
    origin = source.official.origin()
    meta = json.dumps({"name": source.name, "source": "real", "origin": origin, "sha256": content_digest(x, y)})
    stored = cache.pack(x) if source.bits else {"x": x}
    try:
        with cache.atomic(path) as file:
            np.savez(file, allow_pickle=False, **stored, y=y, meta=np.array(meta))
    except OSError as error:
        log.warning("%s: cannot be written (%s); going on, and the next load parses the official file again", path, error)
        return False
    return True
