"""White-box attacks: a network that tells members by what an open model shows of a record (`attack.inside`).

Fitted on shadow models, as the attack of 2017 is, or on records of the target whose membership the attacker knows (Nasr,
Shokri, Houmansadr, IEEE S&P 2019, "supervised").
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from mialib.attack.inside import Inside
from mialib.core import checks, randomness
from mialib.core.types import Dataset
from mialib.training.networks import Records
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe, check_rows

UNITS = 64  # as many as the attack of 2017 has (Sec. VI-C)
FARTHEST = 10.0  # deviations from a column's mean
# Chosen on held-out shadow models of Location, never on a target's records: trained for half as long, an attack that is shown
# answers alone finds less, and what is inside seems to be worth more than it is. It still gains a little by 30 epochs in place
# of 16 (AUC .9654 for .9641).
FEW_TO_LEARN = 5000  # records; with fewer, small batches
FEW_RECIPE = Recipe(epochs=20, batch_size=64, lr=2e-3, l2=1e-3)
MANY_RECIPE = Recipe(epochs=16, batch_size=256, lr=2e-3)


def answer_features(seen: Inside) -> np.ndarray:
    """All that a black box answers, float32 (n, n_classes + 1): its prediction vector as logs, and the class's log-odds."""
    return np.hstack([seen.log_odds[:, None], seen.log_p])


def gradient_features(seen: Inside) -> np.ndarray:
    """The log of the gradient's norm in each parameter tensor, float32 (n, t)."""
    return seen.log_norms


def raw_layer(seen: Inside, layer: int) -> np.ndarray:
    """What the units of a hidden layer (from 0) say, float32 (n, units * regions), in the network's own order."""
    return _layer(seen, seen.layers, layer).reshape(len(seen.log_odds), -1).astype(np.float32)


def sorted_layer(seen: Inside, layer: int) -> np.ndarray:
    """The influences of a hidden layer's units (from 0) on the true class, sorted within each region, float32 (n, units *
    regions).

    A network whose units change places, or their sign and that of their weights, shows the same: so what is learned of one
    network's units means something in another's, whose units have no order in common with them.
    """
    return np.sort(_layer(seen, seen.influences, layer).astype(np.float32), axis=1).reshape(len(seen.log_odds), -1)


def all_features(seen: Inside) -> np.ndarray:
    """Answers, gradient norms, and every hidden layer's sorted influences, float32 (n, d)."""
    layers = [sorted_layer(seen, k) for k in range(len(seen.layers))]
    return np.hstack([answer_features(seen), seen.log_norms, *layers])


def _layer(seen: Inside, values: list[np.ndarray], layer: int) -> np.ndarray:
    if not checks.instance("seen", seen, Inside).layers:
        raise ValueError(f"layer must be a hidden one, and the model has none, got {layer}")
    return values[checks.whole("layer", layer, 0, len(values) - 1, "the hidden layers")]


def fit_white_box(
    features: np.ndarray, member: np.ndarray, labels: np.ndarray | None = None, seed: int = 0, n_classes: int | None = None
) -> "WhiteBoxAttack":
    """Fit an attack on features (n, d) of records that are members or not, of one model or of many.

    A network with one hidden layer of 64 ReLU units, on standardised columns. labels: int64 (n,), the records' classes, shown
    to it one-hot (as Nasr et al. do); None: it does not see them. n_classes: how many there are; None: as many as the labels
    show, and a record of a later class cannot be judged. Raises TypeError or ValueError.
    """
    return fit_white_boxes(features, member, np.arange(len(features))[None], labels, seed, n_classes)[0]


