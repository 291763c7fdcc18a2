"""The black box around a torch module: all that an attacker sees of a model."""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mialib.training.networks import Records, pooled_first
from mialib.training.sparse import SparseBits, is_sparse

NUMBERS_A_CORE = 2**18  # of records queried together: what a layer makes of them should stay in a core's cache
NUMBERS_A_GPU = 2**24  # about a gigabyte of what a convolution makes of them


class TorchBlackBox:
    """A trained torch module behind `predict_proba`. Made by `black_box`."""

    def __init__(self, module: nn.Module) -> None:
        module.eval()
        plain = type(module) is nn.Sequential
        self._module = nn.Sequential(*(layer for _, layer in pooled_first(module))).eval() if plain else module

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Softmax of the module's logits, float32 (n, n_classes), for records x (n, ...), handed over as float32 in parts."""
        return self._logits(x).softmax(1).cpu().numpy()

    def predict_log_proba(self, x: np.ndarray) -> np.ndarray:
        """Log of `predict_proba`, float32 (n, n_classes): nothing underflows."""
        return self._logits(x).log_softmax(1).cpu().numpy()

    @torch.inference_mode()
    def _logits(self, x: np.ndarray) -> Tensor:
        device = next((p.device for p in self._module.parameters()), torch.device("cpu"))
        if device.type == "cpu" and self._reads_bits(x) and is_sparse(x):
            logits = self._logits_by_ones(SparseBits(x))
        else:
            logits = torch.cat([self._module(part.to(device).float()).float() for part in _parts(x, device)])
        if logits.ndim != 2:
            raise ValueError(f"module must return logits of shape (n, n_classes), got {tuple(logits.shape)}")
        if len(logits) and bool((logits >= 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-3).all()):
            raise ValueError("module must return logits, got rows that are probabilities already: leave out its last softmax")
        return logits

    def _reads_bits(self, x: np.ndarray) -> bool:
        """Whether the module is one of ours that begins with a linear layer on records such as x."""
        first = list(self._module.children())[:2] if type(self._module) is nn.Sequential else []
        return [type(layer) for layer in first] == [Records, nn.Linear] and cast(nn.Linear, first[1]).in_features == x[:1].size

    def _logits_by_ones(self, records: SparseBits) -> Tensor:
        """The module's logits; the first layer adds up the weights of a record's ones alone."""
        layers = list(self._module.children())
        linear = cast(nn.Linear, layers[1])
        starts = torch.cat([records.ends.new_zeros(1), records.ends[:-1]])
        out = F.embedding_bag(records.features, linear.weight.T.contiguous(), starts, mode="sum")
        out = out if linear.bias is None else out.add_(linear.bias)
        for layer in layers[2:]:
            out = layer(out)
        return out


def _parts(x: np.ndarray, device: torch.device) -> list[Tensor]:
    """Records in parts that all cores, or a GPU, work on together; at least one part."""
    most = NUMBERS_A_CORE * torch.get_num_threads() if device.type == "cpu" else NUMBERS_A_GPU
    return list(torch.as_tensor(np.ascontiguousarray(x)).split(max(1, most // max(1, x[:1].size))))


def black_box(module: nn.Module) -> TorchBlackBox:
    """Wrap a trained torch module, which maps float32 records (n, ...) to logits (n, n_classes), as a `BlackBox`.

    The module is put into evaluation mode and queried on the device where it lives. A module that ends in a softmax is
    refused at its first query: a second softmax would flatten its answers.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r:.80}")
    return TorchBlackBox(module)
