"""Figures of the attacks after 2017: low false positive rates, numbers of references, who leaks, mitigations judged anew.

Panels of one figure have one key, to the right of the last of them, and name their axes at the edge alone.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from mialib.plots.labels import Label, place_labels
from mialib.plots.leakage import MARK_OF_MITIGATION
from mialib.plots.names import in_words, line_labels
from mialib.plots.panels import key_beside, name_axes, place_of
from mialib.plots.scoreboard import COLOUR_OF_DATASET
from mialib.plots.style import GREY, OURS, error_bars

COLOUR_OF_ATTACK = {  # those that a reader follows; all others are thin and grey
    "lira_online": "#0072B2",
    "lira_online_global": "#56B4E9",
    "rmia_online": "#009E73",
    "rmia_offline": "#009E73",
    "watson": "#E69F00",
    "shokri": "#D55E00",
    "confidence": "#000000",
}
DASHED_ATTACKS = {"rmia_offline"}  # its colour is that of the attack it is a form of
OF_LABELS, COLOUR_OF_LABELS = "label_", "#CC79A7"  # how the names of attacks begin that see labels alone
FAINT = "#B8B8B8"
STEPS = ("one threshold", "a threshold a record", "logit", "Gaussian", "queries")
MARK_OF_SIDE = {"none": ("#000000", 0.0), "OUT": ("#E69F00", -0.14), "IN and OUT": (OURS, 0.14)}  # colour, place in its row
MARK_OF_ESTIMATE = {"counts": (OURS, -0.12), "one run": ("#009E73", 0.12)}


def _colour_of(attack: str) -> str:
    return COLOUR_OF_LABELS if attack.startswith(OF_LABELS) else COLOUR_OF_ATTACK.get(attack, FAINT)


def line_of_attack(attack: str) -> str:
    """Solid or dashed, as matplotlib writes it."""
    return "--" if attack in DASHED_ATTACKS else "-"


def named_attack(attack: str) -> str:
    """What a key calls an attack's line."""
    return in_words(attack) + " (dashed)" * (attack in DASHED_ATTACKS)


def _attack_key(attacks: Iterable[str]) -> list[tuple[str, str]]:
    present = set(attacks)
    named = [(named_attack(attack), colour) for attack, colour in COLOUR_OF_ATTACK.items() if attack in present]
    others = {_colour_of(attack) for attack in present - set(COLOUR_OF_ATTACK)}
    words = {COLOUR_OF_LABELS: ("labels alone", COLOUR_OF_LABELS), FAINT: ("other attacks", "#999999")}
    return named + [entry for colour, entry in words.items() if colour in others]


def log_roc_curves(table: pd.DataFrame, *, ax: Axes) -> None:
    """ROC curves on log scales, a line an attack: an accusation is believed at the left end. Dashed: guessing.

    table: attack, fpr, tpr; facet by dataset.
    """
    for attack, rows in table.groupby("attack", sort=False):
        rows, colour = rows[rows["tpr"] > 0], _colour_of(str(attack))
        thick, line = attack in COLOUR_OF_ATTACK, line_of_attack(str(attack))
        ax.plot(rows["fpr"], rows["tpr"], line, color=colour, linewidth=1.5 if thick else 0.7, zorder=3 if thick else 2)
    ends = [float(table["fpr"].min()), 1.0]
    ax.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
    floor = max(1e-4, float(table.loc[table["tpr"] > 0, "tpr"].min()))
    ax.set(xscale="log", yscale="log", xlim=(ends[0], 1), ylim=(floor, 1.1))
    name_axes(ax, "false positive rate", "true positive rate")
    key_beside(ax, _attack_key(table["attack"]))


