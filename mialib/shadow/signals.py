"""What models of a stock say of a record, as one number: the log-odds of its true class (Carlini et al. 2022, Sec. IV-C)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any

import numpy as np

from mialib.core import cache, checks, executors
from mialib.core.stocks import Stock
from mialib.core.types import BlackBox, Dataset, Split, Trainer
from mialib.shadow import answers
from mialib.shadow.answers import Filter, Training

SMALLEST_FLOAT = 2.0**-149  # the smallest float32 above 0: what a probability of 0 may have been
MODELS_AT_ONCE = 16  # models in memory together
Picture = Callable[[np.ndarray], np.ndarray]


def log_odds(predictions: np.ndarray, labels: np.ndarray, floor: float | None = None) -> np.ndarray:
    """log p_y - log of the sum of the others, float32 (n,), of prediction vectors (n, n_classes) and true classes y (n,).

    The others are added up, in float64: p_y may round to 1 long before their sum rounds to 0. Zeros count as 2**-149, so that
    the log-odds lie within about +-103. floor: of answers that were filtered, which may be cut, coarse or noisy, and need not
    sum to one: log p_y - log(1 - p_y), where p_y lies within floor..1 - floor, or counts as the end.
    """
    p = checks.array("predictions", predictions)
    if p.ndim != 2 or p.dtype.kind != "f":
        raise TypeError(f"predictions must be floats of shape (n, n_classes), got {checks.kind(p)}")
    if p.size and not (p.min() >= 0 and p.max() <= 1):  # NaN is neither
        raise ValueError(f"predictions must lie in [0, 1], got {p.min()}..{p.max()}")
    own, others = _parted(p.astype(float), labels)
    if floor is not None:
        within = np.clip(own, checks.real("floor", floor, 0, 0.5, open_low=True), 1 - floor)
        return (np.log(within) - np.log1p(-within)).astype(np.float32)
    return (np.log(np.maximum(own, SMALLEST_FLOAT)) - np.log(np.maximum(others.sum(1), SMALLEST_FLOAT))).astype(np.float32)


def _log_odds_of_logs(logs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same of log-probabilities, which lose nothing at either end."""
    own, others = _parted(logs.astype(float), labels)
    top = others.max(1)
    return (own - top - np.log(np.exp(others - top[:, None]).sum(1))).astype(np.float32)


