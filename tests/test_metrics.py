"""Metrics against literal counts, and intervals that cover what they should."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from matplotlib.cbook import boxplot_stats

from mialib import metrics
from mialib.core.types import AttackData
from mialib.metrics import Counts, intervals

NAMES = ("precision", "recall", "accuracy")


def attack_data(labels, member, n_classes):
    labels, member = np.asarray(labels, np.int64), np.asarray(member, bool)
    return AttackData(np.full((len(labels), n_classes), 1 / n_classes, np.float32), labels, member)


def random_case(seed, n=300, n_classes=7):
    """Records of all classes but 0 and 4, unevenly many; no record of class 6 is called a member."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([1, 2, 3, 5, 6], n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    return attack_data(labels, rng.random(n) < 0.4, n_classes), (rng.random(n) < 0.6) & (labels != 6)


def literal(records):
    """Precision, recall and accuracy of (member, decision) pairs, counted one by one."""
    hits = called = members = right = 0
    for member, decision in records:
        called += decision
        members += member
        hits += member and decision
        right += member == decision
    total = len(records)
    return (
        hits / called if called else float("nan"),
        hits / members if members else float("nan"),
        right / total if total else float("nan"),
    )


@pytest.mark.parametrize("seed", range(5))
def test_by_class_and_overall_count_what_a_loop_counts(seed):
    data, decision = random_case(seed)
    table = metrics.by_class(data, decision).set_index("cls")
    assert list(table.index) == [1, 2, 3, 5, 6]  # classes without records have no row
    records = list(zip(data.labels.tolist(), data.member.tolist(), decision.tolist(), strict=True))
    for cls, row in table.iterrows():
        own = [(member, decided) for label, member, decided in records if label == cls]
        assert row["n"] == len(own)
        np.testing.assert_allclose(row[list(NAMES)].to_numpy(float), literal(own), rtol=1e-12, equal_nan=True)
    assert np.isnan(table.loc[6, "precision"])
    assert table.loc[6, "recall"] == 0
    everything = metrics.overall(data, decision)
    assert list(everything) == list(NAMES)
    np.testing.assert_allclose(list(everything.values()), literal([r[1:] for r in records]), rtol=1e-12)


def test_precision_is_not_the_mean_over_answers():
    """The paper's precision takes members as the positive class; scikit-learn's is the same for pos_label=True."""
    data, decision = random_case(11)
    ours = metrics.overall(data, decision)
    assert ours["precision"] == pytest.approx(sklearn.metrics.precision_score(data.member, decision))
    assert ours["recall"] == pytest.approx(sklearn.metrics.recall_score(data.member, decision))
    assert ours["precision"] != pytest.approx(sklearn.metrics.precision_score(data.member, decision, average="macro"), abs=0.01)


def test_overall_without_a_positive_answer_has_no_precision():
    data = attack_data([0, 1, 0, 1], [True, True, False, False], 2)
    assert np.isnan(metrics.overall(data, np.zeros(4, bool))["precision"])
    assert metrics.overall(data, np.zeros(4, bool))["accuracy"] == 0.5


def test_statistic_summarises_the_classes_that_are_defined():
    data, decision = random_case(3)
    counts = metrics.count(data, decision)
    values = metrics.by_class(data, decision)["precision"].dropna().to_numpy()
    assert len(values) == 4
    assert metrics.statistic(counts, "precision_min") == values.min()
    assert metrics.statistic(counts, "precision_max") == values.max()
    assert metrics.statistic(counts, "precision_mean") == pytest.approx(values.mean())
    assert metrics.statistic(counts, "precision_p25") == np.percentile(values, 25, method="inverted_cdf")
    assert metrics.statistic(counts, "precision_median") == pytest.approx(np.median(values))
    many = np.where(np.random.default_rng(0).random((50, 9)) < 0.3, np.nan, np.random.default_rng(1).random((50, 9)))
    for q in (10, 25, 50, 75, 90):
        known = [np.percentile(row[~np.isnan(row)], q, method="inverted_cdf") for row in many]
        np.testing.assert_array_equal(metrics.SUMMARIES[f"p{q}"](many), known)
    for name, q in {"box_low": 25, "median": 50, "box_high": 75}.items():
        np.testing.assert_allclose(metrics.SUMMARIES[name](many), np.nanpercentile(many, q, -1), rtol=1e-12)
    never = metrics.count(data, np.zeros_like(decision))
    assert np.isnan(metrics.statistic(never, "precision_p50"))
    assert metrics.statistic(never, "recall_max") == 0


