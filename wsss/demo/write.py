"""Writes the demo set in the layout of a user's own photos: images, a tag file, and masks for val only."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from pydantic import Field

from wsss.core.params import Settings, unit
from wsss.data.images import save_mask_png
from wsss.data.index import TAG_SEPARATOR
from wsss.data.tables import csv_text
from wsss.demo.objects import CLASSES
from wsss.demo.scene import draw_scene

JPEG_QUALITY = 92


class DemoSettings(Settings):
    """Section `demo` of params.yaml."""

    train: int = Field(
        default=200, ge=1, le=100_000, description="scenes with tags only", json_schema_extra=unit("scenes")
    )
    val: int = Field(
        default=60, ge=1, le=100_000, description="scenes with tags and masks", json_schema_extra=unit("scenes")
    )
    size: int = Field(
        default=160, ge=48, le=1024, description="longer side of a scene", json_schema_extra=unit("pixels")
    )


def write_demo(out: Path, seed: int, settings: DemoSettings, drawn: Callable[[], None]) -> None:
    """Draw the set into the folder `out`; `drawn` is called after each scene.

    `images/*.jpg`, `tags.csv` (filename,tags,split), `classes.txt`, and `masks/*.png` of the val scenes. Masks of the
    train scenes are never written, so the demo is certain to be weakly supervised.
    """
    images, masks = out / "images", out / "masks"
    images.mkdir()
    masks.mkdir()
    rows = []
    for number in range(settings.train + settings.val):
        scene = draw_scene(seed, number, settings.size)
        split = "train" if number < settings.train else "val"
        name = f"scene_{number:04}"
        Image.fromarray(scene.image).save(images / f"{name}.jpg", quality=JPEG_QUALITY, subsampling=0)
        if split == "val":
            save_mask_png(masks / f"{name}.png", scene.mask)
        rows.append((f"images/{name}.jpg", TAG_SEPARATOR.join(scene.tags), split))
        drawn()
    (out / "tags.csv").write_text(csv_text(("filename", "tags", "split"), rows), encoding="utf-8", newline="")
    (out / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8", newline="")
