"""Cow, horse, bird and fish: figures with similar large plain bodies, told apart by heads, tails, wings and fins."""

import numpy as np

from wsss.demo.coat import DARK, Coat, mix
from wsss.demo.geometry import (
    Color,
    Figure,
    Pair,
    Part,
    Points,
    ellipse,
    limb,
    moved,
    points,
    reach,
    rgb,
    smooth,
    turn,
)

Rng = np.random.Generator
_PINK = rgb(0.80, 0.62, 0.56)
_WHITE = rgb(0.92, 0.92, 0.90)


def _leg(rng: Rng, hip: Pair, swing: float, backward: bool) -> tuple[Points, Points]:
    """Leg and hoof from a hip, the hoof near y = 0; `swing` in degrees, negative is forward."""
    bend = rng.uniform(0, 14) + abs(swing) * 0.5
    upper = 90 + swing
    lower = upper + (bend if backward else -bend * 0.3)
    half = -hip[1] / 2 * 0.98
    hip, knee, foot = reach(hip, (half, upper), (half, lower))
    toe = (foot[0] + 0.025, foot[1])
    return limb((hip, knee, foot), (0.15, 0.08, 0.055)), limb((foot, toe), (0.06, 0.07))


def _quadruped(rng: Rng, coat: Coat, belly: float, stride: float) -> tuple[list[Part], list[Part]]:
    """Far legs, and near legs with the trunk (x in ±0.5, back near −0.92); `stride` in degrees."""
    back = rng.uniform(-0.03, 0.02)
    trunk = smooth(
        (-0.50, -0.76), (-0.42, -0.91), (-0.10, -0.88 + back), (0.20, -0.89 + back), (0.42, -0.92),
        (0.53, -0.74), (0.44, -0.54), (0.10, belly), (-0.20, belly - 0.01), (-0.42, -0.56),
    )  # fmt: skip
    far: list[Part] = []
    near = [Part((trunk,), coat.base, "body")]
    for side, color in ((far, coat.far), (near, coat.base)):
        for x, backward in ((-0.36, True), (0.36, False)):
            offset = 0.05 if side is far else 0.0
            swing = rng.normal(0, stride)
            leg, hoof = _leg(rng, (x + offset, -0.60), float(np.clip(swing, -38, 38)), backward)
            side += [Part((leg,), color, "body"), Part((hoof,), mix(color, DARK, 0.75))]
    return far, near


def cow(rng: Rng, coat: Coat) -> Figure:
    far, near = _quadruped(rng, coat, belly=-0.37, stride=rng.choice((5.0, 13.0)))
    grazing = rng.random() < 0.35
    neck = rng.uniform(48, 66) if grazing else rng.uniform(-42, 5)
    start, nape = reach((0.42, -0.76), (0.26, neck))
    tilt = rng.uniform(60, 85) if grazing else rng.uniform(15, 45)

    def on_head(outline: Points) -> Points:
        return turn(outline, tilt) + nape

    skull = smooth((-0.09, -0.01), (0.0, -0.10), (0.15, -0.07), (0.27, -0.05), (0.30, 0.03), (0.24, 0.09), (0.08, 0.10))
    muzzle = smooth((0.22, -0.055), (0.30, -0.04), (0.33, 0.03), (0.28, 0.095), (0.21, 0.08))
    curl = rng.uniform(-20, 25)
    horns = tuple(
        on_head(limb(reach((x, -0.08), (0.07, -125 + lean), (0.09, -85 + curl + lean)), (0.05, 0.04, 0.015)))
        for x, lean in ((-0.02, -18), (0.03, 25))
    )
    ears = (on_head(ellipse(-0.08, -0.03, 0.085, 0.035, 160 + rng.uniform(-20, 20))),)
    swish = rng.uniform(80, 130)
    tail = reach((-0.47, -0.84), (0.07, 160), (0.20, swish), (0.18, swish - 8))
    udder = smooth((-0.30, -0.44), (-0.15, -0.42), (-0.17, -0.31), (-0.25, -0.29), (-0.31, -0.35))
    return (
        *far,
        Part((limb(tail, (0.05, 0.035, 0.03, 0.03)),), coat.far, "body"),
        Part((ellipse(*tail[-1], 0.06, 0.03, swish),), coat.trim),
        Part((udder,), _PINK),
        *near,
        Part((limb((start, nape), (0.34, 0.22)),), coat.base, "body"),
        Part(horns, rgb(0.86, 0.80, 0.66), relief=0.5),
        Part(ears, coat.trim),
        Part((on_head(skull),), coat.base, "body"),
        Part((on_head(muzzle),), _PINK),
        Part((on_head(ellipse(0.29, 0.0, 0.018, 0.013)), on_head(ellipse(0.09, -0.04, 0.028, 0.025))), DARK, relief=0),
    )