def test_of_an_even_number_of_classes_p50_is_the_lower_and_the_median_lies_between():
    ten = np.array([0.1, 0.9, 0.2, 0.8, 0.4, 0.6, 0.7, 0.3, 0.0, 1.0])
    of_ten = {name: metrics.SUMMARIES[name](ten) for name in ("p10", "p50", "median", "p90")}
    assert of_ten == pytest.approx({"p10": 0.0, "p50": 0.4, "median": 0.5, "p90": 0.9})  # the 1st, the 5th, and the 9th
    assert metrics.SUMMARIES["p50"](ten[:9]) == metrics.SUMMARIES["median"](ten[:9]) == 0.4  # an odd number has one middle
    for q in (10, 25, 50, 75, 90):  # no rounding error moves a place: of a hundred classes p25 is the 25th
        assert metrics.SUMMARIES[f"p{q}"](np.arange(1.0, 101)) == q


def test_an_undefined_precision_is_left_out_or_counted_as_0():
    """Four classes: all right, half right, never called a member, and one without any record."""
    counts = Counts(*np.array([[4, 4, 4, 0], [2, 2, 0, 0], [4, 4, 4, 0], [0, 2, 0, 0]]))
    left_out, as_zero = (metrics.METRICS[name](counts) for name in ("precision", "precision_or_0"))
    np.testing.assert_array_equal(left_out, [1, 0.5, np.nan, np.nan])
    np.testing.assert_array_equal(as_zero, [1, 0.5, 0, np.nan])  # who was never asked about is no class of the table
    both = {name: [metrics.statistic(counts, f"{of}_{name}") for of in METRICS_OF_PRECISION] for name in ("min", "mean", "p50")}
    assert both == {"min": [0.5, 0.0], "mean": [0.75, 0.5], "p50": [0.5, 0.5]}
    assert [metrics.statistic(counts, f"{of}_below_0.1") for of in METRICS_OF_PRECISION] == [0.0, 0.25]
    assert metrics.statistic(counts, "precision_or_0") == metrics.statistic(counts, "precision") == 4 / 6
    data = attack_data([0, 0, 1, 1], [True, False, True, False], 2)
    called = np.array([True, False, False, False])
    found = [metrics.interval([(data, called)], f"{of}_min", n_boot=10) for of in METRICS_OF_PRECISION]
    assert [(each.value, each.undefined) for each in found] == [(1.0, 1), (0.0, 1)]


METRICS_OF_PRECISION = ("precision", "precision_or_0")


@pytest.mark.parametrize("n_classes", [1, 2, 4, 10, 100])
def test_whiskers_are_those_that_matplotlib_draws(n_classes):
    rng = np.random.default_rng(n_classes)
    hits, false = rng.binomial(30, 0.6, (2, 200, n_classes))
    hits[rng.random(hits.shape) < 0.15] = 0  # outliers, ties, and classes without answers
    false[rng.random(hits.shape) < 0.15] = 0
    sizes = np.full(hits.shape, 30)
    counts = Counts(sizes, hits, sizes, false)
    for metric in ("precision", "false_positive_rate"):
        low, high = (metrics.statistic(counts, f"{metric}_whisker_{end}") for end in ("low", "high"))
        n_outliers = 0
        for i, values in enumerate(metrics.METRICS[metric](counts)):
            values = values[~np.isnan(values)]
            if not len(values):
                assert np.isnan([low[i], high[i]]).all()
                continue
            (box,) = boxplot_stats(values)
            assert (low[i], high[i]) == pytest.approx((box["whislo"], box["whishi"]))
            n_outliers += len(box["fliers"])
        assert (n_outliers > 0) == (n_classes > 2)


