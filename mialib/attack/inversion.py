"""Model inversion: a record that a model takes for a class, made from the model alone (Fredrikson, Jha & Ristenpart, CCS 2015).

What comes out is what the model knows of the class as a whole, no record that it was trained on (Shokri et al. 2017, Sec. IX,
Fig. 13). White box: `invert`, by gradients; black box: `invert_by_answers`, by differences between answers. Both go down the
cost -log p(label) + AuxTerm, without momentum; many labels take a step together, each on a path of its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from mialib.core import checks, randomness
from mialib.core.types import BlackBox, check_answers
from mialib.training import module_of

LEAST_PROBABILITY = 1e-30  # a probability below it counts as this one
FIRST_MOVE = 0.03  # of the first step: root mean square over a record's numbers
GROW, SHRINK = 1.5, 0.5  # the rate after a step that lowered the cost, and after one that did not
PROGRESS = 1e-5  # a step that lowers the cost by a smaller share of it is none
MOVES = np.array([0.3, 1.0, 3.0])  # times the last one: steps that are tried at once, as a slope costs far more rows than they
STEEP = 4  # how fast the share of a cosine in a smooth direction falls with its half waves
NOT_TAKEN = (RuntimeError, ValueError, TypeError, IndexError)  # what a model raises for records of a shape that is not its own


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
    task = _task(shape, label, pixels, start, noise, smoothness, distance, half_waves, seed)
    checks.whole("steps", steps, 1)
    _check_ends(patience, enough)
    u, m = task.origin.copy(), len(task.labels)
    cost, slope = task.cost_and_slope(model, u, np.arange(m))
    rate = FIRST_MOVE / np.maximum(_size(slope), LEAST_PROBABILITY)
    stale, queries = np.zeros(m, np.int64), np.ones(m, np.int64)
    while len(rows := np.flatnonzero((queries < steps) & (cost > enough) & (stale < patience))):
        moved = task.inside(u[rows] - rate[rows, None] * slope[rows])
        new_cost, new_slope = task.cost_and_slope(model, moved, rows)
        queries[rows] += 1
        stale[rows] = np.where(_progress(cost[rows], new_cost), 0, stale[rows] + 1)
        lower = new_cost < cost[rows]
        rate[rows] *= np.where(lower, GROW, SHRINK)
        u[rows[lower]], cost[rows[lower]], slope[rows[lower]] = moved[lower], new_cost[lower], new_slope[lower]
    record = task.records(u)
    confidence = task.probabilities(model, record, np.arange(m))
    return Inverted(record, confidence, cost, queries + 1)


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
    pairs: int = 20,
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
    task = _task(shape, label, pixels, start, noise, smoothness, distance, half_waves, seed)
    checks.whole("max_queries", max_queries, 1)
    checks.whole("pairs", pairs, 1)
    checks.real("radius", radius, 0, open_low=True)
    _check_ends(patience, enough)
    streams = [randomness.generator(seed, "inversion directions", int(c)) for c in task.labels]
    u, m, left = task.whole(task.origin), len(task.labels), max_queries - 1
    cost, probability = task.asked(model, u[:, None], np.arange(m))[:, :, 0]
    slope, move = np.zeros_like(u), np.full(m, FIRST_MOVE)
    stale, queries = np.zeros(m, np.int64), np.ones(m, np.int64)
    while left >= 2 + len(MOVES) and len(rows := np.flatnonzero((cost > enough) & (stale < patience))):
        few = min(pairs, (left - len(MOVES)) // 2)
        left -= 2 * few + len(MOVES)
        queries[rows] = max_queries - left
        away = radius * np.stack([task.directions(streams[i], few) for i in rows])
        sides = task.whole(u[rows, None] + away), task.whole(u[rows, None] - away)
        slope[rows] += few * slope_by_differences(partial(task.costs, model, rows), *sides, radius)
        ahead = slope[rows] / np.maximum(_size(slope[rows]), LEAST_PROBABILITY)[:, None]
        tried = task.whole(u[rows, None] - (move[rows, None] * MOVES)[:, :, None] * ahead[:, None])
        costs, probabilities = task.asked(model, tried, rows)
        best = costs.argmin(1)
        each = np.arange(len(rows))
        new_cost, lower = costs[each, best], costs[each, best] < cost[rows]
        stale[rows] = np.where(_progress(cost[rows], new_cost), 0, stale[rows] + 1)
        move[rows] *= np.where(lower, MOVES[best], MOVES[0])
        kept, best = rows[lower], best[lower]
        u[kept], cost[kept], probability[kept] = tried[lower, best], new_cost[lower], probabilities[lower, best]
        slope[kept] = 0
    return Inverted(task.records(u), probability, cost, queries)


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


class _Task(NamedTuple):
    """What is searched for, in points u (m, d) of which a pixel's range is 1."""

    labels: np.ndarray
    shape: tuple[int, ...]
    pixels: bool
    start: np.ndarray  # (d,)
    origin: np.ndarray  # (m, d)
    smoothness: float
    distance: float
    half_waves: float | None

    def inside(self, u: np.ndarray) -> np.ndarray:
        return u.clip(0, 1) if self.pixels else u

    def whole(self, u: np.ndarray) -> np.ndarray:
        """The nearest points that are records."""
        return np.rint(255 * self.inside(u)) / 255 if self.pixels else u

    def records(self, u: np.ndarray) -> np.ndarray:
        values = np.rint(255 * u).astype(np.uint8) if self.pixels else u.astype(np.float32)
        return values.reshape(-1, *self.shape)

    def asked(self, model: BlackBox, u: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Cost, and probability of the label, of k points for each of some searches: u (m, k, d) to (2, m, k)."""
        m, k, d = u.shape
        probability = self.probabilities(model, self.records(u.reshape(-1, d)), np.repeat(rows, k))
        cost = -np.log(np.maximum(probability, LEAST_PROBABILITY)) + self.penalty(u.reshape(-1, d))[0]
        return np.stack([cost, probability]).reshape(2, m, k)

    def costs(self, model: BlackBox, rows: np.ndarray, u: np.ndarray) -> np.ndarray:
        return self.asked(model, u, rows)[0]

    def probabilities(self, model: BlackBox, records: np.ndarray, rows: np.ndarray) -> np.ndarray:
        try:
            answers = model.predict_proba(records)
        except NOT_TAKEN as error:
            raise self.not_taken(error) from error
        answers = checks.array("predict_proba's answer", answers)
        answers = check_answers(answers, len(records), answers.shape[-1] if answers.ndim else 0)
        labels = self.known_labels(answers.shape[1])[rows]
        return answers[np.arange(len(answers)), labels].astype(np.float64)

    def cost_and_slope(self, model: BlackBox, u: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cost (m,) and its smoothed gradient (m, d) at one point for each of some searches."""
        module, scale = module_of(model), 255.0 if self.pixels else 1.0
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        x = torch.as_tensor(scale * u.reshape(-1, *self.shape), dtype=torch.float32, device=device).requires_grad_()
        try:
            logits = module(x)
        except NOT_TAKEN as error:
            raise self.not_taken(error) from error
        if logits.ndim != 2 or len(logits) != len(u):
            raise ValueError(f"model must answer logits of shape ({len(u)}, n_classes), got {tuple(logits.shape)}")
        labels = torch.as_tensor(self.known_labels(logits.shape[1])[rows], device=device)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        value, slope = self.penalty(u)
        steepest = slope + scale * gradient.cpu().numpy().astype(np.float64).reshape(u.shape)
        return loss.detach().cpu().numpy() + value, self.smoothed(steepest)

    def penalty(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AuxTerm (m,) and its gradient (m, d)."""
        away = u - self.start
        value, slope = self.distance * (away**2).sum(1), 2 * self.distance * away
        if self.smoothness:
            picture, rise = u.reshape(-1, *self.shape), np.zeros((len(u), *self.shape))
            for axis in (1, 2):
                step = np.diff(picture, axis=axis)
                value = value + self.smoothness * (step**2).reshape(len(u), -1).sum(1)
                before, after = (np.moveaxis(rise, axis, 1)[:, part] for part in (slice(None, -1), slice(1, None)))
                before -= 2 * self.smoothness * np.moveaxis(step, axis, 1)
                after += 2 * self.smoothness * np.moveaxis(step, axis, 1)
            slope = slope + rise.reshape(u.shape)
        return value, slope

    def directions(self, rng: np.random.Generator, k: int) -> np.ndarray:
        """k random directions (k, d) of root mean square about 1, the share of each cosine being that of `smoothed`."""
        drawn = rng.standard_normal((k, self.start.size))
        smooth = self.smoothed(drawn, 0.5)
        return smooth / _size(smooth)[:, None]

    def smoothed(self, vectors: np.ndarray, power: float = 1.0) -> np.ndarray:
        """Of vectors (k, d), the cosines of f half waves a side times 1 / (1 + (f / half_waves)^4), to this power."""
        if self.half_waves is None or not self.pixels:
            return vectors
        height, width, depth = (*self.shape, 1)[:3]
        down, right = _cosines(height), _cosines(width)
        waves = np.hypot(np.arange(height)[:, None], np.arange(width))
        share = (1 + (waves / self.half_waves) ** STEEP) ** -power
        pictures = np.moveaxis(vectors.reshape(-1, height, width, depth), 3, 1)
        smooth = down @ (share * (down.T @ pictures @ right)) @ right.T
        return np.moveaxis(smooth, 1, 3).reshape(vectors.shape)

    def known_labels(self, n_classes: int) -> np.ndarray:
        return checks.labels("label", self.labels, n_classes)

    def not_taken(self, error: BaseException) -> ValueError:
        return ValueError(f"shape must be that of a record that the model takes, got {self.shape}: {error}")


def _task(
    shape: Sequence[int],
    label: int | Sequence[int],
    pixels: bool,
    start: np.ndarray | None,
    noise: float,
    smoothness: float,
    distance: float,
    half_waves: float | None,
    seed: int,
) -> _Task:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    sizes = tuple(checks.whole("shape", size, 1) for size in sizes)
    if not sizes or (checks.flag("pixels", pixels) and len(sizes) not in (2, 3)):
        raise ValueError(f"shape must be {'(h, w) or (h, w, channels)' if pixels else 'that of a record'}, got {sizes}")
    several = isinstance(label, Sequence | np.ndarray) and not isinstance(label, str)
    labels = np.array([checks.whole("label", c, 0) for c in (label if several else [label])], np.int64)  # type: ignore[union-attr]
    if not len(labels) or len(np.unique(labels)) < len(labels):
        raise ValueError(f"label must be a class or several different ones, got {label!r}")
    checks.real("noise", noise, 0)
    if checks.real("smoothness", smoothness, 0) and not pixels:
        raise ValueError(f"smoothness must be 0 for records that are no pictures, got {smoothness}")
    checks.real("distance", distance, 0)
    if half_waves is not None:
        checks.real("half_waves", half_waves, 0, open_low=True)
    at = _start(start, sizes, pixels)
    task = _Task(labels, sizes, pixels, at, np.tile(at, (len(labels), 1)), smoothness, distance, half_waves)
    drawn = [task.directions(randomness.generator(seed, "inversion start", int(c)), 1)[0] for c in labels]
    return task._replace(origin=task.inside(at + noise * np.stack(drawn)))


def _start(start: np.ndarray | None, shape: tuple[int, ...], pixels: bool) -> np.ndarray:
    """The point (d,) where searches begin."""
    if start is None:
        return np.full(int(np.prod(shape)), 0.5 if pixels else 0.0)
    start = checks.array("start", start)
    if start.shape != shape or start.dtype.kind not in "fiu" or not np.isfinite(start).all():
        raise ValueError(f"start must be a record of finite numbers, of shape {shape}, got {checks.kind(start)}")
    if pixels and (start.min() < 0 or start.max() > 255):
        raise ValueError(f"start must hold pixels in 0..255, got {start.min()}..{start.max()}")
    return start.astype(np.float64).ravel() / (255 if pixels else 1)


def _check_ends(patience: int, enough: float) -> None:
    checks.whole("patience", patience, 1)
    checks.real("enough", enough, 0)


def _cosines(size: int) -> np.ndarray:
    """Orthonormal cosines on `size` pixels, (size, size): column f has f half waves."""
    waves = np.cos(np.pi * (np.arange(size)[:, None] + 0.5) * np.arange(size) / size)
    return waves / np.sqrt((waves**2).sum(0))


def _size(vectors: np.ndarray) -> np.ndarray:
    """Root mean square over the last axis."""
    return np.sqrt((vectors**2).mean(-1))


def _progress(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return after < before - PROGRESS * np.abs(before)
