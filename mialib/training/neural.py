"""Trainers: one recipe, many models. Target and shadows are "trained in a similar way" because one trainer makes both."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from mialib.core import checks, randomness
from mialib.core.executors import Workers, trains_whole_stacks
from mialib.core.progress import Ticks
from mialib.core.threads import compute_on, one_a_core
from mialib.core.types import Dataset
from mialib.training import stacked
from mialib.training.fitting import Engine, Task, TorchTrainer
from mialib.training.recipe import Estimate, Recipe
from mialib.training.session import Session
from mialib.training.sparse import SPARSE_IN_TRAINING, SparseBits, is_sparse

log = logging.getLogger(__name__)

SECONDS_IN_WORK = 120  # a chunk of models takes about this long at most, so that no interrupt costs more
TRIAL_STEPS = 3
TRIAL_STEPS_OF_A_GPU = 32  # in one epoch: there it is epochs that wait for one another's end, not steps
SLOW_CORE = 2e9  # operations a second
ON_ONE_CORE = 5  # networks that one core trains together: more gain nothing, and leave its cache
COPIES = 5  # weights, gradients, two moments of Adam, and room for temporaries
Material = tuple[Tensor | SparseBits, Tensor]  # records and classes, as a stack takes them


class _Kind(NamedTuple):
    """What of an architecture decides how it is trained."""

    stackable: bool
    dense: bool
    convolutional: bool
    n_parameters: int

    @classmethod
    def of(cls, module: nn.Module) -> "_Kind":
        stackable = stacked.can_stack(module)
        convolutional = any(isinstance(layer, nn.Conv2d) for layer in module.modules())
        n_parameters = sum(p.numel() for p in module.parameters())
        return cls(stackable, stackable and stacked.is_dense(module), convolutional, n_parameters)


class NeuralTrainer(TorchTrainer):
    """Trains k networks of one architecture together, as one stack.

    Parameters
    ----------
    make_model: a factory of a torch module that maps raw records (n, ...) to logits (n, n_classes).
    recipe: how each network is trained; each has weights, batch order and dropout from (seed, its number) alone.
    device: "auto" (CUDA if there is one), or a torch device.
    chunk: networks trained at once, at most; None fits it to the device's free memory and to two minutes of work.

    A module that cannot be stacked (anything but a plain `nn.Sequential` of the layers in `training.stacked`) is trained alone,
    and a message says so. Finished networks are kept on disk, and found again (see `core.cache`).
    """

    def __init__(
        self, make_model: Callable[[], nn.Module], recipe: Recipe, device: str = "auto", *, chunk: int | None = None
    ) -> None:
        super().__init__(make_model, recipe, device)
        self.chunk = chunk if chunk is None else checks.whole("chunk", chunk, 1)
        self._kind = _Kind.of(self._fresh(0, 0))

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k networks on n records each would take here, from a short trial; nothing is kept.

        Networks that are in the cache already are not left out of the count, nor epochs after which a network might stop.
        """
        checks.instance("dataset", dataset, Dataset)
        checks.whole("n", n, 1, len(dataset.x), "the records of the data set")
        super()._check_model(dataset)
        chunk = self._chunk_size(checks.whole("k", k, 1), dataset)
        with self._workers(-(-k // chunk)) as (pool, n_workers):
            seconds = self._chunk_seconds(self._material(dataset), n, chunk, pool, n_workers)
        memory = n_workers * chunk * self._bytes(dataset) + k * 4 * self._kind.n_parameters
        return Estimate(k, seconds * -(-k // chunk // n_workers), memory / 1e6)

    def together(self, dataset: Dataset, k: int, workers: Workers) -> int:
        """How many of k networks one of the workers trains as a stack: from their numbers alone, so that stacks do not depend
        on the hour.
        """
        kind = self._kind
        if not kind.stackable or (kind.convolutional and workers.device == "cpu"):
            return 1
        room = k if workers.memory is None else workers.memory // 2 // self._bytes(dataset)
        most = max(1, min(k, self.chunk or k, room, ON_ONE_CORE if workers.device == "cpu" else k))
        return workers.share(k, most)

    def _check_model(self, dataset: Dataset) -> None:
        super()._check_model(dataset)
        if not self._kind.stackable:
            log.warning("%s cannot be stacked: its networks are trained one after another", type(self._fresh(0, 0)).__name__)

    def _bytes(self, dataset: Dataset) -> int:
        """Memory that one network takes in training: parameters and their copies, and what a batch leaves in each layer."""
        model, outputs = self._fresh(0, 0), []
        for layer in model.modules():
            layer.register_forward_hook(lambda _, __, out: outputs.append(out.numel()))
        with torch.inference_mode():
            model.eval()(torch.as_tensor(dataset.x[:1]))
        return 4 * (COPIES * self._kind.n_parameters + 2 * self.recipe.batch_size * sum(outputs))

    def _chunk_size(self, k: int, dataset: Dataset) -> int:
        """Networks in a stack: few on a core, and convolutions gain nothing from others there; on a GPU, what memory allows."""
        kind = self._kind
        if not kind.stackable or (kind.convolutional and self.device.type == "cpu"):
            return 1
        if self.device.type == "cpu":
            cores = torch.get_num_threads()
            k = -(-k // (cores * -(-k // (cores * ON_ONE_CORE))))
        return max(1, min(k, self.chunk or k, _free_bytes(self.device) // 2 // self._bytes(dataset)))

    def _chunk_seconds(self, material: Material, n: int, size: int, pool: ThreadPoolExecutor, n_workers: int) -> float:
        """What `size` networks on n records take, all workers being busy."""
        batch = min(self.recipe.batch_size, n)
        steps, epochs = (TRIAL_STEPS_OF_A_GPU, 1) if self.device.type == "cuda" else (1, TRIAL_STEPS)
        rows = np.random.default_rng(0).integers(0, len(material[1]), (size, steps * batch))

        def trial() -> float:
            session = self._session(material, rows, 0, list(range(size)))
            session.epoch().tolist()
            start = time.perf_counter()
            for _ in range(epochs):
                session.epoch().tolist()  # a GPU has only begun an epoch when it returns
            return (time.perf_counter() - start) / (steps * epochs)

        trials = [pool.submit(trial) for _ in range(n_workers)]
        return max(t.result() for t in trials) * n / batch * self.recipe.epochs

    @contextmanager
    def _engine(self, task: Task, k: int) -> Iterator[Engine]:
        material, n, cores = self._material(task.dataset), task.rows.shape[1], torch.get_num_threads()
        whole = trains_whole_stacks() and self._kind.stackable
        size = k if whole else self._chunk_size(k, task.dataset)
        with self._workers(-(-k // size)) as (pool, n_workers):
            if size > 1 and not whole and self.chunk is None and self._may_be_long(n, size):
                seconds = self._chunk_seconds(material, n, size, pool, n_workers)
                size = max(1, min(size, int(size * SECONDS_IN_WORK / seconds)))
            last = k % n_workers if self._kind.convolutional and size == 1 else 0  # fewer than cores: they share all of them

            def train(members: list[int], bar: Ticks, stop: threading.Event) -> list[dict[str, Tensor]]:
                numbers = [task.numbers[j] for j in members]
                among = last if members[0] >= k - last else n_workers
                compute_on(cores // among)
                with self._alone_random(task.seed, numbers[0]):
                    return self._session(material, task.rows[members], task.seed, numbers).run(bar, stop, numbers)

            yield Engine(pool, size, self.recipe.epochs, train)

    def _may_be_long(self, n: int, size: int) -> bool:
        """Whether a stack could take longer than it may, even at the rate of a very slow core."""
        operations = 6.0 * self._kind.n_parameters * n * self.recipe.epochs * size
        return self._kind.convolutional or operations > SLOW_CORE * SECONDS_IN_WORK

    def _material(self, dataset: Dataset) -> Material:
        """Records and classes where the training is: on the CPU, mostly empty records by their ones."""
        y = torch.as_tensor(dataset.y).to(self.device)
        dense = self.device.type != "cpu" or not self._kind.dense or self.recipe.precision != "float32"
        if dense or not is_sparse(dataset.x, SPARSE_IN_TRAINING):
            return torch.as_tensor(dataset.x).to(self.device), y
        return SparseBits(dataset.x), y

    def _session(self, material: Material, rows: np.ndarray, seed: int, numbers: list[int]) -> Session:
        fresh = [self._fresh(seed, number) for number in numbers]
        orders = [randomness.torch_generator(seed, "order", number) for number in numbers]
        dropout = [randomness.torch_generator(seed, "dropout", number) for number in numbers]
        stack = stacked.make_stack(fresh, self.device, dropout, self.recipe.precision, isinstance(material[0], SparseBits))
        return Session(stack, self.recipe, *material, torch.as_tensor(rows), orders)

    def _alone_random(self, seed: int, number: int) -> AbstractContextManager[None]:
        """A module trained alone draws its dropout from torch's global generator; a stack has generators of its own."""
        devices = [self.device] if self.device.type == "cuda" else []
        return nullcontext() if self._kind.stackable else randomness.torch_seed(seed, "dropout", number, devices=devices)

    def _workers(self, chunks: int) -> AbstractContextManager[tuple[ThreadPoolExecutor, int]]:
        return one_a_core(chunks if self.device.type == "cpu" and self._kind.stackable else 1)


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
