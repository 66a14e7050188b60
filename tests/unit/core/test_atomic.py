"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsss.core.atomic import (
    atomic_dir,
    atomic_file,
    publish,
    remove_dir,
    replace_dir,
    sha256_file,
    write_bytes,
    write_text,
)
from wsss.core.errors import EnvError, UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "with space 100 %d"
    made.mkdir()
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


def test_atomic_dir_replaces_the_whole_folder(folder: Path) -> None:
    path = folder / "out"
    path.mkdir()
    (path / "old").write_text("")
    with atomic_dir(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "new").write_text("x")
        assert names(path) == ["old"]
    assert names(path) == ["sub"]
    assert names(folder) == ["out"]


def test_atomic_dir_keeps_the_old_folder_on_failure(folder: Path) -> None:
    path = folder / "out"
    path.mkdir()
    (path / "old").write_text("")
    with pytest.raises(ZeroDivisionError), atomic_dir(path):
        _ = 1 / 0
    assert names(path) == ["old"]
    assert names(folder) == ["out"]


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def source(folder: Path) -> Path:
    made = folder / "scratch"
    (made / "sub").mkdir(parents=True)
    (made / "a").write_bytes(b"1")
    (made / "sub" / "b").write_bytes(b"2")
    return made


@pytest.fixture
def far(folder: Path) -> Iterator[Path]:
    """A folder on another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == folder.stat().st_dev:
        pytest.skip("no second file system")
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


def test_folder_moves_across_file_systems(far: Path, source: Path) -> None:
    (far / "out").mkdir()
    (far / "out" / "old").write_bytes(b"old")
    replace_dir(source, far / "out")
    assert tree(far / "out") == {"a": b"1", "sub/b": b"2"}
    assert names(far) == ["out"]
    assert not source.exists()


def test_disk_full_while_moving_loses_nothing(far: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (far / "out").mkdir()
    (far / "out" / "old").write_bytes(b"old")

    def full(a: object, b: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(b))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(EnvError, match="disk full while writing"):
        replace_dir(source, far / "out")
    assert tree(far / "out") == {"old": b"old"}
    assert tree(source) == {"a": b"1", "sub/b": b"2"}
    assert names(far) == ["out"]


def test_failed_rename_brings_the_old_folder_back(folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "old").write_bytes(b"old")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == source:
            raise OSError(errno.EACCES, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(EnvError):
        replace_dir(source, folder / "out")
    assert tree(folder / "out") == {"old": b"old"}
    assert tree(source) == {"a": b"1", "sub/b": b"2"}
    assert names(folder) == ["out", "scratch"]


def test_folder_is_not_put_in_the_place_of_a_file(folder: Path, source: Path) -> None:
    (folder / "out").write_bytes(b"mine")
    with pytest.raises(UserError, match="is a file"):
        replace_dir(source, folder / "out")
    assert (folder / "out").read_bytes() == b"mine"
    assert tree(source) == {"a": b"1", "sub/b": b"2"}


WORK = {"a": b"1", "sub/b": b"2"}


def files_of(folder: Path) -> dict[str, int]:
    """The inode of every file below `folder`: equal where two names are one file."""
    return {path.relative_to(folder).as_posix(): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_published_files_are_those_of_the_source(folder: Path, source: Path) -> None:
    publish(source, folder / "deep" / "out")
    assert tree(folder / "deep" / "out") == tree(source) == WORK
    assert files_of(folder / "deep" / "out") == files_of(source)
    assert names(folder / "deep") == ["out"]


def test_publishing_replaces_the_whole_folder_as_often_as_one_likes(folder: Path, source: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "old").write_bytes(b"old")
    publish(source, folder / "out")
    assert tree(folder / "out") == WORK
    write_bytes(source / "a", b"3")
    (source / "sub" / "b").rename(source / "c")
    assert tree(folder / "out") == WORK  # a file that is written anew is another one
    publish(source, folder / "out")
    assert tree(folder / "out") == tree(source) == {"a": b"3", "c": b"2"}
    assert names(folder) == ["out", "scratch"]


def test_what_is_published_outlives_its_source(folder: Path, source: Path) -> None:
    publish(source, folder / "out")
    remove_dir(source)
    assert tree(folder / "out") == WORK
    assert names(folder) == ["out"]


def test_files_are_copied_to_another_file_system(far: Path, source: Path) -> None:
    (far / "out").mkdir()
    (far / "out" / "old").write_bytes(b"old")
    publish(source, far / "out")
    assert tree(far / "out") == tree(source) == WORK
    assert names(far) == ["out"]


def refuse_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(number, "simulated", str(target), None, str(self))

    monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_files_are_copied_where_they_cannot_be_linked(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_links(monkeypatch, number)
    publish(source, folder / "out")
    assert tree(folder / "out") == tree(source) == WORK
    assert not set(files_of(folder / "out").values()) & set(files_of(source).values())
    assert names(folder) == ["out", "scratch"]


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, EnvError), (errno.EROFS, EnvError), (errno.EIO, OSError)])
def test_failed_publication_leaves_both_folders_as_they_were(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "old").write_bytes(b"old")
    refuse_links(monkeypatch, number)
    with pytest.raises(kind):
        publish(source, folder / "out")
    assert tree(folder / "out") == {"old": b"old"}
    assert tree(source) == WORK
    assert names(folder) == ["out", "scratch"]


def test_nothing_is_published_in_the_place_of_a_file(folder: Path, source: Path) -> None:
    (folder / "out").write_bytes(b"mine")
    with pytest.raises(UserError, match="is a file"):
        publish(source, folder / "out")
    assert (folder / "out").read_bytes() == b"mine"
    assert tree(source) == WORK
    assert names(folder) == ["out", "scratch"]


def test_folder_is_removed_with_all_that_is_in_it(folder: Path, source: Path) -> None:
    remove_dir(source)
    assert names(folder) == []
    remove_dir(source)  # there is none


def test_folder_that_is_half_removed_has_another_name(
    folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in mid-removal: the next run must not take what is left for finished work."""

    def killed(path: Path, ignore_errors: bool) -> None:
        (path / "a").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_dir(source)
    assert not source.exists()
    assert [name.startswith(".scratch.") for name in names(folder)] == [True]


def test_sha256_is_the_digest_of_the_bytes(folder: Path) -> None:
    write_bytes(folder / "a", bytes(range(256)) * 99)
    assert sha256_file(folder / "a") == hashlib.sha256(bytes(range(256)) * 99).hexdigest()
