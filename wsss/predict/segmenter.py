"""Segmentation in four lines of Python.

from wsss import Segmenter
segmenter = Segmenter.load("artifacts/student.pt")
found = segmenter("photo.jpg")
found.overlay().save("overlay.png")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from wsss.core.errors import UserError, did_you_mean
from wsss.core.log import say
from wsss.crf.settings import CrfSettings
from wsss.data.captions import legend
from wsss.data.codec import read_file
from wsss.data.crumbs import Area, parse_area, without_crumbs
from wsss.data.images import MAX_MEGAPIXELS, decode_image, read_photo, rgb_array, save_mask_png
from wsss.data.palette import display_palette
from wsss.data.render import fit, label_overlay
from wsss.data.size import fit_label, resized
from wsss.numeric.device import device, enough_memory
from wsss.predict.enlarge import label_at
from wsss.predict.how import How, explained, resolve
from wsss.predict.hub import local_path
from wsss.predict.known_tags import limited
from wsss.predict.networks import Segmenting, open_network
from wsss.predict.segmenting import network_sha256
from wsss.predict.view import TILE, View

Photo = str | Path | Image.Image | np.ndarray


@dataclass(frozen=True)
class Segmentation:
    """The segmentation of one photo, at its own size.

    `whole`: the photo, or what decodes it when it is asked for; `label`: (H, W) uint8, 0 background, 1..K;
    `confidence`: (H, W) float16 in [0, 1], which orders and is no probability (docs/trust.md); `names`: all K+1 class
    names, background first.
    """

    whole: np.ndarray | Callable[[], np.ndarray]
    label: np.ndarray
    confidence: np.ndarray
    names: tuple[str, ...]

    @cached_property
    def photo(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB as it is displayed. A file is decoded at full size only if this is asked for."""
        return self.whole() if callable(self.whole) else self.whole

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

    def without_crumbs(self, area: Area | int | str) -> Segmentation:
        """The same without pieces of a class of less than `area`, in pixels or as ``"0.1%"`` of the photo: they become
        what surrounds them.

        Their confidence becomes 1 - what it was: the probability of the new label is at most that.
        """
        least = area if isinstance(area, Area) else parse_area(str(area), "area")
        label = without_crumbs(self.label, least.least(self.label))
        confidence = np.where(label == self.label, self.confidence, 1 - self.confidence)
        return replace(self, label=label, confidence=confidence)

    def save(self, path: str | Path) -> None:
        """Write the label as an indexed PNG in the VOC palette, atomically."""
        save_mask_png(Path(path), self.label)

    def overlay(self, width: int = 1024, with_legend: bool = True) -> Image.Image:
        """The label in colour over the photo, shrunk to at most `width` columns; below it the names of the classes."""
        photo = fit(self.photo, width)
        label = fit_label(self.label, photo.shape)
        drawn = label_overlay(photo, label, display_palette())
        names = [legend(self.names, np.unique(label), photo.shape[1])] if with_legend else []
        return Image.fromarray(np.concatenate([drawn, *names]))


class Segmenter:
    """A segmentation network ready for photos. `classes`: names, background first; `fingerprint`: of the file."""

    def __init__(self, network: Segmenting, fingerprint: str, where: torch.device, tile: int = TILE) -> None:
        self.network, self.fingerprint, self.where, self.tile = network, fingerprint, where, tile
        self._said: How | None = None

    @classmethod
    def load(cls, path: str | Path, tile: int = TILE) -> Segmenter:
        """From a student's or an OSTE's checkpoint, an ONNX file or a package that `wsss export` made, or a package of
        the hub: ``hf://owner/name`` or ``hf://owner/name@revision`` (needs huggingface_hub).

        Runs on the device that `WSSS_DEVICE` names. Photos whose largest view has more than 4·tile² pixels are cut into
        overlapping tiles. Raises `UserError`, `IntegrityError` or `EnvError` with a fix.
        """
        where = device()
        found = local_path(path)
        network = open_network(found, where)
        return cls(network, network_sha256(found)[:16], where, tile)

    @property
    def classes(self) -> tuple[str, ...]:
        """All class names, background first."""
        return self.network.classes

    def __call__(
        self,
        photo: Photo,
        scales: Sequence[float] | None = None,
        flip: bool | None = None,
        crf: bool | CrfSettings | Mapping[str, Any] | None = None,
        as_is: bool = False,
    ) -> Segmentation:
        """Segment one photo: a path, a PIL image, or an (H, W, 3) uint8 RGB array. The label has the photo's own size.

        By default as the model was evaluated: on the photo brought to the size of those it was trained on, averaged
        over the same `scales` and horizontal flips (`flip`), and refined by the same CRF (`crf`). Each may be given
        instead; `crf=True` uses the model's CRF settings, or the recipes' if it has none; a dict names settings of
        its own. `as_is`: the photo at its own size, in tiles, at scale 1, without flip and CRF unless they are given.
        How it is done is said once on standard error. Raises `UserError` for a photo that cannot be read.
        """
        how = resolve(self.network, scales, flip, crf, as_is)
        if how != self._said:
            say(f"segmenter: {explained(self.network, how)}")
            self._said = how
        return self.segment(open_photo(photo, how), how, describe(photo))

    def segment(self, opened: OpenedPhoto, how: How, name: str, tags: Sequence[int] | None = None) -> Segmentation:
        """Segment a photo that was opened for the same `how`; `name` is for messages. `tags`: the numbers of all
        classes that it shows, where that is known.
        """
        image, network = opened.image, self.network
        run, parts = network.run, network.parts
        if tags is not None:
            run, parts = limited(parts or run, tags), None  # what is known needs no guess
        view = View(how.scales, how.flip, self.tile)
        fix = "give smaller tiles: Segmenter.load(…, tile=512), --tile 512"
        doing = f"on {image.shape[1]}×{image.shape[0]} pixels in tiles of {self.tile}"
        with enough_memory(name, doing, fix):
            label, confidence = label_at(run, network.kind, image, opened.own_size, view, how.crf, self.where, parts)
        return Segmentation(opened.whole, label, confidence, self.classes)


@dataclass(frozen=True)
class OpenedPhoto:
    """A photo as a network reads it: `image` (h, w, 3) uint8 RGB; its `own_size` (H, W); `whole`: at that size, or what
    decodes it.
    """

    image: np.ndarray
    own_size: tuple[int, int]
    whole: np.ndarray | Callable[[], np.ndarray]


def open_photo(photo: Photo, how: How) -> OpenedPhoto:
    """Any accepted form of a photo. Raises `UserError`."""
    if isinstance(photo, (str, Path)):
        return decode_photo(read_file(Path(photo)), photo, how)
    whole = as_array(photo)
    return OpenedPhoto(resized(whole, how.read(*whole.shape[:2])), (whole.shape[0], whole.shape[1]), whole)


def decode_photo(data: bytes, name: str | Path, how: How, max_megapixels: float = MAX_MEGAPIXELS) -> OpenedPhoto:
    """The bytes of an image file; see `data.images.read_photo`."""
    found = read_photo(data, name, how.read, max_megapixels)
    same = found.image.shape[:2] == found.own_size
    whole = found.image if same else partial(decode_image, data, name, max_megapixels)
    return OpenedPhoto(found.image, found.own_size, whole)


def as_array(photo: Image.Image | np.ndarray) -> np.ndarray:
    """A photo in memory → (H, W, 3) uint8 RGB as it is displayed; see `data.images.decode_image`."""
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
