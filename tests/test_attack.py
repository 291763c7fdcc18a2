"""Attacks: a planted leak is found, none is invented, and every threshold is the best one."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from mialib import metrics
from mialib.attack import learned, thresholds
from mialib.attack.thresholds import (
    NEVER,
    best_threshold,
    confidence_threshold,
    correctness_gap,
    entropy_threshold,
    modified_entropy_threshold,
    negative_entropy,
    negative_modified_entropy,
)
from mialib.core.types import AttackData, Dataset
from mialib.data.loading import split_target
from mialib.shadow.answers import query, shadow_attack_data
from mialib.shadow.splits import sample_splits

N_CLASSES = 10
BASELINES = {
    "confidence": confidence_threshold,
    "entropy": entropy_threshold,
    "modified entropy": modified_entropy_threshold,
}
FITS = {"learned": learned.fit_attack, **BASELINES, "correctness gap": lambda data: correctness_gap()}


class Memoriser:
    """Nearly certain of the label of each record that it was trained on; a random, flattish vector for any other."""

    def __init__(self, x, y, n_classes, seed):
        self.known = {record.tobytes(): label for record, label in zip(x, y, strict=True)}
        self.n_classes, self.seed = n_classes, seed

    def predict_proba(self, x):
        answers = np.random.default_rng(self.seed).dirichlet(np.full(self.n_classes, 5), len(x)).astype(np.float32)
        for i, record in enumerate(x):
            if record.tobytes() in self.known:
                answers[i] = 0.01 / (self.n_classes - 1)
                answers[i, self.known[record.tobytes()]] = 0.99
        return answers


class Constant:
    """Answers the same vector to everything."""

    def __init__(self, x, y, n_classes, seed):
        self.answer = np.linspace(1, 2, n_classes) / np.linspace(1, 2, n_classes).sum()

    def predict_proba(self, x):
        return np.tile(self.answer, (len(x), 1)).astype(np.float32)


class MakerOf:
    """The smallest trainer: one object a training set."""

    def __init__(self, kind):
        self.kind = kind

    def keys(self, dataset, rows, seed, first=0):
        return [{"kind": self.kind.__name__, "rows": row.tolist(), "seed": [seed, first + j]} for j, row in enumerate(rows)]

    def fit_many(self, dataset, rows, seed, first=0):
        return [self.kind(dataset.x[row], dataset.y[row], dataset.n_classes, [seed, first + j]) for j, row in enumerate(rows)]


def random_labels(n=1200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, 16), dtype=np.uint8)
    return Dataset("random labels", x, rng.integers(0, N_CLASSES, n), N_CLASSES, "standin")


def experiment(kind, seed, n=200, n_shadows=4):
    """Answers of the shadows and of a target of its own, all trained by one trainer."""
    dataset, trainer = random_labels(), MakerOf(kind)
    split, pool = split_target(dataset, n, np.random.default_rng(seed))
    shadows = shadow_attack_data(trainer, dataset, sample_splits(pool, n, n_shadows, seed), seed)
    (target,) = trainer.fit_many(dataset, split.members[None], 1000 + seed)
    return shadows, query(target, dataset, split)


def overlapping(seed, n=600, shift=1.0, n_classes=4):
    """Made-up answers: members' logits of the true class lie `shift` higher."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    member = np.arange(n) < n // 2
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), labels] += 1 + shift * member
    p = np.exp(logits)
    return AttackData((p / p.sum(1, keepdims=True)).astype(np.float32), labels.astype(np.int64), member)


def part(data, rows):
    return data[rows]


@pytest.mark.parametrize("name", FITS)
def test_a_planted_leak_is_found(name):
    shadows, target = experiment(Memoriser, seed=0)
    fitted = FITS[name](shadows)
    assert metrics.overall(target, fitted.infer(target))["accuracy"] > 0.9
    assert metrics.auc(target, fitted.membership_score(target)) > 0.9


@pytest.mark.parametrize("name", FITS)
def test_no_leak_is_found_in_a_constant_model(name):
    targets = []
    for seed in range(12):
        shadows, target = experiment(Constant, seed, n=150)
        fitted = FITS[name](shadows)
        targets.append((target, fitted.infer(target)))
        assert len(np.unique(fitted.membership_score(target)[target.labels == 0])) == 1
    found = metrics.interval(targets, "accuracy", n_boot=200)
    assert found.low <= 0.5 <= found.high
    assert found.high - found.low < 0.2


