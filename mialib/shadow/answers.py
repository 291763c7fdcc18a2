"""Shadow models' answers on their members and non-members, and any other model's: what attacks see (Sec. V-B)."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mialib.core import cache, checks, executors
from mialib.core.executors import Work, Workers
from mialib.core.types import AttackData, BlackBox, Dataset, Split, Trainer, check_answers

Filter = Callable[[np.ndarray], np.ndarray]

FAR_BETTER = 0.25  # of balanced accuracy on members: an order of columns that much better is no accident
DEVIATIONS = 4.0  # of a sign test on records of which one order alone is right


def query(
    model: BlackBox, dataset: Dataset, split: Split, mitigation: Filter | None = None, *, timeout: float | None = None
) -> AttackData:
    """Query `model` on the members and non-members of `split`: the one place where answers become attack data.

    The answers must be probabilities, finite and (n, n_classes), with rows that sum to one within 1e-3. They are put in the
    order of the labels where the model has `classes_` (labels 0..n_classes-1, or those of `dataset.classes`); a model without,
    whose answers fit its members far better in another order of columns, is refused. All this comes before `mitigation`, if
    any, is applied; what that returns must have the same shape and lie in [0, 1]. timeout: seconds that the model may take.
    Raises TypeError, ValueError, or TimeoutError.
    """
    checks.instance("dataset", dataset, Dataset)
    checks.instance("split", split, Split)
    _check_model(model)
    rows = split.rows
    if rows.max() >= len(dataset.y):
        raise ValueError(f"split must hold rows of the data set, 0..{len(dataset.y) - 1}, got {rows.max()}")
    answers = checked_answers(
        model, dataset, _answer_within(model, dataset.records(rows), timeout), split.member, dataset.y[rows]
    )
    return AttackData(_mitigated(answers, mitigation), dataset.y[rows], split.member)


def checked_answers(model: BlackBox, dataset: Dataset, answers: Any, member: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a model answered to n records, as float32 (n, n_classes): checked, and in the order of the labels (see `query`)."""
    known = getattr(model, "classes_", None)
    answers = check_answers(in_order_of_labels(known, dataset, answers), len(labels), dataset.n_classes)
    if known is None:
        check_order(answers[member], labels[member])
    return answers


def _check_model(model: Any) -> None:
    if callable(getattr(model, "predict_proba", None)):
        return
    torch_module = any(cls.__module__.startswith("torch.") for cls in type(model).__mro__)
    hint = ": wrap it, mialib.black_box(module)" if torch_module else ""
    raise TypeError(f"model must have predict_proba, got a {type(model).__name__}{hint}")


def _answer_within(model: BlackBox, x: np.ndarray, timeout: float | None) -> Any:
    """What the model answers; TimeoutError after `timeout` seconds, the call being left to itself."""
    if timeout is None:
        return model.predict_proba(x)
    checks.real("timeout", timeout, 0, open_low=True)
    heard: dict[str, Any] = {}

    def ask() -> None:
        try:
            heard["answers"] = model.predict_proba(x)
        except BaseException as error:
            heard["error"] = error

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout)
    if asking.is_alive():
        raise TimeoutError(f"model gave no answer for {len(x)} records within timeout = {timeout:g} s")
    if "error" in heard:
        raise heard["error"]
    return heard["answers"]


def in_order_of_labels(known: Any, dataset: Dataset, answers: Any) -> Any:
    """Column c for class c of the data set. known: a model's `classes_`, if it has any; classes that it lacks get 0."""
    if known is None:
        return answers
    known, answers = checks.array("model.classes_", known).tolist(), checks.array("predict_proba's answer", answers)
    place = {label: c for c, label in enumerate(dataset.names)}
    strange = [label for label in known if isinstance(label, list) or label not in place]
    if strange:
        raise ValueError(
            f"model.classes_ must be labels of {dataset.name}, {[*place][:5]} …, got {strange[:5]}: "
            "say which label each class of y is, Dataset(…, classes=[…])"
        )
    if answers.ndim != 2 or answers.shape[1] != len(known):
        raise ValueError(f"predict_proba must answer a column for each of {len(known)} classes_, got shape {answers.shape}")
    ordered = np.zeros((len(answers), dataset.n_classes), answers.dtype)
    ordered[:, [place[label] for label in known]] = answers
    return ordered


