"""The student's file says how it was evaluated, and what uses it does the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.helpers import CLASSES
from tests.toy_evaluation import SETTINGS, WITHOUT_CRF, Project, run_stage
from wsss import cli
from wsss.data.images import load_mask
from wsss.data.size import ReadSizes
from wsss.evaluation.sources import EvaluateSettings
from wsss.models.student import load_student
from wsss.predict.segmenter import Segmenter
from wsss.stores.labels import PredictionStore


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, value in {"WSSS_WORKERS": "0", "WSSS_DEVICE": "cpu", "WSSS_SCRATCH": str(tmp_path / "scratch")}.items():
        monkeypatch.setenv(name, value)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_it_is_the_distilled_network_and_how_it_was_evaluated() -> None:
    Project()
    assert run_stage().exit_code == 0
    (before, drawn), (after, card) = (load_student(Path(f"{name}.pt"), CLASSES) for name in ("distilled", "student"))
    assert drawn.view is None
    assert drawn.sizes == card.sizes == ReadSizes(0, 88, 92, 96)
    assert card.view is not None
    assert replace(card, view=None) == drawn
    assert (card.view["scales"], card.view["flip"]) == ([0.75, 1.0], True)
    assert SETTINGS.crf is not None
    assert card.view["crf"] == SETTINGS.crf.model_dump()
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    found = Path("student.pt").read_bytes()
    assert run_stage().exit_code == 0
    assert Path("student.pt").read_bytes() == found
    assert run_stage(WITHOUT_CRF).exit_code == 0
    assert load_student(Path("student.pt"), CLASSES)[1].view == {"scales": [0.75, 1.0], "flip": True, "crf": None}


@pytest.mark.parametrize(
    "settings", [SETTINGS, WITHOUT_CRF, WITHOUT_CRF.model_copy(update={"scales": (1.5,), "flip": False})]
)
def test_predict_by_default_gives_what_was_scored(settings: EvaluateSettings) -> None:
    """The label maps of the last step of `evaluate`, pixel by pixel."""
    project = Project()
    assert run_stage(settings).exit_code == 0
    photos = [str(project.photos.root / record.image) for record in project.index.split("val")]
    done = CliRunner().invoke(cli.main, ["predict", "student.pt", *photos, "-o", "out"])
    assert done.exit_code == 0, done.stderr
    scales = "scale 1.5, no flip" if len(settings.scales) == 1 else "scales 0.75, 1, flip"
    crf = "CRF" if settings.crf else "no CRF"
    assert done.stderr.splitlines()[0] == (
        f"predict: read at 88 to 96 pixels, test-time {scales}, {crf}, as the model was evaluated"
    )
    store = PredictionStore(Path("predictions"))
    segmenter = Segmenter.load("student.pt")
    for record in project.index.split("val"):
        expected = store.label(record.id)
        mask = load_mask(Path("out/masks") / Path(record.image).with_suffix(".png").name, expected.shape, len(CLASSES))
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(segmenter(project.photos.root / record.image).label, expected)
    written = json.loads(Path("out/settings.json").read_text())
    assert written["size"] == {"long_side": 0, "smallest": 88, "median": 92, "largest": 96}
    assert (written["scales"], written["flip"]) == (list(settings.scales), settings.flip)
    assert written["crf"] == (settings.crf and settings.crf.model_dump())
