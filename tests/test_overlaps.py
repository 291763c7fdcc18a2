"""Shadows that share records with the target's training set: which records, and what tables say of it."""

import numpy as np
import pandas as pd
import pytest

from mialib import plots
from mialib.core.types import AttackData, Dataset, Split
from mialib.metrics import auc, tpr_at_fpr
from mialib.shadow.splits import overlapping_splits, sample_splits
from mialib.study import experiments, measured, overlaps
from mialib.study.experiments import Case, Experiment, Outcome, Trial
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

TARGET = Split(np.arange(40), np.arange(40, 80))
POOL = np.arange(100, 200)


def drawn(share, **other):
    return overlapping_splits(**{"split": TARGET, "pool": POOL, "n": 40, "k": 3, "share": share, "seed": 7} | other)


def as_lists(splits):
    return [(split.members.tolist(), split.nonmembers.tolist()) for split in splits]


def test_share_0_is_what_a_disjoint_attacker_draws():
    assert as_lists(drawn(0)) == as_lists(sample_splits(POOL, 40, 3, 7))


@pytest.mark.parametrize(("share", "shared"), [(0, 0), (0.25, 10), (0.51, 20), (1, 40)])
def test_the_share_of_the_training_set_is_the_targets_and_nothing_else_is(share, shared):
    for split in drawn(share):
        assert np.isin(split.members, TARGET.members).sum() == shared
        assert np.isin(split.members, POOL).sum() == 40 - shared
        assert np.isin(split.nonmembers, POOL).all()  # no record of the target, member or not, is a shadow's non-member


def test_shadows_share_the_targets_records_anew_and_in_any_order():
    first, second, _ = drawn(0.5)
    shared = [set(split.members) & set(TARGET.members) for split in (first, second)]
    assert shared[0] != shared[1]
    assert as_lists(drawn(0.5, k=1, first=2)) == as_lists(drawn(0.5))[2:]
    assert set(np.concatenate([split.members for split in drawn(0.5, k=30)])) >= set(TARGET.members)


def test_as_the_share_grows_all_else_stays():
    less, more = drawn(0.25)[0], drawn(0.75)[0]
    assert np.array_equal(less.nonmembers, more.nonmembers)
    assert set(less.members) & set(TARGET.members) < set(more.members)
    assert set(more.members) & set(POOL) < set(less.members)


def test_a_small_pool_serves_where_the_target_gives_the_rest():
    pool = np.arange(100, 150)
    split = drawn(0.75, pool=pool)[0]
    assert np.isin(split.members, TARGET.members).sum() == 30 and len(split.nonmembers) == 40
    assert set(drawn(1, pool=np.arange(100, 140))[0].nonmembers) == set(range(100, 140))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 1.01}, "share must be at least 0 and at most 1, got 1.01"),
        ({"share": -0.1}, "share must be at least 0 and at most 1, got -0.1"),
        ({"share": float("nan")}, "share must be at least 0 and at most 1, got nan"),
        ({"n": 50, "share": 1}, r"share must be at most 0.8 \(the target has 40 members, n is 50\), got 1.0"),
        ({"n": 60, "share": 0.25}, "n must be at most 57 at share 0.25, or share at least 0.333 .*the pool has 100.*, got 60"),
        ({"n": 120, "share": 0.25}, "n must be at most 57 at share 0.25 .*, got 120"),
        ({"pool": np.arange(79, 200)}, "pool must hold none of the target's members and non-members, got 1 of them"),
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"k": 0}, "k must be at least 1, got 0"),
    ],
)
def test_what_the_pool_does_not_allow_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        drawn(**{"share": 0.5} | change)


def test_the_largest_n_that_an_error_names_works():
    assert len(drawn(0.25, n=57)[0].members) == 57
    assert len(drawn(0.34, n=60)[0].members) == 60


# What is gained


def outcome(score, member, decision=None, target=0, shift=0):
    answers = AttackData(np.full((len(member), 2), 0.5, np.float32), np.zeros(len(member), np.int64), member)
    trial = Trial(Case("location", "real", "local", 1, "shadow:real", "none"), target, answers, lambda: answers, 1)
    score = np.asarray(score, np.float32)
    return Outcome(trial, "shokri", score > shift if decision is None else decision, score)


