"""Execute one notebook in a folder of its own, and publish what it saved only when it ended well."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mialib.runs.parameters import merged
from mialib.runs.publish import publish, recover, scratch_folder
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
    client = _client(root / "notebooks" / f"{notebook}.ipynb")
    cells, place = client.nb.cells, "the start of its kernel"
    injected = _inject(cells, parameters)
    try:
        with client.setup_kernel(env=_environment(scratch, root)):
            for number, cell in enumerate(cells):
                first = cell.source.strip().partition("\n")[0]
                if number != injected:
                    place = f"cell {number + (number < injected)} of {len(cells) - 1}, `{first}`"
                if cell.cell_type == "markdown" and first.startswith("#"):
                    progress(first.lstrip("# "))
                client.execute_cell(cell, number)
    except Exception as error:
        kept = root / "results" / "failed" / f"{notebook}.ipynb"
        kept.parent.mkdir(exist_ok=True)
        _write(client.nb, kept, scratch, root)
        read = kept.relative_to(root)
        raise RunFailed(f"{notebook} failed in {place}: {_last_line(error)}\nIt can be read in {read}") from error
    _write(client.nb, scratch / "results" / f"{notebook}.ipynb", scratch, root)


def _client(path: Path) -> Any:
    """What executes a notebook in a kernel of this environment, whatever kernels the user has registered."""
    # With this package jsonschema compiles a grammar of web addresses at its import: two seconds that no notebook needs.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat
    from nbclient import NotebookClient

    options = ["--log-level=ERROR"]
    client = NotebookClient(nbformat.read(path, 4), timeout=None, kernel_name="python3", extra_arguments=options)
    client.resources = {"metadata": {"path": str(path.parent)}}
    client.coalesce_streams, client.shutdown_kernel = True, "immediate"
    client.create_kernel_manager().kernel_spec_manager.kernel_dirs = []
    return client


def _inject(cells: list[Any], parameters: Mapping[str, Any]) -> int:
    """Put a cell with the given parameters after the notebook's own; the new cell's number."""
    from nbformat.v4 import new_code_cell

    number = 1 + next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    cells.insert(number, new_code_cell(source, metadata={"tags": ["injected-parameters"]}))
    return number


def _environment(scratch: Path, root: Path) -> dict[str, str]:
    """Of a kernel: it imports the package of the tree that it works in, if that has one, and draws no progress bars."""
    package = [str(root)] if (root / "mialib").is_dir() else []
    path = os.pathsep.join([*package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"MIALIB_OUT": str(scratch), "PYTHONPATH": path, "TQDM_DISABLE": "1"}


def _last_line(error: Exception) -> str:
    name, value = getattr(error, "ename", type(error).__name__), str(getattr(error, "evalue", error)).strip()
    return f"{name}: {value.splitlines()[-1]}" if value else name


def _checked_record(notebook: str, scratch: Path) -> dict[str, Any]:
    path = scratch / "results" / "run.json"
    if not path.exists() or not read_run(path.parent)["finished"]:
        raise RunFailed(f"{notebook} ended without run.finish(): its results are not kept")
    return read_run(path.parent)


def _write(book: Any, path: Path, scratch: Path, root: Path) -> None:
    import nbformat

    write_json(path, scrub(json.loads(nbformat.writes(book)), scratch, root))
