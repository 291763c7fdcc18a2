"""Training on a GPU, and what may make it fast there. Tests that need a GPU are skipped without one."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import candidates, sweep
from mialib.core.types import Dataset
from mialib.training import NeuralTrainer, Recipe, cnn, mlp, neural, stacked
from mialib.training.recipe import Estimate
from mialib.training.session import Session

ROOT = Path(__file__).resolve().parent.parent
USUAL = stacked.Stack
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
SHAPES = [  # networks, pictures, channels, height, width, filters, size of a filter, bias, pooled
    (2, 3, 3, 8, 6, 32, 5, True, True),
    (1, 2, 32, 4, 8, 32, 5, True, False),
    (2, 1, 32, 7, 9, 16, 3, True, True),
    (2, 2, 16, 6, 5, 10, 3, False, False),
    (1, 1, 1, 5, 7, 32, (3, 5), False, True),
]


def pictures(n=400, n_classes=4, seed=0):
    """Classes that can be learned, and noise that can be known by heart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    coarse = rng.integers(60, 196, (n_classes, 4, 4, 3))
    x = np.kron(coarse, np.ones((1, 2, 2, 1)))[y] + 40 * rng.standard_normal((n, 8, 8, 3))
    return Dataset("pictures", x.clip(0, 255).astype(np.uint8), y, n_classes, "own")


small_cnn = partial(cnn, (8, 8, 3), 4)
RECIPE = Recipe(epochs=1, batch_size=16, lr=1e-3)