def random_outcomes(seed, quality, n_targets=2, n=300):
    rng = np.random.default_rng(seed)
    member = np.arange(2 * n) < n
    return [outcome(rng.normal(size=2 * n) + quality * member, member, target=t, shift=quality / 2) for t in range(n_targets)]


def values(table):
    return table.set_index(["metric", table["fpr"].fillna(-1)])["value"].to_dict()


def test_rows_of_a_metric_are_means_over_targets():
    outcomes = random_outcomes(0, 1.0)
    found = values(measured.measured_rows(outcomes, fprs=(0.01, 0.1)))
    data = [(o.trial.answers, o.score) for o in outcomes]
    assert found["auc", -1] == pytest.approx(np.mean([auc(*pair) for pair in data]))
    for fpr in (0.01, 0.1):
        assert found["tpr", fpr] == pytest.approx(np.mean([tpr_at_fpr(*pair, fpr) for pair in data]))
    assert found["recall", -1] == pytest.approx(np.mean([o.decision[:300].mean() for o in outcomes]))


def test_gains_are_differences_of_those_means():
    after, before = random_outcomes(0, 1.5), random_outcomes(1, 0.5)
    gains = measured.gain_rows(after, before, fprs=(0.01, 0.1))
    tables = [gains, *(measured.measured_rows(each, (0.01, 0.1)) for each in (after, before))]
    found, high, low = map(values, tables)
    assert len(found) == 5
    for (metric, fpr), value in found.items():
        name = metric.removesuffix("_gain")
        assert value == pytest.approx(high[name, fpr] - low[name, fpr], abs=1e-6)
    assert (gains["low"] <= gains["value"]).all() and (gains["value"] <= gains["high"]).all()
    assert gains.loc[gains["metric"] == "auc_gain", "low"].item() > 0


def test_at_a_rate_of_1_all_members_are_found_by_everybody():
    gains = measured.gain_rows(random_outcomes(0, 1.5), random_outcomes(1, 0.5), fprs=(1.0,))
    assert (gains.loc[gains["metric"] == "tpr_gain", ["value", "low", "high"]] == 0).all(axis=None)


def test_nothing_is_gained_by_the_same_decisions_and_that_is_certain():
    same = random_outcomes(0, 1.0)
    gains = measured.gain_rows(same, same)
    assert (gains[["value", "low", "high"]] == 0).all(axis=None)


def test_pairs_are_drawn_together():
    """A small difference on the same records is seen though each attack's own interval is far wider."""
    rng, member = np.random.default_rng(3), np.arange(600) < 300
    noise = rng.normal(size=600)
    before, after = outcome(noise + member, member, shift=0.5), outcome(noise + 1.1 * member, member, shift=0.55)
    gain = measured.gain_rows([after], [before]).set_index("metric").loc["auc_gain"]
    alone = measured.measured_rows([after]).set_index("metric").loc["auc"]
    assert gain["low"] > 0 and gain["high"] - gain["low"] < (alone["high"] - alone["low"]) / 4


@pytest.mark.parametrize("n", [30, 60])  # 60 of two targets together could carry it
def test_a_rate_that_too_few_carry_is_nan_and_has_its_row(n):
    few = random_outcomes(0, 1.0, n=n)
    for table, name in ((measured.measured_rows(few), "tpr"), (measured.gain_rows(few, few), "tpr_gain")):
        (row,) = table[table["metric"] == name].to_dict("records")
        assert np.isnan(row["value"]) and row["fpr"] == 0.01


def test_an_attack_that_accuses_nobody_has_no_precision_to_compare():
    member = np.arange(600) < 300
    silent = outcome(member.astype(float), member, decision=np.zeros(600, bool))
    rows = measured.gain_rows([silent], random_outcomes(0, 1.0, n_targets=1)).set_index("metric")
    assert np.isnan(rows.loc["precision_gain", "value"]) and rows.loc["precision_gain", "n_targets"] == 0
    assert rows.loc["recall_gain", "value"] < 0


def test_other_targets_are_no_pair():
    with pytest.raises(ValueError, match="before must be about the same targets, got target 1 for 0"):
        measured.gain_rows(random_outcomes(0, 1.0, n_targets=1), random_outcomes(0, 1.0)[1:])
    with pytest.raises(ValueError, match="outcomes must be of at least one target"):
        measured.measured_rows([])


# The experiment


