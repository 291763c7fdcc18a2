"""Stacks of models on the workers of a cluster: handed out, gathered, and made again where a worker was lost over them."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from distributed import Client, Future, as_completed
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from mialib.cluster import travel, worker
from mialib.cluster.datasets import MissingDatasets, Outline
from mialib.cluster.errors import ClusterError
from mialib.cluster.link import Link
from mialib.cluster.worker import Delivery, Order, StrangeWorker
from mialib.core import cache, progress
from mialib.core.executors import Work
from mialib.core.types import Dataset

log = logging.getLogger(__name__)

AHEAD = 3  # stacks a worker that are handed out: more would only lie in the scheduler's memory
SMALL = 2**20  # bytes of a work that goes with each of its stacks: one that waits for nothing goes to whoever is free
TRIES = 20  # of a stack that comes to workers without its data sets: each of them may be a new one


class _Job(NamedTuple):
    """A work as the cluster has it: its name there, what it is without its pieces, and the data sets that it holds."""

    work: Work
    name: str
    package: Future | bytes
    datasets: dict[str, Dataset]


class _Stack(NamedTuple):
    """Pieces of a work, by number; how often they were handed out before."""

    job: _Job
    pieces: list[int]
    tries: int = 0

    def again(self) -> _Stack:
        return self._replace(tries=self.tries + 1)

    def halves(self) -> list[_Stack]:
        middle = len(self.pieces) // 2
        return [_Stack(self.job, self.pieces[:middle]), _Stack(self.job, self.pieces[middle:])]


class _Run:
    """Works on the cluster, from the first stack to the last. wanted: whether results are to be returned, or only kept."""

    def __init__(self, cluster: Link, works: list[tuple[Work, list[int]]], wanted: bool) -> None:
        self.cluster, self.works, self.wanted = cluster, works, wanted
        self.folder, self.token = cluster.token()
        self.waiting: deque[_Stack] = deque()
        self.running: dict[Future, _Stack] = {}
        self.handed_out: dict[str, _Stack] = {}  # all that ever were, by key
        self.completed = as_completed(loop=cluster.client.loop)

    def results(self) -> Iterator[tuple[_Stack, list[Any]]]:
        for work, missing in self.works:
            job = self._job(work)
            self.waiting.extend(_Stack(job, part) for part in work.stacks(missing, self.cluster.workers))
        while self.waiting or self.running:
            while self.waiting and len(self.running) < AHEAD * self.cluster.n_workers_now():
                self._hand_out(self.waiting.popleft())
            self._cut_what_was_too_large()
            for future in self._ended():
                stack = self.running.pop(future)
                delivery = self._delivered(future, stack)
                future.release()
                if delivery is not None:
                    self._keep(stack, delivery)
                    yield stack, delivery.results

    def _job(self, work: Work) -> _Job:
        packed, held = travel.packed(work._replace(pieces=(), keys=(), together=None))  # type: ignore[arg-type]
        self.cluster.provide(held)  # which also looks at workers that came later, before they get anything to do
        name = cache.digest(np.frombuffer(packed, np.uint8))[:32]
        package = packed if len(packed) < SMALL else self.cluster.submit(worker.itself, packed, key=f"mialib-work-{name}")
        return _Job(work, name, package, held)

    def _hand_out(self, stack: _Stack) -> None:
        job = stack.job
        pieces, more = travel.packed([job.work.pieces[i] for i in stack.pieces])
        held = job.datasets | more
        self.cluster.provide(held)
        keys = [job.work.keys[i] for i in stack.pieces] if job.work.kind else []
        outlines = {digest: Outline.of(dataset) for digest, dataset in held.items()}
        order = Order(job.name, keys, outlines, self.folder, self.token, worker.code_of_package(), self.wanted)
        future = self.cluster.submit(worker.stack_made, order, job.package, pieces, key=self._key(stack, keys))
        self.running[future] = self.handed_out[str(future.key)] = stack
        self.completed.add(future)

    def _key(self, stack: _Stack, keys: list[Mapping[str, Any]]) -> str:
        """Of a stack's future: the digest of what its results are kept under, so that callers of the same stack share it."""
        kept_as = [stack.job.work.kind, self.folder, [dict(key) for key in keys]] if keys else [uuid.uuid4().hex]
        return f"mialib-stack-{cache.digest(kept_as, stack.tries, self.wanted)}"

    def _ended(self) -> list[Future]:
        """Futures that came to an end, perhaps none; ClusterError where the scheduler is lost."""
        found = [future for future in self.completed.next_batch(block=False) if future in self.running]
        if self.cluster.is_lost() or any(future.status == "cancelled" for future in found):
            raise self.cluster.lost()
        if not found:
            time.sleep(0.01)
        return found

    def _delivered(self, future: Future, stack: _Stack) -> Delivery | None:
        """What a stack gave, or None if it is made again; raises what the work raised."""
        try:
            delivery: Delivery = future.result()
            return delivery
        except MissingDatasets as error:
            self._provide_anew(stack, error)
        except KilledWorker as error:
            self._after_deaths(str(future.key), stack, error)
        except (StrangeWorker, ImportError):
            self.cluster.check()  # names it
            raise
        except Exception as error:
            if self.cluster.is_lost() or not _is_of_memory(error):
                raise
            self._cut(stack, f"{type(error).__name__}: {error}")
        return None

    def _provide_anew(self, stack: _Stack, error: MissingDatasets) -> None:
        if stack.tries >= TRIES:
            raise ClusterError(f"the cluster at {self.cluster.address} cannot be used: data sets do not reach all workers")
        self.cluster.forget(error.args)
        self.waiting.appendleft(stack.again())

    def _after_deaths(self, key: str, stack: _Stack, error: KilledWorker) -> None:
        """After so many deaths as the scheduler allows: cut, if they were over this stack; it may only have waited there."""
        self.cluster.check()  # without mialib they die of any stack
        if len(self.cluster.events.begun.get(key, ())) > 1:
            self._cut(stack, f"{type(error).__name__}: {error}")
        else:
            self.waiting.appendleft(stack.again())

    def _cut_what_was_too_large(self) -> None:
        """Where a nanny ended a worker for want of memory, its stack is not tried again as it is."""
        too_large = {*self.cluster.events.too_large()}
        for future, stack in [*self.running.items()] if too_large else ():
            if future.key in too_large and len(stack.pieces) > 1:  # one alone may have been unlucky: the scheduler counts
                del self.running[future]
                self.cluster.client.cancel([future])
                self._cut(stack, "its nanny ended it")

    def _cut(self, stack: _Stack, why: str) -> None:
        n, work = len(stack.pieces), stack.job.work
        if n == 1:
            raise ClusterError(
                f"the cluster at {self.cluster.address} cannot make one {_noun(work)} of {len(work.pieces)}: its workers ran "
                f"out of memory or died over it ({why})"
            )
        log.warning("%d %ss together were too much for a worker (%s): trying halves", n, _noun(work), why)
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

    def end(self) -> int:
        """Give up what is not finished; how many pieces were begun again, since workers were lost over them."""
        with suppress(Exception):
            if self.running and not self.cluster.is_lost():
                self.cluster.client.cancel([*self.running])
        self.running.clear()
        begun: Counter[tuple[int, int]] = Counter()
        for key, stack in self.handed_out.items():
            times = len(self.cluster.events.begun.pop(key, ()))
            begun.update({(id(stack.job), piece): times for piece in stack.pieces})
        if again := sum(times - 1 for times in begun.values() if times):
            log.warning("%d models were trained twice: workers were lost over them, or had no memory for them", again)
        return again


