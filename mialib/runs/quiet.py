"""What an executed notebook says beside its results: plain lines; nothing of bars, downloads, folders or lines of code."""

import re
from typing import Any

from mialib.core.notes import NOTE

_WARNED = re.compile(r"^\S.*?:\d+: (\w*Warning): (.*)$")  # as Python says it; a line of code follows, further in
_DROPPED = re.compile(r"\d+%\||\d+(it|s|B)/(s|it)\b|^Downloading data from |IProgress not found")
_STAND_IN = re.compile(r"(using a STAND-IN \(generated records\)).*")  # why stands in the log: here, that no network was there


def quiet_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook (JSON) with what its cells wrote to the standard error among what they printed, cleaned by `quiet_text`."""
    cells = [
        cell | {"outputs": _merged(cell["outputs"])} if cell["cell_type"] == "code" else cell for cell in notebook["cells"]
    ]
    return notebook | {"cells": cells}


def _merged(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for output in outputs:
        text = quiet_text(said := "".join(output.get("text", [])))
        follows = bool(kept) and kept[-1]["output_type"] == "stream"
        if output["output_type"] != "stream" or (output["name"] == "stdout" and text == said and not follows):
            kept.append(output)
        elif text:
            before = "".join(kept.pop()["text"]) if follows else ""
            lines = (before + text).splitlines(keepends=True)
            kept.append({"name": "stdout", "output_type": "stream", "text": lines})
    return kept


def quiet_text(text: str) -> str:
    """Lines without those of bars and downloads; a warning of Python's as a note, without the place in the code; of a stand-in,
    that it is one; a note that comes again and again once.
    """
    kept: list[str] = []
    was_warning = False
    for line in text.split("\n"):
        line = line.rpartition("\r")[2]
        if was_warning and line.startswith("  "):
            was_warning = False
            continue
        warned = _WARNED.match(line)
        was_warning = warned is not None
        if _DROPPED.search(line):
            continue
        if warned:
            line = NOTE + warned[2]
        line = _STAND_IN.sub(r"\1", line)
        if line not in kept[-1:] or not line.startswith(NOTE):
            kept.append(line)
    return "\n".join(kept) if any(kept) else ""
