"""Who leaks: the same records under different attacks, how exposed a record is in a stock of models, and what marks it."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from mialib import metrics
from mialib.core import checks, randomness
from mialib.core.stocks import Stock
from mialib.core.types import Dataset
from mialib.data.catalogue import class_name
from mialib.study.modern import check_columns
from mialib.study.stocks import Scores, StockTrial, some_scores

NEIGHBOURS = 10
EXPOSURES = ("dataset", "source", "record", "cls", "name", "member_of", "found", "separation", "out_accuracy")
MARKS = ("distance to its class", "neighbours of other classes", "rarity of its class", "difficulty")


def found_members(scores: Scores, fpr: float) -> np.ndarray:
    """Which records each target's attack finds at a false positive rate: bool (t, n), members alone."""
    found = np.zeros(scores.score.shape, bool)
    for row, score, inside in zip(found, scores.score, scores.member, strict=True):
        known = ~np.isnan(score)
        row[known] = (score[known] >= metrics.threshold_at_fpr(score[known], inside[known], fpr)) & inside[known]
    return found


def overlap(trial: StockTrial, scores: Sequence[Scores], fpr: float) -> pd.DataFrame:
    """How far attacks find the same members, at one false positive rate, means over the targets that all of them attacked:
    dataset, source, fpr, attack, other, n_found (members that the attack finds), share (of them that the other finds, too; NaN
    where it finds none).
    """
    n_targets = min(len(s.targets) for s in some_scores(scores))
    found = {s.attack: found_members(s, fpr)[:n_targets] for s in scores}
    dataset = trial.experiment.dataset
    rows = []
    for attack, ours in found.items():
        for other, theirs in found.items():
            count, both = ours.sum(1), (ours & theirs).sum(1)
            share = float((both[count > 0] / count[count > 0]).mean()) if (count > 0).any() else np.nan
            front = {"dataset": dataset.name, "source": dataset.source, "fpr": fpr, "attack": attack, "other": other}
            rows.append(front | {"n_found": float(count.mean()), "share": share})
    return pd.DataFrame(rows)


def separation(stock: Stock) -> np.ndarray:
    """How far a record's signals in models trained with it lie above those in others, in units of their deviation, (n,):
    what the stock as a whole says of its exposure. Infinite where neither kind varies; NaN for a record with fewer than two
    models of a kind.
    """
    signal = stock.signal.astype(float)
    if signal.ndim == 3:
        signal = signal.mean(2)
    inside, outside = (_mean_and_variance(signal, where) for where in (stock.member, ~stock.member))
    gap, spread = inside[0] - outside[0], np.sqrt((inside[1] + outside[1]) / 2)
    with np.errstate(divide="ignore"):
        return np.divide(gap, spread, out=np.where(np.isnan(gap), np.nan, 0.0), where=gap != 0)


