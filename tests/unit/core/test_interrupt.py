"""Signals become one flag."""

from __future__ import annotations

import os
import signal

import pytest

from wsss.core.errors import InterruptedStage
from wsss.core.interrupt import catch_signals, check_stop, stop_requested


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
            f"error: {number.name}: stopped; finished work is kept\nfix: run the same command again to continue"
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
