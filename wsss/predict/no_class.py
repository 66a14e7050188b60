"""Photos of a data set of which its tags say that they show no class.

The index does not tell these from photos that nobody has tagged: both have no tags there, and where
`dataset.allow_untagged` is true, both are photos of no class to the training. A mask is another matter: for a photo
that nobody has tagged, what the network finds is all that is known. So the table of tags is asked which photos have a
row: `wsss tag`, too, gives an empty cell to a photo of no class, and no row to one that is not tagged yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss.core.errors import WsssError
from wsss.data.index import Index
from wsss.formats.class_folders import FOLDERS, folder_tags
from wsss.formats.folder import match_rows
from wsss.formats.raw import Listing
from wsss.formats.settings import DatasetSettings
from wsss.formats.tagfile import read_tag_file


def shown_to_be_empty(index: Index, dataset: Mapping[str, Any], folder: Path) -> frozenset[str]:
    """Ids of the photos of `index` that show no class, as the settings `dataset` of the project in `folder` read the
    data set.

    Where photos without a tag are errors, only those have none whose tags were all dropped: their tags deny what is
    left. Empty where the table of tags cannot be read.
    """
    untagged = frozenset(record.id for record in index.records if not record.tags)
    if not untagged or not dataset.get("allow_untagged"):
        return untagged if dataset.get("drop") else frozenset()
    try:
        settings = DatasetSettings.model_validate(dataset)
        root = folder / settings.root
        if settings.format == "coco" or settings.tags == "xml" or settings.tags.endswith(".npy"):
            return untagged  # which list photos of no class, too
        photos = Listing(root, {record.id: [record.image] for record in index.records})
        if settings.tags == FOLDERS:
            table = folder_tags(photos)
        else:
            classes = index.classes[1:]
            table = read_tag_file(folder / settings.tags_path, [], settings.headings, classes, settings.dropped)
        rows, _ = match_rows(table, photos, [])
    except (WsssError, ValueError):  # what is wrong there, `wsss check` says
        return frozenset()
    return frozenset(
        name for name in untagged & rows.keys() if all({*row.tags} <= settings.dropped for row in rows[name])
    )
