"""Rankings against scikit-learn, definitions and literal loops; what many targets say together against a literal bootstrap."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import sklearn.metrics

from mialib import metrics
from mialib.core.types import AttackData
from mialib.metrics import low_rates, ranking


def attack_data(member, n_classes=2):
    member = np.asarray(member, bool)
    uniform = np.full((len(member), n_classes), 1 / n_classes, np.float32)
    return AttackData(uniform, np.zeros(len(member), np.int64), member)


def scored(seed, kind, n=200):
    data = attack_data(np.random.default_rng(seed).random(n) < 0.5)
    score = np.random.default_rng(seed + 100).normal(size=n) + data.member
    return data, {"distinct": score, "ties": score.round(), "whole": score.round().astype(int), "float32": score.astype("f4")}[
        kind
    ]


@pytest.mark.parametrize("kind", ["distinct", "ties", "whole", "float32"])
@pytest.mark.parametrize("seed", range(3))
def test_roc_and_auc_are_those_of_scikit_learn(kind, seed):
    data, score = scored(seed, kind)
    curve = metrics.roc(data, score)
    fpr, tpr, thresholds = sklearn.metrics.roc_curve(data.member, score, drop_intermediate=False)
    np.testing.assert_allclose(curve["fpr"], fpr)
    np.testing.assert_allclose(curve["tpr"], tpr)
    np.testing.assert_allclose(curve["threshold"], thresholds)
    assert metrics.auc(data, score) == pytest.approx(sklearn.metrics.roc_auc_score(data.member, score))


def test_scores_of_any_number_type_rank_alike():
    data = attack_data([True, True, False, False])
    for score in (
        np.array([3, 2, 1, 0], np.uint8),
        np.array([True, True, False, False]),
        np.array([1.0, 0.0, -np.inf, -np.inf]),
    ):
        assert metrics.auc(data, score) == 1
    assert metrics.auc(data, np.full(4, -np.inf)) == 0.5  # the order of the records tells nothing
    assert metrics.auc(data, np.zeros(4)) == 0.5


def thresholds_of(score, member):
    """(threshold, true positive rate, false positive rate) of every threshold, one by one."""
    for threshold in [np.inf, *np.unique(score)[::-1]]:
        called = score >= threshold
        yield threshold, called[member].mean(), called[~member].mean()


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("fpr", [0.02, 0.1, 0.37, 1])
def test_tpr_at_fpr_and_its_threshold_are_their_definition(kind, fpr):
    data, score = scored(5, kind)
    best = max(tpr for _, tpr, false in thresholds_of(score, data.member) if false <= fpr)
    assert metrics.tpr_at_fpr(data, score, fpr) == pytest.approx(best)
    threshold = metrics.threshold_at_fpr(score, data.member, fpr)
    called = score >= threshold
    assert called[data.member].mean() == pytest.approx(best)
    assert called[~data.member].mean() <= fpr
    assert threshold == max(t for t, tpr, _ in thresholds_of(score, data.member) if tpr == called[data.member].mean())


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("seed", range(3))
def test_balanced_accuracy_is_the_best_of_all_thresholds(kind, seed):
    data, score = scored(seed, kind)
    best = max((tpr + 1 - fpr) / 2 for _, tpr, fpr in thresholds_of(score, data.member))
    assert metrics.balanced_accuracy(data, score) == pytest.approx(best)
    assert metrics.balanced_accuracy(data, np.where(data.member, -1, 0)) == 0.5  # all are called members, or none


@pytest.mark.parametrize("measure", [metrics.auc, metrics.balanced_accuracy, lambda d, s: metrics.tpr_at_fpr(d, s, 0.1)])
def test_a_stock_s_records_without_score_are_not_judged(measure):
    data, score = scored(2, "ties")
    assert measure(data.member, score) == measure(data, score)
    unknown = np.random.default_rng(0).random(len(score)) < 0.3
    left = data[~unknown]
    assert measure(data.member, np.where(unknown, np.nan, score)) == measure(left, score[~unknown])
    pd.testing.assert_frame_equal(
        metrics.roc(data.member, np.where(unknown, np.nan, score)), metrics.roc(left, score[~unknown])
    )


def test_a_rate_is_carried_from_one_false_positive_on():
    for n in range(1, 200):
        assert metrics.can_carry(1 / n, n)
        assert not metrics.can_carry(0.999 / n, n)
        assert not metrics.can_carry(0, n)
        for k in range(n + 1):
            assert ranking.most_false(k / n, n) == k
    assert ranking.most_false(0.29, 100) == 29
    assert ranking.most_false(0.2899, 100) == 28


def test_a_rate_that_the_records_cannot_carry_is_refused():
    member = np.arange(60) < 10
    score = np.arange(60.0)[::-1]
    assert metrics.tpr_at_fpr(member, score, 1 / 50) == 1
    for fpr in (0.019, 0.001, 0):
        for call in (
            metrics.tpr_at_fpr,
            lambda m, s, f: metrics.threshold_at_fpr(s, m, f),
            lambda m, s, f: metrics.ppv(s, m, 0.5, f),
        ):
            with pytest.raises(ValueError, match=rf"fpr must be at least 1 / 50 = 0\.02, for 50 non-members .*, got {fpr}"):
                call(member, score, fpr)
    with pytest.raises(ValueError, match="1 / 40"):
        metrics.tpr_at_fpr(member, np.where(np.arange(60) >= 50, np.nan, score), 0.02)  # of those judged


def test_a_threshold_that_no_score_reaches_where_the_highest_is_the_non_members():
    member = np.array([True, False, False, True])
    score = np.array([1.0, 2.0, 2.0, 1.0])
    assert metrics.threshold_at_fpr(score, member, 0.5) == np.inf
    assert metrics.tpr_at_fpr(member, score, 0.5) == 0
    assert np.isnan(metrics.ppv(score, member, 0.5, 0.5))


def test_ppv_by_hand():
    """At 3: two of four members, one of ten non-members."""
    score = np.array([5, 3, 2, 1, *[4], *[0] * 9], float)
    member = np.arange(14) < 4
    for prior, value in ((0.5, 0.5 / (0.5 + 0.1)), (0.1, 0.05 / (0.05 + 0.09)), (0.01, 0.005 / (0.005 + 0.099)), (1, 1)):
        assert metrics.ppv(score, member, prior, 0.1, threshold=3) == pytest.approx(value)
    whole = np.append(score, np.nan), np.append(member, False)
    assert metrics.ppv(*whole, 0.5, 0.1, threshold=3) == pytest.approx(5 / 6)
    # this model's own threshold is 1: all four members for the same non-member
    assert metrics.threshold_at_fpr(score, member, 0.1) == 1
    assert metrics.ppv(score, member, 0.1, 0.1) == pytest.approx(0.1 / (0.1 + 0.09))
    assert metrics.ppv(score, member, 0.1, 0.1, threshold=4.5) == 1
    assert np.isnan(metrics.ppv(score, member, 0.1, 0.1, threshold=np.inf))
    assert np.isnan(metrics.ppv(np.where(member, 0.0, 1.0), member, 1, 0.1, threshold=1))  # no one called so can be a member


def test_ppv_of_balanced_records_is_the_precision():
    data, score = scored(3, "distinct", 4000)
    rows = np.concatenate([np.flatnonzero(data.member)[:1500], np.flatnonzero(~data.member)[:1500]])
    data, score = data[rows], score[rows]
    threshold = metrics.threshold_at_fpr(score, data.member, 0.1)
    precision = metrics.overall(data, score >= threshold)["precision"]
    assert metrics.ppv(score, data.member, 0.5, 0.1) == pytest.approx(precision)


# Many targets on the same records


def targets(seed=0, t=4, n=300, kind="distinct", missing=0.0, leak=1.5):
    """Scores and members of t targets on n records, half of them members of each; some records leak, others do not."""
    rng = np.random.default_rng(seed)
    member = np.zeros((t, n), bool)
    for row in member:
        row[rng.permutation(n)[: n // 2]] = True
    scores = rng.normal(size=(t, n)) + rng.normal(size=n) + leak * member * (rng.random(n) < 0.5)
    scores = scores.round() if kind == "ties" else scores
    return np.where(rng.random((t, n)) < missing, np.nan, scores), member


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("missing", [0, 0.2])
def test_a_table_holds_the_means_over_targets_and_the_rates_of_the_pool(kind, missing):
    scores, member = targets(kind=kind, missing=missing)
    table = metrics.tpr_table(scores, member, fprs=(0.2, 0.02, 0.004, 0.0025, 0.001), n_boot=20)
    assert list(table) == low_rates.COLUMNS
    n_nonmembers = (~member & ~np.isnan(scores)).sum(1)
    assert table["metric"].tolist() == ["tpr"] * 4 + ["auc", "balanced_accuracy"]
    assert table["fpr"].dropna().tolist() == [0.2, 0.02, 0.004, 0.0025]  # 0.001 of 600 non-members is none
    assert table["pooled"].tolist() == [False, False, True, True, False, False]
    assert (table["n_targets"] == 4).all() and (table["n_nonmembers"] == n_nonmembers.min()).all()
    pairs = [*zip(member, scores, strict=True)]
    for row in table.itertuples():
        if row.pooled:
            expected = metrics.tpr_at_fpr(member.ravel(), scores.ravel(), row.fpr)
        elif row.metric == "tpr":
            expected = np.mean([metrics.tpr_at_fpr(*pair, row.fpr) for pair in pairs])
        else:
            expected = np.mean([getattr(metrics, row.metric)(*pair) for pair in pairs])
        assert row.value == pytest.approx(expected, abs=1e-12)
        assert 0 <= row.low <= row.value <= row.high <= 1
        assert row.low < row.high or row.value == 0


def test_a_rate_is_pooled_where_one_target_cannot_carry_it():
    scores, member = targets()
    scores[2, ~member[2]] = np.where(np.arange(150) < 90, np.nan, scores[2, ~member[2]])
    table = metrics.tpr_table(scores, member, fprs=(0.02, 0.01), n_boot=5)
    assert table["pooled"].tolist()[:2] == [False, True]
    assert (table["n_nonmembers"] == 60).all()


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("at_once", [10**7, 500])  # all draws at once, and a few
def test_rates_of_draws_are_those_of_the_records_repeated(kind, at_once, monkeypatch):
    monkeypatch.setattr(low_rates, "PAIRS_AT_ONCE", at_once)
    scores, member = targets(1, kind=kind, missing=0.1, n=100)
    weights = low_rates._draws(100, 30, seed=3)
    fprs = (0.05, 0.1, 0.3, 1)
    for score, inside in [*zip(scores, member, strict=True), (scores, member)]:  # one target after another, and all in one
        found = low_rates._tprs(low_rates._rank(score, inside), weights, fprs)
        known = ~np.isnan(score)
        for draw, times in enumerate(weights):
            each = np.broadcast_to(times, score.shape)[known]
            repeated, members = np.repeat(score[known], each), np.repeat(inside[known], each)
            n_all, n_drawn = (known & ~inside).sum(), (~members).sum()
            rates = [(tpr, round(false * n_drawn)) for _, tpr, false in thresholds_of(repeated, members)]
            for i, fpr in enumerate(fprs):
                for fewer in (0, 1):
                    allowed = round((int(fpr * n_all) - fewer) / n_all * n_drawn)
                    assert found[i, fewer, draw] == pytest.approx(max(tpr for tpr, false in rates if false <= allowed))


def test_the_first_draw_is_the_sample_and_the_others_draw_with_replacement():
    weights = low_rates._draws(500, 200, seed=0)
    assert (weights[0] == 1).all()
    assert (weights.sum(1) == 500).all()
    assert weights[1:].var() == pytest.approx(1 - 1 / 500, rel=0.02)  # of a multinomial's counts
    assert np.corrcoef(weights[1], weights[2])[0, 1] < 0.2


@pytest.mark.parametrize(
    ("measure", "name"), [(low_rates.auc_influence, "auc"), (low_rates._balanced_accuracy, "balanced_accuracy")]
)
@pytest.mark.parametrize("kind", ["distinct", "ties"])
def test_influence_is_what_drawing_a_record_does(measure, name, kind):
    """Against the metric of the records repeated: to first order the same, so draw by draw nearly the same."""
    scores, member = targets(2, t=1, n=2000, kind=kind, missing=0.1)
    score, inside = scores[0], member[0] & (np.arange(2000) % 3 > 0)  # fewer members than non-members
    value, influence = measure(score, inside)
    assert value == pytest.approx(getattr(metrics, name)(inside, score))
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    assert (influence[np.isnan(score)] == 0).all()
    weights = low_rates._draws(2000, 200, seed=1)[1:].astype(int)
    linear = weights @ influence
    threshold = max(thresholds_of(score[~np.isnan(score)], inside[~np.isnan(score)]), key=lambda at: at[1] - at[2])[0]
    literal = []
    for times in weights:
        repeated, members = np.repeat(score, times), np.repeat(inside, times)
        if name == "auc":
            literal.append(metrics.auc(members, repeated) - value)
        else:
            judged = ~np.isnan(repeated)
            called = repeated >= threshold
            literal.append((called[members & judged].mean() + (~called)[~members & judged].mean()) / 2 - value)
    np.testing.assert_allclose(linear, literal, atol=0.25 * np.std(literal))


def test_the_interval_is_that_of_a_literal_bootstrap_of_records():
    scores, member = targets(3, t=3, n=1500)
    scores[1:], member[1:] = scores[0], member[0]  # one target, told three times: no surer than told once
    table = metrics.tpr_table(scores, member, fprs=(0.1, 0.01), n_boot=400).iloc[:3]
    once = metrics.tpr_table(scores[:1], member[:1], fprs=(0.1, 0.01), n_boot=400).iloc[:3]
    pd.testing.assert_frame_equal(table.drop(columns="n_targets"), once.drop(columns="n_targets"))
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(400):
        rows = rng.integers(1500, size=1500)
        pair = member[0, rows], scores[0, rows]
        draws.append([metrics.tpr_at_fpr(*pair, 0.1), metrics.tpr_at_fpr(*pair, 0.01), metrics.auc(*pair)])
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    width = high - low
    np.testing.assert_allclose(table["low"], low, atol=0.2 * width.max())
    np.testing.assert_allclose((table["high"] - table["low"]) / width, 1, atol=0.25)


def test_targets_that_differ_have_the_wider_interval_of_students_t():
    quiet, member = targets(4, t=2, n=400, leak=0)
    scores = quiet + member * np.array([[0.0], [3.0]])
    table = metrics.tpr_table(scores, member, fprs=(0.1,), n_boot=50).set_index("metric")
    values = np.array([metrics.auc(*pair) for pair in zip(member, scores, strict=True)])
    half = scipy.stats.t.ppf(0.975, 1) * values.std(ddof=1) / np.sqrt(2)
    assert table.loc["auc", "low"] == pytest.approx(max(0, values.mean() - half))
    assert table.loc["auc", "high"] == pytest.approx(min(1, values.mean() + half))


def test_intervals_cover_what_the_records_are_drawn_from():
    """One target: normal scores, members one higher. True rates by formula; 95% intervals, and not much more."""
    rng = np.random.default_rng(6)
    truth = {
        ("tpr", 0.05): scipy.stats.norm.sf(scipy.stats.norm.isf(0.05) - 1),
        ("auc", None): scipy.stats.norm.cdf(1 / np.sqrt(2)),
        ("balanced_accuracy", None): scipy.stats.norm.cdf(0.5),
    }
    covered = []
    for i in range(200):
        member = rng.permutation(1000) < 500
        table = metrics.tpr_table((rng.normal(size=1000) + member)[None], member[None], fprs=(0.05,), n_boot=100, seed=i)
        covered.append((table["low"] <= [*truth.values()]) & (table["high"] >= [*truth.values()]))
    rates = np.mean(covered, axis=0)
    assert (rates >= 0.88).all() and (rates <= 0.995).all(), rates


def test_the_low_end_is_that_of_one_false_positive_less():
    """500 non-members of each target: 0.002 allows one; what it is then worth is a rate of 1 / 500 to 2 / 500."""
    rng = np.random.default_rng(7)
    truth = 0.6 * 0.002 + 0.4 * scipy.stats.norm.sf(scipy.stats.norm.isf(0.002) - 2.5)
    covered, higher = [], []
    for i in range(60):
        scores, member = rng.normal(size=(8, 1000)), np.array([rng.permutation(1000) < 500 for _ in range(8)])
        leak = 2.5 * (rng.random(1000) < 0.4)
        row = metrics.tpr_table(scores + leak * member, member, fprs=(0.002,), n_boot=50, seed=i).iloc[0]
        covered.append(row["low"] <= truth <= row["high"])
        higher.append(row["value"] > truth)
    assert np.mean(higher) > 0.7  # the highest rate at no more than 1 / 500 is a flattering one
    assert np.mean(covered) > 0.85


def test_limits_of_a_table():
    _, member = targets(5, t=3, n=100)
    perfect = metrics.tpr_table(member.astype(float), member, fprs=(0.1, 0.01), n_boot=20)
    assert (perfect[["value", "low", "high"]] == 1).all().all()
    constant = metrics.tpr_table(np.zeros((3, 100)), member, fprs=(0.1, 0.01, 1), n_boot=20)
    assert constant["value"].tolist() == [0, 0, 1, 0.5, 0.5]
    reverse = metrics.tpr_table(-member.astype(float), member, fprs=(0.1,), n_boot=20)
    assert reverse["value"].tolist() == [0, 0, 0.5]
    noise = metrics.tpr_table(np.random.default_rng(0).normal(size=(3, 100)), member, fprs=(0.1,), n_boot=100)
    assert noise["low"][1] < 0.5 < noise["high"][1]
    assert metrics.tpr_table(np.zeros((3, 100)), member, fprs=(), n_boot=1)["metric"].tolist() == ["auc", "balanced_accuracy"]


def test_a_table_depends_on_its_seed_alone_and_leaves_its_input():
    scores, member = targets(7, missing=0.1)
    before = scores.copy(), member.copy()
    first, again, other = (metrics.tpr_table(scores, member, n_boot=20, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["value"] == other["value"]).all() and (first["low"] != other["low"]).any()
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(member, before[1])


DATA = attack_data(np.arange(300) < 150)
SCORES, MEMBER = targets(8)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.roc(DATA, np.full(300, np.nan)), ValueError, "score must be numbers.*without NaN"),
        (lambda: metrics.roc(DATA, np.zeros(299)), ValueError, r"score must be numbers of shape \(300,\)"),
        (lambda: metrics.roc(DATA, np.full(300, "a")), TypeError, "score must be real numbers"),
        (lambda: metrics.roc(DATA, np.full(300, 1j)), TypeError, "score must be real numbers, got complex128"),
        (lambda: metrics.auc(replace(DATA, member=np.ones(300, bool)), np.zeros(300)), ValueError, "members and non-members"),
        (lambda: metrics.auc(DATA.member, np.where(DATA.member, np.nan, 0)), ValueError, "got 0 members of 150 records judged"),
        (lambda: metrics.auc(np.arange(300), np.zeros(300)), TypeError, r"data must be an AttackData or bool .*got int64"),
        (
            lambda: metrics.auc(DATA.member[None], np.zeros((1, 300))),
            TypeError,
            r"bool of shape \(n,\), got bool of shape \(1, 300\)",
        ),
        (lambda: metrics.tpr_at_fpr(DATA, np.zeros(300), 1.5), ValueError, "fpr must be at least 0 and at most 1, got 1.5"),
        (lambda: metrics.tpr_at_fpr(DATA, np.zeros(300), float("nan")), ValueError, "fpr must be"),
        (
            lambda: metrics.tpr_at_fpr(DATA, np.zeros(300), 0.001),
            ValueError,
            r"fpr must be at least 1 / 150 = 0\.00667.*got 0\.001",
        ),
        (lambda: metrics.ppv(SCORES[0], MEMBER[0], 0, 0.1), ValueError, "prior must be above 0 and at most 1, got 0"),
        (lambda: metrics.ppv(SCORES[0], MEMBER[0], 1.1, 0.1), ValueError, "prior must be above 0 and at most 1, got 1.1"),
        (lambda: metrics.ppv(SCORES[0], MEMBER[0], 0.5, 2, threshold=0.0), ValueError, "fpr must be at least 0"),
        (
            lambda: metrics.ppv(SCORES[0], MEMBER[0], 0.5, 0.1, threshold=np.nan),
            TypeError,
            "threshold must be a number.*got nan",
        ),
        (lambda: metrics.ppv(SCORES[0], MEMBER[0], 0.5, 0.1, threshold="0"), TypeError, "threshold must be a number.*got '0'"),
        (lambda: metrics.tpr_table(SCORES[0], MEMBER[0]), TypeError, r"scores must be real numbers of shape \(t, n\)"),
        (lambda: metrics.tpr_table(np.zeros((0, 5)), np.zeros((0, 5), bool)), TypeError, "scores must be .* neither of them 0"),
        (lambda: metrics.tpr_table(SCORES > 0, MEMBER), TypeError, "scores must be real numbers.*got bool"),
        (lambda: metrics.tpr_table(SCORES, MEMBER[:1]), TypeError, r"member must be bool of shape \(4, 300\)"),
        (lambda: metrics.tpr_table(SCORES, MEMBER.astype(int)), TypeError, "member must be bool"),
        (
            lambda: metrics.tpr_table(np.where(MEMBER & (np.arange(4) == 2)[:, None], np.nan, SCORES), MEMBER),
            ValueError,
            "members and non-members of every target, got 0 and 150 of target 2",
        ),
        (lambda: metrics.tpr_table(SCORES, MEMBER, fprs=(0,)), ValueError, "fprs must be above 0 and at most 1, got 0"),
        (lambda: metrics.tpr_table(SCORES, MEMBER, fprs=("a",)), TypeError, "fprs must be a number, got 'a'"),
        (lambda: metrics.tpr_table(SCORES, MEMBER, n_boot=0), ValueError, "n_boot must be at least 1, got 0"),
        (lambda: metrics.tpr_table(SCORES, MEMBER, seed=-1), ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
