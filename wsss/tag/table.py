"""The table of tags that `wsss tag` writes and `wsss init` reads: `filename,tags`, one row a photo.

A photo without a row is not tagged yet; one with an empty cell shows no class. Tables of others are continued if they
have one column of tags, as `wsss init` finds it, and one row a photo: what is not ours stays as it is, delimiter, line
ends, Excel's first line and encoding as well. `tag.copied` is for tables of another form.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wsss.core.atomic import write_bytes
from wsss.core.errors import UserError
from wsss.data.codec import read_file
from wsss.formats.cells import separate
from wsss.formats.columns import Headings, find_columns
from wsss.formats.lines import Dialect, dialect_of
from wsss.formats.names import Names
from wsss.formats.raw import MAX_TEXT, Listing, decoded

HEADER = ("filename", "tags")
FORMULA = ("=", "+", "-", "@")
UNNAMED = Headings()
_FIX = "move the table away, or write another one with --tags NAME.csv"


class OtherFormError(UserError):
    """A table that has tags, and not one column of them with one row a photo."""


@dataclass
class TagTable:
    """A table at `path`. `rows`: all cells, by number of row; `places`: the row of each photo that has one, by its id.

    `columns`: the numbers of those of the photos' names and of the tags.
    `written`: the bytes that are on the disk; None if there is no file.
    `dialect`, `encoding`: how they are written. `source`: the table of another form whose tags this one began with, and
    `classes`: the names in its heading.
    """

    path: Path
    header: tuple[str, ...] = HEADER
    rows: dict[int, list[str]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    written: bytes | None = None
    columns: tuple[int, int] = (0, 1)
    dialect: Dialect = field(default_factory=Dialect)
    encoding: str = "utf-8"
    source: Path | None = None
    classes: tuple[str, ...] = ()

    @property
    def _name(self) -> int:
        return self.columns[0]

    @property
    def _tags(self) -> int:
        return self.columns[1]

    def tags(self) -> dict[str, tuple[str, ...]]:
        """Tags of the photos that have a row, by id."""
        return {name: self._tags_of(row) for name, row in self.places.items()}

    def _tags_of(self, row: int) -> tuple[str, ...]:
        # Composed, as `wsss init` reads it: names of classes are compared letter by letter.
        return separate(unicodedata.normalize("NFC", self.rows[row][self._tags]))

    def line(self, name: str) -> str:
        """Where photo `name` stands, for messages."""
        return f"{self.path if self.written is not None else self.source}: {self.rows[self.places[name]][self._name]}"

    def has_more(self, name: str) -> bool:
        """True if the row of photo `name` has cells of others, so that it must not be deleted."""
        cells = self.rows[self.places[name]]
        return any(cell for i, cell in enumerate(cells) if i not in (self._name, self._tags))

    def put(self, name: str, image: str, tags: tuple[str, ...] | None) -> None:
        """Set the tags of photo `name`, the file `image`; None takes its row away."""
        if tags is None:
            if name in self.places:
                del self.rows[self.places.pop(name)]
            return
        if name not in self.places:
            self.places[name] = max(self.rows, default=-1) + 1
            row = self.rows[self.places[name]] = [""] * len(self.header)
            row[self._name] = safe_name(image)
        if self._tags_of(self.places[name]) != tags:
            self.rows[self.places[name]][self._tags] = joined(tags)

    def write(self) -> None:
        """Have the table on the disk. Raises `UserError` if another program has changed it meanwhile."""
        if self.path.is_symlink() or _bytes(self.path) != self.written:
            what = "was changed by another program since it was read: this step is not saved"
            raise UserError(self.path, what, "end wsss tag and start it again: it goes on from the file")
        buffer = io.StringIO()
        buffer.write(self.dialect.before)
        writer = csv.writer(buffer, delimiter=self.dialect.delimiter, lineterminator=self.dialect.newline)
        writer.writerow(self.header)
        writer.writerows(self.rows.values())
        try:
            data = buffer.getvalue().encode(self.encoding)
        except UnicodeEncodeError as error:
            found = error.object[error.start : error.end]
            what = f"is in {error.encoding}, which has no {found!r}: this step is not saved"
            raise UserError(self.path, what, "save the table in UTF-8, and start wsss tag again") from error
        write_bytes(self.path, data)
        self.written = data


def read_table(path: Path, photos: Listing, named: Headings = UNNAMED) -> TagTable:
    """The table at `path`, or an empty one if there is none; `named`: its columns, where a person names them.

    Raises `UserError` if it is of another form.
    """
    if path.is_symlink():
        raise UserError(path, "is a link, which writing would replace", "give the file it leads to with --tags")
    data = _bytes(path)
    if data is None:
        return TagTable(path, dialect=Dialect("\t" if path.suffix.lower() == ".tsv" else ","))
    text, encoding = decoded(data, path)
    dialect = dialect_of(text)
    body = io.StringIO(text[len(dialect.before) :], newline="")
    try:
        reader = csv.reader(body, delimiter=dialect.delimiter, strict=True)
        lines = [(reader.line_num + dialect.before.count("\n"), cells) for cells in reader if any(cells)]
    except csv.Error as error:
        raise UserError(path, f"cannot be continued: not a CSV ({error})", _FIX) from error
    header = tuple(lines.pop(0)[1]) if lines else HEADER
    columns = _columns(tuple(cell.strip() for cell in header), [cells for _, cells in lines], path, named)
    table = TagTable(path, header, written=data, columns=columns, dialect=dialect, encoding=encoding)
    names = Names(photos)
    for number, (line, cells) in enumerate(lines):
        where = f"{path}:{line}"
        while len(cells) > len(header) and not cells[-1].strip():
            cells.pop()
        if len(cells) != len(header):
            raise UserError(where, f"found {len(cells)} cells, expected {len(header)}", "correct the row")
        table.rows[number] = list(cells)
        try:
            name = names.find(cells[table._name], where, "the row")
        except UserError:
            continue  # of a photo that is not here (any more): the row stays
        if name in table.places:
            what = f"{cells[table._name]!r} has two rows, expected one row a photo"
            raise OtherFormError(where, what, f"join the two rows, or {_FIX}")
        table.places[name] = number
    return table


def _columns(header: tuple[str, ...], rows: list[list[str]], path: Path, named: Headings) -> tuple[int, int]:
    """The columns of names and of tags: `named`, the table's own headings, or those that `wsss init` takes for them."""
    if named == UNNAMED and all(header.count(title) == 1 for title in HEADER):
        return header.index(HEADER[0]), header.index(HEADER[1])
    try:
        found = find_columns(header, rows, path, named)
    except UserError as error:
        raise UserError(f"{path}:1", f"cannot be continued: {error.what}", f"{error.fix}; or {_FIX}") from error
    if len(found.tags) != 1:
        what = "cannot be continued: it has no column of tags, or several"
        raise OtherFormError(f"{path}:1", what, f"put all tags into one column named tags; or {_FIX}")
    return found.name, found.tags[0]


def joined(tags: Iterable[str]) -> str:
    """The cell that `separate` takes apart into `tags`. A bar at the end says that `,` and `;` are part of a name."""
    given = tuple(tags)
    cell = "|".join(given)
    return cell if separate(cell) == given else f"{cell}|"


def safe_name(image: str) -> str:
    """The path of a photo as a cell that no spreadsheet takes for a formula."""
    return f"./{image}" if image.startswith(FORMULA) else image


def _bytes(path: Path) -> bytes | None:
    return read_file(path, MAX_TEXT) if path.exists() else None
