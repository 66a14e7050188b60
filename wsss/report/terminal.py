"""Pictures in a terminal: two pixels a character, the upper one as its colour, the lower one as its background."""

from __future__ import annotations

import numpy as np
from PIL import Image
from rich.console import Console
from rich.style import Style
from rich.text import Text

HALF_BLOCK = "▀"


def half_blocks(picture: np.ndarray, columns: int) -> Text:
    """(H, W, 3) uint8 → text of at most `columns` characters a line and `columns` lines, shrunk by box means."""
    height, width = picture.shape[:2]
    scale = min(1.0, columns / width, 2 * columns / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    text = Text(no_wrap=True, end="")
    for row in range(0, len(small), 2):
        below = small[min(row + 1, len(small) - 1)]
        for upper, lower in zip(small[row], below, strict=True):
            text.append(HALF_BLOCK, Style(color=_rgb(upper), bgcolor=_rgb(lower)))
        text.append("\n")
    return text


def ansi(text: Text) -> str:
    """What a terminal is sent: 24-bit colour escapes."""
    console = Console(force_terminal=True, color_system="truecolor", width=1000, highlight=False)
    with console.capture() as captured:
        console.print(text, end="")
    return captured.get()


def _rgb(pixel: np.ndarray) -> str:
    red, green, blue = (int(value) for value in pixel)
    return f"rgb({red},{green},{blue})"
