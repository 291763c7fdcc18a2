"""A cluster that loses workers, its scheduler or its caller: real processes on this machine, killed by their ids."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
from clusters import PACKAGE, machines, when_begun
from distributed import Client

import mialib
from mialib import cluster, study
from mialib.audit.command import main as audit_main
from mialib.cluster import checked as check
from mialib.cluster import travel, worker
from mialib.core import cache, executors
from mialib.core.executors import LeftToOthers
from mialib.core.extras import ExtraMissing
from mialib.core.types import Dataset
from mialib.runs.command import main as runs_main
from mialib.shadow import synthesis
from mialib.training import NeuralTrainer, Recipe, mlp

RECIPE = Recipe(epochs=3, batch_size=20, lr=0.01)
LONG = Recipe(epochs=150, batch_size=10, lr=0.001)  # some seconds a stack


def bits(seed=0, n=400):
    rng = np.random.default_rng(seed)
    x = (rng.random((n, 30)) < 0.4).astype(np.uint8)
    return Dataset("bits", x, (x[:, :2] @ [1, 2]).astype(np.int64), 4, "own")


DATA = bits()


def trainer(recipe=RECIPE):
    return NeuralTrainer(partial(mlp, 30, 4, 16), recipe)


def splits(k=4, n=60):
    return mialib.sample_splits(np.arange(400), n, k, seed=1)


def stored(folder):
    """Of every file that a cache holds, its arrays."""
    found = {}
    for path in sorted(Path(folder).rglob("*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            found[path.relative_to(folder).as_posix()] = {n: arrays[n] for n in arrays.files if n != "key.json"}
    return found


def same(a, b):
    assert a.keys() == b.keys() and a
    for name in a:
        assert a[name].keys() == b[name].keys()
        for part in a[name]:
            np.testing.assert_array_equal(a[name][part], b[name][part], err_msg=f"{name} {part}")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two workers with nannies, which start them again when they die."""
    folder = tmp_path_factory.mktemp("two")
    with machines(folder, folder / "cache", folder / "data") as found:
        found.add(1, "--nworkers", "2", "--nthreads", "1")
        with Client(found.address, set_as_default=False) as client:
            client.wait_for_workers(2)
        yield found


@pytest.fixture
def connected(two):
    with cluster.at(two.address, wait=120) as found:
        assert found.workers.n == 2
        yield found


def trained_long():
    """Eight models, in two stacks of four."""
    long = NeuralTrainer(partial(mlp, 30, 4, 16), LONG, chunk=4)
    return mialib.shadow_attack_data(long, DATA, splits(8), seed=3).predictions


@pytest.fixture(scope="module")
def undisturbed(two, tmp_path_factory):
    """The cache after a run in which nothing happened."""
    with pytest.MonkeyPatch.context() as patch, cluster.at(two.address):
        patch.setenv("MIALIB_CACHE", str(folder := tmp_path_factory.mktemp("undisturbed")))
        trained_long()
    return folder


def test_a_killed_worker_changes_no_byte(undisturbed, connected, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "disturbed"))
    with when_begun(connected, lambda process: os.kill(process, signal.SIGKILL), stacks=2):
        disturbed = trained_long()
    same(stored(tmp_path / "disturbed"), stored(undisturbed))
    assert connected.trained_twice == 4 and "4 models were trained twice" in caplog.text
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "here"))
    with executors.elsewhere(None):
        np.testing.assert_allclose(disturbed, trained_long(), atol=1e-4)


