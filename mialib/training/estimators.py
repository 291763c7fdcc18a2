"""Any scikit-learn classifier as a trainer: a clone a model."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm.std import tqdm

from mialib.core import randomness
from mialib.core.types import BlackBox, Dataset
from mialib.training import keys
from mialib.training.recipe import check_rows


class EstimatorTrainer:
    """Trains any scikit-learn classifier: a clone a model, with random_state from (seed, its number), through joblib.

    Records are flattened to (n, d). Classes that a training set lacks are answered with probability 0.
    """

    def __init__(self, estimator: Any) -> None:
        if isinstance(estimator, type):
            name = estimator.__name__
            raise TypeError(f"estimator must be a classifier, got the class {name}: write {name}(…), which makes one")
        if lacking := [name for name in ("fit", "predict_proba", "get_params") if not hasattr(estimator, name)]:
            got = f"{type(estimator).__name__} without {' and '.join(lacking)}"
            raise TypeError(f"estimator must be a classifier with fit, predict_proba and get_params, got {got}")
        self.estimator = estimator

    @property
    def at_once(self) -> int:
        """Models in work at the same time."""
        import joblib  # late, as sklearn: a second that networks need not wait for

        return joblib.effective_n_jobs(-1)

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each model: stored data, rows, the estimator's classes and parameters, their code and the versions of
        its libraries, (seed, number) and the code that trains.
        """
        return keys.of_models(self, [_clone(self.estimator, 0)], {}, dataset, rows, seed, first)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one clone a row of `rows` (k, n), on all cores (see `joblib.parallel_config`)."""
        import joblib

        rows = check_rows(dataset, rows, first)
        _renew_workers(self.estimator)
        seeds = [randomness.derive(seed, "estimator", first + j) % 2**32 for j in range(len(rows))]
        jobs = (
            joblib.delayed(_fit_clone)(self.estimator, dataset.x[row], dataset.y[row], s)
            for row, s in zip(rows, seeds, strict=True)
        )
        fitted: Iterator[Any] = joblib.Parallel(n_jobs=-1, return_as="generator")(jobs)
        bar = tqdm(fitted, total=len(rows), desc="training", unit="model", leave=False) if len(rows) > 1 else fitted
        return [_ClassifierBlackBox(model, dataset.n_classes) for model in bar]


_IMPORTED: dict[str, str] = {}  # source of a user's modules that joblib's workers may have imported
_RENEWING = threading.Lock()


def _renew_workers(estimator: Any) -> None:
    """Workers keep what they imported: after an edit of a user's module they would go on training with the old one."""
    from joblib.externals.loky import get_reusable_executor

    describe = keys.Description()
    describe(estimator)
    sources = describe.code().get("sources", {})
    with _RENEWING:
        if not sources.items() <= _IMPORTED.items():
            get_reusable_executor().shutdown(wait=True)
            _IMPORTED.update(sources)


def _fit_clone(estimator: Any, x: np.ndarray, y: np.ndarray, random_state: int) -> Any:
    return _clone(estimator, random_state).fit(x.reshape(len(x), -1), y)


def _clone(estimator: Any, random_state: int) -> Any:
    from sklearn.base import clone

    model = clone(estimator)
    names = [name for name in model.get_params() if name == "random_state" or name.endswith("__random_state")]
    return model.set_params(**dict.fromkeys(names, random_state))


class _ClassifierBlackBox:
    """A fitted scikit-learn classifier behind `predict_proba`, with a column for every class of the data set."""

    def __init__(self, model: Any, n_classes: int) -> None:
        self._model, self._n_classes = model, n_classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes)."""
        answers = np.zeros((len(x), self._n_classes), np.float32)
        answers[:, self._model.classes_] = self._model.predict_proba(x.reshape(len(x), -1))
        return answers
