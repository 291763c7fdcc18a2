"""What each part of the attack is worth: the paper's attack with one part taken out or replaced, on the same answers.

A view shows the attack less of a prediction vector, or hides the class; any way to fit an attack can be given one. Views keep
the shape (n, n_classes), with 0 where nothing is shown, so that what is attacked stays an `AttackData`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mialib.attack.learned import fit_attack
from mialib.attack.thresholds import NEVER, confidence
from mialib.core import cache, checks, randomness
from mialib.core.threads import one_a_core
from mialib.core.types import Attack, AttackData, BlackBox, Dataset, Trainer, check_width

Fit = Callable[[AttackData], Attack]
PartialView = Callable[[AttackData], AttackData]


def one_class(data: AttackData) -> AttackData:
    """All records under class 0: the attack does not learn which class they have, and one model serves all."""
    return replace(data, labels=np.zeros_like(data.labels))


def sorted_top(data: AttackData, k: int = 3) -> AttackData:
    """The k highest probabilities, highest first, in the first k columns: which classes have them is not shown (Salem et al.
    2019). All are shown where there are fewer classes.
    """
    checks.whole("k", k, 1)
    shown = np.zeros_like(data.predictions)
    shown[:, :k] = -np.sort(-data.predictions, axis=1)[:, :k]
    return replace(data, predictions=shown)


def true_class(data: AttackData) -> AttackData:
    """The probability of the true class, in the first column, and nothing else."""
    shown = np.zeros_like(data.predictions)
    shown[:, 0] = confidence(data)
    return replace(data, predictions=shown)


class _ViewedAttack:
    """An attack that sees answers through views."""

    def __init__(self, inner: Attack, view: PartialView) -> None:
        self._inner, self._view = inner, view

    def membership_score(self, data: AttackData) -> np.ndarray:
        """The inner attack's, float32 (n,)."""
        return self._inner.membership_score(self._view(data))

    def infer(self, data: AttackData) -> np.ndarray:
        """The inner attack's, bool (n,)."""
        return self._inner.infer(self._view(data))


def seen(*views: PartialView, fit: Fit = fit_attack) -> Fit:
    """A way to fit an attack on what is left after each of `views` in turn; later answers are seen the same way."""

    def view(data: AttackData) -> AttackData:
        for each in views:
            data = each(data)
        return data

    def fit_seen(data: AttackData) -> Attack:
        return _ViewedAttack(fit(view(data)), view)

    return fit_seen


class TrainedAttack:
    """One model a class, made by a `Trainer` that learns "member" as class 1 of two. Made by `trained_by`.

    Its scores are kept on disk, so that it trains only where it is asked what it was never asked before.
    """

    def __init__(self, trainer: Trainer, data: AttackData, classes: Sequence[int], seed: int) -> None:
        self.n_classes, self._trainer, self._seed = data.n_classes, trainer, seed
        self._answers = {c: _answers_of(data, c) for c in classes}
        self._models: dict[int, BlackBox] = {}

    def membership_score(self, data: AttackData) -> np.ndarray:
        """Probability of "member" less 0.5, float32 (n,); the lowest float for a class without an attack model."""
        check_width(data, self.n_classes)
        models = [self._trainer.keys(known, _all_rows(known), self._seed, first=c)[0] for c, known in self._answers.items()]
        key = {"models": models, "asked": cache.digest(data.predictions, data.labels), "code": cache.code_digest(__name__)}
        expected = {"scores": ((len(data.labels),), "float32")}
        stored = cache.load("scores", key, lambda stored: cache.expect(stored, expected))
        if stored is None:
            stored = {"scores": self._scores(data)}
            cache.save("scores", key, stored)
        return stored["scores"]

    def _scores(self, data: AttackData) -> np.ndarray:
        if not self._models:
            with one_a_core(len(self._answers)) as (pool, _):
                self._models = dict(zip(self._answers, pool.map(self._trained, self._answers), strict=True))
        scores = np.full(len(data.labels), NEVER, np.float32)
        for c, model in self._models.items():
            rows = np.flatnonzero(data.labels == c)
            if len(rows):
                scores[rows] = model.predict_proba(data.predictions[rows])[:, 1] - np.float32(0.5)
        return scores

    def _trained(self, c: int) -> BlackBox:
        known = self._answers[c]
        return self._trainer.fit_many(known, _all_rows(known), self._seed, first=c)[0]

    def infer(self, data: AttackData) -> np.ndarray:
        """True where membership is likelier than not, bool (n,)."""
        return self.membership_score(data) > 0


def trained_by(trainer: Trainer, seed: int = 0) -> Fit:
    """A way to fit an attack with the models of a trainer, say a service's: the paper used Google's (Sec. VI-C).

    Class c is model number c. A class that lacks members or non-members is answered "non-member".
    """

    def fit(data: AttackData) -> Attack:
        usable = [c for c in range(data.n_classes) if len(set(data.member[data.labels == c].tolist())) == 2]
        if not usable:
            raise ValueError("data must hold a class with members and non-members, got none")
        return TrainedAttack(trainer, data, usable, randomness.derive(seed, "trained attack"))

    return fit


def _answers_of(data: AttackData, c: int) -> Dataset:
    rows = np.flatnonzero(data.labels == c)
    vectors = np.ascontiguousarray(data.predictions[rows], np.float32)
    return Dataset(f"answers of class {c}", vectors, data.member[rows].astype(np.int64), 2, "real")


def _all_rows(dataset: Dataset) -> np.ndarray:
    return np.arange(len(dataset.y))[None]


fit_one_network = partial(fit_attack, classes=[0])  # on what `one_class` leaves: every other class is empty by design
ABLATIONS: dict[str, Fit] = {
    "one network a class": fit_attack,
    "told probabilities": partial(fit_attack, inputs="probabilities"),
    "told log-odds": partial(fit_attack, inputs="log-odds"),
    "one network for all": seen(one_class, fit=fit_one_network),
    "sorted top three": seen(sorted_top),
    "sorted top three, one for all": seen(sorted_top, one_class, fit=fit_one_network),
    "true class alone": seen(true_class),
    "true class alone, one for all": seen(true_class, one_class, fit=fit_one_network),
}
