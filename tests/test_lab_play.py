"""Controls of notebooks: what they show, counted by hand; how they settle; what stands where nobody can turn them."""

import sys

import looks
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from mialib import lab, metrics, plots, runs
from mialib.attack.learned import fit_attack
from mialib.attack.likelihood_ratio import lira
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Dataset, some_models
from mialib.lab import controls, decisions, mitigation, noise, record, threshold
from mialib.lab.canvas import PLAY_SIZE, Canvas, Scene
from mialib.lab.controls import Control
from mialib.plots.panels import STYLE
from mialib.study import experiments, exposure, leakage, stocks
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

SPAN = (-4.0, 4.0)


@pytest.fixture
def scores():
    """Scores with ties, some of records that are not judged, and which of the records are members."""
    rng = np.random.default_rng(3)
    member = rng.random(200) < 0.4
    score = np.round(rng.normal(size=200) + member, 1)
    score[:7] = np.nan
    return score, member


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run by hand, of a data set that is a stand-in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "Makefile").touch()
    return runs.start("00_by_hand", "quick", {}, [{"name": "location", "source": "standin"}])


def answers_of(n_models, n=60, seed=0):
    """Answers of models to three classes, as many members as others; members are answered more surely."""
    rng = np.random.default_rng(seed)
    labels, member = rng.integers(0, 3, n_models * n), np.tile(np.arange(n) < n // 2, n_models)
    logits = rng.normal(size=(n_models * n, 3))
    logits[np.arange(len(labels)), labels] += np.where(member, 3, 1)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return AttackData(p.astype(np.float32), labels, member)


# A threshold


def test_counts_are_those_of_a_loop_over_records(scores):
    score, member = scores
    thresholds = np.array([-np.inf, -1.0, 0.0, 0.1, 0.3, 2.0, np.inf])
    counts = decisions.counts_at(score, member, thresholds)
    for i, t in enumerate(thresholds):
        found = accused = 0
        for s, inside in zip(score, member, strict=True):
            if not np.isnan(s) and s >= t:
                found, accused = found + inside, accused + (not inside)
        assert (counts.true_positives[i], counts.false_positives[i]) == (found, accused)
        assert (counts.members[i], counts.nonmembers[i]) == (member[7:].sum(), (~member[7:]).sum())


def test_a_higher_threshold_calls_fewer_and_the_ends_call_all_and_none(scores):
    score, member = scores
    counts = decisions.counts_at(score, member, decisions.slider_thresholds(score))
    for called, total in ((counts[1], counts[0]), (counts[3], counts[2])):
        assert (np.diff(called) <= 0).all() and called[0] == total[0] and called[-1] == 0
    assert np.isnan(metrics.precision(counts)[-1]) and metrics.recall(counts)[-1] == 0


@pytest.mark.parametrize(
    ("values", "low", "step", "high"),
    [([-41.0, 0.5, 4.02], -20, 0.5, 4.5), ([-0.013, 0.017], -0.013, 0.0005, 0.017), ([2.0, 3.0], 0, 0.05, 3)],
)
def test_a_slider_has_round_thresholds_with_zero_among_them(values, low, step, high):
    found = decisions.slider_thresholds(np.array([*values, np.nan, -np.inf]))
    assert found[0] == -np.inf and found[-1] == np.inf
    np.testing.assert_allclose(found[1:-1], np.arange(round(low / step), round(high / step) + 1) * step, atol=1e-12)
    assert 0.0 in found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decisions.slider_thresholds(np.array([np.nan])), "score must hold a finite number, got 1 that are not"),
        (
            lambda: decisions.counts_at(np.zeros(2), np.ones(2), np.zeros(1)),
            r"member must be bool of shape \(n,\), got f",
        ),
        (lambda: decisions.counts_at(np.zeros(3), np.ones(2, bool), np.zeros(1)), r"score must be numbers of shape \(2,\)"),
        (lambda: decisions.counts_at(np.zeros(1), np.ones(1, bool), np.array([np.nan])), "thresholds must be numbers, got 1"),
        (lambda: decisions.decision_tables(np.zeros(2), np.eye(2)[0] > 0, 0, (1, 1)), "span must rise, got 1..1"),
    ],
)
def test_what_is_no_score_is_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_the_tables_hold_every_record_once_and_the_rates_of_its_decisions():
    data, score = answers_of(1), np.random.default_rng(1).normal(size=60) * 3
    marks, position = decisions.decision_tables(score, data.member, 0.4, SPAN)
    by_panel = {panel: rows for panel, rows in marks.groupby("panel", sort=False)}
    assert list(by_panel) == ["scores", "decisions", "ROC curve"]
    assert by_panel["scores"].groupby("line")["y"].sum().to_dict() == {"members": 30, "non-members": 30}
    tiles = by_panel["decisions"].set_index(["line", "x"])["y"]
    assert tiles["members", 1] == (score[data.member] >= 0.4).sum() and tiles["members"].sum() == 30
    rates = metrics.overall(data, score >= 0.4)
    assert position["precision"].item() == pytest.approx(rates["precision"])
    assert position["recall"].item() == pytest.approx(rates["recall"])
    curve = by_panel["ROC curve"]
    on_it = np.isclose(curve["x"], position["false_positive_rate"].item()) & np.isclose(curve["y"], position["recall"].item())
    assert on_it.any() and (curve["x"].iloc[0], curve["y"].iloc[-1]) == (0, 1)


