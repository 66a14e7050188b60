"""Tag files as people write them: long or wide CSV, any usual delimiter, encoding, quoting, spelling of yes.

Long: ``filename,tags[,split]`` with tags separated by ``|``, ``;`` or ``,``, one row per tag, or one tag a column.
Wide: ``filename,cow,grass,…[,split]`` with 1/0, true/false, yes/no, a count or an empty cell, and columns of other
things between them, which are not read.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.core.errors import UserError, did_you_mean
from wsss.core.log import warn
from wsss.core.words import counted
from wsss.formats.cells import NO, YES, is_answer, is_yes, separate, wrong_names
from wsss.formats.columns import Columns, Headings, find_columns
from wsss.formats.lines import read_lines
from wsss.formats.problems import HINTS, Finding, shortened_name, some
from wsss.formats.reading import unread_findings
from wsss.formats.splits import EXPECTED, SPLITS


@dataclass(frozen=True)
class TagRow:
    """One row: the photo's name as written, its split (empty if none), its tags as written, and its place."""

    name: str
    split: str
    tags: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class TagTable:
    """All rows that can be read, the class names that a wide table's header gives, and how the columns were read.

    `broken`: photos, as named, of rows that are problems. `unread`: the headings of columns that are not read.
    """

    path: Path
    rows: tuple[TagRow, ...]
    columns: tuple[str, ...]
    reading: str
    findings: tuple[Finding, ...]
    broken: tuple[str, ...]
    unread: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """One column per class; then a photo has one row."""
        return bool(self.columns)

    def tags(self) -> dict[str, int]:
        """Every tag as written, and the first line that has it."""
        lines: dict[str, int] = {}
        for row in self.rows:
            for tag in row.tags:
                lines.setdefault(tag, row.line)
        return lines


def read_tag_file(
    path: Path,
    problems: list[UserError],
    named: Headings | None = None,
    known: Collection[str] = (),
    dropped: Collection[str] = (),
) -> TagTable:
    """Read a tag file. Raises `UserError` if it is no table; cells that cannot be read go to `problems`.

    `named`: the columns that settings name; None: no settings can. `known`: names of classes, where a list has them;
    `dropped`: those whose tags do not count, or headings of columns that are no class.
    """
    header, lines, sheet = read_lines(path)
    cells = [row for _, row in lines]
    columns = find_columns(header, cells, path, named, known, dropped)
    _hint(columns, path)
    rows: list[TagRow] = []
    broken: list[str] = []
    for line, row in lines:
        if len(row) != len(header):
            broken += row[columns.name : columns.name + 1]
            continue
        split = "" if columns.split is None else row[columns.split].strip().casefold()
        if split and split not in SPLITS:
            broken.append(row[columns.name])
        rows.append(TagRow(row[columns.name], SPLITS.get(split, ""), _tags(columns, row), line))
    whole = [(line, row) for line, row in lines if len(row) == len(header)]
    problems += _odd_rows(len(header), lines, path)
    problems += _unknown_splits(columns, whole, path)
    for number, name in columns.classes.items():
        wrong = [(line, row) for line, row in whole if not _answer(columns, row[number])]
        if wrong:
            said = sum(bool(row[number].strip()) for _, row in whole) - len(wrong)
            problems.append(_no_answer(path, name, number, wrong, said, named is not None))
            broken += [row[columns.name] for _, row in wrong]
    findings = () if named and named.tags else tuple(unread_findings(columns, cells, path, dropped))
    classes = tuple(columns.classes.values())
    place = f"{path.name}, sheet {sheet!r}" if sheet else path.name
    unread = tuple(header[i] for i in columns.unread if header[i])
    return TagTable(path, tuple(rows), classes, f"{place}: {columns.reading()}", findings, tuple(broken), unread)


def wrong_tags(table: TagTable, dropped: Collection[str] = ()) -> list[UserError]:
    """One error for each kind of tag that names no class, such as ``none`` or ``['cow'``; but for `dropped` ones."""
    lines = {} if table.wide else {tag: line for tag, line in table.tags().items() if tag not in dropped}
    kinds: dict[str, list[str]] = {}
    for tag, kind in wrong_names(lines):
        kinds.setdefault(kind, []).append(tag)
    return [
        UserError(
            f"{table.path}:{min(lines[tag] for tag in tags)}",
            f"found {kind} where the name of a class is expected: {some(map(repr, tags))}",
            _FIXES[kind],
        )
        for kind, tags in kinds.items()
    ]


_KEEP = "or, if these are names of classes, list all classes in a file and set dataset.classes to it"
_FIXES = {
    "yes or no": "give the column the class's name as its heading; or write the names of classes into the cells; "
    + _KEEP,
    "a sign for nothing": f"leave the cells of photos without a tag empty; {_KEEP}",
    "a name with brackets or quotes": f"write tags as cow|grass; {_KEEP}",
}


