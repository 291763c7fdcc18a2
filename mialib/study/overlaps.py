"""Shadow models whose training sets overlap with the target's: what the paper calls disjoint sets the worst case of
(Sec. V-B).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from mialib.attack.ablations import Fit
from mialib.core import checks, randomness
from mialib.shadow.splits import overlapping_splits
from mialib.study.experiments import (
    REAL,
    Experiment,
    Outcome,
    TrainingJob,
    Trial,
    announce_jobs,
    check_disjoint,
    plan_jobs,
    run_attacks,
    run_jobs,
    target_splits,
)
from mialib.study.measured import COLUMNS_MEASURED, TWO_ATTACKS, gain_rows, measured_rows

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class OverlapTrial(NamedTuple):
    """A target and shadows that were trained on some of its members: a share of the records of each."""

    share: float
    trial: Trial


def plan_overlaps(e: Experiment, shares: Iterable[float] = SHARES) -> dict[float, list[TrainingJob]]:
    """The trainings of an experiment at each share: the targets, then each target's shadows (`shadow.overlapping_splits`).

    Shadow i of a target has the same initial weights and the same non-members at every share; those of share 0 are the ones of
    `plan_jobs`. ValueError where the experiment has other sources of shadow data, or none, and as `overlapping_splits`.
    """
    check_disjoint(e)  # but for the records that are shared here
    shares = [checks.real("shares", share, 0, 1) for share in shares]
    if not shares or len(set(shares)) < len(shares):
        raise ValueError(f"shares must hold at least one share, each once, got {shares}")
    targets, chosen = plan_jobs(e._replace(n_shadows=0)), target_splits(e.dataset, e.train_size, e.n_targets, e.seed)
    jobs = {share: list(targets) for share in shares}
    for share in shares:
        source = REAL if share == 0 else (REAL[0], f"overlap={share:g}")
        for t, (split, pool) in enumerate(chosen):
            seed = randomness.derive(e.seed, "shadows", t)
            splits = overlapping_splits(split, pool, e.shadow_size or e.train_size, e.n_shadows, share, seed)
            jobs[share].append(TrainingJob(t, source, e.trainer, e.dataset, splits, seed))
    return jobs


def announce_overlaps(e: Experiment, shares: Iterable[float] = SHARES) -> str:
    """What is about to be trained for `run_overlaps` and what that takes here: as `announce`."""
    targets, *first = [*plan_overlaps(e, shares).values()]
    return announce_jobs(e, [*targets, *(job for jobs in first for job in jobs[1:])])


def run_overlaps(e: Experiment, shares: Iterable[float] = SHARES) -> list[OverlapTrial]:
    """Train what is missing: a trial for each share and target."""
    plans = plan_overlaps(e, shares)
    return [OverlapTrial(share, trial) for share, jobs in plans.items() for trial in run_jobs(e, jobs)]


def overlap_table(trials: Sequence[OverlapTrial], attacks: Mapping[str, Fit] = TWO_ATTACKS) -> pd.DataFrame:
    """What attacks get at each share: dataset, source, share, attack, and the columns of `measured_rows`.

    Beside its metrics, every share but 0 has the differences to share 0 on the same targets (`gain_rows`), where that is among
    the trials.
    """
    groups: dict[tuple[str, str, float, str], list[Outcome]] = {}
    for share, trial in trials:
        for o in run_attacks([trial], attacks):
            groups.setdefault((o.case.dataset, o.case.source, share, o.attack), []).append(o)
    parts = []
    for (dataset, source, share, attack), outcomes in groups.items():
        front = {"dataset": dataset, "source": source, "share": share, "attack": attack}
        parts.append(measured_rows(outcomes).assign(**front))
        disjoint = groups.get((dataset, source, 0.0, attack))
        if share > 0 and disjoint:
            parts.append(gain_rows(outcomes, disjoint).assign(**front))
    if not parts:
        raise ValueError("trials must hold at least one, got none")
    return pd.concat(parts, ignore_index=True)[["dataset", "source", "share", "attack", *COLUMNS_MEASURED]]
