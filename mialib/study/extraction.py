"""Copies of this study's targets, made from their answers, and what they are worth to who looks for members.

The extractor holds records of the attacker's pool, or makes records up; no member of the target, and none of the non-members
that are judged, is ever asked about to make a copy, or learned by one. He knows the target's architecture and recipe, as the
attacker of 2017 does: a copy is as good as this makes it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mialib import mitigations
from mialib.attack import extraction
from mialib.attack.extraction import SoftmaxRegression, Transcript, copy_trainer, transcript, with_steps
from mialib.core import cache, checks, randomness
from mialib.core.threads import one_a_core
from mialib.core.types import BlackBox, Features
from mialib.shadow import synthesis
from mialib.shadow.records import noisy
from mialib.study import experiments, shadow_data
from mialib.study.experiments import Experiment
from mialib.study.measured import mean_over_targets
from mialib.study.planning import planned_models, told
from mialib.study.shadow_data import Target
from mialib.training.black_boxes import module_of
from mialib.training.neural import NeuralTrainer

log = logging.getLogger(__name__)

TRUE_LABELS = "true labels"
LEARNED_FROM = {  # the extractor's records, and what copies of the target learn of them
    "real": ("vectors", "labels", TRUE_LABELS),
    "noisy": ("vectors", "labels"),
    "random": ("vectors", "labels"),
    "synthesised": ("vectors",),
}
KNOWN_RECORDS = 100  # real ones that the extractor with noisy records has
NOISE_RATE = 0.1  # share of the bits of a copy of one of them that are flipped
QUERIES_A_RECORD = 40  # of Algorithm 1, few: by which a budget is divided into records that are looked for
SHARE_DRAWS = 1000  # of a bootstrap
OF_EXTRACTION = [
    "dataset", "source", "records", "answers", "n_queries", "metric", "value", "low", "high", "n_targets",
]  # fmt: skip
OF_EQUATIONS = [
    "dataset", "source", "target", "answers", "n_queries", "n_unknowns", "worst_error", "mean_error", "agreement",
]  # fmt: skip


# Equation solving


def equation_table(e: Experiment, *, digits: int | None = None, n_queries: int = 5000) -> pd.DataFrame:
    """Softmax regressions solved for: dataset, source, target (our_target; its number, too, among several), answers ("as they
    are", "3 digits"), n_queries, n_unknowns, worst_error and mean_error (of a weight or bias, centred over classes), agreement
    (of the most probable class, on the target's non-members).

    e: targets that are softmax regressions on bits, such as `AmazonML`'s; their true weights judge, nobody else sees them.
    digits: a second row a target, whose answers are rounded to so many decimals, fitted to `n_queries` of these on records
    made up: bits of the zero record, each 1 with a chance that is drawn anew for each record. Raises TypeError for targets of
    another kind.
    """
    checks.instance("e", e, Experiment)
    checks.whole("n_queries", n_queries, 1)
    if digits is not None:
        checks.whole("digits", digits, 1, 15)
    rows = []
    for target in shadow_data.targets(e):
        true = _true_regression(target)
        size = int(np.prod(e.dataset.x.shape[1:]))
        found = {"as they are": extraction.solve_softmax_regression(target.model, size, e.dataset.n_classes)}
        if digits is not None:
            found[f"{digits} digits"] = _fit_rounded(target, digits, n_queries)
        rows += [_equation_row(target, answers, one, true) for answers, one in found.items()]
    return pd.DataFrame(rows)[OF_EQUATIONS]


def _true_regression(target: Target) -> SoftmaxRegression:
    e = target.experiment
    rows = target.split.members[None]
    module = module_of(e.trainer.fit_many(e.dataset, rows, experiments.plan_jobs(e)[0].seed, target.number)[0])
    found = [(name, value.detach().cpu().double().numpy()) for name, value in module.named_parameters()]
    if [value.ndim for _, value in found] != [2, 1]:
        names = ", ".join(f"{name} {value.shape}" for name, value in found)
        raise TypeError(f"e must have targets that are softmax regressions, of one weight matrix and one bias, got {names}")
    weights, bias = (value - value.mean(0) for _, value in found)
    return SoftmaxRegression(weights, bias, 0)


def _fit_rounded(target: Target, digits: int, n_queries: int) -> SoftmaxRegression:
    e = target.experiment
    rng = randomness.generator(e.seed, "rounded answers", target.number)
    x = (rng.random((n_queries, *e.dataset.x.shape[1:])) < rng.uniform(0, 0.1, (n_queries, 1))).astype(np.uint8)
    answers = mitigations.round_to(extraction.transcript(target.model, x, e.dataset.n_classes).answers, digits)
    key = {"x": cache.digest(x), "answers": cache.digest(answers), "code": cache.code_digest("mialib.attack.extraction")}
    expected = {"weights": ((e.dataset.n_classes, x.shape[1]), "float64"), "bias": ((e.dataset.n_classes,), "float64")}
    stored = cache.load("regressions", key, partial(cache.expect, expected=expected))
    if stored is None:
        found = extraction.fit_softmax_regression(x, answers)
        stored = {"weights": found.weights, "bias": found.bias}
        cache.save("regressions", key, stored)
    return SoftmaxRegression(**stored, queries=n_queries)


def _equation_row(target: Target, answers: str, found: SoftmaxRegression, true: SoftmaxRegression) -> dict[str, Any]:
    e, fresh = target.experiment, target.experiment.dataset.x[target.split.nonmembers]
    errors = np.abs(np.column_stack([found.weights - true.weights, found.bias - true.bias]))
    same = found.predict_proba(fresh).argmax(1) == target.model.predict_proba(fresh).argmax(1)
    return {
        "dataset": e.dataset.name,
        "source": e.dataset.source,
        "target": e.our_target if e.n_targets == 1 else f"{e.our_target}, {target.number}",
        "answers": answers,
        "n_queries": found.queries,
        "n_unknowns": (len(true.bias) - 1) * (true.weights.shape[1] + 1),
        "worst_error": float(errors.max()),
        "mean_error": float(errors.mean()),
        "agreement": float(same.mean()),
    }


# Copies


def extraction_table(e: Experiment, budgets: Mapping[str, Sequence[int]], *, steps: int = 1000) -> pd.DataFrame:
    """How good copies are by the number of queries: dataset, source, records, answers, n_queries, metric, value, low, high,
    n_targets; means over targets with their 95% intervals.

    Metrics, on the target's non-members, which no copy was trained on: agreement (the same most probable class as the
    target's) and test_accuracy. answers: "vectors", "labels" alone; on real records also "true labels", what their owner
    learns from them without any query.
    budgets: numbers of queries a kind of records. "real": records of the attacker's pool. "noisy": of KNOWN_RECORDS of these,
    each query a copy of one with NOISE_RATE of its bits flipped. "random": fair coins. "synthesised": found by Algorithm 1,
    all of whose queries count (n_queries: their mean over targets); it climbs by probabilities, so that there are no
    "labels", and it heard the vectors that its records are learned with. The target's trainer makes the copies, in `steps`
    steps however many records they have. Raises TypeError or ValueError, for a budget of 0 or beyond the pool among others.
    """
    neural_trainer(e)
    checks.whole("steps", steps, 1)
    _check_budgets(e, budgets)
    targets = shadow_data.targets(e)
    asked = [(kind, budget) for kind, counts in budgets.items() for budget in sorted(set(counts))]
    heard = {(kind, budget): [_made_up(target, kind, budget) for target in targets] for kind, budget in asked}
    jobs = [
        (kind, budget, answers, i)
        for kind, budget in asked
        for answers in LEARNED_FROM[kind]
        for i, one in enumerate(heard[kind, budget])
        if len(one.x)
    ]

    def judge(kind: str, budget: int, answers: str, i: int) -> tuple[np.ndarray, np.ndarray]:
        return _judge(targets[i], copy_of(targets[i], heard[kind, budget][i], answers, steps))

    with one_a_core(len(jobs), threads=1) as (pool, _):
        judged = dict(zip(jobs, pool.map(judge, *zip(*jobs, strict=True)), strict=True)) if jobs else {}
    rows = []
    for kind, budget, answers in dict.fromkeys(job[:3] for job in jobs):
        n_queries = round(float(np.mean([one.queries for one in heard[kind, budget]])))
        about = {"dataset": e.dataset.name, "source": e.dataset.source, "records": kind, "answers": answers}
        found = [judged[job] for job in jobs if job[:3] == (kind, budget, answers)]
        for metric, right in zip(("agreement", "test_accuracy"), zip(*found, strict=True), strict=True):
            rows.append(about | {"n_queries": n_queries, "metric": metric} | _share(right))
    return pd.DataFrame(rows, columns=OF_EXTRACTION)


def announce_copies(e: Experiment, budgets: Mapping[str, Sequence[int]], *, steps: int = 1000) -> str:
    """What the copies of `extraction_table` and those that `bridge_table` has for shadow models are about to take; lines.

    A copy takes `steps` steps however many records it learns. What is on disk of them is not looked for: the records that they
    learn are not known before the targets are trained.
    """
    own = neural_trainer(e)
    _check_budgets(e, budgets)
    copies = e.n_targets * sum(len(set(counts)) * len(LEARNED_FROM[kind]) for kind, counts in budgets.items())
    n = min(e.train_size, max(max(counts) for counts in budgets.values()))
    in_steps = NeuralTrainer(own.make_model, with_steps(own.recipe, n, steps), str(own.device))
    shadows = (len(extraction.COPY_FORMS) * e.n_shadows + 1) * e.n_targets
    rows = [
        planned_models(e.dataset, in_steps, f"copies in {steps:,} steps", n, copies, copies),
        planned_models(e.dataset, own, "copies as shadow models", e.train_size, shadows, shadows, alike=e.our_target),
    ]
    return "\n".join(map(told, rows))


def neural_trainer(e: Experiment) -> NeuralTrainer:
    """The trainer of the targets, which makes their copies, too; TypeError for one of another kind."""
    trainer = checks.instance("e", e, Experiment).trainer
    if type(trainer) is not NeuralTrainer:
        raise TypeError(f"e must have a NeuralTrainer, which makes targets and their copies, got a {type(trainer).__name__}")
    return trainer


def _check_budgets(e: Experiment, budgets: Mapping[str, Sequence[int]]) -> None:
    if not isinstance(budgets, Mapping) or not budgets or not all(np.ndim(of) == 1 and len(of) for of in budgets.values()):
        raise ValueError(f"budgets must hold numbers of queries of {', '.join(LEARNED_FROM)}, got {budgets!r:.80}")
    n_pool = len(experiments.target_splits(e.dataset, e.train_size, 1, e.seed)[0][1])
    for kind, counts in budgets.items():
        checks.choice("budgets", kind, LEARNED_FROM)
        most = (n_pool, f"records of the pool of {e.dataset.name}") if kind == "real" else (None, "")
        for count in counts:
            checks.whole("budgets", count, 1, *most)
        if kind in ("noisy", "random") and not (e.dataset.x.dtype == np.uint8 and e.dataset.x.max() <= 1):
            raise ValueError(
                f"budgets must name records that can be made up of {e.dataset.name}, which holds no bits: not {kind!r}"
            )


def _made_up(target: Target, kind: str, budget: int) -> Transcript:
    """What the extractor asks, and hears, with a budget: fewer queries are the first of more, but for a synthesis."""
    e = target.experiment
    if kind == "synthesised":
        return _synthesised(target, budget)
    rng, mine = _drawn(target, kind)
    if kind == "real":
        return heard_by(target, e.dataset.x[mine[:budget]])
    if kind == "random":
        return heard_by(target, rng.integers(0, 2, (budget, *e.dataset.x.shape[1:]), np.uint8))
    known = e.dataset.x[mine[:KNOWN_RECORDS]]
    return heard_by(target, noisy(known[np.arange(budget) % len(known)], NOISE_RATE, rng))


def _drawn(target: Target, kind: str) -> tuple[np.random.Generator, np.ndarray]:
    """A generator for a kind of records, and rows of the pool in random order."""
    rng = randomness.generator(target.experiment.seed, "extraction", kind, target.number)
    return rng, rng.permutation(target.pool)


def heard_by(target: Target, x: np.ndarray) -> Transcript:
    """The target's answers to records: asked once, and kept on disk."""
    n_classes = target.experiment.dataset.n_classes
    key = {"model": target.key, "asked": cache.digest(x), "code": cache.code_digest("mialib.attack.extraction")}
    check = partial(cache.expect, expected={"answers": ((len(x), n_classes), "float32")})
    stored = cache.load("transcripts", key, check)
    if stored is None:
        stored = {"answers": transcript(target.model, x, n_classes).answers}
        cache.save("transcripts", key, stored)
    return Transcript(x, stored["answers"], len(x))


def _synthesised(target: Target, budget: int) -> Transcript:
    e = target.experiment
    features = e.dataset.features or Features(e.dataset.x.shape[1:])
    seed = randomness.derive(e.seed, "extraction synthesis", target.number)
    each = max(1, budget // (QUERIES_A_RECORD * e.dataset.n_classes))
    made = synthesis.all_classes(target.model, features, e.dataset.n_classes, each, seed, key=target.key, max_queries=budget)
    queries = int(made.report["queries"].sum())
    if not len(made.x):
        return Transcript(made.x, np.empty((0, e.dataset.n_classes), np.float32), queries)
    return heard_by(target, made.x)._replace(queries=queries)


def copy_of(target: Target, heard: Transcript, answers: str, steps: int | None = None) -> BlackBox:
    """A copy that learned all that was heard, in the target's own number of epochs or in `steps` steps. answers: of
    LEARNED_FROM; "true labels" are those of the first records that real ones are drawn from the pool: ValueError unless these
    are what was asked about.
    """
    e, n = target.experiment, len(heard.x)
    data = heard.dataset(e.dataset.name, e.dataset.source, e.dataset.features)
    if answers == TRUE_LABELS:
        mine = _drawn(target, "real")[1][:n]
        if not np.array_equal(heard.x, e.dataset.x[mine]):
            raise ValueError(f"heard must be of the pool's first {n} records, whose {TRUE_LABELS} are known, got other records")
        data = replace(data, y=e.dataset.y[mine])
    form = "vectors" if answers == "vectors" else "labels"
    trainer = copying(e, heard, form, None if steps is None else (n, steps))
    return trainer.fit_many(data, np.arange(n)[None], randomness.derive(e.seed, "copy", target.number))[0]


def copying(e: Experiment, heard: Transcript, form: str, of: tuple[int, int] | None = None) -> NeuralTrainer:
    """What trains copies as the targets were trained; `of` n records in so many steps, if given."""
    own = neural_trainer(e)
    recipe = own.recipe if of is None else with_steps(own.recipe, *of)
    return copy_trainer(heard, own.make_model, recipe, form, str(own.device))


def _judge(target: Target, copy: BlackBox) -> tuple[np.ndarray, np.ndarray]:
    """On each of the target's non-members, whether the copy says what the target says, and what is true: bool (n,)."""
    fresh = ~target.answers.member
    said = copy.predict_proba(target.experiment.dataset.x[target.split.nonmembers]).argmax(1)
    return said == target.answers.predictions[fresh].argmax(1), said == target.answers.labels[fresh]


def _share(right: Sequence[np.ndarray]) -> dict[str, Any]:
    """`mean_over_targets` of the share that is right, bool (n,) each."""
    values = np.array([one.mean() for one in right])
    rng = np.random.default_rng(0)
    draws = np.mean([rng.binomial(len(one), one.mean(), SHARE_DRAWS) / len(one) for one in right], axis=0)
    return mean_over_targets(values, draws)
