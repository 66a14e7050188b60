"""A sample of the torture, of the same code: `make torture MINUTES=30` goes on for as long as one likes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.torture.cuts import cut_once
from tests.torture.finished import Run, finish
from tests.torture.flips import flip_once
from tests.torture.fuzz import fuzz_once
from tests.torture.kills import kill_once

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("torture") / "a run 100 %")


def test_killed_stages_end_with_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        assert kill_once(run, tmp_path / "killed", random.Random(f"kill {number}")) == []


def test_stages_cut_at_a_call_of_the_file_system_end_with_the_same_bytes(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        assert cut_once(run, tmp_path / "cut", random.Random(f"cut {number}")) == []


def test_flipped_bits_are_told(run: Run) -> None:
    for number in range(60):
        assert flip_once(run, random.Random(f"flip {number}")) == []


@pytest.mark.filterwarnings("ignore")  # Pillow and h5py warn of what they then refuse
def test_spoilt_files_are_told(tmp_path: Path) -> None:
    for number in range(300):
        assert fuzz_once(tmp_path, random.Random(f"fuzz {number}")) == []
