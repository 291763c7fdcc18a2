"""An app between an attacker and a model: what it shows, keeps and refuses, exactly; and what is left of each attack."""

from functools import partial

import numpy as np
import pytest

from mialib import mitigations, plots
from mialib.attack import boundary
from mialib.attack.boundary import label_only_boundary
from mialib.attack.label_only import label_only_gap, label_only_noise
from mialib.core import cache
from mialib.core.types import Dataset
from mialib.study import app_kinds, apps, indirect
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


def ones_between(low, high):
    """A gate: records with low to high bits set."""
    return lambda x: (low <= x.sum(1)) & (x.sum(1) <= high)


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
    gate = ones_between(2, 5)
    whole, parts = App(Parity(), 2, gate=gate, **settings), App(Parity(), 2, gate=gate, **settings)
    together = whole.predict_proba(x)
    apart = np.concatenate([parts.predict_proba(part) for part in np.array_split(x, 13)])
    assert np.array_equal(together, apart)
    assert (whole.asked, whole.refused, whole.from_cache, whole.passed) == (
        parts.asked, parts.refused, parts.from_cache, parts.passed,
    )  # fmt: skip
    assert whole.asked == whole.refused + whole.from_cache + whole.passed


@pytest.mark.parametrize("quota", [None, 6])
@pytest.mark.parametrize("gate", [None, ones_between(1, 2)])
@pytest.mark.parametrize("key", [None, apps.same_record, apps.some_columns(np.array([0, 2]))])
def test_an_app_does_what_one_would_do_by_hand(key, gate, quota):
    x, kept, passed, expected = bits(50, 4), {}, 0, []
    for record in x:
        known = None if key is None else tuple(key(record[None])[0])
        if gate is not None and not 1 <= record.sum() <= 2:
            expected.append(None)
        elif known is not None and known in kept:
            expected.append(kept[known])
        elif quota is not None and passed == quota:
            expected.append(None)
        else:
            passed += 1
            kept[known] = Parity().predict_proba(record[None])[0]
            expected.append(kept[known])
    app = App(Parity(), 2, key=key, gate=gate, quota=quota)
    shown = app.ask(x)
    assert shown.refused.tolist() == [each is None for each in expected] and app.passed == passed
    assert np.array_equal(shown.answers, [np.zeros(2) if each is None else each for each in expected])
    assert (app.refused, app.from_cache) == (shown.refused.sum(), 50 - shown.refused.sum() - passed)


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
    assert apps.near_to(x[:1], 0.25)(x).tolist() == [True, True, False, False]
    pictures = np.zeros((2, 2, 2), np.uint8)
    pictures[1, 0] = 100  # steps of 100 down, 0 across
    assert apps.roughness(pictures).tolist() == [0, 50]
    assert apps.smooth(49)(pictures).tolist() == [True, False]


def test_a_refusal_is_a_label_of_its_own():
    x = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1]], np.uint8)
    app = App(Parity(), 2, gate=ones_between(1, 2))
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
    gate = ones_between(3, 8)
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


class Plane:
    """Class 1 where the first of two numbers is above 0."""

    def predict_proba(self, x):
        right = (x[:, 0] > 0).astype(np.float32)
        return np.stack([1 - right, right], 1)


def test_the_search_for_the_boundary_does_not_end_at_a_gate():
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    x[:, 0] += np.where(x[:, 0] > 0, 1, -1)  # a gap about the plane, in which the gate refuses nothing but a strip
    labels = (x[:, 0] > 0).astype(np.int64)

    def gate(x):
        return np.abs(np.abs(x[:, 0]) - 0.5) > 0.1

    app = App(Plane(), 2, gate=gate)
    distance = np.abs(x[:, 0]) / x[:, 0].std()
    aware = label_only_boundary(app, x, labels, max_queries=200, refused=app.refusal).score
    unaware = label_only_boundary(app, x, labels, max_queries=200).score
    assert (aware >= distance - 1e-4).all() and (unaware < distance - 0.1).any()


def test_no_search_starts_from_a_record_that_is_refused():
    answered = np.array([2, 0, 1, 2, 0, 2, 1])
    assert sorted(boundary._some_of_each_label(answered, 0, refused=2)) == [1, 2, 4, 6]
    assert sorted(boundary._some_of_each_label(answered, 0)) == list(range(7))


