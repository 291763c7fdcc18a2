"""Every figure draws from the tables that `mialib.study` makes, hides none of their values and changes none."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mialib import paper, plots
from mialib.core.types import Dataset
from mialib.paper import comparison
from mialib.plots import labels, names, panels, style
from mialib.study import experiments, leakage, noise
from mialib.study import tables as tidy
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The tables of a tiny experiment under the name of a published one: two targets of two shadows, three classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (160, 10), dtype=np.uint8)
    dataset = Dataset("location", x, rng.integers(0, 3, 160), 3, "standin")
    trainer = NeuralTrainer(lambda: mlp(10, 3, hidden=8), Recipe(2, 10, 0.05), "cpu", chunk=4)
    sources = experiments.noisy_sources(dataset, (0.1, 0.2), ("flip", "random"), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIALIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        trials = experiments.run_trials(experiments.Experiment(dataset, trainer, "local", 30, 2, 2, 1, sources))
        outcomes = experiments.run_attacks(trials)
        counts = tidy.by_shadow_count([trial for trial in trials if trial.case.setting == "shadow:real"], (1, 2))
        flipped = noise.trials_by_side([trial for trial in trials if trial.case.variant != "random"])
        by_side = tidy.summary(experiments.run_attacks(flipped, experiments.ONLY_LEARNED))
        shapes = noise.answer_shapes(trials, bins=8)
    learned = experiments.learned(outcomes)
    compared = paper.compare(comparison.results_table(learned, ["F8"]))
    rocs = tidy.roc_table(outcomes, points=20)
    baselines = paper.beside_baselines(tidy.summary(outcomes), compared)
    facts = tidy.class_facts(learned).assign(dataset="purchase10")
    points = tidy.class_scatters(facts)
    bars = tidy.answer_histograms(learned).assign(dataset="purchase10")
    theirs = paper.published()
    return {
        "classes": defined(tidy.class_table(learned).query("variant != 'random'")),
        "curves": paper.curves("Fig. 8"),
        "compared": compared,
        "targets": tidy.target_table(learned),
        "baselines": baselines[baselines["metric"] == "precision"],
        "counts": counts,
        "their counts": paper.beside_counts(counts.assign(train_size=30), compared),
        "rocs": rocs[rocs["setting"] == "shadow:real"],
        "by count": by_dataset(tidy.class_table(learned)),
        "boxes": theirs[theirs["id"] == "F10"].rename(columns={"value": "published"}),
        "points": points[points["panel"] == "precision by class share"],
        "their points": comparison.published_scatters().query("panel == 'precision by class share'"),
        "bars": bars[bars["quantity"] == "accuracy"],
        "bars of a case": bars.query("quantity == 'accuracy' and setting == 'shadow:real'"),
        "their bars": comparison.published_histograms().query("dataset == 'purchase10' and quantity == 'accuracy'"),
        "shapes": shapes.query("setting == 'shadow:noise20' and variant == 'flip'"),
        "by side": by_side[by_side["metric"] == "precision"],
        "their noise": compared[compared["metric"] == "attack_precision"],
        "for scale": comparison.published_histograms().query(SCALE).rename(columns={"dataset": "of"}),
        "table_i": two_accuracies(),
        "ten classes": ten_classes(),
        "ten of theirs": comparison.published_precisions("cifar10").query("train_size == 2500"),
        "variants": variants(),
        "pictures": two_pictures(),
        "budgets": budgets(),
        "budget real": pd.DataFrame({"metric": ["precision", "recall", "accuracy"], "value": [0.8, 0.97, 0.7]}),
        "mitigations": mitigated_points(),
        "table_iii": table_iii_precision(),
        "curve": temperature_curve(),
        "vectors": pd.DataFrame({"cls": range(3), "member": [0.05, 0.9, 0.05], "nonmember": [0.3, 0.4, 0.3]}),
        "splits": three_splits(),
        "sides": pd.DataFrame({"member": [True, True, False, False], "score": [0.9, 2.0, 0.1, -np.inf]}),
    }


CALLS = {
    plots.cdfs: ("classes", "curves"),
    plots.precision_by_noise: ("compared", "targets"),
    plots.attack_comparison: ("baselines",),
    plots.shadow_count: ("counts", "their counts"),
    plots.roc_curves: ("rocs",),
    plots.query_budget: ("budgets", "budget real"),
    plots.boxes: ("by count", "boxes"),
    plots.densities: ("points", "their points"),
    plots.histograms: ("bars", "their bars"),
    plots.answer_differences: ("bars of a case", "for scale"),
    plots.answer_shift: ("shapes",),
    plots.noise_by_side: ("by side", "their noise"),
    plots.accuracy_gaps: ("table_i",),
    plots.class_dots: ("ten classes", "ten of theirs"),
    plots.by_variant: ("variants",),
    plots.pictures: ("pictures",),
    plots.utility_leakage: ("mitigations",),
    plots.mitigation_rows: ("table_iii",),
    plots.knob_curves: ("curve",),
    plots.prediction_vectors: ("vectors",),
    plots.shadow_splits: ("splits",),
    plots.by_membership: ("sides",),
}
OPTIONS = {  # those that a function cannot do without
    plots.cdfs: {"by": "setting"}, plots.densities: {"by": "dataset"}, plots.knob_curves: {"by": "dataset"},
    plots.class_dots: {"names": [*"abcdefghij"]}, plots.prediction_vectors: {"true_class": 1},
    plots.by_membership: {"column": "score"},
}  # fmt: skip
PATHS = {  # mitigation: knob, and (its value, test accuracy, attack accuracy) along the path
    "none": ("", [(0, 0.6, 0.89)]),
    "top k": ("k", [(3, 0.6, 0.885), (1, 0.6, 0.87)]),
    "label only": ("", [(1, 0.6, 0.7)]),
    "temperature": ("t", [(5, 0.6, 0.88), (20, 0.6, 0.872)]),
    "noise": ("σ", [(0.1, 0.57, 0.81), (0.3, 0.42, 0.66)]),
    "L2": ("λ", [(1e-4, 0.61, 0.86), (1e-3, 0.645, 0.74), (1e-2, 0.5, 0.58)]),
    "private training": ("ε", [(16, 0.45, 0.56), (1, 0.15, 0.51)]),
}
RATES = ["utility", "leakage"]
MITIGATION_ROWS = [
    "L2 λ = 5e-3", "L2 λ = 1e-3", "L2 λ = 5e-4", "L2 λ = 1e-4", "temperature t = 20", "temperature t = 5", "rounding d = 1",
    "rounding d = 3", "label only", "top k = 1", "top k = 3", "no mitigation",
]  # fmt: skip


ATTACK_ROWS = [
    "gap: right or wrong", "entropy threshold", "modified-entropy threshold", "confidence threshold",
    "learned, a network a class",
]  # fmt: skip


def ten_classes():
    """Of two targets; a class that neither called a member, and one that the second did not."""
    numbers = {"target": np.repeat([0, 1], 10), "cls": [*range(10)] * 2, "precision": np.linspace(0.45, 0.95, 20)}
    table = pd.DataFrame(numbers)
    never = (table["cls"] == 4) | ((table["cls"] == 7) & (table["target"] == 1))
    return table.assign(precision=table["precision"].mask(never))


def defined(classes):
    """The classes with a precision for each: tiny targets leave some without."""
    return classes.assign(precision=classes["precision"].fillna(0.55)).reset_index(drop=True)


def by_dataset(classes):
    """The classes of each target as those of a data set of its own, as many as a box needs."""
    classes = classes.assign(dataset=classes["target"].map({0: "purchase2", 1: "purchase10"}))
    return classes.assign(cls=classes.groupby("dataset").cumcount())


def two_accuracies():
    rows = [("google surrogate", 0.999, 0.98, 0.66, 0.7), ("local", 0.83, 0.9, 0.67, 0.64)]
    table = pd.DataFrame(rows, columns=["our_target", "train_paper", "train_ours", "test_paper", "test_ours"])
    ends = {f"{part}_{end}": table[f"{part}_ours"] + step for part in ("train", "test") for end, step in ENDS.items()}
    return table.assign(dataset="purchase100", source="standin", **ends)


SCALE = "dataset == 'purchase20' and quantity == 'accuracy'"
ENDS = {"low": -0.02, "high": 0.02}


def variants():
    rows = [(300, "none", 0.8, 0.9), (300, "swapped", 0.7, 0.9), (400, "swapped", 0.72, 0.95), (400, "smaller", 0.6, 0.95)]
    table = pd.DataFrame(rows, columns=["our_train_size", "variant", "value", "published"])
    table = table.assign(low=table["value"] - 0.05, high=table["value"] + 0.05)
    return pd.concat([table.assign(metric=f"attack_{name}") for name in ("precision_p50", "recall")], ignore_index=True)


def two_pictures():
    pixels = [np.full((4, 5, 3), grey, np.uint8).tobytes().hex() for grey in (10, 200)]
    table = {"exposed": [True, False], "score": [3.0, -1.0], "confidence": [0.99, 0.05], "pixels": pixels}
    return pd.DataFrame({"cls": 7, "name": "horse", **table, "height": 4, "width": 5})


def mitigated_points():
    rows = [
        {"mitigation": name, "knob": knob, "at": at, "utility": use, "leakage": leak}
        for name, (knob, path) in PATHS.items()
        for at, use, leak in path
    ]
    table = pd.DataFrame(rows)
    bars = {f"{rate}_{end}": table[rate] + step for rate in RATES for end, step in (("low", -0.01), ("high", 0.01))}
    front = leakage.pareto_front(table["utility"], table["leakage"])
    return table.assign(**bars, front=front, dataset="location", source="real")


def budgets():
    """What three budgets of queries buy an attacker of two targets: at the smallest one, nothing."""
    names = ["budget", "records", "metric", "value", "low", "high"]
    rows = [(300, 1, *[np.nan] * 4), (30_000, 180, "precision", 0.7, 0.6, 0.8), (30_000, 180, "recall", 0.3, 0.2, 0.35)]
    rows += [(2_500_000, 14_400, "precision", 0.9, 0.85, 0.92), (2_500_000, 14_400, "recall", 0.5, 0.45, 0.6)]
    return pd.DataFrame(rows, columns=names).assign(train_size=200, n_targets=lambda t: np.where(t["value"].isna(), np.nan, 2))


def table_iii_precision():
    published = (
        comparison.published_rows("texas", ["T3"]).query("metric == 'attack_precision'").rename(columns={"value": "published"})
    )
    sides = [published.assign(variant=v, value=published["published"] - 0.03 * i) for i, v in enumerate(("aware", "unaware"))]
    return pd.concat(sides, ignore_index=True).assign(low=lambda t: t["value"] - 0.02, high=lambda t: t["value"] + 0.02)


def temperature_curve():
    """Two data sets, one of which has one temperature more."""
    rows = [
        {"dataset": name, "mitigation": "temperature" if at else "none", "knob": "t", "at": at, "value": 0.9 - at / 100}
        for name, ats in {"location": [0, 5, 20], "texas": [0, 20]}.items()
        for at in ats
    ]
    return pd.DataFrame(rows).assign(low=lambda t: t["value"] - 0.02, high=lambda t: t["value"] + 0.01)


def three_splits():
    """A record is drawn as a member, as a non-member or not at all."""
    rows = [(1, 10, True, False), (1, 11, False, True), (1, 12, False, False), (2, 10, False, True), (2, 11, True, False)]
    return pd.DataFrame([*rows, (2, 12, True, False)], columns=["shadow", "record", "member", "nonmember"])


def draw(plot, *arguments, **options):
    ax = Figure().subplots()
    assert plot(*arguments, ax=ax, **OPTIONS.get(plot, {}), **options) is None
    ax.figure.canvas.draw()
    return ax


def points(ax, marker="o", hollow=False):
    """(x, y) of all markers of a kind."""
    lines = [line for line in ax.lines if line.get_marker() == marker and (line.get_markerfacecolor() == "none") == hollow]
    return sorted((float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True))


def words(ax):
    return [text.get_text() for text in ax.texts]


def has_coin(ax, vertical):
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    return any(set(np.ravel(line.get_xdata() if vertical else line.get_ydata())) == {0.5} for line in dashed)


RELATED = "mialib.plots.related"


def test_every_figure_is_tested():
    drawn = [getattr(plots, name) for name in plots.__all__ if name != "draw"]
    elsewhere = {
        "mialib.plots.scoreboard": "test_scoreboard.py",
        "mialib.plots.finding": "test_finding.py",
        "mialib.plots.modern": "test_modern_figures.py",
        "mialib.plots.audit": "test_audit_plots.py",
        "mialib.plots.play": "test_lab_play.py",
        "mialib.plots.families": "test_families.py",
        RELATED: "the tests of each study",
    }
    assert {f for f in drawn if f.__module__ not in elsewhere} == set(CALLS)
    studies = ("inversion", "extraction", "white_box", "overlaps", "kinds", "indirect")
    texts = [Path(__file__).with_name(f"test_{study}.py").read_text(encoding="utf-8") for study in studies]
    assert [f for f in drawn if f.__module__ == RELATED and not any(f.__name__ in text for text in texts)] == []


@pytest.mark.parametrize("plot", CALLS, ids=lambda plot: plot.__name__)
def test_figures_draw_with_labels_and_leave_their_tables_alone(plot, tables):
    arguments = [tables[name].copy() for name in CALLS[plot]]
    ax = draw(plot, *arguments)
    assert ax.lines or ax.patches or ax.images
    assert ax.get_xlabel()
    named = {
        plots.attack_comparison: ATTACK_ROWS, plots.mitigation_rows: MITIGATION_ROWS,
        plots.accuracy_gaps: ["Google surrogate", "local network"],
        plots.pictures: ["leaks most", "leaks least"],
    }  # fmt: skip
    assert ax.get_ylabel() or [label.get_text() for label in ax.get_yticklabels()] == named[plot]
    assert ax.get_legend() is None  # labels stand beside the lines
    for name, argument in zip(CALLS[plot], arguments, strict=True):
        pd.testing.assert_frame_equal(argument, tables[name])


def test_cdfs_rise_to_one_over_all_classes(tables):
    ax = draw(plots.cdfs, tables["classes"], tables["curves"])
    thin = [line for line in ax.lines if line.get_linewidth() == 0.9]
    thick = [line for line in ax.lines if line.get_linewidth() == 2.2]
    assert [len(line.get_xdata()) for line in thin] == [31] * 3
    assert len(thick) == 3
    for line in thin + thick:
        assert line.get_ydata()[-1] == 1
        assert sorted(line.get_xdata()) == list(line.get_xdata())
        assert (np.diff(line.get_ydata()) >= 0).all()
    by_setting = tables["classes"].groupby("setting", sort=False)["precision"]
    for (_, values), line in zip(by_setting, thick, strict=True):
        assert sorted(line.get_xdata()[1:]) == sorted(values.dropna())
    assert [line.get_color() for line in thin] == [line.get_color() for line in thick]  # a source of shadow data has one colour
    assert {"real", "10% noise", "20% noise"} <= set(words(ax))
    assert has_coin(ax, vertical=True)


def test_dots_of_classes_are_means_over_targets_beside_the_papers(tables):
    own, theirs = tables["ten classes"], tables["ten of theirs"]
    ax = draw(plots.class_dots, own, theirs)
    means = own.groupby("cls")["precision"].mean().dropna()
    for mean in means:
        assert any(y == pytest.approx(mean) for _, y in points(ax))
    assert sorted(y for _, y in points(ax, hollow=True)) == sorted(theirs["value"])
    assert has_coin(ax, vertical=False)


def lines_across(ax, dashes):
    """Heights of the horizontal lines of a kind, ours first."""
    return [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == dashes and len(set(line.get_ydata())) == 1]


def test_both_medians_are_drawn_as_the_table_has_them(tables):
    """Each target's own, then their mean, over the classes that have a precision; the paper's as it prints it."""
    own, theirs = tables["ten classes"], tables["ten of theirs"]
    ax = draw(plots.class_dots, own, theirs)
    by_target = [rows.dropna() for _, rows in own.groupby("target")["precision"]]
    assert len(by_target) > 1
    low = np.mean([np.sort(rows)[(len(rows) + 1) // 2 - 1] for rows in by_target])
    assert lines_across(ax, "-") == pytest.approx([low, np.sort(theirs["value"])[4]])
    assert lines_across(ax, ":") == pytest.approx([np.mean([rows.median() for rows in by_target]), theirs["value"].median()])
    found = paper.published().query("id == 'F4' and dataset == 'cifar10' and train_size == 2500").set_index("metric")["value"]
    assert round(lines_across(ax, "-")[1], 2) == found["attack_precision_p50"]
    assert lines_across(ax, ":")[1] == pytest.approx(found["attack_precision_median"], abs=0.00051)


def test_shadows_that_break_the_rule_have_marks_of_their_own(tables):
    ax = draw(plots.by_variant, tables["variants"])
    heights = {marker: sorted(y for _, y in points(ax, marker)) for marker in "os^"}
    assert heights == {"o": [0.8], "s": [0.7, 0.72], "^": [0.6]}
    assert points(ax, hollow=True) == [(0, 0.9), (1, 0.95)]  # the paper's, once a size
    bars = [segment[:, 1].tolist() for bar in ax.collections for segment in bar.get_segments()]
    assert bars == [pytest.approx([value - 0.05, value + 0.05]) for value in (0.8, 0.7, 0.72, 0.6)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["300", "400"]
    assert len(words(ax)) == 4


def test_a_variant_that_was_not_run_has_no_word(tables):
    ax = draw(plots.by_variant, tables["variants"].query("variant != 'smaller'"))
    assert len(words(ax)) == 3 and not any("smaller" in word for word in words(ax))


def test_pictures_show_their_pixels(tables):
    ax = draw(plots.pictures, tables["pictures"])
    assert [image.get_array().shape for image in ax.images] == [(4, 5, 3)] * 2
    assert [int(image.get_array()[0, 0, 0]) for image in ax.images] == [10, 200]
    leaking, other = (image.get_extent() for image in ax.images)
    assert leaking[2] > other[3]  # above
    assert words(ax) == ["3.0", "0.990", "-1.0", "0.050"]
    assert "its score; grey: the probability" in ax.get_xlabel()
    other = draw(plots.pictures, tables["pictures"].assign(score=-0.04), second="accuracy")
    assert "grey: accuracy" in other.get_xlabel() and words(other)[0] == "0.0"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["horse"]


@pytest.mark.parametrize("metric", ["precision", "recall"])
def test_noise_figure_shows_ours_every_target_and_the_paper(metric, tables):
    ax = draw(plots.precision_by_noise, tables["compared"], tables["targets"], metric=metric)
    own = tables["compared"][tables["compared"]["metric"] == f"attack_{metric}"]
    expected = {"precision": [0.678, 0.666, 0.613], "recall": [0.98, 0.99, 1.0]}[metric]
    assert points(ax, hollow=True) == list(zip([0.0, 10.0, 20.0], expected, strict=True))
    real = own.loc[own["setting"] == "shadow:real", "value"].tolist()
    assert sorted(y for _, y in points(ax)) == pytest.approx(
        sorted(own["value"].tolist() + real)
    )  # real stands in both readings
    assert len(points(ax, ".")) == 2 * len(tables["targets"][tables["targets"]["variant"] == "none"]) + 8
    assert metric in ax.get_ylabel()


def test_comparison_puts_the_paper_at_the_learned_attack_alone(tables):
    table = tables["baselines"]
    ax = draw(plots.attack_comparison, table)
    drawn = {y: x for x, y in points(ax)}
    np.testing.assert_array_equal([drawn[y] for y in range(len(table))], table["value"][::-1])  # the first row on top
    assert points(ax, hollow=True) == [(0.678, len(table) - 1)]
    ticks = [label.get_text() for label in ax.get_yticklabels()]
    assert ticks[-1] == "learned, a network a class"
    assert words(ax) == ["○ the paper"]
    assert has_coin(ax, vertical=True)


def test_a_median_and_a_bound_of_the_papers_are_not_drawn_as_its_value(tables):
    kinds = {"median of classes": ("D", "◇ the paper's"), "lower bound": (">", "▷ the paper: more")}
    for kind, (marker, key) in kinds.items():
        ax = draw(plots.attack_comparison, tables["baselines"].assign(published_as=kind))
        assert points(ax, marker, hollow=True) == [(0.678, len(tables["baselines"]) - 1)]
        assert points(ax, hollow=True) == [] and key in words(ax)


def test_shadow_counts_stand_at_their_values(tables):
    table = tables["counts"]
    ax = draw(plots.shadow_count, table)
    np.testing.assert_array_equal(points(ax), sorted(zip(table["k"], table["value"], strict=True)))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2"]
    assert words(ax) == ["precision", "recall", "accuracy"]
    assert has_coin(ax, vertical=False)


def test_shadow_counts_have_the_papers_value_at_its_own_number(tables):
    kinds = {"precision": ("", "o"), "recall": ("median of classes", "D"), "accuracy": ("lower bound", "^")}
    rows = [(metric, 60, 0.7 + 0.1 * i, kind) for i, (metric, (kind, _)) in enumerate(kinds.items())]
    theirs = pd.DataFrame(rows, columns=["metric", "k", "value", "published_as"])
    ax = draw(plots.shadow_count, tables["counts"], theirs.replace("", np.nan))  # as a table is read back
    for metric, k, value, kind in rows:
        assert points(ax, kinds[metric][1], hollow=True) == [(k, value)], kind
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "60"]
    assert words(ax)[3:] == ["○ the paper", "◇ the paper's", "median class", "△ the paper: more", "than this"]
    assert list(tables["their counts"]["k"].unique()) in ([], [60])


def test_shadow_counts_of_panels_that_share_an_axis_have_all_their_ticks(tables):
    more = tables["counts"].assign(k=tables["counts"]["k"] * 10, our_target="another")
    figure = panels.draw(plots.shadow_count, [pd.concat([more, tables["counts"]])], facet="our_target")
    for ax in figure.axes:
        np.testing.assert_array_equal(ax.get_xticks(), [1, 2, 10, 20])
        assert ax.get_xlim()[0] < 1 and ax.get_xlim()[1] > 20


def test_shadow_counts_far_above_a_coin_fill_the_axes(tables):
    high = tables["counts"].assign(value=0.85, low=0.8, high=0.9)
    ax = draw(plots.shadow_count, high)
    bottom, top = ax.get_ylim()
    assert 0.75 < bottom < 0.8 and 0.9 < top < 0.95
    assert not has_coin(ax, vertical=False) and "↓ a coin: 0.5" in words(ax)


def test_roc_curves_are_named_and_a_yes_or_no_is_a_point(tables):
    table = tables["rocs"]
    ax = draw(plots.roc_curves, table)
    assert words(ax) == [*reversed(ATTACK_ROWS), "grey: guessing"]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    curve = table[(table["attack"] == experiments.LEARNED) & (table["tpr"] > 0)]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), curve["tpr"])
    gap = table[table["attack"] == "correctness gap"]
    assert points(ax, "D") == list(zip(gap["fpr"], gap["tpr"], strict=True))
    assert len(gap) == 1
    (point,) = [line for line in ax.lines if line.get_marker() == "D"]
    assert not any(line.get_color() == point.get_color() for line in ax.lines if line is not point)


def test_roc_bands_are_drawn_where_the_table_has_them(tables):
    curve = tables["rocs"][tables["rocs"]["attack"] == "confidence"]
    ax = draw(plots.roc_curves, curve)
    (band,) = ax.collections
    known = curve.dropna(subset=["low", "high"])
    assert len(known) > 2
    corners = band.get_paths()[0].vertices
    assert {*known["low"], *known["high"]} <= set(corners[:, 1]) and set(corners[:, 0]) <= set(known["fpr"])
    assert not draw(plots.roc_curves, curve.drop(columns=["low", "high"])).collections


def test_budgets_stand_at_their_values_beside_real_shadow_data(tables):
    ax = draw(plots.query_budget, tables["budgets"], tables["budget real"])
    assert points(ax) == [(30_000, 0.3), (30_000, 0.7), (2_500_000, 0.5), (2_500_000, 0.9)]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["300\n1", "30k\n180", "2.5M\n14.4k"]
    dotted = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert dotted == [0.8, 0.97] and has_coin(ax, vertical=False)
    assert words(ax) == ["precision", "recall", "dotted: real shadow data"]


def test_a_precision_of_a_handful_of_records_gives_way_to_their_number(tables):
    table = tables["budgets"].copy()
    table.loc[table["metric"].eq("recall") & table["budget"].eq(30_000), ["value", "low", "high"]] = [0.07, 0.06, 0.08]
    ax = draw(plots.query_budget, table, tables["budget real"])
    drawn = [point for point in points(ax) if not np.isnan(point[1])]
    assert drawn == [(30_000, 0.07), (2_500_000, 0.5), (2_500_000, 0.9)]
    assert "40 called members" in words(ax)  # 0.07 of two times 200 members, at a precision of 0.7
    just = table.replace({"value": {0.07: 0.175}})  # 100 of them
    assert (30_000, 0.7) in points(draw(plots.query_budget, just, tables["budget real"]))


def test_budgets_that_allowed_no_attack_are_an_empty_picture_of_what_was_found(tables):
    none = tables["budgets"].drop_duplicates("budget").assign(metric=np.nan, value=np.nan, low=np.nan, high=np.nan)
    ax = draw(plots.query_budget, none, tables["budget real"])
    assert points(ax) == []
    assert [label.get_text() for label in ax.get_xticklabels()] == ["300\n1", "30k\n180", "2.5M\n14.4k"]


def test_cdfs_without_curves_of_the_paper_say_nothing_of_it(tables):
    for nothing in ([], [tables["curves"].iloc[:0]]):
        ax = draw(plots.cdfs, tables["classes"], *nothing)
        assert words(ax) == ["real", "10% noise", "20% noise"]
        assert len([line for line in ax.lines if line.get_linewidth() == 2.2]) == 3


def test_values_far_below_a_coin_stay_inside_the_axes(tables):
    classes = tables["classes"].assign(precision=np.linspace(0.1, 0.6, len(tables["classes"])))
    assert draw(plots.cdfs, classes, tables["curves"]).get_xlim()[0] < 0.1
    lower = tables["counts"].assign(value=0.2, low=0.05, high=0.3)
    assert draw(plots.shadow_count, lower).get_ylim()[0] < 0.05
    lower = tables["baselines"].assign(value=0.2, low=0.05, high=0.3)
    assert draw(plots.attack_comparison, lower).get_xlim()[0] < 0.05


def test_classes_never_called_members_stand_at_none(tables):
    classes = tables["classes"].copy()
    classes["precision"] = np.linspace(0.4, 0.9, len(classes))
    real = classes.index[classes["setting"] == "shadow:real"]
    classes.loc[real[:2], "precision"] = np.nan
    ax = draw(plots.cdfs, classes, tables["curves"])
    first = next(line for line in ax.lines if line.get_linewidth() == 2.2)
    np.testing.assert_array_equal(first.get_xdata()[1:], classes.loc[real[2:], "precision"])
    reached = 1 - 2 / len(real)  # they count among the classes
    assert first.get_ydata()[-1] == pytest.approx(reached)
    (bar,) = [line for line in ax.lines if line.get_linewidth() == 4]
    assert list(bar.get_ydata()) == pytest.approx([reached, 1]) and bar.get_color() == first.get_color()
    assert 1 < bar.get_xdata()[0] < ax.get_xlim()[1]
    assert ax.get_xticklabels()[-1].get_text() == "none"
    assert "none: classes never" in words(ax)
    (zeroed,) = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert zeroed.get_color() == first.get_color() and "dotted: with these at 0," in words(ax)
    assert list(zeroed.get_xdata()[:3]) == [0, 0, classes.loc[real[2], "precision"]]  # both classes at 0, then the others
    assert zeroed.get_ydata()[1] == pytest.approx(2 / len(real)) and zeroed.get_ydata()[-1] == 1
    whole = classes.fillna({"precision": 0.5})
    assert draw(plots.cdfs, whole, tables["curves"]).get_xlim()[1] == 1.01  # no room for none


def test_a_line_without_any_precision_is_not_dropped(tables):
    classes = tables["classes"].copy()
    noisy = classes["setting"] == "shadow:noise20"
    classes.loc[noisy, "precision"] = np.nan
    ax = draw(plots.cdfs, classes)
    (bar,) = [line for line in ax.lines if line.get_linewidth() == 4]
    assert list(bar.get_ydata()) == [0, 1]
    assert "20% noise" in words(ax) and len([line for line in ax.lines if line.get_linewidth() == 2.2]) == 2


def test_all_of_the_papers_curves_are_there(tables):
    classes = pd.DataFrame({"train_size": 4600, "precision": np.linspace(0.7, 1, 20)})
    ax = draw(lambda *arguments, ax: plots.cdfs(*arguments, ax=ax, by="train_size"), classes, FIG_4_RIGHT)
    thin = [line for line in ax.lines if line.get_linewidth() == 0.9]
    sizes = FIG_4_RIGHT["train_size"].unique()
    assert [sorted(line.get_xdata()[1:]) for line in thin] == [
        sorted(FIG_4_RIGHT.loc[FIG_4_RIGHT["train_size"] == size, "value"]) for size in sizes
    ]
    assert {f"n = {size:,}" for size in (4600, 10_520, 19_920, 29_540)} < set(words(ax))
    assert len({line.get_color() for line in thin}) == 4
    assert not has_coin(ax, vertical=True) and "← a coin: 0.5" in words(ax)  # all lie far above


FIG_4_RIGHT = comparison.published_precisions("cifar100")


def test_readings_of_the_noise_are_told_apart(tables):
    flipped = tables["classes"]
    replaced = flipped[flipped["variant"] == "flip"].assign(variant="random")
    ax = draw(plots.cdfs, pd.concat([flipped, replaced], ignore_index=True))
    thick = [line.get_linestyle() for line in ax.lines if line.get_linewidth() == 2.2]
    assert sorted(thick) == ["-"] * 3 + ["--"] * 2 or sorted(thick) == ["--"] * 2 + ["-"] * 3
    assert {"solid: bits flipped", "dashed: bits replaced"} < set(words(ax))


def test_one_key_names_the_lines_of_all_panels(tables):
    first, second = (tables["classes"].assign(our_target=kind) for kind in ("google surrogate", "local"))
    both = pd.concat([first, second[second["setting"] == "shadow:real"]])
    figure = panels.draw(plots.cdfs, [both], facet="our_target", by="setting")
    assert words(figure.axes[0]) == []
    assert words(figure.axes[1]) == ["real", "10% noise", "20% noise"]
    assert {text.xyann[0] < 0 or text.xy[0] > 1 for text in figure.axes[1].texts} == {True}  # beside the curves


def test_recall_is_drawn_when_asked_for(tables):
    ax = draw(plots.cdfs, tables["classes"], tables["curves"], metric="recall")
    thick = [line for line in ax.lines if line.get_linewidth() == 2.2]
    assert sorted(thick[0].get_xdata()[1:]) == sorted(tables["classes"].query("setting == 'shadow:real'")["recall"].dropna())
    assert "recall" in ax.get_xlabel()


def test_boxes_stand_beside_the_papers(tables):
    table = tables["by count"]
    ax = draw(plots.boxes, table, tables["boxes"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "10"]
    medians = [
        float(line.get_ydata()[0]) for line in ax.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2
    ]
    for name in ("purchase2", "purchase10"):
        assert any(m == pytest.approx(table.loc[table["dataset"] == name, "precision"].median()) for m in medians)
    assert any(m == pytest.approx(0.553) for m in medians)  # the paper's, for ten classes; for two it draws no box
    assert has_coin(ax, vertical=False)


def test_few_classes_are_points_beside_the_papers(tables):
    two = pd.DataFrame({"dataset": "purchase2", "cls": [0, 1, 0, 1], "precision": [0.51, 0.52, 0.53, np.nan]})
    table_ii = pd.DataFrame(
        {"dataset": ["purchase2"], "id": "T2", "metric": "attack_precision", "published": 0.505, "value": 0.51}
    )
    ax = draw(plots.boxes, two, table_ii, paper.curves("Fig. 10"))
    assert sorted(y for _, y in points(ax)) == [0.51, 0.52, 0.53]
    assert [y for _, y in points(ax, hollow=True)] == [0.505, 0.507]
    assert [y for _, y in points(ax, "D")] == [0.51] and [y for _, y in points(ax, "D", hollow=True)] == [0.505]
    assert not ax.patches
    assert len({x for x, _ in points(ax)}) == 3  # beside one another


def of_classes(n):
    """Points of n classes that lie in no line, and the paper's of Purchase-10."""
    rng = np.random.default_rng(1)
    own = pd.DataFrame({"dataset": "purchase10", "x": 0.1 + 0.02 * rng.random(n), "y": 0.6 + 0.1 * rng.random(n)})
    return own.assign(panel="precision by class share", source="standin", our_target="google surrogate")


