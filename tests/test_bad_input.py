"""Bad input through the public functions: an error that names the argument, the value and what is allowed; nothing silent.

One table a family of cases: what is called, and the error and words that it must answer with.
"""

import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mialib
from mialib import attack, metrics, paper, shadow
from mialib.attack import label_only_augmentation, label_only_boundary, label_only_gap, label_only_noise
from mialib.shadow import View, marginal, noisy
from mialib.study import exposure, mitigated, modern, questions, stocks
from mialib.training import ResidualTrainer, residual

N_CLASSES = 4
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, N_CLASSES, 200)
X = np.concatenate([np.eye(N_CLASSES, dtype=np.float32)[LABELS], RNG.random((200, 6), np.float32)], 1)
DATASET = mialib.Dataset("toy", X, LABELS, N_CLASSES, "own")
SPLIT = mialib.Split(np.arange(0, 200, 2), np.arange(1, 200, 2))
UNIFORM = np.full((200, N_CLASSES), 0.25)
DATA = mialib.AttackData(UNIFORM.astype(np.float32), LABELS, SPLIT.member)


class Answers:
    """A black box with given answers, or with a function of what it is asked."""

    def __init__(self, answers, **attributes):
        self.answers = answers
        self.__dict__ |= attributes

    def predict_proba(self, x):
        return self.answers(x) if callable(self.answers) else self.answers


def ask(answers, **options):
    return mialib.query(Answers(answers), DATASET, SPLIT, **options)


def spoiled(value, of=UNIFORM):
    answers = of.astype(np.float64)
    answers[-1, 1] = value
    return answers


def filtered(function):
    return ask(UNIFORM, mitigation=function)


SIGNAL = RNG.normal(size=(6, 40)).astype(np.float32)
STOCK = mialib.core.Stock(SIGNAL, mialib.sample_halves(40, 6, 0), np.zeros(40, np.int64))
SOME = np.arange(40) < 8
HALVES = mialib.sample_halves(200, 4, 0)
FOREST = mialib.EstimatorTrainer(RandomForestClassifier())


def stocked(**fields):
    return replace(STOCK, **fields)


SIGNALS = RNG.normal(0, 1, 200)
BITS, PIXELS = RNG.integers(0, 2, (200, 6), dtype=np.uint8), RNG.integers(0, 256, (200, 4, 4), dtype=np.uint8)
FIRST = Answers(lambda x: np.eye(N_CLASSES)[np.zeros(len(x), int)])


def quantile(signal, x=X, labels=LABELS, known=SPLIT.member, fpr=0.01):
    return attack.quantile_regression(signal, x, labels, known, fpr=fpr)


