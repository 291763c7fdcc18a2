"""Stocks of models on complementary halves, and attacks with references against literal transcriptions of their formulas."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from mialib.attack import attack_p, attack_r, base, calibrated, lira, rmia, sablayrolles, tuned_offset
from mialib.core import cache
from mialib.core.stocks import Stock
from mialib.core.types import AttackData, Dataset
from mialib.metrics import auc
from mialib.shadow import log_odds, sample_halves, stock
from mialib.shadow.signals import _asked_once
from mialib.training import EstimatorTrainer, NeuralTrainer, Recipe, black_box, mlp

N = 60


def signals(k: int = 8, n: int = N, q: int = 0, shift: float = 1.0, seed: int = 0) -> Stock:
    """A stock whose records differ in level and spread, and leak by `shift`."""
    rng = np.random.default_rng(seed)
    member = sample_halves(n, k, seed)
    level, spread = rng.normal(0, 2, n), rng.uniform(0.5, 2, n)
    noise = rng.normal(size=(k, n, q) if q else (k, n))
    along = (slice(None), None) if q else slice(None)
    signal = level[along] + spread[along] * noise + shift * (member[..., None] if q else member)
    return Stock(signal.astype(np.float32), member, np.zeros(n, np.int64))


def first(all_models: Stock) -> tuple[np.ndarray, Stock, np.ndarray]:
    """The signal of model 0, its references, and a population of every third record."""
    return all_models.signal[0], all_models[all_models.references(0)], np.arange(all_models.signal.shape[1]) % 3 == 0


def sides(references: Stock, i: int) -> tuple[np.ndarray, np.ndarray]:
    """A record's signals in IN and in OUT references, one query."""
    own = references.signal[:, i].astype(float)
    return own[references.member[:, i]], own[~references.member[:, i]]


# Halves


@pytest.mark.parametrize("k", [2, 4, 10])
def test_halves_are_complements_and_every_record_is_in_half_of_the_models(k):
    member = sample_halves(20, k, seed=3)
    assert (member.sum(1) == 10).all()
    assert (member.sum(0) == k / 2).all()
    assert (member[::2] == ~member[1::2]).all()


def test_more_models_leave_the_first_halves_as_they_are():
    np.testing.assert_array_equal(sample_halves(20, 8, 3)[:4], sample_halves(20, 4, 3))
    assert (sample_halves(20, 4, 3) != sample_halves(20, 4, 4)).any()


def test_references_are_all_models_but_the_target_and_its_complement_pair_by_pair():
    all_models = signals(k=6)
    assert all_models.references(0).tolist() == [2, 3, 4, 5]
    assert all_models.references(3).tolist() == [4, 5, 0, 1]
    assert all_models.references(3, 2).tolist() == [4, 5]
    for target in range(6):
        counts = all_models.member[all_models.references(target)].sum(0)
        assert (counts == 2).all(), "the number of a record's IN references must tell nothing of the target"


def test_a_record_that_is_in_no_half_hides_no_complement():
    all_models = signals(k=6)
    member = np.column_stack([all_models.member, np.zeros(6, bool)])
    odd = Stock(np.column_stack([all_models.signal, np.zeros(6, np.float32)]), member, np.zeros(N + 1, np.int64))
    assert odd.references(0).tolist() == [2, 3, 4, 5]
    with pytest.raises(ValueError, match="beside model 0 and its complement"):
        odd[np.array([2, 3])].references(0)


# Formulas, literally


@pytest.mark.parametrize("variance", ["record", "global"])
@pytest.mark.parametrize("center", ["mean", "median"])
@pytest.mark.parametrize("mode", ["online", "offline", "offline-logpdf"])
def test_lira_is_its_formula(mode, variance, center):
    ours, references, _ = first(signals())
    middle = {"mean": np.mean, "median": np.median}[center]
    score = lira(ours, references, mode=mode, variance=variance, center=center)
    residuals: tuple[list, list] = ([], [])
    for i in range(N):
        for kept, own in zip(residuals, sides(references, i), strict=True):
            kept.append(own - middle(own))
    spreads = [np.sqrt(sum((part**2).sum() for part in kept) / sum(len(part) - 1 for part in kept)) for kept in residuals]
    for i in range(N):
        (inside, outside), x = sides(references, i), float(ours[i])
        std_in, std_out = (inside.std(), outside.std()) if variance == "record" else spreads
        log_in = scipy.stats.norm.logpdf(x, middle(inside), std_in)
        log_out = scipy.stats.norm.logpdf(x, middle(outside), std_out)
        expected = {
            "online": log_in - log_out,
            "offline": -scipy.stats.norm.logsf(x, middle(outside), std_out),
            "offline-logpdf": -log_out,
        }[mode]
        assert score[i] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("mode, a", [("online", None), ("offline", 0.0), ("offline", 0.3), ("offline", 1.0)])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_rmia_is_its_formula(mode, a, gamma):
    ours, references, population = first(signals())

    def probability(log_odds: float) -> float:
        return 1 / (1 + np.exp(-float(log_odds)))

    def ratio(i: int) -> float:
        inside, outside = sides(references, i)
        everywhere = np.mean([probability(v) for v in (*inside, *outside)])
        offline = 0 if a is None else ((1 + a) * np.mean([probability(v) for v in outside]) + (1 - a)) / 2
        return probability(ours[i]) / (everywhere if mode == "online" else offline)

    score = rmia(ours, references, population, gamma=gamma, a=a, mode=mode)
    zs = np.flatnonzero(population)
    for i in range(N):
        if population[i]:
            assert np.isnan(score[i])
        else:
            assert score[i] == pytest.approx(np.mean([ratio(i) / ratio(z) >= gamma for z in zs]))


