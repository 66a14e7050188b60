"""What a data set looks like before anyone trains on it: a table of classes, and what will go wrong."""

from __future__ import annotations

import difflib
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from wsss.core.words import counted
from wsss.data.companions import inseparable, never_alone
from wsss.data.index import Record
from wsss.formats.build import Survey
from wsss.formats.cells import is_slip
from wsss.formats.meaning import doubtful_255
from wsss.formats.problems import Finding, some

DROP = "add photos, or drop the class: dataset.drop (wsss init --drop NAME)"
FEW = 5
"""A class with fewer training photos than this is not learned."""
MOST_NEGATIVE = 0.05
"""Fraction of the photos up to which those without a tag are no warning, and only told; nor are `FEW`."""
SMALL = 64
"""Longer side of a photo, pixels, below which a map of stride 16 has too few cells to show where something is."""
LONG = 3.0
"""Ratio of the sides from which a square crop sees little of a photo."""


def health_table(survey: Survey) -> str:
    """Photos of each class by split; `alone`: training photos with no other tag; `masks`: with pixels."""
    index = survey.index
    splits = index.splits()
    masked = [split for split in splits if any(r.id in survey.mask_classes for r in index.records if r.split == split)]
    header = ["class", *splits, "alone", *(f"{split} masks" for split in masked)]
    rows = [header]
    for number, name in enumerate(index.classes[1:], start=1):
        tagged = [sum(number in r.tags for r in index.records if r.split == split) for split in splits]
        alone = sum(r.tags == (number,) for r in index.records if r.split == "train")
        seen = [_showing(survey, number, split) for split in masked]
        rows.append([name, *map(str, [*tagged, alone, *seen])])
    totals = [sum(r.split == split for r in index.records) for split in splits]
    with_masks = [sum(r.id in survey.mask_classes for r in index.records if r.split == split) for split in masked]
    lonely = sum(len(r.tags) == 1 for r in index.records if r.split == "train")
    rows.append(["all photos", *map(str, [*totals, lonely, *with_masks])])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def health_findings(survey: Survey) -> list[Finding]:
    """All warnings: what is doubtful in how the set was read, splits, classes, sizes, copies, masks."""
    found = [*survey.findings, *_forgotten(survey), *_splits(survey), *_classes(survey)]
    return [*found, *_sizes(survey), *_copies(survey), *_masks(survey)]


def empty_splits(survey: Survey, wanted: Mapping[str, str]) -> list[Finding]:
    """The splits without a photo, of those that are `wanted`, each by the stage that will stop without it."""
    splits = survey.index.splits()
    if not splits:  # then the photos' own errors say why
        return []
    found = " and ".join(f"{len(survey.index.split(name))} in {name}" for name in splits)
    fix = (
        "name photos of each split, in the lists or in a column split of the tags; or, where nothing names splits, "
        "raise dataset.val_fraction; or set evaluate.split and gallery.split to a split that has photos"
    )
    return [
        Finding(f"no photo in split {name} (found {found}): stage {stage} will stop", fix)
        for name, stage in wanted.items()
        if name not in splits
    ]


def unlearnt(survey: Survey) -> list[Finding]:
    """The classes without a training photo, where most photos have no tag: then these are what is missing."""
    index, paths = survey.index, survey.untagged
    shown = {tag for record in index.records if record.split == "train" for tag in record.tags}
    missing = [name for number, name in enumerate(index.classes[1:], start=1) if number not in shown]
    if not shown or not missing or 2 * len(paths) <= len(index.records):
        return []
    most = f"and {len(paths)} of {len(index.records)} photos have no tag ({some(paths)})"
    what = f"no training photo shows {some(missing)}, {most}: a network cannot learn what it is never shown"
    return [Finding(what, "tag the photos (wsss tag); or drop the classes: dataset.drop (wsss init --drop NAME)")]


def statements(survey: Survey) -> Iterator[str]:
    """What one should know and has nothing to do about, a line each: sizes, and a few photos without a tag."""
    index = survey.index
    sides = [(max(record.own_size), max(record.size)) for record in index.records if record.size != record.own_size]
    ways = {"smaller": sum(own > read for own, read in sides), "larger": sum(own < read for own, read in sides)}
    if told := [f"{many} {word}" for word, many in ways.items() if many]:
        median = round(statistics.median(max(record.own_size) for record in index.records))
        yield (
            f"photos are read at a longer side of about {index.long_side} pixels (dataset.long_side; their own: "
            f"{median} in the middle): {' and '.join(told)} than they are, of {len(index.records)}; masks are scored "
            "and predicted at the photos' own size"
        )
    if survey.negatives and not _many_negatives(survey):
        yield f"{_negatives(survey)} (dataset.allow_untagged)"


