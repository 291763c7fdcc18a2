"""Figures: tidy tables and an `ax` in, nothing out; `draw` makes a picture of one or several panels."""

from mialib.plots.answers import accuracy_gaps, answer_differences, answer_shift, histograms, noise_by_side
from mialib.plots.attacks import attack_comparison, by_variant, precision_by_noise, query_budget, roc_curves, shadow_count
from mialib.plots.audit import audit_answers, audit_attacks, audit_curves, audit_groups, audit_moment, audit_remedies
from mialib.plots.classes import boxes, cdfs, class_dots, densities, pictures
from mialib.plots.families import family_lines
from mialib.plots.finding import why_and_outcome
from mialib.plots.leakage import knob_curves, mitigation_rows, utility_leakage
from mialib.plots.modern import (
    average_against_low,
    epsilon_bounds,
    found_by_both,
    ladder_steps,
    log_roc_curves,
    mark_correlations,
    reference_counts,
)
from mialib.plots.panels import draw
from mialib.plots.play import called_members, one_mitigation, one_record
from mialib.plots.related import (
    by_share,
    extraction_curves,
    inside_and_outside,
    inverted_pictures,
    kinds_of_model,
    through_an_app,
    wrong_kinds,
)
from mialib.plots.scoreboard import claim_dots, glance, low_rates, table_two
from mialib.plots.steps import by_membership, prediction_vectors, shadow_splits

__all__ = [
    "accuracy_gaps", "answer_differences", "answer_shift", "attack_comparison", "audit_answers", "audit_attacks",
    "audit_curves", "audit_groups", "audit_moment", "audit_remedies", "average_against_low", "boxes", "by_membership",
    "by_share", "by_variant", "called_members", "cdfs", "claim_dots", "class_dots", "densities", "draw", "epsilon_bounds",
    "extraction_curves", "family_lines", "found_by_both", "glance", "histograms", "inside_and_outside", "inverted_pictures",
    "kinds_of_model", "knob_curves", "ladder_steps", "log_roc_curves", "low_rates", "mark_correlations", "mitigation_rows",
    "noise_by_side", "one_mitigation", "one_record", "pictures", "precision_by_noise", "prediction_vectors", "query_budget",
    "reference_counts", "roc_curves", "shadow_count", "shadow_splits", "table_two", "through_an_app", "utility_leakage",
    "why_and_outcome", "wrong_kinds",
]  # fmt: skip
