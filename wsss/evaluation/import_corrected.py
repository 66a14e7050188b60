"""Imports masks that a person has corrected, or chosen, as labels to train on: those of a store, with these replaced.

What is trained on them is no result of tags alone: the store, and each of these photos in it, is marked. A network's
masks never become labels of held-out photos: a student trained like that network would be measured against itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsss.core.errors import UserError
from wsss.core.folders import STORE_INDEX, publish, refuse_foreign
from wsss.core.interrupt import check_stop
from wsss.core.log import warn
from wsss.core.stage import Stage, hash_input, open_stage
from wsss.core.units import unit_done
from wsss.core.words import counted
from wsss.data.ids import encode_id
from wsss.data.index import IGNORE, Index, Record, read_index
from wsss.data.origins import FROM_LABELS, FROM_NETWORK, HAND, LABELS, NETWORK, Origin
from wsss.data.size import fit_label
from wsss.evaluation.edited_masks import EditedMasks, edited_masks
from wsss.formats.problems import some
from wsss.stores.labels import BY_HAND, PseudoStore, put_labels, put_mixtures
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer

BEFORE = "before"
"""Name of the stored version of a label before its correction, as in `artifacts/relabelled`."""
MARKS = {HAND: BY_HAND, NETWORK: FROM_NETWORK, LABELS: FROM_LABELS}
"""Attributes of photos, and of the store, which has their number, by the origin of the labels."""
HELD_OUT = "val"
SHARD = 32
NAMED = 5


@dataclass(frozen=True)
class Correction:
    """The new `labels` of the photos that have changed, and their `origins`; pixels that each of 256 label values has
    `gained` and `lost` in them; the ignored pixels that came back as background: those `kept` ignored and those that
    are background now; and the `held_out` photos that keep their labels, because the new ones are a network's.
    """

    labels: Mapping[str, npt.NDArray[np.uint8]]
    origins: Mapping[str, Origin]
    gained: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    kept: int
    cleared: int
    held_out: tuple[str, ...]

    def count(self, kind: str, names: Collection[str]) -> int:
        """Of the photos `names`, those whose new label is of this kind of origin."""
        return sum(origin.kind == kind for name, origin in self.origins.items() if name in names)


def correction(base: PseudoStore, edited: EditedMasks, records: Mapping[str, Record]) -> Correction:
    """Compare the edited masks with what `wsss export` writes of the labels of `base`, at the size of the photos'
    files, so that a mask that nobody has touched differs nowhere. Only pixels that differ there are changed at the size
    that photos are read at.

    Most tools have no label for 255, and give such pixels back as background: they stay 255, unless the masks come with
    a label for 255. Raises `UserError` for masks that fit no photo or class.
    """
    sizes = {name: records[name].own_size for name in edited.files}
    knows = edited.knows_ignored or any(_has_ignored(edited, name, own) for name, own in sizes.items())
    labels: dict[str, npt.NDArray[np.uint8]] = {}
    origins, held_out = dict[str, Origin](), list[str]()
    gained, lost, kept, cleared = np.zeros(256, np.int64), np.zeros(256, np.int64), 0, 0
    for name, own in sizes.items():
        check_stop()
        old, size = base.label(name), records[name].size
        if old.shape != size:
            what = f"its label of {name} is {old.shape[1]} × {old.shape[0]}, but the photo is read at another size"
            raise UserError(base.path, what, "give the --dataset that it was made with")
        mask, exported = edited.mask(name, own), fit_label(old, own)
        origin = edited.origin(name, mask)
        if origin.kind == NETWORK and records[name].split == HELD_OUT:
            held_out += [name] if (mask != exported).any() else []
            continue
        emptied = (exported == IGNORE) & (mask == 0)
        count = int(fit_label(emptied.astype(np.uint8), size).sum())
        if knows:
            cleared += count
        else:
            kept += count
            mask = np.where(emptied, np.uint8(IGNORE), mask)
        touched = fit_label((mask != exported).astype(np.uint8), size) > 0
        label = np.where(touched, fit_label(mask, size), old)
        changed = label != old
        if changed.any():
            labels[name], origins[name] = label, origin
            gained += np.bincount(label[changed], minlength=256)
            lost += np.bincount(old[changed], minlength=256)
    return Correction(labels, origins, gained, lost, kept, cleared, tuple(held_out))


def _has_ignored(edited: EditedMasks, name: str, size: tuple[int, int]) -> bool:
    check_stop()
    return bool((edited.mask(name, size) == IGNORE).any())


def corrected_store(
    stage: Stage, base: PseudoStore, found: Correction, made_of: Mapping[str, str], out: Path
) -> dict[str, int]:
    """Write the labels of `base`, with those `found` in the place of theirs, as the store `out`; `made_of`: attributes
    that say what of. Returns how many photos of it are of each origin, those that were so in `base` among them.
    """
    own = {name: value for name, value in base.attributes.items() if name not in ("format", "version", "sha256")}
    counts = {}
    for kind, mark in MARKS.items():
        before = {name for name in base.ids if mark in base.group(name).attrs} if mark in own else set()
        counts[mark] = len(before - set(found.labels)) + found.count(kind, found.labels)
    # A store that has been imported has the first one also where nothing was painted.
    marks = {mark: count for mark, count in counts.items() if count or mark in (BY_HAND, *own)}
    meta = StoreMeta(base.format, base.classes, {**own, **marks, **made_of})
    shards = plan_shards(base.ids, SHARD)
    publish(build_store(stage, meta, shards, corrected_shard, (base, found), in_process=True), out)
    return counts


def corrected_shard(path: Path, shard: Shard, meta: StoreMeta, base: PseudoStore, found: Correction) -> None:
    """Write one shard: photos without new labels are copied as they are. A person has looked at the others, so their
    confidence is 1.
    """
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            check_stop()
            if name not in found.labels:
                file.copy(base.group(name), encode_id(name))
                unit_done()
                continue
            label, origin = found.labels[name], found.origins[name]
            put_labels(file, name, label, (label != IGNORE).astype(np.float32), **{BEFORE: base.label(name)})
            if "mixtures" in base.group(name):
                put_mixtures(file, name, base.mixtures(name))
            file[encode_id(name)].attrs[MARKS[origin.kind]] = True if origin.kind == HAND else origin.source


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
    paths = {"base": str(base_folder), "edited": str(source)}
    splits = {each.id: each.split for each in index.records}
    with open_stage("import_labels", paths, [source, base_folder, dataset], folders=[out]) as stage:
        with edited_masks(source, base.ids, base.classes, splits) as edited:
            photos, found = len(edited.files), correction(base, edited, records)
            _warn(source, edited, found, index, records)
        if not found.labels:
            what = f"not one pixel of {photos} masks differs from {base_folder}"
            if found.held_out:
                what += f", but in {_kept(found)}"
            raise UserError(source, what, "export again what was edited, or give the --base that it was made of")
        made_of = paths | {"base_sha256": hash_input(base_folder), "edited_sha256": hash_input(source)}
        counts = corrected_store(stage, base, found, made_of, out)
    return "\n".join(_lines(found, photos, counts, base, records, out))


def _kept(found: Correction) -> str:
    return f"{counted(len(found.held_out), f'{HELD_OUT} photo')}, where it is a network's and the label stays"


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


def _lines(
    found: Correction,
    photos: int,
    counts: Mapping[str, int],
    base: PseudoStore,
    records: Mapping[str, Record],
    out: Path,
) -> list[str]:
    names = dict(enumerate(base.classes)) | {IGNORE: "ignored"}
    changed = [
        f"{name} +{found.gained[number]:,} −{found.lost[number]:,}"
        for number, name in names.items()
        if found.gained[number] or found.lost[number]
    ]
    origins = [f"{counts[BY_HAND]} of them corrected by hand"]
    origins += [f"{counts[FROM_NETWORK]} taken from a network's masks"] if counts[FROM_NETWORK] else []
    origins += [f"{counts[FROM_LABELS]} from other labels"] if counts[FROM_LABELS] else []
    lines = [
        f"labels: {len(found.labels)} of {photos} photos changed, {found.gained.sum():,} pixels → {out} "
        f"({len(base.ids)} photos, {', '.join(origins)})",
        f"pixels: {', '.join(changed)}",
    ]
    if found.kept:
        lines.append(f"{found.kept:,} ignored pixels came back as background, without a label for them: still ignored")
    if found.cleared:
        lines.append(f"{found.cleared:,} ignored pixels are background now: the masks have a label for ignored ones")
    if found.held_out:
        lines.append(
            f"{counted(len(found.held_out), f'{HELD_OUT} photo')} keep their labels: with a network's masks there, "
            "the agreement of student and labels would tell nothing"
        )
    if painted := found.count(HAND, [name for name in found.labels if records[name].split == HELD_OUT]):
        lines.append(
            f"{counted(painted, f'{HELD_OUT} photo')} corrected by hand: the student's agreement is measured on them, "
            "so do not compare it with that of earlier runs"
        )
    rounds, why = "", "overrule: false, or the first of two rounds may overrule what was corrected"
    if "overrule" in base.attributes:  # what a first round's student has made
        rounds, why = " -S distill.rounds=1", "one round, because the student of a first one has corrected these before"
    lines += [
        f"to train on them: dvc exp run gallery -S ++distill.labels={out} -S ++distill.relabel.overrule=false{rounds}",
        f"({why}; if it was trained on this folder before: dvc repro -f -s distill)",
    ]
    return lines
