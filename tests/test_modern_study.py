"""Tables of the attacks on stocks of models against literal loops, on made-up signals; trainings are toys, or none."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats

from mialib import metrics, mitigations
from mialib.attack import lira
from mialib.core import randomness
from mialib.core.stocks import Stock
from mialib.core.types import Dataset
from mialib.shadow import sample_halves
from mialib.study import exposure, mitigated, modern, questions, stocks, sweep
from mialib.study.stocks import STOCK_ATTACKS, Scores, StockExperiment, StockTrial
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

N, K = 200, 8
FPRS = (0.05, 0.1)
FRONT = ["dataset", "source", "attack"]
NUMBERS = ["value", "low", "high", "n_targets", "n_nonmembers", "pooled", "n_references"]


def numbered(n: int = N, n_classes: int = 3, seed: int = 0, d: int = 4) -> Dataset:
    """Records that carry their number in the first column."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.arange(n), rng.normal(size=(n, d))]).astype(np.float32)
    return Dataset("toy", x, rng.integers(0, n_classes, n), n_classes, "own")


def planted(k: int = K, n: int = N, q: int = 0, leak: float | np.ndarray = 1.5, seed: int = 0, trainer=None) -> StockTrial:
    """Models that were never trained: records differ in level and spread, and leak by `leak`."""
    rng = np.random.default_rng(seed)
    e = StockExperiment(numbered(n), trainer, "mlp", k, seed)
    level, spread = rng.normal(0, 2, n), rng.uniform(0.5, 2, n)
    noise = rng.normal(size=(q or 1, k, n)).transpose(1, 2, 0)
    signal = (level[:, None] + spread[:, None] * noise + (leak * e.member)[:, :, None]).astype(np.float32)
    own = Stock(signal if q else signal[:, :, 0], e.member, e.dataset.y, signal[:, :, 0] > 0)
    return StockTrial(e, own, own, np.arange(n) % 10 == 0)


class Remembered:
    """A model that answers the classes of its training set with `sure`, and draws its answers on other records."""

    def __init__(self, dataset: Dataset, rows: np.ndarray, sure: float, seed: int) -> None:
        self.n_classes, self.sure = dataset.n_classes, sure
        self.known = np.zeros(len(dataset.y), bool)
        self.known[rows] = True
        self.y, self.drawn = dataset.y, np.random.default_rng(seed).dirichlet(np.ones(self.n_classes), len(dataset.y))

    def predict_proba(self, x):
        number = x[:, 0].astype(int)
        p = self.drawn[number]
        sure = np.full(p.shape, (1 - self.sure) / (self.n_classes - 1))
        sure[np.arange(len(x)), self.y[number]] = self.sure
        return np.where(self.known[number][:, None], sure, p)


class Memoriser:
    """A trainer of `Remembered` models."""

    def __init__(self, sure: float = 0.98) -> None:
        self.sure = sure

    def keys(self, dataset, rows, seed, first=0):
        return [{"sure": self.sure, "rows": row.tolist(), "seed": seed, "i": first + j} for j, row in enumerate(rows)]

    def fit_many(self, dataset, rows, seed, first=0):
        return [Remembered(dataset, row, self.sure, 1000 * seed + first + j) for j, row in enumerate(rows)]


def remembered(k: int = 6, n: int = N) -> StockExperiment:
    return StockExperiment(numbered(n), Memoriser(), "mlp", k, 3, 0.2)


def literal_auc(scores: list[np.ndarray], trial: StockTrial) -> float:
    """Mean over targets of how often a member's score exceeds a non-member's."""
    values, judged = [], ~trial.population
    for score, inside in zip(scores, trial.own.member, strict=False):
        above = score[judged & inside][:, None] - score[judged & ~inside]
        values.append(((above > 0) + 0.5 * (above == 0)).mean())
    return float(np.mean(values))


# Stocks


def test_records_are_drawn_once_and_keep_their_order():
    dataset = numbered()
    some = stocks.some_records(dataset, 50, 1)
    numbers = some.x[:, 0]
    assert len(numbers) == 50 and (np.diff(numbers) > 0).all()
    np.testing.assert_array_equal(some.y, dataset.y[numbers.astype(int)])
    assert (stocks.some_records(dataset, 50, 2).x[:, 0] != numbers).any()
    assert stocks.some_records(dataset, N, 1) is dataset


