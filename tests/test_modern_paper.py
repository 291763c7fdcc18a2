"""What was published after 2017: values, ours beside them, verdicts, the five claims, and their part of the scoreboard."""

from itertools import product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from test_scoreboard import location, save_run

from mialib import paper, plots, runs
from mialib.paper import board_since, modern, saved, scoreboard
from mialib.paper.modern_tables import ATTACK_IDS, MODERN_TABLES, STEPS_OF_SIDE, check_modern

matplotlib.use("Agg")
TABLE_I = {  # CIFAR-10, CIFAR-100: TPR at 0.001% FPR, TPR at 0.1% FPR, balanced accuracy
    "confidence": ((0.0, 0.0, 0.594), (0.0, 0.0, 0.780)),
    "shokri": ((0.0, 0.003, 0.596), (0.0, 0.016, 0.745)),
    "song_mittal": ((0.0, 0.001, 0.595), (0.0, 0.014, 0.773)),
    "sablayrolles": ((0.001, 0.017, 0.563), (0.008, 0.074, 0.691)),
    "watson": ((0.001, 0.013, 0.591), (0.009, 0.054, 0.701)),
    "lira_online": ((0.022, 0.084, 0.638), (0.112, 0.276, 0.826)),
}
SIXTEEN = {"": (0.6676, 0.6077, 0.0169, 0.5921), ", corrected": (0.6675, 0.6074, 0.0104, 0.5900)}  # LiRA online; global AUC
LADDERS = {  # a threshold a record, logit, Gaussian, several queries: OUT, then IN and OUT
    "cifar10": ((0.013, 0.047, 0.047, 0.071), (0.017, 0.019, 0.056, 0.084)),
    "cifar100": ((0.052, 0.147, 0.189, 0.223), (0.074, 0.028, 0.241, 0.276)),
    "texas": ((0.088, 0.190, 0.246), (0.149, 0.084, 0.332)),
    "purchase100": ((0.015, 0.013, 0.014), (0.027, 0.002, 0.041)),
}


def published(**wanted):
    table = paper.modern_published()
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


# The published values


@pytest.mark.parametrize("attack", TABLE_I)
def test_table_i_is_liras(attack):
    for dataset, expected in zip(("cifar10", "cifar100"), TABLE_I[attack], strict=True):
        rows = published(group="Table I", dataset=dataset, attack_id=attack)
        assert rows[["metric_id", "fpr"]].fillna(1).values.tolist() == [["tpr", 1e-5], ["tpr", 1e-3], ["balanced_accuracy", 1]]
        assert tuple(rows["value"]) == expected
        assert set(rows["test_accuracy"]) == {0.9 if dataset == "cifar10" else 0.6}


@pytest.mark.parametrize("dataset", LADDERS)
def test_ladders(dataset):
    for side, expected in zip(("OUT", "IN and OUT"), LADDERS[dataset], strict=True):
        rows = published(group="ladder", dataset=dataset, side=side).set_index("step")
        steps = list(STEPS_OF_SIDE[side][: len(expected)])
        assert len(rows) == len(expected) and tuple(rows.loc[steps, "value"]) == expected


@pytest.mark.parametrize("kind", SIXTEEN)
def test_sixteen_models_with_the_code_as_it_was_and_corrected(kind):
    rows = published(work=f"LiRA reference code{kind}").set_index(["attack_id", "metric_id"])["value"]
    own = [rows["lira_online", metric] for metric in ("auc", "balanced_accuracy", "tpr")]
    assert (*own, rows["confidence", "auc"]) == SIXTEEN[kind]
    assert rows["lira_online_global", "tpr"] > 3 * rows["lira_online", "tpr"]


def test_other_values_that_the_study_needs():
    figures = published(group="Figs. 5, 6").set_index(["dataset", "attack_id"])["value"].to_dict()
    assert figures == {
        ("cifar10", "lira_online"): 0.72, ("cifar10", "lira_offline"): 0.674,
        ("cifar100", "lira_online"): 0.925, ("cifar100", "lira_offline"): 0.859,
    }  # fmt: skip
    few = published(work="Zarifzadeh et al. 2024", attack_id="rmia_offline", metric_id="auc")
    assert dict(zip(few["n_references"], few["value"], strict=True)) == {2: 0.6864, 4: 0.7013, 8: 0.7102, 254: 0.7171}
    assert set(few["reading"]) == {"quoted"}
    worth = published(group="PPV", dataset="cifar10", attack_id="lira_online")
    assert dict(zip(worth["prior"], worth["value"], strict=True)) == {0.01: 0.9473, 0.1: 0.9946, 0.5: 0.9994}
    assert (worth["achieved_tpr"] == 0.0399).all() and (worth["achieved_fpr"] == 2e-5).all()
    assert published(work="Ye et al. 2022")["value"].tolist() == [0.857, 0.874]
    assert published(group="label-only")["value"].tolist() == [0.718, 0.75, 0.683]
    assert published(group="epsilon")["value"].max() == 7.21


