"""`wsss predict`: masks, overlays and a table of areas for photos, with a trained network or its ONNX file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsss.commands.predict_told import report_json, report_text
from wsss.core.atomic import explained_os_errors
from wsss.core.command import json_option, people_command, show
from wsss.core.errors import UserError, raise_all
from wsss.core.executor import elsewhere
from wsss.core.interrupt import catch_signals
from wsss.core.lock import locked
from wsss.core.log import say, warn
from wsss.core.words import counted
from wsss.data.images import MAX_MEGAPIXELS
from wsss.formats.problems import some
from wsss.predict.collect import FoundPhoto, find_photos
from wsss.predict.folder import Folder
from wsss.predict.view import TILE, checked_scales

if TYPE_CHECKING:
    from wsss.predict.doubted import Doubted
    from wsss.predict.known_tags import TagSource

NO_TAGS = "none"
UNKNOWN = "no tags of these photos are known, so masks may show any class; if you have a table of them: --tags FILE"


@people_command
@click.argument("model", metavar="MODEL")
@click.argument("photos", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="folder of the results")
@click.option("--scales", help="test-time scales that are averaged, e.g. 0.75,1,1.25")
@click.option("--flip/--no-flip", default=None, help="average the photo and its horizontal flip")
@click.option("--crf/--no-crf", default=None, help="refine by a dense CRF, with the model's settings, or recipe msrc's")
@click.option(
    "--tags",
    metavar="FILE|none",
    help="table of tags: masks show no class that it denies a photo; default: the tags of the data set in artifacts, "
    "for photos of its own; none: without tags",
)
@click.option(
    "--min-area",
    metavar="PIXELS|PERCENT%",
    default="0",
    help="pieces of a class of fewer pixels (25), or of less of the photo (0.1%), become what surrounds them; default: "
    "masks as they were evaluated",
)
@click.option(
    "--keep-corrected",
    is_flag=True,
    help="masks that a person has corrected, in the labels that distill.labels names or that were imported since, as "
    "they are: not the network's",
)
@click.option("--as-is", is_flag=True, help="photos at their own size, scale 1, no flip, no CRF unless asked for")
@click.option("--overlays", is_flag=True, help="also write the masks laid over the photos, and a page")
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
@click.option(
    "--force", is_flag=True, help="replace predictions of another model or other settings, unless a mask was edited"
)
@json_option
def main(
    model: str,
    photos: tuple[Path, ...],
    out: Path,
    scales: str | None,
    flip: bool | None,
    crf: bool | None,
    tags: str | None,
    min_area: str,
    keep_corrected: bool,
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

    Writes masks/ID.png (indexed, VOC palette), predictions.csv (area of each class, mean confidence, why to look at
    the mask) and, with --overlays, overlays/ID.jpg and index.html, a page of them beside the photos, those to look at
    first: plain limits say which. Run again, it does what is missing. Masks that were edited since stay, and page and
    table show them as they are now. Photos that cannot be read are listed at the end; the exit code is 2 then.

    By default it does what the model was evaluated with: photos are brought to the size of those it was trained on,
    with its test-time scales, flip and CRF. Masks have the photos' own sizes. Options override single parts.
    """
    wanted = None if scales is None else parse_scales(scales)
    if same := [source for source in photos if source.is_dir() and source.resolve() == out.resolve()]:
        # `wsss init` would take masks below the photos for photos.
        beside = os.path.normpath(same[0] / ".." / "found")
        raise UserError(out, "is a folder of photos", f"choose a folder beside it, e.g. -o {shlex.quote(beside)}")
    found = find_photos(photos)
    from wsss.data.crumbs import parse_area

    area = parse_area(min_area)
    from torch import get_num_threads  # slow to load: wrong arguments are told before

    from wsss.export.known_network import known_network
    from wsss.predict.chunks import Work
    from wsss.predict.how import explained, resolve
    from wsss.predict.hub import local_path
    from wsss.predict.note import write_note
    from wsss.predict.own_corrected import NONE, corrected_masks
    from wsss.predict.own_labels import open_labels
    from wsss.predict.own_run import own_run
    from wsss.predict.own_set import own_set
    from wsss.predict.run import run, run_elsewhere
    from wsss.predict.segmenter import Segmenter
    from wsss.report.found_page import write_page

    where = local_path(model)
    segmenter = Segmenter.load(where, tile)
    how = resolve(segmenter.network, wanted, flip, crf, as_is)
    say(f"predict: {explained(segmenter.network, how)}")
    source = choose_tags(tags, found, segmenter.classes)
    limit = source is not None and tags != NO_TAGS
    own = own_set(found, segmenter.classes)
    corrected = corrected_masks(own, keep_corrected)
    if corrected is not None:
        say(f"predict: {corrected.told}")
        if corrected.told_others:
            warn(corrected.store.path, corrected.told_others, "to take others, name them in distill.labels")
    elif keep_corrected:
        say(f"predict: {NONE}")
    named = {"model": segmenter.fingerprint, "classes": list(segmenter.classes)}
    if source is not None and limit:
        named["tags"] = source.fingerprint
    if corrected is not None and keep_corrected:
        named["corrected"] = corrected.fingerprint
    folder = Folder(out, {**named, **how.plain(), "tile": tile, "min_area": str(area)})
    width = overlay_width if overlays else None
    known = {} if source is None else source.tags
    labels = None if source is None else open_labels(source.records, segmenter.classes)
    root = own_run(where)
    work = Work(where, tile, how, width, max_megapixels, get_num_threads(), known, limit, area, labels, corrected)
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        with locked(out / ".lock", "another wsss predict is writing here"), catch_signals():
            folder.open(force, page=overlays, photos=[each.id for each in found])
            outcome = run_elsewhere(folder, found, work) if elsewhere() else run(segmenter, folder, found, work)
            folder.split({} if own is None else own.splits)
            folder.name_least_sure()
            doubted = None if root is None else doubted_in(root, segmenter.classes)
            folder.finish()
            network = known_network(model, where, root, [folder.sha256(name) for name in folder.rows])
            made = {"model": network, "how": explained(segmenter.network, how)}
            made |= {"corrected": corrected.words} if corrected is not None and keep_corrected else {}
            write_note(out, folder.fingerprint, made, tags_told(source, limit, len(found)), len(outcome.done))
            page = write_page(folder, doubted) if overlays else None
    if outcome.stayed:
        what = f"{counted(len(outcome.stayed), 'mask')} edited by hand, so not made again for a photo that has changed"
        fix = "to have a mask made again, move it elsewhere, and give the same wsss predict"
        warn(out, f"{what}: {some(outcome.stayed)}", fix)
    as_text = (out, folder, outcome, page, doubted, corrected)
    show(report_json(out, folder, outcome, doubted) if as_json else report_text(*as_text))
    raise_all(list(outcome.failed.values()))
    return ""


