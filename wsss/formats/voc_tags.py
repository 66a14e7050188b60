"""Tags of a VOC folder: out of annotations, a CSV, or one-hot vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from wsss.core.errors import UserError, did_you_mean
from wsss.data.codec import read_file
from wsss.formats.folder import match_rows
from wsss.formats.names import Names, NoPhoto
from wsss.formats.onehot import read_onehot
from wsss.formats.problems import HINTS, Finding, shortened_name, some
from wsss.formats.raw import Listing
from wsss.formats.settings import DatasetSettings
from wsss.formats.tagfile import TagRow, read_tag_file

MAX_XML = 4_000_000
"""Bytes of one annotation; VOC's largest have 10,000."""


@dataclass
class VocTags:
    """Tags by id, each with its place; what is wrong or doubtful; photos whose lack of tags follows from that."""

    reading: str
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[UserError] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    explained: set[str] = field(default_factory=set)
    rowless: set[str] = field(default_factory=set)
    others: frozenset[str] = frozenset()


def read_tags(
    settings: DatasetSettings, classes: tuple[str, ...], entries: Mapping[str, tuple[str, str]], photos: Listing
) -> VocTags:
    """The tags of the photos in `entries`: the split by id, and where the lists say it. Classes may be unknown."""
    path = settings.tags_path
    if settings.tags == "xml":
        return _annotations(path, entries)
    if path.suffix == ".npy":
        return _vectors(settings, classes, entries, photos)
    return _table(settings, classes, entries, photos)


def unknown_classes(found: VocTags, classes: tuple[str, ...], settings: DatasetSettings) -> list[UserError]:
    """What to say of tags that are no class: a slip where it stands, classes of one's own at once."""
    places: dict[str, list[str]] = {}
    for tags in found.tags.values():
        for tag, place in tags.items():
            if tag not in classes:
                places.setdefault(tag, []).append(place)
    hints = {tag: did_you_mean(tag, classes) if n < HINTS else "" for n, tag in enumerate(places)}
    slips = all(hints[tag] and len(where) == 1 for tag, where in places.items())
    own = "list all classes in a file, one a line, and set dataset.classes to it"
    if places and not slips and not settings.classes:
        named = some(f"{shortened_name(tag)} ({len(where)})" for tag, where in places.items())
        return [UserError(settings.tags_path, f"classes that are none of VOC's 20, with their photos: {named}", own)]
    fix = f"add it to {settings.classes}" if settings.classes else own
    problems = []
    for tag, (first, *more) in places.items():
        count = f" (and in {len(more)} more places)" if more else ""
        edit = f"edit line {first.rpartition(':')[2]}" if not more else "correct the tags"
        problems.append(
            UserError(first, f"unknown class {shortened_name(tag)}{hints[tag]}{count}", f"{edit}, or {fix}")
        )
    return problems


def _annotations(folder: Path, entries: Mapping[str, tuple[str, str]]) -> VocTags:
    found = VocTags("")
    without = []
    for name in entries:
        path = folder / f"{name}.xml"
        if not path.exists():
            without.append(name)
            continue
        try:
            found.tags[name] = {tag: f"{path}:{line}" for tag, line in xml_tags(path).items()}
        except UserError as error:
            found.problems.append(error)
            found.explained.add(name)
    found.reading = f"tags: {folder.name}/*.xml of {len(entries) - len(without)} photos"
    if without and len(without) < len(entries):
        what = f"{len(without)} photos have no annotation in {folder.name}, and so no tag: {some(sorted(without))}"
        found.findings.append(Finding(what, "add the annotations, unless the photos show no class"))
    return found


