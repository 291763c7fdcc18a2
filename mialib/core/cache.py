"""Folders of the study, and the store of finished work: arrays on disk, found again by all that determines them.

This module alone says where folders are, from the environment.
"""

import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mialib.core import source

log = logging.getLogger(__name__)

NOT_KEPT = "not kept"  # in a key, at any depth: why nothing is stored under it
DAMAGE = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
Check = Callable[[dict[str, np.ndarray]], Any]  # raises ValueError for arrays that are not what the caller stored


def data_folder() -> Path:
    """Folder of official and prepared data files: `MIALIB_DATA`, or `~/.cache/mialib`; created when missing."""
    return _folder("MIALIB_DATA", "~/.cache/mialib")


def cache_folder() -> Path:
    """Folder of trained weights, answers and synthetic records: `MIALIB_CACHE`, or `~/.cache/mialib/store` (also where that
    is "off", which keeps nothing), or that of `kept_in`; created when missing.
    """
    named = _elsewhere[-1] if _elsewhere else None
    return named or _folder("MIALIB_CACHE", "~/.cache/mialib/store")


def keeps_nothing() -> bool:
    """Whether `MIALIB_CACHE` is "off", or this is within `kept_in(None)`."""
    return os.environ.get("MIALIB_CACHE") == "off" or _elsewhere[-1:] == [None]


@contextmanager
def kept_in(folder: Path | None) -> Iterator[None]:
    """Within the block, in all threads of this process, `cache_folder` is this folder; None: nothing is kept."""
    _elsewhere.append(folder)
    try:
        yield
    finally:
        _elsewhere.pop()


_elsewhere: list[Path | None] = []


def cluster_address() -> str | None:
    """The cluster that trains, `MIALIB_CLUSTER` (see `mialib.cluster`), or None: this machine does."""
    return os.environ.get("MIALIB_CLUSTER") or None


def name_cluster(address: str) -> None:
    """Let this process, and those that it starts, train on the cluster of this address."""
    os.environ["MIALIB_CLUSTER"] = address


def output_folder() -> Path | None:
    """Folder that the notebook runner handed to this process (`MIALIB_OUT`), or None when a person runs the notebook."""
    return Path(os.environ["MIALIB_OUT"]) if os.environ.get("MIALIB_OUT") else None


def draws_no_bars() -> bool:
    """Whether tqdm's bars are switched off (`TQDM_DISABLE`), which its widgets do not see."""
    return bool(os.environ.get("TQDM_DISABLE"))


