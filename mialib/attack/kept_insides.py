"""What many open networks show of their records (`attack.inside`), kept on disk."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from mialib.attack.inside import Inside, look_inside
from mialib.core import cache, checks
from mialib.core.types import BlackBox, Dataset, Split, Trainer
from mialib.shadow.answers import Training, kept_or_asked
from mialib.training.estimators import EstimatorTrainer

NETWORKS_IN_WORK = 4


def insides(
    trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, besides: np.ndarray | None = None
) -> list[tuple[Inside, np.ndarray]]:
    """Train model number i on the members of split i, or take it from the cache, and look at its split's records in it:
    members, then non-members. And at the rows `besides` of the data set: float32 (2, m), their log-odds and `log_norm`.

    All is kept on disk, model by model. TypeError for models that show no gradients.
    """
    checks.instance("dataset", dataset, Dataset)
    if isinstance(trainer, EstimatorTrainer):
        raise TypeError(f"trainer must make networks, whose loss has a gradient, got one of {trainer.estimator!r:.80}")
    besides = np.empty(0, np.int64) if besides is None else checks.indices("besides", besides, len(dataset.y))
    rows = np.stack([split.members for split in splits])
    code = cache.code_digest(__name__)
    keys = [
        {"model": key, "asked": cache.digest(split.rows, besides), "code": code}
        for key, split in zip(trainer.keys(dataset, rows, seed), splits, strict=True)
    ]

    def look(model: BlackBox, i: int) -> dict[str, np.ndarray]:
        seen = look_inside(model, dataset.x[splits[i].rows], dataset.y[splits[i].rows])
        others = look_inside(model, dataset.x[besides], dataset.y[besides], hidden=False) if len(besides) else None
        stored = {"log_p": seen.log_p, "log_odds": seen.log_odds, "log_norms": seen.log_norms}
        stored |= {f"layer {k}": part for k, part in enumerate(seen.layers)}
        stored |= {f"influence {k}": part for k, part in enumerate(seen.influences)}
        there = np.empty((2, 0), np.float32) if others is None else np.stack([others.log_odds, others.log_norm])
        return stored | {"besides": there}

    check = partial(_check_kept, n=2 * rows.shape[1], n_classes=dataset.n_classes, m=len(besides))
    kept = kept_or_asked("insides", keys, check, look, Training(trainer, dataset, rows, seed), NETWORKS_IN_WORK)
    return [(_read(stored), stored["besides"]) for stored in kept]


def _read(stored: dict[str, np.ndarray]) -> Inside:
    n_layers = sum(name.startswith("layer ") for name in stored)
    layers, influences = ([stored[f"{kind} {k}"] for k in range(n_layers)] for kind in ("layer", "influence"))
    return Inside(stored["log_p"], stored["log_odds"], stored["log_norms"], layers, influences)


def _check_kept(stored: dict[str, np.ndarray], n: int, n_classes: int, m: int) -> None:
    """ValueError unless what was stored is that of one model."""
    layers = {name: ((n, None, None), "float16") for name in stored if name.startswith(("layer ", "influence "))}
    numbers: dict[str, Any] = {"log_p": ((n, n_classes), "float32"), "log_odds": ((n,), "float32")}
    cache.expect(stored, numbers | {"log_norms": ((n, None), "float32"), "besides": ((2, m), "float32")} | layers)
