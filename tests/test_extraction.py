"""Copies of models: equations solved exactly, answers learned, queries counted; and what copies tell of members."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from torch import nn

from mialib import mitigations, plots, study
from mialib.attack import extraction
from mialib.attack.extraction import SoftmaxRegression, extract, fit_softmax_regression, solve_softmax_regression
from mialib.core.randomness import derive
from mialib.core.types import Dataset
from mialib.study import bridge
from mialib.study.extraction import OF_EQUATIONS, OF_EXTRACTION, copy_of, equation_table, extraction_table, heard_by
from mialib.study.extraction import _synthesised as synthesised
from mialib.study.shadow_data import targets
from mialib.training import NeuralTrainer, Recipe, mlp
from mialib.training.soft import SoftTrainer

D, C = 12, 4


class Counted:
    """A model that counts the rows it is asked, and keeps them."""

    def __init__(self, model, answer=lambda p: p):
        self.model, self.answer, self.asked = model, answer, []

    def predict_proba(self, x):
        self.asked.append(x)
        return self.answer(self.model.predict_proba(x))

    @property
    def queries(self):
        return sum(map(len, self.asked))


def regression(scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return SoftmaxRegression(scale * rng.normal(size=(C, D)), rng.normal(size=C), 0)


def bits(n, d=D, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, d), np.uint8)


def learnable(n=400, d=D, seed=0):
    """Records of bits whose classes are a softmax regression's, now and then another."""
    x, rng = bits(n, d, seed), np.random.default_rng(seed + 1)
    y = (x[:, :2] @ [1, 2]).astype(np.int64)
    return Dataset("made", x, np.where(rng.random(n) < 0.2, rng.integers(0, C, n), y), C, "standin")


# Equation solving


def test_the_weights_are_solved_for_from_as_many_queries_as_unknowns_take():
    true, model = regression(), Counted(regression())
    found = solve_softmax_regression(model, D, C)
    np.testing.assert_allclose(found.weights, true.weights - true.weights.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.bias, true.bias - true.bias.mean(), atol=1e-5)
    assert found.queries == model.queries == D + 1
    asked = np.concatenate(model.asked)
    assert asked.dtype == np.uint8 and sorted(asked.sum(1)) == [0] + D * [1]
    np.testing.assert_allclose(found.predict_proba(bits(50)), true.predict_proba(bits(50)), atol=1e-5)