def _folder(variable: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    folder = Path(default if named in ("", "off") else named).expanduser()
    with suppress(OSError):  # one that cannot be made stops nobody who only asks for its name
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of arrays (dtype, shape and bytes) and of JSON-able values, in the order given."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode())
            sha.update(np.ascontiguousarray(part).data)
        else:
            sha.update(json.dumps(part, sort_keys=True).encode())
        sha.update(b"\0")
    return sha.hexdigest()


@lru_cache(maxsize=256)
def code_digest(module: str | ModuleType) -> str:
    """SHA-256 (hex) of the source of a module and of all that it imports of its own package, directly or not.

    Comments, docstrings and layout do not count. Read once a process: what runs is what was imported.
    """
    return digest(source.of(module))


def load(kind: str, key: Mapping[str, Any], check: Check | None = None) -> dict[str, np.ndarray] | None:
    """Arrays stored under (kind, key), or None.

    What is not a whole file of this key, with the content that was written, or does not pass `check` (which raises ValueError)
    is named in a warning, and counts as missing.
    """
    try:
        if _why_not_kept(key) or not (path := _path(kind, key)).exists():
            return None
    except OSError:
        return None  # no folder: said when something is stored
    try:
        arrays = _read(path, key)
        if check is not None:
            check(arrays)
        return arrays
    except DAMAGE as error:
        _named.add(str(path))
        log.warning("%s: a damaged file of the cache (%s); it is not used, and its content is made again", path, error)
        return None


def _read(path: Path, key: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not path.is_file():  # a pipe would never end
        raise ValueError("expected a file")
    with zipfile.ZipFile(path) as stored:
        about = json.loads(stored.read("key.json"))
        names = [name.removesuffix(".npy") for name in stored.namelist() if name != "key.json"]
        if _text(about["key"]) != _text(key):
            raise ValueError("it was stored under another key")
        arrays = {}
        for name in names:
            with stored.open(f"{name}.npy") as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    if about["sha256"] != _content_digest(arrays):
        raise ValueError("its content is not what was written")
    return arrays


def expect(arrays: Mapping[str, np.ndarray], expected: Mapping[str, tuple[tuple[int | None, ...], str]]) -> None:
    """ValueError unless `arrays` have the names, shapes (None: any length) and dtypes of `expected`, and finite numbers."""
    if set(arrays) != set(expected):
        raise ValueError(f"expected {', '.join(sorted(expected))}, found {', '.join(sorted(arrays)) or 'nothing'}")
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
        if array.dtype != dtype or not fits:
            raise ValueError(f"expected {name} {dtype} {shape}, found {array.dtype} {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"expected finite {name}, found NaN or infinity")


def exists(kind: str, key: Mapping[str, Any]) -> bool:
    """Whether arrays are stored under (kind, key); they are not read."""
    try:
        return not _why_not_kept(key) and _path(kind, key).is_file()
    except OSError:
        return False


def save(kind: str, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray], **record: Any) -> None:
    """Store arrays under (kind, key), atomically; `record` (device, versions …) is kept beside the key, for readers.

    Several processes may store the same key at once: the last one stays, whole. A cache that cannot be written to is named in
    a warning, and so is why a key cannot be kept; the work goes on.
    """
    if why := _why_not_kept(key):
        if why != "off":
            _warn(why, "what depends on it is not kept on disk, and is made again each time")
        return
    about = {"key": key, "record": record, "sha256": _content_digest(arrays)}
    try:
        path = _path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file, zipfile.ZipFile(file, "w") as stored:
            stored.writestr("key.json", _text(about))
            for name, array in arrays.items():
                with stored.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    except OSError as error:
        where = error.filename2 or os.environ.get("MIALIB_CACHE") or "MIALIB_CACHE"  # an entry's place that is taken, or all
        _warn(where, "the cache cannot be written (%s); going on, and the next run repeats this work", error.strerror or error)


def put_file(path: Path, content: bytes) -> None:
    """Put a file that another machine stored at its place in the cache. As `save`, it names a folder that cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            file.write(content)
    except OSError as error:
        _warn(str(path.parent), "the cache cannot be written (%s); going on", error.strerror or error)


def _warn(subject: str, text: str, *values: Any) -> None:
    """A warning about something, of which there was none in this process: not one for each model."""
    if subject not in _named:
        _named.add(subject)
        log.warning(f"%s: {text}", subject, *values)


_named: set[str] = set()


def _why_not_kept(key: Any) -> str:
    """Why nothing is kept under `key`: what it says itself, at any depth, or "off"; empty if it is."""
    if keeps_nothing():
        return "off"
    return next(_reasons(key), "")


def _reasons(key: Any) -> Iterator[str]:
    if isinstance(key, Mapping):
        if NOT_KEPT in key:
            yield key[NOT_KEPT]
        key = list(key.values())
    for part in key if isinstance(key, list | tuple) else ():
        yield from _reasons(part)


def _path(kind: str, key: Mapping[str, Any]) -> Path:
    name = digest(dict(key))
    return cache_folder() / kind / name[:2] / f"{name}.npz"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _content_digest(arrays: Mapping[str, np.ndarray]) -> str:
    return digest(*(part for name in sorted(arrays) for part in (name, np.asanyarray(arrays[name]))))


class atomic:
    """Context manager: a binary file that appears at `path` only when the block ends well."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __enter__(self) -> Any:
        self.file = tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=f".{self.path.name}.", delete=False)
        return self.file

    def __exit__(self, failure: Any, *_: Any) -> None:
        self.file.close()
        if failure is not None:
            os.unlink(self.file.name)
            return
        try:
            os.chmod(self.file.name, 0o644)
            os.replace(self.file.name, self.path)
        except OSError:
            os.unlink(self.file.name)
            raise


def pack(x: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays to store for bits x uint8 0/1 (n, d)."""
    return {"x_packed": np.packbits(x, axis=1), "n_features": np.array(x.shape[1])}


def unpack(stored: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bits uint8 0/1 (n, d) of what `pack` gave."""
    return np.unpackbits(stored["x_packed"], axis=1, count=int(stored["n_features"]))


def kept(kind: str, key: Mapping[str, Any], make: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Bits x and labels y as `make` gives them, made once: the next call with this (kind, key) finds them in the cache.

    The key must hold all that determines them.
    """
    if (stored := load(kind, key, lambda arrays: expect(arrays, PACKED))) is not None:
        return unpack(stored), stored["y"]
    x, y = make()
    save(kind, key, {**pack(x), "y": y})
    return x, y


PACKED = {"x_packed": ((None, None), "uint8"), "n_features": ((), "int64"), "y": ((None,), "uint8")}