def test_a_stock_is_trained_asked_and_given_a_population():
    rng = np.random.default_rng(5)
    dataset = Dataset("toy", rng.integers(0, 2, (80, 12)).astype(np.uint8), rng.integers(0, 3, 80), 3, "own")
    e = StockExperiment(dataset, NeuralTrainer(lambda: mlp(12, 3, 8), Recipe(4, 10, 0.01), "cpu"), "mlp", 4, 2, 0.25)
    trial = stocks.run_stock(e)
    assert trial.own.signal.shape == (4, 80) and trial.others is trial.own
    np.testing.assert_array_equal(trial.own.member, sample_halves(80, 4, 2))
    assert trial.population.sum() == 20
    for i in range(4):
        answers = trial.answers(i)
        np.testing.assert_array_equal(answers.labels, dataset.y)
        np.testing.assert_array_equal(answers.member, trial.own.member[i])
        p = answers.predictions[np.arange(80), dataset.y].astype(float)
        np.testing.assert_allclose(scipy.special.logit(p), trial.own.signal[i], rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(answers.predictions.argmax(1) == dataset.y, trial.right[i])
    (found,) = modern.stock_accuracies([trial]).to_dict("records")
    right, member = trial.own.right, trial.own.member
    train = np.mean([right[i, j] for i in range(4) for j in range(80) if member[i, j]])
    test = np.mean([right[i, j] for i in range(4) for j in range(80) if not member[i, j]])
    assert (found["train_accuracy"], found["test_accuracy"]) == pytest.approx((train, test))
    assert (found["network"], found["members"], found["n_models"], found["source"]) == ("mlp", 40, 4, "own")


def test_the_first_models_are_targets():
    trial = planted()
    assert trial.targets().tolist() == trial.targets(99).tolist() == list(range(K))
    assert trial.targets(3).tolist() == [0, 1, 2]
    target = trial.attacked(3, 2)
    np.testing.assert_array_equal(target.signal, trial.own.signal[3])
    np.testing.assert_array_equal(target.references.member, trial.own.member[[4, 5]])


def test_signals_of_the_target_are_its_own_and_those_of_references_others():
    trial = planted()
    trial = trial._replace(others=planted(seed=9).own)
    (score,) = stocks.stock_scores(trial, {"watson": STOCK_ATTACKS["watson"]}, n_targets=1)
    others = trial.others[trial.own.references(0)]
    for i in range(N):
        expected = trial.own.signal[0, i] - others.signal[~others.member[:, i], i].mean()
        assert np.isnan(score.score[0, i]) if trial.population[i] else score.score[0, i] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", STOCK_ATTACKS)
def test_every_attack_scores_every_judged_record_of_every_target(name):
    trial = planted()
    (score,) = stocks.stock_scores(trial, {name: STOCK_ATTACKS[name]})
    assert (score.attack, score.n_references, score.targets.tolist()) == (name, K - 2, list(range(K)))
    np.testing.assert_array_equal(np.isnan(score.score), np.tile(trial.population, (K, 1)))
    np.testing.assert_array_equal(score.member, trial.own.member)
    assert literal_auc(list(score.score), trial) > 0.55, "the leak is found"


# Attacks that see whole answers


class Spy:
    """An attack that notes what it was fitted on and asked, and scores by the probability of the true class."""

    def __init__(self):
        self.fitted, self.asked = [], []

    def __call__(self, data):
        self.fitted.append(data)
        return self

    def membership_score(self, data):
        self.asked.append(data)
        return data.predictions[np.arange(len(data)), data.labels]


def test_attacks_on_answers_are_fitted_on_references_alone_and_score_records_in_their_order():
    trial, spy = stocks.run_stock(remembered()), Spy()
    (score,) = stocks.answer_scores(trial, {"spy": spy}, n_targets=3, n_references=2)
    e, rows = trial.experiment, [np.flatnonzero(row) for row in trial.own.member]
    models = e.trainer.fit_many(e.dataset, rows, e.seed)
    answers = [model.predict_proba(e.dataset.x).astype(np.float32) for model in models]
    assert score.n_references == 2 and score.score.shape == (3, N)
    for target, (fitted, asked) in enumerate(zip(spy.fitted, spy.asked, strict=True)):
        numbers = trial.own.references(target, 2)
        np.testing.assert_array_equal(fitted.predictions, np.concatenate([answers[i] for i in numbers]))
        np.testing.assert_array_equal(fitted.labels, np.tile(e.dataset.y, 2))
        np.testing.assert_array_equal(fitted.member, trial.own.member[numbers].ravel())
        np.testing.assert_array_equal(asked.predictions, answers[target])
        expected = np.where(trial.population, np.nan, answers[target][np.arange(N), e.dataset.y])
        np.testing.assert_allclose(score.score[target], expected)


def test_a_target_answers_through_its_filter_and_references_through_the_attackers():
    owner, attacker = partial(mitigations.round_to, digits=1), mitigations.label_only
    trial, spy = stocks.run_stock(remembered(), mitigation=owner, of_references=attacker), Spy()
    stocks.answer_scores(trial, {"spy": spy}, n_targets=1)
    plain = stocks.run_stock(remembered())
    np.testing.assert_array_equal(spy.asked[0].predictions, owner(plain.answers(0).predictions))
    assert set(np.unique(spy.fitted[0].predictions)) == {0, 1}
    odds = plain.answers(0, owner).predictions[np.arange(N), plain.own.labels]
    np.testing.assert_array_equal(trial.own.signal[0] > 0, odds > 0.5)
    assert (abs(trial.others.signal) > 11).all(), "labels alone are at the ends"
    assert stocks.run_stock(remembered(), mitigation=owner).others is not None


def test_the_attack_of_2017_finds_a_memoriser_and_judges_no_record_of_the_population():
    trial = stocks.run_stock(remembered())
    for score in stocks.answer_scores(trial, n_targets=2, n_references=2):
        np.testing.assert_array_equal(np.isnan(score.score), np.tile(trial.population, (2, 1)))
        assert literal_auc(list(score.score), trial) > 0.9


def test_all_attacks_take_at_most_the_references_that_there_are():
    trial = stocks.run_stock(remembered())
    scores = modern.all_scores(trial, 2, 1, 50)
    assert [s.attack for s in scores] == [*STOCK_ATTACKS, *stocks.ANSWER_ATTACKS, "quantile"]
    by_name = {s.attack: s for s in scores}
    assert [by_name[name].n_references for name in ("watson", "shokri", "quantile")] == [4, 4, 0]
    assert [len(by_name[name].targets) for name in ("watson", "shokri", "quantile")] == [2, 1, 1]
    assert modern.in_order(scores, ["shokri", "base"]) == [by_name["shokri"], by_name["base"]]
    with pytest.raises(ValueError, match=r"attacks must be among confidence, .*, got nothing"):
        modern.in_order(scores, ["base", "nothing"])


# Attacks without references


def test_quantile_regression_judges_all_but_the_population():
    trial = planted()
    score = questions.quantile_scores(trial, 2)
    assert (score.attack, score.n_references, score.score.shape) == ("quantile", 0, (2, N))
    np.testing.assert_array_equal(np.isnan(score.score), np.tile(trial.population, (2, 1)))
    assert len(questions.quantile_scores(trial).targets) == K
    assert len(questions.quantile_scores(trial, 99).targets) == K


def test_quantile_regression_takes_the_smallest_rate_that_its_non_members_carry():
    trial = planted()
    population = np.zeros(N, bool)
    population[np.flatnonzero(~trial.own.member[0])[:49]] = True  # 49 times 1 / 49 is less than 1 in floats
    score = questions.quantile_scores(trial._replace(population=population), 1)
    assert np.isnan(score.score[0]).sum() == 49


def bits_trial(pictures: bool = False) -> StockTrial:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (80, 4, 4)) if pictures else rng.integers(0, 2, (80, 16))
    dataset = Dataset("toy", x.astype(np.uint8), rng.integers(0, 3, 80), 3, "own")
    trainer = NeuralTrainer(lambda: mlp(16, 3, 8, pixels=pictures), Recipe(4, 10, 0.01), "cpu")
    return stocks.run_stock(StockExperiment(dataset, trainer, "mlp", 4, 2, 0.25))


