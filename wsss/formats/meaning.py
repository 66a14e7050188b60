"""Masks whose values mean something else than they are read as: 255 is *ignored* here, and an object or the background
where masks come as black and white.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wsss.core.errors import UserError
from wsss.data.index import IGNORE, Record
from wsss.formats.problems import MOST_SHOWN, some

Values = Mapping[str, Sequence[int]]
"""By id of a photo with a mask: the values that the mask holds, rising, 255 among them."""


def objects_of_255(
    folder: Path, classes: Sequence[str], records: Sequence[Record], values: Values, names: int = MOST_SHOWN
) -> UserError | None:
    """The error where no mask shows a class, and masks of tagged photos are of 0 and 255: nothing would be scored but
    background. `classes` has the background first; `names`: how many photos are listed.
    """
    black_and_white = _black_and_white(records, values)
    if not black_and_white or any(0 < value < IGNORE for found in values.values() for value in found):
        return None
    ids = ", ".join(f"{number} {name}" for number, name in enumerate(classes[1:4], start=1))
    what = (
        f"no mask shows a class, and {len(black_and_white)} hold 0 and 255 ({some(black_and_white, names)}): "
        "255 is read as 'ignore'"
    )
    return UserError(folder, what, f"write class ids in place of 255 ({ids}{' …' if len(classes) > 4 else ''})")


def doubtful_255(split: str, records: Sequence[Record], values: Values) -> Iterator[tuple[str, str]]:
    """Warnings, each with its fix, about the masks of `records`, the photos of one split with masks."""
    black_and_white = _black_and_white(records, values)
    # A photo of nothing but a crowd has such a mask by right.
    if 2 * len(black_and_white) > sum(bool(record.tags) for record in records):
        yield (
            f"{split} masks of 0 and 255 without a class: {some(black_and_white)}; 255 is read as 'ignore'",
            "write class ids in place of 255, if it stands for objects",
        )
    found = [values[record.id] for record in records]
    if any(len(each) > 1 and IGNORE in each for each in found) and not any(0 in each for each in found):
        yield (
            f"no {split} mask shows background (0): what is 255 in them is ignored, and nothing outside objects scores",
            "write 0 in place of 255, if it stands for background",
        )


def _black_and_white(records: Sequence[Record], values: Values) -> list[str]:
    return [record.id for record in records if record.tags and list(values.get(record.id, ())) == [0, IGNORE]]