def _mean_and_variance(signal: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each record's signals (k, n) in the models `where`, (n,); NaN for fewer than two."""
    count = np.where(where.sum(0) > 1, where.sum(0), np.nan)
    mean = (signal * where).sum(0) / count
    return mean, ((signal - mean) ** 2 * where).sum(0) / (count - 1)


def exposures(trial: StockTrial, scores: Scores, fpr: float) -> pd.DataFrame:
    """How exposed every record is: dataset, source, record, cls, name (of the class), member_of (targets that had it), found
    (share of them in which the attack finds it at a false positive rate of `fpr`), separation, out_accuracy (share of the
    models trained without it that answer its class right). Records that are not judged are left out.
    """
    found, dataset = found_members(scores, fpr), trial.experiment.dataset
    judged = ~np.isnan(scores.score).any(0)
    held = (scores.member & judged).sum(0)
    right, member = trial.right, trial.own.member
    table = pd.DataFrame(
        {
            "dataset": dataset.name,
            "source": dataset.source,
            "record": np.arange(len(dataset.y)),
            "cls": dataset.y,
            "name": [class_name(dataset.name, c) for c in dataset.y],
            "member_of": held,
            "found": np.divide(found.sum(0), held, out=np.full(len(held), np.nan), where=held > 0),
            "separation": separation(trial.own),
            "out_accuracy": (right & ~member).sum(0) / np.maximum((~member).sum(0), 1),
        }
    )
    return table[judged].reset_index(drop=True)


def exposed_pictures(table: pd.DataFrame, dataset: Dataset, classes: Iterable[int]) -> pd.DataFrame:
    """Of each class, the record that is most exposed and the one that is least: what `plots.pictures` draws (dataset, cls,
    name, exposed, score, confidence, height, width, pixels). table: `exposures`; score is separation, confidence out_accuracy.
    Records that no target had, and classes with fewer than two others, have no picture.
    """
    if dataset.x.ndim != 4 or dataset.x.shape[3] != 3:
        raise ValueError(f"dataset must hold images (n, h, w, 3), got records of shape {dataset.x.shape[1:]}")
    table = check_columns("table", table, EXPOSURES).dropna(subset=["found", "separation"])
    rows = []
    for c in classes:
        of_class = table[table["cls"] == c].sort_values(["found", "separation"])
        for place, exposed in ((-1, True), (0, False)) if len(of_class) > 1 else ():
            one = of_class.iloc[place]
            picture = dataset.x[int(one["record"])]
            shown = {"height": picture.shape[0], "width": picture.shape[1], "pixels": picture.tobytes().hex()}
            front = {"dataset": dataset.name, "cls": int(c), "name": one["name"], "exposed": exposed}
            front |= {"score": one["separation"]}
            rows.append(front | {"confidence": one["out_accuracy"]} | shown)
    return pd.DataFrame(rows)


def stability(trial: StockTrial, n_boot: int = 200) -> pd.DataFrame:
    """Is a record's exposure its own, or the models'? The rank correlation of `separation` between two halves of a stock, which
    share no model: dataset, source, n_models (of a half), spearman, low, high.
    """
    stock = trial.own
    half = len(stock) // 4 * 2
    if half < 4:
        raise ValueError(f"stock must hold at least 8 models, so that both halves have two of a kind, got {len(stock)}")
    first, second = (separation(stock[slice(start, start + half)]) for start in (0, half))
    dataset = trial.experiment.dataset
    front = {"dataset": dataset.name, "source": dataset.source, "n_models": half}
    return pd.DataFrame([front | _rank_correlation(first, second, n_boot)])


def marks(trial: StockTrial, table: pd.DataFrame, n_boot: int = 200) -> pd.DataFrame:
    """What goes with a record's exposure: the rank correlation of its separation with each of MARKS, with a 95% interval from a
    bootstrap of records: dataset, source, mark, spearman, low, high.

    Distance to its class: from the mean of its class's other records, over the mean distance to the other classes' means.
    Neighbours of other classes: share of its 10 nearest. Rarity: one over the records of its class. Difficulty: share of the
    models trained without it that answer wrongly. Records are compared as they are stored.
    """
    dataset = trial.experiment.dataset
    rows = check_columns("table", table, EXPOSURES)["record"].to_numpy()
    values = {**_geometry(dataset, rows), "difficulty": 1 - table["out_accuracy"].to_numpy()}
    values["rarity of its class"] = 1 / np.bincount(dataset.y, minlength=dataset.n_classes)[dataset.y[rows]]
    front = {"dataset": dataset.name, "source": dataset.source}
    exposure = table["separation"].to_numpy()
    return pd.DataFrame([front | {"mark": mark} | _rank_correlation(values[mark], exposure, n_boot) for mark in MARKS])


def _geometry(dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    x, y = dataset.x.reshape(len(dataset.y), -1).astype(np.float32), dataset.y
    x -= x.mean(0)  # squares of large numbers would hide small distances
    classes, counts = np.unique(y, return_counts=True)
    means = np.stack([x[y == c].mean(0, dtype=float) for c in classes]).astype(np.float32)
    asked = x[rows]
    squares = np.einsum("nd,nd->n", asked, asked)[:, None] - 2 * asked @ means.T + (means**2).sum(1)
    distances = np.sqrt(np.maximum(squares, 0))
    own = y[rows][:, None] == classes
    with np.errstate(invalid="ignore", divide="ignore"):  # a class with one record, data with one class: no such distance
        without_it = distances[own] * (counts / (counts - 1))[own.argmax(1)]  # the mean lies so much nearer for its sake
        relative = without_it / (np.where(own, 0, distances).sum(1) / (len(classes) - 1))
    finder = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(y)), algorithm="brute").fit(x)
    near = finder.kneighbors(asked, return_distance=False)
    others = near != rows[:, None]
    strange = ((y[near] != y[rows][:, None]) & others).sum(1) / np.maximum(others.sum(1), 1)
    return {"distance to its class": relative, "neighbours of other classes": strange}


def _rank_correlation(x: np.ndarray, y: np.ndarray, n_boot: int) -> dict[str, float]:
    checks.whole("n_boot", n_boot, 1)
    known = ~np.isnan(x) & ~np.isnan(y)
    if known.sum() < 2:
        return dict.fromkeys(("spearman", "low", "high"), np.nan)
    x, y = x[known], y[known]
    rng = randomness.generator(0, "rank correlation")
    draws = [metrics.spearman(x[at], y[at]) for at in (rng.integers(0, len(x), len(x)) for _ in range(n_boot))]
    low, high = np.nanpercentile(draws, [2.5, 97.5]) if not np.isnan(draws).all() else (np.nan, np.nan)
    return {"spearman": metrics.spearman(x, y), "low": float(low), "high": float(high)}
