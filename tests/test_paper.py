"""The published numbers are the paper's, and ours are set beside the right ones."""

import numpy as np
import pandas as pd
import pytest

from mialib import paper

TABLE_1 = {  # target: train and test accuracy on Purchase, 100 classes
    "amazon(10,1e-6)": (0.941, 0.468),
    "amazon(100,1e-4)": (1.000, 0.504),
    "google": (0.999, 0.656),
    "local": (0.830, 0.670),
}
TABLE_2 = {  # Google: train accuracy, test accuracy, attack precision
    "adult": (0.848, 0.842, 0.503),
    "mnist": (0.984, 0.928, 0.517),
    "location": (1.000, 0.673, 0.678),
    "purchase2": (0.999, 0.984, 0.505),
    "purchase10": (0.999, 0.866, 0.550),
    "purchase20": (1.000, 0.781, 0.590),
    "purchase50": (1.000, 0.693, 0.860),
    "purchase100": (0.999, 0.659, 0.935),
    "texas": (0.668, 0.517, 0.657),
}
TABLE_3 = {  # Purchase: test accuracy; attack total accuracy, precision, recall
    "none": (0.66, 0.92, 0.87, 1.00),
    "top_k=3": (0.66, 0.92, 0.87, 0.99),
    "top_k=1": (0.66, 0.89, 0.83, 1.00),
    "top_k=1_label_only": (0.66, 0.66, 0.60, 0.99),
    "rounding_d=3": (0.66, 0.92, 0.87, 0.99),
    "rounding_d=1": (0.66, 0.89, 0.83, 1.00),
    "temperature_t=5": (0.66, 0.88, 0.86, 0.93),
    "temperature_t=20": (0.66, 0.84, 0.83, 0.86),
    "l2_lambda=1e-4": (0.68, 0.87, 0.81, 0.96),
    "l2_lambda=1e-3": (0.72, 0.77, 0.73, 0.86),
    "l2_lambda=1e-2": (0.63, 0.53, 0.54, 0.52),
}
FIG_8 = {"real": (0.678, 0.98), "noise10": (0.666, 0.99), "noise20": (0.613, 1.00)}  # precision, recall


def values(**fixed):
    """The published values of some rows, by metric."""
    table = paper.published()
    for column, value in fixed.items():
        table = table[table[column] == value]
    assert not table["metric"].duplicated().any()
    return table.set_index("metric")["value"].to_dict()


@pytest.mark.parametrize("target", TABLE_1)
def test_table_1(target):
    train, test = TABLE_1[target]
    expected = {"target_train_accuracy": train, "target_test_accuracy": test}
    assert values(id="T1", target=target, dataset="purchase100") == expected


@pytest.mark.parametrize("dataset", TABLE_2)
def test_table_2(dataset):
    train, test, precision = TABLE_2[dataset]
    expected = {"target_train_accuracy": train, "target_test_accuracy": test, "attack_precision": precision}
    assert values(id="T2", dataset=dataset, target="google") == expected


@pytest.mark.parametrize("mitigation", TABLE_3)
def test_table_3_purchase(mitigation):
    names = ("target_test_accuracy", "attack_accuracy", "attack_precision", "attack_recall")
    expected = dict(zip(names, TABLE_3[mitigation], strict=True))
    assert values(id="T3", dataset="purchase100", setting=f"mitigation:{mitigation}") == expected


def test_table_3_texas_ends_at_a_coin():
    found = values(id="T3", dataset="texas", setting="mitigation:l2_lambda=5e-3")
    assert found == {"target_test_accuracy": 0.35, "attack_accuracy": 0.52, "attack_precision": 0.52, "attack_recall": 0.53}


@pytest.mark.parametrize("data", FIG_8)
def test_figure_8(data):
    found = values(id="F8", setting=f"shadow:{data}")
    assert (found["attack_precision"], found["attack_recall"]) == FIG_8[data]
    quantiles = [found[f"attack_precision_{q}"] for q in ("min", "p10", "p25", "p50", "p75", "p90", "max")]
    assert quantiles == sorted(quantiles)