def test_published_rows_are_whole():
    table = paper.modern_published()
    assert set(table["reading"]) == {"read in the paper", "repository", "quoted"}
    assert set(table["attack_id"]) <= {"", *ATTACK_IDS}
    assert {group for groups in modern.GROUPS_OF.values() for group in groups} == set(table["group"]) - {"epsilon"}
    assert ((table["metric_id"].isin(["tpr", "ppv"])) == table["fpr"].notna()).all()
    assert ((table["metric_id"] == "ppv") == table["prior"].notna()).all()
    rates = table[table["metric_id"] != "epsilon"]
    assert rates["value"].between(0, 1).all() and (table["rounding"] > 0).all()
    assert not modern.comparable_published().duplicated(modern.MODERN_KEY).any()
    assert table.loc[table["members"] == 25_000, "dataset"].str.startswith("cifar").all()
    pairs = set(table.loc[table["group"] == "ladder", ["side", "step"]].itertuples(index=False, name=None))
    assert pairs == {(side, step) for side, steps in STEPS_OF_SIDE.items() for step in steps}


# Tables as 09_modern_attacks saves them


def row_of(table, **given):
    """A row of one of its tables, with what is not given as usual."""
    usual = {"dataset": "cifar10", "source": "real", "attack": "lira_online", "metric": "auc", "fpr": np.nan, "pooled": False}
    usual |= {"side": "OUT", "step": "Gaussian", "prior": 0.1, "achieved_fpr": 0.001, "achieved_tpr": 0.1}
    usual |= {"n_targets": 4, "n_nonmembers": 25_000, "n_references": 62, "network": "residual", "members": 25_000}
    usual |= {"n_models": 64, "train_accuracy": 1.0, "test_accuracy": 0.9, "value": 0.7} | given
    usual = {"low": usual["value"] * 0.9, "high": min(usual["value"] * 1.1, 1.0)} | usual
    return {column: usual[column] for column in MODERN_TABLES[table]}


def tpr(table, attack="", value=0.1, **given):
    """A true positive rate at 0.1% FPR."""
    attacks = {"attack": attack} if attack else {}
    return row_of(table, metric="tpr", value=value, **{"fpr": 0.001, **attacks, **given})


def made(**rows):
    """Tables by name of lists of rows, with the targets of their data sets."""
    tables = {name: pd.DataFrame(each) for name, each in rows.items()}
    pairs = {(row["dataset"], row["source"]) for each in rows.values() for row in each}
    targets = [row_of("targets", dataset=d, source=s, test_accuracy=0.6 if d == "cifar100" else 0.9) for d, s in sorted(pairs)]
    return {"targets": pd.DataFrame(targets)} | tables


def as_published(*groups, source="real"):
    """Tables in which the published values of some groups had been measured, on targets as theirs."""
    rows = {name: [] for name, of in modern.GROUPS_OF.items() if set(of) & set(groups)}
    for each in modern.comparable_published().to_dict("records"):
        name = next(name for name, of in modern.GROUPS_OF.items() if each["group"] in of)
        if each["group"] in groups:
            given = {column: each[column] for column in MODERN_TABLES[name] if column in each and each[column] == each[column]}
            rows[name].append(row_of(name, **given | {"source": source}))
    return made(**{name: pd.DataFrame(each).drop_duplicates().to_dict("records") for name, each in rows.items()})


@pytest.mark.parametrize("group", ["Table I", "Figs. 5, 6", "ladder", "global variance", "LiRA revisited", "PPV"])
def test_the_published_values_reproduce_themselves(group):
    compared = paper.compare_modern(as_published(group)).query("group == @group")
    known = modern.comparable_published().query("group == @group")
    assert len(compared) == len(known) > 0
    assert set(compared["verdict"]) == {"reproduced"} and (compared["difference"] == 0).all()
    of_their_kind = (known["members"] == 25_000) & known["test_accuracy"].notna()
    assert compared["counts"].sum() == of_their_kind.sum()


def test_ours_stands_beside_all_that_was_published_of_it_and_nothing_else():
    """Against loops over both, on tables that hold every attack, data set, metric and rate."""
    pairs = list(product(ATTACK_IDS, ["cifar10", "purchase100", "mnist"]))
    rates = [row_of("rates", attack=a, dataset=d, metric=m) for a, d in pairs for m in ("auc", "balanced_accuracy")]
    rates += [tpr("rates", a, dataset=d, fpr=f) for a, d in pairs for f in (1e-5, 1e-4, 0.001, 0.01)]
    compared = paper.compare_modern(made(rates=rates))
    expected = []
    for known in paper.modern_published().to_dict("records"):
        for ours in rates:
            same = all(
                ours[c] == known[k] for c, k in (("dataset", "dataset"), ("attack", "attack_id"), ("metric", "metric_id"))
            )
            rate = ours["fpr"] == known["fpr"] or (np.isnan(ours["fpr"]) and np.isnan(known["fpr"]))
            if same and rate and known["group"] in modern.GROUPS_OF["rates"]:
                expected.append((known["work"], known["setting"], *(ours[c] for c in ("dataset", "attack", "metric", "value"))))
    found = compared[["work", "setting", "dataset", "attack", "metric", "value"]].itertuples(index=False, name=None)
    assert len(expected) > 40 and sorted(found) == sorted(expected)


