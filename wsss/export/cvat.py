"""Label maps of a store as CVAT imports them: an archive of its format "Segmentation mask 1.1"."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.core.atomic import atomic_file
from wsss.core.log import Progress
from wsss.data.images import voc_palette
from wsss.data.index import IGNORE, Record
from wsss.data.origins import ORIGINS, Origin, origins_text
from wsss.export.labels import Counts, Labels, file_label, safe_ids
from wsss.export.origins import origin
from wsss.export.own import zip_seal
from wsss.formats.labelmap import IGNORED, LABELMAP, labelmap_text

MIDNIGHT = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive: equal labels are equal bytes."""
LABELS = "labels.json"
"""For people, who give the labels when they make a task, before there is an archive to read: CVAT leaves it unread."""


def to_cvat(store: Labels, photos: Mapping[str, Record], out: Path) -> Counts:
    """Colour PNGs of classes and of objects, a label map that says which colour is which class, `LABELS`, and the
    origin of each mask.

    255 becomes the label ``ignore``: else CVAT, whose tools know no such value, would give these pixels back as
    background. It is there even where no pixel has it, so that background which comes back is known to be meant, as in
    a folder of VOC's layout. CVAT compares names without extension.
    """
    origins: dict[str, Origin] = {}
    labelmap = labelmap_text(store.classes)  # its error comes before the work
    with (
        atomic_file(out, verify=_whole) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
        Progress("export", len(store.ids), "masks") as progress,
    ):
        for name in safe_ids(store):
            label = file_label(store, name, photos)
            origins[name] = origin(store, name, label)
            _add(archive, f"SegmentationClass/{name}.png", _png(label))
            _add(archive, f"SegmentationObject/{name}.png", _png(objects(label)))
            progress.advance()
        lines = [f'"{name}"' if any(map(str.isspace, name)) else name for name in store.ids]
        _add(archive, "ImageSets/Segmentation/default.txt", "".join(f"{line}\n" for line in lines).encode())
        _add(archive, LABELMAP, labelmap.encode())
        _add(archive, LABELS, labels_text(store.classes).encode())
        _add(archive, ORIGINS, origins_text(origins).encode())
        archive.comment = zip_seal(archive)
    return {"photos": len(store.ids)}


def about_folders(ids: Sequence[str]) -> str:
    """What to do in CVAT where photos lie in folders: it finds their masks by paths. Empty where none does."""
    inside = next((name for name in ids if "/" in name), "")
    return inside and (
        f"photos lie in folders ({inside}): give them to CVAT as one .zip, which keeps these names (docs/howto/cvat.md)"
    )


def labels_text(classes: Sequence[str]) -> str:
    """What the tab "Raw" of CVAT's label constructor takes: names and colours, without the background; with the label
    ``ignore``, because CVAT refuses masks of a label that its task does not have.

    VOC's colours, and not the gallery's: CVAT writes masks in the colours of its labels, and wsss reads VOC's.
    """
    colours = ["#" + "".join(f"{value:02x}" for value in colour) for colour in voc_palette().tolist()]
    names = {n: name for n, name in enumerate(classes) if n} | {IGNORE: IGNORED}
    labels = [{"name": name, "color": colours[n], "attributes": []} for n, name in names.items()]
    return json.dumps(labels, ensure_ascii=False, indent=1) + "\n"


def objects(label: np.ndarray) -> np.ndarray:
    """(H, W) uint8 class ids, 255 where ignored → (H, W) uint8: 1, 2, … for the classes of this photo and the
    ignored pixels, 0 for the background.

    Without these, CVAT makes an object of the background, too. A class is one object: its pieces may be more than the
    255 that the format can count.
    """
    numbers = np.zeros(256, np.uint8)
    values = np.flatnonzero(np.bincount(label.ravel(), minlength=256)[1:]) + 1
    numbers[values] = np.arange(1, len(values) + 1)
    return numbers[label]


def _png(numbers: np.ndarray) -> bytes:
    made = BytesIO()
    Image.fromarray(voc_palette()[numbers]).save(made, "PNG")
    return made.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, MIDNIGHT)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def _whole(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None, path
