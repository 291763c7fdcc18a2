"""The scoreboard: every published value beside ours; sorted and filtered in the page, counted anew as it is."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from mialib.paper.comparison import NEAR, REPRODUCED
from mialib.paper.scoreboard import STANDINGS, VERDICTS
from mialib.plots.names import in_words
from mialib.site.frame import SitePage
from mialib.site.markup import Heading, TableCell, count_cell, decimal_cell, interval_cell, table_box, text_cell
from mialib.site.notebook_pages import place_in_notebook
from mialib.site.sources import Sources
from mialib.site.values import (
    GIVEN_WORDS,
    KIND_OF_VERDICT,
    STANDING_WORDS,
    condition_words,
    counts_of,
    metric_words,
    paper_words,
    scoreboard_values,
)

HEADS = [
    Heading("where"), Heading("data set"), Heading("target"), Heading("conditions"), Heading("training size", True),
    Heading("quantity"), Heading("paper", True), Heading("ours", True), Heading("difference", True), Heading("verdict"),
    Heading("given"), Heading("standing"),
]  # fmt: skip
ROWS_ID, TALLY_ID = "values", "tally"
_RATES = ("attack_", "target_", "spearman", "mean_target_confidence")  # what metrics between -1 and 1 begin with


def scoreboard_pages(sources: Sources) -> Iterator[SitePage]:
    values = scoreboard_values(sources)
    titles = dict(sources.scoreboard.table("tally")[["id", "title"]].drop_duplicates().to_numpy().tolist())
    if unknown := sorted(set(values["id"]) - set(titles)):
        raise ValueError(f"99_scoreboard/tally.csv has no title for {', '.join(unknown)}")
    body = (
        f"<h1>Every published value, beside ours</h1>\n{_introduction()}\n{_filters(values, titles)}\n"
        f'<h2 id="counted">Counted</h2>\n<p class="note no-print">The counts follow the filters.</p>\n{_tally(values)}\n'
        f'<h2 id="one-by-one">One by one</h2>\n<p class="note">The first column leads to the place in the notebook.</p>\n'
        f"{_rows(sources, values)}"
    )
    yield SitePage("scoreboard.html", "Scoreboard", body)


def _introduction() -> str:
    return (
        '<p class="lead">A value <em>counts</em> if it was measured on real data, on the paper’s own kind of target, at its '
        "training size and by its rules. The rest is shown apart: <em>other conditions</em> are real data with a surrogate or "
        "another target, <em>stand-ins</em> are generated data, and prove nothing about the paper.</p>\n"
        f"<p>Verdicts: <em>reproduced</em> within {REPRODUCED:g} of the published value, <em>near</em> within {NEAR:g}, "
        f"<em>differs</em> where the 95% interval lies wholly outside paper ± {NEAR:g}, else <em>undecided</em>; a published "
        "lower bound is <em>met</em> or <em>not met</em>. A value is <em>stated</em> in the paper’s text or tables, or "
        "<em>drawn</em>: read off a figure, to about 0.001.</p>"
    )


def _filters(values: pd.DataFrame, titles: Mapping[str, str]) -> str:
    datasets = {name: in_words(name) for name in dict.fromkeys(values["dataset"])}
    choices = [
        ("dataset", "Data set", datasets),
        ("id", "Experiment", {name: titles[name] for name in titles if (values["id"] == name).any()}),
        ("verdict", "Verdict", {name: name for name in VERDICTS}),
        ("given", "Given", GIVEN_WORDS),
        ("standing", "Standing", {STANDING_WORDS[name]: name for name in STANDINGS}),
    ]
    selects = "".join(_select(*choice) for choice in choices)
    search = '<label>Words <input type="search" name="words" autocomplete="off" placeholder="such as class 9"></label>'
    return (
        f'<form class="filters no-print" data-rows="{ROWS_ID}" data-tally="{TALLY_ID}" aria-label="Filters" hidden>'
        f'{selects}{search}<button type="reset">All</button></form>\n'
        f'<p class="found" role="status" aria-live="polite"><strong>{len(values)}</strong> of {len(values)} values</p>'
    )


def _select(name: str, label: str, options: Mapping[str, str]) -> str:
    entries = "".join(f'<option value="{escape(value)}">{escape(words)}</option>' for value, words in options.items())
    return f'<label>{label} <select name="{name}"><option value="">all</option>{entries}</select></label>'


def _tally(values: pd.DataFrame) -> str:
    """Counts by standing and how the paper gives its values; each cell says what it counts, for the script."""
    names = {"rows": "values", "within": f"within {NEAR:g}, or bound met", **{verdict: verdict for verdict in VERDICTS}}
    heads = [Heading("standing"), Heading("given"), *(Heading(words, True) for words in names.values())]
    rows = []
    for standing in STANDINGS:
        for given, words in GIVEN_WORDS.items():
            part = values[(values["standing"] == standing) & (values["given"] == given)]
            front = f'<th scope="row">{escape(standing)}</th><td>{words}</td>'
            cells = [_counted(STANDING_WORDS[standing], given, name, number) for name, number in counts_of(part).items()]
            rows.append(f"<tr>{front}{''.join(cells)}</tr>")
    header = "".join(f'<th scope="col"{" class=n" if h.numeric else ""}>{escape(h.text)}</th>' for h in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Tally of verdicts"><table id="{TALLY_ID}">'
        f'<caption class="visually-hidden">Tally of verdicts</caption><thead><tr>{header}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _counted(standing: str, given: str, name: str, number: int) -> str:
    what = {"rows": "", "within": ' data-within="yes"'}.get(name, f' data-verdict="{escape(name)}"')
    return f'<td class="n" data-standing="{escape(standing)}" data-given="{given}"{what}>{number}</td>'


def _rows(sources: Sources, values: pd.DataFrame) -> str:
    pairs = values[["notebook", "id"]].drop_duplicates().itertuples(index=False)
    places = {(p.notebook, p.id): place_in_notebook(sources.run_of(p.notebook), p.id) for p in pairs}
    records = values.to_dict("records")
    cells = [_cells(row, places[row["notebook"], row["id"]]) for row in records]
    attributes = [_attributes(row) for row in records]
    return table_box("Published values and ours", HEADS, cells, ident=ROWS_ID, attributes=attributes)


def _cells(row: Mapping[str, Any], place: str) -> Sequence[TableCell]:
    words, number = paper_words(dict(row))
    digits = 3 if row["metric"].startswith(_RATES) else 1  # others count classes, queries
    verdict = f'<span class="mark {KIND_OF_VERDICT[row["verdict"]]}{"" if row["counts"] else " apart"}">{row["verdict"]}</span>'
    return [
        TableCell(f'<a href="{place}">{escape(row["where"])}</a>'),
        text_cell(in_words(row["dataset"])),
        text_cell(in_words(row["our_target"])),
        text_cell(condition_words(dict(row))),
        count_cell(row["our_train_size"]),
        text_cell(metric_words(row["metric"])),
        TableCell(words, number),
        interval_cell(row["value"], row["low"], row["high"], digits),
        decimal_cell(row["difference"], digits),
        TableCell(verdict),
        text_cell(row["given"]),
        text_cell(STANDING_WORDS[row["standing"]]),
    ]


def _attributes(row: Mapping[str, Any]) -> dict[str, str]:
    within = "yes" if row["within"] else "no"
    named = {name: str(row[name]) for name in ("dataset", "id", "verdict", "given")}
    return named | {"standing": STANDING_WORDS[row["standing"]], "within": within}