def test_the_simple_attacks_are_their_formulas():
    ours, references, population = first(signals())
    scores = {
        "p": attack_p(ours, references, population),
        "r": attack_r(ours, references),
        "watson": calibrated(ours, references),
        "sablayrolles": sablayrolles(ours, references),
        "base": base(ours, references),
    }
    below = ours[population]
    for i in range(N):
        (inside, outside), x = sides(references, i), float(ours[i])
        p = 1 / (1 + np.exp(-np.array([x, *inside, *outside])))
        expected = {
            "p": np.nan if population[i] else np.mean([z < ours[i] for z in below]),
            "r": np.mean([v < x for v in outside]),
            "watson": x - outside.mean(),
            "sablayrolles": x - (inside.mean() + outside.mean()) / 2,
            "base": np.log(p[0]) - np.log(p[1:].sum()) + np.log(len(references)),
        }
        for name, value in expected.items():
            assert scores[name][i] == pytest.approx(value, nan_ok=True), name


def test_a_score_of_several_queries_is_the_mean_over_queries():
    ours, references, population = first(signals(q=3))
    attacks = [
        lambda s, r: lira(s, r, variance="record"),
        calibrated,
        sablayrolles,
        base,
        attack_r,
        lambda s, r: rmia(s, r, population),
    ]
    for attack in attacks:
        alone = [attack(ours[:, j], replace(references, signal=references.signal[:, :, j].copy())) for j in range(3)]
        np.testing.assert_allclose(attack(ours, references), np.mean(alone, axis=0), rtol=1e-9)


def test_far_out_signals_keep_their_order_and_stay_finite():
    all_models = signals()
    ours, references, _ = first(replace(all_models, signal=(all_models.signal * 60).astype(np.float32)))
    for score in (lira(ours, references, mode="offline"), lira(ours, references), base(ours, references)):
        assert np.isfinite(score).all()
    low, high = lira(ours - 500, references, mode="offline"), lira(ours + 500, references, mode="offline")
    assert (low < high).all()
    assert len(np.unique(high)) == N, "the survival function must not saturate"


