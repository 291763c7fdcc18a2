"""One function a figure: tidy tables and an `ax` in, nothing out. The style file is mialib.mplstyle; labels stand beside lines.

The paper's values are hollow markers or thin lines; ours are filled or thick; 0.5, the score of a coin, is dashed grey.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter
from matplotlib.transforms import offset_copy

from mialib.labels import Label, place_labels

GREY = "#888888"
OURS = "#0072B2"
MEMBERS, NONMEMBERS = "#D55E00", "#0072B2"
READINGS = {"flip": "#0072B2", "random": "#009E73"}
COLOURS = {  # of a line by its name (`tables.NAMES`): the same in every figure
    "Google": "#0072B2",
    "Amazon (10, 1e-6)": "#E69F00",
    "Amazon (100, 1e-4)": "#CC79A7",
    "local network": "#009E73",
    "real": "#0072B2",
    "10% noise": "#E69F00",
    "20% noise": "#CC79A7",
    "marginal": "#009E73",
    "model-based": "#D55E00",
    "Purchase-2": "#000000",
    "Purchase-10": "#CC79A7",
    "Purchase-20": "#E69F00",
    "Purchase-50": "#009E73",
    "Purchase-100": "#0072B2",
    "Location": "#009E73",
    "CIFAR-10": "#E69F00",
    "Texas": "#CC79A7",
}


def _noise(setting: str) -> float:
    """Per cent of noise in the shadow data of a setting, 0 for real data."""
    return float(setting.partition("noise")[2] or 0)


def _colours(lines: Iterable[str]) -> dict[str, str]:
    """A colour for each line: its own, or one that none of the others has."""
    lines = list(dict.fromkeys(lines))
    spare = iter(c for c in sns.color_palette("colorblind").as_hex() if c.upper() not in COLOURS.values())
    return {line: COLOURS.get(line) or next(spare, GREY) for line in lines}


def _key(
    ax: Axes, entries: Sequence[tuple[str, str]], x: float = 0.02, y: float = 0.98, size: float = 8, *, right: bool = False
) -> None:
    """Coloured words in a corner, from y (share of the axes) down, or up from a y in the lower half: a legend without a box."""
    first = 0.0 if y > 0.5 else 1.4 * size * (len(entries) - 1)
    for line, (text, colour) in enumerate(entries):
        ax.annotate(
            text,
            (x, y),
            (0, first - 1.4 * size * line),
            xycoords="axes fraction",
            textcoords="offset points",
            color=colour,
            va="top" if y > 0.5 else "bottom",
            ha="right" if right else "left",
            fontsize=size,
        )


def _coin(ax: Axes, vertical: bool = False) -> None:
    (ax.axvline if vertical else ax.axhline)(0.5, color=GREY, linestyle="--", linewidth=1, zorder=0)


def _from(values: pd.Series, usual: float = 0.45) -> float:
    """Where an axis starts: below 0.5, and below every value."""
    return min(usual, float(values.min()) - 0.03) if values.notna().any() else usual


def cdfs(classes: pd.DataFrame, paper: pd.DataFrame, ax: Axes, metric: str = "precision", ours: str = "ours") -> None:
    """Figs. 5 to 9: the share of classes whose attack precision (or recall) is at most x, all targets together, over the
    paper's curves (thin).

    classes: line, the metric; paper: line, value, or no row. ours: what the thick lines are.
    """
    _coin(ax, vertical=True)
    colours = _colours(classes["line"])
    for line, points in paper[paper["line"].isin(colours)].groupby("line", sort=False):
        steps = np.sort(points["value"])
        ax.step(steps, np.arange(1, len(steps) + 1) / len(steps), where="post", color=colours[str(line)], linewidth=0.9)
    for line, rows in classes.groupby("line", sort=False):
        sns.ecdfplot(x=rows[metric].dropna(), ax=ax, color=colours[str(line)], linewidth=2.2)
    values = pd.concat([classes[metric], paper["value"]])
    left = _from(values)
    words = [*colours.items(), *([(f"thick: {ours}", GREY), ("thin: the paper", GREY)] if len(paper) else [])]
    high = values.median() > (left + 1) / 2
    coin = (0.5 - left) / (1.01 - left)
    inside = coin + 0.015 if coin < 0.4 else 0.03  # where the axis reaches far down, few classes lie left of the coin
    _key(ax, words, x=inside if high else 1.02, y=0.97, size=7.5)  # low curves leave no room inside
    ax.set(xlim=(left, 1.01), ylim=(0, 1.02), xlabel=f"attack {metric} of a class", ylabel="share of classes")
    ax.yaxis.set_major_formatter(PercentFormatter(1))


def class_dots(classes: pd.DataFrame, paper: pd.DataFrame, ax: Axes) -> None:
    """Fig. 4: the attack precision of each of ten classes; a faint dot a target, their mean filled, the paper's hollow. The
    dotted lines are the medians.

    classes: line, cls, precision; paper: line, cls, value. Facet by line.
    """
    _coin(ax)
    ax.plot(classes["cls"] - 0.12, classes["precision"], "o", color=OURS, markersize=2.5, alpha=0.4, markeredgewidth=0)
    means = classes.groupby("cls")["precision"].mean()
    ax.plot(means.index - 0.12, means, "o", color=OURS)
    ax.plot(paper["cls"] + 0.12, paper["value"], "o", color="black", markerfacecolor="none", markersize=5)
    for values, colour in ((means, OURS), (paper["value"], "black")):
        if len(values):
            ax.axhline(values.median(), color=colour, linestyle=":", linewidth=1, zorder=0)
    _key(ax, [("ours", OURS), ("hollow: the paper", "black")], y=0.99, size=7)
    ax.set(ylim=(_from(classes["precision"]), 1.14), xlabel="class", ylabel="attack precision")
    ax.set_xticks(range(len(CIFAR10)), CIFAR10, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= 1])


CIFAR10 = ("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


VARIANTS = {  # shadows by the paper's rule, and two ways to break it: colour, marker, words
    "none": (OURS, "o", "by the rule: disjoint, as large"),
    "swapped": ("#D55E00", "s", "swapped: the target's own records"),
    "smaller": ("#009E73", "^", "smaller, disjoint"),
}


def by_variant(table: pd.DataFrame, ax: Axes, metric: str = "precision") -> None:
    """A metric by training size, for shadows by the rule and for those that break it (`shadow.swapped_splits`, smaller ones).

    table: train_size, variant, metric, value, low, high.
    """
    _coin(ax)
    own = table[table["metric"] == metric]
    sizes = sorted(own["train_size"].unique())
    for side, (variant, (colour, marker, _)) in zip((-0.12, 0, 0.12), VARIANTS.items(), strict=True):
        rows = own[own["variant"] == variant]
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        ax.errorbar(rows["train_size"].map(sizes.index) + side, rows["value"], errors, color=colour, fmt=marker, capsize=2)
    _key(ax, [(words, colour) for variant, (colour, _, words) in VARIANTS.items() if (own["variant"] == variant).any()], y=0.05)
    ax.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    ax.set(
        xlim=(-0.5, len(sizes) - 0.5), ylim=(_from(own["low"], 0.3), 1.02), xlabel="training size", ylabel=f"attack {metric}"
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
    ax.set_xticks(np.arange(len(classes)) + 0.5, [CIFAR10[c] if len(classes) == 10 else str(c) for c in classes], fontsize=7)
    ax.set_yticks([1.73, 0.48], ["leaks most", "leaks least"], fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def boxes(classes: pd.DataFrame, compared: pd.DataFrame, ax: Axes) -> None:
    """Fig. 10: the attack precision of the classes, a filled box a number of classes; the paper's box beside it, hollow.

    classes: dataset, precision; compared: dataset, metric (attack_precision_p25 …), published.
    """
    _coin(ax)
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
    _key(ax, [("ours", OURS), ("hollow: the paper", "black")])
    ax.set(xlabel="classes", ylabel="attack precision of a class", xlim=(-0.6, len(names) - 0.4))
    ax.set(ylim=(_from(classes["precision"]), 1.04))
    ax.set_xticks(range(len(names)), [name.removeprefix("purchase") for name in names])


BOX = {"whislo": "whisker_low", "q1": "p25", "med": "p50", "q3": "p75", "whishi": "whisker_high"}


def scatter(points: pd.DataFrame, paper: pd.DataFrame, ax: Axes) -> None:
    """Fig. 11: one fact of a class against another; ours filled, the paper's hollow. points, paper: line, panel, x, y."""
    colours = _colours(points["line"])
    for line, colour in colours.items():
        theirs, own = paper[paper["line"] == line], points[points["line"] == line]
        ax.plot(theirs["x"], theirs["y"], "o", color=colour, markerfacecolor="none", markersize=3.5, markeredgewidth=0.6)
        ax.plot(own["x"], own["y"], "o", color=colour, markersize=2.5, alpha=0.7, markeredgewidth=0)
    y, _, x = str(points["panel"].iloc[0]).partition(" by ")
    share = x == "class share"
    if share:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    _key(ax, [*colours.items(), ("hollow: the paper", GREY)], x=0.97 if share else 0.03, right=share, size=7)
    ax.set(xlabel=x, ylabel=y, ylim=(None, ax.get_ylim()[1] + 0.5 * np.ptp(ax.get_ylim())))
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
    _key(ax, words, x=0.03 if left else 0.97, size=7, right=not left)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=str(bars["panel"].iloc[0]).partition(": ")[2], ylabel="share of records")


