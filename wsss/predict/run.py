"""Fills the folder of `wsss predict`: photos are segmented here, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wsss.core.errors import UserError
from wsss.core.executor import run_counted, workers_for
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.predict.chunks import CHUNK, Work, segment_chunk, segment_photo
from wsss.predict.collect import FoundPhoto
from wsss.predict.folder import Folder
from wsss.predict.made import Made
from wsss.predict.redraw import redraw
from wsss.predict.segmenter import Segmenter


@dataclass
class Outcome:
    """Ids that were predicted, ids that were there already, and by id what was wrong with the others. `stayed`: those
    there that were to be made again, but whose mask a person has changed.
    """

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, UserError] = field(default_factory=dict)
    stayed: list[str] = field(default_factory=list)

    def add(self, photo: FoundPhoto, made: Made | UserError | None, folder: Folder) -> None:
        """Write what `photo` gave into `folder`; None: it was there."""
        if isinstance(made, UserError):
            self.failed[photo.id] = made
            return
        put = made is not None and folder.put(photo.id, photo.name, made)
        if made is not None and not put:
            self.stayed.append(photo.id)
        (self.done if put else self.kept).append(photo.id)

    def ordered(self, photos: Sequence[FoundPhoto]) -> Outcome:
        """The same in the order of `photos`, whoever came first."""
        names = [photo.id for photo in photos]
        done, kept = set(self.done), set(self.kept)
        return Outcome(
            [name for name in names if name in done],
            [name for name in names if name in kept],
            {name: self.failed[name] for name in names if name in self.failed},
            sorted(self.stayed, key=names.index),
        )


def run(segmenter: Segmenter, folder: Folder, photos: Sequence[FoundPhoto], work: Work) -> Outcome:
    """Predict what `folder` does not hold yet. The table is written also when a signal stops the work."""
    outcome = Outcome()
    try:
        with Progress("predict", len(photos), "photos") as progress:
            for photo in redraw_edited(folder, photos, work, outcome, progress):
                check_stop()
                progress.advance(0, photo.id)
                before = folder.known(photo.id, work.overlay_width is not None)
                outcome.add(photo, segment_photo(segmenter, work, photo, before), folder)
                progress.advance()
    finally:
        folder.write_table()
    return outcome.ordered(photos)


def run_elsewhere(folder: Folder, photos: Sequence[FoundPhoto], work: Work) -> Outcome:
    """`run` on the workers of a cluster. They send what they have made, and this process alone writes it."""
    overlays = work.overlay_width is not None
    outcome = Outcome()
    try:
        with workers_for() as workers, Progress("predict", len(photos), "photos") as progress:
            rest = redraw_edited(folder, photos, work, outcome, progress)
            chunks = [rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK)]
            tasks = ((work, chunk, [folder.known(each.id, overlays) for each in chunk]) for chunk in chunks)
            for number, found in run_counted(workers, segment_chunk, tasks, list(map(len, chunks)), progress):
                for photo, made in zip(chunks[number], found, strict=True):
                    outcome.add(photo, made, folder)
    finally:
        folder.write_table()
    return outcome.ordered(photos)


def redraw_edited(
    folder: Folder, photos: Sequence[FoundPhoto], work: Work, outcome: Outcome, progress: Progress
) -> list[FoundPhoto]:
    """Show the masks that a person has edited as they are now; return the photos that are left to be predicted."""
    edited = set(folder.edited(photo.id for photo in photos))
    rest = []
    for photo in photos:
        try:
            check_stop()
            if photo.id not in edited or not redraw(folder, photo, work):
                rest.append(photo)
                continue
            outcome.kept.append(photo.id)
        except UserError as error:
            outcome.failed[photo.id] = error
        progress.advance(1, photo.id)
    return rest
