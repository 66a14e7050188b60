"""A sample of the torture, of the same code: `make torture MINUTES=30` goes on for as long as one likes."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.torture.__main__ import main, torment
from tests.torture.cuts import cut_once
from tests.torture.finished import Run, before, finish, start, wrong_at_the_end
from tests.torture.flips import flip_once
from tests.torture.fuzz import fuzz_once
from tests.torture.kills import kill_once
from tests.torture.races import race_once
from tests.torture.signals import signal_once

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


def test_half_made_file_in_a_folder_of_scratch_is_not_published_with_it(run: Run, tmp_path: Path) -> None:
    work = before(run, tmp_path / "cut", "distill")
    with start(work, "distill", "tests.torture.cutting epochs/0002 kill distill") as process:
        process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert len(list(work.glob(".scratch/distill/*/epochs/0002/.*.tmp"))) == 1
    assert wrong_at_the_end(run, work, "distill") == []


def test_runs_at_once_end_with_the_same_bytes_or_are_refused(run: Run, tmp_path: Path) -> None:
    assert race_once(run, tmp_path / "raced", random.Random("race 0")) == []


def test_signals_in_the_first_seconds_are_one_line(run: Run, tmp_path: Path) -> None:
    for number in range(2):
        assert signal_once(run, tmp_path / "signalled", random.Random(f"signal {number}")) == []


def test_flipped_bits_are_told(run: Run) -> None:
    for number in range(60):
        assert flip_once(run, random.Random(f"flip {number}")) == []


@pytest.mark.filterwarnings("ignore")  # Pillow and h5py warn of what they then refuse
def test_spoilt_files_are_told(tmp_path: Path) -> None:
    for number in range(300):
        assert fuzz_once(tmp_path, random.Random(f"fuzz {number}")) == []


def test_failure_is_printed_with_what_repeats_it_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def work(rng: random.Random) -> list[str]:
        number = rng.random()
        if number == random.Random("7 kills 4").random():
            return ["other bytes"]
        if number == random.Random("7 kills 5").random():
            raise TimeoutError("late")
        return []

    assert torment("kills", work, seed=7, first=3, count=4, seconds=0.0) == 2
    said = capsys.readouterr().out
    assert "kills 4: other bytes\nagain: python -m tests.torture --kills 1 --first 4 --seed 7\n" in said
    assert "TimeoutError: late" in said
    assert "kills: 2 of 4 right (seed 7, " in said


def test_neither_minutes_nor_counts_is_refused() -> None:
    assert CliRunner().invoke(main, []).exit_code == 2
