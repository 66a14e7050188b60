"""Folders appear whole or not at all, and replace nothing but what wsss has written itself."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import names
from wsss.core.atomic import write_bytes
from wsss.core.errors import EnvError, IntegrityError, UserError
from wsss.core.folders import MARK, atomic_dir, marked, publish, refuse_foreign, remove_dir, sweep, sweep_inside


def earlier(path: Path) -> None:
    """A folder that wsss has written."""
    with atomic_dir(path) as temporary:
        (temporary / "old").write_bytes(b"old")


def tree(folder: Path) -> dict[str, bytes]:
    """Contents of all files below `folder` but the mark."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MARK]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


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


def test_atomic_dir_replaces_the_whole_folder(folder: Path) -> None:
    path = folder / "out"
    earlier(path)
    with atomic_dir(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "new").write_text("x")
        assert names(path) == [MARK, "old"]
    assert names(path) == [MARK, "sub"]
    assert names(folder) == ["out"]


def test_atomic_dir_keeps_the_old_folder_on_failure(folder: Path) -> None:
    path = folder / "out"
    earlier(path)
    with pytest.raises(ZeroDivisionError), atomic_dir(path):
        _ = 1 / 0
    assert names(path) == [MARK, "old"]
    assert names(folder) == ["out"]


def test_mark_lists_the_checksums_as_sha256sum_reads_them(folder: Path) -> None:
    with atomic_dir(folder / "out") as temporary:
        (temporary / "a b").write_bytes(b"1")
        (temporary / "sub").mkdir()
        (temporary / "sub" / "ü").write_bytes(b"2")
    done = subprocess.run(["sha256sum", "-c", MARK], cwd=folder / "out", capture_output=True, text=True, check=True)
    assert done.stdout == "a b: OK\nsub/ü: OK\n"


FOREIGN = ("mine.png", "sub/mine.png", "sub/deep/mine.png", ".hidden")


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("marked_before", [False, True])
def test_hand_made_files_are_never_replaced(folder: Path, source: Path, name: str, marked_before: bool) -> None:
    out = folder / "out"
    if marked_before:
        earlier(out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(b"mine")
    before = tree(folder)
    for write in (lambda: publish(source, out), lambda: atomic_dir(out).__enter__(), lambda: refuse_foreign(out)):
        with pytest.raises(UserError, match=f"holds files that wsss did not write, e.g. {name}"):
            write()
    assert tree(folder) == before


def test_hand_edited_file_is_never_replaced(folder: Path, source: Path) -> None:
    earlier(folder / "out")
    (folder / "out" / "old").write_bytes(b"mended by hand")
    with pytest.raises(UserError, match=r"files in it were changed since wsss wrote them, e\.g\. old"):
        publish(source, folder / "out")
    assert tree(folder / "out") == {"old": b"mended by hand"}


@pytest.mark.parametrize("text", ["", "no list", "{", "a  ../../b\n"])
def test_mark_that_says_nothing_protects_nothing_else(folder: Path, source: Path, text: str) -> None:
    (folder / "out").mkdir()
    (folder / "out" / MARK).write_text(text)
    (folder / "out" / "mine").write_bytes(b"mine")
    with pytest.raises(UserError):
        publish(source, folder / "out")
    assert tree(folder / "out") == {"mine": b"mine"}


def test_store_is_known_by_its_index(folder: Path, source: Path) -> None:
    out = folder / "out"
    out.mkdir()
    index = {"format": "wsss.cams", "shards": [{"name": "00000.h5", "sha256": "0"}]}
    (out / "index.json").write_text(json.dumps(index))
    (out / "00000.h5").write_bytes(b"1")
    refuse_foreign(out)
    (out / "00001.h5").write_bytes(b"1")
    with pytest.raises(UserError, match="did not write"):
        refuse_foreign(out)
    (out / "00001.h5").unlink()
    (out / "index.json").write_text(json.dumps({**index, "format": "other"}))
    with pytest.raises(UserError, match="did not write"):
        publish(source, out)


def test_link_is_not_followed(folder: Path, source: Path) -> None:
    earlier(folder / "album")
    (folder / "out").symlink_to(folder / "album")
    with pytest.raises(UserError, match="is a link"):
        publish(source, folder / "out")
    assert tree(folder / "album") == {"old": b"old"}


def test_marked_folder_is_compared_with_its_mark(folder: Path) -> None:
    assert not marked(folder, "fix")
    earlier(folder / "out")
    assert marked(folder / "out", "fix")
    (folder / "out" / "old").write_bytes(b"odd")
    with pytest.raises(IntegrityError, match="is damaged"):
        marked(folder / "out", "fix")
    (folder / "out" / "old").unlink()
    with pytest.raises(IntegrityError, match="is damaged"):
        marked(folder / "out", "fix")


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("kind", ["tmp", "new", "old", "published", "removed"])
def test_what_dead_processes_left_is_swept(folder: Path, source: Path, dead: int, kind: str) -> None:
    earlier(folder / "out")
    for process in (dead, os.getppid()):
        (folder / f".out.{process}.{kind}").mkdir()
    others = [f".output.{dead}.tmp", f".out.{dead}.mine", ".out.tmp", "out.1.tmp"]
    for name in others:
        (folder / name).write_bytes(b"mine")
    publish(source, folder / "out")
    assert names(folder) == sorted(["out", "scratch", f".out.{os.getppid()}.{kind}", *others])


def test_folder_that_was_put_aside_comes_back(folder: Path, dead: int) -> None:
    """A kill between the two renames of a replacement."""
    earlier(folder / "out")
    (folder / "out").rename(folder / f".out.{dead}.old")
    sweep(folder / "out")
    assert tree(folder / "out") == {"old": b"old"}
    assert names(folder) == ["out"]


WORK = {"a": b"1", "sub/b": b"2"}


def files_of(folder: Path) -> dict[str, int]:
    """The inode of every file below `folder` but the mark: equal where two names are one file."""
    return {name: (folder / name).stat().st_ino for name in tree(folder)}


def test_published_files_are_those_of_the_source(folder: Path, source: Path) -> None:
    publish(source, folder / "deep" / "out")
    assert tree(folder / "deep" / "out") == tree(source) == WORK
    assert files_of(folder / "deep" / "out") == files_of(source)
    assert names(folder / "deep") == ["out"]


def test_publishing_replaces_the_whole_folder_as_often_as_one_likes(folder: Path, source: Path) -> None:
    earlier(folder / "out")
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
    earlier(far / "out")
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
    earlier(folder / "out")
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


def test_files_that_were_never_finished_are_swept_from_all_of_a_folder(source: Path) -> None:
    before = tree(source)
    for name in (".a.1.tmp", "sub/.b.png.99999999.tmp", f"sub/.c.{os.getpid()}.tmp"):
        (source / name).write_bytes(b"half")
    sweep_inside(source)
    assert tree(source) == before


def test_names_that_only_look_like_them_stay(source: Path) -> None:
    for name in (".hidden.tmp", "a.1.tmp", ".a.1", "sub/.b.1x.tmp"):
        (source / name).write_bytes(b"mine")
    before = tree(source)
    sweep_inside(source)
    assert tree(source) == before
