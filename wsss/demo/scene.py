"""Draws one scene: backdrop, objects and clutter painted far to near, light, lens and sensor, and its exact mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from wsss.demo.backgrounds import Backdrop, Place, draw_backdrop
from wsss.demo.canvas import Layer, Studio, cast_shadow, draw_studio, mirror_in_water, paint
from wsss.demo.layout import Item, choose_kinds, place_object, scatter
from wsss.demo.objects import CLASSES, KINDS
from wsss.demo.texture import Picture, noise

Rng = np.random.Generator
MIN_AREA = 0.012  # of the image: an object with less visible could not be recognised
_MIN_VISIBLE = 0.35  # of the object: enough to tell what it is
_ATTEMPTS = 100


@dataclass(frozen=True)
class Scene:
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    mask: NDArray[np.uint8]  # (H, W): 0 background, 1..K the position in CLASSES plus one
    tags: tuple[str, ...]  # the classes in the mask, in the order of CLASSES


def draw_scene(seed: int, index: int, size: int) -> Scene:
    """Scene `index` of the set drawn from `seed`; its longer side is `size` pixels.

    The main class of the scene rotates with `index`, so that all classes are equally frequent. All else comes from a
    generator keyed by (seed, index).
    """
    rng = np.random.default_rng((seed, index))
    height, width = _draw_shape(rng, size)
    first = index % len(KINDS)
    places: list[Place] = list(KINDS[first].places)
    place = places[rng.choice(len(places), p=list(KINDS[first].places.values()))]
    backdrop = draw_backdrop(rng, place, height, width)
    kinds = choose_kinds(rng, first, place)
    for _ in range(_ATTEMPTS):
        placed = [item for kind in kinds for item in place_object(rng, kind, backdrop, len(kinds))]
        picture, mask = _compose(rng, backdrop, [*placed, *scatter(rng, backdrop)])
        if mask is not None:
            tags = tuple(CLASSES[label - 1] for label in np.unique(mask) if label)
            return Scene(_photograph(rng, picture), mask, tags)
    raise RuntimeError(f"scene {index} of seed {seed}: no layout in {_ATTEMPTS} attempts showed all its objects")


def _draw_shape(rng: Rng, size: int) -> tuple[int, int]:
    short = int(rng.integers(round(0.75 * size), size + 1))
    return (short, size) if rng.random() < 0.65 else (size, short)


def _compose(rng: Rng, backdrop: Backdrop, items: list[Item]) -> tuple[Picture, NDArray[np.uint8] | None]:
    """Paint all items: the picture (H, W, 3) and its mask (H, W), None if some object is too small or too hidden."""
    picture = np.maximum(backdrop.picture, 0).astype(np.float32)
    height, width = picture.shape[:2]
    studio = draw_studio(rng, height, width)
    # The fraction of each pixel that shows the background (0) and each object (1..): the largest gives the mask.
    shares, labels, whole = [np.ones((height, width), np.float32)], [0], [0.0]
    for item in sorted(items, key=lambda item: item.depth):
        layer = paint(rng, item.figure, studio, item.coat, item.size)
        owner = 0
        if item.label:
            owner = len(shares)
            shares.append(np.zeros((height, width), np.float32))
            labels.append(item.label)
            whole.append(float(layer.cover.sum()))
        if not min(layer.window.shape):
            continue
        if item.contact == "ground" and backdrop.surface == "land":
            cast_shadow(picture, item.figure, item.base, studio)
        if item.contact != "none":
            _sink(layer, item, backdrop, studio)
        if item.contact == "water":
            mirror_in_water(rng, picture, layer, item.base - item.sink, strength=0.5)
        _fade(layer, item, backdrop, height)
        layer.onto(picture)
        for share in shares:
            share[layer.window.slices] *= 1 - layer.cover
        shares[owner][layer.window.slices] += layer.cover
    owners = np.argmax(shares, axis=0)
    areas = np.bincount(owners.ravel(), minlength=len(shares))
    needed = np.maximum(MIN_AREA * owners.size, _MIN_VISIBLE * np.array(whole))
    visible = bool((areas[1:] >= needed[1:]).all())
    return picture, np.array(labels, np.uint8)[owners] if visible else None


def _sink(layer: Layer, item: Item, backdrop: Backdrop, studio: Studio) -> None:
    """Hide the foot of a layer (in place) behind grass or below water, along an uneven line."""
    ripples, grass = studio.uneven[:, layer.window.left : layer.window.right]
    if item.contact == "water":
        uneven = 0.5 * ripples
    elif backdrop.ragged:
        uneven = min(0.06 * item.size * backdrop.ragged, 4.0) * np.abs(grass)
    else:
        return
    rows = np.arange(layer.window.top, layer.window.bottom, dtype=np.float32)[:, None]
    keep = np.clip(item.base - item.sink - uneven[None, :] - rows, 0, 1).astype(np.float32)
    layer.cover *= keep
    layer.color *= keep[..., None]


def _fade(layer: Layer, item: Item, backdrop: Backdrop, height: int) -> None:
    """Mist between a far layer and the viewer, in place: much of it under water, little in air."""
    far = 1 - float(np.clip((item.depth - backdrop.horizon) / (height - backdrop.horizon), 0, 1))
    mist = np.float32((0.55 if backdrop.surface == "deep" else 0.3) * far**1.5)
    layer.color += (backdrop.haze * layer.cover[..., None] - layer.color) * mist


def _photograph(rng: Rng, picture: Picture) -> NDArray[np.uint8]:
    """Uneven light, white balance, a soft lens and a noisy sensor: (H, W, 3) uint8."""
    height, width = picture.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.28)
    light = 1 + strength * (np.cos(angle) * x + np.sin(angle) * y) - rng.uniform(0, 0.12) * (x**2 + y**2)
    light *= 1 + rng.uniform(0.0, 0.10) * noise(rng, height, width, (60.0, 60.0), octaves=2)
    balance = rng.uniform(0.85, 1.12) * (1 + rng.uniform(-0.06, 0.06) * np.array((1.0, 0.1, -1.0)))
    exposed = np.clip(picture * light[..., None] * balance.astype(np.float32), 0, 1) ** np.float32(
        rng.uniform(0.85, 1.2)
    )
    blur = min(rng.normal(0.35, 0.3), 0.9)
    if blur > 0.25:
        exposed = ndimage.gaussian_filter(exposed, (blur, blur, 0))
    grain = rng.uniform(0.005, 0.035) * rng.standard_normal(exposed.shape, np.float32) * (0.4 + 0.6 * np.sqrt(exposed))
    return np.asarray(np.clip((exposed + grain) * 255 + 0.5, 0, 255), np.uint8)
