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


def overlapping_splits(split: Split, pool: np.ndarray, n: int, k: int, share: float, seed: int, first: int = 0) -> list[Split]:
    """`sample_splits` of shadows whose training sets overlap with the target's (Sec. V-B): of the n members of each, a share is
    drawn from the members of the target's `split`, anew for each shadow, and the others from `pool`.

    Non-members are of the pool alone. The target's non-members stay out of everything: an attack that was fitted on a model's
    answers to them, as non-members, would be told what it is asked about later. Nor are the target's members in any
    shadow's test set: the paper speaks of training sets that overlap.

    Split i depends on (seed, first + i) and share only. Share 0 gives `sample_splits`; as the share grows, records of the pool
    give way to the target's one by one, and all else stays. Raises TypeError or ValueError, for a pool that holds records of
    the split, for a share of more records than the target has, and for n of which the pool has too few at this share.
    """
    checks.instance("split", split, Split)
    pool = checks.indices("pool", pool)
    both = len(np.intersect1d(pool, split.rows, assume_unique=True))
    if both:
        raise ValueError(f"pool must hold none of the target's members and non-members, got {both} of them")
    share = checks.real("share", share, 0, 1)
    n_shared = _check_overlap(checks.whole("n", n, 1), share, len(split.members), len(pool))
    checks.whole("k", k, 1)
    checks.whole("first", first, 0)
    splits = []
    for i in range(first, first + k):
        drawn = randomness.generator(seed, "split", i).choice(pool, min(2 * n, len(pool)), replace=False)
        shared = randomness.generator(seed, "overlap", i).permutation(split.members)[:n_shared]
        members = np.concatenate([drawn[: n - n_shared], shared])
        splits.append(Split(np.sort(members), np.sort(drawn[-n:])))
    return splits


def _check_overlap(n: int, share: float, n_target: int, n_pool: int) -> int:
    """How many of n members the target shares; ValueError where it, or the pool, has too few."""
    n_shared = round(share * n)
    if n_shared > n_target:
        raise ValueError(f"share must be at most {n_target / n:.3g} (the target has {n_target} members, n is {n}), got {share}")
    if 2 * n - n_shared > n_pool:
        most = max(m for m in range(n_pool + 1) if 2 * m - round(share * m) <= n_pool)
        least = f", or share at least {(2 * n - n_pool) / n:.3g}" if n <= n_pool and 2 * n - n_pool <= n_target else ""
        why = f"of 2 n records, a share of the members is the target's, and the pool has {n_pool}"
        raise ValueError(f"n must be at most {most} at share {share:g}{least} ({why}), got {n}")
    return n_shared


def swapped_splits(split: Split, k: int = 1) -> list[Split]:
    """The target's own split with members and non-members in each other's roles, k times: k models on the same records.

    For targets so large that the pool holds no disjoint shadows of their size (CIFAR-100 at 19,920 and 29,540; Choquette-Choo
    et al., ICML 2021, swap the roles likewise). Contaminated: no attacker has the target's records, and every member of the
    target is a non-member here. The paper's rule (Sec. VI-B) is broken, so no result counts beside the paper's.
    """
    checks.instance("split", split, Split)
    return [Split(split.nonmembers, split.members)] * checks.whole("k", k, 1)
