"""One function a figure: tidy tables and an `ax` in, nothing out. The style file is mialib.mplstyle; labels stand beside lines.

The paper's values are hollow markers or thin lines; ours are filled or thick; 0.5, the score of a coin, is dashed grey.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from mialib.class_names import CLASS_NAMES
from mialib.marks import GREY, OURS, axis_start, error_bars, line_colours, mark_coin, write_key

MEMBERS, NONMEMBERS = "#D55E00", "#0072B2"
READINGS = {"flip": "#0072B2", "random": "#009E73"}


def _noise(setting: str) -> float:
    """Per cent of noise in the shadow data of a setting, 0 for real data."""
    return float(setting.partition("noise")[2] or 0)


def cdfs(classes: pd.DataFrame, paper: pd.DataFrame, ax: Axes, metric: str = "precision", ours: str = "ours") -> None:
    """Figs. 5 to 9: the share of classes whose attack precision (or recall) is at most x, all targets together, over the
    paper's curves (thin).

    classes: line, the metric; paper: line, value, or no row. ours: what the thick lines are.
    """
    mark_coin(ax, vertical=True)
    colours = line_colours(classes["line"])
    for line, points in paper[paper["line"].isin(colours)].groupby("line", sort=False):
        steps = np.sort(points["value"])
        ax.step(steps, np.arange(1, len(steps) + 1) / len(steps), where="post", color=colours[str(line)], linewidth=0.9)
    for line, rows in classes.groupby("line", sort=False):
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


def class_dots(classes: pd.DataFrame, paper: pd.DataFrame, ax: Axes) -> None:
    """Fig. 4: the attack precision of each of ten classes; a faint dot a target, their mean filled, the paper's hollow. The
    dotted lines are the medians.

    classes: line, cls, precision; paper: line, cls, value. Facet by line.
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
    names = CLASS_NAMES["cifar10"]
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= 1])


VARIANTS = {  # shadows by the paper's rule, and two ways to break it: colour, marker, words
    "none": (OURS, "o", "by the rule: disjoint, as large"),
    "swapped": ("#D55E00", "s", "swapped: the target's own records"),
    "smaller": ("#009E73", "^", "smaller, disjoint"),
}


def by_variant(table: pd.DataFrame, ax: Axes, metric: str = "precision") -> None:
    """A metric by training size, for shadows by the rule and for those that break it (`shadow.swapped_splits`, smaller ones).

    table: train_size, variant, metric, value, low, high.
    """
    mark_coin(ax)
    own = table[table["metric"] == metric]
    sizes = sorted(own["train_size"].unique())
    for side, (variant, (colour, marker, _)) in zip((-0.12, 0, 0.12), VARIANTS.items(), strict=True):
        rows = own[own["variant"] == variant]
        errors = error_bars(rows)
        ax.errorbar(rows["train_size"].map(sizes.index) + side, rows["value"], errors, color=colour, fmt=marker, capsize=2)
    write_key(
        ax, [(words, colour) for variant, (colour, _, words) in VARIANTS.items() if (own["variant"] == variant).any()], y=0.05
    )
    ax.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    ax.set(
        xlim=(-0.5, len(sizes) - 0.5),
        ylim=(axis_start(own["low"], 0.3), 1.02),
        xlabel="training size",
        ylabel=f"attack {metric}",
    )


def pictures(shown: pd.DataFrame, ax: Axes) -> None:
    """A row of pictures that leak and one of pictures that do not, a column a class. shown: see `tables.pictures`."""
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


def boxes(classes: pd.DataFrame, compared: pd.DataFrame, ax: Axes) -> None:
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


def scatter(points: pd.DataFrame, paper: pd.DataFrame, ax: Axes) -> None:
    """Fig. 11: one fact of a class against another; ours filled, the paper's hollow. points, paper: line, panel, x, y."""
    colours = line_colours(points["line"])
    for line, colour in colours.items():
        theirs, own = paper[paper["line"] == line], points[points["line"] == line]
        ax.plot(theirs["x"], theirs["y"], "o", color=colour, markerfacecolor="none", markersize=3.5, markeredgewidth=0.6)
        ax.plot(own["x"], own["y"], "o", color=colour, markersize=2.5, alpha=0.7, markeredgewidth=0)
    y, _, x = str(points["panel"].iloc[0]).partition(" by ")
    share = x == "class share"
    if share:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    write_key(ax, [*colours.items(), ("hollow: the paper", GREY)], x=0.97 if share else 0.03, right=share, size=7)
    ax.set(xlabel=x, ylabel=y, ylim=(None, ax.get_ylim()[1] + 0.65 * np.ptp(ax.get_ylim())))
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= 1])


def histograms(bars: pd.DataFrame, paper: pd.DataFrame, ax: Axes) -> None:
    """Fig. 12: how uncertain and how right the answers are, for members and non-members: bars are ours, outlines the paper's.

    bars, paper: member, bin_left, share.
    """
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
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=str(bars["panel"].iloc[0]).partition(": ")[2], ylabel="share of records")


