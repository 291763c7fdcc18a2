"""An audit from a model, or from files of answers, to its findings."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm.std import tqdm

from mialib.audit import findings, noisy_copies, remedies, verdict
from mialib.audit.attackers import BLIND, PER_RECORD, Scored, rehearsed_auc, with_references, without_shadows
from mialib.audit.audit import REPORT_SCHEMA, Audit, Moment
from mialib.audit.given import FEWEST, Given, given, given_answers
from mialib.audit.private import kept_until_done
from mialib.audit.references import References, of_auditor, of_outsider
from mialib.audit.targets import Answering, AuditTarget, Clock, answers_of, floor_of, places_of, target_of, understood
from mialib.core import checks, randomness
from mialib.core.frames import is_frame
from mialib.core.types import AttackData, Trainer, answered_right
from mialib.mitigations import label_only

log = logging.getLogger(__name__)

SECONDS_OF_COPIES = 8.0
Groups = Sequence[str] | Mapping[str, Sequence[Any]]


class _Asked(NamedTuple):
    """The judged records and the target's answers to them; and of each attacker, what his references answered."""

    given: Given
    answering: Answering
    data: AttackData
    references: tuple[References, ...]
    trainer: Trainer | None
    noisy: Scored | None = None  # labels of noisy copies


def model(
    target: Any,
    members: Any,
    nonmembers: Any,
    *,
    pool: Any = None,
    trainer: Trainer | None = None,
    n_shadows: int = 16,
    max_queries: int | None = None,
    seed: int = 0,
    groups: Groups | None = None,
    keep: bool = False,
) -> Audit:
    """Audit a model: what do its answers give away about its training records, about whom, how sure is that, what helps?

    target: a fitted scikit-learn classifier or pipeline, a torch module of logits (else: `black_box`), a service
    (`audit.Remote`), anything with `predict_proba`, or a function of records that answers probabilities or labels.
    members, nonmembers: pairs (x, y) of records that were in the training set, and that were not; pool: further records of the
    same kind that the outsider trains his shadows on. x: an array, a pandas table or a column of one, and given to models as it
    is; y: labels of any one kind. trainer: of references (None: clones of a scikit-learn target; others have none without).
    n_shadows: references of each attacker, at least 4. max_queries: rows that the target may be asked. groups: columns of x, or
    values (n_members + n_nonmembers,) by name: are some more exposed? keep: answers and trained models stay in the cache;
    otherwise they wait in a private temporary folder, where the same audit finds them after a stop, and end with the audit.

    Says first, on the standard error, what it will train and ask. Raises TypeError or ValueError for what cannot be audited,
    naming the argument, the value and what is allowed (see `audit.given`, `audit.targets`).
    """
    began, asked = time.perf_counter(), target_of(target)
    whole = given(members, nonmembers, pool, asked.known)
    checks.whole("n_shadows", n_shadows, 4)
    checks.whole("seed", seed, 0)
    checks.flag("keep", keep)
    columns = _group_columns(groups, whole)
    trainer = asked.trainer if trainer is None else _checked_trainer(trainer)
    budget = _budget(asked, max_queries)
    rows = _within_budget(whole, budget, seed)
    judged = whole.some(rows)
    settings = {"n_shadows": n_shadows, "seed": seed, "max_queries": budget, "target": asked.name}
    settings |= {"trainer": None if trainer is None else type(trainer).__name__}
    _announce(asked, judged, trainer, n_shadows)
    with kept_until_done(keep, judged.dataset.digest(), judged.n_members, judged.n_nonmembers, settings) as folder:
        clock = Clock()
        answered = _ask(clock.timed(asked), judged, trainer, n_shadows, seed, folder, clock, budget)
        about = _about(answered, settings, len(whole.member))
        about |= {"rows_asked": clock.rows, "seconds_asking": round(clock.seconds, 3)}
        audit = _found(answered, {name: values[rows] for name, values in columns.items()}, about, n_shadows, seed)
    return replace(audit, about=dict(audit.about) | {"seconds": round(time.perf_counter() - began, 3)})


