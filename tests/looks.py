"""How a figure looks, measured: what its texts lie upon, whether its axes have names, which colours it has.

`python tests/looks.py 02_cifar100/fig4_precision` draws committed figures again (all whose "RUN/NN_name/figure" holds one of
the words given, or every one) and prints what is wrong with them; `--to FOLDER` keeps the pictures there.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.text import Annotation, Text

from mialib.plots.names import SURROGATE
from mialib.plots.panels import STYLE, draw
from mialib.plots.style import PALETTE
from mialib.runs.drawn import drawn_standins, standin_note, with_sources
from mialib.runs.run import plot_function, read_run, read_table

ROOT = Path(__file__).resolve().parent.parent
OVER_TEXT, OUTSIDE, OVER_MARK = "text over text", "text outside the canvas", "text over a mark"
NAMELESS, MANY, FOREIGN = "axis without a name", "too many colours", "colour of no palette"
UNMARKED = "stand-in or surrogate without its mark"
RULES = (OVER_TEXT, OUTSIDE, OVER_MARK, NAMELESS, MANY, FOREIGN, UNMARKED)
MOST_COLOURS = 8
SLACK = 0.6  # points that boxes may lie in one another: their edges are wider than the ink


class Flaw(NamedTuple):
    """What is wrong with a figure: one of RULES, and where."""

    rule: str
    where: str


class Box(NamedTuple):
    """The ink of a text: centre, half of width and height, and turn in radians, in pixels."""

    text: Text
    centre: np.ndarray
    half: np.ndarray
    turn: float

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 2), seen from the text's centre, along and across its line."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return np.asarray((points - self.centre) @ np.array([[cos, -sin], [sin, cos]]))

    def corners(self) -> np.ndarray:
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        return np.asarray(self.centre + (signs * self.half) @ np.array([[cos, sin], [-sin, cos]]))


def flaws(figure: Figure) -> list[Flaw]:
    """All that is wrong with a figure by the RULES."""
    figure.draw_without_rendering()
    boxes = [_box(text) for text in _texts(figure)]
    return [*_over_text(boxes), *_outside(figure, boxes), *_over_marks(figure, boxes), *_nameless(figure), *_colours(figure)]


def committed_figures(root: Path = ROOT) -> dict[str, tuple[Path, str]]:
    """The figures of all committed runs of the profile `paper`, by "RUN/NN_name/figure": their results folder and name."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}/{name}": (path.parent, name)
        for path in sorted(root.glob("results/paper*/*/run.json"))
        for name in read_run(path.parent)["figures"]
    }


def looked_at(results: Path, name: str) -> tuple[Figure, list[Flaw]]:
    """A figure of a run, drawn from its saved tables as `runs.write_figure` does, and its flaws; the style is the caller's."""
    record = read_run(results)
    spec = record["figures"][name]
    datasets = spec.get("datasets", ())
    frames = with_sources([read_table(results, table) for table in spec["tables"]], record, datasets)
    note = standin_note(drawn_standins(frames, record, datasets))
    figure = draw(plot_function(spec["function"]), frames, note=note, **spec["options"])
    return figure, [*flaws(figure), *_unmarked(figure, frames[0])]


def _unmarked(figure: Figure, rows: pd.DataFrame) -> Iterator[Flaw]:
    """What the rows of a figure are of, if neither title, name nor label says so; its note below does not count."""
    words = " ".join(text.get_text() for text in _texts(figure) if text is not figure._supxlabel)
    kinds = [rows[column].astype(str) for column in ("our_target", "target") if column in rows]
    if "source" in rows and (rows["source"] == "standin").any() and "stand-in" not in words:
        yield Flaw(UNMARKED, "stand-in")
    if any(kind.str.endswith(SURROGATE).any() for kind in kinds) and "surrogate" not in words:
        yield Flaw(UNMARKED, "surrogate")


# Texts


def _texts(figure: Figure) -> list[Text]:
    """All texts that are drawn and say something."""
    found = [*figure.texts, *_of_figure(figure)]
    for ax in figure.axes:
        if not ax.get_visible():
            continue
        found += [*ax.texts, ax.title, ax._left_title, ax._right_title]
        legend = ax.get_legend()
        found += legend.get_texts() if legend else []
        for axis in (ax.xaxis, ax.yaxis) if ax.axison else ():
            found += [axis.label, axis.offsetText]
            found += [label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)]
    shown = [text for text in found if text.get_visible() and text.get_text().strip() and text.get_alpha() != 0]
    unique = list({id(text): text for text in shown}.values())
    return [text for text in unique if not isinstance(text, Annotation) or text._check_xy(None)]


