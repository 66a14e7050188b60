"""Weak supervision is a promise: training and labels are the same to the byte where masks are gone, or lie."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.torture.finished import STAGES, Run, before, digests, finish, start
from wsss.data.images import save_mask_png

pytestmark = pytest.mark.slow
UNSUPERVISED = STAGES[STAGES.index("pretrain") : STAGES.index("evaluate")]
MASKS = Path("data/demo/masks")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("promise") / "run")


def test_stages_up_to_the_student_never_open_a_mask(run: Run, tmp_path: Path) -> None:
    work = run.copied(tmp_path / "without")
    assert len(list((work / MASKS).iterdir())) > 0
    shutil.rmtree(work / MASKS)
    same_bytes(run, Run(work, run.seconds), tmp_path)


def test_masks_of_training_photos_that_lie_change_nothing(run: Run, tmp_path: Path) -> None:
    """The demo draws none for training photos; here each of them is class 1 all over."""
    work = run.copied(tmp_path / "lying")
    for row in rows(work, "train"):
        assert not row["mask"]
        shape = int(row["own_height"]), int(row["own_width"])
        save_mask_png(work / MASKS / f"{Path(row['id']).name}.png", np.ones(shape, np.uint8))
    shutil.rmtree(work / "artifacts/dataset")
    (work / "artifacts/masks.csv").unlink()
    ended(work, "index")
    assert all(row["mask"] for row in rows(work, "train"))
    same_bytes(run, Run(work, run.seconds), tmp_path)


def same_bytes(run: Run, other: Run, folder: Path) -> None:
    """Each stage that learns or makes labels gives in `other` what it gave in `run`."""
    for stage in UNSUPERVISED:
        work = before(other, folder / stage, stage)
        ended(work, stage)
        assert digests(work, stage) == digests(run.folder, stage)


def ended(work: Path, stage: str) -> None:
    with start(work, stage) as process:
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def rows(work: Path, split: str) -> list[dict[str, str]]:
    """Those of the index."""
    with (work / "artifacts/dataset/index.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]
