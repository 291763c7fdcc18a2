"""Every figure of every committed run looks as it should, and a figure that does not is found out."""

import json
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from audited import made_audit
from looks import (
    FOREIGN,
    MANY,
    NAMELESS,
    OUTSIDE,
    OVER_MARK,
    OVER_TEXT,
    RULES,
    UNMARKED,
    committed_figures,
    flaws,
    looked_at,
    main,
)
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mialib.audit.figures import AUDIT_FIGURES, audit_figure
from mialib.plots.labels import HALO
from mialib.plots.panels import STYLE
from mialib.plots.style import GREY, OURS, PALETTE

matplotlib.use("Agg")
FIGURES = committed_figures()
KNOWN: dict[str, set[str]] = {}  # what is wrong still: this only shrinks


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_of_committed_runs_look_well(figure):
    with plt.style.context(STYLE, after_reset=True):
        _, found = looked_at(*FIGURES[figure])
    known = KNOWN.get(figure, set())
    assert [flaw for flaw in found if flaw.rule not in known] == []
    assert known <= {flaw.rule for flaw in found}, "it looks better than KNOWN says: remove what is mended there"


@pytest.fixture(scope="module")
def long_audit():
    """An audit whose mitigations have long names."""
    audit = made_audit()
    names = audit.remedies["mitigation"] + [
        f", and {i} more words of what its owner would change" for i in range(len(audit.remedies))
    ]
    return replace(audit, remedies=audit.remedies.assign(mitigation=names))


@pytest.mark.parametrize("name", AUDIT_FIGURES)
def test_figures_of_an_audits_page_look_well(name, long_audit):
    with plt.style.context(STYLE, after_reset=True):
        assert flaws(audit_figure(long_audit, name)) == []


def test_what_is_known_is_of_a_figure_and_a_rule():
    assert set(KNOWN) <= set(FIGURES) and set().union(*KNOWN.values()) <= set(RULES)


def panels(columns=1, **options):
    """A figure that looks well: a line in each panel, whose axes have names where they are shared."""
    figure = Figure(figsize=(3 * columns, 3), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, **options)[0]
    for ax in axes:
        ax.plot([0, 1], [0, 1], color=OURS)
        ax.set_xlabel("a name")
    axes[0].set(ylabel="a name", title="what it shows")
    return figure, axes


def rules(figure):
    return {flaw.rule for flaw in flaws(figure)}


def test_a_figure_that_looks_well_has_no_flaw():
    figure, (left, right) = panels(2, sharey=True)
    left.set_xticks(np.linspace(0, 1, 12), [f"a long name {i}" for i in range(12)], rotation=60, ha="right")
    left.text(0.5, 0.5, "on the line", path_effects=HALO, ha="center", va="center")
    left.text(0.1, 0.9, "off the line")
    left.text(5, 5, "")
    right.set_yticks([0.1, 0.9], ["words", "name themselves"])
    right.annotate("its own arrow", (0.5, 0.5), (0.6, 0.2), arrowprops={"arrowstyle": "-", "color": GREY})
    right.imshow(np.arange(4).reshape(2, 2), cmap="viridis", extent=(0, 0.2, 0.6, 0.8), aspect="auto")
    right.text(0.1, 0.7, "7", ha="center", va="center")
    right.set(xlim=(0, 1), ylim=(0, 1))
    assert flaws(figure) == []


def over_text(figure, ax):
    ax.text(0.1, 0.9, "some words")
    ax.text(0.15, 0.91, "other words")


def over_a_turned_text(figure, ax):
    ax.text(0.3, 0.8, "some turned words", rotation=45, ha="center", va="center")
    ax.text(0.3, 0.8, "x", ha="center", va="center")


def over_ticks(figure, ax):
    ax.set_xticks(np.linspace(0, 1, 8), ["long names"] * 8)


def too_long(figure, ax):
    ax.set_title("a title that has very many more words than there is room for in it")


def below_the_canvas(figure, ax):
    figure.text(0.5, -0.01, "low")


def over_a_line(figure, ax):
    ax.text(0.5, 0.5, "some words", ha="center", va="center")


def over_a_dashed_line(figure, ax):
    ax.axvline(0.3, linestyle="--", color=GREY)
    ax.text(0.2, 0.8, "some words")


