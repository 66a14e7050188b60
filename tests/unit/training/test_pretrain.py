"""The classifier: a probe that is tuned, the best of its states by held-out tags, stopped and continued to the bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import CLASSES
from tests.toy_tags import SETTINGS, coloured, pretrain_toy
from wsss.core.errors import InterruptedStage, UserError
from wsss.core.interrupt import catch_signals
from wsss.data.tables import history_csv
from wsss.models.classifier import load_classifier
from wsss.numeric.precision import mean_known
from wsss.training import pretrain as pretraining
from wsss.training.probe import over_photos, pooled
from wsss.training.verdict import judge_tags, tags_csv


def test_it_begins_as_a_probe_and_keeps_the_best_state(tmp_path: Path) -> None:
    made = pretrain_toy(tmp_path)
    table = made.tags
    assert sorted(table.looks) == [0, 1, 2, 3, 4]
    assert mean_known(table.before) > 0.9  # colours are told without any training
    means = {epoch: mean_known(values) for epoch, values in table.looks.items()}
    assert means[table.kept] == max(means.values())
    assert table.photos == 12
    assert table.unlearnt() == []
    assert [row["epoch"] for row in made.history] == [1, 2, 3, 4]
    assert made.history[0]["cls"] < 0.6  # a head of random weights begins at log 2


def test_a_probe_that_is_not_tuned_is_the_classifier(tmp_path: Path) -> None:
    made = pretrain_toy(tmp_path / "kept", SETTINGS.model_copy(update={"tune": False}))
    tuned = pretrain_toy(tmp_path / "tuned")
    assert made.history == []
    assert history_csv(made.history) == "\n"
    assert (list(made.tags.looks), made.tags.kept) == ([0], 0)
    np.testing.assert_array_equal(made.tags.after, tuned.tags.before)
    assert tags_csv(made.tags).splitlines()[0] == "class,photos,tagged,guess,epoch_0,kept,verdict"
    kept, _ = load_classifier(tmp_path / "kept/backbone.pt", CLASSES)
    probe, _ = load_classifier(tmp_path / "tuned/scratch/tags/0000.pt", CLASSES)
    for name, tensor in probe.state_dict().items():
        assert torch.equal(kept.state_dict()[name], tensor), name
    again = pretrain_toy(tmp_path / "kept", SETTINGS.model_copy(update={"tune": False}))  # its looks are in the scratch
    assert tags_csv(again.tags) == tags_csv(made.tags)
    assert torch.equal(load_classifier(tmp_path / "kept/backbone.pt", CLASSES)[0].head.weight, kept.head.weight)


def test_random_weights_that_are_not_tuned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        pretrain_toy(tmp_path, SETTINGS.model_copy(update={"tune": False, "probe": False}))
    assert caught.value.where == "pretrain.probe"


def test_without_a_probe_it_begins_at_random(tmp_path: Path) -> None:
    made = pretrain_toy(tmp_path, SETTINGS.model_copy(update={"probe": False}))
    assert made.history[0]["cls"] == pytest.approx(np.log(2), rel=0.1)


def test_maps_of_the_file_are_centred_on_the_training_photos(tmp_path: Path) -> None:
    pretrain_toy(tmp_path)
    network, _ = load_classifier(tmp_path / "backbone.pt", CLASSES)
    index, photos = coloured(tmp_path / "photos")
    train = index.split("train")
    where = torch.device("cpu")
    maps = over_photos(photos, train, lambda images: network.maps(images).mean((2, 3)), where, "toy")
    np.testing.assert_allclose(maps.mean(0), 0, atol=1e-4)
    features = torch.from_numpy(over_photos(photos, train, lambda images: pooled(network, images), where, "toy"))
    logits = features @ network.head.weight[:, :, 0, 0].T.detach() + network.head.bias + network.prior
    seen = over_photos(photos, train, network, where, "toy")
    np.testing.assert_allclose(logits.detach().numpy(), seen, atol=1e-4)


@pytest.mark.parametrize("probe", [True, False])
def test_without_a_bias_a_logit_is_the_mean_of_its_map(tmp_path: Path, probe: bool) -> None:
    pretrain_toy(tmp_path, SETTINGS.model_copy(update={"probe": probe, "bias": False}))
    network, card = load_classifier(tmp_path / "backbone.pt", CLASSES)
    assert card.settings["bias"] is False
    assert not network.head.bias.any()
    index, photos = coloured(tmp_path / "photos")
    train, where = index.split("train"), torch.device("cpu")
    maps = over_photos(photos, train, lambda images: network.maps(images).mean((2, 3)), where, "toy")
    np.testing.assert_allclose(maps, over_photos(photos, train, network, where, "toy"), atol=1e-4)
    assert np.abs(maps.mean(0)).max() > 0.01  # and nothing centres them
    with pytest.raises(ValueError, match="cannot be centred"):
        network.centre(torch.zeros(network.head.in_channels))


def test_the_best_state_is_written_and_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining.TagJudge, "best", lambda judge: judge.epochs)
    pretrain_toy(tmp_path / "last")
    monkeypatch.setattr(pretraining.TagJudge, "best", lambda judge: 0)
    made = pretrain_toy(tmp_path / "first")
    assert made.tags.kept == 0
    first, last = (load_classifier(tmp_path / name / "backbone.pt", CLASSES)[0] for name in ("first", "last"))
    probe, _ = load_classifier(tmp_path / "first/scratch/tags/0000.pt", CLASSES)
    assert torch.equal(first.head.weight, probe.head.weight)
    assert not torch.equal(first.head.weight, last.head.weight)


@pytest.mark.parametrize("stop_after", [1, 6, 7, 20])
def test_stopped_and_continued_equals_undisturbed_to_the_bit(
    tmp_path: Path, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain_toy(tmp_path / "whole")
    steps = 0
    terms = pretraining.ClassifyTags.terms

    def stopping(task, network, batch):  # type: ignore[no-untyped-def]
        nonlocal steps
        steps += 1
        if steps == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return terms(task, network, batch)

    monkeypatch.setattr(pretraining.ClassifyTags, "terms", stopping)
    with pytest.raises(InterruptedStage), catch_signals():
        pretrain_toy(tmp_path / "part")
    assert not (tmp_path / "part/backbone.pt").exists()
    torch.manual_seed(99)
    part = pretrain_toy(tmp_path / "part")
    assert steps == 24  # none twice
    assert (tmp_path / "part/backbone.pt").read_bytes() == (tmp_path / "whole/backbone.pt").read_bytes()
    assert history_csv(part.history) == history_csv(whole.history)
    assert tags_csv(part.tags) == tags_csv(whole.tags)


def test_tags_that_mean_nothing_stop_the_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = pretrain_toy(tmp_path, honest=False)
    table = made.tags
    chance = dict.fromkeys(table.looks, table.guess)
    hopeless = type(table)(table.classes, table.photos, table.tagged, table.guess, chance, table.kept)
    with pytest.raises(UserError) as caught:
        judge_tags("pretrain", hopeless, "probe", "stop")
    assert "tells the tags no better than guessing" in str(caught.value)
    assert "pretrain.verdict: warn" in str(caught.value)
    capsys.readouterr()
    judge_tags("pretrain", hopeless, "probe", "warn")
    assert "tells the tags no better than guessing" in capsys.readouterr().err


def test_without_held_out_photos_the_last_state_is_kept_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = pretrain_toy(tmp_path, val=0)
    assert not made.tags.judged
    assert made.tags.kept == 4
    capsys.readouterr()
    assert judge_tags("pretrain", made.tags, "probe", "stop") == "tags not judged"
    assert "nothing says whether the tags were learnt" in capsys.readouterr().err
    assert tags_csv(made.tags).splitlines()[1] == "Kuh,0,0,,,,,"
