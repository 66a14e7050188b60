"""Imports class activation maps that another method has made, as a store that stage `correct` makes labels of.

Only plain arrays are read. Maps that are pickled, as a `.npy` of a dict is, are programs, and none is run here.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsss.core.errors import UserError, did_you_mean
from wsss.core.interrupt import check_stop
from wsss.core.project import carried
from wsss.core.stage import Stage, open_stage
from wsss.data.index import Index, Record, read_index
from wsss.evaluation.new_store import publish_new
from wsss.stores.cams import FORMAT, MAPS_BY, Cams, put_cams
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

SHARD = 32
CAMS = Path("artifacts/imported_cams")
"""What the names of imported maps begin with."""
SUFFIXES = (".npz", ".npy")
PAGE = "docs/howto/own-cams.md"


def import_maps(source: Path, dataset: Path, out: Path | None, first: int, made_by: str) -> str:
    """Import the maps in the folder `source` for the photos of the index `dataset`. `first`: number of the first class
    in files that name classes by number. Returns the message to print.

    Raises `UserError` for photos without a file, and for files that are not maps of the photo's classes.
    """
    index = read_index(dataset)
    files = files_of(source, index)
    with open_stage("import_cams", {"first": first, MAPS_BY: made_by}, [dataset, source]) as stage:
        built = cam_store(stage, index, files, first, made_by)
        place, new = publish_new(built, out, CAMS)
    labels = place.with_name(f"labels_of_{place.name}")
    program = "wsss.pipeline.correct" if carried() else "pipeline.correct"
    tables = f"--mixtures {labels}_mixtures.csv --histograms {labels}_histograms.csv"
    return (
        f"cams: maps of {len(files.paths)} photos → {place}{'' if new else ', which is there already'}\n"
        f"to make labels of them: python -m {program} --cams {place} --out {labels} {tables}\n"
        f"to train on these: dvc exp run gallery -S ++distill.labels={labels}"
    )


def cam_store(stage: Stage, index: Index, files: Files, first: int, made_by: str) -> Path:
    """Write the maps of `files` as a store in the scratch folder."""
    own: dict[str, int | float | str] = {"scales": "1", "raw": False, "filling": ""}
    if made_by:
        own[MAPS_BY] = made_by
    shards = plan_shards([record.id for record in index.records], SHARD)
    return build_store(stage, StoreMeta(FORMAT, index.classes, own), shards, import_shard, (files, first))


@dataclass(frozen=True)
class Files:
    """Photos by id: their files of maps, and their records."""

    paths: Mapping[str, Path]
    records: Mapping[str, Record]

    def part(self, ids: Sequence[str]) -> Files:
        """Those of the photos `ids` alone."""
        return Files({name: self.paths[name] for name in ids}, {name: self.records[name] for name in ids})


def files_of(source: Path, index: Index) -> Files:
    """Of each photo the file that is named as its id, or as the last part of it. `UserError` where there is none."""
    if not source.is_dir():
        raise UserError(source, "no such folder", "give the folder that has a .npz or .npy for each photo")
    found = sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES)
    there = {path.relative_to(source).with_suffix("").as_posix(): path for path in found}
    records = {record.id: record for record in index.records}
    paths = {name: there.get(name) or there.get(Path(name).name) for name in records}
    if lacking := [name for name, path in paths.items() if path is None]:
        counts = Counter(records[name].split for name in lacking)
        splits = ", ".join(f"{many} {split}" for split, many in counts.items())
        what = f"no maps of {len(lacking)} of {len(paths)} photos ({splits}), first {lacking[0]}.npz"
        raise UserError(source, what, "write maps of the photos of all splits, named as in artifacts/dataset/index.csv")
    if len({*paths.values()}) < len(paths):
        raise UserError(
            source, "one file for several photos of one name", "name the files as in index.csv, with folders"
        )
    return Files({name: path for name, path in paths.items() if path is not None}, records)


def import_shard(path: Path, shard: Shard, meta: StoreMeta, files: Files, first: int) -> None:
    """Write one shard, of `files`."""
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            check_stop()
            put_cams(file, name, cams_of(files.paths[name], files.records[name], meta.classes, first))


def cams_of(path: Path, record: Record, classes: Sequence[str], first: int) -> Cams:
    """The maps of the photo's tags in the file: negative scores are 0, each map is divided by its maximum."""
    maps = np.maximum(_of_tags(path, read_arrays(path), record, classes, first), 0)
    highest = maps.max((1, 2), initial=0.0)
    scores = maps / np.where(highest > 0, highest, 1)[:, None, None]
    return Cams(scores, highest, np.asarray(record.tags, np.int64), record.size)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name; that of a `.npy` has none. Raises `UserError` for what is no file of plain arrays."""
    try:
        with path.open("rb") as file:  # of a damaged one numpy leaves it open
            found = np.load(file, allow_pickle=False)
            return {"": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        pickled = "pickle" in str(error)
        what = (
            "holds a pickled object, which is a program, and is not loaded" if pickled else f"cannot be read ({error})"
        )
        raise UserError(path, what, f"write it as plain arrays: {PAGE}") from error


def _of_tags(
    path: Path, arrays: dict[str, np.ndarray], record: Record, classes: Sequence[str], first: int
) -> np.ndarray:
    """(P, h, w) float32: a map for each tag, in their order; of a tag that the file does not have, zeros."""
    if {"keys", "cam"} <= set(arrays):  # IRN's
        arrays = {str(key): each for key, each in zip(arrays["keys"].tolist(), arrays["cam"], strict=False)}
    several = [each for each in arrays.values() if each.ndim == 3]
    if len(arrays) == 1 and several:
        (maps,) = several
        rows = {len(classes) - 1: [tag - 1 for tag in record.tags], len(classes): list(record.tags)}
        rows.setdefault(len(record.tags), list(range(len(record.tags))))
        if len(maps) not in rows:
            many = " or ".join(map(str, sorted(rows)))
            what = f"maps of {len(maps)} classes, expected {many} (all, with the background first, or the photo's tags)"
            raise UserError(path, what, f"see {PAGE}")
        found = dict(zip(record.tags, maps[rows[len(maps)]], strict=True))
    else:
        found = {_class_of(path, name, classes, first): each for name, each in arrays.items()}
    shapes = {each.shape for each in found.values()}
    if any(len(shape) != 2 or 0 in shape for shape in shapes) or len(shapes) > 1:
        raise UserError(
            path, f"maps of shape {', '.join(map(str, sorted(shapes)))}", "write them as (h, w), of one size"
        )
    nothing = np.zeros(next(iter(shapes), (1, 1)), np.float32)
    chosen = [np.asarray(found.get(tag, nothing), np.float32) for tag in record.tags]
    if not all(np.isfinite(each).all() for each in chosen):
        raise UserError(path, "not finite (NaN or Inf)", "look at the method that has made it")
    return np.stack(chosen) if chosen else np.zeros((0, *nothing.shape), np.float32)


def _class_of(path: Path, name: str, classes: Sequence[str], first: int) -> int:
    number = classes.index(name) if name in classes else int(name) - first + 1 if name.isdecimal() else -1
    if not 0 <= number < len(classes):
        what = f"no class {name!r}{did_you_mean(name, classes)}"
        raise UserError(path, what, f"name arrays as classes, or by number: --first says that of {classes[1]}")
    return number
