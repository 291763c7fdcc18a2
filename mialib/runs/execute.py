"""Execute one notebook in a folder of its own, and publish what it saved only when it ended well."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

from mialib.runs.parameters import merged
from mialib.runs.publish import publish, recover, scratch_folder
from mialib.runs.redact import scrub, without_progress
from mialib.runs.run import ROOT, read_run, standins, write_json


class RunFailed(Exception):
    """A notebook did not end well; the message names it, the cell and the error."""


def run(notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path = ROOT) -> list[Path]:
    """Execute a notebook and publish what it saved; returns the new results and figures folders.

    Raises UsageError before anything runs, RunFailed when a cell fails: earlier results are whole then.
    """
    parameters = merged(root, notebook, profile, data, given)
    recover(root)
    with scratch_folder(root, notebook) as scratch:
        _execute(notebook, parameters, scratch, root)
        name = run_name(_checked_record(notebook, scratch), custom=bool(given))
        for file in (f"{notebook}.ipynb", "run.json"):
            _scrub_file(scratch / "results" / file, scratch, root)
        publish(scratch, f"{name}/{notebook}")
    return [root / "results" / name / notebook, root / "figures" / name / notebook]


def run_name(record: Mapping[str, Any], custom: bool) -> str:
    """RUN of a run.json: its profile, `-standin` if any data set is not real, `-custom` if parameters were given by hand."""
    return record["profile"] + ("-standin" if standins(record) else "") + ("-custom" if custom else "")


# Executing


def _execute(notebook: str, parameters: Mapping[str, Any], scratch: Path, root: Path) -> None:
    import papermill

    source, executed = root / "notebooks" / f"{notebook}.ipynb", scratch / "results" / f"{notebook}.ipynb"
    progress = _Progress(notebook, len(nbformat.read(source, as_version=4).cells))
    # The kernel is this environment's own, whatever kernels the user has registered.
    kernel_environment = {"MIALIB_OUT": str(scratch), "JUPYTER_PREFER_ENV_PATH": "1"}
    with _environment(kernel_environment):
        try:
            papermill.execute_notebook(
                source,
                executed,
                dict(parameters),
                kernel_name="python3",
                language="python",
                cwd=source.parent,
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
                on_cell_start=progress,
                extra_arguments=["--log-level=ERROR"],
            )
        except Exception as error:
            kept = _keep_failed(executed, notebook, scratch, root)
            raise RunFailed(f"{notebook} failed in {progress.place}: {_last_line(error)}\nIt can be read in {kept}") from error


class _Progress:
    """Hook of nbclient: knows which cell of the source runs, and prints each heading as it is reached."""

    def __init__(self, notebook: str, n_cells: int) -> None:
        self.notebook, self.n_cells, self.number, self.place = notebook, n_cells, 0, "the start of its kernel"

    def __call__(self, cell: Any, cell_index: int) -> None:
        if "injected-parameters" in cell.metadata.get("tags", []):
            return
        self.number += 1
        first = cell.source.strip().partition("\n")[0]
        self.place = f"cell {self.number} of {self.n_cells}, `{first}`"
        if cell.cell_type == "markdown" and first.startswith("#"):
            print(f"[{self.notebook} {self.number}/{self.n_cells}] {first.lstrip('# ')}", flush=True)


def _last_line(error: Exception) -> str:
    name, value = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error)).strip()
    return f"{name}: {value.splitlines()[-1]}" if value else name


def _keep_failed(executed: Path, notebook: str, scratch: Path, root: Path) -> str:
    if not executed.exists():
        return f"notebooks/{notebook}.ipynb (nothing of it was executed)"
    _scrub_file(executed, scratch, root)
    kept = root / "results" / "failed" / executed.name
    kept.parent.mkdir(exist_ok=True)
    os.replace(executed, kept)
    return str(kept.relative_to(root))


def _checked_record(notebook: str, scratch: Path) -> dict[str, Any]:
    path = scratch / "results" / "run.json"
    if not path.exists() or not read_run(path.parent)["finished"]:
        raise RunFailed(f"{notebook} ended without run.finish(): its results are not kept")
    return read_run(path.parent)


def _scrub_file(path: Path, scratch: Path, root: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    record = without_progress(record) if path.suffix == ".ipynb" else record
    write_json(path, scrub(record, scratch, root))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
