"""Ground-truth masks, in a module of their own: a test allows importing it in evaluation and report only."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wsss.core.atomic import sha256_file
from wsss.core.errors import IntegrityError, UserError
from wsss.data.images import load_mask
from wsss.data.index import Record
from wsss.data.photos import Photos
from wsss.data.tables import plain_rows

FIX = "restore the mask, or record it as it is: dvc repro -f -s index"


@dataclass(frozen=True)
class MaskedImages:
    """Photos with ground truth. `classes` counts the background; `checksums`: SHA-256 of each mask, by photo, as
    `read_mask_checksums` gives them; None: nothing is compared. `dropped`: that of the index.
    """

    photos: Photos
    classes: int
    checksums: Mapping[str, str] | None = None
    dropped: tuple[int, ...] = ()

    def part(self, ids: Iterable[str]) -> MaskedImages:
        """The photos `ids` alone."""
        photos = self.photos.part(ids)
        if self.checksums is None:
            return replace(self, photos=photos)
        kept = {r.id: self.checksums[r.id] for r in photos.records if r.id in self.checksums}
        return replace(self, photos=photos, checksums=kept)

    def mask(self, record: Record) -> np.ndarray | None:
        """(H, W) uint8 of the photo's own size, 0..K and 255, or None if the photo has no mask.

        Raises `UserError` if it is not the one that was there when the data set was indexed.
        """
        if record.mask is None:
            return None
        path = self.photos.root / record.mask
        if self.checksums is not None and path.is_file() and sha256_file(path) != self.checksums.get(record.id):
            raise UserError(path, "has changed since it was indexed", FIX)
        return load_mask(path, record.own_size, self.classes, self.dropped)


def read_mask_checksums(path: Path) -> dict[str, str]:
    """The table (id, sha256) that stage `index` has made of the masks. Raises `IntegrityError` if it is none."""
    fix = "run the index stage: dvc repro index"
    try:
        header, *rows = plain_rows(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        if header != ["id", "sha256"]:
            raise ValueError(f"found columns {header}")
        return dict(rows)
    except FileNotFoundError as error:
        raise UserError(path, "no such file", fix) from error
    except (ValueError, csv.Error) as error:
        raise IntegrityError(path, f"cannot be read ({error})", fix) from error
