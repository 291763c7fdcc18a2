"""Records of bits by their ones: where few bits are ones, a network's first layer has little to add up."""

import numpy as np
import torch
from torch import Tensor

SPARSE = 0.05  # share of ones below which they are faster than all the bits


class SparseBits:
    """Records of bits by their ones. x: uint8 (n, d) of 0 and 1."""

    def __init__(self, x: np.ndarray) -> None:
        self.n_features = x.shape[1]
        ones = torch.as_tensor(np.flatnonzero(x.view(bool)))
        self.features = ones % self.n_features
        self.ends = torch.searchsorted(ones, torch.arange(1, len(x) + 1) * self.n_features)

    def ones(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The ones of the records rows (k, b), one record after another.

        Returns their features, numbered on from model to model, (n_ones,); where each record's ones start, and how many it has,
        (k * b,).
        """
        flat = rows.flatten()
        ends = self.ends[flat]
        lengths = ends - torch.where(flat > 0, self.ends[flat - 1], 0)
        stops = lengths.cumsum(0)
        first = torch.arange(len(rows)).repeat_interleave(rows.shape[1]) * self.n_features
        shift = (ends - stops).repeat_interleave(lengths)
        features = self.features[torch.arange(int(stops[-1])) + shift] + first.repeat_interleave(lengths)
        return features, stops - lengths, lengths


def is_sparse(x: np.ndarray) -> bool:
    """Whether records are bits (uint8 of 0 and 1) of which so few are ones that `SparseBits` is faster."""
    bits = x.dtype == np.uint8 and x.ndim == 2 and x.size and x.max() <= 1
    return bool(bits and np.count_nonzero(x.view(bool)) < SPARSE * x.size)