def test_where_nothing_was_published_nothing_is_compared():
    compared = paper.compare_modern(made(rates=[row_of("rates", dataset="mnist")]))
    assert compared.empty and {*modern.MODERN_MEASURED, "verdict", "counts", "why"} <= set(compared)


def test_the_mean_over_targets_goes_before_the_pooled_rate():
    rates = [tpr("rates", value=0.2, pooled=True), tpr("rates", value=0.09), tpr("rates", value=0.03, fpr=1e-5, pooled=True)]
    compared = paper.compare_modern(made(rates=rates)).query("group == 'Table I'").set_index("fpr")
    assert compared["value"].to_dict() == {0.001: 0.09, 1e-5: 0.03}


@pytest.mark.parametrize(
    ("counts", "taken"), [((14, 16, 18), 16), ((12, 14), 14), ((15,), 15), ((12, 18, 62), None), ((0,), None)]
)
def test_numbers_of_references_stand_beside_the_nearest_within_a_tenth(counts, taken):
    rows = [row_of("by_references", n_references=n, value=0.5 + n / 1000) for n in counts]
    compared = paper.compare_modern(made(by_references=rows)).query("work == 'LiRA reference code'")
    assert compared["n_references"].tolist() == ([] if taken is None else [taken])
    assert (compared["published_references"] == 15).all()


def test_few_references_are_counted_in_all():
    rows = [row_of("by_references", attack="rmia_offline", n_references=n) for n in (1, 2, 4, 8, 16)]
    compared = paper.compare_modern(made(by_references=rows)).query("work == 'Zarifzadeh et al. 2024'")
    found = dict(
        zip(compared["setting"].str[-len("4 OUT references") :].str.strip(" ,"), compared["n_references"], strict=True)
    )
    assert found == {"1 OUT reference": 2, "2 OUT references": 4, "4 OUT references": 8}
    assert set(compared["verdict"]) == {"none"} and not compared["counts"].any()
    assert set(compared["why"].str.split("; ").str[0]) == {"quoted"}


def test_a_ppv_at_another_rate_is_shown_without_a_verdict():
    rows = [row_of("ppv", fpr=f, value=v, prior=0.01) for f, v in ((0.01, 0.1), (0.001, 0.5), (1e-4, 0.8))]
    (only,) = paper.compare_modern(made(ppv=rows)).to_dict("records")
    assert (only["fpr"], only["our_fpr"], only["value"], only["published"]) == (1e-5, 1e-4, 0.8, 0.9473)
    assert only["verdict"] == "none" and not only["counts"] and "asked for an fpr of 0.0001 beside 1e-05" in only["why"]
    same = [row_of("ppv", fpr=1e-5, value=0.94, prior=0.01)]
    assert paper.compare_modern(made(ppv=rows + same))["verdict"].tolist() == ["reproduced"]


# Verdicts


LOW_RATES = [  # value, low, high, published, verdict
    (0.0, 0.0, 0.0004, 0.022, "differs"),  # within 0.05, and yet nothing of it
    (0.0, 0.0, 0.012, 0.022, "undecided"),
    (0.022, 0.02, 0.024, 0.022, "reproduced"),
    (0.027, 0.02, 0.03, 0.022, "reproduced"),
    (0.03, 0.02, 0.04, 0.022, "near"),
    (0.046, 0.04, 0.05, 0.022, "undecided"),
    (0.05, 0.046, 0.06, 0.022, "differs"),
    (0.01, 0.0, 0.0106, 0.022, "differs"),
    (0.0, 0.0, 0.0, 0.0, "reproduced"),
    (0.0009, 0.0001, 0.002, 0.0, "near"),  # a printed 0.0% may be up to 0.05%
    (0.002, 0.0012, 0.004, 0.0, "differs"),
    (0.26, 0.2, 0.3, 0.276, "reproduced"),
    (0.31, 0.2, 0.4, 0.276, "near"),
    (0.36, 0.2, 0.5, 0.276, "undecided"),  # within a factor of 2, not within 0.05
    (0.36, 0.33, 0.5, 0.276, "differs"),
    (0.016, 0.01, 0.02, 0.003, "differs"),
]


@pytest.mark.parametrize(("value", "low", "high", "known", "verdict"), LOW_RATES)
def test_verdicts_on_low_rates_look_at_the_ratio_too(value, low, high, known, verdict):
    assert modern.low_rate_verdict(value, low, high, known, 0.0005) == verdict


def test_where_rates_are_large_the_rule_is_the_old_one():
    for value in np.linspace(0.3, 0.7, 41):
        for wide in (0.001, 0.2):
            ours = (value, value - wide, value + wide)
            assert modern.low_rate_verdict(*ours, 0.5) == paper.comparison.verdict_within(*ours, 0.5)


