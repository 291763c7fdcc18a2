"""One experiment from split to table: several independent targets, each with its own shadow models, attacked in several ways.

The notebooks are calls of these functions; every table is tidy: one row a class, a setting or a number of shadow models.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib import attack, checks, metrics, paper, randomness, synthesis
from mialib.attack import Attack
from mialib.data import Dataset, Split, split_target
from mialib.shadow import AttackData, count_missing, sample_splits, shadow_attack_data, some_models
from mialib.training import Trainer

log = logging.getLogger(__name__)

Fit = Callable[[AttackData], Attack]
Source = tuple[str, str]  # setting as in the paper's table ("shadow:noise10"), and variant: which reading of it ("flip")

REAL: Source = ("shadow:real", "none")
READINGS = {"flip": "noise: bits flipped", "random": "noise: bits replaced at random"}
LEARNED = "one network a class"
ATTACKS: dict[str, Fit] = {
    LEARNED: attack.fit_attack,
    "confidence": attack.confidence_threshold,
    "modified entropy": attack.modified_entropy_threshold,
    "entropy": attack.entropy_threshold,
    "correctness gap": lambda data: attack.correctness_gap(),
}


class Trial(NamedTuple):
    """One target and the shadow models of one source of shadow data."""

    target: int
    setting: str
    variant: str
    answers: AttackData  # the target's, on its members and non-members
    shadows: AttackData
    n_shadows: int


class Outcome(NamedTuple):
    """What one attack said of one target's records."""

    trial: Trial
    attack: str
    decision: np.ndarray  # (n,) bool
    score: np.ndarray  # (n,) float32


def noisy_sources(dataset: Dataset, rates: Iterable[float], modes: Iterable[str], seed: int) -> dict[Source, Dataset]:
    """The data set itself, and a noisy copy for every rate and reading of "noise" (Fig. 8): {(setting, variant): data set}."""
    sources = {REAL: dataset}
    for mode in modes:
        for rate in rates:
            rng = randomness.generator(seed, "noise", mode, f"{rate:g}")
            sources[f"shadow:noise{100 * rate:g}", mode] = dataset._replace(x=synthesis.noisy(dataset.x, rate, rng, mode))
    return sources


def target_splits(dataset: Dataset, n: int, n_targets: int, seed: int) -> list[tuple[Split, np.ndarray]]:
    """Independent splits: each target's members and non-members, and the pool that is left to its attacker."""
    checks.whole("n_targets", n_targets, 1)
    return [split_target(dataset, n, randomness.generator(seed, "target split", t)) for t in range(n_targets)]


class Job(NamedTuple):
    """Models to be trained together, model i on the members of split i; for a target's shadows, or (None) for the
    targets themselves.
    """

    target: int | None
    source: Source
    dataset: Dataset
    splits: list[Split]
    seed: int


def plan_jobs(
    dataset: Dataset, sources: Mapping[Source, Dataset], n: int, n_targets: int, n_shadows: int, seed: int
) -> list[Job]:
    """All trainings of an experiment: the targets on `dataset`, then each target's shadows on every source of shadow data.

    Sources share rows with `dataset`, so one pool serves all. Shadow i of a target has the same rows and the same initial
    weights whatever the source: sources differ in the data alone.
    """
    chosen = target_splits(dataset, n, n_targets, seed)
    jobs = [Job(None, REAL, dataset, [split for split, _ in chosen], randomness.derive(seed, "target"))]
    for t, (_, pool) in enumerate(chosen):
        shadow_seed = randomness.derive(seed, "shadows", t)
        splits = sample_splits(pool, n, n_shadows, shadow_seed)
        jobs += [Job(t, source, data, splits, shadow_seed) for source, data in sources.items()]
    return jobs


def announce(trainer: Trainer, jobs: Sequence[Job]) -> str:
    """What is about to be trained and what that takes here, in words; models whose answers are on disk are left out."""
    missing = sum(count_missing(trainer, job.dataset, job.splits, job.seed) for job in jobs)
    total = sum(len(job.splits) for job in jobs)
    text = f"{jobs[0].dataset.name}: {jobs[0].dataset.source} data; {missing} of {total} models to train"
    if not missing or not hasattr(trainer, "estimate"):
        return text
    together = max(len(job.splits) for job in jobs)
    estimate = trainer.estimate(jobs[0].dataset, len(jobs[0].splits[0].members), min(together, missing))
    return (
        f"{text}, about {estimate.seconds * missing / estimate.models:,.0f} s and {estimate.megabytes:,.0f} MB on this machine"
    )


def run_trials(trainer: Trainer, jobs: Sequence[Job]) -> list[Trial]:
    """Train what `plan_jobs` lists, or take it from disk: a trial for each target and source of shadow data."""
    done = [shadow_attack_data(trainer, job.dataset, job.splits, job.seed) for job in jobs]
    n_targets = len(jobs[0].splits)
    return [
        Trial(job.target, *job.source, some_models(done[0], job.target, job.target + 1, n_targets), shadows, len(job.splits))
        for job, shadows in zip(jobs, done, strict=True)
        if job.target is not None
    ]


