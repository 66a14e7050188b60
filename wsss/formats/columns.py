"""Which column of a tag table means what: by its heading, and by what stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError
from wsss.data.ids import PHOTO_SUFFIXES
from wsss.formats.cells import NO, YES, is_binary
from wsss.formats.problems import Finding, some
from wsss.formats.raw import is_background
from wsss.formats.splits import SPLITS

_NAMES = """
file filename filepath id image imagefile imagefilename imageid imagename imagepath img imgfile imgid imgname imgpath
name path photo photofile photoid photoname photopath picture
"""
_TAGS = """
categories category categoryid categoryname class classes classid classids classname classnames keyword keywords label
labelid labelids labelname labelnames labels tag tags
"""
NAMES, TAGS = frozenset(_NAMES.split()), frozenset(_TAGS.split())
_NAMES_ABROAD = """
datei dateiname dateien bild bildname bilddatei foto fotos fichier nomfichier nomdefichier nomdufichier archivo
nombrearchivo nombredearchivo imagen immagine nomefile arquivo nomearquivo imagem
"""
_TAGS_ABROAD = """
klasse klassen kategorie kategorien schlagwort schlagworte schlagwörter stichwort stichworte stichwörter classe
catégorie catégories étiquette étiquettes etiquette etiquettes clase clases etiqueta etiquetas classi etichetta
etichette
"""
NAMES_ABROAD, TAGS_ABROAD = frozenset(_NAMES_ABROAD.split()), frozenset(_TAGS_ABROAD.split())
"""Headings in German, French, Spanish, Italian and Portuguese; they count where no English one is."""
SPLIT = frozenset({"split", "splits", "subset", "set", "partition"})
"""Headings in small letters, without blanks, `_` and `-`."""
NUMBERED = re.compile(r"(tag|label|class|category)\d+")
"""Headings of several columns that each hold one tag."""
UNREAD = frozenset(("", "source", "license", "url"))
"""Headings that never mean anything here, so that what stands below them is no second candidate."""
_UNREAD = "the others are then not read"
_HIDE = "delete the one that does not, or its heading: a column without one is not read"


@dataclass(frozen=True)
class Columns:
    """Numbers of columns. Either `tags`, whose cells hold tags, or `classes`, by number, whose cells say yes or no."""

    header: tuple[str, ...]
    name: int
    split: int | None
    tags: tuple[int, ...]
    classes: dict[int, str]
    unread: tuple[int, ...]

    def reading(self) -> str:
        """How the table is read, in a line."""
        title = self.header.__getitem__
        tags = (
            "tags = " + ", ".join(map(title, self.tags))
            if self.tags
            else f"a class each = {some(self.classes.values())}"
        )
        split = "no split" if self.split is None else f"split = {title(self.split)}"
        unread = some(title(i) or f"column {i + 1}" for i in self.unread)
        return f"photo = {title(self.name)}; {tags}; {split}" + (f"; not read: {unread}" if unread else "")


def names_photos(header: Sequence[str]) -> bool:
    """True for a heading of several columns of which one is called as those of photos are."""
    return len(header) > 1 and any(_key(cell) in NAMES | NAMES_ABROAD for cell in header)


def _key(cell: str) -> str:
    return re.sub(r"[\s_-]+", "", cell.strip().casefold())


def find_columns(header: Sequence[str], rows: Sequence[Sequence[str]], path: Path) -> Columns:
    """The columns of a table with this `header`. Raises `UserError` if one is missing, or two claim the same role."""
    where = f"{path}:1"
    keys = [_key(cell) for cell in header]
    name = _name(header, keys, rows, where)
    folded = [cell.casefold() for cell in header]
    if twins := sorted({cell for cell in folded if cell and folded.count(cell) > 1}):
        raise UserError(where, f"two columns are named {twins[0]!r}", "rename or delete one of them")
    open_ = [i for i in range(len(header)) if i != name and keys[i] not in UNREAD]
    tags = [i for i in open_ if keys[i] in TAGS]
    tags = tags or [i for i in open_ if keys[i] in TAGS_ABROAD and not is_binary(column(rows, i))]
    numbered = [i for i in open_ if NUMBERED.fullmatch(keys[i])]
    if all(is_binary(column(rows, i)) for i in numbered):
        numbered = []
    if len(tags) > 1 or (tags and numbered):
        raise _two("hold the tags", header, [*tags, *numbered], where)
    tags = tags or numbered
    split = [i for i in open_ if i not in tags and (keys[i] in SPLIT or _says_splits(column(rows, i)))]
    if len(split) > 1:
        raise _two("say the split", header, split, where)
    rest = [i for i in open_ if i not in (*tags, *split)]
    if not tags:
        tags = _words(header, rest, rows, where)
    classes = {} if tags else {i: header[i] for i in rest if not is_background(header[i])}
    if not tags and not classes:
        raise UserError(where, "no column of tags", "add a column named tags")
    used = {name, *tags, *split, *classes}
    unread = tuple(i for i in range(len(header)) if i not in used)
    return Columns(tuple(header), name, split[0] if split else None, tuple(tags), classes, unread)


def unread_classes(columns: Columns, rows: Sequence[Sequence[str]], path: Path) -> list[Finding]:
    """What to ask where a table has tags in a column, and columns of yes and no beside it."""
    if not columns.tags:
        return []
    binary = [columns.header[i] for i in columns.unread if columns.header[i] and is_binary(column(rows, i))]
    if not binary:
        return []
    tags = columns.header[columns.tags[0]]
    what = f"{path.name}: columns of yes and no are not read, because column {tags!r} has the tags: {some(binary)}"
    return [Finding(what, f"if these are the classes, delete column {tags!r}; else nothing has to be done")]


def column(rows: Iterable[Sequence[str]], number: int) -> list[str]:
    """The cells of a column, without blanks around them; rows that are too short have none."""
    return [row[number].strip() for row in rows if number < len(row)]


def _name(header: Sequence[str], keys: Sequence[str], rows: Sequence[Sequence[str]], where: str) -> int:
    named = [i for i, key in enumerate(keys) if key in NAMES]
    named = named or [i for i, key in enumerate(keys) if key in NAMES_ABROAD]
    if not named:
        found = repr(",".join(header)[:60]) if header else "an empty file"
        what = f"no column of file names (found {found}, expected filename,tags[,split])"
        raise UserError(where, what, "make the first line: filename,tags")
    if len(named) == 1 and not any(map(_is_file, column(rows, named[0]))):
        # Row numbers under `id`, and the names of the files in a column with a heading that is not known.
        named += [
            i
            for i, key in enumerate(keys)
            if i not in named and key not in UNREAD and not re.search("mask|segm|annot|thumb", key)
            if (cells := [cell for cell in column(rows, i) if cell]) and all(map(_is_file, cells))
        ]
    if len(named) > 1:
        raise _two("name the photos", header, sorted(named), where)
    return named[0]


def _words(header: Sequence[str], rest: Sequence[int], rows: Sequence[Sequence[str]], where: str) -> list[int]:
    """The column of tags where no heading says so: the one whose cells are words, beside no column of yes and no.

    Numbers are no words: they may be anything. Nor is one word for all photos, which may be a yes in another spelling.
    """
    cells = {i: [cell for cell in column(rows, i) if cell] for i in rest}
    answers = [i for i in rest if any(cell.casefold() in YES | NO for cell in cells[i])]
    words = [i for i in rest if i not in answers and _are_words(cells[i])]
    if answers or not words:
        return []
    if len(words) > 1:
        titles = " and ".join(repr(header[i]) for i in words)
        what = f"{len(words)} columns of words may hold the tags: {titles}"
        raise UserError(where, what, f"give the one that does the heading 'tags': {_UNREAD}")
    return words


def _are_words(cells: Sequence[str]) -> bool:
    found = [cell for cell in cells if any(map(str.isalpha, cell))]
    return 2 * len(found) > len(cells) and len({*found}) > 1


def _is_file(cell: str) -> bool:
    return PurePosixPath(cell).suffix.lower() in PHOTO_SUFFIXES


def _says_splits(cells: Iterable[str]) -> bool:
    words = {cell.casefold() for cell in cells} - {""}
    return bool(words) and words <= {*SPLITS}


def _two(role: str, header: Sequence[str], found: Sequence[int], where: str) -> UserError:
    titles = [repr(header[i]) for i in found]
    return UserError(where, f"{len(titles)} columns may {role}: {' and '.join(titles)}", _HIDE)
