"""What a threshold makes of scores: counts, rates, and the tables that `plots.called_members` draws. No controls are needed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.core import checks

SIDES_IN_WORDS = {True: "members", False: "non-members"}  # as the lines of `plots.called_members` are named
N_BARS = 30
MOST_POINTS = 300  # of a curve


def counts_at(score: np.ndarray, member: np.ndarray, thresholds: np.ndarray) -> metrics.Counts:
    """How many members, and non-members, a score calls members at each of t thresholds: `Counts` of arrays (t,).

    score (n,), NaN where a record is not judged; member bool (n,). A record is called a member where its score reaches the
    threshold; minus infinity calls all so, infinity none but scores that are infinite.
    """
    score, member = _judged(score, member)
    thresholds = np.asarray(thresholds, float)
    if np.isnan(thresholds).any():
        raise ValueError(f"thresholds must be numbers, got {np.isnan(thresholds).sum()} that are NaN")
    sides = [np.sort(score[member == side]) for side in (True, False)]
    called = [len(side) - np.searchsorted(side, thresholds, "left") for side in sides]
    totals = [np.full(thresholds.shape, len(side)) for side in sides]
    return metrics.Counts(totals[0], called[0], totals[1], called[1])


def slider_thresholds(score: np.ndarray, least: float = -20.0) -> np.ndarray:
    """Thresholds for a slider over scores: round numbers with 0 among them, about sixty, from below the lowest score (but not
    below `least`, where scores go on) to above the highest, and both infinities at the ends.
    """
    score = np.asarray(score, float)
    finite = score[np.isfinite(score)]
    if not len(finite):
        raise ValueError(f"score must hold a finite number, got {len(score)} that are not")
    low, high = max(min(float(finite.min()), 0.0), least), max(float(finite.max()), 0.0)
    rough = max(high - low, 1e-6) / 60
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(each for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    places = np.arange(np.floor(low / step), np.ceil(high / step) + 1)
    return np.concatenate([[-np.inf], np.round(places * step, 9), [np.inf]])


def decision_tables(
    score: np.ndarray,
    member: np.ndarray,
    threshold: float,
    span: tuple[float, float],
    *,
    column: str = "score",
    curve: bool = True,
    compared: np.ndarray | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables of `plots.called_members` at a threshold: marks, and position (one row).

    score, member: as in `counts_at`. span: ends of the axis; scores beyond are counted in the first and the last bar. curve:
    whether the ROC curve is wanted. compared: other scores of the same records, whose curve is drawn, too.
    """
    if not span[0] < span[1]:
        raise ValueError(f"span must rise, got {span[0]}..{span[1]}")
    counts = counts_at(score, member, np.array([threshold]))
    curves = ({"curve": score} if curve else {}) | ({} if compared is None else {"compared": compared})
    parts = [histogram_rows("scores", *_judged(score, member), span), _decision_rows(counts)]
    parts += [curve_rows(line, values, member) for line, values in curves.items()]
    rates = {name: float(rate(counts)[0]) for name, rate in _RATES.items()}
    return pd.concat(parts, ignore_index=True), pd.DataFrame([{"threshold": threshold, "column": column} | rates])


_RATES = {"precision": metrics.precision, "recall": metrics.recall, "false_positive_rate": metrics.false_positive_rate}


def histogram_rows(
    panel: str,
    values: np.ndarray,
    member: np.ndarray,
    span: tuple[float, float],
    names: Sequence[str] = tuple(SIDES_IN_WORDS.values()),
) -> pd.DataFrame:
    """Values of members and of others as bars: panel, line (of `names`), x (left end of the bar), y (how many)."""
    edges = np.linspace(*span, N_BARS + 1)
    sides = zip(names, (True, False), strict=True)
    counted = {name: np.histogram(np.clip(values[member == side], *span), edges)[0] for name, side in sides}
    rows = [pd.DataFrame({"panel": panel, "line": name, "x": edges[:-1], "y": y.astype(float)}) for name, y in counted.items()]
    return pd.concat(rows, ignore_index=True)


def curve_rows(line: str, score: np.ndarray, member: np.ndarray) -> pd.DataFrame:
    """The ROC curve of a score, at so many points at most: panel, line, x, y."""
    curve = metrics.roc(member, score)
    points = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), MOST_POINTS)).round().astype(int))
    shown = curve.iloc[points]
    return pd.DataFrame({"panel": "ROC curve", "line": line, "x": shown["fpr"].to_numpy(), "y": shown["tpr"].to_numpy()})


def decision_words(marks: pd.DataFrame, position: pd.DataFrame) -> str:
    """The tables of `decision_tables` as two sentences."""
    tiles = marks[marks["panel"] == "decisions"].set_index(["line", "x"])["y"].astype(int)
    called = {line: tiles[line, 1] for line in SIDES_IN_WORDS.values()}
    of = {line: tiles[line, 1] + tiles[line, 0] for line in called}
    parts = [f"{count:,} of {of[line]:,} {line}" for line, count in called.items()]
    rates = [f"{name.replace('_', ' ')} {_rate(position[name].iloc[0])}" for name in _RATES]
    return f"Called members: {parts[0]}, {parts[1]}. {', '.join(rates).capitalize()}."


def _rate(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.3f}"


def _decision_rows(counts: metrics.Counts) -> pd.DataFrame:
    sides = zip(SIDES_IN_WORDS.values(), ((counts[0], counts[1]), (counts[2], counts[3])), strict=True)
    rows = [("decisions", line, x, float(y[0])) for line, (of, called) in sides for x, y in ((1, called), (0, of - called))]
    return pd.DataFrame(rows, columns=["panel", "line", "x", "y"])


def _judged(score: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and membership of the records that are judged; TypeError or ValueError for what is neither."""
    member = checks.array("member", member)
    score = checks.array("score", score)
    if member.dtype != bool or member.ndim != 1:
        raise TypeError(f"member must be bool of shape (n,), got {checks.kind(member)}")
    if score.dtype.kind not in "fiu" or score.shape != member.shape:
        raise TypeError(f"score must be numbers of shape {member.shape}, as member, got {checks.kind(score)}")
    known = ~np.isnan(score)
    return score[known].astype(float), member[known]
