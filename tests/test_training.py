"""Trainers: k together equal each alone, whatever the chunk or the order; what is finished is never trained again."""

import importlib
import logging
import random
import re
import sys
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import sklearn
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from mialib import shadow
from mialib.core import cache, randomness
from mialib.core.types import Dataset, answered_right
from mialib.training import networks, sparse
from mialib.training.black_boxes import black_box
from mialib.training.estimators import EstimatorTrainer
from mialib.training.networks import Records, cnn
from mialib.training.neural import NeuralTrainer
from mialib.training.private import PrivateTrainer
from mialib.training.recipe import Recipe, choose_precision
from mialib.training.session import Session
from mialib.training.sparse import SparseBits
from mialib.training.stacked import Stack

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


@pytest.mark.parametrize("ahead", [1, 300, 2**17])
def test_ones_of_batches_are_those_of_the_records_both_by_record_and_by_feature(ahead, monkeypatch):
    monkeypatch.setattr(sparse, "ONES_AHEAD", ahead)
    monkeypatch.setattr(sparse, "BYTES_A_BLOCK", 1000)
    x = sparse_bits().x
    rows = torch.as_tensor(rows_of(sparse_bits(), 3, 45))
    rows[0, 3] = rows[2, 44] = 0  # the empty record
    batches = [*SparseBits(x).batches(rows, 10)]
    assert len(batches) == 5
    for batch, own in zip(batches, rows.split(10, dim=1), strict=True):
        k, b = own.shape
        at = [x[row] for row in own.numpy()]
        by_record = [np.flatnonzero(record) + 150 * j for j in range(k) for record in at[j]]
        by_feature = [np.flatnonzero(at[j][:, feature]) + b * j for j in range(k) for feature in range(150)]
        for found, starts, expected in (
            (batch.features, batch.starts, by_record),
            (batch.records, batch.firsts, by_feature),
        ):
            assert found.dtype == starts.dtype == torch.int32
            np.testing.assert_array_equal(found, np.concatenate(expected))
            np.testing.assert_array_equal(starts, np.cumsum([0, *map(len, expected)])[:-1])


@pytest.mark.parametrize(("k", "threads"), [(1, [3]), (3, [1] * 3), (4, [1, 1, 1, 3]), (5, [1] * 5)])
def test_cnns_of_the_last_round_share_the_cores(k, threads, monkeypatch):
    used, run = {}, Session.run

    def counted(self, bar, stop, names):
        used[names[0]] = torch.get_num_threads()
        return run(self, bar, stop, names)

    monkeypatch.setattr(Session, "run", counted)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        NeuralTrainer(small_cnn, Recipe(1, 8, 1e-3), "cpu").fit_many(images(), rows_of(images(), k, 16), seed=0)
    finally:
        torch.set_num_threads(before)
    assert [used[j] for j in range(k)] == threads


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


MODULE = """
import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from torch import nn

from brought_steps import FACTOR

class Twisted(TransformerMixin, BaseEstimator):
    def __init__(self, columns=None):
        self.columns = columns
    def fit(self, x, y):
        return self
    def transform(self, x):
        return x * 1.0

class Net(nn.Module):
    def __init__(self, slope=1.0, held=None, pretrained=None, shift=0.0):
        super().__init__()
        self.layer = nn.Linear(20, 4)
        self.inner = Inner(slope)
        self.held = held
        self.register_buffer("shift", torch.full((4,), shift))
        if pretrained is not None:
            nn.init.constant_(self.layer.weight, pretrained)
    def forward(self, x):
        return self.inner(self.layer(x.float())) + self.shift

class Inner(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope
    def forward(self, x):
        return x * self.slope * 1.0
"""


