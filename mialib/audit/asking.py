"""What a target is asked, within a budget, and what its attackers' references answer."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mialib.audit import noisy_copies
from mialib.audit.attackers import Scored
from mialib.audit.given import FEWEST, Given
from mialib.audit.references import References, of_auditor, of_outsider
from mialib.audit.targets import Answering, AuditTarget, answers_of, floor_of, places_of
from mialib.core import checks, randomness
from mialib.core.types import AttackData, Trainer, answered_right


class Asked(NamedTuple):
    """The judged records and the target's answers to them; and of each attacker, what his references answered."""

    given: Given
    answering: Answering
    data: AttackData
    references: tuple[References, ...]
    trainer: Trainer | None
    noisy: Scored | None = None  # labels of noisy copies


def budget_of(target: AuditTarget, max_queries: int | None) -> int | None:
    """Rows that may be asked: of the call and of the service's own limit, the smaller."""
    limits = [max_queries, getattr(target.model, "max_queries", None)]
    return min((checks.whole("max_queries", limit, 1) for limit in limits if limit is not None), default=None)


def rows_within(whole: Given, max_queries: int | None, seed: int) -> np.ndarray:
    """Which of the judged records are asked about: all, or as many members as non-members at random as the budget allows."""
    n = whole.n_judged
    if max_queries is None or checks.whole("max_queries", max_queries, 1) >= n:
        return np.arange(n)
    if max_queries < FEWEST:
        raise ValueError(
            f"max_queries must allow at least {FEWEST} rows, one a record, for fewer records tell nothing, got {max_queries}; "
            f"{n} would ask about all"
        )
    rng = randomness.generator(seed, "budget")
    a_side = min(max_queries // 2, whole.n_members, whole.n_nonmembers)
    n_members = min(whole.n_members, max_queries - min(whole.n_nonmembers, max(a_side, max_queries - whole.n_members)))
    n_others = min(whole.n_nonmembers, max_queries - n_members)
    inside = rng.choice(whole.n_members, n_members, replace=False)
    outside = whole.n_members + rng.choice(whole.n_nonmembers, n_others, replace=False)
    return np.sort(np.concatenate([inside, outside]))


def asked_all(
    target: AuditTarget,
    judged: Given,
    trainer: Trainer | None,
    k: int,
    seed: int,
    folder: Path | None,
    budget: int | None,
) -> Asked:
    """The target's answers first: a service that fails costs no training."""
    if folder is not None and hasattr(target.model, "keep_in"):
        target.model.keep_in(folder / "answers")
    answering = answers_of(target, judged.judged, judged.member)
    data = AttackData(answering.predictions, judged.judged.y, judged.member)
    noisy = _noisy(target, judged, data, copied(target, len(data), answering.kind, budget), seed)
    references = []
    if trainer is not None:
        references.append(of_auditor(trainer, judged, k, seed))
        if len(judged.pool):
            references.append(of_outsider(trainer, judged, k, seed))
    seen = [_seen(each, answering, data) for each in references]
    return Asked(judged, answering, data, tuple(seen), trainer, noisy)


def copied(target: AuditTarget, n: int, kind: str, budget: int | None) -> int:
    """How many of n records are asked about in noisy copies, within the budget; of a service without one, none unless it
    answers labels alone. kind: of `Answering`.
    """
    most = noisy_copies.MOST_COPIED
    if budget is not None:
        rows = budget - n
    elif hasattr(target.model, "keep_in"):
        rows = noisy_copies.count_of_rows(most) if kind == "labels" else 0
    else:
        rows = noisy_copies.count_of_rows(most)
    records = (rows - noisy_copies.count_of_rows(0)) // noisy_copies.COPIES_A_RECORD
    return min(most, n, records) if records >= noisy_copies.FEWEST_COPIED else 0


def _noisy(target: AuditTarget, judged: Given, data: AttackData, n: int, seed: int) -> Scored | None:
    """The attack by labels of noisy copies, on n records, members and non-members alike as far as there are."""
    if not n:
        return None
    rng = randomness.generator(seed, "records of noisy copies")
    sides = [rng.permutation(np.flatnonzero(side)) for side in (data.member, ~data.member)]
    a_side = [min(len(side), max(n // 2, n - len(other))) for side, other in zip(sides, sides[::-1], strict=True)]
    rows = np.sort(np.concatenate([side[:count] for side, count in zip(sides, a_side, strict=True)]))
    dataset = judged.judged
    score = noisy_copies.noise_scores(
        lambda records: places_of(target, records, dataset), dataset, answered_right(data), rows, seed
    )
    return Scored("no shadows", "label_noise", score)


def _seen(references: References, answering: Answering, data: AttackData) -> References:
    """References as the target answers: rounded, cut, or labels alone where it is."""
    seen = references.seen(answering.sees, None)
    floors = [floor_of(seen.predictions, seen.labels), floor_of(data.predictions, data.labels)]
    known = [floor for floor in floors if floor is not None]
    return replace(seen, floor=min(known) if known else None)
