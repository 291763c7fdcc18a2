"""Membership inference attacks against machine learning models (Shokri et al., S&P 2017): the front door of the package.

What an attack takes, from data to its measure; the rooms hold the rest (`mialib.data`, `training`, `shadow`, `attack`,
`metrics`, `mitigations`, `plots`; and for this study `study`, `paper`, `runs`). Nothing is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mialib.attack import confidence_threshold, correctness_gap, fit_attack, lira, rmia
    from mialib.core import AttackData, Dataset, Features, Split
    from mialib.data import load, split_target
    from mialib.metrics import auc, by_class, interval, overall, roc, tpr_at_fpr
    from mialib.paper import published
    from mialib.shadow import query, sample_halves, sample_splits, shadow_attack_data, stock
    from mialib.training import EstimatorTrainer, FunctionTrainer, NeuralTrainer, Recipe, black_box, cnn, mlp

ROOMS = {
    "core": ("AttackData", "Dataset", "Features", "Split"),
    "data": ("load", "split_target"),
    "training": ("EstimatorTrainer", "FunctionTrainer", "NeuralTrainer", "Recipe", "black_box", "cnn", "mlp"),
    "shadow": ("query", "sample_halves", "sample_splits", "shadow_attack_data", "stock"),
    "attack": ("confidence_threshold", "correctness_gap", "fit_attack", "lira", "rmia"),
    "metrics": ("auc", "by_class", "interval", "overall", "roc", "tpr_at_fpr"),
    "paper": ("published",),
}
ROOM_OF = {name: room for room, names in ROOMS.items() for name in names}
__all__ = [*ROOM_OF]


def __getattr__(name: str) -> Any:
    if name not in ROOM_OF:
        raise AttributeError(f"module 'mialib' has no attribute {name!r}")
    return getattr(import_module(f"mialib.{ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *ROOM_OF})
