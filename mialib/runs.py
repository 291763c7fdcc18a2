"""What a notebook leaves behind: tables (CSV), figures (PNG and SVG) and `run.json`, which says how they came about.

In a notebook: `run = runs.start("04_location", …)`, then `run.save_table`, `run.save_figure`, and at the end `run.finish`.
"""

import importlib
import inspect
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mialib.cache import atomic, output_folder

ROOT = Path(__file__).resolve().parent.parent
STYLE = Path(__file__).with_name("mialib.mplstyle")
PACKAGES = ("numpy", "pandas", "torch", "torchvision", "scikit-learn", "scipy", "matplotlib", "seaborn", "papermill")
PLOTS = ("mialib.plots", "mialib.leakplots", "mialib.scoreplots")  # where functions that draw are looked for
PANELS_A_ROW = 4
NOTE_COLOUR = "#B03A2E"


class Run:
    """One execution of a notebook: where its tables and figures go, and what is known of it. Made by `start`."""

    def __init__(self, results: Path, figures: Path, record: dict[str, Any]) -> None:
        self.results, self.figures, self.record = results, figures, record
        self._began = time.monotonic()
        for folder in (results, figures):
            folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def save_table(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Write a tidy table as `name.csv`, atomically, and return it.

        Floats keep every digit; booleans come back as booleans, empty cells as NaN. A named or non-default index would
        be lost, so it raises ValueError.
        """
        _check_name("name", name)
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"frame is {type(frame).__name__}: a DataFrame is needed")
        if not frame.index.equals(pd.RangeIndex(len(frame))) or frame.index.name is not None:
            raise ValueError(f"table {name!r}: the index would be lost; call reset_index() first")
        with atomic(self.results / f"{name}.csv") as file:
            frame.to_csv(file, index=False, lineterminator="\n")
        return frame

    def save_figure(self, name: str, function: Callable[..., Any] | str, *tables: str, **options: Any) -> Any:
        """Draw `mialib.plots.FUNCTION(*tables, ax=…, **options)` from this run's saved tables; write `name.png` and `name.svg`.

        Options of `draw` (facet, size, share, columns) are taken too. All of them must be plain (JSON) values: they are kept in
        run.json, so that the figure can be drawn again from the tables. Returns the picture, for the notebook to show.
        """
        _check_name("name", name)
        plot = function if isinstance(function, str) else function.__name__
        spec = {"function": plot, "tables": list(tables), "options": _plain(options)}
        if not isinstance(function, str) and plot_function(plot) is not function:
            raise ValueError(f"function is {function!r}: one of mialib.plots is needed, so that the figure can be drawn again")
        self.record["figures"][name] = spec
        picture = write_figure(self.results, self.figures, name, spec, standins(self.record))
        self._write()
        return picture

    def finish(self, *, seeds: Any = None, headline: Sequence[str] = (), **facts: Any) -> None:
        """Write the final run.json: the seeds used, short lines to print at the end (`headline`), and other plain facts."""
        known = set(self.record) & set(facts)
        if known:
            raise ValueError(f"facts {sorted(known)} are recorded already; choose other names")
        ending = {"finished": True, "seconds": round(time.monotonic() - self._began, 1), "seeds": _plain(seeds)}
        self.record.update(ending, headline=[str(line) for line in headline], facts=_plain(facts))
        self._write()

    def _write(self) -> None:
        write_json(self.results / "run.json", self.record)


def start(notebook: str, profile: str, parameters: Mapping[str, Any], datasets: Sequence[Any] = ()) -> Run:
    """Open the run of a notebook, such as "04_location".

    Under the runner it goes to the folder that the runner publishes on success; run by hand, to results/interactive and
    figures/interactive, so that it never replaces a real result. `datasets` are the `Dataset`s that the notebook uses, or their
    descriptions (dicts with name, source, …). Of `parameters` only UPPER_CASE names count, so a notebook hands over globals().
    """
    _check_name("notebook", notebook)
    out = output_folder()
    results = out / "results" if out else ROOT / "results" / "interactive" / notebook
    figures = out / "figures" if out else ROOT / "figures" / "interactive" / notebook
    record = {
        "notebook": notebook,
        "profile": profile,
        "finished": False,
        "parameters": _plain({name: value for name, value in parameters.items() if name.isupper()}),
        "datasets": [_described(dataset) for dataset in datasets],
        "versions": versions(),
        "hardware": hardware(),
        "figures": {},
    }
    return Run(results, figures, record)


def results_folder() -> Path:
    """The folder of all results, which a notebook reads that compares the others' runs: under the runner, of the tree that it
    works in.
    """
    out = output_folder()
    return out.parent if out else ROOT / "results"


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """The table `name` of a run's results folder, as `save_table` wrote it; only empty cells are missing values."""
    path = Path(folder) / f"{name}.csv"
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in Path(folder).glob("*.csv"))) or "none"
        raise ValueError(f"table {name!r} is not saved in this run; there are: {there}")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def read_run(folder: Path) -> dict[str, Any]:
    """The run.json of a results folder."""
    record: dict[str, Any] = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
    return record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as indented JSON, atomically."""
    with atomic(path) as file:
        file.write((json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def standins(record: Mapping[str, Any]) -> list[str]:
    """Names of the data sets of a run that are not real."""
    return [item["name"] for item in record["datasets"] if item["source"] != "real"]


# Figures


def plot_function(name: str) -> Callable[..., Any]:
    """The function of that name in one of the modules of `PLOTS`."""
    for module in map(importlib.import_module, PLOTS):
        function = getattr(module, name, None)
        if not name.startswith("_") and inspect.isfunction(function) and function.__module__ == module.__name__:
            return function
    raise ValueError(f"function {name!r} is not one of {' or '.join(PLOTS)}")


def draw(
    function: Callable[..., Any],
    frames: Sequence[pd.DataFrame],
    *,
    facet: str | None = None,
    size: tuple[float, float] | None = None,
    share: bool = True,
    columns: int = PANELS_A_ROW,
    note: str = "",
    **options: Any,
) -> Figure:
    """A figure of `function(*frames, ax=…, **options)`, in the current style.

    facet: a column of the first frame: one panel for each of its values, in order of appearance, titled by it; other
    frames that have the column are cut alike. size: inches of the whole. share: panels have the same axes. columns: panels
    in a row, at most. note: small text below the whole picture.
    """
    values = [None] if facet is None else _values(frames[0], facet)
    columns = min(len(values), columns)
    rows = -(-len(values) // columns)
    figure = Figure(figsize=size or _size(rows, columns), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    for ax in axes.flat[len(values) :]:
        ax.remove()
    for value, ax in zip(values, axes.flat):
        function(*(_cut(frame, facet, value) for frame in frames), ax=ax, **options)
        if facet is not None:
            ax.set_title(str(value))
    if share:
        _label_outer(list(axes.flat)[: len(values)], columns)
    if note:
        figure.supxlabel(note, x=0.01, ha="left", color=NOTE_COLOUR, style="italic")
    return figure


def write_figure(results: Path, figures: Path, name: str, spec: Mapping[str, Any], standin: Sequence[str]) -> Any:
    """Draw a figure from its spec (function, tables, options) and a run's tables, as PNG and SVG: same tables, same bytes.

    Returns the picture at screen resolution, as an IPython Image.
    """
    from IPython.display import Image

    frames = [read_table(results, table) for table in spec["tables"]]
    note = f"stand-in data: {', '.join(standin)}" if standin else ""
    figures.mkdir(parents=True, exist_ok=True)
    with plt.style.context(STYLE, after_reset=True):
        figure = draw(plot_function(spec["function"]), frames, note=note, **spec["options"])
        with atomic(figures / f"{name}.png") as file:
            figure.savefig(file, format="png", metadata={"Software": None})
        with atomic(figures / f"{name}.svg") as file:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        return Image(data=_screen_png(figure), format="png")


def redraw(results: Path, figures: Path) -> list[str]:
    """Draw all figures of a run again from its tables, training nothing. Returns their names."""
    record = read_run(results)
    for name, spec in record["figures"].items():
        write_figure(results, figures, name, spec, standins(record))
    return list(record["figures"])


def _label_outer(axes: Sequence[Axes], columns: int) -> None:
    """Labels of y at the left only, of x where no panel is below: also above a gap in the last row."""
    for number, ax in enumerate(axes):
        if number % columns:
            ax.set_ylabel("")
        below = number + columns < len(axes)
        ax.tick_params(labelbottom=not below)
        if below:
            ax.set_xlabel("")


def _screen_png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=plt.rcParams["figure.dpi"], metadata={"Software": None})
    return buffer.getvalue()


def _values(frame: pd.DataFrame, column: str) -> list[Any]:
    if column not in frame:
        raise ValueError(f"facet is {column!r}: the first table has {', '.join(frame.columns)}")
    values = list(frame[column].unique())
    if not values:
        raise ValueError(f"facet {column!r}: the first table is empty")
    return values


def _cut(frame: pd.DataFrame, facet: str | None, value: Any) -> pd.DataFrame:
    return frame if facet is None or facet not in frame else frame[frame[facet] == value].reset_index(drop=True)


def _size(rows: int, columns: int) -> tuple[float, float]:
    width, height = plt.rcParams["figure.figsize"]
    return (width, height) if rows * columns == 1 else (0.6 * width * columns + 0.4, 0.8 * height * rows + 0.2)


# Facts of the run


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers rest on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """This machine: system, processor, cores that may be used, memory in GB, and GPU or None."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    system = f"{platform.system()} {platform.machine()}"
    return {"system": system, "cpu": _processor(), "cores": cores, "memory_gb": round(memory, 1), "gpu": gpu}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    try:
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        return asked.stdout.strip() or platform.processor() or "unknown"
    except OSError:
        return platform.processor() or "unknown"


def _described(dataset: Any) -> dict[str, Any]:
    if not isinstance(dataset, Mapping):
        from mialib import data

        dataset = data.describe(dataset)
    described: dict[str, Any] = _plain(dict(dataset))
    return described


def _plain(value: Any) -> Any:
    """The value as JSON gives it back: tuples become lists, numpy scalars Python's; anything else raises TypeError."""
    return json.loads(json.dumps(value, default=_scalar))


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is {type(value).__name__}: plain values (numbers, texts, lists, dicts) are needed")


def _check_name(argument: str, name: Any) -> None:
    if not isinstance(name, str) or not name or not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"{argument} is {name!r}: letters, digits, - and _ are allowed")
