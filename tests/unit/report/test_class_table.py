"""IoU of each class by step, and the step that a class was lost at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsss.report.class_table import ClassTable, class_table, step_to_look_at
from wsss.report.swatch import make_swatch

CLASSES = ("background", "cow", "hat")
LEGEND = [make_swatch(number, CLASSES) for number in range(len(CLASSES))]
STEPS = ("CAM", "pseudo-label", "relabelling", "student")


def table(folder: Path, text: str) -> ClassTable | None:
    (folder / "per_class.csv").write_text(text)
    return class_table(folder, LEGEND)


@pytest.mark.parametrize(
    ("ious", "step"),
    [
        ((0.5, 0.6, 0.6, 0.7), ""),
        ((0.6, 0.2, 0.2, 0.1), "pseudo-label"),
        ((0.4, 0.6, 0.29, 0.2), "relabelling"),
        ((0.4, 0.6, 0.5, 0.2), "student"),
        ((0.6, 0.2, 0.3, 0.5), ""),  # a fall that the student made good
        ((0.1, 0.1, 0.1, 0.24), "CAM"),  # less than half of the others, and never better
        ((0.1, 0.1, 0.1, 0.26), ""),
        ((0.1, np.nan, np.nan, np.nan), ""),
        ((0.6, np.nan, np.nan, 0.2), "student"),
        ((0.0, 0.0, 0.0, 0.0), "CAM"),
    ],
)
def test_the_step_that_a_class_was_lost_at(ious: tuple[float, ...], step: str) -> None:
    assert step_to_look_at(np.array(ious), STEPS, 0.5) == step


def test_a_class_in_no_mask_has_no_score(tmp_path: Path) -> None:
    pixels = "background,background,9,1.0\ncow,cow,0,0.0\nhat,hat,2,1.0\n"
    (tmp_path / "confusion.csv").write_text(f"actual,predicted,pixels,share\n{pixels}")
    found = table(tmp_path, "class,cam,student\nbackground,0.4,0.6\ncow,0.0,0.0\nhat,0.5,0.4\n")
    assert found is not None
    assert [(row.swatch.name, row.ious, row.look) for row in found.rows] == [
        ("hat", (0.5, 0.4), ""),
        ("background", (0.4, 0.6), ""),
        ("cow", (None, None), ""),
    ]


def test_the_weakest_class_comes_first_and_unscored_ones_last(tmp_path: Path) -> None:
    text = "class,raw cam,cam,pseudo-label,oste,student,student ms+flip\nbackground,,0.4,0.5,,0.6,0.7\n"
    found = table(tmp_path, f"{text}cow,,0.3,0.4,,0.2,\nhat,,0.5,0.4,,0.3,0.2\n")
    assert found is not None
    assert found.steps == (("CAM", ""), ("Pseudo-label", "label 1"), ("Student", "iou 1"))
    assert [(row.swatch.name, row.ious, row.look) for row in found.rows] == [
        ("hat", (0.5, 0.4, 0.2), "student"),
        ("background", (0.4, 0.5, 0.7), ""),
        ("cow", (0.3, 0.4, None), ""),
    ]


def test_without_masks_there_is_no_table(tmp_path: Path) -> None:
    assert table(tmp_path, "class\nbackground\ncow\n") is None
    assert table(tmp_path, "class,cam\n") is None


def test_before_there_is_a_student_the_last_step_counts(tmp_path: Path) -> None:
    found = table(tmp_path, "class,cam\nbackground,0.9\nhat,0.1\n")
    assert found is not None
    assert [(row.swatch.name, row.look) for row in found.rows] == [("hat", "CAM"), ("background", "")]
