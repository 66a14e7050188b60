"""What is in a folder that `wsss predict` has filled, as plain values, and the mask of a photo there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from wsss.export.predicted import Predicted
from wsss.formats.problems import some
from wsss.predict.folder import FORMAT
from wsss.predict.note import read_note
from wsss.predict.segmenting import network_sha256
from wsss.predict.table import Row
from wsss.report.drawing import Drawing
from wsss.report.lineage import OTHER, SAME
from wsss.report.origin import NETWORK, origin
from wsss.report.pixel import label_pixel
from wsss.report.summary import SHARES, Sizes
from wsss.stores.opened import known_id

UNNOTED = "not noted: it was made by an earlier wsss, or has not come to its end"


def predicted_summary(path: Path) -> dict[str, Any]:
    """All of the folder `path`. Raises `UserError` if it is none, `IntegrityError` if it is damaged."""
    found = Predicted(path)
    rows = found.rows
    sizes = [found.records[row.id].own_size for row in rows]
    pixels = [height * width for height, width in sizes]
    edited = [name for name in found.ids if found.edited(name)]
    areas = np.average([row.areas for row in rows], axis=0, weights=pixels) if rows else np.zeros(len(found.classes))
    return {
        "what": "predictions of wsss predict",
        "format": FORMAT,
        "classes": list(found.classes),
        "made": _made(origin(read_note(path), found.settings, rows)) or UNNOTED,
        "settings": found.settings,
        "photos": len(rows),
        "photos to look at": sum(bool(row.look) for row in rows),
        **({"edited since": some(edited)} if edited else {}),
        "look at first": {row.id: "; ".join(row.look) for row in rows[:5] if row.look},
        "sizes": Sizes.of(sizes),
        "ids": list(found.ids[:5]),
        SHARES: dict(zip(found.classes, map(float, areas), strict=True)),
    }


def _made(found: dict[str, Any]) -> dict[str, Any]:
    """The `origin` of these masks, and whether its network is the same now; empty if that is not known."""
    try:
        network = found[NETWORK]
        there, sha256 = Path(network["file"]), network["sha256"]
    except (KeyError, TypeError, ValueError):
        return {}
    with suppress(OSError):
        if there.exists():
            network["file"] += f": {SAME if network_sha256(there) == sha256 else OTHER}"
    return found


def predicted_photo(path: Path, name: str, at: tuple[int, int] | None = None) -> tuple[dict[str, Any], Drawing]:
    """Photo `name` of the folder `path`, and its mask; `at`: (x, y), a pixel to say more of. Raises as
    `predicted_summary`.
    """
    found = Predicted(path)
    name = known_id(path, found.ids, name)
    row: Row = next(row for row in found.rows if row.id == name)
    record = found.records[name]
    shares = {known: area for known, area in zip(found.classes, row.areas, strict=True) if area}
    summary = {
        "id": name,
        "photo": record.image,
        "height": record.height,
        "width": record.width,
        "confidence": row.confidence,
        "look": list(row.look),
        SHARES: shares,
    }
    label = found.label(name)
    if at is not None:
        summary["pixel"] = label_pixel(label, found.classes, at)
    return summary, Drawing(path.resolve(), name, found.classes, record.own_size, label, {}, "Mask")
