"""One training over several processes of this machine, which the stage itself starts (`WSSS_PROCESSES`).

The stage's process trains nothing: it starts its own command once for each rank, tells each what `torchrun` would, and
waits. All end together. Only the first rank speaks to the person; of the others, that one which failed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, NoReturn

from wsss.core.environment import world
from wsss.core.errors import EnvError, InterruptedStage, UserError
from wsss.core.interrupt import stop_requested
from wsss.core.log import say
from wsss.core.processes import die_with_dvc, die_with_parent

PROCESSES, LAUNCHER = "WSSS_PROCESSES", "WSSS_LAUNCHER"
FOR_EACH_GPU = ("gpus", "auto")
BY_OTHERS = 76
"""Exit code of a rank that has nothing to say: another one has ended before."""
PATIENCE = 10.0
"""Seconds in which the other ranks may end by themselves, and write what they have, once one has failed."""
LAST_LINES = 30
"""Of what a failed rank has said: its message, or a traceback."""
LOOKS = 0.1
"""Seconds between two looks at the ranks."""

_launched = False


def begin_as_rank() -> None:
    """What a program does first: where `run_ranks` has started it, it goes when that process goes."""
    global _launched
    # Taken out, for it is not meant for the processes that this one starts.
    launcher = os.environ.pop(LAUNCHER, "")
    if launcher:
        _launched = True
        die_with_parent(signal.SIGTERM, int(launcher))


def end_for_others() -> None:
    """End this process without a word if it is a rank of `run_ranks`, which tells of the one that has failed."""
    if _launched:
        sys.exit(BY_OTHERS)


def asked_processes(gpus: Callable[[], int]) -> int:
    """How many processes this one is to start: `WSSS_PROCESSES`, by default 1. `gpus` counts the GPUs that it may use.

    Raises `UserError` if it is no number, or where `torchrun` or `srun` has started several already.
    """
    text = os.environ.get(PROCESSES, "1")
    if _launched:
        return 1
    if text in FOR_EACH_GPU:
        count = max(1, gpus())
    elif text.isdecimal() and int(text) > 0:
        count = int(text)
    else:
        fix = f"unset {PROCESSES}, or set it to a number, or to gpus: one process for each GPU"
        raise UserError(PROCESSES, f"found {text!r}, expected a whole number ≥ 1, or gpus", fix)
    if count > 1 and world().size > 1:
        raise UserError(
            PROCESSES,
            f"found {text}, and torchrun or srun has started {world().size} processes already",
            f"unset {PROCESSES}, and let that start one process for each GPU; or start the stage without it",
        )
    return count


@dataclass
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    said: IO[bytes] | None
    """What it has said; None: to the person, at once."""


def run_ranks(command: Sequence[str], count: int) -> None:
    """Run Python with the arguments `command` as `count` processes of one training on this machine, to their end.

    Returns if all of them succeed. Else this process exits as the one that failed first: with its exit code, and its
    message on standard error. Inside of `catch_signals`: a signal is handed on, and the end of this process, even by
    SIGKILL, is theirs.
    """
    if "DVC_STAGE" in os.environ:
        die_with_dvc()
    told = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
    told |= {LAUNCHER: os.getpid()}
    with ExitStack() as stack:
        ranks = []
        for number in range(count):
            said = stack.enter_context(tempfile.TemporaryFile()) if number else None
            process = _start(command, told | {"RANK": number, "LOCAL_RANK": number}, said)
            stack.callback(_end, process)
            ranks.append(_Rank(number, process, said))
        failed = _wait(ranks)
        if failed is not None:
            _exit_as(failed, count)


def _start(command: Sequence[str], told: Mapping[str, object], said: IO[bytes] | None) -> subprocess.Popen[bytes]:
    environment = os.environ | {name: str(value) for name, value in told.items()}
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=said, stderr=said)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _wait(ranks: Sequence[_Rank]) -> _Rank | None:
    """Wait until all ranks have ended; the first one that failed, if any did. Hands a stop signal on to them."""
    ended: list[_Rank] = []
    told, last = False, float("inf")
    while len(ended) < len(ranks):
        for rank in ranks:
            if rank not in ended and rank.process.poll() is not None:
                ended.append(rank)
                if rank.process.returncode:
                    last = min(last, time.monotonic() + PATIENCE)
        if time.monotonic() > last:
            break
        if stop_requested() and not told:
            told = True
            for rank in ranks:
                # Whatever the signal was: after a Ctrl-C, which has reached them too, a second one would be an order
                # to drop everything.
                rank.process.terminate()
        time.sleep(LOOKS)
    failed = [rank for rank in ended if rank.process.returncode]
    for code in (BY_OTHERS, InterruptedStage.exit_code):  # neither is a cause if there is any other
        failed = [rank for rank in failed if rank.process.returncode != code] or failed
    return min(failed, key=lambda rank: rank.number > 0, default=None)


def _exit_as(rank: _Rank, count: int) -> NoReturn:
    code = rank.process.returncode
    if rank.said is not None:
        rank.said.seek(0)
        lines = rank.said.read().decode(errors="replace").rstrip("\n").splitlines()
        say("\n".join(lines[-LAST_LINES:]))  # before them lies the progress of hours, which the first one has shown
    if code >= 0:
        sys.exit(code)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    fix = "look at what the system says of it; with less memory a GPU or node each: start fewer processes"
    raise EnvError(f"process {rank.number + 1} of {count}", f"was ended by {name}, so the training ended", fix)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
