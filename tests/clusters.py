"""Clusters of processes on this machine, for tests: schedulers and workers that can be killed by their process id."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import mialib

PACKAGE = Path(mialib.__file__).parent
LOCAL = ["--host", "127.0.0.1", "--no-dashboard"]


class Machines:
    """A scheduler, and the workers that were started for it. All are ended by `end`."""

    def __init__(self, folder, cache, data):
        self.folder, self._file = folder, folder / "scheduler.json"
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
    found = Machines(folder, cache, data)
    try:
        yield found
    finally:
        found.end()


@contextmanager
def when_begun(cluster, act, stacks=1):
    """Calls act(process id of the worker that began the last of so many stacks), from another thread, as soon as it did."""
    from mialib.cluster.worker import EVENTS

    before, stop = len(cluster.client.get_events(EVENTS) or ()), threading.Event()

    def watch():
        while not stop.is_set():
            events = (cluster.client.get_events(EVENTS) or ())[before:]
            if len(events) >= stacks:
                act(events[stacks - 1][1]["process"])
                return
            time.sleep(0.02)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        stop.set()
        watching.join()
