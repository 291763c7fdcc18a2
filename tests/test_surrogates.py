"""Services: Amazon's is a documented algorithm, repeated here literally; so is each family that the other one chooses among."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from mialib import shadow
from mialib.core import randomness
from mialib.core.types import Dataset, Split
from mialib.study import experiments, google
from mialib.study.amazon import BINS, AmazonML
from mialib.study.google import PredictionAPI
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer


def bits(n=300, d=24, n_classes=4, seed=0):
    """Noisy copies of one pattern a class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    patterns = rng.random((n_classes, d)) < 0.4
    return Dataset("bits", (patterns[y] ^ (rng.random((n, d)) < 0.15)).astype(np.uint8), y, n_classes, "standin")


def table(n=300, seed=0):
    """Two binary columns, and two numeric ones of very different ranges; the class is a band of the first numeric one."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(0, 2, (n, 2)), rng.normal(size=n), 1e4 * rng.random(n)]).astype(np.float32)
    return Dataset("table", x, (np.abs(x[:, 2]) < 0.7).astype(np.int64), 2, "standin")


def images(n=80, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.integers(0, 40, (n, 6, 6)) + 60 * y[:, None, None]
    return Dataset("images", x.astype(np.uint8), y, 3, "standin")


def rows_of(dataset, k, n, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(len(dataset.x))[:n] for _ in range(k)])


def answers(model, dataset):
    return model.predict_proba(dataset.x)


def accuracy(model, dataset):
    return (answers(model, dataset).argmax(1) == dataset.y).mean()


def literal_amazon(dataset, row, passes, l2, seed, number, rate):
    """Softmax regression by gradient descent on batches, written out; starts and orders from the documented streams."""
    torch.manual_seed(randomness.derive(seed, "weights", number))
    layer = torch.nn.Linear(dataset.x.shape[1], dataset.n_classes)
    w, b = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    x, y = dataset.x[row].astype(float), np.eye(dataset.n_classes)[dataset.y[row]]
    order = randomness.torch_generator(seed, "order", number)
    for _ in range(passes):
        shuffled = torch.randperm(len(row), generator=order).numpy()
        for start in range(0, len(row), 50):
            batch = shuffled[start : start + 50]
            slope = softmax(x[batch] @ w.T + b) - y[batch]
            w, b = w - rate * (slope.T @ x[batch] / len(batch) + 2 * l2 / len(row) * w), b - rate * slope.mean(0)
    return softmax(dataset.x @ w.T + b)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize(("passes", "l2"), [(3, 0.0), (2, 0.12), (2, 24.0)])
def test_amazon_is_softmax_regression_by_gradient_descent(passes, l2):
    data, row = bits(), np.arange(120)
    squared_length = (data.x[row].astype(float) ** 2).sum(1).mean()
    rate = 2 ** round(np.log2(1600 / squared_length))
    expected = literal_amazon(data, row, passes, l2, 5, 0, min(rate, 0.25 / (l2 / len(row))) if l2 else rate)
    found = AmazonML(passes, l2).fit_many(data, row[None], seed=5)[0]
    np.testing.assert_allclose(answers(found, data), expected, atol=1e-4)


def test_amazon_bins_numbers_by_quantiles_of_its_own_training_set():
    data, row = table(), np.arange(100, 250)
    encoded = [data.x[:, :2]]
    for column in (2, 3):
        edges = np.sort(data.x[row, column])[[int(q * (len(row) - 1) / BINS) for q in range(1, BINS)]]
        number = np.array([sum(value > edge for edge in edges) for value in data.x[:, column]])
        encoded.append(number[:, None] == np.arange(BINS))
    binned = replace(data, x=np.concatenate(encoded, 1).astype(np.uint8))
    expected = literal_amazon(binned, row, 2, 1e-6, 3, 0, 2 ** round(np.log2(1600 / binned.x[row].sum(1).mean())))
    found = AmazonML(2).fit_many(data, row[None], seed=3)[0]
    np.testing.assert_allclose(answers(found, data), expected, atol=1e-4)
    assert (
        accuracy(AmazonML().fit_many(data, row[None], seed=3)[0], data) > 0.85
    )  # a band: no line through the raw numbers separates it


def test_amazon_takes_images_and_attributes_outside_the_range_that_it_saw():
    data = images()
    model = AmazonML().fit_many(data, np.arange(40)[None], seed=0)[0]
    assert accuracy(model, data) > 0.9
    beyond = model.predict_proba(np.full_like(data.x[:3], 255))
    assert np.isfinite(beyond).all() and np.allclose(beyond.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("make_data", [bits, table, images])
def test_amazon_models_depend_on_seed_number_and_their_own_rows_only(make_data, monkeypatch, tmp_path):
    data = make_data()
    rows = rows_of(data, 4, 40)
    together = [answers(model, data) for model in AmazonML().fit_many(data, rows, seed=1, first=2)]
    for j in (3, 0):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / f"alone{j}"))
        others = np.setdiff1d(np.arange(len(data.x)), rows[j])
        changed = replace(data, x=data.x.copy(), y=data.y.copy())
        changed.x[others[:20]], changed.y[others[:20]] = data.x[rows[j][0]], 0
        alone = AmazonML().fit_many(changed, rows[j][None], seed=1, first=2 + j)[0]
        np.testing.assert_allclose(answers(alone, data), together[j], atol=1e-4)
    other = AmazonML().fit_many(data, rows[:1], seed=1, first=3)[0]
    assert not np.array_equal(answers(other, data), together[0])


def test_amazon_rates_follow_the_data_of_each_model():
    data = bits(d=120)
    dense = replace(data, x=np.concatenate([data.x[:150], np.repeat(data.x[150:, :30], 4, 1) | 1]))
    rows = np.stack([np.arange(50), np.arange(200, 250), np.arange(60, 110)])
    together = AmazonML(1, 0).fit_many(dense, rows, seed=0)
    for j, row in enumerate(rows):
        rate = 2 ** round(np.log2(1600 / dense.x[row].sum(1, dtype=float).mean()))
        expected = literal_amazon(dense, row, 1, 0, 0, j, rate)
        np.testing.assert_allclose(answers(together[j], dense), expected, atol=1e-4)


def test_amazon_settings_do_what_they_say():
    data = replace(bits(n=600, d=100, n_classes=8), y=np.random.default_rng(0).integers(0, 8, 600))
    row = np.arange(200)
    few, many, flat = (AmazonML(*s).fit_many(data, row[None], 0)[0] for s in ((1, 0.0), (40, 0.0), (40, 2000.0)))
    members = replace(data, x=data.x[row], y=data.y[row])
    assert accuracy(few, members) < 0.9 < accuracy(many, members)
    assert answers(flat, data).max() < 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"max_passes": 0}, ValueError, "max_passes.*between 1 and 10000, got 0"),
        ({"max_passes": 1.5}, TypeError, "max_passes must be a whole number, got 1.5"),
        ({"max_passes": True}, TypeError, "max_passes"),
        ({"l2": -1e-6}, ValueError, "l2 must be at least 0, got -1e-06"),
        ({"l2": float("nan")}, ValueError, "l2 must be at least 0, got nan"),
        ({"l2": float("inf")}, ValueError, "l2"),
        ({"l2": "mild"}, TypeError, "l2 must be a number, got 'mild'"),
    ],
)
def test_amazon_settings_that_are_wrong_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        AmazonML(**arguments)


def changes():
    data, rows = bits(), np.arange(20).reshape(2, 10)
    yield "passes", AmazonML(11), data, rows, 0, 0
    yield "l2", AmazonML(l2=1e-4), data, rows, 0, 0
    yield "data", AmazonML(), bits(seed=1), rows, 0, 0
    yield "classes", AmazonML(), replace(data, n_classes=5), rows, 0, 0
    yield "rows", AmazonML(), data, rows + 1, 0, 0
    yield "seed", AmazonML(), data, rows, 1, 0
    yield "number", AmazonML(), data, rows, 0, 2


@pytest.mark.parametrize("change", list(changes()), ids=lambda change: change[0])
def test_what_changes_amazon_changes_its_keys(change):
    kept = AmazonML().keys(bits(), np.arange(20).reshape(2, 10), 0, 0)
    assert kept == AmazonML(10, 1e-6).keys(bits(), np.arange(20).reshape(2, 10), 0, 0)
    assert all(key not in kept for key in change[1].keys(*change[2:]))


SERVICES = [AmazonML(), PredictionAPI()]


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("make_data", [bits, table, images])
def test_services_make_shadow_data_once(service, make_data, monkeypatch):
    data = make_data()
    splits = [Split(row[:30], row[30:]) for row in rows_of(data, 3, 60)]
    found = shadow.shadow_attack_data(service, data, splits, seed=1)
    assert found.predictions.shape == (180, data.n_classes)
    assert shadow.count_missing(service, data, splits, seed=1) == 0
    monkeypatch.setattr(type(service), "fit_many", None)
    again = shadow.shadow_attack_data(service, data, splits, seed=1)
    np.testing.assert_array_equal(found.predictions, again.predictions)


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("make_data", [bits, table])
def test_services_are_announced_with_their_cost(service, make_data):
    data = make_data()
    experiment = experiments.Experiment(data, service, "surrogate", train_size=20, n_targets=1, n_shadows=2, seed=0)
    assert "3 of 3 models to train, about" in experiments.announce(experiment)
    estimate = service.estimate(data, 50, 3)
    assert estimate.models == 3 and estimate.seconds > 0 and estimate.megabytes > 0


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: type(s).__name__)
def test_services_name_bad_rows(service):
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.299, got 0\.\.300"):
        service.fit_many(bits(), np.array([[0, 300]]), 0)
    with pytest.raises(TypeError, match="rows must be whole numbers"):
        service.fit_many(bits(), np.zeros((1, 3)), 0)
    with pytest.raises(ValueError, match="first must be at least 0"):
        service.fit_many(bits(), np.array([[0, 1]]), 0, first=-1)
    with pytest.raises(ValueError, match="n must be between 1 and 300"):
        service.estimate(bits(), 301, 1)


def api_model(data, row, seed=0, first=0):
    return PredictionAPI().fit_many(data, np.asarray(row)[None], seed, first)[0]


@pytest.mark.parametrize("make_data", [bits, table, images])
def test_api_models_depend_on_seed_number_and_their_own_rows_only(make_data):
    data = make_data()
    rows = rows_of(data, 4, 40)
    together = [answers(model, data) for model in PredictionAPI().fit_many(data, rows, seed=1, first=2)]
    for j in (3, 0):
        others = np.setdiff1d(np.arange(len(data.x)), rows[j])
        changed = replace(data, x=data.x.copy(), y=data.y.copy())
        changed.x[others[:20]], changed.y[others[:20]] = data.x.max(), 0
        alone = answers(api_model(changed, rows[j], 1, 2 + j), data)
        np.testing.assert_allclose(alone, together[j], atol=1e-4)
    assert not np.array_equal(answers(api_model(data, rows[0], 1, 3), data), together[0])
    assert not np.array_equal(answers(api_model(data, rows[0], 2, 2), data), together[0])


def halves():
    """The table with a class that a line can tell: few records and passes teach no band."""
    data = table()
    return replace(data, y=(data.x[:, 2] > 0).astype(np.int64))


@pytest.mark.parametrize("make_data", [bits, halves, images])
def test_api_answers_are_probabilities_of_a_model_that_learned(make_data):
    data = make_data()
    model = api_model(data, np.arange(min(150, len(data.x) - 20)))
    found = answers(model, data)
    assert found.dtype == np.float32 and found.shape == (len(data.x), data.n_classes)
    assert found.min() >= 0 and found.max() <= 1 and np.allclose(found.sum(1), 1, atol=1e-5)
    assert accuracy(model, data) > np.bincount(data.y).max() / len(data.y) + 0.2
    assert model.predict_proba(data.x[:0]).shape == (0, data.n_classes)


@pytest.mark.parametrize("make_data", [bits, table, images])
@pytest.mark.parametrize("row", [[5], [5, 6], [7] * 6])
def test_api_takes_the_smallest_training_sets(make_data, row):
    data = make_data()
    found = answers(api_model(data, row), data)
    assert np.isfinite(found).all() and np.allclose(found.sum(1), 1, atol=1e-5)


def test_api_keys_change_with_what_determines_a_model():
    data, rows = bits(), np.arange(20).reshape(2, 10)
    kept = PredictionAPI().keys(data, rows, 0, 0)
    assert kept == PredictionAPI().keys(data, rows, 0, 0) and kept[0] != kept[1]
    for change in ((bits(seed=1), rows, 0, 0), (data, rows + 1, 0, 0), (data, rows, 1, 0), (data, rows, 0, 2)):
        assert all(key not in kept for key in PredictionAPI().keys(*change))


def sayer(shares, seen=None):
    """A family that answers the held-out classes right with the given share, whatever it is trained on."""

    def learn(learners, n_classes, seed):
        def ask(asked):
            right = np.arange(len(asked)) < shares * len(asked)
            return np.eye(n_classes)[np.where(right, asked[:, 0], (asked[:, 0] + 1) % n_classes)]

        if seen is not None:
            seen.extend(each.x for each in learners)
        return [ask] * len(learners)

    return learn


@pytest.mark.parametrize(("shares", "chosen"), [((0.5, 0.9), 1), ((0.9, 0.5), 0), ((0.5, 0.52), 0), ((0.5, 0.6, 0.61), 1)])
def test_the_best_family_is_chosen_and_the_first_of_equals(shares, chosen):
    y = np.random.default_rng(0).integers(0, 4, 1000)
    candidates = [sayer(share) for share in shares]
    assert google.choose(candidates, [google.Learner(y[:, None], y, 0)], 4, 0) == [candidates[chosen]]


def test_each_learner_of_a_stack_chooses_for_itself():
    """Records of 0 are told right by the first family alone, those of 1 by the second."""

    def of_records(wanted):
        return lambda learners, n_classes, seed: [
            lambda asked: np.eye(2)[asked[:, 1] if asked[0, 0] == wanted else 1 - asked[:, 1]] for _ in learners
        ]

    candidates, y = [of_records(0), of_records(1)], np.arange(50) % 2
    learners = [google.Learner(np.stack([np.full(50, kind), y], 1), y, number) for number, kind in enumerate([1, 0, 0, 1])]
    assert google.choose(candidates, learners, 2, 0) == [candidates[kind] for kind in (1, 0, 0, 1)]


def test_learners_of_several_kinds_are_taught_in_their_places(monkeypatch):
    """Two whose records are bits choose among other families than two whose records are not."""
    monkeypatch.setattr("mialib.study.google.offered", lambda x: [google.kernel_machine if x.max() == 1 else google.network])
    data, number = bits(n=120), iter(range(4))
    learners = [google.Learner(data.x[:60] * (1 + j % 2), data.y[:60], next(number)) for j in range(4)]
    together = google.learn(learners, 4, seed=3)
    for learner, ask in zip(learners, together, strict=True):
        (alone,) = google.learn([learner], 4, seed=3)
        np.testing.assert_allclose(ask(learner.x), alone(learner.x), atol=1e-5)
    assert not np.allclose(together[1](learners[1].x), together[3](learners[3].x), atol=1e-3)  # of other initial weights


def test_families_are_tried_on_records_that_they_were_not_trained_on():
    x, seen = np.arange(100)[:, None], []
    held = []

    def learn(*arguments):
        (ask,) = sayer(1.0, seen)(*arguments)
        return [lambda asked: held.append(asked) or ask(asked % 4)]

    google.choose([learn, learn], [google.Learner(x, np.arange(100) % 4, 0)], 4, 0)
    assert len(seen) == len(held) == 2
    for trained, asked in zip(seen, held, strict=True):
        assert len(asked) == 20 and sorted([*trained[:, 0], *asked[:, 0]]) == list(range(100))
    np.testing.assert_array_equal(held[0], held[1])


def test_the_network_is_what_the_trainer_of_networks_makes():
    data, row = bits(), np.arange(90)
    expected = NeuralTrainer(lambda: mlp(24, 4), google.NETWORK_RECIPE, device="cpu").fit_many(data, row[None], 3, first=4)[0]
    found = google.network([google.Learner(data.x[row], data.y[row], 4)], 4, 3)[0](data.x)
    np.testing.assert_allclose(found, answers(expected, data), atol=1e-5)


def test_the_kernel_machine_is_regularised_least_squares():
    data, row = bits(n=120), np.arange(50)
    distance = ((data.x[:, None].astype(float) - data.x[None, row]) ** 2).sum(2)
    kernel = np.exp(-distance / distance[row].mean())
    weights = np.linalg.solve(kernel[row] + google.RIDGE * np.eye(50), np.eye(4)[data.y[row]])
    powers = (np.maximum(kernel @ weights, 0) + google.LEAST_SCORE) ** google.POWER
    found = next(google.kernel_machine([google.Learner(data.x[row], data.y[row], 0)], 4, 0))(data.x)
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), atol=1e-4)


def test_what_is_offered_follows_from_the_kind_of_records_and_their_cost(monkeypatch):
    assert google.kernel_machine in google.offered(bits().x)
    assert google.kernel_machine not in google.offered(table().x)
    assert google.kernel_machine not in google.offered(np.zeros((3, google.MOST_BITS + 1), np.uint8))
    monkeypatch.setattr("mialib.study.google.MOST_RECORDS", 299)
    assert google.kernel_machine not in google.offered(bits().x)


@pytest.mark.parametrize(
    "asked", [np.zeros((2, 23), np.uint8), np.zeros(24, np.uint8), np.full((2, 24), "a"), np.full((2, 24), np.nan)]
)
def test_api_models_name_records_that_they_cannot_answer(asked):
    with pytest.raises(ValueError, match="x must be"):
        api_model(bits(), np.arange(60)).predict_proba(asked)


def test_only_answers_of_an_api_model_are_public():
    assert [name for name in dir(api_model(bits(), np.arange(20))) if not name.startswith("_")] == ["predict_proba"]
    assert [name for name in dir(PredictionAPI()) if not name.startswith("_")] == [
        "at_once", "estimate", "fit_many", "keys", "together",
    ]  # fmt: skip


def test_errors_of_a_family_come_through(monkeypatch):
    def fail(*_):
        raise ValueError("the family failed")

    monkeypatch.setattr("mialib.study.google.offered", lambda x: [google.kernel_machine])
    model = api_model(bits(), np.arange(30))
    monkeypatch.setattr(google, "squared_distances", fail)
    for action in (lambda: api_model(bits(), np.arange(30)), lambda: model.predict_proba(bits().x[:2])):
        with pytest.raises(ValueError, match="the family failed"):
            action()


def test_training_and_asking_print_nothing(caplog, capfd, recwarn):
    caplog.set_level(logging.DEBUG)
    api_model(bits(), np.arange(60)).predict_proba(bits().x)
    assert not capfd.readouterr().out and not caplog.records and not recwarn.list