@pytest.mark.parametrize("pictures", [False, True])
def test_labels_alone_are_asked_about_some_judged_records(pictures):
    trial = bits_trial(pictures)
    scores, spent = questions.label_scores(trial, 1, 20, 15)
    names = ["label_gap", "label_noise", "label_boundary", *(["label_augmentation"] if pictures else [])]
    assert [s.attack for s in scores] == list(spent) == names
    asked = ~np.isnan(scores[0].score[0])
    assert asked.sum() == 20 and not (asked & trial.population).any()
    for s in scores:
        assert s.score.shape == s.member.shape == (1, 80) and s.n_references == 0
        np.testing.assert_array_equal(~np.isnan(s.score[0]), asked)
    np.testing.assert_array_equal(scores[0].score[0, asked], trial.right[0, asked])
    assert (spent["label_gap"], spent["label_noise"]) == (1, questions.NOISY_COPIES)
    assert 1 <= spent["label_boundary"] <= 15
    assert not pictures or spent["label_augmentation"] == 18  # nine places and their mirror images
    again, _ = questions.label_scores(trial, 2, 999, 15)
    assert (~np.isnan(again[0].score)).sum(1).tolist() == [60, 60]


def test_labels_alone_take_the_noise_that_ranks_best_on_a_reference(monkeypatch):
    trial, seen = bits_trial(), []
    noise = questions.label_only_noise

    def noted(model, x, labels, **options):
        result = noise(model, x, labels, **options)
        seen.append((options["rate"], result.score))
        return result

    monkeypatch.setattr(questions, "label_only_noise", noted)
    (_, noisy, _), _ = questions.label_scores(trial, 1, 30, 5)
    asked = ~np.isnan(noisy.score[0])
    member = trial.own.member[trial.own.references(0, 1)[0], asked]
    tried = {rate: metrics.auc(member, score) for rate, score in seen[:-1]}
    assert list(tried) == list(questions.RATES)
    assert tried[seen[-1][0]] == max(tried.values())


# Rates


def test_rates_are_those_of_the_metrics_with_dataset_and_attack_in_front():
    trial = planted()
    scores = stocks.stock_scores(trial, {name: STOCK_ATTACKS[name] for name in ("base", "watson")}, n_targets=3)
    table = modern.rate_table(trial, scores, FPRS, n_boot=20)
    assert list(table.columns) == [*FRONT, "metric", "fpr", *NUMBERS]
    assert table["attack"].tolist() == ["base"] * 4 + ["watson"] * 4
    assert set(table["dataset"]) == {"toy"} and set(table["source"]) == {"own"} and set(table["n_references"]) == {K - 2}
    for s in scores:
        rows = table[table["attack"] == s.attack]
        expected = metrics.tpr_table(s.score, s.member, fprs=FPRS, n_boot=20)
        pd.testing.assert_frame_equal(rows[expected.columns].reset_index(drop=True), expected)
        for fpr in FPRS:
            value = np.mean([metrics.tpr_at_fpr(inside, score, fpr) for score, inside in zip(s.score, s.member, strict=True)])
            assert rows.loc[rows["fpr"] == fpr, "value"].item() == pytest.approx(value)
    rates = modern.tpr_rows(table)
    assert list(rates.columns) == [*FRONT, "fpr", "tpr", "low", "high", *NUMBERS[3:]]
    np.testing.assert_array_equal(rates["tpr"], table.loc[table["metric"] == "tpr", "value"])


def test_roc_curves_are_a_literal_loops():
    trial = planted(n=60)
    (score,) = stocks.stock_scores(trial, {"base": STOCK_ATTACKS["base"]}, n_targets=3)
    tied = score._replace(score=np.where(score.score < -1, -np.inf, score.score.round(1)), attack="tied")
    table = modern.log_roc(trial, [score, tied], points=9)
    assert list(table.columns) == [*FRONT, "fpr", "tpr"]
    for s, (_, rows) in zip([score, tied], table.groupby("attack", sort=False), strict=True):
        counts = [int((~np.isnan(one) & ~inside).sum()) for one, inside in zip(s.score, s.member, strict=True)]
        np.testing.assert_allclose(rows["fpr"], np.geomspace(1 / min(counts), 1, 9))
        for fpr, tpr in zip(rows["fpr"], rows["tpr"], strict=True):
            best = []
            for one, inside in zip(s.score, s.member, strict=True):
                members = [v for v, i in zip(one, inside, strict=True) if i and not np.isnan(v)]
                others = [v for v, i in zip(one, inside, strict=True) if not i and not np.isnan(v)]
                reached = [0.0]
                for threshold in {*members, *others}:
                    if np.mean([v >= threshold for v in others]) <= fpr + 1e-9:
                        reached.append(float(np.mean([v >= threshold for v in members])))
                best.append(max(reached))
            assert tpr == pytest.approx(np.mean(best))
        assert rows["tpr"].iloc[-1] == 1


