"""Tidy tables of the attacks on stocks of models: low false positive rates, how many references an attack needs, and the ladder
from one threshold to LiRA. Every table begins with dataset and source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack import likelihood_ratio, references, relative
from mialib.core import checks
from mialib.core.stocks import Stock
from mialib.study.questions import quantile_scores
from mialib.study.stocks import (
    ANSWER_ATTACKS,
    STOCK_ATTACKS,
    Attacked,
    Scores,
    StockAttack,
    StockTrial,
    answer_scores,
    stock_scores,
)

FPRS = (0.1, 0.01, 0.001, 0.0001)
LOW = 0.001  # the rate that the notebook's figures are about: one false accusation in 1,000
PRIORS = (0.01, 0.1, 0.5)


def all_scores(trial: StockTrial, n_targets: int, targets: int, references: int) -> list[Scores]:
    """Every attack that sees whole answers: on signals, of n_targets; the attack of 2017 and the modified entropy, which take
    longest, for the first `targets` alone, fitted on `references` models at most; quantile regression.
    """
    most = len(trial.own.references(0))
    scores = stock_scores(trial, n_targets=n_targets)
    scores += answer_scores(trial, n_targets=targets, n_references=min(references, most))
    return [*scores, quantile_scores(trial, n_targets)]


def in_order(scores: Sequence[Scores], attacks: Sequence[str]) -> list[Scores]:
    """The scores of these attacks, in this order; ValueError for one that is not there."""
    by_name = {s.attack: s for s in scores}
    absent = [name for name in attacks if name not in by_name]
    if absent:
        raise ValueError(f"attacks must be among {', '.join(by_name)}, got {', '.join(absent)}")
    return [by_name[name] for name in attacks]


def _named(trial: StockTrial, table: pd.DataFrame, **front: Any) -> pd.DataFrame:
    """The table with dataset, source and these columns in front."""
    dataset = trial.experiment.dataset
    front = {"dataset": dataset.name, "source": dataset.source} | front
    return table.assign(**front)[[*front, *(column for column in table if column not in front)]]


def stock_accuracies(trials: Iterable[StockTrial]) -> pd.DataFrame:
    """Means over a stock's models: dataset, source, network, members (of a model), n_models, train_accuracy, test_accuracy."""
    rows = []
    for trial in trials:
        right, member = trial.own.right, trial.own.member
        assert right is not None
        e = trial.experiment
        facts = {"network": e.network, "members": int(member[0].sum()), "n_models": len(member)}
        accuracy = {"train_accuracy": float(right[member].mean()), "test_accuracy": float(right[~member].mean())}
        rows.append({"dataset": e.dataset.name, "source": e.dataset.source} | facts | accuracy)
    return pd.DataFrame(rows)


def rate_table(trial: StockTrial, scores: Iterable[Scores], fprs: Sequence[float] = FPRS, n_boot: int = 200) -> pd.DataFrame:
    """`metrics.tpr_table` of every attack: dataset, source, attack, metric, fpr, value, low, high, n_targets, n_nonmembers,
    pooled, n_references.
    """
    parts = [
        _named(trial, metrics.tpr_table(s.score, s.member, fprs=fprs, n_boot=n_boot), attack=s.attack).assign(
            n_references=s.n_references
        )
        for s in scores
    ]
    return pd.concat(parts, ignore_index=True)


def tpr_rows(rates: pd.DataFrame) -> pd.DataFrame:
    """The true positive rates of a `rate_table`, under the name tpr."""
    rows = rates[rates["metric"] == "tpr"].rename(columns={"value": "tpr"}).drop(columns="metric")
    first = ["dataset", "source", "attack", "fpr", "tpr", "low", "high"]
    return rows[[*first, *(column for column in rows if column not in first)]].reset_index(drop=True)


