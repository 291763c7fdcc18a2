"""Output filters: identity at their neutral value, values in [0, 1], the arg max kept, and less to see as they tighten."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import scipy.special

from mialib import mitigations
from mialib.attack.thresholds import confidence_threshold
from mialib.core.types import AttackData
from mialib.metrics import overall
from mialib.mitigations import fitted_temperature, label_only, noise, round_to, temperature, top_k

N_CLASSES = 6
FILTERS = {
    "top_k": partial(top_k, k=2),
    "label_only": label_only,
    "round_to": partial(round_to, digits=1),
    "temperature": partial(temperature, t=5),
    "sharpened": partial(temperature, t=0.2),
    "noise": partial(noise, scale=0.2, seed=3),
}


def vectors(n=200, spread=3.0, seed=0):
    logits = spread * np.random.default_rng(seed).normal(size=(n, N_CLASSES))
    return scipy.special.softmax(logits, axis=1).astype(np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("answer", FILTERS.values(), ids=FILTERS)
def test_filters_give_new_float32_vectors_in_0_1(answer, kind):
    p = np.concatenate([vectors(), np.eye(N_CLASSES), np.zeros((1, N_CLASSES)), np.full((1, N_CLASSES), 1 / 6)]).astype(kind)
    before = p.copy()
    mitigated = answer(p)
    assert mitigated.dtype == np.float32
    assert mitigated.shape == p.shape
    assert not np.shares_memory(mitigated, p)
    assert mitigated.min() >= 0 and mitigated.max() <= 1
    np.testing.assert_array_equal(p, before)
    assert answer(p[:0]).shape == (0, N_CLASSES)


@pytest.mark.parametrize("answer", FILTERS.values(), ids=FILTERS)
def test_a_rows_answer_does_not_depend_on_its_batch(answer):
    p = vectors(n=mitigations.VECTORS_AT_ONCE + 10)
    whole, order = answer(p), np.random.default_rng(1).permutation(len(p))
    np.testing.assert_array_equal(answer(p[order]), whole[order])
    np.testing.assert_array_equal(answer(p[-1:]), whole[-1:])
    np.testing.assert_array_equal(answer(np.asfortranarray(p)), whole)


@pytest.mark.parametrize(
    "neutral", [partial(top_k, k=N_CLASSES), partial(temperature, t=1), partial(temperature, t=1.0),
    partial(noise, scale=0, seed=1)]
)  # fmt: skip
def test_neutral_values_change_nothing(neutral):
    p = np.concatenate([vectors(), np.eye(N_CLASSES, dtype=np.float32)])
    np.testing.assert_array_equal(neutral(p), p)


def test_many_digits_and_nearly_neutral_temperatures_change_next_to_nothing():
    p = vectors()
    np.testing.assert_allclose(round_to(p, 15), p, atol=1e-7)
    np.testing.assert_allclose(temperature(p, 1 + 1e-9), p, atol=1e-6)  # the general path has the identity as its limit


def test_top_k_keeps_the_highest_as_a_loop_does():
    p = np.concatenate([vectors(50), np.random.default_rng(2).integers(0, 3, (200, N_CLASSES)) / 20]).astype(np.float32)
    for k in range(1, N_CLASSES + 1):
        expected = np.zeros_like(p)
        for row, answer in zip(p, expected, strict=True):
            for c in sorted(range(N_CLASSES), key=lambda c: (-row[c], c))[:k]:
                answer[c] = row[c]
        np.testing.assert_array_equal(top_k(p, k), expected)


def test_ties_go_to_the_lowest_class():
    p = np.array([[0.25, 0.25, 0.25, 0.25], [0.1, 0.4, 0.1, 0.4]], np.float32)
    np.testing.assert_array_equal(top_k(p, 3)[0], [0.25, 0.25, 0.25, 0])
    np.testing.assert_array_equal(top_k(p, 1), np.array([[0.25, 0, 0, 0], [0, 0.4, 0, 0]], np.float32))
    np.testing.assert_array_equal(label_only(p), [[1, 0, 0, 0], [0, 1, 0, 0]])


@pytest.mark.parametrize("name", ["top_k", "label_only", "temperature", "sharpened"])
def test_the_label_stays(name):
    p = vectors()
    np.testing.assert_array_equal(FILTERS[name](p).argmax(1), p.argmax(1))


def test_rounding_keeps_the_label_among_the_highest_and_breaks_halves_to_even():
    p = vectors()
    rounded = round_to(p, 1)
    own = np.arange(len(p)), p.argmax(1)
    np.testing.assert_array_equal(rounded[own], rounded.max(1))
    assert (rounded.argmax(1) != p.argmax(1)).any()  # so the label read off may be another
    np.testing.assert_array_equal(round_to(np.array([[0.125, 0.375, 0.5]]), 2), np.array([[0.12, 0.38, 0.5]], np.float32))
    np.testing.assert_array_equal(round_to(np.array([[0.6004, 0.2, 0.1996]]), 3), np.array([[0.6, 0.2, 0.2]], np.float32))


@pytest.mark.parametrize("t", [0.3, 2, 5, 20])
def test_temperature_is_that_of_the_logits(t):
    logits = 4 * np.random.default_rng(3).normal(size=(100, N_CLASSES))
    p = scipy.special.softmax(logits, axis=1)
    np.testing.assert_allclose(temperature(p, t), scipy.special.softmax(logits / t, axis=1), atol=1e-6)
    np.testing.assert_allclose(temperature(temperature(p, t), 1 / t), p, atol=2e-5)


def test_a_probability_of_zero_counts_as_the_smallest_float32():
    p = np.array([[1, 0, 0]], np.float32)
    expected = scipy.special.softmax(np.log([1, mitigations.SMALLEST, mitigations.SMALLEST]) / 20)
    np.testing.assert_allclose(temperature(p, 20)[0], expected, rtol=1e-5)
    assert temperature(p, 20)[0, 0] > 0.98
    np.testing.assert_allclose(temperature(np.zeros((1, 4), np.float32), 2), 0.25)


@pytest.mark.parametrize("t", [0.5, 1, 3])
def test_fitted_temperature_undoes_overconfidence(t):
    rng = np.random.default_rng(4)
    honest = vectors(4000, spread=1.5)
    labels = (honest.cumsum(1) > rng.random((len(honest), 1))).argmax(1)
    assert fitted_temperature(temperature(honest, 1 / t), labels) == pytest.approx(t, rel=0.08)


def test_fitted_temperature_has_the_lowest_loss_on_a_grid():
    p, labels = vectors(300), np.random.default_rng(5).integers(0, N_CLASSES, 300)

    def loss(t):
        return -np.log(np.maximum(temperature(p, t)[np.arange(300), labels], mitigations.SMALLEST)).mean()

    t = fitted_temperature(p, labels)
    assert loss(t) <= min(loss(other) for other in np.geomspace(0.02, 90, 60)) + 1e-5


def test_fitted_temperature_stays_in_its_range_when_all_is_right_or_nothing_is_known():
    p = vectors()
    assert fitted_temperature(p, p.argmax(1)) == pytest.approx(0.01, rel=0.01)
    assert fitted_temperature(p, p.argmin(1)) == pytest.approx(100, rel=0.01)


def test_noise_is_gaussian_independent_and_a_function_of_answer_and_secret():
    p = np.random.default_rng(6).uniform(0.45, 0.55, (4000, N_CLASSES)).astype(np.float32)
    added = (noise(p, 0.05, seed=1) - p) / 0.05
    assert abs(added.mean()) < 0.02 and abs(added.std() - 1) < 0.02
    assert np.mean(np.abs(added) < 1) == pytest.approx(0.683, abs=0.01)
    assert np.abs(np.corrcoef(added.T) - np.eye(N_CLASSES)).max() < 0.06
    assert np.abs(np.corrcoef(added[:-1].ravel(), added[1:].ravel())[0, 1]) < 0.03
    np.testing.assert_array_equal(noise(p, 0.05, seed=1), noise(p, 0.05, seed=1))  # asking again tells nothing
    other = (noise(p, 0.05, seed=2) - p) / 0.05
    assert abs(np.corrcoef(added.ravel(), other.ravel())[0, 1]) < 0.03
    bit = np.nextafter(p, np.float32(1))
    assert abs(np.corrcoef(added.ravel(), (noise(bit, 0.05, seed=1) - bit).ravel())[0, 1]) < 0.03


def test_noise_keeps_its_values():
    """Those of the committed results: another generator, or another order of its steps, would draw others."""
    p = np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0]], np.float32)
    expected = [[0.0793904, 0.3333649, 0.5416373], [0.7338171, 0.4316267, 0.1002800]]
    np.testing.assert_allclose(noise(p, 0.1, seed=7), expected, atol=1e-6)


def test_noise_sees_where_in_a_vector_a_value_stands():
    p = np.array([[0.2, 0.8, 0, 0], [0.8, 0.2, 0, 0]], np.float32)
    first, second = noise(p, 0.1, seed=1)
    assert not np.array_equal(first[[1, 0, 2, 3]], second)


def leak(answer, n=3000):
    """Accuracy of the best threshold on answers of which members' are more confident: a planted leak."""
    rng = np.random.default_rng(7)
    labels, member = rng.integers(0, N_CLASSES, n), np.arange(n) < n // 2
    logits = rng.normal(size=(n, N_CLASSES))
    logits[np.arange(n), labels] += np.where(member, 4, 3) + (rng.random(n) < 0.3) * np.where(member, 0, -3)
    data = AttackData(answer(scipy.special.softmax(logits, axis=1).astype(np.float32)), labels, member)
    return overall(data, confidence_threshold(data).infer(data))["accuracy"]


