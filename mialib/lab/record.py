"""To turn in a notebook: the record, the number of reference models, and the false positive rate at which it is accused."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib import metrics, plots
from mialib.attack.likelihood_ratio import ENOUGH, global_deviation, lira
from mialib.attack.references import mean_where
from mialib.attack.suite import Attacked
from mialib.core import checks
from mialib.core.stocks import Stock
from mialib.data.catalogue import class_name
from mialib.lab.canvas import Scene
from mialib.lab.controls import Control, Options, counts_up_to, playground
from mialib.lab.decisions import counts_at, decision_tables, histogram_rows
from mialib.plots.names import in_words
from mialib.runs.run import Run
from mialib.study.exposure import separation
from mialib.study.stocks import StockTrial

SPAN_OF_ANSWERS = (-15.0, 15.0)  # ends of the axis of log-odds
SPAN_OF_LIRA = (-20.0, 20.0)  # ends of the axis of LiRA's score
SLIDER_FPRS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
SIDES_OF_REFERENCES = ("had it", "had it not")
BELL_POINTS = 120  # points of a bell


class Bell(NamedTuple):
    """The Gaussian that LiRA lays over some references' answers to a record; NaN where there is no such reference."""

    mean: float
    deviation: float
    n: int


def lira_bells(stock: Stock, record: int, shared: tuple[float, float] | None = None) -> tuple[Bell, Bell]:
    """The bells of the references that had a record, and of those that had it not, by which `lira` judges it: below 64
    references with one deviation for all records. shared: those of both kinds, where they are known; None: they are worked out.
    """
    checks.whole("record", record, 0, len(stock.labels) - 1)
    known = shared_deviations(stock) if shared is None else shared
    bells = []
    for side, of_all in zip((True, False), known, strict=True):
        where = stock.member[:, [record]] == side
        answers = stock.signal[:, [record]].astype(float)
        middle = mean_where(answers, where)
        own = float(np.sqrt(mean_where((answers - middle) ** 2, where))[0])
        bells.append(Bell(float(middle[0]), of_all if len(stock) < ENOUGH else own, int(where.sum())))
    return bells[0], bells[1]


def shared_deviations(stock: Stock) -> tuple[float, float]:
    """LiRA's one deviation for all records, of references that had them and of the others."""
    had, had_not = (global_deviation(stock, side, mean_where) for side in (True, False))
    return had, had_not


def exposed_first(trial: StockTrial) -> np.ndarray:
    """Numbers of the records that are judged, the most exposed first (`exposure.separation`), int64."""
    apart = np.where(trial.population, np.nan, separation(trial.own))
    order = np.argsort(-np.nan_to_num(apart, nan=-np.inf), kind="stable")
    return order[~np.isnan(apart[order])]


