"""What a notebook will train, and what that takes: announcements as text, and as `core.plans.Planned` for who collects them."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mialib.core import cache, checks
from mialib.core.plans import Planned, collect
from mialib.core.types import Dataset, Features, Split, Trainer
from mialib.shadow import synthesis
from mialib.shadow.answers import count_missing

IN_A_TRIAL = 10  # models: as many as a core trains together
FEW_RECORDS = 1000  # of a trial with a model that cannot be estimated otherwise
QUERIES_IN_A_TRIAL = 20_000


def planned_models(dataset: Dataset, trainer: Trainer, what: str, n: int, pieces: int, missing: int, **place: Any) -> Planned:
    """`pieces` models of a trainer on n records each; place: fields of `Planned`."""
    epochs = getattr(getattr(trainer, "recipe", None), "epochs", None) or getattr(trainer, "max_passes", None)
    size = dataset.x.nbytes / 1e6

    def trial() -> float:
        return seconds_a_model(trainer, dataset, n, missing or 1)

    place = {"alike": what} | place
    return Planned(dataset.name, dataset.source, what, n, epochs, pieces, missing, trial, megabytes=size, **place)


def seconds_a_model(trainer: Trainer, dataset: Dataset, n: int, k: int) -> float:
    """Seconds that one of k models on n records takes one core (or the GPU), from a short trial of which nothing is kept.

    By the trainer's own `estimate`, or in proportion from a model on few records, to a factor of about two.
    """
    checks.whole("k", k, 1)
    with one_thread(), share_of_a_core() as share:
        if hasattr(trainer, "estimate"):
            found = trainer.estimate(dataset, n, min(k, IN_A_TRIAL))
            seconds = found.seconds / found.models
        else:
            seconds = _seconds_of_few(trainer, dataset, n)
    return float(seconds * share())


def _seconds_of_few(trainer: Trainer, dataset: Dataset, n: int) -> float:
    import joblib  # late, as sklearn

    few = min(n, FEW_RECORDS)
    rows = np.sort(np.random.default_rng(0).choice(len(dataset.y), few, replace=False))
    with tempfile.TemporaryDirectory() as folder, cache.kept_in(Path(folder)), joblib.parallel_config(backend="sequential"):
        began = time.perf_counter()
        trainer.fit_many(dataset, rows[None], 0)
        return (time.perf_counter() - began) * n / few


@contextmanager
def share_of_a_core() -> Iterator[Callable[[], float]]:
    """What part of a core this process had within the block, 0..1: asked after it. Other work on the machine leaves less.

    A trial's seconds times this are those on a core that does nothing else. 1 on a GPU, for which a core waits.
    """
    wall, own = time.perf_counter(), time.process_time()
    yield lambda: 1.0 if torch.cuda.is_available() else min(1.0, (ends[1] - own) / (ends[0] - wall))
    ends = time.perf_counter(), time.process_time()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch computes on one core: what a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds_a_query(trainer: Trainer, dataset: Dataset, n: int) -> float:
    """Seconds that a query of Algorithm 1 to a model on n records takes one core, from the climbs of a budget of few queries.

    The model is trained on few records; where what it keeps grows with them, as a kernel machine does, the time grows, too.
    """
    few = min(n, FEW_RECORDS)
    features = dataset.features or Features(dataset.x.shape[1:])
    rows = np.sort(np.random.default_rng(0).choice(len(dataset.y), few, replace=False))
    with one_thread(), tempfile.TemporaryDirectory() as folder, cache.kept_in(Path(folder)), _unsaid():
        model = trainer.fit_many(dataset, rows[None], 0)[0]
        with share_of_a_core() as share:
            began = time.perf_counter()
            made = synthesis.all_classes(model, features, dataset.n_classes, 20, 0, max_queries=QUERIES_IN_A_TRIAL)
            seconds = time.perf_counter() - began
    grows = 1.0 if hasattr(trainer, "recipe") else n / few
    return seconds * share() * grows / max(1, int(made.report["queries"].sum()))


@contextmanager
def _unsaid() -> Iterator[None]:
    """Within the block a synthesis does not warn of what it did not find: a trial finds next to nothing."""
    before, synthesis.log.disabled = synthesis.log.disabled, True
    try:
        yield
    finally:
        synthesis.log.disabled = before


def announce_models(what: str, trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int) -> str:
    """Models on the members of splits, as `shadow_attack_data` trains them, and what they take here: a line.

    Models whose answers or weights are on disk are left out.
    """
    rows = np.stack([split.members for split in splits])
    asked = count_missing(trainer, dataset, splits, seed)
    missing = min(asked, sum(not cache.exists("weights", key) for key in trainer.keys(dataset, rows, seed)))
    return told(planned_models(dataset, trainer, what, rows.shape[1], len(rows), missing))


def announce_fits(what: str, fit: Callable[[], Any], dataset: Dataset, n: int, pieces: int) -> str:
    """`pieces` models on n records each, of which `fit` fits one, and what they take here: a line. Some may be on disk."""

    def trial() -> float:
        with one_thread(), share_of_a_core() as share:
            began = time.perf_counter()
            fit()
            seconds = time.perf_counter() - began
        return seconds * share()

    megabytes = dataset.x.nbytes / 1e6
    return told(Planned(dataset.name, dataset.source, what, n, None, pieces, pieces, trial, alike=what, megabytes=megabytes))


def told(planned: Planned, tried: bool = True) -> str:
    """A line on pieces of work, with a trial if `tried`, unless somebody collects them."""
    text = f"{planned.dataset}, {planned.what}, n = {planned.n:,}: {planned.source} data; "
    text += f"{planned.missing:,} of {planned.pieces:,} {planned.unit}s missing"
    if collect([planned]) or not planned.missing or not tried:
        return text
    return f"{text}, about {planned.missing * planned.trial():,.0f} s of one core"
