"""The figures of an audit, each in the size that its tables need."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from mialib.audit.fields import AuditFindings, Moment
from mialib.core import checks
from mialib.plots import audit as pictures

MANY_GROUPS = 18  # a column with more values has a figure of its own
TALLEST = 8.0  # inches


def audit_figure(audit: AuditFindings, name: str) -> Any:
    """A figure of an audit, by its name in AUDIT_FIGURES; ValueError where it is unknown, or where there is nothing to draw."""
    figure = AUDIT_FIGURES[checks.choice("name", name, AUDIT_FIGURES)](audit)
    if figure is None:
        raise ValueError(f"name is {name!r}: this audit has nothing to draw there")
    return figure


def drawn(function: Callable[..., Any], frames: Sequence[pd.DataFrame], **options: Any) -> Any:
    """A figure in the package's style; options as of `plots.draw`."""
    from matplotlib import pyplot as plt  # late: a report alone needs it

    from mialib.plots.panels import STYLE, draw

    with plt.style.context(STYLE, after_reset=True):
        return draw(function, frames, **options)


def moment_frame(moment: Moment) -> pd.DataFrame:
    """Whose answer, and its probability of the record's class: answered_by, probability."""
    rows = [("target", moment.target), *(("members", p) for p in moment.members), *(("strangers", p) for p in moment.strangers)]
    return pd.DataFrame(rows, columns=["answered_by", "probability"]).astype({"probability": float})


def group_figures(groups: pd.DataFrame) -> Iterator[Any]:
    """Columns of many values have a figure each, the others share one."""
    known = groups[groups["auc"].notna()]
    sizes = known.groupby("column", sort=False)["value"].transform("size")
    of = known["column"].where(sizes > MANY_GROUPS)  # NaN: together with the others
    for _, rows in known.groupby(of, sort=False, dropna=False):
        yield _groups(rows)


def _groups(rows: pd.DataFrame) -> Any:
    height = min(TALLEST, 1.1 + 0.23 * (len(rows) + 1.4 * rows["column"].nunique()))
    return drawn(pictures.audit_groups, [rows], size=(5.3, height))


def _all_groups(audit: AuditFindings) -> Any:
    known = audit.groups[audit.groups["auc"].notna()]
    return _groups(known) if len(known) else None


def _attacks(audit: AuditFindings) -> Any:
    if not audit.attacks["auc"].notna().any():
        return None
    height = 1.0 + 0.24 * (len(audit.attacks) + 1.4 * audit.attacks["attacker"].nunique())
    return drawn(pictures.audit_attacks, [audit.attacks], size=(5.4, height))


def _curves(audit: AuditFindings) -> Any:
    if audit.curves.empty:
        return None
    width = min(7.8, 1.2 + 2.2 * audit.curves["attacker"].nunique())
    return drawn(pictures.audit_curves, [audit.curves, audit.attacks], facet="attacker", size=(width, 2.9))


def _answers(audit: AuditFindings) -> Any:
    known = audit.answers["probability"].notna().any()
    return drawn(pictures.audit_answers, [audit.answers], size=(5.2, 2.9)) if known else None


def _remedies(audit: AuditFindings) -> Any:
    known = audit.remedies[audit.remedies["auc"].notna() & audit.remedies["accuracy"].notna()]
    return drawn(pictures.audit_remedies, [known], size=(5.3, 3.4)) if len(known) else None


def _moment(audit: AuditFindings) -> Any:
    frame = None if audit.moment is None else moment_frame(audit.moment).dropna()
    return None if frame is None or frame.empty else drawn(pictures.audit_moment, [frame], size=(5.0, 2.1))


AUDIT_FIGURES: dict[str, Callable[[AuditFindings], Any]] = {
    "attacks": _attacks, "curves": _curves, "answers": _answers, "groups": _all_groups, "remedies": _remedies,
    "moment": _moment,
}  # fmt: skip
