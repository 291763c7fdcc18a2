"""The paper's nine claims, each as stated tests on the tables that the notebooks saved.

A test looks at rows of `saved.Saved.values`, one function each. Where the rows count (real data, the paper's kind of target) it
"holds" or "fails"; where one of them is of a surrogate or a stand-in, its "direction" is "seen" or "not seen". Orders are those
of the means over targets; where an interval or a tolerance decides, the test says so. Where a notebook attacked again without
the shadows whose training had failed, these are the values that its claims stand on. The tests of claims 6 and 8 need more:
their notebooks make them (`claims_shadow_data`, `claims_mitigations`), and save a table `claims`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib.paper.comparison import APART, NEAR, NOT_RUN, NOT_TESTABLE, of_papers_kind, outcome
from mialib.paper.saved import Saved
from mialib.paper.values import KEY
from mialib.plots.names import WORDS
from mialib.study.other_ways import WITHOUT_FAILED

CLAIMS = {
    1: "CIFAR leaks far above 0.5, CIFAR-100 most; more data per class lowers precision",
    2: "Google leaks more than Amazon, and Amazon more than a local network, though Google generalises best",
    3: "precision grows with the number of classes",
    4: "Adult and MNIST barely leak",
    5: "10% noise in the shadow data about matches real data, 20% still beats a coin",
    6: "synthetic shadow data work",
    7: "a larger gap goes with higher precision, a larger class share with lower",
    8: "no output filter defeats the attack; L2 helps the model at first, and costs accuracy where it is large",
    9: "median precision: 0.94 Google, 0.74 Amazon, 0.90 with synthetic data; Texas over 0.70",
}
ELSEWHERE = {6: "07_shadow_data", 8: "08_mitigations"}
FAR = 0.6  # "far above 0.5": the paper's lowest median on CIFAR is 0.71
PURCHASES = [f"purchase{n}" for n in (2, 10, 20, 50, 100)]
GOOGLE, AMAZON = "google", ("amazon(100,1e-4)", "amazon(10,1e-6)")


class Finding(NamedTuple):
    """What a test says: whether it holds (None: these rows cannot tell), and the rows that it looked at."""

    holds: bool | None
    rows: pd.DataFrame


Test = Callable[[pd.DataFrame], Finding | None]  # None: what it needs was not run


def outcomes(saved: Saved) -> pd.DataFrame:
    """A row a test, by claim: claim, test, outcome, evidence, dataset, source.

    outcome: "holds", "fails", "direction seen", "direction not seen", "not testable here" or "not run".
    """
    values = without_failed_shadows(saved.values, saved.followed)
    tested = pd.DataFrame([_outcome(claim, text, test(values)) for claim, text, test in TESTS])
    absent = [
        {"claim": claim, "test": f"(tested in {notebook})", "outcome": NOT_RUN, "evidence": "", "dataset": "", "source": ""}
        for claim, notebook in ELSEWHERE.items()
        if not (saved.claims["claim"] == claim).any()
    ]
    table = pd.concat([tested, saved.claims[list(tested)], pd.DataFrame(absent, columns=list(tested))], ignore_index=True)
    return table.sort_values("claim", kind="stable", ignore_index=True)


def without_failed_shadows(values: pd.DataFrame, followed: pd.DataFrame) -> pd.DataFrame:
    """The values, those of attacks without failed shadows in their place where a run saved them (`Saved.followed`): value, low,
    high, n_targets. A column more: left_out (bool), whether a shadow was left out, so that the value is another one.
    """
    on, own = [*KEY, "our_train_size"], ["value", "low", "high", "n_targets"]
    without = followed.loc[followed["way"] == WITHOUT_FAILED, [*on, *own]]
    ours = values[on].merge(without, how="left", on=on)[own].set_index(values.index)
    ours = ours.where(~values["variant"].isin(APART), np.nan)  # shadows by the rules are followed up, no others
    left_out = ours["value"].notna() & ~np.isclose(ours["value"].astype(float), values["value"].astype(float))
    return values.assign(left_out=left_out, **{column: ours[column].fillna(values[column]) for column in own})


def _outcome(claim: int, text: str, found: Finding | None) -> dict[str, object]:
    row: dict[str, object] = {"claim": claim, "test": text, "outcome": NOT_RUN, "evidence": "", "dataset": "", "source": ""}
    if found is None:
        return row
    rows = found.rows
    row["outcome"] = NOT_TESTABLE if found.holds is None else outcome(found.holds, bool(rows["counts"].all()))
    row["dataset"] = ", ".join(dict.fromkeys(rows["dataset"]))
    alike = "; the paper's own are alike" if found.holds is None else ""
    return row | {"evidence": _evidence(rows) + alike, "source": "real" if (rows["source"] == "real").all() else "standin"}


def _evidence(rows: pd.DataFrame) -> str:
    """The values that a test looked at, with what tells them apart, their intervals and the paper's values."""
    telling = [c for c in ("dataset", "target", "setting", "variant", "our_train_size") if rows[c].nunique() > 1]
    texts = []
    for row in rows.to_dict("records"):
        words = [WORDS.get(str(row[c]), f"{row[c]:,.0f}" if c == "our_train_size" else str(row[c])) for c in telling]
        ours = "{value:.3f} [{low:.3f}, {high:.3f}]" if row["value"] == row["value"] else "no record called a member"
        numbers = f"{ours}, paper {{published:.3f}}".format_map(row)
        numbers += " (without failed shadows)" if row.get("left_out") else ""
        texts.append(" ".join([*(word for word in words if word != "none"), numbers]))
    return "; ".join(texts)


