"""What trains models of other libraries: any scikit-learn classifier, a clone a model; and any function of the user's."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from torch import nn

from mialib.core import checks, executors, processes, progress, randomness
from mialib.core.executors import Work
from mialib.core.types import BlackBox, Dataset
from mialib.training import keys
from mialib.training.black_boxes import OUTPUTS, black_box
from mialib.training.recipe import check_rows, choose_device


class EstimatorTrainer:
    """Trains any scikit-learn classifier: a clone a model, with random_state from (seed, its number), through joblib.

    Clones learn rows and labels as their owner has them (`Dataset.records`, `Dataset.labels`); records of x are flattened to
    (n, d). Classes that a training set lacks are answered with probability 0; a classifier without `predict_proba` answers
    its label with probability 1.
    """

    def __init__(self, estimator: Any) -> None:
        if isinstance(estimator, type):
            name = estimator.__name__
            raise TypeError(f"estimator must be a classifier, got the class {name}: write {name}(…), which makes one")
        lacking = [name for name in ("fit", "get_params") if not hasattr(estimator, name)]
        if not hasattr(estimator, "predict_proba") and not _is_classifier(estimator):
            lacking.append("predict_proba")
        if lacking:
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
        return keys.of_models(self, [processes.clone_of(self.estimator, 0)], {}, dataset, rows, seed, first)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one clone a row of `rows` (k, n), on all cores (see `joblib.parallel_config`)."""
        rows = check_rows(dataset, rows, first)
        seeds = [randomness.derive(seed, "estimator", first + j) % 2**32 for j in range(len(rows))]
        models = _in_parallel(processes.fitted_clone, self.estimator, dataset, rows, seeds)
        return [_ClassifierBlackBox(model, dataset) for model in models]


class FunctionTrainer:
    """Trains by a function of the user's: fit(x, y, seed) -> a fitted model, a call a model, side by side through joblib.

    x: rows as their owner has them (tables stay tables), or of x of the data set; y: labels alike. seed: a whole number below
    2**32, from (seed, the model's number): all that is random must come from it. The model has `predict_proba` (and `classes_`,
    or columns in the order of the labels), or is a torch module whose `outputs` are "logits" or "probabilities" (see
    `black_box`), and which is asked on a GPU where there is one. n_jobs: calls at a time, -1: one a core; each runs in a
    process of its own, with its share of the cores. What the function reads from outside of its arguments is part of a model's
    key as far as it can be had; where not, nothing is kept on disk.
    """

    def __init__(self, fit: Callable[..., Any], *, outputs: str = "logits", n_jobs: int = -1) -> None:
        if isinstance(fit, type | nn.Module) or not callable(fit):
            raise TypeError(f"fit must be a function of (x, y, seed) that returns a fitted model, got {fit!r:.80}")
        self.fit, self.outputs = fit, checks.choice("outputs", outputs, OUTPUTS)
        checks.whole("n_jobs", n_jobs, -1)
        if n_jobs == 0:
            raise ValueError("n_jobs must be -1, for all cores, or at least 1, got 0")
        self.n_jobs = n_jobs

    @property
    def at_once(self) -> int:
        """Models in work at the same time."""
        import joblib

        return joblib.effective_n_jobs(self.n_jobs)

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each model: stored data, rows, the function and its code, versions, (seed, number)."""
        return keys.of_models(self, [self.fit], {"outputs": self.outputs}, dataset, rows, seed, first)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Call the function once a row of `rows` (k, n). TypeError for a model that cannot be asked."""
        rows = check_rows(dataset, rows, first)
        seeds = [randomness.derive(seed, "function", first + j) % 2**32 for j in range(len(rows))]
        models = _in_parallel(processes.called, self.fit, dataset, rows, seeds, self.n_jobs)
        return [self._black_box(model, dataset) for model in models]

    def _black_box(self, model: Any, dataset: Dataset) -> BlackBox:
        if isinstance(model, nn.Module):
            return black_box(model.to(choose_device("auto")), self.outputs)
        if not hasattr(model, "predict_proba"):
            raise TypeError(f"fit must return a model with predict_proba, or a torch module, got {model!r:.80}")
        return _ClassifierBlackBox(model, dataset) if hasattr(model, "classes_") else model


def _in_parallel(
    work: Callable[..., Any], how: Any, dataset: Dataset, rows: np.ndarray, seeds: list[int], n_jobs: int = -1
) -> list[Any]:
    """`work` of (how, records, labels, seed), once a row of `rows`, in processes that see what was imported here."""
    jobs = [*zip(rows, seeds, strict=True)]
    with executors.elsewhere(None) if len(jobs) == 1 else nullcontext():  # one model is trained where it is wanted
        return executors.finished(Work(jobs, partial(_side_by_side, work, how, dataset, n_jobs), in_order=False))


def _side_by_side(
    work: Callable[..., Any], how: Any, dataset: Dataset, n_jobs: int, pieces: Sequence[tuple[np.ndarray, int]]
) -> list[Any]:
    import joblib

    _renew_workers(how)
    jobs = (joblib.delayed(work)(how, dataset.records(row), dataset.labels(row), s) for row, s in pieces)
    fitted: Iterator[Any] = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    with warnings.catch_warnings():  # joblib replaces workers that grew large, and says so; nothing is lost by it
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        return list(_counted(fitted, progress.ticks(1)))


def _counted(fitted: Iterator[Any], bar: progress.Ticks) -> Iterator[Any]:
    for model in fitted:
        bar.update()
        yield model


def _is_classifier(estimator: Any) -> bool:
    from sklearn.base import is_classifier

    return hasattr(estimator, "get_params") and is_classifier(estimator)


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


class _ClassifierBlackBox:
    """A fitted classifier behind `predict_proba`, with a column for every class of the data set."""

    def __init__(self, model: Any, dataset: Dataset) -> None:
        place = {label: c for c, label in enumerate(dataset.names)}
        self._model, self._n_classes = model, dataset.n_classes
        self._places = [place[label] for label in np.asarray(model.classes_).tolist()]

    def predict_proba(self, x: Any) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes)."""
        answers = np.zeros((len(x), self._n_classes), np.float32)
        if hasattr(self._model, "predict_proba"):
            answers[:, self._places] = self._model.predict_proba(processes.flat(x))
        else:
            known, said = np.asarray(self._model.classes_), np.asarray(self._model.predict(processes.flat(x)))
            order = np.argsort(known)
            answers[np.arange(len(x)), np.array(self._places)[order[np.searchsorted(known[order], said)]]] = 1
        return answers
