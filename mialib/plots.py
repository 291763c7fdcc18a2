"""One function a figure: tidy tables and an `ax` in, nothing out. The style file is mialib.mplstyle; labels stand beside lines.

The paper's values are hollow markers or thin lines; ours are filled or thick; 0.5, the score of a coin, is dashed grey.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

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


def _key(ax: Axes, entries: Iterable[tuple[str, str]], x: float = 0.02, y: float = 0.98, size: float = 8) -> None:
    """Coloured words in a corner: a legend without a box."""
    for line, (text, colour) in enumerate(entries):
        ax.text(x, y - 0.085 * line, text, color=colour, transform=ax.transAxes, va="top", fontsize=size)


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
