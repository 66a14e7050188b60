"""`python -m manual.sixty MSRC_V2 FOLDER`: the photos of the tutorial, with the mistakes that it is about.

Twelve photos of five scenes of MSRC-v2 each, in one flat folder: one is cut off, one tag is misspelt, one row has no
photo, and two photos stand there twice. ``--mend`` puts the whole photo back; ``--masks`` adds masks in the numbering
of the seven classes; ``--new`` writes six photos that are none of them.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import click
import numpy as np
from PIL import Image

from wsss.data.images import save_mask_png

CLASSES = ("aeroplane", "building", "car", "cow", "flower", "sheep", "tree")
PHOTOS = {
    "aeroplane": "4_1 4_10 4_11 4_12 4_13 4_14 4_15 4_16 4_17 4_18 4_19 4_2",
    "car": "17_12 17_15 17_16 17_17 17_18 17_19 17_2 17_21 17_22 17_23 17_26 17_28",
    "cow": "1_10 1_11 1_12 1_13 1_14 1_15 1_16 1_17 1_18 1_19 1_20 1_21",
    "flower": "10_1 10_10 10_11 10_12 10_13 10_14 10_15 10_16 10_17 10_18 10_19 10_2",
    "sheep": "9_10 1_27 1_28 1_29 1_30 9_1 9_10 9_11 9_12 9_13 9_14 1_27",
}
NEW = {"aeroplane": "4_20", "car": "17_5", "cow": "1_22", "dog": "16_1", "flower": "10_20", "sheep": "9_16"}
CUT = "cow07"
IGNORED = 255


def ids() -> dict[str, str]:
    """Name of each photo in the tutorial → its id in MSRC-v2."""
    scenes = ((scene, number, key) for scene, keys in PHOTOS.items() for number, key in enumerate(keys.split(), 1))
    return {f"{scene}{number:02}": f"msrc_{key}" for scene, number, key in scenes}


def photo(root: Path, key: str) -> Path:
    return root / "JPEGImages" / f"{key}.jpg"


def write_photos(root: Path, folder: Path) -> None:
    """Photos, tags.csv and classes.txt, with their mistakes."""
    with (root / "tags.csv").open(encoding="utf-8", newline="") as file:
        tags = {row["id"]: row["tags"].split("|") for row in csv.DictReader(file)}
    folder.mkdir(parents=True)
    lines = ["filename,tags"]
    for name, key in ids().items():
        shutil.copyfile(photo(root, key), folder / f"{name}.jpg")
        lines.append(f"{name}.jpg,{'|'.join(tag for tag in tags[key] if tag in CLASSES)}")
    whole = (folder / f"{CUT}.jpg").read_bytes()
    (folder / f"{CUT}.jpg").write_bytes(whole[: len(whole) // 2])
    lines[52] = lines[52].replace(",sheep", ",shep")
    lines.append("sheep13.jpg,sheep")
    (folder / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")


def write_masks(root: Path, folder: Path) -> None:
    """Masks of the sixty photos: 0 for every class that is none of the seven, 255 stays."""
    known = (root / "classes.txt").read_text(encoding="utf-8").split()
    table = np.zeros(256, np.uint8)
    table[IGNORED] = IGNORED
    for number, name in enumerate(known):
        table[number] = CLASSES.index(name) + 1 if name in CLASSES else 0
    (folder / "masks").mkdir()
    for name, key in ids().items():
        with Image.open(root / "SegmentationClass" / f"{key}.png") as mask:
            save_mask_png(folder / "masks" / f"{name}.png", table[np.asarray(mask)])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("root", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--mend", is_flag=True, help="put the photo that is cut off back")
@click.option("--masks", is_flag=True, help="add the masks")
@click.option("--new", is_flag=True, help="six other photos")
def main(root: Path, folder: Path, mend: bool, masks: bool, new: bool) -> None:
    """Write photos of MSRC-v2 at ROOT into FOLDER."""
    if mend:
        shutil.copyfile(photo(root, ids()[CUT]), folder / f"{CUT}.jpg")
    elif masks:
        write_masks(root, folder)
    elif new:
        folder.mkdir(parents=True)
        for name, key in NEW.items():
            shutil.copyfile(photo(root, f"msrc_{key}"), folder / f"{name}.jpg")
    else:
        write_photos(root, folder)


if __name__ == "__main__":
    main()
