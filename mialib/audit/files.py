"""Records with their labels, and answers of a model, from tables on disk."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.audit.tables import ending, few, label_column, read_arrays, table_from, whole_labels

log = logging.getLogger(__name__)

PREFIXES = ("", "p_", "proba_", "prob_", "probability_")  # of a column of probabilities, before the label of its class
GUESSES = ("predicted", "prediction")  # columns of labels that a model answered
SUM_SLACK = 1e-3


class Answers(NamedTuple):
    """What a file of answers holds, a row a record.

    predictions: float32 (n, n_classes) in [0, 1], or None where labels alone were answered. labels: (n,), the true ones, as the
    file has them. classes: labels, in the order of predictions' columns. predicted: (n,) labels answered, or None. rest: the
    file's other columns.
    """

    predictions: np.ndarray | None
    labels: np.ndarray
    classes: tuple[Any, ...]
    predicted: np.ndarray | None
    rest: pd.DataFrame


def read_records(path: str | Path, label: str | None = None) -> tuple[Any, np.ndarray]:
    """Records of a file, and their labels (n,).

    A CSV or Parquet file gives a DataFrame without the column `label`; an npz, its array x (n, ...) and y, and takes no
    `label`. Raises ValueError, naming the file, for one that is missing, damaged or empty, or has no such column.
    """
    path = Path(path)
    if ending(path) == ".npz":
        if label not in (None, "y"):
            raise ValueError(f"label must be left out: {path} holds its labels as array y, got {label!r}")
        arrays = read_arrays(path, ("x", "y"))
        x, y = arrays["x"], arrays["y"]
        if x.ndim < 2 or y.shape != x.shape[:1] or not len(x):
            raise ValueError(f"{path}: x and y must have shapes (n, ...) and (n,) with n >= 1, got {x.shape} and {y.shape}")
        return x, whole_labels(y, f"{path}: y")
    frame = table_from(path)
    labels = label_column(frame, label, str(path))
    return frame.drop(columns=label), labels


def read_answers(source: str | Path | pd.DataFrame, label: str | None = None, name: str = "answers") -> Answers:
    """Answers of a model, from a table or a file: see `read_answers_of_both`, which reads two that belong together."""
    return _understood([_read(source, label, name)], [name])[0]


def read_answers_of_both(
    members: str | Path | pd.DataFrame, nonmembers: str | Path | pd.DataFrame, label: str | None = None
) -> tuple[Answers, Answers]:
    """Answers about members and about non-members, of the same classes, from tables or files.

    Probabilities are in columns named by the classes' labels, with one of PREFIXES before each, or none; a column "predicted"
    or "prediction" holds labels that were answered; `label` names the column of true labels. An npz has arrays predictions
    (n, n_classes) or (n,), labels (n,), and classes (n_classes,), which may be left out where labels are 0, 1, ...; other
    arrays (n,) count as columns. Raises ValueError or TypeError that name the file, what is wrong and what there is.
    """
    names = ["members", "nonmembers"]
    pair = [_read(source, label, name) for source, name in zip((members, nonmembers), names)]
    if pair[0].columns is not None and pair[1].columns is not None:
        lacking = [sorted(set(one.columns) - set(other.columns)) for one, other in (pair, pair[::-1])]  # type: ignore[arg-type]
        if any(lacking):
            only = [f"{each.name} alone has {', '.join(columns)}" for each, columns in zip(pair, lacking) if columns]
            raise ValueError(f"members and nonmembers must have the same columns, got two that differ: {'; '.join(only)}")
        order = [pair[1].columns.index(column) for column in pair[0].columns]
        pair[1] = pair[1]._replace(frame=pair[1].frame.iloc[:, order])
    first, second = _understood(pair, names)
    return first, second


class _Raw(NamedTuple):
    """A file as it was read. columns: text of each, where it is a table; given: classes and predictions of an npz."""

    name: str
    labels: np.ndarray
    frame: pd.DataFrame
    columns: list[str] | None
    given: tuple[tuple[Any, ...] | None, np.ndarray] | None


def _read(source: str | Path | pd.DataFrame, label: str | None, name: str) -> _Raw:
    if isinstance(source, pd.DataFrame):
        if not len(source):
            raise ValueError(f"{name} must hold a row a record, got an empty table")
        if not source.columns.is_unique:
            raise ValueError(f"{name} must have columns of different names, got {few(sorted(map(str, source.columns)))}")
        frame = source
    elif isinstance(source, str | Path):
        name = f"{name} ({source})"
        if ending(Path(source)) == ".npz":
            return _read_arrays(Path(source), label, name)
        frame = table_from(Path(source))
    else:
        raise TypeError(f"{name} must be a pandas table or the name of a file, got {type(source).__name__}")
    labels = label_column(frame, label, name)
    rest = frame.drop(columns=label)
    return _Raw(name, labels, rest, [str(column) for column in rest], None)


def _read_arrays(path: Path, label: str | None, name: str) -> _Raw:
    if label not in (None, "labels"):
        raise ValueError(f"label must be left out: {name} holds its labels as array labels, got {label!r}")
    arrays = read_arrays(path, ("predictions", "labels"))
    predictions, labels = arrays.pop("predictions"), arrays.pop("labels")
    if labels.ndim != 1 or predictions.ndim not in (1, 2) or len(predictions) != len(labels) or not len(labels):
        shapes = f"{predictions.shape} and {labels.shape}"
        raise ValueError(f"{name}: predictions and labels must have shapes (n, n_classes) or (n,), and (n,), got {shapes}")
    classes = tuple(arrays.pop("classes").tolist()) if "classes" in arrays else None
    frame = pd.DataFrame({key: each for key, each in arrays.items() if each.shape == labels.shape}, index=range(len(labels)))
    if unused := sorted(set(arrays) - set(frame)):
        log.warning("%s: no column, and not used: %s", name, ", ".join(unused))
    return _Raw(name, whole_labels(labels, f"{name}: labels"), frame, None, (classes, predictions))


def _understood(raws: Sequence[_Raw], names: Sequence[str]) -> list[Answers]:
    """Files that belong together, with the classes of all of them."""
    seen = _in_order({value for raw in raws for value in raw.labels.tolist()})
    for raw in raws:
        _check_kind(f"{raw.name}: labels", raw.labels, seen)
    parts = [_parts(raw, seen) for raw in raws]
    if len({tuple(map(_text, classes)) for classes, _, _, _ in parts if classes is not None}) > 1:
        told = "; ".join(f"{raw.name}: {few(part[0] or ())}" for raw, part in zip(raws, parts))
        raise ValueError(f"{' and '.join(names)} must have the same classes in the same order, got {told}")
    if len({(predictions is None, predicted is None) for _, predictions, predicted, _ in parts}) > 1:
        told = "; ".join(f"{raw.name}: {'labels' if part[1] is None else 'probabilities'}" for raw, part in zip(raws, parts))
        raise ValueError(f"{' and '.join(names)} must be answered alike, got {told}")
    if parts[0][0] is None:  # labels alone
        answered = {value for _, _, predicted, _ in parts if predicted is not None for value in predicted.tolist()}
        classes = tuple(_in_order({*seen, *answered}))
    else:
        classes = parts[0][0]
    return [Answers(p, raw.labels, classes, predicted, rest) for raw, (_, p, predicted, rest) in zip(raws, parts)]


_Parts = tuple[tuple[Any, ...] | None, np.ndarray | None, np.ndarray | None, pd.DataFrame]


def _parts(raw: _Raw, seen: Sequence[Any]) -> _Parts:
    """Classes, predictions, labels answered, other columns."""
    if raw.given is not None:
        return _given_parts(raw, *raw.given, seen)
    chosen = _class_columns(raw, seen)
    guesses = [column for column in raw.frame if column in GUESSES]
    if len(guesses) > 1:
        raise ValueError(f"{raw.name}: one column of labels that were answered is needed, got {' and '.join(guesses)}")
    if not chosen and not guesses:
        raise ValueError(
            f"{raw.name} must have a column of probabilities for each class ({few(seen)}), named by it, with one of "
            f"{', '.join(PREFIXES[1:])} before it or none; or a column {' or '.join(GUESSES)}; got {few(raw.columns or ())}"
        )
    predicted = whole_labels(raw.frame[guesses[0]].to_numpy(), f"{raw.name}: {guesses[0]}") if guesses else None
    if predicted is not None:
        _check_kind(f"{raw.name}: {guesses[0]}", predicted, seen)
    rest = raw.frame.drop(columns=[*chosen.values(), *guesses])
    if not chosen:
        return None, None, predicted, rest
    return tuple(chosen), _probabilities(raw.frame[[*chosen.values()]], raw.name), predicted, rest


def _given_parts(raw: _Raw, classes: tuple[Any, ...] | None, predictions: np.ndarray, seen: Sequence[Any]) -> _Parts:
    if predictions.ndim == 1:
        return None, None, whole_labels(predictions, f"{raw.name}: predictions"), raw.frame
    n_classes = predictions.shape[1]
    if classes is None:
        if not all(isinstance(value, int) and 0 <= value < n_classes for value in seen):
            raise ValueError(f"{raw.name}: array classes must name the {n_classes} columns, since labels are {few(seen)}")
        classes = tuple(range(n_classes))
    if len(set(classes)) != n_classes:
        raise ValueError(f"{raw.name}: classes must be {n_classes} different labels, got {few(classes)}")
    if missing := [value for value in seen if value not in classes]:
        raise ValueError(f"{raw.name}: classes must hold every label, got {few(classes)}, without {few(missing)}")
    return classes, _probabilities(pd.DataFrame(predictions), raw.name), None, raw.frame


def _class_columns(raw: _Raw, seen: Sequence[Any]) -> dict[Any, Any]:
    """The column of each class, in the table's order; empty where no class has one."""
    texts = {_text(value): value for value in seen}
    found = {}
    for prefix in PREFIXES:
        named = {str(column)[len(prefix) :]: column for column in raw.frame if str(column).startswith(prefix)}
        if set(texts) <= set(named):
            found[prefix] = named
    if len(found) > 1:
        told = " and ".join(f"{prefix}{next(iter(texts))}" for prefix in found)
        raise ValueError(f"{raw.name}: each class must have one column of probabilities, got more: {told}")
    if not found:
        _refuse_some(raw, texts)
        return {}
    ((prefix, named),) = found.items()
    if not prefix:
        named = _with_unseen(raw, {text: column for text, column in named.items() if text in texts})
    unseen = [text for text in named if text not in texts]
    if unseen:
        log.warning("%s: no record is of class %s, which has a column all the same", raw.name, few(unseen))
    return {texts[text] if text in texts else _as_label(text, seen, raw.name): column for text, column in named.items()}


