"""Figures that controls move in JupyterLab (`mialib.lab`) and that stand still elsewhere: a row of panels, facet by `panel`."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from mialib.plots.steps import KEY_OF_MEMBERSHIP
from mialib.plots.style import GREY, OURS, write_key

_SIDES = {word: colour for word, colour in KEY_OF_MEMBERSHIP.values()}  # members and non-members, in their colours
_CALLED = "#EFEFEF"  # behind what is called a member
_ROOM = 1.36  # of a histogram's height: the key stands above its bars and lines
_Panel = Callable[[pd.DataFrame, pd.Series, Axes], None]


def called_members(marks: pd.DataFrame, position: pd.DataFrame, *, ax: Axes) -> None:
    """What a threshold on an attack's score makes of a target's records.

    marks: panel, line, x, y. Panel "scores": records by the left end of their bar; "decisions": records called members (x 1) or
    not (x 0); a line a side ("members", "non-members") in both; "ROC curve": "curve" and, where there is another to compare
    with, "compared". position, one row: threshold, precision, recall, false_positive_rate; column: what the score is called.
    """
    panels: dict[str, _Panel] = {"scores": _scores, "decisions": _decisions, "ROC curve": _curve}
    panels[marks["panel"].iloc[0]](marks, position.iloc[0], ax)


def one_record(marks: pd.DataFrame, position: pd.DataFrame, *, ax: Axes) -> None:
    """A target's answer to a record among those of its references, the record's score among all, and who is called a member.

    marks: as in `called_members`; panel "answers": references by the left end of their bar, a line for those that had the
    record ("had it") and for the others ("had it not"), and the bells that LiRA lays over them ("bell, had it" …: x, height).
    position, one row: threshold, precision, recall, score and answer (the target's log-odds) of the record.
    """
    panels: dict[str, _Panel] = {"answers": _answers, "scores": _scores, "decisions": _decisions}
    panels[marks["panel"].iloc[0]](marks, position.iloc[0], ax)


def one_mitigation(points: pd.DataFrame, *, ax: Axes) -> None:
    """One mitigation at one value of its knob: among all that were tried, and beside no mitigation.

    points: rows of `leakage.utility_points` of one data set and attacker, with chosen (bool: this value) and panel: "utility
    against leakage" (all rows) or "this setting" (the chosen one and "none").
    """
    points = points.dropna(subset=["utility", "leakage"])
    (_among_all if points["panel"].iloc[0] == "utility against leakage" else _beside_none)(points, ax)


# Panels


def _bars(marks: pd.DataFrame, colours: dict[str, str], ax: Axes) -> tuple[float, float]:
    """Histograms as filled stairs, a line each; the ends of the axis."""
    ends = [0.0, 1.0]
    for line, colour in colours.items():
        rows = marks[marks["line"] == line]
        left = rows["x"].to_numpy()
        edges = np.append(left, 2 * left[-1] - left[-2])
        ax.stairs(rows["y"], edges, fill=True, color=colour, alpha=0.45)
        ends = [edges[0], edges[-1]]
    ax.set_xlim(*ends)
    return ends[0], ends[1]


def _scores(marks: pd.DataFrame, position: pd.Series, ax: Axes) -> None:
    low, high = _bars(marks, _SIDES, ax)
    top = _ROOM * max(1.0, float(marks["y"].max()))
    threshold = float(np.clip(position["threshold"], low, high))
    ax.axvspan(threshold, high, ymax=1 / _ROOM, color=_CALLED, zorder=0)
    ax.axvline(threshold, ymax=1 / _ROOM, color="black", linestyle="--", linewidth=1)
    if "score" in position:
        ax.plot(np.clip(position["score"], low, high), 0, "^", color="black", markersize=8, clip_on=False, zorder=5)
    write_key(ax, list(_SIDES.items()))
    ax.set(ylim=(0, top), xlabel=position["column"], ylabel="records")


def _decisions(marks: pd.DataFrame, position: pd.Series, ax: Axes) -> None:
    """Four tiles, as dark as the share of their row is large, and what the two rates make of their numbers."""
    tiles = marks.pivot(index="line", columns="x", values="y").loc[list(_SIDES), [1, 0]].to_numpy()
    shares = tiles / np.maximum(tiles.sum(1, keepdims=True), 1)
    colours = [[to_rgba(colour, 0.08 + 0.6 * share) for share in row] for colour, row in zip(_SIDES.values(), shares)]
    edges = [-0.5, 0.5, 1.5]
    ax.pcolormesh(edges, edges, np.array(colours), edgecolors="white", linewidth=3)
    for row, column in np.ndindex(2, 2):
        ax.text(column, row, f"{tiles[row, column]:,.0f}", ha="center", va="center", fontsize=12)
    rates = [f"{name} {_rate(position[name])}" for name in ("precision", "recall")]
    ax.text(0.5, -0.78, "    ".join(rates), ha="center", va="center", fontsize=9)
    ax.set_xticks([0, 1], ["member", "non-member"])
    ax.set_yticks([0, 1], ["member", "non-member"], rotation=90, va="center")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlim=(-0.5, 1.5), ylim=(1.5, -1.05), xlabel="called a", ylabel="is a")


def _rate(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _curve(marks: pd.DataFrame, position: pd.Series, ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, zorder=0)
    for line, colour, width in (("compared", "#AAAAAA", 3.0), ("curve", OURS, 1.6)):
        rows = marks[marks["line"] == line]
        ax.plot(rows["x"], rows["y"], color=colour, linewidth=width)
    ax.plot(position["false_positive_rate"], position["recall"], "o", color="black", markersize=8, clip_on=False, zorder=5)
    if (marks["line"] == "compared").any():
        write_key(ax, [("this", OURS), ("real, all shadows", "#777777")], x=0.98, y=0.04, right=True)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="false positive rate", ylabel="true positive rate")


def _answers(marks: pd.DataFrame, position: pd.Series, ax: Axes) -> None:
    words = {f"had it{' not' if side.startswith('non') else ''}": colour for side, colour in _SIDES.items()}
    low, high = _bars(marks, words, ax)
    for word, colour in words.items():
        bell = marks[marks["line"] == f"bell, {word}"]
        ax.plot(bell["x"], bell["y"], color=colour, linewidth=1.2)
    bars = marks.loc[marks["line"].isin(list(words)), "y"]
    step = bars.sum() / 4  # few heights, so that axes which controls move stay as they are for most records
    top = 1.1 * _ROOM * step * np.ceil(bars.max() / step)
    ax.axvline(np.clip(position["answer"], low, high), ymax=1 / _ROOM / 1.1, color="black", linewidth=1.5)
    write_key(ax, [*words.items(), ("the target", "black")])
    ax.set(ylim=(0, top), xlabel="log-odds of the record's class", ylabel="references")


def _among_all(points: pd.DataFrame, ax: Axes) -> None:
    chosen, start = points[points["chosen"]].iloc[0], points[points["mitigation"] == "none"]
    front = points[points["front"]].sort_values(["leakage", "utility"])
    ax.step(front["leakage"], front["utility"], where="post", color="#DDDDDD", linewidth=5, solid_capstyle="round", zorder=0.5)
    ax.plot(points["leakage"], points["utility"], "o", color="#BBBBBB", markersize=3.5)
    path = pd.concat([start, points[points["mitigation"] == chosen["mitigation"]]])
    ax.plot(path["leakage"], path["utility"], "o-", color=OURS, markersize=4, linewidth=1.2)
    ax.plot(start["leakage"], start["utility"], "D", color="black", markersize=5, zorder=5)
    ax.plot(chosen["leakage"], chosen["utility"], "o", color=OURS, markersize=11, markeredgecolor="white", zorder=6)
    low, high = min(0.5, points["leakage"].min()), max(points["leakage"].max(), 0.55)
    bottom, top = points["utility"].min(), points["utility"].max()
    ax.axvline(0.5, ymax=0.68, color=GREY, linestyle="--", linewidth=1, zorder=0)
    wide, tall = high - low, max(top - bottom, 0.05)
    ax.set(xlim=(low - 0.06 * wide, high + 0.06 * wide), ylim=(bottom - 0.1 * tall, top + 0.5 * tall))
    words = [("no mitigation", "black"), (str(chosen["mitigation"]), OURS), ("what nothing else beats", "#777777")]
    write_key(ax, words, size=7)
    ax.set(xlabel="attack accuracy (leakage)", ylabel="test accuracy (utility)")


def _beside_none(points: pd.DataFrame, ax: Axes) -> None:
    chosen, start = points[points["chosen"]].iloc[0], points[points["mitigation"] == "none"].iloc[0]
    for place, column in enumerate(("utility", "leakage")):
        for side, row, shade in ((-0.17, start, "#BBBBBB"), (0.17, chosen, OURS)):
            value, ends = row[column], [[row[column] - row[f"{column}_low"]], [row[f"{column}_high"] - row[column]]]
            ax.barh(place + side, value, 0.3, color=shade)
            ax.errorbar(value, place + side, xerr=ends, color="#333333", linewidth=1, capsize=2)
            ax.text(1.02, place + side, f"{value:.3f}", va="center", fontsize=8)
    ax.axvline(0.5, color=GREY, linestyle="--", linewidth=1, zorder=3)
    write_key(ax, [("no mitigation", "#777777"), (str(chosen["mitigation"]), OURS)], size=7)
    ax.set_yticks([0, 1], ["test", "attack"])
    ax.set(xlim=(0, 1.2), ylim=(1.5, -1.0), xlabel="share answered right", ylabel="accuracy of")
    ax.set_xticks([0, 0.5, 1])
