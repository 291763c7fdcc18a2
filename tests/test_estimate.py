"""What notebooks say that they would train: by their own cells, without training anything."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mialib import study
from mialib.core.plans import Planned, collected
from mialib.core.types import Dataset
from mialib.runs import command
from mialib.runs.estimate import Estimated, duration, estimate_lines, needed_cells, on_workers, planned, sum_line
from mialib.runs.execute import RunFailed
from mialib.study import stocks
from mialib.study.planning import seconds_a_model, share_of_a_core
from mialib.training import EstimatorTrainer, NeuralTrainer, Recipe, mlp

ROOT = Path(__file__).resolve().parent.parent


def row(missing: int = 4, seconds: float = 30.0, **more) -> Estimated:
    defaults = {"dataset": "location", "source": "real", "what": "local, shadows", "n": 1200, "epochs": 50, "pieces": 5}
    return Estimated("04_location", Planned(**defaults | more, missing=missing, trial=lambda: seconds), seconds)


@pytest.fixture
def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset("bits", rng.integers(0, 2, (200, 12), np.uint8), np.arange(200) % 3, 3, "own")


@pytest.fixture
def trainer() -> NeuralTrainer:
    return NeuralTrainer(lambda: mlp(12, 3, 4), Recipe(epochs=2, batch_size=10, lr=0.01))


def test_the_cells_that_announce_and_what_they_need():
    cells = [
        "N = 3\nOTHER = 4",
        "import numpy as np",
        "data = np.zeros(N)",
        "unused = data + OTHER",
        "sizes = {}",
        "for name in ('a', 'b'):\n    sizes[name] = [len(data) for each in data]",
        "trained = fit(data)",
        "print(study.announce(sizes, key=lambda part: data))",
        "name = trained[0]",
    ]
    assert needed_cells(cells) == [0, 1, 2, 4, 5, 7]
    assert needed_cells(cells[:7]) == []


def test_what_is_changed_by_an_operator_or_an_attribute_is_needed():
    cells = ["a = []", "a += [1]", "b.c = 1", "b = object()", "announce_all(a)", "a += [2]"]
    assert needed_cells(cells) == [0, 1, 4]
    assert needed_cells([*cells[:4], "b.d = 2", "announce(b)"]) == [2, 3, 4, 5]


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A checkout with a notebook that announces, and would fail were another cell of it run."""
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "store"))
    (tmp_path / "notebooks").mkdir()
    shutil.copytree(ROOT / "notebooks" / "profiles", tmp_path / "notebooks" / "profiles")
    cells = [
        ("parameters", 'PROFILE = "quick"\nDATA = "auto"\nN_SHADOWS = 2'),
        ("", "import numpy as np\nfrom mialib import runs, study\nfrom mialib.core.types import Dataset"),
        ("", "trained = 1 / 0"),
        ("", "from mialib.training import NeuralTrainer, Recipe, mlp"),
        ("", 'd = Dataset("bits", np.eye(40, dtype=np.uint8), np.arange(40) % 2, 2, "own")'),
        ("", 'run = runs.start("04_location", PROFILE, globals(), [d])'),
        ("", "trainer = NeuralTrainer(lambda: mlp(40, 2, 4), Recipe(epochs=2, batch_size=5, lr=0.01))"),
        ("", 'e = study.Experiment(d, trainer, "local", 8, 1, N_SHADOWS, 0)\nprint(study.announce(e))'),
        ("", "raise SystemExit"),
    ]
    made = [
        {"cell_type": "code", "metadata": {"tags": [tag] if tag else []}, "source": [text], "outputs": []}
        for tag, text in cells
    ]
    (tmp_path / "notebooks" / "04_location.ipynb").write_text(json.dumps({"cells": made}))
    return tmp_path


def test_a_notebook_says_what_it_would_train_and_trains_nothing(root):
    targets, shadows = planned("04_location", "quick", "auto", {"N_SHADOWS": "7"}, root)
    assert (targets.what, targets.pieces, targets.missing) == ("local, targets", 1, 1)
    assert (shadows.what, shadows.pieces, shadows.n, shadows.epochs) == ("local, shadows", 7, 8, 2)
    assert not list((root / "store").rglob("*.npz")) and not (root / "results").exists()


