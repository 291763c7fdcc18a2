"""Tables against literal loops over the records, and ours beside the right numbers of the paper."""

import logging
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from mialib import metrics, paper
from mialib.attack import confidence_threshold, fit_attack
from mialib.core.types import AttackData, Dataset, Split
from mialib.data.catalogue import CLASS_NAMES
from mialib.paper import comparison
from mialib.study import experiments, tables
from mialib.study.experiments import LEARNED, Case, Outcome, Trial
from mialib.study.other_ways import other_ways

N, N_TARGETS, N_SHADOWS = 30, 2, 3
LOCATION = Case("location", "real", "google", 1200, *experiments.REAL)
SOURCES = [experiments.REAL, *((f"shadow:noise{rate}", mode) for mode in ("flip", "random") for rate in (10, 20))]
F8_SETTINGS = {"", "shadow:real", "shadow:noise10", "shadow:noise20"}
KEY = ["setting", "variant", "attack"]


def answers(rng, n_models=1, n=N, n_classes=3):
    """Answers of models that are surer of their members, and right more often: members first, model by model."""
    member = np.tile(np.repeat([True, False], n), n_models)
    labels = rng.integers(0, n_classes, len(member))
    logits = rng.normal(0, 1.2, (len(member), n_classes))
    logits[np.arange(len(member)), labels] += np.where(member, 2.5, 1)
    odds = np.exp(logits)
    return AttackData((odds / odds.sum(1, keepdims=True)).astype(np.float32), labels, member)