# Fewer references


def test_attacks_are_asked_again_with_their_first_references():
    trial = planted()
    table = modern.by_reference_count(trial, [1, 2, 4, 100], n_answer_targets=0, fprs=FPRS)
    assert list(table.columns) == [*FRONT, "metric", "fpr", *NUMBERS]
    found = {n: set(rows["attack"]) for n, rows in table.groupby("n_references")}
    always = {"rmia_online", "rmia_offline", "watson"}
    assert found == {1: always, 2: always | {"lira_online_global"}, 4: set(modern.BY_COUNT), 6: set(modern.BY_COUNT)}
    auc = table[(table["metric"] == "auc")].set_index(["attack", "n_references"])["value"]
    alone = []
    for target in range(K):
        number = (target + 1 if target % 2 else target + 2) % K  # the next model that is not its complement
        reference = trial.own.signal[number].astype(float)
        alone.append(np.where(trial.own.member[number], np.nan, trial.own.signal[target] - reference))
    values = []
    for score, inside in zip(alone, trial.own.member, strict=True):
        known = ~np.isnan(score) & ~trial.population
        above = score[known & inside][:, None] - score[known & ~inside]
        values.append((above > 0).mean())
    assert auc["watson", 1] == pytest.approx(np.mean(values))
    full = stocks.stock_scores(trial, {"lira_online": STOCK_ATTACKS["lira_online"]})
    assert auc["lira_online", 6] == pytest.approx(literal_auc(list(full[0].score), trial))


def test_one_reference_tells_nothing_of_a_target_that_does_not_leak():
    """As the target's complement would: what it knows, the target does not."""
    values = []
    for seed in range(8):
        trial = planted(leak=0.0, seed=seed)
        leaking = trial.own.signal + 3 * trial.own.member.astype(np.float32)
        trial = trial._replace(others=replace(trial.own, signal=leaking))
        table = modern.by_reference_count(trial, [1], n_answer_targets=0, fprs=FPRS)
        values.append(table[(table["metric"] == "auc") & (table["n_references"] == 1)].set_index("attack")["value"])
    assert (abs(pd.concat(values, axis=1).mean(axis=1) - 0.5) < 0.03).all()


def test_the_attack_of_2017_is_asked_again_too():
    trial = stocks.run_stock(remembered())
    table = modern.by_reference_count(trial, [2], {}, n_answer_targets=1, fprs=FPRS)
    assert set(table["attack"]) == {"shokri"} and table["n_references"].unique().tolist() == [2, 4]
    assert (table.loc[table["metric"] == "auc", "value"] > 0.9).all()
    few = modern.by_reference_count(trial, [2], n_answer_targets=1, most_answered=2, fprs=FPRS)
    assert few.loc[few["attack"] == "shokri", "n_references"].unique().tolist() == [2]
    assert few.loc[few["attack"] == "watson", "n_references"].unique().tolist() == [2, 4]


# The ladder


def of_records(trial: StockTrial, target: int, score) -> np.ndarray:
    """`score` of (the target's signal, those of IN and of OUT references) of each record, one query."""
    references = trial.own[trial.own.references(target)]
    sides = []
    for i in range(trial.own.signal.shape[1]):
        signals, inside = references.signal[:, i].astype(float), references.member[:, i]
        sides.append((float(trial.own.signal[target, i]), signals[inside], signals[~inside]))
    return np.array([score(*each) for each in sides])


def log_p(x):
    return np.log(1 / (1 + np.exp(-np.asarray(x, float))))


def spreads(trials: list[StockTrial], target: int) -> list[float]:
    """One deviation of all IN signals, and one of all OUT signals, from their records' means, over all queries."""
    found = []
    for side in (True, False):
        parts = []
        for trial in trials:
            references = trial.own[trial.own.references(target)]
            parts += [references.signal[references.member[:, i] == side, i].astype(float) for i in range(N)]
        found.append(np.sqrt(sum(((p - p.mean()) ** 2).sum() for p in parts) / sum(len(p) - 1 for p in parts)))
    return found


def literal_lira(trial: StockTrial, target: int, online: bool, queries: list[StockTrial]) -> np.ndarray:
    std_in, std_out = spreads(queries, target)
    density = scipy.stats.norm.logpdf
    if online:
        return of_records(
            trial, target, lambda x, i, o: density(x, i.mean(), std_in) - density(x, o.mean(), std_out)
        )  # fmt: skip
    return of_records(trial, target, lambda x, i, o: -scipy.stats.norm.logsf(x, o.mean(), std_out))


def test_each_step_of_the_ladder_is_its_formula():
    trial = planted(k=6)
    table = modern.ladder(trial, n_targets=2, fprs=FPRS)
    assert list(table.columns) == ["dataset", "source", "side", "step", "metric", "fpr", *NUMBERS]
    auc = table[table["metric"] == "auc"].set_index(["side", "step"])["value"]
    steps = {
        ("none", "one threshold"): lambda x, i, o: 1 / (1 + np.exp(-x)),
        ("OUT", "a threshold a record"): lambda x, i, o: log_p(x) - log_p(o).mean(),
        ("OUT", "logit"): lambda x, i, o: x - o.mean(),
        ("IN and OUT", "a threshold a record"): lambda x, i, o: log_p(x) - (log_p(i).mean() + log_p(o).mean()) / 2,
        ("IN and OUT", "logit"): lambda x, i, o: x - (i.mean() + o.mean()) / 2,
    }
    literal = {key: [of_records(trial, t, score) for t in (0, 1)] for key, score in steps.items()}
    literal["OUT", "Gaussian"] = [literal_lira(trial, t, False, [trial]) for t in (0, 1)]
    literal["IN and OUT", "Gaussian"] = [literal_lira(trial, t, True, [trial]) for t in (0, 1)]
    assert set(auc.index) == set(literal)
    for key, scores in literal.items():
        assert auc[key] == pytest.approx(literal_auc(scores, trial), abs=1e-9), key


