"""Stacks of models on the workers of a cluster: handed out, gathered, and made again where a worker was lost over them."""

from __future__ import annotations

import logging
import time
import uuid
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from distributed import Client, Future, as_completed
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker
from tqdm.std import tqdm

from mialib.cluster import travel, worker
from mialib.cluster.errors import ClusterError
from mialib.cluster.worker import EVENTS, Delivery, Order, StrangeWorker
from mialib.core import cache
from mialib.core.executors import Work, Workers
from mialib.core.types import Dataset

log = logging.getLogger(__name__)

AHEAD = 3  # stacks a worker that are handed out: more would only lie in the scheduler's memory
COUNT_EVERY = 5.0  # seconds
KEPT_DATASETS = 4  # on the cluster, at most, but for those in use
MEMORY_EVENTS = "worker-restart-memory"  # of Dask's nannies


class _Job(NamedTuple):
    """A work as the cluster has it: its name there, what it is without its pieces, and the data sets that it holds."""

    work: Work
    name: str
    package: Future
    datasets: dict[str, Dataset]


class _Stack(NamedTuple):
    """Pieces of a work, by number; how often workers died over it."""

    job: _Job
    pieces: list[int]
    deaths: int = 0

    def halves(self) -> list[_Stack]:
        middle = len(self.pieces) // 2
        return [_Stack(self.job, self.pieces[:middle]), _Stack(self.job, self.pieces[middle:])]


