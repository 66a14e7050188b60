"""Takes corrected labels over to a data set that has changed since: of photos that are still there, by class names.

The new store has labels of the corrected photos alone. Nobody has looked at the others, and what the pipeline makes of
them is newer: stage `distill` reads it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsss.core.errors import UserError
from wsss.core.interrupt import check_stop
from wsss.core.labels_fit import ALONE
from wsss.core.stage import hash_input, open_stage
from wsss.data.ids import encode_id
from wsss.data.index import IGNORE, Index, Record, read_index
from wsss.data.origins import FROM_LABELS, digest
from wsss.evaluation.before import dropped_classes
from wsss.evaluation.correction import BEFORE, EDITED, MARKS
from wsss.evaluation.edited_masks import BY
from wsss.evaluation.exported import PROJECT
from wsss.evaluation.import_told import NAMED, how_to_train
from wsss.evaluation.new_store import CONTENT, publish_new
from wsss.formats.problems import some
from wsss.stores.corrected import BASE, CORRECTED
from wsss.stores.labels import BY_HAND, PSEUDO_FORMAT, PseudoStore, put_labels
from wsss.stores.opened import open_pseudo
from wsss.stores.shards import Shard, StoreMeta, build_store, plan_shards, shard_writer
from wsss.stores.whose import BY_METHODS, MADE_BY, whose

SHARD = 32


@dataclass(frozen=True)
class Carried:
    """By photo, the `marks` of the labels that are taken over, as the attributes of its group; the `numbers` that each
    of the 256 label values has now; the pixels of classes that are none any more (`lost`); photos that are `gone`, and
    those that are read at another size now (`resized`).
    """

    marks: Mapping[str, Mapping[str, str | bool]]
    numbers: npt.NDArray[np.uint8]
    lost: Mapping[str, int]
    gone: tuple[str, ...]
    resized: tuple[str, ...]


def carry_over(source: Path, dataset: Path, out: Path | None = None) -> str:
    """Write the labels of the store `source` that were corrected, or taken from elsewhere, as a new one for photos and
    classes of the index `dataset`: `out`, by default a folder named by its content. Pixels of a class that is none any
    more are background, as in masks of a data set (`dataset.drop`). Returns the message to print.

    Raises `UserError` where there is none, or nothing is left of them.
    """
    store, index = open_pseudo(source), read_index(dataset)
    if store.upper_bound:
        raise UserError(source, "holds masks and no corrected labels", "make them again: wsss labels import-masks")
    found = carried(store, index)
    if not found.marks:
        gone = f", whose photos are in {dataset}" if found.gone or found.resized else ""
        fix = "give a store of corrected labels (artifacts/corrected_*), or masks that were edited"
        raise UserError(source, f"holds no labels that a person has corrected{gone}", fix)
    inputs = [source, dataset]
    with open_stage("carry_over", {}, inputs, folders=[out] if out else []) as stage:
        shards = plan_shards([*found.marks], SHARD)
        meta = StoreMeta(PSEUDO_FORMAT, index.classes, _attributes(store, found, source))
        made = build_store(stage, meta, shards, carry_shard, (store, found), in_process=True)
        place, new = publish_new(made, out, CORRECTED)
    return "\n".join(told(store, found, index, place, new))


def carried(store: PseudoStore, index: Index) -> Carried:
    """Which labels of `store` can be taken over to `index`, and what becomes of their classes."""
    records = {record.id: record for record in index.records}
    names = {name: number for number, name in enumerate(index.classes)}
    numbers = np.zeros(256, np.uint8)
    numbers[IGNORE] = IGNORE
    for number, name in enumerate(store.classes):
        numbers[number] = names.get(name, 0)
    marks: dict[str, dict[str, str | bool]] = {}
    gone, resized, lost = list[str](), list[str](), Counter[str]()
    for name in store.ids:
        check_stop()
        attributes = store.group(name).attrs
        own: dict[str, str | bool] = {
            mark: True if mark == BY_HAND else str(attributes[mark]) for mark in MARKS.values() if mark in attributes
        }
        if not own:
            continue
        if name not in records:
            gone.append(name)
        elif (label := store.label(name)).shape != records[name].size:
            resized.append(name)
        else:
            marks[name] = own
            counts = np.bincount(label.ravel(), minlength=256)
            lost.update(
                {each: int(counts[k]) for k, each in enumerate(store.classes) if each not in names and counts[k]}
            )
    return Carried(marks, numbers, lost, tuple(gone), tuple(resized))


def carry_shard(path: Path, shard: Shard, meta: StoreMeta, store: PseudoStore, found: Carried) -> None:
    """Write one shard: each label, and what it was before its correction, with the numbers that classes have now."""
    with shard_writer(path, shard, meta) as file:
        for name in shard.ids:
            check_stop()
            label, earlier = (found.numbers[store.label(name, version)] for version in ("label", BEFORE))
            put_labels(file, name, label, store.confidence(name), **{BEFORE: earlier})
            file[encode_id(name)].attrs.update(found.marks[name])


def told(store: PseudoStore, found: Carried, index: Index, place: Path, new: bool) -> Iterator[str]:
    """The message, line by line."""
    made = open_pseudo(place)
    parts = [f"{many} {words}" for words, many in whose(made.attributes).items()]
    there = "" if new else ", which is there already"
    yield f"labels: {store.path} → {place}{there} ({', '.join(parts)}; all other photos learn from {PseudoStore.place})"
    if found.gone:
        yield f"left out, of photos that the data set has no more: {some(found.gone, NAMED)}"
    if found.resized:
        yield f"left out, of photos that have another size now: {some(found.resized, NAMED)}"
    dropped = dropped_classes(Path(PROJECT))
    for name, pixels in found.lost.items():
        why = "dropped (dataset.drop)" if name in dropped else "no class any more"
        yield f"{name} is {why}; pixels that are background now: {pixels:,}"
    if added := {number for number, name in enumerate(index.classes) if name not in store.classes}:
        yield f"new classes, which these labels do not show: {', '.join(index.classes[k] for k in sorted(added))}"
        if tagged := [record.id for record in index.records if _shows(record, added) and record.id in found.marks]:
            yield f"paint them, or these photos teach that they are not there: {some(tagged, NAMED)}"
    yield from how_to_train(place, made, made.by_hand > 0)


def _shows(record: Record, classes: set[int]) -> bool:
    return bool(classes & {*record.tags})


def _attributes(store: PseudoStore, found: Carried, source: Path) -> dict[str, bool | int | float | str]:
    counts: dict[str, bool | int | float | str] = {
        mark: many for mark in MARKS.values() if (many := sum(mark in own for own in found.marks.values()))
    }
    sources = [str(own[FROM_LABELS]) for own in found.marks.values() if FROM_LABELS in own]
    if methods := [each[len(BY) :] for each in sources if each.startswith(BY)]:
        counts |= {MADE_BY: ", ".join(sorted({*methods})), BY_METHODS: len(methods)}
    content = [hash_input(source), *map(str, found.numbers)]
    content += [f"{name} {digest(store.label(name))}" for name in sorted(found.marks)]
    content.append(hashlib.sha256("\n".join(content).encode()).hexdigest())
    of = {BASE: str(source), "edited": str(source), "base_sha256": content[0], EDITED: content[0]}
    return {**counts, ALONE: True, CONTENT: content[-1], **of}
