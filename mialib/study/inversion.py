"""Fig. 13: targets inverted class by class, and whether what comes out is a member, or tells members (Sec. IX)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.attack.inversion import Inverted, invert, invert_by_answers
from mialib.attack.thresholds import confidence
from mialib.core import cache, checks
from mialib.core.types import AttackData, BlackBox, Dataset, Split
from mialib.data.catalogue import class_name
from mialib.shadow.answers import Training, kept_or_asked, query
from mialib.shadow.records import nearest
from mialib.study.dependent import mean_auc, mean_over_classes
from mialib.study.experiments import Experiment, TrainingJob, plan_jobs

ACCESSES = ("white box", "answers alone")
FOR_DIGITS = {"start": "black", "smoothness": 0.0, "distance": 3e-4, "half_waves": 6.0}  # thin strokes on an empty ground
SHARED = ("noise", "smoothness", "distance", "half_waves", "enough")  # arguments of both ways
BLANKS = {"grey": 0.5, "black": 0.0}  # of the range of pixels


class InversionPlan(NamedTuple):
    """Targets to invert, and how. experiment: its targets alone are trained, those of `study.run_targets`.

    n_seeds: starts a class, each with noise of its own. steps: gradients a class, white box; max_queries: rows a class, answers
    alone. start: "grey" or "black", what the attacker takes for an empty picture. The others, see `attack.inversion.invert`:
    by default as suits photographs; for drawings, FOR_DIGITS.
    """

    experiment: Experiment
    n_seeds: int = 1
    steps: int = 60
    max_queries: int = 600
    start: str = "grey"
    noise: float = 0.02
    smoothness: float = 0.03
    distance: float = 0.0
    half_waves: float = 3.0
    enough: float = 1e-3


class InversionTrial(NamedTuple):
    """One target, inverted.

    answers: on its members and non-members. found: of each of ACCESSES, an `Inverted` of (n_seeds, n_classes, ...).
    recognised: of each, the share of the experiment's other targets that take a picture for its class, (n_seeds, n_classes);
    NaN where there is no other.
    """

    plan: InversionPlan
    target: int
    split: Split
    answers: AttackData
    found: dict[str, Inverted]
    recognised: dict[str, np.ndarray]

    @property
    def dataset(self) -> Dataset:
        return self.plan.experiment.dataset


def run_inversions(*plans: InversionPlan) -> list[InversionTrial]:
    """Train what is missing, and invert every class of every target in both ways; all of it is kept on disk."""
    for plan in plans:
        _check_plan(plan)
    return [trial for plan in plans for trial in _run_plan(plan)]


def _check_plan(plan: InversionPlan) -> None:
    checks.instance("plan", plan, InversionPlan)
    dataset = plan.experiment.dataset
    if dataset.x.dtype != np.uint8 or dataset.x.ndim not in (3, 4):
        raise ValueError(f"dataset must hold pictures, uint8 (n, h, w) or (n, h, w, channels), got {checks.kind(dataset.x)}")
    checks.whole("n_seeds", plan.n_seeds, 1)
    checks.choice("start", plan.start, tuple(BLANKS))
    for name in ("steps", "max_queries"):
        checks.whole(name, getattr(plan, name), 1)
    for name in ("noise", "smoothness", "distance", "enough"):
        checks.real(name, getattr(plan, name), 0)
    checks.real("half_waves", plan.half_waves, 0, open_low=True)


def _run_plan(plan: InversionPlan) -> list[InversionTrial]:
    job = plan_jobs(plan.experiment._replace(n_shadows=0))[0]
    dataset, rows = job.dataset, np.stack([split.members for split in job.splits])
    training = Training(job.trainer, dataset, rows, job.seed)
    settings = plan._replace(experiment=None)._asdict()  # type: ignore[arg-type]
    keys = [
        {"model": key, "asked": cache.digest(split.members, split.nonmembers), "code": cache.code_digest(__name__)} | settings
        for key, split in zip(job.trainer.keys(dataset, rows, job.seed), job.splits, strict=True)
    ]

    def ask(model: BlackBox, i: int) -> dict[str, np.ndarray]:
        found = {"answers": query(model, dataset, job.splits[i]).predictions}
        for access in ACCESSES:
            parts = zip(*(_invert(model, plan, access, seed) for seed in range(plan.n_seeds)), strict=True)
            found |= {f"{access} {name}": np.stack(part) for name, part in zip(Inverted._fields, parts, strict=True)}
        return found

    stored = kept_or_asked("inversions", keys, lambda arrays: _check_stored(arrays, plan, rows.shape[1]), ask, training)
    found = [{a: Inverted(*(arrays[f"{a} {name}"] for name in Inverted._fields)) for a in ACCESSES} for arrays in stored]
    judged = _judged(job, training, keys, found)
    return [
        InversionTrial(plan, t, split, _attack_data(dataset, split, arrays["answers"]), found[t], judged[t])
        for t, (split, arrays) in enumerate(zip(job.splits, stored, strict=True))
    ]


def _invert(model: BlackBox, plan: InversionPlan, access: str, seed: int) -> Inverted:
    shape = plan.experiment.dataset.x.shape[1:]
    shared: dict[str, Any] = {name: getattr(plan, name) for name in SHARED}
    shared |= {"start": np.full(shape, 255 * BLANKS[plan.start]), "seed": seed}
    classes = range(plan.experiment.dataset.n_classes)
    if access == ACCESSES[0]:
        return invert(model, shape, classes, steps=plan.steps, **shared)
    return invert_by_answers(model, shape, classes, max_queries=plan.max_queries, **shared)


def _check_stored(stored: dict[str, np.ndarray], plan: InversionPlan, n: int) -> None:
    dataset = plan.experiment.dataset
    front = (plan.n_seeds, dataset.n_classes)
    shapes: dict[str, tuple[tuple[int | None, ...], str]] = {"answers": ((2 * n, dataset.n_classes), "float32")}
    for access in ACCESSES:
        shapes |= {f"{access} {name}": (front, "float64") for name in ("confidence", "cost")}
        shapes |= {f"{access} queries": (front, "int64"), f"{access} record": ((*front, *dataset.x.shape[1:]), "uint8")}
    cache.expect(stored, shapes)


def _attack_data(dataset: Dataset, split: Split, answers: np.ndarray) -> AttackData:
    return AttackData(answers, dataset.y[split.rows], split.member)


def _judged(
    job: TrainingJob, training: Training, keys: Sequence[dict[str, Any]], found: Sequence[dict[str, Inverted]]
) -> list[dict[str, np.ndarray]]:
    """Of each target's pictures, the share of the other targets that take them for their class."""
    n_classes, n = job.dataset.n_classes, len(found)
    # (targets, accesses, seeds, classes, ...)
    pictures = np.stack([[of[access].record for access in ACCESSES] for of in found])
    shown = pictures.reshape(-1, *job.dataset.x.shape[1:])
    if n == 1:
        return [{access: np.full(found[0][access].confidence.shape, np.nan) for access in ACCESSES}]
    own = [{"model": key["model"], "code": key["code"], "shown": cache.digest(shown)} for key in keys]

    def ask(model: BlackBox, i: int) -> dict[str, np.ndarray]:
        return {"labels": model.predict_proba(shown).argmax(1)}

    heard = kept_or_asked("recognised", own, lambda a: cache.expect(a, {"labels": ((len(shown),), "int64")}), ask, training)
    right = np.stack([of["labels"].reshape(pictures.shape[:4]) == np.arange(n_classes) for of in heard])  # judges in front
    shares = [(right[:, t].sum(0) - right[t, t]) / (n - 1) for t in range(n)]
    return [dict(zip(ACCESSES, share, strict=True)) for share in shares]


