"""A figure of one or several panels of a plot function, in the style of the study."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mialib.plots.names import dataset_labels, in_words, shared_label
from mialib.plots.style import write_key

STYLE = Path(__file__).with_name("mialib.mplstyle")
PANELS_A_ROW = 4
NOTE_COLOUR = "#555555"
NAMES_TARGET = {"our_target", "target"}  # facets whose titles say themselves what is a surrogate


def draw(
    function: Callable[..., Any],
    frames: Sequence[pd.DataFrame],
    *,
    facet: str | Sequence[str] = (),
    size: tuple[float, float] | None = None,
    share: bool = True,
    columns: int = PANELS_A_ROW,
    note: str = "",
    **options: Any,
) -> Figure:
    """A figure of `function(*frames, ax=…, **options)`, in the current style.

    facet: columns of the first frame: a panel for each of their values together, in order of appearance, titled by them in
    words; other frames are cut alike, by those of the columns that they have. size: inches of the whole. share: panels have the
    same axes. columns: panels in a row, at most. note: small text below the whole picture. A data set is titled with its marks
    (`names.dataset_label`, from the first frame's columns); what all panels draw is named above them.
    """
    facets = [facet] if isinstance(facet, str) else list(facet)
    values = _values(frames[0], facets) if facets else [{}]
    columns = min(len(values), columns)
    rows = -(-len(values) // columns)
    figure = Figure(figsize=size or _size(rows, columns), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    for ax in axes.flat[len(values) :]:
        ax.remove()
    for value, ax in zip(values, axes.flat):  # before what is drawn, which asks how large its panel is
        ax.set_title(_broken(_title(frames[0], value), figure, columns))
    if note:
        figure.supxlabel(note, x=0.01, ha="left", color=NOTE_COLOUR, style="italic")
    if heading := _heading(frames[0], facets):
        figure.suptitle(heading, weight="bold") if facets else axes.flat[0].set_title(heading)
    ends = []
    for value, ax in zip(values, axes.flat):
        function(*(_cut(frame, value) for frame in frames), ax=ax, **options)
        ends.append([ax.get_xlim(), ax.get_ylim()])
    if share:  # each panel set the limits of all: the widest of them hide nothing
        (left, bottom), (right, top) = np.min(ends, axis=0)[:, 0], np.max(ends, axis=0)[:, 1]
        axes.flat[0].set(xlim=(left, right), ylim=(bottom, top))
        _label_outer(list(axes.flat)[: len(values)], columns)
    return figure


def _title(frame: pd.DataFrame, value: dict[str, Any]) -> list[str]:
    """The parts of a panel's title. A target that is a panel's own is called a surrogate there: its data set need not be."""
    words = dict(value)
    if "dataset" in value:
        words["dataset"] = dataset_labels(_cut(frame, value), targets=not NAMES_TARGET & set(value))[value["dataset"]]
    return [str(part) if column == "dataset" else in_words(part, column) for column, part in words.items()]


def _heading(frame: pd.DataFrame, facets: list[str]) -> str:
    """The data set that all panels draw, where none of them is called by it."""
    if "dataset" not in frame or "dataset" in facets or frame.empty:
        return ""
    return shared_label(frame, targets=not NAMES_TARGET & set(facets))


def _broken(parts: list[str], figure: Figure, columns: int) -> str:
    """The parts of a title, a line for as many as there is room for in a panel's share of the figure's width."""
    room = figure.bbox.width * (1 - 0.03 * columns) / columns
    probe = figure.text(0, 0, "", fontsize=plt.rcParams["axes.titlesize"], weight=plt.rcParams["axes.titleweight"])
    lines = [""]
    pieces = [piece for part in parts for piece in (*part.replace(" (", " \n(").split("\n"), ": ")][:-1]
    for piece in pieces:
        probe.set_text(lines[-1] + piece)
        if lines[-1] and piece != ": " and probe.get_window_extent().width > room:
            lines.append("")
        lines[-1] += piece
    probe.remove()
    return "\n".join(line.strip() for line in lines)


def _label_outer(axes: Sequence[Axes], columns: int) -> None:
    """Labels of y at the left only, of x where no panel is below: also above a gap in the last row."""
    for number, ax in enumerate(axes):
        if number % columns:
            ax.set_ylabel("")
        below = number + columns < len(axes)
        ax.tick_params(labelbottom=not below)
        if below:
            ax.set_xlabel("")


def _values(frame: pd.DataFrame, facets: list[str]) -> list[dict[str, Any]]:
    for column in facets:
        if column not in frame:
            raise ValueError(f"facet is {column!r}: the first table has {', '.join(frame.columns)}")
    if frame.empty:
        raise ValueError(f"facet {', '.join(facets)}: the first table is empty")
    return [dict(zip(facets, row, strict=True)) for row in frame[facets].drop_duplicates().itertuples(index=False)]


def _cut(frame: pd.DataFrame, value: dict[str, Any]) -> pd.DataFrame:
    """The rows of a panel."""
    for column in value.keys() & set(frame):
        frame = frame[frame[column] == value[column]]
    return frame.reset_index(drop=True)


def _size(rows: int, columns: int) -> tuple[float, float]:
    width, height = plt.rcParams["figure.figsize"]
    return (width, height) if rows * columns == 1 else (0.6 * width * columns + 0.4, 0.8 * height * rows + 0.2)


# What a plot function asks of the figure that its panel stands in


class Place(NamedTuple):
    """Where a panel stands in its figure: leftmost, none below it, the last of all, followed by an empty place."""

    left: bool = True
    lowest: bool = True
    last: bool = True
    gap: bool = False


def place_of(ax: Axes) -> Place:
    spec, panels = ax.get_subplotspec(), ax.figure.axes
    if spec is None:
        return Place()
    number, columns = panels.index(ax), spec.get_gridspec().ncols
    last = number == len(panels) - 1
    return Place(number % columns == 0, number + columns >= len(panels), last, last and not spec.is_last_col())


def name_axes(ax: Axes, x: str, y: str) -> None:
    place = place_of(ax)
    ax.set(xlabel=x if place.lowest else "", ylabel=y if place.left else "")


def key_beside(ax: Axes, entries: Sequence[tuple[str, str]]) -> None:
    """One key for all panels; where the last row has an empty place it stands there, and takes no room from any panel."""
    place = place_of(ax)
    if place.last:
        before = len(ax.texts)
        write_key(ax, entries, x=1.15 if place.gap else 1.03, size=7)
        for text in ax.texts[before:]:
            text.set_in_layout(not place.gap)
