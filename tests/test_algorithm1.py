"""Algorithm 1 against a literal transcription, climber by climber; targets with known rules; exact counts of queries."""

import math

import numpy as np
import pytest

from mialib.core.types import Features
from mialib.shadow import algorithm1, synthesis
from mialib.shadow.algorithm1 import Rules

MASK = 2**64 - 1


class Target:
    """Answers by exact arithmetic, the same for a record in any company; counts what it is asked."""

    def __init__(self, scores):
        self.scores, self.asked = scores, 0

    def predict_proba(self, x):
        self.asked += len(x)
        scores = self.scores(x.reshape(len(x), -1).astype(np.float64))
        return (scores / scores.sum(1, keepdims=True)).astype(np.float32)


def weighted(d, n_classes, seed=0, power=8):
    """Each class favours some features, and others in part: hills to climb."""
    weights = np.random.default_rng(seed).integers(0, 4, (d, n_classes))

    def scores(x):
        return 1 + (x[:, :, None] * weights).sum(1).round() ** power

    return Target(scores)


def constant(*answer):
    return Target(lambda x: np.tile(np.array(answer, np.float64), (len(x), 1)))


def blocks(n_classes=5, size=12):
    """The class of a record is the block of its bits that has most ones; sure of it by two to the ones."""
    return Target(lambda x: 2.0 ** x.reshape(len(x), n_classes, size).sum(2))


# The transcription: the procedure of the paper, one climber, one feature, one whole number at a time


def fork(state, index):
    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    return mix(state ^ mix((index + 1) * 0x9E3779B97F4A7C15 & MASK))


def below(word, bound):
    return ((word >> 32) * bound) >> 32


def rand(word):
    return (word >> 11) / 2**53


def value(kind, word):
    """A random value of one feature."""
    if kind[0] == "real":
        return float(np.float32(kind[1] + (kind[2] - kind[1]) * rand(word)))
    low, high = {"bit": (0, 1), "pixel": (0, 255), "integer": kind[1:], "group": (0, len(kind) - 2)}[kind[0]]
    return low + below(word, high - low + 1)


def rand_record(kinds, stream):
    return [value(kind, fork(stream, i)) for i, kind in enumerate(kinds)]


def changed(record, kinds, k, where, stream):
    places, i = set(), 0
    while len(places) < k:
        places.add(below(fork(where, i), len(kinds)))
        i += 1
    new = list(record)
    for place in places:
        flip = kinds[place][0] == "bit"
        new[place] = 1 - record[place] if flip else value(kinds[place], fork(stream, place))
    return new


def synthesize(ask, kinds, c, climber, rules):
    """Algorithm 1. Returns the records asked for, and whether the last one was found."""
    path = []
    select, where, draw = (lambda step, use=use: fork(climber, 3 * step + use) for use in range(3))
    x = rand_record(kinds, draw(0))
    best, y_best, j, k = None, 0.0, 0, min(rules.k_max, len(kinds))
    for step in range(rules.iter_max):
        path.append(x)
        y = ask(x)
        if y[c] >= y_best:
            sure = y[c] > np.float32(rules.conf_min) and c == y.argmax()
            if sure and rand(fork(select(step), 0)) < y[c]:
                return path, True
            best, y_best, j = x, y[c], 0
        else:
            j += 1
            if j > rules.rej_max:
                k, j = max(min(rules.k_min, len(kinds)), math.ceil(k / 2)), 0
        x = changed(best, kinds, k, where(step + 1), draw(step + 1))
    return path, False


def seed_of(rng):
    return int(np.random.default_rng(rng).integers(2**63))