@pytest.mark.parametrize(
    ("metric", "value", "verdict"), [("auc", 0.76, "near"), ("auc", 0.8, "undecided"), ("tpr", 0.0, "differs")]
)
def test_each_metric_has_its_rule(metric, value, verdict):
    given = {"metric": metric, "value": value, "low": value * 0.9, "high": value + 0.001} | (
        {"high": 0.9} if value == 0.8 else {}
    )
    rates = [row_of("rates", **given | ({"fpr": 0.001} if metric == "tpr" else {}))]
    compared = paper.compare_modern(made(rates=rates)).query("work == 'Carlini et al. 2022'")
    assert compared["verdict"].tolist() == [verdict]


def test_a_rate_that_could_not_be_measured_is_undecided():
    empty = tpr("rates", fpr=1e-5, low=np.nan, high=np.nan, value=np.nan, n_targets=0)
    assert set(paper.compare_modern(made(rates=[empty]))["verdict"]) == {"undecided"}


OTHER_TARGETS = {
    "it counts": ({}, {}, ""),
    "a stand-in": ({"source": "standin"}, {}, "stand-in data"),
    "another network": ({}, {"network": "cnn"}, "network cnn beside residual"),
    "fewer members": ({}, {"members": 5000}, "5,000 members beside 25,000"),
    "a worse network": ({}, {"test_accuracy": 0.84}, "test accuracy 0.84 beside 0.90"),
    "as good within 0.05": ({}, {"test_accuracy": 0.85}, ""),
    "all at once": (
        {"source": "standin"},
        {"network": "mlp", "members": 10, "test_accuracy": 0.5},
        "stand-in data; network mlp beside residual; 10 members beside 25,000; test accuracy 0.50 beside 0.90",
    ),
}


@pytest.mark.parametrize("case", OTHER_TARGETS)
def test_only_the_same_kind_of_target_counts(case):
    ours, target, why = OTHER_TARGETS[case]
    tables = made(rates=[tpr("rates", value=0.08, **ours)])
    tables["targets"] = tables["targets"].assign(**target)
    (only,) = paper.compare_modern(tables).query("group == 'Table I'").to_dict("records")
    assert (only["why"], only["counts"], only["verdict"]) == (why, why == "", "reproduced")
    assert (only["published_train_accuracy"], only["published_test_accuracy"]) == (1.0, 0.9)


def test_what_is_not_said_of_a_target_does_not_count():
    compared = paper.compare_modern(made(rates=[row_of("rates")])).query("work == 'Jebreel et al. 2026'")
    assert compared["why"].tolist() == ["test accuracy 0.90 beside an unknown one"]


# What is refused