def trees(x, y, seed):
    """A user's training function, in a module that no worker can import."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=4, random_state=seed).fit(x, y)


def attack_data(n_classes=30):  # more than are fitted where they are wanted
    rng = np.random.default_rng(5)
    labels, member = np.repeat(np.arange(n_classes), 60), np.tile([True, False], 30 * n_classes)
    predictions = rng.dirichlet(np.ones(n_classes), len(labels)).astype(np.float32)
    predictions[np.arange(len(labels)), labels] += member
    return mialib.core.AttackData(predictions / predictions.sum(1, keepdims=True), labels, member)


def climbed():
    (target,) = trainer(Recipe(epochs=30, batch_size=20, lr=0.01)).fit_many(DATA, np.arange(200)[None], seed=4)
    made = synthesis.all_classes(target, mialib.Features((30,)), 4, 3, seed=2, key={"of": "a test"}, iter_max=200)
    return np.concatenate([made.x.ravel(), made.y, made.queries])


WORKS = {
    "answers of networks": lambda: mialib.shadow_attack_data(trainer(), DATA, splits(), seed=3).predictions,
    "signals": lambda: mialib.stock(trainer(), DATA, mialib.sample_halves(400, 4, 1), seed=3).signal,
    "networks": lambda: trainer().fit_many(DATA, np.arange(80).reshape(2, 40), seed=7)[1].predict_proba(DATA.x),
    "clones": lambda: (
        mialib.shadow_attack_data(mialib.EstimatorTrainer(trees(DATA.x, DATA.y, 0)), DATA, splits(), seed=3).predictions
    ),
    "a user's function": lambda: mialib.shadow_attack_data(mialib.FunctionTrainer(trees), DATA, splits(), 3).predictions,
    "models themselves": lambda: np.stack(
        [m.predict_proba(DATA.x) for m in mialib.FunctionTrainer(trees).fit_many(DATA, np.arange(90).reshape(3, 30), seed=3)]
    ),
    "Amazon": lambda: mialib.shadow_attack_data(study.AmazonML(2), DATA, splits(), seed=3).predictions,
    "Google": lambda: mialib.shadow_attack_data(study.PredictionAPI(), DATA, splits(2), seed=3).predictions,
    "an attack": lambda: mialib.fit_attack(attack_data()).membership_score(attack_data()),
    "climbs": climbed,
}


@pytest.mark.parametrize("name", WORKS)
def test_two_workers_do_what_this_machine_does(connected, monkeypatch, tmp_path, name):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "there"))
    there = WORKS[name]()
    monkeypatch.setattr(connected, "made", lambda *_: pytest.fail("made again"))
    if name not in ("models themselves",):  # which are not kept
        np.testing.assert_array_equal(WORKS[name](), there)
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "here"))
    with executors.elsewhere(None), joblib.parallel_config("sequential"):
        here = WORKS[name]()
    np.testing.assert_allclose(there, here, atol=1e-4)


def test_what_workers_cannot_put_into_the_cache_comes_back(connected, monkeypatch, tmp_path):
    def trained(name):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / name))
        return mialib.shadow_attack_data(trainer(), DATA, splits(), seed=3).predictions

    shared = trained("shared")
    monkeypatch.setattr(connected, "token", lambda: (str(cache.cache_folder()), "no such file"))
    np.testing.assert_array_equal(trained("apart"), shared)
    same(stored(tmp_path / "shared"), stored(tmp_path / "apart"))
    assert {name.partition("/")[0] for name in stored(tmp_path / "apart")} == {"answers", "weights"}


def test_nothing_is_kept_where_the_caller_keeps_nothing(connected, monkeypatch, two):
    monkeypatch.setenv("MIALIB_CACHE", "off")
    before = stored(two.folder / "cache")
    first = mialib.shadow_attack_data(trainer(), DATA, splits(2), seed=31).predictions
    np.testing.assert_array_equal(mialib.shadow_attack_data(trainer(), DATA, splits(2), seed=31).predictions, first)
    assert stored(two.folder / "cache") == before == {}


class Greedy(NeuralTrainer):
    """Has no room for more than `most` networks."""

    most = 1

    def together(self, dataset, k, workers):
        return 4

    def fit_many(self, dataset, rows, seed, first=0):
        if len(rows) > self.most:
            raise MemoryError("too many")
        return super().fit_many(dataset, rows, seed, first)


def test_a_stack_that_is_too_large_is_cut_in_two(connected, caplog):
    greedy = Greedy(partial(mlp, 30, 4, 16), RECIPE)
    found = mialib.shadow_attack_data(greedy, DATA, splits(), seed=3).predictions
    np.testing.assert_allclose(found, mialib.shadow_attack_data(trainer(), DATA, splits(), seed=3).predictions, atol=1e-4)
    assert "4 models together were too much for a worker (MemoryError): trying halves" in caplog.text
    greedy.most = 0
    with pytest.raises(cluster.ClusterError, match="cannot make one model of 4: its workers ran out of memory"):
        mialib.shadow_attack_data(greedy, DATA, splits(), seed=4)


def test_what_the_work_raises_reaches_the_caller(connected):
    with pytest.raises(FloatingPointError, match=r"model [0-3]: its .* the training diverged"):
        mialib.shadow_attack_data(trainer(Recipe(3, 20, lr=1e30, l2=1.0, optimizer="sgd")), DATA, splits(), seed=3)


def test_what_is_announced_is_begun_together_and_the_estimate_knows_the_workers(connected, monkeypatch, tmp_path):
    one, other = (study.Experiment(DATA, trainer(), "local", 60, 1, 4, seed) for seed in (3, 4))
    words = study.announce(one, other).splitlines()
    assert all(re.search(r"5 of 5 models to train, about \d+ s and \d+ MB on 2 workers", line) for line in words)
    found = study.run_trials(one)[0].shadows.predictions
    monkeypatch.setattr(connected, "made", lambda *_: pytest.fail("made again"))
    assert len(study.run_trials(other)) == 1
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "here"))
    with executors.elsewhere(None):
        np.testing.assert_allclose(found, study.run_trials(one)[0].shadows.predictions, atol=1e-4)


def test_a_data_set_travels_by_its_digest():
    packed, datasets = travel.packed(partial(trainer().fit_many, DATA, {"again": DATA}))
    assert datasets == {DATA.digest(): DATA} and len(packed) < DATA.x.nbytes / 4
    arguments = travel.unpacked(packed, datasets).args
    assert arguments[0] is DATA and arguments[1]["again"] is DATA


def test_all_workers_are_lost_and_come_back_and_a_lost_scheduler_is_named(undisturbed, monkeypatch, tmp_path):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "cache"))
    with machines(tmp_path / "first", tmp_path / "cache", tmp_path / "data") as found, cluster.at(found.add().address) as there:

        def lose(process):
            os.kill(process, signal.SIGKILL)
            found.workers[0].wait()
            found.add()

        with when_begun(there, lose, stacks=2):
            trained_long()
        same(stored(tmp_path / "cache"), stored(undisturbed))
        assert there.trained_twice == 4
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "again"))
        lost = rf"the scheduler at {found.address} was lost; what was finished is kept"
        with when_begun(there, lambda _: found.scheduler.kill(), stacks=2), pytest.raises(cluster.ClusterError, match=lost):
            trained_long()
    kept = stored(tmp_path / "again")
    assert len(kept) == 8  # answers and weights of one stack
    with (
        machines(tmp_path / "second", tmp_path / "again", tmp_path / "data") as found,
        cluster.at(found.add().address) as there,
    ):
        trained_long()
        assert sum(event["pieces"] for _, event in there.client.get_events("mialib-stacks")) == 4
    same(stored(tmp_path / "again"), stored(undisturbed))


CALLER = """
import sys
from test_cluster import cluster, trained_long
with cluster.at(sys.argv[1]):
    trained_long()
