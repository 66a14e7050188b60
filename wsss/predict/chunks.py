"""Photos that a worker of a cluster segments for `wsss predict`: it sends back what is to be written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.kept import kept
from wsss.core.units import unit_done
from wsss.data.codec import read_file
from wsss.predict.collect import FoundPhoto
from wsss.predict.folder import Made, make
from wsss.predict.how import How
from wsss.predict.known_tags import KnownTags
from wsss.predict.segmenter import Segmenter, decode_photo

CHUNK = 8
"""Photos of a task."""


@dataclass(frozen=True)
class Work:
    """What all photos of a run share. `threads`: those of the process that writes; they change the order of sums."""

    model: Path
    tile: int
    how: How
    overlay_width: int | None
    max_megapixels: float
    threads: int
    tags: KnownTags = field(default_factory=dict)


def segment_chunk(work: Work, photos: Sequence[FoundPhoto], known: Sequence[str]) -> list[Made | UserError | None]:
    """The results of `photos`; the error of one that cannot be read; None if its checksum is the `known` one."""
    torch.set_num_threads(work.threads)
    segmenter = kept(_load, work.model, work.tile)
    found: list[Made | UserError | None] = []
    for photo, before in zip(photos, known, strict=True):
        check_stop()
        found.append(_segment(segmenter, work, photo, before))
        unit_done()
    return found


def _segment(segmenter: Segmenter, work: Work, photo: FoundPhoto, before: str) -> Made | UserError | None:
    try:
        data = read_file(photo.path)
        digest = hashlib.sha256(data).hexdigest()
        if digest == before:
            return None
        opened = decode_photo(data, photo.path, work.how, work.max_megapixels)
    except UserError as error:
        return error
    return make(
        segmenter.segment(opened, work.how, str(photo.path), work.tags.get(photo.id)), digest, work.overlay_width
    )


def _load(model: Path, tile: int) -> tuple[Segmenter, None]:
    return Segmenter.load(model, tile), None
