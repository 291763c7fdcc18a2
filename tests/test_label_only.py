"""Label-only attacks: what a literal loop says, from the labels alone, with every question counted."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mialib import mitigations
from mialib.attack import boundary, label_only
from mialib.attack.boundary import label_only_boundary
from mialib.attack.label_only import label_only_augmentation, label_only_gap, label_only_noise
from mialib.core import randomness
from mialib.shadow.views import View, views

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (80, 24), dtype=np.uint8)
TABLE = (RNG.normal(0, 1, (80, 6)) * [1, 10, 100, 0.1, 1, 0] + [0, 5, -300, 0, 1, 7]).astype(np.float32)
PICTURES = RNG.integers(0, 256, (80, 9, 8, 2), dtype=np.uint8)


class Linear:
    """Answers class 1 where w.x + b is above 0; counts the rows it is asked."""

    def __init__(self, x, seed=0, b=None):
        flat = x.reshape(len(x), -1).astype(np.float64)
        spread = flat.std(0)
        self.w = np.random.default_rng(seed).normal(0, 1, flat.shape[1]) / np.where(spread > 0, spread, 1)
        self.b = -np.median(flat @ self.w) if b is None else b
        self.asked, self.calls = 0, 0

    def margin(self, x):
        return x.reshape(len(x), -1).astype(np.float64) @ self.w + self.b

    def predict_proba(self, x):
        self.asked, self.calls = self.asked + len(x), self.calls + 1
        p = 1 / (1 + np.exp(-self.margin(x).clip(-30, 30)))
        return np.column_stack([1 - p, p]).astype(np.float32)


class Filtered:
    """A model behind an output filter."""

    def __init__(self, model, mitigation):
        self.model, self.mitigation = model, mitigation

    def predict_proba(self, x):
        return self.mitigation(self.model.predict_proba(x))


def answered(model, x):
    return model.predict_proba(x).argmax(1)


ATTACKS = {
    "gap": (BITS, label_only_gap),
    "noise on bits": (BITS, lambda m, x, y: label_only_noise(m, x, y, rate=0.1, copies=30)),
    "noise on a table": (TABLE, lambda m, x, y: label_only_noise(m, x, y, sigma=0.5, copies=30)),
    "noise on pictures": (PICTURES, lambda m, x, y: label_only_noise(m, x, y, sigma=0.1, copies=30)),
    "augmentation": (PICTURES, lambda m, x, y: label_only_augmentation(m, x, y, views(shift=2))),
    "boundary of bits": (BITS, lambda m, x, y: label_only_boundary(m, x, y, max_queries=60)),
    "boundary of a table": (TABLE, lambda m, x, y: label_only_boundary(m, x, y, max_queries=150)),
    "boundary of pictures": (PICTURES, lambda m, x, y: label_only_boundary(m, x, y, max_queries=150)),
}


@pytest.fixture(params=ATTACKS)
def case(request):
    x, attack = ATTACKS[request.param]
    model = Linear(x)
    labels = answered(model, x)
    labels[::7] = 1 - labels[::7]  # some are labelled wrong
    return model, x, labels, attack


def test_every_row_that_the_target_is_asked_is_counted(case):
    model, x, labels, attack = case
    model.asked = 0
    score, queries = attack(model, x, labels)
    assert score.dtype == np.float64 and queries.dtype == np.int64 and score.shape == queries.shape == (80,)
    assert queries.sum() == model.asked and (queries >= 1).all()


def test_the_label_alone_decides(case):
    model, x, labels, attack = case
    plain = attack(model, x, labels)
    for mitigation in (mitigations.label_only, lambda p: mitigations.temperature(p, 5)):
        filtered = attack(Filtered(model, mitigation), x, labels)
        np.testing.assert_array_equal(filtered.score, plain.score)
        np.testing.assert_array_equal(filtered.queries, plain.queries)


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_batches_change_nothing_and_are_kept_small(case, monkeypatch, rows):
    model, x, labels, attack = case
    whole = attack(model, x, labels)
    monkeypatch.setattr(label_only, "BYTES_A_CALL", rows * 4 * x[0].size)
    largest, ask = [0], model.predict_proba
    model.predict_proba = lambda part: largest.append(len(part)) or ask(part)
    parted = attack(model, x, labels)
    np.testing.assert_array_equal(parted.score, whole.score)
    np.testing.assert_array_equal(parted.queries, whole.queries)
    assert max(largest) <= rows


def test_records_are_left_as_they_were(case):
    model, x, labels, attack = case
    before = x.copy()
    attack(model, x, labels)
    np.testing.assert_array_equal(x, before)


def test_records_are_asked_as_a_data_set_holds_them(case):
    model, x, labels, attack = case
    seen, ask = set(), model.predict_proba
    model.predict_proba = lambda part: seen.add((part.dtype, part.shape[1:], int(part.max()) if x is BITS else 0)) or ask(part)
    attack(model, x, labels)
    assert {(dtype, shape) for dtype, shape, _ in seen} == {(x.dtype, x.shape[1:])}
    assert max(top for *_, top in seen) <= 1


# Gap, noise, views


def test_the_gap_is_whether_the_label_is_right():
    model = Linear(BITS)
    labels = RNG.integers(0, 2, 80)
    np.testing.assert_array_equal(label_only_gap(model, BITS, labels).score, answered(model, BITS) == labels)


def test_labels_are_matched_with_the_classes_of_the_model():
    model = Linear(BITS)
    labels = answered(model, BITS)
    model.classes_ = np.array([7, 3])
    assert label_only_gap(model, BITS, np.where(labels == 0, 7, 3)).score.all()
    assert not label_only_gap(model, BITS, np.where(labels == 0, 3, 7)).score.any()


def test_no_noise_leaves_the_gap():
    for x, amount in ((BITS, {"rate": 0}), (TABLE, {"sigma": 0}), (PICTURES, {"sigma": 0})):
        model = Linear(x)
        labels = np.arange(80) % 2
        score = label_only_noise(model, x, labels, copies=3, **amount).score
        np.testing.assert_array_equal(score, label_only_gap(model, x, labels).score)


def test_noise_is_as_large_as_said():
    copies = {}
    for name, x, amount in (
        ("bits", BITS, {"rate": 0.2}),
        ("table", TABLE, {"sigma": 0.5}),
        ("pictures", PICTURES, {"sigma": 0.02}),
    ):
        model, seen = Linear(x), []
        ask = model.predict_proba
        model.predict_proba = lambda part, seen=seen, ask=ask: seen.append(part) or ask(part)
        label_only_noise(model, x, np.zeros(80, int), copies=200, **amount)
        copies[name] = np.concatenate(seen).reshape(80, 200, *x.shape[1:])
    flipped = copies["bits"] != BITS[:, None]
    assert abs(flipped.mean() - 0.2) < 0.003 and abs(flipped.mean((0, 1)) - 0.2).max() < 0.02
    moved = (copies["table"] - TABLE[:, None]).std((0, 1))
    np.testing.assert_allclose(moved, 0.5 * TABLE.std(0), rtol=0.03, atol=1e-6)
    inner = (PICTURES > 30) & (PICTURES < 225)
    shift = copies["pictures"].astype(int) - PICTURES[:, None]
    assert abs(shift.transpose(0, 2, 3, 4, 1)[inner].std() - 255 * 0.02) < 0.1 and abs(shift).max() < 60


def test_the_noise_of_a_record_depends_on_the_seed_and_its_row_alone():
    model = Linear(BITS)
    labels = answered(model, BITS)
    score = label_only_noise(model, BITS, labels, rate=0.3, copies=50).score
    np.testing.assert_array_equal(label_only_noise(model, BITS[:20], labels[:20], rate=0.3, copies=50).score, score[:20])
    assert (label_only_noise(model, BITS, labels, rate=0.3, copies=50, seed=1).score != score).any()
    same = np.repeat(BITS[:1], 80, axis=0)
    assert len(np.unique(label_only_noise(model, same, labels[[0] * 80], rate=0.3, copies=50).score)) > 3


def test_robustness_to_noise_grows_with_the_distance_from_a_plane():
    """P(right) under Gaussian noise is the normal distribution's at margin / (sigma |w|)."""
    from scipy.stats import norm

    x = RNG.normal(0, 1, (300, 5)).astype(np.float32)
    model = Linear(x)
    labels = answered(model, x)
    score = label_only_noise(model, x, labels, sigma=0.8, copies=4000).score
    expected = norm.cdf(abs(model.margin(x)) / (0.8 * np.linalg.norm(model.w * x.std(0))))
    assert abs(score - expected).max() < 4 * 0.5 / np.sqrt(4000)


