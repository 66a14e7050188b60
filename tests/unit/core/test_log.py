"""What a person sees: plain lines without division by zero, and one summary."""

from __future__ import annotations

import json
import threading

import pytest

from tests.helpers import wait_until
from wsss.core import log
from wsss.core.command import json_text, show
from wsss.core.log import Progress, clock, looking_ahead, say, warn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (149, "2:29"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


class Clock:
    """`time.monotonic` that a test moves on."""

    now = 1000.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(log.time, "monotonic", lambda: moved.now)
    return moved


def test_plain_line(time: Clock) -> None:
    progress = Progress("cams", 591, "images")
    progress.advance(1)
    time.now += 40
    progress.advance(124, "x.jpg")
    assert progress.line(time.now) == "cams: 125/591 images (21 %), 3.1/s, eta 2:30, x.jpg"


def test_rate_leaves_out_the_start_and_what_was_there_already(time: Clock) -> None:
    progress = Progress("train", 100, "steps", done=80)
    time.now += 116  # the first step compiles
    progress.advance()
    assert progress.line(time.now) == "train: 81/100 steps (81 %)"
    for _ in range(9):
        time.now += 2
        progress.advance()
    assert progress.line(time.now) == "train: 90/100 steps (90 %), 0.5/s, eta 0:20"


def test_shards_that_two_workers_finish_together_are_no_rate(time: Clock) -> None:
    progress = Progress("cams", 128, "photos")
    for seconds, expected in ((30, ""), (0.5, ""), (29.5, ", 2.1/s, eta 0:15")):
        time.now += seconds
        progress.advance(32)
        assert progress.line(time.now).split(")")[1] == expected


@pytest.mark.parametrize(("total", "elapsed"), [(0, 0.0), (0, 1.0), (5, 0.0), (5, 1.0)])
def test_line_divides_by_nothing_that_may_be_zero(total: int, elapsed: float, time: Clock) -> None:
    percent = 100 if total == 0 else 0
    progress = Progress("x", total)
    progress.advance(0, "a.jpg")
    assert progress.line(time.now + elapsed) == f"x: 0/{total}  ({percent} %), a.jpg"


def test_log_file_gets_one_line_in_thirty_seconds(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("train", 100, "steps") as progress:
        for _ in range(100):
            time.now += 1.0
            progress.advance(note="loss 1")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" steps")[0] for line in err.splitlines()] == [
        "train: 30/100",
        "train: 60/100",
        "train: 90/100",
    ]
    assert "\x1b" not in err


def test_a_first_unit_that_takes_long_is_no_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "PLAIN_SECONDS", 0.3)
    with Progress("cams", 60, "photos"):
        wait_until(lambda: "cams: 0/60 photos (0 %)\n" in capsys.readouterr().err, 10)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress of cams" and not ended(thread)]


def ended(thread: threading.Thread) -> bool:
    thread.join(5)
    return not thread.is_alive()


def test_the_bar_tells_the_remaining_time_by_the_rule_of_the_line(time: Clock) -> None:
    progress = Progress("train", 100, "steps")
    time.now += 116  # the first step compiles
    progress.advance()
    assert progress.remaining() == "-:--"
    time.now += 18
    progress.advance(9)
    assert progress.remaining() == "3:00"
    assert progress.line(time.now).endswith("eta 3:00")


def test_the_bar_shows_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda self: True))
    monkeypatch.setattr(Progress, "remaining", lambda self: "12:34")
    with Progress("train", 100, "steps") as progress:
        progress.advance(5, "loss 1")
    shown = capsys.readouterr().err
    assert "5/100" in shown
    assert "12:34" in shown


@pytest.mark.parametrize("columns", [80, 120])
def test_a_wide_bar_tells_what_is_left_after_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("rich.console.Console.is_terminal", property(lambda self: True))
    with looking_ahead(lambda eta: f"all the rest, {eta}"), Progress("train", 100, "steps") as progress:
        progress.advance(5, "loss 1")
    shown = capsys.readouterr().err
    assert "5/100" in shown
    assert ("all the rest, None" in shown) == (columns == 120)


def test_warning_says_where_what_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    warn("a.csv", "odd", "mend it")
    assert capsys.readouterr().err == "warning: a.csv: odd\nfix: mend it\n"


def test_control_characters_of_foreign_names_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """A name may hold commands to the terminal: to clear it, to set its title, to turn the direction of writing."""
    say("a\x1b[2J b\r c\x9b d\u202e e\udc80 ü\t犬\nf")
    assert capsys.readouterr().err == "a\\x1b[2J b\\x0d c\\u009b d\\u202e e\\udc80 ü\t犬\nf\n"


def test_commands_show_them_too_and_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(json_text({"name": "\x1b[2J\x7f\x9b\u202e"}))
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x7f\x9b\u202e")
    assert json.loads(out) == {"name": "\x1b[2J\x7f\x9b\u202e"}
