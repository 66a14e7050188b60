"""What a file or folder that wsss has written holds, as plain values: counts, shapes, ranges, where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from wsss.core.atomic import sha256_file
from wsss.core.errors import IntegrityError
from wsss.data.index import BACKGROUND, IGNORE, Index, Record
from wsss.models.checkpoint import FORMAT, VERSION
from wsss.stores.cams import FORMAT as CAMS_FORMAT
from wsss.stores.hdf5 import read_array
from wsss.stores.opened import OneShard
from wsss.stores.shards import Store

SAMPLE = 500
"""Values of larger stores are taken of so many photos, evenly spread over the ids."""

REMEDY = "make it again: dvc repro"

SHARES = "share of pixels"
"""Key of the one part whose values are shares in [0, 1] of classes."""


def store_summary(source: Store | OneShard) -> dict[str, Any]:
    """A store of CAMs or labels, or one shard of it. Reads the arrays of at most `SAMPLE` photos."""
    ids = source.ids
    chosen = [ids[number] for number in np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)]
    attributes = {k: v for k, v in source.attributes.items() if k not in ("format", "version", "params_hash", "shards")}
    arrays: dict[str, _Range] = {}
    pixels, sizes = np.zeros(256, np.int64), []
    maps: Counter[str] = Counter()
    cams = source.format == CAMS_FORMAT
    for name in chosen:
        group = source.group(name)
        for field in group:
            values = read_array(group, field, REMEDY)
            arrays.setdefault(field, _Range(values.dtype)).add(values)
            if field == "label":
                pixels += np.bincount(values.ravel(), minlength=256)
                sizes.append(values.shape)
            if cams and field == "classes":
                maps.update(_names(source.classes, values))
        if cams:
            sizes.append(photo_size(group))
    summary: dict[str, Any] = {
        "what": "store" if isinstance(source, Store) else "shard",
        "format": source.format,
        "version": source.attributes.get("version"),
        "fingerprint": source.attributes.get("params_hash"),
        "classes": list(source.classes),
        "settings": attributes,
        "photos": len(ids),
        "photos looked at": len(chosen),
        "sizes": _sizes(sizes),
        "arrays": {field: found.text() for field, found in sorted(arrays.items())},
        "ids": list(ids[:5]),
    }
    if cams:
        summary["maps of each class"] = {name: maps[name] for name in source.classes[1:]}
    elif pixels.any():
        shares = {name: float(pixels[number] / pixels.sum()) for number, name in enumerate(source.classes)}
        summary[SHARES] = {**shares, "ignore (255)": float(pixels[IGNORE] / pixels.sum())}
    return summary


def photo_summary(name: str, group: h5py.Group, classes: Sequence[str]) -> dict[str, Any]:
    """One photo of a store."""
    summary: dict[str, Any] = {"id": name, "arrays": {}}
    if "scores" in group:
        summary["size"] = _sizes([photo_size(group)])
    for field in group:
        values = read_array(group, field, REMEDY)
        summary["arrays"][field] = f"{values.dtype} {values.shape}, {_extent(values)}"
        if field == "classes":
            summary["classes"] = _names(classes, values)
        if field == "label":
            counts = np.bincount(values.ravel(), minlength=256)
            present = {known: counts[number] / values.size for number, known in enumerate(classes) if counts[number]}
            summary[SHARES] = {k: float(v) for k, v in present.items()}
            summary[SHARES]["ignore (255)"] = float(counts[IGNORE] / values.size)
    return summary


def photo_size(group: h5py.Group) -> tuple[int, int]:
    """(H, W) of the photo that CAMs belong to. `IntegrityError` if they do not say it."""
    try:
        height, width = (int(side) for side in group.attrs["size"])
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise IntegrityError(group.file.filename, f"{group.name} does not say the size of its photo", REMEDY) from error
    return height, width


def index_summary(index: Index) -> dict[str, Any]:
    """The table of a data set."""
    records = index.records
    return {
        "what": "index of a data set",
        "classes": list(index.classes),
        "photos": {split: sum(r.split == split for r in records) for split in index.splits()},
        "photos with masks": sum(r.mask is not None for r in records),
        "photos without tags": sum(not r.tags for r in records),
        "photos of each class": {
            name: sum(number in r.tags for r in records) for number, name in enumerate(index.classes) if number
        },
        "sizes": _sizes([(r.height, r.width) for r in records]),
        "ids": [r.id for r in records[:5]],
    }


def record_summary(record: Record, index: Index) -> dict[str, Any]:
    """One photo of the table."""
    return {**vars(record), "tags": _names(index.classes, record.tags)}


def network_summary(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint as `read_checkpoint` gives it."""
    state: dict[str, torch.Tensor] = content["state"]
    values = torch.cat([tensor.flatten().float() for tensor in state.values()]) if state else torch.zeros(1)
    return {
        "what": "network",
        "format": FORMAT,
        "version": VERSION,
        "kind": content["kind"],
        "classes": list(content["classes"]),
        "backbone": dict(content["backbone"]),
        "settings": content["settings"],
        "weights": content["weights"],
        "tensors": len(state),
        "numbers": sum(tensor.numel() for tensor in state.values()),
        "range": f"{values.min():.4g} … {values.max():.4g}" + ("" if values.isfinite().all() else ", NOT FINITE"),
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
    }


class _Range:
    """Type, shapes and extent of one array over many photos."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype, self.shapes = dtype, set[tuple[int, ...]]()
        self.low, self.high, self.finite = np.inf, -np.inf, True

    def add(self, values: np.ndarray) -> None:
        self.shapes.add(values.shape)
        if values.size:
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.finite = self.finite and bool(np.isfinite(values).all())

    def text(self) -> str:
        shapes = sorted(self.shapes)
        shown = " ".join(str(shape) for shape in shapes[:1]) + (f" … {shapes[-1]}" if len(shapes) > 1 else "")
        extent = f"{self.low:.4g} … {self.high:.4g}" if self.low <= self.high else "empty"
        return f"{self.dtype} {shown}, {extent}" + ("" if self.finite else ", NOT FINITE")


def _extent(values: np.ndarray) -> str:
    return f"{float(values.min()):.4g} … {float(values.max()):.4g}" if values.size else "empty"


def _sizes(sizes: Sequence[tuple[int, ...]]) -> str:
    """Height × width of the smallest and the largest photo."""
    if not sizes:
        return "none"
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    first, last = ("{} × {}".format(*size[:2]) for size in (ordered[0], ordered[-1]))
    return f"{first} (height × width)" if first == last else f"{first} … {last} (height × width)"


def _names(classes: Sequence[str], numbers: Sequence[int] | np.ndarray) -> list[str]:
    return [classes[int(n)] if int(n) < len(classes) else f"class {int(n)}" for n in numbers] or [
        f"({BACKGROUND} only)"
    ]
