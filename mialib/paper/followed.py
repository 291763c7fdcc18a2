"""Values that are not the paper's, followed up: beside what the same targets give when they are attacked in other ways."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from mialib.paper.comparison import results_table
from mialib.paper.values import KEY
from mialib.study.experiments import Outcome

FOLLOW_UP = [*KEY, "our_train_size", "way", "value", "low", "high", "n_targets"]


def followed_up(ways: Mapping[str, Sequence[Outcome]], ids: Iterable[str]) -> pd.DataFrame:
    """Every value published under `ids`, as each way of attacking gives it (`study.other_ways`): the columns FOLLOW_UP.

    Raises ValueError where nothing was published of what was attacked.
    """
    ids = list(ids)
    parts = [results_table(outcomes, ids).assign(way=way)[FOLLOW_UP] for way, outcomes in ways.items()]
    return pd.concat(parts, ignore_index=True)
