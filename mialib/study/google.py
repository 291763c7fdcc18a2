"""A surrogate of the Google Prediction API: what it chooses among, and how.

A network is preferred; instead of it, records of at most 1,024 bits get a kernel machine, and all others softmax regression,
where that is clearly better on held-out records. Everything depends on a model's own records and on (seed, its number) alone.

All constants were chosen by the accuracies of Table II and the histograms of Fig. 12 (see `study.amazon`), or by cost; none
by the outcome of an attack.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mialib.core import checks, executors, progress, randomness
from mialib.core.executors import Work, Workers
from mialib.core.threads import one_a_core
from mialib.core.types import BlackBox, Dataset
from mialib.training import keys, stacked
from mialib.training.black_boxes import black_box
from mialib.training.networks import Records, mlp
from mialib.training.recipe import Estimate, Recipe, check_rows
from mialib.training.session import Session
from mialib.training.sparse import SPARSE_IN_TRAINING, SparseBits, is_sparse

Ask = Callable[[np.ndarray], np.ndarray]  # records (n, d) as trained on, to answers (n, n_classes)


class Learner(NamedTuple):
    """A model to be: its records x (n, ...), their classes y (n,), and its number."""

    x: np.ndarray
    y: np.ndarray
    number: int


Learn = Callable[[Sequence[Learner], int, int], Iterable[Ask]]  # of as many records each, the number of classes, the seed
MOST_BITS, MOST_RECORDS = 1024, 20_000  # beyond, a kernel machine takes minutes and gigabytes
TRIED_ON = 5000  # records, a fifth of them held out
CLEARLY = 0.025  # of held-out accuracy: less would make the models of one experiment differ in kind, by chance
NETWORK_RECIPE = Recipe(epochs=25, batch_size=50, lr=0.125, lr_decay=0.0, l2=1e-4, optimizer="sgd")
RIDGE, LEAST_SCORE, POWER = 0.3, 0.01, 1.5
LONGEST = 100.0  # mean squared length of a record, beyond which the network's rate is too high
TOGETHER, NUMBERS_TOGETHER = 4, 2**26  # models that a core trains together, at most, and numbers of all their records


def learn(learners: Sequence[Learner], n_classes: int, seed: int) -> list[Ask]:
    """Models of raw records, of as many each: functions from raw records to answers float64 (m, n_classes).

    Networks are trained as one stack; what each becomes depends on its own records and number alone.
    """
    preparations = [_preparation(each.x) for each in learners]
    learners = [each._replace(x=prepare(each.x)) for each, prepare in zip(learners, preparations, strict=True)]
    families: dict[int, Learn] = {}
    for candidates, places in _groups(tuple(offered(each.x)) for each in learners):
        families |= zip(places, choose(candidates, [learners[i] for i in places], n_classes, seed), strict=True)
    asks: dict[int, Ask] = {}
    for family, places in _groups(families[i] for i in range(len(learners))):
        asks |= zip(places, family([learners[i] for i in places], n_classes, seed), strict=True)
    return [partial(_ask_raw, prepare, asks[i]) for i, prepare in enumerate(preparations)]


def _ask_raw(prepare: Ask, ask: Ask, asked: np.ndarray) -> np.ndarray:
    return ask(prepare(asked))


def _groups(keys: Iterable[Hashable]) -> Iterator[tuple[Any, list[int]]]:
    """Each key, and its places among `keys`."""
    places: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    yield from places.items()


def offered(x: np.ndarray) -> list[Learn]:
    """The families for prepared records x (n, d), the preferred one first."""
    return [network, kernel_machine if few_bits(x) else softmax_regression]


def few_bits(x: np.ndarray) -> bool:
    """Whether records x (n, ...) are bits, and a kernel machine on them is cheap enough."""
    bits = x.dtype == np.uint8 and x.ndim == 2 and x.max() <= 1
    return bool(bits and x.shape[1] <= MOST_BITS and len(x) <= MOST_RECORDS)


def choose(candidates: Sequence[Learn], learners: Sequence[Learner], n_classes: int, seed: int) -> list[Learn]:
    """For each learner the candidate that `taken` names by its held-out accuracy; the first where none can be held out."""
    if len(learners[0].x) < 5:
        return [candidates[0]] * len(learners)
    return [candidates[taken(row)] for row in held_out_accuracies(candidates, learners, n_classes, seed)]


def taken(accuracies: Sequence[float]) -> int:
    """Which candidate is taken: the one of the best held-out accuracy, an earlier one unless a later one is better by more
    than CLEARLY.
    """
    best = 0
    for i, accuracy in enumerate(accuracies):
        if accuracy > accuracies[best] + CLEARLY:
            best = i
    return best


def held_out_accuracies(
    candidates: Sequence[Learn], learners: Sequence[Learner], n_classes: int, seed: int
) -> list[list[float]]:
    """For each learner, of as many records each, what its candidates are compared by: the accuracy of each on a fifth of at
    most TRIED_ON of the learner's records, trained on the rest of these. A learner has five records or more.
    """
    orders = [randomness.generator(seed, "held out", each.number).permutation(len(each.x))[:TRIED_ON] for each in learners]
    n_kept = len(orders[0]) - len(orders[0]) // 5
    kept = [Learner(each.x[o[:n_kept]], each.y[o[:n_kept]], each.number) for each, o in zip(learners, orders, strict=True)]
    accuracies: list[list[float]] = [[] for _ in learners]
    for candidate in candidates:
        for i, ask in enumerate(candidate(kept, n_classes, seed)):
            held = orders[i][n_kept:]
            accuracies[i].append(float((ask(learners[i].x[held]).argmax(1) == learners[i].y[held]).mean()))
    return accuracies


def _preparation(x: np.ndarray) -> Ask:
    """To flat records: bits as they are; pixels and columns of tables to about 0..1, by the range seen; none too long."""
    flat = x.reshape(len(x), -1)
    if x.dtype == np.uint8 and x.ndim == 2 and x.max() <= 1:
        return lambda asked: asked
    low = flat.min(0) if x.dtype == np.float32 else np.zeros(1, np.float32)
    width = flat.max(0) - low if x.dtype == np.float32 else np.full(1, 255, np.float32)
    width = np.where(width > 0, width, 1)
    length = ((((flat - low) / width) ** 2).sum(1)).mean()
    factor = np.float32(min(1.0, np.sqrt(LONGEST / max(length, 1e-9))))
    return lambda asked: ((asked.reshape(len(asked), -1) - low) / width * factor).astype(np.float32)


def network(learners: Sequence[Learner], n_classes: int, seed: int) -> list[Ask]:
    """One hidden layer of 128 Tanh units, few epochs of SGD."""
    return _descent(partial(mlp, learners[0].x.shape[1], n_classes), learners, seed)  # type: ignore[arg-type]


def softmax_regression(learners: Sequence[Learner], n_classes: int, seed: int) -> list[Ask]:
    """No hidden layer, trained as the network is."""
    width = learners[0].x.shape[1]
    return _descent(lambda: nn.Sequential(Records(), nn.Linear(width, n_classes)), learners, seed)


def _descent(make_model: Callable[[], nn.Sequential], learners: Sequence[Learner], seed: int) -> list[Ask]:
    asks: dict[int, Ask] = {}
    for sparse, places in _groups(is_sparse(each.x, SPARSE_IN_TRAINING) for each in learners):
        asks |= zip(places, _stacked(make_model, [learners[i] for i in places], seed, sparse), strict=True)
    return [asks[i] for i in range(len(learners))]


def _stacked(make_model: Callable[[], nn.Sequential], learners: Sequence[Learner], seed: int, sparse: bool) -> list[Ask]:
    models, numbers = [], [each.number for each in learners]
    for number in numbers:
        with randomness.torch_seed(seed, "weights", number):
            models.append(make_model())
    x, y = (np.concatenate(part) for part in zip(*((each.x, each.y) for each in learners), strict=True))
    stack = stacked.make_stack(models, torch.device("cpu"), (), NETWORK_RECIPE.precision, sparse)
    orders = [randomness.torch_generator(seed, "order", number) for number in numbers]
    rows = torch.arange(len(x)).view(len(learners), -1)
    session = Session(stack, NETWORK_RECIPE, SparseBits(x) if sparse else torch.as_tensor(x), torch.as_tensor(y), rows, orders)
    for model, state in zip(models, session.run(progress.SILENT, threading.Event(), numbers), strict=True):
        model.load_state_dict(state)
    return [black_box(model).predict_proba for model in models]


def kernel_machine(learners: Sequence[Learner], n_classes: int, seed: int) -> Iterator[Ask]:
    """Regularised least squares on indicators of the classes, with the kernel exp(-d^2 / mean d^2) of records of bits.

    Answers are the classes' shares of the powers of the scores, negative ones counting nothing. Machines are made one by one,
    as they are taken: their kernels together would fill the memory.
    """
    return (_kernel_machine(each, n_classes) for each in learners)


def _kernel_machine(learner: Learner, n_classes: int) -> Ask:
    records = torch.as_tensor(learner.x).float()
    distances = squared_distances(records, records)
    mean = max(float(distances.mean()), 1e-9)
    kernel = distances.div_(-mean).exp_()
    kernel.diagonal().add_(RIDGE)
    indicators = nn.functional.one_hot(torch.as_tensor(learner.y), n_classes).float()
    weights = torch.cholesky_solve(indicators, torch.linalg.cholesky(kernel))
    del kernel, distances

    def ask(asked: np.ndarray) -> np.ndarray:
        rows = max(1, 2**24 // len(records))
        parts = torch.as_tensor(asked).split(rows)
        scores = torch.cat([squared_distances(part.float(), records).div_(-mean).exp_() @ weights for part in parts])
        powers = (scores.clamp_(min=0).double() + LEAST_SCORE) ** POWER
        return (powers / powers.sum(1, keepdim=True)).numpy()

    return ask


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances of records a (n, d) to records b (m, d): (n, m)."""
    squares = torch.addmm((b**2).sum(1), a, b.T, alpha=-2)
    return squares.add_((a**2).sum(1)[:, None]).clamp_(min=0)


