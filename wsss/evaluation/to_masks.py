"""Makes masks of a data set out of masks that come with a label map, in whatever colours: their labels have names.

What scores reads masks by numbers, or by VOC's colours of these; no label map is read then.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ConfigDict

from wsss.core.atomic import write_text
from wsss.core.errors import UserError, WsssError
from wsss.core.folders import atomic_dir
from wsss.core.interrupt import check_stop
from wsss.core.log import Progress
from wsss.core.params import Settings, load
from wsss.core.words import counted
from wsss.data.codec import open_image, read_file
from wsss.data.images import save_mask_png
from wsss.data.index import read_index
from wsss.data.origins import HAND, ORIGINS, Origin, digest, origins_text
from wsss.evaluation.before import before
from wsss.evaluation.correction import HELD_OUT
from wsss.evaluation.edited_masks import masks_in, unpacked
from wsss.evaluation.exported import known_exports
from wsss.evaluation.import_told import NAMED, warn_unknown
from wsss.evaluation.mask_names import mask_folder
from wsss.formats.labelmap import LABELMAP, beside, labelmap_text
from wsss.formats.problems import some
from wsss.formats.registry import scan
from wsss.formats.settings import DatasetSettings
from wsss.predict.written import is_filled

INDEX = Path("artifacts/dataset")


class Params(Settings):
    """What this command reads of params.yaml."""

    model_config = ConfigDict(extra="ignore")

    dataset: DatasetSettings


def to_masks(source: Path, params: Path, out: Path, exported: Path | None = None, edited_only: bool = False) -> str:
    """Write the masks in `source`, a folder or a zip with a label map, as the new folder `out`: indexed PNGs with the
    names of their photos and the numbers of all classes of the data set, dropped ones among them, their label map, and
    the origins of those that are still as wsss has written them: of what is `exported`, too; `edited_only`: without
    these. Returns the message to print.

    Raises `UserError` for labels that are no class, masks of no photo, if anything is in `out`, and if no mask is left.
    """
    settings = load(params, Params).dataset
    root = Path(settings.root)
    if not source.exists():
        raise UserError(source, "no such file or folder", "give what CVAT, or wsss export, has written")
    if out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(out, "is there already, and nothing is replaced", "give a new folder")
    there = bool(settings.masks) and (root / settings.masks).is_dir()
    raw = scan(settings if there else settings.model_copy(update={"masks": ""}))
    ids, classes = [item.id for item in raw.items], raw.numbering or raw.classes
    origins: dict[str, Origin] = {}
    left = 0
    with unpacked(source) as folder:
        if beside(mask_folder(folder), LABELMAP) is None and not is_filled(folder):
            what = f"has no {LABELMAP} beside its masks, so nothing says which colour is which class"
            fix = "put that of the archive there; masks by the numbers of the classes can be used as they are"
            raise UserError(source, what, fix)
        known = known_exports(folder, exported, ids, classes)
        masks = masks_in(folder, source, ids, classes, {}, known, before(folder, exported, ids, classes))
        with atomic_dir(out) as made, Progress("masks", len(masks.files), "masks") as progress:
            for name, path in sorted(masks.files.items()):
                check_stop()
                image = open_image(read_file(path), path, ("PNG",))
                size = (image.height, image.width)  # whether it is the photo's, `wsss check` says
                mask = masks.mask(name, size)
                progress.advance()
                if edited_only and masks.known.untouched(name, mask):
                    left += 1
                    continue
                save_mask_png(made / f"{name}.png", mask)
                if (of := masks.known.origin(name, mask)) and of.kind != HAND:
                    origins[name] = Origin(of.kind, of.source, digest(mask))
            if left == len(masks.files):
                what = f"all of {counted(left, 'mask')} are still as wsss has written them: --edited-only leaves none"
                raise UserError(source, what, "export again what was edited, or leave --edited-only away")
            write_text(made / LABELMAP, labelmap_text(classes))
            if origins:
                write_text(made / ORIGINS, origins_text(origins))
    warn_unknown(source, [name for name in masks.files if name not in known.written], len(masks.files))
    untouched = f" ({len(origins)} of them still as wsss has written them: no truth)" if origins else ""
    if masks.gone:
        untouched += f" (without those of photos that the data set has no more: {some(masks.gone, NAMED)})"
    untouched += f" (without {left} that nobody has edited)" if left else ""
    next_step = _next(root, settings.masks, out, params)
    told = f"labels: {counted(len(masks.files) - left, 'mask')} → {out}{untouched}; next: {next_step}"
    return told + _score_nothing([path.relative_to(out).with_suffix("").as_posix() for path in out.rglob("*.png")])


def _score_nothing(names: Sequence[str]) -> str:
    """What is said where none of the photos `names` is held out, in the data set that this project has indexed."""
    with suppress(WsssError):
        index = read_index(INDEX)
        splits = {record.id: record.split for record in index.records}
        held_out = [name for name, split in splits.items() if split == HELD_OUT]
        if held_out and {splits.get(name) for name in names} == {"train"}:
            correct = f"for the accuracy, correct masks of {HELD_OUT} photos: {some(held_out)}"
            return f"\nall of them are of train photos, which score nothing; {correct}"
    return ""


def _next(root: Path, masks: str, out: Path, params: Path) -> str:
    """What to do with the masks in `out`, where the data set has its own in `masks` below `root`, or none."""
    place = out.resolve()
    if masks and place == (root / masks).resolve():
        return f"wsss check {params}"
    if masks and (root / masks).is_dir():
        return f"put these files in the place of those in {root / masks}, and run wsss check {params}"
    if not place.is_relative_to(root.resolve()):
        return f"put this folder into {root}, set dataset.masks to its name, and run wsss check {params}"
    return f"set dataset.masks to {place.relative_to(root.resolve()).as_posix()}, and run wsss check {params}"
