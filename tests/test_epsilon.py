"""Lower bounds of ε against exact sums, numbers computed elsewhere in high precision, and mechanisms whose ε is known."""

from fractions import Fraction
from math import comb, exp, log

import numpy as np
import pytest

from mialib import metrics
from mialib.metrics import epsilon


def at_most(k, n, p):
    """P[Bin(n, p) <= k], an exact sum."""
    p = Fraction(p)
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize("n", [1, 7, 60])
@pytest.mark.parametrize("tail", [0.025, 0.1])
def test_the_limit_is_where_the_exact_tail_is_what_is_allowed(n, tail):
    limits = epsilon._upper(np.arange(n + 1), n, tail)
    for k in range(n):
        assert float(at_most(k, n, float(limits[k]))) == pytest.approx(tail, rel=1e-9)
    assert limits[n] == 1


GOLDEN = [  # computed with mpmath, 40 digits, by bisection of the regularised incomplete beta function
    ((1000, 0, 1000, 1000, 0.0, 0.95), 5.6005875313),
    ((600, 50, 1000, 1000, 0.0, 0.95), 2.16328998064),
    ((600, 50, 1000, 1000, 0.01, 0.95), 2.14555519725),
    ((990, 700, 1000, 1000, 0.0, 0.95), 2.6971517549),  # of the non-members that are told
    ((40, 0, 5000, 2500, 1e-5, 0.99), 0.881957983153),
    ((200, 100, 250, 2000, 0.1, 0.9), 2.40917233697),
    ((500, 500, 1000, 1000, 0.0, 0.95), 0.0),
    ((100, 900, 1000, 1000, 0.0, 0.95), 0.0),  # worse than a coin
]


@pytest.mark.parametrize(("counts", "bound"), GOLDEN)
def test_bounds_from_counts_are_those_of_high_precision(counts, bound):
    assert metrics.epsilon_lower_bound(*counts) == pytest.approx(bound, abs=1e-9)


def test_a_bound_is_the_mirror_of_its_complement():
    """Members and non-members change places, and so do right and wrong: the same evidence."""
    assert metrics.epsilon_lower_bound(300, 20, 400, 500, 1e-3) == metrics.epsilon_lower_bound(480, 100, 500, 400, 1e-3)


def test_the_ceiling_is_what_a_perfect_attack_proves():
    assert metrics.epsilon_ceiling(1000, 1000) == pytest.approx(5.6005875313)
    limit = 1 - 0.025 ** (1 / 200)  # of an error rate of which 200 records show none
    assert metrics.epsilon_ceiling(200, 200) == pytest.approx(log((1 - limit) / limit))
    assert metrics.epsilon_ceiling(200, 200, delta=0.1) == pytest.approx(log((0.9 - limit) / limit))
    for counts in ((199, 0), (200, 1), (150, 3)):
        assert metrics.epsilon_lower_bound(*counts, 200, 200) < metrics.epsilon_ceiling(200, 200)
    assert metrics.epsilon_ceiling(1, 1) == metrics.epsilon_ceiling(1000, 1000, delta=1) == 0


ONE_RUN = [  # computed with mpmath, 40 digits: sums of binomial probabilities, bisection
    ((100, 100, 1000, 0.0, 0.95), 3.49296543115),
    ((100, 90, 1000, 0.0, 0.95), 1.63082319274),
    ((100, 90, 1000, 1e-5, 0.95), 1.6261434807),
    ((500, 400, 1000, 1e-4, 0.95), 1.19167048662),
    ((60, 40, 200, 1e-3, 0.9), 0.253517619038),
    ((1000, 520, 1000, 0.0, 0.95), 0.0),
]


@pytest.mark.parametrize(("guesses", "bound"), ONE_RUN)
def test_one_run_bounds_are_those_of_high_precision(guesses, bound):
    assert metrics.one_run_epsilon(*guesses) == pytest.approx(bound, abs=1e-8)


@pytest.mark.parametrize(
    ("guesses", "right", "n_thresholds", "published"),
    [(3376, 2807, 386, 1.13346), (4666, 4499, 374, 2.311945), (8233, 8223, 140, 4.395568)],
)
def test_one_run_bounds_are_the_published_ones(guesses, right, n_thresholds, published):
    """google-deepmind/jax_privacy, tests/auditing_test.py, test_epsilon_one_run_close: 20,000 canaries, normal scores one, two
    and four apart, δ = 1e-6, 5% shared among the corners of the ROC curve's hull; the counts are those of its best corner.
    """
    found = metrics.one_run_epsilon(guesses, right, 20_000, delta=1e-6, level=1 - 0.05 / n_thresholds)
    assert found == pytest.approx(published, rel=1e-5)


