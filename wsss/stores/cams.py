"""Class activation maps of the present classes of each photo, at network stride."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np

from wsss.core.errors import IntegrityError
from wsss.core.units import unit_done
from wsss.stores.shards import photo_group
from wsss.stores.store import Store

FORMAT = "wsss.cams"
MAPS_BY = "maps_by"
"""Attribute of imported maps, and of labels that were made of them: the method that has made the maps."""


@dataclass(frozen=True)
class Cams:
    """CAMs of one photo.

    `scores`: (P, h, w) float32 in [0, 1], each map divided by its maximum; `peaks`: (P,) float32, those maxima (the
    scale the network gave); `classes`: (P,) int64 class ids 1..K, ascending; `size`: (H, W) of the photo. P may be 0.
    `raw`: like `scores`, the multi-scale CAM before expansion, fusion and walk; None where it is the same. `filled`:
    (P, h, w) bool, what belongs to a class that fills its photos, False for other classes; None without such a class.
    """

    scores: np.ndarray
    peaks: np.ndarray
    classes: np.ndarray
    size: tuple[int, int]
    raw: np.ndarray | None = None
    filled: np.ndarray | None = None


def put_cams(file: h5py.File, name: str, cams: Cams) -> None:
    """Write one photo as ``/<id>/{scores,raw,filled,classes}`` with attributes `id`, `size`, `peaks`; maps are
    float16.

    The photo counts as done.
    """
    maps = {"scores": cams.scores} | ({} if cams.raw is None else {"raw": cams.raw})
    if not all(np.isfinite(values).all() for values in (*maps.values(), cams.peaks)):
        raise IntegrityError(
            f"CAM of {name!r}",
            "not finite (NaN or Inf)",
            "check the checkpoint, and the learning rate it was trained with",
        )
    group = photo_group(file, name, "scores")
    group.attrs["size"] = np.asarray(cams.size, np.int32)
    # An attribute, because as a data set of its own it would take a tenth of the file.
    group.attrs["peaks"] = cams.peaks.astype(np.float32)
    for field, values in maps.items():
        group.create_dataset(field, data=values.astype(np.float16), **_compression(values))
    if cams.filled is not None:
        group.create_dataset("filled", data=cams.filled.astype(np.uint8), **_compression(cams.filled))
    group.create_dataset("classes", data=cams.classes.astype(np.uint8))
    unit_done()


class CamStore(Store):
    """The store that the `cams` stage writes."""

    format = FORMAT
    stage = "cams"

    @property
    def multiscale(self) -> bool:
        """True if the maps are means over several scales. `IntegrityError` if the store does not say."""
        try:
            return len(str(self.attributes["scales"]).split()) > 1
        except KeyError as error:
            raise IntegrityError(self.path, "does not say at which scales it was made", self._remedy) from error

    def size(self, name: str) -> tuple[int, int]:
        """(H, W) of photo `name`."""
        height, width = self._attribute(name, "size", 2)
        return int(height), int(width)

    def read(self, name: str) -> Cams:
        """CAMs of photo `name`. Raises `IntegrityError` if they hold NaN."""
        classes = self.array(name, "classes").astype(np.int64)
        raw = self._maps(name, "raw") if self.attributes.get("raw") else None
        peaks = self._attribute(name, "peaks", len(classes)).astype(np.float32)
        scores = self._maps(name, "scores")
        filled = self.array(name, "filled").astype(bool) if "filled" in self.group(name) else None
        if filled is not None and filled.shape != scores.shape:
            where = self.path / self.shard_name(name)
            raise IntegrityError(
                where, f"filled of {name!r} has another shape than its CAMs", "run the cams stage again"
            )
        return Cams(scores, peaks, classes, self.size(name), raw, filled)

    def _attribute(self, name: str, attribute: str, length: int) -> np.ndarray:
        try:
            values = np.asarray(self.group(name).attrs[attribute])
            if values.shape != (length,) or values.dtype.kind not in "fiu":
                raise ValueError
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise IntegrityError(
                self.path / self.shard_name(name), f"photo {name!r} has no {attribute}", "run the cams stage again"
            ) from error
        return values

    def _maps(self, name: str, field: str) -> np.ndarray:
        maps = self.array(name, field).astype(np.float32)
        if not np.isfinite(maps).all():
            raise IntegrityError(
                self.path / self.shard_name(name),
                f"CAM of {name!r} is not finite",
                "run the cams stage again",
            )
        return maps


def _compression(array: np.ndarray) -> dict[str, object]:
    if array.size == 0:
        return {}
    # One chunk per photo: read whole, checked whole. Shuffled bytes of a smooth float16 map compress a third further.
    return {
        "chunks": array.shape,
        "fletcher32": True,
        "shuffle": True,
        "compression": "gzip",
        "compression_opts": 4,
    }
