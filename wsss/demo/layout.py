"""The layout of a scene: its objects and clutter, sized and placed but not yet painted."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsss.demo import clutter
from wsss.demo.backgrounds import Backdrop, Place, Surface
from wsss.demo.canvas import Window, fill
from wsss.demo.coat import Coat, draw_coat
from wsss.demo.geometry import Figure, extent, moved
from wsss.demo.objects import KINDS, Kind, Pose

Rng = np.random.Generator
Contact = Literal["ground", "water", "none"]

# Fraction of the image that a whole, lone object would cover: from smallest to largest × 16, so × 4 in length.
SMALLEST, LARGEST = 0.03, 0.48
_CONTACT: dict[Surface, Contact] = {"land": "ground", "deep": "ground", "water": "water", "air": "none"}
_LONE, _PAIR = 0.45, 0.43  # probabilities of one and of two objects; else three


@dataclass(frozen=True, eq=False)
class Item:
    """A figure in pixels, ready to paint."""

    figure: Figure
    label: int  # 0 belongs to the background
    depth: float  # items are painted in this order
    size: float  # pixels per unit
    contact: Contact
    base: float  # row where it meets ground or water
    sink: float = 0.0  # pixels of it that the ground or the water hides
    coat: Coat | None = None


def choose_kinds(rng: Rng, first: int, place: Place) -> list[int]:
    """Class indices: `first` and its companions, mostly other classes at home in the same place."""
    chance = rng.random()
    count = 1 if chance < _LONE else 2 if chance < _LONE + _PAIR else 3
    chosen = [first]
    for _ in range(count - 1):
        liking = np.array([kind.places.get(place, 0.0) ** 0.5 for kind in KINDS])
        liking[chosen] *= 0.2
        chosen.append(int(rng.choice(len(KINDS), p=liking / liking.sum())))
    return chosen


def _area(figure: Figure) -> float:
    """Area in square units, from a small raster."""
    left, top, right, bottom = extent(figure)
    scale = 40 / max(right - left, bottom - top)
    small = moved(figure, scale, 0.0, False, (-left * scale, -top * scale))
    return float(fill((o for part in small for o in part.outlines), Window(0, 0, 42, 42)).sum()) / scale**2


def _choose_pose(rng: Rng, kind: Kind, backdrop: Backdrop) -> Pose:
    aloft = [pose for pose in kind.poses if pose.stance == "flies"]
    fits = aloft if aloft and backdrop.surface in ("air", "deep") else kind.poses
    return fits[rng.integers(len(fits))]


def _spread(rng: Rng, low: float, high: float, room: float) -> float:
    """An offset that puts the stretch low..high anywhere in 0..room, up to an eighth of it beyond an edge."""
    margin = rng.uniform(-0.12, 0.10) * (high - low)
    first, last = margin - low, room - margin - high
    return float(rng.uniform(min(first, last), max(first, last)))


def place_object(rng: Rng, index: int, backdrop: Backdrop, crowding: int) -> list[Item]:
    """An object of class `index`, with the islet it may stand on; `crowding` is the number of objects in the scene."""
    height, width = backdrop.picture.shape[:2]
    coat = draw_coat(rng)
    pose = _choose_pose(rng, KINDS[index], backdrop)
    figure = pose.draw(rng, coat)
    rank = rng.random() * (1.0 if crowding == 1 else 0.8)  # companions leave room
    size = _size(figure, SMALLEST * (LARGEST / SMALLEST) ** rank, height, width)
    leaps = pose.stance == "swims" and backdrop.surface == "water"
    tilt = -rng.uniform(20, 60) if leaps else rng.uniform(-pose.tilt, pose.tilt)
    mirror = bool(rng.random() < 0.5)
    figure = moved(figure, size, -tilt if mirror else tilt, mirror, (0.0, 0.0))
    left, top, right, bottom = extent(figure)
    x = _spread(rng, left, right, width)
    if pose.stance == "flies" or (pose.stance == "swims" and backdrop.surface in ("deep", "air")):
        y = _spread(rng, top, bottom, height)
        depth = backdrop.horizon + rank * (height - backdrop.horizon)
        return [Item(moved(figure, 1.0, 0.0, False, (x, y)), index + 1, depth, size, "none", y, coat=coat)]

    near = float(np.clip(0.1 + 0.8 * rank + rng.normal(0, 0.12), 0.06, 1.0))
    base = backdrop.horizon + near * (height - backdrop.horizon)
    if backdrop.surface == "air":  # on a roof or a hill-top, below the picture
        base = height * rng.uniform(0.97, 1.05)
    base = max(base, 0.9 * (bottom - top))
    contact = _CONTACT[backdrop.surface]
    sink = size * (_draught(rng, pose) if contact == "water" else 0.02 * backdrop.ragged)
    lies = bottom if pose.stance == "swims" else 0.0  # a fish on the shore rests on its belly, not on its origin
    figure = moved(figure, 1.0, 0.0, False, (x, base - lies))
    items = [Item(figure, index + 1, base, size, contact, base, sink, coat)]
    if contact == "water" and pose.stance == "towers":
        foot = base + 0.12 * size
        rock = moved(clutter.stone(rng), size * rng.uniform(0.75, 1.1), 0.0, mirror, (x, foot))
        items.append(Item(rock, 0, base + 1.0, size * 0.5, "water", foot, 0.03 * size))
    return items


def _size(figure: Figure, share: float, height: int, width: int) -> float:
    """Pixels per unit, so that the figure covers `share` of the image, or else just about fits in."""
    left, top, right, bottom = extent(figure)
    wanted = float(np.sqrt(share * height * width / _area(figure)))
    return min(wanted, 1.1 * width / (right - left), 1.1 * height / (bottom - top))


def _draught(rng: Rng, pose: Pose) -> float:
    """How much of a figure is under water, in units."""
    if pose.stance == "floats":
        return float(rng.uniform(0.04, 0.10))
    if pose.stance == "swims":
        return 0.25
    return float(rng.uniform(0.12, 0.28)) if pose.stance == "stands" else 0.0


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
        contact = _CONTACT[backdrop.surface]
        figure = moved(kind(rng), size, rng.normal(0, 4), mirror, (x, base))
        items.append(Item(figure, 0, base, size, contact, base, 0.08 * size if contact == "water" else 0.0))
    return items