@pytest.mark.parametrize(("guesses", "right"), [(1, 1), (12, 0), (12, 9), (30, 30), (30, 17)])
@pytest.mark.parametrize("delta", [0, 1e-3, 0.02])
def test_the_p_value_of_one_run_is_its_definition(guesses, right, delta):
    q = Fraction(3, 4)  # ε = log 3

    def reached(v):
        return sum(comb(guesses, j) * q**j * (1 - q) ** (guesses - j) for j in range(max(v, 0), guesses + 1))

    beta = reached(right)
    alpha = max((reached(right - i) - beta) / i for i in range(1, 51))
    expected = min(1, beta + 2 * 50 * Fraction(delta) * alpha)
    assert epsilon._one_run_p(log(3), guesses, right, 50, delta) == pytest.approx(float(expected), rel=1e-10)


def test_no_guess_right_proves_nothing_and_all_right_no_more_than_their_number():
    assert metrics.one_run_epsilon(50, 0, 100) == 0
    for guesses in (10, 100, 1000):
        q = 0.05 ** (1 / guesses)
        assert metrics.one_run_epsilon(guesses, guesses, 1000) == pytest.approx(log(q / (1 - q)), abs=1e-8)
    assert metrics.one_run_epsilon(4, 4, 4) == 0  # four right guesses are no evidence at 5%


def test_bounds_hold_for_randomised_response_and_come_near():
    """Each member is called so with probability e / (1 + e), each non-member with 1 / (1 + e): ε = 1, and no less."""
    rng = np.random.default_rng(0)
    q = exp(1) / (1 + exp(1))
    counts = zip(rng.binomial(2000, q, 1000), rng.binomial(2000, 1 - q, 1000), strict=True)
    by_counts = np.array([metrics.epsilon_lower_bound(int(tp), int(fp), 2000, 2000) for tp, fp in counts])
    one_run = np.array([metrics.one_run_epsilon(2000, int(right), 2000) for right in rng.binomial(2000, q, 1000)])
    assert (by_counts > 1).mean() <= 0.05  # careful: two limits at 2.5% seldom fail together
    assert 0.03 <= (one_run > 1).mean() <= 0.07  # exact
    assert min(np.median(by_counts), np.median(one_run)) > 0.9


def noise(seed, n=200):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), np.arange(n) < n // 2


@pytest.mark.parametrize("method", epsilon.METHODS)
def test_noise_proves_nothing_but_rarely(method):
    found, naive = [], []
    for seed in range(200):
        score, member = noise(seed)
        references = noise(seed + 1000) if method == "references" else None
        of = {"method": method, "references": references, "seed": seed}
        found.append(metrics.audited_epsilon(score, member, level=0.8, **of).epsilon)
        counts = (np.array([(part >= t).sum() for t in score]) for part in (score[member], score[~member]))
        naive.append(epsilon._bounds(*counts, 100, 100, 0, 0.2).max())
    assert np.mean(np.array(found) > 0) <= 0.05
    assert np.mean(np.array(naive) > 0) > 0.2  # the best of all thresholds, unpaid, is no bound


@pytest.mark.parametrize("method", epsilon.METHODS)
def test_a_leak_is_proved_and_no_more_than_the_ceiling(method):
    score, member = noise(1, 2000)
    references = (noise(2, 2000)[0] + 3 * member, member) if method == "references" else None
    of = {"method": method, "references": references}
    weak, strong, perfect = (metrics.audited_epsilon(score + leak * member, member, **of) for leak in (0.5, 3, 100))
    assert 0 < weak.epsilon < strong.epsilon < perfect.epsilon <= perfect.ceiling
    assert strong.epsilon > 2.5
    assert perfect.epsilon == pytest.approx(perfect.ceiling) or method == "references"
    assert weak.ceiling == perfect.ceiling


def test_ceilings_are_those_of_the_records_that_are_counted():
    score, member = noise(3, 2000)
    assert metrics.audited_epsilon(score, member).ceiling == metrics.epsilon_ceiling(500, 500)
    of_references = metrics.audited_epsilon(score, member, method="references", references=noise(4, 50), delta=1e-3, level=0.9)
    assert of_references.ceiling == metrics.epsilon_ceiling(1000, 1000, 1e-3, 0.9)
    paid = metrics.audited_epsilon(score, member, method="bonferroni").ceiling
    assert paid == pytest.approx(metrics.epsilon_lower_bound(999, 0, 999, 1000, level=1 - 0.05 / 2000))
    unknown = np.where(np.arange(2000) % 4 == 0, np.nan, score)
    assert metrics.audited_epsilon(unknown, member).ceiling == metrics.epsilon_ceiling(375, 375)