def trials_of(case=LOCATION, sources=SOURCES, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    trials = []
    for t in range(N_TARGETS):
        own = answers(rng, n_classes=n_classes)
        for setting, variant in sources:
            shadows = answers(rng, N_SHADOWS, n_classes=n_classes)
            here = case._replace(setting=setting, variant=variant)
            trials.append(Trial(here, t, own, lambda shadows=shadows: shadows, N_SHADOWS))
    return trials


def outcomes_of(case, n_classes=3, seed=0):
    """The learned attack's outcomes on targets of a case, decided by chance, members more often called so."""
    rng = np.random.default_rng(seed + 1)
    trials = trials_of(case, [(case.setting, case.variant)], n_classes, seed)
    scores = [(rng.random(2 * N) + 0.3 * trial.answers.member).astype(np.float32) for trial in trials]
    return [Outcome(trial, LEARNED, score > 0.5, score) for trial, score in zip(trials, scores, strict=True)]


@pytest.fixture(scope="module")
def trials():
    """Two targets, five sources of shadow data."""
    return trials_of()


@pytest.fixture(scope="module")
def outcomes(trials):
    return experiments.run_attacks(trials)


@pytest.fixture(scope="module")
def learned(outcomes):
    return experiments.learned(outcomes)


def with_case(outcomes, **change):
    return [o._replace(trial=o.trial._replace(case=o.case._replace(**change))) for o in outcomes]


# What was measured


def share_right(data, member):
    records = zip(data.predictions, data.labels, data.member, strict=True)
    chosen = [(p.argmax(), label) for p, label, m in records if m == member]
    return sum(answer == label for answer, label in chosen) / len(chosen)


def test_accuracies_are_counted_on_members_and_nonmembers(trials):
    table = tables.accuracies(trials, tolerance=1)
    assert table["model"].value_counts().to_dict() == {"shadows": 10, "target": 2}
    assert (table.loc[table["model"] == "target", "setting"] == "shadow:real").all()
    for trial in (trials[0], trials[7]):
        rows = table[table["target"] == trial.target].set_index(["setting", "variant", "model"])
        for row, data in (
            (rows.loc[(*experiments.REAL, "target")], trial.answers),
            (rows.loc[(trial.case.setting, trial.case.variant, "shadows")], trial.shadows),
        ):
            assert row["train_accuracy"] == pytest.approx(share_right(data, True))
            assert row["test_accuracy"] == pytest.approx(share_right(data, False))


def test_every_shadow_has_its_accuracy(trials):
    table = tables.shadow_accuracies(trials[:2])
    assert table[["target", "shadow"]].to_numpy().tolist() == [[0, i] for i in range(N_SHADOWS)] * 2
    for row in table.itertuples():
        trial = next(t for t in trials[:2] if t.case.setting == row.setting)
        own = trial.shadows[row.shadow * 2 * N : (row.shadow + 1) * 2 * N]
        assert (row.train_accuracy, row.test_accuracy) == pytest.approx((share_right(own, True), share_right(own, False)))
        sure = own.predictions[np.arange(2 * N), own.labels][own.member]
        assert row.member_confidence_p05 == pytest.approx(np.quantile(sure, 0.05))


def test_confidences_are_medians_of_the_true_class(trials):
    table = tables.confidences(trials[:2])
    assert table["model"].tolist() == ["target", "shadows"] * 2
    for row, data in zip(table.itertuples(), [d for t in trials[:2] for d in (t.answers, t.shadows)], strict=True):
        for column, member in (("members", True), ("nonmembers", False)):
            own = [p[label] for p, label, m in zip(data.predictions, data.labels, data.member, strict=True) if m == member]
            assert getattr(row, column) == pytest.approx(np.median(own))


def test_every_kind_of_target_has_its_own_accuracy():
    kinds = ["local", "google surrogate"]
    both = [
        trial for i, kind in enumerate(kinds) for trial in trials_of(LOCATION._replace(our_target=kind), SOURCES[1:], seed=i)
    ]
    table = tables.accuracies(both)
    own = table[table["model"] == "target"]
    assert own[["our_target", "target", "setting"]].to_numpy().tolist() == [
        [kind, target, "shadow:real"] for kind in kinds for target in (0, 1)
    ]
    assert own["test_accuracy"].nunique() > 2
    means = tables.mean_accuracies(table)
    assert means["our_target"].tolist() == ["local"] * 5 + ["google surrogate"] * 5
    assert list(means) == [*tables.CASE, "model", "train_accuracy", "test_accuracy"]
    assert means.loc[0, "model"] == "target"
    assert means.loc[0, "train_accuracy"] == pytest.approx(own["train_accuracy"].iloc[:2].mean())
    assert means.loc[5, "test_accuracy"] == pytest.approx(own["test_accuracy"].iloc[2:].mean())


def test_shadows_that_are_trained_otherwise_are_named_in_a_warning(trials, caplog):
    right = replace(trials[0].shadows, predictions=np.eye(3, dtype=np.float32)[trials[0].shadows.labels])
    with caplog.at_level(logging.WARNING, "mialib"):
        tables.accuracies([trials[0]._replace(load=lambda: right)])
    assert "location: target 0" in caplog.text
    assert "its shadows 1.000" in caplog.text
    caplog.clear()
    tables.accuracies([trials[0]._replace(load=lambda: trials[0].answers)])
    tables.accuracies([trials[1]._replace(load=lambda: right)])  # noise is not trained alike
    assert not caplog.records


def test_tables_are_tidy_and_hold_what_metrics_says(outcomes):
    classes, targets, table = tables.class_table(outcomes), tables.target_table(outcomes), tables.summary(outcomes)
    for each in (classes, targets, table, tables.ranking(outcomes[:2]), tables.roc_table(outcomes[:2])):
        assert list(each)[:6] == tables.CASE
    assert not classes.duplicated([*KEY, "target", "cls"]).any()
    assert len(targets) == len(outcomes)
    assert len(table) == 5 * 5 * 3
    assert not table.duplicated([*KEY, "metric"]).any()
    one = outcomes[6]
    of_one = (one.case.setting, one.case.variant, one.attack, one.trial.target)
    own = classes.set_index([*KEY, "target"]).loc[[of_one]].reset_index(drop=True)
    pd.testing.assert_frame_equal(own.drop(columns=tables.CASE[:4]), metrics.by_class(one.trial.answers, one.decision))
    means = targets.groupby(KEY)["accuracy"].mean()
    ours = table[table["metric"] == "accuracy"].set_index(KEY)["value"]
    pd.testing.assert_series_equal(ours.sort_index(), means.sort_index(), check_names=False)
    assert (table["n_targets"] <= N_TARGETS).all()
    left_out = table[table["n_targets"] < N_TARGETS]  # a target without a "member" answer has no precision
    assert set(left_out["metric"]) <= {"precision"}
    assert len(left_out) < len(table) / 4


def test_outcomes_of_other_cases_are_not_averaged(learned):
    ours = tables.summary(learned, ["recall_p50"])
    assert ours["metric"].tolist() == ["recall_p50"] * 5
    for change in ({"our_target": "local"}, {"train_size": 600}, {"source": "standin"}, {"dataset": "adult"}):
        (column, value), *_ = change.items()
        both = tables.summary([*learned, *with_case(learned[:1], **change)], ["recall_p50"])
        assert both[column].tolist() == ours[column].tolist() + [value]
        assert both["n_targets"].tolist() == [N_TARGETS] * 5 + [1]


def test_ranking_and_roc_are_means_of_the_curves(outcomes):
    ranks = tables.ranking(outcomes, fprs=(0.1,))
    assert ranks.loc[0, "auc"] == metrics.auc(outcomes[0].trial.answers, outcomes[0].score)
    assert ranks.loc[0, "tpr_at_0.1"] == metrics.tpr_at_fpr(outcomes[0].trial.answers, outcomes[0].score, 0.1)
    group = [o for o in outcomes if (o.case.setting, o.attack) == ("shadow:real", LEARNED)]
    curves = tables.roc_table(group, points=7)
    assert len(curves) == 7
    assert curves["fpr"].iloc[0] == 1 / N  # no lower rate than the records can tell from 0
    for point in curves.itertuples():
        assert point.tpr == pytest.approx(np.mean([metrics.tpr_at_fpr(o.trial.answers, o.score, point.fpr) for o in group]))
    assert curves["tpr"].iloc[-1] == 1
    assert ((curves["low"] <= curves["tpr"]) & (curves["tpr"] <= curves["high"])).all()
    assert (curves["high"] - curves["low"])[:4].gt(0).any()


def test_an_attack_of_yes_or_no_is_a_point(outcomes):
    group = [o for o in outcomes if (o.case.setting, o.attack) == ("shadow:real", "correctness gap")]
    point = tables.roc_table(group).iloc[0]
    assert len(tables.roc_table(group)) == 1
    assert point["tpr"] == pytest.approx(np.mean([o.decision[o.trial.answers.member].mean() for o in group]))
    assert point["fpr"] == pytest.approx(np.mean([o.decision[~o.trial.answers.member].mean() for o in group]))
    assert point["low"] <= point["tpr"] <= point["high"]


def test_ranking_leaves_out_rates_that_few_records_cannot_carry(outcomes):
    ranks = tables.ranking(outcomes[:3])
    assert ranks["tpr_at_0.01"].isna().all()  # of 30 non-members
    assert ranks["tpr_at_0.1"].between(0, 1).all()


def test_by_shadow_count_is_a_refit_with_fewer_shadows(trials):
    real = [trial for trial in trials if trial.case.setting == "shadow:real"]
    table = tables.by_shadow_count(real, (1, 2, 3, 50))
    assert table["k"].unique().tolist() == [1, 2, 3]  # there are no 50
    for k in (1, 3):
        parts = [trial.shadows[: k * 2 * N] for trial in real]
        fewer = [trial._replace(load=lambda part=part: part) for trial, part in zip(real, parts, strict=True)]
        anew = experiments.run_attacks(fewer, experiments.ONLY_LEARNED)
        ours = table[table["k"] == k].drop(columns="k").reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, tables.summary(anew), rtol=1e-6)
    assert table[table["k"] == 1]["value"].tolist() != table[table["k"] == 3]["value"].tolist()
    fewer = [trial._replace(case=trial.case._replace(train_size=77)).first_shadows(2) for trial in real]
    both = tables.by_shadow_count(real + fewer, (3, 2))
    assert both.groupby("train_size")["k"].unique().map(list).to_dict() == {real[0].case.train_size: [2, 3], 77: [2]}
    of_two = table[table["k"] == 2].assign(train_size=77).reset_index(drop=True)
    pd.testing.assert_frame_equal(both[both["train_size"] == 77].reset_index(drop=True), of_two)
    threshold = tables.by_shadow_count(real, (3,), confidence_threshold)
    assert threshold["value"].tolist() != table[table["k"] == 3]["value"].tolist()


