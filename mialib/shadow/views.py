"""Views of a picture: mirrored and shifted copies, which a model that was trained on the picture tends to know, too.

Attacks with several queries a record (Carlini et al. 2022: 18, mirrored or not, shifted by 0 or 4 pixels either way) and the
label-only attack by augmentation (Choquette-Choo et al. 2021) ask for the same ones.
"""

from dataclasses import dataclass

import numpy as np

from mialib.core import checks

FURTHEST = 2**15 - 1  # pixels: more than any picture of a data set has


@dataclass(frozen=True)
class View:
    """One view: mirrored left to right, if `flip`, then moved `down` and `right` by so many pixels (negative: up, left).

    What comes in at an edge is the picture reflected there, its outermost row or column not repeated. The fields are plain
    values, for JSON by `dataclasses.asdict`. Raises TypeError or ValueError for others.
    """

    flip: bool = False
    down: int = 0
    right: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "flip", checks.flag("flip", self.flip))
        for name in ("down", "right"):
            object.__setattr__(self, name, checks.whole(name, getattr(self, name), -FURTHEST, FURTHEST))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The view of each of pictures x, uint8 (n, h, w) or (n, h, w, channels): the same shape, a new array. TypeError or
        ValueError for other records, and for a picture too small to reflect so far.
        """
        x = check_pictures("x", x)
        height, width = x.shape[1:3]
        for name, shift, size in (("down", self.down, height), ("right", self.right, width)):
            if abs(shift) >= size:
                raise ValueError(f"{name} must be less than the picture's {size} pixels, got {shift}")
        columns = _reflected(self.right, width)
        return x[:, _reflected(self.down, height)[:, None], width - 1 - columns if self.flip else columns]


def check_pictures(name: str, x: np.ndarray) -> np.ndarray:
    """`x` as pictures, uint8 (n, h, w) or (n, h, w, channels); TypeError otherwise."""
    x = checks.array(name, x)
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise TypeError(f"{name} must be pictures, uint8 of shape (n, h, w) or (n, h, w, channels), got {checks.kind(x)}")
    return x


def _reflected(shift: int, size: int) -> np.ndarray:
    """Which row (or column) of the picture stands at each place after a shift."""
    place = np.abs(np.arange(size) - shift)
    return np.minimum(place, 2 * (size - 1) - place)


def views(flips: bool = True, shift: int = 0) -> list[View]:
    """The views with and without a mirror (if `flips`), at shifts of 0 and of `shift` pixels either way, down and right.

    The plain picture comes first. shift=4: the 18 of Carlini et al.; shift=0: the picture and its mirror image.
    """
    checks.flag("flips", flips)
    checks.whole("shift", shift, 0, FURTHEST)
    shifts = (0, shift, -shift) if shift else (0,)
    mirrored = (False, True) if flips else (False,)
    return [View(flip, down, right) for flip in mirrored for down in shifts for right in shifts]
