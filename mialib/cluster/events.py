"""What workers and their nannies tell while they work: which stack was begun, and who was ended for want of memory."""

from collections import deque
from typing import Any

from distributed import Client

from mialib.cluster.worker import EVENTS

ENDED_FOR_MEMORY = "worker-restart-memory"  # Dask's nannies tell it


class Events:
    """Follows what a cluster tells from now on. begun: by stack, each worker that began it, in order."""

    def __init__(self, client: Client) -> None:
        self.begun: dict[str, list[str]] = {}
        self._last: dict[str, str] = {}  # of each worker, the stack that it began last
        self._too_large: deque[str] = deque()
        client.subscribe_topic(EVENTS, self._hear_of_a_stack)
        client.subscribe_topic(ENDED_FOR_MEMORY, self._hear_of_an_end)

    def too_large(self) -> list[str]:
        """Stacks over which a worker was ended for want of memory, each told once."""
        return [self._too_large.popleft() for _ in range(len(self._too_large))]

    def _hear_of_a_stack(self, event: tuple[float, dict[str, Any]]) -> None:
        stack, worker = event[1]["stack"], event[1]["worker"]
        self.begun.setdefault(stack, []).append(worker)
        self._last[worker] = stack

    def _hear_of_an_end(self, event: tuple[float, dict[str, Any]]) -> None:
        if (stack := self._last.pop(event[1]["worker"], None)) is not None:
            self._too_large.append(stack)
