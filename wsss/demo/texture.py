"""Noise fields: the grain of grass, water, stone, clouds and coats."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from wsss.demo.geometry import Color

Field = NDArray[np.float32]  # (H, W)
Picture = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]


def noise(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 3) -> Field:
    """Fractal noise (height, width), roughly in [−1, 1]; `cell` is the size (y, x) in pixels of its largest lumps."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows, columns = (
            max(2, round(n / max(c / 2**octave, 1.0)) + 1) for n, c in zip((height, width), cell, strict=True)
        )
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
        weight /= 2
    return total * np.float32(1.3 / (2 - 2 * weight))


def floor(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 3) -> Field:
    """Noise on a plane seen from above it, row 0 at the horizon: lumps grow towards the viewer.

    `cell` is the size (y, x) of the lumps, in pixels, at the lowest row. Near the horizon, where lumps are
    smaller than a pixel, the field fades to 0 as the eye would average it.
    """
    tile = 128
    field = noise(rng, tile, tile, (8.0, 8.0), octaves)
    rows = np.arange(height, dtype=np.float32)[:, None] + 2.0
    depth = (height + 2.0) / rows  # 1 at the viewer
    columns = np.arange(width, dtype=np.float32)[None, :] - width / 2
    u = columns * depth * 8.0 / cell[1] + rng.uniform(0, tile)
    v = np.broadcast_to(-height * depth * 8.0 / cell[0] + rng.uniform(0, tile), u.shape)
    sampled = ndimage.map_coordinates(field, np.stack((v % tile, u % tile)), order=1, mode="grid-wrap")
    fade = np.clip(1.6 / depth - 0.05, 0.15, 1.0)
    return np.asarray(sampled * fade, np.float32)


def blades(rng: np.random.Generator, height: int, width: int, above: int) -> Picture:
    """Brightness of upright grass (height, width, 1), around 1: fine and faint far off, coarse near.

    `above` rows of the ground, the farther ones, lie over the top edge of the picture.
    """
    near = (np.arange(above, above + height, dtype=np.float32) / (above + height))[:, None]
    fine, coarse = noise(rng, height, width, (3.0, 1.5), octaves=1), noise(rng, height, width, (10.0, 2.6), octaves=2)
    grain = 0.14 * (1 - near) * fine + 0.30 * near * coarse
    return 1 + np.asarray(grain[..., None], np.float32)


def ground(
    rng: np.random.Generator, height: int, width: int, above: int, low: Color, high: Color, lump: float
) -> Picture:
    """A plane from row 0 down, mottled between two colours; `above` rows of it lie over the top edge."""
    mottle = floor(rng, height + above, width, (lump, lump), octaves=4)[above:]
    return low + (high - low) * np.clip(0.5 + 0.6 * mottle, 0, 1)[..., None]


def ramp(top: Color, bottom: Color, height: int, width: int) -> Picture:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top + (bottom - top) * share, (height, width, 3)).copy()


def blend(image: Picture, color: Color | Picture, share: Field) -> None:
    """Lay `color` over `image` with an opacity (H, W), cut to [0, 1]; in place."""
    image += (color - image) * np.clip(share, 0, 1)[..., None]
