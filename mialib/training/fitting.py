"""What the trainers of networks share: the device, fresh networks, their keys, and the loop that trains what is not kept."""

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mialib.core import cache, executors, progress, randomness
from mialib.core.executors import Work, Workers
from mialib.core.progress import Ticks
from mialib.core.types import BlackBox, Dataset
from mialib.training import keys, stacked
from mialib.training.black_boxes import EncodedBlackBox, TorchBlackBox
from mialib.training.recipe import Recipe, check_rows, choose_device
from mialib.training.session import check_finite

State = dict[str, np.ndarray]


class Task(NamedTuple):
    """Networks to train: row j of `rows` (k, n) is the training set of number numbers[j]."""

    dataset: Dataset
    rows: np.ndarray
    seed: int
    numbers: list[int]


class _Network(NamedTuple):
    """One of them, and what its state is kept under."""

    number: int
    rows: np.ndarray
    key: dict[str, Any]


class Engine(NamedTuple):
    """How networks of a task are trained: `size` together, in a thread of `pool`; each counts `steps` in the progress bar.

    train: the states of the networks in some of the rows, in order; InterruptedError soon after the event is set.
    """

    pool: ThreadPoolExecutor
    size: int
    steps: int
    train: Callable[[list[int], Ticks, threading.Event], Sequence[dict[str, Tensor]]]


class TorchTrainer:
    """Trains networks of one architecture. Those that are finished are kept on disk, and found again (see `core.cache`)."""

    def __init__(self, make_model: Callable[[], nn.Module], recipe: Recipe, device: str) -> None:
        if not isinstance(recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, got {type(recipe).__name__}")
        if isinstance(make_model, nn.Module) or not callable(make_model):
            raise TypeError(f"make_model must be a function that makes a new module, got {_a(make_model)}")
        self.make_model, self.recipe = make_model, recipe
        self.device, self._asked_device = choose_device(device), device
        self._stackable = stacked.can_stack(self._fresh(0, 0))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """On another machine, that one's device."""
        self.__dict__ |= state | {"device": choose_device(state["_asked_device"])}

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each network: stored data, rows, the module as make_model makes it, recipe, (seed, number), the code.

        Where networks can be stacked, the first one's state tells what make_model does, and torch's version does not count.
        """
        numbers = [0] if self._stackable else [first + j for j in range(len(rows))]
        models = (self._fresh(seed, number) for number in numbers)
        return keys.of_models(self, models, self._settings(), dataset, rows, seed, first, versions=not self._stackable)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one network a row of `rows` (k, n), or take it from the cache; in the order of the rows.

        FloatingPointError for a network whose loss or weights are not finite any more; it is not kept.
        """
        rows, plan = check_rows(dataset, rows, first), self._fresh(seed, first)
        keys = self.keys(dataset, rows, seed, first)
        expected = {name: (tuple(value.shape), str(value.dtype)[6:]) for name, value in plan.state_dict().items()}
        make = partial(self._states, dataset, seed)
        pieces = [_Network(first + j, row, key) for j, (row, key) in enumerate(zip(rows, keys, strict=True))]
        check, together = partial(cache.expect, expected=expected), partial(self.together, dataset)
        states = executors.finished(Work(pieces, make, "weights", keys, check, together, keeps=True, in_order=False))
        plan = plan.to("meta") if self._stackable else plan  # of those, the state is all that differs
        models = (self._restored(plan, state, seed, first + j) for j, state in enumerate(states))
        return [model if dataset.encoder is None else EncodedBlackBox(model, dataset.encoder) for model in models]

    def _settings(self) -> dict[str, Any]:
        return {"recipe": asdict(self.recipe)}

    def _engine(self, task: Task, k: int) -> AbstractContextManager[Engine]:
        """For k networks of the task."""
        raise NotImplementedError

    def together(self, dataset: Dataset, k: int, workers: Workers) -> int:
        """How many of k networks one of the workers of a cluster trains together."""
        return 1

    def _states(self, dataset: Dataset, seed: int, networks: Sequence[_Network]) -> list[State]:
        """Train networks; their states, in order. Each chunk of them is kept when it is done."""
        self._check_model(dataset)
        task = Task(dataset, np.stack([each.rows for each in networks]), seed, [each.number for each in networks])
        states: dict[int, State] = {}
        stop, record = threading.Event(), {"device": str(self.device), "torch": torch.__version__}

        def work(members: list[int]) -> None:
            for j, trained in zip(members, engine.train(members, bar, stop), strict=True):
                states[j] = {name: value.numpy() for name, value in trained.items()}
                check_finite(f"model {task.numbers[j]}", states[j], self.recipe.lr)
                cache.save("weights", networks[j].key, states[j], **record)

        rows = [*range(len(networks))]
        with self._engine(task, len(networks)) as engine:
            bar = progress.ticks(engine.steps)
            chunks = [rows[start : start + engine.size] for start in range(0, len(rows), engine.size)]
            try:
                for job in as_completed([engine.pool.submit(work, chunk) for chunk in chunks]):
                    job.result()
            finally:
                stop.set()  # after an error or an interrupt, the other workers end at their next epoch
        return [states[j] for j in rows]

    def _fresh(self, seed: int, number: int) -> nn.Module:
        with randomness.torch_seed(seed, "weights", number):
            module = self.make_model()
        if not isinstance(module, nn.Module):
            raise TypeError(f"make_model must return a torch.nn.Module, got {_a(module)}")
        return module

    def _restored(self, plan: nn.Module, state: State, seed: int, number: int) -> TorchBlackBox:
        model = copy.deepcopy(plan) if self._stackable else self._fresh(seed, number)
        model.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()}, assign=self._stackable)
        return TorchBlackBox(model.to(self.device))

    def _check_model(self, dataset: Dataset) -> None:
        """ValueError unless make_model's modules take the records of the data set, and answer a logit a class."""
        some = torch.as_tensor(dataset.x[:2])
        wanted = f"make_model must answer (n, {dataset.n_classes}) logits for {dataset.name}"
        try:
            with torch.inference_mode():
                answer = self._fresh(0, 0).eval()(some)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{wanted}, but cannot take records {some.dtype} {tuple(some.shape)}: {error}") from error
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else _a(answer)
        if shape != (len(some), dataset.n_classes):
            raise ValueError(f"{wanted}, got shape {shape} for n = {len(some)}")


def _a(value: Any) -> str:
    """A wrong value, for an error message."""
    return f"a module, {type(value).__name__}" if isinstance(value, nn.Module) else f"{value!r:.80}"
