"""A model in ONNX as a black box: the graph's inputs are filled from arrays or DataFrames, its outputs are probabilities."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mialib.audit.onnx_labels import graph_labels
from mialib.core import checks
from mialib.core.extras import extra

INPUT_TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.str_,
}
_VECTORS, _NAMED, _LABELS = "vectors", "a probability by the name of each class", "labels alone"  # what outputs hold
_PART = 1024  # records asked at once: what a picture network makes of them must fit into memory
_ONE = 1e-3  # by which probabilities may miss a sum of one


class OnnxModel:
    """A graph that onnxruntime runs on CPU cores. Made by `load_model`.

    One input takes arrays (n, ...), or DataFrames of one type of column; several take a column each, found by its name in a
    DataFrame (as it is, or with _ for what no identifier may hold, as skl2onnx writes it), by its place in an array. classes_:
    the labels of the answers' columns, where the graph has them, else None.
    """

    def __init__(self, path: Path, outputs: str) -> None:
        with extra("audit"):
            import onnxruntime  # late: optional
        self.path, self.outputs = path, outputs
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4  # errors are raised: they need not be printed, too
        try:
            self._session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
            self.classes_ = graph_labels(path.read_bytes())
        except Exception as error:  # onnxruntime's own errors have no other class in common
            raise ValueError(f"{path} cannot be read as ONNX, damaged? {error}") from error
        self._inputs = self._session.get_inputs()
        if strange := [f"{each.name}: {each.type}" for each in self._inputs if each.type not in INPUT_TYPES]:
            raise ValueError(f"{path} must take {', '.join(INPUT_TYPES)}, got {', '.join(strange)}")
        self._output, self._kind = self._answering()
        if self._kind != _VECTORS and outputs == "logits":
            raise ValueError(f"outputs must be 'probabilities': {path} answers {self._kind}, got 'logits'")

    def predict_proba(self, x: Any) -> np.ndarray:
        """Prediction vectors float32 (n, n_classes) for records x, or labels (n,) of a graph that answers no more; ValueError
        where it cannot take x, or answers others.
        """
        if not len(x):
            raise ValueError("x must hold at least one record, got none")
        answers = np.concatenate([self._answer(part, count) for part, count in self._parts(self._feeds(x), len(x))])
        if self._kind == _LABELS:
            return answers.reshape(len(answers))
        if answers.ndim != 2 or answers.shape[1] < 2:
            raise ValueError(f"{self.path} must answer a probability for each class, got answers of shape {answers.shape}")
        if self.outputs == "logits":
            powers = np.exp(answers - answers.max(1, keepdims=True), dtype=np.float64)
            answers = powers / powers.sum(1, keepdims=True)
        elif not np.abs(answers.sum(1, dtype=np.float64) - 1).max() <= _ONE:
            raise ValueError(
                f"{self.path} must answer probabilities, got rows that do not sum to one, such as "
                f"{np.round(answers[0][:5], 4).tolist()}: if these are logits, say outputs='logits'"
            )
        return answers.astype(np.float32)

    def _answering(self) -> tuple[str, str]:
        """The output that answers, and what it holds for a record."""
        outputs = self._session.get_outputs()
        found = [each for each in outputs if each.type.startswith(("seq(map(", "tensor(float", "tensor(double"))]
        if len(found) > 1:
            found = [each for each in found if "prob" in each.name.lower()] or found
        if not found and len(outputs) == 1 and outputs[0].type in ("tensor(string)", "tensor(int64)"):
            return outputs[0].name, _LABELS
        if len(found) != 1:
            told = ", ".join(f"{each.name}: {each.type}" for each in outputs)
            raise ValueError(f"{self.path} must have one output of probabilities, a vector or a dict a record, got {told}")
        return found[0].name, _NAMED if found[0].type.startswith("seq") else _VECTORS

    def _run(self, feeds: dict[str, np.ndarray]) -> Any:
        try:
            return self._session.run([self._output], feeds)[0]
        except Exception as error:
            takes = ", ".join(f"{each.name}: {each.type} of shape {each.shape}" for each in self._inputs)
            given = ", ".join(f"{name}: shape {value.shape}" for name, value in feeds.items())
            raise ValueError(f"{self.path} takes {takes}; it cannot answer about {given}: {error}") from error

    def _answer(self, feeds: dict[str, np.ndarray], count: int) -> np.ndarray:
        found = self._run(feeds)
        if self._kind == _NAMED:
            self.classes_ = self.classes_ or [*found[0]]
            found = np.array([[row[name] for name in self.classes_] for row in found], np.float32)
        return found[:count]

    def _parts(self, feeds: dict[str, np.ndarray], n: int) -> Iterator[tuple[dict[str, np.ndarray], int]]:
        """Records in parts, and how many count; where the graph takes a fixed number, the last part repeats its last record."""
        fixed = self._inputs[0].shape[0] if self._inputs[0].shape else None
        size = fixed if isinstance(fixed, int) and fixed > 0 else _PART
        for start in range(0, n, size):
            stop = min(start + size, n)
            rows = np.arange(start, stop if size == _PART else start + size).clip(max=n - 1)
            yield {name: values[rows] for name, values in feeds.items()}, stop - start

    def _feeds(self, x: Any) -> dict[str, np.ndarray]:
        frame = x if isinstance(x, pd.DataFrame) else None
        if len(self._inputs) == 1:
            (each,) = self._inputs
            what = "x" if frame is None else f"columns {', '.join(map(str, frame.columns[:5]))} …"
            return {each.name: _cast(x.to_numpy() if frame is not None else checks.array("x", x), each.type, what)}
        columns = self._by_place(x) if frame is None else self._by_name(frame)
        feeds = {}
        for each, values in zip(self._inputs, columns):
            cast = _cast(values, each.type, f"column {each.name}")
            feeds[each.name] = cast[:, None] if len(each.shape) == 2 else cast
        return feeds

    def _by_place(self, x: Any) -> list[np.ndarray]:
        x = checks.array("x", x)
        if x.ndim != 2 or x.shape[1] != len(self._inputs):
            names = ", ".join(each.name for each in self._inputs)
            raise ValueError(f"x must have a column for each input of {self.path} ({names}), got {checks.kind(x)}")
        return [*x.T]

    def _by_name(self, frame: pd.DataFrame) -> list[np.ndarray]:
        plain = {re.sub(r"\W", "_", str(column)): column for column in frame}
        plain |= {str(column): column for column in frame}
        if missing := [each.name for each in self._inputs if each.name not in plain]:
            there = ", ".join(map(str, frame.columns))
            raise ValueError(f"x must have the columns {', '.join(missing)}, which {self.path} takes, got {there}")
        return [frame[plain[each.name]].to_numpy() for each in self._inputs]


def _cast(values: np.ndarray, kind: str, what: str) -> np.ndarray:
    """Values as an input takes them; ValueError where that would lose or make up something."""
    wanted = INPUT_TYPES[kind]
    if wanted is np.str_:
        strange = [value for value in values.ravel().tolist() if not isinstance(value, str)]
        if strange:
            raise ValueError(f"{what} must be text, which the model takes, got {strange[0]!r}")
        return values.astype(object)
    try:
        numbers = np.asarray(values, values.dtype if values.dtype.kind in "biuf" else np.float64)
        with np.errstate(invalid="ignore"):
            cast = numbers.astype(wanted)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} must be numbers, which the model takes: {error}") from error
    if np.dtype(wanted).kind != "f" and (cast != numbers).any():
        raise ValueError(f"{what} must be {kind}, which the model takes, got {numbers[cast != numbers][0]}")
    return cast