@pytest.fixture
def brought(tmp_path, monkeypatch):
    """Import a module of a user's, after an edit of its text."""
    monkeypatch.syspath_prepend(tmp_path / "brought")
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / "brought_steps.py").write_text("FACTOR = 1")

    def load(old="", new="", file="brought_models"):
        (tmp_path / "brought" / "brought_models.py").write_text(MODULE)
        path = tmp_path / "brought" / f"{file}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        for name in ("brought_models", "brought_steps"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("brought_models")

    yield load
    for name in ("brought_models", "brought_steps"):
        sys.modules.pop(name, None)


def key_of(trainer, first=0):
    (key,) = trainer.keys(bits(), rows_of(bits(), 1, 45), 0, first)
    return cache.digest(key)


def pipeline(module, columns=None):
    return EstimatorTrainer(make_pipeline(module.Twisted(columns), DecisionTreeClassifier()))


ONCE = [("return x * 1.0", "return x * 0.0"), ("FACTOR = 1", "FACTOR = 2", "brought_steps")]


@pytest.mark.parametrize("edit", ONCE)
def test_an_edit_of_a_transformer_inside_a_pipeline_trains_again(edit, brought):
    before = key_of(pipeline(brought()))
    assert key_of(pipeline(brought())) == before
    assert key_of(pipeline(brought(*edit))) != before


def test_an_edited_transformer_is_used_and_not_what_was_kept_before(brought):
    dataset, splits = bits(), shadow.sample_splits(np.arange(200), 40, 1, seed=0)

    def members_right(module):
        return answered_right(shadow.shadow_attack_data(pipeline(module), dataset, splits, seed=0))[:40].mean()

    assert members_right(brought()) > 0.95
    assert members_right(brought("return x * 1.0", "return x * 0.0")) < 0.6


@pytest.mark.parametrize(
    "change",
    [
        {"estimator": DecisionTreeClassifier(max_depth=3)},
        {"estimator": make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=2))},
        {"estimator": make_pipeline(StandardScaler(with_mean=False), DecisionTreeClassifier())},
        {"estimator": BaggingClassifier(DecisionTreeClassifier(), n_estimators=3)},
        {"estimator": BaggingClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=3)},
        {"estimator": GaussianNB(priors=np.array([0.1, 0.2, 0.3, 0.4]))},
        {"estimator": GaussianNB(priors=np.array([0.2, 0.1, 0.3, 0.4]))},
        {"estimator": CalibratedClassifierCV(GaussianNB(), cv=StratifiedKFold(3))},
        {"estimator": CalibratedClassifierCV(GaussianNB(), cv=StratifiedKFold(4))},
        {"estimator": make_pipeline(FunctionTransformer(np.sqrt), GaussianNB())},
        {"estimator": make_pipeline(FunctionTransformer(np.exp), GaussianNB())},
        {"estimator": make_pipeline(FunctionTransformer(lambda x: 2 * x), GaussianNB())},
        {"estimator": make_pipeline(FunctionTransformer(lambda x: 3 * x), GaussianNB())},
        {"estimator": CalibratedClassifierCV(FrozenEstimator(GaussianNB().fit(bits().x, bits().y)))},
        {"estimator": CalibratedClassifierCV(FrozenEstimator(GaussianNB().fit(bits().x + 1, bits().y)))},
    ],
    ids=range(15),
)
def test_whatever_an_estimator_is_made_of_is_in_its_key(change, monkeypatch):
    usual = make_pipeline(StandardScaler(), DecisionTreeClassifier())
    trainer = EstimatorTrainer(change["estimator"])
    key = key_of(trainer)
    assert key == key_of(EstimatorTrainer(sklearn.base.clone(change["estimator"]))) and key != key_of(EstimatorTrainer(usual))
    assert KEYS.setdefault(key, id(change)) == id(change), "two estimators have the same key"
    assert cache.NOT_KEPT not in str(trainer.keys(bits(), rows_of(bits(), 1, 45), 0))
    monkeypatch.setattr(sklearn, "__version__", "0.1")
    assert key_of(trainer) != key


KEYS = {}


def normed():
    return nn.Sequential(Records(), nn.BatchNorm1d(20), nn.Linear(20, 4))


