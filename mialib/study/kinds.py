"""Targets and shadows of other kinds than networks, and shadows of another kind than the target.

The paper's attack takes any model for a black box and names networks, support vector machines and logistic regression
(Sec. V-B); its attacker trains shadows of the target's kind. What if he guesses the kind wrong?
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib.attack.ablations import Fit
from mialib.core import checks
from mialib.core.types import Attack, Dataset, Trainer
from mialib.study.experiments import Experiment, Outcome, Trial, plan_jobs, run_attacks
from mialib.study.measured import COLUMNS_MEASURED, TWO_ATTACKS, gain_rows, measured_rows
from mialib.study.tables import accuracies
from mialib.training.estimators import EstimatorTrainer

NETWORK, SVM = "network", "SVM"
SVM_FOLDS = 2  # of the support vector machine's calibration: each class of a training set has as many records at least


def _svm() -> Any:
    """A linear support vector machine, one against the rest, its margins made probabilities on held-out folds (Platt 1999).

    scikit-learn's `SVC(probability=True)` is deprecated, and names this in its place. A softmax of margins would need no folds,
    but is no probability: shadows of other kinds would be compared with it on another scale.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import LinearSVC

    return CalibratedClassifierCV(LinearSVC(C=0.1), cv=SVM_FOLDS, ensemble=False)


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(tol=1e-3)


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100)


def _boosting() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=20, max_depth=3, max_features="sqrt")


def _nearest_neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(5)


def _naive_bayes() -> Any:
    from sklearn.naive_bayes import BernoulliNB

    return BernoulliNB()


ESTIMATORS: dict[str, Callable[[], Any]] = {  # kinds of model beside the network, which has a trainer of its own
    SVM: _svm,
    "logistic regression": _logistic_regression,
    "random forest": _random_forest,
    "boosting": _boosting,
    "nearest neighbours": _nearest_neighbours,
    "naive Bayes": _naive_bayes,
}
MODEL_KINDS = (NETWORK, *ESTIMATORS)


def kind_experiments(
    dataset: Dataset,
    network: Trainer,
    train_size: int,
    n_targets: int,
    n_shadows: int,
    seed: int,
    kinds: Iterable[str] = MODEL_KINDS,
) -> list[Experiment]:
    """An experiment a kind of model, with the same splits for all: `our_target` is the kind. network: the trainer of networks.

    Raises ValueError for a kind that is unknown or named twice, for records that are not vectors of bits, and where the
    training set of a support vector machine has a single record of a class.
    """
    kinds = [checks.choice("kinds", kind, MODEL_KINDS) for kind in kinds]
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"kinds must hold at least one kind, each once, got {kinds}")
    checks.instance("dataset", dataset, Dataset)
    if dataset.x.ndim != 2 or dataset.x.dtype != np.uint8 or dataset.x.max() > 1:
        raise ValueError(f"dataset must hold records of bits, uint8 (n, d), got {checks.kind(dataset.x)} of {dataset.name}")
    checks.whole("n_shadows", n_shadows, 1)
    found = []
    for kind in kinds:
        trainer = network if kind == NETWORK else EstimatorTrainer(ESTIMATORS[kind]())
        e = Experiment(dataset, trainer, kind, train_size, n_targets, n_shadows, seed)
        found.append(_with_folds(e) if kind == SVM else e)
    return found


def _with_folds(e: Experiment) -> Experiment:
    """The experiment; ValueError where its training sets cannot be cut into folds with records of each class."""
    for job in plan_jobs(e):
        for split in job.splits:
            least = np.unique(e.dataset.y[split.members], return_counts=True)[1].min()
            if least < SVM_FOLDS:
                why = f"the {SVM} is calibrated on {SVM_FOLDS} folds, and a training set has {least} record of one class"
                raise ValueError(f"train_size must be larger ({why}), got {e.train_size}")
    return e


