"""To turn in a notebook: the threshold on the score of one attack, and the number of shadow models that it learned from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mialib import plots
from mialib.attack.learned import fit_attack
from mialib.core import checks
from mialib.core.progress import its_own_bar, making, no_bars
from mialib.core.types import AttackData, some_models
from mialib.lab.canvas import Scene
from mialib.lab.controls import Control, class_options, counts_up_to, playground, rows_of_class
from mialib.lab.decisions import decision_tables, decision_words, slider_thresholds
from mialib.runs.run import Run


class ScoresByCount:
    """What the attack of 2017 says of a target's answers if it learned from the first k of its shadows; each k is fitted once.

    answers: the target's. shadows: those of n_shadows models, one model after another.
    """

    def __init__(self, answers: AttackData, shadows: AttackData, n_shadows: int) -> None:
        checks.whole("n_shadows", n_shadows, 1)
        if len(shadows) % n_shadows:
            raise ValueError(f"shadows must hold as many answers for each of {n_shadows} models, got {len(shadows)} in all")
        self._answers, self._shadows, self.n_shadows = answers, shadows, n_shadows
        self._kept: dict[int, np.ndarray] = {}

    def __call__(self, k: int) -> np.ndarray:
        """Scores (n,) of the attack on the first k shadows."""
        if k not in self._kept:
            self._kept[k] = fit_attack(some_models(self._shadows, 0, k, self.n_shadows)).membership_score(self._answers)
        return self._kept[k]


def fit_ahead(asked: Sequence[tuple[ScoresByCount, int]]) -> None:
    """Fit these attacks on so many shadows each, under one bar."""
    with its_own_bar(len(asked), "attack", "fitting") as whole, making(whole):
        for by_count, k in asked:
            with no_bars():
                by_count(k)
            whole.done()


def play_threshold(
    run: Run, answers: AttackData, shadows: AttackData, n_shadows: int, *, names: Sequence[str] = (), name: str = "play"
) -> Any:
    """Controls of one attack: threshold, number of shadows, class; as a figure of the run, `name`, where nobody can turn them.

    answers: the target's on its members and non-members. shadows: the answers of n_shadows models, one after another. names: of
    the classes. The attack is fitted again on the first k shadows, for a few k, before the controls appear.
    """
    by_count = ScoresByCount(answers, shadows, n_shadows)
    thresholds = slider_thresholds(by_count(n_shadows))
    span = (float(thresholds[1]), float(thresholds[-2]))
    counts = counts_up_to(n_shadows)

    def shown(threshold: float, k: int, cls: int) -> Scene:
        rows = rows_of_class(answers.labels, cls)
        tables = decision_tables(by_count(k)[rows], answers.member[rows], threshold, span, column="attack's score (log-odds)")
        return Scene(plots.called_members, tables, decision_words(*tables))

    controls = [
        Control("threshold", "threshold", "slider", [(f"{t:g}".replace("inf", "∞"), float(t)) for t in thresholds], 0.0),
        Control("k", "shadow models", "slider", [(str(k), k) for k in counts], n_shadows),
        Control("cls", "class", "menu", class_options(answers.labels, answers.member, names)),
    ]
    return playground(run, name, controls, shown, ahead=lambda: fit_ahead([(by_count, k) for k in counts]))