def in_one_spelling(table: TagTable, listed: Collection[str] = (), dropped: Collection[str] = ()) -> TagTable:
    """`table` with tags that differ only in capital letters written alike: as `listed`, else as most rows have them, or
    in small letters if as many have them so. More rows may rename a class; its number stays (`scan` of `folder`).

    Two classes never differ in that alone. Names in `dropped` stay, and so do the headings of a wide table.
    """
    counts = Counter(tag for row in table.rows for tag in row.tags if tag not in dropped)
    if table.wide:
        return table
    kept: dict[str, str] = {}
    for tag in (*listed, *sorted(counts, key=lambda tag: (-counts[tag], tag != tag.lower()))):
        kept.setdefault(tag.casefold(), tag)
    changed = {tag: kept[tag.casefold()] for tag in counts if kept[tag.casefold()] != tag}
    if not changed:
        return table
    rows = [
        replace(row, tags=tuple(dict.fromkeys(changed.get(tag, tag) for tag in row.tags))) if row.tags else row
        for row in table.rows
    ]
    told = [f"{tag!r} ({counted(counts[tag], 'row')}) as {name!r} ({counts[name]})" for tag, name in changed.items()]
    reading = f"{table.reading}\ncapital letters make no other class: read {some(told, 20)}"
    return replace(table, rows=tuple(rows), reading=reading)


def unknown_tags(table: TagTable, names: Iterable[str], classes: Sequence[str], source: str) -> list[UserError]:
    """One error for each of the tags `names` that is none of `classes`, which the file `source` lists.

    The class that may be meant is looked for in the first `HINTS`: thousands belong to another list of classes.
    """
    lines: dict[str, list[int]] = {name: [] for name in names if name not in classes}
    for row in table.rows:
        for tag in row.tags:
            if tag in lines:
                lines[tag].append(row.line)
    errors = []
    for number, (tag, found) in enumerate(lines.items()):
        hint = did_you_mean(tag, classes) if number < HINTS else ""
        places = f" in {len(found)} rows (lines {some(map(str, found))})" if len(found) > 1 else ""
        fix = f"edit these lines; or add the class to {source}" if len(found) > 1 else f"edit line {found[0]}"
        errors.append(UserError(f"{table.path}:{found[0]}", f"unknown class {shortened_name(tag)}{hint}{places}", fix))
    return errors


def _odd_rows(width: int, lines: Iterable[tuple[int, Sequence[str]]], path: Path) -> list[UserError]:
    """One error for all rows that have not `width` cells."""
    odd = [(line, len(row)) for line, row in lines if len(row) != width]
    if not odd:
        return []
    line, found = odd[0]
    what, fix = f"found {found} cells, expected {width}", f"edit line {line}"
    if len(odd) > 1:
        what += f"; so in {len(odd)} rows: {some(f'line {number} ({cells})' for number, cells in odd)}"
        fix = "edit these lines"
    return [UserError(f"{path}:{line}", what, f'{fix}: put several tags in one cell as "cow|grass"')]


def _tags(columns: Columns, row: Sequence[str]) -> tuple[str, ...]:
    if columns.tags:
        return tuple(dict.fromkeys(tag for i in columns.tags for tag in separate(row[i])))
    says = _in_words if columns.strict else is_yes
    return tuple(name for i, name in columns.classes.items() if says(row[i]))


def _in_words(cell: str) -> bool:
    return cell.strip().casefold() in YES


def _answer(columns: Columns, cell: str) -> bool:
    return cell.strip().casefold() in YES | NO if columns.strict else is_answer(cell)


def _unknown_splits(columns: Columns, lines: Iterable[tuple[int, Sequence[str]]], path: Path) -> list[UserError]:
    """One error for all words that say no split: its cause is the column, or a slip in one line."""
    if columns.split is None:
        return []
    words = [(line, word) for line, row in lines if (word := row[columns.split].strip())]
    wrong = [(line, word) for line, word in words if word.casefold() not in SPLITS]
    if not wrong:
        return []
    kinds = list(dict.fromkeys(word for _, word in wrong))
    where = f"{path}:{wrong[0][0]}"
    if len(wrong) == 1:
        what = f"unknown split {kinds[0]!r}{did_you_mean(kinds[0], SPLITS)} ({EXPECTED})"
        return [UserError(where, what, f"edit line {wrong[0][0]}")]
    title = columns.header[columns.split]
    what = f"column {title!r}: unknown splits {some(map(repr, kinds))} in {len(wrong)} rows ({EXPECTED})"
    fix = f"write train, val or test; or delete column {title!r}: then dataset.val_fraction of the photos becomes val"
    return [UserError(where, what, fix)]


def _no_answer(
    path: Path, name: str, number: int, wrong: Sequence[tuple[int, Sequence[str]]], said: int, settable: bool
) -> UserError:
    """One error for the cells of a column that are `wrong`; `said`: how many others say something."""
    line, row = wrong[0]
    more = f" (and something else in {counted(len(wrong) - 1, 'more row')})" if len(wrong) > 1 else ""
    what = f"column {name!r}: found {row[number].strip()!r}, expected 1 or 0{more}"
    named = "set dataset.tag_column to the column of tags" if settable else "name the column of tags 'tags'"
    if len(wrong) == 1:
        return UserError(f"{path}:{line}", what, f"edit line {line}, or {named}")
    first = "write 1, 0 or a count into these cells" if said >= len(wrong) else named
    drop = f"leave it out (dataset.drop; wsss init: --drop {shlex.quote(name)})" if settable else "delete the column"
    return UserError(f"{path}:{line}", what, f"{first}; or, if {name!r} is no class, {drop}")


def _hint(columns: Columns, path: Path) -> None:
    for title in (columns.header[i] for i in columns.unread if columns.split is None):
        if hint := did_you_mean(title.casefold(), ("split", "subset")):
            warn(f"{path}:1", f"the column {title!r} is ignored{hint}", "rename or delete it")
