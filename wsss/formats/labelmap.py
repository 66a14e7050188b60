"""The label map that CVAT and `wsss export` write beside masks: which label has which colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wsss.core.errors import UserError
from wsss.data.images import voc_palette
from wsss.data.index import IGNORE
from wsss.formats.raw import read_text

LABELMAP = "labelmap.txt"
IGNORED = "ignore"
"""The label that `wsss export` gives to 255."""
EXPORTED = "SegmentationClass"
"""The folder of masks in an archive of theirs, beside the label map."""


class Label(NamedTuple):
    """One line of the file: its number from 1 on, and its colour, None where it is no ``name:r,g,b::``."""

    line: int
    name: str
    colour: tuple[int, ...] | None


def beside(folder: Path, name: str) -> Path | None:
    """The file `name` that belongs to the masks in `folder`: there, or beside a folder that is called as in archives.
    None if there is none.
    """
    places = [folder / name, *([folder.parent / name] if folder.name == EXPORTED else [])]
    return next((place for place in places if place.is_file()), None)


def read_labelmap(path: Path) -> Iterator[Label]:
    """Its lines, remarks and empty ones left out. Raises `UserError` if it is no text."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        parts = rest.partition(":")[0].split(",")
        try:
            colour = tuple(int(part) for part in parts)
        except ValueError:
            colour = ()
        yield Label(number, name.strip(), colour if len(colour) == 3 and all(0 <= c < 256 for c in colour) else None)


def labelmap_text(classes: Sequence[str]) -> str:
    """A line each, and one for 255, in VOC's colours. `UserError` for names that readers would take for others."""
    if wrong := [name for name in classes if ":" in name or name.startswith("#") or name == IGNORED]:
        what = f"class {wrong[0]!r} cannot be written into {LABELMAP} (':' parts its fields, '#' begins a remark, "
        raise UserError("classes", f"{what}{IGNORED!r} is 255)", "rename the class; or export --to coco: it takes any")
    rows = [(name, voc_palette()[number]) for number, name in [*enumerate(classes), (IGNORE, IGNORED)]]
    lines = [f"{name}:{','.join(str(int(value)) for value in colour)}::\n" for name, colour in rows]
    return "# label:color_rgb:parts:actions\n" + "".join(lines)
