"""Networks are loaded once a process, and anew where their file has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from wsss.core.errors import UserError
from wsss.core.kept import MOST, forget, kept
from wsss.models.oste import load_oste


class Counted:
    """A loader that remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def __call__(self, path: Path, stride: int) -> tuple[nn.Module, str]:
        self.calls.append((path.read_text(), stride))
        return nn.Identity(), "card"


def test_same_file_and_arguments_give_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, file = Counted(), tmp_path / "a.pt"
    file.write_text("one")
    network = kept(load, file, 8)
    monkeypatch.chdir(tmp_path)
    assert kept(load, Path("a.pt"), 8) is network
    assert kept(load, file, 16) is not network
    assert load.calls == [("one", 8), ("one", 16)]


def test_changed_file_is_loaded_anew(tmp_path: Path) -> None:
    load, file = Counted(), tmp_path / "a.pt"
    for content in ("one", "two"):  # of one length
        written = tmp_path / "new"
        written.write_text(content)
        written.replace(file)
        kept(load, file, 8)
    assert load.calls == [("one", 8), ("two", 8)]


def test_few_networks_are_kept_and_none_after_forget(tmp_path: Path) -> None:
    load, files = Counted(), [tmp_path / f"{n}.pt" for n in range(MOST + 1)]
    for file in files:
        file.write_text(file.name)
        kept(load, file, 8)
    kept(load, files[-1], 8)
    assert len(load.calls) == MOST + 1
    kept(load, files[0], 8)
    assert len(load.calls) == MOST + 2
    forget()
    kept(load, files[0], 8)
    assert len(load.calls) == MOST + 3


def test_missing_file_is_said_by_its_loader(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        kept(load_oste, tmp_path / "none.pt", ("background", "a"))