# Tables


def inverted_table(trials: Sequence[InversionTrial]) -> pd.DataFrame:
    """What `plots.inverted_pictures` draws, of the first target of each data set and its first seed: dataset, source, cls,
    name, row ("inverted, white box", "inverted, answers alone", "mean of the class" (of the members), "a member", "a
    non-member": the first ones), height, width, channels, pixels (hexadecimal bytes, row by row).
    """
    rows = []
    for trial in (t for t in trials if t.target == 0):
        dataset, means = trial.dataset, _class_means(trial)
        for c in range(dataset.n_classes):
            shown = {f"inverted, {access}": trial.found[access].record[0, c] for access in ACCESSES}
            members, nonmembers = _of_class(trial, c)
            shown["mean of the class"] = means[c]
            if len(members) and len(nonmembers):
                shown |= {"a member": members[0], "a non-member": nonmembers[0]}
            front = {"dataset": dataset.name, "source": dataset.source, "cls": c, "name": class_name(dataset.name, c)}
            for row, picture in shown.items():
                height, width, channels = (*picture.shape, 1)[:3]
                size = {"height": height, "width": width, "channels": channels}
                rows.append(front | {"row": row} | size | {"pixels": picture.tobytes().hex()})
    return pd.DataFrame(rows)


def inversion_table(trials: Sequence[InversionTrial]) -> pd.DataFrame:
    """A row an inverted picture: dataset, source, target, cls, access, seed, queries, confidence, nearest_member,
    nearest_nonmember, usual_nearest, mean_correlation, nearest_of_mean, recognised (see `InversionTrial`).

    nearest_…: the distance to the nearest member (non-member) of the class, of equally many of both, root mean square over
    pixels whose range is 1. usual_nearest: the median of the class's non-members' distances to the nearest of the same members.
    nearest_of_mean: the distance of the mean of the class's members to the nearest of them. mean_correlation: with that mean,
    the mean of all members taken from both. NaN for a class without members or non-members.
    """
    rows = []
    for trial in trials:
        for c, mean in enumerate(_class_means(trial)):
            rows += _class_rows(trial, c, mean)
    return pd.DataFrame(rows)