class PredictionAPI:
    """Trainer: a surrogate of the Google Prediction API, a service without settings whose type of model is not known.

    It tries its families of models on held-out records of a model's own training set, takes one, and trains that on all.
    What it took shows in the answers alone. Models are trained on the CPU, some together on each core.
    """

    @property
    def at_once(self) -> int:
        """Models in work before their answers are kept."""
        return TOGETHER * torch.get_num_threads()

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each model: stored data, rows, (seed, number) and the code that trains."""
        return keys.of_models(self, [None], {}, dataset, rows, seed, first, versions=False)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one model a row of `rows` (k, n), in the order of the rows."""
        rows = check_rows(dataset, rows)
        checks.whole("first", first, 0)
        randomness.derive(seed)

        jobs = [(first + j, row) for j, row in enumerate(rows)]
        together = partial(self.together, dataset)
        return executors.finished(Work(jobs, partial(_chosen_models, dataset, seed), together=together, in_order=False))

    def together(self, dataset: Dataset, k: int, workers: Workers) -> int:
        """How many of k models one of the workers of a cluster trains together."""
        return workers.share(k, TOGETHER)

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k models on n records each, and their answers, would take here, to a factor of about two;
        from a short trial of which nothing is kept.
        """
        checks.whole("n", n, 1, len(dataset.x), "the records of the data set")
        few, cores = min(n, 1000), min(torch.get_num_threads(), checks.whole("k", k, 1))
        size = _stack_size(dataset.x[:1].size * n, k)
        rows = np.linspace(0, len(dataset.x) - 1, 2 * few).astype(np.int64)
        start = time.perf_counter()
        for model in _learned(dataset, 0, [(j, rows[::2]) for j in range(size)]):
            model.predict_proba(dataset.x[rows])
        seconds = (time.perf_counter() - start) * n / few * k / size / min(cores, -(-k // size))
        record = dataset.x[:1].size
        squared = 8 * n * n if few_bits(dataset.x[rows]) and n <= MOST_RECORDS else 0
        return Estimate(k, seconds, (cores * squared + 8 * n * record * min(k, self.at_once)) / 1e6)


def _chosen_models(dataset: Dataset, seed: int, jobs: Sequence[tuple[int, np.ndarray]]) -> list["ChosenModel"]:
    """Models by number and rows, some together on each core."""
    size = _stack_size(dataset.x[:1].size * len(jobs[0][1]), len(jobs))
    parts = [[jobs[i] for i in range(start, min(start + size, len(jobs)))] for start in range(0, len(jobs), size)]
    bar, made = progress.ticks(1), []
    with one_a_core(len(parts)) as (pool, _):
        for part, learned in zip(parts, [pool.submit(_learned, dataset, seed, part) for part in parts]):
            made += learned.result()
            bar.update(len(part))
    return made


def _stack_size(numbers: int, k: int) -> int:
    """Models that a core trains together, of k with so many numbers in their records each."""
    return max(1, min(-(-k // torch.get_num_threads()), TOGETHER, NUMBERS_TOGETHER // numbers))


def _learned(dataset: Dataset, seed: int, jobs: Sequence[tuple[int, np.ndarray]]) -> list["ChosenModel"]:
    learners = [Learner(dataset.x[row], dataset.y[row], number) for number, row in jobs]
    asks = learn(learners, dataset.n_classes, seed)
    return [ChosenModel(ask, dataset.x.shape[1:], dataset.n_classes) for ask in asks]


class ChosenModel:
    """A model of the surrogate behind `predict_proba`, of whatever family was chosen."""

    def __init__(self, ask: Ask, shape: tuple[int, ...], n_classes: int) -> None:
        self._ask, self._shape, self._n_classes = ask, shape, n_classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes), of raw records x (n, ...)."""
        x = np.asarray(x)
        if x.shape[1:] != self._shape or x.ndim != len(self._shape) + 1:
            raise ValueError(f"x must be records of shape {self._shape}, got an array of shape {x.shape}")
        if not np.issubdtype(x.dtype, np.number) or not np.isfinite(x).all():
            raise ValueError(f"x must be finite numbers, got {x.dtype}")
        if not len(x):
            return np.empty((0, self._n_classes), np.float32)
        answers = np.asarray(self._ask(x), np.float64)
        return (answers / answers.sum(1, keepdims=True)).astype(np.float32)


