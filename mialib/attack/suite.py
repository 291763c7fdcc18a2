"""All attacks with references by their names in tables, in one interface."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from mialib.attack import likelihood_ratio, references, relative
from mialib.attack.ablations import Fit
from mialib.attack.learned import fit_attack
from mialib.attack.thresholds import modified_entropy_threshold
from mialib.core.stocks import Stock


class Attacked(NamedTuple):
    """A target as its attacker has it: signal (n,) or (n, q), the references' stock, and the population, bool (n,)."""

    signal: np.ndarray
    references: Stock
    population: np.ndarray


StockAttack = Callable[[Attacked], np.ndarray]


def _lira(**settings: str) -> StockAttack:
    return lambda t: likelihood_ratio.lira(t.signal, t.references, **settings)


def _rmia(mode: str) -> StockAttack:
    return lambda t: relative.rmia(t.signal, t.references, t.population, mode=mode)


STOCK_ATTACKS: dict[str, StockAttack] = {  # by their names in tables: one threshold for all records, then a record's own
    "confidence": lambda t: references.judged(list(references.check_signal(t.signal, t.references).T)),
    "attack_p": lambda t: references.attack_p(t.signal, t.references, t.population),
    "attack_r": lambda t: references.attack_r(t.signal, t.references),
    "watson": lambda t: references.calibrated(t.signal, t.references),
    "sablayrolles": lambda t: references.sablayrolles(t.signal, t.references),
    "base": lambda t: references.base(t.signal, t.references),
    "rmia_offline": _rmia("offline"),
    "rmia_online": _rmia("online"),
    "lira_offline_logpdf": _lira(mode="offline-logpdf", variance="record"),
    "lira_offline_logpdf_global": _lira(mode="offline-logpdf", variance="global"),
    "lira_offline": _lira(mode="offline", variance="record"),
    "lira_offline_global": _lira(mode="offline", variance="global"),
    "lira_online": _lira(variance="record"),
    "lira_online_global": _lira(variance="global"),
}
ANSWER_ATTACKS: dict[str, Fit] = {  # those that see whole prediction vectors, fitted on the references' answers
    "shokri": fit_attack,
    "song_mittal": partial(modified_entropy_threshold, per_class=True),
}
