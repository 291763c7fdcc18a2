"""Tables, figures and run.json, and the runner: what it refuses, what it leaves behind however a notebook ends."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

import mialib
from mialib import runs
from mialib.core import executors
from mialib.plots.panels import draw
from mialib.runs import command, drawn, execute, parameters, redact, schedule, screen
from mialib.runs.log import Log
from mialib.runs.parameters import UsageError
from mialib.runs.publish import publish, recover, scratch_folder
from mialib.runs.summary import WIDTH, summary_lines

REAL = {"name": "location", "source": "real", "records": 5010, "n_classes": 30, "digest": "ab"}
STANDIN = {"name": "texas", "source": "standin", "records": 100, "n_classes": 10, "digest": "cd"}
ROOT = Path(mialib.__file__).resolve().parents[1]

PARAMETERS = 'PROFILE = "quick"\nDATA = "auto"\nN = 3\nRATE = 0.5\nSIZES = [1, 2]\nFAIL = False\nWAIT = 0\nSEED = 1'
PARAMETERS += '\nBY = {"a": [1], "b": []}'
BODY = """
import os, sys, time, pandas as pd
from pathlib import Path
from mialib import runs
source = "standin" if DATA == "standin" else "real"
described = {"name": "location", "source": source, "records": 1, "n_classes": 2, "digest": "0"}
run = runs.start("01_small", PROFILE, {"N": N}, [described])
Path("../started").touch()
time.sleep(WAIT)
assert not FAIL, "asked to fail"
print(Path.cwd(), os.environ["MIALIB_OUT"])
print("1%\\r99%\\rbar gone", file=sys.stderr)
from tqdm import tqdm
list(tqdm(range(3)))
run.table("numbers", pd.DataFrame({"n": range(N)}))
run.finish(seeds=[1])
"""
COMPARED = """\
dataset,source,our_target,our_train_size,setting,variant,metric,published,published_low,reading,value,low,high,verdict
location,real,google surrogate,1200.0,shadow:noise10,flip,attack_precision,0.666,,stated,0.745,0.727,0.763,differs
location,real,local,1200.0,,none,attack_recall,,0.95,stated,0.99,0.98,1.0,met
texas,standin,local,10000.0,mitigation:a_name_that_is_much_too_long_for_a_line,aware,attack_precision,0.5,,stated,,,,undecided
texas,standin,local,10000.0,mitigation:none,unaware,attack_precision,0.5,,stated,0.5,0.5,0.5,reproduced
location,real,local,1200.0,,none,attack_precision,0.7,,drawn,0.7,0.7,0.7,reproduced
location,real,local,1200.0,,none,target_test_accuracy,0.7,,stated,0.7,0.7,0.7,reproduced
"""


def square(frame, ax, colour="C0"):
    ax.plot(frame["x"], frame["y"], color=colour)


@pytest.fixture
def plots(monkeypatch):
    """A `mialib.plots` that also has the function `square`."""
    monkeypatch.setattr(mialib.plots, "square", square, raising=False)
    monkeypatch.setattr(mialib.plots, "__all__", [*mialib.plots.__all__, "square"])


@pytest.fixture
def root(tmp_path):
    """A study with one small notebook and a profile."""
    (tmp_path / "notebooks" / "profiles").mkdir(parents=True)
    cells = [
        nbformat.v4.new_markdown_cell("# Small"),
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(BODY),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "01_small.ipynb")
    (tmp_path / "notebooks" / "profiles" / "smoke.yaml").write_text("01_small:\n  N: 1\n")
    return tmp_path


def a_run(folder, datasets=(REAL,), monkeypatch=None):
    monkeypatch.setenv("MIALIB_OUT", str(folder))
    return runs.start("01_small", "quick", {"N": 3}, datasets)


def add_notebook(root, name, body):
    shutil.copy(root / "notebooks" / "01_small.ipynb", root / "notebooks" / f"{name}.ipynb")
    book = nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)
    book.cells[2].source = body
    nbformat.write(book, root / "notebooks" / f"{name}.ipynb")


def saved(root, name="quick"):
    return json.loads((root / "results" / name / "01_small" / "run.json").read_text())


def leftovers(root):
    return list((root / "results").glob(".running-*"))


def started(root, *arguments):
    code = f"from pathlib import Path; from mialib.runs import command; command.command_line(Path({str(root)!r}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


# Tables, figures, run.json


def test_table_round_trip(tmp_path, monkeypatch):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    frame = pd.DataFrame(
        {"x": [0.1, 1 / 3, np.nan], "member": [True, False, True], "name": ["NA", "b, c", "none"], "n": [1, 2, 3]}
    )
    assert run.table("t", frame) is frame
    pd.testing.assert_frame_equal(runs.read_table(tmp_path / "results", "t"), frame)


def test_table_whose_index_would_be_lost_is_refused(tmp_path, monkeypatch):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    with pytest.raises(ValueError, match="reset_index"):
        run.table("t", pd.DataFrame({"x": [1, 2]}, index=[5, 6]))


def test_unknown_table_names_those_that_are_there(tmp_path, monkeypatch, plots):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    run.table("lines", pd.DataFrame({"x": [1]}))
    with pytest.raises(ValueError, match="there are: lines"):
        run.figure("f", "square", "line")


def test_figures_are_redrawn_to_the_same_bytes(tmp_path, monkeypatch, plots):
    run = a_run(tmp_path, [REAL, STANDIN], monkeypatch)
    run.table("lines", pd.DataFrame({"x": [0, 1, 0, 1], "y": [0, 1, 1, 0.5], "kind": ["b", "b", "a", "a"]}))
    shown = run.figure("f", square, "lines", facet="kind", size=(5, 2.5), colour="C1")
    assert shown._repr_png_()
    first = {path.name: path.read_bytes() for path in run.figures.iterdir()}
    assert set(first) == {"f.png", "f.svg"}
    again = tmp_path / "again"
    assert runs.redraw(run.results, again) == ["f"]
    assert {path.name: path.read_bytes() for path in again.iterdir()} == first


def beside(lines, paper=None, *, ax, colour="C0"):
    square(lines, ax)
    if paper is not None:
        ax.plot(paper["x"], paper["y"], colour)


@pytest.fixture
def two_tables(monkeypatch):
    """A `mialib.plots` whose function `beside` takes one table or two; and two tables."""
    monkeypatch.setattr(mialib.plots, "beside", beside, raising=False)
    monkeypatch.setattr(mialib.plots, "__all__", [*mialib.plots.__all__, "beside"])
    return pd.DataFrame({"x": [0, 1, 2], "y": [0, 1, 4]}), pd.DataFrame({"x": [0, 2], "y": [1, 1]})


def test_a_figure_saves_the_tables_that_the_run_has_not_saved(tmp_path, monkeypatch, two_tables):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    lines, paper = two_tables
    saved_before = run.table("squares", lines)
    run.figure("f", beside, saved_before, paper)
    run.figure("g", beside, lines[lines["x"] > 0], paper, colour="C1")  # rows numbered 1 and 2
    run.figure("h", beside, "squares")
    specs = {name: spec["tables"] for name, spec in runs.read_run(run.results)["figures"].items()}
    assert specs == {"f": ["squares", "f_paper"], "g": ["g", "f_paper"], "h": ["squares"]}
    pd.testing.assert_frame_equal(runs.read_table(run.results, "f_paper"), paper)
    assert runs.read_table(run.results, "g")["x"].tolist() == [1, 2]
    first = {path.name: path.read_bytes() for path in run.figures.iterdir()}
    assert runs.redraw(run.results, tmp_path / "again") == ["f", "g", "h"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == first


def test_no_table_of_a_figure_replaces_another(tmp_path, monkeypatch, two_tables):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    lines, paper = two_tables
    run.table("f", lines)
    run.figure("g", beside, paper)
    run.figure("g", beside, paper.copy())  # the cell once more
    for again in (lambda: run.figure("f", beside, paper), lambda: run.table("g", lines)):
        with pytest.raises(ValueError, match="is there already, and a figure draws it"):
            again()
    pd.testing.assert_frame_equal(runs.read_table(run.results, "f"), lines)
    with pytest.raises(ValueError, match="reset_index"):
        run.figure("h", beside, lines.groupby("x").sum())
    with pytest.raises(TypeError, match="frame is list: a DataFrame is needed"):
        run.figure("h", beside, [1, 2])
    with pytest.raises(TypeError, match="too many positional arguments"):
        run.figure("h", beside, lines, paper, paper)


@pytest.mark.parametrize("change", [{"../f": {}}, {"f": {"tables": ["../lines"]}}])
def test_a_name_in_run_json_leads_to_no_other_folder(change, tmp_path, monkeypatch, plots):
    run = a_run(tmp_path / "run", monkeypatch=monkeypatch)
    run.table("lines", pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
    run.figure("f", "square", "lines")
    record = runs.read_run(run.results)
    record["figures"] = {name: record["figures"]["f"] | part for name, part in change.items()}
    runs.write_json(run.results / "run.json", record)
    with pytest.raises(ValueError, match=r"name is '\.\./"):
        runs.redraw(run.results, tmp_path / "figures" / "again")
    assert not list((tmp_path / "figures").rglob("*.png"))


def test_figure_of_a_standin_says_so(tmp_path, monkeypatch, plots):
    notes = {}
    for name, datasets in {"real": [REAL], "standin": [REAL, STANDIN]}.items():
        run = a_run(tmp_path / name, datasets, monkeypatch)
        run.table("lines", pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
        run.figure("f", square, "lines")
        notes[name] = "stand-in data: Texas" in (run.figures / "f.svg").read_text()
    assert notes == {"real": False, "standin": True}


def test_the_note_names_the_standins_that_are_drawn(tmp_path, monkeypatch, plots):
    run = a_run(tmp_path, [REAL, STANDIN], monkeypatch)
    lines = pd.DataFrame({"x": [0, 1], "y": [0, 1]})
    known, noted = "stand-in data: Texas", {}
    # a word that is no data set's name tells nothing
    for number, name in enumerate((REAL["name"], STANDIN["name"], "Texas", "Purchase")):
        run.figure(f"of_{number}", square, lines.assign(dataset=name))
        noted[name] = known in (run.figures / f"of_{number}.svg").read_text()
    assert noted == {REAL["name"]: False, STANDIN["name"]: True, "Texas": True, "Purchase": True}
    run.figure("of_real_rows", square, lines.assign(source="real"))
    assert known not in (run.figures / "of_real_rows.svg").read_text()


def test_a_figure_says_which_data_sets_it_draws_where_its_table_does_not(tmp_path, monkeypatch, plots):
    run = a_run(tmp_path / "run", [REAL, STANDIN], monkeypatch)
    lines = run.table("lines", pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
    notes, titles = {}, {}
    for name, of in {"real": [REAL["name"]], "standin": ["texas"], "both": [REAL["name"], "texas"]}.items():
        run.figure(name, square, lines, datasets=of)
        svg = (run.figures / f"{name}.svg").read_text()
        notes[name], titles[name] = "stand-in data: Texas" in svg, "Texas (stand-in)" in svg
    assert notes == {"real": False, "standin": True, "both": True}
    assert titles == {"real": False, "standin": True, "both": False}
    assert runs.redraw(run.results, tmp_path / "again") == ["real", "standin", "both"]
    assert "Texas (stand-in)" in (tmp_path / "again" / "standin.svg").read_text()
    for wrong in (["adult"], "texas"):
        with pytest.raises(ValueError, match=rf"datasets is {re.escape(repr(wrong))}: a list of the run's own"):
            run.figure("f", square, lines, datasets=wrong)


def test_the_only_data_set_of_a_run_is_named(tmp_path, monkeypatch, plots):
    run = a_run(tmp_path, [STANDIN], monkeypatch)
    run.figure("f", square, pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
    assert "Texas (stand-in)" in (run.figures / "f.svg").read_text()


def test_tables_are_given_the_sources_of_their_data_sets():
    record = {"datasets": [{"name": "location", "source": "real"}, {"name": "purchase100", "source": "standin"}]}
    ours = pd.DataFrame({"dataset": ["location", "Purchase-100", "Purchase"]})
    found, theirs, own = drawn.with_sources([ours, pd.DataFrame({"x": [1]}), ours.assign(source="own")], record)
    assert found["source"].tolist()[:2] == ["real", "standin"] and found["source"].isna().tolist() == [False, False, True]
    assert list(theirs) == ["x"] and set(own["source"]) == {"own"} and list(ours) == ["dataset"]


def test_facets_are_in_order_of_appearance_and_cut_every_table_that_has_the_column():
    seen = []
    first = pd.DataFrame({"kind": ["b", "a", "b"], "x": [1, 2, 3]})
    second = pd.DataFrame({"kind": ["a", "b"], "x": [4, 5]})
    third = pd.DataFrame({"x": [6]})
    figure = draw(lambda *frames, ax: seen.append([list(f["x"]) for f in frames]), [first, second, third], facet="kind")
    assert [ax.get_title() for ax in figure.axes] == ["b", "a"]
    assert seen == [[[1, 3], [5], [6]], [[2], [4], [6]]]


def test_only_functions_of_plots_can_be_recorded(tmp_path, monkeypatch, plots):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    with pytest.raises(ValueError, match="one of mialib"):
        run.figure("f", pd.read_csv)


def test_run_json_says_how_it_came_about(tmp_path, monkeypatch):
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    run.finish(seeds={"targets": [1, 2]}, note=np.float32(0.5))
    record = runs.read_run(run.results)
    assert record["finished"] and record["parameters"] == {"N": 3} and record["datasets"] == [REAL]
    assert record["facts"] == {"note": 0.5} and record["seconds"] >= 0
    assert record["versions"]["numpy"] == np.__version__ and record["hardware"]["cores"] >= 1
    with pytest.raises(ValueError, match="recorded already"):
        run.finish(parameters=1)


def test_run_by_hand_never_goes_to_the_real_results_and_says_where(tmp_path, monkeypatch, capsys):
    """It goes to the checkout that it lies in, wherever the package is."""
    monkeypatch.delenv("MIALIB_OUT", raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "Makefile").touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    run = runs.start("01_small", "paper", {})
    assert run.results == tmp_path / "results" / "interactive" / "01_small" and runs.results_folder() == tmp_path / "results"
    assert (
        capsys.readouterr().out == "tables go to ../results/interactive/01_small, figures to ../figures/interactive/01_small\n"
    )


def test_the_end_of_a_run_by_hand_says_where_all_of_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MIALIB_OUT", raising=False)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "Makefile").touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    run = runs.start("01_small", "paper", {})
    run.table("one", pd.DataFrame({"a": [1]}))
    run.table("two", pd.DataFrame({"a": [1]}))
    run.finish()
    where = "in ../results/interactive/01_small, 0 figures in ../figures/interactive/01_small"
    assert capsys.readouterr().out.splitlines()[-1] == f"saved: 2 tables and run.json {where}"


def test_a_figure_is_sharp_and_as_wide_as_it_was_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("MIALIB_OUT", str(tmp_path))
    picture = runs.start("a", "quick", {}, [REAL]).figure(
        "f", "by_membership", pd.DataFrame({"member": [True, False] * 9, "score": range(18)}), column="score", size=(3.0, 2.0)
    )
    width = int.from_bytes(picture.data[16:20], "big")
    assert width == 2 * picture.width and 300 <= picture.width <= 360


def test_a_palette_is_taken_where_nobody_sees_it():
    from PIL import Image

    rng = np.random.default_rng(0)
    few = np.repeat(np.repeat(rng.integers(0, 255, (40, 40, 3), np.uint8)[:8, :8], 20, 0), 20, 1)
    many = rng.integers(0, 255, (80, 80, 3)).astype(np.uint8)
    for pixels in (few, many):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="png")
        made = screen.few_colours(buffer.getvalue())
        assert (np.asarray(Image.open(io.BytesIO(made)).convert("RGB")) == pixels).all()
        assert (len(made) < len(buffer.getvalue())) == (pixels is few)


def test_a_run_is_done_by_the_cluster_that_the_environment_names(tmp_path, monkeypatch):
    asked, a_cluster = [], SimpleNamespace(where="on 2 workers")
    monkeypatch.setenv("MIALIB_CLUSTER", "tcp://scheduler:8786")
    monkeypatch.setattr("mialib.runs.run.connect", lambda address: asked.append(address) or a_cluster)
    monkeypatch.setattr("mialib.core.executors._chosen", [None])
    with executors.elsewhere(SimpleNamespace(where="in 2 shards")):  # of `mialib train`, whose share is done here
        a_run(tmp_path, monkeypatch=monkeypatch)
    assert executors.current() is None and asked == []
    a_run(tmp_path, monkeypatch=monkeypatch)
    a_run(tmp_path, monkeypatch=monkeypatch)
    assert executors.current() is a_cluster and asked == ["tcp://scheduler:8786"]
    with executors.elsewhere(None):
        assert executors.current() is None


def test_without_a_checkout_the_working_directory_serves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runs.checkout() == tmp_path.resolve()


@pytest.mark.parametrize(
    "figures",
    [
        {"../../out": {"function": "square", "tables": [], "options": {}}},
        {"f": {"function": "square", "tables": ["../secret"], "options": {}}},
        {"f": {"function": "os.remove", "tables": [], "options": {}}},
    ],
)
def test_a_name_in_an_edited_run_json_is_refused(tmp_path, figures):
    record = {"notebook": "01_small", "datasets": [], "figures": figures}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="letters, digits, - and _ are allowed"):
        runs.redraw(tmp_path, tmp_path / "figures")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_figure_is_drawn_once_from_the_same_tables(tmp_path, monkeypatch, plots):
    pictures = []
    monkeypatch.setattr("mialib.plots.panels.draw", lambda *args, **options: pictures.append(1) or draw(*args, **options))
    run = a_run(tmp_path, monkeypatch=monkeypatch)
    for y in ([0, 1], [0, 1], [1, 0]):
        run.table("lines", pd.DataFrame({"x": [0, 1], "y": y}))
        run.figure("f", "square", "lines")
    run.figure("f", "square", "lines", colour="C1")
    assert len(pictures) == 3


# What the runner refuses


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"M": "1"}, "no parameter 'M'; there are: N, RATE"),
        ({"N": "1.5"}, "N is 1.5; a value like 3 "),
        ({"N": "True"}, "N is True"),
        ({"RATE": "high"}, "RATE is 'high'"),
        ({"SIZES": "[1, 'a']"}, "SIZES is"),
        ({"PROFILE": "paper"}, "set by --profile"),
        ({"N": "0"}, "N is 0; numbers above 0 are needed, as in the default 3"),
        ({"RATE": "-0.1"}, "RATE is -0.1; numbers above 0"),
        ({"RATE": "1e999"}, "RATE is inf; numbers above 0"),
        ({"SIZES": "[1, 0]"}, "SIZES is [1, 0]; numbers above 0"),
        ({"BY": "{'a': [1, -1]}"}, "BY is .*; numbers above 0"),
    ],
)
def test_wrong_parameter_is_named(root, given, message):
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        parameters.merged(root, "01_small", "quick", "auto", given)


def test_parameters_come_from_profile_then_by_hand(root):
    known = parameters.merged(root, "01_small", "smoke", "real", {"RATE": "1", "SIZES": "[4]"})
    assert known == {"PROFILE": "smoke", "DATA": "real", "N": 1, "RATE": 1, "SIZES": [4]}
    assert parameters.merged(root, "01_small", "smoke", "real", {"N": "7"})["N"] == 7


def test_zero_is_taken_where_the_default_is_not_positive_and_as_a_seed(root):
    given = {"WAIT": "0", "SEED": "0", "BY": "{'b': [0], 'c': {'d': [0]}}"}  # nothing is said of what the default has not
    assert parameters.merged(root, "01_small", "quick", "auto", given)["BY"] == {"b": [0], "c": {"d": [0]}}


def test_profile_with_an_unknown_parameter_is_refused(root):
    (root / "notebooks" / "profiles" / "bad.yaml").write_text("01_small:\n  K: 1\n")
    with pytest.raises(UsageError, match="profile bad: no parameter 'K'"):
        parameters.merged(root, "01_small", "bad", "auto", {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "02_none"], "no notebook '02_none' in this folder; there are: 01_small"),
        (["run", "01_small", "--profile", "none"], "no profile 'none'; there are: quick, smoke"),
        (["all", "-p", "M", "1"], "no notebook has a parameter M; there are:\n  01_small: N, RATE"),
        (["all", "-p", "N", "0"], "01_small: N is 0; numbers above 0"),
    ],
)
def test_command_line_names_what_is_allowed(root, capsys, arguments, message):
    assert command.main(arguments, root=root) == 2
    assert message in capsys.readouterr().err


def test_list_shows_parameters(root, capsys):
    assert command.main(["list"], root=root) == 0
    assert "01_small\n" in capsys.readouterr().out


# How a run ends


@pytest.mark.parametrize(
    ("sources", "custom", "name"),
    [
        (["real"], False, "paper"),
        (["real", "standin"], False, "paper-standin"),
        (["real"], True, "paper-custom"),
        (["standin"], True, "paper-standin-custom"),
    ],
)
def test_name_of_a_run(sources, custom, name):
    record = {"profile": "paper", "datasets": [{"name": "a", "source": source} for source in sources]}
    assert execute.run_name(record, custom) == name


def test_success_then_failure_leaves_the_success(root, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert command.main(["run", "01_small"], root=root) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "01_small: running" and lines[1].startswith("01_small: ") and lines[1].endswith(" s")
    assert lines[-1].startswith("results/quick/01_small/ and figures/quick/01_small/: ")
    folder = root / "results" / "quick" / "01_small"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"01_small.ipynb", "numbers.csv", "run.json"}
    for name in ("01_small.ipynb", "run.json"):
        text = before[name].decode()
        assert str(root) not in text and redact.absolute_paths(json.loads(text)) == []
    streams = [out for cell in json.loads(before["01_small.ipynb"])["cells"] for out in cell.get("outputs", [])]
    assert not [out for out in streams if out["name"] == "stderr"]
    (said,) = [out["text"] for out in streams]
    where = "saved: 1 table and run.json beside this notebook, 0 figures at the same place below figures/\n"
    assert said[1:] == [where, "bar gone\n"], "no bar, nor what it wrote over"

    assert command.main(["run", "01_small", "-p", "FAIL", "True"], root=root) == 1
    error = capfd.readouterr().err
    assert "01_small failed in cell 3 of 3" in error and "AssertionError: asked to fail" in error
    assert (root / "results" / "failed" / "01_small.ipynb").exists()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert leftovers(root) == [] and not (root / "results" / "quick-custom").exists()


def test_kill_then_run_in_parallel(root):
    killed = started(root, "run", "01_small", "-p", "WAIT", "60")
    wait_for(root / "started", killed)
    killed.kill()
    killed.wait()
    assert len(leftovers(root)) == 1
    both = [started(root, "run", "01_small"), started(root, "run", "01_small", "--data", "standin", "-p", "N", "5")]
    assert [process.wait() for process in both] == [0, 0]
    assert saved(root)["parameters"] == {"N": 3}
    assert saved(root, "quick-standin-custom")["parameters"] == {"N": 5}
    assert leftovers(root) == []


def test_interrupt_cleans_up(root):
    process = started(root, "run", "01_small", "-p", "WAIT", "60")
    wait_for(root / "started", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    assert "interrupted" in process.stderr.read() and leftovers(root) == []


def test_all_notebooks_run_though_one_fails(root, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    add_notebook(root, "02_bad", "1 / 0")
    add_notebook(
        root,
        "99_reader",
        BODY.replace("01_small", "99_reader").replace("time.sleep", "assert Path('../results/quick').exists()#"),
    )
    assert command.main(["all", "--jobs", "3"], root=root) == 1
    shown = capfd.readouterr()
    assert shown.out.count(": running") == 3 and "02_bad: FAILED after" in shown.out
    assert "02_bad failed in cell 3 of 3, `1 / 0`: ZeroDivisionError: division by zero" in shown.out
    assert "of 3 notebooks 1 failed: 02_bad" in shown.err and "not run in the profile quick: 02_bad" in shown.out
    assert sorted(path.name for path in (root / "results" / "quick").iterdir()) == ["01_small", "99_reader"]
    assert leftovers(root) == []


def test_interrupting_all_ends_every_notebook(root):
    add_notebook(root, "02_other", BODY.replace("started", "other").replace("01_small", "02_other"))
    process = started(root, "all", "-p", "WAIT", "60", "--jobs", "2")
    for name in ("started", "other"):
        wait_for(root / name, process)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert process.stderr.read().split() == ["interrupted:", "earlier", "results", "are", "whole"]
    assert leftovers(root) == [] and not (root / "results" / "quick").exists()


def test_in_a_terminal_the_lines_of_what_runs_are_written_over():
    out = io.StringIO()
    out.isatty = lambda: True
    log = Log(out)
    for step in (
        lambda: log.at("01_a"),
        lambda: log.at("02_b"),
        lambda: log.at("01_a", "Data"),
        lambda: log.end("02_b", "3 s"),
    ):
        step()
    assert out.getvalue().splitlines()[-2:] == ["\x1b[2A\x1b[J02_b: 3 s", "01_a: Data"]


def test_the_table_of_results_fits_and_says_what_is_made_up(root):
    folder = root / "results" / "quick-standin" / "01_small"
    folder.mkdir(parents=True)
    (folder / "compared.csv").write_text(COMPARED)
    record = {"notebook": "01_small", "datasets": [REAL, STANDIN], "seconds": 3.2, "figures": {}, "headline": ["as it was"]}
    (folder / "run.json").write_text(json.dumps(record))
    lines = summary_lines("quick", root)
    assert lines[1].split() == [
        "location",
        "google†,",
        "noise10,",
        "flip,",
        "precision",
        "0.666",
        "0.745",
        "[0.727,",
        "0.763]",
        "differs",
    ]
    assert lines[2].split() == ["location", "local,", "recall", "≥", "0.950", "0.990", "[0.980,", "1.000]", "met"]
    assert lines[3].startswith("texas*") and "…" in lines[3] and lines[3].endswith("no member found       undecided")
    assert lines[4:] == [
        "* generated stand-in data",
        "† a surrogate of the paper's target",
        "",
        "results/quick-standin/01_small/ and figures/quick-standin/01_small/: 3 s, with stand-ins",
    ]
    assert max(map(len, lines)) <= WIDTH


def test_summary_names_the_profiles_that_were_run(root):
    folder = root / "results" / "paper" / "01_small"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"figures": {}}))
    assert summary_lines("quick", root) == [
        "not run in the profile quick: 01_small",
        "there are results of: paper; such as: make summary PROFILE=paper",
    ]


def fill(scratch, text):
    for part in ("results", "figures"):
        (scratch / part / "file").write_text(text)


def published(root):
    return [(root / part / "quick" / "01_small" / "file").read_text() for part in ("results", "figures")]


def test_publishing_replaces_and_nothing_else_does(tmp_path):
    for text in ("old", "new"):
        with scratch_folder(tmp_path, "01_small") as scratch:
            fill(scratch, text)
            publish(scratch, "quick/01_small")
    with scratch_folder(tmp_path, "01_small") as scratch:
        fill(scratch, "not published")
    assert published(tmp_path) == ["new", "new"] and leftovers(tmp_path) == []


@pytest.mark.parametrize("step", range(1, 5))
def test_publishing_that_was_killed_half_way_is_completed(tmp_path, monkeypatch, step):
    with scratch_folder(tmp_path, "01_small") as scratch:
        fill(scratch, "old")
        publish(scratch, "quick/01_small")
    child = os.fork()
    if child == 0:
        die_at_rename(step)
        with scratch_folder(tmp_path, "01_small") as scratch:
            fill(scratch, "new")
            publish(scratch, "quick/01_small")
        os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9
    recover(tmp_path)
    assert published(tmp_path) == ["new", "new"] and leftovers(tmp_path) == []


def die_at_rename(step):
    rename, count = os.rename, iter(range(1, 100))

    def dying(*arguments):
        if next(count) == step:
            os._exit(9)
        rename(*arguments)

    os.rename = dying


def test_scrubbing_leaves_text_and_pictures_alone(tmp_path):
    record = {
        "text": f"{tmp_path}/results/a.csv and /usr/lib/python3/x.py, </td></tr>, https://a.org/b/c, members/non-members, 1/2",
        "image/png": "/ab/cd/ef",
    }
    clean = redact.scrub(record, tmp_path / "scratch", tmp_path)
    assert clean["text"].startswith("./results/a.csv and ") and clean["image/png"] == "/ab/cd/ef"
    assert clean["text"].endswith("x.py, </td></tr>, https://a.org/b/c, members/non-members, 1/2")
    assert redact.absolute_paths(clean) == []


def test_what_a_notebook_imports_leaves_out_what_takes_long_and_is_seldom_used():
    late = {"sklearn", "scipy.stats", "seaborn", "torchvision", "opacus", "papermill"}
    code = f"import sys; from mialib import data, paper, plots, runs, study, training; print({late} & set(sys.modules))"
    asked = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert asked.stdout == "set()\n", asked.stderr


def test_the_command_line_waits_for_no_table_or_picture():
    code = "import sys, mialib.runs.command; print({'torch', 'pandas', 'matplotlib', 'papermill'} & set(sys.modules))"
    asked = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert asked.stdout == "set()\n", asked.stderr


@pytest.mark.parametrize(("jobs", "given", "threads"), [(1, None, "4"), (2, None, "2"), (3, None, "1"), (2, "3", "3")])
def test_notebooks_side_by_side_divide_the_cores(root, monkeypatch, jobs, given, threads):
    class Ended:
        stdout = ()

        def wait(self):
            return 0

    seen = []
    monkeypatch.setattr("mialib.runs.schedule.cores", lambda: 4)
    monkeypatch.setattr("mialib.runs.schedule.subprocess.Popen", lambda *_, env, **__: seen.append(env) or Ended())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)  # the user's own word goes first
    for name in ("02_other", "03_third"):
        shutil.copy(root / "notebooks" / "01_small.ipynb", root / "notebooks" / f"{name}.ipynb")
    assert schedule.run_all("quick", "auto", {}, jobs, root, Log(io.StringIO())) == []
    assert [environment["OMP_NUM_THREADS"] for environment in seen] == [threads] * 3
