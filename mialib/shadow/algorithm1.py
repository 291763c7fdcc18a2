"""Algorithm 1 (Sec. V-C) for thousands of climbers that query the target together."""

import heapq
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mialib.core import checks, progress, streams
from mialib.core.types import BlackBox, check_answers
from mialib.shadow.space import Space

CLIMBERS = 4096  # at once
CODES = 2**23  # features of all climbers at once: of large records, fewer climbers fit
SCOUTS = 10  # records of a class that are looked for before the others
SELECT, WHERE, VALUE = range(3)  # the uses of random numbers in one step: streams of their own


@dataclass(frozen=True)
class Rules:
    """The parameters of Algorithm 1, by the paper's names; iter_max is not given there."""

    k_max: int = 128
    k_min: int = 4
    conf_min: float = 0.2
    rej_max: int = 10
    iter_max: int = 1000

    def __post_init__(self) -> None:
        checks.whole("k_max", self.k_max, 1)
        checks.whole("k_min", self.k_min, 1, self.k_max, "k_max")
        checks.real("conf_min", self.conf_min, 0, 1)
        checks.whole("rej_max", self.rej_max, 0)
        checks.whole("iter_max", self.iter_max, 1)


class Job(NamedTuple):
    """One climb: for the class number `group` of those asked for, its record number `record`, for the `attempt`-th time."""

    group: int
    record: int
    attempt: int


class Found(NamedTuple):
    """Climbs that found a record, one a row, by class and record; and of every class what was spent (see `climb`)."""

    jobs: np.ndarray  # (m, 3) int64: as Job
    codes: np.ndarray  # (m, n)
    confidence: np.ndarray  # (m,) float64
    steps: np.ndarray  # (m,) int64: queries of the climb that found it
    queries: np.ndarray  # (n_classes asked for,) int64: of all climbs
    given_up: np.ndarray  # (n_classes asked for,) int64: climbs
    cut: np.ndarray  # (n_classes asked for,) int64: climbs that the budget ended
    waiting: np.ndarray  # (n_classes asked for,) int64: climbs that the budget kept from being begun


class Queue:
    """Climbs still to be begun, the lower record numbers first, so that a budget serves all classes alike.

    Which climbs a class gets depends on the ends of that class's own climbs only, not on their order.
    """

    def __init__(self, n_groups: int, n: int, tries: int) -> None:
        self.n, self.tries, self.known = n, tries, [False] * n_groups
        self.waiting = [(record, group, 0) for record in range(min(n, SCOUTS)) for group in range(n_groups)]

    def take(self, most: int) -> list[Job]:
        taken = (heapq.heappop(self.waiting) for _ in range(min(most, len(self.waiting))))
        return [Job(group, record, attempt) for record, group, attempt in taken]

    def found(self, job: Job) -> None:
        if not self.known[job.group]:
            self.known[job.group] = True
            for record in range(SCOUTS, self.n):
                heapq.heappush(self.waiting, (record, job.group, 0))

    def gave_up(self, job: Job) -> None:
        if job.attempt + 1 < self.tries:
            heapq.heappush(self.waiting, (job.record, job.group, job.attempt + 1))