def test_other_ways_are_other_attacks_or_other_answers_on_the_same_targets(trials):
    real = [trial for trial in trials if trial.case.setting == "shadow:real"]
    ways = other_ways(real)
    fits = {"the attack": fit_attack, "told probabilities": partial(fit_attack, inputs="probabilities")}
    fits["one threshold a class"] = threshold = partial(confidence_threshold, per_class=True)
    for way, fit in fits.items():
        for outcome, trial in zip(ways[way], real, strict=True):
            np.testing.assert_array_equal(outcome.score, fit(trial.shadows).membership_score(trial.answers))
    for outcome, trial in zip(ways["the target's own answers"], real, strict=True):
        np.testing.assert_array_equal(outcome.decision, threshold(trial.answers).infer(trial.answers))
    assert list(ways)[3] == "without failed shadows" and len(ways) == 5


def test_followed_up_are_the_published_values_of_each_way(trials):
    real = [trial for trial in trials if trial.case.setting == "shadow:real"]
    ways = other_ways(real)
    table = paper.followed_up(ways, ["T2"])
    assert table["way"].drop_duplicates().tolist() == list(ways)
    for way, outcomes in ways.items():
        rows = table[table["way"] == way].reset_index(drop=True)
        expected = paper.results_table(outcomes, ["T2"])[["value", "low", "high"]]
        pd.testing.assert_frame_equal(rows[["value", "low", "high"]], expected)


def test_beside_ways_has_the_paper_first_and_every_way_of_a_size():
    key = {"id": "F4", "dataset": "cifar10", "target": "local", "setting": np.nan}
    rows = [
        {**key, "train_size": size if metric != "attack_recall" else np.nan, "metric": metric, "way": way, "value": value}
        | {"our_train_size": size, "low": np.nan, "high": np.nan, "n_targets": 1}
        for way, value in (("the attack", 0.8), ("another", 0.7))
        for size in (2500.0, 5000.0)
        for metric in ("attack_recall", "attack_precision_class_1")
    ]
    table = paper.beside_ways(pd.DataFrame(rows))
    assert table.index.names == ["train_size", "way"]
    ways = ["the paper", "the attack", "another"]
    assert table.index.tolist() == [(size, way) for size in (2500.0, 5000.0) for way in ways]
    drawn = paper.published().query("id == 'F4' and dataset == 'cifar10' and metric == 'attack_precision_class_1'")
    of_paper = drawn.set_index("train_size")["value"].loc[[2500.0, 5000.0]]
    assert table["precision_class_1"].tolist() == [of_paper[2500.0], 0.8, 0.7, of_paper[5000.0], 0.8, 0.7]
    np.testing.assert_array_equal(table["recall"], [np.nan, 0.8, 0.7] * 2)  # "almost 1" is no number


def test_class_facts_are_what_a_loop_counts():
    """Class 3 has no records, class 4 no non-members, and no record of class 2 is called a member."""
    rng = np.random.default_rng(3)
    data = answers(rng, n=100, n_classes=6)
    data.labels[data.labels == 3] = 0
    data.labels[(data.labels == 4) & ~data.member] = 5
    decision = (rng.random(200) < 0.6) & (data.labels != 2)
    trial = Trial(LOCATION, 1, data, lambda: data, 1)
    table = tables.class_facts(
        [Outcome(trial._replace(target=0), LEARNED, ~decision, decision), Outcome(trial, LEARNED, decision, decision)]
    )
    assert table["target"].tolist() == [0] * 5 + [1] * 5
    assert list(table) == [*tables.CASE, "cls", "precision", "train_fraction", "train_test_gap", "target"]
    table = table[table["target"] == 1].set_index("cls")
    assert list(table.index) == [0, 1, 2, 4, 5]
    records = list(zip(data.labels, data.member, decision, data.predictions.argmax(1), strict=True))
    for cls, row in table.iterrows():
        members = [answer == cls for label, member, _, answer in records if label == cls and member]
        others = [answer == cls for label, member, _, answer in records if label == cls and not member]
        called = [member for label, member, decided, _ in records if label == cls and decided]
        assert row["train_fraction"] == pytest.approx(len(members) / 100)
        assert row["precision"] == pytest.approx(np.mean(called) if called else np.nan, nan_ok=True)
        gap = np.mean(members) - np.mean(others) if others else np.nan
        assert row["train_test_gap"] == pytest.approx(gap, nan_ok=True)
    assert np.isnan(table.loc[2, "precision"])
    assert np.isnan(table.loc[4, "train_test_gap"])
    assert table["train_fraction"].sum() == pytest.approx(1)


