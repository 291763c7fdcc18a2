"""Attacks whose shadow data are made with the target's own answers (Sec. V-C, VI-E).

`shadow.synthesis` makes records; here they are made for the targets of a `study.Experiment`, train shadow models,
and are judged.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.core import cache, checks, randomness
from mialib.core.types import AttackData, BlackBox, Dataset, Features, Split, answered_right, each_model
from mialib.shadow import synthesis
from mialib.shadow.answers import shadow_attack_data
from mialib.shadow.records import marginal, nearest
from mialib.shadow.splits import sample_splits
from mialib.study import experiments, tables
from mialib.study.experiments import ONLY_LEARNED, REAL, Case, Experiment, TrainingJob, Trial

log = logging.getLogger(__name__)

MARGINAL, MODEL_BASED = "shadow:marginal", "shadow:model_based"
COMPARED_TO = 1000  # records of a set, at most, whose distance to real ones is measured


class Target(NamedTuple):
    """One target of an experiment, as its attacker has it."""

    experiment: Experiment
    number: int
    split: Split
    pool: np.ndarray  # rows of the data set that are the attacker's
    model: BlackBox  # trained, or its weights read, when it is first asked: records that are on disk need no model
    key: Mapping[str, Any]  # what determines the model
    answers: AttackData  # on its members and non-members


class Made(NamedTuple):
    """Records for shadow models, made with the answers of one target."""

    target: Target
    case: Case  # what an attack with them is about
    records: synthesis.Synthesis  # of marginal ones, the report has the columns cls, found and queries alone

    @property
    def dataset(self) -> Dataset:
        """The records, with the classes that the target gives them; ValueError if there are none."""
        real = self.target.experiment.dataset
        return self.records.dataset(real.name, real.n_classes, real.source, real.features)

    @property
    def shadow_size(self) -> int:
        """Records that a shadow model is trained on: as many as its target was, or half of those made, where they are fewer."""
        return min(self.target.experiment.train_size, len(self.records.y) // 2)


class OnDemand:
    """A black box that is made when it is first asked."""

    def __init__(self, make: Callable[[], BlackBox]) -> None:
        self._make = make

    def __getstate__(self) -> dict[str, Any]:
        """It travels as the model itself, not as what makes it."""
        return {"_model": self._model}

    @cached_property
    def _model(self) -> BlackBox:
        return self._make()

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes), of raw records x (n, ...)."""
        return self._model.predict_proba(x)


def targets(*experiments: Experiment) -> list[Target]:
    """The targets of experiments, as `study.run_trials` trains them, one after another."""
    return [target for e in experiments for target in _targets(e)]


def _targets(e: Experiment) -> list[Target]:
    job = experiments.plan_jobs(e)[0]
    rows = np.stack([split.members for split in job.splits])
    keys, answers = e.trainer.keys(e.dataset, rows, job.seed), job.answers()
    chosen = experiments.target_splits(e.dataset, e.train_size, e.n_targets, e.seed)

    def model(t: int) -> BlackBox:
        return OnDemand(lambda: e.trainer.fit_many(e.dataset, rows[t : t + 1], job.seed, t)[0])

    return [
        Target(e, t, split, pool, model(t), keys[t], target_answers)
        for t, ((split, pool), target_answers) in enumerate(zip(chosen, each_model(answers, e.n_targets), strict=True))
    ]


def _case(target: Target, setting: str, variant: str = REAL[1]) -> Case:
    e = target.experiment
    return Case(e.dataset.name, e.dataset.source, e.our_target, e.train_size, setting, variant)


# Records


def marginal_sets(known: Sequence[Target], sets: float) -> list[Made]:
    """For each target, `sets` times as many records as it was trained on, drawn from the marginals of its attacker's pool.

    Their classes are the target's answers, one query a record; these are kept on disk. Targets of other kinds with the same
    splits get the same records.
    """
    return [_marginal(target, _count(target, sets)) for target in known]


def _count(target: Target, sets: float) -> int:
    checks.real("sets", sets, 0, open_low=True)
    return max(2, round(sets * target.experiment.train_size))


