"""Networks that learn whole prediction vectors in place of labels: copies of a model, from what it answered."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mialib.core import cache, checks, randomness
from mialib.core.types import Dataset, check_answers
from mialib.training.neural import Material, NeuralTrainer
from mialib.training.recipe import Recipe
from mialib.training.session import Session
from mialib.training.stacked import Alone, Stack


class SoftTrainer(NeuralTrainer):
    """Trains as `NeuralTrainer` does, on the cross-entropy with a prediction vector a record: its labels are not looked at.

    answers: float (n_records, n_classes), probabilities, a row a record of the data set that is trained on. They are part of
    what determines a network. On vectors of one 1 a network learns what it would on the labels. Other arguments, and what is
    raised, as of `NeuralTrainer`; ValueError for answers that are no probabilities, or not those of the data set.
    """

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        recipe: Recipe,
        answers: np.ndarray,
        device: str = "auto",
        *,
        chunk: int | None = None,
    ) -> None:
        super().__init__(make_model, recipe, device, chunk=chunk)
        given = checks.array("answers", answers)
        if given.ndim != 2 or not given.size:
            raise TypeError(f"answers must be floats of shape (n_records, n_classes), got {checks.kind(given)}")
        self.answers = check_answers(given, *given.shape)

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """As of `NeuralTrainer`, and the answers. ValueError unless they have a row a record and a column a class."""
        expected = (len(dataset.x), dataset.n_classes)
        if self.answers.shape != expected:
            raise ValueError(f"answers must have shape {expected}, for {dataset.name}, got {self.answers.shape}")
        return super().keys(dataset, rows, seed, first)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"answers": cache.digest(self.answers)}

    def _material(self, dataset: Dataset) -> Material:
        return torch.as_tensor(dataset.x).to(self.device), torch.as_tensor(self.answers).to(self.device)

    def _session(self, material: Material, rows: np.ndarray, seed: int, numbers: list[int]) -> Session:
        fresh = [self._fresh(seed, number) for number in numbers]
        orders = [randomness.torch_generator(seed, "order", number) for number in numbers]
        dropout = [randomness.torch_generator(seed, "dropout", number) for number in numbers]
        stack = _SoftStack(fresh, self.device, dropout) if self._stackable else _SoftAlone(fresh[0], self.device)
        return Session(stack, self.recipe, *material, torch.as_tensor(rows), orders)


class _SoftStack(Stack):
    def backward(self, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        """As `Stack.backward`, with vectors y (n, n_classes)."""
        return _learned(self, self(x[rows]), y[rows])


class _SoftAlone(Alone):
    def backward(self, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        """As `Alone.backward`, with vectors y (n, n_classes)."""
        return _learned(self, self.module(x[rows[0]])[None], y[rows])


def _learned(stack: Stack | Alone, logits: Tensor, vectors: Tensor) -> Tensor:
    """Mean cross-entropy (k,) of logits with vectors, both (k, b, n_classes); gradients go to `grad`."""
    for p in stack.parameters:
        p.grad = None
    losses = F.cross_entropy(logits.float().flatten(0, 1), vectors.flatten(0, 1), reduction="none")
    losses = losses.unflatten(0, vectors.shape[:2]).mean(1)
    losses.sum().backward()
    return losses.detach()
