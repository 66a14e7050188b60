"""The environment says where work runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wsss.core.errors import EnvError, UserError
from wsss.numeric import device


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    assert 1 <= device.workers() <= 8
    monkeypatch.setenv("WSSS_WORKERS", "0")
    assert device.workers() == 0


@pytest.mark.parametrize("text", ["-1", "two", "1.5", "", "²"])
def test_wrong_number_of_workers_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WSSS_WORKERS", text)
    with pytest.raises(UserError) as caught:
        device.workers()
    assert str(caught.value) == (
        f"error: WSSS_WORKERS: found {text!r}, expected a whole number ≥ 0\n"
        "fix: unset WSSS_WORKERS or set it to a number"
    )


def test_device_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    assert device.device() == torch.device("cpu")
    monkeypatch.setenv("WSSS_DEVICE", "gpu")
    with pytest.raises(UserError, match="found 'gpu', expected auto, cpu, cuda or cuda:N"):
        device.device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WSSS_DEVICE", "cuda:1")
    with pytest.raises(EnvError, match="torch sees no GPU"):
        device.device()
    monkeypatch.setenv("WSSS_DEVICE", "auto")
    assert device.device() == torch.device("cpu")


def test_scratch_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WSSS_SCRATCH", raising=False)
    assert device.scratch_root() == Path(".scratch")
    monkeypatch.setenv("WSSS_SCRATCH", str(tmp_path))
    assert device.scratch_root() == tmp_path


def test_checkpoint_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_CHECKPOINT_SECONDS", "0")
    assert device.checkpoint_seconds() == 0.0
