"""What the paper says of its settings, what each notebook's run had in their place, and why; and what the paper leaves open.

`published/settings.csv` holds a row a notebook, data set and setting: the paper's in words (several values in order, "; "
between them), where it says so, the parameter of the notebook that is ours, and why ours may differ.
`published/open_questions.csv` holds what the paper does not say, or says in two ways, and what is done here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mialib.paper.comparison import NOT_RUN
from mialib.paper.saved import Saved
from mialib.paper.values import _read
from mialib.plots.names import in_words

SETTING = ["notebook", "dataset", "setting", "paper", "where"]
AT_MOST = "at most "  # before a number of the paper's that it does not say to have reached


def stated_settings() -> pd.DataFrame:
    """The paper's settings, as text: notebook, dataset, setting, paper, where; parameter (what is ours: a parameter's name, or
    two whose product it is, or "data", "targets", "networks"), at (a key of the parameter, where that is a dict), and why.
    """
    return _read("settings.csv", numbers=())


def open_questions() -> pd.DataFrame:
    """What the paper leaves open, or says in two ways, a row a question, text: question, paper, here."""
    return _read("open_questions.csv", numbers=())


def beside_paper(study: Saved) -> pd.DataFrame:
    """Every setting that the paper states beside that of the saved run: notebook, run, dataset (in words), setting, paper,
    where, ours, deviates (bool), why ("" where it does not).

    09_modern_attacks is set beside Carlini et al. 2022. "not run" is said of what the runs left out: it deviates.
    """
    rows = []
    for row in stated_settings().to_dict("records"):
        record = study.records.get(row["notebook"])
        ours = NOT_RUN if record is None else _ours(row, record, study.values)
        deviates = not _agree(row["paper"], ours)
        why = (NOT_RUN if ours == NOT_RUN else row["why"]) if deviates else ""
        told = {name: row[name] for name in SETTING} | {"dataset": in_words(row["dataset"])}
        rows.append(told | {"ours": ours, "deviates": deviates, "why": why})
    table = pd.DataFrame(rows)
    runs = dict(zip(study.runs["notebook"], study.runs["run"], strict=True)) if len(study.runs) else {}
    table.insert(1, "run", [runs.get(notebook, NOT_RUN) for notebook in table["notebook"]])
    return table


def _ours(row: Mapping[str, str], record: Mapping[str, Any], values: pd.DataFrame) -> str:
    """One setting of a run, in the words in which the paper's stands: "10; 5; 5; 5"."""
    parameters, sources = record["parameters"], {each["name"]: each["source"] for each in record["datasets"]}
    if row["dataset"] not in sources:
        return NOT_RUN
    if row["parameter"] == "data":
        return {"standin": "stand-in"}.get(sources[row["dataset"]], sources[row["dataset"]])
    if row["parameter"] == "targets":
        own = values[(values["notebook"] == row["notebook"]) & (values["dataset"] == row["dataset"])]
        return "; ".join(map(in_words, dict.fromkeys(own["our_target"]))) or NOT_RUN
    if row["parameter"] == "networks":
        return "residual" if row["at"] in parameters["RESIDUAL"] else "convolutional"
    found = [parameters[name] for name in row["parameter"].split()]
    found = [each.get(row["at"], NOT_RUN) if isinstance(each, Mapping) else each for each in found]
    return _said(found[0] if len(found) == 1 else float(np.prod(found)))


def _said(value: Any) -> str:
    """Numbers as the paper's stand in settings.csv: "2,500; 5,000", "0.001"."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(map(_said, value))
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value)


def _agree(paper: str, ours: str) -> bool:
    """Whether ours is the paper's setting, or the most that it allows; the order of several values is none of it."""
    return sorted(paper.removeprefix(AT_MOST).split("; ")) == sorted(ours.split("; "))
