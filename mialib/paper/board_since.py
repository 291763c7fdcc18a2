"""What stands beside the paper on the scoreboard: the attacks after 2017 (LiRA's Table I beside ours, five claims, what the
figure draws), and the claims about attacks around it.
"""

from typing import Any

import numpy as np
import pandas as pd

from mialib.paper.claims_related import RELATED_CLAIMS, related_claims
from mialib.paper.claims_since import LOW_FPR, MODERN_CLAIMS, modern_claims
from mialib.paper.comparison import NOT_RUN, NOT_TESTABLE, OUTCOMES
from mialib.paper.modern import MODERN_MEASURED, comparable_published, modern_verdicts
from mialib.paper.saved import SavedModern
from mialib.plots.names import WORDS

RATES_OF_TABLE_I = {("tpr", 1e-5): "tpr_1e-5", ("tpr", LOW_FPR): "tpr_1e-3", ("balanced_accuracy", None): "balanced"}
ALL_OUTCOMES = [*OUTCOMES[True], *OUTCOMES[False], NOT_TESTABLE, NOT_RUN]
ACCURACIES = ["train_accuracy", "test_accuracy"]


def lira_table_i(modern: SavedModern | None) -> pd.DataFrame:
    """Table I of Carlini et al. 2022 for the attacks that we have, ours beside it: dataset, attack, source, and for each of
    tpr_1e-5, tpr_1e-3 and balanced: published (`paper_…`) and ours; of tpr_1e-3 its 95% interval (`tpr_1e-3_low`,
    `tpr_1e-3_high`) and verdict; train and test accuracy of the targets, published and ours; counts, why.

    source is "not run" where there is none of ours.
    """
    known = comparable_published().query("group == 'Table I'")
    empty = modern_verdicts(pd.DataFrame(columns=MODERN_MEASURED))
    compared = (empty if modern is None else modern.compared).query("group == 'Table I'")
    rows = []
    for (dataset, attack), part in known.groupby(["dataset", "attack"], sort=False):
        ours = compared[(compared["dataset"] == dataset) & (compared["attack"] == attack)]
        row: dict[str, object] = {"dataset": WORDS[str(dataset)], "attack": part["words"].iloc[0]}
        row["source"] = ours["source"].iloc[0] if len(ours) else NOT_RUN
        for (metric, fpr), short in RATES_OF_TABLE_I.items():
            row |= {f"paper_{short}": _of_rate(part, metric, fpr, "value"), short: _of_rate(ours, metric, fpr, "value")}
        row |= {f"tpr_1e-3_{end}": _of_rate(ours, "tpr", LOW_FPR, end) for end in ("low", "high")}
        row["verdict"] = _of_rate(ours, "tpr", LOW_FPR, "verdict")
        for column in ACCURACIES:
            row |= {f"paper_{column}": part[column].iloc[0], column: ours[column].iloc[0] if len(ours) else np.nan}
        rows.append(row | {"counts": bool(len(ours) and ours["counts"].all()), "why": ours["why"].iloc[0] if len(ours) else ""})
    return pd.DataFrame(rows)


def _of_rate(rows: pd.DataFrame, metric: str, fpr: float | None, column: str) -> object:
    wanted = rows[(rows["metric"] == metric) & (rows["fpr"].isna() if fpr is None else rows["fpr"] == fpr)]
    return wanted[column].iloc[0] if len(wanted) else np.nan


def claims_after_2017(modern: SavedModern | None) -> pd.DataFrame:
    """`modern_claims` as 09_modern_attacks saved them, with the claim in words; "not run" without them."""
    table = modern_claims({}) if modern is None else modern.claims
    return table.assign(statement=table["claim"].map(MODERN_CLAIMS))


def claims_around(around: pd.DataFrame | None) -> pd.DataFrame:
    """`related_claims` as 10_related_attacks saved them, with the claim in words; "not run" without them."""
    table = related_claims({}) if around is None else around
    return table.assign(statement=table["claim"].map(RELATED_CLAIMS))


def outcome_counts(claims: pd.DataFrame) -> pd.DataFrame:
    """How many tests of each claim had each outcome: claim, statement, and a column an outcome."""
    counts = claims.groupby(["claim", "statement"], sort=False)["outcome"].value_counts().unstack(fill_value=0)
    return counts[[o for o in ALL_OUTCOMES if o in counts]].reset_index().rename_axis(columns=None)


def low_rate_points(table: pd.DataFrame) -> pd.DataFrame:
    """What `plots.low_rates` draws of `lira_table_i`, a row an attack and data set: panel, attack, published, value, low, high,
    source, counts, note (both targets' accuracies).
    """
    ours = {"tpr_1e-3": "value", "tpr_1e-3_low": "low", "tpr_1e-3_high": "high"}
    points = table.rename(columns={"dataset": "panel", "paper_tpr_1e-3": "published", **ours})
    ran = table.iloc[np.argsort(table["source"] == NOT_RUN, kind="stable")].drop_duplicates("dataset")
    notes = {row["dataset"]: _accuracies_said(row) for row in ran.to_dict("records")}
    points = points.assign(note=points["panel"].map(notes))
    return points[["panel", "attack", "published", "value", "low", "high", "source", "counts", "note"]]


def _accuracies_said(row: dict[str, Any]) -> str:
    published = f"published: train {row['paper_train_accuracy']:.2f}, test {row['paper_test_accuracy']:.2f}"
    if row["source"] == NOT_RUN:
        return f"{published}\nours: {NOT_RUN}"
    return f"{published}\nours: train {row['train_accuracy']:.2f}, test {row['test_accuracy']:.2f}"
