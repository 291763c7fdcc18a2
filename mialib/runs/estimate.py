"""What notebooks would train, and what that takes here and on many workers, said before anything of it runs.

A notebook says so itself: some of its cells announce what others train. Those cells run here, and of the cells before them
those that make the names they use: data, trainers and experiments, so that nothing is said twice. No other cell runs. The
models of an announcement come as `core.plans.Planned`; one of each kind is tried for seconds.
"""

import ast
import io
import json
import os
import symtable
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from mialib.core.plans import Planned, collected
from mialib.runs.execute import RunFailed
from mialib.runs.machine import cores
from mialib.runs.makespan import WorkerTask, list_schedule
from mialib.runs.parameters import merged

ANNOUNCES = "announce"  # begins the names of functions that announce


class Estimated(NamedTuple):
    """A kind of work of a notebook; seconds that a piece of it takes one core of this machine, 0 if none is missing."""

    notebook: str
    planned: Planned
    seconds: float

    @property
    def work(self) -> float:
        """Seconds of one core that the missing pieces take."""
        return self.planned.missing * self.seconds


def estimate(notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path) -> list[Estimated]:
    """What a notebook would train, a row a kind of models. UsageError before anything runs, RunFailed for a cell that fails.

    Models alike, trained alike on as many records, are tried once.
    """
    rows, tried = planned(notebook, profile, data, given, root), dict[Any, float]()
    for row in rows:
        if row.missing and _alike(row) not in tried:
            tried[_alike(row)] = row.trial()
    return [Estimated(notebook, row, tried[_alike(row)] if row.missing else 0.0) for row in rows]


def _alike(row: Planned) -> tuple[Any, ...]:
    return row.dataset, row.alike, row.n, row.epochs, row.unit


def planned(notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path) -> list[Planned]:
    """What a notebook announces with these parameters; nothing is trained or tried."""
    parameters = merged(root, notebook, profile, data, given)
    cells = json.loads((root / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
    with _elsewhere(root), collected() as found:
        for i in needed_cells(sources):
            try:
                exec(compile(sources[i], f"{notebook}, code cell {i + 1}", "exec"), names)
            except Exception as error:
                first = sources[i].partition("\n")[0]
                raise RunFailed(f"{notebook}, code cell {i + 1}, `{first}`: {type(error).__name__}: {error}") from error
            if "parameters" in code[i]["metadata"].get("tags", []):
                names |= parameters
    return found


@contextmanager
def _elsewhere(root: Path) -> Iterator[None]:
    """Where cells run: their folder, with another one for what they save, and nothing of what they print."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, chdir(root / "notebooks"), redirect_stdout(io.StringIO()):
        os.environ |= {"MIALIB_OUT": folder}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before


def needed_cells(sources: Sequence[str]) -> list[int]:
    """Numbers of the cells that call a function whose name begins with ANNOUNCES, and of those before them that make the names
    which these use, or change them by assignment; in order.
    """
    needed: list[int] = []
    wanted: set[str] = set()
    for i in reversed(range(len(sources))):
        made, used, called = _names(sources[i])
        if made & wanted or any(name.startswith(ANNOUNCES) for name in called):
            needed.append(i)
            wanted |= used
    return needed[::-1]


def _names(source: str) -> tuple[set[str], set[str], set[str]]:
    """Names that a cell makes or changes, that it takes from other cells, and that it calls. Loop variables are its own."""
    tree = ast.parse(source)
    nodes = [*ast.walk(tree)]
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in nodes
        if isinstance(node, ast.Call)
    }
    loops = {
        part.id for node in nodes if isinstance(node, ast.For) for part in ast.walk(node.target) if isinstance(part, ast.Name)
    }
    items = {
        _base(node) for node in nodes if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    table = symtable.symtable(source, "cell", "exec")
    made = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced()} | _from_outside(table)
    return (made | items) - loops, used - loops, called


def _base(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return getattr(node, "id", "")


def _from_outside(table: symtable.SymbolTable) -> set[str]:
    """Global names that functions and comprehensions within use."""
    found = set()
    for child in table.get_children():
        found |= {s.get_name() for s in child.get_symbols() if s.is_global() and s.is_referenced()} | _from_outside(child)
    return found


def on_workers(rows: Sequence[Estimated], workers: int) -> float:
    """Seconds that all that is missing takes so many workers, each as fast as a core here: list scheduling, longest first."""
    return list_schedule(worker_tasks(rows), workers, longest_first=True).seconds


def worker_tasks(rows: Sequence[Estimated]) -> list[WorkerTask]:
    """A task for each piece that is missing."""
    return [
        WorkerTask(row.seconds, row.planned.dataset, f"{row.notebook}: {row.planned.thread}", row.planned.stage)
        for row in rows
        for _ in range(row.planned.missing)
    ]


def estimate_lines(rows: Sequence[Estimated], workers: Sequence[int]) -> Iterator[str]:
    """What a notebook takes: a line a kind of models, then their sum."""
    for row in rows:
        p = row.planned
        epochs = f", {p.epochs} epochs" if p.epochs else ""
        text = f"  {p.dataset} ({p.source}), {p.what}: n = {p.n:,}{epochs}; {p.missing:,} of {p.pieces:,} {p.unit}s"
        yield text + (f", {duration(row.seconds)} each" if p.missing else "")
    yield "  " + sum_line(rows, workers)


def sum_line(rows: Sequence[Estimated], workers: Sequence[int]) -> str:
    """Pieces, seconds of one core, and what that is here and on workers."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.planned.unit] = counts.get(row.planned.unit, 0) + row.planned.missing
    what = ", ".join(f"{count:,} {unit}s" for unit, count in counts.items() if count) or "nothing to train"
    work = sum(row.work for row in rows)
    if not work:
        return what
    here = f"{duration(on_workers(rows, cores()))} here ({cores()} cores)"
    there = [f"{duration(on_workers(rows, n))} on {n:,} workers" for n in workers]
    return f"{what}: {duration(work)} of one core; {', '.join([here, *there])}"


def duration(seconds: float) -> str:
    """Seconds for a person, two digits: "0.25 s", "45 s", "12 min", "3.4 h", "12 d"."""
    units = (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48), ("d", 86400, float("inf")))
    unit, size = next((unit, size) for unit, size, most in units if seconds < most * size)
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 9.5 else f"{value:.2g} {unit}"
