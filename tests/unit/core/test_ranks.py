"""A stage starts the processes of its training itself: they are told who they are, and end together."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import REPO, by_srun, by_torchrun, running, wait_until
from wsss.core import ranks
from wsss.core.errors import EnvError, UserError
from wsss.core.interrupt import catch_signals


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in os.environ:
        if name.startswith(("SLURM_", "MASTER_", "WSSS_PROCESSES")) or name.endswith(("RANK", "WORLD_SIZE")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(ranks, "PATIENCE", 0.5)
    with catch_signals():
        yield


def no_gpu() -> int:
    return 0


@pytest.mark.parametrize(
    ("text", "gpus", "count"),
    [(None, 4, 1), ("1", 4, 1), ("3", 0, 3), ("gpus", 4, 4), ("auto", 4, 4), ("gpus", 1, 1), ("gpus", 0, 1)],
)
def test_the_environment_says_how_many(
    monkeypatch: pytest.MonkeyPatch, text: str | None, gpus: int, count: int
) -> None:
    if text is not None:
        monkeypatch.setenv("WSSS_PROCESSES", text)
    assert ranks.asked_processes(lambda: gpus) == count


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "1.5", "²", "GPUS"])
def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WSSS_PROCESSES", text)
    with pytest.raises(UserError) as caught:
        ranks.asked_processes(no_gpu)
    assert str(caught.value) == (
        f"error: WSSS_PROCESSES: found {text!r}, expected a whole number ≥ 1, or gpus\n"
        "fix: unset WSSS_PROCESSES, or set it to a number, or to gpus: one process for each GPU"
    )


@pytest.mark.parametrize("told", [by_torchrun("1"), by_srun("1")])
def test_processes_do_not_start_processes(monkeypatch: pytest.MonkeyPatch, told: dict[str, str]) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert ranks.asked_processes(no_gpu) == 1
    monkeypatch.setenv("WSSS_PROCESSES", "4")
    with pytest.raises(UserError, match="WSSS_PROCESSES: found 4, and torchrun or srun has started 2 processes"):
        ranks.asked_processes(no_gpu)


def script(text: str) -> list[str]:
    """Arguments of Python: `text`, with `rank` and `say`."""
    return ["-c", f"import os, signal, sys, time\nrank, say = os.environ['RANK'], sys.stderr.write\n{text}"]


def test_each_is_told_which_it_is_and_the_first_one_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "WSSS_LAUNCHER")
    ranks.run_ranks(
        script(f"say(f'I am {{rank}}\\n'); open(rank, 'w').write(' '.join(map(os.environ.get, {names})))"), 3
    )
    told = [Path(rank).read_text().split() for rank in "012"]
    assert [each[:5] for each in told] == [[rank, rank, "3", "3", "127.0.0.1"] for rank in "012"]
    assert len({each[5] for each in told}) == 1
    assert {each[6] for each in told} == {str(os.getpid())}
    assert capfd.readouterr().err == "I am 0\n"


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        # The other one waits in vain: it is ended.
        ("time.sleep(60 if rank == '0' else 0); say(f'error: rank {rank}\\n'); sys.exit(3)", "error: rank 1\n", 3),
        ("time.sleep(60 if rank == '1' else 0); say(f'error: rank {rank}\\n'); sys.exit(4)", "error: rank 0\n", 4),
        # Both fail alike, and it is said once.
        ("say(f'error: rank {rank}\\n'); sys.exit(2)", "error: rank 0\n", 2),
        # One ends because the other did, and ends first.
        (
            "time.sleep(int(rank) / 3)\nif rank == '0': sys.exit(76)\nsay('error: why\\n'); sys.exit(2)",
            "error: why\n",
            2,
        ),
        # One of those that were asked to stop had failed already.
        ("if rank == '0': sys.exit(75)\nsay('error: why\\n'); sys.exit(2)", "error: why\n", 2),
        ("say('stopped\\n'); sys.exit(75)", "stopped\n", 75),
    ],
)
def test_the_one_that_failed_says_why(text: str, said: str, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    with pytest.raises(SystemExit) as caught:
        ranks.run_ranks(script(text), 2)
    assert caught.value.code == code
    assert capfd.readouterr().err == said
    assert time.monotonic() - begun < 30


def test_of_hours_of_progress_the_end_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    text = "if rank == '1': say('step\\n' * 1000 + 'error: x\\nfix: y\\n'); sys.exit(2)\ntime.sleep(60)"
    with pytest.raises(SystemExit):
        ranks.run_ranks(script(text), 2)
    said = capfd.readouterr().err
    assert said.endswith("step\nerror: x\nfix: y\n")
    assert len(said.splitlines()) == ranks.LAST_LINES


def test_one_that_is_killed_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    text = (
        "if rank == '1': say('working\\n', ), sys.stderr.flush(), os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)"
    )
    with pytest.raises(EnvError, match=re.escape("process 2 of 2: was ended by SIGKILL, so the training ended")):
        ranks.run_ranks(script(text), 2)
    assert capfd.readouterr().err == "working\n"


STARTER = """
from wsss.core.interrupt import catch_signals
from wsss.core.ranks import run_ranks
if __name__ == "__main__":
    with catch_signals():
        run_ranks(["rank.py"], 2)
"""
RANK = """
import os, signal, sys, time
from pathlib import Path
from wsss.core.ranks import LAUNCHER, begin_as_rank, end_for_others
begin_as_rank()
assert LAUNCHER not in os.environ
rank = os.environ["RANK"]
def stop(number, frame):
    Path("stopped" + rank).touch()
    sys.stderr.write(f"stopped {rank}\\n")
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, signal.SIG_IGN)
Path("begun" + rank).touch()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL])
def test_a_signal_to_the_stage_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    if number == signal.SIGKILL and not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a process of the end of its parent")
    (tmp_path / "start.py").write_text(STARTER)
    (tmp_path / "rank.py").write_text(RANK)
    with running("start.py", cwd=tmp_path, PYTHONPATH=str(REPO)) as run:
        wait_until(lambda: len(list(tmp_path.glob("begun*"))) == 2 or run.poll() is not None)
        run.send_signal(number)
        wait_until(lambda: len(list(tmp_path.glob("stopped*"))) == 2)
        _, errors = run.communicate(timeout=30)
    if number == signal.SIGKILL:
        assert run.returncode == -signal.SIGKILL
    else:
        assert (run.returncode, errors) == (75, "stopped 0\n")


def test_only_ranks_end_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks.end_for_others()
    monkeypatch.setattr(ranks, "_launched", True)
    with pytest.raises(SystemExit) as caught:
        ranks.end_for_others()
    assert caught.value.code == ranks.BY_OTHERS
    monkeypatch.setenv("WSSS_PROCESSES", "4")
    assert ranks.asked_processes(no_gpu) == 1
