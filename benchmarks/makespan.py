"""The whole paper at its own counts on 1 to 512 workers, simulated: `python -m benchmarks.makespan`.

`--measure` first has each notebook say what it trains (`mialib estimate`, profile full), tries each kind of model here, and
writes `results/full_counts.csv`. Without, that table is read, and nothing is measured: the simulation takes seconds.

A task is one model with its answers, or the climbs of one class (Algorithm 1); these come after all targets, and before the
shadow models that learn the records which they found. Attacks, tables and figures are made by whoever calls, and not counted.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mialib.runs.estimate import Estimated, duration, estimate
from mialib.runs.makespan import WorkerTask, list_schedule

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "results" / "full_counts.csv"
PAPER = (
    "01_cifar10", "02_cifar100", "03_purchase", "04_location", "05_texas", "06_adult_mnist", "07_shadow_data", "08_mitigations",
)  # fmt: skip
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
DISPATCH = 1e-3  # seconds of the scheduler a task: Dask's documentation tells of about a millisecond
BANDWIDTH = 125.0  # MB a second, 1 Gbit: from the one who sends, to each worker
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
    """Seconds on so many workers: the ideal (all work divided), in the order of submission, the longest first, and what
    a scheduler and sending data make of that.
    """

    workers: int
    ideal: float
    in_order: float
    longest_first: float
    with_costs: float
    stacks_of_ten: float

    @property
    def efficiency(self) -> float:
        """Share of the workers' time, with costs and the longest first, in which they train."""
        return self.ideal / self.with_costs if self.with_costs else 1.0


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


def tasks(kinds: Sequence[Kind], together: int = 1) -> list[WorkerTask]:
    """A task a piece, in the order in which the notebooks hand them out; or `together` pieces in one task."""
    return [
        WorkerTask(
            kind.seconds * min(together, kind.pieces - start), kind.dataset, f"{kind.notebook}: {kind.thread}", kind.stage
        )
        for kind in kinds
        for start in range(0, kind.pieces, together)
    ]


def simulate(kinds: Sequence[Kind], workers: int, dispatch: float = DISPATCH, bandwidth: float = BANDWIDTH) -> Simulated:
    """All kinds on so many workers, each as fast as the core that was measured."""
    single = tasks(kinds)
    sending = {kind.dataset: kind.megabytes / bandwidth for kind in kinds}
    costs = {"longest_first": True, "dispatch": dispatch, "sending": sending}
    return Simulated(
        workers,
        sum(task.seconds for task in single) / workers,
        list_schedule(single, workers).seconds,
        list_schedule(single, workers, longest_first=True).seconds,
        list_schedule(single, workers, **costs).seconds,  # type: ignore[arg-type]
        list_schedule(tasks(kinds, 10), workers, **costs).seconds,  # type: ignore[arg-type]
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
        "all data sets, sent to one worker": sum({kind.dataset: kind.megabytes for kind in kinds}.values()) / bandwidth,
    }


def report(kinds: Sequence[Kind], dispatch: float = DISPATCH, bandwidth: float = BANDWIDTH) -> Iterator[str]:
    """Lines of Markdown: the table by workers, then the limits."""
    work = sum(kind.pieces * kind.seconds for kind in kinds)
    counts = {unit: sum(kind.pieces for kind in kinds if kind.unit == unit) for unit in ("model", "climb")}
    yield f"{counts['model']:,} models and the climbs of {counts['climb']:,} classes: {duration(work)} of one core.\n"
    yield "| workers | ideal | in order of submission | longest first | with scheduler, data | in tens | efficiency |"
    yield "|--:|--:|--:|--:|--:|--:|---|"
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