def tiny():
    rng = np.random.default_rng(0)
    return Dataset("location", rng.integers(0, 2, (240, 12), dtype=np.uint8), rng.integers(0, 3, 240), 3, "real")


def experiment(**other):
    trainer = NeuralTrainer(lambda: mlp(12, 3, 8), Recipe(2, 10, 0.05), "cpu", chunk=4)
    return Experiment(**{"dataset": tiny(), "trainer": trainer, "our_target": "local", "train_size": 30,
                         "n_targets": 2, "n_shadows": 3, "seed": 7} | other)  # fmt: skip


def test_share_0_trains_the_shadows_of_the_usual_experiment():
    usual, planned = experiments.plan_jobs(experiment()), overlaps.plan_overlaps(experiment(), [0, 0.5])
    for mine, job in zip(planned[0], usual, strict=True):
        assert (mine.target, mine.source, mine.seed) == (job.target, job.source, job.seed)
        assert as_lists(mine.splits) == as_lists(job.splits)
    assert as_lists(planned[0.5][0].splits) == as_lists(usual[0].splits)  # the targets are the same at every share
    shared = [np.isin(s.members, usual[0].splits[t].members).sum() for t in (0, 1) for s in planned[0.5][1 + t].splits]
    assert shared == [15] * 6


def test_the_table_has_every_share_and_the_gains_of_all_but_the_first():
    table = overlaps.overlap_table(overlaps.run_overlaps(experiment(), (0, 0.5, 1)))
    assert list(table) == ["dataset", "source", "share", "attack", "metric", "fpr", "value", "low", "high", "n_targets"]
    assert set(table["share"]) == {0, 0.5, 1} and set(table["attack"]) == {"shokri", "confidence"}
    gains = table[table["metric"].str.endswith("_gain")]
    assert set(gains["share"]) == {0.5, 1} and len(gains) == 2 * 2 * 4
    assert len(table) == len(gains) + 3 * 2 * 5
    assert pd.isna(table["fpr"]).sum() == len(table) - 3 * 2 - 2 * 2


def test_the_announcement_counts_each_target_once():
    assert "20 of 20 models to train" in overlaps.announce_overlaps(experiment(), (0, 0.5, 1))


@pytest.mark.parametrize(
    ("change", "shares", "message"),
    [
        ({}, [], "shares must hold at least one share, each once"),
        ({}, [0, 0.5, 0.5], "shares must hold at least one share, each once"),
        ({}, [0, 2], "shares must be at least 0 and at most 1, got 2"),
        ({"n_shadows": 0}, [0], "n_shadows must be at least 1, got 0"),
        ({"swapped": True}, [0], "e must have no sources and not be swapped"),
        ({"train_size": 59, "shadow_size": 80}, [1], "share must be at most 0.738"),
    ],
)
def test_bad_experiments_are_refused_before_any_training(change, shares, message):
    with pytest.raises(ValueError, match=message):
        overlaps.run_overlaps(experiment(**change), shares)
    with pytest.raises(ValueError, match="trials must hold at least one, got none"):
        overlaps.overlap_table([])


# The figure


def drawn_table():
    rows = [
        {"dataset": "location", "source": "real", "share": share, "attack": "shokri", "metric": metric + end, "fpr": fpr,
         "value": 0.1 + share / 10, "low": 0.1, "high": 0.3, "n_targets": 2}
        for share in (0.0, 0.5, 1.0)
        for end in ("", "_gain")
        for metric, fpr in (("auc", np.nan), ("tpr", 0.01))
        if share or not end
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("gain", "shares", "top"), [(False, 3, 20), (True, 2, 20)])
def test_the_figure_draws_a_line_a_metric(gain, shares, top):
    (ax,) = plots.draw(plots.by_share, [drawn_table()], facet="dataset", gain=gain).axes
    lines = [bars.lines[0] for bars in ax.containers]
    assert [len(line.get_ydata()) for line in lines] == [shares] * 2
    assert lines[0].get_ydata()[-1] == pytest.approx(top)
    assert "members found at 1%" in {text.get_text() for text in ax.texts}


def test_the_figure_refuses_a_table_without_differences():
    with pytest.raises(ValueError, match="table must hold rows of metrics that end in _gain, got none"):
        plots.draw(plots.by_share, [drawn_table().query("share == 0")], gain=True)
