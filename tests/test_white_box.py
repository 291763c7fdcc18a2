"""What an open network shows: exact gradients, hidden units in any order; and what attacks make of it beside answers alone."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.naive_bayes import BernoulliNB
from torch import nn

from mialib import metrics, plots, study
from mialib.attack import inside, kept_insides, white_box
from mialib.core import cache
from mialib.core.types import AttackData, Dataset, Split
from mialib.shadow.signals import log_odds
from mialib.study import white_box as study_white_box
from mialib.training import EstimatorTrainer, NeuralTrainer, Recipe, black_box, cnn, mlp
from mialib.training.networks import Pixels, Records

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (9, 20)).astype(np.uint8)
PHOTOS = RNG.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
CLASSES = RNG.integers(0, 4, 9)


class Shortcut(nn.Module):
    """No chain: its first layer is used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(20, 20), nn.Linear(20, 4)

    def forward(self, x):
        return self.last(torch.tanh(self.first(torch.tanh(self.first(x)))) + x)


def tied():
    """A chain whose two first layers share their weight."""
    module = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 4))
    module[2].weight = module[0].weight
    return module


def softmax_regression(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(Records(), nn.Linear(20, 4))


NETWORKS = {
    "softmax regression": (softmax_regression(), BITS),
    "mlp": (mlp(20, 4, 7), BITS),
    "without biases, overwritten": (
        nn.Sequential(nn.Linear(20, 6, bias=False), nn.ReLU(inplace=True), nn.Linear(6, 4)),
        BITS.astype(np.float32),
    ),
    "cnn": (cnn((8, 8, 3), 4, channels=3), PHOTOS),
    "cnn in grey": (cnn((8, 8), 4, channels=2, kernel=3), PHOTOS[..., 0]),
    "strides, dilation, nested": (
        nn.Sequential(
            Pixels(),
            nn.Sequential(nn.Conv2d(3, 4, (3, 2), stride=2, dilation=(1, 2), padding=(0, 1)), nn.ReLU()),
            nn.Conv2d(4, 2, 2),
            nn.Flatten(),
            nn.Linear(12, 4),
        ),
        PHOTOS,
    ),
    "shortcut": (Shortcut(), BITS),
    "tied": (tied(), BITS),
    "groups and a norm": (
        nn.Sequential(Pixels(), nn.Conv2d(3, 6, 3, groups=3), nn.GroupNorm(2, 6), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4)),
        PHOTOS,
    ),
}
CHAINS = [name for name in NETWORKS if name not in ("shortcut", "tied", "groups and a norm")]