BIT_FAMILIES: dict[str, Learn] = {"network": network, "kernel machine": kernel_machine}  # the preferred one first


@dataclass(frozen=True)
class FixedFamily:
    """Trainer: the surrogate of Google's service with its family given, "network" or "kernel machine"; for records of bits.

    Raises ValueError for another family, and for records that the surrogate does not offer a kernel machine.
    """

    family: str

    def __post_init__(self) -> None:
        checks.choice("family", self.family, BIT_FAMILIES)

    @property
    def at_once(self) -> int:
        """Models in work before their answers are kept."""
        return TOGETHER

    def keys(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[dict[str, Any]]:
        """What determines each model: stored data, rows, the family, (seed, number) and the code that trains."""
        return keys.of_models(self, [None], {"family": self.family}, dataset, rows, seed, first, versions=False)

    def fit_many(self, dataset: Dataset, rows: np.ndarray, seed: int, first: int = 0) -> list[BlackBox]:
        """Train one model a row of `rows` (k, n), in the order of the rows."""
        rows = check_rows(dataset, rows)
        learners = learners_of(dataset, rows, checks.whole("first", first, 0))
        asks = BIT_FAMILIES[self.family](learners, dataset.n_classes, seed)
        return [ChosenModel(ask, dataset.x.shape[1:], dataset.n_classes) for ask in asks]

    def estimate(self, dataset: Dataset, n: int, k: int) -> Estimate:
        """Time and memory that k models on n records each would take here: no more than the surrogate, which tries both."""
        return PredictionAPI().estimate(dataset, n, k)


def learners_of(dataset: Dataset, rows: np.ndarray, first: int = 0) -> list[Learner]:
    """Learners of the rows (k, n) of a data set of bits; ValueError where no kernel machine is offered for its records."""
    if not few_bits(dataset.x[rows[0]]):
        raise ValueError(
            f"dataset must hold records of at most {MOST_BITS} bits, and a model at most {MOST_RECORDS} of them, "
            f"got {dataset.x.dtype} {dataset.x.shape[1:]} and {rows.shape[1]}"
        )
    return [Learner(dataset.x[row], dataset.y[row], first + j) for j, row in enumerate(rows)]
