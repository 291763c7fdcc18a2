"""Trainers: k together equal each alone, whatever the chunk or the order; what is finished is never trained again."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from mialib.core import cache, randomness
from mialib.core.types import Dataset
from mialib.training import networks
from mialib.training.estimators import EstimatorTrainer
from mialib.training.networks import Records, cnn
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe
from mialib.training.session import Session

RECIPE = Recipe(epochs=3, batch_size=16, lr=1e-2)


def bits(n=200, d=20, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (n, d), dtype=np.uint8)
    return Dataset("bits", x, (x[:, :n_classes].argmax(1)).astype(np.int64), n_classes, "standin")


def sparse_bits(n=200, d=150, n_classes=4, seed=0):
    """Bits of which 3% are ones, with an empty record among them."""
    rng = np.random.default_rng(seed)
    x = (rng.random((n, d)) < 0.03).astype(np.uint8)
    x[0] = 0
    return Dataset("sparse", x, rng.integers(0, n_classes, n), n_classes, "standin")


def images(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return Dataset("images", rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, n), 3, "standin")


def rows_of(dataset, k, n, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(len(dataset.x))[:n] for _ in range(k)])


def mlp():
    return networks.mlp(20, 4, hidden=8)


def sparse_mlp():
    return networks.mlp(150, 4, hidden=8)


def deep_mlp():
    return nn.Sequential(Records(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4))


def dropout_mlp():
    return nn.Sequential(Records(), nn.Linear(20, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 4))


def small_cnn():
    return cnn((8, 8, 3), 3, channels=4, kernel=3)


def literal_training(make_model, recipe, dataset, rows, seed, number):
    """One network, trained by the loop that one would write first, from the same random streams."""
    torch.manual_seed(randomness.derive(seed, "weights", number))
    model = make_model()
    order = randomness.torch_generator(seed, "order", number)
    masks = randomness.torch_generator(seed, "dropout", number)
    make = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.SGD
    optimizer = make(model.parameters(), lr=recipe.lr)
    x, y, step = torch.as_tensor(dataset.x[rows]), torch.as_tensor(dataset.y[rows]), 0
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(rows), generator=order).split(recipe.batch_size):
            out = x[batch]
            for layer in model:
                if isinstance(layer, nn.Dropout):
                    kept = torch.rand(out.shape, generator=masks) >= layer.p
                    out = out * kept / (1 - layer.p)
                else:
                    out = layer(out)
            penalty = sum((p**2).sum() for name, p in model.named_parameters() if name.endswith("weight"))
            loss = nn.functional.cross_entropy(out, y[batch]) + recipe.l2 * penalty
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr / (1 + recipe.lr_decay * step)
            optimizer.step()
            step += 1
    return model.eval()


def weights(model):
    return torch.cat([p.detach().flatten().cpu() for p in model._module.parameters()])


def assert_same(models_a, models_b, tolerance=1e-4):
    for a, b in zip(models_a, models_b, strict=True):
        torch.testing.assert_close(weights(a), weights(b), atol=tolerance, rtol=0)


CASES = [
    (bits, mlp, RECIPE),
    (bits, mlp, Recipe(3, 16, 5e-2, lr_decay=1e-2, l2=1e-3)),
    (bits, mlp, Recipe(3, 16, 0.1, l2=1e-2, optimizer="sgd")),
    (bits, deep_mlp, RECIPE),
    (bits, dropout_mlp, RECIPE),
    (sparse_bits, sparse_mlp, Recipe(3, 16, 5e-2, l2=1e-3)),
    (sparse_bits, sparse_mlp, Recipe(3, 16, 0.1, optimizer="sgd")),
    (images, small_cnn, Recipe(2, 8, 1e-3)),
]


@pytest.mark.parametrize(("make_data", "make_model", "recipe"), CASES)
def test_together_equals_a_literal_loop_over_models(make_data, make_model, recipe):
    dataset = make_data()
    rows = rows_of(dataset, 4, 45)  # 45 is no multiple of the batch: the last batch is short
    fitted = NeuralTrainer(make_model, recipe, device="cpu").fit_many(dataset, rows, seed=5, first=7)
    for j, model in enumerate(fitted):
        alone = literal_training(make_model, recipe, dataset, rows[j], 5, 7 + j)
        expected = torch.cat([p.detach().flatten() for p in alone.parameters()])
        torch.testing.assert_close(weights(model), expected, atol=1e-4, rtol=0)
        with torch.inference_mode():
            answers = alone(torch.as_tensor(dataset.x)).softmax(1).numpy()
        np.testing.assert_allclose(model.predict_proba(dataset.x), answers, atol=1e-4)


def test_each_case_takes_the_path_that_it_is_meant_for():
    taken = []
    for make_data, make_model, recipe in CASES:
        trainer = NeuralTrainer(make_model, recipe, "cpu")
        trained = trainer._session(trainer._material(make_data()), rows_of(make_data(), 1, 45), 0, [0])
        taken.append(type(trained.stack).__name__)
    assert taken == ["DenseStack"] * 4 + ["Stack"] + ["SparseStack"] * 2 + ["Stack"]


@pytest.mark.parametrize(
    ("make_data", "make_model"), [(bits, mlp), (bits, dropout_mlp), (sparse_bits, sparse_mlp), (images, small_cnn)]
)
def test_results_do_not_depend_on_k_chunk_or_order(make_data, make_model, monkeypatch, tmp_path):
    dataset = make_data()
    rows = rows_of(dataset, 6, 45)

    def fit(chunk, part, first):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / f"{chunk}-{first}-{len(part)}"))
        return NeuralTrainer(make_model, RECIPE, "cpu", chunk=chunk).fit_many(dataset, part, seed=1, first=first)

    together = fit(None, rows, 0)
    assert_same(together, fit(1, rows, 0))
    assert_same(together, fit(4, rows, 0))
    assert_same(together[3:], fit(None, rows[3:], 3))
    assert_same([together[5]], fit(2, rows[5:], 5))
    with pytest.raises(AssertionError):
        assert_same([together[0]], [together[1]])


def test_another_seed_or_number_gives_another_network():
    dataset = bits()
    rows = np.repeat(rows_of(dataset, 1, 45), 2, 0)
    trainer = NeuralTrainer(mlp, RECIPE, "cpu")
    first, second = trainer.fit_many(dataset, rows, seed=0)
    other = trainer.fit_many(dataset, rows[:1], seed=1)[0]
    assert not torch.allclose(weights(first), weights(second))
    assert not torch.allclose(weights(first), weights(other))


def count_epochs(monkeypatch):
    """Networks x epochs trained from here on."""
    trained = []
    epoch = Session.epoch
    monkeypatch.setattr(Session, "epoch", lambda self: trained.append(len(self.stack)) or epoch(self))
    return trained


def test_finished_networks_are_not_trained_again_and_more_train_only_the_new(monkeypatch):
    dataset = bits()
    rows = rows_of(dataset, 5, 45)
    trainer = NeuralTrainer(mlp, RECIPE, "cpu", chunk=8)
    monkeypatch.setattr(NeuralTrainer, "_chunk_seconds", lambda *_: 1e-9)
    trained = count_epochs(monkeypatch)
    before = trainer.fit_many(dataset, rows[:3], seed=0)
    assert sum(trained) == 3 * RECIPE.epochs
    trained.clear()
    after = trainer.fit_many(dataset, rows, seed=0)
    assert sum(trained) == 2 * RECIPE.epochs
    assert_same(before, after[:3], tolerance=0)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": Recipe(3, 16, 2e-2)},
        {"recipe": Recipe(3, 16, 1e-2, precision="bfloat16")},
        {"make_model": lambda: networks.mlp(20, 4, hidden=9)},
        {"seed": 1},
        {"dataset": bits(seed=1)},
        {"rows": rows_of(bits(), 2, 45, seed=1)},
        {"first": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_the_network_changes_the_key(change):
    setting = {"make_model": mlp, "recipe": RECIPE, "dataset": bits(), "rows": rows_of(bits(), 2, 45), "seed": 0, "first": 0}

    def digests(make_model, recipe, dataset, rows, seed, first):
        return [cache.digest(key) for key in NeuralTrainer(make_model, recipe, "cpu").keys(dataset, rows, seed, first)]

    assert digests(**setting) == digests(**setting)
    assert digests(**setting)[0] != digests(**setting | change)[0]


class Doubling(nn.Module):
    """A module of our own, which no stack knows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(20, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(2 * self.layer(x.float()))


def test_a_module_that_cannot_be_stacked_is_trained_alone_and_that_is_said(caplog):
    dataset = bits()
    rows = rows_of(dataset, 2, 45)
    with caplog.at_level(logging.WARNING):
        fitted = NeuralTrainer(Doubling, RECIPE, "cpu").fit_many(dataset, rows, seed=0)
    assert "Doubling cannot be stacked" in caplog.text
    again = NeuralTrainer(Doubling, RECIPE, "cpu").fit_many(dataset, rows[::-1], seed=0)
    assert fitted[0].predict_proba(dataset.x).shape == (200, 4)
    assert not torch.allclose(weights(fitted[0]), weights(again[0]))


def test_patience_stops_each_network_by_itself(monkeypatch, tmp_path):
    dataset = bits()
    rows = rows_of(dataset, 4, 45)
    patient = Recipe(40, 16, 0.2, patience=2)
    trained = count_epochs(monkeypatch)
    monkeypatch.setattr(NeuralTrainer, "_chunk_seconds", lambda *_: 1e-9)
    together = NeuralTrainer(mlp, patient, "cpu").fit_many(dataset, rows, seed=0)
    assert sum(trained) < 4 * 40
    assert len(set(trained)) > 1, "the networks should stop at different epochs, or the test shows nothing"
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "alone"))
    alone = NeuralTrainer(mlp, patient, "cpu", chunk=1).fit_many(dataset, rows, seed=0)
    assert_same(together, alone, tolerance=2e-3)  # a long run at a high rate magnifies rounding


