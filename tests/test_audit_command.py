"""The command: what it makes of its options, what it prints, how it ends. The audits themselves are tested elsewhere."""

import json
import logging
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from tqdm.std import tqdm

from mialib import audit
from mialib.__main__ import main
from mialib.audit.command import findings_in_lines

RNG = np.random.default_rng(0)
SIDES = ("members", "nonmembers", "pool")


def records(n=60):
    x = RNG.normal(size=(n, 2))
    return pd.DataFrame(x, columns=["age", "hours"]).assign(
        income=np.where(x[:, 0] > 0, "high", "low"), sex=list("fm") * (n // 2)
    )


def attacks(n=3):
    rows = [
        {
            "attack": f"attack_{i}",
            "attacker": "auditor",
            "headline": i == 1,
            "auc": 0.5 + i / 100,
            "epsilon": np.nan if i else 1.25,
        }
        for i in range(n)
    ]
    table = pd.DataFrame(rows)
    for name in ("auc_low", "auc_high", "tpr_at_0.01", "tpr_at_0.01_low", "tpr_at_0.01_high"):
        table[name] = table["auc"]
    table.loc[0, "tpr_at_0.01"] = np.nan
    return table


class Called:
    """In place of the engine: what it was asked, and a small answer."""

    def __init__(self):
        self.arguments, self.saved, self.raises = None, None, None
        self.summary, self.attacks, self.about = "It leaks.\nA second sentence.", attacks(), {}

    def __call__(self, *positional, **named):
        self.arguments = positional, named
        tqdm.write("what will be done", file=sys.stderr)
        list(tqdm(range(3), desc="a bar"))
        logging.getLogger("mialib.audit").info("a note")
        logging.getLogger("mialib.audit").warning("a\nwarning")
        for _ in range(2):
            warnings.warn("of a library", UserWarning, stacklevel=1)
        if self.raises:
            raise self.raises
        return self

    def save(self, folder, force=False):
        self.saved = Path(folder), force
        return Path(folder)


@pytest.fixture
def engine(monkeypatch):
    called = Called()
    for name in ("model", "answers"):
        monkeypatch.setattr(audit, name, called)
    return called


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of records and a model in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in SIDES:
        records().to_csv(f"{name}.csv", index=False)
    frame = records()
    skops.io.dump(LogisticRegression().fit(frame[["hours", "age"]], frame["income"]), "model.skops")
    return ["audit", "--members", "members.csv", "--nonmembers", "nonmembers.csv"]


OF_A_MODEL = ["--model", "model.skops", "--label", "income"]


def test_a_model_and_its_records(files, engine, tmp_path):
    assert (
        main([*files, *OF_A_MODEL, "--pool", "pool.csv", "--groups", "sex, age", "--shadows", "8", "--max-queries", "99"]) == 0
    )
    (target,), named = engine.arguments
    assert isinstance(target, LogisticRegression)
    for name in SIDES:
        table = pd.read_csv(f"{name}.csv")
        pd.testing.assert_frame_equal(named[name][0], table[["hours", "age"]])  # as the model was fitted: no sex, this order
        assert named[name][1].tolist() == table["income"].tolist()
    both = pd.concat([pd.read_csv("members.csv"), pd.read_csv("nonmembers.csv")])
    assert named["groups"] == {"sex": both["sex"].tolist(), "age": both["age"].tolist()}
    assert (named["n_shadows"], named["max_queries"], named["seed"], named["keep"], named["trainer"]) == (8, 99, 0, False, None)
    assert engine.saved == (tmp_path / "audit-report", False)


def test_what_is_not_said_is_left_to_the_library(files, engine):
    assert main([*files, *OF_A_MODEL]) == 0
    assert set(engine.arguments[1]) == {"members", "nonmembers", "trainer", "groups", "seed", "keep"}
    assert engine.arguments[1]["groups"] is None


def test_files_of_answers(files, engine, tmp_path):
    assert main([*files, "--label", "income", "--seed", "3", "--groups", "sex", "--out", "found/here", "--force"]) == 0
    assert engine.arguments == (("members.csv", "nonmembers.csv"), {"label": "income", "seed": 3, "groups": ["sex"]})
    assert engine.saved == (tmp_path / "found" / "here", True)


def test_a_service(files, engine, monkeypatch):
    Path("template.json").write_text(json.dumps({"request": {"rows": "{{records}}"}, "answers": "p"}))
    given = ["--url", "http://127.0.0.1:9/x", "--label", "income", "--template", "template.json", "--classes", "high,low"]
    given += ["--batch", "7", "--per-second", "9.5", "--retries", "2", "--timeout", "3", "--token-env", "TOKEN"]
    given += ["--max-queries", "50", "--allow-remote"]
    made = {}
    monkeypatch.setattr("mialib.audit.remote.Remote", lambda url, **named: made.update(url=url, **named) or "remote")
    assert main([*files, *given]) == 0
    assert engine.arguments[0] == ("remote",) and engine.arguments[1]["max_queries"] == 50
    template = {"request": {"rows": "{{records}}"}, "answers": "p"}
    assert made == {
        "url": "http://127.0.0.1:9/x", "protocol": "template", "template": template, "classes": ["high", "low"], "batch": 7,
        "per_second": 9.5, "retries": 2, "timeout": 3.0, "token_env": "TOKEN", "max_queries": 50, "allow_remote": True,
    }  # fmt: skip


def test_a_service_by_the_real_class(files, engine):
    assert main([*files, "--url", "http://127.0.0.1:9", "--service-model", "adult", "--label", "income"]) == 0
    assert repr(engine.arguments[0][0]) == "Remote('http://127.0.0.1:9', model='adult', protocol='v2')"


def test_a_network_with_its_own_training(files, engine):
    Path("train_here.py").write_text("def fit(x, y, seed):\n    return None\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.export is newer
        torch.jit.script(nn.Linear(2, 2)).save("net.pt")
    for side in ("in", "out"):
        np.savez(f"{side}.npz", x=RNG.normal(size=(40, 2)).astype(np.float32), y=np.arange(40) % 2)
    given = ["audit", "--model", "net.pt", "--outputs", "logits", "--fit", "train_here:fit"]
    given += ["--members", "in.npz", "--nonmembers", "out.npz"]
    assert main(given) == 0
    (target,), named = engine.arguments
    assert target.predict_proba(named["members"][0]).sum(1) == pytest.approx(1, abs=1e-6)
    assert named["trainer"].fit.__module__ == "train_here" and named["trainer"].outputs == "logits"
    sys.modules.pop("train_here")


# What is printed


def test_findings_go_out_and_notes_to_the_errors(files, engine, capsys):
    assert main([*files, *OF_A_MODEL]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:3] == ["It leaks.", "A second sentence.", ""] and lines[-1] == "report: audit-report/report.html"
    assert " ".join(lines[3].split()) == "attack (*: of the verdict) attacker AUC TPR at 1% FPR epsilon >="
    assert [line.split()[0] for line in lines[4:7]] == ["attack_1", "attack_2", "attack_0"]  # the headline, then by AUC
    assert lines[4].split()[1] == "*" and "0.510 [0.510, 0.510]" in lines[4] and lines[6].split()[-2:] == ["-", "1.25"]
    told = err.splitlines()
    assert {"what will be done", "a note", "warning: a warning"} <= set(told) and told.count("warning: of a library") == 1
    assert any("a bar" in line for line in told)
    assert told.count("columns that the model was not fitted on are not given to it: sex") == 1


def test_attacks_are_called_as_in_the_report():
    table = attacks().assign(attack=["lira_online_global", "base", "confidence"])
    lines = findings_in_lines(SimpleNamespace(summary="It leaks.", attacks=table))
    assert all(any(word in line for line in lines) for word in ("LiRA, global variance", "BASE *", "one threshold"))


def test_quiet_leaves_the_folder_and_warnings(files, engine, capsys):
    assert main([*files, *OF_A_MODEL, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == "report: audit-report/report.html\n"
    assert all(line.startswith("warning: ") for line in err.splitlines()) and "warning: a warning" in err


def test_logging_is_left_as_it_was(files, engine):
    logger = logging.getLogger("mialib")
    before = (logger.level, logger.propagate, [*logger.handlers], warnings.showwarning)
    main([*files, *OF_A_MODEL])
    assert (logger.level, logger.propagate, logger.handlers, warnings.showwarning) == before


@pytest.mark.parametrize(("sentences", "n"), [(1, 3), (1, 60), (8, 60), (14, 60)])
def test_what_is_printed_fits_a_screen(sentences, n):
    found = SimpleNamespace(summary="\n".join(["x" * 100] * sentences), attacks=attacks(n))
    lines = findings_in_lines(found)
    assert len(lines) + 2 <= 25
    shown = sum("attack_" in line for line in lines)
    told = [line for line in lines if line.startswith("…")]
    assert told == ([f"… {n - shown} more in attacks.csv"] if shown < n else [])


def test_help_has_an_example_for_each_kind(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["audit", "--help"])
    said = capsys.readouterr().out
    assert said.count("    mialib audit --") == 4
    for option in ("--model model.skops", "--fit train:fit", "--url http://127.0.0.1:8080", "--label truth"):
        assert option in said


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_command_lists_what_there_is(arguments, capsys):
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in ("audit", "run", "all", "list", "summary", "figures"))


# Bad input


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--label", "salary", "--model", "model.skops"],
            "label must be a column of members.csv, which has age, hours, income, sex",
        ),
        ([*OF_A_MODEL, "--model", "none.skops"], "model must be a file, and there is none at none.skops"),
        ([*OF_A_MODEL, "--url", "http://127.0.0.1:9"], "one of --model and --url must be given, got both"),
        ([*OF_A_MODEL, "--batch", "3", "--allow-remote"], "--batch, --allow-remote: of a service, which --url names"),
        (["--label", "income", "--shadows", "3", "--keep"], "--shadows, --keep: of a model, which --model or --url names"),
        (["--label", "income", "--trust"], "--trust: of a model, which --model names"),
        (["--label", "income", "--outputs", "logits"], "--outputs: of a model or a training function"),
        ([*OF_A_MODEL, "--groups", "job,sex"], "--groups must name columns of the files, age, hours, sex, got job"),
        ([*OF_A_MODEL, "--fit", "train.py"], "an import path must be like package.module:name, got 'train.py'"),
        ([*OF_A_MODEL, "--outputs", "logits"], "outputs must be 'probabilities' of a sklearn LogisticRegression"),
        (["--url", "ftp://127.0.0.1", "--service-model", "m", "--label", "income"], "url must"),
        (
            ["--url", "http://127.0.0.1:9", "--template", "members.csv", "--label", "income"],
            "--template members.csv must be a file of",
        ),
        (["--url", "http://127.0.0.1:9", "--template", "none.json", "--label", "income"], "none.json"),
    ],
)
def test_bad_input_is_one_line_and_ends_with_2(files, engine, capsys, given, message):
    assert main([*files, *given]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and message in err and err.count("\n") == 1 and not out
    assert engine.arguments is None


def test_columns_that_the_model_needs_are_named(files, engine, capsys):
    records().drop(columns="hours").to_csv("members.csv", index=False)
    assert main([*files, *OF_A_MODEL]) == 2
    assert "members.csv must have the columns that the model was fitted on, and lacks hours" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError, TypeError, FileExistsError, TimeoutError, ConnectionError])