def test_augmentation_is_the_share_of_views_labelled_right():
    model = Linear(PICTURES)
    labels = RNG.integers(0, 2, 80)
    asked = [*views(shift=3), View(down=1)]
    score, queries = label_only_augmentation(model, PICTURES, labels, asked)
    literal = [np.mean([answered(model, view(PICTURES[i : i + 1]))[0] == labels[i] for view in asked]) for i in range(80)]
    np.testing.assert_allclose(score, literal)
    assert (queries == 19).all()


class Memoriser:
    """Knows the label of what lies within a few flips of a record that it was trained on; else answers class 0."""

    def __init__(self, x, y, reach):
        self.x, self.y, self.reach = x.astype(np.float32), y, reach

    def predict_proba(self, x):
        away = ((x[:, None].astype(np.float32) - self.x) ** 2).sum(2)
        nearest = away.argmin(1)
        known = away[np.arange(len(x)), nearest] < self.reach
        return np.eye(3)[np.where(known, self.y[nearest], 0)]


@pytest.mark.parametrize("name", ["gap", "noise on bits", "boundary of bits"])
def test_a_memoriser_is_caught(name):
    x, member = BITS, np.arange(80) < 40
    labels = np.arange(80) % 2 + 1
    score = ATTACKS[name][1](Memoriser(x[member], labels[member], 5), x, labels).score
    assert roc_auc_score(member, score) > 0.95