# What figures draw


def test_histograms_are_shares_that_a_loop_counts(learned):
    bars = tables.answer_histograms(learned, bins=5)
    assert len(bars) == 5 * 2 * 2 * 5  # sources, membership, quantities, bins
    sums = bars.groupby(["setting", "variant", "member", "quantity"])["share"].sum()
    np.testing.assert_allclose(sums, 1)
    group = [o for o in learned if o.case.setting == "shadow:real"]
    assert len(group) == N_TARGETS  # one histogram of both
    for member in (True, False):
        counted = {"uncertainty": [0] * 5, "accuracy": [0] * 5}
        for o in group:
            for p, label, m in zip(o.trial.answers.predictions, o.trial.answers.labels, o.trial.answers.member, strict=True):
                if m == member:
                    p = p.astype(float)
                    uncertainty = -sum(p_i * np.log(p_i) for p_i in p) / np.log(3)
                    counted["uncertainty"][min(int(5 * uncertainty), 4)] += 1
                    counted["accuracy"][min(int(5 * p[label]), 4)] += 1
        for quantity, counts in counted.items():
            rows = bars[(bars["setting"] == "shadow:real") & (bars["member"] == member) & (bars["quantity"] == quantity)]
            np.testing.assert_allclose(rows["bin_left"], [0, 0.2, 0.4, 0.6, 0.8])
            np.testing.assert_allclose(rows["share"], np.array(counts) / (N_TARGETS * N))


@pytest.mark.parametrize(
    ("prediction", "uncertainty", "accuracy"),
    [([1, 0, 0, 0], 0, 9), ([0, 1, 0, 0], 0, 0), ([0.25] * 4, 9, 2), ([0.5, 0.5, 0, 0], 5, 5)],  # 0.25: in 0.2..0.3
)
def test_histograms_of_the_limiting_answers(prediction, uncertainty, accuracy):
    predictions = np.tile(np.array(prediction, np.float32), (6, 1))
    data = AttackData(predictions, np.zeros(6, np.int64), np.arange(6) < 3)
    bars = tables.answer_histograms([Outcome(Trial(LOCATION, 0, data, lambda: data, 1), LEARNED, data.member, data.member)])
    for quantity, place in (("uncertainty", uncertainty), ("accuracy", accuracy)):
        for member in (True, False):
            rows = bars[(bars["quantity"] == quantity) & (bars["member"] == member)]
            assert rows["share"].tolist() == [float(i == place) for i in range(10)]


def test_the_papers_points_of_figure_4_are_those_of_the_sizes():
    small = comparison.published_precisions("cifar10")
    assert set(small["train_size"]) == {2500, 5000, 10_000, 15_000}
    first = small[small["train_size"] == 2500].set_index("cls")["value"]
    assert first.index.tolist() == list(range(10))
    assert (first[0], first[3]) == (0.782, 0.917)  # airplanes and cats
    large = comparison.published_precisions("cifar100")
    assert large.groupby("train_size").size().tolist() == [100] * 4
    with pytest.raises(ValueError, match="dataset must be one of cifar10, cifar100, got 'mnist'"):
        comparison.published_precisions("mnist")


