"""Counter-based random numbers: every number is a function of its stream and its index, and of nothing drawn before.

A stream is a 64-bit state. `fork(state, i)` is its i-th child: a random number, and the state of a stream of its own. So a tree
of streams (seed, class, record, step …) needs no memory, and thousands are read at once, each as it would be read alone.
fork(s, i) = mix(s ^ mix((i + 1) * GOLDEN)), mix the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
number generators, OOPSLA 2014); each mix is a bijection, so that the children of one stream all differ.
"""

from functools import lru_cache

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
AT_ONCE = 2**15  # draws: their 64-bit words stay in the cache


def fork(state: np.ndarray | int, index: np.ndarray | int) -> np.ndarray:
    """Children number `index` (from 0) of the streams `state`: uint64, of at least one dimension, shapes broadcast."""
    state, index = (np.array(part, np.uint64, copy=None, ndmin=1) for part in (state, index))
    return mix(state ^ mix((index + np.uint64(1)) * np.uint64(GOLDEN)))


def mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser of each 64-bit number of `z`, uint64; `z` itself is overwritten, and returned."""
    spare = np.empty_like(z)
    for shift, factor in ((30, FIRST), (27, SECOND)):
        z ^= np.right_shift(z, np.uint64(shift), out=spare)
        z *= np.uint64(factor)
    z ^= np.right_shift(z, np.uint64(31), out=spare)
    return z


@lru_cache(maxsize=64)
def _salts(start: int, stop: int) -> np.ndarray:
    return mix(np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(GOLDEN))


def words(state: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Children start..stop-1 of each of m streams: uint64 (stop - start, m)."""
    return mix(state ^ _salts(start, stop)[:, None])


def below(word: np.ndarray, bound: np.ndarray | int) -> np.ndarray:
    """Whole numbers 0..bound-1 (bound up to 2**32) from random words: uint64; uniform within bound / 2**32."""
    return ((word >> np.uint64(32)) * np.asarray(bound, np.uint64)) >> np.uint64(32)


def share(word: np.ndarray) -> np.ndarray:
    """Float64 uniform in [0, 1) from random words."""
    return (word >> np.uint64(11)) * 2.0**-53


def mark_distinct(state: np.ndarray, k: np.ndarray, marks: np.ndarray) -> None:
    """Set k[i] of the n places in row i of `marks` (m, n), all zero before, to one: the first k[i] different ones among
    below(fork(state[i], 0), n), below(fork(state[i], 1), n), … That is a uniform choice without replacement.

    state: uint64 (m,). k: int64 (m,), 1..n. marks: uint8, in memory row after row.
    """
    n, flat = marks.shape[1], marks.reshape(-1)
    for each in np.unique(k).tolist():
        rows = (k == each).nonzero()[0]
        for start in range(0, len(rows), block := max(1, AT_ONCE // each)):
            part = rows[start : start + block]
            flat[_places(words(state[part], 0, each), n, part).reshape(-1)] = 1
    counter = np.min_scalar_type(k.max(initial=0))  # never more than k[i] are marked, and sums of few bits are faster
    read, missing = k.copy(), k - marks.sum(1, counter)
    while (short := missing.nonzero()[0]).size:  # as many more words as places are missing: never one too many
        count = missing[short]
        row = short.repeat(count)
        order = np.arange(len(row)) - (count.cumsum() - count).repeat(count)
        flat[_places(fork(state[row], read[row] + order), n, row)] = 1
        read[short] += count
        missing[short] = k[short] - marks[short].sum(1, counter)


def _places(word: np.ndarray, n: int, row: np.ndarray) -> np.ndarray:
    """The places below(word, n) in rows of n places: int64, in the memory of `word`."""
    word >>= np.uint64(32)
    word *= np.uint64(n)
    word >>= np.uint64(32)
    place = word.view(np.int64)
    place += row * n
    return place
