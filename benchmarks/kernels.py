"""Convolutions of k networks at once on a GPU, as products of matrices whose left side, the patches of a picture, is never
written out: it is read from the picture itself. Pictures lie with their channels last.

What libraries offer for this is a convolution in groups. Where a maximum over 2 x 2 pixels follows, it is taken before anything
is written.
"""

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor
from torch.amp import custom_bwd, custom_fwd

_PIXELS = 128  # a program's share of the rows of a product
_PARTS = 32  # of a patch, multiplied at once
_PARTS_OF_SLOPES = 64
_SPAN = 2048  # pixels whose share in the gradient of the weights one program adds up
_WARPS = 4
_TOGETHER = 4  # channels, rounded up to a multiple of this: numbers that lie so are read together


@triton.jit
def _place(number, H: tl.constexpr, W: tl.constexpr, WINDOWS: tl.constexpr):
    """Picture, row and column of the pixels of these numbers: row by row, or (WINDOWS) the four of a window side by side."""
    if WINDOWS:
        window = number // 4
        row, column = window // (W // 2) % (H // 2) * 2 + number % 4 // 2, window % (W // 2) * 2 + number % 2
        picture = window // (H // 2 * (W // 2))
    else:
        row, column = number // W % H, number % W
        picture = number // (H * W)
    return picture, row, column


