"""Surrogates of the two services that the paper attacked. Both are gone; nothing here was ever compared with the originals.

`AmazonML` follows what its maker documented (Amazon Machine Learning Developer Guide, "Learning Algorithm", "Training
Parameters", "Data Transformations Reference"):

- multinomial logistic regression by online stochastic gradient descent, in passes over shuffled records; followed, but for
  batches of 50 records where the service took one at a time;
- a maximum number of passes (default 10) and an amount of L2 regularisation (console default 1e-6): the paper's two settings.
  Here every pass is made: no rule by which the service stopped earlier is documented. How it scaled the amount is not
  documented either: here it is the factor of the sum of squared weights beside the summed loss of the training set, so that
  with 1e-4 a model still learns that set by heart, as in Table I;
- binary and categorical attributes have one weight a value, numeric ones one weight a quantile bin, the bins learned from the
  model's own training set. The service chose the number of bins by rules that are not documented: 10 here;
- a constant learning rate, chosen by the service from the data, by rules that are not documented: here 1600 / mean squared
  length of the model's own records, to the nearest power of two. 1600 was chosen by the accuracies of Table I alone.

`PredictionAPI` had no settings and told nothing of its models: the surrogate chooses among families (`study.google`) on
held-out records, and shows answers only. Its constants were chosen by the accuracies of Table II and the answers of Fig. 12
that the paper prints, never by an attack.

Train and test accuracy of its targets in the committed runs (Table II's in brackets); Purchase and Texas on stand-ins,
Purchase on an earlier one (that of today: see `data.standins.purchase`):

    Location       0.997  0.645  (1.000  0.673)        Purchase-2      0.980  0.955  (0.999  0.984)
    Adult          0.845  0.839  (0.848  0.842)        Purchase-10     1.000  0.837  (0.999  0.866)
    MNIST          0.993  0.947  (0.984  0.928)        Purchase-20     1.000  0.780  (1.000  0.781)
    Texas          1.000  0.538  (0.668  0.517)        Purchase-50     1.000  0.720  (1.000  0.693)
                                                       Purchase-100    1.000  0.736  (0.999  0.659)

Amazon's surrogate, on that earlier stand-in and with its earlier constants, had 1.000 and 0.721 with (10, 1e-6), where Table I
has 0.941 and 0.468, and 0.965 and 0.680 with (100, 1e-4), where it has 1.000 and 0.504.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from torch import nn

from mialib.core import checks, progress
from mialib.core.executors import Workers
from mialib.core.types import BlackBox, Dataset
from mialib.training import keys
from mialib.training.networks import Records
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Estimate, Recipe, check_rows

BINS = 10
BATCH = 50
RATE = 1600.0


@dataclass(frozen=True)
class AmazonML:
    """Trainer: a surrogate of Amazon Machine Learning, as far as it is documented (see the module).

    max_passes: passes over the training set, 1..10000, all of them made. l2: amount of regularisation, at least 0.
    The paper's settings are (10, 1e-6), the default, and (100, 1e-4) (Sec. VI-C). Raises TypeError or ValueError.

    Attributes that are 0 or 1 in every record of the data set are binary, all others numeric.
    """

    max_passes: int = 10
    l2: float = 1e-6

    def __post_init__(self) -> None:
        checks.whole("max_passes", self.max_passes, 1, 10_000)
        checks.real("l2", self.l2, 0)

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each model: stored data, rows, passes, L2, (seed, number) and the code that trains."""
        settings = {"max_passes": int(self.max_passes), "l2": float(self.l2), "bins": BINS, "rate": RATE, "batch": BATCH}
        return keys.of_models(self, [None], settings, dataset, rows, seed, first, versions=False)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one model a row of `rows` (k, n), in the order of the rows; binary data together, numeric data one by one."""
        rows = check_rows(dataset, rows)
        checks.whole("first", first, 0)
        if not _numeric(dataset.x).any():
            rates = [_rate(dataset.x[row]) for row in rows]
            groups = [list(group) for _, group in groupby(range(len(rows)), key=rates.__getitem__)]
            with progress.one_bar(len(rows)):
                trainers = [self._trainer(dataset, rates[g[0]], rows.shape[1]) for g in groups]
                fitted = [t.fit_many(dataset, rows[g], seed, first + g[0]) for t, g in zip(trainers, groups, strict=True)]
            return [model for group in fitted for model in group]
        with progress.one_bar(len(rows)):
            return [self._fit_binned(dataset, row, seed, first + j) for j, row in enumerate(rows)]

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k models on n records each would take here, from a short trial; nothing is kept."""
        checks.whole("n", n, 1, len(dataset.x), "the records of the data set")
        if not _numeric(dataset.x).any():
            return self._trainer(dataset, 1.0).estimate(dataset, n, k)
        sample = _Bins(dataset.x[:n], _numeric(dataset.x)).apply(replace(dataset, x=dataset.x[:n], y=dataset.y[:n]))
        one = self._trainer(sample, 1.0).estimate(sample, n, 1)
        return Estimate(checks.whole("k", k, 1), one.seconds * k, one.megabytes * k)

    def together(self, dataset: Dataset, k: int, workers: Workers) -> int:
        """How many of k models one of the workers of a cluster trains together."""
        return 1 if _numeric(dataset.x).any() else self._trainer(dataset, 1.0).together(dataset, k, workers)

    def _fit_binned(self, dataset: Dataset, row: np.ndarray, seed: int, number: int) -> BlackBox:
        bins = _Bins(dataset.x[row], _numeric(dataset.x))
        binned = bins.apply(replace(dataset, x=dataset.x[row], y=dataset.y[row]))
        trainer = self._trainer(binned, _rate(binned.x), len(row))
        return _Binned(trainer.fit_many(binned, np.arange(len(row))[None], seed, number)[0], bins)

    def _trainer(self, dataset: Dataset, rate: float, n: int = 1) -> NeuralTrainer:
        l2 = self.l2 / n
        rate = min(rate, 0.25 / l2) if l2 else rate  # beyond 1 / l2 a step overshoots the penalty's own minimum
        recipe = Recipe(self.max_passes, batch_size=BATCH, lr=rate, lr_decay=0.0, l2=l2, optimizer="sgd")
        n_features = int(np.prod(dataset.x.shape[1:]))
        return NeuralTrainer(partial(_softmax_regression, n_features, dataset.n_classes), recipe)


