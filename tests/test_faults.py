"""Faults that no other test saw: each of these tests fails when its line is changed (the table is tests/mutants.py)."""

from dataclasses import replace

import mutants
import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier

import mialib
from mialib import shadow
from mialib.attack import learned, thresholds
from mialib.core.progress import Ticks
from mialib.training.session import Session

RNG = np.random.default_rng(3)
DATASET = mialib.Dataset("bits", RNG.integers(0, 2, (300, 12), dtype=np.uint8), RNG.integers(0, 3, 300), 3, "own")


def trees(**settings):
    return mialib.EstimatorTrainer(DecisionTreeClassifier(**settings))


def test_answers_are_kept_by_the_rows_that_were_asked():
    members = np.arange(40)
    for first in (40, 80):
        split = mialib.Split(members, np.arange(first, first + 40))
        kept = mialib.shadow_attack_data(trees(), DATASET, [split], seed=0)
        (model,) = trees().fit_many(DATASET, members[None], seed=0)
        np.testing.assert_array_equal(kept.predictions, mialib.query(model, DATASET, split).predictions)


def test_answers_are_kept_before_any_mitigation():
    splits = shadow.sample_splits(np.arange(300), 40, 2, seed=0)
    mialib.shadow_attack_data(trees(), DATASET, splits, seed=0, mitigation=lambda p: p * np.float32(0.5))
    plain = mialib.shadow_attack_data(trees(), DATASET, splits, seed=0)
    np.testing.assert_allclose(plain.predictions.sum(1), 1, atol=1e-6)


def test_the_parameters_of_an_estimator_are_in_its_key():
    rows = np.arange(40)[None]
    assert trees(max_depth=1).keys(DATASET, rows, 0) != trees(max_depth=2).keys(DATASET, rows, 0)
    assert trees(max_depth=1).keys(DATASET, rows, 0) == trees(max_depth=1).keys(DATASET, rows, 0)


@pytest.fixture(scope="module")
def answers():
    """Confident answers: the column of the true class varies most."""
    labels = RNG.integers(0, 2, 400)
    sure = np.clip(RNG.normal(0.8, 0.15, 400), 0, 1)
    others = (1 - sure)[:, None] * RNG.dirichlet([1, 1], 400)
    predictions = np.insert(others, 0, sure, axis=1)
    predictions[labels == 1] = predictions[labels == 1][:, [1, 0, 2]]
    return mialib.AttackData(predictions.astype(np.float32), labels, sure > 0.8)


def test_the_attack_scales_its_inputs_by_the_column_that_varies_most(answers):
    centre, scale = learned._centre_and_scale(answers.predictions)
    np.testing.assert_allclose(centre, answers.predictions.mean(0))
    assert scale == pytest.approx(answers.predictions.std(0).max() + 1e-6)


def test_the_attack_cuts_its_inputs_at_ten_scales():
    vectors = np.array([[0.0, 3.0, -3.0, 12.0, -12.0]], np.float32)
    np.testing.assert_array_equal(
        learned._standard(vectors.copy(), np.zeros(5, np.float32), np.float32(1)), [[0.0, 3.0, -3.0, 10.0, -10.0]]
    )


