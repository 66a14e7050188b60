"""Masks that a person has changed since `wsss predict` wrote them: no run replaces them, and they count as by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wsss.core.errors import UserError
from wsss.core.words import counted
from wsss.data.codec import open_image, read_file
from wsss.data.images import load_mask
from wsss.data.index import IGNORE
from wsss.data.origins import digest
from wsss.formats.own_masks import CHECKSUMS
from wsss.formats.problems import some


class Checksums(NamedTuple):
    """Of a mask as it was written: of the bytes of its `file`, which are fast to compare, and the `digest` of its
    `label`, which stays where a program has only packed them otherwise.
    """

    file: str
    label: str

    @classmethod
    def of(cls, mask: bytes, label: str) -> Checksums:
        """Of the file `mask`; `label`: the digest of what it shows."""
        return cls(hashlib.sha256(mask).hexdigest()[:16], label)

    def differ(self, path: Path, unless: str = "") -> bool:
        """True if the mask at `path` shows something else now, other than what has the digest `unless`."""
        try:
            data = read_file(path)
            if self.of(data, self.label) == self:
                return False
            image = open_image(data, path, ("PNG",))
            return digest(load_mask(path, (image.height, image.width), IGNORE)) not in (self.label, unless)
        except UserError:  # no PNG of class ids
            return True


def edited_label(path: Path, size: tuple[int, int], classes: int) -> np.ndarray:
    """(H, W) uint8 that the mask at `path` shows, 255 where a person has ignored pixels; `size`: (H, W) of its photo,
    `classes` counts the background. Raises `UserError` where it does not fit, or cannot be read.
    """
    try:
        return load_mask(path, size, classes)
    except UserError as error:
        fix = "correct the mask; or move it elsewhere, and give the same wsss predict again"
        raise UserError(error.where, error.what, fix) from error


def checksums_text(checksums: Mapping[str, Checksums]) -> str:
    """The content of the file `CHECKSUMS`, by photo id."""
    return json.dumps(dict(sorted(checksums.items())), ensure_ascii=False, indent=0) + "\n"


def read_checksums(folder: Path) -> dict[str, Checksums]:
    """What that file in `folder` says, by photo id; empty where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        found = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        return {name: Checksums(*map(str, both)) for name, both in found.items()}
    return {}


def refuse_edited(folder: Path, names: Collection[str], count: int) -> None:
    """Raise `UserError` if there are `names`, edited masks among the `count` in `folder` that are to be replaced."""
    if names:
        one = len(names) == 1
        what = (
            f"{len(names)} of its {counted(count, 'mask')} {'was' if one else 'were'} edited since wsss predict wrote "
        )
        lost = f"{'it' if one else 'them'}, and --force would replace {'it' if one else 'them'}: {some(names)}"
        fix = (
            f"choose another -o; or move {'it' if one else 'them'} elsewhere first (wsss export --to voc {folder} OUT "
            "copies all masks, and notes which are by hand)"
        )
        raise UserError(folder, what + lost, fix)
