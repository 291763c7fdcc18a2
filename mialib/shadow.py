"""Shadow models: splits of the attacker's pool, and the answers of models on their members and non-members (Sec. V-B)."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mialib import cache, checks, randomness
from mialib.data import Dataset, Split, check_dataset
from mialib.models import BlackBox
from mialib.training import Trainer

log = logging.getLogger(__name__)

Mitigation = Callable[[np.ndarray], np.ndarray]


class AttackData(NamedTuple):
    """Answers of one or more models, record by record: what an attack is fitted on, or tested on."""

    predictions: np.ndarray  # (n, n_classes) float32
    labels: np.ndarray  # (n,) int64: the records' true classes
    member: np.ndarray  # (n,) bool: True where the record was in the queried model's training set


def sample_splits(pool: np.ndarray, n: int, k: int, seed: int, first: int = 0) -> list[Split]:
    """k splits of n members and n non-members, drawn from `pool` (row indices) without replacement within a split (Sec. VI-B).

    Split i depends on (seed, first + i) only; splits may overlap one another. Raises ValueError if 2 n exceeds the pool.
    """
    pool = np.asarray(pool)
    checks.whole("n", n, 1, len(pool) // 2, f"the pool has {len(pool)} records, and a split takes 2 n")
    checks.whole("k", k, 1)
    checks.whole("first", first, 0)
    splits = []
    for i in range(first, first + k):
        drawn = randomness.generator(seed, "split", i).choice(pool, 2 * n, replace=False)
        splits.append(Split(np.sort(drawn[:n]), np.sort(drawn[n:])))
    return splits


def swapped_splits(split: Split, k: int = 1) -> list[Split]:
    """The target's own split with members and non-members in each other's roles, k times: k models on the same records.

    For targets so large that the pool holds no disjoint shadows of their size (CIFAR-100 at 19,920 and 29,540; Choquette-Choo
    et al., ICML 2021, swap the roles likewise). Contaminated: no attacker has the target's records, and every member of the
    target is a non-member here. The paper's rule (Sec. VI-B) is broken, so no result counts beside the paper's.
    """
    check_split(split)
    return [Split(split.nonmembers, split.members)] * checks.whole("k", k, 1)


def query(model: BlackBox, dataset: Dataset, split: Split, mitigation: Mitigation | None = None) -> AttackData:
    """Query `model` on the members and non-members of `split`: the one place where answers become attack data.

    The answers must be probabilities, finite and (n, n_classes), with rows that sum to one within 1e-3 (ValueError otherwise).
    They are checked before `mitigation`, if any, is applied.
    """
    check_dataset(dataset)
    rows, labels, member = _questions(dataset, split)
    answers = check_answers(model.predict_proba(dataset.x[rows]), len(rows), dataset.n_classes)
    return AttackData(mitigation(answers) if mitigation else answers, labels, member)


def check_answers(answers: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    """`answers` as float32 prediction vectors (n, n_classes); ValueError if they are not probabilities."""
    answers = np.asarray(answers)
    if answers.shape != (n, n_classes):
        raise ValueError(f"predict_proba must answer shape ({n}, {n_classes}), got {answers.shape}")
    low, high = answers.min(), answers.max()  # NaN where any is
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"predict_proba must answer finite numbers, got {np.size(answers) - np.isfinite(answers).sum()} that are not"
        )
    if low < -1e-6 or high > 1 + 1e-3:
        raise ValueError(f"predict_proba must answer probabilities in 0..1, got {low:.4g}..{high:.4g}")
    off = np.abs(answers @ np.ones(n_classes, np.float32) - 1)  # a product: this runs at every step of a synthesis
    worst = off.argmax()
    if off[worst] > 1e-3:
        raise ValueError(
            f"predict_proba must answer rows that sum to one within 1e-3, row {worst} sums to {answers[worst].sum():.4g}"
        )
    return np.clip(answers, 0, 1).astype(np.float32, copy=False)


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


def check_split(split: Split) -> Split:
    """`split` if its members and non-members are equally many, at least one, and disjoint; ValueError otherwise."""
    members, nonmembers = split
    if len(members) != len(nonmembers) or not len(members):
        raise ValueError(f"split must hold as many members as non-members, got {len(members)} and {len(nonmembers)}")
    if len(np.intersect1d(members, nonmembers)):
        raise ValueError(f"split must be disjoint, got {len(np.intersect1d(members, nonmembers))} records on both sides")
    return split


def some_models(data: AttackData, start: int, stop: int, of: int) -> AttackData:
    """The rows of models start..stop-1 in the data of `of` models: what those alone would have given."""
    checks.whole("start", start, 0, of - 1)
    checks.whole("stop", stop, start + 1, of)
    size = len(data.labels) // of
    return AttackData(*(part[start * size : stop * size] for part in data))


def each_model(data: AttackData, of: int) -> list[AttackData]:
    """The data of `of` models, model by model."""
    return [some_models(data, i, i + 1, of) for i in range(of)]


def answered_right(data: AttackData) -> np.ndarray:
    """Whether a record's most probable class is its true one, bool (n,)."""
    return data.predictions.argmax(1) == data.labels


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
