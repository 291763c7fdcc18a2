"""What of the paper stands beside ours: its learned attack, at its own number of shadow models; Tables I and III row by row;
the classes of Fig. 9 by its convention and by ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.paper.comparison import published_rows, verdict_within
from mialib.paper.values import published
from mialib.study.experiments import LEARNED, REAL, Outcome
from mialib.study.leakage import AWARE, UNAWARE
from mialib.study.sweep import table_iii_mitigations
from mialib.study.tables import _grouped

SHADOWS_OF_PAPER = {  # Sec. VI-C, p. 9; Purchase has as many for every number of classes
    "cifar10": 100, "cifar100": 100, "location": 60, "mnist": 50, "adult": 20, "texas": 10,
    **{f"purchase{n}": 20 for n in (2, 10, 20, 50, 100)},
}  # fmt: skip
TABLE_I = {"target_train_accuracy": "training accuracy", "target_test_accuracy": "testing accuracy"}  # as its head has them


def beside_baselines(table: pd.DataFrame, compared: pd.DataFrame, setting: str = REAL[0]) -> pd.DataFrame:
    """Rows of `summary` for one source of shadow data, with the paper's value (columns `published`, `published_as`) at the
    learned attack.

    published_as: "", or what the paper gives in place of a metric over all records: "median of classes", "lower bound".
    """
    on = ["dataset", "our_target", "train_size", "attack", "metric"]
    known = learned_values(compared, setting).assign(attack=LEARNED)
    rows = table[table["setting"] == setting]
    found = rows.merge(known[[*on, "published", "published_as"]], how="left", on=on).reset_index(drop=True)
    return found.fillna({"published_as": ""})


def learned_values(compared: pd.DataFrame, setting: str = REAL[0]) -> pd.DataFrame:
    """What the paper prints of its attack for one source of shadow data, one row a metric: dataset, our_target, train_size (of
    ours), metric (without "attack_"), published, published_as (see `beside_baselines`).
    """
    rows = compared[compared["setting"].fillna("").replace("", REAL[0]) == setting]
    rows = rows.assign(train_size=rows["our_train_size"], metric=rows["metric"].str.removeprefix("attack_"), published_as="")
    medians = rows[rows["metric"].str.endswith("_p50")]
    medians = medians.assign(metric=medians["metric"].str.removesuffix("_p50"), published_as="median of classes")
    bounds = rows.assign(published=rows["published_low"], published_as="lower bound")
    on = ["dataset", "our_target", "train_size", "metric"]
    known = pd.concat([rows, medians, bounds]).dropna(subset="published").drop_duplicates(on)
    return known[[*on, "published", "published_as"]].reset_index(drop=True)


def beside_counts(by_count: pd.DataFrame, compared: pd.DataFrame, setting: str = REAL[0]) -> pd.DataFrame:
    """The paper's values for a figure of `tables.by_shadow_count`: dataset, our_target, train_size (of ours), metric, k, value,
    published_as (see `beside_baselines`); no row where it gives no value for these targets.

    k: its own number of shadow models (Sec. VI-C); that of Table III, which states none, is taken to be the same.
    """
    on = ["dataset", "our_target", "train_size", "metric"]
    known = by_count[on].drop_duplicates().merge(learned_values(compared, setting), on=on)
    known = known.assign(k=known["dataset"].map(SHADOWS_OF_PAPER)).rename(columns={"published": "value"})
    return known[["dataset", "our_target", "train_size", "metric", "k", "value", "published_as"]]


def table_one(compared: pd.DataFrame) -> pd.DataFrame:
    """Table I, the paper's beside ours, a row a target: dataset, source, our_target, and for "train" and "test" accuracy the
    paper's (`train_paper`), ours (`train_ours`) and its 95% interval (`train_low`, `train_high`).

    Raises ValueError where `compared` has none of its values.
    """
    rows = compared[compared["id"] == "T1"]
    if rows.empty:
        raise ValueError(f"compared must have rows of T1, got {', '.join(compared['id'].unique()) or 'none'}")
    table = rows[["dataset", "source", "our_target"]].drop_duplicates().reset_index(drop=True)
    for metric in TABLE_I:
        of = metric.split("_")[1]
        columns = {"published": f"{of}_paper", "value": f"{of}_ours", "low": f"{of}_low", "high": f"{of}_high"}
        own = rows.loc[rows["metric"] == metric, ["dataset", "our_target", *columns]].rename(columns=columns)
        table = table.merge(own, on=["dataset", "our_target"])
    return table


TABLE_III = {  # its columns, as ours are called
    "target_test_accuracy": "test_accuracy",
    "attack_accuracy": "accuracy",
    "attack_precision": "precision",
    "attack_recall": "recall",
}


def table_three(table: pd.DataFrame, attack: str = LEARNED) -> pd.DataFrame:
    """Table III, the paper's row beside ours, for the attacker who knows of the mitigation ("aware") and the one who does not.

    table: a `study.leakage.leakage_table`. A row a data set, setting and attacker: dataset, source, setting, variant; for
    test_accuracy, accuracy, precision and recall the paper's (`accuracy_paper`), ours (`accuracy`) and its 95% interval
    (`accuracy_low`, `accuracy_high`); verdict, on the attack's accuracy (see `comparison.compare`); and note, why cells are
    empty. The settings are those of the paper's row, and of ours the filters that Table III has and every L2 penalty. Raises
    ValueError where `table` has nothing of this attack.
    """
    ours = table[table["attack"] == attack]
    if ours.empty:
        raise ValueError(f"table must hold attack {attack!r}, got {', '.join(map(str, table['attack'].unique())) or 'no rows'}")
    theirs = published().query("id == 'T3'")
    filters = {each.setting for each in table_iii_mitigations()}
    shown = ours[ours["setting"].isin(filters) | (ours["mitigation"] == "L2")]
    rows = []
    for (dataset, source), own in shown.groupby(["dataset", "source"], sort=False):
        known = theirs[theirs["dataset"] == dataset]
        for variant in (AWARE, UNAWARE):
            part = own[own["variant"] == variant]
            for setting in dict.fromkeys([*known["setting"], *part["setting"]]):
                here = {"dataset": dataset, "source": source, "setting": setting, "variant": variant}
                rows.append(here | _row_of_three(part[part["setting"] == setting], known[known["setting"] == setting]))
    return pd.DataFrame(rows)


def _row_of_three(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    """The paper's numbers and ours of one setting, against one attacker, and what is to be said of those that are not there."""
    own, known, row = ours.set_index("metric"), theirs.set_index("metric")["value"], {}
    for metric, name in TABLE_III.items():
        row[f"{name}_paper"] = known.get(metric, float("nan"))
        for end, column in {"": "value", "_low": "low", "_high": "high"}.items():
            row[f"{name}{end}"] = own[column].get(metric, float("nan"))
    said = all(pd.notna(row[part]) for part in ("accuracy", "accuracy_paper"))
    numbers = [row[part] for part in ("accuracy", "accuracy_low", "accuracy_high", "accuracy_paper")]
    return row | {"verdict": verdict_within(*numbers) if said else "", "note": _note_of_three(own["n_targets"], known)}