def middle(points):
    return float(np.percentile(points, 50, method="inverted_cdf")), float(np.median(points))


def test_the_papers_medians_of_ten_classes_are_the_fifth_smallest_of_its_own_figure():
    for size, points in paper.curves("Fig. 4 left").groupby("series"):
        found = values(id="F4", dataset="cifar10", train_size=int(size.rpartition("n=")[2]))
        low, usual = middle(points["value"])
        assert len(points) == 10 and low < usual
        assert found["attack_precision_p50"] == round(low, 2)  # as printed
        assert found["attack_precision_median"] == round(usual + 1e-9, 3) != round(low, 3)


def test_what_was_read_off_a_curve_is_the_value_of_a_class_and_medians_of_more_classes_read_alike():
    """So `p` means the same in every figure but the box plots of Fig. 10; both readings are kept where they lie apart."""
    known = paper.published().query("reading == 'drawn' and train_size > 0")
    checked = 0
    for figure, number in (("Fig. 4 right", "F4"), ("Fig. 5", "F5"), ("Fig. 6", "F6"), ("Fig. 8", "F8"), ("Fig. 9", "F9")):
        for (series, target, setting), points in paper.curves(figure).groupby(["series", "target", "setting"]):
            rows = known[(known["id"] == number) & (known["target"] == target) & known["setting"].isin(["", setting])]
            rows = rows[rows["train_size"] == float(series.partition("n=")[2] or rows["train_size"].iloc[0])]
            rows = rows[(rows["dataset"] != "cifar10")].set_index("metric")["value"]
            low, usual = middle(points["value"])
            assert rows["attack_precision_p50"] == pytest.approx(low, abs=0.0015), (figure, series)
            assert usual - low < 0.005, (figure, series)
            for q in (10, 25, 75, 90):
                if (name := f"attack_precision_p{q}") in rows:
                    of_class = np.percentile(points["value"], q, method="inverted_cdf")
                    assert rows[name] == pytest.approx(of_class, abs=0.0015), (figure, series, q)
                    checked += 1
    assert checked >= 40
    box = values(id="F10", dataset="purchase100")
    assert box["attack_precision_median"] == pytest.approx(middle(NINE["value"])[1], abs=0.001)  # the same attack, Fig. 9
    assert not any(metric.endswith(("_p25", "_p50", "_p75")) for metric in box)


NINE = paper.curves("Fig. 9").query("setting == 'shadow:real'")


def test_the_medians_of_cifar100_that_the_paper_prints_at_its_larger_sizes_follow_from_neither_reading():
    for size, points in paper.curves("Fig. 4 right").groupby("series"):
        printed = paper.published().query(
            f"dataset == 'cifar100' and metric == 'attack_precision_p50' and train_size == {size.rpartition('n=')[2]}"
        )
        (row,) = printed[printed["reading"] != "drawn"].itertuples()
        fits = [abs(found - row.value) <= 0.005 for found in middle(points["value"])]
        assert fits == [row.reading == "stated"] * 2, size


def test_figure_9_draws_eight_classes_at_exactly_0_and_no_other_curve_has_one():
    zeros = {
        (figure, series): int((points["value"].abs() < 0.0005).sum())
        for figure in ("Fig. 4 left", "Fig. 4 right", "Fig. 5", "Fig. 6", "Fig. 7", "Fig. 8", "Fig. 9")
        for series, points in paper.curves(figure).groupby("series")
    }
    assert {key: n for key, n in zeros.items() if n} == {("Fig. 9", "Google; model-based synthetic"): 8}
    found = values(id="F9", setting="shadow:model_based", reading="drawn")
    assert found["n_classes_precision_below_0.1"] == 8 and found["attack_precision_min"] == 0


