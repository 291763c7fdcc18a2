"""What an audit's page says below its verdict: HTML without headings, "" where there is nothing to say."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from mialib.audit.fields import AuditFindings, Moment
from mialib.audit.figures import AUDIT_FIGURES, group_figures
from mialib.audit.markup import (
    Column,
    chance,
    data_uri,
    figures,
    html_table,
    is_missing,
    named,
    percent,
    picture,
    picture_of,
    text,
    words_of,
)  # fmt: skip
from mialib.plots.names import in_words

MOST_EXPOSED = 30  # records in the page; all are in records.csv
MOST_FIELDS = 40  # of the record that is shown
MOST_LISTED = 20  # values of a setting
WHO_ATTACKS = {  # who they are, in two sentences each
    "outsider": (
        "The outsider",
        "has other records from the same source, and trains shadow models on them, as in the paper of 2017. Your model's "
        "answers are then compared with what those models taught about answers to members and to strangers.",
    ),
    "auditor": (
        "The auditor",
        "has all the records that are judged, and trains references on random halves of them. So each record is compared with "
        "models that saw it and models that did not: a closer look than an outsider has, and the one to plan by.",
    ),
    "no shadows": (
        "An attacker without shadows",
        "trains no models, and has your model's answers alone. What is found so, anybody finds who may ask your model.",
    ),
}


def moment_section(audit: AuditFindings) -> str:
    moment = audit.moment
    if moment is None:
        return ""
    said = "" if is_missing(moment.threshold) else _outcome(moment.score >= moment.threshold, moment.member)
    caption = "How sure of the record's class your model is, and references are that saw the record in training, or did not."
    truth = f"<strong>{'Yes, it was.' if moment.member else 'No, it was not.'}</strong> {said}"
    answer = f"Your model gives its class a probability of <strong>{percent(moment.target)}</strong>. "
    return (
        "<p>One record, as an attacker meets it, who does not know whether it was in the training set. The page does not tell, "
        f'either, before you ask.</p><div class="moment"><div class="fields">{_fields(moment)}</div>'
        f"{shown(audit, 'moment', caption)}</div><p>{'' if is_missing(moment.target) else answer}{_judgement(moment)}</p>"
        '<details class="truth"><summary>In the training set? Decide before you open it.</summary>'
        f'<p>{truth}</p></details><div class="printed"><p>In the training set? {truth}</p></div>'
    )


def _judgement(moment: Moment) -> str:
    scores = f"{escape(in_words(moment.attack))} scores the record <strong>{_short(moment.score)}</strong>"
    if is_missing(moment.threshold):
        return f"{scores}; no threshold for 1% of strangers could be set on these references."
    accuses = "accuses" if moment.score >= moment.threshold else "does not accuse"
    return (
        f"{scores}, and accuses from <strong>{_short(moment.threshold)}</strong> on, a threshold set on references: it "
        f"<strong>{accuses}</strong> this record."
    )


def _short(score: float) -> str:
    return f"{score:.3g}".replace("-", "−", 1)


def _outcome(accused: bool, member: bool) -> str:
    if accused:
        return "The attack accused it, and was right." if member else "The attack accused a stranger."
    return "The attack missed it." if member else "The attack let it go, and was right."


def _fields(moment: Moment) -> str:
    fields = dict(moment.fields)
    pixels = fields.pop("picture", None)
    image = "" if pixels is None else f'<img class="record" alt="the record" src="{data_uri(picture_of(np.asarray(pixels)))}">'
    shown = {**dict(list(fields.items())[:MOST_FIELDS]), "its class": moment.label}
    rest = len(fields) - MOST_FIELDS
    rows = "".join(f"<dt>{words_of(name)}</dt><dd>{words_of(value)}</dd>" for name, value in shown.items())
    return f"{image}<dl>{rows}</dl>{f'<p class=note>and {rest:,} more fields</p>' if rest > 0 else ''}"


def ranking_columns() -> list[Column]:
    """How well attacks rank: columns."""
    return [
        named("attack", "attack"), text("attacker", "attacker"), figures("AUC", "auc"),
        *(figures(f"found at {words}", f"tpr_at_{rate}", percent)
          for rate, words in (("0.1", "10%"), ("0.01", "1%"), ("0.001", "0.1%"))),
        figures("balanced accuracy", "accuracy", percent), figures("p", "p", chance),
    ]  # fmt: skip


def _worth(attacks: pd.DataFrame) -> list[Column]:
    """What accusations are worth: columns. What is the same in all rows has none."""
    counts = [figures("members", "n_members", _whole), figures("non-members", "n_nonmembers", _whole)]
    varied = attacks[["n_members", "n_nonmembers"]].drop_duplicates().shape[0] > 1
    return [
        named("attack", "attack"), text("attacker", "attacker"),
        *([text("threshold set on", "threshold_set_on")] if attacks["threshold_set_on"].nunique() > 1 else []),
        figures("strangers accused", "fpr", percent),
        *(figures(f"right if {words}", f"precision_at_{prior}", percent)
          for prior, words in (("0.01", "1 in 100"), ("0.1", "1 in 10"), ("0.5", "1 in 2"))),
        figures("ε at least", "epsilon"), figures("provable ε", "epsilon_ceiling"), *(counts if varied else []),
    ]  # fmt: skip


def _whole(value: float) -> str:
    return words_of(None) if is_missing(value) else f"{int(value):,}"


def attack_section(audit: AuditFindings) -> str:
    attacks = audit.attacks
    if attacks.empty:
        return "<p>No attack could be made on these answers.</p>"
    attacks = _best_first(attacks, "attacker")
    present = [name for name in attacks["attacker"].unique() if name in WHO_ATTACKS]
    who = "".join(f"<p><strong>{WHO_ATTACKS[name][0]}</strong> {WHO_ATTACKS[name][1]}</p>" for name in present)
    drawing = "AUC of each attack with its 95% interval. Dashed: guessing. Orange: the attack that the verdict reads" + (
        "; it was chosen on references." if (attacks["attacker"] != "no shadows").any() else "."
    )
    places = attacks["threshold_set_on"].dropna().unique()
    of = f" (set on {places[0]})" if len(places) == 1 else ""
    worth = f"What a threshold meant to accuse 1% of strangers is worth{of}"
    return (
        who
        + shown(audit, "attacks", drawing)
        + html_table(attacks, ranking_columns(), caption="How well attacks tell members from strangers", mark="headline")
        + html_table(attacks, _worth(attacks), caption=worth, mark="headline")
        + '<p class="note">Brackets: 95% intervals. Dash: not to be had from these records. Found at 1%: members found '
        "while 1% of strangers are accused. Right if 1 in 10: members among those accused, if one in ten of those asked about "
        "is one. p: the chance of such an AUC if nothing leaked. ε at least: what the attack proves of the privacy lost; "
        "provable: what a perfect attack would prove with so many records.</p>"
    )


def _best_first(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows as their figure has them: attackers, or columns, as they come, and of each the highest AUC first."""
    places = {name: place for place, name in enumerate(table[by].unique())}
    return table.assign(_place=table[by].map(places)).sort_values(["_place", "auc"], ascending=[True, False], kind="stable")


