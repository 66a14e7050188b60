"""The GPU of a Mac, as far as a machine without one can tell: does a stage ask for what `mps` refuses?"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.cluster.chain import PARAMS, STAGES
from tests.toy_device import There, pretended
from tests.toy_distill import MUTUAL, SETTINGS, altered, train_student
from tests.toy_networks import photo, write_student
from tests.toy_oste import train_toy_oste
from wsss.core.environment import World
from wsss.core.errors import EnvError, UserError
from wsss.data.index import read_index
from wsss.numeric.device import cell_means, enough_memory
from wsss.predict.segmenter import Segmenter
from wsss.stores.labels import PredictionStore
from wsss.training import processes
from wsss.training.loop import History

LINEAR = altered(head="linear", init="oste", stage1__enabled=False, stage2__enabled=False, tags__enabled=False)

# On a real one, too: torch's own `normalize` takes another way for devices that it does not list.
pytestmark = pytest.mark.filterwarnings("ignore:.*frobenius_norm is deprecated")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As it is told of a CPU, and torch as it was at the end."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(1)
    monkeypatch.setenv("WSSS_WORKERS", "0")
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, `WSSS_DEVICE` names the GPU of a Mac, and torch says that there is one."""

    def begin() -> None:
        monkeypatch.setenv("WSSS_DEVICE", "mps")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    return begin


def test_the_pretended_device_refuses_what_the_real_one_does() -> None:
    with pretended():
        there = torch.ones(1, 1, 5, 4).to("mps")
        assert (there.device.type, (2 * there).device.type, there.cpu().device.type) == ("mps", "mps", "cpu")
        for doing in (
            lambda: there.double(),
            lambda: there.sum(dtype=torch.float64),
            lambda: torch.zeros(3, dtype=torch.float64, device="mps"),
            lambda: torch.zeros(3, dtype=torch.float64).to("mps"),
        ):
            with pytest.raises(TypeError, match="float64"):
                doing()
        with pytest.raises(RuntimeError, match="divisible"):
            F.adaptive_avg_pool2d(there, (2, 2))
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(4)
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()


@pytest.mark.parametrize("size", [(5, 3), (4, 4), (10, 12)])
def test_means_of_cells_of_several_sizes(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, 10, 12)
    weights = torch.rand(2, 3, *size)

    def gradient(where: str) -> tuple[torch.Tensor, torch.Tensor]:
        given = maps.clone().requires_grad_()
        found = cell_means(given.to(where), size)
        (found * weights.to(where)).sum().backward()
        assert given.grad is not None
        return found.detach().cpu(), given.grad

    expected = gradient("cpu")
    with pretended():
        found = gradient("mps")
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("variant", ["oste", "frozen", "mutual", "linear"])
def test_a_training_is_that_of_the_cpu(variant: str, tmp_path: Path, mac: Callable[[], None]) -> None:
    """Every loss, the dropout of the same numbers."""
    settings = {"frozen": SETTINGS, "mutual": MUTUAL, "linear": LINEAR}

    def train(folder: Path) -> History:
        if variant == "oste":
            return train_toy_oste(folder)[0]
        return train_student(folder, settings[variant])[0]

    expected = train(tmp_path / "cpu")
    mac()
    before = There.made
    with pretended():
        found = train(tmp_path / "mps")
    assert There.made > before + 100
    assert len(found) == len(expected) > 1
    for row, other in zip(found, expected, strict=True):
        assert row == pytest.approx(other, rel=0.02, abs=1e-3)


def test_all_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mac: Callable[[], None]) -> None:
    """With what the settings of other tests leave out: a probe, a floor, stuff, the walk, scales."""
    mac()
    monkeypatch.chdir(tmp_path)
    changes = {
        "train: 20, val: 8, size: 96": "train: 12, val: 4, size: 64",
        "probe: false": "probe: true",
        "optim: {epochs: 4": "optim: {epochs: 2",
        "cams: {scales: [1.0]}": "cams: {scales: [1.0, 0.5], floor: 0.5, walk: 2}",
        "rounds: 2": "rounds: 1",
        "evaluate: {scales": "evaluate: {crf: off, scales",
    }
    text = PARAMS
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("params.yaml").write_text(text)
    made = {}
    with pretended():
        for stage in STAGES:
            before = There.made
            importlib.import_module(f"pipeline.{stage}").main([], standalone_mode=False)
            made[stage] = There.made - before
    assert [stage for stage in STAGES if made[stage] > 100] == ["pretrain", "train", "cams", "distill", "evaluate"]
    store = PredictionStore(tmp_path / "artifacts/predictions")
    for record in read_index(tmp_path / "artifacts/dataset").split("val"):
        assert store.label(record.id).shape == record.size


def test_a_photo_in_tiles(tmp_path: Path, mac: Callable[[], None]) -> None:
    student, pixels = write_student(tmp_path / "student.pt", head="linear"), photo(150, 220)
    expected = Segmenter.load(student, tile=64)(pixels)
    mac()
    with pretended():
        found = Segmenter.load(student, tile=64)(pixels)
    assert (found.label == expected.label).mean() > 0.999
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-3)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch, mac: Callable[[], None]) -> None:
    mac()
    monkeypatch.setattr(processes, "world", lambda: World(0, 2, 0, "env://"))
    with pytest.raises(UserError, match="mps is one GPU for several processes"), processes.together():
        pass


def test_full_memory_is_told() -> None:
    with pytest.raises(EnvError, match="out of memory in a step"), enough_memory("train", "in a step", "lower it"):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 5.71 GB, other allocations: 3.21 GB)")
