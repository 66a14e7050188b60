"""What a data set is in a few numbers: those that the settings' rules look at, and those that a person should see."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wsss.core.errors import UserError
from wsss.data.index import Index, Record
from wsss.data.photos import Photos
from wsss.training.probe import evenly

SAMPLE = 24
"""Photos that are looked at for their colour."""
GREY = 2.0
"""Mean difference of the channels, 0..255, below which a photo is grey: JPEG adds a little colour to grey."""


@dataclass(frozen=True)
class Fingerprint:
    """Numbers of a data set.

    `photos`: by split, train first; `tags`: mean of the tagged photos, and `most_tags` of one; `longer`: longer sides
    of the photos' files, pixels: least, median, greatest; `sizes`: different sizes; `read`: their median longer side as
    the stages read them; `grey`: fraction of the photos looked at that have no colour, None if none could be read.
    """

    photos: Mapping[str, int]
    classes: int
    tags: float
    most_tags: int
    untagged: int
    longer: tuple[int, int, int]
    sizes: int
    read: int
    grey: float | None

    @property
    def colour(self) -> str:
        """In words."""
        if self.grey is None:
            return "colour unknown"
        return "grey" if self.grey == 1 else "colour" if self.grey == 0 else f"{self.grey:.0%} grey"

    def lines(self) -> list[str]:
        """For a person."""
        by_split = ", ".join(f"{count} {split}" for split, count in self.photos.items())
        low, median, high = self.longer
        sides = f"{median} px" if low == high else f"{median} px in the middle, {low} to {high} px"
        kinds = "one size" if self.sizes == 1 else f"{self.sizes} sizes"
        return [
            f"photos   {sum(self.photos.values())} ({by_split}), {self.untagged} without a tag",
            f"classes  {self.classes}; {self.tags:.1f} tags a photo, at most {self.most_tags}",
            f"sizes    longer side {sides}; {kinds}, {self.colour}",
            f"read at  {self.read} px, the median longer side of what every stage gets (dataset.long_side)",
        ]


def read_size(records: Sequence[Record]) -> int:
    """Median longer side of the photos as the stages read them, pixels.

    The one place where a plan learns of it: the sizes of an index are those of the arrays that stages get.
    """
    return round(statistics.median(max(record.height, record.width) for record in records))


def fingerprint(index: Index, photos: Photos) -> Fingerprint:
    """The numbers of `index`, which holds at least one photo; some of its `photos` are read for their colour."""
    records = index.records
    counts = [len(record.tags) for record in records if record.tags]
    sides = [max(record.own_size) for record in records]
    return Fingerprint(
        {split: len(index.split(split)) for split in index.splits()},
        index.foreground,
        statistics.fmean(counts) if counts else 0.0,
        max(counts, default=0),
        len(records) - len(counts),
        (min(sides), round(statistics.median(sides)), max(sides)),
        len({record.own_size for record in records}),
        read_size(records),
        grey_fraction(photos, evenly(records, SAMPLE)),
    )


def grey_fraction(photos: Photos, records: Sequence[Record]) -> float | None:
    """The fraction of `records` whose photos have no colour. None if none can be read."""
    found = []
    for record in records:
        try:
            image = photos.image(record)
        except UserError:  # told by whoever reads all photos
            continue
        pixels = image[:: max(1, image.shape[0] // 64), :: max(1, image.shape[1] // 64)].astype(np.int16)
        found.append(float((pixels.max(2) - pixels.min(2)).mean()) < GREY)
    return statistics.fmean(found) if found else None
