"""What many targets on the same records tell of an attack together: low false positive rates that no target can carry alone.

A record is judged once a target, a member of some and not of others, and its scores depend on one another: so records, not
(target, record) pairs, are what the bootstrap draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.special

from mialib.core import checks
from mialib.metrics.intervals import wider
from mialib.metrics.ranking import can_carry, most_false

PAIRS_AT_ONCE = 2_000_000  # drawn weights and their sums in memory, five bytes each
COLUMNS = ["metric", "fpr", "value", "low", "high", "n_targets", "n_nonmembers", "pooled"]


class _Ranked(NamedTuple):
    """Records of scores, the highest score first: members (p,), nonmembers (q,); ahead (q + 1,): how many members score higher
    than each non-member, and last p, what a threshold below all scores has ahead of it.
    """

    members: np.ndarray
    nonmembers: np.ndarray
    ahead: np.ndarray


def tpr_table(
    scores: np.ndarray,
    member: np.ndarray,
    *,
    fprs: Sequence[float] = (0.1, 0.01, 0.001, 0.0001),
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """How well an attack ranks the same n records for t targets, with 95% intervals.

    scores (t, n), higher for members, NaN where a record is not judged; member bool (t, n). Columns: metric, fpr, value, low,
    high, n_targets, n_nonmembers (those judged, of the target that has fewest), pooled (bool). One row "tpr" a rate of `fprs`,
    in (0, 1], then "auc" and "balanced_accuracy", whose fpr is NaN.

    A rate that every target can carry (`can_carry`): the mean over targets of `tpr_at_fpr`, each target with its own threshold,
    and the wider of Student's t over targets and of a bootstrap. A rate that only all targets together can carry (`pooled`):
    the true positive rate of all (target, record) pairs under one threshold, and the bootstrap's interval. A rate that not even
    these can carry has no row.

    A threshold that calls k of n non-members members lies where another non-member would be called so with a probability of
    k / n to (k + 1) / n: so the low end is that of one false positive less. Where k is small the value is rather high, as in
    the literature; where k is 1 in a pool, no bootstrap knows how far the next one lies (the intervals covered 3 times in 4).

    The bootstrap draws records anew `n_boot` times, the same for all targets. Of a draw's non-members the same share may be
    called members as of the sample's, rounded. AUC and balanced accuracy follow the draws to first order, through each record's
    influence: in AUC its placement values (DeLong et al. 1988; of a record's several scores, Obuchowski 1997), in balanced
    accuracy at the sample's threshold. Raises TypeError or ValueError.
    """
    scores, member = _check_targets(scores, member)
    rates = [checks.real("fprs", fpr, 0, 1, open_low=True) for fpr in fprs]
    weights = _draws(scores.shape[1], checks.whole("n_boot", n_boot, 1), checks.whole("seed", seed, 0))
    targets = [_rank(*target) for target in zip(scores, member, strict=True)]
    sizes = [len(target.nonmembers) for target in targets]
    alone = [fpr for fpr in rates if can_carry(fpr, min(sizes))]
    together = [fpr for fpr in rates if fpr not in alone and can_carry(fpr, sum(sizes))]
    tprs = dict(zip(alone, np.stack([_tprs(target, weights, alone) for target in targets], 2), strict=True))
    if together:
        tprs |= dict(zip(together, _tprs(_rank(scores, member), weights, together)[:, :, None], strict=True))
    rows: list[tuple] = [("tpr", fpr, *_estimate_tpr(*tprs[fpr]), fpr in together) for fpr in rates if fpr in tprs]
    for name, of in (("auc", auc_influence), ("balanced_accuracy", _balanced_accuracy)):
        values, influence = zip(*(of(*target) for target in zip(scores, member, strict=True)), strict=True)
        draws = np.mean(values) + weights[1:] @ np.mean(influence, axis=0)
        rows.append((name, np.nan, *_estimate(np.array(values), np.clip(draws, 0, 1)), False))
    return pd.DataFrame([(*row[:5], len(scores), min(sizes), row[5]) for row in rows], columns=COLUMNS)


def _estimate(values: np.ndarray, draws: np.ndarray) -> tuple[float, float, float]:
    """Mean over targets, low and high end of its interval: values (t,), draws (n_boot,)."""
    return float(values.mean()), *wider(values, draws)


def _estimate_tpr(draws: np.ndarray, stricter: np.ndarray) -> tuple[float, float, float]:
    """`_estimate` of draws (t, n_boot + 1), the first being the sample; its low end from those with a false positive less."""
    value, low, high = _estimate(draws[:, 0], draws[:, 1:].mean(0))
    return value, min(low, _estimate(stricter[:, 0], stricter[:, 1:].mean(0))[1]), high


def _check_targets(scores: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, member = checks.array("scores", scores), checks.array("member", member)
    if scores.ndim != 2 or not scores.size or scores.dtype.kind not in "fiu":
        raise TypeError(f"scores must be real numbers of shape (t, n), neither of them 0, got {checks.kind(scores)}")
    if member.dtype != bool or member.shape != scores.shape:
        raise TypeError(f"member must be bool of shape {scores.shape}, got {checks.kind(member)}")
    scores = scores.astype(np.float64)
    for i, (known, inside) in enumerate(zip(~np.isnan(scores), member, strict=True)):
        if not (known & inside).any() or not (known & ~inside).any():
            counts = f"{(known & inside).sum()} and {(known & ~inside).sum()}"
            raise ValueError(f"scores must judge members and non-members of every target, got {counts} of target {i}")
    return scores, member


def _draws(n: int, n_boot: int, seed: int) -> np.ndarray:
    """How often each of n records is drawn, (n_boot + 1, n); first the sample itself, each record once."""
    rng = np.random.default_rng(seed)
    counts = np.ones((n_boot + 1, n), np.uint8)  # nobody draws one of many records 256 times
    for row in counts[1:]:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def _rank(scores: np.ndarray, member: np.ndarray) -> _Ranked:
    """Scores of one target (n,), or of several (t, n) in one list, NaN left out."""
    found = []
    for inside in (member, ~member):
        at = np.nonzero(inside & ~np.isnan(scores))
        order = np.argsort(-scores[at], kind="stable")
        found.append((at[-1][order], -scores[at][order]))
    (members, above), (nonmembers, below) = found  # scores with their sign turned, rising
    return _Ranked(members, nonmembers, np.append(np.searchsorted(above, below, "left"), len(members)))


def _tprs(ranked: _Ranked, weights: np.ndarray, fprs: Sequence[float]) -> np.ndarray:
    """True positive rates (r, 2, n_draws) at r false positive rates, and at each with one false positive less than it allows;
    each record is counted as often as drawn: weights (n_draws, n).
    """
    n = len(ranked.nonmembers)
    shares = np.array([(most_false(fpr, n) - fewer) / n for fpr in fprs for fewer in (0, 1)])
    tprs = np.empty((len(weights), len(shares)))
    step = max(1, PAIRS_AT_ONCE // (len(ranked.members) + n))
    for start in range(0, len(weights), step):
        drawn = weights[start : start + step]
        hits = np.cumsum(drawn[:, ranked.members], axis=1, dtype=np.int32)
        false = np.cumsum(drawn[:, ranked.nonmembers], axis=1, dtype=np.int32)
        allowed = np.rint(shares * false[:, -1:]).astype(np.int32)
        one_too_many = np.array([np.searchsorted(*of, "right") for of in zip(false, allowed, strict=True)])
        ahead = ranked.ahead[one_too_many]  # none of its ties is called a member
        n_hits = np.where(ahead > 0, np.take_along_axis(hits, np.maximum(ahead - 1, 0), axis=1), 0)
        with np.errstate(invalid="ignore"):  # a draw of few records may lack members, or non-members
            tprs[start : start + step] = np.where(false[:, -1:] > 0, n_hits / hits[:, -1:], np.nan)
    return tprs.T.reshape(len(fprs), 2, len(weights))


def auc_influence(score: np.ndarray, member: np.ndarray) -> tuple[float, np.ndarray]:
    """Area under the ROC curve of a target, and by how much each record (n,), drawn once more, raises it.

    The root of the sum of squares of these is its standard error (DeLong et al. 1988). score (n,), NaN where a record is not
    judged; member bool (n,).
    """
    known = ~np.isnan(score)
    inside, outside = score[known & member], score[known & ~member]
    above, below = _share_below(inside, outside), 1 - _share_below(outside, inside)
    value = float(above.mean())
    influence = np.zeros(len(score))
    influence[known & member] = (above - value) / len(inside)
    influence[known & ~member] = (below - value) / len(outside)
    return value, influence


def auc_interval(score: np.ndarray, member: np.ndarray, dependence: float = 1.0) -> tuple[float, float, float]:
    """Area under the ROC curve of one target, and its 95% interval: low and high.

    Normal in log-odds (`auc_log_odds`): near 1 the interval is skewed, as the estimate is. dependence: by how much the variance
    is larger than that of independent scores. Other arguments as of `auc_influence`.
    """
    value, middle, error = auc_log_odds(score, member)
    half = 1.96 * np.sqrt(dependence) * error
    low, high = scipy.special.expit([middle - half, middle + half])
    return value, min(value, float(low)), max(value, float(high))


def auc_log_odds(score: np.ndarray, member: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve, its log-odds, and their standard error, DeLong's but never 0: where few records show no
    mistake, that does not mean that there is none. Arguments as of `auc_influence`.
    """
    value, influence = auc_influence(score, member)
    known = ~np.isnan(score)
    least = 0.5 / min((known & member).sum(), (known & ~member).sum())
    error = max(float(np.sqrt((influence**2).sum())), least)
    within = float(np.clip(value, least, 1 - least))
    return value, float(scipy.special.logit(within)), error / (within * (1 - within))


def _share_below(score: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What share of the others each score exceeds; ties count half."""
    others = np.sort(others)
    return (np.searchsorted(others, score, "left") + np.searchsorted(others, score, "right")) / (2 * len(others))


def _balanced_accuracy(score: np.ndarray, member: np.ndarray) -> tuple[float, np.ndarray]:
    """Balanced accuracy of a target at its best threshold, and by how much each record, drawn once more, raises it there."""
    ranked = _rank(score, member)
    p, q = len(ranked.members), len(ranked.nonmembers)
    false = np.searchsorted(-score[ranked.nonmembers], -score[ranked.members], "right")  # as high as each member, or higher
    gain = np.arange(1, p + 1) / p - false / q
    best = int(gain.argmax())
    called = score >= (score[ranked.members[best]] if gain[best] > 0 else np.inf)
    tpr, fpr = called[ranked.members].mean(), called[ranked.nonmembers].mean()
    influence = np.zeros(len(score))
    influence[ranked.members] = (called[ranked.members] - tpr) / (2 * p)
    influence[ranked.nonmembers] = (fpr - called[ranked.nonmembers]) / (2 * q)
    return float((1 + tpr - fpr) / 2), influence
