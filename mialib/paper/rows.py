"""Rows of a table that are wrong: refused by the table's name, their line in its CSV, and what tells them apart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

TELLING = [  # columns that tell rows apart, in the order in which errors say them
    "id", "work", "dataset", "target", "setting", "train_size", "network", "attack", "side", "step", "metric", "fpr", "prior",
    "our_target", "our_train_size", "variant", "claim", "test",
]  # fmt: skip


def refuse(name: str, table: pd.DataFrame, wrong: Any, reason: str) -> None:
    """Raise ValueError for the first of the rows that are wrong (bool (n,)); `reason` may name columns: "{value}"."""
    rows = table[np.asarray(wrong, bool)]
    if len(rows):
        text = reason.format_map(rows.iloc[0].to_dict())
        raise ValueError(f"{name}, line {rows.index[0] + 2} ({row_words(rows.iloc[0])}): {text}")


def row_words(row: pd.Series) -> str:
    """What tells a row apart: "T2, location, google, attack_precision"."""
    return ", ".join(str(row[column]) for column in TELLING if column in row and str(row[column]) not in ("", "nan"))


def refuse_texts(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse rows in which one of the columns is neither a number nor empty."""
    for column in columns:
        text = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
        refuse(name, table, text, f"{column} is {{{column}!r}}; a number is needed")


def refuse_intervals(name: str, table: pd.DataFrame, undefined: pd.Series, allowed: str) -> None:
    """Refuse a value outside its interval, one of no target, and empty cells but in rows that are `undefined` (bool (n,)).

    allowed: where value, low and high may be empty, in words.
    """
    given = table[["value", "low", "high"]].notna().all(axis=1)
    numbers = "value, low, high are {value}, {low}, {high}"
    refuse(name, table, ~given & ~undefined, f"{numbers}: empty cells are {allowed}")
    refuse(name, table, ~undefined & ~(table["n_targets"] >= 1), "n_targets is {n_targets}; at least 1 is needed")
    inside = (table["low"] <= table["value"] + 1e-9) & (table["value"] <= table["high"] + 1e-9)
    refuse(name, table, ~undefined & ~inside, f"{numbers}: the value must lie in its interval")


def refuse_outside(name: str, table: pd.DataFrame, column: str, least: Any, most: Any) -> None:
    """Refuse numbers of a column outside least..most, each a number or one a row; empty cells pass."""
    outside = (table[column] < least) | (table[column] > most)
    text = f"{column} is {{{column}}}; {{least:g}} to {{most:g}} is allowed"
    refuse(name, table.assign(least=least, most=most), outside, text)
