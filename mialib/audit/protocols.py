"""What a service is sent, and how its answer is read: MLflow scoring, and a JSON template of one's own."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from mialib.audit.connection import BadAnswer, Reply
from mialib.audit.payloads import Payload

Post = Callable[[Any], Reply]
PLACE_OF_RECORDS = "{{records}}"
EXAMPLE_TEMPLATE = '{"request": {"rows": "{{records}}"}, "answers": "result.probabilities"}'


class ServiceProtocol(Protocol):
    """How to speak with a service. path: below its URL, where records are posted."""

    path: str
    version: str | None  # of the model, as far as the service says it
    names: list[str] | None  # of the columns of answers, where the service says them

    def start(self, get: Callable[[str, str], Reply]) -> None:
        """What is asked before the first record: get(path, what)."""
        ...

    def ask(self, records: Payload, post: Post) -> np.ndarray:
        """The answers to records: numbers float64 (n, n_classes), or labels (n,). Raises BadAnswer or ServiceFailed."""
        ...

    def describe(self) -> dict[str, Any]:
        """What was found out about the service, JSON-able."""
        ...


class JsonProtocol:
    """A service whose answers are a list, one item a record: a label, a vector, or a dict class -> probability.

    classes: labels in the order of columns, by which dicts are put in order, a class that one lacks getting 0 (a service that
    answers its first few classes); None: the classes' names, sorted, which every dict must have.
    """

    def __init__(self, classes: Sequence[Any] | None) -> None:
        self.path = ""
        self.version: str | None = None
        self.names: list[str] | None = None
        self._classes = classes

    def start(self, get: Callable[[str, str], Reply]) -> None:
        """Nothing: these services have no metadata in common."""

    def ask(self, records: Payload, post: Post) -> np.ndarray:
        """The answers to records, posted once."""
        reply = post(self.body(records)).checked()
        return self.read(self.found(reply.json()), len(records))

    def body(self, records: Payload) -> Any:
        """What is posted."""
        raise NotImplementedError

    def found(self, answer: Any) -> Any:
        """The list of answers in what came back."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The names of classes that answers came with, if they did."""
        return {} if self.names is None else {"class_names": list(self.names)}

    def read(self, found: Any, n: int) -> np.ndarray:
        """Answers of a list with one item a record."""
        check_count(found, n)
        if not all(isinstance(item, dict) for item in found):
            return decoded_answers(found)
        if all(len(item) == 1 for item in found) and len({key for item in found for key in item}) == 1:
            return decoded_answers([value for item in found for value in item.values()])  # a table with one column
        return self._of_dicts(found)

    def _of_dicts(self, found: list[dict[str, Any]]) -> np.ndarray:
        have = sorted({name for item in found for name in item})
        if self._classes is not None:
            names = [str(label) for label in self._classes]
            if strange := [name for name in have if name not in names]:
                raise BadAnswer(f"answers name the classes {strange[:5]}, which are none of classes = {names[:10]}")
            return decoded_answers([[item.get(name, 0.0) for name in names] for item in found])
        names = self.names or have
        if any(set(item) != set(names) for item in found):
            raise BadAnswer(
                f"answers name other classes from record to record ({have[:10]} here): classes=[…], the labels in the order of "
                "columns, gives a class that an answer lacks 0"
            )
        self.names = names
        return decoded_answers([[item[name] for name in names] for item in found])


class MLflow(JsonProtocol):
    """MLflow scoring: {"inputs": …} of arrays, or {"dataframe_split": …} of frames, to invocations -> {"predictions": …}."""

    def __init__(self, url: str, classes: Sequence[Any] | None) -> None:
        super().__init__(classes)
        self.path = "" if url.rstrip("/").endswith("/invocations") else "invocations"

    def body(self, records: Payload) -> Any:
        """The records as MLflow takes them."""
        if records.array is not None:
            return {"inputs": records.rows()}
        return {"dataframe_split": {"columns": list(records.columns), "data": records.rows()}}

    def found(self, answer: Any) -> Any:
        """What stands under "predictions"."""
        return follow(answer, "predictions")


