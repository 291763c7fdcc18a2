"""Records as their owner has them: pandas tables, and arrays of types that a data set's x does not hold; and their encoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mialib.core import cache, checks

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 100  # of a column, with a column of their own: the most frequent; the others share one


def is_frame(records: Any) -> bool:
    """Whether records are a pandas table, or one column of one."""
    return hasattr(records, "iloc")


def rows_of(records: Any, rows: Any) -> Any:
    """Some of the records of a table or an array: `rows` is a slice, a mask or indices."""
    return records.iloc[rows] if is_frame(records) else records[rows]


def digest_of(records: Any) -> str:
    """SHA-256 (hex) of a table's columns and values, or of an array."""
    if not is_frame(records) and records.dtype != object:
        return cache.digest(records)
    import pandas as pd

    table = pd.DataFrame(records if is_frame(records) else records.reshape(len(records), -1))
    whole = table.map(lambda value: value if isinstance(value, str | int | float | bool) else repr(value))
    hashed = pd.util.hash_pandas_object(whole, index=False).to_numpy()
    return cache.digest([str(name) for name in table.columns], [str(kind) for kind in table.dtypes], hashed)


class _Column(NamedTuple):
    """How one column becomes numbers: values, each with a column of its own (empty: a number), else centre and scale."""

    name: Any
    values: tuple[Any, ...]
    centre: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Encoder:
    """A table as float32 numbers, as it was fitted: a number less its mean, in deviations (0 where it is not known), a category
    as one bit a value (at most 100 of them, the most frequent, and one more bit for all others).
    """

    columns: tuple[_Column, ...]

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> "Encoder":
        """Fitted on a table (n, d) with differently named columns; ValueError for another."""
        names = [*frame.columns]
        if twice := sorted({str(name) for name in names if names.count(name) > 1}):
            raise ValueError(f"frame must have differently named columns, got {', '.join(twice)} more than once")
        if not names:
            raise ValueError("frame must have at least one column beside the label, got none")
        return cls(tuple(_column(name, frame[name]) for name in names))

    def encode(self, frame: "pd.DataFrame") -> np.ndarray:
        """Records as x of a data set, float32 (n, columns of `kinds`); ValueError for a table without one of the columns."""
        if lacking := [str(column.name) for column in self.columns if column.name not in frame]:
            raise ValueError(f"frame must have the columns that were encoded, got none named {', '.join(lacking)}")
        return np.concatenate([_encoded(column, frame[column.name]) for column in self.columns], 1, dtype=np.float32)

    def kinds(self, x: np.ndarray) -> list[Any]:
        """Of the encoded columns, as `Features.kinds` has them; the range of a number is that of x."""
        kinds: list[Any] = []
        for column in self.columns:
            if column.values:
                kinds += [("category", str(column.name))] * (len(column.values) + 1)
            else:
                values = x[:, len(kinds)]
                kinds.append(("real", float(values.min()), float(values.max())))
        return kinds


def _column(name: Any, series: "pd.Series") -> _Column:
    if series.dtype.kind in "iuf" or str(series.dtype).startswith(("Int", "UInt", "Float")):
        known = _numbers(series)
        known = known[np.isfinite(known)]
        return _Column(name, (), *((float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)))
    return _Column(name, tuple(_texts(series).value_counts().index[:MOST_VALUES]))


def _encoded(column: _Column, series: "pd.Series") -> np.ndarray:
    if not column.values:
        numbers = (_numbers(series) - column.centre) / column.scale
        return np.where(np.isfinite(numbers), numbers, 0.0)[:, None].clip(-1e30, 1e30).astype(np.float32)
    values = _texts(series).to_numpy(object)
    bits = [values == value for value in column.values]
    return np.stack([*bits, ~np.any(bits, axis=0)], 1).astype(np.float32)


def _numbers(series: "pd.Series") -> np.ndarray:
    return series.to_numpy(np.float64, na_value=np.nan)


def _texts(series: "pd.Series") -> "pd.Series":
    return series.astype(object).where(series.notna(), "not known").astype(str)


def check_frame(frame: Any, n: int) -> None:
    """TypeError or ValueError unless `frame` is a table or an array of n records."""
    if not is_frame(frame) and not checks.is_array(frame):
        raise TypeError(f"dataset.frame must be a pandas table or an array, got {checks.kind(frame)}")
    if len(frame) != n:
        raise ValueError(f"dataset.frame must have a row a record, {n}, got {len(frame)}")


def coded(labels: Any) -> tuple[np.ndarray, Sequence[Any]]:
    """Labels of any one kind as y, int64 (n,) in 0..n_classes-1, and the classes, sorted, so that y = c means classes[c]."""
    values = labels.to_numpy() if is_frame(labels) else labels if checks.is_array(labels) else np.array([*labels], object)
    if values.ndim != 1:
        raise ValueError(f"labels must be one a record, shape (n,), got shape {values.shape}")
    kinds = {type(value).__name__ for value in values.tolist()}
    if len(kinds) > 1:
        raise ValueError(f"labels must be of one kind, got {', '.join(sorted(kinds))}")
    if (unknown := np.count_nonzero(values != values)) > 0:
        raise ValueError(f"labels must be known, got {unknown} that are not (NaN)")
    classes, y = np.unique(values, return_inverse=True)
    return y.reshape(-1).astype(np.int64), classes.tolist()
