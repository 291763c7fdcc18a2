"""`python -m benchmarks.cluster [--repeats 3] [--tasks 10000] [--only W2 W4] [--precision float32]`: two workers of one core
each against two threads, and what a task costs. Prints JSON.

Both train the models of a workload and ask each about its members and as many non-members, in turn, into caches of their own.
The cluster is started before; what it costs to begin is told beside. An empty task makes nothing, and returns nothing. Both
have trained a few models before, for the first time imports. precision: that of all recipes, for machines without bfloat16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.plain import plain_model
from benchmarks.workloads import WORKLOADS, Workload, make_material, make_model
from mialib import cluster
from mialib.core import executors
from mialib.shadow.answers import shadow_attack_data
from mialib.shadow.splits import sample_splits
from mialib.training.neural import NeuralTrainer

MEASURED = ("W2", "W4")
WORKERS = 2


@contextmanager
def local_cluster(workers: int) -> Iterator[str]:
    """The address of a scheduler on this machine, with workers of one core each."""
    with tempfile.TemporaryDirectory() as folder:
        file, environment = Path(folder) / "scheduler.json", os.environ | {"OMP_NUM_THREADS": "1"}
        local = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
        options = {"scheduler": ["--port", "0"], "worker": ["--nworkers", str(workers), "--nthreads", "1"]}
        streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
        begun = []
        try:
            for kind, words in options.items():
                begun.append(
                    subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{kind}", *words, *local], **streams)
                )
                while not file.exists() or not file.read_text():
                    time.sleep(0.1)
            yield json.loads(file.read_text())["address"]
        finally:
            for process in reversed(begun):
                process.terminate()
                process.wait()


def seconds_of(workload: Workload, seed: int) -> float:
    """What training the workload's models, and asking them, takes where work is done now."""
    dataset = make_material(workload, seed, plain_model).dataset
    trainer = NeuralTrainer(partial(make_model, workload), workload.recipe)
    splits = sample_splits(np.arange(len(dataset.y)), workload.n, workload.k, seed)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", MIALIB_CACHE=folder):
        begun = time.perf_counter()
        shadow_attack_data(trainer, dataset, splits, seed)
        return time.perf_counter() - begun


def seconds_a_task(tasks: int) -> float:
    """What an empty task takes, with its way there and back."""
    begun = time.perf_counter()
    executors.finished(executors.Work(range(tasks), _nothing))
    return (time.perf_counter() - begun) / tasks


def _nothing(pieces: Any) -> list[int]:
    return [0 for _ in pieces]


def measured(repeats: int, tasks: int, only: list[str], precision: str | None) -> dict[str, Any]:
    """Seconds of each workload, here and on the cluster, by repeat, and the ratio of the medians; of the beginning; and of an
    empty task.
    """
    with local_cluster(WORKERS) as address:
        begun = time.perf_counter()
        with cluster.at(address, wait=120):
            found: dict[str, Any] = {"seconds to begin": time.perf_counter() - begun, "cores": torch.get_num_threads()}
            for name in only:
                workload = _in_precision(WORKLOADS[name], precision)
                _both(replace(workload, records=2000, n=200, k=4), 0)
                pairs = [_both(workload, repeat) for repeat in range(repeats)]
                threads, workers = (np.median(each) for each in zip(*pairs, strict=True))
                found[name] = {"threads and workers": pairs, "workers / threads": workers / threads}
            if tasks:
                seconds_a_task(10)
                found |= {"seconds a task": seconds_a_task(tasks), "tasks": tasks}
            return found


def _both(workload: Workload, seed: int) -> tuple[float, float]:
    with executors.elsewhere(None):
        here = seconds_of(workload, seed)
    return here, seconds_of(workload, seed)


def _in_precision(workload: Workload, precision: str | None) -> Workload:
    return workload if precision is None else replace(workload, recipe=replace(workload.recipe, precision=precision))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", default=MEASURED)
    parser.add_argument("--precision", choices=("float32", "bfloat16"))
    print(json.dumps(measured(**vars(parser.parse_args())), indent=1))
