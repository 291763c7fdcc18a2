"""Model inversion against closed forms, with exact query counts, and its tables and figure."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from mialib import metrics
from mialib.attack.class_cost import class_cost
from mialib.attack.inversion import invert, invert_by_answers, slope_by_differences
from mialib.core.types import Dataset
from mialib.plots import draw, inverted_pictures
from mialib.study import inversion as study
from mialib.study.dependent import mean_auc, mean_over_classes
from mialib.study.experiments import Experiment
from mialib.training import NeuralTrainer, Recipe, black_box, mlp

WEIGHTS = np.random.default_rng(0).standard_normal((3, 6))
BIAS = np.array([0.3, -0.2, 0.1])


def softmax_regression(weights=WEIGHTS, bias=BIAS, first=None):
    linear = nn.Linear(weights.shape[1], len(weights))
    linear.weight.data, linear.bias.data = (torch.as_tensor(part, dtype=torch.float32) for part in (weights, bias))
    return black_box(nn.Sequential(*([first] if first else []), linear))


def probabilities(x, weights=WEIGHTS, bias=BIAS):
    logits = x @ weights.T + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


class Counting:
    """A black box that counts the rows it was asked, and keeps what it saw of their kind."""

    def __init__(self, model):
        self.model, self.rows, self.dtypes = model, 0, set()

    def predict_proba(self, x):
        self.rows += len(x)
        self.dtypes.add(x.dtype)
        return self.model.predict_proba(x)


def task(shape, labels, **changed):
    given = {"pixels": False, "start": None, "noise": 0.0, "smoothness": 0.0, "distance": 0.0, "half_waves": None, "seed": 0}
    return class_cost(shape, labels, *(given | changed).values())


def test_gradients_are_those_of_softmax_regression():
    x = np.random.default_rng(1).standard_normal((3, 6))
    cost, slope = task((6,), [0, 1, 2]).cost_and_slope(softmax_regression(), x, np.arange(3))
    p = probabilities(x)
    np.testing.assert_allclose(cost, -np.log(p[range(3), range(3)]), rtol=1e-5)
    np.testing.assert_allclose(slope, p @ WEIGHTS - WEIGHTS, atol=1e-5)  # of -log p_c: sum_k p_k w_k - w_c


def test_a_pixels_unit_is_its_range():
    weights = WEIGHTS / 100
    u = np.random.default_rng(2).random((3, 6))
    model = softmax_regression(weights, BIAS, nn.Flatten())
    _, slope = task((2, 3), [0, 1, 2], pixels=True).cost_and_slope(model, u, np.arange(3))
    np.testing.assert_allclose(slope, 255 * (probabilities(255 * u, weights) @ weights - weights), atol=1e-4)


def test_the_penalty_is_the_sum_of_squares_and_its_gradient():
    shape, rng = (3, 4, 2), np.random.default_rng(3)
    u = rng.random((2, 24))
    asked = task(shape, [0, 1], pixels=True, smoothness=0.7, distance=0.4)
    value, slope = asked.penalty(u)
    for i in range(2):
        picture, total = u[i].reshape(shape), 0.4 * ((u[i] - 0.5) ** 2).sum()
        for y, x, c in np.ndindex(*shape):
            total += 0.7 * (picture[y + 1, x, c] - picture[y, x, c]) ** 2 if y + 1 < 3 else 0
            total += 0.7 * (picture[y, x + 1, c] - picture[y, x, c]) ** 2 if x + 1 < 4 else 0
        assert value[i] == pytest.approx(total)
    for j in range(24):
        step = 1e-6 * np.eye(24)[j]
        np.testing.assert_allclose((asked.penalty(u + step)[0] - asked.penalty(u - step)[0]) / 2e-6, slope[:, j], atol=1e-6)


def test_white_box_reaches_the_optimum_of_a_penalised_linear_model():
    found = invert(softmax_regression(), (6,), [0, 1, 2], pixels=False, distance=0.5, steps=2000, patience=200)
    x = found.record.astype(float)
    optimum = (WEIGHTS - probabilities(x) @ WEIGHTS) / (2 * 0.5)  # where the gradient of the cost is 0
    np.testing.assert_allclose(x, optimum, atol=2e-3)
    np.testing.assert_allclose(found.confidence, probabilities(x)[range(3), range(3)], rtol=1e-4)


def test_a_slope_by_differences_of_a_linear_cost_is_its_gradient():
    rng = np.random.default_rng(4)
    u, gradient = rng.standard_normal((2, 5)), rng.standard_normal((2, 5))
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0] * np.sqrt(5) * 0.01
    found = slope_by_differences(lambda at: np.einsum("mkd,md->mk", at, gradient), u[:, None] + basis, u[:, None] - basis, 0.01)
    np.testing.assert_allclose(found, gradient, atol=1e-10)


def test_many_random_differences_give_the_smoothed_gradient():
    asked = task((8, 8), [0], pixels=True, half_waves=2.0)
    rng = np.random.default_rng(5)
    gradient = rng.standard_normal((1, 64))
    away = 0.01 * asked.directions(rng, 40_000)[None]
    found = slope_by_differences(lambda at: at @ gradient[0], asked.start + away, asked.start - away, 0.01)
    assert np.corrcoef(found[0], asked.smoothed(gradient)[0])[0, 1] > 0.98


def test_smoothing_keeps_a_constant_and_damps_what_changes_fast():
    asked = task((8, 8, 3), [0], pixels=True, half_waves=2.0)
    grey, board = np.ones((1, 192)), np.where(np.indices((8, 8, 3)).sum(0) % 2, 1.0, -1.0).reshape(1, -1)
    np.testing.assert_allclose(asked.smoothed(grey), grey)
    assert np.abs(asked.smoothed(board)).max() < 0.1


@pytest.mark.parametrize("budget", [1, 2, 5, 6, 99, 300])
def test_a_black_box_is_asked_exactly_what_is_said_and_never_more(budget):
    model = Counting(softmax_regression())
    found = invert_by_answers(model, (6,), [2, 0], max_queries=budget, pixels=False, distance=0.1, patience=budget)
    assert model.rows == found.queries.sum()
    assert (found.queries <= budget).all() and (found.queries > budget - 5).all()
    np.testing.assert_allclose(found.confidence, softmax_regression().predict_proba(found.record)[[0, 1], [2, 0]], rtol=1e-5)


def test_white_box_counts_its_gradients_and_the_last_answer():
    model, calls = softmax_regression(), []
    model._module.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    found = invert(model, (6,), [0, 1], pixels=False, steps=7)
    assert sum(calls) == found.queries.sum() == 16


def test_both_find_what_the_model_takes_for_the_class_in_whole_pixels():
    model = Counting(softmax_regression(0.03 * np.kron(np.eye(3), [1, 1]), np.zeros(3), nn.Flatten()))
    white = invert(model.model, (2, 3), [0, 1, 2], enough=0.01)
    black = invert_by_answers(model, (2, 3), [0, 1, 2], max_queries=400, enough=0.01)
    for found in (white, black):
        assert found.record.dtype == np.uint8 and found.record.shape == (3, 2, 3)
        assert (model.model.predict_proba(found.record).argmax(1) == [0, 1, 2]).all() and (found.confidence > 0.9).all()
    assert model.dtypes == {np.dtype(np.uint8)}


def test_a_label_is_searched_alike_alone_and_beside_others():
    for way in (invert, partial(invert_by_answers, max_queries=60)):
        together = way(softmax_regression(), (6,), [0, 1, 2], pixels=False, noise=0.1, seed=3)
        alone = way(softmax_regression(), (6,), 1, pixels=False, noise=0.1, seed=3)
        np.testing.assert_allclose(alone.record[0], together.record[1], atol=1e-4)


ASKED = {"model": softmax_regression(), "shape": (6,), "label": 0, "pixels": False}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"label": 3}, ValueError, r"label must lie in 0..2, got 3..3"),
        ({"label": [1, 1]}, ValueError, r"label must be a class or several different ones"),
        ({"label": "cat"}, TypeError, r"label must be a whole number, got 'cat'"),
        ({"shape": (7,)}, ValueError, r"shape must be that of a record that the model takes, got \(7,\)"),
        ({"shape": (6,), "pixels": True}, ValueError, r"shape must be \(h, w\) or \(h, w, channels\), got \(6,\)"),
        ({"smoothness": 1.0}, ValueError, r"smoothness must be 0 for records that are no pictures, got 1.0"),
        ({"start": np.zeros(5)}, ValueError, r"start must be a record of finite numbers, of shape \(6,\)"),
        ({"patience": 0}, ValueError, r"patience must be at least 1, got 0"),
        ({"enough": -1.0}, ValueError, r"enough must be at least 0, got -1.0"),
        ({"half_waves": 0}, ValueError, r"half_waves must be above 0, got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(changed, error, message):
    for way in (invert, partial(invert_by_answers, max_queries=50)):
        with pytest.raises(error, match=message):
            way(**(ASKED | changed))


def test_budgets_of_zero_and_models_without_gradients_are_refused_by_name():
    with pytest.raises(ValueError, match="max_queries must be at least 1, got 0"):
        invert_by_answers(**ASKED, max_queries=0)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        invert(**ASKED, steps=0)
    with pytest.raises(TypeError, match=r"model must be a network .* got a Counting, which shows no gradients"):
        invert(**(ASKED | {"model": Counting(softmax_regression())}))


# The study


def digits(n=240, seed=0):
    """Four classes of pictures, 6 x 6: a bright quarter each, and noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    x = rng.integers(0, 100, (n, 6, 6))
    for i, c in enumerate(y):
        x[i, 3 * (c // 2) : 3 * (c // 2) + 3, 3 * (c % 2) : 3 * (c % 2) + 3] += 120
    return Dataset("digits", x.astype(np.uint8), y.astype(np.int64), 4, "own")


@pytest.fixture(scope="module")
def trials():
    trainer = NeuralTrainer(lambda: mlp(36, 4, 16, pixels=True), Recipe(epochs=30, batch_size=20, lr=0.01))
    plan = study.InversionPlan(Experiment(digits(), trainer, "local", 60, 2, 0, 1), n_seeds=2, max_queries=200)
    return study.run_inversions(plan)


def test_inversions_are_measured_on_members_and_non_members(trials):
    table = study.inversion_table(trials)
    assert list(table)[:12] == [
        "dataset", "source", "target", "cls", "access", "seed", "queries", "confidence", "nearest_member",
        "nearest_nonmember", "usual_nearest", "mean_correlation",
    ]  # fmt: skip
    assert len(table) == 2 * 4 * 2 * 2 and (table["recognised"] == 1).all()
    row = table[
        (table["target"] == 1) & (table["cls"] == 2) & (table["access"] == "answers alone") & (table["seed"] == 1)
    ].iloc[0]
    t, data = trials[1], digits()
    picture = t.found["answers alone"].record[1, 2].astype(float)
    members, nonmembers = (rows[data.y[rows] == 2] for rows in (t.split.members, t.split.nonmembers))
    few = min(len(members), len(nonmembers))
    by_hand = [min(np.sqrt(((picture - data.x[i]) ** 2).mean()) / 255 for i in rows[:few]) for rows in (members, nonmembers)]
    np.testing.assert_allclose(row[["nearest_member", "nearest_nonmember"]].astype(float), by_hand, rtol=1e-4)
    everything = data.x[t.split.members].mean(0)
    both = [(of - everything).ravel() for of in (picture, data.x[members].mean(0))]
    assert row["mean_correlation"] == pytest.approx(np.corrcoef(both)[0, 1]) and row["mean_correlation"] > 0.5


def test_the_summary_has_every_measure_with_an_interval(trials):
    summary = study.inversion_summary(trials)
    assert list(summary) == ["dataset", "source", "access", "measure", "value", "low", "high", "n"]
    assert ((summary["low"] <= summary["value"]) & (summary["value"] <= summary["high"]) & (summary["n"] == 2)).all()
    values = summary[summary["access"] == "white box"].set_index("measure")["value"]
    table = study.inversion_table(trials)
    white = table[table["access"] == "white box"]
    assert values["nearer to members"] == pytest.approx((white["nearest_nonmember"] - white["nearest_member"]).mean())
    relative = (white["nearest_member"] / white["usual_nearest"]).mean()
    assert values["nearest member, relative"] == pytest.approx(relative)
    by_hand = []
    for t in trials:
        rows, x = t.split.rows, digits().x.astype(float)
        means = [x[t.split.members][digits().y[t.split.members] == c].mean(0).round() for c in range(4)]
        away = [np.sqrt(((x[i] - means[digits().y[i]]) ** 2).mean()) for i in rows]
        by_hand.append(metrics.auc(t.split.member, -np.array(away)))
    assert values["auc by the class mean"] == pytest.approx(np.mean(by_hand), abs=1e-3)


def test_classes_and_seeds_are_no_further_evidence():
    rng = np.random.default_rng(6)
    score, member = rng.standard_normal(400), np.arange(400) < 200
    once, often = mean_auc([score[None]], [member]), mean_auc([np.tile(score, (5, 1))], [member])
    assert once == pytest.approx(often) and once["value"] == pytest.approx(metrics.auc(member, score))
    assert once["high"] - once["low"] == pytest.approx(2 * 1.96 * np.sqrt(401 / 12 / 200 / 200), rel=0.05)  # of a coin
    values = rng.standard_normal((1, 10))
    same = mean_over_classes(np.repeat(values, 3, 0))
    assert same == pytest.approx({**mean_over_classes(values), "n": 3}) and same["low"] < values.mean() < same["high"]


def test_other_scores_of_the_same_records_and_other_targets_are_further_evidence():
    rng = np.random.default_rng(7)
    scores, member = rng.standard_normal((2, 400)), np.arange(400) < 200
    both = mean_auc([scores], [member])
    widths = [found["high"] - found["low"] for found in (both, *(mean_auc([score[None]], [member]) for score in scores))]
    np.testing.assert_allclose(widths[0], np.array(widths[1:]) / np.sqrt(2), rtol=0.1)
    apart = rng.standard_normal(10)
    opposite = mean_over_classes(np.stack([apart - apart.mean(), apart.mean() - apart]))  # no class differs from another
    assert opposite == pytest.approx({"value": 0, "low": 0, "high": 0, "n": 2}, abs=1e-12)


def test_a_class_that_a_target_lacks_is_left_out():
    values = np.array([[1.0, np.nan, 3.0], [2.0, 7.0, 4.0]])
    assert mean_over_classes(values) == mean_over_classes(values[:, [0, 2]])
    assert mean_over_classes(values, bounds=(0, 3))["high"] == 3


def test_a_picture_that_is_a_member_is_seen_as_one(trials):
    """The measures can fail: put a member in the place of each inverted picture."""
    t = trials[0]
    copies = np.stack([study._of_class(t, c)[0][:1] for c in range(4)], 1)
    planted = t.found["white box"]._replace(record=np.repeat(copies, 2, 0))
    summary = study.inversion_summary([t._replace(found=t.found | {"white box": planted})])
    values = summary[summary["access"] == "white box"].set_index("measure")
    assert values.loc["nearest member, relative", "value"] < 1e-3 and values.loc["nearer to members", "low"] > 0
    assert values.loc["farther than the class mean", "high"] < 0


def test_a_second_run_trains_and_asks_nothing(trials, monkeypatch):
    plan = trials[0].plan._replace(n_seeds=1)
    first = study.run_inversions(plan)
    assert (study.run_inversions(plan._replace(steps=3))[0].found["white box"].queries <= 4).all()  # not those of 60 steps
    assert (first[0].found["white box"].queries > 4).any()
    monkeypatch.setattr(NeuralTrainer, "fit_many", None)
    again = study.run_inversions(plan)
    for access in study.ACCESSES:
        np.testing.assert_array_equal(again[1].found[access].record, first[1].found[access].record)
        np.testing.assert_array_equal(again[1].recognised[access], first[1].recognised[access])


def test_the_figure_has_a_picture_a_class_and_row(trials):
    table = study.inverted_table(trials)
    assert len(table) == 4 * 5 and set(table["channels"]) == {1}
    figure = draw(inverted_pictures, [table], facet="dataset", share=False, columns=1)
    assert len(figure.axes[0].images) == 20
    shown = table[(table["row"] == "mean of the class") & (table["cls"] == 3)].iloc[0]
    drawn = figure.axes[0].images[[*table.index].index(shown.name)].get_array()
    assert drawn.shape == (6, 6, 3) and bytes.fromhex(shown["pixels"]) == np.asarray(drawn)[:, :, 0].tobytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_seeds": 0}, "n_seeds must be at least 1, got 0"),
        ({"max_queries": 0}, "max_queries must be at least 1, got 0"),
        ({"start": "white"}, "start must be one of grey, black, got 'white'"),
    ],
)
def test_plans_are_checked_before_any_training(trials, changed, message):
    with pytest.raises(ValueError, match=message):
        study.run_inversions(trials[0].plan._replace(**changed))


def test_a_data_set_without_pictures_is_refused():
    flat = Dataset("bits", np.zeros((4, 3), np.uint8), np.arange(4) % 2, 2, "own")
    experiment = Experiment(flat, None, "local", 1, 1, 0, 0)
    with pytest.raises(ValueError, match="dataset must hold pictures, uint8"):
        study.run_inversions(study.InversionPlan(experiment))
