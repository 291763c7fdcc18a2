"""Model inversion: a record that a model takes for a class, made from the model alone (Fredrikson, Jha & Ristenpart, CCS 2015).

What comes out is what the model knows of the class as a whole, no record that it was trained on (Shokri et al. 2017, Sec. IX,
Fig. 13). White box: `invert`, by gradients; black box: `invert_by_answers`, by differences between answers. Both go down the
cost -log p(label) + AuxTerm, without momentum; many labels take a step together, each on a path of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mialib.attack.class_cost import LEAST_PROBABILITY, ClassCost, class_cost, root_mean_square
from mialib.core import checks, randomness
from mialib.core.types import BlackBox
from mialib.training import module_of

FIRST_MOVE = 0.03  # of the first step: root mean square over a record's numbers
GROW, SHRINK = 1.5, 0.5  # the rate after a step that lowered the cost, and after one that did not
PROGRESS = 1e-5  # a step that lowers the cost by a smaller share of it is none
MOVES = np.array([0.3, 1.0, 3.0])  # times the last one: steps that are tried at once, as a slope costs far more rows than they
NUMBERS_A_SEARCH = 2**22  # of points in memory: more labels are searched for one after another


class Inverted(NamedTuple):
    """What m searches found.

    record: (m, ...), uint8 pixels or float32; confidence: float64 (m,), the model's probability of the label for this very
    record; cost: float64 (m,); queries: int64 (m,), the rows that the model was asked, or whose gradient was taken.
    """

    record: np.ndarray
    confidence: np.ndarray
    cost: np.ndarray
    queries: np.ndarray


def invert(
    model: BlackBox,
    shape: Sequence[int],
    label: int | Sequence[int],
    *,
    pixels: bool = True,
    start: np.ndarray | None = None,
    noise: float = 0.0,
    smoothness: float = 0.0,
    distance: float = 0.0,
    half_waves: float | None = None,
    steps: int = 200,
    patience: int = 20,
    enough: float = 0.0,
    seed: int = 0,
) -> Inverted:
    """White box: a record of class `label`, or of each of several, by gradient descent (MI-Face, their Algorithm 1).

    model: a network of a trainer or `mialib.black_box(module)`. shape: of a record. label: a column of the answers. pixels:
    records are pixels, (h, w[, channels]), searched between black and white in units of this range; else numbers of a table,
    without bounds. start: a record; None: grey, or zeros. noise: the root mean square of what is added to it, drawn from (seed,
    label).

    The cost is -log p(label) + smoothness * (squared differences of neighbouring pixels) + distance * (squared distance from
    `start`), sums over a record. Theirs, 1 - p(label) + AuxTerm, has the same direction without AuxTerm, and no slope where p
    is about 0. half_waves: steps (and noise) are smooth, so that pictures are: of the slope's cosines, those of about so many
    half waves a side or fewer count, others hardly; None: all alike, as in the algorithm. The rate adapts: a step that raises
    the cost is taken back and halves it. A search ends after `steps` gradients, at a cost of `enough` or less (their gamma), or
    after `patience` steps in a row without progress (their beta).

    Raises TypeError for a model without gradients, TypeError or ValueError for other arguments, the model's shape included.
    """
    module_of(model)
    task = class_cost(shape, label, pixels, start, noise, smoothness, distance, half_waves, seed)
    checks.whole("steps", steps, 1)
    _check_ends(patience, enough)
    most = max(1, NUMBERS_A_SEARCH // task.start.size)
    return _joined(_descend(model, part, steps, patience, enough) for part in task.parts(most))


def invert_by_answers(
    model: BlackBox,
    shape: Sequence[int],
    label: int | Sequence[int],
    *,
    max_queries: int,
    pixels: bool = True,
    start: np.ndarray | None = None,
    noise: float = 0.0,
    smoothness: float = 0.0,
    distance: float = 0.0,
    half_waves: float | None = 4.0,
    pairs: int = 40,
    radius: float = 0.05,
    patience: int = 20,
    enough: float = 0.0,
    seed: int = 0,
) -> Inverted:
    """Black box: the same from answers alone, of at most `max_queries` rows a label, the start included.

    The slope is that of `slope_by_differences` along `pairs` random directions, asked `radius` to either side (root mean
    square, in units of the range). Of pictures these are smooth, so that its mean is the slope that `invert` follows with the
    same `half_waves`: of thousands of independent directions a budget sees too few. Steps of three lengths are asked for; the
    best is kept if it lowers the cost, and if none does, the next directions are added to these. What is asked are records as
    users have them, in whole pixels. model: any object with `predict_proba`. What is drawn depends on (seed, label) alone.
    Other arguments and errors: as of `invert`.
    """
    task = class_cost(shape, label, pixels, start, noise, smoothness, distance, half_waves, seed)
    checks.whole("max_queries", max_queries, 1)
    checks.whole("pairs", pairs, 1)
    checks.real("radius", radius, 0, open_low=True)
    _check_ends(patience, enough)
    most = max(1, NUMBERS_A_SEARCH // (2 * pairs * task.start.size))
    searches = (_Asking(model, part, max_queries, seed) for part in task.parts(most))
    return _joined(search.descend(pairs, radius, patience, enough) for search in searches)


def _joined(parts: Iterable[Inverted]) -> Inverted:
    return Inverted(*map(np.concatenate, zip(*parts, strict=True)))


def _descend(model: BlackBox, of: ClassCost, steps: int, patience: int, enough: float) -> Inverted:
    u, m = of.origin.copy(), len(of.labels)
    cost, slope = of.cost_and_slope(model, u, np.arange(m), first=True)
    rate = FIRST_MOVE / np.maximum(root_mean_square(slope), LEAST_PROBABILITY)
    stale, queries = np.zeros(m, np.int64), np.ones(m, np.int64)
    while len(rows := np.flatnonzero((queries < steps) & (cost > enough) & (stale < patience))):
        moved = of.inside(u[rows] - rate[rows, None] * slope[rows])
        new_cost, new_slope = of.cost_and_slope(model, moved, rows)
        queries[rows] += 1
        stale[rows] = np.where(_progress(cost[rows], new_cost), 0, stale[rows] + 1)
        lower = new_cost < cost[rows]
        rate[rows] *= np.where(lower, GROW, SHRINK)
        u[rows[lower]], cost[rows[lower]], slope[rows[lower]] = moved[lower], new_cost[lower], new_slope[lower]
    record = of.records(u)
    return Inverted(record, of.probabilities(model, record, np.arange(m)), cost, queries + 1)


class _Asking:
    """Searches by answers that take each step together, and have `left` rows each, the same number."""

    def __init__(self, model: BlackBox, of: ClassCost, max_queries: int, seed: int) -> None:
        self.model, self.of, m = model, of, len(of.labels)
        self.u, self.left, self.max_queries = of.whole(of.origin), max_queries - 1, max_queries
        self.cost, self.probability = of.asked(model, self.u[:, None], np.arange(m), first=True)[:, :, 0]
        self.streams = [randomness.generator(seed, "inversion directions", int(c)) for c in of.labels]
        self.slope, self.move = np.zeros_like(self.u), np.full(m, FIRST_MOVE)
        self.stale, self.queries = np.zeros(m, np.int64), np.ones(m, np.int64)

    def descend(self, pairs: int, radius: float, patience: int, enough: float) -> Inverted:
        while self.left >= 2 + len(MOVES):
            rows = np.flatnonzero((self.cost > enough) & (self.stale < patience))
            if not len(rows):
                break
            few = min(pairs, (self.left - len(MOVES)) // 2)
            self.left -= 2 * few + len(MOVES)
            self.queries[rows] = self.max_queries - self.left
            self._look(rows, few, radius)
            self._step(rows)
        return Inverted(self.of.records(self.u), self.probability, self.cost, self.queries)

    def _look(self, rows: np.ndarray, few: int, radius: float) -> None:
        """The slope along some more directions, added to what is known of it here."""
        away = radius * np.stack([self.of.directions(self.streams[i], few) for i in rows])
        ahead, behind = (self.of.whole(self.u[rows, None] + sign * away) for sign in (1, -1))
        self.slope[rows] += few * slope_by_differences(lambda at: self.of.asked(self.model, at, rows)[0], ahead, behind, radius)

    def _step(self, rows: np.ndarray) -> None:
        """The best of several steps down the slope, if it lowers the cost."""
        ahead = self.slope[rows] / np.maximum(root_mean_square(self.slope[rows]), LEAST_PROBABILITY)[:, None]
        tried = self.of.whole(self.u[rows, None] - (self.move[rows, None] * MOVES)[:, :, None] * ahead[:, None])
        cost, probability = self.of.asked(self.model, tried, rows)
        best, each = cost.argmin(1), np.arange(len(rows))
        lower = cost[each, best] < self.cost[rows]
        self.stale[rows] = np.where(_progress(self.cost[rows], cost[each, best]), 0, self.stale[rows] + 1)
        self.move[rows] *= np.where(lower, MOVES[best], MOVES[0])
        moved, each, best = rows[lower], each[lower], best[lower]
        self.u[moved], self.cost[moved], self.probability[moved] = tried[each, best], cost[each, best], probability[each, best]
        self.slope[moved] = 0


def slope_by_differences(
    cost: Callable[[np.ndarray], np.ndarray], ahead: np.ndarray, behind: np.ndarray, radius: float
) -> np.ndarray:
    """The gradient of `cost` at m points, float64 (m, d), from its values at k points `ahead` and k `behind` each, (m, k, d).

    The mean over pairs of the difference between values times that between points, over (2 radius)^2. It is exact for a linear
    cost and d orthogonal pairs at a distance of 2 radius sqrt(d), and right on average where they lie in independent directions
    of variance radius^2 a number. cost: of points (m, 2 k, d), (m, 2 k).
    """
    k = ahead.shape[1]
    values = cost(np.concatenate([ahead, behind], 1))
    return np.einsum("mk,mkd->md", values[:, :k] - values[:, k:], ahead - behind) / (k * (2 * radius) ** 2)


def _check_ends(patience: int, enough: float) -> None:
    checks.whole("patience", patience, 1)
    checks.real("enough", enough, 0)


def _progress(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return after < before - PROGRESS * np.abs(before)