def _refuse_some(raw: _Raw, texts: dict[str, Any]) -> None:
    """ValueError where some classes have a column, and others none."""
    for prefix in PREFIXES:
        named = {f"{prefix}{text}" for text in texts} & set(raw.columns or ())
        if named:
            lacking = [f"{prefix}{text}" for text in texts if f"{prefix}{text}" not in named]
            raise ValueError(
                f"{raw.name}: every class must have a column of probabilities, named alike; there are {few(sorted(named))}, "
                f"but not {few(lacking)}"
            )


def _with_unseen(raw: _Raw, named: dict[str, Any]) -> dict[str, Any]:
    """The classes' columns, and others that only together with them sum to one: classes that no record has."""
    numbers = [c for c in raw.frame if c not in named.values() and pd.api.types.is_float_dtype(raw.frame[c])]
    if not numbers or not all(pd.api.types.is_numeric_dtype(raw.frame[c]) for c in named.values()):
        return named
    known = raw.frame[[*named.values()]].to_numpy(np.float64).sum(1)
    whole = known + raw.frame[numbers].to_numpy(np.float64).sum(1)
    if np.abs(known - 1).max() <= SUM_SLACK or not np.abs(whole - 1).max() <= SUM_SLACK:
        return named
    return {str(column): column for column in raw.frame if column in named.values() or column in numbers}


