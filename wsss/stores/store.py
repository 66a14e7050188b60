"""Read access to a store of shards by photo id."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import h5py

from wsss.core.atomic import sha256_file
from wsss.core.errors import IntegrityError, UserError, did_you_mean
from wsss.core.folders import STORE_INDEX
from wsss.data.ids import encode_id
from wsss.stores.hdf5 import open_checked, read_array
from wsss.stores.open_shards import OpenShards
from wsss.stores.shards import VERSION, index_digest


class Store:
    """Read access to a store by photo id. Shards are opened when a photo of theirs is read, and few stay open."""

    format: ClassVar[str]
    stage: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._remedy = f"make it again: dvc repro -f -s {self.stage}"
        index = self._read_index()
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.attributes: dict[str, Any] = {k: v for k, v in index.items() if k not in ("shards", "classes")}
        self._checksums: dict[str, str] = {shard["name"]: shard["sha256"] for shard in index["shards"]}
        self._shard_of: dict[str, str] = {name: shard["name"] for shard in index["shards"] for name in shard["ids"]}
        self._open = OpenShards()

    @property
    def ids(self) -> tuple[str, ...]:
        """All photo ids, sorted."""
        return tuple(sorted(self._shard_of))

    def __contains__(self, name: str) -> bool:
        return name in self._shard_of

    def part(self, ids: Iterable[str]) -> Self:
        """The same store with those of the photos `ids` that it holds, and no others: what a worker is sent to read
        them. Both have the same open files.
        """
        part = copy.copy(self)
        part._shard_of = {name: self._shard_of[name] for name in ids if name in self._shard_of}
        part._checksums = {shard: self._checksums[shard] for shard in part._shard_of.values()}
        return part

    def shard_name(self, name: str) -> str:
        """File name of the shard that holds photo `name`."""
        return str(self._shard_of[name])

    def expect_classes(self, classes: Sequence[str]) -> None:
        """Raise `IntegrityError` if the store was made for another class list."""
        if self.classes != tuple(classes):
            missing, extra = set(classes) - set(self.classes), set(self.classes) - set(classes)
            raise IntegrityError(
                self.path,
                f"other class list (missing {sorted(missing)}, extra {sorted(extra)}, or another order)",
                self._remedy,
            )

    def array(self, name: str, field: str) -> Any:
        """Array `field` of photo `name`; `UserError` for an unknown id, `IntegrityError` for damage."""
        return read_array(self.group(name), field, self._remedy)

    def group(self, name: str) -> h5py.Group:
        """The HDF5 group of photo `name`, to be used before others are asked for; errors as for `array`."""
        if name not in self._shard_of:
            what = f"no photo {name!r} in this store{did_you_mean(name, self._shard_of)}"
            raise UserError(self.path, what, f"correct the id; or, if the photo is new, {self._remedy}")
        path = self.path / self.shard_name(name)
        file, key = self._open.get(path, self._open_first, self._remedy), encode_id(name)
        if key not in file:
            raise IntegrityError(path, f"photo {name!r} is missing", self._remedy)
        return file[key]

    def _open_first(self, path: Path) -> h5py.File:
        # Fletcher sums cover only arrays, and they are valid in a file that was edited in place.
        if path.is_file() and sha256_file(path) != self._checksums[path.name]:
            raise IntegrityError(path, f"differs from its checksum in {STORE_INDEX}", self._remedy)
        return open_checked(path, self.format, VERSION, self._remedy)

    def _read_index(self) -> dict[str, Any]:
        path = self.path / STORE_INDEX
        if not path.is_file():
            raise UserError(path, "no such file", f"run the stage that writes it: dvc repro {self.stage}")
        try:
            index = dict(json.loads(path.read_text(encoding="utf-8")))
            found, checksum = (index["format"], index["version"]), index.pop("sha256")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IntegrityError(path, "not the index of a store", self._remedy) from error
        if found != (self.format, VERSION):
            raise IntegrityError(
                path,
                f"found {found[0]!r} version {found[1]}, expected {self.format!r} version {VERSION}",
                self._remedy,
            )
        if checksum != index_digest(index):
            raise IntegrityError(path, "damaged or edited (its checksum differs)", self._remedy)
        return index
