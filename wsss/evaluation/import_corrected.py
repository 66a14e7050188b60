"""Imports masks that a person has corrected, or chosen, as labels to train on: those of a store, with these replaced.

What is trained on them is no result of tags alone: the store, and each of these photos in it, is marked. A network's
masks never become labels of held-out photos: a student trained like that network would be measured against itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wsss.core.errors import UserError
from wsss.core.folders import STORE_INDEX
from wsss.core.interrupt import check_stop
from wsss.core.labels_fit import labels_fit
from wsss.core.missing import similar
from wsss.core.stage import Stage, hash_input, open_stage
from wsss.core.units import unit_done
from wsss.core.words import counted
from wsss.data.ids import encode_id
from wsss.data.index import IGNORE, Index, read_index
from wsss.data.origins import FROM_LABELS, HAND, digest
from wsss.evaluation.before import before
from wsss.evaluation.choose_base import choose_base, filled, imported_before, imported_since
from wsss.evaluation.correction import BEFORE, EDITED, EDITED_ONLY, HELD_OUT, MARKS, Correction, correction
from wsss.evaluation.edited_masks import BY, masks_in, unpacked
from wsss.evaluation.exported import GIVE, known_exports
from wsss.evaluation.import_told import NAMED, Told, refuse_unknown, told_again, warn_of
from wsss.evaluation.mask_names import predicted
from wsss.evaluation.new_store import CONTENT, check_there, publish_new
from wsss.formats.problems import some
from wsss.predict.written import is_filled
from wsss.stores.corrected import BASE, CORRECTED
from wsss.stores.filled import FilledStore
from wsss.stores.labels import LABEL_STORES, PseudoStore, put_labels, put_mixtures
from wsss.stores.opened import is_store, open_pseudo
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer
from wsss.stores.whose import BY_METHODS, MADE_BY

SHARD = 32
REPLACE = "add --replace-corrected"


def marked_photos(base: PseudoStore, found: Correction) -> dict[str, dict[str, str]]:
    """By mark, what the new store has of that origin: sources by photo, those that were so in `base` among them."""
    marked: dict[str, dict[str, str]] = {}
    for kind, mark in MARKS.items():
        kept = [name for name in base.ids if name not in found.labels] if mark in base.attributes else []
        before = {name: str(base.group(name).attrs[mark]) for name in kept if mark in base.group(name).attrs}
        new = {name: origin.source for name, origin in found.origins.items() if origin.kind == kind}
        marked[mark] = before | new
    return marked


def corrected_store(
    stage: Stage, base: PseudoStore, found: Correction, marked: Mapping[str, Mapping[str, str]], made_of: dict[str, str]
) -> Path:
    """Write the labels of `base`, with those `found` in the place of theirs, as a store in the scratch folder.
    `made_of`: attributes that say what of.
    """
    content = [made_of["base_sha256"], *([base.mended] if isinstance(base, FilledStore) and base.mended else [])]
    for name, origin in sorted(found.origins.items()):
        content.append(f"{name} {digest(found.labels[name])} {origin.kind} {origin.source}")
    others = ("format", "version", "sha256", EDITED_ONLY, MADE_BY, BY_METHODS, *MARKS.values())
    own = {name: value for name, value in base.attributes.items() if name not in others}
    own |= {mark: len(photos) for mark, photos in marked.items() if photos}
    if methods := [source[len(BY) :] for source in marked[FROM_LABELS].values() if source.startswith(BY)]:
        own |= {MADE_BY: ", ".join(sorted({*methods})), BY_METHODS: len(methods)}
    own[CONTENT] = hashlib.sha256("\n".join(content).encode()).hexdigest()
    meta = StoreMeta(base.format, base.classes, {**own, **made_of})
    return build_store(stage, meta, plan_shards(base.ids, SHARD), corrected_shard, (base, found), in_process=True)


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


def import_edited(
    source: Path,
    base_folder: Path | None,
    dataset: Path,
    out: Path | None = None,
    made_by: str = "",
    exported: Path | None = None,
    edited_only: bool = False,
    replace_corrected: bool = False,
) -> str:
    """Import the masks in `source`, a folder or a zip, over the store `base_folder`, without that over the one that
    they were edited from (`choose_base`), as the store `out`, without that as one named by its content. `made_by`: the
    method that has made the masks, empty for a person; `exported`: a folder or archive of what wsss has written, as
    they were before; `edited_only`: without masks that are still so; `replace_corrected`: also where nobody knows
    whether a person has made the mask that replaces one corrected by hand. What has been imported before, without any
    of these but `made_by` and `edited_only`, is told to be there. Returns the message to print. Raises `UserError` if
    nothing differs, if corrections would be lost, or if `out` holds anything else.
    """
    if not source.exists():
        raise UserError(source, "no such file or folder", "give what CVAT, or wsss export, has written")
    source, index = predicted(source), read_index(dataset)
    records = {record.id: record for record in index.records}
    splits = {record.id: record.split for record in index.records}
    if not (base_folder or out or exported or replace_corrected) and (
        there := imported_before(source, index, made_by, edited_only)
    ):
        check_there(there.path)
        return "\n".join(told_again(source, there, made_by, imported_since(there)))
    with unpacked(source) as folder:
        once = before(folder, exported, [*records], index.classes)
        if base_folder:
            base, chosen = filled(_open_base(base_folder), index), ""
        else:
            base, chosen = choose_base(folder, source, index, exported, once)
        _check_base(base, dataset, index)
        known = known_exports(folder, exported, base.ids, base.classes)
        edited = masks_in(folder, source, base.ids, base.classes, splits, known, once)
        paths = {BASE: str(base.path), "edited": str(source)}
        mended = base.mended if isinstance(base, FilledStore) else ""
        identity = paths | {"made_by": made_by, "known": known.checksum, "edited_only": edited_only, "mended": mended}
        inputs = [source, base.path, dataset]
        with open_stage("import_labels", identity, inputs, folders=[out] if out else []) as stage:
            found = correction(base, edited, records, made_by, edited_only)
            if edited_only:
                refuse_unknown(source, edited, found)
            warn_of(source, base.path, edited, found, index, records)
            if found.unsure and not replace_corrected:
                raise _would_replace(source, base.path, found, made_by)
            if not found.labels:
                raise _nothing(source, len(edited.files), base, found)
            marked = marked_photos(base, found)
            made_of = paths | {"base_sha256": hash_input(base.path), EDITED: hash_input(source)}
            made_of |= {EDITED_ONLY: "true"} if found.left_out else {}
            place, new = publish_new(corrected_store(stage, base, found, marked, made_of), out, CORRECTED)
    told = Told(found, edited, marked, base, records, place, new, chosen, made_by, source)
    return "\n".join(told.lines())


def _open_base(path: Path) -> PseudoStore:
    """The store in the folder `path`. Raises `UserError` for one that is none or holds no photo."""
    if is_filled(path):
        what = "a folder of wsss predict, and no store of labels, which the masks could be compared with"
        raise UserError(path, what, f"leave --base away; and if these masks were exported, give --exported {path}")
    if not is_store(path) and path not in [kind.place for kind in LABEL_STORES]:
        what = f"holds no labels (no {STORE_INDEX} in it)" if path.exists() else f"no such folder{similar(path)}"
        raise UserError(path, what, f"give a store of labels, such as {PseudoStore.place}, or leave --base away")
    base = open_pseudo(path)
    if not base.ids:
        what = "this store holds no photo: distill.rounds is 1, so no first student has corrected labels"
        raise UserError(path, what, f"give the --base that was exported, such as {PseudoStore.place}")
    return base


def _check_base(base: PseudoStore, dataset: Path, index: Index) -> None:
    """Raise `UserError` for labels that are not of this data set."""
    fit = labels_fit(base.path, {record.id: record.split for record in index.records}, index.classes)
    if fit is not None and fit.other_classes and not fit.again:
        what = f"has other classes than {dataset}, which has changed since"
        raise UserError(base.path, what, "make labels of it: dvc repro correct")
    if fit is not None:
        fit.check("leave --base away; or, first: ")
    base.expect_classes(index.classes)
    if not base.ids:
        raise UserError(base.path, f"holds no photo of {dataset}", "give the --dataset that it was made with")


def _would_replace(source: Path, base: Path, found: Correction, made_by: str) -> UserError:
    many, names = counted(len(found.unsure), "mask"), some(found.unsure, NAMED)
    what = f"would replace {many} corrected by hand before, in {base} ({names})"
    if made_by:
        return UserError(source, f"{what}, by masks of {made_by}", f"{REPLACE} if that is wanted; or remove them")
    unknown = "; nothing here knows whether a person has edited these since wsss wrote them"
    return UserError(source, what + unknown, f"{REPLACE} if a person has edited or checked each of them; else {GIVE}")


def _nothing(source: Path, photos: int, base: PseudoStore, found: Correction) -> UserError:
    if len(found.left_out) == photos:
        what = f"nobody has edited the {counted(photos, 'mask')} in it: as wsss has written them (--edited-only)"
        return UserError(source, what, "correct some, and export them again from the tool that you did it in")
    what = f"not one pixel of {photos} masks differs from {base.path}"
    if found.held_out:
        kept = counted(len(found.held_out), f"{HELD_OUT} photo")
        what += f", but in {kept}, where it is a network's and the label stays"
    if found.left_out:
        what += f"; {counted(len(found.left_out), 'mask')} left out that nobody has edited (--edited-only)"
    if found.as_before:
        what += f"; {counted(len(found.as_before), 'mask')} are as before its corrections, which stay"
    if found.stay:
        what += f"; {counted(len(found.stay), 'mask')} corrected by hand before, which nobody has edited since"
    fix = "export again what was edited, or give the --base that it was made of"
    if EDITED in base.attributes:
        fix = f"none needed if these corrections are in it already (distill.labels: {base.path}); else {fix}"
    return UserError(source, what, fix)
