"""The tables in which 09_modern_attacks saves what it measured: their columns, the words in them, and their checks."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mialib.core import checks
from mialib.paper.rows import refuse, refuse_intervals, refuse_outside, refuse_texts

ATTACK_IDS = (  # `lira_offline_logpdf*`: as the code published with LiRA has it, two-sided
    "shokri", "confidence", "song_mittal", "attack_p", "attack_r", "watson", "sablayrolles", "base",
    "lira_online", "lira_online_global", "lira_offline", "lira_offline_global", "lira_offline_logpdf",
    "lira_offline_logpdf_global", "rmia_online", "rmia_offline", "quantile",
    "label_gap", "label_noise", "label_augmentation", "label_boundary",
)  # fmt: skip
STEPS_OF_SIDE = {  # of the ladder from one threshold to LiRA (Carlini et al. 2022, Tables II, V, VII, VIII)
    "none": ("one threshold", "logit", "queries"),
    "OUT": ("a threshold a record", "logit", "Gaussian", "queries"),
    "IN and OUT": ("a threshold a record", "logit", "Gaussian", "queries"),
}
RATE_METRICS = ("tpr", "auc", "balanced_accuracy")  # tpr: at the false positive rate of the column fpr
NETWORKS = ("mlp", "cnn", "residual")
SOURCES_ALLOWED = ("real", "standin")
INTERVAL = ["value", "low", "high", "n_targets"]
MODERN_TABLES = {  # columns of each table; the first ones tell its rows apart
    "rates": ["dataset", "source", "attack", "metric", "fpr", "pooled", *INTERVAL, "n_nonmembers", "n_references"],
    "ladder": ["dataset", "source", "side", "step", "metric", "fpr", *INTERVAL],
    "by_references": ["dataset", "source", "attack", "n_references", "metric", "fpr", *INTERVAL],
    "ppv": ["dataset", "source", "attack", "prior", "fpr", "achieved_fpr", "achieved_tpr", *INTERVAL],
    "targets": ["dataset", "source", "network", "members", "n_models", "train_accuracy", "test_accuracy"],
}
TOLD_APART = {"rates": 6, "ladder": 6, "by_references": 6, "ppv": 5, "targets": 2}  # by how many of their first columns
OF_TARGETS = {"members": (1, float("inf")), "n_models": (1, float("inf")), "train_accuracy": (0, 1), "test_accuracy": (0, 1)}
WORDS_ALLOWED = {"source": SOURCES_ALLOWED, "attack": ATTACK_IDS, "metric": RATE_METRICS, "network": NETWORKS}


def check_modern(tables: Mapping[str, pd.DataFrame], needed: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """The tables of MODERN_TABLES that have rows, by name, each with its columns alone, rates rounded to 12 digits.

    Raises TypeError for what is no table; ValueError for a table that is unknown or needed and missing, a missing column, and
    for a row, named by table and line, with an unknown word, a text for a number, a value outside 0..1 or its interval, a rate
    without its false positive rate, the key of another row, or a data set that `targets`, where it is given, does not hold.
    """
    if not isinstance(tables, Mapping):
        raise TypeError(f"tables must be tables by name ({', '.join(MODERN_TABLES)}), got {type(tables).__name__}")
    for name, table in tables.items():
        checks.instance(f"tables[{name!r}]", table, pd.DataFrame)
    unknown = [name for name in tables if name not in MODERN_TABLES]
    tables = {name: table for name, table in tables.items() if len(table)}
    absent = [name for name in needed if name not in tables]
    if absent or unknown:
        what = f"lacks {', '.join(absent)}" if absent else f"has {', '.join(map(str, unknown))}"
        raise ValueError(f"tables must be of {', '.join(MODERN_TABLES)}, {what}")
    checked = {name: _checked(name, table) for name, table in tables.items()}
    if "targets" in checked:
        known = set(checked["targets"][["dataset", "source"]].itertuples(index=False, name=None))
        for name, table in checked.items():
            alone = [pair not in known for pair in table[["dataset", "source"]].itertuples(index=False, name=None)]
            refuse(f"tables[{name!r}]", table, alone, "the table targets has no {dataset!r} of source {source!r}")
    return checked


def _checked(name: str, given: pd.DataFrame) -> pd.DataFrame:
    called = f"tables[{name!r}]"
    columns = MODERN_TABLES[name]
    missing = [column for column in columns if column not in given]
    if missing:
        raise ValueError(f"{called} must have the columns {', '.join(columns)}, lacks {', '.join(missing)}")
    table = given[columns].reset_index(drop=True)
    check_words(called, table)
    numbers = [column for column in columns if column not in (*WORDS_ALLOWED, "dataset", "side", "step", "pooled")]
    refuse_texts(called, table, numbers)
    if "fpr" in table:
        table["fpr"] = table["fpr"].astype(float).round(12)
        _check_rates(called, table)
    if name == "targets":
        for column, (least, most) in OF_TARGETS.items():
            refuse(called, table, table[column].isna(), f"{column} is empty; a number is needed")
            refuse_outside(called, table, column, least, most)
    refuse(called, table, table.duplicated(columns[: TOLD_APART[name]]), "the second row of one key")
    return table


def check_words(name: str, table: pd.DataFrame) -> None:
    """Refuse rows with a word that the columns source, attack, metric, network, side and step do not allow."""
    for column, allowed in WORDS_ALLOWED.items():
        if column in table:
            wrong = ~table[column].isin(allowed)
            refuse(name, table, wrong, f"{column} is {{{column}!r}}; allowed are: {', '.join(allowed)}")
    if "side" in table:
        refuse(name, table, ~table["side"].isin(STEPS_OF_SIDE), f"side is {{side!r}}; allowed are: {', '.join(STEPS_OF_SIDE)}")
        wrong = [step not in STEPS_OF_SIDE[side] for side, step in zip(table["side"], table["step"], strict=True)]
        refuse(name, table, wrong, "step is {step!r}, which the side {side!r} does not have")


def _check_rates(name: str, table: pd.DataFrame) -> None:
    at_a_rate = table["metric"] == "tpr" if "metric" in table else pd.Series(True, table.index)
    refuse(name, table, at_a_rate & table["fpr"].isna(), "fpr is empty; a true positive rate is one at some fpr")
    refuse(name, table, ~at_a_rate & table["fpr"].notna(), "fpr is {fpr}; only a true positive rate has one")
    refuse_outside(name, table, "fpr", 0, 1)
    if "pooled" in table:
        refuse(name, table, ~table["pooled"].isin([True, False]), "pooled is {pooled!r}; allowed are: True, False")
    if "prior" in table:
        refuse(name, table, table["fpr"] == 0, "fpr is {fpr}; above 0 is allowed for a PPV")
        refuse(
            name, table, ~table["prior"].between(0, 1, inclusive="neither"), "prior is {prior}; above 0 and below 1 is allowed"
        )
    check_values(name, table, at_a_rate)


def check_values(name: str, table: pd.DataFrame, may_be_empty: pd.Series) -> None:
    """Refuse values outside 0..1 or their intervals; empty, all three, may they be where the bool (n,) allows it: a rate that
    the number of records cannot carry.
    """
    undefined = may_be_empty & ~table[["value", "low", "high"]].notna().any(axis=1)
    refuse_intervals(name, table, undefined, "allowed only, all three, for a rate at some fpr")
    refuse_outside(name, table, "value", 0, 1)
