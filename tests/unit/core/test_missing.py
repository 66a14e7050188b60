"""What is said of paths that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss.core.errors import UserError
from wsss.core.missing import need_made, similar


def test_a_neighbour_with_nearly_the_same_name_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert similar(Path("../photo")) == " (did you mean '../photos'?)"
    assert similar(Path("../zzz")) == ""
    assert similar(Path("nowhere/photo")) == ""
    (tmp_path / "photos/first").mkdir()
    for path in ("../photo/first", "../photo/frist", "../photos/frist"):
        assert similar(Path(path)) == " (did you mean '../photos/first'?)"
    assert similar(Path("../photo/zzz")) == ""


def test_what_the_pipeline_writes_needs_its_run_in_its_folder(tmp_path: Path) -> None:
    model = tmp_path / "artifacts/student.pt"
    with pytest.raises(UserError) as caught:
        need_made(model)
    assert (caught.value.where, caught.value.what) == (str(model), "no such file")
    assert caught.value.fix.endswith("in the folder of your project, run the stages that write it: dvc repro gallery")
    model.parent.mkdir()
    model.with_name("oste.pt").touch()  # an earlier network is not what was meant
    with pytest.raises(UserError) as caught:
        need_made(model)
    assert caught.value.what == "no such file"
    model.touch()
    need_made(model)