def horse(rng: Rng, coat: Coat) -> Figure:
    far, near = _quadruped(rng, coat, belly=-0.43, stride=rng.choice((6.0, 22.0)))
    grazing = rng.random() < 0.2
    rise = rng.uniform(40, 52) if grazing else rng.uniform(-68, -35)
    start, crest, nape = reach((0.38, -0.78), (0.24, rise), (0.22, rise + rng.uniform(0, 14)))
    tilt = rng.uniform(62, 85) if grazing else rng.uniform(28, 58)

    def on_head(outline: Points) -> Points:
        return turn(outline, tilt) + nape

    skull = smooth(
        (-0.07, 0.0),
        (0.0, -0.065),
        (0.14, -0.05),
        (0.29, -0.035),
        (0.33, 0.01),
        (0.30, 0.05),
        (0.16, 0.06),
        (0.03, 0.10),
    )
    ears = tuple(on_head(points((x, -0.04), (x + 0.055, -0.05), (x - 0.01, -0.15))) for x in (-0.04, 0.0))
    side = 1.0 if grazing else -1.0
    lift = np.array((-0.09, -0.02)) if not grazing else np.array((0.05, -0.09))
    ridge = np.array((start, crest, nape)) + lift * ((1.0,), (0.85,), (0.6,))
    mane = limb([tuple(p) for p in ridge], (0.09, 0.11, 0.07))
    flow = rng.uniform(0, 40)
    tail = reach((-0.47, -0.82), (0.10, 165 - flow * side * 0.3), (0.22, 100 + flow), (0.26, 92 + flow))
    return (
        *far,
        Part((limb(tail, (0.05, 0.10, 0.13, 0.03)),), coat.trim),
        *near,
        Part((limb((start, crest, nape), (0.36, 0.24, 0.17)),), coat.base, "body"),
        Part(ears, coat.base),
        Part((on_head(skull),), coat.base, "body"),
        Part((mane,), coat.trim),
        Part((on_head(ellipse(0.29, 0.02, 0.045, 0.04)),), mix(coat.base, DARK, 0.5)),
        Part((on_head(ellipse(0.08, -0.02, 0.026, 0.022)), on_head(ellipse(0.31, 0.0, 0.013, 0.01))), DARK, relief=0),
    )


def _wing(rng: Rng, root: Pair, lift: float, spread: float) -> Points:
    """An open wing: arm and hand bones with feathers hanging off them; `lift` in degrees up."""
    _, wrist, tip = reach(root, (0.32 * spread, -90 - lift), (0.52 * spread, -90 - lift - rng.uniform(15, 40)))
    back = np.linspace(0.0, 1.0, 6)[1:-1, None]
    edge = (1 - back) * tip + back * (root[0] - 0.30, root[1] + 0.02)
    edge = edge + (-0.10, 0.10) * np.sin(np.pi * back) + np.where(np.arange(4)[:, None] % 2, 0.02, -0.02)
    return np.concatenate(
        (points((root[0] + 0.12, root[1]), wrist, tip), edge, points((root[0] - 0.28, root[1] + 0.04)))
    )


def _bird(rng: Rng, coat: Coat) -> tuple[list[Part], list[Part], Color]:
    """Tail and trunk, head, and the colour of beak and feet; the trunk lies about the origin."""
    trunk = smooth(
        (-0.48, 0.03),
        (-0.25, -0.12),
        (0.10, -0.18),
        (0.36, -0.13),
        (0.44, 0.02),
        (0.28, 0.17),
        (-0.05, 0.18),
        (-0.33, 0.11),
    )
    fan = points((-0.36, -0.05), (-0.84, -0.10), (-0.80, 0.02), (-0.86, 0.10), (-0.36, 0.09))
    nod = rng.uniform(-28, 28)
    hx, hy = reach((0.34, -0.08), (0.16, -38 + nod))[-1]
    beak = turn(points((0.08, -0.05), (0.34, 0.03), (0.08, 0.07)), nod * 0.5) + np.asarray((hx, hy))
    bill = (rgb(0.90, 0.60, 0.14), rgb(0.85, 0.42, 0.16), rgb(0.25, 0.23, 0.22))[rng.integers(3)]
    head = [
        Part((beak,), bill, relief=0.5),
        Part((limb(((0.30, -0.04), (hx, hy)), (0.22, 0.18)), ellipse(hx, hy, 0.125, 0.115)), coat.base, "body"),
        Part((ellipse(hx + 0.045, hy - 0.03, 0.03, 0.03),), _WHITE, relief=0),
        Part((ellipse(hx + 0.05, hy - 0.03, 0.02, 0.02),), DARK, relief=0),
    ]
    tail = Part((turn(fan, rng.uniform(-14, 14), (-0.4, 0.02)),), coat.trim, relief=0.4)
    return [tail, Part((trunk,), coat.base, "body")], head, bill


