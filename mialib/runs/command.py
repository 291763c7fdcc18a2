"""Command line that runs notebooks: `python -m mialib.runs run 04_location --profile quick -p N_SHADOWS 20`.

A notebook executes in a folder of its own, results/.running-PID-…; only when it ends well do its tables, figures and executed
copy take the place of the older ones in results/RUN/NN_name and figures/RUN/NN_name. Whatever stops it leaves the older
ones whole.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from mialib.cluster import BadShard, ClusterError, Shard, connect
from mialib.core import cache
from mialib.core.extras import ExtraMissing
from mialib.runs.estimate import Estimated, estimate, estimate_lines, stand_in_lines, total_lines
from mialib.runs.execute import RunFailed, run
from mialib.runs.log import Log
from mialib.runs.parameters import UsageError, notebook_parameters, notebooks, shared_out
from mialib.runs.publish import recover
from mialib.runs.run import checkout, redraw
from mialib.runs.schedule import HEADING, run_all
from mialib.runs.summary import account, summary_lines
from mialib.runs.train import train

DATA_MODES = ("auto", "real", "standin")


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Entry of the command line; returns the exit code: 0, 1 (a notebook failed), 2 (wrong arguments), 130 (interrupted)."""
    options = _parser().parse_args(arguments)
    try:
        options.work(options, (root or options.root or checkout()).resolve())
        return 0
    except (UsageError, BadShard, ClusterError, ExtraMissing) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: earlier results are whole", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mialib.runs", description="Runs the notebooks and redraws their figures.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--root", type=Path, help="the checkout (default: that of the working directory)")
    profile = argparse.ArgumentParser(add_help=False)
    profile.add_argument("--profile", default="quick", help="quick (the notebook's defaults), or a file of notebooks/profiles")
    running = argparse.ArgumentParser(add_help=False, parents=[shared, profile])
    running.add_argument("--data", default="auto", choices=DATA_MODES)
    running.add_argument(
        "-p", dest="given", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter"
    )
    distributed = argparse.ArgumentParser(add_help=False)
    distributed.add_argument("--cluster", metavar="ADDRESS", help="a Dask cluster that trains, such as tcp://127.0.0.1:8786")
    commands = parser.add_subparsers(required=True, metavar="command")
    one = commands.add_parser("run", help="run one notebook", parents=[running, distributed])
    one.add_argument("notebook", help="its name without .ipynb, such as 04_location")
    one.add_argument("--headings", action="store_true", help="print the headings that it comes to, and no results")
    one.set_defaults(work=_run_one)
    every = commands.add_parser("all", help="run all notebooks", parents=[running, distributed])
    every.add_argument("--jobs", type=_count, help="how many at a time (default: one a core, at most four)")
    every.set_defaults(work=_run_all)
    before = commands.add_parser("estimate", help="what notebooks would train, and what that takes", parents=[running])
    before.add_argument("notebooks", nargs="*", metavar="notebook", help="names without .ipynb (default: all)")
    before.add_argument(
        "--workers", nargs="+", type=_count, default=[16, 128], metavar="N", help="cores elsewhere to tell it for"
    )
    before.set_defaults(work=_estimate)
    share = commands.add_parser("train", help="train its models, or a share of them, into the cache", parents=[running])
    share.add_argument("notebook", help="its name without .ipynb, such as 01_cifar10")
    share.add_argument("--shard", default="1/1", metavar="I/N", help="the I-th of N shares (default: all)")
    share.set_defaults(work=_train)
    figures = commands.add_parser("figures", help="redraw all figures from the saved tables", parents=[shared])
    figures.set_defaults(work=_redraw)
    told = commands.add_parser("summary", help="the paper's values and ours, and where results are", parents=[shared, profile])
    told.set_defaults(work=_tell)
    listing = commands.add_parser("list", help="notebooks and their parameters", parents=[shared])
    listing.set_defaults(work=_list)
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; a whole number from 1 on is needed")
    return int(text)


def _choose_cluster(options: argparse.Namespace) -> None:
    """The cluster of the options, or of the environment, for all kernels that this process starts; it is looked at first."""
    if (address := options.cluster or cache.cluster_address()) is not None:
        connect(address).close()
        cache.name_cluster(address)


def _run_one(options: argparse.Namespace, root: Path) -> None:
    _choose_cluster(options)
    arguments = (options.notebook, options.profile, options.data, dict(options.given), root)
    if options.headings:
        run(*arguments, progress=lambda heading: print(f"{HEADING}{heading}", flush=True))
        return
    log, began = Log(sys.stdout), time.monotonic()
    log.at(options.notebook)
    try:
        results, _ = run(*arguments, progress=lambda heading: log.at(options.notebook, heading))
    except BaseException:
        log.end(options.notebook, "did not end well")
        raise
    log.end(options.notebook, f"{time.monotonic() - began:.0f} s")
    _print(account([results], root))


def _train(options: argparse.Namespace, root: Path) -> None:
    shard = Shard.of(options.shard)
    done = train(options.notebook, options.profile, options.data, dict(options.given), root, shard)
    print(done, flush=True)


def _run_all(options: argparse.Namespace, root: Path) -> None:
    recover(root)
    _choose_cluster(options)
    failed = run_all(options.profile, options.data, dict(options.given), options.jobs, root, Log(sys.stdout))
    if not options.given:
        _tell(options, root)
    if failed:
        raise RunFailed(f"of {len(notebooks(root))} notebooks {len(failed)} failed: {', '.join(failed)}")


def _estimate(options: argparse.Namespace, root: Path) -> None:
    """Print what each notebook would train, as soon as it is known, and at the end the sum; nothing is trained."""
    shares = shared_out(root, options.profile, options.data, dict(options.given), options.notebooks)
    found, counted = list[Estimated](), set[str]()
    for notebook, given in shares.items():
        rows = estimate(notebook, options.profile, options.data, given, root, counted)
        _print([*estimate_lines(notebook, rows)])
        found += rows
    if found:
        _print(["", *total_lines(found, options.workers), "", *stand_in_lines(found), *FOOTNOTE])


FOOTNOTE = (
    "Models alone: attacks, tables and figures come on top. Times are of a core (or GPU) like this machine's that has nothing",
    "else to do, by trials of seconds, to a factor of about two. n workers are n such cores; the longest models go first.",
)


def _tell(options: argparse.Namespace, root: Path) -> None:
    recover(root)
    _print(["", *summary_lines(options.profile, root)])


def _redraw(options: argparse.Namespace, root: Path) -> None:
    """Draw every figure of every run again from its tables, training nothing."""
    recover(root)
    for path in sorted((root / "results").glob("[!.]*/*/run.json")):
        folder = root / "figures" / path.parent.relative_to(root / "results")
        if redraw(path.parent, folder):
            print(f"redrawn: {folder.relative_to(root)}", flush=True)


def _list(options: argparse.Namespace, root: Path) -> None:
    """Print each notebook with its parameters and their defaults."""
    for notebook in notebooks(root):
        _print([notebook, *(f"  {name} = {value!r}" for name, value in notebook_parameters(root, notebook).items())])


def _print(lines: Sequence[str]) -> None:
    print("\n".join(lines), flush=True)


def command_line(root: Path | None = None) -> NoReturn:
    """Run `main` as a program: SIGTERM and SIGHUP end it as Ctrl-C does, cleaning up; a second one does not cut that short."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(main(root=root))


def _interrupt(*_: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
