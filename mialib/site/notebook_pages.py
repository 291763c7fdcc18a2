"""A page a notebook, from its executed copy: prose, pictures and tables; code folded, with its place for links to it."""

import base64
import re
from collections.abc import Iterator
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import nbformat

from mialib.plots.names import in_words
from mialib.runs.run import standins
from mialib.site.figures import figure_box, figure_files, figure_tables, figure_words
from mialib.site.frame import SitePage
from mialib.site.markup import anchor_of, folded
from mialib.site.pictures import drawing_tag, picture_tag
from mialib.site.sources import NotebookRun, Sources
from mialib.site.tidy import tidied

TEMPLATES = Path(__file__).with_name("template")
PRIORITY = ["image/svg+xml", "image/png", "image/jpeg", "text/html", "text/markdown", "text/plain"]
WIDGETS = "application/vnd.jupyter.widget-view+json"
SAVED_BY_CELL = re.compile(r"""run\.(?:save_)?(table|figure)\(\s*f?["']([\w-]+)(\{)?""")
DOI = "https://doi.org/"
STILL = ("content",)  # ids that the frame has


class Reader:
    """One notebook on its way to a page: what its cells become, and what was seen so far. The filters of the template."""

    def __init__(self, run: NotebookRun, names: list[str]) -> None:
        self.run, self.names = run, names
        self.path = page_of(run.name)
        self.taken, self.sections, self.figures_seen = set[str](STILL), list[tuple[str, str]](), list[str]()

    def page_body(self) -> str:
        notebook = nbformat.read(self.run.executed, as_version=4)
        body, _ = self._exporter.from_notebook_node(notebook)
        return str(body)

    @cached_property
    def _exporter(self) -> Any:
        from nbconvert.exporters import TemplateExporter
        from traitlets.config import Config

        config = Config({"NbConvertBase": {"display_data_priority": PRIORITY}})
        exporter = TemplateExporter(template_name="reader", extra_template_basedirs=[str(TEMPLATES)], config=config)
        exporter.file_extension = ".html"
        for name in ("prose", "code", "anchors", "printed", "messages", "shown"):
            exporter.register_filter(name, getattr(self, name))
        return exporter

    def prose(self, source: str) -> str:
        """A markdown cell: headings with places for links to them; links to other notebooks and to DOIs alone."""
        from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

        html = str(MarkdownWithMath(renderer=IPythonRenderer(escape=True, exclude_anchor_links=True)).render(source))
        html = re.sub(r"<h([1-6])>(.*?)</h\1>", self._heading, html, flags=re.DOTALL)
        html = re.sub(r'<a href="([^"]*)"[^>]*>(.*?)</a>', self._link, html, flags=re.DOTALL)
        html = re.sub(r"(?<!\">)<code>(\d\d_\w+)</code>", self._name, html)
        return html.replace("<table>", '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>').replace(
            "</table>", "</table></div>"
        )

    def _heading(self, found: re.Match[str]) -> str:
        level, words = int(found[1]), found[2]
        name = anchor_of(words, self.taken)
        self.taken.add(name)
        if level <= 2:
            self.sections.append((name if level == 2 else "", re.sub("<[^>]*>", "", words)))
        return f'<h{level} id="{name}">{words}</h{level}>'

    def _link(self, found: re.Match[str]) -> str:
        address, words = found[1], found[2]
        name = Path(address.partition("#")[0]).name.removesuffix(".ipynb")
        if name in self.names:
            return f'<a href="{name}.html">{words}</a>'
        return f'<a href="{address}">{words}</a>' if address.startswith((DOI, "#")) else words

    def _name(self, found: re.Match[str]) -> str:
        name = found[1]
        return f'<a href="{name}.html">{found[0]}</a>' if name in self.names and name != self.run.name else found[0]

    def code(self, source: str) -> str:
        """A code cell, folded under its first line."""
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        html = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)).rstrip("\n")
        first = next((line for line in source.splitlines() if line.strip()), "")
        peek = f'Code<span class="visually-hidden">: </span> <code class="peek">{escape(first.strip())}</code>'
        return folded(peek, f'<pre tabindex="0"><code>{html}</code></pre>', kind="code")

    def anchors(self, cell: Any) -> str:
        """The id of a cell that saves tables or figures: that of the first one; links to others lead there too."""
        names = [name for name in cell_anchors(self.run, cell.source) if name not in self.taken]
        self.taken.update(names)
        return f' id="{names[0]}"' if names else ""

    def printed(self, text: str) -> str:
        from nbconvert.filters import strip_ansi

        return escape(strip_ansi(text).rstrip())

    def messages(self, text: str) -> str:
        return folded("Messages", f'<pre tabindex="0">{self.printed(text)}</pre>', kind="messages") if text.strip() else ""

    def shown(self, output: Any, cell: Any) -> str:
        """What an output shows: of its forms the first of `PRIORITY`; controls alone, which need a kernel, show nothing."""
        forms = {
            kind: text if isinstance(text, str) else "".join(text) for kind, text in output.data.items() if kind in PRIORITY
        }
        kind = next((kind for kind in PRIORITY if kind in forms), "")
        if not kind or (WIDGETS in output.data and kind == "text/plain"):
            return ""
        text, section = forms[kind], self.sections[-1][1] if self.sections else self.run.name
        if kind.startswith("image/"):
            return self._picture(kind, text, output.metadata.get(kind, {}).get("width"), cell.source, section)
        if kind == "text/html":
            return tidied(text, section)
        return self.prose(text) if kind == "text/markdown" else f'<pre class="printed" tabindex="0">{self.printed(text)}</pre>'

    def _picture(self, kind: str, text: str, width: int | None, source: str, section: str) -> str:
        drawn = [name for name in figure_names(self.run, source) if name not in self.figures_seen]
        alt, tables = f"Picture in the section “{section}”", ""
        if drawn:
            self.figures_seen.append(drawn[0])
            alt, tables = figure_words(self.run, drawn[0]), figure_tables(self.run, drawn[0], self.path)
        if kind == "image/svg+xml":
            image = drawing_tag(text, alt)
        else:
            image = picture_tag(base64.b64decode(text), alt, width)
        return figure_box(image, tables)