def _marginal(target: Target, n: int) -> Made:
    e = target.experiment
    rng = randomness.generator(e.seed, "marginal", target.number)
    x = marginal(e.dataset.x[target.pool], n, rng, e.dataset.features)
    key = {"model": target.key, "asked": cache.digest(x), "code": cache.code_digest(synthesis)}
    expected = {"y": ((n,), "int64"), "confidence": ((n,), "float32")}
    stored = cache.load("labels", key, lambda stored: cache.expect(stored, expected))
    if stored is None:
        stored = dict(zip(("y", "confidence"), synthesis.answered(target.model, x), strict=True))
        cache.save("labels", key, stored)
    found = np.bincount(stored["y"], minlength=e.dataset.n_classes)
    report = pd.DataFrame({"cls": np.arange(len(found)), "found": found, "queries": found})
    once = np.ones(n, np.int64)
    return Made(target, _case(target, MARGINAL), synthesis.Synthesis(x, **stored, queries=once, report=report))


def model_based_sets(known: Sequence[Target], sets: float, max_queries: int | None = None, **rules: Any) -> list[Made]:
    """For each target, records of every class by Algorithm 1, `sets` times as many in all as it was trained on; kept on disk.

    max_queries: of a target, at most; it becomes the `variant`. rules: as of `synthesis.all_classes`.
    """
    return [_model_based(target, _count(target, sets), max_queries, rules) for target in known]


def _model_based(target: Target, n: int, max_queries: int | None, rules: Mapping[str, Any]) -> Made:
    e = target.experiment
    features = e.dataset.features or Features(e.dataset.x.shape[1:])
    seed = randomness.derive(e.seed, "synthesis", target.number)
    n_each = math.ceil(n / e.dataset.n_classes)
    records = synthesis.all_classes(
        target.model, features, e.dataset.n_classes, n_each, seed, key=target.key, max_queries=max_queries, **rules
    )
    variant = REAL[1] if max_queries is None else f"{max_queries} queries"
    return Made(target, _case(target, MODEL_BASED, variant), records)


# Shadows


def made_trials(made: Sequence[Made], n_shadows: int) -> list[Trial]:
    """Train shadow models on every set of records, as its target was trained, and ask them: a trial for each.

    Members and non-members of a shadow are drawn from all records of the set, `Made.shadow_size` of each. A set of fewer than
    two records gives no trial, and is named in a warning. The attacks on what comes out are `study.run_attacks`.
    """
    for each in made:
        if not each.shadow_size:
            text = "%s, %s, target %d: no attack with %s data, %d records were made"
            log.warning(
                text, each.case.dataset, each.case.our_target, each.target.number, each.case.setting, len(each.records.y)
            )
    return [_trial(each, n_shadows) for each in made if each.shadow_size]


def _trial(made: Made, n_shadows: int) -> Trial:
    job = job_of(made, n_shadows)
    job.answers()
    return Trial(made.case, made.target.number, made.target.answers, job.answers, n_shadows)


def job_of(made: Made, n_shadows: int) -> TrainingJob:
    e, dataset = made.target.experiment, made.dataset
    seed = randomness.derive(e.seed, "shadows", made.target.number)
    splits = sample_splits(np.arange(len(dataset.y)), made.shadow_size, n_shadows, seed)
    return TrainingJob(made.target.number, (made.case.setting, made.case.variant), e.trainer, dataset, splits, seed)


# Tables


def reports(made: Sequence[Made]) -> pd.DataFrame:
    """What each class cost, and whether it was found (see `synthesis.Synthesis`): the case, target, and a row a class."""
    if not made:
        raise ValueError("made must hold at least one set of records, got none")
    parts = [each.records.report.assign(**each.case._asdict(), target=each.target.number) for each in made]
    table = pd.concat(parts, ignore_index=True)
    return tables.columns_first(table, [*tables.CASE, "target"])


def records_table(made: Sequence[Made], trials: Sequence[Trial] = ()) -> pd.DataFrame:
    """How good the sets of records are, a row a set: the case, target, and

    records; classes_lacking (without any record); mean_confidence (of the target in its own answer); mean_queries (of the
    climbs that found a record; 1 for a label); queries (of all climbs); shadow_size; distance (mean, from a record to the
    nearest of the target's members: see `shadow.nearest`); test_accuracy (on the target's non-members, which are real, of a
    model trained on the records as the target was trained on its own).

    trials: of the same targets with real shadow data; they give rows to measure by, whose records are the target's non-members
    and whose test_accuracy is the shadows' own.
    """
    known = {_whose(each.target): each.target for each in made}
    rows = [_real_row(trial, known[trial.case[:4], trial.target]) for trial in trials if trial.case.setting == REAL[0]]
    rows += [_made_row(each) for each in made]
    return pd.DataFrame(rows)


