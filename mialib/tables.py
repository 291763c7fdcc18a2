"""Tidy tables of what attacks said: one row a class, a target, a setting or a number of shadow models.

Every table begins with the columns of `study.Case`: dataset, source, our_target, train_size, setting, variant.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib import attack, checks, metrics, paper
from mialib.class_names import class_name
from mialib.data import Dataset, Split
from mialib.shadow import AttackData, answered_right
from mialib.study import LEARNED, REAL, Case, Fit, Outcome, Trial, run_attacks, usable_counts

log = logging.getLogger(__name__)

CASE = list(Case._fields)
TARGETS = CASE[:4]  # the columns that tell of the targets alone, whatever their attackers have
READINGS = {"flip": "bits flipped", "random": "bits replaced"}
NAMES = {  # how figures and headlines call targets, sources of shadow data, and data sets
    "google": "Google",
    "amazon(10,1e-6)": "Amazon (10, 1e-6)",
    "amazon(100,1e-4)": "Amazon (100, 1e-4)",
    "local": "local network",
    "shadow:real": "real",
    "shadow:noise10": "10% noise",
    "shadow:noise20": "20% noise",
    "shadow:marginal": "marginal",
    "shadow:model_based": "model-based",
    "adult": "Adult",
    "mnist": "MNIST",
    "location": "Location",
    "texas": "Texas",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    **{f"purchase{n}": f"Purchase-{n}" for n in (2, 10, 20, 50, 100)},
}
BY_CLASS = ("precision", "recall", "precision_p50", "recall_p50")  # over all records, and medians of the classes
SURROGATE = " surrogate"
SIZE = "n = {:,}"
SHORT = [
    "id",
    "our_target",
    "setting",
    "variant",
    "metric",
    "published",
    "value",
    "low",
    "high",
    "n_targets",
    "verdict",
    "counts",
]


def _frame(cases: Iterable[Case], parts: Iterable[dict[str, Any] | pd.DataFrame]) -> pd.DataFrame:
    """One table of rows or small tables, each with its case in front."""
    tables = [
        (part if isinstance(part, pd.DataFrame) else pd.DataFrame([part])).assign(**case._asdict())
        for case, part in zip(cases, parts, strict=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[[*CASE, *(column for column in table if column not in CASE)]]


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
        own, theirs = _accuracy(trial.answers), _accuracy(trial.shadows)
        itself = trial.case._replace(setting=REAL[0], variant=REAL[1])
        if not any(case == itself and row["target"] == trial.target for case, row in zip(cases, rows, strict=True)):
            cases.append(itself)
            rows.append({"target": trial.target, "model": "target"} | own)
        cases.append(trial.case)
        rows.append({"target": trial.target, "model": "shadows"} | theirs)
        off = abs(own["test_accuracy"] - theirs["test_accuracy"])
        if (trial.case.setting, trial.case.variant) == REAL and off > tolerance:
            text = "%s: target %s has test accuracy %.3f, its shadows %.3f: are they trained alike?"
            log.warning(text, trial.case.dataset, trial.target, own["test_accuracy"], theirs["test_accuracy"])
    return _frame(cases, rows)


def shadow_accuracies(trials: Sequence[Trial]) -> pd.DataFrame:
    """How well every shadow learned: target, shadow (its number), train_accuracy, test_accuracy, and member_confidence_p05,
    the probability of the true class that all but 5% of its members exceed.
    """
    numbered = [(trial, i, part) for trial in trials for i, part in enumerate(trial.each_shadow())]
    rows = [{"target": trial.target, "shadow": i} | _accuracy(part) | _least_confidence(part) for trial, i, part in numbered]
    return _frame([trial.case for trial, _, _ in numbered], rows)


def _least_confidence(data: AttackData) -> dict[str, float]:
    return {"member_confidence_p05": float(np.quantile(attack.confidence(data)[data.member], 0.05))}


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
    sure = attack.confidence(data)
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
    """How well scores rank members above non-members, a row a target: attack, target, auc, tpr at each fpr."""
    rows = []
    for o in outcomes:
        tprs = {f"tpr_at_{fpr:g}": metrics.tpr_at_fpr(o.trial.answers, o.score, fpr) for fpr in fprs}
        rows.append({"attack": o.attack, "target": o.trial.target, "auc": metrics.auc(o.trial.answers, o.score)} | tprs)
    return _frame([o.case for o in outcomes], rows)


def roc_table(outcomes: Sequence[Outcome], points: int = 200) -> pd.DataFrame:
    """ROC curves, mean true positive rate over targets at `points` log-spaced false positive rates: attack, fpr, tpr."""
    grid = np.geomspace(1e-3, 1, points)
    cases, parts = [], []
    for (case, name), group in _grouped(outcomes).items():
        curves = [metrics.roc(o.trial.answers, o.score) for o in group]
        tpr = np.mean([curve["tpr"].to_numpy()[np.searchsorted(curve["fpr"], grid, "right") - 1] for curve in curves], axis=0)
        cases.append(case)
        parts.append(pd.DataFrame({"attack": name, "fpr": grid, "tpr": tpr}))
    return _frame(cases, parts)


def by_shadow_count(trials: Sequence[Trial], counts: Iterable[int], fit: Fit = attack.fit_attack) -> pd.DataFrame:
    """The attack fitted on the first k shadows alone, for each k of `counts` that the trials have: `summary`'s columns, k."""
    parts = []
    for k in usable_counts(trials, counts):
        parts.append(summary(run_attacks([trial.first_shadows(k) for trial in trials], {LEARNED: fit})).assign(k=k))
    return pd.concat(parts, ignore_index=True)


