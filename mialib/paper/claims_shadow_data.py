"""Claim 6, on shadow data that are made up (Sec. VI-E), as stated tests on the tables of 07_shadow_data."""

from typing import Any

import pandas as pd

from mialib.core import checks
from mialib.paper.comparison import outcome, published_rows
from mialib.plots.names import SURROGATE
from mialib.study import tables
from mialib.study.experiments import LEARNED, REAL
from mialib.study.shadow_data import MARGINAL, MODEL_BASED

FEW = 0.1  # of the classes, and of precision: "a few classes" have less
FOUND = 0.1  # recall: who finds fewer members than that finds next to none; the paper's attacker finds 0.526 of them
WAY_NAMES = {MARGINAL: "marginal", MODEL_BASED: "model-based"}


def claim_6(summary: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """The paper's claim on synthetic shadow data (Sec. VI-E), tested on `tables.summary` and `tables.class_table` of the
    learned attack with real, marginal and model-based shadow data. Every kind of target is tested on its own. A class that is
    never called a member has precision 0 here, as in the paper's Fig. 9.

    Columns claim, test, outcome, evidence, dataset, source. On real data and the paper's kind of target, Google's, a test
    "holds" or "fails"; on a stand-in or another target the "direction" is "seen" or "not seen".
    """
    attacked = summary[summary["attack"] == LEARNED]
    rows = [row for key, part in attacked.groupby(tables.TARGETS, sort=False) for row in _claim_rows(key, part, classes)]
    return pd.DataFrame(rows, columns=["claim", "test", "outcome", "evidence", "dataset", "source"])


def _claim_rows(key: tuple[Any, ...], part: pd.DataFrame, classes: pd.DataFrame) -> list[tuple[Any, ...]]:
    dataset, source, our_target, _ = key
    counts = checks.choice("source", source, ("real", "standin")) == "real" and our_target == "google"
    if REAL[0] not in set(part["setting"]):
        raise ValueError(f"summary must hold real shadow data for {key[0]}, {key[2]}, got {sorted(set(part['setting']))}")
    table = part.set_index(["metric", "setting"])[["value", "low", "high"]]
    ways = [REAL[0], MARGINAL, MODEL_BASED]  # a way that made no records has no row: NaN, of which nothing holds
    precision, recall = (table.loc[metric].reindex(ways) for metric in ("precision", "recall"))
    known = _published(dataset, our_target)
    tests = [
        (
            f"{WAY_NAMES[way]} shadow data: precision above 0.5, with its interval",
            precision["low"][way] > 0.5,
            f"precision {_said(precision.loc[way], known.get((way, 'attack_precision')))}",
        )
        for way in (MARGINAL, MODEL_BASED)
    ]
    ends = [_said(recall.loc[way], known.get((way, "attack_recall"))) for way in (MODEL_BASED, REAL[0])]
    some_but_fewer = recall["value"][MODEL_BASED] >= FOUND and recall["high"][MODEL_BASED] < recall["low"][REAL[0]]
    below, evidence = _low_classes(classes[(classes[tables.TARGETS] == list(key)).all(axis=1)])
    eight = known.get((MODEL_BASED, "n_classes_precision_below_0.1"))
    tests += [
        (
            f"model-based: recall at least {FOUND}, below real data's, intervals apart",
            bool(some_but_fewer),
            f"recall {ends[0]}; real {ends[1]}",
        ),
        (
            f"model-based: some but under {FEW:.0%} of classes have precision below {FEW}",
            0 < below < FEW,
            evidence + ("" if eight is None else f", paper {eight:.0f} of 100"),
        ),
    ]
    who = f"{dataset}, {our_target} target"
    return [(6, f"{who}: {text}", outcome(holds, counts), evidence, dataset, source) for text, holds, evidence in tests]


def _low_classes(classes: pd.DataFrame) -> tuple[float, str]:
    """The share of the classes whose precision with model-based shadow data is below FEW (NaN without any), and it in words."""
    precision = classes.loc[classes["setting"] == MODEL_BASED, "precision"]
    below = precision.fillna(0) < FEW
    words = f"{below.sum()} of {len(below)} classes, {precision.isna().sum()} of them never called members"
    return float(below.mean()), words


def _published(dataset: str, our_target: str) -> dict[tuple[str, str], float]:
    """The paper's values of Fig. 9 by setting and metric, where the target is Google's or the surrogate in its place."""
    rows = published_rows(dataset, ["F9"]).drop_duplicates(["setting", "metric"])
    rows = rows[rows["target"] == our_target.removesuffix(SURROGATE)]
    return dict(zip(zip(rows["setting"], rows["metric"], strict=True), rows["value"], strict=True))


def _said(row: pd.Series, paper: float | None) -> str:
    if row["value"] != row["value"]:
        return "not defined: no record called a member"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" + ("" if paper is None else f", paper {paper:.3f}")
