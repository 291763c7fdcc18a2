"""The pages of `make site`, built from the committed results: whole, closed in themselves, and readable."""

from pathlib import Path

import pytest

from mialib.__main__ import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "_site"
    assert main(["site", "--root", str(ROOT), "--out", str(out)]) == 0
    return out


def test_a_folder_that_is_no_site_is_not_replaced(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["site", "--root", str(ROOT), "--out", str(tmp_path)]) == 2
    assert f"error: out is {str(tmp_path)!r}: that folder holds something else than a site" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_earlier_site_is_replaced_whole(site):
    (site / "old.html").write_text("old")
    assert main(["site", "--root", str(ROOT), "--out", str(site)]) == 0
    assert (site / "index.html").exists() and not (site / "old.html").exists()


def test_a_folder_without_notebooks_is_refused(tmp_path, capsys):
    assert main(["site", "--root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "a checkout with notebooks/ is needed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
