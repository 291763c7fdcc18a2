"""Attacks: fitted on the answers of shadow models, or beside reference models, used on any model's. One attack a module."""

from mialib.attack.learned import fit_attack
from mialib.attack.likelihood_ratio import lira
from mialib.attack.references import attack_p, attack_r, base, calibrated, sablayrolles
from mialib.attack.relative import rmia, tuned_offset
from mialib.attack.thresholds import confidence_threshold, correctness_gap, entropy_threshold, modified_entropy_threshold
from mialib.core.stocks import Stock
from mialib.core.types import Attack, AttackData

__all__ = [
    "Attack", "AttackData", "Stock", "attack_p", "attack_r", "base", "calibrated", "confidence_threshold",
    "correctness_gap", "entropy_threshold", "fit_attack", "lira", "modified_entropy_threshold", "rmia", "sablayrolles",
    "tuned_offset",
]  # fmt: skip
