"""Which photo an entry of a COCO list means, and what to say of entries that mean none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError
from wsss.data.ids import clean_id
from wsss.formats.coco_json import Instances, Picture
from wsss.formats.names import Names, NoPhoto, spellings, stem
from wsss.formats.problems import some

PICTURES = frozenset({"data", "dataset", "images", "image", "imgs", "img", "jpegimages", "photos", "pictures"})
"""Folders whose names say no more than that pictures lie in them."""


def find_picture(picture: Picture, path: Path, names: Names) -> str | None:
    """Id of the photo that `picture` of the list at `path` names; None if there is none in a folder that it may mean.

    Raises `UserError` if several photos have the name, or it leaves the data set.
    """
    where = f"{path}: image {picture.id}"
    # Lists give bare file names; the folder is the second half of their own name: instances_val2014 → val2014/.
    folder = path.stem.removeprefix("instances_")
    for written in spellings(picture.file):
        name = clean_id(written, where)
        for candidate in (name, f"{folder}/{name}", f"images/{folder}/{name}"):
            if candidate in names.photos.paths:
                return candidate
        alike = [each for each in _alike(name, names) if _same_folder(name, each, names.photos.folder)]
        if len(alike) > 1:
            what = f"{picture.file!r} names {len(alike)} photos ({', '.join(alike[:3])})"
            raise UserError(where, what, f"put the photos of {path.name} into a folder {folder}/")
        if alike:
            return alike[0]
    return None


def missing_pictures(pictures: Sequence[Picture], instances: Instances, names: Names) -> list[UserError]:
    """What to say of `pictures`, the entries of a list without a photo: each cause once."""
    path = instances.path
    problems: list[UserError] = []
    elsewhere: dict[tuple[str, str], list[str]] = {}
    unpadded: list[str] = []
    absent: list[tuple[str, UserError]] = []
    for picture in pictures:
        name = stem(spellings(picture.file)[-1])
        if alike := _alike(name, names):
            folders = (str(PurePosixPath(name).parent), str(PurePosixPath(alike[0]).parent))
            elsewhere.setdefault(folders, []).append(picture.file)
        elif names.lost_zeros(picture.file):
            unpadded.append(picture.file)
        else:
            entry = f"image {picture.id} and its annotations"
            absent.append((picture.file, names.missing(picture.file, f"{path}: image {picture.id}", entry)))
    for (listed, there), files in elsewhere.items():
        count = "1 photo is" if len(files) == 1 else f"{len(files)} photos are"
        what = f"{count} listed in the folder {listed}/, but only {there}/ holds such names: {some(files)}"
        problems.append(UserError(path, what, f"add {listed}/; or, if these are the same photos, correct file_name"))
    if unpadded:
        problems.append(names.without_zeros(unpadded, str(path)))
    if 1 < len(absent) == len(instances.pictures) and all(isinstance(error, NoPhoto) for _, error in absent):
        return [names.none_found([file for file, _ in absent], str(path))]
    return problems + [error for _, error in absent]


def _alike(name: str, names: Names) -> list[str]:
    return names.by_base.get(PurePosixPath(name).name, [])


def _same_folder(listed: str, there: str, root: Path) -> bool:
    """False for ``cam2/img0`` and ``cam1/img0``: they share a file name, and are two photos."""
    folders = [part for part in PurePosixPath(listed).parts[:-1] if part.casefold() not in PICTURES]
    places = [part for part in (root.name, *PurePosixPath(there).parts[:-1]) if part.casefold() not in PICTURES]
    shorter = min(len(folders), len(places))
    return not folders or (shorter > 0 and folders[-shorter:] == places[-shorter:])