def test_a_threshold_of_references_is_used_as_it_is():
    """Their best threshold lies between 1.5 and 2, where the target has 30 of 40 members and 5 of 50 non-members."""
    score = np.repeat([3.0, 1.0, 2.0, 0.0], [30, 10, 5, 45])
    member = np.arange(90) < 40
    references = np.repeat([2.0, 1.5], [100, 100]), np.arange(200) < 100
    found = metrics.audited_epsilon(score, member, method="references", references=references)
    assert found.epsilon == metrics.epsilon_lower_bound(30, 5, 40, 50)


def test_paying_for_all_thresholds_is_a_literal_loop():
    rng = np.random.default_rng(5)
    member = np.arange(80) < 30
    score = (rng.normal(size=80) + 2 * member).round(1)
    best = 0.0
    for i in range(80):  # its score the threshold, itself left out
        others = np.arange(80) != i
        called, inside = score[others] >= score[i], member[others]
        counts = int((called & inside).sum()), int((called & ~inside).sum()), int(inside.sum()), int((~inside).sum())
        best = max(best, metrics.epsilon_lower_bound(*counts, delta=1e-3, level=1 - 0.05 / 80))
    assert best > 0
    assert metrics.audited_epsilon(score, member, method="bonferroni", delta=1e-3).epsilon == pytest.approx(best)


def test_the_halves_depend_on_the_seed_alone():
    score, member = noise(6, 400)
    score = score + member
    found = [metrics.audited_epsilon(score, member, seed=seed) for seed in (0, 0, *range(1, 6))]
    assert found[0] == found[1]
    assert len({each.epsilon for each in found}) > 2


SCORE, MEMBER = noise(9)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.epsilon_lower_bound(11, 0, 10, 10), ValueError, "true_positives must be between 0 and 10, got 11"),
        (lambda: metrics.epsilon_lower_bound(0, -1, 10, 10), ValueError, "false_positives must be between 0 and 10, got -1"),
        (lambda: metrics.epsilon_lower_bound(0.5, 0, 10, 10), TypeError, r"true_positives must be a whole number, got 0\.5"),
        (lambda: metrics.epsilon_lower_bound(0, 0, 0, 10), ValueError, "members must be at least 1, got 0"),
        (lambda: metrics.epsilon_ceiling(10, 0), ValueError, "nonmembers must be at least 1, got 0"),
        (lambda: metrics.epsilon_ceiling(10, 10, delta=1.5), ValueError, "delta must be at least 0 and at most 1, got 1.5"),
        (lambda: metrics.epsilon_ceiling(10, 10, level=0), ValueError, "level must be above 0 and at most 1, got 0"),
        (lambda: metrics.epsilon_ceiling(10, 10, level=1), ValueError, "level must be below 1.*got 1"),
        (lambda: metrics.one_run_epsilon(11, 5, 10), ValueError, "guesses must be between 1 and 10, got 11"),
        (lambda: metrics.one_run_epsilon(5, 6, 10), ValueError, "right must be between 0 and 5, got 6"),
        (lambda: metrics.one_run_epsilon(5, 5, 0), ValueError, "canaries must be at least 1, got 0"),
        (lambda: metrics.one_run_epsilon(5, 5, 10, delta=-1), ValueError, "delta must be at least 0"),
        (lambda: metrics.one_run_epsilon(5, 5, 10, level=95), ValueError, "level must be above 0 and at most 1, got 95"),
        (lambda: metrics.audited_epsilon(SCORE, MEMBER, method="best"), ValueError, "method must be one of split.*got 'best'"),
        (lambda: metrics.audited_epsilon(SCORE, MEMBER, method="references"), ValueError, "references must be given.*NoneType"),
        (lambda: metrics.audited_epsilon(SCORE, MEMBER, references=(SCORE, MEMBER)), ValueError, "references .* with 'split'"),
        (
            lambda: metrics.audited_epsilon(SCORE, MEMBER, method="references", references=SCORE),
            TypeError,
            r"references must be a pair \(score, member\), got float64 of shape \(200,\)",
        ),
        (lambda: metrics.audited_epsilon(SCORE[:100], MEMBER[:100]), ValueError, "members and non-members, got 100 members"),
        (lambda: metrics.audited_epsilon(SCORE[:101], MEMBER[:101]), ValueError, "two members and two non-.*got 100 and 1"),
        (lambda: metrics.audited_epsilon(SCORE[1:], MEMBER), ValueError, r"score must be numbers of shape \(200,\)"),
        (lambda: metrics.audited_epsilon(SCORE, MEMBER.astype(int)), TypeError, "bool of shape"),
        (lambda: metrics.audited_epsilon(SCORE, MEMBER, seed=-1), ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
