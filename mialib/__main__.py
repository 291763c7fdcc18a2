"""The `mialib` command, also `python -m mialib`: audits of one's own models, and the notebooks of this study."""

import signal
import sys
from collections.abc import Sequence
from typing import Any

from mialib.core.extras import ExtraMissing, extra

_AUDIT = {"audit": "what does a model give away about its training records? A report"}
_STUDY = {
    "run": "run one notebook",
    "all": "run all notebooks",
    "estimate": "what notebooks would train, and what that takes here and on many workers",
    "train": "train a notebook's models, or a share of them, into the cache",
    "list": "notebooks and their parameters",
    "summary": "the paper's values and ours, and where results are",
    "figures": "redraw all figures from the saved tables",
}
_SITE = {"site": "write the study's results as pages that open from disk"}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command (default: that of the command line) and return its exit code: 0 done, 1 a notebook failed, 2 bad input,
    130 interrupted. SIGTERM and SIGHUP end it as Ctrl-C does, cleaning up; a second one does not cut that short.
    """
    command, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    if command in ("--help", "-h"):
        print(_help())
        return 0
    if command not in (known := _AUDIT | _STUDY | _SITE):
        print(f"error: no command {command!r}; there are {', '.join(known)}: mialib --help", file=sys.stderr)
        return 2
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        return _audit(rest) if command in _AUDIT else _site(rest) if command in _SITE else _study([command, *rest])
    except ExtraMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _audit(arguments: Sequence[str]) -> int:
    from mialib.audit.command import main as audit

    return audit(arguments)


def _study(arguments: Sequence[str]) -> int:
    with extra("study"):
        from mialib.runs.command import main as study  # late: needs what audits do without

    return study(arguments)


def _site(arguments: Sequence[str]) -> int:
    with extra("study"):
        from mialib.site.command import main as site

    return site(arguments)


def _help() -> str:
    lines = ["usage: mialib COMMAND ...", "", "A model of one's own:", *_listed(_AUDIT)]
    lines += ["", "This study (in its checkout; python -m mialib.data has the data sets):", *_listed(_STUDY | _SITE)]
    return "\n".join([*lines, "", "mialib COMMAND --help says more."])


def _listed(commands: dict[str, str]) -> list[str]:
    return [f"  {name:<9}{text}" for name, text in commands.items()]


def _interrupt(*_: Any) -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
