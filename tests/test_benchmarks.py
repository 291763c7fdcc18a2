"""The benchmarks measure what they say: data, contenders on tiny sizes, and the report. The libraries are not needed here."""

import json
import re
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import contenders, measure, operations, phases, plain, report, run, scoring, workloads
from benchmarks.workloads import WORKLOADS, tiny
from mialib.attack import learned
from mialib.attack.thresholds import confidence
from mialib.core.stocks import Stock
from mialib.training.neural import NeuralTrainer
from mialib.training.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
ON_CPU = [name for name, workload in WORKLOADS.items() if workload.device == "cpu"]
IN_PROCESS = [(name, who) for name in ON_CPU for who in WORKLOADS[name].contenders if who in contenders.IN_PROCESS]


@pytest.fixture(autouse=True)
def one_core():
    """Tiny products on several cores wait for one another, and for whatever else runs."""
    cores = torch.get_num_threads()
    torch.set_num_threads(1)
    with joblib.parallel_config(backend="threading"):
        yield
    torch.set_num_threads(cores)


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr("mialib.attack.learned.MIN_STEPS", 5)


def smaller(name: str, records: int = 5_000) -> workloads.Workload:
    return replace(WORKLOADS[name], records=records)


def test_requirements_are_the_lock_and_exact_pins():
    lines = (ROOT / "benchmarks" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted[0] == "-r ../requirements.lock" and len(wanted) > 1
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in wanted[1:])


def test_sizes_are_those_of_the_issue():
    sizes = {name: (w.shape, w.n_classes, w.n, w.k, w.recipe.batch_size) for name, w in WORKLOADS.items()}
    assert sizes["W1"] == ((600,), 100, 2_000, 10, 100) and WORKLOADS["W1"].recipe.epochs == 10
    assert sizes["W2"] == ((600,), 100, 10_000, 20, 100)
    assert sizes["W3"] == ((6_170,), 100, 10_000, 10, 100)
    assert sizes["W4"] == ((32, 32, 3), 10, 2_500, 10, 32)
    assert WORKLOADS["S"].shape == (600,) and WORKLOADS["S"].k == 1_000 and WORKLOADS["S"].n_classes == 100
    assert WORKLOADS["A"].n * WORKLOADS["A"].k == 400_000 and WORKLOADS["A"].records == 1_000_000
    scored = {name: (WORKLOADS[name].records - WORKLOADS[name].n, WORKLOADS[name].k, WORKLOADS[name].n) for name in "LR"}
    assert scored == {"L": (50_000, 256, 0), "R": (50_000, 256, 2_000)}
    assert WORKLOADS["H"].n == WORKLOADS["F"].n == 2_000 and WORKLOADS["H"].k == WORKLOADS["F"].k == 32


def test_prototypes_have_two_fifths_of_their_bits_flipped():
    dataset = workloads.make_dataset(smaller("W1"), 0)
    x, y = dataset.x, dataset.y
    prototypes = np.stack([x[y == c].mean(0) > 0.5 for c in range(100)])  # the majority of about 50 records a class
    flipped = np.mean([(x[y == c] != prototypes[c]).mean() for c in range(100)])
    assert x.shape == (5_000, 600) and abs(flipped - 0.4) < 0.02


def test_purchase_shape_has_a_tenth_of_ones():
    x = workloads.make_dataset(smaller("W2"), 0).x
    assert x.shape == (5_000, 600) and x.max() == 1 and abs(x.mean() - 0.1) < 0.01


def test_texas_shape_has_eighty_ones_a_row():
    x = workloads.make_dataset(smaller("W3", 500), 0).x
    assert x.shape == (500, 6_170) and x.max() == 1 and (x.sum(1) == 80).all()


def test_pictures_are_bytes():
    x = workloads.make_dataset(smaller("W4", 200), 0).x
    assert x.shape == (200, 32, 32, 3) and x.dtype == np.uint8 and x.max() > 200 > 50 > x.min()


def test_made_up_answers_are_probabilities_that_tell_members():
    data = workloads.make_answers(WORKLOADS["A"], 5_000, 0)
    assert data.n_classes == 100 and np.allclose(data.predictions.sum(1), 1, atol=1e-5)
    own = confidence(data)
    assert own[data.member].mean() > own[~data.member].mean() + 0.1


def test_target_and_shadow_records_are_apart():
    workload = tiny(WORKLOADS["W1"])
    material = workloads.make_material(workload, 0, plain.plain_model)
    assert not np.intersect1d(material.pool, material.split.rows).size
    assert len(WORKLOADS["W1"].shape) == 1 and WORKLOADS["W1"].records - 2 * WORKLOADS["W1"].n == 4_000


def test_made_up_signals_are_those_of_a_target_without_its_complement():
    workload = replace(WORKLOADS["R"], records=4_000, n=300, k=16)
    signal, stock, member, population = workloads.make_signals(workload, 0)
    assert len(stock) == 16 and (stock.member.sum(0) == 8).all() and signal.shape == (4_000,) and signal.dtype == np.float32
    assert member.sum() == 2_000 and not any(np.array_equal(each, ~member) for each in stock.member)
    assert population.sum() == 300 and not (population & member).any()
    inside = stock.signal.mean(0, where=stock.member) - stock.signal.mean(0, where=~stock.member)
    assert abs(inside.mean() - 1.5) < 0.1


