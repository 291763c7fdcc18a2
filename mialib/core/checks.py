"""Argument checks of the public functions: every error names the argument, the value and what is allowed."""

from collections.abc import Collection
from typing import Any

import numpy as np


def whole(name: str, value: Any, low: int, high: int | None = None, why: str = "") -> int:
    """`value` as an int in low..high (both included); TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, got {value!r} ({type(value).__name__})")
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"{name} must be {allowed}{why and f' ({why})'}, got {value}")
    return int(value)


def real(name: str, value: Any, low: float, high: float = float("inf"), *, open_low: bool = False) -> float:
    """`value` as a finite float in low..high; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {value!r} ({type(value).__name__})")
    if not (low <= value <= high) or not np.isfinite(value) or (open_low and value == low):
        start = f"above {low}" if open_low else f"at least {low}"
        raise ValueError(f"{name} must be {start}{'' if high == float('inf') else f' and at most {high}'}, got {value}")
    return float(value)


def choice(name: str, value: Any, allowed: Collection[Any]) -> Any:
    """`value` if it is one of `allowed`; ValueError otherwise."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")
    return value


def labels(name: str, value: Any, n_classes: int) -> np.ndarray:
    """`value` as an int64 vector of labels in 0..n_classes-1; TypeError or ValueError otherwise."""
    array = np.asarray(value)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be a vector of whole numbers, got {array.dtype} of shape {array.shape}")
    if array.size and (array.min() < 0 or array.max() >= n_classes):
        raise ValueError(f"{name} must lie in 0..{n_classes - 1}, got {array.min()}..{array.max()}")
    return array.astype(np.int64, copy=False)
