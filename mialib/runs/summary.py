"""What saved runs say, as lines of at most 100 columns: the paper's values and ours, and where results and figures lie."""

import csv
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mialib.runs.parameters import notebooks
from mialib.runs.run import read_run, standins

WIDTH = 100
SHOWN = {"attack_precision": "precision", "attack_precision_p50": "median precision", "attack_recall": "recall"}
TALLY = ["id", "standing", "given", "published", "rows", "reproduced", "near", "undecided", "differs", "met", "not met"]
MADE_UP, IN_ITS_PLACE = "*", "†"
NOTES = {MADE_UP: "* generated stand-in data", IN_ITS_PLACE: "† a surrogate of the paper's target"}


def summary_lines(profile: str, root: Path) -> list[str]:
    """Lines for the latest run of each notebook in a profile: a table of the results, then where they are."""
    latest = {notebook: _latest(notebook, (profile, f"{profile}-standin"), root) for notebook in notebooks(root)}
    folders = [folder for folder in latest.values() if folder]
    lines = account(folders, root) if folders else []
    if missing := [notebook for notebook, folder in latest.items() if folder is None]:
        lines += _wrapped(f"not run in the profile {profile}: {', '.join(missing)}")
        others = sorted({path.parts[-3] for name in missing for path in (root / "results").glob(f"[!.]*/{name}/run.json")})
        if others:
            lines += _wrapped(f"there are results of: {', '.join(others)}; such as: make summary PROFILE={_profile(others)}")
    return lines


def _profile(runs: Sequence[str]) -> str:
    return next(iter(runs)).removesuffix("-standin").removesuffix("-custom")


def _latest(notebook: str, names: Sequence[str], root: Path) -> Path | None:
    found = [path for name in names if (path := root / "results" / name / notebook / "run.json").exists()]
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def account(folders: Sequence[Path], root: Path) -> list[str]:
    """Lines on runs, given as their folders of results."""
    header = ["data set", "attack", "paper", "ours", "verdict"]
    rows = [row for folder in folders if not (folder / "tally.csv").exists() for row in _compared(folder)]
    lines = _aligned([header, *rows], give=1) if rows else []
    lines += [note for mark, note in NOTES.items() if any(mark in cell for row in rows for cell in row)]
    for folder in folders:
        lines += _tally(folder)
    return [*lines, "", *(_place(folder, root) for folder in folders)]


def _place(folder: Path, root: Path) -> str:
    record, place = read_run(folder), folder.relative_to(root)
    made_up = ", with stand-ins" if standins(record) else ""
    return f"{place}/ and {Path('figures', *place.parts[1:])}/: {record['seconds']:.0f} s{made_up}"


def _compared(folder: Path) -> list[list[str]]:
    """Rows of the table of results: what the paper states of precision and recall, for the attacker who knows."""
    found = [row for row in _rows(folder, "compared") if _is_headline(row)]
    sizes = {row["dataset"]: {r["our_train_size"] for r in found if r["dataset"] == row["dataset"]} for row in found}
    lines = [
        [_dataset(row, len(sizes[row["dataset"]]) > 1), _attack(row), _paper(row), _ours(row), row["verdict"]] for row in found
    ]
    return [line for i, line in enumerate(lines) if line not in lines[:i]]


def _is_headline(row: dict[str, str]) -> bool:
    return row["metric"] in SHOWN and row.get("reading") in ("stated", "conflicting") and row["variant"] != "unaware"


def _dataset(row: dict[str, str], sized: bool) -> str:
    mark = "" if row["source"] == "real" else MADE_UP
    return row["dataset"] + mark + (f", n = {float(row['our_train_size']):,.0f}" if sized else "")


def _attack(row: dict[str, str]) -> str:
    target = row["our_target"].replace(" surrogate", IN_ITS_PLACE)
    setting = (
        row["setting"].rpartition(":")[2].removeprefix("top_k=1_")
        if row["setting"] not in ("", "shadow:real", "mitigation:none")
        else ""
    )
    variant = row["variant"] if row["variant"] not in ("none", "aware") else ""
    return ", ".join(filter(None, [target, setting, variant, SHOWN[row["metric"]]]))


def _paper(row: dict[str, str]) -> str:
    return _number(row["published"]) or f"≥ {_number(row['published_low'])}"


def _ours(row: dict[str, str]) -> str:
    interval = f" [{_number(row['low'])}, {_number(row['high'])}]" if row["low"] else ""
    return _number(row["value"]) + interval if row["value"] else "no member found"


def _number(text: str) -> str:
    return f"{float(text):.3f}" if text else ""


def _tally(folder: Path) -> list[str]:
    rows = list(_rows(folder, "tally"))
    return ["", *_aligned([TALLY, *([row[name] for name in TALLY] for row in rows)], give=1)] if rows else []


def _rows(folder: Path, table: str) -> Iterator[dict[str, Any]]:
    path = folder / f"{table}.csv"
    if path.exists():
        with open(path, encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def _aligned(rows: Sequence[Sequence[str]], give: int) -> list[str]:
    """Rows as lines of equal columns; where they would be too long, column number `give` is cut."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[give] = min(widths[give], WIDTH - sum(widths) + widths[give] - 2 * (len(widths) - 1))
    cut = [[*row[:give], _short(row[give], widths[give]), *row[give + 1 :]] for row in rows]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
