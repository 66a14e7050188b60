"""Machines on this machine: network namespaces with addresses of their own, and processes in them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import REPO, wait_until

PORT = 8786
NUMBERS = itertools.count()


def lacking() -> str:
    """Why there can be no such machines here; empty if there can."""
    if shutil.which("ip") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs `ip netns`, and root for it"
    probe = f"wsss-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return "needs network namespaces, which this system refuses"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return ""


@dataclass(frozen=True)
class Host:
    """A namespace and its address. `home`: working folder of its processes, none of which is the project's."""

    name: str
    address: str
    home: Path

    @contextmanager
    def runs(self, *command: str, hides: Path | None = None, code: Path = REPO) -> Iterator[subprocess.Popen[str]]:
        """A process here, which is killed at the end. `hides`: a folder that is empty on this machine."""
        line = ["ip", "netns", "exec", self.name]
        if hides is not None:  # each `ip netns exec` has mounts of its own
            line += ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hides)]
        number = next(NUMBERS)
        with (self.home / f"{number}.log").open("w") as log:
            process = subprocess.Popen(
                [*line, sys.executable, *command],
                cwd=self.home,
                env={**os.environ, "PYTHONPATH": str(code)},
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def hosts(count: int, folder: Path) -> Iterator[list[Host]]:
    """So many machines on one bridge, which this machine reaches too."""
    number = next(filter(_new_bridge, range(250)))
    bridge, found = f"wsssb{number}", []
    with ExitStack() as stack:
        stack.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", f"10.77.{number}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for each in range(count):
            name, outer, address = f"wsss{number}-{each}", f"wsss{number}v{each}", f"10.77.{number}.{each + 2}"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", outer, "master", bridge, "up")
            for line in (f"address add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
                _ip("-n", name, *line.split())
            home = folder / name
            home.mkdir(parents=True)
            found.append(Host(name, address, home))
        yield found


@contextmanager
def scheduler(host: Host) -> Iterator[subprocess.Popen[str]]:
    """A Dask scheduler at port `PORT` of `host`."""
    with host.runs("-m", "distributed.cli.dask_scheduler", "--host", host.address, "--port", str(PORT)) as process:
        wait_until(lambda: any("Scheduler at" in log.read_text() for log in host.home.glob("*.log")), 60)
        yield process


@contextmanager
def worker(
    at: Host, host: Host, hides: Path | None = None, code: Path = REPO, threads: int = 1, nanny: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A worker on `host` for the scheduler on `at`."""
    options = ["--host", host.address, "--nthreads", str(threads), "--nanny" if nanny else "--no-nanny"]
    command = ["-m", "distributed.cli.dask_worker", f"tcp://{at.address}:{PORT}", *options, "--death-timeout", "20"]
    with host.runs(*command, hides=hides, code=code) as process:
        yield process


def _new_bridge(number: int) -> bool:
    """Make the bridge of this number; False if there is one, also of tests that run beside these."""
    line = ["ip", "link", "add", f"wsssb{number}", "type", "bridge"]
    return subprocess.run(line, capture_output=True).returncode == 0


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
