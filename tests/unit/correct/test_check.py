"""What a correction method may not return is told with the method and the photo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wsss.core.errors import UserError
from wsss.correct.check import check
from wsss.correct.method import Labelled
from wsss.data.index import Record

SIZE, CLASSES = (4, 6), 3
IMAGE = np.zeros((*SIZE, 3), np.uint8)
LABEL = np.array([[0, 1, 2, 255, 0, 0]] * 4, np.uint8)
GOOD = Labelled(LABEL, np.linspace(0, 1, 24, dtype=np.float32).reshape(SIZE), {"fixed": LABEL})
RECORD = Record("cows/a", "train", "cows/a.jpg", None, (1,), *SIZE, "")


def test_a_label_as_it_should_be_passes() -> None:
    check(GOOD, "mine", RECORD, IMAGE, CLASSES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": LABEL[:2]}, "label is uint8 (2, 6), expected uint8 (4, 6), the size of the photo"),
        ({"label": LABEL.astype(np.int64)}, "label is int64 (4, 6), expected uint8 (4, 6)"),
        ({"label": LABEL + np.uint8(9)}, "label has the value 8, expected 0 to 2, the classes, or 255, ignored"),
        ({"before": {"fixed": LABEL[:, :3]}}, "before['fixed'] is uint8 (4, 3)"),
        ({"confidence": GOOD.confidence * 3}, "confidence lies between 0 and 3, expected 0 to 1"),
        ({"confidence": GOOD.confidence * np.float32("nan")}, "confidence lies between nan and nan"),
        ({"confidence": GOOD.confidence.astype(float)}, "confidence is float64 (4, 6), expected float32"),
    ],
)
def test_anything_else_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        check(replace(GOOD, **change), "mine", RECORD, IMAGE, CLASSES)
    assert caught.value.where == "correct.method mine"
    assert caught.value.what.startswith("photo cows/a: ")
    assert said in caught.value.what
