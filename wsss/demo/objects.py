"""The classes of the demo: what each looks like, how it meets the ground, and where it is mostly seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wsss.demo import animals, things
from wsss.demo.backgrounds import Place
from wsss.demo.coat import Coat
from wsss.demo.geometry import Figure

Stance = Literal["stands", "floats", "towers", "flies", "swims"]


@dataclass(frozen=True)
class Pose:
    draw: Callable[[np.random.Generator, Coat], Figure]
    stance: Stance
    tilt: float  # degrees either way


@dataclass(frozen=True)
class Kind:
    name: str
    poses: tuple[Pose, ...]
    places: dict[Place, float]  # probabilities: mostly at home, never always


KINDS: tuple[Kind, ...] = (
    Kind(
        "cow",
        (Pose(animals.cow, "stands", 6),),
        {"meadow": 0.75, "hills": 0.10, "coast": 0.05, "street": 0.05, "sea": 0.05},
    ),
    Kind(
        "horse",
        (Pose(animals.horse, "stands", 8),),
        {"meadow": 0.36, "hills": 0.44, "coast": 0.08, "street": 0.07, "sea": 0.05},
    ),
    Kind(
        "boat",
        (Pose(things.boat, "floats", 10),),
        {"sea": 0.78, "coast": 0.08, "meadow": 0.05, "reef": 0.09},
    ),
    Kind(
        "car",
        (Pose(things.car, "stands", 7),),
        {"street": 0.80, "meadow": 0.07, "hills": 0.06, "coast": 0.04, "reef": 0.03},
    ),
    Kind(
        "windmill",
        (Pose(things.windmill, "towers", 4),),
        {"hills": 0.68, "meadow": 0.12, "coast": 0.07, "sea": 0.06, "sky": 0.07},
    ),
    Kind(
        "lighthouse",
        (Pose(things.lighthouse, "towers", 4),),
        {"coast": 0.50, "sea": 0.30, "meadow": 0.06, "hills": 0.06, "street": 0.03, "sky": 0.05},
    ),
    Kind(
        "bird",
        (Pose(animals.flying_bird, "flies", 28), Pose(animals.standing_bird, "stands", 8)),
        {"sky": 0.75, "meadow": 0.05, "hills": 0.04, "sea": 0.05, "street": 0.04, "coast": 0.04, "reef": 0.03},
    ),
    Kind(
        "fish",
        (Pose(animals.fish, "swims", 32),),
        {"reef": 0.78, "sea": 0.09, "coast": 0.06, "meadow": 0.05, "street": 0.02},
    ),
)
CLASSES: tuple[str, ...] = tuple(kind.name for kind in KINDS)  # ids 1, 2, … in this order; 0 is background