def histograms(outcomes: Sequence[Outcome], bins: int = 10) -> pd.DataFrame:
    """What Fig. 12 draws, over all targets of a case: member, quantity, bin_left, share (of the records in that bin).

    quantity: "uncertainty", the entropy of the prediction vector over the log of the number of classes; "accuracy", the
    probability that the model gives the true class (paper, p. 12).
    """
    cases, parts = [], []
    edges = np.linspace(0, 1, bins + 1)
    answers: dict[Case, dict[int, AttackData]] = {}
    for o in outcomes:
        answers.setdefault(o.case, {})[o.trial.target] = o.trial.answers
    for case, targets in answers.items():
        for member in (True, False):
            for quantity, of in QUANTITIES.items():
                values = np.concatenate([of(data)[data.member == member] for data in targets.values()])
                shares = np.histogram(np.clip(values, 0, 1), edges)[0] / len(values)
                cases.append(case)
                parts.append(pd.DataFrame({"member": member, "quantity": quantity, "bin_left": edges[:-1], "share": shares}))
    return _frame(cases, parts)


QUANTITIES = {
    "uncertainty": lambda data: -attack.negative_entropy(data) / np.log(data.predictions.shape[1]),
    "accuracy": attack.confidence,
}


def lines(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The table with a column `line`: what the line of a row is called in a figure, from `by` ("setting", "our_target" or
    "train_size").
    """
    if by == "train_size":
        return table.assign(line=table[by].map(SIZE.format))
    key = table[by].str.removesuffix(SURROGATE)
    return table.assign(line=key.map(NAMES).fillna(key))


def fig4_paper(dataset: str) -> pd.DataFrame:
    """The paper's points of Fig. 4 for "cifar10" or "cifar100": line ("n = 2,500"), cls (from 0; of CIFAR-100 the rank of the
    class by precision), value.
    """
    side = {"cifar10": "left", "cifar100": "right"}[checks.choice("dataset", dataset, ("cifar10", "cifar100"))]
    points = paper.curves(f"Fig. 4 {side}")
    sizes = points["series"].str.rpartition("n=")[2].astype(int)
    return pd.DataFrame({"line": sizes.map(SIZE.format), "cls": points["key"].astype(int) - 1, "value": points["value"]})


def pictures(outcome: Outcome, dataset: Dataset, split: Split, classes: Iterable[int]) -> pd.DataFrame:
    """Of each class, the member that the attack is surest of, and the one it is least sure of: cls, name, exposed (bool),
    score, confidence (the target's, in the true class), height, width, pixels (hexadecimal RGB bytes, row by row).

    outcome: what the attack said of the target whose members and non-members are `split`, rows of `dataset` (images).
    """
    rows = np.concatenate(split)
    answers = outcome.trial.answers
    if len(rows) != len(answers.labels) or (dataset.y[rows] != answers.labels).any():
        raise ValueError(f"split must be that of the outcome's target, {len(answers.labels)} records, got {len(rows)} others")
    if dataset.x.ndim != 4 or dataset.x.shape[3] != 3:
        raise ValueError(f"dataset must hold images (n, h, w, 3), got records of shape {dataset.x.shape[1:]}")
    found = []
    for c in classes:
        own = np.flatnonzero(answers.member & (answers.labels == c))
        if len(own):
            found += [(own[outcome.score[own].argmax()], True), (own[outcome.score[own].argmin()], False)]
    places, exposed = (np.array(part) for part in zip(*found, strict=True))
    labels = answers.labels[places]
    names = [class_name(dataset.name, c) for c in labels]
    columns = {"cls": labels, "name": names, "exposed": exposed, "score": outcome.score[places]}
    shown = dataset.x[rows[places]]
    return pd.DataFrame(
        columns
        | {"confidence": attack.confidence(answers)[places], "height": shown.shape[1], "width": shown.shape[2]}
        | {"pixels": [picture.tobytes().hex() for picture in shown]}
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


def panels(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The table with a column `panel`, the values of the columns `by`, ordered by it as they appear: a figure's facets."""
    names = table[list(by)].drop_duplicates().agg(": ".join, axis=1)
    panel = table[list(by)].agg(": ".join, axis=1)
    order = panel.map({name: place for place, name in enumerate(names)})
    return table.assign(panel=panel).iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def for_each_variant(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the rows of real shadow data repeated for each reading of noise, so that each reading fills a panel."""
    real = table["setting"] == REAL[0]
    variants = table.loc[~real, "variant"].unique()
    parts = [table[real | (table["variant"] == v)].assign(variant=v, reading=READINGS.get(v, v)) for v in variants]
    return pd.concat(parts or [table.assign(reading="no noise")], ignore_index=True)


def fig11(facts: pd.DataFrame) -> pd.DataFrame:
    """`class_facts` as the three scatters of Fig. 11: line (the data set), panel, x, y, a row a class and target."""
    parts = [
        facts.assign(panel=panel, x=facts[x], y=facts[y], line=facts["dataset"].replace(NAMES))[["line", "panel", "x", "y"]]
        for panel, (_, x, y) in PANELS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def fig11_paper() -> pd.DataFrame:
    """The paper's points, as `fig11`."""
    parts = [
        paper.curves(figure, f"{x} -> {y}".replace("precision", "attack_precision")).assign(panel=panel)
        for panel, (figure, x, y) in PANELS.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.rename(columns={"series": "line", "key": "x", "value": "y"})[["line", "panel", "x", "y"]]


PANELS = {
    "precision by class share": ("Fig. 11 left", "train_fraction", "precision"),
    "precision by gap": ("Fig. 11 middle", "train_test_gap", "precision"),
    "gap by class share": ("Fig. 11 right", "train_fraction", "train_test_gap"),
}


def fig12(bars: pd.DataFrame) -> pd.DataFrame:
    """`histograms` with the column `panel`, the data set and the quantity; first all panels of one quantity."""
    panels = bars["dataset"].replace(NAMES) + ": " + bars["quantity"]
    rows = bars.assign(panel=panels).sort_values("quantity", ascending=False, kind="stable", ignore_index=True)
    return rows[["panel", "member", "bin_left", "share"]]


def fig12_paper() -> pd.DataFrame:
    """The paper's bars, as `fig12`."""
    parts = [
        paper.curves("Fig. 12", short).assign(quantity=long) for short, long in (("unc", "uncertainty"), ("acc", "accuracy"))
    ]
    table = pd.concat(parts, ignore_index=True)
    names = table["series"].str.partition(" ")
    table = table.assign(panel=names[0] + ": " + table["quantity"], member=names[2] == "members")
    return table.rename(columns={"key": "bin_left", "value": "share"})[["panel", "member", "bin_left", "share"]]


# Beside the paper


def published_rows(dataset: str, ids: Iterable[str]) -> pd.DataFrame:
    """The rows of `paper.published` of a data set under these experiments ("F8", "T2")."""
    table = paper.published()
    return table[(table["dataset"] == dataset) & table["id"].isin(list(ids))]


def own_kind(values: pd.DataFrame) -> pd.Series:
    """Which rows are of the paper's kind of target, or of the surrogate in its place: bool, from `our_target` and `target`."""
    return values["our_target"].str.removesuffix(SURROGATE) == values["target"]


def results_table(outcomes: Sequence[Outcome], ids: Iterable[str]) -> pd.DataFrame:
    """A table for `paper.compare`: ours for every value published under `ids` of the data sets that were attacked.

    A case stands beside the paper's target of the same name (a surrogate beside the service), else beside the only one that the
    paper has; beside the same training size, else the nearest one. An empty setting stands for real shadow data.
    """
    ids = list(ids)
    cases, rows = [], []
    for (case, _), group in _grouped(outcomes).items():
        for key in _beside(case, published_rows(case.dataset, ids)).to_dict("records"):
            ours = {"our_train_size": float(case.train_size), **published_metric(group, key["metric"])._asdict()}
            cases.append(case)
            rows.append({**key, **ours})
    if not rows:
        raise ValueError(f"ids must name values published of {sorted({o.case.dataset for o in outcomes})}, got {ids}")
    columns = [column for column in CASE if column not in paper.KEY]
    return pd.DataFrame([{**{c: getattr(case, c) for c in columns}, **row} for case, row in zip(cases, rows, strict=True)])


def _beside(case: Case, rows: pd.DataFrame) -> pd.DataFrame:
    """Keys of the published rows that a case stands beside."""
    rows = rows[~rows["metric"].str.startswith(("spearman", "mean_"))]
    rows = rows[rows["setting"].replace("", REAL[0]) == case.setting]
    same = rows["target"] == case.our_target.removesuffix(SURROGATE)
    if same.any() or case.our_target != "local" or rows["target"].nunique() > 1:
        rows = rows[same]
    sizes = rows["train_size"].dropna().unique()
    if len(sizes):
        nearest = sizes[np.abs(np.log(sizes / case.train_size)).argmin()]
        rows = rows[rows["train_size"].isna() | (rows["train_size"] == nearest)]
    return rows[paper.KEY].drop_duplicates()


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


def correlations(facts: pd.DataFrame, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Rank correlations of Fig. 11, a table for `paper.compare`: over the classes of each data set, and of all pooled.

    facts: `class_facts` of data sets that stand in Fig. 11. value: mean over targets of Spearman's coefficient; its interval is
    the wider of Student's t over targets and a bootstrap of classes.
    """
    rng = np.random.default_rng(seed)
    pooled = "Purchase-10..100 pooled"
    parts = [*facts.groupby("dataset", sort=False), *([(pooled, facts)] if facts["dataset"].nunique() > 1 else [])]
    rows = [
        {"id": "F11", "dataset": name, "metric": f"spearman({x},{y})", **_spearman(part, x, y, n_boot, rng), **_origin(part)}
        for name, part in parts
        for x, y in (
            ("train_fraction", "attack_precision"),
            ("train_test_gap", "attack_precision"),
            ("train_fraction", "train_test_gap"),
        )
    ]
    table = pd.DataFrame(rows).assign(target="google", setting="", variant="none")
    return table.assign(train_size=np.where(table["dataset"] == pooled, np.nan, 10_000.0))


def _origin(part: pd.DataFrame) -> dict[str, Any]:
    source = "real" if set(part["source"]) == {"real"} else "standin"
    return {"source": source, "our_target": part["our_target"].iloc[0], "our_train_size": float(part["train_size"].iloc[0])}


def _spearman(part: pd.DataFrame, x: str, y: str, n_boot: int, rng: np.random.Generator) -> dict[str, float]:
    columns = [c.removeprefix("attack_") for c in (x, y)]
    by_target = [own[columns].dropna().to_numpy() for _, own in part.groupby("target")]
    values = np.array([_rank_correlation(own) for own in by_target])
    draws = [np.mean([_rank_correlation(own[rng.integers(0, len(own), len(own))]) for own in by_target]) for _ in range(n_boot)]
    low, high = metrics.wider(values, np.array(draws), bounds=(-1, 1))
    return {"value": float(values.mean()), "low": low, "high": high, "n_targets": len(values), "undefined": 0}


def _rank_correlation(pairs: np.ndarray) -> float:
    ranks = pd.DataFrame(pairs).rank().to_numpy()
    if (ranks.std(0) == 0).any():
        return 0.0  # all classes alike on one side: no order, no correlation
    return float(np.corrcoef(ranks.T)[0, 1])


def beside_baselines(table: pd.DataFrame, compared: pd.DataFrame, setting: str = REAL[0]) -> pd.DataFrame:
    """Rows of `summary` for one source of shadow data, with the paper's value (column `published`) at the learned attack."""
    on = ["dataset", "our_target", "train_size", "attack", "metric"]
    known = compared[compared["setting"].replace("", REAL[0]) == setting].dropna(subset="published")
    known = known.assign(attack=LEARNED, train_size=known["our_train_size"], metric=known["metric"].str.removeprefix("attack_"))
    rows = table[table["setting"] == setting]
    return rows.merge(known.drop_duplicates(on)[[*on, "published"]], how="left", on=on).reset_index(drop=True)


def headline(compared: pd.DataFrame, metrics_shown: Sequence[str] = ("attack_precision", "attack_recall")) -> list[str]:
    """One line a headline number: ours with its interval, and the paper's."""
    rows = compared[compared["metric"].isin(metrics_shown) & compared["published"].notna()]
    return [
        f"{row.dataset} ({row.source}, {row.our_target} target), {_setting(row)}: {row.metric} "
        f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]; paper ({row.target}, {row.id}) {row.published:.3f}"
        for row in rows.itertuples()
    ]


def _setting(row: Any) -> str:
    variant = "" if row.variant == "none" else f" {row.variant}"
    return f"n = {row.our_train_size:,.0f}, {row.setting or REAL[0]}{variant}"
