"""Shares of a run for machines that share a cache, and commands that name a cluster or a share."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clusters import DATA, PACKAGE, splits, trainer, until

import mialib
from mialib import cluster
from mialib.audit.command import main as audit_main
from mialib.core import executors
from mialib.core.executors import LeftToOthers
from mialib.runs.command import main as runs_main
from mialib.training import NeuralTrainer


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
    "parameters": 'PROFILE = "quick"\nDATA = "auto"\nK = 2\nEPOCHS = 3',
    "": "from functools import partial\nfrom clusters import DATA as RECORDS\nfrom mialib import mlp, study\n"
    "from mialib.training import NeuralTrainer, Recipe",
    "shown": "alone = NeuralTrainer(partial(mlp, 30, 4, 16), Recipe(EPOCHS, 20, 0.01), chunk=1)\n"
    "ones, others = (study.Experiment(RECORDS, alone, n, 60, 1, K, 3) for n in 'ab')\nprint(study.announce(ones))",
    "trained": "first = study.run_trials(ones)[0].answers",
    "not announced": "second = study.run_trials(others._replace(seed=4))",
    "missing names": "first.labels",
}


@pytest.fixture
def root(tmp_path):
    """A checkout with one notebook."""
    cells = [
        {"cell_type": "code", "metadata": {"tags": [name]}, "source": [text], "outputs": [], "execution_count": None}
        for name, text in CELLS.items()
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_one.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def train(root, capsys, *words):
    """How many models were trained, and the line that says so."""
    assert runs_main(["train", "01_one", *words], root=root) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    return int(re.search(r"shard ./.: (\d+) models and the like made here", line)[1]), line


def test_a_notebook_is_trained_in_shards(root, capsys):
    done = [train(root, capsys, "-p", "K", "3", "--shard", f"{number}/2") for number in (1, 2, 1, 2)]
    assert sum(n for n, _ in done) == 8 and done[-1][1].endswith("all is in the cache")  # two targets, three shadows each
    assert not list((root / "results").iterdir())


def test_machines_that_share_a_cache_train_nothing_twice_although_one_is_killed(root, monkeypatch, tmp_path, capsys):
    """Each of two machines has a shard; one is killed, and another goes on with its share, and then with a whole run."""
    monkeypatch.setenv("MIALIB_CACHE", str(shared := tmp_path / "shared"))
    words = ["-p", "K", "9", "-p", "EPOCHS", "30"]
    environment = os.environ | {"PYTHONPATH": f"{PACKAGE.parent}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mialib", "train", "01_one", *words, "--root", str(root), "--shard"]
    killed, other = (
        subprocess.Popen([*command, f"{i}/2"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for i in (1, 2)
    )

    def networks():
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shared.glob("weights/*/*.npz")}

    until(lambda: len(networks()) >= 2 or killed.poll() is not None)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    finished, _ = other.communicate(timeout=120)
    assert re.search(r"shard 2/2: \d+ models", finished)
    kept = networks()
    assert 2 <= len(kept) < 20
    lines = [train(root, capsys, *words, "--shard", f"{number}/2")[1] for number in (1, 2, 1)]
    assert lines[-1].endswith("all is in the cache")
    assert len(all_of_them := networks()) == 20  # two targets, nine shadows each
    assert all_of_them.items() >= kept.items()  # none was written again
    monkeypatch.setattr(NeuralTrainer, "_states", lambda *_: pytest.fail("trained again"))
    assert train(root, capsys, *words, "--shard", "1/1")[0] == 0
