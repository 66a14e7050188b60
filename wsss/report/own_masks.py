"""Which masks of photos are still as wsss wrote them, when a score on them is read: nothing is known of it before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wsss.core.errors import UserError
from wsss.data.images import load_mask
from wsss.data.index import IGNORE, Record
from wsss.data.origins import digest
from wsss.formats.own_masks import as_written, digests_as_written


def masks_as_written(root: Path, masks: str, records: Sequence[Record]) -> list[str]:
    """Ids of those of the photos `records` whose masks are as wsss wrote them now. `root`: the folder of the data set,
    and `masks` that of its masks in it; empty: nothing is known.
    """
    folder = root / masks
    if not masks or not digests_as_written(folder):
        return []
    shown = {}
    for record in records:
        path = root / str(record.mask)
        if record.mask is None or not path.is_relative_to(folder):
            continue  # or the settings name other masks now, and stage `index` has not run since
        with suppress(UserError):  # it is gone, or changed to what is no mask: `wsss check` says so
            shown[record.id] = path.relative_to(folder).as_posix(), digest(load_mask(path, record.own_size, IGNORE))
    return as_written(folder, shown)
