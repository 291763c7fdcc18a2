"""An experiment from split to table: targets and shadows stay apart, and one changes nothing of the other."""

import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mialib import attack, metrics, models, paper, study
from mialib.data import Dataset
from mialib.shadow import AttackData
from mialib.training import EstimatorTrainer, NeuralTrainer, Recipe

N, N_TARGETS, N_SHADOWS, SEED = 30, 2, 3, 7
F8_SETTINGS = {"", "shadow:real", "shadow:noise10", "shadow:noise20"}


def tiny(name="location", source="real"):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (240, 12), dtype=np.uint8)
    return Dataset(name, x, rng.integers(0, 3, 240), 3, source)


def trainer():
    return NeuralTrainer(lambda: models.mlp(12, 3, hidden=8), Recipe(2, 10, 0.05), "cpu", chunk=4)


def plan(dataset=None, n_targets=N_TARGETS, n_shadows=N_SHADOWS, rates=(0.1, 0.2), modes=("flip", "random"), seed=SEED):
    dataset = dataset or tiny()
    return study.plan_jobs(dataset, study.noisy_sources(dataset, rates, modes, seed), N, n_targets, n_shadows, seed)


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """All trials of one tiny experiment: two targets, five sources of shadow data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIALIB_CACHE", str(tmp_path_factory.mktemp("cache")))
        return study.run_trials(trainer(), plan())


@pytest.fixture(scope="module")
def outcomes(trials):
    return study.run_attacks(trials)


def rows_of(job):
    return [np.concatenate(split) for split in job.splits]


def assert_same(first: AttackData, second: AttackData):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_noisy_sources_share_all_but_the_noise():
    dataset = tiny()
    sources = study.noisy_sources(dataset, (0.1, 0.25), ("flip", "random"), SEED)
    assert list(sources) == [
        ("shadow:real", "none"),
        ("shadow:noise10", "flip"), ("shadow:noise25", "flip"), ("shadow:noise10", "random"), ("shadow:noise25", "random"),
    ]  # fmt: skip
    assert sources[study.REAL] is dataset
    for (setting, variant), noisy in list(sources.items())[1:]:
        changed = (noisy.x != dataset.x).mean()
        full = round(12 * float(setting.removeprefix("shadow:noise")) / 100) / 12
        assert changed == pytest.approx(full) if variant == "flip" else 0 < changed < full
        np.testing.assert_array_equal(noisy.y, dataset.y)
        assert noisy.name == "location"
    again = study.noisy_sources(dataset, (0.25,), ("random",), SEED)["shadow:noise25", "random"]
    np.testing.assert_array_equal(again.x, sources["shadow:noise25", "random"].x)  # whatever else is asked for


def test_no_record_of_a_target_is_in_its_shadows():
    targets, *shadows = plan()
    assert targets.target is None
    assert targets.dataset.x is shadows[0].dataset.x
    assert len(targets.splits) == N_TARGETS
    for own in rows_of(targets):
        assert len(np.unique(own)) == 2 * N
    for job in shadows:
        assert len(job.splits) == N_SHADOWS
        for rows in rows_of(job):
            assert len(np.unique(rows)) == 2 * N
            assert not np.isin(rows, rows_of(targets)[job.target]).any()


def test_sources_differ_in_their_data_alone():
    _, *shadows = plan()
    assert [(job.target, *job.source) for job in shadows[:5]] == [
        (0, *source) for source in study.noisy_sources(tiny(), (0.1, 0.2), ("flip", "random"), 0)
    ]
    assert [job.target for job in shadows] == [0] * 5 + [1] * 5
    for t in range(N_TARGETS):
        own = [job for job in shadows if job.target == t]
        assert len({job.seed for job in own}) == 1
        for job in own[1:]:
            np.testing.assert_array_equal(rows_of(job), rows_of(own[0]))
            assert (job.dataset.x != own[0].dataset.x).any()
    first, second = shadows[0], shadows[5]
    assert first.seed != second.seed
    assert not np.array_equal(rows_of(first), rows_of(second))


def test_more_shadows_or_targets_change_nothing_of_the_others():
    few, many = plan(n_targets=1, n_shadows=1), plan(n_targets=3, n_shadows=4)
    np.testing.assert_array_equal(rows_of(few[0])[0], rows_of(many[0])[0])
    assert few[0].seed == many[0].seed
    for one, other in zip(few[1:], many[1:6], strict=True):
        np.testing.assert_array_equal(rows_of(one)[0], rows_of(other)[0])
        assert (one.seed, one.source, one.target) == (other.seed, other.source, other.target)


def test_another_seed_is_another_experiment():
    assert not np.array_equal(rows_of(plan()[0])[0], rows_of(plan(seed=8)[0])[0])


def test_announce_says_what_is_real_and_how_much_is_missing():
    jobs = plan(n_shadows=2)
    text = study.announce(trainer(), jobs)
    assert text.startswith("location: real data; 22 of 22 models to train, about ")
    assert text.endswith(" MB on this machine")
    study.run_trials(trainer(), plan(n_shadows=1))
    assert study.announce(trainer(), jobs).startswith("location: real data; 10 of 22 models to train, about ")
    study.run_trials(trainer(), jobs)
    assert study.announce(trainer(), jobs) == "location: real data; 0 of 22 models to train"
    standin = plan(tiny(source="standin"), rates=())
    assert "standin data" in study.announce(trainer(), standin)


def test_announce_of_a_trainer_that_gives_no_estimate():
    text = study.announce(EstimatorTrainer(LogisticRegression()), plan(rates=()))
    assert text == "location: real data; 8 of 8 models to train"


def test_trials_hold_each_targets_own_answers(trials):
    targets, *shadows = plan()
    assert [(t.target, t.setting, t.variant) for t in trials] == [(job.target, *job.source) for job in shadows]
    for trial in trials:
        split = targets.splits[trial.target]
        np.testing.assert_array_equal(trial.answers.labels, tiny().y[np.concatenate(split)])
        assert trial.answers.member.tolist() == [True] * N + [False] * N
        assert len(trial.shadows.labels) == N_SHADOWS * 2 * N
        assert_same(trial.answers, next(t for t in trials if t.target == trial.target).answers)
    assert not np.array_equal(trials[0].answers.predictions, trials[5].answers.predictions)
    assert not np.array_equal(trials[0].shadows.predictions, trials[1].shadows.predictions)
    np.testing.assert_array_equal(trials[0].shadows.labels, trials[1].shadows.labels)


def test_accuracies_are_counted_on_members_and_nonmembers(trials):
    table = study.accuracies(trials, tolerance=1)
    assert table["model"].value_counts().to_dict() == {"shadows": 10, "target": 2}
    for trial in (trials[0], trials[7]):
        right = trial.shadows.predictions.argmax(1) == trial.shadows.labels
        row = table[
            (table["target"] == trial.target) & (table["setting"] == trial.setting) & (table["variant"] == trial.variant)
        ].set_index("model").loc["shadows"]  # fmt: skip
        assert row["train_accuracy"] == pytest.approx(right[trial.shadows.member].mean())
        assert row["test_accuracy"] == pytest.approx(right[~trial.shadows.member].mean())


def test_shadows_that_are_trained_otherwise_are_named_in_a_warning(trials, caplog):
    right = np.eye(3, dtype=np.float32)[trials[0].shadows.labels]
    perfect = trials[0]._replace(shadows=trials[0].shadows._replace(predictions=right))
    with caplog.at_level(logging.WARNING, "mialib"):
        study.accuracies([perfect])
    assert "target 0" in caplog.text
    assert "its shadows 1.000" in caplog.text
    caplog.clear()
    study.accuracies([trials[0]._replace(shadows=trials[0].answers)])
    assert not caplog.records


def test_run_attacks_fits_on_shadows_and_asks_about_the_target(trials, outcomes):
    assert len(outcomes) == len(trials) * len(study.ATTACKS)
    for outcome in outcomes[:5]:
        fitted = study.ATTACKS[outcome.attack](outcome.trial.shadows)
        np.testing.assert_array_equal(outcome.decision, fitted.infer(outcome.trial.answers))
        np.testing.assert_array_equal(outcome.score, fitted.membership_score(outcome.trial.answers))
    assert [o.attack for o in outcomes[:5]] == list(study.ATTACKS)


def test_tables_are_tidy_and_hold_what_metrics_says(outcomes):
    classes, targets, table = study.class_table(outcomes), study.target_table(outcomes), study.summary(outcomes)
    key = ["setting", "variant", "attack"]
    assert not classes.duplicated([*key, "target", "cls"]).any()
    assert len(targets) == len(outcomes)
    assert len(table) == 5 * 5 * 3
    assert not table.duplicated([*key, "metric"]).any()
    one = outcomes[6]
    of_one = (one.trial.setting, one.trial.variant, one.attack, one.trial.target)
    own = classes.set_index([*key, "target"]).loc[[of_one]].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, metrics.by_class(one.trial.answers, one.decision))
    means = targets.groupby(key)["accuracy"].mean()
    ours = table[table["metric"] == "accuracy"].set_index(key)["value"]
    pd.testing.assert_series_equal(ours.sort_index(), means.sort_index(), check_names=False)
    assert (table["n_targets"] <= N_TARGETS).all()
    left_out = table[table["n_targets"] < N_TARGETS]  # a target without a "member" answer has no precision
    assert set(left_out["metric"]) <= {"precision"}
    assert len(left_out) < len(table) / 4


def test_ranking_and_roc_are_means_of_the_curves(outcomes):
    ranks = study.ranking(outcomes, fprs=(0.1,))
    assert ranks.loc[0, "auc"] == metrics.auc(outcomes[0].trial.answers, outcomes[0].score)
    assert ranks.loc[0, "tpr_at_0.1"] == metrics.tpr_at_fpr(outcomes[0].trial.answers, outcomes[0].score, 0.1)
    group = [o for o in outcomes if (o.trial.setting, o.attack) == ("shadow:real", study.LEARNED)]
    curves = study.roc_table(group, points=7)
    assert len(curves) == 7
    for point in curves.itertuples():
        assert point.tpr == pytest.approx(
            np.mean([metrics.tpr_at_fpr(o.trial.answers, o.score, min(point.fpr, 1)) for o in group])
        )
    assert curves["tpr"].iloc[-1] == 1


def test_for_each_variant_repeats_the_real_rows():
    table = pd.DataFrame(
        {
            "setting": ["shadow:real", "shadow:noise10", "shadow:noise10", "shadow:noise20"],
            "variant": ["none", "flip", "random", "flip"],
            "value": [1, 2, 3, 4],
        }
    )
    panels = study.for_each_variant(table)
    assert panels[panels["variant"] == "flip"]["value"].tolist() == [1, 2, 4]
    assert panels[panels["variant"] == "random"]["value"].tolist() == [1, 3]
    assert len(panels) == 5
    assert table["variant"].tolist() == ["none", "flip", "random", "flip"]
    real = table.iloc[:1]
    one_panel = study.for_each_variant(real)
    pd.testing.assert_frame_equal(one_panel.drop(columns="reading"), real)
    assert one_panel["reading"].nunique() == 1


def test_by_shadow_count_is_a_refit_with_fewer_shadows(trials, tmp_path):
    real = [trial for trial in trials if trial.setting == "shadow:real"]
    table = study.by_shadow_count(real, (1, 2, 3, 50))
    assert table["k"].unique().tolist() == [1, 2, 3]  # there are no 50
    for k in (1, 3):
        anew = study.run_attacks(study.run_trials(trainer(), plan(n_shadows=k, rates=())), {study.LEARNED: attack.fit_attack})
        ours = table[table["k"] == k].drop(columns="k").reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, study.summary(anew), rtol=1e-6)
    assert table[table["k"] == 1]["value"].tolist() != table[table["k"] == 3]["value"].tolist()


def compared(outcomes, dataset=None, ids=("F8", "T2"), **other):
    rows = study.published_rows("location", ids)
    learned = [o for o in outcomes if o.attack == study.LEARNED]
    ours = {"dataset": dataset or tiny(), "our_target": "google", "train_size": 1200} | other
    return paper.compare(study.results_table(learned, rows, **ours))


def test_every_published_number_of_location_stands_beside_ours(outcomes):
    table = compared(outcomes)
    rows = study.published_rows("location", ["F8", "T2"])
    assert set(rows["setting"]) == F8_SETTINGS
    assert set(table["setting"]) == F8_SETTINGS
    n_noisy = rows[rows["setting"].str.contains("noise")].drop_duplicates(paper.KEY).shape[0]
    assert len(table) == rows.drop_duplicates(paper.KEY).shape[0] + n_noisy  # noise has two readings
    assert not table["published"].isna().any()
    assert not table["value"].isna().any()
    assert table["counts"].all()
    precision = table[(table["metric"] == "attack_precision") & (table["setting"] == "shadow:noise20")].set_index("variant")
    ours = study.summary(outcomes).query("setting == 'shadow:noise20' and metric == 'precision' and attack == @study.LEARNED")
    assert precision["value"].to_dict() == ours.set_index("variant")["value"].to_dict()


def test_accuracies_of_the_target_are_those_that_accuracies_tells(trials, outcomes):
    table = compared(outcomes)
    table = table[table["id"] == "T2"].set_index("metric")
    own = study.accuracies(trials, tolerance=1).query("model == 'target'")
    assert table.loc["target_train_accuracy", "value"] == pytest.approx(own["train_accuracy"].mean())
    assert table.loc["target_test_accuracy", "value"] == pytest.approx(own["test_accuracy"].mean())
    assert table.loc["target_test_accuracy", "low"] < table.loc["target_test_accuracy", "value"]


def test_what_is_not_the_papers_does_not_count(outcomes):
    assert compared(outcomes, ids=["T2"])["counts"].all()
    assert not compared(outcomes, tiny(source="standin"), ids=["T2"])["counts"].any()
    assert not compared(outcomes, ids=["T2"], our_target="local")["counts"].any()
    assert not compared(outcomes, ids=["T2"], train_size=N)["counts"].any()


def test_several_attacks_in_one_table_are_refused(outcomes):
    rows = study.published_rows("location", ["T2"])
    table = study.results_table(outcomes, rows, dataset=tiny(), our_target="local", train_size=N)
    with pytest.raises(ValueError, match="one row a value, got several for T2, location"):
        paper.compare(table)


def test_published_values_stand_beside_the_learned_attack_alone(outcomes):
    table = study.beside_baselines(study.summary(outcomes), compared(outcomes))
    assert set(table["setting"]) == {"shadow:real"}
    assert table["attack"].nunique() == len(study.ATTACKS)
    known = table.dropna(subset="published")
    assert known[["attack", "metric", "published"]].to_numpy().tolist() == [
        [study.LEARNED, "precision", 0.678],
        [study.LEARNED, "recall", 0.98],
    ]


def test_headline_says_ours_and_the_papers(outcomes):
    table = compared(outcomes, our_target="local")
    lines = study.headline(table)
    assert len(lines) == 2 * 5  # precision and recall: real, and two rates in two readings
    row = table[
        (table["setting"] == "shadow:noise10") & (table["variant"] == "flip") & (table["metric"] == "attack_recall")
    ].iloc[0]
    expected = f"attack_recall {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]; paper (google) 0.990"
    assert f"location (real, local target), shadow:noise10 flip: {expected}" in lines
    assert sum(line.startswith("location (real, local target), shadow:real: attack_precision") for line in lines) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_targets": 0}, "n_targets must be at least 1"),
        ({"n_shadows": 0}, "k must be at least 1"),
        ({"rates": (1.5,)}, "rate must be"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        plan(**change)


def test_a_target_that_is_too_large_is_refused_with_the_largest_possible():
    with pytest.raises(ValueError, match=r"n must be between 1 and 120 .*half of the 240 records"):
        study.target_splits(tiny(), 121, 1, 0)
    with pytest.raises(ValueError, match="the pool has 40 records, and a split takes 2 n"):
        study.plan_jobs(tiny(), {study.REAL: tiny()}, 100, 1, 1, 0)
