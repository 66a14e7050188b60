"""The picture files of a page: where they lie, how large and how good they are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = "images"
"""Folder of the picture files, beside the page."""

SHARPNESS = 2
"""Files have this many times the width on the page: phones show that many pixels, a click enlarges."""

QUALITY, EFFORT = 82, 2
"""WebP quality and effort (0..6): one step more saves 2 % of the bytes and doubles the time."""


Picture = tuple[str, np.ndarray, tuple[int, ...]]
"""Name, (H, W, 3) uint8 and the classes of one view of a panel."""


def save_picture(folder: Path, name: str, picture: np.ndarray) -> str:
    """Write (H, W, 3) uint8 as a picture of the page in `folder`; the file's path as the page names it."""
    file = f"{PICTURES}/{name}.webp"
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="WEBP", quality=QUALITY, method=EFFORT)
    (folder / file).write_bytes(buffer.getvalue())
    return file
