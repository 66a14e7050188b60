"""A CRF in params.yaml: off, published, or the keys that differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wsss.core.errors import ErrorList, UserError
from wsss.core.params import Settings, load
from wsss.crf.settings import PUBLISHED, Crf, CrfSettings


class Cut(Settings):
    alpha: float = 0.8
    crf: Crf = PUBLISHED


class Params(Settings):
    correct: Cut


def read(folder: Path, text: str) -> CrfSettings | None:
    (folder / "params.yaml").write_text(text)
    return load(folder / "params.yaml", Params).correct.crf


def refusal(folder: Path, text: str) -> str:
    with pytest.raises((UserError, ErrorList)) as caught:
        read(folder, text)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{folder}/", "")


def test_defaults_are_the_published_constants() -> None:
    """Eq (11) of OSTE, which has them from DSRG."""
    assert CrfSettings() == PUBLISHED
    assert (PUBLISHED.iterations, PUBLISHED.engine) == (10, "fast")
    assert (PUBLISHED.bilateral_weight, PUBLISHED.bilateral_xy, PUBLISHED.bilateral_rgb) == (10, 80, 13)
    assert (PUBLISHED.spatial_weight, PUBLISHED.spatial_xy) == (3, 3)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("off", None),
        ("'off'", None),
        ("published", PUBLISHED),
        ("{}", PUBLISHED),
        ("{spatial_xy: 1}", CrfSettings(spatial_xy=1)),
        ("{bilateral_rgb: 5.5, engine: pydensecrf}", CrfSettings(bilateral_rgb=5.5, engine="pydensecrf")),
        ("\n    iterations: 3\n    spatial_weight: 0", CrfSettings(iterations=3, spatial_weight=0)),
    ],
)
def test_every_way_to_write_one(tmp_path: Path, written: str, meant: CrfSettings | None) -> None:
    assert read(tmp_path, f"correct:\n  crf: {written}\n") == meant


def test_what_is_not_written_is_the_default(tmp_path: Path) -> None:
    assert read(tmp_path, "correct: {}\n") == PUBLISHED


@pytest.mark.parametrize("found", ["of", "on", "Published", "OFF", "dsrg", "true", "false", "3", "[10, 80, 13]"])
def test_another_word_is_told_the_alternatives(tmp_path: Path, found: str) -> None:
    message = refusal(tmp_path, f"correct:\n  alpha: 0.5\n  crf: {found}\n")
    assert message.startswith("error: params.yaml:3: correct.crf: found ")
    assert message.endswith(
        ", expected off, published, or the keys that differ from the published ones\nfix: change correct.crf"
    )


def test_wrong_key_is_named_with_those_there_are(tmp_path: Path) -> None:
    assert refusal(tmp_path, "correct:\n  crf:\n    iterations: 3\n    spatial: 3\n").splitlines() == [
        "error: params.yaml:4: correct.crf.spatial: unknown key (did you mean 'spatial_xy'?)",
        f"fix: known keys are {', '.join(sorted(CrfSettings.model_fields))}",
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("iterations", 0, "greater than or equal to 1"),
        ("bilateral_xy", 0, "greater than 0"),
        ("spatial_weight", -1, "greater than or equal to 0"),
        ("engine", "'gpu'", "'fast' or 'pydensecrf'"),
    ],
)
def test_wrong_value_is_named_with_its_line(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    message = refusal(tmp_path, f"correct:\n  crf:\n    {key}: {value}\n")
    assert message == (
        f"error: params.yaml:3: correct.crf.{key}: found {value}, expected {expected}\nfix: change correct.crf.{key}"
    )


def test_no_crf_is_off_where_it_is_read_again() -> None:
    """Settings that are off, as workers and fingerprints see them."""
    off = Cut(crf=None)
    assert off.crf is None
    assert Cut.model_validate(off.model_dump()) == off
    assert json.loads(off.model_dump_json())["crf"] is None
