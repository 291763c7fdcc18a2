"""Labels beside points, none upon another: each takes the nearest free place, with a thin line to its point where it is far."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

DISTANCES = np.array([6, 9, 13, 18, 24, 31, 39, 48, 60, 74, 90, 110])  # points
ANGLES = np.arange(24) * np.pi / 12
LEADER = 10  # points: from this distance on, a line shows whose label it is
ALONE = 14  # points: a label that is not needed is left out where another marker is closer than this
HALO = [withStroke(linewidth=2, foreground="white")]


class Label(NamedTuple):
    """A word for the point (x, y) in data coordinates. Without `needed` it gives way to what is near."""

    x: float
    y: float
    text: str
    colour: str
    size: float = 7.5
    needed: bool = True


def place_labels(ax: Axes, labels: Sequence[Label], paths: Sequence[np.ndarray]) -> None:
    """Write labels into `ax`, the first ones first. Its limits and size must be final.

    paths: arrays (n, 2) of points in data coordinates, markers joined by lines: labels keep off both.
    """
    figure = ax.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    scale = figure.dpi / 72
    markers = [ax.transData.transform(path) for path in paths]
    lines = np.concatenate([_along(path, 3 * scale) for path in markers])
    spots = np.concatenate(markers)
    taken: list[np.ndarray] = [np.array(text.get_window_extent().extents) for text in ax.texts]
    for label in labels:
        _write(ax, label, spots, lines, taken, scale)


def _write(ax: Axes, label: Label, spots: np.ndarray, lines: np.ndarray, taken: list[np.ndarray], scale: float) -> None:
    probe = ax.text(0, 0, label.text, fontsize=label.size)
    half = np.array([probe.get_window_extent().width, probe.get_window_extent().height]) / 2
    probe.remove()
    distance, angle = (part.ravel() for part in np.meshgrid(DISTANCES, ANGLES, indexing="ij"))
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    point = ax.transData.transform((label.x, label.y))
    centres = point + direction * distance[:, None] * scale + np.sign(np.round(direction, 6)) * half
    boxes = np.concatenate([centres - half, centres + half], 1)
    clash = 40.0 * _covered(boxes, spots, 4 * scale) + 5 * _covered(boxes, lines, scale)
    clash += 400 * sum((_overlaps(boxes, other, scale) for other in taken), np.zeros(len(boxes)))
    leaders = point + (centres - point)[:, None] * np.linspace(0.1, 0.7, 7)[:, None]  # (n, 7, 2)
    clash += 30 * sum((_within(leaders, other).sum(1) for other in taken), np.zeros(len(boxes)))
    clash += 1000 * _outside(boxes, np.array(ax.bbox.extents))
    best = (clash + distance).argmin()
    others = spots[np.hypot(*(spots - point).T) > scale]
    alone = not len(others) or np.hypot(*(others - point).T).min() > ALONE * scale
    if not label.needed and (clash[best] > 0 or distance[best] > LEADER or not alone):
        return
    offset = (centres[best] - point) / scale
    line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
    ax.annotate(
        label.text, (label.x, label.y), offset, textcoords="offset points", ha="center", va="center", fontsize=label.size,
        color=label.colour, arrowprops=line if distance[best] > LEADER else None, path_effects=HALO, zorder=6,
    )  # fmt: skip
    taken.append(boxes[best])


def _along(path: np.ndarray, step: float) -> np.ndarray:
    """Points on the lines between neighbours, about `step` apart."""
    parts = [path[:1]]
    for start, stop in pairwise(path):
        parts.append(np.linspace(start, stop, 2 + int(np.hypot(*(stop - start)) / step)))
    return np.concatenate(parts)


def _covered(boxes: np.ndarray, points: np.ndarray, margin: float) -> Any:
    """How many of the points lie in each box (n, 4: left, bottom, right, top), with a margin."""
    inside = (points[:, 0] > boxes[:, :1] - margin) & (points[:, 0] < boxes[:, 2:3] + margin)
    return (inside & (points[:, 1] > boxes[:, 1:2] - margin) & (points[:, 1] < boxes[:, 3:] + margin)).sum(1)


def _within(points: np.ndarray, box: np.ndarray) -> Any:
    return ((points > box[:2]) & (points < box[2:])).all(-1)


def _overlaps(boxes: np.ndarray, other: np.ndarray, margin: float) -> Any:
    apart = (boxes[:, :2] > other[2:] + margin) | (boxes[:, 2:] < other[:2] - margin)
    return ~apart.any(1)


def _outside(boxes: np.ndarray, frame: np.ndarray) -> Any:
    return (boxes[:, :2] < frame[:2]).any(1) | (boxes[:, 2:] > frame[2:]).any(1)
