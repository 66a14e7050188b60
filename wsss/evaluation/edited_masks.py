"""Masks that a person has edited elsewhere: which photos they are of, and which class each colour is.

They come in a folder or an archive of CVAT's "Segmentation mask 1.1": ``SegmentationClass/<photo>.png`` beside a
``labelmap.txt``. A folder of masks alone is as good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from wsss.core.errors import UserError, which_id
from wsss.core.interrupt import check_stop
from wsss.core.unpack import Limits, unpack
from wsss.data.codec import broken, open_image, own_limits, read_file
from wsss.data.images import load_mask, voc_palette
from wsss.data.index import IGNORE, Record
from wsss.data.mask_values import ids_of_colours, value_counts
from wsss.data.origins import HAND, LABELS, Origin, digest
from wsss.evaluation.before import NEVER, Before
from wsss.evaluation.exported import NOTHING, Known
from wsss.evaluation.mask_labels import MaskLabels, labels_beside
from wsss.evaluation.mask_names import mask_folder, names_of_masks, photo_names, predicted
from wsss.formats.labelmap import EXPORTED, LABELMAP
from wsss.formats.problems import some

MASKS, LISTS = EXPORTED, "ImageSets/Segmentation"
LIMITS = Limits(files=1_000_000, size=1 << 38)
NAMED = 5
"""Photos that an error names; the rest are counted."""
BY = "by "
"""How the source of a mask begins that another method has made; its name follows."""
BROKEN = ("damaged or truncated", "not an image")
"""How the errors of `broken` begin, whose fix is for photos."""


@dataclass(frozen=True)
class EditedMasks:
    """The `files` of the masks by photo id; the `labels` that came with them. `without`: photos that were there, and
    have come back without a mask. `known`: the masks that wsss has written. `gone`: photos that the data set had, whose
    masks are left out.
    """

    files: Mapping[str, Path]
    labels: MaskLabels
    without: tuple[str, ...]
    known: Known
    gone: tuple[str, ...] = ()

    @property
    def knows_ignored(self) -> bool:
        """Whether there is a label for 255."""
        return self.labels.knows_ignored

    def mask(self, name: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """(H, W) uint8 of the photo `name`, 0..K and 255; background where a class was dropped. `size`: (H, W) of the
        photo's file.

        Raises `UserError` for another size, and for values, colours or labels that are no class.
        """
        return self.labels.without_dropped(self.written(name, size))

    def written(self, name: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The same with the ids of `MaskLabels` for classes that were dropped, as wsss has exported the mask once."""
        path = self.files[name]
        try:
            return self._read(path, size)
        except UserError as error:
            if not error.what.startswith(BROKEN):
                raise
            fix = "export it again; without this mask its photo keeps its label"
            raise UserError(path, error.what, fix) from error

    def _read(self, path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        labels = self.labels
        if labels.colours is None:
            return load_mask(path, size, labels.classes)
        data = read_file(path)
        image = open_image(data, path, ("PNG",))
        if (image.height, image.width) != size:
            return load_mask(path, size, labels.classes)  # it says what is wrong
        try:
            with own_limits:
                image.load()
        except Exception as error:  # Pillow raises nearly anything on damaged bytes
            raise broken(data, path, error, ("PNG",)) from error
        if image.mode not in ("RGB", "RGBA"):
            found = self._of_palette(image)
            return load_mask(path, size, labels.classes) if found is None else labels.check(found, path)
        try:
            found = self._of_colours(np.asarray(image), path)
        except UserError as error:
            what = error.what.replace("the colours of the VOC palette", f"those of {LABELMAP}")
            raise UserError(path, what, f"give the pixels a label of {LABELMAP}, and export again") from error
        return labels.check(found, path)

    def _of_palette(self, image: Image.Image) -> npt.NDArray[np.uint8] | None:
        """The ids of an indexed or grey mask whose colours are the label map's: its own, or those of VOC for its
        numbers. None if neither are: then it holds class ids.
        """
        if image.mode not in ("P", "L"):
            return None
        numbers = np.asarray(image)
        used = np.flatnonzero(value_counts(numbers))
        own = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
        for palette in (own, voc_palette()):
            with suppress(UserError):
                if used[-1] < len(palette):
                    ids = np.zeros(256, np.uint8)
                    ids[used] = self._of_colours(palette[used][None], Path())[0]
                    return ids[numbers]
        return None

    def _of_colours(self, pixels: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
        return ids_of_colours(pixels, path, cast("npt.NDArray[np.uint8]", self.labels.colours))  # wider, for `NONE`

    def origin(self, name: str, mask: npt.NDArray[np.uint8], made_by: str = "") -> Origin:
        """Of the `mask` of the photo `name`: a person's, or that of the method `made_by`, unless it is as wsss has
        written it.
        """
        if written := self.known.origin(name, mask):
            return written
        found = digest(mask)
        return Origin(LABELS, f"{BY}{made_by}", found) if made_by else Origin(HAND, "", found)

    def has_label_for_ignored(self, records: Mapping[str, Record]) -> bool:
        """Whether the masks have a label for 255: in the label map, or in any mask."""
        return self.knows_ignored or any(self._has_ignored(name, records[name].own_size) for name in self.files)

    def _has_ignored(self, name: str, size: tuple[int, int]) -> bool:
        check_stop()
        return bool((self.mask(name, size) == IGNORE).any())


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """The folder `source`, or that of what is in the zip `source`; inside, errors name the archive."""
    if source.is_dir():
        yield predicted(source)
        return
    if source.suffix != ".zip" or not source.is_file():
        raise UserError(source, "no folder and no .zip of masks", "give what CVAT has exported, or its folder")
    with TemporaryDirectory(prefix="wsss-") as temporary:
        folder = Path(temporary) / "edited"
        unpack(source, folder, LIMITS)
        try:
            yield folder
        except UserError as error:  # a person knows the archive, and not where it was unpacked
            raise UserError(error.where.replace(str(folder), str(source)), error.what, error.fix) from error


def masks_in(
    folder: Path,
    source: Path,
    ids: Sequence[str],
    classes: Sequence[str],
    splits: Mapping[str, str],
    known: Known = NOTHING,
    before: Before = NEVER,
) -> EditedMasks:
    """The masks in `folder`, which is what is in `source`, of the photos `ids`: an archive of CVAT or `wsss export`, a
    folder of masks, or one of `wsss predict`.

    `splits`: of all photos of the data set, by id, to say where a photo is that is not among `ids`. `known`: what is
    known of exports of these photos. `before`: photos and classes that the data set had, and has no more.
    Raises `UserError` if there is no mask of these, for masks of unknown photos, and for two masks of one photo.
    """
    top = folder.parent if folder.name == MASKS else folder
    masks = mask_folder(folder)
    paths = sorted(masks.rglob("*.png"))
    if not paths:
        raise UserError(source, "holds no mask (expected .png)", f"give a folder or a .zip with {MASKS} in it")
    files: dict[str, Path] = {}
    # A mask without its folders may be of a photo that is gone, where another one has its name.
    names, all_names = photo_names([*ids, *before.photos]), photo_names([*splits])
    unknown, others, gone = [], False, []
    called = names_of_masks(masks)
    for path in paths:
        name = called(path)
        found = names.get(name)
        if found in before.photos:
            gone.append(found)
        elif found is None:
            other = all_names.get(name)
            others |= other is not None
            unknown.append(f"{name} (of split {splits[other]})" if other else f"{name}{which_id(name, ids)}")
        elif found in files:
            both = " and ".join(one.relative_to(masks).as_posix() for one in (files[found], path))
            raise UserError(source, f"two masks are of photo {found}: {both}", "remove one of them")
        else:
            files[found] = path
    if unknown:
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        what = f"{len(unknown)} of {len(paths)} masks fit no photo of the labels: {', '.join(unknown[:NAMED])}{more}"
        fix = "name them like their photos, or remove them"
        if others:
            fix = "make labels of these photos first: dvc repro correct; or remove these masks"
        raise UserError(source, what, fix)
    if not files:
        what = f"all masks are of photos that the data set has not any more: {some(gone, NAMED)}"
        raise UserError(source, what, "give masks of its photos; or index it anew: python -m pipeline.index")
    without = tuple(sorted({names[name] for name in _listed(top) if name in names} - {*files, *before.photos}))
    labels = labels_beside(masks, classes, before.classes)
    known = replace(known, classes=labels.numbers) if known.classes else known
    return EditedMasks(files, labels, without, known, tuple(sorted({*gone})))


def _listed(folder: Path) -> list[str]:
    """Names of all photos of the archive, those without a mask among them."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((folder / LISTS).glob("*.txt"))]
    return [line.strip().strip('"') for text in texts for line in text.splitlines()]
