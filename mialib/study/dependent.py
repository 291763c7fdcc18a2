"""Means over targets of values that depend on one another: classes of one network, scores of the same records."""

from collections.abc import Sequence

import numpy as np
import scipy.special

from mialib import metrics
from mialib.core import randomness

_DRAWS = 1000
_NORMAL = scipy.special.ndtri((np.arange(_DRAWS) + 0.5) / _DRAWS)  # what a bootstrap of many records draws, in errors


def mean_over_classes(values: np.ndarray, seed: int = 0, bounds: tuple[float, float] = (-np.inf, np.inf)) -> dict[str, float]:
    """The mean over targets of their classes' mean, and its 95% interval: value, low, high, n (targets).

    values: (n_targets, n_classes); a class that is NaN for one of the targets is left out. The interval is the wider of
    Student's t over targets and a bootstrap that draws classes anew, the same ones of every target; it ends at `bounds`.
    """
    values = values[:, ~np.isnan(values).any(0)]
    rng = randomness.generator(seed, "mean over classes")
    drawn = rng.integers(0, values.shape[1], (_DRAWS, values.shape[1]))
    of_targets, draws = values.mean(1), values[:, drawn].mean((0, 2))
    low, high = metrics.wider(of_targets, draws, bounds=bounds)
    return {"value": float(of_targets.mean()), "low": low, "high": high, "n": len(values)}


def mean_auc(scores: Sequence[np.ndarray], members: Sequence[np.ndarray]) -> dict[str, float]:
    """The mean over targets of the AUC of several scores each, and its 95% interval: value, low, high, n (targets).

    scores: of each target, (k, n), higher for members; members: of each, which records are, bool (n,). A record's influences on
    its k scores' AUCs count together, for they judge the same record. The interval is the wider of Student's t over targets and
    of the records' own error (DeLong et al. 1988).
    """
    values, errors = [], []
    for of_target, member in zip(scores, members, strict=True):
        found = [metrics.auc_influence(score, member) for score in of_target]
        values.append(float(np.mean([value for value, _ in found])))
        errors.append(float(np.sqrt((np.mean([influence for _, influence in found], axis=0) ** 2).sum())))
    value, error = float(np.mean(values)), float(np.sqrt(np.sum(np.square(errors))) / len(errors))
    low, high = metrics.wider(np.array(values), np.clip(value + error * _NORMAL, 0, 1))
    return {"value": value, "low": low, "high": high, "n": len(values)}
