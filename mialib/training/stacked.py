"""k networks of one architecture as one: every parameter gets a leading axis of models.

A `Stack` computes what its networks compute one by one, in the same order of operations, so a network's weights do not depend
on which others share its stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mialib.training.networks import Pixels, Records, pooled_first
from mialib.training.sparse import Ones

Layer = Callable[[Tensor], Tensor]
SLOPES: dict[type[nn.Module], Callable[[Tensor, Tensor], Tensor]] = {  # from (gradient by an activation's output, that output)
    nn.Tanh: torch.ops.aten.tanh_backward,
    nn.ReLU: partial(torch.ops.aten.threshold_backward, threshold=0),
}


class Stack:
    """k networks, trained together.

    Parameters
    ----------
    modules: networks of one architecture; their weights are copied.
    device: where the stack lives.
    dropout: one generator (CPU) a network, from which its dropout masks are drawn; needed only where there is dropout.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device, dropout: Sequence[torch.Generator] = ()) -> None:
        self.names = [name for name, _ in modules[0].named_parameters()]
        columns = zip(*(module.parameters() for module in modules), strict=True)
        self.parameters = [torch.stack([p.detach() for p in column]).to(device).requires_grad_() for column in columns]
        self.weights = [p for p in self.parameters if p.ndim > 2]
        self.dropout = list(dropout)
        self._layers = _layers(modules[0], dict(zip(self.names, self.parameters, strict=True)), self)

    def __len__(self) -> int:
        return len(self.parameters[0])

    def __call__(self, x: Tensor) -> Tensor:
        """Logits (k, b, n_classes) of raw records x (k, b, ...), one batch a network."""
        for layer in self._layers:
            x = layer(x)
        return x

    def backward(self, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        """Mean cross-entropy of each network, (k,), on records x[rows[j]] with classes y[rows[j]]; gradients go to `grad`.

        x (n, ...): all raw records; y (n,); rows (k, b): the batch of each network.
        """
        losses = _losses(self(_take(x, rows)), y[rows])
        _fresh_gradients(self.parameters, losses)
        return losses.detach()

    def state(self, j: int) -> dict[str, Tensor]:
        """State dict of network j, on the CPU."""
        return {name: p[j].detach().cpu().clone() for name, p in zip(self.names, self.parameters, strict=True)}

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all networks but these."""
        for p in self.parameters:
            p.grad = None
            p.data = p.data[list(rows)]
        self.dropout = [self.dropout[row] for row in rows] if self.dropout else []


class DenseStack(Stack):
    """A stack of linear layers with Tanh or ReLU between them, in float32.

    Its gradients are written out: no graph is built, and a step writes into buffers that stay. On small networks this, not
    arithmetic, is what the time of a training loop goes to.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device, dropout: Sequence[torch.Generator] = ()) -> None:
        super().__init__(modules, device, dropout)
        self._activations = [type(layer) for layer in modules[0].children() if isinstance(layer, nn.Tanh | nn.ReLU)]
        self._buffers: dict[tuple[int, ...], list[Tensor]] = {}

    @torch.no_grad()
    def backward(self, x: Tensor | Ones, y: Tensor, rows: Tensor) -> Tensor:
        """As `Stack.backward`."""
        weights, biases = self.parameters[::2], self.parameters[1::2]
        outs = self._outputs(rows)
        records = self._first_layer(x, rows, weights[0], biases[0], outs[0])
        for i, activation in enumerate(self._activations):
            outs[i].tanh_() if activation is nn.Tanh else outs[i].relu_()
            torch.baddbmm(biases[i + 1][:, None], outs[i], weights[i + 1].transpose(1, 2), out=outs[i + 1])
        losses = _loss_and_slope(outs[-1], y[rows])
        slope = outs[-1]  # from here on, the gradient of the losses by a layer's output
        for i in reversed(range(1, len(weights))):
            weights[i].grad = torch.bmm(slope.transpose(1, 2), outs[i - 1], out=weights[i].grad)
            biases[i].grad = torch.sum(slope, 1, out=biases[i].grad)
            slope = SLOPES[self._activations[i - 1]](torch.bmm(slope, weights[i]), outs[i - 1])
        biases[0].grad = torch.sum(slope, 1, out=biases[0].grad)
        weights[0].grad = self._first_gradient(records, slope, weights[0])
        return losses

    def _outputs(self, rows: Tensor) -> list[Tensor]:
        """A buffer for the output of each layer, (k, b, width)."""
        key = tuple(rows.shape)
        if key not in self._buffers:
            self._buffers[key] = [torch.empty(*key, bias.shape[1], device=bias.device) for bias in self.parameters[1::2]]
        return self._buffers[key]

    def _first_layer(self, x: Tensor | Ones, rows: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Any:
        assert isinstance(x, Tensor)
        records = _take(x.flatten(1), rows).float()
        torch.baddbmm(bias[:, None], records, weight.transpose(1, 2), out=out)
        return records

    def _first_gradient(self, records: Any, slope: Tensor, weight: Tensor) -> Tensor:
        return torch.bmm(slope.transpose(1, 2), records, out=weight.grad)


class SparseStack(DenseStack):
    """A dense stack whose records are mostly zeros: only the ones of a record touch its first layer.

    The first layer's weights lie transposed, (k, n_features, width), so that what a feature touches is one run of memory.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device, dropout: Sequence[torch.Generator] = ()) -> None:
        super().__init__(modules, device, dropout)
        first = self.parameters[0]
        self.parameters[0] = first.detach().transpose(1, 2).contiguous().requires_grad_()
        self.weights = [self.parameters[0] if weight is first else weight for weight in self.weights]

    def state(self, j: int) -> dict[str, Tensor]:
        """As `Stack.state`."""
        state = super().state(j)
        state[self.names[0]] = state[self.names[0]].T.contiguous()
        return state

    def _first_layer(self, x: Tensor | Ones, rows: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> Any:
        assert isinstance(x, Ones)
        sums = torch.embedding_bag(weight.detach().flatten(0, 1), x.features, x.starts)[0]
        torch.add(sums.view_as(out), bias[:, None], out=out)
        return x

    def _first_gradient(self, records: Any, slope: Tensor, weight: Tensor) -> Tensor:
        """For each feature, the sum of the slopes of the records that have it: a bag a feature."""
        weight.grad = None  # its memory is taken again
        return torch.embedding_bag(slope.flatten(0, 1), records.records, records.firsts)[0].view_as(weight)


class Alone:
    """The same interface around one module that cannot be stacked."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module = module.to(device).train()
        self.parameters = list(module.parameters())
        self.weights = [p for p in self.parameters if p.ndim > 1]

    def __len__(self) -> int:
        return 1

    def backward(self, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        """As `Stack.backward`, for one network: rows (1, b)."""
        losses = _losses(self.module(x[rows[0]])[None], y[rows])
        _fresh_gradients(self.parameters, losses)
        return losses.detach()

    def state(self, j: int) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.module.state_dict().items()}


def make_stack(
    modules: Sequence[nn.Module], device: torch.device, dropout: Sequence[torch.Generator], precision: str, sparse: bool
) -> Stack | Alone:
    """The fastest stack for these networks; `Alone` for one that cannot be stacked. sparse: records come as `Ones`."""
    if not can_stack(modules[0]):
        return Alone(modules[0], device)
    if sparse:
        return SparseStack(modules, device, dropout)
    return (DenseStack if is_dense(modules[0]) and precision == "float32" else Stack)(modules, device, dropout)


def is_dense(module: nn.Module) -> bool:
    """Whether a `DenseStack` can train `module`: records, then linear layers with Tanh or ReLU between them."""
    records, *layers = module.children()
    linear, between = layers[::2], layers[1::2]
    biased = all(isinstance(layer, nn.Linear) and layer.bias is not None for layer in linear)
    active = all(isinstance(layer, nn.Tanh | nn.ReLU) for layer in between)
    return type(records) is Records and len(linear) == len(between) + 1 and biased and active


def _take(x: Tensor, rows: Tensor) -> Tensor:
    return x.index_select(0, rows.flatten()).unflatten(0, rows.shape)


def _losses(logits: Tensor, classes: Tensor) -> Tensor:
    losses = F.cross_entropy(logits.float().flatten(0, 1), classes.flatten(), reduction="none")
    return losses.unflatten(0, classes.shape).mean(1)


def _fresh_gradients(parameters: Sequence[Tensor], losses: Tensor) -> None:
    for p in parameters:
        p.grad = None
    losses.sum().backward()


def _loss_and_slope(logits: Tensor, classes: Tensor) -> Tensor:
    """Mean cross-entropy (k,) of logits (k, b, c), which are overwritten by its gradient."""
    torch.softmax(logits, 2, out=logits)
    own = classes[..., None]
    losses = logits.gather(2, own).clamp_min_(1e-38).log_().mean((1, 2)).neg_()
    logits.scatter_add_(2, own, torch.full_like(own, -1, dtype=logits.dtype))
    logits.div_(logits.shape[1])
    return losses


def can_stack(module: nn.Module) -> bool:
    """Whether `module` is a plain sequence of the layers that a `Stack` knows."""
    return type(module) is nn.Sequential and len(module) > 0 and all(_known(layer) for layer in module)


def _known(layer: nn.Module) -> bool:
    plain = type(layer) in (Records, Pixels, nn.Linear, nn.Tanh, nn.ReLU, nn.Flatten, nn.Dropout, nn.MaxPool2d)
    return plain or (type(layer) is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros")


def _layers(module: nn.Module, parameters: dict[str, Tensor], stack: Stack) -> list[Layer]:
    layers: list[Layer] = []
    for name, layer in pooled_first(module):
        bias = parameters.get(f"{name}.bias")
        if isinstance(layer, nn.Linear):
            layers.append(partial(_linear, parameters[f"{name}.weight"], bias))
        elif isinstance(layer, nn.Conv2d):
            weight = parameters[f"{name}.weight"]
            layers.append(partial(_convolution, weight, bias, layer.stride, layer.padding, layer.dilation))
        elif isinstance(layer, nn.Dropout):
            layers.append(partial(_dropout, layer.p, stack))
        elif isinstance(layer, nn.Tanh | nn.ReLU):
            layers.append(layer)
        else:  # Records, Pixels, Flatten, MaxPool2d: no parameters, so the networks' batches run as one
            layers.append(partial(_each_record, layer))
    return layers


def _linear(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    product = weight.transpose(1, 2)
    return torch.bmm(x, product) if bias is None else torch.baddbmm(bias[:, None], x, product)


def _convolution(weight: Tensor, bias: Tensor | None, stride, padding, dilation, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    k = len(x)
    together = x.transpose(0, 1).flatten(1, 2)
    bias = bias if bias is None else bias.flatten()
    out = F.conv2d(together, weight.flatten(0, 1), bias, stride, padding, dilation, groups=k)
    return out.unflatten(1, (k, -1)).transpose(0, 1)


def _dropout(p: float, stack: Stack, x: Tensor) -> Tensor:
    masks = [torch.rand(x.shape[1:], generator=generator) >= p for generator in stack.dropout]
    return x * torch.stack(masks).to(x.device) / (1 - p)


def _each_record(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
