"""Right results of audits: what leaks is found, what does not is not; intervals cover; rehearsals keep to their rules."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mialib import audit, metrics
from mialib.audit import attackers, engine, findings, verdict
from mialib.audit.attackers import BLIND, BLINDS, CROSSED, OF_ANSWERS
from mialib.audit.references import References
from mialib.core.types import AttackData, Dataset
from mialib.shadow.halves import sample_halves

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
N, K = 240, 8


@pytest.fixture(autouse=True)
def no_other_trainings(monkeypatch):
    """What other trainings would buy is tried elsewhere."""
    monkeypatch.setattr(engine.remedies, "changes", lambda trainer: [])


def answers_of(rng: np.random.Generator, signal: np.ndarray, labels: np.ndarray, n_classes: int = 3) -> np.ndarray:
    """Vectors (k, n, n_classes) whose true class has these log-odds."""
    own = 1 / (1 + np.exp(-signal))
    shares = rng.dirichlet(np.ones(n_classes - 1), signal.shape)
    p = np.empty((*signal.shape, n_classes), np.float32)
    place = np.arange(n_classes) != labels[:, None]
    p[np.broadcast_to(~place, p.shape)] = own.ravel()
    p[np.broadcast_to(place, p.shape)] = (shares * (1 - own)[..., None]).ravel()
    return p


def of_models(leak: float, seed: int, steps: float | None = None, n: int = N, k: int = K) -> tuple[References, np.ndarray]:
    """References of an auditor, and a target's answers to records that it was not trained on. Members have log-odds that are
    `leak` higher; answers are in steps, or not.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    member = sample_halves(n, k, seed)
    level = rng.normal(1, 2, n)
    signal = level + rng.normal(0, 1, (k + 1, n)) + leak * np.vstack([member, np.zeros((1, n), bool)])
    p = answers_of(rng, signal, labels)
    if steps is not None:
        p = np.rint(p / steps).astype(np.float32) * np.float32(steps)
    floor = None if steps is None else steps / 2
    return References("auditor", p[:k], member, labels, np.ones((k, n), bool), n, n // 2, floor), p[k]


def scored_all(references: References, answers: np.ndarray, member: np.ndarray) -> list[attackers.Scored]:
    data = AttackData(answers, references.labels, member)
    scores = attackers.without_shadows(data, None, 0, references) + attackers.with_references(data, references, 0)
    return [*scores, attackers.references_alone(references)]


def judged(scores: list[attackers.Scored], member: np.ndarray, headline: attackers.Scored) -> pd.DataFrame:
    """What a verdict reads of the table of attacks."""
    rows = []
    for each in scores:
        known = ~np.isnan(each.score)
        value, low, high = metrics.auc_interval(each.score, member)
        p = findings.p_of_chance(each.score[known], member[known])
        rows.append((each.attacker, each.attack, each is headline, value, low, high, p))
    return pd.DataFrame(rows, columns=["attacker", "attack", "headline", "auc", "auc_low", "auc_high", "p"])


def audited(target, members, nonmembers, **settings) -> audit.Audit:
    return audit.model(target, members, nonmembers, n_shadows=6, **settings)


def headline_of(found: audit.Audit) -> pd.Series:
    return found.attacks[found.attacks["headline"]].iloc[0]


# What the numbers are worth


@pytest.mark.parametrize(("n_members", "n_nonmembers"), [(25, 25), (120, 58), (600, 600)])
@pytest.mark.parametrize("truth", [0.5, 0.75, 0.9, 0.98])
def test_intervals_of_the_auc_cover_the_truth(n_members, n_nonmembers, truth):
    rng = np.random.default_rng(n_members)
    member = np.arange(n_members + n_nonmembers) < n_members
    shift = scipy.stats.norm.ppf(truth) * np.sqrt(2)
    ends = np.array([metrics.auc_interval(rng.normal(size=len(member)) + shift * member, member) for _ in range(200)])
    assert (ends[:, 1] <= ends[:, 0]).all() and (ends[:, 0] <= ends[:, 2]).all()
    assert ((ends[:, 1] <= truth) & (truth <= ends[:, 2])).mean() >= 0.9


def test_an_interval_without_a_mistake_has_a_width_and_one_of_many_records_is_delongs():
    member = np.arange(60) < 30
    value, low, high = metrics.auc_interval(member.astype(float), member)
    assert value == high == 1 and 0.8 < low < 0.99
    value, low, high = metrics.auc_interval(np.zeros(60), member)
    assert value == 0.5 and low == pytest.approx(1 - high)
    rng = np.random.default_rng(0)
    member = np.arange(4000) < 2000
    score = np.where(np.arange(4000) % 7, rng.normal(size=4000) + member, np.nan)
    value, influence = metrics.auc_influence(score, member)
    error = np.sqrt((influence**2).sum())
    np.testing.assert_allclose(
        metrics.auc_interval(score, member), (value, value - 1.96 * error, value + 1.96 * error), atol=1e-3
    )


@pytest.mark.parametrize("mistakes", [1, 2, 3, 5])
def test_a_few_mistakes_are_no_more_than_chance(mistakes):
    """Of a model that is nearly always right: all mistakes on non-members, by the hypergeometric law, not a normal one."""
    member = np.arange(178) < 120
    right = np.ones(178)
    right[-mistakes:] = 0
    exact = scipy.stats.hypergeom(178, 58, mistakes).pmf(mistakes)
    assert findings.p_of_chance(right, member) == pytest.approx(exact, rel=0.4)
    assert findings.p_of_chance(np.ones(178), member) == 1


def test_without_ties_the_chance_of_an_auc_is_mann_and_whitneys():
    rng = np.random.default_rng(0)
    member = np.arange(300) < 100
    score = rng.normal(size=300) + 0.3 * member
    expected = scipy.stats.mannwhitneyu(
        score[member], score[~member], alternative="greater", method="asymptotic", use_continuity=False
    )
    assert findings.p_of_chance(score, member) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("leak", [0.0, 1.0])
def test_groups_that_do_not_differ_are_rarely_said_to(leak):
    """15 groups of few records each, 100 times: Holm's correction holds only if single chances do, far out, too."""
    rng, n_false = np.random.default_rng(0), 0
    for _ in range(100):
        member = rng.permutation(900) < 450
        groups = findings.group_table(rng.normal(size=900) + leak * member, member, {"g": (rng.permutation(900) % 15).tolist()})
        n_false += groups["exposed"].isin(["more", "less"]).any()
    assert n_false <= scipy.stats.binom.ppf(0.999, 100, 0.05)
    member = np.arange(900) % 2 == 0
    known = np.arange(900) < 200
    found = findings.group_table(rng.normal(size=900) + 3 * (member & known), member, {"g": known.tolist()})
    assert found.set_index("value")["exposed"].to_dict() == {"True": "more", "False": "less"}


# What does not leak


def test_exchangeable_records_rarely_raise_an_alarm_and_no_attack_is_biased():
    """200 audits: members and non-members are drawn at random of records that the target never saw."""
    rng = np.random.default_rng(0)
    verdicts, tables = [], []
    for seed in range(5):
        references, answers = of_models(1.0, seed, steps=[None, 0.1][seed // 2 % 2])
        scores = scored_all(references, answers, rng.permutation(N) < N // 2)  # these do not look at membership …
        headline = findings.headline_of(scores)
        for _ in range(40):
            member = rng.permutation(N) < (N // 2, N // 3)[seed % 2]  # … so that it can be drawn anew
            tables.append(judged(scores, member, headline))
            verdicts.append(verdict.verdict_of(tables[-1]))
    n_false = verdicts.count("leaks")
    assert n_false <= scipy.stats.binom.ppf(0.999, 200, verdict.ALPHA), n_false
    together = pd.concat(tables).groupby(["attacker", "attack"])
    means, chance = together["auc"].mean(), together["p"].agg(lambda p: (p < 0.025).mean())
    assert (abs(means - 0.5) < 0.02).all(), means
    assert (chance < 0.085).all(), chance


def test_what_leaks_is_found_and_the_headline_is_as_good_as_the_best():
    references, _ = of_models(2.0, 3)
    for leak, expected in ((2.0, "leaks"), (0.0, "no leak found")):
        rng = np.random.default_rng(1)
        member = rng.permutation(N) < N // 2
        signal = np.log(references.predictions[0, np.arange(N), references.labels])  # of a model that knows nothing of `member`
        answers = answers_of(rng, (signal + leak * 2 * member)[None], references.labels)[0]
        scores = scored_all(references, answers, member)
        table = judged(scores, member, findings.headline_of(scores))
        assert (verdict.verdict_of(table) == "leaks") == (expected == "leaks")


def test_what_tells_records_apart_by_chance_is_no_difference():
    """Crossed folds let pairs of records speak twice: the AUC varies more than that of independent scores, and is judged so."""
    x, y = load_breast_cancer(return_X_y=True)
    rng, found = np.random.default_rng(0), []
    for seed in range(25):
        rows, member = rng.permutation(len(y))[:200], np.arange(200) < 100
        score = attackers.blind(Dataset("own", x[rows].astype(np.float32), y[rows].astype(np.int64), 2, "own"), member, seed)
        found.append((metrics.auc(member, score), findings.p_of_chance(score, member, CROSSED)))
    values, p = np.array(found).T
    assert abs(values.mean() - 0.5) < 0.04
    assert (p < 0.025).sum() <= 3


def test_quantile_regression_across_halves_is_not_biased():
    rng, found = np.random.default_rng(0), []
    for seed in range(12):
        x, member = rng.normal(size=(200, 3)).astype(np.float32), np.arange(200) < 100
        dataset = Dataset("own", x, rng.integers(0, 2, 200), 2, "own")
        score = attackers.crossed_quantile(x[:, 0] + rng.normal(size=200), dataset, member, seed)
        assert score is not None
        found.append(metrics.auc(member, score))
    assert abs(np.mean(found) - 0.5) < 0.045


# Rehearsals


def test_of_an_odd_number_of_records_one_is_not_judged_and_nothing_is_said_of_it(caplog):
    references, answers = of_models(2.0, 0, n=100)
    wider = [np.concatenate([part, part[:, :1]], 1) for part in (references.predictions, references.member, references.asked)]
    wider[1][:, -1] = wider[2][:, -1] = False
    odd = References("auditor", *wider[:2], np.append(references.labels, 0), wider[2], 101, 50)
    data = AttackData(np.concatenate([answers, answers[:1]]), odd.labels, np.arange(101) < 50)
    scores = attackers.with_references(data, odd, 0, attackers.PER_RECORD)
    assert all(np.flatnonzero(np.isnan(each.score)).tolist() == [100] for each in scores) and not caplog.records


def test_of_an_odd_number_of_records_complements_are_still_no_references():
    references, _ = of_models(0.0, 0, n=100)
    wider = [np.concatenate([part, part[:, :1]], 1) for part in (references.predictions, references.member, references.asked)]
    wider[1][:, -1] = wider[2][:, -1] = False
    odd = References("auditor", *wider[:2], np.append(references.labels, 0), wider[2], 101, 50)
    assert odd.stock.references(0).tolist() == [*range(2, K)]
    attack = attackers.record_attacks(odd, 0)["rmia_online"]
    mean = np.mean([metrics.auc(m, s) for s, m in (attackers.rehearse(odd, attack, i, 0) for i in range(K))])
    assert abs(mean - 0.5) < 0.05, "models that leak nothing"


def test_a_headline_that_is_now_strong_and_now_weak_is_not_relied_upon():
    member = np.arange(100) < 50

    def rehearsed(*shares):
        """An AUC each: so many of the members lie above all others, the rest below."""
        return tuple((np.where(member, np.where(np.arange(100) < 50 * share, 1, -1), 0), member) for share in shares)

    steady = attackers.Scored("auditor", "base", np.zeros(100), rehearsed(0.68, 0.7, 0.72))
    unsteady = attackers.Scored("auditor", "watson", np.zeros(100), rehearsed(0.3, 0.9, 1.0))
    plain = [np.mean([metrics.auc(m, s) for s, m in each.rehearsed]) for each in (steady, unsteady)]
    assert plain[1] > plain[0]
    assert findings.headline_of([steady, unsteady]) is steady


def test_whether_seeds_agree_is_judged_by_thresholds_of_other_references(monkeypatch):
    references, answers = of_models(3.0, 1)
    given = engine.given(
        (np.arange(N)[:120, None].astype(float), references.labels[:120]),
        (np.arange(N)[120:, None] + 0.5, references.labels[120:]),
    )
    data = AttackData(answers, given.judged.y, given.member)
    seen = []
    monkeypatch.setattr(
        findings,
        "threshold_at_fpr",
        lambda score, member, fpr: seen.append(score) or metrics.threshold_at_fpr(score, member, fpr),
    )
    scored = next(each for each in attackers.with_references(data, references, 0, {"watson"}))
    records = findings.record_table(given, data, scored, references, 0)
    own = [
        score
        for score, _ in (
            attackers.rehearse(references, attackers.record_attacks(references, 0)["watson"], i, 0) for i in range(K)
        )
    ]
    assert len(seen) == K and all(len(each) == (K - 1) * N for each in seen)
    assert not any(np.isin(mine, others).any() for mine, others in zip(own, seen, strict=True))
    assert records["seeds_agree"].mean() > 0.2


# Whole audits


@pytest.mark.parametrize("case", ["wine, unequal", "cancer", "digits"])
def test_the_headline_is_not_below_the_best_single_threshold(case):
    load, size, target = {
        "wine, unequal": (load_wine, 120, make_pipeline(StandardScaler(), LogisticRegression(C=10))),
        "cancer": (load_breast_cancer, 285, RandomForestClassifier(20, random_state=0)),
        "digits": (load_digits, 300, RandomForestClassifier(20, random_state=0)),
    }[case]
    x, y = load(return_X_y=True)
    rows = np.random.default_rng(1).permutation(len(y))[:601]
    inside, outside = rows[:size], rows[size:]
    found = audited(target.fit(x[inside], y[inside]), (x[inside], y[inside]), (x[outside], y[outside]))
    headline = headline_of(found)
    single = found.attacks[found.attacks["attack"].isin(OF_ANSWERS)]["auc"].max()
    assert headline["auc_high"] >= single
    assert found.verdict == "leaks"
    assert headline["n_members"] + headline["n_nonmembers"] in (len(rows), len(rows) - 1)


def test_a_model_of_noise_labels_is_caught_whatever_the_labels_are():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=160), "b": rng.normal(size=160)})
    y = rng.choice(["no", "yes"], 160)
    for labels in (y, y == "yes", np.where(y == "yes", 7, -3)):
        target = DecisionTreeClassifier(random_state=0, min_samples_leaf=2).fit(x[:80], labels[:80])
        found = audited(target, (x[:80], labels[:80]), (x[80:], labels[80:]))
        assert found.verdict == "leaks"
        assert set(found.records["label"]) == set(labels.tolist())


def test_a_constant_model_and_few_records_are_not_said_to_leak():
    x, y = load_wine(return_X_y=True)
    rows = np.random.default_rng(2).permutation(len(y))
    x, y = x[rows], y[rows]
    found = audited(DummyClassifier().fit(x[:90], y[:90]), (x[:90], y[:90]), (x[90:], y[90:]))
    assert found.verdict == "no leak found" and headline_of(found)["auc"] == 0.5
    assert found.attacks["epsilon"].max() == 0
    target = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[60:], y[60:])
    assert audited(target, (x[:30], y[:30]), (x[30:60], y[30:60])).verdict == "cannot tell", "60 records that it never saw"


@pytest.mark.parametrize("how", ["noisy records", "wrong labels"])
def test_members_that_differ_are_no_leak(how):
    """Neither side was seen by the target; the one is harder."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(y))
    x, y = x[rows], y[rows]
    target = RandomForestClassifier(20, random_state=0).fit(x[800:], y[800:])
    other_x, other_y = x[400:800].copy(), y[400:800].copy()
    if how == "noisy records":
        other_x += rng.normal(0, 4, other_x.shape)
    else:
        wrong = rng.random(400) < 0.3
        other_y[wrong] = (other_y[wrong] + 1 + rng.integers(0, 9, wrong.sum())) % 10
    found = audited(target, (x[:400], y[:400]), (other_x, other_y))
    blind = found.attacks[found.attacks["attack"].isin(BLINDS)]
    assert found.verdict == "members differ"
    assert ("their records alone" in found.summary) == (how == "noisy records")
    assert ("other models, which know of no member" in found.summary) == (how == "wrong labels")
    assert (blind["p"] < 0.01).any() and BLIND in set(blind["attack"])
    assert any("part of the leak may be that" in each for each in found.assumptions)


def test_an_interval_below_chance_rules_nothing_out():
    row = {"attacker": "auditor", "attack": "base", "headline": True, "auc": 0.42, "auc_low": 0.27, "auc_high": 0.57, "p": 0.9}
    assert verdict.verdict_of(pd.DataFrame([row])) == "cannot tell"
    assert verdict.verdict_of(pd.DataFrame([row | {"auc": 0.5, "auc_low": 0.41, "auc_high": 0.59}])) == "no leak found"


def test_no_record_is_judged_by_a_threshold_that_was_set_on_it():
    """Of scores that know nothing, the best threshold on the records themselves would be right for 60% of them."""
    member, found = np.arange(60) < 30, []
    for repeat in range(100):
        scored = attackers.Scored("no shadows", "confidence", np.random.default_rng(repeat).normal(size=60))
        found.append(findings.attack_table([scored], member, scored, seed=repeat)["accuracy"].iloc[0])
    assert np.mean(found) == pytest.approx(0.5, abs=4 * np.std(found) / 10)


def test_precision_counts_one_false_accusation_more_than_was_seen():
    member = np.arange(400) < 200
    score = member + np.random.default_rng(0).random(400) * 0.5  # a perfect attack
    scored = attackers.Scored("no shadows", "confidence", score)
    row = findings.attack_table([scored], member, scored, seed=0).iloc[0]
    assert row["fpr"] == 0
    assert row["precision_at_0.01"] == pytest.approx(0.01 / (0.01 + 0.99 / 201), rel=0.02)
    tied = attackers.Scored("no shadows", "label_gap", np.ones(400))  # at 1% it accuses nobody
    row = findings.attack_table([tied], member, tied, seed=0).iloc[0]
    assert row["fpr"] == 0 and np.isnan(row["precision_at_0.5"])


def test_in_a_rehearsal_the_complement_is_no_reference():
    references, _ = of_models(leak=2.0, seed=5)
    seen = []

    def spy(t):
        seen.append(t.references.member)
        return t.signal

    for mock in range(K):
        attackers.rehearse(references, spy, mock, seed=0)
        complement = ~references.member[mock]
        assert len(seen[-1]) == K - 2 and not (seen[-1] == complement).all(1).any()


def test_every_record_is_judged_with_the_other_half_as_population():
    references, _ = of_models(leak=2.0, seed=6)
    signal, stock = references.stock.signal[0], references.stock[references.stock.references(0)]
    attack = attackers.STOCK_ATTACKS["rmia_online"]
    half = attackers._half(N, 0, "population")
    found = attackers.crossed(attack, signal, stock, seed=0)
    for judged in (half, ~half):
        alone = attack(attackers.Attacked(signal, stock, ~judged))
        np.testing.assert_array_equal(found[judged], alone[judged])
    assert not np.isnan(found).any()
