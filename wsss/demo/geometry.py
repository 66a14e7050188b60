"""Outlines in the unit frame of a figure: x to the right (the way it faces), y down, one unit about a body's length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2): x, y
Color = NDArray[np.float32]  # (3,) RGB in [0, 1]
Pair = tuple[float, float]
Role = Literal["body", "part"]


@dataclass(frozen=True, eq=False)
class Part:
    """One piece of a figure: outlines filled together in one colour."""

    outlines: tuple[Points, ...]
    color: Color
    role: Role = "part"  # a body takes the pattern of the coat, a part never does
    relief: float = 1.0  # 0 is flat (a window), 1 is round (a belly)


Figure = tuple[Part, ...]  # painted first to last


def rgb(red: float, green: float, blue: float) -> Color:
    return np.array((red, green, blue), np.float32)


def points(*pairs: Pair) -> Points:
    return np.array(pairs, np.float64)


def turn(outline: Points, degrees: float, about: Pair = (0.0, 0.0)) -> Points:
    """Rotate (n, 2) points; positive turns clockwise on the screen, as y points down."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return (outline - about) @ np.array(((cos, sin), (-sin, cos))) + about


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0.0, n: int = 24) -> Points:
    angle = np.linspace(0.0, 2 * np.pi, n, endpoint=False)
    return turn(np.stack((rx * np.cos(angle), ry * np.sin(angle)), axis=1), degrees) + np.asarray((x, y))


def smooth(*pairs: Pair, steps: int = 6) -> Points:
    """A closed Catmull–Rom curve through the pairs: (len(pairs) * steps, 2)."""
    p1 = points(*pairs)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None, None]
    curve = p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return curve.transpose(1, 0, 2).reshape(-1, 2)


def limb(joints: Sequence[Pair], widths: Sequence[float]) -> Points:
    """A tapering band along a line of joints, rounded at its end: a leg, a neck, a mast."""
    line = np.asarray(joints, np.float64)
    half = np.asarray(widths, np.float64)[:, None] / 2
    steps = np.diff(line, axis=0)
    along = np.concatenate((steps[:1], steps[:-1] + steps[1:], steps[-1:]))
    along /= np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    across = along[:, ::-1] * (-1.0, 1.0)
    tip = line[-1:] + along[-1:] * half[-1:]
    return np.concatenate((line + across * half, tip, (line - across * half)[::-1]))


def reach(start: Pair, *bones: tuple[float, float]) -> list[Pair]:
    """Joints of a chain of (length, degrees) bones; 0° points right, 90° down."""
    joints = [start]
    for length, degrees in bones:
        x, y = joints[-1]
        angle = np.deg2rad(degrees)
        joints.append((x + length * float(np.cos(angle)), y + length * float(np.sin(angle))))
    return joints


def moved(figure: Figure, scale: float, degrees: float, mirror: bool, to: Pair) -> Figure:
    """The figure scaled, flipped if `mirror`, rotated about its origin and moved to `to`, in pixels."""
    flip = np.array((-scale if mirror else scale, scale))

    def place(outline: Points) -> Points:
        return turn(outline * flip, degrees) + to

    return tuple(replace(part, outlines=tuple(place(o) for o in part.outlines)) for part in figure)


def extent(figure: Figure) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of all outlines."""
    every = np.concatenate([outline for part in figure for outline in part.outlines])
    (left, top), (right, bottom) = every.min(0), every.max(0)
    return float(left), float(top), float(right), float(bottom)
