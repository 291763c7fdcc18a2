"""What is measured: sizes and made-up data of each workload. The data have the shapes of the papers'; only time and how well
attacks do count, so nothing else of them is meant to be real.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from mialib import shadow
from mialib.attack.learned import HIDDEN, RECIPE
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Dataset, Split
from mialib.data.loading import split_target
from mialib.shadow.splits import sample_splits
from mialib.training.networks import cnn, mlp
from mialib.training.recipe import Recipe

FLIPPED = 0.40  # W1: share of a prototype's bits that a record has flipped
DENSITY = 0.1  # W2: mean share of ones
ONES, FAVOURED = 80, 240  # W3: ones of a record, drawn among so many features of its class
FORESTS = ("F", "U")  # workloads of forests; all others are of networks
FOREST = {"n_estimators": 100, "min_samples_leaf": 20}  # with single leaves it would know all of its members
BLOCK = 4096  # records made at once, so that the making needs little memory


@dataclass(frozen=True)
class Workload:
    """One thing to measure: k models, trained on n records each.

    kind: "attack" (shadows, attack, inference), "training" (models and their answers on their members), "stage" (attack models
    on n rows each, then `records` rows scored), "synthesis" (k records from a target trained on n), "signals" (records scored
    by what k models said of them; n are a population, not judged) or "halves" (a target trained on n of 2n records, and
    k reference models on other halves of them, by which these records are scored). rows: the table's rows, each the sum of the
    named phases.
    """

    name: str
    title: str
    kind: str
    records: int
    shape: tuple[int, ...]
    n_classes: int
    n: int
    k: int
    recipe: Recipe
    contenders: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    device: str = "cpu"

    @property
    def settings(self) -> str:
        recipe = self.recipe
        if self.kind == "stage":
            return f"{self.n * self.k:,} rows, {self.k} attack models, batch {recipe.batch_size}; {self.records:,} rows scored"
        if self.kind == "synthesis":
            return f"{self.k:,} records of {self.n_classes} classes, the target trained on {self.n:,}"
        if self.kind == "signals":
            population = f", {self.n:,} of them the population" if self.n else ""
            return f"{self.records:,} records{population}, {self.k} reference models, float32 signals"
        if self.name in FORESTS:
            trees, leaf = FOREST.values()
            return f"n = {self.n:,}, k = {self.k}, {trees} trees, {leaf} records a leaf or more"
        texts = [f"n = {self.n:,}", f"k = {self.k}", f"{recipe.epochs} epochs", f"batch {recipe.batch_size}", recipe.precision]
        return ", ".join(texts)


class TargetAndPool(NamedTuple):
    """Of kind "attack" or "synthesis": a trained target model, its split, and the rows left to the attacker."""

    dataset: Dataset
    split: Split
    pool: np.ndarray
    target: nn.Module


class TrainingSets(NamedTuple):
    """Of kind "training": rows (k, n), the records of each model."""

    dataset: Dataset
    rows: np.ndarray


class Answers(NamedTuple):
    """Of kind "stage": what attack models are fitted on, and what they score."""

    fitted: AttackData
    scored: AttackData


class Signals(NamedTuple):
    """Of kind "signals": the target's (n,), its references', and which records are its members, which the population."""

    signal: np.ndarray
    stock: Stock
    member: np.ndarray
    population: np.ndarray


class Halves(NamedTuple):
    """Of kind "halves": a trained target model, network or forest, and which of the records are its members, bool (2n,)."""

    dataset: Dataset
    member: np.ndarray
    target: Any


Material = TargetAndPool | TrainingSets | Answers | Signals | Halves
LIBRARIES = ("ART nn", "ART rf", "mia nn", "mia rf")
SACRO = ("SACRO-ML", "SACRO-ML fixed")
PLAIN = ("plain loop", "plain loop, sliced")
WHOLE = {"end to end": ("shadows", "attack", "inference")}
QUERIES = 100_000  # contenders need not ask equally often for the same records, so seconds are compared for so many, too
SYNTHESISED = {"1,000 records": ("records",), "100,000 queries": ("queries",)}
SCORED = {"scoring": ("scores",)}
AGAINST_HALVES = {"end to end": ("attack",)}
TRAINED = {"training and answers": ("training", "answers")}


def _training(
    name: str, title: str, records: int, shape: tuple[int, ...], k: int, n: int, recipe: Recipe, n_classes: int = 100
) -> Workload:
    contenders = ("ours", *PLAIN, "estimate")
    return Workload(name, title, "training", records, shape, n_classes, n, k, recipe, contenders, TRAINED)


def _recipe(epochs: int, batch_size: int = 100, precision: str = "float32") -> Recipe:
    return Recipe(epochs, batch_size, lr=1e-3, lr_decay=0.0, precision=precision)


_CNN = _training("W4", "CIFAR CNN", 10_000, (32, 32, 3), 10, 2_500, _recipe(2, 32, "bfloat16"), n_classes=10)
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "W1", "prototypes of 600 bits, whole attack", "attack", 8_000, (600,), 100, 2_000, 10, _recipe(10),
            ("ours", "confidence threshold", "plain loop", *LIBRARIES), WHOLE,
        ),
        _training("W2", "Purchase shape, MLP", 200_000, (600,), 20, 10_000, _recipe(3)),
        _training("W3", "Texas shape, MLP", 67_330, (6_170,), 10, 10_000, _recipe(2)),
        _CNN,
        replace(_CNN, name="W4-GPU", title="CIFAR CNN on a GPU", k=100, device="cuda"),
        Workload(
            "S", "synthesis of 600 bits", "synthesis", 8_000, (600,), 100, 2_000, 1_000, _recipe(10),
            ("ours", "plain loop", "ART hill climbing"), SYNTHESISED,
        ),
        Workload(
            "A", "attack stage", "stage", 1_000_000, (100,), 100, 4_000, 100, RECIPE,
            ("ours", *PLAIN), {"fitting": ("attack",), "scoring": ("inference",)},
        ),
        Workload(
            "L", "LiRA's scores", "signals", 50_000, (1,), 2, 0, 256, RECIPE,
            ("ours", "medians", "authors' way", "SACRO-ML"), SCORED,
        ),
        Workload("R", "RMIA's scores", "signals", 52_000, (1,), 2, 2_000, 256, RECIPE, ("ours", "authors' way"), SCORED),
        Workload(
            "H", "LiRA with networks, end to end", "halves", 4_000, (600,), 100, 2_000, 32, _recipe(5),
            ("ours", "plain loop", *SACRO), AGAINST_HALVES,
        ),
        Workload(
            "F", "LiRA with forests, end to end", "halves", 4_000, (600,), 10, 2_000, 32, _recipe(1),
            ("ours", "plain loop", *SACRO), AGAINST_HALVES,
        ),
        Workload(
            "U", "a whole audit of a forest, with its report", "halves", 1_800, (64,), 10, 900, 16, _recipe(1),
            ("ours", "SACRO-ML"), AGAINST_HALVES,
        ),
    )
}  # fmt: skip


def tiny(workload: Workload) -> Workload:
    """The same in hundredths of a second: for tests, and to warm a process up."""
    return replace(workload, records=240, n_classes=4, n=60, k=4, recipe=replace(workload.recipe, epochs=1))


def make_model(workload: Workload) -> nn.Module:
    """The network of a workload: the paper's MLP with 128 hidden units, or its CNN."""
    if len(workload.shape) == 3:
        return cnn(workload.shape, workload.n_classes)
    return mlp(workload.shape[0], workload.n_classes)


