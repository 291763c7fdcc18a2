"""Tables and arrays as they lie on disk: CSV (`.csv`, `.csv.gz`), Parquet and npz, by the file's name. Nothing that is read
runs code.
"""

import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mialib.core.extras import extra

TABLES = (".csv", ".csv.gz", ".parquet", ".npz")
_DAMAGE = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    KeyError,
    AttributeError,
    zlib.error,
    zipfile.BadZipFile,
)  # pyarrow's are among them


def table_from(path: Path) -> pd.DataFrame:
    """A table with a row or more. A first column without a name is its index, as pandas writes it."""
    kind = ending(path)
    try:
        if kind == ".parquet":
            with extra("audit"):
                import pyarrow  # noqa: F401  # late, and optional: pandas reads Parquet with it
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, low_memory=False)
            if len(frame.columns) > 1 and frame.columns[0] == "Unnamed: 0":
                frame = frame.set_index("Unnamed: 0").rename_axis(index=None)
    except _DAMAGE as error:
        raise ValueError(f"{path} cannot be read as a table, damaged or of another kind? {error}") from error
    if not len(frame):
        raise ValueError(f"{path} must hold a row a record, got an empty table")
    return frame


def read_arrays(path: Path, needed: Sequence[str]) -> dict[str, np.ndarray]:
    """All arrays of an npz, by name; ValueError where one of `needed` is missing, or the file is not plain arrays."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} must be an npz of plain arrays, and is none, or damaged")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _DAMAGE as error:
        hint = "; text as str, not as objects" if "pickle" in str(error) else ""
        raise ValueError(f"{path} must be an npz of plain arrays{hint}, and cannot be read as one: {error}") from error
    if missing := [name for name in needed if name not in arrays]:
        raise ValueError(f"{path} must hold the arrays {' and '.join(needed)}, got {few(list(arrays))}, without {few(missing)}")
    return arrays


def ending(path: Path) -> str:
    """Which of TABLES a file is; ValueError for one that is none, or is not there."""
    for each in TABLES:
        if path.name.lower().endswith(each):
            if not path.is_file():
                raise ValueError(f"no file {path}")
            return each
    raise ValueError(f"a table must be a file that ends in {', '.join(TABLES)}, got {path}")


def label_column(frame: pd.DataFrame, label: str | None, name: str) -> np.ndarray:
    """The labels (n,) in column `label`; ValueError, with the columns that there are, where it is none."""
    if label is None or label not in frame:
        columns = [str(column) for column in frame]
        hint = ""
        if len(columns) == 1 and (marks := re.findall(r"[;\t|]", columns[0])):
            hint = f" (columns must be separated by commas, and these seem to be by {marks[0]!r})"
        raise ValueError(f"label must be a column of {name}, which has {few(columns)}{hint}, got {label!r}")
    return whole_labels(frame[label].to_numpy(), f"{name}: {label}")


def whole_labels(values: np.ndarray, name: str) -> np.ndarray:
    """`values` (n,), if every label is there; ValueError otherwise."""
    missing = pd.isna(values)
    if missing.any():
        raise ValueError(
            f"{name} must hold a label a row, got {missing.sum()} that are missing, first in row {missing.argmax()}"
        )
    return values


def few(values: Sequence[Any]) -> str:
    """The first values, in words."""
    shown = ", ".join(map(str, values[:10]))
    return f"{shown} and {len(values) - 10} more" if len(values) > 10 else shown or "none"
