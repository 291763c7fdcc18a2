"""What mitigations cost and what they save: test accuracy against attack accuracy, for attackers who know and who do not.

An attacker who does not know a mitigation fits the attack on plain shadow models; one who does has shadows that carry it.
Output filters act on the answers of models that are trained already.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mialib import mitigations
from mialib.attack.ablations import Fit
from mialib.core import checks, randomness
from mialib.core.types import Attack, AttackData, each_model
from mialib.study import experiments, tables
from mialib.study.experiments import LEARNED, ONLY_LEARNED, Case, Experiment, Outcome, Trial
from mialib.study.sweep import NONE, Mitigation
from mialib.training.neural import NeuralTrainer

UNAWARE, AWARE = "unaware", "aware"
LEAKAGE_METRICS = ("target_test_accuracy", "attack_accuracy", "attack_precision", "attack_recall")
SWEPT = {"top k": "k", "rounding": "digits", "temperature": "t", "noise": "σ"}  # filters with a knob


class Subject(NamedTuple):
    """Targets and what is tried on them: an experiment with a `NeuralTrainer`, output filters, and other trainings."""

    experiment: Experiment
    filters: Sequence[Mitigation]
    trainings: Sequence[Mitigation] = ()


class Measured(NamedTuple):
    """What came out on a subject: its trials without any mitigation, all outcomes, and their `leakage_table`."""

    plain: list[Trial]
    outcomes: list[Outcome]
    table: pd.DataFrame


def announce_subjects(*subjects: Subject) -> str:
    """What is about to be trained and what that takes here, a line a training (see `study.announce`)."""
    lines = []
    for each in subjects:
        lines.append(experiments.announce(each.experiment))
        lines += [f"  {m.setting}: {experiments.announce(retrained(each.experiment, m))}" for m in each.trainings]
    return "\n".join(lines)


def measure(subject: Subject, attacks: Mapping[str, Fit] = ONLY_LEARNED) -> Measured:
    """Train what is missing of a subject, filter its answers, and attack it under every mitigation; beside the given ones
    stands a temperature fitted on validation records.
    """
    plain = experiments.run_trials(subject.experiment)
    changed = [(m, experiments.run_trials(retrained(subject.experiment, m))) for m in subject.trainings]
    fitted, softened = temperature_outcomes(plain, attacks, seed=subject.experiment.seed)
    outcomes = filter_outcomes(plain, subject.filters, attacks) + softened + training_outcomes(plain, changed, attacks)
    return Measured(plain, outcomes, leakage_table(outcomes, [*subject.filters, fitted, *subject.trainings]))


def filter_outcomes(
    trials: Sequence[Trial], filters: Sequence[Mitigation], attacks: Mapping[str, Fit] = ONLY_LEARNED
) -> list[Outcome]:
    """Every attack against every filter of answers, by an attacker who does not know it and one who does; nothing is trained.

    The cases of the outcomes have the filter's name as `setting` and "unaware" or "aware" as `variant`; their trials have the
    filtered answers, and no shadow answers. Raises ValueError for a mitigation that is another training.
    """
    outcomes = []
    for trial in trials:
        shadows = trial.shadows
        plain = _fitted(shadows, attacks)
        for each in filters:
            if each.trainer:
                raise ValueError(f"filters must be output filters, got {each.setting}, which is another training")
            answers = _filtered(trial.answers, each.answer)
            aware = _fitted(_filtered(shadows, each.shadows), attacks) if each.shadows else plain
            outcomes += _asked(trial, each.setting, answers, plain, aware)
    return outcomes


def retrained(experiment: Experiment, mitigation: Mitigation) -> Experiment:
    """The experiment with its networks trained as the mitigation says: targets and shadows, on the same splits."""
    if not mitigation.trainer:
        raise ValueError(f"mitigation must be another training, got {mitigation.setting}, which trains nothing")
    if not isinstance(experiment.trainer, NeuralTrainer):
        raise TypeError(f"experiment must have a NeuralTrainer, got {type(experiment.trainer).__name__}")
    return experiment._replace(trainer=mitigation.trainer(experiment.trainer.make_model, experiment.trainer.recipe))


def training_outcomes(
    plain: Sequence[Trial], changed: Sequence[tuple[Mitigation, Sequence[Trial]]], attacks: Mapping[str, Fit] = ONLY_LEARNED
) -> list[Outcome]:
    """As `filter_outcomes`, for targets that were trained otherwise: `changed` holds mitigations with their trials.

    The attacker who does not know has the shadows of `plain`, trials of the same experiment with the usual training.
    """
    outcomes = []
    for place, trial in enumerate(plain):
        usual = _fitted(trial.shadows, attacks)
        for mitigation, trials in changed:
            other = trials[place]
            same = (other.case, other.target) == (trial.case, trial.target)
            if not same or not np.array_equal(other.answers.labels, trial.answers.labels):
                raise ValueError(f"changed must hold trials of the same experiment as plain, {mitigation.setting} has others")
            outcomes += _asked(trial, mitigation.setting, other.answers, usual, _fitted(other.shadows, attacks))
    return outcomes


def temperature_outcomes(
    trials: Sequence[Trial], attacks: Mapping[str, Fit] = ONLY_LEARNED, share: float = 0.2, seed: int = 0
) -> tuple[Mitigation, list[Outcome]]:
    """A temperature for each model, fitted on validation records: the mitigation, and its outcomes as of `filter_outcomes`.

    `at` is the mean over targets. A random `share` of a model's non-members are its owner's validation records. Neither they
    nor as many members are attacked.
    """
    outcomes, chosen = [], []
    for trial in trials:
        answers, ts = at_fitted_temperatures(trial.answers, 1, share, randomness.derive(seed, "target", trial.target))
        plain = trial.shadows
        shadows, _ = at_fitted_temperatures(plain, trial.n_shadows, share, randomness.derive(seed, "shadows", trial.target))
        setting = "mitigation:temperature_fitted"
        outcomes += _asked(trial, setting, answers, _fitted(plain, attacks), _fitted(shadows, attacks))
        chosen += ts
    return Mitigation("fitted temperature", "t", float(np.mean(chosen)), "mitigation:temperature_fitted"), outcomes


def at_fitted_temperatures(data: AttackData, n_models: int, share: float, seed: int) -> tuple[AttackData, list[float]]:
    """The answers of `n_models` models at temperatures fitted to each one's validation records, which are left out; and these
    temperatures.
    """
    checks.real("share", share, 0, 0.9, open_low=True)
    parts, ts = [], []
    for i, part in enumerate(each_model(data, n_models)):
        rng = randomness.generator(seed, "validation", i)
        sides = [rng.permutation(np.flatnonzero(part.member == side)) for side in (True, False)]
        n_held = max(1, round(share * len(sides[0])))
        held, kept = sides[1][:n_held], np.sort(np.concatenate([side[n_held:] for side in sides]))
        ts.append(mitigations.fitted_temperature(part.predictions[held], part.labels[held]))
        softened = mitigations.temperature(part.predictions[kept], ts[-1])
        parts.append(AttackData(softened, part.labels[kept], part.member[kept]))
    return AttackData.joined(parts), ts


def leakage_table(outcomes: Sequence[Outcome], known: Sequence[Mitigation]) -> pd.DataFrame:
    """Mean over targets with 95% interval, one row a number: the case, mitigation, knob, at, attack, metric, value, low, high,
    n_targets, undefined. The case's `setting` is the mitigation's name, its `variant` whether the attacker knows of it.

    Metrics: target_test_accuracy, where the label is the arg max of the mitigated vector, and attack_accuracy,
    attack_precision, attack_recall (see `metrics.interval`). `known`: the mitigations of the outcomes, in order.
    """
    rows = []
    for each in known:
        groups: dict[tuple[Case, str], list[Outcome]] = {}
        for o in outcomes:
            if o.case.setting == each.setting:
                groups.setdefault((o.case, o.attack), []).append(o)
        if not groups:
            raise ValueError(f"outcomes must hold every mitigation of known, lack {each.setting}")
        for (case, name), group in groups.items():
            for metric in LEAKAGE_METRICS:
                row = {"mitigation": each.name, "knob": each.knob, "at": each.at, "attack": name, "metric": metric}
                rows.append(case._asdict() | row | tables.published_metric(group, metric)._asdict())
    return pd.DataFrame(rows)


def utility_points(table: pd.DataFrame, leakage: str = "attack_accuracy", attack: str = LEARNED) -> pd.DataFrame:
    """A row a case of a `leakage_table`: the case, mitigation, knob, at, utility, leakage, both with _low and _high, and front:
    whether it lies on the Pareto front of its targets and its attacker (`variant`).

    utility is the target's test accuracy, leakage the metric of one attack.
    """
    key = [*tables.CASE, "mitigation", "knob", "at"]
    attacked = table[table["attack"] == attack]
    parts = []
    for name, metric in {"utility": "target_test_accuracy", "leakage": leakage}.items():
        part = attacked[attacked["metric"] == metric].set_index(key)[["value", "low", "high"]]
        parts.append(part.set_axis([name, f"{name}_low", f"{name}_high"], axis=1))
    points = parts[0].join(parts[1], how="inner", validate="one_to_one").reset_index()
    if points.empty:
        raise ValueError(f"table must hold attack {attack!r} and metric {leakage!r}, got neither together")
    points["front"] = False
    for _, group in points.groupby([*tables.TARGETS, "variant"]):
        points.loc[group.index, "front"] = pareto_front(group["utility"].to_numpy(), group["leakage"].to_numpy())
    return points


def pareto_front(utility: np.ndarray, leakage: np.ndarray) -> np.ndarray:
    """Which of n points no other point beats, bool (n,): as much utility, as little leakage, and one of them better.

    Equal points are on the front together; a point with a NaN is not, and beats none.
    """
    utility, leakage = np.asarray(utility, float), np.asarray(leakage, float)
    if utility.ndim != 1 or utility.shape != leakage.shape:
        raise ValueError(f"utility and leakage must be vectors of one length, got {utility.shape} and {leakage.shape}")
    as_good = (utility >= utility[:, None]) & (leakage <= leakage[:, None])
    better = (utility > utility[:, None]) | (leakage < leakage[:, None])
    return ~(as_good & better).any(1) & ~np.isnan(utility + leakage)


def filter_sweeps(table: pd.DataFrame, attack: str = LEARNED) -> pd.DataFrame:
    """What filters leak as their knobs turn: rows of a `leakage_table` with attack accuracy, each path from no mitigation on.

    A column `filter` tells whose path it is, `variant` the attacker; one attacker's paths come after the other's.
    """
    attacked = table[(table["attack"] == attack) & (table["metric"] == "attack_accuracy")]
    names = set(attacked["mitigation"])
    if names.isdisjoint(SWEPT):
        raise ValueError(f"table must hold one of {', '.join(SWEPT)}, got {', '.join(sorted(names)) or 'none'}")
    swept = [(name, knob, knowledge) for knowledge in (AWARE, UNAWARE) for name, knob in SWEPT.items() if name in names]
    parts = [
        attacked[(attacked["variant"] == knowledge) & attacked["mitigation"].isin([NONE.name, name])].assign(
            filter=name, knob=knob
        )
        for name, knob, knowledge in swept
    ]
    return pd.concat(parts, ignore_index=True)


def _fitted(shadows: AttackData, attacks: Mapping[str, Fit]) -> dict[str, Attack]:
    return {name: fit(shadows) for name, fit in attacks.items()}


def _filtered(data: AttackData, answer: Callable[[np.ndarray], np.ndarray] | None) -> AttackData:
    return replace(data, predictions=answer(data.predictions)) if answer else data


def _asked(
    trial: Trial, setting: str, answers: AttackData, plain: Mapping[str, Attack], aware: Mapping[str, Attack]
) -> list[Outcome]:
    """What both attackers say of a target's answers."""
    nothing = answers[np.arange(0)]  # an outcome must not keep every filtered copy of the shadows'
    outcomes = []
    for knowledge, attacks in ((UNAWARE, plain), (AWARE, aware)):
        case = trial.case._replace(setting=setting, variant=knowledge)
        asked = trial._replace(case=case, answers=answers, load=lambda: nothing, n_shadows=0)
        outcomes += [Outcome(asked, name, a.infer(answers), a.membership_score(answers)) for name, a in attacks.items()]
    return outcomes
