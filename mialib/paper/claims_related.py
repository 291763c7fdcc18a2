"""Six claims about what stands around membership inference, each as stated tests on the tables of 10_related_attacks.

A test "holds" or "fails" on real data; on a stand-in its "direction" is "seen" or "not seen"; it is "not run" where no table
has it. What must differ from a coin, from 0 or from 1 does so with its whole interval; orders are those of the means. "No
share", "no kind" and the like fail where a whole interval says otherwise: few targets have wide ones.
"""

from collections.abc import Callable, Iterator

import pandas as pd

from mialib.core import checks
from mialib.paper.claims_since import Row, Tables, Told
from mialib.paper.comparison import NEAR, NOT_RUN, outcome
from mialib.plots.names import in_words
from mialib.study.app_kinds import DIRECT_ACCESS
from mialib.study.bridge import TARGET_ALONE
from mialib.study.white_box import ON_SHADOWS, WHITE

RELATED_CLAIMS = {
    "inversion": "an inverted picture is an average of its class, no member, and tells nothing of a given record (Sec. IX)",
    "extraction": "a model's answers suffice to copy it, which is another attack (Sec. IX): the copy hides the model's members",
    "white box": "an attacker who sees inside the model finds more than one who sees its answers (Sec. I)",
    "overlap": "shadow data that overlap the target's help the attacker: disjoint ones are the worst case (Sec. V-B)",
    "kinds": "the attack is not one on networks alone (Sec. V), and goes on working with shadows of another kind of model",
    "indirect": "an app between attacker and model does not stop the attack (Sec. I)",
}
RELATED_TABLES = {  # what the tests look at: the columns of each table
    "inversion_summary": ["dataset", "source", "access", "measure", "value", "low", "high"],
    "equations": ["dataset", "source", "target", "answers", "n_queries", "worst_error"],
    "extraction": ["dataset", "source", "records", "answers", "n_queries", "metric", "value", "low", "high"],
    "bridge": ["dataset", "source", "way", "metric", "fpr", "value", "low", "high"],
    "white_box": ["dataset", "source", "access", "learned_on", "features", "metric", "fpr", "value", "low", "high"],
    "overlaps": ["dataset", "source", "share", "attack", "metric", "fpr", "value", "low", "high"],
    "kinds": ["dataset", "source", "kind", "attack", "metric", "fpr", "value", "low", "high"],
    "wrong_kind": ["dataset", "source", "target_kind", "shadow_kind", "attack", "metric", "fpr", "value", "low", "high"],
    "indirect": ["dataset", "source", "app", "attack", "metric", "fpr", "value", "low", "high"],
}
EXACT = 1e-3  # of a weight: equation solving is exact up to the rounding of the answers

Stated = Iterator[tuple[str, str, str, Told]]  # data set, source, the test in words, what it says


def related_claims(tables: Tables) -> pd.DataFrame:
    """A row a test and data set: claim (of RELATED_CLAIMS), test, outcome, evidence, dataset, source.

    tables: those of RELATED_TABLES that there are. Raises TypeError for what is no table, ValueError for an unknown name or a
    missing column.
    """
    for name, table in tables.items():
        checks.choice("tables", name, RELATED_TABLES)
        checks.instance(f"tables[{name!r}]", table, pd.DataFrame)
        missing = [column for column in RELATED_TABLES[name] if column not in table]
        if missing:
            raise ValueError(f"tables[{name!r}] must have the columns {', '.join(RELATED_TABLES[name])}, lacks {missing}")
    rows = []
    for claim, test in TESTS_AROUND.items():
        found = [row for row in test(tables)]
        if not found:
            rows.append(
                {"claim": claim, "test": RELATED_CLAIMS[claim], "outcome": NOT_RUN, "evidence": "", "dataset": "", "source": ""}
            )
        for dataset, source, text, told in found:
            said = outcome(bool(told.holds), source == "real")
            rows.append(
                {"claim": claim, "test": text, "outcome": said, "evidence": told.evidence, "dataset": dataset, "source": source}
            )
    return pd.DataFrame(rows)


# Tests: one a claim, each over the data sets that its tables have


def an_average_of_its_class(tables: Tables) -> Stated:
    """The inverted picture is no nearer to a member than the plain mean of its class is, and no nearer to members than to
    non-members; what a copy of a member would show lies outside of both intervals; the distance to it ranks records like a coin
    (AUC within 0.05 of 0.5). MNIST is the case of faces: other networks recognise what was inverted.
    """
    for dataset, source, access, rows in _groups(tables, "inversion_summary", "access"):
        copy = _of_a_copy({row["measure"]: row["value"] for row in rows})
        for row in rows:
            measure = row["measure"]
            if measure in SAID_OF_PICTURES and (measure != "recognised" or dataset == "mnist"):
                words, holds = SAID_OF_PICTURES[measure]
                text = f"{in_words(dataset)}, {access}: the inverted picture {words}"
                yield dataset, source, text, _told(holds(row, copy.get(measure, float("nan"))), row)


