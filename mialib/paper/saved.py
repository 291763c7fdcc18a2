"""The saved tables of the other notebooks' runs, read and checked: what is wrong in one is an error that names file and line.

Of the tables `compared` and `modern_compared` only what was measured is read: published values, differences and verdicts are
worked out again.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mialib.core import checks
from mialib.paper.claims_related import RELATED_CLAIMS
from mialib.paper.claims_since import MODERN_CLAIMS
from mialib.paper.comparison import NEEDED, NOT_RUN, compare
from mialib.paper.followed import FOLLOW_UP
from mialib.paper.modern import MODERN_FLOATS, MODERN_KEY, MODERN_MEASURED, modern_verdicts, was_published
from mialib.paper.modern_tables import NETWORKS, check_values
from mialib.paper.rows import refuse, refuse_intervals, refuse_outside, refuse_texts
from mialib.paper.saved_checks import (
    ROW_KEY,
    STANDIN_SUFFIX,
    _check_apart,
    _check_claims,
    _check_numbers,
    _check_sources,
    _in_front,
    _name,
    _read_saved,
)
from mialib.paper.values import KEY, published
from mialib.runs import run
from mialib.runs.run import read_run, results_folder, standins

UNREAD = ("00_", "11_", "99_")  # without published values of their own: an attack by hand, an audit, the reader of the others
MODERN = "09_modern_attacks"  # has tables of its own: its values are no paper of 2017's
ANSWERS = "01_cifar10"  # whose targets' answers for the true class are shown beside what attacks make of them
AROUND = "10_related_attacks"  # has claims alone: the paper says of them in words, without a value
MEASURED = list(dict.fromkeys([*ROW_KEY, *NEEDED]))
COUNTS = ["dataset", "train_size", "member", "bin_left", "bin_right", "records", "n_targets"]  # of `read_true_class`
CLAIM_COLUMNS = ["claim", "test", "outcome", "evidence"]


class SavedModern(NamedTuple):
    """What 09_modern_attacks left: compared, as `modern_verdicts` gives it; claims, as `modern_claims` does."""

    compared: pd.DataFrame
    claims: pd.DataFrame


class Saved(NamedTuple):
    """What the runs of one profile left.

    values: the rows of every `compared` table, with notebook and run in front; claims: the same of the `claims` tables, with
    dataset and source; runs: notebook, run, source, seconds, values, claims; datasets: descriptions, for `runs.start`;
    modern: what 09_modern_attacks left, None if it was not run; around: the claims of 10_related_attacks likewise; answers: the
    table `true_class` of 01_cifar10, without rows where there is none; records: run.json of each notebook's run, by notebook;
    followed: notebook, and what other attacks made of its values, as far as that was saved (`read_followed`).
    """

    values: pd.DataFrame
    claims: pd.DataFrame
    runs: pd.DataFrame
    datasets: list[dict[str, Any]]
    modern: SavedModern | None = None
    around: pd.DataFrame | None = None
    answers: pd.DataFrame = pd.DataFrame(columns=COUNTS)
    records: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    followed: pd.DataFrame = pd.DataFrame(columns=["notebook", *FOLLOW_UP])


def read_runs(profile: str, data: str = "auto", results: Path | None = None) -> Saved:
    """All runs of a profile. A notebook's run on real data goes before one on stand-ins; data: "real" or "standin" reads only
    those.

    results: the folder of results, as a rule the one that this run writes to. Raises ValueError, naming file and line, for
    whatever is wrong in a table (see `read_compared`), for two notebooks with the same row, and where nothing was run.
    """
    folders = find(profile, data, results_folder() if results is None else Path(results))
    records = {notebook: read_record(folder) for notebook, folder in folders.items()}
    values, claims, facts, datasets, modern, around = [], [], [], [], None, None
    answers, followed = pd.DataFrame(columns=COUNTS), []
    for notebook, folder in folders.items():
        record = records[notebook]
        front = {"notebook": notebook, "run": folder.parent.name}
        if notebook == MODERN:
            modern = read_modern(folder, record)
            counted = {"values": len(modern.compared), "claims": len(modern.claims)}
        elif notebook == AROUND:
            around = read_stated(folder, record, "related_claims", RELATED_CLAIMS)
            counted = {"values": 0, "claims": len(around)}
        else:
            values.append(_in_front(read_compared(folder, record), front))
            claims.append(_in_front(read_claims(folder, record), front))
            counted = {"values": len(values[-1]), "claims": len(claims[-1])}
            answers = read_true_class(folder, record) if notebook == ANSWERS else answers
            followed.append(read_followed(folder).assign(notebook=notebook))
        source = "standin" if standins(record) else "real"
        facts.append(front | {"source": source, "seconds": record["seconds"]} | counted)
        datasets += [each for each in record["datasets"] if each not in datasets]
    table = pd.concat(values, ignore_index=True)
    _check_apart(table)
    found = pd.concat(claims, ignore_index=True)
    filled = [rows for rows in followed if len(rows)]
    others = pd.concat(filled, ignore_index=True) if filled else Saved._field_defaults["followed"]
    return Saved(table, found, pd.DataFrame(facts), datasets, modern, around, answers, records, others)


def find(profile: str, data: str, results: Path) -> dict[str, Path]:
    """The folder of each notebook's run that counts for a profile, by notebook, in order."""
    names = {"auto": [profile, profile + STANDIN_SUFFIX], "real": [profile], "standin": [profile + STANDIN_SUFFIX]}
    found: dict[str, Path] = {}
    for name in names[checks.choice("data", data, names)]:
        for folder in (results / name).glob("[0-9][0-9]_*/"):
            if not folder.name.startswith(UNREAD) and any(folder.iterdir()):
                found.setdefault(folder.name, folder)
    if not found.keys() - {MODERN, AROUND}:
        where = " or ".join(f"results/{name}" for name in names[data])
        raise ValueError(f"nothing was run: {where} has no notebook's results; run one first, such as 04_location")
    return dict(sorted(found.items()))


