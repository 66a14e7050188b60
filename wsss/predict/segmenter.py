"""Segmentation in four lines of Python.

from wsss import Segmenter
segmenter = Segmenter.load("artifacts/student.pt")
found = segmenter("photo.jpg")
found.overlay().save("overlay.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wsss.core.atomic import sha256_file
from wsss.core.errors import UserError, did_you_mean
from wsss.crf.settings import CrfSettings
from wsss.data.images import MAX_MEGAPIXELS, load_image, rgb_array, save_mask_png, voc_palette
from wsss.data.render import fit, fit_label, label_overlay
from wsss.numeric.device import device, enough_memory
from wsss.predict.networks import Segmenting, open_network
from wsss.predict.tiles import label_photo
from wsss.predict.view import TILE, View, checked_scales

Photo = str | Path | Image.Image | np.ndarray

DEFAULT_CRF = CrfSettings(
    bilateral_weight=5,
    bilateral_rgb=5,
    spatial_weight=1.5,
)
"""The settings of `evaluate` in recipes/msrc.yaml; docs/experiments.md explains how they were chosen."""


@dataclass(frozen=True)
class Segmentation:
    """The segmentation of one photo.

    `photo`: (H, W, 3) uint8 RGB as it is displayed; `label`: (H, W) uint8, 0 background, 1..K; `confidence`: (H, W)
    float16 in [0, 1], probability of the label; `names`: all K+1 class names, background first.
    """

    photo: np.ndarray
    label: np.ndarray
    confidence: np.ndarray
    names: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that are present, without the background."""
        present = np.bincount(self.label.ravel(), minlength=len(self.names))
        return tuple(name for name, count in zip(self.names[1:], present[1:], strict=False) if count)

    def area(self, name: str) -> float:
        """Fraction of the photo's pixels with class `name` (or ``background``), in [0, 1]."""
        if name not in self.names:
            what = f"unknown class{did_you_mean(name, self.names)}"
            raise UserError(name, what, f"choose among {', '.join(self.names)}")
        return float((self.label == self.names.index(name)).mean())

    def save(self, path: str | Path) -> None:
        """Write the label as an indexed PNG in the VOC palette, atomically."""
        save_mask_png(Path(path), self.label)

    def overlay(self, width: int = 1024) -> Image.Image:
        """The label in colour over the photo, shrunk to at most `width` columns."""
        photo = fit(self.photo, width)
        return Image.fromarray(label_overlay(photo, fit_label(self.label, photo.shape), voc_palette()))


class Segmenter:
    """A segmentation network ready for photos. `classes`: names, background first; `fingerprint`: of the file."""

    def __init__(self, network: Segmenting, fingerprint: str, where: torch.device, tile: int = TILE) -> None:
        self.network, self.fingerprint, self.where, self.tile = network, fingerprint, where, tile

    @classmethod
    def load(cls, path: str | Path, tile: int = TILE) -> Segmenter:
        """From a student's or an OSTE's checkpoint, or an ONNX file that `wsss export` made.

        Runs on the device that `WSSS_DEVICE` names. Photos whose largest view has more than 4·tile² pixels are cut into
        overlapping tiles. Raises `UserError`, `IntegrityError` or `EnvError` with a fix.
        """
        where = device()
        network = open_network(Path(path), where)
        return cls(network, sha256_file(Path(path))[:16], where, tile)

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names, background first."""
        return self.network.classes

    def __call__(
        self, photo: Photo, scales: Sequence[float] = (1.0,), flip: bool = False, crf: bool | CrfSettings = False
    ) -> Segmentation:
        """Segment one photo: a path, a PIL image, or an (H, W, 3) uint8 RGB array.

        Probabilities are averaged over `scales` and, with `flip`, horizontal flips; `crf` refines them (`True`: with
        the recipes' settings). Raises `UserError` for a photo that cannot be read.
        """
        image = as_array(photo)
        view = View(checked_scales(scales), flip, self.tile)
        settings = DEFAULT_CRF if crf is True else crf or None
        network, fix = self.network, "give smaller tiles: Segmenter.load(…, tile=512), --tile 512"
        doing = f"on {image.shape[1]}×{image.shape[0]} pixels in tiles of {self.tile}"
        with enough_memory(describe(photo), doing, fix):
            label, confidence = label_photo(network.run, network.kind, image, view, settings, self.where, network.parts)
        return Segmentation(image, label, confidence, self.classes)


def as_array(photo: Photo, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Any accepted form of a photo → (H, W, 3) uint8 RGB as it is displayed; see `data.images.decode_image`."""
    if isinstance(photo, (str, Path)):
        return load_image(Path(photo), max_megapixels)
    if isinstance(photo, Image.Image):
        return rgb_array(photo, describe(photo))
    found = f"{type(photo).__name__}"
    if isinstance(photo, np.ndarray):
        if photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and photo.size:
            return photo
        found = f"an array {photo.dtype} {photo.shape}"
    what = f"found {found}, expected a path, a PIL image or a uint8 array (H, W, 3)"
    raise UserError("photo", what, "convert it: np.asarray(image.convert('RGB'))")


def describe(photo: Photo) -> str:
    """The name of a photo in messages."""
    if isinstance(photo, (str, Path)):
        return str(photo)
    return str(getattr(photo, "filename", "")) or "photo"
