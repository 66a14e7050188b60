"""Format `folder`: photos anywhere below the root, and a table of tags; or a folder for each class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError, raise_all
from wsss.formats.class_folders import FOLDERS, folder_tags
from wsss.formats.labelmap import EXPORTED
from wsss.formats.names import Names, NoPhoto
from wsss.formats.problems import HINTS, Finding, some
from wsss.formats.raw import Listing, RawDataset, RawItem, list_pictures, read_classes, with_background
from wsss.formats.reading import DRAWN, classes_line, masks_line, name_findings, photos_line, splits_line
from wsss.formats.settings import DatasetSettings
from wsss.formats.splits import folder_splits
from wsss.formats.tagfile import TagRow, TagTable, in_one_spelling, read_tag_file, unknown_tags, wrong_tags

MOST_DOUBLE = 0.1
"""Fraction of the photos up to which a second row of a photo looks like a slip."""


def scan(settings: DatasetSettings) -> RawDataset:
    """Match photos, tags and masks below `settings.root`. Raises `UserError` if there is nothing to match."""
    root = Path(settings.root)
    problems: list[UserError] = []
    mask_folder = root / settings.masks if settings.masks else None
    photos = list_pictures(root, problems, skip=mask_folder)
    if not photos.paths:
        raise UserError(root, "no photo found (expected JPEG, PNG, WEBP, BMP or TIFF)", "correct dataset.root")
    photos.warn_foreign()
    listed = read_classes(root / settings.classes) if settings.classes else ()
    if settings.tags == FOLDERS:
        table = folder_tags(photos)
    else:
        table = read_tag_file(settings.tags_path, problems, settings.headings, listed, settings.dropped)
    table = in_one_spelling(table, listed, settings.dropped)
    if listed:
        classes = listed
    else:
        problems += wrong_tags(table, settings.dropped)
        # By letters alone: however many rows write a class with a capital, its number stays, and that of the masks.
        names = sorted({*table.columns, *table.tags()}, key=lambda name: (name.casefold(), name))
        if not names and not table.broken:
            problems.append(UserError(table.path, "no row has a tag", "write the names of classes into its cells"))
        if not names:
            raise_all(problems)
        classes = with_background(names, table.path)
    rows, explained = match_rows(table, photos, problems, slips=True)
    findings = [*table.findings]
    masks = match_masks(list_pictures(mask_folder, problems), photos, problems, findings) if mask_folder else {}
    folders = folder_splits(path for paths in photos.paths.values() for path in paths)
    items, origins, disagreeing = [], [], []
    used: dict[str, None] = {}
    for name in sorted(photos.paths):
        try:
            image = photos.one(name)
            split, tags = merge_rows(table, rows.get(name, []))
        except UserError as error:
            problems.append(error)
            continue
        folder = folders.get(image, "")
        if split and folder not in ("", split):
            disagreeing.append(f"{image} ({split})")
        used |= dict.fromkeys(tags)
        mask = f"{settings.masks}/{masks[name]}" if name in masks else None
        items.append(RawItem(name, split or folder, image, mask, tags))
        origins.append(table.path.name if split else "names of folders" if folder else DRAWN)
    known = (*classes, *settings.dropped)
    problems += unknown_tags(table, used, known, settings.classes or table.path.name)
    findings += double_rows(table, rows)
    if not settings.classes:
        findings += name_findings([name for name in classes if name not in settings.dropped], table.wide)
    undecided = [item.id for item in items if not item.split and item.id in rows and item.id not in explained]
    if undecided and table.path.name in origins:
        what = (
            f"photos without a split, which is drawn, though {table.path.name} gives others theirs: {some(undecided)}"
        )
        findings.append(Finding(what, "give all photos a split, or none"))
    if disagreeing:
        what = f"photos that lie in the folder of another split than {table.path.name} gives them: {some(disagreeing)}"
        findings.append(Finding(what, "correct the table, which counts, or move the photos"))
    reading = (
        photos_line(photos),
        table.reading,
        classes_line(classes, settings.classes or table.path.name),
        splits_line(origins, settings.val_fraction),
        masks_line(settings.masks, masks, len(items)),
    )
    rowless = frozenset(name for name in photos.paths if name not in rows and name not in explained)
    facts = tuple(items), tuple(problems), tuple(findings), reading, frozenset(explained), rowless
    return RawDataset(classes, *facts, others=frozenset(table.unread))


def match_rows(
    table: TagTable, photos: Listing, problems: list[UserError], slips: bool = False
) -> tuple[dict[str, list[TagRow]], set[str]]:
    """Rows by the id of the photo they name; and photos that have no row because of what goes to `problems`.

    `slips`: ask of a row without a photo whether it means a photo without a row; not of a table for a larger set.
    """
    names = Names(photos)
    matched: dict[str, list[TagRow]] = {}
    explained = {names.near(name) for name in table.broken}
    unpadded: list[TagRow] = []
    missing: list[tuple[TagRow, UserError]] = []
    for row in table.rows:
        where = f"{table.path}:{row.line}"
        try:
            matched.setdefault(names.find(row.name, where, f"line {row.line}"), []).append(row)
        except UserError as error:
            explained.add(names.near(row.name))
            if names.lost_zeros(row.name):
                unpadded.append(row)
            else:
                missing.append((row, error))
    if len(unpadded) > 1:
        problems.append(names.without_zeros([row.name for row in unpadded], f"{table.path}:{unpadded[0].line}"))
    elif unpadded:
        problems.append(names.missing(unpadded[0].name, f"{table.path}:{unpadded[0].line}", f"line {unpadded[0].line}"))
    if len(missing) > 1 and not matched and all(isinstance(error, NoPhoto) for _, error in missing):
        problems.append(names.none_found([row.name for row, _ in missing], f"{table.path}:{missing[0][0].line}"))
    else:
        problems += _asked(missing, names, matched, explained) if slips else [error for _, error in missing]
    return matched, explained if matched or not table.rows else {*photos.paths}


def _asked(
    missing: list[tuple[TagRow, UserError]], names: Names, matched: Collection[str], explained: set[str]
) -> list[UserError]:
    """The errors of the rows that are `missing` a photo, with the question whether they mean one without a row."""
    free = [name for name in names.photos.paths if name not in matched and name not in explained]
    texts = [row.name for row, error in missing if isinstance(error, NoPhoto)]
    meant = names.slips(texts[:HINTS], free)
    explained.update(meant.values())
    errors = []
    for row, error in missing:
        if name := meant.get(row.name):
            hint = f" (did you mean {names.photos.paths[name][0]!r}, which has no row?)"
            error = UserError(error.where, error.what + hint, f"edit line {row.line}, or add the photo that it names")
        errors.append(error)
    return errors


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


def double_rows(table: TagTable, rows: Mapping[str, Sequence[TagRow]]) -> list[Finding]:
    """What to ask of photos whose rows say different tags, where hardly any photo has a second row. Tables of a row for
    each tag have many.
    """
    several = {name: found for name, found in rows.items() if len(found) > 1}
    doubtful = [found for found in several.values() if len({frozenset(row.tags) for row in found}) > 1]
    if table.wide or not doubtful or len(several) > MOST_DOUBLE * len(rows):
        return []
    lines = [[f"line {row.line}: {'|'.join(row.tags) or 'no tag'}" for row in found] for found in doubtful]
    pairs = [f"{found[0].name} ({', '.join(each)})" for found, each in zip(doubtful, lines, strict=True)]
    what = f"photos with several rows in {table.path.name} that say different tags: {some(pairs)}; all tags count"
    return [Finding(what, "delete the rows that are wrong; else write all tags of a photo into one row, as cow|grass")]


def match_masks(masks: Listing, photos: Listing, problems: list[UserError], findings: list[Finding]) -> dict[str, str]:
    """Mask paths by photo id: photo ``images/a/b`` takes mask ``images/a/b``, else ``a/b``, else ``b``.

    Two masks of one photo are a problem: nobody can know which of them is meant. Masks of no photo are a finding.
    """
    fitting = {name: _fitting(name, masks) for name in sorted(photos.paths)}
    owners: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, fits in fitting.items():
        if not fits:
            continue
        mask = fits[0]
        try:
            if mask in owners:
                what = f"{masks.paths[mask][0]} fits two photos ({owners[mask]} and {name})"
                raise UserError(masks.folder, what, "give masks the same folders as their photos")
            found[name], owners[mask] = masks.one(mask), name
        except UserError as error:
            problems.append(error)
    for name, fits in fitting.items():
        if doubles := [mask for mask in fits[1:] if mask not in owners]:
            owners |= dict.fromkeys(doubles, name)
            files = " and ".join(masks.paths[mask][0] for mask in (fits[0], *doubles))
            what = f"{1 + len(doubles)} masks are of photo {name!r} ({files})"
            problems.append(UserError(masks.folder, what, "keep the one that is right, and move the others away"))
    if unused := sorted(set(masks.paths) - set(owners)):
        what = f"{masks.folder.name}: {len(unused)} masks belong to no photo (first {masks.paths[unused[0]][0]})"
        fix = "name masks like their photos"
        if inner := [name for name in unused if name.startswith(f"{EXPORTED}/")]:
            what += f": {len(inner)} of them lie in a folder {EXPORTED}, as tools export it"
            fix = f"move them up, in the place of the masks that they are to replace: out of {EXPORTED}"
        findings.append(Finding(what, fix))
    return found


def _fitting(name: str, masks: Listing) -> list[str]:
    """The masks that photo `name` may have, the nearest first."""
    parts = PurePosixPath(name).parts
    return [mask for i in range(len(parts)) if (mask := "/".join(parts[i:])) in masks.paths]
