"""What deviates from the paper, and why; and what the paper leaves open: the scoreboard's tables, whole."""

from collections.abc import Iterator
from html import escape

import pandas as pd

from mialib.site.frame import SitePage
from mialib.site.markup import Heading, TableCell, inline_code, table_box, text_cell
from mialib.site.notebook_pages import page_of
from mialib.site.sources import Sources

DEVIATION_COLUMNS = ["notebook", "dataset", "setting", "paper", "where", "ours", "deviates", "why"]
OPEN_COLUMNS = ["question", "paper", "here"]


def deviation_pages(sources: Sources) -> Iterator[SitePage]:
    """ValueError where 99_scoreboard has not saved the tables `deviations` and `open_questions`, or not their columns."""
    settings = _read(sources, "deviations", DEVIATION_COLUMNS)
    questions = _read(sources, "open_questions", OPEN_COLUMNS)
    others = settings[settings["deviates"]]
    body = "\n".join(
        [
            "<h1>What deviates from the paper, and why</h1>",
            f'<p class="lead">Of {len(settings)} settings that the paper states, {len(others)} were others here.</p>',
            '<h2 id="settings">Settings</h2>',
            _settings(others, "Settings that deviate", why=True),
            '<h2 id="kept">Settings that were kept</h2>',
            _settings(settings[~settings["deviates"]], "Settings as the paper has them", why=False),
            '<h2 id="open">What the paper leaves open</h2>',
            _questions(questions),
        ]
    )
    yield SitePage("deviations.html", "What deviates, and why", body)


def _read(sources: Sources, name: str, columns: list[str]) -> pd.DataFrame:
    table = sources.scoreboard.table(name)
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"99_scoreboard/{name}.csv lacks the columns {', '.join(missing)}")
    return table


def _settings(rows: pd.DataFrame, caption: str, *, why: bool) -> str:
    names = ["data set", "setting", "paper", "where", "ours", *(["why"] if why else []), "notebook"]
    cells = []
    for row in rows.to_dict("records"):
        texts = [_words(row[name]) for name in ("dataset", "setting", "paper", "where", "ours", *(["why"] if why else []))]
        link = f'<a href="{page_of(str(row["notebook"]))}">{escape(str(row["notebook"]))}</a>'
        cells.append([*texts, TableCell(link)])
    return table_box(caption, [Heading(name) for name in names], cells, whole=True)


def _questions(rows: pd.DataFrame) -> str:
    heads = [Heading("question"), Heading("what the paper says"), Heading("what is done here")]
    cells = [[_words(row[name]) for name in OPEN_COLUMNS] for row in rows.to_dict("records")]
    return table_box("What the paper leaves open", heads, cells, sortable=False, whole=True)


def _words(value: object) -> TableCell:
    return TableCell(inline_code(value)) if isinstance(value, str) else text_cell(value)
