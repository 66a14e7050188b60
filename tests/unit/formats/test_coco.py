"""Format `coco`: lists with gaps in their ids, tags, and masks drawn out of outlines."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from tests.conftest import RawData
from wsss.commands.masks import main as masks_command
from wsss.core.errors import UserError
from wsss.data.images import load_mask
from wsss.formats.coco_json import Picture, Region, read_instances
from wsss.formats.coco_masks import decompress_counts, draw_mask, polygon_mask, region_mask, rle_mask
from wsss.formats.raw import RawDataset
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings

CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}, {"id": 13, "name": "stop sign"}]
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]
PHOTOS = {"train2014/a.jpg": (9, 8), "train2014/b.jpg": (11, 8), "val2014/c.jpg": (12, 8)}


def annotation(image: int, category: int, **others: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "iscrowd": 0, "segmentation": [SQUARE], "area": 12, **others}


def document(images: dict[int, str], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    sizes = {Path(name).name: size for name, size in PHOTOS.items()}
    pictures = [
        {"id": number, "file_name": name, "width": sizes[name][0], "height": sizes[name][1]}
        for number, name in images.items()
    ]
    return {"images": pictures, "categories": CATEGORIES, "annotations": annotations}


@pytest.fixture
def coco(raw_data: RawData) -> RawData:
    """Two training photos, one without annotations, and one validation photo, all 8 high."""
    for name, (width, height) in PHOTOS.items():
        raw_data.photo(name, (height, width))
    train = document({139: "a.jpg", 5: "b.jpg"}, [annotation(139, 90), annotation(139, 1), annotation(139, 1)])
    raw_data.write("annotations/instances_train2014.json", json.dumps(train))
    raw_data.write("annotations/instances_val2014.json", json.dumps(document({7: "c.jpg"}, [annotation(7, 13)])))
    return raw_data


def read(data: RawData, **others: object) -> RawDataset:
    return scan(DatasetSettings(root=str(data.root), format="coco", **{"tags": "annotations", **others}))


def test_classes_close_the_gaps_in_the_order_of_ids(coco: RawData) -> None:
    raw = read(coco)
    assert raw.problems == ()
    assert raw.classes == ("background", "person", "stop sign", "toothbrush")
    assert [(item.id, item.split, item.image, item.tags) for item in raw.items] == [
        ("train2014/a", "train", "train2014/a.jpg", ("person", "toothbrush")),
        ("train2014/b", "train", "train2014/b.jpg", ()),
        ("val2014/c", "val", "val2014/c.jpg", ("stop sign",)),
    ]


def test_index_of_a_coco_set_with_drawn_masks(coco: RawData) -> None:
    result = CliRunner().invoke(masks_command, [str(coco.root), "--split", "train", "--split", "val"])
    assert result.output.endswith(f"masks: 2 train, 1 val → {coco.root}/masks; next: set dataset.masks to masks\n")
    index = coco.index({"format": "coco", "tags": "annotations", "masks": "masks", "allow_untagged": True})
    assert index is not None, coco.text
    assert [record.mask for record in index.records] == [
        "masks/train2014/a.png",
        "masks/train2014/b.png",
        "masks/val2014/c.png",
    ]
    mask = load_mask(coco.root / "masks/val2014/c.png", (8, 12), 4)
    assert np.unique(mask).tolist() == [0, 2]
    assert (mask[1:4, 2:6] == 2).all()
    assert (mask == 2).sum() == 12
    assert not load_mask(coco.root / "masks/train2014/b.png", (8, 11), 4).any()


def test_only_validation_masks_are_drawn_unasked(coco: RawData) -> None:
    assert CliRunner().invoke(masks_command, [str(coco.root)]).exit_code == 0
    assert [path.name for path in sorted((coco.root / "masks").rglob("*.png"))] == ["c.png"]


def test_one_list_without_a_split_in_its_name(coco: RawData) -> None:
    (coco.root / "annotations/instances_train2014.json").rename(coco.root / "mine.json")
    assert [(item.id, item.split) for item in read(coco, tags="mine.json").items] == [
        ("train2014/a", ""),
        ("train2014/b", ""),
    ]


def test_photos_that_lie_elsewhere_are_found_by_their_base_name(coco: RawData) -> None:
    (coco.root / "train2014").rename(coco.root / "pictures")
    assert [item.id for item in read(coco).items][:2] == ["pictures/a", "pictures/b"]


def test_smaller_object_lies_on_top_and_crowds_below(tmp_path: Path) -> None:
    whole, left, dot = [0, 0, 8, 0, 8, 6, 0, 6], [0, 0, 4, 0, 4, 6, 0, 6], [1, 1, 2, 1, 2, 2, 1, 2]
    regions = [
        Region(1, 1, 30, False, 1.0, [dot]),
        Region(2, 1, 20, False, 24.0, [left]),
        Region(3, 1, 10, True, 48.0, [whole]),
    ]
    mask = draw_mask(Picture(1, "x", 6, 8), regions, {10: 1, 20: 2, 30: 3}, tmp_path)
    assert mask[1, 1] == 3
    assert (mask[:, 4:] == 255).all()
    assert (mask[:, :4] == 2).sum() == 23
    unsized = [Region(r.id, 1, r.category, r.crowd, None, r.shape) for r in regions]
    assert (draw_mask(Picture(1, "x", 6, 8), unsized, {10: 1, 20: 2, 30: 3}, tmp_path) == mask).all()


@pytest.mark.parametrize("size", [2, 5, 20, 60])
def test_polygon_is_the_pixels_whose_centre_is_inside(size: int) -> None:
    generator = np.random.default_rng(size)
    rows, columns = np.mgrid[:70, :80]
    centres = np.c_[columns.ravel() + 0.5, rows.ravel() + 0.5]
    for _ in range(20):
        angles = np.sort(generator.uniform(0, 2 * math.pi, 9))
        points = generator.uniform(10, 60, 2) + size / 2 * np.c_[np.cos(angles), np.sin(angles)]
        expected = Outline(points).contains_points(centres).reshape(70, 80)
        if expected.any():
            assert (polygon_mask([points.ravel().tolist()], (70, 80), "x") == expected).all()


@pytest.mark.parametrize(
    ("polygon", "pixel"),
    [([3.2, 2.1, 3.4, 2.1, 3.4, 2.3], (2, 3)), ([5, 4, 5, 4], (4, 5)), ([8, 6], (5, 7)), ([-1, -1, -1, -1], (0, 0))],
)
def test_tiny_polygon_marks_the_pixel_it_is_in(polygon: list[float], pixel: tuple[int, int]) -> None:
    assert np.argwhere(polygon_mask([polygon], (6, 8), "x")).tolist() == [list(pixel)]


def test_run_lengths_go_down_the_columns() -> None:
    mask = rle_mask({"size": [3, 2], "counts": [1, 2, 3]}, (3, 2), "x")
    assert mask.tolist() == [[False, False], [True, False], [True, False]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40))
def test_compressed_counts_round_trip(counts: list[int]) -> None:
    assert decompress_counts(compressed(counts), "x") == counts


def compressed(counts: list[int]) -> str:
    """COCO's string form, written after its C code's description and not after our reader."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            text += chr((group | (32 if more else 0)) + 48)
    return text


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_masks_agree_with_pycocotools() -> None:
    coco_mask = pytest.importorskip("pycocotools.mask")
    generator = np.random.default_rng(0)
    for _ in range(50):
        mask = generator.random((17, 23)) < generator.random()
        packed = coco_mask.encode(np.asfortranarray(mask, np.uint8))
        assert (rle_mask({"size": [17, 23], "counts": packed["counts"].decode()}, (17, 23), "x") == mask).all()
    polygon = [20.3, 10.1, 70.2, 15.5, 60.7, 60.9, 25.4, 50.2]
    theirs = coco_mask.decode(coco_mask.frPyObjects([polygon], 70, 80))[..., 0] > 0
    ours = polygon_mask([polygon], (70, 80), "x")
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.985


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.just([2, 1, 6, 1, 6, 4]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "file_name", "height", "counts", "size", "iscrowd"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
ENTRY = st.dictionaries(
    st.sampled_from(
        "id file_name height width image_id category_id iscrowd area segmentation name counts size".split()  # noqa: SIM905
    ),
    JSON | st.integers(0, 9),
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({key: JSON | st.lists(ENTRY, max_size=4) for key in ("images", "annotations", "categories")})
)
def test_fuzzed_list_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "instances_val.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    check(path)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_fuzzed_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, patch: bytes) -> None:
    data = bytearray(json.dumps(document({7: "c.jpg"}, [annotation(7, 13)])).encode())
    start = place % len(data)
    data[start : start + len(patch)] = patch
    path = tmp_path_factory.mktemp("fuzz") / "instances_val.json"
    path.write_bytes(data)
    check(path)


@settings(max_examples=300, deadline=None)
@given(JSON | st.lists(JSON, max_size=6) | st.fixed_dictionaries({"size": st.just([6, 8]), "counts": JSON}))
def test_fuzzed_outline_is_drawn_or_refused(shape: Any) -> None:
    with suppress(UserError):
        assert region_mask(Region(1, 1, 1, False, None, shape), (6, 8), "x").shape == (6, 8)


def check(path: Path) -> None:
    problems: list[UserError] = []
    try:
        found = read_instances(path, problems, shapes=True)
        for number, regions in found.regions_of().items():
            picture = found.pictures[number]
            if (picture.height or 1) * (picture.width or 1) < 10_000:
                draw_mask(picture, regions, dict.fromkeys(found.categories, 1), path)
    except UserError as error:
        problems.append(error)
    assert all(str(error).startswith(f"error: {path}") for error in problems)
