"""The paper's networks, fact by fact, and the black box around any module."""

import numpy as np
import pytest
import torch
from torch import nn

from mialib.core.types import BlackBox
from mialib.training.black_boxes import NUMBERS_A_CORE, black_box, module_of
from mialib.training.networks import Pixels, Records, cnn, mlp
from mialib.training.sparse import SPARSE_IN_ANSWERS, is_sparse


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def layers(module, kind):
    return [layer for layer in module if isinstance(layer, kind)]


def bits(n=10, d=20):
    return np.random.default_rng(0).integers(0, 2, (n, d), dtype=np.uint8)


def images(shape=(8, 8, 3), n=6):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def test_the_purchase_network_of_the_paper():
    """Sec. VI-C: a fully connected network with one hidden layer of 128 units, Tanh."""
    network = mlp(600, 100)
    assert [(layer.in_features, layer.out_features) for layer in layers(network, nn.Linear)] == [(600, 128), (128, 100)]
    assert len(layers(network, nn.Tanh)) == 1
    assert n_parameters(network) == 600 * 128 + 128 + 128 * 100 + 100 == 89_828
    assert not layers(network, nn.Softmax)  # softmax is the loss's while training, the black box's afterwards


@pytest.mark.parametrize(("n_features", "n_classes", "hidden"), [(446, 30, 128), (600, 100, 256), (6169, 100, 1000)])
def test_mlp_parameters(n_features, n_classes, hidden):
    network = mlp(n_features, n_classes, hidden)
    assert n_parameters(network) == (n_features + 1) * hidden + (hidden + 1) * n_classes
    assert network(torch.zeros(5, n_features, dtype=torch.uint8)).shape == (5, n_classes)


def test_the_cifar_network_of_the_paper():
    """Sec. VI-C: two convolution and max-pooling layers plus a fully connected layer of size 128 and a softmax layer; Tanh."""
    network = cnn((32, 32, 3), 10)
    assert len(layers(network, nn.Conv2d)) == len(layers(network, nn.MaxPool2d)) == 2
    assert [layer.out_features for layer in layers(network, nn.Linear)] == [128, 10]
    assert len(layers(network, nn.Tanh)) == 3
    convolutions = (3 * 25 + 1) * 32 + (32 * 25 + 1) * 32
    assert n_parameters(network) == convolutions + (32 * 8 * 8 + 1) * 128 + 129 * 10 == 291_626


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (32, 32, 3), (7, 5, 2), (4, 4)])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_cnn_takes_images_of_any_size(shape, kernel):
    network = cnn(shape, 7, channels=3, kernel=kernel)
    assert network(torch.as_tensor(images(shape))).shape == (6, 7)


@pytest.mark.parametrize(("make", "layer"), [(lambda **o: mlp(20, 4, **o), 3), (lambda **o: cnn((8, 8), 4, **o), 10)])
def test_dropout_is_a_layer_only_where_there_is_some(make, layer):
    assert repr(make()) == repr(make(dropout=0.0))
    assert not layers(make(), nn.Dropout)
    with_dropout = make(dropout=0.3)
    assert [m.p for m in layers(with_dropout, nn.Dropout)] == [0.3]
    assert type(with_dropout[layer]) is nn.Dropout  # of the last hidden layer's units
    assert type(with_dropout[layer - 1]) is nn.Tanh
    assert len(with_dropout) == len(make()) + 1
    for share in (1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="dropout must be"):
            make(dropout=share)


def test_pixels_are_scaled_and_channels_put_first():
    x = images()
    out = Pixels()(torch.as_tensor(x))
    np.testing.assert_allclose(out.numpy(), np.moveaxis(x.astype(np.float32), 3, 1) / 127.5 - 1, atol=1e-6)
    corners = Pixels()(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2))
    assert corners.flatten().tolist() == [-1, 1]
    unit = Pixels(low=0.0)(torch.as_tensor(x))
    np.testing.assert_allclose(unit.numpy(), np.moveaxis(x.astype(np.float32), 3, 1) / 255, atol=1e-6)


def test_networks_that_scale_pixels_otherwise_are_other_networks():
    assert repr(cnn((8, 8), 4)) == repr(cnn((8, 8), 4, low=-1.0)) != repr(cnn((8, 8), 4, low=0.0))
    with pytest.raises(ValueError, match=r"low must be at least -1 and at most 0, got 0\.5"):
        cnn((8, 8), 4, low=0.5)


@pytest.mark.parametrize(("make", "x"), [(lambda: mlp(20, 4), bits()), (lambda: cnn((8, 8, 3), 4), images())])
def test_raw_bytes_and_floats_give_the_same(make, x):
    torch.manual_seed(0)
    network = make()
    with torch.inference_mode():
        outputs = [network(torch.as_tensor(x.astype(kind))) for kind in (np.uint8, np.float32)]
    assert torch.equal(*outputs)
    box = black_box(network)
    np.testing.assert_array_equal(box.predict_proba(x), box.predict_proba(x.astype(np.float32)))


