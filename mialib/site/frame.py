"""What all pages share: head, navigation, main part, foot. All that they load lies in the site's own folder."""

from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import NamedTuple

SITE_NAME = "Membership inference, reproduced"
STATIC = "static"  # the folder of the style sheet and of all scripts
NAVIGATION = {  # page: what the navigation calls it; only those that were made are shown
    "index.html": "Findings",
    "scoreboard.html": "Scoreboard",
    "notebooks.html": "Notebooks",
    "explorer.html": "Explorer",
    "deviations.html": "What deviates",
    "reference.html": "Reference",
}


class SitePage(NamedTuple):
    """A page of the site.

    path: relative to the site's folder, such as "notebooks/04_location.html"; title: plain text; body: the HTML of its main
    part, with one h1, links and sources relative to the page; scripts: files of `STATIC` that it needs beside site.js, in the
    order in which they run, after the page was read; files: what else it brings, content by path (relative to the site's
    folder); section: the page of `NAVIGATION` that is marked as the present one (default: itself).
    """

    path: str
    title: str
    body: str
    scripts: Sequence[str] = ()
    files: Mapping[str, bytes] = {}
    section: str = ""


def to_root(path: str) -> str:
    """What leads from a page to the site's folder: "" or "../"."""
    return "../" * path.count("/")


def framed(page: SitePage, made: Sequence[str]) -> str:
    """The whole page as HTML. made: the paths of all pages of the site, for the navigation."""
    root = to_root(page.path)
    scripts = "".join(f'<script src="{root}{STATIC}/{escape(name)}" defer></script>\n' for name in page.scripts)
    title = SITE_NAME if page.path == "index.html" else f"{page.title} · {SITE_NAME}"
    return FRAME.substitute(
        title=escape(title),
        root=root,
        static=f"{root}{STATIC}",
        scripts=scripts,
        navigation=_navigation(page, made),
        body=page.body,
        kind=escape(page.path.removesuffix(".html").rpartition("/")[0] or page.path.removesuffix(".html")),
    )


def _navigation(page: SitePage, made: Sequence[str]) -> str:
    here, root = page.section or page.path, to_root(page.path)
    entries = []
    for path, words in NAVIGATION.items():
        if path in made:
            current = ' aria-current="page"' if path == page.path else ' aria-current="true"' if path == here else ""
            entries.append(f'<li><a href="{root}{path}"{current}>{words}</a></li>')
    return f"<ul>{''.join(entries)}</ul>"


FRAME = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="mialib site">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="$static/site.css">
<script src="$static/site.js"></script>
$scripts</head>
<body class="$kind">
<a class="skip" href="#content">Skip to the content</a>
<header class="site">
<nav aria-label="Site"><a class="name" href="${root}index.html">mialib</a>$navigation</nav>
<button type="button" class="theme" hidden>Dark</button>
</header>
<main id="content" tabindex="-1">
$body
</main>
<footer class="site">
<p>Made from the committed results by <code>make site</code>. These pages ask no network for anything, and send nothing.</p>
</footer>
</body>
</html>
""")
