"""Attacks: fitted on the answers of shadow models, or beside reference models, used on any model's. One attack a module."""

from mialib.attack.boundary import label_only_boundary
from mialib.attack.extraction import extract, fit_softmax_regression, solve_softmax_regression
from mialib.attack.inside import Inside, look_inside, parameter_names, record_gradients
from mialib.attack.inversion import Inverted, invert, invert_by_answers
from mialib.attack.label_only import LabelOnly, label_only_augmentation, label_only_gap, label_only_noise
from mialib.attack.learned import fit_attack
from mialib.attack.likelihood_ratio import lira
from mialib.attack.quantile import quantile_regression
from mialib.attack.references import attack_p, attack_r, base, calibrated, sablayrolles
from mialib.attack.relative import rmia, tuned_offset
from mialib.attack.thresholds import confidence_threshold, correctness_gap, entropy_threshold, modified_entropy_threshold
from mialib.attack.white_box import fit_white_box
from mialib.core.stocks import Stock
from mialib.core.types import Attack, AttackData

__all__ = [
    "Attack", "AttackData", "Inside", "Inverted", "LabelOnly", "Stock", "attack_p", "attack_r", "base", "calibrated",
    "confidence_threshold", "correctness_gap", "entropy_threshold", "extract", "fit_attack", "fit_softmax_regression",
    "fit_white_box", "invert", "invert_by_answers", "label_only_augmentation", "label_only_boundary", "label_only_gap",
    "label_only_noise", "lira", "look_inside", "modified_entropy_threshold", "parameter_names", "quantile_regression",
    "record_gradients",
    "rmia", "sablayrolles", "solve_softmax_regression", "tuned_offset",
]  # fmt: skip
