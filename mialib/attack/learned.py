"""Attack models: from the answers of shadow models on their members and non-members, tell members of another model.

The paper's attack trains one small network a class on whole prediction vectors (Sec. V-D). Beside it stand four baselines that
look at one number of the vector; a learned attack is worth its cost only where it beats them.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mialib.attack.thresholds import NEVER, usable_classes
from mialib.core import cache, checks, executors, randomness
from mialib.core.executors import Work
from mialib.core.threads import one_a_core
from mialib.core.types import Attack, AttackData, check_width
from mialib.training.recipe import Recipe
from mialib.training.session import check_finite, make_optimizer
from mialib.training.stacked import DenseStack

HIDDEN = 64  # Sec. VI-C: one hidden layer of 64 ReLU units
# Not stated in the paper, nor what the inputs are. Chosen on held-out shadow models' answers to records of which the attack
# had seen no answer (`study.held_out`), never on a target's.
RECIPE = Recipe(epochs=10, batch_size=64, lr=3e-3)
MIN_STEPS = 100  # however few shadow models there are
FLOOR = 1e-7  # of a probability, and of what it leaves of 1: finer steps than those of float32 near 1 tell nothing
INPUTS = ("-log(1-p)", "log-odds", "probabilities")
WEIGHTS = ("w1", "b1", "w2", "b2")
CLASSES_AT_ONCE = 25  # of fewer, a step is so short that the threads wait for one another in Python, not for arithmetic


def fit_attack(data: AttackData, seed: int = 0, classes: Sequence[int] | None = None, *, inputs: str = "-log(1-p)") -> Attack:
    """Fit the attack on shadow answers: one model per true class, all classes trained together.

    A model is a network with one hidden layer of 64 ReLU units on the whole prediction vector, scaled per class (Sec. V-D,
    VI-C). A class that lacks members or non-members in `data` is named in a warning; its records are answered "non-member".
    classes: those to fit a model for; None: all. Records of others are answered "non-member", without a warning.
    inputs: "-log(1-p)" of each probability p tells 0.99 from 0.9999, where members and the surest non-members part, and leaves
    small ones about as they are. "log-odds", log(p / (1 - p)), spreads these as well: by them single records can be told apart,
    which the attack then learns by heart. "probabilities" leaves the vector as it is.
    """
    checks.instance("data", data, AttackData)
    return ClassifierAttack(data, checks.whole("seed", seed, 0), classes, checks.choice("inputs", inputs, INPUTS))


class ClassifierAttack:
    """One small network per class. Made by `fit_attack`."""

    def __init__(self, data: AttackData, seed: int, classes: Sequence[int] | None = None, inputs: str = "-log(1-p)") -> None:
        self.n_classes, self.inputs = data.n_classes, inputs
        usable = usable_classes(data, classes)
        self.slot = {int(c): i for i, c in enumerate(usable)}
        self.networks = _fitted(data, usable, seed, inputs) if len(usable) else {}

    def membership_score(self, data: AttackData) -> np.ndarray:
        """Log-odds of membership, float32 (n,); the lowest float for a class without an attack model."""
        check_width(data, self.n_classes)
        scores = np.full(len(data.labels), NEVER, np.float32)
        rows = _rows_by_class(data.labels, self.n_classes)
        with one_a_core(len(self.slot), threads=1) as (pool, _):
            parts = pool.map(lambda c: self._class_scores(c, data.predictions[rows[c]]), self.slot)
            for c, part in zip(self.slot, parts, strict=True):
                scores[rows[c]] = part
        return scores

    @torch.inference_mode()
    def _class_scores(self, c: int, predictions: np.ndarray) -> np.ndarray:
        network = {name: part[self.slot[c]] for name, part in self.networks.items()}
        x = _standard(_inputs(predictions, self.inputs), network["centre"], network["scale"])
        w1, b1, w2, b2 = (torch.as_tensor(network[name]) for name in WEIGHTS)
        out = torch.addmm(b2, torch.addmm(b1, torch.as_tensor(x), w1.T).relu_(), w2.T)
        return (out[:, 1] - out[:, 0]).numpy()

    def infer(self, data: AttackData) -> np.ndarray:
        """True where membership is likelier than not, bool (n,)."""
        return self.membership_score(data) > 0


def _rows_by_class(labels: np.ndarray, n_classes: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, n_classes)))


def _inputs(predictions: np.ndarray, kind: str) -> np.ndarray:
    """What a network is told of vectors (n, n_classes), before it is scaled: float32, a new array."""
    p = predictions.astype(np.float32, copy=True)
    if kind == "probabilities":
        return p
    p.clip(FLOOR, 1 - np.float32(FLOOR), out=p)
    rest = np.log1p(-p)
    return np.negative(rest, out=rest) if kind == "-log(1-p)" else np.subtract(np.log(p, out=p), rest, out=p)


def _standard(x: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Deviations from the class's mean inputs in units of `scale`, within -10..10; x float32 is overwritten."""
    x -= centre
    x /= scale
    return x.clip(-10, 10, out=x)


