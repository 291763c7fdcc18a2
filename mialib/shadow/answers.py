"""Shadow models: splits of the attacker's pool, and the answers of models on their members and non-members (Sec. V-B)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mialib.core import cache
from mialib.core.types import AttackData, BlackBox, Dataset, Split, Trainer, check_answers, check_dataset, check_split

Mitigation = Callable[[np.ndarray], np.ndarray]


def query(model: BlackBox, dataset: Dataset, split: Split, mitigation: Mitigation | None = None) -> AttackData:
    """Query `model` on the members and non-members of `split`: the one place where answers become attack data.

    The answers must be probabilities, finite and (n, n_classes), with rows that sum to one within 1e-3 (ValueError otherwise).
    They are checked before `mitigation`, if any, is applied.
    """
    check_dataset(dataset)
    rows, labels, member = _questions(dataset, split)
    answers = check_answers(model.predict_proba(dataset.x[rows]), len(rows), dataset.n_classes)
    return AttackData(mitigation(answers) if mitigation else answers, labels, member)


def shadow_attack_data(
    trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, mitigation: Mitigation | None = None, first: int = 0
) -> AttackData:
    """Train model number first + i on the members of split i, query each on its own split; all answers, one after another.

    Each of the k models gives 2 n rows, members first. Answers are kept on disk before any mitigation, so more models train
    only the new ones, and another mitigation trains nothing. A target is the same with one split: "trained in a similar way".
    """
    check_dataset(dataset)
    if not splits:
        raise ValueError("splits must hold at least one split, got none")
    for split in splits:
        check_split(split)
    rows = np.stack([split.members for split in splits])
    keys = _keys(trainer, dataset, splits, seed, first)
    stored = [cache.load("answers", key) for key in keys]
    for group in _groups([i for i, item in enumerate(stored) if item is None], getattr(trainer, "at_once", None)):
        models = trainer.fit_many(dataset, rows[group[0] : group[-1] + 1], seed, first + group[0])
        for i, model in zip(group, models, strict=True):
            answered = {"answers": query(model, dataset, splits[i]).predictions}
            cache.save("answers", keys[i], answered)
            stored[i] = answered
    parts = [item["answers"] for item in stored if item is not None]
    answers = np.concatenate([mitigation(part) for part in parts] if mitigation else parts)
    _, labels, member = zip(*(_questions(dataset, split) for split in splits), strict=True)
    return AttackData(answers, np.concatenate(labels), np.concatenate(member))


def count_missing(trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, first: int = 0) -> int:
    """How many of the models of `shadow_attack_data` would have to be trained, their answers not being on disk."""
    return sum(not cache.exists("answers", key) for key in _keys(trainer, dataset, splits, seed, first))


def _keys(trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, first: int) -> list[dict[str, Any]]:
    rows = np.stack([split.members for split in splits])
    models = trainer.keys(dataset, rows, seed, first)
    return [{"model": key, "asked": cache.digest(*split)} for key, split in zip(models, splits, strict=True)]


def _questions(dataset: Dataset, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    check_split(split)
    rows = np.concatenate([split.members, split.nonmembers])
    return rows, dataset.y[rows], np.arange(len(rows)) < len(split.members)


def _groups(missing: list[int], most: int | None) -> list[list[int]]:
    """Runs of consecutive numbers in `missing`, of at most `most` each."""
    groups: list[list[int]] = []
    for i in missing:
        if groups and i == groups[-1][-1] + 1 and (most is None or len(groups[-1]) < most):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
