"""Joint augmentation of a photo and its labels, drawn from a generator that the caller has keyed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydantic import Field, field_validator

from wsss.core.params import Scale, Settings, unit
from wsss.data.index import IGNORE

PAD_COLOUR = (124, 116, 104)
"""Mean colour of ImageNet: about 0 after any backbone's own normalisation."""


class AugmentSettings(Settings):
    """Random scale, flip, crop and colour jitter of training samples."""

    crop: int | float = Field(
        default=0,
        ge=0,
        le=4096,
        description="side of the square crop: up to 1.0 a share of the photos' median longer side, from 16 on pixels; "
        "0: chosen by the stage",
        json_schema_extra=unit("share, or pixels"),
    )
    scale: tuple[Scale, Scale] = Field(
        default=(0.7, 1.5), description="range of the random scale", json_schema_extra=unit("× the photo's size")
    )
    flip: bool = Field(default=True, description="flip half of the samples horizontally")
    jitter: float = Field(
        default=0.2, ge=0, le=0.9, description="brightness, contrast and saturation change by up to ± this fraction"
    )

    @field_validator("crop")
    @classmethod
    def _share_or_pixels(cls, crop: int | float) -> int | float:
        if 1 < crop < 16 or (crop > 1 and crop != int(crop)):
            raise ValueError("a share up to 1.0, or whole pixels from 16 on")
        return crop

    @field_validator("scale")
    @classmethod
    def _rising(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if scale[0] > scale[1]:
            raise ValueError("the smaller number first")
        return scale

    @property
    def pixels(self) -> int:
        """The crop in pixels. Raises `ValueError` for a share: `training.rules.cropped` makes pixels of it first."""
        if self.crop < 16:
            raise ValueError(f"a crop of {self.crop:g} is not in pixels yet")
        return int(self.crop)


@dataclass(frozen=True)
class Sample:
    """One training sample: `image` (H, W, 3) uint8; `label` (H, W) uint8 and `confidence` (H, W) uint8, or None."""

    image: np.ndarray
    label: np.ndarray | None = None
    confidence: np.ndarray | None = None


def augment(sample: Sample, settings: AugmentSettings, rng: np.random.Generator) -> Sample:
    """A random square crop of `sample`; label and confidence follow the photo exactly.

    Only the crop is ever resampled. Outside the photo: mean colour, label 255, confidence 0.
    """
    height, width = sample.image.shape[:2]
    low, high = settings.scale
    scale = float(rng.uniform(low, high))
    crop = settings.pixels
    size = crop / scale
    # The window in the photo's own pixels. A photo smaller than the window is padded at a random side.
    top = float(rng.uniform(min(0.0, height - size), max(0.0, height - size)))
    left = float(rng.uniform(min(0.0, width - size), max(0.0, width - size)))
    flipped = settings.flip and bool(rng.integers(2))
    factors = 1.0 + settings.jitter * rng.uniform(-1.0, 1.0, 3)

    def cut(array: np.ndarray, fill: int | tuple[int, ...], method: Image.Resampling) -> np.ndarray:
        window = _window(array, top, left, size, crop, fill, method)
        return np.ascontiguousarray(window[:, ::-1]) if flipped else window

    image = cut(sample.image, PAD_COLOUR, Image.Resampling.BILINEAR)
    label = None if sample.label is None else cut(sample.label, IGNORE, Image.Resampling.NEAREST)
    confidence = None if sample.confidence is None else cut(sample.confidence, 0, Image.Resampling.NEAREST)
    return Sample(colour_jitter(image, *factors), label, confidence)


def colour_jitter(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Scale brightness, contrast (around the photo's mean grey) and saturation (around each pixel's grey).

    `image`: (H, W, 3) uint8 → the same; a factor of 1 changes nothing.
    """
    if brightness == contrast == saturation == 1.0:
        return image
    pixels = image.astype(np.float32) * np.float32(brightness)
    grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    mean = np.float32(grey.mean(dtype=np.float64))
    # contrast·(saturation·(p − grey) + grey − mean) + mean, in one pass over the pixels
    pixels *= np.float32(contrast * saturation)
    pixels += (np.float32(contrast * (1.0 - saturation)) * grey + np.float32(1.0 - contrast) * mean)[..., None]
    np.clip(pixels, 0.0, 255.0, out=pixels)
    return np.rint(pixels).astype(np.uint8)


def _window(
    array: np.ndarray,
    top: float,
    left: float,
    size: float,
    crop: int,
    fill: int | tuple[int, ...],
    method: Image.Resampling,
) -> np.ndarray:
    height, width = array.shape[:2]
    inside = (max(left, 0.0), max(top, 0.0), min(left + size, float(width)), min(top + size, float(height)))
    ratio = crop / size
    # At least one pixel of a photo however small stays inside the crop.
    target_left = min(round((inside[0] - left) * ratio), crop - 1)
    target_top = min(round((inside[1] - top) * ratio), crop - 1)
    target_width = min(max(1, round((inside[2] - inside[0]) * ratio)), crop - target_left)
    target_height = min(max(1, round((inside[3] - inside[1]) * ratio)), crop - target_top)
    part = Image.fromarray(array).resize((target_width, target_height), method, box=inside)
    out = np.empty((crop, crop, *array.shape[2:]), np.uint8)
    out[...] = fill
    out[target_top : target_top + target_height, target_left : target_left + target_width] = np.asarray(part)
    return out
