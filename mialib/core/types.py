"""The types that all share: data sets, splits, attack data, black boxes, trainers and attacks.

Data sets, splits and attack data check themselves when they are made, and are frozen: whoever gets one need not check it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mialib.core import cache, checks, frames

SOURCES = ("real", "standin", "own")


@dataclass(frozen=True)
class Features:
    """What an attacker knows of a record: its shape, and the kinds of its columns.

    shape: (n_features,) or (h, w[, channels]). kinds: None for bits or pixels, else one tuple a column: the kind ("bit",
    "category", "integer" or "real") first, then its one-hot group or its range.
    """

    shape: tuple[int, ...]
    kinds: Sequence[Any] | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Records and their classes.

    x: (n, ...) uint8 (bits 0/1, pixels) or float32 (tables), finite. y: int64 (n,), 0..n_classes-1. source: "real" or "standin"
    for the sets of `mialib.data`, "own" for records of the user's. features: what an attacker knows of a record; None: read off
    x. frame: the user's own rows, a pandas table or an array of another type, given to models in place of x. classes: the
    user's labels, (n_classes,), class c of y being classes[c]; estimators learn these, and a model's `classes_` is matched with
    them. encoder: what made x of the frame, where it was `from_frame`.
    Raises TypeError or ValueError, naming the field, what it holds and what is allowed.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    n_classes: int
    source: str
    features: Features | None = None
    frame: Any = None
    classes: Sequence[Any] | None = None
    encoder: frames.Encoder | None = None

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        if not checks.is_array(x) or x.dtype not in (np.uint8, np.float32):
            raise TypeError(f"dataset.x must be a uint8 or float32 array, got {checks.kind(x)}")
        if not checks.is_array(y) or y.dtype != np.int64:
            raise TypeError(f"dataset.y must be an int64 array, got {checks.kind(y)}")
        if x.ndim < 2 or y.shape != x.shape[:1] or not x.size:
            raise ValueError(f"dataset.x and y must have shapes (n, ...) and (n,) with n >= 1, got {x.shape} and {y.shape}")
        if x.dtype == np.float32 and not np.isfinite(x).all():
            bad = np.count_nonzero(~np.isfinite(x))
            raise ValueError(f"dataset.x must be finite, got {bad} values that are NaN or infinite")
        checks.whole("dataset.n_classes", self.n_classes, 2)
        checks.labels("dataset.y", y, self.n_classes)
        checks.choice("dataset.source", self.source, SOURCES)
        self._check_features()
        if self.frame is not None:
            frames.check_frame(self.frame, len(x))
        if self.classes is not None and len(set(self.classes)) != self.n_classes:
            raise ValueError(f"dataset.classes must be {self.n_classes} different labels, got {list(self.classes)[:10]}")

    def _check_features(self) -> None:
        features, shape = self.features, self.x.shape[1:]
        if features is None:
            return
        checks.instance("dataset.features", features, Features)
        if tuple(features.shape) != shape:
            raise ValueError(f"dataset.features.shape must be that of a record, {shape}, got {tuple(features.shape)}")
        if features.kinds is not None and len(features.kinds) != shape[0]:
            raise ValueError(f"dataset.features.kinds must have one entry a column, {shape[0]}, got {len(features.kinds)}")

    @classmethod
    def from_frame(cls, frame: Any, label: str, name: str = "own") -> "Dataset":
        """A pandas table with a column `label` of classes of any kind: its rows for models, and numbers (`frames.Encoder`)."""
        if not frames.is_frame(frame) or label not in frame:
            columns = ", ".join(map(str, getattr(frame, "columns", []))) or "none"
            raise ValueError(f"label must be a column of the table, which has {columns}, got {label!r}")
        records = frame.drop(columns=label)
        y, classes = frames.coded(frame[label])
        encoder = frames.Encoder.of(records)
        x = encoder.encode(records)
        features = Features(x.shape[1:], encoder.kinds(x))
        return cls(name, x, y, len(classes), "own", features, records, classes, encoder)

    def __getitem__(self, rows: slice | np.ndarray) -> "Dataset":
        """Some of the records: `rows` is a slice, a mask or indices."""
        frame = None if self.frame is None else frames.rows_of(self.frame, rows)
        return replace(self, x=self.x[rows], y=self.y[rows], frame=frame)

    def records(self, rows: slice | np.ndarray = slice(None)) -> Any:
        """Some of the records as models take them: rows of the user's own, or of x."""
        return frames.rows_of(self.x if self.frame is None else self.frame, rows)

    @property
    def names(self) -> list[Any]:
        """The label of each class, as estimators learn them."""
        return [*range(self.n_classes)] if self.classes is None else np.asarray(self.classes).tolist()

    def labels(self, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Some of the labels as estimators learn them: the user's own, or y."""
        return self.y[rows] if self.classes is None else np.asarray(self.classes)[self.y[rows]]

    def digest(self) -> str:
        """SHA-256 (hex) of x and y, and of the user's own rows and labels."""
        if self.frame is None and self.classes is None:
            return cache.digest(self.x, self.y)
        frame = "" if self.frame is None else frames.digest_of(self.frame)
        return cache.digest(self.x, self.y, frame, "" if self.classes is None else repr(list(self.classes)))

    def describe(self) -> dict[str, Any]:
        """What a run notes of its data: name, source, records, n_classes and a digest."""
        facts = {"name": self.name, "source": self.source, "records": len(self.y), "n_classes": int(self.n_classes)}
        return facts | {"digest": self.digest()}


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a model's training set and of its test set, int64: distinct, disjoint, equally many, at least one.

    Raises TypeError or ValueError for anything else.
    """

    members: np.ndarray
    nonmembers: np.ndarray

    def __post_init__(self) -> None:
        for name in ("members", "nonmembers"):
            object.__setattr__(self, name, checks.indices(f"split.{name}", getattr(self, name)))
        members, nonmembers = self.members, self.nonmembers
        if len(members) != len(nonmembers) or not len(members):
            raise ValueError(f"split must hold as many members as non-members, got {len(members)} and {len(nonmembers)}")
        both = len(np.intersect1d(members, nonmembers, assume_unique=True))
        if both:
            raise ValueError(f"split must be disjoint, got {both} records on both sides")

    @property
    def rows(self) -> np.ndarray:
        """Members, then non-members, int64 (2 n,)."""
        return np.concatenate([self.members, self.nonmembers])

    @property
    def member(self) -> np.ndarray:
        """Of `rows`, which are members, bool (2 n,)."""
        return np.arange(2 * len(self.members)) < len(self.members)


@dataclass(frozen=True, eq=False)
class AttackData:
    """Answers of one or more models, record by record: what an attack is fitted on, or tested on.

    predictions: floats (n, n_classes) in [0, 1], mitigated or not. labels: int64 (n,), the records' true classes. member: bool
    (n,), True where the record was in the queried model's training set. Raises TypeError or ValueError for anything else.
    """

    predictions: np.ndarray
    labels: np.ndarray
    member: np.ndarray

    def __post_init__(self) -> None:
        p, member = self.predictions, self.member
        if not checks.is_array(p) or p.ndim != 2 or not np.issubdtype(p.dtype, np.floating):
            raise TypeError(f"predictions must be floats of shape (n, n_classes), got {checks.kind(p)}")
        if p.size and not (p.min() >= 0 and p.max() <= 1):  # NaN is neither
            raise ValueError(f"predictions must be finite and lie in [0, 1], got {p.min()}..{p.max()}")
        if not checks.is_array(member) or member.dtype != bool or member.shape != (len(p),):
            raise TypeError(f"member must be bool of shape ({len(p)},), got {checks.kind(member)}")
        object.__setattr__(self, "labels", checks.labels("labels", self.labels, p.shape[1]))
        if len(self.labels) != len(p):
            raise ValueError(f"labels must have one entry a prediction, got {len(self.labels)} for {len(p)}")

    @property
    def n_classes(self) -> int:
        return self.predictions.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | np.ndarray) -> "AttackData":
        """Some of the records: `rows` is a slice, a mask or indices."""
        return AttackData(self.predictions[rows], self.labels[rows], self.member[rows])

    @classmethod
    def joined(cls, parts: Iterable["AttackData"]) -> "AttackData":
        """The records of several, one after another."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("predictions", "labels", "member")))


def some_models(data: AttackData, start: int, stop: int, of: int) -> AttackData:
    """The rows of models start..stop-1 in the data of `of` models: what those alone would have given."""
    checks.whole("start", start, 0, of - 1)
    checks.whole("stop", stop, start + 1, of)
    size = len(data.labels) // of
    return data[start * size : stop * size]


def each_model(data: AttackData, of: int) -> list[AttackData]:
    """The data of `of` models, model by model."""
    return [some_models(data, i, i + 1, of) for i in range(of)]


def answered_right(data: AttackData) -> np.ndarray:
    """Whether a record's most probable class is its true one, bool (n,)."""
    return data.predictions.argmax(1) == data.labels


def check_answers(answers: Any, n: int, n_classes: int) -> np.ndarray:
    """`answers` as float32 prediction vectors (n, n_classes); TypeError or ValueError if they are not probabilities."""
    answers = checks.array("predict_proba's answer", answers)
    if answers.dtype.kind not in "fiu":
        raise TypeError(f"predict_proba must answer real numbers, got {answers.dtype}")
    if answers.shape != (n, n_classes):
        raise ValueError(f"predict_proba must answer shape ({n}, {n_classes}), got {answers.shape}")
    low, high = answers.min(), answers.max()  # NaN where any is
    if not np.isfinite([low, high]).all():
        bad = np.size(answers) - np.isfinite(answers).sum()
        raise ValueError(f"predict_proba must answer finite numbers, got {bad} that are not")
    if low < -1e-6 or high > 1 + 1e-3:
        raise ValueError(f"predict_proba must answer probabilities in 0..1, got {low:.4g}..{high:.4g}")
    off = np.abs(answers @ np.ones(n_classes, np.float32) - 1)  # a product: this runs at every step of a synthesis
    worst = off.argmax()
    if off[worst] > 1e-3:
        total = answers[worst].sum()
        raise ValueError(f"predict_proba must answer rows that sum to one within 1e-3, row {worst} sums to {total:.4g}")
    return np.clip(answers, 0, 1).astype(np.float32, copy=False)


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


def check_width(data: AttackData, n_classes: int) -> None:
    """Raise TypeError or ValueError unless `data` has answers of as many classes as an attack was fitted on."""
    checks.instance("data", data, AttackData)
    if data.n_classes != n_classes:
        raise ValueError(f"predictions must have {n_classes} columns, as the attack was fitted on, got {data.n_classes}")


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
