"""DP-SGD: clipping as a literal loop, noise as the accountant asks, and models that depend on seed and number only."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mialib.core import cache
from mialib.core.types import Dataset
from mialib.training import private
from mialib.training.black_boxes import black_box
from mialib.training.networks import Records, cnn, mlp
from mialib.training.private import PrivateTrainer, clipped_sums
from mialib.training.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_size=16, lr=0.02)
DELTA = 1e-3


def bits(n=120, d=12, n_classes=3):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (n, d), dtype=np.uint8)
    return Dataset("bits", x, (x[:, 0] + x[:, 1]).astype(np.int64) % n_classes, n_classes, "standin")


@pytest.fixture
def multiplier(monkeypatch):
    """Stands in for the accountant: the noise that a test asks for, in units of the clipping norm."""

    def set_to(value):
        monkeypatch.setattr("mialib.training.private.noise_multiplier", lambda *_: value)

    set_to(0.5)
    return set_to


def trainer(recipe=RECIPE, epsilon=4.0, norm=1.0, make=lambda: mlp(12, 3, hidden=8)):
    return PrivateTrainer(make, recipe, epsilon, DELTA, norm, device="cpu")


def weights(box):
    return {name: value.numpy() for name, value in box._module.state_dict().items()}


def assert_same(first, second, **tolerance):
    for one, other in zip(weights(first).values(), weights(second).values(), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


class Odd(nn.Module):
    """A module that is no plain sequence."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(12, 5, bias=False), nn.Linear(17, 3)

    def forward(self, x):
        x = x.float()
        return self.second(torch.cat([x, torch.relu(self.first(x))], 1))


def in_place():
    return nn.Sequential(Records(), nn.Linear(12, 6), nn.ReLU(inplace=True), nn.Linear(6, 3, bias=False))


def deep():
    linear = [nn.Linear(12, 6, bias=False), nn.Linear(6, 5), nn.Linear(5, 3)]
    return nn.Sequential(nn.Flatten(), linear[0], nn.ReLU(), linear[1], nn.Tanh(), linear[2])


NETWORKS = {
    "mlp": (lambda: mlp(12, 3, hidden=8), (12,)),
    "deep": (deep, (3, 4)),
    "in place": (in_place, (12,)),
    "odd": (Odd, (12,)),
    "a layer used on each row": (lambda: nn.Sequential(nn.Linear(4, 5), nn.Flatten(), nn.Linear(15, 3)), (3, 4)),
    "cnn": (lambda: cnn((8, 8), 3, channels=2, kernel=3), (8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("max_norm", [0.3, 0.9, 100.0])
def test_clipped_sums_are_those_of_a_loop_over_records(name, max_norm, monkeypatch):
    monkeypatch.setattr("mialib.training.private.RECORDS_AT_ONCE", 8)
    make, shape = NETWORKS[name]
    torch.manual_seed(1)
    module, x, y = make(), torch.rand(21, *shape), torch.randint(0, 3, (21,))
    expected, clipped = [torch.zeros_like(p) for p in module.parameters()], 0
    for record, label in zip(x, y, strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(module(record[None]), label[None]), list(module.parameters()))
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        clipped += norm > max_norm
        expected = [total + g * min(1, max_norm / norm) for total, g in zip(expected, gradients, strict=True)]
    assert clipped == 0 if max_norm == 100 else clipped > 0
    sums = clipped_sums(module, x, y, max_norm)
    for ours, loop, p in zip(sums, expected, module.parameters(), strict=True):
        assert ours.shape == p.shape
        torch.testing.assert_close(ours, loop, atol=1e-5, rtol=1e-4)


def test_plain_networks_take_the_way_without_products():
    assert private._is_plain(mlp(12, 3))
    others = (
        in_place,
        Odd,
        lambda: cnn((8, 8), 3),
        lambda: nn.Sequential(nn.Linear(4, 2), nn.Flatten(), nn.Linear(6, 3)),
    )
    assert not any(private._is_plain(make()) for make in others)


def test_no_record_moves_a_sum_by_more_than_the_norm():
    torch.manual_seed(0)
    module, x, y = mlp(12, 3), 50 * torch.rand(30, 12), torch.randint(0, 3, (30,))
    whole = clipped_sums(module, x, y, 0.7)
    for left_out in range(30):
        kept = torch.arange(30) != left_out
        less = clipped_sums(module, x[kept], y[kept], 0.7)
        moved = torch.sqrt(sum((a - b).square().sum() for a, b in zip(whole, less, strict=True)))
        assert moved <= 0.7 * (1 + 1e-4)


def test_a_step_without_any_record_has_zero_sums():
    module = mlp(12, 3)
    assert all((total == 0).all() for total in clipped_sums(module, torch.zeros(0, 12), torch.zeros(0, dtype=torch.long), 1.0))


def test_models_depend_on_seed_and_number_only(multiplier, monkeypatch, tmp_path):
    rows = np.random.default_rng(1).integers(0, 120, (4, 60))
    together = trainer().fit_many(bits(), rows, seed=5)
    for j in (0, 2):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / f"other{j}"))
        (alone,) = trainer().fit_many(bits(), rows[[j]], seed=5, first=j)
        assert_same(together[j], alone, atol=1e-5)
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "third"))
    (other,) = trainer().fit_many(bits(), rows[[0]], seed=6)
    assert not np.allclose(weights(other)["1.weight"], weights(together[0])["1.weight"])
    same_rows = trainer().fit_many(bits(), rows[[0, 0]], seed=5)
    assert not np.allclose(weights(same_rows[0])["1.weight"], weights(same_rows[1])["1.weight"])


