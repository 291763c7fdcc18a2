"""An audit from a model, or from files of answers, to its findings."""

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from mialib.audit import findings, remedies, verdict
from mialib.audit.asking import Asked, asked_all, budget_of, copied, rows_within
from mialib.audit.attackers import BLIND, PER_RECORD, Scored, references_alone, rehearsed_auc, with_references, without_shadows
from mialib.audit.audit import REPORT_SCHEMA, Audit
from mialib.audit.given import Given, check_same, given, given_answers
from mialib.audit.moments import less_table, moment_of
from mialib.audit.noisy_copies import count_of_rows
from mialib.audit.plan import tell_plan
from mialib.audit.private import kept_until_done
from mialib.audit.references import FEWEST_REFERENCES
from mialib.audit.targets import Clock, target_of, understood
from mialib.core import checks
from mialib.core.frames import is_frame
from mialib.core.types import AttackData, Trainer, answered_right

log = logging.getLogger(__name__)

Groups = Sequence[str] | Mapping[str, Sequence[Any]]


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
    n_shadows: references of each attacker, at least 6. max_queries: rows that the target may be asked. groups: columns of x, or
    values (n_members + n_nonmembers,) by name: are some more exposed? keep: answers and trained models stay in the cache;
    otherwise they wait in a private temporary folder, where the same audit finds them after a stop, and end with the audit.

    Says first, on the standard error, what it will train and ask. Raises TypeError or ValueError for what cannot be audited,
    naming the argument, the value and what is allowed (see `audit.given`, `audit.targets`).
    """
    began, asked = time.perf_counter(), target_of(target)
    whole = given(members, nonmembers, pool, asked.known)
    checks.whole("n_shadows", n_shadows, FEWEST_REFERENCES)
    checks.whole("seed", seed, 0)
    checks.flag("keep", keep)
    columns = _group_columns(groups, whole)
    trainer = asked.trainer if trainer is None else _checked_trainer(trainer)
    budget = budget_of(asked, max_queries)
    rows = rows_within(whole, budget, seed)
    judged = whole.some(rows)
    settings = {"n_shadows": n_shadows, "seed": seed, "max_queries": budget, "target": asked.name}
    settings |= {"trainer": None if trainer is None else type(trainer).__name__}
    if budget is None and not hasattr(asked.model, "keep_in"):
        asked.ask(judged.dataset.records(slice(0, 2)))  # a model that cannot answer is told so before it is waited for
    copies = copied(asked, judged.n_judged, "labels", budget)
    tell_plan(asked, judged, trainer, n_shadows, count_of_rows(copies) if copies else 0)
    with kept_until_done(keep, judged.dataset.digest(), judged.n_members, judged.n_nonmembers, settings) as folder:
        clock = Clock()
        answered = asked_all(clock.timed(asked), judged, trainer, n_shadows, seed, folder, budget)
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
    raw = np.concatenate([_answered(each) for each in both])
    check_same(pd.concat([known, pd.DataFrame(raw).add_prefix("answered ")], axis=1), y, n_members)
    judged = given_answers(known, y, [*both[0].classes], n_members, index)
    answering = understood(raw, judged.dataset, judged.member, place)
    asked = Asked(judged, answering, AttackData(answering.predictions, y, judged.member), (), None)
    settings = {"target": "answers", "trainer": None, "n_shadows": 0, "seed": seed, "max_queries": None}
    about = _about(asked, settings, len(y))
    audit = _found(asked, _group_columns(groups, judged), about, 0, seed)
    return replace(audit, about=dict(audit.about) | {"seconds": round(time.perf_counter() - began, 3)})


def _answered(part: Any) -> np.ndarray:
    """Of a file: prediction vectors, or labels that were answered."""
    return part.predicted if part.predictions is None else part.predictions


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


def _about(asked: Asked, settings: Mapping[str, Any], n_given: int) -> dict[str, Any]:
    """All that determines the findings, and what was counted on the way: JSON-able."""
    import scipy
    import sklearn
    import torch

    right, member = answered_right(asked.data), asked.data.member
    versions = {"numpy": np.__version__, "pandas": pd.__version__, "scipy": scipy.__version__}
    versions |= {"scikit-learn": sklearn.__version__, "torch": torch.__version__, "python": sys.version.split()[0]}
    with suppress(metadata.PackageNotFoundError):  # a checkout that nobody installed
        versions = {"mialib": metadata.version("mialib")} | versions
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


def _found(asked: Asked, columns: Mapping[str, Sequence[Any]], about: dict[str, Any], k: int, seed: int) -> Audit:
    """Attack, measure, say."""
    data, judged = asked.data, asked.given
    auditor = next((each for each in asked.references if each.attacker == "auditor"), None)
    scores = without_shadows(data, judged.judged, seed, auditor)
    scores += [] if asked.noisy is None else [asked.noisy]
    for references in asked.references:
        scores += with_references(data, references, seed)
    if (data.predictions == data.predictions[0]).all():
        log.warning("the target answers the same to all records: what it tells of the frequency of classes is not counted")
        scores = [each if each.attack == BLIND else _blank(each) for each in scores]
    scores += [] if auditor is None else [references_alone(auditor)]
    headline = findings.headline_of(scores)
    attacks = findings.attack_table(scores, data.member, headline, seed)
    said = verdict.verdict_of(attacks)
    classes = np.asarray(judged.dataset.classes, object)[data.labels]
    groups = findings.group_table(headline.score, data.member, {"class": classes, **columns})
    ranking = _per_record(scores, headline)
    records = findings.record_table(judged, data, ranking, auditor, seed)
    followed = headline if auditor is None else findings.headline_of([s for s in scores if s.attacker == "auditor"])
    help_ = remedies.of_answers(data, asked.answering.kind, auditor, followed, seed)
    if asked.trainer is not None and (chosen := remedies.changes(asked.trainer)):
        trainings = remedies.of_trainings(asked.trainer, judged, k, seed, chosen, ranking.attack)
        help_ = pd.concat([help_, trainings], ignore_index=True)
    own = data.predictions[np.arange(len(data)), data.labels]
    return Audit(
        verdict=said,
        summary=verdict.summary_of(said, attacks, groups, records, about),
        assumptions=verdict.assumptions_of(attacks, about),
        attacks=attacks,
        groups=groups,
        records=records,
        remedies=help_,
        less=less_table(data, scores, auditor, asked.answering, seed),
        curves=findings.curve_table(scores, data.member),
        answers=pd.DataFrame({"member": data.member, "probability": own}),
        moment=moment_of(judged, data, auditor, ranking),
        about=about,
    )


def _blank(scored: Scored) -> Scored:
    """The same score for all records that are judged."""
    return scored._replace(score=np.where(np.isnan(scored.score), np.nan, 0.0))


def _per_record(scores: Sequence[Scored], headline: Scored) -> Scored:
    """What ranks single records: the best of the auditor's attacks that look at a record's own references, or the headline."""
    candidates = [each for each in scores if each.attacker == "auditor" and each.attack in PER_RECORD]
    return max(candidates, key=rehearsed_auc) if candidates else headline