@pytest.mark.parametrize("name", ["H", "F"])
def test_halves_are_the_targets_own_records(name):
    workload = tiny(WORKLOADS[name])
    dataset, member, target = workloads.make_material(workload, 0, plain.plain_model)
    assert len(dataset.y) == 120 and member.sum() == 60
    assert isinstance(target, workloads.RandomForestClassifier) == (name == "F")


FROZEN = {name: dict(np.load(ROOT / "tests" / "reference" / f"{name}.npz")) for name in ("lira", "rmia")}


def test_the_authors_way_is_that_of_their_own_code():
    """Outputs of their functions, frozen (tests/reference): target 17, references 0 to 15, two queries for LiRA."""
    signal, member = FROZEN["lira"]["signal"], FROZEN["lira"]["member"]
    stock, population = Stock(signal[:16], member[:16], np.zeros(400, np.int64)), FROZEN["rmia"]["population"]
    np.testing.assert_allclose(scoring.authors_lira(signal[17], stock), -FROZEN["lira"]["plot_online"], rtol=1e-9)
    p = torch.as_tensor(1 / (1 + np.exp(-signal[:, :, 0].astype(float))))
    score = scoring.authors_rmia(p[17], p[:16], torch.as_tensor(member[:16]), population)
    np.testing.assert_allclose(score[~population], -FROZEN["rmia"]["online_gamma_2"].ravel()[~population], rtol=1e-6)
    assert np.isnan(score[population]).all()


@pytest.mark.parametrize(("name", "who"), [("L", "medians"), ("R", "ours")])
def test_ours_finds_what_the_authors_way_finds(name, who):
    workload = replace(WORKLOADS[name], records=600, n=100 if name == "R" else 0, k=64)
    material = workloads.make_signals(workload, 0)
    found = [contenders.contender(each)(workload, material, 0, phases.Stopwatch()) for each in (who, "authors' way")]
    assert found[0] == pytest.approx(found[1], abs=1e-9) and found[0]["auc"] > 0.6


@pytest.mark.parametrize("name", ["W1", "W2", "W3", "W4"])
def test_plain_loop_trains_our_architecture(name):
    workload = tiny(WORKLOADS[name])
    dataset = workloads.make_dataset(workload, 0)
    model = plain.plain_model(workload, dataset.x[:60], dataset.y[:60], 0)
    assert repr(model) == repr(NeuralTrainer(lambda: workloads.make_model(workload), workload.recipe).make_model())


def test_plain_attack_networks_are_ours(few_steps):
    data = workloads.make_answers(tiny(WORKLOADS["A"]), 400, 0)
    shapes = [tuple(p.shape) for p in plain.plain_attack(data, 0, plain.sliced)[0].network.parameters()]
    fitted = learned.fit_attack(data)
    assert shapes == [fitted.networks[name].shape[1:] for name in learned.WEIGHTS]


@pytest.mark.parametrize("batches", [plain.loader, plain.sliced])
def test_an_epoch_has_every_record_once_in_random_order(batches):
    x = torch.arange(10)
    got = list(batches(x, -x, 4, False))
    assert [len(part) for part, _ in got] == [4, 4, 2] and torch.cat([part for part, _ in got]).sort().values.equal(x)
    assert all(part.equal(-own) for part, own in got)
    assert [len(part) for part, _ in batches(x, -x, 4, True)] == [4, 4]


def test_plain_loop_takes_the_steps_asked_for(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: taken.append(1))
    x, y, recipe = np.zeros((10, 3), np.float32), np.zeros(10, np.int64), Recipe(epochs=3, batch_size=4, lr=0.1)
    plain.plain_loop(torch.nn.Linear(3, 2), x, y, recipe)
    assert len(taken) == 9
    plain.plain_loop(torch.nn.Linear(3, 2), x, y, recipe, steps=7)
    assert len(taken) == 16


@pytest.mark.parametrize(("name", "who"), IN_PROCESS, ids=lambda item: item)
def test_contender_runs(name, who, few_steps):
    workload = tiny(WORKLOADS[name])
    watch = phases.Stopwatch()
    found = contenders.contender(who)(workload, workloads.make_material(workload, 0, plain.plain_model), 0, watch)
    if who == "estimate":
        assert found["estimate"] > 0
    else:
        assert set(watch.seconds) == {phase for phases in workload.rows.values() for phase in phases}
        shares = {key: value for key, value in found.items() if key not in ("records", "queries")}
        assert found and all(0 <= value <= 1 for value in shares.values())
        assert found.get("records", workload.k) == workload.k


