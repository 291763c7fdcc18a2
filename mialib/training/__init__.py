"""Trainers: one recipe, many models at once. Target and shadows are trained alike because one trainer makes both."""

from mialib.core.types import BlackBox, Trainer
from mialib.training.black_boxes import black_box, module_of
from mialib.training.estimators import EstimatorTrainer, FunctionTrainer
from mialib.training.networks import cnn, mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.private import PrivateTrainer
from mialib.training.recipe import Estimate, Recipe, choose_precision
from mialib.training.residual import ResidualTrainer, residual
from mialib.training.soft import SoftTrainer

__all__ = [
    "BlackBox", "Estimate", "EstimatorTrainer", "FunctionTrainer", "NeuralTrainer", "PrivateTrainer", "Recipe",
    "ResidualTrainer", "SoftTrainer", "Trainer", "black_box", "choose_precision", "cnn", "mlp", "module_of",
    "residual",
]  # fmt: skip
