"""What stands where: the objects of a scene and its clutter, sized and placed but not yet painted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsss.formats.demo import clutter
from wsss.formats.demo.backgrounds import Backdrop, Place
from wsss.formats.demo.canvas import Window, fill
from wsss.formats.demo.coat import Coat, draw_coat
from wsss.formats.demo.geometry import Figure, extent, moved
from wsss.formats.demo.objects import KINDS, Kind, Pose

Rng = np.random.Generator
Contact = Literal["ground", "water", "none"]

# Share of the image that an object would cover, whole and alone: from smallest to largest, × 16, so × 4 in length.
SMALLEST, LARGEST = 0.02, 0.32
_LONE, _PAIR = 0.55, 0.35  # probabilities of one and of two objects; else three


@dataclass(frozen=True, eq=False)
class Item:
    """A figure in pixels, ready to paint."""

    figure: Figure
    label: int  # 0 belongs to the background
    depth: float  # items are painted in this order
    size: float  # pixels a unit
    contact: Contact
    base: float  # row where it meets ground or water
    sink: float = 0.0  # pixels of it that the ground or the water hides
    coat: Coat | None = None


def choose_kinds(rng: Rng, first: int, place: Place) -> list[int]:
    """Class indices: `first`, and companions, mostly others that are at home in the same place."""
    chance = rng.random()
    count = 1 if chance < _LONE else 2 if chance < _LONE + _PAIR else 3
    chosen = [first]
    for _ in range(count - 1):
        liking = np.array([0.04 + kind.places.get(place, 0.0) for kind in KINDS])
        liking[chosen] *= 0.12
        chosen.append(int(rng.choice(len(KINDS), p=liking / liking.sum())))
    return chosen


def _area(figure: Figure) -> float:
    """Area in square units, from a small raster."""
    left, top, right, bottom = extent(figure)
    scale = 40 / max(right - left, bottom - top)
    small = moved(figure, scale, 0.0, False, (-left * scale, -top * scale))
    return float(fill((o for part in small for o in part.outlines), Window(0, 0, 42, 42)).sum()) / scale**2


def _nearness(base: float, backdrop: Backdrop, height: int) -> float:
    return float(np.clip((base - backdrop.horizon) / (height - backdrop.horizon), 0.0, 1.0))


def _choose_pose(rng: Rng, kind: Kind, backdrop: Backdrop) -> Pose:
    loose = [pose for pose in kind.poses if pose.stance == "flies"]
    fits = loose if loose and backdrop.surface in ("air", "deep") else kind.poses
    return fits[rng.integers(len(fits))]


def place_object(rng: Rng, index: int, backdrop: Backdrop, crowding: int) -> list[Item]:
    """An object of class `index`, with the islet it may stand on; `crowding` is the number of objects in the scene."""
    height, width = backdrop.picture.shape[:2]
    coat = draw_coat(rng)
    pose = _choose_pose(rng, KINDS[index], backdrop)
    figure = pose.draw(rng, coat)
    rank = rng.random() * (1.0 if crowding == 1 else 0.8)  # companions leave room
    share = SMALLEST * (LARGEST / SMALLEST) ** rank
    left, top, right, bottom = extent(figure)
    size = min(
        float(np.sqrt(share * height * width / _area(figure))),
        1.1 * width / (right - left),
        1.1 * height / (bottom - top),
    )
    tilt, mirror = rng.uniform(-pose.tilt, pose.tilt), bool(rng.random() < 0.5)
    leaping = pose.stance == "swims" and backdrop.surface == "water"
    if leaping:
        tilt = -rng.uniform(20, 60)
    figure = moved(figure, size, -tilt if mirror else tilt, mirror, (0.0, 0.0))
    left, top, right, bottom = extent(figure)
    margin = rng.uniform(-0.12, 0.1) * (right - left)  # negative: the edge of the image cuts it
    low, high = margin - left, width - margin - right
    x = rng.uniform(min(low, high), max(low, high))
    contact: Contact
    loose = pose.stance == "flies" or (pose.stance == "swims" and backdrop.surface in ("deep", "air"))
    if loose:
        y = rng.uniform(*sorted((-0.1 * height - top, 1.05 * height - bottom)))
        depth, contact, base = backdrop.horizon + rank * (height - backdrop.horizon), "none", y
    else:
        near = float(np.clip(0.1 + 0.8 * rank + rng.normal(0, 0.12), 0.06, 1.0))
        base = backdrop.horizon + near * (height - backdrop.horizon)
        if backdrop.surface == "air":
            base = height * rng.uniform(0.97, 1.05)
        base = max(base, 0.8 * (bottom - top))
        y, depth = base - (bottom if pose.stance in ("swims",) else 0.0), base
        contact = "water" if backdrop.surface == "water" else "ground"
    sink = 0.0
    if contact == "water":
        sink = size * {"floats": rng.uniform(0.04, 0.10), "swims": 0.25, "towers": 0.0}.get(
            pose.stance, rng.uniform(0.12, 0.28)
        )
    elif contact == "ground":
        sink = 0.02 * size * backdrop.ragged
    figure = moved(figure, 1.0, 0.0, False, (x, y))
    items = [Item(figure, index + 1, depth, size, contact, base, sink, coat)]
    if contact == "water" and pose.stance == "towers":
        rock = moved(clutter.stone(rng), size * rng.uniform(0.75, 1.1), 0.0, mirror, (x, base + 0.12 * size))
        items.append(Item(rock, 0, depth + 1.0, size * 0.5, "water", base + 0.12 * size, 0.03 * size))
    return items


def scatter(rng: Rng, backdrop: Backdrop) -> list[Item]:
    """Clutter all over the ground, larger towards the viewer."""
    height, width = backdrop.picture.shape[:2]
    items = []
    for _ in range(int(rng.integers(backdrop.crowd[0], backdrop.crowd[1] + 1))):
        kind = backdrop.clutter[rng.integers(len(backdrop.clutter))]
        mirror = bool(rng.random() < 0.5)
        unit = 0.2 * min(height, width) * clutter.size_of(kind) * rng.uniform(0.7, 1.3)
        if backdrop.surface == "air":
            base, x, size = rng.uniform(0.05, 1.0) * height, width if mirror else 0.0, unit
            x -= rng.uniform(-0.5, 0.5) * unit * (-1 if mirror else 1)
        else:
            tall = clutter.size_of(kind) > 2  # tall things stay far, or they would hide the scene
            near = rng.random() ** 0.8 * (0.35 if tall else 1.0)
            base, x = backdrop.horizon + (0.02 + near) * (height - backdrop.horizon), rng.uniform(0, width)
            size = unit * (0.25 + 0.75 * near)
        contact: Contact = {"land": "ground", "deep": "ground", "water": "water", "air": "none"}[backdrop.surface]  # type: ignore[assignment]
        figure = moved(kind(rng), size, rng.normal(0, 4), mirror, (x, base))
        items.append(Item(figure, 0, base, size, contact, base, 0.08 * size if contact == "water" else 0.0))
    return items
