"""Figures of classes: precision class by class, boxes, densities, pictures."""

from collections.abc import Callable, Sequence
from statistics import median, median_low
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mialib.plots.keys import figure_key, name_in_key
from mialib.plots.names import in_words, line_labels, line_names
from mialib.plots.style import FAR_ABOVE_COIN, GREY, MEMBERS, OURS, axis_start, line_colours, mark_coin


def cdfs(
    classes: pd.DataFrame,
    paper: pd.DataFrame | None = None,
    *,
    ax: Axes,
    by: str,
    metric: str = "precision",
    ours: str = "ours",
    theirs: str = "the paper",
) -> None:
    """Figs. 4 to 9: the share of classes whose attack precision (or recall) is at most x, all targets together, over the
    paper's curves (thin), all of them, whether ours has such a line or not.

    A class that is never called a member has no precision: it counts among the classes, and stands at "none", right of 1; the
    dotted line has such classes at 0, as the paper's Fig. 9 does. Of two readings of the noise (`variant`), that by random
    values is dashed.

    classes: `by`, whose values are the lines (see `names.line_names`), and the metric; paper: `by`, value. ours, theirs: what
    the thick and the thin lines are.
    """
    paper = pd.DataFrame({by: [], "value": []}) if paper is None else paper
    lines, known = line_names(classes, by), line_names(paper, by)
    colours = line_colours([*lines, *known])
    left = _axis_of_rates(ax, pd.concat([classes[metric], paper["value"]]))
    for line, points in paper.groupby(known, sort=False):
        steps = np.sort(points["value"])
        shares = np.arange(1, len(steps) + 1) / len(steps)
        ax.step([steps[0], *steps], [0, *shares], where="post", color=colours[str(line)], linewidth=0.9)
    variant = classes["variant"] if "variant" in classes else pd.Series("none", index=classes.index)
    for place, ((line, reading), rows) in enumerate(classes.groupby([lines, variant], sort=False)):
        dashes = "--" if reading == "random" else "-"
        none = 1 + (1 - left) * (0.12 + 0.03 * place)
        _rise(ax, rows[metric], none, color=colours[str(line)], linewidth=2.2, linestyle=dashes)
    for line, colour in colours.items():
        name_in_key(ax, line, colour)
    for words in [f"thick: {ours}", f"thin: {theirs}"] if len(paper) else []:
        name_in_key(ax, words, GREY)
    if (variant == "random").any():
        name_in_key(ax, "solid: bits flipped", GREY)
        name_in_key(ax, "dashed: bits replaced", GREY)
    ax.set(xlim=(left, 1.01), ylim=(0, 1.02), xlabel=f"attack {metric} of a class", ylabel="share of classes")
    if classes[metric].isna().any():
        _make_room(ax, left)
        name_in_key(ax, "none: classes never\ncalled members", GREY)
        name_in_key(ax, "dotted: with these at 0,\nas in the paper's Fig. 9", GREY)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    figure_key(ax)


def _axis_of_rates(ax: Axes, values: pd.Series) -> float:
    """Mark a coin's 0.5, by words where it lies far below every value. Returns where the axis begins."""
    low = float(values.min())
    if low > FAR_ABOVE_COIN:
        ax.annotate("\u2190 a coin: 0.5", (0.02, 0.97), xycoords="axes fraction", color=GREY, fontsize=7, va="top")
        return low - 0.04
    mark_coin(ax, vertical=True)
    return axis_start(values)


def _rise(ax: Axes, values: pd.Series, none: float, **pen: Any) -> None:
    """The cumulative share of all values by those that are defined, and at x = `none` the share of those that are not; dotted
    the share with these at 0.
    """
    steps = np.sort(values.dropna())
    reached = len(steps) / len(values)
    if len(steps):
        ax.step([steps[0], *steps], [0, *(np.arange(1, len(steps) + 1) / len(values))], where="post", **pen)
    if reached < 1:
        zeroed = np.append(np.zeros(len(values) - len(steps)), steps)
        shares = np.arange(1, len(zeroed) + 1) / len(zeroed)
        ax.step([*zeroed, 1], [*shares, 1], where="post", **pen | {"linestyle": ":", "linewidth": 1.3})
        ax.plot([none, none], [reached, 1], **pen | {"linestyle": "-", "linewidth": 4, "solid_capstyle": "butt"})


def _make_room(ax: Axes, left: float) -> None:
    """A place "none" right of the axis of rates, which ends at 1."""
    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(left, 1) if left <= tick < 1.01]
    ax.axvline(1 + 0.06 * (1 - left), color="#DDDDDD", linewidth=0.8, zorder=0)
    ax.set_xlim(left, 1 + 0.28 * (1 - left))
    ax.set_xticks([*ticks, 1 + 0.17 * (1 - left)], [*(f"{tick:g}" for tick in ticks), "none"])


