"""How well an attack decides: precision, recall and accuracy with members as the positive class, per class and over all."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.core.types import AttackData


class Counts(NamedTuple):
    """Records per class, each int (..., n_classes): members, members called so, non-members, non-members called members."""

    members: np.ndarray
    true_positives: np.ndarray
    nonmembers: np.ndarray
    false_positives: np.ndarray


def count(data: AttackData, decision: np.ndarray) -> Counts:
    """Count decisions (bool (n,), True for "member") by true class and membership."""
    checks.instance("data", data, AttackData)
    decision = np.asarray(decision)
    if decision.dtype != bool or decision.shape != data.member.shape:
        raise TypeError(f"decision must be bool of shape {data.member.shape}, got {decision.dtype} of shape {decision.shape}")
    groups = (data.member, data.member & decision, ~data.member, ~data.member & decision)
    return Counts(*(np.bincount(data.labels[group], minlength=data.predictions.shape[1]) for group in groups))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=np.asarray(whole) > 0)


def precision(c: Counts) -> np.ndarray:
    """Correct "member" answers / all "member" answers; NaN without any."""
    return _ratio(c.true_positives, c.true_positives + c.false_positives)


def recall(c: Counts) -> np.ndarray:
    """Correct "member" answers / all members."""
    return _ratio(c.true_positives, c.members)


def false_positive_rate(c: Counts) -> np.ndarray:
    """Non-members called members / all non-members."""
    return _ratio(c.false_positives, c.nonmembers)


def accuracy(c: Counts) -> np.ndarray:
    """Correct answers / all answers."""
    return _ratio(c.true_positives + c.nonmembers - c.false_positives, c.members + c.nonmembers)


def precision_or_0(c: Counts) -> np.ndarray:
    """As `precision`, but 0 for a class with records and without any "member" answer, as the paper's Fig. 9 has it."""
    return np.where(np.isnan(precision(c)) & (c.members + c.nonmembers > 0), 0.0, precision(c))


METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "precision": precision,
    "precision_or_0": precision_or_0,
    "recall": recall,
    "accuracy": accuracy,
    "false_positive_rate": false_positive_rate,
}


def _percentile(v: np.ndarray, q: int) -> np.ndarray:
    """The least value that q in 100 of the values do not exceed: one of the values itself, as the medians are that the paper
    prints for the ten classes of its Fig. 4 (the fifth smallest). NaN is left out.
    """
    v = np.sort(v, -1)  # NaN last
    known = (~np.isnan(v)).sum(-1, keepdims=True)
    place = np.maximum(-(-q * known // 100) - 1, 0)
    return np.take_along_axis(v, place, -1)[..., 0]


def _between(v: np.ndarray, q: int) -> np.ndarray:
    """`np.nanpercentile(v, q, -1)`, which loops over rows: the usual median and quartiles, between two values as a rule."""
    v = np.sort(v, -1)  # NaN last
    at = q / 100 * np.maximum((~np.isnan(v)).sum(-1, keepdims=True) - 1, 0)
    low, high = (np.take_along_axis(v, end(at).astype(int), -1) for end in (np.floor, np.ceil))
    return (low + (high - low) * (at % 1))[..., 0]


def _whisker(v: np.ndarray, end: int) -> np.ndarray:
    """The value furthest out, below (-1) or above (1), within 1.5 interquartile ranges of the box, or the box's own end where
    that is further: Tukey's, as matplotlib draws.
    """
    low, high = _between(v, 25), _between(v, 75)
    reach = 1.5 * (high - low)
    inside = np.where((v >= (low - reach)[..., None]) & (v <= (high + reach)[..., None]), v, np.nan)
    return np.minimum(np.nanmin(inside, -1), low) if end < 0 else np.maximum(np.nanmax(inside, -1), high)


SUMMARIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "min": lambda v: np.nanmin(v, -1),
    "mean": lambda v: np.nanmean(v, -1),
    "max": lambda v: np.nanmax(v, -1),
    **{f"p{q}": partial(_percentile, q=q) for q in (10, 25, 50, 75, 90)},
    "median": partial(_between, q=50),
    "box_low": partial(_between, q=25),  # a box plot's ends, as matplotlib draws them
    "box_high": partial(_between, q=75),
    "whisker_low": partial(_whisker, end=-1),
    "whisker_high": partial(_whisker, end=1),
}
PATTERNS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "above": lambda v, threshold: (v > threshold).mean(-1),  # share of the classes
    "below": lambda v, threshold: (v < threshold).mean(-1),
    "class": lambda v, number: v[..., int(number)],
}


def by_class(data: AttackData, decision: np.ndarray) -> pd.DataFrame:
    """One row a class with records: cls, n (records queried), precision, recall, accuracy. NaN precision: never called
    a member.
    """
    counts = count(data, decision)
    n = counts.members + counts.nonmembers
    table = {"cls": np.arange(len(n)), "n": n} | {name: METRICS[name](counts) for name in ("precision", "recall", "accuracy")}
    return pd.DataFrame(table)[n > 0].reset_index(drop=True)


def overall(data: AttackData, decision: np.ndarray) -> dict[str, float]:
    """Precision, recall and accuracy over all records, whatever their class."""
    counts = over_classes(count(data, decision))
    return {name: float(METRICS[name](counts)) for name in ("precision", "recall", "accuracy")}


def statistic(counts: Counts, name: str) -> np.ndarray:
    """A metric by name: "precision" over all records, or a summary of the per-class values: "precision_p50", "recall_min" …

    Names: a key of METRICS, alone or followed by "_" and a key of SUMMARIES, or "_above_0.7", "_below_0.1" (the share of the
    classes), "_class_3" (one class, from 0). Of an even number of classes "p50" is the lower of the two in the middle, "median"
    lies between them. Axes of `counts` before the classes are kept.
    """
    metric, summary = parse_statistic(name)
    if summary is None:
        return METRICS[metric](over_classes(counts))
    values = METRICS[metric](counts)
    defined = ~np.isnan(values).all(-1)
    return np.where(defined, summary(np.where(defined[..., None], values, 0)), np.nan)


def parse_statistic(name: str) -> tuple[str, Callable[[np.ndarray], np.ndarray] | None]:
    """Metric and summary (None for all records) of a statistic's name."""
    metrics = sorted(METRICS, key=len, reverse=True)  # "precision_or_0" before "precision"
    metric = next((m for m in metrics if name == m or str(name).startswith(f"{m}_")), "")
    rest = str(name).removeprefix(metric).removeprefix("_")
    if metric and name == metric:
        return metric, None
    if metric and rest in SUMMARIES:
        return metric, SUMMARIES[rest]
    pattern, _, number = rest.partition("_")
    if metric and pattern in PATTERNS and number.replace(".", "", int(pattern != "class")).isdigit():
        return metric, lambda v: PATTERNS[pattern](v, float(number))
    raise ValueError(
        f"statistic must be one of {', '.join(METRICS)}, alone or with one of _{', _'.join(SUMMARIES)}, "
        f"_above_0.7, _below_0.1, _class_3, got {name!r}"
    )


def over_classes(counts: Counts) -> Counts:
    """Counts over all classes."""
    return Counts(*(part.sum(-1) for part in counts))