SAID_OF_PICTURES: dict[str, tuple[str, Callable[[Row, float], bool]]] = {  # of a row, and the measure of a copy of a member
    "farther than the class mean": (
        "is no nearer to a member than the class's mean, by an interval that reaches 0 and excludes a copy's",
        lambda row, copy: row["high"] >= 0 and row["low"] > copy,
    ),
    "nearer to members": (
        "is not nearer to members than to non-members, by an interval that reaches 0 and excludes a copy's",
        lambda row, copy: row["low"] <= 0 and row["high"] < copy,
    ),
    "auc": (
        "ranks records like a coin: AUC within 0.05 of 0.5, with its interval",
        lambda row, _: row["low"] > 0.5 - NEAR and row["high"] < 0.5 + NEAR,
    ),
    "recognised": ("is recognised by most other networks: above 0.5, with its interval", lambda row, _: row["low"] > 0.5),
}


def _of_a_copy(values: dict[str, float]) -> dict[str, float]:
    """The measures of a copy of a member, which lies 0 from it and as far from non-members as it does; {} of other tables."""
    if not {"nearest member", "nearest member, relative", "farther than the class mean"} <= set(values):
        return {}
    nearest = values["nearest member"]
    return {
        "farther than the class mean": values["farther than the class mean"] - nearest,
        "nearer to members": nearest / values["nearest member, relative"],
    }


def suffice_to_copy(tables: Tables) -> Stated:
    """d + 1 queries give a logistic regression's weights; of as many queries full vectors teach a copy more than labels alone;
    copies as shadow models tell members from a coin; the copy itself gives the target's members away less than the target.
    """
    for dataset, source, target, rows in _groups(tables, "equations", "target"):
        for row in (row for row in rows if row["answers"] == WHOLE_ANSWERS):
            text = f"{in_words(dataset)}, {target}: equation solving finds every weight within {EXACT:g}"
            evidence = f"worst error {row['worst_error']:.1e} after {row['n_queries']:,.0f} queries"
            yield dataset, source, text, Told(bool(row["worst_error"] <= EXACT), evidence)
    for dataset, source, _, rows in _groups(tables, "extraction"):
        real = [row for row in rows if row["records"] == "real" and row["metric"] == "agreement"]
        most = max((row["n_queries"] for row in real), default=0)
        last = {row["answers"]: row for row in real if row["n_queries"] == most}
        if {"vectors", "labels"} <= set(last):
            text = f"{in_words(dataset)}: of {most:,.0f} queries, vectors make a copy that agrees more often than labels"
            vectors, labels = last["vectors"], last["labels"]
            yield dataset, source, text, _told(vectors["value"] > labels["value"], vectors, labels)
    for dataset, source, _, rows in _groups(tables, "bridge"):
        ways = {row["way"]: row for row in rows if row["metric"] == "auc"}
        for way, row in ways.items():
            if way.startswith("copies as shadow models"):
                text = f"{in_words(dataset)}: {way} tell members, AUC above 0.5, with its interval"
                yield dataset, source, text, _told(row["low"] > 0.5, row)
        for way, row in ways.items():
            if way.startswith("inside the copy") and TARGET_ALONE in ways:
                text = f"{in_words(dataset)}: {way} members are hidden better than in the target's own answers, intervals apart"
                yield dataset, source, text, _told(row["high"] < ways[TARGET_ALONE]["low"], row, ways[TARGET_ALONE])


def sees_more_inside(tables: Tables) -> Stated:
    """What is learned from shadow models of all that is inside ranks better than the best of what answers tell (the gain's
    interval lies above 0), the records and targets being the same. The best one is picked on them, which is no help to the
    test. Who knows members of the target knows more than the black-box attacker, and is not compared.
    """
    for dataset, source, _, rows in _groups(tables, "white_box"):
        for row in rows:
            what = row["access"], row["learned_on"], row["features"], row["metric"]
            if what == (WHITE, ON_SHADOWS, "everything", "auc_gain"):
                text = f"{in_words(dataset)}: all that is inside, learned on shadows, beats the best black-box attack"
                yield dataset, source, text, _told(row["low"] > 0, row)


