"""Boat, car, windmill and lighthouse: large plain bodies, told apart by sails, wheels, blades and lamps."""

import numpy as np

from wsss.demo.coat import DARK, Coat, mix
from wsss.demo.geometry import Figure, Part, Points, ellipse, limb, points, reach, rgb, smooth, turn

Rng = np.random.Generator
_GLASS = rgb(0.30, 0.38, 0.44)
_WOOD = rgb(0.42, 0.31, 0.20)
_CLOTHS = (rgb(0.93, 0.91, 0.86), rgb(0.86, 0.80, 0.68), rgb(0.66, 0.28, 0.20), rgb(0.80, 0.82, 0.84))


def boat(rng: Rng, coat: Coat) -> Figure:
    """Keel at y = 0; afloat, its lowest tenth is under water."""
    deep = rng.uniform(0.26, 0.36)
    hull = smooth(
        (-0.52, -deep), (-0.25, -deep * 0.93), (0.10, -deep * 0.92), (0.40, -deep), (0.62, -deep * 1.18),
        (0.50, -0.12), (0.36, 0.0), (-0.15, 0.0), (-0.42, -0.02),
    )  # fmt: skip
    rail = limb(
        ((-0.52, -deep), (-0.2, -deep * 0.92), (0.1, -deep * 0.92), (0.4, -deep), (0.61, -deep * 1.16)), (0.035,) * 5
    )
    sill = -deep * 0.9
    cabin: list[Part] = []
    if rng.random() < 0.5:
        left, wide, high = rng.uniform(-0.42, -0.25), rng.uniform(0.26, 0.40), rng.uniform(0.10, 0.17)
        box = points((left, sill), (left + 0.02, sill - high), (left + wide, sill - high), (left + wide + 0.05, sill))
        panes = tuple(ellipse(left + wide * f, sill - high * 0.5, 0.028, 0.028) for f in (0.3, 0.6, 0.9))
        cabin = [Part((box,), mix(coat.base, rgb(1, 1, 1), 0.35), relief=0.3), Part(panes, _GLASS, relief=0)]
    foot = rng.uniform(0.02, 0.16)
    high = rng.uniform(0.55, 0.95)
    lean = rng.uniform(-5, 5)
    top = reach((foot, sill), (high, -90 + lean))[-1]
    mast = limb(((foot, sill), top), (0.032, 0.02))
    cloth = _CLOTHS[rng.integers(len(_CLOTHS))]
    # The boom swings with the wind, which widens, narrows or swells the sails.
    swing, belly = rng.uniform(0.45, 1.0), rng.uniform(0.02, 0.09)
    boom = (foot - 0.50 * swing, sill - 0.07)
    tip = (top[0] - 0.01, top[1] + 0.05)
    leech = ((boom[0] + tip[0]) / 2 - belly, (boom[1] + tip[1]) / 2)
    main = smooth(tip, (foot - 0.01, sill - 0.4), (foot - 0.015, sill - 0.09), boom, leech, steps=4)
    bow = (0.52, -deep * 1.10)
    jib = points((top[0] + 0.02, top[1] + 0.12), bow, (foot + 0.06 + 0.1 * (1 - swing), sill - 0.08))
    sails = [Part((main,), cloth, relief=0.6)]
    if rng.random() < 0.6:
        sails.append(Part((jib,), mix(cloth, DARK, 0.1), relief=0.5))
    lines = Part((limb((top, bow), (0.008, 0.008)), limb((boom, (foot, sill - 0.07)), (0.025, 0.025))), _WOOD, relief=0)
    return (
        Part((mast,), _WOOD),
        lines,
        *sails,
        *cabin,
        Part((hull,), coat.base, "body"),
        Part((rail,), coat.trim, relief=0.3),
    )


def _wheel(rng: Rng, x: float, radius: float) -> list[Part]:
    spin = rng.uniform(0, 72)
    hub = (x, -radius)
    spokes = tuple(limb(reach(hub, (radius * 0.6, spin + 72 * k)), (0.03, 0.022)) for k in range(5))
    return [
        Part((ellipse(*hub, radius * 1.18, radius * 1.18),), DARK * np.float32(0.6), relief=0),
        Part((ellipse(*hub, radius, radius),), rgb(0.14, 0.14, 0.15), relief=0.5),
        Part((ellipse(*hub, radius * 0.6, radius * 0.6),), rgb(0.42, 0.43, 0.45), relief=0.4),
        Part(spokes, rgb(0.75, 0.76, 0.78), relief=0),
    ]


