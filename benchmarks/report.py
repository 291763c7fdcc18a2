"""From measurements to results/benchmarks.csv and to the measured section of README.md."""

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pandas as pd

from benchmarks.measure import GEMM
from benchmarks.operations import scoring_operations, training_operations
from benchmarks.workloads import WORKLOADS, Workload
from mialib import runs
from mialib.core.cache import atomic

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
QUALITIES = ("auc", "accuracy", "train_accuracy")
PACKAGES = ("numpy", "scikit-learn", "torch", "adversarial-robustness-toolbox", "mia", "sacroml")
KINDS = ("float32", "bfloat16")  # in which the GEMM peak is measured
Repeats = list[dict[str, Any]]


def rows(workload: Workload, measured: dict[str, Repeats]) -> pd.DataFrame:
    """One row for every pair of ours and an alternative, and what was timed.

    Times and memory are medians over all repeats of a side; qualities are means over the repeats, and so the data, of both.
    """
    peaks = measured.get(GEMM, [])
    ours = measured["ours"]
    table = []
    for what, phases in workload.rows.items():
        share = float("nan")
        if peaks:
            peak = median(one[workload.recipe.precision] for one in peaks)
            share = _operations(workload, what) / _seconds(ours, phases) / peak
        for name in workload.contenders[1:]:
            if name != "estimate":
                table.append(_row(workload, what, phases, ours, name, measured[name]) | {"share_of_gemm_peak": share})
    if "estimate" in measured:
        table.append(_estimate_row(workload, ours, measured["estimate"]))
    peaks_of = {f"gemm_{kind}_gflops": median(one[kind] for one in peaks) / 1e9 if peaks else float("nan") for kind in KINDS}
    shared = {"settings": workload.settings, **peaks_of, "hardware": _hardware(), "versions": _versions()}
    return pd.DataFrame([row | shared for row in table])


def _row(workload: Workload, what: str, phases: Iterable[str], ours: Repeats, name: str, theirs: Repeats) -> dict[str, Any]:
    our_seconds, their_seconds = _seconds(ours, phases), _seconds(theirs, phases)
    both = min(len(ours), len(theirs))
    sides = {"ours": ours[:both], "alternative": theirs[:both]}
    found = {f"{side}_{q}": fmean(r.get(q, float("nan")) for r in done) for q in QUALITIES for side, done in sides.items()}
    return {
        "workload": workload.name,
        "what": what,
        "alternative": name,
        "ours_s": our_seconds,
        "alternative_s": their_seconds,
        "ratio": their_seconds / our_seconds,
        "share_of_gemm_peak": float("nan"),
        "peak_memory_mb": median(r["peak_memory_mb"] for r in ours),
        "alternative_peak_memory_mb": median(r["peak_memory_mb"] for r in theirs),
        **found,
        "repeats": len(ours),
        "alternative_repeats": len(theirs),
    }


def _estimate_row(workload: Workload, ours: Repeats, said: Repeats) -> dict[str, Any]:
    """The training's real time beside `NeuralTrainer.estimate`; ratio: what was said by what it took."""
    as_time = [{"seconds": {"training": r["estimate"]}, "peak_memory_mb": r["peak_memory_mb"]} for r in said]
    return _row(workload, "training", ("training",), ours, "estimate", as_time)


def _seconds(repeats: Repeats, phases: Iterable[str]) -> float:
    phases = tuple(phases)
    return median(sum(r["seconds"][phase] for phase in phases) for r in repeats)


def _operations(workload: Workload, what: str) -> float:
    return scoring_operations(workload) if what == "scoring" else training_operations(workload, workload.kind == "training")


def _hardware() -> str:
    facts = runs.hardware()
    gpu = f", {facts['gpu']}" if facts["gpu"] else ""
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gb']} GB, {facts['system']}{gpu}"


def _versions() -> str:
    installed = [f"{name} {metadata.version(name)}" for name in PACKAGES if _has(name)]
    return ", ".join([f"python {runs.versions()['python']}", *installed])


def _has(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def write(new: pd.DataFrame, path: Path, readme: Path) -> pd.DataFrame:
    """Put a workload's new rows in the place of its old ones in the table, and the table into the README; both atomically."""
    old = pd.read_csv(path) if path.exists() else new.iloc[:0]
    kept = old[~old["workload"].isin(new["workload"])]
    table = pd.concat([part for part in (kept, new) if len(part)], ignore_index=True)
    order = {name: i for i, name in enumerate(WORKLOADS)}
    table = table.sort_values("workload", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as file:
        table.to_csv(file, index=False, lineterminator="\n", float_format="%.6g")
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with atomic(readme) as file:
        file.write(f"{before}{BEGIN}\n{section(table)}\n{END}{after}".encode())
    return table


def section(table: pd.DataFrame) -> str:
    """The measured section: what it ran on, and a table of all rows."""
    lines = [
        "| workload | what | alternative | ours | alternative's | times faster | of GEMM peak | peak memory, MB | attack AUC "
        "| attack accuracy | training accuracy | repeats |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_line(row) for _, row in table.iterrows()),
    ]
    for texts, group in table.groupby(["hardware", "versions"], sort=False):
        lines += ["", f"{_names(group)}: {texts[0]}; {texts[1]}."]
    for settings, group in table.groupby("settings", sort=False):
        peaks = [group[f"gemm_{kind}_gflops"].iloc[0] for kind in KINDS]
        peak = (
            "" if pd.isna(peaks[0]) else f"; the GEMM peak was {peaks[0]:,.0f} GFLOP/s in float32, {peaks[1]:,.0f} in bfloat16"
        )
        lines += ["", f"{_names(group)}: {settings}{peak}."]
    return "\n".join(lines)


def _names(group: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(group["workload"]))


def _line(row: pd.Series) -> str:
    estimated = row["alternative"] == "estimate"
    ratio = f"(said/took {row['ratio']:.2f})" if estimated else f"**{row['ratio']:.1f}**"
    share = "" if pd.isna(row["share_of_gemm_peak"]) else f"{row['share_of_gemm_peak']:.0%}"
    memory = f"{row['peak_memory_mb']:,.0f}" + ("" if estimated else f" / {row['alternative_peak_memory_mb']:,.0f}")
    qualities = [_pair(row, name) for name in QUALITIES]
    repeats = f"{row['repeats']} / {row['alternative_repeats']}"
    times = [f"{row['ours_s']:.2f} s", f"{row['alternative_s']:.2f} s"]
    cells = [row["workload"], row["what"], row["alternative"], *times, ratio, share, memory, *qualities, repeats]
    return f"| {' | '.join(cells)} |"


def _pair(row: pd.Series, name: str) -> str:
    ours, theirs = row[f"ours_{name}"], row[f"alternative_{name}"]
    return "" if pd.isna(ours) or pd.isna(theirs) else f"{ours:.3f} / {theirs:.3f}"
