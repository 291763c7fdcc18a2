"""The types that all share: data sets, splits, attack data, black boxes, trainers and attacks; and their checks."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from mialib.core import cache, checks


class Features(NamedTuple):
    """What an attacker knows of a record: its shape, and the kinds of its columns.

    shape: (n_features,) or (h, w[, channels]). kinds: None for bits or pixels, else one tuple a column: the kind ("bit",
    "category", "integer" or "real") first, then its one-hot group or its range.
    """

    shape: tuple[int, ...]
    kinds: Sequence[Any] | None = None


class Dataset(NamedTuple):
    """Records and their classes.

    x: (n, ...) uint8 (bits 0/1, pixels) or float32 (tables). y: int64 (n,), 0..n_classes-1. source: "real" or "standin".
    features: what an attacker knows of a record; None: read off x.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    n_classes: int
    source: str
    features: Features | None = None


class Split(NamedTuple):
    """Row indices int64 of a model's training set and of its test set: disjoint, equally many."""

    members: np.ndarray
    nonmembers: np.ndarray


def check_dataset(dataset: Dataset) -> Dataset:
    """`dataset` itself, if its arrays have the types, shapes and values that `Dataset` promises.

    Raises TypeError or ValueError, naming the field, what it holds and what is allowed.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"dataset must be a mialib.data.Dataset, got {type(dataset).__name__}")
    x, y = dataset.x, dataset.y
    if not isinstance(x, np.ndarray) or x.dtype not in (np.uint8, np.float32):
        raise TypeError(f"dataset.x must be a uint8 or float32 array, got {getattr(x, 'dtype', type(x).__name__)}")
    if not isinstance(y, np.ndarray) or y.dtype != np.int64:
        raise TypeError(f"dataset.y must be an int64 array, got {getattr(y, 'dtype', type(y).__name__)}")
    if x.ndim < 2 or y.shape != x.shape[:1] or not x.size:
        raise ValueError(f"dataset.x and y must have shapes (n, ...) and (n,) with n >= 1, got {x.shape} and {y.shape}")
    if x.dtype == np.float32 and not np.isfinite(x).all():
        raise ValueError(f"dataset.x must be finite, got {np.count_nonzero(~np.isfinite(x))} values that are NaN or infinite")
    checks.whole("dataset.n_classes", dataset.n_classes, 2)
    checks.labels("dataset.y", y, dataset.n_classes)
    checks.choice("dataset.source", dataset.source, ("real", "standin"))
    _check_features(dataset.features, x.shape[1:])
    return dataset


def _check_features(features: Features | None, shape: tuple[int, ...]) -> None:
    if features is None:
        return
    if not isinstance(features, Features):
        raise TypeError(f"dataset.features must be a mialib.data.Features or None, got {type(features).__name__}")
    if tuple(features.shape) != shape:
        raise ValueError(f"dataset.features.shape must be that of a record, {shape}, got {tuple(features.shape)}")
    if features.kinds is not None and len(features.kinds) != shape[0]:
        raise ValueError(f"dataset.features.kinds must have one entry a column, {shape[0]}, got {len(features.kinds)}")


def describe(dataset: Dataset) -> dict[str, Any]:
    """What a run notes of its data: name, source ("real" or "standin"), records, n_classes and a digest of x and y."""
    check_dataset(dataset)
    return {
        "name": dataset.name,
        "source": dataset.source,
        "records": len(dataset.y),
        "n_classes": int(dataset.n_classes),
        "digest": cache.digest(dataset.x, dataset.y),
    }


class AttackData(NamedTuple):
    """Answers of one or more models, record by record: what an attack is fitted on, or tested on."""

    predictions: np.ndarray  # (n, n_classes) float32
    labels: np.ndarray  # (n,) int64: the records' true classes
    member: np.ndarray  # (n,) bool: True where the record was in the queried model's training set


def check_answers(answers: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    """`answers` as float32 prediction vectors (n, n_classes); ValueError if they are not probabilities."""
    answers = np.asarray(answers)
    if answers.shape != (n, n_classes):
        raise ValueError(f"predict_proba must answer shape ({n}, {n_classes}), got {answers.shape}")
    low, high = answers.min(), answers.max()  # NaN where any is
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"predict_proba must answer finite numbers, got {np.size(answers) - np.isfinite(answers).sum()} that are not"
        )
    if low < -1e-6 or high > 1 + 1e-3:
        raise ValueError(f"predict_proba must answer probabilities in 0..1, got {low:.4g}..{high:.4g}")
    off = np.abs(answers @ np.ones(n_classes, np.float32) - 1)  # a product: this runs at every step of a synthesis
    worst = off.argmax()
    if off[worst] > 1e-3:
        raise ValueError(
            f"predict_proba must answer rows that sum to one within 1e-3, row {worst} sums to {answers[worst].sum():.4g}"
        )
    return np.clip(answers, 0, 1).astype(np.float32, copy=False)


def check_split(split: Split) -> Split:
    """`split` if its members and non-members are equally many, at least one, and disjoint; ValueError otherwise."""
    members, nonmembers = split
    if len(members) != len(nonmembers) or not len(members):
        raise ValueError(f"split must hold as many members as non-members, got {len(members)} and {len(nonmembers)}")
    if len(np.intersect1d(members, nonmembers)):
        raise ValueError(f"split must be disjoint, got {len(np.intersect1d(members, nonmembers))} records on both sides")
    return split


def some_models(data: AttackData, start: int, stop: int, of: int) -> AttackData:
    """The rows of models start..stop-1 in the data of `of` models: what those alone would have given."""
    checks.whole("start", start, 0, of - 1)
    checks.whole("stop", stop, start + 1, of)
    size = len(data.labels) // of
    return AttackData(*(part[start * size : stop * size] for part in data))


def each_model(data: AttackData, of: int) -> list[AttackData]:
    """The data of `of` models, model by model."""
    return [some_models(data, i, i + 1, of) for i in range(of)]


def answered_right(data: AttackData) -> np.ndarray:
    """Whether a record's most probable class is its true one, bool (n,)."""
    return data.predictions.argmax(1) == data.labels


