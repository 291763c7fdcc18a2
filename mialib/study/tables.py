"""Tidy tables of what attacks said: one row a class, a target, a setting or a number of shadow models.

Every table begins with the columns of `study.Case`: dataset, source, our_target, train_size, setting, variant.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack.ablations import Fit
from mialib.attack.learned import fit_attack
from mialib.attack.thresholds import confidence, negative_entropy
from mialib.core.types import AttackData, Dataset, Split, answered_right
from mialib.data.catalogue import class_name
from mialib.study.experiments import LEARNED, REAL, Case, Outcome, Trial, run_attacks, usable_counts

log = logging.getLogger(__name__)

CASE = list(Case._fields)
TARGETS = CASE[:4]  # the columns that tell of the targets alone, whatever their attackers have
BY_CLASS = ("precision", "recall", "precision_p50", "recall_p50")  # over all records, and medians of the classes


def _frame(cases: Iterable[Case], parts: Iterable[dict[str, Any] | pd.DataFrame]) -> pd.DataFrame:
    """One table of rows or small tables, each with its case in front."""
    tables = [
        (part if isinstance(part, pd.DataFrame) else pd.DataFrame([part])).assign(**case._asdict())
        for case, part in zip(cases, parts, strict=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    return columns_first(table, CASE)


def columns_first(table: pd.DataFrame, first: Iterable[str]) -> pd.DataFrame:
    """The table with these columns in front, the others after them in their order."""
    first = list(first)
    return table[[*first, *(column for column in table if column not in first)]]


def _grouped(outcomes: Sequence[Outcome]) -> dict[tuple[Case, str], list[Outcome]]:
    groups: dict[tuple[Case, str], list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault((o.case, o.attack), []).append(o)
    return groups


def accuracies(trials: Sequence[Trial], tolerance: float = 0.05) -> pd.DataFrame:
    """Accuracy of each target, and of its shadows: target, model, train_accuracy, test_accuracy.

    Shadows on real data whose test accuracy is further than `tolerance` from their target's are named in a warning: an attack
    learns little from models that were trained otherwise.
    """
    cases: list[Case] = []
    rows: list[dict[str, Any]] = []
    for trial in trials:
        target, shadows = _accuracy(trial.answers), _accuracy(trial.shadows)
        itself = trial.case._replace(setting=REAL[0], variant=REAL[1])
        if not any(case == itself and row["target"] == trial.target for case, row in zip(cases, rows, strict=True)):
            cases.append(itself)
            rows.append({"target": trial.target, "model": "target"} | target)
        cases.append(trial.case)
        rows.append({"target": trial.target, "model": "shadows"} | shadows)
        off = abs(target["test_accuracy"] - shadows["test_accuracy"])
        if (trial.case.setting, trial.case.variant) == REAL and off > tolerance:
            text = "%s: target %s has test accuracy %.3f, its shadows %.3f: are they trained alike?"
            log.warning(text, trial.case.dataset, trial.target, target["test_accuracy"], shadows["test_accuracy"])
    return _frame(cases, rows)


def shadow_accuracies(trials: Sequence[Trial]) -> pd.DataFrame:
    """How well every shadow learned: target, shadow (its number), train_accuracy, test_accuracy, and member_confidence_p05,
    the probability of the true class that all but 5% of its members exceed.
    """
    numbered = [(trial, i, part) for trial in trials for i, part in enumerate(trial.answers_by_shadow())]
    rows = [{"target": trial.target, "shadow": i} | _accuracy(part) | _least_confidence(part) for trial, i, part in numbered]
    return _frame([trial.case for trial, _, _ in numbered], rows)


def _least_confidence(data: AttackData) -> dict[str, float]:
    return {"member_confidence_p05": float(np.quantile(confidence(data)[data.member], 0.05))}


def confidences(trials: Sequence[Trial]) -> pd.DataFrame:
    """How sure targets and their shadows are of the true class, medians over records: target, model, members, nonmembers.

    An attack learns from its shadows what these numbers are for the target: where they lie apart, it learns the wrong ones.
    """
    asked = [
        (trial, model, data) for trial in trials for model, data in (("target", trial.answers), ("shadows", trial.shadows))
    ]
    rows = [{"target": trial.target, "model": model} | _confidence(data) for trial, model, data in asked]
    return _frame([trial.case for trial, _, _ in asked], rows)


def _confidence(data: AttackData) -> dict[str, float]:
    sure = confidence(data)
    return {"members": float(np.median(sure[data.member])), "nonmembers": float(np.median(sure[~data.member]))}


def _accuracy(data: AttackData) -> dict[str, float]:
    """Share of members, and of non-members, whose class is answered right."""
    right = answered_right(data)
    return {"train_accuracy": float(right[data.member].mean()), "test_accuracy": float(right[~data.member].mean())}


def mean_accuracies(table: pd.DataFrame) -> pd.DataFrame:
    """`accuracies`, averaged over targets: one row a case and kind of model."""
    columns = ["train_accuracy", "test_accuracy"]
    return table.groupby([*CASE, "model"], sort=False)[columns].mean().reset_index()


def class_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Per-class metrics: target, attack, cls, n, precision, recall, accuracy."""
    parts = [metrics.by_class(o.trial.answers, o.decision).assign(target=o.trial.target, attack=o.attack) for o in outcomes]
    table = _frame([o.case for o in outcomes], parts)
    return table[[*CASE, "target", "attack", "cls", "n", "precision", "recall", "accuracy"]]


