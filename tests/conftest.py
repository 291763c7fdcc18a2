"""Every test has a data folder and a cache of its own; official files are read where the session was given them."""

import os
from pathlib import Path

import pytest
import torch

GIVEN = os.environ.get("MIALIB_DATA")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No test reads or writes the folders of the person who runs it."""
    monkeypatch.setenv("MIALIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MIALIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIALIB_OUT", raising=False)


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch):
    """No test finds a data set that another one still held, or computes on the cores that another one made believe in."""
    monkeypatch.setattr("mialib.data.loading._loaded", {})
    cores = torch.get_num_threads()
    yield
    monkeypatch.undo()
    torch.set_num_threads(cores)


@pytest.fixture(scope="session")
def official_folder() -> Path:
    """The folder of official files that MIALIB_DATA named when the session began; the test is skipped if there is none."""
    if not GIVEN or not Path(GIVEN).is_dir():
        pytest.skip("MIALIB_DATA names no folder of official files: tests of the real data are skipped")
    return Path(GIVEN)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of the committed results."""
    from mialib.__main__ import main

    out = tmp_path_factory.mktemp("site") / "_site"
    assert main(["site", "--root", str(Path(__file__).resolve().parent.parent), "--out", str(out)]) == 0
    return out
