"""Settings as plain values by dotted key. How a file of them is read: tests/faults/test_params.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import h5py
import pytest
from pydantic import BaseModel

from wsss.core.params import Settings, flat
from wsss.correct.settings import CorrectSettings
from wsss.crf.settings import CrfSettings


class Inner(Settings):
    weight: float = 0.25
    engine: Literal["fast", "slow"] = "fast"


class Outer(Settings):
    name: str = "Kühe → 50 %"
    count: int = 3
    flip: bool = True
    scales: tuple[float, ...] = (0.5, 1.0, 1.25)
    levels: tuple[str, ...] = ("c3", "c4")
    nothing: tuple[int, ...] = ()
    inner: Inner = Inner()
    off: Inner | None = None
    on: Inner | None = Inner(weight=1e-5)


FLAT = {
    "name": "Kühe → 50 %",
    "count": 3,
    "flip": True,
    "scales": "0.5 1 1.25",
    "levels": "c3 c4",
    "nothing": "",
    "inner.weight": 0.25,
    "inner.engine": "fast",
    "off": "off",
    "on.weight": 1e-5,
    "on.engine": "fast",
}


def test_every_setting_is_a_plain_value_in_the_order_of_the_fields() -> None:
    found = flat(Outer())
    assert list(found.items()) == list(FLAT.items())
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in FLAT.items()}


def test_keys_stand_below_the_prefix() -> None:
    assert flat(Inner(), "correct.") == {"correct.weight": 0.25, "correct.engine": "fast"}
    assert flat(Outer(), "x.") == {f"x.{key}": value for key, value in FLAT.items()}


def test_hdf5_and_json_take_the_values_as_they_are(tmp_path: Path) -> None:
    found = flat(Outer())
    assert json.loads(json.dumps(found)) == found
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs.update(found)
    with h5py.File(tmp_path / "a.h5") as file:
        assert dict(file.attrs) == found


@pytest.mark.parametrize("settings", [CrfSettings(), CorrectSettings(method="gmm"), CorrectSettings(method="fixed")])
def test_no_setting_is_lost(settings: Settings) -> None:
    """As many values as the settings have leaves, counted by pydantic's own dump."""

    def leaves(node: object) -> int:
        return sum(map(leaves, node.values())) if isinstance(node, dict) else 1

    assert isinstance(settings, BaseModel)
    assert len(flat(settings)) == leaves(settings.model_dump())


NUMBERS = {name: value for name, value in CrfSettings().model_dump().items() if name != "engine"}


def test_a_default_that_is_written_out_is_the_same_value() -> None:
    """``bilateral_xy: 80`` or nothing: or a store would have other bytes, and all behind it would run again."""
    written = {name: int(value) if value == int(value) else value for name, value in NUMBERS.items()}
    assert json.dumps(flat(CrfSettings.model_validate(written))) == json.dumps(flat(CrfSettings()))
