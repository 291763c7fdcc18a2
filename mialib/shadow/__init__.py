"""The attacker's side of the data: splits, answers of models on their members and non-members, and records made up."""

from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Split, check_answers
from mialib.shadow.answers import count_missing, query, shadow_attack_data, untrained
from mialib.shadow.halves import sample_halves
from mialib.shadow.records import marginal, nearest, noisy
from mialib.shadow.signals import log_odds, stock, untrained_of_stock
from mialib.shadow.splits import overlapping_splits, sample_splits, swapped_splits
from mialib.shadow.synthesis import Synthesis, all_classes, answered, model_based
from mialib.shadow.views import View, views

__all__ = [
    "AttackData", "Split", "Stock", "Synthesis", "View", "all_classes", "answered", "check_answers", "count_missing",
    "log_odds", "marginal", "model_based", "nearest", "noisy", "overlapping_splits", "query", "sample_halves", "sample_splits",
    "shadow_attack_data", "stock", "swapped_splits", "untrained", "untrained_of_stock", "views",
]  # fmt: skip
