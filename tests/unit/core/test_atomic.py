"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from tests.helpers import names
from wsss.core.atomic import atomic_file, sha256_file, write_bytes, write_text
from wsss.core.errors import EnvError, UserError


def test_text_is_utf8_with_plain_line_ends(folder: Path) -> None:
    write_text(folder / "deep" / "a.txt", "Kühe\r\n→\n")
    assert (folder / "deep" / "a.txt").read_bytes() == "Kühe\r\n→\n".encode()
    assert names(folder / "deep") == ["a.txt"]


@pytest.mark.parametrize("failure", [ValueError("mine"), KeyboardInterrupt(), OSError(errno.EIO, "disk")])
def test_old_file_stays_when_writing_fails(folder: Path, failure: BaseException) -> None:
    path = folder / "a.bin"
    write_bytes(path, b"old")

    def fail() -> None:
        with atomic_file(path) as temporary:
            temporary.write_bytes(b"new")
            raise failure

    with pytest.raises(type(failure)) as caught:
        fail()
    assert caught.value is failure
    assert path.read_bytes() == b"old"
    assert names(folder) == ["a.bin"]


def test_old_file_stays_when_the_new_one_does_not_verify(folder: Path) -> None:
    path = folder / "a.bin"
    write_bytes(path, b"old")

    def verify(written: Path) -> None:
        assert written.read_bytes() == b"new"
        raise ValueError("not what was meant")

    with pytest.raises(ValueError, match="not what was meant"), atomic_file(path, verify) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"old"
    assert names(folder) == ["a.bin"]


def test_new_file_is_invisible_until_it_is_whole(folder: Path) -> None:
    path = folder / "a.bin"
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent  # or the rename would be a copy
    assert path.read_bytes() == b"half"


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, EnvError, "disk full while writing (free "),
        (errno.EDQUOT, EnvError, "disk full while writing (free "),
        (errno.EROFS, EnvError, "cannot be written: permission denied or read-only"),
        (errno.EACCES, EnvError, "cannot be written: permission denied or read-only"),
        (errno.EISDIR, UserError, "cannot be written: "),
        (errno.EFBIG, EnvError, "cannot be written: larger than this system lets a file be"),
    ],
)
def test_os_errors_name_the_file_and_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[EnvError | UserError], words: str
) -> None:
    path = folder / "a.bin"
    write_bytes(path, b"old")

    def refuse(self: Path, data: bytes) -> int:
        raise OSError(number, "simulated", str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(kind) as caught:
        write_bytes(path, b"new")
    assert str(caught.value).startswith(f"error: {path}: {words}")
    assert "\nfix: " in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(folder) == ["a.bin"]


def test_file_in_the_way_of_a_folder_is_named(folder: Path) -> None:
    write_bytes(folder / "taken", b"")
    with pytest.raises(UserError, match="taken"):
        write_bytes(folder / "taken" / "a.bin", b"")


def test_sha256_is_the_digest_of_the_bytes(folder: Path) -> None:
    write_bytes(folder / "a", bytes(range(256)) * 99)
    assert sha256_file(folder / "a") == hashlib.sha256(bytes(range(256)) * 99).hexdigest()
