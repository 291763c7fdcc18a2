"""The front page: what was found, in a sentence, a figure and nine claims."""

from collections.abc import Iterator
from html import escape

from mialib.site.frame import SitePage
from mialib.site.sources import Sources


def front_pages(sources: Sources) -> Iterator[SitePage]:
    totals = sources.scoreboard.table("totals")
    rows = "".join(f"<li>{escape(row.standing)}: {row.rows} values</li>" for row in totals.itertuples())
    yield SitePage("index.html", "Findings", f"<h1>Membership inference, reproduced</h1>\n<ul>{rows}</ul>")
