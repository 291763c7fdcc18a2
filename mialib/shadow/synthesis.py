"""Shadow data that are not the target's (Sec. V-C): synthesised from its answers, drawn from marginals, or noisy copies."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.core import cache, checks, executors
from mialib.core.executors import Work
from mialib.core.types import BlackBox, Dataset, Features, check_answers
from mialib.shadow import algorithm1
from mialib.shadow.records import ROWS_AT_ONCE, check_records, check_rng
from mialib.shadow.space import Space

log = logging.getLogger(__name__)

NAMED = 10  # classes in a warning, at most


class Synthesis(NamedTuple):
    """Records that a target model is sure of, one a row, by class as asked for, and what they cost.

    report: one row a class, with cls, wanted and found (records), given_up (climbs that found nothing within iter_max), cut
    (climbs that the end of the budget left unfinished), queries (of all climbs: their sum is the exact number of records that
    the target was asked), mean_queries and mean_confidence (of the records found; NaN without any) and outcome: "found" (all
    that were wanted), "some", "not found", or "budget" where that ended the search for more.
    """

    x: np.ndarray  # (m, ...): as Dataset.x, m at most the number asked for
    y: np.ndarray  # (m,) int64: the class that each was synthesised for, which is the target's answer
    confidence: np.ndarray  # (m,) float32: the target's probability of that class
    queries: np.ndarray  # (m,) int64: of the climb that found the record, from its random start on
    report: pd.DataFrame

    def dataset(self, name: str, n_classes: int, source: str, features: Features | None = None) -> Dataset:
        """The records as a data set to train shadow models on. source: "real" or "standin", that of the target's own data.

        Raises ValueError where no record was found at all.
        """
        if not len(self.x):
            raise ValueError(f"{name}: no record was found for any class, in {self.report['queries'].sum():,} queries")
        return Dataset(name, self.x, self.y, n_classes, source, features)


def model_based(
    model: BlackBox,
    features: Features,
    label: int | Sequence[int],
    n: int,
    rng: np.random.Generator,
    *,
    k_max: int = 128,
    k_min: int = 4,
    conf_min: float = 0.2,
    rej_max: int = 10,
    iter_max: int = 1000,
    max_queries: int | None = None,
    tries: int = 3,
) -> Synthesis:
    """n records of class `label`, or of each of several classes, climbed for with the target's answers (Algorithm 1, Sec. V-C).

    A climb starts at a random record, and asks the target at most iter_max times. An answer with y_c >= y*_c, the best so far,
    makes the record the best one; it is returned if also y_c > conf_min, c is the most probable class, and a draw that succeeds
    with probability y_c does. Otherwise, more than rej_max rejections in a row halve k, down to k_min. The next record is the
    best one with k random features changed: bits flip, others are drawn anew within their range, a one-hot group as one
    feature. Where records have fewer than k_max (k_min) features, all of them are meant.

    The paper's listing and its text differ, and the listing is followed: it selects with probability y_c (text: y*_c), keeps
    ties (text: only an increase) and halves k after more than rej_max rejections (text: at rej_max). iter_max is not given
    there, nor what follows a climb that gives up. Here a record is climbed for up to `tries` times, and a class is given up
    when its first algorithm1.SCOUTS records were all not found; its further records are not begun before one of those is found.

    All climbs, of all classes, query the target together, with random numbers that depend on (a seed drawn from rng, class,
    record, attempt, step) only: each takes the path that it would take alone, as far as the target's answers do not depend on
    what else is asked with a record (a network's do, in the last digits). With max_queries, not more records than that are
    asked, and what was found by then is returned; the queries of climbs that found nothing count, too.

    Raises TypeError or ValueError for arguments out of range, and for answers that are not probabilities.
    """
    labels = _check_labels(label)
    checks.whole("n", n, 1)
    checks.whole("tries", tries, 1)
    if max_queries is not None:
        checks.whole("max_queries", max_queries, 1)
    rules = algorithm1.Rules(k_max, k_min, conf_min, rej_max, iter_max)
    seed = int(check_rng(rng).integers(2**63))
    records = Space(features)
    found = algorithm1.climb(model, records, labels, n, seed, rules, tries, max_queries)
    report = _report(labels, n, found)
    _warn(report)
    return Synthesis(
        records.records(found.codes), labels[found.jobs[:, 0]], found.confidence.astype(np.float32), found.steps, report
    )


def all_classes(
    model: BlackBox,
    features: Features,
    n_classes: int,
    n: int,
    seed: int,
    *,
    key: Mapping[str, Any] | None = None,
    max_queries: int | None = None,
    tries: int = 3,
    **rules: Any,
) -> Synthesis:
    """`model_based` for n records of each of the classes 0..n_classes-1, kept on disk under `key`.

    key: JSON-able values that determine the model, such as one of `Trainer.keys`; with None nothing is kept. rules: k_max,
    k_min, conf_min, rej_max, iter_max. Without a budget, classes are kept one by one, and done in groups that fill the batch,
    so that an interrupt loses one group at most; with max_queries they share the budget, and are kept together.
    """
    checks.whole("n_classes", n_classes, 2)
    checks.whole("n", n, 1)
    checks.whole("seed", seed, 0)
    together = n_classes if max_queries is not None else -(-2 * algorithm1.CLIMBERS // n)
    settings = asdict(algorithm1.Rules(**rules)) | {"n": n, "seed": seed, "max_queries": max_queries, "tries": tries}
    shared = settings | {"model": key, "features": _plain(features), "code": cache.code_digest(__name__)}
    pieces = [[c] for c in range(n_classes)] if max_queries is None else [[*range(n_classes)]]
    make = partial(_climbed, model, features, n, seed, {"max_queries": max_queries, "tries": tries, **rules})
    keys, check = [shared | {"labels": labels} for labels in pieces], partial(_check_stored, features)
    work = Work(pieces, make, "synthesis" if key is not None else None, keys, check, at_once=together)
    work = work._replace(unit="record", doing="synthesis", each=n * len(pieces[0]))
    parts = [_synthesis(each) for each in executors.finished(work._replace(together=lambda k, w: w.share(k, together)))]
    arrays = [np.concatenate([part[i] for part in parts]) for i in range(4)]
    return Synthesis(arrays[0], arrays[1], arrays[2], arrays[3], pd.concat([part.report for part in parts], ignore_index=True))


def _climbed(
    model: BlackBox, features: Features, n: int, seed: int, options: Mapping[str, Any], pieces: Sequence[list[int]]
) -> list[dict[str, np.ndarray]]:
    """Arrays of some classes' records, a piece each; all are climbed for together."""
    labels = [label for piece in pieces for label in piece]
    made = model_based(model, features, labels, n, np.random.default_rng(seed), **options)  # streams differ by class
    return [_arrays(made, piece) for piece in pieces]


def _plain(features: Features) -> dict[str, Any]:
    return {
        "shape": [int(size) for size in features.shape],
        "kinds": None if features.kinds is None else repr(list(features.kinds)),
    }


def _arrays(made: Synthesis, labels: list[int]) -> dict[str, np.ndarray]:
    """Of some of the classes."""
    report, own = made.report[made.report["cls"].isin(labels)], np.isin(made.y, labels)
    columns = {f"report_{name}": column.to_numpy() for name, column in report.items()}
    columns["report_outcome"] = columns["report_outcome"].astype(str)
    arrays = {"x": made.x, "y": made.y, "confidence": made.confidence, "queries": made.queries}
    return {name: array[own] for name, array in arrays.items()} | columns


def _check_stored(features: Features, stored: Mapping[str, np.ndarray]) -> None:
    """ValueError unless what was stored is a synthesis of such records, of the classes in its report."""
    m, dtype = len(stored["y"]), "uint8" if features.kinds is None else "float32"
    shapes = {
        "x": ((m, *features.shape), dtype),
        "y": ((m,), "int64"),
        "confidence": ((m,), "float32"),
        "queries": ((m,), "int64"),
    }
    cache.expect({name: array for name, array in stored.items() if not name.startswith("report_")}, shapes)
    labels = stored["report_cls"].tolist()
    if not np.isin(stored["y"], labels).all():
        raise ValueError(f"expected records of the classes {labels}, found {sorted(set(stored['y'].tolist()))}")


def _synthesis(stored: Mapping[str, np.ndarray]) -> Synthesis:
    report = {name.removeprefix("report_"): column for name, column in stored.items() if name.startswith("report_")}
    x, y, confidence, queries = (stored[name] for name in ("x", "y", "confidence", "queries"))
    return Synthesis(x, y, confidence, queries, pd.DataFrame(report))


def _report(labels: np.ndarray, n: int, found: algorithm1.Found) -> pd.DataFrame:
    groups = found.jobs[:, 0]
    count = np.bincount(groups, minlength=len(labels))
    stopped = found.cut + found.waiting > 0
    mean_queries, mean_confidence = (
        np.divide(np.bincount(groups, part, len(labels)), count, out=np.full(len(labels), np.nan), where=count > 0)
        for part in (found.steps, found.confidence)
    )
    report = {
        "cls": labels,
        "wanted": n,
        "found": count,
        "given_up": found.given_up,
        "cut": found.cut,
        "queries": found.queries,
        "mean_queries": mean_queries,
        "mean_confidence": mean_confidence,
        "outcome": np.select([count == n, stopped, count > 0], ["found", "budget", "some"], "not found"),
    }
    return pd.DataFrame(report)


def _warn(report: pd.DataFrame) -> None:
    missing = report[report["outcome"] != "found"]
    for outcome, rows in missing.groupby("outcome", sort=False):
        classes = ", ".join(map(str, rows["cls"][:NAMED])) + (f" … ({len(rows)} classes)" if len(rows) > NAMED else "")
        log.warning(
            "synthesis: %s for classes %s: %d of %d records, %d climbs given up, %d queries", outcome, classes,
            rows["found"].sum(), rows["wanted"].sum(), rows["given_up"].sum(), rows["queries"].sum(),
        )  # fmt: skip


def _check_labels(label: int | Sequence[int]) -> np.ndarray:
    several = isinstance(label, Sequence | np.ndarray) and not isinstance(label, str)
    labels = [checks.whole("label", part, 0) for part in (label if several else [label])]  # type: ignore[union-attr]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"label must be a class or several different ones, got {label!r}")
    return np.array(labels, np.int64)


def answered(model: BlackBox, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels for records x (n, ...) that have none: the target's most probable class, int64 (n,); its probability, float32."""
    x = check_records("x", x, 1)
    labels, confidence = np.empty(len(x), np.int64), np.empty(len(x), np.float32)
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        answers = np.asarray(model.predict_proba(x[part]))
        answers = check_answers(answers, len(x[part]), answers.shape[-1])
        labels[part], confidence[part] = answers.argmax(1), answers.max(1)
    return labels, confidence
