"""`wsss labels`: labels that the pipeline does not make itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from wsss.core.command import CONTEXT, people_command
from wsss.core.errors import UserError
from wsss.core.missing import need_project


@click.group("labels", context_settings=dict(CONTEXT))
def main() -> None:
    """Import labels: corrected ones to train on, or masks for the upper bound; maps to make labels of; or make masks to
    score with.
    """


@people_command
@click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="settings file")
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset", help="what `index` wrote")
@click.option(
    "--masks", type=click.Path(path_type=Path), default="artifacts/masks.csv", help="their checksums, of `index`"
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="new folder to write  [default: artifacts/masks_as_labels_ and 8 digits of its checksum]",
)
def import_masks(params: Path, dataset: Path, masks: Path, out: Path | None) -> str:
    """Import the masks of the train split as labels, to train the UPPER BOUND: a student that has seen masks.

    Nothing reads them unless distill.labels names them. Nothing is replaced: other masks get another folder.
    """
    need_project(dataset)
    from wsss.core.processes import end_children
    from wsss.evaluation.import_masks import import_train_masks

    try:
        return import_train_masks(params, dataset, masks, out)
    finally:
        end_children()


exported_option = click.option(
    "--exported",
    type=click.Path(path_type=Path),
    help="what was exported: a folder or .zip of wsss export, or a folder of wsss predict, where no note of this "
    "project has it",
)
edited_only_option = click.option(
    "--edited-only",
    is_flag=True,
    help="leave out the masks that are still as wsss has written them, as far as that is known",
)


@people_command
@click.argument("edited", type=click.Path(path_type=Path))
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="store that was exported  [default: the one that the masks say, or else that of artifacts/pseudo, relabelled "
    "and corrected*, from which the fewest differ]",
)
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset", help="what `index` wrote")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="new folder to write  [default: artifacts/corrected_ and 8 digits of its checksum]",
)
@click.option("--made-by", metavar="NAME", help="the method that has made the masks, if no person has")
@exported_option
@edited_only_option
@click.option(
    "--replace-corrected",
    is_flag=True,
    help="let masks replace labels that were corrected by hand before, though nobody knows whether a person has made "
    "these",
)
def import_corrected(
    edited: Path,
    base: Path | None,
    dataset: Path,
    out: Path | None,
    made_by: str | None,
    exported: Path | None,
    edited_only: bool,
    replace_corrected: bool,
) -> str:
    """Import the masks that a person has corrected as labels to train on: EDITED is a folder or a .zip, as CVAT exports
    it ("Segmentation mask 1.1"), a folder of wsss predict whose masks were edited, or a store of labels that were
    corrected before, artifacts/corrected_*.

    The new store has the labels of --base, with those of the edited photos replaced, and is marked: so many are
    corrected by hand, so many taken from a network's masks, as wsss export has written them, so many made by the
    method of --made-by. A mask that nobody has edited is known by its pixels, in whatever colours it comes back. A
    network's masks of val photos are left out, or the student would be judged by them. A label that was corrected by
    hand before stays as it is, unless a person has painted a newer one. Nothing reads the store unless
    distill.labels names it. Nothing is replaced: other labels get another folder.

    The data set may have changed since: masks of photos that are gone are left out, classes of dataset.drop are
    background. Of a store, the corrected labels are taken over to the photos and classes of now; no option but --out
    and --dataset is for it.
    """
    need_project(dataset)
    from wsss.commands.restorable import restorable
    from wsss.evaluation.import_corrected import import_edited
    from wsss.stores.labels import LABEL_STORES
    from wsss.stores.opened import is_store

    if is_store(edited):
        from wsss.evaluation.carry_over import carry_over

        given = {"--base": base, "--made-by": made_by, "--exported": exported, "--edited-only": edited_only}
        given |= {"--replace-corrected": replace_corrected}
        if options := [name for name, value in given.items() if value]:
            what = f"{options[0]} is for masks, and this is a store of labels"
            raise UserError(edited, what, f"leave {options[0]} away; or export the store, and import what was edited")
        return carry_over(edited, dataset, out)
    if made_by is not None and not made_by.strip():
        raise UserError("--made-by", "is empty", "give the name of the method; or leave it away if a person did it")
    with ExitStack() as stack:
        for store in [base] if base else [kind.place for kind in LABEL_STORES]:
            stack.enter_context(restorable(store))
        method = (made_by or "").strip()
        return import_edited(edited, base, dataset, out, method, exported, edited_only, replace_corrected)


@people_command
@click.argument("edited", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--params", type=click.Path(path_type=Path), default="params.yaml", help="settings file")
@exported_option
@edited_only_option
def to_masks(edited: Path, out: Path, params: Path, exported: Path | None, edited_only: bool) -> str:
    """Write masks that a person has made as masks of the data set, to score with: EDITED is a folder or a .zip, as CVAT
    exports it ("Segmentation mask 1.1"), and OUT a new folder.

    Classes are found by the names in labelmap.txt, whatever colours they have; OUT has indexed PNGs with the numbers
    of the data set's classes. Nothing reads it unless dataset.masks names it. Masks that are still as wsss export wrote
    them are marked, and `wsss check` counts them.
    """
    from wsss.evaluation.to_masks import to_masks as write

    return write(edited, params, out, exported, edited_only)


@people_command
@click.argument("maps", type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Path(path_type=Path), default="artifacts/dataset", help="what `index` wrote")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="new folder to write  [default: artifacts/imported_cams_ and 8 digits of its checksum]",
)
@click.option(
    "--first", type=click.IntRange(0), default=0, help="number of the first class, where files number classes"
)
@click.option("--made-by", metavar="NAME", default="", help="the method that has made the maps; it is noted")
def import_cams(maps: Path, dataset: Path, out: Path | None, first: int, made_by: str) -> str:
    """Import class activation maps of another method: MAPS is a folder with a .npz or .npy for each photo, an array
    (classes, h, w), or an array (h, w) for each class.

    Nothing reads them but the command that is printed, which makes labels of them as stage correct does. Nothing is
    replaced: other maps get another folder.
    """
    need_project(dataset)
    from wsss.core.processes import end_children
    from wsss.evaluation.import_cams import import_maps

    try:
        return import_maps(maps, dataset, out, first, made_by.strip())
    finally:
        end_children()


main.add_command(import_corrected, "import")
main.add_command(import_cams, "import-cams")
main.add_command(to_masks, "to-masks")
main.add_command(import_masks, "import-masks")