def _parted(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true class's column (n,), and the others (n, n_classes - 1)."""
    n, n_classes = values.shape
    own = np.zeros(values.shape, bool)
    own[np.arange(n), checks.labels("labels", labels, n_classes)] = True
    return values[own], values[~own].reshape(n, n_classes - 1)


def stock(
    trainer: Trainer,
    dataset: Dataset,
    member: np.ndarray,
    seed: int,
    queries: Sequence[Picture] | None = None,
    mitigation: Filter | None = None,
    floor: float = 1e-5,
) -> Stock:
    """Train k models, model i on the records of `member`[i], and keep what each says of every record of the data set.

    member: bool (k, n), as of `sample_halves`: half of the records in each row. queries: `shadow.View`s under which pictures
    are asked about, the plain one first (signal (k, n, q)); None: the record itself. mitigation: a filter of the answers, as
    in `query`; signals are then the `log_odds` of the filtered vectors, with this floor. Signals are kept on disk, model by
    model: more models train only the new ones. Prediction vectors are in memory of 16 models at most. Raises TypeError or
    ValueError.
    """
    splits = halves_as_splits(member, len(checks.instance("dataset", dataset, Dataset).y))
    if mitigation is not None:
        if queries is not None:
            raise ValueError("queries must be None with a mitigation, which acts on the record's own answer")
        return _filtered(trainer, dataset, splits, seed, mitigation, floor)
    keys, rows = _keys(trainer, dataset, splits, seed, queries), np.stack([split.members for split in splits])
    shape = (len(dataset.y),) if queries is None else (len(dataset.y), len(queries))
    check = partial(cache.expect, expected={"signal": (shape, "float32"), "right": ((len(dataset.y),), "bool")})

    ask, training = partial(_asked_all, dataset, queries), Training(trainer, dataset, rows, seed)
    kept = executors.finished(answers.asking_work("signals", keys, check, ask, list(member), training, MODELS_AT_ONCE))
    return Stock(np.stack([each["signal"] for each in kept]), member, dataset.y, np.stack([each["right"] for each in kept]))


def untrained_of_stock(trainer: Trainer, dataset: Dataset, member: np.ndarray, seed: int) -> list[Mapping[str, Any]]:
    """What determines the models of `stock` that would have to be trained: neither signals nor weights of them are on disk."""
    splits = halves_as_splits(member, len(checks.instance("dataset", dataset, Dataset).y))
    return answers.without_trained("signals", _keys(trainer, dataset, splits, seed, None))


def _keys(
    trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, queries: Sequence[Picture] | None
) -> list[dict[str, Any]]:
    views = _described(queries)
    shared = {"queries": views, "code": cache.code_digest(__name__), "classes": answers.names_of_classes(dataset)}
    models = trainer.keys(dataset, np.stack([split.members for split in splits]), seed)
    return [{"model": key, **shared} for key in models]


def halves_as_splits(member: np.ndarray, n: int) -> list[Split]:
    """What each model is trained on (members), and asked about besides: its other records."""
    if not checks.is_array(member) or member.dtype != bool or member.ndim != 2 or member.shape[1] != n or not len(member):
        raise TypeError(f"member must be bool of shape (k, {n}), one column a record, got {checks.kind(member)}")
    sizes = np.unique(member.sum(1))
    if len(sizes) > 1 or 2 * sizes[0] != n:
        raise ValueError(f"member must have half of the {n} records in every row, got rows of {sizes.min()} to {sizes.max()}")
    return [Split(np.flatnonzero(row), np.flatnonzero(~row)) for row in member]


def _described(queries: Sequence[Any] | None) -> list[dict[str, Any]] | None:
    if queries is None:
        return None
    described = [asdict(each) for each in queries if is_dataclass(each) and not isinstance(each, type)]
    if not described or len(described) < len(queries):
        raise TypeError(f"queries must be views of a picture, shadow.View, at least one, got {list(queries)!r:.80}")
    return described


def _asked_all(
    dataset: Dataset, queries: Sequence[Picture] | None, model: BlackBox, member: np.ndarray
) -> dict[str, np.ndarray]:
    """Signals (n,) or (n, q), and whether the first answer was right (n,)."""
    records = [dataset.records()] if queries is None else (view(dataset.x) for view in queries)
    signals, right = zip(*(_asked_once(model, dataset, x, member) for x in records), strict=True)
    return {"signal": signals[0] if queries is None else np.stack(signals, 1), "right": right[0]}


def _asked_once(model: BlackBox, dataset: Dataset, x: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of networks, log-probabilities; of all others, probabilities."""
    in_logs = getattr(model, "predict_log_proba", None) if getattr(model, "classes_", None) is None else None
    logs = None if in_logs is None else checks.array("predict_log_proba's answer", in_logs(x))
    given = model.predict_proba(x) if logs is None else np.exp(logs)
    p = answers.checked_answers(model, dataset, given, member, dataset.y)
    signal = log_odds(p, dataset.y) if logs is None else _log_odds_of_logs(logs, dataset.y)
    return signal, p.argmax(1) == dataset.y


def _filtered(
    trainer: Trainer, dataset: Dataset, splits: Sequence[Split], seed: int, mitigation: Filter, floor: float
) -> Stock:
    shape = len(splits), len(dataset.y)
    signal, right, member = np.empty(shape, np.float32), np.empty(shape, bool), np.empty(shape, bool)
    for start in range(0, len(splits), MODELS_AT_ONCE):
        group = splits[start : start + MODELS_AT_ONCE]
        data = answers.shadow_attack_data(trainer, dataset, group, seed, mitigation, first=start)
        told = log_odds(data.predictions, data.labels, floor), data.predictions.argmax(1) == data.labels, data.member
        for whole, part in zip((signal, right, member), told, strict=True):
            for i, (split, of_model) in enumerate(zip(group, np.split(part, len(group)), strict=True), start):
                whole[i, split.rows] = of_model
    return Stock(signal, member, dataset.y, right)