def test_a_random_state_is_set_and_not_part_of_the_key():
    assert key_of(EstimatorTrainer(DecisionTreeClassifier(random_state=1))) == key_of(
        EstimatorTrainer(DecisionTreeClassifier())
    )


NETS = {
    "an attribute of a nested module": {"slope": 2.0},
    "an array": {"held": np.arange(3)},
    "another array": {"held": np.arange(3) + 1},
    "a dictionary": {"held": {"a": [1, 2.5, None], 3: {"x", "y"}}},
    "a function": {"held": torch.relu},
    "a torch type": {"held": torch.float64},
    "an object": {"held": StratifiedKFold(3)},
    "another object": {"held": StratifiedKFold(4)},
    "pretrained weights": {"pretrained": 0.5},
    "other pretrained weights": {"pretrained": 0.25},
    "a buffer": {"shift": 1.0},
}


@pytest.mark.parametrize("name", NETS)
def test_a_module_s_whole_state_is_in_its_key(name, brought):
    module = brought()
    key = key_of(NeuralTrainer(lambda: module.Net(**NETS[name]), RECIPE, "cpu"))
    assert key == key_of(NeuralTrainer(lambda: brought().Net(**NETS[name]), RECIPE, "cpu"))
    others = [{}, *(setting for other, setting in NETS.items() if other != name)]
    assert all(key_of(NeuralTrainer(lambda s=s: module.Net(**s), RECIPE, "cpu")) != key for s in others)


@pytest.mark.parametrize("edit", [("self.slope * 1.0", "self.slope * 2.0"), ONCE[1]])
def test_an_edit_of_a_module_s_source_trains_again(edit, brought):
    before = key_of(NeuralTrainer(brought().Net, RECIPE, "cpu"))
    assert key_of(NeuralTrainer(brought(*edit).Net, RECIPE, "cpu")) != before


def test_pretrained_weights_count_in_networks_that_can_be_stacked():
    def pretrained(value):
        module = mlp()
        nn.init.constant_(module[1].weight, value)
        return module

    keys = {key_of(NeuralTrainer(make, RECIPE, "cpu")) for make in (mlp, lambda: pretrained(0.5), lambda: pretrained(0.25))}
    assert len(keys) == 3


def test_hooks_are_part_of_a_module():
    def hooked():
        module = mlp()
        module[1].register_forward_hook(lambda _, __, out: 2 * out)
        return module

    assert key_of(NeuralTrainer(hooked, RECIPE, "cpu")) != key_of(NeuralTrainer(mlp, RECIPE, "cpu"))


def test_torch_s_version_is_part_of_the_key_of_what_a_user_brings(brought, monkeypatch):
    net, plain = NeuralTrainer(brought().Net, RECIPE, "cpu"), NeuralTrainer(mlp, RECIPE, "cpu")
    before = key_of(net), key_of(plain)
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert key_of(net) != before[0] and key_of(plain) == before[1]


def in_no_file():
    """A class as one that is typed in an interactive session: there is no source of it."""
    space = {"__name__": "typed_in_no_file", "nn": nn}
    exec("class Typed(nn.Linear):\n    def forward(self, x):\n        return super().forward(x.float())", space)
    sys.modules["typed_in_no_file"] = type(sys)("typed_in_no_file")
    return space["Typed"]


UNTOLD = {
    "typed_in_no_file has no source": lambda net: in_no_file()(20, 4),
    r"Net.held: no key can hold a value of type lock": lambda net: net(held=threading.Lock()),
    "Net.held: no key can hold a value of type Random": lambda net: net(held=random.Random(1)),
    "Net.held: no key can hold a value of type list_iterator": lambda net: net(held=[1, {"a": iter([2])}]),
}


