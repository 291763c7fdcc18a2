"""Our results beside the published values: keys, differences, verdicts, and the tables that are set beside the paper's."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.core import checks
from mialib.paper.values import KEY, curves, published
from mialib.plots.names import SURROGATE
from mialib.shadow import synthesis
from mialib.study.experiments import REAL, Case, Outcome
from mialib.study.shadow_data import MODEL_BASED, Made
from mialib.study.tables import CASE, SCATTERS, _grouped, published_metric

SHORT = [
    "id",
    "our_target",
    "setting",
    "variant",
    "metric",
    "published",
    "published_low",
    "value",
    "low",
    "high",
    "n_targets",
    "verdict",
    "counts",
]


def published_precisions(dataset: str) -> pd.DataFrame:
    """The paper's points of Fig. 4 for "cifar10" or "cifar100": train_size, cls (from 0; of CIFAR-100 the rank of the class by
    precision), value.
    """
    side = {"cifar10": "left", "cifar100": "right"}[checks.choice("dataset", dataset, ("cifar10", "cifar100"))]
    points = curves(f"Fig. 4 {side}")
    sizes = points["series"].str.rpartition("n=")[2].astype(int)
    return pd.DataFrame({"train_size": sizes, "cls": points["key"].astype(int) - 1, "value": points["value"]})


def published_scatters() -> pd.DataFrame:
    """The paper's points of Fig. 11, as `tables.class_scatters`."""
    parts = [
        curves(f"Fig. 11 {side}", f"{x} -> {y}".replace("precision", "attack_precision")).assign(panel=panel)
        for side, (panel, (x, y)) in zip(("left", "middle", "right"), SCATTERS.items(), strict=True)
    ]
    table = pd.concat(parts, ignore_index=True).rename(columns={"key": "x", "value": "y"})
    return table.assign(dataset=_dataset(table["series"]))[["dataset", "panel", "x", "y"]]


def published_histograms() -> pd.DataFrame:
    """The paper's bars of Fig. 12, as `tables.answer_histograms`: dataset, quantity, member, bin_left, share."""
    parts = [curves("Fig. 12", short).assign(quantity=long) for short, long in (("unc", "uncertainty"), ("acc", "accuracy"))]
    table = pd.concat(parts, ignore_index=True).rename(columns={"key": "bin_left", "value": "share"})
    names = table["series"].str.partition(" ")
    table = table.assign(dataset=_dataset(names[0]), member=names[2] == "members")
    return table[["dataset", "quantity", "member", "bin_left", "share"]]


def _dataset(words: pd.Series) -> pd.Series:
    """ "Purchase-20" as "purchase20"."""
    return words.str.lower().str.replace("-", "")


# Beside the paper


def published_rows(dataset: str, ids: Iterable[str]) -> pd.DataFrame:
    """The rows of `paper.published` of a data set under these experiments ("F8", "T2")."""
    table = published()
    return table[(table["dataset"] == dataset) & table["id"].isin(list(ids))]


def of_papers_kind(values: pd.DataFrame) -> pd.Series:
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
            ours = published_metric(group, as_counted(key["id"], key["metric"]))._asdict()
            cases.append(case)
            rows.append({**key, "our_train_size": float(case.train_size), **ours})
    if not rows:
        raise ValueError(f"ids must name values published of {sorted({o.case.dataset for o in outcomes})}, got {ids}")
    columns = [column for column in CASE if column not in KEY]
    return pd.DataFrame([{**{c: getattr(case, c) for c in columns}, **row} for case, row in zip(cases, rows, strict=True)])


UNDEFINED_AS_ZERO = ("F9",)  # figures that draw a class never called a member at 0; no other shows what it does with them


def as_counted(experiment: str, metric: str) -> str:
    """A published metric of single classes with undefined precisions counted as the experiment ("F9") counts them."""
    of_classes = metric.startswith(("attack_precision_", "n_classes_precision_"))
    return metric.replace("precision_", "precision_or_0_", 1) if of_classes and experiment in UNDEFINED_AS_ZERO else metric


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
    return rows[KEY].drop_duplicates()


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
    by_target = [pairs[columns].dropna().to_numpy() for _, pairs in part.groupby("target")]
    values = np.array([_rank_correlation(pairs) for pairs in by_target])
    draws = [
        np.mean([_rank_correlation(pairs[rng.integers(0, len(pairs), len(pairs))]) for pairs in by_target])
        for _ in range(n_boot)
    ]
    low, high = metrics.wider(values, np.array(draws), bounds=(-1, 1))
    return {"value": float(values.mean()), "low": low, "high": high, "n_targets": len(values), "undefined": 0}


def _rank_correlation(pairs: np.ndarray) -> float:
    found = metrics.spearman(*pairs.T)
    return 0.0 if np.isnan(found) else found  # all classes alike on one side: no order, no correlation


MEANS = {  # what the paper prints of its model-based records: the part of a `Synthesis` that it is the mean of
    "mean_target_confidence_of_synthesized_records": "confidence",
    "mean_queries_per_synthesized_record": "queries",
}