def test_words_say_what_the_figure_shows():
    member = np.array([True, True, False, False])
    tables = decisions.decision_tables(np.array([1.0, 2.0, 0.5, -1.0]), member, 0.5, SPAN)
    words = "Called members: 2 of 2 members, 1 of 2 non-members. Precision 0.667, recall 1.000, false positive rate 0.500."
    assert decisions.decision_words(*tables) == words
    nobody = decisions.decision_tables(np.array([1.0, 2.0, 0.5, -1.0]), member, np.inf, SPAN)
    assert "Precision undefined, recall 0.000" in decisions.decision_words(*nobody)


def test_the_attack_on_the_first_shadows_is_fitted_once_and_is_that_of_these_alone(monkeypatch):
    answers, shadows = answers_of(1), answers_of(4, seed=2)
    fitted = []
    monkeypatch.setattr(threshold, "fit_attack", lambda data: (fitted.append(len(data)), fit_attack(data))[1])
    by_count = threshold.ScoresByCount(answers, shadows, 4)
    expected = fit_attack(some_models(shadows, 0, 2, 4)).membership_score(answers)
    np.testing.assert_array_equal(by_count(2), expected)
    np.testing.assert_array_equal(by_count(2), expected)
    assert fitted == [120]
    with pytest.raises(ValueError, match="shadows must hold as many answers for each of 7 models, got 240 in all"):
        threshold.ScoresByCount(answers, shadows, 7)


# Controls


CHOICES = [
    Control("dataset", "data set", "menu", [("A", "a"), ("B", "b")], "b"),
    Control("k", "models", "slider", lambda p: [(str(k), k) for k in ((1, 2) if p["dataset"] == "a" else (2, 4))], 4),
]


def test_controls_keep_what_is_wanted_where_it_is_offered():
    assert controls.settle(CHOICES, {})[0] == {"dataset": "b", "k": 4}
    assert controls.settle(CHOICES, {"dataset": "a", "k": 2})[0] == {"dataset": "a", "k": 2}
    position, offered = controls.settle(CHOICES, {"dataset": "a", "k": 4})  # neither 4 nor the start: the first
    assert position == {"dataset": "a", "k": 1} and offered["k"] == [("1", 1), ("2", 2)]
    most = CHOICES[1]._replace(start=lambda p: 2 if p["dataset"] == "a" else 4)
    assert controls.settle([CHOICES[0], most], {"dataset": "a"})[0]["k"] == 2


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (Control("k", "models", "knob", [("1", 1)]), "kind must be one of slider, menu, buttons, got 'knob'"),
        (Control("k", "models", "menu", []), r"options of 'k' must hold at least one at \{\}, got none"),
    ],
)
def test_controls_that_offer_nothing_are_named(control, message):
    with pytest.raises(ValueError, match=message):
        controls.settle([control], {})