BITS = Features((40,)), [("bit",)] * 40, lambda record: np.uint8(record)
PIXELS = Features((3, 5)), [("pixel",)] * 15, lambda record: np.uint8(record).reshape(3, 5)
A = ("category", "a")
TABLE = (
    Features((7,), [A, ("bit",), ("real", -2, 3.5), A, ("integer", 3, 9), A, ("bit",)]),
    [("group", 0, 3, 5), ("bit",), ("real", -2, 3.5), ("integer", 3, 9), ("bit",)],
    lambda r: np.float32([r[0] == 0, r[1], r[2], r[0] == 1, r[3], r[0] == 2, r[4]]),
)  # fmt: skip
MIXED = Target(lambda x: 1 + np.abs(x[:, [2, 4, 1]] + 2 * x[:, [0, 3, 5]]) ** 3)
WORLDS = {
    "bits": (BITS, weighted(40, 4), Rules(k_max=16, conf_min=0.4, rej_max=2, iter_max=60)),
    "bits, to the end": (BITS, weighted(40, 4), Rules(k_max=37, k_min=3, conf_min=0.9, rej_max=0, iter_max=40)),
    "pixels": (PIXELS, weighted(15, 3), Rules(conf_min=0.5, rej_max=1, iter_max=50)),
    "table": (TABLE, MIXED, Rules(conf_min=0.6, rej_max=3, iter_max=30)),
}  # fmt: skip


class Recorder(algorithm1.Climbers):
    """Climbers that write down what they ask."""

    def hear(self, answers):
        for row in range(len(answers)):
            PATHS.setdefault(tuple(self.jobs[row].tolist()), []).append(self.proposal[row].tolist())
        return super().hear(answers)


PATHS: dict[tuple[int, int, int], list[list[float]]] = {}


@pytest.fixture(autouse=True)
def no_paths_yet():
    PATHS.clear()


@pytest.mark.parametrize("climbers", [4096, 5])
@pytest.mark.parametrize("world", WORLDS)
def test_paths_are_those_of_the_transcription(world, climbers, monkeypatch):
    """Every climber of every class, whatever climbs beside it."""
    monkeypatch.setattr("mialib.shadow.algorithm1.Climbers", Recorder)
    monkeypatch.setattr("mialib.shadow.algorithm1.CLIMBERS", climbers)
    (features, kinds, as_record), target, rules = WORLDS[world]
    labels = [2, 0, 1]
    made = synthesis.model_based(target, features, labels, 4, np.random.default_rng(3), tries=2, **vars(rules))

    def ask(record):
        return target.predict_proba(as_record(record)[None])[0]

    found, spent = {}, dict.fromkeys(labels, 0)
    for (group, record, attempt), path in PATHS.items():
        climber = fork(fork(fork(seed_of(3), labels[group]), record), attempt)
        expected, success = synthesize(ask, kinds, labels[group], climber, rules)
        assert path == expected, f"class {labels[group]}, record {record}, attempt {attempt}"
        assert success or attempt == 1 or (group, record, 1) in PATHS
        assert attempt == 0 or (group, record, 0) not in found
        spent[labels[group]] += len(path)
        if success:
            found[group, record, attempt] = path
    assert {key[:2] for key in PATHS} == {(group, record) for group in range(3) for record in range(4)}
    in_order = [found[key] for key in sorted(found)]
    np.testing.assert_array_equal(made.x, np.stack([as_record(path[-1]) for path in in_order]))
    assert made.queries.tolist() == [len(path) for path in in_order]
    assert made.y.tolist() == [labels[key[0]] for key in sorted(found)]
    np.testing.assert_array_equal(made.confidence, target.predict_proba(made.x)[np.arange(len(made.y)), made.y])
    assert dict(zip(made.report["cls"], made.report["queries"], strict=True)) == spent
    gave_up = [sum(key[0] == group for key in PATHS) - sum(key[0] == group for key in found) for group in range(3)]
    assert made.report["given_up"].tolist() == gave_up
    assert world != "bits, to the end" or sum(gave_up)  # there, some must give up, for this to test it
    assert world != "bits" or len({len(path) for path in in_order}) > 3


