"""Paints outlines as pixels: antialiased cover, relief under a light, patterns, shadows and reflections."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from wsss.demo.coat import Coat
from wsss.demo.geometry import Figure, Points, extent
from wsss.demo.texture import Field, Picture, noise

FINE = 3  # outlines are filled on a grid this many times finer than the image, then averaged
_FLAT_BELOW = 24.0  # square pixels: a smaller part is too small for relief to show


@dataclass(frozen=True)
class Window:
    """A rectangle of the image, in pixels; bottom and right are outside it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        return max(self.bottom - self.top, 0), max(self.right - self.left, 0)


@dataclass
class Layer:
    """A painted figure: premultiplied colour (h, w, 3) and cover (h, w), both in [0, 1], inside a window."""

    window: Window
    color: Picture
    cover: Field

    def onto(self, image: Picture) -> None:
        """Paint over `image` (H, W, 3), in place."""
        view = image[self.window.slices]
        view *= 1 - self.cover[..., None]
        view += self.color


@dataclass(frozen=True)
class Studio:
    """What all figures of a scene share."""

    frame: Window  # the whole image
    light: tuple[float, float]  # a unit vector towards it: x, y
    gloom: float  # how dark shadows are, 0 to 1
    grain: Field  # (H, W) noise, the roughness of every surface
    uneven: Field  # (2, W) noise in [−1, 1]: the edge of water, and of grass


def draw_studio(rng: np.random.Generator, height: int, width: int) -> Studio:
    slope = float(rng.uniform(-0.9, 0.9))
    light = (slope, -float(np.sqrt(1 - slope**2)))  # from somewhere above
    uneven = np.concatenate([noise(rng, 2, width, (2.0, lump), octaves=2)[:1] for lump in (8.0, 3.0)])
    grain = noise(rng, height, width, (3.0, 3.0), octaves=2)
    return Studio(Window(0, 0, height, width), light, float(rng.uniform(0.15, 0.5)), grain, uneven)


def window_around(left: float, top: float, right: float, bottom: float, within: Window) -> Window:
    return Window(
        max(int(np.floor(top)) - 1, within.top),
        max(int(np.floor(left)) - 1, within.left),
        min(int(np.ceil(bottom)) + 2, within.bottom),
        min(int(np.ceil(right)) + 2, within.right),
    )


def fill(outlines: Iterable[Points], window: Window) -> Field:
    """Fraction of each pixel of the window that the outlines cover: (h, w) in [0, 1]."""
    height, width = window.shape
    canvas = Image.new("L", (width * FINE, height * FINE))
    draw = ImageDraw.Draw(canvas)
    for outline in outlines:
        # Pillow also fills the fine pixels that the outline runs through: figures grow by 0.12 pixels all round, and do
        # not shift. Picture and mask share this cover, so the mask stays exact.
        draw.polygon(((outline - (window.left, window.top)) * FINE).ravel().tolist(), fill=255)
    return np.asarray(canvas.reduce(FINE), np.float32) / np.float32(255)


def _relief(cover: Field, light: tuple[float, float]) -> Field:
    """Brightness factor (h, w) of a rounded part: bright where its edge faces the light (x, y), dark opposite."""
    sigma = min(0.16 * float(np.sqrt(cover.sum())) + 0.4, 8.0)
    height = ndimage.gaussian_filter(cover, sigma, mode="constant", truncate=2.5)
    shade = np.ones_like(cover)
    shade[:, 1:-1] -= np.float32(0.55 * sigma * light[0]) * (height[:, 2:] - height[:, :-2])
    shade[1:-1] -= np.float32(0.55 * sigma * light[1]) * (height[2:] - height[:-2])
    return shade


