"""The folder that `wsss predict` fills: masks, overlays and one table, so that a rerun does only what is missing."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsss.core.atomic import write_bytes, write_text
from wsss.core.errors import IntegrityError, UserError
from wsss.data.ids import file_name
from wsss.data.index import TAG_SEPARATOR
from wsss.data.tables import csv_text, plain_rows
from wsss.formats.own_masks import CHECKSUMS
from wsss.predict import written
from wsss.predict.edits import Checksums, checksums_text, read_checksums, refuse_edited
from wsss.predict.look import SEPARATOR, weight
from wsss.predict.made import LABELS, PICTURES, Made
from wsss.predict.other_settings import changes

FORMAT, VERSION = written.FORMAT, 4
SETTINGS, TABLE, PAGE = written.SETTINGS, "predictions.csv", "index.html"
COLUMNS = ("id", "photo", "sha256", "height", "width", "confidence", "look", "tags")
"""Columns before one for the area of each class, as a share of the photo's pixels. `photo`: the file's name, below the
folder that was given; `look`: see `predict.look`; `tags`: what is known of them, see `predict.made`."""

PAGE_MARK = '<meta name="generator" content="wsss predict">'
"""In the page that `report.found_page` writes; an index.html without it is somebody's own."""

WRITE_SECONDS = 10.0
"""The table is written whole at most so often; a killed run repeats the photos since then."""


@dataclass(frozen=True)
class Row:
    """A line of the table: mean `confidence` in [0, 1]; `look`: why this mask should be looked at; `tags`: names, none
    where they are not known; `areas`: fractions of the photo by class, background first.
    """

    id: str
    confidence: float
    look: tuple[str, ...]
    tags: tuple[str, ...]
    areas: tuple[float, ...]


