"""What the tests of files and of folders share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder whose name is hard to quote."""
    made = tmp_path / "with space 100 %d"
    made.mkdir()
    return made
