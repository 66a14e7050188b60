"""Colours of classes where they are shown to people, by their place in the list of classes.

Files that hold masks keep VOC's, in which masks are read again: see `data.images.voc_palette`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

FIRST = (
    *((0, 114, 178), (240, 228, 66), (0, 158, 115), (213, 94, 0)),
    *((86, 180, 233), (230, 159, 0), (204, 121, 167)),
)
"""Okabe and Ito's colours but black: each is the one farthest from all before it, laid over mid grey as over photos, in
CIELAB, for the eye that tells it least apart (as in `display_palette`). Yellow and blue begin it: from blue and orange,
which are as far apart, sky blue would be the fourth, and over a photo it is a blue."""
BACKGROUND, IGNORED = (232, 232, 236), (150, 150, 158)
"""Shown only where there is no photo to see."""

LEVELS = 17
"""Values of each channel among which later colours are chosen."""
BRIGHT, DARK, GAP = (62.0, 88.0), (38.0, 62.0), 50.0
"""Lightness of every second colour and of the others (CIELAB); least distance from grey."""

USUAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Machado, Oliveira and Fernandes (2009), severity 1: what these eyes see, on linear RGB.
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))

# sRGB to XYZ over the white of D65, by rows.
XYZ = ((0.433953, 0.376219, 0.189828), (0.212673, 0.715152, 0.072175), (0.017758, 0.109477, 0.872766))

Array = npt.NDArray[np.float64]


@cache
def display_palette() -> npt.NDArray[np.uint8]:
    """(256, 3) uint8: colour of every class; background and 255 are grey. How many classes there are changes none.

    After `FIRST`, each colour is the one farthest from all before it in CIELAB, for the eye that tells it least apart:
    usual, protanope or deuteranope; bright and dark ones take turns.
    """
    values = np.rint(np.linspace(0, 255, LEVELS)).astype(np.uint8)
    candidates = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = lab(candidates)
    candidates = candidates[np.hypot(seen[:, 1], seen[:, 2]) >= GAP]
    views, chosen = _views(candidates), list(FIRST)
    lightness = views[0][:, 0]
    nearest = np.min([_distances(views, colour) for colour in (*FIRST, BACKGROUND, IGNORED)], axis=0)
    for number in range(len(FIRST), 254):
        low, high = BRIGHT if number % 2 else DARK
        # Rounded, so that no last bit of a processor decides.
        fit = np.where((low <= lightness) & (lightness < high), np.round(nearest, 3), -1.0)
        red, green, blue = (int(value) for value in candidates[fit.argmax()])
        colour = (red, green, blue)
        chosen.append(colour)
        nearest = np.minimum(nearest, _distances(views, colour))
    palette = np.array([BACKGROUND, *chosen, IGNORED], np.uint8)
    palette.flags.writeable = False
    return palette


def lab(colours: npt.ArrayLike, eye: npt.ArrayLike = USUAL) -> Array:
    """(N, 3) sRGB values 0..255 → (N, 3) CIELAB (D65), as seen by an `eye`: (3, 3) on linear RGB."""
    encoded = np.asarray(colours, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.asarray(eye).T, 0, 1) @ np.asarray(XYZ).T
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[:, 0], root[:, 1], root[:, 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _views(colours: npt.ArrayLike) -> list[Array]:
    return [lab(colours, eye) for eye in (USUAL, PROTANOPIA, DEUTERANOPIA)]


def _distances(views: list[Array], colour: tuple[int, ...]) -> Array:
    return np.asarray(
        np.min(
            [np.linalg.norm(view - one, axis=1) for view, one in zip(views, _views([colour]), strict=True)],
            axis=0,
        )
    )
