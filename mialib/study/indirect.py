"""Indirect access: what is left of each attack when an app stands between the attacker and the model.

The attacker sees what the app shows, of targets and of shadow models alike: he puts the same app before his own. Every model of
a stock has an app of its own, asked about the same records in the same order; a record that the app refuses is called a
non-member, its score below all others.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack.suite import STOCK_ATTACKS, Attacked
from mialib.core import checks, randomness
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, BlackBox
from mialib.shadow.signals import log_odds
from mialib.study.app_kinds import (
    APP_KINDS,
    USUAL,
    AppKind,
    Asking,
    OwnersRules,
    ThroughApp,
    app_before,
    check_kinds,
    check_rules,
    owners_rules,
)
from mialib.study.app_labels import by_labels
from mialib.study.apps import App, Shown, names_of, same_record
from mialib.study.measured import TWO_ATTACKS, mean_over_targets
from mialib.study.mitigated import FLOORS
from mialib.study.stocks import BEST, StockExperiment, StockTrial, run_stock
from mialib.study.tables import columns_first

FIRST_COLUMNS = ["dataset", "source", "app", "attack", "queries", "refused"]
USERS = "none"  # in the column attack: what the app is worth to those who only want an answer


def indirect_table(
    e: StockExperiment,
    kinds: Sequence[AppKind] = APP_KINDS,
    asking: Asking = USUAL,
    let_through: float = 0.95,
    alike: float = 0.05,
    fpr: float = 0.01,
) -> pd.DataFrame:
    """What is left of each attack through each app, for the first targets of a stock: dataset, source, app, attack, queries
    (rows that reached the app a record), refused (share of them), metric, fpr, value, low, high, n_targets.

    Attacks: shokri and confidence (fitted on the shadows' shown answers), lira_online_global (with all references), label_gap,
    label_noise and label_boundary (labels alone, on some records). metric: auc, tpr (at `fpr`; no row where a target's
    non-members are too few to carry it), balanced_accuracy; precision and recall of attacks with a threshold of their own;
    auc_gain, the paired difference of AUC to the first kind, on the same records; from_cache, the share of rows answered from
    what the app kept, a count; test_accuracy (attack "none"): share of non-members to which the app shows the right label.
    Labels depend on what an app keeps and refuses, not on what else it shows: the label-only attacks are asked once for those
    that are alike, and not where scores are noisy. All prediction vectors of the stock are in memory together. Raises TypeError
    or ValueError, also where an app refuses all members, or all non-members, of a target.
    """
    _check(e, kinds, asking)
    check_rules(e, let_through, alike)
    checks.real("fpr", fpr, 0, 1, open_low=True)
    trial = run_stock(e)
    rules = owners_rules(trial, let_through, alike)
    targets = trial.targets(asking.n_targets)
    answers = np.stack([trial.answers(i).predictions for i in range(len(trial.own))])
    names = names_of(e.dataset.x, same_record)
    found = [each for kind in kinds for each in _by_answers(trial, kind, rules, asking, answers, names)]
    if asking.n_records:
        found += by_labels(trial, kinds, rules, asking)
    rows = [row for each in found for row in _rows(each, trial, targets, fpr)]
    direct = {each.attack: each for each in found if each.app == kinds[0].name}
    rows += [
        _gain(each, direct[each.attack], trial.own.member[targets])
        for each in found
        if each.app != kinds[0].name and each.attack in direct.keys() - {USERS}
    ]
    table = pd.DataFrame(rows).assign(dataset=e.dataset.name, source=e.dataset.source)
    order = {kind.name: i for i, kind in enumerate(kinds)}
    table = table.sort_values("app", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return columns_first(table, FIRST_COLUMNS)


def _check(e: StockExperiment, kinds: Sequence[AppKind], asking: Asking) -> None:
    check_kinds(kinds, e.dataset.n_classes)
    checks.whole("n_models", e.n_models, 6)
    checks.whole("n_targets", asking.n_targets, 1, e.n_models - 2, "on the last model and its complement the attacker tunes")
    for name in ("n_references", "copies", "max_queries"):
        checks.whole(name, getattr(asking, name), 1)
    if asking.n_records:
        checks.whole("n_records", asking.n_records, 2)


# Attacks on what the app shows of a record


class _Recorded:
    """A model that answers about records what it answered before: answers (n, n_classes) of the records of these names."""

    def __init__(self, names: Sequence[bytes], answers: np.ndarray) -> None:
        self._row, self._answers = {name: i for i, name in enumerate(names)}, answers

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return self._answers[[self._row[name] for name in names_of(x, same_record)]]


def _shown(trial: StockTrial, kind: AppKind, rules: OwnersRules, number: int, model: BlackBox) -> tuple[Shown, App]:
    """What an app before a model shows of all records: the mean of its answers, where it is asked several times."""
    dataset = trial.experiment.dataset
    app = app_before(kind, rules, model, dataset.n_classes, randomness.derive(trial.experiment.seed, "app", number))
    shown = [app.ask(dataset.x) for _ in range(kind.times)]
    mean = np.stack([each.answers for each in shown]).mean(0, dtype=np.float64)
    return Shown(mean.astype(np.float32), shown[0].refused), app


def _by_answers(
    trial: StockTrial, kind: AppKind, rules: OwnersRules, asking: Asking, answers: np.ndarray, names: Sequence[bytes]
) -> list[ThroughApp]:
    member, labels = trial.own.member, trial.own.labels
    shown, apps = zip(*(_shown(trial, kind, rules, i, _Recorded(names, each)) for i, each in enumerate(answers)), strict=True)
    targets = trial.targets(asking.n_targets)
    known = ~shown[0].refused  # what is refused is a matter of records and their order: the same of every model
    _check_left(kind, known & ~trial.population, member[targets])
    data = [AttackData(each.answers, labels, inside)[known] for each, inside in zip(shown, member, strict=True)]
    shares = [[apps[t].refused / apps[t].asked, apps[t].from_cache / apps[t].asked] for t in targets]
    counts = float(kind.times), *np.mean(shares, axis=0).tolist()
    judged, attacks = partial(_judged, trial.population, known), list[ThroughApp]()
    for name, fit in TWO_ATTACKS.items():
        scores, decisions = [], []
        for target in targets.tolist():
            references = trial.own.references(target)[: asking.n_references]
            fitted = fit(AttackData.joined(data[i] for i in references))
            scores.append(judged(fitted.membership_score(data[target])))
            decisions.append(judged(np.where(fitted.infer(data[target]), 1.0, 0.0)) > 0)
        attacks.append(ThroughApp(kind.name, name, np.stack(scores), np.stack(decisions), *counts))
    score = np.stack([judged(each) for each in _lira(data, targets, trial.population[known], kind.whole)])
    attacks.append(ThroughApp(kind.name, BEST, score, None, *counts))
    right = np.stack([judged(data[t].predictions.argmax(1) == data[t].labels) for t in targets])
    return [*attacks, ThroughApp(kind.name, USERS, right, None, *counts)]


def _check_left(kind: AppKind, left: np.ndarray, member: np.ndarray) -> None:
    for target, inside in enumerate(member):
        for name, side in (("members", inside), ("non-members", ~inside)):
            if not (left & side).any():
                raise ValueError(
                    f"kinds must let through some {name} of every target, got {kind.name!r}, which refuses all of "
                    f"target {target}'s"
                )


def _judged(population: np.ndarray, known: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Scores of the records `known` as those of all (n,): -inf of those refused, NaN of the population."""
    whole = np.full(len(known), -np.inf)
    whole[known] = score
    whole[population] = np.nan
    return whole


def _lira(data: Sequence[AttackData], targets: np.ndarray, population: np.ndarray, whole: bool) -> list[np.ndarray]:
    """LiRA on what is shown, with all references. Filtered answers are read with the floor of `mitigated.FLOORS` with which it
    ranks the records of the last model best (as `mitigated.filtered_stock`).
    """
    member, labels = np.stack([each.member for each in data]), data[0].labels

    def attacked(floor: float | None, target: int) -> np.ndarray:
        stock = Stock(np.stack([log_odds(each.predictions, labels, floor) for each in data]), member, labels)
        return STOCK_ATTACKS[BEST](Attacked(stock.signal[target], stock[stock.references(target)], population))

    def last_auc(floor: float) -> float:
        return metrics.auc(member[-1][~population], attacked(floor, len(data) - 1)[~population])

    floor = None if whole else max(FLOORS, key=last_auc)
    return [attacked(floor, target) for target in targets.tolist()]


# The table


def _rows(found: ThroughApp, trial: StockTrial, targets: np.ndarray, fpr: float) -> Iterable[dict[str, Any]]:
    front = {"app": found.app, "attack": found.attack, "queries": found.queries, "refused": found.refused}
    member, judged = trial.own.member[targets], ~np.isnan(found.score)
    if found.attack == USERS:
        others = judged & ~member
        yield front | _share("test_accuracy", others & (found.score > 0), others)
        return
    exact = {"value": found.from_cache, "low": found.from_cache, "high": found.from_cache, "n_targets": len(targets)}
    yield front | {"metric": "from_cache", "fpr": np.nan} | exact
    ranked = metrics.tpr_table(found.score, member, fprs=(fpr,))
    for row in ranked[~ranked["pooled"]].to_dict("records"):
        yield front | {name: row[name] for name in ("metric", "fpr", "value", "low", "high", "n_targets")}
    if found.decision is not None:
        called = judged & found.decision
        yield front | _share("precision", called & member, called)
        yield front | _share("recall", called & member, judged & member)


def _share(name: str, right: np.ndarray, among: np.ndarray) -> dict[str, Any]:
    """What share of `among` is right, bool (t, n) both; a target without any is left out. All targets are about the same
    records: these are drawn anew, for all of them together.
    """
    some = among.any(1)
    right, among = right[some], among[some]
    hits, drawn = (_draws(among.shape[1]) @ each.T.astype(np.float32) for each in (right, among))  # (n_boot, t)
    draws = np.divide(hits, drawn, out=np.full(hits.shape, np.nan), where=drawn > 0).mean(1)
    return {"metric": name, "fpr": np.nan} | mean_over_targets(right.sum(1) / among.sum(1), draws)


@lru_cache(maxsize=2)
def _draws(n: int, n_boot: int = 200) -> np.ndarray:
    """How often each of n records is drawn, float32 (n_boot, n)."""
    rng = np.random.default_rng(0)
    return np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_boot)]).astype(np.float32)


def _gain(found: ThroughApp, direct: ThroughApp, member: np.ndarray) -> dict[str, Any]:
    """AUC less that of direct access, on the same targets and records: mean over targets, and the wider of Student's t over
    them and a bootstrap of records, which follows the draws to first order (as `metrics.tpr_table`).
    """
    of = [
        [metrics.auc_influence(score, inside) for score, inside in zip(each.score, member, strict=True)]
        for each in (found, direct)
    ]
    gains = np.array([ours[0] - theirs[0] for ours, theirs in zip(*of, strict=True)])
    influence = np.mean([ours[1] - theirs[1] for ours, theirs in zip(*of, strict=True)], axis=0)
    draws = gains.mean() + _draws(len(influence)) @ influence
    front = {"app": found.app, "attack": found.attack, "queries": found.queries, "refused": found.refused}
    return front | {"metric": "auc_gain", "fpr": np.nan} | mean_over_targets(gains, draws, bounds=(-1, 1))