def _whose(target: Target) -> tuple[tuple[Any, ...], int]:
    return _case(target, "")[:4], target.number


def _made_row(made: Made) -> dict[str, Any]:
    x, y, confidence, queries, report = made.records
    real = made.target.experiment.dataset
    return made.case._asdict() | {
        "target": made.target.number,
        "records": len(y),
        "classes_lacking": real.n_classes - len(np.unique(y)),
        "mean_confidence": float(confidence.mean()) if len(y) else np.nan,
        "mean_queries": float(queries.mean()) if len(y) else np.nan,
        "queries": int(report["queries"].sum()),
        "shadow_size": made.shadow_size,
        "distance": _distance(x, made.target),
        "test_accuracy": _worth(made) if made.shadow_size else np.nan,
    }


def _real_row(trial: Trial, target: Target) -> dict[str, Any]:
    fresh, shadows = ~trial.answers.member, trial.shadows
    labels, right = trial.answers.labels[fresh], answered_right(shadows)
    return trial.case._asdict() | {
        "target": trial.target,
        "records": int(fresh.sum()),
        "classes_lacking": target.experiment.dataset.n_classes - len(np.unique(labels)),
        "mean_confidence": float(trial.answers.predictions[fresh].max(1).mean()),
        "mean_queries": 0.0,
        "queries": 0,
        "shadow_size": int(shadows.member.sum()) // trial.n_shadows,
        "distance": _distance(target.experiment.dataset.x[target.split.nonmembers], target),
        "test_accuracy": float(right[~shadows.member].mean()),
    }


def _distance(x: np.ndarray, target: Target) -> float:
    if not len(x):
        return float("nan")
    some = randomness.generator(target.experiment.seed, "distance").permutation(len(x))[:COMPARED_TO]
    return float(nearest(x[some], target.experiment.dataset.x[target.split.members]).mean())


def _worth(made: Made) -> float:
    """Accuracy on the target's non-members of a model that was trained on the records of the first shadow."""
    e, made_set = made.target.experiment, made.dataset
    job, fresh = job_of(made, 1), made.target.split.nonmembers[: made.shadow_size]
    rows = job.splits[0].members
    both = replace(
        made_set,
        x=np.concatenate([made_set.x[rows], e.dataset.x[fresh]]),
        y=np.concatenate([made_set.y[rows], e.dataset.y[fresh]]),
    )
    split = Split(np.arange(len(rows)), len(rows) + np.arange(len(fresh)))
    answers = shadow_attack_data(e.trainer, both, [split], job.seed)
    return float(answered_right(answers)[~answers.member].mean())


def by_budget(known: Sequence[Target], budgets: Sequence[int], sets: float, n_shadows: int, **rules: Any) -> pd.DataFrame:
    """The attack by Algorithm 1 of an attacker who may ask a target no more than `budget` queries: `tables.summary`'s columns,
    budget, records (found, mean over targets).

    Fewer queries find fewer records, so that shadows are smaller (`Made.shadow_size`); more than `sets` times the training size
    are not looked for. Targets of which fewer than two records were found are not attacked: NaN where that is all of them.
    """
    for name, what, given in (("known", "target", known), ("budgets", "number of queries", budgets)):
        if not len(given):
            raise ValueError(f"{name} must hold at least one {what}, got none")
    parts = []
    for budget in budgets:
        made = model_based_sets(known, sets, budget, **rules)
        records = pd.DataFrame([each.case._asdict() | {"records": len(each.records.y)} for each in made])
        records = records.groupby(tables.CASE, sort=False)["records"].mean().reset_index().assign(budget=budget)
        trials = made_trials(made, n_shadows)
        table = tables.summary(experiments.run_attacks(trials, ONLY_LEARNED)) if trials else pd.DataFrame(columns=SUMMARY)
        parts.append(records.merge(table, how="left", on=tables.CASE))
    return pd.concat(parts, ignore_index=True)


SUMMARY = [*tables.CASE, "attack", "metric", "value", "low", "high", "n_targets", "undefined"]
