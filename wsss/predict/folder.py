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
from wsss.formats.own_masks import CHECKSUMS
from wsss.predict import written
from wsss.predict.edits import Checksums, checksums_text, read_checksums, refuse_edited
from wsss.predict.least_sure import looks
from wsss.predict.look import SEPARATOR, weight
from wsss.predict.made import LABELS, PICTURES, Made
from wsss.predict.note import NOTE
from wsss.predict.other_settings import changes
from wsss.predict.table import BY_HAND, COLUMNS, CORRECTED, EDITED, Row, parse_row, read_rows, table_text

FORMAT, VERSION = written.FORMAT, 7
BEFORE = (4, 5, 6)
"""The versions whose table had no column `edited`, `split` or `differs`; they can be read, and are written anew."""
SETTINGS, TABLE, PAGE = written.SETTINGS, "predictions.csv", "index.html"

PAGE_MARK = '<meta name="generator" content="wsss predict">'
"""In the page that `report.found_page` writes; an index.html without it is somebody's own."""

WRITE_SECONDS = 10.0
"""The table is written whole at most so often; a killed run repeats the photos since then."""


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
        try:
            found = self._earlier_settings(force=False)
            if found is None or not (self.path / TABLE).is_file():
                raise UserError(self.path, "holds no predictions", "give a folder that wsss predict has filled")
            self.settings, self.rows = found, self._read_table(found["classes"], force=False)
        except IntegrityError as error:  # whose fix is for who writes here
            fix = "copy the folder again, or make it again: wsss predict … --force"
            raise IntegrityError(error.where, error.what, fix) from error
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

    def sha256(self, name: str) -> str:
        """Checksum of the file of photo `name` when it was predicted, empty if it was not."""
        return self.rows[name][COLUMNS.index("sha256")] if name in self.rows else ""

    def size(self, name: str) -> tuple[int, int]:
        """(H, W) of photo `name`, which has a row. Raises `IntegrityError`."""
        try:
            height, width = (int(self.rows[name][COLUMNS.index(side)]) for side in ("height", "width"))
        except ValueError as error:
            raise self._damaged(error) from error
        return height, width

    def known(self, name: str, overlays: bool) -> str:
        """Checksum of the photo whose results are there, empty if they are not. What was shown of an edited mask is no
        result: where the mask is not edited any more, the photo is to be predicted again.
        """
        there = self.mask(name).is_file() and (not overlays or self.has_pictures(name))
        edited = name in self.rows and self.rows[name][EDITED] == BY_HAND
        return self.sha256(name) if there and not edited else ""

    def corrected(self, name: str) -> bool:
        """Whether the mask of photo `name` was written as a person had corrected it before."""
        return name in self.rows and self.rows[name][EDITED] == CORRECTED

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

    def show(self, name: str, areas: Sequence[str], pictures: Mapping[str, bytes]) -> None:
        """Take over what a person has made of the mask of photo `name`: its `areas` by class, as the table has them,
        and the pictures of it. Nobody has to look at it any more; the mask itself stays.
        """
        for kind, picture in pictures.items():
            write_bytes(self.picture(kind, name), picture)
        row = self.rows[name]
        row[COLUMNS.index("look")], row[EDITED], row[len(COLUMNS) :] = "", BY_HAND, areas

    def split(self, splits: Mapping[str, str]) -> None:
        """Take over the `splits` of photos by id, of the project's own data set."""
        for name in self.rows:
            self.rows[name][COLUMNS.index("split")] = splits.get(name, self.rows[name][COLUMNS.index("split")])

    def name_least_sure(self) -> None:
        """Name in the table the photos that the network is least sure of, see `least_sure.looks`."""
        for name, reasons in looks(self.worst_first()).items():
            self.rows[name][COLUMNS.index("look")] = SEPARATOR.join(reasons)
        self.write_table()

    def worst_first(self) -> list[Row]:
        """All rows: by the `weight` of the reasons to look at them, then the least confident first.

        Raises `IntegrityError`.
        """
        try:
            found = [parse_row(row) for row in self.rows.values()]
        except ValueError as error:
            raise self._damaged(error) from error
        return sorted(found, key=lambda row: (-weight(row.look), row.confidence, row.id))

    def write_table(self) -> None:
        """Write all rows, sorted by id, and before them the checksums: none is missing of what has a row."""
        if self.checksums:
            write_text(self.path / CHECKSUMS, checksums_text(self.checksums))
        write_text(self.path / TABLE, table_text(self.rows, self.settings["classes"]))
        self._written = time.monotonic()

    def _damaged(self, error: ValueError) -> IntegrityError:
        what = f"a row cannot be read ({error})"
        return IntegrityError(self.path / TABLE, what, "make it again: wsss predict … --force")

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
            if found["format"] == FORMAT and found["version"] in range(1, BEFORE[0]) and not force:
                what = "made by an earlier wsss: its table has other columns"
                raise IntegrityError(path, what, "choose another -o, or replace it with --force")
            if found.pop("format") != FORMAT or found.pop("version") not in (*BEFORE, VERSION):
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
            return read_rows(path, classes)
        except (ValueError, csv.Error) as error:
            if force:
                return {}
            what = "not a table of wsss predict, or edited"
            raise IntegrityError(path, what, "delete it, or replace all predictions with --force") from error

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
        for name in (CHECKSUMS, NOTE):
            (self.path / name).unlink(missing_ok=True)
        self.rows, self.checksums = {}, {}
