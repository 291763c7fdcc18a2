"""Pictures that follow a hand: one figure after another in the same panels, each in a tenth of a second."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from mialib.plots.panels import STYLE, draw
from mialib.runs.drawn import drawn_standins, standin_note, with_sources

PLAY_SIZE = (7.2, 2.7)  # inches of a figure under controls
SHARPNESS = 220  # dots an inch: twice those of a screen, for dense ones


class Scene(NamedTuple):
    """What a position of the controls shows: `function(*tables, ax=…)` of mialib.plots, a panel for each value of the first
    table's column `panel`, and the same in words.
    """

    function: Callable[..., Any]
    tables: Sequence[pd.DataFrame]
    words: str


class Canvas:
    """Draws scenes of a run, with the marks and the note that a saved figure has. What does not move is drawn once: panels are
    laid out for the first scene of a kind, so that nothing jumps, and axes are drawn again only where they change.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record
        self._kept: dict[tuple[Any, ...], _Panels] = {}

    def png(self, scene: Scene) -> bytes:
        """A picture of the scene."""
        first, *others = with_sources(scene.tables, self._record)
        made_up = drawn_standins([first], self._record, [])
        named = (first[column].iloc[0] for column in ("dataset", "source", "our_target") if column in first)
        kind = (scene.function, *first["panel"].unique(), *named, *made_up)
        with plt.style.context(STYLE, after_reset=True):
            if kind not in self._kept:
                self._kept[kind] = _Panels(scene.function, [first, *others], standin_note(made_up))
            else:
                self._kept[kind].fill([first, *others])
            return self._kept[kind].png()


class _Panels:
    """A figure whose panels are filled again and again."""

    def __init__(self, function: Callable[..., Any], tables: Sequence[pd.DataFrame], note: str) -> None:
        self._function, self._panels = function, list(tables[0]["panel"].unique())
        self._figure: Figure = draw(function, tables, facet="panel", share=False, size=PLAY_SIZE, note=note)
        self._figure.set_dpi(SHARPNESS)
        self._figure.draw_without_rendering()
        self._figure.set_layout_engine("none")
        for ax in self._figure.axes:
            ax.set_title(ax.get_title(), y=1.0)  # to look for a free height takes a sixth of a drawing
        self._canvas = FigureCanvasAgg(self._figure)
        self._still: tuple[Any, Any] = (None, None)  # how the axes are, and a picture of them

    def fill(self, tables: Sequence[pd.DataFrame]) -> None:
        """Draw into the panels again. Axes that are not cleared keep their ticks, which take longest to make."""
        for ax, panel in zip(self._figure.axes, self._panels, strict=True):
            for artist in _moving(ax):
                artist.remove()
            ax.containers.clear()
            cut = [table[table["panel"] == panel].reset_index(drop=True) if "panel" in table else table for table in tables]
            self._function(*cut, ax=ax)

    def png(self) -> bytes:
        """The picture: axes as they were drawn before, if they are the same, and what moves upon them."""
        axes = [(ax.get_xlim(), ax.get_ylim(), ax.get_xlabel(), ax.get_ylabel()) for ax in self._figure.axes]
        for ax in self._figure.axes:
            for artist in _moving(ax):
                artist.set_animated(True)  # left out of `draw`
        if axes == self._still[0]:
            self._canvas.restore_region(self._still[1])
        else:
            self._canvas.draw()
            self._still = axes, self._canvas.copy_from_bbox(self._figure.bbox)
        for ax in self._figure.axes:
            for artist in (*sorted(_moving(ax), key=Artist.get_zorder), *ax.spines.values()):
                ax.draw_artist(artist)
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())).convert("RGB").save(buffer, format="png", compress_level=1)
        return buffer.getvalue()


def _moving(ax: Axes) -> list[Artist]:
    """What a plot function drew into its axes."""
    return [*ax.lines, *ax.patches, *ax.texts, *ax.collections]
