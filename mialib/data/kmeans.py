"""Classes by clustering, which is how the paper's Purchase records got theirs (Sec. VI-A): k-means on records of bits.

The arithmetic is exact: centres are whole multiples of 1/SCALE, so that every sum is a whole number that float32 holds. So the
same records get the same classes on any machine, whatever its processor, libraries and number of threads.
"""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from mialib.core import cache, checks

SCALE = 2**12
WIDEST = 2**24 // SCALE  # features: a wider record's sums would not fit float32
SEED = 20170524
SAMPLE = 20_000  # records, at most, that the start is chosen on
STARTS = 5
ITERATIONS = 12
REDRAWS = 5
RECORDS_A_BLOCK = 16_384


def classes(x: np.ndarray, n_classes: int) -> np.ndarray:
    """Classes uint8 (n,) 0..n_classes-1 of records x uint8 0/1 (n, d): k-means with a fixed seed, kept in the cache.

    No class has fewer than a quarter of the mean number of records, n / (4 n_classes), about as in the official Purchase-100
    (paper, Fig. 11: the smallest class but one has 0.28 of the mean). Raises what `k_means` raises.
    """
    key = {"records": cache.digest(x), "n_classes": n_classes, "code": cache.code_digest(__name__)}
    if (stored := cache.load("classes", key, lambda kept: cache.expect(kept, {"y": ((len(x),), "uint8")}))) is None:
        rng = np.random.Generator(np.random.PCG64(SEED))
        stored = {"y": k_means(x, n_classes, rng, smallest=max(1, len(x) // (4 * n_classes)))}
        cache.save("classes", key, stored)
    return stored["y"]


def k_means(x: np.ndarray, n_classes: int, rng: np.random.Generator, smallest: int) -> np.ndarray:
    """Labels uint8 (n,) of k-means on records x uint8 0/1 (n, d), d <= 4096, with no class of fewer than `smallest` records.

    Lloyd's algorithm, from the best of a few k-means++ starts on a sample. Then, while the centres move, that of too small a
    class is redrawn out of the largest one; what is still too small in the end is filled up with the records that lose least
    by it. Raises ValueError when the records are too wide, not bits, or too few.
    """
    checks.whole("n_classes", n_classes, 2, 256)
    checks.whole("smallest", smallest, 1, len(x) // n_classes, why=f"{len(x)} records in {n_classes} classes")
    if x.ndim != 2 or x.dtype != np.uint8 or x.shape[1] > WIDEST or x.max() > 1:
        raise ValueError(f"x must be uint8 of 0 and 1, (n, d) with d <= {WIDEST}, got {x.dtype} {x.shape} up to {x.max()}")
    sample = x[rng.choice(len(x), min(len(x), SAMPLE), replace=False)]
    starts = [_lloyd(sample, _spread(sample, n_classes, rng), ITERATIONS) for _ in range(STARTS)]
    centres = max(starts, key=lambda start: sum(scores.max(1).sum(dtype=np.float64) for scores in _scores(sample, start)))
    for _ in range(REDRAWS):
        centres = _lloyd(x, centres, 2)
        _redraw_small(centres, x, smallest, rng)
    centres = _lloyd(x, centres, ITERATIONS)
    return _fill_small(np.concatenate(list(_scores(x, centres))), smallest).astype(np.uint8)


def _lloyd(x: np.ndarray, centres: np.ndarray, iterations: int) -> np.ndarray:
    """Centres (k, d) after so many steps: each the mean of the records that are nearest to it."""
    for _ in range(iterations):
        labels = _labels(x, centres)
        sums = np.zeros(centres.shape)
        for start in range(0, len(x), RECORDS_A_BLOCK):
            part = labels[start : start + RECORDS_A_BLOCK]
            place = (np.ones(len(part), np.float32), (part, np.arange(len(part))))
            members = sparse.csr_array(place, (len(centres), len(part)))
            sums += members @ x[start : start + RECORDS_A_BLOCK].astype(np.float32)
        sizes = np.bincount(labels, minlength=len(centres))
        centres = np.rint(SCALE * sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    return centres


def _spread(x: np.ndarray, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    """The start of k-means++: each centre is a record, drawn in proportion to the squared distance from those drawn before."""
    sample = x[rng.choice(len(x), min(len(x), 100 * n_classes), replace=False)].astype(np.float32)
    ones = sample.sum(1)
    chosen = [int(rng.integers(len(sample)))]
    distances = np.full(len(sample), np.inf)
    while len(chosen) < n_classes:
        new = chosen[-1]
        distances = np.minimum(distances, ones + ones[new] - 2 * (sample @ sample[new]))
        upto = distances.astype(np.int64).cumsum()
        chosen.append(int(upto.searchsorted(rng.integers(max(1, upto[-1])), side="right")) % len(sample))
    return sample[chosen] * np.float32(SCALE)


def _scores(x: np.ndarray, centres: np.ndarray) -> Iterator[np.ndarray]:
    """Parts of the scores float32 (n, k), whole numbers that fall as the squared distances rise."""
    halved = np.rint((centres.astype(np.float64) ** 2).sum(1) / (2 * SCALE)).astype(np.float32)
    for start in range(0, len(x), RECORDS_A_BLOCK):
        yield x[start : start + RECORDS_A_BLOCK].astype(np.float32) @ centres.T - halved


def _labels(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.concatenate([scores.argmax(1) for scores in _scores(x, centres)])


def _redraw_small(centres: np.ndarray, x: np.ndarray, smallest: int, rng: np.random.Generator) -> None:
    """Put the centres of too small classes at the mean of some records of the largest one."""
    labels = _labels(x, centres)
    sizes = np.bincount(labels, minlength=len(centres)).astype(float)
    for small in np.flatnonzero(sizes < smallest):
        large = sizes.argmax()
        some = x[rng.choice(np.flatnonzero(labels == large), 20)]
        centres[small] = np.rint(SCALE * some.sum(0) / len(some))
        sizes[large] /= 2


def _fill_small(scores: np.ndarray, smallest: int) -> np.ndarray:
    labels = scores.argmax(1)
    best = scores.max(1)
    sizes = np.bincount(labels, minlength=scores.shape[1])
    for small in np.flatnonzero(sizes < smallest):
        for row in (best - scores[:, small]).argsort(kind="stable"):
            if sizes[small] == smallest:
                break
            if sizes[labels[row]] > smallest and labels[row] != small:
                sizes[labels[row]] -= 1
                sizes[small] += 1
                labels[row] = small
    return labels
