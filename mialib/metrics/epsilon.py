"""Lower bounds of ε that an attack proves: a model trained with less leakage would hardly have been guessed so well.

They refute a claim of (ε, δ)-differential privacy at a confidence, and never confirm one: a bound of 0, the lowest given, may
mean a private model, a weak attack or few records.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, expit

from mialib.core import checks
from mialib.metrics.ranking import judged_scores

METHODS = ("split", "references", "bonferroni")


class AuditedEpsilon(NamedTuple):
    """What an attack's scores prove, and what those of a perfect attack would prove by the same method and records."""

    epsilon: float
    ceiling: float


def epsilon_lower_bound(
    true_positives: int, false_positives: int, members: int, nonmembers: int, delta: float = 0.0, level: float = 0.95
) -> float:
    """The ε that these counts exceed with confidence `level`, by Clopper-Pearson limits of both error rates.

    log((TPR - δ) / FPR) and, mirrored, log((TNR - δ) / FNR), whichever is larger (Jagielski et al. 2020; Nasr et al. 2021).
    Both need the same two limits, upper ones of FPR and FNR, each at (1 - level) / 2. Assumes that attack and threshold were
    fixed without these records, and that the decisions on them are independent of one another: true of separate trainings, only
    nearly so of the records of one, which acted on one another (`one_run_epsilon` does not need it). Raises TypeError or
    ValueError.
    """
    checks.whole("members", members, 1)
    checks.whole("nonmembers", nonmembers, 1)
    checks.whole("true_positives", true_positives, 0, members)
    checks.whole("false_positives", false_positives, 0, nonmembers)
    _check_claim(delta, level)
    bound = _bounds(np.array([true_positives]), np.array([false_positives]), members, nonmembers, delta, 1 - level)
    return max(0.0, float(bound[0]))


def epsilon_ceiling(members: int, nonmembers: int, delta: float = 0.0, level: float = 0.95) -> float:
    """`epsilon_lower_bound` of a perfect attack: no attack proves more with so many records. 1,000 of each cap it at 5.6."""
    return epsilon_lower_bound(members, 0, members, nonmembers, delta, level)


def audited_epsilon(
    score: np.ndarray,
    member: np.ndarray,
    *,
    method: str = "split",
    references: tuple[np.ndarray, np.ndarray] | None = None,
    delta: float = 0.0,
    level: float = 0.95,
    seed: int = 0,
) -> AuditedEpsilon:
    """`epsilon_lower_bound` at a threshold that is not chosen on the records counted, or that is paid for.

    score (n,), higher for members, NaN where a record is not judged; member bool (n,). method "split": the threshold with the
    largest bound on one half of members and non-members (at random, `seed`), counted on the other half. "references": the one
    with the largest bound on `references`, score and member of a model in the target's place; counted on all records.
    "bonferroni": every record's score is a threshold for all others, each at (1 - level) / n. Assumes independent records, as
    `epsilon_lower_bound` does. Raises TypeError or ValueError, also for fewer than two members or non-members.
    """
    checks.choice("method", method, METHODS)
    _check_claim(delta, level)
    if (references is not None) != (method == "references"):
        raise ValueError(
            f"references must be given with method 'references' alone, got {checks.kind(references)} with {method!r}"
        )
    if references is not None and (not isinstance(references, tuple) or len(references) != 2):
        raise TypeError(f"references must be a pair (score, member), got {checks.kind(references)}")
    member, score = judged_scores(member, score)
    inside, outside = score[member], score[~member]
    if min(len(inside), len(outside)) < 2:
        raise ValueError(f"member must hold two members and two non-members, got {len(inside)} and {len(outside)} judged")
    if method == "bonferroni":
        return _paid(inside, outside, delta, 1 - level)
    if references is not None:
        of_references, their_score = judged_scores(references[1], references[0])
        chosen_on = their_score[of_references], their_score[~of_references]
    else:
        rng = np.random.default_rng(checks.whole("seed", seed, 0))
        (first, inside), (second, outside) = (np.array_split(rng.permutation(part), 2) for part in (inside, outside))
        chosen_on = first, second
    threshold = _best_threshold(*chosen_on, delta, 1 - level)
    counts = int((inside >= threshold).sum()), int((outside >= threshold).sum()), len(inside), len(outside)
    return AuditedEpsilon(epsilon_lower_bound(*counts, delta, level), epsilon_ceiling(*counts[2:], delta, level))


