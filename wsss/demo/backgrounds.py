"""The backgrounds of the demo: seven kinds of place, textured and cluttered, in which objects stand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsss.demo import clutter as c
from wsss.demo.coat import draw_color, mix
from wsss.demo.geometry import Color, rgb
from wsss.demo.texture import Picture, blades, blend, floor, ground, noise, ramp

Rng = np.random.Generator
Place = Literal["meadow", "hills", "street", "coast", "sea", "reef", "sky"]
Surface = Literal["land", "water", "air", "deep"]


@dataclass(frozen=True)
class Backdrop:
    """A picture (H, W, 3) in [0, 1] to stand things in."""

    picture: Picture
    horizon: float  # row from which the ground spreads down to the viewer; above the image when looking down
    surface: Surface
    haze: Color  # far things fade to it
    clutter: tuple[c.Clutter, ...]  # what lies about
    crowd: tuple[int, int]  # least and most pieces of it
    ragged: float = 0.3  # how far the ground hides the feet of things: 0 for asphalt, 1 for long grass


def _sky(rng: Rng, height: int, width: int) -> tuple[Picture, Color]:
    """Clear, cloudy or overcast, with the colour of its haze."""
    top, bottom = (
        (rgb(0.33, 0.52, 0.76), rgb(0.73, 0.83, 0.90)),
        (rgb(0.50, 0.64, 0.78), rgb(0.84, 0.86, 0.84)),
        (rgb(0.56, 0.59, 0.62), rgb(0.76, 0.77, 0.77)),
        (rgb(0.45, 0.50, 0.66), rgb(0.92, 0.76, 0.62)),
    )[rng.choice(4, p=(0.4, 0.3, 0.2, 0.1))]
    image = ramp(top, bottom, height, width)
    lump = rng.uniform(0.2, 0.4) * width
    clouds = noise(rng, height, width, (lump * 0.45, lump), octaves=5)
    light = noise(rng, height, width, (lump * 0.3, lump * 0.6), octaves=2)
    white = 0.86 + 0.10 * light[..., None] * rgb(1, 1, 1)
    blend(image, white, (clouds - rng.uniform(-0.1, 0.5)) * 2.2 * rng.uniform(0.4, 1.0))
    return image, bottom


def _horizon(rng: Rng, height: int) -> tuple[int, int]:
    """First row of the ground in the image, and how many rows of ground lie above the image (looking down)."""
    if rng.random() < 0.3:
        return 0, int(height * rng.uniform(0.15, 0.5))
    return int(height * rng.uniform(0.18, 0.48)), 0


def _skyline(rng: Rng, image: Picture, row: int, rise: float, color: Color, rough: float) -> None:
    """A band of far wood or hills standing on `row`, in place."""
    height, width = image.shape[:2]
    crest = row - rise * (1 + 0.7 * noise(rng, 2, width, (2, width * rough), octaves=4)[0])
    rows = np.arange(height, dtype=np.float32)[:, None]
    band = np.clip(rows - crest[None, :] + 0.5, 0, 1) * (rows < row + 1)
    grain = 1 + 0.16 * noise(rng, height, width, (4.0, 4.0), octaves=2)
    blend(image, color * grain[..., None], band)


_GRASS = (
    (rgb(0.27, 0.36, 0.15), rgb(0.46, 0.53, 0.24)),
    (rgb(0.36, 0.42, 0.18), rgb(0.58, 0.57, 0.30)),
    (rgb(0.47, 0.41, 0.24), rgb(0.66, 0.60, 0.36)),
)


def _meadow(rng: Rng, height: int, width: int) -> Backdrop:
    row, above = _horizon(rng, height)
    image, haze = _sky(rng, height, width)
    low, high = _GRASS[rng.choice(3, p=(0.55, 0.3, 0.15))]
    image[row:] = ground(rng, height - row, width, above, low, high, 60.0) * blades(rng, height - row, width, above)
    soil = floor(rng, height - row + above, width, (40.0, 60.0), octaves=4)[above:]
    blend(image[row:], rgb(0.47, 0.38, 0.26), (soil - rng.uniform(0.3, 0.7)) * 2)
    if row:
        wood = mix(rgb(0.22, 0.30, 0.19), haze, rng.uniform(0.1, 0.5))
        _skyline(rng, image, row, rng.uniform(3, 0.4 * row), wood, 0.12)
    kinds = (c.tuft, c.tuft, c.tuft, c.flowers, c.stone, c.bush, c.fence, c.bale, c.tree, c.stones)
    return Backdrop(image, row - above, "land", haze, kinds, (14, 28), ragged=1.0)


def _hills(rng: Rng, height: int, width: int) -> Backdrop:
    row = int(height * rng.uniform(0.35, 0.6))
    image, haze = _sky(rng, height, width)
    low, high = _GRASS[rng.integers(3)]
    for k, far in enumerate((0.7, 0.5, 0.3)):
        color = mix(mix(low, high, rng.random()), haze, far)
        _skyline(rng, image, row, (3 - k) * rng.uniform(0.05, 0.13) * height, color, rng.uniform(0.3, 0.6))
    field = ground(rng, height - row, width, 0, low, high, 90.0) * blades(rng, height - row, width, 0)
    # Furrows of a field, in perspective towards a point on the horizon.
    depth = np.arange(height - row, dtype=np.float32)[:, None] + 4
    across = (np.arange(width, dtype=np.float32)[None, :] - rng.uniform(-0.5, 1.5) * width) / depth
    furrows = np.sin(across * rng.uniform(12, 24)) * np.clip(depth / height * 3 - 0.3, 0, 1) * rng.choice((0.0, 0.12))
    image[row:] = field * (1 + furrows[..., None])
    kinds = (c.tuft, c.tuft, c.bush, c.tree, c.tree, c.fence, c.bale, c.stone, c.flowers, c.post)
    return Backdrop(image, float(row), "land", haze, kinds, (12, 22), ragged=0.8)


def _houses(rng: Rng, image: Picture, row: int, haze: Color) -> None:
    """A row of houses down to `row`, in place: plain walls, like large bodies, with grids of windows."""
    width = image.shape[1]
    unit = width / 160
    left = -int(rng.integers(0, int(28 * unit)))
    while left < width:
        right, top = left + int(rng.integers(28, 60) * unit), int(row * rng.uniform(-0.2, 0.6))
        color = draw_color(rng)
        wall = image[max(top, 0) : row, max(left, 0) : right]
        plaster = noise(rng, wall.shape[0], wall.shape[1], (3.0, 5.0), octaves=2)
        wall[:] = mix(color, haze, 0.15) * (1 + 0.10 * plaster[..., None])
        step, pane = int(rng.integers(9, 14) * unit), int(rng.integers(4, 7) * unit)
        glass = mix(rgb(0.28, 0.34, 0.40), color, 0.2) * np.float32(rng.uniform(0.7, 1.3))
        for y in range(top + step // 2, row - step // 2 - pane // 2, int(1.2 * step)):
            for x in range(left + step // 3, right - pane - 2, step):
                window = image[max(y, 0) : max(y + int(1.3 * pane), 0), max(x, 0) : max(x + pane, 0)]
                window[:] = glass * np.float32(rng.uniform(0.8, 1.2))
        left = right


def _street(rng: Rng, height: int, width: int) -> Backdrop:
    row = int(height * rng.uniform(0.38, 0.56))
    image, haze = _sky(rng, height, width)
    _houses(rng, image, row, haze)
    gray = rgb(1, 1, 1) * np.float32(rng.uniform(0.30, 0.48))
    road = ground(rng, height - row, width, 0, gray, gray + rgb(0.1, 0.1, 0.08), 50.0)
    road *= 1 + 0.12 * floor(rng, height - row, width, (2.5, 4.0), octaves=2)[..., None]
    rows, columns = np.arange(height - row)[:, None] / (height - row), np.arange(width)[None, :]
    kerb = rng.uniform(0.08, 0.22)
    road *= np.where(rows < kerb, np.float32(1.35), np.float32(1))[..., None]
    lane = (np.abs(rows - kerb - 0.38) < 0.012 + 0.02 * rows) & ((columns + rng.integers(0, 60)) % 60 < 34)
    blend(road, rgb(0.80, 0.79, 0.72), 0.75 * lane.astype(np.float32))
    road[int(kerb * (height - row))] *= 0.6
    image[row:] = road
    kinds = (c.lamp, c.post, c.crate, c.bush, c.tree, c.bale, c.stones, c.tuft)
    return Backdrop(image, float(row), "land", haze, kinds, (5, 10), ragged=0.0)


def _water(rng: Rng, height: int, width: int, above: int, haze: Color) -> Picture:
    deep, shine = (
        (rgb(0.12, 0.30, 0.42), rgb(0.36, 0.56, 0.66)),
        (rgb(0.14, 0.34, 0.36), rgb(0.42, 0.60, 0.58)),
        (rgb(0.26, 0.33, 0.38), rgb(0.55, 0.62, 0.65)),
    )[rng.integers(3)]
    water = ground(rng, height, width, above, deep, mix(shine, haze, 0.2), 22.0)
    water *= 1 + 0.28 * floor(rng, height + above, width, (4.0, 14.0), octaves=2)[above:, :, None]
    crests = floor(rng, height + above, width, (7.0, 34.0), octaves=3)[above:]
    blend(water, mix(haze, rgb(1, 1, 1), 0.4), (crests - rng.uniform(0.3, 0.7)) * 1.6)
    far = np.clip(0.5 - (np.arange(height, dtype=np.float32) + above) / (0.5 * (height + above)), 0, 1)
    blend(water, haze, np.broadcast_to(far[:, None], (height, width)))
    return water


def _sea(rng: Rng, height: int, width: int) -> Backdrop:
    row, above = _horizon(rng, height)
    image, haze = _sky(rng, height, width)
    image[row:] = _water(rng, height - row, width, above, haze)
    if row and rng.random() < 0.6:
        shore = mix(rgb(0.28, 0.34, 0.30), haze, rng.uniform(0.2, 0.6))
        _skyline(rng, image, row, rng.uniform(2, 0.3 * row), shore, rng.uniform(0.2, 0.5))
    return Backdrop(image, row - above, "water", haze, (c.stone, c.stone, c.buoy, c.post), (4, 9))


def _coast(rng: Rng, height: int, width: int) -> Backdrop:
    row = int(height * rng.uniform(0.25, 0.42))
    image, haze = _sky(rng, height, width)
    image[row:] = _water(rng, height - row, width, 0, haze)
    low, high = ((rgb(0.66, 0.57, 0.42), rgb(0.82, 0.74, 0.58)), (rgb(0.42, 0.39, 0.35), rgb(0.62, 0.58, 0.52)))[
        rng.integers(2)
    ]
    shore = row + int((height - row) * rng.uniform(0.15, 0.35))
    sand = ground(rng, height - shore, width, shore - row, low, high, 50.0)
    sand *= 1 + 0.18 * noise(rng, height - shore, width, (3.0, 4.0), octaves=2)[..., None]
    edge = shore + 5 * noise(rng, 2, width, (2, 50), octaves=3)[0] + 4
    beyond = np.arange(shore, height, dtype=np.float32)[:, None] - edge[None, :]
    blend(image[shore:], sand, beyond)
    blend(image[shore:], rgb(0.93, 0.94, 0.93), 1.2 - np.abs(beyond + 1) * 0.8)  # surf
    kinds = (c.stone, c.stone, c.stones, c.tuft, c.post, c.crate, c.fence, c.bush)
    return Backdrop(image, float(shore), "land", haze, kinds, (10, 18), ragged=0.4)


def _reef(rng: Rng, height: int, width: int) -> Backdrop:
    top, bottom = ((rgb(0.36, 0.66, 0.72), rgb(0.06, 0.24, 0.36)), (rgb(0.40, 0.62, 0.56), rgb(0.10, 0.27, 0.27)))[
        rng.integers(2)
    ]
    image = ramp(top, bottom, height, width)
    murk = noise(rng, height, width, (40.0, 60.0), octaves=4)
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    slant = x + y * rng.uniform(-0.6, 0.6)
    rays = np.interp(slant, np.linspace(slant.min(), slant.max(), 40), rng.uniform(-1, 1, 40)).astype(np.float32)
    rays *= np.linspace(1, 0, height, dtype=np.float32)[:, None]
    image *= 1 + (0.16 * murk + 0.14 * rays)[..., None]
    row = int(height * rng.uniform(0.55, 0.85))
    dim, pale = mix(rgb(0.5, 0.48, 0.38), bottom, 0.4), mix(rgb(0.74, 0.70, 0.56), bottom, 0.3)
    sand = ground(rng, height - row, width, 0, dim, pale, 30.0)
    sand *= 1 + 0.2 * floor(rng, height - row, width, (4.0, 9.0), octaves=2)[..., None]
    share = np.linspace(0.3, 1.6, height - row, dtype=np.float32)[:, None]
    blend(image[row:], sand, np.broadcast_to(share, sand.shape[:2]))
    kinds = (c.weed, c.weed, c.weed, c.coral, c.coral, c.stone, c.stone, c.bubbles, c.stones)
    return Backdrop(image, float(row), "deep", mix(top, bottom, 0.5), kinds, (10, 18))


def _open_sky(rng: Rng, height: int, width: int) -> Backdrop:
    image, haze = _sky(rng, height, width)
    if rng.random() < 0.5:
        row = int(height * rng.uniform(0.8, 1.0))
        _skyline(rng, image, height, height - row + 8, mix(rgb(0.24, 0.32, 0.2), haze, rng.uniform(0, 0.4)), 0.15)
    return Backdrop(image, height * 0.9, "air", haze, (c.twig,), (1, 5))


_DRAW: dict[Place, Callable[[Rng, int, int], Backdrop]] = {
    "meadow": _meadow, "hills": _hills, "street": _street, "coast": _coast,
    "sea": _sea, "reef": _reef, "sky": _open_sky,
}  # fmt: skip
PLACES: tuple[Place, ...] = tuple(_DRAW)


def draw_backdrop(rng: Rng, place: Place, height: int, width: int) -> Backdrop:
    return _DRAW[place](rng, height, width)