CASES = {
    "stocks": [
        (lambda: mialib.sample_halves(5, 4, 0), ValueError, "n must be even, .*got 5"),
        (lambda: mialib.sample_halves(6, 3, 0), ValueError, "k must be even, .*got 3"),
        (lambda: stocked(signal=spoiled(np.nan, SIGNAL).astype(np.float32)), ValueError, "signal must be finite, got 1 value"),
        (lambda: stocked(signal=SIGNAL.astype(float)), TypeError, r"signal must be float32 .* got float64 of shape \(6, 40\)"),
        (lambda: stocked(member=STOCK.member[:, 1:]), TypeError, r"member must be bool of shape \(6, 40\).*\(6, 39\)"),
        (lambda: stocked(labels=np.zeros(39, int)), ValueError, "labels must have one entry a record, 40, got 39"),
        (lambda: STOCK.references(6), ValueError, "target must be between 0 and 5, got 6"),
        (lambda: STOCK.references(0, 5), ValueError, r"n must be between 1 and 4 \(the models beside the target"),
        (lambda: STOCK[:2].references(0), ValueError, "models beside model 0 and its complement, got 2"),
        (lambda: mialib.lira(SIGNAL[0], STOCK[:1]), ValueError, "stock must hold at least 2 reference models, got 1"),
        (lambda: mialib.lira(SIGNAL[0], STOCK[:2], variance="record"), ValueError, "a reference of each kind .*got none"),
        (lambda: mialib.lira(SIGNAL[0, 1:], STOCK), TypeError, r"signal must be floats of shape \(40,\).*\(39,\)"),
        (lambda: mialib.lira(SIGNAL[0] * np.inf, STOCK), ValueError, "signal must be finite, got 40"),
        (lambda: mialib.lira(SIGNAL[0], SIGNAL), TypeError, "stock must be a mialib Stock, got ndarray"),
        (lambda: mialib.lira(SIGNAL[0], STOCK, mode="both"), ValueError, "mode must be one of online, offline"),
        (lambda: mialib.lira(SIGNAL[0], STOCK, variance="all"), ValueError, "variance must be one of None, record, global"),
        (lambda: mialib.rmia(SIGNAL[0], STOCK, ~SOME & SOME), ValueError, "population must hold some of the 40 .* got 0"),
        (lambda: mialib.rmia(SIGNAL[0], STOCK, SOME | ~SOME), ValueError, "leave some to judge, got 40"),
        (
            lambda: mialib.rmia(SIGNAL[0], STOCK, np.arange(8)),
            TypeError,
            r"population must be bool of shape \(40,\), got int64",
        ),
        (lambda: mialib.rmia(SIGNAL[0], STOCK, SOME, gamma=0), ValueError, "gamma must be above 0, got 0"),
        (lambda: mialib.rmia(SIGNAL[0], STOCK, SOME, a=0.3), ValueError, "a must be None where mode is 'online'"),
        (lambda: mialib.rmia(SIGNAL[0], STOCK, SOME, mode="offline", a=2), ValueError, "a must be at least 0 and at most 1"),
        (lambda: mialib.rmia(SIGNAL[0], STOCK[:2], SOME, mode="offline"), ValueError, "a must be given: 2 references"),
        (lambda: mialib.stock(FOREST, DATASET, HALVES[:, 1:], 0), TypeError, r"member must be bool of shape \(k, 200\)"),
        (
            lambda: mialib.stock(FOREST, DATASET, HALVES & (LABELS > 0), 0),
            ValueError,
            "member must have half of the 200 records",
        ),
        (lambda: mialib.stock(FOREST, DATASET, HALVES, 0, queries=[abs]), TypeError, "queries must be views of a picture"),
        (
            lambda: mialib.stock(FOREST, DATASET, HALVES, 0, queries=[abs], mitigation=abs),
            ValueError,
            "queries must be None with a mitigation",
        ),
        (lambda: shadow.log_odds(UNIFORM * 5, LABELS), ValueError, r"predictions must lie in \[0, 1\], got 1\.25"),
        (lambda: shadow.log_odds(UNIFORM, LABELS + 9), ValueError, r"labels must lie in 0\.\.3"),
    ],
    "answers": [
        (lambda: ask(np.ma.masked_array(UNIFORM, UNIFORM > 1)), TypeError, "predict_proba's answer .* masked"),
        (lambda: ask(UNIFORM.astype(complex)), TypeError, "real numbers, got complex128"),
        (lambda: ask(UNIFORM > 0.2), TypeError, "real numbers, got bool"),
        (lambda: ask(UNIFORM.astype(object)), TypeError, "real numbers, got object"),
        (lambda: ask([[0.5, 0.5]] * 199 + [[1.0]]), TypeError, "predict_proba's answer must be an array, got a list"),
        (
            lambda: ask(torch.tensor(UNIFORM, requires_grad=True)),
            TypeError,
            "predict_proba's answer must be an array, got a Tensor",
        ),
        (lambda: ask(UNIFORM[:, :3]), ValueError, r"shape \(200, 4\), got \(200, 3\)"),
        (lambda: ask(UNIFORM[1:]), ValueError, r"shape \(200, 4\), got \(199, 4\)"),
        (lambda: ask(spoiled(np.nan)), ValueError, "finite numbers, got 1 that are not"),
        (lambda: ask(spoiled(np.inf)), ValueError, "finite numbers, got 1 that are not"),
        (lambda: ask(spoiled(-0.01)), ValueError, r"in 0\.\.1, got -0\.01"),
        (lambda: ask(spoiled(-2e-6)), ValueError, r"in 0\.\.1"),
        (lambda: ask(spoiled(1.25)), ValueError, r"in 0\.\.1, got 0\.25\.\.1\.25"),
        (lambda: ask(spoiled(0.2515)), ValueError, "sum to one within 1e-3, row 199 sums to 1.00"),
        (lambda: ask(lambda x: 1 / 0), ZeroDivisionError, "division"),
    ],
    "models": [
        (lambda: mialib.query(object(), DATASET, SPLIT), TypeError, "model must have predict_proba, got a object"),
        (
            lambda: mialib.query(torch.nn.Linear(10, 4), DATASET, SPLIT),
            TypeError,
            r"predict_proba.*mialib\.black_box\(module\)",
        ),
        (
            lambda: mialib.query(Answers(UNIFORM, classes_=["a", "b", "c", "d"]), DATASET, SPLIT),
            ValueError,
            "classes_ must be labels of toy",
        ),
        (
            lambda: mialib.query(Answers(UNIFORM, classes_=[0, 1, 2]), DATASET, SPLIT),
            ValueError,
            "a column for each of 3 classes_",
        ),
        (lambda: mialib.query(Answers(UNIFORM), X, SPLIT), TypeError, "dataset must be a mialib Dataset, got ndarray"),
        (lambda: mialib.query(Answers(UNIFORM), DATASET, (1, 2)), TypeError, "split must be a mialib Split, got tuple"),
        (
            lambda: mialib.query(Answers(UNIFORM), DATASET, mialib.Split([0], [200])),
            ValueError,
            r"rows of the data set, 0\.\.199, got 200",
        ),
        (
            lambda: mialib.shadow_attack_data(RandomForestClassifier(), DATASET, [SPLIT], 0),
            TypeError,
            "trainer must have fit_many and keys",
        ),
        (
            lambda: mialib.shadow_attack_data(mialib.EstimatorTrainer(RandomForestClassifier()), DATASET, [], 0),
            ValueError,
            "splits must hold at least one",
        ),
    ],
    "mitigations": [
        (lambda: filtered(lambda p: p * np.nan), ValueError, r"mitigation must return values in \[0, 1\], got nan"),
        (lambda: filtered(lambda p: p * 5), ValueError, r"mitigation must return values in \[0, 1\], got .*1\.25"),
        (
            lambda: filtered(lambda p: p[1:]),
            ValueError,
            r"mitigation must return floats of shape \(200, 4\), got .*\(199, 4\)",
        ),
        (lambda: filtered(lambda p: p[:, :2]), ValueError, r"mitigation must return floats of shape \(200, 4\)"),
        (lambda: filtered(lambda p: p > 0.5), ValueError, "mitigation must return floats .*got bool"),
        (lambda: filtered(lambda p: None), ValueError, "mitigation must return floats"),
    ],
    "pools and splits": [
        (lambda: mialib.sample_splits([0, 1, 1, 2], 1, 1, 0), ValueError, "pool must be different rows, got 1 of them again"),
        (lambda: mialib.sample_splits([-1, 1, 2, 3], 1, 1, 0), ValueError, r"pool must be 0 or more, got -1\.\.3"),
        (lambda: mialib.sample_splits([0.5, 1, 2], 1, 1, 0), TypeError, "pool must be a vector of whole numbers, got float64"),
        (lambda: mialib.sample_splits([True, False], 1, 1, 0), TypeError, "pool must be a vector of whole numbers, got bool"),
        (lambda: mialib.sample_splits([np.nan, 1.0], 1, 1, 0), TypeError, "pool must be a vector of whole numbers"),
        (lambda: mialib.sample_splits(np.arange(4), 3, 1, 0), ValueError, r"n must be between 1 and 2 .*got 3"),
        (lambda: mialib.Split([0, 0], [1, 2]), ValueError, "split.members must be different rows"),
        (lambda: mialib.Split([0, -2], [1, 2]), ValueError, r"split.members must be 0 or more, got -2\.\.0"),
        (lambda: mialib.Split([0.0, 1.0], [2, 3]), TypeError, "split.members must be a vector of whole numbers, got float64"),
        (lambda: mialib.Split([0, 1], np.ma.masked_array([2, 3])), TypeError, "split.nonmembers must be a plain array"),
        (lambda: mialib.split_target(DATASET, 101, RNG), ValueError, "n must be between 1 and 100"),
    ],
    "records": [
        (lambda: marginal(np.full((3, 2), np.nan), 2, RNG), ValueError, "x must be finite, got 6"),
        (lambda: marginal(np.full((3, 2), "a"), 2, RNG), TypeError, "x must be records of real numbers, got <U1"),
        (lambda: marginal(np.full((3, 2), None), 2, RNG), TypeError, "x must be records of real numbers, got object"),
        (lambda: noisy(np.full((3, 2), np.nan), 0.5, RNG, "random"), ValueError, "x must be finite, got 6"),
        (lambda: noisy(np.full((3, 2), "a"), 0.5, RNG, "random"), TypeError, "x must be records of real numbers"),
        (
            lambda: noisy(np.full((3, 2), 1j), 0.5, RNG, "random"),
            TypeError,
            "x must be records of real numbers, got complex128",
        ),
        (lambda: noisy(np.ma.masked_array(np.zeros((3, 2), np.uint8)), 0.5, RNG), TypeError, "x must be a plain array"),
    ],
    "attacks and metrics": [
        (lambda: attack.confidence_threshold(DATA, per_class="no"), TypeError, "per_class must be True or False, got 'no'"),
        (lambda: metrics.roc(DATA, np.full(200, 1j)), TypeError, "score must be real numbers, got complex128"),
        (lambda: metrics.roc(DATA, np.full(200, None)), TypeError, "score must be real numbers, got object"),
        (
            lambda: metrics.tpr_at_fpr(DATA, np.zeros(200), 0.001),
            ValueError,
            r"fpr must be at least 1 / 100 = 0\.01.*got 0\.001",
        ),
        (
            lambda: metrics.tpr_table(np.zeros((2, 9)), np.zeros((2, 8), bool)),
            TypeError,
            r"member must be bool of shape \(2, 9\)",
        ),
        (lambda: metrics.by_class(DATA, np.zeros(200)), TypeError, "decision must be bool"),
        (lambda: metrics.by_class(UNIFORM, np.zeros(200, bool)), TypeError, "data must be a mialib AttackData, got ndarray"),
        (lambda: replace(DATA, predictions=np.ma.masked_array(DATA.predictions)), TypeError, "predictions must be floats"),
        (lambda: replace(DATA, member=LABELS), TypeError, "member must be bool"),
    ],
    "attacks without a stock": [
        (
            lambda: quantile(SIGNALS[1:]),
            TypeError,
            r"signal must be real numbers of shape \(200,\), .* got float64 of shape \(199,\)",
        ),
        (lambda: quantile(SIGNALS * np.nan), ValueError, "signal must be finite, got 200 values"),
        (lambda: quantile(SIGNALS, labels=LABELS[1:]), ValueError, "labels must have one entry a record, 200, got 199"),
        (lambda: quantile(SIGNALS, labels=LABELS - 9), ValueError, "labels must lie in 0"),
        (lambda: quantile(SIGNALS, x=X.ravel()), ValueError, r"x must be records of shape \(n, ...\)"),
        (lambda: quantile(SIGNALS, known=LABELS), TypeError, r"nonmembers must be bool of shape \(200,\), got int64"),
        (lambda: quantile(SIGNALS, known=LABELS < 0), ValueError, "nonmembers must mark records .* got none"),
        (lambda: quantile(SIGNALS, known=LABELS >= 0), ValueError, "nonmembers must leave records to judge, got all 200"),
        (
            lambda: quantile(SIGNALS, fpr=0.001),
            ValueError,
            "fpr must be at least 1 / 100 = 0.01 with 100 known non-members, got 0.001",
        ),
        (lambda: quantile(SIGNALS, fpr=0), ValueError, "fpr must be above 0"),
        (lambda: quantile(SIGNALS, fpr=1.0), ValueError, "fpr must be below 1"),
        (lambda: label_only_gap(object(), X, LABELS), TypeError, "model must have predict_proba, got a object"),
        (lambda: label_only_gap(Answers(UNIFORM), X.astype(np.float64), LABELS), TypeError, "x must be records .* got float64"),
        (lambda: label_only_gap(Answers(UNIFORM), X[:0], LABELS[:0]), ValueError, "x must hold at least 1 record"),
        (
            lambda: label_only_gap(Answers(UNIFORM), X, LABELS[1:]),
            ValueError,
            "labels must have one entry a record, 200, got 199",
        ),
        (
            lambda: label_only_gap(Answers(UNIFORM[1:]), X, LABELS),
            TypeError,
            r"shape \(200, n_classes\), got float64 .*\(199, 4\)",
        ),
        (
            lambda: label_only_gap(Answers(spoiled(np.nan)), X, LABELS),
            ValueError,
            "predict_proba must answer finite numbers, got 1",
        ),
        (lambda: label_only_gap(Answers(UNIFORM), X, LABELS + 1), ValueError, r"labels must lie in 0\.\.3, got 1\.\.4"),
        (
            lambda: label_only_gap(Answers(UNIFORM, classes_=["a", "b", "c", "d"]), X, LABELS),
            TypeError,
            "model.classes_ must be a vector of whole numbers, got <U1",
        ),
        (
            lambda: label_only_gap(Answers(UNIFORM, classes_=[0, 1, 2]), X, LABELS),
            ValueError,
            "predict_proba must answer a column for each of 3 classes_, got 4",
        ),
        (lambda: label_only_noise(FIRST, X, LABELS), ValueError, "records of float32 take sigma and no rate, got rate=None"),
        (lambda: label_only_noise(FIRST, BITS, LABELS, sigma=0.1), ValueError, "bits take rate and no sigma, got .*sigma=0.1"),
        (lambda: label_only_noise(FIRST, BITS, LABELS, rate=1.5), ValueError, "rate must be at least 0 and at most 1, got 1.5"),
        (lambda: label_only_noise(FIRST, X, LABELS, sigma=-1), ValueError, "sigma must be at least 0, got -1"),
        (lambda: label_only_noise(FIRST, X, LABELS, sigma=1, copies=0), ValueError, "copies must be at least 1, got 0"),
        (
            lambda: label_only_augmentation(FIRST, X, LABELS, shadow.views()),
            TypeError,
            "x must be pictures, uint8 .* got float32",
        ),
        (lambda: label_only_augmentation(FIRST, PIXELS, LABELS, []), ValueError, "views must be a list of at least one view"),
        (lambda: label_only_augmentation(FIRST, PIXELS, LABELS, [5]), TypeError, "views must be functions of pictures, got 5"),
        (
            lambda: label_only_augmentation(FIRST, PIXELS, LABELS, [lambda x: x[:, 1:]]),
            ValueError,
            r"views must return pictures of the same shape, \(4, 4\), got \(3, 4\)",
        ),
        (lambda: label_only_boundary(FIRST, X, LABELS, max_queries=0), ValueError, "max_queries must be at least 1, got 0"),
        (lambda: label_only_boundary(FIRST, X, LABELS, seed=-1), ValueError, "seed must be at least 0, got -1"),
        (
            lambda: label_only_boundary(FIRST, X, LABELS),
            ValueError,
            "x must hold records that the target labels differently, got label 0",
        ),
        (lambda: View(down=0.5), TypeError, "down must be a whole number, got 0.5"),
        (lambda: View(flip=1), TypeError, "flip must be True or False, got 1"),
        (lambda: View(down=4)(PIXELS), ValueError, "down must be less than the picture's 4 pixels, got 4"),
        (lambda: View()(PIXELS / 255), TypeError, "x must be pictures, uint8 .* got float64"),
        (lambda: shadow.views(shift=-1), ValueError, "shift must be between 0 and"),
    ],
    "tables of the attacks after 2017": [
        (lambda: paper.compare_modern(None), TypeError, "tables must be tables by name .*got NoneType"),
        (lambda: paper.compare_modern({}), ValueError, "tables must be of rates, .*, lacks targets"),
        (lambda: paper.modern_claims({"rate": pd.DataFrame()}), ValueError, "tables must be of rates, .*, has rate"),
        (lambda: paper.modern_claims({"rates": 1}), TypeError, r"tables\['rates'\] must be a pandas DataFrame, got int"),
    ],
}