def select(values: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Rows with these values in the columns `wanted`, of the paper's kind of target or the surrogate in its place, with shadows
    by the paper's rules. Rows without a value are left out.
    """
    return _with_undefined(values, **wanted).dropna(subset="value")


def _with_undefined(values: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """As `select`, and precisions that are not defined, since no record was called a member."""
    wanted_rows = of_papers_kind(values)
    usual = ~values["variant"].isin(APART)
    for column, value in wanted.items():
        wanted_rows &= values[column] == value
    return values[wanted_rows & usual]


def _ordered(parts: list[pd.DataFrame]) -> Finding | None:
    """Whether the first row of each part has a larger value than the next part's."""
    if any(part.empty for part in parts):
        return None
    rows = pd.concat([part.iloc[:1] for part in parts])
    return Finding(all(a > b for a, b in pairwise(rows["value"])), rows)


def _first_is_largest(parts: list[pd.DataFrame]) -> Finding | None:
    if any(part.empty for part in parts):
        return None
    rows = pd.concat(parts)
    return Finding(bool(rows["value"].iloc[0] > rows["value"].iloc[1:].max()), rows)


# Claim 1


def _cifar(values: pd.DataFrame, dataset: str) -> pd.DataFrame:
    rows = select(values, id="F4", dataset=dataset, metric="attack_precision_p50")
    return rows[rows["train_size"] == rows["our_train_size"]].sort_values("train_size")


def leaks_far_above_a_coin(dataset: str) -> Test:
    """Every median, with all of its interval, is above FAR."""

    def test(values: pd.DataFrame) -> Finding | None:
        rows = _cifar(values, dataset)
        return None if rows.empty else Finding(bool((rows["low"] > FAR).all()), rows)

    return test


def cifar100_leaks_most(values: pd.DataFrame) -> Finding | None:
    ten, hundred = _cifar(values, "cifar10"), _cifar(values, "cifar100")
    if ten.empty or hundred.empty:
        return None
    return Finding(bool(hundred["value"].min() > ten["value"].max()), pd.concat([ten, hundred]))


def more_data_leaks_less(dataset: str) -> Test:
    """The largest training set has a lower median than the smallest, and where a step leads up the intervals overlap.

    Only sizes at which the paper's own medians differ can tell.
    """

    def test(values: pd.DataFrame) -> Finding | None:
        rows = _cifar(values, dataset)
        if len(rows) < 2:
            return None
        rises = [after.low > before.high for before, after in pairwise(rows.itertuples())]
        falls = bool(rows["value"].iloc[-1] < rows["value"].iloc[0])
        return Finding(falls and not any(rises) if rows["published"].nunique() > 1 else None, rows)

    return test


# Claims 2 and 3


def _platform(values: pd.DataFrame, target: str) -> pd.DataFrame:
    figure = "F7" if target == "local" else "F5"
    return select(values, id=figure, target=target, metric="attack_precision_p50")


def google_leaks_most(values: pd.DataFrame) -> Finding | None:
    return _first_is_largest([_platform(values, target) for target in (GOOGLE, *AMAZON)])


def amazon_with_more_passes_leaks_more(values: pd.DataFrame) -> Finding | None:
    return _ordered([_platform(values, target) for target in AMAZON])


def local_leaks_least(values: pd.DataFrame) -> Finding | None:
    parts = [_platform(values, target) for target in (GOOGLE, *AMAZON)]
    local = _platform(values, "local")
    if local.empty or any(part.empty for part in parts):
        return None
    rows = pd.concat([local, *parts])
    return Finding(bool(rows["value"].iloc[0] < rows["value"].iloc[1:].min()), rows)


def google_generalises_best(values: pd.DataFrame) -> Finding | None:
    wanted = {"id": "T1", "metric": "target_test_accuracy"}
    return _first_is_largest([select(values, target=target, **wanted) for target in (GOOGLE, *AMAZON)])


def precision_grows_with_classes(values: pd.DataFrame) -> Finding | None:
    parts = [select(values, id="T2", dataset=name, metric="attack_precision") for name in reversed(PURCHASES)]
    parts = [part for part in parts if len(part)]
    return _ordered(parts) if len(parts) > 1 else None


# Claims 4 and 5


def barely_leaks(dataset: str) -> Test:
    """A precision of at most 0.5 + 0.05: as near to a coin as "near" is to the paper."""

    def test(values: pd.DataFrame) -> Finding | None:
        rows = select(values, id="T2", dataset=dataset, metric="attack_precision")
        return None if rows.empty else Finding(bool((rows["value"] <= 0.5 + NEAR).all()), rows)

    return test


def ten_per_cent_matches(values: pd.DataFrame) -> Finding | None:
    """Within 0.05 of the precision with real shadow data, in every reading of noise."""
    real, noisy = (
        select(values, id="F8", setting=setting, metric="attack_precision") for setting in ("shadow:real", "shadow:noise10")
    )
    if real.empty or noisy.empty:
        return None
    near = (noisy["value"] - real["value"].iloc[0]).abs() <= NEAR
    return Finding(bool(near.all()), pd.concat([real, noisy]))


def twenty_per_cent_beats_a_coin(values: pd.DataFrame) -> Finding | None:
    rows = select(values, id="F8", setting="shadow:noise20", metric="attack_precision")
    return None if rows.empty else Finding(bool((rows["low"] > 0.5).all()), rows)


# Claims 7 and 9


def correlated(x: str, sign: int) -> Test:
    """The rank correlation of x and precision over all data sets, with all of its interval on one side of 0."""

    def test(values: pd.DataFrame) -> Finding | None:
        rows = select(values, id="F11", metric=f"spearman({x},attack_precision)")
        rows = rows[rows["dataset"].str.endswith("pooled")]
        return None if rows.empty else Finding(bool((rows["low" if sign > 0 else "high"] * sign > 0).all()), rows)

    return test


def at_least(bound: float, **wanted: str) -> Test:
    """A value that reaches the bound: what the paper claims less 0.05, or what it says is exceeded."""

    def test(values: pd.DataFrame) -> Finding | None:
        rows = _with_undefined(values, **wanted)
        return None if rows.empty else Finding(bool((rows["value"] >= bound).all()), rows)

    return test


MEDIAN = "attack_precision_p50"
FALLS = "the median falls as the training set grows; steps up stay within the intervals"
TESTS: list[tuple[int, str, Test]] = [
    (1, f"CIFAR-10: every median is above {FAR}, with its interval", leaks_far_above_a_coin("cifar10")),
    (1, f"CIFAR-100: every median is above {FAR}, with its interval", leaks_far_above_a_coin("cifar100")),
    (1, "every CIFAR-100 median is above every CIFAR-10 median", cifar100_leaks_most),
    (1, f"CIFAR-10: {FALLS}", more_data_leaks_less("cifar10")),
    (1, f"CIFAR-100: {FALLS}", more_data_leaks_less("cifar100")),
    (2, "Google's median is above both Amazon models'", google_leaks_most),
    (2, "the median of Amazon (100, 1e-4) is above that of Amazon (10, 1e-6)", amazon_with_more_passes_leaks_more),
    (2, "the local network's median is below all three", local_leaks_least),
    (2, "Google's test accuracy is above both Amazon models'", google_generalises_best),
    (3, "each step to more classes of Purchase raises precision", precision_grows_with_classes),
    (4, "Adult: precision at most 0.55", barely_leaks("adult")),
    (4, "MNIST: precision at most 0.55", barely_leaks("mnist")),
    (5, "Location: 10% noise, however made: precision within 0.05 of real data's", ten_per_cent_matches),
    (5, "Location: 20% noise, however made: precision above 0.5, with its interval", twenty_per_cent_beats_a_coin),
    (7, "gap and precision: rank correlation above 0, with its interval", correlated("train_test_gap", 1)),
    (
        7,
        "class share and precision: rank correlation below 0, with its interval",
        correlated("train_fraction", -1),
    ),
    (9, "Google: median precision at least 0.89 (0.94 less 0.05)", at_least(0.89, id="F5", target="google", metric=MEDIAN)),
    (
        9,
        "Amazon (10, 1e-6): median precision at least 0.69 (0.74 less 0.05)",
        at_least(0.69, id="F5", target="amazon(10,1e-6)", metric=MEDIAN),
    ),
    (
        9,
        "model-based data: precision at least 0.85 (0.90 less 0.05)",
        at_least(0.85, id="F9", setting="shadow:model_based", metric="attack_precision"),
    ),
    (9, "Texas: median precision at least 0.70", at_least(0.70, id="F6", metric=MEDIAN)),
]
