"""Pictures inside pages: as small as they can be without loss."""

import base64
import re
from functools import lru_cache
from html import escape
from io import BytesIO
from pathlib import Path

MIME = {"png": "image/png", "svg": "image/svg+xml", "webp": "image/webp", "jpeg": "image/jpeg"}


@lru_cache(maxsize=256)
def repacked(png: bytes) -> tuple[bytes, str, int, int]:
    """A PNG without loss in the smaller of PNG and WebP: content, format, width and height in pixels."""
    from PIL import Image  # late: pages alone need it

    with Image.open(BytesIO(png)) as picture:
        buffer = BytesIO()
        picture.save(buffer, format="WEBP", lossless=True, method=4, quality=60)
        width, height = picture.size
    smaller = buffer.getvalue()
    return (smaller, "webp", width, height) if len(smaller) < len(png) else (png, "png", width, height)


def inlined(content: bytes, kind: str) -> str:
    """The content of a picture as an address."""
    return f"data:{MIME[kind]};base64,{base64.b64encode(content).decode()}"


def picture_tag(png: bytes, alt: str, width: int | None = None) -> str:
    """A PNG inside a page. alt: what it shows, in words; width: CSS pixels at most (default: its own)."""
    content, kind, columns, rows = repacked(png)
    shown = width or columns
    return f'<img src="{inlined(content, kind)}" alt="{escape(alt)}" width="{shown}" height="{round(rows * shown / columns)}">'


def drawing_tag(svg: str, alt: str) -> str:
    """An SVG inside a page, as an image of its own, so that no id of it meets one of the page."""
    return f'<img src="{inlined(svg.encode(), "svg")}" alt="{escape(alt)}">'


def saved_picture(figures: Path, name: str, alt: str, width: int) -> str:
    """A committed figure inside a page: its SVG, or its PNG where that is smaller. ValueError where neither was drawn."""
    svg, png = (figures / f"{name}.{kind}" for kind in ("svg", "png"))
    if not svg.exists() or not png.exists():
        raise ValueError(f"{'/'.join(figures.parts[-3:])} lacks {name}.svg or {name}.png: draw it, make figures")
    if svg.stat().st_size < len(repacked(png.read_bytes())[0]):
        text = svg.read_text(encoding="utf-8")
        box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', text)
        height = f' height="{round(width * float(box[2]) / float(box[1]))}"' if box else ""
        return f'<img src="{inlined(text.encode(), "svg")}" alt="{escape(alt)}" width="{width}"{height}>'
    return picture_tag(png.read_bytes(), alt, width)
