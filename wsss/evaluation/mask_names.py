"""Which photo each file of a folder of masks is of: of an unpacked archive, of `wsss predict`, or of masks alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from wsss.data.ids import decode_id, file_name
from wsss.formats.labelmap import EXPORTED
from wsss.predict.edits import read_checksums
from wsss.predict.written import MASKS, is_filled


def photo_names(ids: Sequence[str]) -> dict[str, str]:
    """The photo of a mask by the mask's name: the id, or, as tools may leave out folders, an end of one id alone."""
    ends: dict[str, str | None] = {}
    for one in ids:
        end = one
        while "/" in end:
            end = end.partition("/")[2]
            ends[end] = None if end in ends else one
    return {end: one for end, one in ends.items() if one is not None} | {one: one for one in ids}


def mask_folder(folder: Path) -> Path:
    """The masks of an unpacked archive, of a folder of `wsss predict`, or of a folder of masks alone. What says which
    labels they have is there, or beside them.
    """
    if is_filled(folder):
        return folder / MASKS
    return folder / EXPORTED if (folder / EXPORTED).is_dir() else folder


def predicted(source: Path) -> Path:
    """The folder of `wsss predict` where `source` is that of the masks in it; else `source`."""
    return source.parent if source.name == MASKS and is_filled(source.parent) else source


def names_of_masks(masks: Path) -> Callable[[Path], str]:
    """What gives the name of each file in the folder `masks`: its path there, or what `wsss predict` has made it of."""
    if not is_filled(masks.parent):
        return lambda path: path.relative_to(masks).with_suffix("").as_posix()
    written = {file_name(name, ".png"): name for name in read_checksums(masks.parent)}
    return lambda path: written.get(path.name) or decode_id(path.stem)
