"""Indirect access: what is left of each attack when an app stands between the attacker and the model.

The attacker sees what the app shows, of targets and of shadow models alike: he puts the same app before his own. Every model of
a stock has an app of its own, asked about the same records in the same order; a record that the app refuses is called a
non-member, its score below all others.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib import metrics
from mialib.attack.boundary import label_only_boundary
from mialib.attack.label_only import LabelOnly, is_bits, label_only_gap, label_only_noise
from mialib.attack.suite import STOCK_ATTACKS, Attacked
from mialib.core import cache, checks, randomness
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, BlackBox
from mialib.shadow.records import nearest
from mialib.shadow.signals import log_odds
from mialib.study.apps import (
    App,
    Gate,
    Key,
    Shown,
    check_shown,
    names_of,
    near_to,
    roughness,
    same_record,
    smooth,
    some_columns,
    thumbnail,
)
from mialib.study.measured import TWO_ATTACKS
from mialib.study.mitigated import FLOORS
from mialib.study.questions import RATES, SIGMAS
from mialib.study.stocks import BEST, StockExperiment, StockTrial, run_stock
from mialib.study.tables import columns_first

FIRST_COLUMNS = ["dataset", "source", "app", "attack", "queries", "refused"]
USERS = "none"  # in the column attack: what the app is worth to those who only want an answer
LEVELS = 4  # of grey, of a thumbnail


class AppKind(NamedTuple):
    """A kind of app by its name in tables. top, digits, noise: as of `apps.App`.

    keeps: None, "same" (the same record again gets the same answer) or "alike" (so does one that looks like it). gated: the app
    refuses records unlike those of its owner. times: how often the attacker asks about a record, and takes the mean answer.
    """

    name: str
    top: int | None = None
    digits: int | None = None
    keeps: str | None = None
    gated: bool = False
    noise: float = 0.0
    times: int = 1

    @property
    def whole(self) -> bool:
        """Whether what it shows of a record is a model's prediction vector, unchanged."""
        return self.top is None and self.digits is None and not self.noise


DIRECT_ACCESS = AppKind("all answers")
APP_KINDS = (
    DIRECT_ACCESS,
    AppKind("label and score, 2 digits", 1, 2),
    AppKind("label and score, 1 digit", 1, 1),
    AppKind("label alone", 1, 0),
    AppKind("near cache", keeps="alike"),
    AppKind("gate", gated=True),
    AppKind("all three", 1, 1, keeps="alike", gated=True),
    AppKind("noise, asked once", noise=0.3),
    AppKind("noise, asked 10 times", noise=0.3, times=10),
    AppKind("noise, asked 10 times, exact cache", noise=0.3, times=10, keeps="same"),
)


class Asking(NamedTuple):
    """How much is asked. n_targets: models of the stock that are attacked. n_references: shadow models that the attack of 2017
    and one threshold are fitted on, at most; LiRA takes all. Of the label-only attacks: n_records of each target's, copies (of
    the noise), max_queries (of the search for the boundary); 0 records leave them out.
    """

    n_targets: int = 3
    n_references: int = 6
    n_records: int = 200
    copies: int = 30
    max_queries: int = 100


USUAL = Asking()


class OwnersRules(NamedTuple):
    """What an app's owner sets from records that he holds, members of nothing that is judged: `describe` is for keys."""

    key: Key
    gate: Gate
    describe: dict[str, Any]


class ThroughApp(NamedTuple):
    """What an attack said through an app: score (t, n), -inf where nothing was answered, NaN where a record is not judged;
    decision bool (t, n), or None of an attack without a threshold; queries a record, and the shares of these rows that
    were refused, and that were answered from what the app kept.
    """

    app: str
    attack: str
    score: np.ndarray
    decision: np.ndarray | None
    queries: float
    refused: float
    from_cache: float


def owners_rules(trial: StockTrial, let_through: float = 0.95, alike: float = 0.05) -> OwnersRules:
    """A coarse key and a gate for a stock's records, bits or pictures, set on its population alone, which no attack judges.

    Key: of bits, the first of the columns in random order, of pictures a thumbnail; the coarsest under which at most the share
    `alike` of the owner's records look like an earlier one. Gate: of bits, the distance to the owner's nearest record, of
    pictures the `roughness`: a share `let_through` of the owner's own records pass, each measured against the others.
    """
    e = trial.experiment
    _check_rules(e, let_through, alike)
    x = e.dataset.x[trial.population]
    if is_bits(x):
        order = randomness.generator(e.seed, "columns of an app's key").permutation(x.shape[1])
        keys: list[tuple[int, Key]] = [(m, some_columns(order[:m])) for m in _ladder(x.shape[1])]
        others = [nearest(x[i : i + 1], np.delete(x, i, 0))[0] for i in range(len(x))] if len(x) > 1 else [0.0]
        most = float(np.quantile(others, let_through))
        gate, kind = near_to(x, most), "bits"
    else:
        keys = [(side, thumbnail(side, LEVELS)) for side in _ladder(min(x.shape[1:3]))]
        most = float(np.quantile(roughness(x), let_through))
        gate, kind = smooth(most), "pictures"
    size, key = next((each for each in keys if 1 - len(set(names_of(x, each[1]))) / len(x) <= alike), keys[-1])
    return OwnersRules(key, gate, {"records": cache.digest(x), "kind": kind, "size": size, "most": most})


