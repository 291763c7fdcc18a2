"""What may make training on a GPU fast, to be measured there (benchmarks/gpu.py) before the package takes it.

Stacks of networks with convolutions of our own (benchmarks/kernels.py), and steps as CUDA graphs, so that small stacks need not
wait for the launch of each kernel.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn

from mialib.training import stacked
from mialib.training.networks import pooled_first
from mialib.training.session import Session

MOST_FILTERS = 128  # of a convolution of our own
SEEN = 3  # batches of one shape before a step on such a batch is recorded: libraries choose kernels in the first
Step = Callable[[Tensor], Tensor]


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    batch: Tensor  # is read, and
    losses: Tensor  # written by each replay


class Replayed:
    """A step of training, recorded on a GPU once it has seen some batches of a shape, and replayed on those that follow.

    step: of a batch, rows (k, b) on the GPU, to the losses of k networks. It must do the same whenever it is called with one
    shape: read and write the same memory, ask the CPU nothing and draw no random numbers there.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._stream = torch.cuda.Stream()
        self._seen: dict[tuple[int, ...], int] = {}
        self._recordings: dict[tuple[int, ...], _Recording] = {}

    def __call__(self, batch: Tensor) -> Tensor:
        """The losses, which the next call may overwrite."""
        shape = tuple(batch.shape)
        if shape not in self._recordings:
            self._seen[shape] = self._seen.get(shape, 0) + 1
            if self._seen[shape] <= SEEN:
                return self._apart(batch)
            self._recordings[shape] = self._record(batch)
        recording = self._recordings[shape]
        recording.batch.copy_(batch)
        recording.graph.replay()
        return recording.losses

    def _apart(self, batch: Tensor) -> Tensor:
        """The step on the stream on which it will be recorded: what it leaves to the next step belongs there."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            losses = self._step(batch)
        torch.cuda.current_stream().wait_stream(self._stream)
        return losses

    def _record(self, batch: Tensor) -> _Recording:
        graph, batch = torch.cuda.CUDAGraph(), batch.clone()
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            losses = self._step(batch)
        return _Recording(graph, batch, losses)


class ReplayedSession(Session):
    """A training whose steps are replayed; of a stack that draws no random numbers, on a GPU."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        for group in self.optimizer.param_groups:  # what a recording reads and writes must lie on the GPU
            group["lr"] = torch.tensor(self.recipe.lr, device=self.y.device)
            if self.recipe.optimizer == "adam":
                group["capturable"] = True
        self._replayed = Replayed(self._learn)

    def _learn(self, batch: Tensor) -> Tensor:
        with torch.autocast(self.y.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            losses = self.stack.backward(self.x, self.y, batch)
        self.optimizer.step()
        return losses

    def _batch(self, x: Any, batch: Tensor) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"].fill_(self.recipe.rate(self.step))
        self.step += 1
        return self._replayed(batch)

    def _drop(self, numbers: list[int], stopped: list[int]) -> list[int]:
        left = super()._drop(numbers, stopped)
        if stopped:  # other memory
            self._replayed = Replayed(self._learn)
        return left


class KernelStack(stacked.Stack):
    """A stack whose convolutions are those of `benchmarks.kernels`, where they can be."""

    pooling = True  # whether maxima are taken before anything is written

    def __init__(self, modules: Any, device: torch.device, dropout: Any = ()) -> None:
        super().__init__(modules, device, dropout)
        from benchmarks.kernels import convolution  # late: there is no Triton on some machines

        named, plain, self._layers = pooled_first(modules[0]), self._layers, []
        parameters = dict(zip(self.names, self.parameters, strict=True))
        while named:
            (name, layer), usual = named.pop(0), plain.pop(0)
            if keeps_size(layer):
                pooled = self.pooling and bool(named) and halves(named[0][1])
                named, plain = named[pooled:], plain[pooled:]
                usual = partial(convolution, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), pooled)
            self._layers.append(usual)


def keeps_size(layer: nn.Module) -> bool:
    """Whether a layer is a convolution that our kernels can do: odd filters, not too many, one at each pixel."""
    if not isinstance(layer, nn.Conv2d):
        return False
    height, width = layer.kernel_size
    plain = layer.stride == layer.dilation == (1, 1) and height % 2 == width % 2 == 1
    fits = max(layer.in_channels, layer.out_channels) <= MOST_FILTERS
    return plain and fits and layer.padding in ("same", (height // 2, width // 2))


def halves(layer: nn.Module) -> bool:
    """Whether a layer takes the largest of each 2 x 2 pixels."""
    plain = isinstance(layer, nn.MaxPool2d) and layer.padding in (0, (0, 0)) and layer.dilation in (1, (1, 1))
    return plain and not layer.ceil_mode and not layer.return_indices and layer.kernel_size == layer.stride in (2, (2, 2))


@contextmanager
def in_use(*, kernels: bool = True, replayed: bool = True) -> Iterator[None]:
    """Within the block, NeuralTrainer trains with the candidates; for networks without dropout."""
    with (
        mock.patch.object(stacked, "Stack", KernelStack if kernels else stacked.Stack),
        mock.patch("mialib.training.neural.Session", ReplayedSession if replayed else Session),
    ):
        yield
