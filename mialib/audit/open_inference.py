"""The Open Inference Protocol v2, as KServe, Triton and MLServer speak it."""

import logging
from collections.abc import Callable
from itertools import chain
from math import prod
from typing import Any
from urllib.parse import quote

import numpy as np

from mialib.audit.connection import BadAnswer, Reply
from mialib.audit.payloads import Payload
from mialib.audit.protocols import Post, check_count, decoded_answers

log = logging.getLogger(__name__)

PREFERRED_OUTPUT = "predict_proba"  # what MLServer's scikit-learn runtime calls it, which answers labels if not asked for it
ARRAY_INPUT = "predict"


class OpenInference:
    """Asks for the output predict_proba; of a service that has none, once, for what it gives by default, and says so."""

    def __init__(self, model: str) -> None:
        self.about = f"v2/models/{quote(model, safe='')}"
        self.path = f"{self.about}/infer"
        self.model = model
        self.version: str | None = None
        self.names: list[str] | None = None
        self.platform: str | None = None
        self.seen: list[str] = []  # outputs that came
        self._input: dict[str, Any] = {}  # the one input that the metadata lists
        self._asks, self._output = True, PREFERRED_OUTPUT
        self._settled = False

    def start(self, get: Callable[[str, str], Reply]) -> None:
        """Ask whether the server is ready, and for the model's metadata."""
        for path, what in (("v2/health/ready", "its readiness"), (self.about, f"the metadata of model {self.model}")):
            reply = get(path, what).checked()
        about = reply.json()
        if not isinstance(about, dict):
            raise BadAnswer(f"expected {what}, got {str(about)[:100]}")
        self.platform = str(about.get("platform") or "") or None
        inputs = about.get("inputs")
        if isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict):
            self._input = inputs[0]

    def ask(self, records: Payload, post: Post) -> np.ndarray:
        """The answers to records; the first time perhaps asked for twice, for another output."""
        body = self._body(records)
        reply = post(body | {"outputs": [{"name": PREFERRED_OUTPUT}]} if self._asks else body)
        refused = not self._settled and not reply.ok and any(word in reply.text for word in ("output", PREFERRED_OUTPUT))
        if refused:
            reply = post(body)
        outputs = self._outputs(reply.checked().json())
        output = self._chosen(outputs)
        answers = self._read(output, len(records))
        self._settle(outputs, str(output["name"]), not refused)
        return answers

    def describe(self) -> dict[str, Any]:
        """Platform, outputs seen, the one used, and whether it is the one that was wanted."""
        found: dict[str, Any] = {"platform": self.platform, "outputs": list(self.seen)}
        if self._settled:
            found |= {"output": self._output, "fell_back": self._output != PREFERRED_OUTPUT}
        return found

    def _body(self, records: Payload) -> dict[str, Any]:
        if records.array is None:
            inputs = [_column(name, records.datatypes[name], cells) for name, cells in records.columns.items()]
            return {"parameters": {"content_type": "pd"}, "inputs": inputs}  # MLServer: a table, column by column
        declared = str(self._input.get("datatype", ""))
        numbers = records.array.dtype.kind in "biuf"
        datatype = declared if numbers and declared.startswith("FP") else records.datatype
        name = str(self._input.get("name", ARRAY_INPUT))
        shape = list(records.array.shape)
        return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": records.flat()}]}

    def _outputs(self, answer: Any) -> list[dict[str, Any]]:
        outputs = answer.get("outputs") if isinstance(answer, dict) else None
        if not isinstance(outputs, list) or not outputs or not all(isinstance(o, dict) and "name" in o for o in outputs):
            raise BadAnswer(f"expected outputs with names, got {str(answer)[:100]}")
        version = answer.get("model_version")
        if version is not None:
            if self.version is not None and str(version) != self.version:
                raise BadAnswer(f"model_version changed from {self.version} to {version} in mid-audit: these are two models")
            self.version = str(version)
        return outputs

    def _chosen(self, outputs: list[dict[str, Any]]) -> dict[str, Any]:
        """The output that is wanted, or was used so far; at first, else, one of several numbers a record, or the first one."""
        by_name = {str(output["name"]): output for output in outputs}
        if self._output in by_name:
            return by_name[self._output]
        if self._settled:
            raise BadAnswer(f"the output {self._output} came before, and now {', '.join(by_name)}")
        wide = [o for o in outputs if o.get("datatype") != "BYTES" and prod((o.get("shape") or [0])[1:]) > 1]
        return (wide or outputs)[0]

    def _read(self, output: dict[str, Any], n: int) -> np.ndarray:
        data, shape = output.get("data"), output.get("shape")
        while isinstance(data, list) and data and isinstance(data[0], list):
            data = list(chain.from_iterable(data))
        if not isinstance(shape, list) or not shape or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise BadAnswer(f"expected a shape with output {output['name']}, got {str(shape)[:100]}")
        if not isinstance(data, list) or len(data) != prod(shape):
            came = f"{len(data)} values" if isinstance(data, list) else "none"
            raise BadAnswer(f"output {output['name']} of shape {shape} must hold {prod(shape)} values, got {came}")
        width = prod(shape[1:])
        rows = [data[i * width : (i + 1) * width] for i in range(shape[0])]
        check_count(rows, n)
        return decoded_answers(rows)

    def _settle(self, outputs: list[dict[str, Any]], chosen: str, asks: bool) -> None:
        self.seen += [name for output in outputs if (name := str(output["name"])) not in self.seen]
        if self._settled:
            return
        self._settled, self._output, self._asks = True, chosen, asks
        if chosen != PREFERRED_OUTPUT:
            log.warning("model %s has no output %s: its output %s is used", self.model, PREFERRED_OUTPUT, chosen)


def _column(name: str, datatype: str, cells: list[Any]) -> dict[str, Any]:
    text = {"parameters": {"content_type": "str"}} if datatype == "BYTES" else {}
    return {"name": name, "shape": [len(cells), 1], "datatype": datatype, "data": cells} | text
