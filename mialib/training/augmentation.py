"""Mirrored and shifted pictures, batch by batch: drawn on the CPU, made where the pictures lie."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class PictureBatch(NamedTuple):
    """Rows of pictures (b,), which of them are mirrored, bool (b,), and by how much each is shifted, down and right, (b, 2)."""

    rows: Tensor
    mirrored: Tensor
    shifts: Tensor


def moved_batches(
    rows: Tensor, size: int, flip: bool, shift: int, order: torch.Generator, moves: torch.Generator, device: torch.device
) -> list[PictureBatch]:
    """One epoch on pictures `rows` (n,), in a new order, on the device: half of them mirrored if `flip`, all shifted by up to
    `shift` pixels.

    As few batches of at most `size` as it takes, in length at most one apart: no short last one, whose statistics would be
    noise to batch normalisation. order, moves: generators on the CPU, for the same numbers whatever the device.
    """
    n = len(rows)
    picked = rows[torch.randperm(n, generator=order)]
    mirrored = torch.rand(n, generator=moves) < (0.5 if flip else 0.0)
    shifts = torch.randint(-shift, shift + 1, (n, 2), generator=moves)
    parts = (drawn.to(device).tensor_split(math.ceil(n / size)) for drawn in (picked, mirrored, shifts))
    return [PictureBatch(*part) for part in zip(*parts, strict=True)]


def moved_pictures(x: Tensor, batch: PictureBatch) -> Tensor:
    """The pictures (b, h, w[, c]) of a batch, from all pictures x (n, h, w[, c]): mirrored left to right, then shifted.

    Shifts must be less than h and w. What is empty shows the picture's own reflection, its edge not repeated.
    """
    height, width = x.shape[1:3]
    down = _reflected(torch.arange(height, device=x.device) - batch.shifts[:, :1], height)
    across = _reflected(torch.arange(width, device=x.device) - batch.shifts[:, 1:], width)
    across = torch.where(batch.mirrored[:, None], width - 1 - across, across)
    return x[batch.rows[:, None, None], down[:, :, None], across[:, None, :]]


def _reflected(places: Tensor, size: int) -> Tensor:
    """Places -size+1..2*size-2 by those in 0..size-1 that they mirror."""
    return (size - 1) - ((size - 1) - places.abs()).abs()