def check_order(answers: np.ndarray, labels: np.ndarray) -> None:
    """Refuse answers on members that fit their labels far better with the columns in another order.

    The order is chosen on a random half of the members and judged on the others. There it must beat both the columns as they
    are and the best constant answer, in balanced accuracy, so that neither chance nor skewed classes look like another order.
    """
    n_classes = answers.shape[1]
    if (answers.argmax(1) == labels).mean() > 1 - FAR_BETTER:
        return
    chosen, held = np.array_split(np.random.default_rng(0).permutation(len(labels)), 2)
    sums = np.zeros((n_classes, n_classes))
    np.add.at(sums, labels[chosen], answers[chosen])
    import scipy.optimize  # late: a tenth of a second, for a model without classes_ alone

    column = scipy.optimize.linear_sum_assignment(sums, maximize=True)[1]  # of each class
    guesses, truth = answers[held].argmax(1), labels[held]
    as_given, reordered = guesses == truth, guesses == column[truth]
    sizes = np.bincount(truth, minlength=n_classes)
    given, other = (np.bincount(truth, right, n_classes)[sizes > 0] / sizes[sizes > 0] for right in (as_given, reordered))
    to_beat = max(given.mean(), 1 / len(given)) + FAR_BETTER
    better, worse = (reordered & ~as_given).sum(), (as_given & ~reordered).sum()
    if better - worse > DEVIATIONS * np.sqrt(better + worse) and other.mean() > to_beat:
        raise ValueError(
            f"model must answer class c in column c, but classes 0, 1, 2 … of its members fit columns {column[:9].tolist()} … "
            f"far better ({reordered.mean():.2f} of them right, {as_given.mean():.2f} as answered): code y in the order of the "
            "columns, or give the model `classes_`"
        )


def _mitigated(answers: np.ndarray, mitigation: Filter | None) -> np.ndarray:
    if mitigation is None:
        return answers
    filtered = checks.array("mitigation's answer", mitigation(answers))
    if filtered.shape != answers.shape or not np.issubdtype(filtered.dtype, np.floating):
        raise ValueError(f"mitigation must return floats of shape {answers.shape}, got {checks.kind(filtered)}")
    if not (filtered.min() >= 0 and filtered.max() <= 1):  # NaN is neither
        raise ValueError(f"mitigation must return values in [0, 1], got {filtered.min()}..{filtered.max()}")
    return filtered


def shadow_attack_data(
    trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, mitigation: Filter | None = None, first: int = 0
) -> AttackData:
    """Train model number first + i on the members of split i, query each on its own split; all answers, one after another.

    Each of the k models gives 2 n rows, members first. Answers are kept on disk before any mitigation, so more models train
    only the new ones, and another mitigation trains nothing. A target is the same with one split: "trained in a similar way".
    """
    stored = executors.finished(answers_work(trainer, dataset, splits, seed, first))
    answers = np.concatenate([_mitigated(item["answers"], mitigation) for item in stored])
    labels, member = (np.concatenate(part) for part in zip(*((dataset.y[s.rows], s.member) for s in splits), strict=True))
    return AttackData(answers, labels, member)


def answers_work(trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, first: int = 0) -> Work:
    """What `shadow_attack_data` does, to be done."""
    keys = _keys(trainer, dataset, splits, seed, first)
    rows = np.stack([split.members for split in splits])
    check = partial(_check_stored, n=2 * rows.shape[1], n_classes=dataset.n_classes)
    training = Training(trainer, dataset, rows, seed, first)
    return asking_work("answers", keys, check, partial(_queried, dataset), splits, training)


def _queried(dataset: Dataset, model: BlackBox, split: Split) -> dict[str, np.ndarray]:
    return {"answers": query(model, dataset, split).predictions}


class Training(NamedTuple):
    """The models of `Trainer.fit_many`."""

    trainer: Trainer
    dataset: Dataset
    rows: np.ndarray
    seed: int
    first: int = 0


class _Asked(NamedTuple):
    """A model to be trained, and what to ask it."""

    number: int
    rows: np.ndarray
    question: Any


