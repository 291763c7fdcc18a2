"""An experiment from split to decision: targets and shadows stay apart, and one changes nothing of the other."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mialib.core.types import AttackData, Dataset
from mialib.study import experiments
from mialib.study.experiments import Case, Experiment
from mialib.training.estimators import EstimatorTrainer
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Estimate, Recipe

N, N_TARGETS, N_SHADOWS, SEED = 30, 2, 3, 7


def tiny(name="location", source="real"):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (240, 12), dtype=np.uint8)
    return Dataset(name, x, rng.integers(0, 3, 240), 3, source)


def trainer(hidden=8):
    return NeuralTrainer(lambda: mlp(12, 3, hidden), Recipe(2, 10, 0.05), "cpu", chunk=4)


def experiment(rates=(0.1, 0.2), modes=("flip", "random"), **other):
    settings = {
        "dataset": tiny(), "trainer": trainer(), "our_target": "local", "train_size": N,
        "n_targets": N_TARGETS, "n_shadows": N_SHADOWS, "seed": SEED,
    } | other  # fmt: skip
    sources = experiments.noisy_sources(settings["dataset"], rates, modes, settings["seed"])
    return Experiment(**{"sources": sources} | settings)


def plan(**other):
    return experiments.plan_jobs(experiment(**other))


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(cache_folder):
    """All trials of one tiny experiment: two targets, five sources of shadow data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIALIB_CACHE", cache_folder)
        return experiments.run_trials(experiment())


@pytest.fixture
def trials(trained, cache_folder, monkeypatch):
    """The same, whose shadows are read from where they were trained."""
    monkeypatch.setenv("MIALIB_CACHE", cache_folder)
    return trained


def rows_of(job):
    return [split.rows for split in job.splits]


