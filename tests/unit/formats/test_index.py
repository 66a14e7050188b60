"""From raw data to the index: splits, settings, order, the health table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.formats import build
from wsss.formats.build import build_index, draw_split
from wsss.formats.health import health_findings, health_table
from wsss.formats.settings import DatasetSettings


@pytest.fixture
def herd(raw_data: RawData) -> RawData:
    """Forty photos without a split."""
    rows = [f"{raw_data.photo(f'p{i:02}.jpg').name},{'cow' if i % 3 else 'cow|sheep'}" for i in range(40)]
    raw_data.write("tags.csv", "filename,tags\n" + "\n".join(rows))
    return raw_data


def test_drawn_split_depends_on_seed_and_id_alone() -> None:
    names = [f"photo {i}" for i in range(5000)]
    drawn = [draw_split(name, 7, 0.2) for name in names]
    assert 900 < drawn.count("val") < 1100
    assert drawn == [draw_split(name, 7, 0.2) for name in names]
    assert drawn != [draw_split(name, 8, 0.2) for name in names]
    # A larger share only moves photos from train to val.
    assert all(draw_split(name, 7, 0.3) == "val" for name, split in zip(names, drawn, strict=True) if split == "val")
    assert {draw_split(name, 7, 0.0) for name in names} == {"train"}


def test_adding_photos_does_not_move_others(herd: RawData) -> None:
    before = herd.index({"val_fraction": 0.4})
    herd.photo("new.jpg")
    herd.write("tags.csv", (herd.root / "tags.csv").read_bytes() + b"\nnew.jpg,cow\n")
    after = herd.index({"val_fraction": 0.4})
    assert before is not None
    assert after is not None
    assert {r.split for r in before.records} == {"train", "val"}
    assert [r for r in after.records if r.id != "new"] == list(before.records)


def test_given_splits_are_kept(herd: RawData) -> None:
    herd.write("tags.csv", "filename,tags,split\n" + "".join(f"p{i:02},cow,train\n" for i in range(40)))
    index = herd.index({"val_fraction": 0.9})
    assert index is not None
    assert index.splits() == ("train",)
    assert "no photo in split val: nothing can be scored" in herd.text


def test_index_does_not_depend_on_the_pool(herd: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = DatasetSettings(root=str(herd.root), format="folder")
    alone = build_index(settings, 0)
    monkeypatch.setattr(build, "POOL_FROM", 0)
    monkeypatch.setattr(build, "CHUNK", 3)
    monkeypatch.setenv("WSSS_WORKERS", "2")
    assert build_index(settings, 0) == alone


def test_index_holds_no_place(herd: RawData, tmp_path: Path) -> None:
    herd.index()
    before = {path.name: path.read_bytes() for path in herd.out.iterdir()}
    herd.root = herd.root.rename(tmp_path / "moved % elsewhere")
    herd.index()
    assert {path.name: path.read_bytes() for path in herd.out.iterdir()} == before
    assert sorted(before) == ["classes.csv", "index.csv"]


def test_root_is_relative_to_the_working_folder(herd: RawData) -> None:
    index = herd.index({"root": "raw"})
    assert index is not None
    assert index.records[0].image == "p00.jpg"


def test_missing_root_is_an_error(raw_data: RawData) -> None:
    fix = "correct the path, or put the data set there"
    raw_data.fails("nowhere: no such folder", fix=fix, settings={"root": "nowhere"})


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"format": "cocoa"}, "dataset.format: found 'cocoa', expected 'folder', 'voc' or 'coco'"),
        ({"val_fraction": 1.0}, "dataset.val_fraction: found 1.0"),
        ({"root": ""}, "dataset.root: found ''"),
        ({"mask": "masks"}, "dataset.mask: unknown key (did you mean 'masks'?)"),
    ],
)
def test_settings_are_checked(raw_data: RawData, settings: dict[str, object], what: str) -> None:
    raw_data.fails(what, fix="", settings=settings)


def test_a_failed_run_leaves_the_old_index(herd: RawData) -> None:
    herd.index()
    before = (herd.out / "index.csv").read_bytes()
    herd.write("p00.jpg", b"")
    assert herd.index() is None
    assert (herd.out / "index.csv").read_bytes() == before


def test_health_table(herd: RawData) -> None:
    herd.index()
    table = """\
class       train  alone
------------------------
cow            40     26
sheep          14      0
------------------------
all photos     40     26
"""
    assert table in herd.text
    assert herd.text.endswith(f"index: 40 photos (40 train), 2 classes → {herd.out}\n")


def test_real_data(shared_data: Path) -> None:
    settings = DatasetSettings(
        root=str(shared_data / "msrc_v2"),
        format="voc",
        masks="SegmentationClass",
        classes="classes.txt",
        allow_untagged=True,
    )
    survey = build_index(settings, 0)
    assert [len(survey.index.split(split)) for split in ("train", "val")] == [356, 235]
    # In this set the tags are the classes of the mask: the two must agree photo by photo.
    assert all(set(r.tags) == set(survey.mask_classes[r.id]) - {0} for r in survey.index.records)
    assert "building" in health_table(survey)
    assert any("classes never the only tag of a training photo: car" in f.what for f in health_findings(survey))
    with pytest.raises(UserError, match="14 photos have no tag"):
        build_index(settings.model_copy(update={"allow_untagged": False}), 0)
