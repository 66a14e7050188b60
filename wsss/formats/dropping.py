"""Classes of a data set that are left out: `dataset.drop`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from wsss.core.errors import UserError, did_you_mean, raise_all
from wsss.formats.problems import some
from wsss.formats.raw import RawDataset


def drop_classes(raw: RawDataset, names: Collection[str]) -> RawDataset:
    """`raw` without the classes `names`: nobody has their tags, and the others are numbered as if they did not exist.

    Photos stay. One whose tags are all dropped shows no class by intent: its id is `explained`. Masks keep the numbers
    that all classes had, which are `numbering`. Names of columns that are not read have nothing to leave out. Raises
    `UserError` for unknown names, and if no class would be left.
    """
    tags = {tag for item in raw.items for tag in item.tags}
    known = [*raw.classes[1:], *sorted(tags - {*raw.classes})]  # a tag that no list of classes has may be dropped too
    names = {*names} - (raw.others - {*known})
    fix = f"choose among {some(known, 20)}"
    unknown = [f"unknown class {name!r}{did_you_mean(name, known)}" for name in sorted(names - {*known})]
    raise_all([UserError("dataset.drop", what, fix) for what in unknown])
    if not names:
        return raw
    kept = tuple(name for name in raw.classes if name not in names)
    if len(kept) == 1:
        raise UserError("dataset.drop", f"drops all classes ({some(known)})", "leave one of them out of the list")
    items = tuple(replace(item, tags=tuple(tag for tag in item.tags if tag not in names)) for item in raw.items)
    emptied = {old.id for old, new in zip(raw.items, items, strict=True) if old.tags and not new.tags}
    line = (
        f"dropped (dataset.drop): {some(sorted(names), 20)}; their tags are ignored, and their pixels in masks are "
        f"background; photos without another tag: {len(emptied)}"
    )
    return replace(
        raw,
        classes=kept,
        items=items,
        reading=(*raw.reading, line),
        explained=raw.explained | emptied,
        numbering=raw.classes,
        whole_tags={item.id: item.tags for item in raw.items},
    )