def test_several_queries_are_the_last_step():
    trial, queried = planted(k=6), planted(k=6, q=3)
    auc = modern.ladder(trial, queried, n_targets=2, fprs=FPRS).query("metric == 'auc'").set_index(["side", "step"])["value"]
    for side, online in (("OUT", False), ("IN and OUT", True)):
        one_by_one = [queried._replace(own=replace(queried.own, signal=queried.own.signal[:, :, q].copy())) for q in range(3)]
        scores = [np.mean([literal_lira(each, t, online, one_by_one) for each in one_by_one], axis=0) for t in (0, 1)]
        assert auc[side, "queries"] == pytest.approx(literal_auc(scores, trial), abs=1e-9)


# What an accusation is worth


def test_an_accusations_worth_is_a_literal_loops():
    trial = planted(leak=2.5)
    attacks = {name: STOCK_ATTACKS[name] for name in ("confidence", "watson")}
    table = modern.ppv_table(trial, attacks, [0.05, 0.001], [0.1, 0.5])
    columns = [*FRONT, "prior", "fpr", "achieved_fpr", "achieved_tpr", "value", "low", "high", "n_targets"]
    assert list(table.columns) == columns
    assert table[["attack", "prior", "fpr"]].to_numpy().tolist() == [
        [name, prior, 0.05] for name in attacks for prior in (0.1, 0.5)
    ]  # no target has a thousand non-members
    judged = ~trial.population
    member, signals = trial.own.member, trial.own.signal.astype(float)

    def watson(model: int, of: list[int]) -> np.ndarray:
        outside = [[signals[j, i] for j in of if not member[j, i]] for i in range(N)]
        return np.array([signals[model, i] - np.mean(outside[i]) for i in range(N)])[judged]

    for prior in (0.1, 0.5):
        rates, values = [], []
        for target in range(K):
            mock, *others = references = trial.own.references(target).tolist()
            others = [i for i in others if (member[i] & member[mock]).any()]  # all but its complement
            scores, inside = watson(mock, others), member[mock, judged]
            allowed = int(0.05 * (~inside).sum())
            barred = np.sort(scores[~inside])[::-1][allowed]  # one false accusation too many
            threshold = scores[inside & (scores > barred)].min()
            ours, inside = watson(target, references), member[target, judged]
            fpr, tpr = (ours[~inside] >= threshold).mean(), (ours[inside] >= threshold).mean()
            rates.append((fpr, tpr))
            values.append(prior * tpr / (prior * tpr + (1 - prior) * fpr))
        row = table[(table["attack"] == "watson") & (table["prior"] == prior)].iloc[0]
        assert (row["achieved_fpr"], row["achieved_tpr"]) == pytest.approx(tuple(np.mean(rates, axis=0)))
        assert (row["value"], row["n_targets"]) == (pytest.approx(np.mean(values)), K)
        half = scipy.stats.t.ppf(0.975, K - 1) * np.std(values, ddof=1) / np.sqrt(K)
        assert (row["low"], row["high"]) == pytest.approx((np.mean(values) - half, min(1, np.mean(values) + half)))


def moved(trial: StockTrial, by: float, members: bool) -> StockTrial:
    """The first target's answers on its members, or on its other records, moved; nothing else."""
    signal = trial.own.signal.copy()
    signal[0, trial.own.member[0] == members] += by
    return trial._replace(own=replace(trial.own, signal=signal))


def test_the_targets_own_records_set_no_threshold():
    trial, attacks = planted(), {"watson": STOCK_ATTACKS["watson"]}
    (plain,) = modern.ppv_table(trial, attacks, [0.05], [0.5], n_targets=1).to_dict("records")
    (higher,) = modern.ppv_table(moved(trial, 99, True), attacks, [0.05], [0.5], n_targets=1).to_dict("records")
    (worse,) = modern.ppv_table(moved(trial, 99, False), attacks, [0.05], [0.5], n_targets=1).to_dict("records")
    assert (higher["achieved_fpr"], higher["achieved_tpr"]) == (plain["achieved_fpr"], 1)
    assert (worse["achieved_fpr"], worse["achieved_tpr"]) == (1, plain["achieved_tpr"])
    assert (plain["low"], plain["high"], plain["n_targets"]) == (0, 1, 1), "one target tells nothing of others"


def test_where_nothing_is_called_a_member_no_accusation_has_a_worth():
    trial = moved(moved(planted(), -99, True), -99, False)
    (row,) = modern.ppv_table(trial, {"watson": STOCK_ATTACKS["watson"]}, [0.05], [0.5], n_targets=1).to_dict("records")
    assert np.isnan([row["value"], row["low"], row["high"]]).all()
    assert (row["achieved_fpr"], row["achieved_tpr"], row["n_targets"]) == (0, 0, 0)
    silent = modern.ppv_table(trial, {"watson": STOCK_ATTACKS["watson"]}, [0.001])
    assert len(silent) == 0 and "value" in silent


# Who leaks


def scored(trial: StockTrial, attack: str, score: np.ndarray) -> Scores:
    return Scores(attack, 0, np.arange(len(score)), score, trial.own.member[: len(score)])


