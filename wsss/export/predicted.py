"""What `wsss predict` has left in a folder, as the writers of labels read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.core.errors import IntegrityError, UserError
from wsss.core.log import warn
from wsss.data.images import load_mask
from wsss.data.index import Record
from wsss.predict.folder import SETTINGS, TABLE, Folder
from wsss.predict.table import COLUMNS
from wsss.predict.written import MASKS, is_filled

FIX = "make it again: wsss predict … --force"


def is_predicted(path: Path) -> bool:
    """True of such a folder, whole or damaged; another one may have a `settings.json` as well. Raises `UserError` for
    its masks alone.
    """
    if path.name == MASKS and is_predicted(path.parent):
        what = "the masks alone, without the names and sizes of their photos"
        raise UserError(path, what, f"give the folder of wsss predict: {path.parent}")
    damaged = (path / SETTINGS).is_file() and ((path / MASKS).is_dir() or (path / TABLE).is_file())
    return is_filled(path) or damaged


class Predicted:
    """Masks of photos by id; read access like that of a store. `records` says what the photos' files are called,
    `rows` what the table says of them, `settings` what the masks were made with.

    Warns where a run of `wsss predict` has not come to its end. Raises `UserError` if `path` is no folder of
    predictions, `IntegrityError` if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = Folder(path, {})
        self._folder.read()
        self.classes: tuple[str, ...] = tuple(self._folder.settings["classes"])
        self.settings = {name: value for name, value in self._folder.settings.items() if name != "classes"}
        self.rows = self._folder.worst_first()
        if (done := len(self.rows)) < self._folder.wanted:
            what = f"{done} of {self._folder.wanted} photos: wsss predict still runs, or was interrupted"
            warn(path, what, "wait for it; or, if it does not run, give the same wsss predict again: it goes on")
        try:
            self.records = {name: self._record(row) for name, row in self._folder.rows.items()}
        except ValueError as error:
            raise IntegrityError(path, f"a row of its table cannot be read ({error})", FIX) from error

    @property
    def ids(self) -> tuple[str, ...]:
        """All photo ids, sorted."""
        return tuple(sorted(self.records))

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8 of the photo's own size: class ids; 255 where a person has ignored pixels.

        Raises `IntegrityError` for a mask that is missing or damaged, or of another size or other classes.
        """
        path = self._folder.mask(name)
        if not path.exists():
            raise IntegrityError(path, "is missing", "give the same wsss predict again: it makes what is missing")
        try:
            return load_mask(path, self.records[name].own_size, len(self.classes))
        except UserError as error:
            fix = "correct the mask; or move it elsewhere, and give the same wsss predict again"
            raise IntegrityError(path, error.what, fix) from error

    def edited(self, name: str) -> bool:
        """True if a person has changed the mask of photo `name` since `wsss predict` wrote it."""
        return bool(self._folder.edited([name]))

    def corrected(self, name: str) -> bool:
        """True if a person had corrected the mask of photo `name` before `wsss predict` wrote it as it was."""
        return self._folder.corrected(name)

    @staticmethod
    def _record(row: list[str]) -> Record:
        named = dict(zip(COLUMNS, row, strict=False))
        return Record(
            id=named["id"],
            split="predicted",
            image=named["photo"],
            mask=None,
            tags=(),
            height=int(named["height"]),
            width=int(named["width"]),
            sha256=named["sha256"],
        )
