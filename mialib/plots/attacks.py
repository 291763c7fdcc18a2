"""One function a figure: tidy tables and an `ax` in, nothing out. The style file is mialib.mplstyle; labels stand beside lines.

The paper's values are hollow markers or thin lines; ours are filled or thick; 0.5, the score of a coin, is dashed grey.
"""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from mialib.plots.keys import figure_key, name_in_key
from mialib.plots.style import FAR_ABOVE_COIN, GREY, OURS, PALETTE, axis_start, error_bars, mark_coin, write_key

COLOUR_OF_METRIC = {"precision": "#0072B2", "recall": "#E69F00", "accuracy": "#009E73"}
COLOUR_OF_READING = {"flip": "#0072B2", "random": "#009E73"}


def noise_per_cent(setting: str) -> float:
    """Per cent of noise in the shadow data of a setting, 0 for real data."""
    return float(setting.partition("noise")[2] or 0)


MARK_OF_VARIANT = {  # shadows by the paper's rule, and two ways to break it: colour, marker, words
    "none": (OURS, "o", "by the rule: disjoint, as large"),
    "swapped": ("#D55E00", "s", "swapped: the target's own records"),
    "smaller": ("#009E73", "^", "smaller, disjoint"),
}


def by_variant(compared: pd.DataFrame, *, ax: Axes) -> None:
    """The median precision of a class by training size, for shadows by the rule and for those that break it
    (`shadow.swapped_splits`, smaller ones), with 95% intervals; the paper's, which are by the rule, black rings.

    compared: our_train_size, variant, metric, value, low, high, published; of it the rows of attack_precision_p50.
    """
    mark_coin(ax)
    own = compared[compared["metric"] == "attack_precision_p50"]
    sizes = sorted(own["our_train_size"].unique())
    places = own["our_train_size"].map(sizes.index)
    words = [("○ the paper: by the rule", "black")]
    for side, (variant, (colour, marker, text)) in zip((-0.12, 0, 0.12), MARK_OF_VARIANT.items(), strict=True):
        rows = own[own["variant"] == variant]
        bars: dict[str, Any] = {"color": colour, "fmt": marker, "markersize": 3, "capsize": 4, "linewidth": 1.4}
        ax.errorbar(places[rows.index] + side, rows["value"], error_bars(rows), **bars)
        words += [(text, colour)] if len(rows) else []
    known = own.drop_duplicates("our_train_size")
    ax.plot(places[known.index], known["published"], "o", color="black", markerfacecolor="none", markersize=8)
    ax.set_xticks(range(len(sizes)), [f"{size:,.0f}" for size in sizes])
    ax.set(xlim=(-0.5, len(sizes) - 0.5), ylim=(axis_start(own["low"], 0.48), 1.03))
    ax.set(xlabel="training size", ylabel="attack precision, median class")
    write_key(ax, words, x=0.02, y=0.08, size=7.5)


def precision_by_noise(compared: pd.DataFrame, targets: pd.DataFrame, *, ax: Axes, metric: str = "precision") -> None:
    """A metric against the noise in the shadow data: ours with intervals, a faint dot a target, the paper's hollow.

    compared: setting, variant, metric, value, low, high, published; targets: setting, variant, target, the metric.
    """
    mark_coin(ax)
    compared = compared[compared["metric"] == f"attack_{metric}"].assign(
        noise=lambda t: t["setting"].fillna("").map(noise_per_cent)
    )
    targets = targets.assign(noise=targets["setting"].map(noise_per_cent))
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


PAPERS_MARK = {  # `published_as`: what the hollow mark is, its sign in the key
    "": ("o", "\u25cb the paper"),
    "median of classes": ("D", "\u25c7 the paper's\nmedian class"),
    "lower bound": (">", "\u25b7 the paper: more\nthan this"),
}
ATTACK_NAMES = {  # of the table's attacks, in words; those that are words already stay as they are
    "one network a class": "learned, a network a class",
    "confidence": "confidence threshold",
    "modified entropy": "modified-entropy threshold",
    "entropy": "entropy threshold",
    "correctness gap": "gap: right or wrong",
}