def errors(shape, device, dtype):
    """Relative errors of the kernels' convolution and of its gradients, against float64 one network at a time."""
    from benchmarks.kernels import convolution

    k, b, c, height, width, n, size, biased, pooled = shape
    size = (size, size) if isinstance(size, int) else size
    torch.manual_seed(0)
    given = [torch.randn(k, b, c, height, width), torch.randn(k, n, c, *size), torch.randn(k, n)][: 2 + biased]
    given = [part.to(dtype).requires_grad_() for part in given]
    bias = given[2:]
    expected = torch.stack(
        [
            F.conv2d(*(part[j].double() for part in (given[0], given[1], *bias)), padding=(size[0] // 2, size[1] // 2))
            for j in range(k)
        ]
    )
    expected = F.max_pool2d(expected.flatten(0, 1), 2).unflatten(0, (k, b)) if pooled else expected
    slope = torch.randn_like(expected).to(dtype)
    expected_slopes = torch.autograd.grad(expected, given, slope.double())
    ours = [part.detach().to(device).requires_grad_() for part in given]
    found = convolution(ours[1], ours[2] if biased else None, pooled, ours[0])
    slopes = torch.autograd.grad(found, ours, slope.to(device))
    pairs = zip([found.detach(), *slopes], [expected.detach(), *expected_slopes], strict=True)
    return [float((a.cpu().double() - b.double()).norm() / b.double().norm()) for a, b in pairs]


def interpreted(code):
    """What a program prints, its kernels interpreted on the CPU: all but speed and the GPU's own arithmetic."""
    given = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=given, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="no Triton here")
def test_kernels_convolve_in_an_interpreter():
    code = "from tests.test_gpu import *\nprint(max(max(errors(shape, 'cpu', torch.float32)) for shape in SHAPES))"
    assert float(interpreted(code)) < 1e-5


@on_a_gpu
@pytest.mark.parametrize("shape", [*SHAPES, (5, 32, 3, 32, 32, 32, 5, True, True), (5, 32, 32, 16, 16, 32, 5, True, True)])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_kernels_convolve(shape, dtype, most):
    assert max(errors(shape, "cuda", dtype)) < most


def logits(trainer, dataset, rows, first=0):
    """Of each network, on all records; convolutions of float32 in float32, not in TF32 as torch would have them on a GPU."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        models = trainer.fit_many(dataset, rows, 0, first)
        return np.stack([model._logits(dataset.x).cpu().numpy() for model in models])


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture
def each_anew(monkeypatch):
    monkeypatch.setenv("MIALIB_CACHE", "off")


@pytest.fixture(params=[False, True], ids=["as it is", "with the candidates"])
def way(request, each_anew):
    with candidates.in_use() if request.param else nullcontext():
        yield


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="no Triton here")
def test_a_stack_with_kernels_is_the_usual_one_in_an_interpreter():
    code = """from tests.test_gpu import *
modules = [small_cnn(), small_cnn()]
x = torch.as_tensor(pictures(4).x).unflatten(0, (2, 2))
usual, ours = (kind(modules, torch.device("cpu"))(x) for kind in (stacked.Stack, candidates.KernelStack))
print(float((usual - ours).detach().norm() / usual.detach().norm()))"""
    assert float(interpreted(code)) < 1e-5


def test_layers_that_kernels_take():
    conv, pool = partial(nn.Conv2d, 3, 8), nn.MaxPool2d
    assert all(map(candidates.keeps_size, (conv(5, padding=2), conv(3, padding="same"), conv((3, 5), padding=(1, 2)))))
    others = (
        conv(5),
        conv(4, padding="same"),
        conv(3, 2, padding=1),
        conv(3, padding=2, dilation=2),
        nn.Conv2d(3, 256, 3, padding=1),
    )
    assert not any(map(candidates.keeps_size, (*others, nn.Linear(2, 2))))
    assert all(map(candidates.halves, (pool(2), pool((2, 2)))))
    assert not any(map(candidates.halves, (pool(3), pool(2, 1), pool(2, padding=1), pool(2, ceil_mode=True), nn.Tanh())))


@pytest.mark.parametrize(
    "recipe", [Recipe(3, 16, 1e-3), Recipe(3, 16, 1e-2, optimizer="sgd"), Recipe(30, 16, 1e-2, patience=1)]
)
def test_a_replayed_training_takes_the_same_steps(each_anew, monkeypatch, recipe):
    """On the CPU, where nothing can be recorded: each step is the function itself."""
    monkeypatch.setattr(candidates, "Replayed", lambda step: step)
    dataset, rows = pictures(120), np.arange(120).reshape(3, 40)
    usual = logits(NeuralTrainer(partial(mlp, 192, 4, pixels=True), recipe, "cpu"), dataset, rows)
    with candidates.in_use(kernels=False):
        np.testing.assert_allclose(
            logits(NeuralTrainer(partial(mlp, 192, 4, pixels=True), recipe, "cpu"), dataset, rows), usual, rtol=1e-4, atol=1e-5
        )


def test_a_trial_waits_for_the_end_of_its_epochs(monkeypatch):
    """A GPU returns from an epoch long before it is done: what counts is when the losses can be read."""
    now = [0.0]

    class Losses:
        def tolist(self):
            now[0] += 2.0
            return [0.0]

    monkeypatch.setattr(neural.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(Session, "epoch", lambda self: Losses())
    trainer = NeuralTrainer(small_cnn, Recipe(epochs=5, batch_size=10, lr=1e-3), "cpu")
    assert trainer.estimate(pictures(), 20, 1).seconds == 2.0 * 2 * 5  # 2 s a step, two steps an epoch


def test_a_sweep_leaves_tables_and_says_how_they_came_about(tmp_path):
    rng = np.random.default_rng(0)
    dataset = Dataset("cifar10", rng.integers(0, 256, (300, 32, 32, 3), np.uint8), np.arange(300) % 10, 10, "standin")
    options = argparse.Namespace(sizes=[30, 40], shadows=2, epochs=1, seconds=1e9, out=tmp_path)
    sweep.train(options, dataset)
    (tmp_path / "trained").touch()
    sweep.attack(options, dataset)
    summary, record = pd.read_csv(tmp_path / "summary.csv"), json.loads((tmp_path / "run.json").read_text())
    assert sorted(summary["train_size"].unique()) == record["parameters"]["TRAIN_SIZES"] == [30, 40]
    assert record["parameters"]["N_SHADOWS"] == [2, 2] and record["datasets"][0]["source"] == "standin"
    assert set(pd.read_csv(tmp_path / "by_shadow_count.csv")["k"]) == {1, 2}
    assert not pd.read_csv(tmp_path / "compared.csv")["counts"].any()


def test_a_sweep_trains_no_more_than_there_is_time_for(tmp_path, monkeypatch):
    asked, now = [], [0.0]

    def run_trials(e):
        asked.append((e.train_size, e.n_shadows))
        now[0] += 15.0 * e.n_shadows

    monkeypatch.setattr(NeuralTrainer, "estimate", lambda self, dataset, n, k: Estimate(k, 100.0, 1.0))
    monkeypatch.setattr(sweep.study, "run_targets", lambda e: None)
    monkeypatch.setattr(sweep.study, "run_trials", run_trials)
    monkeypatch.setattr(sweep.time, "perf_counter", lambda: now[0])
    options = argparse.Namespace(sizes=[1, 2, 3], shadows=10, epochs=1, seconds=200.0, out=tmp_path)
    sweep.train(options, pictures())
    assert asked == [(1, 10), (2, 4)]  # at 11 s each: 200 s for ten, 50 s for four, none when the time is over


@on_a_gpu
@pytest.mark.parametrize("recipe", [RECIPE, Recipe(1, 16, 1e-2, optimizer="sgd", l2=1e-3)])
def test_a_gpu_and_a_cpu_train_the_same_networks(way, recipe):
    dataset = pictures()
    rows = np.random.default_rng(1).permuted(np.tile(np.arange(400), (3, 1)), axis=1)[:, :150]  # a last batch of 6
    on_gpu = logits(NeuralTrainer(small_cnn, recipe, "cuda"), dataset, rows)
    with mock.patch.object(stacked, "Stack", USUAL), mock.patch.object(neural, "Session", Session):
        assert relative(on_gpu, logits(NeuralTrainer(small_cnn, recipe, "cpu"), dataset, rows)) < 1e-4


@on_a_gpu
@pytest.mark.parametrize("make_model", [small_cnn, partial(mlp, 192, 4, pixels=True)])
def test_replayed_steps_are_those_launched_one_by_one(each_anew, make_model):
    dataset, rows = pictures(), np.arange(300).reshape(2, 150)
    trainer = NeuralTrainer(make_model, Recipe(6, 16, 1e-3))
    one_by_one = logits(trainer, dataset, rows)
    with candidates.in_use(kernels=False):
        assert relative(logits(trainer, dataset, rows), one_by_one) < 1e-4


@on_a_gpu
def test_networks_together_on_a_gpu_are_those_trained_alone(way):
    dataset = pictures()
    rows = np.random.default_rng(1).permuted(np.tile(np.arange(400), (5, 1)), axis=1)[:, :150]
    trainer = NeuralTrainer(small_cnn, Recipe(3, 16, 1e-3))
    alone = np.concatenate([logits(trainer, dataset, rows[j : j + 1], first=j) for j in range(5)])
    assert relative(logits(trainer, dataset, rows), alone) < 1e-4


@on_a_gpu
def test_networks_that_stop_early_leave_the_others_alone_on_a_gpu(way):
    dataset, rows = pictures(120), np.arange(120).reshape(3, 40)
    trainer = NeuralTrainer(small_cnn, Recipe(60, 16, 5e-3, patience=2))
    together = logits(trainer, dataset, rows)
    alone = np.concatenate([logits(trainer, dataset, rows[j : j + 1], first=j) for j in range(3)])
    assert (together.argmax(2) == alone.argmax(2)).mean() > 0.95


@on_a_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("make_model", [small_cnn, partial(mlp, 192, 4, pixels=True)])
def test_a_gpu_learns_its_training_set(way, make_model, precision):
    dataset, rows = pictures(), np.arange(300).reshape(2, 150)
    found = logits(NeuralTrainer(make_model, Recipe(40, 16, 2e-3, precision=precision)), dataset, rows)
    for row, answers in zip(rows, found, strict=True):
        assert (answers[row].argmax(1) == dataset.y[row]).mean() > 0.9


@on_a_gpu
def test_dropout_on_a_gpu(each_anew):
    dataset, rows = pictures(), np.arange(300).reshape(2, 150)
    found = logits(NeuralTrainer(partial(small_cnn, dropout=0.2), Recipe(40, 16, 2e-3)), dataset, rows)
    assert (found[0][rows[0]].argmax(1) == dataset.y[rows[0]]).mean() > 0.9
