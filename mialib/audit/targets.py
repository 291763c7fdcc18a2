"""Targets of an audit: what they are asked through, what they answer, and what their attacker's references are trained by."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mialib import mitigations
from mialib.core import checks
from mialib.core.types import Dataset, Trainer, check_answers
from mialib.shadow.answers import Filter, check_order, in_order_of_labels

ROWS_A_CALL = 4096
GRID = 1e-6  # how far a float32 may lie from the decimal that it was rounded to
MOST_DIGITS = 4
SMALLEST_GAP = 1e-7


class AuditTarget(NamedTuple):
    """ask: answers to records as they came, (n, n_classes) or labels (n,). known: the labels of the columns, if the model
    tells. trainer: of references, where the model itself tells how it is trained. name: what it is, in words.
    """

    ask: Callable[[Any], Any]
    known: Any
    trainer: Trainer | None
    name: str
    model: Any


class Answering(NamedTuple):
    """What a target answered to n records: predictions float32 (n, n_classes), as they came.

    kind: in words, "full vectors", "vectors in steps of 0.01", "the 3 highest probabilities", "labels". sees: what makes of
    a full vector what this target shows, for references to carry; None where it shows all.
    """

    predictions: np.ndarray
    kind: str
    sees: Filter | None


def target_of(target: Any) -> AuditTarget:
    """What can be audited: a scikit-learn classifier or pipeline, a torch module of logits, a service (`audit.Remote`),
    anything with `predict_proba`, a function of records; TypeError for anything else.
    """
    if isinstance(target, type):
        raise TypeError(f"target must be a fitted model, got the class {target.__name__}")
    if callable(getattr(target, "ask", None)):  # `audit.Remote`: answers as the service gives them
        return AuditTarget(target.ask, target.classes, None, f"service at {target.url}", target)
    if any(cls.__module__.startswith("torch.nn") for cls in type(target).__mro__):
        from mialib.training.black_boxes import black_box  # late: torch, for those who audit a network

        return AuditTarget(black_box(target).predict_proba, None, None, type(target).__name__, target)
    known, name = getattr(target, "classes_", None), type(target).__name__
    if callable(getattr(target, "predict_proba", None)):
        return AuditTarget(target.predict_proba, known, _trainer(target), name, target)
    if callable(getattr(target, "predict", None)) and known is not None:
        return AuditTarget(target.predict, known, _trainer(target), name, target)
    if callable(target):
        return AuditTarget(target, None, None, getattr(target, "__name__", name), target)
    fitted = hasattr(target, "n_features_in_") or hasattr(target, "classes_")
    why = "" if not hasattr(target, "fit") else ": no classifier" if fitted else " that is not fitted"
    raise TypeError(
        f"target must have predict_proba, be a torch module, a service (audit.Remote) or a function, got a {name}{why}"
    )


def _trainer(target: Any) -> Trainer | None:
    if not (hasattr(target, "fit") and hasattr(target, "get_params")):
        return None
    from mialib.training.estimators import EstimatorTrainer  # late: as above

    return EstimatorTrainer(target)


def answers_of(target: AuditTarget, dataset: Dataset, member: np.ndarray) -> Answering:
    """Ask a target about all records of a data set. member: bool (n,), of which the target was trained on.

    Raises TypeError or ValueError for answers that are neither labels of the data set nor probabilities, whole, rounded or cut.
    """
    parts = [_checked(target, dataset, part, raw) for part, raw in _asked(target, dataset)]
    if len({part.shape[1:] for part in parts}) > 1:
        raise ValueError(f"target must answer in one way, got {sorted({str(part.shape[1:]) for part in parts})} a record")
    answering = understood(np.concatenate(parts), dataset, member, _known(target))
    if target.known is not None and hasattr(target.model, "keep_in"):  # a service's labels, in the order that its user gave
        check_order(answering.predictions[member], dataset.y[member])
    return answering


def understood(raw: np.ndarray, dataset: Dataset, member: np.ndarray, known: Any = None) -> Answering:
    """Answers as a model gave them, (n, n_classes) or labels (n,). known: labels of the columns, if it tells."""
    if raw.ndim == 1:
        return Answering(_one_hot(raw, dataset), "labels", mitigations.label_only)
    answers = in_order_of_labels(None if known is None else _named(known, dataset), dataset, raw)
    found = _kind(answers, dataset)
    if known is None:
        check_order(found.predictions[member], dataset.y[member])
    return found


def places_of(target: AuditTarget, records: Any, dataset: Dataset) -> np.ndarray:
    """Which class a target answers to each of some records, int64 (m,): its label, or the most probable one."""
    raw = _checked(target, dataset, slice(0, len(records)), target.ask(records))
    if raw.ndim == 1:
        return _one_hot(raw, dataset).argmax(1)
    known = _known(target)
    return in_order_of_labels(None if known is None else _named(known, dataset), dataset, raw).argmax(1)


def _known(target: AuditTarget) -> Any:
    """The labels of the columns, if the model tells: a service may do so with its first answer."""
    return target.known if target.known is not None else getattr(target.model, "classes_", None)


def _asked(target: AuditTarget, dataset: Dataset) -> Iterator[tuple[slice, Any]]:
    n = len(dataset.y)
    most = n if hasattr(target.model, "batch") else ROWS_A_CALL  # a service makes batches of its own
    for start in range(0, n, most):
        rows = slice(start, min(start + most, n))
        yield rows, target.ask(dataset.records(rows))


def _checked(target: AuditTarget, dataset: Dataset, rows: slice, raw: Any) -> np.ndarray:
    answers = np.asarray(raw.detach().cpu() if hasattr(raw, "detach") else raw)
    n = rows.stop - rows.start
    if answers.ndim == 2 and answers.shape == (n, 1) and dataset.n_classes > 1:
        answers = answers[:, 0]
    if answers.ndim not in (1, 2) or len(answers) != n:
        raise ValueError(
            f"target must answer a row a record, ({n}, {dataset.n_classes}) or {n} labels, got shape {answers.shape} for "
            f"records {rows.start}..{rows.stop - 1}"
        )
    if answers.ndim == 2 and answers.dtype.kind == "f" and not np.isfinite(answers).all():
        strange = ~np.isfinite(answers)
        first = int(strange.any(1).argmax()) + rows.start
        raise ValueError(f"target must answer finite numbers, got {strange.sum()} that are not, first for record {first}")
    return answers


def _one_hot(labels: np.ndarray, dataset: Dataset) -> np.ndarray:
    names = dataset.names
    place = {label: c for c, label in enumerate(names)}
    said = _named(labels, dataset)
    if strange := sorted({repr(label) for label in said if label not in place}):
        raise ValueError(f"target must answer labels among {names[:5]} …, got {', '.join(strange[:5])}")
    answers = np.zeros((len(labels), dataset.n_classes), np.float32)
    answers[np.arange(len(labels)), [place[label] for label in said]] = 1
    return answers


def _named(labels: Any, dataset: Dataset) -> list[Any]:
    """Labels as the data set has them: a service may have made texts of numbers, or numbers of another kind."""
    names = dataset.names
    by_text = {str(name): name for name in names}
    return [each if each in names else by_text.get(str(each), each) for each in np.asarray(labels).tolist()]


def _kind(answers: np.ndarray, dataset: Dataset) -> Answering:
    """Tell full vectors from those that are rounded, cut to the highest, or labels alone; ValueError for what is none."""
    if answers.dtype.kind not in "fiub" or answers.shape[1] != dataset.n_classes:
        raise ValueError(
            f"target must answer a probability for each of {dataset.n_classes} classes, got {checks.kind(answers)}"
        )
    p = answers.astype(np.float32)
    sums, digits = p.sum(1, dtype=np.float64), _digits(p)
    if p.min() < -1e-6 or p.max() > 1 + 1e-3:
        check_answers(p, *p.shape)
    shown = (p > 0).sum(1)
    one_hot = bool((shown == 1).all() and (p.max(1) == 1).all())
    if one_hot:
        return Answering(p, "labels", mitigations.label_only)
    if (abs(sums - 1) <= 1e-3).all():
        if digits is None:
            return Answering(check_answers(p, *p.shape), "full vectors", None)
    elif digits is not None and (abs(sums - 1) <= p.shape[1] * 0.5 * 10.0**-digits + 1e-6).all():
        pass
    elif shown.max() < p.shape[1] and (sums <= 1 + 1e-3).all() and (shown == shown.max()).mean() > 0.9:
        k = int(shown.max())
        return Answering(p.clip(0, 1), f"the {k} highest probabilities", lambda full: mitigations.top_k(full, k))
    else:
        check_answers(p, *p.shape)
    return Answering(
        p.clip(0, 1), f"vectors in steps of {10.0 ** -(digits or 1):g}", lambda full: mitigations.round_to(full, digits or 1)
    )


def _digits(p: np.ndarray) -> int | None:
    """To how many decimals all numbers are rounded, if to so few."""
    for digits in range(1, MOST_DIGITS + 1):
        scaled = p.astype(np.float64) * 10**digits
        if (abs(scaled - np.rint(scaled)) < GRID * 10**digits).all():
            return digits
    return None


def floor_of(predictions: np.ndarray, labels: np.ndarray) -> float | None:
    """Half of what a probability of the true class, of (..., n, n_classes), differs from 0 or 1 at least where it does; None
    where none is 0 or 1: how far the log-odds of answers with steps (of forests, neighbours, rounded ones) may be trusted.
    """
    own = np.take_along_axis(predictions, np.broadcast_to(labels[:, None], (*predictions.shape[:-1], 1)), -1)
    gap = np.minimum(own, 1 - own)
    if gap.min() > 0:
        return None
    some = gap[gap > 0]
    return float(np.clip(some.min() / 2, SMALLEST_GAP, 0.25)) if len(some) else 0.25


class Clock:
    """Seconds spent in calls that it wraps."""

    def __init__(self) -> None:
        self.seconds, self.rows = 0.0, 0

    def timed(self, target: AuditTarget) -> AuditTarget:
        def ask(records: Any) -> Any:
            began = time.perf_counter()
            try:
                return target.ask(records)
            finally:
                self.seconds += time.perf_counter() - began
                self.rows += len(records)

        return target._replace(ask=ask)