def draw_pattern(rng: np.random.Generator, window: Window, size: float) -> Field:
    """How much of a coat's second colour each pixel of a body shows: (h, w) in [0, 1]."""
    kind = rng.choice(("plain", "patches", "clouded"), p=(0.55, 0.25, 0.2))
    if kind == "plain":
        return np.zeros(window.shape, np.float32)
    lump = size * rng.uniform(0.2, 0.4)
    field = noise(rng, *window.shape, (lump, lump), octaves=2)
    if kind == "patches":
        return np.clip((field - rng.uniform(-0.1, 0.35)) * size * 0.25, 0, 1)
    return np.clip(field * 0.5 + 0.1, 0, 0.6)


def paint(
    rng: np.random.Generator, figure: Figure, studio: Studio, coat: Coat | None = None, size: float = 0.0
) -> Layer:
    """Paint a figure given in pixels; with a coat, its bodies carry a pattern of lumps relative to `size`."""
    window = window_around(*extent(figure), within=studio.frame)
    height, width = window.shape
    color = np.zeros((height, width, 3), np.float32)
    cover = np.zeros((height, width), np.float32)
    if not cover.size:
        return Layer(window, color, cover)
    grain = 1 + np.float32(rng.uniform(0.04, 0.12)) * studio.grain[window.slices]
    pattern = draw_pattern(rng, window, size) if coat else None
    for part in figure:
        inner = window_around(*extent((part,)), within=window)
        if not min(inner.shape):
            continue
        share = fill(part.outlines, inner)
        local = Window(
            inner.top - window.top, inner.left - window.left, inner.bottom - window.top, inner.right - window.left
        ).slices
        ink = np.broadcast_to(part.color, (*share.shape, 3))
        if coat and pattern is not None and part.role == "body":
            ink = ink + pattern[local][..., None] * (coat.second - coat.base)
        tone = grain[local]
        if part.relief and share.sum() > _FLAT_BELOW:
            tone = tone * (1 + part.relief * (_relief(share, studio.light) - 1))
        color[local] *= 1 - share[..., None]
        color[local] += np.clip(ink * tone[..., None], 0.02, 1) * share[..., None]
        cover[local] *= 1 - share
        cover[local] += share
    return Layer(window, color, cover)


def cast_shadow(image: Picture, figure: Figure, base: float, studio: Studio) -> None:
    """Darken the ground (in place) where the figure, standing on row `base`, keeps the light off it."""

    def flatten(outline: Points) -> Points:
        rise = base - outline[:, 1]
        return np.stack((outline[:, 0] - 0.7 * rise * studio.light[0], base - 0.16 * rise), axis=1)

    flat = [flatten(outline) for part in figure for outline in part.outlines]
    every = np.concatenate(flat)
    (left, top), (right, bottom) = every.min(0) - 3, every.max(0) + 3
    window = window_around(left, top, right, bottom, within=studio.frame)
    if min(window.shape):
        shade = ndimage.gaussian_filter(fill(flat, window), 1.2)
        image[window.slices] *= 1 - np.float32(studio.gloom) * shade[..., None]


def mirror_in_water(rng: np.random.Generator, image: Picture, layer: Layer, base: float, strength: float) -> None:
    """Add (in place) the rippled reflection of a layer that floats on row `base`."""
    first, window = round(base), layer.window
    height, width = window.shape
    rows = np.arange(max(first, 0), min(image.shape[0], 2 * first - window.top))
    source = 2 * first - 1 - rows - window.top
    rows, source = rows[source < height], source[source < height]
    if not rows.size:
        return
    # Ripples shift every row sideways, more the farther it is from the waterline.
    shift = np.round(rng.normal(0, 1, rows.size) * np.linspace(0.4, 2.5, rows.size)).astype(int)
    columns = np.arange(width)[None, :] + shift[:, None]
    fade = strength * np.linspace(1, 0.1, rows.size, dtype=np.float32)[:, None] * ((columns >= 0) & (columns < width))
    columns = np.clip(columns, 0, width - 1)
    view = image[rows[0] : rows[-1] + 1, window.left : window.right]
    view *= 1 - (layer.cover[source[:, None], columns] * fade)[..., None]
    view += layer.color[source[:, None], columns] * fade[..., None] * np.float32(0.8)
