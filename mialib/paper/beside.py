"""What of the paper stands beside ours: its attack at its own number of shadow models, Tables I and III row by row."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mialib.paper.comparison import learned_values, verdict_within
from mialib.paper.values import published
from mialib.study.experiments import LEARNED, REAL
from mialib.study.leakage import AWARE, UNAWARE
from mialib.study.sweep import table_iii_mitigations

SHADOWS_OF_PAPER = {  # Sec. VI-C, p. 9; Purchase has as many for every number of classes
    "cifar10": 100, "cifar100": 100, "location": 60, "mnist": 50, "adult": 20, "texas": 10,
    **{f"purchase{n}": 20 for n in (2, 10, 20, 50, 100)},
}  # fmt: skip
TABLE_I = {"target_train_accuracy": "training accuracy", "target_test_accuracy": "testing accuracy"}  # as its head has them


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
