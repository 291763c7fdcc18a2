"""List scheduling against closed forms, and against a loop that looks for the earliest free worker each time."""

import itertools
import random

import pytest

from benchmarks import makespan
from mialib.runs.makespan import WorkerTask, list_schedule


def alike(n: int, seconds: float = 3.0, **more) -> list[WorkerTask]:
    return [WorkerTask(seconds, **more) for _ in range(n)]


@pytest.mark.parametrize(("n", "workers"), [(1, 1), (7, 2), (12, 4), (12, 5), (3, 512)])
def test_equal_tasks_take_rounds(n, workers):
    assert list_schedule(alike(n), workers).seconds == pytest.approx(3 * -(-n // workers))


def test_one_worker_takes_the_sum_whatever_the_order():
    tasks = [WorkerTask(s) for s in (5, 1, 4, 2)]
    assert list_schedule(tasks, 1).seconds == list_schedule(tasks, 1, longest_first=True).seconds == 12


def test_one_long_task_bounds_all():
    tasks = [*alike(10, 1.0), WorkerTask(8)]
    assert list_schedule(tasks, 10, longest_first=True).seconds == 8
    assert list_schedule(tasks, 10).seconds == 9  # it comes last, after a round of short ones
    assert list_schedule(tasks, 512).seconds == 8


def test_graham_s_bound_and_its_worst_case():
    workers = 4  # the classic instance: m(m - 1) tasks of 1, then one of m: 2m - 1 against m
    tasks = [*alike(workers * (workers - 1), 1.0), WorkerTask(workers)]
    assert list_schedule(tasks, workers).seconds == 2 * workers - 1
    assert list_schedule(tasks, workers, longest_first=True).seconds == workers


def test_the_scheduler_is_the_limit_where_tasks_are_short():
    table = list_schedule(alike(1000, 0.0), 100, dispatch=0.01)
    assert table.seconds == pytest.approx(10.0) and table.dispatching == pytest.approx(10.0)
    assert list_schedule(alike(100, 5.0), 100, dispatch=0.01).seconds == pytest.approx(6.0)


def test_data_are_sent_once_a_worker():
    tasks = alike(6, 1.0, data="pictures")
    assert list_schedule(tasks, 2, sending={"pictures": 10}).seconds == 13
    assert list_schedule(tasks, 6, sending={"pictures": 10}).seconds == 11
    assert list_schedule(tasks, 2, sending={"others": 10}).seconds == 3


def test_a_stage_waits_for_all_of_the_one_before_in_its_thread():
    tasks = [
        WorkerTask(2, thread="a"),
        WorkerTask(5, thread="a"),
        WorkerTask(1, thread="a", stage=1),
        WorkerTask(1, thread="b"),
    ]
    ends = list_schedule(tasks, 4).ends
    assert ends == [2, 5, 6, 1]
    assert list_schedule(tasks[::-1], 1).seconds == 9


def test_against_a_literal_loop():
    rng = random.Random(0)
    for workers in (1, 2, 5, 16):
        seconds = [rng.random() for _ in range(60)]
        free, ends = [0.0] * workers, []
        for s in seconds:
            w = free.index(min(free))
            free[w] += s
            ends.append(free[w])
        found = list_schedule([WorkerTask(s) for s in seconds], workers)
        assert found.ends == pytest.approx(ends)
        ideal, longest = sum(seconds) / workers, max(seconds)
        assert max(ideal, longest) <= found.seconds <= ideal + (1 - 1 / workers) * longest + 1e-9  # Graham 1966


def by_the_clock(tasks, workers, longest_first, dispatch, sending) -> list[int]:
    """Ends of tasks of whole seconds: at every tick, whoever is free takes the first task that may begin."""
    ends: dict[int, int] = {}
    free, has = [0] * workers, [set() for _ in range(workers)]
    now = scheduler = 0
    while len(ends) < len(tasks):
        ready = []
        for i, task in enumerate(tasks):
            earlier = [j for j, other in enumerate(tasks) if other.thread == task.thread and other.stage < task.stage]
            if i not in ends and all(j in ends and ends[j] <= now for j in earlier):
                ready.append(i)
        ready.sort(key=lambda i: -tasks[i].seconds if longest_first else 0)
        idle = sorted((w for w in range(workers) if free[w] <= now), key=lambda w: free[w])
        for i, w in zip(ready, idle, strict=False):
            scheduler = max(scheduler, now) + dispatch
            late = 0 if tasks[i].data in has[w] else sending.get(tasks[i].data, 0)
            has[w].add(tasks[i].data)
            ends[i] = free[w] = scheduler + late + tasks[i].seconds
        now += 1
    return [ends[i] for i in range(len(tasks))]


@pytest.mark.parametrize("seed", range(40))
def test_against_a_clock(seed):
    rng = random.Random(seed)
    tasks = [
        WorkerTask(rng.randint(1, 9), rng.choice("ab"), rng.choice(["", "x", "y"]), rng.randint(0, 2))
        for _ in range(rng.randint(1, 25))
    ]
    workers, longest_first, dispatch = rng.choice([1, 2, 3, 8]), rng.random() < 0.5, rng.choice([0, 0, 1, 2])
    sending = {"a": rng.randint(0, 5)}
    found = list_schedule(tasks, workers, longest_first=longest_first, dispatch=dispatch, sending=sending)
    assert found.ends == by_the_clock(tasks, workers, longest_first, dispatch, sending)


@pytest.mark.parametrize("seed", range(10))
def test_no_worse_than_graham_says_of_the_best_of_all_schedules(seed):
    rng = random.Random(seed)
    seconds, workers = [rng.randint(1, 20) for _ in range(7)], rng.choice([2, 3])
    best = min(
        max(sum(s for s, w in zip(seconds, places, strict=True) if w == worker) for worker in range(workers))
        for places in itertools.product(range(workers), repeat=len(seconds))
    )
    tasks = [WorkerTask(s) for s in seconds]
    assert best <= list_schedule(tasks, workers).seconds <= best * (2 - 1 / workers)
    assert best <= list_schedule(tasks, workers, longest_first=True).seconds <= best * (4 / 3 - 1 / (3 * workers))  # 1969


def test_what_cannot_be_scheduled_is_refused():
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        list_schedule(alike(1), 0)
    with pytest.raises(ValueError, match=r"tasks must take 0 seconds or more, got .*-1"):
        list_schedule([WorkerTask(-1)], 1)
    assert list_schedule([], 3).seconds == 0


def test_the_whole_paper_lies_between_its_ideal_and_graham_s_bound(tmp_path):
    kinds = [makespan.Kind("01_cifar10", "cifar10", "real", "shadows", 2500, "100", "model", 9, 60.0, "", 0, 125.0)]
    kinds += [makespan.Kind("07_shadow_data", "location", "real", "climbs", 1200, "", "climb", 3, 5.0, "a", 1, 2.0)]
    kinds += [makespan.Kind("07_shadow_data", "location", "real", "shadows", 1200, "50", "model", 2, 7.0, "a", 2, 2.0)]
    makespan.write(kinds, tmp_path / "table.csv")
    assert makespan.read(tmp_path / "table.csv") == kinds
    found = makespan.simulate(kinds, 3, dispatch=0.0, bandwidth=float("inf"))
    assert found.ideal == pytest.approx((540 + 15 + 14) / 3)
    assert found.ideal <= found.longest_first <= found.ideal + 60
    assert found.by_notebook == 180 + 5 + 7  # three rounds of networks, the climbs side by side, then their shadows
    assert makespan.simulate(kinds, 512, 0.0, 125.0).longest_first == 60 + 10  # 1 s a copy of its data, to 512 in ten rounds
    assert makespan.simulate(kinds, 512, 0.5, float("inf")).in_order == 60 + 9 * 0.5
    limits = makespan.limits(kinds, dispatch=0.5, bandwidth=125.0)
    assert [*limits.values()] == [60.0, 12.0, 7.0, pytest.approx(127 / 125)]
    assert len([line for line in makespan.report(kinds) if line.startswith("| ")]) == 1 + len(makespan.WORKERS)


def test_the_committed_counts_are_the_paper_s():
    kinds = makespan.read()
    assert {kind.notebook for kind in kinds} == set(makespan.PAPER)
    cifar = {kind.n: kind.pieces for kind in kinds if kind.what == "local, shadows" and kind.notebook == "01_cifar10"}
    assert cifar == {2500: 300, 5000: 100, 10000: 100, 15000: 100}
    assert all(kind.seconds > 0 for kind in kinds)
