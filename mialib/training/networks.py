"""Target and shadow networks as factories, and the black box: all that an attacker sees of a model.

The networks take raw records as `Dataset.x` holds them: casting, scaling and channel order live in their first layer.
They return logits; softmax belongs to the loss while training, and to the black box afterwards.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from mialib.core import checks


class Records(nn.Module):
    """First layer for tables and bits: any shape (n, ...) of any number type to float32 (n, d)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).float()


class Pixels(nn.Module):
    """First layer for images: uint8 0..255 (n, h, w[, c]) to float32 (n, c, h, w) in [low, 1]."""

    def __init__(self, low: float = -1.0) -> None:
        super().__init__()
        self.low = low

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1) if x.ndim == 3 else x
        return x.permute(0, 3, 1, 2).float() * ((1 - self.low) / 255) + self.low

    def extra_repr(self) -> str:
        return f"low={self.low:g}"


def mlp(n_features: int, n_classes: int, hidden: int = 128, *, pixels: bool = False, dropout: float = 0.0) -> nn.Module:
    """One hidden layer of Tanh units (Sec. VI-C: 128 for Purchase; Table III: 256 and 1,000). Takes (n, n_features), gives
    logits.

    pixels: records are images (n, h, w[, c]) of n_features numbers in all, scaled as by `Pixels`. dropout: the share of hidden
    units, 0 or more and below 1, left out of each training step (Sec. VIII names it, unmeasured).
    """
    checks.whole("n_features", n_features, 1)
    checks.whole("n_classes", n_classes, 2)
    checks.whole("hidden", hidden, 1)
    first = [Pixels(), nn.Flatten()] if pixels else [Records()]
    layers = [nn.Linear(n_features, hidden), nn.Tanh(), *_dropout(dropout), nn.Linear(hidden, n_classes)]
    return nn.Sequential(*first, *layers)


def cnn(
    in_shape: Sequence[int], n_classes: int, channels: int = 32, kernel: int = 5, *, dropout: float = 0.0, low: float = -1.0
) -> nn.Module:
    """Two blocks of convolution, Tanh and max-pooling, a layer of 128 Tanh units (Sec. VI-C). Takes (n, h, w[, c]) uint8,
    gives logits.

    The paper states neither the filter counts nor their sizes nor how pixels are scaled: 32, 5 x 5 and [-1, 1] are our choice.
    dropout: as in `mlp`, of the 128. low: pixels are scaled to [low, 1].
    """
    if len(in_shape) not in (2, 3) or min(in_shape) < 1 or min(in_shape[:2]) < 4:
        raise ValueError(f"in_shape must be (h, w) or (h, w, channels) with h, w >= 4, got {tuple(in_shape)}")
    checks.whole("n_classes", n_classes, 2)
    checks.whole("channels", channels, 1)
    if checks.whole("kernel", kernel, 1) % 2 == 0:
        raise ValueError(f"kernel must be odd, so that a convolution keeps the size of the image, got {kernel}")
    checks.real("low", low, -1, 0)
    height, width, depth = (*in_shape, 1)[:3]
    return nn.Sequential(
        Pixels(low),
        nn.Conv2d(depth, channels, kernel, padding=kernel // 2),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * (height // 4) * (width // 4), 128),
        nn.Tanh(),
        *_dropout(dropout),
        nn.Linear(128, n_classes),
    )


def pooled_first(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The named layers of a sequence, max-pooling before the activation that it follows: activations keep order, so this
    gives the same from fewer numbers.
    """
    layers = list(module.named_children())
    for i, ((_, first), (_, second)) in enumerate(pairwise(layers)):
        if isinstance(first, nn.Tanh | nn.ReLU) and isinstance(second, nn.MaxPool2d):
            layers[i], layers[i + 1] = layers[i + 1], layers[i]
    return layers


def _dropout(share: float) -> list[nn.Module]:
    """No layer for 0, so that a network without dropout is the one that it always was."""
    if checks.real("dropout", share, 0) >= 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {share}")
    return [nn.Dropout(share)] if share else []
