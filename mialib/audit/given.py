"""What users give: members, non-members and a pool, as arrays or tables, with labels of any kind; joined to one data set."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mialib.audit.tables import few
from mialib.core import frames
from mialib.core.types import Dataset

log = logging.getLogger(__name__)

FEWEST = 50  # records, members and non-members together: below, no interval says anything
_FEWEST_A_SIDE = 10


@dataclass(frozen=True, eq=False)
class Given:
    """dataset: members, then non-members, then the pool. index: of each record, its name in the user's table, or its place.
    place: its place on its side, int64, from 0.
    """

    dataset: Dataset
    n_members: int
    n_nonmembers: int
    index: np.ndarray
    place: np.ndarray

    @property
    def n_judged(self) -> int:
        return self.n_members + self.n_nonmembers

    @property
    def judged(self) -> Dataset:
        """Members and non-members."""
        return self.dataset[: self.n_judged]

    @property
    def member(self) -> np.ndarray:
        """Of the judged, bool (n,)."""
        return np.arange(self.n_judged) < self.n_members

    @property
    def pool(self) -> np.ndarray:
        """Rows of the pool, int64."""
        return np.arange(self.n_judged, len(self.dataset.y))

    def some(self, rows: np.ndarray) -> "Given":
        """With these of the judged records alone (rising), and the whole pool."""
        kept = np.concatenate([rows, self.pool])
        n_members = int((rows < self.n_members).sum())
        return Given(self.dataset[kept], n_members, len(rows) - n_members, self.index[kept], self.place[kept])


def given(members: Any, nonmembers: Any, pool: Any = None, known: Sequence[Any] | None = None) -> Given:
    """Join (x, y) pairs of arrays or tables to one data set. known: the labels that the model knows, in its order, if it tells.

    Raises TypeError or ValueError, naming the argument: for pairs that are none or do not fit together, labels that the model
    does not know, records on two sides, fewer than 50 of them, and classes without members or non-members.
    """
    pairs = {"members": members, "nonmembers": nonmembers} | ({} if pool is None else {"pool": pool})
    taken = {name: _pair(name, pair) for name, pair in pairs.items()}
    records, index = _joined({name: x for name, (x, _) in taken.items()})
    sizes = {name: len(y) for name, (_, y) in taken.items()}
    _check_sizes(sizes)
    y, classes = _classes([label for _, labels in taken.values() for label in labels], known)
    _check_apart(records, y, sizes, index)
    return _whole(records, y, classes, sizes, index)


def given_answers(records: Any, y: np.ndarray, classes: list[Any], n_members: int, index: np.ndarray) -> Given:
    """The same of a table of what is known of records, members first, beside a model's answers; raises ValueError alike."""
    sizes = {"members": n_members, "nonmembers": len(y) - n_members}
    _check_sizes(sizes)
    return _whole(records, y, classes, sizes, index)


def _whole(records: Any, y: np.ndarray, classes: list[Any], sizes: dict[str, int], index: np.ndarray) -> Given:
    n_members, n_nonmembers = sizes["members"], sizes["nonmembers"]
    _check_classes(y[: n_members + n_nonmembers], n_members, classes)
    place = np.concatenate([np.arange(size) for size in sizes.values()])
    return Given(_dataset(records, y, classes), n_members, n_nonmembers, index, place)


def _check_sizes(sizes: dict[str, int]) -> None:
    n_members, n_nonmembers = sizes["members"], sizes["nonmembers"]
    if n_members + n_nonmembers < FEWEST or min(n_members, n_nonmembers) < _FEWEST_A_SIDE:
        raise ValueError(
            f"members and nonmembers must be at least {FEWEST} records together, and {_FEWEST_A_SIDE} each, for fewer tell "
            f"nothing, got {n_members} and {n_nonmembers}"
        )