def test_figure_8_curves_agree_with_the_numbers():
    curves = paper.curves("Fig. 8")
    assert list(curves.columns) == ["series", "target", "setting", "key_kind", "key", "value"]
    assert curves["series"].value_counts().to_dict() == {
        "Google; real shadow data": 30,
        "Google; 10% noise": 30,
        "Google; 20% noise": 30,
    }
    for series, points in curves.groupby("series"):
        setting = {"real": "real", "10%": "noise10", "20%": "noise20"}[series.split("; ")[1].split()[0]]
        found = values(id="F8", setting=f"shadow:{setting}")
        assert found["attack_precision_min"] == pytest.approx(points["value"].min(), abs=0.001)
        assert found["attack_precision_max"] == pytest.approx(points["value"].max(), abs=0.001)
        assert found["attack_precision_mean"] == pytest.approx(points["value"].mean(), abs=0.002)


def test_published_numbers_are_whole():
    table = paper.published()
    assert list(table.columns) == [
        "id", "where", "dataset", "target", "setting", "train_size", "metric", "value", "low", "reading", "page",
    ]  # fmt: skip
    assert (table["value"].isna() != table["low"].isna()).all()  # a number or a bound
    rates = table[table["metric"].str.startswith(("attack_", "target_"))]
    assert len(rates) > 300
    assert rates["value"].fillna(rates["low"]).between(0, 1).all()
    assert set(table["reading"]) == set(paper.comparison.READINGS)
    assert not table["setting"].isna().any()
    assert table["page"].between(1, 16).all()
    assert not table.duplicated([*paper.KEY, "where", "reading"]).any()


@pytest.mark.parametrize("figure", ["Fig. 5", "Fig. 6", "Fig. 7", "Fig. 8", "Fig. 9"])
def test_curves_by_class(figure):
    points = paper.curves(figure)
    assert not points.duplicated(["series", "key"]).any()
    assert (points["key_kind"] == "sorted_class_rank").all()
    for _, rows in points.groupby("series"):
        assert rows["value"].is_monotonic_increasing
        assert rows["key"].astype(int).tolist() == list(range(1, len(rows) + 1))


AMAZONS = ("amazon(10,1e-6)", "amazon(100,1e-4)")


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("Fig. 4 left", {("local", "shadow:real")}),
        ("Fig. 4 right", {("local", "shadow:real")}),
        ("Fig. 5", {(target, "shadow:real") for target in (*AMAZONS, "google")}),
        ("Fig. 6", {("google", "shadow:real")}),
        ("Fig. 7", {(target, "shadow:real") for target in (*AMAZONS, "google", "local")}),
        ("Fig. 8", {("google", f"shadow:{data}") for data in FIG_8}),
        ("Fig. 9", {("google", f"shadow:{data}") for data in ("real", "marginal", "model_based")}),
    ],
)
def test_curves_name_target_and_setting_as_published(figure, expected):
    points = paper.curves(figure)
    assert set(zip(points["target"], points["setting"], strict=True)) == expected
    of_series = points.groupby("series")[["target", "setting"]].nunique()
    assert (of_series == 1).all(axis=None)
    if not figure.startswith("Fig. 4"):  # a series a training size
        assert len(of_series) == len(expected)
    rows = paper.published()
    rows = rows[rows["id"] == f"F{figure.split()[1]}"]
    known = set(zip(rows["target"], rows["setting"].replace("", "shadow:real"), strict=True))
    assert expected <= known or figure == "Fig. 7"  # numbers of the others are under Fig. 5


@pytest.mark.parametrize(("figure", "id_"), [("Fig. 5", "F5"), ("Fig. 9", "F9")])
def test_curves_of_a_target_and_setting_end_at_its_published_numbers(figure, id_):
    for (target, setting), points in paper.curves(figure).groupby(["target", "setting"]):
        found = values(id=id_, target=target, reading="drawn", setting="" if figure == "Fig. 5" else setting)
        assert found["attack_precision_min"] == pytest.approx(points["value"].min(), abs=0.001)
        assert found["attack_precision_max"] == pytest.approx(points["value"].max(), abs=0.001)
        assert found["attack_precision_mean"] == pytest.approx(points["value"].mean(), abs=0.002)


