"""Records drawn from real ones, without asking a target: from marginals, or noisy copies (Sec. V-C); and how near they are."""

import math
from typing import Any

import numpy as np
import torch

from mialib.core import checks
from mialib.core.types import Features
from mialib.shadow.space import Space

ROWS_AT_ONCE = 8192
NUMBERS_AT_ONCE = 2**22  # of random ones


def marginal(x: np.ndarray, n: int, rng: np.random.Generator, features: Features | None = None) -> np.ndarray:
    """n records, each feature drawn on its own, from its empirical marginal in records x (m, ...) (Sec. V-C).

    Bits are Bernoulli draws at the share of ones; of every other feature, the value of a random record. One-hot groups, known
    from `features`, are drawn as one. The records have no labels: `synthesis.answered` gives them the target's.
    Returns (n, ...) of x's dtype. Raises TypeError or ValueError for other arguments, and for no records.
    """
    x = check_records("x", x, 1)
    checks.whole("n", n, 1)
    check_rng(rng)
    flat = x.reshape(len(x), -1)
    groups = _groups(features, x)
    drawn = np.empty((n, flat.shape[1]), x.dtype)
    shares = flat.mean(0) if groups is None and _binary(flat) else None
    for start in range(0, n, block := max(1, NUMBERS_AT_ONCE // flat.shape[1])):
        part = drawn[start : start + block]
        if shares is not None:
            part[:] = rng.random(part.shape) < shares
        else:
            places = np.arange(flat.shape[1]) if groups is None else groups
            rows = rng.integers(0, len(x), (len(part), places.max() + 1))
            part[:] = flat[rows[:, places], np.arange(flat.shape[1])]
    return drawn.reshape(n, *x.shape[1:])


def _groups(features: Features | None, x: np.ndarray) -> np.ndarray | None:
    """The number of each column's feature, where one-hot groups have several columns; None: a column is a feature."""
    if features is None:
        return None
    known = Space(features)
    if known.shape != x.shape[1:]:
        raise ValueError(f"features.shape must be that of a record, {x.shape[1:]}, got {known.shape}")
    return known.places


def nearest(x: np.ndarray, real: np.ndarray) -> np.ndarray:
    """How far each of records x (n, ...) is from the nearest of the records `real` (m, ...): float32 (n,).

    The distance is the mean squared difference over features: of bits, the share in which two records differ.
    """
    x, real = check_records("x", x, 1), check_records("real", real, 1)
    if x.shape[1:] != real.shape[1:]:
        raise ValueError(f"real must hold records like those of x, of shape {x.shape[1:]}, got {real.shape[1:]}")
    centre = torch.as_tensor(real.reshape(len(real), -1).mean(0, dtype=np.float64)).float()
    others = [_centred(part, centre) for part in np.array_split(real, -(-len(real) // ROWS_AT_ONCE))]
    best = np.empty(len(x), np.float32)
    for start in range(0, len(x), ROWS_AT_ONCE):
        own, length = _centred(x[start : start + ROWS_AT_ONCE], centre)
        squares = [torch.addmm(lengths[None], own, other.T, alpha=-2).amin(1) for other, lengths in others]
        best[start : start + ROWS_AT_ONCE] = (torch.stack(squares).amin(0) + length).clamp(min=0) / own.shape[1]
    return best


def _centred(x: np.ndarray, centre: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Records (n, d) about a centre, so that the products below lose few digits; and their squared lengths (n,)."""
    flat = torch.as_tensor(np.ascontiguousarray(x)).flatten(1).float() - centre
    return flat, (flat * flat).sum(1)


def noisy(x: np.ndarray, rate: float, rng: np.random.Generator, mode: str = "flip") -> np.ndarray:
    """A copy of records x (n, ...) in which round(rate * d) of each record's d features, chosen at random, are disturbed.

    The paper gives two readings: "flip" (Sec. V-C; binary features only) turns a value into the other one; "random" (Fig. 8,
    Sec. VI-E) puts a random value in its place: a fair coin for bits, 0..255 for pixels, for floats the same feature of a
    random record. At equal rates, "random" changes half as many bits.
    Raises ValueError for a rate outside 0..1 or NaN, for another mode, and for flipping what is not binary.
    """
    x = check_records("x", x, 0)
    checks.real("rate", rate, 0, 1)
    checks.choice("mode", mode, ("flip", "random"))
    check_rng(rng)
    flat = x.reshape(len(x), math.prod(x.shape[1:])).copy()
    binary = _binary(flat)
    if mode == "flip" and not binary:
        raise ValueError(
            f"mode 'flip' needs binary features (uint8 of 0 and 1), got {flat.dtype} up to {flat.max()}; use 'random'"
        )
    n_disturbed = round(rate * flat.shape[1])
    for start in range(0, len(flat), ROWS_AT_ONCE):
        part = flat[start : start + ROWS_AT_ONCE]
        columns = rng.random(part.shape, dtype=np.float32).argsort(1)[:, :n_disturbed]
        values = np.take_along_axis(part, columns, 1)
        new = 1 - values if mode == "flip" else _random_values(x.reshape(flat.shape), columns, binary, rng)
        np.put_along_axis(part, columns, new.astype(flat.dtype), 1)
    return flat.reshape(x.shape)


def _random_values(x: np.ndarray, columns: np.ndarray, binary: bool, rng: np.random.Generator) -> np.ndarray:
    if binary:
        return rng.integers(0, 2, columns.shape)
    if x.dtype == np.uint8:
        return rng.integers(0, 256, columns.shape)
    return x[rng.integers(0, len(x), columns.shape), columns]


def check_records(name: str, x: Any, least: int) -> np.ndarray:
    """`x` as records (n, ...) of finite real numbers, n >= `least`; TypeError or ValueError otherwise."""
    x = checks.array(name, x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be records of real numbers, got {x.dtype}")
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ValueError(f"{name} must be records of shape (n, ...), got shape {x.shape}")
    if len(x) < least:
        raise ValueError(f"{name} must hold at least {least} record, got shape {x.shape}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(x))} values that are NaN or infinite")
    return x


def _binary(x: np.ndarray) -> bool:
    return x.dtype == np.uint8 and bool(not x.size or x.max() <= 1)


def check_rng(rng: Any) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
    return rng
