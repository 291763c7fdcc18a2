"""Every attack that the answers allow, on one target: by an attacker without shadows, by the outsider, by the auditor.

An attack is rehearsed where there are references: some of them take the target's place, with the others as theirs. Which attack
an audit reads first, and all thresholds, come from rehearsals alone, or from other records than those that are judged.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from mialib.attack import relative
from mialib.attack.ablations import Fit
from mialib.attack.likelihood_ratio import ENOUGH
from mialib.attack.quantile import quantile_regression
from mialib.attack.references import mean_where
from mialib.attack.suite import ANSWER_ATTACKS, STOCK_ATTACKS, Attacked, StockAttack
from mialib.attack.thresholds import confidence, negative_entropy, negative_modified_entropy
from mialib.audit.references import References
from mialib.core import randomness
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Dataset, answered_right
from mialib.metrics import auc
from mialib.shadow.signals import log_odds

REHEARSALS = 8  # of both models of a pair: what the one finds hard by chance, the other finds easy
OF_OUTSIDER = ("attack_r", "watson", "lira_offline_global")  # attacks that need OUT references alone
OF_AUDITOR = (
    "attack_r", "watson", "sablayrolles", "base", "rmia_offline", "rmia_online", "lira_offline_global", "lira_online_global",
)  # fmt: skip
PER_RECORD = (*OF_AUDITOR, "lira_online")
BLIND, BLIND_REFERENCES = "blind", "blind_references"
BLINDS = (BLIND, BLIND_REFERENCES)  # that do not look at the model
CROSSED = 2.0  # variance of the AUC of scores that records learned from one another, in that of independent ones: each pair of
# records of two folds counts twice, once with the one in training and once with the other
FOLDS = 5
MOST_LOOKED_AT = 5000  # records a side that tell whether members and non-members differ
OF_ANSWERS: dict[str, Callable[[AttackData], np.ndarray]] = {  # one number of an answer: what needs no other model
    "confidence": confidence,
    "entropy": negative_entropy,
    "modified_entropy": negative_modified_entropy,
    "label_gap": lambda data: answered_right(data).astype(float),
}
Rehearsal = tuple[np.ndarray, np.ndarray]  # score (n,) of a reference in the target's place, and member, bool (n,)


class Scored(NamedTuple):
    """One attack's scores of the judged records, float64 (n,), NaN where one is not judged; and its rehearsals."""

    attacker: str  # "no shadows", "outsider", "auditor"
    attack: str
    score: np.ndarray
    rehearsed: tuple[Rehearsal, ...] = ()


def without_shadows(data: AttackData, dataset: Dataset | None, seed: int, references: References | None = None) -> list[Scored]:
    """Attacks on the target's answers alone. dataset: the judged records, for attacks that look at these, too.

    references: where there are any, what these attacks are rehearsed on, to be compared with others.
    """
    mocks = [] if references is None else [references.data(i) for i in _mocks(references)]
    found = [
        Scored("no shadows", name, measure(data).astype(float), tuple((measure(m).astype(float), m.member) for m in mocks))
        for name, measure in OF_ANSWERS.items()
    ]
    if dataset is not None:
        score = crossed_quantile(log_odds(data.predictions, data.labels, 1e-6), dataset, data.member, seed)
        found += [] if score is None else [Scored("no shadows", "quantile", score)]
        found.append(Scored("no shadows", BLIND, blind(dataset, data.member, seed)))
    return found


def crossed_quantile(signal: np.ndarray, dataset: Dataset, member: np.ndarray, seed: int) -> np.ndarray | None:
    """Quantile regression, each half of the records judged by what the non-members of the other half are like; None where these
    are too few.
    """
    score, half = np.full(len(member), np.nan), _half(len(member), seed, "quantile")
    for judged in (half, ~half):
        known = ~judged & ~member
        fpr = max(0.01, 10 / max(1, known.sum()))
        if fpr > 0.25:
            return None
        rows = np.flatnonzero(judged | known)
        x, labels = dataset.x[rows], dataset.y[rows]
        score[rows[judged[rows]]] = quantile_regression(signal[rows], x, labels, known[rows], fpr=fpr, seed=seed)[judged[rows]]
    return score


