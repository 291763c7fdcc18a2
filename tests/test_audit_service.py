"""`mialib audit` of services that fail: what is wrong is named, what was answered is kept, the exit code is 2."""

import json
import tempfile

import numpy as np
import pandas as pd
import pytest
from served import Served
from sklearn.linear_model import LogisticRegression

from mialib.audit import command
from mialib.audit.connection import BadAnswer
from mialib.audit.remote import Remote


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two CSV files of 60 records each, and the private folder of audits beside them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("MIALIB_CACHE", raising=False)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
    table["truth"] = np.where(table["a"] + rng.normal(size=120) > 0, "yes", "no")
    table[:60].to_csv(tmp_path / "in.csv", index=False)
    table[60:].to_csv(tmp_path / "out.csv", index=False)
    model = LogisticRegression().fit(table[["a", "b", "c"]][:60], table["truth"][:60])
    return tmp_path, model


def audited(folder, url, *options):
    records = ["--members", str(folder / "in.csv"), "--nonmembers", str(folder / "out.csv"), "--label", "truth"]
    service = ["--url", url, "--service-model", "digits", "--batch", "20", "--out", str(folder / "report"), "--quiet"]
    return command.main([*records, *service, *options])


@pytest.mark.parametrize(
    "fault, words",
    [
        ("classes", "2 numbers"),
        ("half", "10"),
        ("nan", "finite"),
        ("hang", "timeout"),
        ("500", "500"),
        ("text", "JSON"),
    ],
)
def test_a_service_that_fails_in_mid_audit_is_named_and_loses_nothing(files, capsys, fault, words):
    folder, model = files
    with Served(model, faults={3: fault}) as service:
        assert audited(folder, service.url, "--timeout", "0.5") == 2
        said = capsys.readouterr().err
        assert said.count("error: ") == 1 and words in said and "Traceback" not in said
        assert not (folder / "report").exists()
        before = sum(service.rows)
        assert before >= 40
        assert audited(folder, service.url) == 0
        assert sum(service.rows) <= before + 80  # what was answered is not asked again
    about = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))["about"]
    assert about["command"].startswith("mialib audit --members") and about["command"].endswith("--quiet")
    assert not [*folder.glob("mialib-audits-*/*")]


def test_a_budget_too_small_for_anything_says_what_it_allows(files, capsys):
    folder, model = files
    with Served(model) as service:
        assert audited(folder, service.url, "--max-queries", "30") == 2
        assert service.rows == []
    assert "must allow at least 50 rows" in capsys.readouterr().err


def test_a_report_that_exists_is_kept(files, capsys):
    folder, model = files
    with Served(model) as service:
        assert audited(folder, service.url) == 0
        asked = len(service.rows)
        first = (folder / "report" / "report.json").read_bytes()
        assert audited(folder, service.url) == 2
        assert len(service.rows) == asked and (folder / "report" / "report.json").read_bytes() == first
        assert "--force" in capsys.readouterr().err
        assert audited(folder, service.url, "--force", "--seed", "1") == 0
    assert (folder / "report" / "report.json").read_bytes() != first


def test_a_version_that_changes_in_mid_audit_is_no_answer(files):
    folder, model = files
    with Served(model, faults={1: "version"}) as service, pytest.raises(BadAnswer, match="version"):
        Remote(service.url, model="digits", batch=20).ask(pd.read_csv(folder / "in.csv").drop(columns="truth"))
