"""A table of tags that lies outside of the photos' folder is copied into it: DVC watches that folder alone."""

from __future__ import annotations

import shlex
from pathlib import Path

from wsss.core.atomic import explained_os_errors, write_bytes
from wsss.core.errors import UserError
from wsss.core.log import say
from wsss.formats.guess import DATA_FILES, data_root


def brought(tags: Path | None, folder: Path) -> Path | None:
    """`tags`, as the user gave it for the photos of `folder`; or, of a file elsewhere, its copy there.

    A line says so. What is not there, or is no file of data, is returned as it is. Raises `UserError` if another file
    has the copy's name.
    """
    if tags is None or not tags.is_file() or tags.suffix.lower() not in DATA_FILES:
        return tags
    root = data_root(folder)
    if tags.parent.resolve().is_relative_to(root.resolve()):
        return tags
    copy = root / tags.name
    with explained_os_errors(tags):
        data = tags.read_bytes()
    if copy.exists():
        if copy.read_bytes() == data:
            return copy
        command = f"wsss init {shlex.quote(str(folder))} --tags {shlex.quote(str(copy))}"
        what = f"is to become a copy of {tags}, which lies outside of the photos' folder, and is another file"
        raise UserError(copy, what, f"to read it as it is: {command}; else delete it, or give {tags} another name")
    with explained_os_errors(copy):
        write_bytes(copy, data)
    say(f"init: {tags} lies outside of the photos' folder, and DVC watches that alone: copied to {copy}, which is read")
    return copy
