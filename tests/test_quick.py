"""The quick recipe, end to end: all stages on drawn scenes, in this process; then what one does with the student."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from experiments.lab.chain import Params, bound, mixture, open_world, students, walked
from tests.test_golden import run_recipe
from wsss import Segmenter, cli
from wsss.core.params import load
from wsss.data.images import load_image
from wsss.models.linear_student import LinearStudent
from wsss.models.student import load_student
from wsss.stores.labels import PseudoStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quick")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("WSSS_WORKERS", "0")
        run_recipe("quick")
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_stage_leaves_what_the_next_one_reads(finished: Path) -> None:
    reports = finished / "reports"
    assert (reports / "pretrain.csv").read_text() == (reports / "train.csv").read_text() == "\n"
    for name in ("pretrain_tags.csv", "train_tags.csv"):
        assert list(table(reports / name)[0]) == ["class", "photos", "tagged", "guess", "epoch_0", "kept", "verdict"]
    sources = [row["source"] for row in table(reports / "sources.csv")]
    assert sources[-1] == "student ms+flip+crf"
    assert not any(source.startswith("oste") for source in sources)
    page = (reports / "gallery/index.html").read_text(encoding="utf-8")
    assert "plot_distill.png" in page
    assert "plot_pretrain.png" not in page
    assert "plot_train.png" not in page
    rows = table(reports / "distill.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert len(list((finished / "artifacts/epochs").glob("[0-9]*"))) == 3


def test_the_student_is_linear_and_its_backbone_was_not_trained(finished: Path) -> None:
    classifier = torch.load(finished / "artifacts/backbone.pt")
    network, card = load_student(finished / "artifacts/student.pt", classifier["classes"])
    assert isinstance(network, LinearStudent)
    assert card.view is not None
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, classifier["state"][f"backbone.{name}"]), name


def test_it_predicts_and_is_exported(finished: Path, tmp_path: Path) -> None:
    student = finished / "artifacts/student.pt"
    photo = sorted((finished / "data/demo/images").iterdir())[0]
    label = Segmenter.load(student)(photo).label
    out = tmp_path / "student.ts"
    result = CliRunner().invoke(cli.main, ["export", str(student), str(out), "--torchscript"])
    assert result.exit_code == 0, result.stderr
    assert label.shape == load_image(photo).shape[:2]
    refused = CliRunner().invoke(cli.main, ["predict", str(finished / "artifacts/oste.pt"), str(photo), "-o", str(out)])
    assert refused.exit_code == 2
    assert "fix: give artifacts/student.pt" in refused.stderr


def test_the_lab_is_the_same_chain_in_memory(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    settings = load(Path("params.yaml"), Params)
    world = open_world(finished, settings)
    cams = walked(world, settings)
    made = mixture(world, settings, cams)
    stored = PseudoStore(finished / "artifacts/pseudo")
    equal = [(made.label(r.id) == stored.label(r.id)).ravel() for r in world.train.records]
    assert np.mean(np.concatenate(equal)) > 0.995  # the store keeps maps in half precision
    of_stage = {row["source"]: float(row["miou"]) for row in table(finished / "reports/sources.csv")}
    assert students(world, settings, made)[-1] == pytest.approx(100 * of_stage["student"], abs=1.0)
    on_masks = replace(world, train=world.val)
    assert bound(on_masks, settings) > of_stage["student"]
    assert math.isnan(bound(world, settings))  # the drawn train photos have no masks
