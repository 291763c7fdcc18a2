"""Differentially private training, DP-SGD (Abadi et al., CCS 2016): what one record changes in a model is bounded.

Every step draws each record independently, clips each record's gradient and adds Gaussian noise to the sum. How much noise an
(epsilon, delta) takes is told by Opacus's accountant, an optional extra; the steps themselves need nothing but torch. The noise
comes from an ordinary generator, seeded: right for measuring leakage, not for protecting real people.
"""

import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from mialib.core import checks, randomness
from mialib.core.progress import Ticks
from mialib.core.threads import one_a_core
from mialib.training.fitting import Engine, Task, TorchTrainer
from mialib.training.networks import Records
from mialib.training.recipe import Recipe
from mialib.training.session import make_optimizer
from mialib.training.stacked import Alone

ACCOUNTANT = "rdp"  # Opacus's other one, "prv", is a little tighter, and takes gigabytes where epsilon is large
RECORDS_AT_ONCE = 256  # whose gradients lie in memory side by side


class Plan(NamedTuple):
    """What a training on n records does: the share of them drawn a step, steps, and the noise in units of the clipping norm."""

    rate: float
    steps: int
    noise_multiplier: float


class PrivateTrainer(TorchTrainer):
    """Trains networks by DP-SGD, each (epsilon, delta)-private with respect to adding or removing one training record.

    Parameters
    ----------
    make_model: a factory of a torch module that maps raw records (n, ...) to logits (n, n_classes). No dropout, and no
        batch normalisation, through which records would see one another.
    recipe: batch_size is the expected number of records a step; epochs * n / batch_size steps are taken. Its l2 costs no
        privacy. Recipes with patience or `enough`, which would look at the data, or bfloat16 are refused.
    epsilon, delta: the guarantee; delta must lie below 1 / n.
    max_grad_norm: the norm to which each record's gradient is clipped.
    device: "auto" (CUDA if there is one), or a torch device.

    Model i depends on (seed, i) only. Finished networks are kept on disk; what is there is found without Opacus.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        recipe: Recipe,
        epsilon: float,
        delta: float,
        max_grad_norm: float = 1.0,
        device: str = "auto",
    ) -> None:
        super().__init__(make_model, recipe, device)
        if recipe != replace(recipe, patience=None, enough=None, precision="float32"):
            found = f"{recipe.patience}, {recipe.enough}, {recipe.precision}"
            raise ValueError(f"recipe must have no patience, no enough and float32 precision, got {found}")
        self.epsilon = checks.real("epsilon", epsilon, 0, open_low=True)
        self.delta = checks.real("delta", delta, 0, 1, open_low=True)
        self.max_grad_norm = checks.real("max_grad_norm", max_grad_norm, 0, open_low=True)
        _check_layers(self._fresh(0, 0))

    def plan(self, n: int) -> Plan:
        """What a training on n records does. Raises ImportError without Opacus, and ValueError for a delta of 1 / n or more."""
        checks.whole("n", n, 1)
        if self.delta >= 1 / n:
            raise ValueError(f"delta must lie below 1 / n = {1 / n:.2g} for {n} records, got {self.delta:g}")
        rate = min(1.0, self.recipe.batch_size / n)
        steps = math.ceil(self.recipe.epochs / rate - 1e-9)
        return Plan(rate, steps, noise_multiplier(self.epsilon, self.delta, rate, steps))

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"private": [self.epsilon, self.delta, self.max_grad_norm, ACCOUNTANT]}

    @contextmanager
    def _engine(self, task: Task, k: int) -> Iterator[Engine]:
        plan = self.plan(task.rows.shape[1])
        x, y = torch.as_tensor(task.dataset.x).to(self.device), torch.as_tensor(task.dataset.y).to(self.device)

        def train(members: list[int], bar: Ticks, stop: threading.Event) -> list[dict[str, Tensor]]:
            rows = [torch.as_tensor(task.rows[j]).to(self.device) for j in members]
            numbers = [task.numbers[j] for j in members]
            return [self._train(x[row], y[row], plan, task.seed, i, bar, stop) for row, i in zip(rows, numbers, strict=True)]

        with one_a_core(k if self.device.type == "cpu" else 1) as (pool, _):
            yield Engine(pool, 1, plan.steps, train)

    def _train(
        self, x: Tensor, y: Tensor, plan: Plan, seed: int, number: int, bar: Ticks, stop: threading.Event
    ) -> dict[str, Tensor]:
        drawing, noise = (randomness.torch_generator(seed, name, number) for name in ("drawn records", "private noise"))
        network = Alone(self._fresh(seed, number), self.device)
        optimizer = make_optimizer(network, self.recipe)
        for step in range(plan.steps):
            if stop.is_set():
                raise InterruptedError("the training was interrupted")
            drawn = torch.nonzero(torch.rand(len(x), generator=drawing) < plan.rate).flatten().to(self.device)
            sums = clipped_sums(network.module, x[drawn], y[drawn], self.max_grad_norm)
            for p, total in zip(network.parameters, sums, strict=True):
                spread = torch.randn(p.shape, generator=noise).to(self.device)
                p.grad = (total + plan.noise_multiplier * self.max_grad_norm * spread) / (plan.rate * len(x))
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.rate(step)
            optimizer.step()
            bar.update()
        return network.state(0)


@lru_cache(maxsize=256)
def noise_multiplier(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Standard deviation of the noise, in units of the clipping norm, that makes `steps` steps, each of a random share `rate`
    of the records, (epsilon, delta)-private by Opacus's Rényi accountant. Raises ImportError without Opacus.
    """
    try:
        from opacus.accountants.utils import get_noise_multiplier
    except ImportError as error:
        raise ImportError("private training needs Opacus: install the extra, pip install 'mialib[private]'") from error
    asked = {"target_epsilon": epsilon, "target_delta": delta, "sample_rate": rate, "steps": steps}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # that other orders might give a tighter bound: this one holds all the same
        return float(get_noise_multiplier(**asked, accountant=ACCOUNTANT))