def test_bfloat16_learns_as_float32_does():
    dataset = bits(n=600)
    rows = rows_of(dataset, 1, 400)
    fresh = np.setdiff1d(np.arange(600), rows[0])

    def test_accuracy(precision):
        model = NeuralTrainer(mlp, Recipe(30, 16, 1e-2, precision=precision), "cpu").fit_many(dataset, rows, seed=0)[0]
        return (model.predict_proba(dataset.x[fresh]).argmax(1) == dataset.y[fresh]).mean()

    assert test_accuracy("float32") > 0.8
    assert abs(test_accuracy("float32") - test_accuracy("bfloat16")) < 0.06


def test_estimate_counts_models_and_memory():
    estimate = NeuralTrainer(mlp, RECIPE, "cpu").estimate(bits(), 50, 7)
    assert estimate.models == 7
    assert estimate.seconds > 0
    assert "7 models" in str(estimate)


def test_bad_rows_and_models_are_named():
    dataset = bits()
    trainer = NeuralTrainer(mlp, RECIPE, "cpu")
    with pytest.raises(TypeError, match="rows must be whole numbers"):
        trainer.fit_many(dataset, np.zeros((2, 3)), seed=0)
    with pytest.raises(ValueError, match="at least one model"):
        trainer.fit_many(dataset, np.zeros((0, 3), int), seed=0)
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.199, got 0\.\.200"):
        trainer.fit_many(dataset, np.array([[0, 200]]), seed=0)
    with pytest.raises(ValueError, match=r"make_model must answer \(n, 4\) logits"):
        NeuralTrainer(lambda: networks.mlp(20, 3), RECIPE, "cpu").fit_many(dataset, np.array([[0, 1]]), seed=0)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        trainer.fit_many(dataset, np.array([[0, 1]]), seed=-1)
    with pytest.raises(ValueError, match=r"y must lie in 0\.\.3, got 1\.\.4"):
        trainer.fit_many(replace(dataset, y=dataset.y + 1), np.array([[0, 1]]), seed=0)


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("epochs", 0, ValueError),
        ("epochs", 1.5, TypeError),
        ("batch_size", 0, ValueError),
        ("lr", 0.0, ValueError),
        ("lr", float("nan"), ValueError),
        ("lr_decay", -1.0, ValueError),
        ("l2", -1e-4, ValueError),
        ("optimizer", "lbfgs", ValueError),
        ("precision", "float16", ValueError),
        ("patience", 0, ValueError),
    ],
)
def test_recipe_names_what_is_wrong(field, value, error):
    with pytest.raises(error, match=field):
        Recipe(**{"epochs": 1, "batch_size": 1, "lr": 1e-3, field: value})