def test_a_whisker_does_not_end_inside_the_box():
    """The upper quartile lies between 0 and an outlier, and nothing else above 0."""
    counts = Counts(*np.array([[100] * 4, [0, 0, 0, 100], [100] * 4, [100, 100, 100, 0]]))
    assert metrics.statistic(counts, "precision_box_high") == 0.25
    assert metrics.statistic(counts, "precision_whisker_high") == 0.25
    assert metrics.statistic(counts, "precision_whisker_low") == 0
    assert metrics.statistic(counts, "precision_max") == 1


def test_statistics_of_shares_and_of_single_classes():
    """Precision of the classes: 0, 0.25, 0.5, 1, and none; recall: 0, 0.1, 0.4, 1, 0."""
    counts = Counts(*np.array([[10] * 5, [0, 1, 4, 10, 0], [10] * 5, [2, 3, 4, 0, 0]]))
    shares = {"above_0.25": 0.4, "above_0": 0.6, "above_1": 0, "below_0.25": 0.2, "below_0.3": 0.4, "below_1.1": 0.8}
    for name, share in shares.items():  # of all classes; a class without a value is neither above nor below
        assert metrics.statistic(counts, f"precision_{name}") == pytest.approx(share)
    assert metrics.statistic(counts, "recall_below_0.1") == pytest.approx(0.4)
    assert metrics.statistic(counts, "false_positive_rate_above_0.2") == pytest.approx(0.4)
    found = [float(metrics.statistic(counts, f"precision_class_{i}")) for i in range(5)]
    np.testing.assert_array_equal(found, [0, 0.25, 0.5, 1, np.nan])
    assert metrics.statistic(counts, "recall_class_4") == 0
    many = Counts(*(np.stack([part, part[::-1]]) for part in counts))  # leading axes are kept
    np.testing.assert_array_equal(metrics.statistic(many, "precision_class_3"), [1, 0.25])
    np.testing.assert_allclose(metrics.statistic(many, "precision_above_0.25"), [0.4, 0.4])


def test_interval_of_a_share_and_of_a_class():
    targets = [random_case(seed) for seed in range(3)]
    own = [metrics.by_class(*target).set_index("cls") for target in targets]
    found = metrics.interval(targets, "precision_above_0.35", n_boot=50)
    assert found.value == pytest.approx(np.mean([(table["precision"] > 0.35).sum() / 7 for table in own]))  # of all seven
    assert 0 <= found.low < found.value < found.high <= 1
    assert found.undefined == 3
    found = metrics.interval(targets, "recall_class_2", n_boot=50)
    assert found.value == pytest.approx(np.mean([table.loc[2, "recall"] for table in own]))
    assert found.low < found.value < found.high
    never = metrics.interval(targets, "precision_class_6", n_boot=50)
    assert (never.n_targets, np.isnan(never.value)) == (0, True)


@pytest.mark.parametrize("name", [*metrics.METRICS, *(f"{m}_{s}" for m in metrics.METRICS for s in metrics.SUMMARIES)])
def test_every_statistic_has_an_interval_around_it(name):
    targets = [random_case(seed) for seed in range(3)]
    found = metrics.interval(targets, name, n_boot=50)
    assert found.value == pytest.approx(np.mean([metrics.statistic(metrics.count(*t), name) for t in targets]))
    assert found.low <= found.value <= found.high
    least = [f"{metric}_{summary}" for metric in ALWAYS_0_IN_CLASS_6 for summary in ("min", "p10")]
    assert found.low < found.high or name in least
    assert found.n_targets == 3
    of_classes = name.startswith("precision_") and name != "precision_or_0"
    undefined = 3 if of_classes else 0  # class 6 of each target; classes without records are not meant
    assert found.undefined == undefined


