"""Who leaks: the same records under different attacks, how exposed a record is in a stock of models, and what marks it."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from mialib import metrics
from mialib.core import checks, randomness
from mialib.core.stocks import Stock
from mialib.core.types import Dataset
from mialib.data.catalogue import class_name
from mialib.study.stocks import Scores, StockTrial

NEIGHBOURS = 10
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
    n_targets = min(len(s.targets) for s in scores)
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
    what the stock as a whole says of its exposure. NaN for a record with fewer than two models of a kind.
    """
    signal = stock.signal.astype(float)
    if signal.ndim == 3:
        signal = signal.mean(2)
    sides = []
    for where in (stock.member, ~stock.member):
        count = where.sum(0)
        mean = np.divide((signal * where).sum(0), count, out=np.full(count.shape, np.nan), where=count > 1)
        sides.append((mean, np.divide(((signal - mean) ** 2 * where).sum(0), count - 1, where=count > 1, out=mean * np.nan)))
    (mean_in, square_in), (mean_out, square_out) = sides
    spread = np.sqrt((square_in + square_out) / 2)
    return np.divide(mean_in - mean_out, spread, out=np.zeros(len(spread)), where=spread > 0)


def exposures(trial: StockTrial, scores: Scores, fpr: float) -> pd.DataFrame:
    """How exposed every record is: dataset, source, record, cls, name (of the class), member_of (targets that had it), found
    (share of them in which the attack finds it at a false positive rate of `fpr`), separation, out_accuracy (share of the
    models trained without it that answer its class right). Records that are not judged are left out.
    """
    found, dataset = found_members(scores, fpr), trial.experiment.dataset
    judged = ~np.isnan(scores.score).any(0)
    held = (scores.member & judged).sum(0)
    right, member = trial.own.right, trial.own.member
    assert right is not None
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
    """Of each class, the record that is most exposed and the one that is least: what `plots.pictures` draws (cls, name,
    exposed, score, confidence, height, width, pixels). table: `exposures`; score is separation, confidence out_accuracy.
    """
    if dataset.x.ndim != 4 or dataset.x.shape[3] != 3:
        raise ValueError(f"dataset must hold images (n, h, w, 3), got records of shape {dataset.x.shape[1:]}")
    rows = []
    for c in classes:
        of_class = table[table["cls"] == c].sort_values(["found", "separation"])
        for place, exposed in ((-1, True), (0, False)) if len(of_class) > 1 else ():
            one = of_class.iloc[place]
            picture = dataset.x[int(one["record"])]
            shown = {"height": picture.shape[0], "width": picture.shape[1], "pixels": picture.tobytes().hex()}
            front = {"cls": int(c), "name": one["name"], "exposed": exposed, "score": one["separation"]}
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
    rows = table["record"].to_numpy()
    values = {**_geometry(dataset, rows), "difficulty": 1 - table["out_accuracy"].to_numpy()}
    values["rarity of its class"] = 1 / np.bincount(dataset.y, minlength=dataset.n_classes)[dataset.y[rows]]
    front = {"dataset": dataset.name, "source": dataset.source}
    exposure = table["separation"].to_numpy()
    return pd.DataFrame([front | {"mark": mark} | _rank_correlation(values[mark], exposure, n_boot) for mark in MARKS])


def _geometry(dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    x, y = dataset.x.reshape(len(dataset.y), -1).astype(np.float32), dataset.y
    counts = np.bincount(y, minlength=dataset.n_classes)
    sums = np.zeros((dataset.n_classes, x.shape[1]))
    np.add.at(sums, y, x)
    with np.errstate(invalid="ignore", divide="ignore"):  # classes without records, or with this one alone
        means = sums / counts[:, None]
        own_mean = (sums[y[rows]] - x[rows]) / (counts[y[rows]] - 1)[:, None]
        own = np.sqrt(((x[rows] - own_mean) ** 2).sum(1))
    squares = (x[rows] ** 2).sum(1)[:, None] - 2 * x[rows] @ means.T.astype(np.float32) + (means**2).sum(1)
    to_means = np.sqrt(np.maximum(squares, 0))
    to_means[np.arange(len(rows)), y[rows]] = np.nan
    finder = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(y)), algorithm="brute").fit(x)
    near = finder.kneighbors(x[rows], return_distance=False)
    others = near != rows[:, None]
    strange = ((y[near] != y[rows][:, None]) & others).sum(1) / np.maximum(others.sum(1), 1)
    return {"distance to its class": own / np.nanmean(to_means, 1), "neighbours of other classes": strange}


def _rank_correlation(x: np.ndarray, y: np.ndarray, n_boot: int) -> dict[str, float]:
    checks.whole("n_boot", n_boot, 1)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    rng = randomness.generator(0, "rank correlation")
    draws = [_spearman(x[at], y[at]) for at in (rng.integers(0, len(x), len(x)) for _ in range(n_boot))]
    low, high = np.nanpercentile(draws, [2.5, 97.5]) if not np.isnan(draws).all() else (np.nan, np.nan)
    return {"spearman": _spearman(x, y), "low": float(low), "high": float(high)}


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    ranks = np.stack([rankdata(x), rankdata(y)])
    return float(np.corrcoef(ranks)[0, 1]) if (ranks.std(1) > 0).all() else float("nan")
