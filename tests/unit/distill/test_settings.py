"""Section `distill`: which losses act when, what each round gets of the epochs, and settings that are refused."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.toy_distill import FROZEN, MUTUAL, SETTINGS, TWO_ROUNDS, VARIANTS, altered
from wsss.core.errors import UserError
from wsss.distill.losses.base import StudentLoss
from wsss.distill.settings import DistillSettings

ALWAYS = ["seg", "tags"]
STAGE1 = ["feature", "correspondence"]
STAGE2 = ["kl", "cam", "energy"]
LABELS_ALONE = {"tags__enabled": False, "stage1__enabled": False, "stage2__enabled": False}


def places(settings: DistillSettings) -> dict[str, StudentLoss]:
    """Every loss by the name of its field."""
    stage1, stage2 = settings.stage1, settings.stage2
    return {
        "seg": settings.seg,
        "tags": settings.tags,
        "feature": stage1.feature,
        "correspondence": stage1.correspondence,
        "kl": stage2.kl,
        "cam": stage2.cam,
        "energy": stage2.energy,
    }


def acting(settings: DistillSettings, epoch: int | None = None) -> list[str]:
    """Names of the fields of `settings.losses`, which has to hold these very objects."""
    names = {id(loss): name for name, loss in places(settings).items()}
    return [names[id(loss)] for loss in settings.losses(epoch)]


@pytest.mark.parametrize("begins", [0, 1, 3])
@pytest.mark.parametrize(("first", "keep", "second"), list(product([True, False], repeat=3)))
def test_losses_of_an_epoch_in_the_order_of_the_sum(begins: int, first: bool, keep: bool, second: bool) -> None:
    settings = altered(
        stage1__epochs=begins, stage1__enabled=first, stage1__keep=keep, stage2__enabled=second, optim__epochs=5
    )
    for epoch in range(5):
        expected = list(ALWAYS)
        if first and (keep or epoch < begins):
            expected += STAGE1
        if second and epoch >= begins:
            expected += STAGE2
        assert acting(settings, epoch) == expected
    assert acting(settings) == ALWAYS + first * STAGE1 + second * STAGE2


@pytest.mark.parametrize("name", [*ALWAYS, *STAGE1, *STAGE2])
def test_each_loss_has_a_switch_of_its_own(name: str) -> None:
    path = {**dict.fromkeys(STAGE1, "stage1__"), **dict.fromkeys(STAGE2, "stage2__")}.get(name, "") + name
    settings = altered(**{f"{path}__enabled": False})
    assert acting(settings) == [other for other in (*ALWAYS, *STAGE1, *STAGE2) if other != name]
    for epoch in range(4):
        assert name not in acting(settings, epoch)
        assert acting(settings, epoch) == [other for other in acting(SETTINGS, epoch) if other != name]


def test_all_losses_are_those_of_all_epochs() -> None:
    for settings in VARIANTS.values():
        for part in settings.each_round():
            of_epochs = {name for epoch in range(part.optim.epochs) for name in acting(part, epoch)}
            assert of_epochs == set(acting(part))


def test_mutual_needs_stage_2_and_its_kl() -> None:
    assert MUTUAL.mutual
    assert not FROZEN.mutual
    assert not TWO_ROUNDS.mutual
    for switch in ("stage2__enabled", "stage2__kl__enabled"):
        assert not altered(MUTUAL, **{switch: False}).mutual


def test_one_round_is_all_of_it() -> None:
    assert SETTINGS.each_round() == (SETTINGS,)


@pytest.mark.parametrize("begins", [1, 2, 3])
def test_two_rounds_share_the_epochs(begins: int) -> None:
    whole = altered(TWO_ROUNDS, stage1__epochs=begins)
    first, second = whole.each_round()
    assert (first.optim.epochs, second.optim.epochs) == (begins, 4 - begins)
    for epoch in range(begins):
        assert acting(first, epoch) == ALWAYS + STAGE1
    for epoch in range(4 - begins):
        assert acting(second, epoch) == ALWAYS + STAGE1 + STAGE2[1:]
    # All else is the same.
    assert first == altered(whole, stage2__enabled=False, optim__epochs=begins)
    assert second == altered(whole, stage1__epochs=0, optim__epochs=4 - begins)
    without = altered(whole, stage1__keep=False).each_round()[1]
    assert acting(without, 0) == ALWAYS + STAGE2[1:]


def test_linear_first_student_has_the_epochs_of_the_first_round_and_a_rate_of_its_own() -> None:
    whole = altered(TWO_ROUNDS, init="oste", first__head="linear", first__lr=0.004, optim__clip_norm=10.0)
    whole.check()
    first, second = whole.each_round()
    assert (first.head, first.optim.epochs, first.optim.lr, first.optim.head_lr_factor) == ("linear", 1, 0.004, 1)
    assert first.optim.clip_norm == 0
    assert acting(first, 0) == ALWAYS  # a line learns from labels, and its tags are OSTE's
    assert second == altered(whole, first__head="same").each_round()[1].model_copy(update={"first": whole.first})
    # Where nothing comes second, or all is linear, it says nothing new.
    assert not altered(SETTINGS, first__head="linear").linear_first
    assert not altered(whole, head="linear").linear_first


@pytest.mark.parametrize(("key", "value"), [("restart", False), ("init", "pretrained")])
def test_what_cannot_follow_a_linear_first_student_is_refused(key: str, value: Any) -> None:
    settings = altered(TWO_ROUNDS, **{"init": "oste", "first__head": "linear", key: value})
    told = refused(settings)
    assert told.startswith(f"distill.{key}: found {str(value).lower()}")
    assert told.endswith("or set distill.first.head: same")
    altered(settings, first__head="same").check()  # as the message says


def test_store_of_labels(tmp_path: Path) -> None:
    assert SETTINGS.store(tmp_path) == tmp_path
    assert altered(labels="some/where").store(tmp_path) == Path("some/where")


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": 3},
        {"rounds": 0},
        {"stage2__kl__teacher": "ema"},
        {"seg__weight": -1.0},
        {"channels": 16},
        {"channels": 40},
    ],
)
def test_values_that_do_not_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        altered(**changes)


# Settings that are refused


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_settings_of_these_tests_are_sound(settings: DistillSettings) -> None:
    settings.check()


def refused(settings: DistillSettings) -> str:
    with pytest.raises(UserError) as caught:
        settings.check()
    return str(caught.value).removeprefix("error: ")


@pytest.mark.parametrize("begins", [0, 4, 7])
@pytest.mark.parametrize("second", [True, False])
def test_each_of_two_rounds_needs_epochs(begins: int, second: bool) -> None:
    settings = altered(TWO_ROUNDS, stage1__epochs=begins, stage2__enabled=second)
    assert refused(settings) == (
        f"distill.stage1.epochs: found {begins} of 4 epochs, but each of two rounds needs some\n"
        "fix: set it to about half of distill.optim.epochs, or set distill.rounds: 1"
    )


@pytest.mark.parametrize("settings", [FROZEN, MUTUAL])
@pytest.mark.parametrize("begins", [4, 9])
def test_stage_2_has_to_begin(settings: DistillSettings, begins: int) -> None:
    late = altered(settings, stage1__epochs=begins)
    assert refused(late) == (
        f"distill.stage1.epochs: found {begins} of 4 epochs, so that stage 2 never begins\n"
        "fix: lower it below 4, or set distill.stage2.enabled: false"
    )
    altered(late, stage2__enabled=False).check()  # as the message says
    altered(late, stage1__epochs=3).check()


@pytest.mark.parametrize("teacher", ["frozen", "mutual"])
def test_two_rounds_have_no_kl(teacher: str) -> None:
    settings = altered(rounds=2, stage2__kl__teacher=teacher)
    assert refused(settings) == (
        "distill.stage2.kl.enabled: found true with two rounds, whose teacher's predictions are in the corrected "
        "labels already\n"
        "fix: set it to false, or set distill.rounds: 1"
    )
    altered(settings, stage2__kl__enabled=False).check()  # as the message says
    altered(settings, rounds=1).check()
    altered(settings, stage2__enabled=False).check()  # switched off with all of stage 2


@pytest.mark.parametrize(
    ("changes", "epoch"),
    [
        # Tags alone teach no masks.
        ({"seg__enabled": False, "stage1__enabled": False}, 1),
        ({"seg__enabled": False, "stage1__keep": False, "stage2__enabled": False}, 2),
        ({"seg__weight": 0.0, **LABELS_ALONE}, 1),
        ({"seg__weight": 0.0, "stage1__feature__weight": 0.0, "stage1__correspondence__enabled": False}, 1),
        ({"rounds": 2, "seg__enabled": False, "stage1__enabled": False, "stage2__kl__enabled": False}, 1),
    ],
)
def test_epochs_without_anything_to_learn_are_refused(changes: dict[str, Any], epoch: int) -> None:
    settings = altered(**changes)
    assert refused(settings) == (
        f"distill: no loss acts in epoch {epoch}: every one is switched off or has weight 0\n"
        "fix: set distill.seg.enabled: true and its weight above 0"
    )
    altered(settings, seg__enabled=True, seg__weight=0.1).check()  # as the message says


def test_second_round_without_anything_to_learn_is_refused() -> None:
    settings = altered(TWO_ROUNDS, seg__enabled=False, stage1__keep=False, stage2__enabled=False)
    assert refused(settings).startswith("distill: no loss acts in epoch ")
