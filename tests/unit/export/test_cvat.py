"""`wsss export --to cvat`: what CVAT's own reader makes of the archive, and the files themselves."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss.export.cvat import labels_text, objects, to_cvat


class Drawn:
    """Labels of two photos: one shows classes 1 and 3 and has ignored pixels, the other shows nothing."""

    path, classes, ids = Path("drawn"), ("background", "cow", "grass", "dog house"), ("a", "sub/b")

    def label(self, name: str) -> np.ndarray:
        label = np.zeros((9, 12), np.uint8)
        if name == "a":
            label[1:4, 2:6], label[6:8, 2:6], label[5:8, 8:11], label[:, 11] = 1, 1, 3, 255
        return label


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cvat") / "labels.zip"
    assert to_cvat(Drawn(), {}, out) == {"photos": 2}
    return out


def test_objects_are_classes_and_what_is_ignored(archive: Path) -> None:
    label = Drawn().label("a")
    with zipfile.ZipFile(archive) as file, file.open("SegmentationObject/a.png") as png, Image.open(png) as image:
        colours = np.asarray(image)
    assert colours[label == 0].max() == 0
    # VOC's colours of 1 to 3: the first objects, whatever their classes.
    assert np.unique(colours[label == 1], axis=0).tolist() == [[128, 0, 0]]
    assert np.unique(colours[label == 3], axis=0).tolist() == [[0, 128, 0]]
    assert np.unique(colours[label == 255], axis=0).tolist() == [[128, 128, 0]]


def test_every_class_has_a_number_of_its_own() -> None:
    label = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert sorted(objects(label).ravel().tolist()) == [*range(256)]


def test_labels_for_the_label_constructor(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        labels = json.loads(file.read("labels.json"))
    assert labels == [
        {"name": "cow", "color": "#800000", "attributes": []},
        {"name": "grass", "color": "#008000", "attributes": []},
        {"name": "dog house", "color": "#808000", "attributes": []},
        {"name": "ignore", "color": "#e0e0c0", "attributes": []},
    ]
    assert [each["name"] for each in json.loads(labels_text(Drawn.classes))] == [*Drawn.classes[1:], "ignore"]


@pytest.mark.filterwarnings("ignore::Warning")
def test_datumaro_reads_one_mask_a_class(archive: Path, tmp_path: Path) -> None:
    """CVAT reads archives with it."""
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro")
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    dataset = datumaro.Dataset.import_from(str(tmp_path), "voc_segmentation")
    names = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
    found = {
        item.id: {names[each.label]: np.asarray(each.image, bool) for each in item.annotations} for item in dataset
    }
    label = Drawn().label("a")
    assert {name: sorted(masks) for name, masks in found.items()} == {"a": ["cow", "dog house", "ignore"], "sub/b": []}
    np.testing.assert_array_equal(found["a"]["cow"], label == 1)
    np.testing.assert_array_equal(found["a"]["dog house"], label == 3)
