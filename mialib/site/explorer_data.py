"""What the explorer is fed with: the tables that 09_modern_attacks saves for it, packed into one script."""

import base64
import json
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.plots.names import in_words
from mialib.site.sources import NotebookRun
from mialib.study.explored import CHOSEN, CURVE, EXPLORED, RATE_GRID
from mialib.study.modern import check_columns

EXPLORER_ATTACKS = {  # in the order in which they are offered
    "lira_online_global": "a bell for the models that had a record, one for the others; widths shared by all records (2022)",
    "rmia_online": "a record against others, in the target and in the references (2024)",
    "shokri": "one network a class, on whole prediction vectors (2017)",
    "confidence": "on the probability of the true class, the same for all records",
    "lira_online": "as the first, but each record’s bells have widths of their own (2022)",
    "watson": "how far the answer lies above that of models which had not the record (2022)",
}
COLUMNS_OF = {
    "curves": CURVE,
    "records": ["dataset", "source", "record", "chosen", "cls", "name", "separation", "out_accuracy"],
    "answers": ["dataset", "record", "model", "member", "signal", "rate"],
    "widths": ["dataset", "model", "inside", "outside"],
    "pictures": ["dataset", "record", "height", "width", "channels", "pixels"],
}


class ExplorerTables(NamedTuple):
    """The tables of the explorer, as `study.explored` makes them and 09_modern_attacks saves them ("explorer_curves", …), and
    `targets`: what its models are (`modern.stock_accuracies`).
    """

    curves: pd.DataFrame
    records: pd.DataFrame
    answers: pd.DataFrame
    widths: pd.DataFrame
    pictures: pd.DataFrame
    targets: pd.DataFrame


def explorer_tables(run: NotebookRun) -> ExplorerTables:
    """The saved tables of a run. ValueError, naming the run, for one that is missing or lacks a column."""
    tables = {name: run.table(f"explorer_{name}") for name in COLUMNS_OF}
    checked = {name: check_columns(f"explorer_{name}", table, COLUMNS_OF[name]) for name, table in tables.items()}
    return ExplorerTables(**checked, targets=run.table("targets"))


def explorer_data(tables: ExplorerTables) -> dict[str, Any]:
    """All that the page's script needs, as plain values.

    rates: the grid; attacks: id and name, as offered; datasets: by id, in the order of the curves: name, real, models, members,
    train and test accuracy, curves (attack, then number of references: from, the place of the first rate in the grid, targets,
    pooled, how many rates are measured on all targets pooled, tpr, low, high), records, and widths (of targets: IN, OUT).
    A record: record, name, chosen, separation, outAccuracy, member ("0" or "1" a model), signal (a number a model), rate (a
    number a target, null: never), picture (a PNG as a data URI, or null).
    """
    names = tables.curves["dataset"].unique().tolist()
    for name in names:
        checks.choice("explorer_records", name, set(tables.records["dataset"]))
    shown = [name for name in EXPLORER_ATTACKS if name in set(tables.curves["attack"]) & set(EXPLORED)]
    return {
        "rates": list(RATE_GRID),
        "attacks": [{"id": name, "name": in_words(name)} for name in shown],
        "chosen": list(CHOSEN),
        "datasets": {name: _of_dataset(name, tables) for name in names},
    }


def data_script(data: dict[str, Any]) -> bytes:
    """The data as a script, which a page read from disk can load, as it could not a file of data."""
    return f"window.explorerData = {json.dumps(data, separators=(',', ':'), allow_nan=False)};\n".encode()


def _of_dataset(name: str, tables: ExplorerTables) -> dict[str, Any]:
    curves, records, answers, widths, pictures, targets = (table[table["dataset"] == name] for table in tables)
    (about,) = targets.to_dict("records")
    return {
        "name": in_words(name),
        "real": about["source"] == "real",
        "models": int(about["n_models"]),
        "members": int(about["members"]),
        "trainAccuracy": round(float(about["train_accuracy"]), 4),
        "testAccuracy": round(float(about["test_accuracy"]), 4),
        "curves": _packed_curves(curves),
        "records": _packed_records(records, answers, pictures, len(widths)),
        "widths": [[_known(row.inside), _known(row.outside)] for row in widths.sort_values("model").itertuples()],
    }


def _packed_curves(curves: pd.DataFrame) -> dict[str, dict[int, dict[str, Any]]]:
    packed: dict[str, dict[int, dict[str, Any]]] = {}
    for (attack, n_references), unsorted in curves.groupby(["attack", "n_references"], sort=False):
        table = unsorted.sort_values("fpr")
        first = RATE_GRID.index(table["fpr"].iloc[0])
        if table["fpr"].tolist() != list(RATE_GRID[first:]):
            raise ValueError(f"explorer_curves: {attack} with {n_references} references does not follow the grid of rates")
        numbers = {column: table[column].tolist() for column in ("tpr", "low", "high")}
        facts = {"from": first, "targets": int(table["n_targets"].iloc[0]), "pooled": int(table["pooled"].sum())}
        packed.setdefault(attack, {})[int(n_references)] = facts | numbers
    return packed


def _packed_records(
    records: pd.DataFrame, answers: pd.DataFrame, pictures: pd.DataFrame, n_targets: int
) -> list[dict[str, Any]]:
    by_record = dict(list(answers.sort_values("model").groupby("record")))
    shown = {row.record: _data_uri(_pixels(row)) for row in pictures.itertuples()}
    packed = []
    for row in records.itertuples():
        given = by_record[row.record]
        facts = {
            "record": int(row.record),
            "name": _class_in_words(row.name),
            "chosen": row.chosen,
            "picture": shown.get(row.record),
        }
        facts |= {"separation": round(float(row.separation), 2), "outAccuracy": round(float(row.out_accuracy), 4)}
        facts |= {"member": "".join("01"[int(inside)] for inside in given["member"])}
        facts |= {"signal": given["signal"].round(3).tolist()}
        facts |= {"rate": [_known(rate) for rate in given["rate"].iloc[:n_targets]]}
        packed.append(facts)
    return packed


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(f"{value:.7g}")


def _class_in_words(name: object) -> str:
    return f"class {name}" if str(name).isdecimal() else str(name)


def _pixels(row: Any) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(str(row.pixels)), np.uint8).reshape(row.height, row.width, row.channels)


def _data_uri(pixels: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def png(pixels: np.ndarray) -> bytes:
    """A picture, uint8 (height, width, 1 or 3), as a PNG file: grey or colour, lossless."""
    height, width, channels = pixels.shape
    kind = {1: 0, 3: 2}[checks.choice("channels", channels, (1, 3))]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)  # each begins with its filter, 0
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0),
        b"IDAT": zlib.compress(lines.tobytes(), 9),
        b"IEND": b"",
    }
    framed = [
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)
