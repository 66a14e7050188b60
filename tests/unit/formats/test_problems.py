"""Long lists are cut, and nothing is lost from the count."""

from __future__ import annotations

import pytest

from wsss.core.errors import IntegrityError, UserError, WsssError
from wsss.formats.problems import ALL, shortened, some


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "n0"), (5, "n0, n1, n2, n3, n4"), (6, "n0, n1, n2, n3, n4 and 1 more")],
)
def test_five_names_and_a_count(count: int, text: str) -> None:
    assert some(f"n{number}" for number in range(count)) == text


def test_each_kind_of_error_is_cut_by_itself_and_the_order_stays() -> None:
    errors: list[WsssError] = []
    for number in range(4):
        errors.append(UserError(f"tags.csv:{number}", f"unknown class 'c{number}' (did you mean 'c'?)", "edit it"))
        errors.append(IntegrityError(f"p{number}.jpg", f"damaged ({number} bytes)", "copy it again"))
    errors.append(UserError("tags.csv:9", "something else", "mend it"))
    shown = shortened(errors, 2, ALL)
    assert [(each.where, each.what) for each in shown] == [
        ("tags.csv:0", "unknown class 'c0' (did you mean 'c'?)"),
        ("p0.jpg", "damaged (0 bytes)"),
        ("tags.csv:1", "unknown class 'c1' (did you mean 'c'?)"),
        ("tags.csv", "2 more errors like this one"),
        ("p1.jpg", "damaged (1 bytes)"),
        ("p1.jpg", "2 more errors like this one"),
        ("tags.csv:9", "something else"),
    ]
    assert {each.fix for each in shown if "more errors" in each.what} == {ALL}
    assert isinstance(shown[5], IntegrityError)  # and so the exit code stays what it is


def test_a_single_error_more_is_shown_and_not_counted() -> None:
    errors = [UserError("a", f"number {n}", "mend it") for n in range(6)]
    assert shortened(errors, 5, ALL) == errors
    assert [each.what for each in shortened([*errors, UserError("b", "number 6", "mend it")], 5, ALL)][
        -1
    ] == "2 more errors like this one"


def test_few_errors_stay_as_they_are() -> None:
    errors = [UserError("a", f"number {n}", "mend it") for n in range(5)]
    assert shortened(errors, 5, ALL) == errors
