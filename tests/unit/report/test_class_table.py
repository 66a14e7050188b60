"""IoU of each class by step, and the step that a class was lost at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wsss.report.class_table import ClassTable, class_table, doubtful_below, lost_at
from wsss.report.swatch import make_swatch
from wsss.report.wrong_pixels import wrong_pixels

CLASSES = ("background", "cow", "hat")
LEGEND = [make_swatch(number, CLASSES) for number in range(len(CLASSES))]


def table(folder: Path, text: str) -> ClassTable | None:
    (folder / "per_class.csv").write_text(text)
    return class_table(folder, LEGEND)


def write_confusion(folder: Path, *rows: tuple[str, str, int]) -> None:
    text = "".join(f"{actual},{predicted},{pixels},0\n" for actual, predicted, pixels in rows)
    (folder / "confusion.csv").write_text(f"actual,predicted,pixels,share\n{text}")


@pytest.mark.parametrize(
    ("ious", "step"),
    [
        ((0.5, 0.6, 0.6, 0.7), None),
        ((0.6, 0.2, 0.2, 0.1), 1),
        ((0.4, 0.6, 0.29, 0.2), 2),
        ((0.4, 0.6, 0.5, 0.2), 3),
        ((0.6, 0.2, 0.3, 0.5), None),  # a fall that the student made good
        ((0.6, 0.2, 0.5, 0.3), 3),  # one that was made good, and another one
        ((0.1, 0.1, 0.1, 0.24), 0),  # never good enough
        ((0.1, 0.1, 0.1, 0.4), None),
        ((0.1, np.nan, np.nan, np.nan), None),
        ((0.6, np.nan, np.nan, 0.2), 3),
        ((np.nan, 0.3, 0.2, 0.1), 1),
        ((0.0, 0.0, 0.0, 0.0), 0),
    ],
)
def test_the_step_that_a_class_was_lost_at(ious: tuple[float, ...], step: int | None) -> None:
    assert lost_at(np.array(ious), 0.4) == step


def test_a_class_is_doubtful_below_a_limit_or_half_of_the_mean() -> None:
    assert (doubtful_below(0.5), doubtful_below(0.9)) == (0.4, 0.45)


def test_what_became_of_the_pixels_of_a_class(tmp_path: Path) -> None:
    assert wrong_pixels(tmp_path) == {}
    write_confusion(tmp_path)
    assert wrong_pixels(tmp_path) == {}
    rows = [("background", "background", 50), ("background", "cow", 30), ("hat", "cow", 10), ("cow", "cow", 8)]
    write_confusion(tmp_path, *rows, ("cow", "background", 2), ("hat", "hat", 5), ("hat", "unlabelled", 15))
    found = wrong_pixels(tmp_path)
    assert (found["cow"].precision, found["cow"].recall) == (8 / 48, 0.8)
    cow = "paints 4.8 times its area and finds 80\u00a0% of it; 75\u00a0% of its false pixels are background"
    hat = "paints 0.17 times its area and finds 17\u00a0% of it; 60\u00a0% of what it misses became unlabelled"
    assert (found["cow"].words, found["hat"].words) == (cow, hat)
    write_confusion(tmp_path, ("background", "background", 5), ("hat", "background", 5), ("cow", "cow", 0))
    nothing = wrong_pixels(tmp_path)
    assert nothing["hat"].words == "paints none of its pixels; 100\u00a0% of them became background"
    assert (nothing["hat"].precision, nothing["cow"].recall, nothing["cow"].words) == (None, None, "")


def test_a_doubtful_class_is_told_why_it_is_weak(tmp_path: Path) -> None:
    write_confusion(tmp_path, ("background", "background", 8), ("background", "cow", 2), ("cow", "cow", 2))
    text = "class,cam,cam oracle,pseudo-label,oste,student\nbackground,0.3,0.7,0.6,0.1,0.8\n"
    found = table(tmp_path, f"{text}cow,0.2,0.5,0.3,0.1,0.35\nhat,0.1,0.3,0.2,0.1,0.1\n")
    assert found is not None
    assert found.steps[1] == ("CAM, oracle", "")
    why = {row.name: row.why.replace("\u00a0", " ") for row in found.rows}
    assert why == {
        "hat": "Lost at the CAM: IoU 30.0 % at the one threshold for all classes that is best for mIoU (oracle), "
        "better here than the fixed one.",
        "cow": "Lost at the pseudo-label: IoU 30.0 %, after 50.0 % at the CAM at the oracle's threshold. "
        "The student paints 2.0 times its area and finds 100 % of it; 100 % of its false pixels are background.",
        "background": "",  # a low fixed threshold loses nothing where the other is good
    }


def test_the_cam_of_a_class_is_the_better_of_its_thresholds(tmp_path: Path) -> None:
    text = "class,cam,cam oracle,pseudo-label,student\nbackground,0.3,0.7,0.6,0.8\n"
    found = table(tmp_path, f"{text}cow,0.5,0.2,0.3,0.35\nhat,0.2,0.1,,0.1\n")
    assert found is not None
    why = {row.name: row.why.replace("\u00a0", " ") for row in found.rows if row.lost}
    assert why == {
        "hat": "Lost at the CAM: IoU 20.0 % at the fixed threshold, better here than the one threshold for all classes "
        "that is best for mIoU (oracle).",
        "cow": "Lost at the pseudo-label: IoU 30.0 %, after 50.0 % at the CAM at the fixed threshold.",
    }


def test_nothing_is_lost_at_cams_that_had_no_part_in_imported_labels(tmp_path: Path) -> None:
    text = "class,cam,cam oracle,pseudo-label,imported labels,relabelled,student\nbackground,.9,.9,.9,.9,.9,.9\n"
    (tmp_path / "per_class.csv").write_text(f"{text}cow,0.1,0.1,0.1,0.2,,0.1\nhat,0.1,0.1,0.1,0.6,,0.2\n")
    found = class_table(tmp_path, LEGEND, imported=True)
    assert found is not None
    assert found.imported
    titles = ["CAM", "CAM, oracle", "Pseudo-label", "Imported labels", "Relabelled", "Student"]
    assert list(found.steps) == list(zip(titles, ["", "", "", "label 1", "", "iou 1"], strict=True))
    why = {row.name: (row.lost, row.why.replace("\u00a0", " ")) for row in found.rows if row.lost}
    assert why == {
        "cow": ("label", "Lost at the label: IoU 20.0 %."),
        "hat": ("student", "Lost at the student: IoU 20.0 %, after 60.0 % at the label."),
    }


def test_of_imported_labels_without_a_score_it_is_not_known_what_lost_a_class(tmp_path: Path) -> None:
    (tmp_path / "per_class.csv").write_text("class,cam,pseudo-label,student\nbackground,0.9,0.9,0.9\ncow,0.1,0.1,0.2\n")
    found = class_table(tmp_path, LEGEND, imported=True)
    assert found is not None
    (row,) = (row for row in found.rows if row.lost)
    assert (row.lost, row.why.replace("\u00a0", " ")) == (
        "label or the student",
        "Lost at the label or the student: IoU 20.0 %.",
    )


def test_a_class_in_no_mask_has_no_score(tmp_path: Path) -> None:
    pixels = "background,background,9,1.0\ncow,cow,0,0.0\nhat,hat,2,1.0\n"
    (tmp_path / "confusion.csv").write_text(f"actual,predicted,pixels,share\n{pixels}")
    found = table(tmp_path, "class,cam,student\nbackground,0.4,0.6\ncow,0.0,0.0\nhat,0.5,0.4\n")
    assert found is not None
    assert [(row.name, row.ious, row.lost) for row in found.rows] == [
        ("hat", (0.5, 0.4), ""),
        ("background", (0.4, 0.6), ""),
        ("cow", (None, None), ""),
    ]


def test_the_weakest_class_comes_first_and_unscored_ones_last(tmp_path: Path) -> None:
    text = "class,raw cam,cam,pseudo-label,oste,student,student ms+flip\nbackground,,0.4,0.5,,0.6,0.7\n"
    found = table(tmp_path, f"{text}cow,,0.3,0.4,,0.2,\nhat,,0.5,0.4,,0.3,0.2\n")
    assert found is not None
    assert found.steps == (("CAM", ""), ("Pseudo-label", "label 1"), ("Student", "iou 1"))
    assert [(row.name, row.ious, row.lost) for row in found.rows] == [
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
    assert [(row.name, row.lost) for row in found.rows] == [("hat", "CAM"), ("background", "")]
