"""The whole site, from a checkout to a folder of pages."""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mialib.site.charts import CHART_SCRIPTS, chart_scripts
from mialib.site.deviations_page import deviation_pages
from mialib.site.explorer import explorer_pages
from mialib.site.frame import STATIC, SitePage, framed
from mialib.site.front import front_pages
from mialib.site.notebook_pages import notebook_pages
from mialib.site.reference import reference_pages
from mialib.site.scoreboard_page import scoreboard_pages
from mialib.site.sources import Sources, read_sources

MAKERS: Sequence[Callable[[Sources], Iterable[SitePage]]] = (
    front_pages,
    scoreboard_pages,
    explorer_pages,
    notebook_pages,
    deviation_pages,
    reference_pages,
)
OWN_STATIC = ("site.css", "site.js")
MARK = '<meta name="generator" content="mialib site">'


def build_site(root: Path, out: Path) -> list[str]:
    """Write the site of a checkout into `out`, in place of an earlier one, whole or not at all. Returns the paths of its pages.

    Raises ValueError where a run or a table is missing, and for an `out` that holds anything else than a site.
    """
    _check_out(out)
    pages = site_pages(read_sources(root))
    made = [page.path for page in pages]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        folder = Path(scratch) / "site"
        for page in pages:
            _write(folder / page.path, framed(page, made).encode())
            for path, content in page.files.items():
                _write(folder / path, content)
        for name, content in _static(pages).items():
            _write(folder / STATIC / name, content)
        if out.exists():
            os.replace(out, Path(scratch) / "before")
        os.replace(folder, out)
    return made


def site_pages(sources: Sources) -> list[SitePage]:
    """All pages, in the order of `MAKERS`. ValueError for two at one place."""
    pages = [page for maker in MAKERS for page in maker(sources)]
    paths = [page.path for page in pages]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise ValueError(f"two pages are called {', '.join(twice)}")
    return pages


def _static(pages: Sequence[SitePage]) -> dict[str, bytes]:
    static = {name: Path(__file__).with_name(name).read_bytes() for name in OWN_STATIC}
    if any(CHART_SCRIPTS in page.scripts for page in pages):
        static[CHART_SCRIPTS] = chart_scripts()
    return static


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _check_out(out: Path) -> None:
    """An earlier site may be replaced, and nothing else."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"out is {str(out)!r}: a folder is needed")
    if out.exists() and any(out.iterdir()):
        index = out / "index.html"
        if not index.exists() or MARK not in index.read_text(encoding="utf-8"):
            raise ValueError(
                f"out is {str(out)!r}: that folder holds something else than a site; name another one, or an empty one"
            )
