"""What is said beside results in a notebook: log lines and warnings as plain lines below the cell, not in a red box."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any, TextIO

from mialib.core import progress

NOTE = "note: "  # what such a line begins with


class _Below(logging.Handler):
    """Says a record's message below the cell that runs, above bars that are drawn; once a cell, however often it is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._cell, self._said = -1, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        cell = progress.running_cell()
        if cell != self._cell:
            self._cell, self._said = cell, set()
        if text not in self._said:
            self._said.add(text)
            progress.tell(NOTE + text)


def quiet_log() -> None:
    """In a notebook, show this package's log below the cells, from warnings on; what is set up to show it already stays."""
    logger = logging.getLogger("mialib")
    if progress.in_notebook() and not logger.hasHandlers():
        logger.addHandler(_Below())
        logger.propagate = False


def quiet_warnings() -> None:
    """In a notebook, show Python's warnings likewise, each by what warns: no folder, no line of code."""
    if progress.in_notebook():
        warnings.showwarning = _show_warning


def _show_warning(
    message: Any, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    text = " ".join(str(message).split())
    progress.tell(f"{NOTE}{_who(filename)}{text}")


def _who(filename: str) -> str:
    """The package of a file, where it is one."""
    module = next((name for name, loaded in [*sys.modules.items()] if getattr(loaded, "__file__", None) == filename), None)
    return "" if module is None or Path(filename).name == "__main__.py" else f"{module.partition('.')[0]}: "
