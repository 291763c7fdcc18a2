"""From copies to members: how far model extraction helps who looks for a target's members.

Extraction asks the target about records of the attacker's pool alone: no copy and no shadow model ever learned a record that
is judged, neither a member of the target nor one of the non-members beside them. What a copy tells of members it has from the
target's answers to other records: its members have bent those, too, and a copy learns the bends (Jagielski et al., NeurIPS
2023, find this of distilled models). Nothing else can tell it: members and non-members are drawn at random from the same
records, so that a model which heard nothing of the target ranks them like a coin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib.attack.extraction import COPY_FORMS, Transcript
from mialib.attack.learned import fit_attack
from mialib.core import checks
from mialib.core.types import AttackData, Split
from mialib.shadow.answers import shadow_attack_data
from mialib.shadow.signals import log_odds
from mialib.study import experiments, shadow_data
from mialib.study.experiments import Experiment, Outcome, Trial
from mialib.study.extraction import copy_of, copying, heard_by, neural_trainer
from mialib.study.measured import AT_1_PERCENT, gain_rows, measured_rows
from mialib.study.shadow_data import Target

OF_BRIDGE = ["dataset", "source", "way", "queries", "metric", "fpr", "value", "low", "high", "n_targets"]
SHADOWS_ALONE, TARGET_ALONE = "shadow models", "the target's confidence"


class _Said(NamedTuple):
    """What one way of an attack said of a target's members and non-members, and the queries it took beforehand."""

    queries: int
    score: np.ndarray  # (2 n,)
    decision: np.ndarray | None = None  # bool (2 n,), where the attack decides


def bridge_table(e: Experiment, fprs: Sequence[float] = AT_1_PERCENT) -> pd.DataFrame:
    """How far extraction helps to find members: dataset, source, way, queries, metric, fpr, value, low, high, n_targets; means
    over targets with their 95% intervals.

    way: "shadow models" is the attack of 2017 on real labelled data; "copies as shadow models, vectors" and ", labels" the
    same attack, the same records, whose labels the target gave: whole vectors, or its most probable class alone. "inside the
    copy" asks a copy of the target, not the target, how sure it is of the record's class; the copy learned vectors of twice
    as many records of the attacker as the target was trained on, or of all that shadows take, where these are fewer. "inside a
    shadow model", which heard nothing of the target, is the control: AUC about 0.5. "the target's confidence" is that of the
    target itself; "less the copy's" what is left of it (log-odds) when the copy says how easy the record is, as in Watson et
    al. 2022, "less a shadow's" the same with one ordinary shadow model. No model but the target has learned a judged record.
    queries: asked of each target beforehand, mean over targets; the judged records come on top, but for the two ways "inside".
    metric: as of `measured_rows`, precision and recall where the attack decides; auc_gain, tpr_gain and so on, what a way gets
    more than "shadow models" of the same records. e: with one shadow or more, disjoint from the target's records. Raises
    TypeError or ValueError.
    """
    neural_trainer(e)
    experiments.check_disjoint(e)
    for fpr in fprs:
        checks.real("fprs", fpr, 0, 1, open_low=True)
    trials, targets = experiments.run_trials(e), shadow_data.targets(e)
    by_target = [_ways(target, trial) for target, trial in zip(targets, trials, strict=True)]
    usual = [_outcome(trial, SHADOWS_ALONE, ways[SHADOWS_ALONE]) for trial, ways in zip(trials, by_target, strict=True)]
    parts = []
    for way in by_target[0]:
        outcomes = [_outcome(trial, way, ways[way]) for trial, ways in zip(trials, by_target, strict=True)]
        rows = [measured_rows(outcomes, fprs)] + ([gain_rows(outcomes, usual, fprs)] if way != SHADOWS_ALONE else [])
        found = pd.concat(rows, ignore_index=True)
        if by_target[0][way].decision is None:
            found = found[~found["metric"].str.startswith(("precision", "recall"))]
        queries = round(float(np.mean([ways[way].queries for ways in by_target])))
        parts.append(found.assign(way=way, queries=queries))
    table = pd.concat(parts, ignore_index=True).assign(dataset=e.dataset.name, source=e.dataset.source)
    return table[OF_BRIDGE]


def _outcome(trial: Trial, way: str, said: _Said) -> Outcome:
    decision = np.zeros(len(said.score), bool) if said.decision is None else said.decision
    return Outcome(trial, way, decision, said.score)


def _ways(target: Target, trial: Trial) -> dict[str, _Said]:
    e, answers = target.experiment, target.answers
    job = experiments.plan_jobs(e)[1 + target.number]
    rows = np.unique(np.concatenate([split.rows for split in job.splits]))
    heard = heard_by(target, e.dataset.x[rows])
    found = {SHADOWS_ALONE: _attacked(answers, trial.shadows, 0)}
    for form in COPY_FORMS:
        shadows = _copies_as_shadows(target, heard, form, [_within(split, rows) for split in job.splits], job.seed)
        found[f"copies as shadow models, {form}"] = _attacked(answers, shadows, heard.queries)
    n = min(2 * e.train_size, len(rows))
    mine = np.random.default_rng(job.seed).permutation(len(rows))[:n]
    part = Transcript(heard.x[mine], heard.answers[mine], n)
    judged = e.dataset.x[target.split.rows]
    shadow = e.trainer.fit_many(e.dataset, job.splits[0].members[None], job.seed)[0]
    own = log_odds(answers.predictions, answers.labels)
    copied, usual = (
        log_odds(model.predict_proba(judged), answers.labels) for model in (copy_of(target, part, "vectors"), shadow)
    )
    return found | {
        "inside the copy": _Said(n, copied),
        "inside a shadow model": _Said(0, usual),
        TARGET_ALONE: _Said(0, own),
        f"{TARGET_ALONE}, less the copy's": _Said(n, own - copied),
        f"{TARGET_ALONE}, less a shadow's": _Said(0, own - usual),
    }


def _attacked(answers: AttackData, shadows: AttackData, queries: int) -> _Said:
    attack = fit_attack(shadows)
    return _Said(queries, attack.membership_score(answers), attack.infer(answers))


def _copies_as_shadows(target: Target, heard: Transcript, form: str, splits: Sequence[Split], seed: int) -> AttackData:
    """Answers of shadow models that were trained as the target was, on records whose labels it gave."""
    e = target.experiment
    data = heard.dataset(e.dataset.name, e.dataset.source, e.dataset.features)
    return shadow_attack_data(copying(e, heard, form), data, splits, seed)


def _within(split: Split, rows: np.ndarray) -> Split:
    """A split of a data set as one of some of its rows, ascending."""
    return Split(np.searchsorted(rows, split.members), np.searchsorted(rows, split.nonmembers))
