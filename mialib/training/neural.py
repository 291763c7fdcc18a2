"""Trainers: one recipe, many models. Target and shadows are "trained in a similar way" because one trainer makes both."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from tqdm.std import tqdm

from mialib.core import cache, checks, randomness
from mialib.core.threads import one_a_core
from mialib.core.types import BlackBox, Dataset
from mialib.training import networks, session, sparse, stacked
from mialib.training.black_boxes import black_box
from mialib.training.recipe import Estimate, Recipe, _own_classes, check_rows, numbered
from mialib.training.session import Session
from mialib.training.sparse import SparseBits, is_sparse

log = logging.getLogger(__name__)

SECONDS_IN_WORK = 120  # a chunk of models takes about this long at most, so that no interrupt costs more
TRIAL_STEPS = 3
SLOW_CORE = 2e9  # operations a second
ON_ONE_CORE = 10  # networks that one core trains together: more gain nothing, and leave its cache
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


class NeuralTrainer:
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
        if not isinstance(recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, got {type(recipe).__name__}")
        self.make_model, self.recipe = make_model, recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else torch.device(device)
        self.chunk = chunk if chunk is None else checks.whole("chunk", chunk, 1)
        self._kind = _Kind.of(self._fresh(0, 0))

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each network: stored data, rows, architecture, recipe, (seed, number) and the code that trains."""
        model = self._fresh(seed, first)
        shared = {
            "data": cache.digest(dataset.x, dataset.y),
            "architecture": repr(model),
            "shapes": {name: list(p.shape) for name, p in model.named_parameters()},
            "recipe": asdict(self.recipe),
            "code": cache.code_digest(
                sparse, stacked, networks, session, randomness, Recipe, NeuralTrainer, *_own_classes(model)
            ),
            "seed": int(seed),
        }
        return numbered(shared, rows, first)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one network a row of `rows` (k, n), or take it from the cache; in the order of the rows."""
        rows = check_rows(dataset, rows, first)
        keys = self.keys(dataset, rows, seed, first)
        states = [cache.load("weights", key) for key in keys]
        missing = [j for j, state in enumerate(states) if state is None]
        if missing:
            self._check_model(dataset, seed)
            self._train_missing(dataset, rows, seed, first, missing, keys, states)
        return [black_box(self._restore(state, seed, first + j)) for j, state in enumerate(states) if state is not None]

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k networks on n records each would take here, from a short trial; nothing is kept.

        Networks that are in the cache already are not left out of the count.
        """
        checks.instance("dataset", dataset, Dataset)
        checks.whole("n", n, 1, len(dataset.x), "the records of the data set")
        chunk = self._chunk_size(checks.whole("k", k, 1), dataset)
        with self._workers(-(-k // chunk)) as (pool, n_workers):
            seconds = self._chunk_seconds(self._material(dataset), n, chunk, pool, n_workers)
        memory = n_workers * chunk * self._bytes(dataset) + k * 4 * self._kind.n_parameters
        return Estimate(k, seconds * -(-k // chunk // n_workers), memory / 1e6)

    def _fresh(self, seed: int, number: int) -> nn.Module:
        with randomness.torch_seed(seed, "weights", number):
            return self.make_model()

    def _restore(self, state: dict[str, np.ndarray], seed: int, number: int) -> nn.Module:
        model = self._fresh(seed, number)
        model.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
        return model.to(self.device)

    def _check_model(self, dataset: Dataset, seed: int) -> None:
        model = self._fresh(seed, 0).eval()
        with torch.inference_mode():
            shape = tuple(model(torch.as_tensor(dataset.x[:2])).shape)
        if shape != (min(2, len(dataset.x)), dataset.n_classes):
            raise ValueError(
                f"make_model must answer (n, {dataset.n_classes}) logits for {dataset.name}, got shape {shape} for n = 2"
            )
        if not self._kind.stackable:
            log.warning("%s cannot be stacked: its networks are trained one after another", type(model).__name__)

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
        rows = np.random.default_rng(0).integers(0, len(material[1]), (size, batch))

        def trial() -> float:
            session = self._session(material, rows, 0, list(range(size)))
            session.epoch()
            start = time.perf_counter()
            for _ in range(TRIAL_STEPS):
                session.epoch()
            return (time.perf_counter() - start) / TRIAL_STEPS

        trials = [pool.submit(trial) for _ in range(n_workers)]
        return max(t.result() for t in trials) * n / batch * self.recipe.epochs

    def _train_missing(self, dataset, rows, seed, first, missing, keys, states) -> None:  # type: ignore[no-untyped-def]
        material, stop = self._material(dataset), threading.Event()

        def work(members: list[int]) -> None:
            numbers = [first + j for j in members]
            with self._alone_random(seed, numbers[0]):
                trained = self._session(material, rows[members], seed, numbers).run(bar, stop)
            for j, state in zip(members, trained, strict=True):
                states[j] = {name: value.numpy() for name, value in state.items()}
                cache.save("weights", keys[j], states[j], device=str(self.device), torch=torch.__version__)

        size = self._chunk_size(len(missing), dataset)
        bar = tqdm(total=len(missing) * self.recipe.epochs, desc="training", unit="epoch", leave=False)
        with bar, self._workers(-(-len(missing) // size)) as (pool, n_workers):
            if size > 1 and self.chunk is None and self._may_be_long(rows.shape[1], size):
                seconds = self._chunk_seconds(material, rows.shape[1], size, pool, n_workers)
                size = max(1, min(size, int(size * SECONDS_IN_WORK / seconds)))
            try:
                jobs = [pool.submit(work, missing[start : start + size]) for start in range(0, len(missing), size)]
                for job in as_completed(jobs):
                    job.result()
            finally:
                stop.set()  # after an error or an interrupt, the other workers end at their next epoch

    def _may_be_long(self, n: int, size: int) -> bool:
        """Whether a stack could take longer than it may, even at the rate of a very slow core."""
        operations = 6.0 * self._kind.n_parameters * n * self.recipe.epochs * size
        return self._kind.convolutional or operations > SLOW_CORE * SECONDS_IN_WORK

    def _material(self, dataset: Dataset) -> Material:
        """Records and classes where the training is: on the CPU, mostly empty records by their ones."""
        y = torch.as_tensor(dataset.y).to(self.device)
        dense = self.device.type != "cpu" or not self._kind.dense or self.recipe.precision != "float32"
        if dense or not is_sparse(dataset.x):
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
