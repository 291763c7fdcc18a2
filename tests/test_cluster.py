"""A cluster that loses workers, its scheduler or its caller: real processes on this machine, killed by their ids."""

import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import joblib
import numpy as np
import pytest
from clusters import DATA, PACKAGE, RECIPE, begun, bits, machines, same, splits, stored, trainer, until, when_begun
from distributed import Client

import mialib
from mialib import cluster, study
from mialib.cluster import checked as check
from mialib.cluster import datasets, travel, worker
from mialib.core import cache, executors
from mialib.core.extras import ExtraMissing
from mialib.shadow import synthesis
from mialib.training import NeuralTrainer, Recipe, mlp

MEMORY = "1500MB"  # of a worker: nannies end those that take more
LONG = Recipe(epochs=400, batch_size=10, lr=0.001)  # some seconds a stack


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two workers with nannies, which start them again when they die."""
    folder = tmp_path_factory.mktemp("two")
    with machines(folder, folder / "cache", folder / "data") as found:
        yield found.add(1, "--nworkers", "2", "--nthreads", "1", "--memory-limit", MEMORY)


@pytest.fixture(scope="module")
def connection(two):
    """One for all tests."""
    with Client(two.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    found = cluster.connect(two.address)
    assert found.workers.n == 2
    yield found
    found.close()


@pytest.fixture
def connected(connection):
    """Two workers at rest: the last test may have left one that is being ended, or started again."""
    running = lambda dask_worker: len(dask_worker.state.all_running_tasks)  # noqa: E731 # lambdas travel by value
    until(lambda: [*connection.client.run(running, on_error="return").values()] == [0, 0])
    connection.trained_twice = 0
    with executors.elsewhere(connection):
        yield connection


def trained_long():
    """Eight models, in two stacks of four."""
    long = NeuralTrainer(partial(mlp, 30, 4, 16), LONG, chunk=4)
    return mialib.shadow_attack_data(long, DATA, splits(8), seed=3).predictions


@pytest.fixture(scope="module")
def undisturbed(connection, tmp_path_factory):
    """The cache after a run in which nothing happened."""
    with pytest.MonkeyPatch.context() as patch, executors.elsewhere(connection):
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
    assert "4 models together were too much for a worker (MemoryError: too many): trying halves" in caplog.text
    greedy.most = 0
    with pytest.raises(cluster.ClusterError, match="cannot make one model of 4: its workers ran out of memory"):
        mialib.shadow_attack_data(greedy, DATA, splits(), seed=4)


class Hungry(NeuralTrainer):
    """With more than two networks it takes memory until it is ended for it."""

    def together(self, dataset, k, workers):
        return 4

    def fit_many(self, dataset, rows, seed, first=0):
        held = []
        while len(rows) > 2:
            held.append(np.ones(5_000_000))
            time.sleep(0.02)
            if len(held) > 100:
                raise RuntimeError("no nanny was there")
        return super().fit_many(dataset, rows, seed, first)


def test_a_worker_that_is_ended_for_want_of_memory_costs_one_try_not_four(connected, caplog):
    found = mialib.shadow_attack_data(Hungry(partial(mlp, 30, 4, 16), RECIPE), DATA, splits(), seed=3).predictions
    assert "4 models together were too much for a worker (its nanny ended it): trying halves" in caplog.text
    assert 1 <= len(connected.client.get_events("worker-restart-memory")) <= 2  # the other one may have begun it before we knew
    assert connected.trained_twice in (4, 8)
    with executors.elsewhere(None):
        np.testing.assert_allclose(found, mialib.shadow_attack_data(trainer(), DATA, splits(), seed=3).predictions, atol=1e-4)


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


def prepared(folder, dataset, x):
    """Puts records into a data folder under the name of a data set."""
    meta = json.dumps({"sha256": hashlib.sha256(x.tobytes() + dataset.y.astype(np.uint8).tobytes()).hexdigest()})
    np.savez(folder / f"{dataset.name}.npz", **cache.pack(x), y=dataset.y.astype(np.uint8), meta=np.array(meta))


def test_a_data_set_is_read_from_the_workers_data_folder_or_sent_once(connected, two):
    def trained(dataset, seed):
        there = mialib.shadow_attack_data(trainer(), dataset, splits(2), seed).predictions
        return there, connected.sent - before

    before, size = connected.sent, len(travel.packed_dataset(bits(9)))
    held, other = (replace(bits(seed), name=name, source="real") for seed, name in ((8, "held"), (9, "other")))
    prepared(two.data, held, held.x)
    prepared(two.data, other, 1 - other.x)
    there, sent = trained(held, 1)
    assert sent == 0
    with executors.elsewhere(None), cache.kept_in(None):
        here = mialib.shadow_attack_data(trainer(), held, splits(2), 1).predictions
    np.testing.assert_allclose(there, here, atol=1e-4)
    assert trained(other, 1)[1] == pytest.approx(2 * size, rel=0.1)
    assert trained(other, 2)[1] == pytest.approx(2 * size, rel=0.1)
    lost = connected.client.run(os.getpid)
    for process in lost.values():
        os.kill(process, signal.SIGKILL)
    until(lambda: len({*connected.client.scheduler_info()["workers"]} - {*lost}) == 2)
    assert trained(other, 3)[1] == pytest.approx(4 * size, rel=0.1)


def test_a_data_set_that_is_damaged_where_it_is_held_is_lacking(tmp_path):
    folder, held = cache.data_folder(), replace(bits(8), name="held", source="real")
    outline, digest = datasets.Outline.of(held), held.digest()
    assert datasets.Outline.of(bits(8)) is None  # a user's own
    assert outline.read(digest) is None
    prepared(folder, held, held.x)
    read = outline.read(digest)
    np.testing.assert_array_equal(read.x, held.x)
    assert (read.name, read.source, read.n_classes, read.digest()) == ("held", "real", 4, digest)
    (folder / "held.npz").write_bytes((folder / "held.npz").read_bytes()[:-100])
    assert outline.read(digest) is None


def test_a_worker_holds_the_data_sets_that_it_used_last(monkeypatch):
    monkeypatch.setattr(datasets, "_held", {})
    several = {d.digest(): d for d in map(bits, range(6))}
    first, *_, last = several
    for digest, dataset in several.items():
        datasets._hold(digest, dataset)
        assert datasets.those({first: None})[first] is several[first]
    assert [*datasets._held] == [[*several][3], [*several][4], last, first]
    with pytest.raises(datasets.MissingDatasets, match=[*several][1]):
        datasets.those({[*several][1]: None, last: None})


def test_all_workers_are_lost_and_come_back_and_a_lost_scheduler_is_named(undisturbed, connection, monkeypatch, tmp_path):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "cache"))
    first = machines(tmp_path / "first", tmp_path / "cache", tmp_path / "data")
    with first as found, cluster.at(found.add().address, wait=120) as there:

        def lose(process):
            os.kill(process, signal.SIGKILL)
            until(lambda: there.client.scheduler_info()["n_workers"] == 0)
            found.add()

        with when_begun(there, lose, stacks=2):
            trained_long()
        same(stored(tmp_path / "cache"), stored(undisturbed))
        assert there.trained_twice == 4
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "again"))
        lost = rf"the scheduler at {found.address} was lost; what was finished is kept"
        with when_begun(there, lambda _: found.scheduler.kill(), stacks=2), pytest.raises(cluster.ClusterError, match=lost):
            trained_long()
    assert len(stored(tmp_path / "again")) == 8  # answers and weights of one stack
    before = len(begun(connection))
    with executors.elsewhere(connection):
        trained_long()
    assert len(begun(connection)) - before == 1
    same(stored(tmp_path / "again"), stored(undisturbed))


CALLER = """
import sys
from test_cluster import cluster, trained_long
with cluster.at(sys.argv[1], wait=120):
    trained_long()
