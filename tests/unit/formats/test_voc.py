"""Format `voc`: lists, and tags from annotations, a CSV, or one-hot vectors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RawData
from wsss.core.errors import UserError
from wsss.formats.onehot import read_onehot
from wsss.formats.raw import RawDataset
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings
from wsss.formats.voc import VOC_CLASSES
from wsss.formats.voc_tags import xml_tags

CLASSES = ("background", "cow", "dog", "person")


@pytest.fixture
def voc(raw_data: RawData) -> RawData:
    """Two photos, one a split."""
    raw_data.write("ImageSets/Segmentation/train.txt", "2007_000032\n")
    raw_data.write("ImageSets/Segmentation/val.txt", "2007_000033\n\n")
    for name in ("2007_000032", "2007_000033", "2007_999999"):
        raw_data.write(f"JPEGImages/{name}.jpg", b"x")
    raw_data.write("tags.csv", "id,split,tags,source\n2007_000032,train,cow|dog,x\n2007_000033,val,person,x\n")
    return raw_data


def read(data: RawData, **others: object) -> RawDataset:
    return scan(DatasetSettings(root=str(data.root), format="voc", **others))


def tags(raw: RawDataset) -> dict[str, tuple[str, ...]]:
    return {item.id: item.tags for item in raw.items}


TAGS = {"2007_000032": ("cow", "dog"), "2007_000033": ("person",)}


def annotation(*names: str) -> str:
    objects = "".join(f"<object><name>{n}</name><part><name>head</name></part></object>\n" for n in names)
    return f"<annotation><filename>x</filename>\n{objects}</annotation>"


def test_lists_photos_masks_and_csv_tags(voc: RawData) -> None:
    voc.write("SegmentationClass/2007_000033.png", b"x")
    raw = read(voc, masks="SegmentationClass")
    assert raw.classes == ("background", *VOC_CLASSES)
    assert tags(raw) == TAGS
    assert [(item.split, item.image, item.mask) for item in raw.items] == [
        ("train", "JPEGImages/2007_000032.jpg", None),
        ("val", "JPEGImages/2007_000033.jpg", "SegmentationClass/2007_000033.png"),
    ]


def test_tags_from_annotations(voc: RawData) -> None:
    voc.write("Annotations/2007_000032.xml", annotation("dog", "cow", "dog"))
    voc.write("Annotations/2007_000033.xml", annotation("person"))
    assert {name: set(found) for name, found in tags(read(voc, tags="xml")).items()} == {
        name: set(found) for name, found in TAGS.items()
    }


def test_photo_without_annotation_has_no_tags(voc: RawData) -> None:
    assert tags(read(voc, tags="xml")) == {"2007_000032": (), "2007_000033": ()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<!DOCTYPE a [<!ENTITY x 'boom'>]><annotation>&x;</annotation>", "declares a document type"),
        ("<annotation><object>", "not valid XML"),
        ("<?xml version='1.0' encoding='nonsense'?><a/>", "not valid XML"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.xml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        xml_tags(tmp_path / "a.xml")


def test_entities_hidden_by_utf_16_are_refused(tmp_path: Path) -> None:
    text = "<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE a [<!ENTITY x 'boom'>]><a>&x;</a>"
    (tmp_path / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(UserError, match="declares a document type"):
        xml_tags(tmp_path / "a.xml")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", ">f4"])
def test_tags_from_one_hot_vectors(voc: RawData, dtype: str) -> None:
    vectors = {"2007_000032": np.zeros(20, dtype), 2007000033: np.zeros(20, dtype)}
    vectors["2007_000032"][[VOC_CLASSES.index("cow"), VOC_CLASSES.index("dog")]] = 1
    vectors[2007000033][VOC_CLASSES.index("person")] = 1
    np.save(voc.root / "cls_labels.npy", vectors, allow_pickle=True)
    assert tags(read(voc, tags="cls_labels.npy")) == TAGS


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_one_hot_vectors_of_any_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "labels.npy"
    np.save(path, {}, allow_pickle=True)
    header = path.read_bytes()
    box = np.array({"a": np.array([0, 1, 1.0])}, dtype=object)
    path.write_bytes(header[: header.index(b"\n") + 1] + pickle.dumps(box, protocol))
    assert read_onehot(path, CLASSES) == {"a": ("dog", "person")}


def test_one_hot_vectors_with_background_first(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", {"a": np.array([1, 0, 1, 0])}, allow_pickle=True)
    assert read_onehot(tmp_path / "labels.npy", CLASSES) == {"a": ("dog",)}


@pytest.mark.parametrize("vector", [np.zeros(5), np.array([0, 2, 0]), np.array([np.nan, 0, 0]), np.zeros(0)])
def test_one_hot_vectors_that_do_not_fit(tmp_path: Path, vector: np.ndarray) -> None:
    np.save(tmp_path / "labels.npy", {"a": vector}, allow_pickle=True)
    with pytest.raises(UserError, match=f"'a': found {vector.size} values .* expected 3, each 0 or 1"):
        read_onehot(tmp_path / "labels.npy", CLASSES)


def test_train_aug_and_lists_of_paths(voc: RawData) -> None:
    voc.write("ImageSets/Segmentation/train_aug.txt", "/JPEGImages/2007_999999.jpg /SegmentationClassAug/x.png\n")
    voc.write("tags.csv", "id,tags\n2007_999999,cow\n2007_000033,dog\n")
    assert {item.id: item.split for item in read(voc).items} == {"2007_000033": "val", "2007_999999": "train"}


def test_lists_of_main(voc: RawData) -> None:
    (voc.root / "ImageSets/Segmentation").rename(voc.root / "ImageSets/Main")
    assert tags(read(voc)) == TAGS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "ImageSets/Segmentation/val.txt",
            "2007_000032\n",
            r"val\.txt:1: duplicate id '2007_000032' \(first in .*train",
        ),
        ("ImageSets/Segmentation/val.txt", "2007_000044\n", r"val\.txt:1: no photo '2007_000044' below "),
        ("ImageSets/Segmentation/val.txt", "../../x\n", "leaves the data set's folder"),
        (
            "tags.csv",
            "id,tags\n2007_000032,cw\n2007_000033,dog\n",
            r"tags\.csv:2: unknown class 'cw' \(did you mean",
        ),
        (
            "tags.csv",
            "id,tags,split\n2007_000032,cow,val\n",
            r"tags\.csv:2: split 'val', but .*train\.txt:1 says",
        ),
    ],
)
def test_entries_that_do_not_fit(voc: RawData, name: str, content: str, message: str) -> None:
    voc.write(name, content)
    with pytest.raises(UserError, match=message):
        raise read(voc).problems[0]


def test_root_one_level_too_high(voc: RawData) -> None:
    with pytest.raises(UserError, match="JPEGImages: no such folder") as caught:
        scan(DatasetSettings(root=str(voc.root.parent), format="voc"))
    assert caught.value.fix == f"set dataset.root to {voc.root}"


def test_missing_lists(raw_data: RawData) -> None:
    raw_data.write("JPEGImages/a.jpg", b"x")
    with pytest.raises(UserError, match=r"Segmentation/train\.txt: no such file"):
        read(raw_data)


def test_real_data(shared_data: Path) -> None:
    raw = scan(DatasetSettings(root=str(shared_data / "voc20_mix"), format="voc", masks="SegmentationClass"))
    assert raw.problems == ()
    assert [sum(item.split == split for item in raw.items) for split in ("train", "val")] == [461, 351]
    assert all(item.tags and item.mask for item in raw.items)