def _negatives(survey: Survey) -> str:
    paths = survey.negatives
    return f'{counted(len(paths), "photo")} without a tag ({some(paths)}): trained on as "none of these classes"'


def _many_negatives(survey: Survey) -> bool:
    return len(survey.negatives) > max(FEW, MOST_NEGATIVE * len(survey.index.records))


def _forgotten(survey: Survey) -> Iterator[Finding]:
    if _many_negatives(survey):
        fix = "if some were forgotten, tag them (wsss tag); if they show none of the classes, nothing has to be done"
        yield Finding(_negatives(survey), f"{fix}; dataset.allow_untagged: false makes them errors")
    elif paths := survey.forgotten:
        have = f"{len(paths)} photo{' has' if len(paths) == 1 else 's have'}"
        what = f"{have} no row in the table of tags: {some(paths)}; trained on as photos of no class"
        yield Finding(what, "add the rows, if they were forgotten; one with an empty cell says that no class is there")


def _splits(survey: Survey) -> Iterator[Finding]:
    splits = survey.index.splits()
    tagged = {record.split for record in survey.index.records if record.tags}
    if tagged and "val" in splits and "val" not in tagged:
        yield Finding(
            "no photo in split val has a tag: whether the classifier has learnt anything cannot be told",
            "mark some tagged photos as val",
        )
    elif "val" in splits:
        held = {tag for record in survey.index.records if record.split == "val" for tag in record.tags}
        counts = Counter(tag for record in survey.index.records if record.split == "train" for tag in record.tags)
        if missing := [survey.index.classes[tag] for tag in sorted(counts) if counts[tag] > 1 and tag not in held]:
            yield Finding(
                f"classes without a photo in split val: {some(missing)}; nothing tells whether they are learnt",
                "give one or more of their photos the split val",
            )
    folded = Counter(record.id.casefold() for record in survey.index.records)
    twins = [record.id for record in survey.index.records if folded[record.id.casefold()] > 1]
    if twins:
        yield Finding(f"ids that differ only in case: {some(twins)}", "rename them: some disks cannot tell them apart")


def _classes(survey: Survey) -> Iterator[Finding]:
    names = survey.index.classes
    train = [record.tags for record in survey.index.records if record.split == "train"]
    counts = Counter(tag for tags in train for tag in tags)
    if not counts:  # an error says why
        return
    kinds = range(1, len(names))
    unseen = [names[k] for k in kinds if not counts[k]]
    if unseen and not unlearnt(survey):
        what = f"classes without a training photo: {some(unseen)}; a network cannot learn what it is never shown"
        yield Finding(what, f"give a photo that shows them the split train; {DROP}")
    if rare := [f"{names[k]} ({counts[k]})" for k in kinds if 0 < counts[k] < FEW]:
        yield Finding(f"classes with fewer than {FEW} training photos: {some(rare)}", DROP)
    if misspelt := list(_misspelt(survey)):
        what = f"rare classes whose names resemble frequent ones: {some(misspelt)}"
        yield Finding(what, "correct these tags; or list the names in a file, and set dataset.classes to it")
    if joined := [names[k] for k in kinds if _joined(names[k], names)]:
        what = f"classes whose names are made of other classes': {some(joined)}"
        yield Finding(what, "if these are several tags, write | between them")
    if constant := [names[k] for k in kinds if counts[k] == len(train)]:
        what = f"classes in every training photo: {some(constant)}; tags cannot tell them from background"
        yield Finding(what, "add training photos without them")
    photos, foreground = survey.index.split("train"), survey.index.foreground
    for group in inseparable(photos, foreground):
        yield Finding(
            f"classes that come together in nearly all of their training photos: {some([names[k] for k in group])}; "
            "tags hardly tell them apart, and their masks will run into each other",
            "add training photos that show one of them without the others; or make one class of them",
        )
    if never := [names[k] for k in never_alone(photos, foreground) if counts[k] >= FEW]:
        always = "their masks may include what they always appear with"
        what = f"classes that never appear alone in a training photo: {some(never)}; {always}"
        yield Finding(what, "add photos that show them without other classes")