SGD = mialib.Recipe(1, 4, 0.1, optimizer="sgd")
PICTURES = mialib.Dataset("pictures", np.zeros((8, 9, 8, 3), np.uint8), np.zeros(8, np.int64), 4, "own")


def picture_trainer(recipe=SGD, make=None, **options):
    return ResidualTrainer(make or partial(residual, (9, 8, 3), 4, 2), recipe, "cpu", **options)


def dropped():
    return torch.nn.Sequential(residual((9, 8, 3), 4, 2), torch.nn.Dropout(0.5))


def on_pictures(dataset, rows, **options):
    return picture_trainer(**options).fit_many(dataset, np.array([rows]), 0)


CASES["residual networks"] = [
    (lambda: residual((7, 8, 3), 4), ValueError, r"in_shape must be .* with h, w >= 8, got \(7, 8, 3\)"),
    (lambda: residual((8, 8, 0), 4), ValueError, "in_shape must be"),
    (lambda: residual((8,), 4), ValueError, r"in_shape must be \(h, w\) or"),
    (lambda: residual((8, 8), 1), ValueError, "n_classes must be at least 2, got 1"),
    (lambda: residual((8, 8), 4, 0), ValueError, "width must be at least 1, got 0"),
    (lambda: picture_trainer(mialib.Recipe(1, 4, 0.1)), ValueError, "recipe must have optimizer 'sgd'.*got 'adam'"),
    (lambda: picture_trainer(replace(SGD, patience=1)), ValueError, "recipe must have .*no patience.*got 'sgd', 1"),
    (lambda: picture_trainer(replace(SGD, enough=0.1)), ValueError, "recipe must have .*no enough.*got 'sgd', None, 0.1"),
    (lambda: picture_trainer(replace(SGD, batch_size=2)), ValueError, "batch_size of 3 or more, got .*, 2"),
    (lambda: picture_trainer({"epochs": 1}), TypeError, "recipe must be a Recipe, got dict"),
    (lambda: picture_trainer(make=dropped), ValueError, "make_model must have no dropout.*got Dropout"),
    (lambda: picture_trainer(momentum=0), ValueError, "momentum must be above 0, got 0"),
    (lambda: picture_trainer(momentum=1.0), ValueError, "momentum must be below 1, got 1.0"),
    (lambda: picture_trainer(warmup=1), ValueError, "warmup must be below 1, got 1"),
    (lambda: picture_trainer(smoothing=-0.1), ValueError, "smoothing must be at least 0, got -0.1"),
    (lambda: picture_trainer(smoothing=np.nan), ValueError, "smoothing must be at least 0, got nan"),
    (lambda: picture_trainer(flip=1), TypeError, "flip must be True or False, got 1"),
    (lambda: picture_trainer(shift=-1), ValueError, "shift must be at least 0, got -1"),
    (lambda: picture_trainer(shift=0.5), TypeError, "shift must be a whole number, got 0.5"),
    (lambda: on_pictures(PICTURES, [0, 1], shift=8), ValueError, r"shift must be less than .*\(9, 8\), got 8"),
    (lambda: on_pictures(PICTURES, [3]), ValueError, r"rows must hold at least 2 records a network.*\(1, 1\)"),
    (lambda: on_pictures(DATASET, [0, 1]), ValueError, r"dataset.x must be pictures, uint8 .*got float32 of shape \(200, 10\)"),
    (
        lambda: on_pictures(replace(PICTURES, x=PICTURES.x[:, :8]), [0, 1], make=partial(residual, (8, 8), 4, 2)),
        ValueError,
        "make_model must answer .*cannot take records",
    ),
    (lambda: picture_trainer().estimate(PICTURES, 9, 1), ValueError, "n must be between 2 and 8 .*got 9"),
    (lambda: picture_trainer().estimate(PICTURES, 8, 0), ValueError, "k must be at least 1, got 0"),
    (lambda: picture_trainer().estimate(PICTURES.x, 8, 1), TypeError, "dataset must be a mialib Dataset, got ndarray"),
    (lambda: picture_trainer().estimate(DATASET, 8, 1), ValueError, "dataset.x must be pictures"),
]