@dataclass
class Folder:
    """Predictions in `path`, all made with `settings`: plain values that determine the masks, `classes` among them.

    `rows` are the lines of the table by id, and `checksums` those of the masks as they were written; an earlier
    version noted none. `wanted`: how many rows there will be when the run has come to its end, 0 after.
    """

    path: Path
    settings: Mapping[str, Any]
    rows: dict[str, list[str]] = field(default_factory=dict)
    checksums: dict[str, Checksums] = field(default_factory=dict)
    wanted: int = 0
    _written: float = field(default_factory=time.monotonic)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over model and settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]

    def open(self, force: bool, page: bool = False, photos: Collection[str] = ()) -> None:
        """Take over the rows of an earlier run; `photos`: the ids that are to be predicted, until `finish`.

        Raises `UserError` if it had another model or other settings, or if a `page` is to be written where somebody's
        own is.

        With `force` these predictions are deleted instead: the files that its table names, and nothing else. Raises
        `UserError` if a person has changed any of the masks since.
        """
        found = self._earlier_settings(force)
        if page and (self.path / PAGE).exists() and not self._own_page():
            what = "is there already, and wsss predict has not written it"
            raise UserError(self.path / PAGE, what, "choose another -o, or move it away")
        foreign = [name for name in (TABLE, CHECKSUMS, written.MASKS, *PICTURES, LABELS) if (self.path / name).exists()]
        if foreign and not (self.path / SETTINGS).exists():
            what = f"holds files that wsss predict has not written ({', '.join(foreign)})"
            raise UserError(self.path, what, "choose another -o")
        self.checksums = read_checksums(self.path)
        if found is not None:
            if (others := changes(found, self.settings)) and not force:
                what = f"holds predictions of another model or other settings ({'; '.join(others)})"
                raise UserError(self.path, what, "choose another -o, or replace them with --force")
            self.rows = self._read_table(found["classes"], force)
        if force:
            refuse_edited(self.path, self.edited(self.checksums), len({*self.rows, *self.checksums}))
            self._delete()
        self._write_settings(len({*self.rows, *photos}))

    def finish(self) -> None:
        """Note that no photo is left to do."""
        self._write_settings(0)

    def read(self) -> None:
        """Take over what is there, to be read. Raises `UserError` if nothing is, `IntegrityError` if it is damaged."""
        found = self._earlier_settings(force=False)
        if found is None or not (self.path / TABLE).is_file():
            raise UserError(self.path, "holds no predictions", "give a folder that wsss predict has filled")
        self.settings, self.rows = found, self._read_table(found["classes"], force=False)
        self.checksums = read_checksums(self.path)

    def mask(self, name: str) -> Path:
        """Where the mask of photo `name` lies."""
        return self.path / written.MASKS / file_name(name, ".png")

    def picture(self, kind: str, name: str) -> Path:
        """Where the picture of photo `name` lies, of a kind of `PICTURES`, or `LABELS`."""
        return self.path / kind / file_name(name, ".jpg")

    def has_pictures(self, name: str) -> bool:
        """True if all of them are there."""
        return all(self.picture(kind, name).is_file() for kind in PICTURES)

    def has(self, name: str, sha256: str, overlays: bool) -> bool:
        """True if this photo, with these bytes, is done."""
        row = self.rows.get(name)
        return (
            row is not None
            and row[COLUMNS.index("sha256")] == sha256
            and self.mask(name).is_file()
            and (not overlays or self.has_pictures(name))
        )

    def known(self, name: str, overlays: bool) -> str:
        """Checksum of the photo whose results are there, empty if they are not."""
        digest = self.rows[name][COLUMNS.index("sha256")] if name in self.rows else ""
        return digest if digest and self.has(name, digest, overlays) else ""

    def edited(self, names: Iterable[str], unless: str = "") -> list[str]:
        """Those of `names` whose masks a person has changed since they were written, and not to the digest `unless`."""
        there = [name for name in names if name in self.checksums and self.mask(name).is_file()]
        return [name for name in there if self.checksums[name].differ(self.mask(name), unless)]

    def put(self, name: str, photo: str, made: Made) -> bool:
        """Write mask and pictures of the file `photo`, then the row. False: a person has changed the mask; all stays.

        A mask that is `made` already is nobody's work, but that of a run which was killed before it could note it.
        """
        if self.edited([name], unless=made.digest):
            return False
        write_bytes(self.mask(name), made.mask)
        for kind, picture in made.pictures.items():
            write_bytes(self.picture(kind, name), picture)
        if LABELS not in made.pictures:  # of an earlier photo of this name
            self.picture(LABELS, name).unlink(missing_ok=True)
        self.rows[name] = [name, photo, *made.values]
        self.checksums[name] = Checksums.of(made.mask, made.digest)
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self.write_table()
        return True

    def worst_first(self) -> list[Row]:
        """All rows: by the `weight` of the reasons to look at them, then the least confident first.

        Raises `IntegrityError`.
        """
        sure, look, tags = (COLUMNS.index(name) for name in ("confidence", "look", "tags"))
        try:
            found = [
                Row(
                    name,
                    float(row[sure]),
                    _parts(row[look], SEPARATOR),
                    _parts(row[tags], TAG_SEPARATOR),
                    tuple(map(float, row[len(COLUMNS) :])),
                )
                for name, row in self.rows.items()
            ]
        except ValueError as error:
            what = f"a row cannot be read ({error})"
            raise IntegrityError(self.path / TABLE, what, "make it again: wsss predict … --force") from error
        return sorted(found, key=lambda row: (-weight(row.look), row.confidence, row.id))

    def write_table(self) -> None:
        """Write all rows, sorted by id, and before them the checksums: none is missing of what has a row."""
        if self.checksums:
            write_text(self.path / CHECKSUMS, checksums_text(self.checksums))
        header = (*COLUMNS, *(f"area {name}" for name in self.settings["classes"]))
        write_text(self.path / TABLE, csv_text(header, [row for _, row in sorted(self.rows.items())]))
        self._written = time.monotonic()

    def _write_settings(self, wanted: int) -> None:
        self.wanted = wanted
        content = {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint, **self.settings}
        content |= {"wanted": wanted} if wanted else {}
        write_text(self.path / SETTINGS, json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    def _earlier_settings(self, force: bool) -> dict[str, Any] | None:
        path = self.path / SETTINGS
        if not path.exists():
            return None
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
            if found["format"] == FORMAT and found["version"] in range(1, VERSION) and not force:
                what = "made by an earlier wsss: its table has other columns"
                raise IntegrityError(path, what, "choose another -o, or replace it with --force")
            if (found.pop("format"), found.pop("version")) != (FORMAT, VERSION):
                raise ValueError("format")
            found.pop("fingerprint")
            self.wanted = int(found.pop("wanted", 0))
            found["classes"] = [str(name) for name in found["classes"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if force:
                return None
            what = "not the settings of wsss predict, or damaged"
            raise IntegrityError(path, what, "choose another -o, or replace it with --force") from error
        return found

    def _read_table(self, classes: Sequence[str], force: bool) -> dict[str, list[str]]:
        path = self.path / TABLE
        if not path.exists():
            return {}
        try:
            with path.open(encoding="utf-8", newline="") as handle:
                header, *rows = list(plain_rows(csv.reader(handle, strict=True)))
            if header[: len(COLUMNS)] != list(COLUMNS) or any(len(row) != len(header) for row in rows):
                raise ValueError("columns")
            if len(header) != len(COLUMNS) + len(classes):
                raise ValueError("classes")
        except (ValueError, csv.Error) as error:
            if force:
                return {}
            what = "not a table of wsss predict, or edited"
            raise IntegrityError(path, what, "delete it, or replace all predictions with --force") from error
        return {row[0]: row for row in rows if row[0]}

    def _own_page(self) -> bool:
        page = self.path / PAGE
        return page.is_file() and PAGE_MARK in page.read_text(encoding="utf-8", errors="replace")

    def _delete(self) -> None:
        (self.path / TABLE).unlink(missing_ok=True)
        if self._own_page():
            (self.path / PAGE).unlink()
        for name in self.rows:
            self.mask(name).unlink(missing_ok=True)
            for kind in (*PICTURES, LABELS):
                self.picture(kind, name).unlink(missing_ok=True)
        (self.path / CHECKSUMS).unlink(missing_ok=True)
        self.rows, self.checksums = {}, {}


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()
