"""Shares of a run, for machines that know nothing of one another but share the cache, or copy it together."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from mialib.core import cache
from mialib.core.executors import LeftToOthers, Work, Workers, elsewhere, made_here


class BadShard(ValueError):
    """A share that there is not."""


class Shard:
    """Does every n-th stack of a work, here: shard number `number` (from 1) of `n`.

    Which stacks are whose depends on the work alone, not on what is done already: the shards need not start together. What it
    leaves is made by others; a caller that needs it gets LeftToOthers, after this share is done. done: pieces that were made,
    and are kept, so far.
    """

    def __init__(self, number: int, n: int) -> None:
        if not 1 <= number <= n:
            raise BadShard(f"shard must be i/n with i in 1..n, such as 3/16, got {number}/{n}")
        self.number, self.n, self.workers = number, n, Workers(n)
        self.where = f"in {n} shards"
        self.done = 0
        self.announced: list[Work] = []

    @classmethod
    def of(cls, text: str) -> "Shard":
        """From "3/16". Raises BadShard."""
        if not (parts := re.fullmatch(r"(\d+)/(\d+)", text)):
            raise BadShard(f"shard must be i/n with i in 1..n, such as 3/16, got {text!r}")
        return cls(*map(int, parts.groups()))

    def made(self, work: Work, missing: list[int]) -> Iterator[tuple[int, Any]]:
        """Those of the missing pieces that are this shard's; raises LeftToOthers if there are more."""
        mine = sorted({*self._mine(work)} & {*missing})
        with elsewhere(None):
            for i, result in made_here(work, mine) if mine else ():
                self.done += work.kind is not None
                yield i, result
        if left := len(missing) - len(mine):
            raise LeftToOthers(f"{left} of {len(work.pieces)} pieces of work are other shards' than {self.number}/{self.n}")

    def begin(self, works: Sequence[Work]) -> None:
        """This shard's pieces of works that will be wanted."""
        for work in works:
            missing = [i for i in range(len(work.pieces)) if not work.is_kept(i)]
            with suppress(LeftToOthers):
                for i, result in self.made(work, missing) if missing else ():
                    if not work.keeps:
                        work.keep(i, result)

    def _mine(self, work: Work) -> Iterator[int]:
        if work.kind is None:  # not kept: each shard that needs it makes it
            yield from range(len(work.pieces))
            return
        start = int(cache.digest(dict(work.keys[0])), 16)  # another stack comes first in each work: small ones spread, too
        for j, stack in enumerate(work.stacks(range(len(work.pieces)), self.workers)):
            if (start + j) % self.n == self.number - 1:
                yield from stack
