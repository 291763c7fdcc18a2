"""`python -m benchmarks.gpu [--out FILE]`: a training step of k CIFAR CNNs on a GPU, in all ways that we know.

One line of JSON a measurement.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, vmap

from benchmarks.candidates import KernelStack, ReplayedSession
from benchmarks.plain import loader, plain_loop, sliced
from mialib.core import randomness
from mialib.training import stacked
from mialib.training.networks import cnn
from mialib.training.recipe import Recipe
from mialib.training.session import Session

BATCH, STEPS = 32, 20
COPIED = 2**31  # bytes of the copy that bandwidth is read from
GEMM_SIZE = 8192
COUNTS = (1, 10, 25, 50, 101)
PARTS = ("ceilings", "loops", "checks", "steps", "profile", "settings")
NETWORK = partial(cnn, (32, 32, 3), 10)


def recipe(precision: str) -> Recipe:
    return Recipe(epochs=1, batch_size=BATCH, lr=1e-3, precision=precision)


def session(way: "Way", k: int, n: int, device: torch.device, seed: int = 0) -> Session:
    """A training of k networks on n made-up pictures each."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.integers(0, 256, (10_000, 32, 32, 3), np.uint8)).to(device)
    y = torch.as_tensor(rng.integers(0, 10, 10_000)).to(device)
    rows = torch.as_tensor(rng.integers(0, 10_000, (k, n)))
    modules = []
    for j in range(k):
        with randomness.torch_seed(seed, j):
            modules.append(NETWORK())
    orders = [randomness.torch_generator(seed, "order", j) for j in range(k)]
    return way.session(way.stack(modules, device), recipe(way.precision), x, y, rows, orders)


def epoch_seconds(made: Session, epochs: int = 1) -> float:
    """Of one epoch, after one that is not timed."""
    float(made.epoch().sum())
    start = time.perf_counter()
    for _ in range(epochs):
        losses = made.epoch()
    float(losses.sum())
    return (time.perf_counter() - start) / epochs


# What else there is


