"""What a notebook will train, and what that takes: announcements as text, and as `core.plans.Planned` for who collects them."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mialib.core import cache, checks, executors, progress
from mialib.core.plans import Planned, collect
from mialib.core.types import Dataset, Features, Trainer
from mialib.shadow import synthesis
from mialib.training.neural import ON_ONE_CORE

FEW_RECORDS = 1000  # of a trial with a model that cannot be estimated otherwise
FEW_OF_A_CLASS = 10  # at least, where there are as many: some classifiers want several records of each class
QUERIES_IN_A_TRIAL = 20_000
TWICE = 5.0  # seconds


def planned_models(
    dataset: Dataset, trainer: Trainer, what: str, n: int, pieces: int, missing: int | Sequence[Mapping[str, Any]], **place: Any
) -> Planned:
    """`pieces` models of a trainer on n records each. missing: what determines those that are missing, or how many these are,
    where that is not known. place: fields of `Planned`.
    """
    epochs = getattr(getattr(trainer, "recipe", None), "epochs", None) or getattr(trainer, "max_passes", None)
    keys = () if isinstance(missing, int) else tuple(cache.digest(dict(key)) for key in missing)
    count = missing if isinstance(missing, int) else len(keys)

    def trial() -> float:
        return seconds_a_model(trainer, dataset, n, count or 1)

    place = {"alike": what, "keys": keys, "megabytes": dataset.x.nbytes / 1e6, **place}
    return Planned(dataset.name, dataset.source, what, n, epochs, pieces, count, trial, **place)


def seconds_a_model(trainer: Trainer, dataset: Dataset, n: int, k: int) -> float:
    """Seconds that one of k models on n records takes one core (or the GPU), from a short trial of which nothing is kept.

    By the trainer's own `estimate`, or in proportion from a model on few records, to a factor of about two.
    """
    together = checks.whole("k", k, 1) if torch.cuda.is_available() else min(checks.whole("k", k, 1), ON_ONE_CORE)

    def trial() -> float:
        if not hasattr(trainer, "estimate"):
            return _seconds_of_few(trainer, dataset, n)
        found = trainer.estimate(dataset, n, together)
        return float(found.seconds / found.models)

    return on_a_core(trial)


def on_a_core(trial: Callable[[], float]) -> float:
    """Seconds that a trial tells, on one core of this machine that has nothing else to do; those of the shorter of two, where
    one takes no longer than TWICE: a first one may load libraries.
    """
    began = time.perf_counter()
    with _one_thread(), executors.elsewhere(None), progress.no_bars():
        seconds = _unshared(trial)
        return min(seconds, _unshared(trial)) if time.perf_counter() - began < TWICE else seconds


def _unshared(trial: Callable[[], float]) -> float:
    """Other work on a machine leaves less than a core to this process: of what a trial tells, the share that it had. A GPU, for
    which a core waits, has no such share.
    """
    wall, own = time.perf_counter(), time.process_time()
    seconds = trial()
    share = (time.process_time() - own) / (time.perf_counter() - wall)
    return seconds if torch.cuda.is_available() else seconds * min(1.0, share)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within the block torch computes on one core: what a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds_of_few(trainer: Trainer, dataset: Dataset, n: int) -> float:
    import joblib  # late, as sklearn

    rows = few_rows(dataset, n)
    with tempfile.TemporaryDirectory() as folder, cache.kept_in(Path(folder)), joblib.parallel_config(backend="sequential"):
        return _seconds_of(lambda: trainer.fit_many(dataset, rows[None], 0)) * n / len(rows)


def _seconds_of(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def few_rows(dataset: Dataset, n: int) -> np.ndarray:
    """Rows for a trial in the place of a model on n records: FEW_RECORDS, or more where there are many classes, n at most;
    drawn from all classes alike, as far as these reach.
    """
    order = np.random.default_rng(0).permutation(len(dataset.y))
    turn = np.empty(len(order), np.int64)  # of each record within its class
    for c in range(dataset.n_classes):
        of_class = order[dataset.y[order] == c]
        turn[of_class] = np.arange(len(of_class))
    few = min(n, max(FEW_RECORDS, FEW_OF_A_CLASS * dataset.n_classes))
    return np.sort(order[np.argsort(turn[order], kind="stable")[:few]])


def seconds_a_query(trainer: Trainer, dataset: Dataset, n: int) -> float:
    """Seconds that a query of Algorithm 1 to a model on n records takes one core, from the climbs of a budget of few queries.

    The model is trained on few records; where what it keeps grows with them, as a kernel machine does, the time grows, too.
    """
    features, rows = dataset.features or Features(dataset.x.shape[1:]), few_rows(dataset, n)
    grows = 1.0 if hasattr(trainer, "recipe") else n / len(rows)
    with tempfile.TemporaryDirectory() as folder, cache.kept_in(Path(folder)), progress.no_bars():
        model = trainer.fit_many(dataset, rows[None], 0)[0]

        def trial() -> float:
            began = time.perf_counter()
            made = synthesis.all_classes(model, features, dataset.n_classes, 20, 0, max_queries=QUERIES_IN_A_TRIAL)
            return (time.perf_counter() - began) / max(1, int(made.report["queries"].sum()))

        return grows * on_a_core(trial)


def announce_fits(what: str, fit: Callable[[], Any], dataset: Dataset, n: int, pieces: int) -> str:
    """`pieces` models on n records each, of which `fit` fits one, and what they take here: a line. Some may be on disk."""
    megabytes = dataset.x.nbytes / 1e6
    return told(
        Planned(
            dataset.name, dataset.source, what, n, None, pieces, pieces, lambda: on_a_core(lambda: _seconds_of(fit)),
            alike=what, megabytes=megabytes,
        )
    )  # fmt: skip


def told(planned: Planned, tried: bool = True) -> str:
    """A line on pieces of work, with a trial if `tried`, unless somebody collects them."""
    text = f"{planned.dataset}, {planned.what}, n = {planned.n:,}: {planned.source} data; "
    text += f"{planned.missing:,} of {planned.pieces:,} {planned.unit}s to {'train' if planned.unit == 'model' else 'make'}"
    if collect([planned]) or not planned.missing or not tried:
        return text
    executor = executors.current()
    here = 1 if torch.cuda.is_available() else torch.get_num_threads()
    rounds = -(-planned.missing // (here if executor is None else executor.workers.n))
    return f"{text}, about {rounds * planned.trial():,.0f} s {executors.where()}"