def _of_figure(figure: Figure) -> list[Text]:
    return [text for text in (figure._suptitle, figure._supxlabel, figure._supylabel) if text is not None]


def _box(text: Text) -> Box:
    turn = text.get_rotation()
    if isinstance(text, Annotation):
        text.update_positions(text.get_figure(root=True)._get_renderer())
    whole = Text.get_window_extent(text)  # an annotation's own would hold its arrow, too
    if turn % 90:
        mode = text.get_rotation_mode()
        text.set_rotation(0)
        size = np.array(Text.get_window_extent(text).size)
        text.set_rotation(turn)
        text.set_rotation_mode(mode)
    else:
        size = np.array(whole.size if turn % 180 == 0 else whole.size[::-1])
    em = text.get_fontsize() * text.get_figure(root=True).dpi / 72
    half = np.maximum(size / 2 - [0.02 * em, 0.14 * em], 0.1)
    return Box(text, np.array([(whole.x0 + whole.x1) / 2, (whole.y0 + whole.y1) / 2]), half, np.deg2rad(turn))


def _said(text: Text) -> str:
    words = " ".join(text.get_text().split())
    return repr(words if len(words) < 40 else words[:38] + "…")


def _apart(one: Box, other: Box, slack: float) -> bool:
    """Whether an axis separates two boxes, which may lie in one another by `slack`."""
    for seen, by in ((one, other), (other, one)):
        corners = seen.inside(by.corners())
        if (corners.min(0) > seen.half - slack).any() or (corners.max(0) < slack - seen.half).any():
            return True
    return False


def _over_text(boxes: list[Box]) -> Iterator[Flaw]:
    for one, other in combinations(boxes, 2):
        slack = SLACK * one.text.get_figure(root=True).dpi / 72
        if not _apart(one, other, slack):
            yield Flaw(OVER_TEXT, f"{_said(one.text)} and {_said(other.text)}")


def _outside(figure: Figure, boxes: list[Box]) -> Iterator[Flaw]:
    slack = SLACK * figure.dpi / 72
    for box in boxes:
        corners = box.corners()
        if (corners < -slack).any() or (corners > np.array(figure.bbox.size) + slack).any():
            yield Flaw(OUTSIDE, _said(box.text))


# Marks


class Marks(NamedTuple):
    """What is drawn in a panel, in pixels: round marks (centre, radius), lines (ends, half of the width), bars (corners)."""

    spots: np.ndarray  # (n, 3)
    lines: np.ndarray  # (n, 5)
    bars: np.ndarray  # (n, 4): left, bottom, right, top


def _over_marks(figure: Figure, boxes: list[Box]) -> Iterator[Flaw]:
    parts = [_marks(ax) for ax in figure.axes if ax.get_visible()]
    marks = Marks(*(np.concatenate(each) for each in zip(*parts, strict=True))) if parts else None
    for box in boxes if marks else ():
        arrow = getattr(box.text, "arrow_patch", None)
        others = [_arrow(text.arrow_patch) for ax in figure.axes for text in ax.texts if getattr(text, "arrow_patch", None)
                  and text.arrow_patch is not arrow]  # fmt: skip
        lines = np.concatenate([marks.lines, *others])
        what = [
            ("a marker", _hit_spots(box, marks.spots)),
            ("a line", not box.text.get_path_effects() and _hit_lines(box, lines)),
            ("a bar", _hit_bars(box, marks.bars)),
        ]
        for name, hit in what:
            if hit:
                yield Flaw(OVER_MARK, f"{_said(box.text)} over {name}")