class Cluster:
    """An executor: the workers of a Dask cluster. Made by `connect`. trained_twice: models that were, since then."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address, self.workers = client, address, Workers(1)
        self.trained_twice = 0
        self.announced: list[Work] = []
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it would tell of a lost scheduler, we do
        self._counted = float("-inf"), 1
        self._tokens: dict[str, Path] = {}
        self._datasets: dict[str, Future] = {}
        self._clear = weakref.finalize(self, _removed, self._tokens)

    @property
    def where(self) -> str:
        """For a person."""
        n, device = self.workers.n, " with a GPU" if self.workers.device == "cuda" else ""
        return f"on {n} worker{'s' * (n > 1)}{device}"

    def close(self) -> None:
        """Leave the cluster; it goes on for others."""
        self._clear()
        with suppress(Exception):
            self.client.close()

    def token(self) -> tuple[str | None, str]:
        """The cache folder of this process, None if it keeps nothing, and a file in it, by which workers know it."""
        if cache.keeps_nothing():
            return None, ""
        folder = str(cache.cache_folder())
        if folder not in self._tokens:
            path = Path(folder) / f".cluster-{uuid.uuid4().hex}"
            with suppress(OSError):  # a folder that cannot be written to is shared with nobody; saving says so
                path.touch()
            self._tokens[folder] = path
        return folder, self._tokens[folder].name

    def made(self, work: Work, missing: list[int]) -> Iterator[tuple[int, Any]]:
        """The number and the result of each piece that is missing, as they come, each kept in the cache by then.

        A worker that is lost costs its stack, which another makes again. Raises ClusterError where the scheduler is lost, and
        what the work raises.
        """
        for _, pieces, results in self._run([(work, missing)], wanted=True):
            yield from zip(pieces, results, strict=True)

    def begin(self, works: Sequence[Work]) -> None:
        """Make and keep what is missing of works that will be wanted, all side by side."""
        missing = [(work, [i for i in range(len(work.pieces)) if not work.is_kept(i)]) for work in works]
        for _ in self._run([(work, numbers) for work, numbers in missing if numbers], wanted=False):
            pass

    def _run(self, works: list[tuple[Work, list[int]]], wanted: bool) -> Iterator[tuple[Work, list[int], list[Any]]]:
        run, total = _Run(self, works, wanted), sum(len(missing) for _, missing in works)
        unit = works[0][0].unit if works else ""
        try:
            with tqdm(total=total, desc=f"training {self.where}", unit=unit, leave=False) as bar:
                for stack, results in run.results():
                    bar.update(len(stack.pieces))
                    yield stack.job.work, stack.pieces, results
        except CommClosedError as error:
            raise self.lost() from error
        finally:
            run.end()

    def sent(self, datasets: Mapping[str, Dataset]) -> dict[str, Future]:
        """Data sets on the cluster, by digest: each is sent once."""
        for digest, dataset in datasets.items():
            future = self._datasets.pop(digest, None)
            if future is None or future.status in ("cancelled", "lost", "error"):
                future = self.submit(worker.loaded, travel.packed_dataset(dataset), key=f"mialib-data-{digest}")
            self._datasets[digest] = future  # the latest come last
        used = {digest: self._datasets[digest] for digest in datasets}
        for digest in [*self._datasets][: max(0, len(self._datasets) - max(KEPT_DATASETS, len(used)))]:
            del self._datasets[digest]
        return used

    def submit(self, function: Any, *arguments: Any, key: str, **options: Any) -> Future:
        with warnings.catch_warnings():  # what is sent is as large as it is
            warnings.filterwarnings("ignore", "Sending large graph")
            return self.client.submit(function, *arguments, key=key, pure=False, **options)

    def begun(self, caller: str) -> dict[str, list[int]]:
        """Of stacks, the pieces that each worker that began one had to make."""
        found: dict[str, list[int]] = {}
        for _, event in self.client.get_events(EVENTS) or ():
            if event["caller"] == caller:
                found.setdefault(event["stack"], []).append(event["pieces"])
        return found

    def n_workers_now(self) -> int:
        """How many workers there are, at least 1; asked every few seconds."""
        if time.monotonic() > self._counted[0] + COUNT_EVERY:
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it would tell of a lost scheduler, we do
        self._counted = time.monotonic(), max(1, len(self.client.scheduler_info()["workers"]))
        return self._counted[1]

    def deaths_of_memory(self) -> int:
        """How many workers ran out of memory, so far, and were ended for it."""
        return len(self.client.get_events(MEMORY_EVENTS) or ())

    def lost(self) -> ClusterError:
        return ClusterError(
            f"the scheduler at {self.address} was lost; what was finished is kept, and the same command goes on with the rest"
        )


def _removed(tokens: dict[str, Path]) -> None:
    for path in tokens.values():
        with suppress(OSError):
            path.unlink(missing_ok=True)


class _Run:
    """Works on the cluster, from the first stack to the last. wanted: whether results are to be returned, or only kept."""

    def __init__(self, cluster: Cluster, works: list[tuple[Work, list[int]]], wanted: bool) -> None:
        self.cluster, self.wanted = cluster, wanted
        self.folder, self.token = cluster.token()
        self.waiting = deque(_Stack(job, part) for job, missing in self._jobs(works) for part in self._parts(job, missing))
        self.running: dict[Future, _Stack] = {}
        self.caller, self.before = uuid.uuid4().hex, cluster.deaths_of_memory()
        self.completed = as_completed(loop=cluster.client.loop)

    def _jobs(self, works: list[tuple[Work, list[int]]]) -> Iterator[tuple[_Job, list[int]]]:
        for work, missing in works:
            packed, datasets = travel.packed(work._replace(pieces=(), keys=(), together=None))  # type: ignore[arg-type]
            name = cache.digest(np.frombuffer(packed, np.uint8))[:32]
            package = self.cluster.submit(worker.itself, packed, key=f"mialib-work-{name}")
            yield _Job(work, name, package, datasets), missing

    def _parts(self, job: _Job, missing: list[int]) -> list[list[int]]:
        return job.work.stacks(missing, self.cluster.workers)

    def results(self) -> Iterator[tuple[_Stack, list[Any]]]:
        while self.waiting or self.running:
            while self.waiting and len(self.running) < AHEAD * self.cluster.n_workers_now():
                self._hand_out(self.waiting.popleft())
            for future in self._finished():
                stack = self.running.pop(future)
                delivery = self._delivered(future, stack)
                future.release()
                if delivery is not None:
                    self._keep(stack, delivery)
                    yield stack, delivery.results

    def _hand_out(self, stack: _Stack) -> None:
        job = stack.job
        pieces, more = travel.packed([job.work.pieces[i] for i in stack.pieces])
        keys = [job.work.keys[i] for i in stack.pieces] if job.work.kind else []
        order = Order(job.name, self.caller, keys, self.folder, self.token, worker.code_of_package(), self.wanted)
        datasets, key = self.cluster.sent(job.datasets | more), self._key(stack, keys)
        future = self.cluster.submit(worker.stack_made, order, job.package, datasets, pieces, key=key)
        self.running[future] = stack
        self.completed.add(future)

    def _key(self, stack: _Stack, keys: list[Mapping[str, Any]]) -> str:
        """Of a stack's future: the digest of what its results are kept under, so that callers of the same stack share it."""
        kept_as = [stack.job.work.kind, self.folder, [dict(key) for key in keys]] if keys else [uuid.uuid4().hex]
        return f"mialib-stack-{cache.digest(kept_as, stack.deaths, self.wanted)}"

    def _finished(self) -> list[Future]:
        """Futures that came to an end, at least one; ClusterError where the scheduler is lost."""
        while True:
            found = [future for future in self.completed.next_batch(block=False) if future in self.running]
            if found:
                return found
            if self.cluster.client.status != "running":
                raise self.cluster.lost()
            time.sleep(0.01)

    def _delivered(self, future: Future, stack: _Stack) -> Delivery | None:
        """What a stack gave, or None if it is made again; raises what the work raised."""
        if future.status == "finished":
            return self._gathered(future, stack)
        if future.status != "error":
            raise self.cluster.lost()
        error = future.exception()
        if isinstance(error, KilledWorker):
            self._after_deaths(stack, error)
        elif _is_of_memory(error):
            self._cut(stack, error)
        elif isinstance(error, StrangeWorker):
            raise ClusterError(f"the cluster at {self.cluster.address} cannot be used: {error}") from error
        else:
            raise error
        return None

    def _gathered(self, future: Future, stack: _Stack) -> Delivery | None:
        try:
            delivery: Delivery = future.result()
            return delivery
        except CommClosedError:
            raise
        except Exception:  # the worker that had it was lost on the way, or over making it again
            self.waiting.appendleft(stack)
            return None

    def _after_deaths(self, stack: _Stack, error: KilledWorker) -> None:
        """After so many deaths over a stack as the scheduler allows: again, but in halves if it was for want of memory."""
        if stack.deaths or self.cluster.deaths_of_memory() > self.before:
            self._cut(stack, error)
        else:
            self.waiting.appendleft(stack._replace(deaths=1))

    def _cut(self, stack: _Stack, error: BaseException) -> None:
        n, work = len(stack.pieces), stack.job.work
        if n == 1:
            raise ClusterError(
                f"the cluster at {self.cluster.address} cannot make one {work.unit} of {len(work.pieces)}: its "
                f"workers ran out of memory or died over it ({type(error).__name__}: {error})"
            ) from error
        log.warning("%d %ss together were too much for a worker (%s): trying halves", n, work.unit, type(error).__name__)
        self.waiting.extendleft(reversed(stack.halves()))

    def _keep(self, stack: _Stack, delivery: Delivery) -> None:
        """Put into the cache what the worker could not put there itself."""
        if delivery.kept:
            return
        for place, content in delivery.files.items():
            if worker.STORED.fullmatch(place) and self.folder is not None:
                cache.put_file(Path(self.folder) / place, content)
        for i, result in zip(stack.pieces, delivery.results, strict=True):
            stack.job.work.keep(i, result)

    def end(self) -> None:
        """Count what was trained twice; give up what is not finished."""
        futures = [*self.running]
        self.running.clear()
        with suppress(Exception):
            if self.cluster.client.status == "running":
                self._count()
                self.cluster.client.cancel(futures)

    def _count(self) -> None:
        again = sum(sum(counts[1:]) for counts in self.cluster.begun(self.caller).values())
        if again:
            self.cluster.trained_twice += again
            log.warning("%d models were trained twice: workers were lost over them", again)


def _is_of_memory(error: BaseException) -> bool:
    """Whether a worker ran out of memory: Python's error, NumPy's, or torch's, which has names of its own."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error)
