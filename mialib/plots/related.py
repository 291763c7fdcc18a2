"""Figures of what stands around the attack: inversion, extraction, white boxes, other shadows, apps in between."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mialib.plots.labels import Label, place_labels
from mialib.plots.modern import COLOUR_OF_ATTACK
from mialib.plots.names import in_words
from mialib.plots.panels import key_beside, name_axes, place_of
from mialib.plots.style import GREY, axis_start, error_bars, mark_coin, write_key

COLOUR_OF_ACCESS = {"black box": "#000000", "white box": "#D55E00"}
MARK_OF_TEACHER = {  # mark, place in its row, sign in the key
    "nothing": ("D", 0.0, "◆"),
    "shadows": ("o", -0.14, "●"),
    "known members": ("s", 0.14, "■"),
}


def _rows_of(table: pd.DataFrame, metric: str, fpr: float | None, attack: str | None = None) -> pd.DataFrame:
    """The rows of a metric, at a rate and of one attack where these are given; ValueError if there are none."""
    rows = table[(table["metric"] == metric) & (attack is None or table["attack"] == attack)]
    rows = rows if fpr is None else rows[(rows["fpr"] - fpr).abs() < 1e-12]
    if rows.empty:
        words = f"metric {metric}{'' if fpr is None else f' at {fpr:g}'}{'' if attack is None else f' and attack {attack}'}"
        raise ValueError(f"table must hold rows of {words}, got none")
    return rows


def inside_and_outside(table: pd.DataFrame, *, ax: Axes, metric: str = "auc", fpr: float | None = None) -> None:
    """What attacks find by what they see of a model, a row a kind of features, with 95% intervals. Thin line: the best one that
    sees answers alone and knows none of the target's members.

    table: access, learned_on, features, metric, fpr, value, low, high; facet by dataset. metric: the rows that are drawn, with
    `fpr` where that is "tpr".
    """
    shown = _rows_of(table, metric, fpr)
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
        line = ("line: the best\non answers alone", GREY)
        write_key(ax, [*COLOUR_OF_ACCESS.items(), ("learned on", GREY), *teachers, line], x=1.03, size=7)


COLOUR_OF_RECORDS = {"real": "#0072B2", "noisy": "#E69F00", "random": "#CC79A7", "synthesised": "#D55E00"}
LINE_OF_ANSWERS = {  # its dashes, its mark, and what the key calls it
    "vectors": ("-", "o", "● solid: whole vectors"),
    "labels": ("--", "s", "■ dashed: labels alone"),
    "true labels": (":", "D", "◆ dotted: true labels,\nno query"),
}


def extraction_curves(table: pd.DataFrame, *, ax: Axes) -> None:
    """How often a copy agrees with its target, by the number of queries, with 95% bands; a colour a kind of records, solid
    where whole vectors were learned, dashed where labels alone were, dotted where true labels were, without a query.

    table: records, answers, n_queries, metric, value, low, high (agreement alone is drawn); facet by dataset.
    """
    table = table[table["metric"] == "agreement"]
    for (records, answers), rows in table.groupby(["records", "answers"], sort=False):
        rows, colour = rows.sort_values("n_queries"), COLOUR_OF_RECORDS[str(records)]
        dashes, marker, _ = LINE_OF_ANSWERS[str(answers)]
        if len(rows) > 1:
            ax.fill_between(rows["n_queries"], rows["low"], rows["high"], color=colour, alpha=0.1, linewidth=0)
        else:  # a band of one point would not be seen
            ax.errorbar(rows["n_queries"], rows["value"], error_bars(rows), fmt="none", color=colour, capsize=2, linewidth=0.8)
        ax.plot(rows["n_queries"], rows["value"], marker, linestyle=dashes, color=colour, markersize=3.5, linewidth=1.3)
    ax.set(xscale="log", ylim=(-0.03, 1.03))
    ax.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
    name_axes(ax, "queries", "agreement with the target")
    kinds, forms = set(table["records"]), set(table["answers"])
    words = [(f"{records} records", colour) for records, colour in COLOUR_OF_RECORDS.items() if records in kinds]
    key_beside(ax, [*words, *((text, GREY) for answers, (*_, text) in LINE_OF_ANSWERS.items() if answers in forms)])


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
    shown = _rows_of(table[table["attack"].isin(MARK_OF_INDIRECT)], metric, fpr)
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
    ax.set_yticks(np.array(lifted) + 0.5, [row.replace(", ", ",\n").replace(" of ", " of\n") for row in rows], fontsize=7)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    name_axes(ax, "class", "")


COLOUR_OF_SHARE = {"precision": "#0072B2", "recall": "#E69F00", "auc": "#009E73", "tpr": "#D55E00"}
LINE_OF_ATTACK = {"shokri": ("-", "o", "solid"), "confidence": (":", "s", "dotted")}


def by_share(table: pd.DataFrame, *, ax: Axes, gain: bool = False) -> None:
    """What attacks get by the share of a shadow's training set that is the target's, with 95% intervals: a colour a metric,
    solid for the attack of 2017, dotted for one threshold. gain: the differences to disjoint shadows instead, in points.

    table: share, attack, metric, fpr, value, low, high (one rate); facet by dataset.
    """
    end, scale = "_gain" if gain else "", 100
    shown = table[table["metric"].isin([metric + end for metric in COLOUR_OF_SHARE])]
    if shown.empty:
        raise ValueError(f"table must hold rows of metrics{' that end in _gain' if gain else ''}, got none")
    groups = list(shown.groupby(["metric", "attack"], sort=False))
    for place, ((metric, attack), rows) in enumerate(groups):
        rows, colour = rows.sort_values("share"), COLOUR_OF_SHARE[str(metric).removesuffix("_gain")]
        line, marker, _ = LINE_OF_ATTACK[str(attack)]
        x = 100 * rows["share"] + 1.2 * (place - (len(groups) - 1) / 2)  # side by side: intervals would cover one another
        errors = [scale * part for part in error_bars(rows)]
        ax.errorbar(
            x, scale * rows["value"], errors, linestyle=line, marker=marker, color=colour, markersize=3, capsize=1.5,
            linewidth=1, elinewidth=0.7,
        )  # fmt: skip
    shares = sorted(table["share"].unique())
    ax.set_xticks([100 * share for share in shares])
    if gain:
        ax.axhline(0, color=GREY, linestyle="--", linewidth=0.8, zorder=0)
    else:
        ax.set_ylim(-3, 103)
    name_axes(ax, "training set shared with the target (%)", "gain over 0% (points)" if gain else "value (%)")
    rates = [f"members found at {100 * fpr:g}%" for fpr in shown["fpr"].dropna().unique()]
    names = {"precision": "precision", "recall": "recall", "auc": "AUC", "tpr": ", ".join(rates)}
    drawn = {str(metric).removesuffix("_gain") for metric in shown["metric"]}
    metrics = [(names[metric], colour) for metric, colour in COLOUR_OF_SHARE.items() if metric in drawn]
    attacks = [(f"{words}: {in_words(a)}", GREY) for a, (_, _, words) in LINE_OF_ATTACK.items() if a in set(shown["attack"])]
    key_beside(ax, [*metrics, *attacks])


def wrong_kinds(
    table: pd.DataFrame, *, ax: Axes, metric: str = "auc", attack: str = "shokri", fpr: float | None = None
) -> None:
    """What an attack gets of a kind of target (row) with shadows of a kind (column), in per cent; framed: the right kind. An
    empty place: no record was called a member, so that there is no precision.

    table: target_kind, shadow_kind, attack, metric, fpr, value; facet by dataset. fpr: of the metric "tpr".
    """
    shown = _rows_of(table, metric, fpr, attack)
    names = list(dict.fromkeys(shown["target_kind"]))
    grid = shown.pivot(index="target_kind", columns="shadow_kind", values="value").loc[names, names].to_numpy(float)
    least = 0.5 if metric in ("auc", "precision", "balanced_accuracy") else 0.0
    ax.imshow(np.nan_to_num(grid), cmap="Blues", vmin=least, vmax=1.15, aspect="auto")
    for (i, j), value in np.ndenumerate(grid):
        text = "" if np.isnan(value) else f"{100 * value:.0f}"
        dark = value > least + 0.75 * (1.15 - least)
        ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        if i == j:
            ax.add_patch(Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor="#D55E00", linewidth=1.2))
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_xticks(range(len(names)), names, fontsize=7, rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0, labelleft=place_of(ax).left)
    ax.spines[:].set_visible(False)
    name_axes(ax, "kind of the shadows", "kind of the target")


def kinds_of_model(
    table: pd.DataFrame, *, ax: Axes, metric: str = "auc", attack: str = "shokri", fpr: float | None = None
) -> None:
    """What an attack gets of each kind of model, with 95% intervals, against how far its accuracy on members exceeds that on
    other records.

    table: kind, train_accuracy, test_accuracy, attack, metric, fpr, value, low, high; facet by dataset. fpr: of "tpr".
    """
    shown = _rows_of(table, metric, fpr, attack)
    gap = shown["train_accuracy"] - shown["test_accuracy"]
    ax.errorbar(
        gap, shown["value"], error_bars(shown), fmt="o", color=COLOUR_OF_ATTACK[attack], markersize=4, capsize=2, linewidth=1
    )
    ax.set(xlim=(-0.05, 1.0), ylim=(min(0.45, float(shown["low"].min()) - 0.03), 1.05))
    if metric != "tpr":
        mark_coin(ax)
    points = np.stack([gap, shown["value"]], 1)
    labels = [Label(x, y, str(kind), "#333333", 7) for (x, y), kind in zip(points, shown["kind"], strict=True)]
    place_labels(ax, labels, [point[None] for point in points])
    name = in_words(metric) if fpr is None else f"members found at {100 * fpr:g}%"
    name_axes(ax, "accuracy on members less that on others", f"{name}, {in_words(attack)}")
