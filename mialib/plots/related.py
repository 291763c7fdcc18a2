"""Figures of what stands around the attack: inversion, extraction, white boxes, other shadows, apps in between."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mialib.plots.modern import _key_beside, _name_axes
from mialib.plots.names import in_words
from mialib.plots.style import GREY, axis_start, error_bars, mark_coin, write_key

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


MARK_OF_INDIRECT = {  # colour, mark, sign in the key, in the order within a row
    "shokri": ("#D55E00", "o", "●"),
    "confidence": ("#000000", "o", "●"),
    "lira_online_global": ("#0072B2", "o", "●"),
    "label_gap": ("#CC79A7", "s", "■"),
    "label_noise": ("#CC79A7", "D", "◆"),
    "label_boundary": ("#CC79A7", "^", "▲"),
}


LONG_NAME = 26  # letters: an app's name is broken at its last comma beyond


def through_an_app(table: pd.DataFrame, *, ax: Axes, metric: str = "auc", fpr: float | None = None) -> None:
    """What is left of each attack when an app stands between it and the model: a row an app, a colour an attack (a mark each,
    of those that see labels alone), with 95% intervals. Dashed: guessing.

    table: app, attack, metric, fpr, value, low, high; facet by dataset. metric: the rows that are drawn, with `fpr` where that
    is "tpr", in per cent.
    """
    shown = table[(table["metric"] == metric) & (fpr is None or (table["fpr"] - fpr).abs() < 1e-12)]
    shown = shown[shown["attack"].isin(MARK_OF_INDIRECT)]
    if shown.empty:
        raise ValueError(f"table must hold rows of metric {metric}{'' if fpr is None else f' at {fpr:g}'}, got none")
    scale, apps = 100 if metric == "tpr" else 1, list(dict.fromkeys(shown["app"]))
    attacks = [attack for attack in MARK_OF_INDIRECT if attack in set(table["attack"])]  # in every panel at the same height
    for place, attack in enumerate(attacks):
        colour, marker, _ = MARK_OF_INDIRECT[attack]
        rows = shown[shown["attack"] == attack]
        y = rows["app"].map(apps.index) + 0.7 * ((place + 0.5) / len(attacks) - 0.5)
        errors = [scale * part for part in error_bars(rows)]
        ax.errorbar(scale * rows["value"], y, xerr=errors, fmt=marker, color=colour, markersize=3, capsize=1.5, linewidth=0.8)
    for edge in range(1, len(apps)):
        ax.axhline(edge - 0.5, color="#E5E5E5", linewidth=0.6, zorder=0)
    if metric == "auc":
        mark_coin(ax, vertical=True)
        ax.set_xlim(max(0.3, axis_start(shown["low"])), 1.01)  # few targets have intervals over the whole axis
    name = in_words(metric) if fpr is None else f"members found at {100 * fpr:g}% (%)"
    broken = [",\n".join(app.rsplit(", ", 1)) if len(app) > LONG_NAME else app for app in apps]
    ax.set_yticks(range(len(apps)), broken, fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(apps) - 0.5, -0.5), xlabel=name)
    if ax is ax.figure.axes[-1]:  # one key, beside the last panel
        key = [(f"{MARK_OF_INDIRECT[attack][2]} {in_words(attack)}", MARK_OF_INDIRECT[attack][0]) for attack in attacks]
        write_key(ax, key, x=1.03, size=7)


def inverted_pictures(table: pd.DataFrame, *, ax: Axes) -> None:
    """Fig. 13: what inversion makes of each class, a column a class, above the mean of its members and real records.

    table: cls, name, row, height, width, channels, pixels (hexadecimal bytes); facet by dataset, share=False, columns=1.
    """
    rows, classes = list(dict.fromkeys(table["row"])), list(dict.fromkeys(table["cls"]))
    lifted = [1.06 * (len(rows) - 1 - place) + 0.25 * row.startswith("inverted") for place, row in enumerate(rows)]
    for one in table.itertuples():
        pixels = np.frombuffer(bytes.fromhex(str(one.pixels)), np.uint8).reshape(one.height, one.width, one.channels)
        left, bottom = 1.06 * classes.index(one.cls), lifted[rows.index(str(one.row))]
        extent = (left, left + 1, bottom, bottom + 1)
        shown = pixels if one.channels == 3 else np.repeat(pixels, 3, axis=2)
        ax.imshow(shown, extent=extent, interpolation="nearest")
    ax.set(xlim=(-0.06, 1.06 * len(classes)), ylim=(-0.06, max(lifted) + 1.06), aspect="equal")
    ax.set_xticks(1.06 * np.arange(len(classes)) + 0.5, list(dict.fromkeys(table["name"])), fontsize=7)
    ax.set_yticks(np.array(lifted) + 0.5, rows, fontsize=7)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
