"""What wsss has written, known again by its pixels: other tools write masks anew, and lose the files beside them.

Each `wsss export --to voc` or `cvat` in the folder of a project leaves a note in the scratch folder, outside of what it
writes: copies of the list of origins and of the label map, in a folder named by their checksum. Whoever deletes the
notes loses nothing else; a mask of which nothing is known counts as a person's.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from wsss.core.atomic import write_bytes
from wsss.core.environment import scratch_root
from wsss.core.errors import UserError, WsssError
from wsss.core.missing import similar
from wsss.data.index import BACKGROUND, IGNORE
from wsss.data.origins import HAND, NETWORK, ORIGINS, Origin, digest, read_origins
from wsss.evaluation.mask_names import mask_folder, names_of_masks, photo_names
from wsss.formats.labelmap import IGNORED, LABELMAP, beside, read_labelmap
from wsss.formats.raw import MAX_TEXT, is_background
from wsss.predict.edits import read_checksums
from wsss.predict.folder import TABLE
from wsss.predict.table import CORRECTED, EDITED, read_rows
from wsss.predict.written import SETTINGS, is_filled

NOTES = "exported"
PROJECT = "params.yaml"
"""Where this file is not, no masks come back, and no note is left."""
GIVE = (
    "give what was exported: --exported and a folder or .zip that wsss export --to voc or cvat has written, or the "
    "folder of wsss predict"
)


@dataclass(frozen=True)
class Exported:
    """The origins of masks by the names that they were written with; `classes`: of their numbers, the background
    first, empty where nothing says so.
    """

    classes: tuple[str, ...]
    origins: Mapping[str, Origin]


@dataclass(frozen=True)
class Sent:
    """What masks were exported from: the `names` of stores, as they were given to `wsss export`, and `where` that is
    said; `sure`: it is said of these very masks, and not only noted of the last export of their photos.
    """

    names: frozenset[str] = frozenset()
    where: str = ""
    sure: bool = False

    @property
    def places(self) -> set[Path]:
        """The folders of these stores."""
        return {Path(name).resolve() for name in self.names}


UNKNOWN = Sent()


@dataclass(frozen=True)
class Known:
    """What is known of exports: by photo id, each origin of a mask, with the classes of its numbers. `classes`: of the
    masks that are asked about.
    """

    classes: tuple[str, ...] = ()
    written: Mapping[str, Sequence[tuple[tuple[str, ...], Origin]]] = field(default_factory=dict)

    @property
    def checksum(self) -> str:
        """16 hex digits over all that is known."""
        return hashlib.sha256(repr(sorted(self.written.items())).encode()).hexdigest()[:16]

    def origin(self, name: str, mask: npt.NDArray[np.uint8]) -> Origin | None:
        """Of the `mask` (H, W) uint8 of the photo `name`, if it is as wsss has written it."""
        digests: dict[tuple[str, ...], str] = {}
        for classes, origin in self.written.get(name, ()):
            if classes not in digests:
                digests[classes] = self._digest(mask, classes)
            if origin.digest == digests[classes]:
                return origin
        return None

    def untouched(self, name: str, mask: npt.NDArray[np.uint8]) -> bool:
        """Whether nobody has edited the `mask` (H, W) uint8 of the photo `name`, before its export or since."""
        origin = self.origin(name, mask)
        return origin is not None and origin.kind != HAND

    def _digest(self, mask: npt.NDArray[np.uint8], classes: tuple[str, ...]) -> str:
        """Of the mask by the numbers of `classes`; empty if these lack a class of it."""
        if classes in ((), self.classes):
            return digest(mask)
        numbers, lacking = np.zeros(256, np.uint8), np.ones(256, bool)
        numbers[IGNORE], lacking[IGNORE] = IGNORE, False
        for number, name in enumerate(self.classes):
            if name in classes:
                numbers[number], lacking[number] = classes.index(name), False
        return "" if lacking[mask].any() else digest(numbers[mask])


NOTHING = Known()


def known_exports(folder: Path, given: Path | None, ids: Sequence[str], classes: Sequence[str]) -> Known:
    """What is known of the masks of the photos `ids`, by the numbers of `classes`: from the list beside the masks in
    `folder`, from what is `given`, and from the notes of this project, newest first.

    Raises `UserError` if what is given says nothing of these photos.
    """
    names = photo_names(ids)
    written: dict[str, list[tuple[tuple[str, ...], Origin]]] = {}
    exports = [read_exported(folder), *([] if given is None else [_given(given, names)]), *notes()]
    for export in exports:
        for name, origin in export.origins.items():
            if found := _photo(name, names):
                written.setdefault(found, []).append((export.classes, origin))
    return Known(tuple(classes), written)


def sent_from(folder: Path, source: Path, given: Path | None, ids: Sequence[str]) -> Sent:
    """What the masks in `folder`, which is what is in `source`, were exported from: by what is `given`, by the list
    beside the masks, or by the newest note; without names where nothing says so, or they were no store's.

    `ids`: of all photos. Raises `UserError` if what is given says nothing of them.
    """
    names, masks = photo_names(ids), mask_folder(folder)
    called = names_of_masks(masks)
    photos = {names.get(called(path)) for path in masks.rglob("*.png")}

    def told() -> Iterator[tuple[Exported, str, bool]]:
        if given is not None:
            yield _given(given, names), str(given), True
        yield read_exported(folder), f"{ORIGINS} in {source}", True
        yield from ((note, "the last export of these photos here", False) for note in notes())

    for export, where, sure in told():
        found = {origin.source for name, origin in export.origins.items() if _photo(name, names) in photos - {None}}
        if found:
            return Sent(frozenset(name for name in found if not is_filled(Path(name))), where, sure)
    return UNKNOWN


def _photo(name: str, names: Mapping[str, str]) -> str | None:
    """The photo that was exported as `name`, which may begin with folders above those of the data set."""
    while name not in names and "/" in name:
        name = name.partition("/")[2]
    return names.get(name)


def _given(path: Path, names: Mapping[str, str]) -> Exported:
    if not path.exists():
        raise UserError(path, f"no such file or folder{similar(path)}", GIVE)
    found = read_exported(path)
    if not found.origins:
        raise UserError(path, f"says nothing of what wsss has written (no {ORIGINS} in it)", GIVE)
    if not any(_photo(name, names) for name in found.origins):
        what = f"is an export of other photos than these masks are of, e.g. {next(iter(found.origins))}"
        raise UserError(path, what, GIVE)
    return found


def read_exported(path: Path) -> Exported:
    """What is said of the masks in `path`: a folder or archive of `wsss export`, a folder of `wsss predict`, or a note.
    Without origins where it is none of these, or cannot be read.
    """
    if path.is_file():
        with TemporaryDirectory(prefix="wsss-") as temporary, suppress(OSError, zipfile.BadZipFile, RuntimeError):
            with zipfile.ZipFile(path) as archive:
                for item in archive.infolist():
                    if item.filename in (ORIGINS, LABELMAP) and item.file_size <= MAX_TEXT:
                        (Path(temporary) / item.filename).write_bytes(archive.read(item))
            return read_exported(Path(temporary))
        return Exported((), {})
    if is_filled(path):
        return _predicted(path)
    masks = mask_folder(path)
    listed = beside(masks, ORIGINS)
    return Exported(_classes(beside(masks, LABELMAP)), read_origins(listed.parent) if listed else {})


def _predicted(folder: Path) -> Exported:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError, csv.Error):
        classes = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["classes"]
        rows = read_rows(folder / TABLE, classes)
        kinds = {name: HAND if row[EDITED] == CORRECTED else NETWORK for name, row in rows.items()}
        listed = read_checksums(folder).items()
        origins = {name: Origin(kinds.get(name, NETWORK), str(folder), both.label) for name, both in listed}
        return Exported(tuple(classes), origins)
    return Exported((), {})


def _classes(labelmap: Path | None) -> tuple[str, ...]:
    """The names in a label map, in its order: as whoever wrote it numbered them."""
    with suppress(WsssError):
        names = [label.name for label in read_labelmap(labelmap) if label.name != IGNORED] if labelmap else []
        return tuple(BACKGROUND if is_background(name) else name for name in names)
    return ()


def note_exported(out: Path) -> None:
    """Note what the folder or archive `out` says of its masks, where this is the folder of a project. Never raises: an
    export that has done its work does not end for a note.
    """
    if not Path(PROJECT).is_file():
        return
    with suppress(Exception):
        files = _texts(out)
        name = hashlib.sha256(b"".join(data for _, data in files)).hexdigest()[:16]
        for file, data in files:
            write_bytes(scratch_root() / NOTES / name / file, data)


def _texts(out: Path) -> list[tuple[str, bytes]]:
    if out.is_dir():
        return [(name, (out / name).read_bytes()) for name in (LABELMAP, ORIGINS)]
    with zipfile.ZipFile(out) as archive:
        return [(name, archive.read(name)) for name in (LABELMAP, ORIGINS)]


def notes() -> Iterator[Exported]:
    """What this project has noted of its exports, newest first."""
    with suppress(OSError):
        made = [(path.stat().st_mtime, path.parent) for path in (scratch_root() / NOTES).glob(f"*/{ORIGINS}")]
        yield from (read_exported(folder) for _, folder in sorted(made, reverse=True))
