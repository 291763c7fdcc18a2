"""Quantile regression: a leak beyond what a record's looks explain is found, none is invented."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mialib.attack import quantile
from mialib.attack.quantile import quantile_regression


def signals(n=2400, seed=0, leak=2.0):
    """Bits and labels that explain most of a signal; members have `leak` more of it. A third are known non-members."""
    rng = np.random.default_rng(seed)
    x, labels = rng.integers(0, 2, (n, 12), dtype=np.uint8), rng.integers(0, 4, n)
    member = rng.random(n) < 0.5
    easy = 3.0 * x[:, 0] - 3.0 * x[:, 1] + 2.0 * labels
    return easy + leak * member + rng.normal(0, 0.5, n), x, labels, member, ~member & (rng.random(n) < 0.6)


def test_a_leak_is_found_that_one_threshold_misses():
    signal, x, labels, member, known = signals()
    score = quantile_regression(signal, x, labels, known, fpr=0.05)
    assert score.dtype == np.float64 and (np.isnan(score) == known).all()
    judged = ~known
    assert roc_auc_score(member[judged], signal[judged]) < 0.75
    assert roc_auc_score(member[judged], score[judged]) > 0.95
    accused = score > 0
    assert accused[member].mean() > 0.9 and accused[judged & ~member].mean() < 0.2


def test_no_leak_is_invented():
    signal, x, labels, member, known = signals(leak=0.0)
    score = quantile_regression(signal, x, labels, known, fpr=0.05)
    assert abs(roc_auc_score(member[~known], score[~known]) - 0.5) < 0.04


def test_the_score_is_the_signal_above_a_quantile_of_those_that_look_alike():
    """Two kinds of records and one label: the regression can only learn each kind's own quantile."""
    rng = np.random.default_rng(0)
    kind = np.arange(4000) % 2
    signal = np.where(kind, rng.normal(5, 2, 4000), rng.normal(-5, 1, 4000))
    known = np.arange(4000) < 3000
    labels = np.zeros(4000, int)
    score = quantile_regression(signal, kind[:, None].astype(np.float32), labels, known, fpr=0.1)
    for each in (0, 1):
        learned = (signal - score)[~known & (kind == each)]
        assert np.ptp(learned) < 1e-9
        assert abs((signal[known & (kind == each)] > learned[0]).mean() - 0.1) < 0.01


def test_the_label_counts_and_one_without_known_nonmembers_is_judged_all_the_same():
    signal, _, labels, _, known = signals()
    nothing = np.zeros((len(signal), 1), np.uint8)
    informed = quantile_regression(signal, nothing, labels, known, fpr=0.05)
    blind = quantile_regression(signal, nothing, np.zeros_like(labels), known, fpr=0.05)
    assert np.nanstd(signal - informed) > 1 and np.nanstd(signal - blind) < 1e-9
    known[labels == 3] = False
    assert np.isfinite(quantile_regression(signal, nothing, labels, known, fpr=0.05)[labels == 3]).all()


@pytest.mark.parametrize(("shape", "pooled"), [((32, 32, 3), (8, 8, 3)), ((28, 28), (8, 8)), ((5, 16), (5, 8))])
def test_pictures_are_pooled_to_at_most_eight_by_eight(shape, pooled, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (5, *shape), dtype=np.uint8)
    found = quantile._columns(x)
    assert found.shape == (5, np.prod(pooled))
    if shape == (32, 32, 3):
        means = x.reshape(5, 8, 4, 8, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found.reshape(means.shape), means, rtol=1e-5)
    monkeypatch.setattr(quantile, "PICTURES_AT_ONCE", 2)
    np.testing.assert_array_equal(quantile._columns(x), found)


def test_pictures_are_judged_by_their_looks():
    rng = np.random.default_rng(1)
    dark = rng.random(1500) < 0.5
    x = np.where(dark[:, None, None], 20, 220) + rng.integers(-20, 20, (1500, 16, 16))
    member, known = np.arange(1500) < 500, np.arange(1500) >= 1000
    signal = 4.0 * dark + 1.5 * member + rng.normal(0, 0.3, 1500)
    score = quantile_regression(signal, x.astype(np.uint8), np.zeros(1500, int), known, fpr=0.05)
    assert roc_auc_score(member[~known], score[~known]) > 0.95 > 0.8 > roc_auc_score(member[~known], signal[~known])


def test_the_smallest_rate_that_the_known_nonmembers_carry_is_named():
    signal, x, labels, _, known = signals()
    known[np.flatnonzero(known)[50:]] = False
    with pytest.raises(ValueError, match=r"fpr must be at least 1 / 50 = 0\.02 with 50 known non-members, got 0\.01"):
        quantile_regression(signal, x, labels, known)
    assert np.isfinite(quantile_regression(signal, x, labels, known, fpr=0.02)[~known]).all()


def test_it_depends_on_its_arguments_alone():
    signal, x, labels, _, known = signals()
    again = [quantile_regression(signal, x, labels, known, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(*again)
