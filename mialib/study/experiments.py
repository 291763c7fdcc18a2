"""Experiments from split to decision: several independent targets, each with its own shadow models, attacked in several ways.

The notebooks are calls of these functions and of those in `study.tables`, which make tidy tables of what comes out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mialib.attack.ablations import Fit
from mialib.attack.learned import fit_attack
from mialib.attack.thresholds import confidence_threshold, correctness_gap, entropy_threshold, modified_entropy_threshold
from mialib.core import checks, executors, plans, progress, randomness
from mialib.core.types import AttackData, Dataset, Split, Trainer, answered_right, each_model, some_models
from mialib.data.loading import split_target
from mialib.shadow.answers import answers_work, shadow_attack_data, untrained
from mialib.shadow.records import noisy
from mialib.shadow.splits import sample_splits, swapped_splits
from mialib.study.planning import planned_models

ShadowSource = tuple[str, str]  # setting as in the paper's table ("shadow:noise10"), and variant: which reading of it ("flip")
REAL: ShadowSource = ("shadow:real", "none")
SWAPPED: ShadowSource = ("shadow:real", "swapped")  # contaminated: see `shadow.swapped_splits`
SMALLER: ShadowSource = ("shadow:real", "smaller")  # disjoint, but trained on fewer records than the target
LEARNED = "one network a class"
ATTACKS: dict[str, Fit] = {
    LEARNED: fit_attack,
    "confidence": confidence_threshold,
    "modified entropy": modified_entropy_threshold,
    "entropy": entropy_threshold,
    "correctness gap": lambda data: correctness_gap(),
}
ONLY_LEARNED: dict[str, Fit] = {LEARNED: fit_attack}


class Experiment(NamedTuple):
    """Targets of one kind on one data set, and the shadow models of their attackers.

    our_target: what is attacked, by its name in the paper: "local", or "google surrogate" for what stands in a service's place.
    sources: where shadow data come from, each a data set that shares its rows with `dataset`; None: from the same population.
    n_shadows: 0 for the targets alone. shadow_size: records that a shadow is trained on, where the pool has too few for as many
    as the target's; None: as many. swapped: shadows trained on the target's own non-members, which breaks the rule that their
    data are disjoint from the target's. Rows of both are told apart by `variant`, and never count beside the paper's.
    """

    dataset: Dataset
    trainer: Trainer
    our_target: str
    train_size: int
    n_targets: int
    n_shadows: int
    seed: int
    sources: Mapping[ShadowSource, Dataset] | None = None
    shadow_size: int | None = None
    swapped: bool = False


class Case(NamedTuple):
    """What a row of a table is about: the first columns of every table."""

    dataset: str
    source: str
    our_target: str
    train_size: int
    setting: str
    variant: str


class Trial(NamedTuple):
    """One target and the shadow models of one source of shadow data."""

    case: Case
    target: int
    answers: AttackData  # the target's, on its members and non-members
    load: Callable[[], AttackData]
    n_shadows: int

    @property
    def shadows(self) -> AttackData:
        """The shadows' answers, read from disk: those of all targets together would fill the memory."""
        return self.load()

    def answers_by_shadow(self) -> list[AttackData]:
        """The answers of each shadow, read from disk."""
        return each_model(self.load(), self.n_shadows)

    def first_shadows(self, k: int) -> "Trial":
        """The same target, attacked with the first k shadow models alone."""
        return self._replace(load=lambda: some_models(self.load(), 0, k, self.n_shadows), n_shadows=k)


class Outcome(NamedTuple):
    """What one attack said of one target's records."""

    trial: Trial
    attack: str
    decision: np.ndarray  # (n,) bool
    score: np.ndarray  # (n,) float32

    @property
    def case(self) -> Case:
        return self.trial.case


class TrainingJob(NamedTuple):
    """Models to be trained together, model i on the members of split i; for a target's shadows, or (None) for the
    targets themselves.
    """

    target: int | None
    source: ShadowSource
    trainer: Trainer
    dataset: Dataset
    splits: list[Split]
    seed: int

    @property
    def train_size(self) -> int:
        return len(self.splits[0].members)

    def answers(self) -> AttackData:
        """All models' answers: from disk, or after training those that are missing there."""
        return shadow_attack_data(self.trainer, self.dataset, self.splits, self.seed)


def noisy_sources(dataset: Dataset, rates: Iterable[float], modes: Iterable[str], seed: int) -> dict[ShadowSource, Dataset]:
    """The data set itself, and a noisy copy for every rate and reading of "noise" (Fig. 8): {(setting, variant): data set}."""
    sources = {REAL: dataset}
    for mode in modes:
        for rate in rates:
            rng = randomness.generator(seed, "noise", mode, f"{rate:g}")
            sources[f"shadow:noise{100 * rate:g}", mode] = replace(dataset, x=noisy(dataset.x, rate, rng, mode))
    return sources


