"""A small residual network with batch normalisation, and a trainer that shows it mirrored and shifted pictures: for attacks at
the scale of Carlini et al. 2022 (Table I: 256 models, each on 25,000 pictures of CIFAR-10), where a GPU is at hand.

Shape and schedule follow two public records on CIFAR-10: D. Page's cifar10-fast (nine layers, a rate that rises and falls along
straight lines, batches of 512, 24 epochs) and K. Jordan's cifar10-airbench (the data set lies on the device, a batch is a slice
of a permutation, maxima are taken before the normalisation).

Networks are trained one after another on a GPU: one batch of one network fills it, and a stack of them would turn each
convolution into a grouped one and need running statistics for each network. On a CPU each core trains one.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from mialib.core import checks, randomness
from mialib.core.progress import Ticks
from mialib.core.threads import one_a_core
from mialib.core.types import Dataset
from mialib.training.augmentation import PictureBatch, moved_batches, moved_pictures
from mialib.training.fitting import Engine, Task, TorchTrainer
from mialib.training.networks import Pixels
from mialib.training.recipe import Estimate, Recipe
from mialib.training.session import check_finite

STEPS_TRIED = 3
BATCH_TRIED_ON_CPU = 32  # a whole batch of the usual size would take half a minute
COPIES_OF_WEIGHTS = 5
LOGIT_SCALE = 0.125  # of cifar10-fast


class _Skip(nn.Module):
    """A block and its input, added."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class _Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def residual(in_shape: Sequence[int], n_classes: int, width: int = 64) -> nn.Module:
    """A residual network of eight convolutions with batch normalisation and a linear layer. Takes (n, h, w[, c]) uint8, gives
    logits.

    The first convolution has `width` filters, the last ones 8 * width. 64 is the width of cifar10-fast: 6.6 million weights.
    """
    if len(in_shape) not in (2, 3) or min(in_shape) < 1 or min(in_shape[:2]) < 8:
        raise ValueError(f"in_shape must be (h, w) or (h, w, channels) with h, w >= 8, got {tuple(in_shape)}")
    checks.whole("n_classes", n_classes, 2)
    checks.whole("width", width, 1)
    height, breadth, depth = (*in_shape, 1)[:3]
    return nn.Sequential(
        Pixels(),
        *_convolution(depth, width),
        *_convolution(width, 2 * width, pooled=True),
        _Skip(nn.Sequential(*_convolution(2 * width, 2 * width), *_convolution(2 * width, 2 * width))),
        *_convolution(2 * width, 4 * width, pooled=True),
        *_convolution(4 * width, 8 * width, pooled=True),
        _Skip(nn.Sequential(*_convolution(8 * width, 8 * width), *_convolution(8 * width, 8 * width))),
        nn.MaxPool2d((height // 8, breadth // 8)),
        nn.Flatten(),
        nn.Linear(8 * width, n_classes, bias=False),
        _Scaled(LOGIT_SCALE),
    )


def _convolution(channels: int, filters: int, *, pooled: bool = False) -> list[nn.Module]:
    """Maxima come before normalisation and ReLU, which then see a quarter of the numbers."""
    pool = [nn.MaxPool2d(2)] if pooled else []
    return [nn.Conv2d(channels, filters, 3, padding=1, bias=False), *pool, nn.BatchNorm2d(filters), nn.ReLU()]


class ResidualTrainer(TorchTrainer):
    """Trains networks with batch normalisation on pictures that are mirrored and shifted anew in each epoch.

    Parameters
    ----------
    make_model: a factory of a torch module that maps raw pictures uint8 (n, h, w[, c]) to logits (n, n_classes), such as
        `residual`; without dropout.
    recipe: optimizer "sgd", neither patience nor enough, batches of 3 records or more. lr is the highest rate: a step's is
        recipe.rate times `one_cycle`. l2 spares biases and normalisation; it is half of what others call weight decay. For
        batches see `moved_batches`.
    device: "auto" (CUDA if there is one), or a torch device.
    momentum: Nesterov's, above 0 and below 1.
    warmup: the share of the steps, 0 or more and below 1, in which the rate rises.
    smoothing: the share of a label's weight, 0 or more and below 1, that goes to all classes alike.
    flip: whether half of the pictures are mirrored, left to right.
    shift: pixels by which a picture is moved at most, in both directions; what is empty shows the picture's own reflection.

    Model i depends on (seed, i) only: to the last bit on a CPU, where each network has one core. Answers come from a network in
    evaluation mode: a record's answer does not depend on what else is asked. Finished networks are kept on disk.

    For Table I of Carlini et al., with the settings of cifar10-fast:

        recipe = Recipe(epochs=24, batch_size=512, lr=0.4, l2=2.5e-4, optimizer="sgd", precision="bfloat16")
        ResidualTrainer(partial(residual, (32, 32, 3), 10), recipe)
    """

    at_once = 8  # networks that a caller should ask for together: more only fill the memory

    def __init__(
        self,
        make_model: Callable[[], nn.Module],
        recipe: Recipe,
        device: str = "auto",
        *,
        momentum: float = 0.9,
        warmup: float = 0.2,
        smoothing: float = 0.0,
        flip: bool = True,
        shift: int = 4,
    ) -> None:
        super().__init__(make_model, recipe, device)
        if recipe != replace(recipe, optimizer="sgd", patience=None, enough=None) or recipe.batch_size < 3:
            needs = "optimizer 'sgd', no patience, no enough and a batch_size of 3 or more"
            found = f"{recipe.optimizer!r}, {recipe.patience}, {recipe.enough}, {recipe.batch_size}"
            raise ValueError(f"recipe must have {needs}, got {found}")
        self.momentum = _share("momentum", momentum, open_low=True)
        self.warmup, self.smoothing = _share("warmup", warmup), _share("smoothing", smoothing)
        self.flip, self.shift = checks.flag("flip", flip), checks.whole("shift", shift, 0)
        for layer in self._fresh(0, 0).modules():
            if isinstance(layer, _DropoutNd):
                raise ValueError(f"make_model must have no dropout, which would not come from (seed, i), got {layer}")

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k networks on n records each would take here, from a short trial; nothing is kept.

        Networks that are in the cache already are not left out of the count. The memory is that of training and of `at_once`
        finished networks.
        """
        checks.instance("dataset", dataset, Dataset)
        checks.whole("n", n, 2, len(dataset.x), "the records of the data set")
        checks.whole("k", k, 1)
        self._check_model(dataset)
        material = self._material(dataset)
        with self._workers(k) as (pool, n_workers), _repeatable_convolutions():
            trials = [pool.submit(self._seconds_a_picture, material, n) for _ in range(n_workers)]
            seconds = max(trial.result() for trial in trials) * n * self.recipe.epochs
        finished = 4 * 2 * min(k, self.at_once) * _size(self._fresh(0, 0))  # as arrays, and as networks
        pictures = 0 if self.device.type == "cpu" else dataset.x.nbytes
        memory = pictures + n_workers * self._bytes(dataset, n) + finished
        return Estimate(k, seconds * math.ceil(k / n_workers), memory / 1e6)

    def _settings(self) -> dict[str, Any]:
        ours = ("momentum", "warmup", "smoothing", "flip", "shift")
        return super()._settings() | {name: getattr(self, name) for name in ours}

    def _check_model(self, dataset: Dataset) -> None:
        """ValueError unless the records are pictures that can be shifted, and make_model's modules take them."""
        x = dataset.x
        if x.dtype != np.uint8 or x.ndim not in (3, 4):
            raise ValueError(f"dataset.x must be pictures, uint8 (n, h, w[, c]), got {checks.kind(x)}")
        if self.shift >= min(x.shape[1:3]):
            raise ValueError(f"shift must be less than a picture's height and width, {x.shape[1:3]}, got {self.shift}")
        super()._check_model(dataset)

    @contextmanager
    def _engine(self, task: Task, k: int) -> Iterator[Engine]:
        if task.rows.shape[1] < 2:
            raise ValueError(f"rows must hold at least 2 records a network, for batch normalisation, got {task.rows.shape}")
        material = self._material(task.dataset)

        def train(members: list[int], bar: Ticks, stop: threading.Event) -> list[dict[str, Tensor]]:
            return [self._train(material, task.rows[j], task.seed, task.numbers[j], bar, stop) for j in members]

        with self._workers(k) as (pool, _), _repeatable_convolutions():
            yield Engine(pool, 1, self.recipe.epochs, train)

    def _workers(self, k: int) -> AbstractContextManager[tuple[ThreadPoolExecutor, int]]:
        """One core a network, however many there are: a sum that cores share depends on their number."""
        return one_a_core(k if self.device.type == "cpu" else 1, 1)

    def _material(self, dataset: Dataset) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(dataset.x).to(self.device), torch.as_tensor(dataset.y).to(self.device)

    def _train(
        self, material: tuple[Tensor, Tensor], rows: np.ndarray, seed: int, number: int, bar: Ticks, stop: threading.Event
    ) -> dict[str, Tensor]:
        """The state of network `number`, trained on `rows` (n,), on the CPU."""
        network = self._placed(seed, number)
        optimizer = self._optimizer(network)
        draws = [randomness.torch_generator(seed, name, number) for name in ("order", "moves")]
        steps, step = self.recipe.epochs * math.ceil(len(rows) / self.recipe.batch_size), 0
        for _ in range(self.recipe.epochs):
            total = torch.zeros((), device=self.device)
            for batch in self._batches(torch.as_tensor(rows), *draws):
                if stop.is_set():
                    raise InterruptedError("the training was interrupted")
                for group in optimizer.param_groups:
                    group["lr"] = self.recipe.rate(step) * one_cycle(step, steps, self.warmup)
                total += self._step(network, optimizer, material, batch) * len(batch.rows)
                step += 1
            check_finite(f"model {number}", {"loss": (total / len(rows)).cpu().numpy()}, self.recipe.lr)
            bar.update()
        return {name: value.cpu().contiguous() for name, value in network.state_dict().items()}

    def _batches(self, rows: Tensor, order: torch.Generator, moves: torch.Generator) -> list[PictureBatch]:
        return moved_batches(rows, self.recipe.batch_size, self.flip, self.shift, order, moves, self.device)

    def _placed(self, seed: int, number: int) -> nn.Module:
        return self._fresh(seed, number).to(self.device).to(memory_format=torch.channels_last).train()

    def _step(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, material: tuple[Tensor, Tensor], batch: PictureBatch
    ) -> Tensor:
        """One step of the optimizer; the mean loss of the batch before it, on the device."""
        loss = self._loss(network, material, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def _loss(self, network: nn.Module, material: tuple[Tensor, Tensor], batch: PictureBatch) -> Tensor:
        x, y = material
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            logits = network(moved_pictures(x, batch))
        return F.cross_entropy(logits.float(), y[batch.rows], label_smoothing=self.smoothing)

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        weights = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        decay = 2 * self.recipe.l2  # the gradient of l2 * sum(w^2)
        groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.SGD(
            [group for group in groups if group["params"]], lr=self.recipe.lr, momentum=self.momentum, nesterov=True
        )

    def _seconds_a_picture(self, material: tuple[Tensor, Tensor], n: int) -> float:
        size = min(n, self.recipe.batch_size, *([BATCH_TRIED_ON_CPU] if self.device.type == "cpu" else []))
        network = self._placed(0, 0)
        optimizer, generator = self._optimizer(network), torch.Generator().manual_seed(0)
        (batch,) = self._batches(torch.arange(size), generator, generator)
        float(self._step(network, optimizer, material, batch))  # until a GPU is done, too
        start = time.perf_counter()
        for _ in range(STEPS_TRIED):
            loss = self._step(network, optimizer, material, batch)
        float(loss)
        return (time.perf_counter() - start) / STEPS_TRIED / size

    def _bytes(self, dataset: Dataset, n: int) -> int:
        """Memory that one network takes in training: weights, gradients, momentum and their temporaries, what a batch leaves in
        each layer, and the largest of the gradients by that.
        """
        model, outputs = self._fresh(0, 0).eval(), []
        for layer in model.modules():
            if not [*layer.children()]:
                layer.register_forward_hook(lambda _, __, out: outputs.append(out.numel()))
        with torch.inference_mode():
            model(torch.as_tensor(dataset.x[:1]))
        numbers = min(n, self.recipe.batch_size) * (sum(outputs) + 2 * max(outputs))
        return 4 * COPIES_OF_WEIGHTS * _size(model) + (2 if self.recipe.precision == "bfloat16" else 4) * numbers


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """The share of the highest rate that step 0..steps-1 has: it rises along a line in the share `warmup` of the steps, then
    falls along one; never 0.
    """
    rising = (step + 1) / (warmup * steps) if warmup else 1.0
    return min(1.0, rising, (steps - step) / (steps - warmup * steps))


def _share(name: str, value: Any, *, open_low: bool = False) -> float:
    if checks.real(name, value, 0, open_low=open_low) >= 1:
        raise ValueError(f"{name} must be below 1, got {value}")
    return float(value)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@contextmanager
def _repeatable_convolutions() -> Iterator[None]:
    """Within the block, cuDNN takes only convolutions that give the same numbers each time."""
    before, torch.backends.cudnn.deterministic = torch.backends.cudnn.deterministic, True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
