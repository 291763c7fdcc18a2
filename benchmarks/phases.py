"""What every contender does alike: its phases are timed, and what it found is judged.

A contender is a function of (workload, material, seed, watch). It times itself under the names of its phases,
`with watch("training"): …`, and returns what its models answered.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.workloads import TrainingSets, Workload
from mialib import metrics
from mialib.core.types import AttackData


class Stopwatch:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


Found = dict[str, float]  # auc and accuracy of an attack, train_accuracy of models, or an estimate's seconds
Contender = Callable[[Workload, Any, int, Stopwatch], Found]


def judged(data: AttackData, score: np.ndarray, decision: np.ndarray) -> Found:
    """AUC and accuracy of an attack on a target's answers."""
    return {"auc": metrics.auc(data, score), "accuracy": metrics.overall(data, decision)["accuracy"]}


def ranked(member: np.ndarray, score: np.ndarray) -> Found:
    """AUC and best balanced accuracy of scores without a threshold of their own; records scored NaN are not judged."""
    return {"auc": metrics.auc(member, score), "accuracy": metrics.balanced_accuracy(member, score)}


def train_accuracy(material: TrainingSets, answers: Iterable[np.ndarray]) -> Found:
    """Mean accuracy of models on the records they were trained on."""
    y = material.dataset.y
    right = [(part.argmax(1) == y[row]).mean() for part, row in zip(answers, material.rows, strict=True)]
    return {"train_accuracy": float(np.mean(right))}
