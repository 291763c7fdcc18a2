"""Execute one notebook in a folder of its own, and publish what it saved only when it ended well."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mialib.runs.parameters import merged
from mialib.runs.publish import publish, recover, scratch_folder
from mialib.runs.quiet import quiet_outputs
from mialib.runs.redact import scrub
from mialib.runs.run import read_run, standins, write_json

Progress = Callable[[str], None]  # takes each heading of the notebook as it is reached


class RunFailed(Exception):
    """A notebook did not end well; the message names it, the cell and the error."""


def run(
    notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path, progress: Progress = lambda heading: None
) -> list[Path]:
    """Execute a notebook and publish what it saved; returns the new results and figures folders.

    Raises UsageError before anything runs, RunFailed when a cell fails: earlier results are whole then.
    """
    parameters = merged(root, notebook, profile, data, given)
    recover(root)
    with scratch_folder(root, notebook) as scratch:
        _execute(notebook, parameters, scratch, root, progress)
        name = run_name(_checked_record(notebook, scratch), custom=bool(given))
        write_json(scratch / "results" / "run.json", scrub(read_run(scratch / "results"), scratch, root))
        publish(scratch, f"{name}/{notebook}")
    return [root / "results" / name / notebook, root / "figures" / name / notebook]


def run_name(record: Mapping[str, Any], custom: bool) -> str:
    """RUN of a run.json: its profile, `-standin` if any data set is not real, `-custom` if parameters were given by hand."""
    return record["profile"] + ("-standin" if standins(record) else "") + ("-custom" if custom else "")


# Executing


def _execute(notebook: str, parameters: Mapping[str, Any], scratch: Path, root: Path, progress: Progress) -> None:
    # With this package jsonschema compiles a grammar of web addresses at its import: two seconds that no notebook needs.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import papermill

    source, executed = root / "notebooks" / f"{notebook}.ipynb", scratch / "results" / f"{notebook}.ipynb"
    reached = _Reached(len(json.loads(source.read_text(encoding="utf-8"))["cells"]), progress)
    try:
        with kernel_environment(scratch, root):
            papermill.execute_notebook(
                source,
                executed,
                dict(parameters),
                kernel_name="python3",
                language="python",
                cwd=source.parent,
                progress_bar=False,
                on_cell_start=reached,
                extra_arguments=["--log-level=ERROR"],
                coalesce_streams=True,
                shutdown_kernel="immediate",
            )
    except Exception as error:
        kept = _keep_failed(executed, notebook, scratch, root)
        raise RunFailed(f"{notebook} failed in {reached.place}: {_last_line(error)}\nIt can be read in {kept}") from error
    _scrub_file(executed, scratch, root)
    write_json(executed, quiet_outputs(json.loads(executed.read_text(encoding="utf-8"))))


class _Reached:
    """Hook of nbclient: knows which cell of the source runs, and tells each heading."""

    def __init__(self, n_cells: int, progress: Progress) -> None:
        self.n_cells, self.number, self.progress, self.place = n_cells, 0, progress, "the start of its kernel"

    def __call__(self, cell: Any, cell_index: int) -> None:
        if "injected-parameters" in cell.metadata.get("tags", []):
            return
        self.number += 1
        first = cell.source.strip().partition("\n")[0]
        self.place = f"cell {self.number} of {self.n_cells}, `{first}`"
        if cell.cell_type == "markdown" and first.startswith("#"):
            self.progress(first.lstrip("# "))


@contextmanager
def kernel_environment(scratch: Path, root: Path, bars: bool = False) -> Iterator[None]:
    """Of a kernel: this environment's own, whatever kernels the user has registered; it imports the package of the tree that it
    works in, if that has one, and draws no progress bars, or (bars) does.
    """
    package = [str(root)] if (root / "mialib").is_dir() else []
    path = os.pathsep.join([*package, *filter(None, [os.environ.get("PYTHONPATH")])])
    before = dict(os.environ)
    os.environ |= {"MIALIB_OUT": str(scratch), "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}
    os.environ |= {} if bars else {"TQDM_DISABLE": "1"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _last_line(error: Exception) -> str:
    name, value = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error)).strip()
    return f"{name}: {value.splitlines()[-1]}" if value else name


def _checked_record(notebook: str, scratch: Path) -> dict[str, Any]:
    path = scratch / "results" / "run.json"
    if not path.exists() or not read_run(path.parent)["finished"]:
        raise RunFailed(f"{notebook} ended without run.finish(): its results are not kept")
    return read_run(path.parent)


def _keep_failed(executed: Path, notebook: str, scratch: Path, root: Path) -> str:
    if not executed.exists():
        return f"notebooks/{notebook}.ipynb (nothing of it was executed)"
    _scrub_file(executed, scratch, root)
    kept = root / "results" / "failed" / executed.name
    kept.parent.mkdir(exist_ok=True)
    os.replace(executed, kept)
    return str(kept.relative_to(root))


def _scrub_file(path: Path, scratch: Path, root: Path) -> None:
    write_json(path, scrub(json.loads(path.read_text(encoding="utf-8")), scratch, root))
