"""Model extraction: a copy of a model made from its answers alone (Tramèr et al., USENIX Security 2016).

A softmax regression is solved for, from as many queries as it takes equations (their Sec. 4.1); any other model is imitated by
a network that learns its answers to the attacker's own records, whole vectors (Sec. 4.1.2) or labels alone (Sec. 6). It is no
attack on members: what helps one to find members is asked in `study.bridge`. The extractor sees answers, and never a member.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.special
from torch import nn

from mialib.core import checks
from mialib.core.types import BlackBox, Dataset, Features, check_answers
from mialib.shadow.records import check_records
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe
from mialib.training.soft import SoftTrainer

log = logging.getLogger(__name__)

COPY_FORMS = ("vectors", "labels")  # in which a model's answers are learned: whole, or the most probable class alone
DIGITS_TRIED = 6  # decimals to which answers may be rounded and be found out: float32 has hardly more
FIT_TOLERANCE = 1e-7  # of the mean gradient where a fit ends
ROWS_ASKED = 8192


# Equation solving


@dataclass(frozen=True, eq=False)
class SoftmaxRegression:
    """A multinomial logistic regression: p = softmax(weights x + bias). weights float64 (n_classes, n_features), bias
    (n_classes,), both of mean 0 over classes, for what is added to all classes alike changes no answer. queries: what it took.
    """

    weights: np.ndarray
    bias: np.ndarray
    queries: int

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes), of records x (n, ...)."""
        flat = np.asarray(x).reshape(len(x), -1)
        return scipy.special.softmax(flat @ self.weights.T + self.bias, axis=1).astype(np.float32)


def solve_softmax_regression(model: BlackBox, n_features: int, n_classes: int) -> SoftmaxRegression:
    """The weights of a softmax regression, exactly, from n_features + 1 queries (Tramèr et al. 2016, Sec. 4.1).

    The record of zeros tells the biases, and each record with a single 1 one feature's weights: log p_c(x) less its mean over
    classes is (w_c - mean w) x + (b_c - mean b), a linear equation a class, as the log-odds are for two. Records are uint8
    (n, n_features), valid ones of any data of bits. Of a model of another kind the result is what its answers at these records
    would make of the others: nothing in them tells that it is none. Raises TypeError or ValueError for answers that are no
    probabilities, that are rounded (see `fit_softmax_regression`), or that are too small for float32 to hold.
    """
    checks.whole("n_features", n_features, 1)
    checks.whole("n_classes", n_classes, 2)
    records = np.concatenate([np.zeros((1, n_features), np.uint8), np.eye(n_features, dtype=np.uint8)])
    answers = _asked(model, records, n_classes, "n_features")
    digits = rounded_digits(answers)
    if digits is not None:
        raise ValueError(f"model must answer unrounded probabilities, got {digits} digits: see fit_softmax_regression")
    answers = check_answers(answers, len(records), n_classes)
    smallest = np.finfo(np.float32).tiny
    if answers.min() < smallest:
        row = int(answers.min(1).argmin())
        what = "the record of zeros" if row == 0 else f"the record whose only 1 is feature {row - 1}"
        raise ValueError(
            f"model must answer probabilities of at least {smallest:.3g}, which float32 holds in full, got {answers.min():.3g} "
            f"for {what}: it underflows, and its logarithm tells no weight"
        )
    logs = np.log(answers.astype(np.float64))
    logs -= logs.mean(1, keepdims=True)
    return SoftmaxRegression((logs[1:] - logs[0]).T, logs[0], len(records))


def rounded_digits(answers: np.ndarray) -> int | None:
    """To how many decimals, 0 to 6, all of the answers (n, n_classes) are rounded; None if they are not. 0: labels alone."""
    exact = checks.array("answers", answers).astype(np.float32)
    for digits in range(DIGITS_TRIED + 1):
        if (exact.astype(np.float64).round(digits).astype(np.float32) == exact).all():
            return digits
    return None