def curve_section(audit: AuditFindings) -> str:
    curves = (
        "Members found against strangers accused, on log scales: at the left, where few strangers are accused, an accusation "
        "is believed. Dashed: guessing. Thick: the attack that the verdict reads."
    )
    answers = "How sure your model is of the true class. The less the two sides mirror each other, the more it gives away."
    return shown(audit, "curves", curves, wide=True) + shown(audit, "answers", answers)


def shown(audit: AuditFindings, name: str, caption: str, *, wide: bool = False) -> str:
    """A figure of the audit with its caption; nothing where there is nothing to draw."""
    figure = AUDIT_FIGURES[name](audit)
    return "" if figure is None else picture(figure, name, caption, wide=wide)


def group_section(audit: AuditFindings) -> str:
    groups = audit.groups
    if groups.empty:
        return "<p>No groups were compared.</p>"
    chance_finds = f"{0.05 * len(groups):.{0 if len(groups) >= 20 else 1}f}"
    more, less = (int((groups["exposed"] == kind).sum()) for kind in ("more", "less"))
    caption = "AUC within each group with its 95% interval; short lines: all other records."
    columns = [
        text("column", "column"), text("value", "value"), figures("AUC", "auc"), figures("AUC of the rest", "auc_rest"),
        figures("p (Holm)", "p", chance), text("exposed", "exposed"), figures("members", "n_members", _whole),
        figures("non-members", "n_nonmembers", _whole),
    ]  # fmt: skip
    return (
        f"<p>{len(groups):,} {'group was' if len(groups) == 1 else 'groups were'} looked at. If none differed, about "
        f"{chance_finds} would still seem to at the usual 5%, by chance; so p is corrected for all these looks (Holm), and a "
        f"group counts as more or less exposed only where it stands out even then: {more:,} more, {less:,} less.</p>"
        + "".join(picture(figure, f"groups{number}", caption) for number, figure in enumerate(group_figures(groups)))
        + html_table(_best_first(groups, "column"), columns, caption="By class and group")
    )


