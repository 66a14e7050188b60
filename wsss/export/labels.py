"""Label maps of a store as other tools read them: a VOC folder, a COCO json, a CVAT archive.

Other tools lay labels over the photos' files, so they are written at the files' own sizes. The writers take `photos`:
the records of the index by id. A photo that is not there has the size of its label, and its name is ``<id>.jpg``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from wsss.core.atomic import atomic_file, write_text
from wsss.core.errors import EnvError, UserError
from wsss.core.folders import atomic_dir
from wsss.core.log import Progress
from wsss.data.ids import clean_id
from wsss.data.images import save_mask_png, voc_palette
from wsss.data.index import IGNORE, Record
from wsss.data.size import fit_label

Counts = dict[str, int]


class Labels(Protocol):
    """Label maps by photo id, of a store or of a folder of predictions; `path` is for messages."""

    path: Path
    classes: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """All photo ids, sorted."""
        ...

    def label(self, name: str) -> np.ndarray:
        """(H, W) uint8: class ids, 255 where ignored."""
        ...


MIDNIGHT = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive: equal labels are equal bytes."""


def to_voc(store: Labels, photos: Mapping[str, Record], out: Path) -> Counts:
    """A folder with ``SegmentationClass/<id>.png`` (indexed, 255 = ignore), ``labelmap.txt``, ``classes.txt`` and
    ``ImageSets/Segmentation/default.txt``. Masks are named by the ids.
    """
    labelmap = _labelmap(store.classes, ignore=True)
    with atomic_dir(out) as folder, Progress("export", len(store.ids), "masks") as progress:
        for name in _safe_ids(store):
            save_mask_png(folder / "SegmentationClass" / f"{name}.png", _label(store, name, photos))
            progress.advance()
        write_text(folder / "labelmap.txt", labelmap)
        write_text(folder / "classes.txt", "".join(f"{name}\n" for name in store.classes[1:]))
        write_text(folder / "ImageSets" / "Segmentation" / "default.txt", "".join(f"{name}\n" for name in store.ids))
    return {"photos": len(store.ids)}


def to_coco(store: Labels, photos: Mapping[str, Record], out: Path) -> Counts:
    """A json with one run-length annotation for each photo and class that it shows; background and 255 are left out.

    Needs pycocotools (`EnvError`).
    """
    try:
        from pycocotools import mask as rle
    except ModuleNotFoundError as error:
        what = "COCO needs the package pycocotools, which is not installed"
        raise EnvError("wsss export", what, "pip install 'wsss[coco]'") from error
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with Progress("export", len(store.ids), "photos") as progress:
        for number, name in enumerate(store.ids, start=1):
            label = _label(store, name, photos)
            height, width = label.shape
            file = photos[name].image if name in photos else f"{name}.jpg"
            pictures.append({"id": number, "file_name": file, "height": height, "width": width})
            for category in (int(value) for value in np.unique(label) if value not in (0, IGNORE)):
                code = rle.encode(np.asfortranarray(label == category, np.uint8))
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": category,
                        "iscrowd": 0,
                        "area": int(rle.area(code)),
                        "bbox": [float(value) for value in rle.toBbox(code)],
                        "segmentation": {"size": [height, width], "counts": code["counts"].decode("ascii")},
                    }
                )
            progress.advance()
    categories = [{"id": n, "name": name, "supercategory": ""} for n, name in enumerate(store.classes) if n]
    content = {"info": {}, "licenses": [], "images": pictures, "categories": categories, "annotations": annotations}
    write_text(out, json.dumps(content, ensure_ascii=False) + "\n")
    return {"photos": len(pictures), "annotations": len(annotations)}


def to_cvat(store: Labels, photos: Mapping[str, Record], out: Path) -> Counts:
    """An archive in CVAT's format "Segmentation mask 1.1": colour PNGs, and a label map that says which is which.

    255 becomes the label ``ignore``, where there is any. CVAT compares names without extension.
    """
    ignore = False
    _labelmap(store.classes, ignore=True)  # its error comes before the work
    with (
        atomic_file(out, verify=_whole) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        Progress("export", len(store.ids), "masks") as progress,
    ):
        for name in _safe_ids(store):
            label = _label(store, name, photos)
            ignore = ignore or bool((label == IGNORE).any())
            png = BytesIO()
            Image.fromarray(voc_palette()[label]).save(png, "PNG")
            _add(archive, f"SegmentationClass/{name}.png", png.getvalue())
            progress.advance()
        lines = [f'"{name}"' if any(map(str.isspace, name)) else name for name in store.ids]
        _add(archive, "ImageSets/Segmentation/default.txt", "".join(f"{line}\n" for line in lines).encode())
        _add(archive, "labelmap.txt", _labelmap(store.classes, ignore).encode())
    return {"photos": len(store.ids)}


WRITERS: dict[str, Callable[[Labels, Mapping[str, Record], Path], Counts]] = {
    "voc": to_voc,
    "coco": to_coco,
    "cvat": to_cvat,
}


def _label(store: Labels, name: str, photos: Mapping[str, Record]) -> np.ndarray:
    label = store.label(name)
    return fit_label(label, photos[name].own_size) if name in photos else label


def _safe_ids(store: Labels) -> tuple[str, ...]:
    """All ids; `UserError` for one that would leave the folder or the archive (a store may come from anywhere)."""
    for name in store.ids:
        clean_id(name, store.path)
    return store.ids


def _labelmap(classes: tuple[str, ...], ignore: bool) -> str:
    """A line each: ``name:r,g,b::``. `UserError` for names that its readers would take for something else."""
    if wrong := [name for name in classes if ":" in name or name.startswith("#") or name == "ignore"]:
        what = f"class {wrong[0]!r} cannot be written into labelmap.txt (':' parts its fields, '#' begins a remark, "
        raise UserError("wsss export", f"{what}'ignore' is 255)", "rename the class; or export --to coco: it takes any")
    rows = [(name, voc_palette()[number]) for number, name in enumerate(classes)]
    if ignore:
        rows.append(("ignore", voc_palette()[IGNORE]))
    lines = [f"{name}:{','.join(str(int(value)) for value in colour)}::\n" for name, colour in rows]
    return "# label:color_rgb:parts:actions\n" + "".join(lines)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, MIDNIGHT)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _whole(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None, path
