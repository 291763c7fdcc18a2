"""`mialib site`: writes the pages."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mialib.core.extras import ExtraMissing, extra
from mialib.runs.run import checkout


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the command line; returns the exit code: 0, or 2 for wrong arguments and results that are not there."""
    parser = argparse.ArgumentParser(prog="mialib site", description="Static pages from the committed results.")
    parser.add_argument("--root", type=Path, help="the checkout (default: that of the working directory)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write them (default: _site of the checkout)")
    options = parser.parse_args(arguments)
    root = (options.root or checkout()).resolve()
    out = options.out or root / "_site"
    try:
        with extra("site"):
            from mialib.site.build import build_site  # late: needs what audits do without

        pages = build_site(root, out)
    except (ValueError, ExtraMissing) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{len(pages)} pages, {size / 1e6:.1f} MB: open {out / 'index.html'}")
    return 0
