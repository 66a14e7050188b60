"""Opens any store, or a single shard of one, by the format that it declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import h5py

from wsss.core.errors import IntegrityError, UserError, which_id
from wsss.core.folders import STORE_INDEX
from wsss.data.ids import decode_id, encode_id
from wsss.stores.cams import CamStore
from wsss.stores.hdf5 import DAMAGE, check_seal, open_checked
from wsss.stores.labels import UPPER_BOUND, PredictionStore, PseudoStore, RelabelledStore
from wsss.stores.shards import VERSION
from wsss.stores.store import Store

KINDS: tuple[type[Store], ...] = (CamStore, PseudoStore, PredictionStore)
STAGES = {kind.format: kind.stage for kind in KINDS}


class ImportedStore(PseudoStore):
    """Labels that no stage makes: corrected ones, or masks."""

    def __init__(self, path: Path) -> None:
        masks = "import-masks" if _index_of(path).get(UPPER_BOUND) else "import"
        again = f"no stage makes it: copy it again, or delete it and import it again: wsss labels {masks}"
        try:
            super().__init__(path)
        except IntegrityError as error:
            raise IntegrityError(error.where, error.what, again) from error
        self._remedy = again


def open_store(path: Path) -> Store:
    """The store in folder `path`. Raises `UserError` if it is none, `IntegrityError` if it is damaged."""
    index = path / STORE_INDEX
    if not index.is_file() and is_store(path):
        what = "is missing, and without it the shards beside it are no store"
        raise IntegrityError(index, what, "copy the whole folder again, or make it again: dvc repro")
    if not index.is_file():
        raise UserError(path, f"not a store (no {STORE_INDEX} in it)", "give e.g. artifacts/pseudo")
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["format"]
        kind = next(kind for kind in KINDS if kind.format == found)
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration) as error:
        raise IntegrityError(index, "not the index of a store", "make it again: dvc repro") from error
    return open_pseudo(path) if kind is PseudoStore else kind(path)


def open_pseudo(path: Path) -> PseudoStore:
    """The store of labels in folder `path`, whose errors say what makes it. Errors as for a `Store`."""
    index = _index_of(path)
    if "edited_sha256" in index or (UPPER_BOUND in index and "multiscale" not in index):
        return ImportedStore(path)
    relabelled = "multiscale" in index if index else path.name == RelabelledStore.place.name
    return RelabelledStore(path) if relabelled else PseudoStore(path)


def _index_of(path: Path) -> dict[str, Any]:
    """Empty where there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        index = json.loads((path / STORE_INDEX).read_text(encoding="utf-8"))
        return index if isinstance(index, dict) else {}
    return {}


def is_store(path: Path) -> bool:
    """Whether the folder `path` is, or was meant to be, a store."""
    return (path / STORE_INDEX).is_file() or any(path.glob("[0-9][0-9][0-9][0-9][0-9].h5"))


class OneShard:
    """Read access to a single shard, which may have come without its store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        remedy = "make it again, or copy it again"
        self.format = _format(path)
        self.file = open_checked(path, self.format, VERSION, remedy)
        self.attributes: dict[str, Any] = {
            name: value.item() if hasattr(value, "item") else value
            for name, value in self.file.attrs.items()
            if name not in ("classes", "NX_class", "default")
        }
        try:
            self.classes: tuple[str, ...] = tuple(json.loads(self.file.attrs["classes"]))
            self._keys = {decode_id(key): key for key in self.file}
        except (*DAMAGE, UnicodeDecodeError) as error:
            raise IntegrityError(path, "has no list of classes, or an id that is none", remedy) from error

    @property
    def ids(self) -> tuple[str, ...]:
        """All photo ids, sorted."""
        return tuple(sorted(self._keys))

    def group(self, name: str) -> h5py.Group:
        """The HDF5 group of photo `name`."""
        return self.file[self._keys[name]]


def known_id(path: Path, ids: tuple[str, ...], name: str) -> str:
    """`name`, the id that it encodes, or that of `bare_names`. Raises `UserError` for an unknown photo."""
    if name in ids:
        return name
    decoded = decode_id(name) if encode_id(decode_id(name)) == name else name
    if decoded in ids:
        return decoded
    if short := bare_names(ids, {}).get(name):
        return short
    raise UserError(path, f"no photo {name!r} in it{which_id(name, ids)}", f"wsss inspect {path} lists some ids")


def bare_names(ids: Iterable[str], files: Mapping[str, str]) -> dict[str, str]:
    """Each of `ids` by its name, and that of its file, without folders, where no other one is called so. `files`: names
    of files by id, where they are known.
    """
    found: dict[str, set[str]] = {}
    for one in ids:
        for name in (one, files.get(one, one)):
            found.setdefault(PurePosixPath(name).name, set()).add(one)
    return {name: next(iter(meant)) for name, meant in found.items() if len(meant) == 1}


def _format(path: Path) -> str:
    if not h5py.is_hdf5(path):
        raise IntegrityError(path, "not an HDF5 file, or damaged", "make it again, or copy it again")
    check_seal(path, "make it again, or copy it again")
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = str(file.attrs.get("format"))
    except DAMAGE as error:
        raise IntegrityError(path, "not a readable HDF5 file", "make it again, or copy it again") from error
    if found not in STAGES:
        raise IntegrityError(path, f"found format {found!r}, expected one of {', '.join(STAGES)}", "give our own files")
    return found
