"""What a person sees: plain lines without division by zero, and one summary."""

from __future__ import annotations

import pytest

from wsss.core import log
from wsss.core.log import Progress, clock, warn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (149, "2:29"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_plain_line() -> None:
    progress = Progress("cams", 591, "images")
    progress.advance(128, "x.jpg")
    assert progress.line(41.0) == "cams: 128/591 images (21 %), 3.1/s, eta 2:28, x.jpg"


def test_resumed_work_counts_only_what_is_new_in_its_rate() -> None:
    progress = Progress("cams", 100, "images", done=80)
    progress.advance(10)
    assert progress.line(5.0) == "cams: 90/100 images (90 %), 2/s, eta 0:05"


@pytest.mark.parametrize(("total", "elapsed"), [(0, 0.0), (0, 1.0), (5, 0.0), (5, 1.0)])
def test_line_divides_by_nothing_that_may_be_zero(total: int, elapsed: float) -> None:
    percent = 100 if total == 0 else 0
    assert Progress("x", total).line(elapsed) == f"x: 0/{total}  ({percent} %), 0/s, eta unknown"


def test_log_file_gets_one_line_in_thirty_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(log.time, "monotonic", lambda: now)
    with Progress("train", 100, "steps") as progress:
        for _ in range(100):
            now += 1.0
            progress.advance(note="loss 1")
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" steps")[0] for line in err.splitlines()] == [
        "train: 30/100",
        "train: 60/100",
        "train: 90/100",
    ]
    assert "\x1b" not in err


def test_warning_says_where_what_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    warn("a.csv", "odd", "mend it")
    assert capsys.readouterr().err == "warning: a.csv: odd\nfix: mend it\n"