def accuracies(trials: Sequence[Trial], tolerance: float = 0.05) -> pd.DataFrame:
    """Accuracy of each target, and of its shadows: target, setting, variant, model, train_accuracy, test_accuracy.

    Shadows on real data whose test accuracy is further than `tolerance` from their target's are named in a warning: an attack
    learns little from models that were trained otherwise.
    """
    rows, seen = [], set()
    for trial in trials:
        own, theirs = _accuracy(trial.answers), _accuracy(trial.shadows)
        if trial.target not in seen:
            rows.append((trial.target, *REAL, "target", *own))
        rows.append((trial.target, trial.setting, trial.variant, "shadows", *theirs))
        seen.add(trial.target)
        if (trial.setting, trial.variant) == REAL and abs(own[1] - theirs[1]) > tolerance:
            text = "target %s has test accuracy %.3f, its shadows %.3f: are they trained alike?"
            log.warning(text, trial.target, own[1], theirs[1])
    return pd.DataFrame(rows, columns=["target", "setting", "variant", "model", "train_accuracy", "test_accuracy"])


def _accuracy(data: AttackData) -> tuple[float, float]:
    """Share of members, and of non-members, whose class is answered right."""
    right = data.predictions.argmax(1) == data.labels
    return float(right[data.member].mean()), float(right[~data.member].mean())


def run_attacks(trials: Sequence[Trial], attacks: Mapping[str, Fit] = ATTACKS) -> list[Outcome]:
    """Fit every attack on each trial's shadows, and ask it about the target's records."""
    outcomes = []
    for trial in trials:
        for name, fit in attacks.items():
            fitted = fit(trial.shadows)
            outcomes.append(Outcome(trial, name, fitted.infer(trial.answers), fitted.membership_score(trial.answers)))
    return outcomes


def class_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Per-class metrics: target, setting, variant, attack, cls, n, precision, recall, accuracy."""
    parts = [
        metrics.by_class(o.trial.answers, o.decision).assign(
            target=o.trial.target, setting=o.trial.setting, variant=o.trial.variant, attack=o.attack
        )
        for o in outcomes
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[["target", "setting", "variant", "attack", "cls", "n", "precision", "recall", "accuracy"]]


def summary(outcomes: Sequence[Outcome], statistics: Sequence[str] = ("precision", "recall", "accuracy")) -> pd.DataFrame:
    """Mean over targets with 95% interval: setting, variant, attack, metric, value, low, high, n_targets, undefined."""
    rows = []
    for (setting, variant, name), group in _grouped(outcomes).items():
        pairs = [(o.trial.answers, o.decision) for o in group]
        for statistic in statistics:
            rows.append((setting, variant, name, statistic, *metrics.interval(pairs, statistic)))
    return pd.DataFrame(rows, columns=["setting", "variant", "attack", "metric", *metrics.Interval._fields])


def target_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Each target's own numbers: setting, variant, attack, target, precision, recall, accuracy."""
    names = [
        {"setting": o.trial.setting, "variant": o.trial.variant, "attack": o.attack, "target": o.trial.target} for o in outcomes
    ]
    return pd.DataFrame([n | metrics.overall(o.trial.answers, o.decision) for n, o in zip(names, outcomes, strict=True)])