def attack_comparison(table: pd.DataFrame, *, ax: Axes, end: float = 1.02) -> None:
    """One metric of several attacks, mean over targets with 95% intervals; the first row, the learned attack, on top.

    table: attack, metric, value, low, high, and `published` (of the paper's attack; NaN where it gives none), with
    `published_as` where that is not the same metric ("median of classes", "lower bound"). Facet by metric.
    end: where the axis ends, unless a value lies beyond; an axis that ends near 0.5 begins near it, too.
    """
    table = table.iloc[::-1].reset_index(drop=True)
    kinds = table["published_as"].astype(object).fillna("") if "published_as" in table else pd.Series("", index=table.index)
    mark_coin(ax, vertical=True)
    for (y, row), kind in zip(table.iterrows(), kinds, strict=True):
        colour = OURS if y == len(table) - 1 else "#555555"
        errors = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        ax.errorbar(row["value"], y, xerr=errors, color=colour, marker="o", capsize=2)
        if not np.isnan(row["published"]):
            marker, words = PAPERS_MARK[kind]
            ax.plot(row["published"], y, marker, color="black", markerfacecolor="none", markersize=7)
            name_in_key(ax, words, "black")
    ax.set(
        xlim=(axis_start(table["low"], 0.5 - 0.1 * (end - 0.52)), max(end, table["high"].max())),
        ylim=(-0.6, len(table) - 0.4),
        xlabel=f"attack {table['metric'].iloc[0]}",
    )
    ax.set_yticks(range(len(table)), table["attack"].map(lambda name: ATTACK_NAMES.get(name, name)))
    figure_key(ax)


