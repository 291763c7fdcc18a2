"""A stock of models in which every record is in some and out of others: what attacks with references stand on."""

from dataclasses import dataclass

import numpy as np

from mialib.core import checks


@dataclass(frozen=True, eq=False)
class Stock:
    """What k models answered n records, one number an answer: the log-odds of the record's true class.

    signal: float32 (k, n), or (k, n, q) for q queries a record; finite. member: bool (k, n), whether the record was in the
    model's training set. labels: int64 (n,), the records' true classes. Raises TypeError or ValueError for anything else.
    """

    signal: np.ndarray
    member: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        signal, member = self.signal, self.member
        if not checks.is_array(signal) or signal.dtype != np.float32 or signal.ndim not in (2, 3) or not signal.size:
            raise TypeError(f"signal must be float32 of shape (k, n) or (k, n, q), none of them 0, got {checks.kind(signal)}")
        if not all(np.isfinite(part).all() for part in signal):  # model by model: no second array of this size
            raise ValueError(f"signal must be finite, got {sum((~np.isfinite(part)).sum() for part in signal)} values that are not")
        if not checks.is_array(member) or member.dtype != bool or member.shape != signal.shape[:2]:
            raise TypeError(f"member must be bool of shape {signal.shape[:2]}, as the signal's, got {checks.kind(member)}")
        labels = checks.labels("labels", self.labels, np.iinfo(np.int64).max)
        if len(labels) != member.shape[1]:
            raise ValueError(f"labels must have one entry a record, {member.shape[1]}, got {len(labels)}")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.signal)

    def __getitem__(self, models: slice | np.ndarray) -> "Stock":
        """Some of the models: a slice, a mask or indices."""
        return Stock(self.signal[models], self.member[models], self.labels)

    def references(self, target: int, n: int | None = None) -> np.ndarray:
        """Numbers of the models that may serve as references where model `target` is attacked, int64: all others but its
        complement, which would betray a record's membership by the number of its other references; from the target on, in
        a circle. n: the first n of them alone.
        """
        checks.whole("target", target, 0, len(self) - 1)
        order = np.roll(np.arange(len(self)), -target)[1:]
        order = order[[not np.array_equal(self.member[i], ~self.member[target]) for i in order]]
        order = np.concatenate([order[order > target], order[order < target]])
        if n is not None:
            checks.whole("n", n, 1, len(order), "the models beside the target and its complement")
        return order[:n]
