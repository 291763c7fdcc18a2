"""Figures as a notebook shows them: sharp on dense screens, with the width that they take, in as few bytes as that allows."""

from io import BytesIO
from typing import Any

import numpy as np

SHARPER = 2  # pixels of the picture for one of the page
PALETTE_SIZE, UNSEEN = 256, 24  # a palette's, and by how much of 255 it may be off in any pixel


def few_colours(png: bytes) -> bytes:
    """A picture with a palette, where nobody sees a difference and the file is smaller; else the picture itself."""
    from PIL import Image

    whole = Image.open(BytesIO(png)).convert("RGB")
    palette = whole.quantize(PALETTE_SIZE, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    if len(found := whole.getcolors(PALETTE_SIZE) or []) > 0:  # few enough: none is changed
        palette = whole.quantize(len(found), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    off = np.abs(np.asarray(palette.convert("RGB"), np.int16) - np.asarray(whole, np.int16)).max()
    buffer = BytesIO()
    palette.save(buffer, format="png", optimize=True)
    return buffer.getvalue() if off <= UNSEEN and buffer.tell() < len(png) else png


def shown_picture(png: bytes) -> Any:
    """An IPython Image of a picture of SHARPER times the size, to be shown in its own."""
    from IPython.display import Image

    return Image(data=png, format="png", width=int.from_bytes(png[16:20], "big") // SHARPER)
