"""The families of the surrogate of Google's service, each fixed over all class counts: what is the classes' doing, and what the
surrogate's change of family.

The surrogate takes one of two for records of bits, by its own held-out accuracy (`study.google`); which one its answers do not
say. A model of a fixed family is to the last bit what the surrogate makes where it takes that family.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.core.types import Dataset, answered_right
from mialib.study import google
from mialib.study.experiments import ONLY_LEARNED, Experiment, Outcome, plan_jobs, run_attacks, run_trials
from mialib.study.google import BIT_FAMILIES, FixedFamily
from mialib.study.tables import CASE, columns_first

COMPARED_METRICS = ("held_out_accuracy", "target_test_accuracy", "attack_precision")


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
    by_dataset: dict[str, list[list[float]]] = {}
    for e in experiments:
        outcomes = run_attacks(run_trials(e), ONLY_LEARNED)
        tried = by_dataset[e.dataset.name] = by_dataset.get(e.dataset.name) or _tried(e)
        family = e.our_target.removesuffix(" surrogate")
        place = [*BIT_FAMILIES].index(family)
        taken = float(np.mean([google.taken(accuracies) == place for accuracies in tried]))
        about = outcomes[0].case._asdict() | {"n_classes": e.dataset.n_classes, "family": family, "taken": taken}
        rows += [about | row for row in _rows(outcomes, [accuracies[place] for accuracies in tried])]
    return columns_first(pd.DataFrame(rows), [*CASE, "n_classes", "family", "taken", "metric"])


def _tried(e: Experiment) -> list[list[float]]:
    """For each target the held-out accuracies of the families, in their order."""
    targets = plan_jobs(e._replace(n_shadows=0))[0]
    learners = google.learners_of(e.dataset, np.stack([split.members for split in targets.splits]))
    return google.held_out_accuracies([*BIT_FAMILIES.values()], learners, e.dataset.n_classes, targets.seed)


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
