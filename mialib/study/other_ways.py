"""The same targets attacked in other ways, to see what makes a value another than the paper's.

It may be the attack, or the amount that the targets leak. Networks that are told what the paper's may have been told show
the first; one threshold a class, set on the target's own answers, the second: about as much as these answers hold.
"""

from collections.abc import Sequence
from functools import partial

from mialib.attack import confidence_threshold, fit_attack
from mialib.attack.ablations import Fit
from mialib.study.experiments import LEARNED, Outcome, Trial, run_attacks, with_target_answers, without_failed

THE_ATTACK, WITHOUT_FAILED = "the attack", "without failed shadows"


def other_ways(trials: Sequence[Trial]) -> dict[str, list[Outcome]]:
    """What attacks on the trials say, by way: "the attack" as it is; "told probabilities", its inputs as they come; "one
    threshold a class" in its place; "without failed shadows" (`without_failed`); "the target's own answers", one threshold a
    class set on these, which no attacker has.
    """
    threshold = partial(confidence_threshold, per_class=True)
    ways: dict[str, tuple[Sequence[Trial], Fit]] = {
        THE_ATTACK: (trials, fit_attack),
        "told probabilities": (trials, partial(fit_attack, inputs="probabilities")),
        "one threshold a class": (trials, threshold),
        WITHOUT_FAILED: (without_failed(trials), fit_attack),
        "the target's own answers": (with_target_answers(trials), threshold),
    }
    return {way: run_attacks(attacked, {LEARNED: fit}) for way, (attacked, fit) in ways.items()}
