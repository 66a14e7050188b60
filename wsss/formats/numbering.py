"""By which numbers masks hold the classes, where some are dropped: those of all classes, or those of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsss.core.errors import UserError
from wsss.data.images import voc_palette
from wsss.data.index import IGNORE
from wsss.formats.problems import MOST_SHOWN, some
from wsss.formats.raw import is_background, read_text

LABELMAP = "labelmap.txt"
"""The file in which CVAT and `wsss export` say which label has which colour."""
EXPORTED = "SegmentationClass"
"""The folder of masks in their archives, beside the label map."""


def numbered_classes(folder: Path, everything: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    """The classes by the numbers that the masks in `folder` have for them: `everything`, which counts dropped classes,
    or `kept`, if a label map there says so. Both have the background first.

    Raises `UserError` if the label map agrees with neither: masks are read by the colours of VOC's palette.
    """
    path = next((place for place in _places(folder) if place.is_file()), folder)
    numbers = _numbers(path) if path != folder else {}
    wrong: list[str] = []
    for names in (everything, kept):
        places = {name: number for number, name in enumerate(names)}
        wrong.append(next((name for name, number in numbers.items() if places.get(name, number) != number), ""))
        if not wrong[-1]:
            return tuple(names)
    what = (
        f"class {wrong[0]!r} has the colour of number {numbers[wrong[0]]}, and is {[*everything].index(wrong[0])} here"
    )
    listed = some(sorted(numbers, key=lambda name: numbers[name]), 20)
    fix = f"list the classes in the order of the masks in a file, and set dataset.classes to it ({listed})"
    raise UserError(path, what, fix)


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


def _places(folder: Path) -> list[Path]:
    return [folder / LABELMAP, *([folder.parent / LABELMAP] if folder.name == EXPORTED else [])]


def _numbers(path: Path) -> dict[str, int]:
    """The number of each label whose colour is one of VOC's palette; lines are ``name:r,g,b::``."""
    places = {tuple(colour): number for number, colour in enumerate(voc_palette().tolist())}
    found = {}
    for line in read_text(path).splitlines():
        name, _, rest = line.partition(":")
        if name.startswith("#") or is_background(name):
            continue
        try:
            colour = tuple(int(part) for part in rest.partition(":")[0].split(","))
        except ValueError:
            continue
        if 0 < places.get(colour, 0) < IGNORE:
            found[name.strip()] = places[colour]
    return found
