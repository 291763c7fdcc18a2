"""One function a figure: tidy tables and an `ax` in, nothing out. The style file is mialib.mplstyle; labels stand beside lines.

The paper's values are hollow markers or thin lines; ours are filled or thick; 0.5, the score of a coin, is dashed grey.
"""

from collections.abc import Iterable
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
NOISE_COLOURS: dict[float, str] = {0: "#0072B2", 10: "#E69F00", 20: "#CC79A7"}
CURVES = {  # series of the paper's figures: the setting of which they are
    "Google; real shadow data": "shadow:real",
    "Google; 10% noise": "shadow:noise10",
    "Google; 20% noise": "shadow:noise20",
}
READINGS = {"flip": "#0072B2", "random": "#009E73"}


def _noise(setting: str) -> float:
    """Per cent of noise in the shadow data of a setting, 0 for real data."""
    return float(setting.partition("noise")[2] or 0)


def _source(setting: str) -> tuple[str, str]:
    """Name and colour of a source of shadow data."""
    noise = _noise(setting)
    return (f"{noise:g}% noise" if noise else "real"), NOISE_COLOURS.get(noise, "#009E73")


def _key(
    ax: Axes, entries: Iterable[tuple[str, str]], x: float = 0.02, y: float = 0.98, size: float = 8, line: float = 0.085
) -> None:
    """Coloured words in a corner: a legend without a box. line: their distance, in heights of the axes."""
    for number, (text, colour) in enumerate(entries):
        ax.text(x, y - line * number, text, color=colour, transform=ax.transAxes, va="top", fontsize=size)


def _coin(ax: Axes, vertical: bool = False) -> None:
    (ax.axvline if vertical else ax.axhline)(0.5, color=GREY, linestyle="--", linewidth=1, zorder=0)


def _from(values: pd.Series, usual: float = 0.45) -> float:
    """Where an axis starts: below 0.5, and below every value."""
    return min(usual, float(values.min()) - 0.03) if values.notna().any() else usual


def precision_cdfs(classes: pd.DataFrame, paper: pd.DataFrame, ax: Axes) -> None:
    """Fig. 8: the share of classes whose attack precision is at most x, all targets together, over the paper's curves (thin).

    classes: setting, target, precision; paper: series, value.
    """
    _coin(ax, vertical=True)
    for series, points in paper.groupby("series", sort=False):
        steps = np.sort(points["value"])
        shares = np.arange(1, len(steps) + 1) / len(steps)
        ax.step(steps, shares, where="post", color=_source(CURVES[str(series)])[1], linewidth=0.9)
    for setting, rows in classes.groupby("setting", sort=False):
        sns.ecdfplot(x=rows["precision"].dropna(), ax=ax, color=_source(str(setting))[1], linewidth=2.2)
    words = [_source(setting) for setting in classes["setting"].unique()]
    for place, (text, colour) in enumerate([*words, ("thin: the paper", GREY)]):
        ax.text(
            0.02 + 0.2 * place + 0.02 * (place > 1), 0.97, text, color=colour, transform=ax.transAxes, va="top", fontsize=7.5
        )
    ax.set(
        xlim=(_from(classes["precision"]), 1.01),
        ylim=(0, 1.15),
        xlabel="attack precision of a class",
        ylabel="share of classes",
    )
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.yaxis.set_major_formatter(PercentFormatter(1))


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
    _key(ax, [*words, ("faint: single targets", GREY), ("\u25cb the paper", "black")], y=0.4)
    ax.set(xlabel="features disturbed in the shadow data (%)", ylabel=f"attack {metric}", xticks=sorted(set(compared["noise"])))


def attack_comparison(table: pd.DataFrame, ax: Axes) -> None:
    """One metric of several attacks, mean over targets with 95% intervals; the first row, the learned attack, on top.

    table: attack, metric, value, low, high, and `published` (the paper's attack; NaN where it gives none). Facet by metric.
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
    ax.set(xlim=(_from(table["low"]), 1.02), ylim=(-0.6, len(table) - 0.4), xlabel="mean over targets")
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


def roc_curves(table: pd.DataFrame, ax: Axes) -> None:
    """ROC curves on log scales, where an attack's confident answers show. table: attack, fpr, tpr."""
    ends = []
    for (name, rows), colour in zip(table.groupby("attack", sort=False), sns.color_palette("colorblind"), strict=False):
        rows = rows[rows["tpr"] > 0]
        ax.plot(rows["fpr"], rows["tpr"], color=colour)
        ends.append((str(name), colour))
    ax.plot([1e-3, 1], [1e-3, 1], color=GREY, linestyle="--", linewidth=1)
    _key(ax, ends, x=0.56, y=0.46)
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

    points: rows of `leakage.utility_points` for one knowledge; paths start at "none" and go through their rows in order. The
    Pareto front is the grey stair, its points ringed. Thin bars are 95% intervals. Paths that leave the test accuracy as it
    is would coincide: they are drawn side by side, 2 points apart.
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
        text = f"{name}{knob} = {row.at:g}" if row.knob else name
        labels.append(Label(row.leakage, row.utility, text if last else f"{row.at:g}", colour, 7.5 if last else 6.5, last))
    return labels


def _front(front: pd.DataFrame, ax: Axes) -> np.ndarray:
    """Draw the stair; its corners (n, 2)."""
    front = front.sort_values(["leakage", "utility"])
    ax.step(front["leakage"], front["utility"], where="post", color="#BBBBBB", linewidth=4, solid_capstyle="round", zorder=0.5)
    ax.plot(front["leakage"], front["utility"], "o", color="black", markerfacecolor="none", markersize=9, linewidth=0, zorder=3)
    ax.text(0.99, 0.03, "grey stair: Pareto front", color="#777777", transform=ax.transAxes, ha="right", fontsize=7)
    corners = front[["leakage", "utility"]].to_numpy()
    return np.stack([corners[:, 0].repeat(2)[1:], corners[:, 1].repeat(2)[:-1]], 1)


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
        _key(ax, words, x=0.0, y=1.0, size=7, line=0.07)


def _row_name(setting: str) -> str:
    """ "mitigation:l2_lambda=1e-3" as the table has it."""
    name, _, value = setting.removeprefix("mitigation:").partition("=")
    if value == "1_label_only":
        return "label only"
    words = {"none": "no mitigation", "top_k": "top k =", "rounding_d": "rounding d =", "temperature_t": "temperature t ="}
    return f"{words.get(name, name.replace('l2_lambda', 'L2 λ =').replace('_', ' '))} {value}".strip()
