"""Attacks: fitted on the answers of shadow models, used on any model's. One attack a module, one interface."""

from mialib.attack.learned import fit_attack
from mialib.attack.thresholds import confidence_threshold, correctness_gap, entropy_threshold, modified_entropy_threshold
from mialib.core.types import Attack, AttackData

__all__ = [
    "Attack", "AttackData", "confidence_threshold", "correctness_gap", "entropy_threshold", "fit_attack",
    "modified_entropy_threshold",
]  # fmt: skip