def _joined(name: str, classes: Iterable[str]) -> bool:
    """True for ``cow grass`` where there are classes ``cow`` and ``grass``."""
    words = [word for word in re.split(r"[\s/+&]+", name.casefold()) if word]
    return len(words) > 1 and set(words) <= {each.casefold() for each in classes}


def _misspelt(survey: Survey) -> Iterator[str]:
    """``shep (1, holiday/a) = sheep (12)?``: over all splits, since a slip may be in any."""
    names = survey.index.classes
    counts = Counter(tag for record in survey.index.records for tag in record.tags)
    frequent = {names[k]: counts[k] for k in counts if counts[k] >= FEW}
    for k in sorted(k for k in counts if counts[k] < FEW):
        close = difflib.get_close_matches(names[k], frequent, n=1, cutoff=0.8)
        close = close or [name for name in sorted(frequent) if is_slip(names[k], name)]
        if close:
            where = next(record.id for record in survey.index.records if k in record.tags)
            yield f"{names[k]} ({counts[k]}, {where}) = {close[0]} ({frequent[close[0]]})?"


def _sizes(survey: Survey) -> Iterator[Finding]:
    sides = [max(record.own_size) for record in survey.index.records if record.split == "train"]
    if sides and (median := round(statistics.median(sides))) < SMALL:
        yield Finding(
            f"training photos are tiny (median longer side {median} px): maps of {-(-median // 16)} cells a side at "
            "stride 16 cannot outline anything",
            "take the photos in their original size; enlarging them adds no detail",
        )
    if survey.dark:
        dark = [f"{name} (brightest pixel {value} of 255)" for name, value in sorted(survey.dark.items())]
        yield Finding(
            f"photos that are nearly black as they are read: {some(dark)}; files of 16 bits that hold 10 to 14 look so",
            "stretch them, and all photos to predict, to the full range of their bits",
        )
    records = [record for record in survey.index.records if record.split == "train"]
    long = [r.id for r in records if max(r.height, r.width) > LONG * min(r.height, r.width)]
    if long:
        what = f"training photos more than {LONG:g} times as long as wide: {some(long)}; a crop shows a small part"
        yield Finding(what, "cut them into pieces about as long as wide, each with the tags of what it shows")


def _copies(survey: Survey) -> Iterator[Finding]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in survey.index.records:
        groups[record.sha256].append(record)
    copies = [group for group in groups.values() if len(group) > 1]
    if copies:
        pairs = [" = ".join(record.id for record in group) for group in copies]
        yield Finding(f"identical photos under several names: {some(pairs)}", "delete the copies")
    leaks = [group for group in copies if len({record.split for record in group}) > 1]
    if leaks:
        pairs = [" = ".join(f"{record.id} ({record.split})" for record in group) for group in leaks]
        yield Finding(
            f"identical photos in several splits: {some(pairs)}; scores will be too good",
            "delete the copies",
        )


def _masks(survey: Survey) -> Iterator[Finding]:
    untagged = [
        f"{record.id} ({', '.join(survey.index.classes[k] for k in surplus)})"
        for record in survey.index.records
        if (surplus := sorted({*survey.mask_classes.get(record.id, ())} - {0, *record.tags}))
    ]
    if untagged:
        what = f"photos whose masks show what they are not tagged with: {some(untagged)}"
        yield Finding(what, "add the tags; or, if many, see whether the masks number the classes in another order")
    for split in survey.index.splits():
        records = [r for r in survey.index.records if r.split == split and r.id in survey.mask_classes]
        if blank := [r.id for r in records if not survey.mask_classes[r.id]]:
            what = f"{split} masks that are 255 (ignore) everywhere: {some(blank)}; they score nothing"
            yield Finding(what, "draw the masks, or delete them")
        yield from (Finding(*each) for each in doubtful_255(split, records, survey.mask_values()))
        absent = [n for k, n in enumerate(survey.index.classes) if k and not _showing(survey, k, split)]
        if records and absent:
            what = f"classes in no {split} mask: {some(absent)}; they have no IoU there"
            yield Finding(what, f"add {split} masks that show them")


def _showing(survey: Survey, number: int, split: str) -> int:
    return sum(number in survey.mask_classes.get(r.id, ()) for r in survey.index.records if r.split == split)
