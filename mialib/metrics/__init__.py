"""How well an attack does, and how sure that is: rates of decisions, rankings of scores."""

from mialib.metrics.intervals import Interval, interval, wider
from mialib.metrics.low_rates import tpr_table
from mialib.metrics.ranking import auc, balanced_accuracy, can_carry, ppv, roc, threshold_at_fpr, tpr_at_fpr
from mialib.metrics.rates import (
    METRICS,
    SUMMARIES,
    Counts,
    accuracy,
    by_class,
    count,
    false_positive_rate,
    overall,
    precision,
    recall,
    statistic,
)

__all__ = [
    "METRICS", "SUMMARIES", "Counts", "Interval", "accuracy", "auc", "balanced_accuracy", "by_class", "can_carry", "count",
    "false_positive_rate", "interval", "overall", "ppv", "precision", "recall", "roc", "statistic", "threshold_at_fpr",
    "tpr_at_fpr", "tpr_table", "wider",
]  # fmt: skip
