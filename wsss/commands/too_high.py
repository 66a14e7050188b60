"""A folder of photos that was named one too high: its sub folders pass for classes, and a table of tags is in one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.commands.again import Again
from wsss.formats.class_folders import FOLDERS
from wsss.formats.guess import TAG_FILES, WORKBOOKS
from wsss.formats.settings import DatasetSettings

if TYPE_CHECKING:
    from wsss.formats.problems import Finding


def tables_below(dataset: DatasetSettings, again: Again) -> list[Finding]:
    """A warning of the first table of tags that lies in a sub folder of the data set, where its folders give the tags.
    `again`: the command that was typed.
    """
    from wsss.formats.problems import Finding

    if dataset.tags != FOLDERS:
        return []
    below = (each for each in sorted(Path(dataset.root).iterdir()) if each.is_dir() and not each.name.startswith("."))
    for folder in below:
        if found := next((name for name in (*TAG_FILES, *WORKBOOKS) if (folder / name).is_file()), None):
            meant = dataclasses.replace(again, folder=again.folder / folder.name).command
            what = f"there is a table of tags in {folder.name}/{found}, which is not read here"
            return [Finding(what, f"did you mean {meant}?")]
    return []
