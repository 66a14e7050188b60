"""The processes of one training: they meet, add up their numbers, and end together.

Of one process alone nothing is asked here: it makes no process group, and its network stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed, nn

from wsss.core.environment import World, world
from wsss.core.errors import EnvError, UserError
from wsss.core.interrupt import check_stop
from wsss.core.ranks import end_for_others
from wsss.numeric.device import device

MEETING = timedelta(minutes=10)
"""How long a process waits for the others to come; later, for one that is in the same step."""
ALONE = timedelta(days=7)
"""How long it waits while the first one works alone: that looks at held-out photos, or relabels all photos."""


class Processes:
    """This process and the others of its training. `rank` of `size`, counted from 0; `device`: where this one computes.

    Where another process has ended, each method raises torch's `RuntimeError`, which `together` explains.
    """

    def __init__(
        self, rank: int, size: int, where: torch.device, patient: distributed.ProcessGroup | None = None
    ) -> None:
        self.rank, self.size, self.device = rank, size, where
        self._patient = patient

    def share(self, network: nn.Module) -> nn.Module:
        """`network`, moved to the device; of several processes, all begin with the first one's, and average gradients.

        Its parameters stay the same objects.
        """
        if str(self.device).startswith("cuda:"):
            torch.cuda.set_device(self.device)  # else page-locked memory of batches would be of the first GPU
        network.to(self.device)
        if self.size == 1:
            return network
        devices = None if self.device.type == "cpu" else [self.device]
        # A student leaves its backbone's ImageNet head unused.
        return nn.parallel.DistributedDataParallel(network, device_ids=devices, find_unused_parameters=True)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of `values` over all processes, in their place. Any shape, on the device."""
        if self.size > 1:
            if values.is_cuda:
                # On the CPU first: there the end of a process is noticed at once, and nccl would wait for it in vain.
                self.wait()
            distributed.all_reduce(values, group=None if values.is_cuda else self._patient)
        return values

    def any(self, flag: bool) -> bool:
        """True if `flag` is true in any of the processes. They wait for each other."""
        if self.size == 1:
            return flag
        flags = torch.tensor(float(flag))
        distributed.all_reduce(flags, group=self._patient)
        return bool(flags)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.any(False)


_joined: Processes | None = None
"""Those that this process has met, until they part."""


def current() -> Processes:
    """The processes that `together` has brought together; else this one alone."""
    return _joined or Processes(0, 1, device())


@contextmanager
def together() -> Iterator[None]:
    """While inside, the processes that `torchrun`, `srun` or `WSSS_PROCESSES` started are one training.

    Inside another one: nothing. Also a decorator. Raises `EnvError` where they do not meet, `UserError` where one ends
    before the others.
    """
    here = world()
    if here.size == 1 or _joined is not None:
        yield
        return
    _meet(here)
    try:
        yield
        current().wait()
    except RuntimeError as error:
        if not by_others(error):
            raise
        check_stop()  # where all were asked to stop, one may have done so first
        end_for_others()
        raise UserError(
            f"process {here.rank + 1} of {here.size}",
            "another process of this training ended",
            "look at its message above, mend what it says, and run the same command again to continue",
        ) from error
    # Not after an error: nccl would wait for processes that wait for this one. The end of the process parts them too.
    _part()


def by_others(error: RuntimeError) -> bool:
    """True if torch raised `error` because another process cannot be reached. gloo's errors have no class."""
    return isinstance(error, distributed.DistError) or any(name in str(error) for name in ("gloo", "NCCL"))


def own_gpu(named: torch.device, local_rank: int, gpus: int) -> torch.device:
    """The GPU of process `local_rank` of this machine, where it sees `gpus` of them and `WSSS_DEVICE` has `named` it.

    SLURM may show each process one GPU, its own.
    """
    if gpus == 1:
        return torch.device("cuda", 0)
    if str(named) != "cuda":
        raise UserError("WSSS_DEVICE", f"{named} is one GPU for several processes", "set WSSS_DEVICE to cuda")
    if local_rank >= gpus:
        raise UserError(
            f"process {local_rank + 1} of this machine", f"found {gpus} GPUs", "start as many processes as GPUs"
        )
    return torch.device("cuda", local_rank)


def _meet(here: World) -> None:
    global _joined
    where = device()
    if where.type == "mps":
        raise UserError(
            "WSSS_DEVICE", "mps is one GPU for several processes", "unset WSSS_PROCESSES, or set WSSS_DEVICE to cpu"
        )
    if where.type == "cuda":
        where = own_gpu(where, here.local_rank, torch.cuda.device_count())
        torch.cuda.set_device(where)  # from here on `device()` means this one
    try:
        distributed.init_process_group(
            "nccl" if where.type == "cuda" else "gloo", here.meeting, MEETING, here.size, here.rank
        )
        patient = distributed.new_group(backend="gloo", timeout=ALONE)
    except (RuntimeError, ValueError) as error:
        raise EnvError(
            f"process {here.rank + 1} of {here.size}",
            f"the processes of this training did not meet at {here.meeting} ({str(error).splitlines()[0]})",
            "start all of them by one torchrun or srun of the stage itself (not of dvc), or by WSSS_PROCESSES",
        ) from error
    _joined = Processes(here.rank, here.size, where, patient)


def _part() -> None:
    global _joined
    _joined = None
    distributed.destroy_process_group()
