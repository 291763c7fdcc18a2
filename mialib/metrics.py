"""How well an attack does: precision, recall and accuracy with members as the positive class, and their uncertainty.

Every count-based metric is a function of four numbers a class, `Counts`; so its bootstrap, which draws records anew within
class and membership, is a pair of binomial draws a class.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.special

from mialib.core import checks
from mialib.core.types import AttackData


class Counts(NamedTuple):
    """Records per class, each int (..., n_classes): members, members called so, non-members, non-members called members."""

    members: np.ndarray
    true_positives: np.ndarray
    nonmembers: np.ndarray
    false_positives: np.ndarray


class Interval(NamedTuple):
    """A mean over targets with its 95% interval; `undefined`: per-class values left out, for a class never called a member."""

    value: float
    low: float
    high: float
    n_targets: int
    undefined: int


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


METRICS: dict[str, Callable[[Counts], np.ndarray]] = {
    "precision": precision,
    "recall": recall,
    "accuracy": accuracy,
    "false_positive_rate": false_positive_rate,
}


def _percentile(v: np.ndarray, q: int) -> np.ndarray:
    """`np.nanpercentile(v, q, -1)`, which loops over rows."""
    v = np.sort(v, -1)  # NaN last
    at = q / 100 * np.maximum((~np.isnan(v)).sum(-1, keepdims=True) - 1, 0)
    low, high = (np.take_along_axis(v, end(at).astype(int), -1) for end in (np.floor, np.ceil))
    return (low + (high - low) * (at % 1))[..., 0]


def _whisker(v: np.ndarray, end: int) -> np.ndarray:
    """The value furthest out, below (-1) or above (1), within 1.5 interquartile ranges of the box, or the box's own end where
    that is further: Tukey's, as matplotlib draws.
    """
    low, high = _percentile(v, 25), _percentile(v, 75)
    reach = 1.5 * (high - low)
    inside = np.where((v >= (low - reach)[..., None]) & (v <= (high + reach)[..., None]), v, np.nan)
    return np.minimum(np.nanmin(inside, -1), low) if end < 0 else np.maximum(np.nanmax(inside, -1), high)


SUMMARIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "min": lambda v: np.nanmin(v, -1),
    "mean": lambda v: np.nanmean(v, -1),
    "max": lambda v: np.nanmax(v, -1),
    **{f"p{q}": partial(_percentile, q=q) for q in (10, 25, 50, 75, 90)},
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
    total = _total(count(data, decision))
    return {name: float(METRICS[name](total)) for name in ("precision", "recall", "accuracy")}


def statistic(counts: Counts, name: str) -> np.ndarray:
    """A metric by name: "precision" over all records, or a summary of the per-class values: "precision_p50", "recall_min" …

    Names: a key of METRICS, alone or followed by "_" and a key of SUMMARIES, or "_above_0.7", "_below_0.1" (the share of the
    classes), "_class_3" (one class, from 0). Axes of `counts` before the classes are kept.
    """
    metric, summary = _parts(name)
    if summary is None:
        return METRICS[metric](_total(counts))
    values = METRICS[metric](counts)
    defined = ~np.isnan(values).all(-1)
    return np.where(defined, summary(np.where(defined[..., None], values, 0)), np.nan)


def _parts(name: str) -> tuple[str, Callable[[np.ndarray], np.ndarray] | None]:
    """Metric and summary (None for all records) of a statistic's name."""
    metric = next((m for m in METRICS if name == m or str(name).startswith(f"{m}_")), "")
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


def _total(counts: Counts) -> Counts:
    return Counts(*(part.sum(-1) for part in counts))