FORTY = replace(DATASET, x=X[:40], y=LABELS[:40])
TRIAL = stocks.StockTrial(stocks.StockExperiment(FORTY, FOREST, "mlp", 6, 0), STOCK, STOCK, SOME)
SCORES = stocks.stock_scores(TRIAL, {"base": stocks.STOCK_ATTACKS["base"]})
ONE_ATTACK = {"watson": stocks.STOCK_ATTACKS["watson"]}
FOUR = TRIAL._replace(own=STOCK[:4], others=STOCK[:4])
MODEST = TRIAL._replace(mitigation=abs)
SEVERAL = TRIAL._replace(own=replace(STOCK, signal=SIGNAL[:, :, None]))
NO_RATES = pd.DataFrame({"attack": ["base"]})
JUDGED = pd.DataFrame(
    {
        "attack": ["shokri", stocks.BEST], "metric": ["balanced_accuracy", "epsilon"], "mitigation": "none", "at": 0,
        "estimate": "counts", "ceiling": 1, "delta": 0, "dataset": "toy", "source": "own", "knob": "", "setting": "",
        "train_accuracy": 1, "test_accuracy": 1, "fpr": np.nan, "value": 1, "low": 1, "high": 1,
    }
)  # fmt: skip
CASES["studies of stocks"] = [
    (lambda: stocks.some_records(DATASET, 201, 0), ValueError, r"n must be between 2 and 200 \(the records of the data set\)"),
    (lambda: stocks.run_stock(TRIAL.experiment._replace(n_models=5)), ValueError, "k must be even, .*got 5"),
    (lambda: stocks.run_stock(TRIAL.experiment._replace(population=0)), ValueError, "population must be above 0"),
    (lambda: stocks.stock_scores(TRIAL, n_targets=0), ValueError, "n_targets must be at least 1, got 0"),
    (lambda: stocks.stock_scores(TRIAL, n_targets=1.5), TypeError, "n_targets must be a whole number, got 1.5"),
    (lambda: stocks.stock_scores(TRIAL, n_references=5), ValueError, "n must be between 1 and 4"),
    (lambda: stocks.answer_scores(TRIAL, n_targets=0), ValueError, "n_targets must be at least 1, got 0"),
    (lambda: modern.all_scores(TRIAL, 1, 1, 0), ValueError, "references must be at least 1, got 0"),
    (lambda: modern.stock_accuracies([TRIAL]), ValueError, "own must tell which answers are right"),
    (lambda: modern.in_order(SCORES, ["lira"]), ValueError, "attacks must be among base, got lira"),
    (lambda: modern.rate_table(TRIAL, []), ValueError, "scores must hold those of at least one attack, got none"),
    (lambda: modern.rate_table(TRIAL, SCORES, fprs=[0]), ValueError, "fprs must be above 0"),
    (lambda: modern.tpr_rows(NO_RATES), ValueError, "rates must have the columns dataset, .* lacks dataset, source, metric"),
    (lambda: modern.tpr_rows({}), TypeError, "rates must be a pandas DataFrame, got dict"),
    (lambda: modern.log_roc(TRIAL, SCORES, points=1), ValueError, "points must be at least 2, got 1"),
    (lambda: modern.log_roc(TRIAL, []), ValueError, "scores must hold those of at least one attack, got none"),
    (lambda: modern.by_reference_count(TRIAL, [1, 3]), ValueError, r"counts must be 1 or even, .*got \[3\]"),
    (lambda: modern.by_reference_count(TRIAL, [0]), ValueError, "counts must be at least 1, got 0"),
    (lambda: modern.by_reference_count(TRIAL, [2], n_answer_targets=-1), ValueError, "n_answer_targets must be at least 0"),
    (lambda: modern.by_reference_count(TRIAL, [2], most_answered=0), ValueError, "most_answered must be at least 1, got 0"),
    (
        lambda: modern.by_reference_count(TRIAL, [2], {}, n_answer_targets=0),
        ValueError,
        "attacks must hold one that works with so many references, got none",
    ),
    (lambda: modern.ladder(SEVERAL), ValueError, r"trial must have one query a record, got float32 of shape \(6, 40, 1\)"),
    (
        lambda: modern.ladder(TRIAL, TRIAL),
        ValueError,
        "queried must have several queries a record of models trained on the same",
    ),
    (lambda: modern.ladder(FOUR, SEVERAL), ValueError, "queried must have several queries"),
    (lambda: modern.ppv_table(FOUR, ONE_ATTACK), ValueError, "trial must hold 6 models, .*got 4"),
    (lambda: modern.ppv_table(TRIAL, ONE_ATTACK, n_targets=0), ValueError, "n_targets must be at least 1, got 0"),
    (lambda: modern.ppv_table(TRIAL, ONE_ATTACK, priors=[0]), ValueError, "priors must be above 0"),
    (lambda: modern.ppv_table(TRIAL, ONE_ATTACK, fprs=[2]), ValueError, "fprs must be above 0 and at most 1, got 2"),
    (lambda: questions.quantile_scores(TRIAL, 0), ValueError, "n_targets must be at least 1, got 0"),
    (lambda: questions.label_scores(TRIAL, 1, 1, 9), ValueError, "n_records must be at least 2, got 1"),
    (lambda: questions.label_scores(MODEST, 1, 9, 9), ValueError, "trial must be without a mitigation"),
    (lambda: exposure.found_members(SCORES[0], 0.001), ValueError, "fpr must be at least 1 / "),
    (lambda: exposure.overlap(TRIAL, [], 0.1), ValueError, "scores must hold those of at least one attack, got none"),
    (lambda: exposure.exposures(TRIAL, SCORES[0], 0.1), ValueError, "own must tell which answers are right"),
    (lambda: exposure.exposed_pictures(NO_RATES, DATASET, [0]), ValueError, r"dataset must hold images .*got .*\(10,\)"),
    (lambda: exposure.stability(TRIAL), ValueError, "stock must hold at least 8 models, .*got 6"),
    (lambda: exposure.marks(TRIAL, NO_RATES), ValueError, "table must have the columns dataset, .*lacks dataset"),
    (
        lambda: mitigated.mitigated_rates(TRIAL.experiment, [], None, None),
        ValueError,
        "known must hold at least one mitigation, .*got none",
    ),
    (lambda: mitigated.epsilon_rows(TRIAL, SCORES, delta=2), ValueError, "delta must be at least 0 and at most 1, got 2"),
    (lambda: mitigated.two_standings(NO_RATES), ValueError, "table must have the columns .*lacks dataset"),
    (
        lambda: mitigated.two_standings(JUDGED, 0.1),
        ValueError,
        f"table must hold shokri's .*{stocks.BEST}'s rate at 0.1, lacks",
    ),
    (lambda: mitigated.promises(NO_RATES), ValueError, "table must have the columns .*lacks dataset"),
    (lambda: mitigated.promises(JUDGED, "watson"), ValueError, f"attack must be one of {stocks.BEST}, got 'watson'"),
]


