"""What all figures share: colours, the score of a coin, coloured words in a corner, where an axis begins."""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes

GREY = "#888888"
# The eight of Okabe and Ito, which people with any colour vision tell apart. Figures have these, and greys; no others.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442"]
OURS = "#0072B2"
FAR_ABOVE_COIN = 0.62  # an axis whose values all lie higher leaves 0.5 out, and says so
MEMBERS, NONMEMBERS = "#D55E00", "#0072B2"  # the colours of members and non-members in figures
COLOURS = {  # of a line by its name in words (`plots.names`): the same in every figure
    "Google": "#0072B2",
    "Amazon (10, 1e-6)": "#E69F00",
    "Amazon (100, 1e-4)": "#CC79A7",
    "local network": "#009E73",
    "real": "#0072B2",
    "10% noise": "#E69F00",
    "20% noise": "#CC79A7",
    "marginal": "#009E73",
    "model-based": "#D55E00",
    "Purchase-2": "#000000",
    "Purchase-10": "#CC79A7",
    "Purchase-20": "#E69F00",
    "Purchase-50": "#009E73",
    "Purchase-100": "#0072B2",
    "Location": "#009E73",
    "CIFAR-10": "#E69F00",
    "Texas": "#CC79A7",
}


def write_key(
    ax: Axes, entries: Sequence[tuple[str, str]], x: float = 0.02, y: float = 0.98, size: float = 8, *, right: bool = False
) -> None:
    """Coloured words in a corner, from y (share of the axes) down, or up from a y in the lower half: a legend without a box."""
    first = 0.0 if y > 0.5 else 1.4 * size * (len(entries) - 1)
    for line, (text, colour) in enumerate(entries):
        ax.annotate(
            text,
            (x, y),
            (0, first - 1.4 * size * line),
            xycoords="axes fraction",
            textcoords="offset points",
            color=colour,
            va="top" if y > 0.5 else "bottom",
            ha="right" if right else "left",
            fontsize=size,
        )


def mark_coin(ax: Axes, vertical: bool = False) -> None:
    """A dashed line at 0.5, what guessing gives."""
    (ax.axvline if vertical else ax.axhline)(0.5, color=GREY, linestyle="--", linewidth=1, zorder=0)


def error_bars(rows: pd.DataFrame) -> list[pd.Series]:
    """How far the ends of the intervals lie from the values, as `Axes.errorbar` takes them. rows: value, low, high."""
    return [rows["value"] - rows["low"], rows["high"] - rows["value"]]


def axis_start(values: pd.Series, usual: float = 0.45) -> float:
    """Where an axis starts: below 0.5, and below every value."""
    return min(usual, float(values.min()) - 0.03) if values.notna().any() else usual


def line_colours(lines: Iterable[str]) -> dict[str, str]:
    """A colour for each line: its own, or one that none of the others has."""
    lines = list(dict.fromkeys(lines))
    taken = {COLOURS.get(line) for line in lines}
    spare = iter(c for c in PALETTE if c not in taken)
    return {line: COLOURS.get(line) or next(spare, GREY) for line in lines}