def _check_rules(e: StockExperiment, let_through: float, alike: float) -> None:
    checks.real("let_through", let_through, 0, 1, open_low=True)
    checks.real("alike", alike, 0, 1)
    x = e.dataset.x
    if not is_bits(x) and (x.dtype != np.uint8 or x.ndim < 3):
        raise ValueError(f"dataset must hold bits or pictures, for which an app has a key and a gate, got {checks.kind(x)}")


def _ladder(most: int) -> list[int]:
    """About 2, 3, 4, 6, 8, 12 … up to `most`, and this."""
    steps = {round(2 ** (i / 2)) for i in range(2, 40)}
    return sorted({n for n in steps if n < most} | {most})


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
    _check_rules(e, let_through, alike)
    checks.real("fpr", fpr, 0, 1, open_low=True)
    trial = run_stock(e)
    rules = owners_rules(trial, let_through, alike)
    targets = trial.targets(asking.n_targets)
    answers = np.stack([trial.answers(i).predictions for i in range(len(trial.own))])
    names = names_of(e.dataset.x, same_record)
    found = [each for kind in kinds for each in _by_answers(trial, kind, rules, asking, answers, names)]
    if asking.n_records:
        found += _by_labels(trial, kinds, rules, asking)
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
    if not len(kinds) or any(not isinstance(kind, AppKind) for kind in kinds):
        raise ValueError(f"kinds must hold at least one AppKind, got {kinds!r:.80}")
    if len({kind.name for kind in kinds}) < len(kinds):
        raise ValueError(f"kinds must have different names, got {[kind.name for kind in kinds]}")
    for kind in kinds:
        check_shown(kind.top, kind.digits, e.dataset.n_classes)
        checks.choice("keeps", kind.keeps, (None, "same", "alike"))
        checks.real("noise", kind.noise, 0)
        checks.whole("times", kind.times, 1)
    checks.whole("n_models", e.n_models, 6)
    checks.whole("n_targets", asking.n_targets, 1, e.n_models - 2, "on the last model and its complement the attacker tunes")
    for name in ("n_references", "copies", "max_queries"):
        checks.whole(name, getattr(asking, name), 1)
    if asking.n_records:
        checks.whole("n_records", asking.n_records, 2)


def _app(kind: AppKind, rules: OwnersRules, model: BlackBox, n_classes: int, seed: int) -> App:
    key = {None: None, "same": same_record, "alike": rules.key}[kind.keeps]
    gate = rules.gate if kind.gated else None
    return App(model, n_classes, top=kind.top, digits=kind.digits, noise=kind.noise, key=key, gate=gate, seed=seed)


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
    app = _app(kind, rules, model, dataset.n_classes, randomness.derive(trial.experiment.seed, "app", number))
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


# Attacks that use the labels alone


def _by_labels(trial: StockTrial, kinds: Sequence[AppKind], rules: OwnersRules, asking: Asking) -> list[ThroughApp]:
    e, targets = trial.experiment, trial.targets(asking.n_targets)
    judged = np.flatnonzero(~trial.population)
    asked = randomness.generator(e.seed, "label alone").choice(judged, min(asking.n_records, len(judged)), replace=False)
    asked.sort()
    found, alike = [], dict[tuple[str | None, bool], list[ThroughApp]]()
    for kind in kinds:
        if kind.noise or kind.times > 1:
            continue
        same = kind.keeps, kind.gated
        if same not in alike:
            parts = [_kept_labels(trial, kind, rules, asking, int(t), asked) for t in targets]
            alike[same] = [_spread(trial, asked, name, [part[name] for part in parts]) for name in parts[0]]
        found += [each._replace(app=kind.name) for each in alike[same]]
    return found


def _spread(trial: StockTrial, asked: np.ndarray, name: str, parts: Sequence[np.ndarray]) -> ThroughApp:
    """parts: of each target, the scores of the records asked, then rows asked, refused and answered from what was kept."""
    score = np.full((len(parts), len(trial.population)), np.nan)
    score[:, asked] = [part[:-3] for part in parts]
    rows, refused, from_cache = np.sum([part[-3:] for part in parts], axis=0)
    return ThroughApp("", name, score, None, rows / (len(parts) * len(asked)), refused / rows, from_cache / rows)


