"""Label-only attacks: nothing but the class that a target answers is used, so that hiding the probabilities changes nothing.

A model holds on to the labels of its members further away from them than to those of others: under noise, over views of a
picture, and up to its decision boundary (Choquette-Choo et al. 2021; Li & Zhang 2021; the boundary: `mialib.attack.boundary`).
Whether the label is right is the least of them (Yeom et al. 2018).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mialib.core import checks, randomness
from mialib.core.types import BlackBox
from mialib.shadow.records import check_records
from mialib.shadow.views import View, check_pictures

BYTES_A_CALL = 50_000_000  # of records asked at once, as float32


class LabelOnly(NamedTuple):
    """score: float64 (n,), higher = likelier a member. queries: int64 (n,), how many rows the target was asked for a record.

    A target that answers some records alone says so by a label that no record has, `refused` in the functions here: refused
    copies of a record tell nothing, and a record without any answer has the score minus infinity.
    """

    score: np.ndarray
    queries: np.ndarray


def label_only_gap(model: BlackBox, x: np.ndarray, labels: np.ndarray, *, refused: int | None = None) -> LabelOnly:
    """1 where the target's label of a record is right, 0 elsewhere; one query a record (Yeom et al. 2018).

    model: the target, any object with `predict_proba`. x: raw records (n, ...), uint8 or float32. labels: (n,), their true
    classes: columns of the answers or, where the model has `classes_`, labels among these. refused: see `LabelOnly`. Raises
    TypeError or ValueError.
    """
    x, labels = check_asked(model, x, labels, refused)
    return _share_right(model, x, labels, 1, lambda start, stop, first, last: x[start:stop], refused)


def label_only_augmentation(model: BlackBox, x: np.ndarray, labels: np.ndarray, views: Sequence[View]) -> LabelOnly:
    """The share of views of a picture that the target labels right (Choquette-Choo et al. 2021); a query a view.

    x: pictures, uint8 (n, h, w) or (n, h, w, channels). views: of `mialib.shadow.views`, or any functions of pictures that
    return as many of the same shape. model, labels and errors: as of `label_only_gap`.
    """
    x, labels = check_asked(model, check_pictures("x", x), labels)
    if isinstance(views, View) or not len(views):
        raise ValueError(f"views must be a list of at least one view, got {views!r}")
    if strange := [view for view in views if not callable(view)]:
        raise TypeError(f"views must be functions of pictures, got {strange[0]!r}")

    def seen(start: int, stop: int, first: int, last: int) -> np.ndarray:
        pictures = [check_pictures("view's answer", view(x[start:stop])) for view in views[first:last]]
        if any(part.shape != x[start:stop].shape for part in pictures):
            raise ValueError(f"views must return pictures of the same shape, {x.shape[1:]}, got {pictures[0].shape[1:]}")
        return np.stack(pictures, 1).reshape(-1, *x.shape[1:])

    return _share_right(model, x, labels, len(views), seen)


def label_only_noise(
    model: BlackBox,
    x: np.ndarray,
    labels: np.ndarray,
    *,
    rate: float | None = None,
    sigma: float | None = None,
    copies: int = 100,
    seed: int = 0,
    refused: int | None = None,
) -> LabelOnly:
    """The share of noisy copies of a record that the target labels right (Choquette-Choo et al. 2021); a query a copy.

    Bits (uint8 of 0 and 1, (n, d)) take a `rate`: each bit is flipped with that probability. All other records take a `sigma`,
    the standard deviation of Gaussian noise: of pixels, in units of their range of 0..255, rounded and kept in it; of tables
    (float32), in units of each column's standard deviation over x. The noise of the record in row i depends on (seed, i) alone.
    How much noise tells members best is found on shadow models. model, labels, refused and errors: as of `label_only_gap`; also
    for the wrong one of `rate` and `sigma`.
    """
    x, labels = check_asked(model, x, labels, refused)
    disturb = _noise(x, rate, sigma)
    checks.whole("copies", copies, 1)
    streams = [randomness.generator(seed, "label-only noise", row) for row in range(len(x))]

    def disturbed(start: int, stop: int, first: int, last: int) -> np.ndarray:
        return np.concatenate([disturb(x[row], last - first, streams[row]) for row in range(start, stop)])

    return _share_right(model, x, labels, copies, disturbed, refused)


def _noise(
    x: np.ndarray, rate: float | None, sigma: float | None
) -> Callable[[np.ndarray, int, np.random.Generator], np.ndarray]:
    """What makes the next m noisy copies of a record of x, (m, ...)."""
    bits = is_bits(x)
    name, other, given, spare = ("rate", "sigma", rate, sigma) if bits else ("sigma", "rate", sigma, rate)
    if given is None or spare is not None:
        what = "bits" if bits else f"records of {x.dtype}"
        raise ValueError(f"{what} take {name} and no {other}, got rate={rate}, sigma={sigma}")
    amount = checks.real(name, given, 0, 1 if bits else float("inf"))
    if bits:
        return lambda record, m, rng: record ^ (rng.random((m, *record.shape), np.float32) < amount)
    if x.dtype == np.uint8:
        return lambda record, m, rng: as_pixels(record + 255 * amount * rng.standard_normal((m, *record.shape), np.float32))
    scale = (amount * x.std(0, dtype=np.float64)).astype(np.float32)
    return lambda record, m, rng: record + scale * rng.standard_normal((m, *record.shape), np.float32)


def _share_right(
    model: BlackBox,
    x: np.ndarray,
    labels: np.ndarray,
    n: int,
    versions: Callable[[int, int, int, int], np.ndarray],
    refused: int | None = None,
) -> LabelOnly:
    """Of n versions of each record, the share of those answered that the target labels right.

    versions(start, stop, first, last): of records start..stop-1, the versions first..last-1, record after record.
    """
    right, known, most = np.zeros(len(x), np.int64), np.zeros(len(x), np.int64), rows_a_call(x)
    for start in range(0, len(x), block := max(1, most // n)):
        rows = slice(start, min(start + block, len(x)))
        for first in range(0, n, most):
            last = min(first + most, n)
            answered = predicted_labels(model, versions(rows.start, rows.stop, first, last), labels).reshape(-1, last - first)
            right[rows] += (answered == labels[rows, None]).sum(1)
            known[rows] += last - first if refused is None else (answered != refused).sum(1)
    return LabelOnly(np.where(known > 0, right / np.maximum(known, 1), -np.inf), np.full(len(x), n))


def check_asked(model: Any, x: np.ndarray, labels: np.ndarray, refused: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Records (n, ...), uint8 or float32, and labels int64 (n,); TypeError or ValueError if they or the model are none, or if
    `refused` is a label.
    """
    if not callable(getattr(model, "predict_proba", None)):
        raise TypeError(f"model must have predict_proba, got a {type(model).__name__}")
    x = check_records("x", x, 1)
    if x.dtype not in (np.uint8, np.float32):
        raise TypeError(f"x must be records as a data set holds them, uint8 or float32, got {checks.kind(x)}")
    labels = checks.labels("labels", labels, np.iinfo(np.int64).max)
    if len(labels) != len(x):
        raise ValueError(f"labels must have one entry a record, {len(x)}, got {len(labels)}")
    if refused is not None and (labels == checks.whole("refused", refused, 0)).any():
        raise ValueError(f"refused must be a label that no record has, got {refused}")
    return x, labels