def test_counts_and_classes_that_are_offered():
    assert controls.counts_up_to(60) == [1, 2, 5, 10, 20, 50, 60] and controls.counts_up_to(1) == [1]
    labels, member = np.array([0, 0, 1, 1, 2]), np.array([True, False, True, True, False])
    assert controls.class_options(labels, member, ["cat", "dog", "owl"]) == [("all", -1), ("cat", 0)]
    np.testing.assert_array_equal(controls.rows_of_class(labels, 1), labels == 1)
    assert controls.rows_of_class(labels, -1).all()


def shown_at(cut):
    rng = np.random.default_rng(0)
    member = np.arange(80) < 40
    tables = decisions.decision_tables(rng.normal(size=80) + member, member, cut, SPAN)
    return Scene(plots.called_members, tables, f"cut at {cut}")


def test_a_picture_is_the_same_after_there_and_back():
    canvas = Canvas({"datasets": []})
    first = canvas.png(shown_at(0.0))
    assert canvas.png(shown_at(1.0)) != first
    assert canvas.png(shown_at(0.0)) == first


def test_axes_that_change_are_drawn_again():
    marks, position = shown_at(0.0).tables
    other = Scene(plots.called_members, (marks, position.assign(column="another")), "")
    canvas = Canvas({"datasets": []})
    canvas.png(shown_at(0.0))
    assert canvas.png(other) == Canvas({"datasets": []}).png(other)


def test_turned_controls_change_picture_and_words_and_say_what_fails(run):
    def shown(cut):
        if cut == 2.0:
            raise ValueError("cut must be <below> 2")
        return shown_at(cut)

    options = [(f"{cut:g}", cut) for cut in (0.0, 1.0, 2.0)]
    box = controls.playground(run, "play", [Control("cut", "cut", "slider", options)], shown)
    (slider,), picture, words = box.children[0].children, *box.children[1:]
    before = bytes(picture.value)
    assert "cut at 0.0" in words.value and before.startswith(b"\x89PNG")
    slider.value = 1.0
    assert "cut at 1.0" in words.value and picture.value != before
    slider.value = 2.0
    assert 'role="alert"' in words.value and "ValueError: cut must be &lt;below&gt; 2" in words.value
    slider.value = 0.0
    assert "cut at 0.0" in words.value and picture.value == before


def test_options_follow_the_controls_before_them(run):
    box = controls.playground(run, "play", CHOICES, lambda dataset, k: shown_at(k / 8))
    first, second = box.children[0].children
    assert [value for _, value in second.options] == [2, 4] and second.value == 4
    first.value = "a"
    assert [value for _, value in second.options] == [1, 2] and second.value == 1
    assert "cut at 0.125" in box.children[2].value


def test_under_the_runner_a_figure_stands_that_can_be_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_OUT", str(tmp_path / "out"))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # an executed notebook holds no state of widgets
    run = runs.start("00_by_hand", "quick", {}, [{"name": "location", "source": "standin"}])
    picture = lab.play_threshold(run, answers_of(1), answers_of(2, seed=2), 2)
    assert picture.data.startswith(b"\x89PNG")
    figures = tmp_path / "out" / "figures"
    before = (figures / "play.svg").read_bytes()
    assert b"stand-in data: Location" in before
    monkeypatch.setenv("MIALIB_CACHE", "off")
    assert runs.redraw(tmp_path / "out" / "results", figures) == ["play"]
    assert (figures / "play.svg").read_bytes() == before


# Each notebook's own