def test_an_owner_takes_the_coarsest_key_under_which_few_records_look_alike(experiment, folder):
    with cache.kept_in(folder):
        trial = run_stock(experiment)
    x = experiment.dataset.x[trial.population]
    for alike in (0.0, 0.1, 0.3):
        rules = app_kinds.owners_rules(trial, alike=alike)
        size, known = rules.describe["size"], app_kinds._ladder(60)
        assert 1 - len(np.unique(rules.key(x), axis=0)) / len(x) <= alike
        if size > known[0]:
            coarser = rules.key(x)[:, : known[known.index(size) - 1]]
            assert 1 - len(np.unique(coarser, axis=0)) / len(x) > alike
    assert app_kinds._ladder(8) == [2, 3, 4, 6, 8] and app_kinds._ladder(7) == [2, 3, 4, 6, 7]


def test_without_a_word_for_it_a_refusal_counts_as_another_label():
    x, app = bits(30, 12, seed=2), App(Parity(), 2, gate=ones_between(3, 8))
    assert set(label_only_gap(app, x, x[:, 0].astype(np.int64)).score) == {0.0, 1.0}
    with pytest.raises(ValueError, match="refused must be a label that no record has, got 1"):
        label_only_gap(app, x, x[:, 0].astype(np.int64), refused=1)


# What is left of each attack


@pytest.fixture(scope="module")
def experiment():
    """Models that memorise: 12 clusters of noisy bits."""
    rng = np.random.default_rng(0)
    y = np.arange(360) % 12
    x = (rng.random((12, 60)) < 0.3)[y] ^ (rng.random((360, 60)) < 0.25)
    dataset = Dataset("clusters", x.astype(np.uint8), y.astype(np.int64), 12, "own")
    return StockExperiment(dataset, NeuralTrainer(partial(mlp, 60, 12, 64), Recipe(40, 20, 0.003)), "mlp", 6, 1)


