"""White box against black box: the same targets and records, judged by answers alone, and by what an open model shows."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack.inside import Inside
from mialib.attack.kept_insides import insides
from mialib.attack.learned import fit_attack
from mialib.attack.likelihood_ratio import lira
from mialib.attack.thresholds import confidence
from mialib.attack.white_box import (
    all_features,
    answer_features,
    fit_white_box,
    fit_white_boxes,
    gradient_features,
    raw_layer,
    sorted_layer,
)
from mialib.core import randomness
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Split
from mialib.metrics.ranking import most_false
from mialib.study.experiments import Experiment, check_disjoint, plan_jobs
from mialib.study.measured import N_BOOT, decided_row, mean_over_targets
from mialib.study.tables import columns_first

BLACK, WHITE = "black box", "white box"
NOTHING_LEARNED, ON_SHADOWS, ON_KNOWN = "nothing", "shadows", "known members"
INSIDE_RATES = (0.01, 0.001)
INSIDE = ["dataset", "source", "access", "learned_on", "features", "metric", "fpr", "value", "low", "high", "n_targets"]
_Show = Callable[[Inside], np.ndarray]


class InsideOutcome(NamedTuple):
    """What one attack says of one target's records: score (2n,), and decision, bool (2n,), where it decides."""

    dataset: str
    source: str
    target: int
    access: str
    learned_on: str
    features: str
    answers: AttackData
    score: np.ndarray
    decision: np.ndarray | None = None


class _Judged(NamedTuple):
    score: np.ndarray
    decision: np.ndarray | None = None


_Found = dict[tuple[str, str, str], _Judged]  # by access, learned_on, features


def attack_inside(e: Experiment, *, ratios: bool = True) -> list[InsideOutcome]:
    """Attack each target of an experiment with answers alone and with its inside: outcome for outcome on the same records.

    ratios: also the likelihood ratio (offline LiRA) of log-odds and of the gradient's norm, for which every shadow is shown the
    target's records. Networks and what they show are kept on disk. TypeError for models that show no gradients.
    """
    check_disjoint(e)
    on_targets, *on_shadows = plan_jobs(e)
    targets = insides(e.trainer, e.dataset, on_targets.splits, on_targets.seed)
    outcomes = []
    for job, split, (target, _) in zip(on_shadows, on_targets.splits, targets, strict=True):
        besides = split.rows if ratios else None
        shadows = insides(job.trainer, job.dataset, job.splits, job.seed, besides)
        answers = _answers(e, split, target)
        found = _by_nothing(answers, target)
        found |= _by_shadows(e, answers, target, job.splits, [seen for seen, _ in shadows])
        if ratios and e.n_shadows > 1:
            found |= _by_ratios(answers, target, np.stack([there for _, there in shadows]))
        found |= _by_known(answers, target, randomness.derive(e.seed, "known members", job.target or 0))
        front = e.dataset.name, e.dataset.source, job.target or 0
        outcomes += [InsideOutcome(*front, *named, answers, *judged) for named, judged in found.items()]
    return outcomes


def _answers(e: Experiment, split: Split, seen: Inside) -> AttackData:
    """What the black box would answer."""
    return AttackData(np.exp(seen.log_p).clip(0, 1), e.dataset.y[split.rows], split.member)


def _by_nothing(answers: AttackData, target: Inside) -> _Found:
    return {
        (BLACK, NOTHING_LEARNED, "confidence"): _Judged(confidence(answers)),
        (WHITE, NOTHING_LEARNED, "loss"): _Judged(-target.loss),
        (WHITE, NOTHING_LEARNED, "gradient norm"): _Judged(-target.log_norm),
    }


def _by_shadows(
    e: Experiment, answers: AttackData, target: Inside, splits: Sequence[Split], shadows: Sequence[Inside]
) -> _Found:
    told = AttackData.joined(_answers(e, split, seen) for split, seen in zip(splits, shadows, strict=True))
    learned = fit_attack(told)
    found = {(BLACK, ON_SHADOWS, "2017 attack"): _Judged(learned.membership_score(answers), learned.infer(answers))}
    for (access, name), show in _shown(target).items():
        features = np.concatenate([show(seen) for seen in shadows])
        attack = fit_white_box(features, told.member, told.labels, e.seed, e.dataset.n_classes)
        score = attack.membership_score(show(target), answers.labels)
        found[access, ON_SHADOWS, name] = _Judged(score, score > 0)
    return found


