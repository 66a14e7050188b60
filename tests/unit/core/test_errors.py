"""Messages, exit codes, and the way of an error out of a worker process."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from wsss.core.command import guarded
from wsss.core.errors import (
    EnvError,
    ErrorList,
    IntegrityError,
    InterruptedStage,
    UserError,
    WsssError,
    did_you_mean,
    raise_all,
    which_id,
)


def test_message_is_place_reason_remedy() -> None:
    assert (
        str(UserError("tags.csv:88", "unknown class", "edit line 88"))
        == "error: tags.csv:88: unknown class\nfix: edit line 88"
    )


def test_exit_codes() -> None:
    codes = {kind: kind.exit_code for kind in (WsssError, UserError, EnvError, IntegrityError, InterruptedStage)}
    assert list(codes.values()) == [1, 2, 3, 4, 75]


def test_raise_all_raises_nothing_one_or_all() -> None:
    first, second = IntegrityError("a", "b", "c"), UserError("d", "e", "f")
    raise_all([])
    with pytest.raises(IntegrityError) as one:
        raise_all([first])
    assert one.value is first
    with pytest.raises(ErrorList) as many:
        raise_all([first, second])
    assert str(many.value) == f"{first}\n{second}"
    assert many.value.exit_code == 4


@pytest.mark.parametrize(
    "error", [UserError("a", "b", "c"), ErrorList([EnvError("a", "b", "c"), UserError("d", "e", "f")])]
)
def test_errors_travel_between_processes(error: WsssError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert (str(copy), copy.exit_code) == (str(error), error.exit_code)


def test_an_id_is_meant_that_is_one_edit_away_or_lacks_folder_and_ending() -> None:
    ids = [f"images/scene_{number:04}" for number in range(200)] + ["a/x.b", "c/x"]
    for word, meant in (
        ("images/scene_0070x", "images/scene_0070"),
        ("images/scene_070", "images/scene_0070"),
        ("images/scnee_0070", "images/scene_0070"),
        ("images/Scene_0070", "images/scene_0070"),
        ("images/scene.0070", "images/scene_0070"),
        ("scene_0070", "images/scene_0070"),
        ("data/images/scene_0070.jpg", "images/scene_0070"),
        ("x.b", "a/x.b"),
        ("x.png", "c/x"),
        ("d/x", "c/x"),
    ):
        assert which_id(word, ids) == f" (did you mean {meant!r}?)", word
    for word in ("scene_9999", "images/scene_9999", "images/scene_1299", "", "/", "."):
        assert which_id(word, ids) == "", word
    assert which_id("x", []) == ""


def test_did_you_mean_names_only_what_is_close() -> None:
    assert did_you_mean("botle", ["bottle", "boat"]) == " (did you mean 'bottle'?)"
    assert did_you_mean("zebra", ["bottle", "boat"]) == ""
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize("name", ["full/store", None], ids=["a folder", "no name"])
def test_a_full_disk_is_no_bug_wherever_it_is_met(
    name: str | None, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def work() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    with pytest.raises(SystemExit) as stopped:
        guarded(work, False)
    said = capsys.readouterr().err
    assert stopped.value.code == EnvError.exit_code
    assert said.startswith(f"error: {name or tmp_path}: disk full")
    assert "this is a bug" not in said
