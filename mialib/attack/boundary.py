"""Label-only: how far a record lies from the target's decision boundary, by searches that use the answered labels alone.

Members lie further away (Choquette-Choo et al. 2021; Li & Zhang 2021). Pixels and tables are searched in the manner of
HopSkipJump (Chen et al. 2020), bits by taking back flips; many records take a step together, each within a budget of its own.
"""

import math
from typing import NamedTuple

import numpy as np

from mialib.attack.label_only import LabelOnly, as_pixels, check_asked, is_bits, predicted_labels, rows_a_call
from mialib.core import checks, randomness
from mialib.core.types import BlackBox

POSSIBLE_STARTS = 1000  # records, about, among which one of another label is sought
FIRST_PROBES = 50  # for the first estimate of the boundary's normal; sqrt(t) times as many for number t
PROBE_LENGTH = 0.1  # of the distance
LEAST_BISECTIONS = 10  # the distance is known within a thousandth of the line's length
HALVINGS = 8  # of a step along the normal


def label_only_boundary(
    model: BlackBox,
    x: np.ndarray,
    labels: np.ndarray,
    *,
    max_queries: int = 500,
    seed: int = 0,
    refused: int | None = None,
) -> LabelOnly:
    """The distance from a record to the nearest point found that the target labels otherwise; 0 where it is labelled wrong.

    Of bits (uint8 of 0 and 1, (n, d)): how many must be flipped. Of pixels: L2, a pixel's range of 0..255 counting 1; points
    are pictures in whole pixels, so that distances below about sqrt(d) / 500 are coarse. Of tables (float32): L2, in units of
    each column's standard deviation over x; constant columns stay as they are. The search starts from the nearest of about
    1,000 records of x that the target labels otherwise, and asks at most `max_queries` rows a record, its own included: a
    wrongly labelled record costs one; of bits, the search mostly ends long before. It finds upper bounds: of d columns, with
    500 queries about 1.2 (d = 100), 1.7 (446) and 4 (3,072) times the distance from a plane, in the right order all the same.
    What is random depends on (seed, row) alone, the start on x as a whole. refused: see `LabelOnly`; a point that is refused
    is not taken for one beyond the boundary, and no search starts from one.

    Returns the distances as `score` and the `queries`. Raises TypeError or ValueError as `label_only_gap` does, and for a
    target that answers one label to all of x.
    """
    x, labels = check_asked(model, x, labels, refused)
    checks.whole("max_queries", max_queries, 1)
    checks.whole("seed", seed, 0)
    most = rows_a_call(x)
    answered = np.concatenate([predicted_labels(model, x[start : start + most], labels) for start in range(0, len(x), most)])
    distance, queries = np.zeros(len(x)), np.ones(len(x), np.int64)
    if refused is not None:
        distance[answered == refused] = -np.inf
    right = np.flatnonzero(answered == labels)
    if not len(right):
        return LabelOnly(distance, queries)
    search, units = (_flip_back, _Units.of_bits(x)) if is_bits(x) else (_hop, _Units.of_reals(x))
    starts = _some_of_each_label(answered, seed, refused)
    others = units.of(x[starts])
    for rows in np.array_split(right, -(-len(right) // most)):
        judge = _Judge(model, units, labels[rows], max_queries - 1, refused)
        origin = units.of(x[rows])
        beyond = others[_nearest(origin, labels[rows], others, answered[starts])]
        distance[rows] = search(judge, origin, beyond, seed, rows)
        queries[rows] = max_queries - judge.left
    return LabelOnly(distance, queries)


class _Units(NamedTuple):
    """The coordinates (m, d), float32, in which distances of records are measured."""

    shape: tuple[int, ...]
    dtype: np.dtype
    centre: np.ndarray | float
    scale: np.ndarray | float

    @classmethod
    def of_bits(cls, x: np.ndarray) -> "_Units":
        return cls(x.shape[1:], x.dtype, 0.0, 1.0)

    @classmethod
    def of_reals(cls, x: np.ndarray) -> "_Units":
        if x.dtype == np.uint8:
            return cls(x.shape[1:], x.dtype, 0.0, 255.0)
        flat = x.reshape(len(x), -1)
        return cls(x.shape[1:], x.dtype, flat.mean(0, dtype=np.float64), flat.std(0, dtype=np.float64))

    def of(self, x: np.ndarray) -> np.ndarray:
        scale = np.where(np.asarray(self.scale) > 0, self.scale, 1.0)
        return ((x.reshape(len(x), -1) - self.centre) / scale).astype(np.float32)

    def records(self, points: np.ndarray) -> np.ndarray:
        values = points * self.scale + self.centre
        values = as_pixels(values) if self.dtype == np.uint8 else values.astype(self.dtype)
        return values.reshape(len(points), *self.shape)


class _Judge:
    """Whether a target labels points otherwise than their records, which have `left` queries each."""

    def __init__(self, model: BlackBox, units: _Units, labels: np.ndarray, left: int, refused: int | None = None) -> None:
        self.model, self.units, self.labels, self.refused = model, units, labels, refused
        self.left = np.full(len(labels), left)

    def __call__(self, rows: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The points that were asked, the nearest that are records, for records `rows` (m,); and whether they are beyond."""
        records = self.units.records(points)
        self.left -= np.bincount(rows, minlength=len(self.left))
        most = rows_a_call(records)
        parts = [predicted_labels(self.model, records[i : i + most], self.labels) for i in range(0, len(records), most)]
        answered = np.concatenate(parts)
        over = answered != self.labels[rows]
        return self.units.of(records), over if self.refused is None else over & (answered != self.refused)


def _some_of_each_label(answered: np.ndarray, seed: int, refused: int | None = None) -> np.ndarray:
    """Rows of about POSSIBLE_STARTS records, all answered labels alike where there are enough."""
    known = np.setdiff1d(answered, [] if refused is None else [refused])
    if len(known) < 2:
        raise ValueError(
            f"x must hold records that the target labels differently, got label {known[0]} for all {len(answered)}"
        )
    order = randomness.generator(seed, "label-only starts").permutation(len(answered))
    each = -(-POSSIBLE_STARTS // len(known))
    return np.concatenate([order[answered[order] == label][:each] for label in known])


def _nearest(origin: np.ndarray, labels: np.ndarray, others: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """For each record, which of `others` is the nearest of those that are answered otherwise."""
    squares = (others * others).sum(1) - 2 * origin @ others.T
    return np.where(answered == labels[:, None], np.inf, squares).argmin(1)


def _length(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points.astype(np.float64), axis=1)


# Pixels and tables


def _hop(judge: _Judge, origin: np.ndarray, beyond: np.ndarray, seed: int, numbers: np.ndarray) -> np.ndarray:
    """Distances (m,) from records to the boundary, from points beyond it on. numbers: the records' rows in x."""
    d = origin.shape[1]
    bisections = max(LEAST_BISECTIONS, math.ceil(math.log2(math.sqrt(d) / PROBE_LENGTH)) + 1)  # within reach of a probe
    beyond = _bisected(judge, np.arange(len(origin)), origin, beyond, bisections)
    distance, t = _length(beyond - origin), 1
    while True:
        n_probes = int(FIRST_PROBES * math.sqrt(t))
        rows = np.flatnonzero(judge.left >= n_probes + 1 + bisections)
        if not len(rows):
            return distance
        streams = [randomness.generator(seed, "probes", int(i), t) for i in numbers[rows]]
        normal = _normals(judge, rows, beyond, distance, n_probes, streams)
        rows, points = _stepped(judge, rows, beyond[rows], normal, distance[rows] / math.sqrt(t), bisections)
        points = _bisected(judge, rows, origin[rows], points, bisections)
        length = _length(points - origin[rows])
        nearer = length < distance[rows]
        beyond[rows[nearer]], distance[rows[nearer]] = points[nearer], length[nearer]
        t += 1


def _bisected(judge: _Judge, rows: np.ndarray, origin: np.ndarray, beyond: np.ndarray, steps: int) -> np.ndarray:
    """The point of each line from a record to a point beyond the boundary that is the first known to be beyond."""
    near, beyond = np.zeros(len(rows), np.float32), beyond.copy()
    far, line = np.ones(len(rows), np.float32), beyond - origin
    for _ in range(steps):
        some = np.flatnonzero(judge.left[rows] > 0)
        if not len(some):
            break
        middle = (near[some] + far[some]) / 2
        points, over = judge(rows[some], origin[some] + middle[:, None] * line[some])
        far[some[over]], near[some[~over]] = middle[over], middle[~over]
        beyond[some[over]] = points[over]
    return beyond


def _normals(
    judge: _Judge, rows: np.ndarray, points: np.ndarray, distance: np.ndarray, n: int, streams: list[np.random.Generator]
) -> np.ndarray:
    """Unit vectors (m, d) that point beyond the boundary at points on it, from n random probes each: the mean of those that are
    beyond less that of the others, as Chen et al. (2020) estimate the gradient.
    """
    d = points.shape[1]
    whole = math.sqrt(d) / 255 if judge.units.dtype == np.uint8 else 0.0  # a shorter probe would be rounded away
    length = np.maximum(PROBE_LENGTH * distance, whole).astype(np.float32)
    normals = np.empty((len(rows), d), np.float32)
    for start in range(0, len(rows), block := max(1, rows_a_call(points) // n)):
        some = rows[start : start + block]
        drawn = np.stack([stream.standard_normal((n, d), np.float32) for stream in streams[start : start + block]])
        drawn *= (length[some, None] / np.linalg.norm(drawn, axis=2))[:, :, None]
        drawn += points[some, None]
        asked, over = judge(some.repeat(n), drawn.reshape(-1, d))
        moved = asked.reshape(drawn.shape) - points[some, None]
        sign = np.where(over, 1, -1).reshape(len(some), n)
        mean = sign.mean(1, keepdims=True)
        weight = np.where(abs(mean) == 1, sign, sign - mean).astype(np.float32)
        normals[start : start + block] = np.matmul(weight[:, None], moved)[:, 0]
    return normals / np.maximum(_length(normals), 1e-30)[:, None].astype(np.float32)


def _stepped(
    judge: _Judge, rows: np.ndarray, points: np.ndarray, normal: np.ndarray, step: np.ndarray, spare: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points moved along the normal by `step`, halved until they are beyond; the records (numbers of) for which one is."""
    found, arrived = np.zeros(len(rows), bool), points.copy()
    for _ in range(HALVINGS + 1):
        some = np.flatnonzero(~found & (judge.left[rows] > spare))
        if not len(some):
            break
        asked, over = judge(rows[some], points[some] + step[some, None].astype(np.float32) * normal[some])
        arrived[some[over]], found[some[over]] = asked[over], True
        step = step / 2
    return rows[found], arrived[found]


# Bits


def _flip_back(judge: _Judge, origin: np.ndarray, beyond: np.ndarray, seed: int, numbers: np.ndarray) -> np.ndarray:
    """How many bits must be flipped, (m,): flips that lead to another label are taken back, in random order, by parts.

    A part that can be taken back is; else the next is tried; after all of them, parts of half the size; in the end single bits,
    until none can be taken back any more.
    """
    m, d = origin.shape
    order = np.stack([randomness.generator(seed, "order of bits", int(i)).permutation(d) for i in numbers])
    record = np.take_along_axis(origin, order, 1).astype(bool)
    flipped = record ^ np.take_along_axis(beyond, order, 1).astype(bool)
    place, size = np.zeros(m, np.int64), np.maximum(1, flipped.sum(1) // 2)
    taken = np.zeros(m, bool)  # whether any was, on this way through
    while True:
        rows = np.flatnonzero((judge.left > 0) & (size > 0))
        if not len(rows):
            return flipped.sum(1).astype(np.float64)
        rank = flipped[rows].cumsum(1, dtype=np.int32)
        first, last = place[rows, None], (place + size)[rows, None]
        fewer = flipped[rows] & ~((rank > first) & (rank <= last))
        points = np.empty((len(rows), d), np.float32)
        np.put_along_axis(points, order[rows], (record[rows] ^ fewer).astype(np.float32), 1)
        over = judge(rows, points)[1]
        flipped[rows[over]] = fewer[over]
        taken[rows[over]] = True
        place[rows[~over]] += size[rows[~over]]
        done = rows[place[rows] >= flipped[rows].sum(1)]
        size[done] = np.where(size[done] > 1, size[done] // 2, taken[done])
        place[done], taken[done] = 0, False