def answers(
    members: Any, nonmembers: Any, *, label: str | None = None, groups: Sequence[str] | None = None, seed: int = 0
) -> Audit:
    """Audit a model by its answers alone: two tables, or CSV, Parquet or npz files, about members and about non-members.

    label: the column of true labels. A column for each class, named by it (or with p_, proba_, prob_ or probability_ before),
    holds the answered probabilities; or a column "predicted" the answered labels (see `audit.files`). All other columns say
    what is known of a record: quantile regression and `groups` use them. Without a model there are no references: attacks with
    these, which find most, are not to be had. Raises TypeError or ValueError.
    """
    from mialib.audit.files import read_answers_of_both  # late: for those who have files

    began = time.perf_counter()
    checks.whole("seed", seed, 0)
    both = read_answers_of_both(members, nonmembers, label)
    table, n_members = pd.concat([each.rest for each in both], ignore_index=True), len(both[0].labels)
    place = {each: c for c, each in enumerate(both[0].classes)}
    y = np.array([place[each] for part in both for each in part.labels.tolist()], np.int64)
    index = np.concatenate([np.asarray(each.rest.index.to_numpy(), object) for each in both])
    known = _without_names(table)
    judged = given_answers(known, y, [*both[0].classes], n_members, index)
    raw = [each.predicted if each.predictions is None else each.predictions for each in both]
    answering = understood(np.concatenate([part for part in raw if part is not None]), judged.dataset, judged.member, place)
    asked = _Asked(judged, answering, AttackData(answering.predictions, y, judged.member), (), None)
    settings = {"target": "answers", "trainer": None, "n_shadows": 0, "seed": seed, "max_queries": None}
    about = _about(asked, settings, len(y))
    audit = _found(asked, _group_columns(groups, judged), about, 0, seed)
    return replace(audit, about=dict(audit.about) | {"seconds": round(time.perf_counter() - began, 3)})


def _without_names(table: pd.DataFrame) -> pd.DataFrame:
    """What is known of records, without columns that name each one: these tell files apart, and nothing else."""
    kinds = {name: pd.api.types.is_float_dtype(table[name]) for name in table.columns}
    names = [name for name, real in kinds.items() if not real and table[name].nunique() == len(table)]
    if names:
        log.warning("columns %s are different for every record: they are not used", ", ".join(map(str, names)))
    rest = table.drop(columns=names)
    return rest if len(rest.columns) else pd.DataFrame({"nothing": np.zeros(len(table), np.float32)})


def _checked_trainer(trainer: Any) -> Trainer:
    if not hasattr(trainer, "fit_many") or not hasattr(trainer, "keys"):
        raise TypeError(f"trainer must have fit_many and keys, such as FunctionTrainer(fit), got a {type(trainer).__name__}")
    return trainer


def _within_budget(whole: Given, max_queries: int | None, seed: int) -> np.ndarray:
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


def _group_columns(groups: Groups | None, whole: Given) -> dict[str, Any]:
    """Values of the columns that were named, of the judged records."""
    if groups is None:
        return {}
    if isinstance(groups, Mapping):
        found = {str(name): np.asarray(values, object) for name, values in groups.items()}
        for name, values in found.items():
            if values.shape != (whole.n_judged,):
                raise ValueError(
                    f"groups must give a value a record, members first, ({whole.n_judged},), got {values.shape} for {name}"
                )
        return found
    if isinstance(groups, str):
        raise TypeError(f"groups must be a list of columns, or values by name, got {groups!r}: write [{groups!r}]")
    table = whole.judged.frame
    known = [*table.columns] if is_frame(table) and table.ndim == 2 else []
    if strange := [name for name in groups if name not in known]:
        raise ValueError(
            f"groups must be columns of x, {', '.join(map(str, known)) or 'of which an array has none'}, got "
            f"{', '.join(map(str, strange))}"
        )
    return {str(name): table[name].to_numpy(object) for name in groups}


def _announce(target: AuditTarget, judged: Given, trainer: Trainer | None, n_shadows: int) -> None:
    """What will be done, on the standard error, before it is."""
    counts = f"{judged.n_members:,} members and {judged.n_nonmembers:,} non-members"
    lines = [f"audit of {target.name}: {counts}, {judged.n_judged:,} rows to ask"]
    if trainer is None:
        lines.append("no trainer: attacks on the answers alone")
    else:
        attackers = 1 + (len(judged.pool) > 0)
        k = attackers * n_shadows
        lines.append(f"trains {k} references ({type(trainer).__name__}), {_seconds(trainer, judged, k)}")
    tqdm.write("\n".join(lines), file=sys.stderr)


