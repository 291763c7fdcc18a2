"""The line to a cluster: what a run of stacks needs of it, but the stacks."""

from __future__ import annotations

import logging
import time
import uuid
import warnings
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Client, Future

from mialib.cluster import datasets, travel
from mialib.cluster.checked import check_workers
from mialib.cluster.datasets import Outline
from mialib.cluster.errors import ClusterError
from mialib.cluster.events import Events
from mialib.core import cache
from mialib.core.executors import Workers
from mialib.core.types import Dataset

log = logging.getLogger(__name__)

COUNT_EVERY = 5.0  # seconds


class Link:
    """A client of a cluster whose workers were checked. sent: bytes of data sets that workers were sent, each one's counted."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address, self.sent = client, address, 0
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it would tell of a lost scheduler, we do
        self._counted = float("-inf"), 1
        self._provided: set[str] = set()  # digests of data sets that all workers had
        self._tokens: dict[str, Path] = {}
        self._clear = weakref.finalize(self, _removed, self._tokens)
        self.workers = self.check()
        self.events = Events(client)

    def close(self) -> None:
        """Leave the cluster; it goes on for others."""
        self._clear()
        with suppress(Exception):
            self.client.close()

    def token(self) -> tuple[str | None, str]:
        """The cache folder of this process, None if it keeps nothing, and a file in it, by which workers know it."""
        if cache.keeps_nothing():
            return None, ""
        folder = str(cache.cache_folder())
        if folder not in self._tokens:
            path = Path(folder) / f".cluster-{uuid.uuid4().hex}"
            with suppress(OSError):  # a folder that cannot be written to is shared with nobody; saving says so
                path.touch()
            self._tokens[folder] = path
        return folder, self._tokens[folder].name

    def check(self) -> Workers:
        """Who the workers are; ClusterError for any that cannot be used."""
        return check_workers(self.client, self.address, self.token())

    def provide(self, wanted: Mapping[str, Dataset]) -> None:
        """Let all workers have data sets, by digest: from their own data folders, or sent, once to each that has not.

        A worker that is lost meanwhile, or comes later, misses them when it is given a stack; then this is called again.
        """
        new = {digest: dataset for digest, dataset in wanted.items() if digest not in self._provided}
        if not new:
            return
        outlines = {digest: Outline.of(dataset) for digest, dataset in new.items()}
        answers = self.client.run(datasets.lacking, outlines, on_error="return")
        if any(isinstance(missing, Exception) for missing in answers.values()):
            self.check()  # one may have come that has no mialib; one that was lost does not matter
        for digest, dataset in new.items():
            if to := [address for address, missing in answers.items() if isinstance(missing, list) and digest in missing]:
                self._send(digest, travel.packed_dataset(dataset), to)
        self._provided |= {*new}

    def _send(self, digest: str, packed: bytes, to: list[str]) -> None:
        try:
            there = self.client.scatter(packed, workers=to, broadcast=True, hash=False)  # from worker to worker, in a tree
            self.client.run(datasets.take, digest, there.key, workers=to, on_error="return")
        except (KeyError, ValueError, OSError) as error:  # of a worker that was lost meanwhile
            log.debug("a data set did not reach all of %d workers: %s", len(to), error)
        self.sent += len(packed) * len(to)

    def forget(self, digests: Sequence[str]) -> None:
        """Some worker lacks these data sets."""
        self._provided -= {*digests}

    def submit(self, function: Any, *arguments: Any, key: str) -> Future:
        with warnings.catch_warnings():  # what is sent is as large as it is
            warnings.filterwarnings("ignore", "Sending large graph")
            return self.client.submit(function, *arguments, key=key, pure=False)

    def n_workers_now(self) -> int:
        """How many workers there are, at least 1; asked every few seconds."""
        if time.monotonic() > self._counted[0] + COUNT_EVERY:
            self._counted = time.monotonic(), max(1, self.client.scheduler_info(n_workers=0)["n_workers"])
        return self._counted[1]

    def is_lost(self) -> bool:
        return bool(self.client.status != "running")

    def lost(self) -> ClusterError:
        """What to raise then."""
        return ClusterError(
            f"the scheduler at {self.address} was lost; what was finished is kept, and the same command goes on with the rest"
        )


def _removed(tokens: dict[str, Path]) -> None:
    for path in tokens.values():
        with suppress(OSError):
            path.unlink(missing_ok=True)
