"""Label maps as predictions of Label Studio: polygons, which its editor can change, and not its brush."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from wsss.core.atomic import write_text
from wsss.core.folders import atomic_dir
from wsss.core.log import Progress
from wsss.data.index import Record
from wsss.data.origins import ORIGINS, Origin, origins_text
from wsss.data.palette import display_palette
from wsss.data.render import css_colour
from wsss.export.labels import Counts, Labels, file_label, find_files, photo_file, shown
from wsss.export.origins import origin
from wsss.export.outlines import outlines

TASKS = "tasks.json"
CONFIG = "labeling.xml"
LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves what lies below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""


def to_label_studio(
    store: Labels, photos: Mapping[str, Record], out: Path, root: Path, tolerance: float = 0.0
) -> Counts:
    """Write the folder `out` with ``tasks.json``, to import, ``labeling.xml``, the project's labeling interface, and
    the origin of each mask.

    A region is one part of one class, with its holes; background and 255 are left out. Photos are looked for in `root`
    and named from the folder above it, Label Studio's document root. `tolerance`: as in `outlines`. Raises `UserError`
    if photos are not in `root`.
    """
    find_files(store, photos, root)
    tasks, regions, origins = [], 0, dict[str, Origin]()
    with atomic_dir(out) as made, Progress("export", len(store.ids), "photos") as progress:
        for name in store.ids:
            label = file_label(store, name, photos)
            result = [
                _region(f"{category}-{number}", polygon.tolist(), label.shape, store.classes[category])
                for category in shown(label)
                for number, polygon in enumerate(outlines(label == category, tolerance), start=1)
            ]
            regions += len(result)
            image = LOCAL_FILES + quote(f"{root.resolve().name}/{photo_file(name, photos)}")
            tasks.append({"data": {"image": image}, "predictions": [{"model_version": "wsss", "result": result}]})
            origins[name] = origin(store, name, label)
            progress.advance()
        write_text(made / ORIGINS, origins_text(origins))
        write_text(made / TASKS, json.dumps(tasks, ensure_ascii=False) + "\n")
        write_text(made / CONFIG, labeling_config(store.classes))
    return {"photos": len(tasks), "regions": regions}


def labeling_config(classes: Sequence[str]) -> str:
    """XML of the labeling interface, in the gallery's colours; `classes[0]`, the background, is none of its labels."""
    labels = "".join(
        f'    <Label value={quoteattr(name)} background="{css_colour(display_palette()[number])}"/>\n'
        for number, name in enumerate(classes)
        if number
    )
    return (
        "<View>\n"
        '  <Image name="image" value="$image" zoom="true"/>\n'
        '  <PolygonLabels name="label" toName="image" strokeWidth="2" pointSize="small" opacity="0.5">\n'
        f"{labels}"
        "  </PolygonLabels>\n"
        "</View>\n"
    )


def _region(name: str, points: list[list[int]], size: tuple[int, ...], label: str) -> dict[str, Any]:
    """One polygon; Label Studio counts in percent of the photo's width and height."""
    height, width = size
    return {
        "id": name,
        "type": "polygonlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "points": [[100 * x / width, 100 * y / height] for x, y in points],
            "closed": True,
            "polygonlabels": [label],
        },
    }