PEAK = of_classes(40).assign(x=[0.5] + 39 * [0.01], y=[0.5, 0.9, 0.51] + 37 * [0.5])  # nearly all at one place


def test_densities_hold_half_and_nine_tenths_of_our_classes(tables):
    own = of_classes(200)
    ax = draw(plots.densities, own, tables["their points"])
    assert points(ax) == []  # none of ours upon another
    light, dark = ax.collections
    for region, share in ((light, 0.9), (dark, 0.5)):
        inside = sum(
            any(path.contains_point(point) for path in region.get_paths()) for point in own[["x", "y"]].itertuples(index=False)
        )
        assert inside == pytest.approx(share * len(own), abs=4)
    theirs = tables["their points"].query("dataset == 'purchase10'")
    assert points(ax, hollow=True) == sorted(zip(theirs["x"], theirs["y"], strict=True))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("class share", "precision")
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize("own", [of_classes(9), of_classes(30).assign(y=0.5), PEAK], ids=["few", "line", "peak"])
def test_classes_without_a_density_are_dots(own, tables):
    ax = draw(plots.densities, own, tables["their points"])
    assert points(ax) == sorted(zip(own["x"], own["y"], strict=True))
    assert not ax.collections


def test_histograms_show_both_groups_and_the_papers_outline(tables):
    bars = tables["bars"]
    ax = draw(plots.histograms, bars, tables["their bars"])
    heights = [patch.get_height() for patch in ax.patches if hasattr(patch, "get_height")]
    assert sorted(heights) == pytest.approx(sorted(bars["share"]))
    outlines = [patch for patch in ax.patches if not hasattr(patch, "get_height")]
    assert len(outlines) == 2
    np.testing.assert_allclose(outlines[0].get_data().values, tables["their bars"].query("member")["share"])
    for nothing in ([], [tables["their bars"].iloc[:0]]):
        alone = draw(plots.histograms, bars, *nothing)
        assert len(alone.patches) == len(bars) and words(alone) == ["members", "non-members"]
    assert [text.get_color() for text in ax.texts[:2]] == [style.MEMBERS, style.NONMEMBERS]
    assert ax.get_xlabel() == "probability of the true class"
    assert draw(plots.histograms, bars.assign(quantity="uncertainty")).get_xlabel() == "entropy / log(classes)"