def reference_counts(table: pd.DataFrame, *, ax: Axes, percent: bool = True) -> None:
    """What an attack finds by the number of its reference models, with 95% bands; the fewest that an attack needs begin a line.

    table: attack, metric, n_references, value, low, high (one metric, one rate); facet by dataset. percent: of a rate.
    """
    scale = 100 if percent else 1
    for attack, rows in table.groupby("attack", sort=False):
        rows, colour, line = rows.sort_values("n_references"), _colour_of(str(attack)), line_of_attack(str(attack))
        ax.fill_between(rows["n_references"], scale * rows["low"], scale * rows["high"], color=colour, alpha=0.12, linewidth=0)
        ax.plot(rows["n_references"], scale * rows["value"], f"o{line}", color=colour, markersize=3, linewidth=1.3)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(sorted(table["n_references"].unique())))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
    bottom, top = 0.0 if percent else min(0.5, float(table["low"].min())), scale * float(table["high"].max())
    ax.set_ylim(bottom - 0.03 * (top - bottom), top + 0.03 * (top - bottom))
    name_axes(ax, "reference models", "members found (%)" if percent else in_words(table["metric"].iloc[0]))
    key_beside(ax, _attack_key(table["attack"]))


def ladder_steps(table: pd.DataFrame, *, ax: Axes) -> None:
    """What each part of LiRA adds to the members found, in per cent, with 95% intervals; two ladders from one threshold.

    table: side, step, value, low, high (one rate), and `published` (Carlini et al. 2022; NaN or absent where there is none);
    facet by dataset.
    """
    for side, rows in table.groupby("side", sort=False):
        colour, shift = MARK_OF_SIDE[str(side)]
        y = rows["step"].map(STEPS.index) + shift
        errors = [100 * part for part in error_bars(rows)]
        ax.errorbar(100 * rows["value"], y, xerr=errors, fmt="o-", color=colour, linewidth=1.1, capsize=2, markersize=4)
        if "published" in rows:
            ax.plot(100 * rows["published"], y, "o", color=colour, markerfacecolor="none", markersize=7)
    ax.set_yticks(range(len(STEPS)), STEPS if place_of(ax).left else [""] * len(STEPS))
    ax.set(ylim=(len(STEPS) - 0.5, -0.5), xlim=(-0.03 * ax.get_xlim()[1], None))  # no mark at 0 is cut
    name_axes(ax, "members found (%)", "")
    words = [(f"{side.replace('none', 'no')} references", colour) for side, (colour, _) in MARK_OF_SIDE.items()]
    key_beside(ax, [*words, *([("hollow: published,\nother networks", GREY)] if "published" in table else [])])