def test_without_noise_and_clipping_it_is_plain_gradient_descent(multiplier):
    """All records a step, no noise, a norm that none reaches: the mean gradient's steps."""
    multiplier(0.0)
    data, recipe = bits(), Recipe(epochs=4, batch_size=50, lr=0.5, lr_decay=0.1, optimizer="sgd", l2=0.01)
    private_box = trainer(recipe, norm=1e6).fit_many(data, np.arange(50)[None], seed=2)[0]
    module = trainer(recipe)._fresh(2, 0)
    x, y = torch.as_tensor(data.x[:50]), torch.as_tensor(data.y[:50])
    for step in range(4):
        module.zero_grad()
        penalty = 0.01 * sum(p.square().sum() for p in module.parameters() if p.ndim > 1)
        (F.cross_entropy(module(x), y) + penalty).backward()
        with torch.no_grad():
            for p in module.parameters():
                p -= 0.5 / (1 + 0.1 * step) * p.grad
    assert_same(private_box, black_box(module), atol=1e-4)


def test_noise_has_the_scale_that_the_plan_says(multiplier):
    """One step of gradient descent: its weights spread by rate * multiplier * norm / expected records."""
    multiplier(3.0)
    recipe = Recipe(epochs=1, batch_size=60, lr=0.4, optimizer="sgd")
    fit = partial(PrivateTrainer(lambda: mlp(12, 3, 400), recipe, 1.0, DELTA, 0.7, "cpu").fit_many, bits())
    noisy = weights(fit(np.arange(60)[None], seed=1)[0])["1.weight"]
    multiplier(0.0)
    cache_free = PrivateTrainer(lambda: mlp(12, 3, 400), recipe, 2.0, DELTA, 0.7, "cpu")
    quiet = weights(cache_free.fit_many(bits(), np.arange(60)[None], seed=1)[0])["1.weight"]
    assert (noisy - quiet).std() == pytest.approx(0.4 * 3.0 * 0.7 / 60, rel=0.05)


def test_finished_models_are_found_again_without_an_accountant(multiplier, monkeypatch):
    rows = np.arange(60).reshape(2, 30)
    first = trainer().fit_many(bits(), rows, seed=1)
    monkeypatch.setattr("mialib.training.private.noise_multiplier", None)
    again = trainer().fit_many(bits(), rows, seed=1)
    for one, other in zip(first, again, strict=True):
        assert_same(one, other, atol=0)
    assert len(list((cache.cache_folder() / "weights").rglob("*.npz"))) == 2


def test_a_training_that_diverges_is_named_and_not_kept(multiplier):
    recipe = Recipe(epochs=3, batch_size=16, lr=1e30, optimizer="sgd", l2=0.01)
    with pytest.raises(FloatingPointError, match=r"model 4: its \S+ is not finite, the training diverged"):
        trainer(recipe).fit_many(bits(), np.arange(60)[None], seed=1, first=4)
    assert not [*cache.cache_folder().rglob("*.npz")]


