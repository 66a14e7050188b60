"""Settings of the fully connected CRF. Their defaults are the published constants."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from wsss.core.params import Settings, unit


class CrfSettings(Settings):
    """Mean-field iterations and the two pairwise kernels. Defaults: Eq (11) of OSTE, which took them from DSRG."""

    iterations: int = Field(default=10, ge=1, le=100, description="mean-field iterations")
    bilateral_weight: float = Field(default=10, ge=0, description="weight of the appearance kernel (place and colour)")
    bilateral_xy: float = Field(
        default=80, gt=0, description="reach of the appearance kernel", json_schema_extra=unit("pixels")
    )
    bilateral_rgb: float = Field(
        default=13, gt=0, description="colour tolerance of the appearance kernel", json_schema_extra=unit("0..255")
    )
    spatial_weight: float = Field(default=3, ge=0, description="weight of the smoothness kernel (place alone)")
    spatial_xy: float = Field(
        default=3, gt=0, description="reach of the smoothness kernel", json_schema_extra=unit("pixels")
    )
    engine: Literal["fast", "pydensecrf"] = Field(
        default="fast", description="fast: numba; pydensecrf: the authors' C++, the same labels on 99.9 % of the pixels"
    )


PUBLISHED = CrfSettings()
OFF = "off"


def read_crf(value: Any) -> Any:
    """``off`` → None, ``published`` → the defaults; keys are checked by the model. `ValueError` for any other text."""
    if value == OFF:
        return None
    if value == "published":
        return PUBLISHED
    if isinstance(value, (dict, CrfSettings)) or value is None:
        return value
    raise ValueError("off, published, or the keys that differ from the published ones")


Crf = Annotated[
    CrfSettings | None,
    BeforeValidator(read_crf),
    WithJsonSchema({"anyOf": [{"enum": [OFF, "published"]}, CrfSettings.model_json_schema()]}),
]
"""A field of settings: a CRF, or None where it is switched off."""
