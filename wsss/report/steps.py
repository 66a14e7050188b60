"""What to do after the verdict, as commands to paste: remedies where the masks are bad, then how to get the masks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ConfigDict

from wsss.core.minutes import foretold, work_of
from wsss.core.recipes import recipe_names
from wsss.data.index import Index
from wsss.data.origins import LABELS_SHA
from wsss.data.photos import Location
from wsss.report.interval import Interval
from wsss.report.last_words import Step, Verdict
from wsss.report.other_labels import rests_on
from wsss.report.own_masks import masks_as_written
from wsss.report.scores import read_sources
from wsss.report.verdict import final_verdict
from wsss.stores.labels import PseudoStore, RelabelledStore

QUICK, FULL = "quick", "photos"
"""The recipe of minutes, and the one with better masks, which `wsss init` takes without --recipe."""
GAIN = "Train the whole network: on six sets of seven the masks were better by 2.5 to 16.4 points of mIoU"
PRICE = "that took 22 to 34 minutes of processor time each, and the command says beforehand what yours will take"
"""What `FULL` gave in the place of `QUICK`, and what it cost: docs/experiments.md#any-photos-the-zoo."""
KEEP = "--keep-dataset && wsss plan"
"""Options of `wsss recipe use` that carry data set and imported labels along, and the command that says the cost."""
FOUND = ("tags.csv", "folders", "xml")
"""Tags that `wsss init` finds by itself."""
FOLDER = "FOLDER"
"""On the page, which other people may see elsewhere, for the folder of the photos."""

FOUND_MASKS, ARCHIVE = "../found", "../labels.zip"
"""Where the commands write, if nothing is there yet."""
BETTER_LABELS = "The labels of the photos that have tags, which scored better than the student"


class Place(Location):
    """Section `dataset` as far as a command repeats it. It changes what a terminal is told, and no file."""

    model_config = ConfigDict(extra="ignore")

    tags: str = "tags.csv"
    photo_column: str = ""
    tag_column: str = ""
    drop: tuple[str, ...] = ()
    masks: str = ""

    @property
    def options(self) -> str:
        """Folder and options of a `wsss init` that reads the data set as it was read."""
        table = "" if self.tags in FOUND else str(Path(self.root) / self.tags)
        given = [("tags", table), ("photo-column", self.photo_column), ("tag-column", self.tag_column)]
        given += [("drop", name) for name in self.drop]
        return shlex.quote(self.root) + "".join(f" --{key} {shlex.quote(value)}" for key, value in given if value)

    def folder(self, index: Index) -> str:
        """Folder of the photos in `index`: without that of the masks, where it lies beside theirs."""
        parents = [Path(self.root, record.image).parent for record in index.records]
        return shlex.quote(os.path.commonpath(parents) if parents else self.root)


def last_words(
    reports: Path,
    index: Index,
    made: RelabelledStore,
    split: str,
    recipe: str,
    place: Place,
    others: PseudoStore | None = None,
    interval: Interval | None = None,
) -> tuple[Verdict, str]:
    """The verdict with what to do, for the page; and both as text for a terminal, with the folder at `place`.

    `made`: the store of relabelled labels, and `others`: that of imported ones that the student learned from, if there
    is one; they tell what the labels rest on. `interval`: see `final_verdict`. Errors are those of `final_verdict` and
    `read_sources`, which read the folder `reports`.
    """
    sources = read_sources(reports / "sources.csv")
    photos = [record for record in index.records if record.split == split]
    own = len(masks_as_written(Path(place.root), place.masks, photos))
    imported = LABELS_SHA in made.attributes
    verdict = final_verdict(reports, sources, index, split, rests_on(made, others), own, interval, imported)
    known = verdict, recipe, index, list(made.ids)
    page, terminal = (next_steps(*known, where, others) for where in (None, place))
    return replace(verdict, steps=page), f"{verdict.text}\n{steps_text(terminal)}"


def next_steps(
    verdict: Verdict,
    recipe: str,
    index: Index,
    relabelled: Sequence[str],
    place: Place | None = None,
    others: PseudoStore | None = None,
) -> tuple[Step, ...]:
    """Remedies if the verdict is not fine, each with its command, and how to segment all photos, last.

    `recipe`: name of the one that the settings began with; `relabelled`: ids of photos with a relabelled label;
    `place`: where the photos are; None for the page, which names none. `others`: imported labels that the student
    learned from; new settings have to name them again, and classes must stay theirs.
    """
    options, folder = (FOLDER, FOLDER) if place is None else (place.options, place.folder(index))
    found, archive = (FOUND_MASKS, ARCHIVE) if place is None else (free(FOUND_MASKS), free(ARCHIVE))
    predict = f"wsss predict artifacts/student.pt {folder} -o {found} --overlays --min-area 0.1%"
    predict += " --keep-corrected" if others is not None and others.by_hand else ""
    export = f"wsss export --to cvat artifacts/{verdict.labels or ('relabelled' if relabelled else 'pseudo')} {archive}"
    which = " (artifacts/relabelled: those of the training photos, as the first student mended them)"
    mended = which if relabelled and verdict.labels == "pseudo" else ""
    better = [Step(BETTER_LABELS + mended, export)] if verdict.labels else []
    longer = recipe == QUICK and verdict.longer
    whole = f"wsss init {options} --recipe {FULL}" if others is None else f"wsss recipe use {FULL} {KEEP}"
    full = [Step(f"{GAIN}; {price(index, place)}", whole)] if longer else []
    steps = [*better, *full]
    if not verdict.bad:
        return (*steps, Step("Masks of your photos", predict))
    if not better:
        which = " (those of the training photos; artifacts/pseudo: all photos)" if relabelled else ""
        steps.append(Step(f"The labels may be better than these masks{which}", export))
    if verdict.weak and others is not None:
        what = f"Add photos of {', '.join(verdict.weak)}, or correct more of their labels"
        steps.append(Step(what, f"wsss export --to cvat {shlex.quote(str(others.path))} {archive}"))
    elif verdict.weak and len(index.classes) > 2:
        names, first = ", ".join(verdict.weak), shlex.quote(verdict.weak[0])
        # Without it the recipe would become another one.
        same = f" --recipe {recipe}" if recipe in recipe_names() else ""
        what = f"Add photos of {names}, or leave a class out (the others do not always become better)"
        steps.append(Step(what, f"wsss init {options}{same} --drop {first}"))
    return (*steps, Step("The masks as they are", predict))


def price(index: Index, place: Place | None) -> str:
    """What recipe `FULL` costs: as `wsss init` has foretold it for these photos on this machine, else as measured."""
    span = None if place is None else foretold(work_of(FULL, place.root, len(index.records)))
    return PRICE if span is None else f"here that takes {span.text()}, as wsss init has foretold"


def steps_text(steps: Sequence[Step]) -> str:
    """For a terminal."""
    if len(steps) == 1:
        return f"next: {steps[0].command}"
    return "\n".join(["what to do:", *(f"  {step.what}:\n    {step.command}" for step in steps)])


def free(name: str) -> str:
    """The path `name`, with a number if something is there: of an earlier round, and perhaps edited by hand since."""
    path, number = Path(name), 1
    while path.exists():
        number += 1
        path = Path(name).with_stem(f"{Path(name).stem}{number}")
    return str(path)
