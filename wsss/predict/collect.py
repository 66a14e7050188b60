"""Finds photos by the files and folders on a command line: their ids and paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError, WsssError, raise_all
from wsss.core.folders import MARK
from wsss.core.log import say
from wsss.data.ids import PHOTO_SUFFIXES, clean_id, warn_foreign
from wsss.formats.problems import some
from wsss.predict.written import SETTINGS, WRITTEN, is_filled


@dataclass(frozen=True)
class FoundPhoto:
    """A photo, its `name` (the path below the folder that was given, or the name of the file), and its `id`: the same
    without extension.
    """

    id: str
    path: Path
    name: str


def find_photos(sources: Sequence[Path]) -> list[FoundPhoto]:
    """Files as they are given, and all photos below folders, sorted by id; hidden ones and wsss's own pictures are left
    out.

    Own are those in the folders that `wsss predict` fills, and in marked folders (`core.folders`) below a source; one
    line names these. Warns of pictures below folders in formats that are not read. Raises `UserError` for a source that
    does not exist or holds no photo, and for two photos of one id; all errors at once.
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
        raise UserError(source, "no such file or folder", "correct the path")
    files = _without_own(source, [path for path in source.rglob("*") if path.is_file()])
    files = [path for path in files if not _hidden(path.relative_to(source))]
    photos = sorted(path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
    warn_foreign(source, (path.relative_to(source).as_posix() for path in files))
    if not photos:
        what = f"no photos in this folder ({len(files)} other files)"
        raise UserError(source, what, f"give a folder with files ending in {', '.join(sorted(PHOTO_SUFFIXES))}")
    return photos


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _without_own(source: Path, files: Sequence[Path]) -> list[Path]:
    """`files` below `source`, without what wsss has written as pictures; a line names the folders that have such."""
    filled = {path.parent for path in files if path.name == SETTINGS and is_filled(path.parent)}
    marked = {path.parent for path in files if path.name == MARK} - {source}
    predicted = {folder / name: folder for folder in filled for name in WRITTEN}
    kept: list[Path] = []
    left: dict[str, set[Path]] = {"wsss predict": set(), "wsss": set()}
    for path in files:
        inside = path.parents[: len(path.relative_to(source).parts)]
        if own := [predicted[folder] for folder in inside if folder in predicted]:
            who = "wsss predict"
        elif own := [folder for folder in inside if folder in marked]:
            who = "wsss"
        else:
            kept.append(path)
            continue
        if path.suffix.lower() in PHOTO_SUFFIXES:
            left[who].add(own[-1])
    for who, folders in left.items():
        if folders:
            say(f"left out: what {who} wrote in {some(map(str, sorted(folders)))}")
    return kept
