"""Records that an attacker can make up: uniform in range, groups as one feature, exactly the marked features changed."""

import numpy as np
import pytest
from scipy import stats

from mialib.core import streams
from mialib.core.types import Features
from mialib.shadow.space import Space

M = 4000
KINDS = [("category", "job"), ("integer", 17, 90), ("bit",), ("category", "sex"), ("category", "job"), ("real", -1.5, 2.5),
         ("category", "sex"), ("category", "job")]  # fmt: skip
TABLE = Features((8,), KINDS)
UNITS = {"job": [0, 4, 7], "age": [1], "bit": [2], "sex": [3, 6], "rate": [5]}  # in the order of their first columns


def values(seed=0, m=M):
    return streams.fork(seed, np.arange(m))


def test_bits_are_fair_coins():
    space = Space(Features((40,)))
    x = space.records(space.random(values()))
    assert (space.n, space.binary, x.dtype, x.shape) == (40, True, np.uint8, (M, 40)) and x.max() == 1
    np.testing.assert_allclose(x.mean(0), 0.5, atol=5 * 0.5 / np.sqrt(M))


def test_pixels_take_every_value_and_their_shape():
    space = Space(Features((3, 4, 2)))
    x = space.records(space.random(values()))
    assert (space.n, space.binary, x.dtype, x.shape) == (24, False, np.uint8, (M, 3, 4, 2))
    assert stats.chisquare(np.bincount(x.ravel(), minlength=256)).pvalue > 1e-4


def test_tables_are_uniform_in_range_and_groups_have_one_column():
    space = Space(TABLE)
    x = space.records(space.random(values()))
    assert (space.n, x.dtype, x.shape) == (5, np.float32, (M, 8))
    for group in ("job", "sex"):
        columns = x[:, UNITS[group]]
        assert (columns.sum(1) == 1).all() and set(np.unique(columns)) == {0, 1}
        assert stats.chisquare(columns.sum(0)).pvalue > 1e-4
    age = x[:, 1]
    assert (age == age.round()).all() and (age.min(), age.max()) == (17, 90)
    assert stats.chisquare(np.bincount(age.astype(int) - 17)).pvalue > 1e-4
    assert stats.kstest(x[:, 5], "uniform", (-1.5, 4)).pvalue > 1e-4
    assert set(np.unique(x[:, 2])) == {0, 1}


@pytest.mark.parametrize("features", [Features((30,)), Features((5, 6)), TABLE], ids=["bits", "pixels", "table"])
def test_a_change_touches_the_marked_features_only(features):
    space = Space(features)
    codes = space.random(values())
    before = codes.copy()
    marks = np.random.default_rng(0).integers(0, 2, codes.shape, dtype=np.uint8)
    new = space.changed(codes, marks, values(1))
    np.testing.assert_array_equal(codes, before)
    assert (new[marks == 0] == codes[marks == 0]).all() and new.dtype == codes.dtype
    if space.binary:
        np.testing.assert_array_equal(new != codes, marks != 0)
        np.testing.assert_array_equal(space.changed(codes, marks, None), new)
    drawn = space.random(values(1))
    resampled = (marks != 0) & ~space._bit
    np.testing.assert_array_equal(new[resampled], drawn[resampled])  # as they would be drawn for a new record


def test_a_bit_of_a_table_flips_and_a_group_moves_as_one():
    space = Space(TABLE)
    codes = space.random(values())
    x = space.records(codes)
    flipped = space.records(space.changed(codes, np.tile(np.uint8([0, 0, 1, 0, 0]), (M, 1)), values(1)))
    np.testing.assert_array_equal(flipped[:, 2], 1 - x[:, 2])
    np.testing.assert_array_equal(np.delete(flipped, 2, 1), np.delete(x, 2, 1))
    moved = space.records(space.changed(codes, np.tile(np.uint8([1, 0, 0, 0, 0]), (M, 1)), values(1)))
    assert (moved[:, [0, 4, 7]].sum(1) == 1).all()
    assert (moved != x).any(1).mean() == pytest.approx(2 / 3, abs=0.04)  # the old column may be drawn again


def test_the_same_streams_give_the_same_records_whatever_is_drawn_with_them():
    space = Space(TABLE)
    np.testing.assert_array_equal(space.random(values())[5:9], space.random(values()[5:9]))


@pytest.mark.parametrize(
    ("features", "error", "words"),
    [
        ((3,), TypeError, "features must be a mialib.data.Features, got tuple"),
        (Features(()), ValueError, r"features.shape must be .* got \(\)"),
        (Features((3, 0)), ValueError, r"features.shape must be .* got \(3, 0\)"),
        (Features((2,), [("bit",)]), ValueError, r"features.kinds must be None or,.* got 1 for shape \(2,\)"),
        (Features((1, 1), [("bit",)]), ValueError, "features.kinds must be None or,"),
        (Features((1,), ["bit"]), ValueError, r"features.kinds\[0\] must be .*, got 'bit'"),
        (Features((1,), [("bits",)]), ValueError, r"features.kinds\[0\] must be"),
        (Features((2,), [("bit",), ("real", 0)]), ValueError, r"features.kinds\[1\] must be"),
        (Features((1,), [("real", 1, 0)]), ValueError, "a finite range low <= high"),
        (Features((1,), [("real", 0, float("nan"))]), ValueError, "a finite range low <= high"),
        (Features((1,), [("integer", 0, 1.5)]), ValueError, "whole numbers up to"),
    ],
)
def test_bad_features_are_named(features, error, words):
    with pytest.raises(error, match=words):
        Space(features)