def target_splits(dataset: Dataset, n: int, n_targets: int, seed: int) -> list[tuple[Split, np.ndarray]]:
    """Independent splits: each target's members and non-members, and the pool that is left to its attacker."""
    checks.whole("n_targets", n_targets, 1)
    return [split_target(dataset, n, randomness.generator(seed, "target split", t)) for t in range(n_targets)]


def check_disjoint(e: Experiment) -> None:
    """TypeError or ValueError unless the shadows of an experiment, one or more, are trained on real records that are none of
    the target's, members or non-members.
    """
    checks.instance("e", e, Experiment)
    if e.sources is not None or e.swapped:
        raise ValueError("e must have no sources and not be swapped: its shadows have to be disjoint from the target's records")
    checks.whole("e.n_shadows", e.n_shadows, 1)


def plan_jobs(e: Experiment) -> list[TrainingJob]:
    """All trainings of an experiment: the targets, then each target's shadows on every source of shadow data.

    One pool serves all sources. Shadow i of a target has the same rows and initial weights whatever the source: sources differ
    in the data alone. Another kind of target on the same data set, with the same seed, has the same splits.
    """
    if e.swapped and (e.sources or e.shadow_size):
        raise ValueError("swapped must be False where sources or shadow_size are given")
    chosen = target_splits(e.dataset, e.train_size, e.n_targets, e.seed)
    for_targets = [split for split, _ in chosen]
    jobs = [TrainingJob(None, REAL, e.trainer, e.dataset, for_targets, randomness.derive(e.seed, "target"))]
    usual = SWAPPED if e.swapped else SMALLER if e.shadow_size else REAL
    sources = {usual: e.dataset} if e.sources is None else e.sources
    for t, (split, pool) in enumerate(chosen if e.n_shadows else []):
        seed = randomness.derive(e.seed, "shadows", t)
        n = e.shadow_size or e.train_size
        splits = swapped_splits(split, e.n_shadows) if e.swapped else sample_splits(pool, n, e.n_shadows, seed)
        jobs += [TrainingJob(t, source, e.trainer, data, splits, seed) for source, data in sources.items()]
    return jobs


def announce(*experiments: Experiment) -> str:
    """What is about to be trained and what that takes here, a line an experiment; models whose answers or weights are on disk
    are left out. Where work is done elsewhere, all of it is begun together when the first is wanted.
    """
    return "\n".join(announce_jobs(e, plan_jobs(e)) for e in experiments)


def announce_jobs(e: Experiment, jobs: Sequence[TrainingJob]) -> str:
    """`announce` of one experiment with these trainings in the place of its own."""
    return _announced(e.our_target, e.trainer, e.dataset, e.train_size, jobs)


def announce_shadows(our_target: str, trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int) -> str:
    """`announce` of what `shadow_attack_data` is about to train with the same arguments."""
    job = TrainingJob(0, REAL, trainer, dataset, [*splits], seed)
    return _announced(our_target, trainer, dataset, job.train_size, [job])


def _announced(of: str, trainer: Trainer, dataset: Dataset, train_size: int, jobs: Sequence[TrainingJob]) -> str:
    executors.announce_works(answers_work(job.trainer, job.dataset, job.splits, job.seed) for job in jobs)
    missing = [untrained(job.trainer, job.dataset, job.splits, job.seed) for job in jobs]
    total, count = sum(len(job.splits) for job in jobs), sum(map(len, missing))
    text = f"{dataset.name}, {of}, n = {train_size:,}: {dataset.source} data; {count} of {total} models to train"
    if plans.collect(_planned(of, jobs, missing)) or not count or not hasattr(trainer, "estimate"):
        return text
    unfinished = [(job.train_size, len(job.splits), len(keys)) for job, keys in zip(jobs, missing, strict=True) if keys]
    seconds, megabytes = 0.0, 0.0
    for n in sorted({n for n, _, _ in unfinished}):
        together = max(k for size, k, _ in unfinished if size == n)
        count = sum(count for size, _, count in unfinished if size == n)
        estimate = executors.estimated(trainer, dataset, n, min(together, count))
        seconds += estimate.seconds * count / estimate.models
        megabytes = max(megabytes, estimate.megabytes)
    return f"{text}, about {seconds:,.0f} s and {megabytes:,.0f} MB {executors.where()}"


