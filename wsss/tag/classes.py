"""The classes that one can tag: a list in a file beside the photos, in the order of their keys.

`wsss init` reads the same file. So a class without a photo, and the order, outlast the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from wsss.core.atomic import write_bytes
from wsss.core.errors import UserError
from wsss.core.log import say
from wsss.data.codec import read_file
from wsss.formats.cells import separate, wrong_names
from wsss.formats.raw import MAX_TEXT, read_classes, with_background
from wsss.formats.tagfile import TagRow, TagTable, in_one_spelling
from wsss.tag.table import FORMULA, joined

LONGEST = 100
"""Letters of a class's name."""


def class_file(path: Path) -> tuple[str, ...]:
    """The names in the file at `path`; none if there is no file. Raises `UserError` if it is no list of classes."""
    return read_classes(path)[1:] if path.exists() else ()


def spelt_alike(given: Mapping[str, tuple[str, ...]], listed: Iterable[str], path: Path) -> dict[str, tuple[str, ...]]:
    """The tags that the table at `path` has, by photo, in one spelling, as `wsss init` reads them: capital letters make
    no other class. A line says which are read as others; the table stays. `listed`: names of classes as they count.
    """
    rows = tuple(TagRow(name, "", tags, 0) for name, tags in given.items())
    read = in_one_spelling(TagTable(path, rows, (), f"tags: {path.name}", (), ()), tuple(listed))
    if read.rows != rows:
        say(read.reading)
    return {row.name: row.tags for row in read.rows}


class ClassList:
    """Names of classes; the file at `path` holds them, one a line, as soon as one is added here."""

    def __init__(self, path: Path, used: Iterable[str], table: Path) -> None:
        """`used`: names that the file `table` holds, which begin the list if there is no file yet.

        Raises `UserError` if the file, or a table without one, is no list of classes.
        """
        self.path = path
        self.from_file = path.exists()
        if self.from_file:
            self.names = list(class_file(path))
        else:
            self.names = list(dict.fromkeys(used))
            if self.names:
                with_background(self.names, table)

    def add(self, text: str) -> str:
        """Put a class at the end of the list and of the file; its name. Raises `UserError` if it can be none."""
        name = " ".join(text.split())
        self._check(name)
        try:
            old = read_file(self.path, MAX_TEXT) if self.path.exists() else None
            lines = "" if old is None else old.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(self.path, "is no UTF-8: no class can be added to it", "save it as UTF-8") from error
        if old is None:
            data = "".join(f"{each}\n" for each in [*self.names, name]).encode("utf-8")
        else:
            end = b"" if not lines or lines.endswith("\n") else b"\n"
            data = old + end + f"{name}\n".encode()
        write_bytes(self.path, data)
        self.names.append(name)
        self.from_file = True
        return name

    def _check(self, name: str) -> None:
        where, fix = Path("new class"), "choose another name"
        if len(name) > LONGEST:
            raise UserError(where, f"the name has {len(name)} letters (expected ≤ {LONGEST})", fix)
        if separate(joined((name,))) != (name,):
            raise UserError(where, f"{name!r} is no name of one class", fix)
        if name.startswith(FORMULA):
            raise UserError(where, f"{name!r}: a spreadsheet takes what begins with {name[0]} for a formula", fix)
        if wrong := dict(wrong_names([*self.names, name])).get(name):
            raise UserError(where, f"{name!r} is {wrong}", fix)
        with_background([*self.names, name], where)
