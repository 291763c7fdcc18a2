"""The pages of `make site`, built from the committed results: whole, closed in themselves, and readable."""

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pandas as pd
import pytest

import mialib
from mialib.__main__ import main
from mialib.runs import read_table
from mialib.site import build
from mialib.site.deviations_page import deviation_pages
from mialib.site.figures import figure_words
from mialib.site.frame import SitePage, framed
from mialib.site.front import front_pages
from mialib.site.markup import anchor_of, count_cell, decimal_cell, frame_box, inline_code, interval_cell, text_cell
from mialib.site.notebook_pages import Reader, cell_anchors, place_in_notebook
from mialib.site.reference import door_of, import_room, reference_pages, room_names, signature_of
from mialib.site.scoreboard_page import scoreboard_pages
from mialib.site.sources import read_sources
from mialib.site.tidy import tidied
from mialib.site.values import condition_words, metric_words

ROOT = Path(__file__).resolve().parent.parent
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("iframe", "src"), ("object", "data")}
PAPER = "https://doi.org/"
MOST_BYTES = 15_000_000


class Page(HTMLParser):
    """A page taken apart; what is wrong in its HTML is in `wrong`."""

    def __init__(self, text):
        super().__init__()
        self.wrong, self.ids, self.links, self.loads, self.images, self.rows, self.starts = [], [], [], [], [], [], Counter()
        self._open = []
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self._open if tag != "html"]

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.starts[tag] += 1
        self.wrong += [f"{tag} {name}: an inline handler" for name in given if name.startswith("on")]
        self.wrong += [f"{tag} {name} twice" for name, n in Counter(name for name, _ in attrs).items() if n > 1]
        if tag == "script" and "src" not in given and given.get("type") != "application/json":
            self.wrong.append("an inline script")
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "img":
            self.images.append(given)
        if tag == "tr" and "data-verdict" in given:
            self.rows.append(given)
        self.loads += [given[name] for kind, name in LOADING if kind == tag and name in given]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.wrong.append(f"</{tag}> at line {self.getpos()[0]} closes <{self._open[-1] if self._open else ''}>")
        if tag in self._open:
            while self._open.pop() != tag:
                pass


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def sources():
    return read_sources(ROOT)


@pytest.fixture(scope="module")
def compared(sources):
    return read_table(sources.scoreboard.results, "compared")


# All pages


def test_html_is_well_formed(pages):
    assert {name: page.wrong for name, page in pages.items() if page.wrong} == {}


def test_every_id_is_there_once(pages):
    twice = {name: [each for each, n in Counter(page.ids).items() if n > 1] for name, page in pages.items()}
    assert {name: ids for name, ids in twice.items() if ids} == {}


def test_every_page_has_one_heading_of_the_first_rank_and_the_landmarks(pages):
    for name, page in pages.items():
        assert page.starts["h1"] == 1, name
        assert page.starts["main"] == 1 and page.starts["header"] == 1 and page.starts["footer"] == 1 and page.starts["nav"], (
            name
        )
        assert "content" in page.ids and page.links[0] == "#content", name