class Template(JsonProtocol):
    """A request and a path to its answers, as the user writes them (see `Remote`)."""

    def __init__(self, template: Any, classes: Sequence[Any] | None) -> None:
        super().__init__(classes)
        template = _parsed(template)
        if not isinstance(template, dict) or set(template) != {"request", "answers"}:
            raise ValueError(f"template must have request and answers, like {EXAMPLE_TEMPLATE}, got {_fields(template)}")
        if not isinstance(template["answers"], str):
            raise TypeError(f"template's answers must be a path like 'result.probabilities', got {template['answers']!r}")
        places = _places(template["request"])
        if places != 1:
            raise ValueError(
                f'template must have "{PLACE_OF_RECORDS}" in one place of its request, as a value of its own, got {places}'
            )
        self.template = template

    def body(self, records: Payload) -> Any:
        """The request with the records in their place: rows as lists; of frames, as dicts column -> value."""
        return _filled(self.template["request"], records.named_rows())

    def found(self, answer: Any) -> Any:
        """What stands at the path of the template."""
        return follow(answer, self.template["answers"])


def _parsed(template: Any) -> Any:
    if not isinstance(template, str):
        return template
    try:
        return json.loads(template)
    except ValueError as error:
        raise ValueError(f"template must be JSON like {EXAMPLE_TEMPLATE}, got {template[:60]!r} ({error})") from None


def _fields(value: Any) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, dict) else f"a {type(value).__name__}"


def _places(node: Any) -> int:
    if isinstance(node, dict | list):
        return sum(map(_places, node.values() if isinstance(node, dict) else node))
    return node == PLACE_OF_RECORDS


def _filled(node: Any, records: list[Any]) -> Any:
    if isinstance(node, dict):
        return {name: _filled(value, records) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, records) for value in node]
    return records if node == PLACE_OF_RECORDS else node


def follow(answer: Any, path: str) -> Any:
    """What stands at `path` in a JSON value: names of fields, numbers of items, or `*` for each item, with dots between.

    "" is the whole. Raises BadAnswer where the path leads nowhere, with what is there.
    """
    if not path:
        return answer
    step, _, rest = path.partition(".")
    if step == "*" and isinstance(answer, list):
        return [follow(item, rest) for item in answer]
    if isinstance(answer, dict) and step in answer:
        return follow(answer[step], rest)
    if isinstance(answer, list) and step.isdecimal() and int(step) < len(answer):
        return follow(answer[int(step)], rest)
    there = f"a list of {len(answer)}" if isinstance(answer, list) else _fields(answer)
    raise BadAnswer(f"expected {step!r} in what it says, found {there}")


def check_count(found: Any, n: int) -> None:
    """BadAnswer unless `found` is a list of n answers."""
    if not isinstance(found, list):
        raise BadAnswer(f"expected a list of {n} answers, got {_fields(found)}")
    if len(found) != n:
        raise BadAnswer(f"{len(found)} answers came for {n} records")


def decoded_answers(found: list[Any]) -> np.ndarray:
    """One answer a record as an array: vectors as float64 (n, n_classes), labels as texts, int64, float64 or bool (n,)."""
    if not any(isinstance(item, list) for item in found):
        return _labels(found)
    widths = {len(item) if isinstance(item, list) else 0 for item in found}
    if len(widths) > 1:
        raise BadAnswer(f"answers have {min(widths)} to {max(widths)} numbers each: expected as many for every record")
    if widths == {1}:
        return _labels([item[0] for item in found])
    try:
        answers = np.array(found, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise BadAnswer(f"expected numbers, got {str(found[0])[:100]}") from None
    if answers.ndim != 2 or not answers.shape[1]:
        raise BadAnswer(f"expected a vector for each record, got answers of shape {answers.shape}")
    _check_finite(answers)
    return answers


def _labels(found: list[Any]) -> np.ndarray:
    kinds = {type(item) for item in found}
    if kinds in ({str}, {bool}, {int}) or kinds <= {int, float}:
        try:
            labels = np.array(found)
        except OverflowError:
            raise BadAnswer("labels are numbers beyond 64 bits") from None
        if labels.dtype.kind in "bifuU":
            _check_finite(labels)
            return labels
    raise BadAnswer(f"expected labels that are texts or numbers, got {', '.join(sorted(map(repr, found), key=len)[:3])}")


def _check_finite(answers: np.ndarray) -> None:
    if answers.dtype.kind != "f":
        return
    bad = ~np.isfinite(answers.reshape(len(answers), -1)).all(1)
    if bad.any():
        raise BadAnswer(
            f"NaN or infinite numbers in {bad.sum()} of {len(answers)} answers (the first: record {bad.argmax()} of the batch)"
        )