def precision_by_noise(compared: pd.DataFrame, targets: pd.DataFrame, ax: Axes, metric: str = "precision") -> None:
    """A metric against the noise in the shadow data: ours with intervals, a faint dot a target, the paper's hollow.

    compared: setting, variant, metric, value, low, high, published; targets: setting, variant, target, the metric.
    """
    _coin(ax)
    compared = compared[compared["metric"] == f"attack_{metric}"].assign(noise=lambda t: t["setting"].fillna("").map(_noise))
    targets = targets.assign(noise=targets["setting"].map(_noise))
    for side, (variant, colour) in zip((-1, 1), READINGS.items(), strict=True):
        rows = compared[compared["variant"].isin([variant, "none"])].drop_duplicates("noise").sort_values("noise")
        if set(rows["variant"]) == {"none"}:
            continue
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        ax.errorbar(rows["noise"] + 0.35 * side, rows["value"], errors, color=colour, marker="o", capsize=2, linewidth=1.2)
        own = targets[targets["variant"].isin([variant, "none"])]
        ax.plot(own["noise"] + 0.9 * side, own[metric], ".", color=colour, alpha=0.5, markersize=4)
    known = compared.drop_duplicates("noise")
    ax.plot(known["noise"], known["published"], "o", color="black", markerfacecolor="none", markersize=7)
    words = [("ours, bits flipped", READINGS["flip"]), ("ours, bits replaced at random", READINGS["random"])]
    _key(ax, [*words, ("faint: single targets", GREY), ("\u25cb the paper", "black")], y=0.14)
    ax.set(xlabel="features disturbed in the shadow data (%)", ylabel=f"attack {metric}", xticks=sorted(set(compared["noise"])))