def test_links_lead_to_places_that_there_are(site, pages):
    lost = []
    for name, page in pages.items():
        for link in page.links:
            if link.startswith(PAPER):
                continue
            parts = urlsplit(link)
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            path = target.resolve().relative_to(site.resolve()).as_posix() if not parts.scheme else link
            known = pages[path].ids if path in pages else None
            if parts.scheme or not target.is_file() or (parts.fragment and unquote(parts.fragment) not in (known or [])):
                lost.append(f"{name}: {link}")
    assert lost == []


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for name, page in pages.items():
        for load in page.loads:
            assert load.startswith("data:") or ((site / name).parent / load).is_file(), f"{name}: {load[:80]}"
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(|@import", style.read_text(encoding="utf-8"))


def test_every_picture_says_what_it_shows(pages):
    images = [image for page in pages.values() for image in page.images]
    assert len(images) > 50
    assert all(len(image.get("alt", "")) >= 15 for image in images)


def test_the_site_is_small(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < MOST_BYTES


def test_every_notebook_has_its_page_and_every_page_is_in_the_navigation_or_below_one_that_is(pages):
    names = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert {f"notebooks/{name}.html" for name in names} == {name for name in pages if name.startswith("notebooks/")}
    assert {f"notebooks/{name}.html" for name in names} <= set(pages["notebooks.html"].links)
    assert {name for name in pages if "/" not in name} <= set(pages["index.html"].links)


# What the pages say


def test_every_compared_row_is_on_the_scoreboard(pages, compared):
    ours = [(row["data-dataset"], row["data-id"], row["data-verdict"]) for row in pages["scoreboard.html"].rows]
    assert Counter(ours) == Counter(compared[["dataset", "id", "verdict"]].itertuples(index=False, name=None))
    links = Counter(urlsplit(link).path for link in pages["scoreboard.html"].links if link.startswith("notebooks/"))
    assert links == {f"notebooks/{name}.html": n for name, n in compared["notebook"].value_counts().items()}


def test_the_tally_counts_stated_and_drawn_apart(site, compared):
    text = (site / "scoreboard.html").read_text(encoding="utf-8")
    counted = compared[compared["counts"]]
    for given, part in counted.groupby("given"):
        for verdict in ("near", "differs"):
            cell = f'data-standing="counts" data-given="{given}" data-verdict="{verdict}">{(part["verdict"] == verdict).sum()}<'
            assert cell in text


def test_the_finding_is_counted(site, compared):
    counted = compared[compared["counts"]].assign(within=lambda rows: rows["verdict"].isin(["reproduced", "near", "met"]))
    stated, drawn = (counted[counted["given"] == given]["within"] for given in ("stated", "drawn"))
    text = (site / "index.html").read_text(encoding="utf-8")
    assert f"{stated.sum()} of the {len(stated)} values" in text and f"{drawn.sum()} of the {len(drawn)} that" in text


def test_the_claims_open_to_all_their_tests(site, sources):
    shown = unescape(re.sub(r"<[^>]*>", "", (site / "index.html").read_text(encoding="utf-8")))
    for name in ("claims", "modern_claims", "related_claims"):
        table = read_table(sources.scoreboard.results, name)
        for row in table.itertuples():
            for text in (row.test, row.evidence if isinstance(row.evidence, str) else ""):
                assert text in shown
    statements = read_table(sources.scoreboard.results, "claim_dots")["statement"].unique()
    assert len(statements) == 9 and all(text in shown for text in statements)


def test_every_name_of_a_door_is_in_the_reference_and_says_what_it_is(pages):
    ids = set(pages["reference.html"].ids)
    assert {f"{room}.{name}" for room in room_names() for name in door_of(import_room(room))} <= ids
    assert {f"{room}.{name}" for name, room in mialib.ROOM_OF.items()} <= ids


def test_signatures_are_as_one_would_call_them():
    assert signature_of("load", mialib.load) == 'load(name: str, mode: str = "auto") -> Dataset'
    assert signature_of("tpr_at_fpr", mialib.tpr_at_fpr).startswith("tpr_at_fpr(data: AttackData | np.ndarray, ")
    assert '\n    *,\n    mode: str = "online",\n' in signature_of("lira", mialib.lira)
    assert signature_of("NAMES", ("mnist",)) == "NAMES: tuple"
    assert signature_of("f", lambda a, *b, c=None, **d: a) == "f(a, *b, c=None, **d)"


def test_every_deviation_and_open_question_is_told(site, sources):
    shown = unescape(re.sub(r"<[^>]*>", "", (site / "deviations.html").read_text(encoding="utf-8")))
    settings = read_table(sources.scoreboard.results, "deviations")
    texts = [*settings["paper"], *settings["ours"], *settings["why"].dropna()]
    questions = read_table(sources.scoreboard.results, "open_questions")
    texts += [text for column in questions for text in questions[column].dropna()]
    assert [text for text in texts if " ".join(re.sub(r"[`*]", "", str(text)).split()) not in shown] == []
    assert f"Of {len(settings)} settings that the paper states, {settings['deviates'].sum()} were others here" in shown


# What is missing is named


def without(sources, table, folder):
    """The sources with a scoreboard that lacks one table."""
    run = sources.scoreboard
    (folder / "paper").mkdir()
    for path in run.results.glob("*.csv"):
        if path.stem != table:
            (folder / "paper" / path.name).write_bytes(path.read_bytes())
    return sources._replace(runs=sources.runs | {run.name: run._replace(results=folder / "paper")})


@pytest.mark.parametrize(
    ("maker", "table"),
    [
        (front_pages, "compared"),
        (front_pages, "claim_dots"),
        (front_pages, "related_claims"),
        (scoreboard_pages, "tally"),
        (deviation_pages, "deviations"),
        (deviation_pages, "open_questions"),
    ],
)
def test_a_table_that_is_missing_is_named(sources, tmp_path, maker, table):
    with pytest.raises(ValueError, match=f"table '{table}' is not saved in this run"):
        list(maker(without(sources, table, tmp_path)))


def test_a_verdict_that_is_none_is_refused(sources, tmp_path):
    broken = without(sources, "", tmp_path)
    path = broken.scoreboard.results / "compared.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",near,", ",nearly,", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="verdict is 'nearly'; allowed are: reproduced, near, "):
        list(scoreboard_pages(broken))


def test_a_notebook_that_was_not_run_is_named(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_cifar10.ipynb").touch()
    with pytest.raises(ValueError, match="results of the profile paper lack 01_cifar10: run them, such as make 01_cifar10"):
        read_sources(tmp_path)


def test_a_figure_is_said_in_the_words_of_what_draws_it(sources):
    words = figure_words(sources.scoreboard, "claims")
    assert words.startswith("The nine claims") and "tests:" not in words and "`" not in words


def test_a_figure_that_the_run_does_not_know_is_refused(sources):
    with pytest.raises(ValueError, match=r"run\.json knows no figure 'nothing'; there are "):
        figure_words(sources.scoreboard, "nothing")


# The folder


@pytest.fixture
def small(monkeypatch):
    """A site of one page, made in no time."""
    monkeypatch.setattr(build, "MAKERS", (lambda sources: [SitePage("index.html", "One", "<h1>One</h1>")],))


def test_a_folder_that_is_no_site_is_not_replaced(small, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["site", "--root", str(ROOT), "--out", str(tmp_path)]) == 2
    assert f"error: out is {str(tmp_path)!r}: that folder holds something else than a site" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_earlier_site_is_replaced_whole(small, tmp_path):
    for _ in range(2):
        assert main(["site", "--root", str(ROOT), "--out", str(tmp_path / "out")]) == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["index.html", "static"]
        (tmp_path / "out" / "old.html").write_text("old")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_folder(small, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["site", "--root", str(ROOT), "--out", str(tmp_path / "out")]) == 2
    assert "a folder is needed" in capsys.readouterr().err


def test_a_site_that_cannot_be_made_leaves_the_earlier_one(small, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert main(["site", "--root", str(ROOT), "--out", str(out)]) == 0

    def broken(sources):
        raise ValueError("no page today")

    monkeypatch.setattr(build, "MAKERS", (broken,))
    assert main(["site", "--root", str(ROOT), "--out", str(out)]) == 2
    assert (out / "index.html").exists() and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_without_notebooks_is_refused(tmp_path, capsys):
    assert main(["site", "--root", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "a checkout with notebooks/ is needed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_pages_at_one_place_are_refused(sources, monkeypatch):
    monkeypatch.setattr(build, "MAKERS", (lambda sources: [SitePage("a.html", "A", ""), SitePage("a.html", "B", "")],))
    with pytest.raises(ValueError, match=r"two pages are called a\.html"):
        build.site_pages(sources)


# Pieces


def test_the_navigation_shows_what_was_made_and_where_one_is():
    text = framed(
        SitePage("notebooks/a.html", "A < B", "", ["charts.js"], section="notebooks.html"), ["index.html", "notebooks.html"]
    )
    assert '<a href="../notebooks.html" aria-current="true">Notebooks</a>' in text and "scoreboard.html" not in text
    assert "<title>A &lt; B · " in text and '<script src="../static/charts.js" defer></script>' in text


def test_cells_are_numbers_in_words():
    assert decimal_cell(-0.25) == ("−0.250", -0.25)
    assert count_cell(10520.0) == ("10,520", 10520.0)
    assert interval_cell(0.5, 0.4, 0.6).html == '0.500 <span class="range">[0.400, 0.600]</span>'
    assert interval_cell(0.5, np.nan, 0.6).html == "0.500"
    assert text_cell("a < b").html == "a &lt; b" and text_cell(np.nan).html == text_cell("").html == "–"
    missing = decimal_cell(np.nan)
    assert missing.html == "–" and np.isnan(missing.number)


def test_a_table_is_whole_with_heads_and_numbers_to_sort_by():
    html = frame_box(
        pd.DataFrame({"a": ["x", None], "n": [1, 20000], "share": [0.5, np.nan], "ok": [True, False]}), "All & sundry"
    )
    assert html.startswith('<div class="scroll" tabindex="0" role="region" aria-label="All &amp; sundry">')
    assert (
        '<tr><th scope="row">x</th><td class="n" data-v="1">1</td><td class="n" data-v="0.5">0.500</td><td>True</td></tr>'
        in html
    )
    assert '<td class="n" data-v="20000">20,000</td><td class="n" data-v="">–</td>' in html
    assert not Page(html).wrong


def test_words_in_backticks_are_code_and_between_stars_stressed():
    assert inline_code("a `b*c` *really* 2 * 3 * 4 <x>") == "a <code>b*c</code> <em>really</em> 2 * 3 * 4 &lt;x&gt;"


def test_anchors_are_words_and_unlike():
    assert anchor_of("What surprised, and <em>what</em> stays open") == "what-surprised-and-what-stays-open"
    assert anchor_of("Data", {"data", "data-2"}) == "data-3" and anchor_of("?!") == "part"


def test_shown_html_is_words_and_tables_alone():
    html = (
        '<style scoped>.x {}</style><table class="dataframe" id="T_1" onclick="x()"><thead><tr style="text-align: right;">'
        '<th></th><th colspan="2">both</th></tr></thead>'
        "<tbody><tr><th>0</th><td>0.123</td><td>a &lt; b</td><td>−1,200</td></tr>"
        "</tbody></table><script>alert(1)</script><img src='http://x'><p>after"
    )
    tidy = tidied(html, "The attack")
    assert tidy == (
        '<div class="scroll" tabindex="0" role="region" aria-label="The attack"><table><thead><tr><th scope="col"></th>'
        '<th colspan="2" scope="colgroup">both</th></tr></thead><tbody><tr><th scope="row">0</th><td class="n">0.123</td>'
        '<td>a &lt; b</td><td class="n">−1,200</td></tr></tbody></table></div><p>after</p>'
    )


@pytest.mark.parametrize("text", ["0.612 [0.580, 0.644]", "≥ 0.950", "1,200", "−3e-05", "97%", "NaN"])
def test_numbers_are_set_flush_right_and_words_are_not(text):
    row = f"<table><tbody><tr><td>{text}</td><td>{text} or so</td></tr></tbody></table>"
    assert f'<td class="n">{text}</td><td>{text} or so</td>' in tidied(row, "Numbers")


def test_a_table_that_only_a_script_fills_is_refused():
    with pytest.raises(ValueError, match="a table in 'Data' is filled by a script alone"):
        tidied('<table id="itables_1"><tr></tr></table><script type="module">fill()</script>', "Data")


@pytest.fixture
def reader(sources):
    return Reader(sources.run_of("04_location"), list(sources.runs))


def test_prose_has_places_and_no_links_to_a_network(reader):
    html = reader.prose(
        "## Data\n\n## Data\n\n[b](../05_texas/05_texas.ipynb) [p](https://doi.org/10.1109/SP.2017.41) "
        "[w](https://example.org) `05_texas` `04_location` [`01_cifar10`](01_cifar10.ipynb) <b>bold</b>"
    )
    assert '<h2 id="data">Data</h2>' in html and '<h2 id="data-2">Data</h2>' in html
    assert '<a href="05_texas.html">b</a> <a href="https://doi.org/10.1109/SP.2017.41">p</a> w ' in html
    assert '<a href="05_texas.html"><code>05_texas</code></a> <code>04_location</code>' in html
    assert html.count("01_cifar10.html") == 1 and "&lt;b&gt;" in html
    assert reader.sections == [("data", "Data"), ("data-2", "Data")]


def test_controls_that_need_a_kernel_show_nothing_and_their_picture_is_shown(reader):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "HBox(children=…)"}
    cell = SimpleNamespace(source="play()")
    assert reader.shown(nbformat.from_dict({"data": widget, "metadata": {}}), cell) == ""
    svg = {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'></svg>", "text/plain": "a figure"}
    assert '<img src="data:image/svg+xml;base64,' in reader.shown(nbformat.from_dict({"data": svg, "metadata": {}}), cell)
    assert "<pre" in reader.shown(nbformat.from_dict({"data": {"text/plain": "\x1b[31m3 < 4\x1b[0m"}, "metadata": {}}), cell)


def test_code_and_messages_are_folded(reader):
    html = reader.code("\n# why\nx = 1 < 2")
    assert html.startswith('<details class="code"><summary>Code') and "# why" in html and "&lt;" in html
    assert reader.messages("\x1b[31mslow\x1b[0m\n").startswith('<details class="messages"><summary>Messages</summary>')
    assert reader.messages(" \n") == ""


def test_cells_are_known_by_what_they_save(sources):
    run = sources.run_of("08_mitigations")
    assert cell_anchors(run, 'run.table("leakage", x)\nrun.figure("knobs", plots.y, z)') == ["figure-knobs", "table-leakage"]
    several = cell_anchors(run, 'run.figure(f"table_iii_{name}", plots.y, z)')
    assert several == ["figure-table_iii_purchase100", "figure-table_iii_texas"]


def test_a_row_leads_to_the_figure_of_its_exhibit_or_to_the_comparison(sources):
    assert place_in_notebook(sources.run_of("04_location"), "F8").startswith("notebooks/04_location.html#figure-fig8")
    assert place_in_notebook(sources.run_of("04_location"), "T2") == "notebooks/04_location.html#table-compared"
    assert place_in_notebook(sources.run_of("03_purchase"), "F11").startswith("notebooks/03_purchase.html#figure-fig11")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("attack_precision", "precision"),
        ("attack_precision_class_10", "precision, class\u00a010"),
        ("attack_precision_p50", "precision, low median of classes"),
        ("attack_recall_p10", "recall, 10th percentile of classes"),
        ("attack_precision_whisker_low", "precision, whisker low"),
        ("attack_accuracy", "attack accuracy"),
        ("target_test_accuracy", "test accuracy"),
        ("spearman(train_fraction,attack_precision)", "spearman: train fraction, attack precision"),
    ],
)
def test_metrics_in_words(metric, words):
    assert metric_words(metric) == words


def test_conditions_in_words():
    assert condition_words({"setting": np.nan, "variant": "none"}) == ""
    assert condition_words({"setting": "shadow:noise10", "variant": "flip"}) == "shadow data: 10% noise, bits flipped"
    assert condition_words({"setting": "mitigation:top_k=1_label_only", "variant": "aware"}) == "top k=1 label only, aware"


def test_the_reference_names_no_place_in_memory(sources):
    (page,) = reference_pages(sources)
    assert " at 0x" not in page.body
