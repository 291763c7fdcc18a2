"""The families of the surrogate of Google's service, each fixed over all class counts: what is the classes' doing, and what the
surrogate's change of family.

The surrogate takes one of two for records of bits, by its own held-out accuracy (`study.google`); which one its answers do not
say. A model of a fixed family is to the last bit what the surrogate makes where it takes that family.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.core import checks, randomness
from mialib.core.types import BlackBox, Dataset, answered_right
from mialib.study import google
from mialib.study.experiments import ONLY_LEARNED, Experiment, Outcome, plan_jobs, run_attacks, run_trials
from mialib.study.google import CLEARLY, TOGETHER, TRIED_ON, ChosenModel, Learn, Learner
from mialib.study.tables import CASE, columns_first
from mialib.training import keys
from mialib.training.recipe import Estimate, check_rows

BIT_FAMILIES: dict[str, Learn] = {"network": google.network, "kernel machine": google.kernel_machine}  # the preferred one first

COMPARED_METRICS = ("held_out_accuracy", "target_test_accuracy", "attack_precision")


@dataclass(frozen=True)
class FixedFamily:
    """Trainer: the surrogate of Google's service with its family given, "network" or "kernel machine"; for records of bits.

    Raises ValueError for another family, and for records that the surrogate does not offer a kernel machine.
    """

    family: str

    def __post_init__(self) -> None:
        checks.choice("family", self.family, BIT_FAMILIES)

    @property
    def at_once(self) -> int:
        """Models in work before their answers are kept."""
        return TOGETHER

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each model: stored data, rows, the family, (seed, number) and the code that trains."""
        return keys.of_models(self, [None], {"family": self.family}, dataset, rows, seed, first, versions=False)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one model a row of `rows` (k, n), in the order of the rows."""
        rows = check_rows(dataset, rows)
        learners = _learners(dataset, rows, checks.whole("first", first, 0))
        asks = BIT_FAMILIES[self.family](learners, dataset.n_classes, seed)
        return [ChosenModel(ask, dataset.x.shape[1:], dataset.n_classes) for ask in asks]

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k models on n records each would take here: no more than the surrogate, which tries both."""
        return google.PredictionAPI().estimate(dataset, n, k)


def _learners(dataset: Dataset, rows: np.ndarray, first: int = 0) -> list[Learner]:
    if not google.few_bits(dataset.x[rows[0]]):
        raise ValueError(
            f"dataset must hold records of at most {google.MOST_BITS} bits, and a model at most {google.MOST_RECORDS} of them, "
            f"got {dataset.x.dtype} {dataset.x.shape[1:]} and {rows.shape[1]}"
        )
    return [Learner(dataset.x[row], dataset.y[row], first + j) for j, row in enumerate(rows)]