@pytest.mark.parametrize("name", FITS)
def test_no_leak_is_found_where_members_answer_like_nonmembers(name):
    targets = []
    for seed in range(5):
        shadows, target = (overlapping(2 * seed + i, shift=0, n=800) for i in (0, 1))
        targets.append((target, FITS[name](shadows).infer(target)))
    for metric in ("accuracy", "precision"):
        found = metrics.interval(targets, metric, n_boot=200)
        assert found.low <= 0.5 <= found.high
        assert found.high - found.low < 0.15


@pytest.mark.parametrize("name", FITS)
def test_scores_are_higher_for_members_and_the_decision_follows_them(name):
    shadows, target = overlapping(1, n=1200), overlapping(2, n=1200)
    fitted = FITS[name](shadows)
    score, decision = fitted.membership_score(target), fitted.infer(target)
    assert score.dtype == np.float32
    assert decision.dtype == bool
    assert score.shape == decision.shape == (1200,)
    if name == "learned":
        np.testing.assert_array_equal(decision, score > 0)  # log-odds
    assert metrics.auc(target, score) > 0.53
    assert 0 < decision.sum() < 1200
    assert score[decision].min() > score[~decision].max() or name == "correctness gap"
    np.testing.assert_array_equal(fitted.infer(part(target, np.arange(1199, -1, -1))), decision[::-1])


def test_the_learned_attack_uses_the_whole_vector():
    """Members' second-highest class is always the next one: the confidence in the true class tells nothing."""
    rng = np.random.default_rng(0)

    def hidden_leak(n=2000):
        labels, member = np.arange(n) % N_CLASSES, rng.random(n) < 0.5
        second = np.where(member, labels + 1, labels + rng.integers(2, N_CLASSES, n)) % N_CLASSES
        answers = np.full((n, N_CLASSES), 0.05)
        answers[np.arange(n), labels] = 0.4
        answers[np.arange(n), second] = 0.2
        return AttackData(answers.astype(np.float32), labels, member)

    shadows, target = hidden_leak(), hidden_leak()
    assert metrics.overall(target, learned.fit_attack(shadows).infer(target))["accuracy"] > 0.95
    assert metrics.overall(target, confidence_threshold(shadows).infer(target))["accuracy"] < 0.6


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("per_class", [None, True])
def test_a_class_without_members_or_nonmembers_is_named_and_answered_nonmember(kept, per_class, caplog):
    data = overlapping(3)
    lacking = part(data, (data.labels != 2) | (data.member == kept))
    with caplog.at_level(logging.WARNING, "mialib"):
        fitted = confidence_threshold(lacking, per_class=True) if per_class else learned.fit_attack(lacking)
    assert "[2]" in caplog.text
    assert "non-member" in caplog.text
    decision, score = fitted.infer(data), fitted.membership_score(data)
    assert not decision[data.labels == 2].any()
    assert all(decision[data.labels == c].any() for c in (0, 1, 3))
    assert np.isfinite(score).all()
    assert score[data.labels == 2].max() < score[data.labels != 2].min()


@pytest.mark.parametrize("fit", [learned.fit_attack, confidence_threshold])
def test_data_of_members_alone_give_an_attack_that_answers_nonmember(fit, caplog):
    data = overlapping(4)
    with caplog.at_level(logging.WARNING, "mialib"):
        fitted = fit(part(data, data.member))
    assert "lack members or non-members" in caplog.text
    assert not fitted.infer(data).any()
    assert np.isfinite(fitted.membership_score(data)).all()


def test_usable_classes_give_no_warning(caplog):
    with caplog.at_level(logging.WARNING, "mialib"):
        learned.fit_attack(overlapping(3))
    assert not caplog.records


def test_classes_together_are_each_alone(monkeypatch):
    """Of equal size: the number of steps is that of the largest class. Few steps, since many magnify rounding."""
    monkeypatch.setattr("mialib.attack.learned.MIN_STEPS", 20)
    data, target = overlapping(5), overlapping(6)
    together = learned.fit_attack(data, seed=1).membership_score(target)
    for c in range(4):
        alone = learned.fit_attack(part(data, data.labels == c), seed=1).membership_score(target)
        own = target.labels == c
        np.testing.assert_allclose(alone[own], together[own], rtol=0, atol=1e-4)
        assert (alone[~own] == NEVER).all()