RATES = [tpr("rates"), row_of("rates"), row_of("rates", dataset="mnist")]
WRONG = {  # table, row and what is put into it, words of the error
    "attack": (
        "rates",
        1,
        {"attack": "lira"},
        r"tables\['rates'\], line 3 \(cifar10, lira, auc\): attack is 'lira'; allowed are",
    ),
    "source": (
        "rates",
        0,
        {"source": "own"},
        r"line 2 \(cifar10, lira_online, tpr, 0.001\): source is 'own'; allowed are: real",
    ),
    "metric": ("rates", 0, {"metric": "accuracy"}, "metric is 'accuracy'; allowed are: tpr, auc"),
    "no fpr": ("rates", 0, {"fpr": np.nan}, "fpr is empty; a true positive rate is one at some fpr"),
    "an fpr": ("rates", 1, {"fpr": 0.1}, "fpr is 0.1; only a true positive rate has one"),
    "fpr": ("rates", 0, {"fpr": 1.5}, "fpr is 1.5; 0 to 1 is allowed"),
    "value": ("rates", 0, {"value": 1.2, "high": 1.3}, "value is 1.2; 0 to 1 is allowed"),
    "text": ("rates", 0, {"value": "much"}, "value is 'much'; a number is needed"),
    "outside": ("rates", 0, {"low": 0.5}, "value, low, high are .*: the value must lie in its interval"),
    "half": ("rates", 0, {"low": np.nan}, "empty cells are allowed only, all three, for a rate at some fpr"),
    "no AUC": ("rates", 1, {"value": np.nan, "low": np.nan, "high": np.nan}, "line 3 .*allowed only, all three"),
    "targets": ("rates", 0, {"n_targets": 0}, "n_targets is 0; at least 1 is needed"),
    "pooled": ("rates", 0, {"pooled": "yes"}, "pooled is 'yes'; allowed are: True, False"),
    "twice": ("rates", 2, {"dataset": "cifar10"}, r"tables\['rates'\], line 4 .*the second row of one key"),
    "no target": ("rates", 2, {"dataset": "adult"}, "the table targets has no 'adult' of source 'real'"),
    "side": ("ladder", 0, {"side": "IN"}, r"tables\['ladder'\], line 2 .*side is 'IN'; allowed are: none, OUT, IN and OUT"),
    "step": ("ladder", 0, {"side": "none"}, "step is 'Gaussian', which the side 'none' does not have"),
    "prior": ("ppv", 0, {"prior": 1.0}, "prior is 1.0; above 0 and below 1 is allowed"),
    "asked": ("ppv", 0, {"fpr": 0.0}, "fpr is 0.0; above 0 is allowed for a PPV"),
    "network": ("targets", 0, {"network": "vit"}, "network is 'vit'; allowed are: mlp, cnn, residual"),
    "members": ("targets", 0, {"members": 0}, r"tables\['targets'\], line 2 .*members is 0; 1 to inf is allowed"),
    "accuracy": ("targets", 0, {"test_accuracy": 90.0}, "test_accuracy is 90.0; 0 to 1 is allowed"),
    "no accuracy": ("targets", 0, {"train_accuracy": np.nan}, "train_accuracy is empty; a number is needed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_row_is_refused_by_name(case):
    name, row, spoiled, words = WRONG[case]
    tables = made(rates=RATES, ladder=[tpr("ladder")], ppv=[row_of("ppv", fpr=0.001)])
    paper.compare_modern(tables)
    table = tables[name].astype(dict.fromkeys(spoiled, object))
    for column, value in spoiled.items():
        table.loc[row, column] = value
    tables[name] = table.infer_objects()
    for function in (paper.compare_modern, paper.modern_claims):
        with pytest.raises(ValueError, match=words):
            function(tables)


def test_wrong_tables_are_refused_by_name():
    tables = made(rates=RATES)
    with pytest.raises(ValueError, match=r"tables\['rates'\] must have the columns dataset, source, .*, lacks pooled"):
        check_modern({"rates": tables["rates"].drop(columns="pooled")})
    with pytest.raises(ValueError, match=r"tables must be of rates, ladder, .*, has roc"):
        check_modern(tables | {"roc": tables["rates"]})
    with pytest.raises(ValueError, match=r"tables must be of rates, .*, lacks targets"):
        paper.compare_modern({"rates": tables["rates"]})
    with pytest.raises(TypeError, match=r"tables\['rates'\] must be a pandas DataFrame, got list"):
        paper.compare_modern(tables | {"rates": RATES})
    with pytest.raises(TypeError, match=r"tables must be tables by name .*got DataFrame"):
        paper.modern_claims(tables["rates"])


def test_measured_rows_without_a_published_value_are_refused_by_name():
    compared = paper.compare_modern(made(rates=RATES))
    other = compared.assign(setting="another")
    with pytest.raises(
        ValueError, match=r"measured, line 2 \(Carlini.*, cifar10, another, .*: nothing was published for this key"
    ):
        modern.modern_verdicts(other)
    with pytest.raises(ValueError, match="the second row of one key"):
        modern.modern_verdicts(pd.concat([compared, compared.iloc[:1]]))
    with pytest.raises(ValueError, match=r"measured must have the columns .*, lacks our_fpr"):
        modern.modern_verdicts(compared.drop(columns="our_fpr"))
    for name, wrong in (("value", -0.1), ("published", 2.0), ("rounding", -1.0)):
        given = {"value": 0.1, "low": 0.0, "high": 0.2, "published": 0.1, "rounding": 0.0} | {name: wrong}
        with pytest.raises(ValueError, match=f"{name} must be at least 0 and at most 1"):
            modern.low_rate_verdict(**given)


# The five claims


def found(rows, claim, source="real"):
    """Outcomes of one claim by data set (and test), on tables of these rows."""
    tables = {name: pd.DataFrame([row | {"source": source} for row in each]) for name, each in rows.items()}
    table = paper.modern_claims(tables)
    return table[table["claim"] == claim].set_index("test")["outcome"]


def by_count(dataset="location", **values):
    """AUCs of an attack by its number of references: rmia_online={2: 0.7, 62: 0.72}."""
    return [
        row_of("by_references", dataset=dataset, attack=attack, n_references=n, value=value)
        for attack, of in values.items()
        for n, value in of.items()
    ]


def low_by_count(**values):
    return [
        tpr("by_references", a, dataset="location", n_references=n, value=v) for a, of in values.items() for n, v in of.items()
    ]


def rungs(record, gaussian, queries=None, side="OUT"):
    steps = {"a threshold a record": record, "logit": 0.0, "Gaussian": gaussian, "queries": queries}
    return [tpr("ladder", step=step, side=side, value=value) for step, value in steps.items() if value is not None]


def hidden(shokri, lira, auc=0.5, dataset="mnist"):
    averages = [
        row_of("rates", dataset=dataset, attack="shokri", metric=m, value=v)
        for m, v in (("auc", auc), ("balanced_accuracy", shokri))
    ]
    return [*averages, tpr("rates", dataset=dataset, attack="lira_online", value=lira)]


TOLD = {  # claim, tables, its outcomes on real data, and where it is not one of these, the same on a stand-in
    "a holds": ("a", {"rates": [tpr("rates", "shokri", 0.003), tpr("rates", value=0.084)]}, ["holds"]),
    "a: too few more": ("a", {"rates": [tpr("rates", "shokri", 0.003), tpr("rates", value=0.029)]}, ["fails"]),
    "a: not ten times guessing": ("a", {"rates": [tpr("rates", "shokri", 0.0), tpr("rates", value=0.009)]}, ["fails"]),
    "a: the old one finds many": ("a", {"rates": [tpr("rates", "shokri", 0.021), tpr("rates", value=0.5)]}, ["fails"]),
    "a: intervals meet": ("a", {"rates": [tpr("rates", "shokri", 0.003), tpr("rates", value=0.084, low=0.003)]}, ["fails"]),
    "a: below 64 models the global variance": (
        "a",
        {"rates": [tpr("rates", "shokri", 0.003), tpr("rates", value=0.02), tpr("rates", "lira_online_global", 0.1)]},
        ["holds"],
    ),
    "a: from 64 models a variance a record": (
        "a",
        {
            "rates": [
                tpr("rates", "shokri", 0.003),
                tpr("rates", value=0.02, n_references=64),
                tpr("rates", "lira_online_global", 0.1, n_references=64),
            ]
        },
        ["fails"],
    ),
    "a: no such rate": ("a", {"rates": [row_of("rates", attack="shokri"), row_of("rates")]}, ["not testable here"]),
    "a: no LiRA": ("a", {"rates": [tpr("rates", "shokri", 0.003)]}, ["not run"]),
    "b holds": (
        "b",
        {"by_references": by_count(rmia_online={2: 0.69, 4: 0.7, 62: 0.72}, lira_online_global={2: 0.6, 4: 0.65, 62: 0.75})},
        ["holds", "holds"],
    ),
    "b: RMIA loses too much with 2": (
        "b",
        {"by_references": by_count(rmia_online={2: 0.68, 4: 0.7, 62: 0.72}, lira_online_global={2: 0.6, 4: 0.65, 62: 0.75})},
        ["fails", "holds"],
    ),
    "b: LiRA loses less": (
        "b",
        {"by_references": by_count(rmia_online={4: 0.7, 62: 0.72}, lira_online_global={4: 0.74, 62: 0.75})},
        ["not run", "fails"],
    ),
    "b: nothing to lose": (
        "b",
        {"by_references": by_count(rmia_online={2: 0.7}, lira_online_global={2: 0.7})},
        ["not run"] * 2,
    ),
    "c holds": (
        "c",
        {
            "by_references": low_by_count(
                lira_online={4: 0.1, 16: 0.2, 64: 0.9}, lira_online_global={2: 0.2, 4: 0.2, 16: 0.2, 64: 0.3}
            )
        },
        ["holds"],
    ),
    "c fails": (
        "c",
        {"by_references": low_by_count(lira_online={4: 0.1, 16: 0.21}, lira_online_global={4: 0.2, 16: 0.2})},
        ["fails"],
    ),
    "c: never both": (
        "c",
        {"by_references": low_by_count(lira_online={4: 0.1}, lira_online_global={2: 0.2})},
        ["not testable here"],
    ),
    "c: no such rate": (
        "c",
        {"by_references": by_count(lira_online={4: 0.6}, lira_online_global={4: 0.6})},
        ["not testable here"],
    ),
    "d holds": ("d", {"ladder": rungs(0.1, 0.3, 0.4)}, ["holds", "not run"]),
    "d: queries add more": ("d", {"ladder": rungs(0.1, 0.2, 0.4)}, ["fails", "not run"]),
    "d: no gain": ("d", {"ladder": rungs(0.1, 0.09)}, ["fails", "not run"]),
    "d: without queries": ("d", {"ladder": rungs(0.1, 0.11) + rungs(0.1, 0.2, side="IN and OUT")}, ["holds", "holds"]),
    "e holds": ("e", {"rates": hidden(0.51, 0.03)}, ["holds", "not run"]),
    "e: averages do not hide it": ("e", {"rates": hidden(0.56, 0.03)}, ["fails", "not run"]),
    "e: nor does AUC": ("e", {"rates": hidden(0.51, 0.03, auc=0.56)}, ["fails", "not run"]),
    "e: nothing leaks": ("e", {"rates": hidden(0.51, 0.0105, dataset="adult")}, ["not run", "fails"]),
    "e: RMIA finds it": (
        "e",
        {"rates": [*hidden(0.51, 0.001), tpr("rates", "rmia_online", 0.03, dataset="mnist")]},
        ["holds", "not run"],
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_claim_is_told_both_ways(case):
    claim, rows, outcomes = TOLD[case]
    assert found(rows, claim).tolist() == outcomes
    quieter = {"holds": "direction seen", "fails": "direction not seen"}
    assert found(rows, claim, "standin").tolist() == [quieter.get(outcome, outcome) for outcome in outcomes]


def test_every_claim_is_seen_to_hold_and_to_fail():
    assert {(claim, word) for claim, _, words in TOLD.values() for word in words} >= {*product("abcde", ["holds", "fails"])}


def test_what_was_not_run_has_a_row():
    table = paper.modern_claims({})
    assert set(table["outcome"]) == {"not run"} and set(table["claim"]) == set("abcde")
    assert list(table) == ["claim", "test", "outcome", "evidence", "dataset", "source"]
    assert paper.modern_claims({"rates": pd.DataFrame()}).equals(table)  # what has no rows was not run, either


def test_the_published_values_pass_where_they_can_be_tested():
    table = paper.modern_claims(as_published("Table I", "ladder"))
    tested = table[table["outcome"] != "not run"]
    assert tested["claim"].value_counts().to_dict() == {"a": 2, "d": 8}
    failed = tested[tested["outcome"] == "fails"]
    assert failed["test"].str.startswith("Purchase-100, OUT models").tolist() == [True]  # Table VIII
    assert (tested["outcome"] == "holds").sum() == len(tested) - 1


def test_a_test_says_what_it_looked_at():
    table = paper.modern_claims(made(rates=[tpr("rates", "shokri", 0.003), tpr("rates", value=0.084)]))
    said = table.loc[table["claim"] == "a", "evidence"].item()
    assert said == "attack of 2017 with 62 models: 0.003 [0.003, 0.003]; LiRA with 62 models: 0.084 [0.076, 0.092]"


# Saved, and on the scoreboard


MODERN_RUN = "09_modern_attacks"


@pytest.fixture
def results(tmp_path):
    """04_location, and 09_modern_attacks on CIFAR-10 with the small network of 2017."""
    save_run(tmp_path / "results", location())
    save_modern(tmp_path / "results")
    return tmp_path / "results"


def measured_here(source="real"):
    rates = [tpr("rates", "shokri", 0.004), tpr("rates", value=0.3), row_of("rates", attack="confidence", value=0.9)]
    tables = made(
        rates=[row | {"source": source} for row in rates], ladder=[row | {"source": source} for row in rungs(0.1, 0.3)]
    )
    tables["targets"] = tables["targets"].assign(network="cnn", members=5000, test_accuracy=0.55)
    return tables


def save_modern(results, run="paper", source="real", compared=None, claims=None):
    tables = measured_here(source)
    folder = save_run(results, pd.DataFrame(), run, MODERN_RUN, {"cifar10": source})
    (folder / "compared.csv").unlink()
    compared = paper.compare_modern(tables) if compared is None else compared
    compared.to_csv(folder / "modern_compared.csv", index=False)
    (paper.modern_claims(tables) if claims is None else claims).to_csv(folder / "modern_claims.csv", index=False)
    return folder


def read(results, **options):
    return saved.read_runs("paper", results=results, **options)


def test_the_tables_of_09_are_read_whole_and_apart(results):
    study = read(results)
    pd.testing.assert_frame_equal(study.modern.compared, paper.compare_modern(measured_here()), check_dtype=False)
    assert study.modern.claims.equals(paper.modern_claims(measured_here()).astype(study.modern.claims.dtypes))
    line = study.runs.set_index("notebook").loc[MODERN_RUN]
    assert (line["values"], line["claims"]) == (len(study.modern.compared), len(study.modern.claims))
    assert {each["name"] for each in study.datasets} == {"location", "cifar10"}
    (results / "paper" / MODERN_RUN / "run.json").unlink()
    for name in ("modern_compared", "modern_claims"):
        (results / "paper" / MODERN_RUN / f"{name}.csv").unlink()
    without = read(results)
    assert (
        without.modern is None and scoreboard.run_list(without.runs).set_index("notebook").loc[MODERN_RUN, "run"] == "not run"
    )
    assert scoreboard.totals(scoreboard.standings(without.values)).equals(scoreboard.totals(scoreboard.standings(study.values)))


def test_09_alone_is_not_enough(tmp_path):
    save_modern(tmp_path / "results")
    with pytest.raises(ValueError, match=r"nothing was run: .*run one first, such as 04_location"):
        read(tmp_path / "results")


@pytest.mark.parametrize("edited", [{"published": 0.9}, {"verdict": "reproduced"}, {"counts": True}, {"why": ""}], ids=str)
def test_what_can_be_worked_out_again_is_not_read(edited, results):
    before = read(results).modern.compared
    assert not before["counts"].any()
    save_modern(results, compared=before.assign(**edited))
    pd.testing.assert_frame_equal(read(results).modern.compared, before)


def test_a_run_of_which_nothing_was_published_is_read(results):
    save_modern(results, compared=paper.compare_modern(measured_here()).iloc[:0])
    study = read(results)
    assert study.modern.compared.empty and set(board_since.lira_table_i(study.modern)["source"]) == {"not run"}


SPOILED = {  # file, what is put in its second row, words
    "network": ("modern_compared", {"network": "vit"}, "network is 'vit'; allowed are: mlp"),
    "key": ("modern_compared", {"setting": "another"}, "nothing was published for this key"),
    "source": ("modern_compared", {"source": "standin"}, "source is 'standin'; in paper every row must be 'real'"),
    "value": ("modern_compared", {"value": 1.5, "high": 1.6}, "value is 1.5; 0 to 1 is allowed"),
    "text": ("modern_compared", {"members": "many"}, "members is 'many'; a number is needed"),
    "interval": ("modern_compared", {"low": 0.99}, "the value must lie in its interval"),
    "claim": ("modern_claims", {"claim": "f"}, "claim is 'f'; allowed are: a, b, c, d, e"),
    "outcome": ("modern_claims", {"outcome": "surely"}, "outcome is 'surely'; allowed are: holds"),
    "loud": (
        "modern_claims",
        {"source": "standin", "outcome": "holds"},
        "source is 'standin'; in paper every row must be 'real'",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_wrong_saved_row_is_named_by_file_and_line(case, results):
    name, spoiled, words = SPOILED[case]
    path = results / "paper" / MODERN_RUN / f"{name}.csv"
    table = pd.read_csv(path).astype(dict.fromkeys(spoiled, object))
    tested = 1 if name == "modern_compared" else int(np.flatnonzero(table["outcome"] != "not run")[-1])
    for column, value in spoiled.items():
        table.loc[tested, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"results/paper/{MODERN_RUN}/{name}\.csv, line {tested + 2} \(.*\): .*{words}"):
        read(results)


@pytest.mark.parametrize("name", ["modern_compared", "modern_claims"])
def test_rows_twice_and_missing_columns_are_named(name, results):
    path = results / "paper" / MODERN_RUN / f"{name}.csv"
    table = pd.read_csv(path)
    pd.concat([table, table.iloc[:1]]).to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"{name}\.csv, line {len(table) + 2} .*the second row of one"):
        read(results)
    table.drop(columns="source").to_csv(path, index=False)
    with pytest.raises(ValueError, match=rf"{name}\.csv lacks the columns \['source'\]"):
        read(results)
    path.unlink()
    with pytest.raises(ValueError, match=rf"{name}\.csv: table '{name}' is not saved"):
        read(results)


def test_on_standins_nothing_is_proved(results):
    save_run(results, location().assign(source="standin"), "paper-standin", datasets={"location": "standin"})
    save_modern(results, "paper-standin", "standin")
    study = read(results, data="standin")
    assert {"direction seen"} == set(study.modern.claims["outcome"]) - {"not run"}
    assert study.modern.compared["why"].str.startswith("stand-in data; network cnn beside residual").all()
    claims = study.modern.claims.assign(outcome=study.modern.claims["outcome"].replace("direction seen", "holds"))
    save_modern(results, "paper-standin", "standin", claims=claims)
    with pytest.raises(ValueError, match="outcome is 'holds' on 'standin' data; only real data allow it"):
        read(results, data="standin")


def test_table_i_stands_beside_ours_also_where_nothing_was_run(results):
    table = board_since.lira_table_i(read(results).modern).set_index(["dataset", "attack"])
    lira = table.loc[("CIFAR-10", "LiRA online")]
    assert (lira["paper_tpr_1e-3"], lira["tpr_1e-3"], lira["paper_balanced"], lira["verdict"]) == (0.084, 0.3, 0.638, "differs")
    assert (lira["paper_test_accuracy"], lira["test_accuracy"], lira["source"]) == (0.9, 0.55, "real")
    assert "network cnn beside residual" in lira["why"] and np.isnan(lira["balanced"]) and not table["counts"].any()
    assert table.loc[("CIFAR-100", "LiRA online"), "source"] == "not run"
    empty = board_since.lira_table_i(None)
    assert len(empty) == 12 and set(empty["source"]) == {"not run"} and empty["tpr_1e-3"].isna().all()


def test_claims_have_their_words(results):
    table = board_since.claims_after_2017(read(results).modern)
    assert table["statement"].str.len().min() > 20
    assert set(board_since.claims_after_2017(None)["outcome"]) == {"not run"}


@pytest.mark.parametrize("run", [True, False])
def test_the_figure_draws_from_a_table_that_was_read_back(run, results, tmp_path):
    study = read(results)
    points = board_since.low_rate_points(board_since.lira_table_i(study.modern if run else None))
    points.to_csv(tmp_path / "t.csv", index=False)
    spec = {"function": "low_rates", "tables": ["t"], "options": {"facet": "panel"}}
    runs.write_figure(tmp_path, tmp_path / "figures", "low_rates", spec, {"datasets": []})
    svg = (tmp_path / "figures" / "low_rates.svg").read_text()
    for words in ["CIFAR-100", "Shokri 2017", "LiRA online", "published: train 1.00, test 0.90", "ours: not run"]:
        assert words in svg
    assert ("ours: train 1.00, test 0.55" in svg) == ("ours, real data" in svg) == run
    assert "nan" not in svg.lower().replace("nance", "")


def test_the_marks_stand_where_the_rates_are():
    modern_run = saved.SavedModern(paper.compare_modern(as_published("Table I")), paper.modern_claims({}))
    points = board_since.low_rate_points(board_since.lira_table_i(modern_run))
    ax = Figure().subplots()
    plots.low_rates(points[points["panel"] == "CIFAR-10"].reset_index(drop=True), ax=ax)
    marks = {m: [line for line in ax.lines if line.get_marker() == m] for m in ("o", "D", "<")}
    assert (
        [line.get_xdata()[0] for line in marks["o"]]
        == [line.get_xdata()[0] for line in marks["D"]]
        == [0.003, 0.001, 0.017, 0.013, 0.084]
    )
    assert len(marks["<"]) == 2  # one threshold finds nothing: theirs and ours
    assert {line.get_markerfacecolor() for line in marks["D"]} == {"#0072B2"}  # they count
    assert {line.get_markerfacecolor() for line in marks["o"]} == {"none"}
