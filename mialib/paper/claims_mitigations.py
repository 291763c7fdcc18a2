"""Claim 8, on mitigations (Sec. VIII), as stated tests on the table `leakage` of 08_mitigations."""

import pandas as pd

from mialib.core import checks
from mialib.paper.comparison import outcome
from mialib.study import sweep, tables
from mialib.study.experiments import LEARNED
from mialib.study.leakage import AWARE
from mialib.study.sweep import NONE


def mitigation_claims(table: pd.DataFrame) -> pd.DataFrame:
    """`claim_8` of every experiment of a `leakage_table`, with its dataset and source."""
    parts = [claim_8(part).assign(dataset=kind[0], source=kind[1]) for kind, part in table.groupby(tables.TARGETS, sort=False)]
    return pd.concat(parts, ignore_index=True)


def claim_8(table: pd.DataFrame, attack: str = LEARNED) -> pd.DataFrame:
    """The paper's claims on mitigations (Sec. VIII), tested on a `leakage_table` of one experiment with Table III's rows.

    A row a test. The attacker is one who knows. Of the filters only Table III's values count, and the label alone, which takes
    all numbers from the answer, is tested apart from those that leave some; of L2 every penalty counts.
    outcome: "holds" or "fails" on real data; on a stand-in "direction seen", or not.
    """
    kinds = table[tables.TARGETS].drop_duplicates()
    if len(kinds) != 1:
        raise ValueError(f"table must be of one experiment, got {len(kinds)}")
    source = checks.choice("source", kinds["source"].item(), ("real", "standin"))
    aware = table[(table["attack"] == attack) & (table["variant"] == AWARE)].set_index(["setting", "metric"])
    leak, use = (aware.xs(metric, level="metric") for metric in ("attack_accuracy", "target_test_accuracy"))
    plain, label = NONE.setting, sweep.label_only_filter().setting
    filters = [m.setting for m in sweep.table_iii_mitigations() if m.answer and m.setting in leak.index]
    numbers = leak.loc[[setting for setting in filters if setting not in (plain, label)]]
    penalties = leak[leak["mitigation"] == "L2"].sort_values("at").index
    if penalties.empty:
        raise ValueError("table must hold L2 at some penalty, got none")
    better = [p for p in penalties if use["value"][p] > use["value"][plain] and leak["value"][p] < leak["value"][plain]]
    largest = penalties[-1]
    tests = [
        (
            "filters that leave numbers: attack accuracy above 0.5, with its interval",
            (numbers["low"] > 0.5).all(),
            [numbers["value"].idxmin()],
        ),
        ("the label alone: attack accuracy above 0.5, with its interval", leak["low"][label] > 0.5, [label]),
        ("some L2 penalty raises test accuracy and lowers attack accuracy", bool(better), [*penalties]),
        ("the largest L2 penalty lowers test accuracy, intervals apart", use["high"][largest] < use["low"][plain], [largest]),
    ]
    rows = [
        (8, text, outcome(holds, source == "real"), _evidence(leak, use, [*settings, plain])) for text, holds, settings in tests
    ]
    return pd.DataFrame(rows, columns=["claim", "test", "outcome", "evidence"])


def _evidence(leak: pd.DataFrame, use: pd.DataFrame, settings: list[str]) -> str:
    texts = []
    for setting in settings:
        ours = [
            f"{part['value'][setting]:.3f} [{part['low'][setting]:.3f}, {part['high'][setting]:.3f}]" for part in (leak, use)
        ]
        name = "without any" if setting == NONE.setting else setting.removeprefix("mitigation:")
        texts.append(f"{name}: attack {ours[0]}, test accuracy {ours[1]}")
    return "; ".join(texts)