def fit_softmax_regression(x: np.ndarray, answers: np.ndarray, *, iterations: int = 500) -> SoftmaxRegression:
    """The softmax regression that fits answers (n, n_classes) to records x (n, ...) best, by cross-entropy (Tramèr et al. 2016,
    Sec. 4.1.2): for answers that are rounded (Sec. 7), where more queries stand in for digits. One query a record.

    The rows of the answers are scaled to sum to one; a row of zeros is left out, but was asked. iterations: of L-BFGS, at most;
    a warning says where they did not suffice. Raises TypeError or ValueError.
    """
    import scipy.optimize  # late: a tenth of a second, for this alone

    x = check_records("x", x, 1)
    given = checks.array("answers", answers).astype(np.float64)
    if given.ndim != 2 or len(given) != len(x) or not (given.min() >= 0 and given.max() <= 1):
        raise ValueError(f"answers must lie in [0, 1], a row for each of {len(x)} records, got {checks.kind(given)}")
    checks.whole("iterations", iterations, 1)
    told = given.sum(1) > 0
    if not told.any():
        raise ValueError("answers must hold a row that is not all 0, got none")
    flat = np.column_stack([x.reshape(len(x), -1)[told].astype(np.float64), np.ones(told.sum())])
    aims = given[told] / given[told].sum(1, keepdims=True)
    shape = (aims.shape[1], flat.shape[1])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights = parameters.reshape(shape)
        logs = scipy.special.log_softmax(flat @ weights.T, axis=1)
        slope = (np.exp(logs) - aims).T @ flat / len(flat)
        return -(aims * logs).sum() / len(flat), slope.ravel()

    settings = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 0.0, "gtol": FIT_TOLERANCE, "maxcor": 20}
    found = scipy.optimize.minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=settings)
    if not found.success:
        log.warning(
            "the regression did not settle in %d iterations: its largest gradient is %.1e", found.nit, abs(found.jac).max()
        )
    weights = found.x.reshape(shape)
    weights = weights - weights.mean(0)
    return SoftmaxRegression(weights[:, :-1], weights[:, -1], len(x))


# Copies


class Transcript(NamedTuple):
    """What an extractor asked and heard: records x (n, ...); answers float32 (n, n_classes); queries, rows asked, n or more."""

    x: np.ndarray
    answers: np.ndarray
    queries: int

    def dataset(self, name: str, source: str, features: Features | None = None) -> Dataset:
        """The records, each of the class that the model answered."""
        return Dataset(name, self.x, self.answers.argmax(1), self.answers.shape[1], source, features)


def transcript(model: BlackBox, x: np.ndarray, n_classes: int) -> Transcript:
    """Ask a model about records x (n, ...): n queries. Raises TypeError or ValueError, for answers that are no probabilities
    among others.
    """
    x = check_records("x", x, 1)
    checks.whole("n_classes", n_classes, 2)
    parts = [x[start : start + ROWS_ASKED] for start in range(0, len(x), ROWS_ASKED)]
    answers = [check_answers(_asked(model, part, n_classes, "x"), len(part), n_classes) for part in parts]
    return Transcript(x, np.concatenate(answers), len(x))


def copy_trainer(
    heard: Transcript, make_model: Callable[[], nn.Module], recipe: Recipe, form: str = "vectors", device: str = "auto"
) -> NeuralTrainer:
    """What trains copies on rows of `heard.dataset(...)`: on whole vectors, or on "labels" alone, the most probable classes."""
    checks.instance("heard", heard, Transcript)
    if checks.choice("form", form, COPY_FORMS) == "labels":
        return NeuralTrainer(make_model, recipe, device)
    return SoftTrainer(make_model, recipe, heard.answers, device)


def extract(
    model: BlackBox,
    x: np.ndarray,
    n_classes: int,
    make_model: Callable[[], nn.Module],
    recipe: Recipe,
    *,
    budget: int,
    form: str = "vectors",
    seed: int = 0,
) -> BlackBox:
    """A copy of a model: a network that learned its answers to the first `budget` of the attacker's records x (n, ...).

    make_model, recipe: as of `NeuralTrainer`; the attacker need not know the target's own. form: "vectors", or "labels" alone.
    Exactly `budget` queries. Raises TypeError or ValueError, for a budget of 0 or beyond the records among others.
    """
    x = check_records("x", x, 1)
    checks.whole("budget", budget, 1, len(x), "one query a record")
    checks.choice("form", form, COPY_FORMS)
    heard = transcript(model, x[:budget], n_classes)
    trainer = copy_trainer(heard, make_model, recipe, form)
    return trainer.fit_many(heard.dataset("copy", "own"), np.arange(budget)[None], seed)[0]


def with_steps(recipe: Recipe, n: int, steps: int) -> Recipe:
    """The recipe with as many epochs as make at least `steps` steps on n records: few records take more epochs than many."""
    checks.instance("recipe", recipe, Recipe)
    an_epoch = -(-checks.whole("n", n, 1) // recipe.batch_size)
    return replace(recipe, epochs=-(-checks.whole("steps", steps, 1) // an_epoch))


def _asked(model: BlackBox, x: np.ndarray, n_classes: int, of: str) -> np.ndarray:
    """What a model answers, floats (n, n_classes). of: the argument that records of another length are blamed on."""
    if not callable(getattr(model, "predict_proba", None)):
        raise TypeError(f"model must have predict_proba, got a {type(model).__name__}")
    try:
        answers = checks.array("predict_proba's answer", model.predict_proba(x))
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"{of} must be as the model takes records, got records of shape {x.shape[1:]}: {error}") from error
    if answers.dtype.kind != "f":
        raise TypeError(f"predict_proba must answer floats, got {answers.dtype}")
    if answers.shape != (len(x), n_classes):
        raise ValueError(f"n_classes must be the columns of an answer: model answered {answers.shape}, got {n_classes}")
    return answers
