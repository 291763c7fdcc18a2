"""What a reader may look at alone: ROC curves with intervals by attack and number of references, and single records with what
every model of a stock answers about them. Small tables, which the site's explorer draws.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib.attack.likelihood_ratio import global_deviation
from mialib.attack.references import mean_where
from mialib.core import checks, randomness
from mialib.core.types import Dataset
from mialib.metrics.ranking import judged_scores
from mialib.study.exposure import EXPOSURES
from mialib.study.modern import LEAST, check_columns, rate_table, tpr_rows, usable_reference_counts
from mialib.study.stocks import ANSWER_ATTACKS, STOCK_ATTACKS, Scores, StockTrial, answer_scores, stock_scores

RATE_GRID = tuple(float(f"{10 ** (k / 10 - 4):.4g}") for k in range(41))  # false positive rates, ten a decade, 0.0001 to 1
EXPLORED = ("confidence", "shokri", "watson", "rmia_online", "lira_online", "lira_online_global")  # attacks, as in tables
CHOSEN = {"most exposed": 16, "least exposed": 8, "at random": 12}  # records of a data set
CURVE = ["dataset", "source", "attack", "n_references", "fpr", "tpr", "low", "high", "n_targets", "pooled"]


class ExploredTables(NamedTuple):
    """Records that a reader may look at.

    records: dataset, source, record, chosen (one of CHOSEN), cls, name, member_of, found, separation, out_accuracy (as in
    `exposure.exposures`). answers: dataset, record, model, member, signal (log-odds of the true class), rate (the lowest false
    positive rate at which the attack on this model calls the record a member; NaN where it never does, or attacks another).
    widths: dataset, model, inside, outside: LiRA's one deviation of all IN and of all OUT signals among a target's references.
    pictures: dataset, record, height, width, channels, pixels (hexadecimal bytes, row by row); of data that are none, no row.
    """

    records: pd.DataFrame
    answers: pd.DataFrame
    widths: pd.DataFrame
    pictures: pd.DataFrame


def curves_by_count(
    trial: StockTrial,
    counts: Iterable[int],
    n_targets: int | None = None,
    n_answer_targets: int = 2,
    most_answered: int = 14,
    fprs: Sequence[float] = RATE_GRID,
) -> pd.DataFrame:
    """True positive rates of the attacks EXPLORED with their first n references, at every false positive rate that the targets
    carry, with 95% intervals (`modern.by_reference_count`, whose numbers these are, on a finer grid): the columns of CURVE.

    One threshold needs no reference: its n_references is 0. The attack of 2017 comes on `n_answer_targets` targets and up to
    `most_answered` references. Rates have five decimals.
    """
    on_signals = {name: STOCK_ATTACKS[name] for name in EXPLORED if name in STOCK_ATTACKS}
    scores = [s._replace(n_references=0) for s in stock_scores(trial, {"confidence": on_signals.pop("confidence")}, n_targets)]
    for n in usable_reference_counts(trial, counts):
        if n > 1:
            able = {name: attack for name, attack in on_signals.items() if n >= LEAST.get(name, 1)}
            scores += stock_scores(trial, able, n_targets, n)
        if 1 < n <= checks.whole("most_answered", most_answered, 1):
            scores += answer_scores(trial, {"shokri": ANSWER_ATTACKS["shokri"]}, n_answer_targets, n)
    rates = tpr_rows(rate_table(trial, scores, fprs, n_boot=100))[CURVE]
    return rates.round({"tpr": 5, "low": 5, "high": 5})


def explored_records(
    trial: StockTrial, scores: Scores, exposed: pd.DataFrame, chosen: Mapping[str, int] = CHOSEN
) -> ExploredTables:
    """The records of a stock that a reader may look at, and what is known of them. scores: of LiRA, on the targets; exposed:
    `exposure.exposures` of the same.
    """
    records = choose_records(exposed, trial.experiment.seed, chosen)
    rows = records["record"].to_numpy()
    dataset = trial.experiment.dataset
    return ExploredTables(
        records, _answers(trial, scores, rows), _widths(trial, scores.targets), record_pictures(dataset, rows)
    )


def joined_tables(parts: Iterable[ExploredTables]) -> ExploredTables:
    """The tables of several data sets in one."""
    return ExploredTables(*(pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True)))


def choose_records(exposed: pd.DataFrame, seed: int, chosen: Mapping[str, int] = CHOSEN) -> pd.DataFrame:
    """The most and least exposed records, and some at random of those in between: the rows of `exposed` (one data set) with a
    column chosen, the most exposed first. Exposed is a record by `found`, among equals by `separation`; records that no target
    had are left out. Where there are too few records, the last groups are smaller.
    """
    table = check_columns("exposed", exposed, EXPOSURES)
    if table["dataset"].nunique() != 1:
        raise ValueError(f"exposed must be of one data set, got {', '.join(table['dataset'].unique()) or 'no rows'}")
    table = table.dropna(subset=["found", "separation"]).sort_values(["found", "separation"], ascending=False, kind="stable")
    most, least, random = (checks.whole(f"chosen[{name!r}]", chosen[name], 0) for name in CHOSEN)
    places = np.arange(len(table))
    first, last = places[:most], places[most:][len(places[most:]) - min(least, len(places[most:])) :]
    between = np.setdiff1d(places, [*first, *last])
    rng = randomness.generator(seed, "explored", str(exposed["dataset"].iloc[0]))
    drawn = np.sort(rng.choice(between, min(random, len(between)), replace=False)).astype(int)
    parts = [table.iloc[at].assign(chosen=name) for name, at in zip(CHOSEN, (first, last, drawn), strict=True)]
    front = ["dataset", "source", "record", "chosen"]
    return pd.concat(parts, ignore_index=True)[[*front, *(name for name in EXPOSURES if name not in front)]]


def lowest_rates(score: np.ndarray, member: np.ndarray) -> np.ndarray:
    """The lowest false positive rate at which `metrics.threshold_at_fpr` calls each record a member, (n,): the rate at the
    member that scores as high, or next below. NaN for a record that is not judged, or scores lower than every member.
    """
    inside, judged = judged_scores(member, score)
    members, others = np.sort(judged[inside]), np.sort(judged[~inside])
    at_member = 1 - np.searchsorted(others, members, "left") / len(others)
    rates = np.full(len(score), np.nan)
    known = ~np.isnan(score)
    place = np.searchsorted(members, score[known], "right") - 1
    rates[known] = np.where(place < 0, np.nan, at_member[np.maximum(place, 0)])
    return rates


def record_pictures(dataset: Dataset, records: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """The pictures of some records: dataset, record, height, width, channels, pixels (hexadecimal bytes, row by row). Of a data
    set that holds none, no row: what its records are stays where it is.
    """
    rows = []
    for record in records if dataset.x.ndim > 2 else ():
        picture = dataset.x[record].reshape(*dataset.x.shape[1:3], -1)
        size = dict(zip(("height", "width", "channels"), picture.shape, strict=True))
        rows.append({"dataset": dataset.name, "record": int(record)} | size | {"pixels": picture.tobytes().hex()})
    return pd.DataFrame(rows, columns=["dataset", "record", "height", "width", "channels", "pixels"])


def _answers(trial: StockTrial, scores: Scores, records: np.ndarray) -> pd.DataFrame:
    """What every model says of some records, record by record."""
    k = len(trial.own)
    rates = np.full((k, len(records)), np.nan)
    for target, score, inside in zip(scores.targets, scores.score, scores.member, strict=True):
        rates[target] = lowest_rates(score, inside)[records]
    return pd.DataFrame(
        {
            "dataset": trial.experiment.dataset.name,
            "record": np.repeat(records, k),
            "model": np.tile(np.arange(k), len(records)),
            "member": trial.own.member[:, records].T.ravel(),
            "signal": trial.own.signal[:, records].T.ravel().astype(float).round(4),
            "rate": rates.T.ravel().round(9),
        }
    )


def _widths(trial: StockTrial, targets: np.ndarray) -> pd.DataFrame:
    stocks = [trial.attacked(target).references for target in targets.tolist()]
    inside, outside = ([round(global_deviation(stock, side, mean_where), 5) for stock in stocks] for side in (True, False))
    return pd.DataFrame({"dataset": trial.experiment.dataset.name, "model": targets, "inside": inside, "outside": outside})