def class_dots(classes: pd.DataFrame, paper: pd.DataFrame, *, ax: Axes, names: Sequence[str]) -> None:
    """Fig. 4: the attack precision of each of ten classes; a faint dot a target, their mean filled, the paper's hollow.

    Of an even number of classes a median is read in two ways. A line is the low median, the fifth smallest of ten, as the paper
    prints it (`attack_precision_p50` of `paper.compare`); dotted the usual one, between the fifth and the sixth
    (`attack_precision_median`). Ours are means over targets of each target's own, as in the table.

    classes: target, cls, precision; paper: cls, value. names: of the classes, in their order. Facet by training size.
    """
    mark_coin(ax)
    ax.plot(classes["cls"] - 0.12, classes["precision"], "o", color=OURS, markersize=2.5, alpha=0.4, markeredgewidth=0)
    means = classes.groupby("cls")["precision"].mean()
    ax.plot(means.index - 0.12, means, "o", color=OURS)
    ax.plot(paper["cls"] + 0.12, paper["value"], "o", color="black", markerfacecolor="none", markersize=5)
    own = [rows.dropna().to_numpy() for _, rows in classes.groupby("target")["precision"]]
    for targets, colour in ((own, OURS), ([paper["value"].to_numpy()], "black")):
        for read, dashes in READINGS_OF_MEDIAN.items():
            found = [float(read(values.tolist())) for values in targets if len(values)]
            if found:
                ax.axhline(sum(found) / len(found), color=colour, linestyle=dashes, linewidth=0.9, zorder=0)
    figure_key(ax, [("ours", OURS), ("faint: single targets", OURS), ("hollow: the paper", "black"), (OF_MEDIANS, GREY)])
    ax.set(ylim=(axis_start(classes["precision"]), 1.02), xlabel="class", ylabel="attack precision")
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)


READINGS_OF_MEDIAN: dict[Callable[[list[float]], float], str] = {median_low: "-", median: ":"}
OF_MEDIANS = "line: low median,\nas the paper prints it;\ndotted: median"


def pictures(shown: pd.DataFrame, *, ax: Axes, second: str = "the probability that the target gives to its class") -> None:
    """A row of pictures that leak and one of pictures that do not, a column a class; below each its score, by which they were
    chosen, and grey its confidence.

    shown: see `study.tables.leaking_pictures`. second: what the confidence is, in words.
    """
    height, width = int(shown["height"].iloc[0]), int(shown["width"].iloc[0])
    classes = list(dict.fromkeys(shown["cls"]))
    for row in shown.itertuples():
        picture = np.frombuffer(bytes.fromhex(str(row.pixels)), np.uint8).reshape(height, width, 3)
        left, bottom = classes.index(row.cls), 1.45 if row.exposed else 0.0
        ax.imshow(picture, extent=(left + 0.04, left + 0.96, bottom + 0.04, bottom + 0.96), interpolation="nearest")
        colour = MEMBERS if row.exposed else "black"
        ax.text(left + 0.5, bottom, f"{row.score:z.1f}", ha="center", va="top", fontsize=7.5, color=colour)
        ax.text(left + 0.5, bottom - 0.22, f"{row.confidence:.3f}", ha="center", va="top", fontsize=6, color=GREY)
    ax.set(xlim=(0, len(classes)), ylim=(-0.4, 2.5), aspect="equal")
    ax.set_xticks(np.arange(len(classes)) + 0.5, list(dict.fromkeys(shown["name"])), fontsize=7)
    ax.set_yticks([1.95, 0.5], ["leaks most", "leaks least"], fontsize=8)
    ax.set_xlabel(f"below each picture its score; grey: {second}", fontsize=7.5)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def boxes(classes: pd.DataFrame, compared: pd.DataFrame, points: pd.DataFrame | None = None, *, ax: Axes) -> None:
    """Fig. 10: the attack precision of the classes, a filled box a number of classes; the paper's box beside it, hollow. Of
    fewer than five classes there is no box: a dot a class and target. Diamonds: precision over all records (Table II).

    classes: dataset, cls, precision; compared: dataset, id, metric (attack_precision_box_low …), published, and value; points:
    what the paper draws of few classes, series ("Purchase-2"), value.
    """
    mark_coin(ax)
    names = list(dict.fromkeys(classes["dataset"]))
    for place, name in enumerate(names):
        own, theirs = place - 0.18, place + 0.18
        rows = classes[classes["dataset"] == name].dropna(subset="precision")
        if rows["cls"].nunique() < FEW_CLASSES:
            ax.plot(_beside(own, len(rows)), rows["precision"], "o", color=OURS, alpha=0.6, markersize=4, markeredgewidth=0)
        else:
            drawn = ax.boxplot(rows["precision"], positions=[own], widths=0.27, patch_artist=True, flierprops={"markersize": 2})
            drawn["boxes"][0].set(facecolor=OURS, alpha=0.6)
            drawn["medians"][0].set_color("black")
        known = compared[compared["dataset"] == name].dropna(subset="published").set_index(["id", "metric"])
        _papers_box(ax, theirs, known["published"])
        if points is not None:
            values = points.loc[points["series"] == in_words(name), "value"]
            ax.plot(_beside(theirs, len(values)), values, "o", color="black", markerfacecolor="none", markersize=5)
        if OVER_ALL in known.index:
            pen: dict[str, Any] = {"marker": "D", "markersize": 5, "color": "black", "markeredgewidth": 0.8, "zorder": 5}
            ax.plot([own - 0.23], known.loc[[OVER_ALL], "value"], **pen | {"markerfacecolor": OURS})
            ax.plot([theirs + 0.23], known.loc[[OVER_ALL], "published"], **pen | {"markerfacecolor": "none"})
    ax.set(xlabel="number of classes", ylabel="attack precision of a class", xlim=(-0.7, len(names) - 0.3))
    ax.set(ylim=(axis_start(classes["precision"]), 1.04))
    ax.set_xticks(range(len(names)), [name.removeprefix("purchase") for name in names])
    words = "box: all classes, targets\n\u25cb a class, of fewer than five\n\u25c7 over all records"
    figure_key(ax, [("filled: ours", OURS), ("hollow: the paper", "black"), (words, GREY)])


