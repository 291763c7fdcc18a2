"""Tables as the figures take them: what lines and panels are called."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mialib.attack.thresholds import confidence
from mialib.core.types import Dataset, Split
from mialib.data.catalogue import class_name
from mialib.study.experiments import REAL, Outcome
from mialib.study.tables import SURROGATE

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
SIZE = "n = {:,}"


def lines(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The table with a column `line`: what the line of a row is called in a figure, from `by` ("setting", "our_target" or
    "train_size").
    """
    if by == "train_size":
        return table.assign(line=table[by].map(SIZE.format))
    key = table[by].str.removesuffix(SURROGATE)
    return table.assign(line=key.map(NAMES).fillna(key))


def pictures(outcome: Outcome, dataset: Dataset, split: Split, classes: Iterable[int]) -> pd.DataFrame:
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
        | {"confidence": confidence(answers)[places], "height": shown.shape[1], "width": shown.shape[2]}
        | {"pixels": [picture.tobytes().hex() for picture in shown]}
    )


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