def log_roc(trial: StockTrial, scores: Iterable[Scores], points: int = 60) -> pd.DataFrame:
    """ROC curves on log-spaced false positive rates, from the smallest that a target's non-members carry: dataset, source,
    attack, fpr, tpr (the mean over targets).
    """
    parts = []
    for s in scores:
        curves = []
        smallest = 1 / min((~inside & ~np.isnan(score)).sum() for score, inside in zip(s.score, s.member, strict=True))
        grid = np.geomspace(smallest, 1, points)
        for score, inside in zip(s.score, s.member, strict=True):
            known = ~np.isnan(score)
            outside = np.sort(-score[known & ~inside])
            above = np.sort(-score[known & inside])
            # the n-th false positive's score is the threshold that must not be reached: no score is parted from its equals
            n_false = np.minimum((grid * len(outside) * (1 + 1e-12)).astype(int), len(outside))
            bound = np.append(outside, np.inf)[n_false]
            curves.append(np.searchsorted(above, bound, "left") / len(above))
        parts.append(_named(trial, pd.DataFrame({"fpr": grid, "tpr": np.mean(curves, axis=0)}), attack=s.attack))
    return pd.concat(parts, ignore_index=True)


# How many references


def by_reference_count(
    trial: StockTrial,
    counts: Iterable[int],
    attacks: Mapping[str, StockAttack] | None = None,
    n_targets: int | None = None,
    n_answer_targets: int = 2,
    fprs: Sequence[float] = (0.01, LOW),
) -> pd.DataFrame:
    """`rate_table` of attacks with their first n references alone, for each n of `counts` that the stock has: 1 is a model
    drawn independently of the target, even numbers are pairs of complements. An attack that needs more has no row.

    attacks: on signals; None: LiRA (both variances), RMIA (both modes, offline with a = 0.3) and Watson's. The attack of 2017
    comes with them, on `n_answer_targets` targets.
    """
    attacks = BY_COUNT if attacks is None else attacks
    parts = []
    for n in usable_reference_counts(trial, counts):
        able = {name: attack for name, attack in attacks.items() if n >= LEAST.get(name, 1)}
        scores = stock_scores(trial, able, n_targets, n)
        scores += answer_scores(trial, {"shokri": ANSWER_ATTACKS["shokri"]}, n_answer_targets, n) if n_answer_targets else []
        parts.append(rate_table(trial, scores, fprs, n_boot=100))
    return pd.concat(parts, ignore_index=True)


BY_COUNT: dict[str, StockAttack] = {
    **{name: STOCK_ATTACKS[name] for name in ("lira_online", "lira_online_global", "rmia_online", "watson")},
    "rmia_offline": lambda t: relative.rmia(t.signal, t.references, t.population, mode="offline", a=GIVEN_OFFSET),
}
GIVEN_OFFSET = 0.3  # of offline RMIA, as its authors chose for CIFAR-10: with one or two references nothing can be tuned
LEAST = {"lira_online": 4, "lira_online_global": 2}  # references that an attack needs


def usable_reference_counts(trial: StockTrial, counts: Iterable[int]) -> list[int]:
    """1 and the even numbers of `counts` up to the references that the stock gives a target, and this number itself."""
    most = len(trial.own.references(0))
    wanted = {checks.whole("counts", n, 1) for n in counts}
    odd = sorted(n for n in wanted if n > 1 and n % 2)
    if odd:
        raise ValueError(f"counts must be 1 or even, since references come in pairs of complements, got {odd}")
    return sorted({n for n in wanted if n <= most} | {most})


# The ladder


