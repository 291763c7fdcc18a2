"""Shadow data that are not the target's: noisy copies of real records (Sec. V-C)."""

import math

import numpy as np

from mialib import checks

ROWS_AT_ONCE = 8192


def noisy(x: np.ndarray, rate: float, rng: np.random.Generator, mode: str = "flip") -> np.ndarray:
    """A copy of records x (n, ...) in which round(rate * d) of each record's d features, chosen at random, are disturbed.

    The paper gives two readings: "flip" (Sec. V-C; binary features only) turns a value into the other one; "random" (Fig. 8,
    Sec. VI-E) puts a random value in its place: a fair coin for bits, 0..255 for pixels, for floats the same feature of a
    random record. At equal rates, "random" changes half as many bits.
    Raises ValueError for a rate outside 0..1 or NaN, for another mode, and for flipping what is not binary.
    """
    x = np.asarray(x)
    checks.real("rate", rate, 0, 1)
    checks.choice("mode", mode, ("flip", "random"))
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}")
    if x.ndim < 2:
        raise ValueError(f"x must be records of shape (n, ...), got shape {x.shape}")
    flat = x.reshape(len(x), math.prod(x.shape[1:])).copy()
    binary = flat.dtype == np.uint8 and (not flat.size or flat.max() <= 1)
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
