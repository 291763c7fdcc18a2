"""Who is measured, by name: mialib in its several parts, the plain loop, and the libraries."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import climbs, scoring
from benchmarks.phases import Contender, Found, Stopwatch, judged, ranked, train_accuracy
from benchmarks.plain import loader, plain, sliced
from benchmarks.workloads import FORESTS, Answers, Halves, TargetAndPool, TrainingSets, Workload, make_model, untrained_forest
from mialib import audit, shadow
from mialib.attack import thresholds
from mialib.attack.learned import fit_attack
from mialib.attack.likelihood_ratio import lira
from mialib.core.types import Attack, AttackData, Trainer
from mialib.training.black_boxes import black_box
from mialib.training.estimators import EstimatorTrainer
from mialib.training.neural import NeuralTrainer


def ours(workload: Workload, material: Any, seed: int, watch: Stopwatch) -> Found:
    """mialib."""
    if workload.kind == "stage":
        return _our_stage(material, seed, watch)
    if workload.kind == "synthesis":
        return climbs.ours(workload, material, seed, watch)
    if workload.kind == "attack":
        return _our_attack(workload, material, seed, watch, fit_attack)
    if workload.kind == "signals":
        return scoring.ours(workload, material, seed, watch)
    if workload.name == "U":
        return _our_audit(workload, material, seed, watch)
    if workload.kind == "halves":
        return _our_halves(workload, material, seed, watch)
    trainer = _trainer(workload)
    with watch("training"):
        models = trainer.fit_many(material.dataset, material.rows, seed)
    with watch("answers"):
        answers = [model.predict_proba(material.dataset.x[row]) for model, row in zip(models, material.rows, strict=True)]
    return train_accuracy(material, answers)


def confidence_threshold(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch) -> Found:
    """mialib's shadows, with one threshold on the true class's probability in place of the attack networks."""
    return _our_attack(workload, material, seed, watch, thresholds.confidence_threshold)


def estimate(workload: Workload, material: TrainingSets, seed: int, watch: Stopwatch) -> Found:
    """What `NeuralTrainer.estimate` says of the training."""
    with watch("calibration"):
        said = _trainer(workload).estimate(material.dataset, workload.n, workload.k)
    return {"estimate": said.seconds}


def _trainer(workload: Workload) -> NeuralTrainer:
    return NeuralTrainer(lambda: make_model(workload), workload.recipe, device=workload.device)


def _our_attack(
    workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch, fit: Callable[[AttackData], Attack]
) -> Found:
    dataset, split, pool, target = material
    with watch("shadows"):
        splits = shadow.sample_splits(pool, workload.n, workload.k, seed)
        answers = shadow.shadow_attack_data(_trainer(workload), dataset, splits, seed)
    with watch("attack"):
        fitted = fit(answers)
    with watch("inference"):
        asked = shadow.query(black_box(target), dataset, split)
        score, decision = fitted.membership_score(asked), fitted.infer(asked)
    return judged(asked, score, decision)


def _our_halves(workload: Workload, material: Halves, seed: int, watch: Stopwatch) -> Found:
    dataset, member, target = material
    trainer: Trainer = EstimatorTrainer(untrained_forest()) if workload.name in FORESTS else _trainer(workload)
    with watch("attack"):
        halves = shadow.sample_halves(len(dataset.y), workload.k, seed)
        stock = shadow.stock(trainer, dataset, halves, seed)
        answers = target.predict_proba(dataset.x) if workload.name in FORESTS else black_box(target).predict_proba(dataset.x)
        score = lira(shadow.log_odds(answers, dataset.y), stock)
    return ranked(member, score)


def _our_audit(workload: Workload, material: Halves, seed: int, watch: Stopwatch) -> Found:
    dataset, member, target = material
    sides = [(dataset.x[side], dataset.y[side]) for side in (member, ~member)]
    with tempfile.TemporaryDirectory() as folder, watch("attack"):
        audited = audit.model(target, *sides, n_shadows=max(workload.k, 6), seed=seed)
        audited.save(Path(folder) / "report")
    records = audited.records.sort_values(["member", "record"], ascending=[False, True])
    return ranked(records["member"].to_numpy(), records["score"].to_numpy())


def _our_stage(material: Answers, seed: int, watch: Stopwatch) -> Found:
    with watch("attack"):
        fitted = fit_attack(material.fitted, seed=seed)
    with watch("inference"):
        score = fitted.membership_score(material.scored)
    return judged(material.scored, score, score > 0)


def contender(name: str) -> Contender:
    """A contender by name. The libraries are imported only when they are asked for."""
    if name.startswith("SACRO"):
        from benchmarks import sacro

        return sacro.CONTENDERS[name]
    if name.startswith(("ART", "mia")):
        from benchmarks import libraries

        return libraries.CONTENDERS[name]
    return IN_PROCESS[name]


IN_PROCESS: dict[str, Contender] = {
    "ours": ours,
    "confidence threshold": confidence_threshold,
    "estimate": estimate,
    "medians": scoring.medians,
    "authors' way": scoring.authors,
    "plain loop": plain(loader),
    "plain loop, sliced": plain(sliced),
}
