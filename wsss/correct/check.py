"""Whether a label that a correction method returns is one: a method of one's own is told here what it did wrong."""

from __future__ import annotations

import numpy as np

from wsss.core.errors import UserError
from wsss.correct.method import Labelled
from wsss.data.index import IGNORE, Record


def check(made: Labelled, method: str, record: Record, image: np.ndarray, classes: int) -> None:
    """Raises `UserError` unless `made`, of the photo `record` with the pixels `image` (H, W, 3), is a `Labelled`.

    `classes`: how many there are, with the background.
    """
    size = image.shape[:2]
    for name, array, dtype in (
        ("label", made.label, np.uint8),
        *((f"before[{name!r}]", each, np.uint8) for name, each in made.before.items()),
        ("confidence", made.confidence, np.float32),
    ):
        if array.shape != size or array.dtype != dtype:
            found = f"{array.dtype} {array.shape}, expected {np.dtype(dtype)} {size}, the size of the photo"
            raise _wrong(method, record, f"{name} is {found}")
    for number in np.unique(made.label).tolist():
        if number >= classes and number != IGNORE:
            what = f"label has the value {number}, expected 0 to {classes - 1}, the classes, or {IGNORE}, ignored"
            raise _wrong(method, record, what)
    low, high = float(made.confidence.min()), float(made.confidence.max())
    if not (low >= 0 and high <= 1):  # so is NaN
        raise _wrong(method, record, f"confidence lies between {low:g} and {high:g}, expected 0 to 1")


def _wrong(method: str, record: Record, what: str) -> UserError:
    fix = "correct what the method returns: correct.method.Labelled says what it has to be"
    return UserError(f"correct.method {method}", f"photo {record.id}: {what}", fix)
