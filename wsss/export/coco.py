"""Label maps as a COCO json: one annotation for each photo and class that it shows, by run lengths or polygons."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wsss.core.atomic import write_text
from wsss.core.errors import EnvError
from wsss.core.log import Progress
from wsss.data.index import Record
from wsss.export.labels import Counts, Labels, file_label, photo_file, shown
from wsss.export.outlines import outlines
from wsss.export.own import json_seal

Segmentation = Callable[[np.ndarray], Any]
"""Of a mask (H, W) bool: what COCO's field `segmentation` holds."""


def to_coco(
    store: Labels, photos: Mapping[str, Record], out: Path, polygons: bool = False, tolerance: float = 0.0
) -> Counts:
    """Write the json `out`; background and 255 are left out.

    `polygons`: instead of run lengths, a polygon for each part, with its holes; `tolerance` as in `outlines`. Run
    lengths need pycocotools (`EnvError`).
    """
    segmentation = (lambda mask: _polygons(mask, tolerance)) if polygons else _run_lengths()
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with Progress("export", len(store.ids), "photos") as progress:
        for number, name in enumerate(store.ids, start=1):
            label = file_label(store, name, photos)
            height, width = label.shape
            pictures.append({"id": number, "file_name": photo_file(name, photos), "height": height, "width": width})
            for category in shown(label):
                mask = label == category
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": category,
                        "iscrowd": 0,
                        "area": int(mask.sum()),
                        "bbox": _box(mask),
                        "segmentation": segmentation(mask),
                    }
                )
            progress.advance()
    categories = [{"id": n, "name": name, "supercategory": ""} for n, name in enumerate(store.classes) if n]
    content = {"licenses": [], "images": pictures, "categories": categories, "annotations": annotations}
    info = {"description": "made by wsss export", "wsss.sha256": json_seal(content)}
    write_text(out, json.dumps({"info": info, **content}, ensure_ascii=False) + "\n")
    return {"photos": len(pictures), "annotations": len(annotations)}


def _box(mask: np.ndarray) -> list[float]:
    """x, y, width, height in pixels."""
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0))
    return [float(value) for value in (left, top, right + 1 - left, bottom + 1 - top)]


def _polygons(mask: np.ndarray, tolerance: float) -> list[list[int]]:
    return [polygon.ravel().tolist() for polygon in outlines(mask, tolerance)]


def _run_lengths() -> Segmentation:
    try:
        from pycocotools import mask as rle
    except ModuleNotFoundError as error:
        what = "run lengths of COCO need the package pycocotools, which is not installed"
        raise EnvError("wsss export", what, "pip install 'wsss[coco]', or add --polygons") from error

    def encoded(mask: np.ndarray) -> dict[str, Any]:
        code = rle.encode(np.asfortranarray(mask, np.uint8))
        return {"size": list(mask.shape), "counts": code["counts"].decode("ascii")}

    return encoded