def found_by_both(table: pd.DataFrame, *, ax: Axes) -> None:
    """Of the members that one attack finds (row), the share that another finds, too (column), in per cent; on the diagonal, in
    grey, how many it finds.

    table: attack, other, n_found, share; facet by dataset.
    """
    names = list(dict.fromkeys(table["attack"]))
    grid = table.pivot(index="attack", columns="other", values="share").loc[names, names].to_numpy(float, copy=True)
    np.fill_diagonal(grid, np.nan)
    counts = table.drop_duplicates("attack").set_index("attack")["n_found"]
    ax.imshow(np.nan_to_num(grid), cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for (i, j), share in np.ndenumerate(grid):
        text = f"{counts[names[i]]:,.0f}" if i == j else "" if np.isnan(share) else f"{100 * share:.0f}"
        colour = "#777777" if i == j else "white" if share > 0.75 else "black"
        ax.text(j, i, text, ha="center", va="center", fontsize=6.5, color=colour, style="italic" if i == j else "normal")
    place, words = place_of(ax), [in_words(name) for name in names]
    ax.set_yticks(range(len(names)), words if place.left else [""] * len(names), fontsize=6.5)
    ax.set_xticks(range(len(names)), words if place.lowest else [""] * len(names), fontsize=6.5)
    ax.tick_params(axis="x", rotation=40)
    for label in ax.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    name_axes(ax, "found by this one, too (%)", "found by this attack")


def mark_correlations(table: pd.DataFrame, *, ax: Axes) -> None:
    """Rank correlations with a record's exposure, with 95% intervals, a colour a data set. table: dataset, mark, spearman, low,
    high.
    """
    marks, names = list(dict.fromkeys(table["mark"])), list(dict.fromkeys(table["dataset"]))
    colours = {
        name: COLOUR_OF_DATASET.get("Purchase" if name.startswith("purchase") else in_words(name), GREY) for name in names
    }
    for place, name in enumerate(names):
        rows = table[table["dataset"] == name]
        y = rows["mark"].map(marks.index) + 0.6 * ((place + 0.5) / len(names) - 0.5)
        errors = error_bars(rows.rename(columns={"spearman": "value"}))
        ax.errorbar(rows["spearman"], y, xerr=errors, fmt="o", color=colours[name], markersize=4, capsize=2, linewidth=1)
    ax.axvline(0, color=GREY, linestyle="--", linewidth=0.8, zorder=0)
    ax.set_yticks(range(len(marks)), marks)
    far = min(1.0, 1.1 * max(0.2, float(table[["low", "high"]].abs().max().max())))
    ax.set(ylim=(len(marks) - 0.5, -0.5), xlabel="rank correlation with exposure", xlim=(-far, far))
    ax.locator_params(axis="x", nbins=5)
    labels = line_labels(table)
    key_beside(ax, [(labels[name], colour) for name, colour in colours.items()])


def average_against_low(table: pd.DataFrame, *, ax: Axes) -> None:
    """Each mitigation judged twice: by what the attack of 2017 gets on average, and by how many members LiRA finds at a low
    false positive rate; lower left is better. Lines join the values of one knob.

    table: mitigation, knob, at, average, low_rate, fpr; facet by dataset.
    """
    table = table.fillna({"knob": ""})  # a table that was read back has empty cells
    labels, lines = [], []
    for name, rows in table.groupby("mitigation", sort=False):
        colour, marker = MARK_OF_MITIGATION.get(str(name), ("#555555", "o"))
        ax.plot(rows["average"], 100 * rows["low_rate"], marker=marker, color=colour, linewidth=0.8, markersize=4)
        lines.append(np.stack([rows["average"], 100 * rows["low_rate"]], 1))
        for place, row in enumerate(rows.itertuples(), 1):
            last, value = place == len(rows), f"{row.at:.3g}"
            whole = "no mitigation" if name == "none" else f"{name}, {row.knob} = {value}" if row.knob else str(name)
            labels.append(Label(row.average, 100 * row.low_rate, whole if last else value, colour, 7 if last else 6, last))
    wide = float(np.ptp(table["average"])) or 0.1
    tall = 100 * float(table["low_rate"].max()) or 1.0
    ax.set(xlim=(table["average"].min() - 0.12 * wide, table["average"].max() + 0.2 * wide), ylim=(-0.08 * tall, 1.15 * tall))
    name_axes(ax, "balanced accuracy, attack of 2017", f"members LiRA finds at {100 * table['fpr'].iloc[0]:g}% (%)")
    place_labels(ax, sorted(labels, key=lambda label: not label.needed), lines)


def epsilon_bounds(table: pd.DataFrame, *, ax: Axes) -> None:
    """What the attacks prove of the privacy that a training lost, against what it promised: empirical lower bounds, a mark an
    estimate, with those of the targets of which least and most was proved.

    Short lines: the ceiling that the number of records allows. Dotted: what was promised, where it is no higher than these.
    table: training (in words), promised (NaN without a guarantee), estimate, value, low, high, ceiling; facet by dataset.
    """
    names = list(dict.fromkeys(table["training"]))
    for estimate, rows in table.groupby("estimate", sort=False):
        colour, shift = MARK_OF_ESTIMATE[str(estimate)]
        x = rows["training"].map(names.index) + shift
        ax.errorbar(x, rows["value"], error_bars(rows), fmt="o", color=colour, markersize=4.5, capsize=2, linewidth=1)
        ax.plot(x, rows["ceiling"], "_", color=colour, markersize=12, markeredgewidth=1.2)
    known, top = table.drop_duplicates("training"), 1.08 * float(table["ceiling"].max())
    for training, promised in zip(known["training"], known["promised"], strict=True):
        if promised <= top:
            at = names.index(training)
            ax.hlines(promised, at - 0.3, at + 0.3, color="black", linestyle=":", linewidth=1.2)
    ax.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=7)
    ax.set(ylim=(-0.03 * top, top), xlim=(-0.5, len(names) - 0.5))
    name_axes(ax, "training", "lower bound of ε (95%)")
    words = [(name, colour) for name, (colour, _) in MARK_OF_ESTIMATE.items()]
    key_beside(ax, [*words, ("short lines: ceiling", GREY), ("dotted: promised", "black")])
