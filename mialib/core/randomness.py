"""Random streams: each use has a seed of its own, derived from one seed and the name of the use.

No stream is advanced by another's draws, so adding shadow models never changes a target, and model number i is the same model
whether it is trained alone, in a batch, or after an interrupt.
"""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from mialib.core import checks

_GLOBAL = threading.RLock()


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed that depends on `seed` and every name or number of `path`."""
    checks.whole("seed", seed, 0)
    text = "/".join(str(part) for part in (int(seed), *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator for (seed, path)."""
    return np.random.default_rng(derive(seed, *path))


def torch_generator(seed: int, *path: str | int) -> torch.Generator:
    """A torch generator for (seed, path), on the CPU: the same numbers whatever the device of the training."""
    return torch.Generator().manual_seed(derive(seed, *path))


@contextmanager
def torch_seed(seed: int, *path: str | int, devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """Within the block, torch's global generator (modules draw initial weights and dropout from it) is seeded for (seed, path).

    It is put back afterwards; one thread at a time.
    """
    with _GLOBAL, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(derive(seed, *path))
        yield
