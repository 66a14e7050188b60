"""Which class each colour of masks is: the labels that came with them, by their names."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsss.core.errors import UserError, did_you_mean
from wsss.data.images import voc_palette
from wsss.data.index import BACKGROUND, IGNORE
from wsss.formats.labelmap import IGNORED, LABELMAP, beside, read_labelmap
from wsss.formats.problems import some
from wsss.formats.raw import is_background
from wsss.predict.written import SETTINGS, is_filled

NONE = -1
"""A colour that no pixel has."""
LISTED = 20
"""Classes that an error names; the rest are counted."""


@dataclass(frozen=True)
class MaskLabels:
    """The `names` of the classes, background first; `colours`: (256, 3) of the class ids, or None where nothing came
    with the masks that says so. `foreign`: labels that came with them and are no class, which have the ids from
    `classes` on (background counted); `dropped`: those of them that were one, and whose pixels are background now.
    """

    names: tuple[str, ...]
    colours: npt.NDArray[np.int64] | None = None
    foreign: tuple[str, ...] = ()
    dropped: frozenset[str] = frozenset()

    @property
    def classes(self) -> int:
        """Their number, background counted."""
        return len(self.names)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of all ids that a mask may have, those of foreign labels among them."""
        return (*self.names, *self.foreign)

    @property
    def knows_ignored(self) -> bool:
        """Whether there is a label for 255."""
        return self.colours is not None and bool((self.colours[IGNORE] != NONE).all())

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes that have no label."""
        if self.colours is None:
            return ()
        return tuple(name for number, name in enumerate(self.names) if number and (self.colours[number] == NONE).all())

    def check(self, found: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
        """`found`. Raises `UserError` if it has labels that are no class, and were none."""
        for number, label in enumerate(self.foreign, start=self.classes):
            if label not in self.dropped and number in found:
                what = f"{int((found == number).sum())} pixels have the label {label!r}, which is no class"
                fix = f"give them another label, and export again; or correct the name in {LABELMAP}"
                raise UserError(
                    path, what + did_you_mean(label, self.names), f"{fix} (classes: {some(self.names, LISTED)})"
                )
        return found

    def without_dropped(self, found: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """`found` with background in the place of classes that were dropped, as in masks of a data set."""
        foreign = (found >= self.classes) & (found < len(self.numbers))
        return np.where(foreign, np.uint8(0), found)

    def dropped_pixels(self, found: npt.NDArray[np.uint8]) -> dict[str, int]:
        """By their names, how many pixels of `found` are of classes that were dropped."""
        counts = {label: int((found == number).sum()) for number, label in enumerate(self.numbers)}
        return {label: count for label, count in counts.items() if count and label in self.dropped}


def labels_beside(masks: Path, classes: Sequence[str], dropped: Collection[str] = ()) -> MaskLabels:
    """The labels of the masks in the folder `masks`: by the label map beside them, or by the classes of the network
    whose predictions they are. `dropped`: labels that were classes before.
    """
    if path := beside(masks, LABELMAP):
        lines = [(f"{path}:{line}", name, colour) for line, name, colour in read_labelmap(path)]
    elif is_filled(masks.parent):
        names = {**dict(enumerate(_predicted(masks.parent))), IGNORE: IGNORED}
        lines = [(str(masks.parent), name, tuple(map(int, voc_palette()[k]))) for k, name in names.items()]
    else:
        return MaskLabels(tuple(classes))
    colours, foreign = _by_name(lines, classes)
    return MaskLabels(tuple(classes), colours, foreign, frozenset(dropped) & {*foreign})


def _predicted(folder: Path) -> list[str]:
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return [str(name) for name in json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["classes"]]
    raise UserError(folder / SETTINGS, "does not say which classes the masks are of", "make them again: wsss predict")


def _by_name(
    lines: Iterable[tuple[str, str, tuple[int, ...] | None]], classes: Sequence[str]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The colours of the class ids, and the labels that are no class; `lines`: where a label is named, its name and
    colour. People choose the colours of labels in CVAT: they are found by name.
    """
    colours = np.full((256, 3), NONE, np.int64)
    numbers = {name: number for number, name in enumerate(classes)} | {IGNORED: IGNORE}
    foreign: list[str] = []
    for where, given, colour in lines:
        name = BACKGROUND if is_background(given) else given
        if name not in numbers and len(classes) + len(foreign) < IGNORE:
            numbers[name] = len(classes) + len(foreign)
            foreign.append(name)
        if colour is None or name not in numbers:
            fix = "export again from CVAT, or remove the file: colours are VOC's then"
            raise UserError(where, "not a line of a label map (expected name:r,g,b::)", fix)
        colours[numbers[name]] = colour
    return colours, tuple(foreign)