def test_differences_are_members_less_nonmembers_beside_the_papers(tables):
    bars, theirs = tables["bars of a case"], tables["for scale"]
    ax = draw(plots.answer_differences, bars, theirs)
    members, others = (bars[bars["member"] == side].sort_values("bin_left")["share"].to_numpy() for side in (True, False))
    drawn = sorted((patch for patch in ax.patches if hasattr(patch, "get_height")), key=lambda bar: bar.get_x())
    np.testing.assert_allclose([bar.get_height() for bar in drawn], 100 * (members - others))
    colours = [style.MEMBERS if more > 0 else style.NONMEMBERS for more in members - others]
    assert [matplotlib.colors.to_hex(bar.get_facecolor()).upper() for bar in drawn] == colours
    (outline,) = [patch for patch in ax.patches if not hasattr(patch, "get_height")]
    inside, outside = (theirs[theirs["member"] == side].sort_values("bin_left")["share"].to_numpy() for side in (True, False))
    np.testing.assert_allclose(outline.get_data().values, 100 * (inside - outside))
    assert words(ax) == ["more members", "more non-members", "line: the paper's", "Purchase-20, for scale"]
    assert words(draw(plots.answer_differences, bars)) == ["more members", "more non-members"]


def test_accuracies_of_table_i_stand_side_by_side(tables):
    table = tables["table_i"]
    ax = draw(plots.accuracy_gaps, table)
    of = {"ours": style.OURS, "paper": "black"}
    for name, colour in of.items():
        drawn = [line.get_xdata() for line in ax.lines if line.get_marker() == "o" and line.get_color() == colour]
        assert [list(ends) for ends in drawn] == table[[f"test_{name}", f"train_{name}"]].to_numpy().tolist()
    assert len(ax.collections) == 2 * len(table)  # an interval each