def flying_bird(rng: Rng, coat: Coat) -> Figure:
    trunk, head, _ = _bird(rng, coat)
    lift, spread = rng.uniform(-20, 38), rng.uniform(0.75, 1.05)
    beat = np.array((1.0, -1.0 if rng.random() < 0.35 else 1.0))  # a wing beats down as well as up
    far = _wing(rng, (0.16, -0.10), lift - 38, spread * 0.9) * beat
    near = _wing(rng, (0.06, -0.08), lift, spread) * beat
    return (Part((far,), mix(coat.trim, DARK, 0.25), relief=0.4), *trunk, *head, Part((near,), coat.trim, relief=0.5))


def standing_bird(rng: Rng, coat: Coat) -> Figure:
    trunk, head, bill = _bird(rng, coat)
    legs = tuple(
        limb([*reach((x, 0.12), (0.20, 90 + rng.uniform(-12, 12))), (x + 0.11, 0.335)], (0.035, 0.03, 0.025))
        for x in (-0.02, 0.10)
    )
    wing = smooth((0.22, -0.08), (0.02, -0.14), (-0.30, -0.04), (-0.62, 0.06), (-0.30, 0.10), (0.08, 0.10))
    folded = Part((wing,), mix(coat.base, coat.trim, 0.7))
    return moved((Part(legs, bill, relief=0), *trunk, *head, folded), 1.0, rng.uniform(-12, 4), False, (0.0, -0.34))


def fish(rng: Rng, coat: Coat) -> Figure:
    bow = rng.uniform(-0.16, 0.16)  # the beat of the tail: the spine is a parabola from the gills back
    deep = rng.uniform(0.18, 0.27)

    def bend(outline: Points) -> Points:
        back = np.maximum(0.15 - outline[:, 0], 0.0)
        return outline + np.stack((np.zeros_like(back), bow * 2.2 * back**2), axis=1)

    body = smooth((0.52, 0.01), (0.40, -0.45 * deep), (0.12, -deep), (-0.18, -0.8 * deep), (-0.44, -0.25 * deep),
                  (-0.44, 0.25 * deep), (-0.18, 0.75 * deep), (0.12, 0.95 * deep), (0.40, 0.5 * deep))  # fmt: skip
    flare = rng.uniform(0.16, 0.24)
    tail = smooth(
        (-0.40, -0.04), (-0.56, -0.12), (-0.74, -flare), (-0.65, 0.0), (-0.72, flare), (-0.56, 0.12), (-0.40, 0.04)
    )
    dorsal = points((0.18, -0.85 * deep), (0.02, -1.5 * deep), (-0.16, -1.3 * deep), (-0.30, -0.5 * deep))
    anal = points((-0.08, 0.7 * deep), (-0.22, 1.3 * deep), (-0.32, 0.5 * deep))
    flap = rng.uniform(-25, 45)
    fin = turn(points((0.14, 0.02), (-0.04, -0.05), (-0.09, 0.05), (0.0, 0.10)), -flap, (0.14, 0.02))
    gill = limb(((0.27, -0.6 * deep), (0.22, 0.0), (0.26, 0.55 * deep)), (0.012, 0.02, 0.012))
    return (
        Part((bend(tail), bend(dorsal), bend(anal)), coat.trim, relief=0.4),
        Part((bend(body),), coat.base, "body"),
        Part((gill,), mix(coat.base, DARK, 0.55), relief=0),
        Part((bend(fin),), coat.trim, relief=0.5),
        Part((ellipse(0.38, -0.25 * deep, 0.042, 0.042),), _WHITE, relief=0),
        Part(
            (ellipse(0.39, -0.25 * deep, 0.024, 0.024), limb(((0.52, 0.03), (0.44, 0.05)), (0.01, 0.015))),
            DARK,
            relief=0,
        ),
    )
