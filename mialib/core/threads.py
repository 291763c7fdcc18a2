"""Threads that compute on one core each: no kernel is split between cores, so none waits for another one's end.

On small matrices the waiting costs more than the arithmetic, and many times more when other programs share the machine.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def one_a_core(jobs: int, threads: int | None = None) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """A pool of min(cores, jobs) threads, and their number. Waiting jobs are dropped on an error.

    threads: cores that a job computes on; None divides all of them among the jobs, which pays only where kernels are large.
    """
    cores = torch.get_num_threads()
    n_workers = max(1, min(cores, jobs))
    with ThreadPoolExecutor(n_workers, initializer=compute_on, initargs=(threads or cores // n_workers,)) as pool:
        try:
            yield pool, n_workers
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)


def compute_on(cores: int) -> None:
    """Let this thread compute on so many cores."""
    torch.get_num_threads()  # at its first question a thread is told what was set last in any: this is the first one
    torch.set_num_threads(cores)