def attack_comparison(table: pd.DataFrame, ax: Axes, end: float = 1.02) -> None:
    """One metric of several attacks, mean over targets with 95% intervals; the first row, the learned attack, on top.

    table: attack, metric, value, low, high, and `published` (the paper's attack; NaN where it gives none). Facet by metric.
    end: where the axis ends, unless a value lies beyond; an axis that ends near 0.5 begins near it, too.
    """
    table = table.iloc[::-1].reset_index(drop=True)
    _coin(ax, vertical=True)
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
        xlim=(_from(table["low"], 0.5 - 0.1 * (end - 0.52)), max(end, table["high"].max())),
        ylim=(-0.6, len(table) - 0.4),
        xlabel=f"{table['metric'].iloc[0]}, mean over targets",
    )
    ax.set_yticks(range(len(table)), table["attack"])


def shadow_count(table: pd.DataFrame, ax: Axes) -> None:
    """A metric against the number of shadow models, log scale, with the 95% band. table: k, metric, value, low, high."""
    _coin(ax)
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
        ylim=(_from(table["low"]), 1.02),
    )


def query_budget(table: pd.DataFrame, real: pd.DataFrame, ax: Axes) -> None:
    """A metric against the number of queries that the attacker may make, log scale, with the 95% band; below the axis, the
    records that were found. Dotted: the attack with real shadow data.

    table: budget, records, metric, value, low, high, the last three NaN where no attack was possible; real: metric, value.
    """
    _coin(ax)
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
    _key(ax, [*BUDGET.items(), ("dotted: real shadow data", GREY)], x=0.98, y=0.03, size=7.5, right=True)


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
    _key(ax, ends, x=0.98, y=0.05, right=True)
    ax.set(
        xscale="log", yscale="log", xlim=(3e-3, 1), ylim=(3e-3, 1.05), xlabel="false positive rate", ylabel="true positive rate"
    )


