"""An audit as users get it: what was found, and ways to show it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mialib.audit.fields import AUDIT_VERDICTS, REPORT_SCHEMA, AuditFindings, Moment

__all__ = ["AUDIT_VERDICTS", "REPORT_SCHEMA", "Audit", "AuditFindings", "Moment"]


@dataclass(frozen=True, eq=False, repr=False)
class Audit(AuditFindings):
    """What an audit found (its fields: see AuditFindings). A notebook shows it; `save` writes the report, `figure` draws."""

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write report.html, report.json and the tables as CSV into `folder`, which appears when it is whole; returns its path.

        It holds personal data: only its owner may read it. Raises FileExistsError where it exists; with `force` a report of
        ours, and nothing else, is replaced.
        """
        from mialib.audit.report import write_report  # late: it draws, which takes long to import

        return write_report(self, folder, force=force)

    def figure(self, name: str) -> Any:
        """One of the report's figures: attacks, curves, answers, groups, remedies, moment. Raises ValueError without any."""
        from mialib.audit.figures import audit_figure  # late: it draws, which takes long to import

        return audit_figure(self, name)

    def __repr__(self) -> str:
        return f"Audit({self.verdict}: {self.summary})"

    def _repr_html_(self) -> str:
        from mialib.audit.page import audit_card  # late: it draws, which takes long to import

        return audit_card(self)
