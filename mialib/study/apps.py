"""An app between a model and whoever asks: it shows labels and rounded scores, keeps answers, lets some records through.

Sec. IX of the paper leaves such indirect access open; here the app is one more black box, so that every attack can ask it.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mialib import mitigations
from mialib.core import checks, randomness
from mialib.core.types import BlackBox
from mialib.shadow.records import check_records, nearest
from mialib.shadow.views import check_pictures

Key = Callable[[np.ndarray], np.ndarray]  # records (n, ...) to rows (n, d), equal where an app takes records for the same
Gate = Callable[[np.ndarray], np.ndarray]  # records (n, ...) to bool (n,): which are let through
FAINTEST = np.finfo(np.float32).smallest_subnormal


class Shown(NamedTuple):
    """What an app shows: answers float32 (n, n_classes), all 0 where it refuses; refused bool (n,)."""

    answers: np.ndarray
    refused: np.ndarray


class App:
    """A black box around another; one object is one user's access, its counts are exact.

    top, digits: the app shows the `top` most probable labels, with scores of so many digits (`top_labels`). noise: standard
    deviation of Gaussian noise on every score, drawn anew whenever the model is asked. key: the app keeps answers, and gives a
    record the answer to the first that had the same key (`same_record`, `some_columns`, `thumbnail`). gate: which records it
    lets through. quota: rows that it passes on to the model, at most; what it answers from what it kept is free, and after the
    last one it refuses. Rows are served one after another: nothing depends on how they are split into calls.

    asked = refused + from_cache + passed, counted in rows. Raises TypeError or ValueError, naming the argument.
    """

    def __init__(
        self,
        model: BlackBox,
        n_classes: int,
        *,
        top: int | None = None,
        digits: int | None = None,
        noise: float = 0.0,
        key: Key | None = None,
        gate: Gate | None = None,
        quota: int | None = None,
        seed: int = 0,
    ) -> None:
        if not callable(getattr(model, "predict_proba", None)):
            raise TypeError(f"model must have predict_proba, got a {type(model).__name__}")
        for name, part in (("key", key), ("gate", gate)):
            if part is not None and not callable(part):
                raise TypeError(f"{name} must be a function of records, or None, got {part!r}")
        self.model, self.n_classes = model, checks.whole("n_classes", n_classes, 2)
        check_shown(top, digits, self.n_classes)
        self.top, self.digits, self.noise = top, digits, checks.real("noise", noise, 0)
        self.key, self.gate = key, gate
        self.quota = None if quota is None else checks.whole("quota", quota, 1)
        self.asked = self.refused = self.from_cache = self.passed = 0
        self._noise = randomness.generator(seed, "noise of an app")
        self._kept: dict[bytes, np.ndarray] = {}

    @property
    def refusal(self) -> int | None:
        """The column of `predict_proba` that says "refused", n_classes; None of an app that refuses nothing."""
        return None if self.gate is None and self.quota is None else self.n_classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """What the app shows of records x (n, ...), float32 (n, n_classes); where it may refuse, one more column says that it
        does: 1, all others 0, so that a refusal is a label of its own.
        """
        shown = self.ask(x)
        return shown.answers if self.refusal is None else np.column_stack([shown.answers, shown.refused.astype(np.float32)])

    def ask(self, x: np.ndarray) -> Shown:
        """The same, with the refusals apart."""
        x = check_records("x", x, 0)
        names = self._names(x)
        source = np.full(len(x), -1)  # the row of this call whose answer a row gets; -1: kept from an earlier one, or refused
        refused = ~self._let_through(x)
        first: dict[Any, int] = {}
        for i in np.flatnonzero(~refused).tolist():
            name = names[i] if names else i
            if name in first:
                source[i] = first[name]
                self.from_cache += 1
            elif name in self._kept:
                self.from_cache += 1
            elif self.quota is not None and self.passed >= self.quota:
                refused[i] = True
            else:
                source[i] = first[name] = i
                self.passed += 1
        self.asked, self.refused = self.asked + len(x), self.refused + int(refused.sum())
        return Shown(self._answers(x, names, source, refused), refused)

    def _answers(self, x: np.ndarray, names: list[bytes], source: np.ndarray, refused: np.ndarray) -> np.ndarray:
        answers = np.zeros((len(x), self.n_classes), np.float32)
        new = np.flatnonzero(source == np.arange(len(x)))
        if len(new):
            answers[new] = self._show(self.model.predict_proba(x[new]))
        answers[source >= 0] = answers[source[source >= 0]]
        if names:
            for i in np.flatnonzero((source < 0) & ~refused):
                answers[i] = self._kept[names[i]]
            self._kept |= {names[i]: answers[i].copy() for i in new}
        return answers

    def _show(self, p: Any) -> np.ndarray:
        p = checks.array("predict_proba's answer", p)
        if p.ndim != 2 or p.shape[1] != self.n_classes:
            raise ValueError(f"model must answer {self.n_classes} classes, got {checks.kind(p)}")
        if self.noise:
            p = (p + self.noise * self._noise.standard_normal(p.shape)).clip(0, 1).astype(np.float32)
        return top_labels(p, self.top, self.digits)

    def _let_through(self, x: np.ndarray) -> np.ndarray:
        if self.gate is None:
            return np.ones(len(x), bool)
        allowed = checks.array("gate's answer", self.gate(x))
        if allowed.dtype != bool or allowed.shape != (len(x),):
            raise TypeError(f"gate must answer bool of shape ({len(x)},), got {checks.kind(allowed)}")
        return allowed

    def _names(self, x: np.ndarray) -> list[bytes]:
        """What each record goes by in what was kept; none where nothing is."""
        return [] if self.key is None else names_of(x, self.key)


def names_of(x: np.ndarray, key: Key) -> list[bytes]:
    """The key of each record, 16 bytes; TypeError for a key that is no row of numbers a record."""
    rows = checks.array("key's answer", key(x))
    if rows.ndim != 2 or len(rows) != len(x) or not rows.shape[1] or rows.dtype.kind not in "fiub":
        raise TypeError(f"key must answer a row of numbers for each of {len(x)} records, got {checks.kind(rows)}")
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in np.ascontiguousarray(rows)]


def check_shown(top: int | None, digits: int | None, n_classes: int) -> None:
    """TypeError or ValueError unless an app can show so many labels and digits."""
    if top is not None:
        checks.whole("top", top, 1, n_classes, f"there are {n_classes} classes")
    if digits is not None and not checks.whole("digits", digits, 0, 15) and top != 1:
        raise ValueError(f"digits must be at least 1 unless top is 1: without scores one label alone is shown, got top = {top}")


def top_labels(p: np.ndarray, top: int | None = None, digits: int | None = None) -> np.ndarray:
    """The `top` highest probabilities (None: all) rounded to `digits` (None: not at all; 0, with top = 1: no score, the label
    alone), 0 elsewhere: float32 (n, n_classes) in [0, 1].

    An app names its first label, whatever became of the score: so the highest entry stays the highest, by one float where
    others are rounded to the same, and a score that rounds to 0 is float32's smallest number.
    """
    check_shown(top, digits, checks.array("p", p).shape[-1])
    if digits == 0:
        return mitigations.label_only(p)
    shown = p if top is None else mitigations.top_k(p, top)
    if digits is None:
        return np.asarray(shown, np.float32)
    shown, rows, label = mitigations.round_to(shown, digits), np.arange(len(p)), p.argmax(1)
    others = shown == shown.max(1, keepdims=True)
    others[rows, label] = False
    shown[others] = np.nextafter(shown[others], np.float32(0))
    shown[rows, label] = np.maximum(shown[rows, label], FAINTEST)
    return shown


# What an app takes for the same record


def same_record(x: np.ndarray) -> np.ndarray:
    """The record itself: the same one, asked again, gets the same answer."""
    return x.reshape(len(x), -1)


def some_columns(columns: np.ndarray) -> Key:
    """Some of a record's columns: records that agree in them are taken for the same."""
    columns = checks.indices("columns", columns)
    if not len(columns):
        raise ValueError("columns must be at least one, got none")

    def key(x: np.ndarray) -> np.ndarray:
        if x.ndim != 2 or columns.max() >= x.shape[1]:
            raise ValueError(f"columns must be those of records (n, d), got up to {columns.max()} for shape {x.shape}")
        return x[:, columns]

    return key


