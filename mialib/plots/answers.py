"""Figures of what a model answers to members and to others: Fig. 12, and how far the two lie apart."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mialib.plots.attacks import noise_per_cent
from mialib.plots.keys import figure_key, name_in_key
from mialib.plots.names import in_words
from mialib.plots.panels import name_axes, place_of
from mialib.plots.style import GREY, MEMBERS, NONMEMBERS, OURS, axis_start, error_bars, mark_coin

QUANTITY_AXIS = {  # the two quantities of Fig. 12 (p. 12), as the paper defines them
    "uncertainty": "entropy / log(classes)",
    "accuracy": "probability of the true class",
}
_SIDES = ((True, "members", MEMBERS), (False, "non-members", NONMEMBERS))


def histograms(bars: pd.DataFrame, paper: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """Fig. 12: how uncertain and how right the answers are, for members and non-members: bars are ours, outlines the paper's.

    bars: quantity, member, bin_left, share; paper: member, bin_left, share, or no row.
    """
    paper = bars.iloc[:0] if paper is None else paper
    for member, words, colour in _SIDES:
        own = bars[bars["member"] == member].sort_values("bin_left")
        ax.bar(own["bin_left"], own["share"], 1 / len(own), align="edge", color=colour, alpha=0.45, linewidth=0)
        theirs = paper[paper["member"] == member].sort_values("bin_left")
        if len(theirs):
            ax.stairs(theirs["share"], np.append(theirs["bin_left"], 1), color=colour, linewidth=1.2)
        name_in_key(ax, words, colour)
    if len(paper):
        name_in_key(ax, "filled: ours", GREY)
        name_in_key(ax, "outline: the paper", GREY)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=_axis_of(bars))
    ax.set_ylabel("share of records" if place_of(ax).left else "")
    figure_key(ax)


def answer_differences(bars: pd.DataFrame, paper: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """Members less non-members: how many points of all members more, or fewer, than of all others are answered so. Bars are
    ours, up where members are more; the thin line is the paper's, of a data set of its own (`of`), for scale.

    bars: quantity, member, bin_left, share; paper: of, quantity, member, bin_left, share.
    """
    own = _difference(bars)
    colours = np.where(own > 0, MEMBERS, NONMEMBERS)
    ax.bar(own.index, own, 1 / len(own), align="edge", color=colours, alpha=0.75, edgecolor="white", linewidth=0.4)
    ax.axhline(0, color=GREY, linewidth=0.8)
    name_in_key(ax, "more members", MEMBERS)
    name_in_key(ax, "more non-members", NONMEMBERS)
    if paper is not None:
        for of, rows in paper.groupby("of", sort=False):
            theirs = _difference(rows)
            ax.stairs(theirs, np.append(theirs.index, 1), color="black", linewidth=0.9, baseline=None)
            name_in_key(ax, f"line: the paper's\n{in_words(of)}, for scale", "black")
    ax.set(xlim=(0, 1), xlabel=_axis_of(bars))
    ax.set_ylabel("members less\nnon-members (%)" if place_of(ax).left else "")
    figure_key(ax)


def _difference(bars: pd.DataFrame) -> pd.Series:
    """Per cent of the members in a bin less that of the non-members, by the bin's left end."""
    sides = bars.pivot(index="bin_left", columns="member", values="share").sort_index()
    return 100 * (sides[True] - sides[False])


def _axis_of(bars: pd.DataFrame) -> str:
    return QUANTITY_AXIS.get(str(bars["quantity"].iloc[0]), str(bars["quantity"].iloc[0]))


def accuracy_gaps(table: pd.DataFrame, *, ax: Axes) -> None:
    """Table I: how well each target answers fresh records (left end) and its own (right end), ours filled with 95% intervals,
    the paper's hollow below it; the line between is the train-test gap.

    table: our_target, and train_ and test_ accuracies: paper, ours, low, high (see `paper.beside.table_one`).
    """
    for y, row in enumerate(table.to_dict("records")):
        for side, of, colour, fill in ((-0.14, "ours", OURS, OURS), (0.14, "paper", "black", "none")):
            ends = [row[f"test_{of}"], row[f"train_{of}"]]
            ax.plot(ends, [y + side] * 2, color=colour, linewidth=1.6 if of == "ours" else 0.8, zorder=1)
            ax.plot(ends, [y + side] * 2, "o", color=colour, markerfacecolor=fill if of == "ours" else "white", zorder=3)
        for part in ("test", "train"):
            ax.hlines(y - 0.14, row[f"{part}_low"], row[f"{part}_high"], color=OURS, linewidth=4, alpha=0.35)
    ax.set_yticks(range(len(table)), [in_words(name) for name in table["our_target"]])
    ax.set(
        ylim=(len(table) - 0.5, -0.5), xlabel="accuracy: on fresh records (left end), on its own (right end)", xlim=(None, 1.02)
    )
    figure_key(ax, [("filled: ours", OURS), ("hollow: the paper", "black"), ("pale: 95% interval", OURS)])