def for_each_variant(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the rows of real shadow data repeated for each reading of noise, so that each reading fills a panel."""
    real = table["setting"] == REAL[0]
    variants = table.loc[~real, "variant"].unique()
    parts = [table[real | (table["variant"] == v)].assign(variant=v, reading=READINGS.get(v, v)) for v in variants]
    return pd.concat(parts or [table.assign(reading="no noise")], ignore_index=True)


def ranking(outcomes: Sequence[Outcome], fprs: Sequence[float] = (0.01, 0.1)) -> pd.DataFrame:
    """How well scores rank members above non-members, a row a target: setting, variant, attack, target, auc, tpr at
    each fpr.
    """
    rows = []
    for o in outcomes:
        tprs = {f"tpr_at_{fpr:g}": metrics.tpr_at_fpr(o.trial.answers, o.score, fpr) for fpr in fprs}
        name = {"setting": o.trial.setting, "variant": o.trial.variant, "attack": o.attack, "target": o.trial.target}
        rows.append(name | {"auc": metrics.auc(o.trial.answers, o.score)} | tprs)
    return pd.DataFrame(rows)


def roc_table(outcomes: Sequence[Outcome], points: int = 200) -> pd.DataFrame:
    """ROC curves, mean true positive rate over targets at `points` log-spaced false positive rates: setting, variant,
    attack, fpr, tpr.
    """
    grid = np.geomspace(1e-3, 1, points)
    parts = []
    for (setting, variant, name), group in _grouped(outcomes).items():
        curves = [metrics.roc(o.trial.answers, o.score) for o in group]
        tpr = np.mean([curve["tpr"].to_numpy()[np.searchsorted(curve["fpr"], grid, "right") - 1] for curve in curves], axis=0)
        parts.append(pd.DataFrame({"setting": setting, "variant": variant, "attack": name, "fpr": grid, "tpr": tpr}))
    return pd.concat(parts, ignore_index=True)


def by_shadow_count(trials: Sequence[Trial], counts: Iterable[int], fit: Fit = attack.fit_attack) -> pd.DataFrame:
    """The attack fitted on the first k shadows alone, for each k of `counts` that the trials have: k, and `summary`'s
    columns.
    """
    most = min(trial.n_shadows for trial in trials)
    usable = sorted({k for k in counts if 1 <= k <= most})
    if not usable:
        raise ValueError(f"counts must hold a number of shadow models between 1 and {most}, got {list(counts)}")
    parts = []
    for k in usable:
        fewer = [t._replace(shadows=some_models(t.shadows, 0, k, t.n_shadows), n_shadows=k) for t in trials]
        parts.append(summary(run_attacks(fewer, {LEARNED: fit})).assign(k=k))
    return pd.concat(parts, ignore_index=True)


def results_table(
    outcomes: Sequence[Outcome], rows: pd.DataFrame, *, dataset: Dataset, our_target: str, train_size: int
) -> pd.DataFrame:
    """A table for `paper.compare`: for each of the published `rows` (see `published_rows`), ours over the outcomes of its
    setting.

    setting "" stands for real shadow data. Metrics are named as published: attack_precision, attack_recall_p50,
    target_train_accuracy, target_test_accuracy. `our_target` and `train_size` are those of the models that were attacked.
    """
    table = []
    for key in rows[paper.KEY].drop_duplicates().to_dict("records"):
        for (setting, variant, _), group in _grouped(outcomes).items():
            if setting != (key["setting"] or REAL[0]):
                continue
            value = published_metric(group, key["metric"])._asdict()
            ours = {"source": dataset.source, "our_target": our_target, "our_train_size": float(train_size)}
            table.append(key | {"variant": variant} | value | ours)
    return pd.DataFrame(table)


def published_metric(group: Sequence[Outcome], metric: str) -> metrics.Interval:
    """A metric by its published name (attack_precision_p50, target_test_accuracy …), over the outcomes of several targets."""
    if metric in ("target_train_accuracy", "target_test_accuracy"):
        statistic = "recall" if "train" in metric else "false_positive_rate"
        answers = [o.trial.answers for o in group]
        return metrics.interval([(data, data.predictions.argmax(1) == data.labels) for data in answers], statistic)
    return metrics.interval([(o.trial.answers, o.decision) for o in group], metric.removeprefix("attack_"))


def _grouped(outcomes: Sequence[Outcome]) -> dict[tuple[str, str, str], list[Outcome]]:
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault((o.trial.setting, o.trial.variant, o.attack), []).append(o)
    return groups


SHORT = [
    "id",
    "setting",
    "variant",
    "metric",
    "published",
    "value",
    "low",
    "high",
    "n_targets",
    "difference",
    "verdict",
    "counts",
]


def published_rows(dataset: str, ids: Iterable[str]) -> pd.DataFrame:
    """The rows of `paper.published` of a data set under these experiments ("F8", "T2")."""
    table = paper.published()
    return table[(table["dataset"] == dataset) & table["id"].isin(list(ids))]


def beside_baselines(table: pd.DataFrame, compared: pd.DataFrame, setting: str = REAL[0]) -> pd.DataFrame:
    """Rows of `summary` for one source of shadow data, with the paper's value (column `published`) at the learned attack."""
    known = compared[(compared["setting"] == setting)].drop_duplicates("metric").set_index("metric")["published"]
    rows = table[table["setting"] == setting].copy()
    rows["published"] = [
        known.get(f"attack_{m}", np.nan) if a == LEARNED else np.nan
        for a, m in zip(rows["attack"], rows["metric"], strict=True)
    ]
    return rows.reset_index(drop=True)


def headline(compared: pd.DataFrame, metrics_shown: Sequence[str] = ("attack_precision", "attack_recall")) -> list[str]:
    """One line a headline number: ours with its interval, and the paper's."""
    rows = compared[compared["metric"].isin(metrics_shown) & (compared["setting"] != "")]
    rows = rows.assign(variant=rows["variant"].replace("none", ""))
    return [
        f"{row.dataset} ({row.source}, {row.our_target} target), {f'{row.setting} {row.variant}'.strip()}: {row.metric} "
        f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]; paper ({row.target}) {row.published:.3f}"
        for row in rows.itertuples()
    ]
