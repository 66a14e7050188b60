"""Which state of a training is kept, and what is said of classes that were not learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import CLASSES
from tests.toy_oste import toy_classifier
from tests.toy_tags import coloured
from wsss.core.errors import UserError
from wsss.models.classifier import load_classifier
from wsss.training.judge import LOOKS, TagJudge, TagTable
from wsss.training.verdict import judge_early, judge_signal, judge_tags, tags_csv, tags_text

NAN = float("nan")


def judge(folder: Path, looks: dict[int, list[float]] | None = None, epochs: int = 10) -> TagJudge:
    index, photos = coloured(folder / "photos", train=2, val=4)
    network, card = load_classifier(toy_classifier(folder / "toy.pt"), CLASSES)
    made = TagJudge(network, card, index, photos, epochs, folder / "tags", "toy")
    if looks is not None:
        (folder / "tags/looks.json").write_text(json.dumps(looks))
    return made


def table(after: list[float], guess: list[float] | None = None, before: list[float] | None = None) -> TagTable:
    looks = {0: np.array(before or after), 5: np.array(after)}
    return TagTable(CLASSES[1:], 40, np.array([10, 4, 2]), np.array(guess or [0.25, 0.1, 0.05]), looks, 5)


def test_the_best_state_the_later_of_equals(tmp_path: Path) -> None:
    assert judge(tmp_path, {0: [0.5, 0.7], 4: [0.8, 0.6], 8: [0.8, 0.6], 10: [0.7, 0.6]}).best() == 8
    assert judge(tmp_path, {0: [0.9, 0.9], 10: [0.7, 0.6]}).best() == 0
    assert judge(tmp_path, {0: [NAN, 0.9], 4: [NAN, 1.0], 10: [NAN, 0.6]}).best() == 4


@pytest.mark.parametrize("looks", [None, {0: [NAN, NAN], 10: [NAN, NAN]}])
def test_the_last_state_where_tags_cannot_judge(tmp_path: Path, looks: dict[int, list[float]] | None) -> None:
    found = judge(tmp_path, looks)
    assert found.best() == found.last_without_loss() == 10
    assert not found.table(10).judged


def test_the_last_state_that_has_not_lost_the_tags(tmp_path: Path) -> None:
    assert judge(tmp_path, {0: [0.9], 4: [0.95], 8: [0.896], 10: [0.894]}).last_without_loss() == 8
    assert judge(tmp_path, {0: [0.9], 4: [0.95], 8: [0.7], 10: [0.97]}).last_without_loss() == 10
    # All are worse: the best of them, and not the network before, which has no other parts trained.
    assert judge(tmp_path, {0: [0.9], 4: [0.8], 8: [0.85], 10: [0.7]}).last_without_loss() == 8


def test_it_looks_at_the_start_at_the_end_and_between_and_keeps_the_mode(tmp_path: Path) -> None:
    found = judge(tmp_path, epochs=50)
    assert [epoch for epoch in range(51) if found.due(epoch)] == [10 * part for part in range(LOOKS + 1)]
    found.network.train()
    found(0)
    found(7)
    assert found.network.training
    assert list(found.looks()) == [0]
    assert found.state(0).exists()
    found(20)
    found(10)
    assert list(found.looks()) == [0, 10, 20]


def test_a_class_that_is_hardly_better_than_guessing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = judge_tags("train", table([0.9, 0.15, NAN], before=[0.8, 0.7, NAN]), "before", "stop")
    assert said == "mean AP of val tags 0.53 (before 0.75, guessing 0.17)"
    told = capsys.readouterr().err
    assert "hardly better than guessing: cat (0.15, guessing 0.10)" in told
    assert told.index("\ncat ") < told.index("\nKuh ") < told.index("\ndog ")  # the worst first
    judge_tags("train", table([0.9, 0.8, NAN]), "before", "stop")
    assert "hardly" not in capsys.readouterr().err


def test_all_classes_like_guessing_stop_or_warn(capsys: pytest.CaptureFixture[str]) -> None:
    hopeless = table([0.26, 0.1, NAN])
    with pytest.raises(UserError, match=r"train\.verdict: the classifier tells the tags no better than guessing"):
        judge_tags("train", hopeless, "before", "stop")
    judge_tags("train", hopeless, "before", "warn")
    assert "warning: train: the classifier tells the tags no better" in capsys.readouterr().err


def test_what_is_hopeless_is_said_at_the_first_look_and_stops_at_the_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = table([0.26, 0.1, NAN], before=[0.2, 0.1, NAN])
    judge_early("pretrain", replace(second, kept=0, looks={0: second.before}), "stop")
    assert "a linear probe tells the tags no better" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"pretrain\.verdict: the classifier tells the tags no better than guessing"):
        judge_early("pretrain", second, "stop")
    capsys.readouterr()
    judge_early("pretrain", second, "warn")
    judge_early("pretrain", replace(second, looks=second.looks | {99: second.after}, kept=99), "stop")
    judge_early("pretrain", table([0.26, 0.5, NAN]), "stop")
    assert not capsys.readouterr().err


def test_one_class_that_seems_learnt_by_chance_does_not_save_the_others() -> None:
    lucky = table([0.4, 0.08, 0.05])
    assert lucky.unlearnt() == [1, 2]
    assert lucky.hopeless
    assert not table([0.9, 0.08, 0.05]).hopeless


def test_a_tag_in_every_photo_is_judged_against_its_frequency() -> None:
    """Guessing has .95 there: .953 is no better, .97 is."""
    assert table([0.953, 0.9, 0.9], guess=[0.95, 0.1, 0.1]).unlearnt() == [0]
    assert table([0.97, 0.9, 0.9], guess=[0.95, 0.1, 0.1]).unlearnt() == []


def test_table_as_csv_and_text() -> None:
    found = table([0.9, 0.12, NAN], before=[0.8, 0.7, NAN])
    assert tags_csv(found).splitlines() == [
        "class,photos,tagged,guess,epoch_0,epoch_5,kept,verdict",
        "Kuh,40,10,0.2500,0.8000,0.9000,0.9000,learnt",
        "cat,40,4,0.1000,0.7000,0.1200,0.1200,not learnt",
        "dog,40,2,0.0500,,,,",
    ]
    assert tags_text(found, "probe").splitlines()[-1].split() == ["mean", "40", "0.17", "0.75", "0.51"]


def test_missing_maps_are_the_tags_fault_only_where_the_class_is_told_well(capsys: pytest.CaptureFixture[str]) -> None:
    judge_signal("train", table([0.95, 0.4, NAN]), np.array([0.8, 0.5, 1.0]))
    told = capsys.readouterr().err
    assert "Kuh: 20% of its training photos have no map with a positive score\nfix: check the tags" in told
    assert "cat: 50% of its training photos have no map with a positive score\nfix: add photos of it" in told
    assert "dog" not in told
    judge_signal("train", table([0.95, 0.4, NAN]), np.array([0.95, NAN, 1.0]))
    assert not capsys.readouterr().err