def pictured(seed=0):
    """An outcome on six images of two classes, their data set and the target's split."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (9, 4, 5, 3), dtype=np.uint8)
    dataset = Dataset("pictures", x, np.array([0, 1, 0, 1, 0, 1, 0, 1, 0]), 2, "standin")
    split = Split(np.array([8, 1, 2, 3]), np.array([4, 5, 6, 7]))
    rows = split.rows
    data = AttackData(rng.dirichlet([1, 1], 8).astype(np.float32), dataset.y[rows], np.arange(8) < 4)
    score = np.array([0.1, 5, 0.9, -3, 7, 7, 7, 7], np.float32)  # non-members' scores are the highest
    return Outcome(Trial(LOCATION, 0, data, lambda: data, 1), LEARNED, score > 0, score), dataset, split


def test_pictures_are_the_members_that_leak_most_and_least():
    outcome, dataset, split = pictured()
    table = tables.leaking_pictures(outcome, dataset, split, [1, 0])
    assert table["cls"].tolist() == [1, 1, 0, 0]
    assert table["name"].tolist() == ["1", "1", "0", "0"]
    assert table["exposed"].tolist() == [True, False, True, False]
    assert table["score"].tolist() == pytest.approx([5, -3, 0.9, 0.1])
    for row, place in zip(table.itertuples(), [1, 3, 2, 8], strict=True):
        picture = np.frombuffer(bytes.fromhex(row.pixels), np.uint8).reshape(row.height, row.width, 3)
        np.testing.assert_array_equal(picture, dataset.x[place])
        asked = np.flatnonzero(split.rows == place)[0]
        assert row.confidence == outcome.trial.answers.predictions[asked, row.cls]


def test_classes_of_pictures_have_their_names():
    outcome, dataset, split = pictured()
    for name, expected in (("cifar10", ["car", "airplane"]), ("cifar100", ["aquarium fish", "apple"])):
        table = tables.leaking_pictures(outcome, replace(dataset, name=name), split, [1, 0])
        assert list(dict.fromkeys(table["name"])) == expected
    assert [len(set(CLASS_NAMES[name])) for name in ("cifar10", "cifar100")] == [10, 100]
    assert CLASS_NAMES["cifar100"] == sorted(CLASS_NAMES["cifar100"])  # the official labels are in this order


def test_pictures_of_another_split_or_of_no_images_are_refused():
    outcome, dataset, split = pictured()
    for other in (Split(split.members[:2], split.nonmembers[:2]), Split(split.members + 0, split.nonmembers[::-1])):
        with pytest.raises(ValueError, match="split must be that of the outcome's target"):
            tables.leaking_pictures(outcome, dataset, other, [0])
    with pytest.raises(ValueError, match=r"dataset must hold images \(n, h, w, 3\)"):
        tables.leaking_pictures(outcome, replace(dataset, x=dataset.x[..., 0]), split, [0])


def test_alternatives_are_accuracies_of_the_targets_alone(trials):
    targets = [trial.answers for trial in trials if trial.case.variant == "none"]
    table = tables.alternatives({"one way": targets, "another": targets[:1]})
    assert table["choice"].tolist() == ["one way", "another"]
    assert table["n_targets"].tolist() == [2, 1]
    for column, member in (("train_accuracy", True), ("test_accuracy", False)):
        shares = [share_right(data, member) for data in targets]
        assert table[column].tolist() == pytest.approx([np.mean(shares), shares[0]])
    assert (table["low"] <= table["test_accuracy"]).all() and (table["test_accuracy"] <= table["high"]).all()


def test_figure_11_has_the_papers_panels_and_data_sets():
    table = pd.concat([facts(f"purchase{n}", n, n) for n in (10, 20, 50, 100)], ignore_index=True)
    ours, theirs = tables.class_scatters(table), comparison.published_scatters()
    assert set(ours["panel"]) == set(theirs["panel"])
    assert set(ours["dataset"]) == set(theirs["dataset"])
    assert len(ours) == 3 * len(table)
    own = ours[(ours["panel"] == "gap by class share") & (ours["dataset"] == "purchase20")]
    expected = table.loc[table["dataset"] == "purchase20", ["train_fraction", "train_test_gap"]]
    np.testing.assert_array_equal(own[["x", "y"]], expected)
    drawn = paper.curves("Fig. 11 left", "train_fraction -> attack_precision")
    own = theirs[theirs["panel"] == "precision by class share"]
    np.testing.assert_array_equal(own[["x", "y"]].astype(float), drawn[["key", "value"]].astype(float))


def test_figure_12_has_the_papers_panels(learned):
    real = [o for o in learned if o.case.setting == "shadow:real"]
    ours = tables.answer_histograms([o for name in (10, 20, 100) for o in with_case(real, dataset=f"purchase{name}")])
    theirs, panel = comparison.published_histograms(), ["dataset", "quantity"]
    shown = [(f"purchase{n}", quantity) for quantity in ("uncertainty", "accuracy") for n in (10, 20, 100)]
    assert list(ours[panel].drop_duplicates().itertuples(index=False, name=None)) == shown  # a row of panels a quantity
    assert set(theirs[panel].itertuples(index=False, name=None)) == set(shown)
    both = ours.merge(theirs.astype({"bin_left": float}), on=[*panel, "member"], suffixes=("", "_theirs"))
    assert len(both) == 6 * 2 * 10 * 10  # every bar of ours meets those of its kind
    own = theirs[(theirs["dataset"] == "purchase100") & (theirs["quantity"] == "accuracy") & theirs["member"]]
    drawn = paper.curves("Fig. 12", "acc").query("series == 'Purchase-100 members'")
    np.testing.assert_array_equal(own["share"], drawn["value"])


# Beside the paper


def compared(outcomes, ids=("F8", "T2"), **change):
    return paper.compare(comparison.results_table(with_case(outcomes, **change), ids))


def results(case, ids, n_classes=3):
    return comparison.results_table(outcomes_of(case, n_classes), ids)


def test_every_published_number_of_location_stands_beside_ours(learned):
    table = compared(learned)
    rows = comparison.published_rows("location", ["F8", "T2"])
    assert set(rows["setting"]) == F8_SETTINGS
    assert set(table["setting"]) == F8_SETTINGS
    n_noisy = rows[rows["setting"].str.contains("noise")].drop_duplicates(paper.KEY).shape[0]
    assert len(table) == rows.drop_duplicates(paper.KEY).shape[0] + n_noisy  # noise has two readings
    assert not table["published"].isna().any()
    assert not table["value"].isna().any()
    assert table["counts"].all()
    assert (table.loc[table["setting"] == "", "variant"] == "none").all()  # an empty setting is real shadow data
    precision = table[(table["metric"] == "attack_precision") & (table["setting"] == "shadow:noise20")].set_index("variant")
    ours = tables.summary(learned).query("setting == 'shadow:noise20' and metric == 'precision'")
    assert precision["value"].to_dict() == ours.set_index("variant")["value"].to_dict()


def test_accuracies_of_the_target_are_those_that_accuracies_tells(trials, learned):
    table = compared(learned)
    table = table[table["id"] == "T2"].set_index("metric")
    own = tables.accuracies(trials, tolerance=1).query("model == 'target'")
    assert table.loc["target_train_accuracy", "value"] == pytest.approx(own["train_accuracy"].mean())
    assert table.loc["target_test_accuracy", "value"] == pytest.approx(own["test_accuracy"].mean())
    assert table.loc["target_test_accuracy", "low"] < table.loc["target_test_accuracy", "value"]


def test_what_is_not_the_papers_does_not_count(learned):
    assert compared(learned, ["T2"])["counts"].all()
    for change in ({"source": "standin"}, {"our_target": "local"}, {"our_target": "google surrogate"}, {"train_size": N}):
        table = compared(learned, ["T2"], **change)
        assert len(table) == 3
        assert not table["counts"].any()


def test_several_attacks_in_one_table_are_refused(outcomes):
    with pytest.raises(ValueError, match="one row a value, got several for T2, location"):
        compared(outcomes, ["T2"])


@pytest.mark.parametrize(
    ("dataset", "our_target", "ids", "targets"),
    [
        ("location", "google surrogate", ["T2"], {"google"}),
        ("location", "local", ["T2"], {"google"}),  # the paper attacked no local network there
        ("purchase100", "google surrogate", ["F5", "T1"], {"google"}),
        ("purchase100", "amazon(10,1e-6) surrogate", ["F5", "T1"], {"amazon(10,1e-6)"}),
        ("purchase100", "local", ["T1", "T2", "F7"], {"local"}),
        ("cifar10", "local", ["F4"], {"local"}),
    ],
)
def test_a_target_stands_beside_the_papers_of_its_kind(dataset, our_target, ids, targets):
    case = LOCATION._replace(dataset=dataset, our_target=our_target, train_size=10_000)
    table = results(case, ids, n_classes=10)
    assert set(table["target"]) == targets
    assert set(table["our_target"]) == {our_target}
    expected = comparison.published_rows(dataset, ids).query("target in @targets and setting == ''")
    expected = expected[expected["train_size"].isin([table["train_size"].max(), np.nan])]
    assert len(table) == len(expected.drop_duplicates(paper.KEY)) > 0
    assert not table.duplicated(paper.KEY).any()
    paper.compare(table)


@pytest.mark.parametrize(("ours", "theirs"), [(2500, 2500), (600, 2500), (3400, 2500), (3600, 5000), (99_000, 15_000)])
def test_a_training_size_stands_beside_the_nearest(ours, theirs):
    """On a log scale: 3600 is nearer 5000 than 2500."""
    table = results(Case("cifar10", "real", "local", ours, *experiments.REAL), ["F4"], n_classes=10)
    assert set(table["train_size"].dropna()) == {theirs}
    assert table.loc[table["train_size"].isna(), "metric"].tolist() == ["attack_recall"]  # stated for all sizes
    assert set(table["our_train_size"]) == {ours}
    shown = paper.compare(table)
    assert (shown["counts"] == (shown["train_size"].isna() | (ours == theirs))).all()


def test_sizes_of_one_data_set_share_a_table():
    both = [
        o for size in (2500, 10_000) for o in outcomes_of(Case("cifar10", "real", "local", size, *experiments.REAL), 10, size)
    ]
    table = paper.compare(comparison.results_table(both, ["F4"])).query("metric == 'attack_recall'")
    assert table["our_train_size"].tolist() == [2500, 10_000]
    assert table["value"].nunique() == 2


def test_numbers_of_classes_are_counted():
    group = outcomes_of(LOCATION._replace(dataset="texas", train_size=10_000), n_classes=8)
    table = comparison.results_table(group, ["F6"]).set_index("metric")
    precisions = [metrics.by_class(o.trial.answers, o.decision)["precision"] for o in group]
    for threshold in (0.6, 0.7, 0.85):
        row = table.loc[f"n_classes_precision_above_{threshold}"]
        assert row["value"] == pytest.approx(np.mean([sum(p > threshold for p in values) for values in precisions]))
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 8
    assert table.loc["n_classes_precision_above_0.6", "value"] > 1


def test_classes_are_counted_from_one():
    group = outcomes_of(LOCATION, n_classes=10)
    tables_by_class = [metrics.by_class(o.trial.answers, o.decision).set_index("cls")["precision"] for o in group]
    values = []
    for cls in range(10):
        found = tables.published_metric(group, f"attack_precision_class_{cls + 1}")
        assert found.value == pytest.approx(np.nanmean([own[cls] for own in tables_by_class]))
        values.append(found.value)
    assert len(set(values)) > 5
    with pytest.raises(ValueError, match="precision_class_-1"):
        tables.published_metric(group, "attack_precision_class_0")


def test_ours_is_read_as_the_paper_reads_its_own_figure():
    """The printed medians of Fig. 4 are low ones; Fig. 9 counts classes never called members as 0, no other does."""
    group = outcomes_of(LOCATION, n_classes=10)
    pairs = [(o.trial.answers, o.decision) for o in group]
    fig4 = comparison.results_table(with_case(group, dataset="cifar10", our_target="local", train_size=2500), ["F4"])
    fig4 = fig4.set_index("metric")
    for metric, name in (("attack_precision_p50", "precision_p50"), ("attack_precision_median", "precision_median")):
        assert fig4.loc[metric, "value"] == metrics.interval(pairs, name).value
    assert fig4.loc["attack_precision_p50", "value"] < fig4.loc["attack_precision_median", "value"]

    never = [o._replace(decision=o.decision & (o.trial.answers.labels > 1)) for o in group]  # two of ten classes
    case = {"dataset": "purchase100", "our_target": "google surrogate", "train_size": 10_000}
    for setting in ("shadow:real", "shadow:model_based"):
        fig9 = comparison.results_table(with_case(never, **case, setting=setting), ["F9"]).set_index("metric")
        assert fig9.loc["attack_precision_min", ["value", "undefined"]].tolist() == [0, 2 * len(group)]
        assert fig9.loc["attack_precision", "value"] > 0  # over all records nothing changes
    assert fig9.loc["n_classes_precision_below_0.1", "value"] >= 2
    fig5 = comparison.results_table(with_case(never, **case), ["F5"]).set_index("metric")
    assert fig5.loc["attack_precision_min", "value"] > 0 and fig5.loc["attack_precision_min", "undefined"] == 2 * len(group)


def test_both_conventions_stand_side_by_side():
    group = outcomes_of(LOCATION, n_classes=10)
    never = [o._replace(decision=o.decision & (o.trial.answers.labels > 1)) for o in group]
    case = {"dataset": "purchase100", "our_target": "google surrogate", "train_size": 10_000, "setting": "shadow:model_based"}
    other = with_case(group, **(case | {"dataset": "location"}))
    table = paper.both_conventions([*with_case(never, **case), *other])
    of_paper, elsewhere = (part.set_index("statistic") for _, part in table.groupby("dataset", sort=False))
    assert of_paper["published"].tolist() == [0, 0.659, 0.813, 0.936, 0.967, 1, 0.839, 0.08]
    assert elsewhere["published"].isna().all() and len(of_paper) == len(elsewhere) == 8
    assert (of_paper["undefined"] == 2 * len(group)).all() and (elsewhere["undefined"] == 0).all()
    assert (elsewhere["left_out"] == elsewhere["as_zero"]).all()  # where every class has a precision nothing is to choose
    assert of_paper.loc["min", "as_zero"] == 0 < of_paper.loc["min", "left_out"]
    assert of_paper.loc["below_0.1", "as_zero"] == pytest.approx(of_paper.loc["below_0.1", "left_out"] + 0.2)
    assert of_paper.loc["mean", "as_zero"] == pytest.approx(0.8 * of_paper.loc["mean", "left_out"])
    for way in ("left_out", "as_zero"):
        assert (of_paper[f"{way}_low"] <= of_paper[way]).all() and (of_paper[way] <= of_paper[f"{way}_high"]).all()


PUBLISHED = paper.published()["metric"]


@pytest.mark.parametrize("metric", sorted(PUBLISHED[~PUBLISHED.str.startswith(("spearman", "mean_"))].unique()))
def test_every_published_metric_has_a_value_of_ours(metric):
    found = tables.published_metric(outcomes_of(LOCATION, n_classes=10), metric)
    assert 0 <= found.low <= found.value <= found.high <= (10 if metric.startswith("n_classes_") else 1)


def test_synthetic_shadows_stand_beside_their_own_rows_alone():
    case = LOCATION._replace(dataset="purchase100", train_size=10_000, setting="shadow:model_based")
    table = results(case, ["F9", "F11", "T2"])
    assert set(table["setting"]) == {"shadow:model_based"}
    assert set(table["id"]) == {"F9"}
    assert "n_classes_precision_below_0.1" in set(table["metric"])
    local = results(case._replace(our_target="local"), ["F9"])  # under "local" are means over queries alone, of no attack
    assert local["metric"].tolist() == table["metric"].tolist()
    assert set(local["target"]) == {"google"}


@pytest.mark.parametrize(
    ("change", "ids"),
    [({}, ["F80"]), ({}, ["F5"]), ({}, []), ({"our_target": "amazon(10,1e-6)"}, ["T2"]), ({"dataset": "nowhere"}, ["T2"])],
)
def test_ids_without_a_value_are_refused(change, ids):
    case = LOCATION._replace(**change)
    with pytest.raises(ValueError, match=rf"ids must name values published of \['{case.dataset}'\], got \{ids}"):
        results(case, ids)


def facts(dataset, n_classes, seed, n_targets=2, our_target="google surrogate"):
    """Class facts of two targets, the larger the class the lower its precision; that of some classes is not defined."""
    rng = np.random.default_rng(seed)
    cases, parts = [], []
    for target in range(n_targets):
        size, gap = rng.random(n_classes).round(2), rng.random(n_classes)
        precision = (0.5 * gap - size + rng.normal(0, 0.3, n_classes)).round(1)  # with ties
        precision[rng.random(n_classes) < 0.1] = np.nan
        columns = {"cls": range(n_classes), "precision": precision, "train_fraction": size, "train_test_gap": gap}
        parts.append(pd.DataFrame(columns | {"target": target}))
        cases.append(Case(dataset, "real", our_target, 10_000, *experiments.REAL))
    return tables._frame(cases, parts)


PAIRS = {
    "spearman(train_fraction,attack_precision)": ("train_fraction", "precision"),
    "spearman(train_test_gap,attack_precision)": ("train_test_gap", "precision"),
    "spearman(train_fraction,train_test_gap)": ("train_fraction", "train_test_gap"),
}


def test_correlations_are_those_of_scipy():
    table = pd.concat([facts("purchase20", 20, 0), facts("purchase100", 100, 1)], ignore_index=True)
    found = comparison.correlations(table, n_boot=40)
    pooled = "Purchase-10..100 pooled"
    assert found["dataset"].tolist() == ["purchase20"] * 3 + ["purchase100"] * 3 + [pooled] * 3
    for row in found.itertuples():
        part = table if row.dataset == pooled else table[table["dataset"] == row.dataset]
        x, y = PAIRS[row.metric]
        own = [scipy.stats.spearmanr(p[x], p[y], nan_policy="omit").statistic for _, p in part.groupby("target")]
        assert row.value == pytest.approx(np.mean(own))
        assert row.low < row.value < row.high
        assert row.n_targets == 2
    first = found.iloc[0]
    assert -1 <= first["low"] < 0  # no rate
    shown = paper.compare(found)
    assert shown["published"].notna().all()
    assert not shown["counts"].any()  # a surrogate
    alone = comparison.correlations(facts("purchase20", 20, 0, our_target="google"), n_boot=2)
    assert alone["dataset"].tolist() == ["purchase20"] * 3
    assert paper.compare(alone)["counts"].all()
    pd.testing.assert_series_equal(alone["value"], found["value"].iloc[:3])


def test_correlation_of_classes_that_are_alike_is_zero():
    table = facts("purchase20", 20, 0).assign(train_fraction=0.05)
    found = comparison.correlations(table, n_boot=20).set_index("metric")
    for metric, pair in PAIRS.items():
        row = found.loc[metric, ["value", "low", "high"]].tolist()
        assert (row == [0, 0, 0]) == ("train_fraction" in pair)


def test_interval_of_correlations_ends_at_one():
    table = facts("purchase20", 20, 0)
    rising = table["cls"] * np.where(table["target"] == 0, 1, -1)  # in one target as it falls in the other
    found = comparison.correlations(table.assign(train_fraction=table["cls"], train_test_gap=rising), n_boot=5).iloc[2]
    assert (found["value"], found["low"], found["high"]) == (pytest.approx(0), -1, 1)


def test_published_values_stand_beside_the_learned_attack_alone(outcomes, learned):
    table = paper.beside_baselines(tables.summary(outcomes), compared(learned))
    assert set(table["setting"]) == {"shadow:real"}
    assert table["attack"].nunique() == len(experiments.ATTACKS)
    assert len(table) == 3 * len(experiments.ATTACKS)
    known = table.dropna(subset="published")
    assert known[["attack", "metric", "published", "published_as"]].to_numpy().tolist() == [
        [LEARNED, "precision", 0.678, ""],
        [LEARNED, "recall", 0.98, ""],
    ]
    noise = paper.beside_baselines(tables.summary(outcomes), compared(learned), "shadow:noise20")
    assert set(noise["variant"]) == {"flip", "random"}
    assert noise["published"].dropna().tolist() == 2 * [0.613, 1.0]


def test_published_values_stand_beside_their_own_data_set_and_size():
    real = outcomes_of(LOCATION, n_classes=10)
    groups = [
        *(with_case(real, dataset=name, our_target="google surrogate", train_size=10_000) for name in ("purchase2", "texas")),
        *(with_case(real, dataset="cifar10", our_target="local", train_size=size) for size in (2500, 15_000)),
    ]
    everything = [o for group in groups for o in group]
    rows = comparison.results_table(everything, ["T2", "F4"])
    table = paper.beside_baselines(tables.summary(everything, ["precision", "precision_p50"]), paper.compare(rows))
    assert len(table) == 2 * len(groups)
    known = table.dropna(subset="published")
    assert known[["dataset", "train_size", "metric", "published", "published_as"]].to_numpy().tolist() == [
        ["purchase2", 10_000, "precision", 0.505, ""],
        ["texas", 10_000, "precision", 0.657, ""],
        ["cifar10", 2500, "precision", 0.78, "median of classes"],  # all that it prints there
        ["cifar10", 2500, "precision_p50", 0.78, ""],
        ["cifar10", 15_000, "precision", 0.71, "median of classes"],
        ["cifar10", 15_000, "precision_p50", 0.71, ""],
    ]


def test_a_bound_hides_no_published_value():
    """Of the recall on Purchase-100 the paper says "almost 1" under Fig. 5, and draws it under Fig. 9."""
    group = outcomes_of(LOCATION._replace(dataset="purchase100", train_size=10_000))
    shown = paper.compare(comparison.results_table(group, ["F5", "F9"]))
    recall = shown[shown["metric"] == "attack_recall"].set_index("id")["published"]
    assert np.isnan(recall["F5"])
    table = paper.beside_baselines(tables.summary(group, ["recall"]), shown)
    assert table["published"].tolist() == [recall["F9"]]
    of_figure_5 = shown[(shown["id"] == "F5") & (shown["metric"] == "attack_recall")]
    alone = paper.beside_baselines(tables.summary(group, ["recall"]), of_figure_5)
    assert alone[["published", "published_as"]].to_numpy().tolist() == [[0.95, "lower bound"]]


def test_the_papers_attack_stands_at_its_own_number_of_shadows():
    real = outcomes_of(LOCATION, n_classes=10)
    cases = [("cifar10", "local", 2500), ("texas", "google surrogate", 10_000), ("mnist", "google surrogate", 10_000)]
    groups = [with_case(real, dataset=name, our_target=kind, train_size=size) for name, kind, size in cases]
    compared_rows = paper.compare(comparison.results_table([o for group in groups for o in group], ["T2", "F4"]))
    by_count = pd.concat([tables.summary(group).assign(k=1) for group in groups], ignore_index=True)
    found = paper.beside_counts(by_count, compared_rows)
    assert found[["dataset", "metric", "k", "value", "published_as"]].to_numpy().tolist() == [
        ["cifar10", "precision", 100, 0.78, "median of classes"],
        ["cifar10", "recall", 100, 0.95, "lower bound"],
        ["texas", "precision", 10, 0.657, ""],
        ["mnist", "precision", 50, 0.517, ""],
    ]
    assert paper.beside_counts(by_count.assign(train_size=77), compared_rows).empty  # of other targets it says nothing


def test_table_i_stands_side_by_side():
    real = outcomes_of(LOCATION._replace(dataset="purchase100", train_size=10_000))
    groups = [with_case(real, our_target=kind) for kind in ("google surrogate", "local")]
    rows = paper.compare(comparison.results_table([o for group in groups for o in group], ["T1"]))
    table = paper.table_one(rows)
    assert table[["our_target", "train_paper", "test_paper"]].to_numpy().tolist() == [
        ["google surrogate", 0.999, 0.656],
        ["local", 0.83, 0.67],
    ]
    ours = rows[rows["our_target"] == "local"].set_index("metric")
    for part in ("train", "test"):
        own = ours.loc[f"target_{part}_accuracy"]
        assert table.loc[1, [f"{part}_ours", f"{part}_low", f"{part}_high"]].tolist() == own[["value", "low", "high"]].tolist()
    with pytest.raises(ValueError, match="compared must have rows of T1, got F5, F9"):
        paper.table_one(paper.compare(comparison.results_table(groups[0], ["F5", "F9"])))
