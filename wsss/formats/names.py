"""Which photo a name in a list means: by path or unique base name, with or without extension."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from wsss.core.errors import UserError
from wsss.core.packages import HEIC_FIX
from wsss.data.ids import HEIC_SUFFIXES, clean_id
from wsss.formats.cells import is_slip
from wsss.formats.problems import some
from wsss.formats.raw import Listing


class NoPhoto(UserError):  # noqa: N818 -- as the other errors here
    """A name that is not even nearly that of a photo."""


class Names:
    """The photos of a folder by everything that a list may call them."""

    def __init__(self, photos: Listing) -> None:
        self.photos = photos
        self.by_base: dict[str, list[str]] = {}
        self._folded: dict[str, str] = {}
        self._unpadded: dict[str, str] = {}
        for name in photos.paths:
            self.by_base.setdefault(PurePosixPath(name).name, []).append(name)
        keys = [(name, name) for name in photos.paths] + [(base, names[0]) for base, names in self.by_base.items()]
        for key, name in keys:
            self._folded.setdefault(key.casefold(), name)
            self._unpadded.setdefault(_unpadded(key.casefold()), name)

    def find(self, text: str, where: str, entry: str) -> str:
        """Id of the photo that `text` names. Raises `UserError` at `where`, of the `entry` ``line 7``."""
        for written in spellings(text):
            name = clean_id(written, where)
            for candidate in (name, name.removeprefix(f"{self.photos.folder.name}/")):
                if candidate in self.photos.paths:
                    return candidate
            matches = self.by_base.get(name, [])
            if len(matches) > 1:
                what = f"{written!r} names {len(matches)} photos ({', '.join(matches[:3])})"
                raise UserError(where, what, f"edit {entry}: write the path below {self.photos.folder}")
            if matches:
                return matches[0]
        raise self.missing(text, where, entry)

    def missing(self, text: str, where: str, entry: str) -> UserError:
        """What to say where no photo has the name `text`."""
        near = self.near(text)
        what = f"no photo {text!r} below {self.photos.folder}"
        if near:
            hint = f"{what} (there is {self.photos.paths[near][0]!r})"
            if self.lost_zeros(text):
                return UserError(where, hint, f"edit {entry}: zeros at the beginning of a number count")
            return UserError(where, hint, f"edit {entry}: capital and small letters are not the same")
        foreign = self.photos.foreign.get(unicodedata.normalize("NFC", text.strip()))
        if foreign:
            heic = PurePosixPath(foreign).suffix.lower() in HEIC_SUFFIXES
            fix = HEIC_FIX if heic else "convert the photo to JPEG or PNG"
            return UserError(where, f"{foreign!r} is in a format that is not read", fix)
        return NoPhoto(where, what, f"add the photo, or delete {entry}")

    def near(self, text: str) -> str:
        """Id of the photo whose name differs from `text` in capital letters or in leading zeros only; else nothing."""
        for written in reversed(spellings(text)):
            key = stem(written).casefold()
            if found := self._folded.get(key) or self._unpadded.get(_unpadded(key)):
                return found
        return ""

    def slips(self, texts: Iterable[str], free: Iterable[str]) -> dict[str, str]:
        """By text, the photo that it may mean: the one of `free` with the same letters and digits (``IMG2122`` for
        ``IMG_2122``), else the one that a slip of the fingers leads to. Texts that fit none, or several, are left out.
        """
        names: dict[str, list[str]] = {}
        for name in free:
            names.setdefault(_letters(name), []).append(name)
        found = {}
        for text in texts:
            key = _letters(stem(spellings(text)[-1]))
            near = names.get(key) or [name for other, each in names.items() if is_slip(key, other) for name in each]
            if len(near) == 1:
                found[text] = near[0]
        return found

    def lost_zeros(self, text: str) -> bool:
        """True if the photo that `text` nearly names has zeros that `text` lacks: ``1`` for ``001``."""
        keys = {stem(written).casefold() for written in spellings(text)}
        return bool(self.near(text)) and not keys & {*self._folded}

    def without_zeros(self, texts: list[str], where: str) -> UserError:
        """One error for all names that have lost their zeros."""
        pairs = [f"{text!r} for {self.photos.paths[self.near(text)][0]!r}" for text in texts]
        what = f"{len(texts)} names lack the zeros at the beginning of a number, as spreadsheets drop them"
        fix = "write the names as the files are called; in a spreadsheet, in a column of the type text"
        return UserError(where, f"{what}: {some(pairs)}", fix)

    def none_found(self, texts: list[str], where: str) -> UserError:
        """One error for a list of which no name is that of a photo."""
        first = next(iter(self.photos.paths.values()))[0]
        what = f"none of {len(texts)} names is that of a photo below {self.photos.folder}: {some(map(repr, texts))}"
        return UserError(where, what, f"write names as the photos have them, such as {first!r}; or correct the folder")


def spellings(text: str) -> list[str]:
    """A name as written; without the blanks around it; and as Windows writes a path."""
    return list(dict.fromkeys((text, text.strip(), text.strip().replace("\\", "/"))))


def stem(text: str) -> str:
    """The id that `text` would be, or `text` itself where it can be none."""
    try:
        return clean_id(text, "")
    except UserError:
        return text


def _letters(name: str) -> str:
    """Letters and digits of the file's name."""
    return "".join(filter(str.isalnum, PurePosixPath(name).name.casefold()))


def _unpadded(name: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", name)
