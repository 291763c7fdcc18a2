"""Noise in both readings of the paper, marginals, labels, distances, and synthetic data sets that train shadow models."""

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from mialib import shadow
from mialib.core.types import Dataset, Features
from mialib.shadow import records, synthesis
from mialib.training.estimators import EstimatorTrainer
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

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
    noisy = records.noisy(x, rate, np.random.default_rng(1))
    assert noisy.dtype == np.uint8
    assert set(np.unique(noisy)) <= {0, 1}
    assert (noisy != x).sum(1).tolist() == [round(rate * 40)] * 50


def test_the_flipped_features_differ_between_records_and_cover_all():
    flipped = records.noisy(bits(2000), 0.1, np.random.default_rng(1)) != bits(2000)
    assert len(np.unique(flipped, axis=0)) > 1900
    np.testing.assert_allclose(flipped.mean(0), 0.1, atol=5 * np.sqrt(0.1 * 0.9 / 2000))


def test_records_beyond_one_part_are_disturbed_alike(monkeypatch):
    monkeypatch.setattr("mialib.shadow.records.ROWS_AT_ONCE", 7)
    for mode in ("flip", "random"):
        changed = (records.noisy(bits(), 0.5, np.random.default_rng(1), mode) != bits()).sum(1)
        assert (changed == 20).all() if mode == "flip" else (changed > 0).all()
    assert (records.noisy(table(), 1, np.random.default_rng(1), "random") != table()).any(1).all()


def test_random_bits_change_half_as_often():
    x = bits(2000)
    changed = records.noisy(x, 0.2, np.random.default_rng(1), "random") != x
    assert changed.sum(1).max() <= 8
    assert changed.mean() == pytest.approx(0.1, abs=5 * 0.1 / np.sqrt(2000 * 8))
    for value in (0, 1):  # a fair coin, whatever was there
        assert changed[x == value].mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("rate", RATES)
def test_random_pixels_take_any_value(rate):
    x = pixels(200)
    noisy = records.noisy(x, rate, np.random.default_rng(1), "random")
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
    noisy = records.noisy(x, rate, np.random.default_rng(1), "random")
    assert noisy.dtype == np.float32
    assert (noisy != x).sum(1).max() <= round(rate * 12)
    assert (noisy != x).mean() == pytest.approx(round(rate * 12) / 12, abs=0.05)
    for j in range(12):
        assert np.isin(noisy[:, j], x[:, j]).all()


def test_limiting_rates():
    for x, mode in ((bits(), "flip"), (bits(), "random"), (pixels(), "random"), (table(), "random")):
        np.testing.assert_array_equal(records.noisy(x, 0, np.random.default_rng(1), mode), x)
    np.testing.assert_array_equal(records.noisy(bits(), 1, np.random.default_rng(1)), 1 - bits())


