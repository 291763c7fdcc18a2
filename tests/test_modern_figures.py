"""Figures of the attacks after 2017 draw what stands in their tables, name it, and write on nothing."""

from io import StringIO

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from mialib import plots
from mialib.plots import modern, panels, style
from mialib.plots.names import in_words
from mialib.plots.scoreboard import COLOUR_OF_DATASET

matplotlib.use("Agg")
SETS = ["location", "mnist", "adult", "cifar10", "cifar100", "purchase100", "texas"]
ATTACKS = [*modern.COLOUR_OF_ATTACK, "attack_p", "base", "label_noise", "label_boundary"]


def facets(table: pd.DataFrame, n: int = 7) -> pd.DataFrame:
    """The same rows for n data sets."""
    return pd.concat([table.assign(dataset=name) for name in SETS[:n]], ignore_index=True)


def curves() -> pd.DataFrame:
    grid = np.geomspace(1e-3, 1, 13)
    parts = [pd.DataFrame({"attack": name, "fpr": grid, "tpr": grid ** (0.2 + 0.08 * i)}) for i, name in enumerate(ATTACKS)]
    table = pd.concat(parts, ignore_index=True)
    table.loc[(table["attack"] == "shokri") & (table["fpr"] < 5e-3), "tpr"] = 0
    return table


def counts(metric: str = "tpr") -> pd.DataFrame:
    rows = [
        {"attack": name, "metric": metric, "n_references": n, "value": 0.1 * i + n / 100}
        for i, name in enumerate(("watson", "rmia_online", "lira_online"), 1)
        for n in (1, 2, 4, 62)
        if n >= (4 if name == "lira_online" else 1)
    ]
    return pd.DataFrame(rows).assign(low=lambda t: t["value"] - 0.05, high=lambda t: t["value"] + 0.2 * t["value"])


def steps() -> pd.DataFrame:
    rows = [("none", "one threshold", 0.01, np.nan)]
    for side, shift in (("OUT", 0), ("IN and OUT", 0.02)):
        rows += [(side, step, shift + 0.03 * i, 0.05) for i, step in enumerate(modern.STEPS[1:4], 1)]
    table = pd.DataFrame(rows, columns=["side", "step", "value", "published"])
    return table.assign(low=table["value"] / 2, high=table["value"] + 0.01)


