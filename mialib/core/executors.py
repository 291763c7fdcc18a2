"""Where independent pieces of work are done: here, or wherever the caller chose, such as a cluster (`mialib.cluster`).

Whoever trains, fits or climbs hands a `Work` to `finished`; this module, and all that hands work to it, knows no cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from mialib.core import cache, progress

Result = TypeVar("Result")


class Workers(NamedTuple):
    """Who works elsewhere: n at a time, each on a device ("cpu": one core, or "cuda") and with so many bytes of its memory."""

    n: int
    device: str = "cpu"
    memory: int | None = None

    def share(self, k: int, most: int) -> int:
        """Into how large parts to cut k pieces, of at most `most` each, so that no worker gets more than another."""
        rounds = -(-k // (self.n * most))
        return max(1, -(-k // (self.n * rounds)))


def one_by_one(k: int, workers: Workers) -> int:
    """Pieces of k that one worker makes together: one."""
    return 1


class Work(NamedTuple):
    """k pieces of work that are alike and independent.

    make: from some of the pieces, in order, to their results. It may run on another machine: it and the pieces are pickled by
    cloudpickle, and a Dataset that they hold, at any depth, travels once. keys: what the results, arrays by name, are kept
    under in the cache, as `kind`, and `check` what is found there; without a kind they may be anything, and are not kept.
    together: how many of k pieces one of the workers makes at once, as a stack. at_once: the same here, at most. keeps: whether
    make itself keeps the results in the cache. in_order: whether make takes consecutive pieces only. unit, doing, each: for a
    person, what a piece is ("model"), what is done ("training"), and of how many units a piece is.
    """

    pieces: Sequence[Any]
    make: Callable[[Sequence[Any]], Iterable[Any]]
    kind: str | None = None
    keys: Sequence[Mapping[str, Any]] = ()
    check: cache.Check | None = None
    together: Callable[[int, Workers], int] = one_by_one
    at_once: int | None = None
    keeps: bool = False
    in_order: bool = True
    unit: str = "model"
    doing: str = "training"
    each: int = 1

    def found(self, i: int) -> Any:
        """What the cache holds of piece i, or None."""
        return None if self.kind is None else cache.load(self.kind, self.keys[i], self.check)

    def is_kept(self, i: int) -> bool:
        """Whether the cache has piece i; it is not read."""
        return self.kind is not None and cache.exists(self.kind, self.keys[i])

    def keep(self, i: int, result: Any) -> None:
        """Put the result of piece i into the cache."""
        if self.kind is not None:
            cache.save(self.kind, self.keys[i], result)

    def stacks(self, missing: Iterable[int], workers: Workers) -> list[list[int]]:
        """The pieces that are missing in stacks of consecutive ones.

        Where a stack ends depends on all pieces and on the workers alone: after a stop the same stacks are made again, and so
        the same numbers to the last bit.
        """
        size = max(1, self.together(len(self.pieces), workers))
        return _consecutive(missing, lambda _, i: i % size == 0)


class Executor(Protocol):
    """Does work elsewhere. announced: works that will be wanted, and are not begun (see `announce_works`)."""

    announced: list[Work]

    @property
    def workers(self) -> Workers:
        """Who works; the same as long as the executor lives, so that work is cut into the same stacks."""
        ...

    @property
    def where(self) -> str:
        """That, for a person."""
        ...

    def made(self, work: Work, missing: list[int]) -> Iterator[tuple[int, Any]]:
        """The number and the result of each piece that is missing, as they come, each kept in the cache by then."""
        ...

    def begin(self, works: Sequence[Work]) -> None:
        """Make what is missing of works that will be wanted, and keep it."""
        ...


class LeftToOthers(Exception):
    """Of some work a part was not done here, because it is another one's."""


_chosen: list[Executor | None] = [None]  # of this process, then of the blocks around
_whole: list[bool] = []


@contextmanager
def elsewhere(executor: Executor | None) -> Iterator[None]:
    """Within the block, in all threads of this process, work is done by `executor`; None: here, whatever was chosen around."""
    _chosen.append(executor)
    try:
        yield
    finally:
        _chosen.pop()


@contextmanager
def whole_stacks() -> Iterator[None]:
    """Within the block, work is done here, and what a trainer is given is one stack: all of it is trained together, although a
    part may be on disk, for what is trained with a network shows in its last digits.
    """
    _whole.append(True)
    try:
        with elsewhere(None):
            yield
    finally:
        _whole.pop()


