"""`wsss masks`: the masks of a COCO data set, drawn once out of its outlines."""

from __future__ import annotations

from pathlib import Path

import click

from wsss.core.command import people_command


@people_command
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--tags", default="annotations", help="folder of instances_*.json below ROOT, or one such file")
@click.option("--out", default="masks", help="folder of the masks below ROOT")
@click.option("--split", type=click.Choice(["train", "val"]), multiple=True, default=("val",), help="whose photos")
@click.option(
    "--crowds",
    type=click.Choice(["ignored", "objects"]),
    default="ignored",
    help="regions marked iscrowd: 255; or objects, as CVAT marks what was painted with a brush",
)
def main(root: Path, tags: str, out: str, split: tuple[str, ...], crowds: str) -> str:
    """Draw the masks of the COCO data set at ROOT as indexed PNGs.

    They score results and are read by nothing else, so those of the training photos are drawn only if asked for.
    """
    from wsss.formats.coco_masks import draw_masks

    written = draw_masks(root, root / tags, root / out, split, crowds == "objects")
    counts = ", ".join(f"{count} {name}" for name, count in written.items())
    return f"masks: {counts} → {root / out}; next: set dataset.masks to {out}"
