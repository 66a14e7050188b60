"""Results for many photos in a few HDF5 files, written so that a killed stage loses at most the current shard.

A store is a folder of shards (`00000.h5`, …) and an `index.json` with each shard's checksum and ids. Boundaries are
fixed by the sorted ids, never by the number of workers, so any number of workers writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import h5py

from wsss.core.atomic import atomic_file, sha256_file, write_text
from wsss.core.errors import IntegrityError
from wsss.core.executor import run_counted, workers_for
from wsss.core.folders import STORE_INDEX
from wsss.core.log import Progress, warn
from wsss.core.stage import Stage
from wsss.data.ids import encode_id
from wsss.stores.hdf5 import open_checked, read_array, sealed

VERSION = 2
SHARDS = 16
"""Shards that a small set is cut into."""
SMALLEST_SHARD, LARGEST_SHARD = 4, 32
"""Photos in a shard: a file has a cost of its own, and a killed worker loses what it has not finished."""
FILES, MOST_PHOTOS = 1024, 128
"""Shards of a set that is too large for that, and photos in each at most: someone has to list, hash and copy them."""


@dataclass(frozen=True)
class Shard:
    """Consecutive ids that are stored in one file."""

    name: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class StoreMeta:
    """What every shard of a store says about itself: format, class names, and the settings that made it.

    No fingerprint of code or inputs: equal arrays made with equal settings are equal bytes, so that DVC skips later
    stages where nothing changed.
    """

    format: str
    classes: tuple[str, ...]
    attributes: Mapping[str, int | float | str]


Task = Callable[..., None]
"""``task(path, shard, meta, *arguments)`` writes one shard through `shard_writer`, and reports each photo that is in it
(`put_cams` and `put_labels` do)."""


@runtime_checkable
class Divisible(Protocol):
    """What holds something of many photos, and gives a task its part."""

    def part(self, ids: Sequence[str]) -> Any:
        """The same for the photos `ids` alone."""


def shard_size(photos: int) -> int:
    """Photos in one shard of a store of so many: about 16 shards, so that eight workers get several each; of more than
    32,768 photos about 1,024 shards.

    It knows nothing of the number of workers: boundaries must not depend on the machine.
    """
    largest = max(LARGEST_SHARD, min(MOST_PHOTOS, math.ceil(photos / FILES)))
    return min(largest, max(SMALLEST_SHARD, math.ceil(photos / SHARDS)))


def plan_shards(ids: Sequence[str], size: int) -> list[Shard]:
    """Cut the sorted ids into shards of `size`; 0: by the rule of `shard_size`."""
    ordered = sorted(ids)
    size = size or shard_size(len(ordered))
    return [
        Shard(f"{n:05}.h5", tuple(ordered[start : start + size]))
        for n, start in enumerate(range(0, len(ordered), size))
    ]


@contextmanager
def shard_writer(path: Path, shard: Shard, meta: StoreMeta) -> Iterator[h5py.File]:
    """Yield an HDF5 file to fill; it appears at `path` only after it has been closed, re-opened and verified."""
    # Nested on purpose: the file is closed before it is verified.
    with atomic_file(path, verify=lambda written: verify_shard(written, shard, meta)) as temporary:
        # In memory first: if the disk fills up while HDF5 writes, the process dies inside its C code.
        with h5py.File(temporary, "w", libver="v110", driver="core", backing_store=False) as file:
            file.attrs.update({"format": meta.format, "version": VERSION})
            file.attrs.update(meta.attributes)
            file.attrs["classes"] = json.dumps(meta.classes, ensure_ascii=False)
            # NeXus attributes: viewers (h5web, HDFView) open the first photo as a heat map.
            file.attrs["NX_class"] = "NXroot"
            file.attrs["default"] = encode_id(shard.ids[0])
            yield file
            file.flush()
            image = file.id.get_file_image()
        temporary.write_bytes(sealed(image))


def photo_group(file: h5py.File, name: str, signal: str) -> h5py.Group:
    """A new group of `file` for photo `name`, which says its id, and that viewers show its array `signal` first."""
    group = file.create_group(encode_id(name))
    group.attrs.update({"NX_class": "NXdata", "signal": signal, "id": name})
    return group


def verify_shard(path: Path, shard: Shard, meta: StoreMeta) -> None:
    """Read every byte of a shard back (HDF5 checks the Fletcher sums). Raises `IntegrityError`."""
    remedy = f"delete {path} and run the stage again"
    with open_checked(path, meta.format, VERSION, remedy) as file:
        if sorted(file) != sorted(encode_id(name) for name in shard.ids):
            raise IntegrityError(
                path, f"holds {len(file)} photos that differ from the {len(shard.ids)} expected", remedy
            )
        for group in file.values():
            for name in group:
                read_array(group, name, remedy)


def build_store(
    stage: Stage,
    meta: StoreMeta,
    shards: Sequence[Shard],
    task: Task,
    arguments: tuple[Any, ...],
    in_process: bool = False,
    name: str = "store",
    shared: Executor | None = None,
) -> Path:
    """Run `task` for every shard that is not finished yet. Returns the finished store, folder `name` of the scratch.

    Each task gets `arguments`; of those that are `Divisible`, the part for its shard, so that a task is as small for
    many photos as for few.
    The stage reads it there, and publishes it last (`core.atomic.publish`): a run that is killed before its end finds
    all shards again. `shared`: an executor that the stage has for other work too.
    """
    folder = stage.scratch / name
    folder.mkdir(parents=True, exist_ok=True)  # there may be no shard to put into it
    todo = [shard for shard in shards if not _finished(folder / shard.name, shard, meta)]
    done = sum(len(shard.ids) for shard in shards) - sum(len(shard.ids) for shard in todo)
    jobs = ((folder / shard.name, shard, meta, *parts(arguments, shard.ids)) for shard in todo)
    sizes = [len(shard.ids) for shard in todo]
    with (
        workers_for(in_process or len(todo) < 2, shared) as executor,
        Progress(stage.name, done + sum(sizes), "photos", done) as progress,
    ):
        for _ in run_counted(executor, task, jobs, sizes, progress):
            pass
    names = {shard.name for shard in shards}
    for file in folder.iterdir():  # left by the workers of an earlier run that was killed
        if file.name not in names:
            file.unlink()
    write_store_index(folder, meta, shards)
    return folder


def parts(arguments: tuple[Any, ...], ids: Sequence[str]) -> tuple[Any, ...]:
    """`arguments`, of those that are `Divisible` the part for the photos `ids`."""
    return tuple(each.part(ids) if isinstance(each, Divisible) else each for each in arguments)


def write_store_index(folder: Path, meta: StoreMeta, shards: Sequence[Shard]) -> None:
    """Write the `index.json` of finished shards: checksums and ids, and a checksum of its own."""
    index = {
        "format": meta.format,
        "version": VERSION,
        "classes": meta.classes,
        **meta.attributes,
        "shards": [{"name": s.name, "sha256": sha256_file(folder / s.name), "ids": s.ids} for s in shards],
    }
    index["sha256"] = index_digest(index)
    write_text(folder / STORE_INDEX, json.dumps(index, ensure_ascii=False, indent=1) + "\n")


def index_digest(index: Mapping[str, Any]) -> str:
    """The checksum that an `index.json` carries of its other entries."""
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def _finished(path: Path, shard: Shard, meta: StoreMeta) -> bool:
    if not path.exists():
        return False
    try:
        verify_shard(path, shard, meta)
    except IntegrityError as error:
        warn(error.where, error.what, "none needed: the shard is made again")
        path.unlink()
        return False
    return True