def choose_tags(option: str | None, photos: Sequence[FoundPhoto], classes: Sequence[str]) -> TagSource | None:
    """Tags that are known of `photos`, and one line that says what becomes of them.

    From the table that `option` names, or else of the data set that the project in the present folder has indexed.
    These are given also if `option` is `NO_TAGS`: what to look at may depend on them.
    """
    from wsss.predict.known_tags import read_indexed_tags, read_known_tags

    if option not in (None, NO_TAGS):
        source = read_known_tags(Path(option), photos, classes)
        say(f"predict: {source.counted(len(photos))}")
        return source
    indexed = read_indexed_tags(photos, classes)
    if indexed is None:
        if option is None:
            say(f"predict: {UNKNOWN}")
        return None
    known = indexed.counted(len(photos))
    if option is None:
        say(f"predict: {known}; --tags {NO_TAGS} to leave them out")
    else:
        say(f"predict: masks may show any class, though {known}")
    return indexed


def tags_told(source: TagSource | None, limit: bool, photos: int) -> str:
    """What masks may show, for the note beside them."""
    if source is None:
        return "none known, masks may show any class"
    return source.counted(photos).removeprefix("tags of ") if limit else "not used, masks may show any class"


def doubted_in(root: Path, classes: Sequence[str]) -> Doubted | None:
    """The classes that the verdict of the project in `root` doubts; None without wsss[train], which reads reports."""
    try:
        from wsss.report.doubted import doubted_classes  # it loads what draws plots
    except ModuleNotFoundError:
        return None
    return doubted_classes(root, classes)


def parse_scales(text: str) -> tuple[float, ...]:
    """``0.75,1,1.25`` → numbers. Raises `UserError`."""
    try:
        return checked_scales([float(part) for part in text.split(",")])
    except ValueError as error:
        raise UserError("--scales", f"found {text!r}, expected numbers", "give e.g. --scales 0.75,1,1.25") from error
