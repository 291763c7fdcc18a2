"""What a figure of a run is called, and the tables that it draws: every chart is there as a table too."""

import inspect
import re
from collections.abc import Iterator
from html import escape

import pandas as pd

from mialib import plots
from mialib.site.frame import to_root
from mialib.site.markup import folded, frame_box
from mialib.site.sources import NotebookRun

MOST_ROWS = 120  # of a table that stands in the page; longer ones are a file beside it
MOST_LETTERS = 400  # of a cell in a table that is read: longer ones are pixels
DIGITS = 5  # of the files' numbers


def figure_words(run: NotebookRun, name: str) -> str:
    """What a figure of a run shows: what is said first of the function that draws it, but for its arguments."""
    drawn = run.record["figures"].get(name)
    if drawn is None:
        raise ValueError(
            f"results of {run.name}: run.json knows no figure {name!r}; there are {', '.join(run.record['figures'])}"
        )
    function = getattr(plots, drawn["function"])
    arguments = tuple(f"{mark}{name}{mark or ':'}" for name in inspect.signature(function).parameters for mark in ("", "`"))
    said = " ".join((function.__doc__ or "").strip().split("\n\n")[0].split())
    return " ".join(each for each in re.split(r"(?<=\.)\s+", said) if not each.startswith(arguments)).replace("`", "")


def figure_box(image: str, tables: str, caption: str = "") -> str:
    """A figure with the tables behind it. image, tables: HTML; caption: plain text."""
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    box = f'<div class="drawn" tabindex="0" role="region" aria-label="Figure">{image}</div>'
    return f'<figure class="picture">{box}{said}{tables}</figure>'


def figure_tables(run: NotebookRun, name: str, page: str) -> str:
    """The tables behind a figure, folded: short ones in the page, long ones as files. page: the path of the page."""
    parts = []
    for table in run.record["figures"][name]["tables"]:
        frame = _readable(run.table(table))
        count = f"{len(frame):,} row{'' if len(frame) == 1 else 's'}"
        link = f'<a href="{to_root(page)}{data_path(run, table)}" download>{escape(table)}.csv</a>'
        parts.append(f'<p class="soft">{link}, {count}</p>')
        if 0 < len(frame) <= MOST_ROWS:
            parts.append(frame_box(frame, f"{table}: what the figure {name} draws"))
    return folded("The numbers behind this figure", "\n".join(parts), kind="numbers")


def figure_files(run: NotebookRun) -> Iterator[tuple[str, bytes]]:
    """All tables that the figures of a run draw, as files of the site: path and content, numbers with `DIGITS` digits."""
    for table in dict.fromkeys(name for drawn in run.record["figures"].values() for name in drawn["tables"]):
        text = _readable(run.table(table)).to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
        yield data_path(run, table), text.encode()


def data_path(run: NotebookRun, table: str) -> str:
    """Where the file of a table lies, relative to the site's folder."""
    return f"data/{run.name}/{table}.csv"


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A table without columns of pixels, which nobody reads."""
    texts = frame.select_dtypes(exclude="number")
    return frame.drop(columns=[name for name in texts if texts[name].astype(str).str.len().max() > MOST_LETTERS])