def test_estimators_depend_on_seed_and_number_only():
    dataset = bits()
    rows = rows_of(dataset, 3, 45)
    trainer = EstimatorTrainer(DecisionTreeClassifier(max_features=2))
    together = trainer.fit_many(dataset, rows, seed=0)
    alone = trainer.fit_many(dataset, rows[2:], seed=0, first=2)[0]
    np.testing.assert_array_equal(together[2].predict_proba(dataset.x), alone.predict_proba(dataset.x))
    other = trainer.fit_many(dataset, rows[2:], seed=1, first=2)[0]
    assert (other.predict_proba(dataset.x) != alone.predict_proba(dataset.x)).any()


def test_an_estimator_answers_zero_for_absent_classes_and_takes_images():
    dataset = images()
    rows = np.flatnonzero(dataset.y != 1)[None, :20]
    model = EstimatorTrainer(LogisticRegression(max_iter=20)).fit_many(dataset, rows, seed=0)[0]
    answers = model.predict_proba(dataset.x)
    assert answers.shape == (60, 3)
    assert answers.dtype == np.float32
    assert (answers[:, 1] == 0).all()
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-6)


def test_an_estimator_must_be_a_classifier():
    with pytest.raises(TypeError, match="estimator must be a classifier"):
        EstimatorTrainer(object())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_agrees_with_the_cpu_on_metrics(monkeypatch, tmp_path):
    dataset = bits(n=600)
    rows = rows_of(dataset, 2, 400)
    fresh = np.setdiff1d(np.arange(600), rows[0])
    scores = []
    for device in ("cpu", "cuda"):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / device))
        model = NeuralTrainer(mlp, Recipe(30, 16, 1e-2), device).fit_many(dataset, rows, seed=0)[0]
        scores.append((model.predict_proba(dataset.x[fresh]).argmax(1) == dataset.y[fresh]).mean())
    assert abs(scores[0] - scores[1]) < 0.05
