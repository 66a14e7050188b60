"""The formats that settings name are the formats there are."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from wsss.core.errors import UserError
from wsss.formats.registry import FORMATS, scan
from wsss.formats.settings import DatasetSettings


def test_every_format_can_be_named_and_every_name_is_a_format() -> None:
    assert set(get_args(DatasetSettings.model_fields["format"].annotation)) == set(FORMATS)


@pytest.mark.parametrize(("root", "refused"), [(".", True), ("..", True), ("photos", False)])
def test_root_that_holds_the_pipeline_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, refused: bool
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(checkout)
    with pytest.raises(UserError, match="holds the pipeline itself" if refused else "no such folder"):
        scan(DatasetSettings(root=root, format="folder"))
