"""What is going to be trained, said before it is: by whoever announces it, to whoever wants to know what it takes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Planned(NamedTuple):
    """Pieces of work that are alike and independent: models on records of one data set, or records to be climbed for.

    n: records that a model is trained on. epochs: of its training; None where it has none. pieces: all of them; missing: those
    that are not on disk. keys: a digest of what determines each of the missing, as far as that is known: whoever finds one
    twice need count it once. trial: seconds that one of the missing takes one core of this machine (or its GPU), from a trial
    of seconds; what has the same data set, n, epochs and `alike` takes as long. stage: 0 can begin at once; a later one needs
    what the earlier ones on the same `thread` leave. megabytes: of the data set that a worker needs.
    """

    dataset: str
    source: str
    what: str
    n: int
    epochs: int | None
    pieces: int
    missing: int
    trial: Callable[[], float]
    keys: tuple[str, ...] = ()
    alike: str = ""
    unit: str = "model"
    thread: str = ""
    stage: int = 0
    megabytes: float = 0.0


_collecting: list[list[Planned]] = []


@contextmanager
def collected() -> Iterator[list[Planned]]:
    """Within the block, in all threads of this process, all that is announced comes into this list; no trial is made."""
    found: list[Planned] = []
    _collecting.append(found)
    try:
        yield found
    finally:
        _collecting.pop()


def collect(planned: Iterable[Planned]) -> bool:
    """Hand on what is announced; whether anybody collects it, and makes trials himself if he wants them."""
    for found in _collecting[-1:]:
        found.extend(planned)
    return bool(_collecting)
