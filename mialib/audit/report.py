"""An audit as a folder: report.html, report.json and the tables as CSV, whole or not at all, for the owner's eyes alone."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mialib.audit.fields import REPORT_SCHEMA, AuditFindings
from mialib.core import checks

REPORT_TABLES = ("attacks", "groups", "records", "remedies", "less", "curves", "answers")
REPORT_FILES = {"report.html", "report.json", *(f"{name}.csv" for name in REPORT_TABLES)}
RECORDS_IN_JSON = 100  # the first ones; all are in records.csv


def check_folder(folder: str | os.PathLike[str], force: bool = False) -> Path:
    """The folder, as an absolute path, if a report may be written there: to be asked before long work.

    Raises FileExistsError where something is there, unless `force` and it is an empty folder or a report of ours; the latter
    must hold no other files, for it will be deleted. NotADirectoryError, PermissionError: nothing can be made there.
    """
    path = Path(folder).resolve()
    checks.flag("force", force)
    if path.exists():
        if not force:
            raise FileExistsError(
                f"folder {path} exists and is kept: choose another, or force=True (--force) to replace a report"
            )
        _check_ours(path)
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"folder {path} cannot be made: {above} is not a folder")
    try:  # some folders may be written to, and hold no others: /proc
        Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=above)).rmdir()
    except OSError as error:
        raise PermissionError(f"folder {path} cannot be made: {above} may not be written to") from error
    return path


def _check_ours(path: Path) -> None:
    """Raise FileExistsError unless `path` is an empty folder or a report of ours and nothing else."""
    if not path.is_dir():
        raise FileExistsError(f"folder {path} is a file: not a report, so it is kept even by force")
    held = {each.name for each in path.iterdir()}
    if not held:
        return
    try:
        schema = json.loads((path / "report.json").read_text(encoding="utf-8"))["schema"]
    except (OSError, ValueError, TypeError, KeyError):
        schema = None
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise FileExistsError(f"folder {path} is not a report (no report.json with a schema): it is kept even by force")
    others = sorted(held - REPORT_FILES)
    if others:
        raise FileExistsError(f"folder {path} holds more than a report: move {', '.join(others[:5])} first")


def write_report(audit: AuditFindings, folder: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Write the report into `folder`, which appears when it is whole; with `force` it then takes an older report's place.

    The folder has mode 0700, its files 0600: they hold personal data. Returns its absolute path. Raises like `check_folder`.
    """
    path = check_folder(folder, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))  # of mode 0700
    try:
        for name, content in _contents(audit):
            handle = os.open(new / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(content)
        _put(new, path, force)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return path


def _contents(audit: AuditFindings) -> Iterator[tuple[str, str]]:
    from mialib.audit.page import report_page  # late: it draws, which takes long to import

    yield "report.html", report_page(audit)
    yield "report.json", json.dumps(report_dict(audit), allow_nan=False, indent=1, ensure_ascii=False) + "\n"
    for name in REPORT_TABLES:
        frame: pd.DataFrame = getattr(audit, name)
        yield f"{name}.csv", frame.to_csv(index=False, lineterminator="\n")


def _put(new: Path, path: Path, force: bool) -> None:
    """Rename `new` to `path`; what was there is deleted after that, or put back where that fails."""
    check_folder(path, force)  # long work lay between
    if not path.exists():
        new.rename(path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)) / "old"
    path.rename(aside)
    try:
        new.rename(path)
    except BaseException:
        aside.rename(path)
        aside.parent.rmdir()
        raise
    shutil.rmtree(aside.parent)


def report_dict(audit: AuditFindings) -> dict[str, Any]:
    """What report.json holds: plain values; None for NaN and infinity. Of `records` the first RECORDS_IN_JSON, and counts."""
    member = audit.records["member"].astype(bool) if len(audit.records) else pd.Series([], dtype=bool)
    whole = {
        "schema": REPORT_SCHEMA,
        "verdict": audit.verdict,
        "summary": audit.summary,
        "assumptions": list(audit.assumptions),
        "about": dict(audit.about),
        **{name: _rows(getattr(audit, name)) for name in ("attacks", "groups", "remedies", "less")},
        "records": _rows(audit.records.head(RECORDS_IN_JSON)),
        "counts": {"records": len(member), "members": int(member.sum()), "nonmembers": int((~member).sum())},
    }
    return {name: plain(value) for name, value in whole.items()}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def plain(value: Any) -> Any:
    """A value as JSON has it; None for what is missing or infinite; what JSON has no word for, as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else str(value)