def published_means(made: Sequence[Made], n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """What the paper prints of its model-based records (Sec. VI-E), a table for `paper.compare`; other sets are left out.

    value: mean over targets of the mean over records; its interval is the wider of Student's t over targets and the records'
    standard error.
    """
    rng = np.random.default_rng(seed)
    published = published_rows("purchase100", ["F9"]).set_index("metric")
    groups: dict[Case, list[synthesis.Synthesis]] = {}
    for each in made:
        if each.case.setting == MODEL_BASED and each.case.dataset == "purchase100" and len(each.records.y):
            groups.setdefault(each.case, []).append(each.records)
    rows = [
        {name: published.loc[metric, name] for name in KEY if name != "metric"}
        | {"metric": metric, "source": case.source, "variant": case.variant}
        | {"our_target": case.our_target, "our_train_size": float(case.train_size)}
        | _mean([getattr(part, name) for part in parts], n_boot, rng)
        for case, parts in groups.items()
        for metric, name in MEANS.items()
    ]
    return pd.DataFrame(rows)


def _mean(parts: Sequence[np.ndarray], n_boot: int, rng: np.random.Generator) -> dict[str, float]:
    values = np.array([part.mean() for part in parts], np.float64)
    draws = [rng.normal(part.mean(), part.std() / np.sqrt(len(part)), n_boot) for part in parts]
    low, high = metrics.wider(values, np.mean(draws, axis=0), bounds=(0, np.inf))
    return {"value": float(values.mean()), "low": low, "high": high, "n_targets": len(values), "undefined": 0}


NEEDED = [*KEY, "value", "low", "high", "n_targets", "source", "our_target", "our_train_size"]
READINGS = ["stated", "conflicting", "drawn"]  # which one counts where a value was had in several ways: the first
REPRODUCED, NEAR = 0.02, 0.05
APART = ("swapped", "smaller")  # readings that break the paper's rule for shadows: disjoint data, as many as the target's
OUTCOMES = {True: ("holds", "fails"), False: ("direction seen", "direction not seen")}  # see `outcome`
NOT_RUN, NOT_TESTABLE = "not run", "not testable here"  # what is said of a claim that nothing here can tell


def compare(results: pd.DataFrame) -> pd.DataFrame:
    """Our results with the published value beside each, the difference, and a verdict.

    `results` has one row a measured value, with the columns of `NEEDED`: `target` names the paper's kind of target that the row
    is set beside, `our_target` the kind that was really attacked; `train_size` and `our_train_size` likewise; further columns
    (a `variant`) tell rows of one key apart.

    verdict: "reproduced" (within 0.02), "near" (within 0.05), "differs" (the interval lies wholly outside the paper's value
    +- 0.05), "undecided" otherwise; "met" or "not met" where the paper gives a lower bound.
    counts: True only for real data, the paper's own kind of target and training size, and shadows by its rules (no `variant` of
    APART); other rows are shown apart.

    Raises ValueError for a missing column, a row without a published value, and for two rows of one key.
    """
    missing = [column for column in NEEDED if column not in results]
    if missing:
        raise ValueError(f"results must have the columns {NEEDED}, lacks {missing}")
    results = results.assign(setting=results["setting"].fillna(""))  # an empty cell of a table that was read back
    twice = results.duplicated([*KEY, "our_target", "our_train_size", *(["variant"] if "variant" in results else [])])
    if twice.any():
        raise ValueError(f"results must have one row a value, got several for {_names(results[twice])}")
    table = results.merge(one_reading(), on=KEY, how="left", indicator="found")
    alone = table["found"] == "left_only"
    if alone.any():
        raise ValueError(f"results must match published values, nothing was published for {_names(table[alone])}")
    table["difference"] = table["value"] - table["published"]
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    same_size = table["train_size"].isna() | (table["train_size"] == table["our_train_size"])
    same_kind = (table["source"] == "real") & (table["target"] == table["our_target"]) & same_size
    table["counts"] = same_kind & ~table["variant"].isin(APART) if "variant" in table else same_kind
    return table.drop(columns="found")


def outcome(holds: bool, counts: bool) -> str:
    """What to say of a test of a claim: it "holds" or "fails" where its rows count; else only its direction is seen, or not."""
    return OUTCOMES[counts][not holds]


def one_reading() -> pd.DataFrame:
    """The published values, one a key, the stated before the drawn: KEY, published, published_low (a bound), reading, where."""
    table = published()
    table = table.iloc[np.argsort([READINGS.index(r) for r in table["reading"]], kind="stable")]
    table = table.drop_duplicates(KEY).rename(columns={"value": "published", "low": "published_low"})
    return table[[*KEY, "published", "published_low", "reading", "where"]]


def _names(rows: pd.DataFrame) -> str:
    return "; ".join(dict.fromkeys(", ".join(map(str, row)) for row in rows[KEY].itertuples(index=False)))


def _verdict(row) -> str:  # type: ignore[no-untyped-def]
    if np.isnan(row.value):
        return "undecided"
    if not np.isnan(row.published_low):
        return "met" if row.value >= row.published_low else "not met"
    scale = 100 if row.metric.startswith("n_classes_") else 1  # counts of classes: all of sets that have 100
    return verdict_within(row.value, row.low, row.high, row.published, scale)


def verdict_within(value: float, low: float, high: float, published: float, scale: float = 1.0) -> str:
    """The verdict on a value with its interval: "reproduced" or "near" by its distance from the published one, "differs" where
    the interval lies wholly farther off than near; distances in units of `scale`.
    """
    if abs(value - published) <= REPRODUCED * scale + 1e-9:
        return "reproduced"
    if abs(value - published) <= NEAR * scale + 1e-9:
        return "near"
    outside = low > published + NEAR * scale or high < published - NEAR * scale
    return "differs" if outside else "undecided"
