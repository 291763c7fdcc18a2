"""The experiments of this study, and their tables."""

from mialib.study.amazon import AmazonML
from mialib.study.experiments import (
    ATTACKS,
    LEARNED,
    ONLY_LEARNED,
    REAL,
    Case,
    Experiment,
    Outcome,
    Trial,
    announce,
    announce_shadows,
    learned,
    noisy_sources,
    plan_jobs,
    run_attacks,
    run_targets,
    run_trials,
    with_target_answers,
    without_failed,
)
from mialib.study.google import PredictionAPI
from mialib.study.inputs import held_out
from mialib.study.other_ways import other_ways
from mialib.study.planning import announce_fits

__all__ = [
    "ATTACKS",
    "LEARNED",
    "ONLY_LEARNED",
    "REAL",
    "AmazonML",
    "Case",
    "Experiment",
    "Outcome",
    "PredictionAPI",
    "Trial",
    "announce",
    "announce_fits",
    "announce_shadows",
    "held_out",
    "learned",
    "noisy_sources",
    "other_ways",
    "plan_jobs",
    "run_attacks",
    "run_targets",
    "run_trials",
    "with_target_answers",
    "without_failed",
]  # fmt: skip
