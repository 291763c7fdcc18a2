"""Clusters of processes on this machine, for tests: schedulers and workers that can be killed by their process id; and what
they train.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np

import mialib
from mialib.cluster.worker import EVENTS
from mialib.core.types import Dataset
from mialib.training import NeuralTrainer, Recipe, mlp

PACKAGE = Path(mialib.__file__).parent
LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]


class Machines:
    """A scheduler, and the workers that were started for it. All are ended by `end`."""

    def __init__(self, folder, cache, data):
        self.folder, self.data, self._file = folder, Path(data), folder / "scheduler.json"
        self._environment = os.environ | {"MIALIB_CACHE": str(cache), "MIALIB_DATA": str(data), "OMP_NUM_THREADS": "1"}
        self._environment["PYTHONPATH"] = str(PACKAGE.parent)
        self._environment["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "false"
        self._log = open(folder / "log", "w")  # noqa: SIM115 # as long as they run
        self.workers = []
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self._file))
        while not self._file.exists() or not self._file.read_text():
            assert self.scheduler.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        self.address = json.loads(self._file.read_text())["address"]

    def _start(self, kind, *words, **environment):
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words, *LOCAL]
        streams = {"stdout": self._log, "stderr": self._log}
        return subprocess.Popen(
            command, cwd=self.folder, env=self._environment | environment, start_new_session=True, **streams
        )

    def add(self, n=1, *words, **environment):
        """Start n workers; words: options of dask worker, in place of one thread and no nanny."""
        words = words or ("--nthreads", "1", "--no-nanny")
        for _ in range(n):
            self.workers.append(self._start("worker", self.address, *words, **environment))
        return self

    def end(self):
        for process in [*self.workers, self.scheduler]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own: nannies and their workers
            process.wait()
        self._log.close()


@contextmanager
def machines(folder, cache, data):
    folder.mkdir(parents=True, exist_ok=True)
    Path(data).mkdir(exist_ok=True)
    found = Machines(folder, cache, data)
    try:
        yield found
    finally:
        found.end()


def until(reached, seconds=120):
    """Waits for reached() to be true; seconds are those of a slow machine."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"not reached within {seconds} s"
        time.sleep(0.02)


def begun(cluster):
    """What workers told of stacks that they began."""
    return [event for _, event in cluster.client.get_events(EVENTS) or ()]


@contextmanager
def when_begun(cluster, act, stacks=1):
    """Calls act(process id of the worker that began the last of so many stacks), from another thread, as soon as it did."""
    before, stop = len(begun(cluster)), threading.Event()

    def watch():
        while not stop.is_set():
            if len(events := begun(cluster)[before:]) >= stacks:
                act(events[stacks - 1]["process"])
                return
            time.sleep(0.02)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        stop.set()
        watching.join()


RECIPE = Recipe(epochs=3, batch_size=20, lr=0.01)


def bits(seed=0, n=400):
    rng = np.random.default_rng(seed)
    x = (rng.random((n, 30)) < 0.4).astype(np.uint8)
    return Dataset("bits", x, (x[:, :2] @ [1, 2]).astype(np.int64), 4, "own")


DATA = bits()


def trainer(recipe=RECIPE):
    return NeuralTrainer(partial(mlp, 30, 4, 16), recipe)


def splits(k=4, n=60):
    return mialib.sample_splits(np.arange(400), n, k, seed=1)


def stored(folder):
    """Of every file that a cache holds, its arrays."""
    found = {}
    for path in sorted(Path(folder).rglob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            found[path.relative_to(folder).as_posix()] = {n: arrays[n] for n in arrays.files if n != "key.json"}
    return found


def same(a, b):
    assert a.keys() == b.keys() and a
    for name in a:
        assert a[name].keys() == b[name].keys()
        for part in a[name]:
            np.testing.assert_array_equal(a[name][part], b[name][part], err_msg=f"{name} {part}")
