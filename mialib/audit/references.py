"""Models trained like the target, with a record or without it: of the outsider, who has a pool of records of his own (the
paper's attacker), and of the auditor, who has the judged records themselves (Carlini et al. 2022).
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from mialib.audit.given import Given
from mialib.core import cache, checks, executors, randomness
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, BlackBox, Dataset, Trainer, answered_right
from mialib.shadow.answers import Filter, Training, asking_work, checked_answers
from mialib.shadow.halves import sample_halves
from mialib.shadow.signals import log_odds
from mialib.shadow.splits import sample_splits

FEWEST_REFERENCES = 6  # so that those of one in the target's place can be tuned on, too
FEWEST_MEMBERS = 10  # of a shadow model


@dataclass(frozen=True, eq=False)
class References:
    """What k models answered about n records, of which the first `n_judged` are the target's.

    predictions: float32 (k, n, n_classes). member: bool (k, n). labels: int64 (n,). asked: bool (k, n), the records that a
    model is judged on where it takes the target's place. floor: of the log-odds (see `signals.log_odds`).
    """

    attacker: str  # "auditor" or "outsider"
    predictions: np.ndarray
    member: np.ndarray
    labels: np.ndarray
    asked: np.ndarray
    n_judged: int
    size: int  # of a training set
    floor: float | None = None

    def __len__(self) -> int:
        return len(self.predictions)

    @cached_property
    def stock(self) -> Stock:
        """Signals of all records."""
        return Stock(
            np.stack([log_odds(p, self.labels, self.floor) for p in self.predictions]),
            self.member,
            self.labels,
            self.predictions.argmax(2) == self.labels,
        )

    def data(self, model: int) -> AttackData:
        """A model's answers on the records that it is judged on."""
        rows = self.asked[model]
        return AttackData(self.predictions[model, rows], self.labels[rows], self.member[model, rows])

    def seen(self, sees: Filter | None, floor: float | None) -> "References":
        """The same as they look through a filter of the answers."""
        filtered = self.predictions if sees is None else np.stack([sees(p) for p in self.predictions])
        return replace(self, predictions=filtered, floor=floor)

    @property
    def accuracy(self) -> tuple[float, float]:
        """Of the models, on average: on their own training sets, and on records that they are judged on beside these."""
        right = [(answered_right(data), data.member) for data in map(self.data, range(len(self)))]
        return float(np.mean([r[m].mean() for r, m in right])), float(np.mean([r[~m].mean() for r, m in right]))


def of_auditor(trainer: Trainer, given: Given, k: int, seed: int) -> References:
    """k models on random halves of all judged records: models 2j and 2j + 1 on complementary ones. Of an odd number of
    records, one (at random) is in no half.
    """
    checks.whole("n_shadows", k, FEWEST_REFERENCES)
    judged = given.judged
    n = len(judged.y)
    kept = np.sort(randomness.generator(seed, "odd one out").permutation(n)[: n - n % 2])
    member = np.zeros((k + k % 2, n), bool)
    member[:, kept] = sample_halves(len(kept), k + k % 2, randomness.derive(seed, "audit halves"))
    member = member[:k]
    predictions = _answers(trainer, judged, member, randomness.derive(seed, "auditor"))
    asked = np.broadcast_to(np.isin(np.arange(n), kept), member.shape)
    return References("auditor", predictions, member, judged.y, asked, n, int(member[0].sum()))


def of_outsider(trainer: Trainer, given: Given, k: int, seed: int) -> References:
    """k shadow models on records of the pool, of the target's training size or of half of the pool, if that is less."""
    checks.whole("n_shadows", k, FEWEST_REFERENCES)
    pool = given.pool
    size = min(given.n_members, len(pool) // 2)
    if size < FEWEST_MEMBERS:
        raise ValueError(f"pool must hold at least {2 * FEWEST_MEMBERS} records, got {len(pool)}")
    splits = sample_splits(pool, size, k, randomness.derive(seed, "audit splits"))
    member, asked = np.zeros((2, k, len(given.dataset.y)), bool)
    for j, split in enumerate(splits):
        member[j, split.members] = asked[j, split.rows] = True
    predictions = _answers(trainer, given.dataset, member, randomness.derive(seed, "outsider"))
    return References("outsider", predictions, member, given.dataset.y, asked, given.n_judged, size)


def _answers(trainer: Trainer, dataset: Dataset, member: np.ndarray, seed: int) -> np.ndarray:
    """Train a model a row of `member` (k, n), and ask it about all records, float32 (k, n, n_classes); kept one by one."""
    trained_on = np.stack([np.flatnonzero(each) for each in member])
    shape = len(dataset.y), dataset.n_classes
    keys = [{"model": key, "code": cache.code_digest(__name__)} for key in trainer.keys(dataset, trained_on, seed)]
    check = partial(cache.expect, expected={"answers": (shape, "float32")})

    ask, training = partial(_asked_about_all, dataset), Training(trainer, dataset, trained_on, seed)
    stored = executors.finished(asking_work("answers", keys, check, ask, list(member), training))
    return np.stack([each["answers"] for each in stored])


def _asked_about_all(dataset: Dataset, model: BlackBox, member: np.ndarray) -> dict[str, np.ndarray]:
    answers: Any = model.predict_proba(dataset.records())
    return {"answers": checked_answers(model, dataset, answers, member, dataset.y)}