ODDS_TICKS = {0.001: "0.1%", 0.1: "10%", 0.5: "", 0.9: "90%", 0.999: "99.9%"}  # probabilities on an axis of log-odds
COLOUR_OF_SIDE = {"members": MEMBERS, "non-members": NONMEMBERS}  # whose answers alone come from shadows on noisy data


def answer_shift(shapes: pd.DataFrame, *, ax: Axes) -> None:
    """What noise does to the shadows' answers: filled, the target's answers to members and non-members, the same in all panels
    of a target; lines, those of its shadows; dotted, the border that an attacker finds between the latter.

    shapes: see `study.noise.answer_shapes`. Facet by our_target and setting.
    """
    for member, words, colour in _SIDES:
        for model in ("target", "shadows"):
            own = shapes[(shapes["model"] == model) & (shapes["member"] == member)].sort_values("bin_left")
            edges = np.append(own["bin_left"], own["bin_right"].iloc[-1])
            if model == "target":
                ax.stairs(own["share"], edges, color=colour, alpha=0.35, fill=True, linewidth=0)
                name_in_key(ax, words, colour)
            else:
                ax.stairs(own["share"], edges, color=colour, linewidth=1.3)
    ax.axvline(shapes["threshold"].iloc[0], color="black", linestyle=":", linewidth=1.2)
    odds = [float(np.log(p / (1 - p))) for p in ODDS_TICKS]
    ax.set_xticks(odds, list(ODDS_TICKS.values()))
    ax.set(xlim=(shapes["bin_left"].min(), shapes["bin_right"].max()), ylim=(0, None))
    name_axes(ax, "probability of the true class", "share of records")
    for words in ("filled: the target", "line: its shadows", "dotted: the best\nborder on shadows"):
        name_in_key(ax, words, GREY)
    figure_key(ax)


def noise_by_side(summary: pd.DataFrame, paper: pd.DataFrame, *, ax: Axes) -> None:
    """One metric of the attack against the noise in the shadows' data, with 95% intervals, where answers about both members and
    non-members come from shadows on noisy data, or one of them alone; the paper's hollow.

    summary: `study.tables.summary` of `study.noise.trials_by_side`: setting, variant, metric, value, low, high; paper: setting,
    metric, published. Facet by our_target and metric.
    """
    mark_coin(ax)
    real = summary[summary["setting"] == "shadow:real"]
    noisy = summary[summary["setting"] != "shadow:real"]
    sides = noisy["variant"].where(noisy["variant"].isin(COLOUR_OF_SIDE), "both")
    for aside, name in zip((0, -0.7, 0.7), ("both", *COLOUR_OF_SIDE), strict=True):
        colour, rows = COLOUR_OF_SIDE.get(name, "black"), pd.concat([real, noisy[sides == name]])
        pen: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 3, "capsize": 2, "linewidth": 1.2}
        ax.errorbar(rows["setting"].map(noise_per_cent) + aside, rows["value"], error_bars(rows), **pen)
        name_in_key(ax, "noise in both" if name == "both" else f"in {name} alone", colour)
    known = paper.drop_duplicates("setting").dropna(subset="published")
    if len(known):
        hollow: dict[str, Any] = {"color": "black", "markerfacecolor": "none", "markersize": 7}
        ax.plot(known["setting"].fillna("").map(noise_per_cent), known["published"], "o", **hollow)
        name_in_key(ax, "\u25cb the paper", "black")
    ax.set(ylim=(axis_start(pd.concat([summary["low"], paper["published"]])), 1.04))
    name_axes(ax, "bits flipped (%)", "mean over targets")
    figure_key(ax)