def test_noise_follows_the_shadow_data_and_their_number(tmp_path, run, monkeypatch):
    rng = np.random.default_rng(0)
    dataset = Dataset("location", rng.integers(0, 2, (160, 10), dtype=np.uint8), rng.integers(0, 3, 160), 3, "standin")
    trainer = NeuralTrainer(lambda: mlp(10, 3, hidden=8), Recipe(2, 10, 0.05), "cpu", chunk=4)
    sources = experiments.noisy_sources(dataset, (0.1, 0.2), ("flip", "random"), 1)
    trials = experiments.run_trials(experiments.Experiment(dataset, trainer, "local", 30, 2, 2, 1, sources))
    kept = {}
    monkeypatch.setattr(noise, "playground", lambda run, name, choices, shown, ahead: kept.update(choices=choices, shown=shown))
    lab.play_noise(run, trials)
    position, offered = controls.settle(kept["choices"], {"mode": "random", "rate": 0.1})
    assert (position["rate"], position["mode"], position["k"], position["cls"]) == (0.1, "random", 2, -1)
    assert [value for _, value in offered["rate"]] == [0.0, 0.1, 0.2] and [value for _, value in offered["k"]] == [1, 2]
    (trial,) = [t for t in trials if t.target == 0 and (t.case.setting, t.case.variant) == ("shadow:noise10", "random")]
    (outcome,) = experiments.run_attacks([trial], experiments.ONLY_LEARNED)
    rates = metrics.overall(trial.answers, outcome.decision)
    at = kept["shown"](**position).tables[1]
    assert at["recall"].item() == pytest.approx(rates["recall"])
    assert at["precision"].item() == pytest.approx(rates["precision"], nan_ok=True)
    assert noise.noise_rate("shadow:real") == 0 and noise.noise_rate("shadow:noise2.5") == 0.025
    with pytest.raises(ValueError, match="setting must be shadow:real or shadow:noise and a percentage, got 'shadow:marginal'"):
        noise.noise_rate("shadow:marginal")


def utility_points():
    rows = [("none", "", 0, 0.6, 0.9), ("L2", "λ", 1e-3, 0.62, 0.8), ("L2", "λ", 1e-2, 0.4, 0.85)]
    table = pd.DataFrame([*rows, ("label only", "", 1, 0.6, 0.7)], columns=["mitigation", "knob", "at", "utility", "leakage"])
    steps = {"low": -0.01, "high": 0.01}
    ends = {f"{rate}_{end}": table[rate] + by for rate in ("utility", "leakage") for end, by in steps.items()}
    front = leakage.pareto_front(table["utility"], table["leakage"])
    one = table.assign(dataset="location", source="standin", front=front, **ends)
    return pd.concat([one.assign(variant=variant) for variant in ("unaware", "aware")], ignore_index=True)


def test_a_mitigation_stands_among_all_and_beside_none(run):
    table = mitigation.mitigation_points(utility_points(), "location", "aware", "L2", 1e-2)
    assert table.groupby("panel", sort=False).size().to_dict() == {"utility against leakage": 4, "this setting": 2}
    assert table["chosen"].sum() == 2 and set(table["variant"]) == {"aware"}
    words = mitigation.mitigation_words(table)
    assert words.startswith("Test accuracy 0.600 without, 0.400 with it (-0.200); attack accuracy 0.900 without, 0.850 with it")
    assert words.endswith("Another setting is as good in both, and better in one.")
    box = lab.play_mitigations(run, utility_points())
    assert [each.value for each in box.children[0].children] == ["location", "aware", "L2", 1e-3]
    box.children[0].children[2].value = "label only"
    assert [text for text, _ in box.children[0].children[3].options] == ["on"]
    assert "0.700 with it (-0.200). Nothing else that was tried beats it." in box.children[2].value
    with pytest.raises(ValueError, match=r"at must be a value of L2 on location, got 0\.5, of which there are 0 rows"):
        mitigation.mitigation_points(utility_points(), "location", "aware", "L2", 0.5)
    with pytest.raises(ValueError, match=r"points must have columns .*, lack front"):
        mitigation.mitigation_points(utility_points().drop(columns="front"), "location", "aware", "L2", 1e-2)