def assert_same(first: AttackData, second: AttackData):
    for name in ("predictions", "labels", "member"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_noisy_sources_share_all_but_the_noise():
    dataset = tiny()
    sources = experiments.noisy_sources(dataset, (0.1, 0.25), ("flip", "random"), SEED)
    assert list(sources) == [
        ("shadow:real", "none"),
        ("shadow:noise10", "flip"), ("shadow:noise25", "flip"), ("shadow:noise10", "random"), ("shadow:noise25", "random"),
    ]  # fmt: skip
    assert sources[experiments.REAL] is dataset
    for (setting, variant), noisy in list(sources.items())[1:]:
        changed = (noisy.x != dataset.x).mean()
        full = round(12 * float(setting.removeprefix("shadow:noise")) / 100) / 12
        assert changed == pytest.approx(full) if variant == "flip" else 0 < changed < full
        np.testing.assert_array_equal(noisy.y, dataset.y)
        assert noisy.name == "location"
    again = experiments.noisy_sources(dataset, (0.25,), ("random",), SEED)["shadow:noise25", "random"]
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
        (0, *source) for source in experiments.noisy_sources(tiny(), (0.1, 0.2), ("flip", "random"), 0)
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


def test_without_sources_shadows_come_from_the_same_population():
    e = experiment(sources=None)
    jobs = experiments.plan_jobs(e)
    assert [job.source for job in jobs] == [experiments.REAL] * (1 + N_TARGETS)
    assert all(job.dataset is e.dataset for job in jobs)
    for job, other in zip(jobs, plan(rates=()), strict=True):
        np.testing.assert_array_equal(rows_of(job), rows_of(other))
        assert job.seed == other.seed


def test_more_shadows_or_targets_change_nothing_of_the_others():
    few, many = plan(n_targets=1, n_shadows=1), plan(n_targets=3, n_shadows=4)
    np.testing.assert_array_equal(rows_of(few[0])[0], rows_of(many[0])[0])
    assert few[0].seed == many[0].seed
    for one, other in zip(few[1:], many[1:6], strict=True):
        np.testing.assert_array_equal(rows_of(one)[0], rows_of(other)[0])
        assert (one.seed, one.source, one.target) == (other.seed, other.source, other.target)


def test_targets_alone_are_those_of_the_whole_experiment(trials):
    answers = experiments.run_targets(experiment())
    assert len(answers) == N_TARGETS
    for trial in trials:
        assert_same(answers[trial.target], trial.answers)
    alone = experiments.plan_jobs(experiment(n_shadows=0))
    assert len(alone) == 1
    np.testing.assert_array_equal(rows_of(alone[0]), rows_of(plan()[0]))
    assert experiments.run_trials(experiment(n_shadows=0)) == []


def test_smaller_shadows_stay_in_the_pool():
    targets, *shadows = plan(sources=None, shadow_size=7)
    usual = plan(sources=None)
    np.testing.assert_array_equal(rows_of(targets), rows_of(usual[0]))
    assert [job.source for job in shadows] == [("shadow:real", "smaller")] * N_TARGETS
    for job in shadows:
        for rows in rows_of(job):
            assert len(np.unique(rows)) == 14
            assert not np.isin(rows, rows_of(targets)[job.target]).any()
    (trial, _) = experiments.run_trials(experiment(sources=None, shadow_size=7))
    assert (trial.case.variant, trial.case.train_size) == ("smaller", N)
    assert len(trial.shadows.labels) == N_SHADOWS * 14


def test_swapped_shadows_are_trained_on_their_targets_nonmembers():
    targets, *shadows = plan(sources=None, swapped=True)
    assert [job.source for job in shadows] == [("shadow:real", "swapped")] * N_TARGETS
    for job in shadows:
        assert len(job.splits) == N_SHADOWS
        for split in job.splits:
            np.testing.assert_array_equal(split.members, targets.splits[job.target].nonmembers)
            np.testing.assert_array_equal(split.nonmembers, targets.splits[job.target].members)
    trial = experiments.run_trials(experiment(sources=None, swapped=True))[0]
    first, second = (trial.first_shadows(1).shadows, trial.shadows[2 * N : 4 * N])
    np.testing.assert_array_equal(first.labels, second.labels)
    assert not np.array_equal(first.predictions, second.predictions)  # other initial weights


def test_shadows_that_failed_are_left_out(trials):
    whole = trials[0]
    worse = whole.shadows.predictions.copy()
    second = slice(2 * N, 4 * N)
    worse[second] = np.roll(np.eye(3, dtype=np.float32)[whole.shadows.labels[second]], 1, axis=1)  # always another class
    right = np.eye(3, dtype=np.float32)[whole.shadows.labels]
    spoiled = np.where(worse == whole.shadows.predictions, right, worse)
    failed = whole._replace(load=lambda: replace(whole.shadows, predictions=spoiled))
    (kept,) = experiments.without_failed([failed])
    assert (kept.n_shadows, kept.case, kept.target) == (N_SHADOWS - 1, whole.case, whole.target)
    rest = np.r_[0 : 2 * N, 4 * N : 6 * N]
    assert_same(kept.shadows, failed.shadows[rest])
    assert_same(kept.answers, whole.answers)
    (all_of_them,) = experiments.without_failed([failed], tolerance=1)
    assert all_of_them.n_shadows == N_SHADOWS
    assert_same(all_of_them.shadows, failed.shadows)
    with pytest.raises(ValueError, match="tolerance must be at least 0 and at most 1, got 2"):
        experiments.without_failed([failed], tolerance=2)


def test_with_its_own_answers_a_target_is_imitated_to_the_last_digit(trials):
    imitated = experiments.with_target_answers(trials)
    assert [(t.case, t.target, t.n_shadows) for t in imitated] == [(t.case, t.target, 1) for t in trials]
    for own, trial in zip(imitated, trials, strict=True):
        assert_same(own.shadows, trial.answers)
        assert_same(own.answers_by_shadow()[0], trial.answers)
        assert_same(own.answers, trial.answers)


def test_another_seed_is_another_experiment():
    assert not np.array_equal(rows_of(plan()[0])[0], rows_of(plan(seed=8)[0])[0])


def test_two_kinds_of_target_have_the_same_splits():
    local = experiment(rates=())
    surrogate = local._replace(our_target="google surrogate", trainer=trainer(hidden=4))
    for one, other in zip(experiments.plan_jobs(local), experiments.plan_jobs(surrogate), strict=True):
        np.testing.assert_array_equal(rows_of(one), rows_of(other))
        assert (one.target, one.source, one.seed) == (other.target, other.source, other.seed)
        assert one.trainer is local.trainer
        assert other.trainer is surrogate.trainer
    trials = experiments.run_trials(local, surrogate)
    assert [(t.case.our_target, t.target) for t in trials] == [
        ("local", 0), ("local", 1), ("google surrogate", 0), ("google surrogate", 1),
    ]  # fmt: skip
    for one, other in zip(trials[:2], trials[2:], strict=True):
        np.testing.assert_array_equal(one.answers.labels, other.answers.labels)
        np.testing.assert_array_equal(one.shadows.labels, other.shadows.labels)
        assert not np.array_equal(one.answers.predictions, other.answers.predictions)
        assert not np.array_equal(one.shadows.predictions, other.shadows.predictions)


def test_announce_says_what_is_real_and_how_much_is_missing():
    e = experiment(n_shadows=2)
    text = experiments.announce(e)
    assert text.startswith("location, local, n = 30: real data; 22 of 22 models to train, about ")
    assert text.endswith(" MB on this machine")
    experiments.run_trials(experiment(n_shadows=1))
    assert experiments.announce(e).startswith("location, local, n = 30: real data; 10 of 22 models to train, about ")
    experiments.run_trials(e)
    done = "location, local, n = 30: real data; 0 of 22 models to train"
    assert experiments.announce(e) == done
    standin = experiment(dataset=tiny("adult", "standin"), rates=(), seed=8)
    first, second = experiments.announce(e, standin).splitlines()
    assert first == done
    assert second.startswith("adult, local, n = 30: standin data; 8 of 8 models to train, about ")


def test_announce_counts_smaller_shadows_at_their_own_size():
    class Costly(NeuralTrainer):
        """A second for every record of every model, and a megabyte for every record of one."""

        def estimate(self, dataset, n, k):
            return Estimate(k, float(n * k), float(n))

    costly = Costly(lambda: mlp(12, 3, 8), Recipe(2, 10, 0.05), "cpu", chunk=4)
    e = experiment(trainer=costly, sources=None, shadow_size=10)
    seconds = N_TARGETS * N + N_TARGETS * N_SHADOWS * 10
    assert experiments.announce(e).endswith(f"8 of 8 models to train, about {seconds} s and {N} MB on this machine")
    experiments.run_targets(e)
    seconds = N_TARGETS * N_SHADOWS * 10
    assert experiments.announce(e).endswith(f"6 of 8 models to train, about {seconds} s and 10 MB on this machine")


def test_announce_of_a_trainer_that_gives_no_estimate():
    text = experiments.announce(experiment(trainer=EstimatorTrainer(LogisticRegression()), rates=()))
    assert text == "location, local, n = 30: real data; 8 of 8 models to train"


def test_trials_hold_each_targets_own_answers(trials):
    targets, *shadows = plan()
    assert [t.target for t in trials] == [job.target for job in shadows]
    assert [t.case for t in trials] == [Case("location", "real", "local", N, *job.source) for job in shadows]
    for trial in trials:
        split = targets.splits[trial.target]
        np.testing.assert_array_equal(trial.answers.labels, tiny().y[split.rows])
        assert trial.answers.member.tolist() == [True] * N + [False] * N
        assert len(trial.shadows.labels) == N_SHADOWS * 2 * N
        assert_same(trial.answers, next(t for t in trials if t.target == trial.target).answers)
    assert not np.array_equal(trials[0].answers.predictions, trials[5].answers.predictions)
    assert not np.array_equal(trials[0].shadows.predictions, trials[1].shadows.predictions)
    np.testing.assert_array_equal(trials[0].shadows.labels, trials[1].shadows.labels)


def test_shadows_are_read_again_equal(trials, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(NeuralTrainer, "fit_many", None)  # nothing is trained to read what was trained
        first = [trial.shadows for trial in trials]
        for trial, read in zip(trials, first, strict=True):
            assert_same(trial.shadows, read)
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "empty"))
    for job, read in list(zip(plan()[1:], first, strict=True))[::4]:
        assert_same(job.answers(), read)  # trained anew


