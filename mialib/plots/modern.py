"""Figures of the attacks after 2017: low false positive rates, numbers of references, who leaks, mitigations judged anew."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from mialib.plots.labels import Label, place_labels
from mialib.plots.leakage import MARK_OF_MITIGATION
from mialib.plots.names import in_words
from mialib.plots.style import GREY, OURS, error_bars, write_key

COLOUR_OF_ATTACK = {  # those that a reader follows; all others are thin and grey
    "lira_online": "#0072B2",
    "lira_online_global": "#56B4E9",
    "rmia_online": "#009E73",
    "rmia_offline": "#117733",
    "watson": "#E69F00",
    "shokri": "#D55E00",
    "confidence": "#000000",
    "label_boundary": "#CC79A7",
    "label_noise": "#CC79A7",
    "label_augmentation": "#CC79A7",
}
FAINT = "#B8B8B8"


def log_roc_curves(table: pd.DataFrame, *, ax: Axes, key: bool = True, only: tuple[str, ...] | list[str] = ()) -> None:
    """ROC curves on log scales, a line an attack: an accusation is believed at the left end. Dashed: guessing.

    table: dataset, attack, fpr, tpr; facet by dataset. only: these attacks; none: all. key: names in the lower right corner,
    the highest curve at 0.1% first.
    """
    table = table[table["attack"].isin(only)] if only else table
    heights = {}
    for attack, rows in table.groupby("attack", sort=False):
        rows = rows[rows["tpr"] > 0]
        colour = COLOUR_OF_ATTACK.get(str(attack), FAINT)
        named = colour != FAINT
        ax.plot(rows["fpr"], rows["tpr"], color=colour, linewidth=1.5 if named else 0.7, zorder=3 if named else 2)
        if named and len(rows):
            heights[str(attack)] = float(np.interp(-3, np.log10(rows["fpr"]), rows["tpr"]))
    ends = [float(table["fpr"].min()), 1.0]
    ax.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
    floor = max(1e-4, float(table.loc[table["tpr"] > 0, "tpr"].min()))
    ax.set(xscale="log", yscale="log", xlim=(ends[0], 1), ylim=(floor, 1.1))
    ax.set(xlabel="false positive rate", ylabel="true positive rate")
    if key:
        names = sorted(heights, key=lambda attack: -heights[attack])
        words = [(in_words(name), COLOUR_OF_ATTACK[name]) for name in names]
        faint = set(table["attack"]) - set(COLOUR_OF_ATTACK)
        write_key(ax, [*words, *([("others", "#999999")] if faint else [])], x=0.98, y=0.03, size=6.5, right=True)


def reference_counts(table: pd.DataFrame, *, ax: Axes, percent: bool = True) -> None:
    """What an attack finds by the number of its reference models, with 95% bands; the fewest that an attack needs begin a line.

    table: attack, n_references, value, low, high (one metric, one rate); facet by dataset. percent: of a rate.
    """
    scale = 100 if percent else 1
    lines: list[tuple[str, str, float]] = []
    for attack, rows in table.groupby("attack", sort=False):
        rows, colour = rows.sort_values("n_references"), COLOUR_OF_ATTACK.get(str(attack), FAINT)
        ax.fill_between(rows["n_references"], scale * rows["low"], scale * rows["high"], color=colour, alpha=0.12, linewidth=0)
        ax.plot(rows["n_references"], scale * rows["value"], "o-", color=colour, markersize=3, linewidth=1.3)
        lines.append((in_words(attack), colour, float(rows["value"].iloc[-1])))
    counts = sorted(table["n_references"].unique())
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(counts))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
    top = scale * float(table["high"].max())
    ax.set(xlabel="reference models", ylim=(None if not percent else -0.02 * top, top * (1.55 if percent else 1.02)))
    if not percent:
        ax.set_ylim(min(0.48, float(table["low"].min())), float(table["high"].max()) + 0.6 * (top - 0.48))
    ax.set_ylabel("members found (%)" if percent else in_words(table["metric"].iloc[0]))
    ordered = sorted(lines, key=lambda line: -line[2])
    write_key(ax, [(words, colour) for words, colour, _ in ordered], x=0.03, size=6.5)


def ladder_steps(table: pd.DataFrame, *, ax: Axes) -> None:
    """What each part of LiRA adds to the members found, in per cent, with 95% intervals; two ladders from one threshold.

    table: side, step, value, low, high (one rate), and `published` (Carlini et al. 2022; NaN or absent where there is none);
    facet by dataset.
    """
    steps = [step for step in STEPS if step in set(table["step"])]
    for side, shift in (("none", 0.0), ("OUT", -0.14), ("IN and OUT", 0.14)):
        rows = table[table["side"] == side]
        colour = COLOUR_OF_SIDE[side]
        y = rows["step"].map(steps.index) + shift
        errors = [100 * part for part in error_bars(rows)]
        ax.errorbar(100 * rows["value"], y, xerr=errors, fmt="o-", color=colour, linewidth=1.1, capsize=2, markersize=4)
        if "published" in rows:
            ax.plot(100 * rows["published"], y, "o", color=colour, markerfacecolor="none", markersize=7)
    ax.set_yticks(range(len(steps)), steps)
    ax.set(xlabel="members found (%)", ylim=(len(steps) - 0.5, -0.5), xlim=(0, None))
    words = [(f"{side} references", COLOUR_OF_SIDE[side]) for side in ("OUT", "IN and OUT")]
    known = "published" in table and table["published"].notna().any()
    write_key(ax, [*words, *([("hollow: published, other networks", GREY)] if known else [])], x=0.98, right=True, size=7)


STEPS = ("one threshold", "a threshold a record", "logit", "Gaussian", "queries")
COLOUR_OF_SIDE = {"none": "#000000", "OUT": "#E69F00", "IN and OUT": OURS}


def found_by_both(table: pd.DataFrame, *, ax: Axes) -> None:
    """Of the members that one attack finds (row), the share that another finds, too (column), in per cent.

    table: attack, other, n_found, share; facet by dataset.
    """
    names = list(dict.fromkeys(table["attack"]))
    grid = table.pivot(index="attack", columns="other", values="share").loc[names, names].to_numpy()
    ax.imshow(np.nan_to_num(grid), cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for (i, j), share in np.ndenumerate(grid):
        text = "" if np.isnan(share) else f"{100 * share:.0f}"
        ax.text(j, i, text, ha="center", va="center", fontsize=6.5, color="white" if share > 0.75 else "black")
    counts = table.drop_duplicates("attack").set_index("attack")["n_found"]
    ax.set_yticks(range(len(names)), [f"{in_words(name)} ({counts[name]:,.0f})" for name in names], fontsize=6.5)
    ax.set_xticks(range(len(names)), [in_words(name) for name in names], rotation=40, ha="right", fontsize=6.5)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def mark_correlations(table: pd.DataFrame, *, ax: Axes) -> None:
    """Rank correlations with a record's exposure, with 95% intervals, a colour a data set. table: dataset, mark, spearman, low,
    high.
    """
    marks, names = list(dict.fromkeys(table["mark"])), list(dict.fromkeys(table["dataset"]))
    colours = dict(zip(names, ("#009E73", "#000000", "#56B4E9", "#E69F00", "#CC79A7", "#0072B2", "#D55E00"), strict=False))
    for place, name in enumerate(names):
        rows = table[table["dataset"] == name]
        y = rows["mark"].map(marks.index) + 0.6 * ((place + 0.5) / len(names) - 0.5)
        errors = [rows["spearman"] - rows["low"], rows["high"] - rows["spearman"]]
        ax.errorbar(rows["spearman"], y, xerr=errors, fmt="o", color=colours[name], markersize=4, capsize=2, linewidth=1)
    ax.axvline(0, color=GREY, linestyle="--", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(marks)), marks)
    ax.set(ylim=(len(marks) - 0.5, -0.5), xlabel="rank correlation with exposure", xlim=(-1, 1))
    write_key(ax, [(in_words(name), colours[name]) for name in names], x=0.02, size=7)


def average_against_low(table: pd.DataFrame, *, ax: Axes) -> None:
    """Each mitigation judged twice: by what the attack of 2017 gets on average, and by how many members LiRA finds at a low
    false positive rate; lower left is better. Lines join the values of one knob.

    table: mitigation, knob, at, average, low_rate, fpr; facet by dataset.
    """
    table = table.fillna({"knob": ""})
    start = table[table["mitigation"] == "none"]
    labels, lines = [], []
    for name, rows in table.groupby("mitigation", sort=False):
        colour, marker = MARK_OF_MITIGATION.get(str(name), ("#555555", "o"))
        ax.plot(rows["average"], 100 * rows["low_rate"], marker=marker, color=colour, linewidth=0.8, markersize=4)
        path = pd.concat([start, rows]) if name != "none" else rows
        lines.append(np.stack([path["average"], 100 * path["low_rate"]], 1))
        for place, row in enumerate(rows.itertuples(), 1):
            last = place == len(rows)
            text = "no mitigation" if name == "none" else f"{name} {row.at:.3g}" if row.knob else str(name)
            words = text if last else f"{row.at:.3g}"
            labels.append(Label(row.average, 100 * row.low_rate, words, colour, 7 if last else 6, last))
    wide = float(np.ptp(table["average"])) or 0.1
    ax.set(xlim=(table["average"].min() - 0.12 * wide, table["average"].max() + 0.2 * wide))
    tall = 100 * float(table["low_rate"].max())
    ax.set(ylim=(-0.08 * tall, 1.15 * tall), xlabel="balanced accuracy, attack of 2017")
    ax.set_ylabel(f"members LiRA finds at {100 * table['fpr'].iloc[0]:g}% (%)")
    place_labels(ax, sorted(labels, key=lambda label: not label.needed), lines)


def epsilon_bounds(table: pd.DataFrame, *, ax: Axes) -> None:
    """What the attacks prove of the privacy that a training lost, against what it promised: empirical lower bounds, a mark an
    estimate; short lines: the ceiling that the number of records allows.

    table: training (in words), promised (NaN without a guarantee), estimate, value, ceiling; rows of one training together.
    """
    names = list(dict.fromkeys(table["training"]))
    kinds = list(dict.fromkeys(table["estimate"]))
    for place, kind in enumerate(kinds):
        colour = (OURS, "#D55E00", "#009E73")[place]
        rows = table[table["estimate"] == kind]
        x = rows["training"].map(names.index) + 0.24 * (place - (len(kinds) - 1) / 2)
        ax.plot(x, rows["value"], "o", color=colour, markersize=5)
        ax.hlines(rows["ceiling"], x - 0.1, x + 0.1, color=colour, linewidth=1.2)
    known = table.drop_duplicates("training").reset_index(drop=True)
    top = float(table["ceiling"].max()) * 1.3
    for x, promised in known["promised"].dropna().items():
        if promised <= top:
            ax.hlines(promised, x - 0.3, x + 0.3, color="black", linestyle=":", linewidth=1.2)
    ticks = [
        name if np.isnan(p) else f"{name}\n(ε = {p:g})" for name, p in zip(known["training"], known["promised"], strict=True)
    ]
    ax.set_xticks(range(len(names)), ticks, fontsize=7)
    words: list[tuple[str, Any]] = [(kind, (OURS, "#D55E00", "#009E73")[place]) for place, kind in enumerate(kinds)]
    write_key(ax, [*words, ("short lines: ceiling", GREY), ("dotted: promised", "black")], x=0.98, right=True, size=7)
    ax.set(ylabel="lower bound of ε (95%)", ylim=(-0.1, top), xlim=(-0.5, len(names) - 0.5))