def test_a_measurement_neither_reads_nor_leaves_a_cache(few_steps, tmp_path):
    workload = tiny(WORKLOADS["W2"])
    once, again = (measure.measure(workload, "ours", 0) for _ in range(2))
    assert once["train_accuracy"] == again["train_accuracy"] and once["peak_memory_mb"] > 100
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_operations_are_counted_by_hand():
    w2, mlp = WORKLOADS["W2"], 600 * 128 + 128 * 100
    training = 20 * 10_000 * 3 * (6 * mlp - 2 * 600 * 128)
    assert operations.training_operations(w2) == training + 20 * 10_000 * 2 * mlp
    first, rest = 5 * 5 * 3 * 32 * 32 * 32, 5 * 5 * 32 * 32 * 16 * 16 + 2048 * 128 + 128 * 10
    assert operations.training_operations(WORKLOADS["W4"]) == 10 * 2_500 * (2 * (4 * first + 6 * rest) + 2 * (first + rest))
    assert operations.scoring_operations(WORKLOADS["A"]) == 2 * 1_000_000 * (100 * 64 + 64 * 2)


def measured(workload: workloads.Workload) -> dict:
    """Made-up measurements: ours takes 1, 2 and 9 s a phase, the others 10 s, once."""
    phases = {phase for phases in workload.rows.values() for phase in phases}
    quality = {"train_accuracy": 0.5} if workload.kind == "training" else {"auc": 0.6, "accuracy": 0.55}
    ours = [{"seconds": dict.fromkeys(phases, s), "peak_memory_mb": 100 * s} | quality for s in (1.0, 9.0, 2.0)]
    other = {"seconds": dict.fromkeys(phases, 10.0), "peak_memory_mb": 300.0, "estimate": 3.0} | quality
    peak = {"float32": 1e11, "bfloat16": 2e11}
    return {measure.GEMM: [peak]} | {who: [other] for who in workload.contenders} | {"ours": ours}


def test_rows_are_medians_and_ratios():
    table = report.rows(WORKLOADS["W2"], measured(WORKLOADS["W2"])).set_index("alternative")
    loop, estimated = table.loc["plain loop"], table.loc["estimate"]
    assert (loop["ours_s"], loop["alternative_s"], loop["ratio"]) == (4, 20, 5)
    assert (loop["peak_memory_mb"], loop["repeats"], loop["alternative_repeats"]) == (200, 3, 1)
    assert loop["share_of_gemm_peak"] == pytest.approx(operations.training_operations(WORKLOADS["W2"]) / 4 / 1e11)
    assert (estimated["ours_s"], estimated["alternative_s"], estimated["ratio"]) == (2, 3, 1.5)
    assert pd.isna(estimated["share_of_gemm_peak"])


def test_report_keeps_other_workloads_and_the_text_around(tmp_path):
    path, readme = tmp_path / "results" / "benchmarks.csv", tmp_path / "README.md"
    readme.write_text(f"above\n{report.BEGIN}\noutdated\n{report.END}\nbelow\n", encoding="utf-8")
    for name in ("A", "W2", "W2", "W1"):
        report.write(report.rows(WORKLOADS[name], measured(WORKLOADS[name])), path, readme)
    table = pd.read_csv(path)
    assert list(dict.fromkeys(table["workload"])) == ["W1", "W2", "A"]
    assert not table.duplicated(["workload", "what", "alternative"]).any()
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("above\n") and text.endswith("\nbelow\n") and "outdated" not in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(table) and len({line.count("|") for line in lines}) == 1
    assert "| W2 | training and answers | plain loop | 4.00 s | 20.00 s | **5.0** |" in text


def test_a_peak_is_measured_and_told_only_where_products_take_the_time(monkeypatch):
    monkeypatch.setattr(run, "_measure", lambda workload, name, seed, small: {"seconds": {}})
    assert [name for name in WORKLOADS if measure.GEMM in run.run(WORKLOADS[name], 1, False)] == [
        "W2",
        "W3",
        "W4",
        "W4-GPU",
        "A",
    ]
    without = {name: found for name, found in measured(WORKLOADS["L"]).items() if name != measure.GEMM}
    table = report.rows(WORKLOADS["L"], without)
    assert table["share_of_gemm_peak"].isna().all() and (table["ratio"] == 5).all()
    text = report.section(table)
    assert "GEMM peak was" not in text and "nan" not in text and f"L: {WORKLOADS['L'].settings}." in text


def test_readme_has_the_section():
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_measure_prints_a_line_of_json(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["measure", "W2", "estimate", "0", "--tiny"])
    measure.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["estimate"] > 0


@pytest.mark.parametrize("who", ["ours", "plain loop"])
def test_synthesis_finds_its_records_and_counts_all_queries(who):
    asked = []

    class Constant(torch.nn.Module):
        def forward(self, x):
            asked.append(len(x))
            return torch.tensor([2.0, -1, 0, 0]).expand(len(x), 4)

    workload = replace(WORKLOADS["S"], n_classes=1, k=40)
    material = workloads.TargetAndPool(None, None, None, Constant())
    watch = phases.Stopwatch()
    found = contenders.contender(who)(workload, material, 0, watch)
    assert found == {"records": 40, "queries": sum(asked)}
    assert watch.seconds["queries"] == pytest.approx(watch.seconds["records"] * workloads.QUERIES / sum(asked))
