"""Folders of the study, and the store of finished work: arrays on disk, found again by all that determines them.

This module imports nothing of ours, and is the only one that reads the environment.
"""

import ast
import hashlib
import inspect
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)


def data_folder() -> Path:
    """Folder of official and prepared data files: `MIALIB_DATA`, or `~/.cache/mialib`; created when missing."""
    return _folder("MIALIB_DATA", "~/.cache/mialib")


def cache_folder() -> Path:
    """Folder of trained weights, answers and synthetic records: `MIALIB_CACHE`, or `~/.cache/mialib/store`; created
    when missing.
    """
    return _folder("MIALIB_CACHE", "~/.cache/mialib/store")


def output_folder() -> Path | None:
    """Folder that the notebook runner handed to this process (`MIALIB_OUT`), or None when a person runs the notebook."""
    return Path(os.environ["MIALIB_OUT"]) if os.environ.get("MIALIB_OUT") else None


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable) or default).expanduser()
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


def code_digest(*objects: Any) -> str:
    """SHA-256 (hex) of the source of modules, classes or functions: comments, docstrings and layout do not count."""
    return digest([_normal_source(item) for item in objects])


@lru_cache(maxsize=256)
def _normal_source(item: Any) -> str:
    source = inspect.getsource(item)
    tree = ast.parse(inspect.cleandoc(source) if source[:1].isspace() else source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[0] = ast.Pass()
    return ast.unparse(tree)


def load(kind: str, key: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """Arrays stored under (kind, key), or None. A file that cannot be read is named in a warning and counts as missing."""
    path = _path(kind, key)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if name != "key"}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s: a damaged file of the cache (%s); it is not used, and its content is made again", path, error)
        return None


def exists(kind: str, key: Mapping[str, Any]) -> bool:
    """Whether arrays are stored under (kind, key); they are not read."""
    return _path(kind, key).exists()


def save(kind: str, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray], **record: Any) -> None:
    """Store arrays under (kind, key), atomically; `record` (device, versions …) is kept beside the key, for readers.

    Several processes may store the same key at once: the last one stays, whole.
    """
    path = _path(kind, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**key, "record": record}, sort_keys=True)
    with atomic(path) as file:
        np.savez(file, allow_pickle=False, **arrays, key=np.array(text))


def _path(kind: str, key: Mapping[str, Any]) -> Path:
    name = digest(dict(key))
    return cache_folder() / kind / name[:2] / f"{name}.npz"


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
        os.chmod(self.file.name, 0o644)
        os.replace(self.file.name, self.path)


def pack(x: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays to store for bits x uint8 0/1 (n, d)."""
    return {"x_packed": np.packbits(x, axis=1), "n_features": np.array(x.shape[1])}


def unpack(stored: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bits uint8 0/1 (n, d) of what `pack` gave."""
    return np.unpackbits(stored["x_packed"], axis=1, count=int(stored["n_features"]))


def kept(kind: str, key: Mapping[str, Any], make: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Bits x and labels y as `make` gives them, made once: the next call with this (kind, key) finds them in the cache.

    The key must hold all that determines them. A cache that cannot be written to is named in a warning.
    """
    if (stored := load(kind, key)) is not None:
        return unpack(stored), stored["y"]
    x, y = make()
    keep(kind, key, {**pack(x), "y": y})
    return x, y


def keep(kind: str, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """`cache.save`; a cache that cannot be written to is named in a warning, and the work goes on."""
    try:
        save(kind, key, arrays)
    except OSError as error:
        log.warning("%s: the cache cannot be written (%s); going on, and the next load repeats this work", kind, error)