def equal(one, other):
    for name in ("x", "y", "confidence", "queries"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def bits(target, label, n, seed=0, **options):
    """Of 60 bits, so in smaller steps than the paper's for 600: about 30 queries a record of `blocks`."""
    options = {"conf_min": 0.9, "k_max": 8, "rej_max": 2} | options
    return synthesis.model_based(target, Features((60,)), label, n, np.random.default_rng(seed), **options)


def test_a_target_with_known_rules_is_found_for_all_classes():
    target = blocks()
    made = bits(target, range(5), 30)
    ones = made.x.reshape(-1, 5, 12).sum(2)
    np.testing.assert_array_equal(ones.argmax(1), made.y)
    assert made.y.tolist() == np.repeat(np.arange(5), 30).tolist()
    assert made.confidence.min() > 0.9 and made.queries.min() >= 1
    assert [part.dtype for part in made[:4]] == [np.uint8, np.int64, np.float32, np.int64]
    assert (made.report["outcome"] == "found").all() and made.report["found"].tolist() == [30] * 5
    assert target.asked == made.report["queries"].sum() == made.queries.sum()
    by_class = made.queries.reshape(5, 30).mean(1)
    np.testing.assert_allclose(made.report["mean_queries"], by_class)
    assert len(np.unique(made.x, axis=0)) > 140


@pytest.mark.parametrize("n", [3, 25])
def test_a_target_that_never_exceeds_conf_min_is_given_up_and_counted(n, caplog):
    target = constant(1, 1, 1, 1, 1)  # 0.2 each, which does not exceed 0.2
    made = bits(target, [0, 3], n, conf_min=0.2, iter_max=7, tries=2)
    climbs = min(n, algorithm1.SCOUTS) * 2
    assert made.x.shape == (0, 60) and len(made.y) == len(made.queries) == 0
    assert made.report["outcome"].tolist() == ["not found"] * 2
    assert made.report["given_up"].tolist() == [climbs] * 2 and made.report["queries"].tolist() == [climbs * 7] * 2
    assert target.asked == 2 * climbs * 7 and made.report["mean_queries"].isna().all()
    assert "not found for classes 0, 3: 0 of" in caplog.text
    with pytest.raises(ValueError, match=r"toy: no record was found for any class, in .* queries"):
        made.dataset("toy", 5, "real")


def test_a_class_that_is_not_the_most_probable_is_never_found():
    made = bits(constant(4, 6), [0, 1], 3, conf_min=0.2, iter_max=20)
    assert made.report["outcome"].tolist() == ["not found", "found"] and made.y.tolist() == [1] * 3


def test_a_record_is_selected_with_the_probability_of_its_class():
    """Answers of 0.6: each query succeeds with probability 0.6."""
    made = bits(constant(6, 4), 0, 4000, conf_min=0.2)
    assert (made.queries == 1).mean() == pytest.approx(0.6, abs=5 * np.sqrt(0.24 / 4000))
    assert (made.queries == 2).mean() == pytest.approx(0.24, abs=0.04)


@pytest.mark.parametrize("budget", [1, 137, 2000, 9000])
@pytest.mark.parametrize("climbers", [4096, 16])
def test_a_budget_ends_in_mid_climb_with_what_is_done(budget, climbers, monkeypatch):
    monkeypatch.setattr("mialib.shadow.algorithm1.CLIMBERS", climbers)
    whole, target = bits(blocks(), range(5), 100), blocks()
    made = bits(target, range(5), 100, max_queries=budget)
    assert whole.report["queries"].sum() > 9000
    assert target.asked == budget == made.report["queries"].sum()
    assert 0 < made.report["cut"].sum() <= climbers
    assert made.report["outcome"].tolist() == ["budget"] * 5
    assert np.ptp(made.report["found"]) <= 40  # all classes are served
    assert len(made.x) == made.report["found"].sum() < 500
    finished = {tuple(x) for x in whole.x.tolist()}
    assert all(tuple(x) in finished for x in made.x.tolist())
    assert budget < 2000 or len(made.x) >= 10


@pytest.mark.parametrize("spare", [0, 1])
def test_a_budget_that_suffices_changes_nothing(spare):
    whole = bits(blocks(), range(5), 8)
    made = bits(blocks(), range(5), 8, max_queries=int(whole.report["queries"].sum()) + spare)
    equal(made, whole)
    assert made.report.equals(whole.report) and made.report["cut"].sum() == 0


@pytest.mark.parametrize("climbers", [1, 3, 64])
def test_a_batch_of_any_size_finds_the_same(climbers, monkeypatch):
    whole = bits(blocks(), [4, 1], 15)
    monkeypatch.setattr("mialib.shadow.algorithm1.CLIMBERS", climbers)
    made = bits(blocks(), [4, 1], 15)
    equal(made, whole)
    assert made.report.equals(whole.report)


def test_a_class_alone_finds_what_it_finds_among_others():
    whole, alone = bits(blocks(), [4, 1, 0], 15), bits(blocks(), 1, 15)
    np.testing.assert_array_equal(alone.x, whole.x[15:30])
    more = bits(blocks(), 1, 40)
    np.testing.assert_array_equal(more.x[:15], alone.x)


def test_other_seeds_find_other_records():
    assert not np.array_equal(bits(blocks(), 1, 5).x, bits(blocks(), 1, 5, seed=1).x)


def test_a_failed_climb_is_tried_again_from_another_start():
    once, thrice = (bits(blocks(), 2, 60, iter_max=25, tries=tries) for tries in (1, 3))
    assert once.report["given_up"][0] == 60 - len(once.x) > 0
    assert len(once.x) < len(thrice.x)
    assert once.report["outcome"].tolist() == ["some"]


def test_further_records_wait_for_a_scout():
    """Of two classes, one cannot be found: it costs its scouts only."""
    made = bits(constant(1, 9), [0, 1], 500, conf_min=0.2, iter_max=9)
    assert made.report["given_up"].tolist() == [algorithm1.SCOUTS * 3, 0] and made.report["found"].tolist() == [0, 500]


def test_an_interrupt_passes_through():
    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bits(Target(stop), 0, 1)


GOOD = {"model": constant(1, 1), "features": Features((6,)), "label": 0, "n": 1, "rng": np.random.default_rng(0)}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"features": (6,)}, TypeError, "features must be a mialib.data.Features"),
        ({"label": 2}, ValueError, r"label must lie in 0..1, the classes that the model answers, got 2"),
        ({"label": -1}, ValueError, "label must be at least 0, got -1"),
        ({"label": "1"}, TypeError, "label must be a whole number, got '1'"),
        ({"label": [1, 1]}, ValueError, r"label must be a class or several different ones, got \[1, 1\]"),
        ({"label": []}, ValueError, "label must be a class or several"),
        ({"n": 0}, ValueError, "n must be at least 1, got 0"),
        ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator, got int"),
        ({"k_max": 0}, ValueError, "k_max must be at least 1, got 0"),
        ({"k_min": 129}, ValueError, r"k_min must be between 1 and 128 \(k_max\), got 129"),
        ({"conf_min": 1.1}, ValueError, "conf_min must be .* got 1.1"),
        ({"conf_min": float("nan")}, ValueError, "conf_min must be .* got nan"),
        ({"rej_max": -1}, ValueError, "rej_max must be at least 0, got -1"),
        ({"iter_max": 0}, ValueError, "iter_max must be at least 1, got 0"),
        ({"max_queries": 0}, ValueError, "max_queries must be at least 1, got 0"),
        ({"tries": 0}, ValueError, "tries must be at least 1, got 0"),
        ({"model": Target(lambda x: np.full((len(x), 2), np.nan))}, ValueError, "predict_proba must answer finite numbers"),
        ({"model": Target(lambda x: np.ones((len(x) + 1, 2)))}, ValueError, r"predict_proba must answer shape \(1, 2\)"),
    ],
)
def test_bad_arguments_are_named(change, error, words):
    with pytest.raises(error, match=words):
        synthesis.model_based(**GOOD | change)
