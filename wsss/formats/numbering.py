"""By which numbers masks hold the classes, where some are dropped: those of all classes, or those of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

from wsss.core.errors import UserError
from wsss.data.images import voc_palette
from wsss.data.index import BACKGROUND, IGNORE
from wsss.formats.labelmap import IGNORED, LABELMAP, beside, read_labelmap
from wsss.formats.problems import MOST_SHOWN, some
from wsss.formats.raw import is_background

OTHER_COLOUR = -1
"""Stands for the number of a label whose colour is none of VOC's palette."""


def numbered_classes(folder: Path, everything: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    """The classes by the numbers that the masks in `folder` have for them: `everything`, which counts dropped classes,
    or `kept`, if a label map there says so. Both have the background first.

    Raises `UserError` if the label map agrees with neither: masks are read by the colours of VOC's palette.
    """
    path = beside(folder, LABELMAP)
    numbers = _numbers(path) if path else {}
    wrong: list[tuple[str, int]] = []
    for names in (everything, kept):
        places = {IGNORED: IGNORE} | {name: number for number, name in enumerate(names)}
        others = [(name, places[name]) for name, number in numbers.items() if places.get(name, number) != number]
        if not others:
            return tuple(names)
        wrong += others
    name, expected = wrong[0]
    what = f"class {name!r} has the colour of number {numbers[name]}, and is {expected} here"
    if numbers[name] == OTHER_COLOUR:
        own = ",".join(map(str, voc_palette()[expected].tolist()))
        what = f"label {name!r} has another colour than VOC's ({own}), by which masks of a data set are read"
    fix = (
        f"wsss labels to-masks {quote(str(folder))} NEW reads the masks by the names of the labels, and writes the "
        f"folder NEW to put in their place; or, if the masks are by the numbers of the classes, delete {LABELMAP}"
    )
    raise UserError(path or folder, what, fix)


def other_numbers(
    folder: Path,
    everything: Sequence[str],
    kept: Sequence[str],
    masks: Mapping[str, Sequence[int]],
    tags: Mapping[str, Sequence[str]],
    names: int = MOST_SHOWN,
) -> UserError | None:
    """The error where masks, which are read by the numbers of `everything`, fit their photos' tags better by those of
    `kept`: then a dropped class stands for another one, and nothing would score that.

    `masks`: the values in each mask, by photo; `tags`: of each photo, those of dropped classes among them; `names`: how
    many photos are listed.
    """
    first = next((n for n, (a, b) in enumerate(zip(everything, kept, strict=False)) if a != b), len(kept))
    values = {name: [n for n in found if first <= n != IGNORE] for name, found in masks.items()}
    if any(n >= len(kept) for found in values.values() for n in found):
        return None
    shown = {name: found for name, found in values.items() if found}
    fits = [
        sum(classes[n] in tags.get(name, ()) for name, found in shown.items() for n in found)
        for classes in (everything, kept)
    ]
    if fits[1] <= fits[0]:
        return None
    wrong = [name for name, found in shown.items() if any(everything[n] not in tags.get(name, ()) for n in found)]
    what = (
        f"{len(wrong)} masks show what their photos are not tagged with ({some(wrong, names)}), and would fit if they "
        f"counted the classes without dropped ones, as wsss predict and wsss export do: {first} is {everything[first]} "
        f"here, and {kept[first]} without them"
    )
    fix = (
        f"put the {LABELMAP} of their archive beside them, in this folder: it says so (wsss export --to voc writes it)"
    )
    return UserError(folder, what, fix)


def _numbers(path: Path) -> dict[str, int]:
    """The number in VOC's palette of each label's colour, or `OTHER_COLOUR`; the background under its name here."""
    places = {tuple(colour): number for number, colour in enumerate(voc_palette().tolist())}
    labels = [(BACKGROUND if is_background(each.name) else each.name, each.colour) for each in read_labelmap(path)]
    return {name: places.get(colour, OTHER_COLOUR) for name, colour in labels if colour is not None}
