"""Figures of classes: precision class by class, boxes, scatters, histograms, pictures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from mialib.core.extras import extra
from mialib.plots.names import in_words, line_labels, line_names
from mialib.plots.style import GREY, MEMBERS, NONMEMBERS, OURS, axis_start, line_colours, mark_coin, write_key


def cdfs(
    classes: pd.DataFrame,
    paper: pd.DataFrame | None = None,
    *,
    ax: Axes,
    by: str,
    metric: str = "precision",
    ours: str = "ours",
) -> None:
    """Figs. 5 to 9: the share of classes whose attack precision (or recall) is at most x, all targets together, over the
    paper's curves (thin), where it has any.

    classes: `by`, whose values are the lines (see `names.line_names`), and the metric; paper: `by`, value. ours: what the thick
    lines are.
    """
    with extra("study"):
        import seaborn as sns  # late: its import takes a second, which most figures need not wait for

    mark_coin(ax, vertical=True)
    lines = line_names(classes, by)
    colours = line_colours(lines)
    paper = pd.DataFrame({by: [], "value": []}) if paper is None else paper
    known = line_names(paper, by)
    for line, points in paper[known.isin(colours)].groupby(known, sort=False):
        steps = np.sort(points["value"])
        ax.step(steps, np.arange(1, len(steps) + 1) / len(steps), where="post", color=colours[str(line)], linewidth=0.9)
    for line, rows in classes.groupby(lines, sort=False):
        sns.ecdfplot(x=rows[metric].dropna(), ax=ax, color=colours[str(line)], linewidth=2.2)
    values = pd.concat([classes[metric], paper["value"]])
    left = axis_start(values)
    words = [*colours.items(), *([(f"thick: {ours}", GREY), ("thin: the paper", GREY)] if len(paper) else [])]
    high = values.median() > (left + 1) / 2
    coin = (0.5 - left) / (1.01 - left)
    inside = coin + 0.015 if coin < 0.4 else 0.03  # where the axis reaches far down, few classes lie left of the coin
    write_key(ax, words, x=inside if high else 1.02, y=0.97, size=7.5)  # low curves leave no room inside
    ax.set(xlim=(left, 1.01), ylim=(0, 1.02), xlabel=f"attack {metric} of a class", ylabel="share of classes")
    ax.yaxis.set_major_formatter(PercentFormatter(1))


def class_dots(classes: pd.DataFrame, paper: pd.DataFrame, *, ax: Axes, names: Sequence[str]) -> None:
    """Fig. 4: the attack precision of each of ten classes; a faint dot a target, their mean filled, the paper's hollow. The
    dotted lines are the medians.

    classes: cls, precision; paper: cls, value. names: of the classes, in their order. Facet by training size.
    """
    mark_coin(ax)
    ax.plot(classes["cls"] - 0.12, classes["precision"], "o", color=OURS, markersize=2.5, alpha=0.4, markeredgewidth=0)
    means = classes.groupby("cls")["precision"].mean()
    ax.plot(means.index - 0.12, means, "o", color=OURS)
    ax.plot(paper["cls"] + 0.12, paper["value"], "o", color="black", markerfacecolor="none", markersize=5)
    for values, colour in ((means, OURS), (paper["value"], "black")):
        if len(values):
            ax.axhline(values.median(), color=colour, linestyle=":", linewidth=1, zorder=0)
    write_key(ax, [("ours", OURS), ("hollow: the paper", "black")], y=0.99, size=7)
    ax.set(ylim=(axis_start(classes["precision"]), 1.14), xlabel="class", ylabel="attack precision")
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= 1])


def pictures(shown: pd.DataFrame, *, ax: Axes) -> None:
    """A row of pictures that leak and one of pictures that do not, a column a class.

    shown: see `study.tables.leaking_pictures`.
    """
    height, width = int(shown["height"].iloc[0]), int(shown["width"].iloc[0])
    classes = list(dict.fromkeys(shown["cls"]))
    for row in shown.itertuples():
        picture = np.frombuffer(bytes.fromhex(str(row.pixels)), np.uint8).reshape(height, width, 3)
        left, bottom = classes.index(row.cls), 1.25 if row.exposed else 0.0
        ax.imshow(picture, extent=(left + 0.04, left + 0.96, bottom + 0.04, bottom + 0.96), interpolation="nearest")
        ax.text(left + 0.5, bottom - 0.02, f"{row.confidence:.2f}", ha="center", va="top", fontsize=6, color=GREY)
    ax.set(xlim=(0, len(classes)), ylim=(-0.2, 2.3), aspect="equal")
    ax.set_xticks(np.arange(len(classes)) + 0.5, list(dict.fromkeys(shown["name"])), fontsize=7)
    ax.set_yticks([1.73, 0.48], ["leaks most", "leaks least"], fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def boxes(classes: pd.DataFrame, compared: pd.DataFrame, *, ax: Axes) -> None:
    """Fig. 10: the attack precision of the classes, a filled box a number of classes; the paper's box beside it, hollow.

    classes: dataset, precision; compared: dataset, metric (attack_precision_p25 …), published.
    """
    mark_coin(ax)
    names = list(dict.fromkeys(classes["dataset"]))
    pens = {"linewidth": 1, "color": "black"}
    for place, name in enumerate(names):
        values = classes.loc[classes["dataset"] == name, "precision"].dropna()
        drawn = ax.boxplot(values, positions=[place - 0.2], widths=0.32, patch_artist=True, flierprops={"markersize": 2})
        drawn["boxes"][0].set(facecolor=OURS, alpha=0.6)
        drawn["medians"][0].set_color("black")
        own = compared[(compared["dataset"] == name) & (compared["id"] == "F10")]
        known = own.set_index("metric")["published"]
        if len(known):
            box = {key: known[f"attack_precision_{of}"] for key, of in BOX.items()}
            ax.bxp([{**box, "fliers": []}], positions=[place + 0.2], widths=0.32, medianprops=pens, boxprops=pens)
    write_key(ax, [("ours", OURS), ("hollow: the paper", "black")])
    ax.set(xlabel="classes", ylabel="attack precision of a class", xlim=(-0.6, len(names) - 0.4))
    ax.set(ylim=(axis_start(classes["precision"]), 1.04))
    ax.set_xticks(range(len(names)), [name.removeprefix("purchase") for name in names])


BOX = {"whislo": "whisker_low", "q1": "p25", "med": "p50", "q3": "p75", "whishi": "whisker_high"}


def scatter(points: pd.DataFrame, paper: pd.DataFrame, *, ax: Axes, by: str) -> None:
    """Fig. 11: one fact of a class against another; ours filled, the paper's hollow.

    points, paper: `by`, whose values have a colour each, x, y, and panel ("precision by gap"), which says what they are.
    """
    colours = line_colours(line_names(points, by))
    for line, colour in colours.items():
        theirs, own = paper[line_names(paper, by) == line], points[line_names(points, by) == line]
        ax.plot(theirs["x"], theirs["y"], "o", color=colour, markerfacecolor="none", markersize=3.5, markeredgewidth=0.6)
        ax.plot(own["x"], own["y"], "o", color=colour, markersize=2.5, alpha=0.7, markeredgewidth=0)
    y, _, x = str(points["panel"].iloc[0]).partition(" by ")
    share = x == "class share"
    if share:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    labels = {in_words(name): label for name, label in line_labels(points).items()} if by == "dataset" else {}
    words = [(labels.get(line, line), colour) for line, colour in colours.items()]
    write_key(ax, [*words, ("hollow: the paper", GREY)], x=0.97 if share else 0.03, right=share, size=7)
    ax.set(xlabel=x, ylabel=y, ylim=(None, ax.get_ylim()[1] + 0.65 * np.ptp(ax.get_ylim())))
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1])


def histograms(bars: pd.DataFrame, paper: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """Fig. 12: how uncertain and how right the answers are, for members and non-members: bars are ours, outlines the paper's.

    bars: quantity, member, bin_left, share; paper: member, bin_left, share, or no row.
    """
    paper = bars.iloc[:0] if paper is None else paper
    quantity = bars["quantity"] if "quantity" in bars else bars["panel"].str.rpartition(": ")[2]  # as it was saved once
    for member, colour in ((True, MEMBERS), (False, NONMEMBERS)):
        own = bars[bars["member"] == member].sort_values("bin_left")
        width = 1 / len(own)
        ax.bar(own["bin_left"], own["share"], width, align="edge", color=colour, alpha=0.45, linewidth=0)
        theirs = paper[paper["member"] == member].sort_values("bin_left")
        if len(theirs):
            ax.stairs(theirs["share"], np.append(theirs["bin_left"], 1), color=colour, linewidth=1.2)
    words = [("members", MEMBERS), ("non-members", NONMEMBERS), *([("outline: the paper", GREY)] if len(paper) else [])]
    left = (bars["share"] * bars["bin_left"]).sum() > 0.9
    write_key(ax, words, x=0.03 if left else 0.97, size=7, right=not left)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=quantity.iloc[0], ylabel="share of records")