def held_out_accuracies(learner: Learner, n_classes: int, seed: int) -> dict[str, float]:
    """What the surrogate compares its families by: accuracy, by family, on a fifth of at most TRIED_ON of the learner's own
    records, trained on the rest of these. The same records and the same models as in `google.choose`.
    """
    order = randomness.generator(seed, "held out", learner.number).permutation(len(learner.x))[:TRIED_ON]
    kept, held = np.split(order, [len(order) - len(order) // 5])
    part = Learner(learner.x[kept], learner.y[kept], learner.number)
    asks = {name: next(iter(learn([part], n_classes, seed))) for name, learn in BIT_FAMILIES.items()}
    return {name: float((ask(learner.x[held]).argmax(1) == learner.y[held]).mean()) for name, ask in asks.items()}


def taken_family(accuracies: dict[str, float]) -> str:
    """The family that the surrogate takes: the network, unless the kernel machine is better by more than CLEARLY."""
    network, kernel_machine = BIT_FAMILIES
    return kernel_machine if accuracies[kernel_machine] > accuracies[network] + CLEARLY else network


def family_experiments(
    datasets: Iterable[Dataset], train_size: int, n_targets: int, n_shadows: int, seed: int
) -> list[Experiment]:
    """Each family on each data set, with sizes and seed as of an `Experiment`. With the seed of an experiment on the surrogate,
    the splits are the same, and so are the models wherever it takes the family.
    """
    return [
        Experiment(data, FixedFamily(family), f"{family} surrogate", train_size, n_targets, n_shadows, seed)
        for data in datasets
        for family in BIT_FAMILIES
    ]


def family_table(experiments: Sequence[Experiment]) -> pd.DataFrame:
    """The attack on each family at each class count, of `family_experiments`: the columns of a `Case`, n_classes, family,
    taken, metric, value, low, high, n_targets. Trains what is missing.

    metric: attack_precision and attack_recall of the paper's attack, with 95% intervals; target_train_accuracy,
    target_test_accuracy and held_out_accuracy, the last being what the surrogate goes by; low and high of these are the least
    and the largest of the targets. taken: the share of the targets for which the surrogate takes this family.
    """
    rows: list[dict[str, Any]] = []
    by_dataset: dict[str, list[dict[str, float]]] = {}
    for e in experiments:
        outcomes = run_attacks(run_trials(e), ONLY_LEARNED)
        tried = by_dataset[e.dataset.name] = by_dataset.get(e.dataset.name) or _tried(e)
        taken = float(np.mean([f"{taken_family(each)} surrogate" == e.our_target for each in tried]))
        family = e.our_target.removesuffix(" surrogate")
        about = outcomes[0].case._asdict() | {"n_classes": e.dataset.n_classes, "family": family, "taken": taken}
        rows += [about | row for row in _rows(outcomes, [each[family] for each in tried])]
    return columns_first(pd.DataFrame(rows), [*CASE, "n_classes", "family", "taken", "metric"])


def _tried(e: Experiment) -> list[dict[str, float]]:
    """The held-out accuracies of the families on each target's training set."""
    targets = plan_jobs(e._replace(n_shadows=0))[0]
    learners = _learners(e.dataset, np.stack([split.members for split in targets.splits]))
    return [held_out_accuracies(each, e.dataset.n_classes, targets.seed) for each in learners]


def _rows(outcomes: Sequence[Outcome], held_out: Sequence[float]) -> list[dict[str, Any]]:
    pairs = [(o.trial.answers, o.decision) for o in outcomes]
    rows = []
    for metric in ("precision", "recall"):
        value, low, high, n_targets, _ = metrics.interval(pairs, metric)
        rows.append({"metric": f"attack_{metric}", "value": value, "low": low, "high": high, "n_targets": n_targets})
    right = [(answered_right(answers), answers.member) for answers, _ in pairs]
    seen = {
        "target_train_accuracy": [float(hit[member].mean()) for hit, member in right],
        "target_test_accuracy": [float(hit[~member].mean()) for hit, member in right],
        "held_out_accuracy": list(held_out),
    }
    for metric, values in seen.items():
        ends: dict[str, Any] = {
            "value": float(np.mean(values)),
            "low": min(values),
            "high": max(values),
            "n_targets": len(values),
        }
        rows.append({"metric": metric, **ends})
    return rows


def family_choices(table: pd.DataFrame) -> pd.DataFrame:
    """`family_table`, a row a class count: n_classes, `taken`, the family that the surrogate takes, where targets differ with
    its share of them; then held-out and test accuracy and attack precision of each family, "metric: family".
    """
    shares = table.pivot_table(index="n_classes", columns="family", values="taken", sort=False)
    most = shares.max(axis=1)
    taken = shares.idxmax(axis=1).where(most == 1, shares.idxmax(axis=1) + most.map(" ({:.0%} of targets)".format))
    wide = table.pivot_table(index="n_classes", columns=["metric", "family"], values="value", sort=False)
    columns = [(metric, family) for metric in COMPARED_METRICS for family in shares]
    values = {f"{metric.replace('_', ' ')}: {family}": wide[metric, family] for metric, family in columns}
    return pd.DataFrame({"taken": taken, **values}).sort_index().reset_index()
