"""`wsss predict`: masks, overlays and a table of areas for photos, with a trained network or its ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsss.core.atomic import explained_os_errors
from wsss.core.command import json_option, json_text, people_command, show
from wsss.core.errors import UserError, raise_all
from wsss.core.executor import elsewhere, run_counted, workers_for
from wsss.core.interrupt import catch_signals, check_stop
from wsss.core.lock import locked
from wsss.core.log import Progress, say
from wsss.data.codec import read_file
from wsss.data.images import MAX_MEGAPIXELS
from wsss.predict.collect import FoundPhoto, find_photos
from wsss.predict.folder import TABLE, Folder, Made, make
from wsss.predict.view import TILE, checked_scales

if TYPE_CHECKING:
    from wsss.predict.how import How
    from wsss.predict.known_tags import KnownTags
    from wsss.predict.segmenter import Segmenter


@dataclass
class Outcome:
    """Ids that were predicted, ids that were there already, and what was wrong with the others."""

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[UserError] = field(default_factory=list)


@people_command
@click.argument("model", metavar="MODEL")
@click.argument("photos", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="folder of the results")
@click.option("--scales", help="test-time scales that are averaged, e.g. 0.75,1,1.25")
@click.option("--flip/--no-flip", default=None, help="average the photo and its horizontal flip")
@click.option("--crf/--no-crf", default=None, help="refine by a dense CRF, with the model's settings, or recipe msrc's")
@click.option(
    "--tags", type=click.Path(path_type=Path), help="table of tags: masks show no class that it denies a photo"
)
@click.option("--as-is", is_flag=True, help="photos at their own size, scale 1, no flip, no CRF unless asked for")
@click.option("--overlays", is_flag=True, help="also write the masks laid over the photos")
@click.option("--overlay-width", type=click.IntRange(min=16), default=1024, help="columns of an overlay, at most")
@click.option(
    "--tile", type=click.IntRange(min=128), default=TILE, help="side of the tiles that large photos are cut into"
)
@click.option(
    "--max-megapixels",
    type=click.FloatRange(min=0, min_open=True),
    default=MAX_MEGAPIXELS,
    help="photos of more are refused",
)
@click.option("--force", is_flag=True, help="replace predictions of another model or other settings")
@json_option
def main(
    model: str,
    photos: tuple[Path, ...],
    out: Path,
    scales: str | None,
    flip: bool | None,
    crf: bool | None,
    tags: Path | None,
    as_is: bool,
    overlays: bool,
    overlay_width: int,
    tile: int,
    max_megapixels: float,
    force: bool,
    as_json: bool,
) -> str:
    """Segment PHOTOS (files, or folders with all below them) with MODEL: a student's or an OSTE's .pt, an .onnx, a
    package (wsss export --to package), or one of the hub (hf://OWNER/NAME).

    Writes masks/ID.png (indexed, VOC palette), predictions.csv (area of each class, mean confidence) and, with
    --overlays, overlays/ID.jpg. Run again, it does what is missing. Photos that cannot be read are listed at the end;
    the exit code is 2 then.

    By default it does what the model was evaluated with: photos are brought to the size of those it was trained on,
    with its test-time scales, flip and CRF. Masks have the photos' own sizes. Options override single parts.
    """
    wanted = None if scales is None else parse_scales(scales)
    if same := [source for source in photos if source.is_dir() and source.resolve() == out.resolve()]:
        # A rerun would take the masks for photos.
        raise UserError(out, "is a folder of photos", f"choose another -o, e.g. {same[0] / 'predicted'}")
    found = find_photos(photos)
    from wsss.predict.how import explained, resolve  # loads torch: wrong arguments are told without waiting for it
    from wsss.predict.hub import local_path
    from wsss.predict.known_tags import fingerprint, read_known_tags
    from wsss.predict.segmenter import Segmenter

    segmenter = Segmenter.load(model, tile)
    how = resolve(segmenter.network, wanted, flip, crf, as_is)
    say(f"predict: {explained(segmenter.network, how)}")
    named = {"model": segmenter.fingerprint, "classes": list(segmenter.classes)}
    known = {} if tags is None else read_known_tags(tags, found, segmenter.classes)
    if tags is not None:
        named["tags"] = fingerprint(known)
        say(f"predict: tags are known of {len(known)} of {len(found)} photos")
    folder = Folder(out, {**named, **how.plain(), "tile": tile})
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / ".lock", "another wsss predict is writing here"), catch_signals():
            folder.open(force)
            width = overlay_width if overlays else None
            if elsewhere():
                outcome = run_elsewhere(local_path(model), tile, folder, found, how, width, max_megapixels, known)
            else:
                outcome = run(segmenter, folder, found, how, width, max_megapixels, known)
    show(report_json(out, folder, outcome) if as_json else report_text(out, outcome))
    raise_all(outcome.failed)
    return ""


def run(
    segmenter: Segmenter,
    folder: Folder,
    photos: Sequence[FoundPhoto],
    how: How,
    overlay_width: int | None,
    max_megapixels: float,
    known: KnownTags,
) -> Outcome:
    """Predict what `folder` does not hold yet. The table is written also when a signal stops the work."""
    from wsss.predict.segmenter import decode_photo

    outcome = Outcome()
    try:
        with Progress("predict", len(photos), "photos") as progress:
            for photo in photos:
                check_stop()
                progress.advance(0, photo.id)
                try:
                    data = read_file(photo.path)
                    digest = hashlib.sha256(data).hexdigest()
                    kept = folder.has(photo.id, digest, overlay_width is not None)
                    opened = None if kept else decode_photo(data, photo.path, how, max_megapixels)
                except UserError as error:
                    outcome.failed.append(error)
                    progress.advance()
                    continue
                if opened is not None:
                    segmented = segmenter.segment(opened, how, str(photo.path), known.get(photo.id))
                    folder.put(photo.id, photo.name, make(segmented, digest, overlay_width))
                (outcome.done if opened is not None else outcome.kept).append(photo.id)
                progress.advance()
    finally:
        folder.write_table()
    return outcome


def run_elsewhere(
    model: Path,
    tile: int,
    folder: Folder,
    photos: Sequence[FoundPhoto],
    how: How,
    overlay_width: int | None,
    max_megapixels: float,
    known: KnownTags,
) -> Outcome:
    """`run` on the workers of a cluster. They send what they have made, and this process alone writes it."""
    import torch

    from wsss.predict.chunks import CHUNK, Work, segment_chunk

    work = Work(model, tile, how, overlay_width, max_megapixels, torch.get_num_threads(), known)
    chunks = [photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK)]
    tasks = ((work, chunk, [folder.known(each.id, overlay_width is not None) for each in chunk]) for chunk in chunks)
    results: dict[int, list[Made | UserError | None]] = {}
    try:
        with workers_for() as workers, Progress("predict", len(photos), "photos") as progress:
            for number, found in run_counted(workers, segment_chunk, tasks, list(map(len, chunks)), progress):
                results[number] = found
                for photo, made in zip(chunks[number], found, strict=True):
                    if isinstance(made, Made):
                        folder.put(photo.id, photo.name, made)
    finally:
        folder.write_table()
    outcome = Outcome()
    for number, found in sorted(results.items()):
        for photo, made in zip(chunks[number], found, strict=True):
            if isinstance(made, UserError):
                outcome.failed.append(made)
            else:
                (outcome.kept if made is None else outcome.done).append(photo.id)
    return outcome


def parse_scales(text: str) -> tuple[float, ...]:
    """``0.75,1,1.25`` → numbers. Raises `UserError`."""
    try:
        return checked_scales([float(part) for part in text.split(",")])
    except ValueError as error:
        raise UserError("--scales", f"found {text!r}, expected numbers", "give e.g. --scales 0.75,1,1.25") from error


def report_text(out: Path, outcome: Outcome) -> str:
    """One line that counts."""
    kept = f", {len(outcome.kept)} were there" if outcome.kept else ""
    failed = f", {len(outcome.failed)} cannot be read" if outcome.failed else ""
    return f"predict: {len(outcome.done)} photos{kept}{failed} → {out / TABLE}"


def report_json(out: Path, folder: Folder, outcome: Outcome) -> str:
    """The same for programs."""
    return json_text(
        {
            "out": str(out),
            "fingerprint": folder.fingerprint,
            "done": outcome.done,
            "kept": outcome.kept,
            "failed": [{"photo": error.where, "what": error.what, "fix": error.fix} for error in outcome.failed],
        }
    )
