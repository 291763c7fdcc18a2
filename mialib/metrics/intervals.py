"""Means over targets and how sure they are.

Every count-based metric is a function of four numbers a class, `Counts`; so its bootstrap, which draws records anew within
class and membership, is a pair of binomial draws a class.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.special

from mialib.core import checks
from mialib.core.types import AttackData
from mialib.metrics.rates import METRICS, Counts, count, false_positive_rate, parse_statistic, recall, statistic


class Interval(NamedTuple):
    """A mean over targets with its 95% interval; `undefined`: per-class values left out (of "precision_or_0": taken as 0), for
    a class never called a member.
    """

    value: float
    low: float
    high: float
    n_targets: int
    undefined: int


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
    metric, summary = parse_statistic(name)
    counts = [count(*target) for target in targets]
    values = np.array([statistic(c, name) for c in counts])
    defined = np.flatnonzero(~np.isnan(values))
    values = values[defined]
    drawn = np.array([counts[i] for i in defined], np.int64)
    draws = [statistic(c, name) for c in _drawn(drawn.tobytes(), drawn.shape, n_boot, seed)]
    low, high = wider(values, np.mean(draws, axis=0), level) if len(values) else (np.nan, np.nan)
    of_class = METRICS[metric.removesuffix("_or_0")]
    undefined = (
        sum(int(np.isnan(of_class(c)[c.members + c.nonmembers > 0]).sum()) for c in counts) if summary is not None else 0
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


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of x and y (n,), ties at their mean rank; NaN where one of them does not vary."""
    ranks = pd.DataFrame({"x": x, "y": y}).rank().to_numpy()
    return float(np.corrcoef(ranks.T)[0, 1]) if (ranks.std(0) > 0).all() else float("nan")
