"""Imports masks that a person has corrected as labels to train on: those of a store, with these photos' replaced.

What is trained on them is no result of tags alone: the store, and each of these photos in it, is marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsss.core.errors import UserError
from wsss.core.folders import STORE_INDEX, publish, refuse_foreign
from wsss.core.interrupt import check_stop
from wsss.core.log import warn
from wsss.core.stage import Stage, open_stage
from wsss.core.units import unit_done
from wsss.data.ids import encode_id
from wsss.data.index import IGNORE, Index, Record, read_index
from wsss.data.size import fit_label
from wsss.evaluation.edited_masks import EditedMasks, edited_masks
from wsss.formats.problems import some
from wsss.stores.labels import BY_HAND, PseudoStore, put_labels, put_mixtures
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

BEFORE = "before"
"""Name of the stored version of a label before its correction, as in `artifacts/relabelled`."""
SHARD = 32
NAMED = 5


@dataclass(frozen=True)
class Correction:
    """The new `labels` of the photos that have changed; pixels that each of 256 label values has `gained` and `lost` in
    them; and the ignored pixels that came back as background: those `kept` ignored and those that are background now.
    """

    labels: Mapping[str, npt.NDArray[np.uint8]]
    gained: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    kept: int
    cleared: int


def correction(base: PseudoStore, edited: EditedMasks, records: Mapping[str, Record]) -> Correction:
    """Compare the edited masks with the labels of `base`, at the size that photos are read at.

    Most tools have no label for 255, and give such pixels back as background: they stay 255, unless the masks come with
    a label for 255. Raises `UserError` for masks that fit no photo or class.
    """
    found: dict[str, npt.NDArray[np.uint8]] = {}
    for name in edited.files:
        check_stop()
        found[name] = fit_label(edited.mask(name, records[name].own_size), records[name].size)
    knows = edited.knows_ignored or any(bool((label == IGNORE).any()) for label in found.values())
    labels: dict[str, npt.NDArray[np.uint8]] = {}
    gained, lost, unpainted = np.zeros(256, np.int64), np.zeros(256, np.int64), 0
    for name, label in found.items():
        old = base.label(name)
        if old.shape != label.shape:
            what = f"its label of {name} is {old.shape[1]} × {old.shape[0]}, but the photo is read at another size"
            raise UserError(base.path, what, "give the --dataset that it was made with")
        cleared = (old == IGNORE) & (label == 0)
        unpainted += int(cleared.sum())
        if not knows:
            label = np.where(cleared, np.uint8(IGNORE), label)
        changed = label != old
        if changed.any():
            labels[name] = label
            gained += np.bincount(label[changed], minlength=256)
            lost += np.bincount(old[changed], minlength=256)
    return Correction(labels, gained, lost, *((0, unpainted) if knows else (unpainted, 0)))


def corrected_store(stage: Stage, base: PseudoStore, labels: Mapping[str, np.ndarray], out: Path) -> int:
    """Write the labels of `base`, with `labels` in the place of theirs, as the store `out`. Returns how many photos of
    it are corrected by hand, those that were so in `base` among them.
    """
    by_hand = {name for name in base.ids if BY_HAND in base.group(name).attrs} if BY_HAND in base.attributes else set()
    own = {name: value for name, value in base.attributes.items() if name not in ("format", "version", "sha256")}
    count = len(by_hand | set(labels))
    meta = StoreMeta(base.format, base.classes, {**own, BY_HAND: count})
    shards = plan_shards(base.ids, SHARD)
    publish(build_store(stage, meta, shards, corrected_shard, (base, labels), in_process=True), out)
    return count


def corrected_shard(
    path: Path, shard: Shard, meta: StoreMeta, base: PseudoStore, labels: Mapping[str, np.ndarray]
) -> None:
    """Write one shard: photos without new `labels` are copied as they are. A person has looked at the others, so their
    confidence is 1.
    """
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            check_stop()
            if name not in labels:
                file.copy(base.group(name), encode_id(name))
                unit_done()
                continue
            label = labels[name]
            put_labels(file, name, label, (label != IGNORE).astype(np.float32), **{BEFORE: base.label(name)})
            if "mixtures" in base.group(name):
                put_mixtures(file, name, base.mixtures(name))
            file[encode_id(name)].attrs[BY_HAND] = True


def import_edited(source: Path, base_folder: Path, dataset: Path, out: Path) -> str:
    """Import the masks in `source`, a folder or a zip, over the store `base_folder` as the store `out`. Returns the
    message to print. Raises `UserError` if nothing differs, or `out` is another store of labels.
    """
    if not source.exists():
        raise UserError(source, "no such file or folder", "give what CVAT, or wsss export, has written")
    _refuse_others(out, base_folder)
    index, base = read_index(dataset), PseudoStore(base_folder)
    base.expect_classes(index.classes)
    records = {record.id: record for record in index.records}
    if strange := [name for name in base.ids if name not in records]:
        what = f"holds {len(strange)} photos that are not in {dataset}, e.g. {strange[0]}"
        raise UserError(base_folder, what, "give the --dataset that it was made with")
    with open_stage("import_labels", {}, [source, base_folder, dataset], folders=[out]) as stage:
        with edited_masks(source, base.ids, base.classes, {each.id: each.split for each in index.records}) as edited:
            photos, found = len(edited.files), correction(base, edited, records)
            _warn(source, edited, found, index, records)
        if not found.labels:
            what = f"not one pixel of {photos} masks differs from {base_folder}"
            raise UserError(source, what, "export again what was edited, or give the --base that it was made of")
        count = corrected_store(stage, base, found.labels, out)
    return "\n".join(_lines(found, photos, count, base, out))


def _refuse_others(out: Path, base: Path) -> None:
    refuse_foreign(out)
    if out.resolve() == base.resolve():
        raise UserError(out, "is the --base itself", "choose another --out")
    if (out / STORE_INDEX).is_file() and BY_HAND not in PseudoStore(out).attributes:
        raise UserError(out, "is a store of labels that nobody has corrected", "choose another --out")


def _warn(source: Path, edited: EditedMasks, found: Correction, index: Index, records: Mapping[str, Record]) -> None:
    if edited.without:
        what = f"{len(edited.without)} photos have come back without a mask and keep their labels"
        warn(
            source,
            f"{what}: {some(edited.without, NAMED)}",
            "none needed; if one shows no class, add a black mask of its name",
        )
    untagged = []
    for name, label in found.labels.items():
        shown = [int(k) for k in np.unique(label) if k not in (0, IGNORE, *records[name].tags)]
        untagged += [f"{name} ({', '.join(index.classes[k] for k in shown)})"] if shown else []
    if untagged:
        what = f"{len(untagged)} photos show classes that they are not tagged with: {some(untagged, NAMED)}"
        warn(source, what, "add these tags to the table, or correct the masks")


def _lines(found: Correction, photos: int, count: int, base: PseudoStore, out: Path) -> list[str]:
    names = dict(enumerate(base.classes)) | {IGNORE: "ignored"}
    changed = [
        f"{name} +{found.gained[number]:,} −{found.lost[number]:,}"
        for number, name in names.items()
        if found.gained[number] or found.lost[number]
    ]
    lines = [
        f"labels: {len(found.labels)} of {photos} photos corrected, {found.gained.sum():,} pixels → {out} "
        f"({len(base.ids)} photos, {count} of them corrected by hand)",
        f"pixels: {', '.join(changed)}",
    ]
    if found.kept:
        lines.append(f"{found.kept:,} ignored pixels came back as background, without a label for them: still ignored")
    if found.cleared:
        lines.append(f"{found.cleared:,} ignored pixels are background now: the masks have a label for ignored ones")
    rounds, why = "", "overrule: false, or the first of two rounds may overrule what was corrected"
    if "overrule" in base.attributes:  # what a first round's student has made
        rounds, why = " -S distill.rounds=1", "one round, because the student of a first one has corrected these before"
    lines += [
        f"to train on them: dvc exp run gallery -S ++distill.labels={out} -S ++distill.relabel.overrule=false{rounds}",
        f"({why}; if it was trained on this folder before: dvc repro -f -s distill)",
    ]
    return lines
