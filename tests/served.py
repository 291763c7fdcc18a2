"""A model served over HTTP from the test process, in three protocols, with the faults that services have."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd

ENDPOINTS = {"mlflow": "/invocations", "template": "/score"}
TEMPLATE = {"request": {"rows": "{{records}}", "explain": False}, "answers": "result.answers"}


class Served:
    """A context manager: `model` (predict, and predict_proba if it has it) at `url`, until the block ends.

    protocol: "v2", "mlflow" or "template" (TEMPLATE). labels: answer labels, whatever is asked for. hide_output: there is no
    predict_proba, and who asks for it is refused ("refuse"), or gets labels ("drop"). decimals, top: round answers, or keep so
    many classes. dicts: class -> probability, not for v2. slow: seconds a request. inputs: the metadata's. faults: what goes
    wrong, by the number of the inference request (from 0):
      "429", "503", "500", "302"    a status, with Retry-After if `retry_after`
      "drop", "cut"                 the connection closed without an answer; in mid-answer
      "hang", "stall"               no answer while the block lasts; half of one
      "half", "classes", "nan", "labels", "text", "empty", "ragged"    an answer that is none
      "version"                     from here on another model_version
    on_request: called with the number of each inference request, before it is answered.
    """

    def __init__(
        self,
        model: Any,
        *,
        protocol: str = "v2",
        labels: bool = False,
        hide_output: str = "",
        decimals: int | None = None,
        top: int | None = None,
        dicts: bool = False,
        slow: float = 0.0,
        faults: Mapping[int, str] | None = None,
        retry_after: str | None = None,
        inputs: list[Any] | None = None,
        on_request: Callable[[int], None] | None = None,
    ) -> None:
        self.model, self.protocol, self.labels, self.hide_output = model, protocol, labels, hide_output
        self.decimals, self.top, self.dicts, self.slow = decimals, top, dicts, slow
        self.faults, self.retry_after, self.inputs, self.on_request = dict(faults or {}), retry_after, inputs, on_request
        self.version = "1"
        self.bodies: list[Any] = []  # of inference requests, answered or not
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.rows: list[int] = []  # answered well, request by request
        self.ended = threading.Event()

    def __enter__(self) -> "Served":
        served = self

        class Handler(_Handler):
            service = served

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.address = self.url + (ENDPOINTS["template"] if self.protocol == "template" else "")
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def answers(self, x: Any, labels: bool) -> np.ndarray:
        """What the model says of records, as this service shows it: (n,) or (n, n_classes)."""
        if labels:
            return np.asarray(self.model.predict(x))
        answers = np.asarray(self.model.predict_proba(x), np.float64)
        if self.top is not None:
            answers = np.where(answers >= np.sort(answers, 1)[:, -self.top, None], answers, 0)
        return answers if self.decimals is None else answers.round(self.decimals)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: no waiting for acknowledgements
    disable_nagle_algorithm = True
    service: Served

    def log_message(self, *_: Any) -> None:
        """Nothing: tests look at `bodies`, `paths` and `headers`."""

    def do_GET(self) -> None:
        service = self.service
        service.paths.append(self.path)
        service.headers.append(dict(self.headers))
        if service.protocol == "v2" and self.path == "/v2/health/ready":
            return self.say(200, {"ready": True})
        if service.protocol == "v2" and self.path == "/v2/models/digits":
            about = {"name": "digits", "versions": [], "platform": "tests", "inputs": service.inputs or [], "outputs": []}
            return self.say(200, about)
        return self.say(404, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:
        service = self.service
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        service.paths.append(self.path)
        service.headers.append(dict(self.headers))
        if self.path.partition("?")[0] != ENDPOINTS.get(service.protocol, "/v2/models/digits/infer"):
            return self.say(404, {"error": f"nothing at {self.path}"})
        number = len(service.bodies)
        service.bodies.append(body)
        if service.on_request is not None:
            service.on_request(number)
        time.sleep(service.slow)
        fault = service.faults.get(number, "")
        if fault.isdecimal():
            return self.say(int(fault), {"error": f"fault {fault}", "heard": self.headers.get("Authorization", "")})
        if fault in ("drop", "hang"):
            if fault == "hang":
                service.ended.wait(10)
            self.close_connection = True
            return None
        return self.infer(body, fault)

    def infer(self, body: Any, fault: str) -> None:
        service = self.service
        v2 = service.protocol == "v2"
        x, wanted = _v2_records(body) if v2 else _records(body)
        unknown = wanted is not None and (service.hide_output or not hasattr(service.model, "predict_proba"))
        if unknown and service.hide_output != "drop":
            return self.say(500, {"error": f"this model does not support the output {wanted}"})
        labels = service.labels or fault == "labels" or (v2 and (wanted is None or bool(unknown)))
        answers = _spoiled(service.answers(x, labels), fault)
        if fault == "version":
            service.version = "2"
        if v2:
            said = _v2_answer(answers, service.version, "predict" if labels else "predict_proba")
        else:
            dicts = service.dicts and answers.ndim == 2
            listed = _dicts(service.model.classes_, answers, service.top) if dicts else answers.tolist()
            if fault == "ragged":
                listed[0] = listed[0][:-1]
            said = {"predictions": listed} if service.protocol == "mlflow" else {"result": {"answers": listed}}
        if fault == "text":
            return self.say(200, "<html>Bad gateway</html>")
        if fault == "empty":
            return self.say(200, {})
        if not fault or fault == "version":
            service.rows.append(len(answers))
        return self.say(200, said, cut=fault if fault in ("cut", "stall") else "")

    def say(self, status: int, value: Any, cut: str = "") -> None:
        content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(value, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status in (429, 503) and self.service.retry_after is not None:
            self.send_header("Retry-After", self.service.retry_after)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere?key=hidden")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.wfile.flush()
        if cut == "stall":
            self.service.ended.wait(10)
        self.close_connection = self.close_connection or bool(cut)


def _v2_records(body: Any) -> tuple[Any, str | None]:
    wanted = body["outputs"][0]["name"] if body.get("outputs") else None
    if body.get("parameters", {}).get("content_type") == "pd":
        return pd.DataFrame({each["name"]: each["data"] for each in body["inputs"]}), wanted
    (tensor,) = body["inputs"]
    return np.array(tensor["data"]).reshape(tensor["shape"]), wanted


def _records(body: Any) -> tuple[Any, None]:
    if "dataframe_split" in body:
        return pd.DataFrame(body["dataframe_split"]["data"], columns=body["dataframe_split"]["columns"]), None
    rows = body["inputs"] if "inputs" in body else body["rows"]
    return pd.DataFrame(rows) if isinstance(rows[0], dict) else np.array(rows), None


def _spoiled(answers: np.ndarray, fault: str) -> np.ndarray:
    if fault == "half":
        return answers[: len(answers) // 2]
    if fault == "classes":
        return answers[:, :-1]
    if fault == "nan":
        answers = answers.astype(float)
        answers[1, 0] = np.nan
    return answers


def _v2_answer(answers: np.ndarray, version: str, name: str) -> dict[str, Any]:
    datatype = {"f": "FP64", "i": "INT64"}.get(answers.dtype.kind, "BYTES")
    shape = [len(answers), 1] if answers.ndim == 1 else list(answers.shape)
    output = {"name": name, "shape": shape, "datatype": datatype, "data": answers.ravel().tolist()}
    return {"model_name": "digits", "model_version": version, "id": "0", "parameters": {}, "outputs": [output]}


def _dicts(classes: Any, answers: np.ndarray, top: int | None) -> list[dict[str, float]]:
    named = [dict(zip(map(str, classes), row)) for row in answers.tolist()]
    return [{name: p for name, p in row.items() if p > 0} for row in named] if top is not None else named
