"""Figures of mitigations: utility against leakage, Table III, knobs. As in `plots`: tidy tables and an `ax` in."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from mialib.plots.labels import Label, place_labels
from mialib.plots.names import in_words, line_labels, line_names
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
MARK_OF_KNOWLEDGE = {"aware": (OURS, "o"), "unaware": ("#E69F00", "s")}
FLAT = 0.004  # of test accuracy: paths that change it less lie upon one another, and are drawn side by side


def utility_leakage(points: pd.DataFrame, *, ax: Axes) -> None:
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
    mark_coin(ax, vertical=True)


def _path(path: pd.DataFrame, name: str, shift: float, ax: Axes) -> None:
    colour, marker = MARK_OF_MITIGATION.get(name, ("#555555", "o"))
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
    colour = MARK_OF_MITIGATION.get(name, ("#555555", "o"))[0]
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
    spec = ax.get_subplotspec()
    if spec is None or spec.is_first_col():
        ax.set_ylabel("attack accuracy")
    if spec is None or (spec.is_last_col() and spec.is_first_row()):  # of noise, whose curves fall
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