@pytest.mark.parametrize("mode", ["flip", "random"])
def test_same_rng_same_noise(mode):
    first, again, other = (records.noisy(bits(), 0.3, np.random.default_rng(s), mode) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("rate", [0, 0.5])
def test_the_input_is_never_changed(rate):
    for x, mode in ((bits(), "flip"), (pixels(), "random"), (table(), "random"), (np.asfortranarray(bits()), "flip")):
        before = x.copy()
        noisy = records.noisy(x, rate, np.random.default_rng(1), mode)
        noisy[:] = 7
        np.testing.assert_array_equal(x, before)


def test_no_records_give_none():
    assert records.noisy(bits(0), 0.5, np.random.default_rng(1)).shape == (0, 40)


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
        records.noisy(*arguments)


# Marginals


def test_marginal_bits_have_the_shares_of_ones_and_nothing_else_in_common():
    shares = np.random.default_rng(1).random(30)
    x = (np.random.default_rng(2).random((5000, 1)) < shares).astype(np.uint8)  # one draw a record: all bits go together
    drawn = records.marginal(x, 20_000, np.random.default_rng(0))
    assert (drawn.dtype, drawn.shape) == (np.uint8, (20_000, 30)) and drawn.max() == 1
    np.testing.assert_allclose(drawn.mean(0), x.mean(0), atol=5 * 0.5 / np.sqrt(20_000))
    together = np.corrcoef(drawn.T) - np.eye(30)
    assert np.abs(np.corrcoef(x.T) - np.eye(30)).mean() > 0.3 and np.abs(together).max() < 6 / np.sqrt(20_000)


def test_marginal_bits_that_never_vary_stay():
    x = np.tile(np.uint8([0, 1]), (7, 1))
    np.testing.assert_array_equal(records.marginal(x, 500, np.random.default_rng(0)), np.tile(np.uint8([0, 1]), (500, 1)))


@pytest.mark.parametrize("x", [table(), pixels()], ids=["floats", "pixels"])
def test_marginal_values_are_those_of_their_own_column_as_often(x):
    drawn = records.marginal(x, 4000, np.random.default_rng(0)).reshape(4000, -1)
    columns = x.reshape(len(x), -1)
    assert drawn.dtype == x.dtype and len(np.unique(drawn, axis=0)) > 3900
    for j in range(12):
        assert np.isin(drawn[:, j], columns[:, j]).all() and len(np.unique(drawn[:, j])) == len(np.unique(columns[:, j]))
        assert drawn[:, j].mean() == pytest.approx(columns[:, j].mean(), abs=6 * columns[:, j].std() / np.sqrt(4000))


def test_marginal_groups_are_drawn_as_one():
    kinds = [("category", "a"), ("bit",), ("category", "b"), ("category", "a"), ("category", "b"), ("category", "a")]
    rng = np.random.default_rng(0)
    a, b = rng.choice(3, 900, p=[0.6, 0.3, 0.1]), rng.integers(0, 2, 900)
    x = np.stack([a == 0, rng.random(900) < 0.2, b == 0, a == 1, b == 1, a == 2], 1).astype(np.float32)
    drawn = records.marginal(x, 6000, rng, Features((6,), kinds))
    assert (drawn[:, [0, 3, 5]].sum(1) == 1).all() and (drawn[:, [2, 4]].sum(1) == 1).all()
    np.testing.assert_allclose(drawn.mean(0), x.mean(0), atol=6 * 0.5 / np.sqrt(6000))
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 6 / np.sqrt(6000)
    assert (records.marginal(x, 6000, rng)[:, [0, 3, 5]].sum(1) != 1).any()


def test_marginal_records_beyond_one_part_are_drawn_alike(monkeypatch):
    whole = records.marginal(bits(), 100, np.random.default_rng(3))
    monkeypatch.setattr("mialib.shadow.records.NUMBERS_AT_ONCE", 7 * 40)
    np.testing.assert_array_equal(records.marginal(bits(), 100, np.random.default_rng(3)), whole)


# Labels from the target, and distances


class Fixed:
    """Answers 0.9 for the class that the record's first feature names."""

    def __init__(self, n_classes, stop_after=None):
        self.n_classes, self.stop_after, self.asked = n_classes, stop_after, 0

    def predict_proba(self, x):
        if self.asked == self.stop_after:
            raise KeyboardInterrupt
        self.asked += len(x)
        p = np.full((len(x), self.n_classes), 0.1 / (self.n_classes - 1), np.float32)
        p[np.arange(len(x)), x.reshape(len(x), -1)[:, 0].astype(int)] = 0.9
        return p


def test_labels_are_the_targets_answers(monkeypatch):
    monkeypatch.setattr("mialib.shadow.records.ROWS_AT_ONCE", 7)
    target = Fixed(3)
    x = np.random.default_rng(0).integers(0, 3, (50, 4), dtype=np.uint8)
    y, confidence = synthesis.answered(target, x)
    np.testing.assert_array_equal(y, x[:, 0])
    np.testing.assert_allclose(confidence, 0.9)
    assert (y.dtype, confidence.dtype, target.asked) == (np.int64, np.float32, 50)


@pytest.mark.parametrize(("x", "real"), [(bits(30), bits(90, seed=1)), (pixels(20), pixels(50, 1)), (table(20), table(50, 1))])
def test_nearest_is_the_least_distance_of_all(x, real, monkeypatch):
    monkeypatch.setattr("mialib.shadow.records.ROWS_AT_ONCE", 7)
    flat, others = (part.reshape(len(part), -1).astype(float) for part in (x, real))
    expected = ((flat[:, None] - others[None]) ** 2).mean(2).min(1)
    np.testing.assert_allclose(records.nearest(x, real), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(records.nearest(real[5:9], real), 0, atol=1e-5 * max(1, expected.max()))


def test_nearest_of_noisy_bits_is_their_noise():
    real = bits(20, 100)
    noisy = records.noisy(real, 0.1, np.random.default_rng(0))
    np.testing.assert_allclose(records.nearest(noisy, real), 0.1, atol=1e-6)


# Whole data sets


def network(seed=0):
    """A target model of 30 bits and 4 classes, each the block of bits that has most ones."""
    x = np.random.default_rng(seed).integers(0, 2, (400, 32), dtype=np.uint8)
    y = x.reshape(400, 4, 8).sum(2).argmax(1)
    return TRAINER.fit_many(Dataset("blocks", x, y.astype(np.int64), 4, "standin"), np.arange(400)[None], 0)[0]


TRAINER = NeuralTrainer(lambda: mlp(32, 4, 16), Recipe(5, 20, 0.01), device="cpu")
SMALL = {"k_max": 6, "rej_max": 2, "iter_max": 200}


def same(one, other):
    for name in ("x", "y", "confidence", "queries"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    pd.testing.assert_frame_equal(one.report, other.report)


@pytest.mark.parametrize("max_queries", [None, 90])
def test_all_classes_are_kept_and_found_again(max_queries):
    target, key = Fixed(2), {"model": 1}
    options = {"key": key, "max_queries": max_queries}
    made = synthesis.all_classes(target, Features((20,)), 2, 40, 5, **options)
    assert target.asked == made.report["queries"].sum() and made.report["cls"].tolist() == [0, 1]
    asked = target.asked
    same(synthesis.all_classes(target, Features((20,)), 2, 40, 5, **options), made)
    assert target.asked == asked
    others = [
        {"seed": 6}, {"n": 41}, {"n_classes": 2, "key": {"model": 2}}, {"conf_min": 0.3}, {"tries": 2}, {"key": None},
        {"features": Features((21,))}, {"features": Features((20,), [("bit",)] * 20)}, {"max_queries": 91},
    ]  # fmt: skip
    arguments = {"features": Features((20,)), "n_classes": 2, "n": 40, "seed": 5} | options
    for change in others:
        asked = target.asked
        synthesis.all_classes(target, **arguments | change)
        assert target.asked > asked, change


def test_groups_of_classes_make_no_difference_and_an_interrupt_keeps_them(monkeypatch):
    whole = synthesis.all_classes(Fixed(2), Features((20,)), 2, 30, 5)
    monkeypatch.setattr("mialib.shadow.algorithm1.CLIMBERS", 5)
    target = Fixed(2, stop_after=whole.report["queries"][0])
    with pytest.raises(KeyboardInterrupt):
        synthesis.all_classes(target, Features((20,)), 2, 30, 5, key={})
    target.stop_after = None
    first = target.asked
    same(synthesis.all_classes(target, Features((20,)), 2, 30, 5, key={}), whole)
    assert target.asked - first == whole.report["queries"][1] and first == whole.report["queries"][0]


@pytest.mark.parametrize("trainer", [TRAINER, EstimatorTrainer(DecisionTreeClassifier(max_depth=4))], ids=["network", "tree"])
@pytest.mark.parametrize("way", ["model_based", "marginal"])
def test_synthetic_records_train_shadows_of_any_kind(way, trainer):
    target = network()
    if way == "model_based":
        made = synthesis.all_classes(target, Features((32,)), 4, 30, 0, **SMALL)
        assert (made.report["outcome"] == "found").all()
        np.testing.assert_array_equal(target.predict_proba(made.x).argmax(1), made.y)
        dataset = made.dataset("synthetic", 4, "standin")
    else:
        x = records.marginal(bits(300, 32), 120, np.random.default_rng(0))
        dataset = Dataset("marginal", x, synthesis.answered(target, x)[0], 4, "standin")
    splits = shadow.sample_splits(np.arange(len(dataset.y)), 40, 2, seed=0)
    data = shadow.shadow_attack_data(trainer, dataset, splits, seed=0)
    assert data.predictions.shape == (160, 4) and data.member.sum() == 80
    right = data.predictions[data.member].argmax(1) == data.labels[data.member]
    assert right.mean() > 0.4  # by chance, 0.25


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: records.marginal(bits(0), 5, RNG), ValueError, "x must hold at least 1 record"),
        (lambda: records.marginal(bits()[0], 5, RNG), ValueError, r"x must be records of shape \(n, ...\)"),
        (lambda: records.marginal(bits(), 0, RNG), ValueError, "n must be at least 1, got 0"),
        (lambda: records.marginal(bits(), 5, 3), TypeError, "rng must be a numpy.random.Generator, got int"),
        (
            lambda: records.marginal(bits(), 5, RNG, Features((3,))),
            ValueError,
            r"features.shape must be .*\(40,\), got \(3,\)",
        ),
        (lambda: synthesis.answered(Fixed(3), bits(0)), ValueError, "x must hold at least 1 record"),
        (lambda: records.nearest(bits(), bits(d=41)), ValueError, r"real must hold records like those of x, .* got \(41,\)"),
        (lambda: synthesis.all_classes(Fixed(2), Features((3,)), 1, 1, 0), ValueError, "n_classes must be at least 2, got 1"),
        (lambda: synthesis.all_classes(Fixed(2), Features((3,)), 3, 1, 0), ValueError, r"label must lie in 0..1, .* got 2"),
        (lambda: synthesis.all_classes(Fixed(2), Features((3,)), 2, 1, -1), ValueError, "seed must be at least 0"),
        (lambda: synthesis.all_classes(Fixed(2), Features((3,)), 2, 1, 0, k=3), TypeError, "unexpected keyword argument 'k'"),
    ],
)
def test_other_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
