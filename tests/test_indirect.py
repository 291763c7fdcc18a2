"""An app between an attacker and a model: what it shows, keeps and refuses, counted exactly; and what is left of each attack."""

from functools import partial

import numpy as np
import pytest

from mialib import mitigations
from mialib.attack.boundary import label_only_boundary
from mialib.attack.label_only import label_only_gap, label_only_noise
from mialib.core.types import Dataset
from mialib.study import apps, indirect
from mialib.study.apps import App
from mialib.study.stocks import StockExperiment, run_stock
from mialib.training import NeuralTrainer, Recipe, mlp


class Parity:
    """Answers class 1 where a record's first bit is set, with the share of ones as its score's decimals; counts its rows."""

    def __init__(self):
        self.rows = []

    def predict_proba(self, x):
        self.rows += [row.tobytes() for row in x]
        sure = 0.6 + 0.3 * x.mean(1)
        p = np.stack([sure, 1 - sure], 1)
        return np.where(x[:, :1] == 1, p[:, ::-1], p).astype(np.float32)


def bits(n=40, d=8, seed=0):
    return (np.random.default_rng(seed).random((n, d)) < 0.5).astype(np.uint8)


def vectors(n=200, c=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(c) / 3, n).astype(np.float32)


# What is shown


def test_an_app_that_hides_nothing_is_the_model():
    x = bits()
    app = App(Parity(), 2)
    assert np.array_equal(app.predict_proba(x), Parity().predict_proba(x))
    assert (app.asked, app.refused, app.from_cache, app.passed) == (40, 0, 0, 40) and app.refusal is None


def test_top_labels_are_the_filters_of_mitigations():
    p = vectors()
    assert np.array_equal(apps.top_labels(p), p)
    assert np.array_equal(apps.top_labels(p, 2), mitigations.top_k(p, 2))
    assert np.array_equal(apps.top_labels(p, 1, 0), mitigations.label_only(p))
    assert np.abs(apps.top_labels(p, 1, 2) - mitigations.round_to(mitigations.top_k(p, 1), 2)).max() < 1e-7


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize("top", [None, 1, 3])
def test_the_label_is_shown_whatever_becomes_of_its_score(top, digits):
    p = np.concatenate([vectors(), [[0.31, 0.33, 0.32, 0.02, 0.02]], [[0.2, 0.2, 0.2, 0.2, 0.2]]]).astype(np.float32)
    wide = np.full((1, 40), 0.024, np.float32)
    wide[0, 7] += 0.04
    assert np.array_equal(apps.top_labels(p, top, digits).argmax(1), p.argmax(1))
    assert apps.top_labels(wide, top, 1).argmax(1) == [7]
    shown = apps.top_labels(wide / 2, top, 1)  # a score of 0.03 is shown as 0
    assert shown.argmax(1) == [7] and 0 < shown.max() < 1e-40


# What is kept


def test_the_same_record_again_is_answered_without_the_model():
    model, x = Parity(), bits()
    app = App(model, 2, key=apps.same_record)
    first = app.predict_proba(np.concatenate([x[:10], x[:10]]))
    again = app.predict_proba(x[:12])
    assert len(model.rows) == 12 == app.passed and app.from_cache == 20 and app.asked == 32
    assert np.array_equal(first[:10], first[10:]) and np.array_equal(again[:10], first[:10])


def test_records_that_look_alike_get_the_answer_to_the_first_asked():
    x = bits(2)
    x[:, :4], x[0, 4:], x[1, 4:] = 1, 0, 1
    near = partial(App, n_classes=2, key=apps.some_columns(np.arange(4)))
    forward, backward = near(Parity()).predict_proba(x), near(Parity()).predict_proba(x[::-1])
    plain = Parity().predict_proba(x)
    assert np.array_equal(forward, plain[[0, 0]]) and np.array_equal(backward, plain[[1, 1]])
    assert not np.array_equal(forward, backward)


@pytest.mark.parametrize("settings", [{}, {"noise": 0.1}, {"key": apps.some_columns(np.arange(5))}, {"quota": 7}])
def test_nothing_depends_on_how_rows_are_split_into_calls(settings):
    x = bits(60)
    gate = apps.ones_between(2, 5)
    whole, parts = App(Parity(), 2, gate=gate, **settings), App(Parity(), 2, gate=gate, **settings)
    together = whole.predict_proba(x)
    apart = np.concatenate([parts.predict_proba(part) for part in np.array_split(x, 13)])
    assert np.array_equal(together, apart)
    assert (whole.asked, whole.refused, whole.from_cache, whole.passed) == (
        parts.asked, parts.refused, parts.from_cache, parts.passed,
    )  # fmt: skip
    assert whole.asked == whole.refused + whole.from_cache + whole.passed


