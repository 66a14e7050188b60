"""`wsss export`: networks for other runtimes, labels for other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from wsss.core.command import json_option, json_text, people_command
from wsss.core.errors import UserError
from wsss.core.interrupt import catch_signals
from wsss.core.words import counted

if TYPE_CHECKING:
    from wsss.data.crumbs import Area

PHOTOS = 20
"""At most so many photos are compared; a network needs seconds for each."""
LARGEST = 640
"""Photos are shrunk to this many columns for the comparison."""
NETWORKS = ("onnx", "torchscript", "package")
"""Forms of a network; the others are of labels."""
LABELS = ("voc", "coco", "cvat", "labelstudio", "fiftyone", "yolo")
WITH_PHOTOS = ("labelstudio", "fiftyone", "yolo")
"""Labels that are written with the places of their photos."""
OUTLINED = ("labelstudio", "yolo")
"""Labels that are always polygons."""
COME_BACK = ("voc", "cvat")
"""Labels that `wsss labels` reads."""
FOLDERS = ("package", "voc", *WITH_PHOTOS)
"""Written as folders, which replace what wsss has written there itself."""


@people_command
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", "kind", type=click.Choice([*NETWORKS, *LABELS]), help="what to write")
@click.option("--torchscript", is_flag=True, help="the same as --to torchscript")
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    help="a folder: of a network, compare on its photos, too; for labelstudio, fiftyone and yolo, the labels' photos",
)
@click.option(
    "--only",
    type=click.Path(path_type=Path),
    help="labels: only of the photos that a file names, an id or a file name a line, or a CSV with a column id, as "
    "reports/photos.csv",
)
@click.option(
    "--instead",
    metavar="SOURCE FILE",
    type=(click.Path(path_type=Path), click.Path(path_type=Path)),
    multiple=True,
    help="labels: those of another SOURCE of the photos that a file names, as for --only; may be given several times",
)
@click.option("--dataset", type=click.Path(path_type=Path), help="index folder: names and sizes of the photos")
@click.option("--polygons", is_flag=True, help="COCO: polygons instead of run lengths")
@click.option(
    "--simplify",
    type=click.FloatRange(min=0),
    default=0.0,
    help="polygons: leave out corners, as long as the outline moves by no more than so many pixels",
)
@click.option(
    "--min-area",
    metavar="PIXELS|PERCENT%",
    default="0",
    help="labels: pieces of a class of fewer pixels (25), or of less of the photo (0.1%), become what surrounds them",
)
@click.option(
    "--license", "licence", help="of a package's weights, for its model card: an id of the hub, e.g. cc-by-4.0"
)
@click.option(
    "--force",
    is_flag=True,
    help="replace what wsss export wrote and nobody has changed: a file, or a folder that is of another SOURCE",
)
@json_option
def main(
    source: Path,
    out: Path,
    kind: str | None,
    torchscript: bool,
    photos: Path | None,
    only: Path | None,
    instead: tuple[tuple[Path, Path], ...],
    dataset: Path | None,
    polygons: bool,
    simplify: float,
    min_area: str,
    licence: str | None,
    force: bool,
    as_json: bool,
) -> str:
    """Write the network SOURCE (a student's or an OSTE's .pt, or a package) as ONNX, TorchScript or a package (a folder
    with safetensors, config, ONNX and model card, to share), or the labels of SOURCE (a folder of wsss predict, or a
    store of pseudo-labels or predictions) as VOC, COCO, CVAT, Label Studio, FiftyOne or YOLO.

    Without --to, a file becomes ONNX. Networks take any number of photos of any size and are compared with torch
    before the file appears.
    """
    chosen = _chosen(source, kind, torchscript)
    if licence is not None and chosen != "package":
        raise UserError("--license", "is of the model card of a package", "add --to package, or leave it away")
    if polygons and chosen != "coco":
        raise UserError("--polygons", f"is of --to coco ({' and '.join(OUTLINED)} have them anyway)", "leave it away")
    if simplify and not (polygons or chosen in OUTLINED):
        raise UserError("--simplify", "is of polygons", "add --to labelstudio or yolo, or --to coco --polygons")
    from wsss.data.crumbs import Area, parse_area

    area = parse_area(min_area)
    if area != Area() and chosen in NETWORKS:
        raise UserError("--min-area", "is of labels", "leave it away")
    if photos is not None and photos.is_file():
        raise UserError(
            "--photos", f"{photos} is a file, expected a folder", "for labels of the photos it names: --only"
        )
    for option, given in (("--only", only), ("--instead", instead)):
        if given and chosen in NETWORKS:
            raise UserError(option, "is of labels", "leave it away")
    from wsss.export.own import refuse_foreign_file, refuse_other_folder

    if chosen in FOLDERS:
        refuse_other_folder(out, chosen, [source, *(other for other, _ in instead)], force)
    else:
        refuse_foreign_file(out, chosen, force)
    from wsss.commands.restorable import restorable

    with catch_signals():
        if chosen in NETWORKS:
            return _network(source, out, chosen, photos, dataset, licence, as_json)
        write = _writer(chosen, photos, polygons, simplify)
        with restorable(source):
            return _labels(source, out, write, chosen, photos, dataset, instead, only, area, as_json)


def _chosen(source: Path, kind: str | None, torchscript: bool) -> str:
    from wsss.predict.package import is_package  # loads torch

    if torchscript and kind not in (None, "torchscript"):
        raise UserError("--torchscript", f"found with --to {kind}", "give one of the two")
    network = not source.is_dir() or is_package(source)
    chosen = "torchscript" if torchscript else kind or ("onnx" if network else "")
    if not chosen:
        raise UserError(source, "is a folder: of a store, labels are exported", f"add --to {', '.join(LABELS)}")
    if chosen in NETWORKS and not network:
        raise UserError(source, f"is a folder, expected a network for --to {chosen}", "give artifacts/student.pt")
    return chosen


def _network(
    source: Path,
    out: Path,
    kind: str,
    photos: Path | None,
    dataset: Path | None,
    licence: str | None,
    as_json: bool,
) -> str:
    from wsss.export.model_card import OTHER
    from wsss.export.network import export_onnx, export_torchscript

    samples = [] if photos is None else _samples(photos)
    if kind == "package":
        from wsss.export.package import export_package

        made = export_package(source, out, samples, dataset, licence or OTHER)
    else:
        made = (export_onnx if kind == "onnx" else export_torchscript)(source, out, samples)
    if as_json:
        return json_text({"out": str(out), "difference": made.difference, "photos": made.photos, **made.card})
    return (
        f"export: {made.card['kind']} with {len(made.card['classes'])} classes → {out}\n"
        f"logits differ from torch by at most {made.difference:.1e} (random inputs of 4 sizes, "
        f"{counted(made.photos, 'photo')})"
    )


def _samples(folder: Path) -> list[np.ndarray]:
    from wsss.data.images import load_image
    from wsss.data.render import fit
    from wsss.predict.collect import find_photos

    return [fit(load_image(photo.path), LARGEST) for photo in find_photos([folder])[:PHOTOS]]


def _writer(kind: str, photos: Path | None, polygons: bool, simplify: float) -> Callable[..., dict[str, int]]:
    """Called with labels, records by id, and the output."""
    from wsss.export.coco import to_coco
    from wsss.export.cvat import to_cvat
    from wsss.export.fiftyone import to_fiftyone
    from wsss.export.label_studio import to_label_studio
    from wsss.export.voc import to_voc
    from wsss.export.yolo import to_yolo

    if kind == "coco":
        return partial(to_coco, polygons=polygons, tolerance=simplify)
    if kind not in WITH_PHOTOS:
        return to_voc if kind == "voc" else to_cvat
    if photos is None:
        raise UserError("--photos", f"is missing: --to {kind} says where the photos lie", "add --photos ../my_photos")
    if kind == "fiftyone":
        return partial(to_fiftyone, root=photos)
    return partial(to_yolo if kind == "yolo" else to_label_studio, root=photos, tolerance=simplify)


def _labels(
    source: Path,
    out: Path,
    write: Callable[..., dict[str, int]],
    kind: str,
    root: Path | None,
    dataset: Path | None,
    others: Sequence[tuple[Path, Path]],
    only: Path | None,
    least: Area,
    as_json: bool,
) -> str:
    from wsss.data.crumbs import Area
    from wsss.evaluation.exported import note_exported
    from wsss.export.changed_photos import photos_of, warn_changed
    from wsss.export.crumbs import WithoutCrumbs
    from wsss.export.cvat import about_folders
    from wsss.export.instead import instead
    from wsss.export.only import Only, named_photos, part_of
    from wsss.export.opened import open_labels, refuse_empty
    from wsss.export.origins import edited
    from wsss.formats.problems import some

    store, photos = open_labels(source, dataset)
    if not others:
        refuse_empty(store)
    parts = []
    for other, file in others:
        (store, photos), count = instead((store, photos), open_labels(other, dataset), file)
        parts.append(f"of {counted(count, 'photo')} the labels of {other}: those of {file}")
    if only is not None:
        named = named_photos(only, store, photos)
        parts.append(f"{len(named)} of {counted(len(store.ids), 'photo')} of {source.name}: those of {only}")
        store = Only(store, named)
    elif not others:
        parts.append(part_of(source.name, store.ids, photos))
    if by_hand := edited(store):
        parts.append(f"{counted(len(by_hand), 'mask')} edited since wsss predict: {some(by_hand)}")
    if root := root or photos_of(source, dataset):
        warn_changed(store, photos, root)
    counts = write(store if least == Area() else WithoutCrumbs(store, photos, least), photos, out)
    if kind in COME_BACK:
        note_exported(out)
    if kind == "cvat":
        parts.append(about_folders(store.ids))
    if as_json:
        return json_text({"out": str(out), "format": kind, "classes": list(store.classes), **counts})
    made = ", ".join(counted(count, what.removesuffix("s")) for what, count in counts.items())
    return f"export: {made} as {kind} → {out}" + "".join(f"\n{part}" for part in parts if part)
