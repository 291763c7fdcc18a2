"""What the paper published, and how ours stands beside it.

`published/values.csv` holds the numbers that the paper states or draws, `published/curves.csv` the points of its figures, both
read from the IEEE camera-ready (Shokri et al., S&P 2017). `reading` tells how a value was had: "stated" in the text or a table,
"drawn" (read off a vector figure, to about 0.001), or "conflicting" (the paper contradicts itself). `published/related.csv`
holds what others measured with the same attack on the same data sets.
"""

from importlib import resources

import numpy as np
import pandas as pd

from mialib import checks

KEY = ["id", "dataset", "target", "setting", "train_size", "metric"]
NEEDED = [*KEY, "value", "low", "high", "n_targets", "source", "our_target", "our_train_size"]
READINGS = ["stated", "conflicting", "drawn"]  # which one counts where a value was had in several ways: the first
REPRODUCED, NEAR = 0.02, 0.05
APART = ("swapped", "smaller")  # readings that break the paper's rule for shadows: disjoint data, as many as the target's
OUTCOMES = {True: ("holds", "fails"), False: ("direction seen", "direction not seen")}  # see `outcome`
SETTINGS = {  # words in the figures' legends
    "10% noise": "shadow:noise10",
    "20% noise": "shadow:noise20",
    "marginal-based synthetic": "shadow:marginal",
    "model-based synthetic": "shadow:model_based",
}


def published() -> pd.DataFrame:
    """Every published number: id, where, dataset, target, setting, train_size, metric, value, low, reading, page.

    `low` is our reading of a bound where the paper says "almost 1"; `value` is NaN there.
    """
    return _read("values.csv")


def curves(figure: str, quantity: str = "attack_precision") -> pd.DataFrame:
    """Points of one of the paper's figures ("Fig. 8"): series, target, setting, key_kind, key, value; target and setting as in
    `published`. Raises ValueError for what has no points.
    """
    table = _read("curves.csv")
    checks.choice("figure", figure, sorted(table["figure"].unique()))
    table = table[table["figure"] == figure]
    checks.choice("quantity", quantity, sorted(table["quantity"].unique()))
    table = table[table["quantity"] == quantity].reset_index(drop=True)
    parts = table["series"].str.partition("; ")
    target = parts[0].map(_target_of)
    setting = parts[2].map(lambda words: SETTINGS.get(words, "shadow:real"))
    return table.assign(target=target, setting=setting)[["series", "target", "setting", "key_kind", "key", "value"]]


def related() -> pd.DataFrame:
    """What others measured with an attack of this kind (shadow models and a learned attack) on the same data sets: work, where,
    dataset, setting (their target or attack, in words), metric, value, source.

    Their targets, training sizes and numbers of shadows are their own. Left out: numbers that quote the paper, other attacks,
    and defended targets.
    """
    return _read("related.csv")


def _target_of(series: str) -> str:
    """The target, as in `published`, that a legend means: Purchase alone is Google's, CIFAR a local network's."""
    if series.startswith("Amazon"):
        return series.lower()
    return "local" if series.startswith(("Neural Network", "CIFAR")) else "google"


def _read(name: str) -> pd.DataFrame:
    with resources.files("mialib").joinpath("published", name).open() as file:
        return pd.read_csv(
            file, keep_default_na=False, na_values={"value": [""], "low": [""], "train_size": [""], "page": [""]}
        )


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
    table = results.merge(_one_reading(), on=KEY, how="left", indicator="found")
    alone = table["found"] == "left_only"
    if alone.any():
        raise ValueError(f"results must match published values, nothing was published for {_names(table[alone])}")
    table["difference"] = table["value"] - table["published"]
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    same_size = table["train_size"].isna() | (table["train_size"] == table["our_train_size"])
    own = (table["source"] == "real") & (table["target"] == table["our_target"]) & same_size
    table["counts"] = own & ~table["variant"].isin(APART) if "variant" in table else own
    return table.drop(columns="found")


def outcome(holds: bool, counts: bool) -> str:
    """What to say of a test of a claim: it "holds" or "fails" where its rows count; else only its direction is seen, or not."""
    return OUTCOMES[counts][not holds]


def _one_reading() -> pd.DataFrame:
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
    if abs(row.difference) <= REPRODUCED * scale + 1e-9:
        return "reproduced"
    if abs(row.difference) <= NEAR * scale + 1e-9:
        return "near"
    outside = row.low > row.published + NEAR * scale or row.high < row.published - NEAR * scale
    return "differs" if outside else "undecided"