def test_curves_of_what_was_not_drawn_are_refused():
    with pytest.raises(ValueError, match=r"figure must be one of .*Fig\. 8.*, got 'Fig\. 80'"):
        paper.curves("Fig. 80")
    with pytest.raises(ValueError, match="quantity must be one of attack_precision, got 'recall'"):
        paper.curves("Fig. 8", "recall")


def result(value, low=None, high=None, **other):
    """Our result for Fig. 8's precision on real shadow data, which the paper gives as 0.678."""
    low, high = (value if low is None else low), (value if high is None else high)
    row = {"id": "F8", "dataset": "location", "target": "google", "setting": "shadow:real", "train_size": 1200}
    row |= {"metric": "attack_precision", "value": value, "low": low, "high": high, "n_targets": 5}
    row |= {"source": "real", "our_target": "google"} | other
    return {"our_train_size": row["train_size"]} | row


def verdict(*arguments, **other):
    return paper.compare(pd.DataFrame([result(*arguments, **other)])).loc[0, "verdict"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.678, "reproduced"), (0.698, "reproduced"), (0.658, "reproduced"), (0.6981, "near"), (0.6579, "near"),
        (0.728, "near"), (0.628, "near"), (0.7281, "differs"), (0.6279, "differs"), (0.0, "differs"), (1.0, "differs"),
    ],
)  # fmt: skip
def test_verdict_of_an_exact_result(value, expected):
    assert verdict(value) == expected


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.76, 0.7279, 0.79, "undecided"),
        (0.76, 0.7281, 0.79, "differs"),
        (0.60, 0.56, 0.6281, "undecided"),
        (0.60, 0.56, 0.6279, "differs"),
        (0.80, 0.50, 1.00, "undecided"),
        (0.70, 0.50, 1.00, "near"),  # by the value, however wide the interval
        (0.68, 0.50, 1.00, "reproduced"),
        (np.nan, np.nan, np.nan, "undecided"),
    ],
)
def test_verdict_with_an_interval(value, low, high, expected):
    assert verdict(value, low, high) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.95, "met"), (1.0, "met"), (0.9499, "not met")])
def test_verdict_on_a_lower_bound(value, expected):
    bound = {"id": "F5", "dataset": "purchase100", "setting": "", "train_size": 10_000, "metric": "attack_recall"}
    table = paper.compare(pd.DataFrame([result(value, **bound)]))
    assert table.loc[0, "verdict"] == expected
    assert np.isnan(table.loc[0, "published"])
    assert table.loc[0, "published_low"] == 0.95


def test_compare_adds_the_published_value_to_each_row():
    rows = [result(0.7), result(0.9, setting="shadow:noise20", variant="flip"), result(0.99, metric="attack_recall")]
    table = paper.compare(pd.DataFrame(rows, index=[7, 3, 5]).assign(variant="flip"))
    assert table["published"].tolist() == [0.678, 0.613, 0.98]
    np.testing.assert_allclose(table["difference"], [0.022, 0.287, 0.01])
    assert table["verdict"].tolist() == ["near", "differs", "reproduced"]
    assert table["value"].tolist() == [0.7, 0.9, 0.99]


def test_stated_numbers_come_before_those_that_were_read_off():
    key = {"id": "F5", "dataset": "purchase100", "setting": "", "train_size": 10_000, "metric": "attack_precision_p50"}
    table = paper.compare(pd.DataFrame([result(0.9, **key)]))
    assert len(table) == 1
    assert table.loc[0, ["published", "reading"]].tolist() == [0.94, "stated"]  # the curve gives 0.943


