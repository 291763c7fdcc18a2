"""Command line that runs notebooks: `python -m mialib.runner run 04_location --profile quick -p N_SHADOWS 20`.

A notebook executes in a folder of its own, results/.running-PID-…; only when it ends well do its tables, figures and executed
copy take the place of the older ones in results/RUN/NN_name and figures/RUN/NN_name. Whatever stops it leaves the older
ones whole.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import nbformat

from mialib import runs
from mialib.folders import publish, recover, scratch_folder
from mialib.parameters import UsageError, merged, notebook_parameters, notebooks
from mialib.scrub import scrub, without_progress

DATA_MODES = ("auto", "real", "standin")


class RunFailed(Exception):
    """A notebook did not end well; the message names it, the cell and the error."""


def run(notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path = runs.ROOT) -> list[Path]:
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
    return record["profile"] + ("-standin" if runs.standins(record) else "") + ("-custom" if custom else "")


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
    if not path.exists() or not runs.read_run(path.parent)["finished"]:
        raise RunFailed(f"{notebook} ended without run.finish(): its results are not kept")
    return runs.read_run(path.parent)


def _scrub_file(path: Path, scratch: Path, root: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    record = without_progress(record) if path.suffix == ".ipynb" else record
    runs.write_json(path, scrub(record, scratch, root))


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


# Reading what is there


def redraw_all(root: Path = runs.ROOT) -> list[Path]:
    """Draw every figure of every run again from its tables, training nothing; returns the folders of figures."""
    recover(root)
    folders = []
    for path in sorted((root / "results").glob("[!.]*/*/run.json")):
        target = root / "figures" / path.parent.relative_to(root / "results")
        if runs.redraw(path.parent, target):
            folders.append(target)
    return folders


def summary(profile: str, root: Path = runs.ROOT) -> list[str]:
    """Lines that say, for the latest run of each notebook, where its results and figures are, and its headline numbers."""
    recover(root)
    lines = []
    for notebook in notebooks(root):
        found = [root / "results" / name / notebook / "run.json" for name in (profile, f"{profile}-standin")]
        latest = max((path for path in found if path.exists()), key=lambda path: path.stat().st_mtime, default=None)
        lines += _account(latest, root) if latest else [f"{notebook}: not run yet"]
    return lines


def _account(path: Path, root: Path) -> list[str]:
    record, folder = runs.read_run(path.parent), path.parent.relative_to(root)
    standins = runs.standins(record)
    source = f"STAND-IN data: {', '.join(standins)}" if standins else "real data"
    figures = Path("figures", *folder.parts[1:])
    where = [f"{record['notebook']}: {source}, {record['seconds']:.0f} s", f"  {folder}/  {figures}/"]
    return where + [f"  {line}" for line in record["headline"]]


def parameter_list(root: Path = runs.ROOT) -> list[str]:
    """Each notebook with its parameters and their defaults, as lines."""
    lines = []
    for notebook in notebooks(root):
        lines += [notebook] + [f"  {name} = {value!r}" for name, value in notebook_parameters(root, notebook).items()]
    return lines


# Command line


def main(arguments: Sequence[str] | None = None, root: Path = runs.ROOT) -> int:
    """Entry of the command line; returns the exit code: 0, 1 (a notebook failed), 2 (wrong arguments), 130 (interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        for line in options.work(options, root):
            print(line)
        return 0
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: earlier results are whole", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mialib.runner", description="Runs the notebooks and redraws their figures."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    one = commands.add_parser("run", help="run one notebook")
    one.add_argument("notebook", help="its name without .ipynb, such as 04_location")
    one.add_argument("--profile", default="quick", help="quick (the notebook's defaults), or a file of notebooks/profiles")
    one.add_argument("--data", default="auto", choices=DATA_MODES)
    one.add_argument("-p", dest="given", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    one.set_defaults(work=_run_command)
    figures = commands.add_parser("figures", help="redraw all figures from the saved tables")
    figures.set_defaults(work=lambda _, root: [f"redrawn: {folder.relative_to(root)}" for folder in redraw_all(root)])
    account = commands.add_parser("summary", help="where results are, and the headline numbers")
    account.add_argument("--profile", default="quick")
    account.set_defaults(work=lambda options, root: summary(options.profile, root))
    listing = commands.add_parser("list", help="notebooks and their parameters")
    listing.set_defaults(work=lambda _, root: parameter_list(root))
    return parser


def _run_command(options: argparse.Namespace, root: Path) -> list[str]:
    folders = run(options.notebook, options.profile, options.data, dict(options.given), root)
    return _account(folders[0] / "run.json", root)


def command_line(root: Path = runs.ROOT) -> NoReturn:
    """Run `main` as a program: SIGTERM and SIGHUP end it as Ctrl-C does, cleaning up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(main(root=root))


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    command_line()
