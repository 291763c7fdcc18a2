"""To turn in a notebook: the mitigation, and its strength."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mialib import plots
from mialib.lab.canvas import Scene
from mialib.lab.controls import Control, Options, playground
from mialib.plots.names import in_words
from mialib.runs.run import Run

KNOWLEDGE = {"aware": "knows of it", "unaware": "does not"}
POINT_COLUMNS = ("dataset", "variant", "mitigation", "knob", "at", "utility", "leakage", "front")


def mitigation_points(points: pd.DataFrame, dataset: str, variant: str, mitigation: str, at: float) -> pd.DataFrame:
    """The table of `plots.one_mitigation`: the rows of one data set and attacker, and again those of the chosen value and of no
    mitigation, told apart by `panel`; `chosen` marks the former. ValueError if no row, or more than one, is chosen.
    """
    lacking = [column for column in POINT_COLUMNS if column not in points]
    if lacking:
        raise ValueError(f"points must have columns {', '.join(POINT_COLUMNS)}, lack {', '.join(lacking)}")
    rows = points[(points["dataset"] == dataset) & (points["variant"] == variant)]
    chosen = (rows["mitigation"] == mitigation) & np.isclose(rows["at"].astype(float), at)
    if chosen.sum() != 1:
        raise ValueError(f"at must be a value of {mitigation} on {dataset}, got {at}, of which there are {chosen.sum()} rows")
    rows = rows.assign(chosen=chosen)
    beside = rows[rows["chosen"] | (rows["mitigation"] == "none")]
    panels = {"utility against leakage": rows, "this setting": beside}
    return pd.concat([part.assign(panel=panel) for panel, part in panels.items()], ignore_index=True)


def play_mitigations(run: Run, points: pd.DataFrame, *, name: str = "play") -> Any:
    """Controls of what was measured: data set, attacker, mitigation and its strength; as a figure of the run, `name`, where
    nobody can turn them. points: `study.leakage.utility_points`.
    """
    measured = points[points["mitigation"] != "none"]

    def of(position: Mapping[str, Any]) -> pd.DataFrame:
        rows = measured
        for column in ("dataset", "variant", "mitigation"):
            rows = rows[rows[column] == position[column]] if column in position else rows
        return rows

    def attackers(position: Mapping[str, Any]) -> Options:
        there = set(of(position)["variant"])
        return [(words, variant) for variant, words in KNOWLEDGE.items() if variant in there]

    def strengths(position: Mapping[str, Any]) -> Options:
        return [(_strength(row), float(row["at"])) for _, row in of(position).iterrows()]

    def shown(dataset: str, variant: str, mitigation: str, at: float) -> Scene:
        table = mitigation_points(points, dataset, variant, mitigation, at)
        return Scene(plots.one_mitigation, [table], mitigation_words(table))

    return playground(run, name, [
        Control("dataset", "data set", "buttons", [(in_words(each), each) for each in measured["dataset"].unique()]),
        Control("variant", "the attacker", "buttons", attackers),
        Control("mitigation", "mitigation", "menu", lambda p: [(m, m) for m in of(p)["mitigation"].unique()], "L2"),
        Control("at", "strength", "slider", strengths, 1e-3),
    ], shown)  # fmt: skip


def _strength(row: pd.Series) -> str:
    return f"{row['knob']} = {row['at']:.3g}" if isinstance(row["knob"], str) and row["knob"] else "on"


def mitigation_words(table: pd.DataFrame) -> str:
    """A table of `mitigation_points` as two sentences."""
    rows = table[table["panel"] == "this setting"]
    chosen, none = rows[rows["chosen"]].iloc[0], rows[~rows["chosen"]].iloc[0]
    parts = [
        f"{what} {none[column]:.3f} without, {chosen[column]:.3f} with it ({chosen[column] - none[column]:+.3f})"
        for column, what in (("utility", "test accuracy"), ("leakage", "attack accuracy"))
    ]
    best = "Nothing else that was tried beats it."
    beaten = best if chosen["front"] else "Another setting is as good in both, and better in one."
    return f"{'; '.join(parts).capitalize()}. {beaten}"
