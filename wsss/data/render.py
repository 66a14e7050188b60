"""Pictures from arrays: CAMs and label maps laid over a photo. Pure functions; nothing given is changed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from wsss.data.index import IGNORE

HEAT_STOPS = ((20, 14, 54), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Colours at scores 0, ¼, ½, ¾, 1: `inferno`, ever lighter, so that the order survives in grey."""

HEAT_ALPHA = (0.45, 0.9)
"""Opacity of the heat at scores 0 and 1: where the network sees nothing, the photo stays visible."""

COLOUR_ALPHA = 0.62

CHANGE_LIGHT, CHANGE_DARK, CHANGE_SQUARE = (250, 250, 252), (16, 16, 20), 4
"""`BETTER` is light, `WORSE` dark, `OTHER` chequered in both, squares of so many pixels. No class has such a colour."""
UNCHANGED, UNCHANGED_LIGHT = 66, 0.42
"""Where nothing changed the photo's grey is pale: the value of its black, and the fraction of its contrast."""

HATCH_PERIOD, HATCH_LINE = 8, 2
HATCH_LIGHT, HATCH_DARK, HATCH_ALPHA = (250, 250, 252), (24, 24, 28), 0.75
"""Each line is light with a dark one below it: seen on any photo. So are outlines, a light one around a dark one."""
EDGE_LIGHT, EDGE_DARK = (255, 255, 255), (16, 16, 20)
EDGE_SIDE = 160
"""Pictures with a shorter side than this have the light outline only."""


def fit(photo: np.ndarray, width: int) -> np.ndarray:
    """Shrink (never enlarge) a photo to at most `width` columns and `2·width` rows.

    `photo`: (H, W, 3) uint8 → (h, w, 3) uint8 of the same aspect ratio, h, w ≥ 1.
    """
    rows, columns = photo.shape[:2]
    scale = min(1.0, width / columns, 2 * width / rows)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    if size == (columns, rows):
        return photo.copy()
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def heat_overlay(photo: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Lay a CAM over a photo.

    `photo`: (H, W, 3) uint8; `scores`: (h, w) float in [0, 1] on any grid, brought to the photo's size
    bilinearly → (H, W, 3) uint8.
    """
    rows, columns = photo.shape[:2]
    grid = Image.fromarray(np.ascontiguousarray(scores, np.float32))
    score = np.clip(np.asarray(grid.resize((columns, rows), Image.Resampling.BILINEAR)), 0.0, 1.0)[..., None]
    low, high = HEAT_ALPHA
    return _blend(
        _grey(photo),
        heat_colours()[np.rint(score[..., 0] * 255).astype(np.uint8)],
        low + (high - low) * score,
    )


def label_overlay(photo: np.ndarray, label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Lay a label map over a photo: classes in colour with an outline, background as it is, 255 hatched.

    `photo`: (H, W, 3) uint8; `label`: (H, W) uint8, 0 background, 1..K, 255 ignored; `palette`: (256, 3) uint8
    → (H, W, 3) uint8. Under a colour the photo is grey, so that the colour is the legend's.
    """
    picture, ignored = photo.copy(), label == IGNORE
    classes = (label != 0) & ~ignored
    picture[classes] = _blend(_grey(photo)[classes], palette[label[classes]], COLOUR_ALPHA)
    for line, colour in ((hatching(label.shape), HATCH_LIGHT), (hatching(label.shape, HATCH_LINE), HATCH_DARK)):
        picture[ignored & line] = _blend(photo[ignored & line], np.asarray(colour), HATCH_ALPHA)
    outer = edges(label)
    picture[outer] = EDGE_LIGHT
    if min(label.shape) >= EDGE_SIDE:
        picture[edges(np.where(outer, 0, label))] = EDGE_DARK
    return picture


def change_overlay(photo: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Lay a map of changes over a photo, which is pale grey where nothing changed.

    `photo`: (H, W, 3) uint8; `found`: (H, W) uint8 as `changes` makes it → (H, W, 3) uint8.
    """
    rows, columns = np.ogrid[: found.shape[0], : found.shape[1]]
    light = (rows // CHANGE_SQUARE + columns // CHANGE_SQUARE) % 2 == 0
    picture = np.rint(UNCHANGED + _grey(photo) * UNCHANGED_LIGHT).astype(np.uint8)
    picture[(found == 1) | ((found == 3) & light)] = CHANGE_LIGHT
    picture[(found == 2) | ((found == 3) & ~light)] = CHANGE_DARK
    return picture


def hatching(shape: tuple[int, ...], moved: int = 0) -> np.ndarray:
    """(H, W) bool: True on diagonal lines, the same wherever the label lies; `moved`: by so many pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows + columns - moved) % HATCH_PERIOD < HATCH_LINE)


def edges(label: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of a class (not background, not 255) that share a side with another label."""
    edge = np.zeros(label.shape, bool)
    across, down = label[:, 1:] != label[:, :-1], label[1:] != label[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return np.asarray(edge & (label != 0) & (label != IGNORE))


def heat_colours() -> np.ndarray:
    """(256, 3) uint8: colour of the scores 0/255 … 255/255."""
    places = np.linspace(0, 255, len(HEAT_STOPS))
    channels = [np.interp(np.arange(256), places, channel) for channel in zip(*HEAT_STOPS, strict=True)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def css_colour(colour: tuple[int, ...] | np.ndarray) -> str:
    """(3,) values 0..255 → ``#rrggbb``."""
    red, green, blue = (int(value) for value in colour)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _grey(photo: np.ndarray) -> np.ndarray:
    # Three channels, so that colours can be laid over it.
    return np.asarray(Image.fromarray(photo).convert("L"))[..., None].repeat(3, axis=-1)


def _blend(below: np.ndarray, above: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(below * (1.0 - alpha) + above * alpha).astype(np.uint8))