def test_the_first_shadows_are_those_of_a_smaller_experiment(trials):
    fewer = experiments.run_trials(experiment(n_shadows=2))
    for trial, other in zip(trials[::3], fewer[::3], strict=True):
        first = trial.first_shadows(2)
        assert (first.case, first.target, first.n_shadows) == (trial.case, trial.target, 2)
        assert_same(first.answers, trial.answers)
        np.testing.assert_allclose(first.shadows.predictions, other.shadows.predictions, rtol=1e-5)
        assert_same(replace(first.shadows, predictions=other.shadows.predictions), other.shadows)
        assert_same(first.shadows, trial.shadows[: 2 * 2 * N])
        assert_same(first.first_shadows(1).shadows, trial.first_shadows(1).shadows)
        assert_same(trial.first_shadows(N_SHADOWS).shadows, trial.shadows)
    with pytest.raises(ValueError, match="stop must be"):
        _ = trials[0].first_shadows(N_SHADOWS + 1).shadows


def test_run_attacks_fits_on_shadows_and_asks_about_the_target(trials):
    outcomes = experiments.run_attacks(trials[:2])
    assert [o.attack for o in outcomes] == 2 * list(experiments.ATTACKS)
    assert [o.case for o in outcomes] == [t.case for t in trials[:2] for _ in experiments.ATTACKS]
    for outcome in outcomes[5:]:
        fitted = experiments.ATTACKS[outcome.attack](trials[1].shadows)
        np.testing.assert_array_equal(outcome.decision, fitted.infer(trials[1].answers))
        np.testing.assert_array_equal(outcome.score, fitted.membership_score(trials[1].answers))
    assert experiments.learned(outcomes) == [outcomes[0], outcomes[5]]
    (alone,) = experiments.run_attacks(trials[:1], experiments.ONLY_LEARNED)
    assert alone.attack == experiments.LEARNED
    np.testing.assert_array_equal(alone.score, outcomes[0].score)