def _seconds(trainer: Trainer, judged: Given, k: int) -> str:
    """About how long k references take here: by the trainer's own estimate, or a line through trials on few records."""
    n = judged.n_judged // 2
    if hasattr(trainer, "estimate"):
        return f"about {trainer.estimate(judged.judged, n, k).seconds:,.0f} s"
    sizes = [min(n, max(FEWEST, n // part)) for part in (20, 20, 5)]  # what is started and imported once falls to the first
    seconds = []
    for size in sizes:
        rows = np.sort(np.random.default_rng(0).choice(judged.n_judged, size, replace=False))
        began = time.perf_counter()
        try:
            trainer.fit_many(judged.judged, rows[None], 0)
        except Exception:
            log.debug("the trial failed", exc_info=True)
            return "for a time that a trial could not tell"
        seconds.append(time.perf_counter() - began)
    slope = max(0.0, seconds[2] - seconds[1]) / max(1, sizes[2] - sizes[1])
    one = seconds[1] + slope * (n - sizes[1])
    return (
        f"about {max(1.0, one * k / getattr(trainer, 'at_once', 1)):,.0f} s, by trials on {sizes[0]:,} and {sizes[2]:,} records"
    )


def _budget(target: AuditTarget, max_queries: int | None) -> int | None:
    """Rows that may be asked: of the call and of the service's own limit, the smaller."""
    limits = [max_queries, getattr(target.model, "max_queries", None)]
    return min((checks.whole("max_queries", limit, 1) for limit in limits if limit is not None), default=None)


def _ask(
    target: AuditTarget,
    judged: Given,
    trainer: Trainer | None,
    k: int,
    seed: int,
    folder: Path | None,
    clock: Clock,
    budget: int | None,
) -> _Asked:
    """The target's answers first: a service that fails costs no training."""
    if folder is not None and hasattr(target.model, "keep_in"):
        target.model.keep_in(folder / "answers")
    answering = answers_of(target, judged.judged, judged.member)
    data = AttackData(answering.predictions, judged.judged.y, judged.member)
    noisy = _noisy(target, judged, data, _copied(target, data, answering, clock, budget), seed)
    references = []
    if trainer is not None:
        references.append(of_auditor(trainer, judged, k, seed))
        if len(judged.pool):
            references.append(of_outsider(trainer, judged, k, seed))
    seen = [_seen(each, answering, data) for each in references]
    return _Asked(judged, answering, data, tuple(seen), trainer, noisy)


def _copied(target: AuditTarget, data: AttackData, answering: Answering, clock: Clock, budget: int | None) -> int:
    """How many records can be asked about in noisy copies: within the budget, or within seconds of a model at hand; of a
    service without a budget, none unless it answers labels alone.
    """
    most = noisy_copies.MOST_RECORDS
    if budget is not None:
        rows = budget - len(data)
    elif hasattr(target.model, "keep_in"):
        rows = noisy_copies.count_of_rows(most) if answering.kind == "labels" else 0
    else:
        rows = int(SECONDS_OF_COPIES * clock.rows / max(clock.seconds, 1e-6))
    records = (rows - noisy_copies.count_of_rows(0)) // noisy_copies.COPIES
    return min(most, len(data), records) if records >= noisy_copies.FEWEST_RECORDS else 0


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


def _about(asked: _Asked, settings: Mapping[str, Any], n_given: int) -> dict[str, Any]:
    """All that determines the findings, and what was counted on the way: JSON-able."""
    import scipy
    import sklearn
    import torch

    right, member = answered_right(asked.data), asked.data.member
    versions = {"numpy": np.__version__, "pandas": pd.__version__, "scipy": scipy.__version__}
    versions |= {"scikit-learn": sklearn.__version__, "torch": torch.__version__, "python": sys.version.split()[0]}
    return {
        "schema": REPORT_SCHEMA,
        **settings,
        "answers": asked.answering.kind,
        "n_given": n_given,
        "n_asked": len(member),
        "n_members": int(member.sum()),
        "n_nonmembers": int((~member).sum()),
        "n_pool": len(asked.given.pool),
        "n_classes": asked.data.n_classes,
        "classes": [str(each) for each in np.asarray(asked.given.dataset.classes).tolist()],
        "train_accuracy": float(right[member].mean()),
        "test_accuracy": float(right[~member].mean()),
        "references": [
            {
                "attacker": each.attacker,
                "n": len(each),
                "size": each.size,
                "train_accuracy": each.accuracy[0],
                "test_accuracy": each.accuracy[1],
            }
            for each in asked.references
        ],
        "data": asked.given.dataset.digest(),
        "versions": versions,
        "made": time.strftime("%Y-%m-%d %H:%M"),
    }


def _found(asked: _Asked, columns: Mapping[str, Sequence[Any]], about: dict[str, Any], k: int, seed: int) -> Audit:
    """Attack, measure, say."""
    data, judged = asked.data, asked.given
    auditor = next((each for each in asked.references if each.attacker == "auditor"), None)
    scores = without_shadows(data, judged.judged, seed, auditor)
    scores += [] if asked.noisy is None else [asked.noisy]
    for references in asked.references:
        scores += with_references(data, references, seed)
    headline = findings.headline_of(scores)
    attacks = findings.attack_table(scores, data.member, headline, seed)
    said = verdict.verdict_of(attacks)
    classes = np.asarray(judged.dataset.classes, object)[data.labels]
    groups = findings.group_table(headline.score, data.member, {"class": classes, **columns})
    ranking = _per_record(scores, headline)
    records = findings.record_table(judged, data, ranking, auditor, seed)
    help_ = remedies.of_answers(data, asked.answering.kind, auditor, headline, seed)
    if asked.trainer is not None and (chosen := remedies.changes(asked.trainer)):
        help_ = pd.concat([help_, remedies.of_trainings(asked.trainer, judged, k, seed, chosen)], ignore_index=True)
    own = data.predictions[np.arange(len(data)), data.labels]
    return Audit(
        verdict=said,
        summary=verdict.summary_of(said, attacks, groups, about),
        assumptions=verdict.assumptions_of(attacks, about),
        attacks=attacks,
        groups=groups,
        records=records,
        remedies=help_,
        less=_less(data, scores, auditor, headline, asked.answering, seed),
        curves=findings.curve_table(scores, data.member),
        answers=pd.DataFrame({"member": data.member, "probability": own}),
        moment=_moment(judged, data, auditor, ranking, seed),
        about=about,
    )


def _per_record(scores: Sequence[Scored], headline: Scored) -> Scored:
    """What ranks single records: the best of the auditor's attacks that look at a record's own references, or the headline."""
    candidates = [each for each in scores if each.attacker == "auditor" and each.attack in PER_RECORD]
    return max(candidates, key=rehearsed_auc) if candidates else headline


def _less(
    data: AttackData, scores: Sequence[Scored], auditor: References | None, headline: Scored, answering: Answering, seed: int
) -> pd.DataFrame:
    """What attackers with less than this audit's would get."""
    best: dict[str, Scored] = {}
    whole = "whole answers" if answering.kind == "full vectors" else answering.kind
    for attacker, words in (
        ("auditor", f"{whole}, and references on the judged records"),
        ("outsider", f"{whole}, and shadow models on other records"),
    ):
        candidates = [each for each in scores if each.attacker == attacker and each.rehearsed]
        if candidates:
            best[words] = max(candidates, key=rehearsed_auc)
    by_name = {each.attack: each for each in scores if each.attacker == "no shadows"}
    if answering.kind != "labels":
        best[f"{whole}, nothing else"] = by_name["confidence"]
        if auditor is not None:
            seen = auditor.seen(label_only, 0.25)
            shown = AttackData(label_only(data.predictions), data.labels, data.member)
            best["labels alone, and references on the judged records"] = max(
                with_references(shown, seen, seed, PER_RECORD), key=rehearsed_auc
            )
    best["labels alone, nothing else"] = by_name["label_gap"]
    if "label_noise" in by_name:
        best["labels alone, of noisy copies too"] = by_name["label_noise"]
    if BLIND in by_name:
        best["no answer at all"] = by_name[BLIND]
    rows = []
    for words, scored in best.items():
        row = remedies.measured(scored.score[None], data.member[None], seed)
        rows.append({"attacker": words, "attack": scored.attack} | row)
    return pd.DataFrame(rows)


def _moment(judged: Given, data: AttackData, auditor: References | None, ranking: Scored, seed: int) -> Moment | None:
    """The record that looks most like a member."""
    if auditor is None or ranking.attacker != "auditor":
        return None
    row = int(np.nanargmax(ranking.score))
    label = int(data.labels[row])
    answers, inside = auditor.predictions[:, row, label], auditor.member[:, row]
    rehearsed = findings.rehearsals(ranking)
    threshold = np.nan
    if rehearsed is not None and findings.can_carry(findings.AT_FPR, int((~rehearsed[1]).sum())):
        threshold = findings.threshold_at_fpr(*rehearsed, findings.AT_FPR)
    record = judged.dataset.records(np.array([row]))
    return Moment(
        fields=_fields(record),
        label=np.asarray(judged.dataset.classes, object)[label],
        target=float(data.predictions[row, label]),
        members=tuple(answers[inside].tolist()),
        strangers=tuple(answers[~inside].tolist()),
        attack=ranking.attack,
        score=float(ranking.score[row]),
        threshold=float(threshold),
        member=bool(data.member[row]),
    )


def _fields(record: Any) -> dict[str, Any]:
    """What one record holds, for reading."""
    if is_frame(record):
        if record.ndim == 2:
            return {str(name): record[name].iloc[0] for name in record.columns}
        return {"record": record.iloc[0]}
    if record[0].ndim in (2, 3):
        return {"picture": record[0]}
    return {f"column {i}": value for i, value in enumerate(np.ravel(record[0]).tolist())}
