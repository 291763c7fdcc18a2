"""What noise in the shadows' data does to their answers, and why that costs the attack much or little (Fig. 8).

All an attacker learns from shadows is where answers about members end and those about others begin. So noise matters by how far
it moves either group of answers, whatever it does to records and accuracies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mialib.attack.thresholds import best_threshold, confidence
from mialib.core import checks
from mialib.core.types import AttackData, answered_right
from mialib.shadow.signals import log_odds
from mialib.study.experiments import LEARNED, REAL, Case, Trial
from mialib.study.tables import CASE, columns_first

NOISY_SIDES = {"members": (True, False), "non-members": (False, True)}  # whose answers come from shadows on noisy data
ODDS_END = 10.0  # of log-odds: what lies beyond, either way, stands in the outermost bin
THE_TARGET = "the target"  # `setting` of a target's own row


def trials_by_side(trials: Sequence[Trial]) -> list[Trial]:
    """Trials on noisy shadow data taken apart, after each trial as it is: `variant` says whose answers come from its shadows.

    "members": those about non-members come from the same target's shadows on real data instead; "non-members": the other way
    round. No network is trained: shadow i has the same rows on every source of data. ValueError for several readings of noise,
    and where a target has no trial on real data.
    """
    real = {(t.case.our_target, t.target): t for t in trials if (t.case.setting, t.case.variant) == REAL}
    readings = sorted({t.case.variant for t in trials} - {REAL[1]})
    if len(readings) > 1:
        raise ValueError(f"trials must have one reading of noise, got {', '.join(readings)}")
    parted = []
    for trial in trials:
        plain = real.get((trial.case.our_target, trial.target))
        if plain is None:
            raise ValueError(f"trials must hold real shadow data of every target, {trial.target} has none")
        parted.append(trial)
        for side, noisy in NOISY_SIDES.items() if plain is not trial else ():
            case = trial.case._replace(variant=side)
            parted.append(trial._replace(case=case, load=_Mixed(trial, plain, *noisy)))
    return parted


class _Mixed:
    """Answers of a trial's shadows about members or about non-members; the others from another trial's."""

    def __init__(self, trial: Trial, plain: Trial, members: bool, nonmembers: bool) -> None:
        self.trial, self.plain, self.members, self.nonmembers = trial, plain, members, nonmembers

    def __call__(self) -> AttackData:
        noisy, plain = self.trial.shadows, self.plain.shadows
        if not (np.array_equal(noisy.labels, plain.labels) and np.array_equal(noisy.member, plain.member)):
            raise ValueError(f"trials must have the same shadows on every source, {self.trial.case.setting} has others")
        from_noisy = np.where(noisy.member, self.members, self.nonmembers)
        return replace(noisy, predictions=np.where(from_noisy[:, None], noisy.predictions, plain.predictions))


def answer_shapes(trials: Sequence[Trial], bins: int = 40) -> pd.DataFrame:
    """How sure targets and their shadows are of the true class: the case, model ("target" or "shadows"), member, bin_left,
    bin_right, share (of the records, all targets together), threshold.

    Bins are of log-odds, -ODDS_END to ODDS_END; the outermost hold what lies beyond. threshold: mean over targets of the
    log-odds that separate their shadows' members and non-members best.
    """
    checks.whole("bins", bins, 2)
    edges = np.linspace(-ODDS_END, ODDS_END, bins + 1)
    parts = []
    for case, group in _by_case(trials).items():
        shadows = [trial.shadows for trial in group]
        threshold = float(np.mean([_border(data) for data in shadows]))
        for model, answers in (("target", [trial.answers for trial in group]), ("shadows", shadows)):
            for member in (True, False):
                sure = np.concatenate([log_odds(data.predictions, data.labels)[data.member == member] for data in answers])
                shares = np.histogram(np.clip(sure, -ODDS_END, ODDS_END), edges)[0] / len(sure)
                columns = {"model": model, "member": member, "bin_left": edges[:-1], "bin_right": edges[1:]}
                parts.append(pd.DataFrame(columns | {"share": shares, "threshold": threshold}).assign(**case._asdict()))
    return columns_first(pd.concat(parts, ignore_index=True), CASE)


def _by_case(trials: Iterable[Trial]) -> dict[Case, list[Trial]]:
    groups: dict[Case, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.case, []).append(trial)
    return groups


def _border(shadows: AttackData) -> float:
    """The log-odds of the true class that separate members and non-members best, -ODDS_END to ODDS_END."""
    return float(np.clip(best_threshold(log_odds(shadows.predictions, shadows.labels), shadows.member), -ODDS_END, ODDS_END))


def noise_effects(trials: Sequence[Trial], summary: pd.DataFrame, shapes: pd.DataFrame) -> pd.DataFrame:
    """Noise in numbers, a row a case, and first the targets' own, with `setting` THE_TARGET.

    The case; members, nonmembers: median probability of the true class, mean over targets; test_accuracy: on a model's own
    non-members, which are as noisy as its members; like_members, like_nonmembers: how much of the target's histogram that of
    the shadows covers, 0 to 1; threshold, a probability; precision and recall of the learned attack with 95% intervals.
    summary: `tables.summary` of the same trials; shapes: their `answer_shapes`. ValueError where they are of others.
    """
    rows: list[dict[str, object]] = []
    told: set[Case] = set()
    for case, group in _by_case(trials).items():
        own = case._replace(setting=THE_TARGET, variant=REAL[1])
        if own not in told:
            told.add(own)
            rows.append(own._asdict() | _answered([trial.answers for trial in group]))
        odds = _of_case(shapes, case)["threshold"].iloc[0]
        row = case._asdict() | _answered([trial.shadows for trial in group]) | _likeness(_of_case(shapes, case))
        rows.append(row | {"threshold": 1 / (1 + np.exp(-odds))} | _attacked(_of_case(summary, case)))
    return pd.DataFrame(rows)


def _answered(answers: Sequence[AttackData]) -> dict[str, float]:
    sure = [confidence(data) for data in answers]
    return {
        "members": float(np.mean([np.median(p[data.member]) for p, data in zip(sure, answers, strict=True)])),
        "nonmembers": float(np.mean([np.median(p[~data.member]) for p, data in zip(sure, answers, strict=True)])),
        "test_accuracy": float(np.mean([answered_right(data)[~data.member].mean() for data in answers])),
    }


def _of_case(table: pd.DataFrame, case: Case) -> pd.DataFrame:
    rows = table[(table[CASE] == list(case)).all(axis=1)]
    if rows.empty:
        raise ValueError(f"tables must be of the same trials, one lacks {case.our_target}, {case.setting}, {case.variant}")
    return rows


def _likeness(shapes: pd.DataFrame) -> dict[str, float]:
    found = {}
    for name, member in (("like_members", True), ("like_nonmembers", False)):
        wide = shapes[shapes["member"] == member].pivot(index="bin_left", columns="model", values="share")
        found[name] = float(wide.min(axis=1).sum())
    return found


def _attacked(summary: pd.DataFrame) -> dict[str, float]:
    learned = summary[summary["attack"] == LEARNED].set_index("metric")
    columns = {f"{metric}{end}": (metric, column) for metric in ("precision", "recall") for end, column in _COLUMNS.items()}
    return {name: float(learned.loc[metric, column]) for name, (metric, column) in columns.items()}


_COLUMNS = {"": "value", "_low": "low", "_high": "high"}
