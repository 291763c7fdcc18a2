"""Mitigations judged at low false positive rates: a stock of models for each, attacked by who knows of it.

What looked harmless or useful on average may change its standing where an accusation would be believed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.core import checks, randomness
from mialib.study.modern import LOW, check_columns, rate_table, stock_accuracies
from mialib.study.stocks import (
    ANSWER_ATTACKS,
    BEST,
    STOCK_ATTACKS,
    Scores,
    StockExperiment,
    StockTrial,
    announce_stocks,
    answer_scores,
    run_stock,
    some_scores,
    stock_scores,
)
from mialib.study.sweep import NONE, MakeModel, Mitigation
from mialib.study.tables import columns_first
from mialib.training.recipe import Recipe

FOLLOWED = ("confidence", "watson", BEST)  # attacks on signals that are asked again under every mitigation
OF_MITIGATION = ["dataset", "source", "mitigation", "knob", "at", "setting", "train_accuracy", "test_accuracy"]
FLOORS = (1e-6, 1e-4, 1e-3, 1e-2, 0.1)  # the lowest first
DELTA = 1e-4  # of private training, and of the bounds beside it: below one over the number of records


def announce_mitigated(e: StockExperiment, known: Sequence[Mitigation], make_model: MakeModel, recipe: Recipe) -> str:
    """What `mitigated_rates` is about to train, as `announce_stocks`: the plain stock, and one for each other training."""
    retrained = [
        e._replace(trainer=each.trainer(make_model, recipe), network=f"{e.network}, {each.setting}")
        for each in known
        if each.trainer
    ]
    return announce_stocks(e, *retrained)


def mitigated_rates(
    e: StockExperiment,
    known: Sequence[Mitigation],
    make_model: MakeModel,
    recipe: Recipe,
    n_targets: int | None = None,
    n_answer_targets: int = 2,
    fprs: Sequence[float] = (0.01, LOW),
) -> pd.DataFrame:
    """`rate_table` of the attack of 2017, one threshold, Watson's and LiRA under every mitigation: with mitigation, knob, at,
    setting, train_accuracy and test_accuracy in front, and rows of metric "epsilon" (see `epsilon_rows`).

    The attacker knows of the mitigation: references carry it. Trainings make a stock each, filters none. Of a stock the last
    model and its complement are not attacked: there the attacker tunes how he reads filtered answers (`filtered_stock`).
    """
    if not known:
        raise ValueError("known must hold at least one mitigation, or sweep.NONE, got none")
    parts, most = [], e.n_models - 2
    n_targets = most if n_targets is None else min(n_targets, most)
    for each in known:
        trainer = each.trainer(make_model, recipe) if each.trainer else e.trainer
        trial = filtered_stock(e, each) if each.answer else run_stock(e._replace(trainer=trainer))
        scores = stock_scores(trial, {name: STOCK_ATTACKS[name] for name in FOLLOWED}, n_targets)
        if checks.whole("n_answer_targets", n_answer_targets, 0):
            scores += answer_scores(trial, {"shokri": ANSWER_ATTACKS["shokri"]}, n_answer_targets)
        accuracy = stock_accuracies([trial])[["train_accuracy", "test_accuracy"]].iloc[0].to_dict()
        facts = {"mitigation": each.name, "knob": each.knob, "at": each.at, "setting": each.setting} | accuracy
        table = pd.concat([rate_table(trial, scores, fprs, n_boot=100), epsilon_rows(trial, scores)], ignore_index=True)
        parts.append(table.assign(**facts))
    return columns_first(pd.concat(parts, ignore_index=True), OF_MITIGATION)


def filtered_stock(e: StockExperiment, mitigation: Mitigation) -> StockTrial:
    """The stock under a filter of answers, read with the floor of FLOORS (see `shadow.log_odds`) with which LiRA ranks the
    records of the last model best: what a filter cuts, rounds or disturbs near 0 and 1 would mislead it.
    """
    lowest = run_stock(e, None, mitigation.answer, mitigation.shadows, FLOORS[0])
    return max((_with_floor(lowest, floor) for floor in FLOORS), key=_last_model_auc)


def _with_floor(trial: StockTrial, floor: float) -> StockTrial:
    """The same answers with a higher floor: their log-odds, cut off at its own."""
    limit = np.float32(np.log1p(-floor) - np.log(floor))
    own, others = (replace(part, signal=part.signal.clip(-limit, limit)) for part in (trial.own, trial.others))
    return trial._replace(own=own, others=others)


def _last_model_auc(trial: StockTrial) -> float:
    last = len(trial.others) - 1
    score = STOCK_ATTACKS[BEST](trial._replace(own=trial.others).attacked(last))
    judged = ~trial.population
    return metrics.auc(trial.others.member[last][judged], score[judged])


def epsilon_rows(trial: StockTrial, scores: Iterable[Scores], delta: float = DELTA) -> pd.DataFrame:
    """Lower bounds of ε that an attack proves, rows of metric "epsilon": the median over targets, with the lowest and the
    highest one; ceiling: what a perfect attack would prove with as many records.

    estimate "counts": Clopper-Pearson, the threshold chosen on one half of the records, counted on the other. estimate "one
    run" (Steinke et al. 2023): the quarter of the records with the highest scores guessed to be in, that with the lowest out,
    a share fixed before any answer was seen; it assumes a coin a record, which halves of all records are nearly.
    """
    dataset, rows = trial.experiment.dataset, []
    for s in some_scores(scores):
        for estimate, of in (("counts", _by_counts), ("one run", _by_one_run)):
            found = np.array([of(trial, s, place, delta) for place in range(len(s.targets))])
            value, low, high = np.median(found[:, 0]), found[:, 0].min(), found[:, 0].max()
            front = {"dataset": dataset.name, "source": dataset.source, "attack": s.attack, "metric": "epsilon"}
            numbers = {"value": value, "low": low, "high": high, "ceiling": found[:, 1].min(), "n_targets": len(found)}
            rows.append(front | {"estimate": estimate, "n_references": s.n_references, "delta": delta} | numbers)
    return pd.DataFrame(rows)


def _by_counts(trial: StockTrial, s: Scores, place: int, delta: float) -> tuple[float, float]:
    seed = randomness.derive(trial.experiment.seed, "audit", int(s.targets[place]))
    return metrics.audited_epsilon(s.score[place], s.member[place], delta=delta, seed=seed)


def _by_one_run(trial: StockTrial, s: Scores, place: int, delta: float) -> tuple[float, float]:
    known = np.flatnonzero(~np.isnan(s.score[place]))
    order = known[np.argsort(s.score[place][known], kind="stable")]
    quarter = len(order) // 4
    member = s.member[place]
    right = int(member[order[-quarter:]].sum() + (~member[order[:quarter]]).sum())
    bounds = [metrics.one_run_epsilon(2 * quarter, r, len(order), delta) for r in (right, 2 * quarter)]
    return bounds[0], bounds[1]


def two_standings(table: pd.DataFrame, fpr: float = 0.01, average: str = "shokri", low: str = BEST) -> pd.DataFrame:
    """Each mitigation judged twice, a row a mitigation: dataset, source, mitigation, knob, at, test_accuracy, average (balanced
    accuracy of one attack), low_rate (true positive rate of another at `fpr`), their intervals, and the ranks among the data
    set's mitigations, 1 the one that leaks least. table: `mitigated_rates`; a mitigation that lacks one of the two has no row.
    """
    check_columns("table", table, [*OF_MITIGATION, "attack", "metric", "fpr", "value", "low", "high"])
    table = table.fillna({"knob": ""})  # a table that was read back has empty cells
    views = {
        "average": table[(table["attack"] == average) & (table["metric"] == "balanced_accuracy")],
        "low_rate": table[(table["attack"] == low) & (table["metric"] == "tpr") & (table["fpr"] == fpr)],
    }
    for name, rows in views.items():
        if rows.empty:
            raise ValueError(f"table must hold {average}'s balanced accuracy and {low}'s rate at {fpr}, lacks the {name}")
    parts = [
        rows.set_index(OF_MITIGATION)[["value", "low", "high"]].set_axis([name, f"{name}_low", f"{name}_high"], axis=1)
        for name, rows in views.items()
    ]
    both = parts[0].join(parts[1], how="inner", validate="one_to_one").reset_index().assign(fpr=fpr)
    for name in views:
        both[f"{name}_rank"] = both.groupby("dataset")[name].rank(method="min").astype(int)
    return both.drop(columns="train_accuracy")


def promises(table: pd.DataFrame, attack: str = BEST) -> pd.DataFrame:
    """What trainings promised and what was proved of them, a row an estimate: training, promised (ε; NaN without a guarantee),
    estimate, value, low, high, ceiling, delta. table: `mitigated_rates`; of its rows no mitigation and private trainings.
    """
    numbers = ["estimate", "value", "low", "high", "ceiling", "delta"]
    rows = check_columns("table", table, ["dataset", "source", "mitigation", "at", "attack", "metric", *numbers])
    rows = rows[(rows["metric"] == "epsilon") & rows["mitigation"].isin([NONE.name, "private training"])]
    rows = rows[rows["attack"] == checks.choice("attack", attack, [*dict.fromkeys(rows["attack"])])]
    promised = rows["at"].where(rows["mitigation"] != NONE.name)
    training = np.where(promised.isna(), "no mitigation", "private, ε = " + rows["at"].map("{:g}".format))
    table = rows.assign(training=training, promised=promised)
    return table[["dataset", "source", "training", "promised", *numbers]].reset_index(drop=True)
