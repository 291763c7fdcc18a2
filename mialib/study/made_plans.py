"""What attacks with made-up shadow data will take, said before there are any: the climbs of Algorithm 1, and the shadows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mialib.core import progress
from mialib.core.plans import Planned
from mialib.core.types import BlackBox
from mialib.shadow.answers import untrained
from mialib.study import experiments, shadow_data
from mialib.study.experiments import Experiment
from mialib.study.planning import planned_models, seconds_a_query, told
from mialib.study.shadow_data import OnDemand, Target

_MARGINAL, _CLIMBED = "marginal", "model-based"  # records
QUERIES_A_RECORD_FOUND = 160.0  # the paper's mean is 156 (Sec. V-C); of classes that are not found, many more


class MadeShadows(NamedTuple):
    """Records that a target's attacker makes, `sets` times its training size, and the shadow models that learn them."""

    sets: float
    n_shadows: int


class _NotTrained(Exception):
    """A target that would have to be trained before it could be asked."""


def announce_made(
    known: Sequence[Experiment], marginal: MadeShadows, model_based: MadeShadows, budgets: Iterable[int] = ()
) -> str:
    """What `marginal_sets`, `model_based_sets`, `by_budget` (on "local" targets) and their shadows will make and train, and the
    models by which `records_table` judges a set; lines.

    What is on disk is left out. How often a climb asks is not known before: a record counts QUERIES_A_RECORD_FOUND queries.
    """
    rows = [row for e in known for row in [*_marginal_rows(e, marginal), *_climbed_rows(e, model_based, [None])]]
    if tried := [*budgets]:
        rows += [row for e in known if e.our_target == "local" for row in _climbed_rows(e, model_based, tried)]
    return "\n".join(told(row, tried=False) for row in rows)  # so many trials would take a minute


def announce_climbs(e: Experiment, sets: float, max_queries: int) -> str:
    """As `announce_made`, of `model_based_sets` alone: a line."""
    return told(_climbed_rows(e, MadeShadows(sets, 0), [max_queries])[0], tried=False)


def _known_targets(e: Experiment) -> list[Target]:
    """The targets of an experiment as far as they are known before they are trained: what is on disk of them is found."""

    def ask() -> BlackBox:
        raise _NotTrained

    job = experiments.plan_jobs(e._replace(n_shadows=0))[0]
    keys = e.trainer.keys(e.dataset, np.stack([split.members for split in job.splits]), job.seed)
    chosen = experiments.target_splits(e.dataset, e.train_size, e.n_targets, e.seed)
    return [
        Target(e, t, split, pool, OnDemand(ask), keys[t], None)  # type: ignore[arg-type]
        for t, (split, pool) in enumerate(chosen)
    ]


class _Lacking(NamedTuple):
    """Whether a target's records have to be made, and how many of the models on them trained."""

    records: bool
    models: int


def _lacking(target: Target, of: MadeShadows, name: str, budget: int | None = None) -> _Lacking:
    try:
        with progress.no_bars():  # one would end where it begins
            if name == _MARGINAL:
                (made,) = shadow_data.marginal_sets([target], of.sets)
            else:
                (made,) = shadow_data.model_based_sets([target], of.sets, budget)
    except _NotTrained:
        return _Lacking(True, of.n_shadows + (budget is None))  # one more judges the records
    if not made.shadow_size:
        return _Lacking(False, 0)
    job = shadow_data.job_of(made, of.n_shadows)
    return _Lacking(False, len(untrained(job.trainer, job.dataset, job.splits, job.seed)))


def _marginal_rows(e: Experiment, of: MadeShadows) -> list[Planned]:
    lacking = [_lacking(target, of, _MARGINAL) for target in _known_targets(e)]
    return [_shadows(e, _MARGINAL, of, (of.n_shadows + 1) * e.n_targets, lacking, 1)]


def _climbed_rows(e: Experiment, of: MadeShadows, budgets: Sequence[int | None]) -> list[Planned]:
    """The climbs of all targets, with each of these budgets, and the shadows on what they find."""
    name = _CLIMBED if budgets == [None] else f"{_CLIMBED}, of {len(budgets)} budget{'s' * (len(budgets) > 1)}"
    lacking = {budget: [_lacking(target, of, _CLIMBED, budget) for target in _known_targets(e)] for budget in budgets}
    most = -(-round(of.sets * e.train_size) // e.dataset.n_classes) * QUERIES_A_RECORD_FOUND
    queries = {None: most} | {budget: min(most, budget / e.dataset.n_classes) for budget in budgets if budget is not None}
    asked = [queries[budget] for budget, found in lacking.items() for each in found if each.records]
    mean = sum(asked) / len(asked) if asked else most
    climbs = planned_models(
        e.dataset, e.trainer, f"{e.our_target}, {name}, Algorithm 1 for a class in {mean:,.0f} queries", e.train_size,
        e.dataset.n_classes * sum(map(len, lacking.values())), e.dataset.n_classes * len(asked), **_place(e, name, 1),
    )  # fmt: skip
    climbs = climbs._replace(unit="climb", epochs=None, trial=lambda: mean * _seconds_a_query(e))
    models = (of.n_shadows + 1) * e.n_targets if budgets == [None] else of.n_shadows * e.n_targets * len(budgets)
    return [climbs, _shadows(e, name, of, models, [each for found in lacking.values() for each in found], 2)]


def _shadows(e: Experiment, name: str, of: MadeShadows, pieces: int, lacking: Sequence[_Lacking], stage: int) -> Planned:
    """The shadows of all targets on one kind of records, and a model that judges them, where they are not made yet."""
    missing = sum(each.models for each in lacking)
    n = min(e.train_size, round(of.sets * e.train_size) // 2)
    what = f"{e.our_target}, shadows on made-up records, {name}"
    return planned_models(e.dataset, e.trainer, what, n, pieces, missing, alike=e.our_target, **_place(e, name, stage))


def _place(e: Experiment, name: str, stage: int) -> Mapping[str, Any]:
    return {"thread": f"{e.dataset.name}, {e.our_target}, {name}", "stage": stage}


_TRIED: dict[tuple[str, str, int], float] = {}  # a trial takes seconds, and one serves all budgets


def _seconds_a_query(e: Experiment) -> float:
    key = e.dataset.digest(), type(e.trainer).__name__, e.train_size
    if key not in _TRIED:
        _TRIED[key] = seconds_a_query(e.trainer, e.dataset, e.train_size)
    return _TRIED[key]
