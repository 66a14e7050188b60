"""The state of `wsss tag`: photos, classes, tags and undo. Every step is on the disk before it is acknowledged."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError, did_you_mean
from wsss.core.log import warn
from wsss.formats.columns import Headings
from wsss.formats.guess import CLASS_FILES, TAG_FILES, WORKBOOKS, mask_folder, only
from wsss.formats.raw import list_pictures
from wsss.tag.classes import ClassList, class_file, spelt_alike
from wsss.tag.copied import open_table
from wsss.tag.table import UNNAMED

STEPS = 1000
"""Steps that can be undone."""
_WHICH = "say which with --tags NAME"
Tags = tuple[str, ...] | None
"""Of a photo: None, not tagged yet; empty, it shows no class."""


@dataclass(frozen=True)
class Photo:
    """A photo: `id` as everywhere, and its path below the folder."""

    id: str
    image: str


@dataclass(frozen=True)
class Change:
    """The class `name` set `on` or off for some photos, by number; None for a name: marked as of no class, or not."""

    photos: tuple[int, ...]
    name: str | None
    on: bool


class Session:
    """The photos of a folder and their tags. Its methods may be called from any thread.

    `named`: the columns of the table, where a person names them; `version` grows with every step. Raises `UserError`
    if there are no photos, or if the table or the list of classes is not one that can be continued.
    """

    def __init__(
        self, folder: Path, tags: Path | None = None, classes: Path | None = None, named: Headings = UNNAMED
    ) -> None:
        self.folder = folder
        table = tags or folder / (only(folder, TAG_FILES, _WHICH) or TAG_FILES[0])
        if tags is None and not table.exists() and (book := only(folder, WORKBOOKS, _WHICH)):
            table = folder / book
        problems: list[UserError] = []
        masks = mask_folder(folder)
        listing = list_pictures(folder, problems, skip=folder / masks if masks else None)
        listing.warn_foreign()
        self.photos: list[Photo] = []
        for name in sorted(listing.paths):
            try:
                self.photos.append(Photo(name, listing.one(name)))
            except UserError as error:
                problems.append(error)
        for problem in problems:
            warn(problem.where, f"left out: {problem.what}", problem.fix)
        if not self.photos:
            raise UserError(folder, "no photo found (expected JPEG, PNG, WEBP, BMP or TIFF)", "give the photos' folder")
        self._table = open_table(table, listing, named)
        own = folder / (only(folder, CLASS_FILES, "rename the one that does not list the classes") or CLASS_FILES[0])
        place, read = classes or own, self._table.source or self._table.path
        given = spelt_alike(self._table.tags(), class_file(place) or self._table.classes, read)
        used = (tag for tags in given.values() for tag in tags)
        self.classes = ClassList(place, (*self._table.classes, *used), read)
        self._refuse_unknown(given)
        self._tags: list[Tags] = [given.get(photo.id) for photo in self.photos]
        self._undo: deque[dict[int, Tags]] = deque(maxlen=STEPS)
        self._turn = threading.Lock()
        self.version = 0

    @property
    def path(self) -> Path:
        """The table."""
        return self._table.path

    @property
    def source(self) -> Path | None:
        """The table that `path` began with and that stays as it is; None if there is none."""
        return self._table.source

    def keep(self) -> None:
        """Have the tags on the disk that a table of another form gave."""
        with self._turn:
            if self._table.written is None and self._table.places:
                self._table.write()

    def tags(self) -> list[Tags]:
        """Of all photos, by number."""
        with self._turn:
            return list(self._tags)

    def counts(self) -> tuple[int, dict[str, int]]:
        """How many photos have an answer, and photos by class."""
        found = self.tags()
        tagged = Counter(tag for tags in found if tags for tag in tags)
        return sum(tags is not None for tags in found), {name: tagged[name] for name in self.classes.names}

    @property
    def undoable(self) -> int:
        """Steps that `undo` can take back."""
        return len(self._undo)

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Make `changes`, one step together; the photos that are different now. `UserError` if one cannot be made."""
        with self._turn:
            new: dict[int, Tags] = {}
            for change in changes:
                for number in change.photos:
                    if not 0 <= number < len(self.photos):
                        raise UserError("photo", f"no number {number} (there are {len(self.photos)})", "load the page")
                    new[number] = self._after(number, new.get(number, self._tags[number]), change)
            different = {number: tags for number, tags in new.items() if tags != self._tags[number]}
            before = {number: self._tags[number] for number in different}
            self._save(different)
            if before:
                self._undo.append(before)
            return sorted(different)

    def undo(self) -> list[int]:
        """Take the last step back; the photos that are different now, none if there is no step."""
        with self._turn:
            if not self._undo:
                return []
            before = self._undo[-1]
            self._save(before)
            self._undo.pop()
            return sorted(before)

    def add_class(self, text: str) -> str:
        """A new class, on the disk as well; its name."""
        with self._turn:
            name = self.classes.add(text)
            self.version += 1
            return name

    def _after(self, number: int, tags: Tags, change: Change) -> Tags:
        if change.name is None:
            return () if change.on else self._nothing(number)
        if change.name not in self.classes.names:
            hint = did_you_mean(change.name, self.classes.names)
            raise UserError("class", f"there is no class {change.name!r}{hint}", "add it first")
        rest = tuple(tag for tag in tags or () if tag != change.name)
        if change.on:
            return tuple(tags or ()) if change.name in (tags or ()) else (*rest, change.name)
        return rest or (self._nothing(number) if tags else tags)

    def _nothing(self, number: int) -> Tags:
        """Not tagged; but of no class where the photo's row has more than tags and so must stay."""
        name = self.photos[number].id
        return () if name in self._table.places and self._table.has_more(name) else None

    def _save(self, new: dict[int, Tags]) -> None:
        """Have `new` in the table; where that fails, table and state are as before."""
        old = {number: self._tags[number] for number in new}
        if not new:
            return
        try:
            self._put(new)
            self._table.write()
        except BaseException:
            self._put(old)
            raise
        for number, tags in new.items():
            self._tags[number] = tags
        self.version += 1

    def _put(self, new: dict[int, Tags]) -> None:
        for number, tags in new.items():
            self._table.put(self.photos[number].id, self.photos[number].image, tags)

    def _refuse_unknown(self, given: dict[str, tuple[str, ...]]) -> None:
        for name, tags in given.items():
            for tag in tags:
                if tag not in self.classes.names:
                    what = f"unknown class {tag!r}{did_you_mean(tag, self.classes.names)}"
                    raise UserError(self._table.line(name), what, f"correct the row, or add it to {self.classes.path}")


def parse_changes(given: object) -> list[Change]:
    """Changes as the page sends them. Raises `UserError` if they are something else."""
    try:
        return [_change(each) for each in _list(given)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("request", f"no list of changes ({error!r})", "load the page again") from error


def _change(given: object) -> Change:
    if not isinstance(given, dict):
        raise TypeError(type(given).__name__)
    name, on = given["class"], given["on"]
    if not (name is None or isinstance(name, str)) or not isinstance(on, bool):
        raise TypeError("class or on")
    return Change(tuple(_numbers(_list(given["photos"]))), name, on)


def _list(given: object) -> list[object]:
    if not isinstance(given, list):
        raise TypeError(type(given).__name__)
    return given


def _numbers(given: Iterable[object]) -> Iterable[int]:
    for each in given:
        if type(each) is not int:
            raise TypeError("a photo that is no number")
        yield each
