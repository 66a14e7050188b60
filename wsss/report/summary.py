"""What a file or folder that wsss has written holds, as plain values: counts, shapes, ranges, where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from wsss.core.atomic import sha256_file
from wsss.core.errors import IntegrityError
from wsss.data.index import IGNORE, Index, Record
from wsss.evaluation.correction import EDITED, EDITED_ONLY, MARKS
from wsss.evaluation.new_store import CONTENT
from wsss.models.checkpoint import FORMAT, VERSION
from wsss.predict.package import FORMAT as PACKAGE
from wsss.predict.package import VERSION as PACKAGE_VERSION
from wsss.stores.cams import FORMAT as CAMS_FORMAT
from wsss.stores.corrected import BASE
from wsss.stores.hdf5 import read_array
from wsss.stores.opened import OneShard
from wsss.stores.store import Store
from wsss.stores.whose import BY_METHODS, MADE_BY

SAMPLE = 500
"""Values of larger stores are taken of so many photos, evenly spread over the ids."""

REMEDY = "make it again: dvc repro"

BASE_SETTINGS = "settings of its base, of the labels that were not replaced"
OF_IMPORT = (
    *(BASE, EDITED, f"{BASE}_sha256", "edited", EDITED_ONLY, CONTENT, MADE_BY, BY_METHODS, *MARKS.values()),
    *("format", "version", "sha256"),
)
"""Attributes of corrected labels that are of their import, and not taken over from their base."""

SHARES = "share of pixels"
"""Key of the one part whose values are shares in [0, 1] of classes."""


@dataclass(frozen=True)
class Extent:
    """Smallest and largest of the finite numbers, None without any; `finite`: all of them are."""

    min: float | None
    max: float | None
    finite: bool

    @classmethod
    def of(cls, values: np.ndarray) -> Extent:
        """Of an array of any shape and type of number."""
        finite = np.isfinite(values)
        found = values if finite.all() else values[finite]
        low, high = (found.min().item(), found.max().item()) if found.size else (None, None)
        return cls(low, high, bool(finite.all()))

    def __or__(self, other: Extent) -> Extent:
        ends = [end for each in (self, other) for end in (each.min, each.max) if end is not None]
        return Extent(min(ends, default=None), max(ends, default=None), self.finite and other.finite)

    def __str__(self) -> str:
        text = "empty" if self.min is None else f"{self.min:.4g} … {self.max:.4g}"
        return text + ("" if self.finite else ", NOT FINITE")


@dataclass(frozen=True)
class Values:
    """Type, smallest and largest shape, and range of an array in one photo or in several."""

    dtype: str
    smallest: tuple[int, ...]
    largest: tuple[int, ...]
    range: Extent

    @classmethod
    def of(cls, values: np.ndarray) -> Values:
        """Of one array."""
        return cls(str(values.dtype), values.shape, values.shape, Extent.of(values))

    def __or__(self, other: Values) -> Values:
        smallest, largest = min(self.smallest, other.smallest), max(self.largest, other.largest)
        return Values(self.dtype, smallest, largest, self.range | other.range)

    def __str__(self) -> str:
        several = f" … {self.largest}" if self.largest != self.smallest else ""
        return f"{self.dtype} {self.smallest}{several}, {self.range}"


@dataclass(frozen=True)
class Sizes:
    """(height, width) of the photo with the fewest and of that with the most pixels."""

    smallest: tuple[int, int]
    largest: tuple[int, int]

    @classmethod
    def of(cls, sizes: Iterable[tuple[int, int]]) -> Sizes | None:
        """Of several photos; None without any."""
        ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        return cls(ordered[0], ordered[-1]) if ordered else None

    def __str__(self) -> str:
        first, last = (f"{height} × {width}" for height, width in (self.smallest, self.largest))
        return f"{first} (height × width)" if first == last else f"{first} … {last} (height × width)"


def store_summary(source: Store | OneShard) -> dict[str, Any]:
    """A store of CAMs or labels, or one shard of it. Reads the arrays of at most `SAMPLE` photos."""
    ids = source.ids
    chosen = [ids[number] for number in np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)]
    attributes = {k: v for k, v in source.attributes.items() if k not in ("format", "version", "shards")}
    arrays: dict[str, Values] = {}
    pixels = np.zeros(256, np.int64)
    sizes: list[tuple[int, int]] = []
    maps: Counter[str] = Counter()
    cams = source.format == CAMS_FORMAT
    for name in chosen:
        group = source.group(name)
        for field in group:
            values = read_array(group, field, REMEDY)
            found = Values.of(values)
            arrays[field] = arrays[field] | found if field in arrays else found
            if field == "label":
                pixels += np.bincount(values.ravel(), minlength=256)
                sizes.append((values.shape[0], values.shape[1]))
            if cams and field == "classes":
                maps.update(_names(source.classes, values))
        if cams:
            sizes.append(photo_size(group))
    summary: dict[str, Any] = {
        "what": "store" if isinstance(source, Store) else "shard",
        "format": source.format,
        "version": source.attributes.get("version"),
        "classes": list(source.classes),
        **_settings(attributes),
        "photos": len(ids),
        "photos looked at": len(chosen),
        "sizes": Sizes.of(sizes),
        "arrays": dict(sorted(arrays.items())),
        "ids": list(ids[:5]),
    }
    if cams:
        summary["maps of each class"] = {name: maps[name] for name in source.classes[1:]}
    elif pixels.any():
        shares = {name: float(pixels[number] / pixels.sum()) for number, name in enumerate(source.classes)}
        summary[SHARES] = {**shares, "ignore (255)": float(pixels[IGNORE] / pixels.sum())}
    return summary


def _settings(attributes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of corrected labels, those of the import alone, and apart from these what it has taken over from its base."""
    if EDITED not in attributes:
        return {"settings": attributes}
    own = {name: value for name, value in attributes.items() if name in OF_IMPORT}
    others = {name: value for name, value in attributes.items() if name not in OF_IMPORT}
    return {"settings": own} | ({BASE_SETTINGS: others} if others else {})


