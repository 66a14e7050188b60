"""Things of the background: tufts, stones, trees, posts, weeds. Their colours overlap those of the objects."""

from collections.abc import Callable

import numpy as np

from wsss.demo.coat import DARK, draw_color, mix
from wsss.demo.geometry import Color, Figure, Pair, Part, Points, ellipse, limb, points, reach, rgb, smooth

Rng = np.random.Generator
Clutter = Callable[[Rng], Figure]  # stands on y = 0, about one unit high or wide

_LEAF = (rgb(0.24, 0.36, 0.16), rgb(0.34, 0.44, 0.18), rgb(0.20, 0.30, 0.18), rgb(0.44, 0.42, 0.20))
_BARK = rgb(0.33, 0.26, 0.20)


def _leaf(rng: Rng) -> Color:
    return (_LEAF[rng.integers(len(_LEAF))] * rng.uniform(0.8, 1.2)).astype(np.float32)


def _lump(rng: Rng, x: float, y: float, rx: float, ry: float, rough: float = 0.15) -> Points:
    """An irregular ellipse."""
    n = 9
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = 1 + rng.uniform(-rough, rough, n)
    return smooth(
        *zip((x + rx * radius * np.cos(angle)).tolist(), (y + ry * radius * np.sin(angle)).tolist(), strict=True),
        steps=4,
    )


def tuft(rng: Rng) -> Figure:
    """A fan of blades, some light and some dark."""
    blades: tuple[list[Points], list[Points]] = ([], [])
    for k in range(int(rng.integers(9, 18))):
        root, lean = (rng.uniform(-0.35, 0.35), 0.03), rng.normal(0, 22)
        blade = reach(root, (rng.uniform(0.2, 0.5), -90 + lean * 0.5), (rng.uniform(0.15, 0.45), -90 + lean * 1.4))
        blades[k % 2].append(limb(blade, (0.07, 0.05, 0.01)))
    color = _leaf(rng)
    return (
        Part(tuple(blades[0]), color * np.float32(0.75), relief=0),
        Part(tuple(blades[1]), color * np.float32(1.25), relief=0),
    )


def flowers(rng: Rng) -> Figure:
    color = (rgb(0.95, 0.93, 0.85), rgb(0.93, 0.80, 0.25), rgb(0.80, 0.30, 0.30), rgb(0.62, 0.50, 0.80))[
        rng.integers(4)
    ]
    heads = [(rng.uniform(-0.5, 0.5), rng.uniform(-0.8, -0.3)) for _ in range(6)]
    stems = tuple(limb(((x * 0.8, 0.0), (x, y)), (0.03, 0.02)) for x, y in heads)
    return (
        Part(stems, _leaf(rng), relief=0),
        Part(tuple(ellipse(x, y, 0.08, 0.07, n=8) for x, y in heads), color, relief=0),
    )


def stone(rng: Rng) -> Figure:
    """A boulder, often in the colours of a coat."""
    color = draw_color(rng) if rng.random() < 0.5 else (rgb(0.5, 0.48, 0.45) * rng.uniform(0.6, 1.2)).astype(np.float32)
    high = rng.uniform(0.22, 0.4)
    bottom = _lump(rng, 0, -high * 0.8, 0.5, high, 0.2)
    bottom[:, 1] = np.minimum(bottom[:, 1], 0.02)
    crack = limb(((-0.1, -1.3 * high), (0.02, -0.8 * high), (0.0, -0.3 * high)), (0.02, 0.02, 0.01))
    return (Part((bottom,), color), Part((crack,), color * np.float32(0.6), relief=0))


def stones(rng: Rng) -> Figure:
    spots = [(rng.uniform(-0.6, 0.6), rng.uniform(-0.1, 0.1), rng.uniform(0.06, 0.2)) for _ in range(5)]
    color = (rgb(0.52, 0.50, 0.47) * rng.uniform(0.6, 1.2)).astype(np.float32)
    return tuple(
        Part((_lump(rng, x, y, r, r * 0.6),), color * np.float32(rng.uniform(0.8, 1.2)))
        for x, y, r in sorted(spots, key=lambda s: s[1])
    )


