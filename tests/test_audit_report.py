"""The report of an audit: a folder that is whole or absent, JSON that any parser reads, a page that loads nothing."""

import base64
import hashlib
import json
import os
import re
import stat
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from audited import made_audit
from PIL import Image

from mialib.audit import Audit, figures, markup, page, report
from mialib.audit.report import check_folder

matplotlib.use("Agg")
BAD = "<script>alert(1)</script>"
LONG = "a label that is so long that no column of any table holds it in one line " * 3
CASES = {
    "two classes": {},
    "many classes": {"n": 1800, "names": [f"class number {i}" for i in range(120)]},
    "no shadows": {"attackers": ("no shadows",), "groups": False, "moment": "none", "verdict": "cannot tell", "n": 120},
    "picture": {"moment": "picture", "verdict": "no leak found", "leak": 0.05, "names": [str(i) for i in range(10)]},
    "words": {"names": [BAD, LONG, 'quo"te & <b>', "$5"], "verdict": "members differ"},
}
VOID = {"meta", "img", "br", "hr", "link", "input"}


@pytest.fixture(scope="module")
def audits() -> dict[str, Audit]:
    return {name: made_audit(**{"n": 400, **case}) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def pages(audits) -> dict[str, str]:
    return {name: page.report_page(audit) for name, audit in audits.items()}


@pytest.fixture
def audit(audits) -> Audit:
    return audits["two classes"]


@pytest.fixture
def plain_page(monkeypatch):
    """For tests of the folder, which need no figures."""
    monkeypatch.setattr(page, "report_page", lambda audit: f"<p>{audit.verdict}</p>")


class Elements(HTMLParser):
    """All elements of a page, (tag, attributes), those open around each text, and whatever is not closed as it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.open, self.wrong, self.texts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))

    def handle_data(self, data):
        self.texts.append((list(self.open), data))

    def within(self, tag: str) -> str:
        return "".join(data for around, data in self.texts if tag in around)


def strict(text: str):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


# The folder


def test_a_folder_holds_the_page_the_json_and_the_tables_for_its_owner_alone(audit, tmp_path):
    folder = audit.save(tmp_path / "new" / "report")
    assert folder == tmp_path / "new" / "report"
    assert set(files(folder)) == report.REPORT_FILES and len(report.REPORT_FILES) == 9
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert [each.name for each in folder.parent.iterdir()] == ["report"]
    for name in report.REPORT_TABLES:
        read = pd.read_csv(folder / f"{name}.csv")
        pd.testing.assert_frame_equal(read, getattr(audit, name), check_names=False, check_dtype=False)


def test_a_folder_that_exists_is_kept(plain_page, audit, tmp_path):
    folder = audit.save(tmp_path / "report")
    before = files(folder)
    with pytest.raises(FileExistsError, match=r"folder .*report exists and is kept.*force=True \(--force\)"):
        audit.save(folder)
    with pytest.raises(FileExistsError, match="exists and is kept"):
        check_folder(folder)
    assert files(folder) == before


def test_force_replaces_a_report_and_nothing_but_a_report(plain_page, audit, tmp_path):
    folder = audit.save(tmp_path / "report")
    other = replace(audit, verdict="cannot tell")
    assert other.save(folder, force=True) == folder
    assert strict((folder / "report.json").read_text(encoding="utf-8"))["verdict"] == "cannot tell"
    assert [each.name for each in tmp_path.iterdir()] == ["report"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds more than a report: move notes\.txt first"):
        audit.save(folder, force=True)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": "1"}', '{"schema": true}', '{"verdict": "leaks"}', "\udcff"])
def test_what_is_no_report_is_never_deleted(plain_page, audit, tmp_path, content):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.png").write_bytes(b"cat")
    if content is not None:
        (folder / "report.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    before = files(folder)
    with pytest.raises(FileExistsError, match=r"photos is not a report \(no report\.json with a schema\): it is kept"):
        audit.save(folder, force=True)
    assert files(folder) == before and [each.name for each in tmp_path.iterdir()] == ["photos"]


def test_a_file_is_no_folder_and_an_empty_folder_is_nothing_to_lose(plain_page, audit, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="is a file"):
        check_folder(tmp_path / "file", force=True)
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        check_folder(tmp_path / "file" / "report")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileExistsError, match="exists and is kept"):
        audit.save(tmp_path / "empty")
    assert len(files(audit.save(tmp_path / "empty", force=True))) == 9
    with pytest.raises(TypeError, match="force must be True or False"):
        check_folder(tmp_path / "new", force="yes")


def test_a_link_to_a_report_stays_a_link(plain_page, audit, tmp_path):
    folder = audit.save(tmp_path / "report")
    (tmp_path / "latest").symlink_to(folder)
    assert audit.save(tmp_path / "latest", force=True) == folder
    assert (tmp_path / "latest").is_symlink() and len(files(folder)) == 9


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made_is_told_beforehand(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="may not be written to"):
        check_folder(tmp_path / "report")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("force", [False, True])
def test_a_report_that_fails_midway_leaves_nothing_and_loses_nothing(plain_page, audit, tmp_path, monkeypatch, force):
    before = files(audit.save(tmp_path / "report")) if force else {}

    def fail(audit):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "report_dict", fail)
    with pytest.raises(KeyboardInterrupt):
        audit.save(tmp_path / "report", force=force)
    assert [each.name for each in tmp_path.iterdir()] == (["report"] if force else [])
    assert (files(tmp_path / "report") if force else {}) == before


def test_an_old_report_comes_back_where_the_new_one_cannot_take_its_place(plain_page, audit, tmp_path, monkeypatch):
    folder = audit.save(tmp_path / "report")
    before, rename = files(folder), Path.rename

    def fail(self, target):
        if (self / "report.json").exists() and Path(target) == folder and self.parent == tmp_path:
            raise OSError("no room")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no room"):
        replace(audit, verdict="cannot tell").save(folder, force=True)
    assert files(folder) == before and [each.name for each in tmp_path.iterdir()] == ["report"]


def test_a_folder_that_appears_during_the_work_is_kept(audit, tmp_path, monkeypatch):
    def meanwhile(audit):
        (tmp_path / "report").mkdir()
        return ""

    monkeypatch.setattr(page, "report_page", meanwhile)
    with pytest.raises(FileExistsError, match="exists and is kept"):
        audit.save(tmp_path / "report")
    assert not files(tmp_path / "report") and len(list(tmp_path.iterdir())) == 1


# report.json


def test_the_json_is_strict_and_says_what_the_audit_says(audit):
    text = json.dumps(report.report_dict(audit), allow_nan=False)
    read = strict(text)
    assert set(read) == {
        "schema", "verdict", "summary", "assumptions", "about", "attacks", "groups", "remedies", "less", "records", "counts",
    }  # fmt: skip
    assert (read["schema"], read["verdict"], read["summary"]) == (1, audit.verdict, audit.summary)
    assert read["assumptions"] == list(audit.assumptions) and read["about"]["seconds"] is None
    for name in ("attacks", "groups", "remedies", "less"):
        frame = getattr(audit, name)
        again = pd.DataFrame(read[name], columns=frame.columns)
        pd.testing.assert_frame_equal(again.astype(frame.dtypes.to_dict()), frame.reset_index(drop=True))
    assert any(row["tpr_at_0.001"] is None for row in read["attacks"])
    assert len(read["records"]) == 100 and read["counts"] == {"records": 400, "members": 200, "nonmembers": 200}
    assert [row["index"] for row in read["records"]] == list(audit.records["index"][:100])


def test_values_become_plain():
    given = {
        1: np.int64(2), "a": np.float32(0.5), "b": float("inf"), "c": (np.nan, pd.NA, pd.NaT, None), "d": np.array([1, np.nan]),
        "e": np.bool_(True), "f": pd.Timestamp("2020-01-02"), "g": {"h": Path("x")}, "i": frozenset({3}), "j": "text",
    }  # fmt: skip
    assert report.plain(given) == {
        "1": 2, "a": 0.5, "b": None, "c": [None] * 4, "d": [1.0, None], "e": True, "f": "2020-01-02 00:00:00", "g": {"h": "x"},
        "i": [3], "j": "text",
    }  # fmt: skip


# report.html


def test_pages_are_well_formed_with_unique_anchors(pages):
    for text in pages.values():
        elements = Elements(text)
        assert not elements.wrong and not elements.open
        ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = {attributes["href"] for tag, attributes in elements.found if tag in ("a", "use")}
        assert links and links <= {f"#{each}" for each in ids}
        assert {f"#{each}" for each in re.findall(r"url\(#([^)]*)\)", text)} <= {f"#{each}" for each in ids}


def test_pages_load_nothing(pages):
    for text in pages.values():
        for tag, attributes in Elements(text).found:
            for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
                assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
            assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert "@import" not in text and not re.search(r"url\(\s*['\"]?(?!#)", text)
        assert "default-src 'none'" in text
        assert not re.search(r"(/home|/root|/tmp|/work|/Users|file:)/", text)


def test_pages_never_call_a_model_what_no_audit_shows(pages):
    for text in pages.values():
        assert not re.search(r"\bsafe(ty|ly)?\b", text, re.IGNORECASE)


def test_what_users_wrote_is_text_not_markup(pages, audits):
    text = pages["words"]
    elements = Elements(text)
    assert sum(tag == "script" for tag, _ in elements.found) == 1 and "alert(1)" not in elements.within("script")
    assert BAD not in text and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert {BAD, LONG.strip(), 'quo"te & <b>', "$5"} <= {data.strip() for _, data in elements.texts}
    nasty = '"><img src=x onerror=alert(1)>'
    about = {"command": nasty, nasty: {nasty: [nasty]}}
    moment = audits["two classes"].moment._replace(fields={nasty: nasty, "its": BAD}, label=nasty)
    records = audits["two classes"].records.assign(index=nasty, label=nasty, predicted=nasty)
    less = audits["two classes"].less.assign(attacker=nasty)
    remedies = audits["two classes"].remedies.assign(mitigation=nasty)
    groups = audits["two classes"].groups.assign(column=nasty, value=nasty)
    worst = replace(
        audits["two classes"], summary=nasty, assumptions=[nasty], about=about, moment=moment, records=records, less=less,
        remedies=remedies, groups=groups,
    )  # fmt: skip
    for shown in (page.report_page(worst), worst._repr_html_()):
        assert "<img src=x" not in shown and not any(attributes.get("onerror") for _, attributes in Elements(shown).found)


def test_only_the_script_of_the_page_may_run(pages):
    text = pages["two classes"]
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text and "aria-sort" in script


def test_pages_begin_with_the_verdict_and_go_on_in_order(pages, audits):
    for name, text in pages.items():
        elements = Elements(text)
        assert elements.within("h1") == page.HEADLINES[audits[name].verdict][1] == elements.within("title")
        found = [attributes["id"] for tag, attributes in elements.found if tag == "section"]
        order = ["people", "moment", "attacks", "curves", "groups", "records", "remedies", "less", "assumed", "made"]
        left_out = {"no shadows": {"moment"}, "words": {"people"}}.get(name, set())
        assert found == [each for each in order if each not in left_out]
    assert len(page.HEADLINES) == 4 and "None of" not in pages["no shadows"] and "nan" not in re.findall(r">([^<]*)<", text)


def test_the_headline_is_told_in_people(audits, pages):
    row = page.headline_row(audits["two classes"])
    for prior in ("0.01", "0.1", "0.5"):
        assert f"{1000 * row[f'precision_at_{prior}']:,.0f} of 1,000 accused" in pages["two classes"]
    text = Elements(pages["two classes"]).within("section")
    assert "if one in ten of those asked about is a member" in text
    assert (
        page.headline_row(replace(audits["two classes"], attacks=audits["two classes"].attacks.assign(headline=False))) is None
    )


def test_the_truth_waits_until_it_is_asked_for_and_is_printed(audits):
    for member, score, said in (
        (True, 2.0, "Yes, it was. The attack accused it, and was right."), (True, 1.0, "Yes, it was. The attack missed it."),
        (False, 2.0, "No, it was not. The attack accused a stranger."), (False, 1.0, "No, it was not. The attack let it go"),
    ):  # fmt: skip
        moment = audits["two classes"].moment._replace(member=member, score=score, threshold=1.25)
        text = page.sections.moment_section(replace(audits["two classes"], moment=moment))
        hidden, printed = re.findall(r"<details.*?</details>|<div class=\"printed\">.*?</div>", text)
        assert "<details class" in hidden and "open" not in re.search("<details[^>]*>", hidden)[0]
        assert said in re.sub("<[^>]*>", "", hidden) and said in re.sub("<[^>]*>", "", printed)
        rest = re.sub("<[^>]*>", " ", text.replace(hidden, "").replace(printed, ""))
        assert "Yes, it was" not in rest and "No, it was" not in rest
        assert ("does not accuse" in rest) == (score < 1.25)
    style = Path(page.__file__).with_name("report.css").read_text(encoding="utf-8")
    screen, _, paper = style.partition("@media print")
    assert ".printed { display: none; }" in screen and ".printed { display: block; }" in paper
    assert "details.truth { display: none; }" in paper and "max-height: none" in paper


def test_a_moment_without_a_threshold_says_so(audits):
    moment = audits["two classes"].moment._replace(threshold=np.nan)
    text = re.sub("<[^>]*>", "", page.sections.moment_section(replace(audits["two classes"], moment=moment)))
    assert "no threshold for 1% of strangers" in text and "accus" not in text and "nan" not in text
    assert "In the training set? No, it was not." in text


def test_a_record_that_is_a_picture_is_shown_as_one(audits, pages):
    moment = audits["picture"].moment
    sources = [attributes["src"] for tag, attributes in Elements(pages["picture"]).found if tag == "img"]
    (source,) = [each for each in sources if len(each) < 10_000]
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB"))[:, :, 0]
    np.testing.assert_array_equal(shown, moment.fields["picture"])


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_pixels_become_a_png_bytes_or_shares(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected = np.broadcast_to(pixels.reshape(5, 4, -1), (5, 4, 3))
    for given in (pixels, pixels / 255):
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(markup.picture_of(given))).convert("RGB")), expected)


def test_a_record_of_many_fields_is_cut_and_one_without_probabilities_has_no_picture(audits):
    moment = audits["two classes"].moment._replace(
        fields={f"bit {i}": i % 2 for i in range(600)}, target=np.nan, members=(), strangers=()
    )
    text = page.sections.moment_section(replace(audits["two classes"], moment=moment))
    assert text.count("<dt>") == page.sections.MOST_FIELDS + 1 and "and 560 more fields" in text
    assert "<svg" not in text and "gives its class" not in text


def test_tables_hold_every_row_and_sort_by_numbers(audits, pages):
    for name, text in pages.items():
        audit = audits[name]
        sizes = [len(audit.attacks)] * 2 + ([len(audit.groups)] if len(audit.groups) else []) + [30, len(audit.remedies), 2]
        tables = re.findall(r'<table class="sortable">.*?</table>', text, re.DOTALL)
        assert [table.count("<tr") - 1 for table in tables[:-1]] == sizes
        assert all("<caption>" in table and 'scope="col"' in table for table in tables)
    first = re.findall(r'<table class="sortable">.*?</table>', pages["two classes"], re.DOTALL)[0]
    row = audits["two classes"].attacks.iloc[0]
    assert f'data-v="{float(row["auc"])!r}"' in first and 'data-v=""' in first
    assert first.count("class=headline") == 1


def test_groups_are_told_with_the_number_of_looks(pages):
    text = Elements(pages["many classes"]).within("section")
    assert "122 groups were looked at. If none differed, about 6 would still seem to at the usual 5%" in text
    assert "No groups were compared." in pages["no shadows"]


def test_settings_within_settings_are_one_list(audit):
    about = {
        "a": {"b": 1, "c": {"d": 2.5}},
        "references": [{"n": 8}, {"n": 9}],
        "classes": list(range(30)),
        "none": None,
        "e": [],
    }
    rows = dict(page.sections._flat(about))
    assert rows["classes"] == ", ".join(map(str, range(20))) + ", and 10 more" and rows["none"] is None and rows["e"] == ""
    del rows["classes"], rows["none"], rows["e"]
    assert rows == {"a: b": 1, "a: c: d": 2.5, "references 1: n": 8, "references 2: n": 9}


def test_tables_stand_as_their_figures_best_first_and_attackers_apart(audits, pages):
    table = re.findall(r'<table class="sortable">.*?</table>', pages["two classes"], re.DOTALL)[0]
    values = [float(each) for each in re.findall(r'<td class="n" data-v="([^"]*)">\d\.\d\d <span', table)]
    attacks = audits["two classes"].attacks
    expected = [sorted(rows["auc"], reverse=True) for _, rows in attacks.groupby("attacker", sort=False)]
    assert values == [float(each) for part in expected for each in part]


def test_attackers_are_told_apart(pages):
    whole, alone = (Elements(pages[name]).within("section") for name in ("two classes", "no shadows"))
    for words, _ in page.sections.WHO_ATTACKS.values():
        assert words in whole
    assert "The auditor" not in alone and "An attacker without shadows" in alone


def test_an_audit_of_nothing_is_still_a_page(audits, tmp_path):
    audit = audits["no shadows"]
    tables = {name: getattr(audit, name).iloc[:0] for name in report.REPORT_TABLES}
    bare = replace(audit, **tables, assumptions=(), about={})
    folder = bare.save(tmp_path / "report")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not Elements(text).wrong and "No attack could be made" in text and "No mitigation was tried." in text
    read = strict((folder / "report.json").read_text(encoding="utf-8"))
    assert read["attacks"] == read["records"] == [] and read["counts"] == {"records": 0, "members": 0, "nonmembers": 0}
    for name in figures.AUDIT_FIGURES:
        with pytest.raises(ValueError, match=f"name is '{name}': this audit has nothing to draw there"):
            bare.figure(name)


def test_numbers_read_well():
    rates = [0, 1, 0.5, 0.1234, 0.0123, 0.00123, 0.00001, np.nan, None, 0.99999]
    expected = ["0%", "100%", "50.0%", "12.3%", "1.2%", "0.12%", "under 0.01%", "–", "–", "100.0%"]
    assert [markup.percent(rate) for rate in rates] == expected
    assert [markup.chance(p) for p in (0.5, 0.04, 0.00004, np.nan)] == ["0.50", "0.04", "&lt;0.001", "–"]
    row = {"auc": 0.611, "auc_low": 0.58, "auc_high": 0.637, "x": 0.5, "r": 0.25, "r_low": 0.2, "r_high": 0.3}
    shown = [re.sub("<[^>]*>", "", markup.with_interval(row, name)) for name in ("auc", "x", "none")]
    assert shown == ["0.61 [0.58, 0.64]", "0.50", "–"]
    assert re.sub("<[^>]*>", "", markup.with_interval(row, "r", markup.percent)) == "25.0% [20.0, 30.0]"
    values = [2174.0, 1234567.0, -0.1795, 12345.678, 2026, np.int64(7), True, "<b>", None, pd.NA, np.float32(0.5)]
    assert [markup.words_of(value) for value in values] == [
        "2174", "1234567", "−0.1795", "12345.7", "2026", "7", "True", "&lt;b&gt;", "–", "–", "0.5",
    ]  # fmt: skip
    assert page.sections._change(-0.031) == "−0.03" and page.sections._points(0.0123) == "+1.2 points"


def test_a_large_figure_becomes_a_png(audit, monkeypatch):
    figure = audit.figure("answers")
    assert "<svg" in markup.picture(figure, "answers", "caption")
    monkeypatch.setattr(markup, "LARGEST_SVG", 1000)
    text = markup.picture(figure, "answers", "a <em>caption</em>")
    assert "<svg" not in text and 'src="data:image/png;base64,' in text and 'alt="a caption"' in text


def test_pages_are_small(pages):
    assert all(len(text) < 1_000_000 for text in pages.values())


# In a notebook


def test_a_notebook_shows_the_verdict_and_the_attacks(audits):
    for audit in audits.values():
        text = audit._repr_html_()
        assert not Elements(text).wrong and page.HEADLINES[audit.verdict][1] in text
        assert text.count("<tr") == len(audit.attacks) + 1 and "<script" not in text


def test_figures_are_had_by_name(audit):
    for name in figures.AUDIT_FIGURES:
        assert audit.figure(name).axes
    with pytest.raises(ValueError, match="one of attacks, curves, answers, groups, remedies, moment, got 'nothing'"):
        audit.figure("nothing")


def test_remedies_of_an_attacker_who_adapts_share_a_panel(audit):
    adapted = audit.remedies.assign(attack=["lira_online_global", "shokri"] * 3)
    (panel,) = replace(audit, remedies=adapted).figure("remedies").axes
    assert sum(not text.get_text() for text in panel.texts) == 4  # arrows


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder here that is open and holds no others")
def test_a_folder_that_holds_no_others_is_known_before_the_work():
    with pytest.raises(PermissionError, match="may not be written to"):
        report.check_folder("/proc/audit-report")