def _kept_labels(
    trial: StockTrial, kind: AppKind, rules: OwnersRules, asking: Asking, target: int, asked: np.ndarray
) -> dict[str, np.ndarray]:
    """Of each label-only attack the scores of a target's records, then the rows asked, refused and answered from what the app
    kept: from the cache, or asked for it.
    """
    e, reference = trial.experiment, int(trial.own.references(target, 1)[0])
    rows = np.stack([np.flatnonzero(trial.own.member[i]) for i in (target, reference)])
    models = [e.trainer.keys(e.dataset, rows[j : j + 1], e.seed, i)[0] for j, i in enumerate((target, reference))]
    settings = {"copies": asking.copies, "max_queries": asking.max_queries, "seed": e.seed, "asked": cache.digest(asked)}
    how = {"keeps": kind.keeps, "gated": kind.gated, "rules": rules.describe, "code": cache.code_digest(__name__)}
    key = {"models": models, **settings, **how}
    shapes = {name: ((len(asked) + 3,), "float64") for name in ("label_gap", "label_noise", "label_boundary")}
    stored = cache.load("indirect", key, partial(_check_stored, expected=shapes))
    if stored is None:
        stored = _label_scores(trial, kind, rules, asking, (target, reference), asked)
        cache.save("indirect", key, stored)
    return stored


def _check_stored(stored: dict[str, np.ndarray], expected: dict[str, Any]) -> None:
    cache.expect({name: np.maximum(part, -1.0) for name, part in stored.items()}, expected)  # -inf is a score


def _label_scores(
    trial: StockTrial, kind: AppKind, rules: OwnersRules, asking: Asking, numbers: tuple[int, int], asked: np.ndarray
) -> dict[str, np.ndarray]:
    """Each attack meets an app that was never asked before. Noise takes the strength that ranks best on a reference."""
    e = trial.experiment
    x, y, label_alone = e.dataset.x[asked], e.dataset.y[asked], AppKind("", 1, 0, kind.keeps, kind.gated)
    model, reference = (e.trainer.fit_many(e.dataset, np.flatnonzero(trial.own.member[i])[None], e.seed, i)[0] for i in numbers)

    def through(black_box: BlackBox) -> App:
        return _app(label_alone, rules, black_box, e.dataset.n_classes, e.seed)

    def noise(app: App, strength: dict[str, float]) -> LabelOnly:
        return label_only_noise(app, x, y, copies=asking.copies, seed=e.seed, refused=app.refusal, **strength)

    name, tried = ("rate", RATES) if is_bits(x) else ("sigma", SIGMAS)
    member = trial.own.member[numbers[1]][asked]
    best = max(tried, key=lambda each: metrics.auc(member, noise(through(reference), {name: each}).score))
    attacks = {
        "label_gap": lambda app: label_only_gap(app, x, y, refused=app.refusal),
        "label_noise": lambda app: noise(app, {name: best}),
        "label_boundary": lambda app: label_only_boundary(
            app, x, y, max_queries=asking.max_queries, seed=e.seed, refused=app.refusal
        ),
    }
    found = {}
    for attack, ask in attacks.items():
        app = through(model)
        found[attack] = np.append(ask(app).score, [app.asked, app.refused, app.from_cache]).astype(float)
    return found


# The table


def _rows(found: ThroughApp, trial: StockTrial, targets: np.ndarray, fpr: float) -> Iterable[dict[str, Any]]:
    front = {"app": found.app, "attack": found.attack, "queries": found.queries, "refused": found.refused}
    member = trial.own.member[targets]
    pairs = [_as_data(inside, judged) for inside, judged in zip(member, ~np.isnan(found.score), strict=True)]
    if found.attack == USERS:
        right = [(data, score[~np.isnan(score)] > 0) for data, score in zip(pairs, found.score, strict=True)]
        yield front | _measured("test_accuracy", metrics.interval(right, "false_positive_rate"))
        return
    exact = {"value": found.from_cache, "low": found.from_cache, "high": found.from_cache, "n_targets": len(targets)}
    yield front | {"metric": "from_cache", "fpr": np.nan} | exact
    ranked = metrics.tpr_table(found.score, member, fprs=(fpr,))
    for row in ranked[~ranked["pooled"]].to_dict("records"):
        yield front | {name: row[name] for name in ("metric", "fpr", "value", "low", "high", "n_targets")}
    if found.decision is not None:
        decided = [(d, called[~np.isnan(s)]) for d, called, s in zip(pairs, found.decision, found.score, strict=True)]
        yield from (front | _measured(name, metrics.interval(decided, name)) for name in ("precision", "recall"))


def _as_data(member: np.ndarray, judged: np.ndarray) -> AttackData:
    """Membership of the records judged, for metrics that look at nothing else."""
    n = int(judged.sum())
    return AttackData(np.zeros((n, 2), np.float32), np.zeros(n, np.int64), member[judged])


def _measured(name: str, found: metrics.Interval) -> dict[str, Any]:
    return {"metric": name, "fpr": np.nan} | {part: getattr(found, part) for part in ("value", "low", "high", "n_targets")}


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
    low, high = metrics.wider(gains, draws, bounds=(-1, 1))
    front = {"app": found.app, "attack": found.attack, "queries": found.queries, "refused": found.refused}
    return front | {
        "metric": "auc_gain",
        "fpr": np.nan,
        "value": gains.mean(),
        "low": low,
        "high": high,
        "n_targets": len(gains),
    }