def drawn_panels(points):
    """The panels of `utility_leakage`, by their place (row, column)."""
    ax = draw(plots.utility_leakage, points)
    panels = ax.figure.axes
    spans = [panel.get_subplotspec() for panel in panels]
    return {(span.rowspan.start, span.colspan.start): panel for span, panel in zip(spans, panels, strict=True)}


def two_data_sets():
    """The second, a stand-in, was not trained privately."""
    own = mitigated_points()
    other = own[own["mitigation"] != "private training"].assign(dataset="purchase100", source="standin")
    return pd.concat([own, other.assign(front=False)], ignore_index=True)


def test_every_mitigation_is_a_path_at_its_values_in_a_panel_of_its_own():
    table = two_data_sets()
    panels = drawn_panels(table)
    columns = ["cut or\nrounded answers", "temperature", "noise", "L2", "private\ntraining"]
    assert set(panels) == {(row, column) for row in (0, 1) for column in range(5)} - {(0, 4)}
    assert [panels[0, column].get_title() for column in range(4)] == columns[:4]
    for name, rows in table[table["dataset"] == "location"].groupby("mitigation"):
        if name == "none":
            continue
        (column,) = [i for i, names in enumerate(plots.leakage.FAMILIES.values()) if name in names]
        panel = panels[1, {6: 4}.get(column, column)]  # neither dropout nor early stopping was tried
        colour, marker = plots.leakage.MARK_OF_MITIGATION[name]
        drawn = [line for line in panel.lines if line.get_color() == colour and line.get_marker() == marker]
        (line,) = [line for line in drawn if line.get_markerfacecolor() != "none" and line.get_markersize() == 3]
        np.testing.assert_array_equal(np.column_stack(line.get_data()), rows[["leakage", "utility"]])
        assert has_coin(panel, vertical=True)
    assert panels[1, 0].get_ylabel() == "Location\ntest accuracy"  # of the most mitigations: at the foot of all columns
    assert panels[0, 0].get_ylabel() == "Purchase-100\n(stand-in)\ntest accuracy"
    assert words(panels[1, 3]) == ["λ: 0.0001 to 0.01"]
    assert words(panels[1, 0]) == ["top k: 3 to 1", "label only"]
    assert [panels[1, column].get_xlabel() for column in range(5)] == ["attack accuracy"] * 5


