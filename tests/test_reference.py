"""Ours beside the public reference code: outputs of its functions on the same arrays, frozen in tests/reference.

Where a definition of theirs differs from ours, the test writes theirs out in NumPy, and shows that this is all that differs.
"""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from mialib import metrics
from mialib.attack import (
    AttackData,
    Stock,
    calibrated,
    confidence_threshold,
    correctness_gap,
    entropy_threshold,
    lira,
    modified_entropy_threshold,
    rmia,
    sablayrolles,
    thresholds,
)
from mialib.shadow import log_odds, sample_halves

FOLDER = Path(__file__).parent / "reference"
LIRA, RMIA, ANSWERS = (dict(np.load(FOLDER / f"{name}.npz")) for name in ("lira", "rmia", "thresholds"))
SIGNAL, MEMBER = LIRA["signal"], LIRA["member"]
TARGET, N_REFERENCES = 17, 16
OURS, INSIDE = SIGNAL[TARGET], MEMBER[TARGET]
STOCK = Stock(SIGNAL[:N_REFERENCES], MEMBER[:N_REFERENCES], np.zeros(400, np.int64))
MODES = {"both": "online", "out": "offline-logpdf"}


def sides():
    """The references' signals of each record, float64: in training (400, 8, 2), and out of it."""
    signal = SIGNAL[:N_REFERENCES].astype(float)
    return [np.stack([signal[where[:, i], i] for i in range(400)]) for where in (STOCK.member, ~STOCK.member)]


def test_the_inputs_are_what_they_are_said_to_be():
    np.testing.assert_array_equal(MEMBER, sample_halves(400, 18, 0))
    everything = Stock(SIGNAL, MEMBER, np.zeros(400, np.int64))
    assert sorted(everything.references(TARGET)) == [*range(N_REFERENCES)]
    assert (STOCK.member.sum(0) == 8).all()
    assert not (RMIA["population"] & INSIDE).any() and RMIA["population"].sum() == 100


# LiRA


@pytest.mark.parametrize(("name", "mode"), [("online", "online"), ("offline", "offline-logpdf")])
def test_lira_is_that_of_the_authors_code(name, mode):
    """`plot.py`: medians, a deviation a record, the mean over queries; theirs is lower for members."""
    np.testing.assert_allclose(
        lira(OURS, STOCK, mode=mode, variance="record", center="median"), -LIRA[f"plot_{name}"], rtol=1e-9
    )


@pytest.mark.parametrize("center", ["median", "mean"])
@pytest.mark.parametrize("option", MODES)
def test_lira_is_that_of_tensorflow_privacy(option, center):
    score = lira(OURS, STOCK, mode=MODES[option], variance="record", center=center)
    np.testing.assert_allclose(score, -LIRA[f"advanced_lira_{option}_{center}"], rtol=1e-9)


def gaussian(mode, center, deviations):
    """LiRA with one deviation for all IN signals and one for all OUT signals, literally."""
    middle = np.median if center == "median" else np.mean
    logs = [scipy.stats.norm.logpdf(OURS, middle(side, 1), one) for side, one in zip(sides(), deviations, strict=True)]
    return (logs[0] - logs[1] if mode == "online" else -logs[1]).mean(1)


def our_deviations(center):
    """From the distances of signals to their record's middle; of 8 signals and a middle that follows them, 7 are free."""
    middle = np.median if center == "median" else np.mean
    return [np.sqrt(((side - middle(side, 1, keepdims=True)) ** 2).mean() * 8 / 7) for side in sides()]


@pytest.mark.parametrize("name", ["online", "offline"])
def test_the_fixed_variance_of_the_authors_code_has_the_spread_between_records_in_it(name):
    """`plot.py` takes one deviation from all IN signals about their common mean, online for OUT signals, too; offline from all
    OUT signals. Ours are the deviations within records. With its deviations the formula is theirs, with ours it is ours.
    """
    mode = "online" if name == "online" else "offline-logpdf"
    inside, outside = (side.std() for side in sides())
    theirs = (inside, inside) if name == "online" else (np.nan, outside)
    np.testing.assert_allclose(gaussian(mode, "median", theirs), -LIRA[f"plot_{name}_fixed"], rtol=1e-9)
    ours = our_deviations("median")
    np.testing.assert_allclose(
        gaussian(mode, "median", ours), lira(OURS, STOCK, mode=mode, variance="global", center="median"), rtol=1e-9
    )
    assert inside > 1.5 * ours[0] and outside > 1.5 * ours[1]


@pytest.mark.parametrize("center", ["median", "mean"])
@pytest.mark.parametrize("option", MODES)
def test_the_fixed_variance_of_tensorflow_privacy_divides_by_all_signals(option, center):
    """`advanced_mia` takes the deviations within records, as ours, but about the mean distance and divided by the number of
    signals; ours by the number that is free.
    """
    middle = np.median if center == "median" else np.mean
    theirs = [(side - middle(side, 1, keepdims=True)).std() for side in sides()]
    mode = MODES[option]
    np.testing.assert_allclose(gaussian(mode, center, theirs), -LIRA[f"advanced_lira_{option}_fixed_{center}"], rtol=1e-9)
    ours = our_deviations(center)
    np.testing.assert_allclose(
        gaussian(mode, center, ours), lira(OURS, STOCK, mode=mode, variance="global", center=center), rtol=1e-9
    )
    if center == "mean":
        np.testing.assert_allclose(ours, np.multiply(theirs, np.sqrt(8 / 7)))


