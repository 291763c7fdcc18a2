"""Who is measured, continued: SACRO-ML's LiRA, as its documentation shows.

Installed in the benchmarks' own environment only.
"""

import tempfile
from typing import Any

import numpy as np
import torch
from sacroml.attacks.likelihood_attack import LIRAAttack
from sacroml.attacks.target import Target
from scipy.special import expit
from torch import nn

from benchmarks.phases import Contender, Found, Stopwatch, ranked
from benchmarks.workloads import Halves, Signals, Workload
from mialib.training.networks import mlp

MODE = "online-carlini"  # IN against OUT, a deviation a record
HERE = "benchmarks/sacro.py"  # where it finds `Network` and `train`, a path from where it runs


class _Attack(LIRAAttack):
    """Its report has no score of a record that is not rounded or shuffled, so they are kept."""

    def _compute_scores(self, *signals: Any) -> tuple[list[list[float]], int]:
        pairs, normal = super()._compute_scores(*signals)
        self.scores = np.array(pairs)[:, 1]
        return pairs, normal


def sacro(fixed: bool) -> Contender:
    """Its LiRA; fixed: with one deviation for all records (`fix_variance`)."""

    def contender(workload: Workload, material: Any, _: int, watch: Stopwatch) -> Found:
        with tempfile.TemporaryDirectory() as folder:
            options = {"n_shadow_models": workload.k, "mode": MODE, "fix_variance": fixed, "write_report": workload.name == "U"}
            attack = _Attack(output_dir=folder, **options)
            if workload.kind == "signals":
                return _scoring(attack, material, watch)
            target = _target(workload, material)
            with watch("attack"):
                attack.attack(target)
        return ranked(material.member, attack.scores)

    return contender


def _scoring(attack: _Attack, material: Signals, watch: Stopwatch) -> Found:
    """`_compute_scores` alone: making what it takes, a list of signals a record, is not timed."""
    signal, stock, member, _ = material
    labels = np.zeros(len(member), int)
    answers = np.stack([expit(signal.astype(float)), expit(-signal.astype(float))], 1)
    sides = [
        {i: stock.signal[where[:, i], i].tolist() for i in labels + np.arange(len(labels))}
        for where in (~stock.member, stock.member)
    ]
    with watch("scores"):
        attack._compute_scores(labels, answers, *sides)
    return ranked(member, attack.scores)


def _target(workload: Workload, material: Halves) -> Target:
    """The target model with its records: members first. Of networks, also how to make and train one."""
    (x, y), member, target = (material.dataset.x, material.dataset.y), material.member, material.target
    network: dict[str, Any] = {}
    if isinstance(target, nn.Module):
        sizes, recipe = {"n_features": workload.shape[0], "n_classes": workload.n_classes}, workload.recipe
        network = {"model_module_path": HERE, "model_params": sizes, "train_module_path": HERE, "batch_size": recipe.batch_size}
        network["train_params"] = {"epochs": recipe.epochs, "lr": recipe.lr}
        weights, target = target.state_dict(), Network(**sizes)
        target.load_state_dict(weights)
    return Target(model=target, X_train=x[member], y_train=y[member], X_test=x[~member], y_test=y[~member], **network)


class Network(nn.Sequential):
    """The workload's network as a class, which it makes anew for each shadow model."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(*mlp(n_features, n_classes))


def train(model: nn.Module, dataloader: Any, epochs: int, lr: float) -> None:
    """What it asks of its users: the plain loop, on the batches that it gives."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for _ in range(epochs):
        for x, y in dataloader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()


CONTENDERS: dict[str, Contender] = {"SACRO-ML": sacro(fixed=False), "SACRO-ML fixed": sacro(fixed=True)}
