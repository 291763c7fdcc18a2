"""A figure of one or several panels of a plot function, in the style of the study."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("mialib.mplstyle")
PANELS_A_ROW = 4
NOTE_COLOUR = "#B03A2E"


def draw(
    function: Callable[..., Any],
    frames: Sequence[pd.DataFrame],
    *,
    facet: str | None = None,
    size: tuple[float, float] | None = None,
    share: bool = True,
    columns: int = PANELS_A_ROW,
    note: str = "",
    **options: Any,
) -> Figure:
    """A figure of `function(*frames, ax=…, **options)`, in the current style.

    facet: a column of the first frame: one panel for each of its values, in order of appearance, titled by it; other
    frames that have the column are cut alike. size: inches of the whole. share: panels have the same axes. columns: panels
    in a row, at most. note: small text below the whole picture.
    """
    values = [None] if facet is None else _values(frames[0], facet)
    columns = min(len(values), columns)
    rows = -(-len(values) // columns)
    figure = Figure(figsize=size or _size(rows, columns), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    for ax in axes.flat[len(values) :]:
        ax.remove()
    for value, ax in zip(values, axes.flat):
        function(*(_cut(frame, facet, value) for frame in frames), ax=ax, **options)
        if facet is not None:
            ax.set_title(str(value))
    if share:
        _label_outer(list(axes.flat)[: len(values)], columns)
    if note:
        figure.supxlabel(note, x=0.01, ha="left", color=NOTE_COLOUR, style="italic")
    return figure


def _label_outer(axes: Sequence[Axes], columns: int) -> None:
    """Labels of y at the left only, of x where no panel is below: also above a gap in the last row."""
    for number, ax in enumerate(axes):
        if number % columns:
            ax.set_ylabel("")
        below = number + columns < len(axes)
        ax.tick_params(labelbottom=not below)
        if below:
            ax.set_xlabel("")


def _values(frame: pd.DataFrame, column: str) -> list[Any]:
    if column not in frame:
        raise ValueError(f"facet is {column!r}: the first table has {', '.join(frame.columns)}")
    values = list(frame[column].unique())
    if not values:
        raise ValueError(f"facet {column!r}: the first table is empty")
    return values


def _cut(frame: pd.DataFrame, facet: str | None, value: Any) -> pd.DataFrame:
    return frame if facet is None or facet not in frame else frame[frame[facet] == value].reset_index(drop=True)


def _size(rows: int, columns: int) -> tuple[float, float]:
    width, height = plt.rcParams["figure.figsize"]
    return (width, height) if rows * columns == 1 else (0.6 * width * columns + 0.4, 0.8 * height * rows + 0.2)
