"""The front page: what was found, in a sentence, a figure and nine claims."""

from collections.abc import Iterator
from html import escape
from urllib.parse import urlencode

import pandas as pd

from mialib.paper.comparison import NEAR
from mialib.paper.scoreboard import DRAWN, STANDINGS, STATED
from mialib.plots.names import in_words
from mialib.site.claims_table import claims_table
from mialib.site.figures import figure_box, figure_tables, figure_words
from mialib.site.frame import SitePage
from mialib.site.markup import folded
from mialib.site.pictures import saved_picture
from mialib.site.sources import Sources
from mialib.site.values import GIVEN_WORDS, STANDING_WORDS, counts_of, scoreboard_values

FINDINGS = ("finding", "glance")  # the figure of the front page: the first of these that the scoreboard has drawn
FIGURE_WIDTH = 1000  # CSS pixels


def front_pages(sources: Sources) -> Iterator[SitePage]:
    values, board = scoreboard_values(sources), sources.scoreboard
    claims = board.table("claims").merge(board.table("claim_dots")[["claim", "statement"]].drop_duplicates(), on="claim")
    body = "\n".join(
        [
            '<p class="kicker">Shokri, Stronati, Song and Shmatikov, IEEE S&amp;P 2017, run again</p>',
            "<h1>A model’s answers give away whose records it was trained on</h1>",
            f'<p class="lead">{finding_sentence(values)}</p>',
            f"<p>{counted_sentence(values)}</p>",
            _figure(sources),
            '<h2 id="claims">The paper’s nine claims</h2>',
            f"<p>{_how_to_read()}</p>",
            claims_table(claims, "The paper's nine claims"),
            '<h2 id="paper-values">The paper’s values</h2>',
            _standings(values),
            '<h2 id="since">What was tested beside the paper</h2>',
            _beside(sources),
        ]
    )
    yield SitePage("index.html", "Findings", body)


def finding_sentence(values: pd.DataFrame) -> str:
    """What came out: how often the attack is right where it says "member", of the values that count. HTML."""
    medians = values[values["counts"] & (values["metric"] == "attack_precision_p50")]
    parts = [
        f"in {_span(rows['value'])} of cases on {escape(in_words(name))} (the paper: {_span(rows['published'])})"
        for name, rows in medians.groupby("dataset", sort=False)
    ]
    return f"Where the attack says that a picture was in the training set, it is right {' and '.join(parts)}. A coin: 50%."


def _span(values: pd.Series) -> str:
    """ "68 to 81%", or one per cent where both ends are that."""
    return " to ".join(dict.fromkeys(f"{100 * end:.0f}" for end in (values.min(), values.max()))) + "%"


def counted_sentence(values: pd.DataFrame) -> str:
    """How near that is, counted: of the values that count, stated and drawn apart. HTML."""
    counted = values[values["counts"]]
    parts = {given: counts_of(counted[counted["given"] == given]) for given in GIVEN_WORDS}
    stated, drawn = parts[STATED], parts[DRAWN]
    return (
        "Precision of the median class. The paper’s experiment can be repeated as it was on these two: "
        f"{stated['within']} of the {stated['rows']} values that it states come out within {NEAR:g} or meet its bound, "
        f"and {drawn['within']} of the {drawn['rows']} that were read off its figure. Its other targets were services that "
        "are gone, or data that cannot be had here: what stands in their place is shown apart, and is no evidence."
    )


def _figure(sources: Sources) -> str:
    board = sources.scoreboard
    name = next((name for name in FINDINGS if name in board.record["figures"]), None)
    if name is None:
        raise ValueError(f"99_scoreboard has drawn none of {', '.join(FINDINGS)}: run it again")
    words = figure_words(board, name)
    image = saved_picture(board.figures, name, words, FIGURE_WIDTH)
    tables = figure_tables(board, name, "index.html")
    return figure_box(image, tables, words)


def _how_to_read() -> str:
    return (
        "Each claim opens to its tests. On real data and the paper’s kind of target a test <em>holds</em> or <em>fails</em>; "
        "where a surrogate stands for a service that is gone, or generated data for data that could not be had, only a "
        "<em>direction</em> is <em>seen</em> or <em>not seen</em>: that proves nothing about the paper."
    )


def _standings(values: pd.DataFrame) -> str:
    """The tally in short; its numbers lead to the scoreboard, filtered."""
    rows = []
    for standing in STANDINGS:
        cells = []
        for given in GIVEN_WORDS:
            counts = counts_of(values[(values["standing"] == standing) & (values["given"] == given)])
            link = "scoreboard.html?" + urlencode({"standing": STANDING_WORDS[standing], "given": given})
            cells.append(f'<td class="n"><a href="{escape(link)}">{counts["within"]} of {counts["rows"]}</a></td>')
        rows.append(f'<tr><th scope="row">{escape(standing)}</th>{"".join(cells)}</tr>')
    heads = "".join(f'<th scope="col" class="n">{words}</th>' for words in GIVEN_WORDS.values())
    caption = f"Values within {NEAR:g} of the paper’s, or whose bound is met"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">standing</th>{heads}</tr></thead>\n<tbody>{"".join(rows)}</tbody></table></div>'
    )


def _beside(sources: Sources) -> str:
    board = sources.scoreboard
    parts = {"modern_claims": "Five claims about the attacks that came later", "related_claims": "Attacks around this one"}
    return "\n".join(
        folded(f"<strong>{words}</strong>", claims_table(board.table(name), words)) for name, words in parts.items()
    )