def bush(rng: Rng) -> Figure:
    color = _leaf(rng)
    lumps = sorted(
        ((rng.uniform(-0.4, 0.4), rng.uniform(-0.5, -0.15), rng.uniform(0.15, 0.26)) for _ in range(9)),
        key=lambda s: s[1],
    )
    return tuple(
        Part((_lump(rng, x, y, r, r * 0.9, 0.22),), color * np.float32(rng.uniform(0.75, 1.2)), relief=1.1)
        for x, y, r in lumps
    )


def tree(rng: Rng) -> Figure:
    color = _leaf(rng)
    trunk = limb(((0, 0.02), (rng.uniform(-0.04, 0.04), -0.5), (rng.uniform(-0.1, 0.1), -0.9)), (0.12, 0.08, 0.04))
    if rng.random() < 0.35:  # a fir
        tiers = tuple(
            Part((points((-w, y), (0, y - 0.42), (w, y)),), color * np.float32(s))
            for w, y, s in ((0.30, -0.14, 0.7), (0.24, -0.40, 0.85), (0.17, -0.66, 1.0))
        )
        return (Part((trunk,), _BARK), *tiers)
    lumps = sorted(
        ((rng.uniform(-0.28, 0.28), rng.uniform(-1.1, -0.6), rng.uniform(0.14, 0.24)) for _ in range(9)),
        key=lambda s: s[1],
    )
    crown = tuple(
        Part((_lump(rng, x, y, r, r, 0.2),), color * np.float32(rng.uniform(0.75, 1.2)), relief=1.1)
        for x, y, r in lumps
    )
    return (Part((trunk,), _BARK), *crown)


def fence(rng: Rng) -> Figure:
    """Posts and two rails, three units wide: things behind it show between the rails."""
    color = mix(_BARK, rgb(0.6, 0.55, 0.48), rng.uniform(0, 1))
    posts = tuple(limb(((x, 0.02), (x + rng.normal(0, 0.02), -0.62)), (0.07, 0.06)) for x in np.linspace(-1.5, 1.5, 5))
    sag = rng.uniform(0, 0.05)
    rails = tuple(limb(((-1.5, y), (0, y + sag), (1.5, y)), (0.045, 0.045, 0.045)) for y in (-0.25, -0.48))
    return (Part(rails, color, relief=0.3), Part(posts, color * np.float32(0.85), relief=0.4))


def post(rng: Rng) -> Figure:
    top = (rng.normal(0, 0.04), -rng.uniform(0.7, 1.0))
    return (Part((limb(((0, 0.03), top), (0.13, 0.11)),), mix(_BARK, draw_color(rng), 0.4)),)


def bale(rng: Rng) -> Figure:
    """A round bale or barrel: a plain body that belongs to no class."""
    color = rgb(0.70, 0.58, 0.33) if rng.random() < 0.5 else draw_color(rng)
    high = rng.uniform(0.5, 0.65)
    side = smooth((-0.4, -high), (0.3, -high), (0.42, -high / 2), (0.3, 0), (-0.4, 0), (-0.48, -high / 2))
    face = ellipse(0.28, -high / 2, 0.17, high / 2)
    return (
        Part((side,), color),
        Part((face,), color * np.float32(0.8), relief=0.3),
        Part((ellipse(0.28, -high / 2, 0.08, high / 4),), color * np.float32(0.65), relief=0),
    )


def crate(rng: Rng) -> Figure:
    color = draw_color(rng)
    wide, high = rng.uniform(0.35, 0.6), rng.uniform(0.35, 0.6)
    front = points((-wide, 0), (-wide, -high), (wide * 0.6, -high), (wide * 0.6, 0))
    side = points((wide * 0.6, 0), (wide * 0.6, -high), (wide, -high * 0.9), (wide, -0.08))
    slats = tuple(limb(((-wide, y), (wide * 0.6, y)), (0.02, 0.02)) for y in (-high * 0.35, -high * 0.7))
    return (
        Part((front,), color, relief=0.2),
        Part((side,), color * np.float32(0.65), relief=0.2),
        Part(slats, color * np.float32(0.6), relief=0),
    )


def lamp(rng: Rng) -> Figure:
    color = mix(DARK, draw_color(rng), 0.25)
    pole = limb(((0, 0.02), (0, -0.94), (0.05, -1.0), (0.16, -1.02)), (0.045, 0.03, 0.03, 0.03))
    return (Part((pole,), color, relief=0.3), Part((ellipse(0.17, -1.0, 0.07, 0.03),), rgb(0.85, 0.84, 0.75), relief=0))