def test_what_is_added_to_all_classes_alike_changes_nothing():
    model = regression()
    moved = SoftmaxRegression(model.weights + np.arange(D), model.bias + 3, 0)
    one, other = (solve_softmax_regression(m, D, C) for m in (model, moved))
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (
            SoftmaxRegression(np.eye(C, D) * 200, regression().bias, 0),
            (D, C),
            "float32 holds in full.*feature 0: it underflows",
        ),
        (SoftmaxRegression(np.zeros((C, D)), np.arange(C) * 99.0, 0), (D, C), "for the record of zeros: it underflows"),
        (Counted(regression(), lambda p: mitigations.round_to(p, 3)), (D, C), "unrounded probabilities, got 3 digits"),
        (Counted(regression(), mitigations.label_only), (D, C), "got 0 digits: see fit_softmax_regression"),
        (Counted(regression(), lambda p: 2 * p), (D, C), "probabilities"),
        (Counted(regression(), lambda p: p * np.nan), (D, C), "finite"),
        (regression(), (D + 1, C), r"n_features must be as the model takes records, got records of shape \(13,\)"),
        (regression(), (D, C + 1), r"n_classes must be the columns of an answer: model answered \(13, 4\), got 5"),
        (regression(), (0, C), "n_features must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_solved_for_is_refused_by_name(model, size, message):
    with pytest.raises(ValueError, match=message):
        solve_softmax_regression(model, *size)


def test_a_model_without_answers_is_refused():
    with pytest.raises(TypeError, match="model must have predict_proba, got a int"):
        solve_softmax_regression(3, D, C)


def test_rounding_is_seen_only_where_it_is():
    p = regression().predict_proba(bits(20))
    assert extraction.rounded_digits(p) is None
    assert [extraction.rounded_digits(mitigations.round_to(p, k)) for k in (1, 3, 5)] == [1, 3, 5]
    assert extraction.rounded_digits(mitigations.label_only(p)) == 0
    assert extraction.rounded_digits(np.array([[1 - 1e-12, 1e-12]])) is None


def test_more_queries_stand_in_for_digits():
    true, x = regression(0.5), bits(3000)
    p = true.predict_proba(x)
    exact, rounded, few = (fit_softmax_regression(x[:n], a[:n]) for n, a in ((3000, p), (3000, p.round(2)), (60, p.round(2))))
    errors = [np.abs(found.weights - (true.weights - true.weights.mean(0))).max() for found in (exact, rounded, few)]
    assert errors[0] < 1e-4 and errors[1] < 0.02 and errors[1] < errors[2] / 2
    assert (exact.queries, few.queries) == (3000, 60)


def test_a_row_that_was_rounded_to_nothing_was_asked_but_tells_nothing(caplog):
    x, p = bits(200), regression(0.5).predict_proba(bits(200))
    p[7] = 0
    found, without = fit_softmax_regression(x, p), fit_softmax_regression(np.delete(x, 7, 0), np.delete(p, 7, 0))
    np.testing.assert_allclose(found.weights, without.weights, atol=1e-6)
    assert found.queries == 200
    fit_softmax_regression(x, p, iterations=2)
    assert "did not settle in 2 iterations" in caplog.text
    with pytest.raises(ValueError, match="a row that is not all 0"):
        fit_softmax_regression(x, 0 * p)
    with pytest.raises(ValueError, match=r"in \[0, 1\], a row for each of 200 records"):
        fit_softmax_regression(x, p[1:])


def test_the_surrogate_of_amazon_is_solved_for_within_a_thousandth():
    e = study.Experiment(learnable(), study.AmazonML(l2=10.0), "amazon surrogate", 100, 2, 0, 3)
    table = equation_table(e, digits=2, n_queries=500)
    assert list(table) == OF_EQUATIONS
    assert table["target"].tolist() == ["amazon surrogate, 0"] * 2 + ["amazon surrogate, 1"] * 2
    exact, rounded = (table[table["answers"] == answers] for answers in ("as they are", "2 digits"))
    assert (exact["worst_error"] < 1e-3).all() and (exact["agreement"] == 1).all()
    assert (exact["n_queries"] == D + 1).all() and (rounded["n_queries"] == 500).all()
    assert (table["n_unknowns"] == (C - 1) * (D + 1)).all()
    assert (rounded["worst_error"] > exact["worst_error"].max()).all()


@pytest.mark.parametrize(
    ("asked", "message"), [({"digits": 0}, "digits must be between 1 and 15"), ({"n_queries": 0}, "n_queries must")]
)
def test_rounded_answers_are_asked_for_in_numbers_that_can_be(asked, message, monkeypatch):
    monkeypatch.setattr(study.AmazonML, "fit_many", None)
    with pytest.raises(ValueError, match=message):
        equation_table(study.Experiment(learnable(), study.AmazonML(), "amazon", 50, 1, 0, 3), **asked)


def test_a_target_that_is_no_regression_has_no_weights_to_compare():
    e = study.Experiment(learnable(), network(), "local", 50, 1, 0, 3)
    with pytest.raises(TypeError, match="targets that are softmax regressions"):
        equation_table(e)


# Learning answers


def network(epochs=20, lr=0.01):
    return NeuralTrainer(lambda: mlp(D, C, 16), Recipe(epochs, 25, lr), "cpu")


def soft(answers, make_model=lambda: mlp(D, C, 16), recipe=None, **more):
    return SoftTrainer(make_model, recipe or Recipe(20, 25, 0.01), answers, "cpu", **more)


class Own(nn.Module):
    """No plain sequence: trained alone."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(D, C)

    def forward(self, x):
        return self.linear(x.float())


@pytest.mark.parametrize("make_model", [lambda: mlp(D, C, 16), Own])
def test_vectors_of_one_1_are_learned_as_labels(make_model):
    data, rows, recipe = learnable(), np.arange(200).reshape(2, 100), Recipe(5, 25, 0.01, l2=1e-3)
    labels = NeuralTrainer(make_model, recipe, "cpu").fit_many(data, rows, 1)
    vectors = soft(np.eye(C)[data.y], make_model, recipe).fit_many(data, rows, 1)
    for one, other in zip(labels, vectors, strict=True):
        np.testing.assert_allclose(one.predict_proba(data.x), other.predict_proba(data.x), atol=1e-5)


def test_a_vector_is_learned_whole():
    x, vector = np.zeros((50, D), np.uint8), np.array([0.5, 0.3, 0.15, 0.05])
    data = Dataset("one record", x, np.zeros(50, np.int64), C, "own")
    model = soft(np.tile(vector, (50, 1)), recipe=Recipe(150, 50, 0.02)).fit_many(data, np.arange(50)[None], 0)[0]
    np.testing.assert_allclose(model.predict_proba(x[:1])[0], vector, atol=2e-3)


def test_a_copy_is_the_same_alone_and_among_others_and_another_for_other_answers():
    data, rows = learnable(), np.arange(120).reshape(3, 40)
    p = regression().predict_proba(data.x)
    trainer = soft(p)
    together = trainer.fit_many(data, rows, 5)
    alone = soft(p, chunk=1).fit_many(data, rows[1:2], 5, 1)[0]
    np.testing.assert_allclose(together[1].predict_proba(data.x), alone.predict_proba(data.x), atol=1e-5)
    assert trainer.keys(data, rows, 5)[1] == soft(p.copy()).keys(data, rows[1:2], 5, 1)[0]
    assert trainer.keys(data, rows, 5)[0] != soft(p[:, ::-1]).keys(data, rows, 5)[0]


def test_a_copy_that_is_kept_is_not_trained_again(monkeypatch):
    data, rows = learnable(), np.arange(40)[None]
    p = regression().predict_proba(data.x)
    first = soft(p).fit_many(data, rows, 5)[0]
    monkeypatch.setattr(SoftTrainer, "_session", None)
    again = soft(p).fit_many(data, rows, 5)[0]
    np.testing.assert_array_equal(first.predict_proba(data.x), again.predict_proba(data.x))
    with pytest.raises(TypeError):
        soft(p[:, ::-1]).fit_many(data, rows, 5)


def test_answers_that_cannot_be_learned_are_refused_by_name():
    data, p = learnable(), regression().predict_proba(bits(399))
    with pytest.raises(ValueError, match=r"answers must have shape \(400, 4\), for made, got \(399, 4\)"):
        soft(p).fit_many(data, np.arange(9)[None], 0)
    with pytest.raises(ValueError, match="sum to one"):
        soft(p / 2)
    with pytest.raises(TypeError, match=r"answers must be floats of shape \(n_records, n_classes\), got float32 of shape"):
        soft(p[0])


# Copies


def test_a_copy_costs_its_budget_and_no_query_more():
    model, x = Counted(regression(3.0)), bits(1500)
    copy = extract(model, x, C, lambda: mlp(D, C, 32), Recipe(40, 50, 0.01), budget=1000)
    assert model.queries == 1000
    np.testing.assert_array_equal(np.concatenate(model.asked), x[:1000])
    fresh = bits(500, seed=9)
    same = copy.predict_proba(fresh).argmax(1) == model.model.predict_proba(fresh).argmax(1)
    assert same.mean() > 0.95


def test_a_copy_of_labels_learns_no_more_than_labels():
    make = (lambda: mlp(D, C, 8), Recipe(5, 50, 0.01))
    copies = [
        extract(m, bits(200), C, *make, budget=200, form="labels") for m in (regression(), Counted(regression(), sharper))
    ]
    np.testing.assert_array_equal(*(copy.predict_proba(bits(50)) for copy in copies))
    whole = [extract(m, bits(200), C, *make, budget=200) for m in (regression(), Counted(regression(), sharper))]
    assert np.abs(whole[0].predict_proba(bits(50)) - whole[1].predict_proba(bits(50))).max() > 0.01


def sharper(p):
    return (p**3 / (p**3).sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget": 0}, r"budget must be between 1 and 200 \(one query a record\), got 0"),
        ({"budget": 201}, "budget must be between 1 and 200"),
        ({"form": "logits"}, "form must be one of vectors, labels, got 'logits'"),
        ({"model": Counted(regression(), lambda p: p + 1)}, "probabilities in 0..1"),
    ],
)
def test_what_makes_no_copy_is_refused_before_any_training(changed, message, monkeypatch):
    monkeypatch.setattr(NeuralTrainer, "fit_many", None)
    given = {"model": regression(), "budget": 100, "form": "vectors"} | changed
    with pytest.raises(ValueError, match=message):
        extract(given.pop("model"), bits(200), C, lambda: mlp(D, C, 8), Recipe(5, 50, 0.01), **given)


def test_few_records_take_more_epochs_than_many():
    recipe = Recipe(3, 50, 0.01)
    steps = {n: extraction.with_steps(recipe, n, 100).epochs * -(-n // 50) for n in (10, 60, 500, 100_000)}
    assert steps == {10: 100, 60: 100, 500: 100, 100_000: 2000}


# The study's tables


def distinct(n=500):
    """Records that are all different, so that it can be told which were asked about."""
    x = np.unpackbits(np.random.default_rng(0).permutation(2**D)[:n, None].astype(">u2").view(np.uint8), axis=1)[:, -D:]
    return replace(learnable(n), x=np.ascontiguousarray(x))


@pytest.fixture
def asked(monkeypatch):
    """All records that a study asks its targets about to copy them."""
    seen = []

    def spy(model, x, n_classes, real=extraction.transcript):
        seen.append(x)
        return real(model, x, n_classes)

    monkeypatch.setattr("mialib.study.extraction.transcript", spy)
    return seen


def test_copies_by_number_of_queries(asked):
    e = study.Experiment(distinct(), network(), "local", 80, 2, 0, 7)
    budgets = {"real": [300, 20], "noisy": [50], "random": [60], "synthesised": [600]}
    table = extraction_table(e, budgets, steps=150)
    assert list(table) == OF_EXTRACTION
    real = table[(table["records"] == "real") & (table["metric"] == "agreement")]
    assert real["n_queries"].tolist() == [20] * 3 + [300] * 3
    assert real["answers"].tolist() == ["vectors", "labels", "true labels"] * 2
    assert set(table.loc[table["records"] == "synthesised", "answers"]) == {"vectors"}
    assert (table.loc[table["records"] == "synthesised", "n_queries"] <= 600).all()
    assert table["value"].between(table["low"], table["high"]).all() and (table["n_targets"] == 2).all()
    assert real["value"].iloc[3] > max(real["value"].iloc[0], 0.6)
    judged = {row.tobytes() for target in targets(e)[:1] for row in e.dataset.x[target.split.rows]}
    of_first = [part for part in asked[::2][:2]]
    assert [len(part) for part in of_first] == [20, 300]
    assert not judged & {row.tobytes() for part in of_first for row in part}
    count = len(asked)
    pd.testing.assert_frame_equal(table, extraction_table(e, budgets, steps=150))
    assert len(asked) == count  # nothing is asked again


@pytest.mark.parametrize(
    ("budgets", "message"),
    [
        ({"real": [0]}, "budgets must be between 1 and 340 .*got 0"),
        ({"real": [341]}, "budgets must be between 1 and 340 .records of the pool of made., got 341"),
        ({"noisy": [0]}, "budgets must be at least 1, got 0"),
        ({"guessed": [10]}, "budgets must be one of real, noisy, random, synthesised, got 'guessed'"),
        ({}, "budgets must hold numbers of queries"),
        ({"real": []}, "budgets must hold numbers of queries"),
        ({"real": 10}, "budgets must hold numbers of queries"),
    ],
)
def test_budgets_that_cannot_be_are_refused_before_any_training(budgets, message, monkeypatch):
    monkeypatch.setattr(NeuralTrainer, "fit_many", None)
    e = study.Experiment(distinct(), network(1), "local", 80, 1, 0, 7)
    with pytest.raises(ValueError, match=message):
        extraction_table(e, budgets)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        extraction_table(e, {"real": [10]}, steps=0)


def test_true_labels_are_those_of_the_records_that_were_asked():
    e = study.Experiment(distinct(), network(1), "local", 80, 1, 0, 7)
    (target,) = targets(e)
    with pytest.raises(ValueError, match="heard must be of the pool's first 9 records, whose true labels are known"):
        copy_of(target, heard_by(target, bits(9)), "true labels")


def test_all_queries_of_a_synthesis_count():
    e = study.Experiment(distinct(), network(), "local", 80, 1, 0, 7)
    (target,) = targets(e)
    model = Counted(target.model)
    heard = synthesised(target._replace(model=model), 600)
    climbed = sum(map(len, model.asked)) - len(heard.x)  # its records are asked about once more for their vectors
    assert 0 < len(heard.x) < heard.queries == climbed <= 600


def test_bits_are_made_up_where_records_are_bits():
    data = replace(learnable(), x=learnable().x.astype(np.float32))
    with pytest.raises(ValueError, match="of made, which holds no bits: not 'random'"):
        extraction_table(study.Experiment(data, network(1), "local", 80, 1, 0, 7), {"random": [10]})


def test_targets_of_another_trainer_are_refused():
    e = study.Experiment(learnable(), study.AmazonML(), "amazon", 80, 1, 2, 7)
    for table in (lambda: extraction_table(e, {"real": [10]}), lambda: bridge.bridge_table(e)):
        with pytest.raises(TypeError, match="e must have a NeuralTrainer"):
            table()


def test_the_bridge_from_copies_to_members(asked):
    e = study.Experiment(distinct(), network(60, 0.02), "local", 80, 2, 2, 7)
    table = bridge.bridge_table(e, fprs=(0.1,))
    assert list(table) == bridge.OF_BRIDGE
    auc = table[table["metric"] == "auc"].set_index("way")
    assert auc.loc["the target's confidence", "value"] > 0.6 and (auc["n_targets"] == 2).all()
    assert auc.loc["the target's confidence", "queries"] == auc.loc["shadow models", "queries"] == 0
    assert abs(auc.loc["inside a shadow model", "value"] - 0.5) < 0.1  # it heard nothing of the target
    decided = table[table["metric"] == "precision"]["way"].tolist()
    assert decided == ["shadow models", "copies as shadow models, vectors", "copies as shadow models, labels"]
    assert table["value"].between(table["low"], table["high"]).all()
    gains = table[table["metric"] == "auc_gain"].set_index("way")["value"]
    np.testing.assert_allclose(gains, (auc["value"] - auc.loc["shadow models", "value"]).drop("shadow models"), atol=1e-9)
    for target, part in zip(targets(e), asked, strict=True):
        judged = {row.tobytes() for row in e.dataset.x[target.split.rows]}
        assert not judged & {row.tobytes() for row in part}
    heard = round(np.mean([len(part) for part in asked]))
    assert (auc.loc[decided[1:], "queries"] == heard).all() and auc.loc["inside the copy", "queries"] == 160


def test_no_model_but_the_target_learns_a_judged_record(monkeypatch):
    learned = {}

    def spy(trainer, dataset, rows, seed, first=0, real=NeuralTrainer.fit_many):
        learned.setdefault(seed, []).extend(record.tobytes() for record in dataset.x[rows].reshape(-1, D))
        return real(trainer, dataset, rows, seed, first)

    monkeypatch.setattr(NeuralTrainer, "fit_many", spy)
    e = study.Experiment(distinct(), network(2), "local", 80, 2, 2, 7)
    bridge.bridge_table(e, fprs=(0.1,))
    for target in targets(e):
        judged = {record.tobytes() for record in e.dataset.x[target.split.rows]}
        copies, shadows = (learned[derive(7, name, target.number)] for name in ("copy", "shadows"))
        assert len(copies) == 160 and len(shadows) == 80 * (2 + 2 * 2 + 1)  # real shadows, two forms of copies, the control
        assert not judged & {*copies, *shadows}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_shadows": 0}, r"e\.n_shadows must be at least 1, got 0"),
        ({"swapped": True}, "e must have no sources and not be swapped"),
        ({"sources": {study.REAL: learnable()}}, "e must have no sources and not be swapped"),
    ],
)
def test_the_bridge_needs_shadow_models_that_are_disjoint_from_the_target(change, message, monkeypatch):
    monkeypatch.setattr(NeuralTrainer, "fit_many", None)
    e = study.Experiment(learnable(), network(1), "local", 80, 1, 2, 7)
    with pytest.raises(ValueError, match=message):
        bridge.bridge_table(e._replace(**change))
    with pytest.raises(ValueError, match="fprs must be above 0 and at most 1, got 0"):
        bridge.bridge_table(e, fprs=(0,))


# The figure


def test_curves_of_copies():
    rows = [
        {"dataset": name, "records": records, "answers": answers, "n_queries": n, "metric": metric, "value": 0.5}
        for name in ("location", "purchase100")
        for records, answers in (("real", "vectors"), ("real", "labels"), ("random", "vectors"))
        for n in (100, 1000)
        for metric in ("agreement", "test_accuracy")
    ]
    table = pd.DataFrame(rows).assign(low=0.4, high=0.6)
    figure = plots.draw(plots.extraction_curves, [table], facet="dataset")
    first, second = figure.axes
    assert [line.get_linestyle() for line in first.lines] == ["-", "--", "-"]
    assert len({line.get_color() for line in first.lines}) == 2 and len(first.collections) == 3
    assert first.get_xscale() == "log" and first.get_ylabel() == "agreement with the target"
    assert second.get_xlabel() == "queries" and "■ dashed: labels alone" in [text.get_text() for text in second.texts]
