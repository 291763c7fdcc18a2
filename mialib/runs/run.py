"""What a notebook leaves behind: tables (CSV), figures (PNG and SVG) and `run.json`, which says how they came about.

In a notebook: `run = runs.start("04_location", …)`, then `run.table`, `run.figure`, and at the end `run.finish`.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mialib.cluster import connect
from mialib.core import cache, executors, notes
from mialib.core.cache import atomic, output_folder
from mialib.runs import screen
from mialib.runs.machine import hardware, versions

if TYPE_CHECKING:  # the command line reads runs without tables and pictures, and should not wait for what makes these
    import pandas as pd


class Run:
    """One execution of a notebook: where its tables and figures go, and what is known of it. Made by `start`."""

    def __init__(self, results: Path, figures: Path, record: dict[str, Any]) -> None:
        self.results, self.figures, self.record = results, figures, record
        self._began = time.monotonic()
        self._saved: dict[str, tuple[pd.DataFrame, str]] = {}  # tables, and the figure that each was saved for, or ""
        for folder in (results, figures):
            folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def table(self, name: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Write a tidy table as `name.csv`, atomically, and return it.

        Floats keep every digit; booleans come back as booleans, empty cells as NaN. A named or non-default index would
        be lost, so it raises ValueError.
        """
        return self._save(name, frame, "")

    def _save(self, name: str, frame: pd.DataFrame, figure: str) -> pd.DataFrame:
        """Write a table for a figure, whose rows may have kept the numbers that a filter left, or ("") for its own sake."""
        import pandas as pd

        _check_name("name", name)
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"frame is {type(frame).__name__}: a DataFrame is needed")
        if self._saved.get(name, (frame, figure))[1] != figure:
            raise ValueError(f"table {name!r} is there already, and a figure draws it: choose another name")
        rows = frame.reset_index(drop=True) if figure and not any(frame.index.names) else frame
        if not rows.index.equals(pd.RangeIndex(len(rows))) or rows.index.name is not None:
            raise ValueError(f"table {name!r}: the index would be lost; call reset_index() first")
        with atomic(self.results / f"{name}.csv") as file:
            rows.to_csv(file, index=False, lineterminator="\n")
        self._saved[name] = frame, figure
        return frame

    def figure(
        self,
        name: str,
        function: Callable[..., Any] | str,
        *tables: pd.DataFrame | str,
        datasets: Sequence[str] = (),
        **options: Any,
    ) -> Any:
        """Draw `mialib.plots.FUNCTION(*tables, ax=…, **options)`; write `name.png` and `name.svg`.

        tables: names of saved tables, or DataFrames. Those that this run has not saved yet are saved here: the first under the
        figure's name, others with the function's parameter added ("fig8_precision_paper"). Options of `draw` (facet, size,
        share, columns) are taken too. All options must be plain (JSON) values: they are kept in run.json, so that the figure
        can be drawn again from the tables. datasets: the names of those of the run's data sets that are drawn, where the first
        table has no column `dataset`; not needed where the run has but one. Returns the picture, for the notebook to show.
        """
        _check_name("name", name)
        plot = function if isinstance(function, str) else function.__name__
        if not isinstance(function, str) and plot_function(plot) is not function:
            raise ValueError(f"function is {function!r}: one of mialib.plots is needed, so that the figure can be drawn again")
        given = inspect.signature(plot_function(plot)).bind_partial(*tables).arguments.items()
        saved = [self._table_of(name, parameter if i else "", table) for i, (parameter, table) in enumerate(given)]
        spec = {"function": plot, "tables": saved, "options": _plain(options)}
        if datasets:
            spec["datasets"] = _known_datasets(datasets, self.record)
        self.record["figures"][name] = spec
        picture = write_figure(self.results, self.figures, name, spec, self.record)
        self._write()
        return picture

    def _table_of(self, figure: str, parameter: str, table: pd.DataFrame | str) -> str:
        """The name of a figure's table, which is saved if it was not before."""
        if isinstance(table, str):
            return table
        for known, (frame, _) in self._saved.items():
            if frame is table:
                return known
        name = "_".join([figure, parameter] if parameter else [figure])
        self._save(name, table, figure)
        return name

    def finish(self, *, seeds: Any = None, **facts: Any) -> None:
        """Write the final run.json: the seeds used, and other plain facts; say what was saved, and where."""
        known = set(self.record) & set(facts)
        if known:
            raise ValueError(f"facts {sorted(known)} are recorded already; choose other names")
        ending = {"finished": True, "seconds": round(time.monotonic() - self._began, 1), "seeds": _plain(seeds)}
        self.record.update(ending, facts=_plain(facts))
        self._write()
        print(self._whereabouts())

    def _whereabouts(self) -> str:
        n_tables, n_figures = len([*self.results.glob("*.csv")]), len(self.record["figures"])
        beside, under = "beside this notebook", "at the same place below figures/"
        if output_folder() is None:
            beside, under = (f"in {os.path.relpath(folder)}" for folder in (self.results, self.figures))
        tables, figures = (f"{n} {word}{'s' * (n != 1)}" for n, word in ((n_tables, "table"), (n_figures, "figure")))
        return f"saved: {tables} and run.json {beside}, {figures} {under}"

    def _write(self) -> None:
        write_json(self.results / "run.json", self.record)