def buoy(rng: Rng) -> Figure:
    color = (rgb(0.80, 0.30, 0.16), rgb(0.25, 0.50, 0.35), rgb(0.85, 0.70, 0.2))[rng.integers(3)]
    cone = points((-0.3, 0.02), (-0.12, -0.5), (-0.1, -0.8), (0.1, -0.8), (0.12, -0.5), (0.3, 0.02))
    return (Part((cone,), color), Part((ellipse(0, -0.84, 0.1, 0.1),), color * np.float32(0.7)))


def weed(rng: Rng) -> Figure:
    """Strands that sway in the current."""
    color = mix(_leaf(rng), rgb(0.35, 0.28, 0.2), rng.uniform(0, 0.5))
    strands = []
    for _ in range(int(rng.integers(3, 7))):
        sway = rng.uniform(-35, 35)
        bones = [(0.22, -90 + sway * s) for s in (0.3, 1.0, -0.4, 0.8, -0.2)]
        strands.append(limb(reach((rng.uniform(-0.25, 0.25), 0.03), *bones), (0.06, 0.08, 0.08, 0.07, 0.05, 0.01)))
    half = len(strands) // 2
    return (
        Part(tuple(strands[:half]), color * np.float32(0.7), relief=0),
        Part(tuple(strands[half:]), color, relief=0.5),
    )


def coral(rng: Rng) -> Figure:
    color = (rgb(0.70, 0.36, 0.32), rgb(0.66, 0.48, 0.30), rgb(0.52, 0.36, 0.50), rgb(0.60, 0.56, 0.42))[
        rng.integers(4)
    ]
    arms: list[Points] = []

    def grow(root: Pair, heading: float, length: float, width: float) -> None:
        tip = reach(root, (length, heading))
        arms.append(limb(tip, (width, width * 0.8)))
        if length > 0.12:
            for side in (-1, 1):
                grow(tip[-1], heading + side * rng.uniform(15, 40), length * 0.7, width * 0.8)

    grow((0, 0.03), -90, 0.32, 0.11)
    return (Part(tuple(arms), color * np.float32(rng.uniform(0.6, 1.1))),)


def bubbles(rng: Rng) -> Figure:
    spots = [(rng.normal(0, 0.15), -rng.uniform(0, 1.2), rng.uniform(0.02, 0.06)) for _ in range(7)]
    return (Part(tuple(ellipse(x, y, r, r, n=12) for x, y, r in spots), rgb(0.75, 0.88, 0.90), relief=0.8),)


def twig(rng: Rng) -> Figure:
    """A bare or leafy branch that enters from the left."""
    arm = reach((-1.0, 0.0), *((0.45, rng.normal(0, 14)) for _ in range(4)))
    wood, leaves = [limb(arm, (0.07, 0.06, 0.05, 0.035, 0.015))], []
    leafy = rng.random() < 0.6
    for joint in arm[1:]:
        for _ in range(3):
            side = reach(joint, (rng.uniform(0.15, 0.35), rng.choice((-1, 1)) * rng.uniform(25, 75)))
            wood.append(limb(side, (0.025, 0.01)))
            leaves += [ellipse(*side[-1], 0.085, 0.035, rng.uniform(0, 180), n=10)] * leafy
    return (
        Part(tuple(wood), _BARK * np.float32(rng.uniform(0.6, 1.1)), relief=0.4),
        *([Part(tuple(leaves), _leaf(rng), relief=0)] if leaves else []),
    )


# Heights in the common unit of a scene: about a fifth of the image for the nearest things.
_SIZES: dict[Clutter, float] = {
    tuft: 0.65, flowers: 0.6, stone: 0.7, stones: 0.6, bush: 0.9, tree: 2.6, fence: 0.9, post: 1.0, bale: 0.8,
    crate: 0.7, lamp: 3.0, buoy: 0.7, weed: 1.6, coral: 1.1, bubbles: 1.2, twig: 2.2,
}  # fmt: skip


def size_of(kind: Clutter) -> float:
    return _SIZES[kind]
