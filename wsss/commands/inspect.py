"""`wsss inspect`: what is in a store, a shard, a checkpoint, an index, an exported network or a report."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from wsss.core.atomic import atomic_file, refuse_existing
from wsss.core.command import Coloured, json_option, json_text, people_command
from wsss.core.errors import UserError
from wsss.core.log import visible

MOST_COLUMNS = 100
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""What a picture is written as, by the ending of its name."""


@people_command
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("name", metavar="[ID]", required=False)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="write the picture of ID to this .png or .jpg")
@click.option("--data", type=click.Path(path_type=Path), help="folder of the photos, if not where the settings say")
@click.option("--at", metavar="X,Y", help="a pixel of ID: its label and confidence, or the score of each class there")
@click.option(
    "--array",
    metavar="NAME",
    default="",
    help="draw another array of ID, by the name that it is listed with: confidence, an earlier label such as single or "
    "before, raw of CAMs",
)
@json_option
def main(
    path: Path, name: str | None, out: Path | None, data: Path | None, at: str | None, array: str, as_json: bool
) -> str:
    """Say what is in PATH: CAMs, pseudo-labels, predictions (the folder or one shard), a checkpoint, an exported
    network, the folder of the index, a folder of wsss predict, a table, page or scores of reports; or, for a folder of
    these such as artifacts or reports, what each of them is. What dvc.lock lists has its lineage: the stage that made
    it, the settings, and whether its inputs and the code are still those, back to the photos. Also when, by which
    commit and on which processor it was made, if that was on this machine and a stage has noted it: stores, networks,
    the index, the gallery, tables of scores and photos.

    With ID, say it of that photo and show it in the terminal, where that has colours. The picture of -o has the photo
    beside it where that is found, and the names of the classes. With ID and a PATH of artifacts, or of a project, trace
    the photo through the run: tags, CAMs, labels, the student before and after its CRF, with IoU where it has a mask;
    -o draws them all on one sheet, and --at says it of each. The pixel of --at is counted as a viewer shows the
    photo: upright, of its own size, from 0 at the top left, X to the right and Y down; it also says which pixel that
    was where photos are read smaller or larger.
    """
    for option, given in (("-o", out), ("--data", data), ("--at", at), ("--array", array)):
        if given and name is None:
            raise UserError(option, "needs the ID of a photo", f"wsss inspect {path} ID {option} {given}")
    if out is not None:
        if out.suffix.lower() not in FORMATS:
            fix = f"wsss inspect {path} {name} -o {out.with_suffix('.png')}"
            raise UserError("-o", f"found {out.name}, expected a name that ends in .png or .jpg", fix)
        refuse_existing(out)
    from wsss.commands.restorable import restorable
    from wsss.report.drawing import Drawing
    from wsss.report.inspection import lines, look
    from wsss.report.lineage import lineage, unlisted
    from wsss.report.made import made_here
    from wsss.report.pixel import parse_at
    from wsss.report.trace import artifacts_of, trace
    from wsss.report.trace_sheet import TraceDrawing

    pixel = None if at is None else parse_at(at)
    artifacts = None if array else artifacts_of(path)
    drawing: Drawing | TraceDrawing | None
    with restorable(path):
        if name is not None and artifacts is not None:
            summary, traced = trace(artifacts, name, data, pixel)
            drawing = TraceDrawing(traced)
        else:
            summary, drawing = look(path, name, data, pixel, array)
    if name is None:
        summary |= made_here(path) | lineage(path)
    if why := unlisted(path):
        summary = {"careful": why, **summary}
    if out is not None:
        if drawing is None:
            raise UserError(path, "has no picture of a photo", "leave -o away")
        from PIL import Image

        with atomic_file(out) as temporary:
            # Of the quality that JPEG allows: text and flat colours suffer first.
            Image.fromarray(drawing.sheet(data)).save(temporary, format=FORMATS[out.suffix.lower()], quality=95)
    if as_json:
        return json_text(summary)
    text = "\n".join(lines(summary))
    # Without colours the blocks would show nothing.
    if drawing is None or out is not None or not (sys.stdout.isatty() or "FORCE_COLOR" in os.environ):
        return text
    from wsss.report.terminal import ansi, half_blocks

    colours = ansi(half_blocks(drawing.plain(), min(MOST_COLUMNS, shutil.get_terminal_size().columns)))
    return Coloured(f"{visible(text)}\n\n{colours}")