def blind(dataset: Dataset, member: np.ndarray, seed: int) -> np.ndarray:
    """What tells members from non-members by their records alone, each fold judged by what was learned from the others: no
    attack on a model, but a warning that the two differ (Das, Zhang & Tramèr 2024).
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # late: a second
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rng = randomness.generator(seed, BLIND)
    rows = np.concatenate([rng.permutation(np.flatnonzero(side))[:MOST_LOOKED_AT] for side in (member, ~member)])
    x = np.column_stack([_small(dataset.x[rows]), dataset.y[rows]])
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=15, early_stopping=False, random_state=0)
    folds = StratifiedKFold(min(FOLDS, int(member.sum()), int((~member).sum())), shuffle=True, random_state=0)
    score = np.full(len(member), np.nan)
    with threadpool_limits(1, "openmp"):  # trees so small wait for one another's threads longer than they compute
        score[rows] = cross_val_predict(model, x, member[rows], cv=folds, method="predict_proba")[:, 1]
    return score


def references_alone(references: References) -> Scored:
    """What references without a record say of it, the target unasked: no attack, but a warning that members are easier, or
    rightly labelled, and non-members not.
    """
    stock = _cut(references.stock, slice(references.n_judged))
    return Scored(references.attacker, BLIND_REFERENCES, mean_where(stock.signal, ~stock.member))


def _small(x: np.ndarray) -> np.ndarray:
    """Records as (n, d) with d at most about 256: of more columns, means of neighbours."""
    flat = x.reshape(len(x), -1)
    step = -(-flat.shape[1] // 256)
    return flat if step == 1 else np.add.reduceat(flat, np.arange(0, flat.shape[1], step), axis=1, dtype=np.float32)


def with_references(data: AttackData, references: References, seed: int, names: Collection[str] | None = None) -> list[Scored]:
    """The attacks of one attacker, all or those of `names`. data: the target's answers on the judged records, seen as the
    references' are.
    """
    by_record, by_answers = record_attacks(references, seed), ANSWER_ATTACKS
    if names is not None:
        by_record = {name: attack for name, attack in by_record.items() if name in names}
        by_answers = {name: fit for name, fit in by_answers.items() if name in names}
    return [*_by_record(data, references, seed, by_record), *_by_answers(data, references, by_answers)]


def _by_record(data: AttackData, references: References, seed: int, attacks: Mapping[str, StockAttack]) -> Iterator[Scored]:
    signal = log_odds(data.predictions, data.labels, references.floor)
    rows = np.arange(references.n_judged)
    if references.attacker == "auditor":  # of an odd number of records one is in no half
        rows = rows[references.asked[:, : len(rows)].all(0)]
    stock = _cut(references.stock, rows)
    for name, attack in attacks.items():
        score = np.full(len(signal), np.nan)
        score[rows] = crossed(attack, signal[rows], stock, seed)
        rehearsed = tuple(rehearse(references, attack, mock, seed) for mock in _mocks(references))
        yield Scored(references.attacker, name, score, rehearsed)


def record_attacks(references: References, seed: int) -> dict[str, StockAttack]:
    """The attacks that compare a record's signal with its references'."""
    if references.attacker == "auditor":
        names = (*OF_AUDITOR, "lira_online") if len(references) >= ENOUGH else OF_AUDITOR
        return {name: STOCK_ATTACKS[name] for name in names}
    pool = _cut(references.stock, slice(references.n_judged, None))
    offset = relative.tuned_offset(pool, _half(len(pool.labels), seed, "offset"))

    def rmia(t: Attacked) -> np.ndarray:
        return relative.rmia(t.signal, t.references, t.population, a=offset, mode="offline")

    return {name: STOCK_ATTACKS[name] for name in OF_OUTSIDER} | {"rmia_offline": rmia}


def crossed(attack: StockAttack, signal: np.ndarray, stock: Stock, seed: int) -> np.ndarray:
    """Scores of all records: those of an attack with a population have the other half of the records for it."""
    half = _half(len(signal), seed, "population")
    first = attack(Attacked(signal, stock, half))
    if not np.isnan(first[half]).all():
        return first
    return np.where(half, attack(Attacked(signal, stock, ~half)), first)


def rehearse(references: References, attack: StockAttack, mock: int, seed: int) -> Rehearsal:
    """A reference in the target's place."""
    others = references.member[references.stock.references(mock)]
    rows = np.flatnonzero(references.asked[mock] & ~others.all(0))  # of the outsider's pool, all others may have some record
    stock = _cut(references.stock, rows)
    return crossed(attack, stock.signal[mock], stock[stock.references(mock)], seed), stock.member[mock]


def rehearsed_auc(scored: Scored) -> float:
    """Mean AUC over rehearsals, less its standard error: an attack that is now strong and now weak is not relied upon."""
    found = [auc(member, score) for score, member in scored.rehearsed]
    return float(np.mean(found) - (np.std(found, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0))


def _by_answers(data: AttackData, references: References, attacks: Mapping[str, Fit]) -> Iterator[Scored]:
    """Attacks fitted on the references' whole answers: the paper's, and a threshold a class; rehearsed in two halves."""
    k = len(references)
    halves = [np.flatnonzero(np.arange(k) // 2 % 2 == side) for side in (0, 1)]  # pairs of complements stay together
    everything = AttackData.joined(map(references.data, range(k)))
    for name, fit in attacks.items():
        score = fit(everything).membership_score(data).astype(float)
        rehearsed: list[Rehearsal] = []
        for fitted_on, judged in ((halves[0], halves[1]), (halves[1], halves[0])):
            attack = fit(AttackData.joined(references.data(int(i)) for i in fitted_on))
            mocks = (references.data(int(i)) for i in judged[: REHEARSALS // 2])
            rehearsed += [(attack.membership_score(mock).astype(float), mock.member) for mock in mocks]
        yield Scored(references.attacker, name, score, tuple(rehearsed))


def _mocks(references: References) -> list[int]:
    """References that take the target's place: both of each of the first pairs."""
    return [*range(len(references))][:REHEARSALS]


def _half(n: int, seed: int, use: str) -> np.ndarray:
    """A random half of n records, bool (n,)."""
    half = np.zeros(n, bool)
    half[randomness.generator(seed, "half", use).permutation(n)[: n // 2]] = True
    return half


def _cut(stock: Stock, rows: slice | np.ndarray) -> Stock:
    """A stock on some of its records."""
    right = None if stock.right is None else stock.right[:, rows]
    return Stock(stock.signal[:, rows], stock.member[:, rows], stock.labels[rows], right)
