"""Every number in README that could be a result is in a committed table of its section, or is named here as a setting.

Only decimals and percentages are looked for: whole numbers are sizes and counts, and those that are results have tests of their
own in test_readme.py. So have whole rows; this test finds what those leave out, and what a new sentence brings.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from mialib import runs
from mialib.paper import published
from mialib.paper.claims import CLAIMS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
NUMBER = re.compile(r"(?<![\w.,/\-])(\d[\d,]*\.\d+|\d+(?=%| to \d+%))(%?)(?![\w]|\.\d)")
CIFAR = [f"paper/{name}/{table}" for name in ("01_cifar10", "02_cifar100") for table in ("compared", "accuracies")]

TABLES = {  # section: the tables that its numbers come from; "published": what the paper printed
    "Membership inference, reproduced": CIFAR,
    "CIFAR: real data, the paper's network, size by size": [
        *CIFAR, "paper/01_cifar10/followed_up", "paper/02_cifar100/followed_up", "paper/02_cifar100/broken_rule",
        "paper/01_cifar10/trained_otherwise",
    ],
    "Google's models: surrogates, data set by data set": [
        "paper-standin/03_purchase/compared", "paper-standin/05_texas/compared", "paper/04_location/compared",
        "paper/06_adult_mnist/compared",
    ],
    "Location: what noise in the shadow data costs": ["paper/04_location/compared"],
    "Shadow data out of nothing": ["paper-standin/07_shadow_data/summary", "published"],
    "What mitigations are worth": ["paper-standin/08_mitigations/leakage"],
    "After 2017: one false accusation in a thousand": [
        f"paper-standin/09_modern_attacks/{table}" for table in ("rates", "targets", "by_references", "mitigations")
    ],
    "Around the attack: inversion, extraction, white box, overlapping data, other models, apps": [
        f"paper-standin/10_related_attacks/{table}"
        for table in ("inversion_summary", "bridge", "white_box", "overlaps", "kinds", "indirect")
    ],
    "What the paper leaves open, and what is done here": ["published"],
    "Speed": ["benchmarks"],
}  # fmt: skip
SETTINGS = {  # section: its numbers that are no results, but settings, bounds, versions and durations
    "Membership inference, reproduced": {"3.11", "0.05", "50%"},
    "What came out": {"0.05"},
    "CIFAR: real data, the paper's network, size by size": {"0.5", "0.05", "0.1", "0.01"},
    "Location: what noise in the shadow data costs": {"10%", "20%"},
    "What mitigations are worth": {"0.03", "0.5"},
    "After 2017: one false accusation in a thousand": {"0.1%"},
    "The nine claims": {"0.5", "10%", "20%", "0.94", "0.74", "0.90", "0.70"},  # the paper's
    "Change something, draw it again": {"2.2"},  # hours
    "Audit a model of your own": {"0.1%", "50%", "1.4"},
    "What the paper leaves open, and what is done here": {"0.001", "0.003", "0.01"},
    "What it costs": {"1.5", "2.5", "6.1", "0.9"},
}


class Found(NamedTuple):
    line: int
    section: str
    number: str
    percent: bool

    def matches(self, values: np.ndarray) -> bool:
        """Whether one of the values is written so: rounded, and as a percentage where it can be one."""
        digits = len(self.number.partition(".")[2])
        told, reach = float(self.number.replace(",", "")), 0.5 * 10.0**-digits + 1e-9
        near = np.abs(values - told) <= reach
        return bool(near.any() or (digits < 2 and (np.abs(100 * values - told) <= reach).any()))


def numbers(lines: list[str]) -> list[Found]:
    """What could be a result: outside of code, links, settings written as 1e-3, and names such as CIFAR-10."""
    section, fenced, found = "", False, []
    for n, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
        heading = None if fenced else re.match(r"#+ (.*)|<summary>(.*)</summary>", line)
        if heading:
            section = heading[1] or heading[2]
        elif not fenced:
            plain = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", line)
            found += [Found(n, section, each[1], plain[each.end(1) :][:1] == "%") for each in NUMBER.finditer(plain)]
    return found


def values_of(name: str) -> np.ndarray:
    """All numbers of a table; the test is skipped where its run is not in this checkout."""
    if name == "published":
        table = published()
    elif "/" not in name:
        table = pd.read_csv(ROOT / "results" / f"{name}.csv")
    else:
        folder, _, name = name.rpartition("/")
        if not (ROOT / "results" / folder).exists():
            pytest.skip(f"results/{folder} is not in this checkout")
        table = runs.read_table(ROOT / "results" / folder, name)
    parts = [table, *([_over_targets(table)] if "target" in table else [])]
    return np.concatenate([part.select_dtypes("number").to_numpy(float).ravel() for part in parts])


def _over_targets(table: pd.DataFrame) -> pd.DataFrame:
    """Means over targets, of a table with a row a target."""
    floats = list(table.select_dtypes("float"))
    return table.groupby([c for c in table if c not in ("target", *floats)], dropna=False)[floats].mean()


def unexplained(found: list[Found], values: np.ndarray, settings: set[str]) -> list[Found]:
    return [each for each in found if {each.number, f"{each.number}%"}.isdisjoint(settings) and not each.matches(values)]


SECTIONS = list(dict.fromkeys(each.section for each in numbers(README)))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_number_of_readme_is_in_a_table_or_a_setting(section):
    tables = TABLES.get(section, [])
    values = np.concatenate([[np.nan], *map(values_of, tables)])
    rest = unexplained([each for each in numbers(README) if each.section == section], values, SETTINGS.get(section, set()))
    where = f"in none of {', '.join(tables)}" if tables else "in a section without tables (TABLES)"
    said = [f"README.md, line {each.line}, {section!r}: {each.number} is {where}" for each in rest]
    assert said == [], "\n".join([*said, "If it is no result, name it in SETTINGS."])


def test_no_section_or_setting_is_named_that_readme_lacks():
    known = {(each.section, each.number) for each in numbers(README)}
    assert set(TABLES) | set(SETTINGS) <= {section for section, _ in known}
    gone = [
        (section, each) for section, named in SETTINGS.items() for each in named if (section, each.rstrip("%")) not in known
    ]
    assert gone == []


def test_numbers_are_found_and_compared_as_they_are_written():
    lines = [
        "## A",
        "",
        "0.809 [0.772, 0.846] in 68 to 81%, CIFAR-10 `0.5` [x](a/0.1) 1e-3, 2,500 and 1.5",
        "```",
        "0.9",
        "```",
    ]
    lines += ["<summary>B</summary>", "12.5% of 3"]
    found = numbers(lines)
    assert [each.number for each in found] == ["0.809", "0.772", "0.846", "68", "81", "1.5", "12.5"]
    assert [each.section for each in found] == ["A"] * 6 + ["B"] and found[-1].line == 8
    values = np.array([0.8091, 0.77249, 0.8464999, 0.68, 0.8051, np.nan, 0.125])
    assert [each.number for each in unexplained(found, values, {"1.5"})] == []
    assert [each.number for each in unexplained(found, values + 0.001, {"1.5"})] == ["0.809", "0.772", "0.846", "12.5"]
    assert [each.number for each in unexplained(found, values[:3], {"81%"})] == ["68", "1.5", "12.5"]


def test_the_nine_claims_are_those_of_the_committed_scoreboard():
    folder = ROOT / "results" / "paper-standin" / "99_scoreboard"
    if not folder.exists():
        pytest.skip("the committed scoreboard is not in this checkout")
    outcomes = runs.read_table(folder, "claims")
    order = ["holds", "fails", "direction seen", "direction not seen", "not testable here", "not run"]
    for claim, statement in CLAIMS.items():
        counts = outcomes.loc[outcomes["claim"] == claim, "outcome"].value_counts()
        row = f"| {claim}. {statement} | {', '.join(f'{each} ({counts[each]})' for each in order if each in counts)} |"
        assert row in README, row
