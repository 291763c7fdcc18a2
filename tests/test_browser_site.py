"""The site in a browser, from disk, with every request but for files refused: filters, keyboard, dark, phone, paper."""

import re

import pytest
from browser import started_chromium


@pytest.fixture(scope="module")
def names(site):
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


@pytest.fixture(scope="module")
def chromium():
    with started_chromium() as browser:
        yield browser


class Watched:
    """A browser's page that refuses what is no file, and keeps what went wrong."""

    def __init__(self, chromium, site, **options):
        self.site, self.wrong = site, []
        self.context = chromium.new_context(**options)
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self.wrong.append(f"failed: {request.url[:100]}"))

    def _route(self, route):
        if route.request.url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(f"asked the network for {route.request.url}")
            route.abort()

    def open(self, address):
        self.page.goto(f"{self.site.as_uri()}/{address}", wait_until="load")
        return self.page


@pytest.fixture
def watched(chromium, site):
    opened = []

    def make(**options):
        opened.append(Watched(chromium, site, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.context.close()
        assert each.wrong == []


def test_every_page_opens_without_a_word_of_complaint(watched, names):
    browser = watched()
    for name in names:
        page = browser.open(name)
        assert page.locator("h1").count() == 1 and page.locator("main").is_visible(), name
        broken = "[...document.images].filter((image) => !image.complete || image.naturalWidth === 0).map((image) => image.alt)"
        assert page.evaluate(broken) == [], name
    assert len(names) > 15


def test_no_page_is_wider_than_a_phone(watched, names):
    browser = watched(viewport={"width": 390, "height": 844})
    for name in names:
        page = browser.open(name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def shown_rows(page):
    return page.locator("#values tbody tr:visible").count()


def test_filters_change_the_rows_and_the_numbers(watched):
    page = watched().open("scoreboard.html")
    whole = shown_rows(page)
    page.get_by_role("combobox", name="Data set").select_option("cifar10")
    cifar = shown_rows(page)
    assert 0 < cifar < whole and page.locator(".found").inner_text() == f"{cifar} of {whole} values"
    tallied = page.locator("#tally tbody td[data-given]:not([data-verdict]):not([data-within])").all_inner_texts()
    assert sum(map(int, tallied)) == cifar
    page.get_by_role("combobox", name="Given").select_option("drawn")
    page.get_by_role("combobox", name="Verdict").select_option("differs")
    both = shown_rows(page)
    assert 0 < both < cifar and page.locator("#tally td:not(.none)[data-verdict]").all_inner_texts() == [str(both)]
    page.get_by_role("searchbox").fill("class nothing-like-this")
    assert shown_rows(page) == 0
    page.get_by_role("button", name="All", exact=True).click()
    page.wait_for_function(f"document.querySelectorAll('#values tbody tr:not([hidden])').length === {whole}")


def test_the_front_page_leads_to_rows_that_are_filtered(watched):
    page = watched().open("index.html")
    link = page.locator('a[href^="scoreboard.html?"]').first
    count = int(link.inner_text().split(" of ")[1])
    link.click()
    page.wait_for_selector("#values")
    assert shown_rows(page) == count and page.get_by_role("combobox", name="Standing").input_value() == "counts"


def test_a_row_leads_to_its_place_in_a_notebook(watched):
    page = watched().open("scoreboard.html")
    page.locator("#values tbody a").first.click()
    page.wait_for_load_state()
    assert "/notebooks/" in page.url and page.locator(":target").count() == 1


def test_columns_sort_by_the_keyboard(watched):
    page = watched().open("scoreboard.html")
    head = page.locator("#values thead th", has_text="paper")
    numbers = "[...document.querySelectorAll('#values tbody tr')].map((row) => Number(row.cells[6].dataset.v))"
    head.get_by_role("button").focus()
    for press, order, sign in (("Enter", "descending", -1), ("Space", "ascending", 1)):
        page.keyboard.press(press)
        assert head.get_attribute("aria-sort") == order
        found = page.evaluate(numbers)
        assert found == sorted(found, key=lambda number: sign * number)
    first = page.locator("#values thead th").first
    first.get_by_role("button").press("Enter")
    assert first.get_attribute("aria-sort") == "ascending" and head.get_attribute("aria-sort") == "none"


def test_the_keyboard_skips_to_the_content_and_opens_a_claim(watched):
    page = watched().open("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    claim = page.locator("details.claim").first
    assert not claim.locator("table").is_visible()
    claim.locator("summary").press("Enter")
    assert claim.locator("table").is_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def brightness(page):
    return sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3])) / 3


def test_dark_follows_the_system_and_the_switch(watched):
    assert brightness(watched(color_scheme="light").open("index.html")) > 200
    browser = watched(color_scheme="dark")
    page = browser.open("index.html")
    assert brightness(page) < 60
    page.get_by_role("button", name="Light colours").click()
    assert brightness(page) > 200
    assert brightness(browser.open("scoreboard.html")) > 200, "the choice is kept"
    page.get_by_role("button", name="Dark colours").click()
    assert brightness(page) < 60


def test_code_opens_and_folds_at_once(watched):
    page = watched().open("notebooks/04_location.html")
    code = page.locator("details.code pre")
    assert code.count() > 10 and not any(each.is_visible() for each in code.all())
    button = page.get_by_role("button", name="Show all code")
    button.click()
    assert all(each.is_visible() for each in code.all())
    page.get_by_role("button", name="Fold all code").click()
    assert not code.first.is_visible()


@pytest.mark.parametrize("name", ["index.html", "scoreboard.html", "notebooks/04_location.html"])
def test_printing_holds(watched, name):
    page = watched(color_scheme="dark").open(name)
    printed = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not(.code):not([open])").count() == 0
    assert not any(each.is_visible() for each in page.locator("details.code").all())
    assert not page.locator("header.site").is_visible() and brightness(page) > 200
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not(.code)[open]").count() == 0


def test_a_printed_notebook_holds_no_code_and_all_its_prose(watched):
    page = watched().open("notebooks/04_location.html")
    page.emulate_media(media="print")
    text = page.locator("main").inner_text()
    assert "import pandas" not in text and "What surprised" in text