MITIGATIONS = {  # colour and marker of each path: filters of the answers bright, other trainings dark
    "none": ("black", "D"),
    "top k": ("#0072B2", "o"),
    "label only": ("#56B4E9", "s"),
    "rounding": ("#009E73", "^"),
    "temperature": ("#D55E00", "v"),
    "fitted temperature": ("#E69F00", "P"),
    "noise": ("#CC79A7", "X"),
    "L2": ("#332288", "o"),
    "dropout": ("#882255", "s"),
    "early stopping": ("#117733", "^"),
    "private training": ("#555555", "v"),
}
KNOWLEDGE = {"aware": (OURS, "o"), "unaware": ("#E69F00", "s")}
FLAT = 0.004  # of test accuracy: paths that change it less lie upon one another, and are drawn side by side


def utility_leakage(points: pd.DataFrame, ax: Axes) -> None:
    """The target's test accuracy against what the attack gets, a path a mitigation as its knob turns; up and left is better.

    points: rows of `leakage.utility_points` for one attacker (`variant`); paths start at "none" and go through their rows in
    order. The Pareto front is the grey stair, its points ringed. Thin bars are 95% intervals. Paths that leave the test
    accuracy as it is would coincide: they are drawn side by side, 2 points apart.
    """
    points = points.fillna({"knob": ""}).dropna(subset=["utility", "leakage"])  # a table that was read back has empty cells
    start = points[points["mitigation"] == "none"]
    paths = {str(name): rows for name, rows in points.groupby("mitigation", sort=False) if name != "none"}
    _frame_utility(points, ax)
    flat = [name for name, rows in paths.items() if _is_flat(pd.concat([start, rows]))]
    labels, lines = [], []
    for name, rows in paths.items():
        shift = 2.0 * (flat.index(name) - (len(flat) - 1) / 2) if name in flat else 0.0
        _path(pd.concat([start, rows]), name, shift, ax)
        labels += _path_labels(name, rows)
        lines.append(pd.concat([start, rows])[["leakage", "utility"]].to_numpy())
    for row in start.itertuples():
        ax.plot(row.leakage, row.utility, "D", color="black", zorder=5)
        labels.insert(0, Label(row.leakage, row.utility, "no mitigation", "black"))
        lines.append(np.array([[row.leakage, row.utility]]))
    lines += [_front(points[points["front"]], ax), np.array([[0.5, ax.get_ylim()[0]], [0.5, ax.get_ylim()[1]]])]
    place_labels(ax, sorted(labels, key=lambda label: not label.needed), lines)


def _is_flat(path: pd.DataFrame) -> bool:
    return bool(np.ptp(path["utility"]) < FLAT)


def _frame_utility(points: pd.DataFrame, ax: Axes) -> None:
    """Limits that leave room for labels; the attack of a coin."""
    low, high = min(0.5, points["leakage"].min()), points["leakage"].max()
    bottom, top = points["utility"].min(), points["utility"].max()
    wide, tall = max(high - low, 0.05), max(top - bottom, 0.05)
    ax.set(xlim=(low - 0.1 * wide, high + 0.18 * wide), ylim=(bottom - 0.12 * tall, top + 0.22 * tall))
    ax.set(xlabel="attack accuracy (leakage)", ylabel="target's test accuracy (utility)")
    _coin(ax, vertical=True)


def _path(path: pd.DataFrame, name: str, shift: float, ax: Axes) -> None:
    colour, marker = MITIGATIONS.get(name, ("#555555", "o"))
    moved = offset_copy(ax.transData, fig=ax.get_figure(root=True), y=shift, units="points")
    own = path[path["mitigation"] != "none"]
    ax.plot(path["leakage"][:2], path["utility"][:2], color=colour, linewidth=0.7, alpha=0.4, transform=moved, zorder=2)
    ax.plot(own["leakage"], own["utility"], marker=marker, color=colour, linewidth=1.2, transform=moved, zorder=4)
    for row in own.itertuples():
        bars: dict[str, Any] = {"color": colour, "linewidth": 0.6, "alpha": 0.5, "transform": moved, "zorder": 1}
        ax.plot([row.leakage_low, row.leakage_high], [row.utility] * 2, **bars)
        ax.plot([row.leakage] * 2, [row.utility_low, row.utility_high], **bars)


def _path_labels(name: str, rows: pd.DataFrame) -> list[Label]:
    """The name at the path's end, with the knob's value there; the values alone at the other points, where there is room."""
    colour = MITIGATIONS.get(name, ("#555555", "o"))[0]
    labels = []
    for place_in_path, row in enumerate(rows.itertuples(), 1):
        last = place_in_path == len(rows)
        knob = "" if name.endswith(f" {row.knob}") else f", {row.knob}"
        text = f"{name}{knob} = {row.at:.3g}" if row.knob else name
        labels.append(Label(row.leakage, row.utility, text if last else f"{row.at:.3g}", colour, 7.5 if last else 6.5, last))
    return labels