def page_of(notebook: str) -> str:
    """The path of a notebook's page."""
    return f"notebooks/{notebook}.html"


def figure_names(run: NotebookRun, source: str) -> list[str]:
    """The figures that a cell draws, in order; a name that is put together stands for all that begin so."""
    names = []
    for kind, name, more in SAVED_BY_CELL.findall(source):
        if kind == "figure":
            names += [each for each in run.record["figures"] if each.startswith(name)] if more else [name]
    return names


def cell_anchors(run: NotebookRun, source: str) -> list[str]:
    """The ids of a cell's tables and figures: "table-compared", "figure-fig8"."""
    tables = [f"table-{name}" for kind, name, more in SAVED_BY_CELL.findall(source) if kind == "table" and not more]
    return [f"figure-{name}" for name in figure_names(run, source)] + tables


def place_in_notebook(run: NotebookRun, exhibit: str) -> str:
    """Where a notebook deals with one of the paper's exhibits ("F8"), as a link from the site's folder: the cell of the figure
    that is called like it, or else the one that sets its values beside ours.
    """
    cells = [cell.source for cell in nbformat.read(run.executed, as_version=4).cells if cell.cell_type == "code"]
    firsts = [names[0] for source in cells if (names := cell_anchors(run, source))]
    like = re.sub(r"^F(\d+)$", r"figure-fig\1", exhibit)
    found = [name for name in firsts if re.match(rf"{like}(?!\d)", name)] or [
        name for name in firsts if name == "table-compared"
    ]
    holding = [names[0] for source in cells if (names := cell_anchors(run, source)) and "table-compared" in names]
    places = [*found, *holding]
    if not places:
        raise ValueError(f"results of {run.name}: no cell of the executed notebook saves the table 'compared'")
    return f"{page_of(run.name)}#{places[0]}"


def notebook_pages(sources: Sources) -> Iterator[SitePage]:
    """The list of the notebooks, and a page for each."""
    names, titles = list(sources.runs), dict[str, str]()
    pages = []
    for name, run in sources.runs.items():
        reader = Reader(run, names)
        body = reader.page_body()
        titles[name] = reader.sections[0][1]
        pages.append((run, reader, body))
    for place, (run, reader, body) in enumerate(pages):
        beside = _beside([names[i] if 0 <= i < len(names) else "" for i in (place - 1, place + 1)], titles)
        whole = f'<p class="kicker">{_kicker(run)}</p>\n{_with_contents(body, reader)}\n{beside}'
        yield SitePage(reader.path, titles[run.name], whole, files=dict(figure_files(run)), section="notebooks.html")
    yield SitePage("notebooks.html", "Notebooks", _index(sources, titles))


def _kicker(run: NotebookRun) -> str:
    made_up = [in_words(name) for name in standins(run.record)]
    source = f"with stand-ins for {', '.join(made_up)}" if made_up else "real data" if run.record["datasets"] else "no data"
    return f"Notebook {run.name} · {escape(source)}"


def _with_contents(body: str, reader: Reader) -> str:
    """The page's sections as links under its title, and a button for its code."""
    links = "".join(f'<li><a href="#{name}">{words}</a></li>' for name, words in reader.sections if name)
    contents = f'<nav class="contents no-print" aria-label="On this page"><ul>{links}</ul></nav>'
    button = '<p class="no-print"><button type="button" class="all-code" aria-pressed="false" hidden>Show all code</button></p>'
    head, end, rest = body.partition("</h1>")
    return f"{head}{end}\n{contents}\n{button}\n{rest}"


def _beside(names: list[str], titles: dict[str, str]) -> str:
    words = ("Before", "Next")
    links = [f'<li>{word}: <a href="{name}.html">{titles[name]}</a></li>' for word, name in zip(words, names) if name]
    return f'<nav class="beside no-print" aria-label="Other notebooks"><ul>{"".join(links)}</ul></nav>'


def _index(sources: Sources, titles: dict[str, str]) -> str:
    entries = []
    for name, run in sources.runs.items():
        seconds = f"{run.record['seconds']:,.0f} s with what was trained before"
        entries.append(
            f'<li><a href="{page_of(name)}">{titles[name]}</a><span class="soft">{_kicker(run)} · {seconds}</span></li>'
        )
    intro = (
        "<h1>The notebooks</h1>\n<p>Each is shown as it was run, with the paper’s settings as far as they were carried; its "
        "code is folded, and opens cell by cell.</p>"
    )
    return f'{intro}\n<ol class="notebook-list">{"".join(entries)}</ol>'