def _marks(ax: Axes) -> Marks:
    spots, lines, bars = [np.empty((0, 3))], [np.empty((0, 5))], [np.empty((0, 4))]
    scale = ax.figure.dpi / 72
    for artist in (*ax.lines, *ax.collections, *ax.patches):
        if not artist.get_visible() or artist.get_alpha() == 0:
            continue
        frame = ax.bbox if artist.get_clip_on() else ax.figure.bbox
        if isinstance(artist, Line2D):
            spots.append(_within(_spots(artist, scale), frame))
            lines.append(_clipped(_segments(artist, scale), frame))
        elif isinstance(artist, LineCollection):
            width = float(np.max(artist.get_linewidth())) * scale / 2
            paths = [artist.get_transform().transform(part) for part in artist.get_segments()]
            lines += [_clipped(_joined(path, width), frame) for path in paths]
        elif isinstance(artist, PathCollection):
            at = artist.get_offset_transform().transform(np.ma.filled(artist.get_offsets(), np.nan))
            radius = np.sqrt(np.resize(artist.get_sizes(), len(at))) / 2 * scale
            spots.append(_within(np.column_stack([at, radius]), frame))
        elif isinstance(artist, Rectangle):
            box = artist.get_window_extent().extents
            if artist.get_fill() and to_rgba(artist.get_facecolor())[3] > 0:
                bars.append(_cut(np.array([box]), frame))
            else:
                left, bottom, right, top = box
                outline = np.array([[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]])
                lines.append(_clipped(_joined(outline, scale / 2), frame))
        elif isinstance(artist, Patch) and not isinstance(artist, FancyArrowPatch):  # boxes of a boxplot, stairs
            for path in artist.get_transform().transform_path(artist.get_path()).to_polygons(closed_only=False):
                lines.append(_clipped(_joined(path, scale * artist.get_linewidth() / 2), frame))
    return Marks(np.concatenate(spots), np.concatenate(lines), np.concatenate(bars))


def _spots(line: Line2D, scale: float) -> np.ndarray:
    marker = str(line.get_marker())
    if marker in ("", "None", "none", "|", "_", " "):
        return np.empty((0, 3))
    at = line.get_transform().transform(line.get_xydata())
    radius = line.get_markersize() / 2 * scale * {".": 0.5, ",": 0.1}.get(marker, 1.0)
    return np.column_stack([at, np.full(len(at), radius)])


def _segments(line: Line2D, scale: float) -> np.ndarray:
    at = line.get_transform().transform_path(line.get_path()).vertices
    parts = [np.empty((0, 5))]
    if line.get_linestyle() not in ("None", "none", " ", "") and line.get_linewidth() > 0:
        parts.append(_joined(at, line.get_linewidth() * scale / 2))
    if (marker := str(line.get_marker())) in ("|", "_"):
        reach = line.get_markersize() / 2 * scale * np.array([marker == "_", marker == "|"])
        width = np.full((len(at), 1), line.get_markeredgewidth() * scale / 2)
        parts.append(np.hstack([at - reach, at + reach, width]))
    return np.concatenate(parts)


def _joined(path: np.ndarray, width: float) -> np.ndarray:
    ends = np.array([[*start, *stop, width] for start, stop in pairwise(np.asarray(path))])
    return ends if len(ends) else np.empty((0, 5))


def _arrow(arrow: Any) -> np.ndarray:
    polygons = arrow.get_transform().transform_path(arrow.get_path()).to_polygons(closed_only=False)
    return np.concatenate([np.empty((0, 5)), *(_joined(polygon, 0.3) for polygon in polygons)])


def _within(spots: np.ndarray, frame: Any) -> np.ndarray:
    x, y = spots[:, 0], spots[:, 1]
    return spots[(x >= frame.x0 - 1) & (x <= frame.x1 + 1) & (y >= frame.y0 - 1) & (y <= frame.y1 + 1)]


def _cut(bars: np.ndarray, frame: Any) -> np.ndarray:
    cut = np.column_stack([np.maximum(bars[:, :2], frame.min), np.minimum(bars[:, 2:], frame.max)])
    return cut[(cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])]


def _clipped(lines: np.ndarray, frame: Any) -> np.ndarray:
    """The parts of lines (n, 5) that lie in the frame."""
    low, high = _ends(lines, np.array(frame.min), np.array(frame.max))
    kept = (low < high) & np.isfinite(lines).all(1)
    start, along = lines[:, :2], lines[:, 2:4] - lines[:, :2]
    return np.hstack([start + low[:, None] * along, start + high[:, None] * along, lines[:, 4:]])[kept]


