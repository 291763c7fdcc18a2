"""The whole study beside the paper: every published value that was run, tallies of verdicts, Table II, what others measured.

All tables here are made of `saved.Saved.values`; nothing is trained.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib.paper.comparison import APART, NOT_RUN, compare, of_papers_kind
from mialib.paper.saved import AROUND, MODERN
from mialib.paper.saved_checks import is_rate
from mialib.paper.values import KEY, published, related
from mialib.plots.names import SURROGATE, WORDS, in_words
from mialib.plots.scoreboard import COUNTED
from mialib.study.other_ways import THE_ATTACK

OTHER, STANDIN = "real data, other conditions", "stand-in data"
STANDINGS = (COUNTED, OTHER, STANDIN)
STATED, DRAWN = GIVEN = ("stated", "drawn")  # how the paper gives a value: see `how_given`
VERDICTS = ("reproduced", "near", "undecided", "differs", "met", "not met")
WITHIN = ("reproduced", "near", "met")  # within 0.05 of the paper's value, or its bound met
FOLLOWED_ON = [*KEY, "our_train_size"]  # what names a value that is followed up
SIZES = {"train_size": float, "our_train_size": float}  # of it: columns without rows have no type of their own
ONE_CLASS = "attack_precision_class_"  # what the metric of a single class begins with
PLAIN = ("", "shadow:real", "mitigation:none")  # settings that related work shares
TABLE_II = {"target_train_accuracy": "train", "target_test_accuracy": "test", "attack_precision": "precision"}


class Exhibit(NamedTuple):
    """One of the paper's tables or figures, and the notebooks that run it."""

    id: str
    title: str
    notebooks: tuple[str, ...]


EXHIBITS = (
    Exhibit("T1", "Table I: four targets on Purchase-100", ("03_purchase",)),
    Exhibit("T2", "Table II: nine targets of Google", ("03_purchase", "04_location", "05_texas", "06_adult_mnist")),
    Exhibit("T3", "Table III: mitigations", ("08_mitigations",)),
    Exhibit("F4", "Fig. 4: CIFAR by training size", ("01_cifar10", "02_cifar100")),
    Exhibit("F5", "Fig. 5: Purchase-100 on three services", ("03_purchase",)),
    Exhibit("F6", "Fig. 6: Texas", ("05_texas",)),
    Exhibit("F7", "Fig. 7: Purchase-100 by platform", ("03_purchase",)),
    Exhibit("F8", "Fig. 8: Location with noise", ("04_location",)),
    Exhibit("F9", "Fig. 9: synthetic shadow data", ("07_shadow_data",)),
    Exhibit("F10", "Fig. 10: number of classes", ("03_purchase",)),
    Exhibit("F11", "Fig. 11: class share and gap", ("03_purchase",)),
    Exhibit("F12", "Fig. 12: answers (drawn only, no value)", ("03_purchase",)),
)


def run_list(runs: pd.DataFrame) -> pd.DataFrame:
    """`Saved.runs`, with a row for each notebook of `EXHIBITS`, 09 and 10 that was not run: its run is "not run"."""
    names = sorted({name for e in EXHIBITS for name in e.notebooks} | {AROUND, MODERN, *runs["notebook"]})
    table = pd.DataFrame({"notebook": names}).merge(runs, how="left", on="notebook")
    return table.fillna({"run": NOT_RUN, "source": "", "values": 0, "claims": 0}).astype({"values": int, "claims": int})


def standings(values: pd.DataFrame) -> pd.DataFrame:
    """The values with columns more: standing, one of `STANDINGS`; given, one of `GIVEN`; and what related work measured, see
    `beside_related`.

    COUNTED is what `paper.compare` counts. OTHER: a surrogate of a service, a local network in its place, another training
    size, or shadows that break the paper's rules.
    """
    standing = np.select([values["counts"], values["source"] == "real"], [COUNTED, OTHER], STANDIN)
    return beside_related(values.assign(standing=standing, given=how_given(values["reading"])))


def how_given(reading: pd.Series) -> pd.Series:
    """How the paper gives a value, by its `reading`: "stated" in its text or tables, one that it contradicts elsewhere too, or
    "drawn", which was read off a figure to about 0.001.
    """
    return reading.where(reading == DRAWN, STATED)