@pytest.mark.parametrize("words", UNTOLD)
def test_what_no_key_can_hold_is_trained_each_time_and_that_is_said_once(words, brought, monkeypatch, caplog):
    net = brought().Net
    trainer = NeuralTrainer(lambda: UNTOLD[words](net), RECIPE, "cpu")
    splits = shadow.sample_splits(np.arange(200), 40, 2, seed=0)
    trained = count_epochs(monkeypatch)
    for _ in range(2):
        shadow.shadow_attack_data(trainer, bits(), splits, seed=0)
        assert shadow.count_missing(trainer, bits(), splits, seed=0) == 2
    sys.modules.pop("typed_in_no_file", None)
    assert sum(trained) == 4 * RECIPE.epochs and not [*cache.cache_folder().rglob("*.npz")]
    assert len([r for r in caplog.records if re.search(f"{words}.*not kept on disk", r.getMessage())]) == 1


def test_an_estimator_that_no_key_can_hold_is_trained_each_time(caplog):
    trainer = EstimatorTrainer(make_pipeline(FunctionTransformer(np.multiply, kw_args={"x2": random.Random(1)}), GaussianNB()))
    (key,) = trainer.keys(bits(), np.arange(20)[None], 0)
    assert "no key can hold a value of type Random" in str(key)
    cache.save("answers", {"model": key}, {"answers": np.zeros((2, 4))})
    assert "no key can hold a value of type Random" in caplog.text and not [*cache.cache_folder().rglob("*.npz")]


@pytest.mark.parametrize(
    ("make_data", "make_model"),
    [(bits, mlp), (bits, lambda: nn.Sequential(Records(), nn.BatchNorm1d(20), nn.Linear(20, 4))), (images, small_cnn)],
)
def test_a_training_that_diverges_is_named_and_not_kept(make_data, make_model):
    dataset = make_data()
    with pytest.raises(FloatingPointError, match=r"model [78]: its \S+ is not finite.* is the rate 1e\+30 too high\?"):
        NeuralTrainer(make_model, Recipe(3, 16, 1e30, l2=1e-3), "cpu").fit_many(
            dataset, rows_of(dataset, 2, 45), seed=0, first=7
        )
    assert not [*cache.cache_folder().rglob("*.npz")]


def test_weights_that_are_not_finite_are_named_too(monkeypatch):
    state = Stack.state

    def spoiled(self, j):
        return {name: value / (0 if name == "3.bias" else 1) for name, value in state(self, j).items()}

    monkeypatch.setattr(Stack, "state", spoiled)
    with pytest.raises(FloatingPointError, match=r"model 2: its 3\.bias is not finite"):
        NeuralTrainer(mlp, RECIPE, "cpu").fit_many(bits(), rows_of(bits(), 1, 45), seed=0, first=2)
    assert not [*cache.cache_folder().rglob("*.npz")]


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


@pytest.mark.parametrize("make_model", [mlp, small_cnn, Doubling])
def test_enough_stops_each_network_by_itself(make_model, monkeypatch, tmp_path):
    dataset = images() if make_model is small_cnn else bits()
    rows = rows_of(dataset, 4, 24)
    recipe = Recipe(60, 8, 5e-3, enough=0.3)
    trained = count_epochs(monkeypatch)
    monkeypatch.setattr(NeuralTrainer, "_chunk_seconds", lambda *_: 1e-9)
    together = NeuralTrainer(make_model, recipe, "cpu").fit_many(dataset, rows, seed=0)
    assert sum(trained) < 4 * 60
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "alone"))
    for j, model in enumerate(together):
        (alone,) = NeuralTrainer(make_model, recipe, "cpu").fit_many(dataset, rows[j : j + 1], seed=0, first=j)
        assert_same([model], [alone], tolerance=2e-3)


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


