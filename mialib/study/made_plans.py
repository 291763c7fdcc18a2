"""What attacks with made-up shadow data will take, said before there are any: the climbs of Algorithm 1, and the shadows."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mialib.core.plans import Planned
from mialib.core.types import BlackBox
from mialib.shadow.answers import count_missing
from mialib.study import experiments, shadow_data
from mialib.study.experiments import Experiment
from mialib.study.planning import planned_models, seconds_a_query, told
from mialib.study.shadow_data import Made, OnDemand, Target

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
    rows = [row for e in known for row in [*_marginal_rows(e, marginal), *_climbed_rows(e, model_based, None)]]
    local = [e for e in known if e.our_target == "local"]
    rows += [row for budget in budgets for e in local for row in _climbed_rows(e, model_based, budget)]
    return "\n".join(told(row, tried=False) for row in rows)  # so many trials would take a minute


def _untrained(e: Experiment) -> list[Target]:
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


def _missing(make: Callable[[], list[Made]], n_shadows: int) -> tuple[bool, int]:
    """Whether records have to be made, and how many of a target's shadows trained."""
    try:
        (made,) = make()
    except _NotTrained:
        return True, n_shadows
    if not made.shadow_size:
        return False, 0
    job = shadow_data.job_of(made, n_shadows)
    return False, count_missing(job.trainer, job.dataset, job.splits, job.seed)


def _marginal_rows(e: Experiment, of: MadeShadows) -> list[Planned]:
    lacking = [_missing(lambda t=t: shadow_data.marginal_sets([t], of.sets), of.n_shadows) for t in _untrained(e)]  # type: ignore[misc]
    return [_shadows(e, "marginal", of, lacking, 1)]


def _climbed_rows(e: Experiment, of: MadeShadows, budget: int | None) -> list[Planned]:
    lacking = [
        _missing(lambda t=t: shadow_data.model_based_sets([t], of.sets, budget), of.n_shadows)  # type: ignore[misc]
        for t in _untrained(e)
    ]
    each = -(-round(of.sets * e.train_size) // e.dataset.n_classes)
    queries = each * QUERIES_A_RECORD_FOUND
    queries = queries if budget is None else min(queries, budget / e.dataset.n_classes)
    name = "model-based" if budget is None else f"model-based, {budget:,} queries"
    climbs = planned_models(
        e.dataset, e.trainer, f"{e.our_target}, Algorithm 1 for a class, {queries:,.0f} queries", e.train_size,
        e.dataset.n_classes * len(lacking), e.dataset.n_classes * sum(make for make, _ in lacking),
        thread=_thread(e, name), stage=1,
    )  # fmt: skip
    climbs = climbs._replace(unit="climb", epochs=None, trial=lambda: queries * _seconds_a_query(e))
    return [climbs, _shadows(e, name, of, lacking, 2)]


def _shadows(e: Experiment, name: str, of: MadeShadows, lacking: Sequence[tuple[bool, int]], stage: int) -> Planned:
    """The shadows of all targets on one kind of records, and a model a target that judges them, where they are not made yet."""
    pieces, missing = (of.n_shadows + 1) * len(lacking), sum(count + make for make, count in lacking)
    n = min(e.train_size, round(of.sets * e.train_size) // 2)
    what = f"{e.our_target}, shadows on {name} records"
    place = {"thread": _thread(e, name), "stage": stage, "alike": e.our_target}
    return planned_models(e.dataset, e.trainer, what, n, pieces, missing, **place)


def _thread(e: Experiment, name: str) -> str:
    return f"{e.dataset.name}, {e.our_target}, {name}"


_TRIED: dict[tuple[str, str, int], float] = {}  # a trial takes seconds, and one serves all budgets


def _seconds_a_query(e: Experiment) -> float:
    key = e.dataset.digest(), type(e.trainer).__name__, e.train_size
    if key not in _TRIED:
        _TRIED[key] = seconds_a_query(e.trainer, e.dataset, e.train_size)
    return _TRIED[key]
