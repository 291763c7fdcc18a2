"""Figures of an audit draw what stands in its tables, in the user's own words, whatever these are."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from audited import HEADLINE, made_audit
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mialib import plots
from mialib.audit.figures import moment_frame
from mialib.plots import audit as module
from mialib.plots.names import in_words
from mialib.plots.style import MEMBERS, NONMEMBERS

matplotlib.use("Agg")
MANY = [f"class number {i} of a hundred and twenty" for i in range(120)]


@pytest.fixture(scope="module")
def audit():
    return made_audit(n=600)


@pytest.fixture(scope="module")
def tables(audit):
    return {
        plots.audit_attacks: (audit.attacks,), plots.audit_curves: (audit.curves, audit.attacks),
        plots.audit_answers: (audit.answers,), plots.audit_groups: (audit.groups,), plots.audit_remedies: (audit.remedies,),
        plots.audit_moment: (moment_frame(audit.moment),),
    }  # fmt: skip


def draw(plot, *frames):
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    before = [frame.copy() for frame in frames]
    assert plot(*frames, ax=ax) is None
    for frame, old in zip(frames, before, strict=True):
        pd.testing.assert_frame_equal(frame, old)
    figure.canvas.draw()
    return ax


def ticks(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def words(ax):
    return [text.get_text() for text in ax.texts]


def dots(ax, marker="o"):
    """(x, y, colour) of every marker."""
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return [
        (float(x), float(y), to_hex(line.get_color()).upper()) for line in lines for x, y in zip(*line.get_data(), strict=True)
    ]


def test_every_figure_of_an_audit_is_tested(tables):
    assert {getattr(plots, name) for name in plots.__all__ if getattr(plots, name).__module__ == module.__name__} == set(tables)


def test_figures_have_labels_and_no_box(tables):
    for plot, frames in tables.items():
        ax = draw(plot, *frames)
        assert ax.get_xlabel() and ax.get_legend() is None
        assert ax.get_ylabel() or all(ticks(ax))


def test_attacks_stand_by_attacker_best_first_at_their_auc(audit):
    ax = draw(plots.audit_attacks, audit.attacks)
    expected, aucs = [], []
    for attacker, rows in audit.attacks.groupby("attacker", sort=False):
        rows = rows.sort_values("auc", ascending=False)
        expected += [attacker, *map(in_words, rows["attack"])]
        aucs += list(rows["auc"])
    assert ticks(ax) == expected
    assert [label.get_fontweight() == "bold" for label in ax.get_yticklabels()] == [
        t in set(audit.attacks["attacker"]) for t in expected
    ]
    assert [x for x, *_ in sorted(dots(ax), key=lambda dot: dot[1])] == aucs
    assert words(ax) == [f"{auc:.2f}" for auc in aucs]
    head = audit.attacks[audit.attacks["headline"]].iloc[0]
    assert [x for x, _, colour in dots(ax) if colour == MEMBERS] == [head["auc"]]
    assert any(line.get_linestyle() == "--" and list(line.get_xdata()) == [0.5, 0.5] for line in ax.lines)
    spans = {tuple(map(float, line.get_xdata())) for line in ax.lines if line.get_marker() == "None"}
    assert set(zip(audit.attacks["auc_low"], audit.attacks["auc_high"], strict=True)) <= spans


def test_an_attack_without_an_interval_or_a_value_is_drawn_as_far_as_it_goes(audit):
    table = audit.attacks.copy()
    table.loc[table.index[0], ["auc_low", "auc_high"]] = np.nan
    table.loc[table.index[1], ["auc", "auc_low", "auc_high"]] = np.nan
    ax = draw(plots.audit_attacks, table)
    assert words(ax).count("none") == 1 and len(ticks(ax)) == len(table) + 3


def test_curves_are_drawn_on_logarithms_with_the_headline_thick(audit):
    own = audit.curves[audit.curves["attacker"] == "auditor"]
    ax = draw(plots.audit_curves, own, audit.attacks)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    *lines, guessing = ax.lines
    for line, (attack, rows) in zip(lines, own.groupby("attack", sort=False), strict=True):
        rows = rows[(rows["fpr"] > 0) & (rows["tpr"] > 0)]
        np.testing.assert_array_equal(np.column_stack(line.get_data()), rows[["fpr", "tpr"]])
        assert (line.get_linewidth() > 2) == (attack == HEADLINE[1])
    assert guessing.get_linestyle() == "--" and list(guessing.get_xdata()) == list(guessing.get_ydata())
    bold = [text.get_text() for text in ax.texts if text.get_fontweight() == "bold"]
    assert bold == [in_words(HEADLINE[1])]
    assert ax.get_xlim()[0] == own.loc[own["fpr"] > 0, "fpr"].min()


def test_a_headline_without_a_colour_of_its_own_gets_one():
    curves = pd.DataFrame({"attacker": "auditor", "attack": "entropy", "fpr": [0.1, 1.0], "tpr": [0.2, 1.0]})
    heads = pd.DataFrame({"attacker": ["auditor"], "attack": ["entropy"], "headline": [True]})
    assert draw(plots.audit_curves, curves, heads).lines[0].get_color() == module.HEADLINE
    assert draw(plots.audit_curves, curves).lines[0].get_color() == module.PALE
    empty = draw(plots.audit_curves, curves.assign(fpr=0.0))
    assert len(empty.lines) == 1 and empty.lines[0].get_linestyle() == "--"


def test_answers_of_members_go_up_and_of_non_members_down_in_per_cent_of_each():
    table = pd.DataFrame({"member": [True] * 4 + [False] * 2, "probability": [0.99, 0.98, 0.97, 0.01, 0.5, np.nan]})
    ax = draw(plots.audit_answers, table)
    bars = {(round(p.get_x(), 2), to_hex(p.get_facecolor()).upper()): p.get_height() for p in ax.patches if p.get_height()}
    assert bars == {(0.96, MEMBERS): 75, (0.0, MEMBERS): 25, (0.48, NONMEMBERS): -100}
    assert words(ax) == ["members", "non-members"]


def test_groups_stand_by_column_in_the_colour_of_their_exposure(audit):
    ax = draw(plots.audit_groups, audit.groups)
    for row in audit.groups.itertuples():
        (found,) = [colour for x, _, colour in dots(ax) if x == row.auc]
        assert found == module.COLOUR_OF_EXPOSURE[row.exposed].upper()
        assert any(list(line.get_xdata()) == [row.auc_rest] * 2 for line in ax.lines)
    heads = list(dict.fromkeys(audit.groups["column"]))
    assert [t for t in ticks(ax) if t in heads] == heads and len(ticks(ax)) == len(heads) + len(audit.groups)


def test_of_many_groups_only_those_that_stand_out_are_named_and_no_name_upon_another():
    groups = made_audit(n=1800, names=MANY, attackers=("auditor",), moment="none").groups
    ax = draw(plots.audit_groups, groups)
    assert len(dots(ax)) == len(groups) == 122
    named = [t for t in ticks(ax) if t not in ("class", "sex")]
    assert 2 <= len(named) <= module.MOST_NAMED and all(len(t) <= module.LONGEST_WORDS for t in named)
    boxes = sorted((label.get_window_extent() for label in ax.get_yticklabels() if label.get_text()), key=lambda box: box.y0)
    standing = [label.get_position()[1] for label in ax.get_yticklabels()]
    assert len(boxes) == len(standing) and min(np.diff(sorted(standing))) > 0


@pytest.mark.parametrize(
    "name", ["$50k$", "a_b^c$", "<script>alert(1)</script>", "very long " * 9, "two\nlines", "100% \\frac", ""]
)
def test_words_of_users_are_no_formulas(audit, name):
    groups = audit.groups.assign(value=name, column=name)
    shown, whole = ticks(draw(plots.audit_groups, groups))[0].replace(r"\$", "$"), " ".join(name.split())
    most = module.LONGEST_WORDS
    assert shown == (whole if len(whole) <= most else whole[: most - 1] + "…")
    ax = draw(plots.audit_remedies, audit.remedies.assign(mitigation=name))
    (lines,) = {text.get_text().replace(r"\$", "$") for text in ax.texts if text.get_text() and text.get_path_effects()} - {
        "no mitigation"
    } or {""}
    assert lines.count("\n") < 3 and all(len(line) <= most for line in lines.split("\n"))
    assert whole == lines.replace("\n", " ") or (len(whole) > 3 * most and whole.startswith(lines[:-2].replace("\n", " ")))


def test_groups_without_a_value_are_left_out(audit):
    groups = audit.groups.copy()
    groups.loc[groups.index[0], "auc"] = np.nan
    assert len(dots(draw(plots.audit_groups, groups))) == len(groups) - 1
    assert not dots(draw(plots.audit_groups, groups.iloc[:0]))


def test_remedies_point_from_what_was_measured_in_the_same_place(audit):
    ax = draw(plots.audit_remedies, audit.remedies)
    marks = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])): line for line in ax.lines if line.get_marker() != "None"}
    arrows = {tuple(map(float, (*t.xyann, *t.xy))) for t in ax.texts if not t.get_text()}
    for row in audit.remedies.itertuples():
        hollow = marks[row.auc, row.accuracy].get_markerfacecolor() == "white"
        assert hollow == (row.measured_on == "references")
        same = audit.remedies[(audit.remedies["measured_on"] == row.measured_on) & (audit.remedies["kind"] == "none")].iloc[0]
        assert ((same["auc"], same["accuracy"], row.auc, row.accuracy) in arrows) == (row.kind != "none")
    assert {"no mitigation", "label only", "hollow: on references"} <= set(words(ax))


def test_a_moment_shows_every_answer_and_the_target_by_itself(audit):
    moment = audit.moment
    ax = draw(plots.audit_moment, moment_frame(moment))
    assert ticks(ax) == ["your model", "references\ntrained with it", "references\ntrained without it"]
    assert [x for x, *_ in dots(ax, "D")] == [moment.target]
    for colour, answers in ((MEMBERS, moment.members), (NONMEMBERS, moment.strangers)):
        assert [x for x, _, found in dots(ax) if found == colour] == sorted(answers)
    low, high = ax.get_xlim()
    assert low < min(moment.target, *moment.members, *moment.strangers) and high > 1


def test_equal_answers_of_a_moment_are_stacked_not_hidden():
    frame = pd.DataFrame({"answered_by": ["target"] + ["members"] * 40, "probability": [0.3] + [1.0] * 40})
    ax = draw(plots.audit_moment, frame)
    assert len({y for *_, y, colour in dots(ax) if colour == MEMBERS}) == 40
    assert ticks(ax) == ["your model", "references\ntrained with it"]
    assert np.ptp([y for _, y, colour in dots(ax) if colour == MEMBERS]) < 0.9
