"""Stand-ins for sets of images: see `standins` for what stand-ins are."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mialib.standins import generator

SIDE = 32
CANVAS = 48


def cifar10() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for CIFAR-10: x uint8 (60000, 32, 32, 3), y uint8 0..9 (60000,), 6,000 a class. See `textured_images`.

    Measured: the CNN of `models.cnn`, trained on 2,500 images, reaches train accuracy 1.0 and test accuracy 0.52 (the real
    set: 0.51).
    """
    return textured_images(generator(20170523), n=60_000, n_classes=10)


def cifar100() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for CIFAR-100: x uint8 (60000, 32, 32, 3), y uint8 0..99 (60000,), 600 a class. See `textured_images`.

    Measured: the CNN of `models.cnn`, trained on 4,600 images, reaches train accuracy 1.0 and test accuracy 0.22 (the real
    set: 0.20).
    """
    return textured_images(generator(20170528), n=60_000, n_classes=100, prototypes=2)


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """Stand-in for MNIST: x uint8 (70000, 28, 28), y uint8 0..9 (70000,), 7,000 a class. See `strokes`.

    Measured: a 128-unit Tanh network, trained on 10,000 images, reaches train accuracy 1.0 and test accuracy 0.95 (the real
    set: 0.95).
    """
    return strokes(generator(20170526), n=70_000, n_classes=10)


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


def strokes(
    rng: np.random.Generator, n: int, n_classes: int, prototypes: int = 3, bend: float = 0.07
) -> tuple[np.ndarray, np.ndarray]:
    """Equal classes of white pen strokes on black, like digits: x uint8 (n, 28, 28), y uint8 (n,).

    A class has a few ways to be written, each a curve through six points. A record bends one of them (each point moves), turns,
    slants, scales and shifts it, and draws it with a pen of its own width, with a soft edge. Made in parts.
    """
    side, knots = 28, 6
    y = rng.permutation(np.arange(n) % n_classes).astype(np.uint8)
    ways = rng.uniform(-1, 1, (n_classes * prototypes, knots, 2))
    path = _interpolation(knots, 24)
    grid = (np.mgrid[:side, :side].reshape(2, -1).T - (side - 1) / 2) / 9.5
    grid = grid.astype(np.float32)
    x = np.empty((n, side, side), np.uint8)
    for start in range(0, n, 1000):
        labels = y[start : start + 1000].astype(np.int64)
        size = len(labels)
        points = ways[labels * prototypes + rng.integers(prototypes, size=size)] + bend * rng.standard_normal((size, knots, 2))
        turned = np.eye(2) + 0.15 * rng.standard_normal((size, 2, 2))
        lines = (path @ points @ turned + 0.1 * rng.standard_normal((size, 1, 2))).astype(np.float32)
        squared = (grid**2).sum(1) + (lines**2).sum(2)[:, :, None] - 2 * lines @ grid.T
        distance = np.sqrt(squared.min(1).clip(0))
        ink = (1.5 - distance / rng.uniform(0.09, 0.17, (size, 1))).clip(0, 1)
        x[start : start + 1000] = (255 * ink).reshape(-1, side, side)
    return x, y


def _interpolation(knots: int, n: int) -> np.ndarray:
    """Weights (n, knots) of the knots at n places along a smooth curve: linear, then smoothed along the curve."""
    at = np.linspace(0, knots - 1, n)
    linear = np.clip(1 - np.abs(at[:, None] - np.arange(knots)), 0, None)
    near = np.exp(-0.5 * ((at[:, None] - at) / 0.35) ** 2)
    return near / near.sum(1, keepdims=True) @ linear
