"""Counter-based random numbers: those of the formula, uniform, and never the same in two streams."""

import numpy as np
import pytest
from scipy import stats

from mialib.core import streams

MASK = 2**64 - 1


def mix(z):
    """SplitMix64's finaliser in whole numbers without end."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def fork(state, index):
    return mix(state ^ mix((index + 1) * 0x9E3779B97F4A7C15 & MASK))


def uniform(counts):
    """The chi-squared test's probability of counts that should be equal."""
    return stats.chisquare(np.ravel(counts)).pvalue


def test_mix_is_that_of_splitmix64():
    """The first outputs of the generator of the paper, as published for seed 0, are mix(GOLDEN), mix(2 GOLDEN) …"""
    got = [mix(i * 0x9E3779B97F4A7C15 & MASK) for i in (1, 2, 3)]
    assert got == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_forks_are_those_of_the_formula():
    states, indices = [0, 1, 2**63 - 1, MASK], [0, 1, 599, 2**40]
    got = streams.fork(np.array(states, np.uint64)[:, None], np.array(indices))
    assert got.tolist() == [[fork(s, i) for i in indices] for s in states]
    assert streams.fork(7, 3).tolist() == [fork(7, 3)]
    assert streams.words(np.array(states, np.uint64), 5, 9).T.tolist() == [[fork(s, i) for i in range(5, 9)] for s in states]


def test_reading_leaves_a_stream_as_it_was():
    state = streams.fork(0, np.arange(5))
    before = state.copy()
    first, again = streams.words(state, 0, 9), streams.words(state, 0, 9)
    np.testing.assert_array_equal(state, before)
    np.testing.assert_array_equal(first, again)


def test_streams_of_climbers_and_steps_do_not_collide():
    climbers = streams.fork(streams.fork(streams.fork(1, np.arange(20))[:, None], np.arange(50)).ravel(), 0)
    steps = streams.fork(climbers[:, None], np.arange(100))
    numbers = np.concatenate([steps.ravel(), streams.words(steps.ravel(), 0, 4).ravel(), climbers])
    assert len(np.unique(numbers)) == numbers.size == 1000 * 100 * 5 + 1000


@pytest.mark.parametrize("part", ["draws", "steps", "climbers", "seeds"])
def test_numbers_are_uniform_along_every_index(part):
    """Each byte of the words, and each pair of neighbours' leading bits, is as frequent as any other."""
    many = np.arange(200_000)
    words = {
        "draws": lambda: streams.fork(streams.fork(3, 0), many),
        "steps": lambda: streams.fork(streams.fork(3, many), 0),
        "climbers": lambda: streams.fork(streams.fork(streams.fork(3, many), 2), 5),
        "seeds": lambda: streams.fork(streams.fork(streams.fork(many, 1), 2), 5),
    }[part]()
    found = [uniform(np.bincount(words.view(np.uint8)[byte::8], minlength=256)) for byte in range(8)]
    high = (words >> np.uint64(60)).astype(np.int64)
    found.append(uniform(np.bincount(16 * high[:-1] + high[1:], minlength=256)))
    assert min(found) > 1e-4


def test_below_and_share_are_uniform_in_their_range():
    words = streams.fork(11, np.arange(300_000))
    for bound in (1, 2, 7, 600):
        drawn = streams.below(words, bound)
        assert drawn.max() < bound
        assert bound == 1 or uniform(np.bincount(drawn.astype(np.int64), minlength=bound)) > 1e-4
    assert streams.below(np.array([MASK], np.uint64), 2**32) == 2**32 - 1
    shares = streams.share(words)
    assert shares.min() >= 0 and shares.max() < 1 and streams.share(np.array([MASK], np.uint64)) < 1
    assert stats.kstest(shares, "uniform").pvalue > 1e-4


def literal_places(state, k, n):
    """The first k different places of a stream."""
    places, i = [], 0
    while len(places) < k:
        place = ((fork(state, i) >> 32) * n) >> 32
        if place not in places:
            places.append(place)
        i += 1
    return sorted(places)


@pytest.mark.parametrize(("n", "k"), [(600, 128), (600, 4), (14, 14), (14, 7), (5, 1), (300, 300)])
def test_distinct_places_are_the_first_different_ones(n, k, monkeypatch):
    monkeypatch.setattr("mialib.core.streams.AT_ONCE", 3 * k)
    state = streams.fork(5, np.arange(10))
    counts = np.array([k, k, 1, k, max(1, k - 1), k, k, 1, k, k])
    marks = np.zeros((10, n), np.uint8)
    streams.mark_distinct(state, counts, marks)
    expected = [literal_places(int(s), count, n) for s, count in zip(state, counts, strict=True)]
    assert [np.flatnonzero(row).tolist() for row in marks] == expected
    assert marks.max() == 1


@pytest.mark.parametrize("k", [2, 9])
def test_all_sets_of_distinct_places_are_equally_likely(k):
    """n = 11: 55 sets of two places, and of nine."""
    marks = np.zeros((60_000, 11), np.uint8)
    streams.mark_distinct(streams.fork(2, np.arange(60_000)), np.full(60_000, k), marks)
    _, counts = np.unique(marks != 0, axis=0, return_counts=True)
    assert len(counts) == 55 and uniform(counts) > 1e-4
