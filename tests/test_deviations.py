"""The paper's settings beside ours: read from what the runs recorded, complete, and true of the committed runs."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mialib import runs
from mialib.paper import deviations, saved

ROOT = Path(__file__).resolve().parent.parent
SCOREBOARD = ROOT / "results" / "paper-standin" / "99_scoreboard"
COLUMNS = ["notebook", "run", "dataset", "setting", "paper", "where", "ours", "deviates", "why"]


def study(notebook, parameters, datasets, values=()):
    """What `read_runs` gives of one notebook, as far as settings are concerned."""
    record = {"parameters": parameters, "datasets": [{"name": name, "source": kind} for name, kind in datasets.items()]}
    ran = pd.DataFrame([{"notebook": notebook, "run": "paper"}])
    measured = pd.DataFrame(values, columns=["notebook", "dataset", "our_target"])
    return saved.Saved(measured, pd.DataFrame(), ran, [], records={notebook: record})


def beside(*arguments):
    table = deviations.beside_paper(study(*arguments))
    return table[table["notebook"] == arguments[0]].set_index(["dataset", "setting"])


CIFAR = {"TRAIN_SIZES": [2500, 5000, 10000, 15000], "N_SHADOWS": [10, 5, 5, 5], "EPOCHS": 40, "LEARNING_RATE": 0.001}


def test_a_setting_stands_beside_the_papers():
    found = beside("01_cifar10", CIFAR, {"cifar10": "real"}).loc["CIFAR-10"]
    assert found["ours"].to_dict() == {
        "data": "real",
        "training sizes": "2,500; 5,000; 10,000; 15,000",
        "shadow models a target, size by size": "10; 5; 5; 5",
        "epochs": "40",
        "learning rate": "0.001",
    }
    assert found.index[found["deviates"]].tolist() == ["shadow models a target, size by size", "epochs"]
    assert (found["why"] != "").equals(found["deviates"])


@pytest.mark.parametrize(("epochs", "deviates"), [(100, False), (99, True), (101, True)])
def test_at_most_is_kept_only_by_the_most_itself(epochs, deviates):
    found = beside("01_cifar10", CIFAR | {"EPOCHS": epochs}, {"cifar10": "real"})
    assert found.loc[("CIFAR-10", "epochs"), "deviates"] == deviates


def test_products_dicts_sources_and_kinds_of_target_are_read():
    parameters = {"SURROGATE_SIZE": 10000, "MARGINAL_SETS": 18.73, "N_SHADOWS": 20, "MODEL_BASED_SETS": 1.0}
    targets = [("07_shadow_data", "purchase100", kind) for kind in ("google surrogate", "local", "local")]
    found = beside("07_shadow_data", parameters | {"MODEL_BASED_SHADOWS": 8}, {"purchase100": "standin"}, targets)
    ours = found.loc["Purchase-100", "ours"]
    assert ours["marginal records"] == "187,300" and ours["model-based records"] == "10,000"
    assert (ours["data"], ours["targets"]) == ("stand-in", "Google surrogate; local network")
    found = beside("08_mitigations", {"HIDDEN": {"texas": 1000}, "PENALTIES": {"texas": [1e-3]}}, {"texas": "real"})
    assert found.loc["Texas", "ours"].tolist() == ["real", "not run", "1,000", "0.001"]
    assert set(found.loc["Purchase-100", "ours"]) == {"not run"} == set(found.loc["Purchase-100", "why"])


def test_what_was_not_run_deviates_and_every_row_is_there():
    table = deviations.beside_paper(saved.Saved(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), []))
    assert list(table) == COLUMNS and len(table) == len(deviations.stated_settings())
    assert table["deviates"].all() and set(table["run"]) == set(table["ours"]) == {"not run"}


def test_the_order_of_values_is_no_deviation():
    penalties = {"PENALTIES": {"purchase100": [1e-2, 1e-4, 1e-3]}, "HIDDEN": {"purchase100": 256}}
    found = beside("08_mitigations", penalties, {"purchase100": "real"})
    assert not found.loc[("Purchase-100", "L2 penalties"), "deviates"]


def test_the_papers_settings_are_whole():
    table = deviations.stated_settings()
    assert not table.duplicated(["notebook", "dataset", "setting"]).any()
    assert (table.drop(columns="at") != "").all(axis=None)
    for notebook, rows in table.groupby("notebook"):
        (path,) = (ROOT / "notebooks").glob(f"{notebook}.ipynb")
        source = "".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
        for name in " ".join(set(rows["parameter"]) - {"data", "targets", "networks"}).split():
            assert f"\n{name} = " in source, f"{notebook} has no parameter {name}"


def test_what_the_paper_leaves_open_is_whole():
    table = deviations.open_questions()
    assert list(table) == ["question", "paper", "here"] and len(table) >= 12
    assert (table != "").all(axis=None) and not table["question"].duplicated().any()


@pytest.mark.skipif(not SCOREBOARD.exists(), reason="results/paper-standin/99_scoreboard is not in this checkout")
def test_the_committed_tables_are_those_of_the_committed_runs():
    tables = saved.read_runs("paper", results=ROOT / "results")
    table = deviations.beside_paper(tables)
    kept = runs.read_table(SCOREBOARD, "deviations")
    pd.testing.assert_frame_equal(kept.fillna({"why": ""}), table, check_dtype=False)
    assert not table["ours"].eq("not run").any()
    ours = table.set_index(["notebook", "setting"])["ours"]
    assert ours["02_cifar100", "shadow models a target, at 4,600 and 10,520"] == "25; 25"
    questions = runs.read_table(SCOREBOARD, "open_questions")
    pd.testing.assert_frame_equal(questions, deviations.open_questions(), check_dtype=False)