# Boundary


def test_a_wrongly_labelled_record_is_at_the_boundary_and_costs_one_query(case):
    model, x, labels, _ = case
    score, queries = label_only_boundary(model, x, labels, max_queries=80)
    wrong = answered(model, x) != labels
    assert wrong.any() and (score[wrong] == 0).all() and (queries[wrong] == 1).all()
    assert (score[~wrong] > 0).all() and (queries[~wrong] > 1).all() and queries.max() <= 80


@pytest.mark.parametrize(("d", "max_queries", "within"), [(2, 300, 1.02), (10, 1000, 1.03), (60, 1000, 1.15)])
def test_the_distance_from_a_plane_is_found_in_units_of_each_column(d, max_queries, within):
    rng = np.random.default_rng(d)
    x = (rng.normal(0, 1, (60, d)) * rng.uniform(0.1, 100, d) + rng.normal(0, 50, d)).astype(np.float32)
    model = Linear(x)
    score = label_only_boundary(model, x, answered(model, x), max_queries=max_queries).score
    true = abs(model.margin(x)) / np.linalg.norm(model.w * x.std(0, dtype=np.float64))
    assert (score > true * (1 - 1e-3)).all() and np.median(score / true) < within


def test_more_queries_find_no_longer_distances():
    model = Linear(TABLE)
    labels = answered(model, TABLE)
    found = [label_only_boundary(model, TABLE, labels, max_queries=n).score for n in (1, 5, 12, 100, 200, 400)]
    assert all((later <= earlier).all() for earlier, later in pairwise(found))
    assert found[-1].mean() < 0.8 * found[2].mean() < 0.8 * found[0].mean()


def test_without_queries_left_the_distance_is_that_of_the_nearest_record_labelled_otherwise():
    model = Linear(TABLE)
    labels = answered(model, TABLE)
    units = TABLE[:, :5] / TABLE[:, :5].std(0)
    away = np.linalg.norm(units[:, None].astype(np.float64) - units, axis=2)
    away[labels[:, None] == labels] = np.inf
    score, queries = label_only_boundary(model, TABLE, labels, max_queries=1)
    np.testing.assert_allclose(score, away.min(1), rtol=1e-4)
    assert (queries == 1).all()


def test_constant_columns_stay_as_they_are():
    model, seen = Linear(TABLE), []
    ask = model.predict_proba
    model.predict_proba = lambda part: seen.append(part[:, 5]) or ask(part)
    label_only_boundary(model, TABLE, answered(model, TABLE), max_queries=150)
    assert (np.concatenate(seen) == 7).all()


def test_the_distance_of_pictures_is_in_units_of_a_pixels_range():
    x = np.random.default_rng(1).integers(60, 200, (60, 6, 6), dtype=np.uint8)
    model = Linear(x)
    score = label_only_boundary(model, x, answered(model, x), max_queries=1000).score
    true = abs(model.margin(x)) / np.linalg.norm(model.w) / 255
    far = true > 0.05
    assert far.sum() > 20 and (score > 0.999 * true).all() and np.median(score[far] / true[far]) < 1.15