def over_a_leader(figure, ax):
    ax.annotate("far", (0.1, 0.5), (0.1, 0.9), arrowprops={"arrowstyle": "-"}, ha="center")
    ax.text(0.1, 0.7, "between", ha="center")


def halo_over_a_marker(figure, ax):
    ax.plot(0.2, 0.8, "o", color=OURS)
    ax.text(0.2, 0.8, "some words", path_effects=HALO, va="center")


def over_a_dot(figure, ax):
    ax.scatter([0.2], [0.8], color=OURS)
    ax.text(0.2, 0.8, "some words", va="center")


def over_a_bar(figure, ax):
    ax.bar([0.2], [0.9], 0.2, color=OURS)
    ax.text(0.2, 0.8, "word", ha="center")


def over_an_area_that_is_a_line(figure, ax):
    ax.stairs([0.8, 0.9], [0.1, 0.2, 0.3], color=OURS)
    ax.text(0.15, 0.8, "word", va="center")


def no_name(figure, ax):
    ax.set_xlabel("")


def too_many(figure, ax):
    for number in range(9):
        ax.plot([0, 1], [0.9, 0.9], color=plt.get_cmap("tab20")(2 * number))


def another_palette(figure, ax):
    ax.fill_between([0, 1], 0.8, 0.9, color="#117733", alpha=0.2)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (over_text, {OVER_TEXT}),
        (over_a_turned_text, {OVER_TEXT}),
        (over_ticks, {OVER_TEXT}),
        (too_long, {OUTSIDE}),
        (below_the_canvas, {OUTSIDE}),
        (over_a_line, {OVER_MARK}),
        (over_a_dashed_line, {OVER_MARK}),
        (over_a_leader, {OVER_MARK}),
        (halo_over_a_marker, {OVER_MARK}),
        (over_a_dot, {OVER_MARK}),
        (over_a_bar, {OVER_MARK}),
        (over_an_area_that_is_a_line, {OVER_MARK}),
        (no_name, {NAMELESS}),
        (too_many, {MANY, FOREIGN}),
        (another_palette, {FOREIGN}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_every_rule_catches_a_bad_figure(spoil, found):
    figure, (ax,) = panels()
    spoil(figure, ax)
    assert rules(figure) == found


def a_run(folder, function="by_membership", **columns):
    """A results folder with one figure, of a stand-in."""
    table = pd.DataFrame({"member": [True, False], "score": [0.9, 0.1], **columns})
    table.to_csv(folder / "f.csv", index=False)
    spec = {"function": function, "tables": ["f"], "options": {"column": "score", "size": [5, 3]}}
    names = [{"name": "texas", "source": "standin"}, {"name": "location", "source": "real"}]
    (folder / "run.json").write_text(json.dumps({"datasets": names, "figures": {"f": spec}}))
    return folder


def test_stand_ins_and_surrogates_need_their_marks(tmp_path):
    def found():
        with plt.style.context(STYLE, after_reset=True):
            return {flaw.where for flaw in looked_at(tmp_path, "f")[1] if flaw.rule == UNMARKED}

    a_run(tmp_path, dataset="texas", our_target="google surrogate")
    assert found() == set()
    a_run(tmp_path, dataset=["texas", "location"], our_target="google surrogate")
    assert found() == {"stand-in", "surrogate"}, "two data sets, and nothing but the note names them"
    a_run(tmp_path, source="real", our_target="local")
    assert found() == set()


def test_each_panel_needs_its_name_unless_another_in_its_row_or_column_has_it():
    figure, (left, _) = panels(2)
    assert rules(figure) == set()
    left.set_ylabel("")
    assert [flaw.where for flaw in flaws(figure)] == ["y of the panel 'what it shows'", "y of the panel ''"]


def test_the_palette_has_eight_colours():
    assert len(set(PALETTE)) == 8


def test_one_figure_is_looked_at_from_the_command_line(tmp_path, capsys):
    assert main(["00_attack_by_hand/two_answers", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "paper/00_attack_by_hand/two_answers looks well\n"
    assert [path.name for path in tmp_path.iterdir()] == ["paper.00_attack_by_hand.two_answers.png"]