def shares() -> pd.DataFrame:
    names = ["confidence", "shokri", "lira_online_global"]
    grid = [[1, 0.25, 0.9], [0.5, 1, 0.75], [np.nan, np.nan, np.nan]]
    rows = [
        {"attack": a, "other": b, "n_found": 1200.4 / 10**i, "share": grid[i][j]}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    return pd.DataFrame(rows)


def correlations() -> pd.DataFrame:
    rows = [{"dataset": name, "mark": mark, "spearman": 0.07 * i} for i, name in enumerate(SETS) for mark in ("far", "rare")]
    return pd.DataFrame(rows).assign(low=lambda t: t["spearman"] - 0.1, high=lambda t: t["spearman"] + 0.05)


PATHS = {  # mitigation: knob, and (its value, average, low rate) along the path
    "none": ("", [(0, 0.86, 0.31)]),
    "top k": ("k", [(3, 0.855, 0.3), (1, 0.84, 0.29)]),
    "label only": ("", [(1, 0.7, 0.03)]),
    "noise": ("σ", [(0.1, 0.78, 0.04), (0.3, 0.66, 0.015)]),
    "L2": ("λ", [(1e-4, 0.84, 0.25), (1e-3, 0.72, 0.11), (1e-2, 0.55, 0.02)]),
    "private training": ("ε", [(10, 0.54, 0.014), (1, 0.505, 0.011)]),
}


def standings() -> pd.DataFrame:
    rows = [
        {"mitigation": name, "knob": knob, "at": at, "average": average, "low_rate": low, "fpr": 0.01}
        for name, (knob, path) in PATHS.items()
        for at, average, low in path
    ]
    return pd.DataFrame(rows)


def promises() -> pd.DataFrame:
    rows = [
        {"training": training, "promised": promised, "estimate": estimate, "value": value, "ceiling": ceiling}
        for training, promised, values in (
            ("no mitigation", np.nan, (3.9, 3.1)), ("private, ε = 100", 100, (0.7, 0.5)), ("private, ε = 1", 1, (0, 0)),
        )
        for estimate, value, ceiling in zip(("counts", "one run"), values, (5.4, 7.1), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(low=lambda t: t["value"] * 0.8, high=lambda t: t["value"] + 0.5)


TABLES = {
    plots.log_roc_curves: curves, plots.reference_counts: counts, plots.ladder_steps: steps, plots.found_by_both: shares,
    plots.mark_correlations: correlations, plots.average_against_low: standings, plots.epsilon_bounds: promises,
}  # fmt: skip


def draw(plot, table: pd.DataFrame, **options):
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    before = table.copy()
    assert plot(table, ax=ax, **options) is None
    pd.testing.assert_frame_equal(table, before)
    figure.canvas.draw()
    return ax


def marks(ax, marker: str = "o", hollow: bool = False) -> dict[str, list[tuple[float, float]]]:
    """(x, y) of the markers of a kind, by their colour."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in ax.lines:
        if line.get_marker() == marker and (line.get_markerfacecolor() == "none") == hollow:
            data = zip(*(np.asarray(part, float) for part in line.get_data()), strict=True)
            found.setdefault(to_hex(line.get_color()).upper(), []).extend((float(x), float(y)) for x, y in data)
    return found


def words(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_every_figure_of_these_attacks_is_tested():
    assert {getattr(plots, name) for name in plots.__all__ if getattr(plots, name).__module__ == modern.__name__} == set(TABLES)


@pytest.mark.parametrize("plot", TABLES, ids=lambda plot: plot.__name__)
def test_figures_have_labels_no_box_and_one_key(plot):
    ax = draw(plot, TABLES[plot]())
    assert ax.get_xlabel() or plot is plots.found_by_both
    assert ax.get_ylabel() or [label.get_text() for label in ax.get_yticklabels()]
    assert ax.get_legend() is None


@pytest.mark.parametrize("n", [1, 3, 6, 7])
@pytest.mark.parametrize(
    "plot", [plots.log_roc_curves, plots.reference_counts, plots.ladder_steps, plots.epsilon_bounds], ids=lambda f: f.__name__
)
def test_panels_share_a_key_that_lies_on_none_of_them(plot, n):
    figure = panels.draw(
        plot, [facets(TABLES[plot](), n)], facet="dataset", columns=3, share=False, size=(7.2, 2.6 * -(-n // 3))
    )
    figure.canvas.draw()
    *others, last = figure.axes
    assert last.texts and not any(ax.texts for ax in others)
    for text in last.texts:
        box = Text.get_window_extent(text)
        assert not any(ax.bbox.overlaps(box) for ax in figure.axes), text.get_text()
        assert figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1), text.get_text()


@pytest.mark.parametrize(
    "plot", [plot for plot in TABLES if plot is not plots.mark_correlations], ids=lambda plot: plot.__name__
)
def test_panels_name_their_axes_at_the_edge_alone(plot):
    figure = panels.draw(plot, [facets(TABLES[plot](), 4)], facet="dataset", columns=3, share=False)
    ticks = [any(label.get_text() for label in ax.get_yticklabels()) for ax in figure.axes]
    left = [bool(ax.get_ylabel()) for ax in figure.axes] if any(ax.get_ylabel() for ax in figure.axes) else ticks
    below = [bool(ax.get_xlabel()) for ax in figure.axes]
    if plot is plots.found_by_both:
        below = [bool(ax.get_xticklabels()[0].get_text()) for ax in figure.axes]
    assert (left, below) == ([True, False, False, True], [False, True, True, True])


def test_roc_curves_are_drawn_where_a_logarithm_has_them():
    table = curves()
    ax = draw(plots.log_roc_curves, table)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    *lines, guessing = ax.lines
    for line, (attack, rows) in zip(lines, table.groupby("attack", sort=False), strict=True):
        rows = rows[rows["tpr"] > 0]
        np.testing.assert_array_equal(np.column_stack(line.get_data()), rows[["fpr", "tpr"]])
        followed = attack in modern.COLOUR_OF_ATTACK
        colour = modern.COLOUR_OF_LABELS if attack.startswith("label") else modern.COLOUR_OF_ATTACK.get(attack, modern.FAINT)
        assert line.get_color() == colour and (line.get_linewidth() > 1) == followed
    assert guessing.get_linestyle() == "--" and list(guessing.get_xdata()) == list(guessing.get_ydata()) == [1e-3, 1]
    assert ax.get_xlim() == (1e-3, 1) and ax.get_ylim()[0] <= table.loc[table["tpr"] > 0, "tpr"].min()
    assert words(ax) == [*map(modern.named_attack, modern.COLOUR_OF_ATTACK), "labels alone", "other attacks"]
    dashed = [words for words in map(modern.named_attack, modern.COLOUR_OF_ATTACK) if words.endswith(" (dashed)")]
    assert dashed == ["RMIA, offline (dashed)"]
    few = draw(plots.log_roc_curves, table[table["attack"].isin(["watson", "shokri"])])
    assert words(few) == ["Watson", "attack of 2017"]
    assert [to_hex(text.get_color()).upper() for text in few.texts] == [
        modern.COLOUR_OF_ATTACK[a] for a in ("watson", "shokri")
    ]


@pytest.mark.parametrize(("metric", "label", "scale"), [("tpr", "members found (%)", 100), ("auc", "AUC", 1)])
def test_numbers_of_references_stand_at_their_values(metric, label, scale):
    table = counts(metric).sample(frac=1, random_state=0)
    ax = draw(plots.reference_counts, table, percent=scale == 100)
    for attack, rows in table.groupby("attack"):
        rows = rows.sort_values("n_references")
        expected = list(zip(rows["n_references"], scale * rows["value"], strict=True))
        np.testing.assert_allclose(marks(ax)[modern.COLOUR_OF_ATTACK[str(attack)]], expected)
    assert len(ax.collections) == 3
    ends = np.concatenate([band.get_paths()[0].vertices[:, 1] for band in ax.collections])
    assert (ends.min(), ends.max()) == pytest.approx((scale * table["low"].min(), scale * table["high"].max()))
    assert ax.get_ylim()[0] <= ends.min() and ax.get_ylim()[1] >= ends.max()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "4", "62"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("reference models", label)
    assert words(ax) == ["LiRA", "RMIA", "Watson"]


def test_steps_of_the_ladder_stand_under_one_another_beside_the_published_ones():
    table = steps()
    ax = draw(plots.ladder_steps, table)
    for side, (colour, shift) in modern.MARK_OF_SIDE.items():
        rows = table[table["side"] == side]
        at = [modern.STEPS.index(step) + shift for step in rows["step"]]
        np.testing.assert_allclose(marks(ax)[colour.upper()], list(zip(100 * rows["value"], at, strict=True)))
        hollow = [point for point in marks(ax, hollow=True)[colour.upper()] if not np.isnan(point[0])]
        np.testing.assert_allclose(hollow, [] if side == "none" else [(5.0, y) for y in at])
    assert [label.get_text() for label in ax.get_yticklabels()] == list(modern.STEPS)
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first step on top"
    assert words(ax) == ["no references", "OUT references", "IN and OUT references", "hollow: published,\nother networks"]
    assert len(words(draw(plots.ladder_steps, table.drop(columns="published")))) == 3
    with pytest.raises(KeyError, match="nobody"):
        draw(plots.ladder_steps, table.assign(side="nobody"))


def test_steps_are_named_at_the_left_alone():
    figure = panels.draw(plots.ladder_steps, [facets(steps(), 4)], facet="dataset", columns=3, share=False)
    named = [[label.get_text() for label in ax.get_yticklabels()] for ax in figure.axes]
    assert named == [list(modern.STEPS), [""] * 5, [""] * 5, list(modern.STEPS)]


def test_what_two_attacks_find_is_written_into_cells():
    ax = draw(plots.found_by_both, shares())
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in ax.texts}
    expected = [["1,200", "25", "90"], ["50", "120", "75"], ["", "", "12"]]
    assert cells == {(i, j): expected[i][j] for i in range(3) for j in range(3)}
    names = ["one threshold", "attack of 2017", "LiRA, global variance"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [label.get_text() for label in ax.get_xticklabels()] == names
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), [[0, 0.25, 0.9], [0.5, 0, 0.75], [0, 0, 0]])


def test_marks_have_a_colour_a_data_set():
    table = correlations()
    ax = draw(plots.mark_correlations, table)
    as_elsewhere = ["Location", "MNIST", "Adult", "CIFAR-10", "CIFAR-100", "Purchase", "Texas"]
    colours = {COLOUR_OF_DATASET[name]: key for name, key in zip(as_elsewhere, SETS, strict=True)}
    assert set(marks(ax)) == set(colours) and len(colours) == len(SETS)
    for colour, found in marks(ax).items():
        rows = table[table["dataset"] == colours[colour]]
        assert [x for x, _ in found] == rows["spearman"].tolist()
        assert [round(y) for _, y in found] == [0, 1]
    assert words(ax) == [in_words(name) for name in SETS]
    left, right = ax.get_xlim()
    assert left == -right and left <= table["low"].min() and right >= table["high"].max()
    assert draw(plots.mark_correlations, table.assign(spearman=np.nan, low=np.nan, high=np.nan)).get_xlim()[1] > 0


def test_mitigations_are_paths_with_names():
    table = standings()
    for each in (table, pd.read_csv(StringIO(table.to_csv(index=False)))):  # empty knobs are read back as NaN
        ax = draw(plots.average_against_low, each)
        for name, rows in table.groupby("mitigation"):
            colour, marker = plots.leakage.MARK_OF_MITIGATION[name]
            expected = list(zip(rows["average"], 100 * rows["low_rate"], strict=True))
            np.testing.assert_allclose(marks(ax, marker)[to_hex(colour).upper()], expected)
        names = {"no mitigation", "top k, k = 1", "label only", "noise, σ = 0.3", "L2, λ = 0.01", "private training, ε = 1"}
        assert names <= set(words(ax))
        assert ax.get_ylabel() == "members LiRA finds at 1% (%)"
        boxes = [Text.get_window_extent(text) for text in ax.texts]
        assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])


def test_bounds_of_epsilon_stand_below_their_ceilings_beside_what_was_promised():
    table = promises()
    ax = draw(plots.epsilon_bounds, table)
    for estimate, (colour, shift) in modern.MARK_OF_ESTIMATE.items():
        rows = table[table["estimate"] == estimate]
        places = [0 + shift, 1 + shift, 2 + shift]
        np.testing.assert_allclose(marks(ax)[colour.upper()], list(zip(places, rows["value"], strict=True)))
        ceilings = [line.get_data() for line in ax.lines if line.get_color() == colour and line.get_markersize() == 12]
        np.testing.assert_allclose(np.column_stack(ceilings[0]), list(zip(places, rows["ceiling"], strict=True)))
    dotted = [part for part in ax.collections if to_hex(part.get_color()[0]) == "#000000"]
    (promise,) = (part.get_segments()[0] for part in dotted)  # 100 lies above all ceilings
    assert promise[:, 1].tolist() == [1, 1] and promise[:, 0].mean() == 2
    assert [label.get_text() for label in ax.get_xticklabels()] == ["no mitigation", "private,\nε = 100", "private,\nε = 1"]
    assert words(ax) == ["counts", "one run", "short lines: ceiling", "dotted: promised"]
    assert ax.get_ylim()[1] > table["ceiling"].max()


def test_no_attack_that_is_followed_looks_like_another():
    lines = [(colour, modern.line_of_attack(attack)) for attack, colour in modern.COLOUR_OF_ATTACK.items()]
    lines += [(colour, "-") for colour in (modern.COLOUR_OF_LABELS, modern.FAINT, style.GREY)]
    assert len(set(lines)) == len(lines)
