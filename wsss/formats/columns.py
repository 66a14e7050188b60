"""Which column of a tag table means what: by its heading, and by what stands in it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError, did_you_mean
from wsss.data.ids import PHOTO_SUFFIXES
from wsss.formats.cells import answers, are_words, in_most_rows, is_answer, is_binary, says_yes_or_no
from wsss.formats.headings import (
    NAMES,
    NAMES_ABROAD,
    NUMBERED,
    SPLIT,
    SUBJECTS,
    TAGS,
    TAGS_ABROAD,
    UNREAD,
    common,
    plain,
)
from wsss.formats.problems import some
from wsss.formats.raw import is_background
from wsss.formats.splits import SPLITS

_HIDE = "delete the one that does not, or its heading: a column without one is not read"


@dataclass(frozen=True)
class Headings:
    """The headings of the columns of photos and of tags where a person has named them; empty: to be found out.

    `tags` may also be what the headings of several columns have in common: ``Species`` of ``Species 1``, ``Species 2``.
    """

    photo: str = ""
    tags: str = ""


@dataclass(frozen=True)
class Columns:
    """Numbers of columns. Either `tags`, whose cells hold tags, or `classes`, by number, whose cells say yes or no.

    `strict`: no column says yes or no, so that counts are no answers either; then `classes` are all columns.
    """

    header: tuple[str, ...]
    name: int
    split: int | None
    tags: tuple[int, ...]
    classes: dict[int, str]
    unread: tuple[int, ...]
    strict: bool = False

    def reading(self) -> str:
        """How the table is read, in a line."""
        title = self.header.__getitem__
        tags = (
            "tags = " + ", ".join(map(title, self.tags))
            if self.tags
            else f"a class each = {some(self.classes.values(), 20)}"
        )
        split = "no split" if self.split is None else f"split = {title(self.split)}"
        unread = some((title(i) or f"column {i + 1}" for i in self.unread), 20)
        return f"photo = {title(self.name)}; {tags}; {split}" + (f"; not read: {unread}" if unread else "")


def find_columns(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    path: Path,
    named: Headings | None = None,
    known: Collection[str] = (),
    dropped: Collection[str] = (),
) -> Columns:
    """The columns of a table with this `header`. `named`: those that settings name; None: no settings can.

    `known`: names of classes; a column with such a heading is one. `dropped`: headings that are no class, or none that
    counts. Raises `UserError` if a column is missing, or two claim the same role.
    """
    where = f"{path}:1"
    keys = [plain(cell) for cell in header]
    photo, chosen = _chosen(header, named or Headings(), where)
    # What was named for one role is no candidate for the other, and the other candidates for it are none for a class.
    keys = ["" if i in chosen else key for i, key in enumerate(keys)]
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
    if not chosen and (len(tags) > 1 or (tags and numbered)):
        raise _two("hold the tags", header, [*tags, *numbered], where, _setting("tag_column", named))
    tags = chosen or tags or numbered
    split = [i for i in open_ if i not in tags and (keys[i] in SPLIT or _says_splits(column(rows, i)))]
    if len(split) > 1:
        raise _two("say the split", header, split, where, _HIDE)
    rest = [i for i in open_ if i not in (*tags, *split)]
    classes: list[int] = []
    strict = False
    if not tags:
        free = [i for i in rest if header[i] not in dropped or all(map(is_answer, column(rows, i)))]
        classes = [i for i in free if header[i] in known or answers(column(rows, i))]
        tags = _words(header, free, classes, rows, where, named, known)
        strict = not tags and not any(header[i] in known or any(column(rows, i)) for i in classes)
        classes = free if strict else sorted({*classes, *_rivals(header, free, classes, rows)})
    titles = {} if tags else {i: header[i] for i in classes if not is_background(header[i])}
    if not tags and not titles:
        other = "" if named is None or len(header) < 2 else f"; or {_setting('tag_column', named)}"
        raise UserError(where, "no column of tags", f"add a column named tags{other}")
    used = {name, *tags, *split, *titles}
    unread = tuple(i for i in range(len(header)) if i not in used)
    return Columns(tuple(header), name, split[0] if split else None, tuple(tags), titles, unread, strict)


def column(rows: Iterable[Sequence[str]], number: int) -> list[str]:
    """The cells of a column, without blanks around them; rows that are too short have none."""
    return [row[number].strip() for row in rows if number < len(row)]


def named_columns(header: Sequence[str], heading: str) -> list[int]:
    """The columns that `heading` names: the one that has it, or several whose headings add numbers to it."""
    title = unicodedata.normalize("NFC", heading).strip()
    return [header.index(title)] if title in header else [i for i, cell in enumerate(header) if common(cell) == title]


def _chosen(header: Sequence[str], named: Headings, where: str) -> tuple[int | None, list[int]]:
    """The columns of photos and of tags that are `named`. Raises `UserError` for one that is not there."""
    found: list[list[int]] = []
    for key, heading in (("photo_column", named.photo), ("tag_column", named.tags)):
        title = heading.strip()
        columns = named_columns(header, title) if title else []
        if title and (not columns or (key == "photo_column" and len(columns) > 1)):
            what = f"no column {title!r}{did_you_mean(title, header)}; there are {some(map(repr, header), 20)}"
            raise UserError(where, what, _setting(key, named))
        found.append(columns)
    if {*found[0]} & {*found[1]}:
        what = f"column {header[found[0][0]]!r} cannot hold both, the names of photos and the tags"
        raise UserError(where, what, "correct dataset.photo_column or dataset.tag_column")
    return found[0][0] if found[0] else None, found[1]


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
    header: Sequence[str],
    free: Sequence[int],
    classes: Sequence[int],
    rows: Sequence[Sequence[str]],
    where: str,
    named: Headings | None,
    known: Collection[str],
) -> list[int]:
    """The columns of tags where no heading says so: the one whose cells are words, or several of one name and a number,
    beside no column of yes and no, and not two of counts.

    Numbers are no words: they may be anything. Nor is one word for all photos, which may be a yes in another spelling.
    """
    full = [i for i in classes if any(column(rows, i))]
    words = [i for i in free if i not in full and are_words(column(rows, i)) and not says_yes_or_no(column(rows, i))]
    if len(full) > 1 or any(header[i] in known for i in classes) or any(says_yes_or_no(column(rows, i)) for i in full):
        return []
    several = Counter(common(header[i]) for i in free if i not in full)
    stems = {i: common(header[i]) if several[common(header[i])] > 1 else "" for i in words}
    groups = dict.fromkeys(stems[i] or header[i] for i in words)
    if len(groups) > 1:
        fix = "give the one that does the heading 'tags': the others are then not read"
        fix = fix if named is None else _setting("tag_column", named)
        raise _two("hold the tags", [*groups], range(len(groups)), where, fix, "columns of words")
    return [i for i in free if i in words or (i not in full and common(header[i]) in {*stems.values()} - {""})]


def _rivals(
    header: Sequence[str], free: Sequence[int], classes: Sequence[int], rows: Sequence[Sequence[str]]
) -> list[int]:
    """Columns of words that may hold the tags as well as `classes` may be classes: beside a single one, which may count
    or confirm what the words name, or with a heading of `SUBJECTS`.
    """
    single = sum(any(column(rows, i)) for i in classes) == 1
    words = [i for i in free if i not in classes and in_most_rows(cells := column(rows, i)) and are_words(cells)]
    return [i for i in words if single or plain(header[i]) in SUBJECTS]


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