def shadow_count(table: pd.DataFrame, paper: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """A metric against the number of shadow models, log scale, with the 95% band; hollow: the paper's, at its own number.

    The axis holds what was measured; where a coin's 0.5 lies far below, an arrow says so. table: k, metric, value, low, high;
    paper: the same but low and high, with `published_as` (see `attack_comparison`).
    """
    counts = set(table["k"])
    for metric, rows in table.groupby("metric", sort=False):
        rows, colour = rows.sort_values("k"), COLOUR_OF_METRIC[str(metric)]
        ax.fill_between(rows["k"], rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
        ax.plot(rows["k"], rows["value"], marker="o", color=colour)
        name_in_key(ax, str(metric), colour)
    shown = [*table["low"], *table["high"]]
    for row in [] if paper is None else paper.itertuples():
        kind = "" if pd.isna(row.published_as) else str(row.published_as)
        marker, words = PAPERS_MARK[kind]
        pen: dict[str, Any] = {"color": COLOUR_OF_METRIC[str(row.metric)], "markerfacecolor": "none", "markersize": 7}
        ax.plot(row.k, row.value, "^" if kind == "lower bound" else marker, **pen)
        name_in_key(ax, words.replace("\u25b7", "\u25b3"), GREY)
        counts, shown = counts | {row.k}, [*shown, row.value]
    low, high = min(shown), max(shown)
    near = low < FAR_ABOVE_COIN
    margin = 0.06 * (high - (min(low, 0.5) if near else low)) or 0.05
    bottom = min(low, 0.5) - margin if near else low - 2 * margin
    _mark_far_coin(ax) if not near else mark_coin(ax)
    if isinstance(ticks := ax.xaxis.get_major_locator(), FixedLocator):
        counts.update(ticks.tick_values(0, 1))  # of other panels that share the axis: they have one set of ticks
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted(counts)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
    ax.set(xlabel="shadow models", ylabel="mean over targets", xlim=(min(counts) / 1.2, max(counts) * 1.2))
    ax.set_ylim(bottom, high + margin)
    figure_key(ax)


def _mark_far_coin(ax: Axes) -> None:
    """Words for a coin's 0.5, where that lies below the axis."""
    ax.annotate("\u2193 a coin: 0.5", (0.01, 0.02), xycoords="axes fraction", color=GREY, fontsize=7, va="bottom")


FEWEST_CALLED = 100  # records called members: a precision of fewer is not drawn


def query_budget(table: pd.DataFrame, real: pd.DataFrame, *, ax: Axes) -> None:
    """A metric against the number of queries that the attacker may make, log scale, with the 95% band; below the axis, the
    records that were found. Dotted: the attack with real shadow data. In place of a precision of fewer than `FEWEST_CALLED`
    records called members, over all targets, stands their number.

    table: budget, records, train_size, metric, value, low, high, n_targets, the last four NaN where no attack was possible;
    real: metric, value.
    """
    mark_coin(ax)
    table = table.sort_values("budget")
    called = _called_members(table)
    few = called.index[called < FEWEST_CALLED]
    for metric in ("precision", "recall"):
        colour = COLOUR_OF_METRIC[metric]
        rows = table[table["metric"] == metric].set_index("budget")
        rows.loc[few if metric == "precision" else [], ["value", "low", "high"]] = np.nan
        ax.fill_between(rows.index, rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
        ax.plot(rows.index, rows["value"], marker="o", color=colour)
        for value in real.loc[real["metric"] == metric, "value"]:
            ax.axhline(value, color=colour, linestyle=":", linewidth=1.2)
    for budget in few:
        text = f"{called[budget]:.0f} called members"
        ax.annotate(text, (budget, 0.5), (0, -4), textcoords="offset points", fontsize=7, color=GREY, ha="center", va="top")
    ticks = table.drop_duplicates("budget")
    ax.set_xscale("log")
    ax.set_xticks(
        ticks["budget"], [_amount(b) + "\n" + _amount(r) for b, r in zip(ticks["budget"], ticks["records"], strict=True)]
    )
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="queries allowed (below: records found)", ylabel="mean over targets", ylim=(0, 1.03))
    words = [(metric, COLOUR_OF_METRIC[metric]) for metric in ("precision", "recall")]
    write_key(ax, [*words, ("dotted: real shadow data", GREY)], x=0.98, y=0.03, size=7.5, right=True)


def _called_members(table: pd.DataFrame) -> pd.Series:
    """How many records an attack called members, over all targets, by budget: what recall and precision say of it."""
    known = table.dropna(subset="metric")
    wide = known.pivot(index="budget", columns="metric", values="value").reindex(columns=["precision", "recall"])
    asked = known.groupby("budget")[["train_size", "n_targets"]].first().prod(axis=1)
    return wide["recall"] * asked / wide["precision"]


def _amount(n: float) -> str:
    """2,500,000 as "2.5M"."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{letter}"
    return f"{n:.3g}"


def roc_curves(table: pd.DataFrame, *, ax: Axes) -> None:
    """ROC curves on log scales, where an attack's confident answers show, with 95% bands where the table has them. An attack
    that has one rate alone, being a yes or no, is a point. Dashed: guessing.

    table: attack, fpr, tpr, and low, high (of tpr), or neither of the two.
    """
    dashes: list[Any] = ["-", "-", (0, (4, 3)), (0, (1, 1.5)), "-."]  # attacks that rank alike lie upon one another
    for (name, rows), colour, dash in zip(table.groupby("attack", sort=False), PALETTE, cycle(dashes), strict=False):
        words = ATTACK_NAMES.get(str(name), str(name))
        if len(rows) == 1:
            ax.plot(rows["fpr"], rows["tpr"], "D", color=colour, markersize=6, zorder=5, clip_on=False, label=words)
            continue
        rows = rows[rows["tpr"] > 0]
        if {"low", "high"} <= set(rows):
            known = rows.dropna(subset=["low", "high"])
            ax.fill_between(known["fpr"], known["low"], known["high"], color=colour, alpha=0.15, linewidth=0)
        ax.plot(rows["fpr"], rows["tpr"], color=colour, linestyle=dash, label=words)
    ax.plot([1e-3, 1], [1e-3, 1], color=GREY, linestyle="--", linewidth=1)
    ax.set(xscale="log", yscale="log", xlim=(3e-3, 1), ylim=(3e-3, 1.05), xlabel="false positive rate")
    ax.set_ylabel("true positive rate")
    figure_key(ax, [("grey: guessing", GREY)])