@pytest.mark.parametrize("kind", [NeuralTrainer, partial(PrivateTrainer, epsilon=1.0, delta=1e-3)])
@pytest.mark.parametrize(
    ("make_model", "device", "error", "words"),
    [
        (mlp, "cuda:99", ValueError, r"device must be one of auto, cpu.*, got 'cuda:99'"),
        (mlp, "gpu", ValueError, "device must be one of auto, cpu.*, got 'gpu'"),
        (mlp, "meta", ValueError, "device must be one of auto, cpu.*, got 'meta'"),
        (mlp, 3.5, ValueError, "device must be one of auto, cpu.*, got 3.5"),
        (mlp(), "cpu", TypeError, "make_model must be a function that makes a new module, got a module, Sequential"),
        (None, "cpu", TypeError, "make_model must be a function that makes a new module, got None"),
        (lambda: None, "cpu", TypeError, "make_model must return a torch.nn.Module, got None"),
        (lambda: mlp, "cpu", TypeError, "make_model must return a torch.nn.Module, got <function mlp"),
    ],
)
def test_a_trainer_names_what_is_wrong(kind, make_model, device, error, words):
    with pytest.raises(error, match=words):
        kind(make_model, Recipe(1, 10, 1e-2), device=device)


@pytest.mark.parametrize("kind", [NeuralTrainer, partial(PrivateTrainer, epsilon=1.0, delta=1e-3)])
@pytest.mark.parametrize(
    ("make_model", "words"),
    [
        (lambda: networks.mlp(20, 3), r"make_model must answer \(n, 4\) logits for bits, got shape \(2, 3\)"),
        (lambda: networks.mlp(19, 4), r"make_model must answer .*cannot take records torch.uint8 \(2, 20\): .*mat1 and mat2"),
        (lambda: nn.Sequential(nn.Linear(20, 4)), "make_model must answer .*cannot take records torch.uint8"),
        (lambda: nn.Sequential(Records(), nn.LSTM(20, 4)), r"make_model must answer .*, got shape \(tensor"),
    ],
)
def test_a_module_that_does_not_fit_the_data_is_named(kind, make_model, words):
    trainer = kind(make_model, Recipe(1, 10, 1e-2), device="cpu")
    with pytest.raises(ValueError, match=words):
        trainer.fit_many(bits(), np.arange(20)[None], seed=0)
    if isinstance(trainer, NeuralTrainer):
        with pytest.raises(ValueError, match=words):
            trainer.estimate(bits(), 20, 1)


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
        ("enough", 0.0, ValueError),
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
    with pytest.raises(TypeError, match="got the class DecisionTreeClassifier: write DecisionTreeClassifier"):
        EstimatorTrainer(DecisionTreeClassifier)
    with pytest.raises(TypeError, match="fit, predict_proba and get_params, got LinearRegression without predict_proba"):
        EstimatorTrainer(LinearRegression())


def test_a_classifier_without_probabilities_answers_its_label():
    dataset = images()
    rows = np.flatnonzero(dataset.y != 1)[None, :20]
    answers = EstimatorTrainer(LinearSVC()).fit_many(dataset, rows, seed=0)[0].predict_proba(dataset.x)
    alone = LinearSVC(random_state=0).fit(dataset.x[rows[0]].reshape(20, -1), dataset.y[rows[0]])
    np.testing.assert_array_equal(answers.argmax(1), alone.predict(dataset.x.reshape(60, -1)))
    assert set(np.unique(answers)) == {0, 1} and (answers.sum(1) == 1).all()


@pytest.mark.parametrize("value", [nn.Linear, None, DecisionTreeClassifier(), lambda x: x])
def test_a_black_box_is_made_of_a_module(value):
    with pytest.raises(TypeError, match=r"module must be a torch.nn.Module, got .*(Linear|None|Tree|lambda)"):
        black_box(value)


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


def test_auto_precision_is_bfloat16_only_where_the_machine_has_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda has=has: has)
        assert choose_precision() == choose_precision("auto") == precision
        assert choose_precision("float32") == "float32" and choose_precision("bfloat16") == "bfloat16"
    with pytest.raises(ValueError, match="asked must be one of auto, float32, bfloat16, got 'half'"):
        choose_precision("half")