def _softmax_regression(n_features: int, n_classes: int) -> nn.Module:
    return nn.Sequential(Records(), nn.Linear(n_features, n_classes))


def _rate(x: np.ndarray) -> float:
    """The learning rate for binary records x (n, d)."""
    return float(2.0 ** np.round(np.log2(RATE / max(1.0, np.count_nonzero(x) / len(x)))))


def _numeric(x: np.ndarray) -> np.ndarray:
    """Which attributes of records x (n, ...), flattened, are anything but 0 and 1: bool (d,)."""
    flat = x.reshape(len(x), -1)
    return ~np.logical_or(flat == 0, flat == 1).all(0)


class _Bins:
    """Quantile bins of the numeric attributes of x (n, ...), one indicator a bin; other attributes stay as they are."""

    def __init__(self, x: np.ndarray, numeric: np.ndarray) -> None:
        flat = x.reshape(len(x), -1)
        self._numeric = numeric
        self._edges = np.quantile(flat[:, numeric], np.arange(1, BINS) / BINS, axis=0, method="lower").T

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Bits uint8 (n, n_binary + BINS * n_numeric)."""
        flat = x.reshape(len(x), -1)
        columns = flat[:, self._numeric].T
        found = [np.searchsorted(edges, column) for edges, column in zip(self._edges, columns, strict=True)]
        binned = np.stack(found, 1)[..., None] == np.arange(BINS)
        return np.concatenate([flat[:, ~self._numeric] != 0, binned.reshape(len(x), -1)], 1).view(np.uint8)

    def apply(self, dataset: Dataset) -> Dataset:
        """The data set with its records binned."""
        return replace(dataset, x=self(dataset.x), features=None)


class _Binned:
    """A model of binned records behind `predict_proba`, which takes them raw."""

    def __init__(self, model: BlackBox, bins: _Bins) -> None:
        self._model, self._bins = model, bins

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes), of raw records x (n, ...)."""
        return self._model.predict_proba(self._bins(x))
