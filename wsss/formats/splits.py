"""Words that say a split: in a table's cells, in the names of lists and of folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Split by the word for it, in small letters."""
EXPECTED = "expected train, val or test"

_WORDS = "data dataset image images img imgs label labels photo photos picture pictures set split"
_PLAIN = frozenset(_WORDS.split())
"""Words that may stand beside it in the name of a folder; with others, `crash test`, it may mean something else."""


def split_of_list(name: str) -> str:
    """``train`` for ``instances_Train2014``: the one split that the words of a list's name say; else nothing."""
    found = {SPLITS[word] for word in _words(name) if word in SPLITS}
    return found.pop() if len(found) == 1 else ""


def split_of_folder(path: str) -> str:
    """The split that the folders of the photo at relative `path` say, the innermost first; else nothing."""
    for part in reversed(PurePosixPath(path).parts[:-1]):
        if {*_words(part)} <= {*SPLITS, *_PLAIN} and (found := split_of_list(part)):
            return found
    return ""


def is_plain_folder(name: str) -> bool:
    """True for a folder whose name says a split, or only that it holds photos: ``val_images``, ``photos``."""
    words = {*_words(name)}
    return bool(words) and words <= {*SPLITS, *_PLAIN}


def folder_splits(paths: Iterable[str]) -> dict[str, str]:
    """Splits by path, of the photos in folders whose names say one.

    None if all of these say ``train``: from such photos a split may be drawn, and a folder of trains is no split.
    """
    found = {path: split for path in paths if (split := split_of_folder(path))}
    return found if {"val", "test"} & {*found.values()} else {}


def _words(name: str) -> list[str]:
    return [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[^\W\d_A-Za-z]+", name)]