def test_usable_counts_are_those_that_all_trials_have(trials):
    assert experiments.usable_counts(trials, (50, 3, 1, 1, 0, -2)) == [1, 3]
    fewer = [trials[0], trials[1].first_shadows(2)]
    assert experiments.usable_counts(fewer, (1, 2, 3)) == [1, 2]
    with pytest.raises(ValueError, match=r"counts must hold .* between 1 and 2, got \[3, 4\]"):
        experiments.usable_counts(fewer, (3, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_targets": 0}, "n_targets must be at least 1"),
        ({"n_shadows": -1}, "k must be at least 1"),
        ({"swapped": True}, "swapped must be False where sources or shadow_size are given"),
        ({"sources": None, "swapped": True, "shadow_size": 5}, "swapped must be False"),
        ({"sources": None, "shadow_size": 91}, "n must be between 1 and 90"),
        ({"rates": (1.5,)}, "rate must be"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        plan(**change)


def test_a_target_that_is_too_large_is_refused_with_the_largest_possible():
    with pytest.raises(ValueError, match=r"n must be between 1 and 120 .*half of the 240 records"):
        experiments.target_splits(tiny(), 121, 1, 0)
    with pytest.raises(ValueError, match="the pool has 40 records, and a split takes 2 n"):
        plan(rates=(), train_size=100)