def one_run_epsilon(guesses: int, right: int, canaries: int, delta: float = 0.0, level: float = 0.95) -> float:
    """The ε that right guesses about the canaries of one training exceed (Steinke, Nasr and Jagielski 2023).

    canaries: each was put in with probability ½, independently of all others. guesses: about how many of them a guess, in or
    out, was made; right: how many of these are right. Canaries may act on one another in training, and any way of guessing from
    the model is allowed that was fixed beforehand; the best of several numbers of guesses is no bound at this level. Raises
    TypeError or ValueError.
    """
    checks.whole("canaries", canaries, 1)
    checks.whole("guesses", guesses, 1, canaries)
    checks.whole("right", right, 0, guesses)
    _check_claim(delta, level)
    refuted, high = 0.0, 1.0
    if _one_run_p(refuted, guesses, right, canaries, delta) > 1 - level:
        return 0.0
    while _one_run_p(high, guesses, right, canaries, delta) <= 1 - level:
        refuted, high = high, 2 * high
    while high - refuted > 1e-9 * high:
        middle = (refuted + high) / 2
        if _one_run_p(middle, guesses, right, canaries, delta) <= 1 - level:
            refuted = middle
        else:
            high = middle
    return refuted


def _one_run_p(epsilon: float, guesses: int, right: int, canaries: int, delta: float) -> float:
    """How likely so many right guesses are at most under (ε, δ): β + 2 m δ max_i (P[Bin(r, q) >= v - i] - β) / i."""
    q = expit(epsilon)
    beta = float(betainc(right, guesses - right + 1, q)) if right else 1.0  # P[Bin(r, q) >= v]
    if delta == 0 or right == 0:
        return beta
    fewer = np.arange(right - 1, 0, -1)  # v - i, but for the last, 0, which is always reached
    reached = np.append(betainc(fewer, guesses - fewer + 1, q), 1.0)
    alpha = ((reached - beta) / np.arange(1, right + 1)).max()
    return float(min(1.0, beta + 2 * canaries * delta * alpha))


def _check_claim(delta: float, level: float) -> None:
    checks.real("delta", delta, 0, 1)
    checks.real("level", level, 0, 1, open_low=True)
    if level == 1:
        raise ValueError("level must be below 1, for nothing is proved with certainty, got 1")


def _bounds(hits: np.ndarray, false: np.ndarray, members: int, nonmembers: int, delta: float, alpha: float) -> np.ndarray:
    """Both bounds of ε, the larger, for each pair of counts; below 0, or minus infinity, where nothing is proved."""
    missed, accused = _upper(members - hits, members, alpha / 2), _upper(false, nonmembers, alpha / 2)
    with np.errstate(divide="ignore"):
        return np.maximum(
            *(np.log(np.maximum(1 - a - delta, 0)) - np.log(b) for a, b in ((missed, accused), (accused, missed)))
        )


def _upper(k: np.ndarray, n: int, tail: float) -> np.ndarray:
    """Clopper-Pearson's upper limit of a probability by which k of n came about, wrong with probability `tail` at most."""
    return np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)


def _reaching(score: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores reach each threshold."""
    return len(score) - np.searchsorted(np.sort(score), thresholds, "left")


def _best_threshold(inside: np.ndarray, outside: np.ndarray, delta: float, alpha: float) -> float:
    """The middle between the score with the largest bound as threshold and the next lower one."""
    thresholds = np.unique(np.concatenate([inside, outside]))[::-1]
    hits, false = _reaching(inside, thresholds), _reaching(outside, thresholds)
    best = int(_bounds(hits, false, len(inside), len(outside), delta, alpha).argmax())
    reached, next_lower = thresholds[best], thresholds[min(best + 1, len(thresholds) - 1)]
    middle = reached / 2 + next_lower / 2
    return float(middle if next_lower < middle <= reached else reached)  # not between equal, infinite or neighbouring scores


def _paid(inside: np.ndarray, outside: np.ndarray, delta: float, alpha: float) -> AuditedEpsilon:
    """The largest bound over all records as thresholds: of each, the others are counted, which do not depend on its score."""
    p, q = len(inside), len(outside)
    share = alpha / (p + q)
    found = np.concatenate(
        [
            _bounds(_reaching(inside, inside) - 1, _reaching(outside, inside), p - 1, q, delta, share),
            _bounds(_reaching(inside, outside), _reaching(outside, outside) - 1, p, q - 1, delta, share),
        ]
    )
    perfect = [_bounds(np.array([m]), np.array([0]), m, n, delta, share)[0] for m, n in ((p - 1, q), (p, q - 1))]
    return AuditedEpsilon(max(0.0, float(found.max())), max(0.0, float(max(perfect))))