def clipped_sums(module: nn.Module, x: Tensor, y: Tensor, max_norm: float) -> list[Tensor]:
    """For each parameter, the sum over records of the gradient of their cross-entropy, each record's scaled down to `max_norm`.

    x (b, ...) raw records, b >= 0; y (b,) classes. The norm of a record's gradient is that over all parameters together.
    """
    parameters = list(module.parameters())
    totals = [torch.zeros_like(p) for p in parameters]
    sums = _linear_sums if _is_plain(module) else _any_sums
    for part, classes in zip(x.split(RECORDS_AT_ONCE), y.split(RECORDS_AT_ONCE), strict=True):
        if len(part):
            totals = [total + more for total, more in zip(totals, sums(module, part, classes, max_norm), strict=True)]
    return totals


def _is_plain(module: nn.Module) -> bool:
    """Whether the module is a sequence of linear layers on flat records, with Tanh or ReLU between them."""
    if type(module) is not nn.Sequential or type(module[0]) not in (Records, nn.Flatten):
        return False
    return all(type(m) in (nn.Linear, nn.Tanh, nn.ReLU) and not getattr(m, "inplace", False) for m in module[1:])


def _linear_sums(module: nn.Module, x: Tensor, y: Tensor, max_norm: float) -> list[Tensor]:
    """A record's gradient in a linear layer is the outer product of slope and input: its norm needs no such product."""
    inputs, outputs, out = [], [], x
    for layer in module.children():
        if isinstance(layer, nn.Linear):
            inputs.append(out.detach())
            outputs.append(layer(out))
            out = outputs[-1]
        else:
            out = layer(out)
    slopes = torch.autograd.grad(F.cross_entropy(out, y, reduction="sum"), outputs)
    layers = [layer for layer in module.children() if isinstance(layer, nn.Linear)]
    squares = [
        slope.square().sum(1) * (above.square().sum(1) + (layer.bias is not None))
        for layer, slope, above in zip(layers, slopes, inputs, strict=True)
    ]
    scaled = [slope * _factors(sum(squares), max_norm)[:, None] for slope in slopes]
    sums = []
    for layer, slope, above in zip(layers, scaled, inputs, strict=True):
        sums += [slope.T @ above] + ([slope.sum(0)] if layer.bias is not None else [])
    return sums


def _any_sums(module: nn.Module, x: Tensor, y: Tensor, max_norm: float) -> list[Tensor]:
    """Each record's gradient, side by side."""
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(weights: dict[str, Tensor], record: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(module, weights, (record[None],)), label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    squares = sum(g.flatten(1).square().sum(1) for g in gradients.values())
    return [torch.tensordot(_factors(squares, max_norm), g, 1) for g in gradients.values()]


def _factors(squares: Any, max_norm: float) -> Tensor:
    return (max_norm / squares.sqrt().clamp_min(1e-12)).clamp_max(1)


def _check_layers(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, _BatchNorm | _DropoutNd):
            raise ValueError(f"make_model must have no batch normalisation and no dropout, got {layer}")