def _vectors(
    settings: DatasetSettings, classes: tuple[str, ...], entries: Mapping[str, tuple[str, str]], photos: Listing
) -> VocTags:
    path = settings.tags_path
    vectors = read_onehot(path, classes)
    names = Names(photos)
    by_photo: dict[str, tuple[str, ...]] = {}
    for key, tags in vectors.items():
        try:
            by_photo[names.find(key, str(path), "the key")] = tags
        except UserError:
            by_photo.setdefault(key, tags)
    found = VocTags(f"tags: {path.name}, {len(vectors)} vectors by id")
    without = []
    for name in entries:
        # Some authors write ids as numbers: 2007_000032 is 2007000032.
        given = by_photo.get(name, by_photo.get(name.replace("_", "")))
        if given is None:
            without.append(name)
        else:
            found.tags[name] = dict.fromkeys(given, str(path))
    if not without:
        return found
    keys = some(map(repr, vectors), 3) or "nothing"
    what = f"no vector of {len(without)} of {len(entries)} photos: {some(map(repr, sorted(without)))} (it holds {keys})"
    fix = "write a vector for each listed photo, with the photo's name as its key"
    if settings.allow_untagged and found.tags:
        found.findings.append(Finding(f"{path.name}: {what}; these are photos of no class", fix))
    else:
        found.explained.update(without)
        found.problems.append(UserError(path, what, fix))
    return found


def _table(
    settings: DatasetSettings, classes: tuple[str, ...], entries: Mapping[str, tuple[str, str]], photos: Listing
) -> VocTags:
    path = settings.tags_path
    problems: list[UserError] = []
    table = read_tag_file(path, problems, settings.headings, classes, settings.dropped)
    matching: list[UserError] = []
    rows, explained = match_rows(table, photos, matching)
    # A table may be that of a larger set.
    beyond = [error for error in matching if isinstance(error, NoPhoto)]
    problems += [error for error in matching if not isinstance(error, NoPhoto)]
    found = VocTags(f"tags: {table.reading}", problems=problems, findings=[*table.findings], explained=explained)
    found.others = frozenset(table.unread)
    if beyond:
        what = f"{path.name}: rows that name no photo of {photos.folder}: {some(_line(error) for error in beyond)}"
        found.findings.append(Finding(what, "correct the names, unless the table is that of a larger set"))
    found.rowless = {name for name in entries if name not in rows and name not in explained}
    for name, entry in entries.items():
        try:
            found.tags[name] = _row_tags(path, rows.get(name, []), entry)
        except UserError as error:
            found.problems.append(error)
            found.explained.add(name)
    return found


def _line(error: UserError) -> str:
    return f"line {error.where.rpartition(':')[2]}"


def _row_tags(path: Path, rows: Sequence[TagRow], entry: tuple[str, str]) -> dict[str, str]:
    for row in rows:
        if row.split not in ("", entry[0]):
            what = f"split {row.split!r}, but {entry[1]} says {entry[0]!r}"
            raise UserError(f"{path}:{row.line}", what, f"edit line {row.line}")
    tags: dict[str, str] = {}
    for row in rows:
        for tag in row.tags:
            tags.setdefault(tag, f"{path}:{row.line}")
    return tags


def xml_tags(path: Path) -> dict[str, int]:
    """Classes of the objects in a VOC annotation, each once, and the line of the first.

    Raises `UserError` if it is not XML, or declares a document type.
    """
    stack: list[str] = []
    found: dict[str, int] = {}
    text: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        stack.append(tag)
        text.clear()

    def end(tag: str) -> None:
        # Objects have parts with names of their own: only the object's counts.
        if stack == ["annotation", "object", "name"]:
            found.setdefault("".join(text).strip(), parser.CurrentLineNumber)
        stack.pop()

    def refuse(*declaration: object) -> None:
        # Entities can be made to expand without end, or to read other files; no annotation needs them.
        raise UserError(path, "declares a document type", "delete the <!DOCTYPE …> declaration")

    data = read_file(path, MAX_XML)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.buffer_text = True  # else each line and each entity is a string of its own
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text.append, refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise UserError(path, f"not valid XML ({error})", "restore the annotation") from error
    return found
