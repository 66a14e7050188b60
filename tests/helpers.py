"""Toys that worker processes import (so keep it light: nothing that loads torch), and processes to watch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from wsss.core.atomic import sha256_file
from wsss.core.errors import UserError
from wsss.core.folders import publish
from wsss.core.interrupt import check_stop
from wsss.core.stage import Stage
from wsss.core.units import unit_done
from wsss.data.index import Record
from wsss.data.tables import csv_text
from wsss.stores.labels import PSEUDO_FORMAT, put_labels
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

if TYPE_CHECKING:
    from wsss.core.params import Settings

REPO = Path(__file__).parent.parent
CLASSES = ("background", "Kuh", "cat", "dog")
IDS = tuple(f"set/{name} {number}%" for name in ("ä", "b") for number in range(10))


def written(settings: Settings) -> Any:
    """Settings as params.yaml writes them."""

    def plain(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: plain(value) for key, value in node.items()}
        return "off" if node is None else node

    return plain(settings.model_dump(mode="json"))


def double(number: int) -> tuple[int, int]:
    """Twice the number, and who says so."""
    return 2 * number, os.getpid()


def double_slowly(number: int, seconds: float) -> tuple[int, int]:
    time.sleep(seconds)
    return double(number)


def fail_at(number: int, bad: int) -> int:
    if number == bad:
        raise UserError(f"number {number}", "is bad", "take another")
    return number


def sleep_and_leave(folder: Path, number: int, seconds: float) -> None:
    (folder / f"{number}.begun").write_text(str(os.getpid()))
    time.sleep(seconds)
    (folder / f"{number}.done").write_text("")


def report(count: int, until: Path | None) -> int:
    """A task of `count` units that are done at once; it ends when the file `until` is there."""
    for _ in range(count):
        unit_done()
    if until is not None:
        wait_until(until.exists)
    return count


def report_and_die(count: int) -> NoReturn:
    report(count, None)
    die(0)


def die(number: int) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def toy_label(name: str) -> np.ndarray:
    """(8, 12) uint8 that depends on the id alone."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 4, (8, 12), np.uint8)


def toy_task(path: Path, shard: Shard, meta: StoreMeta, log: Path, slow: float = 0.0) -> None:
    """Write the toy labels of a shard; files in `log` say that it was begun, and that it was computed."""
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            check_stop()
            (log / f"begun-{shard.name}").touch()
            put_labels(file, name, toy_label(name), np.full((8, 12), 0.5))
            time.sleep(slow)
    (log / f"{shard.name}-{uuid.uuid4()}").touch()


def computed(log: Path) -> list[str]:
    """Names of the shards that were computed, one for each time."""
    return sorted(path.name.split("-")[0] for path in log.iterdir() if not path.name.startswith("begun-"))


def write_toy_store(stage: Stage, out: Path, log: Path, slow: float = 0.0, ids: Sequence[str] = IDS) -> None:
    """A store of 20 toy labels in shards of 3."""
    log.mkdir(exist_ok=True)
    meta = StoreMeta(PSEUDO_FORMAT, CLASSES, {"crf": False})
    publish(build_store(stage, meta, plan_shards(ids, 3), toy_task, (log, slow)), out)


def names(folder: Path) -> list[str]:
    """What lies in `folder`, sorted."""
    return sorted(path.name for path in folder.iterdir())


def record_masks(path: Path, root: Path, records: Iterable[Record]) -> None:
    """Write the checksums of the masks, as stage `index` does."""
    rows = [(record.id, sha256_file(root / record.mask)) for record in records if record.mask is not None]
    path.write_text(csv_text(("id", "sha256"), rows), encoding="utf-8")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def running(*command: str, cwd: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Python with these arguments in a process group of its own, which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Poll; `AssertionError` when time is up."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """True while process `pid` runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """All descendants of process `pid`."""
    try:
        direct = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return direct + [below for child in direct for below in children(child)]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def by_torchrun(rank: str) -> dict[str, str]:
    """What `torchrun` tells one of two processes."""
    return {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


def by_srun(rank: str) -> dict[str, str]:
    """What `srun --ntasks=2` tells one of two processes."""
    step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost"}
    return {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": rank, "SLURM_LOCALID": rank, **step}


@contextmanager
def two_processes(
    script: str,
    cwd: Path,
    *arguments: str,
    told: Callable[[str], dict[str, str]] = by_torchrun,
    **environment: str,
) -> Iterator[list[subprocess.Popen[str]]]:
    """The Python `script` with its rank, "0" or "1", and `arguments`, as two processes of one training on the CPU."""
    both = {"MASTER_PORT": str(free_port()), "WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", **environment}
    with ExitStack() as stack:
        yield [
            stack.enter_context(running("-c", script, rank, *arguments, cwd=cwd, **both, **told(rank))) for rank in "01"
        ]


def run_two_processes(script: str, cwd: Path, *arguments: str, **environment: str) -> None:
    """The same, to their end."""
    with two_processes(script, cwd, *arguments, **environment) as runs:
        for run in runs:
            _, errors = run.communicate(timeout=300)  # of CPU it needs 20 s, but a machine may be busy
            assert run.returncode == 0, errors
