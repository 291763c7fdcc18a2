"""One function a figure: tidy tables and an `ax` in, nothing out. The style file is mialib.mplstyle; labels stand beside lines.

The paper's values are hollow markers or thin lines; ours are filled or thick; 0.5, the score of a coin, is dashed grey.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from mialib.plots.style import GREY, OURS, PALETTE, axis_start, error_bars, mark_coin, write_key

COLOUR_OF_READING = {"flip": "#0072B2", "random": "#009E73"}


def _noise(setting: str) -> float:
    """Per cent of noise in the shadow data of a setting, 0 for real data."""
    return float(setting.partition("noise")[2] or 0)


MARK_OF_VARIANT = {  # shadows by the paper's rule, and two ways to break it: colour, marker, words
    "none": (OURS, "o", "by the rule: disjoint, as large"),
    "swapped": ("#D55E00", "s", "swapped: the target's own records"),
    "smaller": ("#009E73", "^", "smaller, disjoint"),
}


def by_variant(table: pd.DataFrame, *, ax: Axes, metric: str = "precision") -> None:
    """A metric by training size, for shadows by the rule and for those that break it (`shadow.swapped_splits`, smaller ones).

    table: train_size, variant, metric, value, low, high.
    """
    mark_coin(ax)
    own = table[table["metric"] == metric]
    sizes = sorted(own["train_size"].unique())
    for side, (variant, (colour, marker, _)) in zip((-0.12, 0, 0.12), MARK_OF_VARIANT.items(), strict=True):
        rows = own[own["variant"] == variant]
        errors = error_bars(rows)
        ax.errorbar(rows["train_size"].map(sizes.index) + side, rows["value"], errors, color=colour, fmt=marker, capsize=2)
    write_key(
        ax,
        [(words, colour) for variant, (colour, _, words) in MARK_OF_VARIANT.items() if (own["variant"] == variant).any()],
        y=0.05,
    )
    ax.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    ax.set(
        xlim=(-0.5, len(sizes) - 0.5),
        ylim=(axis_start(own["low"], 0.3), 1.02),
        xlabel="training size",
        ylabel=f"attack {metric}",
    )


def precision_by_noise(compared: pd.DataFrame, targets: pd.DataFrame, *, ax: Axes, metric: str = "precision") -> None:
    """A metric against the noise in the shadow data: ours with intervals, a faint dot a target, the paper's hollow.

    compared: setting, variant, metric, value, low, high, published; targets: setting, variant, target, the metric.
    """
    mark_coin(ax)
    compared = compared[compared["metric"] == f"attack_{metric}"].assign(noise=lambda t: t["setting"].fillna("").map(_noise))
    targets = targets.assign(noise=targets["setting"].map(_noise))
    for side, (variant, colour) in zip((-1, 1), COLOUR_OF_READING.items(), strict=True):
        rows = compared[compared["variant"].isin([variant, "none"])].drop_duplicates("noise").sort_values("noise")
        if set(rows["variant"]) == {"none"}:
            continue
        errors = error_bars(rows)
        ax.errorbar(rows["noise"] + 0.35 * side, rows["value"], errors, color=colour, marker="o", capsize=2, linewidth=1.2)
        own = targets[targets["variant"].isin([variant, "none"])]
        ax.plot(own["noise"] + 0.9 * side, own[metric], ".", color=colour, alpha=0.5, markersize=4)
    known = compared.drop_duplicates("noise")
    ax.plot(known["noise"], known["published"], "o", color="black", markerfacecolor="none", markersize=7)
    words = [("ours, bits flipped", COLOUR_OF_READING["flip"]), ("ours, bits replaced at random", COLOUR_OF_READING["random"])]
    write_key(ax, [*words, ("faint: single targets", GREY), ("\u25cb the paper", "black")], y=0.14)
    ax.set(xlabel="features disturbed in the shadow data (%)", ylabel=f"attack {metric}", xticks=sorted(set(compared["noise"])))


def attack_comparison(table: pd.DataFrame, *, ax: Axes, end: float = 1.02) -> None:
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


def shadow_count(table: pd.DataFrame, *, ax: Axes) -> None:
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


def query_budget(table: pd.DataFrame, real: pd.DataFrame, *, ax: Axes) -> None:
    """A metric against the number of queries that the attacker may make, log scale, with the 95% band; below the axis, the
    records that were found. Dotted: the attack with real shadow data.

    table: budget, records, metric, value, low, high, the last three NaN where no attack was possible; real: metric, value.
    """
    mark_coin(ax)
    table = table.sort_values("budget")
    for metric, colour in COLOUR_OF_METRIC.items():
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
    write_key(ax, [*COLOUR_OF_METRIC.items(), ("dotted: real shadow data", GREY)], x=0.98, y=0.03, size=7.5, right=True)


COLOUR_OF_METRIC = {"precision": "#0072B2", "recall": "#E69F00"}


def _amount(n: float) -> str:
    """2,500,000 as "2.5M"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{letter}"
    return f"{n:.3g}"


def roc_curves(table: pd.DataFrame, *, ax: Axes) -> None:
    """ROC curves on log scales, where an attack's confident answers show. table: attack, fpr, tpr."""
    ends = []
    for (name, rows), colour in zip(table.groupby("attack", sort=False), PALETTE, strict=False):
        rows = rows[rows["tpr"] > 0]
        ax.plot(rows["fpr"], rows["tpr"], color=colour)
        ends.append((str(name), colour))
    ax.plot([1e-3, 1], [1e-3, 1], color=GREY, linestyle="--", linewidth=1)
    write_key(ax, ends, x=0.98, y=0.05, right=True)
    ax.set(
        xscale="log", yscale="log", xlim=(3e-3, 1), ylim=(3e-3, 1.05), xlabel="false positive rate", ylabel="true positive rate"
    )
