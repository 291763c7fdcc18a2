"""The explorer in a chromium, read from disk: what is chosen changes charts, words and tables; nothing else is loaded."""

import re
from pathlib import Path

import pytest
from browser import started_chromium
from test_site_explorer import made_up

from mialib.site import explorer
from mialib.site.build import OWN_STATIC
from mialib.site.charts import chart_scripts
from mialib.site.frame import framed

SITE = Path(explorer.__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of this page alone, from made-up tables."""
    out, page = tmp_path_factory.mktemp("site"), explorer.explorer_page(made_up())
    own = {f"static/{name}": (SITE / name).read_bytes() for name in OWN_STATIC}
    files = {page.path: framed(page, [page.path]).encode(), "static/charts.js": chart_scripts()} | own | dict(page.files)
    for path, content in files.items():
        (out / path).parent.mkdir(exist_ok=True)
        (out / path).write_bytes(content)
    return out


@pytest.fixture(scope="module")
def browser():
    with started_chromium() as started:
        yield started


@pytest.fixture(params=["light", "dark"])
def page(browser, folder, request):
    """The page, in both colour schemes; at its end nothing was asked of a network and nothing was complained of."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1100, "height": 900})
    shown, trouble = context.new_page(), []
    shown.route(re.compile("^(?!file:|data:)"), lambda route: (trouble.append(route.request.url), route.abort()))
    shown.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    shown.on("pageerror", lambda error: trouble.append(str(error)))
    shown.on("requestfailed", lambda failed: trouble.append(failed.url))
    shown.goto((folder / "explorer.html").as_uri())
    shown.wait_for_selector("#answers svg")
    yield shown
    assert trouble == []
    context.close()


def lines(page) -> list[str]:
    """The paths of the ROC chart's lines, without the bands."""
    found = page.locator("#roc .mark-line path").all()
    return [each.get_attribute("d") for each in found]


def settled(page, before: list[str]) -> list[str]:
    """The lines once they are no longer those of before."""
    shown = "[...document.querySelectorAll('#roc .mark-line path')].map((path) => path.getAttribute('d'))"
    page.wait_for_function(f"(before) => String({shown}) !== String(before)", arg=before)
    return lines(page)


def press(page, selector: str, key: str, times: int = 1) -> None:
    page.focus(selector)
    for _ in range(times):
        page.keyboard.press(key)


def test_the_page_opens_with_words_charts_and_tables(page):
    # at 0.1% nothing is told by the toy's tables
    assert page.text_content("#headline") == "So low a rate cannot be told: there are too few non-members."
    assert page.locator("svg.marks").count() == 3
    assert page.locator("#roc-table tbody tr").count() == 41
    assert page.locator("details").count() == 4


def test_the_rate_changes_words_and_charts_by_keyboard_alone(page):
    press(page, "#rate", "ArrowRight", 10)
    assert page.text_content("#rate-words") == "1 false accusation in 100 (1%)"
    assert page.get_attribute("#rate", "aria-valuetext") == "1 false accusation in 100"
    assert page.text_content("#headline") == (
        "At 1 false accusation in 100, LiRA (global variance) with 4 reference models finds 5.0% of the members of a CIFAR-10 "
        "model. Guessing finds 1%."
    )
    assert page.locator("#found li").all_text_contents() == [
        "LiRA (global variance) with 4 reference models finds 5.0% of the members (2.5% to 10.0%, all 3 targets together).",
        "One threshold finds 1.0% of the members (0.50% to 2.0%, all 3 targets together).",
    ]


def test_fewer_references_change_curve_and_table(page):
    press(page, "#rate", "ArrowRight", 20)
    before = lines(page)
    assert len(before) == 2
    page.check("input[name=references][value='2']", force=True)
    after = settled(page, before)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
    assert "with 2 reference models finds 30.0%" in page.text_content("#headline")
    row = page.locator("#roc-table tbody tr", has_text=re.compile("^10%")).first
    assert row.locator("td").first.text_content() == "30.0% [15.0%, 60.0%]"


def test_an_attack_can_be_taken_out_and_all_of_them(page):
    before = lines(page)
    page.uncheck("input[value=confidence]")
    assert len(settled(page, before)) == 1
    page.uncheck("input[value=lira_online_global]")
    assert page.text_content("#headline") == "No attack is chosen."
    page.wait_for_function("document.querySelectorAll('#roc .mark-line path').length === 0")


def test_another_data_set_says_that_it_is_a_standin(page):
    assert page.text_content("#about-dataset").startswith(
        "Real data. 4 models, each trained on 2,500 records; accuracy 100% on them"
    )
    page.select_option("#dataset", "texas")
    assert page.text_content("#about-dataset").startswith("Stand-in: generated records, no finding.")
    assert page.locator("#gallery img").count() == 0 and page.locator("#gallery button").count() == 1


def test_a_record_is_judged_in_each_target(page):
    press(page, "#rate", "ArrowLeft", 5)
    page.select_option("#record", "7")
    outcomes = {}
    for target in "012":
        page.select_option("#model", target)
        outcomes[target] = page.text_content("#verdict")
    assert outcomes == {
        "0": "Target 1 was trained on this record. At 1 false accusation in 3,163, LiRA misses it.",
        "1": "Target 2 was not trained on this record. At 1 false accusation in 3,163, LiRA rightly leaves it alone.",
        "2": "Target 3 was trained on this record. At 1 false accusation in 3,163, LiRA finds it.",
    }
    press(page, "#rate", "ArrowRight", 20)
    page.select_option("#model", "0")
    assert page.text_content("#verdict").endswith("LiRA finds it.")
    assert "found in 2 of 2" in page.text_content("#gallery li")
    rows = page.locator("#answers-table tbody tr").all()
    assert [row.locator("td").first.text_content() for row in rows] == [
        "the target",
        "its complement",
        "reference",
        "reference",
    ]


def test_a_card_of_another_group_leads_to_its_record(page):
    page.select_option("#group", "least exposed")
    button = page.locator("#gallery button")
    assert button.count() == 1 and button.get_attribute("aria-pressed") == "true"
    assert page.input_value("#record") == "3"
    assert page.locator("#portrait img").get_attribute("alt") == "Picture: ship, record 3 of CIFAR-10"
    assert page.evaluate("document.querySelector('#portrait img').naturalWidth") == 5


def test_colours_follow_the_theme(page):
    def colour() -> str:
        return page.locator("#roc .mark-line path").first.get_attribute("stroke")

    before = colour()
    page.click("button.theme")
    page.wait_for_function(
        "before => document.querySelector('#roc .mark-line path')?.getAttribute('stroke') !== before", arg=before
    )
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert page.locator("#answers .role-axis-title text").first.get_attribute("fill") == ink


def test_nothing_hangs_over_a_narrow_screen(page):
    page.set_viewport_size({"width": 360, "height": 700})
    page.wait_for_function("document.querySelector('#roc svg').getBoundingClientRect().width < 340")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
