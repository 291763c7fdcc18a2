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
from tqdm.std import tqdm

from mialib.core import cache, randomness
from mialib.core.types import BlackBox, Dataset
from mialib.training import keys, stacked
from mialib.training.black_boxes import EncodedBlackBox, TorchBlackBox
from mialib.training.recipe import Recipe, check_rows, choose_device
from mialib.training.session import check_finite

State = dict[str, np.ndarray]


class Task(NamedTuple):
    """Networks to train: row j of `rows` (k, n) is the training set of number first + j."""

    dataset: Dataset
    rows: np.ndarray
    seed: int
    first: int


class Engine(NamedTuple):
    """How networks of a task are trained: `size` together, in a thread of `pool`; each counts `steps` in the progress bar.

    train: the states of the networks in some of the rows, in order; InterruptedError soon after the event is set.
    """

    pool: ThreadPoolExecutor
    size: int
    steps: int
    train: Callable[[list[int], tqdm, threading.Event], Sequence[dict[str, Tensor]]]


class TorchTrainer:
    """Trains networks of one architecture. Those that are finished are kept on disk, and found again (see `core.cache`)."""

    unit = "epoch"  # of the progress bar

    def __init__(self, make_model: Callable[[], nn.Module], recipe: Recipe, device: str) -> None:
        if not isinstance(recipe, Recipe):
            raise TypeError(f"recipe must be a Recipe, got {type(recipe).__name__}")
        if isinstance(make_model, nn.Module) or not callable(make_model):
            raise TypeError(f"make_model must be a function that makes a new module, got {_a(make_model)}")
        self.make_model, self.recipe, self.device = make_model, recipe, choose_device(device)
        self._stackable = stacked.can_stack(self._fresh(0, 0))

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
        task = Task(dataset, check_rows(dataset, rows, first), seed, first)
        keys, plan = self.keys(dataset, task.rows, seed, first), self._fresh(seed, first)
        expected = {name: (tuple(value.shape), str(value.dtype)[6:]) for name, value in plan.state_dict().items()}
        check = partial(cache.expect, expected=expected)
        states = {j: state for j, key in enumerate(keys) if (state := cache.load("weights", key, check)) is not None}
        if missing := [j for j in range(len(keys)) if j not in states]:
            self._check_model(dataset)
            self._train_missing(task, missing, keys, states)
        plan = plan.to("meta") if self._stackable else plan  # of those, the state is all that differs
        models = (self._restored(plan, states[j], seed, first + j) for j in range(len(keys)))
        return [model if dataset.encoder is None else EncodedBlackBox(model, dataset.encoder) for model in models]

    def _settings(self) -> dict[str, Any]:
        return {"recipe": asdict(self.recipe)}

    def _engine(self, task: Task, k: int) -> AbstractContextManager[Engine]:
        """For k networks of the task."""
        raise NotImplementedError

    def _train_missing(self, task: Task, missing: list[int], keys: list[dict[str, Any]], states: dict[int, State]) -> None:
        """Train the networks in the rows `missing`, and put their states into `states`; each chunk is kept when it is done."""
        stop, record = threading.Event(), {"device": str(self.device), "torch": torch.__version__}

        def work(members: list[int]) -> None:
            for j, trained in zip(members, engine.train(members, bar, stop), strict=True):
                states[j] = {name: value.numpy() for name, value in trained.items()}
                check_finite(f"model {task.first + j}", states[j], self.recipe.lr)
                cache.save("weights", keys[j], states[j], **record)

        bar = tqdm(desc="training", unit=self.unit, leave=False)
        with bar, self._engine(task, len(missing)) as engine:
            bar.total = len(missing) * engine.steps
            chunks = [missing[start : start + engine.size] for start in range(0, len(missing), engine.size)]
            try:
                for job in as_completed([engine.pool.submit(work, chunk) for chunk in chunks]):
                    job.result()
            finally:
                stop.set()  # after an error or an interrupt, the other workers end at their next epoch

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