def trains_whole_stacks() -> bool:
    """Whether this is within `whole_stacks`."""
    return bool(_whole)


def from_now_on(executor: Executor | None) -> None:
    """From now on, in all threads of this process, work is done by `executor` wherever no `elsewhere` is around it."""
    _chosen[0] = executor


def current() -> Executor | None:
    """Who does the work: that of the innermost `elsewhere`, else of `from_now_on`; None: we do."""
    return _chosen[-1]


def announce_works(works: Iterable[Work]) -> None:
    """Works that will be wanted: where they are done elsewhere, all of them are begun with the first. Those that follow one
    another here would else do so there, and leave most workers without work.
    """
    if (executor := current()) is not None and not cache.keeps_nothing():
        executor.announced.extend(works)


def _begin_announced(executor: Executor) -> None:
    works = executor.announced.copy()
    executor.announced.clear()
    if works:
        executor.begin(works)


def finished(work: Work) -> list[Any]:
    """The results of all pieces, in order: from the cache, or made for it."""
    if (executor := current()) is not None:
        _begin_announced(executor)
    with progress.one_bar(work.each * len(work.pieces), work.unit, work.doing) as bar:
        found = [work.found(i) for i in range(len(work.pieces))]
        missing = [i for i, result in enumerate(found) if result is None]
        if missing and trains_whole_stacks():
            missing = [*range(len(found))]
        bar.kept(work.each * (len(found) - len(missing)))
        if missing:
            with progress.making(bar):
                for i, result in made_here(work, missing) if executor is None else executor.made(work, missing):
                    found[i] = result
                    bar.done(work.each)
    return found


class _Some(Sequence[Any]):
    """Some of a work's pieces, each taken when it is asked for: they may be large."""

    def __init__(self, pieces: Sequence[Any], numbers: list[int]) -> None:
        self._pieces, self._numbers = pieces, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i: Any) -> Any:
        return self._pieces[self._numbers[i]]


def made_here(work: Work, missing: list[int]) -> Iterator[tuple[int, Any]]:
    """The number and the result of each piece that is missing, as `Executor.made`, on this machine."""
    most = work.at_once or len(missing)
    for group in _consecutive(missing, lambda run, _: len(run) >= most) if work.in_order else [missing]:
        for i, result in zip(group, work.make(_Some(work.pieces, group)), strict=True):
            if not work.keeps:
                work.keep(i, result)
            yield i, result


def _consecutive(numbers: Iterable[int], ends: Callable[[list[int], int], bool]) -> list[list[int]]:
    """Runs of consecutive numbers; one also ends where `ends` says so, of the run so far and the number that would follow."""
    runs: list[list[int]] = []
    for i in numbers:
        if runs and i == runs[-1][-1] + 1 and not ends(runs[-1], i):
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def all_of(calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """What the calls return. Where one leaves work to others, those after it are made all the same, and then that is raised."""
    returned, left = [], None
    for call in calls:
        try:
            returned.append(call())
        except LeftToOthers as error:
            left = error
    if left is not None:
        raise left
    return returned


def where() -> str:
    """Where work is done, for a person: "on this machine"."""
    executor = current()
    return "on this machine" if executor is None else executor.where


def together_of(trainer: Any, dataset: Any, k: int, workers: Workers) -> int:
    """How many of k models one of the workers trains together, as far as the trainer says it: else one by one."""
    said = getattr(trainer, "together", None)
    return 1 if said is None else int(said(dataset, k, workers))


def estimated(trainer: Any, dataset: Any, n: int, k: int) -> Any:
    """A trainer's `estimate` for k models on n records each, where the work is done: of a stack, tried by a worker."""
    executor = current()
    if executor is None:
        return trainer.estimate(dataset, n, k)
    size = together_of(trainer, dataset, k, executor.workers)
    ((_, one),) = executor.made(Work([size], partial(_trials, trainer, dataset, n)), [0])
    return one._replace(models=k, seconds=one.seconds * -(-k // (size * executor.workers.n)))


def _trials(trainer: Any, dataset: Any, n: int, sizes: list[int]) -> list[Any]:
    return [trainer.estimate(dataset, n, size) for size in sizes]
