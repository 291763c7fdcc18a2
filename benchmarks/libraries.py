"""Who is measured, continued: the Adversarial Robustness Toolbox (ART) and the package mia, used as their documentation shows.

Both see what mialib sees: probabilities of a black box. Installed in the benchmarks' own environment only.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import scipy.special
import torch
from art.attacks.inference.membership_inference import MembershipInferenceBlackBox, ShadowModels
from art.estimators.classification import PyTorchClassifier
from art.utils import to_categorical
from mia.estimators import AttackModelBundle, ShadowModelBundle, prepare_attack_data
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from benchmarks import climbs
from benchmarks.climbs import RULES
from benchmarks.phases import Contender, Found, Stopwatch, judged
from benchmarks.plain import plain_answers, plain_asked, plain_loop, plain_model
from benchmarks.workloads import TargetAndPool, Workload, make_model
from mialib.training.recipe import Recipe

MIA_RECIPE = Recipe(epochs=12, batch_size=32, lr=1e-3)  # mia's example: 12 epochs, with Keras' defaults for the rest


def art(kind: str) -> Contender:
    """ART's ShadowModels and MembershipInferenceBlackBox, with its default attack model of this kind ("nn" or "rf")."""

    def contender(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch) -> Found:
        torch.manual_seed(seed)
        dataset, split, pool, target = material
        rows, asked = split.rows, plain_asked(material.target, material.dataset, material.split)
        x, y = dataset.x.astype(np.float32), to_categorical(dataset.y, workload.n_classes)
        wrap = partial(_art_classifier, workload)
        with watch("shadows"):
            shadows = ShadowModels(wrap(make_model(workload)), num_shadow_models=workload.k, random_state=seed)
            members, others = shadows.generate_shadow_dataset(x[pool], y[pool], member_ratio=0.5)
        with watch("attack"):
            attack = MembershipInferenceBlackBox(wrap(target), attack_model_type=kind)
            attack.fit(members[0], members[1], others[0], others[1], members[2], others[2])
        with watch("inference"):
            score = attack.infer(x[rows], y[rows], probabilities=True).ravel()
        return judged(asked, score, score > 0.5)

    return contender


def _art_classifier(workload: Workload, model: nn.Module) -> PyTorchClassifier:
    recipe = workload.recipe

    class Classifier(PyTorchClassifier):
        """ShadowModels passes no epochs and no batch size, so they are set here; answers are probabilities."""

        def fit(self, x: np.ndarray, y: np.ndarray, **options: Any) -> None:
            super().fit(x, y, **{**options, "batch_size": recipe.batch_size, "nb_epochs": recipe.epochs})

        def predict(self, x: np.ndarray, **options: Any) -> np.ndarray:
            return scipy.special.softmax(super().predict(x, **options), axis=1)

    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    return Classifier(model, nn.CrossEntropyLoss(), workload.shape, workload.n_classes, optimizer, device_type="cpu")


def art_climbing(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch) -> Found:
    """ART's hill climbing, as `ShadowModels.generate_synthetic_shadow_dataset` calls it for each record, without the shadows.

    Its own random records and changes are uniform floats, which find nothing among bits: it is given callbacks for bits.
    """
    target = _art_classifier(workload, material.target)
    shadows, rng = ShadowModels(target, num_shadow_models=1, random_state=seed), np.random.default_rng(seed)
    target.predict = ask = climbs.Counted(target.predict)
    climb = partial(
        shadows._hill_climbing_synthesis, target,
        min_confidence=RULES.conf_min, max_features_randomized=RULES.k_max, min_features_randomized=RULES.k_min,
        max_iterations=RULES.iter_max, max_rejections=RULES.rej_max,
        random_record_fn=lambda: rng.integers(0, 2, workload.shape).astype(np.float32),
        randomize_features_fn=lambda x, k: climbs.flipped(x, k, rng),
    )  # fmt: skip
    records: list[np.ndarray] = []
    with watch("records"):
        for c in range(workload.n_classes):
            while len(records) < (c + 1) * (workload.k // workload.n_classes):
                with suppress(RuntimeError):  # a climb that gave up
                    records.append(climb(c))
    return climbs.found(watch, np.array(records), ask.n)


def mia(attack_model: Callable[[int], Any]) -> Contender:
    """mia's ShadowModelBundle and AttackModelBundle, with shadow models of the plain loop."""

    def contender(workload: Workload, material: TargetAndPool, seed: int, watch: Stopwatch) -> Found:
        torch.manual_seed(seed)
        dataset, split, pool, target = material
        with watch("shadows"):
            make = partial(_Classifier, workload, seed)
            bundle = ShadowModelBundle(make, shadow_dataset_size=workload.n, num_models=workload.k, seed=seed)
            x, member = bundle.fit_transform(dataset.x[pool], dataset.y[pool])
        with watch("attack"):
            make_attack = partial(attack_model, workload.n_classes)
            attack = AttackModelBundle(make_attack, num_classes=workload.n_classes, class_one_hot_coded=False)
            attack.fit(x, member)
        with watch("inference"):
            parts = [(dataset.x[rows], dataset.y[rows]) for rows in (split.members, split.nonmembers)]
            questions, _ = prepare_attack_data(_Classifier(workload, seed, target), *parts)
            score = attack.predict_proba(questions)[:, 1]
        return judged(plain_asked(material.target, material.dataset, material.split), score, score > 0.5)

    return contender


class _Classifier:
    """A network behind fit and predict_proba, as mia wants its models."""

    def __init__(self, workload: Workload, seed: int, model: nn.Module | None = None) -> None:
        self.workload, self.seed, self.model = workload, seed, model

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        self.model = plain_model(self.workload, x, y, self.seed)

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        assert self.model is not None
        return plain_answers(self.model, x)


class _ExampleAttack:
    """The attack network of mia's example in torch: 128, 64 and 64 ReLU units with dropout. `predict` answers P(member)."""

    def __init__(self, n_classes: int) -> None:
        head = (nn.Linear(n_classes, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.2))
        self.model: nn.Module = nn.Sequential(*head, nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        self.model = plain_loop(self.model, x.astype(np.float32), y.astype(np.int64), MIA_RECIPE)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return plain_answers(self.model, x.astype(np.float32))[:, 1]


class _ForestAttack:
    """scikit-learn's random forest; `predict` answers P(member), which AttackModelBundle expects."""

    def __init__(self, _: int) -> None:
        self.model = RandomForestClassifier()

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        self.model.fit(x, y)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(x)[:, 1] if len(x) else np.empty(0)


CONTENDERS: dict[str, Contender] = {
    "ART nn": art("nn"),
    "ART rf": art("rf"),
    "ART hill climbing": art_climbing,
    "mia nn": mia(_ExampleAttack),
    "mia rf": mia(_ForestAttack),
}