def test_the_points_of_the_front_are_ringed_once_in_the_panel_of_their_mitigation():
    table = two_data_sets()
    panels = drawn_panels(table)
    front = table[table["front"]]
    ringed = [point for (row, _), panel in panels.items() if row == 1 for point in points(panel, hollow=True)]
    start = front.query("mitigation == 'none'")  # it stands in every panel
    known = sorted(zip(front["leakage"], front["utility"], strict=True))
    assert sorted(set(ringed)) == known and 2 < len(known) < len(table)
    assert len(ringed) == len(known) + 4 * len(start)
    assert not [point for (row, _), panel in panels.items() if row == 0 for point in points(panel, hollow=True)]


def test_a_title_of_a_column_that_the_first_row_lacks_stands_where_it_begins():
    panels = drawn_panels(two_data_sets())
    assert panels[1, 4].get_title() == "private\ntraining" and panels[1, 3].get_title() == ""


def test_mitigations_read_back_from_a_table_are_the_same_picture(tables):
    read = tables["mitigations"].assign(knob=tables["mitigations"]["knob"].replace("", np.nan))
    texts = [[words(panel) for panel in drawn_panels(table).values()] for table in (read, tables["mitigations"])]
    assert texts[0] == texts[1]


def test_many_panels_need_the_place_of_one():
    with pytest.raises(ValueError, match="ax must stand in a grid of subplots"):
        plots.utility_leakage(mitigated_points(), ax=Figure().add_axes((0, 0, 1, 1)))


