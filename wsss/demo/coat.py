"""Colours of a figure, from one distribution for every class, so that colour does not reveal the class."""

from dataclasses import dataclass

import numpy as np

from wsss.demo.geometry import Color, rgb

_BASES = (
    rgb(0.46, 0.30, 0.19),  # chestnut
    rgb(0.62, 0.47, 0.30),  # dun
    rgb(0.80, 0.74, 0.64),  # cream
    rgb(0.88, 0.87, 0.84),  # white
    rgb(0.52, 0.52, 0.52),  # grey
    rgb(0.20, 0.19, 0.20),  # black
    rgb(0.58, 0.24, 0.17),  # russet
    rgb(0.33, 0.42, 0.52),  # slate blue
    rgb(0.44, 0.50, 0.38),  # sage
    rgb(0.74, 0.58, 0.26),  # ochre
)
DARK = rgb(0.10, 0.09, 0.09)


@dataclass(frozen=True)
class Coat:
    base: Color  # the body
    far: Color  # limbs on the far side, in shade
    trim: Color  # mane, fins, roof: a darker or lighter relative of the base
    second: Color  # the other colour of a pattern


def mix(a: Color, b: Color, share: float) -> Color:
    """a with the fraction `share` of b."""
    return a + (b - a) * np.float32(share)


def draw_color(rng: np.random.Generator) -> Color:
    base = _BASES[rng.integers(len(_BASES))]
    return np.clip(base * rng.uniform(0.85, 1.12) + rng.normal(0, 0.03, 3), 0.06, 0.95).astype(np.float32)


def draw_coat(rng: np.random.Generator) -> Coat:
    base = draw_color(rng)
    bright = float(base.mean())
    trim = mix(base, DARK, rng.uniform(0.35, 0.65)) if bright > 0.3 else mix(base, rgb(1, 1, 1), 0.25)
    second = draw_color(rng)
    return Coat(base, far=base * np.float32(0.68), trim=trim, second=second)
