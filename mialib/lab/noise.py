"""To turn in a notebook: the noise in the data of the shadow models, and their number."""

from collections.abc import Mapping, Sequence
from typing import Any

from mialib import plots
from mialib.lab.canvas import Scene
from mialib.lab.controls import Control, Options, class_options, playground, rows_of_class
from mialib.lab.decisions import decision_tables, decision_words
from mialib.lab.threshold import ScoresByCount, fit_ahead
from mialib.plots.names import in_words
from mialib.runs.run import Run
from mialib.study.experiments import REAL, Trial

SPAN_OF_SCORES = (-20.0, 6.0)  # of the attack's score
FEWER_SHADOWS = (1, 2, 5)  # numbers of shadows beside all of them


def noise_rate(setting: str) -> float:
    """Share of the bits that are disturbed in a setting's shadow data: 0.1 for "shadow:noise10", 0 for real data."""
    if setting == REAL[0]:
        return 0.0
    number = setting.removeprefix("shadow:noise")
    if not number.replace(".", "", 1).isdigit():
        raise ValueError(f"setting must be {REAL[0]} or shadow:noise and a percentage, got {setting!r}")
    return float(number) / 100


def play_noise(run: Run, trials: Sequence[Trial], *, name: str = "play") -> Any:
    """Controls of the first target of each kind: rate and kind of the noise in its shadows' data, number of shadows, class; as
    a figure of the run, `name`, where nobody can turn them.

    trials: of all sources of shadow data, of one size. The grey curve is that of real shadow data and all shadows. The attack
    is fitted again on the first k shadows, for a few k, before the controls appear: what was fitted before is read from disk.
    """
    chosen = {(t.case.our_target, noise_rate(t.case.setting), t.case.variant): t for t in trials if t.target == 0}
    kept: dict[tuple[str, float, str], ScoresByCount] = {}

    def scores(kind: str, rate: float, mode: str) -> ScoresByCount:
        key = (kind, rate, mode if rate else REAL[1])
        if key not in kept:
            kept[key] = ScoresByCount(chosen[key].answers, chosen[key].shadows, chosen[key].n_shadows)
        return kept[key]

    def shown(kind: str, mode: str, rate: float, k: int, cls: int) -> Scene:
        answers = chosen[kind, rate, mode if rate else REAL[1]].answers
        rows = rows_of_class(answers.labels, cls)
        real = scores(kind, 0.0, mode)
        tables = decision_tables(
            scores(kind, rate, mode)(k)[rows],
            answers.member[rows],
            0.0,
            SPAN_OF_SCORES,
            column="attack's score (log-odds)",
            compared=real(real.n_shadows)[rows],
        )
        marks = tables[0].assign(our_target=kind)  # a surrogate is marked as one
        return Scene(plots.called_members, [marks, tables[1]], decision_words(*tables))

    def ahead() -> None:
        fit_ahead([(scores(*key), k) for key, trial in chosen.items() for k in _counts(trial)])

    return playground(run, name, _controls(chosen), shown, ahead)


def _controls(chosen: Mapping[tuple[str, float, str], Trial]) -> list[Control]:
    kinds, rates, modes = (list(dict.fromkeys(each)) for each in zip(*chosen, strict=True))
    modes = [mode for mode in modes if mode != REAL[1]] or [REAL[1]]

    def rates_of(position: Mapping[str, Any]) -> Options:
        return [
            (f"{rate:.3g}", rate) for rate in sorted(rates) if not rate or (position["kind"], rate, position["mode"]) in chosen
        ]

    def counts_of(position: Mapping[str, Any]) -> Options:
        mode = position["mode"] if position["rate"] else REAL[1]
        return [(str(k), k) for k in _counts(chosen[position["kind"], position["rate"], mode])]

    def classes_of(position: Mapping[str, Any]) -> Options:
        answers = chosen[position["kind"], 0.0, REAL[1]].answers
        return class_options(answers.labels, answers.member)

    return [
        Control("kind", "target", "buttons", [(in_words(kind), kind) for kind in kinds]),
        Control("mode", "noise", "buttons", [(in_words(mode), mode) for mode in modes]),
        Control("rate", "share of the bits", "slider", rates_of, max(rates)),
        Control("k", "shadow models", "slider", counts_of, max(t.n_shadows for t in chosen.values())),
        Control("cls", "class", "menu", classes_of),
    ]


def _counts(trial: Trial) -> list[int]:
    return [*(k for k in FEWER_SHADOWS if k < trial.n_shadows), trial.n_shadows]
