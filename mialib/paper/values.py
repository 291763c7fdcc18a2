"""What the paper published, and how ours stands beside it.

`published/values.csv` holds the numbers that the paper states or draws, `published/curves.csv` the points of its figures, both
read from the IEEE camera-ready (Shokri et al., S&P 2017). `reading` tells how a value was had: "stated" in the text or a table,
"drawn" (read off a vector figure, to about 0.001), or "conflicting" (the paper contradicts itself). `published/related.csv`
holds what others measured with the same attack on the same data sets.
"""

from collections.abc import Sequence
from importlib import resources

import pandas as pd

from mialib.core import checks

KEY = ["id", "dataset", "target", "setting", "train_size", "metric"]
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


def _read(name: str, numbers: Sequence[str] = ("value", "low", "train_size", "page")) -> pd.DataFrame:
    """A table of `published/`: empty cells are NaN in columns of numbers, and "" in others."""
    with resources.files("mialib.paper").joinpath("published", name).open() as file:
        return pd.read_csv(file, keep_default_na=False, na_values={column: [""] for column in numbers})
