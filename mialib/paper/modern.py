"""What was published of the attacks that came after 2017, and ours beside it.

`published/modern.csv` holds the values. `reading` tells how each was had: "read in the paper"; "repository", a result file or
a README of the authors or of a tool; "quoted" by somebody else, which never gives a verdict.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.paper.comparison import NEAR, REPRODUCED, verdict_within
from mialib.paper.modern_tables import check_modern
from mialib.paper.rows import refuse
from mialib.paper.values import _read

MODERN_KEY = ["work", "setting", "dataset", "attack", "side", "step", "metric", "fpr", "prior"]
OF_TARGET = ["network", "members", "train_accuracy", "test_accuracy"]
MODERN_MEASURED = [*MODERN_KEY, "source", "value", "low", "high", "n_targets", "our_fpr", "n_references", *OF_TARGET]
MODERN_FLOATS = ["fpr", "prior", "value", "low", "high", "our_fpr", "n_references", *OF_TARGET[1:]]
PUBLISHED_OF = {  # what a published row says of itself and of its target, and what that is called beside ours
    "value": "published",
    "n_references": "published_references",
    **{column: f"published_{column}" for column in OF_TARGET},
}
GROUPS_OF = {  # which published values each table of ours is set beside
    "rates": ("Table I", "Figs. 5, 6", "global variance", "Attack-P and Attack-R", "LiRA revisited", "label-only"),
    "ladder": ("ladder",),
    "by_references": ("16 models", "few references"),
    "ppv": ("PPV",),
}
LOW_RATE = 0.01  # up to this false positive rate a true positive rate is judged by its ratio, too
FACTORS = {"reproduced": (REPRODUCED, 1.25), "near": (NEAR, 2.0)}  # farthest distance, and largest ratio either way
SAME_REFERENCES = 1.1  # numbers of references within this ratio are the same: 14 or 16 beside 15
KIND = ("residual", 25_000)  # the kind of target that counts: network and members, of CIFAR's 50,000 pictures
NO_VERDICT, UNKNOWN = "none", "an unknown one"
NUMBERS_OF_MODERN = (
    "n_references", "fpr", "prior", "value", "sd", "rounding", "members", "train_accuracy", "test_accuracy", "achieved_fpr",
    "achieved_tpr",
)  # fmt: skip


def modern_published() -> pd.DataFrame:
    """Every published value that the study needs, a row a value.

    group ("Table I", "Figs. 5, 6", "ladder", "global variance", "16 models", "few references", "Attack-P and Attack-R", "LiRA
    revisited", "PPV", "label-only", "epsilon"), work, where, dataset; attack and metric in the work's words, attack_id and
    metric_id in ours (attack_id "" where we have no such attack); side and step of the ladder; variance; n_references (models
    in all: twice those that never saw a record, if only these were used); fpr, prior; value and sd (fractions), rounding (half
    a unit of the last printed digit); network, members, train_accuracy, test_accuracy of the target where known; setting;
    achieved_fpr and achieved_tpr of a PPV; reading, source.

    The code published with LiRA (16 models, LiRA revisited) scores offline with the density, two-sided, takes medians, and has
    one "fixed variance" with the spread between records in it: its rows stand beside lira_offline_logpdf and the global
    variances, which take the variance of residuals.
    """
    return _read("modern.csv", NUMBERS_OF_MODERN)


def comparable_published() -> pd.DataFrame:
    """`modern_published` of the attacks that we have and of the ladder, where attack and metric are ours; `words` is the attack
    as the work calls it.
    """
    table = modern_published().rename(columns={"attack": "words"}).drop(columns="metric")
    table = table.rename(columns={"attack_id": "attack", "metric_id": "metric"})
    return table[(table["attack"] != "") | (table["group"] == "ladder")]


def compare_modern(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Our values beside every published one of the same data set, attack and metric: a row a published value and source.

    tables: those of MODERN_TABLES that there are, `targets` among them. Rates stand beside rates at the same false positive
    rate, the mean over targets before the pooled one; numbers of references beside the nearest within SAME_REFERENCES; a PPV
    beside the nearest fpr that was asked for (`our_fpr`). Columns as in `modern_verdicts`. Raises as `check_modern` does.
    """
    checked = check_modern(tables, ["targets"])
    known = comparable_published()[["group", *MODERN_KEY, "n_references"]]
    parts = [_beside_published(name, checked[name], known) for name in GROUPS_OF if name in checked]
    targets = checked["targets"][["dataset", "source", *OF_TARGET]]
    columns = [column for column in MODERN_MEASURED if column not in OF_TARGET]
    found = [part[columns] for part in parts if len(part)]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    return modern_verdicts(table.merge(targets, how="left", on=["dataset", "source"]))


def _beside_published(name: str, ours: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Our rows of one table with the keys of the published rows that they stand beside."""
    known = known[known["group"].isin(GROUPS_OF[name])]
    if name == "ppv":
        ours = ours.assign(metric="ppv").rename(columns={"fpr": "our_fpr"})
        known = known.rename(columns={"n_references": "published_references"})
        pairs = ours.assign(n_references=np.nan).merge(known, on=["dataset", "attack", "metric", "prior"])
        return _nearest(pairs, pairs["our_fpr"] / pairs["fpr"])
    if name == "ladder":
        ours = ours.assign(attack="", n_references=np.nan)
    else:
        ours = ours.assign(side="", step="")
    ours = ours.assign(our_fpr=ours["fpr"], prior=np.nan)
    if name == "rates":
        ours = ours.sort_values("pooled", kind="stable")
        ours = ours.drop_duplicates(["dataset", "source", "attack", "metric", "fpr"])
    on = ["dataset", "attack", "side", "step", "metric", "fpr"]
    pairs = ours.merge(known.drop(columns="prior"), on=on, suffixes=("", "_published"))
    if name != "by_references":
        return pairs
    ratio = pairs["n_references"] / pairs["n_references_published"]
    return _nearest(pairs[ratio.between(1 / SAME_REFERENCES, SAME_REFERENCES)], ratio)


def _nearest(pairs: pd.DataFrame, ratio: pd.Series) -> pd.DataFrame:
    """Of the rows of one published value and source the one whose ratio to the published is nearest to 1."""
    order = np.log(ratio[pairs.index].astype(float)).abs().to_numpy().argsort(kind="stable")
    return pairs.iloc[order].drop_duplicates([*MODERN_KEY, "source"]).sort_index()


def modern_verdicts(measured: pd.DataFrame) -> pd.DataFrame:
    """Measured values with the published one beside each: the columns MODERN_MEASURED, and group, where, reading, published,
    rounding, what the published target was (`published_test_accuracy`, …), difference, verdict, counts, why.

    verdict: of AUC, balanced accuracy and PPV as `compare` gives it (reproduced within 0.02, near within 0.05); of a true
    positive rate at an fpr of at most 1% as `low_rate_verdict` does; "none" beside what is only quoted, and where a PPV was
    asked for at another false positive rate.
    counts: True only for real data and the published kind of target: a residual network, 25,000 members of CIFAR, test accuracy
    within 0.05 of the published; `why` says what else it is. The numbers of references stand beside each other and do not
    matter to it.

    Raises ValueError for a missing column, and by its line for a row without a published value and the second of one key and
    source.
    """
    missing = [column for column in MODERN_MEASURED if column not in measured]
    if missing:
        raise ValueError(f"measured must have the columns {', '.join(MODERN_MEASURED)}, lacks {', '.join(missing)}")
    table = measured[MODERN_MEASURED].reset_index(drop=True).astype(dict.fromkeys(MODERN_FLOATS, float))
    refuse("measured", table, table.duplicated([*MODERN_KEY, "source"]), "the second row of one key")
    refuse("measured", table, ~was_published(table), "nothing was published for this key")
    table = table.merge(_published_beside(), how="left", on=MODERN_KEY)
    table["difference"] = table["value"] - table["published"]
    rows = list(table.itertuples())
    table["verdict"] = [_modern_verdict(row) for row in rows]
    table["why"] = ["; ".join(_reasons(row)) for row in rows]
    table["counts"] = table["why"] == ""
    return table


def was_published(measured: pd.DataFrame) -> pd.Series:
    """Which rows have the MODERN_KEY of a published value, bool (n,), in the order of the rows."""
    keys = _published_beside()[MODERN_KEY].assign(known=True)
    table = measured[MODERN_KEY].astype({"fpr": float, "prior": float})
    return table.merge(keys, how="left", on=MODERN_KEY)["known"].notna()


def _published_beside() -> pd.DataFrame:
    table = comparable_published().rename(columns=PUBLISHED_OF)
    return table[[*MODERN_KEY, "group", "where", "reading", "rounding", *PUBLISHED_OF.values()]]


def _modern_verdict(row) -> str:  # type: ignore[no-untyped-def]
    if row.reading == "quoted" or _another_rate(row):
        return NO_VERDICT
    if np.isnan(row.value):
        return "undecided"
    if row.metric == "tpr" and row.fpr <= LOW_RATE:
        return low_rate_verdict(row.value, row.low, row.high, row.published, row.rounding)
    return verdict_within(row.value, row.low, row.high, row.published)


def low_rate_verdict(value: float, low: float, high: float, published: float, rounding: float = 0.0) -> str:
    """The verdict on a true positive rate at a low false positive rate, where 0.05 more or less may be all there is.

    "reproduced" within 0.02 of the published rate and within a quarter of it (a ratio of 1.25 either way), "near" within 0.05
    and within a factor of 2, "differs" where the interval lies wholly outside what is near, else "undecided". The published
    rate is whatever its printed digits allow, published +- rounding: beside a printed 0.0% up to 0.1% is near.
    """
    for name, number in (("value", value), ("published", published), ("rounding", rounding)):
        checks.real(name, number, 0, 1)
    least = most = value
    for verdict, (distance, factor) in FACTORS.items():
        least = max(published - distance, max(published - rounding, 0) / factor) - 1e-9
        most = min(published + distance, (published + rounding) * factor) + 1e-9
        if least <= value <= most:
            return verdict
    return "differs" if low > most or high < least else "undecided"


def _reasons(row) -> list[str]:  # type: ignore[no-untyped-def]
    """Why a row does not count, ours beside the published; none where it does."""
    network, members = KIND
    found = []
    if row.reading == "quoted":
        found.append("quoted")
    if row.source != "real":
        found.append("stand-in data")
    if _another_rate(row):
        found.append(f"asked for an fpr of {row.our_fpr:g} beside {row.fpr:g}")
    if not row.network == row.published_network == network:
        found.append(f"network {row.network} beside {row.published_network or UNKNOWN}")
    if not row.members == row.published_members == members:
        found.append(f"{row.members:,.0f} members beside {_said(row.published_members, ',.0f')}")
    if not abs(row.test_accuracy - row.published_test_accuracy) <= NEAR + 1e-9:
        found.append(f"test accuracy {row.test_accuracy:.2f} beside {_said(row.published_test_accuracy, '.2f')}")
    return found


def _another_rate(row) -> bool:  # type: ignore[no-untyped-def]
    return bool(row.metric == "ppv" and not np.isclose(row.our_fpr, row.fpr, rtol=1e-6, atol=0))


def _said(number: float, digits: str) -> str:
    return UNKNOWN if np.isnan(number) else format(number, digits)