"""


def test_a_caller_that_was_killed_goes_on(undisturbed, connected, two, monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    environment = os.environ | {"MIALIB_CACHE": str(folder), "PYTHONPATH": f"{PACKAGE.parent}:{Path(__file__).parent}"}
    process = subprocess.Popen([sys.executable, "-c", CALLER, two.address], env=environment, stderr=subprocess.DEVNULL)
    with when_begun(connected, lambda _: process.kill()):
        assert process.wait() == -signal.SIGKILL
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


def test_workers_that_cannot_be_used_are_named_at_the_door_and_when_they_come_later(monkeypatch, tmp_path):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "cache"))
    changed, without, other = tmp_path / "changed", tmp_path / "without", replace(bits(), name="location")
    shutil.copytree(PACKAGE, changed / "mialib", ignore=shutil.ignore_patterns("__pycache__"))
    with open(changed / "mialib" / "mitigations.py", "a") as file:
        file.write("\nMORE = 1\n")
    (without / "mialib").mkdir(parents=True)
    (without / "mialib" / "__init__.py").write_text("raise ImportError('not this one')")
    prepared(cache.data_folder(), other, other.x)
    (tmp_path / "theirs").mkdir()
    prepared(tmp_path / "theirs", other, 1 - other.x)
    with machines(tmp_path / "cluster", tmp_path / "cache", tmp_path / "data") as found:
        none = f"the cluster at {found.address} has 0 workers, 0.5 s after it was asked: start some, dask worker"
        with pytest.raises(cluster.ClusterError, match=none):
            cluster.connect(found.address, wait=0.5)
        with cluster.at(found.add().address, wait=120) as there:
            found.add(1, PYTHONPATH=str(changed)).add(1, PYTHONPATH=str(without)).add(1, MIALIB_DATA=str(tmp_path / "theirs"))
            there.client.wait_for_workers(4, timeout=120)
            with pytest.raises(cluster.ClusterError) as later:
                mialib.shadow_attack_data(trainer(), DATA, splits(), seed=51)
        with pytest.raises(cluster.ClusterError) as error:
            cluster.connect(found.address)
    for why in (
        "has another version of mialib: its code is",
        'has no mialib (ImportError: not this one): pip install "mialib[cluster]" there',
        "has other data: location in its data folder is not what is in ours",
    ):
        assert why in str(error.value) and why in str(later.value)


def test_a_worker_that_came_later_with_other_code_makes_nothing(monkeypatch):
    me = SimpleNamespace(address="tcp://127.0.0.1:1", state=SimpleNamespace(nthreads=1))
    monkeypatch.setattr("distributed.get_worker", lambda: me)
    order = worker.Order("", [], {}, None, "", worker.code_of_package(), False)
    worker._check_myself(order)
    for strange, threads in ((order._replace(code="other"), 1), (order, 2)):
        me.state.nthreads = threads
        with pytest.raises(worker.StrangeWorker, match=r"tcp://127.0.0.1:1 came later, and cannot be used"):
            worker.stack_made(strange, b"", b"")


def test_other_versions_and_a_folder_that_cannot_be_written_are_named(monkeypatch):
    here = worker.about(None, "")
    assert check.why_not(here, 1) == ""
    assert "computes 3 stacks at a time in one process: start it with --nworkers 3 --nthreads 1" in check.why_not(here, 3)
    assert "has other versions: torch 1.0, here" in check.why_not(here | {"versions": here["versions"] | {"torch": "1.0"}}, 1)
    folder = cache.data_folder()
    for name, digest in {"location": "b", "adult": "c"}.items():
        np.savez(folder / f"{name}.npz", meta=np.array(json.dumps({"sha256": digest})))
    assert check.why_not(here | {"data": {"location": "b", "texas": "d"}}, 1) == ""
    assert "has other data: location in its" in check.why_not(here | {"data": {"location": "a", "adult": "c"}}, 1)
    place = Path("/proc/self")  # where nobody can make a file, whoever asks
    assert worker.about(str(place), "stat")["shared"] == str(place)
    assert "cannot write to the cache folder /proc/self: " in check.why_not(worker.about(str(place), "stat"), 1)


def test_stacks_end_where_they_would_if_nothing_were_there():
    work = executors.Work(range(9), list, together=lambda k, workers: 4)
    workers = executors.Workers(2)
    assert work.stacks(range(9), workers) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert work.stacks([2, 3, 4, 5, 7, 8], workers) == [[2, 3], [4, 5], [7], [8]]


def test_a_worker_on_a_gpu_says_so_and_a_trainer_that_came_there_uses_it(monkeypatch):
    came = pickle.dumps(trainer())
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda *_: (7 * 2**30, 8 * 2**30))
    about = worker.about(None, "")
    assert (about["device"], about["memory"]) == ("cuda", 8 * 2**30)
    assert pickle.loads(came).device.type == "cuda"
    client, (address, other) = MagicMock(), ("tcp://1.2.3.4:5", "tcp://1.2.3.4:6")
    client.run.return_value = {address: about, other: about | {"memory": 4 * 2**30}}
    client.scheduler_info.return_value = {"workers": {}}
    assert check.check_workers(client, "tcp://1.2.3.4:1", (None, "")) == executors.Workers(2, "cuda", 4 * 2**30)
    client.run.return_value[other] = about | {"device": "cpu", "memory": None}
    assert check.check_workers(client, "tcp://1.2.3.4:1", (None, "")).device == "cpu"  # stacks that all of them can make
