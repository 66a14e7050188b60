"""Ids: what is kept, what is refused, and that encodings can be undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsss.core.errors import UserError
from wsss.data.ids import FILE_NAME_BYTES, clean_id, decode_id, encode_id, file_name

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("cows/Kuh 1.JPG", "cows/Kuh 1"),
        ("./a//b.tiff", "a/b"),
        ("a.b.c", "a.b.c"),
        ("photo.v2.png", "photo.v2"),
        (".png", ".png"),
        ("Cafe\u0301.jpg", "Café"),
    ],
)
def test_clean_id(path: str, name: str) -> None:
    assert clean_id(path, "here") == name


@pytest.mark.parametrize("path", ["", ".", "/", "/a", "a/../b", "..", "c:/a", "a\0b", "a\nb", "\ud800", "a\u2028b"])
def test_refused_ids_are_named_with_their_place(path: str) -> None:
    with pytest.raises(UserError, match=r"^error: tags\.csv:7: ") as caught:
        clean_id(path, "tags.csv:7")
    assert "\0" not in str(caught.value)


@given(NAMES)
def test_encoding_is_ascii_without_slash_and_can_be_undone(name: str) -> None:
    key = encode_id(name)
    assert key.isascii()
    assert "/" not in key
    assert decode_id(key) == name


@given(NAMES, NAMES)
def test_file_names_are_short_and_differ_as_the_ids_do(first: str, second: str) -> None:
    names = [file_name(name, ".png") for name in (first, second)]
    assert all(len(name.encode()) <= FILE_NAME_BYTES and name.endswith(".png") for name in names)
    assert (names[0] == names[1]) == (first == second)


def test_long_file_name_begins_readably() -> None:
    assert file_name("cows/" + "🐄" * 250, ".png").startswith("cows%2F%F0%9F")
