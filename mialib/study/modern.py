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
from mialib.core.threads import one_a_core
from mialib.study.questions import quantile_scores
from mialib.study.stocks import (
    ANSWER_ATTACKS,
    STOCK_ATTACKS,
    Attacked,
    Scores,
    StockAttack,
    StockTrial,
    answer_scores,
    some_scores,
    stock_scores,
)
from mialib.study.tables import columns_first

FPRS = (0.1, 0.01, 0.001, 0.0001)
LOW = 0.001  # the rate that the notebook's figures are about: one false accusation in 1,000
PRIORS = (0.01, 0.1, 0.5)
GIVEN_OFFSET = 0.3  # of offline RMIA, as its authors chose for CIFAR-10: with one or two references nothing can be tuned
BY_COUNT: dict[str, StockAttack] = {  # the attacks that are asked again with fewer references
    **{name: STOCK_ATTACKS[name] for name in ("lira_online", "lira_online_global", "rmia_online", "watson")},
    "rmia_offline": lambda t: relative.rmia(t.signal, t.references, t.population, mode="offline", a=GIVEN_OFFSET),
}
LEAST = {"lira_online": 4, "lira_online_global": 2}  # references that an attack needs


def all_scores(trial: StockTrial, n_targets: int, targets: int, references: int) -> list[Scores]:
    """Every attack that sees whole answers: on signals, of n_targets; for the first `targets` alone, since they take longest,
    the attack of 2017 and the modified entropy, fitted on `references` models at most, and quantile regression.
    """
    n_references = min(checks.whole("references", references, 1), len(trial.own.references(0)))
    scores = stock_scores(trial, n_targets=n_targets)
    scores += answer_scores(trial, n_targets=targets, n_references=n_references)
    return [*scores, quantile_scores(trial, targets)]


def in_order(scores: Sequence[Scores], attacks: Sequence[str]) -> list[Scores]:
    """The scores of these attacks, in this order; ValueError for one that is not there."""
    by_name = {s.attack: s for s in scores}
    absent = [name for name in attacks if name not in by_name]
    if absent:
        raise ValueError(f"attacks must be among {', '.join(by_name)}, got {', '.join(absent)}")
    return [by_name[name] for name in attacks]


