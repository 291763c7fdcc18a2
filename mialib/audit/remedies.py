"""What mitigations would buy on this model: filters of its answers, measured on the spot, and other trainings of references."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib import mitigations
from mialib.attack.suite import STOCK_ATTACKS
from mialib.audit.attackers import OF_ANSWERS, Scored, rehearse, rehearsed_auc, with_references
from mialib.audit.given import Given
from mialib.audit.references import References, of_auditor
from mialib.audit.targets import floor_of
from mialib.core.types import AttackData, Trainer, answered_right
from mialib.metrics import auc_interval, tpr_table
from mialib.shadow.answers import Filter

_FOLLOWED = ("lira_online_global", "watson", "song_mittal")  # beside the headline: the attacker adapts to a filter
_TARGETS = 4  # references that are attacked, of another training
_MOST_REFERENCES = 8  # of another training
_COLUMNS = [
    "mitigation", "kind", "measured_on", "attack", "auc", "auc_low", "auc_high", "tpr_at_0.01", "accuracy", "auc_change",
    "accuracy_change",
]  # fmt: skip


class Change(NamedTuple):
    """Another training: in words, and its trainer."""

    words: str
    trainer: Trainer


def harder_answers(kind: str, n_classes: int, seed: int) -> dict[str, Filter]:
    """Output filters that show less than the target does."""
    if kind == "labels":
        return {}
    found: dict[str, Filter] = {
        "rounded to one digit": lambda p: mitigations.round_to(p, 1),
        "the label alone": mitigations.label_only,
        "temperature 5": lambda p: mitigations.temperature(p, 5.0),
        "noise, σ = 0.03": lambda p: mitigations.noise(p, 0.03, seed),
    }
    return ({"the highest alone": lambda p: mitigations.top_k(p, 1)} if n_classes > 2 else {}) | found


def of_answers(data: AttackData, kind: str, references: References | None, headline: Scored, seed: int) -> pd.DataFrame:
    """What each filter leaves of the leak. The attacker knows of it, and picks, on references, the attack that does best."""
    rows = [_row("none", "none", "target", headline, data.member, _accuracy(data), seed)]
    for words, sees in harder_answers(kind, data.n_classes, seed).items():
        shown = AttackData(sees(data.predictions), data.labels, data.member)
        best = _best(shown, references, sees, headline, seed)
        rows.append(_row(words, "answers", "target", best, data.member, _accuracy(shown), seed))
    return _table(rows)


def _best(shown: AttackData, references: References | None, sees: Filter, headline: Scored, seed: int) -> Scored:
    if references is None:
        return Scored("no shadows", "confidence", OF_ANSWERS["confidence"](shown))
    filtered = np.stack([sees(p) for p in references.predictions])
    floor = floor_of(np.concatenate([filtered[:, : references.n_judged], shown.predictions[None]]), shown.labels)
    seen = replace(references, predictions=filtered, floor=floor)
    return max(with_references(shown, seen, seed, {headline.attack, *_FOLLOWED}), key=rehearsed_auc)


def _row(
    words: str, kind: str, measured_on: str, scored: Scored, member: np.ndarray, accuracy: float, seed: int
) -> dict[str, Any]:
    said = {"mitigation": words, "kind": kind, "measured_on": measured_on, "attack": scored.attack}
    return said | measured(scored.score[None], member[None], seed) | {"accuracy": accuracy}


def measured(scores: np.ndarray, member: np.ndarray, seed: int, dependence: float = 1.0) -> dict[str, float]:
    """AUC with its interval, and the members found at 1% false positives (NaN where not carried), of (t, n) scores.
    dependence: of one target's scores, as of `auc_interval`.
    """
    rates = tpr_table(scores, member, fprs=(0.01,), seed=seed).set_index("metric")
    one = auc_interval(scores[0], member[0], dependence) if len(scores) == 1 else None
    value, low, high = rates.loc["auc", ["value", "low", "high"]] if one is None else one
    return {"auc": value, "auc_low": low, "auc_high": high, "tpr_at_0.01": rates["value"].get("tpr", np.nan)}


def _accuracy(data: AttackData) -> float:
    """On records that the model was not trained on."""
    return float(answered_right(data)[~data.member].mean())


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """With the change against the first row, "none"."""
    table = pd.DataFrame(rows)
    for name in ("auc", "accuracy"):
        table[f"{name}_change"] = table[name] - table[name].iloc[0]
    return table[_COLUMNS]


# Other trainings


def changes(trainer: Trainer) -> list[Change]:
    """Trainings that overfit less, of a trainer whose settings are known; none for others."""
    from mialib.training.estimators import EstimatorTrainer
    from mialib.training.neural import NeuralTrainer

    if isinstance(trainer, EstimatorTrainer):
        return [*_of_estimator(trainer.estimator)]
    if type(trainer) is not NeuralTrainer:
        return []
    recipe = trainer.recipe
    l2, fewer = max(1e-3, 10 * recipe.l2), max(1, recipe.epochs // 3)
    stricter = {f"L2 of {l2:g}": replace(recipe, l2=l2), f"{fewer} epochs, not {recipe.epochs}": replace(recipe, epochs=fewer)}
    return [
        Change(words, NeuralTrainer(trainer.make_model, changed, str(trainer.device))) for words, changed in stricter.items()
    ]


OF_PARAMETER: dict[str, Callable[[Any], Any]] = {  # what makes the usual parameters of scikit-learn's classifiers stricter
    "min_samples_leaf": lambda v: 10 * v if isinstance(v, int) else None,
    "C": lambda v: v / 10,
    "n_neighbors": lambda v: 4 * v,
    "alpha": lambda v: max(100 * v, 1e-2),
    "max_leaf_nodes": lambda v: max(2, v // 4),
}


def _of_estimator(estimator: Any) -> Iterator[Change]:
    """One change of the last step of a pipeline, or of the classifier itself, and one more where it has two such settings."""
    from sklearn.base import clone

    from mialib.training.estimators import EstimatorTrainer

    parameters = estimator.get_params()
    found = 0
    for name in sorted(parameters, key=lambda each: (each.count("__"), each)):
        last = name.rpartition("__")[2]
        if last not in OF_PARAMETER or found == 2 or isinstance(parameters[name], str | bool) or parameters[name] is None:
            continue
        stricter = OF_PARAMETER[last](parameters[name])
        if stricter is not None and stricter != parameters[name]:
            found += 1
            yield Change(
                f"{last} {stricter:g}, not {parameters[name]:g}",
                EstimatorTrainer(clone(estimator).set_params(**{name: stricter})),
            )


def of_trainings(trainer: Trainer, given: Given, k: int, seed: int, chosen: list[Change], attack: str) -> pd.DataFrame:
    """References of the training as it is, and of each change, attacked in turn by the others: the mean over four of
    them. attack: one of `STOCK_ATTACKS`."""
    rows = []
    for words, kind, each in [("none", "none", trainer), *((c.words, "training", c.trainer) for c in chosen)]:
        references = of_auditor(each, given, min(k, _MOST_REFERENCES), seed)
        references = replace(references, floor=floor_of(references.predictions, references.labels))
        rows.append(_of_references(words, kind, references, attack, seed))
    return _table(rows)


def _of_references(words: str, kind: str, references: References, attack: str, seed: int) -> dict[str, Any]:
    found = [
        rehearse(references, STOCK_ATTACKS[attack], mock, seed) for mock in range(0, min(len(references), 2 * _TARGETS), 2)
    ]
    scores, member = (np.stack(part) for part in zip(*found, strict=True))
    said = {"mitigation": words, "kind": kind, "measured_on": "references", "attack": attack}
    return said | measured(scores, member, seed) | {"accuracy": references.accuracy[1]}