def _planned(of: str, jobs: Sequence[TrainingJob], missing: Sequence[list[Mapping[str, Any]]]) -> list[plans.Planned]:
    """The models of these trainings, targets and shadows, alike if of one size."""
    groups: dict[tuple[str, int], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault(("targets" if job.target is None else "shadows", job.train_size), []).append(i)
    planned = []
    for (who, n), numbers in groups.items():
        keys = [key for i in numbers for key in missing[i]]
        pieces, first = sum(len(jobs[i].splits) for i in numbers), jobs[numbers[0]]
        planned.append(planned_models(first.dataset, first.trainer, f"{of}, {who}", n, pieces, keys, alike=of))
    return planned


def run_targets(e: Experiment) -> list[AttackData]:
    """The answers of each target of an experiment on its members and non-members; no shadow is trained."""
    return each_model(plan_jobs(e._replace(n_shadows=0))[0].answers(), e.n_targets)


def run_trials(*experiments: Experiment) -> list[Trial]:
    """Train what is missing of the experiments, one after another: a trial for each target and source of shadow data."""
    plans_of = [plan_jobs(e) for e in experiments]
    with progress.one_bar(_models(job for jobs in plans_of for job in jobs)):
        made = executors.all_of([partial(run_jobs, e, jobs) for e, jobs in zip(experiments, plans_of, strict=True)])
    return [trial for trials in made for trial in trials]


def _models(jobs: Iterable[TrainingJob]) -> int:
    return sum(len(job.splits) for job in jobs)


def run_jobs(e: Experiment, jobs: Sequence[TrainingJob]) -> list[Trial]:
    """Train what is missing of these trainings, the targets first, then their shadows: a trial for each of the latter."""
    targets, *shadows = jobs
    calls: list[Callable[[], AttackData | None]] = [targets.answers, *(partial(_train, job) for job in shadows)]
    with progress.one_bar(_models(jobs)):
        answers, trials = executors.all_of(calls)[0], []
    assert answers is not None
    for job in shadows:
        assert job.target is not None
        case = Case(e.dataset.name, e.dataset.source, e.our_target, e.train_size, *job.source)
        target_answers = some_models(answers, job.target, job.target + 1, e.n_targets)
        trials.append(Trial(case, job.target, target_answers, job.answers, len(job.splits)))
    return trials


def _train(job: TrainingJob) -> None:
    """Nothing is returned: the answers of all shadows together would fill the memory."""
    job.answers()


def run_attacks(trials: Sequence[Trial], attacks: Mapping[str, Fit] = ATTACKS) -> list[Outcome]:
    """Fit every attack on each trial's shadows, and ask it about the target's records."""
    outcomes = []
    for trial in trials:
        shadows = trial.shadows
        for name, fit in attacks.items():
            fitted = fit(shadows)
            outcomes.append(Outcome(trial, name, fitted.infer(trial.answers), fitted.membership_score(trial.answers)))
    return outcomes


def without_failed(trials: Sequence[Trial], tolerance: float = 0.1) -> list[Trial]:
    """The trials without shadows whose training failed: those that know less of their own training set, by more than
    `tolerance` of train accuracy, than the median shadow of the trial. An attacker sees that of his own models.
    """
    checks.real("tolerance", tolerance, 0, 1)
    return [_without_failed(trial, tolerance) for trial in trials]


def _without_failed(trial: Trial, tolerance: float) -> Trial:
    known = np.array([answered_right(part)[part.member].mean() for part in trial.answers_by_shadow()])
    kept = np.flatnonzero(known >= np.median(known) - tolerance)

    def load() -> AttackData:
        parts = trial.answers_by_shadow()
        return AttackData.joined(parts[i] for i in kept)

    return trial._replace(load=load, n_shadows=len(kept))


def with_target_answers(trials: Iterable[Trial]) -> list[Trial]:
    """The trials with the target's own answers in the place of its shadows': shadow models that imitate it to the last digit.

    No attacker has them. An attack with few parameters, such as one threshold, shows with them what it could find at best.
    """
    return [_with_target_answers(trial) for trial in trials]


def _with_target_answers(trial: Trial) -> Trial:
    return trial._replace(load=lambda: trial.answers, n_shadows=1)


def learned(outcomes: Iterable[Outcome], our_target: str | None = None) -> list[Outcome]:
    """The outcomes of the paper's attack alone; on one kind of target, if given."""
    return [o for o in outcomes if o.attack == LEARNED and our_target in (None, o.case.our_target)]


def usable_counts(trials: Sequence[Trial], counts: Iterable[int]) -> list[int]:
    """The numbers of shadow models of `counts` that all trials have, ascending; ValueError if there are none."""
    most = min(trial.n_shadows for trial in trials)
    usable = sorted({k for k in counts if 1 <= k <= most})
    if not usable:
        raise ValueError(f"counts must hold a number of shadow models between 1 and {most}, got {list(counts)}")
    return usable
