"""Data sets: the official files where they can be had, documented stand-ins where not."""

from mialib.core.types import Dataset, Features, Split
from mialib.data.adult import adult_frame
from mialib.data.catalogue import CLASS_NAMES, class_name
from mialib.data.download import DataCorrupt, DataUnavailable
from mialib.data.loading import NAMES, load, provenance, split_target

__all__ = [
    "CLASS_NAMES", "NAMES", "DataCorrupt", "DataUnavailable", "Dataset", "Features", "Split", "adult_frame", "class_name",
    "load", "provenance", "split_target",
]  # fmt: skip
