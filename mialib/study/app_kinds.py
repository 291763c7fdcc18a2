"""Kinds of apps by their names in tables, how much is asked of them, and what an app's owner sets from records of his own:
what looks alike, and what is let through.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mialib.attack.label_only import is_bits
from mialib.core import cache, checks, randomness
from mialib.core.types import BlackBox
from mialib.shadow.records import nearest
from mialib.study.apps import (
    App,
    Gate,
    Key,
    check_shown,
    names_of,
    near_to,
    roughness,
    same_record,
    smooth,
    some_columns,
    thumbnail,
)
from mialib.study.stocks import StockExperiment, StockTrial

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


class OwnersRules(NamedTuple):
    """What an app's owner sets from records that no attack judges: had he set a gate on a model's own training set, it would
    itself tell members, which always pass. describe: all that determines it, for keys of the cache.
    """

    key: Key
    gate: Gate
    describe: dict[str, Any]


def check_kinds(kinds: Sequence[AppKind], n_classes: int) -> None:
    """TypeError or ValueError unless these are kinds of apps before models of so many classes, of different names."""
    if not len(kinds) or any(not isinstance(kind, AppKind) for kind in kinds):
        raise ValueError(f"kinds must hold at least one AppKind, got {kinds!r:.80}")
    if len({kind.name for kind in kinds}) < len(kinds):
        raise ValueError(f"kinds must have different names, got {[kind.name for kind in kinds]}")
    for kind in kinds:
        check_shown(kind.top, kind.digits, n_classes)
        checks.choice("keeps", kind.keeps, (None, "same", "alike"))
        checks.flag("gated", kind.gated)
        checks.real("noise", kind.noise, 0)
        checks.whole("times", kind.times, 1)


def owners_rules(trial: StockTrial, let_through: float = 0.95, alike: float = 0.05) -> OwnersRules:
    """A coarse key and a gate for a stock's records, bits or pictures, set on its population alone, which no attack judges.

    Key: of bits, the first of the columns in random order, of pictures a thumbnail; the coarsest under which at most the share
    `alike` of the owner's records look like an earlier one. Gate: of bits, the distance to the owner's nearest record, of
    pictures the `roughness`: a share `let_through` of the owner's own records pass, each measured against the others.
    """
    e = trial.experiment
    check_rules(e, let_through, alike)
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


def check_rules(e: StockExperiment, let_through: float, alike: float) -> None:
    """TypeError or ValueError unless `owners_rules` can be set so for these records."""
    checks.real("let_through", let_through, 0, 1, open_low=True)
    checks.real("alike", alike, 0, 1)
    x = e.dataset.x
    if not is_bits(x) and (x.dtype != np.uint8 or x.ndim < 3):
        raise ValueError(f"dataset must hold bits or pictures, for which an app has a key and a gate, got {checks.kind(x)}")


def _ladder(most: int) -> list[int]:
    """About 2, 3, 4, 6, 8, 12 … up to `most`, and this."""
    steps = {round(2 ** (i / 2)) for i in range(2, 40)}
    return sorted({n for n in steps if n < most} | {most})


def app_before(kind: AppKind, rules: OwnersRules, model: BlackBox, n_classes: int, seed: int) -> App:
    """An app of a kind before a model."""
    key = {None: None, "same": same_record, "alike": rules.key}[kind.keeps]
    gate = rules.gate if kind.gated else None
    return App(model, n_classes, top=kind.top, digits=kind.digits, noise=kind.noise, key=key, gate=gate, seed=seed)
