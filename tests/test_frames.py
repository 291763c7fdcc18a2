"""Records as their owner has them: tables, labels of any kind; encoded for who needs numbers, given to models as they are."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from mialib.core import cache, frames, randomness
from mialib.core.types import Dataset, Split
from mialib.shadow import query, sample_halves, stock
from mialib.training import EstimatorTrainer, FunctionTrainer, NeuralTrainer, Recipe, mlp


def images(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return Dataset("images", rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8), rng.integers(0, 3, n), 3, "own")


def people(n=80, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "town": rng.choice(["Bern", "Uri"], n),
            "pay": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
        }
    )
    frame["income"] = np.where((frame["age"] > 50) ^ (frame["town"] == "Uri"), "high", "low")
    return frame


def pipeline():
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["town"]), (SimpleImputer(), ["pay", "age"]), remainder="drop"
    )
    return make_pipeline(columns, DecisionTreeClassifier(max_depth=4))


def test_estimators_learn_and_answer_tables_and_labels_as_their_owner_has_them():
    frame = people()
    dataset = Dataset.from_frame(frame, label="income")
    assert dataset.classes == ["high", "low"] and dataset.x.shape == (80, 1 + 3 + 1)
    rows = np.arange(60)[None]
    weighted = pipeline().set_params(decisiontreeclassifier__class_weight={"high": 2, "low": 1})
    model = EstimatorTrainer(weighted).fit_many(dataset, rows, seed=0)[0]
    seed = randomness.derive(0, "estimator", 0) % 2**32
    alone = clone(weighted).set_params(decisiontreeclassifier__random_state=seed)
    alone.fit(frame.drop(columns="income")[:60], frame["income"][:60])
    split = Split(np.arange(20), np.arange(60, 80))
    answers = query(model, dataset, split)
    expected = alone.predict_proba(frame.drop(columns="income").iloc[split.rows])
    np.testing.assert_allclose(answers.predictions, expected, atol=1e-6)
    np.testing.assert_allclose(query(alone, dataset, split).predictions, expected, atol=1e-6)


def test_networks_answer_the_rows_of_a_table_by_its_encoding():
    dataset = Dataset.from_frame(people(), label="income")
    trainer = NeuralTrainer(partial(mlp, 5, 2, 8), Recipe(epochs=2, batch_size=20, lr=1e-2))
    model = trainer.fit_many(dataset, np.arange(40)[None], seed=0)[0]
    np.testing.assert_array_equal(model.predict_proba(dataset.frame), model.predict_proba(dataset.x))
    np.testing.assert_array_equal(model.predict_log_proba(dataset.records(slice(3))), model.predict_log_proba(dataset.x[:3]))


def fit_tree(x, y, seed):
    return DecisionTreeClassifier(random_state=seed, max_features=1).fit(pd.get_dummies(x[["age", "town"]]), y)


class Dummies:
    def __init__(self, tree):
        self.tree, self.classes_ = tree, tree.classes_

    def predict_proba(self, x):
        return self.tree.predict_proba(pd.get_dummies(x[["age", "town"]]))


def test_a_function_of_the_users_trains_models_by_seed_and_number():
    dataset = Dataset.from_frame(people(), label="income")
    trainer = FunctionTrainer(lambda x, y, seed: Dummies(fit_tree(x, y, seed)))
    rows = np.arange(40)[None].repeat(3, 0)
    together = [model.predict_proba(dataset.frame) for model in trainer.fit_many(dataset, rows, seed=0)]
    alone = trainer.fit_many(dataset, rows[:1], seed=0, first=2)[0].predict_proba(dataset.frame)
    np.testing.assert_array_equal(together[2], alone)
    tree = fit_tree(dataset.frame[:40], dataset.labels(slice(40)), randomness.derive(0, "function", 1) % 2**32)
    np.testing.assert_allclose(together[1], Dummies(tree).predict_proba(dataset.frame), atol=1e-6)


def fit_module(x, y, seed, last=None):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(x[0].size, 3), *([] if last is None else [last]))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(torch.as_tensor(x).float()), torch.as_tensor(y)).backward()
        optimizer.step()
    return module


def test_a_function_may_return_a_torch_module_of_logits_or_probabilities():
    dataset = images()
    rows = np.arange(30)[None].repeat(2, 0)
    logits = FunctionTrainer(fit_module).fit_many(dataset, rows, seed=0)
    softmax = FunctionTrainer(partial(fit_module, last=nn.Softmax(1)), outputs="probabilities").fit_many(dataset, rows, seed=0)
    for model in logits + softmax:
        np.testing.assert_allclose(model.predict_proba(dataset.x).sum(1), 1, atol=1e-5)
    wrong = FunctionTrainer(partial(fit_module, last=nn.Softmax(1))).fit_many(dataset, rows[:1], seed=0)[0]
    with pytest.raises(ValueError, match="outputs='probabilities'"):
        wrong.predict_proba(dataset.x)
    wrong = FunctionTrainer(fit_module, outputs="probabilities").fit_many(dataset, rows[:1], seed=0)[0]
    with pytest.raises(ValueError, match=r"module must return probabilities, .* say outputs='logits'"):
        wrong.predict_proba(dataset.x)


def test_a_function_that_trains_nothing_is_named():
    dataset = images()
    with pytest.raises(TypeError, match=r"fit must be a function of \(x, y, seed\)"):
        FunctionTrainer(3)
    with pytest.raises(ValueError, match="n_jobs must be -1, for all cores, or at least 1, got 0"):
        FunctionTrainer(fit_module, n_jobs=0)
    with pytest.raises(ValueError, match="outputs must be one of logits, probabilities, got 'odds'"):
        FunctionTrainer(fit_module, outputs="odds")
    with pytest.raises(TypeError, match="fit must return a model with predict_proba, or a torch module, got 7"):
        FunctionTrainer(lambda x, y, seed: 7).fit_many(dataset, np.arange(9)[None], seed=0)


def test_an_encoder_keeps_what_it_was_fitted_on():
    frame = pd.DataFrame({"n": [1.0, 3.0, np.nan, 5.0], "b": [True, False, True, True], "c": ["x", "y", "x", None]})
    encoder = frames.Encoder.of(frame)
    x = encoder.encode(frame)
    assert x.dtype == np.float32
    deviation = np.std([1, 3, 5])
    np.testing.assert_allclose(x[:, 0], np.array([-2, 0, 0, 2]) / deviation, rtol=1e-6)
    np.testing.assert_array_equal(x[:, 1:4], [[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]])  # True, False, others
    np.testing.assert_array_equal(x[:, 4:].sum(1), 1)
    np.testing.assert_array_equal(x[3, 4:], x[3, 4:] > 0)
    fresh = encoder.encode(pd.DataFrame({"c": ["z"], "b": [False], "n": [np.inf]}))
    np.testing.assert_array_equal(fresh, [[0, 0, 1, 0, 0, 0, 0, 1]])
    assert encoder.kinds(x)[1] == ("category", "b") and encoder.kinds(x)[0][0] == "real"
    with pytest.raises(ValueError, match="frame must have the columns that were encoded, got none named c"):
        encoder.encode(frame[["n", "b"]])


def test_of_many_values_the_rare_share_a_column():
    frame = pd.DataFrame({"name": [f"v{i % 150}" for i in range(300)] + ["v7"] * 5})
    x = frames.Encoder.of(frame).encode(frame)
    assert x.shape == (305, frames.MOST_VALUES + 1)
    np.testing.assert_array_equal(x.sum(1), 1)
    assert x[:, -1].sum() == 2 * 50


def test_labels_of_one_kind_become_classes_in_their_order():
    y, classes = frames.coded(pd.Series(["no", "yes", "no"]))
    assert classes == ["no", "yes"] and y.tolist() == [0, 1, 0] and y.dtype == np.int64
    with pytest.raises(ValueError, match="labels must be of one kind, got int, str"):
        frames.coded(["no", 1])
    with pytest.raises(ValueError, match="labels must be known, got 1 that are not"):
        frames.coded(np.array([0.0, np.nan]))


def test_some_of_a_table_is_some_of_all_its_parts():
    dataset = Dataset.from_frame(people(), label="income")
    some = dataset[np.array([5, 3])]
    pd.testing.assert_frame_equal(some.frame, dataset.frame.iloc[[5, 3]])
    np.testing.assert_array_equal(some.x, dataset.x[[5, 3]])
    assert some.labels().tolist() == people()["income"][[5, 3]].tolist()


@pytest.mark.parametrize("column, value", [("age", 99), ("town", "Zug"), ("pay", 2.0)])
def test_a_digest_sees_every_value_of_a_table(column, value):
    frame = people()
    changed = frame.astype({"town": object}).copy()
    assert Dataset.from_frame(frame, "income").digest() == Dataset.from_frame(frame.copy(), "income").digest()
    changed.loc[7, column] = value
    assert Dataset.from_frame(frame, "income").digest() != Dataset.from_frame(changed, "income").digest()
    array = np.array([["a", 1], ["b", 2]], object)
    assert frames.digest_of(array) != frames.digest_of(array[::-1])


def test_a_stock_of_clones_is_asked_about_the_table():
    dataset = Dataset.from_frame(people(), label="income")
    references = stock(EstimatorTrainer(pipeline()), dataset, sample_halves(80, 4, seed=0), seed=0)
    assert references.signal.shape == (4, 80)
    assert references.right[references.member].mean() > references.right[~references.member].mean() - 0.2


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: Dataset.from_frame(people(), "pay?"), ValueError, "label must be a column of the table, which has age"),
        (lambda: Dataset.from_frame(np.zeros((3, 3)), "y"), ValueError, "label must be a column of the table, which has none"),
        (
            lambda: Dataset.from_frame(pd.concat([people(), people()[["age"]]], axis=1), "income"),
            ValueError,
            "differently named columns, got age more than once",
        ),
        (lambda: Dataset.from_frame(people()[["income"]], "income"), ValueError, "at least one column beside the label"),
        (
            lambda: Dataset("d", np.zeros((3, 2), np.uint8), np.arange(3), 3, "own", frame=[1, 2, 3]),
            TypeError,
            "dataset.frame must be a pandas table or an array, got a list",
        ),
        (
            lambda: Dataset("d", np.zeros((3, 2), np.uint8), np.arange(3), 3, "own", frame=people()),
            ValueError,
            "dataset.frame must have a row a record, 3, got 80",
        ),
    ],
)
def test_bad_tables_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_what_is_kept_in_another_folder_is_found_there_alone(tmp_path):
    with cache.kept_in(tmp_path / "private"):
        cache.save("answers", {"a": 1}, {"x": np.arange(3)})
        assert cache.load("answers", {"a": 1})["x"].tolist() == [0, 1, 2]
    assert cache.load("answers", {"a": 1}) is None
    assert len([*(tmp_path / "private").rglob("*.npz")]) == 1