def start(notebook: str, profile: str, parameters: Mapping[str, Any], datasets: Sequence[Any] = ()) -> Run:
    """Open the run of a notebook, such as "04_location".

    Under the runner it goes to the folder that the runner publishes on success; run by hand, to results/interactive and
    figures/interactive of the checkout, so that it never replaces a real result, and it says so. `datasets` are the `Dataset`s
    that the notebook uses, or their descriptions (dicts with name, source, …). Of `parameters` only UPPER_CASE names count, so
    a notebook hands over globals(). Log lines and warnings appear quietly from here on (`core.notes`). Where the environment
    names a cluster (`mialib.cluster`), it does the work from here on.
    """
    _check_name("notebook", notebook)
    notes.quiet_log()
    notes.quiet_warnings()
    if (address := cache.cluster_address()) and executors.current() is None:
        executors.from_now_on(connect(address))
    if out := output_folder():
        results, figures = out / "results", out / "figures"
    else:
        results, figures = (checkout() / part / "interactive" / notebook for part in ("results", "figures"))
        print(f"tables go to {os.path.relpath(results)}, figures to {os.path.relpath(figures)}")
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


def checkout(start: Path | None = None) -> Path:
    """The tree that a command or a notebook works in, wherever the package lies: the nearest folder, from the working directory
    up, with notebooks/ and either mialib/ or a Makefile; without any, the working directory.
    """
    start = (start or Path()).resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks").is_dir() and ((folder / "mialib").is_dir() or (folder / "Makefile").exists()):
            return folder
    return start