def _note_of_three(n_targets: Mapping[str, int], known: pd.Series) -> str:
    """Why cells are empty. n_targets: over how many targets ours are means, by metric."""
    notes = ["" if len(known) else "not in Table III"]
    if "attack_accuracy" not in n_targets:
        return "not run"
    defined, of = (int(n_targets[metric]) for metric in ("attack_precision", "attack_accuracy"))
    if defined < of:
        every = "no record called a member: no precision"
        notes.append(every if not defined else f"precision of {defined} of {of} targets: the others called nobody a member")
    return "; ".join(filter(None, notes))


OF_CLASSES = ("min", "p10", "p25", "p50", "p75", "p90", "mean", "below_0.1")  # of the precision of single classes


def both_conventions(outcomes: Sequence[Outcome], experiment: str = "F9") -> pd.DataFrame:
    """Statistics of the classes' attack precision with classes that are never called members counted in two ways, a row a case
    and statistic of OF_CLASSES ("below_0.1": the share of the classes below 0.1): the case, statistic, published (NaN where the
    experiment draws nothing such), undefined (how many such classes there are, over all targets), n_targets, and of each way
    value, low, high: `left_out`, which is ours, and `as_zero`, which is what the paper's Fig. 9 does.
    """
    rows = []
    for (case, _), group in _grouped(outcomes).items():
        known = published_rows(case.dataset, [experiment])
        known = known[known["setting"] == case.setting].set_index("metric")["value"]
        pairs = [(o.trial.answers, o.decision) for o in group]
        for name in OF_CLASSES:
            left_out, as_zero = (metrics.interval(pairs, f"{of}_{name}") for of in ("precision", "precision_or_0"))
            row = case._asdict() | {"statistic": name, "published": _drawn(known, name)}
            row |= {"undefined": as_zero.undefined, "n_targets": as_zero.n_targets}
            for way, found in (("left_out", left_out), ("as_zero", as_zero)):
                row |= {way: found.value, f"{way}_low": found.low, f"{way}_high": found.high}
            rows.append(row)
    return pd.DataFrame(rows)


def _drawn(known: pd.Series, statistic: str) -> float:
    if statistic.startswith("below"):  # a number of classes, of sets that have 100
        return float(known.get(f"n_classes_precision_{statistic}", np.nan)) / 100
    return float(known.get(f"attack_precision_{statistic}", np.nan))