def _pair(name: str, pair: Any) -> tuple[Any, list[Any]]:
    """Records (a table, a column of one, or an array) and as many labels."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{name} must be a pair (x, y) of records and labels, got {type(pair).__name__}")
    x, y = pair
    if hasattr(x, "toarray"):
        raise TypeError(f"{name}: x must be an array or a table, got a sparse matrix: x.toarray()")
    x = x if frames.is_frame(x) else np.asarray(x)
    labels = np.asarray(y.to_numpy() if frames.is_frame(y) else y, None if hasattr(y, "dtype") else object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not len(x) or labels.shape != (len(x),):
        raise ValueError(f"{name} must hold at least one record, and a label for each, got {len(x)} and labels {labels.shape}")
    if (unknown := sum(label is None or label != label for label in labels.tolist())) > 0:
        raise ValueError(f"{name}: labels must be known, got {unknown} that are not")
    return x, labels.tolist()


def _joined(parts: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """All records in one table or array, and their names."""
    first = parts["members"]
    for name, part in parts.items():
        if frames.is_frame(part) != frames.is_frame(first):
            raise TypeError(f"{name} must be of one kind with members, {type(first).__name__}, got {type(part).__name__}")
    if not frames.is_frame(first):
        for name, part in parts.items():
            if part.shape[1:] != first.shape[1:]:
                raise ValueError(f"{name} must hold records of the members' shape, {first.shape[1:]}, got {part.shape[1:]}")
        return np.concatenate([*parts.values()]), np.concatenate([np.arange(len(part)) for part in parts.values()])
    import pandas as pd

    index = np.concatenate([np.asarray(part.index.to_numpy(), object) for part in parts.values()])
    if first.ndim == 1:
        return pd.concat([*parts.values()], ignore_index=True), index
    for name, part in parts.items():
        missing, strange = [c for c in first if c not in part], [c for c in part if c not in first]
        if missing or strange:
            raise ValueError(
                f"{name} must have the members' columns: it lacks {few(missing)}, and has {few(strange)} that they have not"
            )
    tables = [part[[*first.columns]].copy() for part in parts.values()]
    for column in first.columns:
        kinds = [table[column].dtype for table in tables]
        if all(isinstance(kind, pd.CategoricalDtype) for kind in kinds):
            values = pd.unique(np.concatenate([np.asarray(kind.categories, object) for kind in kinds]))
            for table in tables:
                table[column] = table[column].cat.set_categories(values)
    return pd.concat(tables, ignore_index=True), index


def _classes(labels: list[Any], known: Sequence[Any] | None) -> tuple[np.ndarray, list[Any]]:
    """y, int64, and the label of each class: those that the model knows, in its order, or those that there are, sorted."""
    if known is None:
        y, found = frames.coded(labels)
        classes = list(found)
    else:
        classes = np.asarray(known).tolist()
        place = {label: c for c, label in enumerate(classes)}
        strange = sorted({repr(label) for label in labels if label not in place})
        if strange:
            raise ValueError(
                f"labels must be among those that the model knows, {few([repr(c) for c in classes])}, got {few(strange)}"
            )
        y = np.array([place[label] for label in labels], np.int64)
    if len(classes) < 2:
        raise ValueError(f"labels must be of two classes or more, got {classes}")
    return y, classes


def _check_apart(records: Any, y: np.ndarray, sizes: dict[str, int], index: np.ndarray) -> None:
    """ValueError for records (with their labels) that are on two sides; a warning counts copies on one side."""
    rows = _fingerprints(records, y)
    ends = np.cumsum([0, *sizes.values()])
    parts = {name: rows[start:end] for name, start, end in zip(sizes, ends, ends[1:], strict=False)}
    for i, (one, first) in enumerate(parts.items()):
        for other, second in [*parts.items()][i + 1 :]:
            shared = np.flatnonzero(np.isin(first, second))
            if len(shared):
                names = few(index[ends[[*sizes].index(one)] + shared].tolist())
                raise ValueError(
                    f"{one} and {other} must share no record, got {len(shared)} of {one} that are among {other}, too "
                    f"(records {names}): take them out of one"
                )
    copies = {name: len(part) - len(np.unique(part)) for name, part in parts.items()}
    if any(copies.values()):
        counted = ", ".join(f"{n} of {name}" for name, n in copies.items() if n)
        log.warning("%s are copies of others on their side: they are judged one by one", counted)


def check_same(table: Any, y: np.ndarray, n_members: int) -> None:
    """ValueError where most of the non-members' rows stand among the members', too, although rows mostly differ: one file on
    two sides. Some equal rows may be different people, of whom little is known.
    """
    rows = _fingerprints(table, y)
    shared = np.isin(rows[n_members:], rows[:n_members])
    if len(np.unique(rows[:n_members])) > n_members / 2 and shared.mean() > 0.5:
        raise ValueError(
            f"members and nonmembers must be different records, got {shared.sum()} of {len(shared)} nonmembers' rows that are "
            "among the members', too"
        )


def _fingerprints(records: Any, y: np.ndarray) -> np.ndarray:
    """A number or a string of bytes a record with its label: equal only for equal ones (but for collisions of 64 bits)."""
    import pandas as pd

    if not frames.is_frame(records) and records.dtype != object and records.dtype.kind not in "US":
        flat = np.ascontiguousarray(records.reshape(len(records), -1))
        with_label = np.concatenate([flat.view(np.uint8).reshape(len(flat), -1), y[:, None].view(np.uint8)], 1)
        return pd.factorize(np.array([row.tobytes() for row in with_label], object))[0]
    table = pd.DataFrame(records if frames.is_frame(records) else records.reshape(len(records), -1))
    for column in table.columns:
        if table[column].dtype == object:
            table[column] = [repr(value) for value in table[column]]
    return pd.util.hash_pandas_object(table.assign(**{"\0label": y}), index=False).to_numpy()


def _check_classes(y: np.ndarray, n_members: int, classes: Sequence[Any]) -> None:
    for side, has, lacks in (("members", y[:n_members], y[n_members:]), ("nonmembers", y[n_members:], y[:n_members])):
        other = "nonmembers" if side == "members" else "members"
        lacking = np.setdiff1d(has, lacks)
        if len(lacking):
            counts = [f"{classes[c]!r} ({np.count_nonzero(has == c)} {side})" for c in lacking]
            raise ValueError(
                f"every class must have members and non-members, got none among {other} of {few(counts)}: add some, or take "
                "these classes out"
            )


def _dataset(records: Any, y: np.ndarray, classes: list[Any]) -> Dataset:
    """The records, with numbers of them as x."""
    import pandas as pd

    if frames.is_frame(records) or records.dtype.kind in "OUS" or records.ndim == 1:
        table = records if records.ndim == 2 else pd.Series(records).to_frame("record")
        table = table if frames.is_frame(table) else pd.DataFrame(table).infer_objects()
        encoder = frames.Encoder.of(table)
        kept = encoder if table is records else None
        return Dataset("own", encoder.encode(table), y, len(classes), "own", None, records, classes, kept)
    if records.dtype in (np.uint8, np.float32) and (records.dtype == np.uint8 or np.isfinite(records).all()):
        return Dataset("own", records, y, len(classes), "own", classes=classes)
    x = records.astype(np.float32)
    means = np.nanmean(np.where(np.isfinite(x), x, np.nan), axis=0, keepdims=True)
    x = np.where(np.isfinite(x), x, np.nan_to_num(means))
    return Dataset("own", x, y, len(classes), "own", None, records, classes)
