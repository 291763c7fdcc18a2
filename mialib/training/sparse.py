"""Records of bits by their ones: where few bits are ones, a network's first layer has little to add up."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from mialib.core.threads import one_a_core

SPARSE_IN_TRAINING = 0.15  # share of ones below which a training by them is faster than by all the bits
SPARSE_IN_ANSWERS = 0.05  # the same of answers: their ones are to be found first
BYTES_A_BLOCK = 2**23  # of records whose ones are found at once
ONES_AHEAD = 2**17  # of batches that are made ready at once: so many stay in a core's cache


class Ones(NamedTuple):
    """The ones of a batch (k, b) of records with d features, all int32 tensors: both by record and by feature.

    features (n_ones,): the features of one record after another, numbered on from network to network; starts (k * b,): where
    those of each record begin. records (n_ones,): the records of one feature after another, in the networks' order; firsts
    (k * d,): where those of each feature begin.
    """

    features: Tensor
    starts: Tensor
    records: Tensor
    firsts: Tensor


class SparseBits:
    """Records of bits by their ones. x: uint8 (n, d) of 0 and 1.

    features (n_ones,): the features that are ones, of one record after another; starts (n,): where those of each begin. Both
    int32.
    """

    def __init__(self, x: np.ndarray) -> None:
        size = max(1, BYTES_A_BLOCK // x.shape[1])
        blocks = [x[start : start + size] for start in range(0, len(x), size)]
        with one_a_core(len(blocks), threads=1) as (pool, _):
            found = [*pool.map(_ones, blocks)] if len(blocks) > 1 else [*map(_ones, blocks)]
        features, lengths = zip(*found, strict=True)
        ends = np.concatenate([[0], *lengths]).cumsum(dtype=np.int32)
        ones = np.concatenate(features)
        self._matrix = csr_array((np.ones(len(ones), np.int8), ones, ends), shape=x.shape, copy=False)
        self.features, self.starts = torch.as_tensor(ones), torch.as_tensor(ends[:-1])

    def batches(self, rows: Tensor, size: int) -> Iterator[Ones]:
        """The ones of records rows (k, n), `size` records of each network after another; several batches are made at once."""
        whole = rows.shape[1] - rows.shape[1] % size
        ones_a_record = max(1, len(self.features) // len(self.starts))
        steps = max(1, ONES_AHEAD // (len(rows) * size * ones_a_record))
        for part in (*rows[:, :whole].split(steps * size, dim=1), rows[:, whole:]):
            if part.shape[1]:
                yield from self._batches(part.unflatten(1, (-1, min(size, part.shape[1]))).transpose(0, 1).numpy())

    def _batches(self, rows: np.ndarray) -> Iterator[Ones]:
        """Of records rows (batches, k, b). Every batch has features of its own, so that one pass sorts all ones by feature."""
        steps, k, b = rows.shape
        width, d = k * self._matrix.shape[1], self._matrix.shape[1]
        chosen = self._matrix[rows.ravel()]
        lengths = np.diff(chosen.indptr)
        first = np.tile(np.arange(0, width, d, dtype=np.int32).repeat(b), steps)
        features = chosen.indices + first.repeat(lengths)
        batch = np.arange(steps, dtype=np.int32).repeat(lengths.reshape(steps, -1).sum(1))
        apart = csr_array((chosen.data, features + batch * width, chosen.indptr), shape=(rows.size, steps * width), copy=False)
        sorted_ones = apart.tocsc()
        records = sorted_ones.indices - batch * np.int32(k * b)
        starts, firsts = chosen.indptr[:-1].reshape(steps, -1), sorted_ones.indptr[:-1].reshape(steps, -1)
        ends = [*starts[1:, 0], len(features)]
        for i, (begin, end) in enumerate(zip(starts[:, 0], ends, strict=True)):
            parts = features[begin:end], starts[i] - begin, records[begin:end], firsts[i] - begin
            yield Ones(*map(torch.from_numpy, parts))


def _ones(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The features that are ones, of one record after another, and how many each record has, both int32."""
    ones = np.flatnonzero(x.view(bool))
    ends = np.searchsorted(ones, np.arange(len(x) + 1) * x.shape[1])
    return (ones % x.shape[1]).astype(np.int32), np.diff(ends).astype(np.int32)


def is_sparse(x: np.ndarray, below: float) -> bool:
    """Whether records are bits (uint8 of 0 and 1), and the share of ones is smaller than `below`."""
    bits = x.dtype == np.uint8 and x.ndim == 2 and x.size and x.max() <= 1
    return bool(bits and np.count_nonzero(x.view(bool)) < min(below * x.size, 2**31))
