"""The last words: usable or not, which classes, what to add, what it rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wsss.core.errors import IntegrityError, UserError
from wsss.data.index import Index, Record
from wsss.data.origins import remark
from wsss.report.scores import Source
from wsss.report.verdict import final_verdict

TAGS = "class,photos,tagged,guess,epoch_0,kept,verdict\n"
AGREED = "class,photos,labelled,predicted,agreement,verdict,student\n"
FINE = (
    TAGS + "cow,40,9,0.2,0.8,0.9000,learnt\nhat,40,5,0.1,0.2,0.7000,learnt\n",
    AGREED
    + "background,40,0.5,0.5,0.7000,agreed,fine\ncow,40,0.3,0.3,0.6000,agreed,fine\nhat,40,0.2,0.25,0.5,agreed,fine\n",
)


def index_of(*tags: tuple[int, ...]) -> Index:
    """Training photos with these tags."""
    records = tuple(Record(f"{n:02}", "train", "", None, each, 8, 8, "") for n, each in enumerate(tags))
    return Index(("background", "cow", "hat", "boat"), records)


INDEX = index_of((1,), (2,), (3,), (1, 2))
STUDENT = Source("student", "val", "12", "no", "", "no", "no", "no", 0.6, 0.6, 0.1, 1.0)


def write_tables(folder: Path, tags: str = FINE[0], agreed: str = FINE[1]) -> None:
    (folder / "train_tags.csv").write_text(tags)
    (folder / "agreement.csv").write_text(agreed)


def write_confusion(folder: Path, **pixels: int) -> None:
    """Masks of so many pixels of each class, all found."""
    rows = "".join(f"{name},{name},{count},{float(count > 0)}\n" for name, count in pixels.items())
    (folder / "confusion.csv").write_text(f"actual,predicted,pixels,share\n{rows}")


def verdict(
    folder: Path,
    tags: str = FINE[0],
    agreed: str = FINE[1],
    sources: tuple[Source, ...] = (),
    index: Index = INDEX,
    cow: float = 0.5,
) -> str:
    write_tables(folder, tags, agreed)
    (folder / "per_class.csv").write_text(f"class,student,cam\nbackground,0.9,0.9\ncow,{cow},0.1\nhat,,0.1\n")
    return final_verdict(folder, sources, index, "val").text


def test_usable_without_masks_says_what_it_rests_on(tmp_path: Path) -> None:
    assert verdict(tmp_path).splitlines() == [
        "verdict: usable as a first draft",
        "  use: cow, hat",
        "  The classifier tells the tags of 40 held-out photos: mean AP 0.80 (tags recognised; 1 is all).",
        "  Student and labels agree on 60 % (mean IoU between the two on 40 held-out photos; both can be wrong alike, "
        "so it is no accuracy).",
        "  The student is the network that makes your masks, the labels are what it learned from.",
        "  It rests on tags and on agreement, which do not see a fault that labels and student share. No mask was "
        "read; a dozen masks would tell the accuracy.",
        "  Agreement by class, the worst first (IoU between student and labels, given the tags; no accuracy), and how "
        "much the student paints without tags, as a multiple of what its labels have:",
        "    hat         0.50  1.2 times",
        "    cow         0.60  1.0 times",
        "    background  0.70  1.0 times",
    ]


@pytest.mark.parametrize(
    ("tags", "agreed", "line"),
    [
        (("hat,40,5,0.1,0.2,0.7000,learnt", "hat,40,5,0.1,0.2,0.1,not learnt"), ("", ""), "use: cow; do not use: hat"),
        (("hat,40,5", "hat,40,2"), ("", ""), "use: cow; check: hat"),
        (("hat,40,5,0.1,0.2,0.7000,learnt", "hat,40,0,,,,not judged"), ("", ""), "use: cow; check: hat"),
        (("", ""), ("0.6000,agreed", "0.4,agreed"), "use: hat; check: cow"),
        (("", ""), ("0.6000,agreed", "0.1,disputed"), "use: hat; do not use: cow"),
        (("", ""), ("fine", "doubtful"), "check: cow, hat"),
        (("0.7000", ""), ("hat,40,0.2,0.25,0.5,agreed", "hat,40,0,0,,"), "use: cow; check: hat"),
        (("", ""), ("fine", "poor"), ""),
    ],
)
def test_first_line_sorts_the_classes_by_what_their_masks_are_good_for(
    tmp_path: Path, tags: tuple[str, str], agreed: tuple[str, str], line: str
) -> None:
    lines = verdict(tmp_path, FINE[0].replace(*tags), FINE[1].replace(*agreed)).splitlines()
    assert lines[1].strip() == line if line else "use: " not in "\n".join(lines)


def test_masks_decide_what_the_first_line_says_of_the_classes_that_they_show(tmp_path: Path) -> None:
    thin = FINE[0].replace("cow,40,9", "cow,40,1")
    assert verdict(tmp_path, thin, sources=(STUDENT,)).splitlines()[1] == "  use: cow, hat"
    assert verdict(tmp_path, sources=(STUDENT,), cow=0.1).splitlines()[1] == "  use: hat; do not use: cow"


def test_few_photos_are_said_to_be_few(tmp_path: Path) -> None:
    few = "These are few photos, and a class may come or go by chance."
    assert few in verdict(tmp_path, FINE[0].replace(",40,", ",29,"))
    assert few not in verdict(tmp_path, FINE[0].replace(",40,", ",30,"))
    one = verdict(tmp_path, FINE[0].replace(",40,", ",1,"), FINE[1].replace(",40,", ",1,"))
    assert "tags of 1 held-out photo:" in one
    assert "(mean IoU between the two on 1 held-out photo;" in one


def test_classes_that_failed_make_it_usable_in_part(tmp_path: Path) -> None:
    text = verdict(tmp_path, FINE[0].replace("0.7000,learnt", "0.1200,not learnt"))
    assert text.startswith("verdict: usable in part\n")
    assert "Not learnt: hat. Check their tags, add photos of them, or drop them (dataset.drop)." in text
    text = verdict(tmp_path, agreed=FINE[1].replace("0.6000,agreed", "0.1000,disputed"))
    assert text.startswith("verdict: usable in part\n")
    assert "Doubtful: cow." in text


@pytest.mark.parametrize(("agreement", "named"), [("0.29", True), ("0.30", False)])
def test_a_class_that_agrees_on_little_is_doubtful_though_it_passed(
    tmp_path: Path, agreement: str, named: bool
) -> None:
    text = verdict(tmp_path, agreed=FINE[1].replace("0.6000,agreed", f"{agreement},agreed"))
    assert ("Doubtful: cow." in text) is named
    assert ("Less sure: cow" in text) is not named
    assert text.startswith("verdict: usable in part\n")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("cow,40,0.30,0.30,0.49,agreed,fine", "cow (agreement 0.49)"),
        (
            "cow,40,0.10,0.25,0.55,agreed,fine",
            "cow (agreement 0.55; without tags the student paints 2.5 times what its labels have)",
        ),
        (
            "cow,40,0.10,0.04,0.55,agreed,fine",
            "cow (agreement 0.55; without tags the student paints 0.40 times what its labels have)",
        ),
        ("cow,40,0.10,0.19,0.50,agreed,fine", ""),
        ("cow,40,0.10,0.06,0.50,agreed,fine", ""),
    ],
)
def test_a_class_between_doubtful_and_fine_is_less_sure(tmp_path: Path, row: str, words: str) -> None:
    agreed = FINE[1].replace("cow,40,0.3,0.3,0.6000,agreed,fine", row)
    text = verdict(tmp_path, agreed=agreed)
    assert ("Less sure: " in text) is bool(words)
    assert words in text
    assert text.startswith(f"verdict: {'usable in part' if words else 'usable as a first draft'}\n")
    # Where masks show the class, they tell.
    assert "Less sure" not in verdict(tmp_path, agreed=agreed, sources=(STUDENT,))
    write_confusion(tmp_path, background=1, cow=0, hat=1)
    assert ("Less sure: " in final_verdict(tmp_path, (STUDENT,), INDEX, "val").text) is bool(words)


def test_the_background_is_not_less_sure_and_the_weak_classes_stay_those_to_leave_out(tmp_path: Path) -> None:
    rows = "background,40,0.5,0.5,0.40,agreed,fine\ncow,40,0.3,0.3,0.45,agreed,fine\n"
    write_tables(tmp_path, agreed=AGREED + rows)
    found = final_verdict(tmp_path, (), INDEX, "val")
    assert "Less sure: cow (agreement 0.45)." in found.text
    assert found.weak == ()


def test_the_table_of_agreement_is_short(tmp_path: Path) -> None:
    rows = "".join(f"c{number},40,0,0.1,0.{99 - number},agreed,fine\n" for number in range(14))
    lines = verdict(tmp_path, agreed=AGREED + rows).splitlines()
    assert lines[-13:-11] == ["    c13  0.86", "    c12  0.87"]
    assert lines[-1] == "    2 more, of better agreement: reports/agreement.csv"


def test_a_class_in_no_mask_is_named_and_has_no_score(tmp_path: Path) -> None:
    verdict(tmp_path, sources=(STUDENT,), cow=0.0)
    (tmp_path / "per_class.csv").write_text("class,student\nbackground,0.8\ncow,0.0\nhat,0.3\nboat,\n")
    write_confusion(tmp_path, background=9, cow=0, hat=2, boat=0)
    text = final_verdict(tmp_path, (STUDENT,), INDEX, "val").text
    assert text.startswith("verdict: usable in part\n")
    assert (
        "In no val mask: boat, cow. What is predicted there as cow counts as wrong, and as 0 in the mean: the mean "
        "of the other classes is 55.00 %." in text
    )
    assert "Weakest" not in text
    (tmp_path / "per_class.csv").write_text("class,student\nbackground,0.8\ncow,\nhat,0.3\nboat,\n")
    text = final_verdict(tmp_path, (STUDENT,), INDEX, "val").text
    assert "In no val mask: boat, cow.\n" in text
    assert "tagged with" not in text
    seen = Record("v", "val", "", "v.png", (1, 2), 8, 8, "")
    tagged = replace(INDEX, records=(*INDEX.records, seen))
    text = final_verdict(tmp_path, (STUDENT,), tagged, "val").text
    assert "Photos with a mask are tagged with cow all the same: do the masks leave that out?" in text


def test_what_no_mask_shows_makes_no_student_hopeless(tmp_path: Path) -> None:
    (tmp_path / "per_class.csv").write_text("class,student\nbackground,0.5\ncow,0.0\nhat,0.0\n")
    write_tables(tmp_path)
    write_confusion(tmp_path, background=9, cow=0, hat=0)
    poor = replace(STUDENT, miou=0.1667)
    assert final_verdict(tmp_path, (poor,), INDEX, "val").headline == "usable in part"
    write_confusion(tmp_path, background=9, cow=1, hat=1)
    assert final_verdict(tmp_path, (poor,), INDEX, "val").headline == "not usable"


def test_where_the_student_learned_from_imported_labels_no_cam_is_blamed(tmp_path: Path) -> None:
    write_tables(tmp_path)
    rows = "background,0.9,0.9,0.9,0.9\ncow,0.1,0.1,0.2,0.1\nhat,0.1,0.1,0.8,0.8\n"
    (tmp_path / "per_class.csv").write_text(f"class,cam,pseudo-label,imported labels,student\n{rows}")
    pseudo = replace(STUDENT, source="pseudo-label", miou=0.7)
    found = final_verdict(tmp_path, (STUDENT, pseudo), INDEX, "val", imported=True)
    assert "first: cow 10.0 % (lost at the label). The gallery's table" in found.text
    assert "Where the imported labels are bad already, mend these." in found.text
    assert "On the same photos the pipeline's own labels are better (pseudo-label: 70.00 %)" in found.text
    assert "CAM" not in found.text


@pytest.mark.parametrize(
    ("labels", "photos", "better", "few"),
    [(0.66, "12", True, False), (0.64, "12", False, False), (0.9, "11", False, False), (0.66, "9", False, True)],
)
def test_labels_that_are_clearly_better_on_the_same_photos_are_named(
    tmp_path: Path, labels: float, photos: str, better: bool, few: bool
) -> None:
    verdict(tmp_path, sources=(STUDENT,))
    student = replace(STUDENT, images="9" if few else "12")
    scored = replace(STUDENT, source="pseudo-label", images=photos, miou=labels)
    found = final_verdict(tmp_path, (student, scored), INDEX, "val")
    assert (f"On the same photos the labels are better (pseudo-label: {100 * labels:.2f} %)" in found.text) is better
    assert ("Masks of 9 val photos are too few to decide" in found.text) is few
    assert found.labels == ("pseudo" if better else "")


@pytest.mark.parametrize(("photos", "decide"), [("1", False), ("9", False), ("10", True)])
def test_masks_of_few_photos_decide_nothing(tmp_path: Path, photos: str, decide: bool) -> None:
    without = verdict(tmp_path).splitlines()
    poor = replace(STUDENT, images=photos, miou=0.0845)
    text = verdict(tmp_path, sources=(poor,), cow=0.02)
    found = final_verdict(tmp_path, (poor,), INDEX, "val")
    assert f"On the masks of {photos} val photo{'' if photos == '1' else 's'}, the student has mIoU 8.45 %" in text
    assert found.by_masks is decide
    assert found.headline == ("not usable" if decide else "usable as a first draft")
    assert found.weak == (("cow",) if decide else ())
    assert ("Doubtful by these masks" in text) is decide
    assert found.longer is decide
    assert bool(found.warning) is not decide
    if photos == "1":
        assert found.warning == (
            "Masks of 1 val photo are too few to decide, all the more if it was chosen as the worst: the verdict is "
            "that without it. 10 or more would decide."
        )
        others = [line for line in text.splitlines() if found.warning not in line and "mIoU 8.45" not in line]
        rests = "It rests on tags and on agreement, which do not see a fault that labels and student share."
        assert others == [f"  {rests}" if rests in line else line for line in without]


def test_a_student_that_agrees_on_less_than_half_is_usable_in_part(tmp_path: Path) -> None:
    text = verdict(tmp_path, agreed=FINE[1].replace(",fine", ",doubtful"))
    assert text.startswith("verdict: usable in part\n")
    assert "less than half" in text


@pytest.mark.parametrize(("miou", "words"), [(0.12, "not usable"), (0.3, "usable in part"), (0.5, "usable")])
def test_masks_overrule_a_verdict_that_is_too_good(tmp_path: Path, miou: float, words: str) -> None:
    source = Source("student", "val", "12", "no", "", "no", "no", "no", miou, miou, 0.1, 1.0)
    assert verdict(tmp_path, sources=(source,)).startswith(f"verdict: {words}\n")


def test_a_class_that_is_poor_on_masks_or_that_no_val_photo_shows_is_named(tmp_path: Path) -> None:
    source = Source("student", "val", "12", "no", "", "no", "no", "no", 0.6, 0.6, 0.1, 1.0)
    text = verdict(tmp_path, sources=(source,), cow=0.12)
    assert text.startswith("verdict: usable in part\n")
    named = "Doubtful by these masks, the lowest IoU first: cow 12.0 % (lost at the CAM)."
    assert f"{named} The gallery's table of classes" in text
    text = verdict(tmp_path, FINE[0] + "boat,40,0,0.0,,,not judged\n")
    assert text.startswith("verdict: usable in part\n")
    assert "Not judged: boat. No photo of split val shows them: give it some." in text


@pytest.mark.parametrize(
    ("cow", "miou", "named"), [(0.39, 0.6, True), (0.41, 0.6, False), (0.41, 0.9, True), (0.46, 0.9, False)]
)
def test_a_class_of_a_low_iou_or_far_behind_the_others_is_doubtful(
    tmp_path: Path, cow: float, miou: float, named: bool
) -> None:
    source = Source("student", "val", "12", "no", "", "no", "no", "no", miou, miou, 0.1, 1.0)
    text = verdict(tmp_path, sources=(source,), cow=cow)
    assert text.startswith("verdict: usable in part\n" if named else "verdict: usable\n")
    assert (f"Doubtful by these masks, the lowest IoU first: cow {100 * cow:.1f} %" in text) is named


def test_masks_say_which_classes_are_doubtful_and_agreement_of_those_that_no_mask_shows(tmp_path: Path) -> None:
    source = Source("student", "val", "12", "no", "", "no", "no", "no", 0.6, 0.6, 0.1, 1.0)
    rows = "cow,40,1,1,0.1,disputed,fine\nhat,40,1,1,0.1,disputed,fine\nboat,40,1,1,0.9,agreed,fine\n"
    write_tables(tmp_path, agreed=AGREED + rows)
    (tmp_path / "per_class.csv").write_text("class,student\nbackground,0.9\ncow,0.8\nboat,0.3\nhat,\n")
    found = final_verdict(tmp_path, (source,), INDEX, "val")
    assert "Doubtful: hat. Look at their labels" in found.text
    assert "Doubtful by these masks, the lowest IoU first: boat 30.0 % (lost at the student)." in found.text
    assert found.weak == ("boat", "hat")
    assert final_verdict(tmp_path, (), INDEX, "val").weak == ("cow", "hat")


def test_what_the_labels_rest_on_beside_tags_is_told(tmp_path: Path) -> None:
    write_tables(tmp_path)
    text = final_verdict(tmp_path, (), INDEX, "val", remark(0, 2)).text
    assert "It is no result of tags alone: the student learned from labels of 2 photos taken from a network's" in text
    assert "no result of tags alone" not in final_verdict(tmp_path, (), INDEX, "val", remark(0, 0)).text


def test_doubtful_classes_are_named_the_weakest_first(tmp_path: Path) -> None:
    student = Source("student", "val", "12", "no", "", "no", "no", "no", 0.6, 0.6, 0.1, 1.0)
    verdict(tmp_path, sources=(student,))
    rows = "".join(f"c{number},0.{number}5\n" for number in range(9, -1, -1))
    (tmp_path / "per_class.csv").write_text(f"class,student\n{rows}")
    text = final_verdict(tmp_path, (student,), INDEX, "val").text
    text = text.replace(" (lost at the student)", "")
    assert "first: c0 5.0 %, c1 15.0 %, c2 25.0 %, c3 35.0 %." in text
    text = final_verdict(tmp_path, (replace(student, miou=0.95),), INDEX, "val").text
    text = text.replace(" (lost at the student)", "")
    assert "first: c0 5.0 %, c1 15.0 %, c2 25.0 %, c3 35.0 %, c4 45.0 %." in text


@pytest.mark.parametrize("student", ["collapsed", "poor"])
def test_a_student_that_failed_is_not_usable(tmp_path: Path, student: str) -> None:
    assert verdict(tmp_path, agreed=FINE[1].replace(",fine", f",{student}")).startswith("verdict: not usable\n")


def test_no_class_learnt_is_not_usable(tmp_path: Path) -> None:
    assert verdict(tmp_path, FINE[0].replace(",learnt", ",not learnt")).startswith("verdict: not usable\n")


def test_what_cannot_be_judged_is_said(tmp_path: Path) -> None:
    tags = TAGS + "cow,0,0,,,,\n"
    agreed = AGREED + "background,0,0,0,,,not measured\ncow,0,0,0,,,not measured\n"
    text = verdict(tmp_path, tags, agreed)
    assert text.startswith("verdict: usable in part\n")
    assert "nothing says whether the tags were learnt" in text


@pytest.mark.parametrize(("own", "decide"), [(1, True), (50, True), (51, False), (60, False)])
def test_masks_that_are_still_as_wsss_wrote_them_are_told_and_do_not_count(
    tmp_path: Path, own: int, decide: bool
) -> None:
    score = replace(STUDENT, images="60")
    verdict(tmp_path, sources=(score,))
    found = final_verdict(tmp_path, (score,), INDEX, "val", own=own)
    told = "60 val masks are still as wsss wrote them: the score says how far the network agrees with itself."
    assert f"  {own} of {told}" in found.text.splitlines()[1]
    assert found.headline == ("usable" if decide else "usable as a first draft")
    theirs = {51: "9 of them", 60: "none"}.get(own)
    assert (f"A person's are {theirs}, and 10 or more would decide: the verdict is" in found.warning) is not decide
    assert not final_verdict(tmp_path, (score,), INDEX, "val").warning


def test_the_verdict_is_of_the_last_row_which_predict_makes_and_names_a_better_one(tmp_path: Path) -> None:
    write_tables(tmp_path)
    (tmp_path / "per_class.csv").write_text(
        "class,student,student ms+flip,student ms+flip+crf\nbackground,0.9,0.9,0.9\ncow,0.7,0.7,0.1\nhat,0.7,0.7,0.7\n"
    )
    plain = replace(STUDENT, miou=0.76)
    flipped = replace(STUDENT, source="student ms+flip", multiscale="yes", miou=0.7)
    last = replace(STUDENT, source="student ms+flip+crf", multiscale="yes", crf="yes", miou=0.56)
    found = final_verdict(tmp_path, (plain, flipped, last), INDEX, "val")
    assert "the student has mIoU 56.00 % (student ms+flip+crf)." in found.text
    assert found.weak == ("cow",)
    better = "Read in another way the student is better on these masks"
    assert f"{better} (student: 76.00 %): with `wsss predict --scales 1 --no-flip --no-crf`." in found.text
    text = final_verdict(tmp_path, (flipped, last), INDEX, "val").text
    assert f"{better} (student ms+flip: 70.00 %): with `wsss predict --no-crf`." in text
    assert better not in final_verdict(tmp_path, (replace(plain, miou=0.6), last), INDEX, "val").text


def test_masks_are_told_where_there_are_any(tmp_path: Path) -> None:
    made = ("no", "", "no", "no", "no")
    sources = (
        Source("student", "val", "12", *made, 0.4, 0.4, 0.1, 1.0),
        Source("student ms+flip", "val", "12", *made, 0.5, 0.5, 0.1, 1.0),
        Source("cam", "val", "12", *made, 0.9, 0.9, 0.1, 1.0),
    )
    text = verdict(tmp_path, sources=sources)
    assert "On the masks of 12 val photos, the student has mIoU 50.00 % (student ms+flip)." in text
    assert "No mask was read" not in text


def test_masks_of_train_photos_alone_are_said_to_score_nothing(tmp_path: Path) -> None:
    train = tuple(replace(record, mask="masks/a.png") for record in INDEX.records[:2])
    val = tuple(Record(f"v{n}", "val", "", None, (1,), 8, 8, "") for n in range(3))
    text = verdict(tmp_path, index=replace(INDEX, records=(*train, *INDEX.records[2:], *val)))
    yours = "Your 2 masks are of train photos, which score nothing"
    assert f"{yours}; for the accuracy, correct masks of val photos: v0, v1, v2." in text
    assert "No mask was read" not in text
    one = verdict(tmp_path, index=replace(INDEX, records=(train[0], *val)))
    assert "Your mask is of a train photo, which scores nothing; for" in one


def test_a_better_branch_of_oste_is_named(tmp_path: Path) -> None:
    made = ("12", "no", "", "no", "no", "no")
    student = Source("student", "val", *made, 0.4, 0.4, 0.1, 1.0)
    better, equal = (Source("oste ms+flip", "val", *made, miou, miou, 0.1, 1.0) for miou in (0.45, 0.405))
    assert "OSTE's own branch is better (oste ms+flip: 45.00 %)" in verdict(tmp_path, sources=(student, better))
    assert "branch" not in verdict(tmp_path, sources=(student, equal))


def test_classes_that_come_together_are_named(tmp_path: Path) -> None:
    index = index_of(*[(1, 2)] * 6, (1,), (2, 3), (3,), (3,))
    assert "Hardly told apart by tags: cow, hat." in verdict(tmp_path, index=index)
    assert "told apart" not in verdict(tmp_path, index=index_of(*[(1, 2)] * 6, (1,), (1,), (2, 3), (3,)))


def test_classes_that_are_never_alone_are_named(tmp_path: Path) -> None:
    never = "Never alone in a training photo: hat. Masks may include what they come with."
    assert never in verdict(tmp_path, index=index_of((1,), (1, 2), (2, 3), (3,)))
    assert "Never alone" not in verdict(tmp_path, index=index_of((1,), (1, 2), (2,), (3,)))
    # A class of every photo is another matter.
    assert "Never alone in a training photo: cow, boat." in verdict(tmp_path, index=index_of((1, 2), (2, 3), (2, 3, 1)))


@pytest.mark.parametrize(("count", "thin"), [(1, True), (2, True), (3, False)])
def test_a_class_of_one_or_two_held_out_photos_is_hardly_judged(tmp_path: Path, count: int, thin: bool) -> None:
    text = verdict(tmp_path, FINE[0].replace("hat,40,5", f"hat,40,{count}"))
    assert (f"Judged on one or two held-out photos, perhaps by chance: hat ({count})." in text) == thin
    assert text.startswith("verdict: usable in part\n" if thin else "verdict: usable as a first draft\n")


@pytest.mark.parametrize(("student", "bad"), [("fine", False), ("doubtful", True), ("poor", True)])
def test_a_verdict_is_bad_where_student_and_labels_disagree(tmp_path: Path, student: str, bad: bool) -> None:
    write_tables(tmp_path, agreed=FINE[1].replace(",fine", f",{student}"))
    assert final_verdict(tmp_path, (), INDEX, "val").bad is bad


@pytest.mark.parametrize(
    ("tags", "agreed", "longer"),
    [
        (FINE[0], FINE[1], False),
        (FINE[0], FINE[1].replace("0.6000,agreed", "0.1000,disputed"), True),  # doubtful
        (FINE[0], FINE[1].replace("0.6000,agreed", "0.4500,agreed"), True),  # less sure
        (FINE[0], FINE[1].replace(",fine", ",poor"), True),
        (FINE[0], FINE[1].replace("0.7000,agreed", "0.1000,agreed"), False),  # the background
        (FINE[0].replace("0.7000,learnt", "0.1200,not learnt"), FINE[1].replace(",fine", ",doubtful"), False),
        (FINE[0].replace(",learnt", ",not learnt"), FINE[1].replace(",fine", ",poor"), False),
        (TAGS + "cow,0,0,,,,\n", FINE[1].replace("0.6000,agreed", "0.1000,disputed"), False),
        (FINE[0] + "boat,40,0,0.0,,,not judged\n", FINE[1], False),
    ],
)
def test_a_longer_training_may_help_where_tags_are_not_the_trouble(
    tmp_path: Path, tags: str, agreed: str, longer: bool
) -> None:
    write_tables(tmp_path, tags, agreed)
    assert final_verdict(tmp_path, (), INDEX, "val").longer is longer
    together = index_of(*[(1, 2)] * 6, (1,), (3,))
    assert not final_verdict(tmp_path, (), together, "val").longer


def test_a_longer_training_may_help_where_masks_say_that_classes_are_poor(tmp_path: Path) -> None:
    verdict(tmp_path, sources=(STUDENT,), cow=0.2)
    assert final_verdict(tmp_path, (STUDENT,), INDEX, "val").longer
    verdict(tmp_path, sources=(STUDENT,))
    assert not final_verdict(tmp_path, (STUDENT,), INDEX, "val").longer


def test_weak_classes_are_the_unlearnt_and_then_the_doubtful_the_worst_first(tmp_path: Path) -> None:
    rows = "background,40,1,1,0.01,disputed,fine\ncow,40,1,1,0.2,agreed,fine\nhat,40,1,1,0.1,disputed,fine\n"
    write_tables(tmp_path, FINE[0] + "boat,40,5,0.1,0.2,0.1,not learnt\n", AGREED + rows)
    assert final_verdict(tmp_path, (), INDEX, "val").weak == ("boat", "hat", "cow")


def test_missing_and_damaged_tables_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train_tags\.csv: no such file"):
        final_verdict(tmp_path, (), INDEX, "val")
    with pytest.raises(IntegrityError, match=r"agreement\.csv: cannot be read"):
        verdict(tmp_path, agreed=AGREED + "cow,1\n")
