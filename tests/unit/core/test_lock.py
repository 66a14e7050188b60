"""One writer at a time: by flock, by what Windows has instead, and what the library `filelock` does otherwise."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import filelock
import pytest

from tests.helpers import names, running, wait_until
from tests.toy_windows import msvcrt
from wsss.core import lock, system
from wsss.core.errors import EnvError, UserError
from wsss.core.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from filelock import FileLock
from wsss.core.lock import locked
path = Path(sys.argv[2])
with FileLock(path) if sys.argv[1] == "filelock" else locked(path, "busy"):
    path.with_name("held").touch()
    time.sleep(60)
"""


def on_windows(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """`wsss.core.system` where there is no fcntl."""
    with monkeypatch.context() as lacking:
        lacking.setattr(sys, "platform", "win32")
        lacking.setitem(sys.modules, "fcntl", None)
        lacking.setitem(sys.modules, "msvcrt", msvcrt())
        spec = importlib.util.spec_from_file_location("system_of_windows", system.__file__)
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    return made


@pytest.fixture(params=["linux", "win32"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The system whose locks are used. Windows removes no file that is open."""
    if request.param == "win32":
        windows = on_windows(monkeypatch)

        def lock_file(handle: TextIO, wait: bool = False) -> None:
            with monkeypatch.context() as there:
                there.setattr(windows.sys, "platform", "win32")
                windows.lock_file(handle, wait)

        def unlink(path: Path, missing_ok: bool = False) -> None:
            raise PermissionError(errno.EACCES, "open", str(path))

        monkeypatch.setattr(lock, "lock_file", lock_file)
        monkeypatch.setattr(Path, "unlink", unlink)
    yield request.param
    monkeypatch.undo()


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "x.lock"


def test_the_second_is_told_who_holds_it_and_the_third_gets_it(path: Path, kind: str) -> None:
    for _ in range(2):
        with locked(path, "out is being written"):
            with pytest.raises(UserError) as caught, locked(path, "out is being written"):
                pass
            assert caught.value.what == f"out is being written (PID {os.getpid()}: {' '.join(sys.argv)})"
    assert names(path.parent) == ([] if kind == "linux" else ["x.lock"])


def test_who_waits_is_told_once_and_gets_it(path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    turns: list[str] = []

    def second() -> None:
        with locked(path, "busy", wait=True):
            turns.append("second")

    with locked(path, "busy"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(3 * lock.LOOKS)
        turns.append("first")
    thread.join(10)
    assert turns == ["first", "second"]
    assert capsys.readouterr().err.count(f"waiting: busy (PID {os.getpid()}") == 1


def test_a_file_that_its_holder_removed_in_between_is_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first would hold a file that has no name, and the second a new one of the same name."""
    attempts = 0

    def removed(handle: TextIO) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            path.unlink()
        system.lock_file(handle)

    monkeypatch.setattr(lock, "lock_file", removed)
    with locked(path, "busy"):
        assert attempts == 2
        monkeypatch.undo()
        with pytest.raises(UserError, match=f"PID {os.getpid()}"), locked(path, "busy"):
            pass


def test_windows_waits_longer_than_ten_seconds_for_a_loop_that_is_compiled(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = on_windows(monkeypatch)
    asked = 0
    locking = windows.msvcrt.locking

    def count(descriptor: int, mode: int, length: int) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            first.close()
        locking(descriptor, mode, length)

    monkeypatch.setattr(windows.msvcrt, "locking", count)
    monkeypatch.setattr(sys, "platform", "win32")
    with path.open("w") as first, path.open("w") as second:
        windows.lock_file(first, wait=True)
        windows.lock_file(second, wait=True)
    assert asked == 3


@pytest.mark.parametrize("number", lock.NO_LOCKS)
def test_a_file_system_without_locks_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(handle: TextIO) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock, "lock_file", refuse)
    with pytest.raises(EnvError, match="its file system has no locks") as caught, locked(path, "busy"):
        pass
    assert "WSSS_SCRATCH" in caught.value.fix


@pytest.mark.parametrize("kind", ["filelock", "ours"])
def test_a_killed_holder_leaves_no_lock(path: Path, kind: str) -> None:
    with running("-c", HOLD, kind, str(path), cwd=path.parent) as process:
        wait_until(path.with_name("held").exists)
        with pytest.raises(UserError), locked(path, "busy"):
            pass
        process.kill()
        process.wait()
    with locked(path, "busy"), pytest.raises(filelock.Timeout), filelock.FileLock(path, timeout=0):
        pass


def test_filelock_names_nobody_and_leaves_its_file(path: Path) -> None:
    """If this fails, look whether filelock can take the place of `core.lock`."""
    with filelock.FileLock(path):
        with pytest.raises(filelock.Timeout) as caught, filelock.FileLock(path, timeout=0):
            pass
        assert str(os.getpid()) not in str(caught.value) + path.read_text()
    assert names(path.parent) == ["x.lock"]
    with locked(path, "busy"):
        pass
    assert names(path.parent) == []