def grouped_with_channels_last(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """A convolution in groups, pictures with their channels last in memory."""
    k = len(x)
    together = x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    filters = weight.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    out = F.conv2d(together, filters, bias.flatten(), padding=weight.shape[3] // 2, groups=k)
    return out.unflatten(1, (k, -1)).transpose(0, 1)


class _Unfolded(torch.autograd.Function):
    """Patches written out, then a product of matrices for each network."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.bfloat16)
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        k, n, _, size, _ = weight.shape
        pictures = x.permute(0, 1, 3, 4, 2)
        columns = _unfolded(pictures, size)
        filters = weight.permute(0, 3, 4, 2, 1).reshape(k, -1, n)
        ctx.save_for_backward(columns, weight)
        ctx.shape = x.shape
        out = torch.baddbmm(bias[:, None], columns, filters)
        return out.view(*pictures.shape[:4], n).permute(0, 1, 4, 2, 3)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx: Any, slope: Tensor) -> Any:
        columns, weight = ctx.saved_tensors
        k, n, c, size, _ = weight.shape
        slope = slope.permute(0, 1, 3, 4, 2)
        flat = slope.reshape(k, -1, n)
        by_weight = torch.bmm(columns.transpose(1, 2), flat).view(k, size, size, c, n).permute(0, 4, 3, 1, 2)
        below = None
        if ctx.needs_input_grad[0]:
            turned = weight.flip(3, 4).permute(0, 3, 4, 1, 2).reshape(k, -1, c)
            below = torch.bmm(_unfolded(slope, size), turned).view(*slope.shape[:4], c).permute(0, 1, 4, 2, 3)
        return below, by_weight, flat.sum(1)


def _unfolded(pictures: Tensor, size: int) -> Tensor:
    """(k, pixels, size * size * c) of pictures (k, b, h, w, c); copied 16 bytes at a time where that is possible."""
    k, b, height, width, c = pictures.shape
    padded = F.pad(pictures.flatten(0, 1), (0, 0, size // 2, size // 2, size // 2, size // 2)).contiguous()
    whole = padded.view(torch.complex128) if c * padded.element_size() % 16 == 0 else padded
    _, s1, s2, s3 = whole.stride()
    windows = whole.as_strided((k * b, height, width, size, size, whole.shape[3]), (whole.stride(0), s1, s2, s1, s2, s3))
    return windows.contiguous().view(padded.dtype).view(k, b * height * width, -1)


def unfolded(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    return _Unfolded.apply(x, weight, bias)


class Vmapped(stacked.Stack):
    """torch.func's way to the same: one functional call, mapped over the networks."""

    def __init__(self, modules: Any, device: torch.device, dropout: Any = ()) -> None:
        super().__init__(modules, device)
        plan = NETWORK().to("meta")

        def call(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(plan, parameters, (x,))

        mapped = vmap(call)
        self._layers = [lambda x: mapped(dict(zip(self.names, self.parameters, strict=True)), x)]


class MaximaApart(KernelStack):
    """Our convolutions, and torch's maxima after them."""

    pooling = False


class Way(NamedTuple):
    """A way to train: the stack, its steps, a convolution in the place of the package's, and the numbers of networks."""

    counts: tuple[int, ...]
    stack: type[stacked.Stack] = stacked.Stack
    session: type[Session] = Session
    convolution: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    precision: str = "bfloat16"
    tf32: bool = False


SOME = (1, 10, 101)
WAYS = {
    "in groups (the package)": Way(SOME),
    "in groups (the package), float32": Way(SOME, precision="float32"),
    "in groups (the package), float32 by TF32": Way(SOME, precision="float32", tf32=True),
    "in groups, replayed": Way(SOME, session=ReplayedSession),
    "in groups, channels last": Way(SOME, convolution=grouped_with_channels_last),
    "unfold + bmm": Way(SOME, convolution=unfolded),
    "vmap": Way((10, 101), Vmapped),
    "kernels": Way(SOME, KernelStack),
    "kernels, maxima apart": Way((1, 101), MaximaApart),
    "kernels, replayed": Way(COUNTS, KernelStack, ReplayedSession),
    "kernels, replayed, float32": Way(SOME, KernelStack, ReplayedSession, precision="float32"),
}


@contextmanager
def trained(way: Way) -> Iterator[None]:
    """Within the block, stacks convolve in this way."""
    instead = way.convolution
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=way.tf32), ExitStack() as patches:
        if instead is not None:
            patches.enter_context(mock.patch.object(stacked, "_convolution", lambda w, b, _s, _p, _d, x: instead(w, b, x)))
        yield


# Measurements


def machine() -> dict[str, Any]:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return {"machine": name, "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def device_seconds(function: Callable[[], Any], repeats: int = 10) -> float:
    """Median seconds of a call on the GPU, after three."""
    for _ in range(3):
        function()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return float(np.median(times))


def ceilings(device: torch.device) -> Iterator[dict[str, Any]]:
    """What this GPU does at best: a large copy, large products."""
    source = torch.randn(COPIED // 4, device=device)
    target = torch.empty_like(source)
    yield {
        "ceiling": "copy, read and written, TB/s",
        "value": 2 * COPIED / device_seconds(partial(target.copy_, source)) / 1e12,
    }
    for kind, tf32 in ((torch.bfloat16, False), (torch.float32, False), (torch.float32, True)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(GEMM_SIZE, GEMM_SIZE, device=device).to(kind) for _ in range(2))
        value = 2 * GEMM_SIZE**3 / device_seconds(partial(torch.mm, a, b), 5) / 1e12
        yield {"ceiling": f"GEMM {kind}{' TF32' if tf32 else ''}, TFLOP/s", "value": value}
    torch.backends.cuda.matmul.allow_tf32 = False


def steps(device: torch.device, largest: int, n: int) -> Iterator[dict[str, Any]]:
    """Pictures a second of each way, for each number of networks."""
    for name, way in WAYS.items():
        for k in [k for k in way.counts if k <= largest]:
            try:
                with trained(way):
                    made = session(way, k, n, device)
                    seconds = epoch_seconds(made, 3 if k < 20 else 1)
                yield {"way": name, "k": k, "ms a step": 1e3 * seconds / (n / BATCH), "pictures/s": k * n / seconds}
                del made
            except Exception as error:  # one way that fails must not hide the others
                yield {"way": name, "k": k, "failed": f"{type(error).__name__}: {error}"[:300]}
            if device.type == "cuda":
                torch.cuda.empty_cache()


def checks(device: torch.device, n: int) -> Iterator[dict[str, Any]]:
    """Whether all ways train the same networks: distance of their weights from the package's on the CPU, relative, the worst of
    all layers, after an epoch.
    """
    k = 3

    def weights(way: Way, device: torch.device) -> list[Tensor]:
        with trained(way):
            made = session(way, k, n, device)
            made.epoch()
        return [p.detach().cpu() for p in made.stack.parameters]

    expected = weights(Way(SOME, precision="float32"), torch.device("cpu"))
    for name, way in WAYS.items():
        try:
            found = weights(way, device)
            errors = [float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True)]
            yield {"way": name, "k": k, "distance": max(errors)}
        except Exception as error:
            yield {"way": name, "k": k, "failed": f"{type(error).__name__}: {error}"[:300]}


def loops(device: torch.device, n: int) -> Iterator[dict[str, Any]]:
    """The plain loop: one network on the same device, in float32 as it comes (torch lets convolutions use TF32)."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, 10, n)
    for name, batches in (("plain loop", loader), ("plain loop, sliced", sliced)):
        for _ in range(2):
            start = time.perf_counter()
            model = plain_loop(NETWORK().to(device), x, y, recipe("float32"), batches)
            float(next(model.parameters()).detach().sum())
            seconds = time.perf_counter() - start
        yield {"way": name, "k": 1, "ms a step": 1e3 * seconds / (n / BATCH), "pictures/s": n / seconds}


def kernel_settings(k: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """Other sizes of what a program does, for each of the three products of the second convolution and two of the first."""
    from benchmarks import kernels

    for height, c in ((32, 4), (16, 32)):
        pictures = torch.randn(k, BATCH, height, height, c, device=device).bfloat16()
        slope = torch.randn(k, BATCH, height // 2, height // 2, 4, 32, device=device).bfloat16()
        filters, bias = torch.randn(k, 5, 5, c, 32, device=device).bfloat16(), torch.randn(k, 32, device=device).bfloat16()
        operations = 2.0 * k * BATCH * height**2 * 25 * c * 32
        size, widths = torch.Size((height, height)), torch.Size((5, 5))
        for kernel, call in (
            ("forward, largest of each window", partial(kernels._products, pictures, filters, bias, True)),
            ("forward", partial(kernels._products, pictures, filters, bias, False)),
            ("by the input", partial(kernels._products, slope, filters.transpose(3, 4).contiguous(), None, False, size)),
            ("by the filters", partial(kernels._slopes, pictures, slope, widths)),
        ):
            if kernel == "by the input" and c == 4:
                continue
            last = kernel == "by the filters"
            names = ("_PIXELS", "_PARTS_OF_SLOPES", "_SPAN") if last else ("_PIXELS", "_PARTS")
            for values in TRIED_OF_SLOPES if last else TRIED:
                yield {"product": kernel, "c": c} | _tried(kernels, call, names, values, operations)


TRIED = ((128, 32, 4), (64, 32, 4), (256, 32, 4), (256, 32, 8), (128, 64, 4))
TRIED_OF_SLOPES = (
    (128, 64, 2048, 4), (64, 64, 2048, 4), (64, 128, 2048, 4), (128, 128, 2048, 8), (64, 64, 8192, 4), (128, 32, 2048, 4),
)  # fmt: skip


def _tried(kernels: Any, call: Callable[[], Any], names: Any, values: Any, operations: float) -> dict[str, Any]:
    *sizes, warps = values
    with mock.patch.multiple(kernels, **dict(zip(names, sizes, strict=True)), _WARPS=warps):
        try:
            seconds = device_seconds(call, 5)
        except Exception as error:
            return {"settings": values, "failed": f"{type(error).__name__}: {error}"[:200]}
    return {"settings": values, "us": 1e6 * seconds, "TFLOP/s": operations / seconds / 1e12}


def profile(k: int, n: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """Where the time of a step with our kernels goes: microseconds a step of each."""
    way = WAYS["kernels"]
    with trained(way):
        made = session(way, k, n, device)
        float(made.epoch().sum())
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            float(made.epoch().sum())
    found = sorted(profiler.key_averages(), key=lambda e: -e.self_device_time_total)[:22]
    for e in found:
        yield {"kernel": e.key[:90], "us a step": e.self_device_time_total / (n / BATCH), "calls": e.count / (n / BATCH)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=None, help="file of all measurements, a line of JSON each")
    parser.add_argument("--largest", type=int, default=max(COUNTS), help="number of networks, at most")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps an epoch")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    device, n = torch.device("cuda" if torch.cuda.is_available() else "cpu"), options.steps * BATCH
    parts = {
        "ceilings": lambda: ceilings(device),
        "loops": lambda: loops(device, n),
        "checks": lambda: checks(device, 5 * BATCH + 4),
        "steps": lambda: steps(device, options.largest, n),
        "settings": lambda: kernel_settings(options.largest, device),
        "profile": lambda: profile(options.largest, n, device),
    }
    lines = [machine()]
    print(json.dumps(lines[0]), flush=True)
    for name in options.only:
        start = time.perf_counter()
        for line in parts[name]():
            lines.append(line)
            print(json.dumps({key: round(v, 4) if isinstance(v, float) else v for key, v in line.items()}), flush=True)
            if options.out:
                options.out.write_text("\n".join(map(json.dumps, lines)) + "\n")
        print(f"# {name}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
