"""Tags that are known of photos, from a table or from the index of a data set: the classes that masks may show."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from wsss.core.errors import UserError, raise_all
from wsss.core.log import say
from wsss.core.missing import similar
from wsss.core.words import counted
from wsss.formats.columns import Headings, named_columns
from wsss.formats.folder import match_rows, merge_rows
from wsss.formats.lines import read_lines
from wsss.formats.names import spellings, stem
from wsss.formats.problems import ALL, MOST_SHOWN, shortened, some
from wsss.formats.raw import Listing
from wsss.formats.tagfile import TagTable, in_one_spelling, read_tag_file, unknown_tags
from wsss.models.base_student import IMPROBABLE
from wsss.predict.collect import FoundPhoto
from wsss.predict.no_class import shown_to_be_empty
from wsss.predict.own_set import INDEX, own_set
from wsss.predict.project import PARAMS, section_of
from wsss.predict.segment import Network

KnownTags = Mapping[str, tuple[int, ...]]
"""Class numbers by photo id; a photo that is not there may show anything."""
SOME = 2
"""Names that an error shows of each side."""
NO_ROW = "write names as the photos have them, with as many of their folders as are needed; or leave --tags out"


@dataclass(frozen=True)
class TagSource:
    """`tags` of those photos that `path`, a table or an index, knows; `fingerprint`: 16 hex digits over all tags there,
    those of other photos among them, so that some photos may be predicted first and others later; `records`: of an
    index, the ids there by those of the photos; `dropped`: of a table, classes whose tags do not count, and `unread`,
    where it has a column per class, the headings of the other ones.
    """

    path: Path
    tags: KnownTags
    fingerprint: str
    records: Mapping[str, str] = field(default_factory=dict)
    dropped: Sequence[str] = ()
    unread: Sequence[str] = ()

    def counted(self, photos: int) -> str:
        """How many of so many photos have tags, in words."""
        none = sum(not tags for tags in self.tags.values())
        empty = f"; {none} of them show{'s' if none == 1 else ''} no class" if none else ""
        dropped = f"; {PARAMS} drops {some(self.dropped)}" if self.dropped else ""
        unread = f"; not read: {some(self.unread, 20)}" if self.unread else ""
        told = f"{self.path}{empty}{dropped}{unread}"
        return f"tags of {len(self.tags)} of {counted(photos, 'photo')} are known ({told})"


def read_known_tags(
    path: Path, photos: Sequence[FoundPhoto], classes: Sequence[str], folder: Path = Path()
) -> TagSource:
    """The tags of those `photos` that the table `path` names; `classes`: the network's names, background first.

    Classes and columns are those of the settings of the project in `folder`, if it has any: what it drops, the network
    was not to learn. Capital letters make no other class, as for `wsss init`; a line says which are read so. Raises
    `UserError`, several at once, for a table with mistakes, and for a tag that is no class. Rows of other photos are no
    mistake.
    """
    if not path.is_file():
        there = _among(photos, path)
        what = f"no such file; there is one in {there.parent}" if there else f"no such file{similar(path)}"
        raise UserError(path, what, f"--tags {shlex.quote(str(there))}" if there else "correct --tags")
    settings = section_of(folder, "dataset")
    problems: list[UserError] = []
    drop = frozenset(map(str, settings.get("drop") or ()))
    table = _spelt_as(classes[1:], read_tag_file(path, problems, _headings(path, settings), classes, drop), drop)
    dropped = sorted(drop & {*table.tags()} - {*classes})
    for error in unknown_tags(table, {*table.tags()} - {*dropped}, classes[1:], ""):
        fix = f"{error.fix.partition(';')[0]}: the network knows {some(classes[1:], 20)}"
        problems.append(UserError(error.where, error.what, fix))
    raise_all(shortened(problems, MOST_SHOWN, ALL))
    listing = Listing(path.parent, {photo.id: [photo.name] for photo in photos})
    rows, _ = match_rows(named_below(table, photos), listing, [])
    tags = {name: merge_rows(table, found)[1] for name, found in sorted(rows.items())}
    if not tags:
        what = f"names none of these photos: it has {some(repr(row.name) for row in table.rows[:SOME])}"
        raise UserError(path, f"{what}, and they are {some(repr(photo.name) for photo in photos[:SOME])}", NO_ROW)
    known = {name: tuple(sorted(classes.index(tag) for tag in {*found} - {*dropped})) for name, found in tags.items()}
    fingerprint = _fingerprint(sorted((row.name, row.tags) for row in table.rows))
    return TagSource(path, known, fingerprint, dropped=dropped, unread=table.unread if table.wide else ())


def _among(photos: Sequence[FoundPhoto], path: Path) -> Path | None:
    """The file `path` below a folder of photos that was given, if it is there; it was given from the present folder."""
    folders = dict.fromkeys(photo.path.parents[photo.name.count("/")] for photo in photos)
    return next((folder / path for folder in folders if (folder / path).is_file()), None)


def _spelt_as(classes: Sequence[str], table: TagTable, drop: Collection[str]) -> TagTable:
    """`table` with the tags that differ from `classes` only in capital letters written like these, and a line that says
    which. Headings count as well: here they are no names of new classes, as they may be for `wsss init`.
    """
    read = in_one_spelling(replace(table, columns=()), classes, drop)
    if read.rows == table.rows:
        return table
    say(f"predict: {read.reading.splitlines()[-1]}")
    return replace(read, columns=table.columns)


def named_below(table: TagTable, photos: Sequence[FoundPhoto]) -> TagTable:
    """`table` with the names of `photos` in its rows, where these begin further up: ``images/a.jpg`` of ``a.jpg``."""
    names = {row.name: PurePosixPath(stem(spellings(row.name)[-1])).parts for row in table.rows}
    lengths = {len(parts) for parts in names.values()} - {1}
    ends: dict[tuple[str, ...], set[str]] = {}
    for photo in photos:
        parts = photo.path.absolute().with_suffix("").parts
        for length in lengths:
            if length > len(PurePosixPath(photo.id).parts):
                ends.setdefault(parts[-length:], set()).add(photo.name)
    meant = {name: found for name, parts in names.items() if len(found := ends.get(parts, set())) == 1}
    rows = (replace(row, name=next(iter(meant[row.name]))) if row.name in meant else row for row in table.rows)
    return replace(table, rows=tuple(rows))


def read_indexed_tags(photos: Sequence[FoundPhoto], classes: Sequence[str], folder: Path = Path()) -> TagSource | None:
    """The tags of those `photos` that are photos of the data set that the project in `folder` has indexed: the same
    files. None if there are none, if there is no such index, or if its classes are not those of the network.

    A photo without tags shows no class if its tags say so, as `shown_to_be_empty` finds out; one that nobody has tagged
    may show anything.
    """
    own = own_set(photos, classes, folder)
    if own is None:
        return None
    empty = shown_to_be_empty(own.index, section_of(folder, "dataset"), folder)
    tagged = [record for record in own.index.records if record.tags or record.id in empty]
    found = {name: record for name, record in own.records.items() if record.tags or record.id in empty}
    if not found:
        return None
    known = {name: record.tags for name, record in found.items()}
    fingerprint = _fingerprint([(record.image, record.tags) for record in tagged])
    return TagSource(INDEX, known, fingerprint, {name: record.id for name, record in found.items()})


def _headings(path: Path, settings: Mapping[str, Any]) -> Headings | None:
    """The columns that `settings` name, those that the table `path` has; None if they name none."""
    given = [settings.get(key) or "" for key in ("photo_column", "tag_column")]
    if not any(given):
        return None
    header = read_lines(path)[0]
    return Headings(*(name if named_columns(header, name) else "" for name in given))


def _fingerprint(tags: object) -> str:
    return hashlib.sha256(json.dumps(tags).encode()).hexdigest()[:16]


def limited(network: Network, tags: Sequence[int]) -> Network:
    """`network`, (N, 3, H, W) → logits (N, K+1, h, w), with all classes ruled out but the background and `tags`.

    What is left of the probabilities is so renormalised in each view, before the CRF.
    """

    def run(views: torch.Tensor) -> torch.Tensor:
        logits = network(views)
        ruled_out = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
        ruled_out[[0, *tags]] = False
        return logits.masked_fill(ruled_out[:, None, None], IMPROBABLE)

    return run
