"""Every notebook runs from its first cell to its last, on tiny parameters and stand-in data, through the real runner."""

import ast
import json
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml

import mialib
from mialib import runs
from mialib.runs import estimate, execute
from mialib.runs.parameters import notebook_parameters, notebooks

ROOT = Path(__file__).resolve().parent.parent
NAMES = notebooks(ROOT)
READERS = {"99_scoreboard": "04_location"}  # what reads the others' tables, and a notebook that leaves some
BY_HAND = "00_attack_by_hand"  # saves no published values beside ours: 04_location does
AUDIT = "11_audit"  # of models of one's own: nothing was published of them
AROUND = "10_related_attacks"  # the paper says of them in words
COMPARED = {
    BY_HAND: None,
    AUDIT: None,
    AROUND: None,
    "09_modern_attacks": "modern_compared",
}  # the table of them, where it is not `compared`

NOT_LOOKED_FOR = ("forests", "networks", "copies in 20 steps", "copies as shadow models")  # announced, on disk or not


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A checkout of its own for all tests, with a cache: stand-ins are generated once, and the readers find results."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(ROOT / "notebooks", folder / "root" / "notebooks")
    return folder


@pytest.fixture
def root(study, monkeypatch):
    """That checkout: notebooks and profiles, and what was run before."""
    monkeypatch.setenv("MIALIB_CACHE", str(study / "store"))
    return study / "root"


def test_there_are_notebooks():
    assert "04_location" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_on_the_smoke_profile(name, root):
    overridden = yaml.safe_load((root / "notebooks" / "profiles" / "smoke.yaml").read_text())[name]
    assert set(overridden) <= set(notebook_parameters(root, name))
    if name in READERS and not (root / "results" / "smoke-standin" / READERS[name]).exists():
        execute.run(READERS[name], "smoke", "standin", {}, root)
    results, figures = execute.run(name, "smoke", "standin", {}, root)
    assert (results.parent.name, figures.parent.name) == ("smoke-standin", "smoke-standin")

    record = json.loads((results / "run.json").read_text())
    assert record["finished"]
    assert {key: record["parameters"][key] for key in overridden} == overridden
    assert {item["source"] for item in record["datasets"]} == {"standin"}
    assert record["figures"]
    for figure in record["figures"]:
        assert (figures / f"{figure}.png").stat().st_size > 5000
        assert "stand-in data" in (figures / f"{figure}.svg").read_text()

    said = estimate.planned(name, "smoke", "standin", {}, root)
    assert bool(said) == (name not in READERS)
    assert [row.what for row in said if row.missing and row.what not in NOT_LOOKED_FOR] == []

    executed = nbformat.read(results / f"{name}.ipynb", as_version=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    table = COMPARED.get(name, "compared")
    assert (results / "compared.csv").exists() == (table == "compared")
    if table:
        compared = runs.read_table(results, table)
        assert len(compared) > 0
        assert not compared["counts"].any()
        assert set(compared["source"]) == {"standin"}


def test_the_attack_by_hand_takes_the_front_door():
    cells = nbformat.read(ROOT / "notebooks" / f"{BY_HAND}.ipynb", as_version=4).cells
    tree = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    around = {"lab", "plots", "runs", "study"}  # controls, pictures, what is kept, what a training will take
    assert imported == {"mialib", "numpy", "pandas", *around}
    used = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "mialib"]
    assert set(used) <= set(mialib.__all__) and {"shadow_attack_data", "fit_attack", "overall"} <= set(used)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_says_what_to_run_first(name, tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    with pytest.raises(execute.RunFailed, match=r"nothing was run: results/smoke-standin .*run one first, such as 04_location"):
        execute.run(name, "smoke", "standin", {}, tmp_path)
    assert not (tmp_path / "results" / "smoke-standin").exists()


def test_the_audit_leaves_no_report_behind():
    cells = nbformat.read(ROOT / "notebooks" / f"{AUDIT}.ipynb", as_version=4).cells
    (saving,) = [cell.source for cell in cells if cell.cell_type == "code" and ".save(" in cell.source]
    assert saving.startswith("with tempfile.TemporaryDirectory() as folder:")
