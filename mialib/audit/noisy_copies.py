"""Labels alone: how often a target's label of a record survives noise (Choquette-Choo et al. 2021), for tables too."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mialib.attack.label_only import as_pixels, is_bits
from mialib.core import randomness
from mialib.core.frames import is_frame, rows_of
from mialib.core.types import Dataset

COPIES_A_RECORD = 30
TRIED = (0.03, 0.1, 0.3, 1.0)  # amounts of noise
TRIAL_RECORDS, TRIAL_COPIES = 50, 8
SURVIVE = 0.8  # share of right labels that the noise leaves: where records differ most in it
MOST_COPIED = 400
FEWEST_COPIED = 50
AskPlaces = Callable[[Any], np.ndarray]  # places of the answered classes, int64 (m,), of m records


def noise_scores(ask: AskPlaces, dataset: Dataset, right: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """The share of 30 noisy copies of each of some records, `rows`, that is labelled right; NaN elsewhere, float64 (n,).

    Numbers take Gaussian noise in units of their column's deviation, all other values are those of another record with a
    probability that is as large. How large, is chosen by 50 records that are labelled right, `right` (n,): the amount that
    leaves four labels of five; no membership is looked at. Asks `count_of_rows(len(rows))` rows at most.
    """
    rng = randomness.generator(seed, "amount of noise")
    sample = rng.permutation(np.flatnonzero(right[rows]))[:TRIAL_RECORDS]
    if not len(sample):
        return np.where(np.isin(np.arange(len(right)), rows), 0.0, np.nan)
    deviations = deviations_of(dataset.records())
    kept = [_kept(ask, dataset, deviations, rows[sample], amount, TRIAL_COPIES, seed).mean() for amount in TRIED]
    amount = TRIED[int(np.argmin(np.abs(np.array(kept) - SURVIVE)))]
    score = np.full(len(right), np.nan)
    score[rows] = _kept(ask, dataset, deviations, rows, amount, COPIES_A_RECORD, seed)
    return score


def count_of_rows(n_records: int) -> int:
    """Rows that `noise_scores` asks about at most."""
    return COPIES_A_RECORD * n_records + TRIAL_RECORDS * TRIAL_COPIES * len(TRIED)


def _kept(
    ask: AskPlaces, dataset: Dataset, deviations: Any, rows: np.ndarray, amount: float, copies: int, seed: int
) -> np.ndarray:
    """Share of noisy copies labelled right, of each record."""
    right = np.zeros(len(rows))
    for copy in range(copies):
        noisy = disturbed(dataset.records(), deviations, rows, amount, randomness.generator(seed, "noisy copies", copy))
        right += ask(noisy) == dataset.y[rows]
    return right / copies


def deviations_of(records: Any) -> Any:
    """What noise is measured by: of a table, the deviation of each column of numbers, by name; of an array of numbers, those
    of its columns, or one of all pixels; None for records whose values are replaced, not moved.
    """
    if is_frame(records):
        if records.ndim == 1:
            return None
        kinds = {name: records[name].dtype.kind for name in records.columns}
        reals = {name: float(np.nanstd(records[name])) for name, kind in kinds.items() if kind == "f"}
        return reals | {name: float(records[name].std()) for name, kind in kinds.items() if kind in "iu"}
    if records.dtype.kind not in "fiu" or is_bits(records):
        return None
    return np.nanstd(records, axis=0) if records.ndim == 2 else np.nanstd(records)


def disturbed(records: Any, deviations: Any, rows: np.ndarray, amount: float, rng: np.random.Generator) -> Any:
    """A noisy copy of some of the records, of their kind and types. deviations: `deviations_of` them."""
    some = rows_of(records, rows)
    if not is_frame(records):
        return _disturbed_array(records, deviations, some, amount, rng)
    if some.ndim == 1:
        return _replaced(records, some, amount, rng)
    some = some.copy()
    for name in some.columns:
        column = records[name]
        if column.dtype.kind == "f":
            some[name] = some[name] + amount * deviations[name] * rng.standard_normal(len(rows))
        elif column.dtype.kind in "iu":
            moved = some[name] + amount * deviations[name] * rng.standard_normal(len(rows))
            some[name] = np.rint(moved).clip(column.min(), column.max()).astype(column.dtype)
        else:
            some[name] = _replaced(column, some[name], amount, rng)
    return some


def _replaced(column: Any, some: Any, amount: float, rng: np.random.Generator) -> Any:
    others = column.iloc[rng.integers(len(column), size=len(some))].set_axis(some.index)
    return some.where(rng.random(len(some)) >= min(1.0, amount), others)


def _disturbed_array(
    records: np.ndarray, deviations: Any, some: np.ndarray, amount: float, rng: np.random.Generator
) -> np.ndarray:
    if deviations is None:
        others = np.take_along_axis(records, rng.integers(len(records), size=some.shape), 0)
        return np.where(rng.random(some.shape) < min(1.0, amount), others, some)
    moved = some + amount * deviations * rng.standard_normal(some.shape, np.float32)
    if records.dtype == np.uint8:
        return as_pixels(moved)
    return moved.astype(records.dtype) if records.dtype.kind == "f" else np.rint(moved).astype(records.dtype)