def fit_white_boxes(
    features: np.ndarray,
    member: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray | None = None,
    seed: int = 0,
    n_classes: int | None = None,
) -> "list[WhiteBoxAttack]":
    """Fit k attacks, each on some of the records: rows int (k, m). Of the others nothing but their features is used, which the
    attacker has of all records: columns are standardised on all. Other arguments as of `fit_white_box`.
    """
    features, n = _checked_features(features), len(features)
    if not checks.is_array(member) or member.dtype != bool or member.shape != (n,):
        raise TypeError(f"member must be bool of shape ({n},), got {checks.kind(member)}")
    known = Dataset("features", features, member.astype(np.int64), 2, "own")
    for row in check_rows(known, rows):
        if member[row].all() or not member[row].any():
            raise ValueError(f"member must hold members and non-members, got {member[row].sum()} members of {len(row)}")
    scale = _Scale.of(features, labels, n_classes)
    x = scale.standard(features, labels)
    recipe = FEW_RECIPE if rows.shape[1] < FEW_TO_LEARN else MANY_RECIPE
    trainer = NeuralTrainer(lambda: _network(x.shape[1]), recipe)
    seed = randomness.derive(checks.whole("seed", seed, 0), "white box")
    return [WhiteBoxAttack(model, scale) for model in trainer.fit_many(replace(known, x=x), rows, seed)]


class _Scale(NamedTuple):
    """How columns are standardised: centre and scale float32 (d,); n_classes None where attacks do not see the class."""

    centre: np.ndarray
    scale: np.ndarray
    n_classes: int | None

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray | None, n_classes: int | None) -> "_Scale":
        if labels is None:
            n_classes = None
        elif n_classes is None:
            n_classes = int(checks.labels("labels", labels, 2**31).max(initial=0)) + 1
        else:
            checks.labels("labels", labels, checks.whole("n_classes", n_classes, 1))
        return cls(features.mean(0), features.std(0) + np.float32(1e-6), n_classes)

    def standard(self, features: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Columns in deviations from their means, and the class, one-hot, float32 (n, d + n_classes)."""
        if features.shape[1] != len(self.centre):
            wanted = f"{len(self.centre)} columns, as those the attack was fitted on"
            raise ValueError(f"features must have {wanted}, got {features.shape[1]}")
        x = ((features - self.centre) / self.scale).clip(-FARTHEST, FARTHEST).astype(np.float32)
        if (labels is None) != (self.n_classes is None):
            raise ValueError(f"labels must be {'None' if labels is not None else 'given'}, as where the attack was fitted")
        if labels is None or self.n_classes is None:
            return x
        labels = checks.labels("labels", labels, self.n_classes)
        if len(labels) != len(x):
            raise ValueError(f"labels must have one entry a record, {len(x)}, got {len(labels)}")
        return np.hstack([x, np.eye(self.n_classes, dtype=np.float32)[labels]])


class WhiteBoxAttack:
    """A network on features of open models. Made by `fit_white_box`."""

    def __init__(self, model: Any, scale: _Scale) -> None:
        self._model, self._scale = model, scale

    def membership_score(self, features: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Log-odds of membership, float32 (n,)."""
        log_p = self._model.predict_log_proba(self._scale.standard(_checked_features(features), labels))
        return log_p[:, 1] - log_p[:, 0]

    def infer(self, features: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """True where membership is likelier than not, bool (n,)."""
        return self.membership_score(features, labels) > 0


def _network(n_features: int) -> nn.Module:
    return nn.Sequential(Records(), nn.Linear(n_features, UNITS), nn.ReLU(), nn.Linear(UNITS, 2))


def _checked_features(features: np.ndarray) -> np.ndarray:
    """`features` as float32 (n, d), finite; TypeError or ValueError otherwise."""
    found = checks.array("features", features)
    if found.ndim != 2 or not found.size or found.dtype.kind != "f":
        raise TypeError(f"features must be floats of shape (n, d), neither of them 0, got {checks.kind(found)}")
    if not np.isfinite(found).all():
        bad = np.count_nonzero(~np.isfinite(found))
        raise ValueError(f"features must be finite, got {bad} values that are NaN or infinite")
    return found.astype(np.float32, copy=False)