def _class_rows(trial: InversionTrial, c: int, mean: np.ndarray) -> list[dict[str, Any]]:
    dataset = trial.dataset
    front = {"dataset": dataset.name, "source": dataset.source, "target": trial.target, "cls": c}
    overall = dataset.x[trial.split.members].mean(0, dtype=np.float64)
    members, nonmembers = _of_class(trial, c)
    few = min(len(members), len(nonmembers))
    nothing = np.full(trial.plan.n_seeds, np.nan)
    usual = float(np.median(_distance(nonmembers[:few], members[:few]))) if few else np.nan
    of_mean = float(_distance(mean[None], members[:few])[0]) if few else np.nan
    rows = []
    for access, found in trial.found.items():
        pictures = found.record[:, c]
        near, other = (_distance(pictures, real[:few]) if few else nothing for real in (members, nonmembers))
        for seed, picture in enumerate(pictures):
            asked = {"queries": int(found.queries[seed, c]), "confidence": float(found.confidence[seed, c])}
            distances = {"nearest_member": near[seed], "nearest_nonmember": other[seed], "usual_nearest": usual}
            likeness = _correlation(picture - overall, members.mean(0) - overall) if few else np.nan
            others = {"mean_correlation": likeness, "nearest_of_mean": of_mean, "recognised": trial.recognised[access][seed, c]}
            rows.append(front | {"access": access, "seed": seed} | asked | distances | others)
    return rows


