"""What must be true of the tables of a run before they are read as results: their columns, sources, numbers and outcomes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mialib.paper.comparison import NOT_TESTABLE, OUTCOMES
from mialib.paper.rows import refuse, refuse_intervals, refuse_outside, refuse_texts, row_words
from mialib.paper.values import KEY
from mialib.runs.run import read_table

STANDIN_SUFFIX = "-standin"
STUDY_SOURCES = ("real", "standin")
ROW_KEY = [*KEY, "our_target", "our_train_size", "variant"]  # what tells the rows of a table apart
NUMBERS = ["value", "low", "high", "n_targets", "train_size", "our_train_size"]
ALLOWED = (*OUTCOMES[True], *OUTCOMES[False], NOT_TESTABLE)


def _check_claims(name: str, table: pd.DataFrame, record: Mapping[str, Any], run: str) -> None:
    """Outcomes that there are, sources that are the run's, and nothing proved on stand-ins."""
    refuse(name, table, ~table["outcome"].isin(ALLOWED), "outcome is {outcome!r}; allowed are: " + ", ".join(ALLOWED))
    _check_sources(name, table, record, run)
    loud = table["outcome"].isin(OUTCOMES[True]) & (table["source"] != "real")
    refuse(name, table, loud, "outcome is {outcome!r} on {source!r} data; only real data allow it")


def _read_saved(
    folder: Path, table: str, columns: Sequence[str], *, texts: Sequence[str] = (), may_be_empty: bool = False
) -> pd.DataFrame:
    """A table that must have these columns, and rows; empty cells of `texts` are empty texts."""
    name = _name(folder / f"{table}.csv")
    try:
        frame = read_table(folder, table)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    missing = [column for column in columns if column not in frame]
    if missing or (frame.empty and not may_be_empty):
        raise ValueError(f"{name} lacks {f'the columns {missing}' if missing else 'rows'}; needed are {', '.join(columns)}")
    return frame.assign(**{column: frame[column].astype(object).fillna("") for column in texts})


def _check_sources(name: str, table: pd.DataFrame, record: Mapping[str, Any], run: str) -> None:
    refuse(name, table, ~table["source"].isin(STUDY_SOURCES), "source is {source!r}; allowed are: " + ", ".join(STUDY_SOURCES))
    if not run.endswith(STANDIN_SUFFIX):
        wrong = table["source"] != "real"
        refuse(name, table, wrong, f"source is {{source!r}}; in {run} every row must be 'real'")
    said = table["dataset"].map({each["name"]: each["source"] for each in record["datasets"]})
    wrong = said.notna() & (said != table["source"])
    refuse(name, table.assign(said=said), wrong, "source is {source!r}; run.json says {said!r}")


def _check_numbers(name: str, table: pd.DataFrame) -> None:
    refuse_texts(name, table, NUMBERS)
    given = table[["value", "low", "high"]].notna()
    undefined = ~given.any(axis=1) & (table["n_targets"] == 0) & table["metric"].str.contains("precision")
    refuse_intervals(name, table, undefined, "allowed only, all three, for a precision of no target (n_targets 0)")
    refuse(name, table, ~(table["our_train_size"] >= 1), "our_train_size is {our_train_size}; at least 1 is needed")
    refuse_outside(name, table, "value", *_bounds(table["metric"]))


def _bounds(metric: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The least and the largest value that a metric can have."""
    least = metric.str.startswith("spearman").map({True: -1.0, False: 0.0})
    return least, pd.Series(np.where(is_rate(metric) | (least < 0), 1.0, np.inf), metric.index)


def is_rate(metric: pd.Series) -> pd.Series:
    """Which metrics are shares of records or of classes' records, 0 to 1, bool (n,)."""
    return metric.str.startswith(("attack_", "target_"))


def _check_apart(values: pd.DataFrame) -> None:
    """No two notebooks have the same row: it would be counted twice."""
    twice = values[values.duplicated([*ROW_KEY, "source"], keep=False)]
    if len(twice):
        same = twice[(twice[ROW_KEY].astype(str) == twice[ROW_KEY].iloc[0].astype(str)).all(axis=1)]
        files = " and ".join(f"results/{row.run}/{row.notebook}/compared.csv" for row in same.itertuples())
        raise ValueError(f"{files} both have the row {row_words(same.iloc[0])}; one may have it")


def _name(path: Path) -> str:
    """A file of a run as errors call it: results/paper/04_location/compared.csv."""
    return "/".join(path.parts[-4:])


def _in_front(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    return table.assign(**columns)[[*columns, *table.columns]]
