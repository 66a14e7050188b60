"""What is said of an import of corrected labels: warnings, what has changed, whose it is, and how to train on it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from wsss.core.errors import UserError, WsssError
from wsss.core.log import warn
from wsss.core.recipes import read_recipe
from wsss.core.settings_file import read_settings
from wsss.core.words import counted
from wsss.data.index import IGNORE, Index, Record
from wsss.data.origins import FROM_LABELS, FROM_NETWORK, HAND
from wsss.evaluation.correction import HELD_OUT, Correction
from wsss.evaluation.edited_masks import BY, EditedMasks
from wsss.evaluation.exported import GIVE
from wsss.formats.problems import some
from wsss.stores.filled import FilledStore
from wsss.stores.labels import BY_HAND, PseudoStore
from wsss.stores.whose import whose

NAMED = 5


def warn_unknown(source: Path, names: Sequence[str], masks: int, base: Path | None = None) -> None:
    """Warn of the photos `names`, if there are any: they count as a person's among so many `masks`, and nothing is
    known of an export of theirs. `base`: the store from which unedited masks would not differ.
    """
    if names:
        what = (
            f"of {len(names)} of {counted(masks, 'mask')} nothing here knows how wsss has exported them, so masks that "
            f"nobody has edited cannot be told from edited ones: all these count as a person's ({some(names, NAMED)})"
        )
        exported = f", or if {base} was exported, from which masks that nobody has edited do not differ" if base else ""
        warn(source, what, f"none needed if a person has made or checked each of them{exported}; else {GIVE}")


def refuse_unknown(source: Path, edited: EditedMasks, found: Correction) -> None:
    """Raise `UserError` if the edited masks alone are asked for, and nothing is known of an export of any that would
    count as a person's: none of them can be told from those that nobody has edited.
    """
    painted = [name for name, origin in found.origins.items() if origin.kind == HAND]
    if painted and not any(name in edited.known.written for name in painted):
        what = (
            f"--edited-only: of {counted(len(painted), 'mask')} nothing here knows how wsss has exported them, so "
            f"edited ones cannot be told from others ({some(painted, NAMED)})"
        )
        raise UserError(source, what, f"{GIVE}; or leave --edited-only away, if a person has made or checked each")


def warn_of(
    source: Path,
    base: Path,
    edited: EditedMasks,
    found: Correction,
    index: Index,
    records: Mapping[str, Record],
) -> None:
    """Warn of masks of which nobody knows whose they are, of photos without a mask, and of classes that a photo is not
    tagged with.
    """
    painted = [name for name, origin in found.origins.items() if origin.kind == HAND]
    warn_unknown(source, [name for name in painted if name not in edited.known.written], len(edited.files), base)
    if edited.without:
        what = f"{len(edited.without)} photos have come back without a mask and keep their labels"
        warn(
            source,
            f"{what}: {some(edited.without, NAMED)}",
            "none needed; if one shows no class, add a black mask of its name",
        )
    if unknown := {index.classes.index(name) for name in edited.labels.absent}:
        lack = [name for name in found.labels if unknown & {*records[name].tags}]
        tagged = sorted({index.classes[k] for name in lack for k in records[name].tags if k in unknown})
        if lack:
            what = (
                f"the masks have no label for {', '.join(tagged)}, a class that {counted(len(lack), 'photo')} of them "
                f"{'is' if len(lack) == 1 else 'are'} tagged with, so their labels do not show it: {some(lack, NAMED)}"
            )
            warn(source, what, "paint it there: export these labels, correct them, and import them")
    untagged = []
    for name, label in found.labels.items():
        shown = [int(k) for k in np.unique(label) if k not in (0, IGNORE, *records[name].tags)]
        untagged += [f"{name} ({', '.join(index.classes[k] for k in shown)})"] if shown else []
    if untagged:
        what = f"{len(untagged)} photos show classes that they are not tagged with: {some(untagged, NAMED)}"
        warn(source, what, "add these tags to the table, or correct the masks")


@dataclass(frozen=True)
class Told:
    """An import: what was `found` in the `edited` masks, the photos of the store that are `marked`, its
    `place` and whether it is `new` there; how the base was `chosen`, empty if it was given; `made_by`: the method that
    has made the masks, empty for a person; `source`: where these are.
    """

    found: Correction
    edited: EditedMasks
    marked: Mapping[str, Mapping[str, str]]
    base: PseudoStore
    records: Mapping[str, Record]
    place: Path
    new: bool
    chosen: str
    made_by: str
    source: Path

    def lines(self) -> Iterator[str]:
        """The message, line by line."""
        found = self.found
        whose = [f"{len(self.base.ids)} photos", *self._whose()]
        there = "" if self.new else ", which is there already"
        yield (
            f"labels: {len(found.labels)} of {len(self.edited.files)} photos changed, {found.gained.sum():,} pixels → "
            f"{self.place}{there} ({', '.join(whose)})"
        )
        names = dict(enumerate(self.base.classes)) | {IGNORE: "ignored"}
        changed = [
            f"{name} +{found.gained[number]:,} −{found.lost[number]:,}"
            for number, name in names.items()
            if found.gained[number] or found.lost[number]
        ]
        yield f"pixels: {', '.join(changed)}"
        if self.chosen:
            yield self.chosen
        if rest := self.base.filled if isinstance(self.base, FilledStore) else ():
            yield f"{counted(len(rest), 'photo')} without a label there: from {PseudoStore.place} ({some(rest, NAMED)})"
        if gone := self.edited.gone:
            yield f"{counted(len(gone), 'mask')} left out, of photos that the data set has no more: {some(gone, NAMED)}"
        if found.dropped:
            many = ", ".join(f"{count:,} pixels of {name}" for name, count in sorted(found.dropped.items()))
            yield f"background, because these classes were dropped (dataset.drop): {many}"
        if found.kept:
            yield f"{found.kept:,} ignored pixels came back as background, without a label for them: still ignored"
        if found.cleared:
            yield f"{found.cleared:,} ignored pixels are background now: the masks have a label for ignored ones"
        if found.as_before:
            yield f"{counted(len(found.as_before), 'mask')} as before the corrections in {self.base.path}: these stay"
        if found.stay:
            many = "1 mask corrected by hand before stays as it is"
            if len(found.stay) > 1:
                many = f"{len(found.stay)} masks corrected by hand before stay as they are"
            yield f"{many}: nobody has edited what came back ({some(found.stay, NAMED)})"
        if newer := [name for name in (*found.repainted, *found.unsure) if name in found.labels]:
            many = f"{counted(len(newer), 'mask')} corrected by hand before replaced by a newer one"
            yield f"{many}: {some(newer, NAMED)}"
        if found.left_out:
            yield f"{counted(len(found.left_out), 'mask')} left out that nobody has edited (--edited-only)"
        yield from self._held_out()
        yield from self._edited_alone()
        yield from self._next()

    def _whose(self) -> list[str]:
        """``2 of them corrected by hand``, ``3 by otsu`` …, those of the base among them."""
        parts = {"corrected by hand": len(self.marked[BY_HAND])}
        parts["taken from a network's masks"] = len(self.marked[FROM_NETWORK])
        others = Counter(_by(source) for source in self.marked[FROM_LABELS].values())
        found = [(count, words) for words, count in (parts | dict(sorted(others.items()))).items() if count]
        return [f"{count} {'' if number else 'of them '}{words}" for number, (count, words) in enumerate(found)]

    def _held_out(self) -> Iterator[str]:
        if self.found.held_out:
            yield (
                f"{counted(len(self.found.held_out), f'{HELD_OUT} photo')} keep their labels: with a network's masks "
                "there, the agreement of student and labels would tell nothing"
            )
        held_out = [name for name in self.found.labels if self.records[name].split == HELD_OUT]
        painted = self.found.count(HAND, held_out)
        parts = [f"{counted(painted, f'{HELD_OUT} photo')} corrected by hand"] if painted else []
        if others := len(held_out) - painted:
            parts.append(f"{counted(others, f'{HELD_OUT} photo')} {_by(f'{BY}{self.made_by}' if self.made_by else '')}")
        if parts:
            yield (
                f"{' and '.join(parts)}: the student's agreement is measured on them, "
                "so do not compare it with that of earlier runs"
            )

    def _edited_alone(self) -> Iterator[str]:
        """The command that leaves out the masks that nobody has edited, if any were taken."""
        method = f"{BY}{self.made_by}"
        origins = [each for each in self.found.origins.values() if each.kind != HAND and each.source != method]
        if origins:
            many = f"{counted(len(origins), 'mask')} {'was' if len(origins) == 1 else 'were'} taken"
            alone = f"wsss labels import {shlex.quote(str(self.source))} --edited-only"
            yield f"{many} that nobody has edited; for the edited ones alone: {alone}"

    def _next(self) -> Iterator[str]:
        yield from how_to_train(self.place, self.base, bool(self.marked[BY_HAND]) or not self.made_by)


def told_again(source: Path, there: PseudoStore, made_by: str, since: Sequence[Path] = ()) -> Iterator[str]:
    """The message where `source` has been imported before, as the store `there`; over that, those `since`."""
    known = [f"{many} {words}" for words, many in whose(there.attributes).items()]
    parts = [f"{len(there.ids)} photos", *known]
    yield f"labels: {source} → {there.path}, which is there already ({', '.join(parts)})"
    if since:
        yield f"imported over it since, with other corrections: {', '.join(map(str, since))}"
    yield f"base: {there.attributes['base']} (to import it over another one: --base)"
    yield from how_to_train([there.path, *since][-1], there, bool(there.by_hand) or not made_by)


def how_to_train(place: Path, base: PseudoStore, by_hand: bool) -> Iterator[str]:
    """The command that trains on the store at `place`, and a reason. `by_hand`: whether a person has corrected labels;
    another method's may be overruled, as those of the pipeline are.
    """
    rounds, why = "", ""
    overrule = " -S ++distill.relabel.overrule=false" if by_hand else ""
    if overrule:
        why = "overrule: false, or the first of two rounds may overrule what was corrected"
    if "overrule" in base.attributes:  # what a first round's student has made
        rounds = " -S distill.rounds=1"
        why = "one round, because the student of a first one has corrected these before"
    elif again := _rounds_of_recipe(Path("params.yaml")):
        rounds = f" -S distill.rounds={again}"
        why += f"{'; ' * bool(why)}rounds: {again}, as your recipe has; leave it away to train one, as params.yaml says"
    yield f"to train on them: dvc exp run gallery -S ++distill.labels={place}{overrule}{rounds}"
    if why:
        yield f"({why})"


def _rounds_of_recipe(params: Path) -> int:
    """The rounds of the recipe that the settings `params` were made of, where they have one round alone and the recipe
    has more; else 0.
    """
    try:
        settings = read_settings(params)
        wanted = YAML(typ="safe").load(read_recipe(settings["gallery"]["recipe"]))["distill"]["rounds"]
        return int(wanted) if settings["distill"]["rounds"] == 1 < wanted else 0
    except (WsssError, OSError, KeyError, TypeError):
        return 0


def _by(source: str) -> str:
    return source if source.startswith(BY) else "from other labels"