@triton.jit
def _patches(
    x, picture, row, column, b, start, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, PARTS: tl.constexpr, WINDOWS: tl.constexpr,
):  # fmt: skip
    """Parts start, start + 1 … of the patches around pixels, (PIXELS, PARTS); outside of a picture, and behind the last, zeros.

    WINDOWS: how x lies in memory.
    """
    part = start + tl.arange(0, PARTS)[None, :]
    place = part // C
    if C % PARTS == 0:
        place = start // C  # one for all: known to be so, numbers are read together
    picture, row, column = picture[:, None], row[:, None] + place // KW - KH // 2, column[:, None] + place % KW - KW // 2
    if WINDOWS:
        inside = (row >= 0) & (row < H // 2 * 2) & (column >= 0) & (column < W // 2 * 2)
        number = ((picture * (H // 2) + row // 2) * (W // 2) + column // 2) * 4 + row % 2 * 2 + column % 2
    else:
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
        number = (picture * H + row) * W + column
    return tl.load(x + number * C + part % C, mask=inside & (picture < b) & (part < KH * KW * C), other=0.0)


@triton.jit
def _convolve(
    x, weight, bias, out, largest, b, size, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, KH: tl.constexpr,
    KW: tl.constexpr, N: tl.constexpr, FILTERS: tl.constexpr, POOLED: tl.constexpr, WINDOWS: tl.constexpr,
    PRECISION: tl.constexpr, PIXELS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """out of pictures x (k, size) and filters `weight` (k, KH * KW * C, N): (k, pixels, N), or (POOLED) the largest of each
    window, (k, windows, N), and which of the four it is.
    """
    LENGTH: tl.constexpr = KH * KW * C
    model = tl.program_id(1).to(tl.int64)
    x += model * size
    weight += model * LENGTH * N
    picture, row, column = _place(tl.program_id(0) * PIXELS + tl.arange(0, PIXELS), H, W, POOLED)
    filters = tl.arange(0, FILTERS)[None, :]
    total = tl.zeros((PIXELS, FILTERS), tl.float32)
    for start in range(0, LENGTH, PARTS):
        part = start + tl.arange(0, PARTS)[:, None]
        weights = tl.load(weight + part * N + filters, mask=(part < LENGTH) & (filters < N), other=0.0)
        patches = _patches(x, picture, row, column, b, start, H, W, C, KH, KW, PARTS, WINDOWS)
        total = tl.dot(patches, weights, total, input_precision=PRECISION)
    if bias is not None:
        total += tl.load(bias + model * N + filters, mask=filters < N, other=0.0)
    if POOLED:
        total, which = tl.max(total.reshape(PIXELS // 4, 4, FILTERS), 1, return_indices=True)
        number = tl.program_id(0) * (PIXELS // 4) + tl.arange(0, PIXELS // 4)[:, None]
        n_numbers = b * (H // 2) * (W // 2)
        place = (model * n_numbers + number) * N + filters
        tl.store(largest + place, which.to(tl.int8), mask=(number < n_numbers) & (filters < N))
    else:
        number = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)[:, None]
        n_numbers = b * H * W
        place = (model * n_numbers + number) * N + filters
    tl.store(out + place, total.to(out.dtype.element_ty), mask=(number < n_numbers) & (filters < N))


@triton.jit
def _weight_slopes(
    x, slope, out, b, n_pixels, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr,
    N: tl.constexpr, FILTERS: tl.constexpr, WINDOWS: tl.constexpr, PRECISION: tl.constexpr, PIXELS: tl.constexpr,
    PARTS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """out (k, spans, KH * KW * C, N): what SPAN pixels each add to the gradient by the filters; slope (k, n_pixels, N)."""
    LENGTH: tl.constexpr = KH * KW * C
    model = tl.program_id(2).to(tl.int64)
    x += model * b * H * W * C
    slope += model * n_pixels * N
    start = tl.program_id(0) * PARTS
    filters = tl.arange(0, FILTERS)[None, :]
    total = tl.zeros((PARTS, FILTERS), tl.float32)
    for first in range(0, SPAN, PIXELS):
        number = tl.program_id(1) * SPAN + first + tl.arange(0, PIXELS)
        slopes = tl.load(slope + number[:, None] * N + filters, mask=(number[:, None] < n_pixels) & (filters < N), other=0.0)
        picture, row, column = _place(number, H, W, WINDOWS)
        patches = _patches(x, picture, row, column, b, start, H, W, C, KH, KW, PARTS, False)
        total = tl.dot(tl.trans(patches), slopes, total, input_precision=PRECISION)
    part = start + tl.arange(0, PARTS)[:, None]
    place = out + (model * tl.num_programs(1) + tl.program_id(1)) * LENGTH * N + part * N + filters
    tl.store(place, total, mask=(part < LENGTH) & (filters < N))


class _Convolution(torch.autograd.Function):
    @staticmethod
    @custom_fwd(device_type="cuda", cast_inputs=torch.bfloat16)
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, pooled: bool) -> Tensor:
        ctx.channels = x.shape[2]
        more = -x.shape[2] % _TOGETHER
        pictures = F.pad(x.permute(0, 1, 3, 4, 2), (0, more)).contiguous()
        filters = F.pad(weight.permute(0, 3, 4, 2, 1), (0, 0, 0, more)).contiguous()
        out, largest = _products(pictures, filters, bias, pooled)
        ctx.save_for_backward(pictures, filters, largest)
        return out.permute(0, 1, 4, 2, 3)

    @staticmethod
    @custom_bwd(device_type="cuda")
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        pictures, filters, largest = ctx.saved_tensors
        slope = slopes[0].permute(0, 1, 3, 4, 2).contiguous()
        by_bias = slope.sum((1, 2, 3), dtype=torch.float32) if ctx.needs_input_grad[2] else None
        if largest is not None:
            number = torch.arange(4, dtype=torch.int8, device=slope.device)[:, None]
            slope = torch.where(largest.unsqueeze(4) == number, slope.unsqueeze(4), slope.new_zeros(()))
        below = None
        if ctx.needs_input_grad[0]:
            turned = filters.flip(1, 2).transpose(3, 4).contiguous()
            below = _products(slope, turned, None, False, pictures.shape[2:4])[0][..., : ctx.channels].permute(0, 1, 4, 2, 3)
        by_filters = _slopes(pictures, slope, filters.shape[1:3])[..., : ctx.channels, :].permute(0, 4, 3, 1, 2)
        return below, by_filters, by_bias, None


def convolution(weight: Tensor, bias: Tensor | None, pooled: bool, x: Tensor) -> Tensor:
    """Pictures x (k, b, c, h, w) convolved by their network's filters, weight (k, n, c, kh, kw), bias (k, n): (k, b, n, h, w).

    kh and kw are odd, and pictures keep their size; all outside of them is zero. pooled: what comes out is the largest of each
    2 x 2 pixels, (k, b, n, h // 2, w // 2). In bfloat16 under autocast, sums in float32.
    """
    return _Convolution.apply(x, weight, bias, pooled)


def _products(
    pictures: Tensor, filters: Tensor, bias: Tensor | None, pooled: bool, size: torch.Size | None = None
) -> tuple[Tensor, Tensor | None]:
    """(k, b, h, w, n) of pictures (k, b, h, w, c), filters (k, kh, kw, c, n) and bias (k, n); if pooled, the largest of each
    window, and which it is (int8).

    size: height and width of pictures that are given as windows, (k, b, h // 2, w // 2, 4, c).
    """
    k, b = pictures.shape[:2]
    height, width = size or pictures.shape[2:4]
    *kernel, c, n = filters.shape[1:]
    shape = (k, b, height // 2, width // 2, n) if pooled else (k, b, height, width, n)
    out, largest = pictures.new_empty(shape), pictures.new_empty(shape, dtype=torch.int8) if pooled else None
    n_pixels = b * (height // 2) * (width // 2) * 4 if pooled else b * height * width
    settings = (_padded(n), pooled, pictures.ndim == 6, _precision(pictures), _PIXELS, _PARTS)
    _convolve[triton.cdiv(n_pixels, _PIXELS), k](
        pictures, filters, bias, out, largest, b, pictures[0].numel(), height, width, c, *kernel, n, *settings,
        num_warps=_WARPS,
    )  # fmt: skip
    return out, largest


def _slopes(pictures: Tensor, slope: Tensor, kernel: torch.Size) -> Tensor:
    """Gradient by filters, float32 (k, kh, kw, c, n), of slope (k, b, h, w, n) or, as windows, (k, b, h // 2, w // 2, 4, n).

    How the sums over pixels are split does not depend on k.
    """
    k, b, height, width, c = pictures.shape
    n, n_pixels = slope.shape[-1], slope[0].numel() // slope.shape[-1]
    out = pictures.new_empty(k, triton.cdiv(n_pixels, _SPAN), *kernel, c, n, dtype=torch.float32)
    grid = (triton.cdiv(kernel[0] * kernel[1] * c, _PARTS_OF_SLOPES), out.shape[1], k)
    settings = (_padded(n), slope.ndim == 6, _precision(pictures), _PIXELS, _PARTS_OF_SLOPES, _SPAN)
    _weight_slopes[grid](pictures, slope, out, b, n_pixels, height, width, c, *kernel, n, *settings, num_warps=_WARPS)
    return out.sum(1)


def _padded(n: int) -> int:
    return max(16, triton.next_power_of_2(n))


def _precision(x: Tensor) -> str:
    """Of products of float32: its own, never that of TF32."""
    return "ieee" if x.dtype == torch.float32 else "tf32"
