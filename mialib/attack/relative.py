"""The relative attack, RMIA: how many records of the population does a record beat, if both are measured by what other models
say of them (Zarifzadeh, Liu, Shokri, ICML 2024).
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from mialib.attack.references import check_population, check_signal, judged, log_mean_exp, log_probability, parts
from mialib.core import checks
from mialib.core.stocks import Stock

OFFSETS = np.linspace(0, 1, 11)  # of `a`, tried where it is tuned
MOCK_TARGETS = 4  # references that take the target's place, at most


def rmia(
    signal: np.ndarray,
    stock: Stock,
    population: np.ndarray,
    *,
    gamma: float = 2.0,
    a: float | None = None,
    mode: str = "online",
) -> np.ndarray:
    """Share of the population records z with LR(x, z) >= gamma, float64 (n,); arguments and NaN as in `attack.references`.

    LR(x, z) = (p(x | target) / p(x)) / (p(z | target) / p(z)), where p is the probability of the true class. p(x) is the mean
    over all references ("online"), or ((1 + a) * the mean over OUT references + (1 - a)) / 2 ("offline"; without OUT
    references NaN). a: 0 to 1; None: `tuned_offset`, on references alone. population: bool (n,), the records that serve as z,
    which are not judged: NaN. The score has at most as many values as the population has records, and one more.
    Raises TypeError or ValueError.
    """
    checks.choice("mode", mode, ("online", "offline"))
    checks.real("gamma", gamma, 0, open_low=True)
    ours = check_signal(signal, stock)
    check_population(population, stock)
    if mode == "online":
        if a is not None:
            raise ValueError(f"a must be None where mode is 'online', which has no use for it, got {a}")
        return _beaten(_ratios(ours, stock, None), population, gamma)
    offset = tuned_offset(stock, population, gamma) if a is None else checks.real("a", a, 0, 1)
    return _beaten(_ratios(ours, stock, offset), population, gamma)


def tuned_offset(stock: Stock, population: np.ndarray, gamma: float = 2.0) -> float:
    """The a in 0, 0.1 … 1 with which offline RMIA ranks best (AUC) where references take the target's place: up to four of
    them, each with its own references in the stock. Raises ValueError where none has any.
    """
    check_population(population, stock)
    mocks = _mock_targets(stock)
    outside = _log_means(stock, [references for _, references in mocks], outside=True)
    totals = np.zeros(len(OFFSETS))
    for (mock, _), means in zip(mocks, outside, strict=True):
        ours, member = stock.signal[mock].reshape(len(population), -1).astype(float), stock.member[mock]
        totals += [_ranking(_beaten(_offline(ours, means, a), population, gamma), member) for a in OFFSETS]
    return float(OFFSETS[totals.argmax()])


def _mock_targets(stock: Stock) -> list[tuple[int, np.ndarray]]:
    """The first models that have references in the stock, and these."""
    found: list[tuple[int, np.ndarray]] = []
    for mock in range(len(stock)):
        with suppress(ValueError):  # none beside itself and its complement
            found.append((mock, stock.references(mock)))
        if len(found) == MOCK_TARGETS:
            break
    if not found:
        raise ValueError(f"a must be given: {len(stock)} references leave none for a reference in the target's place, got None")
    return found


def _ratios(ours: np.ndarray, stock: Stock, a: float | None) -> np.ndarray:
    """log(p(x | target) / p(x)), float64 (n, q)."""
    if a is None:
        return log_probability(ours) - _log_means(stock, [np.arange(len(stock))], outside=False)[0]
    return _offline(ours, _log_means(stock, [np.arange(len(stock))], outside=True)[0], a)


def _offline(ours: np.ndarray, outside: np.ndarray, a: float) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):  # a = 1 leaves the OUT models alone; NaN: there are none
        return log_probability(ours) - np.logaddexp(np.log((1 + a) / 2) + outside, np.log((1 - a) / 2))


def _log_means(stock: Stock, groups: Sequence[np.ndarray], *, outside: bool) -> list[np.ndarray]:
    """Of each group of models, the log of the mean probability over all of them, or over OUT ones, float64 (n, q)."""
    means = [np.empty((len(stock.labels), stock.signal[0, 0].size)) for _ in groups]
    for query, rows, answers, member in parts(stock):
        logs = log_probability(answers)
        for of_group, group in zip(means, groups, strict=True):
            of_group[rows, query] = log_mean_exp(logs[group], ~member[group] if outside else None)
    return means


def _beaten(ratios: np.ndarray, population: np.ndarray, gamma: float) -> np.ndarray:
    """For each record, the share of the population that it beats by gamma; the mean over queries."""
    scores = []
    for one in ratios.T:
        others = np.sort(one[population & ~np.isnan(one)])
        if not len(others):
            raise ValueError("population must hold records with an OUT reference, got none")
        scores.append(np.where(np.isnan(one), np.nan, np.searchsorted(others, one - np.log(gamma), "right") / len(others)))
    return judged(scores, population)


def _ranking(score: np.ndarray, member: np.ndarray) -> float:
    """How often a member's score lies above a non-member's, ties counting half."""
    known = ~np.isnan(score)
    inside, outside = score[known & member], np.sort(score[known & ~member])
    if not len(inside) or not len(outside):
        return 0.5
    below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
    return float(below.mean() / (2 * len(outside)))