def test_black_box_answers_the_softmax_of_the_logits():
    torch.manual_seed(0)
    network = mlp(20, 4)
    answers = black_box(network).predict_proba(bits())
    assert answers.shape == (10, 4)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(1), 1, atol=1e-6)
    logits = network(torch.as_tensor(bits())).detach().double().numpy()
    np.testing.assert_allclose(answers, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("n", [1, 6, 7, 8, 21])
def test_records_beyond_one_part_are_answered_alike(n, monkeypatch):
    torch.manual_seed(0)
    box, x = black_box(mlp(20, 4)), bits(n)
    whole = box.predict_proba(x)
    monkeypatch.setattr("mialib.training.black_boxes.NUMBERS_A_CORE", 7 * 20)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    np.testing.assert_allclose(box.predict_proba(x), whole, atol=1e-6)


def test_more_records_than_one_call_takes():
    n = 2 * torch.get_num_threads() * (NUMBERS_A_CORE // 20) + 1
    assert black_box(mlp(20, 4, hidden=2)).predict_proba(bits(n)).shape == (n, 4)


def test_no_records_give_no_answers():
    assert black_box(mlp(20, 4)).predict_proba(bits(0)).shape == (0, 4)


def test_black_box_evaluates_without_dropout_and_leaves_no_gradient():
    torch.manual_seed(0)
    network = nn.Sequential(Records(), nn.Linear(20, 8), nn.Dropout(0.5), nn.Linear(8, 4)).train()
    box = black_box(network)
    np.testing.assert_array_equal(box.predict_proba(bits()), box.predict_proba(bits()))
    assert not network.training


def test_a_second_softmax_is_refused():
    network = nn.Sequential(mlp(20, 4), nn.Softmax(1))
    with pytest.raises(ValueError, match="leave out its last softmax"):
        black_box(network).predict_proba(bits())


def test_a_logsoftmax_changes_nothing():
    torch.manual_seed(0)
    network = mlp(20, 4)
    both = [black_box(m).predict_proba(bits()) for m in (network, nn.Sequential(network, nn.LogSoftmax(1)))]
    np.testing.assert_allclose(*both, atol=1e-6)


def test_anything_that_answers_queries_is_a_black_box():
    class Service:
        def predict_proba(self, x):
            return np.full((len(x), 2), 0.5)

    assert isinstance(Service(), BlackBox)
    assert isinstance(black_box(mlp(3, 2)), BlackBox)
    assert not isinstance(mlp(3, 2), BlackBox)


class Wrong(nn.Module):
    def forward(self, x):
        return x.sum()[None]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mlp(0, 2), ValueError, "n_features must be at least 1, got 0"),
        (lambda: mlp(3, 1), ValueError, "n_classes must be at least 2, got 1"),
        (lambda: mlp(3, 2, hidden=0), ValueError, "hidden must be at least 1, got 0"),
        (lambda: mlp(3.0, 2), TypeError, "n_features must be a whole number, got 3.0"),
        (lambda: cnn((3, 8, 8), 2), ValueError, r"in_shape must be \(h, w\) or .*got \(3, 8, 8\)"),
        (lambda: cnn((8,), 2), ValueError, "in_shape must be"),
        (lambda: cnn((8, 8, 0), 2), ValueError, "in_shape must be"),
        (lambda: cnn((8, 8), 1), ValueError, "n_classes must be at least 2"),
        (lambda: cnn((8, 8), 2, channels=0), ValueError, "channels must be at least 1"),
        (lambda: cnn((7, 7), 2, kernel=4), ValueError, "kernel must be odd"),
        (lambda: black_box(lambda x: x), TypeError, "module must be a torch.nn.Module, got <function"),
        (lambda: black_box(Wrong()).predict_proba(bits()), ValueError, "module must return logits of shape"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_answers_by_ones_are_those_by_all_bits():
    """Records of which few bits are ones take a shorter way through the first layer."""
    x = (np.random.default_rng(0).random((300, 200)) < 0.01).astype(np.uint8)
    x[:3] = 0  # a record without any one, at the beginning too
    module = mlp(200, 5, hidden=16)
    with torch.inference_mode():
        expected = module(torch.as_tensor(x)).softmax(1).numpy()
    box = black_box(module)
    assert box._reads_bits(x)
    assert is_sparse(x, SPARSE_IN_ANSWERS)
    np.testing.assert_allclose(box.predict_proba(x), expected, atol=1e-6)
    np.testing.assert_allclose(box.predict_proba(x.astype(np.float32)), expected, atol=1e-6)
    assert box.predict_proba(x[:0]).shape == (0, 5)


def test_a_network_on_pixels_scales_them():
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    module = mlp(16, 3, hidden=8, pixels=True)
    scaled = torch.as_tensor(x.reshape(6, 16) / 127.5 - 1).float()
    torch.testing.assert_close(module(torch.as_tensor(x)), module[2:](scaled))


def test_a_network_on_pixels_may_have_dropout():
    module = mlp(16, 3, hidden=8, pixels=True, dropout=0.3)
    assert [type(layer) for layer in module] == [Pixels, nn.Flatten, nn.Linear, nn.Tanh, nn.Dropout, nn.Linear]


def test_a_white_box_attacker_gets_the_module_whose_answers_he_saw():
    module = cnn((8, 8, 3), 4)
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    model = black_box(module)
    inside = module_of(model)
    np.testing.assert_allclose(inside(torch.as_tensor(x).float()).softmax(1).detach(), model.predict_proba(x), atol=1e-6)
    assert not inside.training and {id(p) for p in inside.parameters()} == {id(p) for p in module.parameters()}


def test_a_model_that_shows_answers_alone_cannot_be_opened():
    softmax = black_box(nn.Sequential(mlp(4, 2), nn.Softmax(1)), "probabilities")
    for model, what in ((object(), "an? object, which shows no gradients"), (softmax, "probabilities, not logits")):
        with pytest.raises(TypeError, match=what):
            module_of(model)
