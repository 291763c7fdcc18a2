"""Which of a run's data sets a figure draws, and which of these are stand-ins."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mialib.plots.names import in_words


def with_sources(frames: Sequence[pd.DataFrame], record: Mapping[str, Any], datasets: Sequence[str] = ()) -> list[pd.DataFrame]:
    """A figure's tables, with the column `source` of the run's data sets where they name data sets without it: empty where a
    name is no data set's. A first table that names none is given the one of `datasets`, or of the run, if that is one.
    """
    sources = {item["name"]: item["source"] for item in record["datasets"]}
    sources |= {in_words(name): source for name, source in sources.items()}
    drawn = datasets or list(dict.fromkeys(item["name"] for item in record["datasets"]))
    first, *others = frames
    if "dataset" not in first and len(drawn) == 1:
        first = first.assign(dataset=drawn[0])
    return [
        frame.assign(source=frame["dataset"].map(sources)) if "dataset" in frame and "source" not in frame else frame
        for frame in (first, *others)
    ]


def drawn_standins(frames: Sequence[pd.DataFrame], record: Mapping[str, Any], datasets: Sequence[str]) -> list[str]:
    """Those of a run's stand-ins that a figure draws: which its first table names, which `datasets` names, or else all. A name
    that is no data set's ("Purchase", for five of them) tells nothing, and rows that are all of real data need no name.
    """
    first = frames[0]
    if "source" in first and len(first) and (first["source"] == "real").all():
        return []
    known = {word: item["name"] for item in record["datasets"] for word in (item["name"], in_words(item["name"]))}
    named = list(first["dataset"].dropna().unique()) if "dataset" in first else []
    drawn = {known.get(name, "") for name in named}
    if not drawn or "" in drawn:
        drawn = set(datasets)
    return [
        name
        for name in dict.fromkeys(item["name"] for item in record["datasets"] if item["source"] != "real")
        if not drawn or name in drawn
    ]


def standin_note(names: Sequence[str]) -> str:
    """The note below a figure that draws these stand-ins; none draws no note."""
    return f"stand-in data: {', '.join(map(in_words, names))}" if names else ""
