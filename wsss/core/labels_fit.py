"""Whether labels that no stage makes, which `distill.labels` names, are of the photos and classes of a data set.

A data set changes after labels of it were corrected: photos come and go, classes are dropped. This is seen in the list
of a store alone, in no time, long before a student learns from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss.core.errors import UserError, WsssError
from wsss.core.folders import STORE_INDEX
from wsss.core.settings_file import read_settings
from wsss.core.words import counted

ALONE = "corrected_alone"
"""Attribute of a store that has labels of those photos alone which were corrected."""
REST = "artifacts/pseudo"
"""What stands in where a photo has no labels there."""
NAMED = 3


@dataclass(frozen=True)
class LabelsFit:
    """Of the labels in `place`: photos of the data set that they lack (`lacking`, of `photos`), photos that they have
    and the data set has not (`gone`), and classes that only the data set has (`added`), or only they (`dropped`).
    `reordered`: the classes are the same ones with other numbers. `again`: the command that brings the labels along to
    the data set, empty if there is none; `alone`: others are meant to be lacking, as they are labels of corrected or of
    train photos alone; `whole`: they must not be mixed with labels of the pipeline.
    """

    place: str
    photos: int
    lacking: tuple[str, ...]
    gone: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    reordered: bool
    again: str
    alone: bool = False
    whole: bool = False

    @property
    def told(self) -> str:
        """What is said where photos differ, and classes do not; empty where nothing has to be said."""
        parts = []
        if self.lacking:
            named = "" if self.alone else f" ({_some(self.lacking)})"
            has = "has" if len(self.lacking) == 1 else "have"
            many = f"{len(self.lacking)} of {counted(self.photos, 'photo')} {has}"
            parts.append(f"{many} no labels there, {REST} stands in{named}")
        if self.gone:
            verb = "is" if len(self.gone) == 1 else "are"
            parts.append(f"{counted(len(self.gone), 'photo')} with labels {verb} gone ({_some(self.gone)})")
        return "; ".join(parts)

    @property
    def other_classes(self) -> bool:
        """Whether the numbers in these labels do not mean what they mean in the data set."""
        return bool(self.added or self.dropped or self.reordered)

    @property
    def changed(self) -> bool:
        """Whether photos have come or gone since these labels were made."""
        return bool(self.gone or (self.lacking and not self.alone))

    def check(self, before: str = "") -> None:
        """Raise `UserError` if no student can learn from them. `before`: what has to run before `again`."""
        fix = f"{before}{self.again}, then train with the command that it prints"
        fix = fix if self.again else "make them again of this data set"
        if self.other_classes:
            parts = [f"without {_some(self.added)}"] if self.added else []
            parts += [f"with {_some(self.dropped)}"] if self.dropped else []
            what = f"has other classes than the data set: {', '.join(parts) if parts else 'in another order'}"
            raise UserError(self.place, what, f"{fix}; or set distill.labels: pseudo")
        if self.whole and self.lacking:
            what = f"has no labels of {counted(len(self.lacking), 'train photo')}: {_some(self.lacking)}"
            raise UserError(self.place, what, fix)


def labels_fit(place: Path, splits: Mapping[str, str], classes: Sequence[str]) -> LabelsFit | None:
    """How the labels in the folder `place` fit the photos with these `splits` by id, and the `classes`, the background
    first; None where there are none that can be read.
    """
    try:
        found = json.loads((place / STORE_INDEX).read_text(encoding="utf-8"))
        known, there = tuple(found["classes"]), {name for shard in found["shards"] for name in shard["ids"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    whole, corrected = bool(found.get("upper_bound")), "edited_sha256" in found
    # A store of what train photos show holds no others by intent.
    wanted = [name for name, split in splits.items() if split == "train" or not whole]
    added = tuple(name for name in classes if name not in known)
    dropped = tuple(name for name in known if name not in classes)
    again = f"wsss labels import {place}" if corrected else "wsss labels import-masks" if whole else ""
    lacking = tuple(sorted({*wanted} - there))
    reordered = not added and not dropped and known != tuple(classes)
    gone = tuple(sorted(there - {*splits}))
    alone = ALONE in found or not any(splits[name] == "train" for name in lacking)
    return LabelsFit(str(place), len(splits), lacking, gone, added, dropped, reordered, again, alone, whole)


def named_labels(params: Path) -> Path | None:
    """The folder that `distill.labels` of the settings at `params` names; None if it names none."""
    try:
        place = read_settings(params)["distill"]["labels"]
    except (WsssError, KeyError, TypeError):
        return None
    return None if place == "pseudo" else Path(str(place))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
