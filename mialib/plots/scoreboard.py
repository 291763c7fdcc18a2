"""Figures of the scoreboard: Table II, the nine claims, attacks after 2017 and more. As in `plots`: tables and an `ax` in."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mialib.plots.labels import Label, place_labels
from mialib.plots.names import dataset_label
from mialib.plots.style import GREY, OURS, mark_coin, write_key

COUNTED = "real data, the paper's target"  # the panel whose values count
COLOUR_OF_DATASET = {  # colours of Okabe and Ito
    "CIFAR-10": "#D55E00",
    "CIFAR-100": "#CC79A7",
    "Purchase": "#0072B2",
    "Location": "#009E73",
    "Texas": "#E69F00",
    "Adult": "#56B4E9",
    "MNIST": "#000000",
}
MARKER_OF_KIND = {"attack precision": "o", "attack recall": "s", "attack accuracy": "D", "target's accuracy": "^"}
SIGN_OF_KIND = {"attack precision": "○", "attack recall": "□", "attack accuracy": "◇", "target's accuracy": "△"}
MARK_OF_OUTCOME = {  # colour, marker and whether it is filled
    "holds": (OURS, "o", True),
    "fails": ("#D55E00", "X", True),
    "direction seen": (OURS, "o", False),
    "direction not seen": ("#D55E00", "X", False),
    "not testable here": (GREY, "D", False),
    "not run": (GREY, ".", True),
}


def glance(points: pd.DataFrame, *, ax: Axes, counted: str = COUNTED, bands: Sequence[float] = (0.05, 0.02)) -> None:
    """The paper's value against ours, a dot a value. On the line both are equal; `bands` are as wide on each side.

    points: `paper.scoreboard.glance_points`; facet by panel. Dots of the panel `counted` are filled, others do not count;
    those with a label are larger, with their 95% intervals.
    """
    points = points.fillna({"dataset": "", "kind": "", "label": ""})  # empty cells of a table that was read back
    counts = str(points["panel"].iloc[0]) == counted
    ends = np.array([0.0, 1.0])
    for width, shade in zip(bands, ("#EEEEEE", "#DDDDDD"), strict=True):
        ax.fill_between(ends, ends - width, ends + width, color=shade, linewidth=0, zorder=0)
    ax.plot(ends, ends, color=GREY, linewidth=0.8, zorder=0)
    named = points["label"] != ""
    for (dataset, kind), rows in points[~named].groupby(["dataset", "kind"], sort=False):
        _dots(ax, rows, str(dataset), str(kind), 2.6, 0.55, filled=counts)
    for (dataset, kind), rows in points[named].groupby(["dataset", "kind"], sort=False):
        colour = COLOUR_OF_DATASET.get(str(dataset), GREY)
        ax.vlines(rows["x"], rows["low"], rows["high"], color=colour, linewidth=1, zorder=4)
        _dots(ax, rows, str(dataset), str(kind), 5.5, 1.0, filled=counts)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="the paper", ylabel="ours", aspect="equal")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    _glance_words(points, ax)
    labels = [
        Label(r.x, r.y, str(r.label), COLOUR_OF_DATASET.get(str(r.dataset), GREY), 6.5) for r in points[named].itertuples()
    ]
    place_labels(ax, labels, [*points.loc[named, ["x", "y"]].to_numpy()[:, None], np.stack([ends, ends], 1)])


def _dots(ax: Axes, rows: pd.DataFrame, dataset: str, kind: str, size: float, alpha: float, *, filled: bool) -> None:
    colour = COLOUR_OF_DATASET.get(dataset, GREY)
    face = colour if filled else "white" if alpha == 1 else "none"
    ax.plot(
        rows["x"], rows["y"], MARKER_OF_KIND.get(kind, "."), color=colour, markerfacecolor=face, markersize=size, alpha=alpha,
        markeredgewidth=1.1 if alpha == 1 else 0.6, zorder=5 if alpha == 1 else 3,
    )  # fmt: skip


def _glance_words(points: pd.DataFrame, ax: Axes) -> None:
    """The data sets in their colours, what the markers mean, and how many dots lie within the bands."""
    by_number = set(points.loc[points["label"].str.contains("^[0-9]"), "dataset"])
    names = [name for name in dict.fromkeys(points["dataset"]) if name]
    words = {name: f"{name}: {'classes' if name == 'Purchase' else 'training size'}" for name in by_number}
    colours = [(words.get(name, name), COLOUR_OF_DATASET.get(name, GREY)) for name in names]
    for line, (text, colour) in enumerate(colours):
        ax.text(0.03, 0.985 - 0.066 * line, text, color=colour, fontsize=6.5, va="top", transform=ax.transAxes)
    within = points["verdict"].isin(["reproduced", "near"]).sum()
    tally = f"{within} of {points['x'].count()} values\nwithin 0.05" if points["x"].count() else "not run"
    ax.text(0.98, 0.02, tally, ha="right", va="bottom", fontsize=7, transform=ax.transAxes)
    signs = [f"{sign} {kind}" for kind, sign in SIGN_OF_KIND.items() if (points["kind"] == kind).any()]
    small: dict[str, Any] = {"color": GREY, "fontsize": 6.5, "linespacing": 1.5, "ha": "right", "va": "top"}
    ax.text(0.98, 0.4, "\n".join(signs), transform=ax.transAxes, **small)


def table_two(table: pd.DataFrame, related: pd.DataFrame, *, ax: Axes) -> None:
    """Table II, attack precision: ours with its 95% interval, the paper's a black ring, what others measured grey strokes.

    table: `scoreboard.table_ii`; related: `scoreboard.table_ii_related`. Ours is hollow: a surrogate in Google's place never
    counts.
    """
    mark_coin(ax, vertical=True)
    places = {name: len(table) - 1 - place for place, name in enumerate(table["dataset"])}
    ax.plot(related["value"], related["dataset"].map(places), "|", color="#999999", markersize=9, markeredgewidth=1, zorder=1)
    for row in table.itertuples():
        y, marker = places[row.dataset], MARKER_OF_SOURCE.get(row.source, ".")
        ax.plot(row.paper_precision, y, "o", color="black", markerfacecolor="none", markersize=9, zorder=4)
        ax.plot([row.low, row.high], [y, y], color=OURS, linewidth=1.4, zorder=3)
        ax.plot(row.precision, y, marker, color=OURS, markerfacecolor="white", markersize=4.5, markeredgewidth=1.2, zorder=5)
    labels = [
        dataset_label(row.dataset, row.source, "google surrogate" if row.source in MARKER_OF_SOURCE else "")
        for row in table.itertuples()
    ]
    absent = ["" if row.source in MARKER_OF_SOURCE else f" ({row.source})" for row in table.itertuples()]
    ax.set_yticks(list(places.values()), [label + word for label, word in zip(labels, absent, strict=True)])
    ax.set(xlim=(min(0.48, table["low"].min() - 0.01), 1.01), ylim=(-0.6, len(table) + 0.4), xlabel="attack precision")
    words = [("○ the paper", "black"), ("◇ ours, real data", OURS), ("□ ours, stand-in", OURS), ("| related work", "#777777")]
    for place, (text, colour) in enumerate(words):
        ax.text(0.06 + 0.25 * place, 1.0, text, color=colour, fontsize=7.5, va="top", transform=ax.transAxes)


MARKER_OF_SOURCE = {"real": "D", "standin": "s"}


def claim_dots(tests: pd.DataFrame, *, ax: Axes) -> None:
    """The nine claims, a row each, with a mark for every test of it. tests: `scoreboard.claim_marks`."""
    for row in tests.itertuples():
        _mark(ax, row.place, -row.claim, str(row.outcome))
    claims = tests.drop_duplicates("claim")
    lines = [textwrap.fill(f"{row.claim}. {row.statement}", 62) for row in claims.itertuples()]
    ax.set_yticks(-claims["claim"], lines, fontsize=7)
    for line, outcome in enumerate([o for o in MARK_OF_OUTCOME if (tests["outcome"] == o).any()]):
        y = 0.95 - 0.1 * line
        _mark(ax, 1.035, y, outcome, transform=ax.transAxes, clip_on=False)
        ax.text(1.08, y, outcome, color=MARK_OF_OUTCOME[outcome][0], va="center", fontsize=7.5, transform=ax.transAxes)
    ax.set(xlim=(-0.5, tests["place"].max() + 0.5), ylim=(-9.6, -0.4), xticks=[], xlabel="each mark is a test")
    ax.tick_params(length=0)
    ax.spines[["left", "bottom"]].set_visible(False)


LEAST_RATE = 2e-4  # where rates begin that a logarithmic axis cannot show: 0 stands here, as an arrow


def low_rates(points: pd.DataFrame, *, ax: Axes, fpr: float = 0.001) -> None:
    """True positive rates at one false positive rate: the published one a black ring, ours with its 95% interval, a row an
    attack. The dashed line is what guessing finds; an arrow at the left end is a rate below it.

    points: `paper.board_since.low_rate_points`; facet by panel. Ours is filled where it counts.
    """
    ax.axvline(fpr, color=GREY, linestyle="--", linewidth=1, zorder=0)
    for y, row in zip(range(0, -len(points), -1), points.itertuples(), strict=True):
        low, value, high, published = (max(number, LEAST_RATE) for number in (row.low, row.value, row.high, row.published))
        ax.plot([published, value], [y, y], color="#BBBBBB", linewidth=1, zorder=1)
        ax.plot([low, high], [y, y], color=OURS, linewidth=1.6, zorder=3)
        ring = "o" if row.published > LEAST_RATE else "<"
        ax.plot(published, y, ring, color="black", markerfacecolor="none", markersize=7.5, zorder=4)
        marker = MARKER_OF_SOURCE.get(row.source, ".") if row.value > LEAST_RATE else "<"
        face = OURS if row.counts else "white"
        ax.plot(value, y, marker, color=OURS, markerfacecolor=face, markersize=4.5, markeredgewidth=1.2, zorder=5)
    ax.set(xscale="log", xlim=(LEAST_RATE * 0.7, 1), ylim=(-len(points) - 0.6, 0.6))
    ax.set_xlabel(f"true positive rate at {fpr:.1%} FPR")
    ax.set_yticks(range(0, -len(points), -1), list(points["attack"]))
    ax.text(0.98, 0.02, points["note"].iloc[0], fontsize=6.5, color=GREY, ha="right", va="bottom", transform=ax.transAxes)
    kinds = {"real": "◇ ours, real data", "standin": "□ ours, stand-in"}
    words = ", ".join(kinds[source] for source in kinds if source in set(points["source"])) or "ours: not run"
    write_key(ax, [("○ published", "black"), (words, OURS)], x=0.98, size=6.5, right=True)


def _mark(ax: Axes, x: float, y: float, outcome: str, **options: Any) -> None:
    colour, marker, filled = MARK_OF_OUTCOME[outcome]
    face = colour if filled else "white"
    ax.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.1, **options)
