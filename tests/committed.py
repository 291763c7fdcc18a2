"""The tables of the committed runs, and how the texts write their numbers."""

from pathlib import Path

import pytest

from mialib import runs
from mialib.paper import published

ROOT = Path(__file__).resolve().parent.parent
WORDS = "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"
NUMBER_WORDS = dict(enumerate(WORDS))
LEARNED = "one network a class"


def table(notebook, name):
    """A table of the notebook's committed run; the test is skipped where that is not in this checkout."""
    for run in ("paper", "paper-standin"):
        if (folder := ROOT / "results" / run / notebook).exists():
            return runs.read_table(folder, name)
    pytest.skip(f"the committed run of {notebook} is not in this checkout")


def rows(notebook, name, **wanted):
    found = table(notebook, name)
    for column, value in wanted.items():
        found = found[found[column] == value]
    assert len(found), (notebook, name, wanted)
    return found


def cell(notebook, name, column="value", **wanted):
    """The one value of a column in the rows that are wanted."""
    return rows(notebook, name, **wanted)[column].item()


def said(value, digits=3):
    return f"{value:.{digits}f}"


def listed(values, digits=3, last=", "):
    """0.1, 0.2 and 0.3."""
    *first, end = [said(value, digits) for value in values]
    return last.join([", ".join(first), end])


def ordinal(number):
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    last = {1: "st", 2: "nd", 3: "rd"} if number % 100 not in (11, 12, 13) else {}
    return f"{number}{last.get(number % 10, 'th')}"


def interval(row, digits=3):
    return f"{said(row['value'], digits)} [{said(row['low'], digits)}, {said(row['high'], digits)}]"


def known(**wanted):
    """The one value that the paper gives."""
    found = published()
    for column, value in wanted.items():
        found = found[found[column] == value]
    return found["value"].drop_duplicates().item()


def target_accuracies(notebook, our_target, dataset=None, digits=3, last=" and "):
    """The targets' accuracies on members and on fresh records, mean over targets."""
    targets = rows(notebook, "accuracies", our_target=our_target, model="target")
    if dataset is not None:
        targets = targets[targets["dataset"] == dataset]
    return listed(targets[["train_accuracy", "test_accuracy"]].mean(), digits, last)
