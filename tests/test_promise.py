"""Weak supervision is a promise: what is trained, and every label, is the same to the byte where the masks are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.torture.finished import STAGES, before, digests, finish, start

pytestmark = pytest.mark.slow
UNSUPERVISED = STAGES[STAGES.index("pretrain") : STAGES.index("evaluate")]


def test_stages_up_to_the_student_never_open_a_mask(tmp_path: Path) -> None:
    run = finish(tmp_path / "with")
    work = run.copied(tmp_path / "without")
    masks = work / "data/demo/masks"
    assert len(list(masks.iterdir())) > 0
    shutil.rmtree(masks)
    without = type(run)(work, run.seconds)
    for stage in UNSUPERVISED:
        work = before(without, tmp_path / stage, stage)
        with start(work, stage) as process:
            _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        assert digests(work, stage) == digests(run.folder, stage)
        assert not (work / "data/demo/masks").exists()
