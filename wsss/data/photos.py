"""Photos on disk: the location of the data set, and reading photos with a check that they are the indexed ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, Field

from wsss.core.errors import UserError
from wsss.core.params import Settings
from wsss.data.codec import check_file
from wsss.data.images import MAX_MEGAPIXELS, read_photo
from wsss.data.index import Record


class Location(Settings):
    """Where the data set lies: the part of section `dataset` that stages after `index` read.

    Moving a data set changes no result, so it is part of no stage's identity. `index` checks the whole section.
    """

    model_config = ConfigDict(extra="ignore")

    root: str
    max_megapixels: float = Field(default=MAX_MEGAPIXELS, gt=0)

    def photos(self, records: Sequence[Record]) -> Photos:
        """`records` at this place."""
        return Photos(Path(self.root), self.max_megapixels, records)


@dataclass(frozen=True)
class Photos:
    """Photos on disk: their records and where they lie."""

    root: Path
    max_megapixels: float
    records: Sequence[Record]

    def part(self, ids: Iterable[str]) -> Photos:
        """Those of the photos `ids` that are here, in their order here."""
        places = sorted(self._places[name] for name in ids if name in self._places)
        return replace(self, records=tuple(self.records[place] for place in places))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {record.id: place for place, record in enumerate(self.records)}

    def image(self, record: Record) -> np.ndarray:
        """(H, W, 3) uint8 RGB at the record's size. `UserError` if the file is gone or not the one that was indexed."""
        path = self.root / record.image
        try:
            check_file(path)
            data = path.read_bytes()
        except OSError as error:
            raise UserError(
                path, f"cannot be read ({error.strerror})", "restore the photo, or run: dvc repro index"
            ) from error
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise UserError(path, "has changed since it was indexed", "run: dvc repro index")
        return read_photo(data, path, lambda *own: record.size, self.max_megapixels).image


def tag_vector(record: Record, foreground: int) -> np.ndarray:
    """(K,) float32 in {0, 1} from a record's tags."""
    vector = np.zeros(foreground, np.float32)
    vector[[tag - 1 for tag in record.tags]] = 1.0
    return vector
