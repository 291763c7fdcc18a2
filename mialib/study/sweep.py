"""Mitigations as values of a knob: of the paper (Table III) and beyond it, so that a study sweeps them alike.

Each is either a filter of the answers, which acts on what was answered before and trains nothing, or another training.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from torch import nn

from mialib import mitigations
from mialib.core import checks
from mialib.core.types import Trainer
from mialib.shadow.answers import Filter
from mialib.training.neural import NeuralTrainer
from mialib.training.private import PrivateTrainer
from mialib.training.recipe import Recipe

MakeModel = Callable[..., nn.Module]  # takes no argument but, by keyword, `dropout`


class Mitigation(NamedTuple):
    """One mitigation at one value of its knob.

    setting: its name in the published table where the paper has it ("mitigation:top_k=3"), and a name like that elsewhere.
    answer: the filter of the target's answers, or None. shadows: the filter that the shadow models of an attacker who knows of
    it carry; it differs where the owner has a secret. trainer: how target and shadows are trained instead, or None.
    """

    name: str
    knob: str
    at: float
    setting: str
    answer: Filter | None = None
    shadows: Filter | None = None
    trainer: Callable[[MakeModel, Recipe], Trainer] | None = None


NONE = Mitigation("none", "", 0, "mitigation:none")


def _filter(name: str, knob: str, at: float, setting: str, answer: Filter) -> Mitigation:
    return Mitigation(name, knob, at, f"mitigation:{setting}", answer, answer)


def top_k_filter(k: int) -> Mitigation:
    """The k highest probabilities alone (Table III: 3, 1)."""
    checks.whole("k", k, 1)
    return _filter("top k", "k", k, f"top_k={k}", partial(mitigations.top_k, k=k))


def label_only_filter() -> Mitigation:
    """The label alone (Table III)."""
    return _filter("label only", "", 1, "top_k=1_label_only", mitigations.label_only)


def rounding_filter(digits: int) -> Mitigation:
    """Probabilities rounded to so many digits (Table III: 3, 1)."""
    checks.whole("digits", digits, 1, 15)
    return _filter("rounding", "d", digits, f"rounding_d={digits}", partial(mitigations.round_to, digits=digits))


def temperature_filter(t: float) -> Mitigation:
    """Softmax at temperature t (Table III: 5, 20)."""
    checks.real("t", t, 0, open_low=True)
    return _filter("temperature", "t", t, f"temperature_t={t:g}", partial(mitigations.temperature, t=t))


def noise_filter(scale: float, seed: int) -> Mitigation:
    """Noise on the answers. The attacker's shadows carry noise of the same scale, and not the owner's secret."""
    checks.real("scale", scale, 0)
    shadows_filter = partial(mitigations.noise, scale=scale, seed=checks.whole("seed", seed, 0) + 1)
    return _filter("noise", "σ", scale, f"noise_scale={scale:g}", partial(mitigations.noise, scale=scale, seed=seed))._replace(
        shadows=shadows_filter
    )


def _training(name: str, knob: str, at: float, setting: str, trainer: Callable[[MakeModel, Recipe], Trainer]) -> Mitigation:
    return Mitigation(name, knob, at, f"mitigation:{setting}", trainer=trainer)


def l2(penalty: float) -> Mitigation:
    """An L2 penalty lambda in the loss (Table III: 1e-4, 1e-3, 1e-2; for Texas also 5e-4, 5e-3)."""
    checks.real("penalty", penalty, 0)
    digits, _, power = f"{penalty:e}".partition("e")
    setting = f"l2_lambda={float(digits):g}e{int(power)}"
    return _training("L2", "λ", penalty, setting, lambda make, recipe: NeuralTrainer(make, replace(recipe, l2=penalty)))


def dropout(share: float) -> Mitigation:
    """Dropout of hidden units (Sec. VIII names it)."""
    checks.real("share", share, 0, 1)
    change = partial(_with_dropout, share)
    return _training("dropout", "p", share, f"dropout={share:g}", change)


def _with_dropout(share: float, make: MakeModel, recipe: Recipe) -> Trainer:
    return NeuralTrainer(partial(make, dropout=share), recipe)


def early_stopping(epochs: int) -> Mitigation:
    """Training stopped after so many epochs: the whole path of stopping rules, whatever would choose among them."""
    checks.whole("epochs", epochs, 1)
    return _training(
        "early stopping", "epochs", epochs, f"epochs={epochs}",
        lambda make, recipe: NeuralTrainer(make, replace(recipe, epochs=epochs)),
    )  # fmt: skip


def private(epsilon: float, delta: float, max_grad_norm: float = 1.0, recipe: Recipe | None = None) -> Mitigation:
    """Differentially private training (Sec. VIII names it), with a recipe of its own where one is given."""
    checks.real("epsilon", epsilon, 0, open_low=True)
    return _training(
        "private training", "ε", epsilon, f"private_epsilon={epsilon:g}",
        lambda make, usual: PrivateTrainer(make, recipe or usual, epsilon, delta, max_grad_norm),
    )  # fmt: skip


def table_iii_mitigations(penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2)) -> list[Mitigation]:
    """The rows of Table III in its order; for Texas its `penalties` are 1e-4, 5e-4, 1e-3, 5e-3."""
    return [*filters(k=(3, 1), digits=(3, 1), t=(5, 20)), *trainings(penalties)]


def filters(
    k: Iterable[int] = (), digits: Iterable[int] = (), t: Iterable[float] = (), scale: Iterable[float] = (), seed: int = 0
) -> list[Mitigation]:
    """No mitigation, and every filter of answers at these values of its knob, in the order of Table III; noise comes last.

    k, digits, t, scale: of `top_k`, `rounding`, `temperature` and `noise`. seed: the owner's secret, for the noise.
    """
    return [
        NONE,
        *map(top_k_filter, k),
        label_only_filter(),
        *map(rounding_filter, digits),
        *map(temperature_filter, t),
        *(noise_filter(each, seed) for each in scale),
    ]


def trainings(penalties: Iterable[float] = (), dropouts: Iterable[float] = (), epochs: Iterable[int] = ()) -> list[Mitigation]:
    """L2, dropout and early stopping at these values of their knobs, in this order."""
    return [*map(l2, penalties), *map(dropout, dropouts), *map(early_stopping, epochs)]
