"""One stack of networks in training: epochs, batches, learning rate, and networks that stop early."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mialib.core.progress import Ticks
from mialib.training.recipe import Recipe
from mialib.training.sparse import SparseBits
from mialib.training.stacked import Alone, Stack


class Session:
    """Trains a stack on rows (k, n) of records x (n_records, ...) with classes y (n_records,), one row of `rows` a network.

    orders: a generator (CPU) a network, from which the order of its batches is drawn.
    """

    def __init__(
        self,
        stack: Stack | Alone,
        recipe: Recipe,
        x: Tensor | SparseBits,
        y: Tensor,
        rows: Tensor,
        orders: Sequence[torch.Generator],
    ) -> None:
        self.stack, self.recipe, self.rows, self.orders = stack, recipe, rows, list(orders)
        self.x: Any = x  # SparseBits for a SparseStack only
        self.y = y
        self.optimizer = make_optimizer(stack, recipe)
        self.step = 0

    def run(self, bar: Ticks, stop: threading.Event, names: Sequence[int] = ()) -> list[dict[str, Tensor]]:
        """Train to the end; the state of each network, in order.

        Raises InterruptedError soon after `stop` is set, and FloatingPointError for a loss that is not finite. names: the
        numbers by which that names the networks; 0..k-1 without.
        """
        k = len(self.stack)
        names = names or range(k)
        numbers, runs, done = list(range(k)), [_Run(self.recipe) for _ in range(k)], {}
        for left in reversed(range(self.recipe.epochs)):
            if stop.is_set():
                raise InterruptedError("the training was interrupted")
            losses = self.epoch().tolist()
            bar.update(len(numbers))
            ended = []
            for j, (number, loss) in enumerate(zip(numbers, losses, strict=True)):
                check_finite(f"model {names[number]}", {"loss": np.array(loss)}, self.recipe.lr)
                runs[number].told(loss)
                if runs[number].is_kept(left):
                    done[number] = self.stack.state(j)
                if runs[number].has_ended:
                    ended.append(j)
            bar.update(left * len(ended))
            numbers = self._drop(numbers, ended)
            if not numbers:
                break
        return [done[number] for number in range(k)]

    def epoch(self) -> Tensor:
        """One pass over the training sets; the mean loss of each network, (k,)."""
        k, n = self.rows.shape
        order = torch.stack([torch.randperm(n, generator=generator) for generator in self.orders])
        picked = self.rows.gather(1, order).to(self.y.device)
        total = torch.zeros(k, device=self.y.device)
        size = self.recipe.batch_size
        records = self.x.batches(picked, size) if isinstance(self.x, SparseBits) else repeat(self.x)
        for x, batch in zip(records, picked.split(size, dim=1), strict=False):
            total += self._batch(x, batch.contiguous()) * batch.shape[1]
        return total / n

    def _batch(self, x: Any, batch: Tensor) -> Tensor:
        with torch.autocast(self.y.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            losses = self.stack.backward(x, self.y, batch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        self.optimizer.step()
        self.step += 1
        return losses

    def _drop(self, numbers: list[int], stopped: list[int]) -> list[int]:
        kept = [j for j in range(len(numbers)) if j not in stopped]
        if stopped and kept and isinstance(self.stack, Stack):
            self.stack.keep(kept)
            self.rows, self.orders = self.rows[kept], [self.orders[j] for j in kept]
            for state in self.optimizer.state.values():
                state.update({name: value[kept] for name, value in state.items() if value.ndim > 0})
        return [numbers[j] for j in kept]


class _Run:
    """The losses of one network in training, and what follows from them."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.lowest, self.since = recipe, float("inf"), 0

    def told(self, loss: float) -> None:
        """The mean loss of the epoch that is just over."""
        self.since = 0 if loss < self.lowest else self.since + 1
        self.lowest = min(self.lowest, loss)

    @property
    def has_ended(self) -> bool:
        """Whether the network trains no further, though there are epochs left."""
        patience, enough = self.recipe.patience, self.recipe.enough
        return (patience is not None and self.since >= patience) or (enough is not None and self.lowest <= enough)

    def is_kept(self, left: int) -> bool:
        """Whether the weights of now are the network's, for all that is known: the last ones, or those of the lowest loss."""
        return self.has_ended or left == 0 if self.recipe.enough is None else self.since == 0


def check_finite(model: str, arrays: Mapping[str, np.ndarray], lr: float) -> None:
    """FloatingPointError, naming the model and what of it is NaN or infinite, unless all is finite."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(f"{model}: its {name} is not finite, the training diverged: is the rate {lr:g} too high?")


def make_optimizer(stack: Stack | Alone, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over a stack: the L2 penalty lambda * sum(w^2) has the gradient 2 * lambda * w, biases none."""
    biases = [p for p in stack.parameters if all(p is not weight for weight in stack.weights)]
    groups: list[dict[str, Any]] = [
        {"params": stack.weights, "weight_decay": 2 * recipe.l2},
        {"params": biases, "weight_decay": 0.0},
    ]
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.SGD
    return kind([group for group in groups if group["params"]], lr=recipe.lr, fused=True)
