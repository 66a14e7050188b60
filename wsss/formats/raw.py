"""What every format reader gives: raw records, the class list, and the problems met on the way."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wsss.core.errors import UserError
from wsss.data.codec import check_file
from wsss.data.ids import FOREIGN_SUFFIXES, PHOTO_SUFFIXES, clean_id, warn_foreign
from wsss.formats.problems import Finding

MAX_TEXT = 500_000_000
"""Bytes of a list or table that a person wrote: ten million rows."""


@dataclass(frozen=True)
class RawItem:
    """One photo as its data set lists it: paths relative to the root, `split` empty if none is given."""

    id: str
    split: str
    image: str
    mask: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class RawDataset:
    """Class names with the background first, photos, and everything in the lists that does not fit.

    `reading`: how each column, list and folder was read, a line each. `explained`: ids of photos whose lack of tags
    follows from one of the `problems`, or is meant; `rowless`: ids of the others that no row of the table names.
    `numbering`: names by their numbers in masks, where these are not `classes`; else empty. `others`: headings of the
    table's columns that are not read. `whole_tags`: of each photo, with those of dropped classes; else empty.
    """

    classes: tuple[str, ...]
    items: tuple[RawItem, ...]
    problems: tuple[UserError, ...]
    findings: tuple[Finding, ...] = ()
    reading: tuple[str, ...] = ()
    explained: frozenset[str] = frozenset()
    rowless: frozenset[str] = frozenset()
    numbering: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    whole_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The pictures below a folder: paths relative to it, by id; several paths where ids are equal."""

    folder: Path
    paths: Mapping[str, list[str]]
    foreign: Mapping[str, str] = field(default_factory=dict)
    """Pictures in formats that are not read, by path with and without extension."""

    def one(self, name: str) -> str:
        """The path of id `name`. Raises `UserError` where two files claim it."""
        first, *others = self.paths[name]
        if others:
            files = " and ".join([first, *others])
            raise UserError(self.folder, f"duplicate id {name!r} ({files})", "rename or delete one of the files")
        return first

    def warn_foreign(self) -> None:
        """Tell how many pictures are left out."""
        warn_foreign(self.folder, self.foreign.values())


def list_pictures(folder: Path, problems: list[UserError], skip: Path | None = None) -> Listing:
    """All pictures below `folder` by id, sorted; hidden files and the folder `skip` are left out.

    Raises `UserError` if there is no such folder; unusable names go to `problems`.
    """
    if not folder.is_dir():
        raise UserError(folder, "no such folder", "correct the path, or put the data set there")
    paths: dict[str, list[str]] = {}
    foreign: dict[str, str] = {}
    for path in _walk(folder, skip):
        pure = PurePosixPath(path)
        if pure.suffix.lower() in PHOTO_SUFFIXES:
            try:
                paths.setdefault(clean_id(path, folder), []).append(path)
            except UserError as error:
                problems.append(error)
        elif pure.suffix.lower() in FOREIGN_SUFFIXES:
            for key in (path, str(pure.with_suffix("")), pure.name, pure.stem):
                foreign.setdefault(unicodedata.normalize("NFC", key), path)
    return Listing(folder, paths, foreign)


def _walk(folder: Path, skip: Path | None) -> Iterator[str]:
    """Relative POSIX paths of all files below `folder`, sorted by folder; linked folders once."""
    seen = {folder.resolve()} if skip is None else {folder.resolve(), skip.resolve()}
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(place)
        inside = {name: (here / name).resolve() for name in sorted(folders) if not name.startswith((".", "__MACOSX"))}
        folders[:] = [name for name, target in inside.items() if target not in seen]
        seen.update(inside.values())
        for name in sorted(files):
            if not name.startswith("."):
                yield (here / name).relative_to(folder).as_posix()


def read_text(path: Path) -> str:
    """Text of a file a person wrote, as `decoded` has it, composed (NFC). `UserError` if it is no text."""
    try:
        check_file(path, MAX_TEXT)
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            path, f"cannot be read ({error.strerror})", "correct the path in params.yaml, section dataset"
        ) from error
    return unicodedata.normalize("NFC", decoded(data, path)[0])


def decoded(data: bytes, path: Path) -> tuple[str, str]:
    """The text of `data`, the bytes of the file at `path`, and its encoding: UTF-8, with or without a BOM, UTF-16 with
    one, or Latin-1. Raises `UserError` if it is no text.
    """
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    marked = data.startswith(b"\xef\xbb\xbf")
    for encoding in ("utf-16",) if wide else ("utf-8-sig" if marked else "utf-8", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, encoding
    raise UserError(path, "not a text file", "save it as CSV or plain text in UTF-8")


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names of a file, one a line, with the background first whether or not the file lists it."""
    names = [line.strip() for line in read_text(path).splitlines()]
    while names and not names[-1]:
        names.pop()
    if names and is_background(names[0]):
        names.pop(0)
    return with_background(names, path)


def with_background(names: Iterable[str], where: Path) -> tuple[str, ...]:
    """``("background", *names)``. Raises `UserError` at `where` if the names cannot be a list of classes."""
    classes = tuple(names)
    fix = f"mend the class names in {where.name}"
    folded: dict[str, str] = {}
    for name in classes:
        if not name or is_background(name):
            raise UserError(where, f"class name {name!r} among the foreground classes", fix)
        if "|" in name or not name.isprintable():
            raise UserError(where, f"class name {name!r} holds '|' or a control character", fix)
        if name.casefold() in folded:
            twin = folded[name.casefold()]
            raise UserError(where, f"two classes have the same name ({twin!r} and {name!r})", fix)
        folded[name.casefold()] = name
    if not 1 <= len(classes) <= 254:
        raise UserError(where, f"found {len(classes)} classes, expected 1 to 254", fix)
    return ("background", *classes)


def is_background(name: str) -> bool:
    """True for ``background`` and the forms in which labelling tools write it."""
    return name.casefold().strip("_") == "background"
