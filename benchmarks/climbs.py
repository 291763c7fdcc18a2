"""Who is measured in workload S: Algorithm 1 by mialib, and by a plain loop over one climber at a time.

Each synthesises k records, equally many of each class, from the same target. The parameters are the paper's for all.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.phases import Found, Stopwatch
from benchmarks.workloads import QUERIES, TargetAndPool, Workload
from mialib.core.types import Features
from mialib.shadow import synthesis
from mialib.shadow.algorithm1 import Rules
from mialib.training.black_boxes import black_box

RULES = Rules(k_max=128, k_min=4, conf_min=0.2, rej_max=10, iter_max=1000)
Ask = Callable[[np.ndarray], np.ndarray]  # a record -> its prediction vector


def ours(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch) -> Found:
    """mialib: all climbers in one batch."""
    classes, rng = range(workload.n_classes), np.random.default_rng(seed)
    with watch("records"):
        made = synthesis.model_based(
            black_box(material.target), Features(workload.shape), classes, workload.k // workload.n_classes, rng, **vars(RULES)
        )
    return found(watch, made.x, int(made.report["queries"].sum()))


def plain(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch) -> Found:
    """One climber after another, one query after another."""
    rng, ask = np.random.default_rng(seed), Counted(ask_one(material.target))
    records = []
    with watch("records"):
        for c in range(workload.n_classes):
            while len(records) < (c + 1) * (workload.k // workload.n_classes):
                x = plain_climb(ask, workload.shape[0], c, rng)
                if x is not None:
                    records.append(x)
    return found(watch, np.array(records), ask.n)


def plain_climb(ask: Ask, d: int, c: int, rng: np.random.Generator) -> np.ndarray | None:
    """Algorithm 1 on d bits as one would write it first; None when it gives up."""
    x = rng.integers(0, 2, d, dtype=np.uint8)
    best, y_best, j, k = x, 0.0, 0, RULES.k_max
    for _ in range(RULES.iter_max):
        y = ask(x)
        if y[c] >= y_best:
            if y[c] > RULES.conf_min and y.argmax() == c and rng.random() < y[c]:
                return x
            best, y_best, j = x, y[c], 0
        else:
            j += 1
            if j > RULES.rej_max:
                k, j = max(RULES.k_min, (k + 1) // 2), 0
        x = flipped(best, k, rng)
    return None


def flipped(x: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of a record with k random bits turned."""
    new = x.copy()
    places = rng.choice(len(x), k, replace=False)
    new[places] = 1 - new[places]
    return new


def ask_one(model: nn.Module) -> Ask:
    """The prediction vector of one record, by the shortest way through torch."""

    def ask(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.as_tensor(x)[None]).softmax(1)[0].numpy()

    return ask


class Counted:
    """A function that counts its calls in `n`."""

    def __init__(self, function: Ask) -> None:
        self.function, self.n = function, 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.n += 1
        return self.function(x)


def found(watch: Stopwatch, records: np.ndarray, queries: int) -> Found:
    """What a contender found; its seconds for QUERIES queries join its seconds for the records."""
    watch.seconds["queries"] = watch.seconds["records"] * QUERIES / queries
    return {"records": float(len(records)), "queries": float(queries)}
