"""HTML that a cell has shown, made a part of a page: tables and words alone, no style, no script, no id of its own."""

import re
from html import escape
from html.parser import HTMLParser

TAGS_KEPT = {
    "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "div", "p", "span", "br", "strong", "b", "em", "i", "code",
    "pre", "small", "sub", "sup", "ul", "ol", "li", "dl", "dt", "dd", "h3", "h4",
}  # fmt: skip
DROPPED = {"style", "script", "svg", "button"}  # with all that is in them
VOID = {"br"}
SPANS = {"colspan", "rowspan"}
_DIGITS = r"[-−+]?(?:\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?%?|inf)"
NUMBER = re.compile(rf"(?:≥ )?{_DIGITS}(?: \[{_DIGITS}, {_DIGITS}\])?|NaN|nan|–?")


class _Tidy(HTMLParser):
    def __init__(self, label: str) -> None:
        super().__init__(convert_charrefs=True)
        self.label, self.parts, self.open = label, list[str](), list[str]()
        self.tables = 0
        self._dropping = 0
        self._head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in DROPPED:
            self._dropping += 1
        if self._dropping or tag not in TAGS_KEPT:
            return
        if tag == "table":
            self.tables += 1
            name = self.label if self.tables == 1 else f"{self.label}, table {self.tables}"
            self.parts.append(f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">')
        self._head = tag == "thead" or (self._head and tag != "tbody")
        given = {name: value or "" for name, value in attrs if name in SPANS}
        if tag == "th":
            given["scope"] = ("colgroup" if "colspan" in given else "col") if self._head else "row"
            given = {name: value for name, value in given.items() if name != "colspan" or value != "1"}
        self.parts.append(f"<{tag}{''.join(f' {name}={chr(34)}{escape(value)}{chr(34)}' for name, value in given.items())}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in DROPPED:
            self._dropping = max(0, self._dropping - 1)
            return
        if self._dropping or tag not in self.open:
            return
        while (last := self.open.pop()) != tag:
            self._close(last)
        self._close(tag)

    def _close(self, tag: str) -> None:
        if tag == "td":
            self._flush_right()
        self.parts.append(f"</{tag}>" + ("</div>" if tag == "table" else ""))

    def _flush_right(self) -> None:
        """A cell that holds a number alone is set flush right."""
        if self.parts[-2].startswith("<td") and NUMBER.fullmatch(self.parts[-1].strip()):
            self.parts[-2] = self.parts[-2].replace("<td", '<td class="n"', 1)
        elif self.parts[-1] == "<td>":
            self.parts[-1] = '<td class="n">'

    def handle_data(self, data: str) -> None:
        if not self._dropping and (data.strip() or self.open):
            self.parts.append(escape(data, quote=False))

    def whole(self) -> str:
        self.close()
        while self.open:
            self._close(self.open.pop())
        return "".join(self.parts)


def tidied(html: str, label: str) -> str:
    """The HTML of an output: tables in boxes that scroll (label: what a screen reader calls them), with heads that say what
    they head, and nothing but `TAGS_KEPT`. ValueError for a table that only a script would fill.
    """
    if re.search(r"itables|datatables", html, re.IGNORECASE) and "<td" not in html:
        raise ValueError(
            f"a table in {label!r} is filled by a script alone: a notebook that is run for its results shows its rows"
        )
    parser = _Tidy(label)
    parser.feed(html)
    return parser.whole()