class Count:
    """Class 1 where at least `least` of the first `width` bits are set."""

    def __init__(self, width, least):
        self.width, self.least = width, least

    def predict_proba(self, x):
        return np.eye(2)[(x[:, : self.width].sum(1) >= self.least).astype(int)]


@pytest.mark.parametrize(("width", "least"), [(24, 12), (16, 5), (3, 2)])
def test_the_number_of_bits_to_be_flipped_is_exact_where_they_are_counted(width, least):
    model = Count(width, least)
    score, queries = label_only_boundary(model, BITS, answered(model, BITS), max_queries=300)
    ones = BITS[:, :width].sum(1).astype(int)
    np.testing.assert_array_equal(score, np.where(ones >= least, ones - least + 1, least - ones))
    assert queries.max() < 100


class Parity:
    """Class 1 where an odd number of all bits are set: every record is one flip away from the other class."""

    def predict_proba(self, x):
        return np.eye(2)[x.sum(1) % 2]


def test_what_is_left_of_the_flips_cannot_be_taken_back_one_by_one():
    score, _ = label_only_boundary(Parity(), BITS, answered(Parity(), BITS), max_queries=1000)
    assert (score % 2 == 1).all()  # only an odd number of flips leads to the other class; no single one of them can be undone
    assert score.max() <= 24 and (score == 1).any()


def taken_back_one_record_at_a_time(model, record, beyond, order, left):
    """The same search, literally: lists of flipped bits, one question after another."""
    flipped = [bit for bit in order if record[bit] != beyond[bit]]
    label, size, asked = answered(model, record[None])[0], max(1, len(flipped) // 2), 1
    while True:
        place, taken = 0, False
        while place < len(flipped):
            if asked == left:
                return len(flipped), asked
            fewer = flipped[:place] + flipped[place + size :]
            point = record.copy()
            point[fewer] ^= 1
            asked += 1
            if answered(model, point[None])[0] != label:
                flipped, taken = fewer, True
            else:
                place += size
        if size == 1 and not taken:
            return len(flipped), asked
        size = max(1, size // 2)


@pytest.mark.parametrize("max_queries", [2, 10, 40, 1000])
def test_bits_are_searched_as_by_a_literal_loop(max_queries):
    model = Linear(BITS, seed=3)
    labels = answered(model, BITS)
    score, queries = label_only_boundary(model, BITS, labels, max_queries=max_queries, seed=5)
    starts = boundary._some_of_each_label(labels, 5)
    for i, record in enumerate(BITS):
        others = [row for row in starts if labels[row] != labels[i]]
        nearest = min(others, key=lambda row: (BITS[row] != record).sum())
        order = randomness.generator(5, "order of bits", i).permutation(24)
        literal = taken_back_one_record_at_a_time(model, record, BITS[nearest], order, max_queries)
        assert (score[i], queries[i]) == literal


def test_the_search_of_a_record_depends_on_the_seed_and_its_row():
    model = Linear(TABLE)
    labels = answered(model, TABLE)
    first, again, other = (label_only_boundary(model, TABLE, labels, max_queries=200, seed=s).score for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and np.median(first / other) == pytest.approx(1, abs=0.1)


def test_many_records_take_the_nearest_of_some_of_each_label(monkeypatch):
    monkeypatch.setattr(boundary, "POSSIBLE_STARTS", 6)
    rows = boundary._some_of_each_label(np.repeat([0, 1, 2], [70, 9, 1]), 0)
    assert len(rows) == len(set(rows)) == 2 + 2 + 1
    model = Linear(BITS)
    labels = answered(model, BITS)
    assert (label_only_boundary(model, BITS, labels).score > 0).all()


def test_a_target_that_answers_one_label_has_no_boundary():
    constant = Linear(BITS, b=1e6)
    with pytest.raises(ValueError, match="x must hold records that the target labels differently, got label 1 for all 80"):
        label_only_boundary(constant, BITS, np.ones(80, int))
    score, queries = label_only_boundary(constant, BITS, np.zeros(80, int))  # all labelled wrong: nothing to search for
    assert not score.any() and (queries == 1).all()