def test_noise_is_averaged_away_unless_the_answer_is_kept():
    x = bits(30, 20)
    truth = Parity().predict_proba(x)

    def error(times, **settings):
        app = App(Parity(), 2, noise=0.05, **settings)
        return np.abs(np.mean([app.ask(x).answers for _ in range(times)], axis=0) - truth).mean()

    once, often, kept = error(1), error(100), error(100, key=apps.same_record)
    assert often < once / 5 and kept == pytest.approx(once, rel=1e-5)


def test_a_thumbnail_is_the_mean_of_its_blocks():
    x = np.zeros((2, 4, 4, 3), np.uint8)
    x[0, :2, :2] = 255
    x[1, 2:, 2:, 0] = 255  # red alone: grey 85
    assert apps.thumbnail(2, 4)(x).tolist() == [[3, 0, 0, 0], [0, 0, 0, 1]]
    assert apps.thumbnail(1, 4)(x).tolist() == [[0], [0]]
    assert apps.thumbnail(2, 256)(x[..., 0]).tolist() == [[255, 0, 0, 0], [0, 0, 0, 255]]


# What is refused


def test_gates_let_through_what_they_say():
    x = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], np.uint8)
    assert apps.ones_between(1, 3)(x).tolist() == [False, True, True, False]
    assert apps.near_to(x[:1], 0.25)(x).tolist() == [True, True, False, False]
    pictures = np.zeros((2, 2, 2), np.uint8)
    pictures[1, 0] = 100  # steps of 100 down, 0 across
    assert apps.roughness(pictures).tolist() == [0, 50]
    assert apps.smooth(49)(pictures).tolist() == [True, False]


def test_a_refusal_is_a_label_of_its_own():
    x = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1]], np.uint8)
    app = App(Parity(), 2, gate=apps.ones_between(1, 2))
    shown = app.predict_proba(x)
    assert app.refusal == 2 and shown.shape == (3, 3) and shown.argmax(1).tolist() == [2, 1, 2]
    assert shown[[0, 2]].tolist() == [[0, 0, 1]] * 2 and (app.refused, app.passed) == (2, 1)
    assert app.ask(x).refused.tolist() == [True, False, True]


def test_a_quota_counts_what_reaches_the_model():
    x = np.concatenate([bits(4), bits(4)])
    app = App(Parity(), 2, key=apps.same_record, quota=3)
    assert app.ask(x).refused.tolist() == [False, False, False, True] * 2
    assert (app.passed, app.from_cache, app.refused) == (3, 3, 2)


def test_label_only_attacks_take_a_refusal_for_no_answer():
    x = bits(30, 12, seed=2)
    labels = x[:, 0].astype(np.int64)  # all right
    labels[3] = 1 - labels[3]
    gate = apps.ones_between(3, 8)
    some = gate(x)
    app = App(Parity(), 2, gate=gate)
    gap = label_only_gap(app, x, labels, refused=app.refusal).score
    assert np.array_equal(gap, np.where(some, np.arange(30) != 3, -np.inf)) and 0 < (~some).sum() < 30
    noise = label_only_noise(app, x, labels, rate=0.1, copies=40, refused=app.refusal).score
    plain = label_only_noise(Parity(), x, labels, rate=0.1, copies=40).score
    assert noise[some] == pytest.approx(plain[some], abs=0.2)  # whether a copy is refused says little of its label
    found = label_only_boundary(app, x, labels, max_queries=200, refused=app.refusal)
    assert (found.score[~some] == -np.inf).all() and found.score[3] == (0 if some[3] else -np.inf)
    assert (found.score[some & (np.arange(30) != 3)] >= 1).all() and app.asked == 30 + 30 * 40 + found.queries.sum()


def test_without_a_word_for_it_a_refusal_counts_as_another_label():
    x, app = bits(30, 12, seed=2), App(Parity(), 2, gate=apps.ones_between(3, 8))
    assert set(label_only_gap(app, x, x[:, 0].astype(np.int64)).score) == {0.0, 1.0}
    with pytest.raises(ValueError, match="refused must be a label that no record has, got 1"):
        label_only_gap(app, x, x[:, 0].astype(np.int64), refused=1)