def read_record(folder: Path) -> dict[str, Any]:
    """run.json of a run that ended, and lies where it belongs; ValueError otherwise."""
    name = _name(folder / "run.json")
    if not (folder / "run.json").exists():
        raise ValueError(f"{name} is missing: run {folder.name} again")
    record = read_run(folder)
    if record.get("finished") is not True:
        raise ValueError(f"{name}: finished is {record.get('finished')!r}, true is needed: run {folder.name} again")
    profile, standins = folder.parent.name.removesuffix(STANDIN_SUFFIX), run.standins(record)
    for field, place in (("notebook", folder.name), ("profile", profile)):
        if record[field] != place:
            raise ValueError(f"{name}: {field} is {record[field]!r}, in this folder it must be {place!r}")
    if bool(standins) != folder.parent.name.endswith(STANDIN_SUFFIX):
        kinds = f"stand-ins: {', '.join(standins)}" if standins else "only real ones"
        raise ValueError(f"{name}: its data sets hold {kinds}; a run on stand-ins belongs in {profile}{STANDIN_SUFFIX}, alone")
    return record


def read_compared(folder: Path, record: Mapping[str, Any]) -> pd.DataFrame:
    """The table `compared` of a run: its columns `MEASURED`, every row checked, and what `paper.compare` adds to them.

    Raises ValueError for a missing column; an unknown experiment, or a key for which nothing was published; a source that is
    none, or not the run's; what is not a number; NaN (allowed only for a precision of targets whose members were never called
    so); a value outside its bounds or its interval; and two rows of one key.
    """
    name = _name(folder / "compared.csv")
    table = _read_saved(folder, "compared", MEASURED, texts=("target", "setting"))
    known = sorted(published()["id"].unique())
    refuse(name, table, ~table["id"].isin(known), "id is {id!r}; published are: " + ", ".join(known))
    _check_sources(name, table, record, folder.parent.name)
    _check_numbers(name, table)
    refuse(name, table, table.duplicated(ROW_KEY), "the second row of one key")
    keys = published()[KEY].drop_duplicates().assign(known=True)
    refuse(name, table, table[KEY].merge(keys, how="left", on=KEY)["known"].isna(), "nothing was published for this key")
    return compare(table[MEASURED])


def read_claims(folder: Path, record: Mapping[str, Any]) -> pd.DataFrame:
    """The table `claims` of a run: claim, test, outcome, evidence, dataset, source; without rows where it has none.

    Raises ValueError for a missing column, an unknown claim or outcome, one that only real data allow, and for two rows of one
    test.
    """
    standin = bool(standins(record))
    columns = [*CLAIM_COLUMNS, "dataset", "source"]
    if not (folder / "claims.csv").exists():
        return pd.DataFrame(columns=columns)
    name, table = _name(folder / "claims.csv"), _read_saved(folder, "claims", CLAIM_COLUMNS)
    if "source" not in table and len({each["source"] for each in record["datasets"]}) > 1:
        raise ValueError(
            f"{name} lacks the column 'source': its run is of real data and of stand-ins, so each row must say which"
        )
    usual = {"dataset": "", "source": "standin" if standin else "real"}
    table = table.assign(**{column: value for column, value in usual.items() if column not in table})
    refuse(name, table, ~table["claim"].isin(range(1, 10)), "claim is {claim!r}; 1 to 9 are allowed")
    _check_claims(name, table, record, folder.parent.name)
    refuse(name, table, table.duplicated(["claim", "test", "dataset"]), "the second row of one test")
    return table[columns]