def overlap_helps(tables: Tables) -> Stated:
    """The attack of 2017 with shadow models that share all of their records with the target against disjoint ones, targets and
    tested records being the same: it ranks better (AUC), it finds more members (recall); and no share makes it rank worse.
    """
    for dataset, source, _, rows in _groups(tables, "overlaps"):
        for metric, words in (("auc", "ranks better"), ("recall", "finds more members")):
            gains = {row["share"]: row for row in rows if row["attack"] == OLD and row["metric"] == f"{metric}_gain"}
            if 1.0 in gains:
                text = f"{in_words(dataset)}: on the target's own records the attack of 2017 {words}, with its interval"
                yield dataset, source, text, _told(gains[1.0]["low"] > 0, gains[1.0])
            if gains and metric == "auc":
                worst = min(gains.values(), key=lambda row: row["high"])
                text = (
                    f"{in_words(dataset)}: no share of common records makes the attack of 2017 rank worse by a whole interval"
                )
                yield dataset, source, text, _told(worst["high"] >= 0, worst)


def not_networks_alone(tables: Tables) -> Stated:
    """The attack of 2017 tells members of every kind of model from a coin (AUC), with shadows of its kind, and with shadows of
    every other kind; and no kind is attacked better with shadows of another (AUC, with all of the difference's interval).
    """
    for dataset, source, kind, rows in _groups(tables, "kinds", "kind"):
        for row in rows:
            if row["attack"] == OLD and row["metric"] == "auc":
                text = f"{in_words(dataset)}, {kind}: AUC above 0.5, with its interval"
                yield dataset, source, text, _told(row["low"] > 0.5, row)
    for dataset, source, kind, rows in _groups(tables, "wrong_kind", "target_kind"):
        of_auc, gains = (
            {row["shadow_kind"]: row for row in rows if row["attack"] == OLD and row["metric"] == metric}
            for metric in ("auc", "auc_gain")
        )
        wrong = [row for other, row in of_auc.items() if other != kind]
        if wrong:
            text = f"{in_words(dataset)}, {kind}: shadows of every other kind find members, AUC above 0.5, with its interval"
            yield dataset, source, text, _told(all(row["low"] > 0.5 for row in wrong), min(wrong, key=lambda row: row["value"]))
        if gains:
            best = max(gains.values(), key=lambda row: row["low"])
            text = (
                f"{in_words(dataset)}, {kind}: no shadows of another kind do better than those of its own by a whole interval"
            )
            yield dataset, source, text, _told(best["low"] <= 0, best)


def reaches_through_an_app(tables: Tables) -> Stated:
    """Through every app the attack of 2017 still tells members from a coin (AUC)."""
    for dataset, source, _, rows in _groups(tables, "indirect"):
        found = {row["app"]: row for row in rows if row["attack"] == OLD and row["metric"] == "auc"}
        for app, row in found.items():
            if app != DIRECT_ACCESS.name:
                text = f"{in_words(dataset)}, {app}: AUC of the attack of 2017 above 0.5, with its interval"
                yield dataset, source, text, _told(row["low"] > 0.5, row)


OLD = "shokri"
WHOLE_ANSWERS = "as they are"
TESTS_AROUND: dict[str, Callable[[Tables], Stated]] = {
    "inversion": an_average_of_its_class,
    "extraction": suffice_to_copy,
    "white box": sees_more_inside,
    "overlap": overlap_helps,
    "kinds": not_networks_alone,
    "indirect": reaches_through_an_app,
}


def _groups(tables: Tables, name: str, by: str = "") -> Iterator[tuple[str, str, str, list[Row]]]:
    """The rows of each data set, and of each value of a column: data set, source, the value ("" without), rows."""
    if name in tables and len(tables[name]):
        columns = ["dataset", "source", *([by] if by else [])]
        for key, found in tables[name].groupby(columns, sort=False):
            dataset, source, value = map(str, (*key, "")[:3])
            yield dataset, source, value, [{str(c): v for c, v in row.items()} for row in found.to_dict("records")]


def _told(holds: bool, *rows: Row) -> Told:
    return Told(bool(holds), "; ".join(map(_said, rows)))


NAMING = ("way", "answers", "features", "kind", "target_kind", "shadow_kind", "app", "share")  # they tell evidence apart


def _said(row: Row) -> str:
    names = [f"{row[column]:g} shared" if column == "share" else str(row[column]) for column in NAMING if column in row]
    measure = str(row.get("metric", row.get("measure", ""))).replace("auc", "AUC").replace("_", " ")
    return ", ".join([*names, f"{measure} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"])