ASKING = indirect.Asking(n_targets=2, n_references=2, n_records=60, copies=10, max_queries=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def table(experiment, folder):
    with cache.kept_in(folder):
        return indirect.indirect_table(experiment, asking=ASKING, fpr=0.05)


def values(table, metric, column="value"):
    rows = table[table["metric"] == metric]
    return {(row.app, row.attack): getattr(row, column) for row in rows.itertuples()}


def test_the_table_has_a_row_an_app_an_attack_and_a_metric(table):
    fixed = ["dataset", "source", "app", "attack", "queries", "refused", "metric", "fpr", "value", "low", "high", "n_targets"]
    assert list(table) == fixed and set(table["n_targets"]) == {2}
    assert list(table["app"].unique()) == [kind.name for kind in app_kinds.APP_KINDS]
    assert not table.duplicated(["app", "attack", "metric"]).any() and not table.drop(columns="fpr").isna().any().any()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert (table["fpr"].notna() == (table["metric"] == "tpr")).all()


def test_direct_access_is_what_the_attacks_find_without_an_app(experiment, table):
    auc = values(table, "auc")
    assert auc["all answers", "lira_online_global"] > auc["all answers", "label_gap"] > 0.55
    assert auc["all answers", "confidence"] > 0.6


def test_users_are_told_the_right_label_as_often_as_the_model_knows_it(experiment, table, folder):
    with cache.kept_in(folder):
        trial = run_stock(experiment)
        right = [trial.answers(t).predictions.argmax(1) == experiment.dataset.y for t in (0, 1)]
        passed = app_kinds.owners_rules(trial).gate(experiment.dataset.x)
    fresh = [~trial.population & ~trial.own.member[t] for t in (0, 1)]
    accuracy = values(table, "test_accuracy")
    assert accuracy["all answers", "none"] == pytest.approx(np.mean([r[f].mean() for r, f in zip(right, fresh, strict=True)]))
    expected = np.mean([(r & passed)[f].mean() for r, f in zip(right, fresh, strict=True)])  # refused: not told
    assert accuracy["gate", "none"] == pytest.approx(expected) and expected < accuracy["all answers", "none"]


def test_two_targets_that_say_the_same_of_the_same_records_are_as_sure_as_one():
    rng = np.random.default_rng(0)
    among = rng.random((1, 300)) < 0.5
    right = among & (rng.random((1, 300)) < 0.7)
    one, two = (indirect._share("precision", right.repeat(t, 0), among.repeat(t, 0)) for t in (1, 2))
    assert one["value"] == right.sum() / among.sum() and one["high"] - one["low"] == pytest.approx(0.147, abs=0.03)
    assert {k: v for k, v in two.items() if k != "n_targets"} == pytest.approx(
        {k: v for k, v in one.items() if k != "n_targets"}, nan_ok=True
    )
    nobody = indirect._share("precision", np.zeros((2, 300), bool), np.stack([among[0], np.zeros(300, bool)]))
    assert nobody["n_targets"] == 1 and nobody["value"] == 0


def test_less_is_left_where_less_is_shown_and_labels_alone_are_what_they_were(table):
    auc, gain = values(table, "auc"), values(table, "auc_gain")
    assert gain["label alone", "lira_online_global"] < 0 and gain["label alone", "confidence"] < 0
    for kind in ("label and score, 2 digits", "label and score, 1 digit", "label alone"):
        for attack in ("label_gap", "label_noise", "label_boundary"):
            assert auc[kind, attack] == auc["all answers", attack] and gain[kind, attack] == 0
    assert all(gain[key] == pytest.approx(auc[key] - auc["all answers", key[1]]) for key in gain)


def test_asking_again_helps_against_noise_unless_the_answer_is_kept(table):
    auc, accuracy = values(table, "auc"), values(table, "test_accuracy")
    once, often, kept = "noise, asked once", "noise, asked 10 times", "noise, asked 10 times, exact cache"
    for attack in ("confidence", "lira_online_global"):
        assert auc[often, attack] > auc[once, attack] == pytest.approx(auc[kept, attack], abs=1e-6)
    assert accuracy[often, "none"] > accuracy[kept, "none"]
    assert values(table, "auc", "queries")[kept, "confidence"] == 10
    assert values(table, "from_cache")[kept, "confidence"] == 0.9


def test_what_is_refused_and_kept_is_counted(experiment, table, folder):
    with cache.kept_in(folder):
        rules = app_kinds.owners_rules(run_stock(experiment))
    share = 1 - rules.gate(experiment.dataset.x).mean()
    kept = 1 - len(set(apps.names_of(experiment.dataset.x, rules.key))) / 360
    refused = table[table["metric"] == "auc"].set_index(["app", "attack"])["refused"]
    assert refused["gate", "confidence"] == pytest.approx(share) and 0 < share < 0.5
    assert values(table, "from_cache")["near cache", "confidence"] == pytest.approx(kept) and kept > 0
    gated = refused.index.get_level_values("app").isin(["gate", "all three"])
    assert (refused[~gated] == 0).all() and (refused[gated] > 0).any()
    assert refused["gate", "label_noise"] > 0 and refused["all three", "label_boundary"] > 0  # and kept apart


def test_a_second_call_asks_no_model_again(experiment, table, folder, monkeypatch):
    monkeypatch.setattr(NeuralTrainer, "fit_many", lambda *_: pytest.fail("a model was wanted again"))
    with cache.kept_in(folder):
        again = indirect.indirect_table(experiment, asking=ASKING, fpr=0.05)
    assert again.equals(table)


def test_a_refused_record_is_called_a_non_member(experiment, folder):
    with cache.kept_in(folder):
        trial = run_stock(experiment)
        answers = np.stack([trial.answers(i).predictions for i in range(6)])
    known = np.arange(360) % 3 > 0
    score = indirect._judged(trial.population, known, np.ones(known.sum()))
    assert (score[~known & ~trial.population] == -np.inf).all() and np.isnan(score[trial.population]).all()
    rules = app_kinds.owners_rules(trial)._replace(gate=lambda x: x[:, 0] == 1)
    names = apps.names_of(experiment.dataset.x, apps.same_record)
    kind = app_kinds.AppKind("first bit set", gated=True)
    outside = (experiment.dataset.x[:, 0] == 0) & ~trial.population
    for found in indirect._by_answers(trial, kind, rules, ASKING, answers, names):
        assert (found.score[:, outside] == -np.inf).all()
        assert found.decision is None or not found.decision[:, outside].any()


def test_pictures_get_a_thumbnail_and_a_gate_on_roughness():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    e = StockExperiment(Dataset("noise", x, np.arange(60) % 3, 3, "own"), None, "mlp", 6, 1, 0.5)
    population = np.arange(60) < 30

    class Trial:
        experiment = e

    Trial.population = population
    rules = app_kinds.owners_rules(Trial, let_through=0.9)
    assert rules.describe["kind"] == "pictures" and rules.gate(x[population]).mean() == 0.9
    assert not rules.gate(np.where(np.indices(x.shape).sum(0) % 2, 0, 255).astype(np.uint8)).any()


# The figure


def test_the_figure_has_a_row_an_app_and_a_dot_an_attack(table):
    figure = plots.draw(plots.through_an_app, [table], facet="dataset", size=(7.2, 4.2))
    (ax,) = figure.axes
    names = [label.get_text().replace("\n", " ") for label in ax.get_yticklabels()]
    assert names == [kind.name for kind in app_kinds.APP_KINDS] and ax.get_xlabel() == "AUC"
    drawn = {line.get_color(): line for line in ax.get_lines() if line.get_marker() == "o"}
    auc = values(table, "auc")
    expected = [auc[kind.name, "lira_online_global"] for kind in app_kinds.APP_KINDS]
    assert drawn["#0072B2"].get_xdata() == pytest.approx(expected)
    assert {text.get_text()[2:] for text in ax.texts} == {
        "attack of 2017", "one threshold", "LiRA, global variance",
        "label alone: right", "label alone: noise", "label alone: boundary",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"table must hold rows of metric tpr at 0.3, got none"):
        plots.draw(plots.through_an_app, [table], metric="tpr", fpr=0.3)


# Bad input


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"top": 0}, r"top must be between 1 and 2 \(there are 2 classes\), got 0"),
        ({"top": 3}, r"top must be between 1 and 2 \(there are 2 classes\), got 3"),
        ({"digits": -1}, "digits must be between 0 and 15, got -1"),
        ({"digits": 0}, "digits must be at least 1 unless top is 1"),
        ({"digits": 2.0}, "digits must be a whole number, got 2.0"),
        ({"quota": 0}, "quota must be at least 1, got 0"),
        ({"noise": -0.1}, "noise must be at least 0, got -0.1"),
        ({"key": 4}, "key must be a function of records, or None, got 4"),
        ({"gate": "all"}, "gate must be a function of records, or None, got 'all'"),
    ],
)
def test_an_app_refuses_bad_settings(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        App(Parity(), 2, **settings)


def test_an_app_refuses_keys_and_gates_that_are_none_and_other_models():
    x = bits()
    with pytest.raises(TypeError, match="key must answer a row of numbers for each of 40 records, got int64 of shape"):
        App(Parity(), 2, key=lambda x: x.sum(1).astype(np.int64)).ask(x)
    with pytest.raises(TypeError, match=r"gate must answer bool of shape \(40,\), got uint8 of shape \(40,\)"):
        App(Parity(), 2, gate=lambda x: x[:, 0]).ask(x)
    with pytest.raises(ValueError, match="model must answer 3 classes, got"):
        App(Parity(), 3).ask(x)
    with pytest.raises(TypeError, match="model must have predict_proba, got a int"):
        App(3, 2)
    with pytest.raises(ValueError, match="columns must be at least one, got none"):
        apps.some_columns(np.array([], np.int64))
    with pytest.raises(ValueError, match="columns must be those of records"):
        apps.some_columns(np.array([8]))(x)
    with pytest.raises(ValueError, match="side must be at most that of the pictures, 4, got 5"):
        apps.thumbnail(5, 4)(np.zeros((1, 4, 4), np.uint8))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kinds": []}, "kinds must hold at least one AppKind"),
        ({"kinds": [app_kinds.DIRECT_ACCESS, app_kinds.DIRECT_ACCESS]}, "kinds must have different names"),
        ({"kinds": [app_kinds.AppKind("a", top=13)]}, "top must be between 1 and 12"),
        ({"kinds": [app_kinds.AppKind("a", keeps="some")]}, "keeps must be one of None, same, alike, got 'some'"),
        ({"kinds": [app_kinds.AppKind("a", times=0)]}, "times must be at least 1, got 0"),
        ({"asking": indirect.Asking(n_targets=5)}, "n_targets must be between 1 and 4"),
        ({"asking": indirect.Asking(copies=0)}, "copies must be at least 1, got 0"),
        ({"let_through": 0}, "let_through must be above 0"),
        ({"alike": 2}, "alike must be at least 0 and at most 1, got 2"),
        ({"fpr": 0}, "fpr must be above 0"),
    ],
)
def test_the_table_refuses_bad_settings_before_any_training(experiment, settings, message):
    broken = experiment._replace(trainer=None)
    with pytest.raises((TypeError, ValueError), match=message):
        indirect.indirect_table(broken, **settings)


def test_a_gate_that_refuses_all_members_is_named(experiment):
    left, member = np.arange(8) < 4, (np.arange(8) >= 4)[None]
    with pytest.raises(ValueError, match="some members of every target, got 'gate', which refuses all of target 0's"):
        indirect._check_left(app_kinds.AppKind("gate", gated=True), left, member)
    with pytest.raises(ValueError, match="some non-members of every target"):
        indirect._check_left(app_kinds.AppKind("gate", gated=True), left, ~member)


def test_tables_of_real_numbers_have_no_app():
    e = StockExperiment(Dataset("t", np.ones((20, 3), np.float32), np.arange(20) % 2, 2, "own"), None, "mlp", 6, 1)
    with pytest.raises(
        ValueError, match="dataset must hold bits or pictures, for which an app has a key and a gate, got float32"
    ):
        indirect.indirect_table(e)
