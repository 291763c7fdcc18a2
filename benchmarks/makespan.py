"""The whole paper at its own counts on 1 to 512 workers, simulated: `python -m benchmarks.makespan`.

`--measure` first has each notebook say what it trains (`mialib estimate`, profile full), tries each kind of model here, and
writes `results/full_counts.csv`. Without, that table is read, and nothing is measured: the simulation takes seconds.

A task is one model with its answers, or the climbs of one class (Algorithm 1); these come before the shadow models that learn
the records which they found. Attacks, tables and figures are made by whoever calls, and not counted.
"""

import argparse
import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import ROOT
from mialib.runs.estimate import Estimated, duration, estimate
from mialib.runs.makespan import WorkerTask, list_schedule

TABLE = ROOT / "results" / "full_counts.csv"
PAPER = (
    "01_cifar10", "02_cifar100", "03_purchase", "04_location", "05_texas", "06_adult_mnist", "07_shadow_data", "08_mitigations",
)  # fmt: skip
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
DISPATCH = 1e-3  # seconds of the scheduler a task: Dask's documentation tells of about a millisecond
BANDWIDTH = 125.0  # MB a second, 1 Gbit: from one machine to another
COLUMNS = ("notebook", "dataset", "source", "what", "n", "epochs", "unit", "pieces", "seconds", "thread", "stage", "megabytes")


class Kind(NamedTuple):
    """Tasks that are alike: a row of the table."""

    notebook: str
    dataset: str
    source: str
    what: str
    n: int
    epochs: str
    unit: str
    pieces: int
    seconds: float  # of one core, each
    thread: str
    stage: int
    megabytes: float


class Simulated(NamedTuple):
    """Seconds on so many workers. ideal: all work divided; the others count the scheduler and sending data, too.

    longest_first: all notebooks together, the longest tasks first. in_order: all together, in the order in which the notebooks
    announce them, which is that of a cluster's executor. by_notebook: so, and no notebook begins before the last one has ended.
    """

    workers: int
    ideal: float
    longest_first: float
    in_order: float
    by_notebook: float

    @property
    def efficiency(self) -> float:
        """Share of the workers' time in which they train, the longest first."""
        return self.ideal / self.longest_first if self.longest_first else 1.0


def measure(root: Path = ROOT) -> list[Kind]:
    """What the paper's notebooks announce in the profile full, each model once, each kind tried here."""
    counted = set[str]()
    rows = [row for notebook in PAPER for row in estimate(notebook, "full", "auto", {}, root, counted)]
    return [_kind(row) for row in rows if row.to_do]


def _kind(row: Estimated) -> Kind:
    p = row.planned
    return Kind(
        row.notebook, p.dataset, p.source, p.what, p.n, str(p.epochs or ""), p.unit, row.to_do, row.seconds, p.thread, p.stage,
        round(p.megabytes, 1),
    )  # fmt: skip


def write(kinds: Sequence[Kind], path: Path = TABLE) -> None:
    """The table of kinds as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([*kind[:8], f"{kind.seconds:.4g}", *kind[9:]] for kind in kinds)


def read(path: Path = TABLE) -> list[Kind]:
    """The table as `write` left it. FileNotFoundError without."""
    with open(path, encoding="utf-8", newline="") as file:
        return [
            Kind(
                **row
                | {name: int(row[name]) for name in ("n", "pieces", "stage")}
                | {name: float(row[name]) for name in ("seconds", "megabytes")}
            )
            for row in csv.DictReader(file)
        ]


def tasks(kinds: Sequence[Kind]) -> list[WorkerTask]:
    """A task a piece, in the order in which the notebooks announce them."""
    return [
        WorkerTask(kind.seconds, kind.dataset, f"{kind.notebook}: {kind.thread}", kind.stage)
        for kind in kinds
        for _ in range(kind.pieces)
    ]


def simulate(kinds: Sequence[Kind], workers: int, dispatch: float = DISPATCH, bandwidth: float = BANDWIDTH) -> Simulated:
    """All kinds on so many workers, each as fast as the core that was measured.

    A worker that has a data set passes it on: the last of n gets it after log2(n) rounds, and that is what each waits here.
    """
    rounds = 1 + math.ceil(math.log2(workers))
    sending = {kind.dataset: rounds * kind.megabytes / bandwidth for kind in kinds}

    def seconds(some: Sequence[Kind], longest_first: bool = False) -> float:
        return list_schedule(tasks(some), workers, longest_first=longest_first, dispatch=dispatch, sending=sending).seconds

    notebooks = dict.fromkeys(kind.notebook for kind in kinds)
    return Simulated(
        workers,
        sum(kind.pieces * kind.seconds for kind in kinds) / workers,
        seconds(kinds, longest_first=True),
        seconds(kinds),
        sum(seconds([kind for kind in kinds if kind.notebook == name]) for name in notebooks),
    )


def limits(kinds: Sequence[Kind], dispatch: float = DISPATCH, bandwidth: float = BANDWIDTH) -> dict[str, float]:
    """Seconds below which no number of workers comes, by reason."""
    chains: dict[tuple[str, str], dict[int, float]] = {}
    for kind in kinds:
        if kind.pieces:
            of = chains.setdefault((kind.notebook, kind.thread), {})
            of[kind.stage] = max(of.get(kind.stage, 0.0), kind.seconds)
    return {
        "the longest model": max((kind.seconds for kind in kinds if kind.pieces), default=0.0),
        "the longest chain of a target, its climbs and its shadows": max(
            (sum(of.values()) for (_, thread), of in chains.items() if thread), default=0.0
        ),
        "the scheduler, one task after another": dispatch * sum(kind.pieces for kind in kinds),
        "all data sets, sent once": sum({kind.dataset: kind.megabytes for kind in kinds}.values()) / bandwidth,
    }


def report(kinds: Sequence[Kind], dispatch: float = DISPATCH, bandwidth: float = BANDWIDTH) -> Iterator[str]:
    """Lines of Markdown: the table by workers, then the limits."""
    work = sum(kind.pieces * kind.seconds for kind in kinds)
    counts = {unit: sum(kind.pieces for kind in kinds if kind.unit == unit) for unit in ("model", "climb")}
    yield f"{counts['model']:,} models and the climbs of {counts['climb']:,} classes: {duration(work)} of one core.\n"
    yield "| workers | ideal | longest first | in order | notebook after notebook | efficiency, longest first |"
    yield "|--:|--:|--:|--:|--:|---|"
    for workers in WORKERS:
        s = simulate(kinds, workers, dispatch, bandwidth)
        times = " | ".join(map(duration, s[1:]))
        yield f"| {workers} | {times} | {s.efficiency:.0%} `{'#' * round(20 * s.efficiency)}` |"
    yield ""
    for reason, seconds in limits(kinds, dispatch, bandwidth).items():
        yield f"- {reason}: {duration(seconds)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.makespan", description="The whole paper on many workers.")
    parser.add_argument("--measure", action="store_true", help="try every kind of model here, and write the table anew")
    parser.add_argument("--dispatch", type=float, default=DISPATCH, help="seconds of the scheduler a task")
    parser.add_argument("--bandwidth", type=float, default=BANDWIDTH, help="MB a second, to each worker")
    options = parser.parse_args(arguments)
    if options.measure:
        write(measure())
    print("\n".join(report(read(), options.dispatch, options.bandwidth)))


if __name__ == "__main__":
    main()