def test_the_order_of_the_attacks_batches_depends_on_seed_and_class():
    first, again, other_seed, other_class = (learned._order(50, 200, *of) for of in ((1, 0), (1, 0), (2, 0), (1, 3)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other_seed) and not torch.equal(first, other_class)
    assert torch.equal(first[:50].sort().values, torch.arange(50))  # one shuffle after another


def test_a_record_that_reaches_the_threshold_is_a_member():
    data = mialib.AttackData(np.array([[0.5, 0.5], [0.25, 0.75]], np.float32), np.array([0, 0]), np.array([True, False]))
    at = thresholds.ThresholdAttack(thresholds.confidence, np.array([0.5, 0.5]))
    assert at.infer(data).tolist() == [True, False]


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_is_the_number_of_epochs_without_a_lower_loss(patience, monkeypatch):
    seen = []
    losses = iter([1.0, 0.5] + [0.5] * 20)

    def epoch(self):
        seen.append(next(losses))
        return torch.tensor([seen[-1]])

    monkeypatch.setattr(Session, "epoch", epoch)
    recipe = mialib.Recipe(epochs=15, batch_size=20, lr=0.01, patience=patience)
    mialib.NeuralTrainer(lambda: mialib.mlp(12, 3, 4), recipe).fit_many(DATASET, np.arange(40)[None], seed=0)
    assert len(seen) == 2 + patience


@pytest.mark.parametrize(
    ("losses", "trained", "kept"),
    [
        ([1.0, 0.3, 0.125, 0.05], 3, 3),  # the first that is low enough, an equal one included
        ([1.0, 0.3, 2.0, 0.2, 0.5], 5, 4),  # never: the lowest, though it lies before a jump
        ([1.0, 1.0, 1.0, 1.0, 1.0], 5, 1),  # of equal ones the first
    ],
)
def test_a_loss_that_is_enough_ends_a_network_and_the_lowest_loss_tells_its_weights(losses, trained, kept, monkeypatch):
    seen = []

    def epoch(self):
        seen.append(losses[len(seen)])
        for parameter in self.stack.parameters:
            parameter.data.fill_(len(seen))
        return torch.tensor([seen[-1]])

    monkeypatch.setattr(Session, "epoch", epoch)
    recipe = mialib.Recipe(epochs=5, batch_size=20, lr=0.01, enough=0.125)
    (model,) = mialib.NeuralTrainer(lambda: mialib.mlp(12, 3, 4), recipe).fit_many(DATASET, np.arange(40)[None], seed=0)
    assert len(seen) == trained
    assert {float(value) for p in model._module.parameters() for value in p.detach().flatten()} == {kept}


def test_a_bar_counts_the_epochs_that_a_network_did_not_need(monkeypatch):
    told = []
    monkeypatch.setattr(Session, "epoch", lambda self: torch.full((len(self.stack),), 0.05))
    monkeypatch.setattr(Ticks, "update", lambda self, n=1: told.append(n))
    recipe = mialib.Recipe(epochs=5, batch_size=20, lr=0.01, enough=0.125)
    mialib.NeuralTrainer(lambda: mialib.mlp(12, 3, 4), recipe).fit_many(DATASET, np.arange(80).reshape(2, 40), seed=0)
    assert sum(told) == 2 * 5


def test_networks_that_go_on_keep_their_own_dropout_when_others_stop(monkeypatch, tmp_path):
    recipe = mialib.Recipe(epochs=12, batch_size=20, lr=0.05, patience=1)
    trainer = mialib.NeuralTrainer(lambda: mialib.mlp(12, 3, 8, dropout=0.5), recipe)
    rows = np.stack([RNG.permutation(300)[:40] for _ in range(6)])
    sizes = []
    epoch = Session.epoch
    monkeypatch.setattr(Session, "epoch", lambda self: sizes.append(len(self.stack)) or epoch(self))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # one stack of all
    together = trainer.fit_many(DATASET, rows, seed=4)
    assert len(set(sizes)) > 2, "networks must stop at different epochs for this test"
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "alone"))
    for j, model in enumerate(together):
        (alone,) = trainer.fit_many(DATASET, rows[j : j + 1], seed=4, first=j)
        np.testing.assert_allclose(model.predict_proba(DATASET.x), alone.predict_proba(DATASET.x), atol=1e-4)


def test_a_class_that_was_never_called_a_member_has_no_precision():
    data = replace(
        mialib.AttackData(np.full((4, 2), 0.5, np.float32), np.array([0, 0, 1, 1]), np.array([True, False, True, False])),
    )
    table = mialib.by_class(data, np.array([True, False, False, False]))
    assert table["precision"].iloc[0] == 1 and np.isnan(table["precision"].iloc[1])


@pytest.mark.parametrize("fault", mutants.FAULTS, ids=lambda fault: f"{fault.file}: {fault.changed[:40]}")
def test_the_table_of_faults_is_that_of_the_code(fault):
    source = (mutants.ROOT / "mialib" / fault.file).read_text(encoding="utf-8")
    assert source.count(fault.line) >= 1 and fault.line != fault.changed
    file, _, test = fault.tests.partition("::")
    assert f"def {test.partition('[')[0]}" in (mutants.ROOT / "tests" / file).read_text(encoding="utf-8")