def _centre_and_scale(x: np.ndarray) -> tuple[np.ndarray, np.floating]:
    """A class's mean inputs, and one scale for all its columns: the deviation of the column that varies most.

    A scale a column would blow up the columns of other classes, which hardly vary and tell little: with 400 answers a class
    the attack then learns their noise.
    """
    return x.mean(0), x.std(0).max() + np.float32(1e-6)


def _fitted(data: AttackData, classes: np.ndarray, seed: int, inputs: str) -> dict[str, np.ndarray]:
    """Arrays of all classes' networks, each (n_classes, ...); from the cache if the same data were fitted before."""
    settings = {"recipe": asdict(RECIPE), "hidden": HIDDEN, "min_steps": MIN_STEPS, "seed": int(seed), "inputs": inputs}
    fitted_on = {"data": cache.digest(data.predictions, data.labels, data.member), "classes": classes.tolist()}
    key = {**fitted_on, "code": cache.code_digest(__name__), **settings}
    n, width = len(classes), data.n_classes
    shapes = {"w1": (n, HIDDEN, width), "b1": (n, HIDDEN), "w2": (n, 2, HIDDEN), "b2": (n, 2)}
    expected = {name: (shape, "float32") for name, shape in shapes.items()}
    expected |= {"centre": ((n, width), "float32"), "scale": ((n,), "float32")}
    stored = cache.load("attacks", key, lambda stored: cache.expect(stored, expected))
    if stored is None:
        stored = _fit_networks(data, classes, seed, inputs)
        for c, *network in zip(classes, *stored.values(), strict=True):
            check_finite(f"the attack model of class {c}", dict(zip(stored, network, strict=True)), RECIPE.lr)
        cache.save("attacks", key, stored)
    return stored


def _fit_networks(data: AttackData, classes: np.ndarray, seed: int, inputs: str) -> dict[str, np.ndarray]:
    """Every class takes the same number of steps of equal batches from its own rows, so that none waits for padding."""
    by_class = _rows_by_class(data.labels, data.n_classes)
    rows = [by_class[c] for c in classes]
    steps = max(MIN_STEPS, RECIPE.epochs * -(-max(map(len, rows)) // RECIPE.batch_size))
    parts = _Parts(data, [(int(c), part) for c, part in zip(classes, rows, strict=True)])
    with executors.elsewhere(None) if len(parts) == 1 else nullcontext():  # one part is fitted where its answers are
        fitted = executors.finished(Work(parts, partial(_fit_parts, steps, seed, inputs), in_order=False, unit="attack part"))
    return {name: np.concatenate([part[name] for part in fitted]) for name in fitted[0]}


class _OfClass(NamedTuple):
    """What a class's network is fitted on: answers (n, n_classes) and which are a member's (n,)."""

    cls: int
    predictions: np.ndarray
    member: np.ndarray


class _Parts(Sequence[list[_OfClass]]):
    """The classes in parts for one core each; their answers are copied out when a part is taken."""

    def __init__(self, data: AttackData, rows: list[tuple[int, np.ndarray]]) -> None:
        self._data, self._rows = data, rows
        self._split = np.array_split(np.arange(len(rows)), -(-len(rows) // CLASSES_AT_ONCE))

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, i: Any) -> Any:
        chosen = [self._rows[j] for j in self._split[i]]
        return [_OfClass(c, self._data.predictions[rows], self._data.member[rows]) for c, rows in chosen]


def _fit_parts(steps: int, seed: int, inputs: str, parts: Sequence[list[_OfClass]]) -> list[dict[str, np.ndarray]]:
    with one_a_core(len(parts), threads=1) as (pool, _):
        return list(pool.map(lambda i: _fit_part(parts[i], steps, seed, inputs), range(len(parts))))


def _fit_part(part: list[_OfClass], steps: int, seed: int, inputs: str) -> dict[str, np.ndarray]:
    """Some classes' networks, trained as one stack."""
    blocks = [_inputs(each.predictions, inputs) for each in part]
    centre, scale = map(np.stack, zip(*map(_centre_and_scale, blocks), strict=True))
    for block, m, s in zip(blocks, centre, scale, strict=True):
        _standard(block, m, s)
    x = torch.as_tensor(np.concatenate(blocks))
    target = torch.as_tensor(np.concatenate([each.member for each in part])).long()
    starts = np.cumsum([0, *map(len, blocks)])
    length = steps * RECIPE.batch_size
    order = torch.stack([start + _order(len(each.member), length, seed, each.cls) for start, each in zip(starts, part)])
    stack = DenseStack([_network(x.shape[1], seed, each.cls) for each in part], torch.device("cpu"))
    optimizer = make_optimizer(stack, RECIPE)
    for batch in order.split(RECIPE.batch_size, dim=1):
        stack.backward(x, target, batch)
        optimizer.step()
    weights = dict(zip(WEIGHTS, (p.detach().numpy() for p in stack.parameters), strict=True))
    return {"centre": centre, "scale": scale, **weights}


def _order(n: int, length: int, seed: int, c: int) -> torch.Tensor:
    """`length` numbers below n: one shuffle after another."""
    generator = randomness.torch_generator(seed, "attack order", c)
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(-(-length // n))])[:length]


def _network(n_features: int, seed: int, number: int) -> nn.Module:
    with randomness.torch_seed(seed, "attack weights", number):
        return nn.Sequential(nn.Linear(n_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
