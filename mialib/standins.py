"""Stand-ins: documented generators, used where an official file cannot be had.

Each has the shape, the class count and the class skew of the data set whose place it takes, is built the way the paper's data
was, and is over-fitted by a network about as the real one is. Each is one fixed array: its own seed, nothing to set. Results
on a stand-in are marked everywhere, and are never counted as agreement with the paper.
"""

import sys

import numpy as np

from mialib import cache, clusters, packed


def generator(seed: int) -> np.random.Generator:
    """The random numbers of a stand-in: the same everywhere."""
    return np.random.Generator(np.random.PCG64(seed))


def location() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for Location (paper, Sec. V-A): x uint8 0/1 (5010, 446), y uint8 0..29 (5010,).

    446 places with beta-distributed popularity; 50 latent habits, each of which visits some places more often (gamma factors);
    a user mixes few habits (sparse Dirichlet) and is more or less active (log-normal); Bernoulli visits plus 2% noise; k-means
    into 30 classes of 97 to 308 users, the official sizes. Measured: density 0.12, and a 128-unit Tanh network trained on 1,200
    users reaches train accuracy 1.0 and test accuracy 0.63 (the real set: 0.60).
    """
    rng = generator(20170522)
    x = _visits(rng, n_users=5010, n_places=446, n_habits=50)
    return x, _k_means(x, 30, rng, smallest=97, largest=308)


def _visits(rng: np.random.Generator, n_users: int, n_places: int, n_habits: int) -> np.ndarray:
    popularity = 0.02 + rng.beta(0.45, 3.5, n_places)
    habits = popularity * rng.gamma(0.35, 1 / 0.35, (n_habits, n_places))
    mixtures = rng.dirichlet(np.full(n_habits, 1 / n_habits), n_users)
    activity = rng.lognormal(0, 0.45, (n_users, 1))
    chance = 1 - np.exp(-activity * (mixtures @ habits))
    visited = rng.random(chance.shape) < chance
    return (visited | (rng.random(chance.shape) < 0.02)).astype(np.uint8)


def _k_means(x: np.ndarray, n_classes: int, rng: np.random.Generator, smallest: int, largest: int) -> np.ndarray:
    """Labels uint8 (n,) of k-means on 0/1 records, with classes of `smallest` to `largest` records.

    Too small a cluster is redrawn out of the largest one while the centres still move. Afterwards each class has a price, added
    to the squared distances, that rises while the class is too large and falls while it is too small.
    """
    points = x.astype(np.float64)
    centres = np.stack([points[rng.choice(len(points), 20, replace=False)].mean(0) for _ in range(n_classes)])
    for step in range(30):
        labels = _distances(points, centres).argmin(1)
        sizes = np.bincount(labels, minlength=n_classes).astype(float)
        centres = np.eye(n_classes)[labels].T @ points / np.maximum(sizes, 1)[:, None]
        if step < 22:
            _redraw_small(centres, points, labels, sizes, smallest / 2, rng)
    return _priced(_distances(points, centres), smallest, largest).astype(np.uint8)


def _distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return (centres**2).sum(1) - 2 * points @ centres.T


def _redraw_small(
    centres: np.ndarray, points: np.ndarray, labels: np.ndarray, sizes: np.ndarray, smallest: float, rng: np.random.Generator
) -> None:
    for small in np.flatnonzero(sizes < smallest):
        large = sizes.argmax()
        centres[small] = points[rng.choice(np.flatnonzero(labels == large), 20)].mean(0)
        sizes[large] /= 2


def _priced(distances: np.ndarray, smallest: int, largest: int) -> np.ndarray:
    prices = np.zeros(distances.shape[1])
    for _ in range(5000):
        labels = (distances + prices).argmin(1)
        sizes = np.bincount(labels, minlength=len(prices))
        if smallest <= sizes.min() and sizes.max() <= largest:
            return labels
        prices += 0.002 * (sizes - sizes.clip(smallest, largest))
    raise RuntimeError(f"no classes of {smallest} to {largest} records found: sizes are {sorted(sizes)}")


def purchase(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for Purchase (paper, Sec. V-A): x uint8 0/1 (197324, 600), y uint8 (197324,). See `shopping`.

    x is the same for every number of classes; these are made by `clusters.classes`, as those of the official records with fewer
    than 100 classes. Both are kept in the cache.
    """
    key = {"name": "purchase", "code": cache.code_digest(sys.modules[__name__])}
    x, _ = packed.kept("standins", key, lambda: (shopping(generator(20170526), 197_324), np.zeros(0, np.uint8)))
    return x, clusters.classes(x, n_classes)


