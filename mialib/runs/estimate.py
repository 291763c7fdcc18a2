"""What notebooks would train, and what that takes here and on many workers, said before anything of it runs.

A notebook says so itself: some of its cells announce what others train. Those cells run here, and of the cells before them
those that make the names they use: data, trainers and experiments, so that nothing is said twice. No other cell runs. The
models of an announcement come as `core.plans.Planned`; one of each kind is tried for seconds.
"""

import ast
import io
import json
import logging
import os
import symtable
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from mialib.core import cache
from mialib.core.plans import Planned, collected
from mialib.runs.execute import RunFailed
from mialib.runs.machine import cores
from mialib.runs.makespan import WorkerTask, list_schedule
from mialib.runs.parameters import merged

ANNOUNCES = "announce"  # begins the names of functions that announce


class Estimated(NamedTuple):
    """A kind of work of a notebook; seconds that a piece takes one core of this machine, or its GPU; 0 if none is missing.

    above: pieces that are missing, and that rows above this one count: models that several notebooks, or parts of one, use.
    """

    notebook: str
    planned: Planned
    seconds: float
    above: int = 0

    @property
    def to_do(self) -> int:
        """Pieces that this row adds."""
        return self.planned.missing - self.above


def estimate(
    notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path, counted: set[str] | None = None
) -> list[Estimated]:
    """What a notebook would train, a row a kind of models. UsageError before anything runs; RunFailed where a cell or a trial
    fails.

    Models alike, trained alike on as many records, are tried once. counted: models that rows above count; these rows' come in.
    """
    known = set[str]() if counted is None else counted
    rows, tried = [], dict[Any, float]()
    for row in planned(notebook, profile, data, given, root):
        above = len(row.keys) - len(set(row.keys) - known)
        known.update(row.keys)
        alike, count = (row.dataset, row.alike, row.n, row.epochs, row.unit), row.missing - above
        if count and alike not in tried:
            tried[alike] = _tried(notebook, row)
        rows.append(Estimated(notebook, row, tried[alike] if count else 0.0, above))
    return rows


def _tried(notebook: str, row: Planned) -> float:
    try:
        with redirect_stderr(io.StringIO()):  # bars and warnings of a trial say nothing of what will be trained
            return row.trial()
    except Exception as error:
        what = f"{row.dataset}, {row.what}, n = {row.n:,}"
        raise RunFailed(f"{notebook}, a trial of {what}: {type(error).__name__}: {error}") from error


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
    """Where cells run: their folder, with another one for what they save, and nothing of what they print or warn of: stand-ins
    are named once, at the end.
    """
    before, silent = dict(os.environ), logging.root.manager.disable
    with tempfile.TemporaryDirectory() as folder, chdir(root / "notebooks"), redirect_stdout(io.StringIO()):
        os.environ |= {"MIALIB_OUT": folder}
        cache.name_cluster("")  # what is tried is tried here
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(silent)
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
        for _ in range(row.to_do)
    ]


def estimate_lines(notebook: str, rows: Sequence[Estimated]) -> Iterator[str]:
    """What a notebook would train: its name, a line a kind of models (what reads alike is added up), then how many of its
    models need no training, or are counted by rows above.
    """
    yield notebook if rows else f"{notebook}: no cell announces that it would train anything"
    counts: dict[str, int] = {}
    for row in rows:
        p = row.planned
        made_up = " (stand-in)" if p.source == "standin" else ""
        epochs = f", {p.epochs} epoch{'s' * (p.epochs > 1)}" if p.epochs else ""
        each = f"{duration(row.seconds)} each"
        line = f"{p.unit}s {each:>14}  {p.dataset}{made_up}, {p.what}, n = {p.n:,}{epochs}"
        counts[line] = counts.get(line, 0) + row.to_do
    yield from (f"{count:>7,} {line}" for line, count in counts.items() if count)
    above, kept = sum(row.above for row in rows), sum(row.planned.pieces - row.planned.missing for row in rows)
    if besides := [f"{count:,} {what}" for count, what in ((above, "counted above"), (kept, "on disk")) if count]:
        yield f"        besides, {', '.join(besides)}"


def total_lines(rows: Sequence[Estimated], workers: Sequence[int]) -> Iterator[str]:
    """A table: of each notebook and of all together the pieces that are missing, and what they take here and on workers."""
    import torch  # late: whoever runs notebooks in kernels need not wait for it

    place, here = ("GPU", 1) if torch.cuda.is_available() else ("core", cores())
    units = ["model", *sorted({row.planned.unit for row in rows if row.to_do} - {"model"})]
    here_too = f"{here} {place}{'s' * (here > 1)} here"
    table = [["", *(f"{unit}s" for unit in units), f"one {place}", here_too, *(f"{n:,} workers" for n in workers)]]
    by_notebook = {name: [row for row in rows if row.notebook == name] for name in dict.fromkeys(row.notebook for row in rows)}
    for name, of in [*by_notebook.items(), *([("all", rows)] if len(by_notebook) > 1 else [])]:
        counts = [sum(row.to_do for row in of if row.planned.unit == unit) for unit in units]
        times = [on_workers(of, n) if any(counts) else 0.0 for n in (1, here, *workers)]
        table.append([name, *(f"{count:,}" for count in counts), *map(duration, times)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *cells in table:
        yield "  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))]).rstrip()


def stand_in_lines(rows: Sequence[Estimated]) -> Iterator[str]:
    """The data sets for which generated records stand in, if any: a line."""
    if names := dict.fromkeys(row.planned.dataset for row in rows if row.planned.source == "standin"):
        yield f"Stand-ins, generated records in the place of the real ones (`make data` says why): {', '.join(names)}."


def duration(seconds: float) -> str:
    """Seconds for a person, two digits: "0.25 s", "45 s", "12 min", "3.4 h", "12 d"."""
    units = (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48), ("d", 86400, float("inf")))
    unit, size = next((unit, size) for unit, size, most in units if seconds < most * size)
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 9.5 else f"{value:.2g} {unit}"
