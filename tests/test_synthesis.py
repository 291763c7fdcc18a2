"""Noise in both readings of the paper: exactly so many features of every record, in a copy."""

import numpy as np
import pytest

from mialib import synthesis

RATES = [0, 0.1, 0.2, 0.55, 1]


def bits(n=50, d=40, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, d), dtype=np.uint8)


def pixels(n=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 6, 3), dtype=np.uint8)


def table(n=60, seed=0):
    """Floats that tell their column: feature j lies in [10 j, 10 j + 1)."""
    return (np.random.default_rng(seed).random((n, 12)) + 10 * np.arange(12)).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_flip_turns_exactly_the_rate_of_each_record(rate):
    x = bits()
    noisy = synthesis.noisy(x, rate, np.random.default_rng(1))
    assert noisy.dtype == np.uint8
    assert set(np.unique(noisy)) <= {0, 1}
    assert (noisy != x).sum(1).tolist() == [round(rate * 40)] * 50


def test_the_flipped_features_differ_between_records_and_cover_all():
    flipped = synthesis.noisy(bits(2000), 0.1, np.random.default_rng(1)) != bits(2000)
    assert len(np.unique(flipped, axis=0)) > 1900
    np.testing.assert_allclose(flipped.mean(0), 0.1, atol=5 * np.sqrt(0.1 * 0.9 / 2000))


def test_records_beyond_one_part_are_disturbed_alike(monkeypatch):
    monkeypatch.setattr(synthesis, "ROWS_AT_ONCE", 7)
    for mode in ("flip", "random"):
        changed = (synthesis.noisy(bits(), 0.5, np.random.default_rng(1), mode) != bits()).sum(1)
        assert (changed == 20).all() if mode == "flip" else (changed > 0).all()
    assert (synthesis.noisy(table(), 1, np.random.default_rng(1), "random") != table()).any(1).all()


def test_random_bits_change_half_as_often():
    x = bits(2000)
    changed = synthesis.noisy(x, 0.2, np.random.default_rng(1), "random") != x
    assert changed.sum(1).max() <= 8
    assert changed.mean() == pytest.approx(0.1, abs=5 * 0.1 / np.sqrt(2000 * 8))
    for value in (0, 1):  # a fair coin, whatever was there
        assert changed[x == value].mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("rate", RATES)
def test_random_pixels_take_any_value(rate):
    x = pixels(200)
    noisy = synthesis.noisy(x, rate, np.random.default_rng(1), "random")
    assert noisy.shape == x.shape
    assert noisy.dtype == np.uint8
    changed = (noisy != x).reshape(200, -1)
    assert changed.sum(1).max() <= round(rate * 144)
    assert changed.mean() == pytest.approx(round(rate * 144) / 144 * 255 / 256, abs=0.01)
    if rate == 1:
        assert noisy.min() == 0
        assert noisy.max() == 255
        assert noisy.mean() == pytest.approx(127.5, abs=3)


@pytest.mark.parametrize("rate", RATES)
def test_random_floats_come_from_the_same_feature_of_another_record(rate):
    x = table()
    noisy = synthesis.noisy(x, rate, np.random.default_rng(1), "random")
    assert noisy.dtype == np.float32
    assert (noisy != x).sum(1).max() <= round(rate * 12)
    assert (noisy != x).mean() == pytest.approx(round(rate * 12) / 12, abs=0.05)
    for j in range(12):
        assert np.isin(noisy[:, j], x[:, j]).all()


def test_limiting_rates():
    for x, mode in ((bits(), "flip"), (bits(), "random"), (pixels(), "random"), (table(), "random")):
        np.testing.assert_array_equal(synthesis.noisy(x, 0, np.random.default_rng(1), mode), x)
    np.testing.assert_array_equal(synthesis.noisy(bits(), 1, np.random.default_rng(1)), 1 - bits())


@pytest.mark.parametrize("mode", ["flip", "random"])
def test_same_rng_same_noise(mode):
    first, again, other = (synthesis.noisy(bits(), 0.3, np.random.default_rng(s), mode) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("rate", [0, 0.5])
def test_the_input_is_never_changed(rate):
    for x, mode in ((bits(), "flip"), (pixels(), "random"), (table(), "random"), (np.asfortranarray(bits()), "flip")):
        before = x.copy()
        noisy = synthesis.noisy(x, rate, np.random.default_rng(1), mode)
        noisy[:] = 7
        np.testing.assert_array_equal(x, before)


def test_no_records_give_none():
    assert synthesis.noisy(bits(0), 0.5, np.random.default_rng(1)).shape == (0, 40)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((bits(), -0.1, RNG), ValueError, "rate must be at least 0 and at most 1, got -0.1"),
        ((bits(), 10, RNG), ValueError, "rate must be at least 0 and at most 1, got 10"),
        ((bits(), float("nan"), RNG), ValueError, "rate must be .* got nan"),
        ((bits(), "0.1", RNG), TypeError, "rate must be a number, got '0.1'"),
        ((bits(), 0.1, RNG, "swap"), ValueError, "mode must be one of flip, random, got 'swap'"),
        ((bits(), 0.1, 0), TypeError, "rng must be a numpy.random.Generator, got int"),
        ((bits()[0], 0.1, RNG), ValueError, r"x must be records of shape \(n, ...\), got shape \(40,\)"),
        ((pixels(), 0.1, RNG), ValueError, "mode 'flip' needs binary features .* got uint8 up to 255; use 'random'"),
        ((table(), 0.1, RNG), ValueError, "mode 'flip' needs binary features .* got float32"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        synthesis.noisy(*arguments)
