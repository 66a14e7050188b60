"""Processes of one training meet, add up, and part; one alone does none of that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import distributed, nn

from tests.helpers import by_srun, by_torchrun, free_port, two_processes
from wsss.core.errors import EnvError, UserError
from wsss.training import processes
from wsss.training.mixed import Mixed, converted

TALK = """
import sys, warnings, torch
from torch import distributed
from wsss.training.processes import current, together
warnings.simplefilter("error")
rank = int(sys.argv[1])
with together(), together():
    here = current()
    assert (here.rank, here.size) == (rank, 2)
    print(here.total(torch.tensor([1.0, float(rank)])).tolist(), here.any(rank == 1), here.any(False))
assert not distributed.is_initialized()
assert current().size == 1
"""


@pytest.mark.parametrize("told", [by_torchrun, by_srun])
def test_two_processes_add_up_and_part(tmp_path: Path, told: Callable[[str], dict[str, str]]) -> None:
    with two_processes(TALK, tmp_path, told=told) as runs:
        for run in runs:
            assert run.communicate(timeout=120) == ("[2.0, 1.0] True False\n", "")
            assert run.returncode == 0


def test_one_process_makes_no_group_and_no_wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    network, values = nn.Linear(2, 2), torch.ones(3)
    with processes.together():
        here = processes.current()
        assert not distributed.is_initialized()
        assert here.share(network) is network
        assert here.total(values) is values
        assert values.tolist() == [1.0] * 3
        assert (here.any(True), here.any(False)) == (True, False)
        here.wait()


def test_processes_that_do_not_meet_are_told_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MEETING", timedelta(seconds=1))
    for name, value in (by_torchrun("0") | {"MASTER_PORT": str(free_port())}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EnvError) as caught, processes.together():
        pass
    where, fix = str(caught.value).splitlines()
    assert where.startswith("error: process 1 of 2: the processes of this training did not meet at env:// (")
    assert (
        fix == "fix: start all of them by one torchrun or srun of the stage itself (not of dvc), or by WSSS_PROCESSES"
    )
    assert not distributed.is_initialized()


@pytest.mark.parametrize(
    ("error", "other"),
    [
        (RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:544] Connection closed by peer"), True),
        (distributed.DistBackendError("NCCL error in: …, remote process exited or there was a network error"), True),
        (distributed.DistNetworkError("The client socket has timed out"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
    ],
)
def test_what_torch_says_of_other_processes_is_known(error: RuntimeError, other: bool) -> None:
    assert processes.by_others(error) == other


def test_each_process_has_its_own_gpu() -> None:
    any_gpu = torch.device("cuda")
    assert [str(processes.own_gpu(any_gpu, rank, 4)) for rank in range(4)] == [f"cuda:{rank}" for rank in range(4)]
    assert str(processes.own_gpu(any_gpu, 3, 1)) == "cuda:0"  # of `srun --gpus-per-task=1`
    with pytest.raises(UserError, match="process 5 of this machine: found 4 GPUs"):
        processes.own_gpu(any_gpu, 4, 4)
    with pytest.raises(UserError, match="WSSS_DEVICE: cuda:2 is one GPU for several processes"):
        processes.own_gpu(torch.device("cuda:2"), 0, 4)


class Pair(NamedTuple):
    scores: torch.Tensor
    maps: dict[int, torch.Tensor | None]


class Halves(nn.Module):
    """Remembers in what precision it was called and computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, images: torch.Tensor, labels: torch.Tensor, scales: tuple[float, ...]) -> Pair:
        found = self.layer(images)
        self.seen = images.dtype, labels.dtype, scales, found.dtype
        return Pair(found, {2: found, 4: None})


def test_mixed_precision_computes_in_16_bit_and_gives_32() -> None:
    network = Halves()
    output = Mixed(network, "bf16-mixed", "cpu")(torch.ones(1, 2), torch.ones(1, dtype=torch.uint8), (1.0, 0.5))
    assert network.seen == (torch.bfloat16, torch.uint8, (1.0, 0.5), torch.bfloat16)
    assert isinstance(output, Pair)
    assert output.scores.dtype == torch.float32
    assert output.maps[2] is not None
    assert output.maps[2].dtype == torch.float32
    assert output.maps[4] is None
    output.scores.sum().backward()
    assert network.layer.weight.grad is not None
    assert network.layer.weight.grad.dtype == torch.float32
    assert list(Mixed(network, "bf16-mixed", "cpu").parameters()) == list(network.parameters())


def test_conversion_keeps_what_has_no_fraction() -> None:
    one = torch.ones(1)
    found = converted((one, {"a": (torch.ones(1, dtype=torch.int64), "text")}), torch.float16)
    assert found[0].dtype == torch.float16
    assert found[1]["a"][0].dtype == torch.int64
    assert found[1]["a"][1] == "text"
