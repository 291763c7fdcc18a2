"""The labels of classes that an ONNX graph holds. onnxruntime runs graphs without telling them, and the package onnx, which
would, is not needed otherwise: so the few fields are read off the file, a protocol buffer.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

_GRAPH, _NODES, _OUTPUTS = 7, 1, 12  # numbers of fields: a model's graph; its nodes and outputs
_INPUT, _OUTPUT, _OPERATION, _ATTRIBUTE = 1, 2, 4, 5  # of a node
_NAME, _INTS, _STRINGS = 1, 8, 9  # of an attribute; outputs have a name of the same number
_PASSES_ON = ("Cast", "Identity", "Reshape")  # what may lie between a classifier and the graph's output


class _Node(NamedTuple):
    operation: str
    inputs: list[str]
    outputs: list[str]
    labels: list[Any]


def graph_labels(content: bytes) -> list[Any] | None:
    """Texts or whole numbers, in the order of the answers' columns: of the ZipMap that names the answers, or of the classifier
    that makes the graph's first output; None where there is neither. ValueError for what is no protocol buffer.
    """
    model = dict(_fields(content))
    graph = [*_fields(model[_GRAPH])] if _GRAPH in model else []
    nodes = [_node(value) for number, value in graph if number == _NODES]
    outputs = [_text(dict(_fields(value))[_NAME]) for number, value in graph if number == _OUTPUTS]
    for node in nodes:
        if node.operation == "ZipMap" and set(node.outputs) & set(outputs):
            return node.labels or None
    makes = {name: node for node in nodes for name in node.outputs}
    maker = makes.get(outputs[0]) if outputs else None
    while maker is not None and maker.operation in _PASSES_ON:
        maker = makes.get(maker.inputs[0])
    return (maker.labels or None) if maker is not None and maker.operation.endswith("Classifier") else None


def _node(content: bytes) -> _Node:
    operation, inputs, outputs, labels = "", [], [], []
    for number, value in _fields(content):
        if number == _INPUT:
            inputs.append(_text(value))
        elif number == _OUTPUT:
            outputs.append(_text(value))
        elif number == _OPERATION:
            operation = _text(value)
        elif number == _ATTRIBUTE:
            labels += _labels_of(value)
    return _Node(operation, inputs, outputs, labels)


def _labels_of(attribute: bytes) -> list[Any]:
    """The labels in an attribute; none in one of another name."""
    fields = [*_fields(attribute)]
    if not any(number == _NAME and _text(value).startswith("classlabels") for number, value in fields):
        return []
    found: list[Any] = []
    for number, value in fields:
        if number == _STRINGS:
            found.append(_text(value))
        elif number == _INTS:
            found += [value] if isinstance(value, int) else _packed(value)
    return [each - 2**64 if isinstance(each, int) and each >= 2**63 else each for each in found]


def _fields(content: Any) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message's fields: whole numbers, or bytes (also of the fixed lengths that labels never have)."""
    view, place = memoryview(content), 0
    while place < len(view):
        tag, place = _number(view, place)
        if tag & 7 == 0:
            value, place = _number(view, place)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            size, place = _number(view, place)
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
        else:
            raise ValueError(f"no protocol buffer: a field of kind {tag & 7}")
        if place + size > len(view):
            raise ValueError("no protocol buffer, or one that is cut short")
        yield tag >> 3, view[place : place + size]
        place += size


def _number(view: memoryview, place: int) -> tuple[int, int]:
    """A whole number of any length, and the place behind it."""
    value = shift = 0
    while place < len(view):
        byte = view[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
    raise ValueError("no protocol buffer, or one that is cut short")


def _packed(view: memoryview) -> list[int]:
    found, place = [], 0
    while place < len(view):
        value, place = _number(view, place)
        found.append(value)
    return found


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace")
