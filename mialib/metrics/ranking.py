"""How well scores rank members above non-members, whatever threshold an attacker sets: ROC, rates at low false positive rates.

`data` is an AttackData or, for the scores of a stock's target, which of its records are members, bool (n,). A score that is NaN
is refused with the former; with the latter its record is not judged. A record is called a member where its score reaches the
threshold.
"""

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.core.types import AttackData


def roc(data: AttackData | np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """ROC curve of `score` (n,), higher for members: one row a distinct threshold: threshold, fpr, tpr; from (0, 0) to
    (1, 1).
    """
    member, score = judged_scores(data, score)
    order = np.argsort(-score, kind="stable")
    last = np.append(score[order][1:] != score[order][:-1], True)  # not a difference: -inf is a score, and ties with itself
    tpr = np.cumsum(member[order])[last] / member.sum()
    fpr = np.cumsum(~member[order])[last] / (~member).sum()
    return pd.DataFrame(
        {"threshold": np.append(np.inf, score[order][last]), "fpr": np.append(0, fpr), "tpr": np.append(0, tpr)}
    )


def auc(data: AttackData | np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: 0.5 for a score that tells nothing; ties count half."""
    curve = roc(data, score)
    return float(np.trapezoid(curve["tpr"], curve["fpr"]))


def balanced_accuracy(data: AttackData | np.ndarray, score: np.ndarray) -> float:
    """Mean of true positive and true negative rate at the threshold where it is highest, 0.5 to 1 (Carlini et al. 2022, the
    accuracy of their code). The threshold is chosen on the records that are judged: few records, a value too high.
    """
    curve = roc(data, score)
    return float((1 - (curve["fpr"] + 1 - curve["tpr"]) / 2).max())


def tpr_at_fpr(data: AttackData | np.ndarray, score: np.ndarray, fpr: float) -> float:
    """The highest true positive rate whose false positive rate is at most `fpr` (Carlini et al. 2022).

    Raises ValueError for a rate below 1 / non-members, which these records cannot tell from 0.
    """
    return float(_rates_at(data, score, fpr)["tpr"])


def threshold_at_fpr(score: np.ndarray, member: np.ndarray, fpr: float) -> float:
    """The threshold of `tpr_at_fpr`: what an attacker sets on a reference model, put in the target's place.

    score (n,), NaN where a record is not judged; member bool (n,): of the reference model. Among thresholds of equal true
    positive rate the highest; infinite where even the highest score is given to too many non-members. Raises like `tpr_at_fpr`.
    """
    return float(_rates_at(member, score, fpr)["threshold"])


def ppv(score: np.ndarray, member: np.ndarray, prior: float, fpr: float, *, threshold: float | None = None) -> float:
    """Share of members among those called so, when a share `prior` of those asked about are members, in (0, 1].

    prior * TPR / (prior * TPR + (1 - prior) * FPR), both rates being those realised at the threshold (Jebreel et al. 2026).
    score (n,), NaN where a record is not judged; member bool (n,). threshold: as set elsewhere for `fpr`, on reference models
    (`threshold_at_fpr`); None: the one at which this model's own false positive rate is at most `fpr`, which no attacker knows,
    and which raises like `tpr_at_fpr`. NaN where nothing is called a member.
    """
    checks.real("prior", prior, 0, 1, open_low=True)
    if threshold is None:
        threshold = threshold_at_fpr(score, member, fpr)
    checks.real("fpr", fpr, 0, 1)
    member, score = judged_scores(member, score)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.integer | np.floating) or np.isnan(threshold):
        raise TypeError(f"threshold must be a number, infinity included, got {threshold!r}")
    called = score >= threshold
    return ppv_of_rates(float(called[member].mean()), float(called[~member].mean()), prior)


def ppv_of_rates(tpr: float, fpr: float, prior: float) -> float:
    """`ppv` of rates that were realised; NaN where nothing is called a member."""
    right, wrong = prior * tpr, (1 - prior) * fpr
    return right / (right + wrong) if right + wrong > 0 else float("nan")


def can_carry(fpr: float, n_nonmembers: int) -> bool:
    """Whether so many non-members can tell a false positive rate from 0: one of them alone is no more than it."""
    return most_false(fpr, n_nonmembers) >= 1


def most_false(fpr: float, n_nonmembers: int) -> int:
    """How many of the non-members may be called members at a false positive rate of at most `fpr`."""
    return int(fpr * n_nonmembers * (1 + 1e-12))  # 0.29 * 100 is 28.999999999999996


def judged_scores(data: AttackData | np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which records are members, bool (n,), and their scores, float64 (n,), of the records that are judged: those of an
    AttackData, all; those of a bool array, where the score is not NaN. Raises TypeError or ValueError for anything else, and
    where members or non-members are missing.
    """
    member = data.member if isinstance(data, AttackData) else checks.array("member", data)
    if member.dtype != bool or member.ndim != 1:
        raise TypeError(f"data must be an AttackData or bool of shape (n,), got {checks.kind(member)}")
    score = checks.array("score", score)
    if score.dtype.kind not in "fiub":
        raise TypeError(f"score must be real numbers, got {score.dtype}")
    score = score.astype(np.float64)  # unsigned numbers have no negative, by which `roc` sorts
    unknown = np.isnan(score)
    if score.shape != member.shape or (isinstance(data, AttackData) and unknown.any()):
        raise ValueError(f"score must be numbers of shape {member.shape} without NaN, got shape {score.shape}")
    member, score = member[~unknown], score[~unknown]
    if member.all() or not member.any():
        raise ValueError(f"data must hold members and non-members, got {member.sum()} members of {len(score)} records judged")
    return member, score


def _rates_at(data: AttackData | np.ndarray, score: np.ndarray, fpr: float) -> pd.Series:
    """The row of `roc` where the true positive rate is highest, the false positive rate being at most `fpr`."""
    checks.real("fpr", fpr, 0, 1)
    n = int((~judged_scores(data, score)[0]).sum())
    if not can_carry(fpr, n):
        raise ValueError(
            f"fpr must be at least 1 / {n} = {1 / n:.3g}, for {n} non-members tell no lower rate from 0, got {fpr}"
        )
    curve = roc(data, score)
    return curve.loc[curve["tpr"][curve["fpr"] <= fpr].idxmax()]  # the first of them: the highest threshold
