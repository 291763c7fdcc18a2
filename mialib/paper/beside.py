"""What of the paper stands in our figures: its attack at its own number of shadow models, and Table I, side by side."""

import pandas as pd

from mialib.paper.comparison import learned_values
from mialib.study.experiments import REAL

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