def shopping(rng: np.random.Generator, n: int, n_products: int = 600, n_styles: int = 150) -> np.ndarray:
    """What n shoppers bought in a year: bits uint8 (n, n_products).

    Products have beta-distributed popularity; latent shopping styles each boost some products (gamma factors); a shopper mixes
    few styles (sparse Dirichlet, total concentration 1.5) and buys more or less (log-normal); Bernoulli purchases plus 2%
    noise.
    """
    popularity = 0.005 + rng.beta(0.45, 4.0, n_products)
    styles = popularity * rng.gamma(0.35, 1 / 0.35, (n_styles, n_products))
    mixtures = rng.dirichlet(np.full(n_styles, 1.5 / n_styles), n) * rng.lognormal(0, 0.2, (n, 1))
    return _bernoulli(rng, mixtures, styles, noise=0.02)


def texas() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for Texas (paper, Sec. V-A): x uint8 0/1 (67330, 6170), y uint8 0..99 (67330,). Kept in the cache.

    See `discharges`.
    """
    key = {"name": "texas", "code": cache.code_digest(sys.modules[__name__])}
    return packed.kept("standins", key, lambda: discharges(generator(20170527), 67_330))


def discharges(
    rng: np.random.Generator, n: int, n_codes: int = 6170, n_classes: int = 100, n_conditions: int = 150
) -> tuple[np.ndarray, np.ndarray]:
    """Discharge records of n patients: bits uint8 (n, n_codes), and their main procedures uint8 (n,).

    Procedures and codes have Zipf-like popularity; the most frequent of 100 procedures has eleven times the share of the last.
    Latent conditions each boost a few codes (gamma factors). A procedure goes with a few conditions; a patient has those of the
    procedure and, at 12%, others (sparse Dirichlet), and is more or less ill (log-normal): about 80 codes in the mean.
    """
    popularity = rng.permutation(1 / (np.arange(n_codes) + 20) ** 1.1)
    conditions = ILLNESS * popularity / popularity.sum() * rng.gamma(0.1, 1 / 0.1, (n_conditions, n_codes))
    frequency = 1 / (np.arange(n_classes) + 10)
    y = rng.choice(n_classes, n, p=frequency / frequency.sum())
    usual = rng.dirichlet(np.full(n_conditions, 0.1), n_classes)
    mixtures = rng.standard_gamma(6.0 * (0.88 * usual + 0.12 / n_conditions)[y])
    mixtures *= rng.lognormal(0, 0.5, (n, 1)) / mixtures.sum(1, keepdims=True)
    return _bernoulli(rng, mixtures, conditions, noise=0.0), y.astype(np.uint8)


ILLNESS = 90  # codes of a patient of the mean illness, were none to come twice


def _bernoulli(rng: np.random.Generator, mixtures: np.ndarray, rates: np.ndarray, noise: float) -> np.ndarray:
    """Bits uint8 (n, d): 1 where a Poisson count of rate mixtures @ rates (n, d) is not 0, or by noise. Made in parts."""
    x = np.empty((len(mixtures), rates.shape[1]), np.uint8)
    rows = 2**22 // rates.shape[1]
    for start in range(0, len(x), rows):
        chance = 1 - (1 - noise) * np.exp(-mixtures[start : start + rows] @ rates)
        x[start : start + rows] = rng.random(chance.shape, np.float32) < chance
    return x
