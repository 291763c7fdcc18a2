"""Figures of what stands around the attack: inversion, extraction, white boxes, other shadows, apps in between."""

import pandas as pd
from matplotlib.axes import Axes

from mialib.plots.modern import _key_beside, _name_axes
from mialib.plots.names import in_words
from mialib.plots.style import GREY, error_bars, mark_coin, write_key

COLOUR_OF_ACCESS = {"black box": "#000000", "white box": "#D55E00"}
MARK_OF_TEACHER = {  # mark, place in its row, sign in the key
    "nothing": ("D", 0.0, "◆"),
    "shadows": ("o", -0.14, "●"),
    "known members": ("s", 0.14, "■"),
}


def inside_and_outside(table: pd.DataFrame, *, ax: Axes, metric: str = "auc", fpr: float | None = None) -> None:
    """What attacks find by what they see of a model, a row a kind of features, with 95% intervals. Thin line: the best one that
    sees answers alone and knows none of the target's members.

    table: access, learned_on, features, metric, fpr, value, low, high; facet by dataset. metric: the rows that are drawn, with
    `fpr` where that is "tpr".
    """
    shown = table[(table["metric"] == metric) & (fpr is None or (table["fpr"] - fpr).abs() < 1e-12)]
    if shown.empty:
        raise ValueError(f"table must hold rows of metric {metric}{'' if fpr is None else f' at {fpr:g}'}, got none")
    scale = 100 if metric.startswith("tpr") else 1
    order = [name for access in COLOUR_OF_ACCESS for name in dict.fromkeys(shown.loc[shown["access"] == access, "features"])]
    for (access, teacher), rows in shown.groupby(["access", "learned_on"], sort=False):
        marker, shift, _ = MARK_OF_TEACHER[str(teacher)]
        y, errors = rows["features"].map(order.index) + shift, [scale * part for part in error_bars(rows)]
        colour = COLOUR_OF_ACCESS[str(access)]
        ax.errorbar(scale * rows["value"], y, xerr=errors, fmt=marker, color=colour, markersize=3.5, capsize=2, linewidth=1)
    rivals = shown[(shown["access"] == "black box") & (shown["learned_on"] != "known members")]
    ax.axvline(scale * rivals["value"].max(), color=GREY, linewidth=0.8, zorder=0)
    if metric == "auc":
        mark_coin(ax, vertical=True)
    ax.set_yticks(range(len(order)), [in_words(name) for name in order], fontsize=7)
    name = f"members found at {100 * (fpr or 0):g}% (%)" if scale > 1 else in_words(metric)
    ax.set(ylim=(len(order) - 0.5, -0.5), xlabel=name)
    if ax is ax.figure.axes[-1]:  # one key, beside the last panel
        taught = set(table["learned_on"])
        teachers = [(f"{sign} {teacher}", GREY) for teacher, (_, _, sign) in MARK_OF_TEACHER.items() if teacher in taught]
        write_key(ax, [*COLOUR_OF_ACCESS.items(), ("learned on", GREY), *teachers], x=1.03, size=7)


COLOUR_OF_RECORDS = {"real": "#0072B2", "noisy": "#E69F00", "random": "#CC79A7", "synthesised": "#D55E00"}
LINE_OF_ANSWERS = {  # its dashes, and what the key calls it
    "vectors": ("-", "solid: whole vectors"),
    "labels": ("--", "dashed: labels alone"),
    "true labels": (":", "dotted: true labels,\nno query"),
}


def extraction_curves(table: pd.DataFrame, *, ax: Axes) -> None:
    """How often a copy agrees with its target, by the number of queries, with 95% bands; a colour a kind of records, solid
    where whole vectors were learned, dashed where labels alone were, dotted where true labels were, without a query.

    table: records, answers, n_queries, metric, value, low, high (agreement alone is drawn); facet by dataset.
    """
    table = table[table["metric"] == "agreement"]
    for (records, answers), rows in table.groupby(["records", "answers"], sort=False):
        rows, colour = rows.sort_values("n_queries"), COLOUR_OF_RECORDS[str(records)]
        ax.fill_between(rows["n_queries"], rows["low"], rows["high"], color=colour, alpha=0.1, linewidth=0)
        ax.plot(
            rows["n_queries"], rows["value"], "o", linestyle=LINE_OF_ANSWERS[str(answers)][0], color=colour,
            markersize=3, linewidth=1.3,
        )  # fmt: skip
    ax.set(xscale="log", ylim=(-0.03, 1.03))
    _name_axes(ax, "queries", "agreement with the target")
    kinds, forms = set(table["records"]), set(table["answers"])
    words = [(f"{records} records", colour) for records, colour in COLOUR_OF_RECORDS.items() if records in kinds]
    _key_beside(ax, [*words, *((text, GREY) for answers, (_, text) in LINE_OF_ANSWERS.items() if answers in forms)])