def thumbnail(side: int, levels: int) -> Key:
    """A picture in grey, side x side pixels of so many levels: pictures that look alike so small are taken for the same."""
    checks.whole("side", side, 1)
    checks.whole("levels", levels, 2, 256)

    def key(x: np.ndarray) -> np.ndarray:
        grey = check_pictures("x", x).reshape(*x.shape[:3], -1).mean(3, dtype=np.float32)
        for axis in (1, 2):
            size = x.shape[axis]
            if side > size:
                raise ValueError(f"side must be at most that of the pictures, {size}, got {side}")
            starts = np.arange(side) * size // side
            widths = np.diff(np.append(starts, size)).astype(np.float32)
            grey = np.add.reduceat(grey, starts, axis) / np.expand_dims(widths, [i for i in range(3) if i != axis])
        return (grey * (levels / 256)).astype(np.uint8).reshape(len(x), -1)

    return key


# What an app lets through


def near_to(known: np.ndarray, most: float) -> Gate:
    """Records within `most` of the nearest of the records `known` (m, ...): mean squared difference over features, of bits the
    share that differ (`shadow.nearest`).
    """
    known = check_records("known", known, 1)
    checks.real("most", most, 0)
    return lambda x: nearest(x, known) <= most if len(x) else np.zeros(0, bool)


def smooth(most: float) -> Gate:
    """Pictures whose `roughness` is at most this."""
    checks.real("most", most, 0)
    return lambda x: roughness(x) <= most


def roughness(x: np.ndarray) -> np.ndarray:
    """Mean absolute difference between neighbouring pixels of each picture, 0..255, float64 (n,)."""
    x = check_pictures("x", x).astype(np.float32)
    steps = [np.abs(np.diff(x, axis=axis)).reshape(len(x), -1).mean(1, dtype=np.float64) for axis in (1, 2)]
    return (steps[0] + steps[1]) / 2
