"""How photos are segmented: as the network was evaluated, unless something else is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from wsss.core.errors import UserError
from wsss.crf.settings import CrfSettings
from wsss.data.size import ReadSizes
from wsss.predict.networks import Segmenting
from wsss.predict.view import checked_scales

DEFAULT_CRF = CrfSettings(
    bilateral_weight=5,
    bilateral_rgb=5,
    spatial_weight=1.5,
)
"""For networks whose files name no CRF: the settings of `evaluate` in recipes/msrc.yaml; docs/experiments.md explains
how they were chosen.
"""


@dataclass(frozen=True)
class How:
    """Photos are brought to `sizes` (None: their own size, in tiles if need be); probabilities are averaged over
    `scales` and, with `flip`, horizontal flips, and refined by `crf` (None: not).
    """

    sizes: ReadSizes | None
    scales: tuple[float, ...]
    flip: bool
    crf: CrfSettings | None

    def read(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) at which a photo of `height` × `width` pixels is read."""
        return (height, width) if self.sizes is None else self.sizes.read(height, width)

    def plain(self) -> dict[str, Any]:
        """As plain values, for files."""
        return {
            "size": self.sizes and self.sizes.plain(),
            "scales": list(self.scales),
            "flip": self.flip,
            "crf": None if self.crf is None else self.crf.model_dump(),
        }

    def describe(self) -> str:
        """``read at 320 pixels, test-time scale 1.5, flip, CRF``"""
        size = "photos at their own size" if self.sizes is None else f"read at {self.sizes.describe()}"
        scales = f"test-time scale{'s' if len(self.scales) > 1 else ''} {', '.join(f'{s:g}' for s in self.scales)}"
        return f"{size}, {scales}, {'flip' if self.flip else 'no flip'}, {'CRF' if self.crf else 'no CRF'}"


def evaluated(network: Segmenting) -> How | None:
    """How `network` was evaluated; None if its file does not say."""
    view = network.view
    return None if view is None else How(network.sizes, tuple(view.scales), view.flip, view.crf)


def resolve(
    network: Segmenting,
    scales: Sequence[float] | None = None,
    flip: bool | None = None,
    crf: bool | CrfSettings | Mapping[str, Any] | None = None,
    as_is: bool = False,
) -> How:
    """How `network` is run: what is not None as given, the rest as it was evaluated.

    A file that does not say how leaves scale 1, no flip and no CRF. So does `as_is`, and photos stay at their own size.
    `crf` True: the settings of the file, or else `DEFAULT_CRF`. Raises `UserError` for what is none of these.
    """
    known = evaluated(network)
    for name, flag in {"flip": flip, "as_is": as_is}.items():
        if not isinstance(flag, bool) and flag is not None:
            raise UserError(name, f"found {flag!r}, expected True or False", f"give {name}=True or {name}=False")
    default = How(None if as_is else network.sizes, (1.0,), False, None) if known is None or as_is else known
    if crf is True:
        crf = (known and known.crf) or DEFAULT_CRF
    elif not isinstance(crf, bool) and crf is not None:
        crf = checked_crf(crf)
    return How(
        default.sizes,
        default.scales if scales is None else checked_scales(scales),
        default.flip if flip is None else flip,
        default.crf if crf is None else crf or None,
    )


def checked_crf(value: CrfSettings | Mapping[str, Any]) -> CrfSettings:
    """Settings of a CRF: as they are, or those of ``evaluate.crf`` by name. Raises `UserError` for anything else."""
    if isinstance(value, CrfSettings):
        return value
    fix = "give crf=True, False, or e.g. crf={'iterations': 5, 'bilateral_xy': 40}: wsss explain evaluate.crf"
    if not isinstance(value, Mapping):
        raise UserError("crf", f"found {value!r}, expected True, False or settings by name", fix)
    try:
        return CrfSettings.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"found {first['input']!r}: {first['msg'].lower()}"
        raise UserError(".".join(("crf", *map(str, first["loc"]))), what, fix) from error


def explained(network: Segmenting, how: How) -> str:
    """``how`` in a line, and whether that is how `network` was evaluated."""
    known = evaluated(network)
    if how == known:
        return f"{how.describe()}, as the model was evaluated"
    if known is None:
        return f"{how.describe()}; the model's file does not say how it was evaluated"
    return f"{how.describe()}; the model was evaluated {known.describe().removeprefix('read ')}"
