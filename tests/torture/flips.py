"""One bit of an artifact is flipped, and it is read: the damage is told, or what is read is the same."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.torture.finished import Run
from wsss.core.errors import WsssError
from wsss.data.index import read_index
from wsss.data.masks import MaskedImages, read_mask_checksums
from wsss.data.photos import Photos
from wsss.predict.segmenting import load_segmenting
from wsss.stores.opened import open_store


def _index(folder: Path) -> object:
    return read_index(folder / "artifacts/dataset")


def _masks(folder: Path) -> object:
    index = read_index(folder / "artifacts/dataset")
    photos = Photos(folder / "data/demo", 1.0, index.records)
    masked = MaskedImages(photos, len(index.classes), read_mask_checksums(folder / "artifacts/masks.csv"))
    found = [masked.mask(record) for record in index.records if record.mask is not None]
    return _digest(mask for mask in found if mask is not None)


def _store(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        store = open_store(folder / "artifacts" / name)
        arrays = [np.asarray(store.array(photo, field)) for photo in store.ids for field in sorted(store.group(photo))]
        return store.classes, store.ids, _digest(arrays)

    return read


def _network(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        network, card = load_segmenting(folder / "artifacts" / name)
        return card.classes, card.view, _digest(value.numpy() for value in network.state_dict().values())

    return read


def _digest(arrays: object) -> str:
    found = hashlib.sha256()
    for array in arrays:  # type: ignore[attr-defined]
        found.update(str((array.dtype, array.shape)).encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


READERS: dict[str, Callable[[Path], object]] = {
    "artifacts/dataset": _index,
    "artifacts/masks.csv": _masks,
    "data/demo/masks": _masks,
    "artifacts/cams": _store("cams"),
    "artifacts/pseudo": _store("pseudo"),
    "artifacts/relabelled": _store("relabelled"),
    "artifacts/predictions": _store("predictions"),
    "artifacts/oste.pt": _network("oste.pt"),
    "artifacts/student.pt": _network("student.pt"),
}


def flip_once(run: Run, rng: random.Random) -> list[str]:
    """Flip a bit in `run` itself, read, and flip it back. Returns what is wrong."""
    place, read = rng.choice(list(READERS.items()))
    path = run.folder / place
    file = path if path.is_file() else rng.choice(sorted(item for item in path.rglob("*") if item.is_file()))
    before, whole = read(run.folder), file.read_bytes()
    bit = rng.randrange(8 * len(whole))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    file.unlink()  # not written over: it may have another name in the scratch folder or a cache
    file.write_bytes(flipped)
    where = f"bit {bit} of {file.relative_to(run.folder)}"
    try:
        return [] if read(run.folder) == before else [f"{where}: something else is read, without a word"]
    except WsssError:
        return []
    except Exception as error:
        return [f"{where}: {type(error).__name__}: {error}"]
    finally:
        file.write_bytes(whole)
