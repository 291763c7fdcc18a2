"""The likelihood ratio attack, LiRA: a Gaussian for a record's signals in models trained with it, and one for the others
(Carlini et al., IEEE S&P 2022).
"""

from collections.abc import Callable

import numpy as np
import scipy.special

from mialib.attack.references import by_record, check_signal, mean_where, parts
from mialib.core import checks
from mialib.core.stocks import Stock

LIRA_MODES = ("online", "offline", "offline-logpdf")
ENOUGH = 64  # reference models: from here on a record's own variance is better than one for all (Sec. VI-C)
TINY = 1e-30  # of a deviation: signals that are all equal
Middle = Callable[[np.ndarray, np.ndarray], np.ndarray]


def lira(
    signal: np.ndarray, stock: Stock, *, mode: str = "online", variance: str | None = None, center: str = "mean"
) -> np.ndarray:
    """LiRA's score of every record, float64 (n,); arguments and NaN as in `attack.references`.

    mode: "online", log N(signal; IN) - log N(signal; OUT); "offline" (eq. 4, one-sided), minus the log of the probability that
    an OUT model's signal is larger; "offline-logpdf", as the authors' code has it, -log N(signal; OUT): two-sided, so that a
    record far below its OUT models counts as a member, too.
    variance: "record", the deviations of the record's own signals; "global", one for all IN signals and one for all OUT
    signals, from their distances to their records' means; None: "global" below 64 references, "record" from there on. Where
    every record has a single reference of a kind there are no distances: then "global" takes the spread over all records.
    center: "mean", or "median" as in the authors' code.
    Raises TypeError or ValueError, also for fewer than two references.
    """
    checks.choice("mode", mode, LIRA_MODES)
    checks.choice("center", center, ("mean", "median"))
    checks.choice("variance", variance, (None, "record", "global"))
    check_signal(signal, stock, least=2)
    middle = mean_where if center == "mean" else _median_where
    one_for_all = variance == "global" or (variance is None and len(stock) < ENOUGH)
    sides = (True, False) if mode == "online" else (False,)
    shared = {side: global_deviation(stock, side, middle) for side in sides} if one_for_all else {}

    def gaussian(answers: np.ndarray, where: np.ndarray, side: bool) -> tuple[np.ndarray, np.ndarray | float]:
        centre = middle(answers, where)
        return centre, shared[side] if one_for_all else _deviation(answers, where)

    def score(one: np.ndarray, answers: np.ndarray, member: np.ndarray) -> np.ndarray:
        outside = gaussian(answers, ~member, False)
        if mode == "offline":
            return -scipy.special.log_ndtr((outside[0] - one) / outside[1])
        if mode == "offline-logpdf":
            return -_log_density(one, *outside)
        return _log_density(one, *gaussian(answers, member, True)) - _log_density(one, *outside)

    return by_record(score, signal, stock, least=2)


def _log_density(x: np.ndarray, centre: np.ndarray, deviation: np.ndarray | float) -> np.ndarray:
    return -(((x - centre) / deviation) ** 2) / 2 - np.log(deviation) - np.log(2 * np.pi) / 2


def _deviation(answers: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Of each record's signals (k, b) in the models `where`, (b,); NaN for fewer than two."""
    squares = mean_where((answers - mean_where(answers, where)) ** 2, where)
    return np.where(where.sum(0) > 1, np.sqrt(squares) + TINY, np.nan)


def global_deviation(stock: Stock, side: bool, middle: Middle) -> float:
    """One deviation for all records' signals in IN (or OUT) models: of their distances to the record's own middle."""
    squares = total = square_total = 0.0
    count = spare = 0
    for _, _, answers, member in parts(stock):
        where = member == side
        of_record = where.sum(0)
        distances = answers - np.where(of_record > 0, middle(answers, where), 0)
        squares += float((distances**2).sum(where=where))
        square_total, total = square_total + float((answers**2).sum(where=where)), total + float(answers.sum(where=where))
        count, spare = count + int(of_record.sum()), spare + int(np.maximum(of_record - 1, 0).sum())
    if not count:
        return np.nan
    variance = squares / spare if spare else square_total / count - (total / count) ** 2
    return float(np.sqrt(max(variance, 0.0))) + TINY


def _median_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """As `mean_where`, the median."""
    count = where.sum(0)
    ordered = np.sort(np.where(where, values, np.inf), axis=0)
    ends = [np.take_along_axis(ordered, np.maximum(place, 0)[None], 0)[0] for place in ((count - 1) // 2, count // 2)]
    return np.where(count > 0, (ends[0] + ends[1]) / 2, np.nan)
