"""How well an attack does, and how sure that is: rates of decisions, rankings of scores, lower bounds of ε."""

from mialib.metrics.epsilon import (
    AuditedEpsilon,
    audited_epsilon,
    epsilon_ceiling,
    epsilon_lower_bound,
    one_run_epsilon,
)
from mialib.metrics.intervals import Interval, interval, spearman, wider
from mialib.metrics.low_rates import auc_influence, auc_interval, auc_log_odds, tpr_table
from mialib.metrics.ranking import auc, balanced_accuracy, can_carry, ppv, ppv_of_rates, roc, threshold_at_fpr, tpr_at_fpr
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
    "METRICS", "SUMMARIES", "AuditedEpsilon", "Counts", "Interval", "accuracy", "auc", "auc_influence", "auc_interval",
    "auc_log_odds",
    "audited_epsilon", "balanced_accuracy", "by_class", "can_carry", "count", "epsilon_ceiling", "epsilon_lower_bound",
    "false_positive_rate", "interval", "one_run_epsilon", "overall", "ppv", "ppv_of_rates", "precision", "recall",
    "roc", "spearman", "statistic", "threshold_at_fpr", "tpr_at_fpr", "tpr_table", "wider",
]  # fmt: skip
