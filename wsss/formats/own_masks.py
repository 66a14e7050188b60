"""Masks of a data set that no person has made: they are still as `wsss export` or `wsss predict` wrote them.

A network that is scored with its own masks agrees with itself, whatever it shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from wsss.data.origins import HAND, ORIGINS, read_origins
from wsss.formats.labelmap import beside
from wsss.formats.problems import Finding, some

CHECKSUMS = "masks.json"
"""The file of `wsss predict` beside its folder of masks: by photo, a checksum of the mask's file, and its `digest`."""


def digests_as_written(folder: Path) -> dict[str, str]:
    """By photo, the digest of each mask in `folder` as wsss wrote it, those that were a person's left out. Empty where
    no list of theirs is there, or none that can be read.
    """
    found: dict[str, str] = {}
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
        listed = json.loads((folder.parent / CHECKSUMS).read_text(encoding="utf-8"))
        found = {name: str(both[1]) for name, both in listed.items()}
    if path := beside(folder, ORIGINS):
        found |= {name: each.digest for name, each in read_origins(path.parent).items() if each.kind != HAND}
    return found


def as_written(folder: Path, masks: Mapping[str, tuple[str, str]]) -> list[str]:
    """Ids of the photos whose masks nobody has changed since wsss wrote them. `masks`: by id, the path of each below
    `folder` and the digest of what it shows. In the lists a mask has the name that it was written with, or its photo's.
    """
    written = digests_as_written(folder)
    return [
        name
        for name, (path, digest) in masks.items()
        if digest in (written.get(name), written.get(str(PurePosixPath(path).with_suffix(""))))
    ]


def own_masks(names: Sequence[str], masks: int) -> list[Finding]:
    """What to say where `masks` photos have a mask, and those of the photos `names` are `as_written`."""
    if not names:
        return []
    what = (
        f"{len(names)} of {masks} masks are a network's own, as wsss has written them, and nobody has edited them: "
        f"{some(names)}; they are no truth, and scores on them say how far networks agree with each other"
    )
    fix = (
        "correct them, or move them out of the folder of masks; if a person has looked at each of them and found it "
        f"right, copy the masks, without {ORIGINS} and {CHECKSUMS}, to another folder, and set dataset.masks to that"
    )
    return [Finding(what, fix)]
