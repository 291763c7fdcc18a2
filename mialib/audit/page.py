"""The report of an audit as one page that opens without a network: from the verdict down to how it was made."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from mialib.audit import sections
from mialib.audit.fields import AuditFindings
from mialib.audit.markup import decimal, html_table, is_missing, percent, with_interval
from mialib.plots.names import in_words
from mialib.plots.style import MEMBERS, NONMEMBERS

HEADLINES = {  # verdict: a class of the page, its words, what to make of it
    "leaks": ("leaks", "This model gives away who was in its training set", ""),
    "no leak found": (
        "", "These attacks found no leak in this model",
        "That is no proof that there is none: other attacks, other records or another training may show one. "
        "How closely was looked stands below.",
    ),
    "cannot tell": (
        "", "These records cannot tell whether this model leaks",
        "More records of both kinds would narrow the intervals below.",
    ),
    "members differ": (
        "differ", "Members and non-members differ before the model is asked",
        "What follows may measure how the two sets were drawn, or that they were swapped, rather than what the model gives "
        "away: draw both from one source, and audit again.",
    ),
}  # fmt: skip
PRIORS_ASKED = ((0.01, "one in a hundred"), (0.1, "one in ten"), (0.5, "one in two"))
PAGE = Template("""<!DOCTYPE html>
<html lang="en" class="$kind">
<head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style></head>
<body><main>
$top
$body
<footer>$footer</footer>
</main>
<script>$script</script>
</body></html>
""")


def report_page(audit: AuditFindings) -> str:
    """report.html as text: everything inside, escaped; readable without scripts, in print, on a phone."""
    style, script = (Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()  # no other script runs
    said = [(name, title, body) for name, title, body in _sections(audit) if body]
    kind, title, _ = HEADLINES[audit.verdict]
    return PAGE.substitute(
        kind=kind,
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'",
        title=title,
        style=Template(style).substitute(MEMBERS=MEMBERS, NONMEMBERS=NONMEMBERS),
        top=_top(audit, "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in said)),
        body="\n".join(f'<section id="{name}"><h2>{title}</h2>\n{body}\n</section>' for name, title, body in said),
        footer=_footer(audit),
        script=script,
    )


def audit_card(audit: AuditFindings) -> str:
    """What a notebook shows of an audit: the verdict, the summary, the attacks."""
    _, words, advice = HEADLINES[audit.verdict]
    columns = sections.ranking_columns()
    table = html_table(audit.attacks, columns, caption="Attacks", mark="headline") if len(audit.attacks) else ""
    return f"<div><h3>{words}</h3><p>{escape(audit.summary)}</p>{f'<p>{advice}</p>' if advice else ''}{table}</div>"


def _sections(audit: AuditFindings) -> Iterator[tuple[str, str, str]]:
    """Anchor, title, content; those without content are left out."""
    yield "people", "What that means in people", "" if audit.verdict == "members differ" else _people(audit)
    yield "moment", "The moment", sections.moment_section(audit)
    yield "attacks", "What attacks get", sections.attack_section(audit)
    yield "curves", "Members found, strangers accused", sections.curve_section(audit)
    yield "groups", "Is anyone more exposed?", sections.group_section(audit)
    yield "records", "The most exposed records", sections.record_section(audit)
    yield "remedies", "What helps", sections.remedy_section(audit)
    yield "less", "What an attacker with less would get", sections.less_section(audit)
    assumed = "".join(f"<li>{escape(each)}</li>" for each in audit.assumptions)
    yield "assumed", "What was assumed", assumed and f"<ul>{assumed}</ul>"
    yield "made", "How it was made", sections.made_section(audit)


def headline_row(audit: AuditFindings) -> dict[str, Any] | None:
    """The attack that the verdict reads, as a row; None where there is none."""
    rows = audit.attacks[audit.attacks["headline"].astype(bool)].to_dict("records") if len(audit.attacks) else []
    return {str(name): value for name, value in rows[0].items()} if rows else None


def _top(audit: AuditFindings, links: str) -> str:
    _, words, advice = HEADLINES[audit.verdict]
    return (
        f'<header><p class="kicker">Membership inference audit</p><h1>{words}</h1><p class="lead">{escape(audit.summary)}</p>'
        f"{f'<p>{advice}</p>' if advice else ''}{_numbers(headline_row(audit))}"
        f'<nav class="contents" aria-label="Contents">{links}</nav></header>'
    )


def _numbers(row: dict[str, Any] | None) -> str:
    """The headline in figures: large ones, each with its interval and what it says."""
    if row is None:
        return ""
    attack = f"{escape(in_words(row['attack']))} ({escape(str(row['attacker']))})"
    counts = f"{row['n_members']:,} / {row['n_nonmembers']:,}"
    entries = [
        (decimal(row["auc"]), _ends(row, "auc", decimal), f"AUC of {attack}: how often a member ranks above a stranger; "
         "0.50 is guessing"),
        (percent(row["tpr_at_0.01"]), _ends(row, "tpr_at_0.01", percent), "of the members found while one stranger in a "
         "hundred is accused"),
        (decimal(row["epsilon"]), f"of {decimal(row['epsilon_ceiling'])} that these records can prove", "ε, at least: the "
         "privacy lost, in the measure of differential privacy"),
        (counts, "", "members and non-members judged"),
    ]  # fmt: skip
    shown = [entry for entry in entries if entry[0] != decimal(float("nan"))]
    return f'<dl class="numbers">{"".join(_entry(*entry) for entry in shown)}</dl>'


def _entry(value: str, ends: str, words: str) -> str:
    return f"<div><dd>{value}{f'<small>{ends}</small>' if ends else ''}</dd><dt>{words}</dt></div>"


def _ends(row: dict[str, Any], name: str, kind: Callable[[float], str]) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return "" if is_missing(low) or is_missing(high) else f"95% interval {kind(low)} to {kind(high)}"  # type: ignore[arg-type]


def _people(audit: AuditFindings) -> str:
    row = headline_row(audit)
    if row is None or all(is_missing(row[f"precision_at_{prior:g}"]) for prior, _ in PRIORS_ASKED):
        return ""
    bars = "".join(_bar(prior, words, row[f"precision_at_{prior:g}"]) for prior, words in PRIORS_ASKED)
    real = "" if is_missing(row["fpr"]) else f" Here it accused {percent(row['fpr'])} of the strangers; below counts one more."
    return (
        "<p>Somebody accuses people of having been in the training set, at a threshold that is meant to accuse 1% of strangers "
        f"(of {escape(in_words(row['attack']))}, set on {escape(str(row['threshold_set_on']))}).{real} How many of those "
        f"accused are members depends on how many of those asked about are:</p>"
        f'<div class="people">{bars}</div><p class="note">Upright lines: what accusing people by lot would give.</p>'
    )


def _bar(prior: float, words: str, precision: float) -> str:
    if is_missing(precision):
        return ""
    return (
        f'<div><div class="words"><span>if {words} of those asked about is a member</span>'
        f"<strong>{1000 * precision:,.0f} of 1,000 accused</strong></div>"
        f'<div class="bar"><i style="width:{100 * precision:.1f}%"></i><b style="left:{100 * prior:.1f}%"></b></div></div>'
    )


def _footer(audit: AuditFindings) -> str:
    row = headline_row(audit)
    said = "" if row is None else f" Headline: {escape(in_words(row['attack']))}, AUC {with_interval(row, 'auc')}."
    return f"Made with mialib.{said} This page loads nothing and sends nothing."