def results_folder() -> Path:
    """The folder of all results, which a notebook reads that compares the others' runs."""
    out = output_folder()
    return out.parent if out else checkout() / "results"


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """The table `name` of a run's results folder, as `Run.table` wrote it; only empty cells are missing values."""
    import pandas as pd

    path = Path(folder) / f"{_check_name('table', name)}.csv"
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in Path(folder).glob("*.csv"))) or "none"
        raise ValueError(f"table {name!r} is not saved in this run; there are: {there}")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def read_run(folder: Path) -> dict[str, Any]:
    """The run.json of a results folder. ValueError for a name in it that could not have been written: files are named so."""
    path = Path(folder) / "run.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, spec in record["figures"].items():
        for part in (name, spec["function"], *spec["tables"]):
            _check_name(f"{path}: figures: a name", part)
    return record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as indented JSON, atomically."""
    with atomic(path) as file:
        file.write((json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def standins(record: Mapping[str, Any]) -> list[str]:
    """Names of the data sets of a run that are not real."""
    return list(dict.fromkeys(item["name"] for item in record["datasets"] if item["source"] != "real"))


def _known_datasets(names: Sequence[str], record: Mapping[str, Any]) -> list[str]:
    known = list(dict.fromkeys(item["name"] for item in record["datasets"]))
    if isinstance(names, str) or not set(names) <= set(known):
        raise ValueError(f"datasets is {names!r}: a list of the run's own is needed ({', '.join(known) or 'none'})")
    return list(names)


# Figures


def plot_function(name: str) -> Callable[..., Any]:
    """The function of that name in `mialib.plots`."""
    from mialib import plots

    if name not in plots.__all__ or name == "draw":
        raise ValueError(f"function {name!r} is not one of mialib.plots")
    function: Callable[..., Any] = getattr(plots, name)
    return function


def write_figure(results: Path, figures: Path, name: str, spec: Mapping[str, Any], record: Mapping[str, Any]) -> Any:
    """Draw a figure of a run from its spec (function, tables, options) and tables, as PNG and SVG: same tables, same bytes.

    A figure that was drawn before from the same tables, by the same code, is taken from the cache. Returns the picture for
    a screen, as an IPython Image.
    """
    from mialib.runs.drawn import drawn_standins, standin_note, with_sources

    for part in (name, *spec["tables"]):
        _check_name("name", part)  # of a run.json that somebody edited, too
    datasets = spec.get("datasets", ())
    frames = with_sources([read_table(results, table) for table in spec["tables"]], record, datasets)
    note = standin_note(drawn_standins(frames, record, datasets))
    figures.mkdir(parents=True, exist_ok=True)
    tables = [(results / f"{table}.csv").read_text(encoding="utf-8") for table in spec["tables"]]
    key = {"spec": dict(spec), "tables": cache.digest(*tables), "note": note, "sharper": screen.SHARPER, **_drawing()}
    parts = ("png", "svg", "screen")
    pictures = cache.load("figures", key, lambda kept: cache.expect(kept, {part: ((None,), "uint8") for part in parts}))
    if pictures is None:
        pictures = {part: np.frombuffer(data, np.uint8) for part, data in _pictures(spec, frames, note).items()}
        cache.save("figures", key, pictures)
    for part in ("png", "svg"):
        with atomic(figures / f"{name}.{part}") as file:
            file.write(pictures[part].tobytes())
    return screen.shown_picture(pictures["screen"].tobytes())


@lru_cache(maxsize=1)
def _drawing() -> dict[str, str]:
    """What determines a figure beside its tables: the code that draws, its style, and the library."""
    import matplotlib

    from mialib.plots.panels import STYLE

    return {
        "code": cache.code_digest("mialib.plots"),
        "style": STYLE.read_text(encoding="utf-8"),
        "matplotlib": matplotlib.__version__,
    }


def _pictures(spec: Mapping[str, Any], frames: Sequence[pd.DataFrame], note: str) -> dict[str, bytes]:
    """A figure as "png", "svg" and, as a notebook shows it, "screen"."""
    from matplotlib import pyplot as plt

    from mialib.plots.panels import STYLE, draw

    def saved(**options: Any) -> bytes:
        buffer = BytesIO()
        figure.savefig(buffer, **options)
        return buffer.getvalue()

    with plt.style.context(STYLE, after_reset=True):
        figure = draw(plot_function(spec["function"]), frames, note=note, **spec["options"])
        nameless = {"Software": None}
        return {
            "png": saved(format="png", metadata=nameless),
            "svg": saved(format="svg", metadata={"Date": None, "Creator": None}),
            "screen": screen.few_colours(
                saved(format="png", metadata=nameless, dpi=screen.SHARPER * plt.rcParams["figure.dpi"])
            ),
        }


def redraw(results: Path, figures: Path) -> list[str]:
    """Draw all figures of a run again from its tables, training nothing. Returns their names."""
    record = read_run(results)
    for name, spec in record["figures"].items():
        write_figure(results, figures, name, spec, record)
    return list(record["figures"])


def _described(dataset: Any) -> dict[str, Any]:
    if not isinstance(dataset, Mapping):
        dataset = dataset.describe()
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


def _check_name(argument: str, name: Any) -> str:
    if not isinstance(name, str) or not name or not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"{argument} is {name!r}: letters, digits, - and _ are allowed")
    return name
