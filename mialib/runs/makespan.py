"""How long tasks take on many workers: list scheduling, with what a scheduler and a network add.

A worker that is free gets the next task that can begin, by an order that was fixed before. The scheduler hands out one task
after another; a worker gets a data set before its first task that needs it, while no other worker waits for that.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class WorkerTask(NamedTuple):
    """One piece of work. data: the data set that it needs, "" for none. thread, stage: it waits until all tasks of its thread
    with a lower stage have ended.
    """

    seconds: float
    data: str = ""
    thread: str = ""
    stage: int = 0


class Timetable(NamedTuple):
    """When tasks ended (seconds from the start, in the tasks' order), and how long the scheduler was busy."""

    ends: list[float]
    dispatching: float

    @property
    def seconds(self) -> float:
        """From the start to the last end; 0 without tasks."""
        return max(self.ends, default=0.0)


def list_schedule(
    tasks: Sequence[WorkerTask],
    workers: int,
    *,
    longest_first: bool = False,
    dispatch: float = 0.0,
    sending: Mapping[str, float] | None = None,
) -> Timetable:
    """Tasks on so many workers. dispatch: seconds of the scheduler a task. sending: seconds to send each data set to a worker.

    Ready tasks are taken in the order given, or the longest first. Raises ValueError for no worker, or negative seconds.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if bad := [task for task in tasks if not 0 <= task.seconds < float("inf")]:
        raise ValueError(f"tasks must take 0 seconds or more, got {bad[0]}")
    return _Simulation(tasks, workers, longest_first, dispatch, sending or {}).run()


class _Simulation:
    def __init__(
        self, tasks: Sequence[WorkerTask], workers: int, longest_first: bool, dispatch: float, sending: Mapping[str, float]
    ) -> None:
        self.tasks, self.dispatch, self.sending = tasks, dispatch, sending
        self.rank = [(-task.seconds if longest_first else 0.0, i) for i, task in enumerate(tasks)]
        self.left: dict[tuple[str, int], int] = {}
        self.waiting: dict[tuple[str, int], list[int]] = {}
        for i, task in enumerate(tasks):
            key = task.thread, task.stage
            self.left[key] = self.left.get(key, 0) + 1
            self.waiting.setdefault(key, []).append(i)
        self.ready: list[tuple[float, int]] = []
        self.running: list[tuple[float, int]] = []  # end, task
        self.free = [(0.0, w) for w in range(workers)]
        self.has: list[set[str]] = [set() for _ in range(workers)]
        self.ends = [0.0] * len(tasks)
        for thread in {task.thread for task in tasks}:
            self._release(thread)

    def run(self) -> Timetable:
        now, scheduler = 0.0, 0.0  # what has happened so far; when the scheduler is free again
        while self.ready or self.running:
            while self.ready and self.free and self.free[0][0] <= now:
                _, worker = heapq.heappop(self.free)
                _, i = heapq.heappop(self.ready)
                scheduler = max(scheduler, now) + self.dispatch
                data = self.tasks[i].data
                late = 0.0 if data in self.has[worker] else self.sending.get(data, 0.0)
                self.has[worker].add(data)
                self.ends[i] = scheduler + late + self.tasks[i].seconds
                heapq.heappush(self.running, (self.ends[i], i))
                heapq.heappush(self.free, (self.ends[i], worker))
            now = self.running[0][0]
            while self.running and self.running[0][0] <= now:
                self._ended(heapq.heappop(self.running)[1])
        return Timetable(self.ends, self.dispatch * len(self.tasks))

    def _ended(self, i: int) -> None:
        task = self.tasks[i]
        self.left[task.thread, task.stage] -= 1
        if not self.left[task.thread, task.stage]:
            self._release(task.thread)

    def _release(self, thread: str) -> None:
        """Tasks of the lowest stage of a thread that is not at its end become ready."""
        stages = sorted(stage for name, stage in self.left if name == thread and self.left[name, stage])
        if stages:
            for i in self.waiting.pop((thread, stages[0]), []):
                heapq.heappush(self.ready, self.rank[i])
