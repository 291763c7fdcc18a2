"""Values that are not the paper's, followed up: beside what the same targets give when they are attacked in other ways."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from mialib.paper.comparison import results_table
from mialib.paper.values import KEY
from mialib.study.experiments import Outcome
from mialib.study.other_ways import THE_ATTACK

FOLLOW_UP = [*KEY, "our_train_size", "way", "value", "low", "high", "n_targets"]
CLOSE = 0.05  # as `compare` has it


def followed_up(ways: Mapping[str, Sequence[Outcome]], ids: Iterable[str]) -> pd.DataFrame:
    """Every value published under `ids`, as each way of attacking gives it (`study.other_ways`): the columns FOLLOW_UP.

    Raises ValueError where nothing was published of what was attacked.
    """
    ids = list(ids)
    parts = [results_table(outcomes, ids).assign(way=way)[FOLLOW_UP] for way, outcomes in ways.items()]
    return pd.concat(parts, ignore_index=True)


def differing(values: pd.DataFrame, followed: pd.DataFrame) -> pd.DataFrame:
    """The values that count and are further than 0.05 from the paper's, or miss its bound: dataset, metric, train_size,
    published, value, low, high, verdict; what each way of `followed_up` gives, but the attack itself; `within`, the ways that
    come to within 0.05; and `experiment`, the notebook and table that follow the value up, "" where none does.

    values: what `compare` gives. followed: notebook, then the columns FOLLOW_UP.
    """
    rows = values[values["counts"] & ~values["verdict"].isin(("reproduced", "near", "met"))]
    rows = rows[[*KEY, "our_train_size", "published", "value", "low", "high", "verdict"]]
    ways = [way for way in dict.fromkeys(followed["way"]) if way != THE_ATTACK]
    on = [*KEY, "our_train_size"]
    wide = followed.pivot_table(index=["notebook", *on], columns="way", values="value", sort=False, dropna=False)
    wide = (
        wide.reindex(columns=ways).dropna(how="all").reset_index() if len(followed) else pd.DataFrame(columns=["notebook", *on])
    )
    rows = rows.merge(wide, how="left", on=on)
    close = (rows[ways].sub(rows["published"], axis=0)).abs() <= CLOSE + 1e-12
    rows["within"] = [", ".join(np.array(ways)[list(row)]) for row in close.to_numpy()]
    rows["experiment"] = (rows.pop("notebook") + ": followed_up").fillna("")
    return rows.drop(columns=["id", "target", "setting", "our_train_size"]).reset_index(drop=True)
