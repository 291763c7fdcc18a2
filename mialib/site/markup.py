"""Pieces of pages: tables that scroll within their box and sort, numbers in words, folded parts. All text is escaped here."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

ABSENT = "–"


class Heading(NamedTuple):
    """The head of a column; numeric ones are set flush right, and sorted largest first."""

    text: str
    numeric: bool = False


class TableCell(NamedTuple):
    """A cell: its HTML, and the number that it is sorted by (None: by its text; NaN: last)."""

    html: str
    number: float | None = None


def text_cell(value: object) -> TableCell:
    """A text as a cell, whatever is missing as a dash."""
    return TableCell(ABSENT if _missing(value) or value == "" else escape(str(value)))


def inline_code(text: str) -> str:
    """A text as HTML on one line: what stands in backticks is code, what stands in single stars is stressed."""
    coded = re.sub(r"``?([^`]+)``?", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))
    return re.sub(r"(?<![\w*`])\*([a-z][^*<]*[a-z])\*(?![\w*])", r"<em>\1</em>", coded)


def decimal_cell(value: object, digits: int = 3) -> TableCell:
    """A number as a cell, such as 0.678."""
    if _missing(value):
        return TableCell(ABSENT, np.nan)
    number = float(value)  # type: ignore[arg-type]
    return TableCell(f"{number:.{digits}f}".replace("-", "−"), number)


def count_cell(value: object) -> TableCell:
    """A whole number as a cell, such as 10,520."""
    return TableCell(ABSENT, np.nan) if _missing(value) else TableCell(f"{float(value):,.0f}", float(value))  # type: ignore[arg-type]


def interval_cell(value: object, low: object, high: object, digits: int = 3) -> TableCell:
    """A number with its 95% interval, such as 0.724 [0.715, 0.733], sorted by the number."""
    cell = decimal_cell(value, digits)
    if _missing(value) or _missing(low) or _missing(high):
        return cell
    ends = ", ".join(decimal_cell(end, digits).html for end in (low, high))
    return TableCell(f'{cell.html} <span class="range">[{ends}]</span>', cell.number)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def table_box(
    caption: str,
    headings: Sequence[Heading],
    rows: Iterable[Sequence[TableCell]],
    *,
    ident: str = "",
    attributes: Iterable[Mapping[str, str]] = (),
    sortable: bool = True,
    whole: bool = False,
) -> str:
    """A table that scrolls within its box where it is wider or (unless `whole`) longer, and sorts where scripts run.

    The first cell of a row names it. attributes: data attributes of the rows, one mapping a row, such as {"verdict": "near"}.
    """
    of_rows = list(attributes)
    heads = "".join(f'<th scope="col"{_flush(h)}>{escape(h.text)}</th>' for h in headings)
    lines = []
    for place, row in enumerate(rows):
        data = of_rows[place] if of_rows else {}
        given = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
        lines.append(f"<tr{given}>{''.join(_cell(*pair, first=i == 0) for i, pair in enumerate(zip(headings, row)))}</tr>")
    kind, name = ' class="sortable"' if sortable else "", f' id="{ident}"' if ident else ""
    return (
        f'<div class="scroll{" whole" if whole else ""}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table{kind}{name}>"
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody></table></div>"
    )


def _flush(heading: Heading) -> str:
    return ' class="n"' if heading.numeric else ""


def _cell(heading: Heading, cell: TableCell, *, first: bool) -> str:
    value = "" if cell.number is None else f' data-v="{"" if np.isnan(cell.number) else f"{cell.number:.6g}"}"'
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    return f"<{tag}{scope}{_flush(heading)}{value}>{cell.html}</{tag}>"


def frame_box(frame: pd.DataFrame, caption: str, *, digits: int = 3, names: Mapping[str, str] | None = None) -> str:
    """A whole table as it is saved: a column each, numbers with `digits` digits. names: what to call columns."""
    numeric = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name]) and frame[name].dtype != bool]
    headings = [Heading((names or {}).get(str(name), str(name)), name in numeric) for name in frame]
    columns = []
    for name in frame:
        integral = name in numeric and bool((frame[name].dropna() % 1 == 0).all())
        kind = text_cell if name not in numeric else count_cell if integral else lambda value: decimal_cell(value, digits)
        columns.append([kind(value) for value in frame[name]])
    return table_box(caption, headings, zip(*columns, strict=True))


def folded(summary: str, body: str, *, kind: str = "", opened: bool = False) -> str:
    """A part that opens. summary and body: HTML."""
    given = f' class="{kind}"' if kind else ""
    return f"<details{given}{' open' if opened else ''}><summary>{summary}</summary>\n{body}\n</details>"


def anchor_of(text: str, taken: Collection[str] = ()) -> str:
    """An id for a heading: its words in lower case, joined by hyphens; with a number where it is taken."""
    base = re.sub(r"[^\w]+", "-", re.sub("<[^>]*>", "", text).lower()).strip("-") or "part"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
