"""Quantile regression: what would a record's signal be had the model not seen it? Learned from non-members; no shadow model.

Bertran et al. 2023 (Scalable membership inference attacks via quantile regression).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits

from mialib.core import checks, randomness
from mialib.shadow.records import check_records

PARTS_A_SIDE = 8  # of a picture, after pooling: a tree reads a picture's pixels one by one
ROUNDS = 100  # of boosting
PICTURES_AT_ONCE = 4096


def quantile_regression(
    signal: np.ndarray, x: np.ndarray, labels: np.ndarray, nonmembers: np.ndarray, *, fpr: float = 0.01, seed: int = 0
) -> np.ndarray:
    """By how much a record's signal exceeds the (1 - fpr) quantile that non-members of its looks and label have.

    signal: (n,) of the target's answers, the log-odds of the true class, or its logit less the largest other one (the paper's).
    x: raw records (n, ...), uint8 or float32. labels: (n,) whole numbers. nonmembers: bool (n,), records of which the attacker
    knows that the target was not trained on them: the quantile is regressed on these, by gradient boosting on the columns of x
    (of pictures: their means over at most 8 x 8 parts) and the mean signal of the label's known non-members. A leaf holds at
    least 1 / fpr of them, or it has no such quantile. fpr: the share of non-members that may be accused.

    Returns float64 (n,): above 0 "member"; NaN for the known non-members, which serve like a population. The ranking is what
    to use: the regression fits few known non-members too well, and of fresh ones two or three times `fpr` lie above 0 (seen
    with 700 and 2,500 of them).
    Raises TypeError or ValueError for other arguments, for fewer known non-members than 1 / fpr, and for none left to judge.
    """
    x = check_records("x", x, 1)
    n = len(x)
    signal = _check_signal(signal, n)
    labels = checks.labels("labels", labels, np.iinfo(np.int64).max)
    if len(labels) != n:
        raise ValueError(f"labels must have one entry a record, {n}, got {len(labels)}")
    checks.real("fpr", fpr, 0, 1, open_low=True)
    known = _check_known(nonmembers, n, fpr)
    inputs = np.column_stack([_columns(x), _mean_of_class(signal, labels, known)])
    from sklearn.ensemble import HistGradientBoostingRegressor  # late: a second, for this attack alone

    model = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=1 - fpr,
        max_iter=ROUNDS,
        min_samples_leaf=math.ceil(1 / fpr),
        early_stopping=False,
        random_state=randomness.derive(seed, "quantile regression") % 2**32,
    )
    score = np.full(n, np.nan)
    with threadpool_limits(1, "openmp"):  # trees so small wait for one another's threads longer than they compute
        model.fit(inputs[known], signal[known])
        score[~known] = signal[~known] - model.predict(inputs[~known])
    return score


def _check_signal(signal: np.ndarray, n: int) -> np.ndarray:
    """`signal` as finite float64 (n,); TypeError or ValueError otherwise."""
    signal = checks.array("signal", signal)
    if signal.dtype.kind not in "fiu" or signal.shape != (n,):
        raise TypeError(f"signal must be real numbers of shape ({n},), one a record, got {checks.kind(signal)}")
    if not np.isfinite(signal).all():
        raise ValueError(f"signal must be finite, got {np.count_nonzero(~np.isfinite(signal))} values that are not")
    return signal.astype(np.float64)


def _check_known(nonmembers: np.ndarray, n: int, fpr: float) -> np.ndarray:
    known = checks.array("nonmembers", nonmembers)
    if known.dtype != bool or known.shape != (n,):
        raise TypeError(f"nonmembers must be bool of shape ({n},), got {checks.kind(known)}")
    count = int(known.sum())
    if not count:
        raise ValueError("nonmembers must mark records that the target was not trained on, got none")
    if count == n:
        raise ValueError(f"nonmembers must leave records to judge, got all {n} marked")
    if fpr == 1:
        raise ValueError("fpr must be below 1, got 1")
    if count * fpr < 1:
        raise ValueError(f"fpr must be at least 1 / {count} = {1 / count:.3g} with {count} known non-members, got {fpr:g}")
    return known


def _columns(x: np.ndarray) -> np.ndarray:
    """Records as (n, d); pictures (n, h, w[, channels]) as means over at most 8 x 8 parts, float32."""
    if x.ndim not in (3, 4):
        return x.reshape(len(x), -1)
    pictures = x if x.ndim == 4 else x[..., None]
    height, width = (min(PARTS_A_SIDE, size) for size in x.shape[1:3])
    parts = np.array_split(pictures, -(-len(x) // PICTURES_AT_ONCE))
    pooled = [F.adaptive_avg_pool2d(torch.tensor(part).permute(0, 3, 1, 2).float(), (height, width)) for part in parts]
    return torch.cat(pooled).flatten(1).numpy()


def _mean_of_class(signal: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Each record's label as a number that trees can cut: the mean signal of its known non-members; NaN where it has none."""
    classes, place = np.unique(labels, return_inverse=True)
    counts = np.bincount(place[known], minlength=len(classes))
    sums = np.bincount(place[known], signal[known], len(classes))
    return np.divide(sums, counts, out=np.full(len(classes), np.nan), where=counts > 0)[place]