def make_dataset(workload: Workload, seed: int) -> Dataset:
    """Records in the workload's shape, with classes that can be learned."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, workload.n_classes, workload.records)
    name = workload.name[:2]
    x = np.empty((workload.records, *workload.shape), np.uint8)
    draw = MAKERS[name](workload, rng)
    for part in _blocks(workload.records):
        x[part] = draw(y[part])
    return Dataset(workload.name, x, y, workload.n_classes, "standin")


def make_material(workload: Workload, seed: int, train: Callable[..., nn.Module]) -> Material:
    """All that a measurement starts from; nothing of it is timed. train(workload, x, y, seed) makes the target model."""
    if workload.kind == "stage":
        fitted = make_answers(workload, workload.n * workload.k, seed)
        return Answers(fitted, make_answers(workload, workload.records, seed + 1000))
    if workload.kind == "signals":
        return make_signals(workload, seed)
    dataset = make_dataset(workload, seed)
    if workload.kind == "training":
        splits = sample_splits(np.arange(workload.records), workload.n, workload.k, seed)
        return TrainingSets(dataset, np.stack([split.members for split in splits]))
    split, pool = split_target(dataset, workload.n, np.random.default_rng(seed))
    target = (forest if workload.name in FORESTS else train)(workload, dataset.x[split.members], dataset.y[split.members], seed)
    if workload.kind == "halves":
        return Halves(dataset[split.rows], np.arange(2 * workload.n) < workload.n, target)
    return TargetAndPool(dataset, split, pool, target)


def untrained_forest(seed: int = 0) -> RandomForestClassifier:
    """scikit-learn's random forest."""
    return RandomForestClassifier(**FOREST, random_state=seed)