def test_found_are_members_above_the_targets_threshold():
    trial = planted(k=2, n=20)
    trial = trial._replace(population=np.zeros(20, bool))
    member = trial.own.member[:1]
    score = np.where(member, 1.0, 0.0)
    score[0, np.flatnonzero(member[0])[:3]] = 5.0
    score[0, np.flatnonzero(~member[0])[:2]] = [4.0, 2.0]
    score[0, np.flatnonzero(member[0])[9]] = np.nan
    found = exposure.found_members(scored(trial, "any", score), 0.1)  # one non-member of ten
    np.testing.assert_array_equal(found[0], score[0] == 5)
    found = exposure.found_members(scored(trial, "any", score), 0.2)
    np.testing.assert_array_equal(found[0], member[0] & ~np.isnan(score[0]))


def test_overlap_counts_members_that_two_attacks_find():
    trial = planted(k=4, n=40)
    member = trial.own.member
    order = [np.flatnonzero(row) for row in member]
    one, two = np.zeros((2, 40)), np.zeros((1, 40))
    one[0, order[0][:8]], one[1, order[1][:4]], two[0, order[0][6:12]] = 1, 1, 1
    nothing = np.where(member[:1], 0.0, 1.0)
    scores = [scored(trial, "one", one), scored(trial, "two", two), scored(trial, "nothing", nothing)]
    table = exposure.overlap(trial, scores, 0.05).set_index(["attack", "other"])
    assert table.loc[("one", "one"), ["n_found", "share"]].tolist() == [8, 1]  # of the target that both attacked
    assert table.loc[("one", "two"), ["n_found", "share"]].tolist() == [8, 2 / 8]
    assert table.loc[("two", "one"), ["n_found", "share"]].tolist() == [6, 2 / 6]
    assert table.loc[("nothing", "one"), "n_found"] == 0 and np.isnan(table.loc[("nothing", "one"), "share"])
    assert len(table) == 9 and set(table["fpr"]) == {0.05}
    both = exposure.overlap(trial, [scored(trial, "one", one), scored(trial, "again", one)], 0.05)
    assert set(both["n_found"]) == {6} and set(both["share"]) == {1}


def test_separation_is_its_formula():
    trial = planted(q=2)
    found = exposure.separation(trial.own)
    for i in range(N):
        signals = trial.own.signal[:, i].astype(float).mean(1)
        inside, outside = signals[trial.own.member[:, i]], signals[~trial.own.member[:, i]]
        spread = np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
        assert found[i] == pytest.approx((inside.mean() - outside.mean()) / spread)


def test_separation_without_deviation_or_without_models_of_a_kind():
    member = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 1, 0]], bool)
    signal = np.array([[5, 2, 1, 1], [5, 2, 2, 2], [1, 2, 3, 3], [1, 2, 4, 4]], np.float32)
    np.testing.assert_array_equal(exposure.separation(Stock(signal, member, np.zeros(4, int))), [np.inf, 0, np.nan, np.nan])


def test_exposures_are_literal_loops():
    trial = planted(n=40)
    (score,) = stocks.stock_scores(trial, {"watson": STOCK_ATTACKS["watson"]}, n_targets=3)
    table = exposure.exposures(trial, score, 0.1)
    assert tuple(table.columns) == exposure.EXPOSURES
    table = table.set_index("record")
    assert table.index.tolist() == np.flatnonzero(~trial.population).tolist()
    found, separation = exposure.found_members(score, 0.1), exposure.separation(trial.own)
    for i, row in table.iterrows():
        had = [t for t in range(3) if trial.own.member[t, i]]
        assert row["member_of"] == len(had)
        assert row["found"] == pytest.approx(np.mean([found[t, i] for t in had])) if had else np.isnan(row["found"])
        assert row["separation"] == separation[i]
        assert row["out_accuracy"] == np.mean([trial.right[m, i] for m in range(K) if not trial.own.member[m, i]])
        assert row["cls"] == trial.experiment.dataset.y[i]


def test_pictures_of_each_class_are_its_ends():
    rng = np.random.default_rng(0)
    pictures = Dataset("toy", rng.integers(0, 256, (9, 2, 2, 3)).astype(np.uint8), np.repeat([0, 1, 2], 3), 3, "own")
    table = pd.DataFrame(
        {
            "dataset": "toy", "source": "own", "record": range(8), "cls": pictures.y[:8], "name": "thing", "member_of": 2,
            "found": [0.5, 1, 1, np.nan, 0.2, 0.1, np.nan, 1], "separation": [9.0, 1, 2, 8, 1, 3, 4, 5], "out_accuracy": 0.25,
        }
    )  # fmt: skip
    shown = exposure.exposed_pictures(table, pictures, [1, 0, 2])
    assert shown[["cls", "exposed", "score"]].to_numpy().tolist() == [[1, True, 1], [1, False, 3], [0, True, 2], [0, False, 9]]
    for row, number in zip(shown.itertuples(), [4, 5, 2, 0], strict=True):
        assert row.pixels == pictures.x[number].tobytes().hex() and (row.height, row.width) == (2, 2)


def test_exposure_is_stable_where_records_differ_in_their_leak_and_only_there():
    leaks = np.random.default_rng(1).uniform(0, 8, 400)
    (own,) = exposure.stability(planted(k=16, n=400, leak=leaks)).to_dict("records")
    assert own["n_models"] == 8 and own["low"] <= own["spearman"] <= own["high"] and own["spearman"] > 0.6
    trial = planted(k=16, n=400, leak=0.0)
    even = trial._replace(own=replace(trial.own, signal=np.random.default_rng(2).normal(size=(16, 400)).astype(np.float32)))
    (none,) = exposure.stability(even).to_dict("records")
    assert abs(none["spearman"]) < 0.15 and none["low"] < 0 < none["high"]
    halves = [exposure.separation(trial.own[part]) for part in (slice(0, 8), slice(8, 16))]
    (literal,) = exposure.stability(trial).to_dict("records")
    assert literal["spearman"] == pytest.approx(scipy.stats.spearmanr(*halves).statistic)


