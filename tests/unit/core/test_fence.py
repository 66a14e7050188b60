"""Files that a process makes elsewhere appear only as long as someone keeps that place for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.core import atomic
from wsss.core.atomic import atomic_file, write_text, write_through
from wsss.core.errors import UserError
from wsss.core.folders import remove_dir


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(atomic, "_desk", None)
    (tmp_path / "desk").mkdir()
    (tmp_path / "out").mkdir()
    write_through(tmp_path / "desk")
    return tmp_path / "desk"


def test_a_file_is_made_at_the_desk_and_renamed_from_there(desk: Path, tmp_path: Path) -> None:
    with atomic_file(tmp_path / "out/file") as temporary:
        assert temporary.parent == desk
        temporary.write_text("whole")
        assert not list((tmp_path / "out").iterdir())
    assert (tmp_path / "out/file").read_text() == "whole"
    assert not list(desk.iterdir())


def test_two_processes_of_the_same_number_make_different_files(desk: Path, tmp_path: Path) -> None:
    """As on two machines that make the same shard."""
    with atomic_file(tmp_path / "out/file") as one, atomic_file(tmp_path / "out/file") as two:
        assert one != two
        one.write_text("")
        two.write_text("")


def write_and_lose(desk: Path, path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("whole, and checked")
        remove_dir(desk)  # at the last moment


def test_without_its_desk_a_process_writes_nothing_any_more(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write_and_lose(desk, tmp_path / "out/file")
    assert not (tmp_path / "out/file").exists()
    with pytest.raises(UserError, match="no such folder"):
        write_text(tmp_path / "out/file", "from the start")
    with pytest.raises(UserError, match="no such folder"):
        write_text(tmp_path / "gone/file", "in a folder that was removed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert not list((tmp_path / "out").iterdir())
