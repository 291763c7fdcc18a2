"""Splits, queries and the cache of answers."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from mialib import shadow
from mialib.core import cache
from mialib.core.types import Dataset, Split, some_models
from mialib.training.estimators import EstimatorTrainer
from mialib.training.networks import mlp
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe


def bits(n=120, d=12, n_classes=3):
    rng = np.random.default_rng(0)
    return Dataset("bits", rng.integers(0, 2, (n, d), dtype=np.uint8), rng.integers(0, n_classes, n), n_classes, "standin")


def trainer():
    return NeuralTrainer(lambda: mlp(12, 3, hidden=4), Recipe(2, 10, 1e-2), "cpu")


class Counting(EstimatorTrainer):
    """An EstimatorTrainer that notes the numbers of the models it trains."""

    def __init__(self):
        super().__init__(DecisionTreeClassifier())
        self.trained = []

    def fit_many(self, dataset, rows, seed, first=0):
        self.trained += range(first, first + len(rows))
        return super().fit_many(dataset, rows, seed, first)


def test_swapped_splits_exchange_roles():
    split = Split(np.array([3, 1]), np.array([2, 0]))
    swapped = shadow.swapped_splits(split, 2)
    assert len(swapped) == 2
    for each in swapped:
        assert (each.members.tolist(), each.nonmembers.tolist()) == ([2, 0], [3, 1])
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        shadow.swapped_splits(split, 0)
    with pytest.raises(ValueError, match="split must be disjoint"):
        shadow.swapped_splits(Split(np.array([1, 2]), np.array([2, 3])))


class Answers:
    """A black box with given answers."""

    def __init__(self, answers):
        self.answers = answers

    def predict_proba(self, x):
        return self.answers


def test_splits_are_disjoint_within_the_pool_and_stable():
    pool = np.arange(100, 200)
    splits = shadow.sample_splits(pool, 30, 8, seed=3)
    for split in splits:
        both = split.rows
        assert len(np.unique(both)) == 60
        assert np.isin(both, pool).all()
    for i, split in enumerate(shadow.sample_splits(pool, 30, 3, seed=3, first=5)):
        np.testing.assert_array_equal(split.rows, splits[5 + i].rows)
    assert not np.array_equal(splits[0].members, splits[1].members)
    assert not np.array_equal(splits[0].members, shadow.sample_splits(pool, 30, 1, seed=4)[0].members)


def test_split_arguments_are_named():
    with pytest.raises(ValueError, match=r"n must be between 1 and 50 .*got 51"):
        shadow.sample_splits(np.arange(100), 51, 1, seed=0)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        shadow.sample_splits(np.arange(100), 10, 0, seed=0)
    with pytest.raises(TypeError, match="n must be a whole number"):
        shadow.sample_splits(np.arange(100), 10.0, 1, seed=0)


def test_query_keeps_order_labels_and_membership():
    dataset = bits()
    split = Split(np.array([5, 3]), np.array([7, 9]))
    answers = np.eye(3, dtype=np.float64)[[0, 1, 2, 0]]
    data = shadow.query(Answers(answers), dataset, split)
    np.testing.assert_array_equal(data.predictions, answers)
    assert data.predictions.dtype == np.float32
    np.testing.assert_array_equal(data.labels, dataset.y[[5, 3, 7, 9]])
    np.testing.assert_array_equal(data.member, [True, True, False, False])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (np.full((4, 2), 0.5), r"shape \(4, 3\), got \(4, 2\)"),
        (np.full((4, 3), np.nan), "finite"),
        (np.array([[0.5, 0.25, 0.25]] * 3 + [[0.5, 0.5, 0.5]]), "row 3 sums to 1.5"),
        (np.array([[1.5, -0.25, -0.25]] * 4), "in 0..1, got -0.25..1.5"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused_before_any_mitigation(answers, message):
    mitigated = []
    with pytest.raises(ValueError, match=message):
        shadow.query(Answers(answers), bits(), Split(np.array([0, 1]), np.array([2, 3])), mitigation=mitigated.append)
    assert not mitigated


@pytest.mark.parametrize(
    ("members", "nonmembers", "message"), [([0, 1], [1, 2], "disjoint"), ([0], [1, 2], "as many"), ([], [], "as many")]
)
def test_unfair_splits_are_refused(members, nonmembers, message):
    with pytest.raises(ValueError, match=message):
        Split(np.array(members, int), np.array(nonmembers, int))


def test_shadow_attack_data_is_each_model_asked_about_its_own_split():
    dataset = bits()
    splits = shadow.sample_splits(np.arange(120), 20, 3, seed=0)
    data = shadow.shadow_attack_data(trainer(), dataset, splits, seed=1)
    fitted = trainer().fit_many(dataset, np.stack([s.members for s in splits]), seed=1)
    expected = [shadow.query(model, dataset, split) for model, split in zip(fitted, splits, strict=True)]
    for name in ("predictions", "labels", "member"):
        whole = np.concatenate([getattr(part, name) for part in expected])
        np.testing.assert_array_equal(getattr(data, name), whole, err_msg=name)
    middle = some_models(data, 1, 2, of=3)
    np.testing.assert_array_equal(middle.predictions, expected[1].predictions)


def test_more_shadows_train_only_the_new_ones_and_mitigations_train_nothing():
    dataset, counting = bits(), Counting()
    splits = shadow.sample_splits(np.arange(120), 20, 30, seed=0)
    first = shadow.shadow_attack_data(counting, dataset, splits[:20], seed=0)
    assert counting.trained == list(range(20))
    assert shadow.count_missing(counting, dataset, splits, seed=0) == 10
    more = shadow.shadow_attack_data(counting, dataset, splits, seed=0)
    assert counting.trained == list(range(30))
    np.testing.assert_array_equal(more.predictions[: len(first.predictions)], first.predictions)
    halved = shadow.shadow_attack_data(counting, dataset, splits, seed=0, mitigation=lambda p: p / 2)
    assert counting.trained == list(range(30))
    np.testing.assert_array_equal(halved.predictions, more.predictions / 2)


def test_a_hole_in_the_middle_is_filled_alone():
    dataset, counting = bits(), Counting()
    splits = shadow.sample_splits(np.arange(120), 20, 4, seed=0)
    shadow.shadow_attack_data(counting, dataset, splits[1:3], seed=0, first=1)
    whole = shadow.shadow_attack_data(counting, dataset, splits, seed=0)
    assert sorted(counting.trained) == [0, 1, 2, 3]
    fresh = [
        shadow.query(m, dataset, s)
        for m, s in zip(counting.fit_many(dataset, np.stack([s.members for s in splits]), 0), splits, strict=True)
    ]
    np.testing.assert_array_equal(whole.predictions, np.concatenate([f.predictions for f in fresh]))


def test_a_damaged_file_of_the_cache_is_named_and_made_again(caplog):
    dataset = bits()
    splits = shadow.sample_splits(np.arange(120), 20, 2, seed=0)
    before = shadow.shadow_attack_data(trainer(), dataset, splits, seed=0)
    files = sorted(cache.cache_folder().rglob("*.npz"))
    assert len(files) == 4  # two networks, two sets of answers
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    after = shadow.shadow_attack_data(trainer(), dataset, splits, seed=0)
    assert "damaged file of the cache" in caplog.text
    np.testing.assert_array_equal(before.predictions, after.predictions)


SLOW_STUDY = """
    import sys, time
    import numpy as np
    from mialib import shadow, training
    from mialib.data import Dataset
    from mialib.training.session import Session
    rng = np.random.default_rng(0)
    dataset = Dataset("bits", rng.integers(0, 2, (120, 12), dtype=np.uint8), rng.integers(0, 3, 120), 3, "standin")
    splits = shadow.sample_splits(np.arange(120), 20, 6, seed=0)
    epoch = Session.epoch
    def slow(self):
        print("epoch", flush=True)
        time.sleep(float(sys.argv[1]))
        return epoch(self)
    Session.epoch = slow
    trainer = training.NeuralTrainer(lambda: training.mlp(12, 3, hidden=4), training.Recipe(2, 10, 1e-2), "cpu", chunk=1)
    shadow.shadow_attack_data(trainer, dataset, splits, seed=0)
    print("done", flush=True)
"""


def test_a_killed_run_loses_only_the_models_in_work(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(textwrap.dedent(SLOW_STUDY))
    environment = os.environ | {"MIALIB_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([sys.executable, script, "0.3"], env=environment, stdout=subprocess.PIPE, text=True)
    for _ in range(7):  # two epochs a model: the seventh belongs to the fourth model
        assert killed.stdout.readline() == "epoch\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    finished = len(list((tmp_path / "cache" / "weights").rglob("*.npz")))
    assert finished >= 3
    again = subprocess.run([sys.executable, script, "0"], env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.splitlines() == ["epoch"] * (2 * (6 - finished)) + ["done"]
    assert not [f for f in (tmp_path / "cache").rglob(".*") if f.is_file() and time.time() - f.stat().st_mtime > 3600]


def test_processes_may_share_the_cache(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(textwrap.dedent(SLOW_STUDY))
    environment = os.environ | {"MIALIB_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen([sys.executable, script, "0"], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert all("done" in process.communicate()[0] for process in both)
    assert len(list((tmp_path / "cache" / "answers").rglob("*.npz"))) == 6