def record_section(audit: AuditFindings) -> str:
    if audit.records.empty:
        return ""
    first = audit.records.head(MOST_EXPOSED)
    columns = [
        figures("rank", "rank", _whole), text("record", "index"), Column("was", _membership), text("class", "label"),
        text("answered", "predicted"), figures("its class, your model", "probability", percent),
        figures("trained with it", "probability_in", percent), figures("without it", "probability_out", percent),
        figures("score", "score"), Column("seeds that agree", _seeds, lambda row: float(row["seeds_agree"])),
    ]  # fmt: skip
    members = int(first["member"].astype(bool).sum())
    return (
        f"<p>Of the {len(first):,} records that the attack ranks first, among {len(audit.records):,}, {members:,} were in the "
        "training set. Beside the probability that your model gives a record's class stand the means of references that were "
        "trained with the record, and without it. Seeds that agree: of the references trained with it, those that give it "
        f"away, too.</p>{html_table(first, columns, caption=f'The {len(first):,} most exposed records')}"
    )


def _membership(row: Mapping[str, Any]) -> str:
    return '<span class="member">member</span>' if row["member"] else '<span class="nonmember">non-member</span>'


def _seeds(row: Mapping[str, Any]) -> str:
    if is_missing(row["seeds_agree"]) or is_missing(row["seeds_in"]):
        return words_of(None)
    return f"{round(row['seeds_agree'] * row['seeds_in']):,} of {int(row['seeds_in']):,}"


def remedy_section(audit: AuditFindings) -> str:
    if audit.remedies.empty:
        return "<p>No mitigation was tried.</p>"
    columns = [
        text("mitigation", "mitigation"), text("measured on", "measured_on"), named("attack", "attack"), figures("AUC", "auc"),
        figures("change", "auc_change", _change), figures("found at 1%", "tpr_at_0.01", percent),
        figures("accuracy", "accuracy", percent), figures("change of accuracy", "accuracy_change", _points),
    ]  # fmt: skip
    caption = (
        "Leak against use; arrows begin at no mitigation. Further left: less given away. Further down: of less use. Attackers "
        "know of a mitigation, and pick their attack anew."
    )
    table = html_table(audit.remedies, columns, caption="What mitigations would change on this model")
    return shown(audit, "remedies", caption) + table


def _change(value: float) -> str:
    if is_missing(value):
        return words_of(None)
    return "0" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", "−")


def _points(value: float) -> str:
    if is_missing(value):
        return words_of(None)
    return "0" if abs(value) < 0.0005 else f"{100 * value:+.1f} points".replace("-", "−")


def less_section(audit: AuditFindings) -> str:
    if audit.less.empty:
        return ""
    rate = figures("found at 1%", "tpr_at_0.01", percent)
    columns = [text("attacker", "attacker"), named("attack", "attack"), figures("AUC", "auc"), rate]
    return html_table(audit.less, columns, caption="Attackers who see or know less")


def made_section(audit: AuditFindings) -> str:
    about = dict(audit.about)
    command = about.pop("command", None)
    rows = pd.DataFrame(list(_flat(about)), columns=["setting", "value"], dtype=object)
    columns = [text("setting", "setting"), text("value", "value")]
    return (
        ("" if command is None else f"<pre><code>{escape(str(command))}</code></pre>")
        + (html_table(rows, columns, caption="Settings, versions, digests") if len(rows) else "")
        + '<p class="note">In the folder of this page: report.json, and as CSV the tables attacks, groups, records, remedies, '
        "less, curves and answers. They hold personal data, and so does this page.</p>"
    )


def _flat(about: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings within settings, and lists of settings, as one list of names and values."""
    for name, value in about.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}: ")
        elif isinstance(value, list | tuple) and value and all(isinstance(each, Mapping) for each in value):
            for number, each in enumerate(value, 1):
                yield from _flat(each, f"{before}{name} {number}: ")
        elif isinstance(value, list | tuple):
            rest = f", and {len(value) - MOST_LISTED:,} more" if len(value) > MOST_LISTED else ""
            yield f"{before}{name}", ", ".join(map(str, value[:MOST_LISTED])) + rest
        else:
            yield f"{before}{name}", value