def test_scores_less_an_offset_are_those_of_tensorflow_privacy():
    np.testing.assert_allclose(sablayrolles(OURS, STOCK), LIRA["advanced_offset_both_mean"], rtol=1e-9)
    np.testing.assert_allclose(calibrated(OURS, STOCK), LIRA["advanced_offset_out_mean"], rtol=1e-9)


@pytest.mark.parametrize("name", ["online", "online_fixed", "offline", "offline_fixed", "global"])
def test_auc_accuracy_and_rate_are_those_of_the_authors_code(name):
    """Theirs at a false positive rate below 0.001: of 200 non-members, none."""
    score = -LIRA[f"plot_{name}"]
    curve = metrics.roc(INSIDE, score)
    found = [metrics.auc(INSIDE, score), metrics.balanced_accuracy(INSIDE, score), curve["tpr"][curve["fpr"] < 0.001].max()]
    np.testing.assert_allclose(found, LIRA[f"plot_{name}_auc_accuracy_tpr"], rtol=1e-12)


def test_the_global_threshold_of_the_authors_code_is_on_the_signal():
    np.testing.assert_allclose(OURS.astype(float).mean(1), -LIRA["plot_global"], rtol=1e-12)


# RMIA


@pytest.mark.parametrize("gamma", [1, 2])
@pytest.mark.parametrize("a", [None, 0, 0.3, 1])
def test_rmia_is_that_of_the_authors_code(gamma, a):
    """`main.py` counts z with a ratio above gamma, ours those that reach it: no ratio is gamma here. It scores the population
    itself, too, which ours does not judge.
    """
    first = Stock(np.ascontiguousarray(STOCK.signal[:, :, 0]), STOCK.member, STOCK.labels)
    options = {"mode": "online"} if a is None else {"mode": "offline", "a": float(a)}
    score = rmia(np.ascontiguousarray(OURS[:, 0]), first, RMIA["population"], gamma=float(gamma), **options)
    theirs = -RMIA[f"online_gamma_{gamma}" if a is None else f"offline_gamma_{gamma}_a_{a}"]
    assert (np.isnan(score) == RMIA["population"]).all()
    np.testing.assert_allclose(score[~RMIA["population"]], theirs[~RMIA["population"]], atol=1e-6)  # theirs is in float32
    assert len(np.unique(score)) > 20


# Thresholds

FITS = {
    "confidence": (confidence_threshold, thresholds.confidence),
    "entropy": (entropy_threshold, thresholds.negative_entropy),
    "modified_entropy": (modified_entropy_threshold, thresholds.negative_modified_entropy),
}


def answers(model):
    sides = [ANSWERS[f"{model}_{side}_predictions"].astype(float) for side in ("in", "out")]
    labels = [ANSWERS[f"{model}_{side}_labels"].astype(np.int64) for side in ("in", "out")]
    return AttackData(np.concatenate(sides), np.concatenate(labels), np.arange(600) < 300)


def accuracy(decision, data):
    return (decision[data.member].mean() + (~decision[~data.member]).mean()) / 2


@pytest.mark.parametrize("name", FITS)
def test_the_measures_of_prediction_vectors_are_those_of_song_and_mittal(name):
    np.testing.assert_allclose(FITS[name][1](answers("target")), ANSWERS[f"{name}_of_target"], atol=1e-12)


@pytest.mark.parametrize("name", FITS)
def test_thresholds_are_those_of_song_and_mittal_moved_to_the_middle_of_the_gap(name):
    """Theirs is the lowest shadow value that is called a member, ours the middle between it and the next lower one."""
    fit, measure = FITS[name]
    shadow, theirs = answers("shadow"), ANSWERS[f"{name}_thresholds"]
    ours, values = fit(shadow, per_class=True).thresholds, measure(shadow)
    for c in range(shadow.n_classes):
        below = values[(shadow.labels == c) & (values < theirs[c] - 1e-9)].max()
        assert ours[c] == pytest.approx((theirs[c] + below) / 2, abs=1e-12)


@pytest.mark.parametrize(("name", "place"), [("confidence", 1), ("entropy", 2), ("modified_entropy", 3)])
def test_the_target_is_judged_alike_but_between_the_two_thresholds(name, place):
    fit, measure = FITS[name]
    target, theirs = answers("target"), ANSWERS[f"{name}_thresholds"][answers("target").labels]
    attack, values = fit(answers("shadow"), per_class=True), measure(target)
    assert accuracy(values >= theirs, target) == pytest.approx(ANSWERS["printed_accuracies"][place], abs=5e-4)
    between = (values < theirs) & (values >= attack.thresholds[target.labels])
    assert 0 < between.sum() < 5
    np.testing.assert_array_equal(attack.infer(target), (values >= theirs) | between)


def test_the_correctness_gap_is_that_of_song_and_mittal():
    target = answers("target")
    assert accuracy(correctness_gap().infer(target), target) == pytest.approx(ANSWERS["printed_accuracies"][0], abs=5e-4)


def test_log_odds_are_the_logit_of_tensorflow_privacy():
    found = log_odds(ANSWERS["target_in_predictions"], ANSWERS["target_in_labels"].astype(np.int64))
    np.testing.assert_allclose(found, ANSWERS["logit_of_target_in"], rtol=1e-6, atol=1e-6)
