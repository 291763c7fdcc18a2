"""Tables of an audit from the scores of its attacks: how well each does, on whom, and which records it finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.special

from mialib.attack.thresholds import best_threshold
from mialib.audit.attackers import BLIND, CROSSED, Rehearsal, Scored, record_attacks, rehearse, rehearsed_auc
from mialib.audit.given import Given
from mialib.audit.references import References
from mialib.core import randomness
from mialib.core.types import AttackData
from mialib.metrics import (
    auc,
    auc_interval,
    auc_log_odds,
    audited_epsilon,
    can_carry,
    ppv_of_rates,
    roc,
    threshold_at_fpr,
    tpr_table,
)

_FPRS = (0.1, 0.01, 0.001)
_PRIORS = (0.01, 0.1, 0.5)
AT_FPR = 0.01  # where thresholds are set for precision, and for "gives it away"
_DRAWS = 1000
_REDRAWN = 9999  # memberships, where few scores differ
_FEW_DIFFER = 200
_TOO_FEW = 20  # members or non-members of a group
MOST_VALUES_SHOWN = 30  # of a column: the largest groups; the others are one
MOST_NUMBERS = 10  # different numbers of a column, before it is cut into quarters
_POINTS = 200  # of a ROC curve


def attack_table(scores: Sequence[Scored], member: np.ndarray, headline: Scored, seed: int) -> pd.DataFrame:
    """A row an attack (see `Audit`)."""
    return pd.DataFrame([_measured(each, member, seed) | {"headline": each is headline} for each in scores])


def _measured(scored: Scored, member: np.ndarray, seed: int) -> dict[str, Any]:
    known = ~np.isnan(scored.score)
    score, inside = scored.score[known], member[known]
    row: dict[str, Any] = {"attacker": scored.attacker, "attack": scored.attack}
    dependence = CROSSED if scored.attack == BLIND else 1.0
    row |= dict(zip(("auc", "auc_low", "auc_high"), auc_interval(score, inside, dependence), strict=True))
    rates = tpr_table(score[None], inside[None], fprs=_FPRS, seed=seed)
    for metric, fpr, value, low, high in rates[["metric", "fpr", "value", "low", "high"]].itertuples(index=False):
        if metric == "tpr":
            name = f"tpr_at_{fpr:g}"
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    row = {**dict.fromkeys(_columns(), np.nan), **row}
    row |= _decided(scored, score, inside, seed)
    bound = _epsilon(scored, score, inside, seed)
    row |= {"epsilon": bound.epsilon, "epsilon_ceiling": bound.ceiling, "p": p_of_chance(score, inside, dependence)}
    return row | {"n_members": int(inside.sum()), "n_nonmembers": int((~inside).sum())}


def _columns() -> list[str]:
    names = ["auc", *(f"tpr_at_{fpr:g}" for fpr in _FPRS), "accuracy"]
    return ["attacker", "attack", *(f"{name}{end}" for name in names for end in ("", "_low", "_high"))]


def rehearsals(scored: Scored) -> Rehearsal | None:
    """Scores and membership of all references that took the target's place, in one."""
    if scored.attacker == "no shadows" or not scored.rehearsed:
        return None
    return _joined(scored.rehearsed)


def _joined(parts: Sequence[Rehearsal]) -> Rehearsal:
    score, member = (np.concatenate(part) for part in zip(*parts, strict=True))
    known = ~np.isnan(score)
    return score[known], member[known]


def _decided(scored: Scored, score: np.ndarray, member: np.ndarray, seed: int) -> dict[str, Any]:
    """Balanced accuracy, and precision at priors, at thresholds set elsewhere: on rehearsals, or on the records' other half."""
    rehearsed = rehearsals(scored)
    called = _called(score, member, rehearsed, lambda s, m: best_threshold(s, m), seed)
    rates = called[member].mean(), called[~member].mean()
    rng = randomness.generator(seed, "balanced accuracy")
    hits, false = (rng.binomial(n, rate, _DRAWS) / n for n, rate in zip((member.sum(), (~member).sum()), rates, strict=True))
    low, high = np.percentile((1 + hits - false) / 2, [2.5, 97.5])
    found = {"accuracy": (1 + rates[0] - rates[1]) / 2, "accuracy_low": low, "accuracy_high": high}
    found["threshold_set_on"] = "the other half of the records" if rehearsed is None else "references"
    n = int((~member).sum())
    set_on = n // 2 if rehearsed is None else int((~rehearsed[1]).sum())
    names = [f"precision_at_{prior:g}" for prior in _PRIORS]
    if not can_carry(AT_FPR, min(n, set_on)):
        return found | dict.fromkeys(["fpr", *names], np.nan)
    called = _called(score, member, rehearsed, lambda s, m: threshold_at_fpr(s, m, AT_FPR), seed)
    tpr, false_positives = float(called[member].mean()), int(called[~member].sum())
    if not called.any():
        return found | {"fpr": 0.0} | dict.fromkeys(names, np.nan)
    fpr = (false_positives + 1) / (n + 1)  # one more than seen: none seen is not none
    return (
        found
        | {"fpr": false_positives / n}
        | {name: ppv_of_rates(tpr, fpr, prior) for name, prior in zip(names, _PRIORS, strict=True)}
    )


