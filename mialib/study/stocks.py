"""Stocks of models on complementary halves: each model in turn is the target of the attack of 2017 and of those after it.

Scores come as `Scores`, an array of targets by records; the tables of them are made in `study.modern`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mialib.attack.ablations import Fit
from mialib.attack.suite import ANSWER_ATTACKS, STOCK_ATTACKS, Attacked, StockAttack
from mialib.core import checks, executors, plans, randomness
from mialib.core.stocks import Stock
from mialib.core.threads import one_a_core
from mialib.core.types import AttackData, Dataset, Trainer
from mialib.shadow.answers import Filter, shadow_attack_data
from mialib.shadow.halves import sample_halves
from mialib.shadow.signals import Picture, halves_as_splits, stock, untrained_of_stock
from mialib.study.planning import planned_models

BEST = "lira_online_global"  # where the notebook follows one attack alone


class StockExperiment(NamedTuple):
    """A stock of models on halves of one data set. network: its kind ("mlp", "cnn", "residual").

    population: share of the records that serve as RMIA's z, and are not judged by any attack.
    """

    dataset: Dataset
    trainer: Trainer
    network: str
    n_models: int
    seed: int
    population: float = 0.1

    @property
    def member(self) -> np.ndarray:
        """Which records each model is trained on, bool (k, n)."""
        return sample_halves(len(self.dataset.y), self.n_models, self.seed)


class StockTrial(NamedTuple):
    """A trained stock. own: what the models answer as targets, under `mitigation`; others: what they answer as references,
    under `of_references`, where the owner's filter and the attacker's differ; population: bool (n,).
    """

    experiment: StockExperiment
    own: Stock
    others: Stock
    population: np.ndarray
    mitigation: Filter | None = None
    of_references: Filter | None = None

    @property
    def right(self) -> np.ndarray:
        """Which records each model answers right, bool (k, n); ValueError where the stock does not tell."""
        if self.own.right is None:
            raise ValueError("own must tell which answers are right, Stock(right=…), got None")
        return self.own.right

    def targets(self, n: int | None = None) -> np.ndarray:
        """Numbers of the models that are attacked, the first n (None, or more than there are: all)."""
        k = len(self.own)
        return np.arange(k if n is None else min(k, checks.whole("n_targets", n, 1)))

    def attacked(self, target: int, n_references: int | None = None) -> Attacked:
        """A model of the stock as a target, with all of its references or the first ones."""
        return Attacked(self.own.signal[target], self.others[self.own.references(target, n_references)], self.population)

    def answers(self, model: int, mitigation: Filter | None = None) -> AttackData:
        """A model's prediction vectors on all records, in their order."""
        e = self.experiment
        (split,) = halves_as_splits(self.own.member[model : model + 1], len(e.dataset.y))
        data = shadow_attack_data(e.trainer, e.dataset, [split], e.seed, mitigation, first=model)
        return data[np.argsort(split.rows)]


class Scores(NamedTuple):
    """What one attack says of the records of several targets: score and member (t, n), NaN where a record is not judged."""

    attack: str
    n_references: int
    targets: np.ndarray
    score: np.ndarray
    member: np.ndarray


def some_scores(scores: Iterable[Scores]) -> list[Scores]:
    """`scores` as a list; ValueError where there are none."""
    found = list(scores)
    if not found:
        raise ValueError("scores must hold those of at least one attack, got none")
    return found


def some_records(dataset: Dataset, n: int, seed: int) -> Dataset:
    """n of the records, drawn at random, in their order; the data set itself where n is all of them."""
    checks.whole("n", n, 2, len(dataset.y), "the records of the data set")
    if n == len(dataset.y):
        return dataset
    rng = randomness.generator(seed, "records", dataset.name)
    return dataset[np.sort(rng.choice(len(dataset.y), n, replace=False))]


def announce_stocks(*experiments: StockExperiment) -> str:
    """What is about to be trained and what that takes here, a line a stock; models whose signals or weights are on disk are
    left out.
    """
    lines = []
    for e in experiments:
        n, missing = len(e.dataset.y) // 2, untrained_of_stock(e.trainer, e.dataset, e.member, e.seed)
        name = f"{e.dataset.name}, {e.network}, {e.n_models} models on {n:,} records each"
        text = f"{name}: {e.dataset.source} data; {len(missing)} of {e.n_models} models to train"
        planned = planned_models(e.dataset, e.trainer, f"{e.network}, a stock", n, e.n_models, missing)
        if not plans.collect([planned]) and missing and hasattr(e.trainer, "estimate"):
            estimate = executors.estimated(e.trainer, e.dataset, n, len(missing))
            text += f", about {estimate.seconds:,.0f} s and {estimate.megabytes:,.0f} MB {executors.where()}"
        lines.append(text)
    return "\n".join(lines)


def run_stock(
    e: StockExperiment,
    queries: Sequence[Picture] | None = None,
    mitigation: Filter | None = None,
    of_references: Filter | None = None,
    floor: float = 1e-5,
) -> StockTrial:
    """Train what is missing of a stock, and ask. of_references: the filter that references carry; None: the owner's. floor: of
    the filtered answers' `log_odds`.
    """
    of_references = mitigation if of_references is None else of_references
    own = stock(e.trainer, e.dataset, e.member, e.seed, queries, mitigation, floor)
    same = of_references is mitigation
    others = own if same else stock(e.trainer, e.dataset, e.member, e.seed, queries, of_references, floor)
    n = len(e.dataset.y)
    n_population = max(1, round(checks.real("population", e.population, 0, 1, open_low=True) * n))
    population = np.zeros(n, bool)
    population[randomness.generator(e.seed, "population").choice(n, n_population, replace=False)] = True
    return StockTrial(e, own, others, population, mitigation, of_references)


def stock_scores(
    trial: StockTrial,
    attacks: Mapping[str, StockAttack] = STOCK_ATTACKS,
    n_targets: int | None = None,
    n_references: int | None = None,
) -> list[Scores]:
    """The scores of attacks on signals, on the first targets (None: on every model of the stock)."""

    def attacked(target: int) -> list[np.ndarray]:
        t = trial.attacked(target, n_references)
        return [attack(t) for attack in attacks.values()]

    targets = trial.targets(n_targets).tolist()
    with one_a_core(len(targets), threads=1) as (pool, _):
        found = list(pool.map(attacked, targets))
    return _scores(trial, attacks, found, len(trial.own.references(0, n_references)))


def answer_scores(
    trial: StockTrial,
    attacks: Mapping[str, Fit] = ANSWER_ATTACKS,
    n_targets: int | None = None,
    n_references: int | None = None,
) -> list[Scores]:
    """The scores of attacks that are fitted on the references' prediction vectors: the attack of 2017 on the same stock."""
    found = []
    for target in trial.targets(n_targets).tolist():
        numbers = trial.own.references(target, n_references)
        shadows = AttackData.joined(trial.answers(i, trial.of_references) for i in numbers.tolist())
        answers = trial.answers(target, trial.mitigation)
        found.append([fit(shadows).membership_score(answers) for fit in attacks.values()])
    return _scores(trial, attacks, found, len(numbers))


def _scores(trial: StockTrial, names: Iterable[str], found: list[list[np.ndarray]], n_references: int) -> list[Scores]:
    """found: of each of the first targets, the scores (n,) of every attack."""
    targets, tables = np.arange(len(found)), []
    for name, of_targets in zip(names, zip(*found, strict=True), strict=True):
        score = np.stack(of_targets).astype(float)
        score[:, trial.population] = np.nan
        tables.append(Scores(name, n_references, targets, score, trial.own.member[targets]))
    return tables