def read_true_class(folder: Path, record: Mapping[str, Any]) -> pd.DataFrame:
    """The table `true_class` of a run (`study.tables.true_class_counts`), every row checked; without rows where it has none.

    Raises ValueError for a missing column, a source that is not the run's, what is not a number, a count below 0, a probability
    outside 0..1, and two rows of one bin.
    """
    if not (folder / "true_class.csv").exists():
        return pd.DataFrame(columns=COUNTS)
    name, table = _name(folder / "true_class.csv"), _read_saved(folder, "true_class", [*COUNTS, "source"])
    _check_sources(name, table, record, folder.parent.name)
    refuse_texts(name, table, COUNTS[3:])
    refuse(
        name, table, ~table["member"].astype(str).isin(["True", "False"]), "member is {member!r}; True and False are allowed"
    )
    for column, most in {"bin_left": 1, "bin_right": 1, "records": np.inf, "n_targets": np.inf}.items():
        refuse_outside(name, table, column, 0, most)
    refuse(name, table, table.duplicated(COUNTS[:4]), "the second row of one bin")
    return table[COUNTS]


def read_followed(folder: Path) -> pd.DataFrame:
    """The table `followed_up` of a run, its columns FOLLOW_UP; without rows where it has none.

    Raises ValueError for a missing column, what is not a number, a value outside 0..1 or its interval, and two rows of one key
    and way.
    """
    if not (folder / "followed_up.csv").exists():
        return pd.DataFrame(columns=FOLLOW_UP)
    name = _name(folder / "followed_up.csv")
    rows = _read_saved(folder, "followed_up", FOLLOW_UP, texts=("target", "setting"))
    refuse_texts(name, rows, FOLLOW_UP[-4:])
    refuse_intervals(name, rows, rows["value"].isna() & (rows["n_targets"] == 0), "allowed only where n_targets is 0")
    refuse_outside(name, rows, "value", 0, 1)
    refuse(name, rows, rows.duplicated([*KEY, "our_train_size", "way"]), "the second row of one key and way")
    return rows[FOLLOW_UP]


def read_modern(folder: Path, record: Mapping[str, Any]) -> SavedModern:
    """The tables `modern_compared` and `modern_claims` of 09_modern_attacks, every row checked as those of the others are.

    Raises ValueError as `read_compared` and `read_claims` do, and for a word that no table of `check_modern` may have.
    `modern_compared` may be without rows: nothing was published of some data sets.
    """
    name = _name(folder / "modern_compared.csv")
    texts = [column for column in MODERN_KEY if column not in ("fpr", "prior")]
    compared = _read_saved(folder, "modern_compared", MODERN_MEASURED, texts=texts, may_be_empty=True)
    _check_sources(name, compared, record, folder.parent.name)
    refuse(name, compared, ~compared["network"].isin(NETWORKS), "network is {network!r}; allowed are: " + ", ".join(NETWORKS))
    refuse_texts(name, compared, [*MODERN_FLOATS, "n_targets"])
    check_values(name, compared, compared["metric"].isin(["tpr", "ppv"]))
    refuse(name, compared, compared.duplicated([*MODERN_KEY, "source"]), "the second row of one key")
    refuse(name, compared, ~was_published(compared), "nothing was published for this key")
    return SavedModern(modern_verdicts(compared), read_stated(folder, record, "modern_claims", MODERN_CLAIMS))


def read_stated(folder: Path, record: Mapping[str, Any], table: str, stated: Mapping[str, str]) -> pd.DataFrame:
    """A table of tests of the claims `stated`: claim, test, outcome, evidence, dataset, source; every row checked as those of
    `read_claims` are, but that tests may be "not run".
    """
    columns = [*CLAIM_COLUMNS, "dataset", "source"]
    name = _name(folder / f"{table}.csv")
    rows = _read_saved(folder, table, columns, texts=("evidence", "dataset", "source"))[columns]
    refuse(name, rows, ~rows["claim"].isin(list(stated)), f"claim is {{claim!r}}; allowed are: {', '.join(stated)}")
    _check_claims(name, rows[rows["outcome"] != NOT_RUN], record, folder.parent.name)
    refuse(name, rows, rows.duplicated(["claim", "test", "dataset", "source"]), "the second row of one test")
    return rows
