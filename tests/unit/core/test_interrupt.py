"""Signals become one flag."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.helpers import running
from wsss.core.errors import InterruptedStage
from wsss.core.interrupt import catch_signals, check_stop, end_by_signals, stop_requested


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_asks_for_a_stop(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with catch_signals():
        check_stop()
        os.kill(os.getpid(), number)
        assert stop_requested()
        with pytest.raises(InterruptedStage) as caught:
            check_stop()
        assert str(caught.value) == (
            f"stopped ({number.name}): finished work is kept; the same command goes on from there"
        )
    assert signal.getsignal(number) is before
    assert not stop_requested()


def test_second_ctrl_c_stops_at_once() -> None:
    with catch_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_after_sigterm_is_not_yet_the_second() -> None:
    with catch_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(InterruptedStage, match="SIGTERM"):
            check_stop()


def test_catching_inside_of_catching_changes_nothing() -> None:
    with catch_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        with catch_signals():
            assert stop_requested()
        with pytest.raises(InterruptedStage):
            check_stop()


STARTING = """
import sys
sys.argv[0] = "-m"
import pipeline
print("ready", flush=True)
while True:
    try:
        import an_import_of_seconds
    except ImportError:
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_while_a_stage_starts_is_one_line(tmp_path: Path, number: signal.Signals) -> None:
    with running("-c", STARTING, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 75
    assert errors == f"stopped ({number.name}) before anything was begun; the same command starts again\n"


def test_pipeline_that_is_only_imported_takes_no_signal() -> None:
    assert "pipeline" in sys.modules or __import__("pipeline")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


COMMAND = """
import sys, time
from wsss.core.atomic import atomic_file
from wsss.core.command import people_command
from pathlib import Path
def main():
    with atomic_file(Path("out")) as temporary:
        temporary.touch()
        print("ready", flush=True)
        time.sleep(60)
    return ""
people_command(main)()
"""


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "stopped (SIGINT)")]
)
def test_signal_leaves_no_half_written_file(tmp_path: Path, number: signal.Signals, code: int, said: str) -> None:
    with running("-c", COMMAND, cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.startswith(said)
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_handlers_are_those_of_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with end_by_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
