"""Threads that compute on one core each: no kernel is split between cores, so none waits for another one's end.

On small matrices the waiting costs more than the arithmetic, and many times more when other programs share the machine.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def one_a_core(jobs: int) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """A pool of min(cores, jobs) threads, and their number; the cores are divided among them. Waiting jobs are dropped
    on an error.
    """
    cores = torch.get_num_threads()
    n_workers = max(1, min(cores, jobs))
    with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(cores // n_workers,)) as pool:
        try:
            yield pool, n_workers
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)