def _ends(lines: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each line enters and leaves a box, as shares of its length (Liang and Barsky); it misses it where these cross."""
    start, along = lines[:, :2], lines[:, 2:4] - lines[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - start) / along, (high - start) / along
    flat, within = along == 0, (start >= low) & (start <= high)
    first = np.where(flat, np.where(within, -np.inf, np.inf), np.minimum(one, other))
    last = np.where(flat, np.where(within, np.inf, -np.inf), np.maximum(one, other))
    return np.clip(first.max(1), 0, 1), np.clip(last.min(1), 0, 1)


def _hit_spots(box: Box, spots: np.ndarray) -> bool:
    distance = np.hypot(*(np.maximum(np.abs(box.inside(spots[:, :2])) - box.half, 0)).T)
    return bool((distance < 0.9 * spots[:, 2]).any())


def _hit_lines(box: Box, lines: np.ndarray) -> bool:
    seen = np.hstack([box.inside(lines[:, :2]), box.inside(lines[:, 2:4])])
    reach = np.maximum(box.half + lines[:, 4:] - SLACK, 0.1)
    low, high = _ends(seen, -reach, reach)
    return bool((low < high).any())


def _hit_bars(box: Box, bars: np.ndarray) -> bool:
    corners = box.corners()
    low, high = corners.min(0) + SLACK, corners.max(0) - SLACK
    return bool(((bars[:, :2] < high) & (bars[:, 2:] > low)).all(1).any())


# Axes and colours


def _nameless(figure: Figure) -> Iterator[Flaw]:
    """Axes without a name: none of their own, nor of the panel at the left of the row or below in the column; an axis of words
    says itself what it shows, and one without ticks has nothing to name.
    """
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.axison]
    for ax in shown:
        spec = ax.get_subplotspec()
        row = [other for other in shown if spec and other.get_subplotspec() and other.get_subplotspec().rowspan == spec.rowspan]
        column = [other for other in shown if spec and other.get_subplotspec()
                  and other.get_subplotspec().colspan == spec.colspan]  # fmt: skip
        for axis, peers in ((ax.xaxis, column), (ax.yaxis, row)):
            names = [(peer.xaxis if axis is ax.xaxis else peer.yaxis).label.get_text().strip() for peer in [ax, *peers]]
            ticks = [tick.label1.get_text() for tick in axis._update_ticks() if tick.label1.get_visible()]
            if any(names) or not any(ticks) or np.mean([_is_word(text) for text in ticks if text]) > 0.5:
                continue
            yield Flaw(NAMELESS, f"{axis.axis_name} of the panel {ax.get_title()!r}")


def _is_word(text: str) -> bool:
    return sum(letter.isalpha() for letter in text.replace("mathdefault", "")) > 1


def _colours(figure: Figure) -> Iterator[Flaw]:
    found = {colour for colour in _drawn_colours(figure) if not _is_grey(colour)}
    if len(found) > MOST_COLOURS:
        yield Flaw(MANY, f"{len(found)}: {', '.join(sorted(found))}")
    if foreign := found - {colour.lower() for colour in PALETTE}:
        yield Flaw(FOREIGN, ", ".join(sorted(foreign)))


def _drawn_colours(figure: Figure) -> set[str]:
    """Colours of texts, lines, marks and areas, opaque, as hexadecimal numbers; those of maps and of pictures left out."""
    found: list[Any] = [text.get_color() for text in _texts(figure)]
    for ax in figure.axes:
        for line in ax.lines:
            if line.get_linestyle() not in ("None", "none", " ", ""):
                found.append(line.get_color())
            if str(line.get_marker()) not in ("", "None", "none", " "):
                found += [line.get_markerfacecolor(), line.get_markeredgecolor()]
        for artist in (*ax.patches, *ax.collections):
            if isinstance(artist, Collection) and artist.get_array() is not None:
                continue
            found += [*np.atleast_2d(artist.get_facecolor()), *np.atleast_2d(artist.get_edgecolor())]
    seen = [to_rgba(colour) for colour in found if not (isinstance(colour, str) and colour == "none") and len(colour)]
    return {to_hex(colour) for colour in seen if colour[3] > 0}


def _is_grey(colour: str) -> bool:
    return float(np.ptp(to_rgba(colour)[:3])) < 0.05


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args(arguments)
    failed = 0
    for key, (results, name) in committed_figures().items():
        if asked.words and not any(word in key for word in asked.words):
            continue
        with plt.style.context(STYLE, after_reset=True):
            figure, found = looked_at(results, name)
            if asked.to:
                asked.to.mkdir(parents=True, exist_ok=True)
                figure.savefig(asked.to / f"{key.replace('/', '.')}.png", dpi=150)
        failed += bool(found)
        print(key, "looks well" if not found else "")
        print("".join(f"    {flaw.rule}: {flaw.where}\n" for flaw in found), end="", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    matplotlib.use("Agg")
    sys.exit(main(sys.argv[1:]))
