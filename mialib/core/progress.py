"""Bars of what takes time. tqdm draws them: in a notebook a widget, in a terminal a line on the standard error.

One bar shows all that a call makes, such as the models of several targets and their shadows, those that are on disk among
them. Whoever knows how much that is opens `one_bar`; what is made within it counts there, and so do the epochs of trainings.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mialib.core import cache


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, so that what is said appears in a notebook."""
    shell, ipython = sys.modules.get("ipykernel.zmqshell"), sys.modules.get("IPython")
    return shell is not None and ipython is not None and isinstance(ipython.get_ipython(), shell.ZMQInteractiveShell)


def running_cell() -> int:
    """The number of the cell that runs in this kernel of Jupyter."""
    number: int = sys.modules["IPython"].get_ipython().execution_count
    return number


def tqdm_bar(**options: Any) -> Any:
    """A bar of tqdm's with these options: a widget in a notebook that has them, else text; nothing where TQDM_DISABLE is set.

    In a notebook text goes to the standard output: what is on the standard error is shown as an error there.
    """
    if in_notebook():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of widgets that are not installed: text serves
            from tqdm.auto import tqdm as kind
        options["file"] = sys.stdout
    else:
        from tqdm.std import tqdm as kind  # type: ignore[assignment]
    make: Any = kind
    return make(**options, **({"disable": True} if cache.draws_no_bars() else {}))


def tell(line: str) -> None:
    """Say a line, above bars that are drawn, where these are."""
    from tqdm.std import tqdm

    tqdm.write(line, file=sys.stdout if in_notebook() else sys.stderr)


class Whole:
    """How much of a whole is done: pieces, kept ones (found on disk) among them, and shares of those in work.

    unit, doing: for a person, "model" and "training". Threads may share it. Nothing is drawn before `begin`.
    """

    def __init__(self, total: int, unit: str = "model", doing: str = "training", hidden: bool = False) -> None:
        self.total, self.unit, self.doing, self.is_making = total, unit, doing, False
        self._pieces, self._kept, self._shares = 0, 0, 0.0
        self._hidden, self._lock = hidden, threading.RLock()
        self._bar: Any = None

    def begin(self) -> None:
        """Show it, from now on: something has to be made."""
        if self._bar is None and not self._hidden and not cache.draws_no_bars():
            ends = {"total": self.total, "initial": self._pieces, "leave": in_notebook()}
            form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            self._bar = tqdm_bar(**ends, desc=self.text, smoothing=0, bar_format=form)

    @property
    def text(self) -> str:
        """What a person reads beside the bar: "training: 3 of 10 models, 2 from disk"."""
        kept = f", {self._kept:,} from disk" if self._kept else ""
        return f"{self.doing}: {self._pieces:,} of {self.total:,} {self.unit}{'s' * (self.total != 1)}{kept}"

    def kept(self, n: int) -> None:
        """So many pieces were found on disk. They cost no time, and foretell none."""
        with self._lock:
            self._kept += n
            self._pieces += n
            if self._bar is not None:
                self._bar.initial += n
            self._draw()

    def done(self, n: int = 1) -> None:
        """So many pieces were made; what was told of shares in them is part of that."""
        with self._lock:
            self._pieces += n
            self._shares = max(0.0, self._shares - n)
            self._draw()

    def count(self, n: int) -> None:
        """So many pieces were made, of which no shares are told."""
        self.done(n)

    def share(self, of_pieces: float) -> None:
        """Of pieces in work so much was done."""
        with self._lock:
            self._shares += of_pieces
            self._draw()

    def settle(self) -> None:
        """Nothing is in work any more: shares of pieces that ended early count no longer."""
        with self._lock:
            self._shares = 0.0

    def _draw(self) -> None:
        self.total = max(self.total, self._pieces)
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.set_description_str(self.text, refresh=False)
            self._bar.n = min(self._pieces + self._shares, self.total)  # sums of shares fall short of it
            self._bar.update(0)

    def end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


class _Part(Whole):
    """What is made for a piece of another whole: its steps are shares of that piece, its pieces are not counted."""

    def __init__(self, whole: Whole) -> None:
        super().__init__(0, whole.unit, whole.doing, hidden=True)
        self._whole = whole

    def count(self, n: int) -> None:
        self.share(n)

    def share(self, of_pieces: float) -> None:
        self._whole.share(of_pieces)


class Ticks:
    """Counts steps of trainings, of which each piece takes `steps`."""

    def __init__(self, whole: Whole, steps: int) -> None:
        self._whole, self._steps = whole, steps

    def update(self, n: int = 1) -> None:
        """So many steps were made."""
        self._whole.share(n / self._steps)


SILENT = Ticks(Whole(0, hidden=True), 1)
_open = threading.local()  # wholes of this thread, the innermost last


def _wholes() -> list[Whole]:
    if not hasattr(_open, "wholes"):
        _open.wholes = []
    found: list[Whole] = _open.wholes
    return found


@contextmanager
def one_bar(total: int, unit: str = "model", doing: str = "training") -> Iterator[Whole]:
    """A whole of so many pieces, within the block; where one of the same unit is open in this thread, that one or, if it makes
    a piece, what is a part of that.
    """
    around = _wholes()[-1:]
    joined = bool(around) and around[0].unit == unit
    if joined and not around[0].is_making:
        yield around[0]
        return
    hidden = bool(around) and around[0]._hidden
    with _within(_Part(around[0]) if joined else Whole(total, unit, doing, hidden=hidden)) as new:
        yield new


@contextmanager
def its_own_bar(total: int, unit: str, doing: str) -> Iterator[Whole]:
    """A whole apart, whatever is open around."""
    around = _wholes()[-1:]
    with _within(Whole(total, unit, doing, hidden=bool(around) and around[0]._hidden)) as new:
        yield new


@contextmanager
def _within(whole: Whole) -> Iterator[Whole]:
    _wholes().append(whole)
    try:
        yield whole
    finally:
        _wholes().pop()
        whole.end()


@contextmanager
def making(whole: Whole) -> Iterator[None]:
    """Within the block pieces are made, for each of which others may have to be."""
    whole.begin()
    before, whole.is_making = whole.is_making, True
    try:
        yield
    finally:
        whole.is_making = before
        whole.settle()


@contextmanager
def no_bars() -> Iterator[None]:
    """Within the block, in this thread, no bar is drawn: of trials, of which nobody waits for the result."""
    with _within(Whole(0, "", hidden=True)):
        yield


def ticks(steps: int) -> Ticks:
    """Counts steps for the innermost whole of this thread, whose pieces take so many each."""
    around = _wholes()
    return Ticks(around[-1], steps) if around else SILENT
