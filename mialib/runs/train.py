"""Train what a notebook trains, into the cache, and no more: a share of it, for machines that know nothing of one another."""

import json
import sys
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from mialib.cluster import Shard
from mialib.core import cache
from mialib.core.executors import LeftToOthers, elsewhere
from mialib.runs.execute import RunFailed, kernel_environment
from mialib.runs.parameters import UsageError, merged
from mialib.runs.publish import scratch_folder


class Trained(NamedTuple):
    """How much of a notebook a shard trained; left: cells that need what other shards train."""

    notebook: str
    shard: Shard
    left: int

    def __str__(self) -> str:
        name = f"{self.notebook}, shard {self.shard.number}/{self.shard.n}"
        what = f"{self.shard.done} models and the like made here"
        if not self.left:
            return f"{name}: {what}; all is in the cache"
        return f"{name}: {what}; {self.left} cells wait for what others train: the same command goes on once that is there"


def train(notebook: str, profile: str, data: str, given: Mapping[str, str], root: Path, shard: Shard) -> Trained:
    """Run a notebook's cells in this process, for what they train: of that the shard's share. Nothing is published.

    A cell that needs what is another shard's is left, and so are those that miss its names. Raises UsageError before anything
    runs, RunFailed for a cell that fails.
    """
    if cache.keeps_nothing():
        raise UsageError("train keeps what it trains in the cache, and MIALIB_CACHE=off keeps nothing")
    parameters = merged(root, notebook, profile, data, given)
    cells = json.loads((root / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
    left = 0
    with scratch_folder(root, notebook) as scratch, kernel_environment(scratch, root, bars=True), chdir(root / "notebooks"):
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] == "code":
                with elsewhere(shard):
                    left += not _done("".join(cell["source"]), f"{notebook}, cell {number}", names, left > 0)
                names |= parameters if "parameters" in cell["metadata"].get("tags", []) else {}
    return Trained(notebook, shard, left)


def _done(source: str, place: str, names: dict[str, Any], some_left: bool) -> bool:
    """Whether a cell ran to its end; RunFailed if it failed, unless it misses a name that a cell before it did not make."""
    try:
        exec(compile(source, place, "exec"), names)
        return True
    except LeftToOthers:
        return False
    except Exception as error:
        if some_left and isinstance(error, NameError):
            return False
        raise RunFailed(f"{place}: {type(error).__name__}: {error}") from error
    finally:
        if plt := sys.modules.get("matplotlib.pyplot"):
            plt.close("all")
