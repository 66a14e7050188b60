"""Which device torch runs on."""

from __future__ import annotations

import pytest
import torch

from wsss.core.errors import EnvError, UserError
from wsss.numeric import device


def test_device_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    assert device.device() == torch.device("cpu")
    monkeypatch.setenv("WSSS_DEVICE", "gpu")
    with pytest.raises(UserError, match="found 'gpu', expected auto, cpu, cuda, cuda:N or mps"):
        device.device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WSSS_DEVICE", "cuda:1")
    with pytest.raises(EnvError, match="torch sees no GPU"):
        device.device()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("WSSS_DEVICE", "mps")
    with pytest.raises(EnvError, match="torch sees no GPU of a Mac"):
        device.device()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.device().type == "mps"
    monkeypatch.setenv("WSSS_DEVICE", "auto")
    assert device.device() == torch.device("cpu")
