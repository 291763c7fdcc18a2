"""Four baselines that look at one number of a prediction vector: a learned attack is worth its cost only beyond them."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from mialib.core import checks
from mialib.core.types import Attack, AttackData, answered_right, check_width

log = logging.getLogger(__name__)

_NAMED = 10  # classes in a warning, at most

NEVER = np.finfo(np.float32).min  # the score where nothing could be learned: no record is called a member


def usable_classes(data: AttackData, classes: Sequence[int] | None = None) -> np.ndarray:
    """Those of `classes` (None: of all) that have members and non-members in `data`; the others are named in a warning."""
    n_classes = data.n_classes
    members = np.bincount(data.labels[data.member], minlength=n_classes)
    nonmembers = np.bincount(data.labels[~data.member], minlength=n_classes)
    usable = (members > 0) & (nonmembers > 0)
    wanted = np.arange(n_classes) if classes is None else np.unique(checks.labels("classes", classes, n_classes))
    if not usable[wanted].all():
        lacking = wanted[~usable[wanted]].tolist()
        named = str(lacking) if len(lacking) <= _NAMED else f"{lacking[:_NAMED]} … ({len(lacking)} of {len(wanted)})"
        log.warning("classes %s lack members or non-members: their records are answered non-member", named)
    return wanted[usable[wanted]]


class ThresholdAttack:
    """Calls a record a member when one number of its prediction vector reaches a threshold: one for all, or one a class."""

    def __init__(self, measure: Callable[[AttackData], np.ndarray], thresholds: np.ndarray) -> None:
        self._measure, self.thresholds = measure, thresholds

    def membership_score(self, data: AttackData) -> np.ndarray:
        """How far the measure lies above the threshold, float32 (n,)."""
        check_width(data, len(self.thresholds))
        return np.maximum(self._measure(data) - self.thresholds[data.labels], NEVER).astype(np.float32)

    def infer(self, data: AttackData) -> np.ndarray:
        """True where the measure reaches the threshold, bool (n,)."""
        return self.membership_score(data) >= 0


class _CorrectnessGap:
    """Calls a record a member when the model classifies it right: what the train-test gap alone gives (Yeom et al. 2018)."""

    def membership_score(self, data: AttackData) -> np.ndarray:
        """1 where the class is right, 0 elsewhere, float32 (n,)."""
        checks.instance("data", data, AttackData)
        return answered_right(data).astype(np.float32)

    def infer(self, data: AttackData) -> np.ndarray:
        """True where the class is right, bool (n,)."""
        return self.membership_score(data) > 0


def correctness_gap() -> Attack:
    """Member = classified right. Needs no shadow model (Yeom et al., CSF 2018)."""
    return _CorrectnessGap()


def confidence_threshold(data: AttackData, per_class: bool = False) -> Attack:
    """Member = probability of the true class above a threshold, the most accurate one on shadow data (Yeom et al. 2018)."""
    return _fit_threshold(confidence, data, per_class)


def entropy_threshold(data: AttackData, per_class: bool = False) -> Attack:
    """Member = entropy of the prediction vector below a threshold, the most accurate one on shadow data (Salem et al. 2019)."""
    return _fit_threshold(negative_entropy, data, per_class)


def modified_entropy_threshold(data: AttackData, per_class: bool = False) -> Attack:
    """Member = modified entropy, which knows the true class, below a threshold, the most accurate on shadow data (Song
    & Mittal 2021).
    """
    return _fit_threshold(negative_modified_entropy, data, per_class)


def confidence(data: AttackData) -> np.ndarray:
    """Probability of the true class, float64 (n,)."""
    return data.predictions[np.arange(len(data.labels)), data.labels].astype(np.float64)


def negative_entropy(data: AttackData) -> np.ndarray:
    """Sum of p log p, float64 (n,), in nats."""
    p = data.predictions.astype(np.float64)
    return (p * np.log(np.maximum(p, 1e-30))).sum(1)


def negative_modified_entropy(data: AttackData) -> np.ndarray:
    """(1 - p_y) log p_y plus the sum over other classes of p_i log(1 - p_i), float64 (n,), in nats (Song & Mittal 2021,
    eq. 8).
    """
    p = data.predictions.astype(np.float64)
    own = confidence(data)
    others = p * np.log(np.maximum(1 - p, 1e-30))
    others[np.arange(len(p)), data.labels] = 0
    return (1 - own) * np.log(np.maximum(own, 1e-30)) + others.sum(1)


def _fit_threshold(measure: Callable[[AttackData], np.ndarray], data: AttackData, per_class: bool) -> Attack:
    checks.instance("data", data, AttackData)
    checks.flag("per_class", per_class)
    values, n_classes = measure(data), data.n_classes
    if per_class:
        thresholds = np.full(n_classes, np.inf)
        for c in usable_classes(data):
            thresholds[c] = best_threshold(values[data.labels == c], data.member[data.labels == c])
        return ThresholdAttack(measure, thresholds)
    if data.member.all() or not data.member.any():
        log.warning("the data lack members or non-members: every record is answered non-member")
        return ThresholdAttack(measure, np.full(n_classes, np.inf))
    return ThresholdAttack(measure, np.full(n_classes, best_threshold(values, data.member)))


def best_threshold(values: np.ndarray, member: np.ndarray) -> float:
    """The t for which `values >= t` agrees with `member` most often, members and non-members weighing the same in all."""
    order = np.argsort(-values, kind="stable")
    gain = np.cumsum(np.where(member[order], (~member).sum(), -member.sum()))  # in whole numbers: rounding decides no tie
    last = np.append(values[order][1:] != values[order][:-1], True)  # a threshold cannot part equal values
    best = np.flatnonzero(last)[gain[last].argmax()]
    if gain[best] <= 0:
        return np.inf
    reached, below = values[order][[best, best + 1]]  # below exists: over all values the gain is 0
    middle = (reached + below) / 2
    return float(middle if middle > below else reached)  # between neighbouring floats there is no middle