def _shown(target: Inside) -> dict[tuple[str, str], _Show]:
    """What one and the same attack model is shown, by access and its name in the table; answers alone among it."""
    shown: dict[tuple[str, str], _Show] = {(BLACK, "answers"): answer_features}
    shown[WHITE, "gradient norms by layer"] = gradient_features
    for k in range(len(target.layers)):
        shown[WHITE, f"layer {k + 1}, raw"] = partial(raw_layer, layer=k)
        shown[WHITE, f"layer {k + 1}, sorted"] = partial(sorted_layer, layer=k)
    return shown | {(WHITE, "everything"): all_features}


def _by_ratios(answers: AttackData, target: Inside, there: np.ndarray) -> _Found:
    """there: float32 (k, 2, 2n), log-odds and log norms of the target's records in k shadows, which were trained on none."""
    nobody = np.zeros((len(there), len(answers)), bool)

    def ratio(signal: np.ndarray, references: np.ndarray) -> _Judged:
        stock = Stock(np.ascontiguousarray(references, np.float32), nobody, answers.labels)
        return _Judged(lira(signal, stock, mode="offline"))

    return {
        (BLACK, ON_SHADOWS, "log-odds, LiRA"): ratio(target.log_odds, there[:, 0]),
        (WHITE, ON_SHADOWS, "gradient norm, LiRA"): ratio(-target.log_norm, -there[:, 1]),
    }


