"""A figure of families of models, each fixed over all class counts."""

import pandas as pd
from matplotlib.axes import Axes

from mialib.plots.keys import figure_key, name_in_key
from mialib.plots.names import in_words
from mialib.plots.panels import name_axes
from mialib.plots.style import GREY, error_bars, line_colours, mark_coin


def family_lines(table: pd.DataFrame, paper: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """One metric by the number of classes, a line a family with its intervals; a ring where the surrogate takes the family.
    Hollow squares are the paper's values of the service itself (Table II).

    table: see `study.families.family_table`; facet by metric, not shared. paper: the rows of T2 of `compared`.
    """
    counts = sorted(table["n_classes"].unique())
    at = {count: place for place, count in enumerate(counts)}
    colours = line_colours(table["family"])
    for i, (family, rows) in enumerate(table.groupby("family", sort=False)):
        rows = rows.sort_values("n_classes")
        x = rows["n_classes"].map(at) + 0.08 * (2 * i - 1)
        colour = colours[str(family)]
        ax.errorbar(x, rows["value"], error_bars(rows), fmt="o-", color=colour, markersize=3, capsize=1.5, linewidth=1)
        chosen = rows["taken"] > 0.5
        ax.plot(x[chosen], rows.loc[chosen, "value"], "o", color=colour, markersize=9, markerfacecolor="none")
        name_in_key(ax, str(family), colour)
    if paper is not None and len(paper):
        by_dataset = table.groupby("dataset")["n_classes"].first().map(at)
        known = paper[paper["dataset"].isin(by_dataset.index)]
        ax.plot(known["dataset"].map(by_dataset), known["published"], "s", color="black", markerfacecolor="none", markersize=5)
    if (table["metric"] == "attack_precision").all():
        mark_coin(ax)
    ax.set_xticks(range(len(counts)), [str(count) for count in counts])
    name_axes(ax, "classes", "")
    ax.set_ylabel(in_words(table["metric"].iloc[0]))
    figure_key(ax, [("ring: taken by\nthe surrogate", GREY), ("squares: the paper", "black")])
