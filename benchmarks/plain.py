"""Who is measured: the plain PyTorch loop that a good engineer would write first."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import climbs
from benchmarks.phases import Contender, Found, Stopwatch, judged, ranked, train_accuracy
from benchmarks.scoring import authors_lira
from benchmarks.workloads import FORESTS, Answers, Halves, TargetAndPool, Workload, attack_network, forest, make_model
from mialib import shadow
from mialib.attack.learned import FLOOR, MIN_STEPS, RECIPE
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Split
from mialib.training.recipe import Recipe

Batches = Callable[[Tensor, Tensor, int, bool], Iterable[tuple[Tensor, Tensor]]]


def loader(x: Tensor, y: Tensor, size: int, drop_last: bool) -> Iterable[tuple[Tensor, Tensor]]:
    """One epoch's batches, as torch's tutorials make them."""
    return DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True, drop_last=drop_last)


def sliced(x: Tensor, y: Tensor, size: int, drop_last: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch's batches as slices of a permutation: what the loop gains without a DataLoader."""
    order = torch.randperm(len(x))
    for rows in order[: len(x) // size * size if drop_last else None].split(size):
        yield x[rows], y[rows]


def plain_loop(
    model: nn.Module, x: np.ndarray, y: np.ndarray, recipe: Recipe, batches: Batches = loader, *, steps: int | None = None
) -> nn.Module:
    """Train one network with Adam, on the device where it lives; for all epochs, or for so many steps of whole batches."""
    inputs, classes, device = torch.as_tensor(x), torch.as_tensor(y), next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    size = min(recipe.batch_size, len(x))
    every = _endless(lambda: batches(inputs, classes, size, steps is not None))
    model.train()
    for batch, own in islice(every, steps or recipe.epochs * -(-len(x) // size)):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch.to(device)), own.to(device))
        loss.backward()
        optimizer.step()
    return model.eval()


def _endless(epoch: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from epoch()


@torch.no_grad()
def plain_answers(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """Prediction vectors of a trained network."""
    device = next(model.parameters()).device
    return torch.cat([model(part.to(device)).softmax(1).cpu() for part in torch.as_tensor(x).split(1000)]).numpy()


def plain_model(workload: Workload, x: np.ndarray, y: np.ndarray, seed: int, batches: Batches = loader) -> nn.Module:
    """One network of the workload, trained in float32."""
    torch.manual_seed(seed)
    return plain_loop(make_model(workload).to(workload.device), x, y, workload.recipe, batches)


def plain(batches: Batches) -> Contender:
    """The plain loop as a contender: one model after another, attack models too."""

    def contender(workload: Workload, material: Any, seed: int, watch: Stopwatch) -> Found:
        if workload.kind == "stage":
            return _plain_stage(material, seed, watch, batches)
        if workload.kind == "synthesis":
            return climbs.plain(workload, material, seed, watch)
        if workload.kind == "attack":
            return _plain_attack(workload, material, seed, watch, batches)
        if workload.kind == "halves":
            return _plain_halves(workload, material, seed, watch, batches)
        x, y = material.dataset.x, material.dataset.y
        with watch("training"):
            models = [plain_model(workload, x[row], y[row], seed + j, batches) for j, row in enumerate(material.rows)]
        with watch("answers"):
            answers = [plain_answers(model, x[row]) for model, row in zip(models, material.rows, strict=True)]
        return train_accuracy(material, answers)

    return contender


def _plain_attack(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch, batches: Batches) -> Found:
    dataset, split, pool, target = material
    with watch("shadows"):
        parts = []
        for i, own in enumerate(shadow.sample_splits(pool, workload.n, workload.k, seed)):
            model = plain_model(workload, dataset.x[own.members], dataset.y[own.members], seed + i, batches)
            parts.append(plain_asked(model, dataset, own))
        answers = AttackData.joined(parts)
    with watch("attack"):
        networks = plain_attack(answers, seed, batches)
    with watch("inference"):
        asked = plain_asked(target, dataset, split)
        score = plain_scores(networks, asked)
    return judged(asked, score, score > 0)


def _plain_halves(workload: Workload, material: Halves, seed: int, watch: Stopwatch, batches: Batches) -> Found:
    (x, y), member = (material.dataset.x, material.dataset.y), material.member

    def signal(model: Any) -> np.ndarray:
        answers = model.predict_proba(x) if workload.name in FORESTS else plain_answers(model, x)
        return shadow.log_odds(answers, y)

    with watch("attack"):
        halves, signals = shadow.sample_halves(len(y), workload.k, seed), []
        for i, rows in enumerate(halves):
            own = workload, x[rows], y[rows], seed + i
            signals.append(signal(forest(*own) if workload.name in FORESTS else plain_model(*own, batches)))
        score = authors_lira(signal(material.target), Stock(np.stack(signals), halves, y))
    return ranked(member, score)


def plain_asked(model: nn.Module, dataset: Any, split: Split) -> AttackData:
    """A model's answers about both sides of a split."""
    return AttackData(plain_answers(model, dataset.x[split.rows]), dataset.y[split.rows], split.member)


def _plain_stage(material: Answers, seed: int, watch: Stopwatch, batches: Batches) -> Found:
    with watch("attack"):
        networks = plain_attack(material.fitted, seed, batches)
    with watch("inference"):
        score = plain_scores(networks, material.scored)
    return judged(material.scored, score, score > 0)


class AttackNetwork(NamedTuple):
    """One class's attack model, and the standardisation of what it is told of an answer."""

    centre: np.ndarray
    scale: float
    network: nn.Module

    def scores(self, told: np.ndarray) -> np.ndarray:
        return ((told - self.centre) / self.scale).clip(-10, 10)


def _plain_inputs(predictions: np.ndarray) -> np.ndarray:
    return -np.log(1 - predictions.clip(FLOOR, 1 - FLOOR))


def plain_attack(data: AttackData, seed: int, batches: Batches) -> list[AttackNetwork]:
    """Attack models, one a class, fitted one after another: the networks, steps and batches of mialib's."""
    torch.manual_seed(seed)
    n_classes, recipe = data.predictions.shape[1], RECIPE
    most = np.bincount(data.labels, minlength=n_classes).max()
    steps = max(MIN_STEPS, recipe.epochs * -(-int(most) // recipe.batch_size))
    networks = []
    for c in range(n_classes):
        rows = data.labels == c
        told, member = _plain_inputs(data.predictions[rows]), data.member[rows].astype(np.int64)
        made = AttackNetwork(told.mean(0), told.std(0).max() + 1e-6, attack_network(n_classes))
        plain_loop(made.network, made.scores(told), member, recipe, batches, steps=steps)
        networks.append(made)
    return networks


@torch.no_grad()
def plain_scores(networks: list[AttackNetwork], data: AttackData) -> np.ndarray:
    """Log-odds of membership, class after class."""
    score = np.empty(len(data.labels), np.float32)
    for c, made in enumerate(networks):
        rows = data.labels == c
        out = made.network(torch.as_tensor(made.scores(_plain_inputs(data.predictions[rows]))))
        score[rows] = (out[:, 1] - out[:, 0]).numpy()
    return score
