"""What a store holds of one photo, as a picture: for a terminal, or as a sheet with the photo, names and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from wsss.core.atomic import sha256_file
from wsss.core.errors import UserError, WsssError, did_you_mean
from wsss.data.captions import legend
from wsss.data.images import MAX_MEGAPIXELS
from wsss.data.index import read_index
from wsss.data.palette import BACKGROUND, display_palette
from wsss.data.photos import Photos
from wsss.data.render import heat_overlay, label_overlay
from wsss.data.size import fit_label
from wsss.report.ranking import values_of
from wsss.report.sheets import joined, titled
from wsss.report.sides import run_settings
from wsss.report.summary import REMEDY
from wsss.stores.hdf5 import read_array
from wsss.stores.labels import NOT_VERSIONS

SCORES, CONFIDENCE = "scores", "confidence"
MAPS = (SCORES, "raw", "filled")
"""Arrays of CAMs that are a map for each class."""
NUMBERS = tuple(name for name in NOT_VERSIONS if name not in ("label", CONFIDENCE))
"""Arrays of labels that are no pictures."""
GAP = 4
"""Pixels between pictures."""
READABLE = 240
"""Narrower pictures are enlarged to at least this many columns, so that their titles can be read."""


@dataclass(frozen=True)
class Drawing:
    """Photo `id` of the store in folder `store`: its label, or its maps by the names of their classes.

    `classes`: all names, background first; `size`: (H, W); `label`: (H, W) uint8; `maps`: (h, w) in [0, 1]; `title`: of
    the label.
    """

    store: Path
    id: str
    classes: Sequence[str]
    size: tuple[int, int]
    label: np.ndarray | None
    maps: Mapping[str, np.ndarray]
    title: str = "Label"

    def plain(self) -> np.ndarray:
        """(H, W', 3) uint8: the label's colours, or the maps side by side on black; without any text."""
        if self.label is not None:
            return display_palette()[self.label]
        black = np.zeros((*self.size, 3), np.uint8)
        return joined([heat_overlay(black, scores) for scores in self.maps.values()], GAP, axis=1)

    def sheet(self, data: Path | None = None) -> np.ndarray:
        """(H', W', 3) uint8: the photo and what the store holds of it side by side, with titles, and a legend.

        The photo is read from the folder `data`, by default the one that the run's settings name. Where it cannot be
        had, a plain ground takes its place; but `UserError` if it is not in `data`.
        """
        photo = self._photo(data)
        ground = np.full((*self.size, 3), BACKGROUND, np.uint8) if photo is None else photo
        tiles = [] if photo is None else [("Photo", photo)]
        present: list[int] = []
        if self.label is not None:
            label = fit_label(self.label, ground.shape)
            tiles.append((self.title, label_overlay(ground, label, display_palette())))
            present = values_of(label)
        tiles += [(name, heat_overlay(ground, scores)) for name, scores in self.maps.items()]
        times = -(-READABLE // ground.shape[1])
        drawn = [titled(name, picture.repeat(times, 0).repeat(times, 1)) for name, picture in tiles]
        whole = titled(self.id, joined(drawn, GAP, axis=1))
        if self.label is None:
            return whole
        return joined([whole, legend(self.classes, present, whole.shape[1])], GAP)

    def _photo(self, data: Path | None) -> np.ndarray | None:
        """(H, W, 3) uint8 of the index beside the store; None if there is no such index, or no photo where it says."""
        if not (self.store.parent / "dataset/index.csv").is_file():
            if data is not None:
                fix = "leave --data away, or copy the folder dataset there"
                raise UserError(self.store, "no index beside it (dataset/index.csv)", fix)
            return None
        try:
            index = read_index(self.store.parent / "dataset")
            record = next((record for record in index.records if record.id == self.id), None)
            root = photo_root(self.store) if data is None else data
            return None if record is None or root is None else Photos(root, MAX_MEGAPIXELS, [record]).image(record)
        except WsssError:
            if data is not None:
                raise
            return None


def arrays_of(
    group: h5py.Group, name: str, field: str, classes: Sequence[str]
) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """What `Drawing` draws of the array `field` in the `group` of photo `name`: a label (H, W) uint8, or maps by their
    titles. Raises `UserError` for an array that is none of these, or not there.
    """
    of_cams = "scores" in group
    known = [each for each in group if each in MAPS] if of_cams else [each for each in group if each not in NUMBERS]
    if field not in known:
        what = f"has no array {field!r} of {name!r} that can be drawn{did_you_mean(field, known)}"
        raise UserError(group.file.filename, what, f"choose among {', '.join(known)}")
    values = read_array(group, field, REMEDY)
    if of_cams:
        found = read_array(group, "classes", REMEDY).tolist()
        names = [classes[number] if number < len(classes) else f"class {number}" for number in found]
        before = "" if field == SCORES else f"{field}: "
        return None, {f"{before}{each}": one for each, one in zip(names, values.astype(np.float32), strict=False)}
    if field == CONFIDENCE:
        return None, {f"{CONFIDENCE}, 0 dark to 1 bright": values.astype(np.float32) / 255}
    return values, {}


def photo_root(store: Path) -> Path | None:
    """The folder of the photos of the run that the folder `store` is of; None where no settings say it."""
    folder = store.parent.parent
    root = (run_settings(folder).get("dataset") or {}).get("root")
    return None if root is None else folder / str(root)


def photo_file(store: Path, name: str, data: Path | None = None) -> dict[str, str]:
    """Whether the file of photo `name` is the one that was indexed: by the index beside `store`, which may be the index
    itself, in the folder `data`, by default the one that the run's settings name. Empty where neither tells.
    """
    try:
        index = read_index(store.parent / "dataset")
        record = next((record for record in index.records if record.id == name), None)
        root = photo_root(store) if data is None else data
        if record is None or root is None:
            return {}
        path = root / record.image
        if not path.is_file():
            return {"photo": f"{path}: not here now"}
        same = sha256_file(path) == record.sha256
        return {"photo": f"{path}: {'the same now' if same else 'another one now, or changed since it was indexed'}"}
    except (OSError, WsssError):
        return {}
