"""Figures of a single attack, step by step: prediction vectors, the shadows' splits, numbers of members and of non-members."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from mialib.plots.style import GREY, MEMBERS, NONMEMBERS, write_key

KEY_OF_MEMBERSHIP = {True: ("members", MEMBERS), False: ("non-members", NONMEMBERS)}
UNUSED = "#E6E6E6"


def prediction_vectors(vectors: pd.DataFrame, *, ax: Axes, true_class: int) -> None:
    """The answers of a model to a member and to a non-member of one class, side by side: a pair of bars a class.

    vectors: cls, member and nonmember (the probabilities). true_class: that of both records.
    """
    for side, column, colour in ((-0.2, "member", MEMBERS), (0.2, "nonmember", NONMEMBERS)):
        ax.bar(vectors["cls"] + side, vectors[column], 0.4, color=colour)
    ax.annotate("true class", (true_class, 1), (0, 3), textcoords="offset points", ha="center")
    write_key(ax, [("a member", MEMBERS), ("a non-member", NONMEMBERS)])
    ax.set(xlim=(-0.6, len(vectors) - 0.4), ylim=(0, 1.15), xlabel="class", ylabel="probability")


def shadow_splits(splits: pd.DataFrame, *, ax: Axes) -> None:
    """Which records shadow models are trained on, and which others they are asked about: a row a shadow, a column a record.

    splits: shadow, record, member, nonmember (of that shadow's split).
    """
    roles = splits.assign(role=splits["member"] + 2 * splits["nonmember"])
    grid = roles.pivot(index="shadow", columns="record", values="role")
    n_shadows, n_records = grid.shape
    colours = ListedColormap([UNUSED, MEMBERS, NONMEMBERS])
    ax.imshow(grid, colours, aspect="auto", interpolation="nearest", vmin=0, vmax=2)
    ax.hlines(np.arange(n_shadows - 1) + 0.5, -0.5, n_records - 0.5, color="white", linewidth=2)
    write_key(ax, [*KEY_OF_MEMBERSHIP.values(), ("not drawn", GREY)], x=1.02)
    ax.set(xlabel="records of the pool", ylabel="shadow model")
    ax.set_yticks(range(n_shadows), list(grid.index))


def by_membership(
    records: pd.DataFrame, *, ax: Axes, column: str, span: tuple[float, float] = (0, 1), threshold: float | None = None
) -> None:
    """How a number is spread over members and over non-members, as two histograms; dashed: the threshold of a decision.

    records: member, the column. span: ends of the axis; what lies beyond is counted in the first and the last bar.
    """
    import seaborn as sns  # late: who audits a model has none

    edges = np.linspace(*span, 31).tolist()
    colours = {member: colour for member, (_, colour) in KEY_OF_MEMBERSHIP.items()}
    within = records.assign(**{column: records[column].clip(*span)})
    sns.histplot(within, x=column, hue="member", palette=colours, bins=edges, alpha=0.45, linewidth=0, legend=False, ax=ax)
    if threshold is not None:
        ax.axvline(threshold, color=GREY, linestyle="--", linewidth=1)
    write_key(ax, list(KEY_OF_MEMBERSHIP.values()), x=0.35)
    ax.set(xlim=span, xlabel=column, ylabel="records")
