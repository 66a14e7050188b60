"""The lab: what it keeps of a photo, the steps that take the place of the chain's, and its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from experiments.lab.chain import Params
from experiments.lab.command import changed, markdown, sets_in
from experiments.lab.ideas import IDEAS, TemperedLoss
from experiments.lab.remembering import Remembering
from wsss.core.params import load
from wsss.distill.losses.pseudo_labels import PseudoLabelLoss
from wsss.models.backbones.registry import BackboneSettings, build_backbone


@pytest.fixture
def settings() -> Params:
    return load(Path("recipes/quick.yaml"), Params)


def test_each_photo_is_looked_at_once_also_by_the_next_run(tmp_path: Path) -> None:
    network = build_backbone(BackboneSettings(name="tiny", output_stride=16, weights="random")).eval()
    photos = torch.randint(0, 256, (3, 3, 32, 48)).float()
    last = len(network.levels) - 1
    first = Remembering(network, [last], 32 * 48, tmp_path / "features.pt")
    with torch.inference_mode():
        expected = network(photos)
        found = first(photos)
    assert torch.equal(found[last], expected[last].half().float())
    assert found[0].shape[1] == 0
    assert found[0].shape[2:] == expected[0].shape[2:]
    first.save()
    again = Remembering(network, [last], 32 * 48, tmp_path / "features.pt")
    again.backbone = None  # type: ignore[assignment]
    assert torch.equal(again(photos.flip(0))[last], found[last].flip(0))
    with pytest.raises(TypeError):  # an unknown photo, and one that is too large to be kept
        again(photos + 1)
    with pytest.raises(TypeError):
        again(F.interpolate(photos, scale_factor=2.0))


def test_every_idea_is_of_settings_that_there_are(settings: Params) -> None:
    base = changed(settings, {"cams.floor": 0.0})
    for name, idea in IDEAS.items():
        if idea.settings:
            assert changed(base, idea.settings) != base, name
    assert changed(settings, {"cams.walk": 7}).cams.walk == 7
    with pytest.raises(KeyError, match="walks"):
        changed(settings, {"cams.walks": 7})


def test_the_loss_goes_from_balanced_to_the_mean_over_all_labelled_pixels() -> None:
    logits, labels = torch.randn(2, 4, 6, 6), torch.randint(0, 4, (2, 6, 6))
    labels[0, :2] = 255
    halves = TemperedLoss(power=1.0).of_pixels(logits, labels, torch.ones(2, 6, 6))
    found = torch.stack([half.mean() for half in halves.values()]).sum()
    torch.testing.assert_close(found, 2 * F.cross_entropy(logits, labels, ignore_index=255))
    equal = TemperedLoss(power=0.0).of_pixels(logits, labels, torch.ones(2, 6, 6))
    own = PseudoLabelLoss().of_pixels(logits, labels, torch.ones(2, 6, 6))
    for name, half in own.items():
        torch.testing.assert_close(equal[name].mean(), half.mean())


def test_tables_count_who_is_helped() -> None:
    scores = {"cam": 50.0, "labels": 40.0, "first": 30.0, "student": 35.0}
    sets = {
        "a": {"base": scores, "no walk": scores | {"student": 33.0}, "bound": {"student": 70.0}},
        "b": {"base": scores, "no walk": scores | {"student": 37.5}},
        "c": {"base": scores},
    }
    text = markdown(sets)
    assert "| a | 50.0 | 40.0 | 30.0 | 35.0 | 70.0 | 0.50 |" in text
    assert "| b | 50.0 | 40.0 | 30.0 | 35.0 |  |  |" in text
    assert "| no walk | -2.0 | +2.5 |  | +0.2 | 1 | 1 |" in text
    assert "one round" not in text


def test_a_set_or_a_folder_of_sets(tmp_path: Path) -> None:
    for name in ("zoo/b", "zoo/a", "home"):
        (tmp_path / name / "ImageSets").mkdir(parents=True)
    assert [path.name for path in sets_in(tmp_path / "zoo")] == ["a", "b"]
    assert sets_in(tmp_path / "home") == [tmp_path / "home"]
