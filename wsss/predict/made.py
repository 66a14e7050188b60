"""What one photo gives: a mask, pictures of it if they are asked for, and its row of the table."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wsss.data.images import voc_palette
from wsss.data.index import IGNORE, TAG_SEPARATOR
from wsss.data.origins import digest
from wsss.data.render import fit
from wsss.data.size import fit_label
from wsss.predict.look import SEPARATOR, differing, reasons
from wsss.predict.table import CORRECTED

if TYPE_CHECKING:
    from wsss.predict.segmenter import Segmentation

OVERLAYS, PHOTOS, COLOURED = "overlays", "page/photos", "page/overlays"
PICTURES = (OVERLAYS, PHOTOS, COLOURED)
"""Folders of pictures: overlays with the names of their classes below; for the page, where they lie on each other, the
photo alone and the overlay without these names. Not `photos`: somebody's own may lie in a folder of this name."""
LABELS = "page/labels"
"""The pseudo-label over the photo, of photos to look at that have one. The file's comment has its `classes_shown`."""
NO_TAG = "none"
"""In the table: it is known that the photo has no tag. An empty cell: nothing is known."""


@dataclass(frozen=True)
class Made:
    """The file `mask` (PNG) and its `digest`; `pictures` (JPEG) by their folder, none unless they are asked for;
    `values`: the photo's row, from its checksum on.
    """

    mask: bytes
    digest: str
    pictures: Mapping[str, bytes]
    values: tuple[str, ...]


def make(
    found: Segmentation,
    sha256: str,
    overlay_width: int | None,
    tags: Sequence[int] | None,
    pseudo: np.ndarray | None = None,
    corrected: bool = False,
    learned: np.ndarray | None = None,
) -> Made:
    """The files and values of the photo that has this checksum; `tags`, `pseudo`: see `look.reasons`. `corrected`: a
    person has made the mask, which nobody has to look at. `learned`: (h, w) uint8, what the student has learned from.
    """
    mask = Image.fromarray(found.label)
    mask.putpalette(voc_palette().tobytes())
    confidence = float(found.confidence.mean(dtype="float64"))
    look = "" if corrected else SEPARATOR.join(reasons(found.label, found.names, tags, pseudo))
    known = "" if tags is None else TAG_SEPARATOR.join(found.names[tag] for tag in tags) or NO_TAG
    sides = (str(side) for side in found.label.shape)
    unlike = None if learned is None else differing(found.label, learned)
    differs = "" if unlike is None else f"{unlike:.4f}"
    named = (look, known, CORRECTED if corrected else "", "", differs)
    values = (sha256, *sides, f"{confidence:.4f}", *named, *areas_of(found))
    compared = pseudo if look else None
    pictures = {} if overlay_width is None else pictures_of(found, overlay_width, compared)
    return Made(_file(mask, format="PNG"), digest(found.label), pictures, values)


def areas_of(found: Segmentation) -> list[str]:
    """Fractions of the photo by class, background first, as the table has them."""
    return [f"{found.area(known):.6g}" for known in found.names]


def pictures_of(found: Segmentation, width: int, pseudo: np.ndarray | None = None) -> dict[str, bytes]:
    """JPEGs of at most `width` columns, by their folder; `pseudo`: (h, w) uint8, 255 where ignored, drawn if given."""
    photo = fit(found.photo, width)
    small = replace(found, whole=photo, label=fit_label(found.label, photo.shape))
    drawn = {
        OVERLAYS: small.overlay(width),
        PHOTOS: Image.fromarray(photo),
        COLOURED: small.overlay(width, with_legend=False),
    }
    if pseudo is not None:
        label = replace(small, label=fit_label(pseudo, photo.shape))
        drawn[LABELS] = label.overlay(width, with_legend=False)
    files = {kind: _file(image, format="JPEG", quality=90) for kind, image in drawn.items() if kind != LABELS}
    if pseudo is not None:
        shown = " ".join(map(str, np.unique(pseudo)))  # the label itself is not kept here
        files[LABELS] = _file(drawn[LABELS], format="JPEG", quality=90, comment=shown.encode("ascii"))
    return files


def classes_shown(picture: Image.Image, classes: int) -> tuple[int, ...]:
    """The class ids of the pseudo-label in a picture of `LABELS`, `IGNORE` among them, ascending; none where it does
    not say them, as of an earlier wsss. `classes`: how many there are.
    """
    comment = picture.info.get("comment", b"")
    numbers = {int(part) for part in comment.split() if part.isdigit()} if isinstance(comment, bytes) else set()
    return tuple(sorted(number for number in numbers if number < classes or number == IGNORE))


def _file(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
