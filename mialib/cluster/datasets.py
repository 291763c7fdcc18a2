"""Data sets on a worker, by digest: read from its own data folder where that has the same, else sent; held for other stacks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mialib.cluster import travel
from mialib.core import cache
from mialib.core.types import Dataset, Features

HELD = 4  # data sets of the past that a worker holds, at most
_held: dict[str, Dataset] = {}  # by digest; what was used last stands last


class Outline(NamedTuple):
    """A data set of `mialib.data` without its records: with a prepared file of the same records it is whole again."""

    name: str
    n_classes: int
    features: Features | None

    @classmethod
    def of(cls, dataset: Dataset) -> "Outline | None":
        """None for what no data folder holds: stand-ins, and a user's own."""
        known = dataset.source == "real" and dataset.frame is None and dataset.classes is None and dataset.encoder is None
        return cls(dataset.name, dataset.n_classes, dataset.features) if known else None

    def read(self, digest: str) -> Dataset | None:
        """The data set of this digest from this machine's data folder; None if that has none, or another, of the name."""
        try:
            with np.load(cache.data_folder() / f"{self.name}.npz", allow_pickle=False) as stored:
                x, y = cache.unpack(stored) if "x_packed" in stored.files else stored["x"], stored["y"].astype(np.int64)
            if cache.digest(x, y) == digest:
                return Dataset(self.name, x, y, self.n_classes, "real", self.features)
        except cache.DAMAGE:
            pass
        return None


class MissingDatasets(LookupError):
    """A worker was not given what a stack needs, for it came later, or anew: it is given it, and the stack is made again."""


def lacking(outlines: Mapping[str, Outline | None]) -> list[str]:
    """Of these digests, those that this process neither holds nor finds in its data folder."""
    for digest, outline in outlines.items():
        dataset = _held.pop(digest, None) or (outline and outline.read(digest))
        if dataset is not None:
            _hold(digest, dataset, len(outlines))
    return [digest for digest in outlines if digest not in _held]


def those(outlines: Mapping[str, Outline | None]) -> dict[str, Dataset]:
    """The data sets of these digests; MissingDatasets if any is lacking."""
    if missing := lacking(outlines):
        raise MissingDatasets(*missing)
    return {digest: _held[digest] for digest in outlines}


def take(digest: str, key: str, dask_worker: Any) -> None:
    """Hold the data set of which the cluster has sent the bytes, under this key. dask_worker: Dask gives it."""
    _hold(digest, travel.unpacked(dask_worker.data[key], {}))


def _hold(digest: str, dataset: Dataset, together: int = 1) -> None:
    _held[digest] = dataset
    for oldest in [*_held][: -max(HELD, together)]:
        del _held[oldest]