def car(rng: Rng, coat: Coat) -> Figure:
    """Tyres on y = 0; a saloon, a hatchback or a van by where the roof begins and ends."""
    rear, front, roof = ((-0.34, 0.14, -0.42), (-0.47, 0.14, -0.44), (-0.49, 0.26, -0.52))[rng.integers(3)]
    rear, front, roof = (
        rear + rng.uniform(-0.02, 0.04),
        front + rng.uniform(-0.04, 0.04),
        roof + rng.uniform(-0.02, 0.03),
    )
    waist = -0.285
    body = smooth(
        (-0.53, -0.20), (-0.51, waist), (rear - 0.04, waist - 0.02),
        (rear + 0.05, roof + 0.01), (rear + 0.12, roof - 0.005),
        (front - 0.10, roof), (front, roof + 0.03), (front + 0.15, waist - 0.005), (0.44, waist + 0.03), (0.53, -0.20),
        (0.53, -0.09), (0.0, -0.075), (-0.52, -0.09),
    )  # fmt: skip
    sill, head = waist - 0.005, roof + 0.04
    middle = (rear + front) / 2 + 0.03
    back = points((rear + 0.02, sill), (rear + 0.08, head), (middle - 0.02, head), (middle - 0.02, sill))
    fore = points((middle + 0.01, sill), (middle + 0.01, head), (front - 0.02, head), (front + 0.10, sill))
    seam = limb(((middle, sill), (middle - 0.01, -0.10)), (0.008, 0.008))
    handle = limb(((middle - 0.08, -0.235), (middle - 0.04, -0.235)), (0.012, 0.012))
    bumper = limb(((-0.53, -0.105), (0.54, -0.105)), (0.035, 0.035))
    radius = rng.uniform(0.085, 0.105)
    return (
        Part((body,), coat.base, "body"),
        Part((back, fore), _GLASS * np.float32(rng.uniform(0.6, 1.3)), relief=0.2),
        Part((seam, handle), mix(coat.base, DARK, 0.5), relief=0),
        Part((bumper,), mix(coat.trim, DARK, 0.3), relief=0.3),
        Part((ellipse(0.50, -0.205, 0.03, 0.028),), rgb(0.98, 0.93, 0.72), relief=0),
        Part((ellipse(-0.515, -0.21, 0.022, 0.03),), rgb(0.70, 0.14, 0.12), relief=0),
        *_wheel(rng, rng.uniform(-0.35, -0.31), radius),
        *_wheel(rng, rng.uniform(0.30, 0.34), radius),
    )


def _tower(rng: Rng, coat: Coat) -> tuple[float, float, list[Part]]:
    """Half-width at the top, height (negative y), and the parts of the tower both buildings stand on."""
    top, foot, high = rng.uniform(0.11, 0.16), rng.uniform(0.22, 0.28), -rng.uniform(0.95, 1.2)
    shaft = points((-foot, 0.0), (-top, high), (top, high), (foot, 0.0))
    door = smooth((-0.06, 0.0), (-0.06, -0.12), (0.0, -0.17), (0.06, -0.12), (0.06, 0.0), steps=3)
    windows = tuple(ellipse(0.02, high * f, 0.028, 0.042) for f in (0.45, 0.72))
    return top, high, [
        Part((shaft,), coat.base, "body"),
        Part((door,), mix(_WOOD, DARK, 0.4), relief=0),
        Part(windows, _GLASS * np.float32(0.6), relief=0),
    ]  # fmt: skip


def windmill(rng: Rng, coat: Coat) -> Figure:
    top, high, tower = _tower(rng, coat)
    dome = smooth(
        (-top * 1.2, high + 0.02), (-top, high - 0.13), (0.0, high - 0.22), (top, high - 0.13), (top * 1.2, high + 0.02)
    )
    axle = (rng.uniform(-0.04, 0.04), high - 0.06)
    spin, long = rng.uniform(0, 90), rng.uniform(0.52, 0.68)
    cloth = _CLOTHS[rng.integers(len(_CLOTHS))]
    yaw = rng.uniform(0.72, 1.0)  # seen from aside the wheel of blades narrows

    def blade(outline: Points, quarter: int) -> Points:
        turned = turn(outline, spin + 90 * quarter)
        return turned * (yaw, 1.0) + axle

    sail = points((0.12, 0.0), (long, 0.0), (long, 0.15), (0.14, 0.13))
    spars = tuple(blade(limb(((0, 0), (long + 0.02, 0)), (0.045, 0.03)), q) for q in range(4))
    bars = tuple(
        blade(limb(((x, 0), (x, 0.14)), (0.014, 0.014)), q) for q in range(4) for x in np.linspace(0.2, long, 5)
    )
    return (
        *tower,
        Part((dome,), coat.trim),
        Part(tuple(blade(sail, q) for q in range(4)), cloth, relief=0.3),
        Part((*spars, *bars), mix(_WOOD, DARK, 0.35), relief=0),
        Part((ellipse(*axle, 0.045, 0.045),), DARK),
    )


def lighthouse(rng: Rng, coat: Coat) -> Figure:
    top, high, tower = _tower(rng, coat)
    wide, tall = top * rng.uniform(1.35, 1.6), rng.uniform(0.15, 0.21)
    deck = points((-wide, high - 0.02), (-wide, high + 0.03), (wide, high + 0.03), (wide, high - 0.02))
    rail = tuple(limb(((x, high), (x, high - 0.08)), (0.012, 0.012)) for x in np.linspace(-wide * 0.95, wide * 0.95, 7))
    bar = limb(((-wide, high - 0.08), (wide, high - 0.08)), (0.012, 0.012))
    room = points((-top * 0.75, high), (-top * 0.75, high - tall), (top * 0.75, high - tall), (top * 0.75, high))
    mullions = tuple(limb(((x, high), (x, high - tall)), (0.012, 0.012)) for x in (-top * 0.35, top * 0.35))
    eave = high - tall
    roof = smooth(
        (-top, eave),
        (-top * 0.6, eave - 0.08),
        (0.0, eave - 0.17),
        (top * 0.6, eave - 0.08),
        (top, eave),
        (0.0, eave + 0.02),
    )
    # The lamp turns: its bright spot is anywhere across the glass, its colour from dull to full.
    lamp = rgb(0.98, 0.88, 0.50) * np.float32(rng.uniform(0.75, 1.0))
    spot = ellipse(rng.uniform(-0.4, 0.4) * top, high - tall * 0.5, 0.05, 0.06)
    return (
        *tower,
        Part((room,), lamp, relief=0),
        Part((spot,), rgb(1.0, 0.98, 0.88), relief=0),
        Part((*mullions, *rail, bar), DARK, relief=0),
        Part((deck,), coat.trim, relief=0.3),
        Part((roof, limb(((0, eave - 0.15), (0, eave - 0.24)), (0.02, 0.01))), coat.trim),
    )