def interval(
    targets: Sequence[tuple[AttackData, np.ndarray]],
    name: str = "precision",
    *,
    level: float = 0.95,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """Mean of a `statistic` over targets, given as (data, decision) pairs, and its confidence interval.

    The interval is the wider of Student's t over the targets (two or more) and the percentiles of a bootstrap that draws each
    target's records anew within class and membership. A target whose statistic is NaN (it never called a record a member) is
    left out: `n_targets` counts the others. Extremes of per-class values ("_min", "_p10", "_max") depend on the number of
    records a class: their interval is that of the expected value at this number.
    """
    if not targets:
        raise ValueError("targets must hold at least one (data, decision) pair, got none")
    checks.real("level", level, 0, 1, open_low=True)
    checks.whole("n_boot", n_boot, 1)
    metric, summary = _parts(name)
    counts = [count(*target) for target in targets]
    values = np.array([statistic(c, name) for c in counts])
    defined = np.flatnonzero(~np.isnan(values))
    values = values[defined]
    drawn = np.array([counts[i] for i in defined], np.int64)
    draws = [statistic(c, name) for c in _drawn(drawn.tobytes(), drawn.shape, n_boot, seed)]
    low, high = wider(values, np.mean(draws, axis=0), level) if len(values) else (np.nan, np.nan)
    undefined = (
        sum(int(np.isnan(METRICS[metric](c)[c.members + c.nonmembers > 0]).sum()) for c in counts) if summary is not None else 0
    )
    return Interval(float(values.mean()) if len(values) else np.nan, low, high, len(values), undefined)


def wider(
    values: np.ndarray, draws: np.ndarray, level: float = 0.95, bounds: tuple[float, float] = (0, 1)
) -> tuple[float, float]:
    """The wider of Student's t interval over `values` (n_targets,) and the percentiles of bootstrap means `draws` (n_boot,).

    The interval ends at `bounds`: those of a rate, unless others are given.
    """
    tail = (1 - level) / 2
    mean = float(values.mean())
    low, high = np.nanpercentile(draws, [100 * tail, 100 * (1 - tail)]) if not np.isnan(draws).all() else (np.nan, np.nan)
    low, high = min(float(low), mean), max(float(high), mean)
    if len(values) > 1:
        half = float(scipy.special.stdtrit(len(values) - 1, 1 - tail) * values.std(ddof=1) / np.sqrt(len(values)))
        if 2 * half > high - low:
            return max(bounds[0], mean - half), min(bounds[1], mean + half)
    return low, high


@lru_cache(maxsize=8)
def _drawn(counts: bytes, shape: tuple[int, ...], n_boot: int, seed: int) -> list[Counts]:
    """The bootstrap's draws of int64 counts (targets, 4, classes): the same for each statistic of the same decisions."""
    rng = np.random.default_rng(seed)
    return [_resample(Counts(*c), n_boot, rng) for c in np.frombuffer(counts, np.int64).reshape(shape)]


def _resample(c: Counts, n: int, rng: np.random.Generator) -> Counts:
    size = (n, len(c.members))
    hits = rng.binomial(c.members, np.nan_to_num(recall(c)), size)
    false = rng.binomial(c.nonmembers, np.nan_to_num(false_positive_rate(c)), size)
    return Counts(np.broadcast_to(c.members, size), hits, np.broadcast_to(c.nonmembers, size), false)


def roc(data: AttackData, score: np.ndarray) -> pd.DataFrame:
    """ROC curve of `score` (n,), higher for members: one row a distinct threshold: threshold, fpr, tpr; from (0, 0) to
    (1, 1).
    """
    score = _check_score(data, score)
    order = np.argsort(-score, kind="stable")
    last = np.append(score[order][1:] != score[order][:-1], True)  # not a difference: -inf is a score, and ties with itself
    tpr = np.cumsum(data.member[order])[last] / data.member.sum()
    fpr = np.cumsum(~data.member[order])[last] / (~data.member).sum()
    return pd.DataFrame(
        {"threshold": np.append(np.inf, score[order][last]), "fpr": np.append(0, fpr), "tpr": np.append(0, tpr)}
    )


def auc(data: AttackData, score: np.ndarray) -> float:
    """Area under the ROC curve: 0.5 for a score that tells nothing; ties count half."""
    curve = roc(data, score)
    return float(np.trapezoid(curve["tpr"], curve["fpr"]))


def tpr_at_fpr(data: AttackData, score: np.ndarray, fpr: float) -> float:
    """The highest true positive rate whose false positive rate is at most `fpr` (Carlini et al. 2022)."""
    checks.real("fpr", fpr, 0, 1)
    curve = roc(data, score)
    return float(curve["tpr"][curve["fpr"] <= fpr].max())


def _check_score(data: AttackData, score: np.ndarray) -> np.ndarray:
    checks.instance("data", data, AttackData)
    score = checks.array("score", score)
    if score.dtype.kind not in "fiub":
        raise TypeError(f"score must be real numbers, got {score.dtype}")
    score = score.astype(np.float64)  # unsigned numbers have no negative, by which `roc` sorts
    if score.shape != data.member.shape or np.isnan(score).any():
        raise ValueError(f"score must be numbers of shape {data.member.shape} without NaN, got shape {score.shape}")
    if data.member.all() or not data.member.any():
        raise ValueError(f"data must hold members and non-members, got {data.member.sum()} members of {len(score)} records")
    return score
