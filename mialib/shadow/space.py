"""The records that an attacker can make up: random ones, and changes of random features (RANDRECORD of Algorithm 1)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mialib.core import streams
from mialib.core.types import Features

ALLOWED_KINDS = '("bit",), ("category", group), ("integer", low, high) or ("real", low, high)'


class Space:
    """All records of the given features.

    A record is held as `codes`, one number a feature: bits and pixels as they are; a one-hot group is one feature, held as the
    number of its column that is 1. n: the number of features so counted. dtype: that of codes and records, uint8 or float32.
    Raises TypeError or ValueError for features that cannot be drawn.
    """

    def __init__(self, features: Features) -> None:
        self.shape = _check_shape(features)
        if features.kinds is None:
            kind = ("bit",) if len(self.shape) == 1 else ("integer", 0, 255)
            kinds, columns = [kind], None
            self.n = math.prod(self.shape)
        else:
            kinds, columns = _units(features.kinds)
            self.n = len(kinds)
        self.dtype = np.dtype(np.uint8 if features.kinds is None else np.float32)
        self._columns = columns
        self._bit, self._real, self._low, self._high, self._size = (
            np.broadcast_to(part, self.n) for part in map(np.array, zip(*map(_drawing, kinds), strict=True))
        )
        self.binary = bool(self._bit.all()) and features.kinds is None

    @property
    def places(self) -> np.ndarray:
        """The number of the feature that each column of the flattened record belongs to: int64."""
        return np.arange(self.n) if self._columns is None else self._columns[0]

    def random(self, values: np.ndarray) -> np.ndarray:
        """Codes (m, n) of random records, one a stream of `values`: uniform in the range of each feature, independently.

        Feature i is made of the stream's child number i.
        """
        return self._draw(np.arange(self.n)[None, :], streams.fork(values[:, None], np.arange(self.n)))

    def changed(self, codes: np.ndarray, marks: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        """A copy of codes (m, n) in which every feature marked by a one in `marks` (m, n), uint8, is changed.

        Bits flip; the others are drawn anew, as in `random`: the new value may be the old one. values: None for bits alone.
        """
        if values is None:
            return codes ^ marks
        new = codes.copy()
        rows, places = np.nonzero(marks)
        drawn = self._draw(places, streams.fork(values[rows], places))
        new[rows, places] = np.where(self._bit[places], 1 - codes[rows, places], drawn)
        return new

    def _draw(self, places: np.ndarray, words: np.ndarray) -> np.ndarray:
        low, high = self._low[places], self._high[places]
        drawn = low + streams.below(words, self._size[places])
        if self._real.any():
            drawn = np.where(self._real[places], low + (high - low) * streams.share(words), drawn)
        return drawn.astype(self.dtype)

    def records(self, codes: np.ndarray) -> np.ndarray:
        """Records (m, ...) as a target is asked them: `Dataset.x` of these codes (m, n)."""
        if self._columns is None:
            return codes.reshape(len(codes), *self.shape)
        place, hot = self._columns
        x = codes[:, place]
        grouped = hot >= 0
        x[:, grouped] = x[:, grouped] == hot[grouped]
        return x


def _check_shape(features: Features) -> tuple[int, ...]:
    if not isinstance(features, Features):
        raise TypeError(f"features must be a mialib.data.Features, got {type(features).__name__}")
    shape = tuple(features.shape)
    if not shape or any(not isinstance(size, int | np.integer) or size < 1 for size in shape):
        raise ValueError(f"features.shape must be (n_features,) or (h, w[, channels]), all at least 1, got {shape}")
    if features.kinds is not None and (len(shape) != 1 or len(features.kinds) != shape[0]):
        raise ValueError(
            f"features.kinds must be None or, of records of shape (n_features,), one entry a column, "
            f"got {len(features.kinds)} for shape {shape}"
        )
    return tuple(map(int, shape))


def _units(kinds: Sequence[Any]) -> tuple[list[tuple], tuple[np.ndarray, np.ndarray]]:
    """The features as they are drawn, a one-hot group as one, and of every column its feature and its number in the group,
    or -1.
    """
    units: list[tuple] = []
    members: dict[Any, list[int]] = {}  # of a group: its feature, and how many columns it has so far
    place, hot = [], []
    for j, kind in enumerate(kinds):
        kind = _check_kind(j, kind)
        if kind[0] == "category" and kind[1] in members:
            members[kind[1]][1] += 1
        elif kind[0] == "category":
            members[kind[1]] = [len(units), 1]
            units.append(kind)
        else:
            units.append(kind)
        own = members[kind[1]] if kind[0] == "category" else [len(units) - 1, 0]
        place.append(own[0])
        hot.append(own[1] - 1)
    for unit, size in members.values():
        units[unit] = ("integer", 0, size - 1)
    return units, (np.array(place), np.array(hot))


def _check_kind(j: int, kind: Any) -> tuple:
    sizes = {"bit": 1, "category": 2, "integer": 3, "real": 3}
    if not isinstance(kind, tuple) or not kind or sizes.get(kind[0]) != len(kind):
        raise ValueError(f"features.kinds[{j}] must be {ALLOWED_KINDS}, got {kind!r}")
    if len(kind) == 3:
        low, high = kind[1:]
        if not (np.isfinite(low) and np.isfinite(high) and low <= high):
            raise ValueError(f"features.kinds[{j}] must have a finite range low <= high, got {kind!r}")
        if kind[0] == "integer" and (low != int(low) or high != int(high) or max(abs(low), abs(high)) > 2**24):
            raise ValueError(f"features.kinds[{j}] must have whole numbers up to 2**24, as float32 holds them, got {kind!r}")
    return kind


def _drawing(kind: tuple) -> tuple[bool, bool, float, float, int]:
    """Whether a bit, whether real, the range, and how many whole numbers lie in it."""
    if kind[0] == "bit":
        return True, False, 0.0, 1.0, 2
    _, low, high = kind
    real = kind[0] == "real"
    return False, real, float(low), float(high), 1 if real else int(high - low) + 1
