"""Tag files as people write them: long or wide CSV, any usual delimiter, encoding, quoting, spelling of yes.

Long: ``filename,tags[,split]`` with tags separated by ``|``, ``;`` or ``,``, or one row per tag.
Wide: ``filename,cow,grass,…[,split]`` with 1/0, true/false, yes/no or an empty cell.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError, did_you_mean
from wsss.core.log import warn
from wsss.formats.raw import is_background, read_text

NAME_COLUMNS = (
    "filename",
    "file",
    "file_name",
    "image",
    "image_name",
    "image_id",
    "img",
    "id",
    "name",
    "path",
    "photo",
)
TAG_COLUMNS = ("tags", "tag", "labels", "label", "classes", "class", "category", "categories")
SPLIT_COLUMNS = ("split", "subset", "set")
IGNORED_COLUMNS = ("", "source", "license", "url")
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
YES = frozenset({"1", "1.0", "true", "yes", "y", "x"})
NO = frozenset({"", "0", "0.0", "false", "no", "n"})


@dataclass(frozen=True)
class TagRow:
    """One row: the photo's name as written, its split (empty if none), its tags as written, and its place."""

    name: str
    split: str
    tags: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class TagTable:
    """All rows that can be read, and the class names that a wide table's header gives."""

    path: Path
    rows: tuple[TagRow, ...]
    columns: tuple[str, ...]

    @property
    def wide(self) -> bool:
        """One column per class; then a photo has one row."""
        return bool(self.columns)


def read_tag_file(path: Path, problems: list[UserError]) -> TagTable:
    """Read a tag file. Raises `UserError` if it is no table; rows that cannot be read go to `problems`."""
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[TagRow] = []
    try:
        header = [cell.strip() for cell in next(filter(None, reader), [])]
        columns = _Columns(header, path)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                try:
                    rows.append(columns.row(cells, reader.line_num))
                except UserError as error:
                    problems.append(error)
    except csv.Error as error:
        # `strict` makes an unclosed quote an error; otherwise it would swallow the rest of the file.
        raise UserError(f"{path}:{reader.line_num}", f"not valid CSV ({error})", "close the quotes") from error
    return TagTable(path, tuple(rows), tuple(columns.classes.values()))


class _Columns:
    """Which column means what."""

    def __init__(self, header: list[str], path: Path) -> None:
        self.path, self.width = path, len(header)
        folded = [cell.casefold() for cell in header]
        name = next((i for i, cell in enumerate(folded) if cell in NAME_COLUMNS), None)
        if name is None:
            found = repr(",".join(header)[:60]) if header else "an empty file"
            what = f"no column of file names (found {found}, expected filename,tags[,split])"
            raise UserError(f"{path}:1", what, "make the first line: filename,tags")
        twins = sorted({cell for cell in folded if cell and folded.count(cell) > 1})
        if twins:
            raise UserError(f"{path}:1", f"two columns are named {twins[0]!r}", "rename or delete one of them")
        self.name = name
        self.split = next((i for i, cell in enumerate(folded) if cell in SPLIT_COLUMNS), None)
        self.tags = next((i for i, cell in enumerate(folded) if cell in TAG_COLUMNS and i != name), None)
        others = [i for i in range(self.width) if i not in (name, self.split, self.tags)]
        others = [i for i in others if folded[i] not in IGNORED_COLUMNS]
        self.classes: dict[int, str] = {}
        if self.tags is None:
            self.classes = {i: header[i] for i in others if not is_background(header[i])}
            if not self.classes:
                raise UserError(f"{path}:1", "no column of tags", "add a column named tags")
            return
        for i in others:
            hint = did_you_mean(folded[i], ("split", "subset"))
            if hint and self.split is None:
                warn(f"{path}:1", f"the column {header[i]!r} is ignored{hint}", "rename or delete it")

    def row(self, cells: list[str], line: int) -> TagRow:
        where, fix = f"{self.path}:{line}", f"edit line {line}"
        while len(cells) > self.width and not cells[-1].strip():
            cells.pop()
        if len(cells) != self.width:
            what = f"found {len(cells)} cells, expected {self.width}"
            raise UserError(where, what, f'{fix}: put several tags in one cell as "cow|grass"')
        split = "" if self.split is None else cells[self.split].strip()
        if split and split.casefold() not in SPLITS:
            hint = did_you_mean(split, SPLITS)
            raise UserError(where, f"unknown split {split!r}{hint} (expected train, val or test)", fix)
        tags = self._wide(cells, where, fix) if self.tags is None else _separate(cells[self.tags])
        return TagRow(cells[self.name], SPLITS.get(split.casefold(), ""), tags, line)

    def _wide(self, cells: list[str], where: str, fix: str) -> tuple[str, ...]:
        for i, name in self.classes.items():
            if cells[i].strip().casefold() not in YES | NO:
                what = f"column {name!r}: found {cells[i].strip()!r}, expected 1 or 0"
                raise UserError(where, what, f"{fix}, or name the column of tags 'tags'")
        return tuple(name for i, name in self.classes.items() if cells[i].strip().casefold() in YES)


def _separate(cell: str) -> tuple[str, ...]:
    # A `|` settles it: then `,` and `;` may be part of a name.
    parts = cell.split("|") if "|" in cell else re.split("[;,]", cell)
    tags = dict.fromkeys(part.strip() for part in parts)
    return tuple(tag for tag in tags if tag and not is_background(tag))


def _delimiter(text: str) -> str:
    """The most frequent of ``, ; tab`` in the first line, quoted cells aside."""
    first = re.sub('"[^"]*"', "", text.strip().splitlines()[0]) if text.strip() else ""
    return max(",;\t", key=first.count)