def test_inputs_are_what_they_are_called():
    p = np.array([[0.0, 0.25, 0.75, 1.0]], np.float32)
    before = p.copy()
    assert learned.fit_attack(overlapping(5)).inputs == "-log(1-p)"
    found = learned._inputs(p, "-log(1-p)")
    np.testing.assert_allclose(found[:, 1:3], [[np.log(4 / 3), np.log(4)]], rtol=1e-6)
    assert found.dtype == np.float32 and 0 <= found[0, 0] < 1e-6 and 15.9 < found[0, 3] < 16.2
    found = learned._inputs(p, "log-odds")
    np.testing.assert_allclose(found[:, 1:3], [[-np.log(3), np.log(3)]], rtol=1e-6)
    assert found.dtype == np.float32 and -16.2 < found[0, 0] < -16 and 15.9 < found[0, 3] < 16.2
    np.testing.assert_array_equal(learned._inputs(p, "probabilities"), p)
    np.testing.assert_array_equal(p, before)


def test_logarithms_part_members_from_strangers_where_both_are_answered_with_almost_one():
    rng = np.random.default_rng(3)

    def answers():
        member = np.arange(600) % 2 == 0
        rest = np.where(member, 1e-4, 1e-3) * rng.lognormal(0, 0.5, 600)
        some = rng.random(600) < 0.5  # half of all are answered far from there: they set the scale
        sure = np.where(some, rng.uniform(0.2, 0.8, 600), 1 - rest)
        return AttackData(np.stack([sure, 1 - sure], 1).astype(np.float32), np.zeros(600, int), member)

    known, asked = answers(), answers()
    right = {
        inputs: (learned.fit_attack(known, inputs=inputs).infer(asked) == asked.member).mean() for inputs in learned.INPUTS
    }
    assert right["log-odds"] > 0.7 and right["-log(1-p)"] > 0.7
    assert right["probabilities"] < 0.6


def test_other_inputs_are_another_attack_on_disk_too():
    data = overlapping(5)
    as_they_are = learned.fit_attack(data, inputs="probabilities").membership_score(data)
    assert not np.allclose(as_they_are, learned.fit_attack(data).membership_score(data))
    np.testing.assert_array_equal(as_they_are, learned.fit_attack(data, inputs="probabilities").membership_score(data))
    with pytest.raises(ValueError, match=r"inputs must be one of .*log-odds.*got 'logits'"):
        learned.fit_attack(data, inputs="logits")


@pytest.mark.parametrize(("at_once", "parts"), [(1, 4), (3, 2), (4, 1)])
def test_parts_of_classes_are_fitted_as_all_of_them_are(at_once, parts, monkeypatch):
    """Every part's networks, centres and scales come back at the places of its classes."""
    monkeypatch.setattr(learned, "MIN_STEPS", 20)
    data, fitted, fit = overlapping(5, n=603), [], learned._fit_part
    monkeypatch.setattr(learned, "_fit_part", lambda part, *rest: fitted.append(len(part)) or fit(part, *rest))
    fit_all = partial(learned._fit_networks, data, np.array([0, 1, 2, 3]), seed=1, inputs="-log(1-p)")
    every = fit_all()
    assert fitted == [4]
    monkeypatch.setattr(learned, "CLASSES_AT_ONCE", at_once)
    cut = fit_all()
    assert len(fitted) == 1 + parts and sum(fitted[1:]) == 4 and max(fitted[1:]) <= at_once
    for name, array in every.items():
        np.testing.assert_allclose(cut[name], array, rtol=0, atol=1e-4, err_msg=name)


def test_the_order_of_the_classes_in_the_data_does_not_matter():
    data, target = overlapping(5), overlapping(6)
    by_class = part(data, np.argsort(data.labels, kind="stable"))  # the order within a class stays
    np.testing.assert_allclose(
        learned.fit_attack(by_class).membership_score(target), learned.fit_attack(data).membership_score(target), atol=1e-4
    )


