"""The one figure of README: its counts are those of a loop, its rows those that count first, and nothing apart is coloured."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_scoreboard import measured, published, save_run

from mialib import paper, plots
from mialib.core.types import AttackData
from mialib.paper import saved, scoreboard
from mialib.plots import finding, panels, style
from mialib.study import tables
from mialib.study.experiments import Case, Trial

matplotlib.use("Agg")
CIFAR = Case("cifar10", "real", "local", 4, "shadow:real", "none")


def trial(target, sure, member, case=CIFAR):
    """A target that gives the true class, class 0 of two, these probabilities."""
    predictions = np.stack([np.array(sure), 1 - np.array(sure)], axis=1).astype(np.float32)
    data = AttackData(predictions, np.zeros(len(sure), np.int64), np.array(member))
    return Trial(case, target, data, lambda: data, 0)


SURE = [[1.0, 0.97, 0.5, 0.0], [0.99, 0.74, 0.26, 0.25]]
TRIALS = [trial(target, sure, [True, True, False, False]) for target, sure in enumerate(SURE)]


def counts():
    return tables.true_class_counts(TRIALS, bins=4)


def values(**changed):
    """As if the paper's values of Fig. 4 and Table II had been measured here: surrogates in Google's place."""
    rows = pd.concat([published(id="F4", reading="stated"), published(id="T2")])
    sources = rows["dataset"].str.startswith(("purchase", "texas")).map({True: "standin", False: "real"})
    kinds = {"local": "local", "google": "google surrogate"}
    parts = [measured(part, source, kinds[target], **changed) for (target, source), part in rows.groupby(["target", sources])]
    return scoreboard.standings(paper.compare(pd.concat(parts, ignore_index=True)))


def drawn(answers, rows):
    figure = panels.draw(plots.why_and_outcome, [rows, answers], size=(8.5, 4.4))
    figure.canvas.draw()
    why, outcome = figure.axes
    return why, outcome


# Tables


def test_counts_are_those_of_a_loop_over_all_targets():
    table = counts()
    assert list(table) == [*tables.CASE, "member", "bin_left", "bin_right", "records", "n_targets"]
    for member in (True, False):
        own = table[table["member"] == member]
        asked = [p for sure in SURE for p, m in zip(sure, [True, True, False, False], strict=True) if m == member]
        for row in own.itertuples():
            last = row.bin_right == 1
            assert row.records == sum(row.bin_left <= p < row.bin_right or (last and p == 1) for p in asked)
        assert own["records"].sum() == len(asked) and (own["n_targets"] == 2).all()


def test_cases_are_counted_apart_and_a_target_once():
    other = trial(0, [0.9, 0.1], [True, False], CIFAR._replace(train_size=1))
    table = tables.true_class_counts([*TRIALS, TRIALS[0], other], bins=2)
    assert table.groupby("train_size", sort=False)["records"].sum().to_dict() == {4: 8, 1: 2}


def test_rows_that_count_stand_first_and_each_says_why_it_does_not():
    rows = scoreboard.finding_rows(values())
    assert rows["label"].tolist() == [
        "CIFAR-10, n = 2,500", "CIFAR-10, n = 5,000", "CIFAR-10, n = 10,000", "CIFAR-10, n = 15,000",
        "CIFAR-100, n = 4,600", "CIFAR-100, n = 10,520", "Adult", "MNIST", "Location",
        "Purchase-2", "Purchase-10", "Purchase-20", "Purchase-50", "Purchase-100", "Texas",
    ]  # fmt: skip
    assert rows["apart"].tolist() == [""] * 6 + ["surrogate"] * 3 + ["stand-in, surrogate"] * 6
    np.testing.assert_allclose(rows["value"], rows["published"])


def test_shadows_against_the_rules_other_sizes_and_other_targets_are_no_row():
    for change in ({"variant": "swapped"}, {"our_train_size": 99.0}):
        assert scoreboard.finding_rows(values().assign(**change)).query("apart == ''").empty
    local = values().assign(our_target="local")
    assert set(scoreboard.finding_rows(local)["label"].str.partition(",")[0]) == {"CIFAR-10", "CIFAR-100"}


# What 01_cifar10 saved


@pytest.fixture
def folder(tmp_path):
    rows = paper.compare(measured(published(id="F4", dataset="cifar10", reading="stated")))
    folder = save_run(tmp_path / "results", rows, notebook="01_cifar10", datasets={"cifar10": "real"})
    counts().to_csv(folder / "true_class.csv", index=False)
    return folder


def read(folder):
    return saved.read_runs("paper", results=folder.parent.parent)


def test_the_answers_are_read_and_without_rows_where_there_are_none(folder):
    expected = counts()[saved.COUNTS]
    pd.testing.assert_frame_equal(read(folder).answers, expected, check_dtype=False)
    (folder / "true_class.csv").unlink()
    assert read(folder).answers.empty and list(read(folder).answers) == saved.COUNTS


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("records", -1, "records is -1; 0 to inf is allowed"),
        ("records", "many", "records is 'many'; a number is needed"),
        ("bin_right", 1.5, "bin_right is 1.5; 0 to 1 is allowed"),
        ("member", "maybe", "member is 'maybe'; True and False are allowed"),
        ("source", "standin", "source is 'standin'; in paper every row must be 'real'"),
        ("bin_left", 0.0, "the second row of one bin"),
    ],
)
def test_wrong_answers_are_refused_by_file_and_line(folder, column, value, message):
    table = counts().astype({column: object})
    table.loc[1, column] = value
    table.to_csv(folder / "true_class.csv", index=False)
    with pytest.raises(ValueError, match=rf"results/paper/01_cifar10/true_class.csv, line 3 .*{message}"):
        read(folder)


# The figure


def test_bars_are_the_shares_of_members_and_nonmembers():
    why, _ = drawn(counts(), scoreboard.finding_rows(values()))
    for member, colour in ((True, style.MEMBERS), (False, style.NONMEMBERS)):
        bars = [bar for bar in why.patches if matplotlib.colors.to_hex(bar.get_facecolor()) == colour.lower()]
        records = counts().loc[counts()["member"] == member, "records"]
        assert [bar.get_height() for bar in bars] == pytest.approx((records / records.sum()).tolist())
    words = [text.get_text() for text in why.texts]
    assert {"members", "non-members", "75% get more than 0.75", "0% get more than 0.75"} <= set(words)
    assert why.get_ylabel() == "share of CIFAR-10 pictures"


@pytest.mark.parametrize(("share", "words"), [(1, "100%"), (0.9997, "99.97%"), (0.281, "28%"), (0.0004, "0.04%"), (0, "0%")])
def test_nearly_all_are_not_said_to_be_all(share, words):
    assert finding._percent(share) == words


def test_answers_that_were_not_run_are_said_to_be_missing():
    why, outcome = drawn(counts().iloc[:0], scoreboard.finding_rows(values()))
    assert [text.get_text() for text in why.texts] == ["not run"] and not why.patches
    assert outcome.lines


def test_what_does_not_count_is_grey_and_below_the_rule():
    rows = scoreboard.finding_rows(values(error=0.03))
    _, outcome = drawn(counts(), rows)
    filled = [line for line in outcome.lines if line.get_marker() == "o" and line.get_markerfacecolor() != "none"]
    rings = [line for line in outcome.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "none"]
    assert [line.get_xdata()[0] for line in filled] == pytest.approx(rows["value"].tolist())
    assert [line.get_xdata()[0] for line in rings] == pytest.approx(rows["published"].tolist())
    counting = rows["apart"] == ""
    assert [line.get_color() for line in filled] == counting.map({True: style.OURS, False: finding.FADED}).tolist()
    (rule,) = {line.get_ydata()[0] for line in outcome.lines if list(line.get_xdata()) == [0, 1]}
    assert [line.get_ydata()[0] > rule for line in filled] == counting.tolist()
    words = [text.get_text() for text in outcome.texts]
    said = [finding.APART_WORDS[apart] for apart in ("surrogate", "stand-in, surrogate")]
    assert {"a coin", "\u25cb the paper", "\u25cf ours, 95% interval", *said} == set(words)
    assert [label.get_text() for label in outcome.get_yticklabels()] == rows["label"].tolist()


def test_a_table_read_back_with_empty_cells_is_the_same_picture():
    rows = scoreboard.finding_rows(values())
    _, once = drawn(counts(), rows)
    _, again = drawn(counts(), rows.replace({"apart": {"": np.nan}}))
    assert [text.get_text() for text in once.texts] == [text.get_text() for text in again.texts]
    assert [line.get_color() for line in once.lines] == [line.get_color() for line in again.lines]


def test_no_word_lies_on_another_or_outside():
    why, outcome = drawn(counts(), scoreboard.finding_rows(values(error=-0.02)))
    for ax in (why, outcome):
        boxes = [Text.get_window_extent(text) for text in ax.texts]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i]), ax.texts[i].get_text()
            assert ax.figure.bbox.contains(box.x0, box.y0) and ax.figure.bbox.contains(box.x1, box.y1)


def test_two_panels_need_the_place_of_one():
    with pytest.raises(ValueError, match="ax must stand in a grid of subplots"):
        plots.why_and_outcome(scoreboard.finding_rows(values()), counts(), ax=Figure().add_axes((0, 0, 1, 1)))
