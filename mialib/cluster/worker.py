"""What a worker does: says what it is, and makes stacks. It imports nothing heavy: the scheduler reads it too."""

import ctypes
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mialib.cluster import datasets, travel
from mialib.cluster.datasets import Outline
from mialib.core import cache, executors
from mialib.core.executors import Work

EVENTS = "mialib-stacks"  # the scheduler's list of stacks that were begun
LIBRARIES = ("numpy", "torch", "scikit-learn")  # which decide the last digits
STORED = re.compile(r"[\w-]+/[0-9a-f]{2}/[0-9a-f]{64}\.npz")  # a file of the cache
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt, <malloc.h>
KEPT_BYTES, LARGE_BYTES = 2**28, 2**25  # the second is the most that glibc takes
_packages: dict[str, Any] = {}  # the last work unpacked here, by its name


class Order(NamedTuple):
    """A stack to be made: some consecutive pieces of a work.

    work: the name of the work. keys: of the results. datasets: what the work and its pieces hold, by digest. folder: the
    caller's cache, None if that keeps nothing; token: the name of a file in it. code: the caller's `code_of_package`. wanted:
    whether the results should return although they are in the caller's cache.
    """

    work: str
    keys: Sequence[Mapping[str, Any]]
    datasets: Mapping[str, Outline | None]
    folder: str | None
    token: str
    code: str
    wanted: bool


class Delivery(NamedTuple):
    """The results of a stack; whether they are in the caller's cache already; and else, other files that should go there."""

    results: list[Any]
    kept: bool
    files: dict[str, bytes]


class StrangeWorker(RuntimeError):
    """A worker that must not be used, and came after all were looked at."""


@lru_cache(maxsize=1)
def code_of_package() -> str:
    """SHA-256 (hex) of all files of the package, and of what decides the last digits: a worker must have the same."""
    home = Path(__file__).parents[1]
    files = {path.relative_to(home).as_posix(): path.read_text(encoding="utf-8") for path in sorted(home.rglob("*.py"))}
    return cache.digest(files, versions_here())


def versions_here() -> dict[str, str]:
    """Versions of Python (minor) and of the libraries that compute."""
    here = {"python": ".".join(platform.python_version_tuple()[:2])}
    return here | {name: metadata.version(name).partition("+")[0] for name in LIBRARIES}


def about(folder: str | None, token: str) -> dict[str, Any]:
    """What this process is: code, versions, device and its memory, and which cache folder it shares with the caller, if any."""
    import torch

    cuda = torch.cuda.is_available()
    shared = _shared_folder(folder, token)
    return {
        "code": code_of_package(),
        "versions": versions_here(),
        "device": "cuda" if cuda else "cpu",
        "memory": torch.cuda.mem_get_info()[1] if cuda else None,
        "shared": None if shared is None else str(shared),
        "data": prepared_digests(),
        "unwritable": None if shared is None else _why_unwritable(shared),
    }


def prepared_digests() -> dict[str, str]:
    """By name, the digests of the prepared data sets in this machine's data folder, as their files say them."""
    found = {}
    for path in sorted(cache.data_folder().glob("*.npz")):
        with suppress(*cache.DAMAGE), np.load(path, allow_pickle=False) as stored:
            found[path.stem] = str(json.loads(str(stored["meta"]))["sha256"])
    return found


def _shared_folder(folder: str | None, token: str) -> Path | None:
    """The caller's cache folder as this machine sees it, under the same name or as its own: the one that has the token."""
    places = [] if folder is None else [Path(folder), cache.cache_folder()]
    return next((place for place in places if (place / token).exists()), None)


def _why_unwritable(folder: Path) -> str | None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".cluster-"):
            return None
    except OSError as error:
        return error.strerror or str(error)


def itself(data: bytes) -> bytes:
    """Bytes that were sent."""
    return data


def stack_made(order: Order, work: bytes, pieces: bytes) -> Delivery:
    """Make the results of a stack, or find them in the cache. Raises StrangeWorker, MissingDatasets, what the work raises."""
    _check_myself(order)
    os.environ["TQDM_DISABLE"] = "1"  # the caller has the bar
    held = datasets.those(order.datasets)
    whole: Work = _unpacked(order.work, work, held)
    mine = whole._replace(pieces=travel.unpacked(pieces, held), keys=order.keys)
    shared = _shared_folder(order.folder, order.token)
    with _alone(), ExitStack() as stack:
        scratch = None
        if order.folder is not None and shared is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mialib-")))
        stack.enter_context(cache.kept_in(shared or scratch))
        found = [mine.found(i) for i in range(len(mine.pieces))] if shared else [None]
        if all(result is not None for result in found):
            return Delivery(found if order.wanted else [], True, {})
        _tell_of_a_beginning()
        results = list(mine.make(list(mine.pieces)))
        if shared and not mine.keeps:
            for i, result in enumerate(results):
                mine.keep(i, result)
        kept = shared is not None and all(mine.is_kept(i) for i in range(len(results)))  # a disk may be full
        return Delivery(results if order.wanted or not kept else [], kept, {} if scratch is None else dict(_files(scratch)))


def _check_myself(order: Order) -> None:
    """StrangeWorker for what `checked.why_not` refuses of those that are there at the beginning."""
    from distributed import get_worker

    if order.code != code_of_package() or get_worker().state.nthreads != 1:
        raise StrangeWorker(f"{get_worker().address} came later, and cannot be used")


def _unpacked(name: str, work: bytes, datasets: Mapping[str, Any]) -> Work:
    if name not in _packages:
        _packages.clear()
        _packages[name] = travel.unpacked(work, datasets)
    unpacked: Work = _packages[name]
    return unpacked


@lru_cache(maxsize=1)
def _keep_freed_memory() -> None:
    """Dask has its workers give freed memory back at once; a training, which takes the same again in each step, would wait for
    the system most of the time. This process keeps some; where the system's allocator is another, nothing is changed.
    """
    with suppress(OSError, AttributeError):
        system = ctypes.CDLL(None)
        system.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        system.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


@contextmanager
def _alone() -> Iterator[None]:
    """One stack on one core: whatever the work would start beside this thread, it does not."""
    import joblib
    import torch

    _keep_freed_memory()
    torch.set_num_threads(1)
    with executors.whole_stacks(), joblib.parallel_config(backend="sequential"):
        yield


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*.npz")):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _tell_of_a_beginning() -> None:
    """Let the scheduler know that a stack is begun: whoever dies over it cannot say so any more."""
    from distributed import get_worker

    me = get_worker()
    me.log_event(EVENTS, {"stack": str(me.get_current_task()), "worker": me.address, "process": os.getpid()})