@pytest.mark.parametrize(("call", "error", "words"), [case for family in CASES.values() for case in family])
def test_bad_input_is_refused_by_name(call, error, words):
    with pytest.raises(error, match=words):
        call()


# Answers in the order of the labels


def forest(labels, model=None):
    model = model or RandomForestClassifier(30, random_state=0)
    return model.fit(X[SPLIT.members], labels[SPLIT.members])


NAMES = np.array(["wolf", "ape", "zebra", "bear"])  # in order of appearance, which is not the alphabet's


@pytest.mark.parametrize("model", [None, make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=0))])
def test_answers_are_put_in_the_order_of_the_labels(model):
    plain = mialib.query(forest(LABELS), DATASET, SPLIT)
    named = mialib.query(forest(NAMES[LABELS], model), replace(DATASET, classes=NAMES.tolist()), SPLIT)
    for data in (plain, named):
        right = data.predictions.argmax(1) == data.labels
        assert right[data.member].all()
    if model is None:
        assert np.abs(plain.predictions - named.predictions).mean() < 0.05


def test_classes_that_a_model_does_not_know_are_answered_with_0():
    known = SPLIT.members[LABELS[SPLIT.members] != 2]
    model = RandomForestClassifier(5, random_state=0).fit(X[known], LABELS[known])
    answers = mialib.query(model, DATASET, SPLIT).predictions
    assert (answers[:, 2] == 0).all() and np.allclose(answers.sum(1), 1)


