"""Attacks from made-up records: a planted leak is found through them, nothing is made or trained twice, and counts add up."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mialib import metrics, paper
from mialib.core import cache, randomness
from mialib.core.types import Dataset, Features
from mialib.paper import claims_shadow_data, comparison
from mialib.shadow import synthesis
from mialib.study import experiments, shadow_data, tables
from mialib.study.experiments import LEARNED, ONLY_LEARNED, Case, Experiment
from mialib.study.shadow_data import MARGINAL, MODEL_BASED
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

N, N_CLASSES, BITS, SEED = 60, 3, 18, 5


def records(n=600, seed=0):
    """Bits whose class is the block of six that has most ones."""
    x = (np.random.default_rng(seed).random((n, BITS)) < np.linspace(0.2, 0.8, BITS)).astype(np.uint8)
    return x, blocks(x).argmax(1)


def blocks(x):
    return x.reshape(len(x), N_CLASSES, -1).sum(2).astype(np.float64)


def dataset(name="purchase100", source="standin"):
    x, y = records()
    return Dataset(name, x, y.astype(np.int64), N_CLASSES, source)


class Blocks:
    """Sure of a record by its blocks of ones alone; much surer of the class of a record that it remembers."""

    def __init__(self, trainer, x, y):
        self.trainer, self.known = trainer, {record.tobytes(): label for record, label in zip(x, y, strict=True)}

    def predict_proba(self, x):
        self.trainer.asked += len(x)
        scores = 1.6 ** blocks(x)
        answers = 0.8 * scores / scores.sum(1, keepdims=True) + 0.2 / 3
        for row, record in enumerate(x if self.trainer.remembers else []):
            if record.tobytes() in self.known:
                answers[row] = 0.01
                answers[row, self.known[record.tobytes()]] = 0.98
        return answers.astype(np.float32)


class Memoriser:
    """Trainer of models that all answer by the same rule, or give their training records away; counts what it does."""

    def __init__(self, remembers=True):
        self.remembers, self.trained, self.asked = remembers, 0, 0

    def keys(self, dataset, rows, seed, first=0):
        data = cache.digest(dataset.x, dataset.y, self.remembers)
        return [{"data": data, "rows": cache.digest(row), "model": first + j, "seed": seed} for j, row in enumerate(rows)]

    def fit_many(self, dataset, rows, seed, first=0):
        self.trained += len(rows)
        return [Blocks(self, dataset.x[row], dataset.y[row]) for row in rows]


def experiment(trainer=None, **other):
    settings = {"our_target": "local", "train_size": N, "n_targets": 2, "n_shadows": 2, "seed": SEED} | other
    return Experiment(**{"dataset": dataset(), "trainer": trainer or Memoriser()} | settings)


SMALL = {"k_max": 6, "rej_max": 2, "conf_min": 0.5}


def network(epochs=3):
    return NeuralTrainer(lambda: mlp(BITS, N_CLASSES, 8), Recipe(epochs, 10, 0.05), "cpu")


# Targets


def test_targets_are_those_of_the_study():
    e = experiment(network())
    known = shadow_data.targets(e, experiment(our_target="google surrogate"))
    assert [(t.experiment.our_target, t.number) for t in known] == [
        ("local", 0), ("local", 1), ("google surrogate", 0), ("google surrogate", 1),
    ]  # fmt: skip
    for target, trial in zip(known, experiments.run_trials(e), strict=False):
        rows = target.split.rows
        np.testing.assert_array_equal(target.answers.predictions, trial.answers.predictions)
        np.testing.assert_array_equal(target.model.predict_proba(e.dataset.x[rows]), trial.answers.predictions)
        assert sorted([*rows, *target.pool]) == list(range(600))


def test_a_target_is_trained_when_it_is_asked_and_once():
    trainer = Memoriser()
    experiments.run_trials(experiment(trainer))
    before = trainer.trained
    target = shadow_data.targets(experiment(trainer))[1]
    assert trainer.trained == before
    for _ in range(2):
        target.model.predict_proba(dataset().x)
    assert trainer.trained == before + 1


# Records


def test_marginal_records_have_the_pools_marginals_and_the_targets_classes():
    e = experiment()
    e = e._replace(dataset=replace(e.dataset, x=e.dataset.x * (np.arange(BITS) % 3 > 0).astype(np.uint8)))
    for target, made in zip(shadow_data.targets(e), shadow_data.marginal_sets(shadow_data.targets(e), 50.0), strict=True):
        assert made.case == Case("purchase100", "standin", "local", N, MARGINAL, "none")
        assert made.records.x.shape == (50 * N, BITS) and made.dataset.source == "standin"
        shares = e.dataset.x[target.pool].mean(0)
        np.testing.assert_allclose(made.records.x.mean(0), shares, atol=5 * 0.5 / np.sqrt(50 * N))
        answers = target.model.predict_proba(made.records.x)
        np.testing.assert_array_equal(made.records.y, answers.argmax(1))
        np.testing.assert_array_equal(made.records.confidence, answers.max(1))
        assert made.records.report["queries"].sum() == made.records.queries.sum() == 50 * N


def test_marginal_records_differ_between_targets_and_seeds_but_not_between_kinds():
    first, second = shadow_data.marginal_sets(shadow_data.targets(experiment()), 2.0)
    other_kind = shadow_data.marginal_sets(shadow_data.targets(experiment(Memoriser(remembers=False))), 2.0)[0]
    other_seed = shadow_data.marginal_sets(shadow_data.targets(experiment(seed=6)), 2.0)[0]
    np.testing.assert_array_equal(first.records.x, other_kind.records.x)
    for other in (second, other_seed):
        assert not np.array_equal(first.records.x, other.records.x)


def test_model_based_records_are_those_of_all_classes():
    target = shadow_data.targets(experiment())[1]
    (made,) = shadow_data.model_based_sets([target], 1.6, **SMALL)
    seed = randomness.derive(SEED, "synthesis", 1)
    alone = synthesis.all_classes(target.model, Features((BITS,)), N_CLASSES, 32, seed, **SMALL)
    assert made.case == Case("purchase100", "standin", "local", N, MODEL_BASED, "none")
    for ours, theirs in zip(made.records[:4], alone[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    pd.testing.assert_frame_equal(made.records.report, alone.report)
    assert made.records.confidence.min() > 0.5 and len(made.records.y) == 96 and made.shadow_size == 48
    np.testing.assert_array_equal(blocks(made.records.x).argmax(1), made.records.y)


@pytest.mark.parametrize("way", ["marginal", "model_based", "budget"])
def test_records_are_kept_and_ask_nothing_again(way):
    def make(trainer, **other):
        known = shadow_data.targets(experiment(trainer, **other))
        return (
            shadow_data.marginal_sets(known, 2.0)
            if way == "marginal"
            else shadow_data.model_based_sets(known, 1.0, budget, **SMALL)
        )

    trainer, budget = Memoriser(), 70 if way == "budget" else None
    made = make(trainer)
    asked = trainer.asked
    for one, again in zip(made, make(trainer), strict=True):
        for ours, theirs in zip(one.records[:4], again.records[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        pd.testing.assert_frame_equal(one.records.report, again.records.report, check_dtype=False)
    assert trainer.asked == asked
    make(trainer, seed=6)
    assert trainer.asked > asked


def test_a_budget_is_never_exceeded_and_stands_in_the_case():
    made = shadow_data.model_based_sets(shadow_data.targets(experiment()), 5.0, 200, **SMALL)
    assert [m.case.variant for m in made] == ["200 queries"] * 2
    table = shadow_data.reports(made)
    assert table.groupby("target")["queries"].sum().tolist() == [200, 200]
    assert list(table)[: len(tables.CASE) + 2] == [*tables.CASE, "target", "cls"]
    assert len(table) == 2 * N_CLASSES and set(table["outcome"]) == {"budget"}


# Shadows


@pytest.mark.parametrize("way", ["marginal", "model_based"])
def test_a_planted_leak_is_found_through_records_that_are_made_up(way):
    def accuracy(trainer):
        known = shadow_data.targets(experiment(trainer))
        made = shadow_data.marginal_sets(known, 6.0) if way == "marginal" else shadow_data.model_based_sets(known, 6.0, **SMALL)
        outcomes = experiments.run_attacks(shadow_data.made_trials(made, 3), ONLY_LEARNED)
        return [metrics.overall(o.trial.answers, o.decision)["accuracy"] for o in outcomes]

    assert min(accuracy(Memoriser())) > 0.95
    assert max(accuracy(Memoriser(remembers=False))) < 0.65


def test_shadows_are_trained_on_the_made_records_alone_and_once():
    trainer = Memoriser()
    known = shadow_data.targets(experiment(trainer))
    made = shadow_data.marginal_sets(known, 3.0)
    before = trainer.trained
    trials = shadow_data.made_trials(made, 4)
    assert trainer.trained == before + 8
    for trial, each in zip(trials, made, strict=True):
        assert (trial.case, trial.target, trial.n_shadows) == (each.case, each.target.number, 4)
        np.testing.assert_array_equal(trial.answers.predictions, each.target.answers.predictions)
        shadows = trial.shadows
        assert len(shadows.labels) == 4 * 2 * N and shadows.member.sum() == 4 * N
        shares = np.bincount(each.records.y, minlength=N_CLASSES) / len(each.records.y)
        np.testing.assert_allclose(np.bincount(shadows.labels, minlength=N_CLASSES) / len(shadows.labels), shares, atol=0.1)
    shadow_data.made_trials(shadow_data.marginal_sets(shadow_data.targets(experiment(trainer)), 3.0), 4)
    assert trainer.trained == before + 8
    shadow_data.made_trials(made, 5)
    assert trainer.trained == before + 10


def test_half_of_a_small_set_trains_a_shadow():
    (made,) = shadow_data.marginal_sets(shadow_data.targets(experiment(n_targets=1)), 1.55)
    assert made.shadow_size == 46
    (trial,) = shadow_data.made_trials([made], 2)
    assert len(trial.shadows.labels) == 2 * 2 * 46


def test_a_target_of_which_nothing_was_found_is_named_and_not_attacked(caplog):
    known = shadow_data.targets(experiment(n_targets=1))
    made = shadow_data.model_based_sets(known, 1.0, k_max=6, conf_min=1.0, iter_max=5)
    with caplog.at_level(logging.WARNING, "mialib"):
        assert shadow_data.made_trials(made, 2) == []
    assert "purchase100, local, target 0: no attack with shadow:model_based data, 0 records were made" in caplog.text
    row = shadow_data.records_table(made).iloc[0]
    assert (row["records"], row["classes_lacking"], row["queries"]) == (0, 3, 3 * 10 * 3 * 5)
    assert row[["mean_confidence", "mean_queries", "distance", "test_accuracy"]].isna().all()
    assert comparison.published_means(made).empty


# Tables


def test_records_are_judged_as_by_hand():
    e = experiment(network())
    known, trials = shadow_data.targets(e), experiments.run_trials(e)
    made = shadow_data.model_based_sets(known, 4.0, **SMALL | {"conf_min": 0.2, "iter_max": 50})
    table = shadow_data.records_table(made, trials)
    assert table["setting"].tolist() == ["shadow:real"] * 2 + [MODEL_BASED] * 2 and list(table)[:6] == tables.CASE
    for row, each, trial in zip(table[2:].itertuples(), made, trials, strict=True):
        x, y, confidence, queries, report = each.records
        split = each.target.split
        assert row.records == len(y) and row.classes_lacking == N_CLASSES - len(set(y.tolist()))
        assert (row.mean_confidence, row.mean_queries) == pytest.approx((confidence.mean(), queries.mean()))
        assert row.queries == report["queries"].sum() >= queries.sum()
        assert row.shadow_size == min(N, len(y) // 2)
        assert row.distance == pytest.approx(distance(x, e.dataset.x[split.members]), abs=1e-6)
        own = table[table["target"] == row.target].iloc[0]
        assert own["records"] == own["shadow_size"] == N and own["queries"] == 0
        assert own["distance"] == pytest.approx(distance(e.dataset.x[split.nonmembers], e.dataset.x[split.members]), abs=1e-6)
        assert own["mean_confidence"] == pytest.approx(trial.answers.predictions[N:].max(1).mean())
        right = trial.shadows.predictions.argmax(1) == trial.shadows.labels
        assert own["test_accuracy"] == pytest.approx(right[~trial.shadows.member].mean())


def distance(x, real):
    return np.mean([min((record != other).mean() for other in real) for record in x])


def test_worth_is_the_accuracy_on_real_records_of_a_model_of_made_ones():
    right, wrong = Memoriser(remembers=False), Memoriser()
    x, _ = records()
    for trainer in (right, wrong):
        (made,) = shadow_data.marginal_sets(shadow_data.targets(experiment(trainer, n_targets=1)), 3.0)
        assert shadow_data.records_table([made])["test_accuracy"].item() > 0.9  # the rule itself
    few = made._replace(records=made.records._replace(x=x[:10], y=np.zeros(10, np.int64), confidence=np.ones(10, np.float32)))
    e = few.target.experiment._replace(trainer=network(epochs=20))
    few = few._replace(target=few.target._replace(experiment=e))
    fresh = e.dataset.y[few.target.split.nonmembers[:5]]
    assert shadow_data.records_table([few])["test_accuracy"].item() == pytest.approx((fresh == 0).mean())


def test_means_stand_beside_the_papers():
    known = shadow_data.targets(experiment())
    made = shadow_data.model_based_sets(known, 2.0, **SMALL)
    others = shadow_data.marginal_sets(known, 2.0) + shadow_data.model_based_sets(
        shadow_data.targets(experiment(dataset=dataset("location"))), 2.0, **SMALL
    )
    table = paper.compare(comparison.published_means(made + others))
    assert table["published"].tolist() == [0.24, 156]
    confidence, queries = ([getattr(m.records, part).mean() for m in made] for part in ("confidence", "queries"))
    np.testing.assert_allclose(table["value"], [np.mean(confidence), np.mean(queries)])
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert table["low"].min() >= 0 and table["n_targets"].tolist() == [2, 2] and not table["counts"].any()
    one = comparison.published_means(made[:1])
    error = made[0].records.queries.std() / np.sqrt(len(made[0].records.y))
    assert one["high"][1] - one["value"][1] == pytest.approx(1.96 * error, rel=0.15)


def test_more_queries_find_more_and_enough_of_them_all():
    known = shadow_data.targets(experiment(n_targets=2))
    whole = shadow_data.model_based_sets(known, 4.0, **SMALL)
    enough = max(int(m.records.report["queries"].sum()) for m in whole)
    table = shadow_data.by_budget(known, [1, 40, 200, enough], 4.0, 2, **SMALL)
    found = table.drop_duplicates("budget").set_index("budget")["records"]
    assert found.is_monotonic_increasing and found[1] < 2 and found[enough] == 4 * N
    assert table.loc[table["budget"] == 1, "value"].isna().all()
    last = table[table["budget"] == enough].set_index("metric")["value"]
    expected = tables.summary(experiments.run_attacks(shadow_data.made_trials(whole, 2), ONLY_LEARNED)).set_index("metric")[
        "value"
    ]
    assert last.to_dict() == expected.to_dict()
    assert set(table["variant"]) == {"1 queries", "40 queries", "200 queries", f"{enough} queries"}


PAPER = {  # Fig. 9: precision, recall
    "shadow:real": (0.935, 0.994), MARGINAL: (0.795, 0.991), MODEL_BASED: (0.896, 0.526),
}  # fmt: skip


def claimed(changes=(), below=8, source="real", our_target="google", never=0):
    kind = ("purchase100", source, our_target, 10_000)
    rows = [
        (*kind, setting, "none", LEARNED, metric, value, value - 0.01, value + 0.01)
        for setting, pair in (PAPER | dict(changes)).items()
        for metric, value in zip(("precision", "recall"), pair, strict=False)
    ]
    summary = pd.DataFrame(rows, columns=[*tables.CASE, "attack", "metric", "value", "low", "high"])
    precision = np.where(np.arange(100) < below, np.where(np.arange(100) < never, np.nan, 0.05), 0.9)
    classes = pd.DataFrame({"precision": precision}).assign(**dict(zip(tables.CASE, (*kind, MODEL_BASED, "none"), strict=True)))
    return claims_shadow_data.claim_6(summary, classes)


def outcomes(*arguments, **options):
    return claimed(*arguments, **options)["outcome"].tolist()


def test_claim_6_holds_for_the_papers_own_numbers_and_can_fail():
    table = claimed()
    assert list(table) == ["claim", "test", "outcome", "evidence", "dataset", "source"] and table["claim"].eq(6).all()
    assert set(table["dataset"]) == {"purchase100"} and set(table["source"]) == {"real"}
    assert table["outcome"].tolist() == ["holds"] * 4
    assert table["evidence"].tolist() == [
        "precision 0.795 [0.785, 0.805], paper 0.795",
        "precision 0.896 [0.886, 0.906], paper 0.896",
        "recall 0.526 [0.516, 0.536], paper 0.526; real 0.994 [0.984, 1.004], paper 0.994",
        "8 of 100 classes, 0 of them never called members, paper 8 of 100",
    ]
    assert not claimed(our_target="local")["evidence"].str.contains("paper").any()  # its target was Google's
    assert outcomes(source="standin") == outcomes(our_target="google surrogate") == ["direction seen"] * 4
    assert outcomes({MARGINAL: (0.505, 0.9)}) == ["fails", "holds", "holds", "holds"]
    assert outcomes({MODEL_BASED: (0.5, 0.5)}, source="standin")[1] == "direction not seen"
    assert outcomes({MODEL_BASED: (0.896, 0.99)})[2] == "fails"
    assert [outcomes(below=k)[3] for k in (0, 1, 9, 10, 60)] == ["fails", "holds", "holds", "fails", "fails"]


def test_claim_6_fails_without_records():
    assert outcomes({MODEL_BASED: ()}) == ["holds", "fails", "fails", "holds"]


def test_who_finds_next_to_nobody_shows_no_direction():
    """Fewer members than with real data, and yet no sign that model-based data work."""
    assert outcomes({MODEL_BASED: (0.896, 0.0)})[2] == outcomes({MODEL_BASED: (0.896, 0.09)})[2] == "fails"
    assert outcomes({MODEL_BASED: (0.896, 0.1)})[2] == "holds"
    nobody = claimed({MODEL_BASED: (np.nan, 0.0)}, below=100, never=100, our_target="google surrogate", source="standin")
    assert nobody["outcome"].tolist() == ["direction seen"] + ["direction not seen"] * 3
    assert nobody["evidence"][1] == "precision not defined: no record called a member"


def test_classes_never_called_members_are_low_ones_as_in_the_papers_figure():
    table = claimed(never=8)
    assert table["outcome"][3] == "holds"
    assert table["evidence"][3] == "8 of 100 classes, 8 of them never called members, paper 8 of 100"
    assert outcomes(below=12, never=12)[3] == "fails"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda known: shadow_data.marginal_sets(known, 0.0), ValueError, "sets must be above 0, got 0.0"),
        (lambda known: shadow_data.model_based_sets(known, -1.0), ValueError, "sets must be above 0, got -1.0"),
        (lambda known: shadow_data.model_based_sets(known, "3"), TypeError, "sets must be a number, got '3'"),
        (lambda known: shadow_data.model_based_sets(known, 1.0, 0), ValueError, "max_queries must be at least 1, got 0"),
        (lambda known: shadow_data.model_based_sets(known, 1.0, k=3), TypeError, "unexpected keyword argument 'k'"),
        (
            lambda known: shadow_data.made_trials(shadow_data.marginal_sets(known, 2.0), 0),
            ValueError,
            "k must be at least 1, got 0",
        ),
        (lambda known: shadow_data.by_budget(known, [], 1.0, 1), ValueError, "budgets must hold at least one"),
        (lambda known: shadow_data.by_budget([], [5], 1.0, 1), ValueError, "known must hold at least one target"),
        (lambda known: shadow_data.reports([]), ValueError, "made must hold at least one set of records"),
        (lambda known: claimed({"shadow:real": ()}), ValueError, "summary must hold real shadow data for purchase100, google"),
        (lambda known: claimed(source="x"), ValueError, "source must be one of real, standin, got 'x'"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call(shadow_data.targets(experiment(n_targets=1)))
