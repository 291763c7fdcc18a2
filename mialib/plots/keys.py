"""One key for a figure: what its panels draw under a name, once, beside the last of them and off every curve."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from mialib.plots.panels import key_beside, place_of


def name_in_key(ax: Axes, words: str, colour: str) -> None:
    """Ask for coloured words in the figure's key, whatever else this panel draws."""
    ax.plot([], [], color=colour, label=words)


def figure_key(ax: Axes, last: Sequence[tuple[str, str]] = ()) -> None:
    """Write the key when `ax` is the figure's last panel: every name of the panels' lines in its colour, then `last`; one
    of several lines takes as many.
    """
    if not place_of(ax).last:
        return
    entries: dict[str, str] = {}
    for panel in ax.figure.axes:
        for handle, words in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(words), str(handle.get_color()))  # type: ignore[attr-defined]
    entries |= dict(last)
    key_beside(ax, [(line, colour) for words, colour in entries.items() for line in words.split("\n")])
