"""What is committed: notebook sources without outputs, nothing that tells of the machine it was made on."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml

from mialib.runs import parameters, redact

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROFILES = sorted((ROOT / "notebooks" / "profiles").glob("*.yaml"))
COMMITTED_RUNS = [ROOT / part / name for part in ("results", "figures") for name in ("paper", "paper-standin")]
EXECUTED = sorted(path for folder in COMMITTED_RUNS for path in folder.rglob("*.ipynb"))
TEXTS = sorted(
    path
    for pattern in ("*.md", "*.toml", "*.yml", "*.lock", "*.cff", "Makefile", "mialib/**/*", "tests/*.py", "benchmarks/*.py")
    for path in ROOT.glob(pattern)
    if path.suffix not in {".pyc", ".npz"} and path.is_file()
)
SAVED = sorted(path for folder in COMMITTED_RUNS for path in folder.rglob("*") if path.suffix in {".csv", ".json", ".svg"})
# Folders that only one machine has; a program's own, such as /bin/sh or /proc/cpuinfo, are everywhere.
HOMES = re.compile(r"(?<![\w.~$:/…])/(?:home|Users|root|work|tmp|private|var/folders|mnt|opt|workspace)/[\w.]+")
MAX_LINES, MAX_PARAMETERS = 18, 16
MAX_WIDTH = 104  # what a cell of JupyterLab shows in a window of 1280 pixels: see notebooks/ruff.toml


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_source_has_no_outputs(path):
    for cell in code_cells(path):
        assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_source_has_short_cells(path):
    for cell in code_cells(path):
        lines = cell.source.splitlines()
        assert "parameters" in cell.metadata.get("tags", []) or len(lines) <= MAX_LINES, cell.source
        assert max(map(len, lines)) <= MAX_WIDTH, cell.source


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_parameters_cell_holds_upper_case_plain_literals(path):
    known = parameters.notebook_parameters(ROOT, path.stem)
    assert known["PROFILE"] == "quick" and known["DATA"] == "auto"
    assert all(re.fullmatch("[A-Z][A-Z0-9_]*", name) for name in known)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_parameter_says_what_it_is(path):
    (cell,) = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    lines, statements = cell.source.splitlines(), ast.parse(cell.source).body
    assert len(statements) <= MAX_PARAMETERS
    assert [lines[each.lineno - 1] for each in statements if not re.search(r"  # \w", lines[each.lineno - 1])] == []


@pytest.mark.parametrize("path", PROFILES, ids=named)
def test_profile_names_parameters_that_exist(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for notebook in content:
        parameters.merged(ROOT, notebook, path.stem, "auto", {})


@pytest.mark.parametrize("path", SOURCES + EXECUTED, ids=named)
def test_notebook_holds_no_absolute_path(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert redact.absolute_paths(record) == []


@pytest.mark.parametrize("path", EXECUTED, ids=named)
def test_executed_notebook_says_nothing_that_is_no_result(path):
    cells = code_cells(path)
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    said = "\n".join(output.get("text", "") for output in outputs)
    assert not re.findall(r".*(?:Warning|Traceback|name resolution|\d%\|).*", said)
    shown = [
        out.data.get("text/html", "") for cell in cells if "show_table(" in cell.source for out in cell.outputs if "data" in out
    ]
    assert not [html for html in shown if "<script" in html or re.search(r"\d+ rows × \d+ columns", html)]


@pytest.mark.parametrize("path", EXECUTED, ids=named)
def test_what_is_shown_lies_in_the_interval_beside_it(path):
    shown = "\n".join(out.data.get("text/html", "") for cell in code_cells(path) for out in cell.outputs if "data" in out)
    found = re.findall(r">(-?[\d.,]+) \[(-?[\d.,]+),&nbsp;(-?[\d.,]+)\]<", shown)
    numbers = [[float(number.replace(",", "")) for number in triple] for triple in found]
    assert [each for each in numbers if not each[1] <= each[0] <= each[2]] == []


@pytest.mark.parametrize("path", SAVED + TEXTS, ids=named)
def test_text_names_no_folder_of_this_machine(path):
    assert HOMES.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="README.md is not written yet")
def test_commands_of_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)) | {p.stem for p in SOURCES}
    commands = set(re.findall(r"(?:^|`)make ([a-z0-9_]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert commands <= targets


# The Makefile


@pytest.fixture
def make(tmp_path):
    """`make` in a copy of the repository's outside, whose Python only says what it was asked."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    for path in SOURCES:
        (tmp_path / "notebooks" / path.name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nfor word; do printf '<%s>' \"$word\"; done\necho\n")
    python.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return lambda *words: subprocess.run(["make", *words], cwd=tmp_path, env=environment, capture_output=True, text=True)


def test_a_variable_of_the_command_line_is_a_parameter(make):
    asked = make("04_location", "N_SHADOWS=12", "NOISE_RATES=[0.1, 0.2]", "NAME=it's $HOME", "DATA=real").stdout
    assert asked.startswith("<-m><mialib.runs><run><04_location><--profile><quick><--data><real>")
    for given in ("<-p><N_SHADOWS><12>", "<-p><NOISE_RATES><[0.1, 0.2]>", "<-p><NAME><it's $HOME>"):
        assert given in asked
    assert "<-p><N_SHADOWS><3><--jobs><2>" in make("reproduce", "N_SHADOWS=3", "JOBS=2").stdout


@pytest.mark.parametrize("target", ["summary", "test", "help"])
def test_a_variable_that_is_no_option_is_refused_where_nothing_takes_it(make, target):
    ended = make(target, "N_SHADOWS=3")
    assert ended.returncode == 2 and "N_SHADOWS: no option; there are PROFILE DATA JOBS" in ended.stderr


def test_browsers_are_waited_for_apart_from_the_other_tests(make):
    assert "<--ignore-glob=tests/test_browser_*.py>" in make("test").stdout
    asked = make("test-browser", "SCREENSHOTS=my pictures")
    assert asked.returncode == 0 and "<-m><pytest><-n><0><-rs><tests/test_browser_" in asked.stdout
    assert "MIALIB_SCREENSHOTS='my pictures'" in asked.stdout
    assert "SCREENSHOTS: no option" in make("test", "SCREENSHOTS=my pictures").stderr


@pytest.mark.parametrize("name", ["location", "04_location.ipynb", "04"])
def test_a_name_that_is_none_is_answered_with_the_one_meant(make, name):
    ended = make(name)
    assert ended.returncode == 2 and f"no target {name}; do you mean 04_location?" in ended.stderr
    assert "there are help setup" in make("nothing").stderr


def test_an_audit_is_of_the_files_that_are_named(make, monkeypatch):
    monkeypatch.setenv("MODEL", "of the environment")
    asked = make("audit", "MEMBERS=my in.csv", "NONMEMBERS=$out.csv", "LABEL=it's", "PARAMS=--shadows 32", "FORCE=1").stdout
    given = "<--members><my in.csv><--nonmembers><$out.csv><--label><it's><--force><--shadows><32>"
    assert asked == f"<-m><mialib><audit>{given}\n"
    assert make("audit", "MODEL=m.skops", "GROUPS=a,b").stdout == "<-m><mialib><audit><--model><m.skops><--groups><a,b>\n"
    refused = make("audit", "MODEL=m.skops", "N_SHADOWS=3")
    assert (
        refused.returncode == 2
        and "N_SHADOWS: no option; there are PROFILE" in refused.stderr
        and "MODEL URL" in refused.stderr
    )
    assert "MODEL: no option" in make("test", "MODEL=m.skops").stderr
