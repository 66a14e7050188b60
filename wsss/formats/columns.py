"""Which column of a tag table means what: by its heading, and by what stands in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError, did_you_mean
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
_HIDE = "delete the one that does not, or its heading: a column without one is not read"


@dataclass(frozen=True)
class Headings:
    """The headings of the columns of photos and of tags where a person has named them; empty: to be found out."""

    photo: str = ""
    tags: str = ""


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


def find_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], path: Path, named: Headings | None = None
) -> Columns:
    """The columns of a table with this `header`. `named`: those that settings name; None: no settings can.

    Raises `UserError` if one is missing, or two claim the same role.
    """
    where = f"{path}:1"
    keys = [_key(cell) for cell in header]
    photo, chosen = _chosen(header, named or Headings(), where)
    # What was named for one role is no candidate for the other, and the other candidates for it are none for a class.
    if chosen is not None:
        keys[chosen] = ""
    if photo is not None:
        others = {i for i in _naming(keys, rows) if i != photo and not is_binary(column(rows, i))}
        keys = ["" if i in others else key for i, key in enumerate(keys)]
    name = _name(header, keys, rows, where, named) if photo is None else photo
    folded = [cell.casefold() for cell in header]
    if twins := sorted({cell for cell in folded if cell and folded.count(cell) > 1}):
        raise UserError(where, f"two columns are named {twins[0]!r}", "rename or delete one of them")
    open_ = [i for i in range(len(header)) if i != name and keys[i] not in UNREAD]
    tags = [i for i in open_ if keys[i] in TAGS]
    tags = tags or [i for i in open_ if keys[i] in TAGS_ABROAD and not is_binary(column(rows, i))]
    numbered = [i for i in open_ if NUMBERED.fullmatch(keys[i])]
    if all(is_binary(column(rows, i)) for i in numbered):
        numbered = []
    if chosen is None and (len(tags) > 1 or (tags and numbered)):
        raise _two("hold the tags", header, [*tags, *numbered], where, _setting("tag_column", named))
    tags = [chosen] if chosen is not None else tags or numbered
    split = [i for i in open_ if i not in tags and (keys[i] in SPLIT or _says_splits(column(rows, i)))]
    if len(split) > 1:
        raise _two("say the split", header, split, where, _HIDE)
    rest = [i for i in open_ if i not in (*tags, *split)]
    if not tags:
        tags = _words(header, rest, rows, where, named)
    classes = {} if tags else {i: header[i] for i in rest if not is_background(header[i])}
    if not tags and not classes:
        other = "" if named is None or len(header) < 2 else f"; or {_setting('tag_column', named)}"
        raise UserError(where, "no column of tags", f"add a column named tags{other}")
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


def _chosen(header: Sequence[str], named: Headings, where: str) -> tuple[int | None, int | None]:
    """The columns of photos and of tags that are `named`. Raises `UserError` for one that is not there."""
    found: list[int | None] = []
    for key, heading in (("photo_column", named.photo), ("tag_column", named.tags)):
        title = unicodedata.normalize("NFC", heading).strip()
        if title and title not in header:
            what = f"no column {title!r}{did_you_mean(title, header)}; there are {some(map(repr, header), 20)}"
            raise UserError(where, what, _setting(key, named))
        found.append(header.index(title) if title else None)
    if found[0] is not None and found[0] == found[1]:
        what = f"column {header[found[0]]!r} cannot hold both, the names of photos and the tags"
        raise UserError(where, what, "correct dataset.photo_column or dataset.tag_column")
    return found[0], found[1]


def _setting(key: str, named: Headings | None) -> str:
    """The fix where a heading may be `named` in the settings; else what can be done to the table."""
    option = f"--{key.replace('_', '-')}"
    return _HIDE if named is None else f"set dataset.{key} to the heading of the right one (wsss init: {option} NAME)"


def _name(
    header: Sequence[str], keys: Sequence[str], rows: Sequence[Sequence[str]], where: str, named: Headings | None
) -> int:
    found = _naming(keys, rows)
    if not found:
        titles = repr(",".join(header)[:60]) if header else "an empty file"
        what = f"no column of file names (found {titles}, expected filename,tags[,split])"
        other = "" if named is None or len(header) < 2 else f"; or {_setting('photo_column', named)}"
        raise UserError(where, what, f"make the first line: filename,tags{other}")
    if len(found) > 1:
        raise _two("name the photos", header, found, where, _setting("photo_column", named))
    return found[0]


def _naming(keys: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns that may name the photos."""
    found = [i for i, key in enumerate(keys) if key in NAMES]
    found = found or [i for i, key in enumerate(keys) if key in NAMES_ABROAD]
    if len(found) == 1 and not any(map(_is_file, column(rows, found[0]))):
        # Row numbers under `id`, and the names of the files in a column with a heading that is not known.
        found += [
            i
            for i, key in enumerate(keys)
            if i not in found and key not in UNREAD and not re.search("mask|segm|annot|thumb", key)
            if (cells := [cell for cell in column(rows, i) if cell]) and all(map(_is_file, cells))
        ]
    return sorted(found)


def _words(
    header: Sequence[str], rest: Sequence[int], rows: Sequence[Sequence[str]], where: str, named: Headings | None
) -> list[int]:
    """The column of tags where no heading says so: the one whose cells are words, beside no column of yes and no.

    Numbers are no words: they may be anything. Nor is one word for all photos, which may be a yes in another spelling.
    """
    cells = {i: [cell for cell in column(rows, i) if cell] for i in rest}
    answers = [i for i in rest if any(cell.casefold() in YES | NO for cell in cells[i])]
    words = [i for i in rest if i not in answers and _are_words(cells[i])]
    if answers or not words:
        return []
    if len(words) > 1:
        fix = "give the one that does the heading 'tags': the others are then not read"
        fix = fix if named is None else _setting("tag_column", named)
        raise _two("hold the tags", header, words, where, fix, "columns of words")
    return words


def _are_words(cells: Sequence[str]) -> bool:
    found = [cell for cell in cells if any(map(str.isalpha, cell))]
    return 2 * len(found) > len(cells) and len({*found}) > 1


def _is_file(cell: str) -> bool:
    return PurePosixPath(cell).suffix.lower() in PHOTO_SUFFIXES


def _says_splits(cells: Iterable[str]) -> bool:
    words = {cell.casefold() for cell in cells} - {""}
    return bool(words) and words <= {*SPLITS}


def _two(
    role: str, header: Sequence[str], found: Sequence[int], where: str, fix: str, kind: str = "columns"
) -> UserError:
    titles = [repr(header[i]) for i in found]
    return UserError(where, f"{len(titles)} {kind} may {role}: {' and '.join(titles)}", fix)
