"""Takes this machine's folders out of what is committed: the executed notebooks and run.json."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mialib.core.cache import cache_folder, data_folder

UP = "\x1b[A"


# At least two names deep, and not the rest of a web address, of a relative path or of an HTML tag.
ABSOLUTE = re.compile(r"(?<![\w.~$:/<\-…])/(?:[\w.@+\-]+/)+[\w.@+\-]+")


def scrub(record: Any, scratch: Path, root: Path) -> Any:
    """A JSON record with absolute paths made relative to named places, or cut to the file's name; pictures are left alone."""
    return _scrubbed(record, _places(scratch, root))


def without_progress(notebook: dict[str, Any]) -> dict[str, Any]:
    """An executed notebook without progress bars: of a line that was written over again and again, the last state stays."""
    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = _last_states(cell["outputs"])
    return notebook


def _last_states(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] == "stream" and merged and merged[-1].get("name") == output["name"]:
            merged[-1]["text"] += "".join(output["text"])
        else:
            merged.append(output | {"text": "".join(output["text"])} if output["output_type"] == "stream" else output)
    for output in merged:
        if output["output_type"] == "stream" and "\r" in output["text"]:
            output["text"] = "\n".join(line.rstrip() for line in _screen(output["text"]) if line.strip())
    return [output for output in merged if output["output_type"] != "stream" or output["text"].strip()]


def _screen(text: str) -> list[str]:
    """The lines that a terminal shows: "\\r" begins a line anew; UP, written by bars below one another, goes one up."""
    lines, at = [""], 0
    for part in re.split(f"(\r|\n|{re.escape(UP)})", text):
        if part == "\n":
            at += 1
            lines += [""] * (at == len(lines))
        elif part == UP:
            at = max(0, at - 1)
        elif part == "\r":
            lines[at] = ""
        else:
            lines[at] += part
    return lines


def absolute_paths(record: Any) -> list[str]:
    """Absolute paths in the texts of a JSON record, pictures left aside."""
    if isinstance(record, str):
        return ABSOLUTE.findall(record)
    if isinstance(record, dict):
        return [path for key, value in record.items() if not key.startswith("image/") for path in absolute_paths(value)]
    return [path for value in record for path in absolute_paths(value)] if isinstance(record, list) else []


def _scrubbed(value: Any, places: list[tuple[str, str]]) -> Any:
    if isinstance(value, str):
        return _scrubbed_text(value, places)
    if isinstance(value, dict):
        return {key: item if key.startswith("image/") else _scrubbed(item, places) for key, item in value.items()}
    return [_scrubbed(item, places) for item in value] if isinstance(value, list) else value


def _scrubbed_text(text: str, places: list[tuple[str, str]]) -> str:
    for folder, name in places:
        text = re.sub(re.escape(folder) + r"(?![\w.\-])", name, text)
    return ABSOLUTE.sub(lambda found: "…/" + found[0].rpartition("/")[2], text)


def _places(scratch: Path, root: Path) -> list[tuple[str, str]]:
    """Folders of this machine and what to call them, the deepest first."""
    named = {
        str(Path.home()): "~",
        tempfile.gettempdir(): "TMP",
        sys.base_prefix: "PYTHON",
        sys.prefix: ".venv",
        str(root): ".",
        str(data_folder()): "MIALIB_DATA",
        str(cache_folder()): "MIALIB_CACHE",
        str(scratch): ".",
    }
    both = {**named, **{os.path.realpath(folder): name for folder, name in named.items()}}
    return sorted(((folder, name) for folder, name in both.items() if folder.count("/") > 1 or folder == "/root"), key=_length)


def _length(place: tuple[str, str]) -> int:
    return -len(place[0])