@runtime_checkable
class BlackBox(Protocol):
    """A model that answers queries and shows nothing else. Any object that has this method can be attacked."""

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes), of raw records x (n, ...): rows are probabilities."""
        ...


class Attack(Protocol):
    """What tells members: fitted on shadow models, used on any model's answers."""

    def membership_score(self, data: AttackData) -> np.ndarray:
        """One number a record, float32 (n,): higher means likelier a member."""
        ...

    def infer(self, data: AttackData) -> np.ndarray:
        """One answer a record, bool (n,): True for "member", by the attack's own threshold."""
        ...


def check_attack_data(data: AttackData, n_classes: int | None = None) -> AttackData:
    """`data` if its parts fit together; TypeError or ValueError naming the part otherwise. Values may be mitigated: in
    [0, 1].
    """
    if not isinstance(data, AttackData) or not all(isinstance(part, np.ndarray) for part in data):
        raise TypeError(f"data must be an AttackData of arrays, got {type(data).__name__}")
    predictions = data.predictions
    if predictions.ndim != 2 or not np.issubdtype(predictions.dtype, np.floating):
        raise TypeError(
            f"predictions must be floats of shape (n, n_classes), got {predictions.dtype} of shape {predictions.shape}"
        )
    if n_classes is not None and predictions.shape[1] != n_classes:
        raise ValueError(f"predictions must have {n_classes} columns, as the attack was fitted on, got {predictions.shape[1]}")
    if not np.isfinite(predictions).all() or (predictions.size and (predictions.min() < 0 or predictions.max() > 1)):
        raise ValueError(f"predictions must be finite and lie in [0, 1], got {predictions.min()}..{predictions.max()}")
    if data.member.dtype != bool or data.member.shape != (len(predictions),):
        raise TypeError(f"member must be bool of shape ({len(predictions)},), got {data.member.dtype} of {data.member.shape}")
    if len(checks.labels("labels", data.labels, predictions.shape[1])) != len(predictions):
        raise ValueError(f"labels must have one entry a prediction, got {len(data.labels)} for {len(predictions)}")
    return data


class Trainer(Protocol):
    """What trains models: one network recipe, any scikit-learn classifier, or a service."""

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> Sequence[BlackBox]:
        """k models; row j of `rows` (k, n) is the training set of model number first + j, which depends on (seed,
        first + j) only.
        """
        ...

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """For each model, all that determines it, as JSON-able values: what its answers are kept under."""
        ...
