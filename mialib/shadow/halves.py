"""One stock of models on complementary halves: each model in turn is the target, all others but its complement its references
(Carlini et al. 2022: every record is in exactly half of the models).
"""

import numpy as np

from mialib.core import checks, randomness


def sample_halves(n: int, k: int, seed: int) -> np.ndarray:
    """Which of n records each of k models is trained on, bool (k, n): models 2j and 2j + 1 are complements.

    So every record is in exactly k / 2 models, and every model has n / 2 records. n and k must be even. Pair j depends on
    (seed, j) only: more models leave the first ones as they are. Raises TypeError or ValueError.
    """
    checks.whole("n", n, 2)
    checks.whole("k", k, 2)
    for name, value in (("n", n), ("k", k)):
        if value % 2:
            raise ValueError(f"{name} must be even, so that halves are complements, got {value}")
    member = np.zeros((k, n), bool)
    for pair in range(k // 2):
        drawn = randomness.generator(seed, "halves", pair).permutation(n)[: n // 2]
        member[2 * pair, drawn] = True
        member[2 * pair + 1] = ~member[2 * pair]
    return member
