"""How models are trained, and what determines them: settings shared by all trainers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mialib.core import checks
from mialib.core.types import Dataset


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. The rate of step t is lr / (1 + lr_decay * t), t from 0 (Sec. VI-C).

    l2 is the factor of the sum of squared weights in the loss, biases left out (Sec. VIII).
    precision is "float32" or "bfloat16" (autocast: weights stay in float32).
    patience stops a network after so many epochs without a lower mean training loss; None trains all epochs.
    enough stops a network after the first epoch whose mean training loss is at most this: it knows its training set, and what
    comes after are jumps of the loss. The weights are those of the epoch with the lowest loss, also where none is low enough.
    """

    epochs: int
    batch_size: int
    lr: float
    lr_decay: float = 1e-7
    l2: float = 0.0
    optimizer: str = "adam"
    precision: str = "float32"
    patience: int | None = None
    enough: float | None = None

    def __post_init__(self) -> None:
        checks.whole("epochs", self.epochs, 1)
        checks.whole("batch_size", self.batch_size, 1)
        checks.real("lr", self.lr, 0, open_low=True)
        checks.real("lr_decay", self.lr_decay, 0)
        checks.real("l2", self.l2, 0)
        checks.choice("optimizer", self.optimizer, ("adam", "sgd"))
        checks.choice("precision", self.precision, ("float32", "bfloat16"))
        if self.patience is not None:
            checks.whole("patience", self.patience, 1)
        if self.enough is not None:
            checks.real("enough", self.enough, 0, open_low=True)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.lr / (1 + self.lr_decay * step)


def choose_precision(asked: str = "auto") -> str:
    """A recipe's precision: as asked, or, for "auto", "bfloat16" where this machine has arithmetic of its own for it (a GPU, or
    a CPU with AMX or AVX-512), else "float32": without, bfloat16 takes ten times as long.
    """
    if checks.choice("asked", asked, ("auto", "float32", "bfloat16")) != "auto":
        return asked
    here = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if here else "float32"


class Estimate(NamedTuple):
    """What a training will take here: models, seconds, and megabytes of memory beyond what is in use."""

    models: int
    seconds: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.models} models, about {self.seconds:,.0f} s, {self.megabytes:,.0f} MB"


def check_rows(dataset: Dataset, rows: np.ndarray, first: int = 0) -> np.ndarray:
    """`rows` as int64 (k, n), k >= 1, n >= 1, within the data set; `first` 0 or more. TypeError or ValueError otherwise."""
    checks.instance("dataset", dataset, Dataset)
    checks.whole("first", first, 0)
    rows = np.asarray(rows)
    if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer):
        raise TypeError(f"rows must be whole numbers of shape (k, n), got {rows.dtype} of shape {rows.shape}")
    if 0 in rows.shape:
        raise ValueError(f"rows must hold at least one model and one record, got shape {rows.shape}")
    if rows.min() < 0 or rows.max() >= len(dataset.x):
        raise ValueError(f"rows must lie in 0..{len(dataset.x) - 1}, got {rows.min()}..{rows.max()}")
    return rows.astype(np.int64, copy=False)


def choose_device(device: str) -> torch.device:
    """The torch device of that name, "auto" being CUDA if there is one; ValueError if it is not here."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        if found.type == "meta":
            raise ValueError("it holds no numbers")
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, ValueError, TypeError, NotImplementedError) as error:
        here = ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(f"device must be one of {', '.join(here)}, got {device!r}") from error
    return found
