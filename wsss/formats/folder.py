"""Format `folder`: photos anywhere below the root, and a CSV of tags."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError, did_you_mean
from wsss.core.log import warn
from wsss.data.ids import clean_id
from wsss.formats.problems import HINTS, shortened_name
from wsss.formats.raw import Listing, RawDataset, RawItem, list_pictures, read_classes, with_background
from wsss.formats.settings import DatasetSettings
from wsss.formats.tagfile import TagRow, TagTable, read_tag_file


def scan(settings: DatasetSettings) -> RawDataset:
    """Match photos, tags and masks below `settings.root`. Raises `UserError` if there is nothing to match."""
    root = Path(settings.root)
    problems: list[UserError] = []
    mask_folder = root / settings.masks if settings.masks else None
    photos = list_pictures(root, problems, skip=mask_folder)
    if not photos.paths:
        raise UserError(root, "no photo found (expected JPEG, PNG, WEBP, BMP or TIFF)", "correct dataset.root")
    photos.warn_foreign()
    table = read_tag_file(settings.tags_path, problems)
    if settings.classes:
        classes = read_classes(root / settings.classes)
    else:
        classes = with_background(sorted({*table.columns, *(t for row in table.rows for t in row.tags)}), table.path)
    rows = match_rows(table, photos, problems)
    masks = match_masks(list_pictures(mask_folder, problems), photos, problems) if mask_folder else {}
    items = []
    for name in sorted(photos.paths):
        try:
            image = photos.one(name)
            split, tags = merge_rows(table, rows.get(name, []))
        except UserError as error:
            problems.append(error)
            continue
        problems += unknown_tags(table, rows.get(name, []), classes, hints=len(problems) < HINTS)
        mask = f"{settings.masks}/{masks[name]}" if name in masks else None
        items.append(RawItem(name, split, image, mask, tags))
    return RawDataset(classes, tuple(items), tuple(problems))


def match_rows(table: TagTable, photos: Listing, problems: list[UserError]) -> dict[str, list[TagRow]]:
    """Rows by the id of the photo they name: by relative path or unique base name, extension or not."""
    by_name: dict[str, list[str]] = {}
    for name in photos.paths:
        by_name.setdefault(PurePosixPath(name).name, []).append(name)
    folded = {name.casefold(): paths[0] for name, paths in photos.paths.items()}
    folded |= {name.casefold(): photos.paths[names[0]][0] for name, names in by_name.items()}
    matched: dict[str, list[TagRow]] = {}
    for row in table.rows:
        try:
            matched.setdefault(_find(row, table.path, photos, by_name, folded), []).append(row)
        except UserError as error:
            problems.append(error)
    return matched


def _find(row: TagRow, path: Path, photos: Listing, by_name: Mapping[str, list[str]], folded: Mapping[str, str]) -> str:
    where, fix = f"{path}:{row.line}", f"edit line {row.line}"
    # As written; without the blanks around it; and as Windows writes a path.
    for text in dict.fromkeys((row.name, row.name.strip(), row.name.strip().replace("\\", "/"))):
        name = clean_id(text, where)
        if name in photos.paths:
            return name
        matches = by_name.get(name, [])
        if len(matches) > 1:
            what = f"{text!r} names {len(matches)} photos ({', '.join(matches[:3])})"
            raise UserError(where, what, f"{fix}: write the path below {photos.folder}")
        if matches:
            return matches[0]
    if name.casefold() in folded:
        what = f"no photo {row.name!r} below {photos.folder} (there is {folded[name.casefold()]!r})"
        raise UserError(where, what, f"{fix}: capital and small letters are not the same")
    foreign = photos.foreign.get(unicodedata.normalize("NFC", row.name.strip()))
    if foreign:
        what = f"{foreign!r} is in a format that is not read"
        raise UserError(where, what, "convert the photo to JPEG or PNG")
    raise UserError(where, f"no photo {row.name!r} below {photos.folder}", f"add the photo, or delete line {row.line}")


def merge_rows(table: TagTable, rows: list[TagRow]) -> tuple[str, tuple[str, ...]]:
    """Split and tags of one photo out of all its rows: a long table may give one tag a row."""
    splits = {row.split: row.line for row in reversed(rows) if row.split}
    lines = [row.line for row in rows]
    if len(splits) > 1:
        what = f"{rows[0].name!r} is in two splits ({' and '.join(sorted(splits))}, line {lines[0]} and below)"
        raise UserError(f"{table.path}:{max(splits.values())}", what, "keep each photo in one split")
    if table.wide and len(rows) > 1:
        what = f"{rows[0].name!r} is listed twice (first in line {lines[0]})"
        raise UserError(f"{table.path}:{lines[1]}", what, f"delete line {lines[0]} or {lines[1]}")
    return next(iter(splits), ""), tuple(dict.fromkeys(tag for row in rows for tag in row.tags))


def unknown_tags(table: TagTable, rows: list[TagRow], classes: tuple[str, ...], hints: bool = True) -> list[UserError]:
    """One error for every tag that is no class; with `hints`, each with the class that may be meant."""
    return [
        UserError(
            f"{table.path}:{row.line}",
            f"unknown class {shortened_name(tag)}{did_you_mean(tag, classes) if hints else ''}",
            f"edit line {row.line}",
        )
        for row in rows
        for tag in row.tags
        if tag not in classes
    ]


def match_masks(masks: Listing, photos: Listing, problems: list[UserError]) -> dict[str, str]:
    """Mask paths by photo id: photo ``images/a/b`` takes mask ``images/a/b``, else ``a/b``, else ``b``."""
    owners: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in sorted(photos.paths):
        parts = PurePosixPath(name).parts
        mask = next((m for i in range(len(parts)) if (m := "/".join(parts[i:])) in masks.paths), None)
        if mask is None:
            continue
        try:
            if mask in owners:
                what = f"{masks.paths[mask][0]} fits two photos ({owners[mask]} and {name})"
                raise UserError(masks.folder, what, "give masks the same folders as their photos")
            found[name], owners[mask] = masks.one(mask), name
        except UserError as error:
            problems.append(error)
    unused = sorted(set(masks.paths) - set(owners))
    if unused:
        what = f"{len(unused)} masks belong to no photo (first {masks.paths[unused[0]][0]})"
        warn(masks.folder, what, "name masks like their photos")
    return found