def is_bits(x: np.ndarray) -> bool:
    """Whether records are bits: uint8 of 0 and 1, (n, d)."""
    return x.dtype == np.uint8 and x.ndim == 2 and bool(x.max() <= 1)


def as_pixels(values: np.ndarray) -> np.ndarray:
    """The nearest pixels to real numbers on their scale, uint8."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def rows_a_call(x: np.ndarray) -> int:
    """How many records like those of x (n, ...) a target is asked about at once."""
    return max(1, BYTES_A_CALL // (4 * x[:1].size))


def predicted_labels(model: BlackBox, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label that a target answers to each of records x (m, ...), int64 (m,): the first of the most probable classes.

    One call of `predict_proba`; nothing of its answer but the place of its maximum is used. labels: the true ones, of any
    records: each must have a column, where the model has no `classes_`. Raises TypeError or ValueError for these, and for an
    answer that is not a matrix of numbers, a row a record.
    """
    answers = checks.array("predict_proba's answer", model.predict_proba(x))
    if answers.dtype.kind not in "fiu" or answers.ndim != 2 or len(answers) != len(x) or not answers.shape[1]:
        raise TypeError(f"predict_proba must answer real numbers of shape ({len(x)}, n_classes), got {checks.kind(answers)}")
    if not np.isfinite(answers).all():
        raise ValueError(
            f"predict_proba must answer finite numbers, got {np.count_nonzero(~np.isfinite(answers))} that are not"
        )
    best = answers.argmax(1)
    known = getattr(model, "classes_", None)
    if known is None:
        checks.labels("labels", labels, answers.shape[1])
        return best
    names = checks.labels("model.classes_", known, np.iinfo(np.int64).max)
    if len(names) != answers.shape[1]:
        raise ValueError(f"predict_proba must answer a column for each of {len(names)} classes_, got {answers.shape[1]}")
    return names[best]