def test_a_cell_that_fails_is_named(root):
    path = root / "notebooks" / "04_location.ipynb"
    path.write_text(path.read_text().replace("np.arange(40) % 2", "np.arange(41) % 2"))
    with pytest.raises(RunFailed, match=r"04_location, code cell 5, `d = Dataset.*: ValueError"):
        planned("04_location", "quick", "auto", {}, root)


def test_the_command_tells_the_sum(root, capsys):
    assert command.main(["estimate", "04_location", "--profile", "quick", "-p", "N_SHADOWS", "3", "--workers", "4"], root) == 0
    said = capsys.readouterr().out
    assert "3 of 3 models" in said and "all: 4 models:" in said and "on 4 workers" in said and "Models alone" in said


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["05_texas"], "no notebook '05_texas'"),
        (["--workers", "0"], "'0'; a whole number"),
        (["--profile", "huge"], "no profile 'huge'"),
    ],
)
def test_what_there_is_not_is_refused(root, capsys, given, why):
    try:
        code = command.main(["estimate", *given], root)
    except SystemExit as error:
        code = error.code
    assert code == 2 and why in capsys.readouterr().err


def test_models_on_disk_are_left_out(dataset, trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    e = study.Experiment(dataset, trainer, "local", 20, 2, 3, 0)
    study.run_targets(e)
    with collected() as found:
        text = study.announce(e)
    assert "s and" not in text  # no trial
    assert [(each.what, each.pieces, each.missing) for each in found] == [("local, targets", 2, 0), ("local, shadows", 6, 6)]
    splits = study.plan_jobs(e)[0].splits
    with collected() as found:
        study.announce_models("targets", trainer, dataset, splits, study.plan_jobs(e)[0].seed)
        stocks.announce_stocks(stocks.StockExperiment(dataset, trainer, "mlp", 4, 0))
    assert [(each.pieces, each.missing, each.n) for each in found] == [(2, 0, 20), (4, 4, 100)]


def test_outside_a_collection_a_trial_is_made(dataset, trainer):
    assert "s of one core" in study.announce_fits("forests", lambda: None, dataset, 10, 3)
    assert "on this machine" in study.announce(study.Experiment(dataset, trainer, "local", 20, 1, 1, 5))


def test_a_trial_keeps_nothing(dataset, trainer, tmp_path, monkeypatch):
    from sklearn.naive_bayes import BernoulliNB

    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    assert seconds_a_model(trainer, dataset, 100, 4) > 0
    assert seconds_a_model(EstimatorTrainer(BernoulliNB()), dataset, 100, 4) > 0
    assert not list(tmp_path.rglob("*.npz"))


def test_the_share_of_a_core_is_none_while_waiting():
    import time

    with share_of_a_core() as share:
        time.sleep(0.2)
    assert 0 <= share() < 0.5


def test_seconds_on_workers_are_those_of_equal_tasks():
    rows = [row(missing=4), row(missing=0, seconds=1e6)]
    assert [on_workers(rows, n) for n in (1, 2, 3, 4, 100)] == [120, 60, 60, 30, 30]
    later = [row(missing=2, thread="a"), row(missing=2, thread="a", stage=1)]
    assert on_workers(later, 8) == 60


def test_lines_say_what_and_how_long():
    lines = [*estimate_lines([row()], [4])]
    assert lines[0] == "  location (real), local, shadows: n = 1,200, 50 epochs; 4 of 5 models, 30 s each"
    assert lines[1].startswith("  4 models: 2 min of one core; ") and lines[1].endswith("30 s on 4 workers")
    assert sum_line([row(missing=0)], [4]) == "nothing to train"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0312, "0.031 s"), (45, "45 s"), (120, "2 min"), (720, "12 min"), (3.4 * 3600, "3.4 h"), (12 * 86400, "12 d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
