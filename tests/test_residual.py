"""Residual networks: moved pictures as a literal loop moves them, networks as a literal loop trains them, and nothing but
(seed, number) in what comes out.
"""

import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mialib import shadow
from mialib.core import cache, randomness
from mialib.core.progress import SILENT
from mialib.core.types import Dataset
from mialib.training import ResidualTrainer, residual
from mialib.training.augmentation import PictureBatch, moved_batches, moved_pictures
from mialib.training.networks import Pixels
from mialib.training.recipe import Recipe
from mialib.training.residual import one_cycle

RECIPE = Recipe(epochs=2, batch_size=16, lr=0.1, l2=1e-3, lr_decay=0.01, optimizer="sgd")
CPU = torch.device("cpu")


def pictures(n=90, side=9, seed=0):
    """Three classes, of noise with one channel a little brighter: what no shift and no mirror changes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.integers(0, 200, (n, side, side, 3)) + 40 * (np.arange(3) == y[:, None])[:, None, None]
    return Dataset("pictures", x.astype(np.uint8), y, 3, "own")


def small(classes=3, side=9):
    return residual((side, side, 3), classes, width=2)


def trainer(recipe=RECIPE, make=small, **options):
    return ResidualTrainer(make, recipe, "cpu", **({"shift": 2} | options))


def rows_of(k, n, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(90)[:n] for _ in range(k)])


def state(box):
    return box._module.state_dict()


def assert_same(first, second):
    """To the last bit."""
    for (name, one), other in zip(state(first).items(), state(second).values(), strict=True):
        assert torch.equal(one, other), name


# The network


@pytest.mark.parametrize("shape", [(8, 8), (9, 11, 1), (28, 28), (32, 32, 3), (33, 40, 4)])
def test_a_network_answers_a_logit_a_class(shape):
    network = residual(shape, 5, width=2)
    x = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
    assert network(x).shape == (6, 5)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(x.float()), network(x))  # a black box hands over floats


def test_the_usual_network_has_the_weights_of_cifar10_fast():
    network = residual((32, 32, 3), 10)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 128, 128, 128, 256, 512, 512, 512]
    assert sum(p.numel() for p in network.parameters()) == 6_573_120


def test_a_block_that_gives_nothing_is_skipped():
    network = small().eval()
    x = torch.randint(0, 256, (4, 9, 9, 3), dtype=torch.uint8)
    shortened = nn.Sequential(*(layer for layer in network if not hasattr(layer, "block")))
    with torch.inference_mode():
        assert not torch.allclose(network(x), shortened(x), atol=1e-6)
        for layer in network:
            if hasattr(layer, "block"):
                layer.block[-2].weight.zero_()  # of the last normalisation
        torch.testing.assert_close(network(x), shortened(x))


# Moved pictures


@pytest.mark.parametrize("shape", [(7, 9, 3), (9, 7), (8, 8, 1)])
def test_moved_pictures_are_those_of_a_literal_loop(shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, *shape), dtype=np.uint8)
    batch = PictureBatch(
        torch.as_tensor(rng.integers(0, 20, 50)),
        torch.as_tensor(rng.random(50) < 0.5),
        torch.as_tensor(rng.integers(-6, 7, (50, 2))),
    )
    moved = moved_pictures(torch.as_tensor(x), batch)
    assert moved.shape == (50, *shape) and moved.dtype == torch.uint8
    for ours, row, mirrored, (down, right) in zip(moved.numpy(), *(part.numpy() for part in batch), strict=True):
        picture = x[row][:, ::-1] if mirrored else x[row]
        padded = np.pad(picture, [(6, 6), (6, 6), (0, 0)][: picture.ndim], "reflect")
        top, left = 6 - down, 6 - right
        np.testing.assert_array_equal(ours, padded[top : top + shape[0], left : left + shape[1]])


def test_pictures_that_do_not_move_are_as_they_were():
    x = torch.randint(0, 256, (5, 8, 8, 3), dtype=torch.uint8)
    still = PictureBatch(torch.arange(5), torch.zeros(5, dtype=torch.bool), torch.zeros(5, 2, dtype=torch.long))
    assert torch.equal(moved_pictures(x, still), x)
    mirrored = still._replace(mirrored=torch.ones(5, dtype=torch.bool))
    assert torch.equal(moved_pictures(x, mirrored), x.flip(2))


@pytest.mark.parametrize(("n", "size", "sizes"), [(10, 4, [4, 3, 3]), (12, 4, [4, 4, 4]), (13, 12, [7, 6]), (2, 512, [2])])
def test_an_epoch_has_each_record_once_in_batches_of_like_size(n, size, sizes):
    rows = torch.arange(100, 100 + n)
    batches = moved_batches(rows, size, True, 3, torch.Generator(), torch.Generator(), CPU)
    assert [len(batch.rows) for batch in batches] == sizes
    assert [len(batch.shifts) for batch in batches] == sizes
    assert torch.equal(torch.cat([batch.rows for batch in batches]).sort().values, rows)


def test_half_are_mirrored_and_all_shifts_come_up():
    draw = partial(moved_batches, torch.arange(6000), 6000)
    (batch,) = draw(True, 2, torch.Generator(), torch.Generator(), CPU)
    assert 2800 < batch.mirrored.sum() < 3200
    _, counts = batch.shifts.unique(dim=0, return_counts=True)
    assert len(counts) == 25 and counts.min() > 150 and counts.max() < 340
    (batch,) = draw(False, 0, torch.Generator(), torch.Generator(), CPU)
    assert not batch.mirrored.any() and not batch.shifts.any()


def test_the_rate_rises_and_falls():
    assert [one_cycle(step, 10, 0.4) for step in range(10)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 0.5, 2 / 6, 1 / 6]
    )
    assert [one_cycle(step, 4, 0.0) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    assert one_cycle(0, 1, 0.2) == 1


# Training


class InDouble(Pixels):
    """Rounding grows from step to step; in float64 a loop and the trainer stay together, where both do the same."""

    def forward(self, x):
        return super().forward(x).double()


def small_in_double():
    network = small().double()
    network[0] = InDouble()
    return network


def literal_training(recipe, dataset, rows, seed, number, momentum, warmup, smoothing, shift):
    """One network, trained by the loop that one would write first, from the same random streams."""
    torch.manual_seed(randomness.derive(seed, "weights", number))
    model = small_in_double()
    order, moves = (randomness.torch_generator(seed, name, number) for name in ("order", "moves"))
    velocity = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    batches = -(-len(rows) // recipe.batch_size)
    steps, step = recipe.epochs * batches, 0
    for _ in range(recipe.epochs):
        permuted = rows[torch.randperm(len(rows), generator=order).numpy()]
        mirrored = (torch.rand(len(rows), generator=moves) < 0.5).numpy()
        shifts = torch.randint(-shift, shift + 1, (len(rows), 2), generator=moves).numpy()
        for part in np.array_split(np.arange(len(rows)), batches):
            shown = []
            for i in part:
                picture = dataset.x[permuted[i]][:, ::-1] if mirrored[i] else dataset.x[permuted[i]]
                padded = np.pad(picture, [(shift, shift), (shift, shift), (0, 0)], "reflect")
                top, left = shift - shifts[i]
                shown.append(padded[top : top + picture.shape[0], left : left + picture.shape[1]])
            labels = torch.as_tensor(dataset.y[permuted[part]])
            logs = model(torch.as_tensor(np.stack(shown))).log_softmax(1)
            wanted = (1 - smoothing) * nn.functional.one_hot(labels, 3) + smoothing / 3
            penalty = sum((p**2).sum() for p in model.parameters() if p.ndim > 1)
            model.zero_grad()
            (-(wanted * logs).sum(1).mean() + recipe.l2 * penalty).backward()
            peak = recipe.lr / (1 + recipe.lr_decay * step)
            rising = (step + 1) / (warmup * steps)
            rate = peak * min(1, rising, (steps - step) / ((1 - warmup) * steps))
            with torch.no_grad():
                for name, p in model.named_parameters():
                    velocity[name] = momentum * velocity[name] + p.grad
                    p -= rate * (p.grad + momentum * velocity[name])
            step += 1
    return model.state_dict()


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, epochs=3, batch_size=90, l2=0.0)])
def test_a_network_is_that_of_a_literal_loop(recipe):
    data, rows = pictures(), rows_of(2, 50)
    models = trainer(recipe, small_in_double, momentum=0.8, warmup=0.3, smoothing=0.1).fit_many(data, rows, seed=3, first=5)
    for j, model in enumerate(models):
        expected = literal_training(recipe, data, rows[j], 3, 5 + j, momentum=0.8, warmup=0.3, smoothing=0.1, shift=2)
        for name, value in state(model).items():
            torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


def test_models_depend_on_seed_and_number_only(monkeypatch, tmp_path):
    data, rows = pictures(), rows_of(4, 45)
    together = trainer().fit_many(data, rows, seed=5)
    for j in (0, 3):
        monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / f"other{j}"))
        (alone,) = trainer().fit_many(data, rows[[j]], seed=5, first=j)
        assert_same(together[j], alone)
    monkeypatch.setenv("MIALIB_CACHE", "off")
    (other,) = trainer().fit_many(data, rows[[0]], seed=6)
    assert not torch.equal(state(other)["1.weight"], state(together[0])["1.weight"])
    first, second = trainer().fit_many(data, rows[[0, 0]], seed=5)
    assert not torch.equal(state(first)["1.weight"], state(second)["1.weight"])


def test_cut_short_it_keeps_whole_networks_alone_and_goes_on_to_the_same(monkeypatch, tmp_path):
    data, rows = pictures(), rows_of(3, 45)
    whole = trainer().fit_many(data, rows, seed=5)
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "cut"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # one after another
    steps, step = [], ResidualTrainer._step

    def cut(self, network, *rest):
        steps.append(network)
        if len({id(each) for each in steps}) == 2 and steps.count(network) == 4:
            raise KeyboardInterrupt
        return step(self, network, *rest)

    monkeypatch.setattr(ResidualTrainer, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        trainer().fit_many(data, rows, seed=5)
    keys = trainer().keys(data, rows, 5)
    assert [cache.exists("weights", key) for key in keys] == [True, False, False]
    steps.clear()
    monkeypatch.setattr(ResidualTrainer, "_step", lambda *args: steps.append(args[1]) or step(*args))
    resumed = trainer().fit_many(data, rows, seed=5)
    assert len({id(each) for each in steps}) == 2
    for one, other in zip(whole, resumed, strict=True):
        assert_same(one, other)
    steps.clear()
    trainer().fit_many(data, rows, seed=5)
    assert not steps


def test_a_stop_ends_a_network_within_its_epoch():
    data, stop = pictures(), threading.Event()
    stop.set()
    material = trainer()._material(data)
    with pytest.raises(InterruptedError, match="interrupted"):
        trainer()._train(material, np.arange(40), 0, 0, SILENT, stop)


def test_a_training_that_diverges_is_named_and_not_kept():
    data, rows = pictures(), rows_of(1, 45)
    wild = trainer(replace(RECIPE, lr=1e30))
    with pytest.raises(FloatingPointError, match=r"model 7: its .* is not finite.*1e\+30"):
        wild.fit_many(data, rows, seed=0, first=7)
    assert not cache.exists("weights", wild.keys(data, rows, 0, 7)[0])


def test_it_learns_what_neither_mirror_nor_shift_changes():
    data = pictures(240)
    recipe = replace(RECIPE, epochs=25, batch_size=20, lr_decay=0.0)
    (model,) = trainer(recipe).fit_many(data, np.arange(120)[None], seed=0)
    right = model.predict_proba(data.x).argmax(1) == data.y
    assert right[120:].mean() > 0.8  # chance: 1/3


def test_in_bfloat16_weights_stay_in_float32_and_differ_little():
    data, rows = pictures(), rows_of(1, 45)
    one_step = replace(RECIPE, epochs=1, batch_size=45)
    (exact,) = trainer(one_step).fit_many(data, rows, seed=0)
    (short,) = trainer(replace(one_step, precision="bfloat16")).fit_many(data, rows, seed=0)
    one, other = state(exact)["1.weight"], state(short)["1.weight"]
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, atol=0.02, rtol=0)


# Answers


def test_an_answer_does_not_depend_on_what_else_is_asked():
    data = pictures()
    (model,) = trainer().fit_many(data, rows_of(1, 45), seed=0)
    before = {name: value.clone() for name, value in state(model).items()}
    together = model.predict_log_proba(data.x)
    np.testing.assert_allclose(np.concatenate([model.predict_log_proba(data.x[[i]]) for i in range(90)]), together, atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in state(model).items())
    in_training = model._module.train()(torch.as_tensor(data.x)).log_softmax(1).detach().numpy()
    assert abs(in_training - together).max() > 1e-3  # the same check can fail


def test_a_stock_asks_for_so_many_networks_at_once(monkeypatch):
    data, asked, fit = pictures(), [], ResidualTrainer.fit_many

    def counted(self, dataset, rows, seed, first=0):
        asked.append(len(rows))
        return fit(self, dataset, rows, seed, first)

    monkeypatch.setattr(ResidualTrainer, "fit_many", counted)
    monkeypatch.setattr(ResidualTrainer, "at_once", 2)
    stock = shadow.stock(trainer(replace(RECIPE, epochs=1)), data, shadow.sample_halves(90, 6, seed=0), seed=0)
    assert asked == [2, 2, 2]
    assert stock.signal.shape == (6, 90)


# Keys, estimates, devices, bad input


def test_every_setting_is_part_of_the_key():
    data, rows = pictures(), rows_of(1, 45)
    variants = [
        trainer(), trainer(momentum=0.8), trainer(warmup=0.1), trainer(smoothing=0.1), trainer(flip=False), trainer(shift=1),
        trainer(replace(RECIPE, lr=0.2)), trainer(replace(RECIPE, precision="bfloat16")), trainer(make=partial(small, 4)),
        trainer(make=lambda: residual((9, 9, 3), 3, width=3)),
    ]  # fmt: skip
    keys = [each.keys(data, rows, 0)[0] for each in variants] + trainer().keys(data, rows, 0, first=1)
    keys += trainer().keys(data, rows, 1) + trainer().keys(data, rows + 1 - 2 * (rows == 89), 0)
    assert len({cache.digest(key) for key in keys}) == len(keys)
    assert all(cache.NOT_KEPT not in str(key) for key in keys)
    assert trainer().keys(data, rows, 0) == keys[:1]


def test_the_source_of_the_trainer_and_of_the_moves_is_part_of_the_key(monkeypatch):
    data, rows = pictures(), rows_of(1, 45)
    read = []
    monkeypatch.setattr(cache, "digest", lambda *parts: read.extend(map(str, parts)) or "0")
    cache.code_digest.cache_clear()
    trainer().keys(data, rows, 0)
    cache.code_digest.cache_clear()
    assert any("def moved_pictures" in text and "class ResidualTrainer" in text for text in read)


def test_an_estimate_counts_epochs_records_and_rounds_of_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(ResidualTrainer, "_seconds_a_picture", lambda *_: 0.5)
    data = pictures()
    assert trainer().estimate(data, 40, 3)[:2] == (3, 0.5 * 40 * RECIPE.epochs * 2)
    few, many = (trainer().estimate(data, 40, k).megabytes for k in (ResidualTrainer.at_once, 100))
    assert few == many
    assert trainer(replace(RECIPE, batch_size=32)).estimate(data, 40, 100).megabytes > many
    assert trainer(replace(RECIPE, precision="bfloat16")).estimate(data, 40, 100).megabytes < many


def test_an_estimate_comes_from_a_trial_that_keeps_nothing(tmp_path):
    before = torch.get_rng_state()
    estimate = trainer().estimate(pictures(), 40, 3)
    assert estimate.seconds > 0 and estimate.megabytes > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert not [*tmp_path.rglob("*.npz")]


def test_all_of_a_step_lies_on_the_device():
    """Tensors that have a device and no numbers stand in for a GPU: mixing devices would raise. The numbers are not tested."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        ours = trainer()
        ours.device = torch.device("cuda")
        with ours.device:
            network = small()
        material = torch.zeros(90, 9, 9, 3, dtype=torch.uint8, device="cuda"), torch.zeros(90, dtype=torch.long, device="cuda")
        batch = ours._batches(torch.arange(90), torch.Generator(), torch.Generator())[0]
        assert {part.device.type for part in batch} == {"cuda"}
        assert ours._loss(network, material, batch).device.type == "cuda"


def test_a_gpu_trains_one_after_another_and_a_cpu_one_a_core(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    ours = trainer()
    with ours._workers(3) as (_, n_workers):
        assert n_workers == 3
    ours.device = torch.device("cuda")
    with ours._workers(3) as (_, n_workers):
        assert n_workers == 1


def test_convolutions_are_repeatable_while_networks_are_trained(monkeypatch):
    seen, step = set(), ResidualTrainer._step
    monkeypatch.setattr(ResidualTrainer, "_step", lambda *args: seen.add(torch.backends.cudnn.deterministic) or step(*args))
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    trainer().fit_many(pictures(), rows_of(1, 45), seed=0)
    assert seen == {True}
    assert torch.backends.cudnn.deterministic is False
