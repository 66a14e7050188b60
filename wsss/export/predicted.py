"""What `wsss predict` has left in a folder, as the writers of labels read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsss.core.errors import IntegrityError, UserError
from wsss.core.log import warn
from wsss.data.codec import open_image, read_file
from wsss.data.index import Record
from wsss.predict.folder import COLUMNS, SETTINGS, Folder

FIX = "make it again: wsss predict … --force"


def is_predicted(path: Path) -> bool:
    """True of such a folder. Raises `UserError` for its masks alone."""
    if path.name == "masks" and (path.parent / SETTINGS).is_file():
        what = "the masks alone, without the names and sizes of their photos"
        raise UserError(path, what, f"give the folder of wsss predict: {path.parent}")
    return (path / SETTINGS).is_file()


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
        """(H, W) uint8 of the photo's own size: class ids."""
        path = self._folder.mask(name)
        label = np.asarray(open_image(read_file(path), path, ("PNG",)))
        if label.shape != self.records[name].own_size or label.max(initial=0) >= len(self.classes):
            what = "is not the mask that wsss predict has written: it has another size, or other classes"
            raise IntegrityError(path, what, FIX)
        return label

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