class Climbers:
    """The climbs under way: the first `active` rows of every array."""

    def __init__(self, space: Space, rules: Rules, labels: np.ndarray, seed: int, room: int) -> None:
        self.space, self.rules, self.labels, self.active = space, rules, labels, 0
        self.k_max, self.k_min = min(rules.k_max, space.n), min(rules.k_min, space.n)
        self.streams_of_labels = streams.fork(seed, labels)
        self.best = np.zeros((room, space.n), space.dtype)
        self.proposal = np.zeros((room, space.n), space.dtype)
        self.marks = np.zeros((room, space.n), np.uint8)
        self.best_confidence = np.zeros(room)
        self.rejected, self.k, self.step, self.label = (np.zeros(room, np.int64) for _ in range(4))
        self.stream = np.zeros(room, np.uint64)
        self.jobs = np.zeros((room, 3), np.int64)

    def begin(self, jobs: Sequence[Job]) -> None:
        """Add climbs, each with a random record to ask first."""
        if not jobs:
            return
        new = slice(self.active, self.active + len(jobs))
        self.jobs[new] = jobs
        group, record, attempt = self.jobs[new].T
        self.label[new] = self.labels[group]
        self.stream[new] = streams.fork(streams.fork(self.streams_of_labels[group], record), attempt)
        self.best_confidence[new] = self.rejected[new] = self.step[new] = 0
        self.k[new] = self.k_max
        self.active += len(jobs)
        self.proposal[new] = self.space.random(self._streams(VALUE, np.arange(new.start, new.stop)))

    def _streams(self, use: int, rows: np.ndarray | slice) -> np.ndarray:
        return streams.fork(self.stream[rows], 3 * self.step[rows] + use)

    def hear(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take the answers (m, n_classes) to the first m proposals; rows that found a record, and rows that give up."""
        asked = slice(len(answers))
        own = answers[np.arange(len(answers)), self.label[asked]].astype(np.float64)
        kept = own >= self.best_confidence[asked]
        sure = kept & (own > np.float32(self.rules.conf_min))  # a float32 answer of 0.2 does not exceed 0.2
        found = self._selected(answers, own, sure.nonzero()[0])
        self.step[asked] += 1
        rows = kept.nonzero()[0]
        self.best[rows] = self.proposal[rows]
        self.best_confidence[rows] = own[rows]
        self.rejected[asked] += 1
        self.rejected[rows] = 0
        rows = (self.rejected[asked] > self.rules.rej_max).nonzero()[0]
        self.k[rows] = np.maximum(self.k_min, (self.k[rows] + 1) // 2)
        self.rejected[rows] = 0
        spent = self.step[asked] >= self.rules.iter_max
        spent[found] = False
        return found, spent.nonzero()[0]

    def _selected(self, answers: np.ndarray, own: np.ndarray, sure: np.ndarray) -> np.ndarray:
        """Those of the rows `sure` whose class is the answer, and that are selected: with probability y_c."""
        sure = sure[answers[sure].argmax(1) == self.label[sure]]
        return sure[streams.share(streams.fork(self._streams(SELECT, sure), 0)) < own[sure]]

    def taken(self, found: np.ndarray) -> tuple[np.ndarray, ...]:
        """Jobs, codes, confidence and steps of the rows that found a record: it is their best one."""
        return self.jobs[found], self.best[found], self.best_confidence[found], self.step[found]

    def end(self, rows: np.ndarray) -> None:
        """Forget these rows; the last ones move into the holes, which keeps the active ones together."""
        left = self.active - len(rows)
        stays = np.ones(self.active, bool)
        stays[rows] = False
        holes, movers = (~stays[:left]).nonzero()[0], left + stays[left:].nonzero()[0]
        for part in (
            self.best, self.best_confidence, self.rejected, self.k, self.step, self.label, self.stream, self.jobs,
        ):  # fmt: skip
            part[holes] = part[movers]
        self.active = left

    def propose(self) -> None:
        """Change k random features of each active climber's best record."""
        now = slice(self.active)
        self.marks[now] = 0
        streams.mark_distinct(self._streams(WHERE, now), self.k[now], self.marks[now])
        values = None if self.space.binary else self._streams(VALUE, now)
        self.proposal[now] = self.space.changed(self.best[now], self.marks[now], values)


def climb(
    model: BlackBox, space: Space, labels: np.ndarray, n: int, seed: int, rules: Rules, tries: int, max_queries: int | None
) -> Found:
    """Climb for n records of each of the classes `labels`, all climbers in one batch, in at most `max_queries` queries.

    Record r of a class is climbed for up to `tries` times; records SCOUTS and beyond only when one of the earlier was found.
    """
    queries, given_up = np.zeros((2, len(labels)), np.int64)
    room = max(1, min(CLIMBERS, CODES // space.n, n * len(labels)))
    queue, climbers = Queue(len(labels), n, tries), Climbers(space, rules, labels, seed, room)
    done = [climbers.taken(np.arange(0))]
    climbers.begin(queue.take(room))
    with progress.one_bar(n * len(labels), "record", "synthesis") as bar:
        bar.begin()
        while climbers.active:
            asked = min(climbers.active, (max_queries or sys.maxsize) - int(queries.sum()))
            queries += _by_group(climbers.jobs[:asked, 0], labels)
            found, gave_up = climbers.hear(_ask(model, space.records(climbers.proposal[:asked]), labels))
            given_up += _by_group(climbers.jobs[gave_up, 0], labels)
            if len(found) or len(gave_up):
                done.append(climbers.taken(found))
                for rows, tell in ((found, queue.found), (gave_up, queue.gave_up)):
                    for job in climbers.jobs[rows].tolist():
                        tell(Job(*job))
                climbers.end(np.concatenate([found, gave_up]))
                bar.count(len(found))
            if queries.sum() == max_queries:
                break
            climbers.propose()
            climbers.begin(queue.take(room - climbers.active))
    cut = _by_group(climbers.jobs[: climbers.active, 0], labels)
    waiting = _by_group([group for _, group, _ in queue.waiting], labels)
    return _sorted(done, queries, given_up, cut, waiting)


def _by_group(groups: np.ndarray | Sequence[int], labels: np.ndarray) -> np.ndarray:
    return np.bincount(np.asarray(groups, np.int64), minlength=len(labels))


def _ask(model: BlackBox, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    answers = np.asarray(model.predict_proba(x))
    n_classes = answers.shape[-1] if answers.ndim else 0
    if n_classes <= labels.max():
        raise ValueError(f"label must lie in 0..{n_classes - 1}, the classes that the model answers, got {labels.max()}")
    return check_answers(answers, len(x), n_classes)


def _sorted(done: Sequence[tuple[np.ndarray, ...]], *by_group: np.ndarray) -> Found:
    jobs, codes, confidence, steps = (np.concatenate(part) for part in zip(*done, strict=True))
    order = np.lexsort((jobs[:, 1], jobs[:, 0]))
    return Found(jobs[order], codes[order], confidence[order], steps[order], *by_group)