def class_facts(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """What Fig. 11 draws, a row a class: target, cls, precision, train_fraction (its share of the training set), train_test_gap
    (train accuracy minus test accuracy on its records).
    """
    return _frame([o.case for o in outcomes], [_class_facts(o).assign(target=o.trial.target) for o in outcomes])


def _class_facts(o: Outcome) -> pd.DataFrame:
    answers = o.trial.answers
    right = metrics.count(answers, answered_right(answers))
    table = pd.DataFrame(
        {
            "cls": np.arange(len(right.members)),
            "precision": metrics.precision(metrics.count(answers, o.decision)),
            "train_fraction": right.members / right.members.sum(),
            "train_test_gap": metrics.recall(right) - metrics.false_positive_rate(right),
        }
    )
    return table[right.members + right.nonmembers > 0]


SCATTERS = {  # the panels of Fig. 11, and what they show of `class_facts`: x, y
    "precision by class share": ("train_fraction", "precision"),
    "precision by gap": ("train_test_gap", "precision"),
    "gap by class share": ("train_fraction", "train_test_gap"),
}


def class_scatters(facts: pd.DataFrame) -> pd.DataFrame:
    """`class_facts` as the three scatters of Fig. 11: dataset, source, our_target, panel, x, y, a row a class,
    target and panel.
    """
    parts = [facts.assign(panel=panel, x=facts[x], y=facts[y]) for panel, (x, y) in SCATTERS.items()]
    return pd.concat(parts, ignore_index=True)[["dataset", "source", "our_target", "panel", "x", "y"]]


def summary(outcomes: Sequence[Outcome], statistics: Sequence[str] = ("precision", "recall", "accuracy")) -> pd.DataFrame:
    """Mean over targets with 95% interval: attack, metric, value, low, high, n_targets, undefined."""
    cases, rows = [], []
    for (case, name), group in _grouped(outcomes).items():
        pairs = [(o.trial.answers, o.decision) for o in group]
        for statistic in statistics:
            cases.append(case)
            rows.append({"attack": name, "metric": statistic} | metrics.interval(pairs, statistic)._asdict())
    return _frame(cases, rows)


def target_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Each target's own numbers: attack, target, precision, recall, accuracy."""
    rows = [{"attack": o.attack, "target": o.trial.target} | metrics.overall(o.trial.answers, o.decision) for o in outcomes]
    return _frame([o.case for o in outcomes], rows)


def ranking(outcomes: Sequence[Outcome], fprs: Sequence[float] = (0.01, 0.1)) -> pd.DataFrame:
    """How well scores rank members above non-members, a row a target: attack, target, auc, tpr at each fpr; NaN at a rate that
    the target's non-members are too few to carry (`metrics.can_carry`).
    """
    rows = []
    for o in outcomes:
        answers, n_nonmembers = o.trial.answers, int((~o.trial.answers.member).sum())
        row = {"attack": o.attack, "target": o.trial.target, "auc": metrics.auc(answers, o.score)}
        for fpr in fprs:
            carried = metrics.can_carry(fpr, n_nonmembers)
            row[f"tpr_at_{fpr:g}"] = metrics.tpr_at_fpr(answers, o.score, fpr) if carried else np.nan
        rows.append(row)
    return _frame([o.case for o in outcomes], rows)


def roc_table(outcomes: Sequence[Outcome], points: int = 200) -> pd.DataFrame:
    """ROC curves, mean true positive rate over targets at `points` log-spaced false positive rates: attack, fpr, tpr, and its
    95% interval as `metrics.tpr_table` has it: low, high. They begin at 0.001, or at 1 / non-members where a target has fewer
    than 1,000.

    An attack whose scores are a yes or no (the correctness gap) has no curve: one row, the mean rates of its decision.
    """
    cases, parts = [], []
    for (case, name), group in _grouped(outcomes).items():
        yes_or_no = all(len(np.unique(o.score)) <= 2 for o in group)
        cases.append(case)
        parts.append((_roc_point(group) if yes_or_no else _roc_curve(group, points)).assign(attack=name))
    return columns_first(_frame(cases, parts), [*CASE, "attack"])


def _roc_point(group: Sequence[Outcome]) -> pd.DataFrame:
    pairs = [(o.trial.answers, o.decision) for o in group]
    tpr, fpr = (metrics.interval(pairs, statistic) for statistic in ("recall", "false_positive_rate"))
    return pd.DataFrame([{"fpr": fpr.value, "tpr": tpr.value, "low": tpr.low, "high": tpr.high}])


def _roc_curve(group: Sequence[Outcome], points: int) -> pd.DataFrame:
    grid = np.geomspace(max(1e-3, *(1 / (~o.trial.answers.member).sum() for o in group)), 1, points)
    curves = [metrics.roc(o.trial.answers, o.score) for o in group]
    tpr = np.mean([curve["tpr"].to_numpy()[np.searchsorted(curve["fpr"], grid, "right") - 1] for curve in curves], axis=0)
    scores, member = (np.stack(part) for part in zip(*((o.score, o.trial.answers.member) for o in group), strict=True))
    table = metrics.tpr_table(scores, member, fprs=grid.tolist())
    bands = table[(table["metric"] == "tpr") & ~table["pooled"].astype(bool)][["fpr", "low", "high"]]
    return pd.DataFrame({"fpr": grid, "tpr": tpr}).merge(bands, how="left", on="fpr")


def by_shadow_count(trials: Sequence[Trial], counts: Iterable[int], fit: Fit = fit_attack) -> pd.DataFrame:
    """The attack fitted on the first k shadows alone, for each k of `counts` that all trials of a case have: `summary`'s
    columns, k. Cases may differ in their numbers of shadows.
    """
    cases: dict[Case, list[Trial]] = {}
    for trial in trials:
        cases.setdefault(trial.case, []).append(trial)
    counts = list(counts)
    parts = []
    for group in cases.values():
        for k in usable_counts(group, counts):
            parts.append(summary(run_attacks([trial.first_shadows(k) for trial in group], {LEARNED: fit})).assign(k=k))
    return pd.concat(parts, ignore_index=True)


def answer_histograms(outcomes: Sequence[Outcome], bins: int = 10) -> pd.DataFrame:
    """What Fig. 12 draws, over all targets of a case: member, quantity, bin_left, share (of the records in that bin).

    quantity: "uncertainty", the entropy of the prediction vector over the log of the number of classes; "accuracy", the
    probability that the model gives the true class (paper, p. 12).
    """
    cases, parts = [], []
    edges = np.linspace(0, 1, bins + 1)
    answers: dict[Case, dict[int, AttackData]] = {}
    for o in outcomes:
        answers.setdefault(o.case, {})[o.trial.target] = o.trial.answers
    for quantity, of in QUANTITIES.items():  # all cases of one quantity, then all of the other: rows of panels
        for case, targets in answers.items():
            for member in (True, False):
                values = np.concatenate([of(data)[data.member == member] for data in targets.values()])
                shares = np.histogram(np.clip(values, 0, 1), edges)[0] / len(values)
                cases.append(case)
                parts.append(pd.DataFrame({"member": member, "quantity": quantity, "bin_left": edges[:-1], "share": shares}))
    return _frame(cases, parts)


QUANTITIES = {
    "uncertainty": lambda data: -negative_entropy(data) / np.log(data.predictions.shape[1]),
    "accuracy": confidence,
}


def true_class_counts(trials: Sequence[Trial], bins: int = 20) -> pd.DataFrame:
    """How many records the targets of a case, all together, give their true class a probability between bin_left and bin_right:
    member, bin_left, bin_right, records, n_targets, a row a bin. The last bin holds its right end, too.
    """
    edges = np.linspace(0, 1, bins + 1)
    answers: dict[Case, dict[int, AttackData]] = {}
    for trial in trials:
        answers.setdefault(trial.case, {})[trial.target] = trial.answers
    cases, parts = [], []
    for case, targets in answers.items():
        for member in (True, False):
            sure = np.concatenate([confidence(data)[data.member == member] for data in targets.values()])
            ends = {"bin_left": edges[:-1], "bin_right": edges[1:]}
            counts = {"records": np.histogram(np.clip(sure, 0, 1), edges)[0], "n_targets": len(targets)}
            cases.append(case)
            parts.append(pd.DataFrame({"member": member, **ends, **counts}))
    return _frame(cases, parts)


def leaking_pictures(outcome: Outcome, dataset: Dataset, split: Split, classes: Iterable[int]) -> pd.DataFrame:
    """Of each class, the member that the attack is surest of, and the one it is least sure of: cls, name, exposed (bool),
    score, confidence (the target's, in the true class), height, width, pixels (hexadecimal RGB bytes, row by row).

    outcome: what the attack said of the target whose members and non-members are `split`, rows of `dataset` (images).
    """
    rows = split.rows
    answers = outcome.trial.answers
    if len(rows) != len(answers.labels) or (dataset.y[rows] != answers.labels).any():
        raise ValueError(f"split must be that of the outcome's target, {len(answers.labels)} records, got {len(rows)} others")
    if dataset.x.ndim != 4 or dataset.x.shape[3] != 3:
        raise ValueError(f"dataset must hold images (n, h, w, 3), got records of shape {dataset.x.shape[1:]}")
    found = []
    for c in classes:
        of_class = np.flatnonzero(answers.member & (answers.labels == c))
        if len(of_class):
            found += [(of_class[outcome.score[of_class].argmax()], True), (of_class[outcome.score[of_class].argmin()], False)]
    places, exposed = (np.array(part) for part in zip(*found, strict=True))
    labels, shown = answers.labels[places], dataset.x[rows[places]]
    return pd.DataFrame(
        {
            "cls": labels,
            "name": [class_name(dataset.name, c) for c in labels],
            "exposed": exposed,
            "score": outcome.score[places],
            "confidence": confidence(answers)[places],
            "height": shown.shape[1],
            "width": shown.shape[2],
            "pixels": [picture.tobytes().hex() for picture in shown],
        }
    )


def alternatives(tried: Mapping[str, Sequence[AttackData]]) -> pd.DataFrame:
    """Accuracy of targets that were trained in several ways, given as their answers (`study.run_targets`): choice,
    train_accuracy, test_accuracy with its 95% interval (low, high), n_targets.
    """
    rows = []
    for choice, targets in tried.items():
        train, test = (target_accuracy(targets, member) for member in (True, False))
        test_row = {"test_accuracy": test.value, "low": test.low, "high": test.high, "n_targets": test.n_targets}
        rows.append({"choice": choice, "train_accuracy": train.value} | test_row)
    return pd.DataFrame(rows)


def target_accuracy(targets: Sequence[AttackData], member: bool) -> metrics.Interval:
    """Share of members (or of non-members) whose class is answered right: mean over targets, with its interval."""
    right = [(data, answered_right(data)) for data in targets]
    return metrics.interval(right, "recall" if member else "false_positive_rate")


def published_metric(group: Sequence[Outcome], metric: str) -> metrics.Interval:
    """A metric by its published name (attack_precision_p50, target_test_accuracy …), over the outcomes of several targets."""
    pairs = [(o.trial.answers, o.decision) for o in group]
    if metric in ("target_train_accuracy", "target_test_accuracy"):
        return target_accuracy([data for data, _ in pairs], member="train" in metric)
    if metric.startswith("n_classes_"):
        share = metrics.interval(pairs, metric.removeprefix("n_classes_"))
        n_classes = pairs[0][0].predictions.shape[1]
        return share._replace(value=share.value * n_classes, low=share.low * n_classes, high=share.high * n_classes)
    name = metric.removeprefix("attack_")
    base, _, number = name.rpartition("_class_")
    return metrics.interval(pairs, f"{base}_class_{int(number) - 1}" if base else name)  # the paper counts classes from 1
