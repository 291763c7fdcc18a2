"""A model behind HTTP as a black box: asked in batches, within a budget, and never twice for what it has answered."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mialib.audit.connection import BadAnswer, Connection
from mialib.audit.kept import KeptAnswers
from mialib.audit.meter import Meter
from mialib.audit.open_inference import OpenInference
from mialib.audit.payloads import Payload
from mialib.audit.protocols import EXAMPLE_TEMPLATE, MLflow, ServiceProtocol, Template
from mialib.core import cache, checks, progress

SERVICE_PROTOCOLS = ("v2", "mlflow", "template")
LONG = 10  # batches from which on a bar shows how far a question is


class Remote:
    """A service that is asked over HTTP: a black box, for arrays (n, ...) and for DataFrames, whose rows go out as they came.

    url: for "v2" (Open Inference Protocol: KServe, Triton, MLServer) and "mlflow" the address that v2/… or invocations lies
    below; for "template" the address itself. On this machine, unless allow_remote. model: its name at the service ("v2").
    batch: rows a request; max_queries: rows in this object's life, those counting that were answered, or lost with their
    connection; per_second: rows a second, at most. retries: further tries, after longer and longer waits, on status 429 or 503
    and lost connections; all else is an error at once. timeout: seconds to connect, and of silence. token_env: the environment
    variable with a token, sent as `Authorization: Bearer …` and shown nowhere. classes: the labels in the order of the answers'
    columns; then this object's `classes_`.

    template: the request, with "{{records}}" where the list of records goes (lists; of DataFrames, dicts column -> value), and
    the path to the list of answers in what comes back: fields and numbers of items with dots between, `*` for each item. Of
    {"result": {"probabilities": [[0.9, 0.1], …]}} and of {"predictions": [{"label": "cat"}, …]}:

        {"request": {"rows": "{{records}}"}, "answers": "result.probabilities"}
        {"request": {"rows": "{{records}}"}, "answers": "predictions.*.label"}

    Answers are a vector, a label, or a dict class -> probability for each record. Every answer is checked: JSON, one for each
    record, finite numbers, of one kind and model_version from the first to the last; BadAnswer (a ValueError) says what is
    wrong with which records. ServiceFailed (an OSError) is a refusal, TimeoutError a silence, BudgetSpent (a ValueError) a
    question beyond max_queries, of which nothing was sent. After `keep_in` no answer is lost, whatever stops the work.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        protocol: str = "v2",
        batch: int = 64,
        max_queries: int | None = None,
        per_second: float | None = None,
        retries: int = 5,
        timeout: float = 30.0,
        template: Any = None,
        token_env: str | None = None,
        allow_remote: bool = False,
        classes: Sequence[Any] | None = None,
    ) -> None:
        checks.choice("protocol", protocol, SERVICE_PROTOCOLS)
        self.batch = checks.whole("batch", batch, 1)
        self._meter = Meter(
            None if max_queries is None else checks.whole("max_queries", max_queries, 1),
            None if per_second is None else checks.real("per_second", per_second, 0, open_low=True),
        )
        self._connection = Connection(
            url,
            self._meter,
            retries=retries,
            timeout=timeout,
            token_env=token_env,
            allow_remote=allow_remote,
            query=protocol == "template",
        )
        self.url, self.model, self.protocol = self._connection.shown, model, protocol
        self.classes = None if classes is None else _labels(classes)
        self._speech = _speech(url, model, protocol, template, self.classes)
        self._key = cache.digest([url, model, protocol, template, self.classes and list(map(repr, self.classes))])
        self._kept: KeptAnswers | None = None
        self._found_kept = 0  # rows
        self._kind: str | None = None  # of answers
        self._started = False

    def __repr__(self) -> str:
        model = f", model={self.model!r}" if self.model else ""
        return f"Remote({self.url!r}{model}, protocol={self.protocol!r})"

    @property
    def queries(self) -> int:
        """Rows counted so far (see max_queries)."""
        return self._meter.used

    @property
    def max_queries(self) -> int | None:
        """Rows that may be counted in all; None: any number."""
        return self._meter.allowed

    @property
    def classes_(self) -> list[Any] | None:
        """The labels in the order of the answers' columns: as given, or as the service names them; None if nobody has."""
        return self.classes if self.classes is not None else self._speech.names

    def keep_in(self, folder: str | Path) -> None:
        """Keep answers in `folder` (made if missing), batch by batch as they come, and use those that it holds.

        Rows are found again by their content and by url, model, protocol, template and classes, whatever the batches; they cost
        no budget. Nobody deletes them but the owner of the folder.
        """
        if not isinstance(folder, str | Path):
            raise TypeError(f"folder must be a path, got {checks.kind(folder)}")
        self._kept = KeptAnswers(Path(folder) / f"remote-{self._key[:16]}")
        self._speech.version = self._speech.version or self._kept.about.get("version")
        self._speech.names = self._speech.names or self._kept.about.get("names")
        if (one := self._kept.one()) is not None:
            self._check_kind(one)

    def ask(self, x: Any) -> np.ndarray:
        """What the service answers to n records: vectors as float64 (n, n_classes), or labels (n,), texts or numbers."""
        return self._ask(x, labels_do=True)

    def predict_proba(self, x: Any) -> np.ndarray:
        """Prediction vectors float64 (n, n_classes); of labels, ones in the columns of `classes`, without which ValueError."""
        answers = self._ask(x, labels_do=self.classes is not None)
        if self.classes is None:
            return answers
        if answers.ndim == 1:
            return self._one_hot(answers, self.classes)
        if answers.shape[1] != len(self.classes):
            raise ValueError(f"classes must have a label a column, {answers.shape[1]}, got {len(self.classes)}")
        return answers

    def describe(self) -> dict[str, Any]:
        """What was asked of whom, and what came, JSON-able and without secrets. seconds_waited: in requests; seconds_paused:
        between them, for the sake of the service.
        """
        found = {
            "url": self.url,
            "model": self.model,
            "protocol": self.protocol,
            "model_version": self._speech.version,
            "platform": None,
            "outputs": [],
            **self._speech.describe(),
            "answers": self._kind,
            "batch": self.batch,
            "queries": self.queries,
            "max_queries": self._meter.allowed,
            "rows_found_kept": self._found_kept,
            "requests": self._connection.sent,
            "retries": self._connection.tried_again,
            "seconds_waited": self._connection.waited,
            "seconds_paused": self._meter.paused,
        }
        return {name: self._connection.hidden(value) if isinstance(value, str) else value for name, value in found.items()}

    def _ask(self, x: Any, labels_do: bool) -> np.ndarray:
        records = Payload.of(x)
        if not labels_do and self._kind is not None:
            self._refuse_labels()
        if self._kept is None:
            places = np.arange(len(records))
        else:
            digests = records.digests(self._key)
            places = self._kept.missing(digests)
            self._found_kept += len(set(digests)) - len(places)
        self._meter.admit(len(places))
        parts = []
        for batch in self._batches(places):
            parts.append(self._answers(records[batch], f"records {batch[0]} to {batch[-1]} of {len(records)}"))
            if self._kept is not None:
                about = {"version": self._speech.version, "names": self._speech.names}
                self._kept.add([digests[place] for place in batch], parts[-1], **about)
            if not labels_do:
                self._refuse_labels()
        return np.concatenate(parts) if self._kept is None else self._kept.of(digests)

    def _batches(self, places: np.ndarray) -> Iterable[np.ndarray]:
        rate = self._meter.per_second
        size = self.batch if rate is None else min(self.batch, max(1, int(rate)))
        batches = [places[start : start + size] for start in range(0, len(places), size)]
        return batches if len(batches) < LONG else progress.tqdm_bar(iterable=batches, desc="asking", unit="batch", leave=False)

    def _answers(self, records: Payload, which: str) -> np.ndarray:
        """The checked answers to one batch."""
        send, speech = self._connection.send, self._speech
        try:
            if not self._started:
                speech.start(lambda path, what: send("GET", path, what))
                self._started = True
            answers = speech.ask(records, lambda body: send("POST", speech.path, which, body, len(records)))
            self._check_kind(answers)
        except BadAnswer as error:
            raise BadAnswer(self._connection.hidden(f"{self.url}, asked for {which} (batch = {self.batch}): {error}")) from None
        return answers

    def _check_kind(self, answers: np.ndarray) -> None:
        words = "texts" if answers.dtype.kind == "U" else "numbers"
        kind = f"labels that are {words}" if answers.ndim == 1 else f"vectors of {answers.shape[1]} numbers"
        if self._kind is not None and kind != self._kind:
            raise BadAnswer(f"{self._kind} came before, and now {kind}: these are not answers of one model")
        self._kind = kind

    def _refuse_labels(self) -> None:
        if str(self._kind).startswith("labels"):
            raise ValueError(
                f"{self.url} answers labels, no probabilities: ask(x) gives them as they come; with classes=[…], the labels in "
                "the order of columns, predict_proba answers 1 for the label and 0 for the others"
            )

    def _one_hot(self, answers: np.ndarray, classes: list[Any]) -> np.ndarray:
        column = {label: place for place, label in enumerate(classes)}
        if strange := sorted({repr(label) for label in answers.tolist() if label not in column}):
            raise ValueError(
                f"{self.url} answered the labels {', '.join(strange[:5])}, which is none of classes = {classes[:10]}"
            )
        vectors = np.zeros((len(answers), len(classes)))
        vectors[np.arange(len(answers)), [column[label] for label in answers.tolist()]] = 1
        return vectors


def _labels(classes: Any) -> list[Any]:
    labels = checks.array("classes", classes)
    if labels.ndim != 1 or len(labels) < 2 or len(set(labels.tolist())) != len(labels):
        raise ValueError(f"classes must be at least 2 different labels, got {labels.tolist()!r:.100}")
    return [*labels.tolist()]


def _speech(url: str, model: Any, protocol: str, template: Any, classes: list[Any] | None) -> ServiceProtocol:
    if protocol == "v2":
        if not isinstance(model, str) or not model:
            raise ValueError(f"model must be the model's name at the service, which protocol v2 needs, got {model!r}")
        if "/v2/" in f"{url}/":
            raise ValueError("url must be the address that v2/… lies below, like http://127.0.0.1:8080, without v2 itself")
    elif model is not None:
        raise ValueError(f"model is for protocol v2; of protocol {protocol} the url says which model it is, got {model!r}")
    if protocol == "template":
        if template is None:
            raise ValueError(f"template must say what is sent, and where the answers are: {EXAMPLE_TEMPLATE}")
        return Template(template, classes)
    if template is not None:
        raise ValueError(f"template is for protocol template, got one with protocol {protocol}")
    return OpenInference(model) if protocol == "v2" else MLflow(url, classes)