def photo_summary(name: str, group: h5py.Group, classes: Sequence[str]) -> dict[str, Any]:
    """One photo of a store."""
    summary: dict[str, Any] = {"id": name, "arrays": {}}
    if "scores" in group:
        summary["height"], summary["width"] = photo_size(group)
    for field in group:
        values = read_array(group, field, REMEDY)
        summary["arrays"][field] = Values.of(values)
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
    records, splits = index.records, index.splits()
    return {
        "what": "index of a data set",
        "classes": list(index.classes),
        "photos": {split: sum(r.split == split for r in records) for split in splits},
        "photos with masks": {split: sum(r.split == split and r.mask is not None for r in records) for split in splits},
        "masks": "for scores; what trains or makes labels stops if its Python opens one (wsss/core/no_masks.py)",
        "photos without tags": sum(not r.tags for r in records),
        "photos of each class": {
            name: sum(number in r.tags for r in records) for number, name in enumerate(index.classes) if number
        },
        "long_side": index.long_side,
        "sizes": Sizes.of(r.size for r in records),
        "own sizes": Sizes.of(r.own_size for r in records),
        "ids": [r.id for r in records[:5]],
    }


def record_summary(record: Record, index: Index) -> dict[str, Any]:
    """One photo of the table."""
    return {**vars(record), "tags": _names(index.classes, record.tags)}


def network_summary(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint as `read_checkpoint` gives it."""
    named = {"what": "network", "format": FORMAT, "version": VERSION}
    return {**named, **_network(content), "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def package_summary(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content of a package as `read_package` gives it."""
    files = {file.name: file.stat().st_size for file in sorted(path.iterdir()) if file.is_file()}
    made = {"made by": f"wsss {content['wsss']}", "source_sha256": content["source_sha256"], "bytes": files}
    return {"what": "package", "format": PACKAGE, "version": PACKAGE_VERSION, **_network(content), **made}


def _network(content: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, torch.Tensor] = content["state"]
    values = torch.cat([tensor.flatten().float() for tensor in state.values()]) if state else torch.zeros(0)
    return {
        "kind": content["kind"],
        "classes": list(content["classes"]),
        "backbone": dict(content["backbone"]),
        "settings": content["settings"],
        "weights": content["weights"],
        "precision of the training": content.get("precision", "unknown"),
        "sizes of photos": content["sizes"],
        "evaluated with": content["view"],
        "tensors": len(state),
        "numbers": sum(tensor.numel() for tensor in state.values()),
        "range": Extent.of(values.numpy()),
    }


def _names(classes: Sequence[str], numbers: Sequence[int] | np.ndarray) -> list[str]:
    return [classes[int(n)] if int(n) < len(classes) else f"class {int(n)}" for n in numbers]
