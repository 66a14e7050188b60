"""HDF5 that reaches out of its file, or lies about its size, is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from wsss.core.errors import IntegrityError, UserError
from wsss.stores.hdf5 import MAX_ARRAY, check_seal, open_checked, read_array, sealed

SECRET = np.arange(4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = SECRET
    (tmp_path / "secret.bin").write_bytes(SECRET.astype(np.uint8).tobytes())
    return tmp_path / "of ours 5 %.h5"


def write(path: Path, fill: Callable[[h5py.Group, h5py.File], None], **attributes: object) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "wsss.toy", "version": 1} | attributes)
        group = file.create_group("photo")
        group["good"] = SECRET
        fill(group, file)
    path.write_bytes(sealed(path.read_bytes()))


def check(path: Path) -> None:
    open_checked(path, "wsss.toy", 1, "make it again").close()


def nothing(group: h5py.Group, file: h5py.File) -> None:
    return None


def external_link(group: h5py.Group, file: h5py.File) -> None:
    group["bad"] = h5py.ExternalLink("secret.h5", "/x")


def dangling_link(group: h5py.Group, file: h5py.File) -> None:
    group["bad"] = h5py.ExternalLink("/nowhere.h5", "/x")


def soft_link(group: h5py.Group, file: h5py.File) -> None:
    group["bad"] = h5py.SoftLink("/photo/good")


def linked_photo(group: h5py.Group, file: h5py.File) -> None:
    file["bad"] = h5py.ExternalLink("secret.h5", "/")


def external_storage(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", (4,), np.uint8, external=[("secret.bin", 0, 4)])


def virtual(group: h5py.Group, file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), np.int64)
    layout[:] = h5py.VirtualSource("secret.h5", "x", (4,))
    group.create_virtual_dataset("bad", layout)


def text_of_any_length(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", data=["a", "bc"], dtype=h5py.string_dtype())


def arrays_of_any_length(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", (2,), h5py.vlen_dtype(np.int64))


def references(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", data=[group.ref], dtype=h5py.ref_dtype)


def compound(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", (2,), np.dtype([("a", h5py.string_dtype()), ("b", int)]))


def named_type(group: h5py.Group, file: h5py.File) -> None:
    group["bad"] = np.dtype("f8")


def over_declared(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", (10**6, 10**6), np.uint8, chunks=(1000, 1000), compression="gzip")


def over_declared_and_fixed(group: h5py.Group, file: h5py.File) -> None:
    group.create_dataset("bad", (2**40,), np.uint8)


def compressed_bomb(group: h5py.Group, file: h5py.File) -> None:
    """Deflate stores a thousandth, so that it declares no more than the bytes that are stored may become."""
    group.create_dataset("bad", (MAX_ARRAY + 1,), np.uint8, chunks=(2**24,), compression="gzip")[:] = 0


def nested_group(group: h5py.Group, file: h5py.File) -> None:
    group.create_group("bad")["x"] = SECRET


def group_in_itself(group: h5py.Group, file: h5py.File) -> None:
    group["bad"] = group


def root_in_itself(group: h5py.Group, file: h5py.File) -> None:
    file["bad"] = file["/"]


HOSTILE = {
    external_link: "ExternalLink; links are refused",
    dangling_link: "ExternalLink; links are refused",
    soft_link: "SoftLink; links are refused",
    linked_photo: "/bad is a ExternalLink; links are refused",
    external_storage: "stores its data in another file",
    virtual: "is a virtual data set",
    text_of_any_length: "has type object; only plain numbers are accepted",
    arrays_of_any_length: "has type object",
    references: "has type object",
    compound: "only plain numbers are accepted",
    named_type: "is a named type",
    over_declared: "declares 1000000000000 bytes but stores 0",
    over_declared_and_fixed: "declares 1099511627776 bytes but stores 0",
    compressed_bomb: f"declares {MAX_ARRAY + 1} bytes, expected ≤ {MAX_ARRAY}",
    nested_group: "is a group in a group",
    group_in_itself: "is a group in a group",
    root_in_itself: "is a group in a group",
}


@pytest.mark.parametrize("attack", HOSTILE, ids=lambda attack: attack.__name__)
def test_hostile_file_is_refused_by_name_and_place(path: Path, attack: Callable[[h5py.Group, h5py.File], None]) -> None:
    write(path, attack)
    with pytest.raises(IntegrityError) as caught:
        check(path)
    message = str(caught.value)
    assert message.startswith(f"error: {path}: /")
    assert "bad" in message
    assert HOSTILE[attack] in message
    assert message.endswith("\nfix: make it again")
    with h5py.File(path, "a"):  # which fails while the file is held open
        pass


def test_plain_file_passes(path: Path) -> None:
    write(path, nothing)
    with open_checked(path, "wsss.toy", 1, "make it again") as file:
        assert np.array_equal(read_array(file["photo"], "good", "make it again"), SECRET)
        with pytest.raises(OSError, match="no write intent"):
            file["photo"].attrs["x"] = 1
        with pytest.raises(IntegrityError, match="/photo/other is damaged or missing"):
            read_array(file["photo"], "other", "make it again")


@pytest.mark.parametrize("side", [2000, 6000])
@pytest.mark.parametrize("value", [0, 255])
def test_large_photo_of_one_label_is_not_taken_for_a_bomb(path: Path, side: int, value: int) -> None:
    data = np.full((side, side), value, np.uint8)
    write(path, lambda group, _: group.create_dataset("label", data=data, chunks=data.shape, compression="gzip"))
    check(path)


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"format": "wsss.other"}, "found format 'wsss.other' version 1"),
        ({"version": 2}, "found format 'wsss.toy' version 2"),
        ({"format": np.array([1, 2])}, "found format '[1 2]' version 1"),
        ({"format": h5py.Empty("f")}, "found format"),
    ],
)
def test_other_format_or_version_is_named(path: Path, attributes: dict[str, object], found: str) -> None:
    write(path, nothing, **attributes)
    with pytest.raises(IntegrityError) as caught:
        check(path)
    assert found in str(caught.value)
    assert "expected 'wsss.toy' version 1" in str(caught.value)


def test_file_that_is_no_hdf5_or_missing(path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        check(path)
    for data in (b"", b"\x89HDF\r\n\x1a\n", b"<html>" * 1000):
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match="cut short, or not written by wsss"):
            check(path)
        path.write_bytes(sealed(data))
        with pytest.raises(IntegrityError, match="not a readable HDF5 file"):
            check(path)


@pytest.mark.parametrize("place", ["first", "middle", "last of HDF5", "in the line", "in the sum", "line feed"])
def test_any_flipped_bit_is_found_before_hdf5_reads_it(path: Path, place: str) -> None:
    write(path, nothing)
    whole = path.read_bytes()
    offset = {"first": 0, "middle": len(whole) // 2, "last of HDF5": -78, "in the line": -70, "in the sum": -9}
    data = bytearray(whole)
    data[offset.get(place, -1)] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=r"checksum"):
        check(path)


@pytest.mark.parametrize("size", [0, 1, 76, 77, 78, 1000, -1])
def test_cut_file_is_refused(path: Path, size: int) -> None:
    write(path, nothing)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(IntegrityError, match="cut short"):
        check(path)


def test_file_longer_than_a_block_is_summed_whole(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes((2 << 20) + 5)
    (tmp_path / "long").write_bytes(sealed(data))
    check_seal(tmp_path / "long", "")
    (tmp_path / "long").write_bytes(sealed(data)[:-100] + b"x" + sealed(data)[-99:])
    with pytest.raises(IntegrityError, match="its checksum differs"):
        check_seal(tmp_path / "long", "")
