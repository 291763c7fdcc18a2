"""What a person sees of running notebooks: in a terminal a line for each, elsewhere one at its start and one at its end."""

import shutil
import threading
from typing import TextIO


class Log:
    """Lines of what runs, rewritten in place where `out` is a terminal. Threads may share it."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._in_place = out, out.isatty()
        self._running: dict[str, str] = {}
        self._shown = 0  # lines of the terminal that are to be written over
        self._lock = threading.Lock()

    def at(self, notebook: str, heading: str = "starting") -> None:
        """A notebook starts, or has come to a heading."""
        with self._lock:
            new = notebook not in self._running
            self._running[notebook] = heading
            self._write([] if self._in_place or not new else [f"{notebook}: running"])

    def end(self, notebook: str, words: str) -> None:
        """A notebook has ended; `words` say how, perhaps in several lines."""
        with self._lock:
            self._running.pop(notebook, None)
            self._write(f"{notebook}: {words}".splitlines())

    def _write(self, lines: list[str]) -> None:
        """Lines that stay, above those of what runs."""
        text = "".join(f"{line}\n" for line in lines)
        if self._in_place:
            width = shutil.get_terminal_size().columns - 1
            text = (f"\x1b[{self._shown}A\x1b[J" if self._shown else "") + text
            text += "".join(f"{f'{name}: {at}'[:width]}\n" for name, at in self._running.items())
            self._shown = len(self._running)
        self._out.write(text)
        self._out.flush()
