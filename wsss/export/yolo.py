"""Label maps as a folder of YOLO's segmentation labels: polygons in text files, and photos where it looks for them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from wsss.core.atomic import write_text
from wsss.core.folders import atomic_dir
from wsss.core.log import Progress
from wsss.data.index import Record
from wsss.data.origins import ORIGINS, Origin, origins_text
from wsss.export.labels import Counts, Labels, file_label, find_files, link_photo, shown
from wsss.export.origins import origin
from wsss.export.outlines import outlines

IMAGES, LABELS, DATA = "images", "labels", "data.yaml"
TRAIN, VAL, TEST = "train", "val", "test"


def to_yolo(store: Labels, photos: Mapping[str, Record], out: Path, root: Path, tolerance: float = 0.0) -> Counts:
    """Write the folder `out`: ``images/<id>.*``, links to the photos in `root`; ``labels/<id>.txt``, a line for each
    part of a class, with its holes: number from 0, and the corners x y as fractions of width and height; lists of the
    photos by split; ``data.yaml``, which names lists and classes; and the origin of each mask.

    Background and 255 are in no polygon. A photo of nothing else has an empty file. `tolerance`: as in `outlines`.
    Raises `UserError` if photos are not in `root`.
    """
    files, origins, polygons = find_files(store, photos, root), dict[str, Origin](), 0
    lists: dict[str, list[str]] = defaultdict(list)
    with atomic_dir(out) as folder, Progress("export", len(files), "photos") as progress:
        for name, file in files.items():
            image = f"{IMAGES}/{name}{file.suffix}"
            link_photo(folder / image, file.resolve())
            label = file_label(store, name, photos)
            lines = label_lines(label, tolerance)
            write_text(folder / label_file(image), "".join(f"{line}\n" for line in lines))
            origins[name], polygons = origin(store, name, label), polygons + len(lines)
            lists[_split(photos, name)].append(f"./{image}\n")
            progress.advance()
        for split, listed in lists.items():
            write_text(folder / f"{split}.txt", "".join(listed))
        write_text(folder / DATA, data_yaml(store.classes, [*lists]))
        write_text(folder / ORIGINS, origins_text(origins))
    return {"photos": len(files), "polygons": polygons}


def label_lines(label: np.ndarray, tolerance: float = 0.0) -> list[str]:
    """``0 0.25 0.5 …`` for each part of each class of a (H, W) uint8 label."""
    sides = np.array(label.shape[::-1])
    return [
        f"{category - 1} {' '.join(f'{value:.6g}' for value in (polygon / sides).ravel())}"
        for category in shown(label)
        for polygon in outlines(label == category, tolerance)
    ]


def label_file(image: str) -> str:
    """Where YOLO looks for the labels of the photo at ``images/…``: its last folder of that name is another one."""
    before, _, after = f"/{image}".rpartition(f"/{IMAGES}/")
    return f"{before}/{LABELS}/{PurePosixPath(after).with_suffix('.txt')}".lstrip("/")


def data_yaml(classes: Sequence[str], splits: Sequence[str]) -> str:
    """Lists of photos, from the folder of the file, and names. YOLO asks for both train and val: where one is not
    there, the other takes its place, and a comment says so.
    """
    lines, others = ["# Made by wsss export."], [split for split in (TRAIN, VAL, TEST) if split in splits]
    for split in (TRAIN, VAL):
        there = split in splits
        remark = "" if there else f"  # no photo is known as {split}: list some in {split}.txt, and not in the other"
        lines.append(f"{split}: {split if there else others[0]}.txt{remark}")
    lines += [f"{TEST}: {TEST}.txt"] if TEST in splits else []
    lines += ["names:", *(f"  {n - 1}: {json.dumps(name, ensure_ascii=False)}" for n, name in enumerate(classes) if n)]
    return "".join(f"{line}\n" for line in lines)


def _split(photos: Mapping[str, Record], name: str) -> str:
    """Of a photo of an index; those of `wsss predict` have none, and are listed to train on."""
    split = photos[name].split if name in photos else TRAIN
    return split if split in (TRAIN, VAL, TEST) else TRAIN
