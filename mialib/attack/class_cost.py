"""What a search for a record of a class goes down: -log p(class) and a penalty, in points that stand for records."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

from mialib.core import checks, randomness
from mialib.core.types import BlackBox, check_answers
from mialib.training import module_of

LEAST_PROBABILITY = 1e-30  # a probability below it counts as this one
STEEP = 4  # how fast the share of a cosine in a smooth direction falls with its half waves
NOT_TAKEN = (RuntimeError, ValueError, TypeError, IndexError)  # what a model raises for records of a shape that is not its own


class ClassCost(NamedTuple):
    """Costs of points u (…, d), of which a pixel's range is 1, for one label a search. Made by `class_cost`."""

    labels: np.ndarray
    shape: tuple[int, ...]
    pixels: bool
    start: np.ndarray  # (d,)
    origin: np.ndarray  # (m, d): the start and its noise
    smoothness: float
    distance: float
    half_waves: float | None

    def parts(self, size: int) -> "Iterator[ClassCost]":
        """The same for at most `size` of the labels each."""
        for first in range(0, len(self.labels), size):
            rows = slice(first, first + size)
            yield self._replace(labels=self.labels[rows], origin=self.origin[rows])

    def inside(self, u: np.ndarray) -> np.ndarray:
        return u.clip(0, 1) if self.pixels else u

    def whole(self, u: np.ndarray) -> np.ndarray:
        """The nearest points that are records."""
        return np.rint(255 * self.inside(u)) / 255 if self.pixels else u

    def records(self, u: np.ndarray) -> np.ndarray:
        values = np.rint(255 * u).astype(np.uint8) if self.pixels else u.astype(np.float32)
        return values.reshape(-1, *self.shape)

    def asked(self, model: BlackBox, u: np.ndarray, rows: np.ndarray, *, first: bool = False) -> np.ndarray:
        """Cost, and probability of the label, of k points for each of the searches `rows` (m,): u (m, k, d) to (2, m, k)."""
        m, k, d = u.shape
        probability = self.probabilities(model, self.records(u.reshape(-1, d)), np.repeat(rows, k), first=first)
        cost = -np.log(np.maximum(probability, LEAST_PROBABILITY)) + self.penalty(u.reshape(-1, d))[0]
        return np.stack([cost, probability]).reshape(2, m, k)

    def probabilities(self, model: BlackBox, records: np.ndarray, rows: np.ndarray, *, first: bool = False) -> np.ndarray:
        """What the model answers to records (m, ...), of the labels of the searches `rows` (m,)."""
        with self._shape_named(first):
            answers = model.predict_proba(records)
        answers = checks.array("predict_proba's answer", answers)
        answers = check_answers(answers, len(records), answers.shape[-1] if answers.ndim else 0)
        labels = self._known_labels(answers.shape[1])[rows]
        return answers[np.arange(len(answers)), labels].astype(np.float64)

    def cost_and_slope(
        self, model: BlackBox, u: np.ndarray, rows: np.ndarray, *, first: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cost (m,) and its smoothed gradient (m, d) at one point for each of the searches `rows` (m,)."""
        module, scale = module_of(model), 255.0 if self.pixels else 1.0
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        x = torch.as_tensor(scale * u.reshape(-1, *self.shape), dtype=torch.float32, device=device).requires_grad_()
        with self._shape_named(first):
            logits = module(x)
        if logits.ndim != 2 or len(logits) != len(u):
            raise ValueError(f"model must answer logits of shape ({len(u)}, n_classes), got {tuple(logits.shape)}")
        labels = torch.as_tensor(self._known_labels(logits.shape[1])[rows], device=device)
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
        return smooth / root_mean_square(smooth)[:, None]

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

    def _known_labels(self, n_classes: int) -> np.ndarray:
        return checks.labels("label", self.labels, n_classes)

    @contextmanager
    def _shape_named(self, first: bool) -> Iterator[None]:
        """What a model says of the first records that it sees is about their shape."""
        try:
            yield
        except NOT_TAKEN as error:
            if not first:
                raise
            raise ValueError(f"shape must be that of a record that the model takes, got {self.shape}: {error}") from error


def class_cost(
    shape: Sequence[int],
    label: int | Sequence[int],
    pixels: bool,
    start: np.ndarray | None,
    noise: float,
    smoothness: float,
    distance: float,
    half_waves: float | None,
    seed: int,
) -> ClassCost:
    """Arguments as of `attack.inversion.invert`, checked. TypeError or ValueError."""
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
    at = _start_point(start, sizes, pixels)
    cost = ClassCost(labels, sizes, pixels, at, np.tile(at, (len(labels), 1)), smoothness, distance, half_waves)
    drawn = [cost.directions(randomness.generator(seed, "inversion start", int(c)), 1)[0] for c in labels]
    return cost._replace(origin=cost.inside(at + noise * np.stack(drawn)))


def _start_point(start: np.ndarray | None, shape: tuple[int, ...], pixels: bool) -> np.ndarray:
    """The point (d,) where searches begin."""
    if start is None:
        return np.full(int(np.prod(shape)), 0.5 if pixels else 0.0)
    start = checks.array("start", start)
    if start.shape != shape or start.dtype.kind not in "fiu" or not np.isfinite(start).all():
        raise ValueError(f"start must be a record of finite numbers, of shape {shape}, got {checks.kind(start)}")
    if pixels and (start.min() < 0 or start.max() > 255):
        raise ValueError(f"start must hold pixels in 0..255, got {start.min()}..{start.max()}")
    return start.astype(np.float64).ravel() / (255 if pixels else 1)


def _cosines(size: int) -> np.ndarray:
    """Orthonormal cosines on `size` pixels, (size, size): column f has f half waves."""
    waves = np.cos(np.pi * (np.arange(size)[:, None] + 0.5) * np.arange(size) / size)
    return waves / np.sqrt((waves**2).sum(0))


def root_mean_square(vectors: np.ndarray) -> np.ndarray:
    """Root mean square over the last axis."""
    return np.sqrt((vectors**2).mean(-1))