def test_rows_without_a_train_size_match_those_published_without_one():
    key = {"id": "F4", "dataset": "cifar10", "target": "local", "setting": "", "train_size": np.nan, "metric": "attack_recall"}
    table = paper.compare(pd.DataFrame([result(0.96, **key, our_target="local", our_train_size=2500)]))
    assert table.loc[0, "verdict"] == "met"
    assert table.loc[0, "counts"]  # any size will do where the paper names none


@pytest.mark.parametrize(
    ("ours", "counts"),
    [
        ({}, True),
        ({"source": "standin"}, False),
        ({"our_target": "local"}, False),
        ({"our_train_size": 600}, False),
        ({"source": "standin", "our_target": "local"}, False),
    ],
)
def test_only_real_data_and_the_papers_kind_of_target_and_size_count(ours, counts):
    table = paper.compare(pd.DataFrame([result(0.678, **ours)]))
    assert bool(table.loc[0, "counts"]) is counts
    assert table.loc[0, "verdict"] == "reproduced"


@pytest.mark.parametrize(("variant", "counts"), [("none", True), ("flip", True), ("swapped", False), ("smaller", False)])
def test_shadows_that_break_the_papers_rule_do_not_count(variant, counts):
    table = paper.compare(pd.DataFrame([result(0.678)]).assign(variant=variant))
    assert bool(table.loc[0, "counts"]) is counts


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "F80"}, {"dataset": "location2"}, {"target": "local"}, {"setting": "shadow:noise30"}, {"setting": ""},
        {"train_size": 1600}, {"train_size": np.nan}, {"metric": "attack_f1"},
    ],
)  # fmt: skip
def test_a_row_that_matches_nothing_is_named(wrong):
    (value,) = wrong.values()
    with pytest.raises(ValueError, match=rf"nothing was published for .*{value}") as error:
        paper.compare(pd.DataFrame([result(0.6, metric="attack_recall"), result(0.678, **wrong)]))
    assert ";" not in str(error.value)  # the other row is not blamed


def test_two_rows_of_one_value_are_named():
    rows = [result(0.6), result(0.7), result(0.9, metric="attack_recall")]
    with pytest.raises(
        ValueError, match=r"one row a value, got several for F8, location, google, shadow:real, 1200, attack_precision$"
    ):
        paper.compare(pd.DataFrame(rows))
    told_apart = pd.DataFrame(rows).assign(variant=["flip", "random", "flip"])
    assert len(paper.compare(told_apart)) == 3
    with pytest.raises(ValueError, match="got several"):
        paper.compare(told_apart.assign(variant="flip"))


def test_rows_of_other_targets_or_sizes_of_ours_may_stand_beside_one_value():
    """The local network and the surrogate, or two training sizes, beside Google's number."""
    rows = [result(0.6), result(0.7, our_target="local"), result(0.8, our_train_size=600)]
    table = paper.compare(pd.DataFrame(rows).assign(variant="none"))
    assert table["published"].tolist() == [0.678] * 3
    assert table["value"].tolist() == [0.6, 0.7, 0.8]
    assert table["counts"].tolist() == [True, False, False]
    for again in (result(0.9, our_target="local"), result(0.9, our_train_size=600)):
        with pytest.raises(ValueError, match="one row a value, got several for F8"):
            paper.compare(pd.DataFrame([*rows, again]))
    with pytest.raises(ValueError, match="got several"):
        paper.compare(pd.DataFrame([result(0.6), result(0.7, source="standin")]))  # of one experiment there is one source


@pytest.mark.parametrize("column", paper.comparison.NEEDED)
def test_a_missing_column_is_named(column):
    with pytest.raises(ValueError, match=rf"lacks \['{column}'\]"):
        paper.compare(pd.DataFrame([result(0.6)]).drop(columns=column))


def test_compare_leaves_its_input_alone():
    table = pd.DataFrame([result(0.6)])
    before = table.copy()
    paper.compare(table)
    pd.testing.assert_frame_equal(table, before)
