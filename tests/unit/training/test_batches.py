"""Batches are the same, whoever makes them, and a thread that is too slow is replaced."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import torch

from tests.toy_labels import BadPhoto, Opening, ToyLabels
from wsss.core import pace
from wsss.core.errors import IntegrityError, UserError
from wsss.core.no_masks import without_masks
from wsss.core.processes import end_children
from wsss.data.index import Index, Record, write_index
from wsss.training.batches import AHEAD, ROOM, batches
from wsss.training.sampling import BatchSampler, Plan

PLAN = Plan(0, ToyLabels.photos, 4, 3)


class Watched(ToyLabels):
    """Says who made a sample, and may take its time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.made = seconds, 0

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        time.sleep(self.seconds)
        self.made += 1
        here = [os.getpid(), threading.get_ident() % 2**31]
        return super().__getitem__(key) | {"here": torch.tensor(here)}


def all_batches(dataset: Any) -> list[dict[str, torch.Tensor]]:
    sampler = BatchSampler(PLAN)
    return list(batches(dataset, sampler, len(sampler), pinned=False))


@pytest.mark.parametrize("start_seconds", [5.0, 0.0])
def test_thread_makes_the_same_and_hands_over_where_it_is_too_slow(
    monkeypatch: pytest.MonkeyPatch, start_seconds: float
) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "0")
    expected = all_batches(Watched())
    assert {int(batch["here"][0, 1]) for batch in expected} == {threading.get_ident() % 2**31}
    monkeypatch.delenv("WSSS_WORKERS")
    monkeypatch.setattr(pace, "START_SECONDS", start_seconds)
    monkeypatch.setattr("wsss.training.batches.workers", lambda: 2)
    found = all_batches(Watched(0.02))
    for batch, other in zip(found, expected, strict=True):
        for name in batch.keys() - {"here"}:
            assert torch.equal(batch[name], other[name])
    processes = [int(batch["here"][0, 0]) for batch in found]
    assert set(processes[: 1 + AHEAD]) == {os.getpid()}
    assert (processes[-1] != os.getpid()) == (start_seconds == 0)
    assert threading.get_ident() % 2**31 not in {int(batch["here"][0, 1]) for batch in found[: 1 + AHEAD]}
    end_children()


@pytest.mark.parametrize("free", [64e6, 1e12])
def test_small_shared_memory_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], free: float
) -> None:
    """Containers have 64 MB of it, and a process that finds no room there is killed."""
    monkeypatch.setenv("WSSS_WORKERS", "0")
    expected = all_batches(ToyLabels())
    monkeypatch.setattr("wsss.training.batches.workers", lambda: 1)
    monkeypatch.setattr("wsss.training.batches.shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    found = all_batches(ToyLabels())
    for batch, other in zip(found, expected, strict=True):
        assert batch.keys() == other.keys()
        assert all(torch.equal(batch[name], other[name]) for name in batch)
        assert all(batch[name].stride() == other[name].stride() for name in batch)
        assert {tensor.is_shared() for tensor in batch.values()} == {free > ROOM}
    assert ("64 MB of shared memory (/dev/shm)" in capfd.readouterr().err) == (free < ROOM)
    end_children()


def test_errors_of_samples_arrive_through_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_WORKERS", "1")
    monkeypatch.setattr("wsss.training.batches.ROOM", float("inf"))
    with pytest.raises(UserError, match="photo 5: is bad"):
        all_batches(BadPhoto())
    end_children()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_samples_cannot_come_from_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    """Neither in the thread or process of the stage nor in one of torch's loader."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_WORKERS", workers)
    (tmp_path / "params.yaml").write_text("dataset: {root: .}\n")
    (tmp_path / "7.png").touch()
    write_index(tmp_path / "index", Index(("a", "b"), (Record("7", "train", "7.jpg", "7.png", (1,), 8, 8, "0"),)))
    with click.Context(click.Command("train")) as context:
        context.params["params"] = Path("params.yaml")
        with without_masks("train", [Path("index")]), pytest.raises(IntegrityError, match=r"7.png: stage train opened"):
            all_batches(Opening(tmp_path / "7.png"))
    all_batches(Opening(tmp_path / "7.png"))
    end_children()


def test_thread_does_not_read_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    dataset = Watched()
    made = batches(dataset, BatchSampler(PLAN), PLAN.steps, pinned=False)
    next(made)
    time.sleep(0.2)
    assert dataset.made == PLAN.batch * (2 + AHEAD)
    made.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("load") for thread in threading.enumerate())
    assert not multiprocessing.active_children()


def test_error_of_a_sample_arrives_from_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSSS_WORKERS", raising=False)
    with pytest.raises(UserError, match="photo 5: is bad"):
        all_batches(BadPhoto())