def _by_known(answers: AttackData, target: Inside, seed: int) -> _Found:
    """The attacker knows of half of the target's records whether they are members (Nasr et al. 2019). Each half is judged by
    what was fitted on the other, so that all are judged, and none by an attack that knew it.
    """
    rng = np.random.default_rng(seed)
    half = np.zeros(len(answers), bool)
    for side, rounding in ((True, 0), (False, 1)):  # halves of one size, also of an odd number of members
        rows = np.flatnonzero(answers.member == side)
        half[rng.choice(rows, (len(rows) + rounding) // 2, replace=False)] = True
    sides = np.stack([np.flatnonzero(half), np.flatnonzero(~half)])
    found: _Found = {}
    for (access, name), show in _shown(target).items():
        features, score = show(target), np.empty(len(answers), np.float32)
        attacks = fit_white_boxes(features, answers.member, sides, answers.labels, seed)
        for attack, judged in zip(attacks, sides[::-1], strict=True):
            score[judged] = attack.membership_score(features[judged], answers.labels[judged])
        found[access, ON_KNOWN, name] = _Judged(score, score > 0)
    return found


# The table

_Name = tuple[str, str, str]  # access, learned_on, features
_Measure = tuple[str, float]  # metric, and the rate of "tpr", else NaN
_Paired = dict[_Measure, tuple[np.ndarray, np.ndarray]]  # values (t,), and means over targets of bootstrap draws (N_BOOT,)


def white_box_table(outcomes: Iterable[InsideOutcome], fprs: Sequence[float] = INSIDE_RATES) -> pd.DataFrame:
    """A row an attack and measure: dataset, source, access, learned_on, features, metric, fpr, value, low, high, n_targets.

    metric: "auc"; "tpr" at each rate that every target's non-members carry; "precision" where the attack decides; "auc_gain"
    and "tpr_gain", by how much an attack exceeds the best black-box one on the same targets and records: the one of those that
    learned on nothing or on shadows whose mean is highest; it has no such rows itself. Being picked on these very records, it
    stands a little too high, and gains a little too low. Intervals: the wider of Student's t over targets and a bootstrap of
    records, for gains of the same records for both.
    """
    groups: dict[tuple[str, str], dict[_Name, list[InsideOutcome]]] = {}
    for o in outcomes:
        attacks = groups.setdefault((o.dataset, o.source), {})
        attacks.setdefault((o.access, o.learned_on, o.features), []).append(o)
    if not groups:
        raise ValueError("outcomes must hold those of at least one attack, got none")
    parts = []
    for (dataset, source), attacks in groups.items():
        paired = {name: _paired(group, fprs) for name, group in attacks.items()}
        for name, group in attacks.items():
            rows = [_ranked(group, fprs), _decided(group), _gains(name, paired)]
            named = dict(zip(INSIDE[2:5], name, strict=True))
            parts += [row.assign(dataset=dataset, source=source, **named) for row in rows if len(row)]
    return columns_first(pd.concat(parts, ignore_index=True), INSIDE)[INSIDE]


def _ranked(group: Sequence[InsideOutcome], fprs: Sequence[float]) -> pd.DataFrame:
    """AUC and rates: each target's records stand in columns of their own, for they are not those of another target."""
    ends = np.cumsum([0, *(len(o.score) for o in group)])
    score, member = np.full((len(group), ends[-1]), np.nan), np.zeros((len(group), ends[-1]), bool)
    for t, (o, start) in enumerate(zip(group, ends, strict=False)):
        here = slice(start, start + len(o.score))
        score[t, here], member[t, here] = o.score, o.answers.member
    rows = metrics.tpr_table(score, member, fprs=fprs)
    return rows[rows["metric"].isin(["auc", "tpr"]) & ~rows["pooled"]].drop(columns=["n_nonmembers", "pooled"])


def _decided(group: Sequence[InsideOutcome]) -> pd.DataFrame:
    decided = [(o.answers, o.decision) for o in group if o.decision is not None]
    return pd.DataFrame([decided_row(decided, "precision")]) if decided else pd.DataFrame()


def _paired(group: Sequence[InsideOutcome], fprs: Sequence[float]) -> _Paired:
    """AUC and rates of each target; the draws of its records are the same for every attack on it."""
    values: dict[_Measure, list[float]] = {}
    draws: dict[_Measure, list[np.ndarray]] = {}
    for o in group:
        member, score = o.answers.member, o.score.astype(float)
        rng = randomness.generator(0, "paired records", o.target)
        drawn = [rng.integers(side.sum(), size=(N_BOOT, side.sum())) for side in (member, ~member)]
        auc, influence = metrics.auc_influence(score, member)
        inside, outside = (influence[side][rows].sum(1) for side, rows in zip((member, ~member), drawn, strict=True))
        values.setdefault(("auc", np.nan), []).append(auc)
        draws.setdefault(("auc", np.nan), []).append(auc + inside + outside)
        for fpr in fprs:
            if metrics.can_carry(fpr, int((~member).sum())):
                redrawn = [score[side][rows] for side, rows in zip((member, ~member), drawn, strict=True)]
                values.setdefault(("tpr", fpr), []).append(metrics.tpr_at_fpr(o.answers, score, fpr))
                draws.setdefault(("tpr", fpr), []).append(_rates(redrawn[0], redrawn[1], fpr))
    return {at: (np.array(of), np.mean(draws[at], axis=0)) for at, of in values.items() if len(of) == len(group)}


def _rates(members: np.ndarray, nonmembers: np.ndarray, fpr: float) -> np.ndarray:
    """`metrics.tpr_at_fpr` of each row of scores (draws, n)."""
    n = nonmembers.shape[1]
    allowed = most_false(fpr, n)
    if allowed >= n:
        return np.ones(len(members))
    highest = np.partition(nonmembers, n - allowed - 1, axis=1)[:, n - allowed - 1]
    return (members > highest[:, None]).mean(1)


def _gains(name: _Name, paired: dict[_Name, _Paired]) -> pd.DataFrame:
    """By how much an attack exceeds the best black-box one, in each measure that both have."""
    rows = []
    for at, (values, draws) in paired[name].items():
        rivals = {r: of[at][0].mean() for r, of in paired.items() if r[0] == BLACK and r[1] != ON_KNOWN and at in of}
        best = max(rivals, key=lambda rival: rivals[rival], default=name)
        if best != name:
            ahead, drawn = values - paired[best][at][0], draws - paired[best][at][1]
            rows.append({"metric": f"{at[0]}_gain", "fpr": at[1]} | mean_over_targets(ahead, drawn, bounds=(-1, 1)))
    return pd.DataFrame(rows)