@pytest.mark.parametrize(
    "path",
    [
        [partial(top_k, k=6), partial(top_k, k=1), label_only],
        [partial(round_to, digits=3), partial(round_to, digits=1), label_only],
        [partial(noise, scale=s, seed=1) for s in (0, 0.1, 0.5, 5)],
    ],
    ids=["top_k", "round_to", "noise"],
)
def test_less_leaks_as_a_filter_tightens(path):
    leaks = [leak(answer) for answer in path]
    assert leaks[0] > 0.63
    assert leaks[-1] < leaks[0] - 0.03
    assert all(after <= before + 0.01 for before, after in pairwise(leaks))


def test_a_softer_answer_shows_less_to_the_eye_and_not_less_to_a_threshold_that_knows():
    """A temperature keeps each record's order of classes; its leak falls for a threshold fitted without it."""
    p = vectors()
    spans = [np.ptp(temperature(p, t), axis=1).mean() for t in (0.5, 1, 5, 20, 1000)]
    assert sorted(spans, reverse=True) == spans
    assert spans[-1] < 0.01


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: top_k(p, 7), ValueError, r"k must be between 1 and 6 \(there are 6 classes\), got 7"),
        (lambda p: top_k(p, 0), ValueError, "k must be between 1 and 6"),
        (lambda p: top_k(p, 1.0), TypeError, "k must be a whole number"),
        (lambda p: round_to(p, 0), ValueError, "digits must be between 1 and 15, got 0"),
        (lambda p: temperature(p, 0), ValueError, "t must be above 0, got 0"),
        (lambda p: temperature(p, -1.0), ValueError, "t must be above 0"),
        (lambda p: temperature(p, float("nan")), ValueError, "t must be above 0, got nan"),
        (lambda p: noise(p, -0.1, 0), ValueError, "scale must be at least 0"),
        (lambda p: noise(p, 0.1, -1), ValueError, "seed must be at least 0"),
        (lambda p: label_only(p[0]), TypeError, r"p must be floats of shape \(n, n_classes\)"),
        (lambda p: label_only(p.astype(int)), TypeError, "p must be floats"),
        (lambda p: label_only(p * 2), ValueError, r"p must lie in \[0, 1\]"),
        (lambda p: temperature(np.full((2, 3), np.nan), 2), ValueError, r"p must lie in \[0, 1\], got nan"),
        (lambda p: fitted_temperature(p, np.zeros(3, int)), ValueError, "labels must have one entry a row of p"),
        (lambda p: fitted_temperature(p[:0], np.zeros(0, int)), ValueError, "at least one, got 0"),
        (lambda p: fitted_temperature(p, np.full(len(p), 6)), ValueError, r"labels must lie in 0\.\.5"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call(vectors())
