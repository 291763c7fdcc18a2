"""Figures of the scoreboard: Table II, the nine claims, attacks after 2017 and more. As in `plots`: tables and an `ax` in."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mialib.plots.labels import Label, place_labels
from mialib.plots.names import dataset_label, in_words
from mialib.plots.panels import key_beside
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
GLANCE_KEY = [  # one for all panels
    *COLOUR_OF_DATASET.items(),
    ("", GREY),
    *((f"{sign} {kind}", "#555555") for kind, sign in SIGN_OF_KIND.items()),
    ("· read off a figure", "#555555"),
    ("", GREY),
    ("Purchase: classes", "#555555"),
    ("CIFAR: pictures", "#555555"),
]
MARK_OF_OUTCOME = {  # colour, marker and whether it is filled
    "holds": (OURS, "o", True),
    "fails": ("#D55E00", "X", True),
    "direction seen": (OURS, "o", False),
    "direction not seen": ("#D55E00", "X", False),
    "not testable here": (GREY, "D", False),
    "not run": (GREY, ".", True),
}


def glance(points: pd.DataFrame, *, ax: Axes, counted: str = COUNTED, bands: Sequence[float] = (0.05, 0.02)) -> None:
    """The paper's value against ours, a mark a value. On the line both are equal; `bands` are as wide on each side.

    points: `paper.scoreboard.glance_points`; facet by panel. Values that the paper states have marks with their 95% intervals,
    those that were read off its figures are faint dots; marks of the panel `counted` are filled, others do not count.
    """
    points = points.fillna({"dataset": "", "kind": "", "label": "", "given": ""})  # empty cells of a table that was read back
    counts = str(points["panel"].iloc[0]) == counted
    ends = np.array([0.0, 1.0])
    for width, shade in zip(bands, ("#EEEEEE", "#DDDDDD"), strict=True):
        ax.fill_between(ends, ends - width, ends + width, color=shade, linewidth=0, zorder=0)
    ax.plot(ends, ends, color=GREY, linewidth=0.8, zorder=0)
    drawn = points["given"] == "drawn"
    for dataset, rows in points[drawn].groupby("dataset", sort=False):
        colour = COLOUR_OF_DATASET.get(str(dataset), GREY)
        ax.plot(rows["x"], rows["y"], ".", color=colour, markersize=3.2, alpha=0.35, markeredgewidth=0, zorder=2)
    for (dataset, kind), rows in points[~drawn].groupby(["dataset", "kind"], sort=False):
        _stated(ax, rows, str(dataset), str(kind), filled=counts)
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03), ylabel="ours", aspect="equal")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    ax.set_xlabel("the paper\n" + _within(points, drawn))
    named = points[points["label"] != ""]
    labels = [Label(r.x, r.y, str(r.label), COLOUR_OF_DATASET.get(str(r.dataset), GREY), 6.5) for r in named.itertuples()]
    place_labels(ax, labels, [*points[["x", "y"]].dropna().to_numpy()[:, None], np.stack([ends, ends], 1)])
    key_beside(ax, GLANCE_KEY)


def _stated(ax: Axes, rows: pd.DataFrame, dataset: str, kind: str, *, filled: bool) -> None:
    colour = COLOUR_OF_DATASET.get(dataset, GREY)
    ax.vlines(rows["x"], rows["low"], rows["high"], color=colour, linewidth=1, zorder=4)
    ax.plot(
        rows["x"], rows["y"], MARKER_OF_KIND.get(kind, "."), color=colour, markerfacecolor=colour if filled else "white",
        markersize=4.5, markeredgewidth=1, linewidth=0, zorder=5,
    )  # fmt: skip


def _within(points: pd.DataFrame, drawn: pd.Series) -> str:
    """How many of the values lie within the bands, those that are stated and those that were read off figures."""
    parts = []
    for words, rows in (("stated", points[~drawn]), ("read off figures", points[drawn])):
        if known := int(rows["x"].count()):
            parts.append(f"{rows['verdict'].isin(['reproduced', 'near']).sum()} of {known} {words}")
    return "within 0.05: " + ",\n".join(parts) if parts else "not run"


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
    ax.set(
        xlim=(min(0.48, table[["paper_precision", "precision"]].min().min() - 0.01), 1.01),
        ylim=(-0.6, len(table) + 0.4),
        xlabel="attack precision",
    )
    words = [("○ the paper", "black"), ("◇ ours, real data", OURS), ("□ ours, stand-in", OURS), ("| related work", "#777777")]
    for place, (text, colour) in enumerate(words):
        ax.text(0.06 + 0.25 * place, 1.0, text, color=colour, fontsize=7.5, va="top", transform=ax.transAxes)


MARKER_OF_SOURCE = {"real": "D", "standin": "s"}


def claim_dots(tests: pd.DataFrame, *, ax: Axes) -> None:
    """The nine claims and below each its tests, a line a test, with a mark in the column of each data set that it was made on;
    a mark between columns is of a test that looks at both. Below, what the marks say.

    tests: `scoreboard.claim_marks`.
    """
    tests = tests.fillna({"dataset": "", "source": ""})  # empty cells of a table that was read back
    tests = tests.assign(families=tests["dataset"].map(_families))
    columns = [name for name in COLOUR_OF_DATASET if any(name in names for names in tests["families"])]
    lines: list[tuple[str, bool]] = []  # words, and whether they are a heading
    for _, own in tests.groupby("claim", sort=False):
        lines += [(text, True) for text in textwrap.wrap(f"{own['claim'].iloc[0]}. {own['statement'].iloc[0]}", 80)]
        for test, marks in own.groupby("test", sort=False):
            for row in marks.itertuples():
                places = [columns.index(name) for name in row.families] or range(len(columns)) or [0]  # not run: in the middle
                _mark(ax, float(np.mean(places)), -len(lines), str(row.outcome))
            ax.axhline(-len(lines), color="#EEEEEE", linewidth=0.8, zorder=0)
            lines.append((str(test), False))
    lines.append(("What the marks say", True))
    for outcome in [o for o in MARK_OF_OUTCOME if (tests["outcome"] == o).any()]:
        _mark(ax, 0, -len(lines), outcome)
        lines.append((MEANING_OF_OUTCOME[outcome], False))
    marked = {name for families in tests.loc[tests["source"] == "standin", "families"] for name in families}
    _frame_claims(ax, [f"{name} (stand-in)" if name in marked else name for name in columns], lines)


def _frame_claims(ax: Axes, heads: Sequence[str], lines: Sequence[tuple[str, bool]]) -> None:
    """Data sets above the columns, words at the right of the lines."""
    ax.set_yticks(-np.arange(len(lines)), [words for words, _ in lines], fontsize=7)
    ax.set_xticks(range(len(heads)), heads, fontsize=7)
    ax.tick_params(length=0, labeltop=True, labelbottom=False, labelright=True, labelleft=False)
    for tick, (_, heading) in zip(ax.yaxis.get_major_ticks(), lines, strict=True):
        tick.label2.set(weight="bold" if heading else "normal", size=7)
    for tick in ax.xaxis.get_major_ticks():
        tick.label2.set(rotation=40, ha="left", rotation_mode="anchor", size=7)
    ax.set(xlim=(-0.5, max(len(heads), 1) - 0.5), ylim=(0.7 - len(lines), 0.6))
    ax.spines[:].set_visible(False)


def _families(datasets: str) -> list[str]:
    """The columns that a test's data sets stand in: "purchase100, texas" in those of Purchase and Texas."""
    words = [in_words(name.strip()) for name in datasets.split(",") if name.strip()]
    return list(dict.fromkeys("Purchase" if word.startswith("Purchase") else word for word in words))


MEANING_OF_OUTCOME = {
    "holds": "holds: real data, the paper's kind of target",
    "fails": "fails: real data, the paper's kind of target",
    "direction seen": "direction seen: a surrogate or a stand-in, which proves nothing",
    "direction not seen": "direction not seen, on a surrogate or a stand-in",
    "not testable here": "not testable here",
    "not run": "not run",
}


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
    ax.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=5, markeredgewidth=1.1, **options)