@pytest.mark.parametrize("name", BASELINES)
def test_the_order_of_the_records_does_not_matter_to_a_threshold(name):
    data, target = overlapping(5), overlapping(6)
    shuffled = part(data, np.random.default_rng(0).permutation(len(data.labels)))
    for per_class in (False, True):
        first, second = (BASELINES[name](d, per_class=per_class) for d in (data, shuffled))
        np.testing.assert_array_equal(first.membership_score(target), second.membership_score(target))


def test_same_seed_same_attack_trained_anew_or_from_disk(tmp_path, monkeypatch):
    data, target = overlapping(7), overlapping(8)
    scores = []
    for cache, seed in (("one", 1), ("two", 1), ("two", 1), ("two", 2)):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / cache))
        scores.append(learned.fit_attack(data, seed=seed).membership_score(target))
    for again in scores[1:3]:
        np.testing.assert_array_equal(scores[0], again)
    assert not np.allclose(scores[0], scores[3], atol=1e-4)
    swapped = learned.fit_attack(replace(data, member=~data.member), seed=2).membership_score(target)  # the same answers
    assert np.corrcoef(swapped, scores[3])[0, 1] < 0


def test_seed_and_class_set_the_initial_weights():
    first, again, other_seed, other_class = (learned._network(4, *of)[0].weight for of in ((1, 0), (1, 0), (2, 0), (1, 3)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other_seed)
    assert not torch.equal(first, other_class)


def test_fitting_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learned.fit_attack(overlapping(7))
    assert torch.equal(torch.rand(3), expected)


def literal_measures(data):
    """Confidence, negative entropy, negative modified entropy (Song & Mittal 2021), one record at a time."""
    rows = []
    for p, y in zip(data.predictions.astype(float), data.labels, strict=True):
        entropy, modified = 0.0, -(1 - p[y]) * np.log(max(p[y], 1e-30))
        for i in range(len(p)):
            if p[i] > 0:
                entropy -= p[i] * np.log(p[i])
            if i != y:
                modified -= p[i] * np.log(max(1 - p[i], 1e-30))
        rows.append((p[y], -entropy, -modified))
    return np.array(rows).T


def test_measures_are_their_formulas():
    data = overlapping(9, n=60)
    data.predictions[:4] = np.eye(4, dtype=np.float32)  # certain: right for records 0 to 3
    data.predictions[4:8] = np.roll(np.eye(4, dtype=np.float32), 1, axis=1)  # certain and wrong
    data.predictions[8] = 0.25
    confidence, entropy, modified = literal_measures(data)
    np.testing.assert_allclose(thresholds.confidence(data), confidence, rtol=1e-12)
    np.testing.assert_allclose(negative_entropy(data), entropy, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(negative_modified_entropy(data), modified, rtol=1e-9, atol=1e-12)
    assert negative_entropy(data)[8] == pytest.approx(-np.log(4))
    assert negative_modified_entropy(data)[:4].tolist() == [0] * 4
    assert negative_modified_entropy(data)[4:8].max() < -100  # entropy cannot tell these from the right ones
    np.testing.assert_array_equal(negative_entropy(data)[:4], negative_entropy(data)[4:8])


def balanced_accuracy(called, member):
    return (called[member].mean() + (~called)[~member].mean()) / 2


@pytest.mark.parametrize("kind", ["distinct", "ties", "few members", "inverted", "neighbours"])
@pytest.mark.parametrize("seed", range(4))
def test_best_threshold_is_the_best_of_all(kind, seed):
    rng = np.random.default_rng(seed)
    member = rng.random(40) < (0.15 if kind == "few members" else 0.5)
    member[:2] = True, False
    values = rng.normal(size=40) + member * (-2 if kind == "inverted" else 1)
    if kind == "ties":
        values = values.round()
    if kind == "neighbours":  # neighbouring floats, between which there is no middle
        values = np.array([1.0, np.nextafter(1, 2), np.nextafter(np.nextafter(1, 2), 2)])[
            np.clip(values.round(), 0, 2).astype(int)
        ]
    possible = [*np.unique(values), np.inf]
    best = max(balanced_accuracy(values >= t, member) for t in possible)
    assert balanced_accuracy(values >= best_threshold(values, member), member) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("n_members", range(1, 20))
def test_values_that_are_all_equal_make_no_member(n_members):
    assert best_threshold(np.full(20, 0.3), np.arange(20) < n_members) == np.inf


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("per_class", [False, True])
def test_threshold_attacks_use_the_best_threshold(name, per_class):
    data = overlapping(10, n=200)
    measure = dict(zip(BASELINES, literal_measures(data), strict=True))[name]
    decision = BASELINES[name](data, per_class=per_class).infer(data)
    for rows in [data.labels == c for c in range(4)] if per_class else [np.ones(200, bool)]:
        best = max(balanced_accuracy(measure[rows] >= t, data.member[rows]) for t in [*measure[rows], np.inf])
        assert balanced_accuracy(decision[rows], data.member[rows]) == pytest.approx(best, abs=1e-12)


def test_correctness_gap_says_member_where_the_class_is_right():
    data = overlapping(11, n=40)
    decision = correctness_gap().infer(data)
    assert decision.tolist() == [
        max(range(4), key=p.__getitem__) == y for p, y in zip(data.predictions, data.labels, strict=True)
    ]


def test_mitigated_answers_are_accepted():
    """They need not sum to one."""
    data = overlapping(12)
    top = replace(data, predictions=np.where(data.predictions == data.predictions.max(1, keepdims=True), data.predictions, 0))
    for fit in FITS.values():
        assert fit(top).infer(top).shape == (600,)


GOOD = overlapping(13, n=80)


def spoiled(value):
    predictions = GOOD.predictions.copy()
    predictions[3, 1] = value
    return predictions


BAD = [
    ({"predictions": spoiled(np.nan)}, ValueError, "predictions must be finite"),
    ({"predictions": spoiled(np.inf)}, ValueError, "predictions must be finite"),
    ({"predictions": spoiled(-0.1)}, ValueError, r"predictions must be finite and lie in \[0, 1\], got -0.1"),
    ({"predictions": spoiled(1.5)}, ValueError, r"predictions .* \[0, 1\], got .*1.5"),
    ({"predictions": GOOD.predictions[0]}, TypeError, "predictions must be floats of shape"),
    ({"predictions": np.ones((80, 4), int)}, TypeError, "predictions must be floats.*int64"),
    ({"labels": GOOD.labels + 1}, ValueError, r"labels must lie in 0\.\.3, got 1\.\.4"),
    ({"labels": GOOD.labels - 1}, ValueError, r"labels must lie in 0\.\.3, got -1\.\.2"),
    ({"labels": GOOD.labels.astype(float)}, TypeError, "labels must be a vector of whole numbers, got float64"),
    ({"labels": GOOD.labels[1:]}, ValueError, "labels must have one entry a prediction, got 79 for 80"),
    ({"member": GOOD.member.astype(int)}, TypeError, "member must be bool.*int64"),
    ({"member": GOOD.member[1:]}, TypeError, r"member must be bool of shape \(80,\)"),
    ({"predictions": GOOD.predictions.tolist()}, TypeError, "predictions must be floats.*got a list"),
]


@pytest.mark.parametrize(("changes", "error", "words"), BAD)
def test_attack_data_check_themselves(changes, error, words):
    with pytest.raises(error, match=words):
        replace(GOOD, **changes)


@pytest.mark.parametrize("name", FITS)
def test_what_is_no_attack_data_is_refused_by_name(name):
    if name != "correctness gap":  # which is not fitted
        with pytest.raises(TypeError, match="data must be a mialib AttackData, got tuple"):
            FITS[name]((1, 2, 3))
    for method in ("infer", "membership_score"):
        with pytest.raises(TypeError, match="data must be a mialib AttackData, got tuple"):
            getattr(FITS[name](GOOD), method)((1, 2, 3))


@pytest.mark.parametrize("per_class", ["no", None, 1])
def test_per_class_is_true_or_false(per_class):
    with pytest.raises(TypeError, match="per_class must be True or False"):
        confidence_threshold(GOOD, per_class=per_class)


@pytest.mark.parametrize("fit", [learned.fit_attack, confidence_threshold])
def test_answers_of_another_number_of_classes_are_refused(fit):
    with pytest.raises(ValueError, match="predictions must have 4 columns, as the attack was fitted on, got 5"):
        fit(GOOD).infer(overlapping(1, n_classes=5))


def test_bad_settings_are_named():
    with pytest.raises(TypeError, match="seed must be a whole number, got 'mlp'"):
        learned.fit_attack(GOOD, "mlp")
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        learned.fit_attack(GOOD, seed=-1)