def looped_gradients(module, x, y):
    """The literal loop: one record, one loss, one backward pass."""
    found = []
    for record, label in zip(torch.as_tensor(x).float(), torch.as_tensor(y), strict=True):
        loss = F.cross_entropy(module(record[None]), label[None])
        found.append(torch.autograd.grad(loss, list(module.parameters())))
    return [torch.stack(parts).numpy() for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_a_loop_over_records(name):
    module, x = NETWORKS[name]
    model, y = black_box(module), CLASSES[: len(x)]
    wanted = looped_gradients(module, x, y)
    gradients = inside.record_gradients(model, x, y)
    assert list(gradients) == inside.parameter_names(model) == [each for each, _ in module.named_parameters()]
    for found, right in zip(gradients.values(), wanted, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-6 + 1e-5 * abs(right).max())
    norms = np.stack([np.linalg.norm(part.reshape(len(x), -1), axis=1) for part in wanted], 1)
    for route in ("auto", "each", *(["products"] if name in CHAINS else [])):
        seen = inside.look_inside(model, x, y, route=route)
        np.testing.assert_allclose(np.exp(seen.log_norms), norms, rtol=1e-4, atol=1e-20)  # units may be dead
        np.testing.assert_allclose(np.exp(seen.log_norm), np.sqrt((norms**2).sum(1)), rtol=1e-4)
    if name not in CHAINS:
        with pytest.raises(ValueError, match="route must be each or auto"):
            inside.look_inside(model, x, y, route="products")


def test_the_norm_of_softmax_regression_has_a_closed_form():
    """The gradient is the outer product of p - e_y with the record and a one, for the bias."""
    model = black_box(softmax_regression())
    seen = inside.look_inside(model, BITS, CLASSES)
    wrong = np.linalg.norm(model.predict_proba(BITS) - np.eye(4)[CLASSES], axis=1)
    np.testing.assert_allclose(np.exp(seen.log_norm), wrong * np.sqrt((BITS.astype(float) ** 2).sum(1) + 1), rtol=1e-5)
    assert seen.layers == seen.influences == []


def test_loss_and_log_odds_are_those_of_the_answers():
    model = black_box(NETWORKS["mlp"][0])
    seen, answers = inside.look_inside(model, BITS, CLASSES), model.predict_proba(BITS)
    np.testing.assert_allclose(np.exp(seen.log_p), answers, rtol=1e-5)
    np.testing.assert_allclose(seen.log_odds, log_odds(answers, CLASSES), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.loss, -np.log(answers[np.arange(9), CLASSES]), rtol=1e-5)


def test_of_a_model_that_is_sure_nothing_underflows():
    """Answers round to 1 and 0; a loss of 1e-87 and its gradient are still told from others."""
    module = nn.Sequential(Records(), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        module[1].weight[:] = torch.tensor([[1.0], [-1.0]])
    seen = inside.look_inside(black_box(module), np.float32([[10], [100], [101]]), np.zeros(3, np.int64))
    np.testing.assert_allclose(seen.log_odds, [20, 200, 202], rtol=1e-6)
    np.testing.assert_allclose(seen.log_norm, np.log(np.sqrt(2) * np.array([10, 100, 101])) - [20, 200, 202], rtol=1e-5)
    assert seen.loss[0] > 0 and list(np.argsort(seen.log_norm)) == [2, 1, 0]


def test_units_that_say_more_than_is_kept_stay_numbers():
    module = nn.Sequential(Records(), nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False))
    with torch.no_grad():
        module[1].weight[:], module[2].weight[:] = 1e6, torch.tensor([[-1.0], [1.0]])
    seen = inside.look_inside(black_box(module), np.float32([[1]]), np.zeros(1, np.int64))
    assert (seen.layers[0].item(), seen.influences[0].item()) == (65504, -65504)


@pytest.mark.parametrize("name", ["mlp", "cnn", "shortcut"])
def test_parts_change_nothing(name, monkeypatch):
    module, x = NETWORKS[name]
    whole = inside.look_inside(black_box(module), x, CLASSES[: len(x)])
    monkeypatch.setattr(inside, "NUMBERS_IN_WORK", 1)
    alone = inside.look_inside(black_box(module), x, CLASSES[: len(x)])
    for a, b in zip(whole[:3], alone[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip([*whole.layers, *whole.influences], [*alone.layers, *alone.influences], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_hidden_layers_are_what_the_next_layer_takes_in():
    module = NETWORKS["mlp"][0]
    seen = inside.look_inside(black_box(module), BITS, CLASSES)
    with torch.no_grad():
        hidden = module[:3](torch.as_tensor(BITS))
        last = module[3].weight
        weights = last[torch.as_tensor(CLASSES)] - last.mean(0)
    np.testing.assert_allclose(seen.layers[0][:, :, 0], hidden, atol=1e-3)
    np.testing.assert_allclose(seen.influences[0][:, :, 0], hidden * weights, atol=1e-3)
    shapes = [layer.shape for layer in inside.look_inside(black_box(NETWORKS["cnn"][0]), PHOTOS, CLASSES[:5]).layers]
    assert shapes == [(5, 3, 4), (5, 3, 4), (5, 128, 1)]
    without = inside.look_inside(black_box(module), BITS, CLASSES, hidden=False)
    assert without.layers == without.influences == []
    np.testing.assert_array_equal(without.log_norms, seen.log_norms)


def shuffled(module, first, second, fold=1):
    """The same network, its hidden units in another order, some with the sign of what they take in and give turned."""
    twin = copy.deepcopy(module)
    n = len(twin[first].weight)
    sign = torch.ones(n) if isinstance(twin[first], nn.Conv2d) else torch.tensor(np.resize([1.0, -1.0], n)).float()
    order = torch.arange(n).roll(1)  # a maximum, of pooling, has no sign to turn
    with torch.no_grad():
        twin[first].weight[:] = (twin[first].weight * sign.reshape(-1, *[1] * (twin[first].weight.ndim - 1)))[order]
        twin[first].bias[:] = (twin[first].bias * sign)[order]
        weight = twin[second].weight.unflatten(1, (len(order), fold))
        weight = weight * sign.reshape(1, -1, *[1] * (weight.ndim - 2))
        twin[second].weight[:] = weight[:, order].flatten(1, 2)
    return twin


@pytest.mark.parametrize(
    ("name", "layer", "places"), [("mlp", 0, (1, 3)), ("cnn", 0, (1, 4)), ("cnn", 1, (4, 8, 4)), ("cnn", 2, (8, 10))]
)
def test_sorted_layers_do_not_know_the_order_of_units_and_raw_ones_do(name, layer, places):
    module, x = NETWORKS[name]
    twin = shuffled(module, *places)
    seen, same = (inside.look_inside(black_box(each), x, CLASSES[: len(x)]) for each in (module, twin))
    np.testing.assert_allclose(same.log_p, seen.log_p, atol=1e-4)
    np.testing.assert_allclose(same.log_norms, seen.log_norms, atol=1e-3)
    np.testing.assert_allclose(white_box.sorted_layer(same, layer), white_box.sorted_layer(seen, layer), atol=1e-3)
    np.testing.assert_allclose(white_box.all_features(same), white_box.all_features(seen), atol=1e-3)
    assert abs(white_box.raw_layer(same, layer) - white_box.raw_layer(seen, layer)).max() > 0.05


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": object()}, TypeError, "model must be a network of a trainer or mialib.black_box.* got a object"),
        ({"model": black_box(mlp(20, 4), "probabilities")}, TypeError, "answers probabilities, not logits"),
        ({"model": black_box(nn.Flatten())}, ValueError, "model must have parameters"),
        ({"x": BITS[:0]}, TypeError, "x must be records of shape"),
        ({"x": np.full((9, 20), np.nan, np.float32)}, ValueError, "x must be finite, got 180 values"),
        ({"y": CLASSES[:3]}, ValueError, "y must have one label a record, 9, got 3"),
        ({"y": CLASSES + 4}, ValueError, r"y must lie in 0\.\.3"),
        ({"route": "fast"}, ValueError, "route must be one of auto, products, each, got 'fast'"),
    ],
)
def test_looking_refuses_what_has_no_inside(change, error, message):
    arguments = {"model": black_box(mlp(20, 4)), "x": BITS, "y": CLASSES} | change
    with pytest.raises(error, match=message):
        inside.look_inside(**arguments)


# The attack model


def features(n=1500, leak=2.0, seed=0):
    """Members lie higher in the third of five columns, by `leak` deviations, in class 0, and lower in class 1."""
    rng = np.random.default_rng(seed)
    member, labels = rng.random(n) < 0.5, rng.integers(0, 2, n)
    x = rng.normal(size=(n, 5)).astype(np.float32) * np.float32(100)
    x[:, 2] += 50 * leak * np.where(member, 1, -1) * np.where(labels == 0, 1, -1)
    return x, member, labels


def test_an_attack_on_features_finds_a_planted_leak_and_no_other():
    fitted = white_box.fit_white_box(*features())
    x, member, labels = features(seed=1)
    score = fitted.membership_score(x, labels)
    assert score.dtype == np.float32 and metrics.auc(member, score) > 0.85
    np.testing.assert_array_equal(fitted.infer(x, labels), score > 0)
    np.testing.assert_array_equal(white_box.fit_white_box(*features()).membership_score(x, labels), score)
    x, member, labels = features(leak=0, seed=2)
    nothing = white_box.fit_white_box(*features(leak=0), seed=1).membership_score(x, labels)
    assert abs(metrics.auc(member, nothing) - 0.5) < 0.05
    x, member, _ = features(seed=1)
    blind = white_box.fit_white_box(*features()[:2]).membership_score(x)  # what the class would tell
    assert metrics.auc(member, blind) < 0.65


def test_attacks_fitted_together_know_their_own_records_alone():
    """The answers of the other half change nothing, but for the scale of the columns, which its features have a part in."""
    x, member, labels = features(400)
    sides = np.arange(400).reshape(2, 200)
    first, second = white_box.fit_white_boxes(x, member, sides, labels)
    lied = np.where(np.arange(400) < 200, member, ~member)
    first_again, other = white_box.fit_white_boxes(x, lied, sides, labels)
    np.testing.assert_allclose(first_again.membership_score(x, labels), first.membership_score(x, labels), atol=1e-4)
    assert np.corrcoef(other.membership_score(x, labels), second.membership_score(x, labels))[0, 1] < -0.5
    assert metrics.auc(member[:200], second.membership_score(x[:200], labels[:200])) > 0.8


def test_a_class_that_no_known_record_has_is_judged_where_it_is_named():
    x, member, labels = features(200)
    fitted = white_box.fit_white_box(x, member, labels, n_classes=3)
    assert np.isfinite(fitted.membership_score(x, np.full(200, 2))).all()
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1, got 2\.\.2"):
        white_box.fit_white_box(x, member, labels).infer(x, np.full(200, 2))
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.0"):
        white_box.fit_white_box(x, member, labels, n_classes=1)


def test_an_attack_on_features_refuses_others():
    x, member, labels = features(100)
    bad = x.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="features must be finite, got 1 values that are NaN or infinite"):
        white_box.fit_white_box(bad, member)
    with pytest.raises(TypeError, match=r"member must be bool of shape \(100,\)"):
        white_box.fit_white_box(x, member[:50])
    with pytest.raises(ValueError, match="member must hold members and non-members, got 0 members of 100"):
        white_box.fit_white_box(x, np.zeros(100, bool))
    with pytest.raises(ValueError, match="member must hold members and non-members, got 2 members of 2"):
        white_box.fit_white_boxes(x, member, np.stack([[*np.flatnonzero(member)[:2]], [0, 1]]))
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.99"):
        white_box.fit_white_boxes(x, member, np.array([[0, 100]]))
    with pytest.raises(TypeError, match=r"features must be floats of shape \(n, d\)"):
        white_box.fit_white_box(x[:, 0], member)
    fitted = white_box.fit_white_box(x, member, labels)
    with pytest.raises(ValueError, match="features must have 5 columns, as those the attack was fitted on, got 4"):
        fitted.infer(x[:, :4], labels)
    with pytest.raises(ValueError, match="labels must be given"):
        fitted.infer(x)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
        fitted.infer(x, labels + 1)
    with pytest.raises(ValueError, match="layer must be between 0 and 0"):
        white_box.raw_layer(inside.look_inside(black_box(mlp(20, 4)), BITS, CLASSES), 1)
    with pytest.raises(ValueError, match="the model has none"):
        white_box.sorted_layer(inside.look_inside(black_box(softmax_regression()), BITS, CLASSES), 0)


# On targets and shadows


@pytest.fixture(scope="module")
def people():
    """Bits whose classes are hard to guess: what a network knows of them it has learned by heart."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 2, (1000, 30)).astype(np.uint8)
    return Dataset("people", x, ((x[:, :2].sum(1) + rng.integers(0, 2, 1000)) % 3).astype(np.int64), 3, "standin")


def experiment(people, trainer=None, **sizes):
    trainer = trainer or NeuralTrainer(lambda: mlp(30, 3, 32), Recipe(epochs=60, batch_size=20, lr=0.01))
    return study.Experiment(people, trainer, "local", **{"train_size": 120, "n_targets": 2, "n_shadows": 3, "seed": 5} | sizes)


@pytest.fixture(scope="module")
def outcomes(people, tmp_path_factory):
    with cache.kept_in(tmp_path_factory.mktemp("store")):
        found = study_white_box.attack_inside(experiment(people))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(NeuralTrainer, "_states", lambda *_: pytest.fail("trained again"))
            again = study_white_box.attack_inside(experiment(people))
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a.score, b.score)
    return found


def test_insides_of_many_are_each_models_own_and_only_once(people):
    trainer = NeuralTrainer(lambda: mlp(30, 3, 8), Recipe(epochs=2, batch_size=20, lr=0.01))
    splits = [Split(np.arange(start, start + 40), np.arange(500, 540)) for start in (0, 100)]
    besides = np.arange(700, 720)
    found = kept_insides.insides(trainer, people, splits, 1, besides)
    for (seen, there), split, model in zip(
        found, splits, trainer.fit_many(people, np.stack([s.members for s in splits]), 1), strict=True
    ):
        right = inside.look_inside(model, people.x[split.rows], people.y[split.rows])
        np.testing.assert_allclose(seen.log_norms, right.log_norms, rtol=1e-5)
        others = inside.look_inside(model, people.x[besides], people.y[besides])
        np.testing.assert_allclose(there, [others.log_odds, others.log_norm], rtol=1e-5)
    elsewhere = kept_insides.insides(trainer, people, splits, 1, np.arange(720, 740))
    assert all((there != of_others).any() for (_, there), (_, of_others) in zip(found, elsewhere, strict=True))
    assert kept_insides.insides(trainer, people, splits, 1)[0][1].shape == (2, 0)
    with pytest.raises(TypeError, match="trainer must make networks, whose loss has a gradient, got one of BernoulliNB"):
        kept_insides.insides(EstimatorTrainer(BernoulliNB()), people, splits, 1)


def test_all_attacks_judge_the_same_records(outcomes):
    names = {(o.access, o.learned_on, o.features) for o in outcomes}
    learned = {("black box", "answers"), *(("white box", f) for f in LEARNED_INSIDE)}
    assert names == {
        ("black box", "nothing", "confidence"), ("black box", "shadows", "2017 attack"),
        ("black box", "shadows", "log-odds, LiRA"), ("white box", "shadows", "gradient norm, LiRA"),
        ("white box", "nothing", "loss"), ("white box", "nothing", "gradient norm"),
        *((access, teacher, f) for access, f in learned for teacher in ("shadows", "known members")),
    }  # fmt: skip
    assert len(outcomes) == 2 * len(names)
    for o in outcomes:
        assert o.score.shape == (240,) and o.answers.member.sum() == 120 and np.isfinite(o.score).all()
        assert (o.decision is not None) == (o.learned_on != "nothing" and "LiRA" not in o.features)
    of_first = {o.features: o for o in outcomes if o.target == 0 and o.learned_on == "nothing"}
    order = np.argsort(-of_first["loss"].score, kind="stable")
    assert (np.diff(of_first["confidence"].score[order]) <= 1e-6).all()  # the loss is what the answer tells


LEARNED_INSIDE = ("gradient norms by layer", "layer 1, raw", "layer 1, sorted", "everything")


def test_the_table_has_gains_on_the_best_black_box_attack(outcomes):
    table = study_white_box.white_box_table(outcomes, fprs=(0.1, 0.01, 0.001))
    assert list(table) == study_white_box.INSIDE
    assert set(table["metric"]) == {"auc", "tpr", "precision", "auc_gain", "tpr_gain"}
    assert set(table.loc[table["metric"] == "tpr", "fpr"]) == {0.1, 0.01}  # 120 non-members carry no thousandth
    values = table[table["metric"] != "precision"].set_index(["features", "learned_on", "metric"])
    by = table[table["metric"] == "auc"].set_index(["access", "learned_on", "features"])["value"]
    best = max(value for (access, teacher, _), value in by.items() if access == "black box" and teacher != "known members")
    gains = table[table["metric"] == "auc_gain"].set_index(["access", "learned_on", "features"])
    assert len(gains) == len(by) - 1
    np.testing.assert_allclose(gains["value"], by[gains.index] - best, atol=1e-12)
    assert ((gains["low"] <= gains["value"]) & (gains["value"] <= gains["high"])).all()
    assert (table["n_targets"] == 2).all() and (table["low"] <= table["value"]).all()
    assert by["white box", "shadows", "everything"] > 0.6 > by["white box", "shadows", "layer 1, raw"]
    assert values.loc[("loss", "nothing", "auc"), "value"] == pytest.approx(by["black box", "nothing", "confidence"], abs=1e-3)
    with pytest.raises(ValueError, match="outcomes must hold those of at least one attack, got none"):
        study_white_box.white_box_table([])


def test_an_attack_gains_nothing_on_itself_and_is_told_from_a_worse_one(outcomes):
    """The paired interval of one and the same score has no width, whatever the records; that of noise lies below 0."""
    black = [o for o in outcomes if o.features == "confidence"]
    rng = np.random.default_rng(0)
    twins = [o._replace(access="white box", features="twin") for o in black]
    noise = [o._replace(access="white box", features="noise", score=rng.normal(size=240)) for o in black]
    table = study_white_box.white_box_table([*black, *twins, *noise]).set_index(["features", "metric"])
    np.testing.assert_array_equal(table.loc[("twin", "auc_gain"), ["value", "low", "high"]].to_numpy(float), 0)
    one = study_white_box.white_box_table([black[0], noise[0]]).set_index(["features", "metric"])
    assert one.loc[("noise", "auc_gain"), "high"].item() < 0


def test_the_best_rival_knows_none_of_the_targets_members(outcomes):
    """An attack on answers that knows half of them is no measure for one that knows none, however good it is."""
    knowing = ("black box", "known members")
    sure = [o._replace(score=o.answers.member.astype(float)) if (o.access, o.learned_on) == knowing else o for o in outcomes]
    told, usual = (study_white_box.white_box_table(each).query("metric == 'auc_gain'") for each in (sure, outcomes))
    names = ["access", "learned_on", "features"]
    told, usual = (each.set_index(names)["value"].drop((*knowing, "answers")) for each in (told, usual))
    np.testing.assert_array_equal(told, usual)


def test_each_half_is_judged_by_what_was_fitted_on_the_other(people, monkeypatch):
    halves = []

    class Fitted:
        def __init__(self, number):
            self.number = number

        def membership_score(self, features, labels):
            return np.full(len(features), self.number, np.float32)

    def fitted(features, member, rows, labels, seed):
        halves.append(rows)
        return [Fitted(0), Fitted(1)]

    monkeypatch.setattr(study_white_box, "fit_white_boxes", fitted)
    found = study_white_box.attack_inside(experiment(people, train_size=30, n_targets=1, n_shadows=1))
    for o in (o for o in found if o.learned_on == "known members"):
        assert (o.score[halves[0][0]] == 1).all() and (o.score[halves[0][1]] == 0).all()


def test_the_ratio_of_gradient_norms_knows_which_way_members_lie():
    """A shorter gradient than in the shadows tells of a member, whatever length is usual for the record."""
    usual = np.array([10.0, 0.0])
    there = np.stack([np.stack([usual, usual + away]) for away in (-1.5, -0.5, 0.5, 1.5)]).astype(np.float32)
    log_norms = np.array([[9.0], [1.0]], np.float32)
    target = inside.Inside(np.log(np.full((2, 2), 0.5, np.float32)), usual.astype(np.float32), log_norms, [], [])
    answers = AttackData(np.full((2, 2), 0.5, np.float32), np.zeros(2, np.int64), np.array([True, False]))
    found = study_white_box._by_ratios(answers, target, there)
    shorter, longer = found["white box", "shadows", "gradient norm, LiRA"].score
    assert shorter > longer


def test_an_odd_number_of_members_and_a_single_shadow_are_enough(people):
    odd = study_white_box.attack_inside(experiment(people, train_size=31, n_targets=1, n_shadows=1))
    assert all(o.score.shape == (62,) and np.isfinite(o.score).all() for o in odd)


def test_rates_of_draws_are_those_of_the_metric():
    rng = np.random.default_rng(1)
    inside_scores, outside_scores = rng.integers(0, 12, (2, 20, 50)).astype(float)  # many ties
    member = np.arange(100) < 50
    for fpr in (0.02, 0.1, 0.5, 1.0):
        found = study_white_box._rates(inside_scores, outside_scores, fpr)
        right = [
            metrics.tpr_at_fpr(member, np.concatenate(pair), fpr) for pair in zip(inside_scores, outside_scores, strict=True)
        ]
        np.testing.assert_allclose(found, right)


def test_an_experiment_without_gradients_or_shadows_is_refused(people):
    with pytest.raises(TypeError, match="trainer must make networks"):
        study_white_box.attack_inside(experiment(people, EstimatorTrainer(BernoulliNB())))
    with pytest.raises(ValueError, match=r"e\.n_shadows must be at least 1, got 0"):
        study_white_box.attack_inside(experiment(people, n_shadows=0))


def test_the_figure_shows_each_attack_in_its_row(outcomes):
    table = study_white_box.white_box_table(outcomes)
    table = pd.concat([table, table.assign(dataset="others")])
    figure = plots.draw(plots.inside_and_outside, [table], facet="dataset", share=False)
    first, last = figure.axes
    rows = [label.get_text() for label in first.get_yticklabels()]
    assert len(rows) == len(set(table["features"])) and rows[0] == "one threshold"
    assert not first.texts and "white box" in {text.get_text() for text in last.texts}
    figure = plots.draw(plots.inside_and_outside, [table], facet="dataset", share=False, metric="tpr", fpr=0.01)
    assert figure.axes[0].get_xlabel() == "members found at 1% (%)"
    with pytest.raises(ValueError, match=r"table must hold rows of metric tpr at 0\.5, got none"):
        plots.draw(plots.inside_and_outside, [table], metric="tpr", fpr=0.5)
