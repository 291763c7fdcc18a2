"""The way to a cluster: an address, and workers that are what they must be, before anything is trained."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mialib.cluster.errors import ClusterError
from mialib.core import checks
from mialib.core.executors import elsewhere
from mialib.core.extras import extra

if TYPE_CHECKING:
    from distributed import Client

    from mialib.cluster.stacks import Cluster

WAIT = 30.0  # seconds for an address to answer, and for a first worker
SETTLED = 1.0  # seconds without a new one, after which all are taken to be there


@contextmanager
def at(address: str, *, wait: float = WAIT) -> Iterator[Cluster]:
    """Within the block, in all threads of this process, the cluster of this address does the work. As `connect`."""
    cluster = connect(address, wait=wait)
    try:
        with elsewhere(cluster):
            yield cluster
    finally:
        cluster.close()


def connect(address: str, *, wait: float = WAIT) -> Cluster:
    """The cluster with its scheduler at `address`, such as tcp://scheduler:8786; all of its workers are checked.

    wait: seconds for the address to answer, and for a first worker to be there. Raises ExtraMissing without the extra
    mialib[cluster], and ClusterError, naming the address or a worker: for an address that does not answer, a cluster without
    workers, workers without mialib or with another version of it, of Python or of the libraries that compute, with another
    data set under the same name in their data folder, with several threads, or that cannot write to the cache folder that
    they share with this process.
    """
    if not isinstance(address, str) or not re.fullmatch(r"(tcp|tls|ws|wss|ucx)://[^\s/]+:\d+", address):
        raise ClusterError(f"cluster must be the address of a scheduler, such as tcp://127.0.0.1:8786, got {address!r}")
    checks.real("wait", wait, 0, open_low=True)
    with extra("cluster"):
        from distributed import Client

        from mialib.cluster.stacks import Cluster
    try:
        client = Client(address, timeout=wait, set_as_default=False, name="mialib")
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"no scheduler answers at {address} within {wait:g} s: {error}") from error
    try:
        _wait_for_workers(client, address, wait)
        return Cluster(client, address)
    except BaseException:
        client.close()
        raise


def _wait_for_workers(client: Client, address: str, wait: float) -> None:
    """Until there are some, and no more come: how work is cut into stacks depends on their number."""
    try:
        client.wait_for_workers(1, timeout=wait)
    except TimeoutError as error:
        how = f"dask worker {address} --nworkers 2 --nthreads 1"
        text = f"the cluster at {address} has 0 workers, {wait:g} s after it was asked: start some, {how}"
        raise ClusterError(text) from error
    end, n = time.monotonic() + wait, 0
    while time.monotonic() < end and n < (now := client.scheduler_info(n_workers=0)["n_workers"]):
        n = now
        time.sleep(SETTLED)
