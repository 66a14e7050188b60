"""Raw records → index: every photo decoded, every mask checked, every problem told at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from wsss.core.atomic import sha256_file, write_text
from wsss.core.errors import UserError, raise_all
from wsss.core.executor import make_executor, run_counted
from wsss.core.log import Progress
from wsss.core.units import unit_done
from wsss.data.codec import read_file
from wsss.data.images import DARK, decode_image, load_mask
from wsss.data.index import IGNORE, Index, Record
from wsss.data.mask_values import value_counts, without_dropped
from wsss.data.origins import digest
from wsss.data.size import read_size, resolve_auto
from wsss.data.tables import csv_text
from wsss.formats.meaning import objects_of_255
from wsss.formats.numbering import numbered_classes, other_numbers
from wsss.formats.own_masks import as_written, own_masks
from wsss.formats.problems import ALL, MOST_SHOWN, Finding, shortened, some
from wsss.formats.raw import RawItem
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings

CHUNK = 32
FORGOTTEN = 0.1
"""Fraction of the photos below which those without a row look forgotten: who means photos of no class has more."""
POOL_FROM = 2000
"""Photos from which a pool of processes saves more time than it takes to start."""


@dataclass(frozen=True)
class Survey:
    """The index; of photos with a mask, by id, the class ids (0 included, 255 not) it holds and its checksum.

    `untagged`: paths of the photos without a tag, whether they are allowed or not; `ignored`: ids of the photos whose
    masks hold 255; `dark`: of photos that are nearly black, by id, their brightest value. `reading`, `findings`: how
    the data set's columns, lists and folders were read, a line each, and what is doubtful in that. `forgotten`: paths
    of photos that no row of the table names and that are trained on all the same, where these are so few that their
    rows may have been forgotten. `negatives`: those of `untagged`, where they are allowed and a warning is due.
    """

    index: Index
    mask_classes: Mapping[str, tuple[int, ...]]
    mask_sha256: Mapping[str, str]
    untagged: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    ignored: frozenset[str] = frozenset()
    dark: Mapping[str, int] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()

    def mask_values(self) -> dict[str, tuple[int, ...]]:
        """`mask_classes` with 255 where a mask holds it."""
        return {name: (*found, IGNORE) if name in self.ignored else found for name, found in self.mask_classes.items()}


@dataclass(frozen=True)
class Inspected:
    """What decoding a photo and its mask tells; the size is the file's own. `brightest`: the largest of all values, in
    0..255; `mask_values`: as the file has them, 255 among them; `mask_digest`: of what the mask shows.
    """

    height: int
    width: int
    brightest: int
    sha256: str
    mask_values: tuple[int, ...] | None
    mask_sha256: str | None
    mask_digest: str


def build_index(settings: DatasetSettings, seed: int) -> Survey:
    """Read the data set at `settings.root`. Raises `UserError`s, all at once, with files and lines."""
    survey, problems = examine(settings, seed)
    raise_all(shortened(problems, MOST_SHOWN, ALL))
    return survey


def examine(settings: DatasetSettings, seed: int, names: int = MOST_SHOWN) -> tuple[Survey, list[UserError]]:
    """What can be read of the data set, and everything that is wrong with it.

    Raises `UserError` only where there is nothing to read at all. `names`: how many photos one message lists.
    """
    raw = scan(settings)
    untagged = tuple(item.image for item in raw.items if not item.tags and item.id not in raw.explained)
    problems = [*raw.problems]
    if untagged and not settings.allow_untagged:
        problems.append(untagged_problem(settings, untagged, names))
    if raw.items and not problems and not any(item.tags for item in raw.items):
        fix = "tag them: wsss tag, or a table with a line a photo"
        problems.append(UserError(settings.tags_path, "no photo has a tag", fix))
    rowless = tuple(item.image for item in raw.items if item.id in raw.rowless)
    forgotten = rowless if settings.allow_untagged and len(rowless) < FORGOTTEN * len(raw.items) else ()
    ids = {name: number for number, name in enumerate(raw.classes)}
    numbering, folder, items = raw.numbering or raw.classes, Path(settings.root) / settings.masks, raw.items
    if settings.masks:
        try:
            numbering = numbered_classes(folder, numbering, raw.classes)
        except UserError as error:
            problems.append(error)
            items = tuple(replace(item, mask=None) for item in items)  # nobody can tell what they show
    dropped = tuple(number for number, name in enumerate(numbering) if name not in ids)
    inspected = inspect_all(Path(settings.root), items, len(numbering), settings.max_megapixels)
    sizes = [(each.height, each.width) for each in inspected if isinstance(each, Inspected)]
    long_side = resolve_auto(sizes) if settings.long_side == "auto" else settings.long_side
    splits = given_or_drawn(raw.items, seed, settings.val_fraction)
    records: list[Record] = []
    held: dict[str, tuple[int, ...]] = {}
    checksums: dict[str, str] = {}
    digests: dict[str, tuple[str, str]] = {}
    dark: dict[str, int] = {}
    for item, result in zip(items, inspected, strict=True):
        if isinstance(result, UserError):
            problems.append(result)
            continue
        tags = tuple(sorted(ids[tag] for tag in item.tags if tag in ids))
        own = (result.height, result.width)
        size = read_size(*own, long_side)
        records.append(Record(item.id, splits[item.id], item.image, item.mask, tags, *size, result.sha256, *own))
        if result.brightest <= DARK:
            dark[item.id] = result.brightest
        if item.mask is not None and result.mask_values is not None and result.mask_sha256 is not None:
            held[item.id], checksums[item.id] = result.mask_values, result.mask_sha256
            digests[item.id] = item.mask.removeprefix(f"{settings.masks}/"), result.mask_digest
    places = without_dropped(np.arange(256, dtype=np.uint8)[None], len(numbering), dropped)[0]
    seen = {name: tuple(sorted({int(places[value]) for value in found})) for name, found in held.items()}
    tags_of = raw.whole_tags or {item.id: item.tags for item in raw.items}
    shifted = other_numbers(folder, numbering, raw.classes, held, tags_of, names) if dropped else None
    problems += [each for each in (objects_of_255(folder, numbering, records, seen, names), shifted) if each]
    index = Index(raw.classes, tuple(sorted(records, key=lambda record: record.id)), long_side, dropped)
    mask_classes = {name: tuple(value for value in found if value != IGNORE) for name, found in seen.items()}
    ignored = frozenset(name for name, found in seen.items() if IGNORE in found)
    reading = raw.reading
    if raw.numbering and not dropped:
        reading += (f"numbers in masks: without the dropped classes, as the label map of {settings.masks} says",)
    told = reading, (*own_masks(as_written(folder, digests), len(digests)), *raw.findings)
    negatives = untagged if settings.allow_untagged else ()
    return Survey(index, mask_classes, checksums, untagged, *told, ignored, dark, forgotten, negatives), problems


def write_mask_checksums(path: Path, survey: Survey) -> None:
    """A table (id, sha256), by which what reads masks knows that they have changed. It tells nothing of their content.

    Apart from the index, because what trains depends on that and not on this.
    """
    write_text(path, csv_text(("id", "sha256"), sorted(survey.mask_sha256.items())))


def given_or_drawn(items: Sequence[RawItem], seed: int, val_fraction: float) -> dict[str, str]:
    """The split of each photo by id: as the data set says, else drawn."""
    if any(item.split for item in items):
        return {item.id: item.split or draw_split(item.id, seed, val_fraction) for item in items}
    return draw_splits({item.id: item.tags for item in items}, seed, val_fraction)


def draw_split(name: str, seed: int, val_fraction: float) -> str:
    """``val`` for about `val_fraction` of all names, else ``train``; other photos have no say in it."""
    return "val" if _draw(name, seed) < val_fraction * 2**64 else "train"


def draw_splits(tags: Mapping[str, Collection[str]], seed: int, val_fraction: float) -> dict[str, str]:
    """`draw_split` of each photo, by id, of which `tags` holds the tags; then a few change sides.

    Of a handful of photos, one is ``val`` and one ``train`` whatever was drawn. So it is with the photos of each tag,
    as far as no other tag loses its last one there: else, of classes with ten photos, one in ten would not be judged.
    First each tag gets a photo to train on, and its only photo is that, whatever else it shows: what nothing is learned
    from need not be judged.
    """
    order = sorted(tags, key=lambda name: _draw(name, seed))
    splits = {name: draw_split(name, seed, val_fraction) for name in order}
    if val_fraction == 0 or len(order) < 2:
        return splits
    if len({*splits.values()}) == 1:
        splits |= {order[0]: "val", order[-1]: "train"}
    shown: dict[str, list[str]] = {}
    for name in order:
        for tag in tags[name]:
            shown.setdefault(tag, []).append(name)
    for side in ("train", "val"):
        for _, photos in sorted(shown.items()):
            if any(splits[name] == side for name in photos):
                continue
            free = [name for name in photos if all(_another(shown[tag], name, splits) for tag in tags[name])]
            if side == "train":  # another photo of what else it shows may become val afterwards
                splits[(free or photos)[-1]] = side
            elif free:
                splits[free[0]] = side
    return splits


def _another(photos: Sequence[str], name: str, splits: Mapping[str, str]) -> bool:
    """Whether `name` may leave its split: another of `photos` is there."""
    return any(splits[other] == splits[name] for other in photos if other != name)


def _draw(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:8], "big")


def inspect_all(
    root: Path, items: Sequence[RawItem], classes: int, max_megapixels: float
) -> list[Inspected | UserError]:
    """Decode all photos and masks, in the order of `items`; an error stands in the place of its photo.

    `classes` are those that masks have numbers for, dropped ones and the background among them.
    """
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    results: dict[int, list[Inspected | UserError]] = {}
    executor = make_executor(in_process=len(items) < POOL_FROM)
    with executor, Progress("index", len(items), "photos") as progress:
        tasks = ((root, chunk, classes, max_megapixels) for chunk in chunks)
        for number, result in run_counted(executor, _inspect_chunk, tasks, list(map(len, chunks)), progress):
            results[number] = result
    return [result for number in sorted(results) for result in results[number]]


def _inspect_chunk(
    root: Path, items: Sequence[RawItem], classes: int, max_megapixels: float
) -> list[Inspected | UserError]:
    found = []
    for item in items:
        found.append(_inspect(root, item, classes, max_megapixels))
        unit_done()
    return found


def _inspect(root: Path, item: RawItem, classes: int, max_megapixels: float) -> Inspected | UserError:
    try:
        data = read_file(root / item.image)
        pixels = decode_image(data, root / item.image, max_megapixels)
        height, width, brightest = *pixels.shape[:2], int(pixels.max())
        del pixels
        seen = checksum = None
        shown = ""
        if item.mask is not None:
            mask = load_mask(root / item.mask, (height, width), classes)
            checksum = sha256_file(root / item.mask)
            seen, shown = tuple(np.flatnonzero(value_counts(mask)).tolist()), digest(mask)
    except UserError as error:
        return error
    return Inspected(height, width, brightest, hashlib.sha256(data).hexdigest(), seen, checksum, shown)


def untagged_problem(settings: DatasetSettings, paths: Sequence[str], names: int = MOST_SHOWN) -> UserError:
    """What to say where photos without a tag, at `paths`, are not allowed. `names`: how many of them are listed."""
    what = f"{len(paths)} photo{' has' if len(paths) == 1 else 's have'} no tag ({some(paths, names)})"
    fix = (
        "tag them; or move what is no photo to train on, such as masks, out of the folder; or set "
        "dataset.allow_untagged: true to train on them as photos of no class"
    )
    return UserError(settings.tags_path, what, fix)