def exposed(trial: StockTrial, separation: np.ndarray, out_accuracy: float | np.ndarray = 0.5) -> pd.DataFrame:
    rows = np.flatnonzero(~trial.population)
    front = {"dataset": "toy", "source": "own", "record": rows, "cls": trial.own.labels[rows], "name": "", "member_of": 4}
    return pd.DataFrame(front | {"found": 0.5, "separation": separation[rows], "out_accuracy": out_accuracy})


def test_marks_of_exposed_records_are_found():
    trial = planted()
    rng, y = np.random.default_rng(0), trial.own.labels
    away, direction = rng.uniform(0, 3, N), rng.normal(size=(N, 5))
    direction /= np.sqrt((direction**2).sum(1, keepdims=True))
    x = (8 * np.eye(5)[y] + away[:, None] * direction).astype(np.float32)
    trial = trial._replace(experiment=trial.experiment._replace(dataset=replace(trial.experiment.dataset, x=x)))
    table = exposure.marks(trial, exposed(trial, away))
    assert table["mark"].tolist() == list(exposure.MARKS)
    far = table[table["mark"] == "distance to its class"].iloc[0]
    assert far["spearman"] > 0.9 and far["low"] <= far["spearman"] <= far["high"]
    assert np.isnan(table.loc[table["mark"] == "difficulty", "spearman"].item()), "a constant mark has no rank correlation"
    hard = rng.random((~trial.population).sum())
    table = exposure.marks(trial, exposed(trial, away, hard)).set_index("mark")
    expected = scipy.stats.spearmanr(1 - hard, away[~trial.population]).statistic
    assert table.loc["difficulty", "spearman"] == pytest.approx(expected)
    rarity = {c: 1 / (y == c).sum() for c in range(3)}
    expected = scipy.stats.spearmanr([rarity[c] for c in y[~trial.population]], away[~trial.population]).statistic
    assert table.loc["rarity of its class", "spearman"] == pytest.approx(expected)


def test_distances_and_neighbours_are_literal_loops():
    rng = np.random.default_rng(0)
    x, y = rng.normal(100, 1, (60, 6)).astype(np.float32), np.append(rng.integers(0, 3, 59), 4)
    rows = np.arange(0, 60, 3)
    found = exposure._geometry(Dataset("toy", x, y, 6, "own"), np.append(rows, 59))
    for place, i in enumerate(rows):
        own = x[[j for j in range(60) if y[j] == y[i] and j != i]].mean(0, dtype=float)
        to_others = [np.linalg.norm(x[i] - x[y == c].mean(0, dtype=float)) for c in (0, 1, 2, 4) if c != y[i]]
        expected = np.linalg.norm(x[i] - own) / np.mean(to_others)
        assert found["distance to its class"][place] == pytest.approx(expected, rel=1e-4)
        near = sorted((j for j in range(60) if j != i), key=lambda j: np.linalg.norm(x[i] - x[j]))[: exposure.NEIGHBOURS]
        assert found["neighbours of other classes"][place] == pytest.approx(np.mean(y[near] != y[i]))
    assert np.isnan(found["distance to its class"][-1]), "the only record of a class has no distance to it"


# Mitigations judged again


def test_mitigations_are_judged_by_stocks_of_their_own():
    e, made = remembered(n=120), []

    def train(make_model, recipe):
        made.append((make_model, recipe))
        return Memoriser(0.5)

    training = sweep.Mitigation("modesty", "s", 0.5, "mitigation:modesty", trainer=train)
    known = [sweep.NONE, sweep.rounding_filter(1), training]
    table = mitigated.mitigated_rates(e, known, "make", "recipe", n_targets=3, n_answer_targets=1, fprs=FPRS)
    first = ["dataset", "source", "mitigation", "knob", "at", "setting", "train_accuracy", "test_accuracy", "attack", "metric"]
    assert list(table.columns)[:10] == first
    assert made == [("make", "recipe")]
    assert list(dict.fromkeys(table["mitigation"])) == ["none", "rounding", "modesty"]
    assert set(table["attack"]) == {*mitigated.FOLLOWED, "shokri"}
    assert set(table["metric"]) == {"tpr", "auc", "balanced_accuracy", "epsilon"}
    plain = stocks.run_stock(e)
    rates = modern.rate_table(plain, stocks.stock_scores(plain, {"watson": STOCK_ATTACKS["watson"]}, 3), FPRS, n_boot=100)
    rows = table[(table["mitigation"] == "none") & (table["attack"] == "watson") & (table["metric"] != "epsilon")]
    np.testing.assert_allclose(rows["value"], rates["value"])
    average = table[(table["metric"] == "balanced_accuracy") & (table["attack"] == "shokri")].set_index("mitigation")["value"]
    assert average["none"] > 0.9
    assert (table["train_accuracy"] == 1).all()
    by_training = table.groupby("mitigation")["test_accuracy"].first()
    assert by_training["none"] == by_training["modesty"] == pytest.approx(plain.right[~plain.own.member].mean())
    alone = mitigated.mitigated_rates(e, [sweep.NONE], "make", "recipe", n_targets=1, n_answer_targets=0, fprs=FPRS)
    assert set(alone["attack"]) == set(mitigated.FOLLOWED)


