"""One record as an attacker meets it, and what attackers with less would get."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib.audit import findings, remedies
from mialib.audit.attackers import BLIND, CROSSED, PER_RECORD, Scored, rehearsed_auc, with_references
from mialib.audit.audit import Moment
from mialib.audit.given import Given
from mialib.audit.references import References
from mialib.audit.targets import Answering
from mialib.core.frames import is_frame
from mialib.core.types import AttackData
from mialib.metrics import can_carry, threshold_at_fpr
from mialib.mitigations import label_only


def less_table(
    data: AttackData, scores: Sequence[Scored], auditor: References | None, answering: Answering, seed: int
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
        row = remedies.measured(scored.score[None], data.member[None], seed, CROSSED if scored.attack == BLIND else 1.0)
        rows.append({"attacker": words, "attack": scored.attack} | row)
    return pd.DataFrame(rows)


def moment_of(judged: Given, data: AttackData, auditor: References | None, ranking: Scored) -> Moment | None:
    """The record that looks most like a member."""
    if auditor is None or ranking.attacker != "auditor":
        return None
    row = int(np.nanargmax(ranking.score))
    label = int(data.labels[row])
    answers, inside = auditor.predictions[:, row, label], auditor.member[:, row]
    rehearsed = findings.rehearsals(ranking)
    threshold = np.nan
    if rehearsed is not None and can_carry(findings.AT_FPR, int((~rehearsed[1]).sum())):
        found = threshold_at_fpr(*rehearsed, findings.AT_FPR)
        threshold = found if np.isfinite(found) else np.nan  # infinite: even the highest scores are too many strangers'
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
