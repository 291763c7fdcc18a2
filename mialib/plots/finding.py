"""The one figure of README: why answers give members away, and what an attack made of them. Tables and an `ax` in."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from mialib.plots.names import in_words
from mialib.plots.style import GREY, MEMBERS, NONMEMBERS, OURS, axis_start, mark_coin

TITLE: dict[str, Any] = {"loc": "left", "fontsize": 10.5}
APART_WORDS = {  # the line above rows that do not count, by `apart`
    "surrogate": "no evidence: surrogates of models that are gone",
    "stand-in": "no evidence: stand-in (generated) data",
    "stand-in, surrogate": "no evidence: surrogates, on stand-in data",
}
FADED, FADED_TEXT = "#A9A9A9", "#777777"


def why_and_outcome(rows: pd.DataFrame, answers: pd.DataFrame, *, ax: Axes) -> None:
    """Two panels: how sure the targets are of the true class, members against non-members; and the paper's attack precision
    against ours, a row a data set, below a rule and grey what does not count. `ax` is the first, and makes room for the second.

    rows: `paper.scoreboard.finding_rows`; answers: dataset, train_size, member, bin_left, bin_right, records, as
    `study.tables.true_class_counts` gives them of one case, or no row.
    """
    figure, place = ax.get_figure(), ax.get_subplotspec()
    if figure is None or place is None:
        raise ValueError("ax must stand in a grid of subplots: two panels share its place")
    halves = place.subgridspec(1, 2, width_ratios=(0.95, 1))
    ax.set_subplotspec(halves[0])
    _why(answers, ax)
    _outcome(rows, figure.add_subplot(halves[1]))


def _why(answers: pd.DataFrame, ax: Axes) -> None:
    """Bars of members and non-members side by side, as shares of each, and in words what share lies in the last bin."""
    ax.set_title("A network is surer of its training pictures", **TITLE, x=-0.17)
    subject = " ".join([*answers["dataset"].head(1).map(in_words), "pictures"])
    ax.set(xlabel="network's probability for the right class", ylabel=f"share of {subject}", xlim=(0, 1.02), ylim=(0, 1.04))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    if answers.empty:
        ax.text(0.5, 0.5, "not run", ha="center", color=GREY)
        return
    groups = ((False, "non-members", NONMEMBERS, 0.6), (True, "members", MEMBERS, 0.98))
    for place, (member, who, colour, height) in enumerate(groups):
        own = answers[answers["member"] == member].sort_values("bin_left")
        share = (own["records"] / own["records"].sum()).to_numpy()
        width = (own["bin_right"] - own["bin_left"]).to_numpy() / 2
        ax.bar(own["bin_left"] + place * width, share, width, align="edge", color=colour, linewidth=0)
        seen = f"the {own['train_size'].iloc[0]:,.0f} it was trained on" if member else "as many it has never seen"
        last = f"{_percent(share[-1])} get more than {own['bin_left'].iloc[-1]:.2g}"
        for line, text in enumerate((who, seen, last)):
            weight = "bold" if line == 0 else "normal"
            ax.text(0.84, height - 0.065 * line, text, color=colour, ha="right", va="top", weight=weight)


def _percent(share: float) -> str:
    """ "28%"; "99.97%" where whole per cent would say that all are, or none is."""
    whole = f"{share:.0%}"
    return f"{share:.2%}" if whole in ("0%", "100%") and share not in (0, 1) else whole


def _outcome(rows: pd.DataFrame, ax: Axes) -> None:
    """Dumbbells; a line of words above each group of rows that does not count, and a rule above the first of them."""
    rows = rows.fillna({"apart": ""})  # empty cells of a table that was read back
    heads = (rows["apart"] != rows["apart"].shift(fill_value="")).to_numpy()
    heights = -np.arange(len(rows)) - heads.cumsum()  # a line of words takes the room of a row
    ax.set_title("so an attack tells them apart: paper and ours", **TITLE, x=-0.3)  # from above the rows' names on
    mark_coin(ax, vertical=True)
    ax.annotate("a coin", (0.5, 0.8), (4, 0), textcoords="offset points", color=GREY, va="center")
    for row, y in zip(rows.itertuples(), heights, strict=True):
        _dumbbell(row, y, ax)
    for row, y in zip(rows[heads].itertuples(), heights[heads] + 1, strict=True):
        words = APART_WORDS[str(row.apart)]
        style: dict[str, Any] = {"color": FADED_TEXT, "style": "italic", "fontsize": 8, "ha": "right", "va": "center"}
        ax.text(0.98, y, words, transform=ax.get_yaxis_transform(), **style)
    if heads.any():
        ax.axhline(heights[heads][0] + 1.5, color=FADED, linewidth=0.8)
    key: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "ha": "right", "fontsize": 8.5}
    ax.text(0.56, 0.8, "\u25cb the paper", **key)
    ax.text(1, 0.8, "\u25cf ours, 95% interval", color=OURS, **key)
    ax.set_yticks(heights, list(rows["label"]))
    for text, apart in zip(ax.get_yticklabels(), rows["apart"], strict=True):
        text.set_color(FADED_TEXT if apart else "black")
    start = axis_start(rows[["published", "value"]].min(axis=1))  # an interval of few targets may run out of the picture
    ax.set(xlim=(start, 1.02), ylim=(heights.min(initial=0) - 0.7, 1.2))
    ax.set_xlabel("attack precision (CIFAR: of the median class)\nn: pictures in training")


def _dumbbell(row: Any, y: float, ax: Axes) -> None:
    ours, theirs = (FADED, FADED) if row.apart else (OURS, "black")
    ax.plot([row.published, row.value], [y, y], color="#CCCCCC", linewidth=1, zorder=1)
    ax.plot([row.low, row.high], [y, y], color=ours, linewidth=2.2, zorder=3)
    ax.plot(row.value, y, "o", color=ours, markersize=5.5, zorder=4)
    ax.plot(row.published, y, "o", color=theirs, markerfacecolor="none", markersize=7.5, zorder=5)
