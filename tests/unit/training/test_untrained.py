"""Stage `train` where nothing is trained: the classifier, in an OSTE's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import CLASSES
from tests.toy_oste import SETTINGS
from tests.toy_tags import coloured, pretrain_toy
from wsss.core.stage import Stage
from wsss.models.classifier import load_classifier
from wsss.models.oste import load_oste
from wsss.training.probe import over_photos
from wsss.training.untrained import keep_classifier
from wsss.training.verdict import judge_signal, judge_tags, tags_csv


@pytest.mark.parametrize("stride", [16, 32])
def test_the_classifier_is_written_as_it_is(tmp_path: Path, stride: int) -> None:
    before = pretrain_toy(tmp_path)  # at stride 32
    index, photos = coloured(tmp_path / "photos")
    (tmp_path / "train").mkdir()
    stage, settings = (
        Stage("train", "f" * 16, tmp_path / "train"),
        SETTINGS.model_copy(update={"output_stride": stride}),
    )
    made = keep_classifier(stage, index, photos, tmp_path / "backbone.pt", settings, tmp_path / "oste.pt")
    assert made.history == []
    assert (list(made.tags.looks), made.tags.kept) == ([0], 0)
    if stride == 32:
        np.testing.assert_allclose(made.tags.after, before.tags.after)
    assert tags_csv(made.tags).startswith("class,photos,tagged,guess,epoch_0,kept,verdict\n")
    assert "(before" in judge_tags("train", made.tags, "before", "stop")
    judge_signal("train", made.tags, made.signal)
    oste, card = load_oste(tmp_path / "oste.pt", CLASSES)
    classifier, _ = load_classifier(tmp_path / "backbone.pt", CLASSES, stride)
    assert oste.segmentation is None
    assert not oste.enhances
    assert card.settings["branch"] is False
    assert torch.equal(oste.head.weight, classifier.head.weight)
    where, train = torch.device("cpu"), index.split("train")
    maps = over_photos(photos, train, lambda images: oste.maps(images).mean((2, 3)), where, "toy")
    np.testing.assert_allclose(maps.mean(0), 0, atol=1e-4)
    found = over_photos(photos, train, lambda images: oste.logits(oste.backbone(images)[-1]), where, "toy")
    np.testing.assert_allclose(found, over_photos(photos, train, classifier, where, "toy"), atol=1e-4)
    with pytest.raises(ValueError, match="no segmentation branch"):
        oste.segment(torch.zeros(1, 3, 64, 64))
