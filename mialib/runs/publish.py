"""Scratch folders of running notebooks, and how their content takes the place of older results: wholly or not at all.

A scratch folder is results/.running-PID-NAME-…, with `results` and `figures` in it. Once it also holds the file PUBLISH it
is complete, and is moved to its place whatever comes between: at once, or by `recover` when the next run starts.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mialib.core.cache import atomic

PARTS = ("results", "figures")


@contextmanager
def scratch_folder(root: Path, name: str) -> Iterator[Path]:
    """A folder for one run; at the end it is moved to its place if `publish` was called, and removed if not."""
    (root / "results").mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".running-{os.getpid()}-{name}-", dir=root / "results")).resolve()
    try:
        for part in PARTS:
            (scratch / part).mkdir()
        yield scratch
    finally:
        _close(scratch, root)


def publish(scratch: Path, place: str) -> None:
    """Declare a scratch folder complete: its parts belong in results/PLACE and figures/PLACE."""
    with atomic(scratch / "PUBLISH") as file:
        file.write(place.encode())


def recover(root: Path) -> None:
    """Clear up after runs that were killed: complete ones are moved to their place, others are removed."""
    for folder in (root / "results").glob(".running-*"):
        _, pid, rest = folder.name.split("-", 2)
        if _alive(int(pid)):
            continue
        claimed = folder.with_name(f".running-{os.getpid()}-{rest}")
        try:
            os.rename(folder, claimed)
        except OSError:  # another process was faster
            continue
        _close(claimed, root)


def _close(scratch: Path, root: Path) -> None:
    if (scratch / "PUBLISH").exists():
        _move_into_place(scratch, root)
    shutil.rmtree(scratch, ignore_errors=True)


def _move_into_place(scratch: Path, root: Path) -> None:
    """Move the parts of a complete scratch folder to their place. Broken off, it can be called again, and goes on."""
    place = (scratch / "PUBLISH").read_text(encoding="utf-8")
    for part in PARTS:
        target = root / part / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if (scratch / part).exists():
            if target.exists():
                os.rename(target, tempfile.mkdtemp(prefix=f"old-{part}-", dir=scratch))
            os.rename(scratch / part, target)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