def check_columns(name: str, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """`table` if it has these columns; TypeError or ValueError otherwise."""
    lacking = [column for column in columns if column not in checks.instance(name, table, pd.DataFrame)]
    if lacking:
        raise ValueError(f"{name} must have the columns {', '.join(columns)}, lacks {', '.join(lacking)}")
    return table


def _named(trial: StockTrial, table: pd.DataFrame, **front: Any) -> pd.DataFrame:
    """The table with dataset, source and these columns in front."""
    dataset = trial.experiment.dataset
    front = {"dataset": dataset.name, "source": dataset.source} | front
    return columns_first(table.assign(**front), front)


def stock_accuracies(trials: Iterable[StockTrial]) -> pd.DataFrame:
    """Means over a stock's models: dataset, source, network, members (of a model), n_models, train_accuracy, test_accuracy."""
    rows = []
    for trial in trials:
        right, member = trial.right, trial.own.member
        e = trial.experiment
        facts = {"network": e.network, "members": int(member[0].sum()), "n_models": len(member)}
        accuracy = {"train_accuracy": float(right[member].mean()), "test_accuracy": float(right[~member].mean())}
        rows.append({"dataset": e.dataset.name, "source": e.dataset.source} | facts | accuracy)
    return pd.DataFrame(rows)


def rate_table(trial: StockTrial, scores: Iterable[Scores], fprs: Sequence[float] = FPRS, n_boot: int = 200) -> pd.DataFrame:
    """`metrics.tpr_table` of every attack: dataset, source, attack, metric, fpr, value, low, high, n_targets, n_nonmembers,
    pooled, n_references.
    """

    def table(s: Scores) -> pd.DataFrame:
        rates = metrics.tpr_table(s.score, s.member, fprs=fprs, n_boot=n_boot)
        return _named(trial, rates, attack=s.attack).assign(n_references=s.n_references)

    scores = some_scores(scores)
    with one_a_core(len(scores), threads=1) as (pool, _):
        return pd.concat(pool.map(table, scores), ignore_index=True)


def tpr_rows(rates: pd.DataFrame) -> pd.DataFrame:
    """The true positive rates of a `rate_table`, under the name tpr."""
    check_columns("rates", rates, ["dataset", "source", "attack", "metric", "fpr", "value", "low", "high"])
    rows = rates[rates["metric"] == "tpr"].rename(columns={"value": "tpr"}).drop(columns="metric")
    return columns_first(rows, ["dataset", "source", "attack", "fpr", "tpr", "low", "high"]).reset_index(drop=True)


def log_roc(trial: StockTrial, scores: Iterable[Scores], points: int = 60) -> pd.DataFrame:
    """ROC curves on log-spaced false positive rates, from the smallest that a target's non-members carry: dataset, source,
    attack, fpr, tpr (the mean over targets).
    """
    parts = []
    for s in some_scores(scores):
        judged = ~np.isnan(s.score)
        grid = np.geomspace(1 / (judged & ~s.member).sum(1).min(), 1, checks.whole("points", points, 2))
        curves = []
        for score, inside in zip(s.score, s.member, strict=True):
            curve = metrics.roc(inside, score)
            last = np.searchsorted(curve["fpr"], grid * (1 + 1e-12), "right") - 1  # whose rate is at most that of the grid
            curves.append(curve["tpr"].to_numpy()[last])
        parts.append(_named(trial, pd.DataFrame({"fpr": grid, "tpr": np.mean(curves, axis=0)}), attack=s.attack))
    return pd.concat(parts, ignore_index=True)


# How many references


def by_reference_count(
    trial: StockTrial,
    counts: Iterable[int],
    attacks: Mapping[str, StockAttack] = BY_COUNT,
    n_targets: int | None = None,
    n_answer_targets: int = 2,
    most_answered: int = 14,
    fprs: Sequence[float] = (0.01, LOW),
) -> pd.DataFrame:
    """`rate_table` of attacks with their first n references alone, for each n of `counts` that the stock has and for all of
    them: 1 is a model drawn independently of the target, even numbers are pairs of complements. An attack that needs more has
    no row.

    attacks: on signals, by default LiRA (both variances), RMIA (both modes, offline with a = 0.3) and Watson's. The attack of
    2017 comes with them, on `n_answer_targets` targets and up to `most_answered` references. Raises ValueError where no attack
    works with any of the counts.
    """
    parts = []
    for n in usable_reference_counts(trial, counts):
        able = {name: attack for name, attack in attacks.items() if n >= LEAST.get(name, 1)}
        scores = stock_scores(trial, able, n_targets, n)
        if checks.whole("n_answer_targets", n_answer_targets, 0) and n <= checks.whole("most_answered", most_answered, 1):
            scores += answer_scores(trial, {"shokri": ANSWER_ATTACKS["shokri"]}, n_answer_targets, n)
        if scores:
            parts.append(rate_table(trial, scores, fprs, n_boot=100))
    if not parts:
        raise ValueError(f"attacks must hold one that works with so many references, got {', '.join(attacks) or 'none'}")
    return pd.concat(parts, ignore_index=True)


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

    side: "none", "OUT" or "IN and OUT" references; step: "one threshold" on the true class's probability, "a threshold a
    record" (on its log, less what the references say), "logit" (the log-odds instead), "Gaussian" (LiRA), "queries" (LiRA on
    the answers of the same models to several queries, `queried`, where given).
    """
    if trial.own.signal.ndim != 2:
        raise ValueError(f"trial must have one query a record, got {checks.kind(trial.own.signal)}")
    if queried is not None and not (queried.own.signal.ndim == 3 and np.array_equal(queried.own.member, trial.own.member)):
        raise ValueError("queried must have several queries a record of models trained on the same records as those of trial")
    outside, both = references.calibrated, references.sablayrolles
    gaussian = {
        "OUT": lambda t: likelihood_ratio.lira(t.signal, t.references, mode="offline"),
        "IN and OUT": lambda t: likelihood_ratio.lira(t.signal, t.references),
    }
    steps: list[tuple[str, str, StockTrial, StockAttack]] = [
        ("none", "one threshold", trial, STOCK_ATTACKS["confidence"]),  # the log-odds rank as the probability does
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
    return columns_first(pd.concat(parts, ignore_index=True), ["dataset", "source", "side", "step"])


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
    2026): the target's own members set nothing. A rate that its non-members cannot carry has no row. The interval is Student's
    t over targets, for a single one 0 to 1. Raises ValueError for fewer than 6 models.
    """
    if len(trial.own) < 6:
        raise ValueError(f"trial must hold 6 models, so that a reference has references of its own, got {len(trial.own)}")
    for name, rates in (("priors", priors), ("fprs", fprs)):
        for rate in rates:
            checks.real(name, rate, 0, 1, open_low=True)
    judged = ~trial.population
    realised: dict[tuple[str, float], list[tuple[float, float]]] = {(name, fpr): [] for name in attacks for fpr in fprs}
    for target in trial.targets(n_targets).tolist():
        inside = trial.own.member[target, judged]
        pool = trial.others[trial.own.references(target)]
        mock, mock_inside = Attacked(pool.signal[0], pool[pool.references(0)], trial.population), pool.member[0, judged]
        for name, attack in attacks.items():
            score, mock_score = (attack(t)[judged] for t in (trial.attacked(target), mock))
            for fpr in fprs:
                if metrics.can_carry(fpr, int((~mock_inside).sum())):
                    called = score >= metrics.threshold_at_fpr(mock_score, mock_inside, fpr)
                    realised[name, fpr].append((called[~inside].mean(), called[inside].mean()))
    rows = [
        {"attack": name, "prior": prior, "fpr": fpr} | _worth(np.array(found), prior)
        for (name, fpr), found in realised.items()
        if found
        for prior in priors
    ]
    columns = ["attack", "prior", "fpr", "achieved_fpr", "achieved_tpr", "value", "low", "high", "n_targets"]
    return _named(trial, pd.DataFrame(rows, columns=columns))


def _worth(realised: np.ndarray, prior: float) -> dict[str, float]:
    """realised (t, 2): the false and the true positive rate of each target."""
    values = np.array([metrics.ppv_of_rates(tpr, fpr, prior) for fpr, tpr in realised])
    values = values[~np.isnan(values)]
    means = {"achieved_fpr": realised[:, 0].mean(), "achieved_tpr": realised[:, 1].mean()}
    if not len(values):
        return means | {"value": np.nan, "low": np.nan, "high": np.nan, "n_targets": 0}
    low, high = metrics.wider(values, values.mean(keepdims=True)) if len(values) > 1 else (0.0, 1.0)
    return means | {"value": values.mean(), "low": low, "high": high, "n_targets": len(values)}
