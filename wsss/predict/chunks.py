"""Photos that `wsss predict` segments, here or as a worker of a cluster, which sends back what is to be written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.kept import kept
from wsss.core.units import unit_done
from wsss.data.codec import read_file
from wsss.data.crumbs import Area
from wsss.predict.collect import FoundPhoto
from wsss.predict.how import How
from wsss.predict.known_tags import KnownTags
from wsss.predict.made import Made, make
from wsss.predict.own_corrected import Corrected
from wsss.predict.own_labels import OwnLabels
from wsss.predict.segmenter import Segmentation, Segmenter, decode_photo

CHUNK = 8
"""Photos of a task."""


@dataclass(frozen=True)
class Work:
    """What all photos of a run share. `threads`: those of the process that writes; they change the order of sums.
    `limit`: whether masks show no class that `tags` deny. `min_area`: of a piece of a class.
    `labels`: pseudo-labels that masks are compared with. `corrected`: masks that a person has
    corrected.
    """

    model: Path
    tile: int
    how: How
    overlay_width: int | None
    max_megapixels: float
    threads: int
    tags: KnownTags = field(default_factory=dict)
    limit: bool = True
    min_area: Area = field(default_factory=Area)
    labels: OwnLabels | None = None
    corrected: Corrected | None = None


def segment_chunk(work: Work, photos: Sequence[FoundPhoto], known: Sequence[str]) -> list[Made | UserError | None]:
    """`segment_photo` of all `photos`, by a worker."""
    torch.set_num_threads(work.threads)
    segmenter = kept(_load, work.model, work.tile)
    found: list[Made | UserError | None] = []
    for photo, before in zip(photos, known, strict=True):
        check_stop()
        found.append(segment_photo(segmenter, work, photo, before))
        unit_done()
    return found


def segment_photo(segmenter: Segmenter, work: Work, photo: FoundPhoto, before: str) -> Made | UserError | None:
    """What `photo` gives; the error if it cannot be read; None if its checksum is the one `before`."""
    try:
        data = read_file(photo.path)
        digest = hashlib.sha256(data).hexdigest()
        if digest == before:
            return None
        opened = decode_photo(data, photo.path, work.how, work.max_megapixels)
    except UserError as error:
        return error
    tags = work.tags.get(photo.id)
    by_hand = work.corrected is not None and photo.id in work.corrected
    mine = None if work.corrected is None else work.corrected.mask(photo.id, opened.own_size)
    if mine is not None:
        found = Segmentation(opened.whole, mine, np.ones(mine.shape, np.float16), segmenter.classes)
        return make(found, digest, work.overlay_width, tags, corrected=True)
    found = segmenter.segment(opened, work.how, str(photo.path), tags if work.limit else None)
    if work.min_area != Area():
        found = found.without_crumbs(work.min_area)
    # Where a person has corrected the label, the student is the one that is wrong: no reason to look at the mask first.
    labels = None if by_hand else work.labels
    pseudo = None if labels is None else labels.label(photo.id)
    learned = None if labels is None else labels.learned(photo.id)
    return make(found, digest, work.overlay_width, tags, pseudo, learned=learned)


def _load(model: Path, tile: int) -> tuple[Segmenter, None]:
    return Segmenter.load(model, tile), None
