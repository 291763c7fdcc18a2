"""Figures of mitigations: utility against leakage, Table III, knobs. As in `plots`: tidy tables and an `ax` in."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from mialib.plots.names import dataset_labels, in_words, line_labels, line_names
from mialib.plots.panels import place_of
from mialib.plots.style import OURS, axis_start, error_bars, line_colours, mark_coin, write_key

MARK_OF_MITIGATION = {  # colour and marker of each path: filters of the answers in colours, other trainings grey
    "none": ("black", "D"),
    "top k": ("#0072B2", "o"),
    "label only": ("#56B4E9", "s"),
    "rounding": ("#009E73", "^"),
    "temperature": ("#D55E00", "v"),
    "fitted temperature": ("#E69F00", "P"),
    "noise": ("#CC79A7", "X"),
    "L2": ("#000000", "o"),
    "dropout": ("#4D4D4D", "s"),
    "early stopping": ("#333333", "^"),
    "private training": ("#777777", "v"),
}
FAMILIES = {  # columns of `utility_leakage`, and the mitigations in each
    "cut or rounded answers": ("top k", "rounding", "label only"),
    "temperature": ("temperature", "fitted temperature"),
    "noise": ("noise",),
    "L2": ("L2",),
    "dropout": ("dropout",),
    "early stopping": ("early stopping",),
    "private training": ("private training",),
}
MARK_OF_KNOWLEDGE = {"aware": (OURS, "o"), "unaware": ("#E69F00", "s")}
FLAT = 0.004  # of test accuracy: paths that change it less lie upon one another, and are drawn side by side


def utility_leakage(points: pd.DataFrame, *, ax: Axes) -> None:
    """The target's test accuracy against what the attack gets, up and left is better: a row of panels a data set, in the place
    of `ax`, and a panel for each of `FAMILIES` that was tried there.

    points: rows of `leakage.utility_points` for one attacker (`variant`); a path starts at the black diamond, no mitigation,
    and goes through its rows in order, with thin 95% intervals. Behind it, grey, all points of the data set and the stair of
    its Pareto front, whose points are ringed in the panel of their mitigation.
    """
    points = points.fillna({"knob": ""}).dropna(subset=["utility", "leakage"])  # a table that was read back has empty cells
    figure, place, labels = ax.get_figure(), ax.get_subplotspec(), dataset_labels(points)
    if figure is None or place is None:
        raise ValueError("ax must stand in a grid of subplots: many panels share its place")
    columns = [words for words, names in FAMILIES.items() if points["mitigation"].isin(names).any()]
    grid = place.subgridspec(len(labels), max(len(columns), 1))
    ax.set_subplotspec(grid[0, 0])
    wide = np.ptp([0.5, *points["leakage"]])
    ax.set(xlim=(min(0.5, points["leakage"].min()) - 0.08 * wide, points["leakage"].max() + 0.08 * wide))
    lowest: dict[str, Axes] = {}
    tried = points.groupby("dataset")["mitigation"].nunique()  # most of them last: there the panels' names are
    for row, (dataset, label) in enumerate(sorted(labels.items(), key=lambda item: tried[item[0]])):
        own = points[points["dataset"] == dataset]
        first = ax if row == 0 else figure.add_subplot(grid[row, 0], sharex=ax)
        _frame_row(first, own, label)
        for column, words in enumerate(columns):
            if not own["mitigation"].isin(FAMILIES[words]).any():
                continue
            panel = first if column == 0 else figure.add_subplot(grid[row, column], sharex=ax, sharey=first)
            panel.tick_params(labelleft=column == 0, labelbottom=False, labelsize=7)
            if words not in lowest:
                panel.set_title(words.replace(" or ", " or\n").replace(" tr", "\ntr").replace(" st", "\nst"), fontsize=8)
            _utility_panel(own, FAMILIES[words], panel)
            lowest[words] = panel
    for panel in lowest.values():
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("attack accuracy", fontsize=7.5)


def _frame_row(first: Axes, own: pd.DataFrame, label: str) -> None:
    tall = max(float(np.ptp(own["utility"])), 0.05)
    first.set(ylim=(own["utility"].min() - 0.2 * tall, own["utility"].max() + 0.15 * tall))
    first.set_ylabel(label.replace(" (", "\n(") + "\ntest accuracy", fontsize=7.5)


def _utility_panel(own: pd.DataFrame, names: tuple[str, ...], ax: Axes) -> None:
    """One family of mitigations on one data set, over all that was tried there; their knobs' ends in the lower right corner."""
    mark_coin(ax, vertical=True)
    front, start = own[own["front"]].sort_values(["leakage", "utility"]), own[own["mitigation"] == "none"]
    ax.step(front["leakage"], front["utility"], where="post", color="#CCCCCC", linewidth=2.5, zorder=0.5)
    ax.plot(own["leakage"], own["utility"], ".", color="#AAAAAA", markersize=3, zorder=1)
    paths = {name: own[own["mitigation"] == name] for name in names if (own["mitigation"] == name).any()}
    flat = [name for name, rows in paths.items() if np.ptp(pd.concat([start, rows])["utility"]) < FLAT]
    for name, rows in paths.items():
        shift = 2.0 * (flat.index(name) - (len(flat) - 1) / 2) if name in flat else 0.0
        _path(pd.concat([start, rows]), name, shift, ax)
    ringed = front[front["mitigation"].isin([*names, "none"])]
    ring: dict[str, Any] = {"markerfacecolor": "none", "markersize": 7, "markeredgewidth": 0.8, "linewidth": 0}
    ax.plot(ringed["leakage"], ringed["utility"], "o", color="black", zorder=6, **ring)
    ax.plot(start["leakage"], start["utility"], "D", color="black", markersize=3.5, zorder=5)
    words = [(_path_words(name, rows), MARK_OF_MITIGATION[name][0]) for name, rows in paths.items()]
    write_key(ax, words, x=0.98, y=0.02, size=6.5, right=True)