FEW_CLASSES = 5  # quartiles need more
OVER_ALL = ("T2", "attack_precision")
BOX = {"whislo": "whisker_low", "q1": "box_low", "med": "median", "q3": "box_high", "whishi": "whisker_high"}


def _papers_box(ax: Axes, place: float, known: pd.Series) -> None:
    """A hollow box at x = place, where the paper draws one: known, by id and metric."""
    keys = {key: ("F10", f"attack_precision_{of}") for key, of in BOX.items()}
    if not all(key in known.index for key in keys.values()):
        return
    pens = {"linewidth": 1, "color": "black"}
    box = {key: float(known[of]) for key, of in keys.items()}
    ax.bxp([{**box, "fliers": []}], positions=[place], widths=0.27, medianprops=pens, boxprops=pens)


def _beside(place: float, n: int) -> np.ndarray:
    """n places around one, so that equal values do not hide one another."""
    return place + 0.1 * (np.arange(n) - (n - 1) / 2) / max(1, (n - 1) / 2)


def densities(points: pd.DataFrame, paper: pd.DataFrame, *, ax: Axes, by: str) -> None:
    """Fig. 11: one fact of a class against another. Where half of our classes lie (dark) and nine in ten (light), all targets
    together, a colour a data set; rings are the paper's classes. Fewer than ten classes, or classes in a line or nearly all
    at one place, are dots.

    points, paper: `by`, whose values have a colour each, x, y, and panel ("precision by gap"), which says what they are.
    """
    lines, known = line_names(points, by), line_names(paper, by)
    labels = {in_words(name): label for name, label in line_labels(points).items()} if by == "dataset" else {}
    colours = line_colours(lines)
    y, _, x = str(points["panel"].iloc[0]).partition(" by ")
    logarithmic = x == "class share"
    for line, colour in colours.items():
        own, theirs = points[lines == line].dropna(subset=["x", "y"]), paper[known == line]
        if not _region(ax, own, colour, logarithmic):
            ax.plot(own["x"], own["y"], "o", color=colour, markersize=3, alpha=0.6, markeredgewidth=0)
        ax.plot(theirs["x"], theirs["y"], "o", color=colour, markerfacecolor="none", markersize=3, markeredgewidth=0.7)
        name_in_key(ax, labels.get(line, line), colour)
    both = pd.concat([points[["x", "y"]], paper.loc[known.isin(colours), ["x", "y"]]]).dropna()
    if logarithmic:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    low, high = both["y"].min(), both["y"].max()
    ax.set(xlabel=x, ylabel=y, ylim=(max(0.0, low - 0.06), min(1.02, high + 0.06)))
    figure_key(ax, [("dark, light: half and nine\nin ten of our classes", GREY), ("\u25cb the paper's classes", GREY)])


def _region(ax: Axes, own: pd.DataFrame, colour: str, logarithmic: bool) -> bool:
    """Draw the smallest regions that hold half and nine tenths of a kernel's density; False where points carry none."""
    x = np.log10(own["x"]) if logarithmic else own["x"]
    spread = np.array([x, own["y"]])
    if spread.shape[1] < 10 or np.linalg.matrix_rank(spread - spread.mean(1, keepdims=True), 1e-6) < 2:
        return False
    from scipy.stats import gaussian_kde  # late: its import takes longer than most figures

    kernel = gaussian_kde(spread)
    height = np.quantile(kernel(spread), [0.1, 0.5])
    margin = 0.25 * np.ptp(spread, axis=1)
    axes = [np.linspace(low - m, high + m, 120) for low, high, m in zip(spread.min(1), spread.max(1), margin, strict=True)]
    grid = np.meshgrid(*axes)
    density = kernel(np.array([part.ravel() for part in grid])).reshape(grid[0].shape)
    if height[-1] >= density.max():  # almost all at one place, over which the grid steps
        return False
    across = 10 ** grid[0] if logarithmic else grid[0]
    for level, alpha in zip(height, (0.22, 0.5), strict=True):
        ax.contourf(across, grid[1], density, [level, density.max()], colors=[colour], alpha=alpha)
    return True
