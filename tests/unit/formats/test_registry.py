"""The formats that settings name are the formats there are."""

from __future__ import annotations

from typing import get_args

from wsss.formats.registry import FORMATS
from wsss.formats.settings import DatasetSettings


def test_every_format_can_be_named_and_every_name_is_a_format() -> None:
    assert set(get_args(DatasetSettings.model_fields["format"].annotation)) == set(FORMATS)
