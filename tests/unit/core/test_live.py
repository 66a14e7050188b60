"""What a stage tells whoever looks on, and that telling never disturbs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsss.core import live
from wsss.core.errors import UserError
from wsss.core.live import aside, note_history, note_tags, note_words, show_answer, telling, told
from wsss.core.log import Progress, phase


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path))
    return tmp_path / "live"


def ahead(eta: float | None) -> dict[str, Any]:
    return {"spent": 5.0, "left": eta, "rest": None}


def write_now() -> None:
    """What the thread does every other second."""
    assert live._live is not None
    live._live.write()


def test_phases_tags_and_the_work_at_hand_are_told(scratch: Path) -> None:
    with telling("distill", "f", ahead), phase("student 1 of 2"), Progress("distill", 8, "steps", 2) as progress:
        progress.advance(note="loss 0.5")
        note_history([{"epoch": 1, "loss": 0.5}], 4)
        note_tags({0: 0.25, 2: 0.75})
        note_words("usable")
        write_now()
        found = told(scratch)["distill"]
    assert found["works"] == [
        {"label": "distill: student 1 of 2", "unit": "steps", "note": "loss 0.5", "done": 3, "total": 8, "eta": None}
    ]
    assert found["phases"] == {"student 1 of 2": {"epochs": 4, "rows": [{"epoch": 1, "loss": 0.5}]}}
    assert found["tags"] == {"0": 0.25, "2": 0.75}
    assert (found["state"], found["spent"]) == ("runs", 5.0)
    assert told(scratch)["distill"]["state"] == "done"
    assert not told(scratch)["distill"]["works"]
    assert told(scratch)["distill"]["words"] == "usable"


def test_how_a_stage_ended_is_told(scratch: Path) -> None:
    with pytest.raises(UserError), telling("train", "f", ahead):
        raise UserError("train step 3", "loss not finite", "lower train.optim.lr")
    assert told(scratch)["train"]["why"] == "error: train step 3: loss not finite"
    assert told(scratch)["train"]["state"] == "stopped"


def test_outside_of_a_stage_nothing_is_told_or_shown(scratch: Path) -> None:
    note_history([{"epoch": 1}], 1)
    note_tags({0: 0.5})
    note_words("usable")
    aside(lambda: pytest.fail("nobody can look"))
    assert not scratch.exists()


def full(path: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def broken() -> None:
    raise RuntimeError("CUDA out of memory\nand more")


@pytest.mark.parametrize("spoil", ["put", "folder is a file"])
def test_what_cannot_be_written_is_one_warning(
    spoil: str, scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if spoil == "put":
        monkeypatch.setattr(live, "put", full)
    else:
        scratch.write_text("")
    with telling("train", "f", ahead):
        aside(broken)
        for _ in range(3):
            write_now()
    assert capsys.readouterr().err.count("warning: ") == 1


def test_pictures_that_fail_are_one_warning(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with telling("train", "f", ahead):
        aside(broken)
        aside(lambda: pytest.fail("it is not tried again"))
    assert capsys.readouterr().err == (
        f"warning: {scratch}: no live pictures (CUDA out of memory)\n"
        "fix: none needed: wsss watch shows less, results are the same\n"
    )
    assert told(scratch)["train"]["state"] == "done"


def test_pictures_take_a_hundredth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, epochs, drawn = [0.0], 200, []
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])

    def show(epoch: int) -> None:
        drawn.append(epoch)
        now[0] += 0.4

    with telling("train", "f", ahead):
        for epoch in range(epochs):
            now[0] += 10.0
            aside(lambda epoch=epoch: show(epoch))  # type: ignore[misc]
    assert drawn[0] == 0
    assert 0.008 < 0.4 * len(drawn) / now[0] <= 0.01 + 0.4 / now[0]


def test_the_photo_is_made_once_and_the_answer_each_time(scratch: Path) -> None:
    made: list[str] = []

    def photo() -> bytes:
        made.append("photo")
        return b"jpeg"

    def show(epoch: int) -> Callable[[], None]:
        return lambda: show_answer("a/b", epoch, ["background", "cow"], f"png {epoch}".encode(), photo, kind="heat")

    with telling("train", "f", ahead):
        for epoch in (1, 2):
            assert live._live is not None
            live._live.spent = 0.0  # as if it cost nothing
            aside(show(epoch))
    assert made == ["photo"]
    assert (scratch / "train/0.jpg").read_bytes() == b"jpeg"
    assert (scratch / "train/0.png").read_bytes() == b"png 2"
    assert told(scratch)["train"]["photos"] == {"a/b": {"number": 0, "epoch": 2, "phase": "", "kind": "heat"}}


def test_what_is_damaged_is_left_out(scratch: Path) -> None:
    scratch.mkdir()
    for name, text in (("train", "{"), ("cams", "[]"), ("index", json.dumps({"stage": "demo"}))):
        (scratch / f"{name}.json").write_text(text)
    assert told(scratch) == {}