ALWAYS_0_IN_CLASS_6 = ("recall", "false_positive_rate", "precision_or_0")


def test_false_positive_rate_is_over_the_nonmembers():
    data = attack_data([0, 0, 0, 1, 1], [True, False, False, False, True], 2)
    decision = np.array([True, True, False, False, False])
    assert metrics.interval([(data, decision)], "false_positive_rate", n_boot=20).value == pytest.approx(1 / 3)


HITS = np.linspace(0.6, 0.95, 10)  # by class
FALSE = np.linspace(0.6, 0.2, 10)
SIZE = 40


def simulate(hits, false, rng):
    """A target that calls each class's members and non-members members at these rates, SIZE of each kind a class."""
    labels, member = np.tile(np.arange(len(hits)), 2 * SIZE), np.repeat([True, False], SIZE * len(hits))
    return attack_data(labels, member, len(hits)), rng.random(len(labels)) < np.where(member, hits[labels], false[labels])


def counts_of(hits, false, rng):
    """Simulated counts (n_targets, n_classes) of many such targets, without their records."""
    sizes = np.full(hits.shape, SIZE)
    return Counts(sizes, rng.binomial(SIZE, hits), sizes, rng.binomial(SIZE, false))


@pytest.mark.parametrize("name", NAMES)
def test_interval_of_one_target_covers_the_noise_of_its_records(name):
    rng = np.random.default_rng(0)
    hit, false = HITS.mean(), FALSE.mean()
    truth = {"precision": hit / (hit + false), "recall": hit, "accuracy": (hit + 1 - false) / 2}[name]
    found = [metrics.interval([simulate(HITS, FALSE, rng)], name, n_boot=300, seed=i) for i in range(400)]
    covered = np.mean([i.low <= truth <= i.high for i in found])
    assert 0.90 <= covered <= 0.99  # more would be an interval that says nothing


@pytest.mark.parametrize("name", [*NAMES, "precision_mean"])
def test_interval_of_five_targets_covers_the_mean_over_all_targets(name):
    rng = np.random.default_rng(1)

    def targets(n):
        shift = rng.normal(0, 0.05, (n, 1))  # targets differ
        return np.clip(HITS + shift, 0, 1), np.clip(FALSE + rng.normal(0, 0.05, (n, 1)), 0, 1)

    truth = metrics.statistic(counts_of(*targets(20_000), rng), name).mean()
    covered = 0
    for i in range(200):
        five = [simulate(hits, false, rng) for hits, false in zip(*targets(5), strict=True)]
        found = metrics.interval(five, name, n_boot=100, seed=i)
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 200 <= 0.995


def literal_bootstrap(data, decision, rng):
    """Records drawn anew, with replacement, within class and membership."""
    picked = []
    for cls in np.unique(data.labels):
        for member in (True, False):
            rows = np.flatnonzero((data.labels == cls) & (data.member == member))
            picked.append(rng.choice(rows, len(rows)))
    rows = np.concatenate(picked)
    return data[rows], decision[rows]


@pytest.mark.parametrize("name", ["precision", "accuracy", "recall_p25", "precision_mean"])
def test_binomial_draws_are_the_literal_bootstrap(name):
    rng = np.random.default_rng(2)
    rates = np.array([0.9, 0.5, 0.7])
    data, decision = simulate(rates, np.array([0.2, 0.5, 0.4]), rng)
    decision &= ~((data.labels == 0) & ~data.member)  # a class without false positives
    counts = metrics.count(data, decision)
    ours = metrics.statistic(intervals._resample(counts, 20_000, rng), name)
    literal = np.array([metrics.statistic(metrics.count(*literal_bootstrap(data, decision, rng)), name) for _ in range(2000)])
    assert ours.mean() == pytest.approx(literal.mean(), abs=5 * literal.std() / np.sqrt(len(literal)))
    assert ours.std() == pytest.approx(literal.std(), rel=0.08)