def test_parts_of_a_stock_change_nothing(monkeypatch):
    ours, references, population = first(signals())
    whole = [lira(ours, references, variance="global"), rmia(ours, references, population), base(ours, references)]
    monkeypatch.setattr("mialib.attack.references.SIGNALS_AT_ONCE", 7 * len(references))
    parts = [lira(ours, references, variance="global"), rmia(ours, references, population), base(ours, references)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_default_variance_follows_the_number_of_references():
    few, many = signals(k=8), signals(k=68)
    for all_models, usual in ((few, "global"), (many, "record")):
        ours, references, _ = first(all_models)
        np.testing.assert_array_equal(lira(ours, references), lira(ours, references, variance=usual))


def test_offline_rmia_is_tuned_on_references_alone():
    all_models = signals(k=8)
    ours, references, population = first(all_models)
    offset = tuned_offset(references, population)
    np.testing.assert_array_equal(
        rmia(ours, references, population, mode="offline"), rmia(ours, references, population, mode="offline", a=offset)
    )
    _, pair, _ = first(signals(k=4))
    with pytest.raises(ValueError, match="a must be given"):
        rmia(ours, pair, population, mode="offline")


# What leaks and what does not

EVERY = {
    "lira": lambda s, r, z: lira(s, r),
    "lira, record": lambda s, r, z: lira(s, r, variance="record") if len(r) > 2 else lira(s, r),
    "lira, offline": lambda s, r, z: lira(s, r, mode="offline"),
    "lira, logpdf": lambda s, r, z: lira(s, r, mode="offline-logpdf"),
    "rmia": lambda s, r, z: rmia(s, r, z),
    "rmia, offline": lambda s, r, z: rmia(s, r, z, mode="offline", a=0.3),
    "attack-p": lambda s, r, z: attack_p(s, r, z),
    "attack-r": lambda s, r, z: attack_r(s, r),
    "watson": lambda s, r, z: calibrated(s, r),
    "sablayrolles": lambda s, r, z: sablayrolles(s, r),
    "base": lambda s, r, z: base(s, r),
}


def mean_auc(attack, k: int, *, leaks: float, others: float, complement: bool = False, n: int = 4000) -> float:
    """Over four targets that leak by `leaks`, while reference models leak by `others`."""
    all_models, plain = (signals(k=k, n=n, shift=shift, seed=1) for shift in (others, leaks))
    population = np.arange(n) % 5 == 0
    values = []
    for target in range(4):
        numbers = np.delete(np.arange(k), target) if complement else all_models.references(target)
        score = attack(plain.signal[target], all_models[numbers], population)
        known = ~np.isnan(score) & ~population
        member = all_models.member[target][known]
        data = AttackData(np.ones((len(member), 2), np.float32), np.zeros(len(member), np.int64), member)
        values.append(auc(data, score[known]))
    return float(np.mean(values))


@pytest.mark.parametrize("others", [0.0, 2.0])
@pytest.mark.parametrize("k", [4, 6, 16])
@pytest.mark.parametrize("name", EVERY)
def test_a_target_that_does_not_leak_is_a_coin(name, k, others):
    assert abs(mean_auc(EVERY[name], k, leaks=0.0, others=others) - 0.5) < 0.02  # deviation of the mean of four: about 0.005


def test_with_the_complement_among_the_references_a_target_that_leaks_nothing_seems_to():
    """Why `Stock.references` leaves it out: it leaks what the target does not."""
    assert mean_auc(EVERY["rmia"], 4, leaks=0.0, others=2.0, complement=True) > 0.55
    assert mean_auc(EVERY["base"], 4, leaks=0.0, others=2.0, complement=True) > 0.55


@pytest.mark.parametrize("name", EVERY)
def test_a_target_that_leaks_is_found(name):
    floor = {"lira, logpdf": 0.55, "attack-p": 0.55}.get(name, 0.6)
    assert mean_auc(EVERY[name], 16, leaks=2.0, others=2.0) > floor


def test_a_record_far_below_its_out_models_is_a_member_for_the_two_sided_score_alone():
    ours, references, _ = first(signals())
    far = ours - 100
    assert (lira(far, references, mode="offline-logpdf") > lira(ours, references, mode="offline-logpdf")).all()
    assert (lira(far, references, mode="offline") <= lira(ours, references, mode="offline")).all()


# Bad stocks


def test_records_without_a_reference_of_a_kind_are_nan_and_counted(caplog):
    all_models = signals()
    member = all_models.member.copy()
    member[:, :5] = False  # nobody was trained on these
    _, references, _ = first(replace(all_models, member=member))
    with caplog.at_level(logging.WARNING):
        score = lira(all_models.signal[0], references)
        lira(all_models.signal[0], references)
    assert np.flatnonzero(np.isnan(score)).tolist() == [0, 1, 2, 3, 4]
    assert caplog.text.count("5 of 60 records lack a reference") == 1
    assert not np.isnan(calibrated(all_models.signal[0], references)).any(), "OUT references are all that it needs"


def test_every_record_without_in_references_is_refused():
    all_models = signals()
    _, references, _ = first(replace(all_models, member=np.zeros_like(all_models.member)))
    with pytest.raises(ValueError, match="stock must give some record a reference of each kind"):
        sablayrolles(all_models.signal[0], references)


# Stocks of real models


def bits(n: int = 80, d: int = 12) -> Dataset:
    rng = np.random.default_rng(5)
    return Dataset("toy", rng.integers(0, 2, (n, d)).astype(np.uint8), rng.integers(0, 3, n), 3, "own")


def trainer(epochs: int = 4) -> NeuralTrainer:
    return NeuralTrainer(lambda: mlp(12, 3, 8), Recipe(epochs, 10, 0.01), "cpu")


def test_a_stock_asks_every_model_about_every_record():
    data, member = bits(), sample_halves(80, 4, 1)
    made = stock(trainer(), data, member, seed=2)
    models = trainer().fit_many(data, np.stack([np.flatnonzero(row) for row in member]), 2)
    for i, model in enumerate(models):
        p = model.predict_proba(data.x).astype(float)
        own = p[np.arange(80), data.y]
        np.testing.assert_allclose(made.signal[i], np.log(own) - np.log(p.sum(1) - own), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(made.right[i], p.argmax(1) == data.y)
    np.testing.assert_array_equal(made.member, member)


def test_more_models_train_only_the_new_ones(monkeypatch):
    data, trained, whole = bits(), [], NeuralTrainer._states

    def counted(self, dataset, seed, networks):
        trained.append([network.number for network in networks])
        return whole(self, dataset, seed, networks)

    monkeypatch.setattr(NeuralTrainer, "_states", counted)
    small = stock(trainer(), data, sample_halves(80, 4, 1), seed=2)
    large = stock(trainer(), data, sample_halves(80, 6, 1), seed=2)
    again = stock(trainer(), data, sample_halves(80, 6, 1), seed=2)
    assert trained == [[0, 1, 2, 3], [4, 5]]
    np.testing.assert_array_equal(large.signal[:4], small.signal)
    np.testing.assert_array_equal(again.signal, large.signal)


def test_a_mitigation_acts_on_the_answers_and_trains_nothing(monkeypatch):
    data, member = bits(), sample_halves(80, 4, 1)
    plain = stock(trainer(), data, member, seed=2)
    monkeypatch.setattr(NeuralTrainer, "_states", lambda *_: pytest.fail("trained again"))
    same = stock(trainer(), data, member, seed=2, mitigation=lambda p: p)
    np.testing.assert_allclose(same.signal, plain.signal, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(same.right, plain.right)
    label = stock(trainer(), data, member, seed=2, mitigation=lambda p: np.eye(3, dtype=np.float32)[p.argmax(1)])
    np.testing.assert_array_equal(label.signal > 0, plain.right)


@dataclass(frozen=True)
class Flipped:
    """A view of 2-d records, for the test: columns in another order."""

    times: int

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.roll(x, self.times, axis=1)


def test_several_queries_have_a_signal_each():
    data, member = bits(), sample_halves(80, 4, 1)
    plain = stock(trainer(), data, member, seed=2)
    several = stock(trainer(), data, member, seed=2, queries=[Flipped(0), Flipped(3)])
    assert several.signal.shape == (4, 80, 2)
    np.testing.assert_array_equal(several.signal[:, :, 0], plain.signal)
    assert (several.signal[:, :, 1] != plain.signal).any()
    np.testing.assert_array_equal(several.right, plain.right)
    others = stock(trainer(), data, member, seed=2, queries=[Flipped(0), Flipped(5)])
    assert (others.signal[:, :, 1] != several.signal[:, :, 1]).any()


def test_estimators_make_a_stock_too():
    from sklearn.linear_model import LogisticRegression

    data = bits()
    made = stock(EstimatorTrainer(LogisticRegression()), data, sample_halves(80, 4, 1), seed=2)
    assert np.isfinite(made.signal).all()


def test_a_damaged_signal_is_made_again(caplog):
    data, member = bits(), sample_halves(80, 2, 1)
    made = stock(trainer(), data, member, seed=2)
    for path in (cache.cache_folder() / "signals").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:-20])
    np.testing.assert_array_equal(stock(trainer(), data, member, seed=2).signal, made.signal)
    assert "damaged file of the cache" in caplog.text


# Log-odds


def test_log_odds_are_those_of_float64_logits():
    logits = np.random.default_rng(0).normal(0, 15, (200, 6))
    labels = np.arange(200) % 6
    p = torch.softmax(torch.as_tensor(logits, dtype=torch.float32), 1).numpy()
    others = np.where(np.eye(6, dtype=bool)[labels], -np.inf, logits)
    expected = logits[np.arange(200), labels] - scipy.special.logsumexp(others, axis=1)
    assert (p.max(1) == 1).any(), "some probability must have been rounded to one"
    np.testing.assert_allclose(log_odds(p, labels), expected, rtol=1e-4, atol=1e-4)


def test_networks_lose_nothing_where_probabilities_would():
    class Sure(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0] * 300, torch.zeros(len(x)), -x[:, 0]], 1)

    data = Dataset("sure", np.array([[1.0], [2.0]], np.float32), np.array([0, 0]), 3, "own")
    made = _asked_once(black_box(Sure()), data, data.x, np.array([True, False]))[0]
    np.testing.assert_allclose(made, [300 - np.log1p(np.exp(-1)), 600 - np.log1p(np.exp(-2))], rtol=1e-5)
    left = log_odds(black_box(Sure()).predict_proba(data.x), data.y)
    assert (left < 104).all(), "what is left of them in float32"


def test_log_odds_of_one_and_zero_are_finite():
    ends = log_odds(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    np.testing.assert_allclose(ends, [103.27893, -103.27893], rtol=1e-6)


def test_the_log_odds_of_filtered_answers_need_no_whole_vector():
    cut = np.array([[0.9, 0.0], [0.0, 0.6], [1.0, 0.0], [0.999, 0.0]])
    made = log_odds(cut, np.array([0, 0, 0, 0]), floor=1e-2)
    np.testing.assert_allclose(made, np.log([0.9 / 0.1, 0.01 / 0.99, 0.99 / 0.01, 0.99 / 0.01]), rtol=1e-6)
    with pytest.raises(ValueError, match="floor must be above 0"):
        log_odds(cut, np.array([0, 0, 0, 0]), floor=0)
