"""`wsss labels to-masks`: masks in any colours become masks of the data set, and what scores reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.conftest import RawData
from wsss.commands import labels
from wsss.data.images import save_mask_png
from wsss.data.index import Index, Record, write_index
from wsss.data.masks import MaskedImages
from wsss.data.origins import NETWORK, ORIGINS, Origin, digest, origins_text, read_origins
from wsss.data.photos import Photos

CLASSES = ("background", "cow", "dog", "sheep")
COLOURS = {"sheep": (42, 125, 209), "background": (0, 0, 0), "dog": (250, 50, 83), "cow": (36, 179, 83)}
"""As CVAT gives them, in an order that is not the classes'."""
MASK = np.array([[0, 1, 2, 3, 0, 0, 0, 0]] * 6, np.uint8)
EXPORTED = "background:0,0,0::\ncow:128,0,0::\nsheep:0,128,0::\nignore:224,224,192::\n"
"""The label map of `wsss export`, of a network that knows no dog."""


@pytest.fixture
def data(raw_data: RawData) -> RawData:
    raw_data.write("tags.csv", "filename,tags,split\na.png,cow|dog|sheep,train\nsub/b.png,cow|sheep,val\n")
    for name in ("a", "sub/b"):
        raw_data.photo(f"{name}.png")
    assert raw_data.index() is not None
    return raw_data


