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


def flag(name: str, value: Any) -> bool:
    """`value` if it is True or False; TypeError otherwise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r} ({type(value).__name__})")
    return bool(value)


def instance(name: str, value: Any, kind: type) -> Any:
    """`value` if it is a `kind`; TypeError otherwise."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__module__.partition('.')[0]} {kind.__name__}, got {type(value).__name__}")
    return value


def kind(value: Any) -> str:
    """What a value is, in words for an error: "float64 of shape (3, 2)", "a list"."""
    return f"{value.dtype} of shape {value.shape}" if is_array(value) else f"a {type(value).__name__}"


def is_array(value: Any) -> bool:
    """Whether a value is a NumPy array, and not a masked one."""
    return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)


def array(name: str, value: Any) -> np.ndarray:
    """`value` as a plain array; TypeError for masked arrays, ragged rows, and what does not turn into one."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, got a masked one: fill it first")
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged rows; a tensor that requires grad, or lies on a GPU
        raise TypeError(f"{name} must be an array, got {kind(value)}: {error}") from error


def indices(name: str, value: Any, total: int | None = None) -> np.ndarray:
    """`value` as int64 (n,): different whole numbers from 0, below `total` if given; TypeError or ValueError otherwise."""
    rows = array(name, value)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise TypeError(f"{name} must be a vector of whole numbers, got {kind(rows)}")
    rows = rows.astype(np.int64, copy=False)
    if rows.size and (rows.min() < 0 or (total is not None and rows.max() >= total)):
        allowed = "be 0 or more" if total is None else f"lie in 0..{total - 1}"
        raise ValueError(f"{name} must {allowed}, got {rows.min()}..{rows.max()}")
    if len(np.unique(rows)) < len(rows):
        raise ValueError(f"{name} must be different rows, got {len(rows) - len(np.unique(rows))} of them again")
    return rows


def labels(name: str, value: Any, n_classes: int) -> np.ndarray:
    """`value` as an int64 vector of labels in 0..n_classes-1; TypeError or ValueError otherwise."""
    found = array(name, value)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise TypeError(f"{name} must be a vector of whole numbers, got {kind(found)}")
    if found.size and (found.min() < 0 or found.max() >= n_classes):
        raise ValueError(f"{name} must lie in 0..{n_classes - 1}, got {found.min()}..{found.max()}")
    return found.astype(np.int64, copy=False)
