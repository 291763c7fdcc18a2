"""The folder in which the answers of an unfinished audit wait: private, found again by the same audit, deleted at its end."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from mialib.core import cache


@contextmanager
def kept_until_done(keep: bool, *determined_by: Any) -> Iterator[Path | None]:
    """A folder that only this user may read, in the system's temporary one; the cache is there, too, meanwhile.

    determined_by: JSON-able values: the same ones find the same folder again, after any stop. When the block ends well, all is
    deleted; with `keep`, the usual cache holds all instead, and goes on holding it. None where nothing may be kept
    (MIALIB_CACHE=off).
    """
    if cache.keeps_nothing():
        yield None
        return
    digest = cache.digest(*determined_by)[:16]
    folder = cache.cache_folder() / "audits" / digest if keep else _of_this_user() / digest
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with nullcontext() if keep else cache.kept_in(folder / "store"):
        yield folder
    if not keep:
        shutil.rmtree(folder)


def _of_this_user() -> Path:
    """PermissionError for a folder of this name that another user made, or may read."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"mialib-audits-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if hasattr(os, "getuid") and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise PermissionError(f"{folder} must be a folder that its user alone may read, for answers wait in it: remove it")
    return folder
