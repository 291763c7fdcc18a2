"""All notebooks, several side by side: each in a process of its own, so that one that fails stops no other."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mialib.runs.log import Log
from mialib.runs.machine import cores
from mialib.runs.parameters import notebooks, shared_out
from mialib.runs.run import read_run

LAST = "99_"  # notebooks that read the others' tables, and run after them
HEADING = "> "  # begins the line by which a process tells what heading it has come to
LONG_RUNS = ("08_mitigations", "02_cifar100", "03_purchase", "01_cifar10", "09_modern_attacks")  # when nothing was run before
MOST_JOBS = 4  # unless more are asked for: every kernel has its own copy of the data


def run_all(profile: str, data: str, given: Mapping[str, str], jobs: int | None, root: Path, log: Log) -> list[str]:
    """Run every notebook, `jobs` at a time (None: one a core, at most four); the names of those that failed.

    The longest begin first, by the seconds of earlier runs. Of `given` each takes the parameters that it has; UsageError for
    one that none has. Interrupted, it ends them all, and they clear up.
    """
    shares = shared_out(root, profile, data, given)
    order = sorted(notebooks(root), key=lambda name: -_seconds(name, profile, root))
    options = ["--root", str(root), "--profile", profile, "--data", data]
    crew = _Crew({name: [name, *options, *_flags(shares[name])] for name in order}, log)
    readers = [name for name in order if name.startswith(LAST)]
    return crew.work([name for name in order if name not in readers], jobs) + crew.work(readers, jobs)


def _seconds(notebook: str, profile: str, root: Path) -> float:
    """What the latest run of a notebook in this profile took; where there is none, more than any, the known longest most."""
    found = [
        path for name in (profile, f"{profile}-standin") for path in (root / "results").glob(f"{name}/{notebook}/run.json")
    ]
    if found:
        latest: float = read_run(max(found, key=lambda path: path.stat().st_mtime).parent).get("seconds", 0)
        return latest
    return 1e6 * (1 + len(LONG_RUNS) - LONG_RUNS.index(notebook)) if notebook in LONG_RUNS else 1e6


def _flags(given: Mapping[str, str]) -> list[str]:
    return [word for name, text in given.items() for word in ("-p", name, text)]


class _Crew:
    """Processes that run notebooks, `arguments` (of the command `run`) by notebook."""

    def __init__(self, arguments: Mapping[str, Sequence[str]], log: Log) -> None:
        self._arguments, self._log = arguments, log
        self._processes: list[subprocess.Popen[str]] = []
        self._environment: dict[str, str] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def work(self, names: Sequence[str], jobs: int | None) -> list[str]:
        """Run these, `jobs` at a time; the names of those that failed.

        The cores are divided among them: with as many threads in each as there are cores, all wait for one another, and two
        trainings side by side take half as long again.
        """
        jobs = min(jobs or min(MOST_JOBS, cores()), max(1, len(names)))
        self._environment = {"OMP_NUM_THREADS": str(max(1, cores() // jobs))} | os.environ
        with ThreadPoolExecutor(jobs) as pool:
            try:
                return [name for name, well in zip(names, pool.map(self._run, names)) if not well]
            except BaseException:
                self._stop()
                raise

    def _run(self, name: str) -> bool:
        began, said = time.monotonic(), []
        if (process := self._started(name)) is None:
            return False
        self._log.at(name)
        for line in process.stdout or ():
            if line.startswith(HEADING):
                self._log.at(name, line.removeprefix(HEADING).rstrip())
            else:
                said.append(line.rstrip())
        seconds = f"{time.monotonic() - began:.0f} s"
        well = process.wait() == 0
        if not self._stopped:  # an interrupt is told once, not by every notebook
            self._log.end(name, seconds if well else "\n".join([f"FAILED after {seconds}", *said]))
        return well

    def _started(self, name: str) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            command = [sys.executable, "-m", "mialib.runs", "run", *self._arguments[name], "--headings"]
            # A session of its own: Ctrl-C reaches this process alone, which then ends the others, once.
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            process = subprocess.Popen(command, text=True, start_new_session=True, env=self._environment, **streams)  # type: ignore[call-overload]
            self._processes.append(process)
            return process

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()
