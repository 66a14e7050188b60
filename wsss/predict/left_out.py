"""Pictures below a folder of photos that are none of them: what wsss has written there, masks, and copies.

Masks are those of the settings in the present folder, and those of VOC's layout and CVAT's archives, unpacked:
``SegmentationClass`` and ``SegmentationObject`` beside ``labelmap.txt`` or ``JPEGImages``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wsss.core.folders import MARK
from wsss.core.log import say
from wsss.data.ids import PHOTO_SUFFIXES
from wsss.formats.problems import some
from wsss.predict.project import section_of
from wsss.predict.written import SETTINGS, WRITTEN, is_filled

PREDICTED, OWN, MASKS, COPIES = "what wsss predict wrote in", "what wsss wrote in", "masks in", "copies of photos in"
MASK_FOLDERS = ("SegmentationClass", "SegmentationObject")
LABELMAP, PHOTOS = "labelmap.txt", "JPEGImages"


def without_own(source: Path, files: Sequence[Path]) -> list[Path]:
    """`files` below `source`, without these pictures; a line for each kind of them names their folders."""
    kinds = _folders(source, files)
    names = {path.stem for path in _photos(files) if not any(folder in kinds for folder in _above(path, source))}
    kept: list[Path] = []
    left: dict[str, set[Path]] = {PREDICTED: set(), OWN: set(), MASKS: set(), COPIES: set()}
    for path in files:
        own = [kinds[folder] for folder in _above(path, source) if folder in kinds]
        own = [(kind, folder) for kind, folder in own if kind != COPIES or path.stem in names]
        if not own:
            kept.append(path)
        elif path.suffix.lower() in PHOTO_SUFFIXES:
            kind = min((kind for kind, _ in own), key=list(left).index)
            left[kind].add([folder for each, folder in own if each == kind][-1])
    for kind, folders in left.items():
        if folders:
            say(f"left out: {kind} {some(map(str, sorted(folders)))}")
    return kept


def _folders(source: Path, files: Sequence[Path]) -> Mapping[Path, tuple[str, Path]]:
    """By folder of such pictures, their kind and the folder that people know them by."""
    kinds: dict[Path, tuple[str, Path]] = {}
    for folder in _masks(source, files):
        kinds[folder] = (MASKS, folder)
    for path in files:
        folder = path.parent
        if path.name == LABELMAP and folder != source and (folder / MASK_FOLDERS[0]).is_dir():
            kinds[folder / PHOTOS] = (COPIES, folder / PHOTOS)
        if path.name == SETTINGS and is_filled(folder):
            kinds |= {folder / name: (PREDICTED, folder) for name in WRITTEN}
        if path.name == MARK and folder != source:
            kinds[folder] = (OWN, folder)
    return kinds


def _masks(source: Path, files: Sequence[Path]) -> Iterator[Path]:
    for folder in {path.parent for path in files if path.suffix.lower() == ".png"}:
        for above in _above(folder / "mask", source)[:-1]:
            beside = (above.parent / LABELMAP).is_file() or (above.parent / PHOTOS).is_dir()
            if above.name in MASK_FOLDERS and beside:
                yield above
    settings = section_of(Path(), "dataset")
    if settings.get("masks") and settings.get("root"):
        masks = (Path(str(settings["root"])) / str(settings["masks"])).resolve()
        if masks.is_relative_to(source.resolve()) and masks != source.resolve():
            yield source / masks.relative_to(source.resolve())


def _photos(files: Sequence[Path]) -> Iterator[Path]:
    return (path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)


def _above(path: Path, source: Path) -> Sequence[Path]:
    """The folders that `path` lies in, `source` last."""
    return path.parents[: len(path.relative_to(source).parts)]