def test_what_the_audit_refuses_ends_with_2(files, engine, capsys, error):
    engine.raises = error("something\n  of two lines")
    assert main([*files, *OF_A_MODEL, "--quiet"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: something of two lines"
    assert engine.saved is None


def test_a_mistake_of_ours_is_not_hidden(files, engine):
    engine.raises = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError):
        main([*files, *OF_A_MODEL])


def test_a_report_that_is_there_is_kept_and_nothing_is_read(files, engine, capsys):
    Path("audit-report").mkdir()
    Path("audit-report/mine.txt").touch()
    assert main(["audit", "--members", "none.csv", "--nonmembers", "none.csv"]) == 2
    assert "audit-report" in capsys.readouterr().err and Path("audit-report/mine.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_audit_ends_with_130(files, engine, capsys, monkeypatch, number):
    before = signal.getsignal(number)
    monkeypatch.setattr(audit, "model", lambda *_, **__: signal.raise_signal(number))
    assert main([*files, *OF_A_MODEL]) == 130
    assert "interrupted: what was answered is kept; the same command goes on" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_an_unknown_command_is_named(capsys):
    assert main(["audti"]) == 2
    assert (
        "error: no command 'audti'; there are audit, run, all, estimate, train, list, summary, figures, site"
        in capsys.readouterr().err
    )


# The study's commands


def test_commands_of_the_study_are_its_runners(capsys):
    assert main(["list", "--root", str(Path(__file__).parent.parent)]) == 0
    assert "N_SHADOWS = " in capsys.readouterr().out
    assert main(["run", "no_such", "--root", str(Path(__file__).parent.parent)]) == 2


def test_commands_of_the_study_say_what_to_install(capsys, monkeypatch):
    for name in [each for each in sys.modules if each.startswith("mialib.runs.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == 'error: this needs yaml, which is not installed: pip install "mialib[study]"\n'


def test_the_module_is_the_command_and_help_costs_no_heavy_import():
    code = "import sys, runpy; sys.argv = ['mialib', 'audit', '--help']\n"
    code += "try:\n    runpy.run_module('mialib', run_name='__main__')\nexcept SystemExit as end:\n    code = end.code\n"
    code += "print(code, {'pandas', 'torch', 'sklearn', 'skops', 'onnxruntime', 'yaml', 'matplotlib'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("usage: mialib audit") and ended.stdout.endswith("0 set()\n")


def test_the_room_has_what_it_names_and_refuses_the_rest():
    assert all(getattr(audit, name).__name__ == name for name in audit.__all__) and set(audit.__all__) <= set(dir(audit))
    with pytest.raises(AttributeError, match=r"module 'mialib.audit' has no attribute 'nothing'"):
        _ = audit.nothing
