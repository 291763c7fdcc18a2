"""Records on their way to a service: as values of JSON, and the digests that kept answers are found by."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mialib.core import checks

Cell = bool | int | float | str | None
TENSOR_TYPES = {"b1": "BOOL", "i1": "INT8", "i2": "INT16", "i4": "INT32", "i8": "INT64", "u1": "UINT8", "u2": "UINT16"}
TENSOR_TYPES |= {"u4": "UINT32", "u8": "UINT64", "f2": "FP16", "f4": "FP32", "f8": "FP64"}


@dataclass(frozen=True, eq=False)
class Payload:
    """n records: `array` (n, ...), or `columns`, name by n values, of types `datatypes` (of the Open Inference Protocol).

    Missing values go out as null.
    """

    array: np.ndarray | None
    columns: dict[str, list[Cell]]
    datatypes: dict[str, str]

    @classmethod
    def of(cls, x: Any) -> "Payload":
        """Of an array (n, ...) of numbers or texts, or of a pandas DataFrame; TypeError or ValueError for anything else."""
        if isinstance(x, pd.DataFrame):
            return cls._of_frame(x)
        array = checks.array("x", x)
        if array.dtype.kind in "OT":
            array = _texts(array)
        if array.dtype.kind not in "biufU" or not array.ndim or array.dtype.str[1:] in ("f16", "f12"):
            raise TypeError(f"x must be an array (n, ...) of numbers or texts, or a pandas DataFrame, got {checks.kind(array)}")
        if not array.size:
            raise ValueError(f"x must hold at least one record, got shape {array.shape}")
        if array.dtype.kind == "f" and (bad := np.isinf(array).sum()):
            raise ValueError(f"x must hold no infinite numbers (JSON has none), got {bad}")
        return cls(array, {}, {})

    @classmethod
    def _of_frame(cls, frame: pd.DataFrame) -> "Payload":
        names = [str(name) for name in frame.columns]
        if not frame.size:
            raise ValueError(f"x must hold at least one record and one column, got shape {frame.shape}")
        if again := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"x must have columns of different names, got {again} more than once")
        columns = {name: _cells(name, frame.iloc[:, place]) for place, name in enumerate(names)}
        kinds = [frame.iloc[:, place].dtype.kind for place in range(len(names))]
        datatypes = {name: _datatype(name, kind, columns[name]) for name, kind in zip(names, kinds, strict=True)}
        return cls(None, columns, datatypes)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.array is None else len(self.array)

    def __getitem__(self, rows: np.ndarray) -> "Payload":
        """Some of the records: `rows` are indices."""
        if self.array is not None:
            return Payload(self.array[rows], {}, {})
        return Payload(None, {name: [cells[i] for i in rows] for name, cells in self.columns.items()}, self.datatypes)

    @property
    def datatype(self) -> str:
        """The type of an array's entries, in the Open Inference Protocol's words."""
        assert self.array is not None
        return TENSOR_TYPES.get(self.array.dtype.str[1:], "BYTES")

    def rows(self) -> list[Any]:
        """A list a record: of an array, its entries (nested, if it has more dimensions); of a frame, its cells."""
        if self.array is None:
            return [list(row) for row in zip(*self.columns.values(), strict=True)]
        nested = self.array.tolist()
        return _without_nan(nested) if self.array.dtype.kind == "f" and np.isnan(self.array).any() else nested

    def named_rows(self) -> list[Any]:
        """As `rows`; of a frame, a dict a record: column by cell."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows()] if self.array is None else self.rows()

    def flat(self) -> list[Any]:
        """The entries of an array, row-major."""
        assert self.array is not None
        return Payload(self.array.reshape(-1), {}, {}).rows()

    def digests(self, of: str) -> list[bytes]:
        """A digest (32 bytes) a record: of all that is in it and of the text `of`, wherever in x it stands."""
        if self.array is None:
            start = hashlib.sha256(json.dumps([of, list(self.columns)]).encode())
            texts = [json.dumps(row).encode() for row in self.rows()]
        else:
            start = hashlib.sha256(json.dumps([of, self.array.dtype.str, self.array.shape[1:]]).encode())
            texts = [row.tobytes() for row in self.array]
        return [_digest(start, text) for text in texts]


def _digest(start: Any, text: bytes) -> bytes:
    whole = start.copy()
    whole.update(text)
    return whole.digest()


def _texts(array: np.ndarray) -> np.ndarray:
    """An array of objects that are all texts, or all numbers, as one of these; TypeError otherwise."""
    kinds = {type(value).__name__ for value in array.flat}
    if kinds <= {"str", "str_"}:
        return array.astype(str)
    if kinds <= {"bool", "int", "float", "int64", "float64", "float32"}:
        return np.array(array.tolist())
    raise TypeError(f"x must be an array of numbers or of texts, got objects ({', '.join(sorted(kinds))}): send a DataFrame")


def _without_nan(nested: Any) -> Any:
    if isinstance(nested, list):
        return [_without_nan(value) for value in nested]
    return None if nested != nested else nested


def _cells(name: str, column: pd.Series) -> list[Cell]:
    """The values of a column, None where one is missing; TypeError for what JSON has no word for."""
    missing = column.isna().to_numpy()
    cells = [None if gone else _cell(name, value) for gone, value in zip(missing, column.tolist(), strict=True)]
    if any(isinstance(cell, float) and np.isinf(cell) for cell in cells):
        raise ValueError(f"column {name!r} of x must hold no infinite numbers (JSON has none)")
    return cells


def _cell(name: str, value: Any) -> Cell:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool | int | float | str):
        return plain
    if hasattr(plain, "isoformat"):
        return str(plain.isoformat())
    raise TypeError(f"column {name!r} of x must hold numbers, texts, booleans or dates, got a {type(value).__name__}")


def _datatype(name: str, dtype: str, cells: list[Cell]) -> str:
    """The type of a column; dtype: the kind of its pandas dtype, which says what one without any value would hold."""
    kinds = {type(cell) for cell in cells if cell is not None}
    whole = None not in cells
    if kinds == {bool} and whole:
        return "BOOL"
    if kinds == {int} and whole:
        return "INT64"
    if (kinds <= {int, float} or kinds == {bool}) and (kinds or dtype in "biuf"):
        return "FP64"
    if kinds <= {str}:
        return "BYTES"
    mixed = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(f"column {name!r} of x must hold values of one kind, got {mixed}")
