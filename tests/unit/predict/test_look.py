"""Which masks to look at first: each rule at its border, and the order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wsss.predict.least_sure import looks
from wsss.predict.look import PIECES, RULES, TWICE, UNSURE, difference, differing, reasons, weight
from wsss.predict.table import Row

NAMES = ("background", "cow", "cat")


def rows(*counts: int) -> np.ndarray:
    """(100, 10) uint8: so many rows of class 0, 1, 2."""
    return np.repeat(np.arange(len(counts), dtype=np.uint8), counts)[:, None].repeat(10, axis=1)


def dots(count: int, class_number: int = 1) -> np.ndarray:
    """(100, 100) uint8: so many single pixels that do not touch, but at corners."""
    label = np.zeros((100, 100), np.uint8)
    places = np.arange(count)
    label[places % 50 * 2 + places // 50 % 2, places // 50] = class_number
    return label


@pytest.mark.parametrize(
    ("label", "tags", "expected"),
    [
        (rows(5, 95), None, ("cow covers 95 %",)),
        (rows(6, 94), None, ()),
        (rows(95, 5), None, ("background covers 95 %",)),
        (rows(95, 5), (1,), ()),  # a small thing in its surroundings is nothing odd
        (rows(100), (), ()),
        (rows(99, 1), (1,), ("cow is tagged and covers only 1 %",)),
        (rows(98, 2), (1,), ()),
        (rows(51, 49), (1, 2), ("cat is tagged and covers nothing",)),
        (rows(26, 74), (1, 2), ("cat is tagged and covers nothing (74 % of the photo is cow)",)),
        (rows(49, 49, 2), (1,), ("cat is no tag and covers 2 %",)),
        (rows(49, 50, 1), (1,), ()),
        (
            rows(0, 0, 100),
            (1,),
            ("cow is tagged and covers nothing", "cat is no tag and covers 100 %", "cat covers 100 %"),
        ),
        (rows(50, 50), None, ()),
    ],
)
def test_classes(label: np.ndarray, tags: tuple[int, ...] | None, expected: tuple[str, ...]) -> None:
    assert reasons(label, NAMES, tags) == expected


def test_a_class_in_the_place_of_another_counts_no_less() -> None:
    assert weight(reasons(rows(26, 74), NAMES, (1, 2))) == weight(reasons(rows(51, 49), NAMES, (1, 2))) == 2


def test_many_small_pieces() -> None:
    for count, expected in ((PIECES - 1, ()), (PIECES, (f"pieces: cow {PIECES}",))):
        label = dots(count)
        label[:, 60:] = 2
        assert reasons(label, NAMES) == expected
    both = np.maximum(dots(20), dots(20, 2)[:, ::-1])
    both[:, 40:60] = 2  # a large piece, and 20 more: 0.1 % of the photo on average would be few
    assert reasons(both, NAMES) == ("pieces: cow 20",)


def row(name: str, confidence: float, *look: str, edited: bool = False) -> Row:
    return Row(name, confidence, look, (), (0.5, 0.5), edited)


def test_of_photos_that_no_rule_names_a_tenth_is_named_that_is_least_sure() -> None:
    quiet = [row(str(number), 0.8 + number / 100) for number in range(UNSURE)]
    others = [row("wrong", 0.1, "cow is tagged and covers nothing"), row("drawn", 0.1, edited=True)]
    found = looks([*quiet, *others])
    assert found["0"] == ("confidence 0.80: among the lowest",)
    assert found["wrong"] == ("cow is tagged and covers nothing",)
    assert [name for name, reasons in found.items() if reasons] == ["0", "wrong"]
    assert not any(looks([*quiet[1:], others[1]]).values())  # too few to tell


def test_of_photos_that_the_student_was_trained_on_those_are_named_that_differ_most_from_its_labels() -> None:
    """It is sure of what it has learned; the others are named by confidence, and neither counts."""
    trained = [replace(row(f"t{n}", 0.99), split="train", differs=n / 100) for n in range(UNSURE)]
    unknown = [replace(row(f"u{n}", 0.8 + n / 100), split="train") for n in range(UNSURE // 2)]
    others = [replace(row(f"v{n}", 0.7 + n / 100), split="val", differs=0.9) for n in range(UNSURE // 2)]
    found = {name: look for name, look in looks([*trained, *unknown, *others]).items() if look}
    assert found == {
        "t9": ("label and mask differ on 9 %: among the most",),
        "v0": ("confidence 0.70: among the lowest",),
    }
    assert [weight(look) for look in found.values()] == [0, 0]
    again = looks([replace(trained[0], look=found["t9"]), *trained[1:]])
    assert (again["t0"], again["t9"]) == ((), found["t9"])


def test_fraction_of_the_pixels_that_a_mask_has_otherwise() -> None:
    label, learned = rows(75, 25), rows(50, 50)
    assert differing(label.repeat(2, 0).repeat(2, 1), learned) == 0.25
    learned[50:75] = 255
    assert differing(label, learned) == 0
    assert differing(label, np.full_like(label, 255)) is None


def test_no_reason_has_a_comma_so_that_simple_tools_can_split_the_lines_of_the_table() -> None:
    quiet = [row(str(number), 0.8) for number in range(UNSURE)]
    found = [reason for look in looks(quiet).values() for reason in look]
    label, twenty = dots(20), np.maximum(dots(20), dots(20, 2)[:, ::-1])
    for tags in (None, (), (1,), (1, 2)):
        found += (
            reasons(label, NAMES, tags, rows(50, 50)) + reasons(twenty, NAMES, tags) + reasons(rows(100), NAMES, tags)
        )
    assert {reason.split()[0] for reason in found} >= {"confidence", "pieces:", "differs", "background", "cow"}
    assert not [reason for reason in found if "," in reason]


def test_what_named_a_photo_among_others_and_what_an_earlier_wsss_said_of_its_class_is_renewed() -> None:
    before = row("a", 0.5, "pieces: cow 20", "confidence 0.50, among the lowest", "shows cow that the verdict calls x")
    assert looks([before]) == {"a": ("pieces: cow 20",)}


def test_masks_unlike_their_pseudo_label() -> None:
    """Background 1/2 of 3/4, cow 1/4 of 1/2: the mean IoU is 7/12, what is ignored left out."""
    label, pseudo = rows(75, 25), rows(50, 50)
    assert difference(label, pseudo) == pytest.approx(5 / 12)
    assert reasons(label, NAMES, (1,), pseudo) == ("differs from its pseudo-label: 0.42",)
    assert reasons(label, NAMES, (1,), rows(60, 40)) == ()  # (60/75 + 25/40)/2: 0.29
    pseudo[50:75] = 255
    assert difference(label, pseudo) == 0
    assert difference(label, np.full_like(label, 255)) is None
    assert reasons(label, NAMES, (1,), np.full_like(label, 255)) == ()
    assert difference(label.repeat(3, 0).repeat(3, 1), rows(75, 25)) == 0  # a label is smaller than the photo's file
    assert difference(label, rows(75, 0, 25)) == pytest.approx(2 / 3)


def test_a_wrong_class_weighs_more_than_outlines_and_sizes() -> None:
    of_class, of_outline = reasons(rows(50, 50), NAMES, (1, 2)), reasons(dots(20), NAMES)[1:]
    assert of_outline == ("pieces: cow 20",)
    assert (weight(of_class), weight(of_outline), weight(())) == (2, 1, 0)
    assert weight(reasons(rows(0, 100), NAMES)) == 1  # a flower may fill a photo
    assert [weight(reasons(rows(*counts), NAMES, (1,))) for counts in ((99, 1), (50, 0, 50), (100,))] == [1, 4, 2]
    assert weight(reasons(rows(75, 25), NAMES, (1,), rows(25, 75))) == 2
    assert weight(("confidence 0.80: among the lowest",)) == 0


def test_rules_are_told_with_their_numbers() -> None:
    text, twice = " ".join(RULES), " ".join(RULES[:TWICE])
    for number in ("95 %", "2 %", "10 pieces", "0.5 %", "tenth", "0.4"):
        assert number in text
    assert ("pseudo-label" in twice, "pieces" in twice, "less than 2 %" in twice) == (True, False, False)