def _path(path: pd.DataFrame, name: str, shift: float, ax: Axes) -> None:
    """Paths that leave the test accuracy as it is would coincide: they are drawn side by side, `shift` points apart."""
    colour, marker = MARK_OF_MITIGATION[name]
    moved = offset_copy(ax.transData, fig=ax.get_figure(root=True), y=shift, units="points")
    own = path[path["mitigation"] != "none"]
    ax.plot(path["leakage"][:2], path["utility"][:2], color=colour, linewidth=0.7, alpha=0.4, transform=moved, zorder=2)
    ax.plot(own["leakage"], own["utility"], marker=marker, color=colour, linewidth=1, markersize=3, transform=moved, zorder=4)
    for row in own.itertuples():
        bars: dict[str, Any] = {"color": colour, "linewidth": 0.6, "alpha": 0.5, "transform": moved, "zorder": 1}
        ax.plot([row.leakage_low, row.leakage_high], [row.utility] * 2, **bars)
        ax.plot([row.leakage] * 2, [row.utility_low, row.utility_high], **bars)


def _path_words(name: str, rows: pd.DataFrame) -> str:
    """ "λ: 0.0001 to 0.1", the first and the last value of a path's knob; the mitigation's name where it has none."""
    knob, first, last = rows["knob"].iloc[0], rows["at"].iloc[0], rows["at"].iloc[-1]
    if not knob:
        return name
    span = f"{first:.3g}" if first == last else f"{first:.3g} to {last:.3g}"
    short = {"fitted temperature": "fitted", "rounding": "digits"}.get(name, "" if name.endswith(f" {knob}") else knob)
    return f"{short or name}: {span}"


def knob_curves(table: pd.DataFrame, *, ax: Axes, by: str) -> None:
    """Attack accuracy as the knob of one filter turns, a line a value of `by`, with 95% intervals.

    table: rows of `leakage.filter_sweeps`; facet by filter and variant. The values of a knob stand at equal distances.
    """
    mark_coin(ax)
    steps = ["none", *(f"{at:g}" for at in dict.fromkeys(table.loc[table["mitigation"] != "none", "at"]))]
    place = {step: x for x, step in enumerate(steps)}
    lines = line_names(table, by)
    colours = line_colours(lines)
    for line, rows in table.groupby(lines, sort=False):
        x = np.where(rows["mitigation"] == "none", "none", rows["at"].map("{:g}".format))
        errors = error_bars(rows)
        style: dict[str, Any] = {
            "color": colours[str(line)],
            "marker": "o",
            "markersize": 3.5,
            "linewidth": 1.2,
            "capsize": 1.5,
        }
        ax.errorbar([place[step] for step in x], rows["value"], yerr=errors, **style)
    ax.set_xticks(range(len(steps)), steps)
    ax.set(ylim=(axis_start(table["low"]), 1.02), xlabel=table["knob"].iloc[0])
    panel = place_of(ax)
    if panel.left:
        ax.set_ylabel("attack accuracy")
    if panel.last:  # of noise, for the attacker who does not know: there the curves fall fastest
        labels = {in_words(name): label for name, label in line_labels(table).items()} if by == "dataset" else {}
        write_key(ax, [(labels.get(line, line), colour) for line, colour in colours.items()], x=0.98, size=7, right=True)


def mitigation_rows(compared: pd.DataFrame, *, ax: Axes) -> None:
    """Table III as a picture: a row a mitigation, one metric; ours for both attackers with intervals, the paper's hollow.

    compared: setting, variant ("aware" or "unaware"), value, low, high, published, in the table's order. Facet by metric.
    """
    settings = list(dict.fromkeys(compared["setting"]))
    height = {setting: len(settings) - 1 - place for place, setting in enumerate(settings)}
    if not compared["metric"].eq("target_test_accuracy").all():
        mark_coin(ax, vertical=True)
    shown = compared["setting"].map(height)
    for (variant, (colour, marker)), side in zip(MARK_OF_KNOWLEDGE.items(), (0.14, -0.14), strict=True):
        rows = compared[compared["variant"] == variant]
        errors = error_bars(rows)
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
        words = [
            ("\u25cf attacker aware", OURS),
            ("\u25a0 unaware", MARK_OF_KNOWLEDGE["unaware"][0]),
            ("\u25cb the paper", "black"),
        ]
        write_key(ax, words, x=0.01, y=0.985, size=7)


def _row_name(setting: str) -> str:
    """ "mitigation:l2_lambda=1e-3" as the table has it."""
    name, _, value = setting.removeprefix("mitigation:").partition("=")
    if value == "1_label_only":
        return "label only"
    words = {"none": "no mitigation", "top_k": "top k =", "rounding_d": "rounding d =", "temperature_t": "temperature t ="}
    return f"{words.get(name, name.replace('l2_lambda', 'L2 λ =').replace('_', ' '))} {value}".strip()
