"""A model of one's own as a service on this machine, to see what an audit over HTTP finds before anybody is given access."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.core import checks


@contextmanager
def serve(model: Any, name: str = "model", *, labels: bool = False, decimals: int | None = None) -> Iterator[str]:
    """While the block lasts, `model` answers at the URL that the block is given, in the Open Inference Protocol v2, as `name`.

    model: has predict_proba, of arrays (n, ...) or of DataFrames. labels: answer its label alone (of `classes_`, else the
    class's number), whatever is asked for. decimals: round its probabilities. On a free port of 127.0.0.1, which this machine
    alone reaches. It has no passwords and no limits: a service for trials, no other. A request that the model cannot answer
    gets status 400, with the error. Raises TypeError or ValueError.
    """
    if not callable(getattr(model, "predict_proba", None)):
        raise TypeError(f"model must have predict_proba (a torch module: black_box(module)), got a {type(model).__name__}")
    checks.flag("labels", labels)
    if decimals is not None:
        checks.whole("decimals", decimals, 1)

    class Handler(_Handler):
        service = _Service(model, name, labels, decimals)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Service(NamedTuple):
    """What is served, and how."""

    model: Any
    name: str
    labels: bool
    decimals: int | None

    def about(self, path: str) -> Any:
        """What is known of a path; None of one that there is not."""
        if path == "/v2/health/ready":
            return {"ready": True}
        known = {"name": self.name, "platform": "mialib", "inputs": [], "outputs": []}
        return known if path == f"/v2/models/{self.name}" else None

    def infer(self, body: Any) -> Any:
        """What the model answers to the records of a request."""
        output = _output(np.asarray(self.model.predict_proba(_records(body)), np.float64), self)
        return {"model_name": self.name, "model_version": "1", "outputs": [output]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: no waiting for acknowledgements
    disable_nagle_algorithm = True
    timeout = 60  # of a connection that is kept open and says nothing
    service: _Service

    def log_message(self, *_: Any) -> None:
        """Nothing: an audit asks thousands of times."""

    def do_GET(self) -> None:
        found = self.service.about(self.path)
        self._say(404 if found is None else 200, {"error": f"nothing at {self.path}"} if found is None else found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != f"/v2/models/{self.service.name}/infer":
            return self._say(404, {"error": f"nothing at {self.path}"})
        try:
            said = 200, self.service.infer(json.loads(body))
        except Exception as error:  # whatever the model raises: the caller is told, and the service goes on
            said = 400, {"error": f"{type(error).__name__}: {error}"}
        return self._say(*said)

    def _say(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _records(body: Any) -> Any:
    """A table, column by column, or an array."""
    inputs = body["inputs"]
    if body.get("parameters", {}).get("content_type") == "pd":
        return pd.DataFrame({each["name"]: each["data"] for each in inputs})
    kinds = {"FP16": "float16", "FP32": "float32", "FP64": "float64", "BOOL": "bool", "BYTES": "object"}
    (tensor,) = inputs
    datatype = str(tensor["datatype"])
    return np.array(tensor["data"], kinds.get(datatype, datatype.lower())).reshape(tensor["shape"])


def _output(probabilities: np.ndarray, service: _Service) -> dict[str, Any]:
    """Probabilities (n, n_classes) as the service shows them."""
    if not service.labels:
        shown = probabilities if service.decimals is None else probabilities.round(service.decimals)
        return {"name": "predict_proba", "shape": list(shown.shape), "datatype": "FP64", "data": shown.ravel().tolist()}
    classes = np.asarray(getattr(service.model, "classes_", np.arange(probabilities.shape[1])))
    best = classes[probabilities.argmax(1)].tolist()
    whole = isinstance(best[0], int)
    data = best if whole else [*map(str, best)]
    return {"name": "predict", "shape": [len(best), 1], "datatype": "INT64" if whole else "BYTES", "data": data}
