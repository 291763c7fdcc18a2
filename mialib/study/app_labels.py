"""Label-only attacks through apps: they ask about many copies of a record, which an app may take for one another, or refuse.

What was asked is kept in the cache, an app and target at a time.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from mialib import metrics
from mialib.attack.boundary import label_only_boundary
from mialib.attack.label_only import LabelOnly, is_bits, label_only_gap, label_only_noise
from mialib.core import cache, randomness
from mialib.core.types import BlackBox
from mialib.study.app_kinds import AppKind, Asking, OwnersRules, ThroughApp, app_before
from mialib.study.apps import App
from mialib.study.questions import RATES, SIGMAS
from mialib.study.stocks import StockTrial


def by_labels(trial: StockTrial, kinds: Sequence[AppKind], rules: OwnersRules, asking: Asking) -> list[ThroughApp]:
    """What the label-only attacks say of some records of each target, through each kind of app without noise."""
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
        return app_before(label_alone, rules, black_box, e.dataset.n_classes, e.seed)

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
