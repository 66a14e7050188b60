"""Fault 25, continued: regions that say where an object is and not which pixels, and outlines that are too large."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.conftest import RawData
from tests.faults.test_coco import coco, cow, write  # noqa: F401 -- a fixture
from wsss.commands.masks import main as masks_command
from wsss.core.errors import UserError
from wsss.formats.coco_json import Picture, Region
from wsss.formats.coco_masks import draw_mask, polygon_mask


def drawn(data: RawData, annotations: list[dict[str, Any]], *options: str) -> tuple[np.ndarray, str]:
    """The mask of the photo, 8 × 6 pixels, and what was said."""
    write(data, annotations=annotations)
    result = CliRunner().invoke(masks_command, [str(data.root), "--split", "train", *options])
    assert result.exit_code == 0, result.output
    return np.array(Image.open(data.root / "masks/train2014/a.png")), result.stderr


@pytest.mark.parametrize("shape", [[], [[]], None, "left out"])
def test_fault_25_box_without_an_outline_is_ignored(coco: RawData, shape: Any) -> None:  # noqa: F811
    """As CVAT writes rectangles. What is in it is no background, and not all of it the object."""
    box = cow(id=8, category_id=90, bbox=[1, 2, 6, 4], segmentation=shape)
    if shape == "left out":
        del box["segmentation"]
    mask, said = drawn(coco, [box, cow(segmentation=[[2, 1, 6, 1, 6, 4, 2, 4]])])
    expected = np.zeros((6, 8), np.uint8)
    expected[2:6, 1:7] = 255
    expected[1:4, 2:6] = 1
    assert (mask == expected).all()
    assert "1 of 2 regions are boxes without an outline: what is in them becomes 255 (ignored)" in said


def test_fault_25_neither_outline_nor_box(coco: RawData) -> None:  # noqa: F811
    write(coco, annotations=[cow(segmentation=[])])
    result = CliRunner().invoke(masks_command, [str(coco.root), "--split", "train"])
    assert result.exit_code == 2
    assert "segmentation: found nothing, nor a bbox, expected polygons or run lengths" in result.stderr


def test_fault_25_brush_masks_are_marked_as_crowds(coco: RawData) -> None:  # noqa: F811
    """CVAT sets iscrowd for what was painted with a brush."""
    painted = [cow(iscrowd=1)]
    mask, said = drawn(coco, painted)
    assert set(np.unique(mask)) == {0, 255}
    assert "1 of 1 regions are marked as crowds (iscrowd: 1): they become 255 (ignored)" in said
    (coco.root / "masks/train2014/a.png").unlink()
    mask, said = drawn(coco, painted, "--crowds", "objects")
    assert set(np.unique(mask)) == {0, 1}
    assert "crowd" not in said


def test_fault_25_outline_that_crosses_millions_of_rows() -> None:
    """The memory that it would take is refused before it is taken."""
    zigzag = [coordinate for n in range(1000) for coordinate in (n % 9, 0 if n % 2 else 9000)]
    with pytest.raises(UserError, match="an outline crosses 9000000 rows"):
        polygon_mask([zigzag], (9000, 9), "x")


def test_fault_25_regions_of_a_photo_are_drawn_one_at_a_time() -> None:
    side = 1000
    regions = [Region(n, 1, 1, False, None, [[0, 0, side, 0, side, side, 0, side]]) for n in range(50)]
    tracemalloc.start()
    draw_mask(Picture(1, "a.jpg", side, side), regions, {1: 1}, Path("x"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * side * side
