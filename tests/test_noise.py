"""What noise in the shadows' data does to their answers: tables against loops, sides taken apart, and limiting cases."""

import numpy as np
import pytest

from mialib.attack.thresholds import confidence, confidence_threshold
from mialib.core.types import AttackData
from mialib.shadow.signals import log_odds
from mialib.study import experiments, noise, tables
from mialib.study.experiments import LEARNED, Case, Trial

N_CLASSES, N_SHADOWS = 3, 2
REAL = Case("location", "real", "local", 30, *experiments.REAL)
NOISY = [REAL._replace(setting=f"shadow:noise{rate}", variant="flip") for rate in (10, 50)]


def data(seed, leak, n_models=1, sure=0.0, n=30):
    """Answers of models that are surer of their members by `leak`, of all by `sure`; of the same records, whatever the seed."""
    member = np.tile(np.repeat([True, False], n), n_models)
    labels = np.random.default_rng(1).integers(0, N_CLASSES, len(member))
    logits = np.random.default_rng(seed).normal(size=(len(member), N_CLASSES))
    logits[np.arange(len(member)), labels] += sure + np.where(member, leak, 0)
    odds = np.exp(logits)
    return AttackData((odds / odds.sum(1, keepdims=True)).astype(np.float32), labels, member)


def trial(case, target, shadows):
    return Trial(case, target, data(100 + target, 4.0), lambda: shadows, N_SHADOWS)


@pytest.fixture(scope="module")
def trials():
    cases = [REAL, *NOISY]
    return [trial(case, t, data(10 * t + i, 4.0, N_SHADOWS, i)) for t in range(2) for i, case in enumerate(cases)]


@pytest.fixture(scope="module")
def effects(trials):
    outcomes = experiments.run_attacks(trials, {LEARNED: confidence_threshold})
    summary = tables.summary(outcomes)
    return noise.noise_effects(trials, summary, noise.answer_shapes(trials)), summary


def test_a_side_alone_has_the_other_sides_answers_from_shadows_on_real_data(trials):
    parted = {(t.case.setting, t.case.variant, t.target): t.shadows for t in noise.trials_by_side(trials)}
    assert len(parted) == 2 * (1 + 2 * 3)
    for target in range(2):
        real, noisy = (trials[3 * target + i].shadows for i in (0, 1))
        member = real.member
        for side, of_members, of_others in (
            ("flip", noisy, noisy), ("members", noisy, real), ("non-members", real, noisy),
        ):  # fmt: skip
            mixed = parted["shadow:noise10", side, target]
            np.testing.assert_array_equal(mixed.predictions[member], of_members.predictions[member])
            np.testing.assert_array_equal(mixed.predictions[~member], of_others.predictions[~member])
            np.testing.assert_array_equal(mixed.labels, real.labels)
        assert parted["shadow:real", "none", target] is real


def test_sides_need_one_reading_real_data_and_the_same_shadows(trials):
    other = trial(NOISY[0]._replace(variant="random"), 0, data(3, 4.0, N_SHADOWS))
    with pytest.raises(ValueError, match="trials must have one reading of noise, got flip, random"):
        noise.trials_by_side([*trials, other])
    with pytest.raises(ValueError, match="trials must hold real shadow data of every target, 0 has none"):
        noise.trials_by_side(trials[1:3])
    fewer = trial(NOISY[0], 0, data(3, 4.0, 1))
    mixed = noise.trials_by_side([trials[0], fewer])
    with pytest.raises(ValueError, match="trials must have the same shadows on every source, shadow:noise10 has others"):
        _ = mixed[2].shadows


def test_shapes_count_the_records_of_all_targets(trials):
    shapes = noise.answer_shapes(trials, bins=8)
    assert list(shapes) == [
        *tables.CASE, "model", "member", "bin_left", "bin_right", "share", "threshold",
    ]  # fmt: skip
    for (setting, model, member), rows in shapes.groupby(["setting", "model", "member"]):
        group = [t for t in trials if t.case.setting == setting]
        asked = [t.answers if model == "target" else t.shadows for t in group]
        sure = [s for d in asked for s, m in zip(log_odds(d.predictions, d.labels), d.member, strict=True) if m == member]
        for row in rows.itertuples():
            assert row.share == sum(row.bin_left <= s < row.bin_right for s in sure) / len(sure)
        assert rows["share"].sum() == pytest.approx(1)


def test_what_lies_beyond_the_axis_is_in_the_outermost_bins():
    certain = AttackData(np.array([[1, 0], [0, 1]], np.float32), np.zeros(2, np.int64), np.array([True, False]))
    shapes = noise.answer_shapes([Trial(REAL, 0, certain, lambda: certain, 1)], bins=4)
    members, others = (shapes[(shapes["model"] == "target") & (shapes["member"] == side)] for side in (True, False))
    assert members["share"].tolist() == [0, 0, 0, 1] and others["share"].tolist() == [1, 0, 0, 0]
    assert (shapes["threshold"] == 0).all()  # in the middle of two certainties
    with pytest.raises(ValueError, match="bins"):
        noise.answer_shapes([], bins=1)


def test_the_border_decides_as_one_threshold_does(trials):
    alone = trials[0]
    odds = noise.answer_shapes([alone])["threshold"].iloc[0]
    answers = alone.shadows
    by_border = log_odds(answers.predictions, answers.labels) >= odds
    np.testing.assert_array_equal(by_border, confidence_threshold(answers).infer(answers))


def test_effects_are_those_of_a_loop(trials, effects):
    table, summary = effects
    assert table["setting"].tolist() == [noise.THE_TARGET, "shadow:real", "shadow:noise10", "shadow:noise50"]
    for row in table.to_dict("records"):
        own = row["setting"] == noise.THE_TARGET
        group = [t for t in trials if t.case.setting == ("shadow:real" if own else row["setting"])]
        asked = [t.answers if own else t.shadows for t in group]
        medians = [np.median(confidence(d)[d.member]) for d in asked]
        right = [
            np.mean([p.argmax() == y for p, y, m in zip(d.predictions, d.labels, d.member, strict=True) if not m])
            for d in asked
        ]
        assert row["members"] == pytest.approx(np.mean(medians)) and row["test_accuracy"] == pytest.approx(np.mean(right))
        if own:
            assert np.isnan([row["threshold"], row["precision"], row["like_members"]]).all()
            continue
        for metric in ("precision", "recall"):
            known = summary[(summary["setting"] == row["setting"]) & (summary["metric"] == metric)].iloc[0]
            assert (row[metric], row[f"{metric}_low"], row[f"{metric}_high"]) == (known["value"], known["low"], known["high"])


def test_shadows_that_are_surer_are_less_like_the_target_and_raise_the_border(effects):
    shadows = effects[0].iloc[1:]
    assert shadows["threshold"].is_monotonic_increasing and shadows["nonmembers"].is_monotonic_increasing
    assert shadows["like_nonmembers"].is_monotonic_decreasing


def test_shadows_with_the_targets_own_answers_are_like_it():
    alone = experiments.with_target_answers([trial(REAL, 0, data(0, 1.0, N_SHADOWS))])
    summary = tables.summary(experiments.run_attacks(alone, {LEARNED: confidence_threshold}))
    row = noise.noise_effects(alone, summary, noise.answer_shapes(alone)).iloc[1]
    assert row["like_members"] == pytest.approx(1) and row["like_nonmembers"] == pytest.approx(1)
    with pytest.raises(ValueError, match="tables must be of the same trials, one lacks local, shadow:real, none"):
        noise.noise_effects(alone, summary.iloc[:0], noise.answer_shapes(alone))
