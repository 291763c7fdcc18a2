"""Attack models: from the answers of shadow models on their members and non-members, tell members of another model.

The paper's attack trains one small network a class on whole prediction vectors (Sec. V-D). Beside it stand four baselines that
look at one number of the vector; a learned attack is worth its cost only where it beats them.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import nn

from mialib import cache, checks, randomness, stacked
from mialib.session import make_optimizer
from mialib.shadow import AttackData, answered_right
from mialib.stacked import DenseStack
from mialib.training import Recipe
from mialib.workers import one_a_core

log = logging.getLogger(__name__)

HIDDEN = 64  # Sec. VI-C: one hidden layer of 64 ReLU units
# Not stated in the paper. Chosen on held-out shadow models, never on a target's answers.
RECIPE = Recipe(epochs=10, batch_size=64, lr=3e-3)
MIN_STEPS = 100  # however few shadow models there are
WEIGHTS = ("w1", "b1", "w2", "b2")
CLASSES_AT_ONCE = 10  # whose answers fit into a core's cache
NEVER = np.finfo(np.float32).min  # the score where nothing could be learned: no record is called a member


class Attack(Protocol):
    """What tells members: fitted on shadow models, used on any model's answers."""

    def membership_score(self, data: AttackData) -> np.ndarray:
        """One number a record, float32 (n,): higher means likelier a member."""
        ...

    def infer(self, data: AttackData) -> np.ndarray:
        """One answer a record, bool (n,): True for "member", by the attack's own threshold."""
        ...


def check_attack_data(data: AttackData, n_classes: int | None = None) -> AttackData:
    """`data` if its parts fit together; TypeError or ValueError naming the part otherwise. Values may be mitigated: in
    [0, 1].
    """
    if not isinstance(data, AttackData) or not all(isinstance(part, np.ndarray) for part in data):
        raise TypeError(f"data must be an AttackData of arrays, got {type(data).__name__}")
    predictions = data.predictions
    if predictions.ndim != 2 or not np.issubdtype(predictions.dtype, np.floating):
        raise TypeError(
            f"predictions must be floats of shape (n, n_classes), got {predictions.dtype} of shape {predictions.shape}"
        )
    if n_classes is not None and predictions.shape[1] != n_classes:
        raise ValueError(f"predictions must have {n_classes} columns, as the attack was fitted on, got {predictions.shape[1]}")
    if not np.isfinite(predictions).all() or (predictions.size and (predictions.min() < 0 or predictions.max() > 1)):
        raise ValueError(f"predictions must be finite and lie in [0, 1], got {predictions.min()}..{predictions.max()}")
    if data.member.dtype != bool or data.member.shape != (len(predictions),):
        raise TypeError(f"member must be bool of shape ({len(predictions)},), got {data.member.dtype} of {data.member.shape}")
    if len(checks.labels("labels", data.labels, predictions.shape[1])) != len(predictions):
        raise ValueError(f"labels must have one entry a prediction, got {len(data.labels)} for {len(predictions)}")
    return data


def fit_attack(data: AttackData, model: str = "mlp", seed: int = 0) -> Attack:
    """Fit the attack on shadow answers: one model per true class, all classes trained together.

    model: "mlp", one hidden layer of 64 ReLU units on the whole prediction vector, scaled per class (Sec. V-D, VI-C).
    A class that lacks members or non-members in `data` is named in a warning; its records are answered "non-member".
    """
    checks.choice("model", model, ("mlp",))
    check_attack_data(data)
    return ClassifierAttack(data, seed)


class ClassifierAttack:
    """One small network per class. Made by `fit_attack`."""

    def __init__(self, data: AttackData, seed: int) -> None:
        self.n_classes = data.predictions.shape[1]
        classes = _usable_classes(data)
        self.slot = {int(c): i for i, c in enumerate(classes)}
        self.networks = _fitted(data, classes, seed) if len(classes) else {}

    def membership_score(self, data: AttackData) -> np.ndarray:
        """Log-odds of membership, float32 (n,); the lowest float for a class without an attack model."""
        check_attack_data(data, self.n_classes)
        scores = np.full(len(data.labels), NEVER, np.float32)
        rows = _rows_by_class(data.labels, self.n_classes)
        with one_a_core(len(self.slot)) as (pool, _):
            parts = pool.map(lambda c: self._class_scores(c, data.predictions[rows[c]]), self.slot)
            for c, part in zip(self.slot, parts, strict=True):
                scores[rows[c]] = part
        return scores

    @torch.inference_mode()
    def _class_scores(self, c: int, predictions: np.ndarray) -> np.ndarray:
        network = {name: part[self.slot[c]] for name, part in self.networks.items()}
        x = _standard(predictions, network["centre"], network["scale"])
        w1, b1, w2, b2 = (torch.as_tensor(network[name]) for name in WEIGHTS)
        out = torch.addmm(b2, torch.addmm(b1, torch.as_tensor(x), w1.T).relu_(), w2.T)
        return (out[:, 1] - out[:, 0]).numpy()

    def infer(self, data: AttackData) -> np.ndarray:
        """True where membership is likelier than not, bool (n,)."""
        return self.membership_score(data) > 0


