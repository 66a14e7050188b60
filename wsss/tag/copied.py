"""Tables that `wsss init` reads and `wsss tag` cannot continue: workbooks, a column per class, several rows a photo.

Their tags and splits begin a table of our own beside them, and they stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wsss.core.errors import UserError, raise_all
from wsss.core.log import say, warn
from wsss.formats.columns import Headings
from wsss.formats.folder import match_rows, merge_rows
from wsss.formats.names import NoPhoto
from wsss.formats.problems import MOST_SHOWN, shortened
from wsss.formats.raw import Listing
from wsss.formats.tagfile import read_tag_file
from wsss.tag.table import HEADER, UNNAMED, OtherFormError, TagTable, read_table

WORKBOOK = ".xlsx"


def open_table(path: Path, photos: Listing, named: Headings = UNNAMED) -> TagTable:
    """The table at `path`, or one that begins with its tags if it cannot be continued; `named`: its columns, where a
    person names them. Raises what reading it does.
    """
    if path.suffix.lower() == WORKBOOK:
        return copied(path, photos, named)
    try:
        return read_table(path, photos, named)
    except OtherFormError:
        return copied(path, photos, named)


def own_path(source: Path) -> Path:
    """Where the table goes that begins with the tags of `source`."""
    if source.suffix.lower() == WORKBOOK:
        return source.with_suffix(".csv")
    return source.with_name(f"{source.stem}-tagged.csv")


def copied(source: Path, photos: Listing, named: Headings = UNNAMED) -> TagTable:
    """The table at `own_path`; if there is none yet, a new one, not written yet, with what `source` says of `photos`.

    Raises `UserError`, or an `ErrorList` of them, for what `wsss init` would not read in `source`. Rows of photos that
    are not here are left out.
    """
    path = own_path(source)
    if path.exists():
        return replace(read_table(path, photos), source=source)
    problems: list[UserError] = []
    matching: list[UserError] = []
    table = read_tag_file(source, problems, named)
    rows, _ = match_rows(table, photos, matching)
    problems += [error for error in matching if not isinstance(error, NoPhoto)]
    raise_all(shortened(problems, MOST_SHOWN, "see all with: wsss init, then wsss check --json"))
    if table.wide and table.unread:
        say(table.reading)
        for finding in table.findings:
            warn(source, finding.what, finding.fix)
    split = ("split",) if any(row.split for row in table.rows) else ()
    made = TagTable(path, (*HEADER, *split), source=source, classes=table.columns)
    for name, found in sorted(rows.items()):
        if len(photos.paths[name]) == 1:
            where, tags = merge_rows(table, found)
            made.put(name, photos.one(name), tags)
            made.rows[made.places[name]][len(HEADER) :] = [where] * len(split)
    return made
