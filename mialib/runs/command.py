"""Command line that runs notebooks: `python -m mialib.runs run 04_location --profile quick -p N_SHADOWS 20`.

A notebook executes in a folder of its own, results/.running-PID-…; only when it ends well do its tables, figures and executed
copy take the place of the older ones in results/RUN/NN_name and figures/RUN/NN_name. Whatever stops it leaves the older
ones whole.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from mialib.runs.execute import RunFailed, run
from mialib.runs.parameters import UsageError, notebook_parameters, notebooks
from mialib.runs.publish import recover
from mialib.runs.run import ROOT, read_run, redraw, standins

DATA_MODES = ("auto", "real", "standin")


# Reading what is there


def redraw_all(root: Path = ROOT) -> list[Path]:
    """Draw every figure of every run again from its tables, training nothing; returns the folders of figures."""
    recover(root)
    folders = []
    for path in sorted((root / "results").glob("[!.]*/*/run.json")):
        target = root / "figures" / path.parent.relative_to(root / "results")
        if redraw(path.parent, target):
            folders.append(target)
    return folders


def summary(profile: str, root: Path = ROOT) -> list[str]:
    """Lines that say, for the latest run of each notebook, where its results and figures are, and its headline numbers."""
    recover(root)
    lines = []
    for notebook in notebooks(root):
        found = [root / "results" / name / notebook / "run.json" for name in (profile, f"{profile}-standin")]
        latest = max((path for path in found if path.exists()), key=lambda path: path.stat().st_mtime, default=None)
        lines += _account(latest, root) if latest else [f"{notebook}: not run yet"]
    return lines


def _account(path: Path, root: Path) -> list[str]:
    record, folder = read_run(path.parent), path.parent.relative_to(root)
    made_up = standins(record)
    source = f"STAND-IN data: {', '.join(made_up)}" if made_up else "real data"
    figures = Path("figures", *folder.parts[1:])
    where = [f"{record['notebook']}: {source}, {record['seconds']:.0f} s", f"  {folder}/  {figures}/"]
    return where + [f"  {line}" for line in record["headline"]]


def parameter_list(root: Path = ROOT) -> list[str]:
    """Each notebook with its parameters and their defaults, as lines."""
    lines = []
    for notebook in notebooks(root):
        lines += [notebook] + [f"  {name} = {value!r}" for name, value in notebook_parameters(root, notebook).items()]
    return lines


# Command line


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
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
    parser = argparse.ArgumentParser(prog="python -m mialib.runs", description="Runs the notebooks and redraws their figures.")
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


def command_line(root: Path = ROOT) -> NoReturn:
    """Run `main` as a program: SIGTERM and SIGHUP end it as Ctrl-C does, cleaning up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(main(root=root))


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