def _rows_by_class(labels: np.ndarray, n_classes: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, n_classes)))


def _standard(predictions: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Deviations from the class's mean vector in units of `scale`, float32, within -10..10."""
    scores = predictions.astype(np.float32, copy=True)
    scores -= centre
    scores /= scale
    return scores.clip(-10, 10, out=scores)


def _centre_and_scale(predictions: np.ndarray) -> tuple[np.ndarray, np.floating]:
    """A class's mean vector, and one scale for all its columns: the deviation of the column that varies most.

    A scale a column would blow up the columns of other classes, which hardly vary and tell little: with 400 answers a class
    the attack then learns their noise.
    """
    return predictions.mean(0), predictions.std(0).max() + np.float32(1e-6)


def _usable_classes(data: AttackData) -> np.ndarray:
    n_classes = data.predictions.shape[1]
    members = np.bincount(data.labels[data.member], minlength=n_classes)
    nonmembers = np.bincount(data.labels[~data.member], minlength=n_classes)
    usable = (members > 0) & (nonmembers > 0)
    if not usable.all():
        lacking = np.flatnonzero(~usable).tolist()
        log.warning("classes %s lack members or non-members: their records are answered non-member", lacking)
    return np.flatnonzero(usable)


def _fitted(data: AttackData, classes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Arrays of all classes' networks, each (n_classes, ...); from the cache if the same data were fitted before."""
    code = (
        ClassifierAttack,
        _standard,
        _centre_and_scale,
        _fitted,
        _fit_networks,
        _fit_part,
        _network,
        _order,
        stacked,
        make_optimizer,
        randomness,
    )
    settings = {"recipe": asdict(RECIPE), "hidden": HIDDEN, "min_steps": MIN_STEPS, "seed": int(seed)}
    key = {"data": cache.digest(*data), "code": cache.code_digest(*code), **settings}
    stored = cache.load("attacks", key)
    if stored is None:
        stored = _fit_networks(data, classes, seed)
        cache.save("attacks", key, stored)
    return stored


def _fit_networks(data: AttackData, classes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Every class takes the same number of steps of equal batches from its own rows, so that none waits for padding."""
    by_class = _rows_by_class(data.labels, data.predictions.shape[1])
    rows = [by_class[c] for c in classes]
    steps = max(MIN_STEPS, RECIPE.epochs * -(-max(map(len, rows)) // RECIPE.batch_size))
    parts = np.array_split(np.arange(len(classes)), -(-len(classes) // CLASSES_AT_ONCE))
    with one_a_core(len(parts)) as (pool, _):
        fit = partial(_fit_part, data, steps=steps, seed=seed)
        fitted = list(pool.map(lambda part: fit([(int(classes[i]), rows[i]) for i in part]), parts))
    return {name: np.concatenate([part[name] for part in fitted]) for name in fitted[0]}


def _fit_part(data: AttackData, part: list[tuple[int, np.ndarray]], steps: int, seed: int) -> dict[str, np.ndarray]:
    """Some classes' networks, given as (class, its rows): trained as one stack."""
    centre, scale = map(np.stack, zip(*(_centre_and_scale(data.predictions[rows]) for _, rows in part), strict=True))
    blocks = [_standard(data.predictions[rows], m, s) for (_, rows), m, s in zip(part, centre, scale, strict=True)]
    x = torch.as_tensor(np.concatenate(blocks))
    target = torch.as_tensor(np.concatenate([data.member[rows] for _, rows in part])).long()
    starts = np.cumsum([0, *map(len, blocks)])
    length = steps * RECIPE.batch_size
    order = torch.stack([start + _order(len(rows), length, seed, c) for start, (c, rows) in zip(starts, part, strict=False)])
    stack = DenseStack([_network(x.shape[1], seed, c) for c, _ in part], torch.device("cpu"))
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


class ThresholdAttack:
    """Calls a record a member when one number of its prediction vector reaches a threshold: one for all, or one a class."""

    def __init__(self, measure: Callable[[AttackData], np.ndarray], thresholds: np.ndarray) -> None:
        self._measure, self.thresholds = measure, thresholds

    def membership_score(self, data: AttackData) -> np.ndarray:
        """How far the measure lies above the threshold, float32 (n,)."""
        check_attack_data(data, len(self.thresholds))
        return np.maximum(self._measure(data) - self.thresholds[data.labels], NEVER).astype(np.float32)

    def infer(self, data: AttackData) -> np.ndarray:
        """True where the measure reaches the threshold, bool (n,)."""
        return self.membership_score(data) >= 0


class _CorrectnessGap:
    """Calls a record a member when the model classifies it right: what the train-test gap alone gives (Yeom et al. 2018)."""

    def membership_score(self, data: AttackData) -> np.ndarray:
        """1 where the class is right, 0 elsewhere, float32 (n,)."""
        check_attack_data(data)
        return answered_right(data).astype(np.float32)

    def infer(self, data: AttackData) -> np.ndarray:
        """True where the class is right, bool (n,)."""
        return self.membership_score(data) > 0


def correctness_gap() -> Attack:
    """Member = classified right. Needs no shadow model (Yeom et al., CSF 2018)."""
    return _CorrectnessGap()


def confidence_threshold(data: AttackData, per_class: bool = False) -> Attack:
    """Member = probability of the true class above a threshold, the most accurate one on shadow data (Yeom et al. 2018)."""
    return _fit_threshold(confidence, data, per_class)


def entropy_threshold(data: AttackData, per_class: bool = False) -> Attack:
    """Member = entropy of the prediction vector below a threshold, the most accurate one on shadow data (Salem et al. 2019)."""
    return _fit_threshold(negative_entropy, data, per_class)


def modified_entropy_threshold(data: AttackData, per_class: bool = False) -> Attack:
    """Member = modified entropy, which knows the true class, below a threshold, the most accurate on shadow data (Song
    & Mittal 2021).
    """
    return _fit_threshold(negative_modified_entropy, data, per_class)


def confidence(data: AttackData) -> np.ndarray:
    """Probability of the true class, float64 (n,)."""
    return data.predictions[np.arange(len(data.labels)), data.labels].astype(np.float64)


def negative_entropy(data: AttackData) -> np.ndarray:
    """Sum of p log p, float64 (n,), in nats."""
    p = data.predictions.astype(np.float64)
    return (p * np.log(np.maximum(p, 1e-30))).sum(1)


def negative_modified_entropy(data: AttackData) -> np.ndarray:
    """(1 - p_y) log p_y plus the sum over other classes of p_i log(1 - p_i), float64 (n,), in nats (Song & Mittal 2021,
    eq. 8).
    """
    p = data.predictions.astype(np.float64)
    own = confidence(data)
    others = p * np.log(np.maximum(1 - p, 1e-30))
    others[np.arange(len(p)), data.labels] = 0
    return (1 - own) * np.log(np.maximum(own, 1e-30)) + others.sum(1)


def _fit_threshold(measure: Callable[[AttackData], np.ndarray], data: AttackData, per_class: bool) -> Attack:
    check_attack_data(data)
    values, n_classes = measure(data), data.predictions.shape[1]
    if per_class:
        thresholds = np.full(n_classes, np.inf)
        for c in _usable_classes(data):
            thresholds[c] = best_threshold(values[data.labels == c], data.member[data.labels == c])
        return ThresholdAttack(measure, thresholds)
    if data.member.all() or not data.member.any():
        log.warning("the data lack members or non-members: every record is answered non-member")
        return ThresholdAttack(measure, np.full(n_classes, np.inf))
    return ThresholdAttack(measure, np.full(n_classes, best_threshold(values, data.member)))


def best_threshold(values: np.ndarray, member: np.ndarray) -> float:
    """The t for which `values >= t` agrees with `member` most often, members and non-members weighing the same in all."""
    order = np.argsort(-values, kind="stable")
    gain = np.cumsum(np.where(member[order], (~member).sum(), -member.sum()))  # in whole numbers: rounding decides no tie
    last = np.append(values[order][1:] != values[order][:-1], True)  # a threshold cannot part equal values
    best = np.flatnonzero(last)[gain[last].argmax()]
    if gain[best] <= 0:
        return np.inf
    reached, below = values[order][[best, best + 1]]  # below exists: over all values the gain is 0
    middle = (reached + below) / 2
    return float(middle if middle > below else reached)  # between neighbouring floats there is no middle
