"""Records kept in the cache, when making them takes long: bits are stored packed, eight a byte."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mialib import cache

log = logging.getLogger(__name__)


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
    if (stored := cache.load(kind, key)) is not None:
        return unpack(stored), stored["y"]
    x, y = make()
    keep(kind, key, {**pack(x), "y": y})
    return x, y


def keep(kind: str, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """`cache.save`; a cache that cannot be written to is named in a warning, and the work goes on."""
    try:
        cache.save(kind, key, arrays)
    except OSError as error:
        log.warning("%s: the cache cannot be written (%s); going on, and the next load repeats this work", kind, error)
