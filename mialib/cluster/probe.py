"""What a process of a cluster is: asked of workers before they train. It travels as source, to workers that may lack us."""

import os
from typing import Any


def facts(folder: str | None, token: str) -> dict[str, Any]:
    """What `worker.about` says of this process, or {"error": why it has no mialib}."""
    os.environ["TQDM_DISABLE"] = "1"  # the caller has the bar; tqdm reads this when it is imported, which torch does
    try:
        from mialib.cluster.worker import about
    except ImportError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return about(folder, token)
