"""Label maps of a store as a folder in VOC's layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wsss.core.atomic import write_text
from wsss.core.folders import atomic_dir
from wsss.core.log import Progress
from wsss.data.images import save_mask_png
from wsss.data.index import Record
from wsss.data.origins import ORIGINS, Origin, origins_text
from wsss.export.labels import Counts, Labels, file_label, safe_ids
from wsss.export.origins import origin
from wsss.formats.labelmap import EXPORTED, LABELMAP, labelmap_text


def to_voc(store: Labels, photos: Mapping[str, Record], out: Path) -> Counts:
    """A folder with ``SegmentationClass/<id>.png`` (indexed, 255 = ignore), ``labelmap.txt``, ``classes.txt``,
    ``ImageSets/Segmentation/default.txt`` and the origin of each mask. Masks are named by the ids.
    """
    origins: dict[str, Origin] = {}
    labelmap = labelmap_text(store.classes)
    with atomic_dir(out) as folder, Progress("export", len(store.ids), "masks") as progress:
        for name in safe_ids(store):
            label = file_label(store, name, photos)
            save_mask_png(folder / EXPORTED / f"{name}.png", label)
            origins[name] = origin(store, name, label)
            progress.advance()
        write_text(folder / LABELMAP, labelmap)
        write_text(folder / "classes.txt", "".join(f"{name}\n" for name in store.classes[1:]))
        write_text(folder / "ImageSets" / "Segmentation" / "default.txt", "".join(f"{name}\n" for name in store.ids))
        write_text(folder / ORIGINS, origins_text(origins))
    return {"photos": len(store.ids)}
