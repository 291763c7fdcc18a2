"""Stand-ins: documented generators, used where an official file cannot be had.

Each has the shape, the class count and the class skew of the data set whose place it takes, is built the way the paper's data
was, and is over-fitted by a network about as the real one is. Each is one fixed array: its own seed, nothing to set. Results
on a stand-in are marked everywhere, and are never counted as agreement with the paper.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SIDE = 32
CANVAS = 48


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def location() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for Location (paper, Sec. V-A): x uint8 0/1 (5010, 446), y uint8 0..29 (5010,).

    446 places with beta-distributed popularity; 50 latent habits, each of which visits some places more often (gamma factors);
    a user mixes few habits (sparse Dirichlet) and is more or less active (log-normal); Bernoulli visits plus 2% noise; k-means
    into 30 classes of 97 to 308 users, the official sizes. Measured: density 0.12, and a 128-unit Tanh network trained on 1,200
    users reaches train accuracy 1.0 and test accuracy 0.63 (the real set: 0.60).
    """
    rng = _rng(20170522)
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


def cifar10() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for CIFAR-10: x uint8 (60000, 32, 32, 3), y uint8 0..9 (60000,), 6,000 a class. See `textured_images`.

    Measured: the CNN of `models.cnn`, trained on 2,500 images, reaches train accuracy 1.0 and test accuracy 0.52 (the real
    set: 0.51).
    """
    return textured_images(_rng(20170523), n=60_000, n_classes=10)


def textured_images(
    rng: np.random.Generator, n: int, n_classes: int, prototypes: int = 8, clutter: float = 1.25, noise: float = 0.7
) -> tuple[np.ndarray, np.ndarray]:
    """Equal classes of textured colour images: x uint8 (n, 32, 32, 3), y uint8 (n,).

    A class has a few prototypes, each an oriented coloured grating plus a smooth random field. A record shows one of them at a
    random shift and contrast, over clutter (a texture from a bank that all classes share), with pixel noise and a colour cast
    of its own, and is squeezed smoothly into 0..255. Made in parts, so that memory stays near the size of the result.
    """
    y = rng.permutation(np.arange(n) % n_classes).astype(np.uint8)
    shown = y.astype(np.int64) * prototypes + rng.integers(prototypes, size=n)
    signal, background = _textures(rng, n_classes * prototypes), _textures(rng, 500)
    x = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for start in range(0, n, 2000):
        rows = slice(start, min(start + 2000, n))
        size = rows.stop - start
        image = _crops(rng, signal, shown[rows]) * rng.uniform(0.6, 1.4, (size, 1, 1, 1)).astype(np.float32)
        image += clutter * _crops(rng, background, rng.integers(len(background), size=size))
        image += noise * rng.standard_normal(image.shape, np.float32)
        image += 0.5 * rng.standard_normal((size, 1, 1, 3), np.float32)
        x[rows] = 127.5 + 127.5 * np.tanh(0.5 * image)
    return x, y


def _textures(rng: np.random.Generator, n: int) -> np.ndarray:
    """Textures float32 (n, CANVAS, CANVAS, 3) of mean 0 and deviation 1: half grating, half smooth field."""
    down, across = np.mgrid[:CANVAS, :CANVAS]
    angle, pitch, phase = rng.uniform(0, np.pi, n), rng.uniform(4, 16, n), rng.uniform(0, 2 * np.pi, n)
    along = np.einsum("n,hw->nhw", np.cos(angle), down) + np.einsum("n,hw->nhw", np.sin(angle), across)
    grating = np.sin(2 * np.pi * along / pitch[:, None, None] + phase[:, None, None])
    gratings = np.einsum("nhw,nc->nhwc", grating, rng.standard_normal((n, 3)))
    return (_standard(gratings) + _standard(_smooth_fields(rng, n))).astype(np.float32) / np.float32(np.sqrt(2))


def _smooth_fields(rng: np.random.Generator, n: int, knots: int = 9) -> np.ndarray:
    """Random values on a coarse grid, interpolated linearly."""
    at = np.linspace(0, knots - 1, CANVAS)
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(knots)), 0, None)
    return np.einsum("hk,wl,nklc->nhwc", weights, weights, rng.standard_normal((n, knots, knots, 3)), optimize=True)


def _standard(images: np.ndarray) -> np.ndarray:
    images = images - images.mean((1, 2, 3), keepdims=True)
    return images / images.std((1, 2, 3), keepdims=True)


def _crops(rng: np.random.Generator, textures: np.ndarray, which: np.ndarray) -> np.ndarray:
    """A 32 x 32 window of textures[which], each at a random place: float32 (len(which), 32, 32, 3)."""
    windows = sliding_window_view(textures, (SIDE, SIDE), (1, 2))
    places = rng.integers(CANVAS - SIDE + 1, size=(2, len(which)))
    return np.ascontiguousarray(windows[which, places[0], places[1]].transpose(0, 2, 3, 1))