def _front(front: pd.DataFrame, ax: Axes) -> np.ndarray:
    """Draw the stair; its corners (n, 2)."""
    front = front.sort_values(["leakage", "utility"])
    ax.step(front["leakage"], front["utility"], where="post", color="#BBBBBB", linewidth=4, solid_capstyle="round", zorder=0.5)
    ax.plot(front["leakage"], front["utility"], "o", color="black", markerfacecolor="none", markersize=9, linewidth=0, zorder=3)
    ax.text(0.99, 0.03, "grey stair: Pareto front", color="#777777", transform=ax.transAxes, ha="right", fontsize=7)
    corners = front[["leakage", "utility"]].to_numpy()
    return np.stack([corners[:, 0].repeat(2)[1:], corners[:, 1].repeat(2)[:-1]], 1)


def knob_curves(table: pd.DataFrame, ax: Axes) -> None:
    """Attack accuracy as the knob of one filter turns, a line a data set, with 95% intervals; facet by `panel`.

    table: rows of `leakage.knob_curves` with `line`, the data set's name. The values of a knob stand at equal distances.
    """
    _coin(ax)
    steps = ["none", *(f"{at:g}" for at in dict.fromkeys(table.loc[table["mitigation"] != "none", "at"]))]
    place = {step: x for x, step in enumerate(steps)}
    colours = _colours(table["line"])
    for line, rows in table.groupby("line", sort=False):
        x = np.where(rows["mitigation"] == "none", "none", rows["at"].map("{:g}".format))
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        style: dict[str, Any] = {
            "color": colours[str(line)],
            "marker": "o",
            "markersize": 3.5,
            "linewidth": 1.2,
            "capsize": 1.5,
        }
        ax.errorbar([place[step] for step in x], rows["value"], yerr=errors, **style)
    ax.set_xticks(range(len(steps)), steps)
    ax.set(ylim=(_from(table["low"]), 1.02), xlabel=table["knob"].iloc[0])
    spec = ax.get_subplotspec()
    if spec is None or spec.is_first_col():
        ax.set_ylabel("attack accuracy")
    if spec is None or (spec.is_last_col() and spec.is_first_row()):  # of noise, whose curves fall
        _key(ax, list(colours.items()), x=0.98, size=7, right=True)


def mitigation_rows(compared: pd.DataFrame, ax: Axes) -> None:
    """Table III as a picture: a row a mitigation, one metric; ours for both attackers with intervals, the paper's hollow.

    compared: setting, variant ("aware" or "unaware"), value, low, high, published, in the table's order. Facet by metric.
    """
    settings = list(dict.fromkeys(compared["setting"]))
    height = {setting: len(settings) - 1 - place for place, setting in enumerate(settings)}
    if not compared["metric"].eq("target_test_accuracy").all():
        _coin(ax, vertical=True)
    shown = compared["setting"].map(height)
    for (variant, (colour, marker)), side in zip(KNOWLEDGE.items(), (0.14, -0.14), strict=True):
        rows = compared[compared["variant"] == variant]
        errors = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        ax.errorbar(
            rows["value"],
            shown[rows.index] + side,
            xerr=errors,
            color=colour,
            fmt=marker,
            markersize=4,
            linewidth=1,
            capsize=1.5,
        )
    known = compared.drop_duplicates("setting")
    ax.plot(known["published"], shown[known.index], "o", color="black", markerfacecolor="none", markersize=7, zorder=3)
    ax.set_yticks(range(len(settings)), [_row_name(setting) for setting in reversed(settings)])
    ax.set(ylim=(-0.6, len(settings) + 1.8), xlabel="mean over targets")
    ax.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    spec = ax.get_subplotspec()
    if spec is None or spec.is_first_col():
        words = [("\u25cf attacker aware", OURS), ("\u25a0 unaware", KNOWLEDGE["unaware"][0]), ("\u25cb the paper", "black")]
        _key(ax, words, x=0.01, y=0.985, size=7)


def _row_name(setting: str) -> str:
    """ "mitigation:l2_lambda=1e-3" as the table has it."""
    name, _, value = setting.removeprefix("mitigation:").partition("=")
    if value == "1_label_only":
        return "label only"
    words = {"none": "no mitigation", "top_k": "top k =", "rounding_d": "rounding d =", "temperature_t": "temperature t ="}
    return f"{words.get(name, name.replace('l2_lambda', 'L2 λ =').replace('_', ' '))} {value}".strip()