def forest(_: Workload, x: np.ndarray, y: np.ndarray, seed: int) -> RandomForestClassifier:
    """A forest, trained."""
    return untrained_forest(seed).fit(x, y)


def make_signals(workload: Workload, seed: int) -> Signals:
    """Gaussian signals of models on complementary halves: the target is the last, its complement no reference.

    A record's middle out of training is N(1, 2), 1.5 higher on average in training, its deviations 0.3 to 2.
    """
    rng, n, k = np.random.default_rng(seed), workload.records, workload.k
    member = shadow.sample_halves(n, k + 2, seed)
    middle, shift = rng.normal(1, 2, n), rng.gamma(1.5, 1.0, n)
    inside, outside = rng.uniform(0.3, 1.5, n), rng.uniform(0.3, 2, n)
    signal = rng.standard_normal(member.shape, np.float32)
    for one, trained in zip(signal, member, strict=True):
        one[:] = middle + shift * trained + np.where(trained, inside, outside) * one
    population = np.zeros(n, bool)
    population[rng.permutation(np.flatnonzero(~member[-1]))[: workload.n]] = True
    return Signals(signal[-1], Stock(signal[:k], member[:k], np.zeros(n, np.int64)), member[-1], population)


def make_answers(workload: Workload, n: int, seed: int) -> AttackData:
    """n prediction vectors of made-up models that are surer of their members."""
    rng = np.random.default_rng(seed)
    labels, member = rng.integers(0, workload.n_classes, n), rng.random(n) < 0.5
    predictions = np.empty((n, workload.n_classes), np.float32)
    for part in _blocks(n):
        logits = 1.5 * torch.as_tensor(rng.standard_normal(predictions[part].shape, np.float32))
        logits[torch.arange(len(logits)), torch.as_tensor(labels[part])] += torch.as_tensor(2.0 + 2.0 * member[part]).float()
        predictions[part] = logits.softmax(1).numpy()
    return AttackData(predictions, labels, member)


Draw = Callable[[np.ndarray], np.ndarray]


def _prototypes(workload: Workload, rng: np.random.Generator) -> Draw:
    prototypes = rng.random((workload.n_classes, *workload.shape)) < 0.5
    return lambda y: prototypes[y] ^ (rng.random((len(y), *workload.shape), np.float32) < FLIPPED)


def _baskets(workload: Workload, rng: np.random.Generator) -> Draw:
    rates = rng.beta(5 * DENSITY, 5 * (1 - DENSITY), (workload.n_classes, *workload.shape)).astype(np.float32)
    return lambda y: rng.random((len(y), *workload.shape), np.float32) < rates[y]


def _stays(workload: Workload, rng: np.random.Generator) -> Draw:
    favoured = np.stack([rng.choice(workload.shape[0], FAVOURED, replace=False) for _ in range(workload.n_classes)])

    def draw(y: np.ndarray) -> np.ndarray:
        picked = rng.random((len(y), FAVOURED), np.float32).argpartition(ONES, axis=1)[:, :ONES]
        x = np.zeros((len(y), *workload.shape), np.uint8)
        np.put_along_axis(x, np.take_along_axis(favoured[y], picked, 1), 1, 1)
        return x

    return draw


def _pictures(workload: Workload, rng: np.random.Generator) -> Draw:
    coarse = rng.random((workload.n_classes, 8, 8, 3), np.float32)
    textures = 64 + 128 * np.kron(coarse, np.ones((1, 4, 4, 1), np.float32))
    return lambda y: (textures[y] + 40 * rng.standard_normal((len(y), *workload.shape), np.float32)).clip(0, 255)


MAKERS = {
    "W1": _prototypes,
    "S": _prototypes,
    "H": _prototypes,
    "F": _prototypes,
    "U": _prototypes,
    "W2": _baskets,
    "W3": _stays,
    "W4": _pictures,
}


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))


def attack_network(n_classes: int) -> nn.Module:
    """The attack's network for one class: on prediction vectors, two outputs."""
    return nn.Sequential(nn.Linear(n_classes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
