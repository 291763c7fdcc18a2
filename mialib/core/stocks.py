"""A stock of models in which every record is in some and out of others: what attacks with references stand on."""

from dataclasses import dataclass

import numpy as np

from mialib.core import checks


@dataclass(frozen=True, eq=False)
class Stock:
    """What k models answered n records, one number an answer: the log-odds of the record's true class.

    signal: float32 (k, n), or (k, n, q) for q queries a record; finite. member: bool (k, n), whether the record was in the
    model's training set. labels: int64 (n,), the records' true classes. right: bool (k, n), whether the model answered the
    true class (the first query); None where that is not known. Raises TypeError or ValueError for anything else.
    """

    signal: np.ndarray
    member: np.ndarray
    labels: np.ndarray
    right: np.ndarray | None = None

    def __post_init__(self) -> None:
        signal = self.signal
        if not checks.is_array(signal) or signal.dtype != np.float32 or signal.ndim not in (2, 3) or not signal.size:
            raise TypeError(f"signal must be float32 of shape (k, n) or (k, n, q), none of them 0, got {checks.kind(signal)}")
        bad = sum(int((~np.isfinite(part)).sum()) for part in signal)  # model by model: no second array of this size
        if bad:
            raise ValueError(f"signal must be finite, got {bad} values that are NaN or infinite")
        flags = {"member": self.member} | ({} if self.right is None else {"right": self.right})
        for name, part in flags.items():
            if not checks.is_array(part) or part.dtype != bool or part.shape != signal.shape[:2]:
                raise TypeError(f"{name} must be bool of shape {signal.shape[:2]}, as the signal's, got {checks.kind(part)}")
        labels = checks.labels("labels", self.labels, np.iinfo(np.int64).max)
        if len(labels) != signal.shape[1]:
            raise ValueError(f"labels must have one entry a record, {signal.shape[1]}, got {len(labels)}")
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.signal)

    def __getitem__(self, models: slice | np.ndarray) -> "Stock":
        """Some of the models: a slice, a mask or indices."""
        right = None if self.right is None else self.right[models]
        return Stock(self.signal[models], self.member[models], self.labels, right)

    def references(self, target: int, n: int | None = None) -> np.ndarray:
        """Numbers of the models that may serve as references where model `target` is attacked, int64: all others but its
        complement, with which the number of a record's other IN references would betray its membership. Records that no model
        was trained on, such as the last of an odd number, are in no half.

        n: that many of them alone, those that come next after the target, in a circle.
        """
        checks.whole("target", target, 0, len(self) - 1)
        others = np.roll(np.arange(len(self)), -target)[1:]
        member = self.member[:, self.member.any(0)]
        allowed = others[[not (member.size and np.array_equal(member[i], ~member[target])) for i in others]]
        if not len(allowed):
            raise ValueError(f"stock must hold models beside model {target} and its complement, got {len(self)} in all")
        if n is not None:
            checks.whole("n", n, 1, len(allowed), "the models beside the target and its complement")
        return allowed[:n]
