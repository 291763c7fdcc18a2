"""What an audit will do, said before it is done: what is trained and asked, and about how long that takes."""

import logging
import time

import numpy as np

from mialib.audit.given import FEWEST, Given
from mialib.audit.targets import AuditTarget
from mialib.core import executors, progress
from mialib.core.types import Trainer

log = logging.getLogger(__name__)


def tell_plan(target: AuditTarget, judged: Given, trainer: Trainer | None, n_shadows: int, copies: int) -> None:
    """What will be done, said before it is: on the standard error, in a notebook below the cell.

    copies: rows that are asked beside the records, at most.
    """
    counts = f"{judged.n_members:,} members and {judged.n_nonmembers:,} non-members"
    more = f", and up to {copies:,} noisy copies" if copies else ""
    _say(f"audit of {target.name}: {counts}, {judged.n_judged:,} rows to ask{more}")
    if trainer is None:
        _say("no trainer: attacks on the answers alone")
        return
    attackers = 1 + (len(judged.pool) > 0)
    k = attackers * n_shadows
    _say(f"trains {k} references ({type(trainer).__name__}), and some with other settings where these are known")
    _say(f"which takes {_seconds(trainer, judged, k)}")


def _say(line: str) -> None:
    progress.tell(line)


def _seconds(trainer: Trainer, judged: Given, k: int) -> str:
    """About how long k references take here: by the trainer's own estimate, or a line through trials on few records."""
    n = judged.n_judged // 2
    if hasattr(trainer, "estimate"):
        return f"about {executors.estimated(trainer, judged.judged, n, k).seconds:,.0f} s {executors.where()} for the former"
    sizes = [min(n, max(FEWEST, n // part)) for part in (20, 20, 5)]
    together, seconds = getattr(trainer, "at_once", 1), []
    for size in sizes:  # what is started and imported once falls to the first
        rows = np.sort(np.random.default_rng(0).choice(judged.n_judged, size, replace=False))
        began = time.perf_counter()
        try:
            with executors.elsewhere(None), progress.no_bars():
                trainer.fit_many(judged.judged, rows[None].repeat(together, 0), 0)
        except Exception:
            log.debug("the trial failed", exc_info=True)
            return "a time that a trial could not tell"
        seconds.append(time.perf_counter() - began)
    slope = max(0.0, seconds[2] - seconds[1]) / max(1, sizes[2] - sizes[1])
    if (executor := executors.current()) is not None:
        together = executor.workers.n
    whole = max(1.0, (seconds[1] + slope * (n - sizes[1])) * k / together)
    return f"about {whole:,.0f} s {executors.where()} for the former, by trials on {sizes[0]:,} and {sizes[2]:,} records"
