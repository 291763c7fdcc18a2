"""Takes this machine's folders out of what is committed: the executed notebooks and run.json."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mialib.core.cache import cache_folder, data_folder

# At least two names deep, and not the rest of a web address, of a relative path or of an HTML tag.
ABSOLUTE = re.compile(r"(?<![\w.~$:/<\-…])/(?:[\w.@+\-]+/)+[\w.@+\-]+")


def scrub(record: Any, scratch: Path, root: Path) -> Any:
    """A JSON record with absolute paths made relative to named places, or cut to the file's name; pictures are left alone."""
    return _scrubbed(record, _places(scratch, root))


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
