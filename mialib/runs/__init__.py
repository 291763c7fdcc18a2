"""What a notebook leaves behind, and how notebooks are run: folders, tables, figures, run.json; the command line."""

from mialib.runs.machine import hardware, versions
from mialib.runs.run import (
    Run,
    checkout,
    read_run,
    read_table,
    redraw,
    results_folder,
    standins,
    start,
    write_figure,
    write_json,
)

__all__ = [
    "Run", "checkout", "hardware", "read_run", "read_table", "redraw", "results_folder", "standins", "start", "versions",
    "write_figure", "write_json",
]  # fmt: skip
