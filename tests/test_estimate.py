"""What notebooks say that they would train: by their own cells, without training anything."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import mialib
from mialib import shadow, study
from mialib.core import executors
from mialib.core.plans import Planned, collected
from mialib.core.types import Dataset
from mialib.runs import command
from mialib.runs.estimate import (
    Estimated,
    duration,
    estimate,
    estimate_lines,
    needed_cells,
    on_workers,
    planned,
    stand_in_lines,
    total_lines,
)
from mialib.runs.execute import RunFailed
from mialib.study import made_plans, planning, shadow_data, stocks
from mialib.study.planning import few_rows, planned_models, seconds_a_model
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


def test_no_cluster_is_asked(root, monkeypatch):
    monkeypatch.setenv("MIALIB_CLUSTER", "tcp://127.0.0.1:1")  # where nobody answers
    assert [row.to_do for row in estimate("04_location", "quick", "auto", {}, root)] == [1, 2]
    assert os.environ["MIALIB_CLUSTER"] == "tcp://127.0.0.1:1"


def test_a_cell_that_fails_is_named(root):
    path = root / "notebooks" / "04_location.ipynb"
    path.write_text(path.read_text().replace("np.arange(40) % 2", "np.arange(41) % 2"))
    with pytest.raises(RunFailed, match=r"04_location, code cell 5, `d = Dataset.*: ValueError"):
        planned("04_location", "quick", "auto", {}, root)


def test_the_command_tells_the_sum(root, capsys):
    assert command.main(["estimate", "04_location", "--profile", "quick", "-p", "N_SHADOWS", "3", "--workers", "4"], root) == 0
    said = capsys.readouterr().out
    assert "      3 models" in said and "04_location       4" in said and "4 workers" in said and "Models alone" in said


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
        study.announce_shadows("local", trainer, dataset, splits, study.plan_jobs(e)[0].seed)
        stocks.announce_stocks(stocks.StockExperiment(dataset, trainer, "mlp", 4, 0))
    assert [(each.pieces, each.missing, each.n) for each in found] == [(2, 0, 20), (4, 4, 100)]


def test_a_model_whose_weights_are_on_disk_needs_no_training(dataset, trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    splits = shadow.sample_splits(np.arange(200), 20, 3, seed=0)
    trainer.fit_many(dataset, np.stack([split.members for split in splits[:2]]), 7)
    assert shadow.count_missing(trainer, dataset, splits, 7) == 1
    (key,) = shadow.untrained(trainer, dataset, splits, 7)
    assert key == trainer.keys(dataset, splits[2].members[None], 7, 2)[0]
    assert "1 of 3 models to train" in study.announce_shadows("local", trainer, dataset, splits, 7)
    member = mialib.sample_halves(200, 4, 0)
    trainer.fit_many(dataset, np.stack([np.flatnonzero(row) for row in member[:3]]), 0)
    assert len(shadow.untrained_of_stock(trainer, dataset, member, 0)) == 1


def test_made_up_records_and_their_shadows_are_announced_until_they_are_there(dataset, trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    e = study.Experiment(dataset, trainer, "local", 20, 2, 3, 0)  # two targets
    plans = made_plans.MadeShadows(2.0, 3), made_plans.MadeShadows(1.0, 2)

    def announced() -> list[tuple]:
        with collected() as found:
            made_plans.announce_made([e], *plans, [60, 600])
            made_plans.announce_climbs(e, 1.0, 50)
        return [(row.unit, row.pieces, row.missing, row.n, row.stage) for row in found]

    before = [  # marginal shadows and judges; climbs of three classes, their shadows and judges; two budgets; climbs alone
        ("model", 8, 8, 20, 1), ("climb", 6, 6, 20, 1), ("model", 6, 6, 10, 2),
        ("climb", 12, 12, 20, 1), ("model", 8, 8, 10, 2), ("climb", 6, 6, 20, 1),
    ]  # fmt: skip
    assert announced() == before
    targets = shadow_data.targets(e)
    shadow_data.made_trials(shadow_data.marginal_sets(targets, 2.0), 3)
    shadow_data.model_based_sets(targets[:1], 1.0, 60)
    after = announced()
    assert [row[2] for row in after[:3]] == [0, 6, 6] and after[3][2] == 9 and after[5][2] == 6


def test_outside_a_collection_a_trial_is_made(dataset, trainer):
    assert study.announce_fits("forests", lambda: None, dataset, 10, 3).endswith("about 0 s on this machine")
    assert "on this machine" in study.announce(study.Experiment(dataset, trainer, "local", 20, 1, 1, 5))


def test_a_trial_keeps_nothing(dataset, trainer, tmp_path, monkeypatch):
    from sklearn.naive_bayes import BernoulliNB

    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path))
    assert seconds_a_model(trainer, dataset, 100, 4) > 0
    assert seconds_a_model(EstimatorTrainer(BernoulliNB()), dataset, 100, 4) > 0
    assert not list(tmp_path.rglob("*.npz"))


class Clock:
    """In the place of the module `time`: time passes where a trial says so, and of it the process has a share of a core."""

    def __init__(self, share: float) -> None:
        self.now, self.share = 0.0, share

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.share * self.now


def tried(told: list[float], passes: float, share: float, monkeypatch) -> float:
    """What `on_a_core` makes of trials that tell these seconds, one after another."""
    clock, left = Clock(share), iter(told)
    monkeypatch.setattr(planning, "time", clock)

    def trial() -> float:
        clock.now += passes
        return next(left)

    return planning.on_a_core(trial)


def test_seconds_in_which_others_have_the_core_do_not_count(monkeypatch):
    assert tried([10.0], 6.0, 0.25, monkeypatch) == pytest.approx(2.5)
    assert tried([10.0], 6.0, 1.7, monkeypatch) == 10.0  # several threads


def test_the_shorter_of_two_trials_counts(monkeypatch):
    """The first one loads libraries; a long one is not repeated."""
    assert tried([8.0, 3.0], 1.0, 1.0, monkeypatch) == 3.0
    assert tried([8.0, 3.0], 6.0, 1.0, monkeypatch) == 8.0


def test_a_trial_is_made_here_whoever_does_the_work():
    def trial() -> float:
        assert executors.current() is None
        return 1.0

    nobody = object()
    with executors.elsewhere(nobody):
        assert planning.on_a_core(trial) >= 0
        assert executors.current() is nobody


def test_few_rows_are_of_all_classes_alike():
    y = np.repeat(np.arange(4), [3, 10, 2000, 5000])
    big = Dataset("bits", np.zeros((len(y), 2), np.uint8), y, 4, "own")
    rows = few_rows(big, 7000)
    assert len(set(rows)) == len(rows) == 1000
    assert np.bincount(y[rows]).tolist() == [3, 10, 493, 494] or np.bincount(y[rows]).tolist() == [3, 10, 494, 493]
    assert len(few_rows(big, 6)) == 6 and set(y[few_rows(big, 4)]) == {0, 1, 2, 3}
    many = Dataset("bits", np.zeros((9000, 2), np.uint8), np.arange(9000) % 300, 300, "own")
    assert np.bincount(many.y[few_rows(many, 9000)]).tolist() == [10] * 300


def test_seconds_on_workers_are_those_of_equal_tasks():
    rows = [row(missing=4), row(missing=0, seconds=1e6)]
    assert [on_workers(rows, n) for n in (1, 2, 3, 4, 100)] == [120, 60, 60, 30, 30]
    later = [row(missing=2, thread="a"), row(missing=2, thread="a", stage=1)]
    assert on_workers(later, 8) == 60


def test_lines_say_what_and_how_long():
    name, line, besides = estimate_lines("04_location", [row()])
    assert name == "04_location" and besides == "        besides, 1 on disk"
    assert line == "      4 models      30 s each  location, local, shadows, n = 1,200, 50 epochs"
    (_, line) = estimate_lines("05_texas", [row(missing=5, source="standin", epochs=None)])
    assert line == "      5 models      30 s each  location (stand-in), local, shadows, n = 1,200"
    assert [*estimate_lines("04_location", [row(missing=0)])] == ["04_location", "        besides, 5 on disk"]
    assert [*estimate_lines("08_mitigations", [row(), row()])][1].startswith("      8 models      30 s each")
    assert [*estimate_lines("99_scoreboard", [])] == ["99_scoreboard: no cell announces that it would train anything"]


def test_totals_are_a_table_by_notebook_and_workers():
    rows = [row(), row(missing=2, seconds=600.0, unit="climb")._replace(notebook="07_shadow_data"), row(missing=0)]
    head, first, second, both = [line.split("  ") for line in total_lines(rows, [2, 1000])]
    assert [cell.strip() for cell in head if cell][:3] == ["models", "climbs", "one core"]
    assert [cell.strip() for cell in head if cell][4:] == ["2 workers", "1,000 workers"]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in (first, second, both)]
    assert [cell[:4] + cell[5:] for cell in cells] == [
        ["04_location", "4", "0", "2 min", "60 s", "30 s"],
        ["07_shadow_data", "0", "2", "20 min", "10 min", "10 min"],
        ["all", "4", "2", "22 min", "11 min", "10 min"],
    ]
    head, line = total_lines([row(missing=0)], [2])
    assert line.split()[:3] == ["04_location", "0", "0"] and line.endswith("0 s")


def test_stand_ins_are_named_once():
    rows = [row(), row(dataset="texas", source="standin"), row(dataset="texas", source="standin")]
    (line,) = stand_in_lines(rows)
    assert line.startswith("Stand-ins, ") and line.endswith(": texas.")
    assert not [*stand_in_lines([row()])]


def test_a_model_that_several_announce_counts_once(root, dataset, trainer):
    counted = set()
    (targets, shadows) = estimate("04_location", "quick", "auto", {"N_SHADOWS": "3"}, root, counted)
    assert (targets.to_do, shadows.to_do) == (1, 3) and len(counted) == 4
    (targets, shadows) = estimate("04_location", "quick", "auto", {"N_SHADOWS": "7"}, root, counted)
    assert (targets.to_do, targets.above, shadows.to_do, shadows.above) == (0, 1, 4, 3)
    assert targets.seconds == 0 < shadows.seconds
    lines = [*estimate_lines("04_location", [targets, shadows])]
    assert len(lines) == 3 and lines[1].startswith("      4 models") and lines[2] == "        besides, 4 counted above"
    twice = planned_models(dataset, trainer, "local", 10, 2, [{"model": 1}, {"model": 1}])
    assert len(twice.keys) == twice.missing == 2 and len(set(twice.keys)) == 1


def test_a_trial_that_fails_is_named(root, monkeypatch):
    def fails(self, dataset, n, k):
        raise FloatingPointError("too hot")

    monkeypatch.setattr(NeuralTrainer, "estimate", fails)
    why = r"04_location, a trial of bits, local, targets, n = 8: FloatingPointError: too hot"
    with pytest.raises(RunFailed, match=why):
        estimate("04_location", "quick", "auto", {}, root)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0312, "0.031 s"), (45, "45 s"), (120, "2 min"), (720, "12 min"), (3.4 * 3600, "3.4 h"), (12 * 86400, "12 d")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