def stock_trial(k=10, n=60):
    """A stock whose models answer their members more surely, a tenth of the records its population."""
    rng = np.random.default_rng(5)
    half = np.array([rng.permutation(n) < n // 2 for _ in range(k // 2)])
    member = np.stack([half, ~half], 1).reshape(k, n)
    signal = (rng.normal(size=(k, n)) + rng.normal(size=n) + 2 * member).astype(np.float32)
    labels = rng.integers(0, 3, n)
    dataset = Dataset("location", rng.integers(0, 2, (n, 10), dtype=np.uint8), labels, 3, "standin")
    population = np.arange(n) % 10 == 0
    experiment = stocks.StockExperiment(dataset, None, "mlp", k, 1)
    both = Stock(signal, member, labels)
    return stocks.StockTrial(experiment, both, both, population)


@pytest.mark.parametrize("k", [10, 70])
def test_the_bells_are_those_by_which_lira_judges(k):
    trial = stock_trial(k)
    target = trial.attacked(0)
    score = lira(target.signal, target.references)
    for one in (1, 7):
        heights = [
            -(((target.signal[one] - bell.mean) / bell.deviation) ** 2) / 2 - np.log(bell.deviation)
            for bell in record.lira_bells(target.references, one)
        ]
        assert heights[0] - heights[1] == pytest.approx(score[one], abs=1e-6)
    with pytest.raises(ValueError, match="record must be between 0 and 59, got 60"):
        record.lira_bells(target.references, 60)


def test_records_come_the_most_exposed_first_without_the_population():
    trial = stock_trial()
    order = record.exposed_first(trial)
    apart = exposure.separation(trial.own)[order]
    assert (np.diff(apart) <= 0).all() and sorted(order) == list(np.flatnonzero(~trial.population))


def test_a_record_is_accused_where_its_score_reaches_the_threshold(run):
    trial = stock_trial()
    judged = record.JudgedRecords(trial)
    assert judged.most == 8 and np.isnan(judged.score(4)[trial.population]).all()
    rates = judged.fprs(8)
    assert rates == [0.05, 0.1, 0.25, 0.5]  # some 27 non-members tell no 1% from 0
    for one in record.exposed_first(trial)[:3]:
        marks, position = judged.tables(int(one), 8, 0.1)
        at = position.iloc[0]
        assert at["false_positive_rate"] <= 0.1 and at["score"] == judged.score(8)[one]
        said = record.record_words(judged, int(one), 8, position)
        assert (": accused" in said) == (at["score"] >= at["threshold"])
        assert ("it is a member." in said) == bool(trial.own.member[0, one])
        bars = marks[(marks["panel"] == "answers") & marks["line"].isin(record.SIDES_OF_REFERENCES)]
        assert bars.groupby("line")["y"].sum().to_dict() == {"had it": 4, "had it not": 4}
    box = lab.play_records(run, {"location": trial})
    _, place, models, fpr = box.children[0].children
    assert place.value == record.exposed_first(trial)[0] and models.value == 8 and fpr.value == 0.05
    before = box.children[2].value
    models.value = 2
    assert box.children[2].value != before


# The figures


@pytest.mark.parametrize(
    ("plot", "make"),
    [
        (plots.called_members, lambda: shown_at(0.3).tables),
        (plots.one_record, lambda: record.JudgedRecords(stock_trial()).tables(3, 8, 0.1)),
        (plots.one_mitigation, lambda: [mitigation.mitigation_points(utility_points(), "location", "aware", "L2", 1e-3)]),
    ],
)
def test_figures_name_their_axes_and_leave_their_tables_alone(plot, make):
    tables = list(make())
    before = [table.copy() for table in tables]
    with plt.style.context(STYLE, after_reset=True):
        figure = plots.draw(plot, tables, facet="panel", share=False, size=PLAY_SIZE)
    assert looks.flaws(figure) == []
    for ax in figure.axes:
        assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title()
        assert ax.lines or ax.patches or ax.collections
    for table, copy in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(table, copy)


def test_the_four_counts_stand_in_their_tiles():
    marks, position = shown_at(0.3).tables
    figure = plots.draw(plots.called_members, [marks, position], facet="panel", share=False, size=PLAY_SIZE)
    (tiles,) = [ax for ax in figure.axes if ax.get_xlabel() == "called a"]
    rows = marks[marks["panel"] == "decisions"].sort_values(["line", "x"], ascending=[True, False])
    written = [text.get_text() for text in tiles.texts]
    assert written[:4] == [f"{count:.0f}" for count in rows["y"]]
    assert written[4] == f"precision {position['precision'].item():.3f}    recall {position['recall'].item():.3f}"