def ladder(
    trial: StockTrial, queried: StockTrial | None = None, n_targets: int | None = None, fprs: Sequence[float] = (0.01, LOW)
) -> pd.DataFrame:
    """What each part of LiRA adds (Carlini et al. 2022, Tables II, V, VII, VIII), `rate_table`'s columns with side and step in
    the place of attack.

    side: "none", "OUT" or "IN and OUT" references; step: "one threshold" on the log of the true class's probability, "a
    threshold a record" (less what the references say), "logit" (the log-odds instead), "Gaussian" (LiRA), "queries" (LiRA on a
    stock of several queries, `queried`, where given).
    """
    outside, both = references.calibrated, references.sablayrolles
    gaussian = {
        "OUT": lambda t: likelihood_ratio.lira(t.signal, t.references, mode="offline"),
        "IN and OUT": lambda t: likelihood_ratio.lira(t.signal, t.references),
    }
    steps: list[tuple[str, str, StockTrial, StockAttack]] = [
        ("none", "one threshold", trial, lambda t: references.log_probability(t.signal)),
        ("OUT", "a threshold a record", trial, lambda t: outside(*_in_log_probability(t))),
        ("OUT", "logit", trial, lambda t: outside(t.signal, t.references)),
        ("OUT", "Gaussian", trial, gaussian["OUT"]),
        ("IN and OUT", "a threshold a record", trial, lambda t: both(*_in_log_probability(t))),
        ("IN and OUT", "logit", trial, lambda t: both(t.signal, t.references)),
        ("IN and OUT", "Gaussian", trial, gaussian["IN and OUT"]),
    ]
    if queried is not None:
        steps += [(side, "queries", queried, attack) for side, attack in gaussian.items()]
    parts = []
    for side, step, on, attack in steps:
        table = rate_table(on, stock_scores(on, {step: attack}, n_targets), fprs, n_boot=100)
        parts.append(table.rename(columns={"attack": "step"}).assign(side=side))
    table = pd.concat(parts, ignore_index=True)
    first = ["dataset", "source", "side", "step"]
    return table[[*first, *(column for column in table if column not in first)]]


def _in_log_probability(t: Attacked) -> tuple[np.ndarray, Stock]:
    signal = references.log_probability(t.signal)
    return signal, replace(t.references, signal=references.log_probability(t.references.signal).astype(np.float32))


# What an accusation is worth


def ppv_table(
    trial: StockTrial,
    attacks: Mapping[str, StockAttack],
    fprs: Sequence[float] = (0.01, LOW),
    priors: Sequence[float] = PRIORS,
    n_targets: int | None = None,
) -> pd.DataFrame:
    """How many of those called members are, where a share `prior` of the records asked about were: dataset, source, attack,
    prior, fpr (asked for), achieved_fpr, achieved_tpr, value (the PPV), low, high, n_targets (that called any record a member).

    The threshold is set on the target's first reference, in the target's place, with references of its own (Jebreel et al.
    2026): the target's own members set nothing. The interval is Student's t over targets.
    """
    rows = []
    targets = range(len(trial.own))[:n_targets]
    for name, attack in attacks.items():
        pairs = [_target_and_mock(trial, attack, target) for target in targets]
        for fpr in fprs:
            realised = []
            for score, inside, mock_score, mock_inside in pairs:
                if not metrics.can_carry(fpr, int((~mock_inside).sum())):
                    continue
                threshold = metrics.threshold_at_fpr(mock_score, mock_inside, fpr)
                called = score >= threshold
                realised.append((called[~inside].mean(), called[inside].mean()))
            if not realised:
                continue
            found = np.array(realised)
            for prior in priors:
                with np.errstate(invalid="ignore"):
                    values = prior * found[:, 1] / (prior * found[:, 1] + (1 - prior) * found[:, 0])
                values = values[~np.isnan(values)]
                low, high = metrics.wider(values, values.mean(keepdims=True)) if len(values) else (np.nan, np.nan)
                means = {"achieved_fpr": found[:, 0].mean(), "achieved_tpr": found[:, 1].mean()}
                value = {"value": values.mean() if len(values) else np.nan, "low": low, "high": high, "n_targets": len(values)}
                rows.append({"attack": name, "prior": prior, "fpr": fpr} | means | value)
    return _named(trial, pd.DataFrame(rows))


def _target_and_mock(trial: StockTrial, attack: StockAttack, target: int) -> tuple[np.ndarray, ...]:
    """Scores and membership of a target's judged records, and of its first reference's, attacked with the other references."""
    numbers = trial.own.references(target)
    pool = trial.others[numbers]
    mock = Attacked(pool.signal[0], pool[pool.references(0)], trial.population)
    judged = ~trial.population
    parts = [(attack(trial.attacked(target)), trial.own.member[target]), (attack(mock), pool.member[0])]
    return tuple(part[judged] for pair in parts for part in pair)
