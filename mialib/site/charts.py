"""The scripts that draw charts (Vega, Vega-Lite, vega-embed), as one file that all pages with charts share."""

from functools import lru_cache

from mialib.core.extras import extra

CHART_SCRIPTS = "charts.js"  # its place is `frame.STATIC`; a page names it in `SitePage.scripts`


@lru_cache(maxsize=1)
def chart_scripts() -> bytes:
    """The bundle, about 0.9 MB: it defines `vegaEmbed` (and `vega`, `vegaLite`) and loads nothing."""
    with extra("site"):
        import vl_convert
    bundle = vl_convert.javascript_bundle("".join(f"window.{name} = {name};" for name in ("vegaEmbed", "vega", "vegaLite")))
    return f"(() => {{{bundle}}})();\n".encode()  # its other names, all short, stay its own