def kind_table(trials: Sequence[Trial], attacks: Mapping[str, Fit] = TWO_ATTACKS) -> pd.DataFrame:
    """Each kind attacked with shadows of its own kind: dataset, source, kind, train_accuracy, test_accuracy (of the targets),
    attack, and the columns of `measured_rows`. trials: `run_trials` of `kind_experiments`.
    """
    accuracy = accuracies(_some_trials(trials), tolerance=1)
    accuracy = accuracy[accuracy["model"] == "target"].groupby(["dataset", "our_target"])
    mean = accuracy[["train_accuracy", "test_accuracy"]].mean()
    parts = []
    groups: dict[tuple[str, str, str, str], list[Outcome]] = {}
    for trial in trials:
        for o in run_attacks([trial], attacks):
            groups.setdefault((o.case.dataset, o.case.source, o.case.our_target, o.attack), []).append(o)
    for (dataset, source, kind, attack), outcomes in groups.items():
        front = {"dataset": dataset, "source": source, "kind": kind, **mean.loc[(dataset, kind)], "attack": attack}
        parts.append(measured_rows(outcomes).assign(**front)[[*front, *COLUMNS_MEASURED]])
    return pd.concat(parts, ignore_index=True)


def _some_trials(trials: Sequence[Trial]) -> Sequence[Trial]:
    if not trials:
        raise ValueError("trials must hold at least one, got none")
    return trials


def crossed_trials(trials: Sequence[Trial]) -> list[tuple[str, Trial]]:
    """Each trial with the shadows of every kind on its data set in the place of its own: (kind of the shadows, trial).

    All kinds have the same splits, so shadow i of every kind is trained on the same records. ValueError where a target lacks
    shadows of one of the kinds, or has them twice.
    """
    own = {(t.case.dataset, t.case.our_target, t.target): t for t in _some_trials(trials)}
    if len(own) < len(trials):
        raise ValueError(f"trials must hold each kind and target of a data set once, got {len(trials)} for {len(own)} of them")
    crossed = []
    for name, kind in dict.fromkeys((t.case.dataset, t.case.our_target) for t in trials):
        for trial in (t for t in trials if t.case.dataset == name):
            shadows = own.get((name, kind, trial.target))
            if shadows is None:
                raise ValueError(f"trials must hold shadows of every kind, {kind} lacks those of target {trial.target}")
            crossed.append((kind, trial._replace(load=shadows.load, n_shadows=shadows.n_shadows)))
    return crossed


def _crossed_outcomes(trials: Sequence[Trial], attacks: Mapping[str, Fit]) -> Iterator[tuple[str, Outcome]]:
    """What attacks say of each of `crossed_trials`; fitted once on the shadows that targets of all kinds are attacked with."""
    known: dict[tuple[str, str, int], dict[str, Attack]] = {}
    for kind, trial in crossed_trials(trials):
        on = trial.case.dataset, kind, trial.target
        if on not in known:
            shadows = trial.shadows
            known[on] = {name: fit(shadows) for name, fit in attacks.items()}
        for name, attack in known[on].items():
            yield kind, Outcome(trial, name, attack.infer(trial.answers), attack.membership_score(trial.answers))


def wrong_kind_table(trials: Sequence[Trial], attacks: Mapping[str, Fit] = TWO_ATTACKS) -> pd.DataFrame:
    """Each kind attacked with the shadows of every kind: dataset, source, target_kind, shadow_kind, attack, and the columns of
    `measured_rows`; where the kinds differ, also the differences to shadows of the right kind (`gain_rows`).

    trials: of all kinds and targets, as of `crossed_trials`, which raises.
    """
    groups: dict[tuple[str, str, str, str, str], list[Outcome]] = {}
    for shadow_kind, o in _crossed_outcomes(trials, attacks):
        groups.setdefault((o.case.dataset, o.case.source, o.case.our_target, shadow_kind, o.attack), []).append(o)
    parts = []
    for (dataset, source, kind, shadow_kind, attack), outcomes in groups.items():
        front = {"dataset": dataset, "source": source, "target_kind": kind, "shadow_kind": shadow_kind, "attack": attack}
        rows = [measured_rows(outcomes)]
        if shadow_kind != kind:
            rows.append(gain_rows(outcomes, groups[dataset, source, kind, kind, attack]))
        parts += [part.assign(**front)[[*front, *COLUMNS_MEASURED]] for part in rows]
    table = pd.concat(parts, ignore_index=True)
    order = {kind: place for place, kind in enumerate(dict.fromkeys(t.case.our_target for t in trials))}
    return table.sort_values("target_kind", key=lambda names: names.map(order), kind="stable", ignore_index=True)