def _probabilities(table: pd.DataFrame, name: str) -> np.ndarray:
    """float32 (n, n_classes) in [0, 1]; ValueError that names the first row that is not."""
    try:
        values = table.to_numpy(np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: probabilities must be numbers: {error}") from error
    inside = ((values >= 0) & (values <= 1)).all(axis=1)  # NaN is neither
    if not inside.all():
        first = int(np.argmin(inside))
        shown = ", ".join(f"{value:.4g}" for value in values[first][:10])
        raise ValueError(
            f"{name}: probabilities must lie in [0, 1], got {(~inside).sum()} rows that do not; row {first}: {shown}"
        )
    return values.astype(np.float32)


def _text(value: Any) -> str:
    """A label as a column's name has it: 1 and 1.0 are "1"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _as_label(text: str, seen: Sequence[Any], name: str) -> Any:
    """The label that a column's name stands for, of the type that the labels seen have."""
    kinds = {type(value) for value in seen}
    if kinds == {str}:
        return text
    try:
        return next(iter(kinds))(text) if kinds <= {int, float} and len(kinds) == 1 else text
    except ValueError as error:
        raise ValueError(f"{name}: the column of class {text!r} names none, since labels are {few(seen)}") from error


def _check_kind(name: str, values: np.ndarray, seen: Sequence[Any]) -> None:
    """ValueError where some labels are text, and others numbers: "1" would never be 1."""
    texts, others = ([value for value in [*seen, *values.tolist()] if isinstance(value, str) is kind] for kind in (True, False))
    if texts and others:
        raise ValueError(f"{name} must be labels of one kind everywhere, got text ({texts[0]!r}) and numbers ({others[0]!r})")


def _in_order(values: set[Any]) -> list[Any]:
    """Labels, sorted; those of several types, by their texts."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=str)
