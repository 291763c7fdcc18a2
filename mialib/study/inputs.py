"""What the attack networks should be told: each kind of inputs, judged on answers that the attack was not fitted on.

An attacker's shadow models draw from one pool, so that a held-out one answers about records about which the others answered,
too. An attack that knows single records by their answers looks good there, and fails on a target's records, of which it has
seen no answer. So records are held out as well.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack import fit_attack
from mialib.attack.learned import INPUTS
from mialib.core import checks, randomness
from mialib.core.types import Attack, AttackData, each_model
from mialib.study.experiments import REAL, Case, Experiment, TrainingJob, plan_jobs

MOST_ODDS = 30.0  # a score beyond counts as this: float32 knows no surer probability


def held_out(*experiments: Experiment, inputs: Iterable[str] = INPUTS) -> pd.DataFrame:
    """The paper's attack on each kind of inputs, fitted without a sixth of the shadows, at least one, and without a third of
    their records: the columns of a `Case`, inputs, records, metric, value, low, high, n_targets.

    Shadows are those on the target's own population. records: "shared", held-out shadows' answers about records of the fit;
    "new", about held-out records; "target", the target's own answers, by which nothing is chosen. metric: log_loss (natural
    logarithm), precision, recall, accuracy, tpr_at_0.01, each the mean over targets, with the least and the largest.

    Raises ValueError where a target has one shadow alone.
    """
    rows: list[dict[str, Any]] = []
    for e in experiments:
        checks.whole("n_shadows", e.n_shadows, 2)
        case = Case(e.dataset.name, e.dataset.source, e.our_target, e.train_size, *REAL)._asdict()
        e = e._replace(sources=None)
        targets, *jobs = plan_jobs(e)
        of_targets = each_model(targets.answers(), e.n_targets)
        parts = [_parts(e, job) | {"target": own} for job, own in zip(jobs, of_targets, strict=True)]
        for kind in inputs:
            attacks = [fit_attack(part["fit"], inputs=kind) for part in parts]
            for records in ("shared", "new", "target"):
                told = pd.DataFrame([_told(attack, part[records]) for attack, part in zip(attacks, parts, strict=True)])
                about = case | {"inputs": kind, "records": records}
                ends = zip(told, told.mean(), told.min(), told.max(), strict=True)
                names = ("metric", "value", "low", "high")
                rows += [about | dict(zip(names, end, strict=True)) | {"n_targets": len(told)} for end in ends]
    return pd.DataFrame(rows)


def _parts(e: Experiment, job: TrainingJob) -> dict[str, AttackData]:
    """A target's shadow answers: what the attack is fitted on, and what it is judged by."""
    n_held = max(1, e.n_shadows // 6)
    pool = np.unique(np.concatenate([split.rows for split in job.splits]))
    rng = randomness.generator(job.seed, "held-out records")
    new = np.zeros(len(e.dataset.x), bool)
    new[rng.permutation(pool)[: len(pool) // 3]] = True
    found: dict[str, list[AttackData]] = {"fit": [], "shared": [], "new": []}
    for i, (answers, split) in enumerate(zip(each_model(job.answers(), e.n_shadows), job.splits, strict=True)):
        is_new = new[split.rows]
        if i < e.n_shadows - n_held:
            found["fit"].append(answers[~is_new])
        else:
            found["shared"].append(answers[~is_new])
            found["new"].append(answers[is_new])
    return {name: AttackData.joined(parts) for name, parts in found.items()}


def _told(attack: Attack, data: AttackData) -> dict[str, float]:
    score = attack.membership_score(data)
    odds = np.clip(np.where(data.member, score, -score).astype(float), -MOST_ODDS, MOST_ODDS)
    rates = metrics.overall(data, score > 0)
    tpr = metrics.tpr_at_fpr(data, score, 0.01) if (~data.member).sum() >= 100 else np.nan
    return {"log_loss": float(np.logaddexp(0, -odds).mean()), **rates, "tpr_at_0.01": tpr}
