"""Row 44: a checkpoint that is foreign, cut, flipped, or made for other classes is refused and says why."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from pipeline import train as train_stage
from tests.helpers import CLASSES, REPO
from wsss.core.errors import IntegrityError, UserError
from wsss.data.index import Index, Record, write_index
from wsss.models.backbones.registry import BackboneSettings
from wsss.models.checkpoint import NetworkCard, save_network
from wsss.models.classifier import build_classifier, load_classifier
from wsss.models.oste import load_oste
from wsss.models.student import load_student

LOADERS = {"classifier": load_classifier, "oste": load_oste, "student": load_student}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("50 % net") / "backbone.pt"
    card = NetworkCard(
        "classifier", BackboneSettings(name="tiny", weights="random"), {"dropout": 0.5}, CLASSES, "random"
    )
    save_network(path, build_classifier(card, load_weights=True), card)
    return path


@pytest.fixture
def path(network: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy of 100 %.pt"
    shutil.copy(network, copy)
    return copy


def refusal(path: Path, kind: str = "classifier", classes: tuple[str, ...] = CLASSES) -> str:
    with pytest.raises((IntegrityError, UserError)) as caught:
        LOADERS[kind](path, classes)
    message = str(caught.value)
    assert message.startswith(f"error: {path}: ")
    assert "\nfix: " in message
    return message


def test_44_sound_checkpoint_is_read_and_ready_to_use(path: Path) -> None:
    found, card = load_classifier(path, CLASSES)
    assert not found.training
    assert card.classes == CLASSES
    assert card.weights == "random"
    assert found(255 * torch.rand(1, 3, 64, 64)).shape == (1, 3)


def test_44_same_state_is_the_same_bytes_after_a_round_trip(path: Path, tmp_path: Path) -> None:
    found, card = load_classifier(path, CLASSES)
    save_network(tmp_path / "again.pt", found, card)
    assert (tmp_path / "again.pt").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_44_cut_checkpoint(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "not a checkpoint, or truncated (" in refusal(path)


def test_44_no_flipped_bit_is_accepted_silently(path: Path) -> None:
    whole = path.read_bytes()
    before = load_classifier(path, CLASSES)[0].state_dict()
    generator = np.random.default_rng(0)
    refused = 0
    for bit in generator.choice(8 * len(whole), 150, replace=False).tolist():
        data = bytearray(whole)
        data[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(data)
        try:
            found, card = load_classifier(path, CLASSES)
        except (IntegrityError, UserError):
            refused += 1
            continue
        # A flip in the padding between two tensors changes nothing.
        assert (card.kind, card.classes, dict(card.settings)) == ("classifier", CLASSES, {"dropout": 0.5})
        assert all(torch.equal(tensor, before[name]) for name, tensor in found.state_dict().items()), bit
    assert refused > 130


def test_44_flipped_bits_in_what_describes_the_tensors_never_crash(path: Path) -> None:
    whole = path.read_bytes()
    described = [*range(2000), *range(len(whole) - 4000, len(whole))]
    generator = np.random.default_rng(1)
    for at in generator.choice(described, 150, replace=False).tolist():
        data = bytearray(whole)
        data[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(data)
        try:
            load_classifier(path, CLASSES)
        except (IntegrityError, UserError):
            continue


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("attacked",)


def test_44_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Attack()))
    torch.save({"format": "wsss.network", "version": 1, "kind": Attack()}, tmp_path / "zip.pt")
    for name in ("pickle.pt", "zip.pt"):
        assert "not a checkpoint" in refusal(tmp_path / name)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"conv.weight": torch.zeros(3)}, "found format None version None"),
        ([1, 2], "found format None version None"),
        ({"format": "wsss.training", "version": 1}, "found format 'wsss.training' version 1"),
        ({"format": "wsss.network", "version": 3}, "found format 'wsss.network' version 3"),
    ],
)
def test_44_foreign_checkpoint(tmp_path: Path, content: object, found: str) -> None:
    torch.save(content, tmp_path / "foreign.pt")
    assert refusal(tmp_path / "foreign.pt") == (
        f"error: {tmp_path / 'foreign.pt'}: {found}, expected 'wsss.network' version 2\n"
        "fix: give a file that wsss has written; if this is one, delete it and run dvc repro"
    )


def test_44_network_of_an_earlier_version_says_what_it_lacks(tmp_path: Path) -> None:
    torch.save({"format": "wsss.network", "version": 1, "kind": "student"}, tmp_path / "old.pt")
    assert refusal(tmp_path / "old.pt", "student") == (
        f"error: {tmp_path / 'old.pt'}: a network file of version 1, which does not say at what size its photos were "
        "read\nfix: train it again: dvc repro"
    )


@pytest.mark.parametrize(
    "sizes", [3, {"long_side": 0}, {"long_side": 0, "smallest": 9, "median": 8, "largest": 10}, {"long_side": "0"}]
)
def test_44_sizes_that_no_photos_have(path: Path, sizes: object) -> None:
    content = torch.load(path, weights_only=True)
    torch.save({**content, "sizes": sizes}, path)
    assert "made by another version of wsss, or damaged (ValueError: sizes of photos: " in refusal(path)


@pytest.mark.parametrize("key", ["kind", "classes", "backbone", "settings", "weights", "sizes", "view", "state"])
def test_44_network_of_another_version_is_no_bug(path: Path, key: str) -> None:
    """An entry is missing, or holds what this version does not know."""
    whole = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in whole.items() if name != key}, path)
    assert "made by another version of wsss, or damaged (KeyError: " in refusal(path)
    if key in ("backbone", "settings"):
        torch.save({**whole, key: {**whole[key], "attention_heads": 4}}, path)
        assert "made by another version of wsss, or damaged (" in refusal(path)
    for strange in (3, "x", [1], {"a": 1}):
        torch.save({**whole, key: strange}, path)
        if key not in ("weights", "view"):
            refusal(path)


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x80\x02}q\x00.", b"PK\x05\x06" + bytes(18)])
def test_44_file_that_is_no_checkpoint(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(data)
    assert "not a checkpoint, or truncated (" in refusal(tmp_path / "x.pt")


def test_44_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.pt").endswith(
        "x.pt: no such file\nfix: correct the path, or run the stage that writes it: dvc repro"
    )


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (("background", "cat", "dog", "cow"), "made for other classes (missing cow; extra Kuh)"),
        (("background", "Kuh", "cat"), "made for other classes (missing none; extra dog)"),
        ((*CLASSES, "boat", "bus"), "made for other classes (missing boat, bus; extra none)"),
        (("background", "cat", "Kuh", "dog"), "same classes in another order"),
    ],
)
def test_44_other_class_list_prints_the_difference(path: Path, classes: tuple[str, ...], difference: str) -> None:
    assert refusal(path, classes=classes) == (
        f"error: {path}: {difference}\nfix: train it again on this data set: dvc repro"
    )


def test_44_network_of_another_kind(path: Path) -> None:
    assert refusal(path, kind="student") == (
        f"error: {path}: found a classifier, expected a student\nfix: give the file of a student"
    )


def test_44_stage_ends_with_exit_code_4_and_loses_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_DEVICE", "cpu")
    record = Record("a", "train", "a.png", None, (1,), 8, 8, "0" * 64)
    write_index(tmp_path / "dataset", Index(("background", "cat", "cow", "dog"), (record,)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("kept")
    options = {"params": REPO / "recipes/demo.yaml", "dataset": "dataset", "classifier": path, "out": "out/oste.pt"}
    result = CliRunner().invoke(
        train_stage.main, [text for name, value in options.items() for text in (f"--{name}", str(value))]
    )
    assert (result.exit_code, result.stderr) == (
        4,
        f"error: {path}: made for other classes (missing cow; extra Kuh)\n"
        "fix: train it again on this data set: dvc repro\n",
    )
    assert (tmp_path / "out" / "old").read_text() == "kept"