def asking_work(
    kind: str,
    keys: Sequence[Mapping[str, Any]],
    check: cache.Check,
    ask: Callable[[BlackBox, Any], dict[str, np.ndarray]],
    questions: Sequence[Any],
    training: Training,
    at_once: int | None = None,
) -> Work:
    """What each model answers, as `ask` (of the model and its question) has it: to be found in the cache, or asked of models
    that are trained or read for it, `at_once` together at most. On a cluster, a model is asked by the worker that trained it.
    """
    trainer, dataset, rows, seed, first = training
    pieces = [_Asked(first + i, row, question) for i, (row, question) in enumerate(zip(rows, questions, strict=True))]
    most = min(filter(None, (at_once, getattr(trainer, "at_once", None))), default=None)

    def together(k: int, workers: Workers) -> int:
        return min(executors.together_of(trainer, dataset, k, workers), at_once or k)

    make = partial(_asked, trainer, dataset, seed, ask)
    return Work(pieces, make, kind, keys, check, together, most)


def kept_or_asked(
    kind: str,
    keys: Sequence[Mapping[str, Any]],
    check: cache.Check,
    ask: Callable[[BlackBox, int], dict[str, np.ndarray]],
    training: Training,
    at_once: int | None = None,
) -> list[dict[str, np.ndarray]]:
    """That work, done: what each model answers, as `ask` (of the model and its row) has it."""
    return executors.finished(asking_work(kind, keys, check, ask, range(len(keys)), training, at_once))


def _asked(
    trainer: Trainer,
    dataset: Dataset,
    seed: int,
    ask: Callable[[BlackBox, Any], dict[str, np.ndarray]],
    pieces: Sequence[_Asked],
) -> Iterator[dict[str, np.ndarray]]:
    """Of pieces with consecutive numbers."""
    models = trainer.fit_many(dataset, np.stack([piece.rows for piece in pieces]), seed, pieces[0].number)
    return (ask(model, piece.question) for model, piece in zip(models, pieces, strict=True))


def count_missing(trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, first: int = 0) -> int:
    """How many of the models of `shadow_attack_data` would have to be trained: see `untrained`."""
    return len(untrained(trainer, dataset, splits, seed, first))


def untrained(
    trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, first: int = 0
) -> list[Mapping[str, Any]]:
    """What determines the models of `shadow_attack_data` that would have to be trained: neither answers nor weights of them are
    on disk.
    """
    return without_trained("answers", _keys(trainer, dataset, splits, seed, first))


def without_trained(kind: str, keys: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of keys of what models answered, each with its model's as "model", the models that would have to be trained for it."""
    missing = [key["model"] for key in keys if not cache.exists(kind, key)]
    return [model for model in missing if not cache.exists("weights", model)]


def _keys(trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, first: int) -> list[dict[str, Any]]:
    checks.instance("dataset", dataset, Dataset)
    if not hasattr(trainer, "fit_many") or not hasattr(trainer, "keys"):
        raise TypeError(f"trainer must have fit_many and keys, such as NeuralTrainer, got a {type(trainer).__name__}")
    sizes = {len(checks.instance("splits", split, Split).members) for split in splits}
    if len(sizes) != 1:
        raise ValueError(f"splits must hold at least one split, all of one size, got sizes {sorted(sizes)}")
    models = trainer.keys(dataset, np.stack([split.members for split in splits]), seed, first)
    asked = [cache.digest(split.members, split.nonmembers) for split in splits]
    shared = {"code": cache.code_digest(__name__), "classes": names_of_classes(dataset)}
    return [{"model": key, "asked": digest, **shared} for key, digest in zip(models, asked, strict=True)]


def names_of_classes(dataset: Dataset) -> str | None:
    """The user's labels, for a key."""
    return None if dataset.classes is None else repr(list(dataset.classes))


def _check_stored(stored: dict[str, np.ndarray], n: int, n_classes: int) -> None:
    """ValueError unless what was stored are answers of one model: probabilities, float32 (n, n_classes)."""
    cache.expect(stored, {"answers": ((n, n_classes), "float32")})
    answers = stored["answers"]
    if answers.min() < 0 or answers.max() > 1 or abs(answers.sum(1) - 1).max() > 0.01:
        raise ValueError(f"expected answers that are probabilities, found {answers.min()}..{answers.max()}")