"""


def test_a_caller_that_was_killed_goes_on(undisturbed, connected, two, monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    environment = os.environ | {"MIALIB_CACHE": str(folder), "PYTHONPATH": f"{PACKAGE.parent}:{Path(__file__).parent}"}
    process = subprocess.Popen([sys.executable, "-c", CALLER, two.address], env=environment, stderr=subprocess.DEVNULL)
    with when_begun(connected, lambda _: process.kill()):
        process.wait()
    monkeypatch.setenv("MIALIB_CACHE", str(folder))
    trained_long()
    same(stored(folder), stored(undisturbed))


# Bad input


def test_what_is_no_address_and_what_does_not_answer(monkeypatch):
    for wrong in ("scheduler:8786", "tcp://scheduler", "", 8786):
        with pytest.raises(cluster.ClusterError, match="cluster must be the address of a scheduler, such as tcp://"):
            cluster.connect(wrong)
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(cluster.ClusterError, match=f"no scheduler answers at {address} within 0.5 s"):
            cluster.connect(address, wait=0.5)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExtraMissing, match=re.escape('pip install "mialib[cluster]"')):
        cluster.connect(address)


def test_workers_that_cannot_be_used_are_named_before_anything_is_trained(monkeypatch, tmp_path):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "cache"))
    changed, without = tmp_path / "changed", tmp_path / "without"
    shutil.copytree(PACKAGE, changed / "mialib", ignore=shutil.ignore_patterns("__pycache__"))
    with open(changed / "mialib" / "mitigations.py", "a") as file:
        file.write("\nMORE = 1\n")
    (without / "mialib").mkdir(parents=True)
    (without / "mialib" / "__init__.py").write_text("raise ImportError('not this one')")
    with machines(tmp_path / "cluster", tmp_path / "cache", tmp_path / "data") as found:
        none = f"the cluster at {found.address} has 0 workers, 0.5 s after it was asked: start some, dask worker"
        with pytest.raises(cluster.ClusterError, match=none):
            cluster.connect(found.address, wait=0.5)
        found.add(1, PYTHONPATH=str(changed)).add(1, PYTHONPATH=str(without)).add(1, "--nthreads", "3", "--no-nanny")
        with Client(found.address, set_as_default=False) as client:
            client.wait_for_workers(3)
        with pytest.raises(cluster.ClusterError) as error:
            cluster.connect(found.address)
    for why in (
        "has another version of mialib: its code is",
        'has no mialib (ImportError: not this one): pip install "mialib[cluster]" there',
        "computes 3 stacks at a time in one process: start it with --nworkers 3 --nthreads 1",
    ):
        assert why in str(error.value)
    assert not stored(tmp_path / "cache")


def test_a_worker_that_came_later_with_other_code_is_refused(connected, monkeypatch):
    monkeypatch.setattr(worker, "code_of_package", lambda: "that of another version")
    named = rf"the cluster at {connected.address} cannot be used: a worker on .* has another version of mialib"
    with pytest.raises(cluster.ClusterError, match=named):
        mialib.shadow_attack_data(trainer(), DATA, splits(2), seed=51)


def test_other_versions_and_a_folder_that_cannot_be_written_are_named(monkeypatch):
    here = worker.about(None, "")
    assert check.why_not(here, 1) == ""
    assert "has other versions: torch 1.0, here" in check.why_not(here | {"versions": here["versions"] | {"torch": "1.0"}}, 1)
    folder = cache.data_folder()
    for name, digest in {"location": "b", "adult": "c"}.items():
        np.savez(folder / f"{name}.npz", meta=np.array(json.dumps({"sha256": digest})))
    assert check.why_not(here | {"data": {"location": "b", "texas": "d"}}, 1) == ""
    assert "has other data: location in its" in check.why_not(here | {"data": {"location": "a", "adult": "c"}}, 1)
    place = Path("/proc/self")  # where nobody can make a file, whoever asks
    assert worker.about(str(place), "stat")["shared"] == str(place)
    assert "cannot write to the cache folder /proc/self: " in check.why_not(worker.about(str(place), "stat"), 1)


def test_commands_name_a_cluster_or_a_shard_that_there_is_not(monkeypatch, tmp_path, capsys):
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_one.ipynb").write_text(json.dumps(notebook))
    for words, why in {
        ("run", "01_one", "--cluster", "nowhere:1"): "cluster must be the address of a scheduler",
        ("all", "--cluster", "nowhere:1"): "cluster must be the address of a scheduler",
        ("train", "01_one", "--shard", "17/16"): "shard must be i/n with i in 1..n, such as 3/16, got 17/16",
    }.items():
        assert runs_main(words, root=tmp_path) == 2
        assert why in capsys.readouterr().err
    monkeypatch.setenv("MIALIB_CACHE", "off")
    assert runs_main(["train", "01_one"], root=tmp_path) == 2
    assert "train keeps what it trains in the cache, and MIALIB_CACHE=off keeps nothing" in capsys.readouterr().err
    files = ["--members", "in.csv", "--nonmembers", "out.csv", "--label", "y"]
    assert audit_main([*files, "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "--cluster: of a model, which --model or --url names" in capsys.readouterr().err


# Shards


def test_shards_train_their_share_and_then_all_is_there(monkeypatch, tmp_path):
    def trained(k=8):
        return mialib.shadow_attack_data(trainer(), DATA, splits(k), seed=3).predictions

    counts = []
    for number in (1, 2, 3):
        shard = cluster.Shard.of(f"{number}/3")
        with executors.elsewhere(shard), nullcontext() if number == 3 else pytest.raises(LeftToOthers, match=f"{number}/3"):
            trained()
        counts.append(shard.done)
    assert sum(counts) == 8 and sorted(counts) == [2, 3, 3]
    with executors.elsewhere(cluster.Shard(1, 3)):
        found = trained()
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "here"))
    np.testing.assert_allclose(found, trained(), atol=1e-4)


def test_the_share_of_a_shard_does_not_depend_on_what_is_there():
    work = executors.Work(range(40), list, "kind", [{"i": i} for i in range(40)], together=lambda k, w: w.share(k, 3))
    shares = [set(cluster.Shard(i, 4)._mine(work)) for i in range(1, 5)]
    assert sorted(i for share in shares for i in share) == [*range(40)]
    assert [len(share) for share in shares] == pytest.approx([10] * 4, abs=3)
    with executors.elsewhere(cluster.Shard(2, 4)), pytest.raises(LeftToOthers):
        executors.finished(work._replace(make=lambda pieces: [{"x": np.array(i)} for i in pieces]))
    assert {i for i in range(40) if work.found(i)} == shares[1]
    assert set(cluster.Shard(1, 4)._mine(work)) == shares[0]


def test_where_one_work_is_left_to_others_those_after_it_are_done():
    done = []

    def left():
        raise LeftToOthers("of another")

    with pytest.raises(LeftToOthers, match="of another"):
        executors.all_of([left, partial(done.append, 1), left, partial(done.append, 2)])
    assert done == [1, 2]
    assert executors.all_of([lambda: 1, lambda: 2]) == [1, 2]


@pytest.mark.parametrize("wrong", ["17/16", "0/3", "3", "a/b", "1/0", "-1/3"])
def test_a_shard_that_there_is_not(wrong):
    with pytest.raises(cluster.BadShard, match=r"shard must be i/n with i in 1..n, such as 3/16, got"):
        cluster.Shard.of(wrong)


CELLS = {
    "parameters": 'PROFILE = "quick"\nDATA = "auto"\nK = 2',
    "": "from test_cluster import DATA, study, trainer\nones, others = (study.Experiment(DATA, trainer(), n, 60, 1, K, 3) "
    "for n in 'ab')\nprint(study.announce(ones))",
    "trained": "first = study.run_trials(ones)[0].answers",
    "not announced": "second = study.run_trials(others._replace(seed=4))",
    "missing names": "first.labels",
}


def test_a_notebook_is_trained_in_shards(tmp_path, capsys):
    cells = [
        {"cell_type": "code", "metadata": {"tags": [name]}, "source": [text], "outputs": [], "execution_count": None}
        for name, text in CELLS.items()
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_one.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    done, words = 0, ""
    for number in (1, 2, 1, 2):
        assert runs_main(["train", "01_one", "-p", "K", "3", "--shard", f"{number}/2"], root=tmp_path) == 0
        words = capsys.readouterr().out.splitlines()[-1]
        done += int(re.search(r"shard ./2: (\d+) models and the like made here", words)[1])
    assert done == 8 and words.endswith("all is in the cache")  # two targets, three shadows each
    assert not list((tmp_path / "results").iterdir())