def beside_related(values: pd.DataFrame) -> pd.DataFrame:
    """The rows with related_low, related_high and related (in words): what others measured of the same metric and data set.

    Comparable are attacks of the same kind on undefended targets, whatever the target and its training size (`paper.related`),
    so only rows of plain shadow data and no mitigation have them. Others print precision over all records: on CIFAR, where the
    paper prints none, it stands beside the median precision of a class.
    """
    others = related().groupby(["dataset", "metric"]).apply(_others).reset_index()
    cifar = (values["id"] == "F4") & (values["metric"] == "attack_precision_p50")
    like = values["metric"].where(~cifar, "attack_precision").where(values["setting"].isin(PLAIN))
    on = ["dataset", "like"]
    return values.assign(like=like).merge(others.rename(columns={"metric": "like"}), how="left", on=on).drop(columns="like")


def _others(rows: pd.DataFrame) -> pd.Series:
    words = [f"{work} {_span(part['value'])}" for work, part in rows.groupby("work", sort=False)]
    ends = {"related_low": rows["value"].min(), "related_high": rows["value"].max()}
    return pd.Series(ends | {"related": "; ".join(words)})


def _span(values: pd.Series) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def tally(values: pd.DataFrame) -> pd.DataFrame:
    """Verdicts by experiment, standing and how the paper gives its values: id, title, given, published (how many values are
    given so), standing, covered (how many of them were run), rows (several for one published value: readings of noise, kinds of
    target), single_classes (rows on the precision of one class), within (rows of the verdicts `WITHIN`), a column a verdict.

    An experiment of which nothing was run has one row, of standing "not run", for all of its values (given "").
    """
    known = published()
    known = known.assign(given=how_given(known["reading"])).sort_values("given", ascending=False, kind="stable")
    known = known.drop_duplicates(KEY)  # a value that is both stated and drawn is compared as it is stated
    rows = []
    for e in EXHIBITS:
        of_exhibit, of_paper = values[values["id"] == e.id], known[known["id"] == e.id]
        front = {"id": e.id, "title": e.title}
        if of_exhibit.empty:
            rows.append(front | {"given": "", "published": len(of_paper), "standing": NOT_RUN} | _counts(of_exhibit))
        for (standing, given), part in _parts(of_exhibit):
            told = {"given": given, "published": int((of_paper["given"] == given).sum()), "standing": standing}
            rows += [front | told | _counts(part)] if len(part) else []
    return pd.DataFrame(rows)


def totals(values: pd.DataFrame) -> pd.DataFrame:
    """`tally` over all experiments: a row a standing and way in which the paper gives a value, also where no value is so."""
    return pd.DataFrame([{"standing": standing, "given": given} | _counts(part) for (standing, given), part in _parts(values)])