def test_a_model_that_answers_in_another_order_is_refused():
    right = 0.9 * np.eye(N_CLASSES)[LABELS[SPLIT.rows]] + 0.025
    mialib.query(Answers(right), DATASET, SPLIT)
    with pytest.raises(ValueError, match=r"model must answer class c in column c.*classes_"):
        mialib.query(Answers(np.roll(right, 1, axis=1)), DATASET, SPLIT)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["constant", "random", "one class", "two columns confused"])
def test_a_constant_or_merely_bad_model_is_not_refused(kind, seed):
    rng = np.random.default_rng(seed)
    skewed = rng.choice(N_CLASSES, 200, p=[0.05, 0.8, 0.1, 0.05]).astype(np.int64)
    dataset = replace(DATASET, y=skewed)
    answers = rng.dirichlet(np.ones(N_CLASSES), 200)
    if kind == "constant":
        answers[:] = answers[0]
    elif kind == "one class":
        answers = np.tile(np.eye(N_CLASSES)[0], (200, 1))
    elif kind == "two columns confused":
        answers = 0.9 * np.eye(N_CLASSES)[skewed[SPLIT.rows]] + 0.025
        confused = rng.random(200) < 0.5
        answers[confused] = answers[confused][:, [1, 0, 2, 3]]
    mialib.query(Answers(answers), dataset, SPLIT)


# Models that hang


def test_a_model_that_hangs_ends_where_the_caller_sets_an_end():
    released = threading.Event()

    def hang(x):
        released.wait(60)
        return UNIFORM

    with pytest.raises(TimeoutError, match=r"model gave no answer for 200 records within timeout = 0\.05 s"):
        ask(hang, timeout=0.05)
    released.set()
    assert len(ask(UNIFORM, timeout=60)) == 200
    with pytest.raises(ZeroDivisionError):
        ask(lambda x: 1 / 0, timeout=60)
    with pytest.raises(ValueError, match="timeout must be above 0"):
        ask(UNIFORM, timeout=0)


def test_answers_within_the_tolerances_are_taken():
    for answers in (spoiled(0.2505), spoiled(-5e-7, np.full((200, N_CLASSES), [0.5, 0, 0.25, 0.25]))):
        assert shadow.check_answers(answers, 200, N_CLASSES).min() >= 0
