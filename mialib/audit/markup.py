"""Pieces of a page: numbers in words, tables that sort, pictures inside the page. All text of users is escaped here."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from io import BytesIO, StringIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.plots.names import in_words

MISSING = "–"
LARGEST_SVG = 300_000  # bytes; a larger figure goes into the page as PNG
PNG_DPI = 200
PIXELS_AN_INCH = 124  # CSS pixels, at most: its words are then about as large as the page's notes
TableRow = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a table: its heading, what it shows of a row (HTML), and by which number it is sorted (None: by its text)."""

    heading: str
    show: Callable[[TableRow], str]
    number: Callable[[TableRow], float] | None = None


def is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def words_of(value: Any) -> str:
    """Any value as HTML text: floats short, whatever is missing as a dash."""
    if is_missing(value):
        return MISSING
    if isinstance(value, float | np.floating):
        number = float(value)
        short = ".4g" if not 1e4 <= abs(number) < 1e15 else ".0f" if number.is_integer() else ".1f"
        return f"{number:{short}}".replace("-", "−", 1)
    return escape(str(value))


def percent(rate: float, sign: str = "%") -> str:
    """A rate in 0..1: "64.0%", "0.25%", "under 0.01%"."""
    if is_missing(rate):
        return MISSING
    shown = 100 * float(rate)
    if shown in (0, 100):
        return f"{shown:.0f}{sign}"
    if 0 < shown < 0.01:
        return f"under 0.01{sign}"
    return f"{shown:.{1 if shown >= 1 else 2}f}{sign}"


def decimal(value: float) -> str:
    return MISSING if is_missing(value) else f"{float(value):.2f}".replace("-", "−")


def chance(p: float) -> str:
    """A p-value as HTML: "0.03", "<0.001"."""
    return MISSING if is_missing(p) else "&lt;0.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def with_interval(row: TableRow, name: str, kind: Callable[[float], str] = decimal) -> str:
    """ "0.61 [0.58, 0.64]": the row's value and its 95% interval, where there is one."""
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if is_missing(value) or is_missing(low) or is_missing(high):
        return kind(value)  # type: ignore[arg-type]
    ends = ", ".join(kind(end).rstrip("%") for end in (low, high))  # type: ignore[arg-type]
    return f'{kind(value)} <span class="range">[{ends}]</span>'  # type: ignore[arg-type]


def _number(name: str) -> Callable[[TableRow], float]:
    def number(row: TableRow) -> float:
        value = row.get(name)
        return float("nan") if is_missing(value) else float(value)  # type: ignore[arg-type]

    return number


def text(heading: str, name: str) -> Column:
    return Column(heading, lambda row: words_of(row.get(name)))


def named(heading: str, name: str) -> Column:
    """A column of the package's own words: attacks."""
    return Column(heading, lambda row: escape(in_words(row[name])))


def figures(heading: str, name: str, kind: Callable[[float], str] = decimal) -> Column:
    """A column of numbers, with intervals where the table has them."""
    return Column(heading, lambda row: with_interval(row, name, kind), _number(name))


def html_table(frame: pd.DataFrame, columns: Sequence[Column], *, caption: str, mark: str = "") -> str:
    """A table that scrolls within itself and sorts where scripts run. mark: a bool column whose rows are set apart."""
    heads = "".join(f'<th scope="col"{_class(column)}>{escape(column.heading)}</th>' for column in columns)
    rows = []
    for row in frame.to_dict("records"):
        cells = "".join(_cell(row, column, place == 0) for place, column in enumerate(columns))
        rows.append(f"<tr{' class=headline' if mark and row[mark] else ''}>{cells}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="sortable">'
        f"<caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>\n<tbody>{chr(10).join(rows)}</tbody></table></div>"
    )


def _class(column: Column) -> str:
    return "" if column.number is None else ' class="n"'


def _cell(row: TableRow, column: Column, first: bool) -> str:
    value = ""
    if column.number is not None:
        number = column.number(row)
        value = f' data-v="{"" if np.isnan(number) else repr(float(number))}"'
    tag, scope = ("th", ' scope="row"') if first and column.number is None else ("td", "")
    return f"<{tag}{scope}{_class(column)}{value}>{column.show(row)}</{tag}>"


def picture(figure: Any, name: str, caption: str, *, wide: bool = False) -> str:
    """A figure inside the page: SVG, or PNG where that would be large. name: its own in the page; caption: HTML."""
    from matplotlib import pyplot as plt  # late: a report alone needs it

    from mialib.plots.panels import STYLE

    said = escape(re.sub("<[^>]*>", "", caption))
    width = PIXELS_AN_INCH * float(figure.get_figwidth())
    with plt.style.context(STYLE, after_reset=True):
        svg = StringIO()
        figure.savefig(svg, format="svg", metadata={"Date": None})
        inside = _inline(svg.getvalue(), name, said, width)
        if len(inside) > LARGEST_SVG:
            png = BytesIO()
            figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
            inside = f'<img src="{data_uri(png.getvalue())}" alt="{said}" style="max-width:{width:.0f}px">'
    kind = "picture wide" if wide else "picture"
    return f'<figure><div class="{kind}" tabindex="0">{inside}</div><figcaption>{caption}</figcaption></figure>'


def data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _inline(svg: str, name: str, said: str, width: float) -> str:
    """A whole SVG file made a part of a page: without its head, and with identifiers that no other figure has."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg role="img" aria-label="{said}" {box.group() if box else ""} style="max-width:{width:.0f}px">'
    return re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1)


def picture_of(pixels: np.ndarray) -> bytes:
    """A record's pixels, (h, w) or (h, w, channels), uint8 or floats in 0..1, as PNG."""
    from matplotlib.image import imsave  # late: a report alone needs it

    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8:
        pixels = np.round(255 * np.clip(pixels.astype(float), 0, 1)).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    buffer = BytesIO()
    imsave(buffer, np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, format="png")
    return buffer.getvalue()
