"""Attacks that look at one number a record and compare it with what other models answered the same record.

All take signal, the target's (n,) or (n, q) for q queries a record, and a `Stock` of reference models on the same records; all
return one score a record, float64 (n,), higher for likelier members, the mean over queries. A record without a reference of the
kind that an attack needs (trained with it, IN, or without it, OUT) has the score NaN; a warning counts them.
"""

import logging
from collections.abc import Callable, Iterator

import numpy as np

from mialib.core import checks
from mialib.core.stocks import Stock

log = logging.getLogger(__name__)

SIGNALS_AT_ONCE = 2**21  # numbers of the stock that are looked at together
_told: set[tuple[int, int]] = set()  # how many records of how many lacked a reference


def attack_p(signal: np.ndarray, stock: Stock, population: np.ndarray) -> np.ndarray:
    """Share of the population whose signal lies below the record's: above 1 - alpha, the record's loss lies below the
    population's alpha-quantile (Ye et al. 2022, Attack-P). population: bool (n,), NaN for these records themselves.
    """
    signal = check_signal(signal, stock)
    population = check_population(population, stock)
    scores = [np.searchsorted(np.sort(one[population]), one) / population.sum() for one in signal.T]
    return judged(scores, population)


def attack_r(signal: np.ndarray, stock: Stock) -> np.ndarray:
    """Share of the record's OUT references whose signal lies below the target's: above 1 - alpha, the loss lies below the
    alpha-quantile of the losses of models trained without the record (Ye et al. 2022, Attack-R).
    """

    def score(one: np.ndarray, answers: np.ndarray, member: np.ndarray) -> np.ndarray:
        return mean_where(answers < one, ~member)

    return by_record(score, signal, stock)


def calibrated(signal: np.ndarray, stock: Stock) -> np.ndarray:
    """The signal less its mean over OUT references: how much easier the record is than it should be (Watson et al. 2022)."""

    def score(one: np.ndarray, answers: np.ndarray, member: np.ndarray) -> np.ndarray:
        return one - mean_where(answers, ~member)

    return by_record(score, signal, stock)


def sablayrolles(signal: np.ndarray, stock: Stock) -> np.ndarray:
    """The signal less the middle between its means over IN and OUT references (Sablayrolles et al. 2019)."""

    def score(one: np.ndarray, answers: np.ndarray, member: np.ndarray) -> np.ndarray:
        return one - (mean_where(answers, member) + mean_where(answers, ~member)) / 2

    return by_record(score, signal, stock)


def base(signal: np.ndarray, stock: Stock) -> np.ndarray:
    """Log of the probability of the true class less the log of its mean over all references (BASE)."""

    def score(one: np.ndarray, answers: np.ndarray, member: np.ndarray) -> np.ndarray:
        return log_probability(one) - log_mean_exp(log_probability(answers))

    return by_record(score, signal, stock)


# What attacks with references share


def by_record(
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray], signal: np.ndarray, stock: Stock, least: int = 1
) -> np.ndarray:
    """`score` of every record, (n,), the mean over queries: it gets some records' signals (b,), the references' (k, b), and
    which of these are IN (k, b), in float64, and answers (b,).
    """
    signal = check_signal(signal, stock, least)
    scores = np.empty(signal.shape)
    for query, rows, answers, member in parts(stock):
        scores[rows, query] = score(signal[rows, query], answers, member)
    return judged(list(scores.T))


def parts(stock: Stock) -> Iterator[tuple[int, slice, np.ndarray, np.ndarray]]:
    """A stock in parts that are small in memory: a query's number, some records, their signals (k, b) in float64, and which of
    these are IN (k, b).
    """
    n, size = stock.member.shape[1], max(1, SIGNALS_AT_ONCE // len(stock))
    by_query = stock.signal[:, :, None] if stock.signal.ndim == 2 else stock.signal
    for query in range(by_query.shape[2]):
        for start in range(0, n, size):
            rows = slice(start, start + size)
            yield query, rows, by_query[:, rows, query].astype(float), stock.member[:, rows]


def judged(scores: list[np.ndarray], population: np.ndarray | None = None) -> np.ndarray:
    """The mean of the queries' scores, float64 (n,), NaN for the population; a warning counts other records without one."""
    mean = np.mean(scores, axis=0) if len(scores) > 1 else np.asarray(scores[0], float).copy()
    lacking = int(np.isnan(mean).sum())
    if lacking == len(mean):
        raise ValueError("stock must give some record a reference of each kind that the attack needs, got none")
    if lacking and (lacking, len(mean)) not in _told:  # once: not for each target of a stock
        _told.add((lacking, len(mean)))
        log.warning("%d of %d records lack a reference of a kind that the attack needs: their score is NaN", lacking, len(mean))
    if population is not None:
        mean[population] = np.nan
    return mean


def mean_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Means of values (k, b) over the models in which `where` (k, b) is true, (b,); NaN where there is none."""
    count = where.sum(0)
    total = np.einsum("kb,kb->b", values, where, dtype=float)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def log_probability(log_odds: np.ndarray) -> np.ndarray:
    """log p of log-odds log(p / (1 - p)), float64, without loss at either end."""
    return -np.logaddexp(0, -np.asarray(log_odds, float))


def log_mean_exp(values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Log of the mean of exp(values) over models, (b,) of (k, b), or over those in which `where` is true (NaN: none)."""
    top = values.max(0)
    shares = np.exp(values - top)
    with np.errstate(divide="ignore"):
        return top + np.log(shares.mean(0) if where is None else mean_where(shares, where))


def check_signal(signal: np.ndarray, stock: Stock, least: int = 1) -> np.ndarray:
    """`signal` as float64 (n, q), q >= 1; TypeError or ValueError unless it fits a stock of `least` references or more."""
    checks.instance("stock", stock, Stock)
    if len(stock) < least:
        raise ValueError(f"stock must hold at least {least} reference models, got {len(stock)}")
    signal = checks.array("signal", signal)
    if signal.dtype.kind != "f" or signal.shape != stock.signal.shape[1:]:
        raise TypeError(f"signal must be floats of shape {stock.signal.shape[1:]}, as the stock's, got {checks.kind(signal)}")
    if not np.isfinite(signal).all():
        raise ValueError(f"signal must be finite, got {np.count_nonzero(~np.isfinite(signal))} values that are not")
    return signal.astype(float).reshape(len(signal), -1)


def check_population(population: np.ndarray, stock: Stock) -> np.ndarray:
    """`population`, bool (n,); TypeError or ValueError unless it holds some of the records, and not all."""
    n = len(stock.labels)
    if not checks.is_array(population) or population.dtype != bool or population.shape != (n,):
        raise TypeError(f"population must be bool of shape ({n},), got {checks.kind(population)}")
    if not population.any() or population.all():
        raise ValueError(f"population must hold some of the {n} records, and leave some to judge, got {population.sum()}")
    return population
