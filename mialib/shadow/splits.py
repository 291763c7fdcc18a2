"""Which records shadow models are trained on, and asked about (Sec. V-B)."""

import numpy as np

from mialib.core import checks, randomness
from mialib.core.types import Split


def sample_splits(pool: np.ndarray, n: int, k: int, seed: int, first: int = 0) -> list[Split]:
    """k splits of n members and n non-members, drawn from `pool` (row indices) without replacement within a split (Sec. VI-B).

    Split i depends on (seed, first + i) only; splits may overlap one another. Raises TypeError or ValueError for a pool that
    is not different rows, and if 2 n exceeds it.
    """
    pool = checks.indices("pool", pool)
    checks.whole("n", n, 1, len(pool) // 2, f"the pool has {len(pool)} records, and a split takes 2 n")
    checks.whole("k", k, 1)
    checks.whole("first", first, 0)
    splits = []
    for i in range(first, first + k):
        drawn = randomness.generator(seed, "split", i).choice(pool, 2 * n, replace=False)
        splits.append(Split(np.sort(drawn[:n]), np.sort(drawn[n:])))
    return splits


def swapped_splits(split: Split, k: int = 1) -> list[Split]:
    """The target's own split with members and non-members in each other's roles, k times: k models on the same records.

    For targets so large that the pool holds no disjoint shadows of their size (CIFAR-100 at 19,920 and 29,540; Choquette-Choo
    et al., ICML 2021, swap the roles likewise). Contaminated: no attacker has the target's records, and every member of the
    target is a non-member here. The paper's rule (Sec. VI-B) is broken, so no result counts beside the paper's.
    """
    checks.instance("split", split, Split)
    return [Split(split.nonmembers, split.members)] * checks.whole("k", k, 1)