def test_a_model_in_work_is_lost_and_a_finished_one_is_not(multiplier, monkeypatch):
    train = PrivateTrainer._train

    def third_fails(self, x, y, plan, seed, number, bar, stop):
        if number == 2:
            raise RuntimeError("the third model")
        return train(self, x, y, plan, seed, number, bar, stop)

    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the third model"):
        patch.setattr(PrivateTrainer, "_train", third_fails)
        trainer().fit_many(bits(), np.arange(120).reshape(4, 30), seed=1)
    finished = len([*(cache.cache_folder() / "weights").rglob("*.npz")])
    assert 2 <= finished < 4
    trained = []
    monkeypatch.setattr(PrivateTrainer, "_train", lambda *given: trained.append(given[5]) or train(*given))
    trainer().fit_many(bits(), np.arange(120).reshape(4, 30), seed=1)
    assert len(trained) == 4 - finished


def test_keys_differ_in_all_that_determines_a_model():
    rows = np.arange(60).reshape(2, 30)
    usual = trainer().keys(bits(), rows, 1)
    others = [
        trainer(epsilon=5.0),
        trainer(norm=2.0),
        trainer(replace(RECIPE, lr=0.03)),
        PrivateTrainer(lambda: mlp(12, 3, 8), RECIPE, 4.0, 2e-3, 1.0, "cpu"),
        trainer(make=lambda: mlp(12, 3, 9)),
    ]
    digests = {cache.digest(key) for key in usual + trainer().keys(bits(), rows, 2) + trainer().keys(bits(), rows, 1, first=2)}
    assert len(digests) == 6
    for other in others:
        assert cache.digest(other.keys(bits(), rows, 1)[0]) not in digests
    assert usual == trainer().keys(bits(), rows, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epsilon": 0}, "epsilon must be above 0"),
        ({"norm": 0.0}, "max_grad_norm must be above 0"),
        ({"recipe": replace(RECIPE, patience=2)}, "no patience"),
        ({"recipe": replace(RECIPE, enough=0.1)}, "no enough"),
        ({"recipe": replace(RECIPE, precision="bfloat16")}, "float32 precision, got None, None, bfloat16"),
        ({"make": lambda: mlp(12, 3, dropout=0.5)}, "no dropout, got Dropout"),
        ({"make": lambda: nn.Sequential(Records(), nn.BatchNorm1d(12), nn.Linear(12, 3))}, "no batch normalisation"),
    ],
)
def test_bad_arguments_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        trainer(**change)


def test_a_delta_that_promises_nothing_is_refused():
    with pytest.raises(ValueError, match=r"delta must lie below 1 / n = 0\.001 for 1000 records, got 0\.001"):
        trainer().plan(1000)


def test_without_opacus_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opacus.accountants.utils", None)
    private.noise_multiplier.cache_clear()
    with pytest.raises(ImportError, match=r"install the extra, pip install 'mialib\[private\]'"):
        trainer().fit_many(bits(), np.arange(30)[None], seed=0)


def test_opacus_grants_the_epsilon_that_was_asked_for():
    accountants = pytest.importorskip("opacus.accountants", reason="Opacus, the extra `private`, is not installed")
    logging.getLogger("opacus").setLevel(logging.ERROR)
    for epsilon in (1.0, 4.0, 16.0):
        plan = trainer(epsilon=epsilon).plan(120)
        accountant = accountants.create_accountant(private.ACCOUNTANT)
        accountant.history = [(plan.noise_multiplier, plan.rate, plan.steps)]
        assert 0.9 * epsilon < accountant.get_epsilon(DELTA) <= epsilon * 1.001
        assert plan[:2] == (16 / 120, 23)  # 3 epochs of 7.5 steps


def test_more_privacy_is_more_noise_and_a_worse_model():
    pytest.importorskip("opacus", reason="Opacus, the extra `private`, is not installed")
    data, recipe = bits(600), Recipe(epochs=15, batch_size=100, lr=0.05)
    accuracies = []
    for epsilon in (50.0, 0.1):
        box = PrivateTrainer(lambda: mlp(12, 3, 16), recipe, epsilon, DELTA, 1.0, "cpu").fit_many(
            data, np.arange(500)[None], 0
        )[0]
        accuracies.append((box.predict_proba(data.x[500:]).argmax(1) == data.y[500:]).mean())
    assert accuracies[0] > 0.9
    assert accuracies[1] < 0.75
