"""Section `correct`: the methods by name, and what a store says of how it was made."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from wsss.correct.fixed import FixedThresholds
from wsss.correct.gmm import MixtureCorrection
from wsss.correct.settings import METHODS, CorrectSettings
from wsss.crf.settings import PUBLISHED


def test_table_holds_every_method_that_settings_may_choose() -> None:
    assert set(METHODS) == set(get_args(CorrectSettings.model_fields["method"].annotation))


def test_chosen_method_has_its_settings() -> None:
    section = {"fixed": {"alpha": 0.6}, "gmm": {"scope": "image"}}
    fixed = CorrectSettings.model_validate({"method": "fixed", **section}).made()
    assert isinstance(fixed, FixedThresholds)
    assert fixed.settings.alpha == 0.6
    gmm = CorrectSettings.model_validate({"method": "gmm", **section}).made()
    assert isinstance(gmm, MixtureCorrection)
    assert (gmm.fixed.alpha, gmm.settings.scope) == (0.6, "image")
    with pytest.raises(ValidationError, match="'fixed' or 'gmm'"):
        CorrectSettings.model_validate({"method": "fix"})


def test_attributes_are_of_the_settings_that_were_read() -> None:
    """The fixed label is what mixtures correct; of mixtures, fixed thresholds read nothing."""
    fixed, gmm = (CorrectSettings(method=method).made().attributes() for method in ("fixed", "gmm"))
    assert not [name for name in fixed if name.startswith("gmm.")]
    assert {name for name in gmm if not name.startswith("gmm.")} == set(fixed)
    assert fixed["fixed.crf.iterations"] == PUBLISHED.iterations
    assert gmm["gmm.scope"] == "hybrid"


@pytest.mark.parametrize(
    ("method", "fixed", "gmm", "crf"),
    [
        ("fixed", "published", "off", True),
        ("fixed", "off", "published", False),
        ("gmm", "published", "off", False),
        ("gmm", "off", "published", True),
    ],
)
def test_crf_is_that_of_the_method_s_last_step(method: str, fixed: str, gmm: str, crf: bool) -> None:
    section = {"method": method, "fixed": {"crf": fixed}, "gmm": {"crf": gmm}}
    assert CorrectSettings.model_validate(section).made().attributes()["crf"] is crf
