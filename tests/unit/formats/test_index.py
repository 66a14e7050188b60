"""From raw data to the index: splits, settings, order, the health table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import RawData
from wsss.core.errors import IntegrityError, UserError
from wsss.core.folders import MARK
from wsss.data.images import save_mask_png, voc_palette
from wsss.data.index import read_index
from wsss.data.origins import HAND, LABELS, NETWORK, ORIGINS, Origin, digest, origins_text
from wsss.formats import build
from wsss.formats.build import build_index, draw_split, draw_splits
from wsss.formats.health import health_findings, health_table
from wsss.formats.own_masks import own_masks
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


def test_a_handful_of_photos_has_both_splits() -> None:
    for seed in range(20):
        for fraction in (0.01, 0.99):
            drawn = draw_splits(dict.fromkeys("abc", ()), seed, fraction)
            assert {*drawn.values()} == {"train", "val"}
    assert draw_splits(dict.fromkeys("ab", ()), 0, 0.0) == {"a": "train", "b": "train"}
    assert draw_splits({"a": ()}, 0, 0.2) == {"a": draw_split("a", 0, 0.2)}
    names = [f"photo {i}" for i in range(50)]
    assert draw_splits(dict.fromkeys(names, ()), 7, 0.2) == {name: draw_split(name, 7, 0.2) for name in names}


@pytest.mark.parametrize("seed", range(40))
def test_each_tag_has_photos_in_both_splits(seed: int) -> None:
    """Of its two photos or more; no other photo has changed sides, and no tag has lost its last one somewhere."""
    draw = np.random.default_rng(seed)
    tags = {f"p{n}": tuple("abcdef"[k] for k in np.flatnonzero(draw.random(6) < 0.3)) for n in range(24)}
    splits, before = draw_splits(tags, seed, 0.2), {name: draw_split(name, seed, 0.2) for name in tags}
    for tag in "abcdef":
        own = [name for name in tags if tag in tags[name]]
        if len(own) > 1:
            assert {splits[name] for name in own} == {"train", "val"}, tag
    moved = [name for name in tags if splits[name] != before[name]]
    for name in moved:
        lacking = [t for t in tags[name] if all(before[n] == before[name] for n in tags if t in tags[n])]
        assert lacking or len({*before.values()}) == 1
    assert splits == draw_splits(dict(reversed(tags.items())), seed, 0.2)


def test_a_tag_of_one_photo_keeps_it_in_training_or_val() -> None:
    tags = {"x": ("rare", "cow"), "y": ("cow",)}
    for seed in range(20):
        splits = draw_splits(tags, seed, 0.2)
        assert {*splits.values()} == {"train", "val"}


def test_the_only_photo_of_a_tag_is_trained_on() -> None:
    tags: dict[str, tuple[str, ...]] = {f"p{n}": ("cow",) for n in range(12)} | {"x": ("cow", "rare"), "y": ("lone",)}
    drawn = [draw_split(name, seed, 0.4) for seed in range(20) for name in "xy"]
    assert "val" in drawn
    for seed in range(20):
        splits = draw_splits(tags, seed, 0.4)
        assert (splits["x"], splits["y"]) == ("train", "train")


def test_the_only_photo_of_a_tag_is_trained_on_even_if_it_was_all_that_judged_another() -> None:
    """Then another photo judges that one; and no such photo is drawn to judge another tag."""
    tags: dict[str, tuple[str, ...]] = {f"p{n}": ("cow",) for n in range(4)} | {"x": ("cow", "meadow")}
    alone = [seed for seed in range(99) if [n for n in tags if draw_split(n, seed, 0.2) == "val"] == ["x"]]
    assert alone
    for seed in alone:
        splits = draw_splits(tags, seed, 0.2)
        assert splits["x"] == "train"
        assert [*splits.values()].count("val") == 1
    pair = {"x": ("cow", "meadow"), "y": ("cow", "barn"), "z": ("hat",), "w": ("hat",)}
    for seed in range(40):
        splits = draw_splits(pair, seed, 0.2)
        assert (splits["x"], splits["y"]) == ("train", "train")
        assert {splits["z"], splits["w"]} == {"train", "val"}


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
    assert "no photo in split val (found 40 in train): stage evaluate will stop" in herd.text


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
    assert sorted(before) == [".wsss", "classes.csv", "index.csv", "size.json"]


def test_changed_masks_change_their_checksums_and_not_the_index(herd: RawData) -> None:
    def run() -> tuple[str, dict[str, bytes]]:
        assert herd.index({"masks": "masks"}) is not None
        return herd.out.with_name("masks.csv").read_text(), {
            path.name: path.read_bytes() for path in herd.out.iterdir()
        }

    masks = {name: herd.root / f"masks/{name}.png" for name in ("p00", "p07")}
    for path in masks.values():
        save_mask_png(path, np.zeros((6, 8), np.uint8))
    checksums, index = run()
    listed = "".join(f"{name},{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for name, path in masks.items())
    assert checksums == f"id,sha256\n{listed}"
    save_mask_png(masks["p07"], np.ones((6, 8), np.uint8))
    redrawn, same = run()
    assert [line[:3] for line in redrawn.splitlines()] == ["id,", "p00", "p07"]
    assert redrawn.splitlines()[:2] == checksums.splitlines()[:2]
    assert redrawn != checksums
    assert same == index


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
    assert any("classes that never appear alone in a training photo: car" in f.what for f in health_findings(survey))
    with pytest.raises(UserError, match="14 photos have no tag"):
        build_index(settings.model_copy(update={"allow_untagged": False}), 0)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("classes.csv", "1,cow", "1 cow"),
        ("classes.csv", "1,cow\n2,sheep", "2,sheep\n1,cow"),
        ("classes.csv", "cow", "c\udcffw"),
        ("index.csv", "p07", "p\udcff07"),
        ("index.csv", "p07,", '"p07,'),
        ("index.csv", "id,split", "id,spilt"),
    ],
)
def test_damaged_index_is_one_clear_message(herd: RawData, name: str, old: str, new: str) -> None:
    assert herd.index() is not None
    path = herd.out / name
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(IntegrityError, match="is damaged: it is not what was written"):
        read_index(herd.out)
    (herd.out / MARK).unlink()  # an index of an earlier version has none
    with pytest.raises(IntegrityError) as caught:
        read_index(herd.out)
    assert str(caught.value).startswith(f"error: {herd.out}")
    assert str(caught.value).endswith("\nfix: run the index stage: dvc repro -f -s index")


def test_flipped_bits_of_the_index_are_found(herd: RawData) -> None:
    herd.index()
    generator = np.random.default_rng(0)
    for path in sorted(herd.out.iterdir()):
        whole = path.read_bytes()
        for place in generator.choice(len(whole), min(40, len(whole)), replace=False).tolist():
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(generator.integers(8))
            path.write_bytes(flipped)
            with pytest.raises((IntegrityError, UserError)):
                read_index(herd.out)
        path.write_bytes(whole)
    assert read_index(herd.out).foreground == 2


def test_masks_that_show_what_is_not_tagged_are_named(herd: RawData) -> None:
    save_mask_png(herd.root / "masks/p00.png", np.full((6, 8), 1, np.uint8))  # tagged cow and sheep
    save_mask_png(herd.root / "masks/p01.png", np.full((6, 8), 2, np.uint8))  # tagged cow
    assert herd.index({"masks": "masks"}) is not None
    assert "photos whose masks show what they are not tagged with: p01 (sheep)\n" in herd.text


COW = np.array([[0, 1, 1, 255, 0, 0, 0, 0]] * 6, np.uint8)


@pytest.mark.parametrize("place", ["masks", "SegmentationClass"])
def test_masks_that_are_still_a_networks_are_no_truth(herd: RawData, place: str) -> None:
    """Those of p00 and p01, the second of them in VOC's colours, and p02, which are labels: a person has changed p03,
    has painted p04, and the list does not know p05. Names are those of the photos or of the masks.
    """
    for number in range(6):
        save_mask_png(herd.root / place / f"p0{number}.png", COW)
    Image.fromarray(voc_palette()[COW]).save(herd.root / place / "p01.png")
    save_mask_png(herd.root / place / "p03.png", np.where(COW == 255, 0, COW).astype(np.uint8))
    kinds = {"p00": NETWORK, "p01": NETWORK, "p02": LABELS, "p03": NETWORK, "p04": HAND}
    listed = origins_text({name: Origin(kind, "found", digest(COW)) for name, kind in kinds.items()})
    herd.write(ORIGINS if place != "masks" else f"{place}/{ORIGINS}", listed)
    assert herd.index({"masks": place}) is not None
    assert (
        f"warning: {herd.root}: 3 of 6 masks are a network's own, as wsss has written them, and nobody has edited "
        "them: p00, p01, p02; they are no truth, and scores on them say how far networks agree with each other\n"
        "fix: correct them, or move them out"
    ) in herd.text
    herd.write(ORIGINS if place != "masks" else f"{place}/{ORIGINS}", "{")
    assert herd.index({"masks": place}) is not None
    assert "a network's own" not in herd.text


def test_masks_of_a_folder_of_predictions_are_no_truth(herd: RawData) -> None:
    herd.photo("images/sub.jpg")
    herd.write("tags.csv", (herd.root / "tags.csv").read_bytes() + b"\nimages/sub.jpg,cow\n")
    for name in ("p00", "p01", "sub"):
        save_mask_png(herd.root / f"found/masks/{name}.png", COW)
    listed = {"p00": ["", digest(COW)], "p01": ["", digest(np.zeros_like(COW))], "sub": ["", digest(COW)]}
    herd.write("found/masks.json", json.dumps(listed))
    assert herd.index({"masks": "found/masks"}) is not None
    assert (
        "2 of 3 masks are a network's own, as wsss has written them, and nobody has edited them: images/sub, p00;"
        in (herd.text)
    )
    assert own_masks([], 3) == []


def test_masks_without_the_dropped_classes_are_known_again(herd: RawData) -> None:
    """What `wsss export` has numbered without the first class is read by its label map, and compared as it is."""
    herd.write("masks/labelmap.txt", "background:0,0,0::\nsheep:128,0,0::\nignore:224,224,192::\n")
    save_mask_png(herd.root / "masks/p00.png", COW)
    herd.write(f"masks/{ORIGINS}", origins_text({"p00": Origin(NETWORK, "found", digest(COW))}))
    assert herd.index({"masks": "masks", "drop": ["cow"]}) is not None
    assert "1 of 1 masks are a network's own" in herd.text