def test_wider_takes_the_wider():
    draws = np.linspace(0.4, 0.6, 1001)
    low, high = metrics.wider(np.array([0.5, 0.5]), draws)  # the targets agree: the records' noise is the wider
    assert (low, high) == pytest.approx((0.405, 0.595))
    values = np.array([0.48, 0.52])
    half = 12.706205 * np.std(values, ddof=1) / np.sqrt(2)  # Student's t, one degree of freedom
    assert metrics.wider(values, draws) == pytest.approx((0.5 - half, 0.5 + half))
    assert metrics.wider(np.array([0.5]), draws) == pytest.approx((0.405, 0.595))
    assert metrics.wider(np.array([0.2, 0.9]), draws) == (0, 1)  # of rates
    assert metrics.wider(np.array([-0.9, 0.9]), draws, bounds=(-1, 1)) == (-1, 1)
    half = 12.706205 * np.std([0.4, 0.5], ddof=1) / np.sqrt(2)
    assert metrics.wider(np.array([0.4, 0.5]), draws, bounds=(-1, 1)) == pytest.approx((0.45 - half, 1))
    assert metrics.wider(np.array([-0.5]), draws - 1, bounds=(-1, 1)) == pytest.approx((-0.595, -0.405))


def test_interval_narrows_with_the_level_and_depends_on_its_seed_alone():
    targets = [random_case(0)]
    wide, narrow = (metrics.interval(targets, level=level, n_boot=500) for level in (0.99, 0.5))
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)
    assert metrics.interval(targets, seed=3, n_boot=50) == metrics.interval(targets, seed=3, n_boot=50)
    assert metrics.interval(targets, seed=3, n_boot=50) != metrics.interval(targets, seed=4, n_boot=50)


DATA, DECISION = random_case(0)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.by_class(DATA, DECISION.astype(int)), TypeError, "decision must be bool"),
        (lambda: metrics.overall(DATA, DECISION[1:]), TypeError, r"decision must be bool of shape \(300,\)"),
        (lambda: metrics.overall(replace(DATA, labels=DATA.labels + 3), DECISION), ValueError, r"labels must lie in 0\.\.6"),
        (lambda: metrics.overall(replace(DATA, member=DATA.member.astype(int)), DECISION), TypeError, "member must be bool"),
        (lambda: metrics.interval([]), ValueError, "targets must hold at least one"),
        (lambda: metrics.interval([(DATA, DECISION)], "f1"), ValueError, "statistic must be one of precision.*'f1'"),
        (lambda: metrics.interval([(DATA, DECISION)], "precision_p33"), ValueError, "'precision_p33'"),
        (lambda: metrics.interval([(DATA, DECISION)], "precision_"), ValueError, "'precision_'"),
        *(
            (lambda name=name: metrics.interval([(DATA, DECISION)], name), ValueError, f"statistic must be .*'{name}'$")
            for name in (
                "precision_above_",
                "precision_above",
                "precision_above_.",
                "precision_above_x",
                "precision_below_-1",
                "precision_below_0.5.1",
                "precision_class_",
                "precision_class_x",
                "precision_class_1.5",
                "precision_class_-1",
                "precision_whisker",
                "precision_whisker_mid",
                "precision_or_1",
                "_class_1",
                "above_0.5",
                "precisions",
                "f1_class_1",
                "",
            )
        ),
        (lambda: metrics.interval([(DATA, DECISION)], level=0), ValueError, "level must be above 0"),
        (lambda: metrics.interval([(DATA, DECISION)], level=95), ValueError, "level must be above 0 and at most 1, got 95"),
        (lambda: metrics.interval([(DATA, DECISION)], n_boot=0), ValueError, "n_boot must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_inputs_stay_as_they_were():
    data, decision = random_case(1)
    before = [part.copy() for part in (data.predictions, data.labels, data.member, decision)]
    metrics.interval([(data, decision)], n_boot=10)
    assert isinstance(metrics.roc(data, np.arange(300.0)), pd.DataFrame)
    for part, old in zip((data.predictions, data.labels, data.member, decision), before, strict=True):
        np.testing.assert_array_equal(part, old)