def test_bounds_of_epsilon_are_those_of_the_metrics():
    trial = planted(n=400)
    scores = stocks.stock_scores(trial, {"watson": STOCK_ATTACKS["watson"]}, n_targets=3)
    table = mitigated.epsilon_rows(trial, scores, delta=1e-3).set_index("estimate")
    (score, member), n = (scores[0].score, scores[0].member), 360
    counts, ceilings, one_run = [], [], []
    for t in range(3):
        seed = randomness.derive(0, "audit", t)
        found = metrics.audited_epsilon(score[t], member[t], delta=1e-3, seed=seed)
        counts.append(found.epsilon)
        ceilings.append(found.ceiling)
        ranked = sorted((i for i in range(400) if not np.isnan(score[t, i])), key=lambda i: score[t, i])
        right = sum(member[t, i] for i in ranked[-90:]) + sum(not member[t, i] for i in ranked[:90])
        one_run.append(metrics.one_run_epsilon(180, right, n, 1e-3))
    expected = [np.median(counts), min(counts), max(counts), min(ceilings), 3]
    assert table.loc["counts", ["value", "low", "high", "ceiling", "n_targets"]].tolist() == expected
    expected = [np.median(one_run), min(one_run), max(one_run), metrics.one_run_epsilon(180, 180, n, 1e-3), 3]
    assert table.loc["one run", ["value", "low", "high", "ceiling", "n_targets"]].tolist() == expected
    assert max(counts) > 0 and (table["metric"] == "epsilon").all() and (table["delta"] == 1e-3).all()


def test_a_perfect_attack_proves_the_ceiling_and_a_coin_nothing():
    trial = planted(n=400)
    scores = [scored(trial, "perfect", trial.own.member[:2].astype(float)), scored(trial, "constant", np.zeros((2, 400)))]
    table = mitigated.epsilon_rows(trial, scores)
    perfect, constant = table[table["attack"] == "perfect"], table[table["attack"] == "constant"]
    assert (perfect["value"] == perfect["ceiling"]).all() and (perfect["value"] > 2).all()
    assert (constant["value"] == 0).all() and (constant["ceiling"] > 2).all()


def mitigations_table() -> pd.DataFrame:
    rows = []
    for name, knob, at, average, low in (("none", "", 0, 0.9, 0.30), ("L2", "λ", 0.1, 0.7, 0.31), ("top k", "k", 1, 0.8, 0.02)):
        front = {
            "dataset": "toy", "source": "own", "mitigation": name, "knob": knob, "at": at, "setting": f"mitigation:{name}",
            "train_accuracy": 1.0, "test_accuracy": 0.6,
        }  # fmt: skip
        for attack, metric, fpr, value in (
            ("shokri", "balanced_accuracy", np.nan, average), ("shokri", "tpr", 0.01, 0.5), ("shokri", "auc", np.nan, 0.5),
            (stocks.BEST, "tpr", 0.01, low), (stocks.BEST, "tpr", 0.1, 0.5), (stocks.BEST, "balanced_accuracy", np.nan, 0.5),
        ):  # fmt: skip
            rows.append(front | {"attack": attack, "metric": metric, "fpr": fpr, "value": value, "low": value, "high": value})
        for estimate in ("counts", "one run"):
            proved = {"estimate": estimate, "ceiling": 5.0, "delta": 1e-4}
            rows.append(front | {"attack": stocks.BEST, "metric": "epsilon", "value": 2.0, "low": 1, "high": 3} | proved)
    return pd.DataFrame(rows)


def test_mitigations_are_ranked_twice():
    table = mitigations_table()
    for each in (table, table.assign(knob=table["knob"].replace("", np.nan))):  # as it is read back
        standings = mitigated.two_standings(each).set_index("mitigation")
        assert standings[["average", "average_rank"]].to_numpy().tolist() == [[0.9, 3], [0.7, 1], [0.8, 2]]
        assert standings[["low_rate", "low_rate_rank"]].to_numpy().tolist() == [[0.3, 2], [0.31, 3], [0.02, 1]]
        assert {"dataset", "source", "knob", "at", "test_accuracy", "average_low", "low_rate_high", "fpr"} <= set(standings)
    lacking = table[~((table["mitigation"] == "L2") & (table["attack"] == "shokri"))]
    assert mitigated.two_standings(lacking)["average_rank"].tolist() == [2, 1]


def test_promises_stand_beside_what_was_proved():
    table = mitigations_table()
    private = table[table["mitigation"] == "L2"].assign(mitigation="private training", knob="ε", at=8.0, value=1.0)
    found = mitigated.promises(pd.concat([table, private], ignore_index=True))
    columns = ["dataset", "source", "training", "promised", "estimate", "value", "low", "high", "ceiling", "delta"]
    assert list(found.columns) == columns
    assert found["training"].tolist() == ["no mitigation"] * 2 + ["private, ε = 8"] * 2
    assert found["promised"].isna().tolist() == [True, True, False, False] and found["promised"].iloc[-1] == 8
    assert found["value"].tolist() == [2, 2, 1, 1] and found["estimate"].tolist() == ["counts", "one run"] * 2


def test_filtered_answers_are_read_with_the_floor_that_ranks_the_last_model_best():
    e = remembered(8)
    coarse = sweep.rounding_filter(1)
    trial = mitigated.filtered_stock(e, coarse)
    values = []
    for floor in mitigated.FLOORS:
        tried = stocks.run_stock(e, None, coarse.answer, coarse.shadows, floor)
        score = lira(tried.others.signal[-1], tried.others[tried.others.references(7)], variance="global")
        judged = ~tried.population
        values.append(metrics.auc(tried.others.member[-1][judged], score[judged]))
    best = stocks.run_stock(e, None, coarse.answer, coarse.shadows, mitigated.FLOORS[int(np.argmax(values))])
    np.testing.assert_array_equal(trial.own.signal, best.own.signal)


def test_the_pair_that_tunes_is_not_attacked():
    table = mitigated.mitigated_rates(
        remembered(6), [sweep.NONE, sweep.rounding_filter(1)], "make", "recipe", n_answer_targets=0
    )
    assert set(table["n_targets"]) == {4}