def precision_by_noise(compared: pd.DataFrame, targets: pd.DataFrame, ax: Axes, metric: str = "precision") -> None:
    """A metric against the noise in the shadow data: ours with intervals, a faint dot a target, the paper's hollow.

    compared: setting, variant, metric, value, low, high, published; targets: setting, variant, target, the metric.
    """
    mark_coin(ax)
    compared = compared[compared["metric"] == f"attack_{metric}"].assign(noise=lambda t: t["setting"].fillna("").map(_noise))
    targets = targets.assign(noise=targets["setting"].map(_noise))
    for side, (variant, colour) in zip((-1, 1), READINGS.items(), strict=True):
        rows = compared[compared["variant"].isin([variant, "none"])].drop_duplicates("noise").sort_values("noise")
        if set(rows["variant"]) == {"none"}:
            continue
        errors = error_bars(rows)
        ax.errorbar(rows["noise"] + 0.35 * side, rows["value"], errors, color=colour, marker="o", capsize=2, linewidth=1.2)
        own = targets[targets["variant"].isin([variant, "none"])]
        ax.plot(own["noise"] + 0.9 * side, own[metric], ".", color=colour, alpha=0.5, markersize=4)
    known = compared.drop_duplicates("noise")
    ax.plot(known["noise"], known["published"], "o", color="black", markerfacecolor="none", markersize=7)
    words = [("ours, bits flipped", READINGS["flip"]), ("ours, bits replaced at random", READINGS["random"])]
    write_key(ax, [*words, ("faint: single targets", GREY), ("\u25cb the paper", "black")], y=0.14)
    ax.set(xlabel="features disturbed in the shadow data (%)", ylabel=f"attack {metric}", xticks=sorted(set(compared["noise"])))


def attack_comparison(table: pd.DataFrame, ax: Axes, end: float = 1.02) -> None:
    """One metric of several attacks, mean over targets with 95% intervals; the first row, the learned attack, on top.

    table: attack, metric, value, low, high, and `published` (the paper's attack; NaN where it gives none). Facet by metric.
    end: where the axis ends, unless a value lies beyond; an axis that ends near 0.5 begins near it, too.
    """
    table = table.iloc[::-1].reset_index(drop=True)
    mark_coin(ax, vertical=True)
    for y, row in table.iterrows():
        learned = y == len(table) - 1
        colour = OURS if learned else "#555555"
        ax.errorbar(
            row["value"],
            y,
            xerr=[[row["value"] - row["low"]], [row["high"] - row["value"]]],
            color=colour,
            marker="o",
            capsize=2,
        )
        if not np.isnan(row["published"]):
            ax.plot(row["published"], y, "o", color="black", markerfacecolor="none", markersize=7)
            ax.annotate("paper", (row["published"], y), (0, -8), textcoords="offset points", ha="center", va="top", fontsize=7)
    ax.set(
        xlim=(axis_start(table["low"], 0.5 - 0.1 * (end - 0.52)), max(end, table["high"].max())),
        ylim=(-0.6, len(table) - 0.4),
        xlabel=f"{table['metric'].iloc[0]}, mean over targets",
    )
    ax.set_yticks(range(len(table)), table["attack"])


def shadow_count(table: pd.DataFrame, ax: Axes) -> None:
    """A metric against the number of shadow models, log scale, with the 95% band. table: k, metric, value, low, high."""
    mark_coin(ax)
    for (metric, rows), colour in zip(table.groupby("metric", sort=False), ("#0072B2", "#E69F00", "#009E73"), strict=False):
        rows = rows.sort_values("k")
        ax.fill_between(rows["k"], rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
        ax.plot(rows["k"], rows["value"], marker="o", color=colour)
        ax.annotate(
            str(metric),
            (rows["k"].iloc[-1], rows["value"].iloc[-1]),
            (6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted(table["k"].unique())))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
    ax.set(
        xlabel="shadow models",
        ylabel="mean over targets",
        xlim=(None, table["k"].max() * 1.9),
        ylim=(axis_start(table["low"]), 1.02),
    )


def query_budget(table: pd.DataFrame, real: pd.DataFrame, ax: Axes) -> None:
    """A metric against the number of queries that the attacker may make, log scale, with the 95% band; below the axis, the
    records that were found. Dotted: the attack with real shadow data.

    table: budget, records, metric, value, low, high, the last three NaN where no attack was possible; real: metric, value.
    """
    mark_coin(ax)
    table = table.sort_values("budget")
    for metric, colour in BUDGET.items():
        rows = table[table["metric"] == metric]
        ax.fill_between(rows["budget"], rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
        ax.plot(rows["budget"], rows["value"], marker="o", color=colour)
        for value in real.loc[real["metric"] == metric, "value"]:
            ax.axhline(value, color=colour, linestyle=":", linewidth=1.2)
    ticks = table.drop_duplicates("budget")
    ax.set_xscale("log")
    ax.set_xticks(
        ticks["budget"], [_amount(b) + "\n" + _amount(r) for b, r in zip(ticks["budget"], ticks["records"], strict=True)]
    )
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="queries allowed (below: records found)", ylabel="mean over targets", ylim=(0, 1.03))
    write_key(ax, [*BUDGET.items(), ("dotted: real shadow data", GREY)], x=0.98, y=0.03, size=7.5, right=True)


BUDGET = {"precision": "#0072B2", "recall": "#E69F00"}


def _amount(n: float) -> str:
    """2,500,000 as "2.5M"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{letter}"
    return f"{n:.3g}"


def roc_curves(table: pd.DataFrame, ax: Axes) -> None:
    """ROC curves on log scales, where an attack's confident answers show. table: attack, fpr, tpr."""
    ends = []
    for (name, rows), colour in zip(table.groupby("attack", sort=False), sns.color_palette("colorblind"), strict=False):
        rows = rows[rows["tpr"] > 0]
        ax.plot(rows["fpr"], rows["tpr"], color=colour)
        ends.append((str(name), colour))
    ax.plot([1e-3, 1], [1e-3, 1], color=GREY, linestyle="--", linewidth=1)
    write_key(ax, ends, x=0.98, y=0.05, right=True)
    ax.set(
        xscale="log", yscale="log", xlim=(3e-3, 1), ylim=(3e-3, 1.05), xlabel="false positive rate", ylabel="true positive rate"
    )