def draw(folder: Path, name: str, mode: str) -> None:
    path = folder / "SegmentationClass" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "labelmap.txt").write_text(
        "".join(f"{label}:{','.join(map(str, colour))}::\n" for label, colour in COLOURS.items())
    )
    if mode == "RGB":
        colours = np.array([COLOURS[label] for label in CLASSES], np.uint8)
        Image.fromarray(colours[MASK]).save(path)
        return
    order = [*COLOURS]
    numbers = np.array([order.index(label) for label in CLASSES], np.uint8)
    image = Image.fromarray(numbers[MASK])
    image.putpalette(np.array(list(COLOURS.values()), np.uint8).tobytes())
    image.save(path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(labels.main, ["to-masks", *map(str, arguments)])


@pytest.mark.parametrize("mode", ["RGB", "P"])
@pytest.mark.parametrize("drop", [[], ["dog"]])
def test_masks_are_read_by_the_names_of_their_labels(data: RawData, mode: str, drop: list[str]) -> None:
    edited = data.root.with_name("edited")
    for name in ("a", "b"):
        draw(edited, name, mode)
    assert data.index({"drop": drop}) is not None
    out = data.root / "masks"
    done = run(edited, out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == (
        f"labels: 2 masks → {out}; next: set dataset.masks to masks, and run wsss check params.yaml\n"
    )
    index = data.index({"masks": "masks", "drop": drop})
    assert index is not None, data.text
    assert index.dropped == ((2,) if drop else ())
    masked = MaskedImages(Photos(data.root, 1.0, index.records), len(index.classes), dropped=index.dropped)
    seen = np.where(MASK == 2, 0, np.where(MASK == 3, 2, MASK)) if drop else MASK
    for record in index.records:
        np.testing.assert_array_equal(masked.mask(record), seen)


def test_masks_of_train_photos_alone_are_said_to_score_nothing(data: RawData) -> None:
    edited = data.root.with_name("edited")
    for name in ("a", "b"):
        draw(edited, name, "RGB")
    records = [Record(name, split, "", None, (1,), 4, 6, "") for name, split in (("a", "train"), ("sub/b", "val"))]
    write_index(Path("artifacts/dataset"), Index(CLASSES, tuple(records)))
    assert "score nothing" not in run(edited, "both").stdout
    (edited / "SegmentationClass/b.png").unlink()
    told = "all of them are of train photos, which score nothing; for the accuracy, correct masks of val photos: sub/b"
    assert run(edited, "one").stdout.endswith(f"\n{told}\n")


def test_what_check_says_to_do_is_what_helps(data: RawData) -> None:
    draw(data.root, "a", "RGB")
    layout = {"masks": "SegmentationClass"}
    data.out.rename(data.out.with_name("earlier"))
    fix = f"wsss labels to-masks {data.root}/SegmentationClass NEW reads the masks by the names of the labels, and"
    data.fails("labelmap.txt: label 'sheep' has another colour than VOC's", fix=fix, settings=layout)
    done = run(data.root / "SegmentationClass", "NEW")
    assert done.exit_code == 0, done.stderr
    assert f"next: put these files in the place of those in {data.root}/SegmentationClass, and run" in done.stdout
    (data.root / "SegmentationClass").rename(data.root.with_name("before"))
    (data.root / "labelmap.txt").unlink()
    Path("NEW").rename(data.root / "SegmentationClass")
    assert data.index(layout) is not None, data.text


@pytest.mark.parametrize("drop", [[], ["dog"]])
def test_masks_that_are_still_a_networks_stay_known(data: RawData, drop: list[str]) -> None:
    """Also under the numbers of all classes: sheep, which is 2 for the network, is 3 in the masks."""
    edited, found = data.root.with_name("edited"), np.where(MASK == 3, 0, MASK).astype(np.uint8)
    for name in ("a", "b"):
        save_mask_png(edited / f"SegmentationClass/{name}.png", found)
    origins = {"a": digest(found), "b": digest(np.zeros_like(found))}  # a person has changed the second
    (edited / "labelmap.txt").write_text(EXPORTED)
    (edited / ORIGINS).write_text(origins_text({name: Origin(NETWORK, "n", of) for name, of in origins.items()}))
    assert data.index({"drop": drop}) is not None
    assert run(edited, data.root / "masks").exit_code == 0
    expected = np.where(found == 2, 3, found).astype(np.uint8)
    assert read_origins(data.root / "masks") == {"a": Origin(NETWORK, "n", digest(expected))}
    assert data.index({"masks": "masks", "drop": drop}) is not None, data.text
    assert "1 of 2 masks are a network's own, as wsss has written them, and nobody has edited them: a; " in data.text


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_label_map_among_the_masks_is_as_good(data: RawData, mode: str) -> None:
    edited = data.root.with_name("edited")
    draw(edited, "a", mode)
    labelmap = (edited / "labelmap.txt").read_text().replace("background", "_background_")
    (edited / "labelmap.txt").rename(edited / "SegmentationClass/labelmap.txt").write_text(labelmap)
    (edited / "SegmentationClass" / ORIGINS).write_text(origins_text({"a": Origin(NETWORK, "n", digest(MASK))}))
    for number, source in enumerate((edited, edited / "SegmentationClass")):
        out = data.root.with_name(f"out{number}")
        done = run(source, out)
        assert done.exit_code == 0, done.stderr
        np.testing.assert_array_equal(np.asarray(Image.open(out / "a.png")), MASK)


def test_what_cannot_be_made_masks_of(data: RawData) -> None:
    edited = data.root.with_name("edited")
    assert "no such file or folder" in run(edited, "NEW").stderr
    draw(edited, "a", "RGB")
    (edited / "labelmap.txt").write_text("background:0,0,0::\ncow:36,179,83::\nsheep:42,125,209::\ncat:250,50,83::\n")
    done = run(edited, "NEW")
    assert (done.exit_code, "6 pixels have the label 'cat', which is no class" in done.stderr) == (2, True)
    (edited / "labelmap.txt").unlink()
    assert "has no labelmap.txt beside its masks, so nothing says" in run(edited, "NEW").stderr
    assert not Path("NEW").exists()
    draw(edited, "a", "RGB")
    draw(edited, "nowhere", "RGB")
    assert "1 of 2 masks fit no photo" in run(edited, "NEW").stderr
    done = run(edited, data.root)
    assert (done.exit_code, "is there already, and nothing is replaced" in done.stderr) == (2, True)


def test_masks_of_photos_that_were_deleted_since_are_left_out(data: RawData) -> None:
    edited, out = data.root.with_name("edited"), data.root / "masks"
    for name in ("a", "c"):
        draw(edited, name, "RGB")
    assert "1 of 2 masks fit no photo of the labels: c" in run(edited, out).stderr
    (edited / ORIGINS).write_text(origins_text({"c": Origin(NETWORK, "found", digest(MASK))}))
    told = run(edited, out).stdout
    assert f"labels: 1 mask → {out} (without those of photos that the data set has no more: c)" in told
    assert [path.name for path in out.rglob("*.png")] == ["a.png"]
