"""Claims as a table whose rows open to their tests: the outcome and the evidence of each."""

from html import escape

import pandas as pd

from mialib.plots.names import in_words
from mialib.site.markup import Heading, folded, table_box, text_cell

KIND_OF_OUTCOME = {  # how a mark looks: only real data have colours
    "holds": "good",
    "fails": "bad",
    "direction seen": "apart",
    "direction not seen": "apart",
    "not testable here": "open",
    "not run": "open",
}
TEST_HEADS = [Heading("test"), Heading("outcome"), Heading("what it looked at"), Heading("data set")]


def outcome_mark(outcome: str) -> str:
    """An outcome in words, marked by colour and form."""
    return f'<span class="mark {KIND_OF_OUTCOME[outcome]}">{escape(outcome)}</span>'


def claims_table(tests: pd.DataFrame, caption: str) -> str:
    """A row a claim. tests: claim, statement, test, outcome, evidence, dataset, source; a row a test, the claims in order."""
    rows = []
    for claim, part in tests.groupby("claim", sort=False):
        statement = escape(str(part["statement"].iloc[0]))
        caption_of = f"Tests of claim {claim}"
        inner = table_box(caption_of, TEST_HEADS, [_test(row) for row in part.to_dict("records")], sortable=False)
        counts = part["outcome"].value_counts().reindex([o for o in KIND_OF_OUTCOME if (part["outcome"] == o).any()])
        marks = " ".join(f'<span class="tests">{outcome_mark(str(o))} {n} of {len(part)}</span>' for o, n in counts.items())
        rows.append(
            f'<tr><th scope="row" class="number">{escape(str(claim))}</th>'
            f"<td>{folded(f'{statement}', inner, kind='claim')}</td><td>{marks}</td></tr>"
        )
    heads = '<tr><th scope="col">Claim</th><th scope="col">In words; opens to its tests</th><th scope="col">Tests</th></tr>'
    return (
        f'<div class="claims"><table><caption class="visually-hidden">{escape(caption)}</caption>'
        f"<thead>{heads}</thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
    )


def _test(row: dict[str, object]) -> list:
    names = "" if pd.isna(row["dataset"]) else ", ".join(in_words(name) for name in str(row["dataset"]).split(", "))
    names += " (stand-in)" if row["source"] == "standin" else ""
    mark = text_cell("")._replace(html=outcome_mark(str(row["outcome"])))
    return [text_cell(row["test"]), mark, text_cell(row["evidence"]), text_cell(names)]