def _parts(values: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    cases = [(standing, given) for standing in STANDINGS for given in GIVEN]
    return [(case, values[(values["standing"] == case[0]) & (values["given"] == case[1])]) for case in cases]


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    verdicts = {verdict: int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS}
    single = int(rows["metric"].str.startswith(ONE_CLASS).sum())
    within = sum(verdicts[verdict] for verdict in WITHIN)
    return {"covered": len(rows.drop_duplicates(KEY)), "rows": len(rows), "single_classes": single, "within": within} | verdicts


def judged_ways(values: pd.DataFrame, followed: pd.DataFrame) -> pd.DataFrame:
    """The values that count, as every way of attacking gives them: the columns of `compare`, and way, notebook.

    values: what `compare` gives. followed: `Saved.followed`.
    """
    counted = values.loc[values["counts"], [*FOLLOWED_ON, "source", "our_target"]].astype(SIZES)
    rows = followed.astype(SIZES).merge(counted, on=FOLLOWED_ON)
    return compare(rows.assign(variant=rows["way"]))


def by_way(judged: pd.DataFrame) -> pd.DataFrame:
    """How near each way of attacking comes to the paper, a row a way and data set, of what `judged_ways` gives: way, dataset,
    rows, within (rows of the verdicts `WITHIN`).
    """
    told = judged.assign(within=judged["verdict"].isin(WITHIN))
    return told.groupby(["way", "dataset"], sort=False, as_index=False).agg(rows=("within", "size"), within=("within", "sum"))


def differing(values: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """The values that count and are further than 0.05 from the paper's, or miss its bound: dataset, metric, train_size (ours),
    published, published_low, value, low, high, verdict; what each way of `judged_ways` gives, but the attack itself; `within`,
    the ways that come to within 0.05, or meet the bound; and `experiment`, the notebook and table that follow the value up, ""
    where none does.
    """
    rows = values[values["counts"] & ~values["verdict"].isin(WITHIN)]
    rows = rows[[*FOLLOWED_ON, "published", "published_low", "value", "low", "high", "verdict"]].astype(SIZES)
    others = judged[judged["way"] != THE_ATTACK]
    ways = list(dict.fromkeys(others["way"]))
    for way in ways:
        of_way = others.loc[others["way"] == way, [*FOLLOWED_ON, "value"]]
        rows = rows.merge(of_way.rename(columns={"value": way}), how="left", on=FOLLOWED_ON)
    near = others[others["verdict"].isin(WITHIN)]
    within = near.groupby(FOLLOWED_ON, dropna=False, as_index=False)["way"].agg(", ".join).rename(columns={"way": "within"})
    where = judged[[*FOLLOWED_ON, "notebook"]].drop_duplicates()
    rows = rows.merge(within, how="left", on=FOLLOWED_ON).merge(where, how="left", on=FOLLOWED_ON)
    rows["experiment"] = rows.pop("notebook") + ": followed_up"
    rows = rows.fillna({"within": "", "experiment": ""})
    rows = rows.drop(columns=["id", "target", "setting", "train_size"]).rename(columns={"our_train_size": "train_size"})
    return rows.reset_index(drop=True)


def table_ii(values: pd.DataFrame) -> pd.DataFrame:
    """Table II, its nine rows: dataset, source, paper_train, train, paper_test, test, paper_precision, precision, low, high,
    n_targets, verdict, related_low, related_high, related.

    Ours is the paper's kind of target or the surrogate in its place; source is "not run" where there is none.
    """
    paper_rows = published().query("id == 'T2'")
    measured = values[(values["id"] == "T2") & of_papers_kind(values)]
    rows = []
    for dataset in dict.fromkeys(paper_rows["dataset"]):
        known = paper_rows[paper_rows["dataset"] == dataset].set_index("metric")["value"]
        ours = measured[measured["dataset"] == dataset].drop_duplicates("metric").set_index("metric")
        row: dict[str, object] = {"dataset": WORDS[dataset], "source": ours["source"].iloc[0] if len(ours) else NOT_RUN}
        for metric, short in TABLE_II.items():
            row |= {f"paper_{short}": known[metric], short: ours["value"].get(metric, np.nan)}
        rows.append(row | {column: ours[column].get("attack_precision") for column in OF_PRECISION} | {"key": dataset})
    table = pd.DataFrame(rows).drop(columns=RELATED)
    plain = {"id": "T2", "metric": "attack_precision", "setting": ""}
    others = beside_related(pd.DataFrame({"dataset": table.pop("key")}).assign(**plain))
    return pd.concat([table, others[RELATED]], axis=1)


def table_ii_related() -> pd.DataFrame:
    """What others measured of Table II's attack precision, a row a value: dataset (as `table_ii` names it), work, value."""
    paper_rows = published().query("id == 'T2'")["dataset"]
    rows = related().query("metric == 'attack_precision'")
    rows = rows[rows["dataset"].isin(paper_rows)]
    return rows.assign(dataset=rows["dataset"].replace(WORDS))[["dataset", "work", "value"]].reset_index(drop=True)


RELATED = ["related_low", "related_high", "related"]
OF_PRECISION = ["low", "high", "n_targets", "verdict", *RELATED]


# What the figures draw


def glance_points(values: pd.DataFrame) -> pd.DataFrame:
    """The paper's value (x) and ours (y), a row a value, of all rates that the paper gives as a number: panel (the standing),
    dataset, kind, given, x, y, low, high, verdict, label.

    Labelled are the few that are named: Table II by data set, Purchase by its number of classes, and the medians of Fig. 4 by
    training size. A standing without values has one row without numbers.
    """
    rows = values[is_rate(values["metric"]) & values["published"].notna() & values["value"].notna()]
    kinds = [rows["metric"].str.startswith(start) for start in METRIC_KINDS]
    table_two = (rows["id"] == "T2") & (rows["metric"] == "attack_precision") & of_papers_kind(rows)
    fig4 = (rows["id"] == "F4") & (rows["metric"] == "attack_precision_p50") & ~rows["variant"].isin(APART)
    name, size = rows["dataset"].replace(WORDS), rows["our_train_size"].map("{:,.0f}".format)
    label = np.select([table_two, fig4], [name.str.removeprefix("Purchase-"), size], "")
    table = pd.DataFrame({"panel": rows["standing"], "dataset": name.str.replace(r"^Purchase-\d+", "Purchase", regex=True)})
    table = table.assign(kind=np.select(kinds, list(METRIC_KINDS.values()), "other"), x=rows["published"], y=rows["value"])
    table = table.assign(low=rows["low"], high=rows["high"], label=label, verdict=rows["verdict"], given=rows["given"])
    absent = pd.DataFrame(
        {"panel": [s for s in STANDINGS if s not in set(table["panel"])], "dataset": "", "kind": "", "label": "", "given": ""}
    )
    table = pd.concat([table, absent], ignore_index=True)
    order = table["panel"].map(STANDINGS.index)
    return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def finding_rows(values: pd.DataFrame) -> pd.DataFrame:
    """The paper's main value and ours, a row a data set or training size: dataset, label, apart, published, value, low,
    high.

    First the medians of Fig. 4 at the paper's training sizes, then Table II. apart: "" where a row counts; else what keeps it
    from counting, "surrogate" or "stand-in, surrogate" (of the paper's own kind of target: "stand-in").
    """
    fig4 = (values["id"] == "F4") & (values["metric"] == "attack_precision_p50") & ~values["variant"].isin(APART)
    fig4 &= values["train_size"] == values["our_train_size"]
    table_two = (values["id"] == "T2") & (values["metric"] == "attack_precision")
    rows = values[(fig4 | table_two) & of_papers_kind(values) & values["value"].notna()]
    name, n = rows["dataset"].replace(WORDS), rows["our_train_size"].map(", n = {:,.0f}".format)
    kinds = pd.DataFrame({"stand-in": rows["source"] != "real", "surrogate": rows["our_target"].str.endswith(SURROGATE)})
    words = [", ".join(kinds.columns[list(row)]) for row in kinds.to_numpy()]
    table = rows.assign(label=name + n.where(rows["id"] == "F4", ""), apart=words)[FINDING]
    order = [*dict.fromkeys(published().set_index("id").loc[["F4", "T2"], "dataset"].replace(WORDS))]
    keys = (rows["our_train_size"], name.map(order.index), table["apart"].map(REASONS.index))
    return table.iloc[np.lexsort(keys)].reset_index(drop=True)


REASONS = ("", "surrogate", "stand-in", "stand-in, surrogate")  # why a row does not count, the least first
FINDING = ["dataset", "label", "apart", "published", "value", "low", "high"]
METRIC_KINDS = {
    "attack_precision": "attack precision",
    "attack_recall": "attack recall",
    "attack_accuracy": "attack accuracy",
    "target_": "target's accuracy",
}


def claim_marks(outcomes: pd.DataFrame, statements: Sequence[str]) -> pd.DataFrame:
    """A row a test and data set, for the figure: claim, statement, test, dataset (names joined by commas; empty where it was
    not run), source, outcome. A test that is made on several data sets and targets has the same words for all data sets.
    """
    names = {number: text for number, text in enumerate(statements, 1)}
    parts = outcomes["test"].str.extract(r"^\w+, (?P<target>.+) target: (?P<test>.+)$")
    told = parts["test"] + " (" + parts["target"].map(in_words, na_action="ignore") + ")"
    table = outcomes.assign(statement=outcomes["claim"].map(names), test=told.fillna(outcomes["test"]))
    return table[["claim", "statement", "test", "dataset", "source", "outcome"]]