class JudgedRecords:
    """LiRA's scores of all records of a stock's first model, by number of references; each number is asked once."""

    def __init__(self, trial: StockTrial) -> None:
        self.trial, self.member = trial, trial.own.member[0]
        self.most = len(trial.own.references(0))
        self._kept: dict[int, np.ndarray] = {}
        self._asked: tuple[int, Attacked, tuple[float, float]] | None = None

    def asked(self, n_references: int) -> tuple[Attacked, tuple[float, float]]:
        """The target with so many references, and their `shared_deviations`; those of the last number asked are kept."""
        if self._asked is None or self._asked[0] != n_references:
            target = self.trial.attacked(0, n_references)
            self._asked = n_references, target, shared_deviations(target.references)
        return self._asked[1:]

    def score(self, n_references: int) -> np.ndarray:
        """Scores (n,), NaN where a record is not judged."""
        if n_references not in self._kept:
            target, _ = self.asked(n_references)
            scores = lira(target.signal, target.references)
            self._kept[n_references] = np.where(self.trial.population, np.nan, scores)
        return self._kept[n_references]

    def fprs(self, n_references: int) -> list[float]:
        """The false positive rates that so many non-members can carry."""
        n_nonmembers = int((~self.member & ~np.isnan(self.score(n_references))).sum())
        return [fpr for fpr in SLIDER_FPRS if metrics.can_carry(fpr, n_nonmembers)]

    def tables(self, record: int, n_references: int, fpr: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The two tables of `plots.one_record`: marks, and position."""
        (target, deviations), score = self.asked(n_references), self.score(n_references)
        threshold = metrics.threshold_at_fpr(score, self.member, fpr)
        marks, position = decision_tables(score, self.member, threshold, SPAN_OF_LIRA, column="LiRA's score", curve=False)
        had = target.references.member[:, record]
        answers = target.references.signal[:, record].astype(float)
        parts = [histogram_rows("answers", answers, had, SPAN_OF_ANSWERS, SIDES_OF_REFERENCES)]
        for word, bell in zip(SIDES_OF_REFERENCES, lira_bells(target.references, record, deviations), strict=True):
            parts.append(_bell_rows(word, bell))
        shown = pd.concat([*parts, marks], ignore_index=True)
        dataset = self.trial.experiment.dataset
        shown = shown.assign(dataset=dataset.name, source=dataset.source)
        return shown, position.assign(record=record, fpr=fpr, score=score[record], answer=float(target.signal[record]))


def _bell_rows(word: str, bell: Bell) -> pd.DataFrame:
    """A bell, as high as bars of so many references would be."""
    x = np.linspace(*SPAN_OF_ANSWERS, BELL_POINTS)
    width = (SPAN_OF_ANSWERS[1] - SPAN_OF_ANSWERS[0]) / 30
    y = bell.n * width * np.exp(-(((x - bell.mean) / bell.deviation) ** 2) / 2) / (bell.deviation * np.sqrt(2 * np.pi))
    return pd.DataFrame({"panel": "answers", "line": f"bell, {word}", "x": x, "y": y})


def record_words(judged: JudgedRecords, record: int, n_references: int, position: pd.DataFrame) -> str:
    """What the figure says of the record, in words."""
    at, dataset, member = position.iloc[0], judged.trial.experiment.dataset, judged.member
    label = int(dataset.y[record])
    name = class_name(dataset.name, label)
    of_class = f"class {label}" if name == str(label) else f"class {label}, {name}"
    counts = counts_at(judged.score(n_references), member, np.array([at["threshold"]]))
    judgement = "not judged" if np.isnan(at["score"]) else "accused" if at["score"] >= at["threshold"] else "not accused"
    truth = "it is a member" if member[record] else "it is not a member"
    return (
        f"Record {record} ({of_class}): the target's log-odds are {at['answer']:.2f}, LiRA's score {at['score']:.2f}, the "
        f"threshold {at['threshold']:.2f}: {judgement}, and {truth}. At this rate {int(counts.true_positives[0]):,} of "
        f"{int(counts.members[0]):,} members are accused, and {int(counts.false_positives[0]):,} of "
        f"{int(counts.nonmembers[0]):,} non-members."
    )


def _places(records: np.ndarray) -> Options:
    return [(f"{place:,} of {len(records):,}", int(record)) for place, record in enumerate(records, 1)]


def play_records(run: Run, trials: Mapping[str, StockTrial], *, name: str = "play") -> Any:
    """Controls of the first model of each stock as a target: record (the most exposed first), number of references, false
    positive rate; as a figure of the run, `name`, where nobody can turn them.
    """
    judged = {dataset: JudgedRecords(trial) for dataset, trial in trials.items()}
    places = {dataset: _places(exposed_first(trial)) for dataset, trial in trials.items()}

    def references(position: Mapping[str, Any]) -> Options:
        most = judged[position["dataset"]].most
        return [(str(k), k) for k in counts_up_to(most, (2, 4, 6, 14, 30, 62)) if k > 1]

    def rates(position: Mapping[str, Any]) -> Options:
        return [(f"{fpr:.1%}", fpr) for fpr in judged[position["dataset"]].fprs(position["k"])]

    def shown(dataset: str, record: int, k: int, fpr: float) -> Scene:
        tables = judged[dataset].tables(record, k, fpr)
        return Scene(plots.one_record, tables, record_words(judged[dataset], record, k, tables[1]))

    return playground(run, name, [
        Control("dataset", "data set", "buttons", [(in_words(each), each) for each in trials]),
        Control("record", "record, most exposed first", "slider", lambda p: places[p["dataset"]]),
        Control("k", "reference models", "slider", references, lambda p: judged[p["dataset"]].most),
        Control("fpr", "false positive rate", "slider", rates, 0.01),
    ], shown)  # fmt: skip
