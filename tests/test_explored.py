"""What a reader may look at alone: curves by attack and number of references, records and what every model answers of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from test_modern_study import Memoriser, numbered, planted, remembered

from mialib import metrics
from mialib.attack import lira
from mialib.core.types import Dataset
from mialib.study import explored, exposure, modern, stocks
from mialib.study.explored import CHOSEN, RATE_GRID

FEW = {"most exposed": 3, "least exposed": 2, "at random": 4}


def scored(trial: stocks.StockTrial, n_targets: int | None = None) -> stocks.Scores:
    (scores,) = stocks.stock_scores(trial, {stocks.BEST: stocks.STOCK_ATTACKS[stocks.BEST]}, n_targets)
    return scores


def exposed_of(trial: stocks.StockTrial, scores: stocks.Scores) -> pd.DataFrame:
    return exposure.exposures(trial, scores, 0.1)


# The lowest rate at which a record is called a member


def literal_rate(score: np.ndarray, member: np.ndarray, i: int) -> float:
    """The first of all rates that the non-members can carry, at which record i reaches the threshold."""
    n = int((~member & ~np.isnan(score)).sum())
    for k in range(1, n + 1):
        if score[i] >= metrics.threshold_at_fpr(score, member, k / n):
            return k / n
    return np.nan


def test_the_lowest_rate_is_the_first_at_which_the_threshold_reaches_a_record():
    rng = np.random.default_rng(0)
    score, member = rng.integers(0, 12, 60).astype(float), rng.random(60) < 0.5  # many ties
    score[:5] = np.nan
    found = explored.lowest_rates(score, member)
    assert np.isnan(found[:5]).all()
    for i in range(5, 60):
        literal = literal_rate(score, member, i)
        if found[i] == 0:  # above every non-member: no rate can be lower than the lowest that can be told
            assert literal == 1 / (~member[5:]).sum()
        else:
            np.testing.assert_allclose(found[i], literal)


def test_a_record_below_all_members_is_never_called_one():
    found = explored.lowest_rates(np.array([3.0, 2.0, 1.0, 5.0]), np.array([True, True, False, False]))
    np.testing.assert_array_equal(found, [0.5, 0.5, np.nan, 0.5])


def test_a_perfect_score_calls_members_at_no_false_positive():
    member = np.arange(6) % 2 == 0
    np.testing.assert_array_equal(explored.lowest_rates(member.astype(float), member), np.where(member, 0.0, np.nan))


def test_the_lowest_rate_needs_members_and_others():
    with pytest.raises(ValueError, match="members and non-members"):
        explored.lowest_rates(np.arange(3.0), np.ones(3, bool))


# Curves


def test_curves_hold_the_numbers_of_the_table_by_reference_count():
    trial = remembered_trial()
    curves = explored.curves_by_count(trial, [1, 2, 4], n_targets=3, n_answer_targets=1, most_answered=2)
    known = modern.by_reference_count(trial, [2, 4], n_targets=3, n_answer_targets=1, most_answered=2, fprs=(0.1,))
    assert list(curves) == explored.CURVE
    assert set(curves.groupby("attack")["n_references"].unique().map(tuple).items()) == {
        ("confidence", (0,)),
        ("shokri", (2,)),
        ("watson", (2, 4)),
        ("rmia_online", (2, 4)),
        ("lira_online", (4,)),
        ("lira_online_global", (2, 4)),
    }
    on = ["attack", "n_references", "fpr"]
    both = curves.merge(known[known["metric"] == "tpr"], on=on, suffixes=("", "_known"))
    assert len(both) == 8
    np.testing.assert_allclose(both["tpr"], both["value"], atol=5.1e-6)
    np.testing.assert_allclose(both[["low", "high"]], both[["low_known", "high_known"]], atol=5.1e-6)


def remembered_trial() -> stocks.StockTrial:
    e = remembered()
    return stocks.run_stock(e._replace(trainer=Memoriser(0.6)))


def test_a_curve_begins_where_all_targets_together_carry_a_rate_and_rises():
    trial = planted()
    curves = explored.curves_by_count(trial, [2], n_targets=4, most_answered=1)
    n_pairs = int((~trial.own.member[:4, ~trial.population]).sum())
    assert "shokri" not in set(curves["attack"])
    for _, curve in curves.groupby(["attack", "n_references"]):
        assert curve["fpr"].min() == min(fpr for fpr in RATE_GRID if fpr * n_pairs >= 1)
        assert set(curve["pooled"]) == {True, False}
        alone = curve.loc[~curve["pooled"], "tpr"]
        assert (np.diff(alone) >= 0).all() and alone.iloc[-1] == 1
        assert (curve["low"] <= curve["tpr"]).all() and (curve["tpr"] <= curve["high"]).all()


def test_the_grid_holds_the_rates_that_papers_tell():
    assert len(RATE_GRID) == 41
    assert {0.0001, 0.001, 0.01, 0.1, 1.0} <= set(RATE_GRID)


def test_counts_that_no_pair_makes_are_refused():
    with pytest.raises(ValueError, match=r"counts must be 1 or even.*\[3\]"):
        explored.curves_by_count(planted(), [3])


# Records


def test_records_are_the_ends_of_the_order_and_some_between():
    trial = planted()
    exposed = exposed_of(trial, scored(trial))
    chosen = explored.choose_records(exposed, 1, FEW)
    order = sorted(exposed.to_dict("records"), key=lambda r: (-r["found"], -r["separation"]))
    numbers = [r["record"] for r in order]
    groups = {name: table["record"].tolist() for name, table in chosen.groupby("chosen")}
    assert groups["most exposed"] == numbers[:3] and groups["least exposed"] == numbers[-2:]
    assert len(groups["at random"]) == 4 and set(groups["at random"]) <= set(numbers[3:-2])
    assert chosen["record"].is_unique
    pd.testing.assert_frame_equal(chosen, explored.choose_records(exposed, 1, FEW))
    assert not chosen.equals(explored.choose_records(exposed, 2, FEW))


def test_of_few_records_none_is_chosen_twice():
    trial = planted()
    exposed = exposed_of(trial, scored(trial)).head(4)
    chosen = explored.choose_records(exposed, 1, FEW)
    assert chosen["chosen"].tolist() == ["most exposed"] * 3 + ["least exposed"]
    assert sorted(chosen["record"]) == sorted(exposed["record"])


def test_records_that_no_target_had_are_not_chosen():
    trial = planted()
    exposed = exposed_of(trial, scored(trial, 1))
    had = exposed["member_of"] > 0
    assert 0 < had.sum() < len(exposed)
    chosen = explored.choose_records(exposed, 1, CHOSEN)
    assert set(chosen["record"]) <= set(exposed.loc[had, "record"])


def test_records_of_two_data_sets_are_refused():
    trial = planted()
    exposed = exposed_of(trial, scored(trial))
    with pytest.raises(ValueError, match="exposed must be of one data set, got toy, other"):
        explored.choose_records(pd.concat([exposed, exposed.assign(dataset="other")]), 1)
    with pytest.raises(ValueError, match=r"chosen\['at random'\] must be at least 0, got -1"):
        explored.choose_records(exposed, 1, FEW | {"at random": -1})


def test_every_answer_of_a_record_is_told_and_agrees_with_what_was_found():
    trial = planted()
    scores = scored(trial, 5)
    exposed = exposed_of(trial, scores)
    tables = explored.explored_records(trial, scores, exposed, FEW)
    assert len(tables.answers) == 9 * len(trial.own)
    for row in tables.answers.itertuples():
        assert row.member == trial.own.member[row.model, row.record]
        assert abs(row.signal - trial.own.signal[row.model, row.record]) < 1e-4
        if row.model < 5:
            literal = literal_rate(scores.score[row.model], scores.member[row.model], row.record)
            assert row.rate == pytest.approx(literal, abs=1e-8, nan_ok=True) or row.rate == 0
        else:
            assert np.isnan(row.rate)
    had = tables.answers[tables.answers["member"] & (tables.answers["model"] < 5)]
    found = (had["rate"] <= 0.1).groupby(had["record"]).mean()
    for record in tables.records.itertuples():
        assert found[record.record] == pytest.approx(record.found)


def test_the_widths_and_answers_make_the_score_of_the_attack():
    trial = planted()
    scores = scored(trial)
    tables = explored.explored_records(trial, scores, exposed_of(trial, scores), FEW)
    for target in range(len(trial.own)):
        references = trial.own.references(target)
        literal = lira(trial.own.signal[target], trial.own[references], variance="global")
        width = tables.widths.loc[tables.widths["model"] == target, ["inside", "outside"]].to_numpy()[0]
        for record, answers in tables.answers.groupby("record"):
            signal, member = (answers.set_index("model")[name] for name in ("signal", "member"))
            inside, outside = (signal[[i for i in references if member[i] == side]].mean() for side in (True, False))
            bells = [scipy.stats.norm(*bell).logpdf(signal[target]) for bell in zip((inside, outside), width, strict=True)]
            assert bells[0] - bells[1] == pytest.approx(literal[record], abs=2e-3)


def test_one_deviation_is_that_of_all_distances_to_the_records_means():
    trial = planted()
    scores = scored(trial, 1)
    widths = explored.explored_records(trial, scores, exposed_of(trial, scores), FEW).widths
    own = trial.own[trial.own.references(0)]
    for side, told in zip((True, False), widths[["inside", "outside"]].to_numpy()[0], strict=True):
        distances, spare = [], 0
        for signal, member in zip(own.signal.T.astype(float), own.member.T, strict=True):
            some = signal[member == side]
            distances += list(some - some.mean())
            spare += len(some) - 1
        assert told == pytest.approx(np.sqrt(np.square(distances).sum() / spare), abs=1e-5)


# Pictures


def test_pictures_are_told_byte_for_byte_and_other_records_not_at_all():
    rng = np.random.default_rng(0)
    colour = Dataset("toy", rng.integers(0, 256, (5, 4, 3, 3)).astype(np.uint8), np.arange(5) % 2, 2, "own")
    grey = dataclasses.replace(colour, x=colour.x[..., 0])
    for dataset, channels in ((colour, 3), (grey, 1)):
        table = explored.record_pictures(dataset, [4, 1])
        assert table[["record", "height", "width", "channels"]].to_numpy().tolist() == [
            [4, 4, 3, channels],
            [1, 4, 3, channels],
        ]
        for row in table.itertuples():
            pixels = np.frombuffer(bytes.fromhex(row.pixels), np.uint8)
            np.testing.assert_array_equal(pixels, dataset.x[row.record].ravel())
    assert explored.record_pictures(numbered(), [0, 1]).empty


def test_tables_of_several_data_sets_are_joined():
    trial = planted()
    scores = scored(trial)
    part = explored.explored_records(trial, scores, exposed_of(trial, scores), FEW)
    joined = explored.joined_tables([part, part])
    assert [len(table) for table in joined] == [2 * len(table) for table in part]
    assert all(table.index.equals(pd.RangeIndex(len(table))) for table in joined)
