"""The attack with a part taken out: what a view hides stays hidden, and what is left still tells members."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mialib.attack import ablations, learned
from mialib.attack.thresholds import NEVER, confidence_threshold
from mialib.core.types import AttackData
from mialib.metrics import overall
from mialib.study import experiments, tables
from mialib.study.experiments import Case, Trial
from mialib.training.estimators import EstimatorTrainer

N_CLASSES = 4


def answers(n=1200, leak=2.0, seed=0):
    """Members are more confident of the true class, by `leak` in the logits."""
    rng = np.random.default_rng(seed)
    labels, member = rng.integers(0, N_CLASSES, n), rng.random(n) < 0.5
    logits = rng.normal(size=(n, N_CLASSES))
    logits[np.arange(n), labels] += 1 + leak * member
    p = np.exp(logits)
    return AttackData((p / p.sum(1, keepdims=True)).astype(np.float32), labels, member)


def accuracy(fitted, data):
    return overall(data, fitted.infer(data))["accuracy"]


def test_views_show_what_they_say():
    data = answers(50)
    np.testing.assert_array_equal(ablations.one_class(data).labels, 0)
    np.testing.assert_array_equal(ablations.one_class(data).predictions, data.predictions)
    top = ablations.sorted_top(data, 2).predictions
    np.testing.assert_array_equal(top[:, :2], np.sort(data.predictions, 1)[:, ::-1][:, :2])
    np.testing.assert_array_equal(top[:, 2:], 0)
    np.testing.assert_array_equal(ablations.sorted_top(data, 9).predictions, np.sort(data.predictions, 1)[:, ::-1])
    own = ablations.true_class(data).predictions
    np.testing.assert_array_equal(own[:, 0], [p[c] for p, c in zip(data.predictions, data.labels, strict=True)])
    np.testing.assert_array_equal(own[:, 1:], 0)
    for view in (ablations.one_class, ablations.sorted_top, ablations.true_class):
        assert view(data).predictions.shape == data.predictions.shape
        np.testing.assert_array_equal(view(data).member, data.member)
    with pytest.raises(ValueError, match="k must be at least 1"):
        ablations.sorted_top(data, 0)


@pytest.mark.parametrize("name", ablations.ABLATIONS)
def test_every_variant_catches_a_planted_leak_and_no_more_than_there_is(name, caplog):
    with caplog.at_level(logging.WARNING):
        fitted = ablations.ABLATIONS[name](answers())
    assert not caplog.records  # no class lacks anything, whatever a view hides
    test = answers(seed=1)
    assert accuracy(fitted, test) > 0.68
    assert fitted.membership_score(test).dtype == np.float32
    np.testing.assert_array_equal(fitted.infer(test), fitted.membership_score(test) > 0)
    assert abs(accuracy(ablations.ABLATIONS[name](answers(leak=0)), answers(leak=0, seed=1)) - 0.5) < 0.06


def test_a_variant_does_not_use_what_it_does_not_see():
    data, test = answers(), answers(seed=1)
    blind = ablations.seen(ablations.one_class, fit=ablations.fit_one_network)(data)
    moved = replace(test, labels=(test.labels + 1) % N_CLASSES)
    np.testing.assert_array_equal(blind.infer(test), blind.infer(moved))
    unnamed = ablations.seen(ablations.sorted_top, ablations.one_class, fit=ablations.fit_one_network)(data)
    mixed = replace(test, predictions=np.ascontiguousarray(test.predictions[:, [2, 0, 3, 1]]))
    np.testing.assert_array_equal(unnamed.infer(test), unnamed.infer(mixed))
    assert not np.array_equal(blind.infer(test), blind.infer(mixed))


def test_a_view_is_used_on_any_way_to_fit():
    data, test = answers(), answers(seed=1)
    plain = confidence_threshold(replace(ablations.true_class(data), labels=np.zeros_like(data.labels)))
    viewed = ablations.seen(ablations.true_class, ablations.one_class, fit=confidence_threshold)(data)
    np.testing.assert_array_equal(viewed.infer(test), confidence_threshold(data).infer(test))
    assert plain.thresholds[0] == viewed._inner.thresholds[0]


def test_a_real_lack_of_members_is_still_said(caplog):
    data = answers()
    with caplog.at_level(logging.WARNING, "mialib"):
        fitted = ablations.seen(ablations.one_class, fit=ablations.fit_one_network)(
            replace(data, member=np.zeros_like(data.member))
        )
    assert "classes [0] lack members" in caplog.text
    assert not fitted.infer(data).any()


def test_an_attack_of_some_classes_answers_for_these_alone(caplog):
    data, test = answers(), answers(seed=1)
    with caplog.at_level(logging.WARNING, "mialib"):
        some, every = learned.fit_attack(data, classes=[2, 0]), learned.fit_attack(data)
    fitted = np.isin(test.labels, [0, 2])
    np.testing.assert_array_equal(some.membership_score(test)[~fitted], NEVER)
    same = np.isclose(some.membership_score(test), every.membership_score(test), atol=1e-4)
    assert same[fitted].all() and not same[~fitted].any() and not caplog.records
    with pytest.raises(ValueError, match=r"classes must lie in 0\.\.3, got 4\.\.4"):
        learned.fit_attack(data, classes=[4])


def test_an_attack_by_any_trainer_is_one_model_a_class():
    data, test = answers(), answers(seed=1)
    fitted = ablations.trained_by(EstimatorTrainer(LogisticRegression()))(data)
    scores = fitted.membership_score(test)
    for c in range(N_CLASSES):
        rows = data.labels == c
        model = LogisticRegression().fit(data.predictions[rows], data.member[rows])
        own = model.predict_proba(test.predictions[test.labels == c])[:, 1] - 0.5
        np.testing.assert_allclose(scores[test.labels == c], own, atol=1e-4)
    assert accuracy(fitted, test) > 0.7
    np.testing.assert_array_equal(fitted.infer(test), scores > 0)


def test_a_class_that_lacks_members_is_answered_non_member_by_a_trainers_attack():
    data = answers()
    data = replace(data, member=data.member & (data.labels != 2))
    scores = ablations.trained_by(EstimatorTrainer(LogisticRegression()))(data).membership_score(data)
    assert (scores[data.labels == 2] == NEVER).all()
    assert (scores[data.labels != 2] > -1).all()
    with pytest.raises(ValueError, match="data must hold a class with members and non-members"):
        ablations.trained_by(EstimatorTrainer(LogisticRegression()))(replace(data, member=np.zeros_like(data.member)))


def test_parts_and_baselines_make_one_table():
    case = Case("location", "real", "local", 600, *experiments.REAL)
    trial = Trial(case, 0, answers(seed=1), answers, 1)
    parts = ablations.ABLATIONS | {"correctness gap": experiments.ATTACKS["correctness gap"]}
    table = tables.summary(experiments.run_attacks([trial], parts))
    assert table["attack"].unique().tolist() == list(parts)
    assert not table["value"].isna().any()


def test_an_attack_of_a_trainer_is_trained_once_for_the_same_answers(monkeypatch):
    data, trainer, trained = answers(), EstimatorTrainer(LogisticRegression()), []
    fit_many = EstimatorTrainer.fit_many
    monkeypatch.setattr(EstimatorTrainer, "fit_many", lambda *args, **more: trained.append(1) or fit_many(*args, **more))
    first = ablations.trained_by(trainer)(data).membership_score(data)
    count = len(trained)
    assert count and np.array_equal(ablations.trained_by(trainer)(data).membership_score(data), first)
    assert len(trained) == count
    ablations.trained_by(trainer, seed=1)(data).infer(data)
    assert len(trained) == 2 * count
