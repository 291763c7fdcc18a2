"""The black box around a torch module: all that an attacker sees of a model."""

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mialib.core import checks
from mialib.core.frames import Encoder, is_frame
from mialib.core.types import BlackBox
from mialib.training.networks import Records, pooled_first
from mialib.training.sparse import SPARSE_IN_ANSWERS, SparseBits, is_sparse

OUTPUTS = ("logits", "probabilities")
NUMBERS_A_CORE = 2**18  # of records queried together: what a layer makes of them should stay in a core's cache
NUMBERS_A_GPU = 2**24  # about a gigabyte of what a convolution makes of them


class TorchBlackBox:
    """A trained torch module behind `predict_proba`. Made by `black_box`."""

    outputs = "logits"

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

    def _logits(self, x: np.ndarray) -> Tensor:
        logits = self._outputs(x)
        if len(logits) and _are_probabilities(logits):
            raise ValueError(
                "module must return logits, got rows that are probabilities already: leave out its last softmax, or say "
                "outputs='probabilities'"
            )
        return logits

    @torch.inference_mode()
    def _outputs(self, x: np.ndarray) -> Tensor:
        device = next((p.device for p in self._module.parameters()), torch.device("cpu"))
        if device.type == "cpu" and self._reads_bits(x) and is_sparse(x, SPARSE_IN_ANSWERS):
            outputs = self._logits_by_ones(SparseBits(x))
        else:
            outputs = torch.cat([self._module(part.to(device).float()).float() for part in _parts(x, device)])
        if outputs.ndim != 2:
            raise ValueError(f"module must return {self.outputs} of shape (n, n_classes), got {tuple(outputs.shape)}")
        return outputs

    def _reads_bits(self, x: np.ndarray) -> bool:
        """Whether the module is one of ours that begins with a linear layer on records such as x."""
        first = list(self._module.children())[:2] if type(self._module) is nn.Sequential else []
        return [type(layer) for layer in first] == [Records, nn.Linear] and cast(nn.Linear, first[1]).in_features == x[:1].size

    def _logits_by_ones(self, records: SparseBits) -> Tensor:
        """The module's logits; the first layer adds up the weights of a record's ones alone."""
        layers = list(self._module.children())
        linear = cast(nn.Linear, layers[1])
        out = F.embedding_bag(records.features, linear.weight.T.contiguous(), records.starts, mode="sum")
        out = out if linear.bias is None else out.add_(linear.bias)
        for layer in layers[2:]:
            out = layer(out)
        return out


class ProbabilitiesBlackBox(TorchBlackBox):
    """The same of a module that ends in a softmax. Made by `black_box`."""

    outputs = "probabilities"
    predict_log_proba = None  # type: ignore[assignment]  # what a softmax rounded is lost

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """The module's probabilities, float32 (n, n_classes); ValueError for others."""
        outputs = self._outputs(x)
        if len(outputs) and not _are_probabilities(outputs):
            low, high = float(outputs.min()), float(outputs.max())
            raise ValueError(
                f"module must return probabilities, rows in 0..1 that sum to one within 1e-3, got {low:.4g}..{high:.4g}: for "
                "logits say outputs='logits'"
            )
        return outputs.clip(0, 1).cpu().numpy()


class EncodedBlackBox:
    """A model of the numbers that a table was encoded as, which answers about the table's rows."""

    def __init__(self, model: TorchBlackBox, encoder: Encoder) -> None:
        self._model, self._encoder = model, encoder

    def predict_proba(self, x: Any) -> np.ndarray:
        """Prediction vectors, float32 (n, n_classes), of rows of a table, or of encoded ones."""
        return self._model.predict_proba(self._encoded(x))

    def predict_log_proba(self, x: Any) -> np.ndarray:
        """Log of `predict_proba`."""
        return self._model.predict_log_proba(self._encoded(x))

    def _encoded(self, x: Any) -> np.ndarray:
        return self._encoder.encode(x) if is_frame(x) else x


def module_of(model: BlackBox) -> nn.Module:
    """The torch module behind a black box, from records (n, ...) as float32 to logits: what a white-box attacker has.

    In evaluation mode; its weights are the model's own, not copies. TypeError for a model that shows answers alone.
    """
    inner = model._model if isinstance(model, EncodedBlackBox) else model
    if type(inner) is not TorchBlackBox:
        what = "answers probabilities, not logits" if isinstance(inner, ProbabilitiesBlackBox) else "shows no gradients"
        raise TypeError(
            "model must be a network of a trainer or mialib.black_box(module), so that an attack sees inside, got a "
            f"{type(model).__name__}, which {what}"
        )
    return inner._module


def _are_probabilities(outputs: Tensor) -> bool:
    return bool((outputs >= -1e-6).all()) and bool(((outputs.sum(1) - 1).abs() < 1e-3).all())


def _parts(x: np.ndarray, device: torch.device) -> list[Tensor]:
    """Records in parts that all cores, or a GPU, work on together; at least one part."""
    most = NUMBERS_A_CORE * torch.get_num_threads() if device.type == "cpu" else NUMBERS_A_GPU
    return list(torch.as_tensor(np.ascontiguousarray(x)).split(max(1, most // max(1, x[:1].size))))


def black_box(module: nn.Module, outputs: str = "logits") -> BlackBox:
    """Wrap a trained torch module, which maps float32 records (n, ...) to outputs (n, n_classes), as a `BlackBox`.

    outputs: "logits", or "probabilities" of a module that ends in a softmax; one that answers the other is refused at its first
    query. The module is put into evaluation mode and queried on the device where it lives. Raises TypeError or ValueError.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {module!r:.80}")
    checks.choice("outputs", outputs, OUTPUTS)
    return TorchBlackBox(module) if outputs == "logits" else ProbabilitiesBlackBox(module)
