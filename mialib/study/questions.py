"""Attacks on a stock's targets that need no reference models: quantile regression, and those that see the label alone."""

import numpy as np

from mialib import metrics
from mialib.attack.boundary import label_only_boundary
from mialib.attack.label_only import is_bits, label_only_augmentation, label_only_gap, label_only_noise
from mialib.attack.quantile import quantile_regression
from mialib.core import checks, randomness
from mialib.core.types import BlackBox
from mialib.shadow.views import views
from mialib.study.stocks import Scores, StockTrial

RATES = (0.02, 0.05, 0.1, 0.2)  # of flipped bits, tried on a reference model
SIGMAS = (0.02, 0.05, 0.1, 0.2)  # of Gaussian noise: of pixels, of tables in deviations of a column
NOISY_COPIES = 50


def quantile_scores(trial: StockTrial, n_targets: int | None = None, fpr: float = 0.01) -> Scores:
    """Quantile regression on the first targets: the attacker knows those records of the population that are non-members. Where
    these are too few to carry `fpr`, the quantile is that of the smallest rate that they carry.
    """
    e, own = trial.experiment, trial.own
    targets = trial.targets(n_targets)
    table = []
    for target in targets:
        known = trial.population & ~own.member[target]
        signal = own.signal[target].reshape(len(known), -1).mean(1)
        level = max(fpr, (1 + 1e-12) / max(known.sum(), 1))  # 49 times 1 / 49 is less than 1
        table.append(quantile_regression(signal, e.dataset.x, e.dataset.y, known, fpr=level, seed=e.seed))
    score = np.stack(table)
    score[:, trial.population] = np.nan
    return Scores("quantile", 0, targets, score, own.member[targets])


def label_scores(trial: StockTrial, n_targets: int, n_records: int, max_queries: int) -> tuple[list[Scores], dict[str, float]]:
    """The label-only attacks on the first targets, on n_records of the judged records; and the mean queries a record of each.

    Noise takes the rate, or sigma, that ranks best where the first reference stands in the target's place. Pictures are asked
    about in nine places and their mirror images, too. Raises ValueError for a mitigated stock: the models themselves are asked.
    """
    if trial.mitigation is not None:
        raise ValueError(f"trial must be without a mitigation, which labels alone do not pass through, got {trial.mitigation}")
    e, own = trial.experiment, trial.own
    judged = np.flatnonzero(~trial.population)
    n_records = min(checks.whole("n_records", n_records, 2), len(judged))
    asked = np.sort(randomness.generator(e.seed, "label alone").choice(judged, n_records, replace=False))
    targets = trial.targets(n_targets)
    scores: dict[str, np.ndarray] = {}
    spent: dict[str, list[float]] = {}
    for place, target in enumerate(targets.tolist()):
        strength = _strength(trial, int(own.references(target, 1)[0]), asked)
        for name, (score, queries) in _asked(_model(trial, target), trial, asked, strength, max_queries).items():
            scores.setdefault(name, np.full((len(targets), len(trial.population)), np.nan))[place, asked] = score
            spent.setdefault(name, []).append(float(queries.mean()))
    tables = [Scores(name, 0, targets, score, own.member[targets]) for name, score in scores.items()]
    return tables, {name: float(np.mean(counts)) for name, counts in spent.items()}


def _model(trial: StockTrial, number: int) -> BlackBox:
    e = trial.experiment
    return e.trainer.fit_many(e.dataset, np.flatnonzero(trial.own.member[number])[None], e.seed, number)[0]


def _asked(
    model: BlackBox, trial: StockTrial, asked: np.ndarray, strength: dict[str, float], max_queries: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    e = trial.experiment
    x, y = e.dataset.x[asked], e.dataset.y[asked]
    found = {
        "label_gap": label_only_gap(model, x, y),
        "label_noise": label_only_noise(model, x, y, copies=NOISY_COPIES, seed=e.seed, refused=None, **strength),
        "label_boundary": label_only_boundary(model, x, y, max_queries=max_queries, seed=e.seed),
    }
    if x.ndim > 2:
        found["label_augmentation"] = label_only_augmentation(model, x, y, views(shift=2))
    return {name: (result.score, result.queries) for name, result in found.items()}


def _strength(trial: StockTrial, reference: int, asked: np.ndarray) -> dict[str, float]:
    e, model, member = trial.experiment, _model(trial, reference), trial.own.member[reference][asked]
    x, y = e.dataset.x[asked], e.dataset.y[asked]
    name, tried = ("rate", RATES) if is_bits(x) else ("sigma", SIGMAS)
    values = {
        strength: metrics.auc(
            member, label_only_noise(model, x, y, copies=NOISY_COPIES, seed=e.seed, refused=None, **{name: strength}).score
        )
        for strength in tried
    }
    return {name: max(values, key=lambda strength: values[strength])}
