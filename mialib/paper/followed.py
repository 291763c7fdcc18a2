"""Values that are not the paper's, followed up: beside what the same targets give when they are attacked in other ways."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from mialib.paper.comparison import one_reading, results_table
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


def beside_ways(followed: pd.DataFrame) -> pd.DataFrame:
    """A table `followed_up` for the eye: a row a training size (ours) and way, first the paper's; a column a metric ("recall",
    the attack's), empty for the paper where it gives no number.
    """
    followed = followed.assign(setting=followed["setting"].astype(object).fillna(""))  # as a table is read back
    asked = followed[[*KEY, "our_train_size"]].drop_duplicates()
    theirs = asked.merge(one_reading(), on=KEY).assign(way="the paper").rename(columns={"published": "value"})
    rows = pd.concat([theirs, followed]).sort_values("our_train_size", kind="stable")
    rows["metric"] = rows["metric"].str.removeprefix("attack_")
    wide = rows.pivot_table(index=["our_train_size", "way"], columns="metric", values="value", sort=False)
    return wide.rename_axis(index={"our_train_size": "train_size"})
