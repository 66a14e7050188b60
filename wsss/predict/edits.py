"""Masks that a person has changed since `wsss predict` wrote them: no run replaces them, and they count as by hand."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from wsss.core.errors import UserError
from wsss.core.words import counted
from wsss.data.codec import open_image, read_file
from wsss.data.images import load_mask
from wsss.data.index import IGNORE
from wsss.data.origins import digest
from wsss.formats.problems import some

NO_MASK = "no mask"
"""What has no digest: no PNG, or none of class ids."""


def mask_digest(path: Path) -> str:
    """The `digest` of the class ids in the PNG at `path`, however they are written: in its palette, or in colours."""
    try:
        image = open_image(read_file(path), path, ("PNG",))
        return digest(load_mask(path, (image.height, image.width), IGNORE))
    except UserError:
        return NO_MASK


def refuse_edited(folder: Path, names: Collection[str], count: int) -> None:
    """Raise `UserError` if there are `names`, edited masks among the `count` in `folder` that are to be replaced."""
    if names:
        what = f"{len(names)} of {counted(count, 'mask')} edited since wsss predict wrote them: {some(names)}"
        fix = (
            f"choose another -o; or move them elsewhere first (wsss export --to voc {folder} OUT copies all masks, and "
            "notes which are by hand)"
        )
        raise UserError(folder, f"--force would replace {what}", fix)
