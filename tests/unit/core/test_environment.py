"""The environment says where work runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.core import environment
from wsss.core.errors import UserError


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    assert 1 <= environment.workers() <= 8
    assert environment.asked_workers() is None
    monkeypatch.setenv("WSSS_WORKERS", "0")
    assert environment.workers() == environment.asked_workers() == 0


@pytest.mark.parametrize("text", ["-1", "two", "1.5", "", "²"])
def test_wrong_number_of_workers_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", text)
    with pytest.raises(UserError) as caught:
        environment.workers()
    assert str(caught.value) == (
        f"error: WSSS_WORKERS: found {text!r}, expected a whole number ≥ 0\n"
        "fix: unset WSSS_WORKERS or set it to a number"
    )


def test_scratch_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WSSS_SCRATCH", raising=False)
    assert environment.scratch_root() == Path(".scratch")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path))
    assert environment.scratch_root() == tmp_path


def test_checkpoint_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    assert environment.checkpoint_seconds() == 0.0