def _of_class(trial: InversionTrial, c: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of a class: members, non-members."""
    dataset, split = trial.dataset, trial.split
    return dataset.x[split.members[dataset.y[split.members] == c]], dataset.x[
        split.nonmembers[dataset.y[split.nonmembers] == c]
    ]


def _distance(x: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.sqrt(nearest(x, real).astype(np.float64)) / 255


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / norm) if norm > 0 else float("nan")


def inversion_summary(trials: Sequence[InversionTrial], seed: int = 0) -> pd.DataFrame:
    """What the pictures say, means with 95% intervals: dataset, source, access, measure, value, low, high, n (targets).

    measure: "nearest member", the distance; "nearer to members", nearest_nonmember - nearest_member; "nearest member,
    relative", nearest_member over usual_nearest (a blur lies nearer to all pictures than they do to one another: below 1 it
    need be no member); "farther than the class mean", nearest_member - nearest_of_mean, well below 0 of a copy of a member;
    "mean_correlation"; "recognised", where there is another target; "auc" of minus the distance between a record and the
    inverted picture of its class, members against non-members; and beside it, the same for every access, "auc by the class
    mean", the mean of its members in the picture's place, and "auc by confidence", of the record's own answer.

    Pictures of one target are not independent: seeds are averaged, and the interval is the wider of Student's t over targets
    and a bootstrap of classes, the same ones of every target; of AUCs, the wider of the former and of the records' own error.
    """
    table, rows = inversion_table(trials), []
    table["nearest member"] = table["nearest_member"]
    table["nearer to members"] = table["nearest_nonmember"] - table["nearest_member"]
    table["nearest member, relative"] = table["nearest_member"] / table["usual_nearest"]
    table["farther than the class mean"] = table["nearest_member"] - table["nearest_of_mean"]
    for (name, source, access), part in table.groupby(["dataset", "source", "access"], sort=False):
        front = {"dataset": name, "source": source, "access": access}
        own = [trial for trial in trials if (trial.dataset.name, trial.dataset.source) == (name, source)]
        for measure in MEASURES:
            values = part.groupby(["target", "cls"])[measure].mean().unstack().to_numpy()
            if not np.isnan(values).any(0).all():
                rows.append(front | {"measure": measure} | mean_over_classes(values, seed, MEASURES[measure]))
        scores = {
            "auc": [_closeness(trial, trial.found[str(access)].record) for trial in own],
            "auc by the class mean": [_closeness(trial, _class_means(trial)[None]) for trial in own],
            "auc by confidence": [confidence(trial.answers)[None] for trial in own],
        }
        for measure, of_targets in scores.items():
            rows.append(front | {"measure": measure} | mean_auc(of_targets, [trial.split.member for trial in own]))
    return pd.DataFrame(rows)


MEASURES = {  # of pictures, and where they end
    "nearest member": (0.0, np.inf),
    "nearer to members": (-np.inf, np.inf),
    "nearest member, relative": (0.0, np.inf),
    "farther than the class mean": (-np.inf, np.inf),
    "mean_correlation": (-1.0, 1.0),
    "recognised": (0.0, 1.0),
}


def _class_means(trial: InversionTrial) -> np.ndarray:
    """The mean picture of each class's members, uint8 (n_classes, ...); of a class without members, that of all."""
    means = []
    for c in range(trial.dataset.n_classes):
        members = _of_class(trial, c)[0]
        members = members if len(members) else trial.dataset.x[trial.split.members]
        means.append(np.rint(members.mean(0, dtype=np.float64)).astype(np.uint8))
    return np.stack(means)


def _closeness(trial: InversionTrial, pictures: np.ndarray) -> np.ndarray:
    """Minus each record's distance to the picture of its class, (n_seeds, 2 n); pictures (n_seeds, n_classes, ...)."""
    dataset, rows = trial.dataset, trial.split.rows
    labels, scores = dataset.y[rows], np.empty((len(pictures), len(rows)))
    for score, of_classes in zip(scores, pictures, strict=True):
        for c in np.unique(labels):
            score[labels == c] = -_distance(dataset.x[rows[labels == c]], of_classes[c][None])
    return scores
