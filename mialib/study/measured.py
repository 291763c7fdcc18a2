"""What an attack gets of several targets, on average and at a low false positive rate, with 95% intervals: a row a metric.

Every target has records of its own, equally many, and one decision and one score a record.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack.ablations import Fit
from mialib.attack.learned import fit_attack
from mialib.attack.thresholds import confidence_threshold
from mialib.core.types import AttackData
from mialib.metrics.ranking import most_false
from mialib.study.experiments import Outcome

AT_1_PERCENT = (0.01,)  # false positive rates
TWO_ATTACKS: dict[str, Fit] = {"shokri": fit_attack, "confidence": confidence_threshold}  # by their names in tables
COLUMNS_MEASURED = ["metric", "fpr", "value", "low", "high", "n_targets"]
N_BOOT = 200


def measured_rows(outcomes: Sequence[Outcome], fprs: Sequence[float] = AT_1_PERCENT) -> pd.DataFrame:
    """One attack on several targets: metric, fpr, value, low, high, n_targets.

    metric: precision and recall of the attack's own decisions, auc, balanced_accuracy (at the best threshold), and tpr at each
    of `fprs`, the only rows whose fpr is not NaN. value: the mean over targets, with the wider of Student's t over targets and
    a bootstrap of records. A rate that the non-members of one target are too few to carry (`metrics.can_carry`) is NaN.
    """
    rows: list[dict[str, Any]] = []
    pairs = [(o.trial.answers, o.decision) for o in _some(outcomes)]
    rows += [decided_row(pairs, name) for name in ("precision", "recall")]
    scores, member = np.stack([o.score for o in outcomes]), np.stack([o.trial.answers.member for o in outcomes])
    ranked = metrics.tpr_table(scores, member, fprs=fprs, n_boot=N_BOOT)
    ranked.loc[ranked["pooled"], ["value", "low", "high"]] = np.nan
    lacking = [
        {"metric": "tpr", "fpr": fpr, "value": np.nan, "low": np.nan, "high": np.nan, "n_targets": len(outcomes)}
        for fpr in fprs
        if fpr not in set(ranked["fpr"])
    ]
    return pd.concat([pd.DataFrame(rows), ranked, pd.DataFrame(lacking)], ignore_index=True)[COLUMNS_MEASURED]


def decided_row(pairs: Sequence[tuple[AttackData, np.ndarray]], name: str) -> dict[str, Any]:
    """One rate of decisions, with its interval: pairs are the answers of each target and what was decided of them."""
    value, low, high, n_targets, _ = metrics.interval(pairs, name)
    return {"metric": name, "fpr": np.nan, "value": value, "low": low, "high": high, "n_targets": n_targets}


def gain_rows(outcomes: Sequence[Outcome], before: Sequence[Outcome], fprs: Sequence[float] = AT_1_PERCENT) -> pd.DataFrame:
    """What one attack gets more than another of the same targets' records: columns as of `measured_rows`, metric
    precision_gain, recall_gain, auc_gain and tpr_gain.

    value: the mean over targets of the difference, with the wider of Student's t over the targets' differences and a bootstrap
    that draws each target's members and non-members anew, the same for both. A target of which one of them called no record a
    member has no precision, and is left out there. ValueError unless both are about the same targets.
    """
    pairs = [_paired(after, o) for after, o in zip(_some(outcomes), before, strict=True)]
    weights = [_weights(np.flatnonzero(after.trial.answers.member), len(after.score)) for after, _ in pairs]
    rows = [_gain("precision_gain", np.nan, _precision, pairs, weights), _gain("recall_gain", np.nan, _recall, pairs, weights)]
    rows.append(_gain("auc_gain", np.nan, _auc, pairs, weights))
    for fpr in fprs:
        rows.append(_gain("tpr_gain", fpr, partial(_tpr, fpr=fpr), pairs, weights))
    return pd.DataFrame(rows)[COLUMNS_MEASURED]


def _some(outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    sizes = {len(o.score) for o in outcomes}
    if len(sizes) != 1:
        raise ValueError(f"outcomes must be of at least one target, all of one size, got sizes {sorted(sizes)}")
    return outcomes


def _paired(after: Outcome, before: Outcome) -> tuple[Outcome, Outcome]:
    same = np.array_equal(after.trial.answers.labels, before.trial.answers.labels)
    if after.trial.target != before.trial.target or not same:
        raise ValueError(f"before must be about the same targets, got target {before.trial.target} for {after.trial.target}")
    return after, before


def _weights(members: np.ndarray, n: int) -> np.ndarray:
    """How often each of n records is drawn, float32 (N_BOOT + 1, n), members and others apart; first, each record once."""
    rng = np.random.default_rng(0)
    weights = np.ones((N_BOOT + 1, n), np.float32)
    for rows in (members, np.setdiff1d(np.arange(n), members)):
        for row in weights[1:]:
            row[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
    return weights


def mean_over_targets(values: np.ndarray, draws: np.ndarray, bounds: tuple[float, float] = (0, 1)) -> dict[str, Any]:
    """The mean of values (n_targets,), with the wider of Student's t over them and a bootstrap, whose draws (n_boot,) are means
    over targets: value, low, high, n_targets, all NaN where there is no target. The interval ends at `bounds`.
    """
    if not len(values):
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n_targets": 0}
    low, high = metrics.wider(values, draws, bounds=bounds)
    return {"value": float(values.mean()), "low": low, "high": high, "n_targets": len(values)}


_Metric = Callable[[Outcome, np.ndarray], np.ndarray]  # a metric of the outcome for each row of weights


def _gain(
    name: str, fpr: float, metric: _Metric, pairs: Sequence[tuple[Outcome, Outcome]], weights: Sequence[np.ndarray]
) -> dict[str, Any]:
    draws = np.array([metric(after, w) - metric(before, w) for (after, before), w in zip(pairs, weights, strict=True)])
    draws = draws[~np.isnan(draws[:, 0])]
    mean = draws[:, 1:].mean(0) if len(draws) else draws
    return {"metric": name, "fpr": fpr} | mean_over_targets(draws[:, 0], mean, bounds=(-1, 1))


def _recall(o: Outcome, weights: np.ndarray) -> np.ndarray:
    member = o.trial.answers.member
    return weights[:, member & o.decision].sum(1) / member.sum()


def _precision(o: Outcome, weights: np.ndarray) -> np.ndarray:
    member = o.trial.answers.member
    hits, false = (weights[:, o.decision & side].sum(1) for side in (member, ~member))
    called = hits + false
    return np.divide(hits, called, out=np.full(len(weights), np.nan), where=called > 0)


def _auc(o: Outcome, weights: np.ndarray) -> np.ndarray:
    """To first order in the weights, through each record's influence (DeLong et al. 1988)."""
    value, influence = metrics.auc_influence(o.score, o.trial.answers.member)
    return value + (weights - 1) @ influence


def _tpr(o: Outcome, weights: np.ndarray, fpr: float) -> np.ndarray:
    """Each draw with a threshold of its own; NaN for a rate that the non-members cannot carry."""
    member, score = o.trial.answers.member, o.score.astype(np.float64)
    inside, outside = (np.flatnonzero(side)[np.argsort(-score[side], kind="stable")] for side in (member, ~member))
    if not metrics.can_carry(fpr, len(outside)):
        return np.full(len(weights), np.nan)
    allowed = most_false(fpr, len(outside))
    one_too_many = (np.cumsum(weights[:, outside], 1) <= allowed).sum(1)  # of a rate of 1 there is none, and all are called
    ahead = np.searchsorted(-score[inside], -score[outside], "left")  # of members: none of a non-member's ties is called one
    ahead = np.append(ahead, len(inside))[one_too_many]
    hits = np.concatenate([np.zeros((len(weights), 1), np.float32), np.cumsum(weights[:, inside], 1)], 1)
    return hits[np.arange(len(weights)), ahead] / len(inside)
