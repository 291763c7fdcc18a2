"""The wheel, outside of the checkout and without what only the study needs, audits: package data and base packages suffice."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

pytest.importorskip("hatchling", reason="hatchling builds the wheel: make setup installs it")

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = [
    "jupyterlab", "papermill", "torchvision", "nbformat", "nbclient", "nbconvert", "ipykernel", "IPython", "ipywidgets",
    "seaborn", "yaml", "pooch", "onnxruntime", "onnx", "skl2onnx", "pyarrow", "opacus", "pytest", "hatchling",
]  # fmt: skip
BLOCK = f"""
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in {HIDDEN} else find(name, *rest)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture
def run(wheel, tmp_path):
    """Runs code where only the unpacked wheel has mialib, and what is hidden cannot be imported; returns what it printed."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}

    def code(text):
        made = subprocess.run(
            [sys.executable, "-c", BLOCK + text], cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr[-3000:]
        return made.stdout

    return code


def test_all_files_of_the_package_are_in_the_wheel(wheel):
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "mialib").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = zipfile.ZipFile(wheel).namelist()
    assert files == {name for name in names if not name.partition("/")[0].endswith(".dist-info")}
    assert {Path(name).suffix for name in files} >= {".py", ".csv", ".mplstyle", ".css", ".js"}


def test_the_wheel_names_its_command_and_needs_no_notebooks(wheel):
    with zipfile.ZipFile(wheel) as file:
        texts = {Path(name).name: file.read(name).decode() for name in file.namelist() if ".dist-info/" in name}
    assert "mialib = mialib.__main__:main" in texts["entry_points.txt"]
    needed = [line for line in texts["METADATA"].splitlines() if line.startswith("Requires-Dist: ")]
    for name in ("jupyterlab", "papermill", "torchvision", "seaborn"):
        (line,) = [line for line in needed if line.startswith(f"Requires-Dist: {name}")]
        assert "extra == 'study'" in line


def test_the_rooms_of_the_library_need_the_base_alone(run):
    rooms = ["audit", "core", "training", "shadow", "attack", "metrics", "plots", "data"]
    printed = run(
        "import importlib, pkgutil, mialib\n"
        f"for room in {rooms}:\n"
        "    folder = importlib.import_module('mialib.' + room).__path__\n"
        "    names = [each.name for each in pkgutil.iter_modules(folder) if each.name != '__main__']\n"
        "    assert names and all(importlib.import_module(f'mialib.{room}.{name}') for name in names)\n"
        "print(mialib.__file__)\n"
        "print([name for name in mialib.__all__ if getattr(mialib, name) is None])\n"
        "try: mialib.load('mnist', mode='real')\n"
        "except ImportError as error: print(error)\n"
    )
    file, missing, told = printed.splitlines()
    assert "/site/mialib/" in file and missing == "[]"
    assert told == 'this needs torchvision, which is not installed: pip install "mialib[study]"'


def test_the_wheel_audits_a_model_from_files(run, tmp_path):
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(160, 40)), columns=[f"x{i}" for i in range(40)])
    table = x.assign(
        label=np.where(rng.random(160) < 0.5, "yes", "no")
    )  # noise: what the model knows of it, it learned by heart
    table[:80].to_csv(tmp_path / "in.csv", index=False)
    table[80:].to_csv(tmp_path / "out.csv", index=False)
    skops.io.dump(LogisticRegression().fit(x[:80], table["label"][:80]), tmp_path / "model.skops")
    loads = (
        "from mialib.audit.loading import load_model\nmodel = load_model('../model.skops')\n"  # a function trains no references
    )
    (tmp_path / "elsewhere" / "mine.py").write_text(f"{loads}\ndef answers(x):\n    return model.predict_proba(x)\n")
    given = ["audit", "--model", "mine:answers", "--members", "../in.csv", "--nonmembers", "../out.csv", "--label", "label"]
    printed = run(
        "import mialib.__main__\n"
        f"assert mialib.__main__.main({[*given, '--out', 'found']}) == 0\n"
        f"print([name for name in {HIDDEN} if name in sys.modules])\n"
    ).splitlines()
    assert printed[-2:] == ["report: found/report.html", "[]"]
    found = tmp_path / "elsewhere" / "found"
    assert {"report.html", "report.json", "attacks.csv"} <= {path.name for path in found.iterdir()}
    assert "<style" in (found / "report.html").read_text(encoding="utf-8")
    assert (pd.read_csv(found / "attacks.csv")["auc"] > 0.6).any()