class Cluster(Link):
    """An executor: the workers of a Dask cluster. Made by `connect`. trained_twice: models that were, since then."""

    def __init__(self, client: Client, address: str) -> None:
        super().__init__(client, address)
        self.trained_twice = 0
        self.announced: list[Work] = []

    @property
    def where(self) -> str:
        """For a person."""
        n, device = self.workers.n, " with a GPU" if self.workers.device == "cuda" else ""
        return f"on {n} worker{'s' * (n > 1)}{device}"

    def made(self, work: Work, missing: list[int]) -> Iterator[tuple[int, Any]]:
        """The number and the result of each piece that is missing, as they come, each kept in the cache by then.

        A worker that is lost costs its stack, which another makes again. Raises ClusterError where the scheduler is lost, and
        what the work raises.
        """
        unseen = []
        for _, pieces, results in self._run([(work, missing)], wanted=False):
            for i, result in zip(pieces, results or map(work.found, pieces), strict=True):
                if result is None:
                    unseen.append(i)
                else:
                    yield i, result
        if unseen:  # kept by workers in a folder that a network has not shown us yet: they are sent
            for _, pieces, results in self._run([(work, unseen)], wanted=True):
                yield from zip(pieces, results, strict=True)

    def begin(self, works: Sequence[Work]) -> None:
        """Make and keep what is missing of works that will be wanted, all side by side."""
        missing = [(work, [i for i in range(len(work.pieces)) if not work.is_kept(i)]) for work in works]
        lacking = [(work, numbers) for work, numbers in missing if numbers]
        total = sum(work.each * len(work.pieces) for work in works)
        unit, doing = works[0].unit if works else "piece", works[0].doing if works else ""
        with progress.its_own_bar(total, unit, f"{doing} {self.where}") as bar:
            bar.kept(total - sum(work.each * len(numbers) for work, numbers in lacking))
            if lacking:
                bar.begin()
            for work, pieces, _ in self._run(lacking, wanted=False):
                bar.done(work.each * len(pieces))

    def _run(self, works: list[tuple[Work, list[int]]], wanted: bool) -> Iterator[tuple[Work, list[int], list[Any]]]:
        run = _Run(self, works, wanted)
        try:
            for stack, results in run.results():
                yield stack.job.work, stack.pieces, results
        except Exception as error:
            if self.is_lost() or isinstance(error, CommClosedError):
                raise self.lost() from error
            raise
        finally:
            self.trained_twice += run.end()


def _noun(work: Work) -> str:
    """What one of its pieces is, for a person."""
    return work.unit if work.each == 1 else "piece"


def _is_of_memory(error: BaseException) -> bool:
    """Whether a worker ran out of memory: Python's error, NumPy's, or torch's, which has names of its own."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate memory" in str(error)
