"""What an audit found: tables, sentences, and all that determines them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

REPORT_SCHEMA = 1  # version of report.json
AUDIT_VERDICTS = ("leaks", "no leak found", "cannot tell", "members differ")


class Moment(NamedTuple):
    """One record as an attacker meets it, and the truth (which a report tells last).

    fields: what the record holds, name by value (of a picture: its pixels, under "picture"). label: its class. target: the
    target's probability of it; members and strangers: the same by references trained with the record, and without it (NaN
    where there are none). score: of the attack; threshold: the one set on references. member: the truth.
    """

    fields: Mapping[str, Any]
    label: Any
    target: float
    members: Sequence[float]
    strangers: Sequence[float]
    attack: str
    score: float
    threshold: float
    member: bool


@dataclass(frozen=True, eq=False)
class AuditFindings:
    """The findings of an audit. Rates are in 0..1; `_low` and `_high` end 95% intervals; NaN: not to be had, or not carried.

    verdict: one of AUDIT_VERDICTS. summary: the findings, in a few sentences. assumptions: what they rest on, a sentence each.
    attacks: a row an attack: attacker ("outsider": trains shadows on a pool of records that he has; "auditor": trains
    references on halves of the records judged; "no shadows"), attack, headline (bool: the one that the verdict reads, chosen on
    references), auc, tpr_at_0.1, tpr_at_0.01, tpr_at_0.001, accuracy (balanced) and of each of these _low and _high,
    threshold_set_on, fpr (at the threshold set elsewhere for 1%), precision_at_0.01, precision_at_0.1, precision_at_0.5 (priors
    of membership, at that threshold), epsilon, epsilon_ceiling, p (of such an AUC by chance), n_members, n_nonmembers.
    groups: a row a class, and a row a value of a column that was named: column, value, n_members, n_nonmembers, auc, auc_low,
    auc_high, auc_rest, p (Holm's, over all rows), exposed ("more", "less", "no difference shown", "too few records").
    records: a row a record, the most exposed first: rank, record (its place among members, or non-members; index: its name in
    the user's frame), member, label, predicted, probability (of the label), probability_in, probability_out (means over the
    references trained with it, and without), score, seeds_in, seeds_agree (of so many references trained with it, the share
    that gives it away, too).
    remedies: a row a mitigation: mitigation, kind ("none", "answers", "training"), measured_on ("target" or "references"),
    attack, auc, auc_low, auc_high, tpr_at_0.01, accuracy (of the model on records that it has not seen), auc_change,
    accuracy_change.
    less: what attackers with less would get: attacker (in words), attack, auc, auc_low, auc_high, tpr_at_0.01.
    curves: attacker, attack, fpr, tpr. answers: member, probability (of the true class).
    moment: one record, or None. about: settings, versions, digests, counts: JSON-able.
    """

    verdict: str
    summary: str
    assumptions: Sequence[str]
    attacks: pd.DataFrame
    groups: pd.DataFrame
    records: pd.DataFrame
    remedies: pd.DataFrame
    less: pd.DataFrame
    curves: pd.DataFrame
    answers: pd.DataFrame
    moment: Moment | None
    about: dict[str, Any]