def test_a_label_that_is_not_needed_gives_way():
    ax = Figure().subplots()
    spots = np.array([[0.5, 0.5], [0.51, 0.5]])
    labels.place_labels(ax, [labels.Label(*spot, "word", "black", needed=False) for spot in spots], [spots])
    assert not ax.texts
    labels.place_labels(ax, [labels.Label(*spot, "word", "black") for spot in spots], [spots])
    assert words(ax) == ["word", "word"]


def test_table_iii_shows_both_attackers_and_the_paper(tables):
    table = tables["table_iii"]
    ax = draw(plots.mitigation_rows, table)
    known = table.drop_duplicates("setting")
    assert [x for x, _ in sorted(points(ax, hollow=True), key=lambda p: -p[1])] == known["published"].tolist()
    for variant, (_, marker) in plots.leakage.MARK_OF_KNOWLEDGE.items():
        drawn = sorted(points(ax, marker), key=lambda p: -p[1])
        assert [x for x, _ in drawn] == table.loc[table["variant"] == variant, "value"].tolist()
    assert has_coin(ax, vertical=True)
    test_accuracy = draw(plots.mitigation_rows, table.assign(metric="target_test_accuracy"))
    assert not has_coin(test_accuracy, vertical=True)


def test_a_knobs_values_stand_side_by_side_with_no_mitigation_first(tables):
    ax = draw(plots.knob_curves, tables["curve"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["none", "5", "20"]
    expected = {"Location": [(0, 0.9), (1, 0.85), (2, 0.7)], "Texas": [(0, 0.9), (2, 0.7)]}
    for line, path in expected.items():
        (drawn,) = [each for each in ax.lines if each.get_color() == style.COLOURS[line] and each.get_marker() == "o"]
        np.testing.assert_allclose(np.column_stack(drawn.get_data()).astype(float), path)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t", "attack accuracy")
    assert {"Location", "Texas"} <= set(words(ax))
    assert has_coin(ax, vertical=False)


def heights(ax, colour):
    bars = [bar for bar in ax.patches if matplotlib.colors.to_hex(bar.get_facecolor()) == colour.lower()]
    return [bar.get_height() for bar in sorted(bars, key=lambda bar: bar.get_x())]


def test_answers_of_a_member_and_a_nonmember_stand_side_by_side(tables):
    ax = draw(plots.prediction_vectors, tables["vectors"])
    assert heights(ax, style.MEMBERS) == [0.05, 0.9, 0.05] and heights(ax, style.NONMEMBERS) == [0.3, 0.4, 0.3]
    (true,) = [text for text in ax.texts if text.get_text() == "true class"]
    assert true.xy[0] == 1


def test_every_record_of_a_split_has_the_colour_of_its_side(tables):
    ax = draw(plots.shadow_splits, tables["splits"])
    (image,) = ax.images
    drawn = [[matplotlib.colors.to_hex(cell) for cell in row] for row in image.to_rgba(image.get_array())]
    member, nonmember, unused = (c.lower() for c in (style.MEMBERS, style.NONMEMBERS, plots.steps.UNUSED))
    assert drawn == [[member, nonmember, unused], [nonmember, member, member]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1", "2"]


def test_the_shift_of_answers_shows_four_histograms_and_the_border(tables):
    shapes = tables["shapes"]
    ax = draw(plots.answer_shift, shapes)
    drawn = [(patch.get_fill(), *patch.get_data().values) for patch in ax.patches]
    expected = [
        (model == "target", *rows["share"])
        for member in (True, False)
        for model in ("target", "shadows")
        for rows in [shapes[(shapes["model"] == model) & (shapes["member"] == member)]]
    ]
    assert drawn == expected
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [set(line.get_xdata()) for line in dotted] == [{shapes["threshold"].iloc[0]}]
    assert {"members", "non-members"} <= set(words(ax))


def test_noise_by_side_begins_each_line_at_real_data_and_rings_the_paper(tables):
    table = tables["by side"]
    ax = draw(plots.noise_by_side, table, tables["their noise"])
    real = table.loc[table["setting"] == "shadow:real", "value"].tolist()
    lines = [container[0] for container in ax.containers]
    for line, side in zip(lines, ("flip", "members", "non-members"), strict=True):
        assert line.get_ydata().tolist() == real + table.loc[table["variant"] == side, "value"].tolist()
    assert [y for _, y in points(ax, hollow=True)] == [0.678, 0.666, 0.613]
    assert has_coin(ax, vertical=False)
    alone = draw(plots.noise_by_side, table, tables["their noise"].iloc[:0])
    assert not points(alone, hollow=True)


def test_histograms_of_members_count_what_lies_beyond_the_axis(tables):
    ax = draw(plots.by_membership, tables["sides"], threshold=0.5)
    members, others = heights(ax, style.MEMBERS), heights(ax, style.NONMEMBERS)
    assert (members[27], members[-1], sum(members)) == (1, 1, 2)
    assert (others[0], others[3], sum(others)) == (1, 1, 2)
    assert has_coin(ax, vertical=True)


# Lines and panels


def test_things_are_called_as_the_paper_calls_them():
    table = pd.DataFrame(
        {
            "our_target": ["google", "google surrogate", "amazon(10,1e-6) surrogate", "local", "random forest"],
            "setting": ["shadow:real", "shadow:noise10", "shadow:marginal", "shadow:model_based", "shadow:noise35"],
            "train_size": [2500, 15_000, 1, 1, 1],
        },
        index=[4, 3, 2, 1, 0],
    )
    by_target = names.line_names(table, "our_target")
    assert by_target.tolist() == ["Google", "Google", "Amazon (10, 1e-6)", "local network", "random forest"]
    assert by_target.index.tolist() == [4, 3, 2, 1, 0]
    by_setting = names.line_names(table, "setting")
    assert by_setting.tolist() == ["real", "10% noise", "marginal", "model-based", "shadow:noise35"]
    assert names.line_names(table, "train_size").tolist()[:2] == ["n = 2,500", "n = 15,000"]
    ours = names.line_names(table[table["our_target"].isin(["google surrogate", "local"])], "our_target")
    assert set(ours) < set(names.line_names(paper.curves("Fig. 7"), "our_target"))  # by its name a line finds the paper's
    for figure in ("Fig. 8", "Fig. 9"):
        assert set(names.line_names(paper.curves(figure), "setting")) < set(names.WORDS.values())
    with pytest.raises(ValueError, match="by is 'colour': the table has our_target, setting, train_size"):
        names.line_names(table, "colour")


def test_a_data_set_is_called_with_what_stands_in_another_place():
    label = names.dataset_label
    assert label("purchase100") == "Purchase-100"
    assert label("purchase100", "standin") == "Purchase-100 (stand-in)"
    assert label("location", "real", "google surrogate") == "Location (surrogate)"
    assert label("purchase100", "standin", "amazon(10,1e-6) surrogate") == "Purchase-100 (stand-in, surrogate)"
    assert label("mine", "own", "local") == label("mine", np.nan) == "mine"


MIXED = pd.DataFrame(
    {
        "dataset": ["purchase2", "purchase10", "location", "location"],
        "source": ["standin", "standin", "real", "real"],
        "our_target": ["google surrogate", "google surrogate", "google surrogate", "local"],
        "target": [0, 1, 0, 1],  # of a class table: the number of the target
    }
)


def test_a_data_set_is_a_surrogates_where_all_of_its_rows_are():
    marked = {"purchase2": "Purchase-2 (stand-in, surrogate)", "purchase10": "Purchase-10 (stand-in, surrogate)"}
    assert names.dataset_labels(MIXED) == marked | {"location": "Location"}
    assert names.dataset_labels(MIXED.iloc[:1], targets=False) == {"purchase2": "Purchase-2 (stand-in)"}
    assert names.dataset_labels(MIXED[["dataset"]].iloc[:1]) == {"purchase2": "Purchase-2"}
    assert (names.shared_label(MIXED), names.line_labels(MIXED)) == ("", names.dataset_labels(MIXED))
    purchases = MIXED.iloc[:2]
    assert names.shared_label(purchases) == "Purchase (stand-in, surrogate)"
    assert names.line_labels(purchases) == {"purchase2": "Purchase-2", "purchase10": "Purchase-10"}
    assert names.shared_label(MIXED.iloc[2:]) == "Location"


def titles_of(frame, **options):
    figure = panels.draw(lambda table, *, ax: ax.plot([0, 1]), [frame], **options)
    return [ax.get_title() for ax in figure.axes], figure.get_suptitle()


def test_stand_ins_and_surrogates_are_marked_in_titles():
    google = MIXED.iloc[:3]
    marks = ["Purchase-2 (stand-in, surrogate)", "Purchase-10 (stand-in, surrogate)", "Location (surrogate)"]
    assert titles_of(google, facet="dataset", size=(12, 3)) == (marks, "")
    assert titles_of(google, facet="dataset", size=(7.2, 3))[0][0] == "Purchase-2\n(stand-in, surrogate)"  # no room for more
    both = [label.replace(", surrogate", "").replace(" (surrogate)", "") + ": Google surrogate" for label in marks]
    assert titles_of(google, facet=["dataset", "our_target"], size=(12, 3)) == (both, "")
    assert titles_of(google.iloc[:1]) == (["Purchase-2 (stand-in, surrogate)"], "")
    assert titles_of(google.iloc[:2], facet="target") == (["0", "1"], "Purchase (stand-in)")
    assert titles_of(MIXED) == ([""], "")


def test_panels_are_called_in_words_and_say_what_is_a_surrogate(tables):
    classes = pd.concat([tables["classes"].assign(our_target=kind) for kind in ("google surrogate", "local")])
    facet = ["dataset", "our_target"]
    theirs = tables["curves"].assign(dataset="purchase100")
    both = pd.concat([classes, classes.assign(dataset="purchase100")])
    figure = panels.draw(plots.cdfs, [both, theirs], facet=facet, by="setting", columns=2, size=(9, 6))
    kinds = ("Google surrogate", "local network")
    assert [ax.get_title() for ax in figure.axes] == [
        f"{name} (stand-in): {kind}" for name in ("Location", "Purchase-100") for kind in kinds
    ]
    thin = [sum(line.get_linewidth() == 0.9 for line in ax.lines) for ax in figure.axes]
    assert thin == [0, 0, 3, 3]  # a table is cut by the columns that it has


def test_an_unknown_or_empty_facet_is_named(tables):
    with pytest.raises(ValueError, match="facet is 'colour': the first table has dataset"):
        panels.draw(plots.cdfs, [tables["classes"]], facet=["dataset", "colour"], by="setting")
    with pytest.raises(ValueError, match="facet dataset: the first table is empty"):
        panels.draw(plots.cdfs, [tables["classes"].iloc[:0]], facet="dataset", by="setting")


def test_panels_that_share_axes_hide_no_value_of_any(tables):
    low = tables["counts"].assign(value=0.2, low=0.05, high=0.3, our_target="google surrogate")
    both = pd.concat([low, tables["counts"].assign(value=0.8, low=0.7, high=0.9)])
    figure = panels.draw(plots.shadow_count, [both], facet="our_target")
    assert [ax.get_ylim()[0] < 0.05 for ax in figure.axes] == [True, True]
