"""What is other in masks that were edited than in the labels of a store, pixel by pixel, and whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.data.index import IGNORE, Record
from wsss.data.origins import FROM_LABELS, FROM_NETWORK, HAND, LABELS, NETWORK, Origin
from wsss.data.size import fit_label
from wsss.evaluation.edited_masks import EditedMasks
from wsss.stores.labels import BY_HAND, PseudoStore
from wsss.stores.opened import is_store

HELD_OUT = "val"
BEFORE = "before"
"""Name of the stored version of a label before its correction, as in `artifacts/relabelled`."""
MARKS = {HAND: BY_HAND, NETWORK: FROM_NETWORK, LABELS: FROM_LABELS}
"""Attributes of photos, and of the store, which has their number, by the origin of the labels."""
EDITED = "edited_sha256"
"""Attribute of a store of corrected labels: the checksum of the archive or folder that it was made of."""
STAYS, REPAINTED, UNSURE = "stays", "repainted", "unsure"
"""What may become of a label that a person has corrected before."""
EDITED_ONLY = "edited_only"
"""Attribute of such a store that was made without the masks that nobody had edited."""


@dataclass(frozen=True)
class Correction:
    """The new `labels` of the photos that have changed, and their `origins`; pixels that each of 256 label values has
    `gained` and `lost` in them; the ignored pixels that came back as background: those `kept` ignored and those that
    are background now; the `held_out` photos that keep their labels, because the new ones are a network's; and those
    whose masks are as they were before a correction that the base has: these keep it. `left_out`: photos whose masks
    were not looked at, because nobody has edited them. Of photos whose label in the base a person has corrected, those
    that keep it (`stay`), because nobody has edited the new mask; those that a person has `repainted`; and those of
    which nobody knows whether a person has made the new mask (`unsure`). `dropped`: by class, pixels of the new masks,
    at the size of the photos' files, that are background because the class was dropped.
    """

    labels: Mapping[str, npt.NDArray[np.uint8]]
    origins: Mapping[str, Origin]
    gained: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    kept: int
    cleared: int
    held_out: tuple[str, ...]
    as_before: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()
    repainted: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    def count(self, kind: str, names: Collection[str]) -> int:
        """Of the photos `names`, those whose new label is of this kind of origin."""
        return sum(origin.kind == kind for name, origin in self.origins.items() if name in names)


def correction(
    base: PseudoStore,
    edited: EditedMasks,
    records: Mapping[str, Record],
    made_by: str = "",
    edited_only: bool = False,
) -> Correction:
    """Compare the edited masks with what `wsss export` writes of the labels of `base`, at the size of the photos'
    files, so that a mask that nobody has touched differs nowhere. Only pixels that differ there are changed at the size
    that photos are read at.

    Most tools have no label for 255, and give such pixels back as background: they stay 255, unless the masks come with
    a label for 255. `made_by`: the method that has made the masks, empty for a person. `edited_only`: masks that are
    still as wsss has written them are left out. A mask that nobody has edited never replaces a label that a person has
    corrected.
    Raises `UserError` for masks that fit no photo or class.
    """
    sizes = {name: records[name].own_size for name in edited.files}
    knows = edited.has_label_for_ignored(records)
    labels: dict[str, npt.NDArray[np.uint8]] = {}
    origins, held_out, as_before, left_out = dict[str, Origin](), list[str](), list[str](), list[str]()
    painted: dict[str, list[str]] = {STAYS: [], REPAINTED: [], UNSURE: []}
    dropped = Counter[str]()
    gained, lost, kept, cleared = np.zeros(256, np.int64), np.zeros(256, np.int64), 0, 0
    for name, own in sizes.items():
        check_stop()
        old, size = base.label(name), records[name].size
        if old.shape != size:
            what = f"its label of {name} is {old.shape[1]} × {old.shape[0]}, but the photo is read at another size"
            raise UserError(base.path, what, "give the --dataset that it was made with")
        written, exported = edited.written(name, own), fit_label(old, own)
        mask = edited.labels.without_dropped(written)
        if edited_only and edited.known.untouched(name, written):
            left_out.append(name)
            continue
        other = differs(mask, exported, knows)
        if other and is_as_before(base, name, mask, knows):
            as_before.append(name)
            continue
        if other and BY_HAND in base.group(name).attrs:
            painted[fate := _fate(edited, name, written, made_by)].append(name)
            if fate == STAYS:
                continue
        origin = edited.origin(name, written, made_by)
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
            dropped.update(edited.labels.dropped_pixels(written))
            labels[name], origins[name] = label, origin
            gained += np.bincount(label[changed], minlength=256)
            lost += np.bincount(old[changed], minlength=256)
    return Correction(
        labels,
        origins,
        gained,
        lost,
        kept,
        cleared,
        tuple(held_out),
        tuple(as_before),
        tuple(left_out),
        tuple(painted[STAYS]),
        tuple(painted[REPAINTED]),
        tuple(painted[UNSURE]),
        dropped,
    )


def _fate(edited: EditedMasks, name: str, mask: npt.NDArray[np.uint8], made_by: str) -> str:
    """What becomes of a label that a person has corrected, by the `mask` that differs from it."""
    if written := edited.known.origin(name, mask):
        # What a person has painted in the folder of `wsss predict` is new; what a store had is an earlier correction.
        return REPAINTED if written.kind == HAND and not is_store(Path(written.source)) else STAYS
    return UNSURE if made_by or name not in edited.known.written else REPAINTED


def differs(mask: npt.NDArray[np.uint8], exported: npt.NDArray[np.uint8], knows: bool) -> bool:
    """Whether a mask is another than was `exported`."""
    return differing_pixels(mask, exported, knows) > 0


def differing_pixels(mask: npt.NDArray[np.uint8], exported: npt.NDArray[np.uint8], knows: bool) -> int:
    """In how many pixels a mask is another than was `exported`. Where the masks do not know 255, background may stand
    for it.
    """
    return int(((mask != exported) & (knows | ~((exported == IGNORE) & (mask == 0)))).sum())


def is_as_before(base: PseudoStore, name: str, mask: npt.NDArray[np.uint8], knows: bool) -> bool:
    """Whether the mask of the photo `name` is what its label was before a correction that the store `base` has: it was
    exported before that, and nobody has touched it since.
    """
    if EDITED not in base.attributes or not any(mark in base.group(name).attrs for mark in MARKS.values()):
        return False
    size = (mask.shape[0], mask.shape[1])
    return not differs(mask, fit_label(base.label(name, BEFORE), size), knows)