def _called(score: np.ndarray, member: np.ndarray, rehearsed: Rehearsal | None, threshold: Any, seed: int) -> np.ndarray:
    """Who is called a member, bool (n,), at thresholds set on rehearsals or, each half for the other, on the records."""
    if rehearsed is not None:
        return score >= threshold(*rehearsed)
    called, half = np.zeros(len(score), bool), np.zeros(len(score), bool)
    for side in (member, ~member):
        rows = randomness.generator(seed, "threshold").permutation(np.flatnonzero(side))
        half[rows[: len(rows) // 2]] = True
    for judged in (half, ~half):
        called[judged] = score[judged] >= threshold(score[~judged], member[~judged])
    return called


def _epsilon(scored: Scored, score: np.ndarray, member: np.ndarray, seed: int) -> Any:
    rehearsed = rehearsals(scored)
    if rehearsed is None:
        return audited_epsilon(score, member, seed=seed)
    return audited_epsilon(score, member, method="references", references=rehearsed)


def p_of_chance(score: np.ndarray, member: np.ndarray, dependence: float = 1.0) -> float:
    """How likely an AUC at least so high is for scores that know nothing of membership: by Mann and Whitney, ties corrected,
    or, where few scores differ from the most frequent one, by drawing memberships anew: the few mistakes of a model that is
    nearly always right are not many enough for a normal law. dependence: as of `auc_interval`.
    """
    n, p, q = len(score), int(member.sum()), int((~member).sum())
    values, counts = np.unique(score, return_counts=True)
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (n * (n - 1))
    variance = dependence * p * q / 12 * (n + 1 - ties)
    if variance <= 0:
        return 1.0
    normal = float(scipy.special.ndtr(-(auc(member, score) - 0.5) * p * q / np.sqrt(variance)))
    if (
        n - counts.max() >= _FEW_DIFFER or 4 * counts.max() < n or dependence > 1 or not 1e-6 < normal < 0.2
    ):  # beyond, no decision hangs on it
        return normal
    middles = np.cumsum(counts) - (counts - 1) / 2  # ranks, ties at their mean
    found = np.bincount(np.searchsorted(values, score[member]), minlength=len(values)) @ middles
    drawn = np.random.default_rng(0).multivariate_hypergeometric(counts, p, _REDRAWN, method="marginals") @ middles
    return float((1 + (drawn >= found - 1e-6).sum()) / (1 + _REDRAWN))


def headline_of(scores: Sequence[Scored]) -> Scored:
    """The attack that ranks best where references take the target's place; without references, the probability of the true
    class, or whether the label is right where that tells no more.
    """
    rehearsed = [each for each in scores if each.rehearsed]
    if rehearsed:
        return max(rehearsed, key=rehearsed_auc)
    by_name = {each.attack: each for each in scores}
    of_labels = len(np.unique(by_name["confidence"].score)) <= 2  # then the probability tells whether the label is right
    return by_name["label_gap" if of_labels else "confidence"]


# By class and group


def group_table(score: np.ndarray, member: np.ndarray, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """A row a value of each column (see `Audit`): is it more exposed than all other records? p after Holm, over all rows."""
    rows = []
    for column, values in columns.items():
        named = _values(values)
        for value in pd.unique(named):
            rows.append(_group(score, member, named == value) | {"column": column, "value": value})
    table = pd.DataFrame(rows, columns=[
        "column", "value", "n_members", "n_nonmembers", "auc", "auc_low", "auc_high", "auc_rest", "p"
    ])  # fmt: skip
    table["p"] = _holm(table["p"].to_numpy(float))
    words = np.select(
        [table["p"].isna(), table["p"] > 0.05, table["auc"] > table["auc_rest"]],
        ["too few records", "no difference shown", "more"],
        "less",
    )
    return table.assign(exposed=words)


def _group(score: np.ndarray, member: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    rows = rows & ~np.isnan(score)
    others = ~rows & ~np.isnan(score)
    counts = {"n_members": int((rows & member).sum()), "n_nonmembers": int((rows & ~member).sum())}
    rest = int((others & member).sum()), int((others & ~member).sum())
    if min(*counts.values(), *rest) < _TOO_FEW:
        return counts | dict.fromkeys(["auc", "auc_low", "auc_high", "auc_rest", "p"], np.nan)
    (value, odds, error), (of_rest, odds_of_rest, error_of_rest) = (
        auc_log_odds(score[part], member[part]) for part in (rows, others)
    )
    z = (odds - odds_of_rest) / np.hypot(error, error_of_rest)
    ends = dict(zip(("auc_low", "auc_high"), auc_interval(score[rows], member[rows])[1:], strict=True))
    return counts | {"auc": value} | ends | {"auc_rest": of_rest, "p": 2 * float(scipy.special.ndtr(-abs(z)))}


def _values(values: Sequence[Any]) -> np.ndarray:
    """Values of a column as texts: numbers in quarters where they are many, rare ones in one."""
    series = pd.Series(list(values))
    if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series) and series.nunique() > MOST_NUMBERS:
        quarters = pd.qcut(series, 4, duplicates="drop")
        named = quarters.map(lambda each: f"{each.left:.4g} to {each.right:.4g}").astype(object)
    else:
        named = series.astype(object).map(str)
    named = named.where(series.notna(), "not known")
    largest = named.value_counts().index[:MOST_VALUES_SHOWN]
    return named.where(named.isin(largest), "all others").to_numpy(object)


def _holm(p: np.ndarray) -> np.ndarray:
    """p-values after Holm's step-down correction; NaN stay, and do not count."""
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    corrected = p.copy()
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * (len(order) - np.arange(len(order)))))
    return corrected


# Records


def record_table(given: Given, data: AttackData, scored: Scored, references: References | None, seed: int) -> pd.DataFrame:
    """A row a judged record, the most exposed first (see `Audit`)."""
    names = np.asarray(given.judged.classes, object)
    n = given.n_judged
    own = data.predictions[np.arange(n), data.labels]
    table = pd.DataFrame({
        "record": given.place[:n],
        "index": given.index[:n],
        "member": given.member,
        "label": names[data.labels],
        "predicted": names[data.predictions.argmax(1)],
        "probability": own,
        "score": scored.score,
    })  # fmt: skip
    table = table.assign(**_of_references(n, references, scored, seed))
    order = np.argsort(-np.nan_to_num(scored.score, nan=-np.inf), kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "rank", np.arange(1, n + 1))
    return table


def _of_references(n: int, references: References | None, scored: Scored, seed: int) -> dict[str, np.ndarray]:
    """What references answer to each record, with and without it, and in how many of those with it it is given away, too."""
    empty = {"probability_in": np.full(n, np.nan), "probability_out": np.full(n, np.nan)}
    if references is None:
        return empty | {"seeds_in": np.zeros(n, int), "seeds_agree": np.full(n, np.nan)}
    own = references.predictions[:, np.arange(n), references.labels[:n]]
    member = references.member[:, :n]
    found: dict[str, np.ndarray] = {}
    for name, side in (("probability_in", member), ("probability_out", ~member)):
        count = side.sum(0)
        found[name] = np.divide((own * side).sum(0), count, out=np.full(n, np.nan), where=count > 0)
    attack = record_attacks(references, seed).get(scored.attack)
    if references.attacker != "auditor" or attack is None:
        return found | {"seeds_in": member.sum(0), "seeds_agree": np.full(n, np.nan)}
    given_away, seeds = np.zeros(n), np.zeros(n, int)
    rehearsed = [rehearse(references, attack, mock, seed) for mock in range(len(references))]
    for mock, (score, inside) in enumerate(rehearsed):
        score_of_others, theirs = _joined(rehearsed[:mock] + rehearsed[mock + 1 :])
        if not can_carry(AT_FPR, int((~theirs).sum())):
            return found | {"seeds_in": member.sum(0), "seeds_agree": np.full(n, np.nan)}
        rows = np.flatnonzero(references.asked[mock])
        given_away[rows] += (score >= threshold_at_fpr(score_of_others, theirs, AT_FPR)) & inside
        seeds[rows] += inside
    agree = np.divide(given_away, seeds, out=np.full(n, np.nan), where=seeds > 0)
    return found | {"seeds_in": seeds, "seeds_agree": agree}


def curve_table(scores: Sequence[Scored], member: np.ndarray) -> pd.DataFrame:
    """ROC curves of at most about 200 points each, evenly spaced on a log scale: attacker, attack, fpr, tpr."""
    parts = []
    for each in scores:
        curve = roc(member, each.score)[["fpr", "tpr"]]
        if len(curve) > _POINTS:
            wanted = np.append(0, np.geomspace(1 / max(2, (~member).sum()), 1, _POINTS))
            curve = curve.iloc[np.unique(np.searchsorted(curve["fpr"], wanted, "right") - 1)]
        parts.append(curve.assign(attacker=each.attacker, attack=each.attack))
    return pd.concat(parts, ignore_index=True)[["attacker", "attack", "fpr", "tpr"]]
