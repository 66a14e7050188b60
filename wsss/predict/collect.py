"""Finds photos by the files and folders on a command line: their ids and paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError, WsssError, raise_all
from wsss.core.missing import similar
from wsss.data.ids import PHOTO_SUFFIXES, clean_id, warn_foreign
from wsss.predict.left_out import without_own


@dataclass(frozen=True)
class FoundPhoto:
    """A photo, its `name` (the path below the folder that was given, or the name of the file), and its `id`: the same
    without extension.
    """

    id: str
    path: Path
    name: str


def find_photos(sources: Sequence[Path]) -> list[FoundPhoto]:
    """Files as they are given, and all photos below folders, sorted by id.

    Left out are hidden ones, and, with a line that says so, what is no photo of theirs (`left_out`). Warns of pictures
    below folders in formats that are not read. Raises `UserError` for a source that does not exist or holds no photo,
    and for two photos of one id; all errors at once.
    """
    found: dict[str, FoundPhoto] = {}
    errors: list[WsssError] = []
    for source in sources:
        try:
            for path in _files(source):
                file = path.name if path == source else path.relative_to(source).as_posix()
                name = clean_id(file, path)
                if name in found and found[name].path.resolve() != path.resolve():
                    what = f"has the same id as {found[name].path} ({name!r})"
                    errors.append(UserError(path, what, "rename one of them, or give the folder above both"))
                found.setdefault(name, FoundPhoto(name, path, file))
        except UserError as error:
            errors.append(error)
    raise_all(errors)
    return sorted(found.values(), key=lambda photo: photo.id)


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UserError(source, f"no such file or folder{similar(source)}", "correct the path")
    files = without_own(source, [path for path in source.rglob("*") if path.is_file()])
    files = [path for path in files if not _hidden(path.relative_to(source))]
    photos = sorted(path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
    warn_foreign(source, (path.relative_to(source).as_posix() for path in files))
    if not photos:
        what = f"no photos in this folder ({len(files)} other files)"
        raise UserError(source, what, f"give a folder with files ending in {', '.join(sorted(PHOTO_SUFFIXES))}")
    return photos


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
